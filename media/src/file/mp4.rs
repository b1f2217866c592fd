//! Sound in MP4 (m4a, 3gp, mov): ISO/IEC 14496-12 (boxes, tables of samples, fragments), 14496-1 (`esds`), 14496-3
//! (AudioSpecificConfig), Opus by its own mapping (`dOps`).
//!
//! The first audio track of AAC, Opus or MP3 is read, whole files and fragmented ones as browsers record them. Edit lists
//! are not heeded. Offsets and sizes are claims: what points outside the file gives nothing.
//!
//! PURE.

use super::aac::{Format, Frames};
use super::opus::Stream;
use super::{Clip, FileError, guarded, mp3};

/// Tables of samples are read up to this length: 10 minutes have 30 000 frames.
const SAMPLES_MAX: usize = 1_000_000;

const RATES_HZ: [u32; 13] = [
    96_000, 88_200, 64_000, 48_000, 44_100, 32_000, 24_000, 22_050, 16_000, 12_000, 11_025, 8_000,
    7_350,
];

fn malformed(reason: &'static str) -> FileError {
    FileError::Malformed {
        format: "mp4",
        reason,
    }
}

/// Boxes one after the other, as name and body. One that claims more than there is gets what is there.
fn boxes(mut bytes: &[u8]) -> impl Iterator<Item = ([u8; 4], &[u8])> {
    std::iter::from_fn(move || {
        let size = u64::from(u32_at(bytes, 0)?);
        let name = *bytes.get(4..8)?.first_chunk()?;
        let (head, size) = match size {
            1 => (
                16,
                u64::from(u32_at(bytes, 8)?) << 32 | u64::from(u32_at(bytes, 12)?),
            ),
            0 => (8, bytes.len() as u64),
            size => (8, size),
        };
        let end = usize::try_from(size)
            .unwrap_or(usize::MAX)
            .clamp(head, bytes.len().max(head));
        let body = bytes.get(head..end)?;
        bytes = &bytes[end..];
        Some((name, body))
    })
}

fn find<'a>(bytes: &'a [u8], name: &[u8; 4]) -> Option<&'a [u8]> {
    boxes(bytes)
        .find(|(found, _)| found == name)
        .map(|(_, body)| body)
}

fn u16_at(bytes: &[u8], at: usize) -> Option<u16> {
    let bytes = bytes.get(at..)?.first_chunk()?;
    Some(u16::from_be_bytes(*bytes))
}

fn u32_at(bytes: &[u8], at: usize) -> Option<u32> {
    let bytes = bytes.get(at..)?.first_chunk()?;
    Some(u32::from_be_bytes(*bytes))
}

/// How the frames of a track are decoded.
enum Codec {
    Aac(Format),
    /// The identification header as Ogg has it.
    Opus(Vec<u8>),
    Mp3,
}

/// Where a sample of a track is in the file.
type Place = (usize, usize);

struct Track {
    id: u32,
    codec: Codec,
    places: Vec<Place>,
}

/// Reads a file of at most `max_s` seconds.
pub(super) fn read(bytes: &[u8], max_s: u32) -> Result<Clip, FileError> {
    let movie = find(bytes, b"moov").ok_or(malformed("it has no index; was it cut off?"))?;
    let mut chosen = None;
    let mut other = None;
    for (_, body) in boxes(movie).filter(|(name, _)| name == b"trak") {
        match track(body) {
            Ok(Some(track)) => {
                chosen = Some(track);
                break;
            }
            Ok(None) => {}
            Err(error) => other = Some(error),
        }
    }
    let Some(mut track) = chosen else {
        return Err(other.unwrap_or(malformed("it has no sound")));
    };
    fragments(bytes, movie, &mut track);
    decode(bytes, &track, max_s)
}

