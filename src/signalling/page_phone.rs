//! The phone in the browser at the door: SIP over a WebSocket of the page's own origin (RFC 7118), let in by a ticket that
//! whoever is signed in to the page was given. So the browser needs no password, and no other page can open one: it
//! cannot read a ticket.
//!
//! Owns tickets, the upgrade, and where such a phone is taken to be. Does not own who is signed in (`web`), the frames
//! (`web_socket`), or SIP.
//!
//! Bounds: [`TICKETS_MAX`] tickets wait, each for [`TICKET_LIFE`] and once; the oldest gives way. [`ARRIVALS_MAX`] phones
//! wait at the door; further ones are refused with 503.

use std::collections::VecDeque;
use std::net::{IpAddr, SocketAddr};
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use axum::Router;
use axum::extract::{ConnectInfo, Query, Request, State};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use hyper::upgrade::Upgraded;
use hyper_util::rt::TokioIo;
use serde::{Deserialize, Serialize};
use sip::{ConnId, Flow, Transport};
use tokio::sync::mpsc;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::handshake::derive_accept_key;
use tokio_tungstenite::tungstenite::protocol::Role;
use tracing::{debug, info};

use super::connection::Connections;
use super::web_socket;
use crate::ports::source_address;
use crate::records::unix_ms;
use crate::redact::Secret;

/// Tickets that wait to be used.
pub const TICKETS_MAX: usize = 256;
/// A ticket is used at once, by a script.
pub const TICKET_LIFE: Duration = Duration::from_secs(60);
/// Phones that wait to be let in.
pub const ARRIVALS_MAX: usize = 64;
/// From the answer to the request until the socket is one.
const UPGRADE_MAX: Duration = Duration::from_secs(10);

struct Ticket {
    text: Secret,
    user: String,
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
    domain: String,
    port: u16,
}

