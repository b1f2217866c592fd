//! One question on the wire: attempts, waits, and the answer's bytes on their way to events. Owns the
//! order of these; leaves nothing open when its task is dropped.

use std::error::Error;
use std::io;
use std::sync::PoisonError;
use std::time::Duration;

use reqwest::Response;
use reqwest::header::{HeaderMap, RETRY_AFTER};
use serde_json::Value;
use tokio::sync::mpsc;
use tokio::time::{Instant, timeout_at};

use super::chunk::{Answer, Piece, error_code};
use super::sse::SseParser;
use super::{Inner, ms, request};
use crate::gateways::{AskRequest, GatewayError, GatewayEvent, Progress, Usage, Wait};

/// An answer that is one JSON document.
const DOCUMENT_BYTES_MAX: usize = 1024 * 1024;
/// Of an error's body only its code is read.
const ERROR_BYTES_MAX: usize = 16 * 1024;

/// The receiver is gone: nobody wants the answer any more.
struct Unwanted;

enum Outcome {
    Done(Option<Usage>),
    Failed(GatewayError),
    Unwanted,
}

impl From<GatewayError> for Outcome {
    fn from(error: GatewayError) -> Outcome {
        Outcome::Failed(error)
    }
}

impl From<Unwanted> for Outcome {
    fn from(_: Unwanted) -> Outcome {
        Outcome::Unwanted
    }
}

pub(super) async fn run(inner: &Inner, asked: &AskRequest, events: &mpsc::Sender<GatewayEvent>) {
    let outcome = tokio::select! {
        // Closes the request at once, also while nothing comes from upstream.
        () = events.closed() => return,
        outcome = answer(inner, asked, events) => outcome,
    };
    let event = match outcome {
        Outcome::Done(usage) => GatewayEvent::Done { usage },
        Outcome::Failed(error) => GatewayEvent::Failed(error),
        Outcome::Unwanted => return,
    };
    let _ = events.send(event).await;
}

async fn answer(inner: &Inner, asked: &AskRequest, events: &mpsc::Sender<GatewayEvent>) -> Outcome {
    let began = Instant::now();
    let config = &inner.config;
    let mut exchange = Exchange {
        inner,
        events,
        first_by: began + ms(config.first_token_timeout_ms),
        total_by: began + ms(config.total_timeout_ms),
        has_spoken: false,
        has_status: false,
    };
    let body = request::body(config, asked).to_string();
    let mut attempt = 0;
    let mut is_renewed = false;
    loop {
        let error = match exchange.attempt(body.clone()).await {
            Ok(usage) => return Outcome::Done(usage),
            Err(Outcome::Failed(error)) => error,
            Err(outcome) => return outcome,
        };
        // The server may have closed an idle connection at the very moment of the question: that is no
        // failure of the gateway, and a new connection mends it at once.
        if error == GatewayError::Cut && !exchange.has_status && !is_renewed {
            is_renewed = true;
            continue;
        }
        if exchange.has_spoken || attempt >= config.retries_max {
            return Outcome::Failed(error);
        }
        let left = exchange.first_by.saturating_duration_since(Instant::now());
        let wait = {
            let mut rng = inner.rng.lock().unwrap_or_else(PoisonError::into_inner);
            request::retry_after(&error, attempt, left, &mut *rng)
        };
        let Some(wait) = wait else {
            return Outcome::Failed(error);
        };
        tokio::time::sleep(wait).await;
        attempt += 1;
    }
}

struct Exchange<'a> {
    inner: &'a Inner,
    events: &'a mpsc::Sender<GatewayEvent>,
    first_by: Instant,
    total_by: Instant,
    /// Something of the answer was handed on: asking again would say it twice.
    has_spoken: bool,
    /// The server has answered with a status.
    has_status: bool,
}

