//! The desk's arms: requests to the model, their answers into the desk, and the call's side of a question. Owns the HTTP
//! client, the tasks that record answers and the bells that tell of news.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Duration;

use reqwest::header::{AUTHORIZATION, CONTENT_TYPE, HeaderMap, HeaderValue};
use reqwest::{Client, Method, Response, Url};
use tokio::sync::{Semaphore, watch};
use tokio::task::AbortHandle;
use tokio::time::Instant;

use super::desk::{Counts, Desk, DeskOutput, ExchangeId};
use super::exchange::Spoken;
use super::frames::Frames;
use super::headers::onward;
use super::page::{CloudBooks, OnBehalfOf, Page};
use crate::gateways::openai::exchange::{status_error, transport_error};
use crate::gateways::{GatewayError, Held, Secret, Told};

const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// Between two pieces of an answer, whoever asked. Models that think aloud in silence take this long.
const IDLE_TIMEOUT: Duration = Duration::from_secs(300);
const POOL_IDLE: Duration = Duration::from_secs(300);
const KEEPALIVE: Duration = Duration::from_secs(20);

#[derive(Debug, Clone)]
pub struct ProxyConfig {
    /// The provider's base address, such as `https://api.example.com/v1`.
    pub url: String,
    /// The provider's key. None: requests go on without one.
    pub api_key: Option<Secret>,
    /// What the agent gateway must show us.
    pub token: Secret,
    /// A longer request is refused (413).
    pub body_bytes_max: usize,
    /// Requests at the same time; with more, a further one is refused (503).
    pub requests_max: usize,
}

/// Why the proxy cannot be set up as configured.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ProxyError {
    #[error("the provider's address must be like https://api.example.com/v1")]
    Url,
    #[error("the provider's address must not hold a user or a password")]
    Credentials,
    #[error("the provider's key holds characters that no HTTP header can carry")]
    Key,
    #[error("the token for the agent gateway is empty")]
    Token,
    #[error("the HTTP client could not be set up (no TLS provider, or no certificates)")]
    Client,
}

/// The proxy. Cheap to clone.
#[derive(Clone)]
pub struct Proxy {
    pub(super) shared: Arc<Shared>,
}

pub(super) struct Shared {
    pub(super) config: ProxyConfig,
    pub(super) permits: Arc<Semaphore>,
    client: Client,
    base: Url,
    key: Option<HeaderValue>,
    books: OnceLock<CloudBooks>,
    state: Mutex<State>,
}

struct State {
    desk: Desk,
    bells: HashMap<ExchangeId, watch::Sender<()>>,
    /// Answers that are being recorded.
    asks: HashMap<(ExchangeId, usize), AbortHandle>,
    errors: HashMap<ExchangeId, GatewayError>,
    /// Whose questions they are, where the provider is in the cloud.
    callers: HashMap<ExchangeId, OnBehalfOf>,
    /// What the agent gateway's last chat completion came with: early questions are sent with the same.
    headers: HeaderMap,
}

impl Proxy {
    /// A rustls crypto provider must have been installed by the program.
    pub fn new(config: ProxyConfig) -> Result<Proxy, ProxyError> {
        let mut base = Url::parse(config.url.trim()).map_err(|_| ProxyError::Url)?;
        if !matches!(base.scheme(), "http" | "https") || !base.has_host() {
            return Err(ProxyError::Url);
        }
        if !base.username().is_empty() || base.password().is_some() {
            return Err(ProxyError::Credentials);
        }
        if config.token.expose().trim().is_empty() {
            return Err(ProxyError::Token);
        }
        base.set_query(None);
        base.set_fragment(None);
        let path = base.path().trim_end_matches('/').to_owned();
        let path = path.strip_suffix("/chat/completions").unwrap_or(&path);
        base.set_path(if path.is_empty() { "/v1" } else { path });
        let key = config.api_key.as_ref().map(|key| {
            let mut value = HeaderValue::from_str(&format!("Bearer {}", key.expose()))
                .map_err(|_| ProxyError::Key)?;
            value.set_sensitive(true);
            Ok(value)
        });
        let mut builder = Client::builder()
            .redirect(reqwest::redirect::Policy::none())
            .connect_timeout(CONNECT_TIMEOUT)
            .read_timeout(IDLE_TIMEOUT)
            .pool_idle_timeout(POOL_IDLE)
            .tcp_keepalive(KEEPALIVE)
            .tcp_nodelay(true);
        if crate::gateways::openai::is_loopback(&base) {
            builder = builder.no_proxy();
        }
        Ok(Proxy {
            shared: Arc::new(Shared {
                permits: Arc::new(Semaphore::new(config.requests_max)),
                client: builder.build().map_err(|_| ProxyError::Client)?,
                base,
                key: key.transpose()?,
                books: OnceLock::new(),
                config,
                state: Mutex::new(State {
                    desk: Desk::default(),
                    bells: HashMap::new(),
                    asks: HashMap::new(),
                    errors: HashMap::new(),
                    callers: HashMap::new(),
                    headers: HeaderMap::new(),
                }),
            }),
        })
    }

