//! From the hub to a room: deliveries that break off, questions, and what no encrypted room is told.

use super::*;

#[tokio::test]
async fn nothing_is_said_in_clear_in_an_encrypted_room() {
    let stage = Stage::new().await;
    stage.server.script().encrypted.insert("!dark:a".to_owned());
    stage.server.says(
        200,
        json!({ "next_batch": "s1", "rooms": { "invite": invite("!dark:a", ANNA) } }),
    );
    let secret =
        json!({ "type": "m.room.encrypted", "event_id": "$1", "sender": ANNA, "content": {} });
    stage.server.tells("s2", "!dark:a", json!([secret]));
    let running = stage.start();
    stage.notebook.expect("since", &format!("{OWN} s2")).await;
    // Said once, and not again after a restart.
    assert_eq!(stage.server.script().sent.len(), 1);
    let room = "!dark:a".to_owned();
    assert!(
        stage
            .notices()
            .contains(&Notice::Encrypted { room: room.clone() })
    );
    let answer = Outbound {
        place: room.clone(),
        ..text("d1", "secret words")
    };
    let refused = running.matrix.deliver(&answer).await;
    assert!(
        matches!(refused, Err(DeliveryError::Final { .. })),
        "{refused:?}"
    );

    // A room that turns dark later.
    stage.server.tells("s3", ROOM, json!([
        { "type": "m.room.encryption", "state_key": "", "event_id": "$2", "sender": ANNA, "content": {} },
    ]));
    stage.notebook.expect("since", &format!("{OWN} s3")).await;
    stage.server.script().encrypted.insert(ROOM.to_owned());
    let refused = running.matrix.deliver(&text("d2", "secret words")).await;
    assert!(
        matches!(refused, Err(DeliveryError::Final { .. })),
        "{refused:?}"
    );
    let sent = stage.server.script().sent.clone();
    assert!(
        sent.iter()
            .all(|(_, content)| content["msgtype"] == "m.notice"),
        "{sent:?}"
    );
}

#[tokio::test]
async fn a_delivery_goes_on_where_it_stopped() {
    let stage = Stage::new().await;
    let running = stage.start();
    running.is_in().await;
    let long = text("d1", &"word ".repeat(6_000));
    stage.server.fails(
        "send",
        429,
        json!({ "errcode": "M_LIMIT_EXCEEDED", "retry_after_ms": 1 }),
    );
    stage.server.fails("send", 200, json!({ "event_id": "$a" }));
    stage.server.fails("send", 502, json!({}));
    let broken = running.matrix.deliver(&long).await;
    assert!(
        matches!(
            broken,
            Err(DeliveryError::Passing {
                retry_after: None,
                ..
            })
        ),
        "{broken:?}"
    );
    let id = running
        .matrix
        .deliver(&long)
        .await
        .expect("it is delivered");
    assert_eq!(id.as_deref(), Some("$a"));
    let transactions: Vec<String> = stage
        .server
        .asked("/send/")
        .iter()
        .map(|(_, path, ..)| path[path.rfind('/').unwrap_or(0)..].to_owned())
        .collect();
    assert_eq!(transactions, ["/d1-0", "/d1-0", "/d1-1", "/d1-1", "/d1-2"]);

    // After a restart it begins anew under the same transactions.
    let again = stage.start();
    again.is_in().await;
    again.matrix.deliver(&long).await.expect("it is delivered");
    let sent = stage.server.script().sent.clone();
    assert_eq!(
        sent.iter()
            .filter(|(transaction, _)| transaction == "d1-1")
            .count(),
        1
    );

    stage
        .server
        .fails("send", 429, json!({ "retry_after_ms": 400_000 }));
    let later = running.matrix.deliver(&text("d2", "hi")).await;
    let retry_after = Some(Duration::from_secs(400));
    assert!(
        matches!(later, Err(DeliveryError::Passing { retry_after: after, .. }) if after == retry_after)
    );
    stage
        .server
        .fails("send", 403, json!({ "errcode": "M_FORBIDDEN" }));
    let never = running.matrix.deliver(&text("d3", "hi")).await;
    assert!(
        matches!(never, Err(DeliveryError::Final { .. })),
        "{never:?}"
    );
}

