//! What offer and answer agreed on, in the media crate's words, and our means of protection in SDP's. Owns the
//! translation; negotiates nothing. RFC 3264.

use std::net::IpAddr;

use media::codec::Codec;
use media::dtls::{self, Certificate, DtlsConfig};
use media::ice::IceConfig;
use media::relay::RelaySecurity;
use media::session::{OpusWishes, Security, SessionConfig};
use media::srtp::{self, SrtpKeys};
use sip::Transport;
use sip::offer_answer::{
    AudioCodec, DtlsRole, Fingerprint, FingerprintHash, LocalIce, LocalSecurity, NegotiatedAudio,
    NegotiatedIce, NegotiatedSecurity, OpusParams, SecurityPolicy,
};
use sip::sdes::{KeySalt, KeySeed, SdesKeys, Suite};

use crate::records::unix_ms;
use crate::tailnet::is_tailnet;

/// How calls are protected, for the life of the program.
#[derive(Debug, Clone, Default)]
pub struct MediaSecurity {
    pub policy: SecurityPolicy,
    /// The first is shown in a first description. Empty: no handshakes.
    pub certificates: Vec<Certificate>,
}

impl MediaSecurity {
    /// For one leg of a call: keys of its own. `is_private` as [`is_private`] says; `is_web`: a browser, which encrypts or
    /// does not speak at all, by handshake and over checked paths, whatever holds for phones.
    pub fn local(&self, is_private: bool, is_web: bool) -> LocalSecurity {
        let fingerprint = self.fingerprint();
        let is_web = is_web && fingerprint.is_some();
        LocalSecurity {
            policy: match is_web {
                true => SecurityPolicy::Required,
                false => self.policy,
            },
            signalling_is_private: is_private,
            key_seed: (!is_web).then(|| KeySeed::new(rand::random())),
            fingerprint,
            role: None,
            ice: Some(LocalIce::new(rand::random())),
            offers_ice: is_web,
            is_web,
        }
    }

    /// Of the certificate that is shown first.
    pub fn fingerprint(&self) -> Option<Fingerprint> {
        self.certificates.first().map(fingerprint)
    }

    /// Of all certificates, in their order.
    pub fn fingerprints(&self) -> Vec<Fingerprint> {
        self.certificates.iter().map(fingerprint).collect()
    }

    /// The certificate that was announced so.
    fn certificate(&self, announced: &Fingerprint) -> Option<&Certificate> {
        let mut all = self.certificates.iter();
        all.find(|own| fingerprint(own) == *announced)
    }
}

/// A certificate as SDP shows it.
fn fingerprint(certificate: &Certificate) -> Fingerprint {
    Fingerprint {
        hash: FingerprintHash::Sha256,
        octets: certificate.fingerprint().to_vec(),
    }
}

/// What later descriptions of a call keep: who began the handshake (RFC 8842 section 5.5), and how paths are checked.
pub fn keep(local: &mut LocalSecurity, agreed: &NegotiatedSecurity) {
    match agreed {
        NegotiatedSecurity::Dtls { role, ice, .. } => {
            local.role = Some(*role);
            local.offers_ice = ice.is_some();
            if let Some(own) = &mut local.ice {
                own.keep(ice);
            }
        }
        NegotiatedSecurity::None | NegotiatedSecurity::Sdes(_) => local.role = None,
    }
}

/// Whether nobody on the way can read keys in the signalling.
pub fn is_private(transport: Transport, remote: IpAddr) -> bool {
    let remote = remote.to_canonical();
    matches!(transport, Transport::Tls | Transport::Wss)
        || remote.is_loopback()
        || is_tailnet(remote)
}

/// Keys from SDP for the packets; `None` where they do not fit their suite.
pub fn srtp_keys(keys: &SdesKeys) -> Option<SrtpKeys> {
    let suite = match keys.suite {
        Suite::AesCm128HmacSha1_80 => srtp::Suite::AesCm128HmacSha1_80,
        Suite::AesCm128HmacSha1_32 => srtp::Suite::AesCm128HmacSha1_32,
        Suite::AeadAes128Gcm => srtp::Suite::AeadAes128Gcm,
        Suite::AeadAes256Gcm => srtp::Suite::AeadAes256Gcm,
    };
    let key = |key: &KeySalt| srtp::KeySalt::new(suite, key.expose());
    Some(SrtpKeys {
        suite,
        send: key(&keys.send)?,
        receive: key(&keys.receive)?,
        receive_mki_len: keys.receive_mki_len,
    })
}

