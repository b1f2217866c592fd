//! G.722 at 64 kbit/s: 16 kHz sound as two sub-bands of adaptive differences. ITU-T G.722, sections 3, 4 and 6.
//!
//! Owns: encoder and decoder in the integer arithmetic of section 6, block by block. Does not own: the RTP clock, which
//! is 8 kHz by an old mistake that stayed (RFC 3551 section 4.5.2).
//!
//! One octet is two samples. Any octets decode. Delay: 22 samples of 16 kHz for both ways together (1.4 ms).
//!
//! PURE.

/// Delay of encoder and decoder together, in samples.
pub const DELAY_SAMPLES: usize = 22;

/// Half of the 24 taps that split and join the bands (table 11, scaled by 2^13).
const SPLIT_TAPS: [i32; 12] = [3, -11, 12, 32, -210, 951, 3876, -805, 362, -156, 53, -11];

/// Decision levels of the 6 bit quantizer (table 14), in units of the scale factor.
const LEVELS_6: [i32; 29] = [
    35, 72, 110, 150, 190, 233, 276, 323, 370, 422, 473, 530, 587, 650, 714, 786, 858, 940, 1023,
    1121, 1219, 1339, 1458, 1612, 1765, 1980, 2195, 2557, 2919,
];

/// Outputs of the inverse quantizers of 6, 4 and 2 bits (tables 14, 15 and 17 of the blocks INVQBL, INVQAL, INVQAH).
const INVERSE_6: [i32; 64] = [
    -136, -136, -136, -136, -24808, -21904, -19008, -16704, -14984, -13512, -12280, -11192, -10232,
    -9360, -8576, -7856, -7192, -6576, -6000, -5456, -4944, -4464, -4008, -3576, -3168, -2776,
    -2400, -2032, -1688, -1360, -1040, -728, 24808, 21904, 19008, 16704, 14984, 13512, 12280,
    11192, 10232, 9360, 8576, 7856, 7192, 6576, 6000, 5456, 4944, 4464, 4008, 3576, 3168, 2776,
    2400, 2032, 1688, 1360, 1040, 728, 432, 136, -432, -136,
];
const INVERSE_4: [i32; 16] = [
    0, -20456, -12896, -8968, -6288, -4240, -2584, -1200, 20456, 12896, 8968, 6288, 4240, 2584,
    1200, 0,
];
const INVERSE_2: [i32; 4] = [-7408, -1616, 7408, 1616];

/// Steps of the logarithmic scale factor for each 4 bit and 2 bit code (blocks LOGSCL and LOGSCH).
const SCALE_STEP_4: [i32; 16] = [
    -60, 3042, 1198, 538, 334, 172, 58, -30, 3042, 1198, 538, 334, 172, 58, -30, -60,
];
const SCALE_STEP_2: [i32; 4] = [798, -214, 798, -214];

/// Powers of two in steps of 1/32, scaled by 2048 (blocks SCALEL and SCALEH).
const EXPONENTIAL: [i32; 32] = [
    2048, 2093, 2139, 2186, 2233, 2282, 2332, 2383, 2435, 2489, 2543, 2599, 2656, 2714, 2774, 2834,
    2896, 2960, 3025, 3091, 3158, 3228, 3298, 3371, 3444, 3520, 3597, 3676, 3756, 3838, 3922, 4008,
];

fn to_16_bit(value: i32) -> i32 {
    value.clamp(-0x8000, 0x7fff)
}

fn to_15_bit(value: i32) -> i32 {
    value.clamp(-0x4000, 0x3fff)
}

/// Predictor and scale factor of one sub-band, the same in encoder and decoder.
#[derive(Debug, Clone)]
struct Band {
    /// Scale factor of the quantizer, and its logarithm.
    scale: i32,
    scale_log: i32,
    /// Largest logarithm, and the shift that belongs to it: they differ between the bands.
    scale_log_max: i32,
    scale_shift: i32,
    /// Coefficients of the two poles and six zeros.
    poles: [i32; 2],
    zeros: [i32; 6],
    /// Newest first: differences, outputs of the zeros' part with its difference, reconstructed signal.
    differences: [i32; 6],
    partial: [i32; 2],
    rebuilt: [i32; 2],
    zeros_sum: i32,
    estimate: i32,
}

impl Band {
    fn low() -> Band {
        Band::new(32, 18_432, 8)
    }

