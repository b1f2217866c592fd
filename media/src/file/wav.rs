//! WAV: RIFF chunks with PCM of 8, 16, 24 or 32 bits, float, mu-law or A-law, any rate and number of channels.
//! Microsoft Multimedia Programming Interface 1.0 (RIFF); `WAVE_FORMAT_EXTENSIBLE` by its sub-format.
//!
//! Sizes in headers are claims: a data chunk longer than the file (streamed recordings write 0 or all ones) gives
//! what is there.
//!
//! PURE.

use super::{Clip, FileError};
use crate::codec::g711;
use crate::resample::RATE_HZ_RANGE;

/// Channels mixed down at most.
const CHANNELS_MAX: u16 = 32;

const PCM: u16 = 1;
const FLOAT: u16 = 3;
const ALAW: u16 = 6;
const ULAW: u16 = 7;
const EXTENSIBLE: u16 = 0xfffe;

#[derive(Debug, Clone, Copy)]
struct Format {
    encoding: Encoding,
    channels: u16,
    rate_hz: u32,
}

#[derive(Debug, Clone, Copy)]
enum Encoding {
    Unsigned8,
    Signed16,
    Signed24,
    Signed32,
    Float32,
    Float64,
    Alaw,
    Ulaw,
}

impl Encoding {
    fn bytes(self) -> usize {
        match self {
            Encoding::Unsigned8 | Encoding::Alaw | Encoding::Ulaw => 1,
            Encoding::Signed16 => 2,
            Encoding::Signed24 => 3,
            Encoding::Signed32 | Encoding::Float32 => 4,
            Encoding::Float64 => 8,
        }
    }

    /// One sample; `bytes` has the length of [`Encoding::bytes`].
    fn sample(self, bytes: &[u8]) -> i32 {
        // `as` saturates, and takes a NaN for 0.
        let from_float = |value: f64| (value * 32_768.0).round().clamp(-32_768.0, 32_767.0) as i32;
        match (self, bytes) {
            (Encoding::Unsigned8, &[a]) => (i32::from(a) - 128) << 8,
            (Encoding::Alaw, &[a]) => i32::from(g711::alaw_to_linear(a)),
            (Encoding::Ulaw, &[a]) => i32::from(g711::ulaw_to_linear(a)),
            (Encoding::Signed16, &[a, b]) => i32::from(i16::from_le_bytes([a, b])),
            (Encoding::Signed24, &[_, b, c]) => i32::from(i16::from_le_bytes([b, c])),
            (Encoding::Signed32, &[_, _, c, d]) => i32::from(i16::from_le_bytes([c, d])),
            (Encoding::Float32, &[a, b, c, d]) => {
                from_float(f64::from(f32::from_le_bytes([a, b, c, d])))
            }
            (Encoding::Float64, &[a, b, c, d, e, f, g, h]) => {
                from_float(f64::from_le_bytes([a, b, c, d, e, f, g, h]))
            }
            _ => 0,
        }
    }
}

fn malformed(reason: &'static str) -> FileError {
    FileError::Malformed {
        format: "wav",
        reason,
    }
}

/// Reads a WAV file of at most `max_s` seconds.
pub fn read(bytes: &[u8], max_s: u32) -> Result<Clip, FileError> {
    let mut rest = bytes
        .get(12..)
        .ok_or(malformed("it ends within its header"))?;
    let mut format = None;
    // Every turn takes at least 8 bytes of the file.
    while let [a, b, c, d, e, f, g, h, tail @ ..] = rest {
        let claimed = u32::from_le_bytes([*e, *f, *g, *h]) as usize;
        let body = &tail[..claimed.min(tail.len())];
        match &[*a, *b, *c, *d] {
            b"fmt " => format = Some(read_format(body)?),
            b"data" => {
                let format = format.ok_or(malformed("its data comes before its format"))?;
                // A recorder that was cut off leaves the size at 0.
                let body = if claimed == 0 { tail } else { body };
                return read_data(body, format, max_s);
            }
            _ => {}
        }
        // Chunks are filled to an even length.
        let next = claimed.saturating_add(claimed & 1).min(tail.len());
        rest = &tail[next..];
    }
    Err(malformed("it has no data"))
}

