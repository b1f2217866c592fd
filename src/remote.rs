//! Ears and a voice at another machine, asked before the ones at home: over Wyoming (`tcp://`) or an OpenAI-compatible API
//! (`http://`, `https://`). Owns the asking, the waiting, and the fall back to the engine at home; not the protocols'
//! other side (`wyoming`, `audio_api`).
//!
//! They stand here and not in the leaf crates because those know no sockets. Each runs on an engine thread, with a small
//! runtime of its own, so that a slow network holds up nothing else.
//!
//! One that failed is not asked for [`REST`]: its calls go to the engine at home at once.

mod ears;
mod voice;

use std::future::Future;
use std::time::{Duration, Instant};

use tokio::io::BufReader;
use tokio::net::TcpStream;
use tokio::runtime::Runtime;
use tracing::{info, warn};

pub use ears::RemoteEars;
pub use voice::RemoteVoice;

use crate::config::{Config, Remote};
use crate::engines::Elsewhere;
use crate::home::Home;
use crate::redact::{Private, Secret};
use crate::secrets::SecretStore;
use crate::wyoming::event::Event;
use crate::wyoming::stream::{self, StreamError};

/// How long one that failed is left alone.
pub const REST: Duration = Duration::from_secs(30);
/// Longest that one job takes there, however steadily something arrives: the engine thread is needed.
const TOTAL_MAX: Duration = Duration::from_secs(60);
/// How often work is looked at for whether anybody still wants it.
const LOOK: Duration = Duration::from_millis(20);
/// Longest answer in text.
const TEXT_BYTES_MAX: usize = 256 * 1024;

