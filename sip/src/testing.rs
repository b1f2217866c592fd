//! Where tests start counting, and what they count. The only look at a clock in this crate: an `Instant` cannot be made any
//! other way.

use std::cell::Cell;
use std::time::Instant;

std::thread_local! {
    static HASHES: Cell<u64> = const { Cell::new(0) };
}

/// One hash or HMAC is about to be computed.
pub(crate) fn count_hash() {
    HASHES.set(HASHES.get() + 1);
}

/// Hashes and HMACs computed on this thread so far.
pub(crate) fn hashes() -> u64 {
    HASHES.get()
}

#[allow(
    clippy::disallowed_methods,
    reason = "tests count from it and never look again"
)]
pub(crate) fn start() -> Instant {
    Instant::now()
}
