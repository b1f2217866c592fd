//! PURE.
//! Offer and answer for one audio stream, RFC 3264: which section, which codec, which direction, where to. Codecs and
//! their names are in `codecs`, protection in `security`. Does not own when to offer (see `invite`), nor ports, nor what
//! is done with what is agreed upon; two phones' descriptions are joined in `relayed`.

use std::net::{IpAddr, SocketAddr};

use crate::sdp::{Attribute, Connection, Media, Origin, SdpError, Session};
use crate::syntax;
pub use codecs::{AudioCodec, OpusParams};
pub(crate) use codecs::{Format, known_formats, rtpmap};
pub use ice::{LocalIce, NegotiatedIce};
pub(crate) use security::Profile;
pub use security::{
    DtlsRole, Fingerprint, FingerprintHash, LocalSecurity, NegotiatedSecurity, SecurityPolicy,
};
pub use terms::{Direction, LocalMedia, NegotiatedAudio, OfferError};

mod codecs;
mod ice;
pub(crate) mod security;
mod terms;
#[cfg(test)]
mod tests;

/// A wish outside of this is nobody's.
const PTIME_MS_MAX: u16 = 200;

/// The audio formats of a section that we can do, best first: by our order, except between two that are equally good,
/// where that of the section counts (RFC 3264 §6.1).
fn common_audio(known: &[(u8, Format)], local: &LocalMedia) -> Vec<(u8, AudioCodec)> {
    let place = |codec: AudioCodec| local.codecs.iter().position(|own| own.is_as_good_as(codec));
    let mut common: Vec<(u8, AudioCodec)> = known
        .iter()
        .filter_map(|(number, format)| match format {
            Format::Audio(codec) if local.codecs.contains(codec) => Some((*number, *codec)),
            _ => None,
        })
        .collect();
    common.sort_by_key(|(_, codec)| place(*codec));
    common
}

/// The number and rate of telephone-event for sound at `clock_rate`.
fn telephone_event(known: &[(u8, Format)], clock_rate: u32) -> Option<(u8, u32)> {
    let events = || {
        known.iter().filter_map(|(number, format)| match format {
            Format::TelephoneEvent { clock_rate } => Some((*number, *clock_rate)),
            _ => None,
        })
    };
    // RFC 4733 §2.1: events share the timestamps of the audio, so the rates must be the same. Phones that know events
    // at 8 kHz only offer them beside Opus all the same, and mean it.
    events()
        .find(|(_, rate)| *rate == clock_rate)
        .or_else(|| events().find(|(_, rate)| *rate > 0))
}

pub(crate) fn comfort_noise(known: &[(u8, Format)], clock_rate: u32) -> Option<u8> {
    let wanted = Format::ComfortNoise { clock_rate };
    known
        .iter()
        .find(|(_, format)| *format == wanted)
        .map(|(number, _)| *number)
}

