//! What waits for a yes, on the page: the list, allow and deny, stop everything and lift. Owns who may do which from a
//! browser; the office decides and writes it down (`crate::approvals`).
//!
//! A browser that is signed in may have been left open. So the stop is lifted only by the owner, and with their PIN where
//! the account has one.

use std::collections::HashMap;
use std::sync::PoisonError;

use agent_bridge::approvals::Decision;
use agent_bridge::levels::{Level, Origin, Verdict, Wish, may};
use axum::body::Bytes;
use axum::extract::State;
use axum::extract::rejection::BytesRejection;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Extension, Json, Router};
use serde::Deserialize;
use serde_json::{Value, json};

use super::{Page, Visitor, owner_only};
use crate::api::{self, Problem};
use crate::approvals::ChannelError;
use crate::records::unix_ms;
use crate::redact::Secret;
use crate::secrets::SecretStore;

const CHANNEL: &str = "web";
/// Wrong PINs of one account in a day; then only `offhook approvals lift` helps.
const PIN_TRIES_MAX: u32 = 5;
const DAY_MS: u64 = 24 * 3600 * 1000;

/// Wrong PINs of a day, by account.
#[derive(Default)]
pub(super) struct PinTries {
    day: u64,
    wrong: HashMap<String, u32>,
}

impl PinTries {
    /// Counts a try before it is looked at, so that many at once are many.
    fn may(&mut self, person: &str, now_unix_ms: u64) -> bool {
        let day = now_unix_ms / DAY_MS;
        if day != self.day {
            *self = PinTries {
                day,
                wrong: HashMap::new(),
            };
        }
        let count = self.wrong.entry(person.to_owned()).or_default();
        *count += 1;
        *count <= PIN_TRIES_MAX
    }

    fn was_right(&mut self, person: &str) {
        self.wrong.remove(person);
    }
}

pub(super) fn routes() -> Router<Page> {
    Router::new()
        .route("/api/web/approvals", get(list).post(decide))
        .route("/api/web/approvals/stop", post(stop))
        .route("/api/web/approvals/lift", post(lift))
}

/// Whether this visitor may allow risky actions.
fn may_approve(page: &Page, visitor: &Visitor) -> bool {
    let authority = page
        .parts()
        .approvals
        .authority(&visitor.person, Origin::Account);
    let mut caller = authority.caller;
    caller.level = visitor.level;
    // Being stopped is said by the office.
    let rules = agent_bridge::levels::Rules {
        is_frozen: false,
        ..authority.rules
    };
    may(&caller, &rules, Wish::Approve) == Verdict::Yes
}

/// Requests of the visitor's own conversations; all of them for whoever may allow them.
async fn list(State(page): State<Page>, Extension(visitor): Extension<Visitor>) -> Json<Value> {
    let view = page.parts().approvals.view();
    let may_allow = may_approve(&page, &visitor);
    let own = format!("{}/", visitor.person);
    let waiting = view.waiting.iter();
    let waiting = waiting.filter(|row| may_allow || row.session.starts_with(&own));
    Json(json!({
        "is_frozen": view.is_frozen,
        "may_allow": may_allow,
        "may_lift": visitor.is_owner(),
        "waiting": waiting.collect::<Vec<_>>(),
    }))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Answer {
    id: String,
    allow: bool,
}

async fn decide(
    State(page): State<Page>,
    Extension(visitor): Extension<Visitor>,
    body: Result<Bytes, BytesRejection>,
) -> Result<Response, Problem> {
    let answer: Answer = api::json(body)?;
    let approvals = &page.parts().approvals;
    let own = format!("{}/", visitor.person);
    let view = approvals.view();
    let is_own =
        |row: &&crate::approvals::WaitingView| row.id == answer.id && row.session.starts_with(&own);
    let is_theirs = view.waiting.iter().any(|row| is_own(&row));
    // Refusing needs no right but that of being asked.
    let may_decide = may_approve(&page, &visitor) || (!answer.allow && is_theirs);
    if !may_decide {
        let why = "Your account may not allow this; the owner can.";
        return Err(Problem::new(StatusCode::FORBIDDEN, why));
    }
    let decision = match answer.allow {
        true => Decision::AllowOnce,
        false => Decision::Deny,
    };
    match approvals.decide(answer.id, decision, CHANNEL).await {
        Ok(()) => Ok(StatusCode::NO_CONTENT.into_response()),
        Err(error) => {
            let status = match error {
                ChannelError::NoSuch => StatusCode::NOT_FOUND,
                ChannelError::Frozen => StatusCode::CONFLICT,
                ChannelError::Gone => StatusCode::SERVICE_UNAVAILABLE,
            };
            Err(Problem::new(status, error.to_string()))
        }
    }
}

async fn stop(
    State(page): State<Page>,
    Extension(visitor): Extension<Visitor>,
) -> Result<Response, Problem> {
    if visitor.level < Level::Family {
        let why = "Guests may not stop this.";
        return Err(Problem::new(StatusCode::FORBIDDEN, why));
    }
    page.parts().approvals.set_frozen(true, CHANNEL).await;
    Ok(StatusCode::NO_CONTENT.into_response())
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Lift {
    #[serde(default)]
    pin: String,
}

async fn lift(
    State(page): State<Page>,
    Extension(visitor): Extension<Visitor>,
    body: Result<Bytes, BytesRejection>,
) -> Result<Response, Problem> {
    let Lift { pin } = api::json(body)?;
    owner_only(&visitor)?;
    let pins = &page.0.pin_tries;
    let person = visitor.person;
    let path = page.parts().home.secrets_path();
    let owner = person.clone();
    let found = tokio::task::spawn_blocking(move || {
        let pins = SecretStore::open(&path).map(|secrets| secrets.pins());
        pins.map(|mut pins| pins.remove(&owner))
    });
    let known = found.await.ok().and_then(Result::ok).ok_or_else(|| {
        Problem::new(
            StatusCode::SERVICE_UNAVAILABLE,
            "The secret store can't be read: see the log.",
        )
    })?;
    if let Some(known) = known {
        if pin.is_empty() {
            let why = "Lifting the stop needs your PIN.";
            return Err(Problem::new(StatusCode::PRECONDITION_REQUIRED, why));
        }
        let may_try = pins
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .may(&person, unix_ms());
        let pin = Secret::new(pin);
        let fits = may_try
            && tokio::task::spawn_blocking(move || known.fits(&pin))
                .await
                .unwrap_or(false);
        if !fits {
            let why = match may_try {
                true => "That is not your PIN.",
                false => {
                    "Too many wrong PINs today. `offhook approvals lift` on the machine still works."
                }
            };
            return Err(Problem::new(StatusCode::FORBIDDEN, why));
        }
        pins.lock()
            .unwrap_or_else(PoisonError::into_inner)
            .was_right(&person);
    }
    page.parts().approvals.set_frozen(false, CHANNEL).await;
    Ok(StatusCode::NO_CONTENT.into_response())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wrong_pins_are_counted_by_day_and_account() {
        let mut tries = PinTries::default();
        for n in 0..PIN_TRIES_MAX {
            assert!(tries.may("anna", 0), "{n}");
        }
        assert!(!tries.may("anna", DAY_MS - 1));
        assert!(tries.may("otto", 0));
        assert!(tries.may("anna", DAY_MS));
        tries.was_right("anna");
        for _ in 0..PIN_TRIES_MAX {
            assert!(tries.may("anna", DAY_MS));
        }
        assert!(!tries.may("anna", DAY_MS));
    }
}
