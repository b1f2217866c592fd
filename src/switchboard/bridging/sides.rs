//! PURE.
//! Who is at the two sides of a relay and what they send, for the record. Owns what is known of them; counts no packets (`media`).

use media::codec::Codec;

/// Legs that a record holds: two for each part of a call that was handed on.
pub(super) const LEGS_MAX: usize = 16;

/// Who is at the two sides of a relay.
#[derive(Default)]
pub(super) struct Sides {
    /// What they send in the first stream, where it is a codec we know.
    pub(super) codecs: [Option<Codec>; 2],
    /// Their names; empty until they talk.
    pub(super) parties: [String; 2],
}

/// A codec whose sound can be scored.
pub(super) fn known_codec((number, map): &(u8, String)) -> Option<Codec> {
    let name = map.split('/').next().unwrap_or_default();
    let is = |other: &str| name.eq_ignore_ascii_case(other);
    match (number, name.is_empty()) {
        (0, true) => Some(Codec::Pcmu),
        (8, true) => Some(Codec::Pcma),
        (9, true) => Some(Codec::G722),
        _ if is("PCMU") => Some(Codec::Pcmu),
        _ if is("PCMA") => Some(Codec::Pcma),
        _ if is("G722") => Some(Codec::G722),
        _ if is("opus") => Some(Codec::Opus),
        _ => None,
    }
}
