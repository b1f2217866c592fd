//! Files of every kind, whole, cut off and false.

use super::*;

fn clip(rate_hz: u32, length: usize) -> Clip {
    let samples = (0..length)
        .map(|n| {
            (8_000.0 * (std::f64::consts::TAU * 440.0 * n as f64 / f64::from(rate_hz)).sin()) as i16
        })
        .collect();
    Clip { rate_hz, samples }
}

/// A WAV file with a format chunk of one's own.
fn wav_of(
    tag: u16,
    channels: u16,
    rate_hz: u32,
    bits: u16,
    extension: &[u8],
    data: &[u8],
) -> Vec<u8> {
    let mut format = Vec::new();
    format.extend(tag.to_le_bytes());
    format.extend(channels.to_le_bytes());
    format.extend(rate_hz.to_le_bytes());
    format.extend([0; 6]);
    format.extend(bits.to_le_bytes());
    format.extend(extension);
    let mut bytes = b"RIFF\0\0\0\0WAVE".to_vec();
    // An odd chunk nobody knows, and its filling.
    bytes.extend(b"LIST\x03\0\0\0abc\0fmt ");
    bytes.extend((format.len() as u32).to_le_bytes());
    bytes.extend(format);
    bytes.extend(b"data");
    bytes.extend((data.len() as u32).to_le_bytes());
    bytes.extend(data);
    bytes
}

#[test]
fn wav_round_trips() {
    for rate_hz in [8_000, 16_000, 22_050, 48_000] {
        let clip = clip(rate_hz, 1_000);
        let bytes = wav::write(&clip);
        assert_eq!(read(&bytes).as_ref(), Ok(&clip));
        // Cut off: what is there.
        let cut = read(&bytes[..1_045]).unwrap();
        assert_eq!(cut.samples, clip.samples[..500]);
    }
}

#[test]
fn wav_of_every_encoding() {
    let mut extension = vec![22, 0, 16, 0, 0, 0, 0, 0, 1, 0];
    extension.extend([0, 0, 0, 0, 0x10, 0, 0x80, 0, 0, 0xaa, 0, 0x38, 0x9b, 0x71]);
    let float = |value: f32| value.to_le_bytes();
    let double = |value: f64| value.to_le_bytes();
    let table: Vec<(u16, u16, u16, &[u8], Vec<u8>, Vec<i16>)> = vec![
        (1, 1, 8, &[], vec![128, 255, 0], vec![0, 32_512, -32_768]),
        (1, 1, 16, &[], vec![1, 0, 0, 0x80], vec![1, -32_768]),
        (1, 1, 24, &[], vec![9, 1, 0, 9, 0, 0x80], vec![1, -32_768]),
        (
            1,
            1,
            32,
            &[],
            vec![9, 9, 1, 0, 0, 0, 0, 0x80],
            vec![1, -32_768],
        ),
        (
            3,
            1,
            32,
            &[],
            [float(0.5), float(-2.0), float(f32::NAN)].concat(),
            vec![16_384, -32_768, 0],
        ),
        (
            3,
            1,
            64,
            &[],
            [double(0.25), double(f64::INFINITY)].concat(),
            vec![8_192, 32_767],
        ),
        (6, 1, 8, &[], vec![0xd5, 0xaa], vec![8, 32_256]),
        (7, 1, 8, &[], vec![0xff, 0x80], vec![0, 32_124]),
        // Two channels, and one sample too few at the end.
        (
            1,
            2,
            16,
            &[],
            vec![10, 0, 20, 0, 100, 0, 0, 0, 7, 0],
            vec![15, 50],
        ),
        (0xfffe, 1, 16, &extension, vec![5, 0], vec![5]),
    ];
    for (tag, channels, bits, extension, data, samples) in table {
        let bytes = wav_of(tag, channels, 8_000, bits, extension, &data);
        let expected = Clip {
            rate_hz: 8_000,
            samples,
        };
        assert_eq!(read(&bytes), Ok(expected), "format {tag}, {bits} bits");
    }
}

