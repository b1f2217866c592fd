//! How the house stands: ears, voice, agents, phones, trunks and bans; and lifting a ban. The owner sees all of it, others
//! whether they will be heard.

use std::time::Duration;

use axum::body::Bytes;
use axum::extract::State;
use axum::extract::rejection::BytesRejection;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Extension, Json, Router};
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::time::timeout;

use super::{Page, Visitor, owner_only};
use crate::api::{self, Problem};
use crate::console;
use crate::engines::EngineState;
use crate::records::unix_ms;
use crate::store::Lasting;

/// An agent that takes longer to say how it is, is not well.
const CHECK_MAX: Duration = Duration::from_secs(10);

pub(super) fn routes() -> Router<Page> {
    Router::new()
        .route("/api/web/house", get(house))
        .route("/api/web/agents/check", post(check))
        .route("/api/web/bans/lift", post(lift_ban))
}

async fn house(
    State(page): State<Page>,
    Extension(visitor): Extension<Visitor>,
) -> Result<Json<Value>, Problem> {
    let parts = page.parts();
    let (state, model, voice) = match &*parts.engines.borrow() {
        EngineState::Ready(engines) => (
            "ready",
            engines.ears.model.clone(),
            engines.voice.name.clone(),
        ),
        EngineState::Warming => ("warming", String::new(), String::new()),
        EngineState::Failed(_) => ("failed", String::new(), String::new()),
    };
    let mut value = json!({
        "version": env!("CARGO_PKG_VERSION"),
        "uptime_s": page.0.started.elapsed().as_secs(),
        "engines": { "state": state, "model": model, "voice": voice },
    });
    let snapshot = console::snapshot(&parts.commands).await;
    value["signalling"] = json!(snapshot.is_some());
    let Some(snapshot) = snapshot else {
        return Ok(Json(value));
    };
    let is_mine = |user: &str| visitor.is_owner() || user == visitor.person;
    let phones = snapshot.registrations.iter();
    value["phones"] = phones
        .filter(|phone| is_mine(&phone.user))
        .map(|phone| json!(phone))
        .collect();
    let calls = snapshot.calls.iter();
    value["calls"] = calls
        .filter(|call| is_mine(&call.user))
        .map(|call| json!(call))
        .collect();
    if !visitor.is_owner() {
        return Ok(Json(value));
    }
    value["accounts"] = json!(*parts.accounts.borrow());
    value["trunks"] = json!(snapshot.trunks);
    value["draining"] = json!(snapshot.draining);
    let agents = parts.agents.all().map(|profile| {
        let info = profile.gateway.describe();
        json!({
            "name": profile.name,
            "gateway": info.name,
            "model": info.model,
            "address": info.address,
            "demo": info.demo,
            "standing": profile.gateway.standing(),
        })
    });
    value["agents"] = agents.collect();
    let bans = parts.recorder.ask(|store| store.bans()).await?;
    let now = unix_ms();
    let bans = bans
        .iter()
        .filter(|ban| ban.until_unix_ms > now)
        .map(|ban| {
            json!({
                "address": ban.block.to_string(),
                "why": ban.why.as_str(),
                "since_unix_ms": ban.since_unix_ms,
                "until_unix_ms": ban.until_unix_ms,
                "times": ban.times,
            })
        });
    value["bans"] = bans.collect();
    Ok(Json(value))
}

/// Asks each agent whether it would answer.
async fn check(
    State(page): State<Page>,
    Extension(visitor): Extension<Visitor>,
) -> Result<Json<Value>, Problem> {
    owner_only(&visitor)?;
    let checks = page.parts().agents.all().map(|profile| async move {
        let found = timeout(CHECK_MAX, profile.gateway.check()).await;
        let (is_well, words) = match found {
            Ok(Ok(_)) => (true, "answers".to_owned()),
            Ok(Err(error)) => (false, error.to_string()),
            Err(_) => (false, format!("says nothing for {} s", CHECK_MAX.as_secs())),
        };
        json!({ "name": profile.name, "is_well": is_well, "words": words })
    });
    let agents = futures_util::future::join_all(checks).await;
    Ok(Json(json!({ "agents": agents })))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Address {
    address: String,
}

/// As `offhook bans remove`.
async fn lift_ban(
    State(page): State<Page>,
    Extension(visitor): Extension<Visitor>,
    body: Result<Bytes, BytesRejection>,
) -> Result<Response, Problem> {
    owner_only(&visitor)?;
    let Address { address } = api::json(body)?;
    let block: sip::Block = address
        .parse()
        .map_err(|_| Problem::new(StatusCode::BAD_REQUEST, "That is no address."))?;
    let parts = page.parts();
    let now = unix_ms();
    let bans = parts.recorder.ask(|store| store.bans()).await?;
    if !bans
        .iter()
        .any(|ban| ban.block == block && ban.until_unix_ms > now)
    {
        return Err(Problem::no_such("ban"));
    }
    parts.recorder.keep_now(Lasting::BanOver(block)).await?;
    // What signalling remembers is told at once; the file alone is looked at for the changes of others.
    let left = parts.recorder.ask(|store| store.bans()).await?;
    let told = parts
        .commands
        .send(crate::switchboard::Command::Bans(left))
        .await;
    told.map_err(|_| Problem::new(StatusCode::SERVICE_UNAVAILABLE, "The program is stopping."))?;
    Ok(StatusCode::NO_CONTENT.into_response())
}
