//! What the agent gateway talks to: `/v1/chat/completions`, `/v1/models` and whatever else stands below `/v1` at the
//! provider. Owns the token, the limits and the way of the bytes; who gets what is the desk's to say.
//!
//! A client that goes away takes its request to the provider with it.

use std::convert::Infallible;
use std::io;
use std::sync::Arc;

use axum::Router;
use axum::body::{Body, Bytes, to_bytes};
use axum::extract::{Request as HttpRequest, State};
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::serve::ListenerExt as _;
use futures_util::{StreamExt as _, stream};
use serde_json::json;
use subtle::ConstantTimeEq as _;
use tokio::net::TcpListener;
use tokio::sync::{OwnedSemaphorePermit, watch};

use super::desk::{ExchangeId, Verdict};
use super::headers::{end_to_end, onward};
use super::pacing::{Pacing, small_answer};
use super::page::Page;
use super::recording::Ending;
use super::request::Request;
use super::shell::{Proxy, Shared, is_stream, unix_s};
use crate::gateways::GatewayError;
use crate::gateways::openai::exchange::status_error;

impl Proxy {
    /// The routes, for whoever has a listener.
    pub fn routes(&self) -> Router {
        Router::new()
            .route("/v1/chat/completions", post(completions))
            .route("/v1/{*path}", get(other).post(other))
            .with_state(self.shared.clone())
    }

    /// Serves a listener until the task is dropped.
    pub async fn serve(&self, listener: TcpListener) -> io::Result<()> {
        // Small pieces, each of which is waited for.
        let listener = listener.tap_io(|stream| {
            let _ = stream.set_nodelay(true);
        });
        axum::serve(listener, self.routes()).await
    }
}

/// An error in the shape that clients of this interface read.
fn refused(status: StatusCode, code: &str, message: &str) -> Response {
    let error = json!({ "error": { "message": message, "type": "offhook_error", "code": code } });
    let mut response = (status, error.to_string()).into_response();
    let json = HeaderValue::from_static("application/json");
    response.headers_mut().insert(header::CONTENT_TYPE, json);
    response
}

/// RFC 6750 section 2.1; compared in constant time.
fn is_authorised(headers: &HeaderMap, token: &str) -> bool {
    headers
        .get(header::AUTHORIZATION)
        .and_then(|value| value.to_str().ok())
        .and_then(|value| value.split_once(' '))
        .filter(|(scheme, _)| scheme.eq_ignore_ascii_case("bearer"))
        .is_some_and(|(_, given)| given.trim().as_bytes().ct_eq(token.as_bytes()).into())
}

struct Admitted {
    method: Method,
    /// Behind `/v1`, with the query.
    path: String,
    headers: HeaderMap,
    body: Vec<u8>,
    permit: OwnedSemaphorePermit,
}

async fn admit(shared: &Arc<Shared>, request: HttpRequest) -> Result<Admitted, Box<Response>> {
    let (parts, body) = request.into_parts();
    if !is_authorised(&parts.headers, shared.config.token.expose().trim()) {
        let mut response = refused(
            StatusCode::UNAUTHORIZED,
            "unauthorized",
            "the bearer token is not the one of [proxy]",
        );
        let challenge = HeaderValue::from_static("Bearer realm=\"offhook\"");
        response
            .headers_mut()
            .insert(header::WWW_AUTHENTICATE, challenge);
        return Err(Box::new(response));
    }
    let path = parts.uri.path_and_query().map_or("", |path| path.as_str());
    let path = path.strip_prefix("/v1").unwrap_or(path).to_owned();
    // Nothing beside the provider's base address is reached with its key.
    let lower = path.to_ascii_lowercase().replace("%2e", ".");
    let steps = lower.split('?').next().unwrap_or_default();
    if steps
        .split(['/', '\\'])
        .any(|step| step == "." || step == "..")
        || steps.contains("%2f")
    {
        let why = "there is nothing there";
        return Err(Box::new(refused(StatusCode::NOT_FOUND, "not_found", why)));
    }
    let Ok(permit) = shared.permits.clone().try_acquire_owned() else {
        return Err(Box::new(refused(
            StatusCode::SERVICE_UNAVAILABLE,
            "busy",
            "too many requests at the same time",
        )));
    };
    let Ok(body) = to_bytes(body, shared.config.body_bytes_max).await else {
        return Err(Box::new(refused(
            StatusCode::PAYLOAD_TOO_LARGE,
            "too_large",
            "the request is too long, or broke off",
        )));
    };
    Ok(Admitted {
        method: parts.method,
        path,
        headers: parts.headers,
        body: body.into(),
        permit,
    })
}

