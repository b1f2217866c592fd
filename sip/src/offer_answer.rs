//! PURE.
//! Offer and answer for one audio stream over plain RTP, RFC 3264 with the telephone-events of RFC 4733. Does not own
//! when to offer (see `invite`), nor ports, nor what the codecs do.

use std::net::{IpAddr, SocketAddr};

use thiserror::Error;

use crate::sdp::{Attribute, Connection, Media, Origin, SdpError, Session};
use crate::syntax;

#[cfg(test)]
mod tests;

/// Codecs there is a name for. A new one needs a variant and a row in `CODECS`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum AudioCodec {
    Pcmu,
    Pcma,
}

struct CodecRow {
    codec: AudioCodec,
    encoding: &'static str,
    clock_rate: u32,
    /// The number RFC 3551 §6 gives it.
    payload_type: u8,
}

const CODECS: [CodecRow; 2] = [
    CodecRow {
        codec: AudioCodec::Pcmu,
        encoding: "PCMU",
        clock_rate: 8_000,
        payload_type: 0,
    },
    CodecRow {
        codec: AudioCodec::Pcma,
        encoding: "PCMA",
        clock_rate: 8_000,
        payload_type: 8,
    },
];

/// What we offer telephone-event as. Dynamic, so any number would do; this one is what everybody uses.
const TELEPHONE_EVENT_PAYLOAD_TYPE: u8 = 101;
/// A wish outside of this is nobody's.
const PTIME_MS_MAX: u16 = 200;

impl AudioCodec {
    fn row(self) -> &'static CodecRow {
        let row = CODECS.iter().find(|row| row.codec == self);
        row.expect("every codec has its row")
    }

    /// Name in `a=rtpmap`, RFC 3551 §6.
    pub fn encoding(self) -> &'static str {
        self.row().encoding
    }

    /// Hertz of the RTP timestamp.
    pub fn clock_rate(self) -> u32 {
        self.row().clock_rate
    }

    /// What we offer it as.
    pub fn payload_type(self) -> u8 {
        self.row().payload_type
    }
}

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
    /// What we can do, best first.
    pub codecs: Vec<AudioCodec>,
    pub telephone_event: bool,
    /// Milliseconds of sound we want in one packet.
    pub ptime_ms: u16,
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
    fn new(sends: bool, receives: bool) -> Direction {
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
    fn mirrored(self) -> Direction {
        Direction::new(self.receives(), self.sends())
    }

    fn as_str(self) -> &'static str {
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
    /// The number of telephone-event at the clock rate of `codec`.
    pub telephone_event: Option<u8>,
    /// Where to send. `None`: held the old way (0.0.0.0), or an address nobody can send to.
    pub remote_rtp: Option<SocketAddr>,
    /// `None` also where there is no port above the RTP port.
    pub remote_rtcp: Option<SocketAddr>,
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
    /// Audio only over SRTP or another protocol we do not speak.
    #[error("no audio over plain RTP: {0} is not supported")]
    Protocol(String),
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
            OfferError::NoAudio | OfferError::Protocol(_) | OfferError::NoCommonCodec { .. } => 488,
        }
    }

    /// The warn-code for it, RFC 3261 §20.43; `Display` is the text.
    pub fn warning_code(&self) -> u16 {
        match self {
            OfferError::Malformed(_) | OfferError::Mismatch(_) => 399,
            OfferError::NoAudio => 304,
            OfferError::Protocol(_) => 302,
            OfferError::NoCommonCodec { .. } => 305,
        }
    }
}

/// What one number in an `m=` line stands for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Format {
    Audio(AudioCodec),
    TelephoneEvent { clock_rate: u32 },
}

/// The formats we know among those of a section, in its order.
fn known_formats(media: &Media) -> Vec<(u8, Format)> {
    let mut known: Vec<(u8, Format)> = Vec::new();
    for text in &media.formats {
        let Some(number) = syntax::number(text, 127).map(|number| number as u8) else {
            continue;
        };
        if known.iter().any(|(own, _)| *own == number) {
            continue;
        }
        let mapped = media.attributes_named("rtpmap").find_map(|value| {
            let (own, encoding) = value.split_once([' ', '\t'])?;
            (syntax::number(own, 127) == Some(u64::from(number))).then(|| syntax::trim(encoding))
        });
        let format = match mapped {
            Some(encoding) => format_of(encoding),
            // RFC 3551 §6: the static numbers need no rtpmap.
            None => CODECS
                .iter()
                .find(|row| row.payload_type == number)
                .map(|row| Format::Audio(row.codec)),
        };
        known.extend(format.map(|format| (number, format)));
    }
    known
}

