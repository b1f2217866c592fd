//! Chains of scripted gateways, on paused time: what the caller's side sees, and who was asked.

use super::*;
use crate::gateways::fake::{FakeGateway, FakeStep};
use crate::turn::{ReplyId, ToolCall};

pub(super) fn request(speculative: bool) -> AskRequest {
    AskRequest {
        reply: ReplyId(1),
        session: "s".into(),
        system: String::new(),
        messages: Vec::new(),
        speculative,
        tools: Vec::new(),
        rounds: Vec::new(),
    }
}

pub(super) fn text(text: &str) -> FakeStep {
    FakeStep::Send(GatewayEvent::Text(text.into()))
}

pub(super) fn done() -> FakeStep {
    FakeStep::Send(GatewayEvent::Done { usage: None })
}

fn failed(error: GatewayError) -> FakeStep {
    FakeStep::Send(GatewayEvent::Failed(error))
}

fn broken() -> FakeStep {
    failed(GatewayError::Server { status: 500 })
}

fn wait(ms: u64) -> FakeStep {
    FakeStep::Wait(Duration::from_millis(ms))
}

fn progress(progress: Progress) -> FakeStep {
    FakeStep::Send(GatewayEvent::Progress(progress))
}

fn tool() -> FakeStep {
    FakeStep::Send(GatewayEvent::ToolCall(ToolCall {
        id: "1".into(),
        name: "t".into(),
        arguments: serde_json::json!({}),
    }))
}

fn router(chain: &[&FakeGateway]) -> Router {
    let mut chain = chain
        .iter()
        .map(|gateway| Arc::new((*gateway).clone()) as Arc<dyn Gateway>);
    let first = chain.next().expect("a first one");
    Router::new(first, chain.collect(), RouterConfig::default())
}

/// What comes, in short, with the milliseconds until the end.
pub(super) async fn ask(router: &dyn Gateway, speculative: bool) -> (String, u128) {
    let began = Instant::now();
    let (sender, mut receiver) = mpsc::channel(4);
    let _handle = router.ask(request(speculative), sender);
    let mut seen = String::new();
    while let Some(event) = receiver.recv().await {
        match event {
            GatewayEvent::Text(text) => seen.push_str(&text),
            GatewayEvent::ToolCall(_) => seen.push('t'),
            GatewayEvent::Progress(Progress::Tool { name }) => seen.push_str(&format!("<{name}>")),
            GatewayEvent::Progress(Progress::Trying { gateway }) => {
                seen.push_str(&format!("[{gateway}]"));
            }
            GatewayEvent::Progress(Progress::Waiting) => seen.push('~'),
            GatewayEvent::Progress(Progress::Cloud { .. }) => seen.push_str("{cloud}"),
            GatewayEvent::Progress(Progress::Spent(_)) => seen.push_str("{spent}"),
            GatewayEvent::Done { .. } => seen.push('.'),
            GatewayEvent::Failed(error) => seen.push_str(&format!("{error:?}")),
        }
    }
    (seen, began.elapsed().as_millis())
}

