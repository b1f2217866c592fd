//! Addresses, accounts and settings of the simulated world. Values only.
//! PURE.

use std::net::SocketAddr;
use std::time::Duration;

use media::codec::Codec;
use media::session::SessionConfig;
use offhook::call::CallSettings;
use offhook::config::Answerer;
use sip::offer_answer::{AudioCodec, LocalMedia, NegotiatedAudio};
use sip::{EndpointConfig, Host};

pub const PASSWORD: &str = "correct horse battery";

pub fn address(text: &str) -> SocketAddr {
    text.parse().expect("an address literal")
}

pub fn local_media(at: &str) -> LocalMedia {
    let at = address(at);
    LocalMedia {
        codecs: vec![AudioCodec::Pcmu, AudioCodec::Pcma],
        rtcp_mux: false,
        ..LocalMedia::new(at.ip(), at.port())
    }
}

pub fn v4(text: &str) -> Host {
    Host::V4(text.parse().expect("an address literal"))
}

pub fn server_config() -> EndpointConfig {
    EndpointConfig {
        domains: vec!["offhook".to_owned(), "10.0.0.1".to_owned()],
        ..EndpointConfig::default()
    }
}

pub fn settings(service: Answerer, seed: [u8; 32]) -> CallSettings {
    CallSettings {
        service,
        greeting: "Hello, this is a test.".to_owned(),
        turn: agent_bridge::turn::TurnConfig::default(),
        vad: asr::vad::VadConfig::default(),
        system_prompt: String::new(),
        history_messages_max: 20,
        history_chars_max: 4000,
        session: "phone/agent".to_owned(),
        seed,
        duration_max: Duration::from_secs(3600),
        no_audio_hangup: Duration::from_secs(60),
        partial_interval: Duration::from_millis(500),
        has_turn_model: false,
        echo_cancelling: true,
        trace: false,
        authority: offhook::call::Authority::owner(),
    }
}

pub fn session_config(audio: Option<&NegotiatedAudio>) -> SessionConfig {
    let Some(audio) = audio else {
        return SessionConfig {
            codec: Codec::Pcmu,
            payload_type: 0,
            receive_payload_types: vec![(0, Codec::Pcmu), (8, Codec::Pcma)],
            cname: "sim".to_owned(),
            ntp_offset: 1_800_000_000_000,
            ..SessionConfig::default()
        };
    };
    SessionConfig {
        codec: Codec::Pcmu,
        payload_type: audio.payload_type,
        receive_payload_types: vec![(0, Codec::Pcmu), (8, Codec::Pcma)],
        telephone_event: audio.telephone_event,
        remote_rtp: audio.remote_rtp,
        remote_rtcp: audio.remote_rtcp,
        cname: "sim".to_owned(),
        ntp_offset: 1_800_000_000_000,
        send: audio.direction.sends(),
        receive: audio.direction.receives(),
        ..SessionConfig::default()
    }
}
