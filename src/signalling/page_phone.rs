//! The phone in the browser at the door: SIP over a WebSocket of the page's own origin (RFC 7118), let in by a ticket that
//! whoever is signed in to the page was given. So the browser needs no password, and no other page can open one: it
//! cannot read a ticket.
//!
//! Owns tickets, the upgrade, where such a phone is taken to be, and letting go of it when whoever opened it is signed out.
//! Does not own who is signed in (`web`), the frames (`web_socket`), or SIP.
//!
//! Bounds: [`TICKETS_MAX`] tickets wait, [`TICKETS_PER_USER_MAX`] of one account, each for [`TICKET_LIFE`] and once; the
//! oldest gives way. [`ARRIVALS_MAX`] phones wait at the door; further ones are refused with 503. Lines that broke are
//! remembered for [`BROKEN_LIFE`], [`BROKEN_MAX`] of them; of further ones the calls end in their own time.

use std::collections::VecDeque;
use std::net::{IpAddr, SocketAddr};
use std::pin::pin;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use axum::Router;
use axum::extract::{ConnectInfo, Query, Request, State};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use futures_util::future::BoxFuture;
use hyper::upgrade::Upgraded;
use hyper_util::rt::TokioIo;
use serde::{Deserialize, Serialize};
use sip::{ConnId, Flow, Transport};
use tokio::sync::{Semaphore, mpsc, watch};
use tokio::time::interval;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::handshake::derive_accept_key;
use tokio_tungstenite::tungstenite::protocol::Role;
use tracing::{debug, info};

use super::Inbound;
use super::connection::Connections;
use super::web_socket::{self, End};
use crate::ports::source_address;
use crate::records::unix_ms;
use crate::redact::Secret;

/// Tickets that wait to be used.
pub const TICKETS_MAX: usize = 256;
/// Of one account: a page asks for one at a time.
pub const TICKETS_PER_USER_MAX: usize = 4;
/// A ticket is used at once, by a script.
pub const TICKET_LIFE: Duration = Duration::from_secs(60);
/// Phones that wait to be let in.
pub const ARRIVALS_MAX: usize = 64;
/// How often it is asked whether whoever opened a line is still signed in.
pub const ASK_AGAIN: Duration = Duration::from_secs(60);
/// So long after a line broke its calls end when whoever opened it is signed out: their sound has a way of its own. Later
/// they are on another line, or given up (`sip::Endpoint` asks after quiet ones).
pub const BROKEN_LIFE: Duration = Duration::from_secs(600);
/// Lines that broke and are remembered at once.
pub const BROKEN_MAX: usize = 256;
/// From the answer to the request until the socket is one.
const UPGRADE_MAX: Duration = Duration::from_secs(10);

/// What is known of whoever was given a ticket.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Standing {
    SignedIn,
    SignedOut,
    /// It cannot be told just now.
    Unknown,
}

/// Says whether whoever was given a ticket is still signed in.
pub type Still = Arc<dyn Fn() -> BoxFuture<'static, Standing> + Send + Sync>;

struct Ticket {
    text: Secret,
    user: String,
    still: Still,
    until: Instant,
}

/// What a browser needs to open its line.
#[derive(Debug, Serialize)]
pub struct Pass {
    /// For `/sip?ticket=…`, once.
    pub ticket: String,
    /// The account it is.
    pub user: String,
    /// The host of its SIP address.
    pub domain: String,
}

/// Where passes are given out and phones come in; clones share it.
#[derive(Clone)]
pub struct PageDoor(Arc<Inner>);

struct Inner {
    tickets: Mutex<VecDeque<Ticket>>,
    arrivals: mpsc::Sender<Arrival>,
    /// Changes when somebody was signed out.
    signed_out: watch::Sender<()>,
    domain: String,
    port: u16,
}

/// A phone that has come in.
pub struct Arrival {
    socket: WebSocketStream<TokioIo<Upgraded>>,
    place: Place,
    user: String,
    stay: Stay,
}

/// How long a line may stay.
struct Stay {
    still: Still,
    signed_out: watch::Receiver<()>,
}

impl Stay {
    /// Returns when whoever opened the line is not signed in any more; looks whenever somebody was signed out, and so often.
    async fn over(mut self, every: Duration) {
        // At once, too: a ticket may be older than the end of its sign-in.
        let mut again = interval(every);
        loop {
            tokio::select! {
                _ = again.tick() => {}
                changed = self.signed_out.changed() => if changed.is_err() {
                    return;
                },
            }
            match (self.still)().await {
                Standing::SignedOut => return,
                // A store that is busy hangs up on nobody: it is asked again.
                Standing::SignedIn | Standing::Unknown => {}
            }
        }
    }
}

/// Phones that come in by the page, for the signalling task.
pub type Arrivals = mpsc::Receiver<Arrival>;

/// Where a browser is, and which address of ours it reaches.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Place {
    local: SocketAddr,
    remote: SocketAddr,
    is_encrypted: bool,
}