#[tokio::test]
async fn a_sign_presses_a_button() {
    let stage = Stage::new().await;
    let running = stage.start();
    running.is_in().await;
    let buttons = [("Approve", "approve:7"), ("Deny", "deny:7")];
    let question = Outbound {
        body: OutBody::Ask {
            text: "Run it?".to_owned(),
            buttons: buttons
                .map(|(label, data)| (label.to_owned(), data.to_owned()))
                .to_vec(),
        },
        ..text("q1", "")
    };
    let id = running
        .matrix
        .deliver(&question)
        .await
        .expect("it is delivered")
        .expect("an id");
    let sent = stage.server.script().sent.clone();
    assert_eq!(sent.len(), 3);
    // Another run of the program: what the signs mean stands in the event.
    drop(running);
    let mut running = stage.start();
    stage.server.script().events.insert(
        id.clone(),
        json!({ "event_id": id, "sender": OWN, "content": sent[0].1 }),
    );
    let forged = "$forged".to_owned();
    stage.server.script().events.insert(
        forged.clone(),
        json!({ "event_id": forged, "sender": ANNA, "content": sent[0].1 }),
    );
    let react = |event: &str, to: &str, key: &str, from: &str| {
        json!({ "type": "m.reaction", "event_id": event, "sender": from, "content": { "m.relates_to": {
            "rel_type": "m.annotation", "event_id": to, "key": key } } })
    };
    let reply = json!({ "type": "m.room.message", "event_id": "$5", "sender": ANNA, "content": {
        "msgtype": "m.text", "body": "deny", "m.relates_to": { "m.in_reply_to": { "event_id": id } } } });
    stage.server.tells(
        "s1",
        ROOM,
        json!([
            react("$1", &id, "✅", "@eve:b"),
            react("$2", "$forged", "✅", ANNA),
            react("$3", &id, "👍", ANNA),
            react("$4", &id, "✅\u{fe0f}", ANNA),
            reply,
        ]),
    );
    for (event, data) in [("$4", "approve:7"), ("$5", "deny:7")] {
        let pressed = running.next(Ok(())).await;
        assert_eq!(pressed.id, event);
        assert_eq!(
            pressed.body,
            Body::Button {
                data: data.to_owned()
            }
        );
    }
}

#[tokio::test]
async fn a_question_that_is_over_says_so() {
    let stage = Stage::new().await;
    let running = stage.start();
    running.is_in().await;
    let buttons = [("Approve", "approve:7"), ("Deny", "deny:7")];
    let buttons = buttons.map(|(label, data)| (label.to_owned(), data.to_owned()));
    let question = Outbound {
        body: OutBody::Ask {
            text: "Run it?".to_owned(),
            buttons: buttons.to_vec(),
        },
        ..text("q1", "")
    };
    let theirs = running.matrix.deliver(&question).await.expect("asked");
    let id = theirs.clone().expect("an id");
    let sent = stage.server.script().sent.clone();
    let asked = json!({ "event_id": id, "sender": OWN, "content": sent[0].1 });
    stage.server.script().events.insert(id.clone(), asked);
    let over = Withdrawal {
        id: "q1".to_owned(),
        place: ROOM.to_owned(),
        theirs,
        text: "Run it?".to_owned(),
        words: "Allowed on the page.".to_owned(),
    };
    running.matrix.withdraw(&over).await;
    let sent = stage.server.script().sent.clone();
    // The question, two signs, the edit; the signs were asked for again and are the same.
    assert_eq!(sent.len(), 4);
    let edit = &sent[3].1;
    assert_eq!(edit["m.relates_to"]["event_id"], json!(id));
    assert_eq!(
        edit["m.new_content"]["body"],
        "Run it?\n\n→ Allowed on the page."
    );
    assert_eq!(count(&stage, "/redact/$of-q1-r"), 2);
}

/// Of an earlier run nobody remembers the text: where the server does not say it, the question stays as it is.
#[tokio::test]
async fn a_question_does_not_lose_its_text() {
    let stage = Stage::new().await;
    let running = stage.start();
    running.is_in().await;
    let over = |n: u32| Withdrawal {
        id: format!("q{n}"),
        place: ROOM.to_owned(),
        theirs: Some("$q".to_owned()),
        text: String::new(),
        words: "Asked before a restart.".to_owned(),
    };
    stage.server.fails("event", 502, json!({}));
    running.matrix.withdraw(&over(1)).await;
    assert_eq!(count(&stage, "/send/"), 0);
    let asked = json!({ "event_id": "$q", "sender": OWN, "content": { "body": "Run it?" } });
    stage.server.script().events.insert("$q".to_owned(), asked);
    running.matrix.withdraw(&over(2)).await;
    let sent = stage.server.script().sent.clone();
    assert_eq!(
        sent[0].1["m.new_content"]["body"],
        "Run it?\n\n→ Asked before a restart."
    );
}

#[tokio::test]
async fn many_are_asked_nothing() {
    let stage = Stage::new().await;
    stage.server.script().people.insert(ROOM.to_owned(), 3);
    let mut running = stage.start();
    running.is_in().await;
    let question = Outbound {
        body: OutBody::Ask {
            text: "Run it?".to_owned(),
            buttons: vec![("Approve".to_owned(), "approve:7".to_owned())],
        },
        ..text("q1", "")
    };
    let refused = running.matrix.deliver(&question).await;
    assert!(
        matches!(refused, Err(DeliveryError::Final { .. })),
        "{refused:?}"
    );
    // One that was asked when there were two is not answered before others.
    let asked = json!({ "event_id": "$q", "sender": OWN, "content": {
        (wire::BUTTONS): [{ "key": "✅", "label": "Approve", "data": "approve:7" }] } });
    stage.server.script().events.insert("$q".to_owned(), asked);
    let sign = json!({ "type": "m.reaction", "event_id": "$1", "sender": ANNA, "content": {
        "m.relates_to": { "rel_type": "m.annotation", "event_id": "$q", "key": "✅" } } });
    let called = said("$2", ANNA, "Offhook: hello");
    stage.server.tells("s1", ROOM, json!([sign, called]));
    assert_eq!(running.next(Ok(())).await.id, "$2");
}
