//! The proxy between a scripted provider and a scripted agent gateway, over real connections on loopback. Nothing is
//! timed: what is waited for is an event.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::State;
use axum::http::{HeaderMap, Uri};
use axum::response::Response;
use axum::routing::any;
use futures_util::{StreamExt as _, stream};
use tokio::net::TcpListener;
use tokio::sync::{Notify, Semaphore};

use super::pacing::NOTHING_HEARD;
use super::recording::tests::{answer, chunk};
use super::request::tests::body;
use super::*;
use crate::gateways::{GatewayError, Secret, Told};

pub(crate) const KEY: &str = "agent:main:voice:anna";
const TOKEN: &str = "ours";

/// What the provider answers next.
#[derive(Clone)]
pub(crate) struct Script {
    pub(crate) status: u16,
    pub(crate) kind: &'static str,
    pub(crate) pieces: Vec<Vec<u8>>,
    /// Pieces that wait for leave, from this one on.
    pub(crate) held_from: usize,
}

impl Script {
    pub(crate) fn words(words: &[&str]) -> Script {
        Script {
            status: 200,
            kind: "text/event-stream",
            pieces: answer(words),
            held_from: usize::MAX,
        }
    }
}

pub(crate) struct Seen {
    path: String,
    headers: HeaderMap,
    body: Vec<u8>,
}

#[derive(Default)]
pub(crate) struct Provider {
    scripts: Mutex<VecDeque<Script>>,
    seen: Mutex<Vec<Seen>>,
    closed: AtomicUsize,
    changed: Notify,
    leave: Option<Semaphore>,
}

struct Closing(Arc<Provider>);

impl Drop for Closing {
    fn drop(&mut self) {
        self.0.closed.fetch_add(1, SeqCst);
        self.0.changed.notify_waiters();
    }
}

async fn provide(
    State(provider): State<Arc<Provider>>,
    uri: Uri,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    let script = provider.scripts.lock().expect("no panic").pop_front();
    let script = script.unwrap_or_else(|| Script::words(&["Hello."]));
    provider.seen.lock().expect("no panic").push(Seen {
        path: uri.to_string(),
        headers,
        body: body.to_vec(),
    });
    provider.changed.notify_waiters();
    let closing = Closing(provider.clone());
    let pieces = stream::iter(script.pieces.into_iter().enumerate());
    let body = pieces.then(move |(n, piece)| {
        let provider = closing.0.clone();
        let _closing = &closing;
        async move {
            if n >= script.held_from {
                let leave = provider.leave.as_ref().expect("a test that holds");
                leave.acquire().await.expect("open").forget();
            }
            Ok::<_, Infallible>(piece)
        }
    });
    Response::builder()
        .status(script.status)
        .header("content-type", script.kind)
        .header("x-provider", "yes")
        .header("keep-alive", "timeout=1")
        .body(Body::from_stream(body))
        .expect("a response")
}

async fn listen(router: Router) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("loopback");
    let address = listener.local_addr().expect("bound");
    tokio::spawn(async move { axum::serve(listener, router).await });
    address
}

pub(crate) struct World {
    pub(crate) provider: Arc<Provider>,
    pub(crate) proxy: Proxy,
    pub(crate) client: reqwest::Client,
    pub(crate) base: String,
    pub(crate) dialogue: Vec<(String, String)>,
}

impl World {
    pub(crate) async fn new() -> World {
        World::with(8, 64 * 1024).await
    }

    async fn with(requests_max: usize, body_bytes_max: usize) -> World {
        let _ = rustls::crypto::ring::default_provider().install_default();
        let provider = Arc::new(Provider {
            leave: Some(Semaphore::new(0)),
            ..Provider::default()
        });
        let stub = Router::new()
            .fallback(any(provide))
            .with_state(provider.clone());
        let address = listen(stub).await;
        let proxy = Proxy::new(ProxyConfig {
            url: format!("http://{address}/v1/"),
            api_key: Some(Secret::new("theirs")),
            token: Secret::new(TOKEN),
            body_bytes_max,
            requests_max,
        })
        .expect("a config");
        let base = format!("http://{}", listen(proxy.routes()).await);
        World {
            provider,
            proxy,
            client: reqwest::Client::builder()
                .no_proxy()
                .build()
                .expect("a client"),
            base,
            dialogue: Vec::new(),
        }
    }

