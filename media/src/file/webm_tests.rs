//! Matroska by hand: unknown sizes, lacing, other tracks, numbers of every length.

use super::*;
use crate::file::read as read_any;

/// An element with a size of `width` bytes.
fn sized(id: &[u8], body: &[u8], width: usize) -> Vec<u8> {
    let mut bytes = id.to_vec();
    let size = (body.len() as u64) | 1 << (7 * width);
    bytes.extend(&size.to_be_bytes()[8 - width..]);
    bytes.extend_from_slice(body);
    bytes
}

fn of(id: &[u8], body: &[u8]) -> Vec<u8> {
    sized(id, body, 2)
}

/// An element of unknown size, as a recorder writes that does not know its end yet.
fn open(id: &[u8], body: &[u8]) -> Vec<u8> {
    [id, &[0x01, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff], body].concat()
}

fn head() -> Vec<u8> {
    of(&[0x1a, 0x45, 0xdf, 0xa3], &of(&[0x42, 0x82], b"webm"))
}

fn opus_track(number: u8) -> Vec<u8> {
    let header = b"OpusHead\x01\x01\0\0\x80\xbb\0\0\0\0\0";
    let entry = [
        of(&[0xd7], &[number]),
        of(&[0x83], &[2]),
        of(&[0x86], b"A_OPUS\0"),
        of(&[0x63, 0xa2], header),
    ];
    of(&[0xae], &entry.concat())
}

fn tracks(entries: &[Vec<u8>]) -> Vec<u8> {
    of(&[0x16, 0x54, 0xae, 0x6b], &entries.concat())
}

/// A packet of 20 ms.
fn packet() -> Vec<u8> {
    let mut encoder =
        ::opus::Encoder::new(16_000, ::opus::Channels::Mono, ::opus::Application::Voip).unwrap();
    encoder.encode_vec(&[300; 320], 200).unwrap()
}

fn block(track: u8, flags: u8, data: &[u8]) -> Vec<u8> {
    [&[0x80 | track, 0, 0, flags], data].concat()
}

fn simple(track: u8, flags: u8, data: &[u8]) -> Vec<u8> {
    of(&[0xa3], &block(track, flags, data))
}

const CLUSTER_ID: [u8; 4] = [0x1f, 0x43, 0xb6, 0x75];
const SEGMENT_ID: [u8; 4] = [0x18, 0x53, 0x80, 0x67];

/// Samples read from a file with these tracks and this in its only cluster.
fn samples(entries: &[Vec<u8>], blocks: &[Vec<u8>]) -> Result<usize, FileError> {
    let cluster = open(&CLUSTER_ID, &blocks.concat());
    let segment = open(&SEGMENT_ID, &[tracks(entries), cluster].concat());
    read_any(&[head(), segment].concat()).map(|clip| clip.samples.len())
}

#[test]
fn blocks_of_every_kind() {
    let p = packet();
    let n = p.len() as u8;
    assert!(n < 100, "one byte holds the size");
    let xiph = [&[2, n, n], &p[..], &p, &p].concat();
    let fixed = [&[1], &p[..], &p].concat();
    // Sizes in EBML: the first as it is, the next as the difference 0.
    let ebml = [&[2, 0x80 | n, 0x80 | 63], &p[..], &p, &p].concat();
    let discarded = of(&[0x75, 0xa2], &10_000_000i32.to_be_bytes());
    let negative = of(&[0x75, 0xa2], &(-10_000_000i32).to_be_bytes());
    let group = |extra: &[u8]| {
        of(
            &[0xa0],
            &[of(&[0xa1], &block(1, 0, &p)), extra.to_vec()].concat(),
        )
    };
    let table: [(&str, Vec<u8>, usize); 12] = [
        ("plain", simple(1, 0x80, &p), 320),
        ("of another track", simple(2, 0, &p), 0),
        ("xiph", simple(1, 0x02, &xiph), 960),
        ("fixed", simple(1, 0x04, &fixed), 640),
        ("ebml", simple(1, 0x06, &ebml), 960),
        ("lacing that lies", simple(1, 0x02, &[2, 255, 255]), 0),
        ("empty", simple(1, 0, b""), 0),
        ("too short", of(&[0xa3], &[0x81, 0]), 0),
        ("group", group(b""), 320),
        ("group with padding", group(&discarded), 160),
        ("group with less than none", group(&negative), 320),
        ("something else", of(&[0xec], &p), 0),
    ];
    for (what, bytes, expected) in table {
        assert_eq!(samples(&[opus_track(1)], &[bytes]), Ok(expected), "{what}");
    }
}

#[test]
fn a_group_is_cut_off_where_it_is_too_long() {
    // One byte is a packet of 60 ms; a block holds 256 of them, and the group as many blocks as one likes. That its
    // end takes everything away again does not help.
    let blocks = of(
        &[0xa1],
        &block(1, 0x04, &[&[255], &[0x18; 256][..]].concat()),
    );
    let discarded = of(&[0x75, 0xa2], &i64::MAX.to_be_bytes());
    let read = |count: usize| {
        let body = [blocks.repeat(count), discarded.clone()].concat();
        samples(&[opus_track(1)], &[sized(&[0xa0], &body, 4)])
    };
    assert_eq!(read(3), Ok(0));
    assert_eq!(read(60), Err(FileError::TooLong { max_s: 600 }));
}

#[test]
fn tracks_are_told_apart() {
    let other = |codec: &[u8]| of(&[0xae], &[of(&[0xd7], &[1]), of(&[0x86], codec)].concat());
    let p = packet();
    let two = [other(b"V_VP9"), opus_track(2)];
    assert_eq!(
        samples(&two, &[simple(2, 0, &p), simple(1, 0, &p)]),
        Ok(320)
    );
    assert_eq!(
        samples(&[other(b"A_VORBIS")], &[]),
        Err(FileError::Unsupported("webm/vorbis"))
    );
    for entries in [vec![], vec![other(b"V_VP8")], vec![other(b"A_OPUS")]] {
        let refused = samples(&entries, &[simple(1, 0, &p)]);
        assert!(
            matches!(refused, Err(FileError::Malformed { .. })),
            "{refused:?}"
        );
    }
}

#[test]
fn sizes_of_every_width_and_cut_anywhere() {
    let p = packet();
    for width in 1..=8 {
        let cluster = sized(&CLUSTER_ID, &simple(1, 0, &p), width);
        let segment = sized(
            &SEGMENT_ID,
            &[tracks(&[opus_track(1)]), cluster].concat(),
            8,
        );
        let file = [head(), segment].concat();
        assert_eq!(
            read_any(&file).map(|clip| clip.samples.len()),
            Ok(320),
            "{width}"
        );
        for end in 4..file.len() {
            let _ = read_any(&file[..end]);
        }
    }
}
