//! The channel against `telegram_stand_in`: a small server of our own that speaks as much of the Bot API as is used here.
//! It is not Telegram.

mod stand_in;

use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};
use tokio::sync::mpsc;

use super::*;
use crate::channels::{Body, INBOX_MAX, NotKept, OutBody};
use stand_in::{Guests, Notes, StandIn};

const TOKEN: &str = "42:SECRET-part";
/// Longest wait of a test: it fails then.
const LIMIT: Duration = Duration::from_secs(20);

fn text(id: i64, words: &str) -> Value {
    message(id, json!({ "text": words }))
}

fn message(id: i64, more: Value) -> Value {
    let mut message = json!({"message_id": id + 1_000, "date": 7, "chat": {"id": 9, "type": "private"},
        "from": {"id": 9, "first_name": "Anna"}});
    for (key, value) in more.as_object().into_iter().flatten() {
        message[key] = value.clone();
    }
    json!({ "update_id": id, "message": message })
}

fn outbound(id: &str, body: OutBody) -> Outbound {
    Outbound {
        id: id.to_owned(),
        place: "9".to_owned(),
        body,
        reply_to: None,
        is_repeat: false,
    }
}

fn start(channel: &Arc<Telegram>) -> (mpsc::Receiver<Arrival>, tokio::task::JoinHandle<()>) {
    let (inbox, arrivals) = mpsc::channel(INBOX_MAX);
    (arrivals, tokio::spawn(channel.clone().run(inbox)))
}

async fn next(arrivals: &mut mpsc::Receiver<Arrival>) -> Arrival {
    let arrival = tokio::time::timeout(LIMIT, arrivals.recv()).await;
    arrival.expect("it arrives").expect("it runs")
}

#[tokio::test]
async fn a_text_comes_and_is_receipted_after_it_is_kept() {
    let stand_in = StandIn::start().await;
    let channel = stand_in.channel(&Arc::default(), &["9"]);
    let (mut arrivals, task) = start(&channel);
    stand_in.update(text(1, "hello"));
    stand_in.update(json!({"update_id": 2, "edited_message": text(1, "hello there")["message"]}));
    let first = next(&mut arrivals).await;
    assert_eq!(first.message.id, "42:9:1001");
    assert_eq!(
        (
            first.message.place.as_str(),
            first.message.shown_name.as_str()
        ),
        ("9", "Anna")
    );
    assert_eq!(first.message.body, Body::Text("hello".to_owned()));
    // Not kept yet, so not receipted.
    assert!(stand_in.with(|inner| inner.offsets.iter().all(Option::is_none)));
    // The program dies here, and begins again: the same message comes again.
    task.abort();
    drop(first);
    let channel = stand_in.channel(&Arc::default(), &["9"]);
    let (mut arrivals, _task) = start(&channel);
    let again = next(&mut arrivals).await;
    assert_eq!(again.message.id, "42:9:1001");
    assert_eq!(again.kept.send(Ok(())), Ok(()));
    let mut latest = next(&mut arrivals).await;
    // Both may have come in one answer, or one after the other.
    if latest.message.edits.is_none() {
        assert_eq!(latest.message.id, "42:9:1001");
        latest.kept.send(Ok(())).expect("it waits");
        latest = next(&mut arrivals).await;
    }
    assert_eq!(latest.message.edits.as_deref(), Some("42:9:1001"));
    assert_eq!(latest.message.id, "42:9:1001:2");
    latest.kept.send(Ok(())).expect("it waits");
    stand_in
        .wait(|inner| inner.offsets.contains(&Some(3)).then_some(()))
        .await;
    assert!(
        channel.standing().contains("receiving as @offhook_bot"),
        "{}",
        channel.standing()
    );
}

#[tokio::test]
async fn voice_notes_are_fetched_for_people_we_know() {
    let stand_in = StandIn::start().await;
    stand_in.with(|inner| inner.file = b"OggS".to_vec());
    let channel = stand_in.channel(&Arc::default(), &["9"]);
    let (mut arrivals, _task) = start(&channel);
    let voice = json!({"file_id": "f", "file_size": 4, "mime_type": "audio/ogg"});
    stand_in.update(message(
        1,
        json!({"voice": voice, "from": {"id": 8}, "chat": {"id": 8, "type": "private"}}),
    ));
    stand_in.update(message(2, json!({ "voice": voice })));
    stand_in.update(message(
        3,
        json!({"voice": {"file_id": "f", "file_size": 1_u64 << 40}}),
    ));
    let body = |arrival: Arrival| {
        arrival.kept.send(Ok(())).expect("it waits");
        arrival.message.body
    };
    let fetched = Body::Voice {
        bytes: b"OggS".to_vec(),
        mime: "audio/ogg".to_owned(),
    };
    // The stranger's was not fetched, and not offered.
    assert_eq!(body(next(&mut arrivals).await), fetched);
    let refused = body(next(&mut arrivals).await);
    assert!(
        matches!(&refused, Body::Unusable { why } if why.contains("too large")),
        "{refused:?}"
    );
}

