//! A stand-in for an agent gateway, for measuring: OpenAI-compatible chat completions whose first token comes a set time
//! after the request and whose others follow at a set rate, and a log that shows what became of each request.
//! Owns the timing and the log; what is said is `answers`'s. It is no part of the program and knows nothing of it.
//!
//! The log holds one JSON object per request, written when it ended: `n`, `unix_ms`, `question` (these are the measuring
//! caller's own sentences), `tokens_sent` of `tokens`, `cancelled` by the client, `first_ms` and `ms` since the request.

mod stub_agent {
    pub mod answers;
}

use std::convert::Infallible;
use std::fs::File;
use std::io::Write;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use axum::Router;
use axum::body::Body;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::serve::ListenerExt as _;
use clap::Parser;
use futures_util::stream;
use serde_json::{Value, json};
use stub_agent::answers;
use tokio::time::{Instant, sleep_until};

#[derive(Parser)]
#[command(about = "An OpenAI-compatible agent with a stated speed, for measuring")]
struct Options {
    /// Address to listen on; port 0 takes a free one, printed as the first line of standard output
    #[arg(long, value_name = "ADDRESS:PORT", default_value = "127.0.0.1:8190")]
    listen: SocketAddr,
    /// From the request to the first token
    #[arg(long, value_name = "MS", default_value_t = 150)]
    first_token_ms: u64,
    /// Speed from then on
    #[arg(long, value_name = "N", default_value_t = 60.0, value_parser = rate)]
    tokens_per_s: f64,
    /// Sentences of an answer; the first one is short
    #[arg(long, value_name = "N", default_value_t = 3)]
    sentences: usize,
    /// Says no more after so many tokens, and leaves the connection open
    #[arg(long, value_name = "TOKENS")]
    hang_after: Option<usize>,
    /// Answers with this HTTP status instead
    #[arg(long, value_name = "STATUS")]
    fail: Option<u16>,
    /// Only every Nth request hangs or fails
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u64).range(1..))]
    every: u64,
    /// Calls this tool first, where the request offers it (without one: the first that is offered)
    #[arg(long, value_name = "NAME", num_args = 0..=1, default_missing_value = "")]
    tool: Option<String>,
    /// Arguments of that call, as JSON
    #[arg(long, value_name = "JSON", default_value = "{}")]
    tool_arguments: String,
    /// Prints every sentence it can say, one a line, and ends
    #[arg(long)]
    list: bool,
    /// Where the log goes instead of standard output
    #[arg(long, value_name = "FILE")]
    log: Option<PathBuf>,
}

struct Stub {
    options: Options,
    requests: AtomicU64,
    log: Mutex<Box<dyn Write + Send>>,
}

/// One answer on its way. Dropped when it is over or when the client has gone.
struct Answering {
    stub: Arc<Stub>,
    line: Value,
    began: Instant,
    events: Vec<String>,
    /// Events that carry a token; those after them end the stream.
    tokens: usize,
    sent: usize,
    first_at: Option<Instant>,
    hang_after: usize,
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let options = Options::parse();
    if options.list {
        for sentence in answers::sentences() {
            println!("{sentence}");
        }
        return Ok(());
    }
    let log: Box<dyn Write + Send> = match &options.log {
        Some(path) => Box::new(File::create(path)?),
        None => Box::new(std::io::stdout()),
    };
    let listener = tokio::net::TcpListener::bind(options.listen).await?;
    println!("http://{}/v1", listener.local_addr()?);
    let stub = Arc::new(Stub {
        options,
        requests: AtomicU64::new(0),
        log: Mutex::new(log),
    });
    let router = Router::new()
        .route("/v1/chat/completions", post(complete))
        .route("/v1/models", get(models))
        .with_state(stub);
    // Small pieces go out at once: a delay by Nagle's algorithm would count as the agent's.
    let listener = listener.tap_io(|socket| drop(socket.set_nodelay(true)));
    axum::serve(listener, router).await?;
    Ok(())
}

async fn models() -> Response {
    axum::Json(json!({ "object": "list", "data": [{ "id": "stub", "object": "model" }] }))
        .into_response()
}

async fn complete(
    State(stub): State<Arc<Stub>>,
    axum::Json(request): axum::Json<Value>,
) -> Response {
    let began = Instant::now();
    let n = stub.requests.fetch_add(1, Ordering::Relaxed) + 1;
    let options = &stub.options;
    let turn_out_badly = n.is_multiple_of(options.every);
    let question = question(&request);
    let unix_ms = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0, |since| since.as_millis() as u64);
    let mut line = json!({ "n": n, "unix_ms": unix_ms, "question": question });
    if let Some(status) = options.fail.filter(|_| turn_out_badly) {
        line["failed"] = json!(status);
        stub.write(&line);
        let status = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let error = json!({ "error": { "message": "told to fail", "type": "server_error" } });
        return (status, axum::Json(error)).into_response();
    }
    let call = tool_call(options, &request);
    line["tool"] = json!(call.as_ref().map(|(name, _)| name));
    let (events, tokens) = match call {
        Some((name, arguments)) => tool_events(n, &name, &arguments),
        None => text_events(&answers::answer(&question, options.sentences)),
    };
    let answering = Answering {
        stub: stub.clone(),
        line,
        began,
        events,
        tokens,
        sent: 0,
        first_at: None,
        hang_after: options
            .hang_after
            .filter(|_| turn_out_badly)
            .unwrap_or(usize::MAX),
    };
    if request["stream"] != json!(true) {
        return whole(answering, &question).await;
    }
    let body = stream::unfold(answering, |mut answering| async {
        let event = answering.next().await?;
        Some((Ok::<_, Infallible>(event), answering))
    });
    let headers = [
        (header::CONTENT_TYPE, "text/event-stream"),
        (header::CACHE_CONTROL, "no-cache"),
    ];
    (headers, Body::from_stream(body)).into_response()
}

