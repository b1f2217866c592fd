//! What a homeserver says, read.

use serde_json::json;

use super::*;

const OWN: &str = "@offhook:a.example";

fn said(content: Value) -> Option<What> {
    let event = json!({
        "event_id": "$e", "sender": "@anna:a.example", "type": "m.room.message",
        "origin_server_ts": 7, "content": content,
    });
    super::event(&event).map(|event| event.what)
}

fn text(body: &str) -> Message {
    Message {
        content: Content::Text(body.to_owned()),
        formatted: None,
        mentions: Vec::new(),
        reply_to: None,
        thread: None,
        replaces: None,
    }
}

#[test]
fn a_sync_is_read() {
    let body = json!({
        "next_batch": "s2",
        "rooms": {
            "invite": { "!i:a.example": { "invite_state": { "events": [
                { "type": "m.room.member", "sender": "@anna:a.example", "state_key": "@anna:a.example",
                  "content": { "membership": "join", "displayname": "An\u{202e}na\n" } },
                { "type": "m.room.member", "sender": "@anna:a.example", "state_key": OWN,
                  "content": { "membership": "invite", "is_direct": true } },
            ] } }, "!no-invite-of-ours:a": {} },
            "join": { "!r:a.example": {
                "state": { "events": [{ "type": "m.room.encryption", "state_key": "", "event_id": "$s",
                    "sender": "@anna:a.example", "content": {} }] },
                "timeline": { "limited": true, "prev_batch": "p1", "events": [
                    { "type": "m.room.message", "event_id": "$1", "sender": "@anna:a.example",
                      "origin_server_ts": 5, "content": { "msgtype": "m.text", "body": "hello" } },
                    { "type": "m.room.message", "event_id": 7, "sender": "@anna:a.example" },
                    { "type": "m.room.message", "event_id": "$2", "sender": "nobody" },
                    { "type": "m.room.redaction", "event_id": "$3", "sender": "@anna:a.example" },
                ] },
            }, "not a room": {} },
        },
    });
    let sync = sync(body.to_string().as_bytes(), OWN).expect("a sync");
    assert_eq!(sync.next_batch, "s2");
    assert_eq!(
        sync.invites,
        [Invite {
            room: "!i:a.example".to_owned(),
            from: "@anna:a.example".to_owned(),
            shown_name: "Anna".to_owned(),
        }]
    );
    let [room] = sync.joined.as_slice() else {
        panic!("{sync:?}")
    };
    assert_eq!(
        (room.room.as_str(), room.gap.as_deref()),
        ("!r:a.example", Some("p1"))
    );
    assert_eq!(room.state[0].what, What::EncryptionOn);
    let what: Vec<&What> = room.timeline.iter().map(|event| &event.what).collect();
    assert_eq!(what, [&What::Message(text("hello")), &What::Other]);
    assert_eq!(room.timeline[0].at_unix_ms, 5);
}

#[test]
fn what_is_no_sync_is_said() {
    for (body, expected) in [
        ("", WireError::NotJson),
        ("{}", WireError::NoToken),
        (r#"{"next_batch":5}"#, WireError::NoToken),
        (r#"{"next_batch":""}"#, WireError::NoToken),
    ] {
        assert_eq!(sync(body.as_bytes(), OWN), Err(expected), "{body}");
    }
    let odd = r#"{"next_batch":"s","rooms":{"join":[],"invite":{"!r":null}}}"#;
    assert!(sync(odd.as_bytes(), OWN).is_ok_and(|sync| sync.joined.is_empty()));
}

#[test]
fn what_is_nested_too_deeply_is_lost_alone() {
    let deep = format!("{}{}", "[".repeat(5_000), "]".repeat(5_000));
    let said = |id: &str, more: &str| {
        format!(
            r#"{{"type":"m.room.message","event_id":"{id}","sender":"@eve:b","content":{{"msgtype":"m.text","body":"x"{more}}}}}"#
        )
    };
    let bomb = said("$1", &format!(r#","odd":{deep}"#));
    let events = format!("[{bomb},{}]", said("$2", ""));
    let body = format!(
        r#"{{"next_batch":"s","odd":{deep},"rooms":{{"join":{{"!r:a":{{"timeline":{{"events":{events}}}}},
            "!q:a":{{"timeline":{deep}}}}},"invite":{{"!i:a":{{"invite_state":{{"events":{events}}}}}}}}}}}"#
    );
    let sync = sync(body.as_bytes(), OWN).expect("a sync");
    let room = sync.joined.iter().find(|joined| joined.room == "!r:a");
    let ids: Vec<&str> = room
        .expect("the room")
        .timeline
        .iter()
        .map(|event| event.id.as_str())
        .collect();
    assert_eq!(ids, ["$2"]);
    let body = format!(r#"{{"chunk":{events},"end":"e"}}"#);
    let page = page(body.as_bytes()).expect("a page");
    assert_eq!((page.events.len(), page.next.as_deref()), (1, Some("e")));
}

