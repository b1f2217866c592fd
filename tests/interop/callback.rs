//! The assistant calls: a request over HTTP makes a real softphone ring, who picks up hears why, and can talk back; what
//! nobody takes is there to be read; a request outlives SIGKILL.

use crate::baresip::{Phone, Setup};
use crate::offhook::Offhook;
use crate::peers::{BARESIP, take_floor};
use crate::process::wait_until;
use crate::sound::{golden, words_in_order};
use serde_json::{Value, json};
use std::time::Duration;

/// Tests run at night too.
pub const AT_ANY_HOUR: &str =
    "[callbacks]\nquiet_hours = \"\"\nring_s = 8\nretry_s = 5\nbusy_retry_s = 5\n";
const LIMIT: Duration = Duration::from_secs(40);
const NEWS: &str = "Turn the office lamp up";

pub fn object(text: &str) -> Value {
    serde_json::from_str(text).unwrap_or_else(|error| panic!("{error}: {text}"))
}

/// Asks for a call; its id.
fn ask(offhook: &Offhook, body: &Value) -> String {
    let (status, text) = offhook.http("POST", "/api/calls", &body.to_string());
    assert_eq!(status, 202, "{text}\n{}", offhook.log_tail());
    let id = object(&text)["id"].as_str().map(str::to_owned);
    id.expect("an id")
}

pub fn look(offhook: &Offhook, id: &str) -> Value {
    let (status, text) = offhook.http("GET", &format!("/api/calls/{id}"), "");
    assert_eq!(status, 200, "{text}");
    object(&text)
}

pub fn expect_state(offhook: &Offhook, id: &str, state: &str) -> Value {
    let found = wait_until(LIMIT, || look(offhook, id)["state"] == state);
    let value = look(offhook, id);
    assert!(
        found,
        "it is not {state}: {value:#}\n{}",
        offhook.log_tail()
    );
    value
}

#[test]
fn a_phone_rings_and_is_talked_with() {
    let test = "a_phone_rings_and_is_talked_with";
    let Some(_floor) = take_floor(test, Some(BARESIP)) else {
        return;
    };
    let offhook = Offhook::start_with("callback", AT_ANY_HOUR);
    let account = offhook.first_phone();
    // A hello into the first second, and a question after the news.
    let says = [
        (300, golden("Run the script")),
        (9_000, golden("What is six times twelve")),
    ];
    let mut phone = Phone::answering(&offhook, &Setup::saying(&account, &says));
    let key = json!({ "say": NEWS, "why": "It is getting dark.", "idempotency_key": "lamp-1" });
    let id = ask(&offhook, &key);
    phone.expect_established(&offhook);
    // The same request again is the same request.
    assert_eq!(ask(&offhook, &key), id);
    let talking = wait_until(LIMIT, || {
        let value = look(&offhook, &id);
        value["state"] == "talking" && value["what_happens"].to_string().contains("was heard")
    });
    assert!(talking, "{:#}\n{}", look(&offhook, &id), offhook.log_tail());
    phone.stay(Duration::from_secs(9));
    let (status, text) = offhook.http(
        "POST",
        &format!("/api/calls/{id}/say"),
        "{\"text\":\"Set a timer for a few minutes\"}",
    );
    assert_eq!(status, 202, "{text}");
    phone.stay(Duration::from_secs(6));
    let (status, text) = offhook.http("DELETE", &format!("/api/calls/{id}"), "");
    assert_eq!(status, 204, "{text}");
    let closed = phone.wait_for(&["CALL_CLOSED"], LIMIT);
    assert!(closed.is_some(), "{}", offhook.log_tail());
    let value = expect_state(&offhook, &id, "heard");
    let rows = value["transcript"].as_array().cloned().unwrap_or_default();
    let text = |row: &Value| row["text"].as_str().unwrap_or_default().to_owned();
    let place = |holds: &dyn Fn(&Value) -> bool| {
        let found = rows.iter().position(holds);
        found.unwrap_or_else(|| panic!("{value:#}\n{}", offhook.log_tail()))
    };
    let news = place(&|row| text(row).contains(NEWS));
    let asked = place(&|row| {
        row["who"] == "caller" && words_in_order("What is six times twelve", &text(row)) >= 2
    });
    let added = place(&|row| text(row).contains("Set a timer for a few minutes"));
    let is_answered = rows[asked + 1]["who"] == "assistant";
    assert!(
        news < asked && asked + 1 < added && is_answered,
        "{value:#}"
    );
    let recording = phone.recording();
    offhook.expect_spoken(NEWS, &recording, &phone.tail());
}

