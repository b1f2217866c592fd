//! A real homeserver for the tests: Synapse from PyPI, in a process of its own, with SQLite in a folder of the test. And
//! people on it, who do with plain requests what their clients would. Found by OFFHOOK_SYNAPSE (a Python environment that
//! it is installed in); whoever has none skips by name.

use crate::process::{Folder, Process, wait_until};
use serde_json::{Value, json};
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::PathBuf;
use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

/// A Python that has to load Twisted on a busy machine.
const START_LIMIT: Duration = Duration::from_secs(90);
/// For anything that a person would see at once.
pub const LIMIT: Duration = Duration::from_secs(60);
pub const SERVER_NAME: &str = "home.test";

pub struct Synapse {
    pub folder: Folder,
    address: SocketAddr,
    process: Option<Process>,
}

/// Where Synapse is installed.
pub fn installed() -> Option<PathBuf> {
    let folder = PathBuf::from(std::env::var_os("OFFHOOK_SYNAPSE")?);
    let python = folder.join("bin/python");
    python.is_file().then_some(python)
}

impl Synapse {
    pub fn start(python: &PathBuf) -> Synapse {
        let folder = Folder::new("synapse");
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let address = listener.local_addr().expect("a bound socket");
        drop(listener);
        let path = |name: &str| folder.path().join(name).display().to_string();
        let wide = json!({ "per_second": 10_000, "burst_count": 10_000 });
        // JSON is YAML too.
        let config = json!({
            "server_name": SERVER_NAME,
            "pid_file": path("pid"),
            "listeners": [{
                "port": address.port(), "bind_addresses": ["127.0.0.1"], "type": "http", "tls": false,
                "resources": [{ "names": ["client"], "compress": false }],
            }],
            "database": { "name": "sqlite3", "args": { "database": path("homeserver.db") } },
            "media_store_path": path("media"),
            "log_config": path("log.yaml"),
            "signing_key_path": path("signing.key"),
            "macaroon_secret_key": "only for this test",
            "enable_registration": true,
            "enable_registration_without_verification": true,
            "report_stats": false,
            "trusted_key_servers": [],
            "presence": { "enabled": false },
            "rc_message": wide, "rc_registration": wide, "rc_joins": { "local": wide },
            "rc_login": { "address": wide, "account": wide, "failed_attempts": wide },
            "rc_invites": { "per_room": wide, "per_user": wide, "per_issuer": wide },
            "rc_room_creation": wide,
        });
        let log = json!({
            "version": 1,
            "handlers": { "err": { "class": "logging.StreamHandler" } },
            "root": { "level": "WARNING", "handlers": ["err"] },
        });
        let write = |name: &str, text: String| {
            std::fs::write(folder.path().join(name), text).expect("a writable folder");
        };
        write("homeserver.yaml", config.to_string());
        write("log.yaml", log.to_string());
        // Thirty-two zeroes: nobody has to trust it.
        write(
            "signing.key",
            format!("ed25519 a_test {}\n", "A".repeat(43)),
        );
        let process = Process::start(
            "synapse",
            Command::new(python)
                .args(["-m", "synapse.app.homeserver", "--config-path"])
                .arg(folder.path().join("homeserver.yaml"))
                .current_dir(folder.path()),
        );
        let mut synapse = Synapse {
            folder,
            address,
            process: Some(process),
        };
        let answers = wait_until(START_LIMIT, || synapse.is_there() || !synapse.is_running());
        assert!(answers && synapse.is_there(), "{}", synapse.tail());
        synapse
    }

    fn is_running(&mut self) -> bool {
        self.process.as_mut().is_some_and(Process::is_running)
    }

    fn tail(&self) -> String {
        self.process.as_ref().map(Process::tail).unwrap_or_default()
    }

    fn is_there(&self) -> bool {
        TcpStream::connect(self.address).is_ok()
            && self
                .request("GET", "/_matrix/client/versions", "", &Value::Null)
                .0
                == 200
    }

    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// One request in JSON; status and answer.
    pub fn request(&self, method: &str, path: &str, token: &str, body: &Value) -> (u16, Value) {
        let text = match body {
            Value::Null => String::new(),
            body => body.to_string(),
        };
        let (status, answer) =
            self.exchange(method, path, token, "application/json", text.as_bytes());
        (status, serde_json::from_slice(&answer).unwrap_or_default())
    }

    /// HTTP/1.0, so that the end of the answer is the end of the connection.
    pub fn exchange(
        &self,
        method: &str,
        path: &str,
        token: &str,
        mime: &str,
        body: &[u8],
    ) -> (u16, Vec<u8>) {
        let Ok(mut stream) = TcpStream::connect(self.address) else {
            return (0, Vec::new());
        };
        stream
            .set_read_timeout(Some(LIMIT))
            .expect("a timeout can be set");
        let authorization = match token {
            "" => String::new(),
            token => format!("Authorization: Bearer {token}\r\n"),
        };
        let head = format!(
            "{method} {path} HTTP/1.0\r\nHost: {}\r\n{authorization}Content-Type: {mime}\r\nContent-Length: {}\r\n\r\n",
            self.address,
            body.len()
        );
        let sent = stream
            .write_all(head.as_bytes())
            .and_then(|()| stream.write_all(body));
        let mut answer = Vec::new();
        if sent.is_err() || stream.read_to_end(&mut answer).is_err() {
            return (0, Vec::new());
        }
        let end = answer
            .windows(4)
            .position(|bytes| bytes == b"\r\n\r\n")
            .unwrap_or(answer.len());
        let head = String::from_utf8_lossy(&answer[..end]).into_owned();
        let status = head
            .split(' ')
            .nth(1)
            .and_then(|word| word.parse().ok())
            .unwrap_or(0);
        (status, answer.get(end + 4..).unwrap_or_default().to_vec())
    }

