//! Bodies of the fuzz targets of this channel: any bytes in, properties asserted. Plain functions, so that corpora replay
//! in the normal test run.
//! PURE.

use super::compose::{self, Relation};
use super::html;
use super::judge::{self, Own};
use super::wire::{self, Content, What};

/// Any bytes as what a homeserver says: a sync, a page, an event, an error. Ids stay short, own messages begin inside the
/// timeline, and no words of a message grow.
pub fn sync(data: &[u8]) {
    let own = Own {
        user_id: "@offhook:a.example".to_owned(),
        shown_name: "Offhook".to_owned(),
    };
    let _ = wire::error(data);
    let _ = wire::page(data);
    if let Ok(value) = serde_json::from_slice(data) {
        let _ = wire::buttons(&value);
        let _ = wire::event(&value);
    }
    let Ok(sync) = wire::sync(data, &own.user_id) else {
        return;
    };
    for invite in &sync.invites {
        assert!(wire::is_room(&invite.room) && wire::is_user(&invite.from));
    }
    for room in &sync.joined {
        assert!(judge::begins(&room.timeline, &own) <= room.timeline.len());
        for event in room.state.iter().chain(&room.timeline) {
            assert!(event.id.len() <= wire::ID_BYTES_MAX && wire::is_user(&event.sender));
            if let What::Message(message) = &event.what {
                let _ = judge::meant(message, &own);
                if let Content::Text(body) = &message.content {
                    assert!(judge::words(message, body, &own).len() <= body.len());
                }
            }
        }
    }
}

/// Any text as an answer to send: parts that fit into events, and HTML that holds only our own tags.
pub fn answer(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    for content in compose::texts(&text, &Relation::default()) {
        assert!(content.to_string().len() < 60_000);
    }
    let buttons = [
        (text.to_string(), "approve:1".to_owned()),
        ("No".to_owned(), "deny:1".to_owned()),
    ];
    let (_, keys) = compose::question(&text, &buttons, &Relation::default());
    assert_eq!(keys.len(), 2);
    if let Some(html) = html::html(&text) {
        assert_eq!(unknown_tag(&html), None);
    }
}

/// The first tag that is none of ours.
fn unknown_tag(html: &str) -> Option<&str> {
    const TAGS: [&str; 7] = ["br/", "blockquote", "pre", "code", "strong", "em", "del"];
    html.split('<').skip(1).find(|piece| {
        let tag = piece.split('>').next().unwrap_or_default();
        let name = tag.trim_start_matches('/');
        let is_ours = TAGS.contains(&name)
            || name == "a"
            || name.starts_with("a href=\"")
            || name.starts_with("code class=\"language-");
        !is_ours
    })
}
