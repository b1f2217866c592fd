//! The office by itself: a database of its own, calls that are channels, a gateway that writes down what it is told.

use std::sync::Mutex;
use std::time::Instant;

use agent_bridge::approvals::board::{Asker, Notice};
use agent_bridge::approvals::desk::Why;
use agent_bridge::approvals::{ApprovalEvent, ApprovalId};
use agent_bridge::gateways::fake::FakeGateway;
use agent_bridge::gateways::{
    AskHandle, AskRequest, CheckReport, GatewayError, GatewayEvent, GatewayInfo,
};
use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;
use tokio::time::timeout;

use super::office::Office;
use super::*;
use crate::records::unix_ms;
use crate::store::{Freeze, Store};
use crate::testing::Scratch;

/// Takes decisions and keeps them.
#[derive(Default)]
struct Asking(Mutex<Vec<String>>);

impl Gateway for Asking {
    fn describe(&self) -> GatewayInfo {
        FakeGateway::new([]).describe()
    }

    fn ask(&self, _: AskRequest, _: mpsc::Sender<GatewayEvent>) -> AskHandle {
        AskHandle::new(tokio::spawn(async {}))
    }

    fn check(&self) -> BoxFuture<'_, Result<CheckReport, GatewayError>> {
        async { Err(GatewayError::Cut) }.boxed()
    }

    fn warm(&self) {}

    fn resolve(
        &self,
        id: ApprovalId,
        _: ApprovalKind,
        decision: Decision,
    ) -> BoxFuture<'_, Result<(), GatewayError>> {
        let mut told = self.0.lock().expect("nobody panics here");
        told.push(format!("{decision:?} {}", id.0));
        async { Ok(()) }.boxed()
    }
}

struct Rig {
    office: Office,
    approvals: Approvals,
    recorder: Recorder,
    inbox: mpsc::Receiver<Message>,
    gateway: Arc<Asking>,
    scratch: Scratch,
}

impl Rig {
    fn new() -> Rig {
        Rig::after(Vec::new())
    }

    /// `earlier`: what waited when the last run ended.
    fn after(earlier: Vec<ApprovalRow>) -> Rig {
        let scratch = Scratch::new("office");
        let store = Store::open(&scratch.path().join("a.db")).expect("a store");
        let (recorder, _) = Recorder::start(store, true).expect("a thread");
        let gateway = Arc::new(Asking::default());
        let text = "[[users]]\nname = 'ann'\nlevel = 'owner'\n[levels]\npin_tries_per_day = 2";
        let (config, _) = Config::parse(text, &[]).expect("a config");
        let ruling = Ruling::of(&config, &["ann".to_owned()]);
        let pin = Pin::new(&Secret::new("4071"), Level::Owner).expect("a PIN");
        let plan = OfficePlan {
            ruling: ruling.clone(),
            pins: HashMap::from([("ann".to_owned(), pin)]),
            wrong_pins: HashMap::new(),
            is_frozen: false,
            earlier,
            gateways: vec![gateway.clone()],
        };
        let (tell, inbox) = mpsc::channel(64);
        let (tell_standing, standing) = watch::channel(Standing::default());
        let (tell_view, view) = watch::channel(Arc::default());
        let office = Office::new(
            plan,
            recorder.clone(),
            tell.clone(),
            tell_standing,
            tell_view,
        );
        let approvals = Approvals {
            inbox: tell,
            standing,
            view,
            ruling: Arc::new(ruling),
        };
        Rig {
            office,
            approvals,
            recorder,
            inbox,
            gateway,
            scratch,
        }
    }

    fn take(&mut self, message: Message) {
        self.office.take(Instant::now(), message);
    }

    fn call(&mut self, call: u64, user: &str) -> (mpsc::Sender<Control>, mpsc::Receiver<Control>) {
        let (control, controls) = mpsc::channel(8);
        self.take(Message::CallUp(Box::new(CallUp {
            call,
            id: format!("call-{call}"),
            session: format!("{user}/agent"),
            user: user.to_owned(),
            level: Level::Owner,
            control: control.downgrade(),
        })));
        (control, controls)
    }

