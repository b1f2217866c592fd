//! The books of what goes to the cloud: who is asked before a question leaves, and told when it has ended. Owns the page
//! that is open meanwhile, which is closed whatever happens. Where the books are kept is their keeper's affair.
//!
//! Nothing here holds a word of a question or of an answer.

use std::sync::Arc;

use super::choice::{CloudWhy, Outcome};
use crate::budget::{HoldId, Reached, tokens_of};
use crate::gateways::{Asker, GatewayEvent, Usage};

/// That a caller's question may go to the cloud, and for what reason. Whoever asks there writes it down with this.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CloudLeave {
    /// The agent's name in the books.
    pub agent: String,
    pub asker: Asker,
    pub why: CloudWhy,
}

/// A question that is about to leave for the cloud.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CloudAsk {
    pub agent: String,
    pub asker: Asker,
    pub model: String,
    /// Scheme, host and port.
    pub address: String,
    pub why: CloudWhy,
    /// Before the caller's turn was over.
    pub is_guess: bool,
    /// What it may take.
    pub guess: Usage,
}

/// How it ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CloudEnd {
    pub usage: Usage,
    /// The gateway did not say: counted by letters.
    pub is_guessed: bool,
    /// `answered`, `called off`, or the error's own words.
    pub how: String,
}

/// Keeps the books. Both are called from tasks of the runtime and must not wait.
pub trait Books: Send + Sync {
    /// Before anything leaves. An error keeps it here.
    fn open(&self, ask: &CloudAsk) -> Result<HoldId, Reached>;

    /// Exactly once for each that was let go.
    fn close(&self, hold: HoldId, ask: &CloudAsk, end: &CloudEnd);
}

/// One question on its way.
pub(crate) struct OpenPage {
    books: Arc<dyn Books>,
    ask: CloudAsk,
    hold: HoldId,
    usage: Option<Usage>,
    answer_chars: usize,
    how: String,
}

impl OpenPage {
    pub(crate) fn open(books: Arc<dyn Books>, ask: CloudAsk) -> Result<OpenPage, Reached> {
        let hold = books.open(&ask)?;
        Ok(OpenPage {
            books,
            ask,
            hold,
            usage: None,
            answer_chars: 0,
            how: "called off".to_owned(),
        })
    }

    pub(super) fn saw(&mut self, event: &GatewayEvent) {
        match event {
            GatewayEvent::Text(text) => self.answer_chars += text.len(),
            GatewayEvent::ToolCall(call) => {
                self.answer_chars += call.name.len() + call.arguments.to_string().len();
            }
            GatewayEvent::Done { usage } => self.usage = *usage,
            GatewayEvent::Progress(_) | GatewayEvent::Failed(_) => {}
        }
    }

    /// What an answer that was not read took, as far as it is known.
    pub(crate) fn counted(&mut self, usage: Option<Usage>, answer_chars: usize) {
        self.usage = usage;
        self.answer_chars = answer_chars;
    }

    pub(crate) fn close(mut self, outcome: Outcome<'_>) {
        self.how = match outcome {
            Outcome::Answered => "answered".to_owned(),
            Outcome::Failed(error) => error.to_string(),
            Outcome::Unwanted => "called off".to_owned(),
        };
    }
}

impl Drop for OpenPage {
    fn drop(&mut self) {
        // What was sent is taken for paid, also where nothing came back.
        let guessed = Usage {
            prompt_tokens: self.ask.guess.prompt_tokens,
            completion_tokens: tokens_of(self.answer_chars),
        };
        let end = CloudEnd {
            usage: self.usage.unwrap_or(guessed),
            is_guessed: self.usage.is_none(),
            how: std::mem::take(&mut self.how),
        };
        self.books.close(self.hold, &self.ask, &end);
    }
}
