//! The conversation on the page: what was said on whatever channel, what is written here, voice notes and their sound, and
//! who is linked to whom. The hub keeps and answers it; owned here are the shapes, and who may hear what.

use std::path::PathBuf;

use agent_bridge::channels::{Address, Body, Inbound, TEXT_BYTES_MAX, VOICE_BYTES_MAX};
use axum::body::Bytes;
use axum::extract::rejection::BytesRejection;
use axum::extract::{DefaultBodyLimit, Path, Query, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Extension, Json, Router};
use serde::Deserialize;
use serde_json::{Value, json};

use super::{Page, Visitor, owner_only};
use crate::api::{self, Problem};
use crate::hub::{HubError, Received};
use crate::records::unix_ms;

const CHANNEL: &str = "web";
const MESSAGES: usize = 60;
const MESSAGES_MAX: usize = 200;
/// Longest name that a browser gives a message.
const ID_CHARS_MAX: usize = 64;

pub(super) fn routes() -> Router<Page> {
    Router::new()
        .route("/api/web/chat", get(history).post(write))
        .route(
            "/api/web/voice",
            post(speak).layer(DefaultBodyLimit::max(VOICE_BYTES_MAX)),
        )
        .route("/api/voice/{name}", get(sound))
        .route("/api/web/people", get(people))
        .route("/api/web/people/link", post(link))
        .route("/api/web/people/unlink", post(unlink))
}

impl From<HubError> for Problem {
    fn from(error: HubError) -> Problem {
        let status = match &error {
            HubError::Stranger => StatusCode::FORBIDDEN,
            HubError::TooMuch(_) => StatusCode::TOO_MANY_REQUESTS,
            HubError::Wrong(_) | HubError::NoChannel => StatusCode::BAD_REQUEST,
            HubError::Busy(_) => StatusCode::SERVICE_UNAVAILABLE,
            HubError::Over => StatusCode::GONE,
        };
        Problem::new(status, error.to_string())
    }
}

#[derive(Deserialize)]
struct Wanted {
    #[serde(default)]
    agent: String,
    before: Option<i64>,
    most: Option<usize>,
}

/// The agent as the hub names it: that of `[agent]` is the empty one.
fn agent_named(page: &Page, name: &str) -> String {
    let mut profiles = page.parts().agents.all();
    match profiles.next() {
        Some(first) if first.name == name => String::new(),
        _ => name.to_owned(),
    }
}