    fn ask(&mut self, id: &str, user: &str) {
        let request = ApprovalRequest {
            id: ApprovalId(id.to_owned()),
            kind: ApprovalKind::Exec,
            session: format!("{user}/agent"),
            what: "deploy --token abc\u{1b}[2J".to_owned(),
            place: String::new(),
            expires_in: Duration::from_secs(60),
        };
        self.take(Message::Gateway(
            Asker(0),
            ApprovalEvent::Requested(request),
        ));
    }

    async fn counted_today(&self) -> Vec<(String, u64)> {
        let day = i64::from(crate::switchboard::today());
        let counted = self
            .recorder
            .with_store(move |store| store.load_counters(day));
        counted.await.expect("rows")
    }

    async fn audit(&self) -> Vec<String> {
        let rows = self.recorder.with_store(|store| store.audit(100)).await;
        let rows = rows.expect("rows").into_iter();
        rows.map(|row| {
            let call = row.call.unwrap_or_default();
            format!(
                "{} {call} {} {} = {}",
                row.channel, row.kind, row.what, row.result
            )
        })
        .collect()
    }

    /// What the gateway has been told. Decisions go there in tasks of their own.
    async fn told(&self) -> Vec<String> {
        for _ in 0..8 {
            tokio::task::yield_now().await;
        }
        self.gateway.0.lock().expect("nobody panics here").clone()
    }
}

#[tokio::test]
async fn a_decision_in_a_call_goes_everywhere() {
    let mut rig = Rig::new();
    let (_control, mut controls) = rig.call(1, "ann");
    rig.ask("a", "ann");
    let Ok(Control::Approval(Notice::Offer(request))) = controls.try_recv() else {
        panic!("the call is asked");
    };
    assert_eq!(
        rig.approvals.view().waiting[0].what,
        "deploy --token abc\\u{1b}[2J"
    );
    let stored = rig.recorder.with_store(|store| store.approvals()).await;
    assert_eq!(stored.expect("rows").len(), 1);
    rig.take(Message::Wish {
        call: 1,
        wish: DeskWish::Decided {
            id: request.id,
            decision: Decision::AllowOnce,
            why: Why::CodeByKey,
        },
    });
    assert_eq!(rig.told().await, ["AllowOnce a"]);
    assert!(rig.approvals.view().waiting.is_empty());
    let stored = rig.recorder.with_store(|store| store.approvals()).await;
    assert!(stored.expect("rows").is_empty());
    assert_eq!(
        rig.audit().await,
        [
            "gateway call-1 approval asked deploy --token *** = exec",
            "phone call-1 approval decided deploy --token *** = allowed: code by key",
        ]
    );
}

/// A tool's question whose reply was cut: the call is told to stop asking, and a yes that comes all the same is none.
#[tokio::test]
async fn what_nobody_waits_for_is_withdrawn() {
    let mut rig = Rig::new();
    let (_control, mut controls) = rig.call(1, "ann");
    let (answer, answered) = oneshot::channel();
    let request = ApprovalRequest {
        id: ApprovalId("tool-1".to_owned()),
        kind: ApprovalKind::Tool,
        session: "ann/agent".to_owned(),
        what: "order {}".to_owned(),
        place: String::new(),
        expires_in: Duration::from_secs(60),
    };
    rig.take(Message::Ask { request, answer });
    assert!(matches!(
        controls.try_recv(),
        Ok(Control::Approval(Notice::Offer(_)))
    ));
    drop(answered);
    let id = ApprovalId("tool-1".to_owned());
    let wish = DeskWish::Decided {
        id: id.clone(),
        decision: Decision::AllowOnce,
        why: Why::CodeByKey,
    };
    rig.take(Message::Wish { call: 1, wish });
    assert!(matches!(
        controls.try_recv(),
        Ok(Control::Approval(Notice::Withdraw(withdrawn))) if withdrawn == id
    ));
    assert!(rig.approvals.view().waiting.is_empty());
    assert_eq!(
        rig.audit().await,
        [
            "gateway call-1 approval asked order {} = tool",
            "tool call-1 approval decided order {} = refused: its reply was called off",
        ]
    );
}

