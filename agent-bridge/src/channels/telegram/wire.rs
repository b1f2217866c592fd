//! Requests to the Bot API over HTTP. Owns addresses, times and sizes. The token is part of every address, so addresses,
//! and errors of the HTTP library that hold one, are never shown.

use std::time::Duration;

use reqwest::{Client, RequestBuilder, Url};
use serde_json::Value;

use super::answer::{self, Answer, Refusal};
use super::form::Form;
use crate::gateways::Secret;
use crate::router::place::Place;

const CONNECT: Duration = Duration::from_secs(10);
/// For all but receiving.
const PATIENCE: Duration = Duration::from_secs(30);
/// A file takes longer.
const FILE_PATIENCE: Duration = Duration::from_secs(120);
/// An answer to anything but `getUpdates`.
const ANSWER_BYTES_MAX: usize = 256 * 1024;
/// Of an answer that is too long, for its first number.
const HEAD_BYTES: usize = 256;
const TOKEN_BYTES_MAX: usize = 128;

/// Why Telegram cannot be set up as configured.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TelegramConfigError {
    #[error("the address of Telegram's API must be like https://api.telegram.org")]
    Url,
    #[error("the bot's token must be as BotFather gave it, like 123456:ABC-DEF")]
    Token,
    #[error("the HTTP client could not be set up (no TLS provider, or no certificates)")]
    Client,
}

/// Cheap to clone: all clones share one pool of connections.
#[derive(Clone)]
pub(super) struct Wire {
    client: Client,
    base: Url,
    token: Secret,
}

impl Wire {
    pub(super) fn new(base: &str, token: Secret) -> Result<Wire, TelegramConfigError> {
        let base = Url::parse(base.trim()).map_err(|_| TelegramConfigError::Url)?;
        let is_web = matches!(base.scheme(), "http" | "https") && base.has_host();
        let is_bare = base.query().is_none()
            && base.fragment().is_none()
            && base.username().is_empty()
            && base.password().is_none();
        if !is_web || !is_bare {
            return Err(TelegramConfigError::Url);
        }
        if !is_token(token.expose()) {
            return Err(TelegramConfigError::Token);
        }
        let mut builder = Client::builder()
            .user_agent(concat!("offhook/", env!("CARGO_PKG_VERSION")))
            .redirect(reqwest::redirect::Policy::none())
            .connect_timeout(CONNECT)
            .tcp_keepalive(Duration::from_secs(20));
        if Place::of_host(base.host_str().unwrap_or_default()) == Place::Local {
            builder = builder.no_proxy();
        }
        let client = builder.build().map_err(|_| TelegramConfigError::Client)?;
        Ok(Wire {
            client,
            base,
            token,
        })
    }

    pub(super) async fn call(&self, method: &str, body: &Value) -> Answer {
        let request = self.post(method).timeout(PATIENCE).json(body);
        ask(request, ANSWER_BYTES_MAX).await
    }

    /// Receiving: Telegram may hold the answer back for `hold`.
    pub(super) async fn receive(&self, body: &Value, hold: Duration, most: usize) -> Answer {
        let request = self.post("getUpdates").timeout(hold + PATIENCE).json(body);
        ask(request, most).await
    }

    pub(super) async fn send_form(&self, method: &str, form: Form) -> Answer {
        let request = self
            .post(method)
            .timeout(FILE_PATIENCE)
            .header("content-type", form.content_type)
            .body(form.body);
        ask(request, ANSWER_BYTES_MAX).await
    }

