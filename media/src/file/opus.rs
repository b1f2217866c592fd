//! Opus in Ogg, as voice notes come. RFC 7845 (container), RFC 6716 (codec, by libopus).
//!
//! Decoded straight to 16 kHz and mixed to mono. Mapping families 0 and 1; pre-skip, output gain and end trimming are
//! kept. A file cut off or damaged half way gives what came before. The first Opus stream of the file is read;
//! others beside or after it are not.
//!
//! PURE.

use std::io::Cursor;

use ogg::{PacketReader, PacketWriteEndInfo, PacketWriter};
use opus::{Application, Bitrate, Channels, Encoder, MSDecoder};

use super::{Clip, FileError};
use crate::{FRAME_SAMPLES, SAMPLE_RATE_HZ};

/// RFC 7845 section 4: granule positions count at 48 kHz, whatever the rate.
const GRANULE_PER_SAMPLE: u64 = 48_000 / SAMPLE_RATE_HZ as u64;

/// RFC 6716 section 2.1.4: the longest packet is 120 ms.
const PACKET_SAMPLES_MAX: usize = SAMPLE_RATE_HZ as usize * 120 / 1_000;

/// Bitrate written: good speech.
const BITRATE_BPS: i32 = 24_000;

/// Largest packet of [`FRAME_SAMPLES`] at that rate, with room to spare.
const PACKET_BYTES_MAX: usize = 1_275;

fn malformed(reason: &'static str) -> FileError {
    FileError::Malformed {
        format: "ogg/opus",
        reason,
    }
}

/// The identification header. RFC 7845 section 5.1.
#[derive(Debug, PartialEq)]
struct Head {
    channels: u8,
    pre_skip: u64,
    /// Factor of the output gain.
    gain: f32,
    streams: u8,
    coupled: u8,
    mapping: Vec<u8>,
}

impl Head {
    fn parse(packet: &[u8]) -> Result<Head, FileError> {
        let Some(
            &[
                version,
                channels,
                pre_low,
                pre_high,
                _,
                _,
                _,
                _,
                gain_low,
                gain_high,
                family,
            ],
        ) = packet.get(8..19)
        else {
            return Err(malformed("its header is too short"));
        };
        // RFC 7845 section 5.1.1: other minor versions are compatible.
        if version & 0xf0 != 0 {
            return Err(malformed("its version is unknown"));
        }
        let (streams, coupled, mapping) = match family {
            0 if channels == 1 => (1, 0, vec![0]),
            0 if channels == 2 => (1, 1, vec![0, 1]),
            1 => {
                let table = packet
                    .get(19..21 + usize::from(channels))
                    .ok_or(malformed("its channel mapping is too short"))?;
                (table[0], table[1], table[2..].to_vec())
            }
            0 => return Err(malformed("its number of channels is impossible")),
            _ => return Err(FileError::Unsupported("this channel mapping of ogg/opus")),
        };
        // RFC 7845 section 5.1.1.2: at most 8 channels, coupled ones among the streams, indices within both.
        let sources = u16::from(streams) + u16::from(coupled);
        let sound = (1..=8).contains(&channels)
            && streams > 0
            && coupled <= streams
            && mapping
                .iter()
                .all(|&index| index == 255 || u16::from(index) < sources);
        if !sound {
            return Err(malformed("its channel mapping is impossible"));
        }
        let gain_db = f32::from(i16::from_le_bytes([gain_low, gain_high])) / 256.0;
        Ok(Head {
            channels,
            pre_skip: u64::from(u16::from_le_bytes([pre_low, pre_high])),
            gain: 10f32.powf(gain_db / 20.0),
            streams,
            coupled,
            mapping,
        })
    }
}

/// Reads an Ogg file of at most `max_s` seconds.
pub fn read(bytes: &[u8], max_s: u32) -> Result<Clip, FileError> {
    let mut packets = PacketReader::new(Cursor::new(bytes));
    let (serial, head) = find_stream(&mut packets)?;
    let mut decoder = MSDecoder::new(SAMPLE_RATE_HZ, head.streams, head.coupled, &head.mapping)
        .map_err(|_| malformed("its channel mapping is refused by the decoder"))?;
    let channels = usize::from(head.channels);
    let mut decoded = vec![0i16; PACKET_SAMPLES_MAX * channels];
    let pre_skip = (head.pre_skip / GRANULE_PER_SAMPLE) as usize;
    let samples_max = max_s as usize * SAMPLE_RATE_HZ as usize + pre_skip;
    let mut samples: Vec<i16> = Vec::new();
    let mut tags_seen = false;
    // An error is the end of what can be read.
    while let Ok(Some(packet)) = packets.read_packet() {
        if packet.stream_serial() != serial {
            continue;
        }
        // RFC 7845 section 3: the second packet holds the comments.
        if !tags_seen {
            tags_seen = true;
            continue;
        }
        if !packet.data.is_empty()
            && let Ok(count) = decoder.decode(&packet.data, &mut decoded, false)
        {
            samples.extend(
                decoded[..count * channels]
                    .chunks_exact(channels)
                    .map(|frame| mix(frame, head.gain)),
            );
        }
        if packet.last_in_stream() {
            // RFC 7845 section 4.4: the last granule position cuts the end off.
            let end = (packet.absgp_page() / GRANULE_PER_SAMPLE) as usize;
            if end >= pre_skip {
                samples.truncate(end);
            }
            break;
        }
        if samples.len() > samples_max {
            return Err(FileError::TooLong { max_s });
        }
    }
    if samples.len() > samples_max {
        return Err(FileError::TooLong { max_s });
    }
    samples.drain(..pre_skip.min(samples.len()));
    Ok(Clip {
        rate_hz: SAMPLE_RATE_HZ,
        samples,
    })
}

