//! Linphone's console client as a softphone without a sound card: a wav file is its microphone, another one is recorded, its
//! stdin is the keypad, its stdout what it shows, and its log has every message it sent and got.
//!
//! What its version 5.1 wants: a home of its own with its folders made, a network card with an address, without which it
//! registers nowhere, and `soundcard use files` before the first call. It records on behind what is in the file.

use crate::baresip::{Setup, Transport, register_statuses};
use crate::offhook::{Account, Offhook, free_port};
use crate::process::{Folder, Process, tail, wait_until};
use crate::sound::Sound;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

/// It resamples to what is agreed upon.
const RATE_HZ: u32 = 16_000;
/// The line's own rate, and what the built-in ears are used to.
const HEARD_HZ: u32 = 8_000;
/// Where it keeps things.
const HOMES: [(&str, &str); 2] = [
    ("XDG_CONFIG_HOME", ".config"),
    ("XDG_DATA_HOME", ".local/share"),
];
const LIMIT: Duration = Duration::from_secs(20);

/// A running Linphone.
pub struct Linphone {
    folder: Folder,
    process: Process,
    /// What it had shown when it was last told to forget.
    seen: usize,
    recordings: u32,
}

impl Linphone {
    /// A phone whose account stands in its settings, registered when this returns. `more`: further sections of its settings.
    pub fn registered(offhook: &Offhook, setup: &Setup, more: &str) -> Linphone {
        let account = account(offhook, setup);
        let mut phone = Linphone::start(&format!("{account}{more}"), setup.says);
        phone.expect_registered(offhook);
        phone
    }

    /// The same, and takes calls by itself.
    pub fn answering(offhook: &Offhook, setup: &Setup, more: &str) -> Linphone {
        let mut phone = Linphone::registered(offhook, setup, more);
        phone.tell("autoanswer enable");
        phone
    }

    /// A phone with nothing but these settings. It writes into them what it is given from elsewhere.
    pub fn start(settings: &str, says: &[(u32, PathBuf)]) -> Linphone {
        let folder = Folder::new("linphone");
        let path = |name: &str| folder.path().join(name);
        Sound::microphone(RATE_HZ, says).write(&path("microphone.wav"));
        let rc = format!("{}{settings}", here());
        fs::write(path("linphonerc"), rc).expect("a writable folder");
        make_homes(folder.path());
        let process = start(folder.path());
        let mut phone = Linphone {
            process,
            seen: 0,
            recordings: 0,
            folder,
        };
        let microphone = phone.folder.path().join("microphone.wav");
        phone.tell("soundcard use files");
        phone.tell(&format!("play {}", microphone.display()));
        phone.record();
        phone
    }

    /// From here on into a new file.
    pub fn record(&mut self) {
        self.recordings += 1;
        let path = self.recording_path();
        self.tell(&format!("record {}", path.display()));
    }

    fn recording_path(&self) -> PathBuf {
        let name = format!("recording-{}.wav", self.recordings);
        self.folder.path().join(name)
    }

    pub fn expect_registered(&mut self, offhook: &Offhook) {
        let registered = wait_until(LIMIT, || self.register_statuses().contains(&200));
        assert!(registered, "{}\n{}", self.tail(), offhook.log_tail());
    }

    /// Every status its REGISTERs have got so far.
    pub fn register_statuses(&self) -> Vec<u16> {
        register_statuses(&self.trace())
    }

    /// One of the commands that `help` lists; digits alone are keys in a call.
    pub fn tell(&mut self, command: &str) {
        self.process.write_line(command);
    }

    pub fn dial(&mut self, number: &str) {
        self.tell(&format!("call {number}"));
    }

    /// Waits until it shows `text`; what it showed before `forget` does not count.
    pub fn shows(&mut self, text: &str, limit: Duration) -> bool {
        wait_until(limit, || {
            self.shown().contains(text) || !self.process.is_running()
        }) && self.shown().contains(text)
    }

    pub fn expect(&mut self, text: &str, offhook: &Offhook) {
        let is_shown = self.shows(text, LIMIT);
        assert!(
            is_shown,
            "never {text:?}\n{}\n{}",
            self.tail(),
            offhook.log_tail()
        );
    }

    pub fn expect_established(&mut self, offhook: &Offhook) {
        self.expect("Media streams established", offhook);
    }

    /// Lets the call go on; panics when it ends meanwhile.
    pub fn stay(&mut self, duration: Duration) {
        let ended = self.shows(" ended (", duration);
        assert!(!ended, "the call was ended early\n{}", self.tail());
    }

    /// What happened so far counts no more: for a second call.
    pub fn forget(&mut self) {
        self.seen = self.process.output().len();
    }

    fn shown(&self) -> String {
        self.process.output()[self.seen..].to_owned()
    }

    pub fn hang_up(&mut self) {
        if !self.shows(" ended (", Duration::ZERO) {
            self.tell("terminate");
            assert!(self.shows(" ended (", LIMIT), "{}", self.tail());
        }
    }

    /// Hangs up; the recording of the call, complete. It lives as long as the phone.
    pub fn recording(&mut self) -> PathBuf {
        self.hang_up();
        let path = self.recording_path();
        // Its size is written when the stream is closed.
        let has_size = || fs::metadata(&path).is_ok_and(|file| file.len() > 44);
        assert!(
            wait_until(LIMIT, has_size),
            "nothing was recorded\n{}",
            self.tail()
        );
        Sound::read(&path).at(HEARD_HZ).write(&path);
        path
    }

