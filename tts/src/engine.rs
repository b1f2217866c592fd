//! What a voice is to the rest of the crate. Owns the trait; not the voices.

use std::ops::ControlFlow;

use crate::error::TtsError;

/// What a person wants to know about a voice.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VoiceInfo {
    /// The name to configure it by, for example "flite:slt".
    pub name: String,
    /// BCP 47 tag of the language it speaks, for example "en-US".
    pub language: String,
    /// Licence of the voice, in a few words.
    pub licence: String,
    /// Whether it is part of the program, or comes from a file.
    pub embedded: bool,
}

/// Takes samples as they are made: mono at [`SAMPLE_RATE_HZ`](crate::SAMPLE_RATE_HZ). `Break` stops the synthesis. No
/// samples ask whether anybody still listens.
pub type Sink<'a> = &'a mut dyn FnMut(&[i16]) -> ControlFlow<()>;

/// One voice on one thread.
pub trait Engine: Send {
    /// Key of this voice in caches and logs: engines with the same name sound the same. After a synthesis it is the name
    /// of what was heard.
    fn name(&self) -> &str;

    /// What it is, for people.
    fn info(&self) -> VoiceInfo;

    /// Makes it ready, so that the first caller does not pay for it. Also called to get back to a known state after a
    /// panic.
    fn warm(&mut self) -> Result<(), TtsError>;

    /// Speaks `text`, which [`text::normalise`](crate::text::normalise) has been through. Audio about −20 dBFS loud, with
    /// at most 30 ms of silence at either end, comes through `sink` while it is made. A text with nothing to say gives
    /// no audio and no error; so does a sink that stops.
    fn synthesise(&mut self, text: &str, sink: Sink<'_>) -> Result<(), TtsError>;
}
