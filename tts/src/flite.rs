//! The embedded voices: flite 2.2 with slt and rms, linked statically. Owns the foreign interface, its lock, and folding
//! text to the letters these voices know. Not here: what to say (`text`), loudness (`level`).
//!
//! flite keeps its noise generator, its error jump and a voice's features in globals, so one process-wide lock is held
//! while it speaks. It is fifty times faster than real time: the lock costs a call less than a packet.

use std::ffi::{CStr, CString, c_char, c_float, c_int, c_short, c_void};
use std::ops::ControlFlow;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::SAMPLE_RATE_HZ;
use crate::clause::{Splitter, SplitterConfig};
use crate::engine::{Engine, Sink, VoiceInfo};
use crate::error::TtsError;
use crate::level::{Shaper, gain_for};
use crate::text::ascii;

/// flite's voice, opaque.
#[repr(C)]
struct CstVoice {
    _private: [u8; 0],
}

type TakeSamples = unsafe extern "C" fn(*mut c_void, *const c_short, usize) -> c_int;
type TakePhone = unsafe extern "C" fn(*mut c_void, *const c_char, c_int, c_float, c_float);

unsafe extern "C" {
    fn offhook_flite_open(number: c_int) -> *mut CstVoice;
    fn offhook_flite_speak(
        voice: *mut CstVoice,
        text: *const c_char,
        stretch: c_float,
        chunk: c_int,
        rate: *mut c_int,
        take: TakeSamples,
        phone: Option<TakePhone>,
        owner: *mut c_void,
    ) -> c_int;
}

/// Names of the embedded voices; the place is the number the C side knows it by.
pub const VOICES: [&str; 2] = ["slt", "rms"];

/// Slowest and fastest speaking rate, as factors of the voice's own.
pub const RATE_MIN: f32 = 0.5;
pub const RATE_MAX: f32 = 2.0;

/// Letters handed to flite at once. It analyses a text whole before the first sample: longer means later.
const PIECE_CHARS_MAX: usize = 220;
/// 50 ms: how often audio comes out, and how soon a cancelled text stops.
const CHUNK_SAMPLES: c_int = 800;
/// Speech to measure a voice's level by, with as many different sounds as fit.
const CALIBRATION: &str = "The quick brown fox jumps over the lazy dog, while five wizards watch.";

/// Registered voices. flite never frees one, so each is opened once per process.
#[derive(Default)]
struct Registered {
    voices: [Option<VoicePtr>; VOICES.len()],
}

#[derive(Clone, Copy)]
struct VoicePtr(*mut CstVoice);

// SAFETY: the pointer is only followed by C code that runs under `FLITE`'s lock.
unsafe impl Send for VoicePtr {}

static FLITE: Mutex<Registered> = Mutex::new(Registered {
    voices: [None; VOICES.len()],
});

fn lock() -> MutexGuard<'static, Registered> {
    // Nothing of ours panics while the lock is held; the sink's panics are caught at the border.
    FLITE.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Name, change of token, start and end in seconds.
type RawPhone = (String, c_int, f32, f32);

/// Where a phone is in the sound, by flite's own account.
#[doc(hidden)]
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Phone {
    pub name: String,
    /// Place of its word in the text; none in a pause.
    pub word: Option<usize>,
    /// First sample, and the one after the last.
    pub start: usize,
    pub end: usize,
}

/// One embedded voice.
#[derive(Debug)]
pub struct FliteEngine {
    number: usize,
    name: String,
    rate: f32,
    gain: Option<f32>,
}

impl FliteEngine {
    /// The voice called `voice` (one of [`VOICES`]) at `rate` times its own speed, held between [`RATE_MIN`] and
    /// [`RATE_MAX`].
    pub fn open(voice: &str, rate: f32) -> Result<FliteEngine, TtsError> {
        let Some(number) = VOICES.iter().position(|known| *known == voice) else {
            return Err(TtsError::VoiceUnknown {
                name: format!("flite:{voice}"),
                known: VOICES.map(|name| format!("flite:{name}")).join(", "),
            });
        };
        let rate = if rate.is_finite() {
            rate.clamp(RATE_MIN, RATE_MAX)
        } else {
            1.0
        };
        let name = if rate == 1.0 {
            format!("flite:{voice}")
        } else {
            format!("flite:{voice}@{rate:.2}")
        };
        Ok(FliteEngine {
            number,
            name,
            rate,
            gain: None,
        })
    }

