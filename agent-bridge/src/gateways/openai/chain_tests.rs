//! A chain of two servers on loopback: how the first one fails, and what the caller's side gets.

use super::tests::{Act, StubServer, collect, good, http, sse};
use super::*;
use crate::router::{Router, RouterConfig};

const TOOL: &str = "data: {\"choices\":[{\"delta\":{\"tool_calls\":[{\"index\":0,\"id\":\"a\",\
                    \"function\":{\"name\":\"look\",\"arguments\":\"\"}}]}}]}\n\n";

#[tokio::test]
async fn the_next_answers_when_the_first_one_cannot() {
    let hello = "(Trying { gateway: \"tiny\" })Hello wörld 👋. done 2";
    let status = |status| Some(Act::Answer(http(status, "", "{}")));
    for (first, wanted) in [
        // Nobody listens there.
        (None, hello),
        (status(500), hello),
        (status(503), hello),
        (
            Some(Act::Answer(http(429, "retry-after: 60\r\n", "{}"))),
            hello,
        ),
        (status(401), hello),
        (status(404), hello),
        // It accepts and says nothing, or nothing but that it is there.
        (Some(Act::Hang(Vec::new())), hello),
        (Some(Act::Hang(sse(": queued\n\n"))), hello),
        // A tool may be at work: told at once, and never asked for elsewhere.
        (Some(Act::Answer(sse(TOOL))), "(look) Cut"),
        (Some(Act::Answer(good())), "Hello wörld 👋. done 2"),
    ] {
        let case = format!("{first:?}");
        let first = StubServer::new(first.into_iter().collect()).await;
        let second = StubServer::new(vec![Act::Answer(good())]).await;
        let quick = |config: &mut OpenAiConfig| config.retries_max = 0;
        let router = Router::new(
            Arc::new(first.gateway_with(quick)),
            vec![Arc::new(second.gateway())],
            RouterConfig {
                fallback_after_ms: 250,
                ..RouterConfig::default()
            },
        );
        let mut request = super::tests::request();
        request.speculative = false;
        assert_eq!(collect(&router, request).await, wanted, "{case}");
        // Nothing is left open at the first one, or it would wait for ever.
        first.served.await.expect("the stub ends");
        second.served.abort();
    }
}

#[tokio::test]
async fn thinking_aloud_is_life() {
    let thought = "data: {\"choices\":[{\"delta\":{\"reasoning_content\":\"hm\"}}]}\n\n";
    let end = String::from_utf8(good()).expect("text");
    let body = end.split_once("\r\n\r\n").expect("a head").1;
    let server =
        StubServer::new(vec![Act::Answer(sse(&format!("{thought}{thought}{body}")))]).await;
    let seen = collect(&server.gateway(), super::tests::request()).await;
    assert_eq!(seen, "(Waiting)Hello wörld 👋. done 2");
}
