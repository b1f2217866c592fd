//! What a message box does besides listening: the tone behind its greeting, and the key that ends a message.
//! PURE.

use std::time::Instant;

use agent_bridge::turn::{HangupReason, ReplyId};

use super::{Call, HangupCause, Sound};
use crate::config::Answerer;

/// The tone: samples per second, hertz, length and peak. Short and plain, as answering machines have it.
const TONE_HZ: f64 = 1_000.0;
const TONE_MS: u32 = 300;
const TONE_PEAK: f64 = 6_000.0;
/// The key that ends a message.
const END_KEY: char = '#';
const THANKS: &str = "Thank you. Goodbye.";

impl Call {
    pub(super) fn ends_message(&self, digit: char) -> bool {
        self.settings.service == Answerer::Message && digit == END_KEY
    }

    pub(super) fn end_message(&mut self, now: Instant) {
        let why = HangupReason::Goodbye;
        self.closing = Some(HangupCause::Turn(why));
        self.say_goodbye(now, THANKS.to_owned(), why);
    }

    /// Puts the tone behind the last clause of the first thing said.
    pub(super) fn tone_before_end(&mut self, id: ReplyId, clause: u32, sound: &Sound) {
        if self.settings.service != Answerer::Message || self.has_toned || *sound != Sound::Done {
            return;
        }
        let voice = self.wiring.voice(id);
        // This clause has been taken off the open ones already.
        let is_last = voice.text_complete && voice.open_clauses == 0 && voice.waiting.is_empty();
        if is_last && voice.has_sound {
            self.has_toned = true;
            // A full queue loses the tone only.
            let _ = self.playout.push(id.0, clause, "", &tone(), false);
        }
    }
}

fn tone() -> Vec<i16> {
    let rate = f64::from(media::SAMPLE_RATE_HZ);
    let count = media::SAMPLE_RATE_HZ * TONE_MS / 1_000;
    let sample = |n: u32| {
        let phase = std::f64::consts::TAU * TONE_HZ * f64::from(n) / rate;
        // Without an edge at either end it does not click.
        let edge = f64::from(n.min(count - n)).min(80.0) / 80.0;
        (phase.sin() * TONE_PEAK * edge) as i16
    };
    (0..count).map(sample).collect()
}
