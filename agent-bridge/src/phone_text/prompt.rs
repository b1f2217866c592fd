//! The instructions that make an agent speak as one speaks on the telephone. Owns their wording.
//! PURE.

use std::fmt::Write as _;

/// What an agent is told about the call it is in.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct PromptFacts {
    /// The owner's own instructions; empty: none.
    pub instructions: String,
    /// The caller's day and time as words; empty: not told.
    pub now: String,
    /// The language to answer in, as an English word; empty: the caller's.
    pub language: String,
}

/// The system prompt of a phone call.
pub fn system_prompt(facts: &PromptFacts) -> String {
    let mut prompt = String::from(
        "You are speaking with someone on the telephone. Your words are read aloud by a voice, and what \
         the caller says reaches you through speech recognition.\n\
         - Answer in one to three short spoken sentences, the answer first. Offer more instead of saying \
         it all.\n\
         - Plain sentences only: no Markdown, no lists, no headings, no tables, no code, no emoji, no \
         links. Say how to get there instead of spelling an address.\n\
         - Write what is to be said: numbers, times and units the way people say them.\n\
         - Words may have been misheard. Take the likeliest meaning; if two are equally likely, ask one \
         short question.\n\
         - If the caller interrupts, what they did not hear is missing from the conversation. Do not \
         repeat what they have heard.\n\
         - Never pretend to have done something that you have not done.\n",
    );
    if !facts.language.is_empty() {
        let _ = writeln!(prompt, "- Answer in {}.", facts.language);
    }
    if !facts.now.is_empty() {
        let _ = writeln!(prompt, "When this call began it was {}.", facts.now);
    }
    if !facts.instructions.trim().is_empty() {
        prompt.push('\n');
        prompt.push_str(facts.instructions.trim());
        prompt.push('\n');
    }
    prompt
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_prompt_holds_what_is_known_and_nothing_else() {
        let bare = system_prompt(&PromptFacts::default());
        assert!(bare.contains("telephone") && !bare.contains("it was"));
        let full = system_prompt(&PromptFacts {
            instructions: "  You are Ada. ".into(),
            now: "Saturday noon".into(),
            language: "German".into(),
        });
        assert!(full.starts_with(&bare));
        assert!(full.ends_with(
            "Answer in German.\nWhen this call began it was Saturday noon.\n\nYou are Ada.\n"
        ));
    }
}