async fn history(
    State(page): State<Page>,
    Extension(visitor): Extension<Visitor>,
    Query(wanted): Query<Wanted>,
) -> Result<Json<Value>, Problem> {
    let agent = agent_named(&page, &wanted.agent);
    let most = wanted.most.unwrap_or(MESSAGES).min(MESSAGES_MAX);
    let hub = &page.parts().hub;
    // Said even where it is empty: what belongs to another one is told by it.
    let conversation = hub.conversation(&visitor.person, &agent).await?;
    let rows = hub
        .history(&visitor.person, &agent, wanted.before, most)
        .await?;
    Ok(Json(
        json!({ "conversation": conversation, "messages": rows }),
    ))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Written {
    /// The browser's own: sent twice it is one message.
    id: String,
    #[serde(default)]
    agent: String,
    text: String,
}

async fn write(
    State(page): State<Page>,
    Extension(visitor): Extension<Visitor>,
    body: Result<Bytes, BytesRejection>,
) -> Result<Response, Problem> {
    let Written { id, agent, text } = api::json(body)?;
    if text.trim().is_empty() || text.len() > TEXT_BYTES_MAX {
        let why = format!("A message has 1 to {TEXT_BYTES_MAX} bytes.");
        return Err(Problem::new(StatusCode::BAD_REQUEST, why));
    }
    receive(page, visitor, id, agent, Body::Text(text)).await
}

#[derive(Deserialize)]
struct Note {
    id: String,
    #[serde(default)]
    agent: String,
}

/// A voice note as the browser recorded it; what it is, its bytes say.
async fn speak(
    State(page): State<Page>,
    Extension(visitor): Extension<Visitor>,
    Query(note): Query<Note>,
    headers: HeaderMap,
    body: Result<Bytes, BytesRejection>,
) -> Result<Response, Problem> {
    let bytes = body.map_err(|rejection| {
        let detail = match rejection.status() {
            StatusCode::PAYLOAD_TOO_LARGE => "This voice note is too long.",
            _ => "The voice note did not arrive.",
        };
        Problem::new(rejection.status(), detail)
    })?;
    if bytes.is_empty() {
        return Err(Problem::new(
            StatusCode::BAD_REQUEST,
            "This voice note is empty.",
        ));
    }
    let mime = headers.get(header::CONTENT_TYPE);
    let mime = mime.and_then(|kind| kind.to_str().ok()).unwrap_or("");
    let voice = Body::Voice {
        bytes: bytes.to_vec(),
        mime: mime.chars().take(100).collect(),
    };
    receive(page, visitor, note.id, note.agent, voice).await
}

/// 202: it is on disk, and will be answered.
async fn receive(
    page: Page,
    visitor: Visitor,
    id: String,
    agent: String,
    body: Body,
) -> Result<Response, Problem> {
    let is_id = (8..=ID_CHARS_MAX).contains(&id.len())
        && id
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || byte == b'-');
    if !is_id {
        let why = format!("`id` has 8 to {ID_CHARS_MAX} letters and digits, and is new.");
        return Err(Problem::new(StatusCode::BAD_REQUEST, why));
    }
    let message = Inbound {
        // Nobody can take the place of another's message.
        id: format!("{}/{id}", visitor.person),
        from: Address {
            channel: CHANNEL,
            id: visitor.person.clone(),
        },
        place: visitor.person.clone(),
        shown_name: visitor.person,
        to: agent_named(&page, &agent),
        at_unix_ms: unix_ms(),
        body,
        edits: None,
    };
    let answer = match page.parts().hub.receive(message).await? {
        Received::Kept { id, conversation } => json!({ "id": id, "conversation": conversation }),
        Received::Again | Received::Done => json!({}),
    };
    Ok((StatusCode::ACCEPTED, Json(answer)).into_response())
}

/// The sound of a voice note, of one's own conversations. The owner hears no more than they may read: all of them.
async fn sound(
    State(page): State<Page>,
    Extension(visitor): Extension<Visitor>,
    Path(name): Path<String>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let missing = || Problem::no_such("voice note");
    // Only what was written down as a voice note is looked for, so that no name leads out of the folder.
    let is_name = !name.starts_with('.')
        && name.len() <= 128
        && name
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-' | b'_'));
    if !is_name {
        return Err(missing());
    }
    let wanted = name.clone();
    let found = page
        .parts()
        .recorder
        .ask(move |store| store.voice_note_conversation(&wanted));
    let conversation = found.await?.ok_or_else(missing)?;
    let is_theirs = conversation.starts_with(&format!("{}/", visitor.person));
    if !is_theirs && !visitor.is_owner() {
        return Err(missing());
    }
    let path: PathBuf = page.parts().home.root().join("voice").join(&name);
    let bytes = tokio::fs::read(&path).await.map_err(|_| missing())?;
    let kind = kind_of(&bytes);
    let range = headers
        .get(header::RANGE)
        .and_then(|range| range.to_str().ok());
    Ok(piece(bytes, kind, range))
}

/// What a recording is, by its first bytes.
fn kind_of(bytes: &[u8]) -> &'static str {
    match bytes {
        [b'O', b'g', b'g', b'S', ..] => "audio/ogg",
        [0x1a, 0x45, 0xdf, 0xa3, ..] => "audio/webm",
        [b'R', b'I', b'F', b'F', ..] => "audio/wav",
        [_, _, _, _, b'f', b't', b'y', b'p', ..] => "audio/mp4",
        _ => "application/octet-stream",
    }
}