    pub(crate) fn script(&self, script: Script) {
        self.provider
            .scripts
            .lock()
            .expect("no panic")
            .push_back(script);
    }

    pub(crate) fn seen(&self) -> usize {
        self.provider.seen.lock().expect("no panic").len()
    }

    pub(crate) async fn until_asked(&self, count: usize) {
        self.until(|world| world.seen() >= count).await;
    }

    pub(crate) fn seen_body(&self, n: usize) -> Vec<u8> {
        self.provider.seen.lock().expect("no panic")[n].body.clone()
    }

    async fn until(&self, is_so: impl Fn(&World) -> bool) {
        loop {
            let changed = self.provider.changed.notified();
            tokio::pin!(changed);
            changed.as_mut().enable();
            if is_so(self) {
                return;
            }
            changed.await;
        }
    }

    pub(crate) async fn closed(&self, count: usize) {
        self.until(|world| world.provider.closed.load(SeqCst) >= count)
            .await;
    }

    fn real(&self) -> Vec<u8> {
        let dialogue: Vec<_> = self
            .dialogue
            .iter()
            .map(|(r, t)| (r.as_str(), t.as_str()))
            .collect();
        body(KEY, &dialogue)
    }

    async fn post(&self, body: Vec<u8>) -> reqwest::Response {
        let request = self
            .client
            .post(format!("{}/v1/chat/completions", self.base));
        let request = request.bearer_auth(TOKEN).header("x-mine", "1").body(body);
        request.send().await.expect("an answer")
    }

    /// A turn that nobody foretold, so that the next ones can be.
    pub(crate) async fn familiar() -> World {
        let mut world = World::new().await;
        let mut reply = world.proxy.begin(KEY, "Hi.");
        reply.commit();
        world.dialogue.push(("user".into(), "Hi.".into()));
        let response = world.post(world.real()).await;
        assert_eq!(reply.next().await, Spoken::Text("Hello.".into()));
        assert_eq!(reply.next().await, Spoken::Done);
        reply.told(&heard("Hello.", true));
        let text = response.bytes().await.expect("the answer");
        assert_eq!(text, answer(&["Hello."]).concat());
        world.dialogue.push(("assistant".into(), "Hello.".into()));
        world
    }
}

pub(crate) fn heard(text: &str, is_over: bool) -> Told {
    Told {
        is_committed: true,
        heard: text.to_owned(),
        is_over,
    }
}

async fn spoken(reply: &mut Reply) -> String {
    let mut all = String::new();
    loop {
        match reply.next().await {
            Spoken::Text(text) => all.push_str(&text),
            Spoken::Done => return all,
            other => panic!("{other:?}"),
        }
    }
}

/// The words of an answer as an agent gateway reads them.
pub(crate) fn words(bytes: &[u8]) -> String {
    let mut frames = super::frames::Frames::default();
    frames.push(bytes).expect("short");
    let mut recording = super::recording::Recording::default();
    while let Some(frame) = frames.next_frame() {
        recording.push(frame);
    }
    assert!(
        recording.ending().is_some(),
        "{}",
        String::from_utf8_lossy(bytes)
    );
    recording.text().to_owned()
}

