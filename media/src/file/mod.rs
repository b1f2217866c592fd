//! Sound files as bytes: what a recording or a voice note holds, as mono samples.
//!
//! Owns: telling formats apart, WAV (`wav`) and Ogg Opus (`opus`), naming what is not read. Does not own: the disk.
//!
//! Bounds: [`DURATION_S_MAX`] of sound by default, whatever the file claims; nothing is reserved on the word of a
//! header.
//!
//! PURE.

pub mod opus;
pub mod wav;

use thiserror::Error;

use crate::SAMPLE_RATE_HZ;
use crate::resample::resample_clip;

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
    #[error("{0} is not supported; use wav or ogg/opus")]
    Unsupported(&'static str),
    #[error("not a sound file that is known; use wav or ogg/opus")]
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
        _ => Err(name_of(bytes).map_or(FileError::Unknown, FileError::Unsupported)),
    }
}

/// Formats that people try.
fn name_of(bytes: &[u8]) -> Option<&'static str> {
    let starts: [(&[u8], &str); 12] = [
        (b"ID3", "mp3"),
        (b"fLaC", "flac"),
        (b"\x1a\x45\xdf\xa3", "webm or Matroska"),
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
    if let Some((_, name)) = starts.iter().find(|(start, _)| bytes.starts_with(start)) {
        return Some(name);
    }
    match bytes {
        [_, _, _, _, b'f', b't', b'y', b'p', ..] => Some("m4a or mp4"),
        // MPEG audio: eleven bits of ones; layer 0 marks AAC in ADTS.
        [0xff, second, ..] if second & 0xf6 == 0xf0 => Some("aac"),
        [0xff, second, ..] if second & 0xe0 == 0xe0 => Some("mp3"),
        _ => None,
    }
}

#[cfg(test)]
mod tests;