#[tokio::test]
async fn who_is_gone_or_deaf_says_no() {
    let mut rig = Rig::new();
    let (control, controls) = rig.call(1, "ann");
    rig.ask("a", "ann");
    rig.take(Message::CallDown { call: 1 });
    drop((control, controls));
    // A call whose task does not listen any more.
    let (control, controls) = rig.call(2, "ann");
    drop((control, controls));
    rig.ask("b", "ann");
    assert_eq!(rig.told().await, ["Deny a", "Deny b"]);
}

#[tokio::test]
async fn channels_decide_once_and_not_while_stopped() {
    let mut rig = Rig::new();
    let (_control, mut controls) = rig.call(1, "ann");
    rig.ask("a", "ann");
    let decide = |id: &str, decision| {
        let (answer, answered) = oneshot::channel();
        let message = Message::Decide {
            id: id.to_owned(),
            decision,
            channel: "api",
            answer,
        };
        (message, answered)
    };
    let (message, answered) = decide("a", Decision::AllowOnce);
    rig.take(message);
    assert_eq!(answered.await, Ok(Ok(())));
    let (message, answered) = decide("a", Decision::Deny);
    rig.take(message);
    assert_eq!(answered.await, Ok(Err(ChannelError::NoSuch)));
    assert_eq!(rig.told().await, ["AllowOnce a"]);
    let mut seen = Vec::new();
    while let Ok(control) = controls.try_recv() {
        seen.push(format!("{control:?}").contains("Withdraw"));
    }
    assert_eq!(seen, [false, true], "offered, then withdrawn");

    rig.take(Message::Wish {
        call: 1,
        wish: DeskWish::Stop { freezes: true },
    });
    rig.ask("b", "ann");
    let (message, answered) = decide("b", Decision::AllowOnce);
    rig.take(message);
    assert_eq!(answered.await, Ok(Err(ChannelError::Frozen)));
    assert_eq!(rig.told().await, ["AllowOnce a", "Deny b"]);
    assert!(
        rig.approvals
            .authority("ann", Origin::Account)
            .rules
            .is_frozen
    );
    // It stands in the file, for the next start.
    let path = rig.scratch.path().join("a.db");
    let _ = rig.audit().await;
    let stop = Store::open(&path)
        .expect("the store")
        .freeze()
        .expect("read");
    assert_eq!(stop.map(|stop| stop.by), Some("ann".to_owned()));
}

#[tokio::test]
async fn the_command_line_is_heard() {
    let mut rig = Rig::new();
    let (_control, _controls) = rig.call(1, "ann");
    rig.take(Message::CallDown { call: 1 });
    rig.ask("a", "ann");
    let polled = |epoch, decisions: &[(&str, bool)], is_frozen: bool| Message::Polled {
        epoch,
        version: 1,
        decisions: decisions
            .iter()
            .map(|(id, allow)| ((*id).to_owned(), *allow))
            .collect(),
        freeze: is_frozen.then(|| Freeze {
            since_unix_ms: 1,
            by: "cli".to_owned(),
        }),
    };
    rig.take(polled(0, &[("a", true), ("x", true)], false));
    assert_eq!(rig.told().await, ["AllowOnce a"]);
    rig.take(polled(0, &[], true));
    assert!(rig.approvals.view().is_frozen);
    // Read before our own stop: it says nothing about it.
    rig.take(polled(0, &[], false));
    assert!(rig.approvals.view().is_frozen);
    rig.take(polled(1, &[], false));
    assert!(!rig.approvals.view().is_frozen);
}

