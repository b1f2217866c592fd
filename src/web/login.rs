//! Signing in by a link, signing out, and who is signed in: the routes, and the making of links for the banner and the
//! command line. A link is random, is kept as a hash, works once and for ten minutes.

use std::net::SocketAddr;
use std::sync::PoisonError;

use axum::body::Bytes;
use axum::extract::rejection::BytesRejection;
use axum::extract::{ConnectInfo, Path, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Extension, Json, Router};
use serde::Deserialize;
use serde_json::{Value, json};
use tracing::{info, warn};

use super::{Page, Visitor, Way, access, sessions};
use crate::api::{self, Problem};
use crate::records::unix_ms;
use crate::redact::Secret;
use crate::secrets::{SecretsError, generate};
use crate::store::{Store, StoreError, WebSessionRow};

/// Longest name of a browser that is kept.
const BROWSER_CHARS_MAX: usize = 300;
/// Digits of a session's hash that name it on the page.
const NAME_DIGITS: usize = 16;

/// Why there is no link.
#[derive(Debug, thiserror::Error)]
pub enum LinkError {
    #[error(transparent)]
    Random(#[from] SecretsError),
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Makes what stands in a link that signs `person` in once, within ten minutes (`sessions::links` writes the links).
pub fn make_link(store: &mut Store, person: &str) -> Result<Secret, LinkError> {
    let token = generate()?.token();
    let now = unix_ms();
    let hash = sessions::hash(token.expose());
    store.add_web_link(&hash, person, now, now + sessions::LINK_MS)?;
    Ok(token)
}

pub(super) fn routes_inside() -> Router<Page> {
    Router::new()
        .route("/api/web/me", get(me))
        .route("/api/web/logout", post(sign_out))
        .route("/api/web/sessions", get(list))
        .route("/api/web/sessions/{name}/end", post(end))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct SignIn {
    token: String,
}

/// `POST /api/web/login {"token"}`: 204 and a cookie.
pub(super) async fn sign_in(
    State(page): State<Page>,
    ConnectInfo(from): ConnectInfo<SocketAddr>,
    headers: HeaderMap,
    body: Result<Bytes, BytesRejection>,
) -> Result<Response, Problem> {
    let parts = page.parts();
    let web = &parts.config.web;
    // Otherwise another site could sign somebody in as somebody else.
    if !access::is_of_our_page(web, &headers) {
        let why = "Open the link in a browser: it signs in by itself.";
        return Err(Problem::new(StatusCode::FORBIDDEN, why));
    }
    let now = unix_ms();
    let tries = || page.0.tries.lock().unwrap_or_else(PoisonError::into_inner);
    let client = access::client(web, &headers, from.ip());
    let may_try = tries().may(client, now);
    if !may_try {
        let why = "Too many tries to sign in. Wait a minute.";
        return Err(Problem::new(StatusCode::TOO_MANY_REQUESTS, why));
    }
    let SignIn { token } = api::json(body)?;
    let over = || {
        let why = "This link was used already, or is older than ten minutes. `offhook login` prints a new one.";
        Problem::new(StatusCode::UNAUTHORIZED, why)
    };
    if !sessions::is_plausible(&token) {
        return Err(over());
    }
    let cookie = generate().map_err(|error| {
        tracing::error!(%error, "no session");
        Problem::new(
            StatusCode::SERVICE_UNAVAILABLE,
            "No session can be made now: see the log.",
        )
    })?;
    let cookie = cookie.token();
    let browser = headers.get(header::USER_AGENT);
    let browser = browser.and_then(|name| name.to_str().ok()).unwrap_or("");
    let session = WebSessionRow {
        hash: sessions::hash(cookie.expose()),
        person: String::new(),
        browser: browser.chars().take(BROWSER_CHARS_MAX).collect(),
        created_unix_ms: now,
        seen_unix_ms: now,
    };
    let link = sessions::hash(&token);
    let signed_in = parts
        .recorder
        .ask(move |store| store.use_web_link(&link, &session));
    let Some(person) = signed_in.await? else {
        warn!(from = %from.ip(), "a link to sign in was wrong, used or old");
        return Err(over());
    };
    info!(user = %person, from = %from.ip(), "signed in to the page");
    let is_https = access::is_https(web, &headers, from.ip());
    let cookie = sessions::set_cookie(web.port, &cookie, is_https);
    Ok((StatusCode::NO_CONTENT, [(header::SET_COOKIE, cookie)]).into_response())
}

/// Who is here, and what the page has to know before it shows anything.
async fn me(State(page): State<Page>, Extension(visitor): Extension<Visitor>) -> Json<Value> {
    let parts = page.parts();
    let numbers = parts.config.numbers.0.iter().map(|number| {
        json!({
            "number": number.number,
            "aliases": number.aliases,
            "to": crate::switchboard::service_name(number.to),
        })
    });
    let agents = parts.agents.all().map(|profile| {
        json!({
            "name": profile.name,
            "numbers": profile.numbers,
            "may": profile.levels.contains(&visitor.level),
        })
    });
    Json(json!({
        "person": visitor.person,
        "level": visitor.level,
        "is_owner": visitor.is_owner(),
        "by": match visitor.way {
            Way::Cookie(_) => "cookie",
            Way::Proxy => "proxy",
            Way::Token => "token",
        },
        "version": env!("CARGO_PKG_VERSION"),
        "numbers": numbers.collect::<Vec<_>>(),
        "agents": agents.collect::<Vec<_>>(),
        "is_demo": parts.agents.at("").gateway.describe().demo,
        "words_are_kept": parts.recorder.keeps_words(),
    }))
}

async fn sign_out(
    State(page): State<Page>,
    Extension(visitor): Extension<Visitor>,
) -> Result<Response, Problem> {
    if let Way::Cookie(hash) = visitor.way {
        let person = visitor.person;
        let ended = page
            .parts()
            .recorder
            .ask(move |store| store.end_web_sessions(&person, &hash));
        ended.await?;
        page.parts().phones.signed_out();
    }
    let cookie = sessions::clear_cookie(page.parts().config.web.port);
    Ok((StatusCode::NO_CONTENT, [(header::SET_COOKIE, cookie)]).into_response())
}

async fn list(
    State(page): State<Page>,
    Extension(visitor): Extension<Visitor>,
) -> Result<Json<Value>, Problem> {
    let person = visitor.person.clone();
    let rows = page
        .parts()
        .recorder
        .ask(move |store| store.web_sessions(&person))
        .await?;
    let rows = rows.iter().map(|row| {
        json!({
            // The beginning names it, and is no way to find the cookie.
            "name": row.hash.get(..NAME_DIGITS),
            "browser": row.browser,
            "since_unix_ms": row.created_unix_ms,
            "seen_unix_ms": row.seen_unix_ms,
            "is_this": visitor.way == Way::Cookie(row.hash.clone()),
        })
    });
    Ok(Json(json!({ "sessions": rows.collect::<Vec<_>>() })))
}

async fn end(
    State(page): State<Page>,
    Extension(visitor): Extension<Visitor>,
    Path(name): Path<String>,
) -> Result<Response, Problem> {
    let is_name = name.len() == NAME_DIGITS && name.bytes().all(|byte| byte.is_ascii_hexdigit());
    let ended = match is_name {
        true => {
            let person = visitor.person;
            let ended = page
                .parts()
                .recorder
                .ask(move |store| store.end_web_sessions(&person, &name));
            ended.await?
        }
        false => 0,
    };
    match ended {
        0 => Err(Problem::no_such("signed-in browser")),
        _ => {
            page.parts().phones.signed_out();
            Ok(StatusCode::NO_CONTENT.into_response())
        }
    }
}
