//! How a call that we placed begins: whoever picks up says hello first, and is not answered but told why we call. Owns that
//! wait, and telling a machine from a person by how long it talks before it listens; what follows is an ordinary call.
//! PURE.

use std::time::{Duration, Instant};

use agent_bridge::turn::Event;
use asr::vad::VadEvent;

use super::{Call, CallOutput, HangupCause};
use agent_bridge::turn::HangupReason;

/// Whoever says nothing for so long after picking up is told at once.
const SILENT: Duration = Duration::from_millis(1_500);
/// Silence after their hello that makes it our turn. The detector's own hang-over comes before it.
const AFTER_HELLO: Duration = Duration::from_millis(500);
/// Nobody who picks up a telephone talks for so long before they listen.
const HELLO_MAX: Duration = Duration::from_secs(6);

/// What waits for their hello.
pub(super) struct Opening {
    news: u32,
    text: String,
    due: Instant,
    /// Since when they talk; none while they are silent.
    talking_since: Option<Instant>,
    is_talking: bool,
}

impl Call {
    pub(super) fn tell(&mut self, now: Instant, news: u32, text: String, is_opening: bool) {
        if self.reflector.is_some() {
            let complete = false;
            self.outputs.push_back(CallOutput::Told { news, complete });
        } else if is_opening && self.opening.is_none() {
            self.opening = Some(Opening {
                news,
                text,
                due: now + SILENT,
                talking_since: None,
                is_talking: false,
            });
        } else {
            self.turn_event(now, Event::Tell { news, text });
        }
    }

    pub(super) fn opening_due(&self) -> Option<Instant> {
        let opening = self.opening.as_ref().filter(|_| !self.hung_up)?;
        Some(opening.due)
    }

    /// What they say before they know who calls is no turn of theirs.
    pub(super) fn hear_hello(&mut self, now: Instant, heard: Option<VadEvent>) {
        let Some(opening) = &mut self.opening else {
            return;
        };
        match heard {
            Some(VadEvent::SpeechStarted { .. } | VadEvent::SpeechResumed { .. }) => {
                let since = *opening.talking_since.get_or_insert(now);
                opening.is_talking = true;
                opening.due = since + HELLO_MAX;
            }
            Some(VadEvent::SpeechPaused { .. } | VadEvent::SpeechStopped { .. }) => {
                opening.is_talking = false;
                opening.due = now + AFTER_HELLO;
            }
            None => {}
        }
    }

    /// Their hello is over, or there was none, or it does not end.
    pub(super) fn open(&mut self, now: Instant) {
        let Some(opening) = self.opening.take() else {
            return;
        };
        if opening.is_talking {
            let complete = false;
            self.outputs.push_back(CallOutput::Told {
                news: opening.news,
                complete,
            });
            self.closing = Some(HangupCause::Machine);
            self.say_goodbye(now, String::new(), HangupReason::Drained);
            return;
        }
        self.utterance.take();
        self.prosody.reset();
        // The first sound of their hello may have held playout.
        self.pace_playout();
        self.turn_event(
            now,
            Event::Tell {
                news: opening.news,
                text: opening.text,
            },
        );
    }
}
