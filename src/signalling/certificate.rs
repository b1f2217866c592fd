//! Our TLS certificate: from the owner's files, looked at again when they change, or one made for the first run and kept
//! in the home folder. Owns the files' watching; not what TLS is used for.
//!
//! Nobody vouches for a certificate of our own making: its fingerprint is printed, and a phone that asks shows the same.

use std::fmt;
use std::fs;
use std::io::{self, Write as _};
use std::net::IpAddr;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::{Duration, SystemTime};

use rustls::crypto::{CryptoProvider, ring};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::{ClientHello, ResolvesServerCert, ServerConfig};
use rustls::sign::CertifiedKey;
use sha2::{Digest as _, Sha256};
use tracing::{info, warn};

use crate::config::Streams;
use crate::home::Home;

/// How often the files are looked at: a renewed certificate is in use within seconds.
const LOOK_EVERY: Duration = Duration::from_secs(5);
/// A chain of certificates is a few kilobytes.
const FILE_BYTES_MAX: u64 = 1024 * 1024;
/// Phones pin the fingerprint, so a certificate of our own lasts.
const YEARS: i32 = 20;
/// Names in one certificate; more interfaces than this are left out.
const NAMES_MAX: usize = 32;

#[derive(Debug, thiserror::Error)]
pub enum CertificateError {
    #[error("{}: {source}", path.display())]
    Unreadable { path: PathBuf, source: io::Error },
    #[error("{}: {why}", path.display())]
    Wrong { path: PathBuf, why: String },
    #[error("no certificate could be made: {0}")]
    NotMade(String),
}

/// Where a certificate and its key lie.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CertificateFiles {
    pub certificate: PathBuf,
    pub key: PathBuf,
    /// Ours to make where they are missing.
    pub is_self_made: bool,
}

impl CertificateFiles {
    /// Those of `[sip]`, else two in the home folder.
    pub fn of(config: &Streams, home: &Home) -> CertificateFiles {
        match (&config.certificate, &config.certificate_key) {
            (Some(certificate), Some(key)) => CertificateFiles {
                certificate: certificate.clone(),
                key: key.clone(),
                is_self_made: false,
            },
            _ => CertificateFiles {
                certificate: home.root().join("tls-certificate.pem"),
                key: home.root().join("tls-key.pem"),
                is_self_made: true,
            },
        }
    }

    /// When each was last written, and how long it is: what a change is told by.
    fn state(&self) -> [Option<(SystemTime, u64)>; 2] {
        [&self.certificate, &self.key].map(|path| {
            let found = fs::metadata(path).ok()?;
            Some((found.modified().ok()?, found.len()))
        })
    }

    fn load(&self) -> Result<CertifiedKey, CertificateError> {
        let wrong = |path: &Path, why: String| CertificateError::Wrong {
            path: path.to_path_buf(),
            why,
        };
        let chain: Result<Vec<_>, _> =
            CertificateDer::pem_slice_iter(&read(&self.certificate)?).collect();
        let chain = chain.map_err(|error| wrong(&self.certificate, error.to_string()))?;
        if chain.is_empty() {
            return Err(wrong(
                &self.certificate,
                "holds no certificate in PEM".to_owned(),
            ));
        }
        let key = PrivateKeyDer::from_pem_slice(&read(&self.key)?)
            .map_err(|error| wrong(&self.key, format!("no private key in PEM: {error}")))?;
        let provider: CryptoProvider = ring::default_provider();
        // Also says whether key and certificate belong together.
        CertifiedKey::from_der(chain, key, &provider)
            .map_err(|error| wrong(&self.key, error.to_string()))
    }

    /// Makes both files, each for its owner only.
    fn make(&self, names: &[String]) -> Result<(), CertificateError> {
        let not_made = |error: rcgen::Error| CertificateError::NotMade(error.to_string());
        let names: Vec<String> = names.iter().take(NAMES_MAX).cloned().collect();
        let mut params = rcgen::CertificateParams::new(names).map_err(not_made)?;
        let mut name = rcgen::DistinguishedName::new();
        name.push(rcgen::DnType::CommonName, "Offhook");
        params.distinguished_name = name;
        let year = jiff::Zoned::now().year();
        params.not_before = rcgen::date_time_ymd(i32::from(year) - 1, 1, 1);
        params.not_after = rcgen::date_time_ymd(i32::from(year) + YEARS, 1, 1);
        params.extended_key_usages = vec![
            rcgen::ExtendedKeyUsagePurpose::ServerAuth,
            rcgen::ExtendedKeyUsagePurpose::ClientAuth,
        ];
        let key = rcgen::KeyPair::generate().map_err(not_made)?;
        let certificate = params.self_signed(&key).map_err(not_made)?;
        for (path, text) in [
            (&self.key, key.serialize_pem()),
            (&self.certificate, certificate.pem()),
        ] {
            write_private(path, &text).map_err(|source| CertificateError::Unreadable {
                path: path.clone(),
                source,
            })?;
        }
        Ok(())
    }
}