    /// Sound of `text` (already normalised), with where each of its phones is by flite's own account. For measuring what
    /// others estimate; the program has no use for it. `None` when flite reads the text as another number of words, or
    /// it is longer than one piece.
    #[doc(hidden)]
    #[allow(clippy::type_complexity)]
    pub fn phones(&mut self, text: &str) -> Result<Option<(Vec<i16>, Vec<Phone>)>, TtsError> {
        if self.gain.is_none() {
            self.warm()?;
        }
        let text = ascii::fold(text);
        let mut shaper = Shaper::new(self.gain.unwrap_or(1.0));
        let mut raw = Vec::new();
        let mut told = Vec::new();
        let _ = self.speak_phones(
            &text,
            &mut |samples| {
                raw.extend_from_slice(samples);
                ControlFlow::Continue(())
            },
            Some(&mut told),
        )?;
        let mut pcm = Vec::new();
        let mut dropped = None;
        for (n, &sample) in raw.iter().enumerate() {
            shaper.push(&[sample], &mut pcm);
            if dropped.is_none() && !pcm.is_empty() {
                dropped = Some(n + 1 - pcm.len());
            }
        }
        shaper.finish(&mut pcm);
        let dropped = dropped.unwrap_or(0);
        let at =
            |seconds: f32| ((seconds * SAMPLE_RATE_HZ as f32) as usize).saturating_sub(dropped);
        let mut words = 0;
        let mut phones = Vec::new();
        for (name, token_change, start, end) in told {
            words += usize::from(token_change == 1);
            phones.push(Phone {
                name,
                word: (token_change >= 0 && words > 0).then(|| words - 1),
                start: at(start),
                end: at(end),
            });
        }
        let is_usable = words == text.split_whitespace().count() && text.len() <= PIECE_CHARS_MAX;
        Ok(is_usable.then_some((pcm, phones)))
    }

    /// Raw samples of `text`, unshaped.
    fn speak(&self, text: &str, sink: Sink<'_>) -> Result<ControlFlow<()>, TtsError> {
        self.speak_phones(text, sink, None)
    }

    fn speak_phones(
        &self,
        text: &str,
        sink: Sink<'_>,
        phones: Option<&mut Vec<RawPhone>>,
    ) -> Result<ControlFlow<()>, TtsError> {
        let Ok(text) = CString::new(text) else {
            return Err(TtsError::EngineFailed {
                reason: "a zero byte in the text".to_owned(),
            });
        };
        let mut registered = lock();
        let slot = &mut registered.voices[self.number];
        let voice = match *slot {
            Some(voice) => voice,
            None => {
                // SAFETY: under the lock; the number is a place in VOICES, which the C side knows.
                let opened = unsafe { offhook_flite_open(self.number as c_int) };
                if opened.is_null() {
                    return Err(TtsError::EngineFailed {
                        reason: format!("flite could not set up {}", self.name),
                    });
                }
                *slot.insert(VoicePtr(opened))
            }
        };
        let mut taker = Taker {
            sink,
            phones: None,
            flow: ControlFlow::Continue(()),
            panicked: false,
        };
        let take_phone = phones.is_some().then_some(take_phone as TakePhone);
        taker.phones = phones;
        let mut rate_hz: c_int = SAMPLE_RATE_HZ as c_int;
        // SAFETY: under the lock; `voice` was registered above, `text` ends in zero, `taker` and `rate_hz` outlive the
        // call, and `take_samples` lets no panic out.
        let outcome = unsafe {
            offhook_flite_speak(
                voice.0,
                text.as_ptr(),
                1.0 / self.rate,
                CHUNK_SAMPLES,
                &raw mut rate_hz,
                take_samples,
                take_phone,
                (&raw mut taker).cast(),
            )
        };
        drop(registered);
        if taker.panicked {
            return Err(TtsError::EnginePanicked);
        }
        if taker.flow.is_break() {
            return Ok(ControlFlow::Break(()));
        }
        if outcome != 0 || rate_hz != SAMPLE_RATE_HZ as c_int {
            return Err(TtsError::EngineFailed {
                reason: format!("flite gave up (code {outcome}, {rate_hz} Hz)"),
            });
        }
        Ok(ControlFlow::Continue(()))
    }
}

