//! How many connections there may be, in total and from one place, and how often the log says that there were too many.
//! Owns the counting; not the connections.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

/// A line about one kind of trouble comes this often at most.
const SAY_EVERY: Duration = Duration::from_secs(30);

/// Counts connections; shared by all listeners.
pub(super) struct Limits {
    total_max: usize,
    per_place_max: usize,
    counts: Mutex<Counts>,
}

#[derive(Default)]
struct Counts {
    total: usize,
    /// No zeros.
    by_place: HashMap<IpAddr, usize>,
}

/// One connection that counts, until it is dropped.
pub(super) struct Ticket {
    limits: Arc<Limits>,
    place: IpAddr,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Full {
    Everything,
    Place,
}

impl Limits {
    pub(super) fn new(total_max: usize, per_place_max: usize) -> Limits {
        Limits {
            total_max,
            per_place_max,
            counts: Mutex::default(),
        }
    }

    pub(super) fn enter(self: &Arc<Limits>, address: IpAddr) -> Result<Ticket, Full> {
        let place = place(address);
        let mut counts = self.counts.lock().unwrap_or_else(PoisonError::into_inner);
        if counts.total >= self.total_max {
            return Err(Full::Everything);
        }
        let of_place = counts.by_place.get(&place).copied().unwrap_or(0);
        if of_place >= self.per_place_max {
            return Err(Full::Place);
        }
        counts.total += 1;
        counts.by_place.insert(place, of_place + 1);
        Ok(Ticket {
            limits: self.clone(),
            place,
        })
    }
}

impl Drop for Ticket {
    fn drop(&mut self) {
        let counts = self.limits.counts.lock();
        let mut counts = counts.unwrap_or_else(PoisonError::into_inner);
        counts.total -= 1;
        if let Some(count) = counts.by_place.get_mut(&self.place) {
            *count -= 1;
            if *count == 0 {
                counts.by_place.remove(&self.place);
            }
        }
    }
}

/// An IPv4 address, or the /64 that one site has of IPv6: addresses within it cost nothing.
fn place(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(address) if !address.is_loopback() => {
            IpAddr::V6(Ipv6Addr::from_bits(address.to_bits() >> 64 << 64))
        }
        other => other,
    }
}

/// Lets one line through, then none for a while; the next one says how many were held back.
#[derive(Default)]
pub(super) struct Sparing(Mutex<(Option<Instant>, u64)>);

impl Sparing {
    /// How many were left out since the last one; `None`: leave this one out too.
    pub(super) fn due(&self, now: Instant) -> Option<u64> {
        let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let (said_at, held_back) = *state;
        if said_at.is_some_and(|at| now.saturating_duration_since(at) < SAY_EVERY) {
            state.1 += 1;
            return None;
        }
        *state = (Some(now), 0);
        Some(held_back)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn so_many_and_no_more() {
        let limits = Arc::new(Limits::new(4, 2));
        let enter = |text: &str| limits.enter(text.parse().expect("an address"));
        let first = enter("192.0.2.1").ok();
        let second = enter("::ffff:192.0.2.1").ok();
        assert!(first.is_some() && second.is_some());
        assert_eq!(enter("192.0.2.1").err(), Some(Full::Place));
        let six = [enter("2001:db8::1"), enter("2001:db8::ffff:2")];
        assert!(six.iter().all(Result::is_ok));
        assert_eq!(enter("2001:db8::3").err(), Some(Full::Everything));
        drop(first);
        assert_eq!(enter("2001:db8::3").err(), Some(Full::Place));
        let other = enter("2001:db8:0:1::3");
        assert!(other.is_ok());
        drop((second, six, other));
        let counts = limits.counts.lock().expect("nobody panicked");
        assert_eq!((counts.total, counts.by_place.len()), (0, 0));
    }

    #[test]
    fn a_flood_is_one_line() {
        let sparing = Sparing::default();
        let start = Instant::now();
        let at = |ms| sparing.due(start + Duration::from_millis(ms));
        assert_eq!(at(0), Some(0));
        for ms in 1..100 {
            assert_eq!(at(ms), None);
        }
        assert_eq!(at(30_000), Some(99));
        assert_eq!(at(30_001), None);
    }
}