/// Reads `PCMU/8000` or `PCMU/8000/1`.
fn format_of(encoding: &str) -> Option<Format> {
    let mut parts = encoding.split('/');
    let name = parts.next()?;
    // RFC 8866 §6.6 wants the rate; some leave it out for the telephone's own.
    let clock_rate = match parts.next() {
        Some(rate) => syntax::number(rate, u64::from(u32::MAX))? as u32,
        None => 8_000,
    };
    let channels = parts.next().unwrap_or("1");
    if name.eq_ignore_ascii_case("telephone-event") {
        return Some(Format::TelephoneEvent { clock_rate });
    }
    let row = CODECS.iter().find(|row| {
        row.encoding.eq_ignore_ascii_case(name) && row.clock_rate == clock_rate && channels == "1"
    })?;
    Some(Format::Audio(row.codec))
}

/// The audio formats of a section that we can do, in its order.
fn common_audio(known: &[(u8, Format)], local: &LocalMedia) -> Vec<(u8, AudioCodec)> {
    known
        .iter()
        .filter_map(|(number, format)| match format {
            Format::Audio(codec) if local.codecs.contains(codec) => Some((*number, *codec)),
            _ => None,
        })
        .collect()
}

fn telephone_event(known: &[(u8, Format)], clock_rate: u32) -> Option<u8> {
    // RFC 4733 §2.1: events share the timestamps of the audio, so the rates must be the same.
    let wanted = Format::TelephoneEvent { clock_rate };
    known
        .iter()
        .find(|(_, format)| *format == wanted)
        .map(|(number, _)| *number)
}

/// RFC 3264 §5.1: at the section, else at the session, else sendrecv.
fn stated_direction(session: &Session, media: &Media) -> Direction {
    const ALL: [Direction; 4] = [
        Direction::SendRecv,
        Direction::SendOnly,
        Direction::RecvOnly,
        Direction::Inactive,
    ];
    let among = |has: &dyn Fn(&str) -> bool| ALL.into_iter().find(|one| has(one.as_str()));
    among(&|name| media.attribute(name).is_some())
        .or_else(|| among(&|name| session.attribute(name).is_some()))
        .unwrap_or(Direction::SendRecv)
}

/// Nobody's address, or everybody's: packets go to one peer, and to none that could not have asked for them.
fn is_one_host(address: IpAddr) -> bool {
    let is_broadcast = matches!(address, IpAddr::V4(v4) if v4.is_broadcast());
    !address.is_unspecified() && !address.is_multicast() && !is_broadcast
}

struct Remote {
    rtp: Option<SocketAddr>,
    rtcp: Option<SocketAddr>,
    /// As they state it, but without receiving where they gave no address.
    direction: Direction,
    ptime_ms: Option<u16>,
}

fn remote(session: &Session, media: &Media) -> Result<Remote, OfferError> {
    // RFC 8866 §5.7: one for the session, or one in every section.
    let connection = media.connection.as_ref().or(session.connection.as_ref());
    let connection = connection.ok_or(SdpError::Malformed("audio without c="))?;
    let address = connection.ip().filter(|address| is_one_host(*address));
    let rtp = address.map(|address| SocketAddr::new(address, media.port));
    let direction = stated_direction(session, media);
    // RFC 3264 §8.4: c=0.0.0.0 is how RFC 2543 put a call on hold.
    let is_held = connection
        .ip()
        .is_some_and(|address| address.is_unspecified());
    let direction = Direction::new(direction.sends(), direction.receives() && !is_held);
    Ok(Remote {
        rtp,
        rtcp: rtp.and_then(|rtp| rtcp(media, rtp)),
        direction,
        ptime_ms: ptime_ms(media),
    })
}

/// RFC 3605 where it is said, else the port above, RFC 3550 §11.
fn rtcp(media: &Media, rtp: SocketAddr) -> Option<SocketAddr> {
    if let Some(Some(value)) = media.attribute("rtcp") {
        let mut words = value.split_ascii_whitespace();
        if let Some(port @ 1..) = words.next().and_then(|text| syntax::number(text, 65_535)) {
            let address = words.nth(2).and_then(|text| text.parse().ok());
            let address = address
                .filter(|address| is_one_host(*address))
                .unwrap_or(rtp.ip());
            return Some(SocketAddr::new(address, port as u16));
        }
    }
    Some(SocketAddr::new(rtp.ip(), rtp.port().checked_add(1)?))
}

