//! PURE. `[callbacks]`: when the assistant may call somebody by itself, and whom.

use crate::callbacks::quiet::Quiet;

use super::keys::{dialled, timezone};
use super::phones_keys::{PATTERN, pattern};
use super::reader::Section;

const DAY_S: u64 = 24 * 3600;

/// Who may use the MCP server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum McpDoor {
    /// Nobody: it isn't there.
    Off,
    /// Whoever has the API token, or the `mcp` key of the secret store.
    Token,
    /// Whoever is on this machine.
    Loopback,
}

/// `[callbacks]`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Callbacks {
    /// The account that is meant where a request names nobody, and that pays for calls to numbers outside.
    pub owner: String,
    /// Patterns of numbers outside that may be called, as they are dialled. None, unless given; the rules of `[outbound]`
    /// hold besides.
    pub allowed: Vec<String>,
    /// `22:00-07:00`; empty: none.
    pub quiet_hours: String,
    /// IANA zone of the quiet hours; empty: that of `[agent]`, or the machine's.
    pub timezone: String,
    /// Whether an urgent request rings in quiet hours.
    pub urgent_breaks_quiet: bool,
    /// Calls for one request, unless it says how many.
    pub attempts: u32,
    /// Time to the second call; each later one takes three times as long.
    pub retry_s: u32,
    /// The same where the line was busy.
    pub busy_retry_s: u32,
    /// How long a phone rings.
    pub ring_s: u32,
    /// Silence after the first words before they are asked for; after half of that again, the call ends.
    pub listen_s: u32,
    /// How long a request waits for its call, unless it says until when.
    pub wait_s: u32,
    pub calls_per_user_per_day: u32,
    /// Requests of one user that are not over.
    pub open_per_user_max: u32,
    /// Requests that the API takes within a minute.
    pub requests_per_minute: u32,
    pub mcp: McpDoor,
}

impl Default for Callbacks {
    fn default() -> Callbacks {
        Callbacks {
            owner: String::new(),
            allowed: Vec::new(),
            quiet_hours: "22:00-07:00".to_owned(),
            timezone: String::new(),
            urgent_breaks_quiet: false,
            attempts: 3,
            retry_s: 120,
            busy_retry_s: 60,
            ring_s: 30,
            listen_s: 20,
            wait_s: 24 * 3600,
            calls_per_user_per_day: 20,
            open_per_user_max: 20,
            requests_per_minute: 60,
            mcp: McpDoor::Token,
        }
    }
}

pub(super) const HOURS: &str = "hours such as \"22:00-07:00\", or \"\"";

pub(super) fn callbacks(section: &mut Section<'_, '_>, d: Callbacks) -> Callbacks {
    let doors = [
        ("off", McpDoor::Off),
        ("token", McpDoor::Token),
        ("loopback", McpDoor::Loopback),
    ];
    Callbacks {
        owner: section.parsed(
            "owner",
            d.owner,
            "the name of an account",
            |text| text.is_empty().then(String::new).or_else(|| dialled(text)),
            String::clone,
        ),
        allowed: section.list("allowed", &d.allowed, PATTERN, pattern, String::clone),
        quiet_hours: section.parsed("quiet_hours", d.quiet_hours, HOURS, hours, String::clone),
        timezone: section.parsed(
            "timezone",
            d.timezone,
            "a time zone such as \"Europe/Berlin\"",
            timezone,
            String::clone,
        ),
        urgent_breaks_quiet: section.flag("urgent_breaks_quiet", d.urgent_breaks_quiet),
        attempts: section.integer("attempts", d.attempts, 1..=10),
        retry_s: section.integer("retry_s", d.retry_s, 5..=DAY_S),
        busy_retry_s: section.integer("busy_retry_s", d.busy_retry_s, 5..=DAY_S),
        ring_s: section.integer("ring_s", d.ring_s, 3..=170),
        listen_s: section.integer("listen_s", d.listen_s, 3..=300),
        wait_s: section.integer("wait_s", d.wait_s, 60..=30 * DAY_S),
        calls_per_user_per_day: section.integer(
            "calls_per_user_per_day",
            d.calls_per_user_per_day,
            0..=1_000,
        ),
        open_per_user_max: section.integer("open_per_user_max", d.open_per_user_max, 1..=200),
        requests_per_minute: section.integer(
            "requests_per_minute",
            d.requests_per_minute,
            1..=10_000,
        ),
        mcp: section.choice("mcp", d.mcp, &doors),
    }
}

pub(super) fn hours(text: &str) -> Option<String> {
    Quiet::parse(text).map(|_| text.to_owned())
}
