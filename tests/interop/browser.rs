//! A real browser: Debian's Chromium without a window, told what to do over its own DevTools protocol (one WebSocket, JSON).
//! Its microphone is a sound file. Everything it complains about is kept, so that a test can say that there was nothing.

use crate::peers::{Floor, Peer, is_installed, take_floor};
use crate::process::{Folder, Process, wait_until};
use serde_json::{Value, json};
use std::net::TcpStream;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};
use tokio_tungstenite::tungstenite::{Message, WebSocket, client};

pub const CHROMIUM: Peer = Peer {
    program: "chromium",
    package: "chromium",
};

/// The right to run, where there is a browser and whatever else is needed. Every Debian has a package of it, so there it must
/// be there like any other peer; elsewhere its tests are left out where it is not.
pub fn floor_with_browser(test: &str, others: &[Peer]) -> Option<Floor> {
    let system = std::fs::read_to_string("/etc/os-release").unwrap_or_default();
    let is_debian = system.lines().any(|line| line == "ID=debian");
    let is_there = |peer: &Peer| match is_debian {
        true => take_floor(test, Some(*peer)).is_some(),
        false => is_installed(test, *peer),
    };
    let mut peers = std::iter::once(&CHROMIUM).chain(others);
    peers
        .all(is_there)
        .then(|| take_floor(test, None))
        .flatten()
}

const START_LIMIT: Duration = Duration::from_secs(60);
/// One answer of the browser itself.
const ANSWER_LIMIT: Duration = Duration::from_secs(60);
const LOOK_AGAIN: Duration = Duration::from_millis(50);

/// One browser with one page.
pub struct Browser {
    socket: WebSocket<TcpStream>,
    last_id: u64,
    session: String,
    complaints: Vec<String>,
    // Ended, then removed.
    _process: Process,
    _folder: Folder,
}

impl Browser {
    /// An empty page; `microphone` is a WAV file that is heard over and over.
    pub fn start(microphone: Option<&Path>) -> Browser {
        let folder = Folder::new("chromium");
        let mut command = Command::new(CHROMIUM.program);
        command
            .args([
                "--headless=new",
                // Tests may run as root, where there is no sandbox.
                "--no-sandbox",
                "--disable-gpu",
                "--disable-dev-shm-usage",
                "--no-first-run",
                "--disable-sync",
                "--disable-component-update",
                "--disable-background-networking",
                "--autoplay-policy=no-user-gesture-required",
                "--use-fake-ui-for-media-stream",
                "--use-fake-device-for-media-stream",
                "--remote-debugging-port=0",
            ])
            .arg(format!("--user-data-dir={}", folder.path().display()))
            .env("HOME", folder.path())
            .current_dir(folder.path());
        if let Some(file) = microphone {
            command.arg(format!(
                "--use-file-for-fake-audio-capture={}",
                file.display()
            ));
        }
        command.arg("about:blank");
        let mut process = Process::start("chromium", &mut command);
        const TELLS: &str = "DevTools listening on ";
        process.expect_output(TELLS, START_LIMIT);
        let output = process.output();
        let address = output.lines().find_map(|line| line.split_once(TELLS));
        let (_, address) = address.expect("just found");
        let address = address.trim();
        let host = address.trim_start_matches("ws://").split('/').next();
        let stream = TcpStream::connect(host.expect("a host")).expect("it listens");
        stream
            .set_read_timeout(Some(LOOK_AGAIN))
            .expect("a timeout can be set");
        let until = Instant::now() + ANSWER_LIMIT;
        let mut shake = client(address, stream);
        let (socket, _) = loop {
            match shake {
                Ok(done) => break done,
                Err(tokio_tungstenite::tungstenite::HandshakeError::Interrupted(middle)) => {
                    assert!(Instant::now() < until, "DevTools says nothing");
                    shake = middle.handshake();
                }
                Err(error) => panic!("no DevTools: {error}"),
            }
        };
        let mut browser = Browser {
            socket,
            last_id: 0,
            session: String::new(),
            complaints: Vec::new(),
            _process: process,
            _folder: folder,
        };
        let made = browser.ask("Target.createTarget", json!({ "url": "about:blank" }));
        let attach = json!({ "targetId": made["targetId"], "flatten": true });
        let attached = browser.ask("Target.attachToTarget", attach);
        browser.session = attached["sessionId"]
            .as_str()
            .expect("a session")
            .to_owned();
        for domain in ["Page", "Runtime", "Log", "Network"] {
            browser.ask(&format!("{domain}.enable"), json!({}));
        }
        browser
    }

