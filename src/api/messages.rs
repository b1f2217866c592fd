//! `/api/messages`: what could not be said in a call, or was not meant to be, until somebody has read it.

use axum::Json;
use axum::body::Bytes;
use axum::extract::rejection::BytesRejection;
use axum::extract::{Path, Query, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use serde::Deserialize;
use serde_json::{Value, json};

use super::{Api, Problem, view};
use crate::callbacks::Channel;
use crate::callbacks::desk::NewRequest;
use crate::records::unix_ms;

const LISTED: usize = 50;
const LISTED_MAX: usize = 500;

#[derive(Deserialize)]
pub struct Page {
    user: Option<String>,
    #[serde(default)]
    unread: bool,
    limit: Option<usize>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LeaveMessage {
    #[serde(default)]
    to: String,
    text: String,
    idempotency_key: Option<String>,
}

pub async fn leave(
    State(api): State<Api>,
    body: Result<Bytes, BytesRejection>,
) -> Result<Response, Problem> {
    let wanted: LeaveMessage = super::json(body)?;
    let request = NewRequest {
        key: wanted.idempotency_key,
        ..NewRequest::new(Channel::Text, &wanted.to, &wanted.text)
    };
    let record = api.desk.request(request).await?;
    Ok((StatusCode::ACCEPTED, Json(view::record(&record))).into_response())
}

pub async fn list(
    State(api): State<Api>,
    Query(page): Query<Page>,
) -> Result<Json<Value>, Problem> {
    let limit = page.limit.unwrap_or(LISTED).min(LISTED_MAX);
    let found = api
        .recorder
        .ask(move |store| store.notices(page.user.as_deref(), page.unread, limit))
        .await?;
    let messages: Vec<Value> = found.iter().map(view::notice).collect();
    Ok(Json(json!({ "messages": messages })))
}

pub async fn read(State(api): State<Api>, Path(id): Path<i64>) -> Result<Response, Problem> {
    let now = unix_ms();
    let marked = api
        .recorder
        .ask(move |store| store.read_notices(&[id], now))
        .await?;
    match marked {
        0 => Err(Problem::no_such("unread message")),
        _ => Ok(StatusCode::NO_CONTENT.into_response()),
    }
}
