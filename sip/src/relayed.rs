//! PURE.
//! Two phones that talk through us: the description of one, rewritten for the other. Addresses, ports and keys of one
//! side never reach the other; what we do not know (codecs, attributes) passes. Owns the rewriting and what it agrees
//! upon for each side; does not own ports, packets, nor when to offer. RFC 3264, RFC 7092 (what such a box may change).

use std::net::{IpAddr, SocketAddr};

use crate::offer_answer::{
    self, AudioCodec, Direction, Format, LocalMedia, LocalSecurity, NegotiatedAudio,
    NegotiatedSecurity, OfferError, Profile, known_formats, security,
};
use crate::sdp::{Attribute, Connection, Media, Origin, Session};
use crate::syntax;

mod transcoding;

use transcoding::transcoded_section;

/// Sections of one description that are relayed; those behind are refused with port 0.
pub const STREAMS_MAX: usize = 4;

/// Our side of one leg.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RelayLocal {
    /// Where we receive from this leg.
    pub address: IpAddr,
    /// RTP port of each section, by its place in the description; RTCP is received one above. Sections without are
    /// refused.
    pub ports: Vec<u16>,
    pub session_id: u64,
    /// One more with every description to this leg that differs from the last, RFC 3264 §8.
    pub session_version: u64,
    /// Whether RTP and RTCP may share the RTP port of this leg.
    pub rtcp_mux: bool,
    pub security: LocalSecurity,
    /// Codecs to offer behind those of the other side, so that a call becomes possible by transcoding. Best left empty
    /// at the first attempt: nearly all phones have one codec in common, and what is offered may be chosen.
    pub extra_codecs: Vec<AudioCodec>,
}

/// One section that is relayed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RelayedStream {
    /// Place among the sections, from 0; the place of its port in `RelayLocal::ports` as well.
    pub mline: usize,
    /// `audio`, `video` …
    pub kind: String,
    /// The leg that offered.
    pub offerer: RelayedSide,
    /// The leg that answered.
    pub answerer: RelayedSide,
    /// The two sides have no codec in common: packets cannot just pass.
    pub transcoding: Option<Box<Transcoding>>,
}

/// One leg of a stream.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RelayedSide {
    /// Where to send. `None`: nobody can be sent to yet.
    pub remote_rtp: Option<SocketAddr>,
    /// The same as `remote_rtp` with `rtcp_mux`.
    pub remote_rtcp: Option<SocketAddr>,
    pub rtcp_mux: bool,
    pub security: NegotiatedSecurity,
    /// Numbers and `a=rtpmap` of what may pass here; the static numbers have none and an empty text.
    pub formats: Vec<(u8, String)>,
    /// Numbers of telephone-event and their clock rates.
    pub telephone_events: Vec<(u8, u32)>,
    /// Ours: whether we send to, and receive from, this leg.
    pub direction: Direction,
}

/// What each side speaks where they differ.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Transcoding {
    pub offerer: NegotiatedAudio,
    pub answerer: NegotiatedAudio,
}

/// The answer for the offerer, and what holds between both.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Relayed {
    pub sdp: String,
    pub streams: Vec<RelayedStream>,
}

/// How many ports a description needs: its sections, of which only the first `STREAMS_MAX` are relayed.
pub fn streams(sdp: &str) -> Result<usize, OfferError> {
    Ok(Session::parse(sdp)?.media.len().min(STREAMS_MAX))
}

/// Attributes that speak of the path, the keys or the grouping of one side: they end here.
const OWN_TO_A_LEG: [&str; 25] = [
    "candidate",
    "end-of-candidates",
    "remote-candidates",
    "ice-ufrag",
    "ice-pwd",
    "ice-options",
    "ice-lite",
    "ice-mismatch",
    "ice-pacing",
    "crypto",
    "key-mgmt",
    "fingerprint",
    "setup",
    "connection",
    "tls-id",
    "identity",
    "zrtp-hash",
    "rtcp",
    "rtcp-mux",
    "rtcp-mux-only",
    "group",
    "mid",
    "bundle-only",
    "alt",
    "source-filter",
];

/// Attributes that browsers write and other phones make nothing of: they end with the last browser.
const OF_BROWSERS: [&str; 10] = [
    "extmap",
    "extmap-allow-mixed",
    "msid",
    "msid-semantic",
    "rid",
    "rtcp-fb",
    "rtcp-rsize",
    "simulcast",
    "ssrc",
    "ssrc-group",
];

const DIRECTIONS: [&str; 4] = ["sendrecv", "sendonly", "recvonly", "inactive"];

