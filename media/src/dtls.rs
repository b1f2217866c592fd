//! Keys of a stream out of a handshake beside it: DTLS-SRTP, RFC 5763 and RFC 5764. Owns one association: our
//! certificate, the peer's fingerprint, retransmission on injected time, and the keys that come out. Does not own
//! sockets, SDP, or which datagrams are DTLS (see [`is_dtls`]).
//!
//! The handshake itself is the `webrtc` project's `rtc-dtls`, which has neither sockets nor clocks. Its randomness is
//! the operating system's: keys are the one thing that must not follow from a seed. It is asked of nothing but version
//! 1.2; certificates are judged by their fingerprint alone, RFC 5763 section 5.
//!
//! What strangers send changes nothing but counters: a datagram that is refused is dropped, and a handshake that comes
//! to nothing within [`LIFETIME_MAX`] is over. Bound: [`DATAGRAMS_MAX`] datagrams to be sent; further ones are dropped.

use std::collections::VecDeque;
use std::fmt;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use bytes::BytesMut;
use ring::digest;
use rtc_dtls::config::{ClientAuthType, ConfigBuilder, ExtendedMasterSecretType, HandshakeConfig};
use rtc_dtls::endpoint::{Endpoint, EndpointEvent};
use rtc_dtls::extension::extension_use_srtp::SrtpProtectionProfile;
use rtc_shared::TransportProtocol;
use rtc_shared::error::Error;
use subtle::ConstantTimeEq;
use thiserror::Error;

use crate::srtp::{KeySalt, SrtpKeys, Suite};

/// A lost flight is sent again after this time. RFC 6347 section 4.2.4.1 speaks of a second; a caller who waits for the
/// first word is worth a little more traffic.
const FLIGHT_INTERVAL: Duration = Duration::from_millis(400);

/// Without an end for so long, an association is begun anew: strangers' records may have got into it.
const PATIENCE: Duration = Duration::from_millis(3_200);

/// From the start until it is given up. A phone may need to be answered, unlocked and let through a firewall first.
pub const LIFETIME_MAX: Duration = Duration::from_secs(20);

/// Datagrams that wait to be sent.
const DATAGRAMS_MAX: usize = 32;

/// Larger ones are no handshake over any path of the Internet.
const DATAGRAM_LEN_MAX: usize = 2_048;

/// RFC 5764 section 4.2.
const EXPORTER: &str = "EXTRACTOR-dtls_srtp";

/// Best first: of the strong ones that which costs least. The short tag is not offered.
const PROFILES: [(SrtpProtectionProfile, Suite); 3] = [
    (
        SrtpProtectionProfile::Srtp_Aead_Aes_128_Gcm,
        Suite::AeadAes128Gcm,
    ),
    (
        SrtpProtectionProfile::Srtp_Aes128_Cm_Hmac_Sha1_80,
        Suite::AesCm128HmacSha1_80,
    ),
    (
        SrtpProtectionProfile::Srtp_Aead_Aes_256_Gcm,
        Suite::AeadAes256Gcm,
    ),
];

/// Whether a datagram on a media port belongs to a handshake, RFC 7983.
pub fn is_dtls(datagram: &[u8]) -> bool {
    matches!(datagram, [20..=63, ..])
}

/// Whether it begins a handshake: a ClientHello in clear, RFC 6347 sections 4.1 and 4.3.2.
fn is_hello(datagram: &[u8]) -> bool {
    matches!(datagram, [22, _, _, 0, 0, _, _, _, _, _, _, _, _, 1, ..])
}

/// Why there is no certificate, or no handshake.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum DtlsError {
    #[error("no certificate could be made: {0}")]
    Certificate(String),
    #[error("the handshake could not begin: {0}")]
    Setup(String),
}

/// Our certificate with its key: self-made, one for the life of the program. Cheap to clone.
#[derive(Clone)]
pub struct Certificate {
    inner: Arc<rtc_dtls::crypto::Certificate>,
    fingerprint: [u8; 32],
}

