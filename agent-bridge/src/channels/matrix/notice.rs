//! PURE. What the owner should read about this channel in the log: one value per kind of line, without anybody's words.

use std::fmt;

/// Something that happened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Notice {
    LoggedIn {
        user: String,
    },
    /// Said once, and again only after `Back`.
    Away {
        why: String,
    },
    Back,
    /// The token, or the password, is not accepted.
    Refused {
        why: String,
    },
    /// `more` were refused since the last line and got none.
    InviteRefused {
        from: String,
        more: u32,
    },
    Joined {
        from: String,
    },
    NotJoined {
        from: String,
        why: String,
    },
    Paired {
        from: String,
    },
    /// A room that we cannot read.
    Encrypted {
        room: String,
    },
    /// Older messages than these could not be had.
    Lost {
        room: String,
        why: String,
    },
    /// The sync token is no good: what came in the meantime is lost.
    Afresh,
    /// What was received cannot be noted down.
    NotKept,
}

impl Notice {
    /// Whether an owner should look at it.
    pub fn is_warning(&self) -> bool {
        !matches!(
            self,
            Notice::LoggedIn { .. }
                | Notice::Back
                | Notice::Joined { .. }
                | Notice::InviteRefused { .. }
                | Notice::Paired { .. }
        )
    }
}

impl fmt::Display for Notice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Notice::LoggedIn { user } => write!(f, "Matrix: logged in as {user}"),
            Notice::Away { why } => write!(f, "Matrix: {why}; trying again"),
            Notice::Back => f.write_str("Matrix: the homeserver answers again"),
            Notice::Refused { why } => write!(f, "Matrix: {why}"),
            Notice::InviteRefused { from, more: 0 } => {
                write!(
                    f,
                    "Matrix: invitation of {from} refused: not in `identities` of [[users]] and not linked"
                )
            }
            Notice::InviteRefused { from, more } => {
                write!(
                    f,
                    "Matrix: invitation of {from} refused, and {more} others: not in `identities` of [[users]] and not linked"
                )
            }
            Notice::Joined { from } => write!(f, "Matrix: joined a room of {from}"),
            Notice::NotJoined { from, why } => {
                write!(
                    f,
                    "Matrix: could not join the room of {from}: {why}; invite again"
                )
            }
            Notice::Paired { from } => {
                write!(f, "Matrix: {from} was given a code to be linked with")
            }
            Notice::Encrypted { room } => {
                write!(
                    f,
                    "Matrix: {room} is encrypted, which is not supported: nothing is read or sent there"
                )
            }
            Notice::Lost { room, why } => write!(f, "Matrix: messages of {room} are lost: {why}"),
            Notice::Afresh => f.write_str(
                "Matrix: the homeserver has forgotten where we were; messages since then are lost",
            ),
            Notice::NotKept => f.write_str("Matrix: the store takes nothing just now; waiting"),
        }
    }
}