fn unread(offhook: &Offhook) -> Value {
    let (_, text) = offhook.http("GET", "/api/messages?unread=true", "");
    object(&text)["messages"].clone()
}

/// Somebody without any phone reads what was left by other means, and says so.
#[test]
fn what_was_left_is_marked_as_read() {
    let Some(_floor) = take_floor("what_was_left_is_marked_as_read", None) else {
        return;
    };
    let offhook = Offhook::start_with("read", AT_ANY_HOUR);
    let (status, text) = offhook.http("POST", "/api/messages", "{\"text\":\"Read me.\"}");
    assert_eq!(status, 202, "{text}");
    let left = wait_until(LIMIT, || unread(&offhook)[0]["text"] == "Read me.");
    assert!(left, "{:#}\n{}", unread(&offhook), offhook.log_tail());
    let id = unread(&offhook)[0]["id"].to_string();
    let id = id.trim_matches('"');
    let read = |id: &str| {
        offhook
            .http("POST", &format!("/api/messages/{id}/read"), "")
            .0
    };
    assert_eq!((read("4711"), read(id)), (404, 204));
    assert_eq!(unread(&offhook), json!([]));
    let (_, text) = offhook.http("GET", "/api/messages", "");
    let first = &object(&text)["messages"][0];
    assert!(first["read_at"].is_string(), "{first:#}");
    assert_eq!(read(id), 404, "it is unread no more");
}

#[test]
fn what_nobody_takes_is_left_to_be_read() {
    let test = "what_nobody_takes_is_left_to_be_read";
    let Some(_floor) = take_floor(test, Some(BARESIP)) else {
        return;
    };
    let mut offhook = Offhook::start_with("unanswered", AT_ANY_HOUR);
    let account = offhook.first_phone();
    let mut phone = Phone::registered(&offhook, &Setup::saying(&account, &[]));
    let id = ask(
        &offhook,
        &json!({ "say": NEWS, "attempts": 2, "to": account.user }),
    );
    let ringing = phone.wait_for(&["CALL_INCOMING"], LIMIT);
    assert!(ringing.is_some(), "{}", offhook.log_tail());
    // Power cut while it rings: the phone is told, and it counts as a call.
    offhook.kill();
    offhook.run();
    let first = expect_state(&offhook, &id, "waiting");
    assert_eq!(
        first["attempts"].as_array().map(Vec::len),
        Some(1),
        "{first:#}"
    );
    let value = expect_state(&offhook, &id, "left");
    let attempts = value["attempts"].as_array().map(Vec::len);
    assert_eq!(attempts, Some(2), "{value:#}");
    // The phone is there and takes texts: it gets one, and the message in the box counts as read.
    let is_sent = wait_until(LIMIT, || {
        let trace = phone.trace();
        trace.contains("MESSAGE sip:") && trace.contains(NEWS)
    });
    assert!(is_sent, "{}\n{}", phone.tail(), offhook.log_tail());
    let (status, text) = offhook.http("GET", "/api/messages", "");
    assert_eq!(status, 200, "{text}");
    let messages = object(&text);
    assert_eq!(messages["messages"][0]["text"], NEWS, "{messages:#}");
    // The phone's answer has to come first.
    let is_read = wait_until(LIMIT, || unread(&offhook) == json!([]));
    assert!(is_read, "{:#}\n{}", unread(&offhook), offhook.log_tail());
}