    /// Requests of this session, or of its agent, come here: what it will ask can be foretold.
    pub fn knows(&self, session: &str) -> bool {
        self.shared.with(|desk| desk.knows(session))
    }

    /// From here on each request to the provider is counted, held to the limits and written down; for one in the cloud.
    /// The first books stay.
    pub fn keep_books(&self, books: CloudBooks) {
        let _ = self.shared.books.set(books);
    }

    /// The provider is in the cloud: no caller's question may go there without leave.
    pub fn is_in_cloud(&self) -> bool {
        self.shared.keeps_books()
    }

    pub fn counts(&self) -> Counts {
        self.shared.with(|desk| desk.counts())
    }

    /// The provider's address: scheme, host and port.
    pub fn provider(&self) -> String {
        self.shared.base.origin().ascii_serialization()
    }

    /// The caller may have said this; `words` is the message that the agent gateway will be sent. Asks the model at once if
    /// the agent gateway's request can be foretold. Dropping the reply before its commit leaves nothing anywhere.
    pub fn begin(&self, session: &str, words: &str) -> Reply {
        self.begin_for(session, words, None)
    }

    /// The same for a caller whose question goes to the cloud with leave.
    pub fn begin_for(&self, session: &str, words: &str, caller: Option<OnBehalfOf>) -> Reply {
        let now = Instant::now().into_std();
        let id = {
            let mut state = self.shared.lock();
            let id = state.desk.begin(now, unix_s(), session, words);
            // Before the question leaves.
            state.callers.extend(caller.map(|caller| (id, caller)));
            self.shared.drain(&mut state);
            id
        };
        Reply {
            bell: self.shared.bell(id),
            shared: self.shared.clone(),
            id,
        }
    }
}

/// A question of the call, on the side of the one who speaks the answer.
pub struct Reply {
    shared: Arc<Shared>,
    id: ExchangeId,
    bell: watch::Receiver<()>,
}

impl Reply {
    /// The next thing to be spoken. `Done` or `Failed` is the last one; after it this waits for ever.
    pub async fn next(&mut self) -> Spoken {
        loop {
            self.bell.borrow_and_update();
            if let Some(spoken) = self.shared.with(|desk| desk.next_spoken(self.id)) {
                return spoken;
            }
            if self.bell.changed().await.is_err() {
                return Spoken::Failed;
            }
        }
    }

    /// The caller's turn is over, and the agent gateway is about to be sent the words. From here on dropping the reply
    /// means that the caller has stopped listening.
    pub fn commit(&self) {
        self.shared.with(|desk| desk.commit(self.id));
    }

    /// What the call says of the reply: how much of it was heard, and whether more of it will be.
    pub fn told(&self, told: &Told) {
        self.shared.with(|desk| desk.told(self.id, told));
    }

    /// The agent gateway has asked for the answer.
    pub fn has_arrived(&self) -> bool {
        self.shared.with(|desk| desk.has_arrived(self.id))
    }

    /// Returns when it has.
    pub async fn arrival(&self) {
        let mut bell = self.bell.clone();
        loop {
            bell.borrow_and_update();
            if self.has_arrived() {
                return;
            }
            if bell.changed().await.is_err() {
                return std::future::pending().await;
            }
        }
    }

