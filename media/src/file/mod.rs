//! Sound files as bytes: what a recording or a voice note holds, as mono samples.
//!
//! Owns: telling formats apart by their content, WAV (`wav`), Ogg Opus (`opus`), WebM (`webm`), MP4 and AAC (`mp4`,
//! `aac`), MP3 (`mp3`), FLAC (`flac`), naming what is not read. Does not own: the disk.
//!
//! Bounds: [`DURATION_S_MAX`] of sound by default, whatever the file claims; nothing is reserved on the word of a
//! header.
//!
//! PURE.

mod aac;
mod flac;
mod mp3;
mod mp4;
pub mod opus;
pub mod wav;
mod webm;

use std::panic::{AssertUnwindSafe, catch_unwind};

use thiserror::Error;

use crate::SAMPLE_RATE_HZ;
use crate::resample::{Aligned, resample_clip};

/// Longest clip read by [`read`], in seconds.
pub const DURATION_S_MAX: u32 = 600;

/// Mono sound at some rate.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Clip {
    pub rate_hz: u32,
    pub samples: Vec<i16>,
}

impl Clip {
    pub fn duration_ms(&self) -> u64 {
        self.samples.len() as u64 * 1_000 / u64::from(self.rate_hz.max(1))
    }

    /// The clip at [`SAMPLE_RATE_HZ`].
    pub fn into_internal_rate(self) -> Vec<i16> {
        if self.rate_hz == SAMPLE_RATE_HZ {
            self.samples
        } else {
            resample_clip(&self.samples, self.rate_hz, SAMPLE_RATE_HZ)
        }
    }
}

/// Why a file gives no sound. A file that merely ends early gives what is there.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum FileError {
    #[error("the file is empty")]
    Empty,
    #[error("{0} is not supported; use wav, ogg/opus, webm/opus, mp3, m4a or flac")]
    Unsupported(&'static str),
    #[error("not a sound file that is known; use wav, ogg/opus, webm/opus, mp3, m4a or flac")]
    Unknown,
    #[error("the {format} file is malformed: {reason}")]
    Malformed {
        format: &'static str,
        reason: &'static str,
    },
    #[error("the file is longer than {max_s} s")]
    TooLong { max_s: u32 },
    #[error("the encoder refused: {0}")]
    Encoder(String),
}

/// Reads a file of a known format, told by its first bytes, of at most [`DURATION_S_MAX`].
pub fn read(bytes: &[u8]) -> Result<Clip, FileError> {
    read_up_to(bytes, DURATION_S_MAX)
}

/// As [`read`], with another limit.
pub fn read_up_to(bytes: &[u8], max_s: u32) -> Result<Clip, FileError> {
    match bytes {
        [] => Err(FileError::Empty),
        [
            b'R',
            b'I',
            b'F',
            b'F',
            _,
            _,
            _,
            _,
            b'W',
            b'A',
            b'V',
            b'E',
            ..,
        ] => wav::read(bytes, max_s),
        [b'O', b'g', b'g', b'S', ..] => opus::read(bytes, max_s),
        [0x1a, 0x45, 0xdf, 0xa3, ..] => webm::read(bytes, max_s),
        [_, _, _, _, b'f', b't', b'y', b'p', ..] => mp4::read(bytes, max_s),
        [b'f', b'L', b'a', b'C', ..] => guarded("flac", || flac::read(bytes, max_s)),
        // MPEG audio: eleven bits of ones; layer 0 marks AAC in ADTS.
        [0xff, second, ..] if second & 0xf6 == 0xf0 => aac::read(bytes, max_s),
        [b'I', b'D', b'3', ..] => mp3::read_tagged(bytes, max_s),
        [0xff, second, ..] if second & 0xe0 == 0xe0 => mp3::read(bytes, max_s),
        _ => Err(name_of(bytes).map_or(FileError::Unknown, FileError::Unsupported)),
    }
}

/// Formats that people try.
fn name_of(bytes: &[u8]) -> Option<&'static str> {
    let starts: [(&[u8], &str); 9] = [
        (b"#!AMR", "amr"),
        (b"FORM", "aiff"),
        (b".snd", "au"),
        (b"caff", "caf"),
        (b"RF64", "wav of more than 4 GB (RF64)"),
        (b"RIFX", "big-endian wav (RIFX)"),
        (b"RIFF", "this kind of RIFF file"),
        (b"\x30\x26\xb2\x75", "wma"),
        (b"MThd", "midi"),
    ];
    let found = starts.iter().find(|(start, _)| bytes.starts_with(start));
    found.map(|(_, name)| *name)
}

/// Runs a decoder that is not ours: a panic inside it is a damaged file to whoever sent that.
fn guarded<T>(
    format: &'static str,
    decode: impl FnOnce() -> Result<T, FileError>,
) -> Result<T, FileError> {
    catch_unwind(AssertUnwindSafe(decode)).unwrap_or(Err(FileError::Malformed {
        format,
        reason: "its decoder gave up on it",
    }))
}

/// Samples that came interleaved, mixed to mono, brought to [`SAMPLE_RATE_HZ`] as they come and kept up to a length: a
/// small file may hold hours at the highest rate.
struct Mono {
    /// As they came.
    rate_hz: u32,
    resampler: Aligned,
    samples: Vec<i16>,
    max_s: u32,
}

impl Mono {
    fn new(rate_hz: u32, max_s: u32) -> Mono {
        Mono {
            rate_hz,
            resampler: Aligned::new(rate_hz, SAMPLE_RATE_HZ),
            samples: Vec::new(),
            max_s,
        }
    }

    /// Adds frames of `channels` samples each.
    fn push(&mut self, interleaved: &[i16], channels: usize) -> Result<(), FileError> {
        let channels = channels.max(1);
        let frames = interleaved.chunks_exact(channels).map(|frame| {
            let sum: i32 = frame.iter().map(|&sample| i32::from(sample)).sum();
            (sum / channels as i32) as i16
        });
        let mono: Vec<i16> = frames.collect();
        self.samples.extend(self.resampler.process(&mono));
        if self.samples.len() as u64 > u64::from(self.max_s) * u64::from(SAMPLE_RATE_HZ) {
            return Err(FileError::TooLong { max_s: self.max_s });
        }
        Ok(())
    }

    fn finish(mut self) -> Clip {
        self.samples.extend(self.resampler.finish());
        Clip {
            rate_hz: SAMPLE_RATE_HZ,
            samples: self.samples,
        }
    }
}

#[cfg(test)]
mod formats_tests;
#[cfg(test)]
mod tests;