impl Exchange<'_> {
    async fn attempt(&mut self, body: String) -> Result<Option<Usage>, Outcome> {
        let send = self
            .inner
            .client
            .post(self.inner.completions.clone())
            .header("content-type", "application/json")
            .header("accept", "text/event-stream, application/json")
            .body(body)
            .send();
        let by = self.first_by.min(self.total_by);
        let mut response = timeout_at(by, send)
            .await
            .map_err(|_| GatewayError::Timeout(Wait::FirstToken))?
            .map_err(|error| transport_error(&error))?;
        self.has_status = true;
        let status = response.status().as_u16();
        if !response.status().is_success() {
            let body = timeout_at(by, error_body(&mut response)).await;
            let code = body.unwrap_or_default();
            let error = status_error(status, response.headers(), &code);
            return Err(error.unwrap_or(GatewayError::Server { status }).into());
        }
        self.read(&mut response).await
    }

    async fn read(&mut self, response: &mut Response) -> Result<Option<Usage>, Outcome> {
        let mut answer = Answer::default();
        let mut parser = SseParser::default();
        let mut document = Vec::new();
        let mut is_document = None;
        let mut has_events = false;
        let mut progress_by = self.first_by;
        loop {
            let by = progress_by.min(self.total_by);
            let bytes = match timeout_at(by, response.chunk()).await {
                Err(_) => return Err(self.too_late().into()),
                Ok(Err(error)) => return Err(body_error(&error).into()),
                Ok(Ok(None)) => break,
                Ok(Ok(Some(bytes))) => bytes,
            };
            // Servers that do not stream, or mislabel what they send, are known by the first letter.
            if is_document.is_none() {
                let first = bytes.iter().find(|byte| !byte.is_ascii_whitespace());
                is_document = first.map(|byte| matches!(byte, b'{' | b'['));
            }
            if is_document == Some(true) {
                if document.len() + bytes.len() > DOCUMENT_BYTES_MAX {
                    let why = "its one document is too long";
                    return Err(GatewayError::Protocol { why }.into());
                }
                document.extend_from_slice(&bytes);
                continue;
            }
            parser.push(&bytes).map_err(|_| GatewayError::Protocol {
                why: "an event is too long",
            })?;
            while let Some(event) = parser.next_event() {
                has_events = true;
                if event.data.trim() == "[DONE]" {
                    return self.finish(answer).await;
                }
                self.pieces(answer.feed(&event.data)?).await?;
                // Keep-alive comments are no progress; fragments of a tool call are.
                if self.has_spoken || answer.is_finished() {
                    progress_by = Instant::now() + ms(self.inner.config.idle_timeout_ms);
                }
            }
            if answer.is_full() {
                return self.finish(answer).await;
            }
        }
        if is_document == Some(true) {
            let text = String::from_utf8_lossy(&document);
            self.pieces(answer.feed(&text)?).await?;
            return self.finish(answer).await;
        }
        if let Some(event) = parser.finish() {
            has_events = true;
            if event.data.trim() == "[DONE]" {
                return self.finish(answer).await;
            }
            // What the connection's end cut in two is no chunk, and no protocol error either.
            match answer.feed(&event.data) {
                Ok(pieces) => self.pieces(pieces).await?,
                Err(_) => return Err(GatewayError::Cut.into()),
            }
        }
        if is_document.is_some() && !has_events {
            let why = "there is no event in it";
            return Err(GatewayError::Protocol { why }.into());
        }
        // Without the model's word that it is done, the answer has broken off.
        match answer.is_finished() {
            true => self.finish(answer).await,
            false => Err(GatewayError::Cut.into()),
        }
    }

    async fn finish(&mut self, mut answer: Answer) -> Result<Option<Usage>, Outcome> {
        for call in answer.take_calls()? {
            self.pieces(vec![Piece::ToolCall(call)]).await?;
        }
        Ok(answer.usage())
    }

    async fn pieces(&mut self, pieces: Vec<Piece>) -> Result<(), Unwanted> {
        for piece in pieces {
            // A tool that was named may be at work already, where the agent runs its own.
            self.has_spoken |= piece != Piece::Thinking;
            let event = match piece {
                Piece::Text(text) => GatewayEvent::Text(text),
                Piece::ToolBegun(name) => GatewayEvent::Progress(Progress::tool(&name)),
                Piece::Thinking => GatewayEvent::Progress(Progress::Waiting),
                Piece::ToolCall(call) => GatewayEvent::ToolCall(call),
            };
            self.events.send(event).await.map_err(|_| Unwanted)?;
        }
        Ok(())
    }

    fn too_late(&self) -> GatewayError {
        GatewayError::Timeout(match self.has_spoken {
            _ if Instant::now() >= self.total_by => Wait::Total,
            true => Wait::Idle,
            false => Wait::FirstToken,
        })
    }
}

