//! Opus in WebM or Matroska, as browsers record it. RFC 8794 (EBML), RFC 9559 (Matroska).
//!
//! The first Opus track is read, in the order of the file, lacing included; its end is trimmed by the last block's
//! discard padding. Gaps between time stamps are not filled. Elements of unknown size, as live recordings have them, end
//! where their parent does. A file that was cut off gives what came before.
//!
//! PURE.

use super::opus::Stream;
use super::{Clip, FileError};

const SEGMENT: u32 = 0x1853_8067;
const TRACKS: u32 = 0x1654_ae6b;
const TRACK_ENTRY: u32 = 0xae;
const TRACK_NUMBER: u32 = 0xd7;
const CODEC_ID: u32 = 0x86;
const CODEC_PRIVATE: u32 = 0x63a2;
const CONTENT_ENCODINGS: u32 = 0x6d80;
const CLUSTER: u32 = 0x1f43_b675;
const SIMPLE_BLOCK: u32 = 0xa3;
const BLOCK_GROUP: u32 = 0xa0;
const BLOCK: u32 = 0xa1;
const DISCARD_PADDING: u32 = 0x75a2;

fn malformed(reason: &'static str) -> FileError {
    FileError::Malformed {
        format: "webm",
        reason,
    }
}

/// One element's head: its id, its body, and what follows it. `None` at the end, or where the rest makes no sense.
struct Element<'a> {
    id: u32,
    /// Up to the end of what is there, where the size is unknown or a lie.
    body: &'a [u8],
    rest: &'a [u8],
}

/// RFC 8794 section 4: a number of 1 to 8 bytes; `None` for all ones in the value, which means unknown.
fn number(bytes: &[u8], length_max: u32) -> Option<(Option<u64>, &[u8])> {
    let length = bytes.first()?.leading_zeros() + 1;
    if length > length_max {
        return None;
    }
    let (number, rest) = bytes.split_at_checked(length as usize)?;
    let raw = number
        .iter()
        .fold(0u64, |value, &byte| value << 8 | u64::from(byte));
    let mask = (1u64 << (7 * length)) - 1;
    let value = raw & mask;
    Some(((value != mask).then_some(value), rest))
}

fn element(bytes: &[u8]) -> Option<Element<'_>> {
    // The id keeps its length marker.
    let length = bytes.first()?.leading_zeros() as usize + 1;
    if length > 4 {
        return None;
    }
    let (id, after) = bytes.split_at_checked(length)?;
    let id = id
        .iter()
        .fold(0u32, |value, &byte| value << 8 | u32::from(byte));
    let (size, after) = number(after, 8)?;
    let size = size
        .and_then(|size| usize::try_from(size).ok())
        .unwrap_or(usize::MAX)
        .min(after.len());
    let (body, rest) = after.split_at(size);
    Some(Element { id, body, rest })
}

/// The elements of a body, one after the other.
fn elements(mut bytes: &[u8]) -> impl Iterator<Item = Element<'_>> {
    std::iter::from_fn(move || {
        let found = element(bytes)?;
        bytes = found.rest;
        Some(found)
    })
}

fn unsigned(body: &[u8]) -> u64 {
    let tail = &body[body.len().saturating_sub(8)..];
    tail.iter()
        .fold(0, |value, &byte| value << 8 | u64::from(byte))
}

/// RFC 8794 section 7.1; nothing where it is negative.
fn signed(body: &[u8]) -> i64 {
    match body.first() {
        Some(first) if first & 0x80 == 0 => i64::try_from(unsigned(body)).unwrap_or(i64::MAX),
        _ => 0,
    }
}