#[tokio::test]
async fn a_stranger_is_told_once() {
    let stand_in = StandIn::start().await;
    let channel = stand_in.channel(&Arc::default(), &[]);
    let (mut arrivals, _task) = start(&channel);
    for id in 1..=3 {
        stand_in.update(text(id, "let me in"));
    }
    for _ in 0..3 {
        next(&mut arrivals)
            .await
            .kept
            .send(Err(NotKept::Stranger))
            .expect("it waits");
    }
    stand_in
        .wait(|inner| inner.offsets.contains(&Some(4)).then_some(()))
        .await;
    let told = stand_in.all("sendMessage");
    assert_eq!(told.len(), 1);
    assert!(
        told[0]["text"]
            .as_str()
            .is_some_and(|text| text.contains("ABCD-1234")),
        "{told:?}"
    );
}

#[tokio::test]
async fn groups_are_heard_where_allowed_and_asked() {
    let stand_in = StandIn::start().await;
    let channel = stand_in.channel(&Arc::default(), &["9"]);
    let (mut arrivals, _task) = start(&channel);
    let group = |id: i64, chat: i64, words: &str| {
        message(
            id,
            json!({"text": words, "chat": {"id": chat, "type": "group"}}),
        )
    };
    stand_in.update(group(1, -6, "@offhook_bot not here"));
    stand_in.update(group(2, -5, "not to you"));
    stand_in.update(group(3, -5, "@offhook_bot what time is it"));
    let heard = next(&mut arrivals).await;
    assert_eq!(heard.message.body, Body::Text("what time is it".to_owned()));
    assert_eq!(
        (heard.message.place.as_str(), heard.message.from.id.as_str()),
        ("-5", "9")
    );
    let answer = Outbound {
        place: "-5".to_owned(),
        reply_to: Some(heard.message.id),
        ..outbound("d1", OutBody::Text("Noon.".to_owned()))
    };
    channel.deliver(&answer).await.expect("delivered");
    assert_eq!(
        stand_in.all("sendMessage")[0]["reply_parameters"]["message_id"],
        1_003
    );
}

#[tokio::test]
async fn what_was_sent_before_a_crash_is_not_sent_again() {
    let stand_in = StandIn::start().await;
    let notes: Arc<Notes> = Arc::default();
    let long = outbound(
        "d1",
        OutBody::Text("A sentence that is said again. ".repeat(400)),
    );
    let gone = || json!({"ok": false, "error_code": 429, "parameters": {"retry_after": 3}});
    let channel = stand_in.channel(&notes, &["9"]);
    // The second piece is refused, certainly.
    stand_in.answer_next(
        "sendMessage",
        200,
        json!({"ok": true, "result": {"message_id": 1}}),
    );
    stand_in.answer_next("sendMessage", 429, gone());
    let error = channel.deliver(&long).await.expect_err("refused");
    assert!(
        matches!(&error, DeliveryError::Passing { retry_after: Some(wait), .. } if wait.as_secs() == 3),
        "{error}"
    );
    // A new program goes on there, and its third piece ends in doubt.
    let channel = stand_in.channel(&notes, &["9"]);
    stand_in.answer_next(
        "sendMessage",
        200,
        json!({"ok": true, "result": {"message_id": 2}}),
    );
    stand_in.answer_next("sendMessage", 502, json!("bad gateway"));
    let error = channel.deliver(&long).await.expect_err("in doubt");
    assert!(
        matches!(
            error,
            DeliveryError::Passing {
                retry_after: None,
                ..
            }
        ),
        "{error}"
    );
    let channel = stand_in.channel(&notes, &["9"]);
    let theirs = channel.deliver(&long).await.expect("delivered");
    assert_eq!(theirs.as_deref(), Some("9:1"));
    let pieces = pieces::pieces(&long.body).len();
    let sent = stand_in.all("sendMessage");
    // Each piece once, one refused, one in doubt; and that one says so.
    assert_eq!(sent.len(), pieces + 2);
    let says_so: Vec<usize> = (0..sent.len())
        .filter(|n| {
            sent[*n]["text"]
                .as_str()
                .is_some_and(|text| text.contains("Sent again"))
        })
        .collect();
    assert_eq!(says_so, [4]);
    // And the whole delivery again, as after a crash before the hub wrote it down.
    let channel = stand_in.channel(&notes, &["9"]);
    channel.deliver(&long).await.expect("nothing to do");
    assert_eq!(stand_in.all("sendMessage").len(), pieces + 2);
}

