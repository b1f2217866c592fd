//! The secret store: who may log in, the API token, the program's own test account, and keys for
//! gateways. One file, `secrets.toml`, for its owner only (0600), replaced atomically.
//!
//! Phones' passwords are kept as digest hashes (HA1 of RFC 2617 3.2.2.2 and RFC 7616 3.4.2), never in
//! clear. The one exception is the test account: the program itself must log in with it, from this
//! machine only.
//!
//! Not here: the digest arithmetic (`sip`), asking people for passwords (`commands/user.rs`).

mod file;
mod password;
mod pin;

#[cfg(test)]
mod tests;

pub use password::{Generated, generate};
pub use pin::Pin;

use std::collections::HashMap;
use std::io;
use std::path::{Path, PathBuf};

use agent_bridge::levels::Level;

use crate::config::SecretSource;
use crate::redact::Secret;
use file::{Contents, PinEntry, SelfTestEntry, Stamp, UserEntry};

/// The user created on first start.
pub const FIRST_USER: &str = "phone1";
/// The program's own account.
pub const SELFTEST_USER: &str = "selftest";
/// Users one store holds.
pub const USERS_MAX: usize = 100_000;
/// Shortest password a person may choose. Digest can be guessed at offline by whoever sees a login.
pub const PASSWORD_CHARS_MIN: usize = 10;
/// Longest password; digest itself has no bound.
pub const PASSWORD_CHARS_MAX: usize = 128;

/// What can go wrong with secrets. Messages name files and lines, never contents.
#[derive(Debug, thiserror::Error)]
pub enum SecretsError {
    #[error("no secret store at {}: `offhook run` makes one on its first start", path.display())]
    Missing { path: PathBuf },
    #[error("secret store {}: {source}", path.display())]
    Io { path: PathBuf, source: io::Error },
    #[error("{} may be read by others (mode {mode:03o}); run: chmod 600 {}", path.display(), path.display())]
    TooOpen { path: PathBuf, mode: u32 },
    #[error("{}:{line}: not a secret store of this version", path.display())]
    Corrupt { path: PathBuf, line: usize },
    #[error("there is already a user `{name}`; `offhook user passwd {name}` changes the password")]
    UserExists { name: String },
    #[error("there is no user `{name}`; `offhook user list` shows who there is")]
    NoSuchUser { name: String },
    #[error(
        "`{name}` is no user name: small letters, digits and . _ - +, at most 32, no sign first"
    )]
    BadName { name: String },
    #[error("`{SELFTEST_USER}` is the program's own account")]
    Reserved,
    #[error(
        "the password needs {PASSWORD_CHARS_MIN} to {PASSWORD_CHARS_MAX} characters and no control characters"
    )]
    BadPassword,
    #[error("a PIN has 4 to 8 digits, not all the same and not in a row such as 1234")]
    BadPin,
    #[error("{USERS_MAX} users are the most one store holds")]
    Full,
    #[error("secret file {}: {source}", path.display())]
    Unreadable { path: PathBuf, source: io::Error },
    #[error("environment variable {name} is named for a secret but not set")]
    VariableUnset { name: String },
    #[error("{place} holds an empty secret")]
    Empty { place: String },
    #[error("the system's random source failed: {0}")]
    Random(io::Error),
}

/// One account a phone can log in with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct User {
    pub name: String,
    /// The realm the hashes are bound to. A user of another realm than the config's cannot log in.
    pub realm: String,
    /// 32 hexadecimal digits.
    pub ha1_md5: Secret,
    /// 64 hexadecimal digits.
    pub ha1_sha256: Secret,
    /// May log in from this machine only.
    pub local_only: bool,
    /// RFC 3339, to the second.
    pub created: String,
}

/// The program's own account, for `offhook call` and the self test.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SelfTest {
    pub name: String,
    pub password: Secret,
}

/// A user just made, with the only copy of the clear password.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewUser {
    pub name: String,
    pub password: Secret,
}

/// The secrets of one installation, as read last.
#[derive(Debug)]
pub struct SecretStore {
    path: PathBuf,
    stamp: Stamp,
    contents: Contents,
}

impl SecretStore {
    /// Reads the store at `path`, which must exist and be readable for its owner only.
    pub fn open(path: &Path) -> Result<SecretStore, SecretsError> {
        let (contents, stamp) = file::read(path)?;
        Ok(SecretStore {
            path: path.to_path_buf(),
            stamp,
            contents,
        })
    }

