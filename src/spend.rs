//! What the cloud costs, kept: every question that goes there is counted in the store, so that a restart does not begin
//! the day anew, and written into the audit log when it has ended. The arithmetic is `agent_bridge::budget`'s.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use agent_bridge::budget::{Count, HoldId, Ledger, Reached, Spent};
use agent_bridge::router::books::{Books, CloudAsk, CloudEnd};
use anyhow::Context as _;
use jiff::civil::date;
use jiff::tz::TimeZone;

use crate::audit::{Event, Kind};
use crate::config::{Config, DayLimits};
use crate::records::{Recorder, unix_ms};
use crate::store::{Lasting, Store};

/// Its counters' names begin with this.
const COUNTER: &str = "cloud/";
const MICROS: u64 = 1_000_000;

/// The books of one running program.
pub struct Spending {
    limits: DayLimits,
    timezone: TimeZone,
    ledger: Mutex<Ledger>,
    recorder: Recorder,
}

/// Today's counters, in the zone of the config.
pub fn kept(store: &mut Store, config: &Config) -> anyhow::Result<Vec<(String, u64)>> {
    let today = day_in(&zone(&config.agent.timezone));
    let kept = store.load_counters(today);
    kept.context("what the cloud has cost today")
}

/// The books that go on from there.
pub fn books(config: &Config, kept: &[(String, u64)], recorder: Recorder) -> Arc<dyn Books> {
    let limits = config.limits.clone();
    Arc::new(Spending::new(
        limits,
        &config.agent.timezone,
        kept,
        recorder,
    ))
}

fn zone(name: &str) -> TimeZone {
    // The config has looked it up before.
    match TimeZone::get(name) {
        Ok(zone) if !name.is_empty() => zone,
        _ => TimeZone::system(),
    }
}

fn day_in(zone: &TimeZone) -> i64 {
    let ms = i64::try_from(unix_ms()).unwrap_or(i64::MAX);
    let now = jiff::Timestamp::from_millisecond(ms).unwrap_or(jiff::Timestamp::MAX);
    let today = now.to_zoned(zone.clone()).date();
    let since = date(1970, 1, 1).until(today);
    since.map_or(0, |span| i64::from(span.get_days()))
}

impl Spending {
    /// `kept` are the store's counters of today in that zone; empty: the machine's.
    pub fn new(
        limits: DayLimits,
        timezone: &str,
        kept: &[(String, u64)],
        recorder: Recorder,
    ) -> Spending {
        let timezone = zone(timezone);
        let ours = kept
            .iter()
            .filter_map(|(name, value)| Some((name.strip_prefix(COUNTER)?, *value)));
        Spending {
            ledger: Mutex::new(Ledger::new(
                limits.total,
                limits.each,
                day_in(&timezone),
                ours,
            )),
            timezone,
            limits,
            recorder,
        }
    }

    /// Of today.
    pub fn spent(&self) -> Spent {
        self.ledger().spent()
    }

    fn ledger(&self) -> MutexGuard<'_, Ledger> {
        self.ledger.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn keep(&self, counts: Vec<Count>) {
        for Count { name, day, by } in counts {
            let name = format!("{COUNTER}{name}");
            self.recorder.keep(Lasting::Count { name, day, by });
        }
    }

    fn write(&self, ask: &CloudAsk, result: String) {
        let early = if ask.is_guess { ", early" } else { "" };
        let event = Event {
            call: ask.asker.call.clone(),
            user: ask.asker.user.clone(),
            level: ask.asker.level,
            channel: "phone".to_owned(),
            kind: Kind::CloudRequest,
            what: format!(
                "{} at {} for {}: {}{early}",
                ask.model,
                ask.address,
                ask.agent,
                ask.why.as_str(),
            ),
            result,
        };
        self.recorder.audit(event.row(unix_ms()));
    }
}

impl Books for Spending {
    fn open(&self, ask: &CloudAsk) -> Result<HoldId, Reached> {
        let price = self.limits.price(&ask.model).unwrap_or_default();
        let day = day_in(&self.timezone);
        let opened = self.ledger().open(day, &ask.agent, ask.guess, price);
        match opened {
            Ok((hold, counts)) => {
                self.keep(counts);
                Ok(hold)
            }
            Err(reached) => {
                self.write(ask, format!("not asked: {reached}"));
                Err(reached)
            }
        }
    }