/// A phone that has come in.
pub struct Arrival {
    socket: WebSocketStream<TokioIo<Upgraded>>,
    place: Place,
    user: String,
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
            domain,
            port,
        };
        (PageDoor(Arc::new(inner)), waiting)
    }

    /// A pass for an account whose owner is signed in.
    pub fn pass(&self, now: Instant, user: &str) -> Pass {
        let text: [u8; 24] = rand::random();
        let text: String = text.iter().map(|octet| format!("{octet:02x}")).collect();
        let mut tickets = self.tickets();
        tickets.retain(|ticket| ticket.until > now);
        if tickets.len() == TICKETS_MAX {
            tickets.pop_front();
        }
        tickets.push_back(Ticket {
            text: Secret::new(text.clone()),
            user: user.to_owned(),
            until: now + TICKET_LIFE,
        });
        Pass {
            ticket: text,
            user: user.to_owned(),
            domain: self.0.domain.clone(),
        }
    }

    /// The account of a ticket, which is used up by it.
    fn redeem(&self, now: Instant, text: &str) -> Option<String> {
        use subtle::ConstantTimeEq as _;
        let mut tickets = self.tickets();
        let is_it = |ticket: &Ticket| {
            ticket.until > now && bool::from(ticket.text.expose().as_bytes().ct_eq(text.as_bytes()))
        };
        let at = tickets.iter().position(is_it)?;
        tickets.remove(at).map(|ticket| ticket.user)
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
    let Some(user) = door.redeem(Instant::now(), &asked.ticket) else {
        return (StatusCode::FORBIDDEN, "this ticket is not good any more\n").into_response();
    };
    let Ok(permit) = door.0.arrivals.clone().try_reserve_owned() else {
        return (StatusCode::SERVICE_UNAVAILABLE, "too many phones at once\n").into_response();
    };
    let place = place_of(from, door.0.port, request.headers());
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

/// A proxy on this machine says where the browser is; nobody else is believed. Sound has to reach it there, over the
/// address of ours that leads to it.
fn place_of(from: SocketAddr, port: u16, headers: &HeaderMap) -> Place {
    let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
    let is_proxied = from.ip().to_canonical().is_loopback();
    let told: Option<IpAddr> = text("x-forwarded-for")
        .and_then(|list| list.rsplit(',').next()?.trim().parse().ok())
        .filter(|_| is_proxied);
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
    loop {
        let arrival = tokio::select! {
            arrival = arrivals.recv() => arrival,
            Some(_) = lines.join_next() => continue,
        };
        let Some(Arrival {
            socket,
            place,
            user,
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
        let all = all.clone();
        lines.spawn(async move {
            web_socket::serve(socket, flow, Some(user), &all.inbox).await;
            drop(ticket);
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_ticket_is_good_once_and_not_for_long() {
        let (door, _arrivals) = PageDoor::new("home".to_owned(), 8060);
        let now = Instant::now();
        let pass = door.pass(now, "anna");
        assert_eq!((pass.user.as_str(), pass.domain.as_str()), ("anna", "home"));
        assert_eq!(door.redeem(now, "something"), None);
        assert_eq!(door.redeem(now, ""), None);
        assert_eq!(door.redeem(now, &pass.ticket).as_deref(), Some("anna"));
        assert_eq!(door.redeem(now, &pass.ticket), None, "once");
        let late = door.pass(now, "anna");
        assert_eq!(door.redeem(now + TICKET_LIFE, &late.ticket), None, "late");
        let first = door.pass(now, "anna");
        for _ in 0..TICKETS_MAX {
            door.pass(now, "otto");
        }
        assert_eq!(door.redeem(now, &first.ticket), None, "the oldest gave way");
        assert_eq!(door.tickets().len(), TICKETS_MAX);
    }

    #[test]
    fn where_a_browser_is() {
        type Row<'a> = (&'a str, &'a [(&'static str, &'static str)], &'a str, bool);
        let forwarded = "x-forwarded-for";
        let rows: [Row<'_>; 6] = [
            ("127.0.0.1:9", &[], "127.0.0.1", false),
            (
                "127.0.0.1:9",
                &[(forwarded, "100.64.0.9")],
                "100.64.0.9",
                false,
            ),
            (
                "127.0.0.1:9",
                &[
                    (forwarded, "6.6.6.6, 100.64.0.9"),
                    ("x-forwarded-proto", "https"),
                ],
                "100.64.0.9",
                true,
            ),
            (
                "127.0.0.1:9",
                &[(forwarded, "nonsense")],
                "127.0.0.1",
                false,
            ),
            // Whoever comes from elsewhere may say what they like.
            (
                "192.0.2.9:9",
                &[(forwarded, "127.0.0.1")],
                "192.0.2.9",
                false,
            ),
            (
                "192.0.2.9:9",
                &[("x-forwarded-proto", "https")],
                "192.0.2.9",
                false,
            ),
        ];
        for (from, given, host, is_encrypted) in rows {
            let mut headers = HeaderMap::new();
            for &(name, value) in given {
                headers.insert(name, HeaderValue::from_static(value));
            }
            let place = place_of(from.parse().expect("an address"), 8060, &headers);
            assert_eq!(place.remote.ip().to_string(), host, "{given:?}");
            assert_eq!(place.is_encrypted, is_encrypted, "{given:?}");
        }
    }

    #[test]
    fn only_a_web_socket_for_sip_is_opened() {
        let full = [
            ("upgrade", "WebSocket"),
            ("sec-websocket-version", "13"),
            ("sec-websocket-protocol", "sip"),
            ("sec-websocket-key", "dGhlIHNhbXBsZSBub25jZQ=="),
        ];
        for left_out in 0..=full.len() {
            let mut headers = HeaderMap::new();
            for (at, (name, value)) in full.into_iter().enumerate() {
                if at != left_out {
                    headers.insert(name, HeaderValue::from_static(value));
                }
            }
            let key = upgrade_key(&headers);
            assert_eq!(key.is_ok(), left_out == full.len(), "without {left_out}");
            // RFC 6455 section 1.3.
            if let Ok(key) = key {
                assert_eq!(key, "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
            }
        }
    }
}
