//! Ways in and out for written words and voice notes: what a channel is, what comes in by it, what goes out. Owns the
//! vocabulary that channels and the hub of the program share, and the cutting of long answers (`split`). Who may write,
//! what is answered and what is kept is the hub's affair; each network has a folder of its own here.

use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;
use tokio::sync::{mpsc, oneshot};

pub mod attempts;
pub mod backoff;
pub mod doorstep;
#[doc(hidden)]
pub mod fuzz;
mod handing;
mod kept;
pub mod markdown;
pub mod matrix;
pub mod names;
pub mod questions;
pub mod signal;
pub mod split;
pub mod telegram;

/// Longest text of one message that is taken, in bytes; a channel cuts or refuses what is longer.
pub const TEXT_BYTES_MAX: usize = 32 * 1024;
/// Largest voice note that is taken, in bytes: some twenty minutes of Opus.
pub const VOICE_BYTES_MAX: usize = 8 * 1024 * 1024;
/// Longest id, place or name that is taken, in bytes.
pub const NAME_BYTES_MAX: usize = 512;
/// Messages on their way from channels to the hub; a channel waits when it is full.
pub const INBOX_MAX: usize = 64;

/// Someone at a channel.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Address {
    /// `telegram`, `matrix`, `signal`, `sip`, `web`.
    pub channel: &'static str,
    /// Unique there and for ever: a numeric user id, `@name:server`, an account.
    pub id: String,
}

/// A message that came in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Inbound {
    /// Unique within the channel for ever (update id, event id, Call-ID and CSeq): a second one with it is the same
    /// message.
    pub id: String,
    pub from: Address,
    /// Where the answer goes (chat, room, account); equals `from.id` in a private chat.
    pub place: String,
    /// As the sender calls themselves. Proves nothing.
    pub shown_name: String,
    /// The number or name of the agent that is meant; empty: that of `[agent]`.
    pub to: String,
    /// Milliseconds since 1970, as the channel says.
    pub at_unix_ms: u64,
    pub body: Body,
    /// A correction of an earlier message, by its id.
    pub edits: Option<String>,
}

/// What was sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Body {
    Text(String),
    /// A voice note as it came: ogg/opus, webm, m4a, wav. The hub decodes and transcribes it; `mime` is a hint only.
    Voice {
        bytes: Vec<u8>,
        mime: String,
    },
    /// A button of ours was pressed; `data` as we gave it.
    Button {
        data: String,
    },
    /// Something that cannot be used (a picture, a file, too large); words for the sender.
    Unusable {
        why: String,
    },
}

/// A message on its way out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Outbound {
    /// Names this delivery for ever, at most 64 letters, digits and `-`: a channel that can (Matrix transaction id, SIP
    /// Call-ID) passes it on, so that a repeat is no double.
    pub id: String,
    pub place: String,
    pub body: OutBody,
    /// The other side's id of the message this answers.
    pub reply_to: Option<String>,
    /// An attempt under this id was begun before, maybe in an earlier run: it may have arrived.
    pub is_repeat: bool,
}

/// What is sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum OutBody {
    /// Markdown as agents write it, or plain text, of any length: the channel splits it (`split`).
    Text(String),
    /// Ogg/Opus, and its words: the caption, or the text where the channel has no voice. Empty words were said as text
    /// already: a channel without voice then has nothing to do.
    Voice {
        ogg_opus: Vec<u8>,
        duration_ms: u32,
        words: String,
    },
    /// A question with buttons: (label, data). The text says what to write instead, for channels without buttons.
    Ask {
        text: String,
        buttons: Vec<(String, String)>,
    },
}

/// A question with buttons that is over: decided elsewhere, or not waiting any more.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Withdrawal {
    /// [`Outbound::id`] of the question.
    pub id: String,
    pub place: String,
    /// The other side's id of it, as [`Channel::deliver`] gave it.
    pub theirs: Option<String>,
    /// The question as it was sent.
    pub text: String,
    /// What became of it, for people: "Allowed on the page.".
    pub words: String,
}

/// Why a message did not arrive.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DeliveryError {
    /// Worth another try, not before `retry_after` where that is known.
    #[error("not delivered yet: {why}")]
    Passing {
        why: String,
        retry_after: Option<Duration>,
    },
    /// It will never arrive.
    #[error("cannot be delivered: {why}")]
    Final { why: String },
}

/// A message on its way in. The other side is told that it arrived (offset moved, 200 OK, sync token kept) only after
/// `kept` says so; a sender that is gone means [`NotKept::Busy`].
#[derive(Debug)]
pub struct Arrival {
    pub message: Inbound,
    pub kept: oneshot::Sender<Result<(), NotKept>>,
}

/// Why a message was not kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum NotKept {
    /// The disk or the program is busy or stopping: offer the same message again later.
    #[error("not just now: offer it again")]
    Busy,
    /// This sender writes too much, or the message is too large: it counts as handled, and is gone.
    #[error("too much from this sender")]
    Full,
    /// Nobody we know: it counts as handled; the channel may offer pairing.
    #[error("nobody we know")]
    Stranger,
    /// A button of a question that is over: it counts as handled, nothing follows from it, and the hub has told the person. The
    /// question should not look as if it had been answered by it.
    #[error("the question is over")]
    Over,
}

/// A way in and out.
pub trait Channel: Send + Sync {
    /// As in [`Address::channel`].
    fn name(&self) -> &'static str;

    /// Receives until dropped; connects again and backs off by itself.
    fn run(self: Arc<Self>, inbox: mpsc::Sender<Arrival>) -> BoxFuture<'static, ()>;

    /// Sends one message and returns the other side's id of it, where there is one. One at a time per place, in order.
    fn deliver<'a>(
        &'a self,
        message: &'a Outbound,
    ) -> BoxFuture<'a, Result<Option<String>, DeliveryError>>;

    /// An answer is being made for this place, or is not any more. Said once each; a channel whose sign fades repeats
    /// it by itself until told otherwise.
    fn typing<'a>(&'a self, _place: &'a str, _is_on: bool) -> BoxFuture<'a, ()> {
        async {}.boxed()
    }

    /// A question that was delivered is over: it shows what became of it, and its buttons go, where the channel can do
    /// that. One that was answered by its own button shows that already. Said once, and not tried again by the hub.
    fn withdraw<'a>(&'a self, _question: &'a Withdrawal) -> BoxFuture<'a, ()> {
        async {}.boxed()
    }

    /// How it stands, in one line for people.
    fn standing(&self) -> String;
}

/// What a channel remembers over a restart: an offset, a sync token. Keys are the channel's own.
pub trait Memory: Send + Sync {
    fn get<'a>(&'a self, key: &'a str) -> BoxFuture<'a, Option<String>>;

    /// Returns once it is on disk.
    fn put<'a>(&'a self, key: &'a str, value: &'a str) -> BoxFuture<'a, Result<(), MemoryError>>;
}

/// Why a channel would not work just now, for people. Never holds a token.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{why}")]
pub struct CheckError {
    pub why: String,
}

impl CheckError {
    fn new(why: impl ToString) -> CheckError {
        CheckError {
            why: why.to_string(),
        }
    }
}

/// The disk takes nothing just now.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not kept: the disk takes nothing just now")]
pub struct MemoryError;

impl From<MemoryError> for DeliveryError {
    fn from(error: MemoryError) -> DeliveryError {
        DeliveryError::Passing {
            why: error.to_string(),
            retry_after: None,
        }
    }
}
