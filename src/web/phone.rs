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
use crate::signalling::page_phone::{Pass, Still};

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
        async move {
            let now = page.visitor(&headers, from.ip()).await;
            now.as_ref() == Some(&visitor)
        }
        .boxed()
    });
    let phones = &page.parts().phones;
    Json(phones.pass(Instant::now(), &person, still))
}
