//! The home folder: where one installation keeps its config, secrets, database and models.
//!
//! Not here: what stands in those files (`config`, `secrets`, `store`, `models`).

use std::fs;
use std::io;
use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
use std::path::{Path, PathBuf};

/// Why there is no usable home folder.
#[derive(Debug, thiserror::Error)]
pub enum HomeError {
    /// No `--home`, no OFFHOOK_HOME, and no HOME to derive one from.
    #[error("no home folder: give --home DIR, or set OFFHOOK_HOME or HOME")]
    Unknown,
    /// The folder cannot be made or read.
    #[error("home folder {}: {source}", path.display())]
    Unusable { path: PathBuf, source: io::Error },
    /// Something else stands where the folder should be.
    #[error("home folder {} is not a folder", path.display())]
    NotAFolder { path: PathBuf },
}

/// The home folder of one installation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Home {
    root: PathBuf,
}

impl Home {
    /// The folder at `root`, whether or not it exists yet.
    pub fn at(root: impl Into<PathBuf>) -> Home {
        Home { root: root.into() }
    }

    /// Chooses the folder: `--home DIR`, else OFFHOOK_HOME, else `$XDG_DATA_HOME/offhook`, else
    /// `~/.local/share/offhook`. Nothing is created.
    pub fn locate(flag: Option<&Path>) -> Result<Home, HomeError> {
        Home::choose(flag, |name| std::env::var_os(name).map(PathBuf::from))
    }

    fn choose(
        flag: Option<&Path>,
        variable: impl Fn(&str) -> Option<PathBuf>,
    ) -> Result<Home, HomeError> {
        let set = |name: &str| variable(name).filter(|path| !path.as_os_str().is_empty());
        if let Some(path) = flag {
            return Ok(Home::at(path));
        }
        if let Some(path) = set("OFFHOOK_HOME") {
            return Ok(Home::at(path));
        }
        // The XDG base directory specification: a relative XDG_DATA_HOME is to be ignored.
        if let Some(path) = set("XDG_DATA_HOME").filter(|path| path.is_absolute()) {
            return Ok(Home::at(path.join("offhook")));
        }
        let home = set("HOME").ok_or(HomeError::Unknown)?;
        Ok(Home::at(home.join(".local/share/offhook")))
    }

    /// Makes the folder, for its owner only (0700), where it is missing. A folder that stands there
    /// already keeps its mode: its owner may have had reasons.
    pub fn create(&self) -> Result<(), HomeError> {
        let unusable = |source| HomeError::Unusable {
            path: self.root.clone(),
            source,
        };
        match fs::metadata(&self.root) {
            Ok(found) if found.is_dir() => return Ok(()),
            Ok(_) => {
                return Err(HomeError::NotAFolder {
                    path: self.root.clone(),
                });
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(unusable(error)),
        }
        if let Some(parent) = self.root.parent() {
            fs::create_dir_all(parent).map_err(unusable)?;
        }
        let made = fs::DirBuilder::new().mode(0o700).create(&self.root);
        match made {
            Err(error) if error.kind() != io::ErrorKind::AlreadyExists => Err(unusable(error)),
            _ => Ok(()),
        }
    }

    /// Whether others on this machine may look into the folder.
    pub fn is_open_to_others(&self) -> bool {
        fs::metadata(&self.root).is_ok_and(|found| found.permissions().mode() & 0o077 != 0)
    }

    pub fn root(&self) -> &Path {
        &self.root
    }

    pub fn config_path(&self) -> PathBuf {
        self.root.join("offhook.toml")
    }

    pub fn secrets_path(&self) -> PathBuf {
        self.root.join("secrets.toml")
    }

    pub fn database_path(&self) -> PathBuf {
        self.root.join("offhook.db")
    }

    /// Who this installation is to OpenClaw gateways.
    pub fn device_path(&self) -> PathBuf {
        self.root.join("openclaw-device.json")
    }

    /// Sounds of voice notes.
    pub fn voice_path(&self) -> PathBuf {
        self.root.join("voice")
    }

    pub fn models_path(&self) -> PathBuf {
        self.root.join("models")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_nearest_wish_wins() {
        let check = |flag: Option<&str>, variables: &[(&str, &str)], expected: Option<&str>| {
            let chosen = Home::choose(flag.map(Path::new), |name| {
                let found = variables.iter().find(|(key, _)| *key == name)?;
                Some(PathBuf::from(found.1))
            });
            let root = chosen.ok().map(|home| home.root().to_path_buf());
            assert_eq!(
                root.as_deref(),
                expected.map(Path::new),
                "{flag:?} {variables:?}"
            );
        };
        check(
            Some("/a"),
            &[("OFFHOOK_HOME", "/b"), ("HOME", "/h")],
            Some("/a"),
        );
        check(
            None,
            &[("OFFHOOK_HOME", "/b"), ("XDG_DATA_HOME", "/x")],
            Some("/b"),
        );
        check(
            None,
            &[("OFFHOOK_HOME", ""), ("XDG_DATA_HOME", "/x")],
            Some("/x/offhook"),
        );
        check(
            None,
            &[("XDG_DATA_HOME", "x"), ("HOME", "/h")],
            Some("/h/.local/share/offhook"),
        );
        check(None, &[("HOME", "/h")], Some("/h/.local/share/offhook"));
        check(None, &[("HOME", "")], None);
        check(None, &[], None);
    }

    #[test]
    fn a_new_folder_is_private_and_a_file_in_its_place_is_named() {
        let scratch = crate::testing::Scratch::new("home");
        let home = Home::at(scratch.path().join("deep/er"));
        home.create().unwrap();
        home.create().unwrap();
        assert!(!home.is_open_to_others());
        fs::write(scratch.path().join("file"), b"").unwrap();
        let error = Home::at(scratch.path().join("file")).create().unwrap_err();
        assert!(matches!(error, HomeError::NotAFolder { .. }), "{error}");
    }
}