    /// What was foretold from another session's past is spoken although the agent gateway has not agreed to it. False: there
    /// is nothing of the kind.
    pub fn trust(&self) -> bool {
        self.shared.with(|desk| desk.trust(self.id))
    }

    /// For the one who follows the agent gateway's run, which may outlast the reply.
    pub fn runner(&self) -> Runner {
        Runner {
            shared: self.shared.clone(),
            id: self.id,
        }
    }

    /// Why the model did not answer, after `Failed`.
    pub fn error(&self) -> GatewayError {
        let state = self.shared.lock();
        let error = state.errors.get(&self.id).cloned();
        error.unwrap_or(GatewayError::Cut)
    }
}

/// A question of the call, on the side of the agent gateway's run.
pub struct Runner {
    shared: Arc<Shared>,
    id: ExchangeId,
}

impl Runner {
    /// The agent gateway has finished with this question.
    pub fn run_over(&self) {
        self.shared.with(|desk| desk.run_over(self.id));
    }

    /// The agent gateway has asked for the answer.
    pub fn has_arrived(&self) -> bool {
        self.shared.with(|desk| desk.has_arrived(self.id))
    }
}

impl Drop for Reply {
    fn drop(&mut self) {
        self.shared.with(|desk| desk.dropped(self.id));
    }
}

pub(super) fn unix_s() -> i64 {
    jiff::Timestamp::now().as_second()
}

impl Shared {
    fn lock(&self) -> std::sync::MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// One thing for the desk, and all that follows from it. Never waits.
    pub(super) fn with<T>(self: &Arc<Shared>, act: impl FnOnce(&mut Desk) -> T) -> T {
        let mut state = self.lock();
        let result = act(&mut state.desk);
        self.drain(&mut state);
        result
    }

    /// Does all that the desk wants done.
    fn drain(self: &Arc<Shared>, state: &mut State) {
        while let Some(output) = state.desk.poll_output() {
            match output {
                DeskOutput::Ask {
                    exchange,
                    track,
                    body,
                } => {
                    let headers = onward(&state.headers, true);
                    let shared = self.clone();
                    let task = tokio::spawn(async move {
                        shared.ask_early(exchange, track, headers, body).await;
                    });
                    state.asks.insert((exchange, track), task.abort_handle());
                }
                DeskOutput::Cancel { exchange, track } => {
                    if let Some(task) = state.asks.remove(&(exchange, track)) {
                        task.abort();
                    }
                }
                DeskOutput::Changed(id) => {
                    if let Some(bell) = state.bells.get(&id) {
                        bell.send_replace(());
                    }
                }
                DeskOutput::Forgotten(id) => {
                    state.bells.remove(&id);
                    state.errors.remove(&id);
                    state.callers.remove(&id);
                    state.asks.retain(|(of, _), _| *of != id);
                }
            }
        }
    }

    #[cfg(test)]
    pub(super) fn base_text(&self) -> String {
        self.base.to_string()
    }

    /// Rings whenever something has changed about a question.
    pub(super) fn bell(&self, id: ExchangeId) -> watch::Receiver<()> {
        let mut state = self.lock();
        let bell = state
            .bells
            .entry(id)
            .or_insert_with(|| watch::channel(()).0);
        bell.subscribe()
    }

    /// Remembers what a chat completion of the agent gateway came with.
    pub(super) fn remember(&self, headers: &HeaderMap) {
        self.lock().headers = headers.clone();
    }

    /// What leaves for the provider is counted.
    pub(super) fn keeps_books(&self) -> bool {
        self.books.get().is_some()
    }

    /// Asks the books before a request leaves. An error keeps it here. `of` is the question that it belongs to, if it does;
    /// `is_early`: the agent gateway has not asked it yet.
    pub(super) fn page(
        &self,
        body: &[u8],
        of: Option<ExchangeId>,
        is_early: bool,
    ) -> Result<Page, GatewayError> {
        let Some(books) = self.books.get().filter(|_| !body.is_empty()) else {
            return Ok(Page::default());
        };
        let address = self.base.origin().ascii_serialization();
        let caller = of.and_then(|id| self.lock().callers.get(&id).cloned());
        // What was foretold when the turn was over is no guess.
        let is_guess = is_early && caller.as_ref().is_none_or(|caller| caller.is_guess);
        let leave = caller.map(|caller| caller.leave);
        let page = Page::open(books, address, body, leave, is_guess);
        page.map_err(|reached| GatewayError::Held(Held::Spent(reached)))
    }

