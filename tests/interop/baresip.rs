//! baresip as a softphone without a sound card: a wav file is its microphone, a null device its loudspeaker, what it
//! decodes is written to a wav file, and its JSON control port (netstrings over TCP) is the hand on the keypad.
//!
//! What its version 1.0.0 wants: the microphone file at exactly the configured rate and longer than the call (at its end
//! it hangs up), the interface named by address, and a loudspeaker from another module (aufile has none yet).

use crate::offhook::{Account, Offhook, free_port};
use crate::process::{Folder, Process, wait_until};
use crate::sound::{MICROPHONE_TAIL_MS, Sound};
use serde_json::{Value, json};
use std::fs;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

/// The line's own rate: baresip 1.0.0 would resample without a filter worth the name.
const RATE_HZ: u32 = 8_000;
const KEY_TO_KEY: Duration = Duration::from_millis(400);
/// A breath before what is said.
const BEFORE_CLIP_MS: u32 = 200;

#[derive(Clone, Copy, PartialEq)]
pub enum Transport {
    Udp,
    Tcp,
    Tls,
}

impl Transport {
    pub fn name(self) -> &'static str {
        match self {
            Transport::Udp => "udp",
            Transport::Tcp => "tcp",
            Transport::Tls => "tls",
        }
    }
}

/// How a phone is set up.
pub struct Setup<'a> {
    pub account: &'a Account,
    pub transport: Transport,
    /// What the person says: wavs, each with the silence before it in ms.
    pub says: &'a [(u32, PathBuf)],
    /// Through an outbound proxy, as many phones are set up: a Route header names the server in each request.
    pub outbound: bool,
}

impl Setup<'_> {
    /// A person who says nothing.
    pub fn silent(account: &Account, transport: Transport, outbound: bool) -> Setup<'_> {
        Setup {
            account,
            transport,
            says: &[],
            outbound,
        }
    }

    /// A person over UDP who says these.
    pub fn saying<'a>(account: &'a Account, says: &'a [(u32, PathBuf)]) -> Setup<'a> {
        Setup {
            account,
            transport: Transport::Udp,
            says,
            outbound: false,
        }
    }
}

/// A running baresip.
pub struct Phone {
    folder: Folder,
    process: Process,
    control: TcpStream,
    received: Vec<u8>,
    events: Vec<Value>,
    server: SocketAddr,
    /// What was said by `say`.
    clips: u32,
}

impl Phone {
    pub fn start(server: SocketAddr, setup: &Setup) -> Phone {
        Phone::start_with(server, setup, "")
    }

    /// A phone that is registered and writes to the first of these numbers.
    pub fn writing(offhook: &Offhook, setup: &Setup, numbers: &[&str]) -> Phone {
        let server = offhook.sip;
        let entry = |number: &&str| format!("\"{number}\" <sip:{number}@{server}>\n");
        let contacts: String = numbers.iter().map(entry).collect();
        let mut phone = Phone::start_all(server, setup, "", &contacts);
        phone.expect_registered(offhook);
        phone
    }

    /// A phone that is registered, and takes calls by itself.
    pub fn answering(offhook: &Offhook, setup: &Setup) -> Phone {
        let mut phone = Phone::start_with(offhook.sip, setup, ";answermode=auto");
        phone.expect_registered(offhook);
        phone
    }

    /// The same with account parameters of its own, such as `;mediaenc=srtp`; `answers`: takes calls by itself.
    pub fn special(offhook: &Offhook, setup: &Setup, more: &str, answers: bool) -> Phone {
        let mode = if answers { ";answermode=auto" } else { "" };
        let mut phone = Phone::start_with(offhook.sip, setup, &format!("{more}{mode}"));
        phone.expect_registered(offhook);
        phone
    }

    /// `more` stands behind the account.
    fn start_with(server: SocketAddr, setup: &Setup, more: &str) -> Phone {
        Phone::start_all(server, setup, more, "")
    }