impl PageDoor {
    /// `domain`: the host of our accounts' SIP addresses; `port`: the page's own.
    pub fn new(domain: String, port: u16) -> (PageDoor, Arrivals) {
        let (arrivals, waiting) = mpsc::channel(ARRIVALS_MAX);
        let inner = Inner {
            tickets: Mutex::default(),
            arrivals,
            signed_out: watch::Sender::default(),
            domain,
            port,
        };
        (PageDoor(Arc::new(inner)), waiting)
    }

    /// Somebody was signed out: every line asks now whether it may stay.
    pub fn signed_out(&self) {
        self.0.signed_out.send_replace(());
    }

    /// Changes when somebody was signed out.
    pub fn watch_signed_out(&self) -> watch::Receiver<()> {
        self.0.signed_out.subscribe()
    }

    /// A pass for an account. The line that is opened with it stays while `still` says so.
    pub fn pass(&self, now: Instant, user: &str, still: Still) -> Pass {
        let text: [u8; 24] = rand::random();
        let text: String = text.iter().map(|octet| format!("{octet:02x}")).collect();
        let mut tickets = self.tickets();
        tickets.retain(|ticket| ticket.until > now);
        let of_user = tickets.iter().filter(|ticket| ticket.user == user).count();
        let oldest = match of_user < TICKETS_PER_USER_MAX {
            true => (tickets.len() == TICKETS_MAX).then_some(0),
            false => tickets.iter().position(|ticket| ticket.user == user),
        };
        if let Some(oldest) = oldest {
            tickets.remove(oldest);
        }
        tickets.push_back(Ticket {
            text: Secret::new(text.clone()),
            user: user.to_owned(),
            still,
            until: now + TICKET_LIFE,
        });
        Pass {
            ticket: text,
            user: user.to_owned(),
            domain: self.0.domain.clone(),
        }
    }

    /// Whose a ticket is, which is used up by it.
    fn redeem(&self, now: Instant, text: &str) -> Option<(String, Still)> {
        use subtle::ConstantTimeEq as _;
        let mut tickets = self.tickets();
        let is_it = |ticket: &Ticket| {
            ticket.until > now && bool::from(ticket.text.expose().as_bytes().ct_eq(text.as_bytes()))
        };
        let at = tickets.iter().position(is_it)?;
        tickets.remove(at).map(|ticket| (ticket.user, ticket.still))
    }

    fn tickets(&self) -> std::sync::MutexGuard<'_, VecDeque<Ticket>> {
        // Nothing in here is left half-done by a panic.
        self.0
            .tickets
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}

/// `GET /sip`: the WebSocket itself. Needs no other guard than its ticket.
pub fn routes<S: Clone + Send + Sync + 'static>(door: PageDoor) -> Router<S> {
    Router::new().route("/sip", get(open)).with_state(door)
}

#[derive(Deserialize)]
struct Asked {
    ticket: String,
}

async fn open(
    State(door): State<PageDoor>,
    ConnectInfo(from): ConnectInfo<SocketAddr>,
    Query(asked): Query<Asked>,
    mut request: Request,
) -> Response {
    let key = match upgrade_key(request.headers()) {
        Ok(key) => key,
        Err(refusal) => return refusal.into_response(),
    };
    let Some((user, still)) = door.redeem(Instant::now(), &asked.ticket) else {
        return (StatusCode::FORBIDDEN, "this ticket is not good any more\n").into_response();
    };
    let Ok(permit) = door.0.arrivals.clone().try_reserve_owned() else {
        return (StatusCode::SERVICE_UNAVAILABLE, "too many phones at once\n").into_response();
    };
    let place = place_of(from, door.0.port, request.headers());
    let signed_out = door.watch_signed_out();
    let stay = Stay { still, signed_out };
    let upgraded = hyper::upgrade::on(&mut request);
    tokio::spawn(async move {
        match tokio::time::timeout(UPGRADE_MAX, upgraded).await {
            Ok(Ok(upgraded)) => {
                let stream = TokioIo::new(upgraded);
                let limits = Some(web_socket::limits());
                let socket = WebSocketStream::from_raw_socket(stream, Role::Server, limits).await;
                permit.send(Arrival {
                    socket,
                    place,
                    user,
                    stay,
                });
            }
            Ok(Err(error)) => debug!(%error, "the phone of a page did not come in"),
            Err(_) => debug!("the phone of a page did not come in: it took too long"),
        }
    });
    let mut response = StatusCode::SWITCHING_PROTOCOLS.into_response();
    let headers = response.headers_mut();
    headers.insert(header::CONNECTION, HeaderValue::from_static("upgrade"));
    headers.insert(header::UPGRADE, HeaderValue::from_static("websocket"));
    headers.insert(header::SEC_WEBSOCKET_ACCEPT, key);
    let protocol = HeaderValue::from_static(web_socket::SUBPROTOCOL);
    headers.insert(header::SEC_WEBSOCKET_PROTOCOL, protocol);
    response
}

