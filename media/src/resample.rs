//! Sample rate conversion, streaming and whole clips.
//!
//! Owns: one mono stream from one rate to another, anti-aliased. Does not own: clock drift (no rate is adjusted).
//!
//! Two engines. Between 8 and 16 kHz, where every packet of a call passes, a polyphase FIR of our own: it answers
//! sample for sample (no blocks), so that its delay is the filter's alone, 3 ms. `rubato`'s FFT resampler would need
//! blocks, and either 10 ms of delay or a filter too short for the band edge of a telephone. For all other pairs
//! (voices at 22.05 or 24 kHz, sound files) `rubato`, in chunks of about 20 ms.
//!
//! | rates | delay | note |
//! |---|---|---|
//! | equal | 0 | |
//! | 8 to 16, 16 to 8 kHz | 3 ms | flat to 3.4 kHz, 60 dB down from 4 kHz |
//! | other | about 5 ms (10 ms from 22.05 kHz), see [`Resampler::delay_samples`] | plus up to one chunk held until it is full |
//!
//! PURE.

use std::collections::VecDeque;
use std::sync::LazyLock;

use rubato::audioadapter_buffers::direct::InterleavedSlice;
use rubato::{Fft, FixedSync, Resampler as _, WindowFunction};

/// Lowest and highest rate served, in hertz. Outside, [`Resampler::supports`] is false.
pub const RATE_HZ_RANGE: std::ops::RangeInclusive<u32> = 4_000..=192_000;

/// Taps of the telephone filter at 16 kHz: delay (97 - 1) / 2 = 48 samples = 3 ms.
const TAPS: usize = 97;
const HALF_TAPS: usize = TAPS / 2;

/// Band edge: middle of the transition from 3.4 kHz (end of the telephone band) to 4 kHz (Nyquist at 8 kHz).
const CUTOFF_HZ: f64 = 3_700.0;

/// Kaiser window shape for 60 dB.
const KAISER_BETA: f64 = 5.65;

static TELEPHONE_FILTER: LazyLock<[f32; TAPS]> = LazyLock::new(telephone_filter);

fn telephone_filter() -> [f32; TAPS] {
    // Modified Bessel function of the first kind, order 0, by its power series.
    fn bessel_i0(x: f64) -> f64 {
        let mut sum = 1.0;
        let mut term = 1.0;
        for k in 1..40 {
            term *= (x / (2.0 * f64::from(k))).powi(2);
            sum += term;
        }
        sum
    }
    let mut taps = [0.0; TAPS];
    let cutoff = CUTOFF_HZ / 16_000.0;
    for (n, tap) in taps.iter_mut().enumerate() {
        let t = n as f64 - HALF_TAPS as f64;
        let ideal = if t == 0.0 {
            2.0 * cutoff
        } else {
            (std::f64::consts::TAU * cutoff * t).sin() / (std::f64::consts::PI * t)
        };
        let r = t / HALF_TAPS as f64;
        let window = bessel_i0(KAISER_BETA * (1.0 - r * r).sqrt()) / bessel_i0(KAISER_BETA);
        *tap = ideal * window;
    }
    let sum: f64 = taps.iter().sum();
    taps.map(|tap| (tap / sum) as f32)
}

/// One mono stream from one sample rate to another.
#[derive(Debug)]
pub struct Resampler {
    from_hz: u32,
    to_hz: u32,
    engine: Engine,
}

#[derive(Debug)]
enum Engine {
    Same,
    Double(Fir),
    Half { fir: Fir, skip: bool },
    Fft(Box<Chunks>),
}

impl Resampler {
    /// Whether this pair of rates is served.
    pub fn supports(from_hz: u32, to_hz: u32) -> bool {
        RATE_HZ_RANGE.contains(&from_hz) && RATE_HZ_RANGE.contains(&to_hz)
    }

    /// A resampler with empty history. Rates outside [`RATE_HZ_RANGE`] are taken as the nearest one inside.
    pub fn new(from_hz: u32, to_hz: u32) -> Resampler {
        let nearest = |hz: u32| hz.clamp(*RATE_HZ_RANGE.start(), *RATE_HZ_RANGE.end());
        let (from_hz, to_hz) = (nearest(from_hz), nearest(to_hz));
        let engine = match (from_hz, to_hz) {
            (from, to) if from == to => Engine::Same,
            (8_000, 16_000) => Engine::Double(Fir::new()),
            (16_000, 8_000) => Engine::Half {
                fir: Fir::new(),
                skip: false,
            },
            _ => Engine::Fft(Box::new(Chunks::new(from_hz, to_hz))),
        };
        Resampler {
            from_hz,
            to_hz,
            engine,
        }
    }

