//! What goes into a media session and what comes out of it. Types only.
//!
//! PURE.

use std::net::SocketAddr;

use crate::Frame;
use crate::codec::Codec;
use crate::dtls::DtlsConfig;
use crate::ice::IceConfig;
use crate::srtp::SrtpKeys;

/// How frames are given out.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Delivery {
    /// As soon as their sound is there: for a recogniser.
    #[default]
    Eager,
    /// One every 20 ms, whatever the network does: for another phone or a loudspeaker. Fixed for a session's life.
    Steady,
}

/// What the peer wants of the Opus we send. RFC 7587 section 6.1.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OpusWishes {
    /// `maxaveragebitrate`.
    pub bitrate_bps_max: Option<u32>,
    /// `useinbandfec`: it can use what packets repeat of the one before. Harmless where it cannot.
    pub fec: bool,
    /// `usedtx`: silence is better not sent.
    pub dtx: bool,
}

impl Default for OpusWishes {
    fn default() -> Self {
        OpusWishes {
            bitrate_bps_max: None,
            fec: true,
            dtx: false,
        }
    }
}

/// How packets are protected on the wire.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum Security {
    #[default]
    None,
    /// SRTP with keys out of SDP (RFC 4568).
    Sdes(SrtpKeys),
    /// SRTP with keys out of a handshake on the RTP port (RFC 5764). RTCP passes only where it shares that port.
    Dtls(DtlsConfig),
}

/// What offer and answer agreed for one audio stream.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SessionConfig {
    /// What we send.
    pub codec: Codec,
    /// Payload type number we send it with.
    pub payload_type: u8,
    /// What we accept: payload type number and codec. Bounded by SDP; the first 16 count.
    pub receive_payload_types: Vec<(u8, Codec)>,
    /// Payload type of telephone-event (RFC 4733) in both directions, if agreed.
    pub telephone_event: Option<u8>,
    /// Clock rate of telephone-event where it is not that of the codec: some phones offer 8000 beside Opus.
    pub telephone_event_hz: Option<u32>,
    /// Payload type of comfort noise (RFC 3389) the peer may send; 13 is understood in any case.
    pub comfort_noise: Option<u8>,
    pub opus: OpusWishes,
    pub delivery: Delivery,
    /// Whether keys are listened for in the sound itself. They are until the first telephone-event comes.
    pub in_band_digits: bool,
    /// Whether RTCP goes to the RTP port (RFC 5761). It is taken from there in any case.
    pub rtcp_mux: bool,
    pub security: Security,
    /// Paths are checked by the peer (RFC 8445), beside a handshake alone; addresses of SDP count for nothing then.
    pub ice: Option<IceConfig>,
    /// Where the peer's SDP asks for RTP. Packets may turn out to come from elsewhere (symmetric RTP).
    pub remote_rtp: Option<SocketAddr>,
    /// Where the peer's SDP asks for RTCP; without it the port above `remote_rtp`.
    pub remote_rtcp: Option<SocketAddr>,
    /// RTCP canonical name (RFC 3550 section 6.5.1); no name of a person or machine.
    pub cname: String,
    /// Unix time in milliseconds at the `start` given to `Session::new`, for NTP timestamps in sender reports.
    pub ntp_offset: u64,
    /// Whether we send audio (`sendrecv`, `sendonly`).
    pub send: bool,
    /// Whether we take audio (`sendrecv`, `recvonly`).
    pub receive: bool,
}

impl Default for SessionConfig {
    /// PCMU with whoever sends packets; nothing named yet.
    fn default() -> Self {
        SessionConfig {
            codec: Codec::Pcmu,
            payload_type: 0,
            receive_payload_types: Vec::new(),
            telephone_event: None,
            telephone_event_hz: None,
            comfort_noise: None,
            opus: OpusWishes::default(),
            delivery: Delivery::Eager,
            in_band_digits: true,
            rtcp_mux: false,
            security: Security::None,
            ice: None,
            remote_rtp: None,
            remote_rtcp: None,
            cname: String::new(),
            ntp_offset: 0,
            send: true,
            receive: true,
        }
    }
}

