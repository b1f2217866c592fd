//! PURE. What a homeserver says, as values: sync responses, pages of history, single events, errors (Matrix client-server
//! API v1.15: §6.4 syncing, §8 events, §11.1 messages; MSC3245 for voice messages). Everything in it comes from
//! strangers: what is missing, too long or of another type is left out, and nothing here fails but a document without a
//! sync token.

use std::collections::BTreeMap;

use serde_json::Value;
use serde_json::value::RawValue;

use crate::channels::names;

/// Longest id of a user, a room or an event (appendices, §4.2).
pub const ID_BYTES_MAX: usize = 255;
/// A server's token for a place in its stream.
const TOKEN_BYTES_MAX: usize = 4_096;
/// Users that one message mentions; more are not looked at.
const MENTIONS_MAX: usize = 100;
/// Where our own questions keep what their reactions mean.
pub const BUTTONS: &str = "org.offhook.buttons";

/// One answer to `/sync`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Sync {
    pub next_batch: String,
    pub invites: Vec<Invite>,
    pub joined: Vec<Joined>,
}

/// Somebody wants us in a room.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Invite {
    pub room: String,
    pub from: String,
    pub shown_name: String,
}

/// What happened in a room that we are in.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Joined {
    pub room: String,
    /// Changes of state before `timeline`.
    pub state: Vec<Event>,
    /// Oldest first.
    pub timeline: Vec<Event>,
    /// Older events were left out of `timeline`; this is where they end.
    pub gap: Option<String>,
}