async fn other(State(shared): State<Arc<Shared>>, request: HttpRequest) -> Response {
    match admit(&shared, request).await {
        Ok(admitted) => pass(&shared, None, admitted).await,
        Err(response) => *response,
    }
}

async fn completions(State(shared): State<Arc<Shared>>, request: HttpRequest) -> Response {
    let admitted = match admit(&shared, request).await {
        Ok(admitted) => admitted,
        Err(response) => return *response,
    };
    let request = Request::parse(admitted.body.clone());
    if request.as_ref().is_some_and(|r| r.origin().is_some()) {
        shared.remember(&admitted.headers);
    }
    let verdict = shared.with(|desk| desk.arrive(unix_s(), request.as_ref()));
    match verdict {
        Verdict::Pass => pass(&shared, None, admitted).await,
        Verdict::WarmUp => {
            let body = small_answer("ok", "offhook");
            events(Body::from(body))
        }
        Verdict::Replay(id, track) => replay(&shared, id, track, admitted).await,
        Verdict::Record(id, track) => record(&shared, id, track, admitted).await,
    }
}

/// To the provider and back, as it is. `of` is the question that it belongs to, if it does.
async fn pass(shared: &Arc<Shared>, of: Option<ExchangeId>, admitted: Admitted) -> Response {
    // The tokens of an answer are read where they are counted.
    let headers = onward(&admitted.headers, shared.keeps_books());
    let mut page = match shared.page(&admitted.body, of, false) {
        Ok(page) => page,
        Err(error) => return limited(&error),
    };
    let sent = shared
        .send(admitted.method, &admitted.path, headers, admitted.body)
        .await;
    match sent {
        Ok(response) => passed(response, admitted.permit, page),
        Err(error) => {
            page.failed(&error);
            unreachable(&error)
        }
    }
}

fn passed(response: reqwest::Response, permit: OwnedSemaphorePermit, mut page: Page) -> Response {
    let status = response.status();
    if let Some(error) = status_error(status.as_u16(), response.headers(), "") {
        page.failed(&error);
    }
    let headers = end_to_end(response.headers());
    let passing = (response.bytes_stream(), page, permit);
    let body = stream::unfold(passing, |(mut pieces, mut page, permit)| async move {
        let piece = pieces.next().await;
        match &piece {
            Some(Ok(bytes)) => page.saw(bytes),
            Some(Err(_)) => page.failed(&GatewayError::Cut),
            None => page.whole(),
        }
        Some((piece?, (pieces, page, permit)))
    });
    let mut response = Response::new(Body::from_stream(body));
    *response.status_mut() = status;
    *response.headers_mut() = headers;
    response
}

/// A limit of the day keeps it here.
fn limited(error: &GatewayError) -> Response {
    let message = error.to_string();
    refused(StatusCode::TOO_MANY_REQUESTS, "day_limit", &message)
}

fn unreachable(error: &GatewayError) -> Response {
    let status = match error {
        GatewayError::Timeout(_) => StatusCode::GATEWAY_TIMEOUT,
        _ => StatusCode::BAD_GATEWAY,
    };
    let message = format!("the model provider: {error}");
    refused(status, "provider_unreachable", &message)
}

fn events(body: Body) -> Response {
    let mut response = Response::new(body);
    let headers = response.headers_mut();
    headers.insert(
        header::CONTENT_TYPE,
        HeaderValue::from_static("text/event-stream; charset=utf-8"),
    );
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-cache"));
    response
}

