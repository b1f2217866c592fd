//! TLS towards others: which name a peer must prove, and who may vouch for it. Owns the client's side of TLS; not where a
//! peer is (`resolve`) or when it is called.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, ring, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{ClientConfig, DigitallySignedStruct, RootCertStore, SignatureScheme};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tracing::warn;

use super::certificate::fingerprint;

/// Peers whose names are known. At the bound a new one takes the place of any other.
const PEERS_MAX: usize = 1_024;

/// By what a TLS peer is known.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Trust {
    /// This machine's certificate authorities vouch for the name.
    Authorities,
    /// The certificate has this SHA-256 fingerprint, written `AB:CD:…`; its names and dates do not matter.
    Pinned(String),
    /// Anybody who answers. Encrypted, and no protection from somebody in between.
    Anyone,
}

/// One peer that we call over TLS.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TlsPeer {
    /// The name it must prove: RFC 5922 §7.2 wants the one it was asked for by, not the one it was resolved to.
    pub name: String,
    pub trust: Trust,
}

/// What is known of the peers that we may call over TLS, by the address they were resolved to. Clones share it. A peer
/// that is not known must prove its IP address.
#[derive(Clone, Default)]
pub struct TlsPeers(Arc<Inner>);

#[derive(Default)]
struct Inner {
    peers: Mutex<HashMap<SocketAddr, TlsPeer>>,
    /// Read when first needed: dozens of files.
    authorities: OnceLock<Arc<RootCertStore>>,
}

impl TlsPeers {
    /// From now on whoever answers at `remote` must be `peer`.
    pub fn expect(&self, remote: SocketAddr, peer: TlsPeer) {
        let mut peers = self.0.peers.lock().unwrap_or_else(PoisonError::into_inner);
        if peers.len() >= PEERS_MAX
            && !peers.contains_key(&remote)
            && let Some(other) = peers.keys().next().copied()
        {
            peers.remove(&other);
        }
        peers.insert(remote, peer);
    }

    fn of(&self, remote: SocketAddr) -> TlsPeer {
        let peers = self.0.peers.lock().unwrap_or_else(PoisonError::into_inner);
        let known = peers.get(&remote).cloned();
        known.unwrap_or_else(|| TlsPeer {
            name: remote.ip().to_string(),
            trust: Trust::Authorities,
        })
    }

    pub(super) async fn connect(
        &self,
        stream: TcpStream,
        remote: SocketAddr,
    ) -> Result<tokio_rustls::client::TlsStream<TcpStream>, String> {
        let peer = self.of(remote);
        let name = ServerName::try_from(peer.name.clone())
            .map_err(|_| format!("{} is no name for TLS", peer.name))?;
        let config = self
            .client_config(&peer.trust)
            .map_err(|error| error.to_string())?;
        let connector = TlsConnector::from(Arc::new(config));
        let opened = connector.connect(name, stream).await;
        opened.map_err(|error| format!("TLS with {}: {error}", peer.name))
    }

    fn client_config(&self, trust: &Trust) -> Result<ClientConfig, rustls::Error> {
        let provider = Arc::new(ring::default_provider());
        let config = ClientConfig::builder_with_provider(provider.clone())
            .with_safe_default_protocol_versions()?;
        let pin = match trust {
            Trust::Authorities => {
                let roots = self.0.authorities.get_or_init(|| Arc::new(authorities()));
                return Ok(config
                    .with_root_certificates(roots.clone())
                    .with_no_client_auth());
            }
            Trust::Pinned(pin) => Some(pin.to_ascii_uppercase()),
            Trust::Anyone => None,
        };
        let verifier = Arc::new(Known { pin, provider });
        Ok(config
            .dangerous()
            .with_custom_certificate_verifier(verifier)
            .with_no_client_auth())
    }
}

fn authorities() -> RootCertStore {
    let found = rustls_native_certs::load_native_certs();
    let mut roots = RootCertStore::empty();
    roots.add_parsable_certificates(found.certs);
    if roots.is_empty() {
        warn!("this machine has no certificate authorities: no TLS peer can be verified");
    }
    roots
}

/// Takes one certificate, or any. That the peer has its key is proved all the same.
#[derive(Debug)]
struct Known {
    pin: Option<String>,
    provider: Arc<CryptoProvider>,
}

impl ServerCertVerifier for Known {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        let found = fingerprint(end_entity);
        match &self.pin {
            Some(pin) if *pin != found => Err(rustls::Error::General(format!(
                "its certificate is another one, with fingerprint {found}"
            ))),
            _ => Ok(ServerCertVerified::assertion()),
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let known = &self.provider.signature_verification_algorithms;
        verify_tls12_signature(message, certificate, signature, known)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let known = &self.provider.signature_verification_algorithms;
        verify_tls13_signature(message, certificate, signature, known)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider
            .signature_verification_algorithms
            .supported_schemes()
    }
}
