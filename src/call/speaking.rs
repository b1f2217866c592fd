//! A reply's way to the voice and from there to playout: clauses out, sound in, held back until it may be
//! heard. Owns when a clause is made and when a reply has nothing more to say; decides nothing.
//! PURE.

use std::time::Instant;

use agent_bridge::turn::{Event, ReplyId};

use super::{Call, CallOutput, Note, Sound};

/// A long reply is synthesised as it plays: so many clauses with the voice at a time, and none while so
/// much sound waits. Otherwise it would fill the voice's queue and playout's, and lose its end.
const CLAUSES_AHEAD_MAX: u32 = 4;
const SOUND_AHEAD_MS_MAX: u32 = 20_000;
/// Clauses made of a reply that may not be heard yet: enough to begin with.
const CLAUSES_HELD_MAX: u32 = 1;

impl Call {
    /// Text to the voice, clause by clause, to be heard from now on.
    pub(super) fn speak(&mut self, id: ReplyId, text: &str, last: bool) -> Option<Event> {
        let voice = self.wiring.voice(id);
        if voice.text_complete && voice.is_audible {
            return None;
        }
        self.clauses(id, text, last);
        let voice = self.wiring.voice(id);
        if !std::mem::replace(&mut voice.is_audible, true) {
            for (clause, text, sound) in std::mem::take(&mut voice.held) {
                self.play(id, clause, &text, &sound);
            }
        }
        self.synthesise(id);
        self.finish_if_spoken(id)
    }

    /// The same, to be held until `speak`.
    pub(super) fn prepare(&mut self, id: ReplyId, text: &str, last: bool) {
        self.clauses(id, text, last);
        self.synthesise(id);
    }

    fn clauses(&mut self, id: ReplyId, text: &str, last: bool) {
        let voice = self.wiring.voice(id);
        if voice.text_complete {
            return;
        }
        let mut tidy = voice.tidy.push(text);
        if last {
            tidy.push_str(&voice.tidy.finish());
        }
        let mut clauses = voice.splitter.push(&tidy);
        if last {
            clauses.extend(voice.splitter.finish());
            voice.text_complete = true;
        }
        let clauses = clauses.into_iter().filter(|text| !text.trim().is_empty());
        voice.waiting.extend(clauses);
    }

    /// Gives the voice the next clauses of a reply, as far as it may work ahead.
    fn synthesise(&mut self, id: ReplyId) {
        let queued_ms = self.playout.queued_ms();
        let Some(voice) = self
            .wiring
            .voices
            .iter_mut()
            .find(|voice| voice.reply == id)
        else {
            return;
        };
        while voice.open_clauses < CLAUSES_AHEAD_MAX
            && (voice.is_audible || voice.next_clause < CLAUSES_HELD_MAX)
            && queued_ms < SOUND_AHEAD_MS_MAX
            && let Some(text) = voice.waiting.pop_front()
        {
            let clause = voice.next_clause;
            voice.next_clause += 1;
            voice.open_clauses += 1;
            voice.texts.push_back((clause, text.clone()));
            self.outputs.push_back(CallOutput::Synthesise {
                reply: id,
                clause,
                text,
            });
        }
    }

    /// Sound has been played, so more of what waits may be made.
    pub(super) fn synthesise_ahead(&mut self) {
        let waiting = self
            .wiring
            .voices
            .iter()
            .find(|voice| voice.is_audible && !voice.waiting.is_empty());
        if let Some(id) = waiting.map(|voice| voice.reply) {
            self.synthesise(id);
        }
    }

    pub(super) fn sound(&mut self, now: Instant, id: ReplyId, clause: u32, sound: Sound) {
        if self.is_scenes(id) {
            return self.scene_sound(now, id, clause, sound);
        }
        let Some(voice) = self
            .wiring
            .voices
            .iter_mut()
            .find(|voice| voice.reply == id)
        else {
            return;
        };
        // The text goes with the first sound; a clause without any has not been heard.
        let text = match voice.texts.iter().position(|(number, _)| *number == clause) {
            Some(at) => voice
                .texts
                .remove(at)
                .map_or_else(String::new, |(_, text)| text),
            None => String::new(),
        };
        if matches!(sound, Sound::Done | Sound::Failed(_)) {
            voice.open_clauses = voice.open_clauses.saturating_sub(1);
        }
        let is_audible = voice.is_audible;
        if matches!(&sound, Sound::Samples(samples) if !samples.is_empty())
            && let Some(exchange) = self.wiring.exchange(id)
        {
            exchange.doors.first_sound.get_or_insert(now);
        }
        if is_audible {
            self.tone_before_end(id, clause, &sound);
            self.play(id, clause, &text, &sound);
        } else {
            self.wiring.voice(id).held.push((clause, text, sound));
        }
        self.synthesise(id);
        if let Some(event) = self.finish_if_spoken(id) {
            self.turn_event(now, event);
        }
    }

    /// Sound that may be heard, into playout.
    fn play(&mut self, id: ReplyId, clause: u32, text: &str, sound: &Sound) {
        let voice = self.wiring.voice(id);
        let mut is_full = false;
        match sound {
            Sound::Samples(samples) if !samples.is_empty() => {
                is_full = self
                    .playout
                    .push(id.0, clause, text, samples, false)
                    .is_err();
                voice.has_sound |= !is_full;
            }
            Sound::Samples(_) => {}
            // A reply that playout knows, and that never sounds, would hold back all that follow it.
            Sound::Done | Sound::Failed(_) if voice.has_sound => {
                if matches!(sound, Sound::Failed(_)) {
                    // What came of it is the beginning only.
                    self.playout.cut_off(id.0, clause);
                }
                is_full = self.playout.push(id.0, clause, "", &[], true).is_err();
            }
            Sound::Done | Sound::Failed(_) => {}
        }
        if let Sound::Failed(why) = sound {
            let why = why.clone();
            self.note(Note::VoiceFailed { why });
        }
        if is_full {
            self.note(Note::VoiceFailed {
                why: "the reply is longer than the playout queue".to_owned(),
            });
        }
    }

    /// Tells playout when no more sound of a reply will come. The event to follow, if playout will not
    /// report the end itself because there was nothing to hear.
    fn finish_if_spoken(&mut self, id: ReplyId) -> Option<Event> {
        let voice = self.wiring.voices.iter().find(|voice| voice.reply == id)?;
        if !voice.is_audible
            || !voice.text_complete
            || voice.open_clauses > 0
            || !voice.waiting.is_empty()
        {
            return None;
        }
        if voice.has_sound {
            self.playout.finish(id.0);
            return None;
        }
        self.silence(id);
        self.close_exchange(id, String::new(), false);
        self.hang_up_if_wanted(id);
        Some(Event::PlayoutStopped {
            id,
            heard: String::new(),
            complete: true,
        })
    }
}
