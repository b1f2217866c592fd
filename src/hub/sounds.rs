//! Sounds of voice notes: files in a folder of their own, whose names we make; ears and voice for them. A file that came from
//! outside is decoded within limits and never run; its name is never theirs.

use std::path::PathBuf;

use agent_bridge::channels::VOICE_BYTES_MAX;
use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;

/// Ears and voice for voice notes.
pub trait Sounds: Send + Sync {
    /// The words of a recording; the error is for its sender.
    fn hear(&self, bytes: Vec<u8>) -> BoxFuture<'_, Result<String, String>>;

    /// The sound of a text as Ogg/Opus, and its length in milliseconds.
    fn say<'a>(&'a self, words: &'a str) -> BoxFuture<'a, Result<(Vec<u8>, u32), String>>;
}

/// Neither ears nor voice.
pub struct NoSounds;

impl Sounds for NoSounds {
    fn hear(&self, _: Vec<u8>) -> BoxFuture<'_, Result<String, String>> {
        async { Err("there are no ears here".to_owned()) }.boxed()
    }

    fn say<'a>(&'a self, _: &'a str) -> BoxFuture<'a, Result<(Vec<u8>, u32), String>> {
        async { Err("there is no voice here".to_owned()) }.boxed()
    }
}

/// The folder.
#[derive(Debug, Clone)]
pub struct Folder(PathBuf);

impl Folder {
    pub fn at(path: PathBuf) -> Folder {
        Folder(path)
    }

    /// Writes a sound under a name made of `stem`, and says the name.
    pub fn keep(&self, stem: &str, bytes: &[u8]) -> std::io::Result<String> {
        use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
        std::fs::DirBuilder::new()
            .mode(0o700)
            .recursive(true)
            .create(&self.0)?;
        let name = format!("{stem}.{}", ending(bytes));
        let path = self.path(&name).ok_or(std::io::ErrorKind::InvalidInput)?;
        let mut options = std::fs::OpenOptions::new();
        let mut file = options
            .write(true)
            .create(true)
            .truncate(true)
            .mode(0o600)
            .open(path)?;
        std::io::Write::write_all(&mut file, bytes)?;
        Ok(name)
    }

    /// Reads one; bounded, whatever lies there.
    pub async fn read(&self, name: &str) -> std::io::Result<Vec<u8>> {
        let path = self.path(name).ok_or(std::io::ErrorKind::InvalidInput)?;
        let length = tokio::fs::metadata(&path).await?.len();
        if length > 4 * VOICE_BYTES_MAX as u64 {
            return Err(std::io::ErrorKind::FileTooLarge.into());
        }
        tokio::fs::read(path).await
    }

    /// Gone already is no error.
    pub fn remove(&self, name: &str) {
        if let Some(path) = self.path(name) {
            let _ = std::fs::remove_file(path);
        }
    }

    /// Where a sound of this name lies. `None`: no name of ours.
    pub fn path(&self, name: &str) -> Option<PathBuf> {
        is_name(name).then(|| self.0.join(name))
    }
}

/// Letters, digits and `-`, then one ending: nothing that leads out of the folder.
fn is_name(name: &str) -> bool {
    let Some((stem, ending)) = name.split_once('.') else {
        return false;
    };
    let plain = |text: &str| {
        !text.is_empty() && text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-')
    };
    name.len() <= 100 && plain(stem) && plain(ending)
}

/// What the bytes look like; names and types from outside are not asked.
fn ending(bytes: &[u8]) -> &'static str {
    match bytes {
        [b'O', b'g', b'g', b'S', ..] => "ogg",
        [0x1a, 0x45, 0xdf, 0xa3, ..] => "webm",
        [b'R', b'I', b'F', b'F', ..] => "wav",
        [_, _, _, _, b'f', b't', b'y', b'p', ..] => "m4a",
        [b'I', b'D', b'3', ..] | [0xff, 0xe2..=0xff, ..] => "mp3",
        [b'f', b'L', b'a', b'C', ..] => "flac",
        _ => "bin",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_name_leads_out_of_the_folder() {
        let folder = Folder::at(PathBuf::from("/home/x/voice"));
        for (name, is_ours) in [
            ("18c3f-00aa.ogg", true),
            ("../secrets.toml", false),
            ("..", false),
            (".ogg", false),
            ("a/b.ogg", false),
            ("a.ogg.sh", false),
            ("a.", false),
            ("a\0.ogg", false),
            ("", false),
        ] {
            assert_eq!(folder.path(name).is_some(), is_ours, "{name:?}");
        }
    }

    #[test]
    fn the_ending_is_what_the_bytes_are() {
        for (bytes, expected) in [
            (&b"OggS\0"[..], "ogg"),
            (b"\x1a\x45\xdf\xa3", "webm"),
            (b"RIFF....WAVE", "wav"),
            (b"\0\0\0\x20ftypM4A ", "m4a"),
            (b"#!/bin/sh", "bin"),
            (b"", "bin"),
        ] {
            assert_eq!(ending(bytes), expected);
        }
    }
}