/// One input of the session.
#[derive(Debug, Clone, Copy)]
pub enum Input<'a> {
    /// A datagram on the RTP port. RTCP on the same port is recognised (RFC 5761).
    Rtp { from: SocketAddr, data: &'a [u8] },
    /// A datagram on the RTCP port.
    Rtcp { from: SocketAddr, data: &'a [u8] },
    /// The instant named by `next_timeout` has come.
    Timeout,
}

/// One output of the session.
// The large variant is the usual one, and each output is moved out once: a box would cost more than it saves.
#[allow(clippy::large_enum_variant)]
#[derive(Debug, Clone, PartialEq)]
pub enum Output {
    /// To be sent from the RTP socket.
    Rtp {
        to: SocketAddr,
        data: Vec<u8>,
    },
    /// To be sent from the RTCP socket.
    Rtcp {
        to: SocketAddr,
        data: Vec<u8>,
    },
    /// 20 ms of what the caller says. `concealed`: some of it was made up (lost packets) or filled with silence.
    Frame {
        pcm: Frame,
        concealed: bool,
    },
    /// A key was pressed, told once, when it ended.
    Dtmf {
        digit: char,
        duration_ms: u32,
    },
    Event(MediaEvent),
}

/// Something the call should know about its media.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MediaEvent {
    /// The first usable packet of the session.
    FirstPacket { from: SocketAddr },
    /// Packets come from, and go to, another address than before.
    SourceLatched {
        from: SocketAddr,
        expected: Option<SocketAddr>,
    },
    /// Packets from an address that is not the peer's are ignored. Once per address, for the first 16.
    Stranger { from: SocketAddr },
    /// Nothing usable arrived for `for_s` seconds since the start or the last packet. Once per silence.
    NoAudio {
        for_s: u32,
        expected: Option<SocketAddr>,
    },
    /// Packets came after [`MediaEvent::NoAudio`].
    AudioResumed,
    /// The peer's stream started anew with another SSRC.
    SsrcChanged,
    /// Packets with a payload type nobody agreed on are ignored. Once per type.
    PayloadTypeUnknown { pt: u8 },
    /// The peer said goodbye by RTCP BYE.
    RemoteBye,
    /// The handshake is over: from now on packets pass, encrypted.
    Secured,
    /// The handshake came to nothing; no packet will pass.
    NotSecured { why: &'static str },
}

/// Figures of the session so far.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Stats {
    pub packets_sent: u64,
    pub octets_sent: u64,
    pub packets_received: u64,
    pub octets_received: u64,
    /// Packets the sequence numbers promised (RFC 3550 appendix A.3).
    pub packets_expected: u64,
    /// Expected less received; duplicates make it smaller, so it can be below zero.
    pub packets_lost: i64,
    /// Arrived after their place had been played.
    pub packets_late: u64,
    pub packets_duplicate: u64,
    /// Dropped because 64 were already waiting.
    pub packets_overflowed: u64,
    /// Ignored because of the address they came from.
    pub packets_stranger: u64,
    /// Encrypted packets that did not prove to be the peer's, or came twice, or before there were keys.
    pub packets_refused: u64,
    /// Not RTP, or not RTCP, at all.
    pub packets_malformed: u64,
    pub packets_unknown_payload_type: u64,
    /// Interarrival jitter of received packets (RFC 3550 appendix A.8), in milliseconds.
    pub jitter_ms: f64,
    /// What the reorder buffer waits for a missing packet at present.
    pub reorder_wait_ms: u32,
    /// How much later than the earliest all but half a percent of the packets come, in milliseconds.
    pub late_ms: u32,
    /// Age of the sound given out, against the best of the path; only with [`Delivery::Steady`].
    pub playout_delay_ms: f64,
    /// Packets that were not there when their sound was needed, and in how many runs.
    pub packets_given_up: u64,
    pub loss_runs: u64,
    /// Of those, packets whose sound came with the next one (Opus in-band FEC).
    pub packets_recovered: u64,
    pub frames_out: u64,
    pub frames_concealed: u64,
    /// 20 ms frames of real but quiet sound left out to stay in real time.
    pub frames_swallowed: u64,
    pub ssrc_changes: u32,
    /// From LSR and DLSR of the peer's last report (RFC 3550 section 6.4.1).
    pub round_trip_ms: Option<f64>,
    /// As the peer reported on our stream.
    pub remote_fraction_lost: Option<f64>,
    pub remote_packets_lost: Option<i32>,
    pub remote_jitter_ms: Option<f64>,
    /// How what we receive sounds, 1 to 4.4 (see `quality`); before the first packet there is none.
    pub mos: Option<f64>,
    /// How the peer hears us, as far as its reports tell.
    pub remote_mos: Option<f64>,
    /// What our Opus encoder is set to at present: bits per second, and the loss in percent it prepares for.
    pub opus_bitrate_bps: u32,
    pub opus_loss_percent: u8,
    /// Where our packets go at present.
    pub sending_to: Option<SocketAddr>,
}