#[tokio::test]
async fn what_is_not_of_a_call_passes_byte_for_byte() {
    let odd = vec![
        b"data: {\"choices\":[ {\"delta\":{\"content\":\"a\"}} ]}\r\n\r\n".to_vec(),
        b": ping\n\n\n\ndata: \xff\xfe\n".to_vec(),
        b"nonsense without an end".to_vec(),
    ];
    let error = vec![b"{\"error\":{\"code\":\"slow_down\"}}".to_vec()];
    for (status, kind, pieces, body) in [
        (
            200,
            "text/event-stream",
            odd.clone(),
            body("agent:main:main", &[("user", "Hi.")]),
        ),
        (
            200,
            "text/event-stream",
            odd,
            b"{\"messages\": [ ] , \"x\":1}".to_vec(),
        ),
        (
            200,
            "application/json",
            error.clone(),
            b"not JSON at all \xff".to_vec(),
        ),
        (
            429,
            "application/json",
            error.clone(),
            body(KEY, &[("user", "Hi.")]),
        ),
        (500, "text/html", error, body(KEY, &[("user", "Hi.")])),
    ] {
        let world = World::new().await;
        world.script(Script {
            status,
            kind,
            pieces: pieces.clone(),
            held_from: usize::MAX,
        });
        let response = world.post(body.clone()).await;
        assert_eq!(response.status().as_u16(), status);
        assert_eq!(response.headers()["content-type"], kind);
        assert_eq!(response.headers()["x-provider"], "yes");
        assert!(!response.headers().contains_key("keep-alive"));
        assert_eq!(response.bytes().await.expect("all of it"), pieces.concat());
        let seen = world.provider.seen.lock().expect("no panic");
        assert_eq!(seen[0].body, body);
        assert_eq!(seen[0].path, "/v1/chat/completions");
        assert_eq!(seen[0].headers["authorization"], "Bearer theirs");
        assert_eq!(seen[0].headers["x-mine"], "1");
    }
}

#[tokio::test]
async fn other_paths_below_the_base_pass_and_no_others() {
    let world = World::new().await;
    for (path, status) in [
        ("/v1/models", 200),
        ("/v1/models/a%20b?x=1", 200),
        ("/v1/embeddings", 200),
        ("/v1/%2e%2e/admin", 404),
        ("/v1/a/..%2fadmin", 404),
        ("/healthz", 404),
    ] {
        let request = world
            .client
            .get(format!("{}{path}", world.base))
            .bearer_auth(TOKEN);
        let response = request.send().await.expect("an answer");
        assert_eq!(response.status().as_u16(), status, "{path}");
        if status == 200 {
            let seen = world.provider.seen.lock().expect("no panic");
            assert_eq!(seen.last().expect("asked").path, path);
        }
    }
}

#[tokio::test]
async fn strangers_and_too_much_are_refused() {
    let world = World::with(1, 1000).await;
    let url = format!("{}/v1/chat/completions", world.base);
    for token in [None, Some(""), Some("our"), Some("theirs")] {
        let mut request = world.client.post(&url).body("{}");
        if let Some(token) = token {
            request = request.bearer_auth(token);
        }
        let response = request.send().await.expect("an answer");
        assert_eq!(response.status().as_u16(), 401);
    }
    assert_eq!(world.post(vec![b'x'; 1001]).await.status().as_u16(), 413);
    assert_eq!(world.seen(), 0);
    let mut script = Script::words(&["a"]);
    script.held_from = 1;
    world.script(script);
    let first = world.post(b"{}".to_vec()).await;
    assert_eq!(world.post(b"{}".to_vec()).await.status().as_u16(), 503);
    drop(first);
    world.closed(1).await;
}

#[tokio::test]
async fn a_right_guess_is_there_before_the_agent_gateway_asks() {
    let mut world = World::familiar().await;
    let said = answer(&["It", " is", " ten."]);
    world.script(Script::words(&["It", " is", " ten."]));
    let mut reply = world.proxy.begin(KEY, "What time is it?");
    assert_eq!(spoken(&mut reply).await, "It is ten.");
    reply.commit();
    world
        .dialogue
        .push(("user".into(), "What time is it?".into()));
    let response = world.post(world.real()).await;
    reply.arrival().await;
    // What differs is at most the minute.
    let counts = world.proxy.counts();
    assert_eq!(counts.exact + counts.passing, 1);
    let early = String::from_utf8(world.seen_body(1)).expect("text");
    assert!(early.contains("What time is it?\"}"), "{early}");
    reply.told(&heard("It is ten.", true));
    assert_eq!(
        response.headers()["content-type"],
        "text/event-stream; charset=utf-8"
    );
    assert_eq!(response.bytes().await.expect("all"), said.concat());
    assert_eq!(world.seen(), 2, "the provider was asked once for it");
    let seen = world.provider.seen.lock().expect("no panic");
    assert_eq!(
        seen[1].headers["x-mine"], "1",
        "asked like the agent gateway asks"
    );
    assert_eq!(seen[1].headers["authorization"], "Bearer theirs");
}