#[tokio::test]
async fn nothing_leaves_that_cannot_be_written_down() {
    let stand_in = StandIn::start().await;
    let notes: Arc<Notes> = Arc::default();
    let channel = stand_in.channel(&notes, &["9"]);
    notes
        .is_full
        .store(true, std::sync::atomic::Ordering::Relaxed);
    let answer = outbound("d1", OutBody::Text("hello".to_owned()));
    assert!(channel.deliver(&answer).await.is_err());
    assert!(stand_in.all("sendMessage").is_empty());
    notes
        .is_full
        .store(false, std::sync::atomic::Ordering::Relaxed);
    channel.deliver(&answer).await.expect("delivered");
    let sent = stand_in.all("sendMessage");
    assert_eq!((sent.len(), &sent[0]["text"]), (1, &json!("hello")));
}

#[tokio::test]
async fn refusals_are_met() {
    let stand_in = StandIn::start().await;
    let channel = stand_in.channel(&Arc::default(), &["9"]);
    let refused =
        |code: u16, words: &str| json!({"ok": false, "error_code": code, "description": words});
    // Markup that is not read goes out plain.
    stand_in.answer_next(
        "sendMessage",
        400,
        refused(400, "Bad Request: can't parse entities: x"),
    );
    let answer = outbound("d1", OutBody::Text("**yes**".to_owned()));
    channel.deliver(&answer).await.expect("delivered");
    let sent = stand_in.all("sendMessage");
    assert_eq!(
        (&sent[0]["text"], &sent[1]["text"]),
        (&json!("<b>yes</b>"), &json!("yes"))
    );
    // Who takes no voice gets the words.
    let voice = |words: &str| OutBody::Voice {
        ogg_opus: b"OggS".to_vec(),
        duration_ms: 900,
        words: words.to_owned(),
    };
    stand_in.answer_next(
        "sendVoice",
        400,
        refused(400, "Bad Request: VOICE_MESSAGES_FORBIDDEN"),
    );
    channel
        .deliver(&outbound("d2", voice("Noon.")))
        .await
        .expect("delivered");
    assert_eq!(stand_in.all("sendMessage")[2]["text"], "Noon.");
    channel
        .deliver(&outbound("d3", voice("Noon.")))
        .await
        .expect("delivered");
    let forms = stand_in.all("sendVoice");
    let form = forms[1]["form"].as_str().expect("a form");
    for part in [
        "name=\"chat_id\"\r\n\r\n9",
        "OggS",
        "name=\"caption\"\r\n\r\nNoon.",
        "audio/ogg",
    ] {
        assert!(form.contains(part), "{part}: {form}");
    }
    // Who has blocked the bot gets nothing, for ever.
    stand_in.answer_next(
        "sendMessage",
        403,
        refused(403, "Forbidden: bot was blocked by the user"),
    );
    let error = channel
        .deliver(&outbound("d4", OutBody::Text("x".to_owned())))
        .await;
    assert!(matches!(error, Err(DeliveryError::Final { .. })));
}

