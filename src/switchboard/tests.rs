//! The switchboard's rules as tables, with scripted engines, an agent that never answers and real sockets
//! on loopback. No dialog is behind it: what it would have the endpoint do is what is looked at.

use agent_bridge::gateways::fake::FakeGateway;
use agent_bridge::levels::Level;
use agent_bridge::turn::TurnConfig;
use sip::{EndpointConfig, Host, Uri};

use super::*;
use crate::agents::{Agents, Profile};
use crate::approvals::{Approvals, OfficePlan, Ruling};
use crate::bridge::BridgeConfig;
use crate::call::CallSettings;
use crate::config::Config;
use crate::config::Voicemail;
use crate::ports::Ports;
use crate::relay::{RelayConfig, RelayPool};
use crate::routing::DialPlan;
use crate::store::Store;
use crate::testing::Scratch;

pub(super) const OFFER: &str = "v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=-\r\nc=IN IP4 127.0.0.1\r\nt=0 0\r\n\
                     m=audio 20000 RTP/AVP 0\r\na=rtpmap:0 PCMU/8000\r\na=sendrecv\r\n";

pub(super) fn engines() -> Arc<Engines> {
    let ears = asr::fake::FakeEngine::saying(&[]);
    let voice = tts::fake::FakeEngine::new();
    Arc::new(crate::testing::engines(Box::new(ears), Box::new(voice)))
}

fn settings() -> CallSettings {
    CallSettings {
        service: Answerer::Agent,
        greeting: String::new(),
        turn: TurnConfig::default(),
        vad: asr::vad::VadConfig::default(),
        system_prompt: String::new(),
        history_messages_max: 20,
        history_chars_max: 4_000,
        session: String::new(),
        seed: [0; 32],
        duration_max: Duration::from_secs(600),
        no_audio_hangup: Duration::from_secs(60),
        partial_interval: Duration::ZERO,
        has_turn_model: false,
        echo_cancelling: false,
        trace: false,
        authority: crate::call::Authority::owner(),
    }
}

pub(super) const NUMBERS: &str = "[[agents]]\nname = 'finance'\nnumbers = ['110']";

/// A house: an owner, a guest, and everybody else as family.
fn levels() -> Config {
    let text = "[[users]]\nname = 'ann'\nlevel = 'owner'\n[[users]]\nname = 'gus'\nlevel = 'guest'";
    Config::parse(text, &[]).expect("a config").0
}

fn agents() -> Agents {
    let profile = |name: &str, number: &str, levels: &[Level]| Profile {
        name: name.to_owned(),
        numbers: vec![number.to_owned()],
        gateway: Arc::new(FakeGateway::new([])),
        system_prompt: String::new(),
        greeting: String::new(),
        levels: levels.to_vec(),
        session: (name == "finance").then(|| "agent:main:main".to_owned()),
    };
    let house = [Level::Owner, Level::Family];
    Agents::new(
        profile("agent", "", &house),
        vec![profile("finance", "110", &house[..1])],
        Some("ann".to_owned()),
    )
}

fn bridging(ports: Ports, plan: &str) -> BridgingConfig {
    let relay = RelayConfig {
        threads: 1,
        ..RelayConfig::default()
    };
    let (config, _) = Config::parse(plan, &[]).expect("a config");
    BridgingConfig {
        plan: DialPlan::new(&config),
        trunks: Trunks::default(),
        relays: RelayPool::start(relay, ports).expect("a thread"),
        bridge: BridgeConfig {
            bridges_max: 3,
            per_user_max: 2,
            duration_max: Duration::from_secs(600),
            seed: [1; 32],
            security: sip::offer_answer::SecurityPolicy::Off,
            fingerprints: Vec::new(),
            codecs: sip::offer_answer::AudioCodec::ALL.to_vec(),
        },
        advertise: Vec::new(),
        counted: Vec::new(),
        silence_max: Duration::from_secs(60),
    }
}

pub(super) struct Rig {
    pub(super) board: Switchboard,
    pub(super) endpoint: Endpoint,
    state: watch::Sender<EngineState>,
    inbox: mpsc::Receiver<Command>,
    pub(super) calls: u64,
    _folder: Scratch,
}

