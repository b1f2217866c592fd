//! PURE.
//! Limits on strangers: a token bucket per source address, and lock-outs for those who guess passwords. Time is handed in.
//! Does not own what a refusal looks like (see `endpoint`) or whether an answer was right (see `auth`).

use std::collections::{BTreeSet, HashMap};
use std::hash::{DefaultHasher, Hash, Hasher as _};
use std::net::IpAddr;
use std::time::{Duration, Instant};

use crate::bans::Block;
use crate::endpoint::{AuthConfig, GuardConfig};

/// A map that forgets the entry longest untouched when it is full.
#[derive(Debug)]
struct Remembered<K, V> {
    entries: HashMap<K, (Instant, V)>,
    by_age: BTreeSet<(Instant, K)>,
    entries_max: usize,
}

impl<K: Clone + Ord + Hash, V> Remembered<K, V> {
    fn new(entries_max: usize) -> Remembered<K, V> {
        Remembered {
            entries: HashMap::new(),
            by_age: BTreeSet::new(),
            entries_max: entries_max.max(1),
        }
    }

    fn get(&self, key: &K) -> Option<&V> {
        self.entries.get(key).map(|(_, value)| value)
    }

    fn get_mut(&mut self, key: &K) -> Option<&mut V> {
        self.entries.get_mut(key).map(|(_, value)| value)
    }

    /// The entry, made by `fresh` if it is new, touched now.
    fn touch(&mut self, now: Instant, key: &K, fresh: impl FnOnce() -> V) -> &mut V {
        if let Some((at, _)) = self.entries.get(key) {
            self.by_age.remove(&(*at, key.clone()));
        } else if self.entries.len() >= self.entries_max
            && let Some((_, oldest)) = self.by_age.pop_first()
        {
            self.entries.remove(&oldest);
        }
        self.by_age.insert((now, key.clone()));
        let entry = self
            .entries
            .entry(key.clone())
            .or_insert_with(|| (now, fresh()));
        entry.0 = now;
        &mut entry.1
    }

    fn remove(&mut self, key: &K) {
        if let Some((at, _)) = self.entries.remove(key) {
            self.by_age.remove(&(at, key.clone()));
        }
    }
}

/// Thousandths of a token, so that a slow refill loses nothing to rounding.
#[derive(Debug, Clone, Copy)]
struct Bucket {
    milli_tokens: u64,
    filled_at: Instant,
}

/// One bucket per source address; an address out of tokens is neither heard nor answered.
#[derive(Debug)]
pub(crate) struct Guard {
    config: GuardConfig,
    sources: Remembered<Block, Bucket>,
}

impl Guard {
    pub(crate) fn new(config: GuardConfig) -> Guard {
        let sources = Remembered::new(config.sources_max);
        Guard { config, sources }
    }

    /// Takes `cost` tokens from the source's bucket; false when it has too few, and then takes none.
    pub(crate) fn admit(&mut self, now: Instant, source: IpAddr, cost: u32) -> bool {
        let (tokens_per_s, full) = (self.config.tokens_per_s, self.full());
        let bucket = self.sources.touch(now, &Block::of(source), || Bucket {
            milli_tokens: full,
            filled_at: now,
        });
        let elapsed_ms = u64::try_from(now.saturating_duration_since(bucket.filled_at).as_millis())
            .unwrap_or(u64::MAX);
        bucket.milli_tokens = bucket
            .milli_tokens
            .saturating_add(elapsed_ms.saturating_mul(u64::from(tokens_per_s)))
            .min(full);
        bucket.filled_at = now;
        let cost = u64::from(cost) * 1000;
        let enough = bucket.milli_tokens >= cost;
        if enough {
            bucket.milli_tokens -= cost;
        }
        enough
    }

    fn full(&self) -> u64 {
        u64::from(self.config.tokens_max) * 1000
    }

    /// Takes up to so many tokens more: what it sent was not just one message.
    pub(crate) fn charge(&mut self, now: Instant, source: IpAddr, tokens: u32) {
        let full = self.full();
        let bucket = self.sources.touch(now, &Block::of(source), || Bucket {
            milli_tokens: full,
            filled_at: now,
        });
        let price = u64::from(tokens) * 1000;
        bucket.milli_tokens = bucket.milli_tokens.saturating_sub(price);
    }

    /// Gives tokens back: the source turned out to be somebody we know.
    pub(crate) fn vouch(&mut self, now: Instant, source: IpAddr, tokens: u32) {
        let full = self.full();
        let bucket = self.sources.touch(now, &Block::of(source), || Bucket {
            milli_tokens: full,
            filled_at: now,
        });
        bucket.milli_tokens = (bucket.milli_tokens + u64::from(tokens) * 1000).min(full);
    }
}

