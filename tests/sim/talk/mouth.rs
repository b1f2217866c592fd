//! Voice and playout: text that becomes sound after a while, is sent at a steady pace, held, resumed and stopped, and
//! counted word by word. Owns what has been sent; nothing is sent before `Action::Speak`.
//! PURE.

use std::collections::HashMap;
use std::time::Duration;

use agent_bridge::turn::ReplyId;

/// Sound of one letter.
const LETTER: Duration = Duration::from_millis(55);

#[derive(Debug, Default)]
pub struct Mouth {
    /// Made, and not to be heard yet.
    held: HashMap<ReplyId, String>,
    pub current: Option<Voice>,
    pub is_paused: bool,
}

#[derive(Debug)]
pub struct Voice {
    pub id: ReplyId,
    pub text: String,
    pub is_last: bool,
    /// Its first sound is made.
    pub has_sound: bool,
    pub started: bool,
    /// Sound sent, up to `counted_at`.
    sent: Duration,
    counted_at: Duration,
}

impl Voice {
    fn length(&self) -> Duration {
        LETTER * self.text.chars().count() as u32
    }

    fn is_played(&self) -> bool {
        self.is_last && self.sent >= self.length()
    }

    /// The words whose sound has been sent to the end.
    pub fn heard(&self) -> String {
        let mut end = 0;
        let mut letters = 0;
        for word in self.text.split_inclusive(char::is_whitespace) {
            letters += word.chars().count() as u32;
            if LETTER * letters > self.sent {
                break;
            }
            end += word.len();
        }
        self.text[..end].trim().to_owned()
    }
}

impl Mouth {
    pub fn prepare(&mut self, id: ReplyId, text: &str) {
        self.held.entry(id).or_default().push_str(text);
    }

    pub fn forget(&mut self, id: ReplyId) {
        self.held.remove(&id);
    }

    /// True when this is a new voice, whose sound takes a while.
    pub fn speak(&mut self, now: Duration, id: ReplyId, text: &str, last: bool) -> bool {
        self.count(now);
        let is_new = self.current.is_none();
        let held = self.held.remove(&id).unwrap_or_default();
        let voice = self.current.get_or_insert_with(|| Voice {
            id,
            text: String::new(),
            is_last: false,
            has_sound: false,
            started: false,
            sent: Duration::ZERO,
            counted_at: now,
        });
        voice.text.push_str(&held);
        voice.text.push_str(text);
        voice.is_last |= last;
        is_new
    }

    /// Counts what has been sent until now.
    pub fn count(&mut self, now: Duration) {
        if let Some(voice) = &mut self.current {
            if voice.started && !self.is_paused {
                voice.sent = (voice.sent + (now - voice.counted_at)).min(voice.length());
            }
            voice.counted_at = now;
        }
    }

    pub fn is_audible(&self) -> bool {
        let voice = self.current.as_ref();
        !self.is_paused && voice.is_some_and(|voice| voice.started)
    }

    /// Whether the first packet goes out now.
    pub fn begins(&mut self) -> Option<ReplyId> {
        let is_paused = self.is_paused;
        let voice = self.current.as_mut()?;
        let begins =
            voice.has_sound && !voice.started && !is_paused && !voice.text.trim().is_empty();
        voice.started |= begins;
        begins.then_some(voice.id)
    }

    /// When the last word will have been sent, if nothing changes.
    pub fn ends_at(&self, now: Duration) -> Option<Duration> {
        let voice = self.current.as_ref()?;
        if voice.is_last && voice.text.trim().is_empty() {
            return Some(now);
        }
        let is_sounding = voice.started && !self.is_paused && voice.is_last;
        is_sounding.then(|| voice.counted_at + voice.length().saturating_sub(voice.sent))
    }

    /// All of it has been sent; or there is nothing to send.
    pub fn ends(&mut self, now: Duration) -> Option<(ReplyId, String)> {
        self.count(now);
        let is_empty = |voice: &Voice| voice.is_last && voice.text.trim().is_empty();
        let voice = self
            .current
            .take_if(|voice| is_empty(voice) || (voice.started && voice.is_played()))?;
        Some((voice.id, voice.heard()))
    }

    /// What was heard of it, and whether that is all.
    pub fn stop(&mut self, now: Duration, id: ReplyId) -> Option<(String, bool)> {
        self.count(now);
        let voice = self.current.take_if(|voice| voice.id == id)?;
        Some((voice.heard(), voice.is_played()))
    }
}
