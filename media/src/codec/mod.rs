//! Payload to 16 kHz sound and back. RFC 3551 section 4.5 (PCMU, PCMA, G.722), RFC 7587 (Opus).
//!
//! Owns: which codecs exist, their clock rates, one decoder and encoder per direction with the resampler inside.
//! Does not own: packet order or loss (`jitter_buffer`, `concealment`), payload type numbers agreed by SDP.
//!
//! Delay of both ways together: 6 ms for G.711 (two resamplers, see `resample`), 1.4 ms for G.722, 6.5 ms for Opus.
//!
//! PURE.

pub mod g711;
pub mod g722;
pub mod opus;
pub mod opus_rate;

use crate::concealment::Concealer;
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
    /// G.722 at 64 kbit/s, static payload type 9.
    G722,
    /// Opus, a payload type by agreement.
    Opus,
}

impl Codec {
    /// RTP clock rate in hertz. G.722 counts at half the rate it samples with (RFC 3551 section 4.5.2), Opus always at
    /// 48 kHz (RFC 7587 section 4.1).
    pub const fn clock_rate_hz(self) -> u32 {
        match self {
            Codec::Pcmu | Codec::Pcma | Codec::G722 => 8_000,
            Codec::Opus => opus::CLOCK_RATE_HZ,
        }
    }

    /// Encoding name as written in SDP `a=rtpmap` (RFC 3551 section 6, RFC 7587 section 7).
    pub const fn name(self) -> &'static str {
        match self {
            Codec::Pcmu => "PCMU",
            Codec::Pcma => "PCMA",
            Codec::G722 => "G722",
            Codec::Opus => "opus",
        }
    }

    /// Payload type assigned without negotiation (RFC 3551 table 4), if there is one.
    pub const fn static_payload_type(self) -> Option<u8> {
        match self {
            Codec::Pcmu => Some(0),
            Codec::Pcma => Some(8),
            Codec::G722 => Some(9),
            Codec::Opus => None,
        }
    }

    /// How long a payload sounds, in units of [`Codec::clock_rate_hz`]; 0 for what cannot be decoded.
    pub fn duration(self, payload: &[u8]) -> u32 {
        match self {
            Codec::Pcmu | Codec::Pcma | Codec::G722 => payload.len() as u32,
            Codec::Opus => opus::duration(payload),
        }
    }
}

/// Turns payloads of one stream into 16 kHz sound.
#[derive(Debug)]
pub struct Decoder {
    codec: Codec,
    engine: Decoding,
}

#[derive(Debug)]
enum Decoding {
    G711 {
        expand: fn(u8) -> i16,
        resampler: Resampler,
    },
    G722(Box<g722::Decoder>),
    Opus(opus::Decoder),
}

impl Decoder {
    pub fn new(codec: Codec) -> Decoder {
        let g711 = |expand| Decoding::G711 {
            expand,
            resampler: Resampler::new(8_000, SAMPLE_RATE_HZ),
        };
        Decoder {
            codec,
            engine: match codec {
                Codec::Pcmu => g711(g711::ulaw_to_linear),
                Codec::Pcma => g711(g711::alaw_to_linear),
                Codec::G722 => Decoding::G722(Box::default()),
                Codec::Opus => Decoding::Opus(opus::Decoder::new()),
            },
        }
    }

    pub fn codec(&self) -> Codec {
        self.codec
    }

    /// Decodes one payload. Any bytes are valid G.711 and G.722, two samples for each octet; what is no Opus packet
    /// gives nothing.
    pub fn decode(&mut self, payload: &[u8]) -> Vec<i16> {
        match &mut self.engine {
            Decoding::G711 { expand, resampler } => {
                let linear: Vec<i16> = payload.iter().map(|&code| expand(code)).collect();
                resampler.process(&linear)
            }
            Decoding::G722(decoder) => decoder.decode(payload),
            Decoding::Opus(decoder) => decoder.decode(payload),
        }
    }

    /// Sound was made up by others in place of lost payloads: a decoder that predicts goes along with it.
    /// `then` is how it would go on.
    pub fn follow(&mut self, pcm: &[i16], then: &mut Concealer) {
        if let Decoding::G722(decoder) = &mut self.engine {
            let mut pcm = pcm.to_vec();
            pcm.extend(then.conceal(g722::DELAY_SAMPLES));
            decoder.follow(&pcm);
        }
    }

    /// `count` samples in place of lost ones, `next` being the payload after the gap if it is here. `None` where the
    /// codec has no way of its own: that is for `concealment`.
    pub fn conceal(&mut self, count: usize, next: Option<&[u8]>) -> Option<Vec<i16>> {
        match &mut self.engine {
            Decoding::Opus(decoder) => Some(decoder.conceal(count, next)),
            Decoding::G711 { .. } | Decoding::G722(_) => None,
        }
    }
}

/// Turns 16 kHz frames of one stream into payloads.
#[derive(Debug)]
pub struct Encoder {
    codec: Codec,
    engine: Encoding,
}

#[derive(Debug)]
enum Encoding {
    G711 {
        compress: fn(i16) -> u8,
        resampler: Resampler,
    },
    G722(Box<g722::Encoder>),
    Opus(opus::Encoder),
}

impl Encoder {
    pub fn new(codec: Codec) -> Encoder {
        let g711 = |compress| Encoding::G711 {
            compress,
            resampler: Resampler::new(SAMPLE_RATE_HZ, 8_000),
        };
        Encoder {
            codec,
            engine: match codec {
                Codec::Pcmu => g711(g711::linear_to_ulaw),
                Codec::Pcma => g711(g711::linear_to_alaw),
                Codec::G722 => Encoding::G722(Box::default()),
                Codec::Opus => Encoding::Opus(opus::Encoder::new(opus::Settings::default())),
            },
        }
    }

    pub fn codec(&self) -> Codec {
        self.codec
    }

    /// Encodes 20 ms: 160 octets for G.711 and G.722. Up to two octets of Opus need not be sent (DTX).
    pub fn encode(&mut self, frame: &Frame) -> Vec<u8> {
        match &mut self.engine {
            Encoding::G711 {
                compress,
                resampler,
            } => resampler
                .process(frame)
                .into_iter()
                .map(*compress)
                .collect(),
            Encoding::G722(encoder) => encoder.encode(frame),
            Encoding::Opus(encoder) => encoder.encode(frame),
        }
    }

    /// Tells the codecs that can be told; the others stay as they are.
    pub fn set_opus(&mut self, settings: opus::Settings) {
        if let Encoding::Opus(encoder) = &mut self.engine {
            encoder.set(settings);
        }
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