/// A page of older events.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Page {
    /// Newest first.
    pub events: Vec<Event>,
    /// Where the next page begins; none: there is no older one.
    pub next: Option<String>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Event {
    pub id: String,
    pub sender: String,
    pub at_unix_ms: u64,
    pub what: What,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum What {
    Message(Message),
    /// Under a key that we do not have.
    Encrypted,
    /// The room is encrypted from here on.
    EncryptionOn,
    Member(Member),
    Reaction {
        to: String,
        key: String,
    },
    Other,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Member {
    pub who: String,
    pub membership: Membership,
    pub before: Membership,
    pub shown_name: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Membership {
    Join,
    Invite,
    Other,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Message {
    pub content: Content,
    /// HTML, for links to users in it.
    pub formatted: Option<String>,
    /// Users that the sender's client says it mentions.
    pub mentions: Vec<String>,
    pub reply_to: Option<String>,
    /// The event that began the thread.
    pub thread: Option<String>,
    /// The event whose new version this is.
    pub replaces: Option<String>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Content {
    Text(String),
    /// `/me does something`: without the name.
    Emote(String),
    /// Recorded speech, or any other sound; `source` is none where it is encrypted or has no address.
    Sound {
        source: Option<Mxc>,
        mime: String,
        bytes: Option<u64>,
    },
    /// Something that we have no use for, as it is called in a sentence.
    Unusable(&'static str),
    /// From a program; programs do not answer each other (§11.2.1.3).
    Notice,
}

/// `mxc://server/media`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mxc {
    pub server: String,
    pub media: String,
}

/// What a server says instead of an answer (§2.1).
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ErrorBody {
    /// Such as `M_FORBIDDEN`; letters and underscores only.
    pub code: String,
    pub retry_after_ms: Option<u64>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum WireError {
    #[error("not JSON")]
    NotJson,
    #[error("no sync token in it")]
    NoToken,
}

/// An answer to `/sync`. `own` is our user id.
pub fn sync(body: &[u8], own: &str) -> Result<Sync, WireError> {
    let body = object(serde_json::from_slice(body).map_err(|_| WireError::NotJson)?);
    let next_batch = token(&value(body.get("next_batch"))).ok_or(WireError::NoToken)?;
    let rooms = child(&body, "rooms");
    let invites = child(&rooms, "invite")
        .into_iter()
        .filter_map(|(room, invite)| self::invite(&room, &object(invite), own))
        .collect();
    let joined = child(&rooms, "join")
        .into_iter()
        .filter(|(room, _)| is_room(room))
        .map(|(room, joined)| {
            let joined = object(joined);
            let timeline = child(&joined, "timeline");
            Joined {
                room,
                state: events(child(&joined, "state").get("events")),
                timeline: events(timeline.get("events")),
                gap: match value(timeline.get("limited")).as_bool() {
                    Some(true) => token(&value(timeline.get("prev_batch"))),
                    _ => None,
                },
            }
        })
        .collect();
    Ok(Sync {
        next_batch,
        invites,
        joined,
    })
}

/// An answer to `/rooms/…/messages`.
pub fn page(body: &[u8]) -> Result<Page, WireError> {
    let body = object(serde_json::from_slice(body).map_err(|_| WireError::NotJson)?);
    Ok(Page {
        events: events(body.get("chunk")),
        next: token(&value(body.get("end"))),
    })
}

/// The members of an object as they were written; none where it is none. Each event is read by itself: what somebody
/// has nested too deeply for the reader is then lost alone.
fn object(raw: &RawValue) -> BTreeMap<String, &RawValue> {
    serde_json::from_str(raw.get()).unwrap_or_default()
}

fn child<'a>(of: &BTreeMap<String, &'a RawValue>, name: &str) -> BTreeMap<String, &'a RawValue> {
    of.get(name).map(|raw| object(raw)).unwrap_or_default()
}

fn list(raw: Option<&&RawValue>) -> Vec<Value> {
    let items: Vec<&RawValue> = raw
        .and_then(|raw| serde_json::from_str(raw.get()).ok())
        .unwrap_or_default();
    items.iter().map(|item| value(Some(item))).collect()
}

fn value(raw: Option<&&RawValue>) -> Value {
    raw.and_then(|raw| serde_json::from_str(raw.get()).ok())
        .unwrap_or_default()
}

/// One event; none where it has no usable id or sender.
pub fn event(event: &Value) -> Option<Event> {
    let id = id(&event["event_id"], '$')?;
    let sender = user(&event["sender"])?;
    let content = &event["content"];
    let what = match event["type"].as_str().unwrap_or_default() {
        "m.room.message" => message(content).map(What::Message),
        "m.room.encrypted" => Some(What::Encrypted),
        "m.room.encryption" if event["state_key"] == "" => Some(What::EncryptionOn),
        "m.room.member" => member(event).map(What::Member),
        "m.reaction" => reaction(content),
        _ => None,
    };
    Some(Event {
        id,
        sender,
        at_unix_ms: event["origin_server_ts"].as_u64().unwrap_or(0),
        what: what.unwrap_or(What::Other),
    })
}

/// What the reactions to one of our questions mean: (key, data). Empty where it is no question.
pub fn buttons(event: &Value) -> Vec<(String, String)> {
    let buttons = event["content"][BUTTONS].as_array().into_iter().flatten();
    buttons
        .filter_map(|button| {
            let text = |key: &str| button[key].as_str().map(str::to_owned);
            Some((text("key")?, text("data")?))
        })
        .collect()
}

pub fn error(body: &[u8]) -> ErrorBody {
    let body: Value = serde_json::from_slice(body).unwrap_or_default();
    let code = body["errcode"].as_str().unwrap_or_default();
    let is_plain = code.len() <= 64
        && code
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || b"_.".contains(&b));
    ErrorBody {
        code: if is_plain {
            code.to_owned()
        } else {
            String::new()
        },
        retry_after_ms: body["retry_after_ms"].as_u64(),
    }
}

pub fn mxc(text: &str) -> Option<Mxc> {
    let (server, media) = text.strip_prefix("mxc://")?.split_once('/')?;
    let is_server = !server.is_empty()
        && server.len() <= ID_BYTES_MAX
        && server
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || b".-:[]".contains(&b));
    let is_media = !media.is_empty()
        && media.len() <= ID_BYTES_MAX
        && media
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || b"_-".contains(&b));
    (is_server && is_media).then(|| Mxc {
        server: server.to_owned(),
        media: media.to_owned(),
    })
}

/// Whether this is a user's id, such as `@anna:example.org`.
pub fn is_user(text: &str) -> bool {
    let parts = text.strip_prefix('@').and_then(|rest| rest.split_once(':'));
    let is_whole = parts.is_some_and(|(local, server)| !local.is_empty() && !server.is_empty());
    is_whole && is_printable(text)
}

pub fn is_room(text: &str) -> bool {
    text.len() > 1 && text.starts_with('!') && is_printable(text)
}

/// A name as it is shown.
pub fn shown_name(value: &Value) -> String {
    names::shown_name(value.as_str().unwrap_or_default())
}

fn is_printable(text: &str) -> bool {
    text.len() <= ID_BYTES_MAX && !text.chars().any(|c| c.is_control() || c.is_whitespace())
}

fn id(value: &Value, sigil: char) -> Option<String> {
    let text = value.as_str()?;
    (text.len() > 1 && text.starts_with(sigil) && is_printable(text)).then(|| text.to_owned())
}

fn user(value: &Value) -> Option<String> {
    value
        .as_str()
        .filter(|text| is_user(text))
        .map(str::to_owned)
}

fn token(value: &Value) -> Option<String> {
    let text = value.as_str()?;
    let is_token =
        !text.is_empty() && text.len() <= TOKEN_BYTES_MAX && !text.chars().any(char::is_control);
    is_token.then(|| text.to_owned())
}

fn events(raw: Option<&&RawValue>) -> Vec<Event> {
    list(raw).iter().filter_map(event).collect()
}

fn invite(room: &str, invite: &BTreeMap<String, &RawValue>, own: &str) -> Option<Invite> {
    if !is_room(room) {
        return None;
    }
    let state = list(child(invite, "invite_state").get("events"));
    let members = || {
        let state = state.iter();
        state.filter(|event| event["type"] == "m.room.member")
    };
    let ours = members()
        .rfind(|event| event["state_key"] == own && event["content"]["membership"] == "invite")?;
    let from = user(&ours["sender"])?;
    let theirs = members().find(|event| event["state_key"] == from.as_str());
    Some(Invite {
        room: room.to_owned(),
        shown_name: theirs.map_or_else(String::new, |event| {
            shown_name(&event["content"]["displayname"])
        }),
        from,
    })
}

fn member(event: &Value) -> Option<Member> {
    let before = match &event["unsigned"]["prev_content"] {
        Value::Null => &event["prev_content"],
        content => content,
    };
    Some(Member {
        who: user(&event["state_key"])?,
        membership: membership(&event["content"]),
        before: membership(before),
        shown_name: shown_name(&event["content"]["displayname"]),
    })
}

fn membership(content: &Value) -> Membership {
    match content["membership"].as_str() {
        Some("join") => Membership::Join,
        Some("invite") => Membership::Invite,
        _ => Membership::Other,
    }
}

fn reaction(content: &Value) -> Option<What> {
    let relation = &content["m.relates_to"];
    (relation["rel_type"] == "m.annotation").then_some(())?;
    let key = relation["key"].as_str().filter(|key| key.len() <= 64)?;
    Some(What::Reaction {
        to: id(&relation["event_id"], '$')?,
        key: key.to_owned(),
    })
}

fn message(content: &Value) -> Option<Message> {
    let relation = &content["m.relates_to"];
    let kind = relation["rel_type"].as_str().unwrap_or_default();
    let related = || id(&relation["event_id"], '$');
    let replaces = related().filter(|_| kind == "m.replace");
    // A new version carries all of it again (§11.5.4).
    let shown = match (&replaces, content["m.new_content"].is_object()) {
        (Some(_), true) => &content["m.new_content"],
        (Some(_), false) => return None,
        (None, _) => content,
    };
    let mentions = shown["m.mentions"]["user_ids"].as_array();
    let mentions = mentions
        .into_iter()
        .flatten()
        .take(MENTIONS_MAX)
        .filter_map(user)
        .collect();
    // In a thread the reply may be there only for clients that know none.
    let is_fallback = relation["is_falling_back"].as_bool() == Some(true);
    let reply_to = id(&relation["m.in_reply_to"]["event_id"], '$').filter(|_| !is_fallback);
    Some(Message {
        content: content_of(shown)?,
        formatted: shown["formatted_body"].as_str().map(str::to_owned),
        mentions,
        reply_to,
        thread: related().filter(|_| kind == "m.thread"),
        replaces,
    })
}

fn content_of(content: &Value) -> Option<Content> {
    let body = content["body"].as_str().unwrap_or_default();
    let is_sound_file = || {
        let mime = content["info"]["mimetype"].as_str().unwrap_or_default();
        mime.starts_with("audio/")
    };
    Some(match content["msgtype"].as_str()? {
        "m.text" => Content::Text(body.to_owned()),
        "m.emote" => Content::Emote(body.to_owned()),
        "m.notice" => Content::Notice,
        "m.audio" => sound(content),
        "m.file" if is_sound_file() => sound(content),
        "m.image" => Content::Unusable("a picture"),
        "m.video" => Content::Unusable("a video"),
        "m.file" => Content::Unusable("a file"),
        "m.location" => Content::Unusable("a place on a map"),
        // Such as a request to verify a device: nobody expects words.
        kind if kind.starts_with("m.key.") => Content::Notice,
        _ => Content::Unusable("a message of a kind I don't know"),
    })
}

fn sound(content: &Value) -> Content {
    let info = &content["info"];
    let mime = info["mimetype"].as_str().filter(|mime| mime.len() <= 100);
    Content::Sound {
        source: content["url"].as_str().and_then(mxc),
        mime: mime.unwrap_or("audio/ogg").to_owned(),
        bytes: info["size"].as_u64(),
    }
}

#[cfg(test)]
#[path = "wire_tests.rs"]
mod tests;
