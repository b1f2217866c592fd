//! HTTP: health, the status API, and the door of the API's token.
//! Owns the listeners and which routes stand behind that token; the page and its own door are `web`'s.

mod gateways;

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::redact::Secret;
use agent_bridge::gateways::Gateway;
use agent_bridge::proxy::Proxy;
use agent_bridge::turn::Ledger;
use axum::Router;
use axum::extract::{Request, State as AxumState};
use axum::http::{HeaderMap, StatusCode, header};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Json, Response};
use axum::routing::{get, post};
use subtle::ConstantTimeEq as _;
use tokio::net::TcpListener;
use tokio::sync::{mpsc, oneshot, watch};
use tracing::{error, warn};

use crate::api::{self, Api};
use crate::approvals::Approvals;
use crate::config::Web;
use crate::engines::EngineState;
use crate::mcp::{self, Door};
use crate::signalling::page_phone::{self, PageDoor, Standing, Still};
use crate::switchboard::{Command, Snapshot};
use crate::web::{self, Page};

/// The signalling task answers within a frame; longer means that it hangs.
const SNAPSHOT_MAX: Duration = Duration::from_secs(2);

/// Bound before anything else starts, like the SIP sockets.
pub struct Listeners(Vec<TcpListener>);

#[derive(Debug, thiserror::Error)]
pub enum ListenError {
    #[error(
        "web port {port} on {address} is taken: is Offhook already running? Stop it, or set another `port` in [web]"
    )]
    Taken { address: IpAddr, port: u16 },
    #[error("cannot listen on {address} port {port}: {source}")]
    Other {
        address: IpAddr,
        port: u16,
        source: io::Error,
    },
}

impl Listeners {
    pub async fn bind(web: &Web) -> Result<Listeners, ListenError> {
        let mut bound = Vec::new();
        if web.enabled {
            for address in crate::server::addresses(&web.bind).await {
                let port = web.port;
                let listener = TcpListener::bind(SocketAddr::new(address, port))
                    .await
                    .map_err(|source| match source.kind() {
                        io::ErrorKind::AddrInUse => ListenError::Taken { address, port },
                        _ => ListenError::Other {
                            address,
                            port,
                            source,
                        },
                    })?;
                bound.push(listener);
            }
        }
        Ok(Listeners(bound))
    }

    pub fn addresses(&self) -> Vec<SocketAddr> {
        self.0
            .iter()
            .filter_map(|listener| listener.local_addr().ok())
            .collect()
    }
}

/// What the routes look at.
#[derive(Clone)]
pub struct State(Arc<Inner>);

struct Inner {
    commands: mpsc::Sender<Command>,
    token: Secret,
    engines: watch::Receiver<EngineState>,
    agent: Arc<dyn Gateway>,
    approvals: Approvals,
    proxy: Option<Proxy>,
    phones: PageDoor,
    started: Instant,
}

impl State {
    pub fn new(
        commands: mpsc::Sender<Command>,
        token: Secret,
        engines: watch::Receiver<EngineState>,
        agent: Arc<dyn Gateway>,
        approvals: Approvals,
        proxy: Option<Proxy>,
        phones: PageDoor,
    ) -> State {
        State(Arc::new(Inner {
            commands,
            token,
            engines,
            agent,
            approvals,
            proxy,
            phones,
            started: Instant::now(),
        }))
    }
}

/// Serves all listeners until the task is dropped.
pub async fn serve(
    listeners: Listeners,
    state: State,
    api: Api,
    door: Door,
    page: Page,
    audio: Router<State>,
) {
    let mcp = mcp::routes(api.clone(), door, &listeners.addresses());
    let app = router(state, api, mcp.merge(audio), page.clone());
    let servers = listeners.0.into_iter().map(|listener| {
        let app = app.clone();
        async move {
            let app = app.into_make_service_with_connect_info::<SocketAddr>();
            if let Err(error) = axum::serve(listener, app).await {
                error!(%error, "web server stopped");
            }
        }
    });
    let servers = futures_util::future::join_all(servers);
    futures_util::future::join(servers, web::watch_house(page)).await;
}

fn router(state: State, api: Api, mcp: Router<State>, page: Page) -> Router {
    let guarded = Router::new()
        .route("/api/status", get(status))
        .route("/metrics", get(metrics))
        .route("/api/phone", post(phone))
        .merge(crate::approvals::api::routes(state.0.approvals.clone()))
        .merge(api::routes(api))
        .route_layer(middleware::from_fn_with_state(state.clone(), require_token));
    let phones = page_phone::routes(state.0.phones.clone());
    Router::new()
        .merge(phones)
        .route("/healthz", get(health))
        .merge(guarded)
        .merge(mcp)
        .merge(web::routes(page))
        .layer(middleware::map_response(security_headers))
        .with_state(state)
}

