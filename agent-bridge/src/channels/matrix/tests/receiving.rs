//! From the homeserver to the hub: order, tokens, gaps, sound, and what goes wrong on the way.

use super::*;
use crate::channels::handing::{too_large, unusable_kind};

#[tokio::test]
async fn the_token_moves_when_all_is_kept() {
    let stage = Stage::new().await;
    let mut running = stage.start();
    stage.server.tells(
        "s1",
        ROOM,
        json!([
            said("$1", ANNA, "one"),
            said("$x", OWN, "ours"),
            said("$2", ANNA, "two")
        ]),
    );
    let first = running.next(Err(NotKept::Busy)).await;
    assert_eq!(
        (first.id.as_str(), words(&first), first.place.as_str()),
        ("$1", "one", ROOM)
    );
    assert_eq!((first.from.id.as_str(), first.at_unix_ms), (ANNA, 9));
    // Offered again until it is kept, and nothing overtakes it.
    assert_eq!(running.next(Err(NotKept::Busy)).await, first);
    assert_eq!(running.next(Ok(())).await, first);
    let arrival = running.inbox.recv().await.expect("the second");
    assert_eq!(arrival.message.id, "$2");
    assert_eq!(
        stage.notebook.read("since").expect("a token"),
        format!("{OWN} s0")
    );
    // The program ends here: after its start the same comes again, from the same token.
    drop(running);
    let mut running = stage.start();
    stage.server.tells(
        "s1",
        ROOM,
        json!([said("$1", ANNA, "one"), said("$2", ANNA, "two")]),
    );
    assert_eq!(running.next(Ok(())).await.id, "$1");
    assert_eq!(running.next(Ok(())).await.id, "$2");
    stage.notebook.expect("since", &format!("{OWN} s1")).await;
    let (_, path, ..) = stage.server.expect("receipt/m.read").await;
    assert!(path.ends_with("/$2"), "{path}");
    let syncs = stage.server.asked("/sync");
    assert!(
        syncs
            .iter()
            .all(|(_, _, query, _)| query.contains("since=s0") || query.contains("since=s1"))
    );
}

#[tokio::test]
async fn a_first_sync_asks_nothing() {
    let stage = Stage::new().await;
    stage.notebook.pages.lock().expect("own").clear();
    let mut running = stage.start();
    stage
        .server
        .tells("s1", ROOM, json!([said("$old", ANNA, "from before")]));
    stage
        .server
        .tells("s2", ROOM, json!([said("$new", ANNA, "now")]));
    assert_eq!(running.next(Ok(())).await.id, "$new");
    stage.notebook.expect("since", &format!("{OWN} s2")).await;
}

#[tokio::test]
async fn a_gap_is_filled_in_order() {
    let stage = Stage::new().await;
    {
        let mut script = stage.server.script();
        let page = |events: Value, end: Value| json!({ "chunk": events, "end": end });
        script.pages.push_back(page(
            json!([said("$4", ANNA, "4"), said("$3", ANNA, "3")]),
            json!("p2"),
        ));
        script.pages.push_back(page(
            json!([said("$2", ANNA, "2"), said("$1", ANNA, "1")]),
            Value::Null,
        ));
    }
    let timeline = json!({ "limited": true, "prev_batch": "p1", "events": [said("$4", ANNA, "4"), said("$5", ANNA, "5")] });
    stage.server.says(
        200,
        json!({ "next_batch": "s1", "rooms": { "join": { ROOM: { "timeline": timeline } } } }),
    );
    let mut running = stage.start();
    for expected in ["1", "2", "3", "4", "5"] {
        assert_eq!(words(&running.next(Ok(())).await), expected);
    }
    let pages = stage.server.asked("/messages");
    assert!(
        pages[0].2.contains("from=p1") && pages[0].2.contains("to=s0"),
        "{pages:?}"
    );
    assert!(pages[1].2.contains("from=p2"));
}

#[tokio::test]
async fn among_many_only_what_is_meant_for_us() {
    let stage = Stage::new().await;
    let room = "!many:a.example";
    stage.server.script().people.insert(room.to_owned(), 3);
    stage
        .server
        .script()
        .events
        .insert("$ours".to_owned(), said("$ours", OWN, "an answer"));
    let reply = |id: &str, to: &str| {
        json!({ "type": "m.room.message", "event_id": id, "sender": ANNA, "content": {
            "msgtype": "m.text", "body": "and now?", "m.relates_to": { "m.in_reply_to": { "event_id": to } } } })
    };
    stage.server.tells(
        "s1",
        room,
        json!([
            said("$1", ANNA, "hello all"),
            said("$2", ANNA, "Offhook: hello"),
            said("$3", "@eve:a.example", "Offhook: hello"),
            reply("$4", "$theirs"),
            reply("$5", "$ours"),
        ]),
    );
    let mut running = stage.start();
    let asked = running.next(Ok(())).await;
    assert_eq!((asked.id.as_str(), words(&asked)), ("$2", "hello"));
    assert_eq!(running.next(Ok(())).await.id, "$5");
    stage.notebook.expect("since", &format!("{OWN} s1")).await;
    // The answer shows whose question it answers.
    let answer = Outbound {
        place: room.to_owned(),
        reply_to: Some("$2".to_owned()),
        ..text("d1", "Hello.")
    };
    running.delivers(&answer).await;
    let sent = stage.server.script().sent.clone();
    assert_eq!(sent[0].1["m.relates_to"]["m.in_reply_to"]["event_id"], "$2");
    assert_eq!(sent[0].1["m.mentions"]["user_ids"], json!([ANNA]));
}

