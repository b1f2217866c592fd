//! The page's phone: a pass for its line, for whoever is signed in. Owns that route; the line itself is `signalling`'s.

use std::time::Instant;

use axum::extract::State;
use axum::routing::post;
use axum::{Extension, Json, Router};

use super::{Page, Visitor};
use crate::signalling::page_phone::Pass;

pub(super) fn routes() -> Router<Page> {
    Router::new().route("/api/web/phone", post(pass))
}

async fn pass(State(page): State<Page>, Extension(visitor): Extension<Visitor>) -> Json<Pass> {
    let phones = &page.parts().phones;
    Json(phones.pass(Instant::now(), &visitor.person))
}
