//! The page's phone: a pass for its line, for whoever is signed in, and for as long. Owns that route; the line itself is
//! `signalling`'s.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Instant;

use axum::extract::{ConnectInfo, State};
use axum::http::HeaderMap;
use axum::routing::post;
use axum::{Extension, Json, Router};
use futures_util::FutureExt as _;

use super::{Page, Visitor};
use crate::signalling::page_phone::{Pass, Standing, Still};
use crate::store::StoreError;

pub(super) fn routes() -> Router<Page> {
    Router::new().route("/api/web/phone", post(pass))
}

async fn pass(
    State(page): State<Page>,
    ConnectInfo(from): ConnectInfo<SocketAddr>,
    Extension(visitor): Extension<Visitor>,
    headers: HeaderMap,
) -> Json<Pass> {
    let person = visitor.person.clone();
    let asked = page.clone();
    let still: Still = Arc::new(move || {
        let (page, visitor, headers) = (asked.clone(), visitor.clone(), headers.clone());
        async move { standing(&visitor, page.recognise(&headers, from.ip()).await) }.boxed()
    });
    let phones = &page.parts().phones;
    Json(phones.pass(Instant::now(), &person, still))
}

/// What the answer to "who is this?" says of whoever was given a pass.
fn standing(then: &Visitor, now: Result<Option<Visitor>, StoreError>) -> Standing {
    match now {
        Ok(now) if now.as_ref() == Some(then) => Standing::SignedIn,
        Ok(_) => Standing::SignedOut,
        Err(_) => Standing::Unknown,
    }
}

#[cfg(test)]
mod tests {
    use agent_bridge::levels::Level;

    use super::super::Way;
    use super::*;

    #[test]
    fn only_a_definite_no_signs_a_phone_out() {
        let visitor = |level| Visitor {
            person: "anna".to_owned(),
            level,
            way: Way::Cookie("hash".to_owned()),
        };
        let then = visitor(Level::Owner);
        let rows = [
            (Ok(Some(visitor(Level::Owner))), Standing::SignedIn),
            (Ok(Some(visitor(Level::Guest))), Standing::SignedOut),
            (Ok(None), Standing::SignedOut),
            (
                Err(StoreError::Unavailable { why: "busy" }),
                Standing::Unknown,
            ),
        ];
        for (now, expected) in rows {
            assert_eq!(standing(&then, now), expected);
        }
    }
}
