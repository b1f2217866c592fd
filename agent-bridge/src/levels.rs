//! Who may do what. Owns every decision about a caller's level in one place: agents, tools, approvals, PINs, stopping
//! and lifting. Owns no password and no count: it is told what is known, and says what follows.
//!
//! An account has a level that the owner gave it. A call from a trunk is a guest's, whatever number it shows: a caller
//! id proves nothing. A PIN raises an account's level until the end of the call.
//! PURE.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// What a caller is to the owner, the least first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Level {
    /// Leaves a message.
    Guest,
    /// Talks to the assistant; nothing risky without a PIN.
    Family,
    Owner,
}

impl Level {
    pub const ALL: [Level; 3] = [Level::Guest, Level::Family, Level::Owner];

    pub fn as_str(self) -> &'static str {
        match self {
            Level::Guest => "guest",
            Level::Family => "family",
            Level::Owner => "owner",
        }
    }
}

impl fmt::Display for Level {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for Level {
    type Err = ();

    fn from_str(text: &str) -> Result<Level, ()> {
        Level::ALL
            .into_iter()
            .find(|level| level.as_str() == text)
            .ok_or(())
    }
}

/// How a call came to us.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Origin {
    /// A phone that logged in with an account's password.
    Account,
    /// A trunk: whoever calls there.
    Trunk,
}

/// All that is known of a caller.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Caller {
    pub origin: Origin,
    /// What the account was given. Not looked at for calls from a trunk.
    pub level: Level,
    /// What a PIN has made of it in this call.
    pub raised: Option<Level>,
    /// What the account's PIN raises to; `None`: it has none.
    pub pin: Option<Level>,
    /// No more PINs are taken: too many were wrong.
    pub is_locked: bool,
}

impl Caller {
    /// An account without a PIN.
    pub fn account(level: Level) -> Caller {
        Caller {
            origin: Origin::Account,
            level,
            raised: None,
            pin: None,
            is_locked: false,
        }
    }

    pub fn trunk() -> Caller {
        Caller {
            origin: Origin::Trunk,
            ..Caller::account(Level::Guest)
        }
    }

    /// The level in force. A PIN never lowers it.
    pub fn level(&self) -> Level {
        match self.origin {
            Origin::Trunk => Level::Guest,
            Origin::Account => self.level.max(self.raised.unwrap_or(Level::Guest)),
        }
    }

    /// What a PIN could still make of it.
    fn reach(&self) -> Level {
        let is_possible = self.origin == Origin::Account && !self.is_locked;
        let pin = self.pin.filter(|_| is_possible);
        self.level().max(pin.unwrap_or(Level::Guest))
    }
}

/// What the owner has ruled, besides what each agent and tool says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rules {
    /// The least level that may allow a risky action.
    pub approvals: Level,
    /// Approvals are frozen: somebody said stop.
    pub is_frozen: bool,
}

/// What a caller would like to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wish<'a> {
    /// Talk to an agent that these levels may talk to.
    Agent(&'a [Level]),
    /// Have a tool used that needs this level.
    Tool(Level),
    /// Allow a risky action. Refusing one needs no right.
    Approve,
    /// End what is under way in their own calls. Nobody is kept from it.
    Stop,
    /// Refuse all approvals from now on.
    Freeze,
    /// Allow approvals again.
    Lift,
    /// Enter a PIN.
    Pin,
}

/// What follows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Verdict {
    Yes,
    /// Once the PIN has been given.
    AfterPin,
    /// They may leave a message instead.
    Message,
    No(Why),
}

/// Why something is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, thiserror::Error)]
pub enum Why {
    #[error("this caller's level does not allow it")]
    Level,
    #[error("approvals are stopped until the owner lifts it")]
    Frozen,
    #[error("this account has no PIN")]
    NoPin,
    #[error("too many wrong PINs")]
    Locked,
}

/// Decides.
pub fn may(caller: &Caller, rules: &Rules, wish: Wish<'_>) -> Verdict {
    match wish {
        Wish::Agent(levels) if levels.contains(&caller.level()) => Verdict::Yes,
        Wish::Agent(_) if caller.level() == Level::Guest => Verdict::Message,
        Wish::Agent(_) => Verdict::No(Why::Level),
        Wish::Tool(needed) => at_least(caller, needed),
        Wish::Approve if rules.is_frozen => Verdict::No(Why::Frozen),
        // Below family nobody allows anything, whatever the rules say.
        Wish::Approve => at_least(caller, rules.approvals.max(Level::Family)),
        Wish::Stop => Verdict::Yes,
        Wish::Freeze => at_least_now(caller, Level::Family),
        Wish::Lift => match caller.raised {
            // The phone alone is not enough: whoever found it could lift what its owner has stopped.
            Some(Level::Owner) if caller.origin == Origin::Account => Verdict::Yes,
            _ if caller.origin == Origin::Trunk => Verdict::No(Why::Level),
            _ if caller.is_locked => Verdict::No(Why::Locked),
            _ => match caller.pin {
                Some(Level::Owner) => Verdict::AfterPin,
                Some(_) => Verdict::No(Why::Level),
                None => Verdict::No(Why::NoPin),
            },
        },
        Wish::Pin => match (caller.origin, caller.pin) {
            (Origin::Trunk, _) => Verdict::No(Why::Level),
            (_, None) => Verdict::No(Why::NoPin),
            _ if caller.is_locked => Verdict::No(Why::Locked),
            _ => Verdict::Yes,
        },
    }
}

fn at_least_now(caller: &Caller, needed: Level) -> Verdict {
    match caller.level() >= needed {
        true => Verdict::Yes,
        false => Verdict::No(Why::Level),
    }
}

fn at_least(caller: &Caller, needed: Level) -> Verdict {
    if caller.level() >= needed {
        Verdict::Yes
    } else if caller.reach() >= needed {
        Verdict::AfterPin
    } else if caller.is_locked && caller.origin == Origin::Account && caller.pin >= Some(needed) {
        Verdict::No(Why::Locked)
    } else {
        Verdict::No(Why::Level)
    }
}

#[cfg(test)]
#[path = "levels_tests.rs"]
mod tests;
