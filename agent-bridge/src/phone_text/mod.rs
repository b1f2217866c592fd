//! Text on its way between an agent and the telephone: the instructions it gets, and the tidying of what
//! it answers.
//! PURE.

mod prompt;
mod tidy;

pub use prompt::{PromptFacts, system_prompt};
pub use tidy::Tidy;
