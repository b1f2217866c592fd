//! What waits for phones, as files: one for each person, replaced as a whole, so that a power cut leaves the old one or the
//! new one. Owns their names, their making, and that none is lost because it cannot be read; what is in them is the shelf's.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;
use tracing::error;

/// The folder in the program's home.
pub const FOLDER: &str = "texts";
/// Damaged files of one person that are kept.
const ASIDE_MAX: u32 = 9;

/// The disk gives or takes nothing just now.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the disk gives or takes nothing just now")]
pub struct DiskError;

/// Where shelves are kept, under a key each.
pub trait Shelves: Send + Sync {
    /// What was written last; `None`: nothing ever was.
    ///
    /// # Errors
    /// Something may be there, and cannot be read now.
    fn get<'a>(&'a self, key: &'a str) -> BoxFuture<'a, Result<Option<String>, DiskError>>;

    /// Returns once it is on disk.
    ///
    /// # Errors
    /// It is not.
    fn put<'a>(&'a self, key: &'a str, value: &'a str) -> BoxFuture<'a, Result<(), DiskError>>;

    /// Keeps what is there for its owner to look at, under another name.
    ///
    /// # Errors
    /// It is still where it was.
    fn set_aside<'a>(&'a self, key: &'a str) -> BoxFuture<'a, Result<(), DiskError>>;
}

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

impl Shelves for Files {
    fn get<'a>(&'a self, key: &'a str) -> BoxFuture<'a, Result<Option<String>, DiskError>> {
        let path = self.path(key);
        on_disk(move || match fs::read(path) {
            // What is no text is for whoever reads it to refuse.
            Ok(bytes) => Ok(Some(String::from_utf8_lossy(&bytes).into_owned())),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        })
    }

    fn put<'a>(&'a self, key: &'a str, value: &'a str) -> BoxFuture<'a, Result<(), DiskError>> {
        let (folder, path, value) = (self.folder.clone(), self.path(key), value.to_owned());
        on_disk(move || replace(&folder, &path, &value))
    }

    fn set_aside<'a>(&'a self, key: &'a str) -> BoxFuture<'a, Result<(), DiskError>> {
        let path = self.path(key);
        on_disk(move || {
            let aside = |n: u32| path.with_extension(format!("bad{n}"));
            // The first name that is free; the last one is overwritten.
            let free = (1..ASIDE_MAX).find(|n| !aside(*n).exists());
            fs::rename(&path, aside(free.unwrap_or(ASIDE_MAX)))
        })
    }
}

fn on_disk<T: Send + 'static>(
    act: impl FnOnce() -> io::Result<T> + Send + 'static,
) -> BoxFuture<'static, Result<T, DiskError>> {
    async move {
        match tokio::task::spawn_blocking(act).await {
            Ok(Ok(done)) => Ok(done),
            Ok(Err(error)) => {
                error!(%error, "texts that wait for phones");
                Err(DiskError)
            }
            Err(_) => Err(DiskError),
        }
    }
    .boxed()
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
            assert_eq!(files.get(name).await, Ok(None));
            assert_eq!(files.put(name, "old").await, Ok(()));
            assert_eq!(files.put(name, name).await, Ok(()));
        }
        let again = Files::open(scratch.path()).expect("a folder");
        for name in names {
            assert_eq!(again.get(name).await, Ok(Some(name.to_owned())));
        }
        let kept = fs::read_dir(scratch.path().join(FOLDER)).expect("a folder");
        assert_eq!(kept.count(), names.len());
    }
    #[tokio::test]
    async fn what_cannot_be_read_is_not_taken_for_nothing() {
        let scratch = Scratch::new("texts-unread");
        let files = Files::open(scratch.path()).expect("a folder");
        fs::create_dir(files.path("anna")).expect("a folder where a file should be");
        assert_eq!(files.get("anna").await, Err(DiskError));
        assert_eq!(files.set_aside("anna").await, Ok(()));
        assert_eq!(files.get("anna").await, Ok(None));
        for n in 0..12 {
            let word = n.to_string();
            assert_eq!(files.put("anna", &word).await, Ok(()));
            assert_eq!(files.set_aside("anna").await, Ok(()));
            assert_eq!(files.get("anna").await, Ok(None));
        }
        let first = files.path("anna").with_extension("bad2");
        assert_eq!(fs::read_to_string(first).expect("kept"), "0");
        assert_eq!(files.set_aside("anna").await, Err(DiskError));
    }
}
