//! Where tests start counting. The only look at a clock in this crate: an `Instant` cannot be made any other way.

use std::time::Instant;

#[allow(
    clippy::disallowed_methods,
    reason = "tests count from it and never look again"
)]
pub(crate) fn start() -> Instant {
    Instant::now()
}
