//! Loudness and edges of synthesised speech: gain to a telephone's level, a limiter, silence trimmed at both ends. Works
//! on samples as they stream; one `Shaper` per text.
//! PURE.

/// Aimed-at loudness of speech: −20 dB below full scale, where telephone networks expect it, with room for peaks.
const TARGET_RMS: f32 = 0.1 * 32_768.0;
/// Where the limiter begins to bend: −3 dB.
const KNEE: f32 = 0.707 * 32_768.0;
const CEILING: f32 = 0.97 * 32_768.0;
/// A weak fricative at the start of a word is still above this; the noise floor of a voice is below.
const SILENT_RMS: f32 = 60.0;
/// 5 ms at 16 kHz: the grain at which silence is told from sound.
const BLOCK: usize = 80;
/// Silence left at either end: 25 ms, so that no consonant is cut.
const EDGE_BLOCKS: usize = 5;
/// Longest silence inside a text: 800 ms. What a voice pauses beyond it is dropped.
const PAUSE_BLOCKS_MAX: usize = 160;

/// Gain that brings `pcm`, some seconds of one voice, to the aimed-at loudness. Counts only what is not silence.
pub fn gain_for(pcm: &[i16]) -> f32 {
    let (mut sum, mut count) = (0.0_f64, 0_usize);
    for block in pcm.chunks_exact(BLOCK) {
        let power = power(block);
        if power > f64::from(SILENT_RMS).powi(2) {
            sum += power;
            count += 1;
        }
    }
    if count == 0 {
        return 1.0;
    }
    let rms = (sum / count as f64).sqrt() as f32;
    (TARGET_RMS / rms).clamp(0.1, 10.0)
}

/// Mean square of a block.
fn power(block: &[i16]) -> f64 {
    let sum: f64 = block.iter().map(|&s| f64::from(s).powi(2)).sum();
    sum / block.len().max(1) as f64
}

/// `sample` times `gain`, bent smoothly towards the ceiling instead of clipped.
fn limited(sample: i16, gain: f32) -> i16 {
    let loud = f32::from(sample) * gain;
    let size = loud.abs();
    if size <= KNEE {
        return loud as i16;
    }
    let room = CEILING - KNEE;
    let bent = KNEE + room * ((size - KNEE) / room).tanh();
    bent.copysign(loud) as i16
}

/// Shapes the audio of one text.
#[derive(Debug)]
pub struct Shaper {
    gain: f32,
    partial: Vec<i16>,
    /// Silence that may turn out to be a pause or an edge.
    held: Vec<i16>,
    has_sounded: bool,
}

impl Shaper {
    /// `gain` from [`gain_for`].
    pub fn new(gain: f32) -> Shaper {
        Shaper {
            gain,
            partial: Vec::with_capacity(BLOCK),
            held: Vec::new(),
            has_sounded: false,
        }
    }

    /// Takes raw samples, appends what can be played to `out`.
    pub fn push(&mut self, pcm: &[i16], out: &mut Vec<i16>) {
        for &sample in pcm {
            self.partial.push(limited(sample, self.gain));
            if self.partial.len() == BLOCK {
                self.block(out);
            }
        }
    }

    /// The end of the text: appends the last samples to `out`.
    pub fn finish(&mut self, out: &mut Vec<i16>) {
        self.block(out);
        if self.has_sounded {
            self.held.truncate(EDGE_BLOCKS * BLOCK);
            out.append(&mut self.held);
        }
        self.held.clear();
        self.has_sounded = false;
    }

    fn block(&mut self, out: &mut Vec<i16>) {
        if power(&self.partial) > f64::from(SILENT_RMS).powi(2) {
            out.append(&mut self.held);
            out.append(&mut self.partial);
            self.has_sounded = true;
            return;
        }
        self.held.append(&mut self.partial);
        if !self.has_sounded {
            let surplus = self.held.len().saturating_sub(EDGE_BLOCKS * BLOCK);
            self.held.drain(..surplus);
        }
        self.held.truncate(PAUSE_BLOCKS_MAX * BLOCK);
    }
}

#[cfg(test)]
#[path = "level_tests.rs"]
mod tests;
