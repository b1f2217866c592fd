//! Rooms of one person and us: how they are made, found again and left behind.

use super::*;

fn direct(id: &str) -> Outbound {
    Outbound {
        place: ANNA.to_owned(),
        ..text(id, "The parcel is here.")
    }
}

/// The room that is known takes nothing, and neither does the one made instead: after that there is no third.
async fn is_moved_then_refused(running: &Running, id: &str) {
    let moved = running.matrix.deliver(&direct(id)).await;
    assert!(
        matches!(moved, Err(DeliveryError::Passing { .. })),
        "{moved:?}"
    );
    let refused = running.matrix.deliver(&direct(id)).await;
    assert!(
        matches!(refused, Err(DeliveryError::Final { .. })),
        "{refused:?}"
    );
}

#[tokio::test]
async fn news_find_their_room() {
    let stage = Stage::new().await;
    let running = stage.start();
    running.is_in().await;
    for id in ["d1", "d2"] {
        let news = Outbound {
            place: ANNA.to_owned(),
            ..text(id, "The parcel is here.")
        };
        running.delivers(&news).await;
    }
    assert_eq!(stage.server.asked("createRoom").len(), 1);
    let nowhere = Outbound {
        place: "somewhere".to_owned(),
        ..text("d3", "x")
    };
    assert!(matches!(
        running.matrix.deliver(&nowhere).await,
        Err(DeliveryError::Final { .. })
    ));
    running.matrix.typing(ROOM, true).await;
    assert_eq!(stage.server.expect("/typing/").await.3["typing"], true);
    running.matrix.typing(ROOM, false).await;
}

#[tokio::test]
async fn a_lost_answer_makes_no_second_room() {
    let stage = Stage::new().await;
    let running = stage.start();
    running.is_in().await;
    stage.server.fails("createRoom", 504, json!({}));
    let lost = running.matrix.deliver(&direct("d1")).await;
    assert!(
        matches!(lost, Err(DeliveryError::Passing { .. })),
        "{lost:?}"
    );
    // It was made all the same, and carries our mark.
    let made = "!made:a.example";
    {
        let asked = stage.server.asked("createRoom");
        let mut script = stage.server.script();
        let marks = asked[0].3["creation_content"].clone();
        script.state.insert(format!("{made} m.room.create"), marks);
        let there = json!({ "membership": "invite" });
        script.state.insert(format!("{made} m.room.member"), there);
    }
    // Another run of the program finds it.
    drop(running);
    let running = stage.start();
    running.is_in().await;
    running.delivers(&direct("d1")).await;
    assert_eq!(count(&stage, "createRoom"), 1);
    assert_eq!(count(&stage, &format!("{made}/send")), 1);
}

#[tokio::test]
async fn a_room_that_is_closed_to_us_is_left_behind() {
    let stage = Stage::new().await;
    let old = "!old:a.example";
    let key = super::super::send::direct_key(ANNA);
    stage.notebook.put(&key, old).await.expect("it is written");
    let running = stage.start();
    running.is_in().await;
    let closed = || json!({ "errcode": "M_FORBIDDEN" });
    stage.server.fails("send", 403, closed());
    let moved = running.matrix.deliver(&direct("d1")).await;
    assert!(
        matches!(moved, Err(DeliveryError::Passing { .. })),
        "{moved:?}"
    );
    running.delivers(&direct("d1")).await;
    assert_eq!(count(&stage, &format!("{ROOM}/send")), 1);
    assert_eq!(stage.notebook.read(&key).as_deref(), Some(ROOM));
    // Two closed rooms are an answer.
    stage.server.fails("send", 403, closed());
    stage.server.fails("send", 403, closed());
    is_moved_then_refused(&running, "d2").await;
}

#[tokio::test]
async fn nobody_else_can_make_a_room_for_our_news() {
    let stage = Stage::new().await;
    let key = super::super::send::direct_key(ANNA);
    let running = stage.start();
    running.is_in().await;
    stage.server.fails("createRoom", 504, json!({}));
    let lost = running.matrix.deliver(&direct("d1")).await;
    assert!(
        matches!(lost, Err(DeliveryError::Passing { .. })),
        "{lost:?}"
    );
    let marks = || -> Vec<Value> {
        let made = stage.server.asked("createRoom").into_iter();
        made.map(|(.., body)| body["creation_content"]["org.offhook.direct"].clone())
            .collect()
    };
    let mark = marks()[0].as_str().expect("a mark").to_owned();
    assert!(mark.len() == 32 && !mark.contains("anna"), "{mark}");
    let making = format!("being made {mark}");
    assert_eq!(stage.notebook.read(&key), Some(making.clone()));
    // A stranger has us in a room that looks like ours, and Anna invited. They can guess all but the mark.
    let forged = "!made:a.example";
    for guess in [ANNA, &making, "being made", ""] {
        let marks = json!({ "org.offhook.direct": guess });
        let there = json!({ "membership": "invite" });
        {
            let mut script = stage.server.script();
            script
                .state
                .insert(format!("{forged} m.room.create"), marks);
            script
                .state
                .insert(format!("{forged} m.room.member"), there);
        }
        let made = stage.server.asked("createRoom").len();
        stage.notebook.put(&key, &making).await.expect("written");
        let news = running.matrix.deliver(&direct(&format!("d{made}"))).await;
        news.expect("delivered");
        assert_eq!(count(&stage, "createRoom"), made + 1, "{guess}");
        assert_eq!(count(&stage, &format!("{forged}/send")), 0, "{guess}");
    }
    let marks = marks();
    for (n, mark) in marks.iter().enumerate() {
        assert!(!marks[..n].contains(mark), "{marks:?}");
    }
}

