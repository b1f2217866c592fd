//! Calls on the page: the list, one with its words and the figures of its turns, and each turn as a picture; and what
//! could not be said in a call. People see their own calls, the owner everybody's.

use axum::extract::{Path, Query, State};
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Extension, Json, Router};
use serde::Deserialize;
use serde_json::{Value, json};

use super::{Page, Visitor};
use crate::api::Problem;
use crate::records::unix_ms;
use crate::store::{CallRow, MessageRow, ROWS_MAX, TurnRow};
use crate::waterfall::{Waterfall, bars_svg};

const LISTED: usize = 50;
const LISTED_MAX: usize = 500;
/// Widths of a picture that are drawn.
const WIDTHS: std::ops::RangeInclusive<u32> = 320..=1200;
const WIDTH: u32 = 720;

pub(super) fn routes() -> Router<Page> {
    Router::new()
        .route("/api/web/calls", get(list))
        .route("/api/web/calls/{id}", get(show))
        .route("/api/web/calls/{id}/turns/{n}", get(picture))
        .route("/api/web/notices", get(notices))
        .route("/api/web/notices/{id}/read", post(read_notice))
}

#[derive(Deserialize)]
struct ListPage {
    limit: Option<usize>,
}

fn may_see(visitor: &Visitor, call: &CallRow) -> bool {
    visitor.is_owner() || call.user == visitor.person
}

async fn list(
    State(page): State<Page>,
    Extension(visitor): Extension<Visitor>,
    Query(wanted): Query<ListPage>,
) -> Result<Json<Value>, Problem> {
    let limit = wanted.limit.unwrap_or(LISTED).min(LISTED_MAX);
    // Of everybody's calls, so that there are enough of one's own among them.
    let looked_at = if visitor.is_owner() { limit } else { ROWS_MAX };
    let calls = page
        .parts()
        .recorder
        .ask(move |store| store.recent_calls(looked_at))
        .await?;
    let calls = calls
        .iter()
        .filter(|call| may_see(&visitor, call))
        .take(limit);
    Ok(Json(json!({ "calls": calls.map(row).collect::<Vec<_>>() })))
}

fn row(call: &CallRow) -> Value {
    json!({
        "id": call.id,
        "user": call.user,
        "number": call.number,
        "phone": call.user_agent,
        "started_unix_ms": call.started_unix_ms,
        "ended_unix_ms": call.ended_unix_ms,
        "result": call.result,
        "reason": call.reason,
        "codec": call.codec,
        "turns": call.turns,
        "guesses": call.ledger.guesses,
        "hits": call.ledger.hits,
        "saved_ms": call.ledger.saved_ms,
    })
}

async fn found(
    page: &Page,
    visitor: &Visitor,
    id: String,
) -> Result<(CallRow, Vec<MessageRow>, Vec<TurnRow>), Problem> {
    let found = page.parts().recorder.ask(move |store| {
        let Some(call) = store.call(&id)? else {
            return Ok(None);
        };
        Ok(Some((call, store.call_messages(&id)?, store.turns(&id)?)))
    });
    found
        .await?
        .filter(|(call, _, _)| may_see(visitor, call))
        .ok_or_else(|| Problem::no_such("call"))
}

async fn show(
    State(page): State<Page>,
    Extension(visitor): Extension<Visitor>,
    Path(id): Path<String>,
) -> Result<Json<Value>, Problem> {
    let (call, said, turns) = found(&page, &visitor, id).await?;
    let mut value = row(&call);
    let said = said.iter().map(|row| {
        json!({
            "role": row.role.as_str(),
            "text": row.text,
            "heard": row.heard,
            "at_unix_ms": row.at_unix_ms,
        })
    });
    value["said"] = said.collect();
    let turns = turns.iter().map(|turn| {
        let stages: Value = serde_json::from_str(&turn.latencies_json).unwrap_or_default();
        json!({
            "n": turn.n,
            "caller_text": turn.caller_text,
            "heard_text": turn.heard_text,
            "gateway": turn.gateway,
            "model": turn.model,
            "tools": turn.tools,
            "stages": stages,
        })
    });
    value["turn_list"] = turns.collect();
    Ok(Json(value))
}

#[derive(Deserialize)]
struct Picture {
    width: Option<u32>,
}

/// One turn as SVG, for `<img>`: there nothing in it runs, whatever somebody said.
async fn picture(
    State(page): State<Page>,
    Extension(visitor): Extension<Visitor>,
    Path((id, n)): Path<(String, u32)>,
    Query(wanted): Query<Picture>,
) -> Result<Response, Problem> {
    let (_, _, turns) = found(&page, &visitor, id).await?;
    let turn = turns.iter().find(|turn| turn.n == n);
    let turn = turn.ok_or_else(|| Problem::no_such("turn"))?;
    let width = wanted
        .width
        .unwrap_or(WIDTH)
        .clamp(*WIDTHS.start(), *WIDTHS.end());
    let waterfall = Waterfall {
        number: turn.n,
        // The page shows the words itself.
        caller_text: String::new(),
        heard_text: String::new(),
        stages: serde_json::from_str(&turn.latencies_json).unwrap_or_default(),
    };
    let mut response = bars_svg(&[waterfall], width).into_response();
    let headers = response.headers_mut();
    headers.insert(
        header::CONTENT_TYPE,
        HeaderValue::from_static("image/svg+xml"),
    );
    // Opened by itself it is a document: with its own colours, and nothing else.
    let policy = "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'; sandbox";
    headers.insert(
        header::CONTENT_SECURITY_POLICY,
        HeaderValue::from_static(policy),
    );
    Ok(response)
}

async fn notices(
    State(page): State<Page>,
    Extension(visitor): Extension<Visitor>,
) -> Result<Json<Value>, Problem> {
    let person = visitor.person;
    let rows = page
        .parts()
        .recorder
        .ask(move |store| store.notices(Some(&person), true, LISTED));
    let rows = rows.await?;
    let rows = rows.iter().map(|notice| {
        json!({
            "id": notice.id,
            "text": notice.text,
            "why": notice.why,
            "at_unix_ms": notice.at_unix_ms,
        })
    });
    Ok(Json(json!({ "notices": rows.collect::<Vec<_>>() })))
}

async fn read_notice(
    State(page): State<Page>,
    Extension(visitor): Extension<Visitor>,
    Path(id): Path<i64>,
) -> Result<Response, Problem> {
    let person = visitor.person;
    let marked = page.parts().recorder.ask(move |store| {
        let unread = store.notices(Some(&person), true, ROWS_MAX)?;
        match unread.iter().any(|notice| notice.id == id) {
            true => store.read_notices(&[id], unix_ms()),
            false => Ok(0),
        }
    });
    match marked.await? {
        0 => Err(Problem::no_such("unread message")),
        _ => Ok(StatusCode::NO_CONTENT.into_response()),
    }
}
