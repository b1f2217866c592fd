//! PURE.
//! The words offer and answer are spoken in: our side, what is agreed upon, why nothing is. Types only.

use std::net::{IpAddr, SocketAddr};

use thiserror::Error;

use super::codecs::{AudioCodec, OpusParams};
use super::security::{LocalSecurity, NegotiatedSecurity};
use crate::sdp::SdpError;

/// Our side of the session.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LocalMedia {
    /// Where we receive.
    pub address: IpAddr,
    /// RTP; RTCP is received one above.
    pub rtp_port: u16,
    pub session_id: u64,
    /// One more with every description that differs from the last, RFC 3264 §8.
    pub session_version: u64,
    /// What we can do, best first. Our order counts, and between equals that of an offer.
    pub codecs: Vec<AudioCodec>,
    pub telephone_event: bool,
    /// Whether silence may be told instead of sent, RFC 3389. Never offered, only taken.
    pub comfort_noise: bool,
    /// Milliseconds of sound we want in one packet.
    pub ptime_ms: u16,
    /// Whether RTP and RTCP may share the RTP port, RFC 5761.
    pub rtcp_mux: bool,
    pub security: LocalSecurity,
}

impl LocalMedia {
    /// Every codec, the wide ones first; keys as events; 20 ms; no protection. Session id and version are 1.
    pub fn new(address: IpAddr, rtp_port: u16) -> LocalMedia {
        LocalMedia {
            address,
            rtp_port,
            session_id: 1,
            session_version: 1,
            codecs: AudioCodec::ALL.to_vec(),
            telephone_event: true,
            comfort_noise: true,
            ptime_ms: 20,
            rtcp_mux: true,
            security: LocalSecurity::default(),
        }
    }

    pub(crate) fn at(&self) -> SocketAddr {
        SocketAddr::new(self.address, self.rtp_port)
    }
}

/// Seen from our side.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Direction {
    SendRecv,
    SendOnly,
    RecvOnly,
    Inactive,
}

impl Direction {
    pub(crate) fn new(sends: bool, receives: bool) -> Direction {
        match (sends, receives) {
            (true, true) => Direction::SendRecv,
            (true, false) => Direction::SendOnly,
            (false, true) => Direction::RecvOnly,
            (false, false) => Direction::Inactive,
        }
    }

    pub fn sends(self) -> bool {
        matches!(self, Direction::SendRecv | Direction::SendOnly)
    }

    pub fn receives(self) -> bool {
        matches!(self, Direction::SendRecv | Direction::RecvOnly)
    }

    /// The same, seen from the other side.
    pub(crate) fn mirrored(self) -> Direction {
        Direction::new(self.receives(), self.sends())
    }

    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Direction::SendRecv => "sendrecv",
            Direction::SendOnly => "sendonly",
            Direction::RecvOnly => "recvonly",
            Direction::Inactive => "inactive",
        }
    }
}

/// What both sides agreed upon.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NegotiatedAudio {
    /// What we send.
    pub codec: AudioCodec,
    /// The number we send it as.
    pub payload_type: u8,
    /// What may come, under which number.
    pub receive_payload_types: Vec<(u8, AudioCodec)>,
    /// The number of telephone-event, at the clock rate of `codec` where the other side has it so.
    pub telephone_event: Option<u8>,
    /// Hertz of the durations of these events. That of `codec`, except with phones that have one rate for events only.
    pub telephone_event_rate: u32,
    /// The number of comfort noise.
    pub comfort_noise: Option<u8>,
    /// What the other side wants of the Opus we send; of no meaning with another codec.
    pub opus: OpusParams,
    /// Where to send. `None`: held the old way (0.0.0.0), or an address nobody can send to.
    pub remote_rtp: Option<SocketAddr>,
    /// `None` also where there is no port above the RTP port. With `rtcp_mux` the same as `remote_rtp`.
    pub remote_rtcp: Option<SocketAddr>,
    /// RTCP comes and goes on the RTP ports of both sides.
    pub rtcp_mux: bool,
    pub security: NegotiatedSecurity,
    /// Ours.
    pub direction: Direction,
    /// Milliseconds of sound the other side wants in one packet, or ours where it does not say.
    pub ptime_ms: u16,
    /// Which `m=` line it is, from 0.
    pub mline: usize,
}

/// Why there is no session.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum OfferError {
    #[error(transparent)]
    Malformed(#[from] SdpError),
    /// No `m=audio` line that is switched on.
    #[error("no audio stream")]
    NoAudio,
    /// Audio only over a protocol we do not speak, or may not.
    #[error("no audio over a protocol we have: {0} is not supported")]
    Protocol(String),
    /// Plain RTP where protection is required.
    #[error("audio must be encrypted here: SRTP is required")]
    NotSecure,
    #[error("no codec in common: we have {ours}")]
    NoCommonCodec { ours: String },
    /// An answer that does not fit the offer.
    #[error("the answer does not fit the offer: {0}")]
    Mismatch(&'static str),
}

impl OfferError {
    /// The status to refuse the request with, RFC 3261 §13.3.1.3 and §21.4.
    pub fn to_status(&self) -> u16 {
        match self {
            OfferError::Malformed(_) | OfferError::Mismatch(_) => 400,
            OfferError::NoAudio
            | OfferError::Protocol(_)
            | OfferError::NotSecure
            | OfferError::NoCommonCodec { .. } => 488,
        }
    }

    /// The warn-code for it, RFC 3261 §20.43; `Display` is the text.
    pub fn warning_code(&self) -> u16 {
        match self {
            OfferError::Malformed(_) | OfferError::Mismatch(_) => 399,
            OfferError::NoAudio => 304,
            OfferError::Protocol(_) | OfferError::NotSecure => 302,
            OfferError::NoCommonCodec { .. } => 305,
        }
    }
}
