//! The page: what a browser on a phone or a desk gets from us, and the routes that only it uses. Chat, calls, phones and
//! approvals are read from and handed to those who own them; owned here are who is signed in (`login`), what may be
//! believed of a request (`access`), the files of the page (`assets`) and the stream of what happens (`live`).
//!
//! Every route behind the door knows its visitor: by cookie, by the word of a trusted proxy, or by the API token.

pub mod access;
mod approvals;
mod assets;
mod calls;
mod chat;
mod connect;
mod house;
mod live;
mod login;
mod phone;
pub mod sessions;

use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex};
use std::time::Instant;

use agent_bridge::levels::Level;
use axum::Router;
use axum::extract::{ConnectInfo, DefaultBodyLimit, Request, State};
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use sip::Transport;
use tokio::sync::{Semaphore, mpsc, watch};

use crate::agents::Agents;
use crate::api::Problem;
use crate::approvals::Approvals;
use crate::config::Config;
use crate::console::is_authorised;
use crate::engines::EngineState;
use crate::home::Home;
use crate::hub::Hub;
use crate::records::{Recorder, unix_ms};
use crate::redact::Secret;
use crate::signalling::page_phone::PageDoor;
use crate::store::StoreError;
use crate::switchboard::Command;

/// Cookies that are looked up at once; further ones wait. The store's queue is for what calls leave, too.
const LOOKUPS_MAX: usize = 64;
/// The largest request but for sound.
const BODY_BYTES_MAX: usize = 32 * 1024;
/// No script, style, picture or connection but our own; nobody may show us in a frame. `blob:` is the sound that was just
/// recorded.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; \
     media-src 'self' blob:; connect-src 'self'; manifest-src 'self'; worker-src 'self'; base-uri 'none'; \
     form-action 'none'; frame-ancestors 'none'";

pub use crate::approvals::owner_among;
pub use live::watch_house;
pub use login::{LinkError, make_link};

/// What the page works with.
pub struct PageParts {
    pub config: Arc<Config>,
    pub home: Home,
    pub api_token: Secret,
    /// The accounts there are now, the oldest first.
    pub accounts: watch::Receiver<Vec<String>>,
    pub sip: Vec<(Transport, SocketAddr)>,
    /// Where the page itself is served.
    pub web: Vec<SocketAddr>,
    pub commands: mpsc::Sender<Command>,
    pub recorder: Recorder,
    pub engines: watch::Receiver<EngineState>,
    pub agents: Agents,
    pub approvals: Approvals,
    pub hub: Hub,
    /// Where the page's phones come in.
    pub phones: PageDoor,
}

/// Clones share it.
#[derive(Clone)]
pub struct Page(Arc<Inner>);

struct Inner {
    parts: PageParts,
    tries: Mutex<sessions::Tries>,
    invitations: Mutex<connect::Invitations>,
    house: watch::Sender<live::Changes>,
    places: Arc<live::Places>,
    lookups: Semaphore,
    started: Instant,
}

/// Who asks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Visitor {
    /// The account.
    pub person: String,
    pub level: Level,
    pub way: Way,
}

/// How we know.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Way {
    /// A cookie; the hash of it.
    Cookie(String),
    /// A reverse proxy says so.
    Proxy,
    /// The API token: a program of the owner's.
    Token,
}

impl Visitor {
    pub fn is_owner(&self) -> bool {
        self.level == Level::Owner
    }
}

impl Page {
    pub fn new(parts: PageParts) -> Page {
        Page(Arc::new(Inner {
            parts,
            tries: Mutex::default(),
            invitations: Mutex::default(),
            house: watch::Sender::default(),
            places: Arc::default(),
            lookups: Semaphore::new(LOOKUPS_MAX),
            started: Instant::now(),
        }))
    }

    fn parts(&self) -> &PageParts {
        &self.0.parts
    }

    /// The account that the owner's own links and token stand for.
    fn owner(&self) -> Option<String> {
        let parts = self.parts();
        owner_among(&parts.config, &parts.accounts.borrow())
    }

    /// An account as a visitor; none where it is no account any more.
    fn known(&self, person: String, way: Way) -> Option<Visitor> {
        if !self.parts().accounts.borrow().contains(&person) {
            return None;
        }
        let level = match self.owner().as_ref() == Some(&person) {
            true => Level::Owner,
            false => self.parts().approvals.level(&person),
        };
        Some(Visitor { person, level, way })
    }

    /// Who has sent these headers from this address. Not yet asked: whether our own page has (`access`).
    /// Nobody, where that cannot be told just now.
    pub async fn visitor(&self, headers: &HeaderMap, from: IpAddr) -> Option<Visitor> {
        self.recognise(headers, from).await.ok().flatten()
    }

