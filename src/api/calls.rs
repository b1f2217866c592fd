//! `/api/calls`: ask for a call, list, look, speak into one, put its caller through, end one.

use axum::Json;
use axum::body::Bytes;
use axum::extract::rejection::BytesRejection;
use axum::extract::{Path, Query, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::Deserialize;
use serde_json::{Value, json};

use super::{Api, Problem, view};
use crate::callbacks::desk::{NewRequest, PutThrough, parse_time};
use crate::callbacks::{Channel, Record, State as CallState};

const LISTED: usize = 50;
const LISTED_MAX: usize = 500;

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PlaceCall {
    #[serde(default)]
    pub to: String,
    pub say: String,
    #[serde(default)]
    pub why: String,
    #[serde(default)]
    pub agent: String,
    #[serde(default)]
    pub urgent: bool,
    pub earliest: Option<String>,
    pub latest: Option<String>,
    pub attempts: Option<u32>,
    pub idempotency_key: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SayText {
    text: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Whither {
    to: String,
}

#[derive(Deserialize)]
pub struct Page {
    limit: Option<usize>,
}

impl PlaceCall {
    /// As the desk takes it.
    pub fn request(self) -> Result<NewRequest, Problem> {
        let time = |text: Option<String>, name: &str| match text {
            None => Ok(None),
            Some(text) => parse_time(&text).map(Some).ok_or_else(|| {
                let detail = format!("`{name}` is a time such as \"2026-11-21T18:30:00Z\".");
                Problem::new(StatusCode::BAD_REQUEST, detail)
            }),
        };
        Ok(NewRequest {
            why: self.why,
            number: self.agent,
            is_urgent: self.urgent,
            not_before: time(self.earliest, "earliest")?,
            not_after: time(self.latest, "latest")?,
            attempts_max: self.attempts,
            key: self.idempotency_key,
            ..NewRequest::new(Channel::Call, &self.to, &self.say)
        })
    }
}

pub async fn place(
    State(api): State<Api>,
    headers: HeaderMap,
    body: Result<Bytes, BytesRejection>,
) -> Result<Response, Problem> {
    let mut wanted: PlaceCall = super::json(body)?;
    let key = headers.get("idempotency-key");
    if wanted.idempotency_key.is_none()
        && let Some(key) = key.and_then(|key| key.to_str().ok())
    {
        wanted.idempotency_key = Some(key.to_owned());
    }
    let record = api.desk.request(wanted.request()?).await?;
    let place = [(header::LOCATION, format!("/api/calls/{}", record.id.0))];
    Ok((StatusCode::ACCEPTED, place, Json(view::record(&record))).into_response())
}

/// Requests, and calls that came in; the newest first.
pub async fn list(
    State(api): State<Api>,
    Query(page): Query<Page>,
) -> Result<Json<Value>, Problem> {
    let limit = page.limit.unwrap_or(LISTED).min(LISTED_MAX);
    Ok(Json(listed(&api, limit).await?))
}

pub async fn listed(api: &Api, limit: usize) -> Result<Value, Problem> {
    let records = api.desk.records().await?;
    let calls = api
        .recorder
        .ask(move |store| store.recent_calls(limit))
        .await?;
    let requests: Vec<Value> = records.iter().rev().take(limit).map(view::record).collect();
    let calls: Vec<Value> = calls.iter().map(view::call).collect();
    Ok(json!({ "requests": requests, "calls": calls }))
}

pub async fn show(State(api): State<Api>, Path(id): Path<String>) -> Result<Json<Value>, Problem> {
    Ok(Json(shown(&api, &id).await?))
}

/// A request with what was said in its calls, or a call with what was said in it.
pub async fn shown(api: &Api, id: &str) -> Result<Value, Problem> {
    if let Some(record) = api.desk.record(id).await? {
        let calls = calls_of(&record);
        let said = api
            .recorder
            .ask(move |store| {
                let mut said = Vec::new();
                for call in &calls {
                    said.extend(store.call_messages(call)?);
                }
                Ok(said)
            })
            .await?;
        let mut value = view::record(&record);
        value["transcript"] = view::transcript(&said);
        return Ok(value);
    }
    let wanted = id.to_owned();
    let found = api
        .recorder
        .ask(move |store| {
            let Some(call) = store.call(&wanted)? else {
                return Ok(None);
            };
            Ok(Some((call, store.call_messages(&wanted)?)))
        })
        .await?;
    let Some((call, said)) = found else {
        return Err(Problem::no_such("call or request"));
    };
    let mut value = view::call(&call);
    value["transcript"] = view::transcript(&said);
    Ok(value)
}

fn calls_of(record: &Record) -> Vec<String> {
    let past = record
        .attempts
        .iter()
        .filter_map(|attempt| attempt.call.clone());
    let now = match &record.state {
        CallState::Talking { call, .. } => Some(call.clone()),
        _ => None,
    };
    past.chain(now).collect()
}

pub async fn say(
    State(api): State<Api>,
    Path(id): Path<String>,
    body: Result<Bytes, BytesRejection>,
) -> Result<Response, Problem> {
    let SayText { text } = super::json(body)?;
    api.desk.say(&id, &text).await?;
    let body = json!({ "what_happens": "It is said at the next pause." });
    Ok((StatusCode::ACCEPTED, Json(body)).into_response())
}

pub async fn end(State(api): State<Api>, Path(id): Path<String>) -> Result<Response, Problem> {
    api.desk.end(&id).await?;
    Ok(StatusCode::NO_CONTENT.into_response())
}

pub async fn put_through(
    State(api): State<Api>,
    Path(id): Path<String>,
    body: Result<Bytes, BytesRejection>,
) -> Result<Json<Value>, Problem> {
    let Whither { to } = super::json(body)?;
    Ok(Json(connected(&api, &id, &to).await?))
}

/// What came of putting a caller through, for a program or a model.
pub async fn connected(api: &Api, id: &str, to: &str) -> Result<Value, Problem> {
    let outcome = api.desk.put_through(id, to).await?;
    let (state, what_happens) = match outcome {
        PutThrough::Talking => (
            "talking",
            "They talk with each other; the call with the assistant is over.".to_owned(),
        ),
        PutThrough::NotTaken { status } => {
            let why = match status {
                486 | 600 => "the line is busy",
                480 | 408 => "nobody answered",
                603 => "the call was declined",
                _ => "nobody took the call",
            };
            (
                "not_taken",
                format!("They are still with the assistant: {why} ({status})."),
            )
        }
        PutThrough::Rings => (
            "ringing",
            "It still rings there; until somebody answers they are with the assistant.".to_owned(),
        ),
    };
    Ok(json!({ "state": state, "what_happens": what_happens }))
}