#[tokio::test]
async fn pins_are_counted() {
    let mut rig = Rig::new();
    let (_control, mut controls) = rig.call(1, "ann");
    let mut tried = Vec::new();
    for digits in ["4071", "1111", "2222", "4071"] {
        rig.take(Message::Wish {
            call: 1,
            wish: DeskWish::CheckPin(Secret::new(digits)),
        });
        // The hash is looked at on another thread; without a try left it is not.
        if controls.is_empty() {
            let message = rig.inbox.recv().await.expect("the check");
            rig.take(message);
        }
        let Ok(Control::PinChecked(verdict)) = controls.try_recv() else {
            panic!("a verdict");
        };
        tried.push(verdict);
    }
    assert_eq!(
        tried,
        [
            PinVerdict::Right(Level::Owner),
            PinVerdict::Wrong { tries_left: 1 },
            PinVerdict::Wrong { tries_left: 0 },
            PinVerdict::Wrong { tries_left: 0 },
        ]
    );
    assert!(
        rig.approvals
            .authority("ann", Origin::Account)
            .caller
            .is_locked
    );
    let kinds: Vec<String> = rig.audit().await;
    assert_eq!(
        kinds.iter().filter(|row| row.contains("pin tried")).count(),
        3
    );
    assert!(kinds.iter().all(|row| !row.contains("4071")), "{kinds:?}");
    let told = rig
        .recorder
        .with_store(|store| store.conversation("ann/messages", 5))
        .await;
    assert_eq!(told.expect("rows").len(), 1, "the owner is told");
    assert_eq!(rig.counted_today().await, [("pin:ann".to_owned(), 2)]);
}

#[tokio::test]
async fn pins_on_the_page_count_with_those_of_calls() {
    let mut rig = Rig::new();
    let mut tried = Vec::new();
    for (user, digits) in [
        ("bert", "4071"),
        ("ann", "4071"),
        ("ann", "1111"),
        ("ann", "2222"),
        ("ann", "4071"),
    ] {
        let approvals = rig.approvals.clone();
        let trying =
            tokio::spawn(async move { approvals.try_pin(user, Secret::new(digits), "web").await });
        // The hash is looked at on another thread, if at all.
        while !trying.is_finished() {
            match timeout(Duration::from_millis(20), rig.inbox.recv()).await {
                Ok(message) => rig.take(message.expect("a message")),
                Err(_) => continue,
            }
        }
        tried.push(trying.await.expect("no panic"));
    }
    assert_eq!(
        tried,
        [
            PinVerdict::Failed,
            PinVerdict::Right(Level::Owner),
            PinVerdict::Wrong { tries_left: 1 },
            PinVerdict::Wrong { tries_left: 0 },
            PinVerdict::Wrong { tries_left: 0 },
        ]
    );
    // No call takes one any more either, and both are in the log.
    let caller = rig.approvals.authority("ann", Origin::Account).caller;
    assert!(caller.is_locked);
    let rows = rig.audit().await;
    let of_page = rows.iter().filter(|row| row.starts_with("web "));
    assert_eq!(of_page.count(), 4, "{rows:?}");
    assert_eq!(rig.counted_today().await, [("pin:ann".to_owned(), 2)]);
}

#[test]
fn nobody_becomes_the_owner_by_a_name() {
    let accounts =
        |names: &[&str]| -> Vec<String> { names.iter().map(|n| (*n).to_owned()).collect() };
    const GUEST: &str = "[[users]]\nname = \"anna\"\nlevel = \"guest\"\n";
    type Row<'a> = (&'a str, &'a [&'a str], Option<&'a str>);
    let rows: [Row<'_>; 9] = [
        ("", &["phone1", "anna"], Some("phone1")),
        ("", &[], None),
        // Whose message box guests fill is another matter.
        (
            "[levels]\nmessages_for = \"anna\"",
            &["phone1", "anna"],
            Some("phone1"),
        ),
        (
            "[[users]]\nname = \"anna\"",
            &["phone1", "anna"],
            Some("anna"),
        ),
        (
            "[[users]]\nname = \"otto\"\n[[users]]\nname = \"anna\"\nlevel = \"owner\"",
            &["phone1", "otto", "anna"],
            Some("anna"),
        ),
        (
            "[[users]]\nname = \"gone\"\nlevel = \"owner\"",
            &["phone1"],
            Some("phone1"),
        ),
        // Who is said to be a guest stays one, even where nobody else is left.
        (GUEST, &["anna", "phone1"], Some("phone1")),
        (GUEST, &["anna"], None),
        (
            "[levels]\ndefault = \"family\"\n[[users]]\nname = \"anna\"\nlevel = \"guest\"\n[[users]]\nname = \"otto\"",
            &["anna", "otto", "phone1"],
            Some("otto"),
        ),
    ];
    for (text, names, owner) in rows {
        let (config, _) = Config::parse(text, &[]).expect(text);
        let (names, owner) = (accounts(names), owner.map(str::to_owned));
        assert_eq!(owner_among(&config, &names), owner, "{text}");
        let told = match config.levels.messages_for.as_str() {
            "" => owner,
            name => Some(name.to_owned()),
        };
        assert_eq!(owner_of(&config, &names), told, "{text}");
    }
    // The account may come while the program runs.
    let (config, _) = Config::parse("[[users]]\nname = \"anna\"", &[]).expect("a config");
    assert_eq!(owner_among(&config, &[]), None);
    assert_eq!(owner_of(&config, &[]), Some("anna".to_owned()));
}

