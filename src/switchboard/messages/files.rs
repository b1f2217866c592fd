//! What waits for phones, as files: one for each person, replaced as a whole, so that a power cut leaves the old one or the
//! new one. Owns their names and their making; what is in them is the shelf's.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use agent_bridge::channels::{Memory, MemoryError};
use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;
use tracing::error;

/// The folder in the program's home.
pub const FOLDER: &str = "texts";

pub struct Files {
    folder: Arc<Path>,
}

impl Files {
    /// # Errors
    /// The folder cannot be made.
    pub fn open(home: &Path) -> io::Result<Files> {
        let folder = home.join(FOLDER);
        fs::create_dir_all(&folder)?;
        Ok(Files {
            folder: folder.into(),
        })
    }

    /// Account names are any text: only what is safe in every file system is a file's name as it is.
    fn path(&self, key: &str) -> PathBuf {
        let name: String = key
            .bytes()
            .map(|byte| match byte {
                b'a'..=b'z' | b'0'..=b'9' | b'-' => char::from(byte).to_string(),
                _ => format!("%{byte:02x}"),
            })
            .collect();
        self.folder.join(format!("{name}.json"))
    }
}

impl Memory for Files {
    fn get<'a>(&'a self, key: &'a str) -> BoxFuture<'a, Option<String>> {
        let path = self.path(key);
        async move {
            let read = tokio::task::spawn_blocking(move || fs::read_to_string(path)).await;
            read.ok()?.ok()
        }
        .boxed()
    }

    fn put<'a>(&'a self, key: &'a str, value: &'a str) -> BoxFuture<'a, Result<(), MemoryError>> {
        let (folder, path, value) = (self.folder.clone(), self.path(key), value.to_owned());
        async move {
            let written =
                tokio::task::spawn_blocking(move || replace(&folder, &path, &value)).await;
            match written {
                Ok(Ok(())) => Ok(()),
                Ok(Err(error)) => {
                    error!(%error, "texts that wait for phones");
                    Err(MemoryError)
                }
                Err(_) => Err(MemoryError),
            }
        }
        .boxed()
    }
}

fn replace(folder: &Path, path: &Path, value: &str) -> io::Result<()> {
    let fresh = path.with_extension("new");
    let mut options = OpenOptions::new();
    // People's words are for their owner alone.
    options.write(true).create(true).truncate(true).mode(0o600);
    let mut file = options.open(&fresh)?;
    file.write_all(value.as_bytes())?;
    file.sync_all()?;
    fs::rename(&fresh, path)?;
    File::open(folder)?.sync_all()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::Scratch;

    #[tokio::test]
    async fn what_is_kept_is_found_by_its_name_and_by_no_other() {
        let scratch = Scratch::new("texts");
        let files = Files::open(scratch.path()).expect("a folder");
        let names = ["anna", "Anna", "../anna", "an na", "\u{e4}nna"];
        for name in names {
            assert_eq!(files.get(name).await, None);
            assert_eq!(files.put(name, "old").await, Ok(()));
            assert_eq!(files.put(name, name).await, Ok(()));
        }
        let again = Files::open(scratch.path()).expect("a folder");
        for name in names {
            assert_eq!(again.get(name).await.as_deref(), Some(name));
        }
        let kept = fs::read_dir(scratch.path().join(FOLDER)).expect("a folder");
        assert_eq!(kept.count(), names.len());
    }
}
