//! What the hub does besides answering: calls somebody, writes what comes late, asks for a yes.

use super::*;

#[tokio::test]
async fn call_me_makes_the_phone_ring_at_any_hour() {
    let mut rig = Rig::new().await;
    let (mut deliveries, _arrive) = rig.channel("telegram", 0).await;
    for (id, words_sent, expected) in [
        ("1", "Call me, please", "I am calling you now."),
        (
            "2",
            "call me in ten minutes",
            "I will call you in 10 minutes.",
        ),
    ] {
        rig.hub
            .receive(text("telegram", "1", id, words_sent))
            .await
            .expect("taken");
        loop {
            let Command::Order(order) = next(&mut rig.orders).await else {
                continue;
            };
            match *order {
                Order::Resolve { to, reply } => {
                    assert_eq!(to, "anna");
                    let _ = reply.send(Ok(Resolved {
                        to: Recipient::User(to.clone()),
                        user: to,
                    }));
                    if id == "2" {
                        break;
                    }
                }
                Order::Ring { wish, .. } => {
                    assert!(wish.is_invited);
                    break;
                }
                _ => {}
            }
        }
        assert_eq!(words(&next(&mut deliveries).await), expected);
    }
    assert!(lock(&rig.echo.asked).is_empty(), "no agent was asked");
}

#[tokio::test]
async fn what_comes_late_goes_where_the_person_writes() {
    let mut rig = Rig::new().await;
    let (mut telegram, _one) = rig.channel("telegram", 0).await;
    let (mut sip, _two) = rig.channel("sip", 0).await;
    rig.recorder.happened(Happening::CallUp {
        conversation: "anna/agent".to_owned(),
    });
    rig.recorder.happened(Happening::CallOver {
        conversation: "anna/agent".to_owned(),
    });
    rig.recorder.happened(Happening::Late {
        conversation: "anna/agent".to_owned(),
        text: "It is built.".to_owned(),
    });
    assert_eq!(words(&next(&mut telegram).await), "It is built.");
    let news = lock(&rig.echo.news)
        .first()
        .cloned()
        .expect("somebody listens");
    news.send("And tested.".to_owned())
        .await
        .expect("somebody listens");
    assert_eq!(words(&next(&mut telegram).await), "And tested.");
    assert_eq!(
        rig.texts("anna/agent").await,
        ["It is built.", "And tested."]
    );
    // A message of the assistant's own, as text and as sound; each once.
    for (means, say) in [
        (Means::Text, "The cellar is wet."),
        (Means::VoiceNote, "Listen."),
    ] {
        rig.news_for_ben(means, say).await;
        let delivered = next(&mut sip).await;
        assert_eq!(words(&delivered), say);
        assert_eq!(
            matches!(delivered.body, OutBody::Voice { .. }),
            means == Means::VoiceNote
        );
    }
    rig.recorder.happened(Happening::Notice);
    rig.hub
        .send("ben", "last".to_owned(), "test", Some("one key".to_owned()))
        .await
        .expect("sent");
    rig.hub
        .send("ben", "last".to_owned(), "test", Some("one key".to_owned()))
        .await
        .expect("known");
    assert_eq!(words(&next(&mut sip).await), "last");
    assert!(sip.try_recv().is_err(), "each once");
    let unread = rig
        .recorder
        .ask(|store| store.notices(Some("ben"), true, 10))
        .await
        .expect("a store");
    assert_eq!(unread, [], "delivered is read");
    assert_eq!(
        rig.hub.send("nobody", String::new(), "test", None).await,
        Err(HubError::Stranger)
    );
}

