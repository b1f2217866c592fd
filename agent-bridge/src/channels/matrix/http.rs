//! Requests to a homeserver: addresses, the bearer token, bounds of size and time, and what a failure means. Owns the
//! HTTP client and nothing that lasts. Bodies, tokens and a server's own words appear in no error. Redirects are not
//! followed where there is a token: they would carry it to somebody who was not configured.

use std::time::Duration;

use reqwest::header::{CONTENT_TYPE, HeaderMap, RETRY_AFTER};
use reqwest::{Client, Method, Url};
use serde_json::Value;

use super::wire;
use crate::gateways::Secret;

const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// For an answer that is no long poll and no sound.
pub const TIMEOUT: Duration = Duration::from_secs(30);
/// For sound, in either direction.
pub const MEDIA_TIMEOUT: Duration = Duration::from_secs(120);
/// Bytes of an answer that is neither a sync nor sound.
pub const ANSWER_BYTES_MAX: usize = 4 * 1024 * 1024;
/// Steps to where a homeserver is published (§3.1: redirects are followed there).
const REDIRECTS_MAX: usize = 5;
/// Bytes of an error that are read.
const ERROR_BYTES_MAX: usize = 16 * 1024;
/// No server is believed that wants to be left alone for longer.
const RETRY_AFTER_MAX: Duration = Duration::from_secs(600);
/// Where a server says nothing.
const RETRY_AFTER_UNKNOWN: Duration = Duration::from_secs(5);

/// Why a request failed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ApiError {
    /// No answer, or one of a server in trouble (5xx): worth another try.
    #[error("{why}")]
    Away { why: String },
    /// 429.
    #[error("the homeserver asks for patience ({} s)", .after.as_secs())]
    Limited { after: Duration },
    /// The access token is not, or no longer, good (401).
    #[error("the homeserver does not accept the access token")]
    Token,
    /// 4xx; `code` such as `M_FORBIDDEN`.
    #[error("the homeserver refuses: {status} {code}")]
    Refused { status: u16, code: String },
    #[error("the homeserver's answer is too long")]
    TooLarge,
    #[error("the homeserver's answer makes no sense")]
    Garbled,
}

/// A homeserver.
#[derive(Debug, Clone)]
pub struct Http {
    client: Client,
    base: Url,
}

/// One request. Segments of `path` are encoded.
pub struct Request<'a> {
    pub method: Method,
    pub path: &'a [&'a str],
    pub query: &'a [(&'a str, &'a str)],
    pub token: Option<&'a Secret>,
    pub body: Payload<'a>,
    pub timeout: Duration,
    pub bytes_max: usize,
}

pub enum Payload<'a> {
    None,
    Json(&'a Value),
    Bytes { mime: &'a str, bytes: &'a [u8] },
}

impl<'a> Request<'a> {
    pub fn get(path: &'a [&'a str]) -> Request<'a> {
        Request {
            method: Method::GET,
            path,
            query: &[],
            token: None,
            body: Payload::None,
            timeout: TIMEOUT,
            bytes_max: ANSWER_BYTES_MAX,
        }
    }

    pub fn post(path: &'a [&'a str], body: &'a Value) -> Request<'a> {
        Request {
            method: Method::POST,
            body: Payload::Json(body),
            ..Request::get(path)
        }
    }

    pub fn put(path: &'a [&'a str], body: &'a Value) -> Request<'a> {
        Request {
            method: Method::PUT,
            ..Request::post(path, body)
        }
    }
}

/// `https://matrix.example.org`, with or without a path before `/_matrix`.
pub fn base(url: &str) -> Option<Url> {
    let mut base = Url::parse(url.trim()).ok()?;
    let is_web = matches!(base.scheme(), "http" | "https") && base.has_host();
    let is_bare = base.username().is_empty() && base.password().is_none() && base.query().is_none();
    if !is_web || !is_bare {
        return None;
    }
    base.set_fragment(None);
    let path = base.path().trim_end_matches('/').to_owned();
    base.set_path(path.strip_suffix("/_matrix").unwrap_or(&path));
    Some(base)
}

impl Http {
    /// None when the client cannot be set up: no TLS provider was installed, or there are no certificates.
    pub fn new(base: Url) -> Option<Http> {
        Http::with(base, reqwest::redirect::Policy::none())
    }

