//! One account on one homeserver: each request of the client-server API that we make, with its path, in one place. Owns
//! no order of requests and no retries.

use reqwest::Method;
use serde_json::{Value, json};
use std::time::Duration;

use super::http::{ANSWER_BYTES_MAX, ApiError, Http, MEDIA_TIMEOUT, Payload, Request, TIMEOUT};
use super::login::Account;
use super::wire::{self, Event, Mxc, Page, Sync};

/// How long the server holds a sync that has nothing to tell (§6.4).
const POLL: Duration = Duration::from_secs(30);
/// Bytes of one sync.
const SYNC_BYTES_MAX: usize = 32 * 1024 * 1024;
/// Events of one room in one sync, and in one page of older ones.
const EVENTS_MAX: u32 = 50;
/// A page of events of the largest kind stays under what is read.
pub const PAGE_EVENTS_MAX: u32 = 50;
/// After a sync that was too long.
const EVENTS_FEW: u32 = 1;
/// A name, a count: nothing that holds a message up for long.
const SHORT: Duration = Duration::from_secs(10);

/// Where a room that we made for one person carries its mark, from its creation on.
const DIRECT: &str = "org.offhook.direct";
/// Rooms looked through for such a mark.
const SEARCHED_MAX: usize = 200;
const CLIENT: [&str; 3] = ["_matrix", "client", "v3"];

#[derive(Debug)]
pub struct Session {
    pub http: Http,
    pub account: Account,
}

/// `/_matrix/client/v3/…`
fn path<'a>(rest: &[&'a str]) -> Vec<&'a str> {
    CLIENT.iter().copied().chain(rest.iter().copied()).collect()
}

/// What we want to see of rooms (§7): members only where they speak, nothing of presence or typing.
fn filter(events: u32) -> String {
    let none = json!({ "types": [] });
    json!({
        "presence": none,
        "account_data": none,
        "room": {
            "account_data": none,
            "ephemeral": none,
            "state": {
                "types": ["m.room.member", "m.room.encryption"],
                "lazy_load_members": true,
                "include_redundant_members": true,
            },
            "timeline": timeline(events),
        },
    })
    .to_string()
}

fn timeline(events: u32) -> Value {
    json!({
        "limit": events,
        "types": ["m.room.message", "m.room.encrypted", "m.room.member", "m.room.encryption", "m.reaction"],
        "lazy_load_members": true,
        "include_redundant_members": true,
    })
}

impl Session {
    fn authorized<'a>(&'a self, request: Request<'a>) -> Request<'a> {
        Request {
            token: Some(&self.account.token),
            ..request
        }
    }

    async fn get(&self, rest: &[&str], timeout: Duration) -> Result<Value, ApiError> {
        let path = path(rest);
        let request = self.authorized(Request::get(&path));
        self.http.json(Request { timeout, ..request }).await
    }

    async fn post(&self, rest: &[&str], body: &Value) -> Result<Value, ApiError> {
        let path = path(rest);
        self.http
            .json(self.authorized(Request::post(&path, body)))
            .await
    }

    async fn put(&self, rest: &[&str], body: &Value) -> Result<Value, ApiError> {
        let path = path(rest);
        self.http
            .json(self.authorized(Request::put(&path, body)))
            .await
    }

    /// Waits for something new, [`POLL`] at most. Without `since` it tells how things stand.
    pub async fn sync(
        &self,
        since: Option<&str>,
        is_small: bool,
        waits: bool,
    ) -> Result<Sync, ApiError> {
        let path = path(&["sync"]);
        let filter = filter(if is_small { EVENTS_FEW } else { EVENTS_MAX });
        let poll = POLL.as_millis().to_string();
        let mut query = vec![("filter", filter.as_str()), ("set_presence", "online")];
        if let Some(since) = since {
            query.push(("since", since));
        }
        if waits {
            query.push(("timeout", &poll));
        }
        let request = Request {
            query: &query,
            timeout: POLL + TIMEOUT,
            bytes_max: SYNC_BYTES_MAX,
            ..self.authorized(Request::get(&path))
        };
        let body = self.http.bytes(request).await?;
        wire::sync(&body, &self.account.user_id).map_err(|_| ApiError::Garbled)
    }

