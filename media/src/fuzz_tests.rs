//! The fuzz bodies over seeded mutations of good inputs.

use super::*;
use rand::rngs::StdRng;
use rand::{Rng, RngExt, SeedableRng};

/// Runs a body over the seeds and over mutations of them: bytes changed, cut, doubled, filled with noise.
fn mutate(seeds: &[Vec<u8>], rounds: usize, body: impl Fn(&[u8])) {
    let mut random = StdRng::from_seed([42; 32]);
    for seed in seeds {
        body(seed);
        for _ in 0..rounds {
            let mut data = seed.clone();
            for _ in 0..1 + random.next_u32() % 4 {
                if data.is_empty() {
                    data.push(random.random());
                }
                let at = random.random_range(0..data.len());
                match random.next_u32() % 6 {
                    0 => data[at] = random.random(),
                    1 => data[at] ^= 1 << (random.next_u32() % 8),
                    2 => data[at] = [0, 1, 0x7f, 0x80, 0xff][random.random_range(0..5)],
                    3 => data.truncate(at),
                    4 => {
                        let tail = data[at..].to_vec();
                        data.extend(tail);
                        data.truncate(1 << 16);
                    }
                    _ => random.fill(&mut data[at..]),
                }
            }
            body(&data);
        }
    }
}

fn hex(text: &str) -> Vec<u8> {
    (0..text.len() / 2)
        .map(|n| u8::from_str_radix(&text[2 * n..2 * n + 2], 16).unwrap())
        .collect()
}

#[test]
fn rtp() {
    let seeds = [
        hex("800000010000000011223344ffff"),
        hex("b2e51234000000a0deadbeef0000000100000002bede0001aabbccdd0102030400000003"),
    ];
    mutate(&seeds, 20_000, parse_rtp);
}

#[test]
fn rtcp() {
    let seeds = [
        hex(
            "81c8000c00000001e5a1b2c3d4e5f6070000100000000010000006400000000200ffffff000100000000002c0000000500000006",
        ),
        hex("80c900010000000181ca0003000000010104616263640000000081cb0003000000010464756e65000000"),
    ];
    mutate(&seeds, 20_000, parse_rtcp);
}

#[test]
fn dtmf() {
    mutate(&[hex("058a0320"), hex("0b0a00a0")], 5_000, parse_dtmf);
}

#[test]
fn files() {
    let tone: Vec<i16> = (0..4_000).map(|n| ((n * 37) % 9_000) as i16).collect();
    let clip = file::Clip {
        rate_hz: 8_000,
        samples: tone.clone(),
    };
    let mut wav = file::wav::write(&clip);
    wav.truncate(400);
    mutate(&[wav], 5_000, read_file);
    let opus = file::opus::write(&tone, 1).unwrap();
    mutate(&[opus], 1_000, read_file);
    // The formats whose decoders are others' cost more: fewer rounds here, the fuzzer has its own.
    macro_rules! corpus {
        ($name:literal) => {
            include_bytes!(concat!("../../tests/fuzz/corpus/sound_file/", $name)).to_vec()
        };
    }
    let containers = [
        corpus!("note.webm"),
        corpus!("opus.mp4"),
        corpus!("note.mp3"),
        corpus!("note.flac"),
    ];
    mutate(&containers, 30, read_file);
    let slow = [corpus!("note.m4a"), corpus!("fragments.mp4")];
    mutate(&slow, 2, read_file);
}

#[test]
fn ogg_pages_with_right_sums_and_wrong_content() {
    // Mutated bytes mostly fail the page checksum; here the packets are mutated, not the pages.
    let packets: [&[u8]; 3] = [
        b"OpusHead\x01\x02\0\0\0\0\0\0\0\0\x01\x01\x01\0\x01",
        b"OpusTags",
        &[0x4b; 40],
    ];
    let seed = packets.concat();
    mutate(&[seed], 3_000, |data| {
        let mut writer = ogg::PacketWriter::new(Vec::new());
        let (head, rest) = data.split_at(data.len().min(23));
        let (tags, sound) = rest.split_at(rest.len().min(8));
        for packet in [head, tags] {
            let _ = writer.write_packet(packet, 1, ogg::PacketWriteEndInfo::EndPage, 0);
        }
        let end = ogg::PacketWriteEndInfo::EndStream;
        let _ = writer.write_packet(sound, 1, end, data.len() as u64);
        read_file(&writer.into_inner());
    });
}

#[test]
fn sessions() {
    let start = Instant::now();
    let mut random = StdRng::from_seed([17; 32]);
    let mut steady = Vec::new();
    for n in 0..60u8 {
        // A packet, then 20 ms, then a frame to send.
        steady.extend([2, 40, 0, n, 0, 0, n, 0xa0, 0, 0, 0, 1, 0, 20, 6, 0]);
    }
    let noise: Vec<u8> = (0..2_000).map(|_| random.random()).collect();
    // The highest bit of the first octet asks for a constant pace; the operation is the same.
    let mut paced = steady.clone();
    paced[0] |= 0x80;
    mutate(&[steady, paced, noise], 120, |data| session(start, data));
}

#[test]
fn sounds() {
    let tone: Vec<u8> = (0..1_600)
        .flat_map(|n| {
            let at = f64::from(n) / 16_000.0 * std::f64::consts::TAU;
            let sample = 5_000.0 * ((770.0 * at).sin() + (1_336.0 * at).sin());
            (sample as i16).to_le_bytes()
        })
        .collect();
    mutate(&[tone, vec![40, 200, 100, 0, 254]], 500, sound);
}
