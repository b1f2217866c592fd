//! What is heard in place of our echo: the line's own noise, as loud and as coloured as it was when nobody spoke.
//! Replacing it by silence, or by noise of another colour, would sound like something starting each time it ends.
//!
//! PURE.

use crate::{FRAME_SAMPLES, Frame};

/// The line's own noise: the least of each of the last two blocks of 0.8 s.
#[derive(Debug)]
pub(super) struct Floor {
    before: f32,
    block: f32,
    frames: u32,
}

impl Floor {
    const BLOCK_FRAMES: u32 = 40;

    pub(super) fn new() -> Floor {
        Floor {
            before: f32::INFINITY,
            block: f32::INFINITY,
            frames: 0,
        }
    }

    pub(super) fn frame(&mut self, power: f32) {
        self.block = self.block.min(power);
        self.frames += 1;
        if self.frames == Floor::BLOCK_FRAMES {
            (self.before, self.block, self.frames) = (self.block, f32::INFINITY, 0);
        }
    }

    /// A frame that may hold more than noise.
    pub(super) fn below(&mut self, power: f32) {
        self.before = self.before.min(power);
    }

    pub(super) fn power(&self) -> f32 {
        let least = self.before.min(self.block);
        if least.is_finite() { least } else { 0.0 }
    }
}

/// Frames of noise kept: 160 ms.
const FRAMES_KEPT: usize = 8;

/// Noise heard lately, and where it is read.
#[derive(Debug)]
pub(super) struct Comfort {
    samples: Vec<i16>,
    oldest: usize,
    at: usize,
    backwards: bool,
    random: u64,
}

impl Comfort {
    pub(super) fn new(seed: u64) -> Comfort {
        Comfort {
            samples: Vec::with_capacity(FRAMES_KEPT * FRAME_SAMPLES),
            oldest: 0,
            at: 0,
            backwards: false,
            random: seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1,
        }
    }

    /// A frame of nothing but noise.
    pub(super) fn keep(&mut self, pcm: &Frame) {
        if self.samples.len() < FRAMES_KEPT * FRAME_SAMPLES {
            self.samples.extend_from_slice(pcm);
        } else {
            let from = self.oldest * FRAME_SAMPLES;
            self.samples[from..from + FRAME_SAMPLES].copy_from_slice(pcm);
            self.oldest = (self.oldest + 1) % FRAMES_KEPT;
        }
    }

    /// Noise; silence as long as none was heard. Read to and fro, turning at random, so that nothing repeats or jumps.
    pub(super) fn fill(&mut self, pcm: &mut Frame) {
        if self.samples.len() < 2 {
            pcm.fill(0);
            return;
        }
        self.random ^= self.random << 13;
        self.random ^= self.random >> 7;
        self.random ^= self.random << 17;
        let turn = self.random as usize % FRAME_SAMPLES;
        for (n, sample) in pcm.iter_mut().enumerate() {
            let last = self.samples.len() - 1;
            if n == turn || (self.at == 0 && self.backwards) || (self.at >= last && !self.backwards)
            {
                self.backwards = self.at >= last || (self.at > 0 && !self.backwards);
            }
            self.at = if self.backwards {
                self.at.saturating_sub(1)
            } else {
                (self.at + 1).min(last)
            };
            *sample = self.samples[self.at];
        }
    }
}