#[tokio::test]
async fn a_button_decides_once() {
    let stand_in = StandIn::start().await;
    let notes: Arc<Notes> = Arc::default();
    let channel = stand_in.channel(&notes, &["9"]);
    let buttons = vec![
        ("Allow".to_owned(), "approve:7".to_owned()),
        ("No".to_owned(), "deny:7".to_owned()),
    ];
    let ask = OutBody::Ask {
        text: "May I turn the lamp on?".to_owned(),
        buttons,
    };
    channel.deliver(&outbound("d1", ask)).await.expect("asked");
    // A new program knows the question.
    let channel = stand_in.channel(&notes, &["9"]);
    let (mut arrivals, _task) = start(&channel);
    let press = |id: i64, from: i64, number: i64, data: &str| {
        json!({"update_id": id, "callback_query": {"id": format!("q{id}"), "data": data,
            "from": {"id": from, "first_name": "A"},
            "message": {"message_id": number, "chat": {"id": 9, "type": "private"}}}})
    };
    // Somebody else, another message, a button that was never there.
    stand_in.update(press(1, 8, 101, "0"));
    stand_in.update(press(2, 9, 99, "0"));
    stand_in.update(press(3, 9, 101, "7"));
    stand_in.update(press(4, 9, 101, "deny:7"));
    let toasts = stand_in.wait_for("answerCallbackQuery", 4).await;
    assert!(
        toasts
            .iter()
            .all(|toast| toast["text"] == "This question is no longer open.")
    );
    stand_in.update(press(5, 9, 101, "0"));
    let arrival = next(&mut arrivals).await;
    assert_eq!(
        arrival.message.body,
        Body::Button {
            data: "approve:7".to_owned()
        }
    );
    assert!(stand_in.all("editMessageText").is_empty());
    arrival.kept.send(Ok(())).expect("it waits");
    let edits = stand_in.wait_for("editMessageText", 1).await;
    assert_eq!(
        edits[0]["text"],
        "May I turn the lamp on?\n\n<b>→ Allow</b>"
    );
    assert!(edits[0].get("reply_markup").is_none());
    // The second tap finds nothing.
    stand_in.update(press(6, 9, 101, "1"));
    stand_in.wait_for("answerCallbackQuery", 6).await;
    assert!(arrivals.try_recv().is_err());
}

/// A press that decides nothing any more does not look as if it had.
#[tokio::test]
async fn a_button_of_a_question_that_is_over_allows_nothing() {
    let stand_in = StandIn::start().await;
    let channel = stand_in.channel(&Arc::default(), &["9"]);
    let ask = OutBody::Ask {
        text: "May I turn the lamp on?".to_owned(),
        buttons: vec![("Allow".to_owned(), "approve:7".to_owned())],
    };
    channel.deliver(&outbound("d1", ask)).await.expect("asked");
    let (mut arrivals, _task) = start(&channel);
    let press = |id: i64| {
        json!({"update_id": id, "callback_query": {"id": format!("q{id}"), "data": "0",
            "from": {"id": 9, "first_name": "A"},
            "message": {"message_id": 101, "chat": {"id": 9, "type": "private"}}}})
    };
    stand_in.update(press(1));
    let arrival = next(&mut arrivals).await;
    arrival.kept.send(Err(NotKept::Over)).expect("it waits");
    let edits = stand_in.wait_for("editMessageText", 1).await;
    assert_eq!(
        edits[0]["text"],
        "May I turn the lamp on?\n\n<b>→ This question is no longer open.</b>"
    );
    assert!(edits[0].get("reply_markup").is_none());
    let toasts = stand_in.wait_for("answerCallbackQuery", 1).await;
    assert_eq!(toasts[0]["text"], "This question is no longer open.");
    stand_in.update(press(2));
    stand_in.wait_for("answerCallbackQuery", 2).await;
    assert!(arrivals.try_recv().is_err());
}

#[tokio::test]
async fn a_question_that_is_over_says_so() {
    let stand_in = StandIn::start().await;
    let channel = stand_in.channel(&Arc::default(), &["9"]);
    let ask = OutBody::Ask {
        text: "May I turn the lamp on?".to_owned(),
        buttons: vec![("Allow".to_owned(), "approve:7".to_owned())],
    };
    let theirs = channel.deliver(&outbound("d1", ask)).await.expect("asked");
    let over = Withdrawal {
        id: "d1".to_owned(),
        place: "9".to_owned(),
        theirs,
        text: "May I turn the lamp on?".to_owned(),
        words: "Allowed on the page.".to_owned(),
    };
    channel.withdraw(&over).await;
    let edits = stand_in.all("editMessageText");
    assert_eq!(
        edits[0]["text"],
        "May I turn the lamp on?\n\n<b>→ Allowed on the page.</b>"
    );
    assert!(edits[0].get("reply_markup").is_none());
    // Once; and what was never asked is not edited.
    channel.withdraw(&over).await;
    let unknown = Withdrawal {
        theirs: None,
        ..over
    };
    channel.withdraw(&unknown).await;
    assert_eq!(stand_in.all("editMessageText").len(), 1);
}

#[tokio::test]
async fn a_file_that_is_gone_stops_nothing() {
    let stand_in = StandIn::start().await;
    stand_in.with(|inner| inner.file_status = 404);
    let channel = stand_in.channel(&Arc::default(), &["9"]);
    let (mut arrivals, _task) = start(&channel);
    let voice = json!({"file_id": "f", "file_size": 4, "mime_type": "audio/ogg"});
    stand_in.update(message(1, json!({ "voice": voice })));
    stand_in.update(text(2, "hello"));
    let gone = next(&mut arrivals).await;
    assert!(
        matches!(&gone.message.body, Body::Unusable { why } if why.contains("could not be fetched"))
    );
    gone.kept.send(Ok(())).expect("it waits");
    let next = next(&mut arrivals).await;
    assert_eq!(next.message.body, Body::Text("hello".to_owned()));
}