#[tokio::test]
async fn our_own_tools_ask_too() {
    let mut rig = Rig::new();
    let (answer, answered) = oneshot::channel();
    let request = |id: &str, session: &str| ApprovalRequest {
        id: ApprovalId(id.to_owned()),
        kind: ApprovalKind::Tool,
        session: session.to_owned(),
        what: "open the door".to_owned(),
        place: String::new(),
        expires_in: Duration::from_secs(60),
    };
    rig.take(Message::Ask {
        request: request("a", "nobody/agent"),
        answer,
    });
    assert!(
        answered.await.is_err(),
        "a conversation that is not ours: no"
    );
    let (_control, _controls) = rig.call(1, "ann");
    let (answer, answered) = oneshot::channel();
    rig.take(Message::Ask {
        request: request("b", "ann/agent"),
        answer,
    });
    rig.take(Message::Wish {
        call: 1,
        wish: DeskWish::Decided {
            id: ApprovalId("b".to_owned()),
            decision: Decision::AllowOnce,
            why: Why::CodeByVoice,
        },
    });
    assert_eq!(answered.await, Ok(Decision::AllowOnce));
}

/// Its gateway still has it open after our restart: it is asked about again, in the conversation it was of.
#[tokio::test]
async fn what_waited_before_a_restart_is_asked_again() {
    let now = unix_ms();
    let row = |id: &str, kind: &str, expires_unix_ms| ApprovalRow {
        id: id.to_owned(),
        kind: kind.to_owned(),
        session: "ann/agent".to_owned(),
        what: "deploy".to_owned(),
        place: String::new(),
        asked_unix_ms: now - 5_000,
        expires_unix_ms,
        // Said while nobody was there to carry it out: it is asked about all the same.
        decision: Some("allow".to_owned()),
    };
    let mut rig = Rig::after(vec![
        row("a", "exec", now + 30_000),
        row("b", "plugin", now + 30_000),
        row("c", "exec", now - 1),
        row("d", "tool", now + 30_000),
    ]);
    let listed = |id: &str| ApprovalRequest {
        id: ApprovalId(id.to_owned()),
        kind: ApprovalKind::Exec,
        // The gateway's own name, which nobody has told us of in this run.
        session: "agent:main:x".to_owned(),
        what: "deploy".to_owned(),
        place: String::new(),
        expires_in: Duration::from_secs(120),
    };
    for id in ["a", "b", "c", "d", "e"] {
        let event = ApprovalEvent::Requested(listed(id));
        rig.take(Message::Gateway(Asker(0), event));
    }
    let view = rig.approvals.view();
    let waiting = &view.waiting;
    assert_eq!(waiting.len(), 1, "{waiting:?}");
    assert_eq!(
        (waiting[0].id.as_str(), waiting[0].session.as_str()),
        ("a", "ann/agent")
    );
    assert!(waiting[0].expires_unix_ms <= now + 31_000, "{waiting:?}");
    assert!(rig.told().await.is_empty(), "nothing is decided by itself");
    let (answer, _) = oneshot::channel();
    rig.take(Message::Decide {
        id: "a".to_owned(),
        decision: Decision::AllowOnce,
        channel: "web",
        answer,
    });
    assert_eq!(rig.told().await, ["AllowOnce a"]);
}
