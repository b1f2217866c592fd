//! The figures and the fixed phrases of turn-taking. Each default is stated once, here.
//! PURE.

use serde::{Deserialize, Serialize};

use crate::endpoint::{Strategy, WaitCurve};

/// Times in milliseconds. Zero means never where the field says so.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct TurnConfig {
    /// Silence after the last voice that ends the caller's turn, by how finished the turn is.
    pub wait: WaitCurve,
    /// The most that is added to `wait` for a caller who was cut off, where it is not sure that they have finished; 0: nothing.
    pub patience_ms_max: u32,
    /// Who is asked how finished the turn is. None of them: `wait` at even odds.
    pub strategies: Vec<Strategy>,
    pub speculation: Speculation,
    /// Silence that has already passed when `Event::SpeechPaused` arrives.
    pub pause_ms: u32,
    /// Silence that has already passed when `Event::SpeechStopped` arrives.
    pub hangover_ms: u32,
    /// Speech that has already passed when `Event::SpeechStarted` arrives.
    pub onset_ms: u32,
    /// Whether the caller may interrupt what is being said.
    pub barge_in: bool,
    /// Speech shorter than this does not take the floor, whatever it was.
    pub barge_in_ms: u32,
    /// Speech over ours is looked at for words so long after its start, and then again and again.
    pub claim_look_ms: u32,
    /// Speech over ours that goes on so long takes the floor, with or without words in it.
    pub claim_ms_max: u32,
    /// Longest wait for the words of speech over ours that has ended. After it a long one takes the floor.
    pub claim_words_ms_max: u32,
    /// Wait for the first text of a reply before a filler; 0: never.
    pub filler_after_ms: u32,
    /// The same where the agent has said what it is busy with; 0: never.
    pub progress_after_ms: u32,
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

/// Asking before the turn is over.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Speculation {
    pub enabled: bool,
    /// Guesses at one turn of the caller.
    pub guesses_max: u32,
    /// Tokens of dropped guesses in one call; 0: no limit.
    pub tokens_wasted_max: u32,
    /// A guess outlives renewed speech for so long: a click or a breath does not make it wrong.
    pub keep_ms: u32,
}

impl Default for Speculation {
    fn default() -> Speculation {
        Speculation {
            enabled: true,
            guesses_max: 3,
            tokens_wasted_max: 4_000,
            keep_ms: 250,
        }
    }
}

/// What the program says by itself.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Phrases {
    /// Said in turn, one at most per question.
    pub fillers: Vec<String>,
    /// While the agent uses a tool; `{}` is what it does, such as "checking the calendar".
    pub using_tool: String,
    /// When one agent has failed and the next one is asked.
    pub trying_next: String,
    /// When a question goes to the cloud, where the owner wants that said.
    pub asking_cloud: String,
    /// When a local agent answers since a limit is reached; `{}` says which.
    pub staying_local: String,
    pub still_there: String,
    pub goodbye: String,
    pub not_understood: String,
    pub answer_cut: String,
    pub giving_up: String,
}

impl Default for TurnConfig {
    fn default() -> TurnConfig {
        TurnConfig {
            wait: WaitCurve::default(),
            patience_ms_max: 600,
            strategies: vec![Strategy::Text, Strategy::Prosody, Strategy::Model],
            speculation: Speculation::default(),
            pause_ms: 80,
            hangover_ms: 200,
            onset_ms: 60,
            barge_in: true,
            barge_in_ms: 150,
            claim_look_ms: 200,
            claim_ms_max: 2_500,
            claim_words_ms_max: 1_000,
            filler_after_ms: 1_500,
            progress_after_ms: 600,
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
            fillers: vec![
                "One moment, I am still waiting for the answer.".to_owned(),
                "The agent is still thinking.".to_owned(),
            ],
            using_tool: "One moment, {}.".to_owned(),
            trying_next: "No answer there. I ask another agent.".to_owned(),
            asking_cloud: "I am asking the cloud model.".to_owned(),
            staying_local: "{} The local agent answers.".to_owned(),
            still_there: "Are you still there?".to_owned(),
            goodbye: "I will hang up now. Goodbye.".to_owned(),
            not_understood: "Sorry, I could not make that out. Please say it again.".to_owned(),
            answer_cut: "Sorry, the answer broke off there.".to_owned(),
            giving_up: "I still get no answer from the agent, so I will hang up. Goodbye."
                .to_owned(),
        }
    }
}