    /// Reads the store, or makes it with one phone, a test account and an API token. The phone's clear
    /// password is returned this once and kept nowhere.
    pub fn open_or_create(
        path: &Path,
        realm: &str,
    ) -> Result<(SecretStore, Option<NewUser>), SecretsError> {
        let _lock = file::lock(path)?;
        match SecretStore::open(path) {
            Err(SecretsError::Missing { .. }) => {}
            found => return found.map(|store| (store, None)),
        }
        let password = generate()?.phone_password();
        let contents = Contents {
            version: file::VERSION,
            api_token: generate()?.token(),
            selftest: SelfTestEntry {
                name: SELFTEST_USER.to_owned(),
                password: generate()?.token(),
            },
            keys: std::collections::BTreeMap::new(),
            users: vec![UserEntry::new(FIRST_USER, realm, &password)],
        };
        let stamp = file::replace(path, &contents)?;
        let store = SecretStore {
            path: path.to_path_buf(),
            stamp,
            contents,
        };
        Ok((
            store,
            Some(NewUser {
                name: FIRST_USER.to_owned(),
                password,
            }),
        ))
    }

    /// The phones' accounts, by name.
    pub fn users(&self) -> Vec<User> {
        let mut users: Vec<User> = self.contents.users.iter().map(UserEntry::to_user).collect();
        users.sort_by(|a, b| a.name.cmp(&b.name));
        users
    }

    /// Names of the phones' accounts, the oldest first: an account that is added never comes before those there are.
    pub fn names_by_age(&self) -> Vec<String> {
        let mut users = self.users();
        users.sort_by(|a, b| (&a.created, &a.name).cmp(&(&b.created, &b.name)));
        users.into_iter().map(|user| user.name).collect()
    }

    /// Everyone who may log in to `realm`: the phones of that realm, and the test account (from this
    /// machine only).
    pub fn logins(&self, realm: &str) -> Vec<User> {
        let mut logins = self.users();
        logins.retain(|user| user.realm == realm);
        let own = &self.contents.selftest;
        let mut entry = UserEntry::new(&own.name, realm, &own.password).to_user();
        entry.local_only = true;
        logins.push(entry);
        logins
    }

    /// Names of users whose hashes were made for another realm than `realm`: they need a new password.
    pub fn users_of_other_realms(&self, realm: &str) -> Vec<String> {
        let others = self.users().into_iter().filter(|user| user.realm != realm);
        others.map(|user| user.name).collect()
    }

    pub fn api_token(&self) -> &Secret {
        &self.contents.api_token
    }

    pub fn selftest(&self) -> SelfTest {
        let own = &self.contents.selftest;
        SelfTest {
            name: own.name.clone(),
            password: own.password.clone(),
        }
    }

    /// Adds a phone. `password` is hashed; whoever needs it clear keeps it.
    pub fn add_user(
        &mut self,
        name: &str,
        realm: &str,
        password: &Secret,
    ) -> Result<(), SecretsError> {
        check_name(name)?;
        check_password(password)?;
        self.change(|contents| {
            if contents.users.iter().any(|user| user.name == name) {
                return Err(SecretsError::UserExists {
                    name: name.to_owned(),
                });
            }
            if contents.users.len() >= USERS_MAX {
                return Err(SecretsError::Full);
            }
            contents.users.push(UserEntry::new(name, realm, password));
            Ok(())
        })
    }

    /// Gives a phone a new password, for `realm`.
    pub fn set_password(
        &mut self,
        name: &str,
        realm: &str,
        password: &Secret,
    ) -> Result<(), SecretsError> {
        if name == SELFTEST_USER {
            return Err(SecretsError::Reserved);
        }
        check_password(password)?;
        self.change(|contents| {
            let missing = || SecretsError::NoSuchUser {
                name: name.to_owned(),
            };
            let user = contents
                .users
                .iter_mut()
                .find(|user| user.name == name)
                .ok_or_else(missing)?;
            let (created, pin) = (user.created.clone(), user.pin.clone());
            *user = UserEntry {
                created,
                pin,
                ..UserEntry::new(name, realm, password)
            };
            Ok(())
        })
    }

    /// Gives an account a PIN that raises it to `level`, or takes it away.
    pub fn set_pin(
        &mut self,
        name: &str,
        pin: Option<(&Secret, Level)>,
    ) -> Result<(), SecretsError> {
        let pin = pin.map(|(digits, level)| Pin::new(digits, level));
        let pin = pin.transpose()?.map(|pin| PinEntry::of(&pin));
        self.change(|contents| {
            let user = contents.users.iter_mut().find(|user| user.name == name);
            let user = user.ok_or_else(|| SecretsError::NoSuchUser {
                name: name.to_owned(),
            })?;
            user.pin = pin;
            Ok(())
        })
    }