impl Rig {
    /// `first` is the range's first port: each test has one of its own.
    pub(super) fn new(state: EngineState, first: u16) -> Rig {
        Rig::with_plan(state, first, NUMBERS)
    }

    pub(super) fn with_plan(state: EngineState, first: u16, plan: &str) -> Rig {
        let folder = Scratch::new("switchboard");
        let store = Store::open(&folder.path().join("test.db")).expect("a store");
        let (recorder, _thread) = Recorder::start(store, true).expect("a thread");
        let (commands, inbox) = mpsc::channel(64);
        let office = OfficePlan {
            ruling: Ruling::of(&levels(), &[]),
            pins: HashMap::new(),
            wrong_pins: HashMap::new(),
            is_frozen: false,
            earlier: Vec::new(),
            gateways: Vec::new(),
        };
        let (approvals, _office) = Approvals::start(office, recorder.clone());
        let (state, engines) = watch::channel(state);
        let ports = Ports::new(first, first + 19, 0);
        let config = SwitchboardConfig {
            voicemail: Voicemail::default(),
            messages: Arc::new(FakeGateway::new([])),
            calls_max: 3,
            calls_per_user_max: 2,
            ports: ports.clone(),
            advertise: Vec::new(),
            codecs: sip::offer_answer::AudioCodec::ALL.to_vec(),
            security: MediaSecurity::default(),
            settings: settings(),
            agents: agents(),
            approvals,
            readback: Arc::new(FakeGateway::new([])),
            readback_greeting: String::new(),
            goodbye: "Goodbye.".to_owned(),
            host_name: "offhook".to_owned(),
            owner: String::new(),
        };
        Rig {
            board: Switchboard::new(config, bridging(ports, plan), engines, recorder, commands),
            endpoint: Endpoint::new(EndpointConfig::default(), [1; 32], Instant::now(), 0),
            state,
            inbox,
            calls: 0,
            _folder: folder,
        }
    }

    pub(super) fn dial(&mut self, user: &str, target: &str, offer: Option<&str>) -> Vec<Command> {
        self.calls += 1;
        let local = "127.0.0.1:5060".parse().expect("an address");
        let remote = "127.0.0.1:5062".parse().expect("an address");
        let event = Event::IncomingCall {
            call: CallKey(self.calls),
            caller: sip::Caller::User(user.to_owned()),
            target: target.to_owned(),
            request_uri: Uri::sip(Some(target), Host::Name("offhook".to_owned()), None),
            from: sip::NameAddr::new(Uri::sip(Some(user), Host::Name("offhook".to_owned()), None)),
            offer: offer.map(str::to_owned),
            flow: Flow::udp(local, remote),
            call_id: format!("call-{}", self.calls),
            user_agent: None,
            diversion: None,
            replaces: None,
        };
        self.board.event(event, &self.endpoint)
    }
}

impl Rig {
    /// Does what the program would do; the endpoint knows none of these dialogs, and says so.
    fn carry_out(&mut self, commands: Vec<Command>) {
        for command in commands {
            if let Command::Bridge(output) = command {
                let more = self.board.perform(*output, &mut self.endpoint);
                self.carry_out(more);
            }
        }
    }
}

/// What the endpoint would be told, in short.
fn spell(commands: &[Command]) -> String {
    let words = commands.iter().map(|command| match command {
        Command::Provisional { status, .. } => format!("provisional {status}"),
        Command::Answer { .. } => "answer".to_owned(),
        Command::Reject {
            status, headers, ..
        } => {
            let names: String = headers
                .iter()
                .map(|(name, _)| format!(" {name:?}"))
                .collect();
            format!("reject {status}{names}")
        }
        Command::Hangup { .. } => "hang up".to_owned(),
        Command::AnswerReinvite { answer: Ok(_), .. } => "accept".to_owned(),
        Command::AnswerReinvite {
            answer: Err(status),
            ..
        } => format!("refuse {status}"),
        Command::AnswerTransfer { answer, .. } => format!("transfer {answer:?}"),
        Command::TransferProgress { status, .. } => format!("notify {status}"),
        Command::Bridge(output) => match &**output {
            crate::bridge::Output::GiveBack { status, .. } => format!("back {status}"),
            crate::bridge::Output::AnswerTransfer { answer, .. } => format!("transfer {answer:?}"),
            crate::bridge::Output::TransferProgress { status, .. } => format!("notify {status}"),
            other => format!("{other:?}"),
        },
        other => format!("{other:?}"),
    });
    words.collect::<Vec<_>>().join("; ")
}

