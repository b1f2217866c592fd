//! Books for tests, kept in memory: a line for each request to the cloud that is over. Owns the ledger; what stands in a line is
//! the test's.

use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use tokio::sync::watch;

use super::books::{Books, CloudAsk, CloudEnd};
use crate::budget::{HoldId, Ledger, Limits, Price, Reached};

const PATIENCE: Duration = Duration::from_secs(20);

type Line = fn(&CloudAsk, &CloudEnd) -> String;

pub(crate) struct Notebook {
    ledger: Mutex<Ledger>,
    lines: watch::Sender<Vec<String>>,
    line: Line,
}

impl Notebook {
    /// `total`: of a day, for all agents.
    pub(crate) fn new(total: Limits, line: Line) -> Arc<Notebook> {
        Arc::new(Notebook {
            ledger: Mutex::new(Ledger::new(total, Limits::default(), 1, [])),
            lines: watch::Sender::default(),
            line,
        })
    }

    pub(crate) fn ledger(&self) -> MutexGuard<'_, Ledger> {
        self.ledger.lock().expect("no panic")
    }

    pub(crate) fn lines(&self) -> Vec<String> {
        self.lines.borrow().clone()
    }

    /// Those since the last time.
    pub(crate) fn take_lines(&self) -> Vec<String> {
        self.lines.send_replace(Vec::new())
    }

    pub(crate) async fn until_lines(&self, count: usize) -> Vec<String> {
        let mut lines = self.lines.subscribe();
        let found = tokio::time::timeout(PATIENCE, lines.wait_for(|all| all.len() >= count)).await;
        found.expect("too few lines").expect("open").clone()
    }
}

impl Books for Notebook {
    fn open(&self, ask: &CloudAsk) -> Result<HoldId, Reached> {
        let opened = self
            .ledger()
            .open(1, &ask.agent, ask.guess, Price::default());
        opened.map(|(hold, _)| hold)
    }

    fn close(&self, hold: HoldId, ask: &CloudAsk, end: &CloudEnd) {
        self.ledger().close(1, hold, end.usage);
        let line = (self.line)(ask, end);
        self.lines.send_modify(|lines| lines.push(line));
    }
}
