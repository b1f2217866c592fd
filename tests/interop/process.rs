//! A child process whose output is kept, that is ended by its own pid and never outlives its test. And the folder it
//! works in.

use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

/// How often a condition is looked at again. Peers and program are other processes: there is nothing to await.
const LOOK_AGAIN: Duration = Duration::from_millis(20);

/// Looks at `condition` until it holds or `limit` has passed.
pub fn wait_until(limit: Duration, mut condition: impl FnMut() -> bool) -> bool {
    let end = Instant::now() + limit;
    loop {
        if condition() {
            return true;
        }
        if Instant::now() >= end {
            return false;
        }
        std::thread::sleep(LOOK_AGAIN);
    }
}

/// A folder of one test, removed when dropped.
pub struct Folder(PathBuf);

impl Folder {
    pub fn new(name: &str) -> Folder {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let number = COUNT.fetch_add(1, Ordering::Relaxed);
        let name = format!("offhook-interop-{}-{number}-{name}", std::process::id());
        let path = std::env::temp_dir().join(name);
        let _ = fs::remove_dir_all(&path);
        fs::create_dir_all(&path).expect("a temporary folder");
        Folder(path)
    }

    pub fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        // OFFHOOK_KEEP=1 leaves logs, databases and recordings for a look.
        if std::env::var_os("OFFHOOK_KEEP").is_none() {
            let _ = fs::remove_dir_all(&self.0);
        } else {
            eprintln!("kept: {}", self.0.display());
        }
    }
}

/// A running child and everything it has written so far.
pub struct Process {
    name: String,
    child: Child,
    input: Option<ChildStdin>,
    output: Arc<Mutex<String>>,
}

impl Process {
    /// Starts `command` with no stdin and both outputs collected.
    pub fn start(name: &str, command: &mut Command) -> Process {
        Process::start_with(name, command, Stdio::null())
    }

    /// The same for a program that is told what to do on its stdin.
    pub fn start_listening(name: &str, command: &mut Command) -> Process {
        Process::start_with(name, command, Stdio::piped())
    }

    fn start_with(name: &str, command: &mut Command, input: Stdio) -> Process {
        let mut child = command
            .stdin(input)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap_or_else(|error| panic!("{name} does not start: {error}"));
        let output = Arc::new(Mutex::new(String::new()));
        collect(child.stdout.take(), &output);
        collect(child.stderr.take(), &output);
        Process {
            name: name.to_owned(),
            input: child.stdin.take(),
            child,
            output,
        }
    }

    /// One line on its stdin.
    pub fn write_line(&mut self, line: &str) {
        let input = self.input.as_mut().expect("started with its stdin open");
        let written = writeln!(input, "{line}").and_then(|()| input.flush());
        assert!(
            written.is_ok(),
            "{} does not read\n{}",
            self.name,
            self.tail()
        );
    }

    pub fn output(&self) -> String {
        self.output
            .lock()
            .expect("no thread panics with the output")
            .clone()
    }

    /// Waits until the output holds `text`. Panics with the output's tail when it ends or time is up first.
    pub fn expect_output(&mut self, text: &str, limit: Duration) {
        let mut ended = None;
        let output = Arc::clone(&self.output);
        let child = &mut self.child;
        let found = wait_until(limit, || {
            if output
                .lock()
                .expect("no thread panics with the output")
                .contains(text)
            {
                return true;
            }
            ended = child.try_wait().ok().flatten();
            ended.is_some()
        });
        // What it wrote last may have come in after it ended.
        let found = found
            && (ended.is_none() || wait_until(LOOK_AGAIN * 5, || self.output().contains(text)));
        let end = ended
            .map(|status| format!(", it ended: {status}"))
            .unwrap_or_default();
        assert!(
            found,
            "{} never wrote {text:?}{end}\n{}",
            self.name,
            self.tail()
        );
    }

    pub fn is_running(&mut self) -> bool {
        matches!(self.child.try_wait(), Ok(None))
    }

    /// Sends a signal by its name, as a person would from another terminal.
    pub fn signal(&self, signal: &str) {
        let pid = self.child.id().to_string();
        let status = Command::new("kill")
            .args([&format!("-{signal}"), &pid])
            .status();
        assert!(
            status.is_ok_and(|status| status.success()),
            "kill -{signal} of {}",
            self.name
        );
    }

    /// Ends it and all it has started: it leads a group of its own (`process_group(0)`).
    pub fn kill_group(&self) {
        let group = format!("-{}", self.child.id());
        let _ = Command::new("kill").args(["-KILL", "--", &group]).status();
    }

    /// Waits for the end; `None` when it goes on running.
    pub fn wait_for_end(&mut self, limit: Duration) -> Option<ExitStatus> {
        let mut status = None;
        let child = &mut self.child;
        wait_until(limit, || {
            status = child.try_wait().ok().flatten();
            status.is_some()
        });
        status
    }

    /// The last lines of what it wrote, for a failure message.
    pub fn tail(&self) -> String {
        tail(&self.name, &self.output())
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("{}", self.tail());
        }
        // Kills this child by its pid; a no-op when it has ended.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

pub fn tail(name: &str, text: &str) -> String {
    const LINES: usize = 60;
    let lines: Vec<&str> = text.lines().collect();
    let from = lines.len().saturating_sub(LINES);
    format!(
        "---- {name}, last lines ----\n{}\n----",
        lines[from..].join("\n")
    )
}

fn collect(source: Option<impl Read + Send + 'static>, into: &Arc<Mutex<String>>) {
    let source = source.expect("the output is piped");
    let into = Arc::clone(into);
    std::thread::spawn(move || {
        let mut source = BufReader::new(source);
        let mut line = Vec::new();
        // Byte lines: a peer's log may hold what was on the wire.
        while source
            .read_until(b'\n', &mut line)
            .is_ok_and(|read| read > 0)
        {
            let text = String::from_utf8_lossy(&line).into_owned();
            into.lock()
                .expect("no thread panics with the output")
                .push_str(&text);
            line.clear();
        }
    });
}
