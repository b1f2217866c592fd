//! All that a client of one gateway decides: the link and what goes over it. Owns how runs live through a lost link, and
//! how approvals are told; the link itself is `link`'s, texts are `runs`'s.
//! PURE.
//!
//! A message is sent again with its own key after a lost link: the gateway knows it, and answers that it is at work or
//! done. So is, once, a message that it could not take just then. After a restart of the gateway only a message of which
//! nothing was seen is sent again. What the gateway makes of the others comes as news.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::time::{Duration, Instant};

use serde_json::Value;

use super::companion::{self, Append, Companion};
use super::error::LinkError;
use super::identity::DeviceKey;
use super::link::{Hello, Link, LinkConfig, LinkInput, LinkOutput, LinkState, Tag};
use super::runs::{RunEvent, Runs};
use super::wire::{self, Approval, Incoming, QueueMode};
use crate::approvals::{ApprovalEvent, ApprovalId, ApprovalKind, ApprovalRequest, Decision};
use crate::gateways::GatewayError;

/// Aborts that wait for the link; the oldest is forgotten, and its run goes on unheard.
const ABORTS_MAX: usize = 64;
/// Approvals that are known to wait. More are not told.
const APPROVALS_MAX: usize = 64;
/// Messages read to find a reply whose end was missed.
const HISTORY_LIMIT: u32 = 6;
/// Where the gateway does not say how long it waits for a decision.
const APPROVAL_TIME: Duration = Duration::from_secs(120);

#[derive(Debug)]
pub enum Input<'a> {
    Opened,
    Text(&'a str),
    Closed(LinkError),
    Wake,
    Timeout,
    Send {
        run: String,
        session_key: String,
        message: String,
        queue_mode: QueueMode,
    },
    /// Nobody wants the reply any more.
    Abort {
        run: String,
    },
    /// Nobody waits for the reply any more, and it goes on.
    Leave {
        run: String,
    },
    Resolve {
        ticket: u64,
        id: ApprovalId,
        kind: ApprovalKind,
        decision: Decision,
    },
    /// Rows for a transcript, by our plugin there.
    Append {
        ticket: u64,
        rows: Append,
    },
    /// Somebody wants to know of late results in this conversation.
    Follow {
        session_key: String,
    },
    Unfollow {
        session_key: String,
    },
}

#[derive(Debug, PartialEq)]
pub enum Output {
    Dial,
    HangUp,
    Write(String),
    State(LinkState),
    KeepDeviceToken(String),
    Run {
        run: String,
        event: RunEvent,
    },
    Resolved {
        ticket: u64,
        result: Result<(), LinkError>,
    },
    Appended {
        ticket: u64,
        result: Result<(), LinkError>,
    },
    Approval(ApprovalEvent),
    News {
        session_key: String,
        text: String,
    },
}

#[derive(Debug)]
pub struct Core {
    link: Link,
    runs: Runs,
    outputs: VecDeque<Output>,
    /// Session and run.
    aborts: VecDeque<(String, String)>,
    /// Approvals that wait, by id, with their session.
    approvals: BTreeMap<String, ApprovalKind>,
    boot: String,
    /// A greeting that is told when our plugin there has said its version.
    greeting: Option<Arc<Hello>>,
}

impl Core {
    pub fn new(config: LinkConfig, key: DeviceKey, seed: [u8; 32], now: Instant) -> Core {
        let mut core = Core {
            link: Link::new(config, key, seed, now),
            runs: Runs::default(),
            outputs: VecDeque::new(),
            aborts: VecDeque::new(),
            approvals: BTreeMap::new(),
            boot: String::new(),
            greeting: None,
        };
        core.drain(now);
        core
    }

    pub fn poll_output(&mut self) -> Option<Output> {
        self.outputs.pop_front()
    }

    pub fn next_timeout(&self) -> Option<Instant> {
        [self.link.next_timeout(), self.runs.next_timeout()]
            .into_iter()
            .flatten()
            .min()
    }

    /// Runs under way.
    pub fn runs_open(&self) -> usize {
        self.runs.len()
    }