/// All of it, or the one range that was asked for: players seek, and some play nothing that cannot be sought in. RFC 9110
/// section 14.
fn piece(bytes: Vec<u8>, kind: &'static str, range: Option<&str>) -> Response {
    let common = [
        (header::CONTENT_TYPE, kind),
        (header::ACCEPT_RANGES, "bytes"),
    ];
    let length = bytes.len();
    match range.and_then(|range| range_in(range, length)) {
        None => (common, bytes).into_response(),
        Some((first, last)) => {
            let place = [(
                header::CONTENT_RANGE,
                format!("bytes {first}-{last}/{length}"),
            )];
            let part = bytes[first..=last].to_vec();
            (StatusCode::PARTIAL_CONTENT, common, place, part).into_response()
        }
    }
}

/// First and last byte of a single range; none where all may be sent instead.
fn range_in(range: &str, length: usize) -> Option<(usize, usize)> {
    let (first, last) = range.strip_prefix("bytes=")?.split_once('-')?;
    let end = length.checked_sub(1)?;
    let (first, last) = match (first.trim(), last.trim()) {
        ("", suffix) => (length.saturating_sub(suffix.parse().ok()?), end),
        (first, "") => (first.parse().ok()?, end),
        (first, last) => (first.parse().ok()?, last.parse::<usize>().ok()?.min(end)),
    };
    (first <= last && first <= end).then_some((first, last))
}

/// Who is linked to whom, and how the channels stand.
async fn people(
    State(page): State<Page>,
    Extension(visitor): Extension<Visitor>,
) -> Result<Json<Value>, Problem> {
    owner_only(&visitor)?;
    let parts = page.parts();
    let channels = parts.hub.channels();
    let channels = channels
        .iter()
        .map(|(name, standing)| json!({ "name": name, "standing": standing }));
    let channels: Vec<Value> = channels.collect();
    let identities = parts.hub.identities(None).await?;
    let people = parts.accounts.borrow().clone();
    Ok(Json(
        json!({ "people": people, "channels": channels, "identities": identities }),
    ))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Link {
    code: String,
    person: String,
}

async fn link(
    State(page): State<Page>,
    Extension(visitor): Extension<Visitor>,
    body: Result<Bytes, BytesRejection>,
) -> Result<Response, Problem> {
    owner_only(&visitor)?;
    let Link { code, person } = api::json(body)?;
    if !page.parts().accounts.borrow().contains(&person) {
        return Err(Problem::no_such("account"));
    }
    let identity = page.parts().hub.link(&code, &person).await?;
    tracing::info!(channel = %identity.channel, %person, "linked on the page");
    Ok(Json(json!({ "channel": identity.channel, "id": identity.id })).into_response())
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Unlink {
    channel: String,
    id: String,
}

async fn unlink(
    State(page): State<Page>,
    Extension(visitor): Extension<Visitor>,
    body: Result<Bytes, BytesRejection>,
) -> Result<Response, Problem> {
    owner_only(&visitor)?;
    let Unlink { channel, id } = api::json(body)?;
    match page.parts().hub.unlink(&channel, &id).await? {
        true => Ok(StatusCode::NO_CONTENT.into_response()),
        false => Err(Problem::no_such("link")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_of_players() {
        let rows = [
            ("bytes=0-", 10, Some((0, 9))),
            ("bytes=2-4", 10, Some((2, 4))),
            ("bytes=2-99", 10, Some((2, 9))),
            ("bytes=-3", 10, Some((7, 9))),
            ("bytes=-99", 10, Some((0, 9))),
            ("bytes=10-", 10, None),
            ("bytes=5-2", 10, None),
            ("bytes=0-1,3-4", 10, None),
            ("bytes=-", 10, None),
            ("bytes=-0", 10, None),
            ("items=0-1", 10, None),
            ("bytes=0-", 0, None),
        ];
        for (range, length, expected) in rows {
            assert_eq!(range_in(range, length), expected, "{range} of {length}");
        }
    }

    #[test]
    fn kinds_are_told_by_contents() {
        let rows: [(&[u8], &str); 5] = [
            (b"OggS\0", "audio/ogg"),
            (b"\x1a\x45\xdf\xa3\x9f", "audio/webm"),
            (b"\0\0\0\x20ftypM4A ", "audio/mp4"),
            (b"<html>", "application/octet-stream"),
            (b"", "application/octet-stream"),
        ];
        for (bytes, kind) in rows {
            assert_eq!(kind_of(bytes), kind);
        }
    }
}