/// RFC 6455 section 4.2.1, RFC 7118 section 3: what the answer's key is, or why there is none.
fn upgrade_key(headers: &HeaderMap) -> Result<HeaderValue, (StatusCode, &'static str)> {
    let has = |name: header::HeaderName, wanted: &str| {
        headers
            .get_all(name)
            .iter()
            .filter_map(|value| value.to_str().ok())
            .flat_map(|list| list.split(','))
            .any(|one| one.trim().eq_ignore_ascii_case(wanted))
    };
    if !has(header::UPGRADE, "websocket") || !has(header::SEC_WEBSOCKET_VERSION, "13") {
        return Err((StatusCode::UPGRADE_REQUIRED, "this is a WebSocket\n"));
    }
    if !has(header::SEC_WEBSOCKET_PROTOCOL, web_socket::SUBPROTOCOL) {
        return Err((StatusCode::BAD_REQUEST, "ask for the subprotocol sip\n"));
    }
    headers
        .get(header::SEC_WEBSOCKET_KEY)
        .map(|key| derive_accept_key(key.as_bytes()))
        .and_then(|key| HeaderValue::from_str(&key).ok())
        .ok_or((StatusCode::BAD_REQUEST, "a key is missing\n"))
}

/// Where the last proxy says that a request came from: the last entry of the last `X-Forwarded-For`. What stands before it
/// may be whatever the other end has sent.
pub fn forwarded_for(headers: &HeaderMap) -> Option<IpAddr> {
    let last = headers.get_all("x-forwarded-for").iter().next_back()?;
    let entry = last.to_str().ok()?.rsplit(',').next()?.trim();
    let with_port = || entry.parse::<SocketAddr>().map(|address| address.ip());
    let bare = entry.trim_matches(['[', ']']).parse::<IpAddr>();
    let address = bare.or_else(|_| with_port()).ok()?;
    Some(address.to_canonical())
}

/// A proxy on this machine says where the browser is; nobody else is believed. Sound has to reach it there, over the
/// address of ours that leads to it.
fn place_of(from: SocketAddr, port: u16, headers: &HeaderMap) -> Place {
    let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
    let is_proxied = from.ip().to_canonical().is_loopback();
    let told = forwarded_for(headers).filter(|_| is_proxied);
    let remote = SocketAddr::new(told.unwrap_or(from.ip()).to_canonical(), from.port());
    let any: IpAddr = match remote.is_ipv4() {
        true => std::net::Ipv4Addr::UNSPECIFIED.into(),
        false => std::net::Ipv6Addr::UNSPECIFIED.into(),
    };
    let local = SocketAddr::new(source_address(any, remote), port);
    let is_encrypted = is_proxied && text("x-forwarded-proto") == Some("https");
    Place {
        local,
        remote,
        is_encrypted,
    }
}

/// Serves phones as they come in, until the door is gone.
pub(super) async fn welcome(mut arrivals: Arrivals, all: Arc<Connections>) {
    let mut lines = tokio::task::JoinSet::new();
    let broken = Arc::new(Semaphore::new(BROKEN_MAX));
    loop {
        let arrival = tokio::select! {
            arrival = arrivals.recv() => arrival,
            Some(_) = lines.join_next() => continue,
        };
        let Some(Arrival {
            socket,
            place,
            user,
            stay,
        }) = arrival
        else {
            return;
        };
        let host = place.remote.ip();
        if all.barred.holds(unix_ms(), host) {
            debug!(%host, "phone of a page refused: its address is banned");
            continue;
        }
        let Ok(ticket) = all.limits.enter(host) else {
            info!(%host, "phone of a page refused: too many connections");
            continue;
        };
        let conn = ConnId(all.next.fetch_add(1, Ordering::Relaxed));
        let transport = match place.is_encrypted {
            true => Transport::Wss,
            false => Transport::Ws,
        };
        let flow = Flow::stream(transport, place.local, place.remote, conn);
        let (all, broken) = (all.clone(), broken.clone());
        lines.spawn(async move {
            let mut over = pin!(stay.over(ASK_AGAIN));
            let end = web_socket::serve(socket, flow, Some(user), over.as_mut(), &all.inbox).await;
            drop(ticket);
            if end == End::Broken {
                watch_broken(conn, over, &all.inbox, &broken).await;
            }
        });
    }
}

/// Calls may go on behind a line that broke: they end with the right to it.
async fn watch_broken(
    conn: ConnId,
    over: impl Future<Output = ()>,
    inbox: &mpsc::Sender<Inbound>,
    places: &Semaphore,
) {
    let Ok(_place) = places.try_acquire() else {
        debug!("a line that broke is not remembered: too many are");
        return;
    };
    if tokio::time::timeout(BROKEN_LIFE, over).await.is_ok() {
        let _ = inbox.send(Inbound::SignedOut { conn }).await;
    }
}

#[cfg(test)]
#[path = "page_phone_tests.rs"]
mod tests;
