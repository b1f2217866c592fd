//! `offhook waterfall`: the stages of a stored call's turns, in the terminal or as a picture.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::Context as _;

use super::{find_call, local_time, open_store, print};
use crate::config::Config;
use crate::home::Home;
use crate::store::{CallRow, TurnRow};
use crate::waterfall::{Waterfall, svg, text};

/// Calls looked through for the last one with turns.
const CALLS_TRIED_MAX: usize = 100;
/// Columns of the longest bar in the terminal.
const COLUMNS: usize = 60;

/// What to draw.
pub struct WaterfallOptions {
    /// A call's name or the end of it; none: the last call with turns.
    pub call: Option<String>,
    /// Turns count from 1; none: all.
    pub turn: Option<u32>,
    pub svg: Option<PathBuf>,
}

/// Draws the turns of one call; with `svg` into that file (`-`: standard output).
pub fn draw(home: &Home, config: &Config, options: &WaterfallOptions) -> anyhow::Result<()> {
    let store = open_store(home, config)?;
    let call = match &options.call {
        Some(name) => find_call(&store, name)?,
        None => {
            let calls = store.recent_calls(CALLS_TRIED_MAX)?;
            let last = calls.into_iter().find(|call| call.turns > 0);
            last.context("no call with turns yet; call 100 and talk")?
        }
    };
    let mut rows = store.turns(&call.id)?;
    if let Some(number) = options.turn {
        rows.retain(|row| row.n == number);
    }
    anyhow::ensure!(
        !rows.is_empty(),
        "call {} has no such turn ({} turns)",
        call.id,
        call.turns
    );
    let turns: Vec<Waterfall> = rows.iter().map(to_waterfall).collect();
    let title = title(&call);
    match options.svg.as_deref() {
        None => print(&format!("{title}\n\n{}", text(&turns, COLUMNS))),
        Some(path) if path == Path::new("-") => print(&svg(&turns, &title)),
        Some(path) => fs::write(path, svg(&turns, &title))
            .with_context(|| format!("writing {}", path.display())),
    }
}

fn title(call: &CallRow) -> String {
    format!(
        "call {} · {} · {}",
        call.id,
        call.user,
        local_time(call.started_unix_ms)
    )
}

/// Figures that cannot be read any more count as not reached.
fn to_waterfall(row: &TurnRow) -> Waterfall {
    Waterfall {
        number: row.n,
        caller_text: row.caller_text.clone(),
        heard_text: row.heard_text.clone(),
        stages: serde_json::from_str(&row.latencies_json).unwrap_or_default(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::call::record::Stages;
    use crate::store::{CallStarted, Store};
    use crate::testing::Scratch;

    fn turn(n: u32, latencies_json: String) -> TurnRow {
        TurnRow {
            call: "c12".to_owned(),
            n,
            at_unix_ms: 1,
            caller_text: "hello".to_owned(),
            reply_text: String::new(),
            heard_text: String::new(),
            latencies_json,
            gateway: None,
            model: None,
            tools: Vec::new(),
        }
    }

    #[test]
    fn stored_figures_are_read_back() {
        let stages = Stages {
            transcribed_ms: Some(1),
            guessed_ms: Some(2),
            ..Stages::default()
        };
        let stored = serde_json::to_string(&stages).unwrap();
        assert_eq!(to_waterfall(&turn(1, stored)).stages, stages);
        // Written before there were guesses, or by nobody.
        let old = to_waterfall(&turn(1, "{\"transcribed_ms\":1}".to_owned()));
        assert_eq!(old.stages.transcribed_ms, Some(1));
        let broken = to_waterfall(&turn(1, "?".to_owned()));
        assert_eq!(broken.stages, Stages::default());
    }

    #[test]
    fn calls_and_turns_are_found_or_said_to_be_missing() {
        let scratch = Scratch::new("waterfall");
        let home = Home::at(scratch.path());
        let config = Config::default();
        let picture = scratch.path().join("w.svg");
        let draw = |call: Option<&str>, turn: Option<u32>| {
            let options = WaterfallOptions {
                call: call.map(str::to_owned),
                turn,
                svg: Some(picture.clone()),
            };
            super::draw(&home, &config, &options).map_err(|error| error.to_string())
        };
        assert!(draw(None, None).unwrap_err().contains("no database"));
        let mut store = Store::open(&home.database_path()).unwrap();
        assert!(draw(None, None).unwrap_err().contains("no call with turns"));
        for (at, id) in ["c12", "d12", "e3"].into_iter().enumerate() {
            let started = CallStarted {
                id: id.to_owned(),
                user: "a".to_owned(),
                number: "100".to_owned(),
                remote: String::new(),
                user_agent: None,
                started_unix_ms: at as u64,
            };
            store.call_started(&started).unwrap();
        }
        let stages = Stages {
            committed_ms: Some(300),
            ..Stages::default()
        };
        let stored = serde_json::to_string(&stages).unwrap();
        store.add_turn(&turn(1, stored)).unwrap();
        draw(None, None).unwrap();
        assert!(fs::read_to_string(&picture).unwrap().contains("300 ms"));
        draw(Some("c12"), Some(1)).unwrap();
        assert!(draw(Some("2"), None).unwrap_err().contains("2 calls end"));
        assert!(draw(Some("3"), None).unwrap_err().contains("no such turn"));
        assert!(draw(Some("x"), None).unwrap_err().contains("no call"));
        assert!(
            draw(Some("c12"), Some(2))
                .unwrap_err()
                .contains("no such turn")
        );
    }
}
