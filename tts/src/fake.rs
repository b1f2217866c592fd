//! A scripted voice for tests: a tone of 60 ms per letter, failing or waiting where it is told to. It speaks nothing and
//! is never part of a running server.

use std::ops::ControlFlow;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

use crate::engine::{Engine, Sink, VoiceInfo};
use crate::error::TtsError;

/// 60 ms at 16 kHz: how long each letter sounds.
pub const SAMPLES_PER_LETTER: usize = 960;

/// What happens when a text contains a certain word.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Mishap {
    /// This error, before any audio.
    Fail(TtsError),
    /// A panic, after the first letter.
    Panic,
    /// Wait before the first letter until the [`Gate`] opens.
    Wait,
    /// From now on it is another voice, of another name.
    Change,
    /// Give nothing until nobody listens any more.
    Drag,
}

/// Holds an engine inside a synthesis until the test lets it go.
#[derive(Debug, Clone, Default)]
pub struct Gate {
    inner: Arc<(Mutex<GateState>, Condvar)>,
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
                .1
                .wait(state)
                .unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// Lets the waiting engine, and all later ones, pass.
    pub fn open(&self) {
        self.lock().open = true;
        self.inner.1.notify_all();
    }

    /// Is here, and does not wait.
    fn reach(&self) {
        self.lock().waiting += 1;
        self.inner.1.notify_all();
    }

    fn pass(&self) {
        let mut state = self.lock();
        state.waiting += 1;
        self.inner.1.notify_all();
        while !state.open {
            state = self
                .inner
                .1
                .wait(state)
                .unwrap_or_else(PoisonError::into_inner);
        }
        state.waiting -= 1;
    }

    fn lock(&self) -> MutexGuard<'_, GateState> {
        self.inner.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The scripted voice.
#[derive(Debug, Default)]
pub struct FakeEngine {
    mishaps: Vec<(String, Mishap)>,
    gate: Gate,
    spoken: Arc<Mutex<Vec<String>>>,
    refuse_warm: Option<TtsError>,
    is_other: bool,
}

impl FakeEngine {
    /// A voice to which nothing happens.
    pub fn new() -> FakeEngine {
        FakeEngine::default()
    }

    /// The same, but `mishap` happens in each text that contains `word`.
    pub fn with(mut self, word: &str, mishap: Mishap) -> FakeEngine {
        self.mishaps.push((word.to_owned(), mishap));
        self
    }

    /// A voice that cannot be warmed.
    pub fn refusing(error: TtsError) -> FakeEngine {
        FakeEngine {
            refuse_warm: Some(error),
            ..FakeEngine::default()
        }
    }

    /// The gate at which [`Mishap::Wait`] waits.
    pub fn gate(&self) -> Gate {
        self.gate.clone()
    }

    /// Texts begun so far, in order; shared, so it can be read after the engine has moved away.
    pub fn spoken(&self) -> Arc<Mutex<Vec<String>>> {
        Arc::clone(&self.spoken)
    }
}

impl Engine for FakeEngine {
    fn name(&self) -> &str {
        match self.is_other {
            true => "other",
            false => "fake",
        }
    }

    fn info(&self) -> VoiceInfo {
        VoiceInfo {
            name: "fake".to_owned(),
            language: "en".to_owned(),
            licence: "none".to_owned(),
            embedded: true,
        }
    }

    fn warm(&mut self) -> Result<(), TtsError> {
        self.refuse_warm.clone().map_or(Ok(()), Err)
    }

    fn synthesise(&mut self, text: &str, sink: Sink<'_>) -> Result<(), TtsError> {
        self.spoken
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .push(text.to_owned());
        let mishap = self
            .mishaps
            .iter()
            .find(|(word, _)| text.contains(word.as_str()))
            .map(|(_, mishap)| mishap);
        match mishap {
            Some(Mishap::Fail(error)) => return Err(error.clone()),
            Some(Mishap::Wait) => self.gate.pass(),
            Some(Mishap::Change) => self.is_other = true,
            Some(Mishap::Drag) => {
                self.gate.reach();
                while sink(&[]).is_continue() {
                    std::thread::yield_now();
                }
                return Ok(());
            }
            _ => {}
        }
        let letter: Vec<i16> = (0..SAMPLES_PER_LETTER)
            .map(|n| if n % 40 < 20 { 3_000 } else { -3_000 })
            .collect();
        for _ in text.chars() {
            if sink(&letter) == ControlFlow::Break(()) {
                return Ok(());
            }
            assert!(mishap != Some(&Mishap::Panic), "the script says panic");
        }
        Ok(())
    }
}
