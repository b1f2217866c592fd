//! Who may invite us, and what a flood of invitations does to the others: nothing.

use super::*;
use crate::channels::matrix::invites::{FRIENDS_MAX, INVITERS_MAX};

/// One sync with invitations to these rooms.
fn invites(next: &str, from: impl IntoIterator<Item = (String, String)>) -> Value {
    let mut invites = json!({});
    for (room, from) in from {
        invites[&room] = invite(&room, &from)[&room].clone();
    }
    json!({ "next_batch": next, "rooms": { "invite": invites } })
}

/// As many rooms of one stranger.
fn eves(rooms: usize) -> impl Iterator<Item = (String, String)> {
    (0..rooms).map(|n| (format!("!eves{n}:b"), "@eve:b.example".to_owned()))
}

/// Stands behind all of them.
fn annas() -> (String, String) {
    ("!zannas:a".to_owned(), ANNA.to_owned())
}

fn joined(stage: &Stage) -> Vec<String> {
    let joins = stage.server.asked("/join").into_iter();
    let rooms = joins.filter_map(|(_, path, ..)| {
        let room = path.strip_suffix("/join")?;
        Some(room[room.rfind('/')? + 1..].to_owned())
    });
    rooms.collect()
}

#[tokio::test]
async fn who_may_invite() {
    let mut stage = Stage::new().await;
    stage.server.says(200, invites("s1", [annas()]));
    stage.server.says(200, invites("s2", eves(1)));
    let running = stage.start();
    stage.notebook.expect("since", &format!("{OWN} s2")).await;
    assert_eq!(joined(&stage), ["!zannas:a"]);
    assert!(stage.server.asked("/leave")[0].1.contains("!eves0:b"));
    assert!(stage.notices().contains(&Notice::InviteRefused {
        from: "@eve:b.example".to_owned(),
        more: 0
    }));
    drop(running);

    stage.config.pairing = true;
    let _running = stage.start();
    stage.server.says(200, invites("s3", eves(1)));
    stage.notebook.expect("since", &format!("{OWN} s3")).await;
    assert_eq!(joined(&stage), ["!zannas:a", "!eves0:b"]);
    let sent = stage.server.script().sent.clone();
    assert!(
        sent[0].1["body"]
            .as_str()
            .is_some_and(|body| body.contains("4711")),
        "{sent:?}"
    );
}

#[tokio::test]
async fn a_flood_of_invitations_holds_nobody_up() {
    let stage = Stage::new().await;
    for _ in 0..20 {
        stage.server.fails("leave", 503, json!({}));
    }
    // What is said meanwhile comes first.
    let mut flood = invites("s1", eves(500).chain([annas()]));
    let timeline = json!({ "events": [said("$1", ANNA, "hello")] });
    flood["rooms"]["join"] = json!({ ROOM: { "timeline": timeline } });
    stage.server.says(200, flood);
    let mut running = stage.start();
    assert_eq!(words(&running.next(Ok(())).await), "hello");
    stage.notebook.expect("since", &format!("{OWN} s1")).await;
    // A friend's stands behind them and takes none of their places.
    assert_eq!(joined(&stage), ["!zannas:a"]);
    assert_eq!(count(&stage, "/leave"), 10);

    // A server that does not answer holds us up for one wait, not for one after the other.
    stage.server.script().silent.insert("leave");
    stage.server.says(200, invites("s2", eves(50)));
    stage
        .server
        .tells("s3", ROOM, json!([said("$2", ANNA, "still there?")]));
    assert_eq!(words(&running.next(Ok(())).await), "still there?");
    stage.notebook.expect("since", &format!("{OWN} s3")).await;
    assert_eq!(count(&stage, "/leave"), 11);
}

#[tokio::test]
async fn who_invites_is_looked_up_once() {
    let stage = Stage::new().await;
    let _running = stage.start();
    let asks = || stage.door.asks.swap(0, Ordering::Relaxed) as usize;
    stage
        .server
        .says(200, invites("s1", eves(800).chain([annas()])));
    stage.notebook.expect("since", &format!("{OWN} s1")).await;
    assert_eq!(asks(), 2);
    let strangers = |count: usize| {
        let one = |n| (format!("!eves{n}:b"), format!("@eve{n}:b.example"));
        (0..count).map(one)
    };
    let many = strangers(300).chain([annas()]);
    stage.server.says(200, invites("s2", many));
    stage.notebook.expect("since", &format!("{OWN} s2")).await;
    assert_eq!(asks(), 301);
    assert_eq!(joined(&stage), ["!zannas:a", "!zannas:a"]);
    // Of more nobody asks, and nobody says no to a friend among them.
    let too_many = strangers(INVITERS_MAX).chain([annas()]);
    stage.server.says(200, invites("s3", too_many));
    stage.notebook.expect("since", &format!("{OWN} s3")).await;
    assert_eq!(asks(), INVITERS_MAX);
    assert_eq!(count(&stage, "!zannas:a/leave"), 0);
}

#[tokio::test]
async fn every_friend_is_joined_in_the_end() {
    let stage = Stage::new().await;
    let rooms: Vec<String> = (0..2 * FRIENDS_MAX + 5)
        .map(|n| format!("!{n:02}:a"))
        .collect();
    let all = || rooms.iter().map(|room| (room.clone(), ANNA.to_owned()));
    let running = stage.start();
    stage.server.says(200, invites("s1", all()));
    // The next sync does not wait for news, and a new start would have the invitations again.
    let (.., query, _) = stage.server.expect_nth("/sync", 2).await;
    assert!(
        query.contains("since=s1") && !query.contains("timeout="),
        "{query}"
    );
    assert_eq!(joined(&stage), rooms[..FRIENDS_MAX]);
    let kept = || stage.notebook.read("since").expect("a token");
    assert_eq!(kept(), format!("{OWN} s0"));
    drop(running);

    let before = count(&stage, "/sync");
    let _running = stage.start();
    stage.server.says(200, invites("s1", all()));
    stage.server.says(200, json!({ "next_batch": "s2" }));
    stage.server.says(200, json!({ "next_batch": "s3" }));
    stage.notebook.expect("since", &format!("{OWN} s3")).await;
    let (.., query, _) = stage.server.expect_nth("/sync", before + 4).await;
    assert!(query.contains("timeout="), "{query}");
    assert_eq!(joined(&stage)[FRIENDS_MAX..], rooms);
}