/// They dial the assistant in the moment that it rings them: one call, and the news in it.
#[test]
fn who_calls_while_we_ring_is_told_in_their_own_call() {
    let test = "who_calls_while_we_ring_is_told_in_their_own_call";
    let Some(_floor) = take_floor(test, Some(BARESIP)) else {
        return;
    };
    let offhook = Offhook::start_with("glare", AT_ANY_HOUR);
    let account = offhook.first_phone();
    let mut phone = Phone::registered(&offhook, &Setup::saying(&account, &[]));
    let id = ask(&offhook, &json!({ "say": NEWS }));
    let ringing = phone.wait_for(&["CALL_INCOMING"], LIMIT);
    assert!(ringing.is_some(), "{}", offhook.log_tail());
    phone.dial("100");
    let closed = phone.wait_for(&["CALL_CLOSED"], LIMIT);
    assert!(closed.is_some(), "{}", offhook.log_tail());
    let value = expect_state(&offhook, &id, "heard");
    assert_eq!(value["attempts"][0]["result"], "it was heard", "{value:#}");
    phone.hang_up();
}

#[test]
fn who_may_ask_for_what() {
    let Some(_floor) = take_floor("who_may_ask_for_what", None) else {
        return;
    };
    let offhook = Offhook::start_with("asking", AT_ANY_HOUR);
    let ask = |body: &str| offhook.http("POST", "/api/calls", body);
    let large = format!("{{\"say\":\"{}\"}}", "x".repeat(40_000));
    let rows: [(&str, u16, &str); 9] = [
        ("{\"say\":\"\"}", 400, "`say` is missing"),
        ("{}", 400, "missing field `say`"),
        ("{\"say\":\"x\",\"loud\":true}", 400, "unknown field"),
        ("not json", 400, "not the JSON object"),
        (
            "{\"say\":\"x\",\"to\":\"nobody\"}",
            403,
            "nobody has this number",
        ),
        ("{\"say\":\"x\",\"to\":\"101\"}", 403, "name one person"),
        ("{\"say\":\"x\",\"agent\":\"101\"}", 400, "no assistant has"),
        (
            "{\"say\":\"x\",\"latest\":\"soon\"}",
            400,
            "is a time such as",
        ),
        (&large, 413, "larger than"),
    ];
    for (body, expected, words) in rows {
        let (status, text) = ask(body);
        let shown = &body[..body.len().min(60)];
        assert_eq!(status, expected, "{shown}: {text}");
        let problem = object(&text);
        assert_eq!(problem["status"], expected, "{shown}");
        let detail = problem["detail"].as_str().unwrap_or_default();
        assert!(detail.contains(words), "{shown}: {detail}");
    }
    let path = "/api/calls";
    let (status, _) = offhook.http_with("POST", path, &[], "{\"say\":\"x\"}");
    assert_eq!(status, 401);
    let wrong = [("Authorization", "Bearer wrong")];
    let (status, _) = offhook.http_with("POST", path, &wrong, "{\"say\":\"x\"}");
    assert_eq!(status, 401);
    for (method, path) in [
        ("GET", "/api/calls/cb-1"),
        ("DELETE", "/api/calls/cb-1"),
        ("POST", "/api/calls/cb-1/say"),
        ("POST", "/api/calls/cb-1/put_through"),
    ] {
        let body = match path.ends_with("put_through") {
            true => "{\"to\":\"100\"}",
            false => "{\"text\":\"x\"}",
        };
        let (status, text) = offhook.http(method, path, body);
        assert_eq!(status, 404, "{method} {path}: {text}");
    }
}

