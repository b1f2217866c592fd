//! The gateway against stub servers on loopback: what they send is scripted, the sockets are real.

use std::net::SocketAddr;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;

use super::*;
use crate::gateways::{Message, Progress, Role, ToolSpec, Usage};
use crate::turn::ReplyId;

/// What a stub server does with one connection.
#[derive(Debug, Clone)]
pub(super) enum Act {
    /// Sends these bytes, then closes.
    Answer(Vec<u8>),
    /// Sends these bytes one by one, then closes.
    Dribble(Vec<u8>),
    /// Sends these bytes, then waits until the client closes.
    Hang(Vec<u8>),
    /// Sends the head, then the same bytes for ever.
    Endless(Vec<u8>, Vec<u8>),
}

pub(super) struct StubServer {
    address: SocketAddr,
    /// The requests, in order; ends when the script does.
    pub(super) served: JoinHandle<Vec<String>>,
}

impl StubServer {
    /// One act per connection, then no more are accepted.
    pub(super) async fn new(acts: Vec<Act>) -> StubServer {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("loopback");
        let address = listener.local_addr().expect("bound");
        let served = tokio::spawn(async move {
            let mut requests = Vec::new();
            for act in acts {
                let Ok((mut stream, _)) = listener.accept().await else {
                    break;
                };
                requests.push(read_request(&mut stream).await);
                perform(&mut stream, act).await;
            }
            requests
        });
        StubServer { address, served }
    }

    pub(super) fn gateway(&self) -> OpenAi {
        self.gateway_with(|_| {})
    }

    pub(super) fn gateway_with(&self, change: impl FnOnce(&mut OpenAiConfig)) -> OpenAi {
        let mut config = OpenAiConfig {
            url: format!("http://{}/v1", self.address),
            model: "tiny".into(),
            api_key: Some(Secret::new("sesame")),
            ..OpenAiConfig::default()
        };
        change(&mut config);
        // A second installation only finds the first one there.
        let _ = rustls::crypto::ring::default_provider().install_default();
        OpenAi::new(config, [7; 32]).expect("a valid config")
    }
}

pub(super) async fn read_request(stream: &mut TcpStream) -> String {
    let mut bytes = Vec::new();
    let mut buffer = [0u8; 4096];
    loop {
        let text = String::from_utf8_lossy(&bytes).into_owned();
        if let Some((head, body)) = text.split_once("\r\n\r\n") {
            let length = head
                .lines()
                .find_map(|line| {
                    line.to_ascii_lowercase()
                        .strip_prefix("content-length:")?
                        .trim()
                        .parse()
                        .ok()
                })
                .unwrap_or(0);
            if body.len() >= length {
                return text;
            }
        }
        match stream.read(&mut buffer).await {
            Ok(0) | Err(_) => return text,
            Ok(length) => bytes.extend_from_slice(&buffer[..length]),
        }
    }
}

async fn perform(stream: &mut TcpStream, act: Act) {
    // The client may be gone; that is its right.
    match act {
        Act::Answer(bytes) => {
            let _ = stream.write_all(&bytes).await;
        }
        Act::Dribble(bytes) => {
            for byte in bytes {
                let _ = stream.write_all(&[byte]).await;
                let _ = stream.flush().await;
                tokio::task::yield_now().await;
            }
        }
        Act::Hang(bytes) => {
            let _ = stream.write_all(&bytes).await;
            let mut rest = Vec::new();
            let _ = stream.read_to_end(&mut rest).await;
        }
        Act::Endless(head, bytes) => {
            let _ = stream.write_all(&head).await;
            while stream.write_all(&bytes).await.is_ok() {}
        }
    }
}

pub(super) fn http(status: u16, headers: &str, body: &str) -> Vec<u8> {
    format!("HTTP/1.1 {status} X\r\nconnection: close\r\n{headers}\r\n{body}").into_bytes()
}

pub(super) fn sse(body: &str) -> Vec<u8> {
    http(200, "content-type: text/event-stream\r\n", body)
}

pub(super) fn delta(text: &str) -> String {
    let delta = serde_json::json!({"choices": [{"index": 0, "delta": {"content": text}}]});
    format!("data: {delta}\n\n")
}

const END: &str = "data: {\"choices\":[{\"delta\":{},\"finish_reason\":\"stop\"}]}\n\n\
                   data: {\"choices\":[],\"usage\":{\"prompt_tokens\":5,\"completion_tokens\":2}}\n\n\
                   data: [DONE]\n\n";

pub(super) fn good() -> Vec<u8> {
    sse(&format!("{}{}{END}", delta("Hello "), delta("wörld 👋.")))
}

