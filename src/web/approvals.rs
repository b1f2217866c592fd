//! What waits for a yes, on the page: the list, allow and deny, stop everything and lift. Owns who may do which from a
//! browser; the office decides and writes it down (`crate::approvals`).
//!
//! A browser that is signed in may have been left open. So the stop is lifted only by the owner, and with their PIN where
//! the account has one.

use agent_bridge::approvals::Decision;
use agent_bridge::approvals::desk::PinVerdict;
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
use crate::redact::Secret;

const CHANNEL: &str = "web";

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
    let approvals = &page.parts().approvals;
    let caller = approvals.authority(&visitor.person, Origin::Account).caller;
    if caller.pin.is_some() {
        if pin.is_empty() {
            let why = "Lifting the stop needs your PIN.";
            return Err(Problem::new(StatusCode::PRECONDITION_REQUIRED, why));
        }
        // The office counts, for calls and the page together.
        let tried = approvals.try_pin(&visitor.person, Secret::new(pin), CHANNEL);
        let why = match tried.await {
            PinVerdict::Right(_) => None,
            PinVerdict::Wrong { tries_left: 1.. } => Some("That is not your PIN."),
            PinVerdict::Wrong { tries_left: 0 } => Some(
                "Too many wrong PINs today. `offhook approvals lift` on the machine still works.",
            ),
            PinVerdict::Failed => Some("The PIN could not be looked at. Try again."),
        };
        if let Some(why) = why {
            return Err(Problem::new(StatusCode::FORBIDDEN, why));
        }
    }
    approvals.set_frozen(false, CHANNEL).await;
    Ok(StatusCode::NO_CONTENT.into_response())
}