fn dtls(certificate: &Certificate, role: DtlsRole, peer: &Fingerprint) -> DtlsConfig {
    DtlsConfig {
        certificate: certificate.clone(),
        peer: dtls::Fingerprint {
            hash: match peer.hash {
                FingerprintHash::Sha256 => dtls::FingerprintHash::Sha256,
                FingerprintHash::Sha384 => dtls::FingerprintHash::Sha384,
                FingerprintHash::Sha512 => dtls::FingerprintHash::Sha512,
            },
            octets: peer.octets.clone(),
        },
        role: match role {
            DtlsRole::Active => dtls::Role::Active,
            DtlsRole::Passive => dtls::Role::Passive,
        },
    }
}

fn paths(ice: &NegotiatedIce) -> IceConfig {
    IceConfig {
        local_ufrag: ice.local_ufrag.clone(),
        local_pwd: ice.local_pwd.expose().to_owned(),
        remote_ufrag: ice.remote_ufrag.clone(),
    }
}

fn security(agreed: &NegotiatedSecurity, means: &MediaSecurity) -> (Security, Option<IceConfig>) {
    match agreed {
        NegotiatedSecurity::None => (Security::None, None),
        NegotiatedSecurity::Sdes(keys) => {
            let keys = srtp_keys(keys).map_or(Security::None, Security::Sdes);
            (keys, None)
        }
        NegotiatedSecurity::Dtls {
            role,
            own,
            peer,
            ice,
        } => match means.certificate(own) {
            Some(certificate) => {
                let dtls = dtls(certificate, *role, peer);
                (Security::Dtls(dtls), ice.as_ref().map(paths))
            }
            // Without a certificate none was announced, and so none agreed on.
            None => (Security::None, None),
        },
    }
}

/// The same for a stream that passes.
pub fn relay_security(
    agreed: &NegotiatedSecurity,
    means: &MediaSecurity,
) -> (RelaySecurity, Option<IceConfig>) {
    let (security, ice) = security(agreed, means);
    let security = match security {
        Security::None => RelaySecurity::None,
        Security::Sdes(keys) => RelaySecurity::Srtp(keys),
        Security::Dtls(dtls) => RelaySecurity::Dtls(dtls),
    };
    (security, ice)
}

fn opus(wishes: &OpusParams) -> OpusWishes {
    OpusWishes {
        bitrate_bps_max: wishes.bitrate_max,
        fec: wishes.fec,
        dtx: wishes.dtx,
    }
}

/// What was negotiated, in the media crate's words. Nothing yet means: send to nobody, receive from anybody.
pub fn session_config(
    negotiated: Option<&NegotiatedAudio>,
    cname: &str,
    means: &MediaSecurity,
) -> SessionConfig {
    let codec = |codec: AudioCodec| match codec {
        AudioCodec::Pcmu => Codec::Pcmu,
        AudioCodec::Pcma => Codec::Pcma,
        AudioCodec::G722 => Codec::G722,
        AudioCodec::Opus => Codec::Opus,
    };
    let base = SessionConfig {
        codec: Codec::Pcmu,
        payload_type: 0,
        receive_payload_types: vec![(0, Codec::Pcmu), (8, Codec::Pcma)],
        cname: cname.to_owned(),
        ntp_offset: unix_ms(),
        ..SessionConfig::default()
    };
    let Some(audio) = negotiated else {
        return base;
    };
    let (security, ice) = security(&audio.security, means);
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
        comfort_noise: audio.comfort_noise,
        opus: opus(&audio.opus),
        remote_rtp: audio.remote_rtp,
        remote_rtcp: audio.remote_rtcp,
        rtcp_mux: audio.rtcp_mux,
        security,
        ice,
        send: audio.direction.sends(),
        receive: audio.direction.receives(),
        ..base
    }
}