    pub fn handle(&mut self, now: Instant, input: Input<'_>) {
        match input {
            Input::Opened => self.link.handle(now, LinkInput::Opened),
            Input::Text(text) => self.link.handle(now, LinkInput::Text(text)),
            Input::Closed(why) => self.link.handle(now, LinkInput::Closed(why)),
            Input::Wake => self.link.handle(now, LinkInput::Wake),
            Input::Timeout => self.timeout(now),
            Input::Send {
                run,
                session_key,
                message,
                queue_mode,
            } => {
                self.send(now, run, session_key, message, queue_mode);
            }
            Input::Abort { run } => self.abort(now, &run),
            Input::Leave { run } => {
                self.runs.give_up(&run);
            }
            Input::Resolve {
                ticket,
                id,
                kind,
                decision,
            } => self.resolve(now, ticket, &id, kind, decision),
            Input::Append { ticket, rows } => self.link.request_within(
                now,
                companion::PATIENCE,
                companion::APPEND_METHOD,
                rows,
                Tag::Append { ticket },
            ),
            Input::Follow { session_key } => self.runs.follow(session_key),
            Input::Unfollow { session_key } => self.runs.unfollow(&session_key),
        }
        self.drain(now);
    }

    fn drain(&mut self, now: Instant) {
        while let Some(output) = self.link.poll_output() {
            match output {
                LinkOutput::Dial => self.outputs.push_back(Output::Dial),
                LinkOutput::HangUp => self.outputs.push_back(Output::HangUp),
                LinkOutput::Write(text) => self.outputs.push_back(Output::Write(text)),
                LinkOutput::KeepDeviceToken(token) => {
                    self.outputs.push_back(Output::KeepDeviceToken(token))
                }
                LinkOutput::State(state) => self.state(now, state),
                LinkOutput::Answered { tag, result } => self.answered(now, tag, result),
                LinkOutput::Event(event) => self.event(event),
            }
        }
    }

    fn state(&mut self, now: Instant, state: LinkState) {
        self.greeting = None;
        match &state {
            LinkState::Ready(hello) if hello.companion == Companion::Mute => {
                self.greeting = Some(hello.clone());
                self.link.request_within(
                    now,
                    companion::VERSION_PATIENCE,
                    companion::VERSION_METHOD,
                    wire::Nothing {},
                    Tag::Companion,
                );
            }
            _ => self.outputs.push_back(Output::State(state.clone())),
        }
        match state {
            LinkState::Ready(hello) => self.ready(now, &hello),
            LinkState::Down(why) => {
                for run in self.runs.lost(now) {
                    // What only the owner can mend is not waited for.
                    match why.needs_owner() {
                        true => self.fail(run, GatewayError::Link(why.clone())),
                        false => self.tell(run, RunEvent::Waiting),
                    }
                }
            }
            LinkState::Connecting => {}
        }
    }

    fn ready(&mut self, now: Instant, hello: &Hello) {
        let is_restarted = self.boot != hello.boot;
        self.boot.clone_from(&hello.boot);
        while let Some((session_key, run)) = self.aborts.pop_front() {
            self.write_abort(now, &session_key, &run);
        }
        for run in self.runs.ids() {
            let is_lost =
                |run: &super::runs::Run| run.sent_to.is_some() && is_restarted && run.has_effects();
            if self.runs.get_mut(&run).is_some_and(|run| is_lost(run)) {
                self.fail(run, GatewayError::Cut);
            } else {
                self.write_send(now, &run);
            }
        }
        // A gateway that has forgotten everything has forgotten its approvals.
        if is_restarted {
            for (id, _) in std::mem::take(&mut self.approvals) {
                self.moot(id);
            }
        }
        for (is_plugin, method) in [
            (false, "exec.approval.list"),
            (true, "plugin.approval.list"),
        ] {
            self.link
                .request(now, method, wire::Nothing {}, Tag::Approvals { is_plugin });
        }
    }

    fn send(
        &mut self,
        now: Instant,
        run: String,
        session_key: String,
        message: String,
        queue_mode: QueueMode,
    ) {
        if !self
            .runs
            .open(run.clone(), session_key, message, queue_mode)
        {
            return self.tell(run, RunEvent::Failed(GatewayError::Link(LinkError::Full)));
        }
        if self.link.is_ready() {
            self.write_send(now, &run);
        } else {
            self.link.handle(now, LinkInput::Wake);
            self.runs.lost(now);
        }
    }