    fn start_all(server: SocketAddr, setup: &Setup, more: &str, contacts: &str) -> Phone {
        let folder = Folder::new("baresip");
        let (sip, control, rtp) = (free_port(), free_port(), free_port());
        let rtp = rtp.min(65_000) / 2 * 2;
        let microphone = folder.path().join("microphone.wav");
        Sound::microphone(RATE_HZ, setup.says).write(&microphone);

        let config = config(server, sip, control, rtp, folder.path(), &microphone);
        // What an account asks for is loaded for it; the rest of the phones stay plain ones.
        let wanted = [
            ("mediaenc=srtp", "srtp"),
            ("mediaenc=dtls_srtp", "dtls_srtp"),
            ("opus", "opus"),
            ("G722", "g722"),
        ];
        let modules = wanted.iter().filter(|(word, _)| more.contains(word));
        let modules: String = modules
            .map(|(_, module)| format!("module {module}.so\n"))
            .collect();
        let book = match contacts.is_empty() {
            true => "",
            false => "module_app contact.so\n",
        };
        fs::write(folder.path().join("config"), config + &modules + book)
            .expect("a writable folder");
        fs::write(folder.path().join("accounts"), account(server, setup, more))
            .expect("a writable folder");
        fs::write(folder.path().join("contacts"), contacts).expect("a writable folder");

        let mut command = Command::new("baresip");
        command
            .args([if server.is_ipv4() { "-4" } else { "-6" }, "-s", "-v", "-f"])
            .arg(folder.path())
            .env("HOME", folder.path());
        let mut process = Process::start("baresip", &mut command);
        let mut stream = None;
        let opened = wait_until(Duration::from_secs(10), || {
            stream = TcpStream::connect(("127.0.0.1", control)).ok();
            stream.is_some() || !process.is_running()
        });
        let Some(control) = stream.filter(|_| opened) else {
            panic!("baresip did not open its control port\n{}", process.tail());
        };
        control
            .set_read_timeout(Some(Duration::from_millis(20)))
            .expect("a timeout can be set");
        let (received, events) = (Vec::new(), Vec::new());
        Phone {
            folder,
            process,
            control,
            received,
            events,
            server,
            clips: 0,
        }
    }

    /// A phone that is registered when this returns.
    pub fn registered(offhook: &Offhook, setup: &Setup) -> Phone {
        let server = match setup.transport {
            Transport::Tls => offhook.tls,
            _ => offhook.sip,
        };
        Phone::registered_at(server, offhook, setup)
    }

    /// The same at another of the server's addresses.
    pub fn registered_at(server: SocketAddr, offhook: &Offhook, setup: &Setup) -> Phone {
        let mut phone = Phone::start(server, setup);
        phone.expect_registered(offhook);
        phone
    }

    fn expect_registered(&mut self, offhook: &Offhook) {
        let outcome = self.registration(Duration::from_secs(20));
        assert_eq!(
            outcome,
            Some(200),
            "registration\n{}\n{}",
            self.process.tail(),
            offhook.log_tail()
        );
    }

    /// The status that ended the first registration attempt. Its event may pass before the control port can be read, so
    /// the SIP trace in the log counts: the last answer to a REGISTER that is no challenge.
    pub fn registration(&mut self, limit: Duration) -> Option<u16> {
        let mut status = None;
        wait_until(limit, || {
            self.read_events();
            let log = self.process.output();
            let failed = self.has("REGISTER_FAIL") || log.contains("reg: sip:");
            let last = register_statuses(&log).into_iter().last();
            status = last.filter(|&last| failed || last == 200);
            status.is_some()
        });
        status
    }

    /// Every status its REGISTERs have got so far.
    pub fn register_statuses(&self) -> Vec<u16> {
        register_statuses(&self.process.output())
    }

    pub fn dial(&mut self, number: &str) {
        // baresip adds the account's transport by itself.
        let uri = format!("sip:{number}@{}", self.server);
        self.command("dial", &uri);
    }

