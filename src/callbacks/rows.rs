//! Requests and messages in the store's words and back, and the owner's settings in the plan's.

use std::collections::HashMap;

use jiff::tz::TimeZone;

use super::boundary::{Notice, PlanConfig, Record};
use super::quiet::Quiet;
use crate::config::Config;
use crate::store::{CallbackRow, NoticeRow};

/// `keeps_words`: what was said stays on disk when it has been heard.
pub fn to_row(record: &Record, keeps_words: bool) -> CallbackRow {
    let mut kept = record.clone();
    if record.state.is_over() && !keeps_words {
        kept.wish.say.clear();
        kept.wish.why.clear();
    }
    CallbackRow {
        id: record.id.0.clone(),
        asked_unix_ms: record.asked_at,
        is_over: record.state.is_over(),
        record_json: serde_json::to_string(&kept).unwrap_or_default(),
    }
}

/// None: a row of another version's writing.
pub fn from_row(row: &CallbackRow) -> Option<Record> {
    serde_json::from_str(&row.record_json).ok()
}

pub fn to_notice(notice: &Notice) -> NoticeRow {
    NoticeRow {
        id: 0,
        user: notice.user.clone(),
        text: notice.text.clone(),
        is_voice: notice.is_voice,
        why: notice.why.clone(),
        callback: notice.callback.0.clone(),
        at_unix_ms: notice.at,
        read_unix_ms: None,
    }
}

/// `here`: the machine's own zone, where none is set.
pub fn plan_config(config: &Config, here: &TimeZone) -> PlanConfig {
    let wish = &config.callbacks;
    // Names and hours have been checked with the config.
    let zone = |names: &[&str]| {
        let named = names.iter().find(|name| !name.is_empty());
        let found = named.and_then(|name| TimeZone::get(name).ok());
        found.unwrap_or_else(|| here.clone())
    };
    let general = [wish.timezone.as_str(), config.agent.timezone.as_str()];
    let hours = |text: &str| Quiet::parse(text).flatten();
    let differs = config
        .users
        .iter()
        .filter(|user| user.quiet_hours.is_some() || !user.timezone.is_empty());
    let quiet_of: HashMap<String, Quiet> = differs
        .map(|user| {
            let text = user.quiet_hours.as_deref().unwrap_or(&wish.quiet_hours);
            let quiet = Quiet {
                hours: hours(text),
                zone: zone(&[user.timezone.as_str(), general[0], general[1]]),
            };
            (user.name.to_lowercase(), quiet)
        })
        .collect();
    PlanConfig {
        quiet_of,
        quiet: Quiet {
            hours: hours(&wish.quiet_hours),
            zone: zone(&general),
        },
        urgent_breaks_quiet: wish.urgent_breaks_quiet,
        retry_ms: u64::from(wish.retry_s) * 1000,
        busy_ms: u64::from(wish.busy_retry_s) * 1000,
        calls_per_user_per_day: wish.calls_per_user_per_day as usize,
        open_per_user_max: wish.open_per_user_max as usize,
    }
}