fn decode(bytes: &[u8], track: &Track, max_s: u32) -> Result<Clip, FileError> {
    let frames = track
        .places
        .iter()
        .filter_map(|(at, length)| bytes.get(*at..at.checked_add(*length)?));
    match &track.codec {
        Codec::Aac(format) => guarded("mp4", || {
            let mut clip = Frames::new(max_s);
            for frame in frames {
                if !clip.push(*format, frame)? {
                    break;
                }
            }
            clip.finish()
        }),
        Codec::Opus(header) => {
            let mut stream = Stream::new(header, max_s)?;
            for frame in frames {
                stream.push(frame);
                stream.check()?;
            }
            stream.finish()
        }
        Codec::Mp3 => {
            // Overlapping places could claim the file many times over.
            let mut joined = Vec::new();
            for frame in frames {
                if joined.len() + frame.len() > bytes.len() {
                    break;
                }
                joined.extend_from_slice(frame);
            }
            mp3::read(&joined, max_s)
        }
    }
}

/// A track of sound that can be decoded; `None` for one of something else.
fn track(body: &[u8]) -> Result<Option<Track>, FileError> {
    let media = find(body, b"mdia").unwrap_or_default();
    let handler = find(media, b"hdlr").unwrap_or_default();
    if handler.get(8..12) != Some(b"soun") {
        return Ok(None);
    }
    let header = find(body, b"tkhd").unwrap_or_default();
    // Version 1 has its times in 64 bits.
    let id_at = match header.first() {
        Some(1) => 20,
        _ => 12,
    };
    let id = u32_at(header, id_at).unwrap_or(0);
    let tables = find(media, b"minf")
        .and_then(|info| find(info, b"stbl"))
        .ok_or(malformed("its index is damaged"))?;
    let codec = codec(find(tables, b"stsd").unwrap_or_default())?;
    Ok(Some(Track {
        id,
        codec,
        places: places(tables).unwrap_or_default(),
    }))
}

/// The first sample description. ISO/IEC 14496-12 section 12.2.3; QuickTime has longer ones.
fn codec(descriptions: &[u8]) -> Result<Codec, FileError> {
    let damaged = malformed("its description of the sound is damaged");
    let first = descriptions.get(8..).and_then(|bytes| boxes(bytes).next());
    let Some((name, entry)) = first else {
        return Err(damaged);
    };
    let children_at = match u16_at(entry, 8) {
        Some(1) => 44,
        Some(2) => 64,
        _ => 28,
    };
    let children = entry.get(children_at..).unwrap_or_default();
    match &name {
        b"mp4a" => {
            let wrapped = find(children, b"wave").and_then(|wave| find(wave, b"esds"));
            let stream = find(children, b"esds").or(wrapped).ok_or(damaged)?;
            elementary(stream)
        }
        b"Opus" => find(children, b"dOps")
            .and_then(opus_header)
            .map(Codec::Opus)
            .ok_or(damaged),
        b".mp3" => Ok(Codec::Mp3),
        b"alac" => Err(FileError::Unsupported("alac in m4a")),
        b"samr" | b"sawb" => Err(FileError::Unsupported("amr in 3gp")),
        b"ac-3" | b"ec-3" => Err(FileError::Unsupported("ac-3 in mp4")),
        b"fLaC" => Err(FileError::Unsupported("flac in mp4")),
        b"enca" => Err(FileError::Unsupported("an encrypted mp4")),
        _ => Err(FileError::Unsupported("this kind of sound in mp4")),
    }
}

/// From the mapping of Opus to ISO files, version 0: the same fields as in Ogg, big-endian.
fn opus_header(body: &[u8]) -> Option<Vec<u8>> {
    let [
        0,
        channels,
        skip_high,
        skip_low,
        rate_3,
        rate_2,
        rate_1,
        rate_0,
        gain_high,
        gain_low,
        rest @ ..,
    ] = body
    else {
        return None;
    };
    let mut header = b"OpusHead\x01".to_vec();
    header.extend([*channels, *skip_low, *skip_high]);
    header.extend([*rate_0, *rate_1, *rate_2, *rate_3, *gain_low, *gain_high]);
    header.extend(rest);
    Some(header)
}

