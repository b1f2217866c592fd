//! Addresses whose connections are closed as soon as they are accepted: what the endpoint has banned, where the tasks that
//! accept connections can see it. Neither TLS nor HTTP is spoken with them. Does not own the bans (see the `sip` crate).

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Mutex, PoisonError};

use sip::{Ban, Block};

/// Blocks that are remembered. When full, those whose ban is over are forgotten; when all of them hold, one more is let in
/// as far as the endpoint, which does not hear it either.
const BLOCKS_MAX: usize = 16_384;

/// Shared by all listeners.
#[derive(Default)]
pub(super) struct Barred(Mutex<HashMap<Block, u64>>);

impl Barred {
    /// Takes this list instead.
    pub(super) fn replace(&self, bans: &[Ban]) {
        let held = bans.iter().take(BLOCKS_MAX);
        let held = held.map(|ban| (ban.block, ban.until_unix_ms)).collect();
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = held;
    }

    /// A new ban, or a longer one.
    pub(super) fn add(&self, now_unix_ms: u64, ban: &Ban) {
        let mut held = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if held.len() >= BLOCKS_MAX {
            held.retain(|_, until_unix_ms| *until_unix_ms > now_unix_ms);
        }
        if held.len() < BLOCKS_MAX || held.contains_key(&ban.block) {
            held.insert(ban.block, ban.until_unix_ms);
        }
    }

    pub(super) fn lift(&self, block: Block) {
        let mut held = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        held.remove(&block);
    }

    /// Whether a connection from there is to be closed.
    pub(super) fn holds(&self, now_unix_ms: u64, address: IpAddr) -> bool {
        let held = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        held.get(&Block::of(address))
            .is_some_and(|until_unix_ms| *until_unix_ms > now_unix_ms)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use sip::BanReason;

    fn ban(address: &str, until_unix_ms: u64) -> Ban {
        Ban {
            block: address.parse().expect("a block"),
            why: BanReason::Guessing,
            since_unix_ms: 0,
            until_unix_ms,
            times: 1,
        }
    }

    #[test]
    fn who_is_barred_and_until_when() {
        let barred = Barred::default();
        let holds = |ms, text: &str| barred.holds(ms, text.parse().expect("an address"));
        barred.add(0, &ban("192.0.2.7", 1_000));
        barred.add(0, &ban("2001:db8::1", 500));
        for (ms, address, expected) in [
            (0, "192.0.2.7", true),
            (0, "::ffff:192.0.2.7", true),
            (0, "192.0.2.8", false),
            (0, "2001:db8::ffff", true),
            (0, "2001:db8:0:1::1", false),
            (499, "2001:db8::1", true),
            (500, "2001:db8::1", false),
            (999, "192.0.2.7", true),
            (1_000, "192.0.2.7", false),
        ] {
            assert_eq!(holds(ms, address), expected, "{ms} {address}");
        }
        barred.lift("192.0.2.7".parse().expect("a block"));
        assert!(!holds(0, "192.0.2.7"));
        barred.replace(&[ban("192.0.2.9", 1)]);
        assert!(holds(0, "192.0.2.9") && !holds(0, "2001:db8::1"));
    }

    #[test]
    fn a_full_list_forgets_what_is_over() {
        let barred = Barred::default();
        for n in 0..BLOCKS_MAX {
            let [.., a, b] = n.to_be_bytes();
            let until_unix_ms = if n == 0 { 10 } else { 1_000 };
            barred.add(0, &ban(&format!("10.0.{a}.{b}"), until_unix_ms));
        }
        barred.add(0, &ban("192.0.2.1", 1_000));
        assert!(!barred.holds(0, "192.0.2.1".parse().expect("an address")));
        barred.add(10, &ban("192.0.2.1", 1_000));
        assert!(barred.holds(10, "192.0.2.1".parse().expect("an address")));
    }
}