struct Taker<'a> {
    sink: Sink<'a>,
    phones: Option<&'a mut Vec<RawPhone>>,
    flow: ControlFlow<()>,
    panicked: bool,
}

/// Called by flite with each chunk. A panic must not unwind into C.
unsafe extern "C" fn take_samples(
    owner: *mut c_void,
    samples: *const c_short,
    count: usize,
) -> c_int {
    // SAFETY: `owner` is the `Taker` of the call in progress, on this very thread.
    let taker = unsafe { &mut *owner.cast::<Taker<'_>>() };
    // SAFETY: flite hands `count` samples of a wave it keeps alive until we return.
    let samples = unsafe { std::slice::from_raw_parts(samples, count) };
    match catch_unwind(AssertUnwindSafe(|| (taker.sink)(samples))) {
        Ok(flow) => taker.flow = flow,
        Err(_) => taker.panicked = true,
    }
    c_int::from(taker.panicked || taker.flow.is_break())
}

/// Called by flite with each phone of a spoken text, when it was asked to. Nothing here panics.
unsafe extern "C" fn take_phone(
    owner: *mut c_void,
    name: *const c_char,
    token_change: c_int,
    start: c_float,
    end: c_float,
) {
    // SAFETY: `owner` is the `Taker` of the call in progress, on this very thread.
    let taker = unsafe { &mut *owner.cast::<Taker<'_>>() };
    // SAFETY: flite names each phone with a string that ends in zero and lives as long as the utterance.
    let name = unsafe { CStr::from_ptr(name) };
    if let Some(phones) = &mut taker.phones {
        let name = name.to_string_lossy().into_owned();
        phones.push((name, token_change, start, end));
    }
}

impl Engine for FliteEngine {
    fn name(&self) -> &str {
        &self.name
    }

    fn info(&self) -> VoiceInfo {
        VoiceInfo {
            name: self.name.clone(),
            language: "en-US".to_owned(),
            licence: "CMU Flite (BSD-like)".to_owned(),
            embedded: true,
        }
    }

    fn warm(&mut self) -> Result<(), TtsError> {
        let mut pcm = Vec::new();
        let _ = self.speak(CALIBRATION, &mut |samples| {
            pcm.extend_from_slice(samples);
            ControlFlow::Continue(())
        })?;
        if pcm.is_empty() {
            return Err(TtsError::EngineFailed {
                reason: format!("{} is silent", self.name),
            });
        }
        self.gain = Some(gain_for(&pcm));
        Ok(())
    }

    fn synthesise(&mut self, text: &str, sink: Sink<'_>) -> Result<(), TtsError> {
        if self.gain.is_none() {
            self.warm()?;
        }
        let gain = self.gain.unwrap_or(1.0);
        let text = ascii::fold(text);
        let mut splitter = Splitter::new(SplitterConfig {
            // A piece is a clause already: cut only what is too long.
            first_chars_min: PIECE_CHARS_MAX / 2,
            first_words_min: PIECE_CHARS_MAX,
            first_phrase_words_min: PIECE_CHARS_MAX,
            first_chars_max: PIECE_CHARS_MAX,
            chars_max: PIECE_CHARS_MAX,
            ..SplitterConfig::default()
        });
        let mut pieces = splitter.push(&text);
        pieces.extend(splitter.finish());
        let mut shaper = Shaper::new(gain);
        let mut shaped = Vec::new();
        for piece in pieces {
            if !piece.bytes().any(|b| b.is_ascii_alphanumeric()) {
                continue;
            }
            let flow = self.speak(&piece, &mut |samples| {
                shaped.clear();
                shaper.push(samples, &mut shaped);
                if shaped.is_empty() {
                    return ControlFlow::Continue(());
                }
                sink(&shaped)
            })?;
            if flow.is_break() {
                return Ok(());
            }
        }
        shaped.clear();
        shaper.finish(&mut shaped);
        if !shaped.is_empty() {
            let _ = sink(&shaped);
        }
        Ok(())
    }
}

#[cfg(test)]
#[path = "flite/tests.rs"]
mod tests;