    /// Delay of the filter in output samples; [`resample_clip`] trims it.
    pub fn delay_samples(&self) -> usize {
        match &self.engine {
            Engine::Same => 0,
            Engine::Double(_) => HALF_TAPS,
            Engine::Half { .. } => HALF_TAPS / 2,
            Engine::Fft(chunks) => chunks.fft.output_delay(),
        }
    }

    /// Takes samples at the first rate, gives what is ready at the second.
    pub fn process(&mut self, input: &[i16]) -> Vec<i16> {
        match &mut self.engine {
            Engine::Same => input.to_vec(),
            Engine::Double(fir) => fir.double(input),
            Engine::Half { fir, skip } => fir.half(input, skip),
            Engine::Fft(chunks) => chunks.process(input),
        }
    }

    /// What is still inside, as if silence followed; the stream starts anew afterwards.
    pub fn finish(&mut self) -> Vec<i16> {
        let held = match &self.engine {
            Engine::Fft(chunks) => chunks.pending.len(),
            _ => 0,
        };
        let delay_in = (self.delay_samples() as u64 * u64::from(self.from_hz))
            .div_ceil(u64::from(self.to_hz)) as usize;
        let chunk = match &self.engine {
            Engine::Fft(chunks) => chunks.fft.input_frames_next(),
            _ => 0,
        };
        let wanted = ((held + delay_in) as u64 * u64::from(self.to_hz))
            .div_ceil(u64::from(self.from_hz)) as usize;
        let mut tail = self.process(&vec![0; delay_in + chunk]);
        tail.truncate(wanted);
        *self = Resampler::new(self.from_hz, self.to_hz);
        tail
    }
}

/// A recording that comes piece by piece: as [`Resampler`], with the filter's delay trimmed from its start, and a
/// length in proportion.
#[derive(Debug)]
pub struct Aligned {
    resampler: Resampler,
    /// Samples of the filter's delay that have still to go.
    late: usize,
    taken: u64,
    given: u64,
}

impl Aligned {
    /// Rates are taken as [`Resampler::new`] takes them.
    pub fn new(from_hz: u32, to_hz: u32) -> Aligned {
        let resampler = Resampler::new(from_hz, to_hz);
        Aligned {
            late: resampler.delay_samples(),
            resampler,
            taken: 0,
            given: 0,
        }
    }

    /// Takes samples at the first rate, gives what is ready at the second.
    pub fn process(&mut self, input: &[i16]) -> Vec<i16> {
        self.taken += input.len() as u64;
        let mut ready = self.resampler.process(input);
        self.trim(&mut ready);
        self.given += ready.len() as u64;
        ready
    }

    /// The rest: with it, as many samples were given as the recording is long.
    pub fn finish(mut self) -> Vec<i16> {
        let (from_hz, to_hz) = (self.resampler.from_hz, self.resampler.to_hz);
        let mut rest = self.resampler.finish();
        self.trim(&mut rest);
        let length = (self.taken * u64::from(to_hz)).div_ceil(u64::from(from_hz));
        rest.resize(length.saturating_sub(self.given) as usize, 0);
        rest
    }

    fn trim(&mut self, samples: &mut Vec<i16>) {
        let cut = self.late.min(samples.len());
        samples.drain(..cut);
        self.late -= cut;
    }
}

/// Samples of a clip resampled at a time: what is in between takes no more room.
const CLIP_PART: usize = 16 * 1_024;

/// A whole clip at another rate: same start, length in proportion, the filter's delay trimmed.
pub fn resample_clip(clip: &[i16], from_hz: u32, to_hz: u32) -> Vec<i16> {
    let mut aligned = Aligned::new(from_hz, to_hz);
    let mut output = Vec::new();
    for part in clip.chunks(CLIP_PART) {
        output.extend(aligned.process(part));
    }
    output.extend(aligned.finish());
    output
}

fn to_sample(value: f32) -> i16 {
    // `as` saturates.
    value.round() as i16
}

/// The telephone filter with the samples it still needs.
#[derive(Debug)]
struct Fir {
    /// The last `TAPS - 1` input samples, oldest first.
    history: Vec<f32>,
}

