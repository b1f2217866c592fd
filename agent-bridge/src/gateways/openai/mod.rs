//! Any server that speaks OpenAI's chat completions: one POST per question, answered by a stream of
//! events or by one JSON document. Owns the HTTP client, the waits and the retries. What is sent and
//! what the answer means are pure and stand in `request`, `sse` and `chunk`.
//!
//! Neither bodies nor keys appear in errors or logs. Redirects are refused, since they would carry the
//! conversation to somebody who was not configured. Proxies of the environment are used for addresses
//! in the cloud only.

pub mod chunk;
pub(crate) mod exchange;
pub mod request;
pub mod sse;

#[cfg(test)]
mod chain_tests;
#[cfg(test)]
mod connection_tests;
#[cfg(test)]
mod tests;

use std::net::IpAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use rand::SeedableRng;
use rand::rngs::StdRng;
use reqwest::header::{AUTHORIZATION, HeaderMap, HeaderValue};
use reqwest::{Client, Url};
use tokio::sync::mpsc;
use tokio::time::Instant;

use super::{
    AskHandle, AskRequest, CheckReport, Gateway, GatewayError, GatewayEvent, GatewayInfo,
    MODELS_LISTED_MAX, Secret, Wait,
};
use crate::router::place::Place;

/// A list of models is no longer than this.
const MODELS_BYTES_MAX: usize = 1024 * 1024;
const CHECK_TIMEOUT: Duration = Duration::from_secs(5);
const POOL_IDLE: Duration = Duration::from_secs(300);
/// Keeps the ways through routers open, and finds out which are not.
const KEEPALIVE: Duration = Duration::from_secs(20);

/// Times in milliseconds.
#[derive(Debug, Clone, PartialEq)]
pub struct OpenAiConfig {
    /// Base address such as `http://127.0.0.1:11434/v1`, or the full address that ends in
    /// `/chat/completions`. Without a path, `/v1` is taken.
    pub url: String,
    pub model: String,
    /// Sent as a bearer token.
    pub api_key: Option<Secret>,
    pub connect_timeout_ms: u32,
    /// From the question to the first word, retries included.
    pub first_token_timeout_ms: u32,
    /// Between two pieces of the answer.
    pub idle_timeout_ms: u32,
    pub total_timeout_ms: u32,
    /// Attempts after the first one, before any word. A connection that breaks before any answer is
    /// renewed once besides.
    pub retries_max: u32,
    pub temperature: Option<f32>,
    pub tokens_max: Option<u32>,
    /// Whether asking has no consequence but the answer; none: to be found out from its list of models.
    pub only_answers: Option<bool>,
}

impl Default for OpenAiConfig {
    fn default() -> OpenAiConfig {
        OpenAiConfig {
            url: String::new(),
            model: String::new(),
            api_key: None,
            connect_timeout_ms: 1_500,
            first_token_timeout_ms: 8_000,
            idle_timeout_ms: 10_000,
            total_timeout_ms: 60_000,
            retries_max: 1,
            temperature: None,
            tokens_max: None,
            only_answers: None,
        }
    }
}

/// Why a gateway cannot be set up as configured.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum OpenAiConfigError {
    #[error("the agent's address must be like http://127.0.0.1:11434/v1")]
    Url,
    #[error(
        "the agent's address must not hold a user or a password: put the key into its own file"
    )]
    Credentials,
    #[error("the API key holds characters that no HTTP header can carry")]
    Key,
    #[error("the HTTP client could not be set up (no TLS provider, or no certificates)")]
    Client,
}

/// A chat completions server.
#[derive(Clone)]
pub struct OpenAi {
    inner: Arc<Inner>,
}

struct Inner {
    config: OpenAiConfig,
    client: Client,
    completions: Url,
    models: Url,
    /// Kept open. Elsewhere than on this machine it is two: a question that is called off takes its
    /// connection with it, and the next one follows at once.
    connections_warm: usize,
    rng: Mutex<StdRng>,
    /// What the list of models said: a server that is known to answer and do nothing else.
    is_plain: AtomicBool,
}

