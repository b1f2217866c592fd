//! The program and the real OpenClaw, with a scripted model behind it. OpenClaw takes some twenty seconds to start and a
//! gigabyte of memory, so one start serves what is not about starting, in one test, step by step.
//!
//! `deploy/openclaw.sh` installs it. Where it is not, the tests are skipped by name.

mod approvals;
pub mod claw;
mod ear;
mod history;
pub mod installed;
pub mod launch;
pub mod model;
mod tier_a;
mod tier_a_cloud;
mod tier_b;

use std::time::Duration;

use agent_bridge::approvals::{ApprovalEvent, Decision};
use agent_bridge::conversation::{Message, Role};
use agent_bridge::gateways::openclaw::OpenClaw;
use agent_bridge::gateways::{
    AskHandle, AskRequest, Gateway, GatewayError, GatewayEvent, Progress,
};
use agent_bridge::openclaw::LinkError;
use agent_bridge::turn::ReplyId;
use tokio::sync::mpsc;

use crate::drill;
use crate::offhook::Offhook;
use crate::peers::{BARESIP, take_floor};
use crate::process::wait_until;
use crate::sound::{golden, words_in_order};
use claw::{Claw, TOKEN};
use installed::installed;
use model::Model;

/// The first turn after a start takes OpenClaw some ten seconds.
const ANSWER_LIMIT: Duration = Duration::from_secs(90);
/// The greeting is over by then.
const AFTER_GREETING_MS: u32 = 4_000;

type Told = mpsc::Receiver<GatewayEvent>;

/// `lines` alternate between caller and assistant.
pub fn ask(gateway: &OpenClaw, user: &str, lines: &[&str]) -> (AskHandle, Told) {
    let message = |(n, text): (usize, &&str)| Message {
        role: if n % 2 == 0 {
            Role::User
        } else {
            Role::Assistant
        },
        text: (*text).to_owned(),
    };
    let request = AskRequest {
        reply: ReplyId(1),
        session: format!("{user}/agent"),
        system: String::new(),
        messages: lines.iter().enumerate().map(message).collect(),
        speculative: false,
        tools: Vec::new(),
        rounds: Vec::new(),
    };
    let (events, told) = mpsc::channel(64);
    (gateway.ask(request, events), told)
}

/// Everything until the reply ends: its text, how many pieces it came in, the tools, how it ended.
pub struct Whole {
    pub text: String,
    pub pieces: usize,
    pub tools: Vec<Progress>,
    pub end: Option<GatewayEvent>,
}

pub async fn whole(told: &mut Told) -> Whole {
    let mut whole = Whole {
        text: String::new(),
        pieces: 0,
        tools: Vec::new(),
        end: None,
    };
    let to_its_end = async {
        while let Some(event) = told.recv().await {
            match event {
                GatewayEvent::Text(text) => {
                    whole.pieces += 1;
                    whole.text += &text;
                }
                GatewayEvent::Progress(Progress::Waiting) => {}
                GatewayEvent::Progress(tool) => whole.tools.push(tool),
                end => whole.end = Some(end),
            }
        }
    };
    let ended = tokio::time::timeout(ANSWER_LIMIT, to_its_end).await;
    assert!(ended.is_ok(), "the reply never ended: {:?}", whole.text);
    whole
}

pub async fn first_text(told: &mut Told) -> String {
    let first = async {
        loop {
            match told.recv().await {
                Some(GatewayEvent::Text(text)) => return text,
                Some(GatewayEvent::Progress(_)) => {}
                other => panic!("no text but {other:?}"),
            }
        }
    };
    tokio::time::timeout(ANSWER_LIMIT, first)
        .await
        .expect("a first word")
}

pub const DONE: Option<GatewayEvent> = Some(GatewayEvent::Done { usage: None });

#[test]
fn openclaw_answers_the_phone() {
    let test = "openclaw_answers_the_phone";
    let Some(installed) = installed(test) else {
        return;
    };
    let Some(_floor) = take_floor(test, Some(BARESIP)) else {
        return;
    };
    let model = Model::start();
    let claw = Claw::with(installed, &model);
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    runtime.block_on(async {
        a_wrong_token_is_said(&claw).await;
        let gateway = claw.gateway(TOKEN, "device");
        a_turn_streams(&gateway).await;
        conversations_do_not_mix(&gateway).await;
        a_dropped_reply_is_aborted(&gateway, &model).await;
        approvals_are_obeyed(&gateway, &claw).await;
    });
    a_phone_call_is_answered(&claw);
    approvals::codes_and_silence_decide(&claw, &model);
}

#[test]
fn a_restart_of_openclaw_in_mid_reply_is_survived() {
    let test = "a_restart_of_openclaw_in_mid_reply_is_survived";
    let Some(installed) = installed(test) else {
        return;
    };
    let Some(_floor) = take_floor(test, None) else {
        return;
    };
    let model = Model::start();
    let mut claw = Claw::with(installed, &model);
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    runtime.block_on(async {
        let gateway = claw.gateway(TOKEN, "device");
        gateway.check().await.expect("a link");
        a_restart_is_survived(&gateway, &mut claw, &model).await;
    });
}

async fn a_wrong_token_is_said(claw: &Claw) {
    let gateway = claw.gateway("not-the-token", "stranger");
    let error = gateway.check().await.expect_err("the token is wrong");
    assert_eq!(error, GatewayError::Link(LinkError::Token));
}