/// Wrong answers within the window, and the lock they led to.
#[derive(Debug, Clone, Copy)]
struct Failures {
    since: Instant,
    count: u32,
    locked_until: Option<Instant>,
    /// Hash of the Call-ID of the last wrong answer.
    attempt: Option<u64>,
    /// Tries while the lock holds.
    knocks: u32,
}

/// Who has guessed too often, by address and by user name. Names that do not exist are watched like those that do.
#[derive(Debug)]
pub(crate) struct Lockout {
    per_address_max: u32,
    per_user_max: u32,
    window: Duration,
    lockout: Duration,
    addresses: Remembered<Block, Failures>,
    users: Remembered<String, Failures>,
}

/// A user name longer than this is watched by its beginning.
const WATCHED_NAME_MAX: usize = 64;

impl Lockout {
    pub(crate) fn new(config: &AuthConfig) -> Lockout {
        Lockout {
            per_address_max: config.failures_per_address_max,
            per_user_max: config.failures_per_user_max,
            window: Duration::from_secs(u64::from(config.failure_window_s)),
            lockout: Duration::from_secs(u64::from(config.lockout_s)),
            addresses: Remembered::new(config.watched_max),
            users: Remembered::new(config.watched_max),
        }
    }

    /// Time left of the address's lock.
    pub(crate) fn address_locked(&self, now: Instant, source: IpAddr) -> Option<Duration> {
        remaining(now, self.addresses.get(&Block::of(source)))
    }

    /// Time left of the name's lock.
    pub(crate) fn user_locked(&self, now: Instant, user: &str) -> Option<Duration> {
        remaining(now, self.users.get(&watched_name(user)))
    }

    /// Counts a wrong answer; true if it brought on a lock.
    pub(crate) fn failed(&mut self, now: Instant, source: IpAddr, user: &str) -> bool {
        let fresh = || Failures {
            since: now,
            count: 0,
            locked_until: None,
            attempt: None,
            knocks: 0,
        };
        let (window, lockout) = (self.window, self.lockout);
        let address = self.addresses.touch(now, &Block::of(source), fresh);
        let by_address = count(now, address, self.per_address_max, window, lockout);
        let user = self.users.touch(now, &watched_name(user), fresh);
        let by_user = count(now, user, self.per_user_max, window, lockout);
        by_address || by_user
    }

    /// Wrong answers of this address that count now.
    pub(crate) fn failures_of(&self, source: IpAddr) -> u32 {
        let failures = self.addresses.get(&Block::of(source));
        failures.map_or(0, |failures| failures.count)
    }

    /// A try from a locked address; the how manieth.
    pub(crate) fn knocked(&mut self, source: IpAddr) -> u32 {
        let Some(failures) = self.addresses.get_mut(&Block::of(source)) else {
            return 0;
        };
        failures.knocks = failures.knocks.saturating_add(1);
        failures.knocks
    }

    /// The owner has lifted the ban.
    pub(crate) fn forgive(&mut self, source: IpAddr) {
        self.addresses.remove(&Block::of(source));
    }

    /// After `failed`: whether the wrong answer before this one came from here and had the same Call-ID.
    pub(crate) fn is_repeated(&mut self, source: IpAddr, call_id: &str) -> bool {
        let mut hasher = DefaultHasher::new();
        call_id.hash(&mut hasher);
        let attempt = Some(hasher.finish());
        self.addresses
            .get_mut(&Block::of(source))
            .is_some_and(|failures| std::mem::replace(&mut failures.attempt, attempt) == attempt)
    }

    /// A right answer clears the name's account, and the address's too: a person found the typing error.
    pub(crate) fn succeeded(&mut self, source: IpAddr, user: &str) {
        self.addresses.remove(&Block::of(source));
        self.users.remove(&watched_name(user));
    }
}

fn watched_name(user: &str) -> String {
    user.chars().take(WATCHED_NAME_MAX).collect()
}

fn remaining(now: Instant, failures: Option<&Failures>) -> Option<Duration> {
    failures?
        .locked_until?
        .checked_duration_since(now)
        .filter(|left| !left.is_zero())
}