    fn high() -> Band {
        Band::new(8, 22_528, 10)
    }

    fn new(scale: i32, scale_log_max: i32, scale_shift: i32) -> Band {
        Band {
            scale,
            scale_log: 0,
            scale_log_max,
            scale_shift,
            poles: [0; 2],
            zeros: [0; 6],
            differences: [0; 6],
            partial: [0; 2],
            rebuilt: [0; 2],
            zeros_sum: 0,
            estimate: 0,
        }
    }

    fn difference(&self, inverse: i32) -> i32 {
        (self.scale * inverse) >> 15
    }

    /// Blocks LOGSCL, SCALEL and their counterparts.
    fn rescale(&mut self, step: i32) {
        let log = ((self.scale_log * 127) >> 7) + step;
        self.scale_log = log.clamp(0, self.scale_log_max);
        let mantissa = EXPONENTIAL[((self.scale_log >> 6) & 31) as usize];
        let shift = self.scale_shift - (self.scale_log >> 11);
        self.scale = if shift < 0 {
            mantissa << -shift
        } else {
            mantissa >> shift
        } << 2;
    }

    /// Block 4: the predictor learns from a difference and gives the next estimate.
    fn adapt(&mut self, difference: i32) {
        let same_sign = |a: i32, b: i32| (a < 0) == (b < 0);
        let rebuilt = to_16_bit(self.estimate + difference);
        let partial = to_16_bit(self.zeros_sum + difference);

        // UPPOL2, then UPPOL1 within the bounds that keep the predictor stable.
        let grown = to_16_bit(self.poles[0] << 2);
        let toward = if same_sign(partial, self.partial[0]) {
            (-grown).min(0x7fff)
        } else {
            grown
        };
        let sign = |same: bool, size: i32| if same { size } else { -size };
        let second = (toward >> 7)
            + sign(same_sign(partial, self.partial[1]), 128)
            + ((self.poles[1] * 32_512) >> 15);
        let second = second.clamp(-12_288, 12_288);
        let bound = 15_360 - second;
        let first =
            sign(same_sign(partial, self.partial[0]), 192) + ((self.poles[0] * 32_640) >> 15);
        self.poles = [first.clamp(-bound, bound), second];

        // UPZERO.
        for (zero, before) in self.zeros.iter_mut().zip(self.differences) {
            let step = match difference {
                0 => 0,
                _ => sign(same_sign(difference, before), 128),
            };
            *zero = to_16_bit(step + ((*zero * 32_640) >> 15));
        }

        self.differences.rotate_right(1);
        self.differences[0] = difference;
        self.partial = [partial, self.partial[0]];
        self.rebuilt = [rebuilt, self.rebuilt[0]];

        // FILTEP, FILTEZ, PREDIC.
        let product = |coefficient: i32, value: i32| (coefficient * to_16_bit(value << 1)) >> 15;
        let poles_sum = to_16_bit(
            product(self.poles[0], self.rebuilt[0]) + product(self.poles[1], self.rebuilt[1]),
        );
        let zeros = self.zeros.iter().zip(self.differences);
        self.zeros_sum = to_16_bit(zeros.map(|(&zero, value)| product(zero, value)).sum());
        self.estimate = to_16_bit(poles_sum + self.zeros_sum);
    }

    fn adapt_low(&mut self, code: usize) {
        let code = code >> 2;
        let difference = self.difference(INVERSE_4[code]);
        self.rescale(SCALE_STEP_4[code]);
        self.adapt(difference);
    }

    fn adapt_high(&mut self, code: usize) {
        let difference = self.difference(INVERSE_2[code]);
        self.rescale(SCALE_STEP_2[code]);
        self.adapt(difference);
    }
}

/// The last 24 values of a quadrature mirror filter.
type Line = [i32; 24];

/// Sums over the even and the odd taps.
fn mirror(line: &Line) -> (i32, i32) {
    let even = (0..12).map(|n| line[2 * n] * SPLIT_TAPS[n]).sum();
    let odd = (0..12).map(|n| line[2 * n + 1] * SPLIT_TAPS[11 - n]).sum();
    (even, odd)
}

fn push(line: &mut Line, first: i32, second: i32) {
    line.copy_within(2.., 0);
    line[22] = first;
    line[23] = second;
}

/// 16 kHz sound to octets.
#[derive(Debug, Clone)]
pub struct Encoder {
    line: Line,
    low: Band,
    high: Band,
}

