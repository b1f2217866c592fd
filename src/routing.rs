//! What a dialled number means: the assistant and its tests, a user's phones, a group, something behind a trunk, or a
//! refusal with its reason. Owns the precedence of names and the rules of what may be dialled outside; not the dialog
//! (the `sip` crate), not what happens when nobody answers (`bridge`), not how often somebody has dialled (`bridge::meter`).
//! RFC 3966 section 5.1.1.
//! PURE.

use crate::config::{
    Answerer, Config, Group, Numbers, Outbound, RingOrder, Trunk, UserEntry, Voicemail,
};

/// Longest number that is looked at; a longer one is nobody's.
const DIALLED_MAX: usize = 64;
/// What people dial in need. Sent on only where the owner has allowed exactly this number: a line that can't reach help,
/// or can't say where the caller is, must not pretend to.
const EMERGENCY: [&str; 12] = [
    "110", "112", "113", "115", "117", "118", "119", "911", "999", "000", "933", "988",
];

/// Finds what answers `target`, the decoded user part of the Request-URI (RFC 3261 section 19.1.1), among the numbers of
/// the assistant.
///
/// Visual separators that phones leave in dialled numbers ("1-0 0") do not count.
pub fn route(numbers: &Numbers, target: &str) -> Option<Answerer> {
    let wanted = canonical(target);
    numbers
        .0
        .iter()
        .find(|entry| {
            std::iter::once(&entry.number)
                .chain(&entry.aliases)
                .any(|name| canonical(name) == wanted)
        })
        .map(|entry| entry.to)
}

/// What a number leads to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Destination {
    Service(Answerer),
    /// An account, by its name.
    User(String),
    /// Place in the configured groups.
    Group(usize),
    Trunk(Outside),
}

/// A call over a trunk.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Outside {
    /// Place in the configured trunks.
    pub trunk: usize,
    /// User part of the address that is called there.
    pub number: String,
    /// Whether it costs, so that the limits of `[outbound]` hold. What a trunk's own table names does not.
    pub is_metered: bool,
}

/// Why a number leads nowhere.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    #[error("nobody has this number")]
    Nobody,
    #[error("this user may not call outside (`outbound` in [[users]])")]
    NotThisUser,
    #[error("no pattern of `allowed` in [outbound] fits this number")]
    NotAllowed,
    #[error("this number fits a pattern of `refused` in [outbound]: such numbers cost extra")]
    Costly,
    #[error(
        "emergency numbers are not supported: dial them with another telephone (or allow exactly this number in [outbound])"
    )]
    Emergency,
}

impl Refused {
    /// The status that says so. RFC 3261 section 21.4.
    pub fn status(&self) -> u16 {
        match self {
            Refused::Nobody => 404,
            Refused::NotThisUser | Refused::NotAllowed | Refused::Costly | Refused::Emergency => {
                403
            }
        }
    }
}

/// All numbers there are.
#[derive(Debug, Clone, Default)]
pub struct DialPlan {
    numbers: Numbers,
    users: Vec<UserEntry>,
    groups: Vec<Group>,
    trunks: Vec<Trunk>,
    outbound: Outbound,
    voicemail: Voicemail,
    /// Accounts that exist, with or without a table of their own.
    accounts: Vec<String>,
}

impl DialPlan {
    pub fn new(config: &Config) -> DialPlan {
        DialPlan {
            numbers: config.numbers.clone(),
            users: config.users.clone(),
            groups: config.groups.clone(),
            trunks: config.trunks.clone(),
            outbound: config.outbound.clone(),
            voicemail: config.voicemail.clone(),
            accounts: Vec::new(),
        }
    }

    /// The accounts whose names can be dialled.
    pub fn set_accounts(&mut self, accounts: Vec<String>) {
        self.accounts = accounts;
    }