    /// A file by the path that `getFile` gave. None: there is none of at most this size.
    pub(super) async fn file(&self, path: &str, most: usize) -> Result<Vec<u8>, Answer> {
        if !is_file_path(path) {
            return Err(Answer::Unknown {
                why: "Telegram names a file that cannot be fetched",
            });
        }
        let address = self.address(&format!("file/bot{}/{path}", self.token.expose()));
        let request = self.client.get(address).timeout(FILE_PATIENCE);
        let mut response = request.send().await.map_err(|error| lost(&error))?;
        let status = response.status().as_u16();
        match status {
            200 => {}
            // Of this file; whether the token is good is not told here.
            401 | 404 => return Err(Answer::Refused(Refusal::Other { code: status })),
            _ => return Err(answer::read(status, b"")),
        }
        let mut bytes = Vec::new();
        loop {
            match response.chunk().await {
                Ok(None) => return Ok(bytes),
                Ok(Some(more)) if bytes.len() + more.len() <= most => {
                    bytes.extend_from_slice(&more)
                }
                Ok(Some(_)) => return Err(Answer::TooLong { head: Vec::new() }),
                Err(_) => {
                    return Err(Answer::Unknown {
                        why: "the connection broke",
                    });
                }
            }
        }
    }

    fn post(&self, method: &str) -> RequestBuilder {
        let path = format!("bot{}/{method}", self.token.expose());
        self.client.post(self.address(&path))
    }

    fn address(&self, path: &str) -> Url {
        let mut address = self.base.clone();
        let root = self.base.path().trim_end_matches('/');
        address.set_path(&format!("{root}/{path}"));
        address
    }
}

async fn ask(request: RequestBuilder, most: usize) -> Answer {
    let mut response = match request.send().await {
        Ok(response) => response,
        Err(error) => return lost(&error),
    };
    let status = response.status().as_u16();
    let mut body = Vec::new();
    loop {
        match response.chunk().await {
            Ok(None) => return answer::read(status, &body),
            Ok(Some(more)) if body.len() + more.len() <= most => body.extend_from_slice(&more),
            Ok(Some(more)) => {
                body.extend_from_slice(&more);
                body.truncate(HEAD_BYTES);
                return Answer::TooLong { head: body };
            }
            // The status line has come: it was done, or it was not; only a body would say.
            Err(_) => {
                return Answer::Unknown {
                    why: "the connection broke",
                };
            }
        }
    }
}

/// Whether a request can have left before it failed.
fn lost(error: &reqwest::Error) -> Answer {
    if error.is_connect() || error.is_builder() {
        return Answer::NotSent {
            why: "no connection to Telegram",
        };
    }
    Answer::Unknown {
        why: match error.is_timeout() {
            true => "Telegram does not answer",
            false => "the connection broke",
        },
    }
}

/// As BotFather gives them; nothing that could be another path.
fn is_token(token: &str) -> bool {
    let Some((id, key)) = token.split_once(':') else {
        return false;
    };
    let is_id = !id.is_empty() && id.chars().all(|c| c.is_ascii_digit());
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-');
    is_id && !key.is_empty() && token.len() <= TOKEN_BYTES_MAX && key.chars().all(plain)
}

fn is_file_path(path: &str) -> bool {
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.' | '/');
    !path.is_empty()
        && path.len() <= 256
        && !path.starts_with('/')
        && !path.contains("..")
        && path.chars().all(plain)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_and_paths_lead_nowhere_else() {
        for (token, is_good) in [
            ("123456:ABC-DEF_1", true),
            ("123456:", false),
            (":ABC", false),
            ("12a:ABC", false),
            ("123:AB/../x", false),
            ("123:AB?x", false),
            ("", false),
        ] {
            assert_eq!(is_token(token), is_good, "{token}");
        }
        for (path, is_good) in [
            ("voice/file_12.oga", true),
            ("/etc/passwd", false),
            ("voice/../../x", false),
            ("a?b", false),
            ("", false),
        ] {
            assert_eq!(is_file_path(path), is_good, "{path}");
        }
    }

    #[test]
    fn only_web_addresses_are_taken() {
        let _ = rustls::crypto::ring::default_provider().install_default();
        let check = |base: &str| Wire::new(base, Secret::new("1:A")).err();
        assert_eq!(check("https://api.telegram.org"), None);
        assert_eq!(check("http://127.0.0.1:1/prefix/"), None);
        for bad in ["ftp://x", "https://u:p@x", "https://x/?a=b", "x", ""] {
            assert_eq!(check(bad), Some(TelegramConfigError::Url), "{bad}");
        }
        let bad = Wire::new("https://x", Secret::new("nonsense")).err();
        assert_eq!(bad, Some(TelegramConfigError::Token));
    }
}
