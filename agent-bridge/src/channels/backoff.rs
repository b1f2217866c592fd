//! How long a channel waits before it tries again.
//! PURE.

use std::time::Duration;

pub const BACKOFF_MIN: Duration = Duration::from_secs(1);
pub const BACKOFF_MAX: Duration = Duration::from_secs(60);

/// The wait after this many failures in a row, before chance.
pub fn backoff(failures: u32) -> Duration {
    let doubled = BACKOFF_MIN.saturating_mul(1 << failures.min(10));
    doubled.min(BACKOFF_MAX)
}