#[tokio::test]
async fn groups_are_asked_nothing() {
    let stand_in = StandIn::start().await;
    let channel = stand_in.channel(&Arc::default(), &["9"]);
    let ask = OutBody::Ask {
        text: "May I?".to_owned(),
        buttons: vec![("Allow".to_owned(), "approve:7".to_owned())],
    };
    let question = Outbound {
        place: "-5".to_owned(),
        ..outbound("d1", ask)
    };
    let error = channel.deliver(&question).await;
    assert!(
        matches!(error, Err(DeliveryError::Final { .. })),
        "{error:?}"
    );
    assert!(stand_in.all("sendMessage").is_empty());
}

#[tokio::test]
async fn a_wrong_token_stops_and_another_poller_is_named() {
    let stand_in = StandIn::start().await;
    let channel = stand_in.channel(&Arc::default(), &[]);
    let conflict = json!({"ok": false, "error_code": 409, "description": "Conflict: terminated by other getUpdates request"});
    stand_in.answer_next(
        "getMe",
        401,
        json!({"ok": false, "error_code": 401, "description": "Unauthorized"}),
    );
    let (_arrivals, task) = start(&channel);
    stand_in.wait_for("getMe", 1).await;
    let stopped = tokio::time::timeout(LIMIT, async {
        while !channel.standing().starts_with("stopped") {
            tokio::task::yield_now().await;
        }
    });
    stopped.await.expect("it stops");
    assert!(
        channel
            .standing()
            .contains("does not accept the bot's token")
    );
    assert!(!task.is_finished());
    let channel = stand_in.channel(&Arc::default(), &[]);
    stand_in.answer_next("getUpdates", 409, conflict);
    let (_arrivals, _task) = start(&channel);
    let named = tokio::time::timeout(LIMIT, async {
        while !channel.standing().contains("another program") {
            tokio::task::yield_now().await;
        }
    });
    named.await.expect("it says so");
}

#[tokio::test]
async fn typing_is_said_while_it_lasts() {
    let stand_in = StandIn::start().await;
    let channel = stand_in.channel(&Arc::default(), &["9"]);
    channel.typing("9", true).await;
    channel.typing("9", true).await;
    let said = stand_in.wait_for("sendChatAction", 1).await;
    assert_eq!(said[0], json!({"chat_id": "9", "action": "typing"}));
    channel.typing("9", false).await;
    assert_eq!(stand_in.all("sendChatAction").len(), 1);
}

#[tokio::test]
async fn a_check_asks_who_the_bot_is() {
    let stand_in = StandIn::start().await;
    let config = TelegramConfig {
        url: format!("http://{}", stand_in.address),
        token: Secret::new(TOKEN),
        groups: Vec::new(),
        seed: [1; 32],
    };
    assert_eq!(check(&config).await.as_deref(), Ok("@offhook_bot"));
    let refused = json!({"ok": false, "error_code": 401, "description": "Unauthorized"});
    stand_in.answer_next("getMe", 401, refused);
    let error = check(&config).await.expect_err("refused").why;
    assert!(error.contains("does not accept"), "{error}");
}

#[tokio::test]
async fn the_token_is_never_shown() {
    // Nobody listens there.
    let config = TelegramConfig {
        url: "http://127.0.0.1:1".to_owned(),
        token: Secret::new(TOKEN),
        groups: Vec::new(),
        seed: [1; 32],
    };
    assert!(!format!("{config:?}").contains("SECRET"));
    let _ = rustls::crypto::ring::default_provider().install_default();
    let door = Arc::new(Guests { known: Vec::new() });
    let channel = Arc::new(Telegram::new(config, Arc::<Notes>::default(), door).expect("good"));
    let (_arrivals, _task) = start(&channel);
    let error = channel
        .deliver(&outbound("d1", OutBody::Text("x".to_owned())))
        .await;
    let error = format!("{error:?}");
    assert!(
        error.contains("no connection to Telegram") && !error.contains("SECRET"),
        "{error}"
    );
    let said = tokio::time::timeout(LIMIT, async {
        while !channel.standing().contains("no connection") {
            tokio::task::yield_now().await;
        }
    });
    said.await.expect("it says so");
    assert!(!channel.standing().contains("SECRET"));
}