    /// As [`Page::visitor`]; an error where the store does not answer.
    async fn recognise(
        &self,
        headers: &HeaderMap,
        from: IpAddr,
    ) -> Result<Option<Visitor>, StoreError> {
        let parts = self.parts();
        if is_authorised(headers, &parts.api_token) {
            let owner = self.owner();
            return Ok(owner.and_then(|owner| self.known(owner, Way::Token)));
        }
        let web = &parts.config.web;
        if access::is_our_host(web, headers) {
            let accounts = parts.accounts.borrow().clone();
            if let Some(person) = access::forwarded(&web.forward_auth, headers, from, &accounts) {
                return Ok(self.known(person, Way::Proxy));
            }
        }
        let cookies = headers.get_all(header::COOKIE).into_iter();
        let mut cookies = cookies.filter_map(|cookie| cookie.to_str().ok());
        let token = cookies.find_map(|cookie| sessions::token_in(cookie, web.port));
        let Some(token) = token else {
            return Ok(None);
        };
        let hash = sessions::hash(token);
        let now = unix_ms();
        let wanted = hash.clone();
        // Never closed.
        let _place = self.0.lookups.acquire().await;
        let found = parts.recorder.ask(move |store| {
            let since = now.saturating_sub(sessions::UNUSED_MS_MAX);
            let found = store.web_session(&wanted, since)?;
            if let Some(row) = &found
                && row.seen_unix_ms + sessions::SEEN_EVERY_MS < now
            {
                store.web_session_seen(&wanted, now)?;
            }
            Ok(found)
        });
        match found.await {
            Ok(row) => Ok(row.and_then(|row| self.known(row.person, Way::Cookie(hash)))),
            Err(error) => {
                tracing::error!(%error, "nobody can be recognised");
                Err(error)
            }
        }
    }
}

/// The page and its routes.
pub fn routes<S: Clone + Send + Sync + 'static>(page: Page) -> Router<S> {
    let inside = Router::new()
        .merge(house::routes())
        .merge(chat::routes())
        .merge(calls::routes())
        .merge(approvals::routes())
        .merge(connect::routes())
        .merge(login::routes_inside())
        .merge(phone::routes())
        .route("/api/web/events", get(live::events))
        .layer(DefaultBodyLimit::max(BODY_BYTES_MAX))
        .route_layer(middleware::from_fn_with_state(page.clone(), door));
    Router::new()
        .merge(inside)
        .route(
            "/api/web/login",
            post(login::sign_in).layer(DefaultBodyLimit::max(1024)),
        )
        .merge(connect::routes_outside())
        .merge(assets::routes())
        .layer(middleware::map_response(page_headers))
        .with_state(page)
}

/// Lets in who is known, and changes only from our own page.
async fn door(
    State(page): State<Page>,
    ConnectInfo(from): ConnectInfo<SocketAddr>,
    mut request: Request,
    next: Next,
) -> Response {
    let headers = request.headers();
    let Some(visitor) = page.visitor(headers, from.ip()).await else {
        return Problem::new(
            StatusCode::UNAUTHORIZED,
            "Nobody is signed in. `offhook login` prints a link that signs this browser in.",
        )
        .into_response();
    };
    let is_look = matches!(*request.method(), Method::GET | Method::HEAD);
    let web = &page.parts().config.web;
    let is_ours = match (&visitor.way, is_look) {
        // A token does not come along by itself.
        (Way::Token, _) => true,
        (_, true) => !access::is_of_another_site(headers),
        (_, false) => access::is_of_our_page(web, headers),
    };
    if !is_ours {
        return Problem::new(
            StatusCode::FORBIDDEN,
            "This request does not come from our own page.",
        )
        .into_response();
    }
    request.extensions_mut().insert(visitor);
    next.run(request).await
}

async fn page_headers(mut response: Response) -> Response {
    let headers = response.headers_mut();
    for (name, value) in [
        (header::CONTENT_SECURITY_POLICY, POLICY),
        (header::X_FRAME_OPTIONS, "DENY"),
        (
            header::HeaderName::from_static("permissions-policy"),
            "microphone=(self), camera=(), geolocation=(), payment=(), usb=()",
        ),
        (
            header::HeaderName::from_static("cross-origin-opener-policy"),
            "same-origin",
        ),
        (
            header::HeaderName::from_static("cross-origin-resource-policy"),
            "same-origin",
        ),
    ] {
        headers
            .entry(name)
            .or_insert(HeaderValue::from_static(value));
    }
    response
}

/// Only whoever runs the house.
fn owner_only(visitor: &Visitor) -> Result<(), Problem> {
    match visitor.is_owner() {
        true => Ok(()),
        false => Err(Problem::new(
            StatusCode::FORBIDDEN,
            "Only the owner may see or change this.",
        )),
    }
}
