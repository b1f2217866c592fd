//! The phone in the browser: a real Chromium whose microphone is a wav calls the assistant and is heard and answered, talks
//! with a softphone in both directions, presses keys, and comes back after its line broke. Between two softphones, the
//! same protection without a browser.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use serde_json::Value;

use crate::baresip::{Phone, Setup};
use crate::between::hand_on;
use crate::browser::{CHROMIUM, floor_with_browser};
use crate::offhook::Offhook;
use crate::peers::{BARESIP, Floor, Peer, take_floor};
use crate::process::{Folder, Process, wait_until};
use crate::sound::{Sound, golden};

const NODE: Peer = Peer {
    program: "node",
    package: "nodejs",
};
const USERS: &str = "[[users]]\nname = \"anna\"\nextensions = [\"200\"]\n\
                     [[users]]\nname = \"bert\"\nextensions = [\"201\"]\n";
const LIMIT: Duration = Duration::from_secs(30);
const WHOLE: Duration = Duration::from_secs(90);
/// The greeting is over by then.
const AFTER_GREETING_MS: u32 = 6_000;
const BEFORE_SPEAKING_MS: u32 = 2_000;
/// Both calls of a transfer stand by then, and the one between who is left.
const AFTER_TRANSFER_MS: u32 = 9_000;

/// A page with a phone on it, and the person at it.
struct Browser {
    _folder: Folder,
    process: Process,
}

impl Browser {
    fn start(offhook: &Offhook, account: &str, says: &[(u32, PathBuf)], steps: &[&str]) -> Browser {
        let folder = Folder::new("chromium");
        let sound = folder.path().join("microphone.wav");
        let mut said = Sound::silence(48_000, 0);
        for (before_ms, clip) in says {
            said = said
                .then(&Sound::silence(48_000, *before_ms))
                .then(&Sound::read(clip).at(48_000));
        }
        said.then(&Sound::silence(48_000, 60_000)).write(&sound);
        let tree = Path::new(env!("CARGO_MANIFEST_DIR"));
        let mut command = Command::new("node");
        command
            .arg(tree.join("tests/interop/page/phone.mjs"))
            .arg(CHROMIUM.program)
            .arg(format!("http://{}", offhook.web))
            .arg(offhook.api_token())
            .arg(account)
            .arg(&sound)
            .arg(tree.join("src/web/assets/phone.js"))
            .arg(folder.path().join("profile"))
            .args(steps);
        Browser {
            process: Process::start("browser", &mut command),
            _folder: folder,
        }
    }

    fn expect(&mut self, text: &str, limit: Duration) {
        self.process.expect_output(text, limit);
    }

    /// All its steps are done: what it measured, and how loud its own and the other side were, from 0 to 1.
    fn done(&mut self) -> (Value, [f64; 2]) {
        self.expect("DONE", WHOLE);
        let output = self.process.output();
        let value = |kind: &str| {
            let line = output.lines().rfind(|line| line.starts_with(kind));
            let line = line.unwrap_or_else(|| panic!("no {kind} in\n{output}"));
            serde_json::from_str::<Value>(&line[kind.len()..]).expect("JSON")
        };
        let levels = value("LEVELS ");
        let level = |at: usize| levels[at].as_f64().unwrap_or_default();
        (value("STATS "), [level(0), level(1)])
    }
}

fn floor(test: &str) -> Option<Floor> {
    // The floor is for one at a time.
    drop(floor_with_browser(test, &[NODE])?);
    take_floor(test, Some(BARESIP))
}

fn number(stats: &Value, name: &str) -> f64 {
    stats[name].as_f64().unwrap_or_default()
}

/// Packets both ways, in Opus or what was agreed, over a handshake that is done.
fn assert_passed(stats: &Value, least: f64, offhook: &Offhook) {
    let log = || format!("{stats}\n{}", offhook.log_tail());
    assert!(number(stats, "received") >= least, "{}", log());
    assert!(number(stats, "sent") >= least, "{}", log());
    assert_eq!(stats["dtls"], "connected", "{}", log());
}