fn passes(attribute: &&Attribute) -> bool {
    !OWN_TO_A_LEG.contains(&attribute.name.as_str())
        && !DIRECTIONS.contains(&attribute.name.as_str())
}

fn flag(name: &str) -> Attribute {
    Attribute {
        name: name.to_owned(),
        value: None,
    }
}

/// What can be relayed: RTP in any profile, and fax as it is (T.38 over UDP).
fn is_relayable(media: &Media) -> bool {
    media.port != 0 && (Profile::of(media).is_some() || is_fax(media))
}

fn is_fax(media: &Media) -> bool {
    media.protocol.eq_ignore_ascii_case("udptl")
}

/// Everything above the first `m=`, with our addresses, and their attributes as far as they pass.
fn description(theirs: &Session, local: &RelayLocal) -> Session {
    Session {
        origin: Origin {
            user: "-".to_owned(),
            session_id: local.session_id.to_string(),
            session_version: local.session_version.to_string(),
            address: local.address.to_string(),
        },
        name: "-".to_owned(),
        connection: Some(Connection::Ip(local.address)),
        bandwidth: theirs.bandwidth.clone(),
        timing: theirs.timing.clone(),
        attributes: theirs.attributes.iter().filter(passes).cloned().collect(),
        media: Vec::new(),
    }
}

/// The offer of one leg as the offer to another.
///
/// `from` is our security towards the leg that offers: an offer it does not allow is refused here, before another phone
/// rings. Ports are those of the leg that is offered to.
pub fn rewrite_offer(
    offer: &str,
    from: &LocalSecurity,
    to: &RelayLocal,
) -> Result<String, OfferError> {
    let mut theirs = Session::parse(offer)?;
    let from_browser = from.is_web && !to.security.is_web;
    if from_browser {
        without_browser(&mut theirs);
    }
    let mut ours = description(&theirs, to);
    offer_answer::mark_offered_paths(&mut ours, &to.security);
    let mut is_open = false;
    let mut refusal = None;
    for (mline, media) in theirs.media.iter().enumerate() {
        let port = to.ports.get(mline).filter(|_| mline < STREAMS_MAX);
        let Some(port) = port.filter(|_| is_relayable(media)) else {
            ours.media.push(offer_answer::refused(media));
            continue;
        };
        if !is_fax(media)
            && let Err(error) = security::answer(&theirs, media, mline, from, to.at(mline))
        {
            refusal = Some(error);
            ours.media.push(offer_answer::refused(media));
            continue;
        }
        let remote = offer_answer::remote(&theirs, media, true)?;
        is_open = true;
        let mut section = Media {
            port: *port,
            port_count: None,
            connection: None,
            attributes: media.attributes.iter().filter(passes).cloned().collect(),
            ..media.clone()
        };
        if !is_fax(media) {
            let with_feedback = !from_browser && media.protocol.to_ascii_uppercase().ends_with('F');
            let (protocol, protection) =
                security::offer(&to.security, mline, with_feedback, to.at(mline));
            section.protocol = protocol;
            append_codecs(&mut section, &to.extra_codecs);
            section.attributes.push(flag(remote.direction.as_str()));
            section.attributes.extend(protection);
            if to.rtcp_mux {
                section.attributes.push(flag("rtcp-mux"));
            }
        }
        ours.media.push(section);
    }
    match (is_open, refusal) {
        (true, _) => Ok(ours.to_string()),
        (false, Some(refusal)) => Err(refusal),
        (false, None) => Err(OfferError::NoAudio),
    }
}

fn without_browser(session: &mut Session) {
    let stays = |one: &Attribute| !OF_BROWSERS.contains(&one.name.as_str());
    session.attributes.retain(stays);
    for media in &mut session.media {
        media.attributes.retain(stays);
    }
}

/// Adds those codecs that an audio section lacks, under numbers that are free.
fn append_codecs(section: &mut Media, extra: &[AudioCodec]) {
    if section.kind != "audio" {
        return;
    }
    let known = known_formats(section);
    for codec in extra {
        if known
            .iter()
            .any(|(_, format)| *format == Format::Audio(*codec))
        {
            continue;
        }
        let number = std::iter::once(codec.payload_type())
            .chain(96..=127)
            .find(|number| !section.formats.contains(&number.to_string()));
        let Some(number) = number else { continue };
        section.formats.push(number.to_string());
        let mut attribute = |name: &str, value: String| {
            section.attributes.push(Attribute {
                name: name.to_owned(),
                value: Some(value),
            });
        };
        attribute("rtpmap", format!("{number} {}", codec.rtpmap()));
        if let Some(parameters) = codec.fmtp() {
            attribute("fmtp", format!("{number} {parameters}"));
        }
    }
}

