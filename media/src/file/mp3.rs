//! MPEG audio layers 1 to 3 (ISO/IEC 11172-3, 13818-3), decoded by `nanomp3`. Tags are passed over, delay and padding
//! trimmed where the file tells them. A damaged file gives what came before the damage.
//!
//! PURE.

use nanomp3::{Channels, SliceReader};

use super::{Clip, FileError, Mono, aac, guarded};

fn malformed(reason: &'static str) -> FileError {
    FileError::Malformed {
        format: "mp3",
        reason,
    }
}

/// A file that begins with an ID3v2 tag: nearly always MP3, at times AAC or FLAC.
pub(super) fn read_tagged(bytes: &[u8], max_s: u32) -> Result<Clip, FileError> {
    let tag = nanomp3::id3v2_len(bytes);
    match bytes.get(tag..) {
        Some([0xff, second, ..]) if second & 0xf6 == 0xf0 => aac::read(&bytes[tag..], max_s),
        Some([b'f', b'L', b'a', b'C', ..]) => {
            guarded("flac", || super::flac::read(&bytes[tag..], max_s))
        }
        _ => read(bytes, max_s),
    }
}

/// Reads a file of at most `max_s` seconds.
pub(super) fn read(bytes: &[u8], max_s: u32) -> Result<Clip, FileError> {
    guarded("mp3", || {
        let options = nanomp3::Options::default().allow_mono_stereo_transition(false);
        let mut reader: SliceReader<'_, i16> = SliceReader::with_options(bytes, options);
        let channels = match reader.channels() {
            Some(Channels::Mono) => 1,
            Some(Channels::Stereo) => 2,
            None => return Err(malformed("it has no sound")),
        };
        let mut mono = Mono::new(reader.sample_rate(), max_s);
        // An error is the end of what can be read.
        while let Ok(Some(frame)) = reader.read_frame() {
            mono.push(frame, channels)?;
        }
        Ok(mono.finish())
    })
}