/// RFC 8866 §6.4, not above their `maxptime` (§6.5).
fn ptime_ms(media: &Media) -> Option<u16> {
    let stated = |name| {
        // Fractions are legal; a packet has whole milliseconds.
        let whole = media.attribute(name).flatten()?.split('.').next()?;
        let value = syntax::number(whole, u64::from(PTIME_MS_MAX))? as u16;
        (value > 0).then_some(value)
    };
    match (stated("ptime"), stated("maxptime")) {
        (Some(ptime), Some(max)) => Some(ptime.min(max)),
        (ptime, _) => ptime,
    }
}

/// RFC 3551 and RFC 4585 (whose feedback we may leave unused).
fn is_plain_rtp(media: &Media) -> bool {
    ["RTP/AVP", "RTP/AVPF"]
        .iter()
        .any(|name| media.protocol.eq_ignore_ascii_case(name))
}

fn is_live_audio(media: &Media) -> bool {
    media.kind == "audio" && media.port != 0
}

/// Answers `offer`: the first audio section over plain RTP that has a codec of ours is taken, every other section is
/// answered with port 0 in its place. RFC 3264 §6.
///
/// Says the answer and what it means. The codec is the offerer's first that we have.
pub fn answer(offer: &str, local: &LocalMedia) -> Result<(String, NegotiatedAudio), OfferError> {
    let offer = Session::parse(offer)?;
    let live = || {
        offer
            .media
            .iter()
            .enumerate()
            .filter(|(_, media)| is_live_audio(media))
    };
    let first = live().next().ok_or(OfferError::NoAudio)?.1;
    let mut plain = live().filter(|(_, media)| is_plain_rtp(media)).peekable();
    if plain.peek().is_none() {
        return Err(OfferError::Protocol(first.protocol.clone()));
    }
    let chosen = plain.find_map(|(mline, media)| {
        let known = known_formats(media);
        let audio = common_audio(&known, local);
        let (number, codec) = *audio.first()?;
        Some((mline, media, known, audio, number, codec))
    });
    let (mline, media, known, audio, payload_type, codec) =
        chosen.ok_or_else(|| no_common_codec(local))?;
    let remote = remote(&offer, media)?;
    let telephone_event =
        telephone_event(&known, codec.clock_rate()).filter(|_| local.telephone_event);
    let negotiated = NegotiatedAudio {
        codec,
        payload_type,
        // RFC 3264 §6.1: the answer uses the offer's numbers, so they are good both ways.
        receive_payload_types: audio,
        telephone_event,
        remote_rtp: remote.rtp,
        remote_rtcp: remote.rtcp,
        direction: remote.direction.mirrored(),
        ptime_ms: remote.ptime_ms.unwrap_or(local.ptime_ms),
        mline,
    };
    let mut session = description(local);
    // RFC 3264 §6: the answer's t= is that of the offer.
    session.timing = offer.timing.clone();
    session.media = offer.media.iter().map(refused).collect();
    session.media[mline] = audio_section(
        local,
        &media.protocol,
        &negotiated.receive_payload_types,
        negotiated.telephone_event,
        negotiated.direction,
    );
    Ok((session.to_string(), negotiated))
}

fn no_common_codec(local: &LocalMedia) -> OfferError {
    let names: Vec<&str> = local.codecs.iter().map(|codec| codec.encoding()).collect();
    OfferError::NoCommonCodec {
        ours: names.join(", "),
    }
}

/// Offers one audio stream.
pub fn offer(local: &LocalMedia) -> String {
    let formats: Vec<(u8, AudioCodec)> = local
        .codecs
        .iter()
        .map(|codec| (codec.payload_type(), *codec))
        .collect();
    let events = local
        .telephone_event
        .then_some(TELEPHONE_EVENT_PAYLOAD_TYPE);
    let mut session = description(local);
    session.media = vec![audio_section(
        local,
        "RTP/AVP",
        &formats,
        events,
        Direction::SendRecv,
    )];
    session.to_string()
}

