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

/// The sound of one Opus stream, packet by packet, whatever container they come in.
pub(super) struct Stream {
    decoder: MSDecoder,
    channels: usize,
    gain: f32,
    pre_skip: usize,
    decoded: Vec<i16>,
    samples: Vec<i16>,
    samples_max: usize,
    max_s: u32,
}

impl Stream {
    /// `header` is the identification header (RFC 7845 section 5.1), from its magic signature on.
    pub(super) fn new(header: &[u8], max_s: u32) -> Result<Stream, FileError> {
        let head = Head::parse(header)?;
        let decoder = MSDecoder::new(SAMPLE_RATE_HZ, head.streams, head.coupled, &head.mapping)
            .map_err(|_| malformed("its channel mapping is refused by the decoder"))?;
        let channels = usize::from(head.channels);
        let pre_skip = (head.pre_skip / GRANULE_PER_SAMPLE) as usize;
        Ok(Stream {
            decoder,
            channels,
            gain: head.gain,
            pre_skip,
            decoded: vec![0; PACKET_SAMPLES_MAX * channels],
            samples: Vec::new(),
            samples_max: max_s as usize * SAMPLE_RATE_HZ as usize + pre_skip,
            max_s,
        })
    }

    /// Decodes one packet; one that is damaged gives nothing.
    pub(super) fn push(&mut self, packet: &[u8]) {
        if !packet.is_empty()
            && let Ok(count) = self.decoder.decode(packet, &mut self.decoded, false)
        {
            let gain = self.gain;
            self.samples.extend(
                self.decoded[..count * self.channels]
                    .chunks_exact(self.channels)
                    .map(|frame| mix(frame, gain)),
            );
        }
    }

    /// Whether there is more sound than allowed.
    pub(super) fn check(&self) -> Result<(), FileError> {
        match self.samples.len() > self.samples_max {
            true => Err(FileError::TooLong { max_s: self.max_s }),
            false => Ok(()),
        }
    }

    /// Cuts the end off at `end`, counted at 48 kHz and with the pre-skip.
    pub(super) fn end_at(&mut self, end: u64) {
        let end = (end / GRANULE_PER_SAMPLE) as usize;
        if end >= self.pre_skip {
            self.samples.truncate(end);
        }
    }

    /// Takes the last `ns` nanoseconds away again.
    pub(super) fn discard(&mut self, ns: u64) {
        let samples = ns / (1_000_000_000 / u64::from(SAMPLE_RATE_HZ));
        let samples = usize::try_from(samples).unwrap_or(usize::MAX);
        self.samples
            .truncate(self.samples.len().saturating_sub(samples));
    }

    /// All that was decoded.
    pub(super) fn finish(mut self) -> Result<Clip, FileError> {
        self.check()?;
        self.samples.drain(..self.pre_skip.min(self.samples.len()));
        Ok(Clip {
            rate_hz: SAMPLE_RATE_HZ,
            samples: self.samples,
        })
    }
}

/// Reads an Ogg file of at most `max_s` seconds.
pub fn read(bytes: &[u8], max_s: u32) -> Result<Clip, FileError> {
    let mut packets = PacketReader::new(Cursor::new(bytes));
    let (serial, mut stream) = find_stream(&mut packets, max_s)?;
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
        stream.push(&packet.data);
        if packet.last_in_stream() {
            // RFC 7845 section 4.4: the last granule position cuts the end off.
            stream.end_at(packet.absgp_page());
            break;
        }
        stream.check()?;
    }
    stream.finish()
}

fn mix(frame: &[i16], gain: f32) -> i16 {
    let sum: i32 = frame.iter().map(|&sample| i32::from(sample)).sum();
    // `as` saturates.
    (sum as f32 / frame.len() as f32 * gain).round() as i16
}