fn read(path: &Path) -> Result<Vec<u8>, CertificateError> {
    let unreadable = |source| CertificateError::Unreadable {
        path: path.to_path_buf(),
        source,
    };
    if fs::metadata(path).map_err(unreadable)?.len() > FILE_BYTES_MAX {
        return Err(CertificateError::Wrong {
            path: path.to_path_buf(),
            why: format!("more than {FILE_BYTES_MAX} bytes"),
        });
    }
    fs::read(path).map_err(unreadable)
}

fn write_private(path: &Path, text: &str) -> io::Result<()> {
    let mut file = fs::OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(path)?;
    file.write_all(text.as_bytes())?;
    file.sync_all()
}

/// The certificate in use. Clones share it, so a renewed one serves the next handshake everywhere.
#[derive(Clone)]
pub struct Certificate {
    files: CertificateFiles,
    current: Arc<Current>,
}

struct Current(RwLock<Arc<CertifiedKey>>);

impl Certificate {
    /// Reads the files; makes them for `names` (host names and addresses) where they are ours and missing.
    pub fn open(
        files: CertificateFiles,
        names: &[String],
    ) -> Result<Certificate, CertificateError> {
        if files.is_self_made && !files.certificate.exists() && !files.key.exists() {
            files.make(names)?;
            info!(
                "made a certificate for TLS: {}",
                files.certificate.display()
            );
        }
        let key = files.load()?;
        Ok(Certificate {
            files,
            current: Arc::new(Current(RwLock::new(Arc::new(key)))),
        })
    }

    /// SHA-256 over the certificate, as `AB:CD:…`.
    pub fn fingerprint(&self) -> String {
        let key = self.current.get();
        key.cert.first().map_or_else(String::new, fingerprint)
    }

    pub fn is_self_made(&self) -> bool {
        self.files.is_self_made
    }

    /// For a listener. Clients are known by their passwords, so no certificate is asked of them.
    pub(super) fn server_config(&self) -> Result<ServerConfig, rustls::Error> {
        let config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()?
            .with_no_client_auth()
            .with_cert_resolver(self.current.clone());
        Ok(config)
    }

    /// Reads the files again. What is wrong with them leaves the old certificate in use.
    fn reload(&self) -> Result<bool, CertificateError> {
        let new = self.files.load()?;
        let is_other = new.cert != self.current.get().cert;
        let mut current = self
            .current
            .0
            .write()
            .unwrap_or_else(PoisonError::into_inner);
        *current = Arc::new(new);
        Ok(is_other)
    }

    /// Follows the files until the task is dropped.
    pub(super) async fn follow(self) {
        let mut seen = self.files.state();
        loop {
            tokio::time::sleep(LOOK_EVERY).await;
            let now = self.files.state();
            if now == seen {
                continue;
            }
            match self.reload() {
                Ok(true) => info!(fingerprint = %self.fingerprint(), "new TLS certificate in use"),
                Ok(false) => {}
                Err(error) => {
                    warn!(%error, "TLS certificate changed and cannot be used: the old one stays")
                }
            }
            seen = now;
        }
    }
}

impl Current {
    fn get(&self) -> Arc<CertifiedKey> {
        self.0
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }
}

impl fmt::Debug for Current {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Current")
    }
}

impl ResolvesServerCert for Current {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(self.get())
    }
}

/// SHA-256 over a certificate's octets, as `AB:CD:…`.
pub fn fingerprint(certificate: &CertificateDer<'_>) -> String {
    let digest = Sha256::digest(certificate.as_ref());
    let pairs: Vec<String> = digest.iter().map(|octet| format!("{octet:02X}")).collect();
    pairs.join(":")
}

/// What a certificate of ours is for: this machine by every name it is called by.
pub async fn own_names(addresses: &[IpAddr]) -> Vec<String> {
    let mut names = vec!["localhost".to_owned()];
    names.extend(host_name());
    names.extend(crate::tailnet::name().await);
    names.extend(
        addresses
            .iter()
            .filter(|address| !address.is_unspecified())
            .map(IpAddr::to_string),
    );
    let mut known = std::collections::HashSet::new();
    names.retain(|name| known.insert(name.clone()));
    names
}

fn host_name() -> Option<String> {
    let mut buffer = [0u8; 256];
    // SAFETY: the buffer is writable for the length given; gethostname ends the name with a zero octet or fails.
    let result = unsafe { libc::gethostname(buffer.as_mut_ptr().cast(), buffer.len() - 1) };
    let length = buffer.iter().position(|octet| *octet == 0)?;
    let name = std::str::from_utf8(&buffer[..length]).ok()?;
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-');
    (result == 0 && !name.is_empty() && name.chars().all(plain)).then(|| name.to_owned())
}

#[cfg(test)]
#[path = "certificate_tests.rs"]
mod tests;