    /// Older events of a room, from `from` back to `to` (§8.6.1).
    pub async fn older(&self, room: &str, from: &str, to: &str) -> Result<Page, ApiError> {
        let path = path(&["rooms", room, "messages"]);
        let limit = PAGE_EVENTS_MAX.to_string();
        let filter = timeline(PAGE_EVENTS_MAX).to_string();
        let query = [
            ("dir", "b"),
            ("from", from),
            ("to", to),
            ("limit", &limit),
            ("filter", &filter),
        ];
        let request = Request {
            query: &query,
            bytes_max: ANSWER_BYTES_MAX * 2,
            ..self.authorized(Request::get(&path))
        };
        let body = self.http.bytes(request).await?;
        wire::page(&body).map_err(|_| ApiError::Garbled)
    }

    /// One event as it is.
    pub async fn event(&self, room: &str, event: &str) -> Result<Value, ApiError> {
        self.get(&["rooms", room, "event", event], SHORT).await
    }

    /// Whether events of this room are encrypted.
    pub async fn is_encrypted(&self, room: &str) -> Result<bool, ApiError> {
        match self
            .get(&["rooms", room, "state", "m.room.encryption", ""], SHORT)
            .await
        {
            Ok(_) => Ok(true),
            Err(ApiError::Refused { status: 404, .. }) => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// How many are in this room, we among them.
    pub async fn people(&self, room: &str) -> Result<usize, ApiError> {
        match self.get(&["rooms", room, "joined_members"], SHORT).await {
            Ok(answer) => Ok(answer["joined"].as_object().map_or(0, serde_json::Map::len)),
            // A list of megabytes is one of many.
            Err(ApiError::TooLarge) => Ok(usize::MAX),
            Err(error) => Err(error),
        }
    }

    /// How we call ourselves; empty: not at all.
    pub async fn own_name(&self) -> Result<String, ApiError> {
        let own = self.account.user_id.as_str();
        match self.get(&["profile", own, "displayname"], SHORT).await {
            Ok(answer) => Ok(wire::shown_name(&answer["displayname"])),
            Err(ApiError::Refused { .. }) => Ok(String::new()),
            Err(error) => Err(error),
        }
    }

    pub async fn join(&self, room: &str) -> Result<(), ApiError> {
        let path = ["rooms", room, "join"];
        self.post(&path, &json!({})).await.map(drop)
    }

    pub async fn leave(&self, room: &str) -> Result<(), ApiError> {
        let path = ["rooms", room, "leave"];
        self.post(&path, &json!({})).await.map(drop)
    }

    /// Whether this user was in a room and is not any more, by their own will or ours. Who has yet to accept an
    /// invitation has not left.
    pub async fn has_left(&self, room: &str, user: &str) -> Result<bool, ApiError> {
        match self
            .get(&["rooms", room, "state", "m.room.member", user], SHORT)
            .await
        {
            Ok(member) => Ok(matches!(
                member["membership"].as_str(),
                Some("leave" | "ban")
            )),
            Err(ApiError::Refused { status: 404, .. }) => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// A room for this user and us. It carries this mark: there is no transaction id for it, and an answer may be lost.
    pub async fn create_direct(&self, user: &str, mark: &str) -> Result<String, ApiError> {
        let body = json!({
            "preset": "trusted_private_chat",
            "is_direct": true,
            "invite": [user],
            "creation_content": { DIRECT: mark },
        });
        let answer = self.post(&["createRoom"], &body).await?;
        let room = answer["room_id"]
            .as_str()
            .filter(|room| wire::is_room(room));
        room.map(str::to_owned).ok_or(ApiError::Garbled)
    }

    /// The room that [`Session::create_direct`] has made for this user with this mark and whose answer was lost, if it
    /// has. Anybody can make a room and have us in it, so nothing but the mark says that it is ours.
    pub async fn find_direct(&self, user: &str, mark: &str) -> Result<Option<String>, ApiError> {
        let answer = self.get(&["joined_rooms"], TIMEOUT).await?;
        let rooms = answer["joined_rooms"].as_array().into_iter().flatten();
        let rooms = rooms.filter_map(Value::as_str);
        for room in rooms.filter(|room| wire::is_room(room)).take(SEARCHED_MAX) {
            let state = |kind, key| async move {
                match self.get(&["rooms", room, "state", kind, key], SHORT).await {
                    Err(ApiError::Refused { .. } | ApiError::TooLarge | ApiError::Garbled) => {
                        Ok(Value::Null)
                    }
                    answer => answer,
                }
            };
            if state("m.room.create", "").await?[DIRECT] != mark {
                continue;
            }
            let there = state("m.room.member", user).await?;
            if matches!(there["membership"].as_str(), Some("invite" | "join")) {
                return Ok(Some(room.to_owned()));
            }
        }
        Ok(None)
    }

    /// Sends one event; a second one under the same `transaction` is the same event (§10.2.2). Its id.
    pub async fn send(
        &self,
        room: &str,
        kind: &str,
        transaction: &str,
        content: &Value,
    ) -> Result<String, ApiError> {
        let answer = self
            .put(&["rooms", room, "send", kind, transaction], content)
            .await?;
        let id = answer["event_id"].as_str().map(str::to_owned);
        id.ok_or(ApiError::Garbled)
    }

    /// Takes an event of ours back (§10.3).
    pub async fn redact(&self, room: &str, event: &str, transaction: &str) -> Result<(), ApiError> {
        self.put(&["rooms", room, "redact", event, transaction], &json!({}))
            .await
            .map(drop)
    }

    /// Keeps a sound on the server; its `mxc://` address.
    pub async fn upload(&self, name: &str, mime: &str, bytes: &[u8]) -> Result<String, ApiError> {
        let path = ["_matrix", "media", "v3", "upload"];
        let request = Request {
            method: Method::POST,
            query: &[("filename", name)],
            body: Payload::Bytes { mime, bytes },
            timeout: MEDIA_TIMEOUT,
            ..self.authorized(Request::get(&path))
        };
        let answer = self.http.json(request).await?;
        let address = answer["content_uri"]
            .as_str()
            .filter(|text| wire::mxc(text).is_some());
        address.map(str::to_owned).ok_or(ApiError::Garbled)
    }

    /// A file that somebody sent, `bytes_max` at most (§11.7.1 of v1.11 and later: with our token). Servers from before
    /// that know the older path only.
    pub async fn download(&self, file: &Mxc, bytes_max: usize) -> Result<Vec<u8>, ApiError> {
        let paths: [&[&str]; 2] = [
            &[
                "_matrix",
                "client",
                "v1",
                "media",
                "download",
                &file.server,
                &file.media,
            ],
            &[
                "_matrix",
                "media",
                "v3",
                "download",
                &file.server,
                &file.media,
            ],
        ];
        let fetch = |path| Request {
            timeout: MEDIA_TIMEOUT,
            bytes_max,
            ..self.authorized(Request::get(path))
        };
        match self.http.bytes(fetch(paths[0])).await {
            Err(ApiError::Refused { code, .. }) if code == "M_UNRECOGNIZED" => {
                self.http.bytes(fetch(paths[1])).await
            }
            answer => answer,
        }
    }

    pub async fn typing(&self, room: &str, lasts: Option<Duration>) -> Result<(), ApiError> {
        let own = self.account.user_id.as_str();
        let body = match lasts {
            Some(lasts) => {
                json!({ "typing": true, "timeout": u64::try_from(lasts.as_millis()).unwrap_or(0) })
            }
            None => json!({ "typing": false }),
        };
        self.put(&["rooms", room, "typing", own], &body)
            .await
            .map(drop)
    }

    /// Tells the others how far we have read.
    pub async fn read(&self, room: &str, event: &str) -> Result<(), ApiError> {
        let path = ["rooms", room, "receipt", "m.read", event];
        self.post(&path, &json!({})).await.map(drop)
    }

    /// One event as we read it; none where there is no such event, or where we may not see it.
    pub async fn seen(&self, room: &str, event: &str) -> Result<Option<Event>, ApiError> {
        match self.event(room, event).await {
            Ok(found) => Ok(wire::event(&found)),
            Err(ApiError::Refused { .. } | ApiError::TooLarge | ApiError::Garbled) => Ok(None),
            Err(error) => Err(error),
        }
    }
}