/// Reads the answer to an offer of ours. RFC 3264 §7.
///
/// Where the answer gives a format another number than the offer did, we send theirs and receive ours.
pub fn accept_answer(
    offer: &str,
    answer: &str,
    local: &LocalMedia,
) -> Result<NegotiatedAudio, OfferError> {
    let offer = Session::parse(offer)?;
    let answer = Session::parse(answer)?;
    // RFC 3264 §6: as many sections, in the same order.
    if answer.media.len() != offer.media.len() {
        return Err(OfferError::Mismatch("another number of media sections"));
    }
    let section = offer
        .media
        .iter()
        .enumerate()
        .find(|(_, media)| is_live_audio(media));
    let (mline, offered) = section.ok_or(OfferError::NoAudio)?;
    let answered = &answer.media[mline];
    if answered.kind != "audio" {
        return Err(OfferError::Mismatch("another kind of media"));
    }
    if answered.port == 0 {
        return Err(OfferError::NoAudio);
    }
    if !is_plain_rtp(answered) {
        return Err(OfferError::Protocol(answered.protocol.clone()));
    }
    let ours = known_formats(offered);
    let theirs = known_formats(answered);
    let receive: Vec<(u8, AudioCodec)> = common_audio(&ours, local);
    let (payload_type, codec) = common_audio(&theirs, local)
        .into_iter()
        .find(|(_, codec)| receive.iter().any(|(_, own)| own == codec))
        .ok_or_else(|| no_common_codec(local))?;
    let rate = codec.clock_rate();
    let remote = remote(&answer, answered)?;
    let asked = stated_direction(&offer, offered);
    let granted = remote.direction.mirrored();
    Ok(NegotiatedAudio {
        codec,
        payload_type,
        receive_payload_types: receive,
        telephone_event: telephone_event(&theirs, rate).and_then(|_| telephone_event(&ours, rate)),
        remote_rtp: remote.rtp,
        remote_rtcp: remote.rtcp,
        // RFC 3264 §6.1: an answer may narrow what was offered, not widen it.
        direction: Direction::new(
            asked.sends() && granted.sends(),
            asked.receives() && granted.receives(),
        ),
        ptime_ms: remote.ptime_ms.unwrap_or(local.ptime_ms),
        mline,
    })
}

/// Everything above the first `m=`.
fn description(local: &LocalMedia) -> Session {
    Session {
        origin: Origin {
            user: "-".to_owned(),
            session_id: local.session_id.to_string(),
            session_version: local.session_version.to_string(),
            address: local.address.to_string(),
        },
        name: "-".to_owned(),
        connection: Some(Connection::Ip(local.address)),
        bandwidth: Vec::new(),
        timing: "0 0".to_owned(),
        attributes: Vec::new(),
        media: Vec::new(),
    }
}

/// RFC 3264 §6: port 0 refuses; the formats stay, since there must be one.
fn refused(media: &Media) -> Media {
    Media {
        port: 0,
        port_count: None,
        connection: None,
        bandwidth: Vec::new(),
        attributes: Vec::new(),
        ..media.clone()
    }
}

fn audio_section(
    local: &LocalMedia,
    protocol: &str,
    formats: &[(u8, AudioCodec)],
    telephone_event: Option<u8>,
    direction: Direction,
) -> Media {
    let attribute = |name: &str, value: String| Attribute {
        name: name.to_owned(),
        value: Some(value),
    };
    let mut numbers: Vec<String> = formats
        .iter()
        .map(|(number, _)| number.to_string())
        .collect();
    let mut attributes: Vec<Attribute> = formats
        .iter()
        .map(|(number, codec)| {
            attribute(
                "rtpmap",
                format!("{number} {}/{}", codec.encoding(), codec.clock_rate()),
            )
        })
        .collect();
    if let Some(number) = telephone_event {
        // RFC 4733 §2.4.1: at the rate of the audio. Events 0 to 15 are the keys of a telephone.
        let rate = formats
            .first()
            .map_or(8_000, |(_, codec)| codec.clock_rate());
        numbers.push(number.to_string());
        attributes.push(attribute(
            "rtpmap",
            format!("{number} telephone-event/{rate}"),
        ));
        attributes.push(attribute("fmtp", format!("{number} 0-15")));
    }
    attributes.push(attribute("ptime", local.ptime_ms.to_string()));
    attributes.push(Attribute {
        name: direction.as_str().to_owned(),
        value: None,
    });
    Media {
        kind: "audio".to_owned(),
        port: local.rtp_port,
        port_count: None,
        protocol: protocol.to_owned(),
        formats: numbers,
        connection: None,
        bandwidth: Vec::new(),
        attributes,
    }
}