    /// What `dialled` leads to inside this machine: never over a trunk. This is what calls from outside may reach.
    ///
    /// The assistant's numbers come first, then extensions, groups, and names of accounts.
    pub fn inside(&self, dialled: &str) -> Result<Destination, Refused> {
        if dialled.len() > DIALLED_MAX {
            return Err(Refused::Nobody);
        }
        if let Some(service) = route(&self.numbers, dialled) {
            return Ok(Destination::Service(service));
        }
        let wanted = canonical(dialled);
        let is_it = |name: &String| canonical(name) == wanted;
        if let Some(user) = self
            .users
            .iter()
            .find(|user| user.extensions.iter().any(is_it))
        {
            return match self.account(&user.name) {
                Some(account) => Ok(Destination::User(account.to_owned())),
                None => Err(Refused::Nobody),
            };
        }
        let of_group = |group: &Group| is_it(&group.number) || group.aliases.iter().any(is_it);
        if let Some(at) = self.groups.iter().position(of_group) {
            return Ok(Destination::Group(at));
        }
        match self.account(dialled) {
            Some(account) => Ok(Destination::User(account.to_owned())),
            None => Err(Refused::Nobody),
        }
    }

    /// What `dialled` leads to for an account, over a trunk as well. `payer` is who is charged: the caller, or whoever
    /// forwards or transfers; without one nothing outside is reached.
    pub fn find(&self, dialled: &str, payer: Option<&str>) -> Result<Destination, Refused> {
        let nobody = match self.inside(dialled) {
            Err(nobody) => nobody,
            found => return found,
        };
        let Some(payer) = payer.filter(|_| dialled.len() <= DIALLED_MAX) else {
            return Err(nobody);
        };
        let number = canonical(dialled);
        for (trunk, one) in self.trunks.iter().enumerate() {
            let named = one
                .numbers
                .iter()
                .find(|row| canonical(&row.number) == number);
            if let Some(row) = named {
                let number = row.dial.clone();
                let is_metered = false;
                return Ok(Destination::Trunk(Outside {
                    trunk,
                    number,
                    is_metered,
                }));
            }
        }
        let is_number = !number.is_empty()
            && number
                .chars()
                .all(|c| c.is_ascii_digit() || matches!(c, '+' | '*' | '#'));
        // The longest prefix that fits, so that one trunk can have some countries and another the rest.
        let fitting = self.trunks.iter().enumerate().filter_map(|(at, trunk)| {
            let prefix = trunk.prefix.as_deref()?;
            Some((at, trunk, number.strip_prefix(prefix)?, prefix.len()))
        });
        let longest = fitting.max_by_key(|(at, _, _, length)| (*length, std::cmp::Reverse(*at)));
        let Some((at, trunk, rest, _)) = longest.filter(|_| is_number) else {
            return Err(match self.is_emergency(&number) {
                true => Refused::Emergency,
                false => nobody,
            });
        };
        let rest = if trunk.strip_prefix { rest } else { &number };
        let number = format!("{}{rest}", trunk.add);
        self.may_go_out(&number, dialled, payer)?;
        Ok(Destination::Trunk(Outside {
            trunk: at,
            number,
            is_metered: true,
        }))
    }

    fn may_go_out(&self, number: &str, dialled: &str, payer: &str) -> Result<(), Refused> {
        if !self.user(payer).outbound {
            return Err(Refused::NotThisUser);
        }
        let is_exact = self
            .outbound
            .allowed
            .iter()
            .any(|pattern| pattern == number);
        let is_emergency = self.is_emergency(number) || self.is_emergency(&canonical(dialled));
        if is_emergency && !is_exact {
            return Err(Refused::Emergency);
        }
        let any = |patterns: &[String]| patterns.iter().any(|pattern| fits(pattern, number));
        if any(&self.outbound.refused) && !is_exact {
            return Err(Refused::Costly);
        }
        if !any(&self.outbound.allowed) {
            return Err(Refused::NotAllowed);
        }
        Ok(())
    }

    fn is_emergency(&self, number: &str) -> bool {
        let bare = number.trim_start_matches('+');
        EMERGENCY.contains(&bare)
    }

    /// What a number called from outside leads to: the first rule of the trunk that fits; without one, a number of ours
    /// that the trunk names. Never outside again.
    pub fn from_trunk(&self, trunk: usize, called: &str) -> Result<Destination, Refused> {
        let Some(trunk) = self.trunks.get(trunk) else {
            return Err(Refused::Nobody);
        };
        let called = canonical(called);
        let rule = trunk
            .inbound
            .iter()
            .find(|rule| fits(&rule.number, &called));
        rule.map_or(Err(Refused::Nobody), |rule| self.inside(&rule.to))
    }