fn count(
    now: Instant,
    failures: &mut Failures,
    max: u32,
    window: Duration,
    lockout: Duration,
) -> bool {
    let lock_over = failures.locked_until.is_some_and(|until| until <= now);
    if lock_over || now.saturating_duration_since(failures.since) > window {
        *failures = Failures {
            since: now,
            count: 0,
            locked_until: failures.locked_until.filter(|until| *until > now),
            attempt: None,
            knocks: 0,
        };
    }
    failures.count += 1;
    if failures.count > max && failures.locked_until.is_none() {
        failures.locked_until = Some(now + lockout);
        return true;
    }
    false
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(last: u8) -> IpAddr {
        IpAddr::from([192, 0, 2, last])
    }

    /// Rows of (ms, source, expected) against a bucket of 2 that refills 1 per second.
    #[test]
    fn bucket_runs_dry_and_refills() {
        let base = crate::testing::start();
        let mut guard = Guard::new(GuardConfig {
            tokens_per_s: 1,
            tokens_max: 2,
            sources_max: 2,
            ..GuardConfig::default()
        });
        let script = [
            (0, 1, true),
            (0, 1, true),
            (0, 1, false),
            (0, 2, true),
            (999, 1, false),
            (1_000, 1, true),
            (1_001, 1, false),
            (60_000, 1, true),
            (60_000, 1, true),
            (60_000, 1, false),
        ];
        for (ms, source, expected) in script {
            assert_eq!(
                guard.admit(base + Duration::from_millis(ms), address(source), 1),
                expected,
                "at {ms}"
            );
        }
        guard.vouch(base + Duration::from_millis(60_000), address(1), 1);
        assert!(guard.admit(base + Duration::from_millis(60_000), address(1), 1));
    }

    #[test]
    fn forgets_the_source_longest_quiet() {
        let base = crate::testing::start();
        let mut guard = Guard::new(GuardConfig {
            tokens_per_s: 0,
            tokens_max: 1,
            sources_max: 2,
            ..GuardConfig::default()
        });
        for (at, source) in [(0, 1), (1, 2), (2, 3)] {
            assert!(guard.admit(base + Duration::from_secs(at), address(source), 1));
        }
        assert_eq!(guard.sources.entries.len(), 2);
        assert_eq!(guard.sources.by_age.len(), 2);
        // 3 is remembered as empty, 1 was forgotten and starts full.
        assert!(!guard.admit(base + Duration::from_secs(3), address(3), 1));
        assert!(guard.admit(base + Duration::from_secs(3), address(1), 1));
    }

    #[test]
    fn locks_after_too_many_and_opens_again() {
        let base = crate::testing::start();
        let config = AuthConfig {
            failures_per_address_max: 3,
            failures_per_user_max: 2,
            failure_window_s: 60,
            lockout_s: 10,
            ..AuthConfig::default()
        };
        let mut lockout = Lockout::new(&config);
        let at = |s| base + Duration::from_secs(s);
        assert!(!lockout.failed(at(0), address(1), "ann"));
        assert!(!lockout.failed(at(1), address(1), "ann"));
        assert!(
            lockout.failed(at(2), address(1), "ann"),
            "third wrong answer for one name"
        );
        assert!(lockout.user_locked(at(3), "ann").is_some());
        assert!(lockout.address_locked(at(3), address(1)).is_none());
        assert!(
            lockout.failed(at(3), address(1), "bob"),
            "fourth wrong answer from one address"
        );
        assert_eq!(
            lockout.address_locked(at(4), address(1)),
            Some(Duration::from_secs(9))
        );
        assert!(lockout.address_locked(at(13), address(1)).is_none());
        assert!(
            !lockout.failed(at(14), address(1), "bob"),
            "the lock is over and the count starts anew"
        );
        lockout.succeeded(address(1), "ann");
        assert!(lockout.user_locked(at(3), "ann").is_none());
    }

    #[test]
    fn the_second_wrong_answer_of_one_attempt_is_known() {
        let start = crate::testing::start();
        let mut lockout = Lockout::new(&AuthConfig::default());
        let rows = [
            (1, "a", false),
            (1, "a", true),
            (1, "b", false),
            (2, "b", false),
            (1, "a", false),
        ];
        for (source, call_id, expected) in rows {
            lockout.failed(start, address(source), "ann");
            let repeated = lockout.is_repeated(address(source), call_id);
            assert_eq!(repeated, expected, "{source} {call_id}");
        }
    }

    #[test]
    fn old_failures_do_not_count() {
        let base = crate::testing::start();
        let config = AuthConfig {
            failures_per_user_max: 1,
            failure_window_s: 60,
            ..AuthConfig::default()
        };
        let mut lockout = Lockout::new(&config);
        assert!(!lockout.failed(base, address(1), "ann"));
        assert!(!lockout.failed(base + Duration::from_secs(61), address(1), "ann"));
        assert!(lockout.failed(base + Duration::from_secs(62), address(1), "ann"));
    }
}
