//! Whom and where the hub writes to: during and after calls, in groups, where a conversation is shared, once somebody is
//! linked, and what it says of a question that is over.

use super::*;

const CALL: &str = "anna/agent";

/// Waits until the hub has seen a call begin or end.
async fn calls_changed(live: &mut broadcast::Receiver<Live>) {
    let changed = async {
        while let Ok(event) = live.recv().await {
            if matches!(event, Live::Calls) {
                return;
            }
        }
        panic!("nothing is shown any more");
    };
    tokio::time::timeout(PATIENCE, changed)
        .await
        .expect("in time");
}

fn conversation() -> String {
    CALL.to_owned()
}

#[tokio::test]
async fn what_comes_late_is_written_even_in_the_next_call() {
    let rig = Rig::new().await;
    let (mut telegram, _one) = rig.channel("telegram", 0).await;
    let mut live = rig.hub.live("anna");
    let listeners = || lock(&rig.echo.news).len();
    let up = || {
        rig.recorder.happened(Happening::CallUp {
            conversation: conversation(),
        });
    };
    up();
    calls_changed(&mut live).await;
    // A text in between does not take the call's news from it.
    rig.hub
        .receive(text("telegram", "1", "1", "hello"))
        .await
        .expect("taken");
    assert_eq!(words(&next(&mut telegram).await), "You said: hello");
    rig.recorder.happened(Happening::Late {
        conversation: conversation(),
        text: "It is built.".to_owned(),
    });
    assert_eq!(words(&next(&mut telegram).await), "It is built.");
    assert_eq!(listeners(), 0, "the call listens");
    rig.recorder.happened(Happening::CallOver {
        conversation: conversation(),
    });
    calls_changed(&mut live).await;
    // What is asked now is answered behind that.
    let _ = rig.hub.history("anna", "", None, 1).await;
    assert_eq!(listeners(), 1);
}

/// Taken here as a call begins: the call never had it, so it is written.
#[tokio::test]
async fn what_was_taken_before_a_call_is_written_in_it() {
    const ROUNDS: usize = 32;
    let rig = Rig::new().await;
    let (mut telegram, _one) = rig.channel("telegram", 0).await;
    let mut live = rig.hub.live("anna");
    let up = || {
        rig.recorder.happened(Happening::CallUp {
            conversation: conversation(),
        });
    };
    up();
    calls_changed(&mut live).await;
    for n in 0..ROUNDS {
        rig.recorder.happened(Happening::CallOver {
            conversation: conversation(),
        });
        calls_changed(&mut live).await;
        // What is asked now is answered behind that.
        let _ = rig.hub.history("anna", "", None, 1).await;
        let news = lock(&rig.echo.news).last().cloned();
        news.expect("somebody listens")
            .try_send(n.to_string())
            .expect("room for it");
        // The hub finds both when it looks next, and takes either first.
        up();
        calls_changed(&mut live).await;
    }
    rig.hub
        .send("anna", "the end".to_owned(), "test", None)
        .await
        .expect("sent");
    // All of it arrives, the last one before or behind what was sent after it.
    let mut told = Vec::new();
    while told.len() <= ROUNDS {
        told.push(words(&next(&mut telegram).await).to_owned());
    }
    assert!(told.contains(&"the end".to_owned()), "{told:?}");
}

