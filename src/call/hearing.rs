//! The caller's words: what the recogniser is given, and what its answers are events of. Owns the tickets
//! of transcripts, and when a transcript is out of date; decides nothing.
//! PURE.

use std::sync::Arc;
use std::time::Instant;

use agent_bridge::gateways::Role;
use agent_bridge::turn::{Event, Judge, State};
use asr::engine::Kind;

use super::{Call, CallOutput, Caption, Note, Words};

/// Sound that an end-of-turn model looks at.
const JUDGED_SAMPLES_MAX: usize = 8 * media::SAMPLE_RATE_HZ as usize;

/// A transcript that is on its way.
pub(super) struct Awaited {
    pub(super) ticket: u32,
    pub(super) utterance: u32,
    pub(super) kind: Kind,
}

impl Call {
    /// Everything said since the last commit, to be heard now.
    pub(super) fn transcribe(&mut self, now: Instant, utterance: u32) {
        self.abandon_transcript();
        self.abandon_partial();
        // What goes on being said has no end yet, but for its being cut.
        if !self.is_pausing {
            self.wiring.speech_ended(now);
        }
        // While the detector still hopes for more, others may go first.
        let kind = if self.vad.is_speech() {
            Kind::Early
        } else {
            Kind::Final
        };
        self.hear(utterance, kind);
    }

    fn hear(&mut self, utterance: u32, kind: Kind) {
        self.wiring.tickets = self.wiring.tickets.wrapping_add(1);
        let ticket = self.wiring.tickets;
        self.wiring.awaited = Some(Awaited {
            ticket,
            utterance,
            kind,
        });
        self.wiring.heard_until = self.utterance.end();
        let pcm = self.utterance.snapshot();
        self.outputs
            .push_back(CallOutput::Transcribe { ticket, kind, pcm });
    }

    pub(super) fn abandon_transcript(&mut self) {
        if let Some(Awaited { ticket, .. }) = self.wiring.awaited.take() {
            self.outputs
                .push_back(CallOutput::AbandonTranscript { ticket });
        }
    }

    fn abandon_partial(&mut self) {
        if let Some(ticket) = self.wiring.partial.take() {
            self.outputs
                .push_back(CallOutput::AbandonTranscript { ticket });
        }
    }

    /// Speech goes on: hear it so far, one such request at a time.
    pub(super) fn hear_partial(&mut self, now: Instant) {
        let interval = self.settings.partial_interval;
        let is_listening = matches!(self.turn.state(), State::UserSpeaking);
        if interval.is_zero() || !is_listening || self.is_pausing {
            self.wiring.partial_at = None;
            return;
        }
        let due = *self.wiring.partial_at.get_or_insert(now + interval);
        if due > now || self.wiring.partial.is_some() {
            return;
        }
        self.wiring.partial_at = Some(now + interval);
        self.wiring.tickets = self.wiring.tickets.wrapping_add(1);
        let ticket = self.wiring.tickets;
        self.wiring.partial = Some(ticket);
        let pcm = self.utterance.snapshot();
        let kind = Kind::Partial;
        self.outputs
            .push_back(CallOutput::Transcribe { ticket, kind, pcm });
    }

    /// How finished does it sound? The program's own rule answers at once, the owner's model later.
    pub(super) fn judge_turn(&mut self, now: Instant) {
        if self.turn.state() != State::Endpointing {
            return;
        }
        if let Some(probability) = self.prosody.probability() {
            let judge = Judge::Prosody;
            self.turn_event(now, Event::EndOfTurn { judge, probability });
        }
        if self.settings.has_turn_model {
            self.wiring.tickets = self.wiring.tickets.wrapping_add(1);
            let ticket = self.wiring.tickets;
            self.wiring.judged = Some(ticket);
            let pcm = self.utterance.snapshot();
            let pcm = Arc::from(&pcm[pcm.len().saturating_sub(JUDGED_SAMPLES_MAX)..]);
            self.outputs
                .push_back(CallOutput::JudgeTurn { ticket, pcm });
        }
    }

    pub(super) fn turn_judged(&mut self, now: Instant, ticket: u32, probability: f32) {
        // The caller may have gone on meanwhile; then this is about another pause.
        if self
            .wiring
            .judged
            .take_if(|asked| *asked == ticket)
            .is_some()
            && self.is_pausing
        {
            let judge = Judge::Model;
            self.turn_event(now, Event::EndOfTurn { judge, probability });
        }
    }

    /// Shows the words of the caller's turn so far; each time others than before.
    pub(super) fn caption(&mut self, text: &str) {
        let text = text.trim();
        if text == self.wiring.captioned {
            return;
        }
        text.clone_into(&mut self.wiring.captioned);
        self.outputs.push_back(CallOutput::Caption(Caption {
            role: Role::User,
            text: text.to_owned(),
        }));
    }

    pub(super) fn transcript(&mut self, now: Instant, ticket: u32, result: Result<Words, String>) {
        if self.is_scenes_ticket(ticket) {
            return self.scene_words(now, result);
        }
        if self
            .wiring
            .partial
            .take_if(|asked| *asked == ticket)
            .is_some()
        {
            // One that was shed or failed is no loss: the next one hears the same sound, and more.
            if let Ok(words) = result {
                self.caption(&words.text);
                self.wiring.stability.push(&words.text);
                let text = self.wiring.stability.stable().to_owned();
                self.turn_event(now, Event::Partial { text });
            }
            return;
        }
        let Some(Awaited {
            utterance, kind, ..
        }) = self.wiring.awaited.take_if(|job| job.ticket == ticket)
        else {
            return;
        };
        if result.is_err() && kind != Kind::Final {
            // It had to make room. The sound is still there, and now it must be heard.
            self.hear(utterance, Kind::Final);
            return;
        }
        let is_failed = result.is_err();
        let (text, certainty) = match result {
            Ok(words) => {
                self.wiring.doors.transcribed = Some(now);
                self.wiring.doors.decode_ms = Some(words.decode_ms);
                (words.text, words.certainty)
            }
            Err(why) => {
                self.note(Note::TranscriptFailed { why });
                (String::new(), 1.0)
            }
        };
        // Words that are for the program itself never reach the agent.
        let order = self.order(&text);
        let text = if order.is_some() { String::new() } else { text };
        self.caption(&text);
        self.turn_event(
            now,
            Event::Final {
                utterance,
                text,
                certainty,
            },
        );
        if let Some((order, words)) = order {
            self.ordered(now, order, words);
        }
        if is_failed {
            // Words that were lost on our side are not passed over in silence.
            let text = self.settings.turn.phrases.not_understood.clone();
            self.turn_event(now, Event::Announce { text });
        }
    }
}
