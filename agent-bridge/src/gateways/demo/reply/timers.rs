//! Timers within the call: set, asked about, cancelled. Owns what is said about them; the call owns when
//! they end.
//! PURE.

use jiff::Timestamp;
use rand::Rng;
use serde_json::json;

use super::{AskedFor, DemoReply, Question, SetTimer, TIMER_S_MAX, TIMERS_MAX, said};
use crate::gateways::demo::{numbers, spans};

impl<R: Rng> Question<'_, R> {
    pub(super) fn names_timer(&self) -> bool {
        let words = [
            "timer",
            "timers",
            "alarm",
            "alarms",
            "remind",
            "reminder",
            "countdown",
        ];
        self.heard.has_any(&words) || self.heard.says(&["wake me"])
    }

    pub(super) fn cancel_timers(&mut self) -> Option<DemoReply> {
        let cancels = self
            .heard
            .has_any(&["cancel", "stop", "delete", "remove", "clear", "forget"])
            || self.heard.says(&["turn off", "switch off"]);
        if !cancels || !self.names_timer() {
            return None;
        }
        let text = match self.state.timers.len() {
            0 => return Some(said("No timer is running.")),
            1 => "The timer is cancelled.".to_owned(),
            count => format!("All {} timers are cancelled.", numbers::words(count as i64)),
        };
        self.state.timers.clear();
        let call = self.tool("cancel_timers", json!({}));
        Some(DemoReply {
            text,
            tool_calls: vec![call],
        })
    }

    pub(super) fn set_timer(&mut self) -> Option<DemoReply> {
        let sets = self.heard.has_any(&[
            "set", "start", "make", "new", "give", "need", "for", "in", "put", "create",
        ]);
        if !self.names_timer() {
            return None;
        }
        let Some(span) = spans::find(self.heard.words()) else {
            if !sets || self.heard.says(&["how long", "how much"]) {
                return None;
            }
            self.state.asked_for = Some(AskedFor::TimerLength);
            return Some(said("For how long shall I set the timer?"));
        };
        let label = self.label(span.to);
        Some(self.timer(span.seconds, label))
    }

    /// What the timer is for: "called tea", "for the eggs", "to call Tom".
    pub(super) fn label(&self, from: usize) -> Option<String> {
        let words = self.heard.words().get(from..)?;
        let lead = words
            .iter()
            .position(|word| matches!(word.as_ref(), "called" | "named" | "for" | "to"))?;
        let mut at = from + lead + 1;
        if matches!(self.heard.words().get(at)?.as_ref(), "the" | "my" | "a") {
            at += 1;
        }
        let text = self.heard.original_from(at);
        let text = text
            .strip_suffix(" please")
            .unwrap_or(text)
            .trim_end_matches([',', '?']);
        let is_named = words[lead].text != "to" && (1..=40).contains(&text.chars().count());
        is_named.then(|| text.to_lowercase())
    }

    pub(super) fn timer(&mut self, seconds: u64, label: Option<String>) -> DemoReply {
        if seconds == 0 {
            return said("That timer would be over already.");
        }
        if seconds > TIMER_S_MAX {
            return said("A timer runs within this call, so a day is the longest I set.");
        }
        if self.state.timers.len() >= TIMERS_MAX {
            return said("Eight timers are running already. Cancel them first.");
        }
        let ends = self
            .now
            .timestamp()
            .as_second()
            .saturating_add_unsigned(seconds);
        let shown = spans::show(seconds);
        let (label, text) = match label {
            Some(label) => {
                let text = format!(
                    "The {label} timer is set for {shown}. Stay on the line and I will tell you."
                );
                (label, text)
            }
            None => {
                let text =
                    format!("A timer is set for {shown}. Stay on the line and I will tell you.");
                (spans::name(seconds), text)
            }
        };
        if let Ok(ends) = Timestamp::from_second(ends) {
            self.state.timers.push(SetTimer {
                label: label.clone(),
                ends,
            });
        }
        let call = self.tool("set_timer", json!({ "seconds": seconds, "label": label }));
        DemoReply {
            text,
            tool_calls: vec![call],
        }
    }

    pub(super) fn timers_left(&mut self) -> Option<DemoReply> {
        let asks = self.heard.says(&[
            "how long",
            "how much time",
            "how many",
            "is left",
            "are running",
        ]);
        if !(asks && (self.names_timer() || self.heard.has_any(&["left", "remaining"]))) {
            return None;
        }
        let next = self.state.timers.iter().min_by_key(|timer| timer.ends);
        Some(match next {
            None => said("No timer is running."),
            Some(timer) => {
                let left = timer.ends.as_second() - self.now.timestamp().as_second();
                let left = spans::show(left.unsigned_abs());
                said(format!("The {} timer has {left} left.", timer.label))
            }
        })
    }
}