async fn a_turn_streams(gateway: &OpenClaw) {
    gateway.check().await.expect("a link");
    let standing = gateway.standing().expect("it has one");
    assert!(
        standing.starts_with("OpenClaw 2026.9.6, protocol 4") && standing.ends_with("(tier C)"),
        "{standing}"
    );
    let (_asked, mut told) = ask(gateway, "phone1", &["Hello over there"]);
    let reply = whole(&mut told).await;
    assert_eq!(
        (reply.text.as_str(), reply.end),
        ("You said: hello over there.", DONE)
    );
}

async fn conversations_do_not_mix(gateway: &OpenClaw) {
    let (cats, mut of_cats) = ask(gateway, "phone1", &["Please count cats"]);
    let (dogs, mut of_dogs) = ask(gateway, "phone2", &["Please count dogs"]);
    let mut texts = [String::new(), String::new()];
    for _ in 0..5 {
        texts[0] += &first_text(&mut of_cats).await;
        texts[1] += &first_text(&mut of_dogs).await;
    }
    assert!(
        texts[0].starts_with("1 cats, 2 cats") && !texts[0].contains("dogs"),
        "{texts:?}"
    );
    assert!(
        texts[1].starts_with("1 dogs, 2 dogs") && !texts[1].contains("cats"),
        "{texts:?}"
    );
    drop((cats, dogs));
}

async fn a_dropped_reply_is_aborted(gateway: &OpenClaw, model: &Model) {
    let (asked, mut told) = ask(gateway, "phone3", &["Please count sheep"]);
    let mut text = String::new();
    while !text.contains("2 sheep") {
        text += &first_text(&mut told).await;
    }
    drop(asked);
    let is_cut = || {
        model
            .seen()
            .iter()
            .any(|seen| seen.question.ends_with("count sheep") && seen.was_cut)
    };
    let cut = tokio::task::block_in_place(|| wait_until(Duration::from_secs(20), is_cut));
    assert!(cut, "{:?}", model.seen());
    let lines = ["Please count sheep", "1 sheep,", "And what now"];
    let (_asked, mut told) = ask(gateway, "phone3", &lines);
    let reply = whole(&mut told).await;
    assert_eq!(reply.text, "You said: and what now.");
    let asked = model.seen().last().expect("a question").question.clone();
    assert_eq!(
        asked,
        "(You were interrupted; the caller heard: \"1 sheep,\")\nAnd what now"
    );
}

async fn approvals_are_obeyed(gateway: &OpenClaw, claw: &Claw) {
    let mut approvals = gateway.approvals().expect("it asks");
    for (decision, file) in [
        (Decision::AllowOnce, "allowed.txt"),
        (Decision::Deny, "denied.txt"),
    ] {
        let question = format!("Please run touch {file}");
        let (_asked, mut told) = ask(gateway, "phone4", &[&question]);
        let requested = async {
            loop {
                if let ApprovalEvent::Requested(request) =
                    approvals.recv().await.expect("the link stands")
                {
                    return request;
                }
            }
        };
        let request = tokio::time::timeout(ANSWER_LIMIT, requested)
            .await
            .expect("it asks");
        assert_eq!(
            (request.session.as_str(), request.what),
            ("phone4/agent", format!("touch {file}"))
        );
        assert!(!claw.made(file), "it ran before anybody said yes");
        gateway
            .resolve(request.id, request.kind, decision)
            .await
            .expect("a decision");
        let reply = whole(&mut told).await;
        assert_eq!(
            (reply.tools, reply.end),
            (vec![Progress::tool("exec")], DONE)
        );
        assert_eq!(claw.made(file), decision == Decision::AllowOnce, "{file}");
    }
}

/// The program on a phone line of its own, with this OpenClaw behind it.
fn phone_line(name: &str, claw: &Claw, more: &str) -> Offhook {
    let config = format!(
        "[agent]\nkind = \"openclaw\"\nurl = \"ws://127.0.0.1:{}\"\napi_key_file = \"token\"\n\
         [levels]\ndefault = \"owner\"\n{more}",
        claw.port
    );
    let mut offhook = Offhook::install(name, &config);
    let token = offhook.home().join("token");
    std::fs::write(&token, TOKEN).expect("own folder");
    crate::offhook::make_private_file(&token);
    offhook.run();
    offhook
}

fn a_phone_call_is_answered(claw: &Claw) {
    let offhook = phone_line("openclaw-call", claw, "");
    let says = [(AFTER_GREETING_MS, golden("What is six times twelve"))];
    let (messages, _) = drill::call(&offhook, &says, 25);
    let asked = drill::said(&messages, "caller").join(" ");
    assert!(
        words_in_order("six times twelve", &asked) >= 1,
        "{messages:?}\n{}",
        offhook.log_tail()
    );
    let answered = drill::said(&messages, "assistant").join(" ").to_lowercase();
    assert!(
        answered.contains("seventy two"),
        "{messages:?}\n{}",
        offhook.log_tail()
    );
}

async fn a_restart_is_survived(gateway: &OpenClaw, claw: &mut Claw, model: &Model) {
    let (_asked, mut told) = ask(gateway, "phone5", &["Please count stars"]);
    first_text(&mut told).await;
    claw.kill();
    // Nobody answers there for longer than a caller waits.
    let reply = whole(&mut told).await;
    assert!(
        matches!(reply.end, Some(GatewayEvent::Failed(GatewayError::Cut))),
        "{:?}",
        reply.end
    );
    tokio::task::block_in_place(|| claw.run());
    let (_asked, mut told) = ask(gateway, "phone5", &["Are you there"]);
    let reply = whole(&mut told).await;
    assert_eq!(
        (reply.text.as_str(), reply.end),
        ("You said: are you there.", DONE),
        "{:#?}\n{}",
        model.seen(),
        claw.tail()
    );
}
