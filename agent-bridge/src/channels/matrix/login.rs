//! Who we are to the homeserver: an access token as given, or one got once for the password and kept in a file (0600,
//! replaced atomically). The device stays the same over logins, because a server knows repeated transactions by it
//! (§10.2.2). Owns that file.

use std::fs;
use std::io::{self, Write};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use serde_json::json;

use super::http::{ApiError, Http, Request};
use super::wire;
use crate::gateways::Secret;

const VERSION: u32 = 1;
const FILE_BYTES_MAX: u64 = 64 * 1024;

/// How we prove who we are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Login {
    Token(Secret),
    /// `user` is a whole id or its first part. `file` keeps the token.
    Password {
        user: String,
        password: Secret,
        file: PathBuf,
    },
}

/// An account that is logged in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Account {
    pub user_id: String,
    pub token: Secret,
}

/// Why there is no account. Messages name the file, never what stands in it.
#[derive(Debug, thiserror::Error)]
pub enum LoginError {
    #[error(transparent)]
    Api(ApiError),
    #[error("the homeserver does not accept the user and password")]
    Password,
    #[error("the homeserver has no login by password: make an access token and use that")]
    NoPassword,
    #[error("login file {}: {source}", path.display())]
    Io { path: PathBuf, source: io::Error },
    #[error("{} may be read by others (mode {mode:03o}); run: chmod 600 {}", path.display(), path.display())]
    TooOpen { path: PathBuf, mode: u32 },
}

#[derive(Serialize, Deserialize)]
struct Contents {
    version: u32,
    homeserver: String,
    /// As in the config: another one there makes the file worthless.
    user: String,
    user_id: String,
    device_id: String,
    /// Empty after it was refused.
    access_token: String,
}

impl Login {
    /// `is_refused`: the token in use is no longer good.
    pub async fn open(&self, http: &Http, is_refused: bool) -> Result<Account, LoginError> {
        match self {
            Login::Token(token) => {
                let user_id = who(http, token).await.map_err(LoginError::Api)?;
                Ok(Account {
                    user_id,
                    token: token.clone(),
                })
            }
            Login::Password {
                user,
                password,
                file,
            } => {
                let kept = read(file)?
                    .filter(|kept| kept.user == *user && kept.homeserver == http.address());
                if let Some(kept) = &kept
                    && !is_refused
                    && !kept.access_token.is_empty()
                {
                    return Ok(Account {
                        user_id: kept.user_id.clone(),
                        token: Secret::new(kept.access_token.clone()),
                    });
                }
                let device = kept.map(|kept| kept.device_id);
                let contents = log_in(http, user, password, device).await?;
                write(file, &contents).map_err(|source| LoginError::Io {
                    path: file.clone(),
                    source,
                })?;
                Ok(Account {
                    user_id: contents.user_id,
                    token: Secret::new(contents.access_token),
                })
            }
        }
    }

    /// Who the homeserver says we are; none: nobody has logged in yet, or a token of then is no longer good, and there is
    /// a password to log in with.
    pub async fn check(&self, http: &Http) -> Result<Option<String>, LoginError> {
        match self {
            Login::Token(token) => {
                let user = who(http, token).await.map_err(LoginError::Api)?;
                Ok(Some(user))
            }
            Login::Password { user, file, .. } => {
                let kept = read(file)?
                    .filter(|kept| kept.user == *user && kept.homeserver == http.address())
                    .filter(|kept| !kept.access_token.is_empty());
                let Some(kept) = kept else {
                    return Ok(None);
                };
                match who(http, &Secret::new(kept.access_token)).await {
                    Ok(user) => Ok(Some(user)),
                    Err(ApiError::Token) => Ok(None),
                    Err(error) => Err(LoginError::Api(error)),
                }
            }
        }
    }

    /// Whether a refused token can be replaced by another.
    pub fn can_renew(&self) -> bool {
        matches!(self, Login::Password { .. })
    }
}

async fn who(http: &Http, token: &Secret) -> Result<String, ApiError> {
    let request = Request {
        token: Some(token),
        ..Request::get(&["_matrix", "client", "v3", "account", "whoami"])
    };
    let answer = http.json(request).await?;
    let user_id = answer["user_id"].as_str().filter(|id| wire::is_user(id));
    user_id.map(str::to_owned).ok_or(ApiError::Garbled)
}

async fn log_in(
    http: &Http,
    user: &str,
    password: &Secret,
    device: Option<String>,
) -> Result<Contents, LoginError> {
    let mut body = json!({
        "type": "m.login.password",
        "identifier": { "type": "m.id.user", "user": user },
        "password": password.expose(),
        "initial_device_display_name": "Offhook",
    });
    if let Some(device) = device {
        body["device_id"] = json!(device);
    }
    let path = ["_matrix", "client", "v3", "login"];
    let answer = http.json(Request::post(&path, &body)).await;
    let answer = answer.map_err(|error| match error {
        ApiError::Refused { code, .. }
            if matches!(code.as_str(), "M_FORBIDDEN" | "M_INVALID_USERNAME") =>
        {
            LoginError::Password
        }
        // A server that logs in elsewhere only (§5.5).
        ApiError::Refused { code, .. }
            if matches!(code.as_str(), "M_UNKNOWN" | "M_UNRECOGNIZED") =>
        {
            LoginError::NoPassword
        }
        error => LoginError::Api(error),
    })?;
    let text = |key: &str| answer[key].as_str().unwrap_or_default().to_owned();
    let contents = Contents {
        version: VERSION,
        homeserver: http.address(),
        user: user.to_owned(),
        user_id: text("user_id"),
        device_id: text("device_id"),
        access_token: text("access_token"),
    };
    match wire::is_user(&contents.user_id) && !contents.access_token.is_empty() {
        true => Ok(contents),
        false => Err(LoginError::Api(ApiError::Garbled)),
    }
}

/// None: there is no such file, or none of this version; then we log in anew.
fn read(path: &Path) -> Result<Option<Contents>, LoginError> {
    let io = |source| LoginError::Io {
        path: path.to_owned(),
        source,
    };
    let found = match fs::metadata(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        found => found.map_err(io)?,
    };
    let mode = found.permissions().mode() & 0o777;
    if mode & 0o077 != 0 {
        return Err(LoginError::TooOpen {
            path: path.to_owned(),
            mode,
        });
    }
    if found.len() > FILE_BYTES_MAX {
        return Ok(None);
    }
    let text = fs::read_to_string(path).map_err(io)?;
    let contents = serde_json::from_str::<Contents>(&text).ok();
    Ok(contents.filter(|contents| contents.version == VERSION))
}

fn write(path: &Path, contents: &Contents) -> io::Result<()> {
    let mut text = serde_json::to_string_pretty(contents)?;
    text.push('\n');
    let beside = path.with_extension(format!("new-{}", std::process::id()));
    // What a crash may have left.
    let _ = fs::remove_file(&beside);
    let mut options = fs::OpenOptions::new();
    let mut file = options
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(&beside)?;
    let written = file
        .write_all(text.as_bytes())
        .and_then(|()| file.sync_all())
        .and_then(|()| fs::rename(&beside, path));
    if written.is_err() {
        let _ = fs::remove_file(&beside);
    }
    written
}