/// A descriptor of ISO/IEC 14496-1 section 8.3.3: tag, body, what follows.
fn descriptor(bytes: &[u8]) -> Option<(u8, &[u8], &[u8])> {
    let (&tag, mut rest) = bytes.split_first()?;
    let mut length = 0usize;
    for _ in 0..4 {
        let (&byte, after) = rest.split_first()?;
        rest = after;
        length = length << 7 | usize::from(byte & 0x7f);
        if byte & 0x80 == 0 {
            break;
        }
    }
    let (body, rest) = rest.split_at(length.min(rest.len()));
    Some((tag, body, rest))
}

fn elementary(stream: &[u8]) -> Result<Codec, FileError> {
    let damaged = malformed("its description of the sound is damaged");
    let read = || {
        let (3, body, _) = descriptor(stream.get(4..)?)? else {
            return None;
        };
        let flags = *body.get(2)?;
        let mut at = 3;
        at += if flags & 0x80 != 0 { 2 } else { 0 };
        at += match flags & 0x40 {
            0 => 0,
            _ => 1 + usize::from(*body.get(at)?),
        };
        at += if flags & 0x20 != 0 { 2 } else { 0 };
        let (4, config, _) = descriptor(body.get(at..)?)? else {
            return None;
        };
        let special = descriptor(config.get(13..)?).filter(|(tag, ..)| *tag == 5);
        Some((*config.first()?, special.map(|(_, body, _)| body)))
    };
    match read() {
        Some((0x40 | 0x66..=0x68, Some(special))) => {
            audio_specific(special).map(Codec::Aac).ok_or(damaged)
        }
        Some((0x69 | 0x6b, _)) => Ok(Codec::Mp3),
        Some(_) => Err(FileError::Unsupported("this kind of sound in mp4")),
        None => Err(damaged),
    }
}

/// AudioSpecificConfig, ISO/IEC 14496-3 section 1.6.2.1, as far as it matters here.
fn audio_specific(bytes: &[u8]) -> Option<Format> {
    let mut at = 0;
    let mut take = |count: usize| {
        let value = (at..at + count).try_fold(0u32, |value, bit| {
            let byte = bytes.get(bit / 8)?;
            Some(value << 1 | u32::from(byte >> (7 - bit % 8) & 1))
        });
        at += count;
        value
    };
    let mut object_type = take(5)?;
    if object_type == 31 {
        object_type = 32 + take(6)?;
    }
    let rate = |take: &mut dyn FnMut(usize) -> Option<u32>| match take(4)? {
        15 => {
            let rate_hz = take(24)?;
            let nearest = |n: &usize| RATES_HZ[*n].abs_diff(rate_hz);
            Some(((0..RATES_HZ.len()).min_by_key(nearest)? as u8, rate_hz))
        }
        index => Some((index as u8, *RATES_HZ.get(index as usize)?)),
    };
    let (rate_index, rate_hz) = rate(&mut take)?;
    let channels = take(4)? as u8;
    if matches!(object_type, 5 | 29) {
        // SBR and PS: the rate of the extension, then what it extends.
        rate(&mut take)?;
        object_type = take(5)?;
    }
    (1..=4).contains(&object_type).then_some(Format {
        object_type: object_type as u8,
        rate_index,
        rate_hz,
        channels,
    })
}