#[tokio::test]
async fn a_call_whose_end_was_missed_does_not_count_for_ever() {
    let rig = Rig::new().await;
    let (mut telegram, _one) = rig.channel("telegram", 0).await;
    let mut live = rig.hub.live("anna");
    rig.recorder.happened(Happening::CallUp {
        conversation: conversation(),
    });
    calls_changed(&mut live).await;
    rig.recorder.happened(Happening::CallOver {
        conversation: conversation(),
    });
    // More than the board holds: the end of the call is not on it any more.
    for _ in 0..5_000 {
        rig.recorder.happened(Happening::Phones);
    }
    let listening = async {
        while lock(&rig.echo.news).is_empty() {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(PATIENCE, listening)
        .await
        .expect("somebody listens");
    let news = lock(&rig.echo.news)[0].clone();
    news.send("And tested.".to_owned())
        .await
        .expect("somebody listens");
    assert_eq!(words(&next(&mut telegram).await), "And tested.");
}

#[tokio::test]
async fn all_owners_see_the_conversation_they_share() {
    let rig = Rig::planned(Plan {
        house: "[[users]]\nname = 'anna'\nlevel = 'owner'\nidentities = ['telegram:1']\n[[users]]\nname = 'ben'\nlevel = 'owner'\n[[users]]\nname = 'gus'\nlevel = 'guest'",
        session: Some("main/main"),
        ..Plan::default()
    })
    .await;
    let (mut telegram, _one) = rig.channel("telegram", 0).await;
    let (mut sip, _two) = rig.channel("sip", 0).await;
    let (mut ben, mut gus) = (rig.hub.live("ben"), rig.hub.live("gus"));
    rig.hub
        .receive(note("telegram", "1", "1", "hello"))
        .await
        .expect("taken");
    // Text, then sound.
    next(&mut telegram).await;
    next(&mut telegram).await;
    rig.recorder.happened(Happening::Late {
        conversation: "main/main".to_owned(),
        text: "It is built.".to_owned(),
    });
    assert_eq!(words(&next(&mut telegram).await), "It is built.");
    assert_eq!(words(&next(&mut sip).await), "It is built.");
    let expected = ["hello", "You said: hello", "It is built."];
    assert_eq!(rig.texts("main/main").await, expected, "written down once");
    let (mut seen, mut kinds) = (Vec::new(), 0);
    while let Ok(event) = ben.try_recv() {
        match event {
            Live::Said(shown) => seen.push((shown.text, shown.voice.is_some())),
            Live::Delta { .. } | Live::Done { .. } => kinds += 1,
            _ => {}
        }
    }
    let spoken = |text: &str| (text.to_owned(), true);
    assert!(seen.contains(&spoken("hello")), "{seen:?}");
    assert!(seen.contains(&spoken("You said: hello")), "{seen:?}");
    assert_eq!(seen.last(), Some(&("It is built.".to_owned(), false)));
    assert_eq!(kinds, 3, "two pieces and the end");
    while let Ok(event) = gus.try_recv() {
        assert!(!matches!(event, Live::Said(_) | Live::Delta { .. }));
    }
}

#[tokio::test]
async fn what_is_for_one_is_not_written_to_their_group() {
    let rig = Rig::new().await;
    let (mut telegram, _one) = rig.channel("telegram", 0).await;
    let message = Inbound {
        place: "-1001234567890".to_owned(),
        ..text("telegram", "1", "1", "hello")
    };
    rig.hub.receive(message).await.expect("taken");
    assert_eq!(next(&mut telegram).await.place, "-1001234567890");
    rig.hub
        .send("anna", "The cellar is wet.".to_owned(), "test", None)
        .await
        .expect("sent");
    assert_eq!(next(&mut telegram).await.place, "1");
}

#[tokio::test]
async fn what_waited_for_a_way_goes_out_when_there_is_one() {
    let mut rig = Rig::new().await;
    let (mut matrix, _one) = rig.channel("matrix", 0).await;
    rig.news_for_ben(Means::Text, "The cellar is wet.").await;
    let who = Address {
        channel: "matrix",
        id: "@ben:x".to_owned(),
    };
    let code = rig.hub.pairing_code(who, "Ben").await.expect("a code");
    rig.hub.link(&code, "ben").await.expect("a link");
    assert_eq!(words(&next(&mut matrix).await), wording::linked("ben"));
    assert_eq!(words(&next(&mut matrix).await), "The cellar is wet.");
}

#[tokio::test]
async fn a_question_says_what_became_of_it() {
    let rig = Rig::new().await;
    let mut telegram = rig.network("telegram", 0, 0).await;
    // Nothing waits: it is for the agent.
    rig.hub
        .receive(text("telegram", "1", "0", "ok 1530"))
        .await
        .expect("taken");
    assert_eq!(
        words(&next(&mut telegram.delivered).await),
        "You said: ok 1530"
    );
    rig.approvals.know("anna/agent").await;
    let request = deploying();
    let approvals = rig.approvals.clone();
    let asked = tokio::spawn(async move { approvals.ask(request).await });
    let question = next(&mut telegram.delivered).await;
    let decided = rig
        .approvals
        .decide("x:1".to_owned(), Decision::AllowOnce, "web");
    decided.await.expect("it waits");
    assert_eq!(asked.await.expect("no panic"), Decision::AllowOnce);
    let withdrawn = next(&mut telegram.withdrawn).await;
    assert_eq!(withdrawn.words, "Allowed on the web page.");
    assert_eq!(
        (withdrawn.id.as_str(), withdrawn.place.as_str()),
        (question.id.as_str(), "1")
    );
    assert_eq!(withdrawn.theirs, Some(format!("their-{}", question.id)));
    assert_eq!(withdrawn.text, words(&question));
    // Its code is still known for a while; others are not.
    let code = withdrawn.text.split("yes ").nth(1).expect("a code")[..4].to_owned();
    rig.hub
        .receive(text("telegram", "1", "2", &format!("yes {code}")))
        .await
        .expect("taken");
    assert_eq!(
        words(&next(&mut telegram.delivered).await),
        wording::NOT_WAITING
    );
}

#[tokio::test]
async fn timers_are_in_the_history_once_they_are_over_and_can_be_called_off() {
    let rig = Rig::new().await;
    let (mut telegram, _one) = rig.channel("telegram", 0).await;
    let mut live = rig.hub.live("anna");
    let waiting = async || {
        let texts = rig.recorder.ask(|store| store.load_texts(10)).await;
        let rows = texts.expect("a store").outbox.into_iter();
        rows.map(|row| row.body_json).collect::<Vec<_>>()
    };
    rig.hub
        .receive(text("telegram", "1", "1", "timer"))
        .await
        .expect("taken");
    assert_eq!(words(&next(&mut telegram).await), wording::DONE);
    let timers = waiting().await;
    assert!(
        timers
            .iter()
            .any(|body| body.contains("tea") && body.contains("anna/agent")),
        "{timers:?}"
    );
    assert_eq!(rig.texts(CALL).await, ["timer", wording::DONE]);
    rig.hub
        .receive(text("telegram", "1", "2", "cancel"))
        .await
        .expect("taken");
    assert_eq!(words(&next(&mut telegram).await), wording::DONE);
    let timers = waiting().await;
    assert!(
        !timers.iter().any(|body| body.contains("tea")),
        "{timers:?}"
    );
    // One that is due soon.
    let letter = Letter {
        record_as: Some(Role::Program),
        due_unix_ms: Some(crate::records::unix_ms() + 40),
        key: Some("timer-soon".to_owned()),
        ..Letter::text("anna", "Your timer is over.", "timer")
    };
    rig.hub.post(letter).await.expect("taken");
    let before = ["timer", wording::DONE, "cancel", wording::DONE];
    assert_eq!(words(&next(&mut telegram).await), "Your timer is over.");
    let shown = async {
        while let Ok(event) = live.recv().await {
            if let Live::Said(shown) = event
                && shown.text == "Your timer is over."
            {
                return shown;
            }
        }
        panic!("nothing is shown any more");
    };
    let shown = tokio::time::timeout(PATIENCE, shown)
        .await
        .expect("in time");
    assert_eq!((shown.role, shown.id > 0), (Role::Program, true));
    let mut expected = before.to_vec();
    expected.push("Your timer is over.");
    assert_eq!(rig.texts(CALL).await, expected);
}

#[test]
fn keys_give_names_of_their_own() {
    assert_eq!(letter_id("notice-17"), "k-notice-17");
    let long = "x".repeat(500);
    let keys = [
        "timer-a.b",
        "timer-a_b",
        "timer-a-b",
        "timer-ab",
        long.as_str(),
    ];
    let names: std::collections::BTreeSet<String> = keys.iter().map(|key| letter_id(key)).collect();
    assert_eq!(names.len(), keys.len());
    for name in names {
        let is_plain = name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-');
        assert!(name.len() <= 64 && is_plain, "{name}");
    }
}