fn read_format(body: &[u8]) -> Result<Format, FileError> {
    let short = |at: usize| {
        body.get(at..at + 2)
            .map(|bytes| u16::from_le_bytes([bytes[0], bytes[1]]))
            .ok_or(malformed("its format chunk is too short"))
    };
    let mut tag = short(0)?;
    let channels = short(2)?;
    let rate_hz = u32::from(short(4)?) | (u32::from(short(6)?) << 16);
    let bits = short(14)?;
    if tag == EXTENSIBLE {
        // The sub-format GUID begins with the plain tag.
        tag = short(24)?;
    }
    if channels == 0 || channels > CHANNELS_MAX {
        return Err(malformed("its number of channels is impossible"));
    }
    if !RATE_HZ_RANGE.contains(&rate_hz) {
        return Err(malformed("its sample rate is out of range"));
    }
    let encoding = match (tag, bits) {
        (PCM, 8) => Encoding::Unsigned8,
        (PCM, 16) => Encoding::Signed16,
        (PCM, 24) => Encoding::Signed24,
        (PCM, 32) => Encoding::Signed32,
        (FLOAT, 32) => Encoding::Float32,
        (FLOAT, 64) => Encoding::Float64,
        (ALAW, 8) => Encoding::Alaw,
        (ULAW, 8) => Encoding::Ulaw,
        (2 | 17, _) => return Err(FileError::Unsupported("ADPCM in a wav file")),
        (85, _) => return Err(FileError::Unsupported("mp3 in a wav file")),
        _ => return Err(FileError::Unsupported("this encoding in a wav file")),
    };
    Ok(Format {
        encoding,
        channels,
        rate_hz,
    })
}

fn read_data(body: &[u8], format: Format, max_s: u32) -> Result<Clip, FileError> {
    let sample_bytes = format.encoding.bytes();
    let frame_bytes = sample_bytes * usize::from(format.channels);
    let frames = body.len() / frame_bytes;
    if frames as u64 > u64::from(max_s) * u64::from(format.rate_hz) {
        return Err(FileError::TooLong { max_s });
    }
    let channels = i32::from(format.channels);
    let samples = body
        .chunks_exact(frame_bytes)
        .map(|frame| {
            let sum: i32 = frame
                .chunks_exact(sample_bytes)
                .map(|bytes| format.encoding.sample(bytes))
                .sum();
            (sum / channels) as i16
        })
        .collect();
    Ok(Clip {
        rate_hz: format.rate_hz,
        samples,
    })
}

/// Writes 16 bit mono PCM. A clip beyond 4 GB is cut, as the format cannot say more.
pub fn write(clip: &Clip) -> Vec<u8> {
    let data_max = (u32::MAX as usize - 36) / 2;
    let samples = &clip.samples[..clip.samples.len().min(data_max)];
    let data_len = samples.len() as u32 * 2;
    let mut bytes = Vec::with_capacity(44 + samples.len() * 2);
    bytes.extend_from_slice(b"RIFF");
    bytes.extend_from_slice(&(36 + data_len).to_le_bytes());
    bytes.extend_from_slice(b"WAVEfmt ");
    bytes.extend_from_slice(&16u32.to_le_bytes());
    bytes.extend_from_slice(&PCM.to_le_bytes());
    bytes.extend_from_slice(&1u16.to_le_bytes());
    bytes.extend_from_slice(&clip.rate_hz.to_le_bytes());
    bytes.extend_from_slice(&clip.rate_hz.saturating_mul(2).to_le_bytes());
    bytes.extend_from_slice(&2u16.to_le_bytes());
    bytes.extend_from_slice(&16u16.to_le_bytes());
    bytes.extend_from_slice(b"data");
    bytes.extend_from_slice(&data_len.to_le_bytes());
    for sample in samples {
        bytes.extend_from_slice(&sample.to_le_bytes());
    }
    bytes
}