    /// The accounts' PINs. One whose level can't be read is left out.
    pub fn pins(&self) -> HashMap<String, Pin> {
        let users = self.contents.users.iter();
        users
            .filter_map(|user| Some((user.name.clone(), user.pin.as_ref()?.to_pin()?)))
            .collect()
    }

    pub fn remove_user(&mut self, name: &str) -> Result<(), SecretsError> {
        if name == SELFTEST_USER {
            return Err(SecretsError::Reserved);
        }
        self.change(|contents| {
            let before = contents.users.len();
            contents.users.retain(|user| user.name != name);
            if contents.users.len() == before {
                return Err(SecretsError::NoSuchUser {
                    name: name.to_owned(),
                });
            }
            Ok(())
        })
    }

    /// Finds the secret `source` speaks of: its file, else its variable, else the variable that is looked
    /// at in any case, else `key` under `[keys]` of the store. None: nothing was set anywhere. A place
    /// that was named and holds nothing is an error.
    pub fn resolve(
        &self,
        source: &SecretSource,
        key: &str,
        home: &Path,
    ) -> Result<Option<Secret>, SecretsError> {
        if let Some(path) = &source.file {
            return file::read_secret_file(&home.join(path)).map(Some);
        }
        if let Some(name) = &source.variable {
            let value = std::env::var(name)
                .map_err(|_| SecretsError::VariableUnset { name: name.clone() })?;
            return trimmed(&value)
                .map(Some)
                .ok_or_else(|| SecretsError::Empty {
                    place: name.clone(),
                });
        }
        if let Some(secret) = std::env::var(&source.default_variable)
            .ok()
            .as_deref()
            .and_then(trimmed)
        {
            return Ok(Some(secret));
        }
        Ok(self.contents.keys.get(key).cloned())
    }

    /// Whether the file is another one than was read last. Cheap: asks for the file's dates only.
    pub fn changed(&self) -> bool {
        Stamp::of(&self.path).is_ok_and(|stamp| stamp != self.stamp)
    }

    /// Reads the file again if it changed. True: the contents are new. On an error the store keeps what
    /// it had, so that a half-edited file locks nobody out, and says so once per version of the file.
    pub fn reload(&mut self) -> Result<bool, SecretsError> {
        if !self.changed() {
            return Ok(false);
        }
        if let Ok(stamp) = Stamp::of(&self.path) {
            self.stamp = stamp;
        }
        let (contents, stamp) = file::read(&self.path)?;
        self.stamp = stamp;
        let new = contents != self.contents;
        self.contents = contents;
        Ok(new)
    }

    pub fn path(&self) -> &Path {
        &self.path
    }

    /// One change under the store's lock, from what is on disk at that moment.
    fn change(
        &mut self,
        apply: impl FnOnce(&mut Contents) -> Result<(), SecretsError>,
    ) -> Result<(), SecretsError> {
        let _lock = file::lock(&self.path)?;
        let (mut contents, _) = file::read(&self.path)?;
        apply(&mut contents)?;
        self.stamp = file::replace(&self.path, &contents)?;
        self.contents = contents;
        Ok(())
    }
}

fn trimmed(text: &str) -> Option<Secret> {
    let text = text.trim();
    (!text.is_empty()).then(|| Secret::new(text))
}

/// A user name must survive as the user part of a SIP URI without escaping (RFC 3261 25.1 "unreserved").
fn check_name(name: &str) -> Result<(), SecretsError> {
    let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit();
    let fits = name.len() <= 32
        && name.starts_with(plain)
        && name
            .chars()
            .all(|c| plain(c) || matches!(c, '.' | '_' | '-' | '+'));
    if !fits {
        return Err(SecretsError::BadName {
            name: name.chars().filter(|c| !c.is_control()).take(40).collect(),
        });
    }
    if name == SELFTEST_USER {
        return Err(SecretsError::Reserved);
    }
    Ok(())
}

fn check_password(password: &Secret) -> Result<(), SecretsError> {
    let text = password.expose();
    let count = text.chars().count();
    let fits = (PASSWORD_CHARS_MIN..=PASSWORD_CHARS_MAX).contains(&count);
    if !fits || text.chars().any(char::is_control) {
        return Err(SecretsError::BadPassword);
    }
    Ok(())
}