#[tokio::test]
async fn a_risky_action_is_asked_for_and_answered_by_text() {
    let rig = Rig::new().await;
    let (mut telegram, _one) = rig.channel("telegram", 0).await;
    let (mut sip, _two) = rig.channel("sip", 0).await;
    for (n, is_button, is_yes) in [(1, true, true), (2, false, false), (3, false, true)] {
        // Ben's conversation; he may not allow it, so its owner is asked.
        rig.approvals.know("ben/agent").await;
        let request = ApprovalRequest {
            id: ApprovalId(format!("x:{n}")),
            kind: ApprovalKind::Tool,
            session: "ben/agent".to_owned(),
            what: "deploy".to_owned(),
            place: String::new(),
            expires_in: Duration::from_secs(60),
        };
        let approvals = rig.approvals.clone();
        let asked = tokio::spawn(async move { approvals.ask(request).await });
        let question = next(&mut telegram).await;
        let OutBody::Ask {
            text: asking,
            buttons,
        } = &question.body
        else {
            panic!("a question: {question:?}");
        };
        let code = asking
            .split("yes ")
            .nth(1)
            .and_then(|rest| rest.get(..4))
            .expect("a code")
            .to_owned();
        // Whoever was not asked decides nothing.
        let button = |who: &str, channel: &'static str| Inbound {
            body: Body::Button {
                data: buttons[usize::from(!is_yes)].1.clone(),
            },
            ..text(channel, who, &format!("{channel}-{n}"), "")
        };
        assert_eq!(
            rig.hub.receive(button("ben", "sip")).await,
            Ok(Received::Done)
        );
        assert_eq!(words(&next(&mut sip).await), wording::NOT_YOURS);
        let answer = match is_button {
            true => button("1", "telegram"),
            false => text(
                "telegram",
                "1",
                &format!("t-{n}"),
                &format!("{} {code}", if is_yes { "yes" } else { "no" }),
            ),
        };
        rig.hub.receive(answer.clone()).await.expect("taken");
        let expected = if is_yes {
            Decision::AllowOnce
        } else {
            Decision::Deny
        };
        assert_eq!(asked.await.expect("no panic"), expected);
        assert_eq!(
            words(&next(&mut telegram).await),
            if is_yes {
                wording::ALLOWED
            } else {
                wording::REFUSED
            }
        );
    }
    assert!(lock(&rig.echo.asked).is_empty(), "no agent was asked");
}

/// A question with buttons outlives neither its run nor the next one's asking: its buttons answer nothing, and they go.
#[tokio::test]
async fn buttons_of_an_earlier_run_answer_nothing() {
    let rig = Rig::new().await;
    let ask = |rig: &Rig| {
        let request = deploying();
        let approvals = rig.approvals.clone();
        tokio::spawn(async move {
            approvals.know("anna/agent").await;
            approvals.ask(request).await
        })
    };
    let yes = |question: &Outbound, n: u32| {
        let OutBody::Ask { buttons, .. } = &question.body else {
            panic!("a question: {question:?}");
        };
        Inbound {
            body: Body::Button {
                data: buttons[0].1.clone(),
            },
            ..text("telegram", "1", &format!("press-{n}"), "")
        }
    };
    let mut telegram = rig.network("telegram", 0, 0).await;
    let _first = ask(&rig);
    let old = next(&mut telegram.delivered).await;
    // It is noted once it has arrived.
    let noted = async {
        loop {
            let saved = rig.recorder.ask(|store| store.load_texts(10)).await;
            if saved.is_ok_and(|saved| saved.questions.contains(&old.id)) {
                return;
            }
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(PATIENCE, noted).await.expect("noted");

    // The program is started anew, and the same request still waits at its gateway.
    let Rig { scratch, .. } = rig;
    let rig = Rig::at(scratch, Plan::default());
    let mut telegram = rig.network("telegram", 0, 0).await;
    let over = next(&mut telegram.withdrawn).await;
    assert_eq!(
        (over.id.as_str(), over.words.as_str()),
        (old.id.as_str(), wording::EARLIER)
    );
    assert_eq!(over.theirs, Some(format!("their-{}", old.id)));
    assert_eq!(rig.hub.receive(yes(&old, 1)).await, Err(HubError::Over));
    assert_eq!(
        words(&next(&mut telegram.delivered).await),
        wording::NOT_WAITING
    );

    let asked = ask(&rig);
    let new = next(&mut telegram.delivered).await;
    assert_eq!(rig.hub.receive(yes(&old, 2)).await, Err(HubError::Over));
    assert_eq!(
        words(&next(&mut telegram.delivered).await),
        wording::NOT_WAITING
    );
    assert!(!asked.is_finished(), "nothing was allowed");
    assert_eq!(rig.hub.receive(yes(&new, 3)).await, Ok(Received::Done));
    assert_eq!(asked.await.expect("no panic"), Decision::AllowOnce);
}
