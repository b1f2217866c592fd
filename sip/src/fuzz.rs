//! PURE.
//! What must hold for any octets at all: bodies for a fuzzer, run over a seeded corpus of broken messages by the tests.
//! Each panics where its property does not hold.

use std::net::SocketAddr;

use crate::admission;
use crate::digits;
use crate::error::ParseError;
use crate::framing::{Frame, StreamFramer};
use crate::header::{
    AuthParams, CSeq, EventPackage, HeaderName, NameAddr, ReferTo, Replaces, SubscriptionState,
    Via, sipfrag_status,
};
use crate::identity;
use crate::instant::{self, Content};
use crate::message::Message;
use crate::offer_answer::{
    self, AudioCodec, Fingerprint, FingerprintHash, LocalIce, LocalMedia, LocalSecurity,
    SecurityPolicy,
};
use crate::relayed::{self, RelayLocal};
use crate::sdes::{CryptoLine, KeySeed};
use crate::sdp::{Connection, Session};
use crate::stun;
use crate::uri::Uri;

/// A Binding request as phones send it to keep their way open.
pub const STUN_REQUEST: [u8; 20] = *b"\x00\x01\x00\x00\x21\x12\xa4\x42keep-alive 1";

/// Whatever is answered is an answer, not a request, and hardly longer than what was asked.
pub fn answer_stun(data: &[u8]) {
    let source = std::net::SocketAddr::from(([0x2001, 0xdb8, 0, 0, 0, 0, 0, 7], 5062));
    if let Some(answer) = stun::answer(data, source) {
        assert!(stun::is_stun(data) && stun::is_stun(&answer));
        assert!(answer.len() <= data.len() + stun::GROWTH_MAX);
        assert_eq!(answer.len() % 4, 0);
        assert_eq!(answer[4..20], data[4..20], "the transaction asked about");
        assert_eq!(
            stun::answer(&answer, source),
            None,
            "answers are not answered"
        );
    }
}

/// The first octet chooses the type, the rest is the body. What is taken for a text is one, and can be wrapped and read again.
pub fn read_instant(data: &[u8]) {
    let kinds = [
        "text/plain",
        instant::CPIM,
        "multipart/mixed;boundary=b",
        "multipart/alternative;boundary=\"b\"",
        instant::COMPOSING,
        instant::DISPOSITION,
    ];
    let Some((kind, body)) = data.split_first() else {
        return;
    };
    let kind = kinds[usize::from(*kind) % kinds.len()];
    let Ok(read) = instant::read(Some(kind), body) else {
        return;
    };
    let Content::Text(text) = read.content else {
        return;
    };
    let is_printable = |c: char| !c.is_control() || matches!(c, '\n' | '\t');
    assert!(!text.trim().is_empty() && text.chars().all(is_printable));
    let envelope = read.envelope.unwrap_or_default();
    let wrapped = instant::wrap(&envelope, "2026-01-01T00:00:00Z", instant::PLAIN, &text);
    let again = instant::read(Some(instant::CPIM), wrapped.as_bytes()).expect("ours can be read");
    assert_eq!(again.content, Content::Text(text));
}

/// A message is taken, refused or dropped; what is written can be read again and says the same.
pub fn parse_message(data: &[u8]) {
    match Message::parse_datagram(data) {
        Ok(message) => {
            read_everything(&message);
            let written = message.to_bytes();
            let again = Message::parse_datagram(&written).expect("what we write can be read");
            assert_eq!(again.to_bytes(), written, "writing twice gives the same");
        }
        Err(ParseError::Refuse { response, .. }) => {
            let written = response.to_bytes();
            assert!(
                Message::parse_datagram(&written).is_ok(),
                "a refusal can be read"
            );
        }
        Err(ParseError::Drop { .. }) => {}
    }
    // The stream reader may say no where the datagram reader says yes, but never panics.
    let _ = Message::parse_stream_message(data);
}

fn read_everything(message: &Message) {
    let headers = message.headers();
    let _ = (
        headers.vias(),
        headers.top_via(),
        headers.from(),
        headers.to(),
        headers.call_id(),
    );
    let _ = (
        headers.cseq(),
        headers.contacts(),
        headers.routes(),
        headers.record_routes(),
    );
    let _ = (
        headers.max_forwards(),
        headers.expires(),
        headers.min_expires(),
    );
    let _ = (
        headers.content_type(),
        headers.option_tags(&HeaderName::Require),
    );
    let _ = headers.credentials(&HeaderName::Authorization);
    let _ = (
        identity::trusted_caller(headers),
        identity::diverted_by(headers),
    );
    let mut popped = headers.clone();
    popped.pop_top_via();
    popped.pop_route();
    match message {
        Message::Request(request) => {
            let _ = (admission::check(request), request.sdp());
        }
        Message::Response(response) => {
            let _ = (admission::check_response(response), response.sdp());
        }
    }
}