    pub fn hang_up(&mut self) {
        self.command("hangup", "");
    }

    /// Takes the call that rings.
    pub fn answer(&mut self) {
        self.command("accept", "");
    }

    /// Any other command of its menu.
    pub fn tell(&mut self, command: &str, parameters: &str) {
        self.command(command, parameters);
    }

    fn command(&mut self, command: &str, parameters: &str) {
        let text = json!({ "command": command, "params": parameters, "token": "test" }).to_string();
        let framed = format!("{}:{text},", text.len());
        self.control
            .write_all(framed.as_bytes())
            .expect("baresip takes commands");
    }

    /// Waits for one of `kinds` and returns it; `None` when none came.
    pub fn wait_for(&mut self, kinds: &[&str], limit: Duration) -> Option<String> {
        let mut found = None;
        wait_until(limit, || {
            self.read_events();
            found = kinds
                .iter()
                .find(|kind| self.has(kind))
                .map(|kind| (*kind).to_owned());
            found.is_some()
        });
        found
    }

    /// Waits until the call is up.
    pub fn expect_established(&mut self, offhook: &Offhook) {
        let event = self.wait_for(
            &["CALL_ESTABLISHED", "CALL_CLOSED"],
            Duration::from_secs(30),
        );
        assert_eq!(
            event.as_deref(),
            Some("CALL_ESTABLISHED"),
            "{:?}\n{}\n{}",
            self.events,
            self.process.tail(),
            offhook.log_tail()
        );
    }

    /// Lets the call go on for `duration`; panics when the other side ends it.
    pub fn stay(&mut self, duration: Duration) {
        let ended = self.wait_for(&["CALL_CLOSED"], duration);
        assert_eq!(
            ended,
            None,
            "the call was ended early\n{}",
            self.process.tail()
        );
    }

    /// Hangs up, and ends the phone so that its recording is complete. The recording's path lives as long as the phone.
    pub fn recording(&mut self) -> PathBuf {
        if !self.has("CALL_CLOSED") {
            self.hang_up();
            self.wait_for(&["CALL_CLOSED"], Duration::from_secs(10));
        }
        self.command("quit", "");
        let ended = self.process.wait_for_end(Duration::from_secs(10));
        assert!(
            ended.is_some(),
            "baresip does not quit\n{}",
            self.process.tail()
        );
        self.recordings()
            .pop()
            .unwrap_or_else(|| panic!("nothing was recorded\n{}", self.process.tail()))
    }

    /// What happened so far counts no more: for a second call.
    pub fn forget(&mut self) {
        self.read_events();
        self.events.clear();
    }

    /// The texts it has got, each with who wrote it: `sip:ben@127.0.0.1: hello`. A repeated packet is the same text to it,
    /// another request is another one, so requests count by their branch.
    pub fn texts(&self) -> Vec<String> {
        let log = self.process.output().replace('\r', "");
        let to_it = format!("UDP {} -> ", self.server);
        let mut branches = Vec::new();
        let mut texts = Vec::new();
        for packet in log.split(&to_it).skip(1) {
            let Some((head, body)) = packet.split_once("\n\n") else {
                continue;
            };
            let value = |name: &str| head.lines().find_map(|line| line.strip_prefix(name));
            let is_text = head
                .lines()
                .nth(1)
                .is_some_and(|line| line.starts_with("MESSAGE "));
            let branch = value("Via: ").unwrap_or_default().to_owned();
            if !is_text || branches.contains(&branch) {
                continue;
            }
            branches.push(branch);
            let from = value("From: ").and_then(|from| from.split(['<', '>']).nth(1));
            // The trace colours what it writes.
            let words = body.split('\u{1b}').next().unwrap_or_default();
            texts.push(format!("{}: {words}", from.unwrap_or_default()));
        }
        texts
    }

