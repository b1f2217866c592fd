//! `/api/approvals`: what waits, and decisions from whoever holds the API token. Owns the shape of these requests and
//! answers; the token is looked at before they come here.

use agent_bridge::approvals::Decision;
use axum::Router;
use axum::extract::{DefaultBodyLimit, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse as _, Json, Response};
use axum::routing::{get, post};
use serde::Deserialize;

use super::{Approvals, ChannelError};

const CHANNEL: &str = "api";
/// No request is longer.
const BODY_BYTES_MAX: usize = 4_096;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Answer {
    id: String,
    decision: Word,
}

/// There is no "always".
#[derive(Deserialize)]
#[serde(rename_all = "snake_case")]
enum Word {
    Allow,
    Deny,
}

/// `GET /api/approvals`, `POST /api/approvals {"id", "decision"}`, `POST /api/approvals/stop`, `…/lift`.
pub fn routes<S: Clone + Send + Sync + 'static>(approvals: Approvals) -> Router<S> {
    Router::new()
        .route("/api/approvals", get(list).post(decide))
        .route("/api/approvals/stop", post(stop))
        .route("/api/approvals/lift", post(lift))
        .layer(DefaultBodyLimit::max(BODY_BYTES_MAX))
        .with_state(approvals)
}

async fn list(State(approvals): State<Approvals>) -> Response {
    Json(&*approvals.view()).into_response()
}

async fn decide(State(approvals): State<Approvals>, Json(answer): Json<Answer>) -> Response {
    let decision = match answer.decision {
        Word::Allow => Decision::AllowOnce,
        Word::Deny => Decision::Deny,
    };
    match approvals.decide(answer.id, decision, CHANNEL).await {
        Ok(()) => StatusCode::NO_CONTENT.into_response(),
        Err(error) => {
            let status = match error {
                ChannelError::NoSuch => StatusCode::NOT_FOUND,
                ChannelError::Frozen => StatusCode::CONFLICT,
                ChannelError::Gone => StatusCode::SERVICE_UNAVAILABLE,
            };
            (status, format!("{error}\n")).into_response()
        }
    }
}

async fn stop(State(approvals): State<Approvals>) -> StatusCode {
    approvals.set_frozen(true, CHANNEL).await;
    StatusCode::NO_CONTENT
}

async fn lift(State(approvals): State<Approvals>) -> StatusCode {
    approvals.set_frozen(false, CHANNEL).await;
    StatusCode::NO_CONTENT
}
