//! Opus as a call uses it: mono, 20 ms packets out, anything in. RFC 6716 (codec, by libopus), RFC 7587 (in RTP).
//!
//! Owns: the settings of our encoder and how they follow the peer's loss reports; decoding straight to 16 kHz; sound in
//! place of lost packets, from the next packet where it repeats them (in-band FEC), else by the codec's own concealment.
//! Does not own: what was lost (`jitter_buffer`), fmtp parameters.
//!
//! Bounds: a packet sounds for [`PACKET_MS_MAX`] at most (RFC 6716 section 2.1.4); what claims more is malformed.
//!
//! PURE.

use ::opus::{Application, Bitrate, Channels, Signal, packet};

use crate::{Frame, SAMPLE_RATE_HZ};

/// RFC 7587 section 4.1: timestamps count at 48 kHz, whatever the sound.
pub const CLOCK_RATE_HZ: u32 = 48_000;

/// RFC 6716 section 2.1.4.
pub const PACKET_MS_MAX: usize = 120;

/// Samples of the longest packet at 16 kHz.
const PACKET_SAMPLES_MAX: usize = SAMPLE_RATE_HZ as usize * PACKET_MS_MAX / 1_000;

/// Decoded lengths are multiples of 2.5 ms.
const STEP: usize = SAMPLE_RATE_HZ as usize / 400;

/// RFC 6716 section 3.4: the largest frame; we never join frames.
const PACKET_LEN_MAX: usize = 1_275;

/// Bounds of the bitrate we send with.
pub const BITRATE_BPS_RANGE: std::ops::RangeInclusive<u32> = 8_000..=40_000;

/// Packets of at most this many octets hold no sound (DTX).
pub const SILENT_LEN_MAX: usize = 2;

/// Of 0 to 10: good speech at a third of the cost of 10, cheap enough for a Raspberry Pi.
const COMPLEXITY: i32 = 5;

/// What the encoder is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Settings {
    /// Brought within [`BITRATE_BPS_RANGE`].
    pub bitrate_bps: u32,
    /// Packets the peer is expected to lose, in percent. Above 0 packets repeat the one before in brief (in-band FEC).
    pub loss_percent: u8,
    /// Whether silence may go unsent (RFC 7587 section 3.1.3).
    pub dtx: bool,
}

impl Default for Settings {
    /// Wideband speech with some FEC: the first loss report comes after seconds only. Below 28 kbit/s libopus would
    /// rather have the bits in the sound at this loss.
    fn default() -> Self {
        Settings {
            bitrate_bps: 28_000,
            loss_percent: 5,
            dtx: false,
        }
    }
}

/// How long a packet sounds, in units of [`CLOCK_RATE_HZ`]; 0 for what is no Opus packet.
pub fn duration(payload: &[u8]) -> u32 {
    if payload.is_empty() {
        return 0;
    }
    packet::get_nb_samples(payload, CLOCK_RATE_HZ).map_or(0, |samples| samples as u32)
}

/// 16 kHz frames to packets.
#[derive(Debug)]
pub struct Encoder {
    inner: ::opus::Encoder,
    settings: Settings,
}

impl Encoder {
    pub fn new(settings: Settings) -> Encoder {
        let inner = ::opus::Encoder::new(SAMPLE_RATE_HZ, Channels::Mono, Application::Voip)
            .expect("libopus encodes 16 kHz mono speech");
        let mut encoder = Encoder { inner, settings };
        encoder.apply();
        encoder
    }

    pub fn settings(&self) -> Settings {
        self.settings
    }

    pub fn set(&mut self, settings: Settings) {
        if settings != self.settings {
            self.settings = settings;
            self.apply();
        }
    }

    fn apply(&mut self) {
        let Settings {
            bitrate_bps,
            loss_percent,
            dtx,
        } = self.settings;
        let bitrate =
            bitrate_bps.clamp(*BITRATE_BPS_RANGE.start(), *BITRATE_BPS_RANGE.end()) as i32;
        let loss = i32::from(loss_percent.min(100));
        // None of these is refused for values within their ranges.
        let _ = self.inner.set_bitrate(Bitrate::Bits(bitrate));
        let _ = self.inner.set_inband_fec(loss > 0);
        let _ = self.inner.set_packet_loss_perc(loss);
        let _ = self.inner.set_dtx(dtx);
        let _ = self.inner.set_complexity(COMPLEXITY);
        let _ = self.inner.set_signal(Signal::Voice);
    }

    /// One packet of 20 ms. Up to two octets mean that nothing need be sent (DTX).
    pub fn encode(&mut self, frame: &Frame) -> Vec<u8> {
        self.inner
            .encode_vec(frame, PACKET_LEN_MAX)
            .unwrap_or_default()
    }
}

/// Packets to 16 kHz sound.
#[derive(Debug)]
pub struct Decoder {
    inner: ::opus::Decoder,
}

impl Default for Decoder {
    fn default() -> Self {
        Decoder::new()
    }
}

impl Decoder {
    pub fn new() -> Decoder {
        Decoder {
            inner: ::opus::Decoder::new(SAMPLE_RATE_HZ, Channels::Mono)
                .expect("libopus decodes to 16 kHz mono"),
        }
    }

    /// The sound of one packet; none of what is malformed.
    pub fn decode(&mut self, payload: &[u8]) -> Vec<i16> {
        if payload.is_empty() {
            return Vec::new();
        }
        let mut pcm = vec![0; PACKET_SAMPLES_MAX];
        let count = self.inner.decode(payload, &mut pcm, false).unwrap_or(0);
        pcm.truncate(count);
        pcm
    }

    /// `count` samples in place of lost ones: the end of them from `next`, the packet after the gap, as far as it
    /// repeats them, the rest made up. What is made up fades into the background noise the codec heard.
    pub fn conceal(&mut self, count: usize, next: Option<&[u8]>) -> Vec<i16> {
        let next = next.filter(|next| duration(next) > 0);
        let wanted = count.next_multiple_of(STEP);
        let mut sound = Vec::with_capacity(wanted);
        while sound.len() < wanted {
            let rest = wanted - sound.len();
            let is_last = rest <= PACKET_SAMPLES_MAX;
            let mut pcm = vec![0; rest.min(PACKET_SAMPLES_MAX)];
            // Of a longer gap the decoder makes up the beginning by itself.
            let made = match next {
                Some(next) if is_last => self.inner.decode(next, &mut pcm, true),
                _ => self.inner.decode(&[], &mut pcm, false),
            };
            pcm.truncate(made.unwrap_or(0));
            if pcm.is_empty() {
                break;
            }
            sound.extend(pcm);
        }
        // What is left over of a step lies farther from the gap's end.
        sound.drain(..sound.len().saturating_sub(count));
        sound.resize(count, 0);
        sound
    }
}

/// Whether a packet of ours, or of the same shape, repeats the one before it: the LBRR flag of RFC 6716 section 4.2.4.
pub fn has_fec(payload: &[u8]) -> bool {
    let &[toc, first, ..] = payload else {
        return false;
    };
    // RFC 6716 table 2: configurations 0 to 15 have a SILK layer of 10, 20, 40 or 60 ms. One frame to a packet.
    let frames = match (toc >> 3) & 0x1f {
        config @ 0..12 => [1, 1, 2, 3][usize::from(config & 3)],
        12..16 => 1,
        _ => return false,
    };
    toc & 3 == 0 && (first >> (7 - frames)) & 1 == 1
}

#[cfg(test)]
#[path = "opus_tests.rs"]
mod tests;