async fn security_headers(mut response: Response) -> Response {
    let headers = response.headers_mut();
    for (name, value) in [
        (
            header::CONTENT_SECURITY_POLICY,
            "default-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
        ),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::REFERRER_POLICY, "no-referrer"),
        (header::CACHE_CONTROL, "no-store"),
    ] {
        let value = header::HeaderValue::from_static(value);
        headers.entry(name).or_insert(value);
    }
    response
}

async fn require_token(
    AxumState(state): AxumState<State>,
    request: Request,
    next: Next,
) -> Response {
    if is_authorised(request.headers(), &state.0.token) {
        return next.run(request).await;
    }
    unauthorised()
}

/// RFC 6750 section 3.
pub fn unauthorised() -> Response {
    let challenge = [(header::WWW_AUTHENTICATE, "Bearer realm=\"offhook\"")];
    let hint = "Send `Authorization: Bearer TOKEN`; the token is `api_token` in secrets.toml.\n";
    (StatusCode::UNAUTHORIZED, challenge, hint).into_response()
}

/// RFC 6750 section 2.1; compared in constant time.
pub fn is_authorised(headers: &HeaderMap, token: &Secret) -> bool {
    headers
        .get(header::AUTHORIZATION)
        .and_then(|value| value.to_str().ok())
        .and_then(|value| value.split_once(' '))
        .filter(|(scheme, _)| scheme.eq_ignore_ascii_case("bearer"))
        .is_some_and(|(_, given)| {
            given
                .trim()
                .as_bytes()
                .ct_eq(token.expose().as_bytes())
                .into()
        })
}

/// The signalling task's view, or `None` if it is gone.
pub async fn snapshot(commands: &mpsc::Sender<Command>) -> Option<Snapshot> {
    let (reply, answer) = oneshot::channel();
    commands.send(Command::Snapshot(reply)).await.ok()?;
    tokio::time::timeout(SNAPSHOT_MAX, answer).await.ok()?.ok()
}

async fn health(AxumState(state): AxumState<State>) -> Response {
    let engines = match &*state.0.engines.borrow() {
        EngineState::Ready(_) => Ok(()),
        EngineState::Warming => Err("warming up"),
        EngineState::Failed(_) => Err("no ears or voice: see the log"),
    };
    let signalling = snapshot(&state.0.commands).await.is_some();
    match (engines, signalling) {
        (Ok(()), true) => (StatusCode::OK, "ok\n").into_response(),
        (Err(why), _) => (StatusCode::SERVICE_UNAVAILABLE, format!("{why}\n")).into_response(),
        (_, false) => (
            StatusCode::SERVICE_UNAVAILABLE,
            "signalling does not answer\n",
        )
            .into_response(),
    }
}

async fn status(AxumState(state): AxumState<State>) -> Response {
    let Some(snapshot) = snapshot(&state.0.commands).await else {
        warn!("the signalling task does not answer");
        return StatusCode::SERVICE_UNAVAILABLE.into_response();
    };
    let (engines, model, voice) = match &*state.0.engines.borrow() {
        EngineState::Ready(engines) => (
            "ready",
            engines.ears.model.clone(),
            engines.voice.name.clone(),
        ),
        EngineState::Warming => ("warming", String::new(), String::new()),
        EngineState::Failed(_) => ("failed", String::new(), String::new()),
    };
    Json(serde_json::json!({
        "version": env!("CARGO_PKG_VERSION"),
        "uptime_s": state.0.started.elapsed().as_secs(),
        "engines": engines,
        "model": model,
        "voice": voice,
        "agent": gateways::agent(state.0.agent.as_ref()),
        "proxy": gateways::proxy(state.0.proxy.as_ref()),
        "calls": snapshot.calls,
        "calls_total": snapshot.calls_total,
        "registrations": snapshot.registrations,
        "trunks": snapshot.trunks,
        "speculation": snapshot.speculation,
        "quality": snapshot.quality,
        "draining": snapshot.draining,
    }))
    .into_response()
}

#[derive(serde::Deserialize)]
struct Whose {
    account: String,
}

/// `{"account": …}`: a pass for a phone in a browser, see `signalling::page_phone`.
async fn phone(AxumState(state): AxumState<State>, Json(whose): Json<Whose>) -> Response {
    // The token stays what it is while we run; an account that is gone opens nothing.
    let still: Still =
        Arc::new(|| futures_util::FutureExt::boxed(std::future::ready(Standing::SignedIn)));
    let phones = &state.0.phones;
    Json(phones.pass(Instant::now(), &whose.account, still)).into_response()
}