    /// Packets of sound in its last call, sent and received, by its own count, which it writes when the call is over.
    pub fn packets(&self) -> (u32, u32) {
        let count = || packets(&self.process.output());
        wait_until(Duration::from_secs(10), || count().is_some());
        count().unwrap_or_default()
    }

    /// One key after the other, as a hand presses them.
    pub fn press(&mut self, keys: &str) {
        for key in keys.chars() {
            self.command("sndcode", &key.to_string());
            // A second one at once would take the place of the first.
            self.stay(KEY_TO_KEY);
        }
    }

    /// The person says this now, and nothing after it.
    pub fn say(&mut self, clip: Sound) {
        self.clips += 1;
        let name = format!("said-{}.wav", self.clips);
        let path = self.folder.path().join(name);
        Sound::silence(RATE_HZ, BEFORE_CLIP_MS)
            .then(&clip.at(RATE_HZ))
            .then(&Sound::silence(RATE_HZ, MICROPHONE_TAIL_MS))
            .write(&path);
        self.command("ausrc", &format!("aufile,{}", path.display()));
    }

    /// What has been heard in the call so far.
    pub fn heard_so_far(&self) -> Sound {
        let recording = self.recordings().pop();
        let path = recording.unwrap_or_else(|| panic!("nothing is recorded\n{}", self.tail()));
        Sound::read(&path)
    }

    /// The oldest first.
    fn recordings(&self) -> Vec<PathBuf> {
        let mut recordings: Vec<PathBuf> = fs::read_dir(self.folder.path())
            .expect("own folder")
            .filter_map(|entry| entry.ok().map(|entry| entry.path()))
            .filter(|path| path.to_string_lossy().ends_with("-dec.wav"))
            .collect();
        recordings.sort();
        recordings
    }

    /// Everything it has written, with every message it sent and got.
    pub fn trace(&self) -> String {
        self.process.output()
    }

    pub fn tail(&self) -> String {
        self.process.tail()
    }

    fn has(&self, kind: &str) -> bool {
        self.events.iter().any(|event| event["type"] == kind)
    }

    fn read_events(&mut self) {
        let mut block = [0u8; 4096];
        match self.control.read(&mut block) {
            Ok(read) => self.received.extend_from_slice(&block[..read]),
            Err(_) => return, // Nothing came within the read timeout.
        }
        while let Some(text) = next_netstring(&mut self.received) {
            if let Ok(event) = serde_json::from_slice(&text) {
                self.events.push(event);
            }
        }
    }
}

/// Of the last table of an audio stream: `packets:` has what was sent and what came.
fn packets(log: &str) -> Option<(u32, u32)> {
    let mut lines = log.lines().rev();
    let mut counted = None;
    lines.find(|line| {
        let mut words = line.split_whitespace();
        match words.next() {
            Some("packets:") => {
                let mut count = || words.next()?.parse().ok();
                counted = count().zip(count());
                false
            }
            // Columns of the table's head.
            Some("audio") => words.eq(["Transmit:", "Receive:"]),
            _ => false,
        }
    })?;
    counted
}

/// Takes `5:hello,` off the front, when all of it is there.
fn next_netstring(buffer: &mut Vec<u8>) -> Option<Vec<u8>> {
    let colon = buffer.iter().position(|&byte| byte == b':')?;
    let length: usize = std::str::from_utf8(&buffer[..colon]).ok()?.parse().ok()?;
    let end = colon + 1 + length;
    (buffer.len() > end).then(|| {
        let text = buffer[colon + 1..end].to_vec();
        buffer.drain(..=end);
        text
    })
}

/// Status codes of answers to REGISTER in a SIP trace: each answer's status line, then its CSeq line.
pub fn register_statuses(trace: &str) -> Vec<u16> {
    let mut statuses = Vec::new();
    let mut status = None;
    for line in trace.lines() {
        if let Some(found) = line.split("SIP/2.0 ").nth(1) {
            status = found.get(..3).and_then(|code| code.parse().ok()).or(status);
        }
        let is_cseq = line.to_ascii_lowercase().starts_with("cseq:");
        if is_cseq && let Some(code) = status.take().filter(|_| line.contains("REGISTER")) {
            statuses.push(code);
        }
    }
    statuses
}