    /// A request to the provider. `path` is what stands behind the base address, with its query.
    pub(super) async fn send(
        &self,
        method: Method,
        path: &str,
        headers: HeaderMap,
        body: Vec<u8>,
    ) -> Result<Response, GatewayError> {
        let mut url = self.base.clone();
        let (path, query) = path
            .split_once('?')
            .map_or((path, None), |(p, q)| (p, Some(q)));
        url.set_path(&format!("{}{path}", self.base.path()));
        url.set_query(query);
        let mut request = self.client.request(method, url).headers(headers);
        if let Some(key) = &self.key {
            request = request.header(AUTHORIZATION, key.clone());
        }
        if !body.is_empty() {
            request = request.body(body);
        }
        request
            .send()
            .await
            .map_err(|error| transport_error(&error))
    }

    async fn ask_early(
        self: Arc<Shared>,
        id: ExchangeId,
        track: usize,
        mut headers: HeaderMap,
        body: Vec<u8>,
    ) {
        headers
            .entry(CONTENT_TYPE)
            .or_insert(HeaderValue::from_static("application/json"));
        let mut page = match self.page(&body, Some(id), true) {
            Ok(page) => page,
            Err(error) => return self.fail(id, track, error),
        };
        let sent = self
            .send(Method::POST, "/chat/completions", headers, body)
            .await;
        let response = sent.and_then(|response| match is_stream(&response) {
            true => Ok(response),
            false => {
                let status = response.status().as_u16();
                let error = status_error(status, response.headers(), "");
                Err(error.unwrap_or(GatewayError::Protocol {
                    why: "it is no stream of events",
                }))
            }
        });
        match response {
            Ok(response) => self.record(id, track, response, page).await,
            Err(error) => {
                page.failed(&error);
                self.fail(id, track, error);
            }
        }
    }

    pub(super) fn fail(self: &Arc<Shared>, id: ExchangeId, track: usize, error: GatewayError) {
        self.lock().errors.insert(id, error);
        self.with(|desk| desk.end(id, track, true));
    }

    /// Records an answer in a task of its own.
    pub(super) fn record_later(
        self: &Arc<Shared>,
        id: ExchangeId,
        track: usize,
        response: Response,
        page: Page,
    ) {
        let shared = self.clone();
        let task = tokio::spawn(async move { shared.record(id, track, response, page).await });
        self.lock().asks.insert((id, track), task.abort_handle());
    }

    async fn record(
        self: &Arc<Shared>,
        id: ExchangeId,
        track: usize,
        mut response: Response,
        mut page: Page,
    ) {
        let mut frames = Frames::default();
        loop {
            let bytes = match response.chunk().await {
                Ok(Some(bytes)) => bytes,
                Ok(None) => break,
                Err(_) => {
                    page.failed(&GatewayError::Cut);
                    return self.fail(id, track, GatewayError::Cut);
                }
            };
            page.saw(&bytes);
            if frames.push(&bytes).is_err() {
                let why = "an event is too long";
                let error = GatewayError::Protocol { why };
                page.failed(&error);
                return self.fail(id, track, error);
            }
            let is_wanted = self.with(|desk| {
                let mut is_wanted = true;
                while let Some(frame) = frames.next_frame() {
                    is_wanted &= desk.push(id, track, frame);
                }
                is_wanted
            });
            if !is_wanted {
                // All of it is here, or it is longer than anybody listens.
                break;
            }
        }
        page.whole();
        self.with(|desk| {
            if let Some(frame) = frames.finish() {
                desk.push(id, track, frame);
            }
            desk.end(id, track, false);
        });
        self.lock().asks.remove(&(id, track));
    }
}

/// An answer that comes event by event.
pub(super) fn is_stream(response: &Response) -> bool {
    let kind = response.headers().get(CONTENT_TYPE);
    let kind = kind.and_then(|kind| kind.to_str().ok()).unwrap_or_default();
    response.status().is_success() && kind.trim_start().starts_with("text/event-stream")
}