/// Prometheus text format, version 0.0.4.
async fn metrics(AxumState(state): AxumState<State>) -> Response {
    let Some(snapshot) = snapshot(&state.0.commands).await else {
        return StatusCode::SERVICE_UNAVAILABLE.into_response();
    };
    let rows: [MetricRow; 4] = [
        (
            "offhook_calls",
            "gauge",
            "Calls that are up.",
            snapshot.calls.len() as u64,
        ),
        (
            "offhook_calls_total",
            "counter",
            "Calls answered since the start.",
            snapshot.calls_total,
        ),
        (
            "offhook_registrations",
            "gauge",
            "Bindings of registered phones.",
            snapshot.registrations.len() as u64,
        ),
        (
            "offhook_uptime_seconds",
            "gauge",
            "Seconds since the start.",
            state.0.started.elapsed().as_secs(),
        ),
    ];
    let body: String = rows
        .into_iter()
        .chain(signalling_rows(&snapshot.signalling))
        .chain(ledger_rows(&snapshot.speculation))
        .chain(gateways::proxy_rows(state.0.proxy.as_ref()))
        .map(|(name, kind, help, value)| {
            format!("# HELP {name} {help}\n# TYPE {name} {kind}\n{name} {value}\n")
        })
        .collect();
    let body = body + &gateways::resting(state.0.agent.as_ref()) + &snapshot.quality.metrics();
    ([(header::CONTENT_TYPE, "text/plain; version=0.0.4")], body).into_response()
}

type MetricRow = (&'static str, &'static str, &'static str, u64);

fn signalling_rows(stats: &sip::Stats) -> [MetricRow; 8] {
    [
        (
            "offhook_sip_dialogs",
            "gauge",
            "Calls remembered by signalling, each leg for itself, with those that are ending.",
            stats.dialogs as u64,
        ),
        (
            "offhook_sip_server_transactions",
            "gauge",
            "Requests of phones and trunks that are not over.",
            stats.server_transactions as u64,
        ),
        (
            "offhook_sip_client_transactions",
            "gauge",
            "Requests of ours that are not over.",
            stats.client_transactions as u64,
        ),
        (
            "offhook_sip_connections",
            "gauge",
            "Connections over TCP, TLS and WebSocket.",
            stats.streams as u64,
        ),
        (
            "offhook_sip_messages_total",
            "counter",
            "Messages received that were SIP.",
            stats.messages_received,
        ),
        (
            "offhook_sip_throttled_total",
            "counter",
            "Messages not heard because their sender sent too many.",
            stats.messages_throttled,
        ),
        (
            "offhook_sip_wrong_passwords_total",
            "counter",
            "Logins refused.",
            stats.authentication_failures,
        ),
        (
            "offhook_sip_repeated_total",
            "counter",
            "Messages of ours sent again for want of an answer.",
            stats.retransmissions_sent,
        ),
    ]
}

/// Of calls that have ended since the start.
fn ledger_rows(ledger: &Ledger) -> [MetricRow; 5] {
    [
        (
            "offhook_guesses_total",
            "counter",
            "Questions asked of the agent before the caller's turn was surely over.",
            u64::from(ledger.guesses),
        ),
        (
            "offhook_guess_hits_total",
            "counter",
            "Guesses that were released as they were.",
            u64::from(ledger.hits),
        ),
        (
            "offhook_guess_misses_total",
            "counter",
            "Guesses that were dropped.",
            u64::from(ledger.misses),
        ),
        (
            "offhook_guess_saved_milliseconds_total",
            "counter",
            "Time from each right guess to its commit.",
            ledger.saved_ms,
        ),
        (
            "offhook_guess_wasted_tokens_total",
            "counter",
            "Tokens of dropped guesses, estimated from their letters.",
            ledger.tokens_wasted,
        ),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_bearer_token_opens_the_api() {
        let token = Secret::new("abc123".to_owned());
        let rows = [
            (Some("Bearer abc123"), true),
            (Some("bearer abc123"), true),
            (Some("Bearer abc124"), false),
            (Some("Bearer "), false),
            (Some("Basic abc123"), false),
            (Some("abc123"), false),
            (None, false),
        ];
        for (value, expected) in rows {
            let mut headers = HeaderMap::new();
            if let Some(value) = value {
                headers.insert(
                    header::AUTHORIZATION,
                    value.parse().expect("a header value"),
                );
            }
            assert_eq!(is_authorised(&headers, &token), expected, "{value:?}");
        }
    }
}
