//! The echo test: every audio packet goes straight back to where the caller's sound comes from. One that is encrypted
//! cannot: its sound does, coded again. Owns the outgoing SSRC and the header rewrite, and the sound on its way back; the
//! source check is the media session's. RFC 3550 section 5.1.
//! PURE.

use std::time::Instant;

use media::Frame;
use media::rtp::Packet;

use super::Call;

/// Frames on their way back at once; further ones are not heard again.
const ECHOES_MAX: usize = 16;

impl Call {
    pub(super) fn keep_for_echo(&mut self, pcm: &Frame) {
        if self.media.is_protected() && self.echoes.len() < ECHOES_MAX {
            self.echoes.push_back(*pcm);
        }
    }

    pub(super) fn give_echo(&mut self, now: Instant) {
        for _ in 0..self.echoes.len() {
            if let Some(pcm) = self.echoes.pop_front() {
                self.media.send_frame(now, &pcm);
                self.drain_media(now);
            }
        }
    }
}

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