/// An Opus track, or what else it is.
enum Track {
    Opus { number: u64, header: Vec<u8> },
    Other(&'static str),
}

fn track(body: &[u8]) -> Option<Track> {
    let (mut number, mut codec, mut header, mut is_encoded) = (0, &b""[..], &b""[..], false);
    for element in elements(body) {
        match element.id {
            TRACK_NUMBER => number = unsigned(element.body),
            CODEC_ID => codec = element.body,
            CODEC_PRIVATE => header = element.body,
            CONTENT_ENCODINGS => is_encoded = true,
            _ => {}
        }
    }
    let codec = match codec.iter().position(|&byte| byte == 0) {
        Some(end) => &codec[..end],
        None => codec,
    };
    match codec {
        b"A_OPUS" if is_encoded => Some(Track::Other("compressed or encrypted webm")),
        b"A_OPUS" => Some(Track::Opus {
            number,
            header: header.to_vec(),
        }),
        b"A_VORBIS" => Some(Track::Other("webm/vorbis")),
        b"A_AAC" => Some(Track::Other("aac in Matroska")),
        _ => None,
    }
}

/// Reads a file of at most `max_s` seconds.
pub(super) fn read(bytes: &[u8], max_s: u32) -> Result<Clip, FileError> {
    let mut found: Option<(u64, Stream)> = None;
    let mut other = None;
    let mut rest = bytes;
    // Flat: of the elements that hold blocks only the head is passed over, so that unknown sizes need no care. Each
    // turn takes at least two bytes.
    while let Some(element) = element(rest) {
        rest = match element.id {
            SEGMENT | TRACKS | CLUSTER => {
                &rest[rest.len() - element.body.len() - element.rest.len()..]
            }
            _ => element.rest,
        };
        match (element.id, &mut found) {
            (TRACK_ENTRY, None) => match track(element.body) {
                Some(Track::Opus { number, header }) => {
                    if !header.starts_with(b"OpusHead") {
                        return Err(malformed("its Opus track has no header"));
                    }
                    found = Some((number, Stream::new(&header, max_s)?));
                }
                Some(Track::Other(name)) => other = Some(name),
                None => {}
            },
            (SIMPLE_BLOCK, Some((number, stream))) => {
                block(element.body, *number, stream)?;
            }
            (BLOCK_GROUP, Some((number, stream))) => {
                for part in elements(element.body) {
                    match part.id {
                        BLOCK => block(part.body, *number, stream)?,
                        // After its block. A negative one would add what is not there.
                        DISCARD_PADDING => stream.discard(signed(part.body).unsigned_abs()),
                        _ => {}
                    }
                }
            }
            _ => {}
        }
    }
    match (found, other) {
        (Some((_, stream)), _) => stream.finish(),
        (None, Some(name)) => Err(FileError::Unsupported(name)),
        (None, None) => Err(malformed("it has no Opus track")),
    }
}

/// One block of our track. RFC 9559 section 10.2. What is damaged gives nothing. The length is looked at after each
/// packet: a group may hold any number of blocks, and a byte may hold 120 ms.
fn block(body: &[u8], track: u64, stream: &mut Stream) -> Result<(), FileError> {
    let Some((Some(number), [_, _, flags, data @ ..])) = number(body, 8) else {
        return Ok(());
    };
    if number != track {
        return Ok(());
    }
    let packets = match flags & 0x06 {
        0 => vec![data],
        lacing => laced(data, lacing).unwrap_or_default(),
    };
    for packet in packets {
        stream.push(packet);
        stream.check()?;
    }
    Ok(())
}

/// The packets of a laced block: Xiph (2), fixed (4) or EBML (6). RFC 9559 section 10.3.
fn laced(data: &[u8], lacing: u8) -> Option<Vec<&[u8]>> {
    let (&count, mut data) = data.split_first()?;
    let count = usize::from(count) + 1;
    let mut sizes: Vec<usize> = Vec::with_capacity(count);
    match lacing {
        0x02 => {
            for _ in 1..count {
                let mut size = 0;
                loop {
                    let (&byte, after) = data.split_first()?;
                    data = after;
                    size += usize::from(byte);
                    if byte != 255 {
                        break;
                    }
                }
                sizes.push(size);
            }
        }
        0x06 => {
            let mut size = 0i64;
            for n in 1..count {
                let length = data.first()?.leading_zeros() + 1;
                let (value, after) = number(data, 8)?;
                let value = i64::try_from(value?).ok()?;
                data = after;
                // From the second on it is the difference to the one before, offset by half its range.
                size = match n {
                    1 => value,
                    _ => size.checked_add(value - ((1i64 << (7 * length - 1)) - 1))?,
                };
                sizes.push(usize::try_from(size).ok()?);
            }
        }
        _ => {
            let size = data.len() / count;
            sizes.resize(count - 1, size);
        }
    }
    let mut packets = Vec::with_capacity(count);
    for size in sizes {
        let (packet, after) = data.split_at_checked(size)?;
        packets.push(packet);
        data = after;
    }
    packets.push(data);
    Some(packets)
}

#[cfg(test)]
#[path = "webm_tests.rs"]
mod tests;