    /// A new account, logged in.
    pub fn person(&self, name: &str) -> Person<'_> {
        let body = json!({ "username": name, "password": password(name), "auth": { "type": "m.login.dummy" } });
        let (status, answer) = self.request("POST", "/_matrix/client/v3/register", "", &body);
        assert_eq!(status, 200, "{answer}\n{}", self.tail());
        Person {
            synapse: self,
            id: text(&answer["user_id"]),
            token: text(&answer["access_token"]),
        }
    }
}

/// As the account of this name was registered.
pub fn password(name: &str) -> String {
    format!("password of {name}")
}

/// Somebody with a client.
pub struct Person<'s> {
    synapse: &'s Synapse,
    pub id: String,
    pub token: String,
}

impl Person<'_> {
    /// A request of this person that must succeed. `path` begins after `/v3/`.
    pub fn ask(&self, method: &str, path: &str, body: Value) -> Value {
        let path = format!("/_matrix/client/v3/{path}");
        let (status, answer) = self.synapse.request(method, &path, &self.token, &body);
        assert_eq!(status, 200, "{method} {path}: {answer}");
        answer
    }

    /// A room with these people invited.
    pub fn create_room(&self, invited: &[&str], more: Value) -> String {
        let mut body = json!({ "preset": "trusted_private_chat", "invite": invited, "is_direct": invited.len() == 1 });
        for (key, value) in more.as_object().into_iter().flatten() {
            body[key] = value.clone();
        }
        text(&self.ask("POST", "createRoom", body)["room_id"])
    }

    pub fn join(&self, room: &str) {
        self.ask("POST", &format!("rooms/{room}/join"), json!({}));
    }

    /// Sends an event; its id.
    pub fn send(&self, room: &str, kind: &str, content: Value) -> String {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let transaction = COUNT.fetch_add(1, Ordering::Relaxed);
        let path = format!("rooms/{room}/send/{kind}/t{transaction}");
        text(&self.ask("PUT", &path, content)["event_id"])
    }

    pub fn say(&self, room: &str, words: &str) -> String {
        self.send(
            room,
            "m.room.message",
            json!({ "msgtype": "m.text", "body": words }),
        )
    }

    pub fn upload(&self, mime: &str, bytes: &[u8]) -> String {
        let path = "/_matrix/media/v3/upload?filename=voice";
        let (status, answer) = self
            .synapse
            .exchange("POST", path, &self.token, mime, bytes);
        assert_eq!(status, 200);
        let answer: Value = serde_json::from_slice(&answer).expect("JSON");
        text(&answer["content_uri"])
    }

    pub fn download(&self, address: &str) -> Vec<u8> {
        let file = address.strip_prefix("mxc://").expect("an mxc address");
        let path = format!("/_matrix/client/v1/media/download/{file}");
        let (status, bytes) = self
            .synapse
            .exchange("GET", &path, &self.token, "text/plain", b"");
        assert_eq!(status, 200);
        bytes
    }

    /// Everything said in a room that this person sees, oldest first.
    pub fn timeline(&self, room: &str) -> Vec<Value> {
        let answer = self.ask(
            "GET",
            &format!("rooms/{room}/messages?dir=b&limit=500"),
            Value::Null,
        );
        let mut events = answer["chunk"].as_array().cloned().unwrap_or_default();
        events.reverse();
        events
    }

    /// Messages of `sender` there.
    pub fn messages_of(&self, room: &str, sender: &str) -> Vec<Value> {
        let mut events = self.timeline(room);
        events.retain(|event| event["sender"] == sender && event["type"] == "m.room.message");
        events
    }

    /// Waits until `sender` has said `count` messages there.
    pub fn expect_messages(&self, room: &str, sender: &str, count: usize) -> Vec<Value> {
        let mut found = Vec::new();
        let is_there = wait_until(LIMIT, || {
            found = self.messages_of(room, sender);
            found.len() >= count
        });
        assert!(
            is_there,
            "{count} messages of {sender} in {:#?}",
            self.timeline(room)
        );
        found
    }

    /// `join`, `invite`, `leave`: how `user` stands to the room.
    pub fn membership(&self, room: &str, user: &str) -> String {
        let path = format!("rooms/{room}/state/m.room.member/{user}");
        text(&self.ask("GET", &path, Value::Null)["membership"])
    }

    pub fn expect_membership(&self, room: &str, user: &str, expected: &str) {
        let is_so = wait_until(LIMIT, || self.membership(room, user) == expected);
        assert!(is_so, "{user}: {}", self.membership(room, user));
    }
}

fn text(value: &Value) -> String {
    value
        .as_str()
        .unwrap_or_else(|| panic!("a text: {value}"))
        .to_owned()
}
