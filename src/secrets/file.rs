//! `secrets.toml` on disk: its shape, its mode, its atomic replacement and its lock.

use std::collections::BTreeMap;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::{Pin, SecretsError, User, trimmed};
use crate::redact::Secret;

pub(super) const VERSION: u32 = 1;
/// A store of the most users stays far below.
const FILE_BYTES_MAX: u64 = 64 * 1024 * 1024;
const SECRET_FILE_BYTES_MAX: u64 = 16 * 1024;

const HEADER: &str = "\
# Offhook's secrets. For its owner only: offhook refuses to start when others may read this file.
# `offhook user add|list|remove|passwd` edits the users. Keys may be added by hand, under [keys]:
#   agent = \"the API key of [agent] in offhook.toml\"
";

/// The whole file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Contents {
    pub version: u32,
    #[serde(with = "clear")]
    pub api_token: Secret,
    pub selftest: SelfTestEntry,
    #[serde(default, with = "clear_map")]
    pub keys: BTreeMap<String, Secret>,
    #[serde(default)]
    pub users: Vec<UserEntry>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct SelfTestEntry {
    pub name: String,
    #[serde(with = "clear")]
    pub password: Secret,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct UserEntry {
    pub name: String,
    pub realm: String,
    #[serde(with = "clear")]
    pub ha1_md5: Secret,
    #[serde(with = "clear")]
    pub ha1_sha256: Secret,
    pub created: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pin: Option<PinEntry>,
}

/// Raises the account for one call.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct PinEntry {
    pub level: String,
    #[serde(with = "clear")]
    pub hash: Secret,
}

impl PinEntry {
    pub(super) fn of(pin: &Pin) -> PinEntry {
        PinEntry {
            level: pin.level.to_string(),
            hash: pin.hash.clone(),
        }
    }

    pub(super) fn to_pin(&self) -> Option<Pin> {
        Some(Pin {
            level: self.level.parse().ok()?,
            hash: self.hash.clone(),
        })
    }
}

impl UserEntry {
    pub(super) fn new(name: &str, realm: &str, password: &Secret) -> UserEntry {
        let ha1 = |algorithm| {
            let hash = sip::ha1(algorithm, name, realm, password.expose());
            Secret::new(hash.expose())
        };
        let now = jiff::Timestamp::now();
        let created = jiff::Timestamp::from_second(now.as_second()).unwrap_or(now);
        UserEntry {
            name: name.to_owned(),
            realm: realm.to_owned(),
            ha1_md5: ha1(sip::Algorithm::Md5),
            ha1_sha256: ha1(sip::Algorithm::Sha256),
            created: created.to_string(),
            pin: None,
        }
    }

    pub(super) fn to_user(&self) -> User {
        User {
            name: self.name.clone(),
            realm: self.realm.clone(),
            ha1_md5: self.ha1_md5.clone(),
            ha1_sha256: self.ha1_sha256.clone(),
            local_only: false,
            created: self.created.clone(),
        }
    }
}

/// A secret written in clear: used for this file and nowhere else.
mod clear {
    use super::Secret;
    use serde::{Deserialize, Deserializer, Serializer};

    pub fn serialize<S: Serializer>(secret: &Secret, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(secret.expose())
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Secret, D::Error> {
        String::deserialize(deserializer).map(Secret::new)
    }
}

mod clear_map {
    use super::{BTreeMap, Secret};
    use serde::{Deserialize, Deserializer, Serializer};