/// Cut into pieces of any size, a stream gives the same frames, and they can be read.
pub fn frame_stream(data: &[u8]) {
    let whole = frames(data, data.len().max(1));
    let step = usize::from(data.first().copied().unwrap_or(1) % 7) + 1;
    let pieces = frames(data, step);
    let messages = |frames: &(Vec<Frame>, bool)| -> Vec<Frame> {
        frames
            .0
            .iter()
            .filter(|frame| matches!(frame, Frame::Message(_)))
            .cloned()
            .collect()
    };
    // One push that breaks may hold whole messages before the break, just as several pushes do.
    assert_eq!(messages(&whole), messages(&pieces));
    assert_eq!(whole.1, pieces.1, "both break or neither");
    for frame in whole.0 {
        if let Frame::Message(message) = frame {
            let _ = Message::parse_stream_message(&message);
        }
    }
}

/// The frames of `data` pushed `step` octets at a time, and whether the framing broke.
fn frames(data: &[u8], step: usize) -> (Vec<Frame>, bool) {
    let mut framer = StreamFramer::new();
    let mut frames = Vec::new();
    let mut broke = false;
    for piece in data.chunks(step) {
        broke = framer.push(piece).is_err();
        frames.extend(framer.by_ref());
        if broke {
            break;
        }
    }
    (frames, broke)
}

/// What a value prints as reads as an equal value.
pub fn parse_values(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    if let Ok(uri) = text.parse::<Uri>() {
        assert_eq!(uri.to_string().parse(), Ok(uri.clone()));
        assert!(uri.equivalent(&uri));
    }
    if let Ok(via) = Via::parse(&text) {
        assert_eq!(Via::parse(&via.to_string()), Ok(via));
    }
    if let Ok(address) = NameAddr::parse(&text) {
        assert_eq!(NameAddr::parse(&address.to_string()), Ok(address));
    }
    if let Ok(cseq) = CSeq::parse(&text) {
        assert_eq!(CSeq::parse(&cseq.to_string()), Ok(cseq));
    }
    if let Ok(replaces) = Replaces::parse(&text) {
        assert_eq!(Replaces::parse(&replaces.to_string()), Ok(replaces));
    }
    if let Ok(refer) = ReferTo::parse(&text) {
        assert_eq!(
            ReferTo::parse(&ReferTo::write(&refer.target, None)).map(|again| again.target),
            Ok(refer.target)
        );
    }
    if let Ok(event) = EventPackage::parse(&text) {
        assert_eq!(EventPackage::parse(&event.to_string()), Ok(event));
    }
    let _ = (SubscriptionState::parse(&text), sipfrag_status(data));
    let _ = (AuthParams::parse(&text), AuthParams::parse_info(&text));
    for kind in [digits::DTMF_RELAY, digits::DTMF] {
        if let Some(key) = digits::parse(kind, data) {
            let written = digits::write(key);
            assert_eq!(
                digits::parse(digits::DTMF_RELAY, written.as_bytes()),
                Some(key)
            );
        }
    }
}

/// A session description is stable once written, and an answer has the sections of its offer and can be accepted by us.
pub fn parse_sdp(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    let local = LocalMedia {
        codecs: vec![AudioCodec::Pcmu, AudioCodec::Pcma],
        ..LocalMedia::new([192, 0, 2, 7].into(), 40_000)
    };
    let Ok(session) = Session::parse(&text) else {
        return;
    };
    let written = session.to_string();
    let again = Session::parse(&written).expect("what we write can be read");
    assert_eq!(again.to_string(), written);
    if let Ok((answer, negotiated)) = offer_answer::answer(&text, &local) {
        let answer = Session::parse(&answer).expect("our answer can be read");
        assert_eq!(answer.media.len(), session.media.len());
        assert_eq!(answer.media[negotiated.mline].port, local.rtp_port);
        let open = answer.media.iter().filter(|media| media.port != 0).count();
        assert_eq!(open, 1, "one section is taken");
        assert!(negotiated.payload_type < 128);
    }
    let _ = offer_answer::accept_answer(&offer_answer::offer(&local), &text, &local);
}

/// Lines of `a=crypto`: what is read is written and read again as the same key, and no key shows in `Debug`.
pub fn read_keys(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    for line in text.lines().take(64).filter_map(CryptoLine::parse) {
        let written = line.to_value();
        let again = CryptoLine::parse(&written).expect("what we write can be read");
        // A name of the key is read, and never written.
        assert_eq!(
            again,
            CryptoLine {
                mki_len: 0,
                ..line.clone()
            }
        );
        let (_, key) = written.split_once("inline:").expect("a key");
        assert!(!format!("{line:?}").contains(key), "a key in clear");
    }
}