fn version(sdp: &str) -> &str {
    let origin = sdp.lines().find_map(|line| line.strip_prefix("o="));
    origin
        .and_then(|origin| origin.split(' ').nth(2))
        .expect("o=")
}

#[tokio::test]
async fn who_is_answered_and_who_is_refused() {
    let mut rig = Rig::new(EngineState::Ready(engines()), 41_000);
    let srtp = OFFER.replace("RTP/AVP", "RTP/SAVP");
    let rows = [
        ("a", "998", Some(OFFER), "reject 404"),
        // Emergency numbers are never nobody's.
        ("a", "999", Some(OFFER), "reject 403"),
        ("a", "100", Some(srtp.as_str()), "reject 488 Warning"),
        ("a", "100", Some("not SDP"), "reject 400 Warning"),
        ("a", "agent", Some(OFFER), "answer"),
        ("a", "101", Some(OFFER), "answer"),
        ("a", "100", Some(OFFER), "reject 486"),
        ("b", "100", None, "answer"),
        ("b", "100", Some(OFFER), "reject 503 RetryAfter"),
    ];
    for (user, target, offer, expected) in rows {
        assert_eq!(
            spell(&rig.dial(user, target, offer)),
            expected,
            "{user} {target}"
        );
    }
    let drained = rig.board.drain(&rig.endpoint);
    assert_eq!(
        spell(&drained),
        "",
        "calls that are up hear a goodbye first"
    );
    assert_eq!(
        spell(&rig.dial("c", "100", Some(OFFER))),
        "reject 503 RetryAfter"
    );
    assert_eq!(rig.board.hang_up_all().len(), 3);
}

#[tokio::test]
async fn a_phone_rings_while_the_models_warm_up() {
    let mut rig = Rig::new(EngineState::Warming, 41_100);
    for _ in 0..2 {
        assert_eq!(spell(&rig.dial("a", "100", Some(OFFER))), "provisional 180");
    }
    let given_up = Event::CallEnded {
        call: CallKey(1),
        cause: EndCause::Cancelled { reason: None },
    };
    assert_eq!(spell(&rig.board.event(given_up, &rig.endpoint)), "");
    rig.state.send_replace(EngineState::Ready(engines()));
    for _ in 0..2 {
        let Some(Command::Ready(call)) = rig.inbox.recv().await else {
            panic!("nobody is ready")
        };
        let expected = if call == CallKey(1) { "" } else { "answer" };
        assert_eq!(spell(&rig.board.ready(call)), expected, "{call:?}");
        assert_eq!(spell(&rig.board.ready(call)), "", "answered once");
    }
}

#[tokio::test]
async fn a_drain_refuses_those_that_ring() {
    let mut rig = Rig::new(EngineState::Warming, 41_200);
    assert_eq!(spell(&rig.dial("a", "100", Some(OFFER))), "provisional 180");
    assert_eq!(spell(&rig.board.drain(&rig.endpoint)), "reject 503");
}

#[tokio::test]
async fn engines_that_failed_refuse_the_call() {
    let mut rig = Rig::new(EngineState::Failed("no model".to_owned()), 41_300);
    assert_eq!(
        spell(&rig.dial("a", "100", Some(OFFER))),
        "reject 503 RetryAfter"
    );
    assert!(rig.board.calls.is_empty());
}

