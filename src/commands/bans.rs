//! `offhook bans`: who is not heard, and until when. A running server notices within a second.

use std::time::Duration;

use anyhow::Context as _;
use sip::{Ban, BanReason, Block};

use super::{local_time, open_store, print, table};
use crate::config::Config;
use crate::home::Home;
use crate::records::unix_ms;
use crate::store::Lasting;

pub fn list(home: &Home, config: &Config, as_json: bool) -> anyhow::Result<()> {
    let now_unix_ms = unix_ms();
    let mut bans = open_store(home, config)?.bans()?;
    bans.retain(|ban| ban.until_unix_ms > now_unix_ms);
    if as_json {
        let list: Vec<serde_json::Value> = bans.iter().map(json).collect();
        return print(&format!("{}\n", serde_json::Value::from(list)));
    }
    if bans.is_empty() {
        return print("Nobody is banned.\n");
    }
    let head = ["ADDRESS", "WHY", "SINCE", "UNTIL", "TIMES"];
    let mut rows = vec![head.map(str::to_owned).to_vec()];
    rows.extend(bans.iter().map(|ban| {
        vec![
            ban.block.to_string(),
            ban.why.as_str().to_owned(),
            local_time(ban.since_unix_ms),
            local_time(ban.until_unix_ms),
            ban.times.to_string(),
        ]
    }));
    print(&table(&rows))
}

fn json(ban: &Ban) -> serde_json::Value {
    serde_json::json!({
        "address": ban.block.to_string(),
        "why": ban.why.as_str(),
        "since_unix_ms": ban.since_unix_ms,
        "until_unix_ms": ban.until_unix_ms,
        "times": ban.times,
    })
}

pub fn add(home: &Home, config: &Config, block: Block, lasting: Duration) -> anyhow::Result<()> {
    anyhow::ensure!(
        !block.address().is_loopback(),
        "this machine itself cannot be banned"
    );
    let since_unix_ms = unix_ms();
    let lasting_ms = u64::try_from(lasting.as_millis()).context("too long")?;
    let ban = Ban {
        block,
        why: BanReason::Owner,
        since_unix_ms,
        until_unix_ms: since_unix_ms.saturating_add(lasting_ms),
        times: 1,
    };
    open_store(home, config)?.keep([&Lasting::Ban(ban)])?;
    print(&format!(
        "{block} is not heard until {}.\n",
        local_time(ban.until_unix_ms)
    ))
}

pub fn remove(home: &Home, config: &Config, block: Block) -> anyhow::Result<()> {
    let mut store = open_store(home, config)?;
    let is_there = store.bans()?.iter().any(|ban| ban.block == block);
    anyhow::ensure!(
        is_there,
        "{block} is not banned; `offhook bans` lists who is"
    );
    store.keep([&Lasting::BanOver(block)])?;
    print(&format!("{block} is heard again.\n"))
}

/// `90s`, `30m`, `12h`, `7d`.
pub fn lasting(text: &str) -> Result<Duration, String> {
    let wrong = || format!("{text:?} is no time such as 30m, 12h or 7d");
    let (number, seconds) = match text.char_indices().next_back() {
        Some((at, 's')) => (&text[..at], 1),
        Some((at, 'm')) => (&text[..at], 60),
        Some((at, 'h')) => (&text[..at], 3_600),
        Some((at, 'd')) => (&text[..at], 24 * 3_600),
        _ => return Err(wrong()),
    };
    match number.parse::<u32>() {
        Ok(number @ 1..) => Ok(Duration::from_secs(u64::from(number) * seconds)),
        _ => Err(wrong()),
    }
}

#[cfg(test)]
mod tests {
    use super::lasting;

    #[test]
    fn times() {
        let rows = [
            ("90s", Some(90)),
            ("30m", Some(1_800)),
            ("12h", Some(43_200)),
            ("7d", Some(604_800)),
            ("0h", None),
            ("7", None),
            ("d", None),
            ("", None),
            ("-1h", None),
            ("1w", None),
        ];
        for (text, seconds) in rows {
            assert_eq!(
                lasting(text).ok().map(|time| time.as_secs()),
                seconds,
                "{text}"
            );
        }
    }
}
