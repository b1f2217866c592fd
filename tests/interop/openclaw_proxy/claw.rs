//! A real OpenClaw for tests and benches, asking its model through our proxy; and the model, scripted. Owns their
//! processes and files. Where OpenClaw is not installed, `Claw::start` says so and gives none.

#[path = "../openclaw/history.rs"]
mod history;
#[path = "../openclaw/installed.rs"]
mod installed;
#[path = "../openclaw/launch.rs"]
mod launch;

use std::convert::Infallible;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use agent_bridge::gateways::Secret;
use agent_bridge::openclaw::{Client, ClientConfig, KeyFile};
use agent_bridge::proxy::{Proxy, ProxyConfig};
use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::State;
use axum::response::Response;
use axum::routing::post;
use futures_util::{StreamExt as _, stream};
use history::history;
use installed::installed;
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::time::Instant;

const GATEWAY_TOKEN: &str = "gateway-token-of-the-test";
pub const PROXY_TOKEN: &str = "proxy-token-of-the-test";
const BOOT_MAX: Duration = Duration::from_secs(150);

/// The model's side.
#[derive(Default)]
pub struct Model {
    pub first_token_ms: AtomicU64,
    pub tokens_per_s: AtomicU64,
    /// Bodies as they arrived.
    pub asked: Mutex<Vec<Vec<u8>>>,
    pub cancelled: AtomicUsize,
    /// What is said to a question that holds the key; a text that begins with `!` calls the tool whose name and arguments
    /// follow, and goes on with what stands under the tool's name.
    pub answers: Mutex<Vec<(String, String)>>,
}

impl Model {
    pub fn say(&self, to: &str, answer: &str) {
        let mut answers = self.answers.lock().expect("no panic");
        answers.insert(0, (to.to_owned(), answer.to_owned()));
    }

    pub fn asked(&self) -> usize {
        self.asked.lock().expect("no panic").len()
    }

    /// The last request that holds these words: OpenClaw asks for other things besides.
    pub fn last_body(&self, words: &str) -> Value {
        let asked = self.asked.lock().expect("no panic");
        let mut bodies = asked.iter().rev().map(|body| String::from_utf8_lossy(body));
        let body = bodies.find(|body| body.contains(words)).expect("asked");
        serde_json::from_str(&body).expect("JSON")
    }

    fn answer(&self, body: &Value) -> String {
        let messages = body["messages"].as_array().cloned().unwrap_or_default();
        let text = |message: &Value| match &message["content"] {
            Value::String(text) => text.clone(),
            Value::Array(parts) => parts.iter().filter_map(|p| p["text"].as_str()).collect(),
            _ => String::new(),
        };
        let is_said = |m: &&Value| m["role"] != "user" || !text(m).starts_with("<<<");
        let last = messages.iter().rev().find(is_said);
        let key = last.map_or_else(String::new, |last| match last["role"].as_str() {
            Some("tool") => "tool result".to_owned(),
            _ => text(last),
        });
        let answers = self.answers.lock().expect("no panic");
        let found = answers.iter().find(|(to, _)| key.contains(to.as_str()));
        found.map_or_else(|| "I see.".to_owned(), |(_, answer)| answer.clone())
    }
}

struct Cancelled(Arc<Model>, bool);

impl Drop for Cancelled {
    fn drop(&mut self) {
        if !self.1 {
            self.0.cancelled.fetch_add(1, Ordering::SeqCst);
        }
    }
}

async fn complete(State(model): State<Arc<Model>>, body: Bytes) -> Response {
    model.asked.lock().expect("no panic").push(body.to_vec());
    let asked: Value = serde_json::from_slice(&body).expect("JSON");
    let answer = model.answer(&asked);
    let event = |delta: Value, finish: Option<&str>| {
        let chunk = json!({ "id": "m", "object": "chat.completion.chunk", "created": 1, "model": "stub-1",
            "choices": [{ "index": 0, "delta": delta, "finish_reason": finish }] });
        format!("data: {chunk}\n\n")
    };
    let mut events = vec![event(json!({ "role": "assistant", "content": "" }), None)];
    let (text, call) = match answer.split_once('!') {
        Some((text, call)) => (text.to_owned(), call.split_once(' ')),
        None => (answer, None),
    };
    events.extend(
        text.split_inclusive(' ')
            .map(|word| event(json!({ "content": word }), None)),
    );
    if let Some((name, arguments)) = call {
        let id = format!("call_{}", model.asked());
        let call = json!([{ "index": 0, "id": id, "type": "function",
            "function": { "name": name, "arguments": arguments } }]);
        events.push(event(json!({ "tool_calls": call }), None));
    }
    let finish = if call.is_some() { "tool_calls" } else { "stop" };
    events.push(event(json!({}), Some(finish)));
    let usage = json!({ "prompt_tokens": 10, "completion_tokens": 5, "total_tokens": 15 });
    events.push(format!(
        "data: {}\n\n",
        json!({ "choices": [], "usage": usage })
    ));
    events.push("data: [DONE]\n\n".to_owned());
    let first = Duration::from_millis(model.first_token_ms.load(Ordering::Relaxed));
    let rate = model.tokens_per_s.load(Ordering::Relaxed).max(1);
    let began = Instant::now();
    let last = events.len() - 1;
    let mut open = Cancelled(model, false);
    let body = stream::iter(events.into_iter().enumerate()).then(move |(n, event)| {
        // The whole of it, so that it lives as long as the answer.
        let open = &mut open;
        open.1 |= n == last;
        let at = began + first + Duration::from_micros(n as u64 * 1_000_000 / rate);
        async move {
            tokio::time::sleep_until(at).await;
            Ok::<_, Infallible>(event)
        }
    });
    Response::builder()
        .header("content-type", "text/event-stream")
        .body(Body::from_stream(body))
        .expect("a response")
}