#[test]
fn wav_lies_are_seen_through() {
    let good = wav_of(1, 1, 8_000, 16, &[], &[1, 0, 2, 0]);
    let at = good.len() - 8;
    for size in [0u32, u32::MAX, 1_000] {
        let mut bytes = good.clone();
        bytes[at..at + 4].copy_from_slice(&size.to_le_bytes());
        assert_eq!(read(&bytes).unwrap().samples, [1, 2], "claimed {size}");
    }
    let reasons = [
        (
            wav_of(1, 0, 8_000, 16, &[], &[]),
            "its number of channels is impossible",
        ),
        (
            wav_of(1, 999, 8_000, 16, &[], &[]),
            "its number of channels is impossible",
        ),
        (
            wav_of(1, 1, 0, 16, &[], &[]),
            "its sample rate is out of range",
        ),
        (
            wav_of(1, 1, u32::MAX, 16, &[], &[]),
            "its sample rate is out of range",
        ),
        (
            wav_of(0xfffe, 1, 8_000, 16, &[], &[]),
            "its format chunk is too short",
        ),
        (good[..20].to_vec(), "it has no data"),
    ];
    for (bytes, reason) in reasons {
        assert_eq!(
            read(&bytes),
            Err(FileError::Malformed {
                format: "wav",
                reason
            })
        );
    }
    assert_eq!(
        read_up_to(&wav::write(&clip(8_000, 8_001)), 1),
        Err(FileError::TooLong { max_s: 1 })
    );
}

#[test]
fn opus_round_trips() {
    for length in [0, 1, 320, 16_000, 47_999] {
        let sent = clip(16_000, length);
        let bytes = opus::write(&sent.samples, 7).unwrap();
        let got = read(&bytes).unwrap();
        assert_eq!(got.samples.len(), length);
        if length < 16_000 {
            continue;
        }
        // In place: the best shift of the decoded tone is none.
        let likeness = |shift: usize| -> f64 {
            (4_000..12_000)
                .map(|n| f64::from(sent.samples[n]) * f64::from(got.samples[n + shift - 8]))
                .sum()
        };
        let best = (0..17).max_by(|&a, &b| likeness(a).total_cmp(&likeness(b)));
        assert!(
            best.is_some_and(|shift| (7..=9).contains(&shift)),
            "{best:?}"
        );
        let energy = |samples: &[i16]| samples.iter().map(|&s| f64::from(s).powi(2)).sum::<f64>();
        let ratio = energy(&got.samples) / energy(&sent.samples);
        assert!((0.7..1.4).contains(&ratio), "{ratio}");
    }
}

#[test]
fn opus_cut_off_gives_what_is_there() {
    let bytes = opus::write(&clip(16_000, 160_000).samples, 7).unwrap();
    let whole = read(&bytes).unwrap().samples;
    let cut = read(&bytes[..bytes.len() / 2]).unwrap().samples;
    assert!((60_000..=90_000).contains(&cut.len()), "{}", cut.len());
    assert_eq!(cut[..], whole[..cut.len()]);
    // Damaged in the middle: the same.
    let mut damaged = bytes.clone();
    damaged[bytes.len() / 2] ^= 0xff;
    assert!((60_000..=160_000).contains(&read(&damaged).unwrap().samples.len()));
    assert_eq!(read_up_to(&bytes, 9), Err(FileError::TooLong { max_s: 9 }));
    assert_eq!(read_up_to(&bytes, 10).unwrap().samples.len(), 160_000);
}

#[test]
fn opus_headers() {
    use ::ogg::{PacketWriteEndInfo, PacketWriter};
    // Family, channels, gain, mapping table; whether it reads.
    let table: [(u8, u8, i16, &[u8], bool); 8] = [
        (0, 1, 0, &[], true),
        (0, 2, -256, &[], true),
        (0, 3, 0, &[], false),
        (1, 1, 0, &[1, 0, 0], true),
        (1, 2, 0, &[1, 1, 0, 1], true),
        (1, 2, 0, &[1, 1, 0, 9], false),
        (1, 2, 0, &[1], false),
        (1, 0, 0, &[0, 0], false),
    ];
    let mut encoder =
        ::opus::Encoder::new(16_000, ::opus::Channels::Mono, ::opus::Application::Voip).unwrap();
    let packet = encoder
        .encode_vec(&clip(16_000, 320).samples, 1_000)
        .unwrap();
    for (family, channels, gain, mapping, reads) in table {
        let mut head = vec![];
        head.extend(b"OpusHead\x01");
        head.extend([channels, 0, 0, 0, 0, 0, 0]);
        head.extend(gain.to_le_bytes());
        head.push(family);
        head.extend(mapping);
        let mut writer = PacketWriter::new(Vec::new());
        writer
            .write_packet(head, 1, PacketWriteEndInfo::EndPage, 0)
            .unwrap();
        writer
            .write_packet(b"OpusTags".to_vec(), 1, PacketWriteEndInfo::EndPage, 0)
            .unwrap();
        writer
            .write_packet(packet.clone(), 1, PacketWriteEndInfo::EndStream, 960)
            .unwrap();
        let result = read(&writer.into_inner());
        assert_eq!(
            result.is_ok(),
            reads,
            "{family} {channels} {mapping:?}: {result:?}"
        );
        if let Ok(clip) = result {
            assert_eq!(clip.samples.len(), 320);
        }
    }
}

