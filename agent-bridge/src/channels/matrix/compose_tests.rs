//! What we send: texts, voice notes and questions as events.

use super::*;

#[test]
fn a_text_becomes_messages() {
    let plain = texts("Hello there.", &Relation::default());
    assert_eq!(
        plain,
        [json!({ "msgtype": "m.text", "body": "Hello there.", "m.mentions": {} })]
    );
    let [marked] = &texts("It is **5**.", &Relation::default())[..] else {
        panic!("one message")
    };
    assert_eq!(marked["formatted_body"], "It is <strong>5</strong>.");
    assert_eq!(marked["body"], "It is **5**.");
    assert!(texts("  \n ", &Relation::default()).is_empty());
    let [control] = &texts("a\u{0}\u{1b}b\nc", &Relation::default())[..] else {
        panic!("one message")
    };
    assert_eq!(control["body"], "ab\nc");
}

#[test]
fn long_texts_fit_into_events() {
    for unit in [
        "word \"quoted\" & <tag> **bold** ",
        "\\\"\\\"\\\"",
        "é🦀 ",
        "- item\n",
        "`x` ",
    ] {
        let text = unit.repeat(100_000 / unit.len());
        let parts = texts(&text, &Relation::default());
        assert!(parts.len() > 5, "{unit}");
        for part in parts {
            assert!(
                part.to_string().len() < 60_000,
                "{unit}: {}",
                part.to_string().len()
            );
        }
    }
}

#[test]
fn answers_hang_on_their_question() {
    let reply = Relation {
        reply_to: Some("$q".to_owned()),
        thread: None,
        user: Some("@anna:a".to_owned()),
    };
    let long = "word ".repeat(4_000);
    let parts = texts(&long, &reply);
    assert!(parts.len() > 1);
    assert_eq!(
        parts[0]["m.relates_to"],
        json!({ "m.in_reply_to": { "event_id": "$q" } })
    );
    assert_eq!(parts[0]["m.mentions"], json!({ "user_ids": ["@anna:a"] }));
    assert_eq!(parts[1]["m.relates_to"], Value::Null);
    assert_eq!(parts[1]["m.mentions"], json!({}));
    let in_thread = Relation {
        thread: Some("$root".to_owned()),
        ..reply
    };
    let parts = texts(&long, &in_thread);
    let relation = |event: &str, is_fallback: bool| {
        json!({ "rel_type": "m.thread", "event_id": "$root", "is_falling_back": is_fallback,
            "m.in_reply_to": { "event_id": event } })
    };
    assert_eq!(parts[0]["m.relates_to"], relation("$q", false));
    assert_eq!(parts[1]["m.relates_to"], relation("$root", true));
}

#[test]
fn questions_carry_what_their_signs_mean() {
    let button = |label: &str, data: &str| (label.to_owned(), data.to_owned());
    let yes_no = [button("Approve", "approve:7"), button("Deny", "deny:7")];
    let (content, keys) = question("Run it?", &yes_no, &Relation::default());
    assert_eq!(keys, ["✅", "❌"]);
    assert_eq!(content["body"], "Run it?\n\n✅ Approve   ❌ Deny");
    let event = json!({ "content": content });
    assert_eq!(asked(&event), "Run it?");
    let read = crate::channels::matrix::wire::buttons(&event);
    assert_eq!(read, [button("✅", "approve:7"), button("❌", "deny:7")]);

    let three = [
        button("Home", "place:1"),
        button("Work", "place:2"),
        button("No", "deny"),
    ];
    let (content, keys) = question("Where?", &three, &Relation::default());
    assert_eq!(keys.len(), 3);
    assert_eq!(content["body"], "Where?\n\n1️⃣ Home   2️⃣ Work   3️⃣ No");
    let (content, keys) = question("Nothing to press", &[], &Relation::default());
    assert!(keys.is_empty());
    assert_eq!(content["body"], "Nothing to press");
}

#[test]
fn a_voice_message_is_one() {
    let content = voice("mxc://a/b", 4_000, 2_500, &Relation::default());
    assert_eq!(content["msgtype"], "m.audio");
    assert_eq!(content["info"]["duration"], 2_500);
    assert!(content["org.matrix.msc3245.voice"].is_object());
}