/// From the answer that is being recorded already. One that failed before its first word is asked for again, by the
/// agent gateway's own request.
async fn replay(
    shared: &Arc<Shared>,
    id: ExchangeId,
    track: usize,
    admitted: Admitted,
) -> Response {
    let mut bell = shared.bell(id);
    loop {
        bell.borrow_and_update();
        let state = shared.with(|desk| {
            let recording = desk.recording(id, track)?;
            Some((
                recording.ending(),
                recording.text().is_empty(),
                recording.frames().is_empty(),
            ))
        });
        match state {
            Some((Some(Ending::Broken), true, _)) => {
                return match shared.with(|desk| desk.ask_instead(id, track)) {
                    Some(track) => record(shared, id, track, admitted).await,
                    None => pass(shared, Some(id), admitted).await,
                };
            }
            Some((None, _, true)) if bell.changed().await.is_ok() => {}
            _ => return paced(shared, id, track, end_to_end_events(), admitted.permit),
        }
    }
}

/// To the provider as it is; the answer comes back as fast as it is heard.
async fn record(
    shared: &Arc<Shared>,
    id: ExchangeId,
    track: usize,
    admitted: Admitted,
) -> Response {
    // A client that goes away before the answer has begun.
    let mut open = Open {
        shared: shared.clone(),
        id,
        track,
        is_open: true,
    };
    let headers = onward(&admitted.headers, true);
    let mut page = match shared.page(&admitted.body, Some(id), false) {
        Ok(page) => page,
        Err(error) => {
            open.is_open = false;
            shared.fail(id, track, error.clone());
            return limited(&error);
        }
    };
    let sent = shared
        .send(admitted.method, &admitted.path, headers, admitted.body)
        .await;
    let response = match sent {
        Ok(response) => response,
        Err(error) => {
            open.is_open = false;
            page.failed(&error);
            shared.fail(id, track, error.clone());
            return unreachable(&error);
        }
    };
    open.is_open = false;
    if !is_stream(&response) {
        let status = response.status().as_u16();
        let error = status_error(status, response.headers(), "");
        let why = "it is no stream of events";
        shared.fail(id, track, error.unwrap_or(GatewayError::Protocol { why }));
        return passed(response, admitted.permit, page);
    }
    let mut headers = end_to_end(response.headers());
    // It may end sooner.
    headers.remove(header::CONTENT_LENGTH);
    shared.record_later(id, track, response, page);
    paced(shared, id, track, headers, admitted.permit)
}

fn end_to_end_events() -> HeaderMap {
    events(Body::empty()).headers().clone()
}

/// An answer on its way to the agent gateway. Dropped before its end, the gateway has hung up.
struct Open {
    shared: Arc<Shared>,
    id: ExchangeId,
    track: usize,
    is_open: bool,
}

impl Drop for Open {
    fn drop(&mut self) {
        if self.is_open {
            self.shared.with(|desk| desk.hung_up(self.id, self.track));
        }
    }
}

struct Reader {
    open: Open,
    pacing: Pacing,
    bell: watch::Receiver<()>,
    _permit: OwnedSemaphorePermit,
}

impl Reader {
    /// The next bytes; none at the end.
    async fn next(&mut self) -> Option<Bytes> {
        loop {
            if self.pacing.is_over() {
                return None;
            }
            self.bell.borrow_and_update();
            let (id, track) = (self.open.id, self.open.track);
            let pacing = &mut self.pacing;
            // A question that was forgotten has no more bytes.
            let bytes = self.open.shared.with(|desk| desk.give(id, track, pacing))?;
            self.open.is_open = !self.pacing.is_over();
            if !bytes.is_empty() {
                return Some(bytes.into());
            }
            if !self.pacing.is_over() && self.bell.changed().await.is_err() {
                return None;
            }
        }
    }
}

fn paced(
    shared: &Arc<Shared>,
    id: ExchangeId,
    track: usize,
    headers: HeaderMap,
    permit: OwnedSemaphorePermit,
) -> Response {
    let reader = Reader {
        open: Open {
            shared: shared.clone(),
            id,
            track,
            is_open: true,
        },
        pacing: Pacing::default(),
        bell: shared.bell(id),
        _permit: permit,
    };
    let body = stream::unfold(reader, |mut reader| async move {
        let bytes = reader.next().await?;
        Some((Ok::<_, Infallible>(bytes), reader))
    });
    let mut response = Response::new(Body::from_stream(body));
    *response.headers_mut() = headers;
    response
}
