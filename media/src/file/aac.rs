//! AAC as a stream of its own (ADTS, ISO/IEC 13818-7 annex B), and the decoder that `mp4` shares: `oxideav-aac`, for
//! AAC-LC and HE-AAC. A frame that is damaged gives nothing; too many of them end the file.
//!
//! PURE.

use oxideav_aac::adts::AdtsHeader;
use oxideav_aac::decode::{DecodedFrame, StreamDecoder};

use super::{Clip, FileError, Mono, guarded};
use crate::resample::RATE_HZ_RANGE;

/// Longest sound decoded: this decoder takes a core's second for about a second of sound.
const SECONDS_MAX: u32 = 60;
/// Frames in a row that cannot be decoded before the rest is given up.
const DAMAGED_MAX: u32 = 20;
/// Longest frame decoded, as ADTS counts it (13 bits). MP4 allows any length, and its bytes may hold any number of
/// channels.
const FRAME_BYTES_MAX: usize = 8_191;

fn malformed(reason: &'static str) -> FileError {
    FileError::Malformed {
        format: "aac",
        reason,
    }
}

/// How raw frames are to be read: what an ADTS header or an AudioSpecificConfig says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Format {
    pub object_type: u8,
    pub rate_index: u8,
    pub rate_hz: u32,
    pub channels: u8,
}

/// Frames to one clip. The rate is known with the first decoded frame, and may be twice what the format says (SBR).
pub(super) struct Frames {
    decoder: StreamDecoder,
    mono: Option<Mono>,
    damaged: u32,
    max_s: u32,
}

impl Frames {
    pub(super) fn new(max_s: u32) -> Frames {
        Frames {
            decoder: StreamDecoder::new(),
            mono: None,
            damaged: 0,
            max_s: max_s.min(SECONDS_MAX),
        }
    }

    /// One raw frame. False: no more is worth trying.
    pub(super) fn push(&mut self, format: Format, payload: &[u8]) -> Result<bool, FileError> {
        if payload.len() > FRAME_BYTES_MAX {
            return self.keep(None);
        }
        let decoded = self.decoder.decode_raw_data_block(
            format.object_type,
            format.rate_index,
            format.rate_hz,
            format.channels,
            1,
            payload,
        );
        self.keep(decoded.ok())
    }

    fn push_adts(&mut self, frame: &[u8]) -> Result<bool, FileError> {
        let decoded = self.decoder.decode_adts_frame(frame).ok();
        self.keep(decoded)
    }

    fn keep(&mut self, decoded: Option<DecodedFrame>) -> Result<bool, FileError> {
        // A frame of nothing but filling is no sound either.
        let Some(decoded) = decoded.filter(|decoded| decoded.channels > 0) else {
            self.damaged += 1;
            return Ok(self.damaged < DAMAGED_MAX);
        };
        self.damaged = 0;
        if !RATE_HZ_RANGE.contains(&decoded.sample_rate) {
            return Err(malformed("its sample rate is out of range"));
        }
        let max_s = self.max_s;
        let mono = self
            .mono
            .get_or_insert_with(|| Mono::new(decoded.sample_rate, max_s));
        if mono.rate_hz != decoded.sample_rate {
            // The rate changes within the stream: what came before is kept.
            return Ok(false);
        }
        mono.push(&decoded.pcm, decoded.channels)?;
        Ok(true)
    }

    pub(super) fn finish(self) -> Result<Clip, FileError> {
        self.mono
            .map(Mono::finish)
            .ok_or(malformed("none of its frames can be decoded"))
    }
}

/// Reads ADTS frames of at most `max_s` seconds.
pub(super) fn read(bytes: &[u8], max_s: u32) -> Result<Clip, FileError> {
    guarded("aac", || {
        let mut frames = Frames::new(max_s);
        let mut rest = bytes;
        while let Some(at) = rest
            .windows(2)
            .position(|pair| pair[0] == 0xff && pair[1] & 0xf6 == 0xf0)
        {
            rest = &rest[at..];
            let length = match AdtsHeader::parse(rest) {
                Ok((header, _)) => usize::from(header.aac_frame_length),
                Err(_) => 0,
            };
            let Some(frame) = rest.get(..length).filter(|frame| !frame.is_empty()) else {
                // No frame after all, or the last one cut off.
                rest = &rest[1..];
                continue;
            };
            if !frames.push_adts(frame)? {
                break;
            }
            rest = &rest[length..];
        }
        frames.finish()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const FORMAT: Format = Format {
        object_type: 2,
        rate_index: 8,
        rate_hz: 16_000,
        channels: 1,
    };

    /// How many of these frames are taken before the rest is given up, and what was heard.
    fn pushed(payload: &[u8]) -> (usize, bool) {
        let mut frames = Frames::new(60);
        let taken = (0..200).take_while(|_| frames.push(FORMAT, payload) == Ok(true));
        (taken.count(), frames.finish().is_ok())
    }

    #[test]
    fn frames_without_sound_end_the_file() {
        // A single channel element without a coefficient, and the end: silence.
        let silence = [0x00, 0x00, 0x00, 0x07];
        let long = [&silence[..], &[0; FRAME_BYTES_MAX]].concat();
        // A fill element of no bytes, and the end.
        let filling = [0xc1, 0xc0];
        let most = DAMAGED_MAX as usize - 1;
        assert!(pushed(&silence).1);
        assert_eq!(pushed(&long), (most, false));
        assert_eq!(pushed(&filling), (most, false));
    }
}