/// The error that a status stands for; none for success.
pub(crate) fn status_error(status: u16, headers: &HeaderMap, code: &str) -> Option<GatewayError> {
    Some(match status {
        200..=299 => return None,
        300..=399 => GatewayError::Redirected { status },
        401 | 403 => GatewayError::Unauthorized { status },
        429 => GatewayError::RateLimited {
            retry_after: retry_after(headers),
        },
        // It says when it will have room: that is no fault, and asking earlier is no use.
        503 if retry_after(headers).is_some() => GatewayError::RateLimited {
            retry_after: retry_after(headers),
        },
        400..=499 => GatewayError::Refused {
            status,
            code: code.to_owned(),
        },
        _ => GatewayError::Server { status },
    })
}

fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    let text = headers.get(RETRY_AFTER)?.to_str().ok()?;
    request::retry_after_of(text, jiff::Timestamp::now().as_second())
}

/// Reads an answer that is of no interest; not a long one.
pub(super) async fn drain(mut response: Response) {
    let mut left = ERROR_BYTES_MAX;
    while let Ok(Some(bytes)) = response.chunk().await {
        left = left.saturating_sub(bytes.len());
        if left == 0 {
            return;
        }
    }
}

async fn error_body(response: &mut Response) -> String {
    let mut body = Vec::new();
    while let Ok(Some(bytes)) = response.chunk().await {
        let room = ERROR_BYTES_MAX - body.len();
        body.extend_from_slice(&bytes[..bytes.len().min(room)]);
        if body.len() >= ERROR_BYTES_MAX {
            break;
        }
    }
    let body: Value = serde_json::from_slice(&body).unwrap_or(Value::Null);
    error_code(&body["error"])
}

/// Why no answer began. Said in fixed words: the library's own would show the address.
pub(crate) fn transport_error(error: &reqwest::Error) -> GatewayError {
    if error.is_timeout() {
        return GatewayError::Timeout(Wait::Connect);
    }
    if !error.is_connect() {
        // The connection stood and was closed before any answer.
        return GatewayError::Cut;
    }
    let mut why = "no connection";
    let mut source = error.source();
    while let Some(cause) = source {
        if let Some(error) = cause.downcast_ref::<io::Error>() {
            why = match error.kind() {
                io::ErrorKind::ConnectionRefused => "connection refused",
                io::ErrorKind::HostUnreachable | io::ErrorKind::NetworkUnreachable => {
                    "no route to it"
                }
                io::ErrorKind::TimedOut => "connection timed out",
                _ => why,
            };
        }
        let text = cause.to_string();
        if text.contains("dns error") {
            why = "its name is not known";
        } else if text.contains("certificate") {
            why = "its certificate is not accepted";
        }
        source = cause.source();
    }
    GatewayError::Unreachable {
        why: why.to_owned(),
    }
}

fn body_error(error: &reqwest::Error) -> GatewayError {
    match error.is_timeout() {
        true => GatewayError::Timeout(Wait::Idle),
        false => GatewayError::Cut,
    }
}
