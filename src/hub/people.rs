//! PURE. Who somebody at a channel is: accounts are known by nature where they had to log in, everybody else by a link that
//! the owner approved or wrote into the configuration. Owns codes for strangers, how much one sender may send, and which
//! channel a person is written to.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use super::boundary::{Identity, UnixMs};
use crate::store::PairingRow;

/// Channels whose senders have logged in with an account's password, or as one.
const BY_NATURE: [&str; 2] = ["sip", "web"];
/// Channels where a person is written to by their own id: a message of theirs may come from a group, and what is theirs
/// alone does not belong there. A user's id is the chat with them (Telegram) or leads to it (Matrix).
const PLACE_IS_ID: [&str; 2] = ["telegram", "matrix"];
/// How long a code holds.
pub const CODE_MS: u64 = 60 * 60 * 1_000;
/// Codes that hold at once; further strangers get none.
const CODES_MAX: usize = 16;
/// A line in the log about strangers of one channel, at most this often.
const STRANGER_EVERY_MS: u64 = 60 * 1_000;
/// Senders whose budget is remembered; with more the fullest budgets are forgotten.
const BUDGETS_MAX: usize = 4_096;
/// Letters and digits that are not taken for others; 32 of them.
const ALPHABET: &[u8; 32] = b"ABCDEFGHJKLMNPQRSTUVWXYZ23456789";
pub const CODE_CHARS: usize = 8;

#[derive(Debug, Clone)]
pub struct PeopleConfig {
    /// Messages that one sender may send within a minute, and at once.
    pub messages_per_minute: u32,
    /// The channel that a person has chosen, by account.
    pub chosen: HashMap<String, String>,
    /// (channel, id, account), as configured.
    pub configured: Vec<(String, String, String)>,
}

#[derive(Debug)]
struct Budget {
    left: f64,
    since: UnixMs,
}

#[derive(Debug)]
pub struct People {
    config: PeopleConfig,
    accounts: BTreeSet<String>,
    linked: BTreeMap<(String, String), Identity>,
    pairings: Vec<PairingRow>,
    budgets: HashMap<(String, String), Budget>,
    /// When strangers of a channel were last spoken of.
    told: HashMap<String, UnixMs>,
    /// Uses of channels that need no link, by (account, channel): when, and where from.
    natural: BTreeMap<(String, String), (UnixMs, String)>,
}

impl People {
    pub fn new(config: PeopleConfig, accounts: Vec<String>) -> People {
        People {
            config,
            accounts: accounts.into_iter().collect(),
            linked: BTreeMap::new(),
            pairings: Vec::new(),
            budgets: HashMap::new(),
            told: HashMap::new(),
            natural: BTreeMap::new(),
        }
    }

    pub fn set_accounts(&mut self, accounts: Vec<String>) {
        self.accounts = accounts.into_iter().collect();
    }

    pub fn accounts(&self) -> impl Iterator<Item = &String> {
        self.accounts.iter()
    }

    pub fn has(&self, person: &str) -> bool {
        self.accounts.contains(person)
    }

    /// Links and codes as they stand on disk. Those that are new since the last time.
    pub fn set_links(
        &mut self,
        identities: Vec<Identity>,
        pairings: Vec<PairingRow>,
    ) -> Vec<Identity> {
        self.pairings = pairings;
        let before = std::mem::take(&mut self.linked);
        let mut new = Vec::new();
        for mut identity in identities {
            identity.place = own_place(&identity.channel, &identity.id, &identity.place);
            let key = (identity.channel.clone(), identity.id.clone());
            let is_known = before
                .get(&key)
                .is_some_and(|known| known.person == identity.person);
            if !is_known {
                new.push(identity.clone());
            }
            self.linked.insert(key, identity);
        }
        new
    }

    /// The account of whoever this is. `None`: a stranger.
    pub fn person_of(&self, channel: &str, id: &str) -> Option<&str> {
        let found = match BY_NATURE.contains(&channel) {
            true => id,
            false => match self.linked.get(&(channel.to_owned(), id.to_owned())) {
                Some(identity) => identity.person.as_str(),
                None => self.configured(channel, id)?,
            },
        };
        // A link may outlive its account.
        self.accounts.get(found).map(String::as_str)
    }

    fn configured(&self, channel: &str, id: &str) -> Option<&str> {
        let mut all = self.config.configured.iter();
        let found = all.find(|(at, name, _)| at == channel && name == id);
        found.map(|(_, _, person)| person.as_str())
    }

    /// Whether one more message of this sender is taken. To be asked of those we know only.
    pub fn may_send(&mut self, now: UnixMs, channel: &str, id: &str) -> bool {
        let most = f64::from(self.config.messages_per_minute);
        let full = |budget: &Budget| refilled(budget, now, most) >= most;
        if self.budgets.len() >= BUDGETS_MAX {
            self.budgets.retain(|_, budget| !full(budget));
        }
        let key = (channel.to_owned(), id.to_owned());
        if self.budgets.len() >= BUDGETS_MAX && !self.budgets.contains_key(&key) {
            return false;
        }
        let budget = self.budgets.entry(key).or_insert(Budget {
            left: most,
            since: now,
        });
        let left = refilled(budget, now, most);
        let is_there = left >= 1.0;
        *budget = Budget {
            left: if is_there { left - 1.0 } else { left },
            since: now,
        };
        is_there
    }

