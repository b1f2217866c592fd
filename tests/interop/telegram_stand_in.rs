//! A stand-in for Telegram's Bot API, as much of it as one bot and one private chat need. It is not Telegram: it holds
//! updates until they are receipted by an offset, counts messages, and can keep an answer back.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Condvar, Mutex};
use std::time::Duration;

use serde_json::{Value, json};

/// As BotFather would give it.
pub const TOKEN: &str = "42:stand-in_TOKEN";
/// How long `getUpdates` is held open here.
const HOLD: Duration = Duration::from_millis(500);

#[derive(Default)]
struct Inner {
    updates: Vec<Value>,
    next_update: i64,
    /// What has been sent to the chat: method and body, forms as text.
    sent: Vec<(String, Value)>,
    /// Messages are taken and never answered.
    is_mute: bool,
    /// Updates are handed out, and receipts are ignored.
    is_forgetful: bool,
}

#[derive(Clone)]
pub struct StandIn {
    inner: Arc<(Mutex<Inner>, Condvar)>,
    pub address: SocketAddr,
}

impl StandIn {
    pub fn start() -> StandIn {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let stand_in = StandIn {
            address: listener.local_addr().expect("bound"),
            inner: Arc::default(),
        };
        let serving = stand_in.clone();
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let serving = serving.clone();
                std::thread::spawn(move || serving.serve(stream));
            }
        });
        stand_in
    }

    fn with<T>(&self, change: impl FnOnce(&mut Inner) -> T) -> T {
        let (inner, news) = &*self.inner;
        let result = change(&mut inner.lock().expect("no thread panics inside"));
        news.notify_all();
        result
    }

    /// Somebody with this id writes in their private chat with the bot.
    pub fn writes(&self, from: i64, text: &str) {
        self.with(|inner| {
            inner.next_update += 1;
            let id = inner.next_update;
            inner.updates.push(json!({"update_id": id, "message": {
                "message_id": id, "date": 1_700_000_000 + id, "text": text,
                "chat": {"id": from, "type": "private"},
                "from": {"id": from, "is_bot": false, "first_name": "Anna"}}}));
        });
    }

    pub fn mute(&self, is_mute: bool) {
        self.with(|inner| inner.is_mute = is_mute);
    }

    pub fn forget_receipts(&self, is_forgetful: bool) {
        self.with(|inner| inner.is_forgetful = is_forgetful);
    }

    /// The texts of all messages sent to this chat.
    pub fn texts(&self, chat: i64) -> Vec<String> {
        let is_chat = |body: &Value| {
            body["chat_id"] == json!(chat) || body["chat_id"] == json!(chat.to_string())
        };
        self.with(|inner| {
            let of = |(method, body): &(String, Value)| {
                let text = body["text"]
                    .as_str()
                    .filter(|_| method == "sendMessage" && is_chat(body));
                text.map(str::to_owned)
            };
            inner.sent.iter().filter_map(of).collect()
        })
    }

    fn serve(&self, stream: TcpStream) {
        let mut writer = stream.try_clone().expect("a second handle");
        let mut reader = BufReader::new(stream);
        while let Some((path, body)) = request(&mut reader) {
            let Some(method) = path.strip_prefix(&format!("/bot{TOKEN}/")) else {
                let _ = answer(&mut writer, 401, &json!({"ok": false, "error_code": 401}));
                continue;
            };
            let result = match method {
                "getMe" => json!({"id": 42, "username": "offhook_bot"}),
                "getUpdates" => self.updates(body["offset"].as_i64()),
                "sendMessage" => {
                    let (count, is_mute) = self.with(|inner| {
                        inner.sent.push((method.to_owned(), body));
                        (inner.sent.len(), inner.is_mute)
                    });
                    if is_mute {
                        // Taken, and the connection hangs until the other side is gone.
                        let _ = reader.read(&mut [0]);
                        return;
                    }
                    json!({"message_id": 1_000 + count})
                }
                _ => Value::Bool(true),
            };
            if answer(&mut writer, 200, &json!({"ok": true, "result": result})).is_err() {
                return;
            }
        }
    }

    fn updates(&self, offset: Option<i64>) -> Value {
        let (inner, news) = &*self.inner;
        let mut inner = inner.lock().expect("no thread panics inside");
        if let Some(offset) = offset.filter(|_| !inner.is_forgetful) {
            inner
                .updates
                .retain(|update| update["update_id"].as_i64() >= Some(offset));
        }
        let waiting = news.wait_timeout_while(inner, HOLD, |inner| inner.updates.is_empty());
        let (inner, _) = waiting.expect("no thread panics inside");
        json!(inner.updates)
    }
}

/// One request: its path and its body, if that is JSON.
fn request(reader: &mut BufReader<TcpStream>) -> Option<(String, Value)> {
    let mut line = String::new();
    reader.read_line(&mut line).ok().filter(|read| *read > 0)?;
    let path = line.split(' ').nth(1)?.to_owned();
    let mut length = 0;
    loop {
        line.clear();
        reader.read_line(&mut line).ok().filter(|read| *read > 0)?;
        if line.trim().is_empty() {
            break;
        }
        if let Some((name, value)) = line.split_once(':')
            && name.eq_ignore_ascii_case("content-length")
        {
            length = value.trim().parse().ok()?;
        }
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body).ok()?;
    Some((path, serde_json::from_slice(&body).unwrap_or_default()))
}

fn answer(writer: &mut TcpStream, status: u16, body: &Value) -> std::io::Result<()> {
    let body = body.to_string();
    write!(
        writer,
        "HTTP/1.1 {status} X\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    )
}