#[test]
fn agents_use_the_tools_and_web_pages_do_not() {
    let Some(_floor) = take_floor("agents_use_the_tools_and_web_pages_do_not", None) else {
        return;
    };
    let offhook = Offhook::start_with("mcp", AT_ANY_HOUR);
    let bearer = format!("Bearer {}", offhook.api_token());
    let accept = ("Accept", "application/json, text/event-stream");
    let version = ("MCP-Protocol-Version", "2025-11-25");
    let post = |more: &[(&str, &str)], body: &Value| {
        let mut headers = vec![accept];
        headers.extend(more);
        offhook.http_with("POST", "/mcp", &headers, &body.to_string())
    };
    let token = ("Authorization", bearer.as_str());
    let hello = json!({ "jsonrpc": "2.0", "id": 1, "method": "initialize", "params": {
        "protocolVersion": "2025-11-25",
        "capabilities": {},
        "clientInfo": { "name": "test", "version": "1" },
    }});
    let (status, text) = post(&[token], &hello);
    assert_eq!(status, 200, "{text}");
    let hello_result = object(&text);
    assert_eq!(hello_result["result"]["protocolVersion"], "2025-11-25");
    assert_eq!(hello_result["result"]["serverInfo"]["name"], "offhook");
    // Doors that are shut.
    let rows: [(&[(&str, &str)], u16); 4] = [
        (&[], 401),
        (&[("Authorization", "Bearer wrong")], 401),
        (&[token, ("Origin", "http://evil.example")], 403),
        (&[token, ("Origin", "null")], 403),
    ];
    for (headers, expected) in rows {
        let (status, text) = post(headers, &hello);
        assert_eq!(status, expected, "{headers:?}: {text}");
    }
    let call = |name: &str, arguments: Value| {
        let body = json!({ "jsonrpc": "2.0", "id": 2, "method": "tools/call",
            "params": { "name": name, "arguments": arguments } });
        let (status, text) = post(&[token, version], &body);
        assert_eq!(status, 200, "{text}");
        let result = object(&text)["result"].clone();
        let said = result["content"][0]["text"].as_str().unwrap_or_default();
        (result["isError"] == true, said.to_owned())
    };
    let list = json!({ "jsonrpc": "2.0", "id": 3, "method": "tools/list" });
    let (_, text) = post(&[token, version], &list);
    let tools = object(&text)["result"]["tools"].clone();
    assert_eq!(tools.as_array().map(Vec::len), Some(8), "{text}");
    // Nobody's phone is registered: it waits for one.
    let (is_error, text) = call("call_user", json!({ "say": NEWS, "idempotency_key": "k" }));
    assert!(!is_error, "{text}");
    let id = object(&text)["id"].as_str().expect("an id").to_owned();
    let is_tried = wait_until(LIMIT, || {
        look(&offhook, &id)["attempts"][0]["result"] == "no phone is registered"
    });
    assert!(is_tried, "{:#}", look(&offhook, &id));
    expect_state(&offhook, &id, "waiting");
    let (is_error, text) = call("hang_up", json!({ "id": id }));
    assert!(!is_error, "{text}");
    expect_state(&offhook, &id, "cancelled");
    let (is_error, text) = call("send_voice_note", json!({ "text": "Read me." }));
    assert!(
        !is_error && text.contains("asked for as a voice note"),
        "{text}"
    );
    for (name, arguments, words) in [
        ("call_user", json!({}), "missing field `say`"),
        (
            "call_user",
            json!({ "say": NEWS, "to": "nobody" }),
            "nobody has this number",
        ),
        (
            "speak",
            json!({ "id": "cb-1", "text": "x" }),
            "no call or request",
        ),
        (
            "get_transcript",
            json!({ "id": "cb-1" }),
            "no call or request",
        ),
        (
            "put_through",
            json!({ "id": "cb-1", "to": "100" }),
            "no call or request",
        ),
        ("dance", json!({}), "no tool"),
    ] {
        let (is_error, text) = call(name, arguments);
        assert!(is_error && text.contains(words), "{name}: {text}");
    }
    let (is_error, text) = call("list_calls", json!({}));
    assert!(!is_error && text.contains(&id), "{text}");
}