    fn write_send(&mut self, now: Instant, id: &str) {
        let Some(run) = self.runs.get_mut(id) else {
            return;
        };
        run.again_at = None;
        // Without a link it goes with the next greeting.
        if !self.link.is_ready() {
            return;
        }
        run.sent_to = Some(self.boot.clone());
        let message = wire::ChatSend {
            session_key: &run.session_key,
            message: &run.message,
            idempotency_key: id,
            queue_mode: run.queue_mode,
        };
        self.link
            .request(now, "chat.send", message, Tag::Send { run: id.to_owned() });
    }

    fn abort(&mut self, now: Instant, run: &str) {
        let Some(closed) = self.runs.close(run) else {
            return;
        };
        if closed.sent_to.is_none() {
            return;
        }
        if self.link.is_ready() {
            return self.write_abort(now, &closed.session_key, run);
        }
        if self.aborts.len() >= ABORTS_MAX {
            self.aborts.pop_front();
        }
        self.aborts.push_back((closed.session_key, run.to_owned()));
    }

    fn write_abort(&mut self, now: Instant, session_key: &str, run_id: &str) {
        let abort = wire::ChatAbort {
            session_key,
            run_id,
        };
        self.link
            .request(now, "chat.abort", abort, Tag::Unimportant);
    }

    fn resolve(
        &mut self,
        now: Instant,
        ticket: u64,
        id: &ApprovalId,
        kind: ApprovalKind,
        decision: Decision,
    ) {
        let method = match kind {
            ApprovalKind::Exec => "exec.approval.resolve",
            ApprovalKind::Plugin => "plugin.approval.resolve",
            // Our own tools are none of the gateway's business.
            ApprovalKind::Tool => {
                let code = "not its approval".to_owned();
                let result = Err(LinkError::Refused { code });
                return self.outputs.push_back(Output::Resolved { ticket, result });
            }
        };
        let decision = match decision {
            Decision::AllowOnce => "allow-once",
            Decision::Deny => "deny",
        };
        self.link.request(
            now,
            method,
            wire::Resolve {
                id: &id.0,
                decision,
            },
            Tag::Resolve { ticket },
        );
    }

    fn timeout(&mut self, now: Instant) {
        self.link.handle(now, LinkInput::Timeout);
        for run in self.runs.due_again(now) {
            self.write_send(now, &run);
        }
        for run in self.runs.overdue(now) {
            let seen = self.runs.get_mut(&run).is_some_and(|run| run.has_effects());
            let error = match seen {
                true => GatewayError::Cut,
                false => GatewayError::Link(LinkError::Unreachable {
                    why: "the link was lost".to_owned(),
                }),
            };
            self.fail(run, error);
        }
    }

    fn answered(&mut self, now: Instant, tag: Tag, result: Result<Value, LinkError>) {
        match (tag, result) {
            (Tag::Send { run }, Ok(payload)) => self.sent(now, run, &payload),
            (Tag::Send { run }, Err(error)) => self.not_sent(now, run, error),
            (Tag::History { run }, Ok(payload)) => {
                let Some(reply) = wire::last_reply(&payload) else {
                    return self.fail(run, GatewayError::Cut);
                };
                for event in self.runs.finish(&run, &reply) {
                    self.tell(run.clone(), event);
                }
            }
            (Tag::History { run }, Err(_)) => self.fail(run, GatewayError::Cut),
            (Tag::Approvals { is_plugin }, Ok(payload)) => {
                for approval in wire::approvals(&payload, is_plugin) {
                    self.asked(approval);
                }
            }
            (Tag::Resolve { ticket }, result) => {
                let result = result.map(|_| ());
                self.outputs.push_back(Output::Resolved { ticket, result });
            }
            (Tag::Companion, result) => self.companion(&result.unwrap_or_default()),
            (Tag::Append { ticket }, result) => {
                let result = result.map(|_| ());
                self.outputs.push_back(Output::Appended { ticket, result });
            }
            (Tag::Approvals { .. } | Tag::Unimportant | Tag::Connect, _) => {}
        }
    }

    /// What our plugin there has said of itself, if anything: the greeting waited for it.
    fn companion(&mut self, answer: &Value) {
        // A link that broke meanwhile says so itself.
        let Some(greeting) = self.greeting.take().filter(|_| self.link.is_ready()) else {
            return;
        };
        let hello = Hello {
            companion: Companion::said(answer),
            ..Hello::clone(&greeting)
        };
        let state = LinkState::Ready(Arc::new(hello));
        self.outputs.push_back(Output::State(state));
    }