pub(super) fn request() -> AskRequest {
    AskRequest {
        reply: ReplyId(1),
        session: "s".into(),
        system: "Be brief.".into(),
        messages: vec![Message {
            role: Role::User,
            text: "hello".into(),
        }],
        speculative: true,
        tools: vec![ToolSpec {
            name: "set_timer".into(),
            description: "d".into(),
            parameters: serde_json::json!({ "type": "object" }),
        }],
        rounds: Vec::new(),
    }
}

pub(super) async fn collect(gateway: &dyn Gateway, request: AskRequest) -> String {
    let (sender, mut receiver) = mpsc::channel(2);
    let _asked = gateway.ask(request, sender);
    let mut seen = String::new();
    while let Some(event) = receiver.recv().await {
        match event {
            GatewayEvent::Text(text) => seen.push_str(&text),
            GatewayEvent::ToolCall(call) => {
                seen.push_str(&format!("<{} {} {}>", call.id, call.name, call.arguments));
            }
            GatewayEvent::Progress(Progress::Tool { name }) => seen.push_str(&format!("({name})")),
            GatewayEvent::Progress(progress) => seen.push_str(&format!("({progress:?})")),
            GatewayEvent::Done { usage } => {
                let tokens = usage.map_or(0, |usage: Usage| usage.completion_tokens);
                seen.push_str(&format!(" done {tokens}"));
            }
            GatewayEvent::Failed(error) => seen.push_str(&format!(" {error:?}")),
        }
    }
    seen
}

async fn check(acts: Vec<Act>, wanted: &str) {
    let server = StubServer::new(acts.clone()).await;
    let gateway = server.gateway_with(|config| {
        config.first_token_timeout_ms = 2_000;
        config.retries_max = 2;
    });
    let seen = collect(&gateway, request()).await;
    assert_eq!(seen, wanted);
    // Every connection of the script was made, and no redirect or retry beyond it.
    drop(gateway);
    let served = server.served.await.expect("the stub ends");
    assert_eq!(served.len(), acts.len());
}

#[tokio::test]
async fn answers_of_all_shapes_are_understood() {
    let hello = "Hello wörld 👋. done 2";
    check(vec![Act::Answer(good())], hello).await;
    check(vec![Act::Dribble(good())], hello).await;
    let crlf = String::from_utf8(good())
        .expect("text")
        .replace("\n\n", "\r\n\r\n");
    check(vec![Act::Answer(crlf.into_bytes())], hello).await;
    // The end is marked, but the connection stays open.
    check(vec![Act::Hang(good())], hello).await;
    // No [DONE], but the model said that it was done.
    let body = format!(
        "{}data: {{\"choices\":[{{\"delta\":{{}},\"finish_reason\":\"stop\"}}]}}\n\n",
        delta("Hi")
    );
    check(vec![Act::Answer(sse(&body))], "Hi done 0").await;
    let whole =
        r#" {"choices":[{"message":{"content":"All at once."}}],"usage":{"completion_tokens":4}}"#;
    check(
        vec![Act::Answer(http(
            200,
            "content-type: application/json\r\n",
            whole,
        ))],
        "All at once. done 4",
    )
    .await;
    let tools = "data: {\"choices\":[{\"delta\":{\"tool_calls\":[{\"index\":0,\"id\":\"a\",\"function\":{\"name\":\"set_timer\",\"arguments\":\"{\\\"sec\"}}]}}]}\n\n\
                 data: {\"choices\":[{\"delta\":{\"tool_calls\":[{\"index\":0,\"function\":{\"arguments\":\"onds\\\":5}\"}}]}}]}\n\n";
    let body = format!("{}{tools}{END}", delta("Sure. "));
    check(
        vec![Act::Answer(sse(&body))],
        "Sure. (set_timer)<a set_timer {\"seconds\":5}> done 2",
    )
    .await;
}