/// RFC 3264 section 8: one more with each description that goes out, none for those that do not.
#[tokio::test]
async fn re_invites_count_the_version_up_by_one() {
    let mut rig = Rig::new(EngineState::Ready(engines()), 41_400);
    let answered = rig.dial("a", "100", Some(OFFER));
    let Some(Command::Answer { call, sdp }) = answered.first() else {
        panic!("{answered:?}")
    };
    assert_eq!(version(sdp), "1");
    let held = OFFER.replace("sendrecv", "sendonly");
    let srtp = OFFER.replace("RTP/AVP", "RTP/SAVP");
    let rows = [
        (Some(held.as_str()), Ok("2")),
        (Some(srtp.as_str()), Err(488)),
        (None, Ok("3")),
        (Some(OFFER), Ok("4")),
    ];
    for (offer, expected) in rows {
        let event = Event::ReInvite {
            call: *call,
            offer: offer.map(str::to_owned),
        };
        let commands = rig.board.event(event, &rig.endpoint);
        let [Command::AnswerReinvite { answer, .. }] = commands.as_slice() else {
            panic!("{commands:?}")
        };
        assert_eq!(
            answer.as_deref().map(version).map_err(|status| *status),
            expected,
            "{offer:?}"
        );
    }
    let gone = Event::ReInvite {
        call: CallKey(99),
        offer: None,
    };
    assert_eq!(spell(&rig.board.event(gone, &rig.endpoint)), "refuse 481");
}

/// RFC 3264 section 8: asked to offer within a call, we leave sections in their places and numbers with their meaning.
#[tokio::test]
async fn a_re_invite_without_an_offer_gets_one_that_fits_the_call() {
    let mut rig = Rig::new(EngineState::Ready(engines()), 41_450);
    let offer = "v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=-\r\nc=IN IP4 127.0.0.1\r\nt=0 0\r\n\
                 m=video 20002 RTP/AVP 97\r\na=rtpmap:97 VP8/90000\r\n\
                 m=audio 20000 RTP/AVP 0 115\r\na=rtpmap:0 PCMU/8000\r\n\
                 a=rtpmap:115 telephone-event/8000\r\n";
    let answered = rig.dial("a", "100", Some(offer));
    let Some(Command::Answer { call, .. }) = answered.first() else {
        panic!("{answered:?}")
    };
    let event = Event::ReInvite {
        call: *call,
        offer: None,
    };
    let commands = rig.board.event(event, &rig.endpoint);
    let [
        Command::AnswerReinvite {
            answer: Ok(sdp), ..
        },
    ] = commands.as_slice()
    else {
        panic!("{commands:?}")
    };
    let sections: Vec<&str> = sdp.lines().filter(|line| line.starts_with("m=")).collect();
    assert!(sections[0].starts_with("m=video 0 "), "{sections:?}");
    assert!(sections[1].starts_with("m=audio "), "{sections:?}");
    assert!(sdp.contains("a=rtpmap:115 telephone-event/8000"), "{sdp}");
    assert_eq!(version(sdp), "2");
}

/// RFC 3261 section 13.2.1: an offer in the 2xx is answered in its ACK.
#[tokio::test]
async fn a_late_offer_wants_its_answer() {
    let two = "v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=-\r\nc=IN IP4 127.0.0.1\r\nt=0 0\r\n";
    let rows = [
        (Some(OFFER), ""),
        (None, "hang up"),
        (Some(two), "hang up"),
        (Some("nonsense"), "hang up"),
    ];
    for (at, (answer, expected)) in rows.into_iter().enumerate() {
        let mut rig = Rig::new(EngineState::Ready(engines()), 41_500 + 20 * at as u16);
        assert_eq!(spell(&rig.dial("a", "100", None)), "answer");
        let confirmed = Event::CallConfirmed {
            call: CallKey(1),
            answer: answer.map(str::to_owned),
        };
        assert_eq!(
            spell(&rig.board.event(confirmed, &rig.endpoint)),
            expected,
            "{answer:?}"
        );
    }
}

/// However a call ends, its line is free again and its task is gone.
#[tokio::test]
async fn a_line_is_freed_when_its_call_is_over() {
    let mut rig = Rig::new(EngineState::Ready(engines()), 41_600);
    for end in [true, false] {
        let answered = rig.dial("a", "101", Some(OFFER));
        let Some(Command::Answer { call, .. }) = answered.first() else {
            panic!("{answered:?}")
        };
        if end {
            let cause = EndCause::ByeReceived { reason: None };
            assert_eq!(
                spell(
                    &rig.board
                        .event(Event::CallEnded { call: *call, cause }, &rig.endpoint)
                ),
                ""
            );
        } else {
            rig.board.unanswered(*call);
        }
        let over = rig.inbox.recv().await;
        assert!(
            matches!(over, Some(Command::Over { call: ended, .. }) if ended == *call),
            "{over:?}"
        );
        let Some(Command::Finished(finished)) = rig.inbox.recv().await else {
            panic!("the task goes on")
        };
        assert_eq!(finished, *call);
        rig.board.finished(finished);
        assert!(rig.board.calls.is_empty());
    }
}

