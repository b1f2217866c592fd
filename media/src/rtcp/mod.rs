//! RTCP packets as bytes: read and write compounds. RFC 3550 section 6, checks of appendix A.2.
//!
//! Owns: sender and receiver reports, SDES CNAME, BYE; other types are skipped. Does not own: when reports are sent
//! and what they say (`reporter`).
//!
//! Bounds: [`DATAGRAM_LEN_MAX`] bytes and [`PACKETS_MAX`] packets a datagram; 31 blocks and chunks by the format.
//!
//! Departure from A.2: the first packet need not be a report. Reduced-size RTCP (RFC 5506) and phones that send a bare
//! BYE are read all the same.
//!
//! PURE.

pub mod reporter;

use thiserror::Error;

/// Largest RTCP datagram read, in bytes.
pub const DATAGRAM_LEN_MAX: usize = 2_048;

/// Packets read from one compound; further ones make it malformed.
pub const PACKETS_MAX: usize = 32;

/// Longest SDES item and BYE reason (one octet of length).
const TEXT_LEN_MAX: usize = 255;

const SENDER_REPORT: u8 = 200;
const RECEIVER_REPORT: u8 = 201;
const SOURCE_DESCRIPTION: u8 = 202;
const GOODBYE: u8 = 203;
const SDES_CNAME: u8 = 1;

/// Why bytes are not RTCP.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum RtcpError {
    #[error("RTCP of {0} bytes is too short")]
    TooShort(usize),
    #[error("datagram of {0} bytes is too long for RTCP")]
    TooLong(usize),
    #[error("RTCP version {0} is not 2")]
    Version(u8),
    #[error("RTCP packet runs past the end of the datagram")]
    Truncated,
    #[error("RTCP padding is impossible")]
    Padding,
    #[error("more RTCP packets than {PACKETS_MAX} in one datagram")]
    TooMany,
    #[error("packet type {0} is not RTCP")]
    NotRtcp(u8),
}

/// One report block. RFC 3550 section 6.4.1.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct ReportBlock {
    pub ssrc: u32,
    /// In 1/256.
    pub fraction_lost: u8,
    /// 24 bits, signed.
    pub cumulative_lost: i32,
    pub highest_sequence: u32,
    /// In timestamp units.
    pub jitter: u32,
    /// Middle 32 bits of the NTP time of the last sender report; 0 if there was none.
    pub last_sender_report: u32,
    /// Since that report, in 1/65536 s.
    pub delay: u32,
}

/// The sender's own figures. RFC 3550 section 6.4.1.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct SenderInfo {
    /// 32.32 fixed point seconds since 1900.
    pub ntp: u64,
    pub rtp_timestamp: u32,
    pub packets: u32,
    pub octets: u32,
}

/// One packet of a compound.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RtcpPacket {
    SenderReport {
        ssrc: u32,
        info: SenderInfo,
        blocks: Vec<ReportBlock>,
    },
    ReceiverReport {
        ssrc: u32,
        blocks: Vec<ReportBlock>,
    },
    /// SSRC and CNAME of each chunk that has one.
    SourceDescription {
        chunks: Vec<(u32, String)>,
    },
    Goodbye {
        ssrcs: Vec<u32>,
        reason: String,
    },
}

/// Reads one datagram. RFC 3550 appendix A.2.
pub fn parse(datagram: &[u8]) -> Result<Vec<RtcpPacket>, RtcpError> {
    if datagram.len() > DATAGRAM_LEN_MAX {
        return Err(RtcpError::TooLong(datagram.len()));
    }
    let mut packets = Vec::new();
    let mut rest = datagram;
    let mut count = 0;
    loop {
        let &[first, packet_type, high, low, ..] = rest else {
            return Err(RtcpError::TooShort(rest.len()));
        };
        if first >> 6 != 2 {
            return Err(RtcpError::Version(first >> 6));
        }
        if !(192..=223).contains(&packet_type) {
            return Err(RtcpError::NotRtcp(packet_type));
        }
        count += 1;
        if count > PACKETS_MAX {
            return Err(RtcpError::TooMany);
        }
        let length = 4 + 4 * usize::from(u16::from_be_bytes([high, low]));
        let mut body = rest.get(4..length).ok_or(RtcpError::Truncated)?;
        rest = &rest[length..];
        if first & 0x20 != 0 {
            // RFC 3550 section 6.4.1: only the last packet of a compound is padded.
            let padding = usize::from(*body.last().ok_or(RtcpError::Padding)?);
            if padding == 0 || padding > body.len() || !rest.is_empty() {
                return Err(RtcpError::Padding);
            }
            body = &body[..body.len() - padding];
        }
        packets.extend(parse_body(packet_type, usize::from(first & 0x1f), body)?);
        if rest.is_empty() {
            return Ok(packets);
        }
    }
}

fn parse_body(packet_type: u8, count: usize, body: &[u8]) -> Result<Option<RtcpPacket>, RtcpError> {
    Ok(Some(match packet_type {
        SENDER_REPORT => RtcpPacket::SenderReport {
            ssrc: word(body, 0)?,
            info: SenderInfo {
                ntp: (u64::from(word(body, 1)?) << 32) | u64::from(word(body, 2)?),
                rtp_timestamp: word(body, 3)?,
                packets: word(body, 4)?,
                octets: word(body, 5)?,
            },
            blocks: blocks(body.get(24..).unwrap_or_default(), count)?,
        },
        RECEIVER_REPORT => RtcpPacket::ReceiverReport {
            ssrc: word(body, 0)?,
            blocks: blocks(body.get(4..).unwrap_or_default(), count)?,
        },
        SOURCE_DESCRIPTION => RtcpPacket::SourceDescription {
            chunks: chunks(body, count)?,
        },
        GOODBYE => RtcpPacket::Goodbye {
            ssrcs: (0..count)
                .map(|n| word(body, n))
                .collect::<Result<_, _>>()?,
            reason: match body.get(4 * count..) {
                Some([length, text @ ..]) => text
                    .get(..usize::from(*length))
                    .map(|text| String::from_utf8_lossy(text).into_owned())
                    .ok_or(RtcpError::Truncated)?,
                _ => String::new(),
            },
        },
        // RFC 3550 section 6.1: unknown packet types are ignored.
        _ => return Ok(None),
    }))
}

