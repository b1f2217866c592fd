//! Where log lines go and how they look. Lines go to standard error: compact for people, or one JSON
//! object each.
//!
//! Not here: what may stand in them (`redact`).

use tracing_subscriber::EnvFilter;

/// A `[log] level` that means something, or none.
pub fn level(text: &str) -> Option<String> {
    EnvFilter::try_new(text).ok().map(|_| text.to_owned())
}