/// Numbers and names of a section's formats. Formats that are no numbers (fax) are left out.
fn formats(media: &Media) -> Vec<(u8, String)> {
    media
        .formats
        .iter()
        .filter_map(|text| {
            let number = syntax::number(text, 127)? as u8;
            let name = offer_answer::rtpmap(media, number).unwrap_or_default();
            Some((number, name.to_owned()))
        })
        .collect()
}

/// What a format is, however it is numbered and spelled.
fn is_same_format(one: &(u8, String), other: &(u8, String)) -> bool {
    match (one.1.is_empty(), other.1.is_empty()) {
        (true, true) => one.0 == other.0,
        (false, false) => one
            .1
            .trim_end_matches("/1")
            .eq_ignore_ascii_case(other.1.trim_end_matches("/1")),
        // A static number needs no rtpmap; the same number with one means the same unless it is dynamic.
        _ => one.0 == other.0 && one.0 < 96,
    }
}

fn telephone_events(media: &Media) -> Vec<(u8, u32)> {
    let known = known_formats(media).into_iter();
    known
        .filter_map(|(number, format)| match format {
            Format::TelephoneEvent { clock_rate } => Some((number, clock_rate)),
            _ => None,
        })
        .collect()
}

/// Formats that carry sound or pictures, not keys or silence.
fn is_carrier(format: &(u8, String)) -> bool {
    let name = format.1.split('/').next().unwrap_or_default();
    let is = |other: &str| name.eq_ignore_ascii_case(other);
    format.0 != 13
        && !is("telephone-event")
        && !is("CN")
        && !is("red")
        && !is("rtx")
        && !is("ulpfec")
}

/// The answer of one leg as the answer to the leg that offered.
///
/// `offer` is what came from the offerer, `offered` what [`rewrite_offer`] made of it, `answer` what came back.
/// `to_offerer` and `to_answerer` are our sides; the latter as it was for `offered`.
pub fn rewrite_answer(
    offer: &str,
    offered: &str,
    answer: &str,
    to_offerer: &RelayLocal,
    to_answerer: &RelayLocal,
) -> Result<Relayed, OfferError> {
    let offer = Session::parse(offer)?;
    let offered = Session::parse(offered)?;
    let mut answer = Session::parse(answer)?;
    if to_answerer.security.is_web && !to_offerer.security.is_web {
        without_browser(&mut answer);
    }
    if answer.media.len() != offered.media.len() || offered.media.len() != offer.media.len() {
        return Err(OfferError::Mismatch("another number of media sections"));
    }
    let mut ours = description(&answer, to_offerer);
    ours.timing = offer.timing.clone();
    let mut streams = Vec::new();
    for (mline, theirs) in offer.media.iter().enumerate() {
        let (asked, answered) = (&offered.media[mline], &answer.media[mline]);
        let port = to_offerer.ports.get(mline);
        let is_agreed = asked.port != 0 && answered.port != 0;
        let Some(port) = port.filter(|_| is_agreed) else {
            ours.media.push(offer_answer::refused(theirs));
            continue;
        };
        if !answered.kind.eq_ignore_ascii_case(&theirs.kind) {
            return Err(OfferError::Mismatch("another kind of media"));
        }
        let sections = Sections {
            mline,
            offer: (&offer, theirs),
            asked,
            answer: (&answer, answered),
        };
        let (mut section, stream) = sections.join(*port, to_offerer, to_answerer)?;
        offer_answer::mark_paths(&mut ours, &stream.offerer.security);
        section
            .attributes
            .extend(offer_answer::same_name(&offer, theirs, &mut ours));
        ours.media.push(section);
        streams.push(stream);
    }
    if streams.is_empty() {
        return Err(OfferError::NoAudio);
    }
    Ok(Relayed {
        sdp: ours.to_string(),
        streams,
    })
}

/// One section in its three forms.
struct Sections<'a> {
    mline: usize,
    offer: (&'a Session, &'a Media),
    asked: &'a Media,
    answer: (&'a Session, &'a Media),
}