#[tokio::test]
async fn failures_are_told_apart() {
    for (answer, wanted) in [
        (http(500, "", "secret details"), " Server { status: 500 }"),
        (http(401, "", "{}"), " Unauthorized { status: 401 }"),
        (
            http(
                404,
                "",
                r#"{"error":{"message":"no such thing","code":"model_not_found"}}"#,
            ),
            " Refused { status: 404, code: \"model_not_found\" }",
        ),
        (
            http(302, "location: http://127.0.0.1:9/\r\n", ""),
            " Redirected { status: 302 }",
        ),
        (sse(&delta("Half a ")), "Half a  Cut"),
        (
            sse(&format!("{}data: {{\"cho", delta("Half a "))),
            "Half a  Cut",
        ),
        (
            sse("data: {\"error\":{\"message\":\"x\",\"type\":\"overloaded\"}}\n\n"),
            " Reported { code: \"overloaded\" }",
        ),
        (
            http(
                200,
                "content-type: text/html\r\n",
                "<html><body>Welcome</body></html>",
            ),
            " Protocol { why: \"there is no event in it\" }",
        ),
        (
            sse("data: no json\n\n"),
            " Protocol { why: \"it is not the JSON of a chat completion\" }",
        ),
        (
            sse(&format!("data: {}\n\n", "x".repeat(sse::EVENT_BYTES_MAX))),
            " Protocol { why: \"an event is too long\" }",
        ),
        (
            http(429, "retry-after: 3600\r\n", "{}"),
            " RateLimited { retry_after: Some(3600s) }",
        ),
        (
            http(503, "retry-after: 3600\r\n", "{}"),
            " RateLimited { retry_after: Some(3600s) }",
        ),
    ] {
        check(vec![Act::Answer(answer)], wanted).await;
    }
}

#[tokio::test]
async fn passing_failures_are_tried_again() {
    let hello = "Hello wörld 👋. done 2";
    let answer = |status| Act::Answer(http(status, "", "{}"));
    check(vec![answer(429), Act::Answer(good())], hello).await;
    check(vec![answer(503), answer(502), Act::Answer(good())], hello).await;
    check(
        vec![answer(503), answer(503), answer(504)],
        " Server { status: 504 }",
    )
    .await;
    // Closed without an answer.
    check(vec![Act::Answer(Vec::new()), Act::Answer(good())], hello).await;
}

#[tokio::test]
async fn nobody_there_is_known_at_once() {
    let server = StubServer::new(Vec::new()).await;
    let gateway = server.gateway_with(|config| config.retries_max = 0);
    // The script is over, so the socket is closed.
    server.served.await.expect("the stub ends");
    let wanted = " Unreachable { why: \"connection refused\" }";
    assert_eq!(collect(&gateway, request()).await, wanted);
    let error = gateway.check().await.expect_err("nobody there");
    assert_eq!(format!(" {error:?}"), wanted);
}

#[tokio::test]
async fn every_wait_ends() {
    for (hang, wanted) in [
        (Vec::new(), " Timeout(FirstToken)"),
        (sse(": still thinking\n\n"), " Timeout(FirstToken)"),
        (sse(&delta("Half")), "Half Timeout(Idle)"),
    ] {
        let server = StubServer::new(vec![Act::Hang(hang)]).await;
        let gateway = server.gateway_with(|config| {
            config.first_token_timeout_ms = 300;
            config.idle_timeout_ms = 50;
        });
        assert_eq!(collect(&gateway, request()).await, wanted);
        // The stub's connection was closed, or it would wait for ever.
        server.served.await.expect("the stub ends");
    }
}

#[tokio::test]
async fn an_endless_answer_ends() {
    let act = Act::Endless(sse(""), delta(&"blah ".repeat(2_000)).into_bytes());
    let server = StubServer::new(vec![act]).await;
    let seen = collect(&server.gateway(), request()).await;
    assert!(seen.ends_with(" done 0"), "{}", &seen[seen.len() - 40..]);
    server.served.await.expect("the stub ends");
}

#[tokio::test]
async fn cancelling_closes_the_request_upstream() {
    for drop_receiver in [false, true] {
        let server = StubServer::new(vec![Act::Hang(sse(&delta("Once upon")))]).await;
        let gateway = server.gateway();
        let (sender, mut receiver) = mpsc::channel(2);
        let asked = gateway.ask(request(), sender);
        assert_eq!(
            receiver.recv().await,
            Some(GatewayEvent::Text("Once upon".into()))
        );
        let (_kept_receiver, _kept_handle);
        if drop_receiver {
            drop(receiver);
            _kept_handle = asked;
        } else {
            asked.cancel();
            _kept_receiver = receiver;
        }
        // Ends only when the client closes.
        server.served.await.expect("the stub ends");
    }
}

#[tokio::test]
async fn the_request_is_what_such_servers_expect() {
    let server = StubServer::new(vec![Act::Answer(good())]).await;
    let gateway = server.gateway();
    collect(&gateway, request()).await;
    assert_eq!(
        gateway.describe().address,
        format!("http://{}", server.address)
    );
    let sent = server.served.await.expect("the stub ends").remove(0);
    let (head, body) = sent.split_once("\r\n\r\n").expect("a request");
    assert!(head.starts_with("POST /v1/chat/completions HTTP/1.1"));
    let head = head.to_ascii_lowercase();
    assert!(
        head.contains("\r\nauthorization: bearer sesame\r\n"),
        "{head}"
    );
    assert!(head.contains("\r\ncontent-type: application/json\r\n"));
    let body: serde_json::Value = serde_json::from_str(body).expect("JSON");
    assert_eq!(body["model"], "tiny");
    assert_eq!(body["messages"][1]["content"], "hello");
    assert_eq!(body["tools"][0]["function"]["name"], "set_timer");
}