    /// The account's name as it was made, whatever the case it was dialled in.
    fn account(&self, name: &str) -> Option<&str> {
        let found = self
            .accounts
            .iter()
            .find(|known| known.eq_ignore_ascii_case(name));
        found.map(String::as_str)
    }

    pub fn accounts(&self) -> &[String] {
        &self.accounts
    }

    pub fn has_account(&self, name: &str) -> bool {
        self.account(name).is_some()
    }

    /// The rules of an account; those of one without a table are the defaults.
    pub fn user(&self, name: &str) -> UserEntry {
        let found = self
            .users
            .iter()
            .find(|user| user.name.eq_ignore_ascii_case(name));
        found.cloned().unwrap_or_else(|| UserEntry {
            name: name.to_owned(),
            ..UserEntry::default()
        })
    }

    /// What a user is called by, and the number that reaches them back.
    pub fn shown(&self, name: &str) -> (String, String) {
        let user = self.user(name);
        let shown = match user.display_name.is_empty() {
            true => name.to_owned(),
            false => user.display_name,
        };
        let number = user.extensions.into_iter().next();
        (shown, number.unwrap_or_else(|| name.to_owned()))
    }

    /// Whether somebody here is shown under this name, in whatever case.
    pub fn is_called_so(&self, name: &str) -> bool {
        let name = name.to_lowercase();
        let mut users = self.users.iter();
        users.any(|user| !name.is_empty() && user.display_name.trim().to_lowercase() == name)
    }

    /// The numbers of the assistant.
    pub fn numbers(&self) -> &Numbers {
        &self.numbers
    }

    pub fn group(&self, at: usize) -> Option<&Group> {
        self.groups.get(at)
    }

    /// The accounts of a group, each once, in order. Members that are no users are left out.
    pub fn members(&self, group: &Group) -> Vec<String> {
        let mut members: Vec<String> = Vec::new();
        for member in &group.members {
            if let Ok(Destination::User(user)) = self.inside(member)
                && !members.contains(&user)
            {
                members.push(user);
            }
        }
        members
    }

    pub fn trunk(&self, at: usize) -> Option<&Trunk> {
        self.trunks.get(at)
    }

    pub fn trunk_named(&self, name: &str) -> Option<usize> {
        self.trunks.iter().position(|trunk| trunk.name == name)
    }

    pub fn trunks(&self) -> &[Trunk] {
        &self.trunks
    }

    pub fn outbound(&self) -> &Outbound {
        &self.outbound
    }

    pub fn voicemail(&self) -> &Voicemail {
        &self.voicemail
    }

    /// Whether a message may be taken for a user.
    pub fn takes_messages(&self, user: &str) -> bool {
        self.voicemail.enabled && self.user(user).voicemail
    }

    pub fn rings_in_turn(&self, group: &Group) -> bool {
        group.ring == RingOrder::OneByOne
    }
}

/// Whether `number` is one that `pattern` means: the same characters, `?` for any one, `*` at the end for any more.
pub fn fits(pattern: &str, number: &str) -> bool {
    let (body, is_open) = match pattern.strip_suffix('*') {
        Some(body) => (body, true),
        None => (pattern, false),
    };
    let mut rest = number.chars();
    for wanted in body.chars() {
        match rest.next() {
            Some(found) if wanted == '?' || wanted.eq_ignore_ascii_case(&found) => {}
            _ => return false,
        }
    }
    is_open || rest.next().is_none()
}

/// Lower case; for numbers also without visual separators (RFC 3966 section 5.1.1).
pub fn canonical(dial: &str) -> String {
    let is_separator = |c: char| matches!(c, '-' | '.' | ' ' | '(' | ')' | '/');
    let digits_only = dial
        .chars()
        .all(|c| c.is_ascii_digit() || is_separator(c) || matches!(c, '*' | '#' | '+'));
    dial.chars()
        .filter(|c| !(digits_only && is_separator(*c)))
        .flat_map(char::to_lowercase)
        .collect()
}

#[cfg(test)]
#[path = "routing_tests.rs"]
mod tests;
