//! What the model proxy brings and costs, in figures, beside the same without it in the same run.
//!
//! `cargo bench -p offhook-agent-bridge --bench proxy` measures the proxy between a client and a model of a stated speed, and, where
//! OpenClaw is installed (OFFHOOK_OPENCLAW, or target/openclaw), whole turns: from the commit to the first text, with a
//! guess made 600 ms before and without one. Turns: `-- --turns N`. What is timed is printed, nothing is asserted.

// The test uses more of it.
#[allow(dead_code)]
#[path = "../interop/openclaw_proxy/claw.rs"]
mod claw;

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use agent_bridge::gateways::fake::FakeGateway;
use agent_bridge::gateways::through_proxy::ThroughProxy;
use agent_bridge::gateways::{AskRequest, Gateway, GatewayEvent, Message, Role};
use agent_bridge::openclaw::RunEvent;
use agent_bridge::turn::ReplyId;
use claw::Claw;
use tokio::sync::mpsc;
use tokio::time::Instant;

/// How long before the commit a guess is typically made: the wait after speech that may be over.
const LEAD: Duration = Duration::from_millis(600);

fn percentile(sorted: &[f64], part: f64) -> f64 {
    let at = (sorted.len() as f64 * part).ceil() as usize;
    sorted[at.clamp(1, sorted.len()) - 1]
}

fn row(name: &str, mut ms: Vec<f64>) {
    ms.sort_by(f64::total_cmp);
    println!(
        "{name:<48} n {:>4}   p50 {:>8.2}   p95 {:>8.2}   p99 {:>8.2} ms",
        ms.len(),
        percentile(&ms, 0.50),
        percentile(&ms, 0.95),
        percentile(&ms, 0.99)
    );
}

/// First byte, and each further piece, of one answer.
async fn read(client: &reqwest::Client, at: SocketAddr, body: &str) -> (f64, Vec<f64>) {
    let began = Instant::now();
    let asked = client.post(format!("http://{at}/v1/chat/completions"));
    let asked = asked.bearer_auth(claw::PROXY_TOKEN).body(body.to_owned());
    let mut answer = asked.send().await.expect("an answer");
    let mut first = None;
    let mut pieces = Vec::new();
    while let Some(piece) = answer.chunk().await.expect("a piece") {
        let ms = began.elapsed().as_secs_f64() * 1000.0;
        first.get_or_insert(ms);
        let count = piece.windows(6).filter(|part| part == b"data: ").count();
        pieces.extend(std::iter::repeat_n(ms, count));
    }
    (first.expect("a first byte"), pieces)
}

async fn overhead() {
    let (model, provider) = claw::model().await;
    let (proxy, address) = claw::proxy(provider).await;
    model.first_token_ms.store(20, Ordering::Relaxed);
    model.tokens_per_s.store(60, Ordering::Relaxed);
    let words: Vec<String> = (0..20).map(|n| format!("word{n}")).collect();
    model.say("", &words.join(" "));
    let client = reqwest::Client::builder()
        .no_proxy()
        .build()
        .expect("a client");
    // As long as an agent's requests are.
    let filling = "x".repeat(40_000);
    let runtime = "\\n\\nRuntime: agent=main | session=agent:main:main | sessionId=1";
    let body = format!(
        "{{\"messages\":[{{\"role\":\"system\",\"content\":\"{filling}\"}},{{\"role\":\"user\",\"content\":\"Hi.{runtime}\"}}],\"stream\":true}}"
    );
    let rounds = 100;
    let (mut direct, mut through) = ((vec![], vec![]), (vec![], vec![]));
    let (mut extra_first, mut extra_piece) = (vec![], vec![]);
    for _ in 0..rounds {
        let one = read(&client, provider, &body).await;
        let other = read(&client, address, &body).await;
        extra_first.push(other.0 - one.0);
        extra_piece.extend(other.1.iter().zip(&one.1).map(|(other, one)| other - one));
        direct.0.push(one.0);
        direct.1.extend(one.1);
        through.0.push(other.0);
        through.1.extend(other.1);
    }
    println!(
        "passing through, {rounds} answers of {} tokens at 60/s after 20 ms",
        words.len()
    );
    row("first byte, direct", direct.0);
    row("first byte, through the proxy", through.0);
    row("first byte, difference of pairs", extra_first);
    row("each token's time, difference of pairs", extra_piece);
    println!("{:?}\n", proxy.counts());
}

struct Bench {
    gateway: ThroughProxy,
    turn: u32,
}