/// The same answer in one document, when the last token would have come.
async fn whole(mut answering: Answering, question: &str) -> Response {
    while answering.next().await.is_some() {}
    let text = answers::answer(question, answering.stub.options.sentences);
    let choice = json!({
        "index": 0, "finish_reason": "stop", "message": { "role": "assistant", "content": text },
    });
    axum::Json(json!({ "object": "chat.completion", "model": "stub", "choices": [choice] }))
        .into_response()
}

/// What the caller said last. Lines before it are older questions that were not answered.
fn question(request: &Value) -> String {
    let messages = request["messages"]
        .as_array()
        .map_or(&[][..], Vec::as_slice);
    let last = messages
        .iter()
        .rev()
        .find(|message| message["role"] == "user");
    let content = last.map_or(&Value::Null, |message| &message["content"]);
    let text = match content {
        Value::Array(parts) => parts
            .iter()
            .filter_map(|part| part["text"].as_str())
            .collect(),
        other => other.as_str().unwrap_or_default().to_owned(),
    };
    text.lines().last().unwrap_or_default().to_owned()
}

fn tool_call(options: &Options, request: &Value) -> Option<(String, String)> {
    let wanted = options.tool.as_ref()?;
    let messages = request["messages"].as_array()?;
    // Its result came back: now there is something to say.
    if messages.last()?["role"] == "tool" {
        return None;
    }
    let names = request["tools"]
        .as_array()?
        .iter()
        .filter_map(|tool| tool["function"]["name"].as_str());
    let name = names
        .into_iter()
        .find(|name| wanted.is_empty() || name == wanted)?;
    Some((name.to_owned(), options.tool_arguments.clone()))
}

fn text_events(text: &str) -> (Vec<String>, usize) {
    let tokens = answers::tokens(text);
    let mut events: Vec<String> = tokens
        .iter()
        .map(|token| chunk(&json!({ "content": token }), None))
        .collect();
    events.push(chunk(&json!({}), Some("stop")));
    events.push("data: [DONE]\n\n".to_owned());
    (events, tokens.len())
}

fn tool_events(n: u64, name: &str, arguments: &str) -> (Vec<String>, usize) {
    let call = json!({
        "index": 0, "id": format!("call-{n}"), "type": "function",
        "function": { "name": name, "arguments": arguments },
    });
    let events = vec![
        chunk(&json!({ "tool_calls": [call] }), None),
        chunk(&json!({}), Some("tool_calls")),
        "data: [DONE]\n\n".to_owned(),
    ];
    (events, 1)
}

fn chunk(delta: &Value, finish_reason: Option<&str>) -> String {
    let choice = json!({ "index": 0, "delta": delta, "finish_reason": finish_reason });
    let chunk = json!({
        "id": "stub", "object": "chat.completion.chunk", "created": 0, "model": "stub", "choices": [choice],
    });
    format!("data: {chunk}\n\n")
}

impl Answering {
    /// The next event at its time; none when all are out.
    async fn next(&mut self) -> Option<String> {
        if self.sent >= self.hang_after {
            std::future::pending::<()>().await;
        }
        let event = self.events.get(self.sent)?.clone();
        let options = &self.stub.options;
        // The events that end the stream come with the last token.
        let token = self.sent.min(self.tokens.saturating_sub(1));
        let offset = Duration::from_millis(options.first_token_ms)
            + Duration::from_secs_f64(token as f64 / options.tokens_per_s);
        sleep_until(self.began + offset).await;
        self.first_at.get_or_insert_with(Instant::now);
        self.sent += 1;
        Some(event)
    }
}

impl Drop for Answering {
    fn drop(&mut self) {
        let ms = |at: Instant| (at - self.began).as_millis() as u64;
        // A client that hangs up between the last token and the end of the stream has got it all.
        let is_whole = self.sent >= self.tokens;
        let mut line = std::mem::take(&mut self.line);
        line["tokens"] = json!(self.tokens);
        line["tokens_sent"] = json!(self.sent.min(self.tokens));
        line["cancelled"] = json!(!is_whole);
        line["first_ms"] = json!(self.first_at.map(ms));
        line["ms"] = json!(ms(Instant::now()));
        self.stub.write(&line);
    }
}

impl Stub {
    fn write(&self, line: &Value) {
        if let Ok(mut log) = self.log.lock() {
            // A log that cannot be written is missed by who reads it; the answer goes on.
            let _ = writeln!(log, "{line}").and_then(|()| log.flush());
        }
    }
}

fn rate(text: &str) -> Result<f64, String> {
    match text.parse() {
        Ok(rate) if rate > 0.0 && f64::is_finite(rate) => Ok(rate),
        _ => Err("not a number above 0".to_owned()),
    }
}