#[tokio::test]
async fn a_wrong_guess_closes_its_request_at_once() {
    let world = World::familiar().await;
    let mut script = Script::words(&["It", " is"]);
    script.held_from = 2;
    world.script(script);
    let mut reply = world.proxy.begin(KEY, "What time");
    assert_eq!(reply.next().await, Spoken::Text("It".into()));
    drop(reply);
    world.closed(2).await;
    assert_eq!(world.proxy.counts().requests, 1);
}

#[tokio::test]
async fn an_interrupted_reply_ends_there_and_stops_the_model() {
    for (told, wanted) in [("It is", "It is"), ("", NOTHING_HEARD)] {
        let mut world = World::familiar().await;
        let mut script = Script::words(&["It", " is", " ten", " o'clock."]);
        script.held_from = 4;
        world.script(script);
        let mut reply = world.proxy.begin(KEY, "What time is it?");
        reply.commit();
        let mut all = String::new();
        while all != "It is ten" {
            match reply.next().await {
                Spoken::Text(text) => all.push_str(&text),
                other => panic!("{other:?}"),
            }
        }
        world
            .dialogue
            .push(("user".into(), "What time is it?".into()));
        let response = world.post(world.real()).await;
        reply.told(&heard(told, true));
        drop(reply);
        let answer = response.bytes().await.expect("all of it");
        assert_eq!(words(&answer), wanted);
        world.closed(2).await;
    }
}

#[tokio::test]
async fn an_agent_gateway_that_hangs_up_stops_the_model() {
    for is_of_a_call in [false, true] {
        let mut world = World::familiar().await;
        let mut script = Script::words(&["It", " is"]);
        script.held_from = 2;
        world.script(script);
        world
            .dialogue
            .push(("assistant".into(), "Somebody else's.".into()));
        world.dialogue.push(("user".into(), "Well?".into()));
        let mut reply = None;
        if is_of_a_call {
            let begun = world.proxy.begin(KEY, "Well?");
            begun.commit();
            // Its guess is another request.
            reply = Some(begun);
            world.until(|world| world.seen() == 2).await;
            world.script(Script {
                held_from: 2,
                ..Script::words(&["Now", " then"])
            });
        }
        let before = world.provider.closed.load(SeqCst);
        let mut response = world.post(world.real()).await;
        let _ = response.chunk().await;
        drop(response);
        world.closed(before + 1).await;
        drop(reply);
    }
}

#[tokio::test]
async fn a_failed_guess_is_the_agent_gateways_own_question() {
    let mut world = World::familiar().await;
    let error = |status| Script {
        status,
        kind: "application/json",
        pieces: vec![b"{\"error\":{\"message\":\"slow down\"}}".to_vec()],
        held_from: usize::MAX,
    };
    world.script(error(429));
    let mut reply = world.proxy.begin(KEY, "What time is it?");
    assert_eq!(reply.next().await, Spoken::Failed);
    assert_eq!(
        reply.error(),
        GatewayError::RateLimited { retry_after: None }
    );
    drop(reply);
    // The second time it is committed before it fails, and the agent gateway tries again.
    world.script(error(429));
    world.script(error(503));
    world.script(Script::words(&["It is ten."]));
    let mut reply = world.proxy.begin(KEY, "What time is it?");
    reply.commit();
    world
        .dialogue
        .push(("user".into(), "What time is it?".into()));
    let response = world.post(world.real()).await;
    assert_eq!(response.status().as_u16(), 503, "as the provider said it");
    assert_eq!(
        response.text().await.expect("a text"),
        "{\"error\":{\"message\":\"slow down\"}}"
    );
    let response = world.post(world.real()).await;
    assert_eq!(spoken(&mut reply).await, "It is ten.");
    reply.told(&heard("It is ten.", true));
    assert_eq!(words(&response.bytes().await.expect("all")), "It is ten.");
}

