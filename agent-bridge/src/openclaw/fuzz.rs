//! Bodies of the fuzz targets of the link: any bytes in, properties asserted. Plain functions, so that corpora replay in
//! the normal test run.
//! PURE.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use super::core::{Core, Input, Output};
use super::error::LinkError;
use super::identity::DeviceKey;
use super::link::{BACKOFF_MAX, LinkConfig};
use super::runs::{RESUME_MAX, RUNS_MAX};
use super::wire::{self, QueueMode};
use crate::approvals::{ApprovalId, ApprovalKind, Decision};

/// Any text as a frame.
pub fn frame(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    let _ = wire::parse(&text);
    if let Ok(value) = serde_json::from_str(&text) {
        let _ = wire::last_reply(&value);
        let _ = wire::approvals(&value, false);
        let _ = wire::approvals(&value, true);
    }
}

/// Frames that a gateway may send; `%` stands for the number of the latest request, `@` for a run.
const FRAMES: [&str; 16] = [
    r#"{"type":"event","event":"connect.challenge","payload":{"nonce":"n","ts":1}}"#,
    r#"{"type":"res","id":"%","ok":true,"payload":{"server":{"bootId":"b1"},"auth":{"scopes":["operator.read","operator.write","operator.approvals"]}}}"#,
    r#"{"type":"res","id":"%","ok":true,"payload":{"server":{"bootId":"b2"},"features":{"methods":["offhook.version","offhook.append"]},"auth":{"scopes":["operator.read","operator.write","operator.approvals"]}}}"#,
    r#"{"type":"res","id":"%","ok":true,"payload":{"status":"started"}}"#,
    r#"{"type":"res","id":"%","ok":true,"payload":{"status":"ok","messages":[{"role":"assistant","content":"late"}]}}"#,
    r#"{"type":"res","id":"%","ok":false,"error":{"code":"UNAVAILABLE","retryAfterMs":900}}"#,
    r#"{"type":"event","event":"chat","payload":{"runId":"@","sessionKey":"s1","state":"delta","deltaText":" more"}}"#,
    r#"{"type":"event","event":"chat","payload":{"runId":"@","sessionKey":"s1","state":"delta","deltaText":"other","replace":true}}"#,
    r#"{"type":"event","event":"chat","payload":{"runId":"@","sessionKey":"s1","state":"final","message":{"content":"whole"}}}"#,
    r#"{"type":"event","event":"chat","payload":{"runId":"@","sessionKey":"s1","state":"error","errorKind":"timeout"}}"#,
    r#"{"type":"event","event":"agent","payload":{"runId":"@","stream":"tool","data":{"phase":"start","name":"x","toolCallId":"c"}}}"#,
    r#"{"type":"event","event":"agent","payload":{"runId":"@","stream":"tool","data":{"phase":"result","name":"x","toolCallId":"c"}}}"#,
    r#"{"type":"event","event":"exec.approval.requested","payload":{"id":"@","request":{"command":"ls"}}}"#,
    r#"{"type":"event","event":"exec.approval.resolved","payload":{"id":"@","decision":"deny"}}"#,
    r#"{"type":"event","event":"tick","payload":{}}"#,
    r#"{"type":"#,
];

/// A gateway's behaviour from bytes, three for each step: what, which, and how much later. Whatever it does, each run
/// ends exactly once, nothing is told of it after that, and what can be sent can be read.
pub fn sequence(data: &[u8], base: Instant) {
    let Some(key) = DeviceKey::from_seed(&[1; 32]) else {
        return;
    };
    let config = LinkConfig {
        name: "fuzz".to_owned(),
        token: "t".to_owned(),
        device_token: String::new(),
        backoff_max: BACKOFF_MAX,
    };
    let mut world = World {
        core: Core::new(config, key, [2; 32], base),
        now: base,
        latest: 0,
        runs: BTreeMap::new(),
    };
    world.drain();
    for step in data.chunks_exact(3) {
        let later = world.now + Duration::from_millis(u64::from(step[2]).pow(2));
        world.pass(later);
        world.step(step[0], step[1]);
        world.drain();
    }
    // Left alone, everything under way ends.
    world.handle(Input::Closed(LinkError::Closed { code: 1006 }));
    for _ in 0..64 {
        let later = world.now + RESUME_MAX;
        world.pass(later);
        world.handle(Input::Closed(LinkError::Silent));
    }
    assert_eq!(world.core.runs_open(), 0);
    assert!(world.runs.values().all(|is_over| *is_over));
}