pub async fn listen(router: Router) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("loopback");
    let address = listener.local_addr().expect("bound");
    tokio::spawn(async move {
        use axum::serve::ListenerExt as _;
        let listener = listener.tap_io(|stream| drop(stream.set_nodelay(true)));
        axum::serve(listener, router).await
    });
    address
}

/// The model on loopback, and where.
pub async fn model() -> (Arc<Model>, SocketAddr) {
    let model = Arc::new(Model {
        tokens_per_s: AtomicU64::new(1_000),
        ..Model::default()
    });
    let routes = Router::new()
        .route("/v1/chat/completions", post(complete))
        .with_state(model.clone());
    (model, listen(routes).await)
}

/// A proxy before that model, and where.
pub async fn proxy(provider: SocketAddr) -> (Proxy, SocketAddr) {
    let _ = rustls::crypto::ring::default_provider().install_default();
    let proxy = Proxy::new(ProxyConfig {
        url: format!("http://{provider}/v1"),
        api_key: None,
        token: Secret::new(PROXY_TOKEN),
        body_bytes_max: 16 * 1024 * 1024,
        requests_max: 32,
    })
    .expect("a config");
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("loopback");
    let address = listener.local_addr().expect("bound");
    let serving = proxy.clone();
    tokio::spawn(async move { serving.serve(listener).await });
    (proxy, address)
}

/// The gateway's process. Its group ends with it.
pub struct Claw {
    child: Child,
    port: u16,
    folder: PathBuf,
}

impl Drop for Claw {
    fn drop(&mut self) {
        let group = format!("-{}", self.child.id());
        let _ = Command::new("kill").args(["-KILL", "--", &group]).status();
        let _ = self.child.wait();
        let _ = std::fs::remove_dir_all(&self.folder);
    }
}

impl Claw {
    /// Starts it, asking `proxy` for its model, and waits until it is ready. None: it is not installed here.
    pub async fn start(test: &str, proxy: SocketAddr) -> Option<Claw> {
        let installed = installed(test)?;
        let folder = std::env::temp_dir().join(format!("offhook-claw-{}", std::process::id()));
        let workspace = folder.join("workspace");
        std::fs::create_dir_all(&workspace).expect("a folder");
        let free = TcpListener::bind("127.0.0.1:0").await.expect("loopback");
        let port = free.local_addr().expect("bound").port();
        drop(free);
        let address = format!("http://{proxy}/v1");
        let provider = (address.as_str(), PROXY_TOKEN);
        let config = launch::config(port, GATEWAY_TOKEN, &workspace, provider);
        let path = folder.join("openclaw.json");
        std::fs::write(&path, config.to_string()).expect("written");
        let log = std::fs::File::create(folder.join("log")).expect("a log");
        let child = launch::command(&installed, &folder, &["gateway", "run"])
            .stdin(Stdio::null())
            .stderr(log.try_clone().expect("a log"))
            .stdout(log)
            .spawn()
            .expect("OpenClaw starts");
        let claw = Claw {
            child,
            port,
            folder,
        };
        let client = reqwest::Client::builder()
            .no_proxy()
            .build()
            .expect("a client");
        let began = Instant::now();
        loop {
            let asked = client
                .get(format!("http://127.0.0.1:{port}/readyz"))
                .send()
                .await;
            if asked.is_ok_and(|answer| answer.status().is_success()) {
                return Some(claw);
            }
            let log = || std::fs::read_to_string(claw.folder.join("log")).unwrap_or_default();
            assert!(
                began.elapsed() < BOOT_MAX,
                "OpenClaw does not start: {}",
                log()
            );
            tokio::time::sleep(Duration::from_millis(250)).await;
        }
    }

    pub fn workspace(&self) -> PathBuf {
        self.folder.join("workspace")
    }

    /// Our link to it.
    pub fn client(&self) -> Client {
        let key_file = self.folder.join("device.json");
        Client::start(ClientConfig {
            url: format!("ws://127.0.0.1:{}", self.port),
            token: Some(Secret::new(GATEWAY_TOKEN)),
            name: "Offhook".to_owned(),
            key_file: KeyFile::open_or_create(&key_file, [9; 32]).expect("a key"),
            seed: [1; 32],
        })
        .expect("a link")
    }

    /// The conversation as OpenClaw holds it: who spoke, and the words.
    pub async fn history(&self, session: &str) -> Vec<(String, String)> {
        history(self.port, GATEWAY_TOKEN, session).await
    }
}