    fn close(&self, hold: HoldId, ask: &CloudAsk, end: &CloudEnd) {
        let day = day_in(&self.timezone);
        let (micros, counts) = self.ledger().close(day, hold, end.usage);
        self.keep(counts);
        let CloudEnd {
            usage,
            is_guessed,
            how,
        } = end;
        let about = if *is_guessed { "about " } else { "" };
        let cost = match self.limits.price(&ask.model) {
            Some(_) => format!(", cost {}.{:06}", micros / MICROS, micros % MICROS),
            None => String::new(),
        };
        self.write(
            ask,
            format!(
                "{how}: {about}{} tokens asked, {} answered{cost}",
                usage.prompt_tokens, usage.completion_tokens
            ),
        );
    }
}

#[cfg(test)]
mod tests {
    use agent_bridge::budget::{Limits, Price, What};
    use agent_bridge::gateways::{Asker, Usage};
    use agent_bridge::levels::Level;
    use agent_bridge::router::choice::CloudWhy;

    use super::*;
    use crate::config::ModelPrice;
    use crate::testing::Scratch;

    fn ask() -> CloudAsk {
        CloudAsk {
            agent: "finance".to_owned(),
            asker: Asker {
                agent: "finance".to_owned(),
                call: Some("c1".to_owned()),
                user: "anna".to_owned(),
                level: Some(Level::Owner),
            },
            model: "big".to_owned(),
            address: "https://api.example.com".to_owned(),
            why: CloudWhy::Failure,
            is_guess: false,
            guess: Usage {
                prompt_tokens: 100,
                completion_tokens: 100,
            },
        }
    }

    #[test]
    fn a_restart_knows_what_was_spent_and_the_log_says_on_what() {
        let scratch = Scratch::new("spend");
        let path = scratch.path().join("a.db");
        let limits = DayLimits {
            total: Limits {
                requests: Some(1),
                ..Limits::default()
            },
            prices: vec![ModelPrice {
                model: "big".to_owned(),
                price: Price {
                    prompt_micros: 2_500_000,
                    completion_micros: 10_000_000,
                },
            }],
            ..DayLimits::default()
        };
        let run = || {
            let mut store = Store::open(&path).expect("a store");
            let kept = store
                .load_counters(day_in(&TimeZone::UTC))
                .expect("counters");
            let (recorder, thread) = Recorder::start(store, false).expect("a thread");
            (
                Spending::new(limits.clone(), "UTC", &kept, recorder),
                thread,
            )
        };
        let (spending, thread) = run();
        let hold = spending.open(&ask()).expect("the first one");
        let usage = Usage {
            prompt_tokens: 1_200,
            completion_tokens: 80,
        };
        let end = CloudEnd {
            usage,
            is_guessed: false,
            how: "answered".to_owned(),
        };
        spending.close(hold, &ask(), &end);
        let before = spending.spent();
        spending.recorder.stop();
        thread.join().expect("the store's thread ends");
        let (spending, thread) = run();
        assert_eq!(spending.spent(), before);
        let reached = spending.open(&ask()).expect_err("the limit");
        assert_eq!((reached.what, reached.is_total), (What::Requests, true));
        spending.recorder.stop();
        thread.join().expect("the store's thread ends");
        let store = Store::open(&path).expect("a store");
        let rows = store.audit(10).expect("rows");
        let lines: Vec<String> = rows
            .iter()
            .map(|row| format!("{}|{}|{}|{}", row.user, row.kind, row.what, row.result))
            .collect();
        let what = "anna|cloud request|big at https://api.example.com for finance: \
                    the local gateways failed";
        assert!(
            lines.contains(&format!(
                "{what}|answered: 1200 tokens asked, 80 answered, cost 0.003800"
            )),
            "{lines:?}"
        );
        assert!(
            lines.iter().any(|line| line.contains("|not asked: ")),
            "{lines:?}"
        );
    }
}