/// Goes on to the first Opus stream of the file.
fn find_stream(
    packets: &mut PacketReader<Cursor<&[u8]>>,
    max_s: u32,
) -> Result<(u32, Stream), FileError> {
    let mut other = None;
    while let Ok(Some(packet)) = packets.read_packet() {
        if packet.data.starts_with(b"OpusHead") {
            return Ok((packet.stream_serial(), Stream::new(&packet.data, max_s)?));
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
    let mut writer = Writer::new(serial)?;
    let mut bytes = writer.push(samples)?;
    bytes.extend(writer.finish()?);
    Ok(bytes)
}

fn refused(error: impl std::fmt::Display) -> FileError {
    FileError::Encoder(error.to_string())
}

/// An Ogg Opus stream written while its sound is made.
pub struct Writer {
    encoder: Encoder,
    pages: PacketWriter<'static, Vec<u8>>,
    serial: u32,
    lookahead: usize,
    /// Samples not encoded yet: the last frame is held back, because its packet says that it is the last.
    held: Vec<i16>,
    /// Samples given so far.
    given: usize,
    frames: usize,
}

impl Writer {
    /// 16 kHz mono at 24 kbit/s; `serial` as for [`write`]. The headers come with the first bytes.
    pub fn new(serial: u32) -> Result<Writer, FileError> {
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

        let mut pages = PacketWriter::new(Vec::new());
        // RFC 7845 section 3: both headers end their pages.
        for header in [head, tags] {
            pages
                .write_packet(header, serial, PacketWriteEndInfo::EndPage, 0)
                .map_err(refused)?;
        }
        Ok(Writer {
            encoder,
            pages,
            serial,
            lookahead,
            held: Vec::new(),
            given: 0,
            frames: 0,
        })
    }

    /// Adds samples; gives the pages that are full, a page a second.
    pub fn push(&mut self, samples: &[i16]) -> Result<Vec<u8>, FileError> {
        self.given += samples.len();
        self.held.extend_from_slice(samples);
        let mut from = 0;
        while self.held.len() - from > FRAME_SAMPLES {
            let frame = self.held[from..from + FRAME_SAMPLES].to_vec();
            from += FRAME_SAMPLES;
            let info = match self.frames % 50 {
                49 => PacketWriteEndInfo::EndPage,
                _ => PacketWriteEndInfo::NormalPacket,
            };
            self.encode(&frame, info, (self.frames + 1) * FRAME_SAMPLES)?;
        }
        self.held.drain(..from);
        Ok(std::mem::take(self.pages.inner_mut()))
    }

    /// The rest of the stream, with its end.
    pub fn finish(mut self) -> Result<Vec<u8>, FileError> {
        // The encoder's lookahead is pushed out by silence at the end.
        let total = self.given + self.lookahead;
        let frames = total.div_ceil(FRAME_SAMPLES).max(1);
        let mut held = std::mem::take(&mut self.held);
        held.resize((frames - self.frames) * FRAME_SAMPLES, 0);
        for frame in held.chunks(FRAME_SAMPLES) {
            let last = self.frames + 1 == frames;
            let (info, end) = match last {
                true => (PacketWriteEndInfo::EndStream, total),
                false if self.frames % 50 == 49 => (
                    PacketWriteEndInfo::EndPage,
                    (self.frames + 1) * FRAME_SAMPLES,
                ),
                false => (
                    PacketWriteEndInfo::NormalPacket,
                    (self.frames + 1) * FRAME_SAMPLES,
                ),
            };
            self.encode(frame, info, end)?;
        }
        Ok(self.pages.into_inner())
    }

    fn encode(
        &mut self,
        frame: &[i16],
        info: PacketWriteEndInfo,
        end: usize,
    ) -> Result<(), FileError> {
        let packet = self
            .encoder
            .encode_vec(frame, PACKET_BYTES_MAX)
            .map_err(refused)?;
        self.frames += 1;
        self.pages
            .write_packet(packet, self.serial, info, end as u64 * GRANULE_PER_SAMPLE)
            .map_err(refused)
    }
}
