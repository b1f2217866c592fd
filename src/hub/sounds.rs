//! Sounds of voice notes: files in a folder of their own, whose names we make; ears and voice for them. A file that came from
//! outside is decoded within limits and never run; its name is never theirs.

use std::path::PathBuf;
use std::time::SystemTime;

use agent_bridge::channels::VOICE_BYTES_MAX;
use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;

/// Files that one look at the folder hands out; the next look finds the others.
const LISTED_MAX: usize = 100_000;

/// Ears and voice for voice notes.
pub trait Sounds: Send + Sync {
    /// The words of a recording for this agent; the error is for its sender.
    fn hear(&self, agent: &str, bytes: Vec<u8>) -> BoxFuture<'_, Result<String, String>>;

    /// The sound of a text in this agent's voice as Ogg/Opus, and its length in milliseconds.
    fn say<'a>(
        &'a self,
        agent: &str,
        words: &'a str,
    ) -> BoxFuture<'a, Result<(Vec<u8>, u32), String>>;
}

/// Neither ears nor voice.
pub struct NoSounds;

impl Sounds for NoSounds {
    fn hear(&self, _: &str, _: Vec<u8>) -> BoxFuture<'_, Result<String, String>> {
        async { Err("there are no ears here".to_owned()) }.boxed()
    }

    fn say<'a>(&'a self, _: &str, _: &'a str) -> BoxFuture<'a, Result<(Vec<u8>, u32), String>> {
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

    /// Writes a sound under a name made of `stem`, and says the name. What has that name is whole, whenever it is read.
    pub async fn keep(&self, stem: &str, bytes: Vec<u8>) -> std::io::Result<String> {
        let name = format!("{stem}.{}", ending(&bytes));
        let path = self.path(&name).ok_or(std::io::ErrorKind::InvalidInput)?;
        let (folder, part) = (self.0.clone(), self.0.join(format!("{stem}.part")));
        on_disk(move || {
            use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
            let mut builder = std::fs::DirBuilder::new();
            builder.mode(0o700).recursive(true).create(&folder)?;
            let mut options = std::fs::OpenOptions::new();
            options.write(true).create(true).truncate(true).mode(0o600);
            let mut file = options.open(&part)?;
            std::io::Write::write_all(&mut file, &bytes)?;
            file.sync_all()?;
            std::fs::rename(&part, path)
        })
        .await?;
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
    pub async fn remove(&self, name: &str) {
        if let Some(path) = self.path(name) {
            let _ = tokio::fs::remove_file(path).await;
        }
    }

    /// Names of files that were last written before this; at most [`LISTED_MAX`].
    pub async fn written_before(&self, before: SystemTime) -> std::io::Result<Vec<String>> {
        let folder = self.0.clone();
        on_disk(move || {
            let mut names = Vec::new();
            for entry in std::fs::read_dir(folder)?.flatten() {
                let name = entry.file_name().into_string().unwrap_or_default();
                let written = entry.metadata().and_then(|data| data.modified());
                if is_name(&name) && written.is_ok_and(|at| at < before) && names.len() < LISTED_MAX
                {
                    names.push(name);
                }
            }
            Ok(names)
        })
        .await
    }

    /// Where a sound of this name lies. `None`: no name of ours.
    pub fn path(&self, name: &str) -> Option<PathBuf> {
        is_name(name).then(|| self.0.join(name))
    }
}

/// Runs what waits for the disk where waiting holds nobody up.
async fn on_disk<T: Send + 'static>(
    work: impl FnOnce() -> std::io::Result<T> + Send + 'static,
) -> std::io::Result<T> {
    let done = tokio::task::spawn_blocking(work).await;
    done.unwrap_or_else(|_| Err(std::io::ErrorKind::Other.into()))
}

/// How long an Ogg/Opus stream lasts, in milliseconds; 0: it does not say. Its last page says how many samples at 48 kHz
/// there are up to its end, those before the start included (RFC 7845 sections 4 and 5.1).
pub fn length_ms(ogg: &[u8]) -> u32 {
    let find = || {
        let head = ogg.windows(8).position(|part| part == b"OpusHead")?;
        let skip: [u8; 2] = ogg.get(head + 10..head + 12)?.try_into().ok()?;
        let page = ogg.windows(4).rposition(|part| part == b"OggS")?;
        let end: [u8; 8] = ogg.get(page + 6..page + 14)?.try_into().ok()?;
        let samples = u64::from_le_bytes(end).checked_sub(u64::from(u16::from_le_bytes(skip)))?;
        u32::try_from(samples / 48).ok()
    };
    find().unwrap_or(0)
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
    fn a_stream_says_how_long_it_is() {
        let stream = |skip: u16, pages: &[u64]| {
            let mut ogg = b"OggS________________________OpusHead\x01\x01".to_vec();
            ogg.extend(skip.to_le_bytes());
            for end in pages {
                ogg.extend(b"OggS\0\0");
                ogg.extend(end.to_le_bytes());
                ogg.extend([7; 40]);
            }
            ogg
        };
        for (ogg, expected) in [
            (stream(312, &[48_312, 96_312]), 2_000),
            (stream(312, &[100]), 0),
            (stream(0, &[u64::MAX]), 0),
            (b"OggSOpusHead".to_vec(), 0),
            (Vec::new(), 0),
        ] {
            assert_eq!(length_ms(&ogg), expected);
        }
    }

    #[tokio::test]
    async fn what_is_kept_is_whole_and_found_by_its_age() {
        let scratch = crate::testing::Scratch::new("sounds");
        let folder = Folder::at(scratch.path().join("voice"));
        let name = folder.keep("a-1", b"OggS1".to_vec()).await.expect("kept");
        assert_eq!(name, "a-1.ogg");
        // Once more, as after a crash.
        folder.keep("a-1", b"OggS2".to_vec()).await.expect("kept");
        assert_eq!(folder.read(&name).await.expect("there"), b"OggS2");
        let hour = std::time::Duration::from_secs(3_600);
        let now = SystemTime::now();
        for (before, expected) in [(now - hour, 0), (now + hour, 1)] {
            let found = folder.written_before(before).await.expect("a folder");
            assert_eq!(found.len(), expected);
        }
        folder.remove(&name).await;
        folder.remove(&name).await;
        assert!(folder.read(&name).await.is_err());
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