impl Default for Encoder {
    fn default() -> Self {
        Encoder::new()
    }
}

impl Encoder {
    pub fn new() -> Encoder {
        Encoder {
            line: [0; 24],
            low: Band::low(),
            high: Band::high(),
        }
    }

    /// One octet for every two samples; an odd last one is left out.
    pub fn encode(&mut self, samples: &[i16]) -> Vec<u8> {
        samples
            .chunks_exact(2)
            .map(|pair| self.pair(pair[0], pair[1]))
            .collect()
    }

    fn pair(&mut self, first: i16, second: i16) -> u8 {
        push(&mut self.line, i32::from(first), i32::from(second));
        let (even, odd) = mirror(&self.line);
        let low = to_16_bit(((odd + even) >> 14) - self.low.estimate);
        let high = to_16_bit(((odd - even) >> 14) - self.high.estimate);

        // QUANTL: codes of a sign count down from the loudest, save for the two smallest negative ones.
        let size = if low < 0 { !low } else { low };
        let level = LEVELS_6
            .iter()
            .take_while(|&&level| size >= (level * self.low.scale) >> 12)
            .count();
        let low_code = match (low < 0, level) {
            (true, 0 | 1) => 63 - level,
            (true, _) => 33 - level,
            (false, _) => 61 - level,
        };
        // QUANTH.
        let size = if high < 0 { !high } else { high };
        let is_large = size >= (564 * self.high.scale) >> 12;
        let high_code = match (high < 0, is_large) {
            (true, true) => 0,
            (true, false) => 1,
            (false, true) => 2,
            (false, false) => 3,
        };
        self.low.adapt_low(low_code);
        self.high.adapt_high(high_code);
        ((high_code << 6) | low_code) as u8
    }
}

/// Octets to 16 kHz sound.
#[derive(Debug, Clone)]
pub struct Decoder {
    line: Line,
    /// The last of what was given out.
    heard: Line,
    low: Band,
    high: Band,
}

impl Default for Decoder {
    fn default() -> Self {
        Decoder::new()
    }
}

impl Decoder {
    pub fn new() -> Decoder {
        Decoder {
            line: [0; 24],
            heard: [0; 24],
            low: Band::low(),
            high: Band::high(),
        }
    }

    /// Two samples for every octet.
    pub fn decode(&mut self, octets: &[u8]) -> Vec<i16> {
        octets.iter().flat_map(|&octet| self.pair(octet)).collect()
    }

    /// Goes along with sound that was made up for lost octets, as if it had been encoded: the predictors then meet the
    /// first octets after the loss near where the sender's are. The idea is that of G.722 appendices III and IV.
    ///
    /// `pcm` goes on for [`DELAY_SAMPLES`] after the loss: the sender splits the bands that much earlier than we hear them.
    pub fn follow(&mut self, pcm: &[i16]) {
        let before = self.heard.into_iter();
        let sound: Vec<i32> = before.chain(pcm.iter().map(|&s| i32::from(s))).collect();
        let (Some(line), Some(rest)) = (
            sound.get(DELAY_SAMPLES..DELAY_SAMPLES + 24),
            sound.get(DELAY_SAMPLES + 24..),
        ) else {
            return;
        };
        let mut encoder = Encoder {
            line: [0; 24],
            low: self.low.clone(),
            high: self.high.clone(),
        };
        encoder.line.copy_from_slice(line);
        let rest: Vec<i16> = rest.iter().map(|&s| s as i16).collect();
        let octets = encoder.encode(&rest);
        self.decode(&octets);
    }

    fn pair(&mut self, octet: u8) -> [i16; 2] {
        let (low_code, high_code) = (usize::from(octet & 0x3f), usize::from(octet >> 6));
        let low = to_15_bit(self.low.estimate + self.low.difference(INVERSE_6[low_code]));
        let high = to_15_bit(self.high.estimate + self.high.difference(INVERSE_2[high_code]));
        self.low.adapt_low(low_code);
        self.high.adapt_high(high_code);
        push(&mut self.line, low + high, low - high);
        let (even, odd) = mirror(&self.line);
        let [first, second] = [odd, even].map(|sum| to_16_bit(sum >> 11));
        push(&mut self.heard, first, second);
        [first as i16, second as i16]
    }
}

#[cfg(test)]
#[path = "g722_tests.rs"]
mod tests;