fn word(body: &[u8], index: usize) -> Result<u32, RtcpError> {
    body.get(4 * index..4 * index + 4)
        .and_then(|bytes| bytes.try_into().ok())
        .map(u32::from_be_bytes)
        .ok_or(RtcpError::Truncated)
}

fn blocks(body: &[u8], count: usize) -> Result<Vec<ReportBlock>, RtcpError> {
    (0..count)
        .map(|n| {
            let at = 6 * n;
            let loss = word(body, at + 1)?;
            Ok(ReportBlock {
                ssrc: word(body, at)?,
                fraction_lost: (loss >> 24) as u8,
                // Sign extension of 24 bits.
                cumulative_lost: ((loss << 8) as i32) >> 8,
                highest_sequence: word(body, at + 2)?,
                jitter: word(body, at + 3)?,
                last_sender_report: word(body, at + 4)?,
                delay: word(body, at + 5)?,
            })
        })
        .collect()
}

/// RFC 3550 section 6.5: each chunk an SSRC and items, ended by a zero octet and filled to a word.
fn chunks(body: &[u8], count: usize) -> Result<Vec<(u32, String)>, RtcpError> {
    let mut names = Vec::new();
    let mut at = 0;
    for _ in 0..count {
        let ssrc = body
            .get(at..at + 4)
            .and_then(|bytes| bytes.try_into().ok())
            .map(u32::from_be_bytes)
            .ok_or(RtcpError::Truncated)?;
        at += 4;
        loop {
            let kind = *body.get(at).ok_or(RtcpError::Truncated)?;
            at += 1;
            if kind == 0 {
                at = at.next_multiple_of(4);
                break;
            }
            let length = usize::from(*body.get(at).ok_or(RtcpError::Truncated)?);
            at += 1;
            let text = body.get(at..at + length).ok_or(RtcpError::Truncated)?;
            at += length;
            if kind == SDES_CNAME {
                names.push((ssrc, String::from_utf8_lossy(text).into_owned()));
            }
        }
    }
    Ok(names)
}

/// Writes one compound. Lists over 31 entries and texts over 255 bytes are cut, as the format has no room for them.
pub fn write(packets: &[RtcpPacket]) -> Vec<u8> {
    let mut bytes = Vec::new();
    for packet in packets {
        let start = bytes.len();
        bytes.extend_from_slice(&[0; 4]);
        let (packet_type, count) = match packet {
            RtcpPacket::SenderReport { ssrc, info, blocks } => {
                put(&mut bytes, *ssrc);
                bytes.extend_from_slice(&info.ntp.to_be_bytes());
                put(&mut bytes, info.rtp_timestamp);
                put(&mut bytes, info.packets);
                put(&mut bytes, info.octets);
                (SENDER_REPORT, write_blocks(&mut bytes, blocks))
            }
            RtcpPacket::ReceiverReport { ssrc, blocks } => {
                put(&mut bytes, *ssrc);
                (RECEIVER_REPORT, write_blocks(&mut bytes, blocks))
            }
            RtcpPacket::SourceDescription { chunks } => {
                let count = chunks.len().min(31);
                for (ssrc, name) in &chunks[..count] {
                    put(&mut bytes, *ssrc);
                    bytes.push(SDES_CNAME);
                    write_text(&mut bytes, name);
                    // At least one zero octet ends the chunk.
                    bytes.push(0);
                    bytes.resize(bytes.len().next_multiple_of(4), 0);
                }
                (SOURCE_DESCRIPTION, count)
            }
            RtcpPacket::Goodbye { ssrcs, reason } => {
                let count = ssrcs.len().min(31);
                for ssrc in &ssrcs[..count] {
                    put(&mut bytes, *ssrc);
                }
                if !reason.is_empty() {
                    write_text(&mut bytes, reason);
                    bytes.resize(bytes.len().next_multiple_of(4), 0);
                }
                (GOODBYE, count)
            }
        };
        let words = (bytes.len() - start) / 4 - 1;
        bytes[start] = 0x80 | count as u8;
        bytes[start + 1] = packet_type;
        bytes[start + 2..start + 4].copy_from_slice(&(words as u16).to_be_bytes());
    }
    bytes
}

fn put(bytes: &mut Vec<u8>, word: u32) {
    bytes.extend_from_slice(&word.to_be_bytes());
}

fn write_blocks(bytes: &mut Vec<u8>, blocks: &[ReportBlock]) -> usize {
    let count = blocks.len().min(31);
    for block in &blocks[..count] {
        put(bytes, block.ssrc);
        let lost = block.cumulative_lost.clamp(-0x80_0000, 0x7f_ffff) as u32 & 0xff_ffff;
        put(bytes, (u32::from(block.fraction_lost) << 24) | lost);
        put(bytes, block.highest_sequence);
        put(bytes, block.jitter);
        put(bytes, block.last_sender_report);
        put(bytes, block.delay);
    }
    count
}

fn write_text(bytes: &mut Vec<u8>, text: &str) {
    let mut end = text.len().min(TEXT_LEN_MAX);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    bytes.push(end as u8);
    bytes.extend_from_slice(&text.as_bytes()[..end]);
}

#[cfg(test)]
mod tests;