#[tokio::test]
async fn sound_both_ways() {
    let stage = Stage::new().await;
    stage.server.script().media = vec![7; 1_000];
    let voice = |id: &str, size: u64| {
        json!({ "type": "m.room.message", "event_id": id, "sender": ANNA, "content": {
            "msgtype": "m.audio", "url": "mxc://a.example/m1", "info": { "mimetype": "audio/ogg", "size": size },
            "org.matrix.msc3245.voice": {} } })
    };
    stage.server.tells(
        "s1",
        ROOM,
        json!([voice("$1", 1_000), voice("$2", 1_001), voice("$3", 10)]),
    );
    let mut running = stage.start();
    let expected = Body::Voice {
        bytes: vec![7; 1_000],
        mime: "audio/ogg".to_owned(),
    };
    assert_eq!(running.next(Ok(())).await.body, expected);
    // What it says of its size costs no download; what it says wrongly is cut off.
    assert_eq!(running.next(Ok(())).await.body, too_large(1_000));
    stage.server.script().media = vec![7; 1_001];
    assert!(matches!(
        running.next(Ok(())).await.body,
        Body::Voice { .. } | Body::Unusable { .. }
    ));
    assert!(
        stage
            .server
            .asked("download")
            .iter()
            .all(|(_, path, ..)| path == "/_matrix/client/v1/media/download/a.example/m1")
    );

    let answer = Outbound {
        body: OutBody::Voice {
            ogg_opus: vec![1; 50],
            duration_ms: 900,
            words: "Hello.".to_owned(),
        },
        ..text("d1", "")
    };
    running.delivers(&answer).await;
    let sent = stage.server.script().sent.clone();
    let kinds: Vec<&str> = sent
        .iter()
        .filter_map(|(_, content)| content["msgtype"].as_str())
        .collect();
    assert_eq!(kinds, ["m.text", "m.audio"]);
    assert_eq!(
        (&sent[0].1["body"], &sent[1].1["url"]),
        (&json!("Hello."), &json!("mxc://a.example/up1"))
    );
}

#[tokio::test]
async fn a_password_is_used_once() {
    let mut stage = Stage::new().await;
    stage.with_password();
    let running = stage.start();
    running.is_in().await;
    drop(running);
    let running = stage.start();
    running.is_in().await;
    assert_eq!(stage.server.asked("POST /_matrix/client/v3/login").len(), 1);
    // A token that is no longer good is replaced, for the same device.
    stage
        .server
        .says(401, json!({ "errcode": "M_UNKNOWN_TOKEN" }));
    stage.server.tells("s1", ROOM, json!([]));
    stage.notebook.expect("since", &format!("{OWN} s1")).await;
    let logins = stage.server.asked("POST /_matrix/client/v3/login");
    assert_eq!(logins.len(), 2);
    assert_eq!(logins[1].3["device_id"], "DEVICE");
}

#[tokio::test]
async fn what_goes_wrong_is_said_plainly() {
    let stage = Stage::new().await;
    stage
        .server
        .fails("whoami", 401, json!({ "errcode": "M_UNKNOWN_TOKEN" }));
    let running = stage.start();
    stage.server.expect("whoami").await;
    while !matches!(stage.notices().as_slice(), [Notice::Refused { .. }]) {
        tokio::task::yield_now().await;
    }
    let standing = running.matrix.standing();
    assert!(
        standing.ends_with("the homeserver does not accept the access token"),
        "{standing}"
    );
    drop(running);

    // In trouble, then well again; then a token of a place in the stream that nobody knows any more.
    let stage = Stage::new().await;
    stage.server.says(502, json!({}));
    stage.server.says(200, json!({ "next_batch": "s1" }));
    for _ in 0..4 {
        stage.server.says(400, json!({ "errcode": "M_UNKNOWN" }));
    }
    stage
        .server
        .tells("s9", ROOM, json!([said("$old", ANNA, "old")]));
    let _running = stage.start();
    stage.notebook.expect("since", &format!("{OWN} s9")).await;
    let notices = stage.notices();
    let count =
        |wanted: fn(&Notice) -> bool| notices.iter().filter(|notice| wanted(notice)).count();
    assert_eq!(count(|notice| *notice == Notice::Afresh), 1, "{notices:?}");
    assert_eq!(
        count(|notice| matches!(notice, Notice::Away { .. })),
        2,
        "{notices:?}"
    );
    assert!(count(|notice| *notice == Notice::Back) >= 1, "{notices:?}");
}

#[tokio::test]
async fn waits_and_words_are_those_of_every_channel() {
    let stage = Stage::new().await;
    let mut running = stage.start();
    let picture = json!({ "type": "m.room.message", "event_id": "$1", "sender": ANNA, "content": {
        "msgtype": "m.image", "body": "cat.png", "url": "mxc://a.example/m1" } });
    stage.server.tells("s1", ROOM, json!([picture]));
    let body = running.next(Ok(())).await.body;
    assert_eq!(body, unusable_kind("a picture"));
    for failures in [0, 1, 3, 6, 7, 40, u32::MAX] {
        let (wait, expected) = (running.matrix.backoff(failures), backoff(failures) / HURRY);
        let spread = expected.mul_f32(0.74)..expected.mul_f32(1.26);
        assert!(spread.contains(&wait), "{failures}: {wait:?}");
    }
}

#[tokio::test]
async fn a_hub_that_is_gone_ends_it() {
    let stage = Stage::new().await;
    let mut running = stage.start();
    let told = json!([said("$1", ANNA, "one"), said("$2", ANNA, "two")]);
    stage.server.tells("s1", ROOM, told);
    let arrival = running.inbox.recv().await.expect("the channel runs");
    running.inbox.close();
    drop(arrival);
    (&mut running.task).await.expect("it ends by itself");
    let kept = stage.notebook.read("since").expect("a token");
    assert_eq!(kept, format!("{OWN} s0"));
}