#[test]
fn other_files_are_named() {
    for (bytes, message) in [
        (&b""[..], "the file is empty"),
        (b"ID3\x04", "the mp3 file is malformed: it has no sound"),
        (
            b"\xff\xfb\x90\x64",
            "the mp3 file is malformed: it has no sound",
        ),
        (
            b"\xff\xf1\x50\x80",
            "the aac file is malformed: none of its frames can be decoded",
        ),
        (
            b"\0\0\0\x20ftypM4A ",
            "the mp4 file is malformed: it has no index; was it cut off?",
        ),
        (
            b"fLaC\0\0",
            "the flac file is malformed: its header cannot be read",
        ),
        (
            b"\x1a\x45\xdf\xa3",
            "the webm file is malformed: it has no Opus track",
        ),
        (
            b"#!AMR\n",
            "amr is not supported; use wav, ogg/opus, webm/opus, mp3, m4a or flac",
        ),
        (
            b"RIFF\0\0\0\0AVI ",
            "this kind of RIFF file is not supported; use wav, ogg/opus, webm/opus, mp3, m4a or flac",
        ),
        (
            b"hello there",
            "not a sound file that is known; use wav, ogg/opus, webm/opus, mp3, m4a or flac",
        ),
        (
            b"OggS",
            "the ogg/opus file is malformed: it has no Opus stream",
        ),
    ] {
        assert_eq!(read(bytes).unwrap_err().to_string(), message);
    }
    let mut writer = ::ogg::PacketWriter::new(Vec::new());
    writer
        .write_packet(
            b"\x01vorbis....".to_vec(),
            1,
            ::ogg::PacketWriteEndInfo::EndStream,
            0,
        )
        .unwrap();
    assert_eq!(
        read(&writer.into_inner()),
        Err(FileError::Unsupported("ogg/vorbis"))
    );
}

#[test]
fn clips_come_to_the_internal_rate() {
    assert_eq!(clip(8_000, 800).into_internal_rate().len(), 1_600);
    assert_eq!(clip(16_000, 800).into_internal_rate().len(), 800);
    assert_eq!(clip(8_000, 800).duration_ms(), 100);
}

#[test]
fn decoded_sound_is_kept_at_our_rate_whatever_its_own() {
    // A small file may hold ten minutes at the highest rate: what is kept of them is a twelfth.
    for (rate_hz, channels) in [(192_000, 2), (44_100, 1), (8_000, 2), (16_000, 1)] {
        let mut mono = Mono::new(rate_hz, 10);
        let mut kept = 0;
        for _ in 0..20 {
            let block = vec![100; rate_hz as usize / 20 * channels];
            mono.push(&block, channels).expect("a second is allowed");
            kept = kept.max(mono.samples.len());
        }
        assert!(kept <= 16_000, "{rate_hz}: {kept}");
        let clip = mono.finish();
        assert_eq!(clip.rate_hz, SAMPLE_RATE_HZ);
        assert_eq!(clip.duration_ms(), 1_000, "{rate_hz}");
    }
    let mut mono = Mono::new(192_000, 1);
    let second = vec![0; 192_000];
    assert_eq!(mono.push(&second, 1), Ok(()));
    assert_eq!(mono.push(&second, 1), Err(FileError::TooLong { max_s: 1 }));
}