    /// The same server, followed where it leads: for what is asked without a token.
    pub fn following(&self) -> Option<Http> {
        let policy = reqwest::redirect::Policy::limited(REDIRECTS_MAX);
        Http::with(self.base.clone(), policy)
    }

    fn with(base: Url, redirects: reqwest::redirect::Policy) -> Option<Http> {
        let mut builder = Client::builder()
            .user_agent(concat!("offhook/", env!("CARGO_PKG_VERSION")))
            .redirect(redirects)
            .connect_timeout(CONNECT_TIMEOUT)
            .tcp_keepalive(Duration::from_secs(20))
            .tcp_nodelay(true);
        let place = crate::router::place::Place::of_host(base.host_str().unwrap_or_default());
        if place == crate::router::place::Place::Local {
            builder = builder.no_proxy();
        }
        let client = builder.build().ok()?;
        Some(Http { client, base })
    }

    /// The server as it is shown.
    pub fn address(&self) -> String {
        self.base.origin().ascii_serialization()
    }

    /// One request; the answer's bytes.
    pub async fn bytes(&self, request: Request<'_>) -> Result<Vec<u8>, ApiError> {
        let mut url = self.base.clone();
        if let Ok(mut segments) = url.path_segments_mut() {
            segments.pop_if_empty().extend(request.path);
        }
        if !request.query.is_empty() {
            url.query_pairs_mut().extend_pairs(request.query);
        }
        let mut builder = self
            .client
            .request(request.method, url)
            .timeout(request.timeout);
        if let Some(token) = request.token {
            builder = builder.bearer_auth(token.expose());
        }
        builder = match request.body {
            Payload::None => builder,
            Payload::Json(body) => builder.json(body),
            Payload::Bytes { mime, bytes } => {
                builder.header(CONTENT_TYPE, mime).body(bytes.to_vec())
            }
        };
        let mut response = builder.send().await.map_err(|error| away(&error))?;
        let status = response.status().as_u16();
        let most = match status {
            200..=299 => request.bytes_max,
            _ => ERROR_BYTES_MAX,
        };
        let mut body = Vec::new();
        while let Some(bytes) = response.chunk().await.map_err(|error| away(&error))? {
            if body.len() + bytes.len() > most {
                if (200..=299).contains(&status) {
                    return Err(ApiError::TooLarge);
                }
                break;
            }
            body.extend_from_slice(&bytes);
        }
        match failure(status, response.headers(), &body) {
            None => Ok(body),
            Some(error) => Err(error),
        }
    }

    /// The same, for an answer in JSON.
    pub async fn json(&self, request: Request<'_>) -> Result<Value, ApiError> {
        let body = self.bytes(request).await?;
        serde_json::from_slice(&body).map_err(|_| ApiError::Garbled)
    }
}

/// What a status means; none: all is well.
fn failure(status: u16, headers: &HeaderMap, body: &[u8]) -> Option<ApiError> {
    if (200..=299).contains(&status) {
        return None;
    }
    let error = wire::error(body);
    Some(match (status, error.code.as_str()) {
        (429, _) | (_, "M_LIMIT_EXCEEDED") => {
            let header = headers
                .get(RETRY_AFTER)
                .and_then(|value| value.to_str().ok()?.parse().ok());
            let asked = error.retry_after_ms.map(Duration::from_millis);
            let asked = asked.or(header.map(Duration::from_secs));
            ApiError::Limited {
                after: asked.unwrap_or(RETRY_AFTER_UNKNOWN).min(RETRY_AFTER_MAX),
            }
        }
        (401, _) | (_, "M_UNKNOWN_TOKEN" | "M_MISSING_TOKEN") => ApiError::Token,
        (500..=599, _) => ApiError::Away {
            why: format!("the homeserver is in trouble: {status}"),
        },
        (_, code) => ApiError::Refused {
            status,
            code: code.to_owned(),
        },
    })
}

fn away(error: &reqwest::Error) -> ApiError {
    let why = if error.is_timeout() {
        "the homeserver does not answer in time"
    } else if error.is_connect() {
        "the homeserver cannot be reached"
    } else {
        "the connection to the homeserver broke"
    };
    ApiError::Away {
        why: why.to_owned(),
    }
}
