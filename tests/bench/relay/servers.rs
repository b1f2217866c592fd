//! The relays that are measured, each a process of its own: ours (this program again, as `serve`) and rtpengine.

use std::io::{BufRead, BufReader, Write};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::Path;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::time::Duration;

use offhook::ports::Ports;
use offhook::relay::{RelayConfig, RelayPeer, RelayPool, Side};

use crate::ng::Ng;

const LOCALHOST: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);

/// What a process has used so far.
#[derive(Debug, Clone, Copy, Default)]
pub struct Usage {
    pub cpu_s: f64,
    pub resident_kib: f64,
}

/// A relay on loopback.
pub trait Server {
    fn name(&self) -> &'static str;
    /// Sets up a call between two local ports; the ports of the relay that they are to send to.
    fn call(&mut self, local: [u16; 2]) -> [u16; 2];
    /// Ends all calls.
    fn clear(&mut self);
    fn usage(&self) -> Usage;
}

/// Packets straight from sender to receiver.
pub struct Nothing;

impl Server for Nothing {
    fn name(&self) -> &'static str {
        "no relay"
    }

    fn call(&mut self, local: [u16; 2]) -> [u16; 2] {
        [local[1], local[0]]
    }

    fn clear(&mut self) {}

    fn usage(&self) -> Usage {
        Usage::default()
    }
}

fn usage(pid: u32) -> Usage {
    let mut usage = Usage::default();
    // Nanoseconds on a processor, of each thread: finer than the ticks of /proc/PID/stat.
    for task in std::fs::read_dir(format!("/proc/{pid}/task"))
        .into_iter()
        .flatten()
        .flatten()
    {
        let text = std::fs::read_to_string(task.path().join("schedstat")).unwrap_or_default();
        let nanoseconds = text
            .split(' ')
            .next()
            .and_then(|word| word.parse::<f64>().ok());
        usage.cpu_s += nanoseconds.unwrap_or(0.0) / 1e9;
    }
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    let resident = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let words = resident.and_then(|line| line.split_whitespace().next());
    usage.resident_kib = words.and_then(|word| word.parse().ok()).unwrap_or(0.0);
    usage
}

/// Our relay, driven over its standard input.
pub struct Ours {
    child: Child,
    to: ChildStdin,
    from: BufReader<ChildStdout>,
}

/// A program, on one processor alone where `cpu` says so.
fn command(program: &Path, cpu: Option<usize>) -> Command {
    match cpu {
        None => Command::new(program),
        Some(cpu) => {
            let mut command = Command::new("taskset");
            command.args(["-c", &cpu.to_string()]).arg(program);
            command
        }
    }
}

impl Ours {
    pub fn start(threads: usize, interval_us: u64, cpu: Option<usize>) -> Ours {
        let program = std::env::current_exe().expect("the path of this program");
        let mut child = command(&program, cpu)
            .args(["serve", &threads.to_string(), &interval_us.to_string()])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("this program again");
        let to = child.stdin.take().expect("its input");
        let from = BufReader::new(child.stdout.take().expect("its output"));
        Ours { child, to, from }
    }

    fn ask(&mut self, question: &str) -> String {
        writeln!(self.to, "{question}").expect("our relay listens");
        let mut answer = String::new();
        self.from.read_line(&mut answer).expect("our relay answers");
        answer
    }
}

impl Server for Ours {
    fn name(&self) -> &'static str {
        "offhook"
    }

    fn call(&mut self, local: [u16; 2]) -> [u16; 2] {
        let answer = self.ask(&format!("{} {}", local[0], local[1]));
        let mut ports = answer
            .split_whitespace()
            .filter_map(|word| word.parse().ok());
        [(); 2].map(|()| ports.next().expect("two ports"))
    }

    fn clear(&mut self) {
        self.ask("clear");
    }

    fn usage(&self) -> Usage {
        usage(self.child.id())
    }
}

impl Drop for Ours {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The child's side: a pool, a line per call.
pub fn serve() {
    let mut words = std::env::args()
        .skip(2)
        .filter_map(|word| word.parse::<u64>().ok());
    let config = RelayConfig {
        threads: words.next().unwrap_or(0) as usize,
        interval: Duration::from_micros(words.next().unwrap_or(250)),
        ..RelayConfig::default()
    };
    let ports = Ports::new(35_000, 59_999, 1).with_rest(Duration::from_secs(1));
    let pool = RelayPool::start(config, ports).expect("relay threads");
    let mut calls = Vec::new();
    for line in std::io::stdin().lines() {
        let line = line.expect("a line");
        let local: Vec<u16> = line
            .split(' ')
            .filter_map(|word| word.parse().ok())
            .collect();
        let [a, b] = local[..] else {
            calls.clear();
            println!("ok");
            continue;
        };
        let handle = pool.open([LOCALHOST; 2], 1).expect("free ports");
        for (side, port) in [(Side::A, a), (Side::B, b)] {
            let peer = RelayPeer {
                remote_rtp: Some(SocketAddr::new(LOCALHOST, port)),
                ..RelayPeer::default()
            };
            handle.connect(side, 0, peer);
        }
        println!("{} {}", handle.ports(Side::A)[0], handle.ports(Side::B)[0]);
        calls.push(handle);
    }
}

/// rtpengine without its kernel module.
pub struct Rtpengine {
    child: Child,
    ng: Ng,
    calls: Vec<String>,
}

impl Rtpengine {
    pub fn start(threads: usize, cpu: Option<usize>) -> Result<Rtpengine, String> {
        let port = 22_299;
        let threads = match threads {
            0 => std::thread::available_parallelism().map_or(1, usize::from),
            threads => threads,
        };
        let mut child = command(Path::new("rtpengine"), cpu)
            .args([
                "--config-file=none",
                "--foreground",
                "--log-stderr",
                "--log-level=2",
                "--table=-1",
            ])
            .args([
                "--interface=127.0.0.1",
                "--port-min=10000",
                "--port-max=34999",
                "--tos=184",
            ])
            .args(["--delete-delay=0", "--timeout=600"])
            .arg(format!("--listen-ng=127.0.0.1:{port}"))
            .arg(format!("--num-threads={threads}"))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .map_err(|error| error.to_string())?;
        match Ng::connect(port) {
            Ok(ng) => Ok(Rtpengine {
                child,
                ng,
                calls: Vec::new(),
            }),
            Err(why) => {
                let _ = child.kill();
                let _ = child.wait();
                Err(why)
            }
        }
    }
}

impl Server for Rtpengine {
    fn name(&self) -> &'static str {
        "rtpengine"
    }

    fn call(&mut self, local: [u16; 2]) -> [u16; 2] {
        let id = format!("call-{}-{}", std::process::id(), self.ng.number());
        let to_b = self.ng.offer(&id, local[0]);
        let to_a = self.ng.answer(&id, local[1]);
        self.calls.push(id);
        [to_a, to_b]
    }

    fn clear(&mut self) {
        for id in std::mem::take(&mut self.calls) {
            self.ng.delete(&id);
        }
    }

    fn usage(&self) -> Usage {
        usage(self.child.id())
    }
}

impl Drop for Rtpengine {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