fn mix(frame: &[i16], gain: f32) -> i16 {
    let sum: i32 = frame.iter().map(|&sample| i32::from(sample)).sum();
    // `as` saturates.
    (sum as f32 / frame.len() as f32 * gain).round() as i16
}

/// Goes on to the first Opus stream of the file.
fn find_stream(packets: &mut PacketReader<Cursor<&[u8]>>) -> Result<(u32, Head), FileError> {
    let mut other = None;
    while let Ok(Some(packet)) = packets.read_packet() {
        if packet.data.starts_with(b"OpusHead") {
            return Ok((packet.stream_serial(), Head::parse(&packet.data)?));
        }
        if !packet.first_in_stream() {
            break;
        }
        let names: [(&[u8], &str); 4] = [
            (b"\x01vorbis", "ogg/vorbis"),
            (b"\x7fFLAC", "ogg/flac"),
            (b"Speex", "ogg/speex"),
            (b"\x80theora", "ogg video"),
        ];
        other = other.or_else(|| {
            let found = names
                .iter()
                .find(|(start, _)| packet.data.starts_with(start));
            found.map(|(_, name)| *name)
        });
    }
    Err(other.map_or(malformed("it has no Opus stream"), FileError::Unsupported))
}

/// Writes 16 kHz mono as Ogg Opus of 24 kbit/s. `serial` tells the stream from others (RFC 3533); any number will do
/// for a file of one stream.
pub fn write(samples: &[i16], serial: u32) -> Result<Vec<u8>, FileError> {
    let refused = |error: opus::Error| FileError::Encoder(error.to_string());
    let unwritten = |error: std::io::Error| FileError::Encoder(error.to_string());
    let mut encoder =
        Encoder::new(SAMPLE_RATE_HZ, Channels::Mono, Application::Voip).map_err(refused)?;
    encoder
        .set_bitrate(Bitrate::Bits(BITRATE_BPS))
        .map_err(refused)?;
    let lookahead = encoder.get_lookahead().map_err(refused)?.max(0) as usize;
    let pre_skip = lookahead as u64 * GRANULE_PER_SAMPLE;

    let mut head = b"OpusHead\x01\x01".to_vec();
    head.extend_from_slice(&(pre_skip as u16).to_le_bytes());
    head.extend_from_slice(&SAMPLE_RATE_HZ.to_le_bytes());
    head.extend_from_slice(&[0, 0, 0]);
    let vendor = b"offhook";
    let mut tags = b"OpusTags".to_vec();
    tags.extend_from_slice(&(vendor.len() as u32).to_le_bytes());
    tags.extend_from_slice(vendor);
    tags.extend_from_slice(&0u32.to_le_bytes());

    let mut writer = PacketWriter::new(Vec::new());
    // RFC 7845 section 3: both headers end their pages.
    for header in [head, tags] {
        writer
            .write_packet(header, serial, PacketWriteEndInfo::EndPage, 0)
            .map_err(unwritten)?;
    }
    // The encoder's lookahead is pushed out by silence at the end.
    let total = samples.len() + lookahead;
    let frames = total.div_ceil(FRAME_SAMPLES).max(1);
    for n in 0..frames {
        let from = (n * FRAME_SAMPLES).min(samples.len());
        let to = ((n + 1) * FRAME_SAMPLES).min(samples.len());
        let mut frame = samples[from..to].to_vec();
        frame.resize(FRAME_SAMPLES, 0);
        let packet = encoder
            .encode_vec(&frame, PACKET_BYTES_MAX)
            .map_err(refused)?;
        let last = n + 1 == frames;
        let end = if last { total } else { (n + 1) * FRAME_SAMPLES };
        let info = match n {
            _ if last => PacketWriteEndInfo::EndStream,
            // A page a second.
            n if n % 50 == 49 => PacketWriteEndInfo::EndPage,
            _ => PacketWriteEndInfo::NormalPacket,
        };
        writer
            .write_packet(packet, serial, info, end as u64 * GRANULE_PER_SAMPLE)
            .map_err(unwritten)?;
    }
    Ok(writer.into_inner())
}
