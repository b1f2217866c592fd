//! The figures and the fixed phrases of turn-taking. Each default is stated once, here.
//! PURE.

use serde::{Deserialize, Serialize};

/// Times in milliseconds. Zero means never where the field says so.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct TurnConfig {
    /// Silence after speech that ends the caller's turn, hang-over included.
    pub endpoint_ms: u32,
    /// Silence that has already passed when `Event::SpeechStopped` arrives.
    pub hangover_ms: u32,
    /// Speech that has already passed when `Event::SpeechStarted` arrives.
    pub onset_ms: u32,
    /// Whether the caller may interrupt what is being said.
    pub barge_in: bool,
    /// Speech shorter than this does not take the floor.
    pub barge_in_ms: u32,
    /// Wait for the first text of a reply before a filler; 0: never.
    pub filler_after_ms: u32,
    /// Longest wait for the first text of a reply, and then for more of it.
    pub reply_timeout_ms: u32,
    /// Longest wait for a transcript.
    pub transcript_timeout_ms: u32,
    /// Longest wait from the first text for the voice to its first sound.
    pub voice_timeout_ms: u32,
    /// Longest goodbye before the call is ended all the same.
    pub closing_timeout_ms: u32,
    /// Speech without any pause is taken as one utterance after this long.
    pub utterance_ms_max: u32,
    /// Silence of the caller before "are you still there?"; 0: never.
    pub idle_prompt_ms: u32,
    /// Silence after that question before goodbye; 0: never.
    pub idle_hangup_ms: u32,
    /// Failed replies in a row before the call is ended; 0: never.
    pub failures_max: u32,
    /// Letters of one reply. What comes after is not spoken.
    pub reply_chars_max: usize,
    /// Letters of one transcript. What comes after is not asked.
    pub transcript_chars_max: usize,
    pub phrases: Phrases,
}

/// What the program says by itself.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Phrases {
    /// Said in turn, one at most per question.
    pub fillers: Vec<String>,
    pub still_there: String,
    pub goodbye: String,
    pub not_understood: String,
    pub answer_cut: String,
    pub giving_up: String,
}

impl Default for TurnConfig {
    fn default() -> TurnConfig {
        TurnConfig {
            endpoint_ms: 500,
            hangover_ms: 200,
            onset_ms: 60,
            barge_in: true,
            barge_in_ms: 150,
            filler_after_ms: 2_500,
            reply_timeout_ms: 10_000,
            transcript_timeout_ms: 10_000,
            voice_timeout_ms: 15_000,
            closing_timeout_ms: 10_000,
            utterance_ms_max: 60_000,
            idle_prompt_ms: 30_000,
            idle_hangup_ms: 30_000,
            failures_max: 5,
            reply_chars_max: 8_000,
            transcript_chars_max: 4_000,
            phrases: Phrases::default(),
        }
    }
}

impl Default for Phrases {
    fn default() -> Phrases {
        Phrases {
            fillers: vec!["One moment.".to_owned(), "Just a second.".to_owned()],
            still_there: "Are you still there?".to_owned(),
            goodbye: "I will hang up now. Goodbye.".to_owned(),
            not_understood: "Sorry, I could not make that out. Please say it again.".to_owned(),
            answer_cut: "Sorry, the answer broke off there.".to_owned(),
            giving_up: "I still get no answer from the agent, so I will hang up. Goodbye."
                .to_owned(),
        }
    }
}
