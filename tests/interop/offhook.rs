//! The program under test: its binary with a home folder and ports of its own, started and stopped as a person would.

use crate::process::{Folder, Process, wait_until};
use crate::sound::{Sound, golden, words_in_order};
use std::fs;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::Mutex;
use std::time::Duration;

const BINARY: &str = env!("CARGO_BIN_EXE_offhook");
/// Loading the model and the voice on a busy machine with unoptimised code around them.
const START_LIMIT: Duration = Duration::from_secs(60);

/// Two recordings that are this like each other hold the same sound; see `Sound::likeness`.
const LIKE: f64 = 0.75;

/// A user and the clear password.
#[derive(Clone)]
pub struct Account {
    pub user: String,
    pub password: String,
}

/// One installation, running or not.
pub struct Offhook {
    folder: Folder,
    pub sip: SocketAddr,
    pub tls: SocketAddr,
    /// WebSocket, plain and encrypted.
    pub ws: SocketAddr,
    pub web: SocketAddr,
    process: Option<Process>,
    first_phone: Option<Account>,
}

/// A port nobody has now, over UDP and TCP, and that no other test gets, in this process or one beside it.
pub fn free_port() -> u16 {
    for _ in 0..100 {
        let udp = UdpSocket::bind("127.0.0.1:0").expect("a free UDP port");
        let port = udp.local_addr().expect("a bound socket").port();
        // The next one too: a phone takes it for TLS.
        let is_ours = || claim(port) && claim(port.wrapping_add(1));
        if TcpListener::bind(("127.0.0.1", port)).is_ok() && is_ours() {
            return port;
        }
    }
    panic!("no port is free over UDP and TCP");
}

/// The kernel likes to name a port again that was just let go. So each is marked by a locked file, until this process ends.
fn claim(port: u16) -> bool {
    static CLAIMS: Mutex<Vec<fs::File>> = Mutex::new(Vec::new());
    let folder = std::env::temp_dir().join("offhook-test-ports");
    fs::create_dir_all(&folder).expect("a writable temporary folder");
    let file = fs::File::create(folder.join(port.to_string())).expect("own file");
    let is_ours = file.try_lock().is_ok();
    CLAIMS.lock().expect("no panic").push(file);
    is_ours
}

impl Offhook {
    /// A fresh home with a config for loopback, started, listening.
    pub fn start(test: &str) -> Offhook {
        Offhook::start_with(test, "")
    }

    /// The same with more config: whole sections that the basic one does not have.
    pub fn start_with(test: &str, config: &str) -> Offhook {
        let mut offhook = Offhook::install(test, config);
        offhook.run();
        offhook
    }

    /// The same with more keys of `[sip]`.
    pub fn start_with_sip(test: &str, keys: &str) -> Offhook {
        let mut offhook = Offhook::install_with(test, keys, "");
        offhook.run();
        offhook
    }

    /// A fresh home, not running yet.
    pub fn install(test: &str, config: &str) -> Offhook {
        Offhook::install_with(test, "", config)
    }

    pub fn install_with(test: &str, sip_keys: &str, config: &str) -> Offhook {
        let folder = Folder::new(test);
        let (sip, web, rtp) = (free_port(), free_port(), free_port() / 2 * 2);
        let (tls, ws) = (free_port(), free_port());
        // Ports for calls wherever the kernel found one free: two tests never share a program.
        let (rtp_min, rtp_max) = if rtp > 65_000 {
            (rtp - 200, rtp)
        } else {
            (rtp, rtp + 199)
        };
        let bind = match sip_keys.contains("bind = ") {
            true => "",
            false => "bind = [\"127.0.0.1\"]\n",
        };
        let text = format!(
            "[sip]\nport = {sip}\ntls_port = {tls}\nws_port = {ws}\n{bind}{sip_keys}\n\
             [media]\nport_min = {rtp_min}\nport_max = {rtp_max}\n\n\
             [web]\nport = {web}\n\n\
             [asr]\nmodel = \"embedded\"\n\n\
             [models]\nauto_download = false\n\n\
             [log]\ntranscripts = true\n\n{config}"
        );
        fs::write(folder.path().join("offhook.toml"), text).expect("a writable home");
        make_private(folder.path());
        Offhook {
            folder,
            sip: SocketAddr::from(([127, 0, 0, 1], sip)),
            tls: SocketAddr::from(([127, 0, 0, 1], tls)),
            ws: SocketAddr::from(([127, 0, 0, 1], ws)),
            web: SocketAddr::from(([127, 0, 0, 1], web)),
            process: None,
            first_phone: None,
        }
    }

    fn command(&self) -> Command {
        let mut command = Command::new(BINARY);
        command
            .arg("--home")
            .arg(self.folder.path())
            .env("OFFLINE", "1")
            .env("NO_COLOR", "1")
            .env_remove("OFFHOOK_HOME")
            .current_dir(self.folder.path());
        command
    }