    /// Whether a stranger is worth a line in the log.
    pub fn is_worth_a_line(&mut self, now: UnixMs, channel: &str) -> bool {
        // Names of channels are ours: few.
        let is_due = self
            .told
            .get(channel)
            .is_none_or(|at| at + STRANGER_EVERY_MS <= now);
        if is_due {
            self.told.insert(channel.to_owned(), now);
        }
        is_due
    }

    /// A code for a stranger; what is returned is to be kept. `None`: they have one, are no stranger, or too many others
    /// have one. `random` is used for the code only.
    pub fn code(
        &mut self,
        now: UnixMs,
        (channel, id, place): (&str, &str, &str),
        shown_name: &str,
        random: u64,
    ) -> Option<PairingRow> {
        self.pairings
            .retain(|one| one.asked_unix_ms + CODE_MS > now);
        let has_one = self
            .pairings
            .iter()
            .any(|one| one.channel == channel && one.id == id);
        if has_one || self.pairings.len() >= CODES_MAX || self.person_of(channel, id).is_some() {
            return None;
        }
        let letter = |n: usize| char::from(ALPHABET[(random >> (n * 5)) as usize & 31]);
        let code: String = (0..CODE_CHARS).map(letter).collect();
        if self.pairings.iter().any(|one| one.code == code) {
            return None;
        }
        let shown_name = shown_name
            .chars()
            .filter(|c| !c.is_control())
            .take(64)
            .collect();
        let row = PairingRow {
            code,
            channel: channel.to_owned(),
            id: id.to_owned(),
            place: place.to_owned(),
            shown_name,
            asked_unix_ms: now,
        };
        self.pairings.push(row.clone());
        Some(row)
    }

    /// This person wrote from there. Their place, where it is worth keeping: at most once a minute, or a new one.
    pub fn used(&mut self, now: UnixMs, channel: &str, id: &str, place: &str) -> Option<String> {
        let place = own_place(channel, id, place);
        if BY_NATURE.contains(&channel) {
            let key = (id.to_owned(), channel.to_owned());
            self.natural.insert(key, (now, place));
            return None;
        }
        let Some(identity) = self.linked.get_mut(&(channel.to_owned(), id.to_owned())) else {
            if let Some(person) = self.configured(channel, id) {
                let key = (person.to_owned(), channel.to_owned());
                self.natural.insert(key, (now, place));
            }
            return None;
        };
        let is_news = identity.place != place || identity.used_unix_ms + 60_000 <= now;
        identity.used_unix_ms = now;
        identity.place.clone_from(&place);
        is_news.then_some(place)
    }

    /// Where this person is written to: (channel, place). The channel they chose, else the one they used last, else their
    /// phones. `has`: channels that are there. The page is none: nobody may be looking.
    pub fn reach(&self, person: &str, has: impl Fn(&str) -> bool) -> Option<(String, String)> {
        self.accounts.get(person)?;
        let mut found: Vec<(UnixMs, &str, &str)> = Vec::new();
        for identity in self.linked.values().filter(|one| one.person == person) {
            found.push((identity.used_unix_ms, &identity.channel, &identity.place));
        }
        for (channel, id, _) in self
            .config
            .configured
            .iter()
            .filter(|(_, _, who)| who == person)
        {
            found.push((0, channel, id));
        }
        for ((_, channel), (at, place)) in self
            .natural
            .range((person.to_owned(), String::new())..)
            .take_while(|((who, _), _)| who == person)
        {
            if channel != "web" {
                found.push((*at, channel, place));
            }
        }
        found.push((0, "sip", person));
        found.retain(|(_, channel, _)| has(channel));
        let chosen = self.config.chosen.get(person);
        // The first of equals: what is configured goes before the phone.
        let best = found
            .iter()
            .rev()
            .max_by_key(|(at, channel, _)| (chosen.is_some_and(|chosen| chosen == channel), *at));
        best.map(|(_, channel, place)| ((*channel).to_owned(), (*place).to_owned()))
    }
}

/// Where this person is written to for themselves.
fn own_place(channel: &str, id: &str, place: &str) -> String {
    let is_id = PLACE_IS_ID.contains(&channel);
    if is_id { id } else { place }.to_owned()
}

fn refilled(budget: &Budget, now: UnixMs, most: f64) -> f64 {
    let gained = now.saturating_sub(budget.since) as f64 * most / 60_000.0;
    (budget.left + gained).min(most)
}

/// A code as somebody typed it.
pub fn clean_code(code: &str) -> String {
    let letters = code.chars().filter(char::is_ascii_alphanumeric);
    letters.map(|c| c.to_ascii_uppercase()).take(64).collect()
}

#[cfg(test)]
#[path = "people_tests.rs"]
mod tests;