impl Fir {
    fn new() -> Fir {
        Fir {
            history: vec![0.0; TAPS - 1],
        }
    }

    fn line(&self, input: &[i16]) -> Vec<f32> {
        let mut line = Vec::with_capacity(self.history.len() + input.len());
        line.extend_from_slice(&self.history);
        line.extend(input.iter().map(|&sample| f32::from(sample)));
        line
    }

    fn keep(&mut self, line: &[f32]) {
        self.history
            .copy_from_slice(&line[line.len() - (TAPS - 1)..]);
    }

    /// 8 to 16 kHz: even outputs use the even taps, odd outputs the odd taps; gain 2 makes up for the zeros between.
    fn double(&mut self, input: &[i16]) -> Vec<i16> {
        let taps = &*TELEPHONE_FILTER;
        let line = self.line(input);
        let mut output = Vec::with_capacity(input.len() * 2);
        for n in TAPS - 1..line.len() {
            let mut even = 0.0;
            let mut odd = 0.0;
            for k in 0..=HALF_TAPS {
                even += line[n - k] * taps[2 * k];
            }
            for k in 0..HALF_TAPS {
                odd += line[n - k] * taps[2 * k + 1];
            }
            output.push(to_sample(2.0 * even));
            output.push(to_sample(2.0 * odd));
        }
        self.keep(&line);
        output
    }

    /// 16 to 8 kHz: every second output is computed. `skip` carries the phase across odd-sized inputs.
    fn half(&mut self, input: &[i16], skip: &mut bool) -> Vec<i16> {
        let taps = &*TELEPHONE_FILTER;
        let line = self.line(input);
        let mut output = Vec::with_capacity(input.len() / 2 + 1);
        for window in line.windows(TAPS) {
            if !*skip {
                // The filter is symmetric, so its direction does not matter.
                let sum: f32 = window.iter().zip(taps).map(|(x, tap)| x * tap).sum();
                output.push(to_sample(sum));
            }
            *skip = !*skip;
        }
        self.keep(&line);
        output
    }
}

fn gcd(a: u32, b: u32) -> u32 {
    if b == 0 { a } else { gcd(b, a % b) }
}

/// `rubato` fed with full chunks.
struct Chunks {
    fft: Fft<f32>,
    /// Less than one chunk of input.
    pending: VecDeque<f32>,
}

impl std::fmt::Debug for Chunks {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Chunks({} pending)", self.pending.len())
    }
}

impl Chunks {
    fn new(from_hz: u32, to_hz: u32) -> Chunks {
        // The FFT works in blocks of whole samples at both rates; two of about 10 ms make a chunk where rates allow.
        let block_min = (from_hz / gcd(from_hz, to_hz)) as usize;
        let blocks = ((from_hz / 100) as usize).div_ceil(block_min);
        let chunk = 2 * blocks * block_min;
        let fft = Fft::new_custom(
            from_hz as usize,
            to_hz as usize,
            chunk,
            2,
            1,
            WindowFunction::BlackmanHarris2,
            FixedSync::Both,
        )
        .expect("both rates are above zero and one channel is asked for");
        Chunks {
            fft,
            pending: VecDeque::with_capacity(chunk),
        }
    }

    fn process(&mut self, input: &[i16]) -> Vec<i16> {
        self.pending
            .extend(input.iter().map(|&sample| f32::from(sample)));
        let mut output = Vec::new();
        loop {
            let needed = self.fft.input_frames_next();
            if self.pending.len() < needed {
                return output;
            }
            let chunk: Vec<f32> = self.pending.drain(..needed).collect();
            let mut resampled = vec![0.0; self.fft.output_frames_next()];
            let frames = resampled.len();
            let (Ok(from), Ok(mut to)) = (
                InterleavedSlice::new(&chunk, 1, needed),
                InterleavedSlice::new_mut(&mut resampled, 1, frames),
            ) else {
                return output;
            };
            match self.fft.process_into_buffer(&from, &mut to, None) {
                Ok((_, written)) => {
                    output.extend(resampled[..written].iter().map(|&value| to_sample(value)));
                }
                // Buffer sizes are what the resampler asked for; it has no other way to fail.
                Err(_) => return output,
            }
        }
    }
}

#[cfg(test)]
#[path = "resample_tests.rs"]
mod tests;