    /// One command of the protocol, and its answer.
    pub fn ask(&mut self, method: &str, parameters: Value) -> Value {
        self.last_id += 1;
        let id = self.last_id;
        let mut message = json!({ "id": id, "method": method, "params": parameters });
        if !self.session.is_empty() {
            message["sessionId"] = json!(self.session);
        }
        let text = message.to_string();
        self.socket.send(Message::text(text)).expect("it listens");
        let until = Instant::now() + ANSWER_LIMIT;
        while Instant::now() < until {
            if let Some(answer) = self.read()
                && answer["id"] == id
            {
                assert!(answer["error"].is_null(), "{method}: {}", answer["error"]);
                return answer["result"].clone();
            }
        }
        panic!("no answer to {method}");
    }

    /// One message, if there is one now; complaints are kept.
    fn read(&mut self) -> Option<Value> {
        let text = match self.socket.read() {
            Ok(Message::Text(text)) => text,
            // Nothing within the read timeout.
            Ok(_) | Err(tokio_tungstenite::tungstenite::Error::Io(_)) => return None,
            Err(error) => panic!("the browser is gone: {error}"),
        };
        let value: Value = serde_json::from_str(&text).expect("JSON");
        let parameters = &value["params"];
        match value["method"].as_str() {
            Some("Runtime.exceptionThrown") => {
                self.complaints
                    .push(parameters["exceptionDetails"].to_string());
            }
            Some("Log.entryAdded") if parameters["entry"]["level"] == "error" => {
                self.complaints.push(parameters["entry"].to_string());
            }
            Some("Runtime.consoleAPICalled") if parameters["type"] == "error" => {
                self.complaints.push(parameters["args"].to_string());
            }
            _ => {}
        }
        Some(value)
    }

    /// What the page and the browser have complained about so far.
    pub fn complaints(&mut self) -> Vec<String> {
        self.run("1");
        std::mem::take(&mut self.complaints)
    }

    pub fn open(&mut self, address: &str) {
        self.ask("Page.navigate", json!({ "url": address }));
    }

    /// The value of an expression in the page; promises are waited for.
    pub fn run(&mut self, expression: &str) -> Value {
        let parameters = json!({
            "expression": expression,
            "awaitPromise": true,
            "returnByValue": true,
            "userGesture": true,
        });
        let answer = self.ask("Runtime.evaluate", parameters);
        let failed = &answer["exceptionDetails"];
        assert!(failed.is_null(), "{expression}: {failed}");
        answer["result"]["value"].clone()
    }

    /// Waits until an expression is true in whatever page is there by then.
    pub fn expect(&mut self, expression: &str, limit: Duration) {
        let mut last = Value::Null;
        let guarded = format!(
            "(() => {{ try {{ return Boolean({expression}); }} catch (e) {{ return String(e); }} }})()"
        );
        let is_true = wait_until(limit, || {
            last = self.run(&guarded);
            last == true
        });
        if !is_true {
            let text = self.run("document.body.innerText");
            let complaints = self.complaints();
            panic!("never true: {expression} ({last})\n{text}\n{complaints:#?}");
        }
    }

    /// Whether the visible text of the page holds these words.
    pub fn expect_text(&mut self, words: &str, limit: Duration) {
        self.expect(
            &format!("document.body.innerText.includes({})", json!(words)),
            limit,
        );
    }

    /// Presses what a selector finds first, once it is there and may be pressed.
    pub fn press(&mut self, selector: &str) {
        let found = format!("document.querySelector({})", json!(selector));
        self.expect(
            &format!("{found} && !{found}.disabled"),
            Duration::from_secs(20),
        );
        self.run(&format!("{found}.click()"));
    }

    /// Types into a field as a person does, then lets go of it.
    pub fn write(&mut self, selector: &str, text: &str) {
        let found = format!("document.querySelector({})", json!(selector));
        // What is hidden takes no words.
        let is_on_it = format!("({found}.focus(), document.activeElement === {found})");
        self.expect(&is_on_it, Duration::from_secs(20));
        self.ask("Input.insertText", json!({ "text": text }));
    }

    pub fn key(&mut self, key: &str, code: u32) {
        for kind in ["keyDown", "keyUp"] {
            let mut parameters = json!({ "type": kind, "key": key, "windowsVirtualKeyCode": code });
            if key == "Enter" && kind == "keyDown" {
                parameters["text"] = json!("\r");
            }
            self.ask("Input.dispatchKeyEvent", parameters);
        }
    }

    pub fn size(&mut self, width: u32, height: u32, is_dark: bool) {
        let parameters =
            json!({ "width": width, "height": height, "deviceScaleFactor": 1, "mobile": false });
        self.ask("Emulation.setDeviceMetricsOverride", parameters);
        let scheme = if is_dark { "dark" } else { "light" };
        let features = json!([{ "name": "prefers-color-scheme", "value": scheme }]);
        self.ask(
            "Emulation.setEmulatedMedia",
            json!({ "features": features }),
        );
    }

    /// PNG, in base 64.
    pub fn picture(&mut self) -> String {
        let shot = self.ask("Page.captureScreenshot", json!({ "format": "png" }));
        shot["data"].as_str().expect("a picture").to_owned()
    }
}
