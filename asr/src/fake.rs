//! A scripted engine for tests: says what it was told to say, fails when told to fail, and waits at a gate when told to
//! wait. It recognises nothing and is never part of a running server.

use std::collections::VecDeque;
use std::sync::{Arc, Condvar, Mutex};

use crate::engine::{Engine, EngineInfo, Options, Transcript};
use crate::error::AsrError;
use crate::samples_to_ms;
use crate::window::Limits;

/// One answer of the script.
#[derive(Debug, Clone, PartialEq)]
pub enum Line {
    /// These words.
    Say(String),
    /// Nobody spoke.
    NoSpeech,
    /// This error.
    Fail(AsrError),
    /// A panic inside the engine.
    Panic,
    /// Wait until the [`Gate`] opens or the job is stopped, then these words.
    WaitThenSay(String),
}

/// Holds an engine inside a transcription until the test lets it go.
#[derive(Debug, Clone, Default)]
pub struct Gate {
    inner: Arc<GateInner>,
}

#[derive(Debug, Default)]
struct GateInner {
    state: Mutex<GateState>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct GateState {
    waiting: usize,
    open: bool,
}

impl Gate {
    /// Blocks the test until an engine waits at this gate.
    pub fn wait_until_reached(&self) {
        let mut state = self.lock();
        while state.waiting == 0 {
            state = self
                .inner
                .changed
                .wait(state)
                .unwrap_or_else(std::sync::PoisonError::into_inner);
        }
    }

    /// Lets the waiting engine, and all later ones, pass.
    pub fn open(&self) {
        self.lock().open = true;
        self.inner.changed.notify_all();
    }

    fn pass(&self, options: &Options) -> Option<AsrError> {
        let mut state = self.lock();
        state.waiting += 1;
        self.inner.changed.notify_all();
        let stopped = loop {
            if let Some(reason) = options.stop_reason() {
                break Some(reason);
            }
            if state.open {
                break None;
            }
            // A flag set by another thread does not ring this bell, so it is looked at now and then.
            state = self
                .inner
                .changed
                .wait_timeout(state, std::time::Duration::from_millis(1))
                .unwrap_or_else(std::sync::PoisonError::into_inner)
                .0;
        };
        state.waiting -= 1;
        stopped
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, GateState> {
        self.inner
            .state
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner)
    }
}

/// The scripted engine. When the script is at its end, it says nothing was spoken.
#[derive(Debug, Default)]
pub struct FakeEngine {
    script: VecDeque<Line>,
    gate: Gate,
    warmed: usize,
    decode_ms: u32,
    refuse_warm: Option<AsrError>,
}

impl FakeEngine {
    /// An engine that answers with `script`, one line per job.
    pub fn new(script: impl IntoIterator<Item = Line>) -> FakeEngine {
        FakeEngine {
            script: script.into_iter().collect(),
            ..FakeEngine::default()
        }
    }

    /// An engine that says each of `texts` in turn.
    pub fn saying(texts: &[&str]) -> FakeEngine {
        FakeEngine::new(texts.iter().map(|text| Line::Say((*text).to_owned())))
    }

    /// The same engine, claiming that each answer took it `decode_ms`.
    pub fn claiming(mut self, decode_ms: u32) -> FakeEngine {
        self.decode_ms = decode_ms;
        self
    }

    /// An engine that cannot be warmed.
    pub fn refusing(error: AsrError) -> FakeEngine {
        FakeEngine {
            refuse_warm: Some(error),
            ..FakeEngine::default()
        }
    }

    /// The gate at which [`Line::WaitThenSay`] waits.
    pub fn gate(&self) -> Gate {
        self.gate.clone()
    }

    /// How often it was warmed.
    pub fn warmed(&self) -> usize {
        self.warmed
    }
}

impl Engine for FakeEngine {
    fn name(&self) -> &str {
        "fake"
    }

    fn info(&self) -> EngineInfo {
        EngineInfo {
            model: "script".to_owned(),
            languages: vec!["en".to_owned()],
            embedded: false,
            window_ms_max: 28_000,
            cut: Limits {
                samples_max: 28 * 16_000,
                whole_max: 0,
                pause_from: 10 * 16_000,
                pause_samples: 8_000,
            },
        }
    }

    fn warm(&mut self) -> Result<(), AsrError> {
        self.warmed += 1;
        self.refuse_warm.clone().map_or(Ok(()), Err)
    }

    fn transcribe(&mut self, pcm: &[i16], options: &Options) -> Result<Transcript, AsrError> {
        if let Some(reason) = options.stop_reason() {
            return Err(reason);
        }
        let text = match self.script.pop_front().unwrap_or(Line::NoSpeech) {
            Line::Say(text) => text,
            Line::NoSpeech => String::new(),
            Line::Fail(error) => return Err(error),
            Line::Panic => panic!("the script says panic"),
            Line::WaitThenSay(text) => match self.gate.pass(options) {
                Some(reason) => return Err(reason),
                None => text,
            },
        };
        Ok(Transcript {
            no_speech: text.is_empty(),
            text,
            audio_ms: samples_to_ms(pcm.len()),
            decode_ms: self.decode_ms,
            certainty: 1.0,
            ..Transcript::default()
        })
    }
}
