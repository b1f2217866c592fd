//! The way to signal-cli's daemon: HTTP (`/api/v1/rpc`, `/api/v1/events`) or a TCP socket with one JSON document per line.
//! Owns connections, times and sizes; what the bytes mean is `events`' and `rpc`'s.

use std::time::Duration;

use reqwest::{Client, Response, Url};
use serde_json::Value;
use socket2::{SockRef, TcpKeepalive};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::timeout;

use super::events::{EVENT_BYTES_MAX, Event, Lines, Stream};
use super::rpc::{self, Outcome};
use crate::channels::VOICE_BYTES_MAX;
use crate::router::place::Place;

const CONNECT: Duration = Duration::from_secs(10);
/// It begins to answer with its first sign of life, which comes every 15 s.
const OPEN: Duration = Duration::from_secs(60);
/// A connection without a sign of life is looked at after this, and so often.
const KEEPALIVE: Duration = Duration::from_secs(20);
/// signal-cli answers when Signal's servers have taken the message.
const PATIENCE: Duration = Duration::from_secs(90);
/// A voice note of the greatest size in Base64, and what stands around it.
const ANSWER_BYTES_MAX: usize = VOICE_BYTES_MAX / 3 * 4 + 64 * 1024;

/// Why Signal cannot be set up as configured.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SignalConfigError {
    #[error("the address of signal-cli must be like http://127.0.0.1:8080 or tcp://127.0.0.1:7583")]
    Url,
    #[error("the HTTP client could not be set up (no TLS provider, or no certificates)")]
    Client,
}

#[derive(Clone)]
pub(super) enum Link {
    Http { client: Client, base: Url },
    Tcp { address: String },
}

/// What comes without being asked.
pub(super) enum Events {
    Http(Response, Stream),
    Tcp(TcpStream, Lines),
}

impl Link {
    pub(super) fn new(url: &str) -> Result<Link, SignalConfigError> {
        let url = Url::parse(url.trim()).map_err(|_| SignalConfigError::Url)?;
        let is_bare =
            url.username().is_empty() && url.password().is_none() && url.query().is_none();
        let host = url
            .host_str()
            .filter(|_| is_bare)
            .ok_or(SignalConfigError::Url)?;
        match url.scheme() {
            "tcp" => {
                let port = url.port().ok_or(SignalConfigError::Url)?;
                Ok(Link::Tcp {
                    address: format!("{host}:{port}"),
                })
            }
            "http" | "https" => {
                let mut builder = Client::builder()
                    .user_agent(concat!("offhook/", env!("CARGO_PKG_VERSION")))
                    .redirect(reqwest::redirect::Policy::none())
                    .connect_timeout(CONNECT)
                    .tcp_keepalive(Duration::from_secs(20));
                if Place::of_host(host) == Place::Local {
                    builder = builder.no_proxy();
                }
                let client = builder.build().map_err(|_| SignalConfigError::Client)?;
                Ok(Link::Http { client, base: url })
            }
            _ => Err(SignalConfigError::Url),
        }
    }

    /// One request and its answer.
    pub(super) async fn call(&self, id: u64, request: &Value) -> Outcome {
        let answer = timeout(PATIENCE, async {
            match self {
                Link::Http { client, base } => over_http(client, base, id, request).await,
                Link::Tcp { address } => over_tcp(address, id, request).await,
            }
        });
        answer.await.unwrap_or(Outcome::Unknown {
            why: "signal-cli does not answer",
        })
    }

    /// Begins to receive, behind the event of this id where signal-cli still knows it.
    pub(super) async fn open(
        &self,
        after: Option<&str>,
        account: &str,
    ) -> Result<Events, &'static str> {
        let opened = timeout(OPEN, self.opened(after, account)).await;
        opened.unwrap_or(Err("signal-cli does not answer"))
    }

    async fn opened(&self, after: Option<&str>, account: &str) -> Result<Events, &'static str> {
        match self {
            Link::Http { client, base } => {
                let mut request = client
                    .get(address(base, "events"))
                    .header("accept", "text/event-stream");
                if let Some(id) = after {
                    request = request.header("last-event-id", id);
                }
                let response = request
                    .send()
                    .await
                    .map_err(|_| "signal-cli cannot be reached")?;
                match response.status().as_u16() {
                    200 => Ok(Events::Http(response, Stream::default())),
                    _ => Err("what answers is not signal-cli"),
                }
            }
            Link::Tcp { address } => {
                let mut stream = connect(address)
                    .await
                    .ok_or("signal-cli cannot be reached")?;
                // Needed where it receives only on demand; elsewhere it is refused, and messages come all the same.
                let wish = rpc::request(0, "subscribeReceive", &serde_json::json!({}), account);
                let line = format!("{wish}\n");
                stream
                    .write_all(line.as_bytes())
                    .await
                    .map_err(|_| "the connection broke")?;
                Ok(Events::Tcp(stream, Lines::new(EVENT_BYTES_MAX)))
            }
        }
    }
}