/// Where the samples of a file that is not fragmented are. ISO/IEC 14496-12 sections 8.7.3 to 8.7.5.
fn places(tables: &[u8]) -> Option<Vec<Place>> {
    let sizes = find(tables, b"stsz")?;
    let same_size = u32_at(sizes, 4)?;
    let count = (u32_at(sizes, 8)? as usize).min(SAMPLES_MAX);
    let size = |n: usize| match same_size {
        0 => u32_at(sizes, 12 + 4 * n).map(|size| size as usize),
        size => Some(size as usize),
    };
    let (chunks, width) = match find(tables, b"stco") {
        Some(chunks) => (chunks, 4),
        None => (find(tables, b"co64")?, 8),
    };
    let chunk_at = |n: usize| match width {
        4 => u32_at(chunks, 8 + 4 * n).map(|at| at as usize),
        _ => {
            let high = u64::from(u32_at(chunks, 8 + 8 * n)?);
            let low = u64::from(u32_at(chunks, 12 + 8 * n)?);
            usize::try_from(high << 32 | low).ok()
        }
    };
    let runs = find(tables, b"stsc")?;
    let run = |n: usize| Some((u32_at(runs, 8 + 12 * n)?, u32_at(runs, 12 + 12 * n)?));
    let mut found: Vec<Place> = Vec::new();
    let (mut run_at, mut chunk) = (0, 0usize);
    'chunks: while found.len() < count {
        // The run this chunk belongs to is the last one that begins at it or before it; they count from 1.
        while let Some((first, _)) = run(run_at + 1)
            && first as usize <= chunk + 1
        {
            run_at += 1;
        }
        let Some((_, per_chunk)) = run(run_at) else {
            break;
        };
        let Some(mut at) = chunk_at(chunk) else { break };
        for _ in 0..per_chunk {
            let Some(length) = size(found.len()).filter(|_| found.len() < count) else {
                break 'chunks;
            };
            found.push((at, length));
            at = at.saturating_add(length);
        }
        chunk += 1;
    }
    Some(found)
}

/// Adds the samples of the fragments. ISO/IEC 14496-12 section 8.8.
fn fragments(bytes: &[u8], movie: &[u8], track: &mut Track) {
    let defaults = find(movie, b"mvex").into_iter().flat_map(boxes);
    let default_size = defaults
        .filter(|(name, body)| name == b"trex" && u32_at(body, 4) == Some(track.id))
        .find_map(|(_, body)| u32_at(body, 16))
        .unwrap_or(0);
    for (name, body) in boxes(bytes) {
        if &name != b"moof" {
            continue;
        }
        // Both slices are of the same buffer.
        let moof_at = (body.as_ptr() as usize).saturating_sub(bytes.as_ptr() as usize + 8);
        for (_, body) in boxes(body).filter(|(name, _)| name == b"traf") {
            if fragment(body, moof_at, default_size, track).is_none() {
                return;
            }
        }
    }
}

/// One track's part of a fragment. `None`: damaged, or too much.
fn fragment(body: &[u8], moof_at: usize, default_size: u32, track: &mut Track) -> Option<()> {
    let header = find(body, b"tfhd")?;
    let flags = u32_at(header, 0)? & 0x00ff_ffff;
    if u32_at(header, 4)? != track.id {
        return Some(());
    }
    let mut at = 8;
    let mut base = moof_at;
    if flags & 0x01 != 0 {
        let high = u64::from(u32_at(header, at)?);
        let low = u64::from(u32_at(header, at + 4)?);
        base = usize::try_from(high << 32 | low).ok()?;
        at += 8;
    }
    at += if flags & 0x02 != 0 { 4 } else { 0 };
    at += if flags & 0x08 != 0 { 4 } else { 0 };
    let default_size = match flags & 0x10 {
        0 => default_size,
        _ => u32_at(header, at)?,
    };
    let mut next = base;
    for (_, run) in boxes(body).filter(|(name, _)| name == b"trun") {
        let flags = u32_at(run, 0)? & 0x00ff_ffff;
        let count = u32_at(run, 4)? as usize;
        let mut at = 8;
        if flags & 0x01 != 0 {
            let offset = u32_at(run, at)? as i32;
            next = base.checked_add_signed(offset as isize)?;
            at += 4;
        }
        at += if flags & 0x04 != 0 { 4 } else { 0 };
        let has = |flag: u32| usize::from(flags & flag != 0) * 4;
        let (before, width) = (
            has(0x100),
            has(0x100) + has(0x200) + has(0x400) + has(0x800),
        );
        for n in 0..count {
            if track.places.len() >= SAMPLES_MAX {
                return None;
            }
            let size = match flags & 0x200 {
                0 => default_size,
                _ => u32_at(run, at + n * width + before)?,
            };
            track.places.push((next, size as usize));
            next = next.checked_add(size as usize)?;
        }
    }
    Some(())
}