    /// Signs off and ends, and starts again with what it has kept.
    pub fn restart(&mut self) {
        self.quit();
        self.process = start(self.folder.path());
        self.seen = 0;
    }

    /// Signs off and ends.
    pub fn quit(&mut self) {
        self.tell("quit");
        let ended = self.process.wait_for_end(LIMIT);
        assert!(ended.is_some(), "linphonec does not quit\n{}", self.tail());
    }

    /// The texts it has shown, each with who wrote it: `sip:ben@127.0.0.1: hello`.
    pub fn texts(&self) -> Vec<String> {
        texts(&self.process.output())
    }

    /// Its log, with every message it sent and got.
    pub fn trace(&self) -> String {
        let log = fs::read(self.folder.path().join("log")).unwrap_or_default();
        String::from_utf8_lossy(&log).into_owned()
    }

    pub fn tail(&self) -> String {
        format!(
            "{}\n{}",
            self.process.tail(),
            tail("linphonec's log", &self.trace())
        )
    }
}

/// Somebody at a Linphone of their own writes to `number`, waits for the answer and reads it. All it sent and got, when it is
/// over.
pub fn write_and_read(offhook: &Offhook, setup: &Setup, number: &str, text: &str) -> String {
    let folder = Folder::new("linphone");
    let settings = folder.path().join("linphonerc");
    let rc = format!("{}{}", here(), account(offhook, setup));
    fs::write(&settings, rc).expect("a writable folder");
    make_homes(folder.path());
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/interop/linphone_reader.py");
    let mut command = Command::new("python3");
    command
        .arg(script)
        .arg(settings)
        .arg(format!("sip:{number}@127.0.0.1"))
        .arg(text);
    at_home(&mut command, folder.path());
    let mut process = Process::start("linphone_reader.py", &mut command);
    process.expect_output("linphone_reader.py is over", Duration::from_secs(60));
    process.output()
}

fn make_homes(folder: &Path) {
    for (_, name) in HOMES {
        fs::create_dir_all(folder.join(name).join("linphone")).expect("a writable folder");
    }
}

fn at_home(command: &mut Command, folder: &Path) {
    command
        .current_dir(folder)
        .envs(HOMES.map(|(variable, name)| (variable, folder.join(name))))
        .env("HOME", folder)
        .env("TERM", "dumb")
        .env_remove("DISPLAY");
}

fn start(folder: &Path) -> Process {
    let mut command = Command::new("linphonec");
    command
        .arg("-c")
        .arg(folder.join("linphonerc"))
        .args(["-d", "6", "-l"])
        .arg(folder.join("log"));
    at_home(&mut command, folder);
    let mut process = Process::start_listening("linphonec", &mut command);
    // The line before its prompt, which ends with none.
    process.expect_output("video is disabled", LIMIT);
    process
}

/// Its home is a folder, its network loopback, its ports whatever is free.
fn here() -> String {
    let (sip, rtp) = (free_port(), free_port() / 2 * 2);
    format!(
        "[sip]\nsip_port={sip}\nsip_tcp_port=-1\nsip_tls_port=-1\nbind_address=127.0.0.1\nuse_ipv6=0\n\
         guess_hostname=0\ncontact=sip:linphone@127.0.0.1\n\
         [rtp]\naudio_rtp_port={rtp}\nvideo_rtp_port=-1\nbind_address=127.0.0.1\n\
         [sound]\nechocancellation=0\n"
    )
}

/// An account as its settings have it, and as the page makes it: it finds its account by addresses without a port, so the
/// identity has none, and the route leads to the server.
fn account(offhook: &Offhook, setup: &Setup) -> String {
    let Account { user, password } = setup.account;
    let transport = setup.transport.name();
    // It knows no addresses in certificates, only names.
    let (host, port) = match setup.transport {
        Transport::Tls => ("localhost", offhook.tls.port()),
        _ => ("127.0.0.1", offhook.sip.port()),
    };
    let server = format!("<sip:{host}:{port};transport={transport}>");
    let certificate = offhook.home().join("tls-certificate.pem");
    format!(
        "[sip]\ndefault_proxy=0\nroot_ca={ca}\n\
         [proxy_0]\nreg_proxy={server}\nreg_route={server}\nreg_identity=sip:{user}@{host}\n\
         reg_expires=600\nreg_sendregister=1\npublish=0\n\
         [auth_info_0]\nusername={user}\npasswd={password}\nrealm=offhook\n",
        ca = certificate.display(),
    )
}

fn texts(shown: &str) -> Vec<String> {
    let lines = shown.lines();
    let texts = lines.filter_map(|line| line.split_once("Message received from "));
    texts.map(|(_, text)| text.trim_end().to_owned()).collect()
}

#[test]
fn texts_are_read_from_what_it_shows() {
    let shown = "linphonec> chat x\nMessage received from sip:100@127.0.0.1: 72.\nCall 1 ended (No error).\n";
    assert_eq!(texts(shown), ["sip:100@127.0.0.1: 72."]);
}