impl Events {
    /// The next event; the connection is of no use after an error.
    pub(super) async fn next(&mut self) -> Result<Event, &'static str> {
        match self {
            Events::Http(response, stream) => loop {
                if let Some(event) = stream.next_event() {
                    return Ok(event);
                }
                match response.chunk().await {
                    Ok(Some(bytes)) => stream.push(&bytes),
                    _ => return Err("signal-cli closed the connection"),
                }
            },
            Events::Tcp(stream, lines) => loop {
                if let Some(data) = lines.next_line() {
                    return Ok(Event { id: None, data });
                }
                let mut bytes = [0; 16 * 1024];
                match stream.read(&mut bytes).await {
                    Ok(count) if count > 0 => lines.push(&bytes[..count]),
                    _ => return Err("signal-cli closed the connection"),
                }
            },
        }
    }
}

fn address(base: &Url, what: &str) -> Url {
    let mut address = base.clone();
    let root = base.path().trim_end_matches('/');
    address.set_path(&format!("{root}/api/v1/{what}"));
    address
}

async fn over_http(client: &Client, base: &Url, id: u64, request: &Value) -> Outcome {
    let sent = client.post(address(base, "rpc")).json(request).send().await;
    let mut response = match sent {
        Ok(response) => response,
        Err(error) if error.is_connect() => return unreachable(),
        Err(_) => {
            return Outcome::Unknown {
                why: "the connection broke",
            };
        }
    };
    let mut body = Vec::new();
    loop {
        match response.chunk().await {
            Ok(None) => break,
            Ok(Some(more)) if body.len() + more.len() <= ANSWER_BYTES_MAX => {
                body.extend_from_slice(&more)
            }
            Ok(Some(_)) => {
                return Outcome::Unknown {
                    why: "signal-cli's answer is too long",
                };
            }
            Err(_) => {
                return Outcome::Unknown {
                    why: "the connection broke",
                };
            }
        }
    }
    let answer = rpc::answer(&String::from_utf8_lossy(&body), id);
    answer.unwrap_or(Outcome::Unknown {
        why: "what answers is not signal-cli",
    })
}

/// A connection of its own for each request: events on it belong to the other one too.
async fn over_tcp(address: &str, id: u64, request: &Value) -> Outcome {
    let Some(mut stream) = connect(address).await else {
        return unreachable();
    };
    let broken = Outcome::Unknown {
        why: "the connection broke",
    };
    if stream
        .write_all(format!("{request}\n").as_bytes())
        .await
        .is_err()
    {
        return broken;
    }
    let mut lines = Lines::new(ANSWER_BYTES_MAX);
    let mut bytes = vec![0; 16 * 1024];
    loop {
        match stream.read(&mut bytes).await {
            Ok(count) if count > 0 => lines.push(&bytes[..count]),
            _ => return broken,
        }
        while let Some(line) = lines.next_line() {
            if let Some(outcome) = rpc::answer(&line, id) {
                return outcome;
            }
        }
    }
}

async fn connect(address: &str) -> Option<TcpStream> {
    let stream = timeout(CONNECT, TcpStream::connect(address)).await;
    let stream = stream.ok()?.ok()?;
    let keepalive = TcpKeepalive::new()
        .with_time(KEEPALIVE)
        .with_interval(KEEPALIVE);
    // Where it cannot be set, only the daemon's end is not noticed.
    let _ = SockRef::from(&stream).set_tcp_keepalive(&keepalive);
    Some(stream)
}

fn unreachable() -> Outcome {
    Outcome::NotDone {
        why: "signal-cli cannot be reached",
        retry_after: None,
    }
}
