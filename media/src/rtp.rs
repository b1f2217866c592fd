//! RTP packets as bytes: read and write. RFC 3550 section 5.1.
//!
//! Owns: the fixed header, skipping CSRCs, header extension and padding. Does not own: order, loss, time
//! (`jitter_buffer`, `receiver`), or what the payload means (`codec`, `dtmf`).
//! Reading goes through the `rtp-rs` crate, whose reader checks every length before any field is handed out.
//!
//! PURE.

use rtp_rs::{RtpReader, RtpReaderError};
use thiserror::Error;

/// Length of the header without CSRCs and extension, in bytes.
pub const HEADER_LEN: usize = 12;

/// Largest datagram taken for RTP, in bytes. Larger ones cannot be 20 to 60 ms of telephone sound.
pub const DATAGRAM_LEN_MAX: usize = 2_048;

/// Why bytes are not a usable RTP packet.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum RtpError {
    #[error("RTP packet of {0} bytes is too short")]
    TooShort(usize),
    #[error("datagram of {0} bytes is too long for RTP")]
    TooLong(usize),
    #[error("RTP version {0} is not 2")]
    Version(u8),
    #[error("RTP header runs past the end of the datagram")]
    Truncated,
    #[error("RTP padding length is impossible")]
    Padding,
    #[error("RTCP packet type {0} where RTP was expected")]
    Rtcp(u8),
}

/// One RTP packet. `payload` has no padding; CSRCs and the header extension are skipped.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Packet<'a> {
    pub marker: bool,
    /// 0 to 127.
    pub payload_type: u8,
    pub sequence: u16,
    /// In units of the payload's clock rate.
    pub timestamp: u32,
    pub ssrc: u32,
    pub payload: &'a [u8],
}

/// Whether a datagram is RTCP when RTP and RTCP share a port (RFC 5761 section 4).
pub fn is_rtcp(datagram: &[u8]) -> bool {
    matches!(datagram, [first, packet_type, ..] if first >> 6 == 2 && (192..=223).contains(packet_type))
}

impl<'a> Packet<'a> {
    /// Reads one datagram. RFC 3550 section 5.1 and the checks of appendix A.1.
    pub fn parse(datagram: &'a [u8]) -> Result<Packet<'a>, RtpError> {
        if datagram.len() > DATAGRAM_LEN_MAX {
            return Err(RtpError::TooLong(datagram.len()));
        }
        // RFC 5761 section 4: payload types 64 to 95 with the marker are RTCP packet types 192 to 223.
        if is_rtcp(datagram) {
            return Err(RtpError::Rtcp(datagram[1]));
        }
        let reader = RtpReader::new(datagram).map_err(|error| match error {
            RtpReaderError::BufferTooShort(len) => RtpError::TooShort(len),
            RtpReaderError::UnsupportedVersion(version) => RtpError::Version(version),
            RtpReaderError::HeadersTruncated { .. } => RtpError::Truncated,
            RtpReaderError::PaddingLengthInvalid(_) => RtpError::Padding,
        })?;
        Ok(Packet {
            marker: reader.mark(),
            payload_type: reader.payload_type(),
            sequence: u16::from(reader.sequence_number()),
            timestamp: reader.timestamp(),
            ssrc: reader.ssrc(),
            payload: reader.payload(),
        })
    }

    /// The packet as bytes: no padding, no CSRC, no extension.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(HEADER_LEN + self.payload.len());
        bytes.push(0x80);
        bytes.push((u8::from(self.marker) << 7) | (self.payload_type & 0x7f));
        bytes.extend_from_slice(&self.sequence.to_be_bytes());
        bytes.extend_from_slice(&self.timestamp.to_be_bytes());
        bytes.extend_from_slice(&self.ssrc.to_be_bytes());
        bytes.extend_from_slice(self.payload);
        bytes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PLAIN: [u8; 16] = [
        0x80, 0x80, 0x12, 0x34, 0, 0, 0, 160, 0xde, 0xad, 0xbe, 0xef, 1, 2, 3, 4,
    ];

    fn check(bytes: &[u8], expected: Result<&[u8], RtpError>) {
        assert_eq!(
            Packet::parse(bytes).map(|packet| packet.payload),
            expected,
            "{bytes:02x?}"
        );
    }

    fn with_first(first: u8, tail: &[u8]) -> Vec<u8> {
        let mut bytes = PLAIN[..12].to_vec();
        bytes[0] = first;
        bytes.extend_from_slice(tail);
        bytes
    }

    #[test]
    fn headers_of_every_shape() {
        check(&PLAIN, Ok(&[1, 2, 3, 4]));
        check(&PLAIN[..12], Ok(&[]));
        check(&PLAIN[..11], Err(RtpError::TooShort(11)));
        check(&[], Err(RtpError::TooShort(0)));
        check(&with_first(0x40, &[1]), Err(RtpError::Version(1)));
        // Two CSRCs before the payload.
        check(&with_first(0x82, &[0, 0, 0, 1, 0, 0, 0, 2, 7]), Ok(&[7]));
        check(&with_first(0x8f, &[0; 8]), Err(RtpError::Truncated));
        // Header extension of one word.
        check(
            &with_first(0x90, &[0xbe, 0xde, 0, 1, 9, 9, 9, 9, 5]),
            Ok(&[5]),
        );
        check(
            &with_first(0x90, &[0xbe, 0xde, 0xff, 0xff, 9]),
            Err(RtpError::Truncated),
        );
        // Padding: the last byte counts itself.
        check(&with_first(0xa0, &[5, 6, 0, 0, 3]), Ok(&[5, 6]));
        check(&with_first(0xa0, &[5, 0, 2]), Ok(&[5]));
        check(&with_first(0xa0, &[5, 0]), Err(RtpError::Padding));
        check(&with_first(0xa0, &[5, 9]), Err(RtpError::Padding));
        check(&with_first(0xa0, &[]), Err(RtpError::Truncated));
        check(&vec![0x80; 4_000], Err(RtpError::TooLong(4_000)));
    }

    #[test]
    fn rtcp_is_told_apart() {
        let mut bytes = PLAIN;
        bytes[1] = 200;
        check(&bytes, Err(RtpError::Rtcp(200)));
        assert!(is_rtcp(&bytes));
        assert!(!is_rtcp(&PLAIN));
        assert!(!is_rtcp(&[0x80]));
    }

    #[test]
    fn fields_round_trip() {
        let packet = Packet::parse(&PLAIN).unwrap();
        assert!(packet.marker);
        assert_eq!(
            (
                packet.payload_type,
                packet.sequence,
                packet.timestamp,
                packet.ssrc
            ),
            (0, 0x1234, 160, 0xdead_beef)
        );
        assert_eq!(packet.to_bytes(), PLAIN);
    }
}