#[test]
fn a_browser_talks_with_the_assistant() {
    let Some(_floor) = floor("a_browser_talks_with_the_assistant") else {
        return;
    };
    // Browsers are encrypted whatever holds for phones.
    let (mut offhook, _) = Offhook::with_three("browser_assistant", USERS);
    let says = [(AFTER_GREETING_MS, golden("What is six times twelve"))];
    let steps = [
        "call:100",
        "until:talking",
        "sleep:14",
        "stats",
        "hangup",
        "until:ready",
    ];
    let mut browser = Browser::start(&offhook, "anna", &says, &steps);
    let (stats, [own, theirs]) = browser.done();
    assert_passed(&stats, 200.0, &offhook);
    assert_eq!(stats["codec"], "audio/opus");
    assert!(own > 0.2 && theirs > 0.2, "levels {own} {theirs}");
    let log = offhook.log();
    let asked = log.find("caller said said=\"What is six times twelve");
    let answered = log.rfind("we said said=");
    assert!(
        asked.is_some() && answered > asked,
        "{}\n{}",
        browser.process.tail(),
        offhook.log_tail()
    );
    offhook.expect_log("call ended", LIMIT);
}

#[test]
fn a_browser_calls_a_softphone() {
    let Some(_floor) = floor("a_browser_calls_a_softphone") else {
        return;
    };
    let (offhook, [_, bert, _]) = Offhook::with_three("browser_calls", USERS);
    let times = [(BEFORE_SPEAKING_MS, golden("What is six times twelve"))];
    let lamp = [(
        BEFORE_SPEAKING_MS + 1_000,
        golden("Turn the office lamp up"),
    )];
    let mut callee = Phone::answering(&offhook, &Setup::saying(&bert, &times));
    let steps = [
        "call:201",
        "until:talking",
        "sleep:8",
        "dtmf:5",
        "sleep:1",
        "stats",
        "hangup",
        "until:ready",
    ];
    let mut browser = Browser::start(&offhook, "anna", &lamp, &steps);
    let established = callee.wait_for(&["CALL_ESTABLISHED"], LIMIT);
    assert!(
        established.is_some(),
        "{}\n{}",
        callee.tail(),
        offhook.log_tail()
    );
    callee.stay(Duration::from_secs(8));
    let (stats, [_, theirs]) = browser.done();
    assert_passed(&stats, 200.0, &offhook);
    assert!(theirs > 0.2, "the softphone is heard: {theirs}");
    // The browser's own processing and a line at 8 kHz leave the small recogniser little to read, so it is voice that counts.
    let voiced_ms = Sound::read(&callee.recording()).voiced_ms();
    assert!(
        voiced_ms >= 500,
        "{voiced_ms} ms of the browser were heard\n{}",
        offhook.log_tail()
    );
}

#[test]
fn a_softphone_calls_a_browser() {
    let Some(_floor) = floor("a_softphone_calls_a_browser") else {
        return;
    };
    let (offhook, [_, bert, _]) = Offhook::with_three("browser_rings", USERS);
    let says = [(BEFORE_SPEAKING_MS, golden("Turn the office lamp up"))];
    // The first call is taken and ended at the other end, the second declined.
    let steps = [
        "until:incoming",
        "answer",
        "until:talking",
        "sleep:5",
        "stats",
        "until:ready",
        "until:incoming",
        "hangup",
        "until:ready",
    ];
    let mut browser = Browser::start(&offhook, "anna", &says, &steps);
    browser.expect("STEP until:incoming", LIMIT);
    let mut caller = Phone::registered(&offhook, &Setup::saying(&bert, &[]));
    caller.dial("200");
    caller.expect_established(&offhook);
    caller.stay(Duration::from_secs(8));
    caller.hang_up();
    let closed = caller.wait_for(&["CALL_CLOSED"], LIMIT);
    assert!(closed.is_some(), "{}", caller.tail());
    caller.forget();
    caller.dial("200");
    let declined = caller.wait_for(&["CALL_CLOSED"], LIMIT);
    assert!(declined.is_some(), "{}", caller.tail());
    let (stats, _) = browser.done();
    assert_passed(&stats, 100.0, &offhook);
    let voiced_ms = Sound::read(&caller.recording()).voiced_ms();
    assert!(voiced_ms >= 300, "{voiced_ms} ms of the browser were heard");
}

