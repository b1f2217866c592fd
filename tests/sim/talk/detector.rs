//! The voice activity detector's side of a caller's voice: starts, pauses, returns and stops, as late as the real one
//! reports them. Owns no turn.
//! PURE.

use std::time::Duration;

use agent_bridge::turn::Event;

const START: Duration = Duration::from_millis(60);
/// One decision of the detector.
const RETURN: Duration = Duration::from_millis(16);
const PAUSE: Duration = Duration::from_millis(80);
const STOP: Duration = Duration::from_millis(200);

#[derive(Debug, Default)]
pub struct Detector {
    /// Counts changes of the voice: what was due because of an older one is not any more.
    change: u32,
    pub is_speech: bool,
    pub is_paused: bool,
    pub has_voice: bool,
    /// Since when there is voice, or none.
    pub since: Duration,
}

/// What the detector will report, if the voice does not change before.
#[derive(Debug, Clone)]
pub struct Report {
    pub at: Duration,
    pub change: u32,
    pub event: Event,
}

impl Detector {
    /// The caller's voice sets in or breaks off.
    pub fn voice(&mut self, now: Duration, on: bool) -> Vec<Report> {
        self.change += 1;
        self.has_voice = on;
        self.since = now;
        let report = |wait: Duration, event| Report {
            at: now + wait,
            change: self.change,
            event,
        };
        match (on, self.is_speech, self.is_paused) {
            (true, false, _) => vec![report(START, Event::SpeechStarted)],
            (true, true, true) => vec![report(RETURN, Event::SpeechResumed)],
            (false, true, false) => vec![
                report(PAUSE, Event::SpeechPaused),
                report(STOP, Event::SpeechStopped),
            ],
            (false, true, true) => vec![report(STOP, Event::SpeechStopped)],
            (true, true, false) | (false, false, _) => Vec::new(),
        }
    }

    /// Whether a report still holds; from then on it is so.
    pub fn take(&mut self, report: &Report) -> bool {
        if report.change != self.change {
            return false;
        }
        match report.event {
            Event::SpeechStarted => {
                self.is_speech = true;
                self.is_paused = false;
            }
            Event::SpeechPaused => self.is_paused = true,
            Event::SpeechResumed => self.is_paused = false,
            _ => {
                self.is_speech = false;
                self.is_paused = false;
            }
        }
        true
    }
}