impl Bench {
    /// From the commit to the first text. The reply is heard at once.
    async fn turn(&mut self, user: &str, is_guess: bool) -> f64 {
        self.turn += 1;
        let (sender, mut events) = mpsc::channel(256);
        let request = AskRequest {
            reply: ReplyId(self.turn),
            session: user.to_owned(),
            system: String::new(),
            messages: vec![Message {
                role: Role::User,
                text: format!("This is question {}.", self.turn),
            }],
            speculative: is_guess,
            tools: Vec::new(),
            rounds: Vec::new(),
        };
        let asked = self.gateway.ask(request, sender);
        let mut committed = Instant::now();
        let mut first = None;
        let mut said = String::new();
        if is_guess {
            let until = committed + LEAD;
            while let Ok(Some(event)) = tokio::time::timeout_at(until, events.recv()).await {
                if let GatewayEvent::Text(text) = event {
                    said.push_str(&text);
                }
            }
            committed = Instant::now();
            asked.commit();
            // What is there already may be spoken at once.
            first = (!said.is_empty()).then_some(0.0);
        }
        let mut is_done = said.ends_with('.');
        while !is_done {
            match events.recv().await.expect("a last event") {
                GatewayEvent::Text(text) => {
                    said.push_str(&text);
                    let ms = committed.elapsed().as_secs_f64() * 1000.0;
                    first.get_or_insert(ms);
                }
                GatewayEvent::Done { .. } => is_done = true,
                GatewayEvent::Progress(_) => {}
                other => panic!("{other:?}"),
            }
        }
        asked.heard(&said, true);
        first.unwrap_or(f64::NAN)
    }
}

async fn turns(count: usize) {
    let (model, provider) = claw::model().await;
    let (proxy, address) = claw::proxy(provider).await;
    let Some(claw) = Claw::start("the proxy bench", address).await else {
        return;
    };
    model.tokens_per_s.store(60, Ordering::Relaxed);
    model.say("", "This is an answer of some twenty words, as they are given on the telephone, and it ends right here.");
    let client = claw.client();
    client.ready(Duration::from_secs(60)).await.expect("a link");
    let key = |user: &str| format!("agent:main:voice:{user}");
    let gateway = ThroughProxy::new(
        proxy.clone(),
        Arc::new(client.clone()),
        Arc::new(FakeGateway::new([])),
        Arc::new(key),
        "",
        [7; 32],
    );
    let mut bench = Bench { gateway, turn: 0 };
    for (n, first_token_ms) in [150, 800].into_iter().enumerate() {
        model
            .first_token_ms
            .store(first_token_ms, Ordering::Relaxed);
        println!("OpenClaw, a model of {first_token_ms} ms to the first token and 60 tokens/s");
        // Without the proxy's knowledge of what is asked: the gateway's own stream.
        let mut plain = Vec::new();
        let mut run = 0;
        for _ in 0..=count {
            run += 1;
            let id = format!("7d1e8f0a-0000-4000-800{n}-{run:012}");
            let began = Instant::now();
            let mut events = client
                .send(&key(&format!("plain{n}")), "Say something.", &id)
                .await
                .expect("sent");
            let mut first = None;
            while let Some(event) = events.recv().await {
                match event {
                    RunEvent::Text(_) => {
                        first.get_or_insert(began.elapsed().as_secs_f64() * 1000.0);
                    }
                    RunEvent::Done => break,
                    _ => {}
                }
            }
            plain.push(first.unwrap_or(f64::NAN));
        }
        // The first one of a session is cold.
        plain.remove(0);
        row("send -> first text, OpenClaw's own stream", plain);
        for is_guess in [false, true] {
            let user = format!("user{n}{is_guess}");
            bench.turn(&user, false).await;
            tokio::time::sleep(Duration::from_millis(700)).await;
            let before = proxy.counts();
            let mut all = Vec::new();
            for _ in 0..count {
                all.push(bench.turn(&user, is_guess).await);
                // The caller thinks, and OpenClaw writes the answer down.
                tokio::time::sleep(Duration::from_millis(700)).await;
            }
            row(
                if is_guess {
                    "commit -> first text, guessed 600 ms before"
                } else {
                    "commit -> first text, not guessed"
                },
                all,
            );
            let now = proxy.counts();
            let hits = now.exact + now.passing - before.exact - before.passing;
            println!(
                "  foretold {} of {count}: {} byte for byte, {} but for what passes, {} missed",
                hits,
                now.exact - before.exact,
                now.passing - before.passing,
                now.missed - before.missed
            );
        }
    }
}

#[tokio::main(flavor = "current_thread")]
async fn main() {
    let mut arguments = std::env::args().skip_while(|a| a != "--turns").skip(1);
    let count = arguments.next().and_then(|n| n.parse().ok()).unwrap_or(50);
    overhead().await;
    turns(count).await;
}
