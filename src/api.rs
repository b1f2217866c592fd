//! HTTP for programs: ask for a call, see what became of it, speak into it, end it, and read the messages that calls became.
//! Owns the shapes of these requests and answers; whoever may ask is decided before (`console`), what becomes of it after
//! (`callbacks`). Errors are problem documents, RFC 9457, and say what to do.

pub mod calls;
mod messages;
pub mod view;

use axum::Router;
use axum::body::Bytes;
use axum::extract::DefaultBodyLimit;
use axum::extract::rejection::BytesRejection;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use serde::de::DeserializeOwned;

use crate::callbacks::{AskError, Desk, DeskError};
use crate::records::Recorder;
use crate::store::StoreError;

/// The largest request: a few thousand letters and what belongs to them.
const BODY_BYTES_MAX: usize = 32 * 1024;
/// When to come again after too much.
const RETRY_S: u32 = 30;

/// What the routes work with.
#[derive(Clone)]
pub struct Api {
    pub desk: Desk,
    pub recorder: Recorder,
}

/// The routes, without anybody at the door.
pub fn routes<S: Clone + Send + Sync + 'static>(api: Api) -> Router<S> {
    Router::new()
        .route("/api/calls", get(calls::list).post(calls::place))
        .route("/api/calls/{id}", get(calls::show).delete(calls::end))
        .route("/api/calls/{id}/say", post(calls::say))
        .route("/api/calls/{id}/put_through", post(calls::put_through))
        .route("/api/messages", get(messages::list).post(messages::leave))
        .route("/api/messages/{id}/read", post(messages::read))
        .layer(DefaultBodyLimit::max(BODY_BYTES_MAX))
        .with_state(api)
}

/// Why a request was not met.
#[derive(Debug)]
pub struct Problem {
    pub status: StatusCode,
    /// What is wrong, and what to do.
    pub detail: String,
}

impl Problem {
    pub fn new(status: StatusCode, detail: impl Into<String>) -> Problem {
        Problem {
            status,
            detail: detail.into(),
        }
    }

    pub fn no_such(what: &str) -> Problem {
        Problem::new(
            StatusCode::NOT_FOUND,
            format!("There is no {what} with this id."),
        )
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let body = serde_json::json!({
            "type": "about:blank",
            "title": self.status.canonical_reason().unwrap_or("Error"),
            "status": self.status.as_u16(),
            "detail": self.detail,
        });
        let kind = [(header::CONTENT_TYPE, "application/problem+json")];
        let mut response = (self.status, kind, body.to_string()).into_response();
        if self.status == StatusCode::TOO_MANY_REQUESTS {
            response
                .headers_mut()
                .insert(header::RETRY_AFTER, RETRY_S.into());
        }
        response
    }
}

impl From<DeskError> for Problem {
    fn from(error: DeskError) -> Problem {
        let status = match &error {
            DeskError::Wrong(_) => StatusCode::BAD_REQUEST,
            DeskError::NotAllowed(_) => StatusCode::FORBIDDEN,
            DeskError::Ask(AskError::KeyTaken) | DeskError::NotTalking(_) | DeskError::Busy(_) => {
                StatusCode::CONFLICT
            }
            DeskError::Ask(AskError::TooManyOpen(_) | AskError::Full) | DeskError::TooMany => {
                StatusCode::TOO_MANY_REQUESTS
            }
            DeskError::NoSuch => StatusCode::NOT_FOUND,
            DeskError::Unavailable(_) => StatusCode::SERVICE_UNAVAILABLE,
        };
        Problem::new(status, error.to_string())
    }
}

impl From<StoreError> for Problem {
    fn from(error: StoreError) -> Problem {
        // Its words name a path of this machine.
        tracing::error!(%error, "the store does not answer");
        Problem::new(
            StatusCode::SERVICE_UNAVAILABLE,
            "The store does not answer: see the log.",
        )
    }
}

/// A JSON body as the type it should be.
pub fn json<T: DeserializeOwned>(body: Result<Bytes, BytesRejection>) -> Result<T, Problem> {
    let body = body.map_err(|rejection| {
        let detail = match rejection.status() {
            StatusCode::PAYLOAD_TOO_LARGE => {
                format!("The body is larger than {BODY_BYTES_MAX} bytes.")
            }
            _ => "The body did not arrive.".to_owned(),
        };
        Problem::new(rejection.status(), detail)
    })?;
    serde_json::from_slice(&body).map_err(|error| {
        let detail = format!("The body is not the JSON object that this route takes: {error}.");
        Problem::new(StatusCode::BAD_REQUEST, detail)
    })
}