impl Certificate {
    /// Makes one, ECDSA on P-256, with randomness of the operating system.
    pub fn generate() -> Result<Certificate, DtlsError> {
        let failed = |error: String| DtlsError::Certificate(error);
        let provider = rtc_crypto::default_provider().map_err(|error| failed(error.to_string()))?;
        let names = vec!["offhook".to_owned()];
        let inner = rtc_dtls::crypto::Certificate::generate_self_signed(names, provider.crypto())
            .map_err(|error| failed(error.to_string()))?;
        let der = inner.certificate.first();
        let der = der.ok_or_else(|| failed("it is empty".to_owned()))?;
        let hash = digest::digest(&digest::SHA256, der);
        let fingerprint = hash.as_ref().try_into().expect("SHA-256 has 32 octets");
        Ok(Certificate {
            inner: Arc::new(inner),
            fingerprint,
        })
    }

    /// SHA-256 of the DER, for `a=fingerprint`.
    pub fn fingerprint(&self) -> [u8; 32] {
        self.fingerprint
    }
}

impl fmt::Debug for Certificate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Certificate(…)")
    }
}

impl PartialEq for Certificate {
    fn eq(&self, other: &Certificate) -> bool {
        self.fingerprint == other.fingerprint
    }
}

impl Eq for Certificate {}

/// Hash functions a fingerprint may be made with, RFC 8122 section 5.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FingerprintHash {
    Sha256,
    Sha384,
    Sha512,
}

/// What a peer's certificate must hash to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fingerprint {
    pub hash: FingerprintHash,
    pub octets: Vec<u8>,
}

impl Fingerprint {
    fn is_of(&self, certificate: &[u8]) -> bool {
        let algorithm = match self.hash {
            FingerprintHash::Sha256 => &digest::SHA256,
            FingerprintHash::Sha384 => &digest::SHA384,
            FingerprintHash::Sha512 => &digest::SHA512,
        };
        digest::digest(algorithm, certificate)
            .as_ref()
            .ct_eq(&self.octets)
            .into()
    }
}

/// Who begins, seen from our side. RFC 5763 section 5.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// We send the ClientHello.
    Active,
    Passive,
}

/// What offer and answer agreed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DtlsConfig {
    pub certificate: Certificate,
    pub peer: Fingerprint,
    pub role: Role,
}

/// How far the handshake is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Progress {
    Running,
    Done(SrtpKeys),
    /// Nobody answered, or not the one with that fingerprint.
    Failed(&'static str),
}

/// One association.
pub struct Handshake {
    config: DtlsConfig,
    endpoint: Endpoint,
    started: Instant,
    progress: Progress,
    datagrams: VecDeque<Vec<u8>>,
    /// When the association is begun anew, unless it has come to its end.
    restart_at: Option<Instant>,
    /// It has answered with an alert, and waits for that.
    is_broken: bool,
    /// A certificate was shown that is not the peer's.
    other_shown: Arc<AtomicBool>,
    /// Datagrams that were refused.
    pub refused: u64,
}

/// The peer as the endpoint knows it. Where datagrams really come from is not its business: a phone's address may
/// change in the middle of its handshake, and its fingerprint is what it is known by.
fn peer() -> SocketAddr {
    SocketAddr::from(([192, 0, 2, 1], 1))
}