    /// `offhook run`, until it listens. On the first start the printed account is remembered.
    pub fn run(&mut self) {
        assert!(self.process.is_none(), "it runs already");
        let mut process = Process::start("offhook", self.command().arg("run"));
        // The banner comes when everything listens; its "Dial" row is the numbers.
        process.expect_output("  Dial ", START_LIMIT);
        let printed = process.output();
        if let (Some(user), Some(password)) = (row(&printed, "User"), row(&printed, "Password")) {
            self.first_phone = Some(Account { user, password });
        }
        self.process = Some(process);
        self.expect_answer_to_options();
    }

    pub fn home(&self) -> &Path {
        self.folder.path()
    }

    pub fn expect_answer_to_options(&self) {
        let answers = wait_until(Duration::from_secs(10), || self.answers_options());
        assert!(
            answers,
            "no answer to OPTIONS on {}\n{}",
            self.sip,
            self.log_tail()
        );
    }

    /// What the owner's programs send with each request.
    pub fn api_token(&self) -> String {
        let text = fs::read_to_string(self.home().join("secrets.toml")).expect("a secret store");
        let line = text
            .lines()
            .find_map(|line| line.strip_prefix("api_token = "));
        line.map(|value| value.trim_matches('"').to_owned())
            .expect("a token")
    }

    /// With anna, bert and carl, as `config` speaks of them.
    pub fn with_three(test: &str, config: &str) -> (Offhook, [Account; 3]) {
        let offhook = Offhook::start_with(test, config);
        let accounts = ["anna", "bert", "carl"]
            .map(|name| offhook.add_user(name, &format!("{name}-secret-1")));
        // Accounts are looked for once a second.
        let known = wait_until(Duration::from_secs(20), || {
            offhook.log().contains("users changed")
        });
        assert!(known, "{}", offhook.log_tail());
        (offhook, accounts)
    }

    /// One request to the API; status and body.
    pub fn http(&self, method: &str, path: &str, body: &str) -> (u16, String) {
        let token = self.api_token();
        self.http_with(
            method,
            path,
            &[("Authorization", &format!("Bearer {token}"))],
            body,
        )
    }

    pub fn http_with(
        &self,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: &str,
    ) -> (u16, String) {
        let (status, _, body) = self.http_whole(method, path, headers, body);
        (status, body)
    }

    /// The same with the answer's head instead of its body.
    pub fn http_head(
        &self,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: &str,
    ) -> (u16, String) {
        let (status, head, _) = self.http_whole(method, path, headers, body);
        (status, head)
    }

    fn http_whole(
        &self,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: &str,
    ) -> (u16, String, String) {
        let mut stream = TcpStream::connect(self.web).expect("a web server");
        stream
            .set_read_timeout(Some(Duration::from_secs(20)))
            .expect("a timeout can be set");
        let host = self.web;
        let mut request = format!(
            "{method} {path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\
             Content-Type: application/json\r\nContent-Length: {}\r\n",
            body.len()
        );
        for (name, value) in headers {
            request.push_str(&format!("{name}: {value}\r\n"));
        }
        stream
            .write_all(format!("{request}\r\n{body}").as_bytes())
            .expect("it reads");
        let mut answer = String::new();
        stream.read_to_string(&mut answer).expect("it answers");
        let status = answer.split(' ').nth(1).and_then(|word| word.parse().ok());
        let (head, body) = answer.split_once("\r\n\r\n").unwrap_or(("", ""));
        (status.expect("a status"), head.to_owned(), body.to_owned())
    }

    /// The account the program printed when it made it.
    pub fn first_phone(&self) -> Account {
        match &self.first_phone {
            Some(account) => account.clone(),
            None => panic!("no user and password were printed\n{}", self.log_tail()),
        }
    }

    /// `offhook user add NAME`, while it runs: the password goes in by stdin.
    pub fn add_user(&self, user: &str, password: &str) -> Account {
        let mut child = self
            .command()
            .args(["user", "add", user, "--password-stdin"])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("the program starts");
        let mut stdin = child.stdin.take().expect("stdin is piped");
        writeln!(stdin, "{password}").expect("it reads the password");
        drop(stdin);
        let output = child.wait_with_output().expect("it ends");
        assert!(output.status.success(), "user add: {}", text_of(&output));
        Account {
            user: user.to_owned(),
            password: password.to_owned(),
        }
    }

    /// Any other command of the program on the same home.
    pub fn call_command(&self, arguments: &[&str]) -> Output {
        self.command()
            .args(arguments)
            .stdin(Stdio::null())
            .output()
            .expect("the program starts")
    }

    /// `offhook ARGUMENTS`, which must go well; what it printed.
    pub fn command_output(&self, arguments: &[&str]) -> String {
        let output = self.command().args(arguments).output();
        let output = output.expect("the program starts");
        assert!(output.status.success(), "{}", text_of(&output));
        String::from_utf8_lossy(&output.stdout).into_owned()
    }