#[tokio::test]
async fn tools_go_through_at_once_and_their_answer_is_spoken() {
    let mut world = World::familiar().await;
    let call = "{\"tool_calls\":[{\"index\":0,\"id\":\"c\",\"function\":{\"name\":\"calendar\",\"arguments\":\"{}\"}}]}";
    let mut script = Script::words(&["Let me look."]);
    script.pieces[2] = chunk(call, None);
    script.pieces[3] = chunk("{}", Some("tool_calls"));
    let flushed = script.pieces.concat();
    world.script(script);
    let mut reply = world.proxy.begin(KEY, "What is on?");
    assert_eq!(reply.next().await, Spoken::Text("Let me look.".into()));
    assert_eq!(reply.next().await, Spoken::Tool("calendar".into()));
    assert_eq!(
        world.proxy.counts().requests,
        1,
        "no tool before the commit"
    );
    reply.commit();
    world.dialogue.push(("user".into(), "What is on?".into()));
    let response = world.post(world.real()).await;
    assert_eq!(response.bytes().await.expect("all"), flushed);
    world
        .dialogue
        .push(("assistant".into(), "Let me look.".into()));
    world.dialogue.push(("tool".into(), "Lunch.".into()));
    world.script(Script::words(&["Lunch", " it is."]));
    let response = world.post(world.real()).await;
    assert_eq!(spoken(&mut reply).await, "\n\nLunch it is.");
    reply.told(&heard("Let me look. Lunch", true));
    assert_eq!(words(&response.bytes().await.expect("all")), "Lunch");
}

#[tokio::test]
async fn a_warm_up_costs_the_provider_nothing() {
    let world = World::new().await;
    let warm = body("agent:main:voice:warmup", &[("user", ".")]);
    let response = world.post(warm).await;
    assert_eq!(words(&response.bytes().await.expect("all")), "ok");
    assert_eq!(world.seen(), 0);
    assert!(world.proxy.knows(KEY));
}

#[tokio::test]
async fn a_provider_that_is_gone_is_said_to_be() {
    let _ = rustls::crypto::ring::default_provider().install_default();
    let unused = TcpListener::bind("127.0.0.1:0").await.expect("loopback");
    let address = unused.local_addr().expect("bound");
    drop(unused);
    let mut world = World::new().await;
    world.proxy = Proxy::new(ProxyConfig {
        url: format!("http://{address}"),
        ..world.proxy.shared.config.clone()
    })
    .expect("a config");
    world.base = format!("http://{}", listen(world.proxy.routes()).await);
    let response = world.post(b"{}".to_vec()).await;
    assert_eq!(response.status().as_u16(), 502);
    let text = response.text().await.expect("a text");
    assert!(
        text.contains("connection refused") && !text.contains(&address.to_string()),
        "{text}"
    );
}

#[test]
fn addresses_are_checked() {
    let _ = rustls::crypto::ring::default_provider().install_default();
    for (url, wanted) in [
        ("http://127.0.0.1:1", Ok("http://127.0.0.1:1/v1")),
        ("http://h/v1/chat/completions", Ok("http://h/v1")),
        ("https://h/openai/v1/?a=b#c", Ok("https://h/openai/v1")),
        ("ftp://h", Err(ProxyError::Url)),
        ("h", Err(ProxyError::Url)),
        ("http://me:word@h/v1", Err(ProxyError::Credentials)),
    ] {
        let proxy = Proxy::new(ProxyConfig {
            url: url.to_owned(),
            api_key: None,
            token: Secret::new("t"),
            body_bytes_max: 1,
            requests_max: 1,
        });
        let found = proxy.map(|proxy| proxy.shared.base_text());
        assert_eq!(found, wanted.map(str::to_owned), "{url}");
    }
}