fn handshake_config(
    config: &DtlsConfig,
    other_shown: Arc<AtomicBool>,
) -> Result<Arc<HandshakeConfig>, DtlsError> {
    let failed = |error: String| DtlsError::Setup(error);
    let provider = rtc_crypto::default_provider().map_err(|error| failed(error.to_string()))?;
    let fingerprint = config.peer.clone();
    let built = ConfigBuilder::default()
        .with_crypto_provider(provider)
        .with_certificates(vec![(*config.certificate.inner).clone()])
        .with_srtp_protection_profiles(PROFILES.iter().map(|(profile, _)| *profile).collect())
        .with_extended_master_secret(ExtendedMasterSecretType::Request)
        .with_client_auth(ClientAuthType::RequireAnyClientCert)
        // No authority has signed it; the fingerprint says whose it is.
        .with_insecure_skip_verify(true)
        .with_verify_peer_certificate(Some(Arc::new(move |certificates, _| {
            let shown = certificates.first();
            match shown.is_some_and(|shown| fingerprint.is_of(shown)) {
                true => Ok(()),
                false => {
                    other_shown.store(true, Ordering::Relaxed);
                    Err(Error::ErrVerifyDataMismatch)
                }
            }
        })))
        .with_flight_interval(FLIGHT_INTERVAL)
        .build(config.role == Role::Active, Some(peer()));
    built
        .map(Arc::new)
        .map_err(|error| failed(error.to_string()))
}

fn endpoint(
    config: &DtlsConfig,
    other_shown: &Arc<AtomicBool>,
    now: Instant,
) -> Result<Endpoint, DtlsError> {
    let handshake = handshake_config(config, other_shown.clone())?;
    let local = SocketAddr::from(([192, 0, 2, 2], 1));
    let server = (config.role == Role::Passive).then(|| handshake.clone());
    let mut endpoint = Endpoint::new(local, TransportProtocol::UDP, server);
    if config.role == Role::Active {
        endpoint
            .connect(now, peer(), handshake, None)
            .map_err(|error| DtlsError::Setup(error.to_string()))?;
    }
    Ok(endpoint)
}

impl Handshake {
    /// Begins now: the active side has its first datagram at once.
    pub fn new(config: DtlsConfig, now: Instant) -> Result<Handshake, DtlsError> {
        let other_shown = Arc::new(AtomicBool::new(false));
        let mut handshake = Handshake {
            endpoint: endpoint(&config, &other_shown, now)?,
            restart_at: None,
            is_broken: false,
            other_shown,
            config,
            started: now,
            progress: Progress::Running,
            datagrams: VecDeque::new(),
            refused: 0,
        };
        handshake.collect();
        Ok(handshake)
    }

    pub fn config(&self) -> &DtlsConfig {
        &self.config
    }

    pub fn progress(&self) -> &Progress {
        &self.progress
    }

    /// Takes a datagram that [`is_dtls`]. After the end the peer's last flight may come again, and is answered again.
    pub fn receive(&mut self, now: Instant, datagram: &[u8]) {
        let is_pausing = self.restart_at.is_some_and(|due| now < due) && self.is_broken;
        // A new association is agreed upon first (RFC 8842 section 4), and is not this one: a browser that is handed on sends its
        // first words to where the last one was, and takes any answer from there for the end.
        let is_late = is_hello(datagram) && matches!(self.progress, Progress::Done(_));
        let is_over = matches!(self.progress, Progress::Failed(_)) || is_late;
        if is_over || is_pausing || datagram.len() > DATAGRAM_LEN_MAX {
            self.refused += 1;
            return;
        }
        if self.progress == Progress::Running && self.restart_at.is_none() {
            // From the first datagram on there is something that can get stuck.
            self.restart_at = Some(now + PATIENCE);
        }
        let events = self
            .endpoint
            .read(now, peer(), None, BytesMut::from(datagram));
        let is_refused = events.is_err();
        match events {
            Ok(events) => {
                for event in events {
                    match event {
                        EndpointEvent::HandshakeComplete => self.complete(),
                        EndpointEvent::PeerClosed if self.progress == Progress::Running => {
                            self.progress = Progress::Failed("the phone broke off the handshake");
                        }
                        _ => {}
                    }
                }
            }
            Err(_) => self.refused += 1,
        }
        // An association that answers with an alert will answer with one for ever. A moment's silence, so that two of
        // them do not throw alerts at each other, then a new one: a record that nobody has authenticated must not be
        // able to end the call.
        let is_broken = is_refused && self.collect() > 0;
        if is_broken && self.progress == Progress::Running {
            self.is_broken = true;
            self.restart_at = Some(now + FLIGHT_INTERVAL);
        }
        self.collect();
    }

