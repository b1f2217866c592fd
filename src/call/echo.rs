//! The echo test: every audio packet goes straight back to where the caller's sound comes from.
//! Owns the outgoing SSRC and the header rewrite; the source check is the media session's.
//! RFC 3550 section 5.1.
//! PURE.

use media::rtp::Packet;

/// Sends packets back with our own SSRC and an offset sequence, so that nothing takes them for a loop
/// (RFC 3550 section 8.2).
#[derive(Debug)]
pub struct Reflector {
    ssrc: u32,
    sequence_offset: u16,
}

impl Reflector {
    pub fn new(seed: [u8; 32]) -> Reflector {
        let word =
            |at: usize| u32::from_be_bytes([seed[at], seed[at + 1], seed[at + 2], seed[at + 3]]);
        Reflector {
            ssrc: word(0),
            sequence_offset: word(4) as u16,
        }
    }

    /// The datagram to send back, or `None` if this is no RTP packet.
    pub fn reflect(&mut self, datagram: &[u8]) -> Option<Vec<u8>> {
        let packet = Packet::parse(datagram).ok()?;
        // Looking like its own source would make the peer drop or count a collision.
        let ssrc = if packet.ssrc == self.ssrc {
            self.ssrc.wrapping_add(1)
        } else {
            self.ssrc
        };
        Some(
            Packet {
                ssrc,
                sequence: packet.sequence.wrapping_add(self.sequence_offset),
                ..packet
            }
            .to_bytes(),
        )
    }
}