#[tokio::test]
async fn a_room_that_was_refused_is_not_looked_for() {
    let stage = Stage::new().await;
    let key = super::super::send::direct_key(ANNA);
    let running = stage.start();
    running.is_in().await;
    let refusals = [
        (
            429,
            json!({ "errcode": "M_LIMIT_EXCEEDED", "retry_after_ms": 1 }),
        ),
        (403, json!({ "errcode": "M_FORBIDDEN" })),
    ];
    for (status, answer) in refusals {
        stage.server.fails("createRoom", status, answer);
        let refused = running.matrix.deliver(&direct("d1")).await;
        assert!(refused.is_err(), "{status}");
        assert_eq!(stage.notebook.read(&key).as_deref(), Some(""), "{status}");
    }
    running.delivers(&direct("d1")).await;
    assert_eq!(count(&stage, "joined_rooms"), 0);
    assert_eq!(stage.notebook.read(&key).as_deref(), Some(ROOM));
}

#[tokio::test]
async fn nobody_reads_a_room_that_they_have_left() {
    let there = |stage: &Stage, room: &str, membership: &str| {
        let mut script = stage.server.script();
        script.people.insert(room.to_owned(), 1);
        let state = json!({ "membership": membership });
        script.state.insert(format!("{room} m.room.member"), state);
    };
    let key = super::super::send::direct_key(ANNA);
    let old = "!old:a.example";
    for membership in ["leave", "ban"] {
        let stage = Stage::new().await;
        stage.notebook.put(&key, old).await.expect("written");
        there(&stage, old, membership);
        let running = stage.start();
        running.is_in().await;
        let moved = running.matrix.deliver(&direct("d1")).await;
        assert!(
            matches!(moved, Err(DeliveryError::Passing { .. })),
            "{moved:?}"
        );
        // Who has not yet accepted our invitation finds the news in the new room.
        there(&stage, ROOM, "invite");
        running.delivers(&direct("d1")).await;
        assert_eq!(count(&stage, &format!("{old}/send")), 0);
        assert_eq!(count(&stage, &format!("{ROOM}/send")), 1);
        // Who does not want it gets no third.
        there(&stage, ROOM, "leave");
        is_moved_then_refused(&running, "d2").await;
        assert_eq!(count(&stage, "createRoom"), 2);
    }
}

#[tokio::test]
async fn a_question_goes_to_a_room_of_two() {
    let stage = Stage::new().await;
    let key = super::super::send::direct_key(ANNA);
    let old = "!old:a.example";
    stage.notebook.put(&key, old).await.expect("written");
    stage.server.script().people.insert(old.to_owned(), 3);
    let running = stage.start();
    running.is_in().await;
    let ask = |id: &str| Outbound {
        body: OutBody::Ask {
            text: "Run it?".to_owned(),
            buttons: Vec::new(),
        },
        ..direct(id)
    };
    let moved = running.matrix.deliver(&ask("q1")).await;
    assert!(
        matches!(moved, Err(DeliveryError::Passing { .. })),
        "{moved:?}"
    );
    running.matrix.deliver(&ask("q1")).await.expect("asked");
    assert_eq!(count(&stage, &format!("{old}/send")), 0);
    assert_eq!(count(&stage, &format!("{ROOM}/send")), 1);
    assert_eq!(stage.notebook.read(&key).as_deref(), Some(ROOM));
    // Where somebody joins there too, there is no third.
    stage.server.script().people.insert(ROOM.to_owned(), 3);
    running.matrix.rooms().doubt(ROOM);
    let moved = running.matrix.deliver(&ask("q2")).await;
    assert!(
        matches!(moved, Err(DeliveryError::Passing { .. })),
        "{moved:?}"
    );
    let refused = running.matrix.deliver(&ask("q2")).await;
    assert!(
        matches!(refused, Err(DeliveryError::Final { .. })),
        "{refused:?}"
    );
    assert_eq!(count(&stage, "createRoom"), 2);
}
