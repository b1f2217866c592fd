//! Bodies of the fuzz targets: any bytes in, properties asserted. Plain functions, so that corpora
//! replay in the normal test run. Owns no engine; a fuzzer calls them by name.
//! PURE.

use std::time::{Duration, Instant};

use jiff::Zoned;
use rand::SeedableRng;
use rand::rngs::StdRng;

use crate::gateways::demo::{DemoState, reply};
use crate::gateways::openai::chunk::Answer;
use crate::gateways::openai::sse::SseParser;
use crate::phone_text::Tidy;
use crate::turn::{
    Action, Blame, Event, Judge, Progress, ReplyError, ReplyErrorKind, ReplyId, State, ToolCall,
    Turn, TurnConfig, invariants::Checker,
};

/// Turn events from bytes: two per event, what and when. The first byte sets the machine as well. `base` is any moment. The machine's own checker
/// and this one watch; at the end the call is drained and must end, with nothing left open.
pub fn turn(data: &[u8], base: Instant) {
    let mut config = TurnConfig {
        failures_max: 3,
        reply_chars_max: 40,
        barge_in: data.first().is_none_or(|byte| byte & 1 == 0),
        ..TurnConfig::default()
    };
    let setting = data.first().copied().unwrap_or(0);
    if setting & 0x80 != 0 {
        config.wait.sure_ms = 60;
        config.wait.unsure_ms = 60;
        config.utterance_ms_max = 900;
        config.transcript_chars_max = 7;
    }
    if setting & 0x40 != 0 {
        config.speculation.enabled = false;
        config.filler_after_ms = 0;
        config.idle_prompt_ms = 0;
    }
    let mut world = World {
        turn: Turn::new(config),
        checker: Checker::default(),
        now: base,
        reply: 0,
        utterance: 0,
    };
    for pair in data.chunks_exact(2) {
        let step = Duration::from_millis(u64::from(pair[1]).pow(2) / 4);
        let due = world.turn.next_timeout();
        // Timeouts are kept in order, as a driver would.
        world.now += step;
        if let Some(due) = due.filter(|due| *due <= world.now) {
            let later = world.now;
            world.now = due.max(base);
            world.handle(Event::Timeout);
            world.now = later;
        }
        let event = world.event(pair[0]);
        world.handle(event);
    }
    world.handle(Event::Drain {
        text: "bye".to_owned(),
    });
    for _ in 0..8 {
        if let Some(due) = world.turn.next_timeout() {
            world.now = world.now.max(due);
            world.handle(Event::Timeout);
        }
    }
    assert_eq!(world.turn.state(), State::Ended);
    assert!(!world.checker.has_guesses());
    assert!(!world.turn.is_claimed());
    let ledger = world.turn.ledger();
    assert_eq!(ledger.guesses, ledger.hits + ledger.misses);
    assert_eq!(world.turn.next_timeout(), None);
}

/// What a caller may have said: a turn, a stop, a backchannel, something unfinished, nothing.
const SAYINGS: [&str; 8] = [
    "what time is it",
    " ",
    "stop",
    "uh-huh",
    "set a timer for",
    "yes",
    "what time is it?",
    "",
];

struct World {
    turn: Turn,
    checker: Checker,
    now: Instant,
    /// The latest ids seen in actions.
    reply: u32,
    utterance: u32,
}

impl World {
    fn handle(&mut self, event: Event) {
        self.checker.event(&event);
        let is_timeout = event == Event::Timeout;
        self.turn.handle(self.now, event);
        let mut actions = 0;
        while let Some(action) = self.turn.poll_action() {
            actions += 1;
            assert!(actions < 1_000, "actions without end");
            self.checker.action(&action);
            match action {
                Action::Transcribe { utterance } => self.utterance = utterance,
                Action::Speculate { id, .. } | Action::Speak { id, .. } => self.reply = id.0,
                _ => {}
            }
        }
        if is_timeout {
            // A timeout that leaves itself due would spin its driver.
            assert!(self.turn.next_timeout().is_none_or(|due| due > self.now));
        }
    }

