//! PURE.
//!
//! Voice activity detection: when speech starts and stops, by sample position, frame by frame. Earshot's network gives
//! the probability of voice per hop of 16 ms; here it is guarded against line tones (on which the network fires), against
//! sound that does not stand out from the line's own noise, and against clicks. Keeps no audio: a start is reported some
//! 60 ms after it happened, and `utterance` has the sound from before.

use crate::tone::{Tonality, ToneGuard, WINDOW_SAMPLES};
use crate::{FRAME_SAMPLES, ms_to_samples, samples_to_ms};

/// Samples per decision, fixed by the network: 16 ms.
const HOP_SAMPLES: usize = 256;
/// The noise floor falls to a quieter hop at once and rises by this factor per hop: about 3.4 dB/s.
const FLOOR_RISE: f32 = 1.006_3;
/// A floor above this (−30 dBFS) would shut out normal voices; it is noise that the network must judge alone.
const FLOOR_RMS_MAX: f32 = 1_000.0;

/// What is taken for speech. The default is tuned on telephone-band speech.
#[derive(Debug, Clone, PartialEq)]
pub struct VadConfig {
    /// Voice needed before speech counts as started, in milliseconds. Shorter sounds are clicks.
    pub start_ms: u32,
    /// Silence needed before speech counts as paused, in milliseconds. Longer than most stops inside a word.
    pub pause_ms: u32,
    /// Silence needed before speech counts as stopped, in milliseconds.
    pub stop_ms: u32,
    /// Probability from which a hop can start speech.
    pub start_probability: f32,
    /// Probability from which a hop keeps speech going.
    pub stop_probability: f32,
    /// A hop quieter than this root mean square (of 32 767) is silence: about −58 dBFS.
    pub rms_min: f32,
    /// How many times louder than the noise floor a hop must be.
    pub floor_factor: f32,
}

impl Default for VadConfig {
    fn default() -> VadConfig {
        VadConfig {
            start_ms: 60,
            pause_ms: 80,
            stop_ms: 200,
            start_probability: 0.65,
            stop_probability: 0.45,
            rms_min: 40.0,
            floor_factor: 1.25,
        }
    }
}

/// What happened, at which sample since the start or the last [`Vad::reset`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum VadEvent {
    /// Speech started at `at`, the first sample of the voice that led to this event.
    SpeechStarted {
        /// Sample position.
        at: u64,
    },
    /// No voice for `pause_ms`, inside speech; `at` is just after the last voiced sample. A stop or a return follows.
    SpeechPaused {
        /// Sample position.
        at: u64,
    },
    /// Voice came back before a pause was a stop; `at` is the first voiced sample after it.
    SpeechResumed {
        /// Sample position.
        at: u64,
    },
    /// Speech stopped; `at` is just after the last voiced sample, at least `stop_ms` ago.
    SpeechStopped {
        /// Sample position.
        at: u64,
    },
}

/// The detector of one stream.
pub struct Vad {
    config: VadConfig,
    network: Box<earshot::Detector>,
    tone_guard: ToneGuard,
    /// The last window, newest sample last.
    window: [i16; WINDOW_SAMPLES],
    /// Samples at the end of `window` that no hop has covered yet.
    pending: usize,
    position: u64,
    floor_rms: f32,
    probability: f32,
    phase: Phase,
    /// Voiced hops since the start, for `voiced_ms`.
    voiced_hops: u64,
}

#[derive(Debug, Clone, Copy)]
enum Phase {
    Silence {
        /// Credit for voice so far; silence takes from it as fast as voice gives.
        voiced_samples: usize,
        /// Where that voice began.
        from: u64,
        /// End of the last speech.
        since: u64,
    },
    Speech {
        last_voice: u64,
        is_paused: bool,
    },
}

impl std::fmt::Debug for Vad {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Vad")
            .field("position", &self.position)
            .field("probability", &self.probability)
            .field("floor_rms", &self.floor_rms)
            .field("phase", &self.phase)
            .finish_non_exhaustive()
    }
}

impl Vad {
    /// A detector at position 0, in silence.
    pub fn new(config: VadConfig) -> Vad {
        Vad {
            config,
            network: Box::new(earshot::Detector::default()),
            tone_guard: ToneGuard::new(),
            window: [0; WINDOW_SAMPLES],
            pending: 0,
            position: 0,
            floor_rms: FLOOR_RMS_MAX,
            probability: 0.0,
            phase: Phase::Silence {
                voiced_samples: 0,
                from: 0,
                since: 0,
            },
            voiced_hops: 0,
        }
    }

    /// Takes the next 20 ms. `tone` says that the caller knows a line tone or DTMF to be sounding, so that this frame is
    /// no voice; the detector looks for tones itself too. At most one event per frame.
    pub fn frame(&mut self, pcm: &[i16; FRAME_SAMPLES], tone: bool) -> Option<VadEvent> {
        let mut event = None;
        let mut rest = &pcm[..];
        while !rest.is_empty() {
            let (now, later) = rest.split_at(rest.len().min(HOP_SAMPLES - self.pending));
            self.window.copy_within(now.len().., 0);
            self.window[WINDOW_SAMPLES - now.len()..].copy_from_slice(now);
            self.pending += now.len();
            self.position += now.len() as u64;
            rest = later;
            if self.pending == HOP_SAMPLES {
                self.pending = 0;
                // Two hops can end in one frame. A pause that is over within it was none; all else is further apart.
                event = match (event, self.hop(tone)) {
                    (Some(VadEvent::SpeechPaused { .. }), Some(VadEvent::SpeechResumed { .. })) => {
                        None
                    }
                    (earlier, later) => later.or(earlier),
                };
            }
        }
        event
    }