    fn sent(&mut self, now: Instant, run: String, payload: &Value) {
        if let Some(event) = self.runs.started(&run) {
            self.tell(run.clone(), event);
        }
        match payload["status"].as_str() {
            // It ended while there was no link.
            Some("ok") => {
                let Some(session_key) = self.runs.get_mut(&run).map(|run| run.session_key.clone())
                else {
                    return;
                };
                let history = wire::ChatHistory {
                    session_key: &session_key,
                    limit: HISTORY_LIMIT,
                };
                self.link
                    .request(now, "chat.history", history, Tag::History { run });
            }
            Some("aborted" | "error" | "timeout") if self.runs.close(&run).is_some() => {
                self.tell(run, RunEvent::Aborted);
            }
            _ => {}
        }
    }

    /// A link that broke is renewed, and the message sent again; a refusal is the answer, unless the gateway itself says
    /// that the same message may be sent again. By its key it is the same one there as well.
    fn not_sent(&mut self, now: Instant, run: String, error: LinkError) {
        match error {
            LinkError::NotNow { retry_after, .. } if self.runs.repeat(&run, now, retry_after) => {}
            LinkError::Refused { .. }
            | LinkError::Busy { .. }
            | LinkError::NotNow { .. }
            | LinkError::Full
            | LinkError::Late => {
                self.fail(run, GatewayError::Link(error));
            }
            _ => {}
        }
    }

    fn event(&mut self, event: Incoming) {
        match event {
            Incoming::Chat(chat) => {
                if let Some(text) = self.runs.news(&chat) {
                    let news = Output::News {
                        session_key: chat.session_key.clone(),
                        text: text.to_owned(),
                    };
                    self.outputs.push_back(news);
                }
                for event in self.runs.chat(&chat) {
                    self.tell(chat.run.clone(), event);
                }
            }
            Incoming::Tool(tool) => {
                if let Some((run, event)) = self.runs.tool(tool) {
                    self.tell(run, event);
                }
            }
            Incoming::Begins { run } => self.runs.begins(&run),
            Incoming::Waits { run, waits: true } if self.runs.get_mut(&run).is_some() => {
                self.tell(run, RunEvent::Waiting);
            }
            Incoming::ApprovalRequested(approval) => self.asked(approval),
            Incoming::ApprovalResolved { id, is_allowed, by }
                if self.approvals.remove(&id).is_some() =>
            {
                let decision = match is_allowed {
                    true => Decision::AllowOnce,
                    false => Decision::Deny,
                };
                let id = ApprovalId(id);
                let event = ApprovalEvent::Resolved { id, decision, by };
                self.outputs.push_back(Output::Approval(event));
            }
            _ => {}
        }
    }

    fn asked(&mut self, approval: Approval) {
        if self.approvals.len() >= APPROVALS_MAX || self.approvals.contains_key(&approval.id) {
            return;
        }
        let kind = match approval.is_plugin {
            true => ApprovalKind::Plugin,
            false => ApprovalKind::Exec,
        };
        self.approvals.insert(approval.id.clone(), kind);
        let time = approval
            .expires_ms
            .checked_sub(approval.created_ms)
            .filter(|ms| *ms > 0);
        let request = ApprovalRequest {
            id: ApprovalId(approval.id),
            kind,
            session: approval.session_key,
            what: approval.what,
            place: approval.place,
            expires_in: time.map_or(APPROVAL_TIME, Duration::from_millis),
        };
        self.outputs
            .push_back(Output::Approval(ApprovalEvent::Requested(request)));
    }

    fn moot(&mut self, id: String) {
        let event = ApprovalEvent::Resolved {
            id: ApprovalId(id),
            decision: Decision::Deny,
            by: "gateway restarted".to_owned(),
        };
        self.outputs.push_back(Output::Approval(event));
    }

    fn fail(&mut self, run: String, error: GatewayError) {
        // An answer may come to a message whose reply is over.
        if self.runs.give_up(&run) {
            self.tell(run, RunEvent::Failed(error));
        }
    }

    fn tell(&mut self, run: String, event: RunEvent) {
        self.outputs.push_back(Output::Run { run, event });
    }
}

#[cfg(test)]
#[path = "core_tests.rs"]
mod tests;
