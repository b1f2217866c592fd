//! Updates as Telegram sends them, and as it never would.

use serde_json::json;

use super::*;

fn me() -> Me {
    Me {
        id: 77,
        username: "offhook_bot".to_owned(),
    }
}

fn one(update: Value) -> What {
    let mut updates = read(&json!([update]), &me());
    updates.remove(0).what
}

fn text_of(what: What) -> String {
    match what {
        What::Message(message) | What::Edited(message) => match message.content {
            Content::Text(text) => text,
            other => format!("{other:?}"),
        },
        other => format!("{other:?}"),
    }
}

fn private(more: Value) -> Value {
    let mut message = json!({
        "message_id": 5, "date": 100, "chat": {"id": 9, "type": "private"},
        "from": {"id": 9, "is_bot": false, "first_name": "Ann\u{202e}a", "last_name": "\u{7}B"},
    });
    for (key, value) in more.as_object().into_iter().flatten() {
        message[key] = value.clone();
    }
    message
}

#[test]
fn a_text_is_read() {
    let what = one(json!({"update_id": 1, "message": private(json!({"text": "hello"}))}));
    let What::Message(message) = what else {
        panic!("{what:?}")
    };
    assert_eq!(message.name, "Anna B");
    assert!(message.is_private && message.chat == 9 && message.number == 5 && message.at_s == 100);
    assert_eq!(message.content, Content::Text("hello".to_owned()));
}

#[test]
fn a_place_that_moves_is_told_once() {
    let place = json!({"location": {"latitude": 1.0, "longitude": 2.0, "live_period": 900}});
    let what = one(json!({"update_id": 1, "message": private(place.clone())}));
    assert_eq!(text_of(what), "Other(\"places\")");
    let what = one(json!({"update_id": 2, "edited_message": private(place)}));
    assert_eq!(what, What::Nothing);
}

#[test]
fn contents_are_told_apart() {
    let cases = [
        (json!({"text": "x"}), "x"),
        (
            json!({"voice": {"file_id": "f", "file_size": 3, "mime_type": "audio/ogg"}}),
            r#"Voice { file: "f", bytes: Some(3), mime: "audio/ogg" }"#,
        ),
        (
            json!({"audio": {"file_id": "f", "mime_type": "audio/mp4"}}),
            r#"Voice { file: "f", bytes: None, mime: "audio/mp4" }"#,
        ),
        (
            json!({"photo": [{}], "caption": "x"}),
            r#"Other("pictures")"#,
        ),
        (
            json!({"animation": {}, "document": {}}),
            r#"Other("films")"#,
        ),
        (json!({"document": {"file_id": 3}}), r#"Other("files")"#),
        (json!({"voice": {"file_id": 3}}), "Nothing"),
        (json!({"new_chat_members": []}), "Nothing"),
        (json!({"text": ""}), "Nothing"),
        (json!({"text": 4}), "Nothing"),
        (
            json!({"text": "x", "from": {"id": 1, "is_bot": true}}),
            "Nothing",
        ),
        (json!({"text": "x", "from": null}), "Nothing"),
        (json!({"text": "x", "chat": {"id": "9"}}), "Nothing"),
        (json!({"text": "x", "message_id": 1.5}), "Nothing"),
    ];
    for (more, expected) in cases {
        let what = one(json!({"update_id": 1, "message": private(more.clone())}));
        assert_eq!(text_of(what), expected, "{more}");
    }
}

#[test]
fn a_group_speaks_to_us_by_name_or_reply() {
    let cases = [
        (json!({"text": "hello all"}), false, "hello all"),
        (
            json!({"text": "@Offhook_Bot, what time is it"}),
            true,
            "what time is it",
        ),
        (
            json!({"text": "what time is it @offhook_bot?"}),
            true,
            "what time is it?",
        ),
        (
            json!({"text": "@offhook_bots hi"}),
            false,
            "@offhook_bots hi",
        ),
        (json!({"text": "@offhook_bot"}), true, "@offhook_bot"),
        (
            json!({"text": "yes", "reply_to_message": {"from": {"id": 77}}}),
            true,
            "yes",
        ),
        (
            json!({"text": "yes", "reply_to_message": {"from": {"id": 78}}}),
            false,
            "yes",
        ),
    ];
    for (more, is_for_us, words) in cases {
        let mut message = private(more.clone());
        message["chat"] = json!({"id": -4, "type": "supergroup"});
        let what = one(json!({"update_id": 1, "message": message}));
        let What::Message(message) = what else {
            panic!("{what:?}")
        };
        assert_eq!(message.is_for_us, is_for_us, "{more}");
        assert_eq!(message.content, Content::Text(words.to_owned()), "{more}");
    }
}

#[test]
fn edits_and_buttons_are_read() {
    let what = one(
        json!({"update_id": 1, "edited_message": private(json!({"text": "new", "edit_date": 130}))}),
    );
    assert!(
        matches!(&what, What::Edited(message) if message.at_s == 130),
        "{what:?}"
    );
    let press = json!({"id": "q1", "from": {"id": 9, "first_name": "A"}, "data": "0",
        "message": {"message_id": 8, "chat": {"id": 9, "type": "private"}}});
    let what = one(json!({"update_id": 1, "callback_query": press}));
    assert!(matches!(&what, What::Pressed(press) if press.number == 8 && press.data == "0"));
    // Under a message that Telegram no longer shows us.
    let press = json!({"id": "q1", "from": {"id": 9}, "data": "0", "inline_message_id": "x"});
    assert_eq!(
        one(json!({"update_id": 1, "callback_query": press})),
        What::Nothing
    );
}

#[test]
fn order_is_that_of_the_numbers() {
    let result = json!([{"update_id": 3}, {"update_id": 1}, {"update_id": 3}, {"x": 1}, 5, {"update_id": -1}]);
    let ids: Vec<i64> = read(&result, &me())
        .iter()
        .map(|update| update.id)
        .collect();
    assert_eq!(ids, [1, 3]);
    for odd in [json!(null), json!({}), json!("x"), json!([[[]]])] {
        assert!(read(&odd, &me()).is_empty());
    }
}

#[test]
fn the_first_number_is_found_in_a_piece() {
    let cases = [
        (r#"{"ok":true,"result":[{"update_id":123,"mess"#, Some(123)),
        (r#"{"ok":true,"result":[{"update_id" : 9, "#, Some(9)),
        (r#"{"ok":true,"result":[{"update_id":12"#, None),
        (r#"{"ok":true,"result":[{"update_id":"x"#, None),
        ("", None),
    ];
    for (head, expected) in cases {
        assert_eq!(first_id(head.as_bytes()), expected, "{head}");
    }
}