    /// What the program itself makes of a recording, in small letters.
    pub fn transcribe(&self, sound: &Path) -> String {
        let output = self.call_command(&["transcribe", &sound.to_string_lossy()]);
        assert!(output.status.success(), "transcribe: {}", text_of(&output));
        String::from_utf8_lossy(&output.stdout).to_lowercase()
    }

    /// A wav of the program's own voice.
    pub fn speak(&self, text: &str) -> PathBuf {
        let path = self.folder.path().join("spoken.wav");
        let output = self.call_command(&["speak", text, "-o", &path.to_string_lossy()]);
        assert!(output.status.success(), "speak: {}", text_of(&output));
        path
    }

    /// The golden clip that says `said` is in a recording: by its sound or, where pieces of it came late, by its words.
    pub fn expect_heard(&self, said: &str, recording: &Path, tail: &str) {
        let likeness = Sound::read(recording).likeness(&Sound::read(&golden(said)));
        if likeness < LIKE {
            let heard = self.transcribe(recording);
            assert!(
                words_in_order(said, &heard) >= 3,
                "{said:?} came out with likeness {likeness:.2} as {heard:?}\n{tail}\n{}",
                self.log_tail()
            );
        }
    }

    /// Our own voice says `text` in a recording: the same words spoken to a file sound like it. The built-in ears read
    /// that voice back too badly to tell.
    pub fn expect_spoken(&self, text: &str, recording: &Path, tail: &str) {
        let clip = Sound::read(&self.speak(text));
        let likeness = Sound::read(recording).likeness(&clip);
        assert!(
            likeness >= LIKE,
            "{text:?} came out with likeness {likeness:.2}\n{tail}\n{}",
            self.log_tail()
        );
    }

    /// Asks as a stranger, with a minimal OPTIONS over UDP, whether anybody listens.
    fn answers_options(&self) -> bool {
        let socket = UdpSocket::bind("127.0.0.1:0").expect("a free UDP port");
        let own = socket.local_addr().expect("a bound socket");
        let to = self.sip;
        let request = format!(
            "OPTIONS sip:{to} SIP/2.0\r\nVia: SIP/2.0/UDP {own};branch=z9hG4bKready{0};rport\r\n\
             From: <sip:ready@{own}>;tag={0}\r\nTo: <sip:{to}>\r\nCall-ID: ready-{0}\r\nCSeq: 1 OPTIONS\r\n\
             Max-Forwards: 70\r\nContent-Length: 0\r\n\r\n",
            own.port()
        );
        let mut answer = [0u8; 4096];
        socket
            .set_read_timeout(Some(Duration::from_millis(300)))
            .expect("a timeout can be set");
        socket.send_to(request.as_bytes(), to).is_ok()
            && socket
                .recv(&mut answer)
                .is_ok_and(|read| answer[..read].starts_with(b"SIP/2.0 200"))
    }

    fn process(&mut self) -> &mut Process {
        self.process.as_mut().expect("it runs")
    }

    pub fn expect_log(&mut self, text: &str, limit: Duration) {
        self.process().expect_output(text, limit);
    }

    /// Everything this run has printed so far, on both outputs.
    pub fn log(&self) -> String {
        self.process
            .as_ref()
            .map(Process::output)
            .unwrap_or_default()
    }

    pub fn log_tail(&self) -> String {
        self.process.as_ref().map(Process::tail).unwrap_or_default()
    }

    pub fn is_running(&mut self) -> bool {
        self.process().is_running()
    }

    /// Power cut: SIGKILL, nothing can be said or saved any more.
    pub fn kill(&mut self) {
        self.process().signal("KILL");
        self.process()
            .wait_for_end(Duration::from_secs(10))
            .expect("nobody survives SIGKILL");
        self.process = None;
    }

    pub fn signal(&mut self, signal: &str) {
        self.process().signal(signal);
    }

    /// After a signal that asks it to stop: it ends by itself, with success.
    pub fn expect_orderly_end(&mut self, limit: Duration) {
        let status = self.process().wait_for_end(limit);
        let log = self.log_tail();
        match status {
            Some(status) => assert!(status.success(), "it ended with {status}\n{log}"),
            None => panic!("it still runs\n{log}"),
        }
        self.process = None;
    }
}

/// The value in a row of the banner: `  User       phone1`.
fn row(banner: &str, name: &str) -> Option<String> {
    banner.lines().find_map(|line| {
        let mut words = line.split_whitespace();
        (line.starts_with("  ") && words.next() == Some(name))
            .then(|| words.next())?
            .map(str::to_owned)
    })
}

pub fn text_of(output: &Output) -> String {
    format!(
        "{}\n{}{}",
        output.status,
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    )
}

/// A secret's file, as the program wants it.
pub fn make_private_file(path: &Path) {
    use std::os::unix::fs::PermissionsExt;
    fs::set_permissions(path, fs::Permissions::from_mode(0o600)).expect("own file");
}

#[cfg(unix)]
fn make_private(path: &Path) {
    use std::os::unix::fs::PermissionsExt;
    fs::set_permissions(path, fs::Permissions::from_mode(0o700)).expect("own folder");
}
