//! What offer and answer agreed on, in the media crate's words. Owns the translation; negotiates nothing.
//! RFC 3264.

use media::session::SessionConfig;
use sip::offer_answer::{AudioCodec, NegotiatedAudio};

use crate::records::unix_ms;

/// What was negotiated, in the media crate's words. Nothing yet means: send to nobody, receive from anybody.
pub fn session_config(negotiated: Option<&NegotiatedAudio>, cname: &str) -> SessionConfig {
    let codec = |codec: AudioCodec| match codec {
        AudioCodec::Pcmu => media::codec::Codec::Pcmu,
        AudioCodec::Pcma => media::codec::Codec::Pcma,
        AudioCodec::G722 => media::codec::Codec::G722,
        AudioCodec::Opus => media::codec::Codec::Opus,
    };
    let base = SessionConfig {
        codec: media::codec::Codec::Pcmu,
        payload_type: 0,
        receive_payload_types: vec![
            (0, media::codec::Codec::Pcmu),
            (8, media::codec::Codec::Pcma),
        ],
        cname: cname.to_owned(),
        ntp_offset: unix_ms(),
        ..SessionConfig::default()
    };
    let Some(audio) = negotiated else {
        return base;
    };
    SessionConfig {
        codec: codec(audio.codec),
        payload_type: audio.payload_type,
        receive_payload_types: audio
            .receive_payload_types
            .iter()
            .map(|(number, kind)| (*number, codec(*kind)))
            .collect(),
        telephone_event: audio.telephone_event,
        telephone_event_hz: Some(audio.telephone_event_rate),
        remote_rtp: audio.remote_rtp,
        remote_rtcp: audio.remote_rtcp,
        send: audio.direction.sends(),
        receive: audio.direction.receives(),
        ..base
    }
}
