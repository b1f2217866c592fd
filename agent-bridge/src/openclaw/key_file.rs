//! The file that makes this installation one device to its gateways: the key's seed and the tokens that gateways gave it.
//! For its owner only (0600), replaced atomically. Owns the file; the key is `identity`'s.

use std::collections::BTreeMap;
use std::fs;
use std::io::{self, Write};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::identity::{DeviceKey, SEED_BYTES, hex};

const VERSION: u32 = 1;
const FILE_BYTES_MAX: u64 = 64 * 1024;
/// Gateways whose tokens are kept. The next one is paired again at each start.
const GATEWAYS_MAX: usize = 32;

/// Messages name the file, never what stands in it.
#[derive(Debug, thiserror::Error)]
pub enum KeyFileError {
    #[error("device key {}: {source}", path.display())]
    Io { path: PathBuf, source: io::Error },
    #[error("{} may be read by others (mode {mode:03o}); run: chmod 600 {}", path.display(), path.display())]
    TooOpen { path: PathBuf, mode: u32 },
    #[error("{} is no device key of this version; without it this device has to be approved anew", path.display())]
    Corrupt { path: PathBuf },
}

#[derive(Serialize, Deserialize)]
struct Contents {
    version: u32,
    /// Hexadecimal.
    seed: String,
    /// By the gateway's address.
    device_tokens: BTreeMap<String, String>,
}

/// An open device file.
#[derive(Debug, Clone)]
pub struct KeyFile {
    path: PathBuf,
    seed: [u8; SEED_BYTES],
}

impl KeyFile {
    /// Reads the file at `path`, or makes it from `fresh`, which must be random.
    pub fn open_or_create(path: &Path, fresh: [u8; SEED_BYTES]) -> Result<KeyFile, KeyFileError> {
        let contents = match read(path) {
            Err(KeyFileError::Io { source, .. }) if source.kind() == io::ErrorKind::NotFound => {
                let contents = Contents {
                    version: VERSION,
                    seed: hex(&fresh),
                    device_tokens: BTreeMap::new(),
                };
                match write(path, &contents, true) {
                    // Another program of ours was faster: its key is the one.
                    Err(error) if error.kind() == io::ErrorKind::AlreadyExists => read(path)?,
                    Err(source) => return Err(io_error(path, source)),
                    Ok(()) => contents,
                }
            }
            found => found?,
        };
        let seed = unhex(&contents.seed).ok_or_else(|| KeyFileError::Corrupt {
            path: path.to_owned(),
        })?;
        Ok(KeyFile {
            path: path.to_owned(),
            seed,
        })
    }

    pub fn key(&self) -> Result<DeviceKey, KeyFileError> {
        DeviceKey::from_seed(&self.seed).ok_or_else(|| KeyFileError::Corrupt {
            path: self.path.clone(),
        })
    }

    /// What the gateway at `address` gave this device; empty: nothing.
    pub fn device_token(&self, address: &str) -> String {
        let contents = read(&self.path).ok();
        contents
            .and_then(|mut contents| contents.device_tokens.remove(address))
            .unwrap_or_default()
    }

    pub fn keep_device_token(&self, address: &str, token: &str) -> Result<(), KeyFileError> {
        let mut contents = read(&self.path)?;
        let tokens = &mut contents.device_tokens;
        if tokens.len() >= GATEWAYS_MAX && !tokens.contains_key(address) {
            return Ok(());
        }
        tokens.insert(address.to_owned(), token.to_owned());
        write(&self.path, &contents, false).map_err(|source| io_error(&self.path, source))
    }
}

fn io_error(path: &Path, source: io::Error) -> KeyFileError {
    KeyFileError::Io {
        path: path.to_owned(),
        source,
    }
}

fn read(path: &Path) -> Result<Contents, KeyFileError> {
    let found = fs::metadata(path).map_err(|source| io_error(path, source))?;
    let mode = found.permissions().mode() & 0o777;
    if mode & 0o077 != 0 {
        return Err(KeyFileError::TooOpen {
            path: path.to_owned(),
            mode,
        });
    }
    let corrupt = || KeyFileError::Corrupt {
        path: path.to_owned(),
    };
    if found.len() > FILE_BYTES_MAX {
        return Err(corrupt());
    }
    let text = fs::read_to_string(path).map_err(|source| io_error(path, source))?;
    let contents: Contents = serde_json::from_str(&text).map_err(|_| corrupt())?;
    (contents.version == VERSION)
        .then_some(contents)
        .ok_or_else(corrupt)
}

fn write(path: &Path, contents: &Contents, is_new: bool) -> io::Result<()> {
    let mut text = serde_json::to_string_pretty(contents)?;
    text.push('\n');
    let open = |path: &Path| {
        let mut options = fs::OpenOptions::new();
        options.write(true).create_new(true).mode(0o600).open(path)
    };
    let beside = path.with_extension(format!("new-{}", std::process::id()));
    if !is_new {
        // What a crash may have left.
        let _ = fs::remove_file(&beside);
    }
    let mut file = open(&beside)?;
    let written = file
        .write_all(text.as_bytes())
        .and_then(|()| file.sync_all())
        .and_then(|()| match is_new {
            // Fails when somebody else was faster, which renaming would not.
            true => fs::hard_link(&beside, path).and_then(|()| fs::remove_file(&beside)),
            false => fs::rename(&beside, path),
        });
    if written.is_err() {
        let _ = fs::remove_file(&beside);
    }
    written
}

fn unhex(text: &str) -> Option<[u8; SEED_BYTES]> {
    let mut seed = [0; SEED_BYTES];
    if text.len() != SEED_BYTES * 2 || !text.is_ascii() {
        return None;
    }
    for (n, byte) in seed.iter_mut().enumerate() {
        *byte = u8::from_str_radix(&text[2 * n..2 * n + 2], 16).ok()?;
    }
    Some(seed)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_device_stays_itself_and_its_file_private() {
        let folder = std::env::temp_dir().join(format!("offhook-key-{}", std::process::id()));
        let _ = fs::remove_dir_all(&folder);
        fs::create_dir(&folder).expect("a folder for the test");
        let path = folder.join("openclaw-device.json");
        let file = KeyFile::open_or_create(&path, [1; 32]).expect("a new key");
        let mode = fs::metadata(&path)
            .expect("it is there")
            .permissions()
            .mode();
        assert_eq!(mode & 0o777, 0o600);
        assert_eq!(file.device_token("ws://a"), "");
        file.keep_device_token("ws://a", "t1")
            .expect("a writable folder");
        // Another seed is of no interest to one that exists.
        let again = KeyFile::open_or_create(&path, [2; 32]).expect("the key of before");
        let id = |file: &KeyFile| file.key().expect("a key").id().to_owned();
        assert_eq!(id(&again), id(&file));
        assert_eq!(again.device_token("ws://a"), "t1");
        assert_eq!(again.device_token("ws://b"), "");
        assert_eq!(fs::read_dir(&folder).expect("the folder").count(), 1);

        fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).expect("own file");
        let error = KeyFile::open_or_create(&path, [3; 32]).expect_err("others may read it");
        assert!(matches!(error, KeyFileError::TooOpen { mode: 0o644, .. }));
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).expect("own file");
        fs::write(&path, "{}").expect("own file");
        let error = KeyFile::open_or_create(&path, [3; 32]).expect_err("it holds nothing");
        assert!(matches!(error, KeyFileError::Corrupt { .. }));
        fs::remove_dir_all(&folder).expect("own folder");
    }
}