fn put_through(
    call: &str,
    to: &str,
) -> (
    Order,
    tokio::sync::oneshot::Receiver<Result<(), TransferError>>,
) {
    let (reply, told) = tokio::sync::oneshot::channel();
    let (call, to) = (call.to_owned(), to.to_owned());
    (Order::PutThrough { call, to, reply }, told)
}

/// Who is put through, and who stays. Nobody has a phone here, so those who may go come back.
#[tokio::test]
async fn where_a_caller_of_the_assistant_may_go() {
    let rows = [
        (
            "bert",
            "transfer Ok(()); notify 480; back 480",
            Err(TransferError::Failed { status: 480 }),
        ),
        (
            "nobody",
            "transfer Err(404)",
            Err(TransferError::NotAllowed { status: 404 }),
        ),
        (
            "101",
            "transfer Err(403)",
            Err(TransferError::NotAllowed { status: 403 }),
        ),
        (
            "112",
            "transfer Err(403)",
            Err(TransferError::NotAllowed { status: 403 }),
        ),
    ];
    for (at, (number, by_phone, by_assistant)) in rows.into_iter().enumerate() {
        let mut rig = Rig::new(EngineState::Ready(engines()), 41_700 + 20 * at as u16);
        rig.board.set_accounts(vec!["bert".to_owned()]);
        rig.dial("a", "100", Some(OFFER));
        let call = CallKey(1);
        let referred = Event::Transfer {
            call,
            target: Uri::sip(Some(number), Host::Name("offhook".to_owned()), None),
            replaces: None,
            foreign_replaces: None,
            referred_by: None,
        };
        let commands = rig.board.event(referred, &rig.endpoint);
        assert_eq!(spell(&commands), by_phone, "{number}");
        rig.carry_out(commands);
        let record = rig.board.calls[&call].record.clone().expect("it is up");
        let (order, told) = put_through(&record, number);
        let commands = rig.board.order(order, &mut rig.endpoint);
        rig.carry_out(commands);
        assert_eq!(told.await.expect("an answer"), by_assistant, "{number}");
        assert_eq!(rig.board.calls.len(), 1, "the caller is still there");
    }
}

#[tokio::test]
async fn a_call_that_is_no_more_goes_nowhere() {
    let mut rig = Rig::new(EngineState::Ready(engines()), 41_800);
    let (order, told) = put_through("nobody's", "bert");
    assert_eq!(spell(&rig.board.order(order, &mut rig.endpoint)), "");
    assert_eq!(told.await.expect("an answer"), Err(TransferError::NoCall));
}

/// Who gets through to which agent, and whose conversation it is.
#[tokio::test]
async fn levels_decide_who_gets_through() {
    let rows = [
        ("ann", "100", "answer", "Agent"),
        ("ann", "110", "answer", "Agent"),
        ("bob", "100", "answer", "Agent"),
        ("bob", "110", "reject 403", ""),
        ("gus", "100", "answer", "Message"),
        ("gus", "110", "answer", "Message"),
        ("gus", "101", "answer", "Echo"),
        ("trunk", "100", "answer", "Message"),
        ("selftest", "110", "answer", "Agent"),
    ];
    for (n, (user, number, expected, _)) in rows.into_iter().enumerate() {
        let mut rig = Rig::new(EngineState::Ready(engines()), 41_820 + 20 * n as u16);
        let commands = rig.dial(user, number, Some(OFFER));
        assert_eq!(spell(&commands), expected, "{user} dials {number}");
    }
    let rig = Rig::new(EngineState::Warming, 42_020);
    let session = |user, number| {
        let profile = rig.board.config.agents.at(number).clone();
        rig.board.session(user, &profile, "0123")
    };
    assert_eq!(session("bob", "100"), "bob/agent");
    assert_eq!(session("ann", "100"), "ann/agent");
    assert_eq!(session("ann", "1-1-0"), "agent:main:main");
    assert_eq!(session("bob", "110"), "bob/finance");
    assert_eq!(session("trunk", "100"), "guest-0123/agent");
}