struct World {
    core: Core,
    now: Instant,
    /// The number of the latest request.
    latest: u64,
    /// Whether each run is over.
    runs: BTreeMap<String, bool>,
}

impl World {
    fn pass(&mut self, later: Instant) {
        for _ in 0..64 {
            let Some(due) = self.core.next_timeout().filter(|due| *due <= later) else {
                break;
            };
            self.now = self.now.max(due);
            self.handle(Input::Timeout);
            assert!(
                self.core.next_timeout().is_none_or(|due| due > self.now),
                "a timeout stays due"
            );
        }
        self.now = self.now.max(later);
    }

    fn step(&mut self, what: u8, which: u8) {
        let run = format!("r{}", which % 4);
        match what {
            0..=15 => self.handle(Input::Opened),
            16..=23 => self.handle(Input::Closed(LinkError::Closed { code: 1006 })),
            24..=27 => self.handle(Input::Wake),
            // Names of runs are new.
            28..=63 => {
                let run = format!("r{}", self.runs.len());
                if self.runs.len() < RUNS_MAX {
                    self.runs.insert(run.clone(), false);
                    let (session_key, message) = ("s1".to_owned(), "hello".to_owned());
                    let queue_mode = QueueMode::Interrupt;
                    self.handle(Input::Send {
                        run,
                        session_key,
                        message,
                        queue_mode,
                    });
                }
            }
            64..=75 => {
                if let Some(is_over) = self.runs.get_mut(&run) {
                    *is_over = true;
                }
                self.handle(match what {
                    64..=71 => Input::Abort { run },
                    _ => Input::Leave { run },
                });
            }
            76..=79 => self.handle(Input::Resolve {
                ticket: u64::from(which),
                id: ApprovalId(run),
                kind: ApprovalKind::Exec,
                decision: Decision::Deny,
            }),
            80..=83 => self.handle(Input::Follow {
                session_key: "s1".to_owned(),
            }),
            _ => {
                let id = self.latest.saturating_sub(u64::from(which >> 6));
                let frame = FRAMES[usize::from(what) % FRAMES.len()];
                let frame = frame.replace('%', &id.to_string()).replace('@', &run);
                self.handle(Input::Text(&frame));
            }
        }
    }

    fn handle(&mut self, input: Input<'_>) {
        self.core.handle(self.now, input);
        self.drain();
    }

    fn drain(&mut self) {
        let mut count = 0;
        while let Some(output) = self.core.poll_output() {
            count += 1;
            assert!(count < 4_096, "outputs without end");
            match output {
                Output::Write(text) => {
                    let frame: serde_json::Value = serde_json::from_str(&text).unwrap_or_default();
                    let id = frame["id"].as_str().and_then(|id| id.parse().ok());
                    assert!(
                        id.is_some_and(|id| id > self.latest),
                        "requests are numbered"
                    );
                    self.latest = id.unwrap_or_default();
                }
                Output::Run { run, event } => {
                    let is_over = self.runs.get_mut(&run);
                    assert!(
                        is_over.as_ref().is_some_and(|is_over| !**is_over),
                        "told of a run that is over"
                    );
                    let is_last = event.is_last();
                    if let Some(is_over) = is_over {
                        *is_over = is_last;
                    }
                }
                _ => {}
            }
        }
    }
}

#[cfg(test)]
#[path = "fuzz_tests.rs"]
mod tests;