    fn event(&self, byte: u8) -> Event {
        // Mostly the current reply, sometimes an older one.
        let id = ReplyId(self.reply.saturating_sub(u32::from(byte >> 6)));
        match byte & 0x0f {
            0 if byte & 0x20 != 0 => Event::SpeechResumed,
            0 | 1 => Event::SpeechStarted,
            2 if byte & 0x20 != 0 => Event::SpeechPaused,
            3 if byte & 0x60 == 0x60 => Event::EndOfTurn {
                judge: match byte & 0x10 {
                    0 => Judge::Prosody,
                    _ => Judge::Model,
                },
                // Sure, half sure, and no probability at all.
                probability: match byte & 0x80 {
                    0 if self.utterance.is_multiple_of(3) => f32::NAN,
                    0 => 0.5,
                    _ => 1.0,
                },
            },
            2 | 3 => Event::SpeechStopped,
            4 | 5 => Event::Final {
                utterance: self.utterance,
                certainty: f32::from(byte >> 5) / 7.0,
                text: SAYINGS[usize::from(byte >> 4) % SAYINGS.len()].to_owned(),
            },
            6 | 7 => Event::ReplyText {
                id,
                text: if byte & 0x20 == 0 { "some words " } else { "" }.to_owned(),
                last: byte & 0x10 != 0,
            },
            8 if byte & 0x10 != 0 => Event::ReplyProgress {
                id,
                progress: match byte & 0x60 {
                    0 => Progress::Waiting,
                    0x20 => Progress::Trying {
                        gateway: "next".to_owned(),
                    },
                    0x40 => Progress::Cloud {
                        model: "big".to_owned(),
                    },
                    _ => Progress::Tool {
                        name: "calendar".to_owned(),
                    },
                },
            },
            8 => Event::ReplyToolCall {
                id,
                call: ToolCall {
                    id: String::new(),
                    name: "t".to_owned(),
                    arguments: serde_json::Value::Null,
                },
            },
            9 => Event::ReplyFailed {
                id,
                error: ReplyError {
                    kind: match byte & 0x30 {
                        0 => ReplyErrorKind::Broken,
                        0x10 => ReplyErrorKind::Unreachable,
                        0x20 => ReplyErrorKind::Slow,
                        _ => ReplyErrorKind::Cut,
                    },
                    blame: Blame::Upstream,
                },
            },
            10 => Event::PlayoutStarted { id },
            11 | 12 => Event::PlayoutStopped {
                id,
                heard: "some".to_owned(),
                complete: byte & 0x10 != 0,
            },
            13 if byte & 0x10 != 0 => Event::Tell {
                news: u32::from(byte >> 5),
                text: "news".to_owned(),
            },
            13 => Event::Announce {
                text: "news".to_owned(),
            },
            14 if byte & 0x20 != 0 => Event::Partial {
                text: SAYINGS[usize::from(byte >> 6)].to_owned(),
            },
            14 if byte & 0x40 != 0 => Event::Abort,
            14 => Event::Dtmf { digit: '1' },
            _ => Event::CallerWaits {
                waits: byte & 0x10 != 0,
            },
        }
    }
}

/// A stream of events cut at every place the bytes themselves suggest: the cut changes nothing.
pub fn sse(data: &[u8]) {
    let whole = sse_events(&[data]);
    let cut = usize::from(data.first().copied().unwrap_or(0)).min(data.len());
    assert_eq!(sse_events(&[&data[..cut], &data[cut..]]), whole);
    let mut answer = Answer::default();
    for (_, data) in whole.unwrap_or_default() {
        if answer.feed(&data).is_err() {
            return;
        }
    }
    let _ = answer.take_calls();
}

fn sse_events(chunks: &[&[u8]]) -> Option<Vec<(String, String)>> {
    let mut parser = SseParser::default();
    let mut events = Vec::new();
    for chunk in chunks {
        parser.push(chunk).ok()?;
        while let Some(event) = parser.next_event() {
            events.push((event.name, event.data));
        }
    }
    events.extend(parser.finish().map(|event| (event.name, event.data)));
    Some(events)
}

/// A reply cut anywhere is tidied as if it were whole, and no control character is ever spoken.
pub fn tidy(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    let mut cut = usize::from(data.first().copied().unwrap_or(0)).min(text.len());
    while !text.is_char_boundary(cut) {
        cut -= 1;
    }
    let whole = tidied(&[&text]);
    // Longer markup than is held back is taken literally, and where depends on the cut.
    if text.len() < 500 {
        assert_eq!(
            tidied(&[&text[..cut], &text[cut..]]),
            whole,
            "{text:?} at {cut}"
        );
    }
    assert!(!whole.chars().any(char::is_control), "{whole:?}");
}

fn tidied(pieces: &[&str]) -> String {
    let mut tidy = Tidy::default();
    let mut out: String = pieces.iter().map(|piece| tidy.push(piece)).collect();
    out.push_str(&tidy.finish());
    out
}

/// The demo answers anything, shortly.
pub fn demo(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    let mut rng = StdRng::from_seed([0; 32]);
    let mut state = DemoState::default();
    let now = Zoned::default();
    for line in text.lines() {
        let answer = reply(&mut state, line, &now, &mut rng);
        assert!(!answer.text.is_empty());
        assert!(answer.text.chars().count() < 2_000, "{}", answer.text);
        assert!(
            answer
                .tool_calls
                .iter()
                .all(|call| call.arguments.is_object())
        );
    }
}

#[cfg(test)]
#[path = "fuzz_tests.rs"]
mod tests;