    pub fn serialize<S: Serializer>(
        secrets: &BTreeMap<String, Secret>,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        serializer.collect_map(secrets.iter().map(|(name, secret)| (name, secret.expose())))
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<BTreeMap<String, Secret>, D::Error> {
        let texts: BTreeMap<String, String> = BTreeMap::deserialize(deserializer)?;
        Ok(texts
            .into_iter()
            .map(|(name, text)| (name, Secret::new(text)))
            .collect())
    }
}

/// What tells one version of the file from the next. Replacing makes a new inode.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Stamp {
    inode: u64,
    length: u64,
    modified_s: i64,
    modified_ns: i64,
}

impl Stamp {
    pub(super) fn of(path: &Path) -> io::Result<Stamp> {
        fs::metadata(path).map(|found| Stamp::from(&found))
    }
}

impl From<&fs::Metadata> for Stamp {
    fn from(found: &fs::Metadata) -> Stamp {
        Stamp {
            inode: found.ino(),
            length: found.len(),
            modified_s: found.mtime(),
            modified_ns: found.mtime_nsec(),
        }
    }
}

/// Reads the store. Refused: a file that others may read or write, or that is not of this version.
pub(super) fn read(path: &Path) -> Result<(Contents, Stamp), SecretsError> {
    let failed = |source: io::Error| match source.kind() {
        io::ErrorKind::NotFound => SecretsError::Missing {
            path: path.to_path_buf(),
        },
        _ => SecretsError::Io {
            path: path.to_path_buf(),
            source,
        },
    };
    let file = File::open(path).map_err(failed)?;
    let found = file.metadata().map_err(failed)?;
    let mode = found.mode() & 0o777;
    if mode & 0o077 != 0 {
        return Err(SecretsError::TooOpen {
            path: path.to_path_buf(),
            mode,
        });
    }
    let mut text = String::new();
    file.take(FILE_BYTES_MAX)
        .read_to_string(&mut text)
        .map_err(failed)?;
    // The parser's own message may quote what it read, so only the line is passed on.
    let corrupt = |line| SecretsError::Corrupt {
        path: path.to_path_buf(),
        line,
    };
    let contents: Contents = toml::from_str(&text).map_err(|error| {
        let before = error
            .span()
            .and_then(|span| text.get(..span.start))
            .unwrap_or("");
        corrupt(before.matches('\n').count() + 1)
    })?;
    if contents.version != VERSION {
        return Err(corrupt(1));
    }
    Ok((contents, Stamp::from(&found)))
}

/// Puts `contents` in place of the file: after a power cut it is the old one or the new one, whole.
pub(super) fn replace(path: &Path, contents: &Contents) -> Result<Stamp, SecretsError> {
    let failed = |source| SecretsError::Io {
        path: path.to_path_buf(),
        source,
    };
    let text = toml::to_string(contents).map_err(|error| failed(io::Error::other(error)))?;
    let fresh = beside(path, ".new");
    let written = write_new(&fresh, format!("{HEADER}\n{text}").as_bytes())
        .and_then(|stamp| fs::rename(&fresh, path).map(|()| stamp))
        .and_then(|stamp| sync_folder(path).map(|()| stamp));
    if written.is_err() {
        let _ = fs::remove_file(&fresh);
    }
    written.map_err(failed)
}

fn write_new(path: &Path, bytes: &[u8]) -> io::Result<Stamp> {
    // One left behind by a crash; the lock says nobody is writing it now.
    let _ = fs::remove_file(path);
    let mut file = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(path)?;
    file.write_all(bytes)?;
    file.sync_all()?;
    Ok(Stamp::from(&file.metadata()?))
}

fn sync_folder(path: &Path) -> io::Result<()> {
    match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => File::open(folder)?.sync_all(),
        _ => File::open(".")?.sync_all(),
    }
}

/// Waits for and takes the store's lock, which ends with the returned file.
pub(super) fn lock(path: &Path) -> Result<File, SecretsError> {
    let lock_path = beside(path, ".lock");
    let failed = |source| SecretsError::Io {
        path: lock_path.clone(),
        source,
    };
    let opened = OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(false)
        .mode(0o600)
        .open(&lock_path);
    let file = opened.map_err(failed)?;
    file.lock().map_err(failed)?;
    Ok(file)
}

/// A file whose only content is one secret. Its mode is its owner's affair: container runtimes mount
/// such files readable for all.
pub(super) fn read_secret_file(path: &Path) -> Result<Secret, SecretsError> {
    let failed = |source| SecretsError::Unreadable {
        path: path.to_path_buf(),
        source,
    };
    let mut text = String::new();
    let file = File::open(path).map_err(failed)?;
    file.take(SECRET_FILE_BYTES_MAX)
        .read_to_string(&mut text)
        .map_err(failed)?;
    trimmed(&text).ok_or_else(|| SecretsError::Empty {
        place: path.display().to_string(),
    })
}

fn beside(path: &Path, ending: &str) -> PathBuf {
    let mut name = path.file_name().unwrap_or_default().to_os_string();
    name.push(ending);
    path.with_file_name(name)
}