const OURS: [[u8; 4]; 2] = [[192, 0, 2, 1], [192, 0, 2, 2]];

fn leg(side: usize, kind: usize) -> RelayLocal {
    let policy = [
        SecurityPolicy::Off,
        SecurityPolicy::Optional,
        SecurityPolicy::Required,
    ][kind % 3];
    RelayLocal {
        address: OURS[side].into(),
        ports: (0..relayed::STREAMS_MAX as u16)
            .map(|n| 40_000 + 1_000 * side as u16 + 2 * n)
            .collect(),
        session_id: 7,
        session_version: 1,
        rtcp_mux: kind & 4 != 0,
        security: LocalSecurity {
            policy,
            signalling_is_private: kind & 8 != 0,
            key_seed: (kind & 16 != 0).then(|| KeySeed::new([side as u8; 32])),
            fingerprint: (kind & 64 != 0).then(|| Fingerprint {
                hash: FingerprintHash::Sha256,
                octets: vec![side as u8; 32],
            }),
            role: None,
            ice: (kind & 64 != 0).then(|| LocalIce::new([side as u8; 32])),
            offers_ice: kind & 128 != 0,
            is_web: kind & 128 != 0,
        },
        extra_codecs: match kind & 32 {
            0 => Vec::new(),
            _ => vec![AudioCodec::Pcmu],
        },
    }
}

/// What one phone writes leaves for the other with our address, one of our ports or none, and nothing of the path.
fn assert_ours(text: &str, side: usize, sections: usize) -> Session {
    let session = Session::parse(text).expect("what we write can be read");
    assert_eq!(session.media.len(), sections, "each section has its place");
    let own = Some(OURS[side].into());
    let is_own = |connection: &Option<Connection>| {
        connection
            .as_ref()
            .is_none_or(|connection| connection.ip() == own)
    };
    assert!(session.connection.is_some() && is_own(&session.connection));
    assert_eq!(session.origin.address.parse().ok(), own);
    for media in &session.media {
        assert!(is_own(&media.connection));
        let ports = leg(side, 0).ports;
        assert!(media.port == 0 || ports.contains(&media.port));
        for name in ["source-filter", "key-mgmt"] {
            assert_eq!(media.attribute(name), None);
            assert_eq!(session.attribute(name), None);
        }
        // Paths are ours or there are none.
        let ice = LocalIce::new([side as u8; 32]);
        let at = SocketAddr::new(OURS[side].into(), media.port);
        let own = ice.attributes(at);
        for name in ["candidate", "ice-ufrag", "ice-pwd"] {
            assert_eq!(session.attribute(name), None);
            let ours = own.iter().find(|one| one.name == name);
            let ours = ours.and_then(|one| one.value.as_deref());
            assert!(media.attributes_named(name).all(|one| Some(one) == ours));
        }
    }
    session
}

/// An offer and, behind a zero octet, an answer of two phones that talk through us, in any words. The first octet chooses
/// what each side may do.
pub fn relay_descriptions(data: &[u8]) {
    let [kinds, text @ ..] = data else { return };
    let text = String::from_utf8_lossy(text);
    let (offer, answer) = text.split_once('\0').unwrap_or((&text, ""));
    let (offerer, answerer) = (
        leg(0, usize::from(*kinds)),
        leg(1, usize::from(kinds.rotate_left(3))),
    );
    let Ok(offered) = relayed::rewrite_offer(offer, &offerer.security, &answerer) else {
        return;
    };
    let sections = Session::parse(offer).expect("it was rewritten").media.len();
    assert_ours(&offered, 1, sections);
    assert_eq!(
        relayed::streams(offer),
        Ok(sections.min(relayed::STREAMS_MAX))
    );
    let Ok(relayed) = relayed::rewrite_answer(offer, &offered, answer, &offerer, &answerer) else {
        return;
    };
    let answered = assert_ours(&relayed.sdp, 0, sections);
    assert!(!relayed.streams.is_empty() && relayed.streams.len() <= relayed::STREAMS_MAX);
    for stream in &relayed.streams {
        assert!(stream.mline < relayed::STREAMS_MAX.min(sections));
        assert_ne!(
            answered.media[stream.mline].port, 0,
            "what is relayed is open"
        );
        for side in [&stream.offerer, &stream.answerer] {
            assert!(side.remote_rtp.is_none_or(|remote| remote.port() != 0));
            assert!(side.formats.iter().all(|(number, _)| *number < 128));
        }
    }
}
