//! SIP over WebSocket, RFC 7118: the handshake with subprotocol `sip`, one message in each frame, pings that find out who
//! is gone. Owns the frames; not TLS below them or SIP inside them.

use std::future::Future;
use std::pin::pin;
use std::time::{Duration, Instant};

use futures_util::{SinkExt as _, StreamExt as _};
use sip::Flow;
use sip::limits::MESSAGE_BYTES_MAX;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::sync::mpsc;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::handshake::server::{ErrorResponse, Request, Response};
use tokio_tungstenite::tungstenite::http::{HeaderMap, HeaderValue, StatusCode, header};
use tokio_tungstenite::tungstenite::protocol::WebSocketConfig;
use tokio_tungstenite::tungstenite::{Bytes, Message};

use super::Inbound;
use super::connection::{STREAM_OUTBOX_MAX, WRITE_MAX};

pub(super) type Socket<S> = WebSocketStream<S>;

/// RFC 7118 §3.
pub(super) const SUBPROTOCOL: &str = "sip";
/// The first octet of a TLS handshake record, RFC 8446 §5.1; no HTTP request starts with it.
const TLS_HANDSHAKE: u8 = 22;
/// Proxies and NATs forget a silent connection after a minute or more.
const PING_EVERY: Duration = Duration::from_secs(45);
/// Two pings and the time for an answer.
const SILENCE_MAX: Duration = Duration::from_secs(120);

/// Whether the peer starts with TLS; both kinds share the port.
pub(super) async fn wants_tls(stream: &TcpStream) -> Result<bool, String> {
    let mut first = [0];
    match stream.peek(&mut first).await {
        Ok(1) => Ok(first[0] == TLS_HANDSHAKE),
        Ok(_) => Err("closed at once".to_owned()),
        Err(error) => Err(error.to_string()),
    }
}

/// The server's side of the handshake.
pub(super) async fn accept<S>(stream: S, origins: &[String]) -> Result<Socket<S>, String>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    #[allow(
        clippy::result_large_err,
        reason = "the callback's type is the library's"
    )]
    let check =
        |request: &Request, mut response: Response| match refusal(request.headers(), origins) {
            Some((status, why)) => {
                let mut refused = ErrorResponse::new(Some(format!("{why}\n")));
                *refused.status_mut() = status;
                Err(refused)
            }
            None => {
                let chosen = HeaderValue::from_static(SUBPROTOCOL);
                response
                    .headers_mut()
                    .insert(header::SEC_WEBSOCKET_PROTOCOL, chosen);
                Ok(response)
            }
        };
    tokio_tungstenite::accept_hdr_async_with_config(stream, check, Some(limits()))
        .await
        .map_err(|error| format!("WebSocket: {error}"))
}

/// What one frame and what waits to be written may hold.
pub(super) fn limits() -> WebSocketConfig {
    WebSocketConfig::default()
        .max_message_size(Some(MESSAGE_BYTES_MAX))
        .max_frame_size(Some(MESSAGE_BYTES_MAX))
        .max_write_buffer_size(8 * MESSAGE_BYTES_MAX)
        .write_buffer_size(0)
}

/// Why a handshake is refused.
fn refusal(headers: &HeaderMap, origins: &[String]) -> Option<(StatusCode, &'static str)> {
    let offered = headers.get_all(header::SEC_WEBSOCKET_PROTOCOL);
    let speaks_sip = offered
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|list| list.split(','))
        .any(|name| name.trim().eq_ignore_ascii_case(SUBPROTOCOL));
    if !speaks_sip {
        return Some((StatusCode::BAD_REQUEST, "ask for the subprotocol sip"));
    }
    // Only browsers send an Origin, and only pages are to be kept out: a program could send any.
    let origin = headers.get(header::ORIGIN).map(|value| value.to_str());
    let is_welcome = match origin {
        None => true,
        Some(Ok(origin)) => {
            origins.is_empty()
                || origins
                    .iter()
                    .any(|known| known.eq_ignore_ascii_case(origin))
        }
        Some(Err(_)) => origins.is_empty(),
    };
    (!is_welcome).then_some((StatusCode::FORBIDDEN, "not from this page"))
}

