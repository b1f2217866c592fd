//! FLAC (RFC 9639), decoded by `claxon`. A damaged file gives what came before the damage.
//!
//! PURE.

use std::io::Cursor;

use claxon::{FlacReader, FlacReaderOptions};

use super::{Clip, FileError, Mono};
use crate::resample::RATE_HZ_RANGE;

fn malformed(reason: &'static str) -> FileError {
    FileError::Malformed {
        format: "flac",
        reason,
    }
}

/// Reads a file of at most `max_s` seconds.
pub(super) fn read(bytes: &[u8], max_s: u32) -> Result<Clip, FileError> {
    let options = FlacReaderOptions {
        metadata_only: false,
        read_vorbis_comment: false,
    };
    let mut reader = FlacReader::new_ext(Cursor::new(bytes), options)
        .map_err(|_| malformed("its header cannot be read"))?;
    let info = reader.streaminfo();
    if !RATE_HZ_RANGE.contains(&info.sample_rate) {
        return Err(malformed("its sample rate is out of range"));
    }
    let mut mono = Mono::new(info.sample_rate, max_s);
    let mut blocks = reader.blocks();
    let mut buffer = Vec::new();
    let mut interleaved = Vec::new();
    while let Ok(Some(block)) = blocks.read_next_or_eof(buffer) {
        interleaved.clear();
        for n in 0..block.duration() {
            for channel in 0..block.channels() {
                let sample = i64::from(block.sample(channel, n));
                let sample = match info.bits_per_sample {
                    bits @ 17.. => sample >> (bits - 16),
                    bits => sample << (16 - bits),
                };
                interleaved.push(sample.clamp(-32_768, 32_767) as i16);
            }
        }
        mono.push(&interleaved, block.channels() as usize)?;
        buffer = block.into_buffer();
    }
    Ok(mono.finish())
}
