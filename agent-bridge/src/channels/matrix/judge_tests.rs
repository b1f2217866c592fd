//! What counts as said to us.

use super::*;
use crate::channels::matrix::wire::Member;

fn own() -> Own {
    Own {
        user_id: "@offhook:a.example".to_owned(),
        shown_name: "Home Phone".to_owned(),
    }
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
fn meant_for_us_in_a_room_of_many() {
    let link = |user: &str| Message {
        formatted: Some(format!("<a href=\"https://matrix.to/#/{user}\">x</a> hi")),
        ..text("x hi")
    };
    let reply = |body: &str| Message {
        reply_to: Some("$q".to_owned()),
        ..text(body)
    };
    let mentioned = |users: &[&str]| Message {
        mentions: users.iter().map(|user| (*user).to_owned()).collect(),
        ..text("hi")
    };
    let cases = [
        (text("what time is it?"), Meant::No),
        (mentioned(&["@offhook:a.example"]), Meant::Yes),
        (mentioned(&["@offhook:b.example"]), Meant::No),
        (link("@offhook:a.example"), Meant::Yes),
        (link("%40offhook%3Aa.example"), Meant::Yes),
        (link("@offhook:a.example.evil"), Meant::No),
        (text("Home Phone: what time is it?"), Meant::Yes),
        (text("home phone, hello"), Meant::Yes),
        (text("@offhook what time is it?"), Meant::Yes),
        (text("offhook: hello"), Meant::Yes),
        (text("offhook"), Meant::Yes),
        (text("Ask @offhook:a.example for it"), Meant::Yes),
        // Talk about us is not talk to us.
        (text("offhook is slow today"), Meant::No),
        (text("Home Phones: cheap"), Meant::No),
        (text("offhooks: x"), Meant::No),
        (text("my home phone: 555"), Meant::No),
        (reply("and tomorrow?"), Meant::IfOurs("$q".to_owned())),
        // The quote in it is not what was said.
        (
            reply("> <@x:a> @offhook:a.example hi\n\nyes"),
            Meant::IfOurs("$q".to_owned()),
        ),
    ];
    for (message, expected) in cases {
        assert_eq!(meant(&message, &own()), expected, "{message:?}");
    }
    let nameless = Own {
        shown_name: String::new(),
        ..own()
    };
    assert_eq!(meant(&text(": x"), &nameless), Meant::No);
}

#[test]
fn words_without_call_and_quote() {
    let reply = |body: &str| Message {
        reply_to: Some("$q".to_owned()),
        ..text(body)
    };
    let cases = [
        (text("  hello "), "hello"),
        (text("Offhook: what time is it?"), "what time is it?"),
        (text("@offhook:a.example: hello"), "hello"),
        (text("Home Phone, hello"), "hello"),
        (text("Home Phone"), "Home Phone"),
        (text("Offhook is slow"), "Offhook is slow"),
        (
            text("> not a quote of a message"),
            "> not a quote of a message",
        ),
        (reply("> <@a:b> one\n> two\n\nOffhook: yes"), "yes"),
        (reply("yes"), "yes"),
        (text("ÉTÉ"), "ÉTÉ"),
    ];
    for (message, expected) in cases {
        let Content::Text(body) = &message.content else {
            continue;
        };
        assert_eq!(words(&message, body, &own()), expected, "{message:?}");
    }
}

#[test]
fn our_part_of_a_timeline() {
    use Membership::{Invite, Join, Other};
    let event = |what| Event {
        id: "$e".to_owned(),
        sender: "@anna:a.example".to_owned(),
        at_unix_ms: 0,
        what,
    };
    let said = || event(What::Message(text("hi")));
    let member = |who: &str, before, membership| {
        event(What::Member(Member {
            who: who.to_owned(),
            membership,
            before,
            shown_name: String::new(),
        }))
    };
    let ours = |before, now| member("@offhook:a.example", before, now);
    let cases = [
        ("an ordinary day", vec![said(), said()], 0),
        (
            "another came",
            vec![said(), member("@b:a", Invite, Join), said()],
            0,
        ),
        (
            "invited, spoken to, came",
            vec![
                said(),
                ours(Other, Invite),
                said(),
                ours(Invite, Join),
                said(),
            ],
            2,
        ),
        (
            "the invitation is older than the timeline",
            vec![said(), ours(Invite, Join), said()],
            2,
        ),
        ("came by itself", vec![said(), ours(Other, Join), said()], 2),
        (
            "a new name of ours",
            vec![said(), ours(Join, Join), said()],
            0,
        ),
        (
            "left, and came back",
            vec![
                ours(Other, Invite),
                said(),
                ours(Invite, Join),
                ours(Join, Other),
                said(),
                ours(Other, Join),
                said(),
            ],
            6,
        ),
        (
            "invited twice",
            vec![
                ours(Other, Invite),
                ours(Invite, Other),
                said(),
                ours(Other, Invite),
                ours(Invite, Join),
            ],
            4,
        ),
    ];
    for (name, timeline, expected) in cases {
        assert_eq!(begins(&timeline, &own()), expected, "{name}");
    }
}
