//! A stand-in for Telegram's Bot API, as much of it as one bot and one private chat need, ours or OpenClaw's. It is not
//! Telegram: it holds updates until they are receipted by an offset, counts messages, keeps voice notes, and can keep an
//! answer back.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Condvar, Mutex};
use std::time::Duration;

use serde_json::{Value, json};

/// As BotFather would give it.
pub const TOKEN: &str = "42:stand-in_TOKEN";
/// Where the note can be fetched.
const NOTE_PATH: &str = "voice/file_1.oga";
/// How long `getUpdates` is held open here.
const HOLD: Duration = Duration::from_millis(500);

#[derive(Default)]
struct Inner {
    updates: Vec<Value>,
    next_update: i64,
    /// What has been sent to the chat: method and body, forms as text.
    sent: Vec<(String, Value)>,
    /// The voice note that was said last, and those that were answered.
    note: Vec<u8>,
    answered: Vec<Vec<u8>>,
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
        self.sends(from, "text", json!(text));
    }

    /// Or says something.
    pub fn says(&self, from: i64, ogg_opus: &[u8]) {
        self.with(|inner| inner.note = ogg_opus.to_vec());
        let voice = json!({"file_id": "note", "file_unique_id": "n", "duration": 2, "mime_type": "audio/ogg",
            "file_size": ogg_opus.len()});
        self.sends(from, "voice", voice);
    }

    fn sends(&self, from: i64, what: &str, content: Value) {
        self.with(|inner| {
            inner.next_update += 1;
            let id = inner.next_update;
            let mut message = json!({"message_id": id, "date": now_s(),
                "chat": {"id": from, "type": "private", "first_name": "Anna"},
                "from": {"id": from, "is_bot": false, "first_name": "Anna"}});
            message[what] = content;
            inner
                .updates
                .push(json!({"update_id": id, "message": message}));
        });
    }

    /// Voice notes that the bot has sent, as Ogg files.
    pub fn voice_notes(&self) -> Vec<Vec<u8>> {
        self.with(|inner| inner.answered.clone())
    }

    pub fn mute(&self, is_mute: bool) {
        self.with(|inner| inner.is_mute = is_mute);
    }

    pub fn forget_receipts(&self, is_forgetful: bool) {
        self.with(|inner| inner.is_forgetful = is_forgetful);
    }

    /// A button below the message that holds `words` is pressed, by its place there.
    pub fn presses(&self, from: i64, words: &str, button: usize) {
        let number = self.with(|inner| {
            let is_it = |(method, body): &(String, Value)| {
                method == "sendMessage"
                    && body["text"]
                        .as_str()
                        .is_some_and(|text| text.contains(words))
            };
            inner.sent.iter().position(is_it)
        });
        let number = number.unwrap_or_else(|| panic!("nothing was sent with {words:?}")) + 1_001;
        self.with(|inner| {
            inner.next_update += 1;
            let update = json!({"update_id": inner.next_update, "callback_query": {
                "id": format!("press{}", inner.next_update), "data": button.to_string(),
                "from": {"id": from, "is_bot": false, "first_name": "A"},
                "message": {"message_id": number, "date": now_s(), "chat": {"id": from, "type": "private"}}}});
            inner.updates.push(update);
        });
    }

    /// What messages of this chat were changed into.
    pub fn edits(&self) -> Vec<String> {
        self.with(|inner| {
            let edits = inner
                .sent
                .iter()
                .filter(|(method, _)| method == "editMessageText");
            let texts = edits.filter_map(|(_, body)| body["text"].as_str());
            texts.map(str::to_owned).collect()
        })
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
            let path = path.split('?').next().unwrap_or_default();
            if path == format!("/file/bot{TOKEN}/{NOTE_PATH}") {
                let note = self.with(|inner| inner.note.clone());
                if send(&mut writer, 200, "application/octet-stream", &note).is_err() {
                    return;
                }
                continue;
            }
            let bytes = body;
            let body: Value = serde_json::from_slice(&bytes).unwrap_or_default();
            let Some(method) = path.strip_prefix(&format!("/bot{TOKEN}/")) else {
                let _ = answer(&mut writer, 401, &json!({"ok": false, "error_code": 401}));
                continue;
            };
            let result = match method {
                "getMe" => {
                    json!({"id": 42, "is_bot": true, "first_name": "Offhook", "username": "offhook_bot",
                    "can_join_groups": true, "can_read_all_group_messages": false, "supports_inline_queries": false})
                }
                "getFile" => {
                    let size = self.with(|inner| inner.note.len());
                    json!({"file_id": "note", "file_unique_id": "n", "file_size": size, "file_path": NOTE_PATH})
                }
                "sendVoice" => {
                    let count = self.with(|inner| {
                        inner.answered.extend(ogg_of(&bytes));
                        inner.answered.len()
                    });
                    message(2_000 + count)
                }
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
                    message(1_000 + count)
                }
                "editMessageText" => {
                    self.with(|inner| inner.sent.push((method.to_owned(), body)));
                    Value::Bool(true)
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

fn message(number: usize) -> Value {
    json!({"message_id": number, "date": now_s(), "chat": {"id": 9, "type": "private"}})
}

/// OpenClaw passes over what is old.
fn now_s() -> u64 {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    since.map_or(0, |since| since.as_secs())
}

/// The file in a form, whose first line is the boundary.
fn ogg_of(form: &[u8]) -> Option<Vec<u8>> {
    let first = form.iter().position(|&byte| byte == b'\r')?;
    let boundary = [b"\r\n", &form[..first]].concat();
    let start = form.windows(4).position(|four| four == b"OggS")?;
    let end = form[start..]
        .windows(boundary.len())
        .position(|window| window == boundary)?;
    Some(form[start..start + end].to_vec())
}

/// One request: its path and its body.
fn request(reader: &mut BufReader<TcpStream>) -> Option<(String, Vec<u8>)> {
    let mut line = String::new();
    reader.read_line(&mut line).ok().filter(|read| *read > 0)?;
    let path = line.split(' ').nth(1)?.to_owned();
    let mut length = Some(0);
    loop {
        line.clear();
        reader.read_line(&mut line).ok().filter(|read| *read > 0)?;
        if line.trim().is_empty() {
            break;
        }
        let Some((name, value)) = line.split_once(':') else {
            continue;
        };
        match name.to_ascii_lowercase().as_str() {
            "content-length" => length = Some(value.trim().parse().ok()?),
            "transfer-encoding" => length = None,
            _ => {}
        }
    }
    let Some(length) = length else {
        return Some((path, chunked(reader)?));
    };
    let mut body = vec![0; length];
    reader.read_exact(&mut body).ok()?;
    Some((path, body))
}

/// A body in chunks, each behind its length.
fn chunked(reader: &mut BufReader<TcpStream>) -> Option<Vec<u8>> {
    let mut body = Vec::new();
    loop {
        let mut line = String::new();
        reader.read_line(&mut line).ok().filter(|read| *read > 0)?;
        let length = usize::from_str_radix(line.trim(), 16).ok()?;
        let mut chunk = vec![0; length + 2];
        reader.read_exact(&mut chunk).ok()?;
        if length == 0 {
            return Some(body);
        }
        body.extend_from_slice(&chunk[..length]);
    }
}

fn answer(writer: &mut TcpStream, status: u16, body: &Value) -> std::io::Result<()> {
    send(
        writer,
        status,
        "application/json",
        body.to_string().as_bytes(),
    )
}

fn send(writer: &mut TcpStream, status: u16, mime: &str, body: &[u8]) -> std::io::Result<()> {
    let length = body.len();
    let head =
        format!("HTTP/1.1 {status} X\r\nContent-Type: {mime}\r\nContent-Length: {length}\r\n\r\n");
    writer.write_all(head.as_bytes())?;
    writer.write_all(body)
}