/// Bert hands the browser on: to Carl, blindly and after a word, and to the assistant. It shakes hands anew, and both hear each
/// other.
#[test]
fn a_browser_is_handed_on() {
    let Some(_floor) = floor("a_browser_is_handed_on") else {
        return;
    };
    for (to, after_a_word) in [("202", false), ("202", true), ("100", false)] {
        let name = format!("browser_handed_on_{to}_{after_a_word}");
        let users = format!("{USERS}[[users]]\nname = \"carl\"\nextensions = [\"202\"]\n");
        let (mut offhook, [_, bert, carl]) = Offhook::with_three(&name, &users);
        // Of the three only the browser and Carl say anything, and all of it after the transfer.
        let times = [(AFTER_TRANSFER_MS, golden("What is six times twelve"))];
        let lamp = [(AFTER_TRANSFER_MS, golden("Turn the office lamp up"))];
        let mut third = Phone::answering(&offhook, &Setup::saying(&carl, &times));
        let mut second = Phone::answering(&offhook, &Setup::saying(&bert, &[]));
        let steps = [
            "call:201",
            "until:talking",
            "sleep:2",
            "stats",
            "sleep:16",
            "stats",
            "hangup",
            "until:ready",
        ];
        let mut browser = Browser::start(&offhook, "anna", &lamp, &steps);
        let established = second.wait_for(&["CALL_ESTABLISHED"], LIMIT);
        assert!(established.is_some(), "{}", second.tail());
        browser.expect("STATS", LIMIT);
        if after_a_word {
            second.tell("hold", "");
            second.forget();
            second.dial(to);
            let established = second.wait_for(&["CALL_ESTABLISHED"], LIMIT);
            assert!(established.is_some(), "{}", second.tail());
            // Hold has been agreed upon by now.
            second.stay(Duration::from_secs(1));
            hand_on(&mut second, to, &offhook);
        } else {
            second.tell("transfer", &format!("sip:{to}@{}", offhook.sip));
        }
        let closed = second.wait_for(&["CALL_CLOSED"], LIMIT);
        let tails = format!("{}\n{}", second.tail(), offhook.log_tail());
        assert!(closed.is_some(), "{tails}");
        let (stats, [_, theirs]) = browser.done();
        // 2 s with Bert are 100.
        assert_passed(&stats, 500.0, &offhook);
        assert!(theirs > 0.2, "{to} is heard: {theirs}, {stats}\n{tails}");
        if to == "100" {
            offhook.expect_log("caller said", LIMIT);
            continue;
        }
        let closed = third.wait_for(&["CALL_CLOSED"], LIMIT);
        assert!(closed.is_some(), "{}", offhook.log_tail());
        let voiced_ms = Sound::read(&third.recording()).voiced_ms();
        assert!(
            voiced_ms >= 500,
            "{voiced_ms} ms of the browser were heard\n{stats}\n{}",
            offhook.log_tail()
        );
    }
}

/// The assistant puts the browser through to Bert.
#[test]
fn a_browser_is_put_through() {
    let Some(_floor) = floor("a_browser_is_put_through") else {
        return;
    };
    let (offhook, [_, bert, _]) = Offhook::with_three("browser_put_through", USERS);
    let lamp = [(AFTER_TRANSFER_MS, golden("Turn the office lamp up"))];
    let mut callee = Phone::answering(&offhook, &Setup::saying(&bert, &lamp));
    let steps = [
        "call:100",
        "until:talking",
        "sleep:2",
        "stats",
        "sleep:14",
        "stats",
        "hangup",
        "until:ready",
    ];
    let mut browser = Browser::start(&offhook, "anna", &lamp, &steps);
    browser.expect("STATS", LIMIT);
    let (_, listed) = offhook.http("GET", "/api/calls?limit=1", "");
    let listed: Value = serde_json::from_str(&listed).expect("JSON");
    let id = listed["calls"][0]["id"].as_str().unwrap_or_default();
    let path = format!("/api/calls/{id}/put_through");
    let (status, text) = offhook.http("POST", &path, "{\"to\":\"201\"}");
    assert!(status == 200 && text.contains("talking"), "{status} {text}");
    let established = callee.wait_for(&["CALL_ESTABLISHED"], LIMIT);
    assert!(established.is_some(), "{}", offhook.log_tail());
    let (stats, _) = browser.done();
    assert_passed(&stats, 500.0, &offhook);
    let closed = callee.wait_for(&["CALL_CLOSED"], LIMIT);
    assert!(closed.is_some(), "{}", offhook.log_tail());
    let voiced_ms = Sound::read(&callee.recording()).voiced_ms();
    assert!(
        voiced_ms >= 500,
        "{voiced_ms} ms of the browser were heard\n{stats}\n{}",
        offhook.log_tail()
    );
}