#[tokio::test(start_paused = true)]
async fn the_next_is_asked_only_before_the_first_word() {
    let b = || vec![text("b"), done()];
    let cut = "Cut";
    let server = "Server { status: 500 }";
    let refused = || {
        failed(GatewayError::Unreachable {
            why: "connection refused".into(),
        })
    };
    let limited = || failed(GatewayError::RateLimited { retry_after: None });
    for (first, second, wanted, asked, took_ms) in [
        (vec![text("a"), done()], b(), "a.".to_owned(), 0, 0),
        (vec![broken()], b(), "[fake]b.".into(), 1, 0),
        (vec![refused()], b(), "[fake]b.".into(), 1, 0),
        (vec![limited()], b(), "[fake]b.".into(), 1, 0),
        (vec![], b(), "[fake]b.".into(), 1, 0),
        (vec![text("a"), broken()], b(), format!("a{server}"), 0, 0),
        (vec![text("a")], b(), format!("a{cut}"), 0, 0),
        (vec![tool(), broken()], b(), format!("t{server}"), 0, 0),
        (
            vec![broken()],
            vec![broken()],
            format!("[fake]{server}"),
            1,
            0,
        ),
        // It accepts and never answers.
        (vec![wait(60_000)], b(), "[fake]b.".into(), 1, 1_000),
        // Slow, but in time; the last one may be slower.
        (vec![wait(900), text("a"), done()], b(), "a.".into(), 0, 900),
        (
            vec![broken()],
            vec![wait(7_000), text("b"), done()],
            "[fake]b.".into(),
            1,
            7_000,
        ),
        // A pause after the first word is the gateway's own affair.
        (
            vec![text("a"), wait(5_000), text("c"), done()],
            b(),
            "ac.".into(),
            0,
            5_000,
        ),
        // Who thinks visibly, or has begun a tool, is given time.
        (
            vec![progress(Progress::Waiting), wait(4_000), text("a"), done()],
            b(),
            "~a.".into(),
            0,
            4_000,
        ),
        (
            vec![progress(Progress::Waiting), wait(4_000), broken()],
            b(),
            "~[fake]b.".into(),
            1,
            4_000,
        ),
        // A tool may be at work: it is not asked for twice.
        (
            vec![progress(Progress::tool("look")), wait(4_000), broken()],
            b(),
            format!("<look>{server}"),
            0,
            4_000,
        ),
    ] {
        let script = format!("{first:?} {second:?}");
        let first = FakeGateway::new([first]);
        let second = FakeGateway::new([second]);
        let (seen, ms) = ask(&router(&[&first, &second]), false).await;
        assert_eq!(seen, wanted, "{script}");
        assert_eq!((second.asked().len(), ms), (asked, took_ms), "{script}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_chain_of_three_hangs_twice_and_answers() {
    let hangs = || FakeGateway::new([]);
    let (a, b) = (hangs(), hangs());
    let c = FakeGateway::new([vec![text("c"), done()]]);
    let seen = ask(&router(&[&a, &b, &c]), false).await;
    assert_eq!(seen, ("[fake][fake]c.".to_owned(), 2_000));
}

#[tokio::test(start_paused = true)]
async fn who_failed_is_asked_last_for_a_while() {
    let good = || vec![text("b"), done()];
    let a = FakeGateway::new([
        vec![broken()],
        vec![text("a"), done()],
        vec![failed(GatewayError::RateLimited {
            retry_after: Some(Duration::from_secs(60)),
        })],
        vec![text("a"), done()],
    ]);
    let b = FakeGateway::new([good(), good(), good(), good(), vec![broken()]]);
    let router = router(&[&a, &b]);
    let steps = [
        (0, "[fake]b."),
        // Asked without the first one, and without a word about it.
        (29, "b."),
        (2, "a."),
        (0, "[fake]b."),
        (59, "b."),
        // The second one fails while the first one rests: better the first one than nobody.
        (0, "[fake]a."),
    ];
    for (n, (pause_s, wanted)) in steps.into_iter().enumerate() {
        tokio::time::advance(Duration::from_secs(pause_s)).await;
        assert_eq!(ask(&router, false).await.0, wanted, "step {n}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_guess_is_asked_once_and_its_failure_is_remembered() {
    for (script, wanted) in [
        (vec![broken()], ("Server { status: 500 }", 0)),
        (vec![wait(60_000)], ("Timeout(FirstToken)", 1_000)),
    ] {
        let a = FakeGateway::new([script]);
        let b = FakeGateway::new([vec![text("b"), done()]]);
        let router = router(&[&a, &b]);
        let (seen, ms) = ask(&router, true).await;
        assert_eq!((seen.as_str(), ms), wanted);
        assert_eq!(b.asked().len(), 0);
        assert_eq!(ask(&router, false).await, ("b.".to_owned(), 0));
        assert_eq!((a.asked().len(), b.asked().len()), (1, 1));
    }
}

#[tokio::test(start_paused = true)]
async fn a_guess_called_off_tells_nothing_about_the_gateway() {
    let a = FakeGateway::new([vec![wait(1_000)], vec![text("a"), done()]]);
    let b = FakeGateway::new([]);
    let router = router(&[&a, &b]);
    for drop_receiver in [false, true] {
        let (sender, receiver) = mpsc::channel(4);
        let asked = router.ask(request(true), sender);
        tokio::task::yield_now().await;
        if drop_receiver {
            drop(receiver);
            while !asked.is_finished() {
                tokio::task::yield_now().await;
            }
        } else {
            asked.cancel();
            assert_eq!(ask(&router, false).await.0, "a.");
        }
    }
    assert_eq!((a.asked().len(), b.asked().len()), (3, 0));
}

#[tokio::test]
async fn all_are_warmed() {
    let (a, b) = (FakeGateway::new([]), FakeGateway::new([]));
    router(&[&a, &b]).warm();
    assert_eq!((a.warmed(), b.warmed()), (1, 1));
}