/// Why a WebSocket has ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum End {
    /// `over` is done.
    Over,
    /// By anything else.
    Broken,
}

/// One WebSocket, until either side has enough or `over` is done. `user`: the account it is of, where that was proven
/// before.
pub(super) async fn serve<S>(
    socket: Socket<S>,
    flow: Flow,
    user: Option<String>,
    over: impl Future<Output = ()>,
    inbox: &mpsc::Sender<Inbound>,
) -> End
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let Some(conn) = flow.conn else {
        return End::Broken;
    };
    let (mut writer, mut reader) = socket.split();
    let (outbox, mut outgoing) = mpsc::channel::<Vec<u8>>(STREAM_OUTBOX_MAX);
    let opened = Inbound::Opened { flow, outbox, user };
    if inbox.send(opened).await.is_err() {
        return End::Broken;
    }
    let mut heard_at = Instant::now();
    let mut over = pin!(over);
    let mut is_over = false;
    let mut pings = tokio::time::interval(PING_EVERY);
    pings.tick().await;
    loop {
        let frame = tokio::select! {
            frame = reader.next() => match frame {
                Some(Ok(frame)) => {
                    heard_at = Instant::now();
                    let data = match frame {
                        Message::Text(text) => text.as_bytes().to_vec(),
                        Message::Binary(data) => data.to_vec(),
                        // Pings are answered by the library, with the next read.
                        Message::Ping(_) | Message::Pong(_) | Message::Frame(_) => continue,
                        Message::Close(_) => break,
                    };
                    if inbox.send(Inbound::Chunk { conn, data }).await.is_err() {
                        break;
                    }
                    continue;
                }
                Some(Err(_)) | None => break,
            },
            // What is to be said first is said; then the outbox is dropped.
            () = &mut over, if !is_over => {
                is_over = true;
                if inbox.send(Inbound::SignedOut { conn }).await.is_err() {
                    break;
                }
                continue;
            }
            data = outgoing.recv() => match data {
                Some(data) => message(data),
                None => break,
            },
            _ = pings.tick() => {
                if heard_at.elapsed() > SILENCE_MAX {
                    break;
                }
                Message::Ping(Bytes::new())
            }
        };
        match tokio::time::timeout(WRITE_MAX, writer.send(frame)).await {
            Ok(Ok(())) => {}
            Ok(Err(_)) | Err(_) => break,
        }
    }
    let _ = tokio::time::timeout(WRITE_MAX, writer.close()).await;
    let _ = inbox.send(Inbound::Closed { conn }).await;
    match is_over {
        true => End::Over,
        false => End::Broken,
    }
}

/// RFC 7118 §5: either kind of frame will do, but scripts in browsers expect text.
fn message(data: Vec<u8>) -> Message {
    match String::from_utf8(data) {
        Ok(text) => Message::text(text),
        Err(error) => Message::binary(error.into_bytes()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_may_open_one() {
        type Row<'a> = (&'a [&'a str], Option<&'a str>, &'a [&'a str], Option<u16>);
        let rows: [Row; 8] = [
            (&["sip"], None, &[], None),
            (&["chat, SIP"], None, &[], None),
            (&["chat", "sip"], Some("https://a.example"), &[], None),
            (&[], None, &[], Some(400)),
            (&["sips"], None, &[], Some(400)),
            (
                &["sip"],
                Some("https://A.example"),
                &["https://a.example"],
                None,
            ),
            (
                &["sip"],
                Some("https://b.example"),
                &["https://a.example"],
                Some(403),
            ),
            (&["sip"], None, &["https://a.example"], None),
        ];
        for (protocols, origin, origins, expected) in rows {
            let mut headers = HeaderMap::new();
            for protocol in protocols {
                let value = HeaderValue::from_str(protocol).expect("a value");
                headers.append(header::SEC_WEBSOCKET_PROTOCOL, value);
            }
            if let Some(origin) = origin {
                let value = HeaderValue::from_str(origin).expect("a value");
                headers.insert(header::ORIGIN, value);
            }
            let origins: Vec<String> = origins.iter().map(|text| (*text).to_owned()).collect();
            let status = refusal(&headers, &origins).map(|(status, _)| status.as_u16());
            assert_eq!(status, expected, "{protocols:?} {origin:?}");
        }
    }
}