impl OpenAi {
    /// `seed` spreads the retries. A rustls crypto provider must have been installed by the program.
    pub fn new(config: OpenAiConfig, seed: [u8; 32]) -> Result<OpenAi, OpenAiConfigError> {
        let (completions, models) = addresses(&config.url)?;
        let mut headers = HeaderMap::new();
        if let Some(key) = &config.api_key {
            let mut value = HeaderValue::from_str(&format!("Bearer {}", key.expose()))
                .map_err(|_| OpenAiConfigError::Key)?;
            value.set_sensitive(true);
            headers.insert(AUTHORIZATION, value);
        }
        let mut builder = Client::builder()
            .user_agent(concat!("offhook/", env!("CARGO_PKG_VERSION")))
            .default_headers(headers)
            .redirect(reqwest::redirect::Policy::none())
            .connect_timeout(ms(config.connect_timeout_ms))
            .pool_max_idle_per_host(4)
            // Longer than a caller thinks between two questions; a server that closes earlier is seen.
            .pool_idle_timeout(POOL_IDLE)
            .tcp_keepalive(KEEPALIVE)
            .tcp_nodelay(true);
        let is_near = is_loopback(&completions);
        // What stays at home takes no way around through somebody else's machine.
        if Place::of_host(completions.host_str().unwrap_or_default()) == Place::Local {
            builder = builder.no_proxy();
        }
        let client = builder.build().map_err(|_| OpenAiConfigError::Client)?;
        Ok(OpenAi {
            inner: Arc::new(Inner {
                config,
                client,
                completions,
                models,
                connections_warm: if is_near { 1 } else { 2 },
                rng: Mutex::new(StdRng::from_seed(seed)),
                is_plain: AtomicBool::new(false),
            }),
        })
    }
}

/// The two addresses that are asked: completions, and the list of models beside them.
fn addresses(url: &str) -> Result<(Url, Url), OpenAiConfigError> {
    let mut base = Url::parse(url.trim()).map_err(|_| OpenAiConfigError::Url)?;
    if !matches!(base.scheme(), "http" | "https") || !base.has_host() {
        return Err(OpenAiConfigError::Url);
    }
    if !base.username().is_empty() || base.password().is_some() {
        return Err(OpenAiConfigError::Credentials);
    }
    base.set_fragment(None);
    let path = base.path().trim_end_matches('/').to_owned();
    let root = match path.strip_suffix("/chat/completions") {
        Some(root) => root.to_owned(),
        None if path.is_empty() => "/v1".to_owned(),
        None => path,
    };
    let mut completions = base.clone();
    completions.set_path(&format!("{root}/chat/completions"));
    base.set_path(&format!("{root}/models"));
    Ok((completions, base))
}

pub(crate) fn is_loopback(url: &Url) -> bool {
    let host = url.host_str().unwrap_or_default();
    let host = host.trim_start_matches('[').trim_end_matches(']');
    host == "localhost"
        || host
            .parse::<IpAddr>()
            .is_ok_and(|address| address.is_loopback())
}

fn ms(value: u32) -> Duration {
    Duration::from_millis(u64::from(value))
}