/// Why the other machine gave nothing.
#[derive(Debug, thiserror::Error)]
pub enum RemoteError {
    #[error("{0}")]
    Wyoming(#[from] StreamError),
    #[error("{0}")]
    Http(#[from] reqwest::Error),
    #[error("it says: {0}")]
    Refused(reqwest::StatusCode),
    /// In its own words, which may hold what was said.
    #[error("it says: {}", Private(.0))]
    Said(String),
    #[error("its answer makes no sense")]
    Malformed,
    #[error("its answer is {0}, and no sound as it was asked for")]
    NotPcm(String),
    #[error("it gave no sound")]
    Empty,
    #[error("no answer in time")]
    TimedOut,
    #[error("nobody wants it any more")]
    Stopped,
    #[error("no runtime: {0}")]
    Runtime(std::io::Error),
}

/// The engines at other machines that the configuration names, with their keys: those of the environment even
/// where there is no secret store.
pub fn elsewhere(
    config: &Config,
    secrets: Option<&SecretStore>,
    home: &Home,
) -> anyhow::Result<Elsewhere> {
    let find = |wish: &Remote, name: &str| -> anyhow::Result<_> {
        if wish.url.is_empty() {
            return Ok(None);
        }
        let key = match secrets {
            Some(secrets) => secrets.resolve(&wish.api_key, name, home.root())?,
            None => std::env::var(&wish.api_key.default_variable)
                .ok()
                .filter(|key| !key.is_empty())
                .map(Secret::new),
        };
        Ok(Some((wish.clone(), key)))
    };
    Ok(Elsewhere {
        ears: find(&config.asr.remote, "asr")?,
        voice: find(&config.tts.remote, "tts")?,
        voice_name: config.tts.remote_voice.clone(),
    })
}

/// Where it is, and how it is spoken to.
#[derive(Debug, Clone)]
pub enum Place {
    Wyoming { host: String, port: u16 },
    OpenAi { base: String },
}

/// One remote engine's way there.
pub struct Line {
    place: Place,
    model: String,
    key: Option<Secret>,
    within: Duration,
    runtime: Runtime,
    client: reqwest::Client,
    resting_until: Option<Instant>,
}

impl Line {
    /// None where `wish` names no address.
    pub fn open(wish: &Remote, key: Option<Secret>) -> Result<Option<Line>, RemoteError> {
        let Some(place) = place(&wish.url) else {
            return Ok(None);
        };
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .map_err(RemoteError::Runtime)?;
        let within = Duration::from_millis(u64::from(wish.timeout_ms));
        let client = reqwest::Client::builder()
            .connect_timeout(within)
            .read_timeout(within)
            .redirect(reqwest::redirect::Policy::none())
            .build()?;
        Ok(Some(Line {
            place,
            model: wish.model.clone(),
            key,
            within,
            runtime,
            client,
            resting_until: None,
        }))
    }

    /// The address, for people.
    pub fn address(&self) -> String {
        match &self.place {
            Place::Wyoming { host, port } => format!("tcp://{host}:{port}"),
            Place::OpenAi { base } => base.clone(),
        }
    }

    fn is_resting(&self) -> bool {
        self.resting_until
            .is_some_and(|until| Instant::now() < until)
    }

    /// Remembers how it went; says so when that is news.
    fn note<T>(&mut self, what: &str, outcome: &Result<T, RemoteError>) {
        match outcome {
            Ok(_) => {
                if self.resting_until.take().is_some() {
                    info!(address = %self.address(), "{what} answers again");
                }
            }
            Err(RemoteError::Stopped) => {}
            Err(error) => {
                warn!(address = %self.address(), %error, "{what} failed; the one at home is used");
                self.resting_until = Some(Instant::now() + REST);
            }
        }
    }

    /// Runs `work` to its end, or for [`TOTAL_MAX`], or until `is_unwanted` says so.
    fn run<T>(
        runtime: &Runtime,
        work: impl Future<Output = Result<T, RemoteError>>,
        is_unwanted: impl FnMut() -> bool,
    ) -> Result<T, RemoteError> {
        runtime.block_on(watched(work, TOTAL_MAX, is_unwanted))
    }

    /// Whether it is there and knows what is asked of it: `what` is `asr` or `tts`. In words, for the doctor.
    pub fn check(&self, what: &str) -> Result<String, RemoteError> {
        Line::run(&self.runtime, self.ask_who(what), || false)
    }

    async fn ask_who(&self, what: &str) -> Result<String, RemoteError> {
        match &self.place {
            Place::Wyoming { host, port } => {
                let mut link = Link::connect(host, *port, self.within).await?;
                link.send(&Event::new("describe", serde_json::json!({})))
                    .await?;
                let info = link.wait_for(&["info"]).await?;
                let programs = info.data.get(what).and_then(|value| value.as_array());
                let name = programs
                    .and_then(|programs| programs.first()?.get("name")?.as_str())
                    .ok_or(RemoteError::Malformed)?;
                Ok(format!("{name} over Wyoming"))
            }
            Place::OpenAi { base } => {
                let answer = self.get(&format!("{base}/models")).send().await?;
                let status = answer.status();
                match status.is_success() {
                    true => Ok("an OpenAI-compatible API".to_owned()),
                    false => Err(RemoteError::Refused(status)),
                }
            }
        }
    }

    fn get(&self, url: &str) -> reqwest::RequestBuilder {
        self.authorised(self.client.get(url))
    }

    fn post(&self, url: &str) -> reqwest::RequestBuilder {
        self.authorised(self.client.post(url))
    }

    fn authorised(&self, request: reqwest::RequestBuilder) -> reqwest::RequestBuilder {
        match &self.key {
            Some(key) => request.bearer_auth(key.expose()),
            None => request,
        }
    }
}

async fn watched<T>(
    work: impl Future<Output = Result<T, RemoteError>>,
    total: Duration,
    mut is_unwanted: impl FnMut() -> bool,
) -> Result<T, RemoteError> {
    let watched = async {
        tokio::pin!(work);
        loop {
            match tokio::time::timeout(LOOK, &mut work).await {
                Ok(outcome) => return outcome,
                Err(_) if is_unwanted() => return Err(RemoteError::Stopped),
                Err(_) => {}
            }
        }
    };
    match tokio::time::timeout(total, watched).await {
        Ok(outcome) => outcome,
        Err(_) => Err(RemoteError::TimedOut),
    }
}

/// From an address that the configuration has looked at.
fn place(url: &str) -> Option<Place> {
    let parsed = reqwest::Url::parse(url).ok()?;
    match parsed.scheme() {
        "tcp" => Some(Place::Wyoming {
            host: parsed.host_str()?.trim_matches(['[', ']']).to_owned(),
            port: parsed.port()?,
        }),
        _ => Some(Place::OpenAi {
            base: url.trim_end_matches('/').to_owned(),
        }),
    }
}

/// A Wyoming connection as a client has it.
struct Link {
    socket: BufReader<TcpStream>,
    within: Duration,
}

impl Link {
    async fn connect(host: &str, port: u16, within: Duration) -> Result<Link, RemoteError> {
        let connecting = TcpStream::connect((host, port));
        let socket = match tokio::time::timeout(within, connecting).await {
            Ok(socket) => socket.map_err(StreamError::Io)?,
            Err(_) => return Err(RemoteError::TimedOut),
        };
        let _ = socket.set_nodelay(true);
        Ok(Link {
            socket: BufReader::new(socket),
            within,
        })
    }

    async fn send(&mut self, event: &Event) -> Result<(), RemoteError> {
        Ok(stream::write(&mut self.socket, event, self.within).await?)
    }

    /// The next event of one of these kinds; others are passed over, errors are not.
    async fn wait_for(&mut self, kinds: &[&str]) -> Result<Event, RemoteError> {
        let wanted = async {
            loop {
                let event = stream::read(&mut self.socket, self.within).await?;
                if event.kind == "error" {
                    let text = event.text("text").unwrap_or("an error without a text");
                    return Err(RemoteError::Said(text.chars().take(200).collect()));
                }
                if kinds.contains(&event.kind.as_str()) {
                    return Ok(event);
                }
            }
        };
        match tokio::time::timeout(self.within, wanted).await {
            Ok(outcome) => outcome,
            Err(_) => Err(RemoteError::TimedOut),
        }
    }
}

#[cfg(test)]
mod tests;