    /// What is due by now.
    pub fn time(&mut self, now: Instant) {
        if self.progress != Progress::Running {
            return;
        }
        if now.saturating_duration_since(self.started) >= LIFETIME_MAX {
            self.progress = Progress::Failed(match self.other_shown.load(Ordering::Relaxed) {
                true => "the phone shows another certificate than it announced",
                false => "no answer to the handshake for the keys",
            });
            return;
        }
        let is_stuck = self.restart_at.is_some_and(|due| due <= now);
        let due = self.endpoint.poll_timeout(&peer());
        let is_tired = !is_stuck
            && due.is_some_and(|due| due <= now)
            && self.endpoint.handle_timeout(peer(), now).is_err();
        if is_stuck || is_tired {
            // The other side does the same, or repeats its first flight: what lies between is forgotten.
            self.restart_at = None;
            self.is_broken = false;
            match endpoint(&self.config, &self.other_shown, now) {
                Ok(endpoint) => self.endpoint = endpoint,
                Err(_) => self.progress = Progress::Failed("the handshake could not begin"),
            }
        }
        self.collect();
    }

    /// When [`Handshake::time`] is to be called.
    pub fn next_timeout(&self) -> Option<Instant> {
        if self.progress != Progress::Running {
            return None;
        }
        let end = self.started + LIFETIME_MAX;
        let due = self.endpoint.poll_timeout(&peer());
        let due = due.filter(|_| !self.is_broken);
        [Some(end), due, self.restart_at]
            .into_iter()
            .flatten()
            .min()
    }

    /// The next datagram to send to the peer.
    pub fn poll_datagram(&mut self) -> Option<Vec<u8>> {
        self.datagrams.pop_front()
    }

    /// Takes what the endpoint has to send, and says how many datagrams that was.
    fn collect(&mut self) -> usize {
        let mut count = 0;
        while let Some(transmit) = self.endpoint.poll_transmit() {
            count += 1;
            if self.datagrams.len() < DATAGRAMS_MAX {
                self.datagrams.push_back(transmit.message.to_vec());
            }
        }
        count
    }

    fn complete(&mut self) {
        self.progress = match self.keys() {
            Some(keys) => Progress::Done(keys),
            None => Progress::Failed("the phone agreed to no SRTP profile of ours"),
        };
    }

    /// RFC 5764 section 4.2: the client's key, the server's, the client's salt, the server's.
    fn keys(&self) -> Option<SrtpKeys> {
        let state = self.endpoint.get_connection_state(peer())?;
        // Belt and braces: keys are given out for the fingerprint's certificate only.
        let shown = state.peer_certificates.first()?;
        if !self.config.peer.is_of(shown) {
            return None;
        }
        let agreed = state.srtp_protection_profile();
        let (_, suite) = PROFILES
            .into_iter()
            .find(|(profile, _)| *profile == agreed)?;
        let (key_len, salt_len) = (suite.key_len(), suite.salt_len());
        let material = state
            .export_keying_material(EXPORTER, &[], 2 * (key_len + salt_len))
            .ok()?;
        let material = material.into_bytes();
        let (keys, salts) = material.split_at(2 * key_len);
        let of = |side: usize| {
            let key = &keys[side * key_len..][..key_len];
            let salt = &salts[side * salt_len..][..salt_len];
            KeySalt::new(suite, &[key, salt].concat())
        };
        let (client, server) = (of(0)?, of(1)?);
        let (send, receive) = match self.config.role {
            Role::Active => (client, server),
            Role::Passive => (server, client),
        };
        Some(SrtpKeys {
            suite,
            send,
            receive,
            receive_mki_len: 0,
        })
    }
}

impl fmt::Debug for Handshake {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Handshake")
            .field("role", &self.config.role)
            .field("progress", &self.progress)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
#[path = "dtls_tests.rs"]
mod tests;