impl Inner {
    async fn models(&self) -> Result<CheckReport, GatewayError> {
        let began = Instant::now();
        let mut report = CheckReport {
            took: Duration::ZERO,
            models: Vec::new(),
            model_known: None,
        };
        let response = self.client.get(self.models.clone()).send().await;
        let mut response = response.map_err(|error| exchange::transport_error(&error))?;
        report.took = began.elapsed();
        let status = response.status().as_u16();
        let error = exchange::status_error(status, response.headers(), "");
        if let Some(error) = error {
            // Read to its end, so that the connection stays warm.
            exchange::drain(response).await;
            return match status {
                // It is alive but keeps no list.
                404 | 405 | 501 => Ok(report),
                _ => Err(error),
            };
        }
        let mut body = Vec::new();
        while let Some(bytes) = response.chunk().await.map_err(|_| GatewayError::Cut)? {
            if body.len() + bytes.len() > MODELS_BYTES_MAX {
                return Err(GatewayError::Protocol {
                    why: "its list of models is too long",
                });
            }
            body.extend_from_slice(&bytes);
        }
        let list: serde_json::Value =
            serde_json::from_slice(&body).map_err(|_| GatewayError::Protocol {
                why: "its list of models is not JSON",
            })?;
        let is_plain = self.models.host_str() == Some(PLAIN_HOST)
            || is_plain_server(&list, &self.config.model);
        self.is_plain.store(is_plain, Ordering::Relaxed);
        let names = list["data"].as_array().into_iter().flatten();
        let names = names.filter_map(|model| model["id"].as_str());
        report.model_known = Some(names.clone().any(|name| name == self.config.model));
        report.models = names.take(MODELS_LISTED_MAX).map(str::to_owned).collect();
        Ok(report)
    }
}

/// Names that model servers put into `owned_by`: llama.cpp, Ollama, vLLM, LM Studio. An agent that speaks
/// the same API, and runs tools of its own behind it, is none of these. "openai" is not among them: proxies
/// and agents say that too, so OpenAI's own server is known by its host.
const PLAIN_OWNERS: [&str; 4] = ["llamacpp", "library", "vllm", "organization_owner"];
const PLAIN_HOST: &str = "api.openai.com";

/// Whether a list of models is that of a server that only completes. In doubt it is not.
fn is_plain_server(list: &serde_json::Value, model: &str) -> bool {
    let models = || list["data"].as_array().into_iter().flatten();
    let is_agent = |name: &str| {
        let name = name.to_ascii_lowercase();
        name.contains("openclaw") || name.contains("agent")
    };
    let ids = || models().filter_map(|model| model["id"].as_str());
    let owner = models()
        .find(|entry| entry["id"].as_str() == Some(model))
        .and_then(|entry| entry["owned_by"].as_str());
    owner.is_some_and(|owner| PLAIN_OWNERS.contains(&owner)) && !ids().any(is_agent)
}

impl Gateway for OpenAi {
    fn describe(&self) -> GatewayInfo {
        let address = self.inner.completions.origin().ascii_serialization();
        GatewayInfo {
            name: "OpenAI-compatible".to_owned(),
            model: self.inner.config.model.clone(),
            address,
            demo: false,
        }
    }

    fn only_answers(&self) -> bool {
        let known = self.inner.is_plain.load(Ordering::Relaxed);
        self.inner.config.only_answers.unwrap_or(known)
    }

    fn ask(&self, request: AskRequest, events: mpsc::Sender<GatewayEvent>) -> AskHandle {
        let mut lost = LostConnection(Some(self.clone()));
        let inner = self.inner.clone();
        AskHandle::new(tokio::spawn(async move {
            exchange::run(&inner, &request, &events).await;
            // Called off by a receiver that is gone, or over; only over leaves the connection whole.
            if !events.is_closed() {
                lost.0 = None;
            }
            drop(lost);
        }))
    }

    fn check(&self) -> BoxFuture<'_, Result<CheckReport, GatewayError>> {
        async {
            tokio::time::timeout(CHECK_TIMEOUT, self.inner.models())
                .await
                .unwrap_or(Err(GatewayError::Timeout(Wait::Total)))
        }
        .boxed()
    }

    fn warm(&self) {
        for _ in 0..self.inner.connections_warm {
            let gateway = self.clone();
            // The connection stays in the pool; the list itself is of no interest.
            tokio::spawn(async move {
                let _ = gateway.check().await;
            });
        }
    }
}

/// Renews the spare connection when a question ends that was called off.
struct LostConnection(Option<OpenAi>);

impl Drop for LostConnection {
    fn drop(&mut self) {
        let Some(gateway) = self.0.take() else { return };
        let has_spare = gateway.inner.connections_warm > 1;
        if has_spare && tokio::runtime::Handle::try_current().is_ok() {
            gateway.warm();
        }
    }
}