fn account(server: SocketAddr, setup: &Setup, more: &str) -> String {
    let transport = setup.transport.name();
    let Account { user, password } = setup.account;
    let outbound = if setup.outbound {
        format!(";outbound=\"sip:{server};transport={transport}\"")
    } else {
        String::new()
    };
    format!(
        "<sip:{user}@{server};transport={transport}>;auth_user={user};auth_pass={password}{outbound};regint=300{more}\n"
    )
}

fn config(
    server: SocketAddr,
    sip: u16,
    control: u16,
    rtp: u16,
    folder: &Path,
    microphone: &Path,
) -> String {
    // The phone lives on the server's address: loopback, of either family.
    let own = server.ip();
    let listen = SocketAddr::new(own, sip);
    format!(
        "poll_method epoll\n\
         sip_listen {listen}\n\
         net_interface {own}\n\
         call_local_timeout 60\n\
         audio_source aufile,{microphone}\n\
         audio_player aubridge,null\n\
         audio_alert aubridge,alert\n\
         ausrc_srate {RATE_HZ}\n\
         ausrc_channels 1\n\
         auplay_srate {RATE_HZ}\n\
         auplay_channels 1\n\
         audio_txmode thread\n\
         rtp_ports {rtp}-{rtp_end}\n\
         rtp_stats yes\n\
         module_path {modules}\n\
         module g711.so\n\
         module sndfile.so\n\
         module aubridge.so\n\
         module aufile.so\n\
         module_tmp account.so\n\
         module_app menu.so\n\
         module_app ctrl_tcp.so\n\
         ctrl_tcp_listen 127.0.0.1:{control}\n\
         snd_path {folder}\n",
        microphone = microphone.display(),
        rtp_end = rtp + 199,
        modules = modules().display(),
        folder = folder.display(),
    )
}

/// Debian puts the modules into one place, multiarch distributions into another.
fn modules() -> PathBuf {
    const PLACES: [&str; 4] = [
        "/usr/lib/baresip/modules",
        "/usr/lib/x86_64-linux-gnu/baresip/modules",
        "/usr/lib/aarch64-linux-gnu/baresip/modules",
        "/usr/local/lib/baresip/modules",
    ];
    let found = PLACES
        .iter()
        .map(PathBuf::from)
        .find(|place| place.is_dir());
    found.expect("baresip's modules are installed")
}

#[test]
fn netstrings_are_taken_whole() {
    let mut buffer = b"5:hello,3:ab".to_vec();
    assert_eq!(next_netstring(&mut buffer).as_deref(), Some(&b"hello"[..]));
    assert_eq!(next_netstring(&mut buffer), None);
    buffer.extend_from_slice(b"c,");
    assert_eq!(next_netstring(&mut buffer).as_deref(), Some(&b"abc"[..]));
    assert!(buffer.is_empty());
}

#[test]
fn statuses_of_register_are_read_from_a_trace() {
    let trace = "SIP/2.0 401 Unauthorized\r\nVia: x\r\nCSeq: 1 REGISTER\r\n\r\nSIP/2.0 200 OK\r\n\
                 CSeq: 2 INVITE\r\n\r\nSIP/2.0 200 OK\r\nCSEQ: 2 REGISTER\r\n";
    assert_eq!(register_statuses(trace), [401, 200]);
}

#[test]
fn packets_are_read_from_the_last_table() {
    let table = |received: u32| {
        format!(
            "\naudio           Transmit:     Receive:\npackets:            900      {received:7}\nerrors:     0   0\n"
        )
    };
    let log = format!("{}call\n{}closed\n", table(7), table(431));
    assert_eq!(packets(&log), Some((900, 431)));
    assert_eq!(packets("packets: 1 2\nno table"), None);
    assert_eq!(packets(""), None);
}