#[test]
fn messages_of_every_kind() {
    let voice = json!({
        "msgtype": "m.audio", "body": "Voice message.ogg", "url": "mxc://a.example/abc_-1",
        "info": { "mimetype": "audio/ogg", "size": 4_000 }, "org.matrix.msc3245.voice": {},
    });
    let sound = |source: Option<&str>| Content::Sound {
        source: source.and_then(mxc),
        mime: "audio/ogg".to_owned(),
        bytes: None,
    };
    let cases = [
        (
            json!({ "msgtype": "m.text", "body": "hi" }),
            Some(Content::Text("hi".to_owned())),
        ),
        (
            json!({ "msgtype": "m.emote", "body": "waves" }),
            Some(Content::Emote("waves".to_owned())),
        ),
        (
            json!({ "msgtype": "m.notice", "body": "beep" }),
            Some(Content::Notice),
        ),
        (
            json!({ "msgtype": "m.key.verification.request" }),
            Some(Content::Notice),
        ),
        (
            json!({ "msgtype": "m.image", "body": "cat.png" }),
            Some(Content::Unusable("a picture")),
        ),
        (
            json!({ "msgtype": "m.file", "body": "a.pdf" }),
            Some(Content::Unusable("a file")),
        ),
        (
            json!({ "msgtype": "org.example.new" }),
            Some(Content::Unusable("a message of a kind I don't know")),
        ),
        (
            voice,
            Some(Content::Sound {
                source: mxc("mxc://a.example/abc_-1"),
                mime: "audio/ogg".to_owned(),
                bytes: Some(4_000),
            }),
        ),
        (
            json!({ "msgtype": "m.audio", "file": { "url": "mxc://a/b" } }),
            Some(sound(None)),
        ),
        (
            json!({ "msgtype": "m.audio", "url": "mxc://a/../b" }),
            Some(sound(None)),
        ),
        (
            json!({ "msgtype": "m.file", "url": "mxc://a/b", "info": { "mimetype": "audio/ogg" } }),
            Some(sound(Some("mxc://a/b"))),
        ),
        // Taken back by its sender.
        (json!({}), None),
        (json!({ "msgtype": 5 }), None),
    ];
    for (content, expected) in cases {
        let found = match said(content.clone()) {
            Some(What::Message(message)) => Some(message.content),
            _ => None,
        };
        assert_eq!(found, expected, "{content}");
    }
}

#[test]
fn relations_and_mentions() {
    let cases = [
        (
            json!({ "msgtype": "m.text", "body": "you?", "m.mentions": { "user_ids": [OWN, 5, "nobody"] } }),
            Message {
                mentions: vec![OWN.to_owned()],
                ..text("you?")
            },
        ),
        (
            json!({ "msgtype": "m.text", "body": "yes", "m.relates_to": { "m.in_reply_to": { "event_id": "$q" } } }),
            Message {
                reply_to: Some("$q".to_owned()),
                ..text("yes")
            },
        ),
        (
            json!({ "msgtype": "m.text", "body": "more", "m.relates_to": {
                "rel_type": "m.thread", "event_id": "$root", "is_falling_back": true,
                "m.in_reply_to": { "event_id": "$last" } } }),
            Message {
                thread: Some("$root".to_owned()),
                ..text("more")
            },
        ),
        (
            json!({ "msgtype": "m.text", "body": "* new",
                "m.new_content": { "msgtype": "m.text", "body": "new", "m.mentions": { "user_ids": [OWN] } },
                "m.relates_to": { "rel_type": "m.replace", "event_id": "$old" } }),
            Message {
                replaces: Some("$old".to_owned()),
                mentions: vec![OWN.to_owned()],
                ..text("new")
            },
        ),
    ];
    for (content, expected) in cases {
        assert_eq!(
            said(content.clone()),
            Some(What::Message(expected)),
            "{content}"
        );
    }
    let no_new = json!({ "msgtype": "m.text", "body": "* new",
        "m.relates_to": { "rel_type": "m.replace", "event_id": "$old" } });
    assert_eq!(said(no_new), Some(What::Other));
}

#[test]
fn ids_and_addresses() {
    for (id, is_user) in [
        ("@anna:a.example", true),
        ("@_bridge_4912:a.example:8448", true),
        ("anna:a.example", false),
        ("@anna", false),
        ("@:a.example", false),
        ("@an na:a.example", false),
        ("@anna:a\n.example", false),
    ] {
        assert_eq!(super::is_user(id), is_user, "{id:?}");
    }
    assert!(!super::is_user(&format!("@{}:a", "x".repeat(255))));
    for (address, is_good) in [
        ("mxc://a.example/AbC_-9", true),
        ("mxc://[::1]:8448/x", true),
        ("https://a.example/x", false),
        ("mxc://a.example/", false),
        ("mxc:///x", false),
        ("mxc://a.example/../../x", false),
        ("mxc://a.example/x?y", false),
    ] {
        assert_eq!(mxc(address).is_some(), is_good, "{address}");
    }
}

#[test]
fn errors_show_no_words_of_the_server() {
    for (body, code, after) in [
        (
            r#"{"errcode":"M_FORBIDDEN","error":"no"}"#,
            "M_FORBIDDEN",
            None,
        ),
        (
            r#"{"errcode":"M_LIMIT_EXCEEDED","retry_after_ms":1500}"#,
            "M_LIMIT_EXCEEDED",
            Some(1_500),
        ),
        (r#"{"errcode":"<b>x</b>"}"#, "", None),
        ("<html>", "", None),
    ] {
        let expected = ErrorBody {
            code: code.to_owned(),
            retry_after_ms: after,
        };
        assert_eq!(error(body.as_bytes()), expected, "{body}");
    }
}

#[test]
fn buttons_come_back_as_they_went() {
    let event = json!({ "content": { BUTTONS: [
        { "key": "✅", "data": "approve:7" }, { "key": 5 }, { "key": "❌", "data": "deny:7" },
    ] } });
    let expected = [("✅", "approve:7"), ("❌", "deny:7")];
    assert_eq!(
        buttons(&event),
        expected.map(|(key, data)| (key.to_owned(), data.to_owned()))
    );
    assert!(buttons(&json!({})).is_empty());
}
