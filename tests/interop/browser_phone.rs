//! The phone in the browser: a real Chromium whose microphone is a wav calls the assistant and is heard and answered, talks
//! with a softphone in both directions, presses keys, and comes back after its line broke. Between two softphones, the
//! same protection without a browser.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use serde_json::Value;

use crate::baresip::{Phone, Setup, Transport};
use crate::browser::CHROMIUM;
use crate::offhook::{Account, Offhook};
use crate::peers::{BARESIP, Floor, Peer, is_installed, take_floor};
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
    let is_there = is_installed(test, CHROMIUM) && is_installed(test, NODE);
    is_there.then(|| take_floor(test, Some(BARESIP))).flatten()
}

fn office(test: &str, config: &str) -> (Offhook, [Account; 2]) {
    let offhook = Offhook::start_with(test, &format!("{USERS}{config}"));
    let accounts = ["anna", "bert"].map(|name| offhook.add_user(name, &format!("{name}-secret-1")));
    // Accounts are looked for once a second.
    let known = wait_until(LIMIT, || offhook.log().contains("users changed"));
    assert!(known, "{}", offhook.log_tail());
    (offhook, accounts)
}

fn setup<'a>(account: &'a Account, says: &'a [(u32, PathBuf)]) -> Setup<'a> {
    Setup {
        account,
        transport: Transport::Udp,
        says,
        outbound: false,
    }
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
    let (mut offhook, _) = office("browser_assistant", "");
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
    let (offhook, [_, bert]) = office("browser_calls", "");
    let times = [(BEFORE_SPEAKING_MS, golden("What is six times twelve"))];
    let lamp = [(
        BEFORE_SPEAKING_MS + 1_000,
        golden("Turn the office lamp up"),
    )];
    let mut callee = Phone::answering(&offhook, &setup(&bert, &times));
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
    let (offhook, [_, bert]) = office("browser_rings", "");
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
    let mut caller = Phone::registered(&offhook, &setup(&bert, &[]));
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

#[test]
fn a_line_that_breaks_comes_back() {
    let Some(_floor) = floor("a_line_that_breaks_comes_back") else {
        return;
    };
    let (offhook, _) = office("browser_returns", "");
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
    // A pass is asked for with the owner's token, or by whoever is signed in.
    let (status, _) = offhook.http("GET", "/sip?ticket=00", "");
    assert_ne!(status, 101);
}

#[test]
fn two_softphones_talk_after_a_handshake_each() {
    let test = "two_softphones_talk_after_a_handshake_each";
    let Some(_floor) = take_floor(test, Some(BARESIP)) else {
        return;
    };
    let (offhook, [anna, bert]) = office("handshakes", "");
    let says = [(BEFORE_SPEAKING_MS, golden("Turn the office lamp up"))];
    let shakes = ";mediaenc=dtls_srtp";
    let answering = setup(&bert, &says);
    let mut callee = Phone::special(&offhook, &answering, shakes, true);
    let calling = setup(&anna, &says);
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
