//! What the cloud costs, kept: every question that goes there is counted in the store, so that a restart does not begin
//! the day anew, and written into the audit log when it has ended. The arithmetic is `agent_bridge::budget`'s.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use agent_bridge::budget::{Count, HoldId, Ledger, Price, Reached, Spent, What};
use agent_bridge::router::books::{Books, CloudAsk, CloudEnd};
use agent_bridge::router::choice::CloudWhy;
use anyhow::Context as _;
use jiff::civil::date;
use jiff::tz::TimeZone;

use crate::audit::{Event, Kind};
use crate::config::{Config, DayLimits};
use crate::records::{Recorder, unix_ms};
use crate::store::{Lasting, Store};
use crate::tools::channel_of;

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

    /// Where money counts, a model without a price costs as much as the dearest that has one: a request that comes to the
    /// model proxy names any model it likes.
    fn price(&self, model: &str) -> Option<Price> {
        let known = self.limits.price(model);
        let prices = self.limits.prices.iter().map(|known| known.price);
        let dearest = prices.reduce(|a, b| Price {
            prompt_micros: a.prompt_micros.max(b.prompt_micros),
            completion_micros: a.completion_micros.max(b.completion_micros),
        });
        known.or(dearest.filter(|_| self.limits.counts_money()))
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
            channel: match ask.why {
                CloudWhy::Proxy => "proxy",
                _ => channel_of(ask.asker.call.as_deref()),
            }
            .to_owned(),
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
        let day = day_in(&self.timezone);
        // Where money counts, nothing leaves whose price nobody knows.
        let opened = match self.price(&ask.model) {
            None if self.limits.counts_money() => Err(Reached {
                what: What::Money,
                is_total: true,
            }),
            price => {
                let price = price.unwrap_or_default();
                self.ledger().open(day, &ask.agent, ask.guess, price)
            }
        };
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
        let cost = match self.price(&ask.model) {
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
    use agent_bridge::budget::Limits;
    use agent_bridge::gateways::{Asker, Usage};
    use agent_bridge::levels::Level;

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

    fn priced(model: &str, prompt_micros: u64, completion_micros: u64) -> ModelPrice {
        ModelPrice {
            model: model.to_owned(),
            price: Price {
                prompt_micros,
                completion_micros,
            },
        }
    }

    /// A request that comes to the model proxy names its own model, and may name one that nobody has priced.
    #[test]
    fn a_model_without_a_price_is_the_dearest() {
        let money = Limits {
            micros: Some(1_000),
            ..Limits::default()
        };
        let prices = || {
            vec![
                priced("big", 2_500_000, 1_000_000),
                priced("small", 1, 5_000_000),
            ]
        };
        for (total, prices, model, wanted) in [
            // 100 tokens each way: 250 + 100, 1 + 500, and 250 + 500 of the thousand.
            (money, prices(), "big", Ok(350)),
            (money, prices(), "small", Ok(501)),
            (money, prices(), "who knows", Ok(750)),
            (money, Vec::new(), "who knows", Err(What::Money)),
            (Limits::default(), prices(), "who knows", Ok(0)),
            (Limits::default(), Vec::new(), "who knows", Ok(0)),
        ] {
            let scratch = Scratch::new("spend-price");
            let store = Store::open(&scratch.path().join("a.db")).expect("a store");
            let (recorder, thread) = Recorder::start(store, false).expect("a thread");
            let limits = DayLimits {
                total,
                prices,
                ..DayLimits::default()
            };
            let spending = Spending::new(limits, "UTC", &[], recorder);
            let ask = CloudAsk {
                model: model.to_owned(),
                why: CloudWhy::Proxy,
                asker: Asker::default(),
                ..ask()
            };
            let opened = spending.open(&ask).map(|hold| {
                let end = CloudEnd {
                    usage: ask.guess,
                    is_guessed: false,
                    how: "answered".to_owned(),
                };
                spending.close(hold, &ask, &end);
                spending.spent().micros
            });
            assert_eq!(opened.map_err(|reached| reached.what), wanted, "{model}");
            spending.recorder.stop();
            thread.join().expect("the store's thread ends");
            let store = Store::open(&scratch.path().join("a.db")).expect("a store");
            let rows = store.audit(10).expect("rows");
            assert!(rows.iter().all(|row| row.channel == "proxy"));
            let has_cost = rows.iter().any(|row| row.result.contains(", cost 0.000"));
            assert_eq!(has_cost, wanted.is_ok_and(|micros| micros > 0), "{model}");
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