#[tokio::test]
async fn checking_lists_models_and_warming_connects() {
    for (status, body, known) in [
        (
            200,
            r#"{"data":[{"id":"tiny"},{"id":"large"}]}"#,
            Some(true),
        ),
        (200, r#"{"data":[{"id":"large"}]}"#, Some(false)),
        (404, "", None),
    ] {
        let server = StubServer::new(vec![Act::Answer(http(status, "", body))]).await;
        let report = server.gateway().check().await.expect("alive");
        assert_eq!(report.model_known, known);
        let sent = server.served.await.expect("the stub ends").remove(0);
        assert!(sent.starts_with("GET /v1/models HTTP/1.1"));
    }
    let server = StubServer::new(vec![Act::Answer(http(401, "", ""))]).await;
    let error = server.gateway().check().await.expect_err("refused");
    assert_eq!(error, GatewayError::Unauthorized { status: 401 });
    let server = StubServer::new(vec![Act::Answer(http(200, "", "{}"))]).await;
    server.gateway().warm();
    assert_eq!(server.served.await.expect("the stub ends").len(), 1);
}

#[test]
fn addresses_are_completed_and_checked() {
    for (url, wanted) in [
        (
            "http://127.0.0.1:11434/v1",
            "http://127.0.0.1:11434/v1/chat/completions",
        ),
        (
            "http://127.0.0.1:11434/v1/",
            "http://127.0.0.1:11434/v1/chat/completions",
        ),
        (
            "http://localhost:8080",
            "http://localhost:8080/v1/chat/completions",
        ),
        (
            "https://example.com/api/v1/chat/completions",
            "https://example.com/api/v1/chat/completions",
        ),
        (
            "http://h/openai?version=2",
            "http://h/openai/chat/completions?version=2",
        ),
    ] {
        let (completions, models) = addresses(url).expect(url);
        assert_eq!(completions.as_str(), wanted);
        assert!(models.path().ends_with("/models"), "{models}");
    }
    for (url, wanted) in [
        ("", OpenAiConfigError::Url),
        ("127.0.0.1:11434", OpenAiConfigError::Url),
        ("ftp://h/v1", OpenAiConfigError::Url),
        ("http://me:word@h/v1", OpenAiConfigError::Credentials),
    ] {
        assert_eq!(addresses(url).expect_err(url), wanted);
    }
    for (url, wanted) in [
        ("http://127.0.0.1:1", true),
        ("http://[::1]:1", true),
        ("http://localhost", true),
        ("http://localhost.example.com", false),
        ("http://10.0.0.1", false),
    ] {
        assert_eq!(is_loopback(&Url::parse(url).expect(url)), wanted, "{url}");
    }
}

#[test]
fn keys_are_not_shown() {
    let config = OpenAiConfig {
        api_key: Some(Secret::new("sesame")),
        ..OpenAiConfig::default()
    };
    assert!(!format!("{config:?}").contains("sesame"));
    let _ = rustls::crypto::ring::default_provider().install_default();
    let config = OpenAiConfig {
        url: "http://h".into(),
        api_key: Some(Secret::new("line\nbreak")),
        ..OpenAiConfig::default()
    };
    assert_eq!(
        OpenAi::new(config, [0; 32]).err(),
        Some(OpenAiConfigError::Key)
    );
}

#[test]
fn only_known_model_servers_are_asked_early() {
    let list =
        |id: &str, owner: &str| serde_json::json!({ "data": [{ "id": id, "owned_by": owner }] });
    for (list, is_plain) in [
        (list("llama", "llamacpp"), true),
        (list("llama", "library"), true),
        (list("llama", "somebody"), false),
        // Proxies and agents call themselves that.
        (list("llama", "openai"), false),
        (list("other", "library"), false),
        (list("openclaw/default", "openai"), false),
        (
            serde_json::json!({ "data": [
                { "id": "llama", "owned_by": "library" },
                { "id": "openclaw", "owned_by": "openclaw" },
            ] }),
            false,
        ),
        (serde_json::json!({ "data": [{ "id": "llama" }] }), false),
        (serde_json::json!([]), false),
    ] {
        assert_eq!(super::is_plain_server(&list, "llama"), is_plain, "{list}");
    }
}