/// RFC 3264 §5.1: at the section, else at the session, else sendrecv.
pub(crate) fn stated_direction(session: &Session, media: &Media) -> Direction {
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

pub(crate) struct Remote {
    pub(crate) rtp: Option<SocketAddr>,
    pub(crate) rtcp: Option<SocketAddr>,
    pub(crate) rtcp_mux: bool,
    /// As they state it, but without receiving where they gave no address.
    pub(crate) direction: Direction,
}

/// Where a section's sender wants its packets. `muxes`: whether our side of the section can share the port.
pub(crate) fn remote(session: &Session, media: &Media, muxes: bool) -> Result<Remote, OfferError> {
    // RFC 8866 §5.7: one for the session, or one in every section.
    let connection = media.connection.as_ref().or(session.connection.as_ref());
    let connection = connection.ok_or(SdpError::Malformed("audio without c="))?;
    let address = connection.ip().filter(|address| is_one_host(*address));
    let rtp = address.map(|address| SocketAddr::new(address, media.port));
    let direction = stated_direction(session, media);
    // A browser that names no address yet is found by its checks, which go with a handshake only.
    let is_checked =
        Fingerprint::of(session, media).is_some() && ice::remote_ufrag(session, media).is_some();
    // RFC 3264 §8.4: c=0.0.0.0 is how RFC 2543 put a call on hold.
    let is_held = !is_checked
        && connection
            .ip()
            .is_some_and(|address| address.is_unspecified());
    let direction = Direction::new(direction.sends(), direction.receives() && !is_held);
    let rtcp_mux = muxes && media.attribute("rtcp-mux").is_some();
    Ok(Remote {
        rtp,
        rtcp: if rtcp_mux {
            rtp
        } else {
            rtp.and_then(|rtp| rtcp(media, rtp))
        },
        rtcp_mux,
        direction,
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

/// RFC 8866 §6.4, or ours, not above their `maxptime` (§6.5).
fn ptime_ms(media: &Media, ours: u16) -> u16 {
    let stated = |name| {
        // Fractions are legal; a packet has whole milliseconds.
        let whole = media.attribute(name).flatten()?.split('.').next()?;
        let value = syntax::number(whole, u64::from(PTIME_MS_MAX))? as u16;
        (value > 0).then_some(value)
    };
    let ptime = stated("ptime").unwrap_or(ours);
    stated("maxptime").map_or(ptime, |max| ptime.min(max))
}

pub(crate) fn is_live_audio(media: &Media) -> bool {
    media.kind == "audio" && media.port != 0
}

/// Formats of our audio section, under their numbers.
#[derive(Default)]
struct Formats {
    audio: Vec<(u8, AudioCodec)>,
    events: Vec<(u8, u32)>,
    comfort_noise: Option<u8>,
}

/// Answers `offer`: of the audio sections that may be taken and have a codec of ours, a protected one if there is any,
/// else the first. Every other section is answered with port 0 in its place. RFC 3264 §6.
///
/// Says the answer and what it means. The codec is the first of ours that is offered; others with the same clock are
/// agreed upon beside it, so that the timestamps of a stream never change their meaning.
pub fn answer(offer: &str, local: &LocalMedia) -> Result<(String, NegotiatedAudio), OfferError> {
    let offer = Session::parse(offer)?;
    let live = || {
        offer
            .media
            .iter()
            .enumerate()
            .filter(|(_, media)| is_live_audio(media))
    };
    live().next().ok_or(OfferError::NoAudio)?;
    let mut refusal = None;
    let mut chosen = None;
    for (mline, media) in live() {
        let known = known_formats(media);
        let audio = common_audio(&known, local);
        let secured = security::answer(&offer, media, mline, &local.security, local.at());
        let secured = secured.and_then(|secured| match audio.first() {
            Some(first) => Ok((secured, *first)),
            None => Err(no_common_codec(local)),
        });
        match secured {
            Ok(((security, attributes), first)) => {
                let is_secure = security != NegotiatedSecurity::None;
                if is_secure || chosen.is_none() {
                    chosen = Some((mline, media, known, audio, first, security, attributes));
                }
                if is_secure {
                    break;
                }
            }
            // What speaks of codecs says more than what speaks of protocols: that section came further.
            Err(error) => match refusal {
                Some(OfferError::NoCommonCodec { .. }) => {}
                _ => refusal = Some(error),
            },
        }
    }
    let Some((mline, media, known, mut audio, first, security, attributes)) = chosen else {
        return Err(refusal.unwrap_or(OfferError::NoAudio));
    };
    let (payload_type, codec) = first;
    let rate = codec.clock_rate();
    audio.retain(|(_, other)| other.clock_rate() == rate);
    let remote = remote(&offer, media, local.rtcp_mux)?;
    let event = telephone_event(&known, rate).filter(|_| local.telephone_event);
    let comfort_noise = comfort_noise(&known, rate).filter(|_| local.comfort_noise);
    let negotiated = NegotiatedAudio {
        codec,
        payload_type,
        // RFC 3264 §6.1: the answer uses the offer's numbers, so they are good both ways.
        receive_payload_types: audio.clone(),
        telephone_event: event.map(|(number, _)| number),
        telephone_event_rate: event.map_or(rate, |(_, rate)| rate),
        comfort_noise,
        opus: OpusParams::of(media, payload_type),
        remote_rtp: remote.rtp,
        remote_rtcp: remote.rtcp,
        rtcp_mux: remote.rtcp_mux,
        security,
        direction: remote.direction.mirrored(),
        ptime_ms: ptime_ms(media, local.ptime_ms),
        mline,
    };
    let mut session = description(local);
    // RFC 3264 §6: the answer's t= is that of the offer.
    session.timing = offer.timing.clone();
    session.media = offer.media.iter().map(refused).collect();
    let formats = Formats {
        audio,
        events: event.into_iter().collect(),
        comfort_noise,
    };
    mark_paths(&mut session, &negotiated.security);
    let mut extra = attributes;
    if negotiated.rtcp_mux {
        extra.push(flag("rtcp-mux"));
    }
    extra.extend(same_name(&offer, media, &mut session));
    // RFC 5506 §5: reports without the compulsory parts are read as well.
    if media.attribute("rtcp-rsize").is_some() {
        extra.push(flag("rtcp-rsize"));
    }
    session.media[mline] = audio_section(
        local,
        media.protocol.clone(),
        &formats,
        negotiated.direction,
        extra,
    );
    Ok((session.to_string(), negotiated))
}

fn no_common_codec(local: &LocalMedia) -> OfferError {
    let names: Vec<&str> = local.codecs.iter().map(|codec| codec.encoding()).collect();
    OfferError::NoCommonCodec {
        ours: names.join(", "),
    }
}

/// RFC 8839 section 5.3: we answer checks and make none.
pub(crate) fn mark_paths(session: &mut Session, security: &NegotiatedSecurity) {
    let is_new = session.attribute("ice-lite").is_none();
    if is_new && matches!(security, NegotiatedSecurity::Dtls { ice: Some(_), .. }) {
        session.attributes.push(flag("ice-lite"));
    }
}

/// The same where we offer.
pub(crate) fn mark_offered_paths(session: &mut Session, local: &LocalSecurity) {
    if local.offers_ice && local.ice.is_some() && session.attribute("ice-lite").is_none() {
        session.attributes.push(flag("ice-lite"));
    }
}

/// The name a section has among others is echoed, RFC 8843 section 7.3; a group with it holds this section alone.
pub(crate) fn same_name(offer: &Session, media: &Media, answer: &mut Session) -> Option<Attribute> {
    let mid = media.attribute("mid").flatten()?;
    let is_bundled = offer
        .attributes
        .iter()
        .filter(|one| one.name == "group")
        .filter_map(|one| one.value.as_deref()?.strip_prefix("BUNDLE "))
        .any(|names| names.split(' ').any(|name| name == mid));
    let value = Some(format!("BUNDLE {mid}"));
    if is_bundled && answer.attribute("group").is_none() {
        answer.attributes.push(Attribute {
            name: "group".to_owned(),
            value,
        });
    }
    Some(Attribute {
        name: "mid".to_owned(),
        value: Some(mid.to_owned()),
    })
}

/// An offer of ours within a dialog, with the names that its sections had in our `last` description there, and bundled as they
/// were: whoever has put a section into a bundle takes no offer that leaves it out (RFC 8843 section 7.5).
pub fn named_as_before(offer: &str, last: &str) -> Result<String, OfferError> {
    let mut offer = Session::parse(offer)?;
    keep_names(&mut offer, &Session::parse(last)?);
    Ok(offer.to_string())
}

fn keep_names(offer: &mut Session, last: &Session) {
    let bundle = |one: &Attribute| Some(one.value.as_deref()?.strip_prefix("BUNDLE ")?.to_owned());
    let mut groups = last.attributes.iter().filter(|one| one.name == "group");
    let bundled = groups.find_map(bundle).unwrap_or_default();
    let mut kept = String::new();
    for (media, before) in offer.media.iter_mut().zip(&last.media) {
        let name = before.attribute("mid").flatten();
        let Some(name) = name.filter(|_| media.port != 0) else {
            continue;
        };
        media.attributes.push(Attribute {
            name: "mid".to_owned(),
            value: Some(name.to_owned()),
        });
        if bundled.split(' ').any(|one| one == name) {
            kept.push(' ');
            kept.push_str(name);
        }
    }
    if !kept.is_empty() {
        offer.attributes.push(Attribute {
            name: "group".to_owned(),
            value: Some(format!("BUNDLE{kept}")),
        });
    }
}

/// Offers one audio stream, as the first description of a dialog.
pub fn offer(local: &LocalMedia) -> String {
    let mut session = description(local);
    mark_offered_paths(&mut session, &local.security);
    let formats = offered_formats(local, &[]);
    session.media = vec![offered_section(
        local,
        0,
        &formats,
        None,
        Direction::SendRecv,
    )];
    session.to_string()
}

/// Offers again within a dialog: hold, resume, other codecs, or because the other side asked without an offer.
///
/// `last` is our last description in this dialog. Its sections stay in their places and its numbers keep their
/// meaning, RFC 3264 §8 and §8.3.2. `local` has the version counted up.
pub fn reoffer(last: &str, local: &LocalMedia, direction: Direction) -> Result<String, OfferError> {
    let last = Session::parse(last)?;
    let place = last.media.iter().position(is_live_audio);
    let mline = place.ok_or(OfferError::NoAudio)?;
    let before = &last.media[mline];
    let formats = offered_formats(local, &known_formats(before));
    let mut session = description(local);
    mark_offered_paths(&mut session, &local.security);
    session.media = last.media.iter().map(refused).collect();
    // RFC 3264 §8.3.1: the protocol of a section does not change while it is in use.
    let protocol = Some(before.protocol.as_str());
    session.media[mline] = offered_section(local, mline, &formats, protocol, direction);
    keep_names(&mut session, &last);
    Ok(session.to_string())
}

/// Every format we have, under the number it had before, else under its usual one, else under one that is free.
fn offered_formats(local: &LocalMedia, before: &[(u8, Format)]) -> Formats {
    let mut taken: Vec<u8> = before.iter().map(|(number, _)| *number).collect();
    let mut number_for = |wanted: Format, usual: u8| {
        if let Some((number, _)) = before.iter().find(|(_, format)| *format == wanted) {
            return *number;
        }
        let dynamic = (96..=127).chain(35..=63);
        let number = std::iter::once(usual)
            .chain(dynamic)
            .find(|number| !taken.contains(number))
            .unwrap_or(usual);
        taken.push(number);
        number
    };
    let audio: Vec<(u8, AudioCodec)> = local
        .codecs
        .iter()
        .map(|codec| {
            (
                number_for(Format::Audio(*codec), codec.payload_type()),
                *codec,
            )
        })
        .collect();
    let mut events = Vec::new();
    if local.telephone_event {
        let usual = [
            (8_000, codecs::TELEPHONE_EVENT_PAYLOAD_TYPE),
            (48_000, codecs::TELEPHONE_EVENT_48K_PAYLOAD_TYPE),
        ];
        for (clock_rate, usual) in usual {
            if audio
                .iter()
                .any(|(_, codec)| codec.clock_rate() == clock_rate)
            {
                let number = number_for(Format::TelephoneEvent { clock_rate }, usual);
                events.push((number, clock_rate));
            }
        }
    }
    Formats {
        audio,
        events,
        comfort_noise: None,
    }
}

fn offered_section(
    local: &LocalMedia,
    mline: usize,
    formats: &Formats,
    protocol: Option<&str>,
    direction: Direction,
) -> Media {
    let (usual, mut extra) = security::offer(&local.security, mline, false, local.at());
    if local.rtcp_mux {
        extra.push(flag("rtcp-mux"));
    }
    let protocol = protocol.map_or(usual, str::to_owned);
    audio_section(local, protocol, formats, direction, extra)
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
    let security = security::accept(offered, &answer, answered, &local.security)?;
    let ours = known_formats(offered);
    let theirs = known_formats(answered);
    let receive: Vec<(u8, AudioCodec)> = common_audio(&ours, local);
    // The answerer's order is its wish, RFC 3264 §6.1; what it names first is what it sends.
    let (payload_type, codec) = theirs
        .iter()
        .find_map(|(number, format)| match format {
            Format::Audio(codec) if receive.iter().any(|(_, own)| own == codec) => {
                Some((*number, *codec))
            }
            _ => None,
        })
        .ok_or_else(|| no_common_codec(local))?;
    let rate = codec.clock_rate();
    let remote = remote(&answer, answered, offered.attribute("rtcp-mux").is_some())?;
    let asked = stated_direction(&offer, offered);
    let granted = remote.direction.mirrored();
    // Their number is sent in their answer, ours is what they send; both are one with whoever keeps to the offer.
    let event = telephone_event(&theirs, rate)
        .and_then(|(_, rate)| telephone_event(&ours, rate).filter(|(_, own)| *own == rate));
    Ok(NegotiatedAudio {
        codec,
        payload_type,
        receive_payload_types: receive,
        telephone_event: event.map(|(number, _)| number),
        telephone_event_rate: event.map_or(rate, |(_, rate)| rate),
        comfort_noise: comfort_noise(&theirs, rate).filter(|_| local.comfort_noise),
        opus: OpusParams::of(answered, payload_type),
        remote_rtp: remote.rtp,
        remote_rtcp: remote.rtcp,
        rtcp_mux: remote.rtcp_mux,
        security,
        // RFC 3264 §6.1: an answer may narrow what was offered, not widen it.
        direction: Direction::new(
            asked.sends() && granted.sends(),
            asked.receives() && granted.receives(),
        ),
        ptime_ms: ptime_ms(answered, local.ptime_ms),
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
pub(crate) fn refused(media: &Media) -> Media {
    Media {
        port: 0,
        port_count: None,
        connection: None,
        bandwidth: Vec::new(),
        attributes: Vec::new(),
        ..media.clone()
    }
}

fn flag(name: &str) -> Attribute {
    Attribute {
        name: name.to_owned(),
        value: None,
    }
}

fn audio_section(
    local: &LocalMedia,
    protocol: String,
    formats: &Formats,
    direction: Direction,
    extra: Vec<Attribute>,
) -> Media {
    let attribute = |name: &str, value: String| Attribute {
        name: name.to_owned(),
        value: Some(value),
    };
    let mut numbers = Vec::new();
    let mut attributes = Vec::new();
    for (number, codec) in &formats.audio {
        numbers.push(number.to_string());
        attributes.push(attribute("rtpmap", format!("{number} {}", codec.rtpmap())));
        if let Some(parameters) = codec.fmtp() {
            attributes.push(attribute("fmtp", format!("{number} {parameters}")));
        }
    }
    if let Some(number) = formats.comfort_noise {
        let rate = formats.audio.first();
        let rate = rate.map_or(8_000, |(_, codec)| codec.clock_rate());
        numbers.push(number.to_string());
        attributes.push(attribute("rtpmap", format!("{number} CN/{rate}")));
    }
    for (number, rate) in &formats.events {
        // RFC 4733 §2.4.1. Events 0 to 15 are the keys of a telephone.
        numbers.push(number.to_string());
        attributes.push(attribute(
            "rtpmap",
            format!("{number} telephone-event/{rate}"),
        ));
        attributes.push(attribute("fmtp", format!("{number} 0-15")));
    }
    attributes.push(attribute("ptime", local.ptime_ms.to_string()));
    attributes.push(flag(direction.as_str()));
    attributes.extend(extra);
    Media {
        kind: "audio".to_owned(),
        port: local.rtp_port,
        port_count: None,
        protocol,
        formats: numbers,
        connection: None,
        bandwidth: Vec::new(),
        attributes,
    }
}