#[test]
fn a_line_that_breaks_comes_back() {
    let Some(_floor) = floor("a_line_that_breaks_comes_back") else {
        return;
    };
    let (offhook, _) = Offhook::with_three("browser_returns", USERS);
    let steps = [
        "drop",
        "until:offline",
        "until:ready",
        "call:101",
        "until:talking",
        "sleep:2",
        "stats",
        "hangup",
        "until:ready",
    ];
    let mut browser = Browser::start(&offhook, "anna", &[], &steps);
    let (stats, _) = browser.done();
    assert_passed(&stats, 50.0, &offhook);
    // A pass is asked for with the owner's token, or by whoever is signed in; without one no line is opened.
    let upgrade = [
        ("Upgrade", "websocket"),
        ("Sec-WebSocket-Version", "13"),
        ("Sec-WebSocket-Protocol", "sip"),
        ("Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ=="),
    ];
    let ask = |headers| offhook.http_with("GET", "/sip?ticket=00", headers, "").0;
    assert_eq!(ask(&upgrade), 403);
    assert_eq!(ask(&upgrade[1..]), 426);
}

#[test]
fn a_call_outlives_its_line() {
    let Some(_floor) = floor("a_call_outlives_its_line") else {
        return;
    };
    let (mut offhook, _) = Offhook::with_three("browser_outlives", USERS);
    // The line breaks twice: once the call is hung up after it came back, once while it is away.
    let steps = [
        "call:101",
        "until:talking",
        "drop",
        "back",
        "sleep:2",
        "stats",
        "hangup",
        "until:ready",
        "call:101",
        "until:talking",
        "drop",
        "hangup",
        "until:ready",
    ];
    let mut browser = Browser::start(&offhook, "anna", &[], &steps);
    let (stats, _) = browser.done();
    assert_passed(&stats, 50.0, &offhook);
    // It says nothing of being away while somebody talks.
    let output = browser.process.output();
    let states: Vec<&str> = output
        .lines()
        .filter_map(|line| line.strip_prefix("STATE ")?.split(' ').nth(1))
        .collect();
    let talking = states.iter().position(|state| *state == "talking");
    let after = talking.and_then(|at| states.get(at + 1));
    assert_eq!(after, Some(&"ended"), "{states:?}");
    // Both calls were ended by the browser; nothing was left to time out.
    offhook.expect_log("call ended", LIMIT);
    let is_over = || offhook.log().matches("call ended").count() == 2;
    assert!(wait_until(LIMIT, is_over), "{}", offhook.log_tail());
}

#[test]
fn two_softphones_talk_after_a_handshake_each() {
    let test = "two_softphones_talk_after_a_handshake_each";
    let Some(_floor) = take_floor(test, Some(BARESIP)) else {
        return;
    };
    let (offhook, [anna, bert, _]) = Offhook::with_three("handshakes", USERS);
    let says = [(BEFORE_SPEAKING_MS, golden("Turn the office lamp up"))];
    let shakes = ";mediaenc=dtls_srtp";
    let answering = Setup::saying(&bert, &says);
    let mut callee = Phone::special(&offhook, &answering, shakes, true);
    let calling = Setup::saying(&anna, &says);
    let mut caller = Phone::special(&offhook, &calling, shakes, false);
    caller.dial("201");
    caller.expect_established(&offhook);
    caller.stay(Duration::from_secs(6));
    for phone in [&mut caller, &mut callee] {
        let voiced_ms = Sound::read(&phone.recording()).voiced_ms();
        assert!(
            voiced_ms >= 500,
            "{voiced_ms} ms\n{}\n{}",
            phone.tail(),
            offhook.log_tail()
        );
        let is_secured = phone.trace().contains("DTLS-SRTP complete");
        assert!(is_secured, "{}", phone.tail());
    }
}
