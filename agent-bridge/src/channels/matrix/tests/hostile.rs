//! What a homeserver in trouble may do, and others do not notice; and what the owner asks.

use super::*;

#[tokio::test]
async fn one_event_that_cannot_be_had_stops_nothing() {
    let stage = Stage::new().await;
    for _ in 0..50 {
        stage.server.fails("event", 500, json!({}));
    }
    let sign = json!({ "type": "m.reaction", "event_id": "$1", "sender": ANNA, "content": {
        "m.relates_to": { "rel_type": "m.annotation", "event_id": "$broken", "key": "✅" } } });
    let events = json!([sign, said("$2", ANNA, "hello")]);
    stage.server.tells("s1", ROOM, events);
    let mut running = stage.start();
    assert_eq!(words(&running.next(Ok(())).await), "hello");
}

#[tokio::test]
async fn a_homeserver_may_be_published_behind_a_redirect() {
    let _ = rustls::crypto::ring::default_provider().install_default();
    use axum::response::Redirect;
    use axum::routing::get;
    let published = json!({ "m.homeserver": { "base_url": "https://chat.a.example" } }).to_string();
    let router = axum::Router::new()
        .route(
            "/.well-known/matrix/client",
            get(|| async { Redirect::temporary("/elsewhere") }),
        )
        .route("/elsewhere", get(move || async move { published }));
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0")
        .await
        .expect("a free port");
    let address = listener.local_addr().expect("a bound socket");
    tokio::spawn(async move { axum::serve(listener, router).await });
    let base = http::base(&format!("http://{address}")).expect("an address");
    let named = http::Http::new(base).expect("a client");
    let found = discover(&named).await.expect("an answer");
    assert_eq!(found.address(), "https://chat.a.example");
}

#[tokio::test]
async fn a_check_logs_in_nowhere() {
    let mut stage = Stage::new().await;
    let found = check(&stage.config).await.expect("an answer");
    assert!(found.is_some_and(|found| found.starts_with(&format!("{OWN} at http://"))));
    stage
        .server
        .fails("whoami", 401, json!({ "errcode": "M_UNKNOWN_TOKEN" }));
    assert!(check(&stage.config).await.is_err());
    stage.with_password();
    assert_eq!(check(&stage.config).await, Ok(None));
    assert_eq!(count(&stage, "/login"), 0);
}