impl Sections<'_> {
    /// The section of the answer to the offerer, and what is relayed.
    fn join(
        &self,
        port: u16,
        to_offerer: &RelayLocal,
        to_answerer: &RelayLocal,
    ) -> Result<(Media, RelayedStream), OfferError> {
        let (offer, theirs) = self.offer;
        let (answer, answered) = self.answer;
        let is_fax = is_fax(theirs);
        let (near, protection) = match is_fax {
            true => Default::default(),
            false => {
                let at = to_offerer.at(self.mline);
                security::answer(offer, theirs, self.mline, &to_offerer.security, at)?
            }
        };
        let far = match is_fax {
            true => NegotiatedSecurity::None,
            false => security::accept(self.asked, answer, answered, &to_answerer.security)?,
        };
        let offerer = offer_answer::remote(offer, theirs, to_offerer.rtcp_mux)?;
        let answerer_muxes = self.asked.attribute("rtcp-mux").is_some();
        let answerer = offer_answer::remote(answer, answered, answerer_muxes)?;

        let wanted = formats(theirs);
        let given = formats(answered);
        let common: Vec<&(u8, String)> = given
            .iter()
            .filter(|format| wanted.iter().any(|other| is_same_format(format, other)))
            .collect();
        let first = given.iter().find(|format| is_carrier(format));
        let passes_through = is_fax || first.is_some_and(|first| common.contains(&first));
        // RFC 3264 §6.1: an answer may narrow what was offered, not widen it.
        let direction = Direction::new(
            offerer.direction.receives() && answerer.direction.sends(),
            offerer.direction.sends() && answerer.direction.receives(),
        );
        let transcoding = match passes_through {
            true => None,
            false => Some(Box::new(self.transcoding(
                (&offerer, &near),
                (&answerer, &far),
                direction,
                to_answerer,
            )?)),
        };
        let mut section = match &transcoding {
            None => {
                let numbers: Vec<String> = common
                    .iter()
                    .map(|(number, _)| number.to_string())
                    .collect();
                Media {
                    formats: if is_fax {
                        answered.formats.clone()
                    } else {
                        numbers.clone()
                    },
                    attributes: answered
                        .attributes
                        .iter()
                        .filter(passes)
                        .filter(|one| is_fax || is_of_formats(one, &numbers))
                        .cloned()
                        .collect(),
                    ..answered.clone()
                }
            }
            Some(transcoding) => transcoded_section(theirs, &transcoding.offerer),
        };
        section.port = port;
        section.port_count = None;
        section.connection = None;
        section.protocol = theirs.protocol.clone();
        if !is_fax {
            section.attributes.push(flag(direction.as_str()));
            section.attributes.extend(protection);
            if offerer.rtcp_mux {
                section.attributes.push(flag("rtcp-mux"));
            }
        }
        let stream = RelayedStream {
            mline: self.mline,
            kind: theirs.kind.clone(),
            offerer: RelayedSide {
                remote_rtp: offerer.rtp,
                remote_rtcp: offerer.rtcp,
                rtcp_mux: offerer.rtcp_mux,
                security: near,
                formats: formats(&section),
                telephone_events: telephone_events(&section),
                direction,
            },
            answerer: RelayedSide {
                remote_rtp: answerer.rtp,
                remote_rtcp: answerer.rtcp,
                rtcp_mux: answerer.rtcp_mux,
                security: far,
                formats: given,
                telephone_events: telephone_events(answered),
                direction: direction.mirrored(),
            },
            transcoding,
        };
        Ok((section, stream))
    }
}

/// Whether an attribute belongs to the section or to one of these formats, not to one that is left out.
fn is_of_formats(attribute: &Attribute, numbers: &[String]) -> bool {
    if !["rtpmap", "fmtp", "rtcp-fb"].contains(&attribute.name.as_str()) {
        return true;
    }
    let number = attribute.value.as_deref().unwrap_or_default();
    let number = number.split([' ', '\t']).next().unwrap_or_default();
    number == "*" || numbers.iter().any(|own| own == number)
}

/// Our own side as offer and answer for ourselves want it: for a leg that ends here after all (voicemail, a tone).
impl RelayLocal {
    /// Where one section is received.
    fn at(&self, mline: usize) -> SocketAddr {
        let port = self.ports.get(mline).copied().unwrap_or_default();
        SocketAddr::new(self.address, port)
    }

    pub fn to_local_media(&self, codecs: Vec<AudioCodec>) -> Option<LocalMedia> {
        Some(LocalMedia {
            session_id: self.session_id,
            session_version: self.session_version,
            codecs,
            rtcp_mux: self.rtcp_mux,
            security: self.security.clone(),
            ..LocalMedia::new(self.address, *self.ports.first()?)
        })
    }
}

#[cfg(test)]
#[path = "relayed_tests.rs"]
mod tests;