    /// True between a start and the stop that follows.
    pub fn is_speech(&self) -> bool {
        matches!(self.phase, Phase::Speech { .. })
    }

    /// The network's probability of voice in the last hop, 0 to 1, before any guard.
    pub fn probability(&self) -> f32 {
        self.probability
    }

    /// Samples taken so far.
    pub fn position(&self) -> u64 {
        self.position
    }

    /// Milliseconds since the last voice, or since the beginning when there was none.
    pub fn silence_ms(&self) -> u32 {
        let last = match self.phase {
            Phase::Silence { since, .. } => since,
            Phase::Speech { last_voice, .. } => last_voice,
        };
        samples_to_ms(usize::try_from(self.position - last).unwrap_or(usize::MAX))
    }

    /// Forgets everything, position included; the configuration stays.
    pub fn reset(&mut self) {
        self.network.reset();
        self.tone_guard.reset();
        self.window = [0; WINDOW_SAMPLES];
        self.pending = 0;
        self.position = 0;
        self.floor_rms = FLOOR_RMS_MAX;
        self.probability = 0.0;
        self.voiced_hops = 0;
        self.phase = Phase::Silence {
            voiced_samples: 0,
            from: 0,
            since: 0,
        };
    }

    fn hop(&mut self, tone: bool) -> Option<VadEvent> {
        let hop = &self.window[WINDOW_SAMPLES - HOP_SAMPLES..];
        let energy: f32 = hop.iter().map(|s| f32::from(*s) * f32::from(*s)).sum();
        let rms = (energy / HOP_SAMPLES as f32).sqrt();
        // NaN cannot come out of finite samples, but a comparison with one would be silence, which is the safe side.
        self.probability = self.network.predict_i16(hop).clamp(0.0, 1.0);
        let tonality = match self.tone_guard.hop(&self.window) {
            _ if tone => Tonality::Tone,
            heard => heard,
        };
        let loud = rms >= self.config.rms_min && rms >= self.floor_rms * self.config.floor_factor;
        self.floor_rms = (self.floor_rms * FLOOR_RISE)
            .min(rms.max(1.0))
            .min(FLOOR_RMS_MAX);
        self.decide(tonality, loud)
    }

    fn decide(&mut self, tonality: Tonality, loud: bool) -> Option<VadEvent> {
        let hop_start = self.position - HOP_SAMPLES as u64;
        match &mut self.phase {
            Phase::Silence {
                voiced_samples,
                from,
                ..
            } => {
                if tonality == Tonality::Tone {
                    *voiced_samples = 0;
                } else if tonality == Tonality::None
                    && loud
                    && self.probability >= self.config.start_probability
                {
                    if *voiced_samples == 0 {
                        *from = hop_start;
                    }
                    *voiced_samples += HOP_SAMPLES;
                    self.voiced_hops += 1;
                } else {
                    *voiced_samples = voiced_samples.saturating_sub(HOP_SAMPLES);
                }
                if *voiced_samples < ms_to_samples(self.config.start_ms) {
                    return None;
                }
                let at = *from;
                self.phase = Phase::Speech {
                    last_voice: self.position,
                    is_paused: false,
                };
                Some(VadEvent::SpeechStarted { at })
            }
            Phase::Speech {
                last_voice,
                is_paused,
            } => {
                if tonality != Tonality::Tone
                    && loud
                    && self.probability >= self.config.stop_probability
                {
                    *last_voice = self.position;
                    self.voiced_hops += 1;
                    let was_paused = std::mem::replace(is_paused, false);
                    return was_paused.then_some(VadEvent::SpeechResumed { at: hop_start });
                }
                let at = *last_voice;
                let silent = self.position - at;
                if silent < ms_to_samples(self.config.stop_ms) as u64 {
                    let begins =
                        !*is_paused && silent >= ms_to_samples(self.config.pause_ms) as u64;
                    *is_paused |= begins;
                    return begins.then_some(VadEvent::SpeechPaused { at });
                }
                self.phase = Phase::Silence {
                    voiced_samples: 0,
                    from: 0,
                    since: at,
                };
                Some(VadEvent::SpeechStopped { at })
            }
        }
    }
}

/// How much of a clip is voice, in milliseconds; 0 when speech never starts by the default configuration.
pub fn voiced_ms(pcm: &[i16]) -> u32 {
    let mut vad = Vad::new(VadConfig::default());
    let mut spoken = false;
    let mut frame = [0; FRAME_SAMPLES];
    for chunk in pcm.chunks(FRAME_SAMPLES) {
        frame[..chunk.len()].copy_from_slice(chunk);
        frame[chunk.len()..].fill(0);
        spoken |= matches!(
            vad.frame(&frame, false),
            Some(VadEvent::SpeechStarted { .. })
        );
    }
    if spoken {
        samples_to_ms(usize::try_from(vad.voiced_hops).unwrap_or(usize::MAX) * HOP_SAMPLES)
    } else {
        0
    }
}

#[cfg(test)]
#[path = "vad_tests.rs"]
mod tests;
