//! Payload to 16 kHz sound and back. RFC 3551 section 4.5.14 (PCMU, PCMA).
//!
//! Owns: which codecs exist, their clock rates, one decoder and encoder per direction with the resampler inside.
//! Does not own: packet order or loss (`jitter_buffer`, `concealment`), payload type numbers agreed by SDP.
//! Delay: that of one 8 to 16 kHz resampler per direction, 3 ms (see `resample`).
//!
//! PURE.

pub mod g711;

use crate::resample::Resampler;
use crate::{Frame, SAMPLE_RATE_HZ};

/// A codec a call may use.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Codec {
    /// G.711 mu-law, static payload type 0.
    Pcmu,
    /// G.711 A-law, static payload type 8.
    Pcma,
}

impl Codec {
    /// RTP clock rate in hertz.
    pub const fn clock_rate_hz(self) -> u32 {
        match self {
            Codec::Pcmu | Codec::Pcma => 8_000,
        }
    }

    /// Encoding name as written in SDP `a=rtpmap` (RFC 3551 section 6).
    pub const fn name(self) -> &'static str {
        match self {
            Codec::Pcmu => "PCMU",
            Codec::Pcma => "PCMA",
        }
    }

    /// Payload type assigned without negotiation (RFC 3551 table 4).
    pub const fn static_payload_type(self) -> u8 {
        match self {
            Codec::Pcmu => 0,
            Codec::Pcma => 8,
        }
    }

    /// How long a payload sounds, in units of [`Codec::clock_rate_hz`].
    pub fn duration(self, payload: &[u8]) -> u32 {
        match self {
            Codec::Pcmu | Codec::Pcma => payload.len() as u32,
        }
    }
}

/// Turns payloads of one stream into 16 kHz sound.
#[derive(Debug)]
pub struct Decoder {
    codec: Codec,
    resampler: Resampler,
}

impl Decoder {
    pub fn new(codec: Codec) -> Decoder {
        Decoder {
            codec,
            resampler: Resampler::new(codec.clock_rate_hz(), SAMPLE_RATE_HZ),
        }
    }

    pub fn codec(&self) -> Codec {
        self.codec
    }

    /// Decodes one payload. Any bytes are valid G.711; two samples come out for each octet.
    pub fn decode(&mut self, payload: &[u8]) -> Vec<i16> {
        let expand = match self.codec {
            Codec::Pcmu => g711::ulaw_to_linear,
            Codec::Pcma => g711::alaw_to_linear,
        };
        let linear: Vec<i16> = payload.iter().map(|&code| expand(code)).collect();
        self.resampler.process(&linear)
    }
}

/// Turns 16 kHz frames of one stream into payloads.
#[derive(Debug)]
pub struct Encoder {
    codec: Codec,
    resampler: Resampler,
}

impl Encoder {
    pub fn new(codec: Codec) -> Encoder {
        Encoder {
            codec,
            resampler: Resampler::new(SAMPLE_RATE_HZ, codec.clock_rate_hz()),
        }
    }

    pub fn codec(&self) -> Codec {
        self.codec
    }

    /// Encodes 20 ms: 160 octets for G.711.
    pub fn encode(&mut self, frame: &Frame) -> Vec<u8> {
        let compress = match self.codec {
            Codec::Pcmu => g711::linear_to_ulaw,
            Codec::Pcma => g711::linear_to_alaw,
        };
        self.resampler
            .process(frame)
            .into_iter()
            .map(compress)
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::FRAME_SAMPLES;

    fn sine(hz: f64, amplitude: f64, samples: usize) -> Vec<i16> {
        (0..samples)
            .map(|n| (amplitude * (std::f64::consts::TAU * hz * n as f64 / 16_000.0).sin()) as i16)
            .collect()
    }

    /// Signal to noise ratio in dB against the best scaled and shifted copy of the input.
    fn snr_db(input: &[i16], output: &[i16], delay: usize) -> f64 {
        let pairs: Vec<(f64, f64)> = input[..input.len() - delay]
            .iter()
            .zip(&output[delay..])
            .skip(1_000)
            .map(|(&a, &b)| (f64::from(a), f64::from(b)))
            .collect();
        let signal: f64 = pairs.iter().map(|(a, _)| a * a).sum();
        let noise: f64 = pairs.iter().map(|(a, b)| (a - b) * (a - b)).sum();
        10.0 * (signal / noise).log10()
    }

    #[test]
    fn sound_survives_encoding() {
        for codec in [Codec::Pcmu, Codec::Pcma] {
            for hz in [300.0, 1_000.0, 3_000.0] {
                let input = sine(hz, 8_000.0, 320 * 50);
                let mut encoder = Encoder::new(codec);
                let mut decoder = Decoder::new(codec);
                let mut output = Vec::new();
                for frame in input.chunks_exact(FRAME_SAMPLES) {
                    let payload = encoder.encode(frame.try_into().unwrap());
                    assert_eq!(payload.len(), 160);
                    output.extend(decoder.decode(&payload));
                }
                assert_eq!(output.len(), input.len());
                // 3 ms each way.
                let snr = snr_db(&input, &output, 96);
                assert!(snr > 34.0, "{codec:?} {hz} Hz: {snr:.1} dB");
            }
        }
    }

    #[test]
    fn odd_payloads_decode() {
        let mut decoder = Decoder::new(Codec::Pcmu);
        for len in [0, 1, 79, 80, 160, 240, 1_400] {
            assert_eq!(decoder.decode(&vec![0x33; len]).len(), len * 2);
        }
    }
}
