//! How often a PIN was wrong: in one call, and of one account in one day. Owns the counting; not the hashes (`secrets`).
//! PURE.

use std::collections::HashMap;

/// Accounts whose tries are remembered; more are taken as used up.
const ACCOUNTS_MAX: usize = 10_000;

/// Tries of today, and of the calls that are up.
#[derive(Debug)]
pub struct Tries {
    per_call: u32,
    per_day: u32,
    day: u32,
    of_day: HashMap<String, u32>,
    of_calls: HashMap<u64, u32>,
}

impl Tries {
    pub fn new(per_call: u32, per_day: u32, day: u32, wrong: HashMap<String, u32>) -> Tries {
        Tries {
            per_call,
            per_day,
            day,
            of_day: wrong,
            of_calls: HashMap::new(),
        }
    }

    /// Takes one try, before it is known whether it is right: two calls at once have no more than one. False: there
    /// is none left. `call`: none where it is not given in one.
    pub fn take(&mut self, call: Option<u64>, user: &str, day: u32) -> bool {
        self.turn_day(day);
        let is_known = self.of_day.contains_key(user) || self.of_day.len() < ACCOUNTS_MAX;
        if self.left(call, user) == 0 || !is_known {
            return false;
        }
        if let Some(call) = call {
            *self.of_calls.entry(call).or_default() += 1;
        }
        *self.of_day.entry(user.to_owned()).or_default() += 1;
        true
    }

    /// It was right.
    pub fn give_back(&mut self, call: Option<u64>, user: &str) {
        if let Some(count) = call.and_then(|call| self.of_calls.get_mut(&call)) {
            *count = count.saturating_sub(1);
        }
        if let Some(count) = self.of_day.get_mut(user) {
            *count = count.saturating_sub(1);
        }
    }

    pub fn left(&self, call: Option<u64>, user: &str) -> u32 {
        let of_day = self.of_day.get(user).copied().unwrap_or_default();
        let day_left = self.per_day.saturating_sub(of_day);
        let Some(call) = call else { return day_left };
        let of_call = self.of_calls.get(&call).copied().unwrap_or_default();
        self.per_call.saturating_sub(of_call).min(day_left)
    }

    /// Whether the account has no try left today, in whatever call.
    pub fn is_locked(&self, user: &str) -> bool {
        self.of_day.get(user).copied().unwrap_or_default() >= self.per_day
    }

    pub fn locked(&self) -> impl Iterator<Item = &String> {
        let per_day = self.per_day;
        let locked = self
            .of_day
            .iter()
            .filter(move |(_, count)| **count >= per_day);
        locked.map(|(user, _)| user)
    }

    pub fn call_down(&mut self, call: u64) {
        self.of_calls.remove(&call);
    }

    /// A new day forgets. True: it was one.
    pub fn turn_day(&mut self, day: u32) -> bool {
        let is_new = day != self.day;
        if is_new {
            self.day = day;
            self.of_day.clear();
        }
        is_new
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tries_run_out() {
        let mut tries = Tries::new(3, 5, 1, HashMap::from([("bert".to_owned(), 5)]));
        assert!(!tries.take(Some(1), "bert", 1) && tries.is_locked("bert"));
        let taken: Vec<bool> = (0..4).map(|_| tries.take(Some(1), "ann", 1)).collect();
        assert_eq!(taken, [true, true, true, false]);
        assert!(!tries.is_locked("ann"));
        let taken: Vec<bool> = (0..3).map(|_| tries.take(Some(2), "ann", 1)).collect();
        assert_eq!(taken, [true, true, false]);
        assert!(tries.is_locked("ann"));
        assert_eq!(tries.locked().count(), 2);
        // Hanging up and calling again buys nothing, nor does another way.
        assert!(!tries.take(None, "ann", 1));
        tries.call_down(1);
        assert!(!tries.take(Some(3), "ann", 1));
        assert!(tries.take(Some(3), "ann", 2) && !tries.is_locked("bert"));
    }

    #[test]
    fn a_right_one_costs_nothing() {
        let mut tries = Tries::new(3, 5, 1, HashMap::new());
        for _ in 0..20 {
            assert!(tries.take(Some(1), "ann", 1));
            tries.give_back(Some(1), "ann");
        }
        assert_eq!(tries.left(Some(1), "ann"), 3);
    }
}
