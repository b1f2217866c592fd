//! All tools of the owner's: who is offered which, one call of each at a time, and what lately came of them, by
//! conversation. Owns the queues, the memory and the watching of accepted work; what a call looks like to a model is
//! `wording`'s, when one is made `gateways::tooled`'s.
//!
//! A call that was sent goes on to its end, however soon its caller has heard enough: a tool is no more undone than a word.
//! What came of it is told with the next question. Bounds: [`SESSIONS_MAX`] conversations, [`KEPT_MAX`] rounds of each,
//! [`JOBS_MAX`] pieces of accepted work; the oldest conversation and round are forgotten, more work is not watched.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Duration;

use tokio::sync::mpsc;
use tokio::time::Instant;

use super::http::{Answer, Endpoint};
use super::job::{self, Ended};
use super::{CALLS_MAX, Finished, Owner, Ran, Tool, ToolError, ToolRound, schema, wording};
use crate::approvals::{ApprovalId, ApprovalKind, ApprovalRequest, Decision};
use crate::gateways::{Asker, Message, Role, ToolCall, ToolSpec};
use crate::levels::Level;

pub const SESSIONS_MAX: usize = 256;
pub const KEPT_MAX: usize = 6;
pub const JOBS_MAX: usize = 32;
/// A person has so long to allow a call.
const APPROVAL_TIME: Duration = Duration::from_secs(120);
/// Late results of one conversation that wait to be said. More are told by a call.
const NEWS_MAX: usize = 8;
/// Conversations that are listened to; the oldest listener is forgotten.
const LISTENERS_MAX: usize = 256;

/// Shared by all agents.
pub struct Toolbox {
    tools: Vec<Fitted>,
    owner: OnceLock<Arc<dyn Owner>>,
    memory: Mutex<VecDeque<Remembered>>,
    listeners: Mutex<VecDeque<(String, mpsc::Sender<String>)>>,
    jobs: AtomicUsize,
    /// Names of calls: no two are the same, in this run or another.
    seed: u64,
    calls: AtomicU64,
}

struct Fitted {
    tool: Tool,
    endpoint: Endpoint,
    /// Held by the call under way.
    busy: Arc<tokio::sync::Mutex<()>>,
    waiting: Arc<AtomicUsize>,
}

struct Remembered {
    session: String,
    rounds: VecDeque<Kept>,
}

/// A round, and the question it belongs to.
struct Kept {
    number: u64,
    question: String,
    round: ToolRound,
}

/// Where a round's results go.
#[derive(Debug, Clone)]
pub struct RoundName {
    session: String,
    number: u64,
}

/// Counts who waits for a tool.
struct Waiting(Arc<AtomicUsize>);

impl Drop for Waiting {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Toolbox {
    /// `seed` makes the names of calls differ from those of other runs. The error names the tool.
    pub fn new(tools: Vec<Tool>, seed: u64) -> Result<Toolbox, (String, ToolError)> {
        let mut fitted: Vec<Fitted> = Vec::new();
        for tool in tools {
            let wrong = |error| (tool.spec.name.clone(), error);
            let is_plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_');
            let name = &tool.spec.name;
            if name.is_empty() || name.len() > 64 || !name.chars().all(is_plain) {
                return Err(wrong(ToolError::Name));
            }
            if fitted.iter().any(|other| other.tool.spec.name == *name) {
                return Err(wrong(ToolError::Twice));
            }
            if !schema::is_of_an_object(&tool.spec.parameters) {
                return Err(wrong(ToolError::Schema));
            }
            let endpoint = Endpoint::new(&tool).map_err(wrong)?;
            fitted.push(Fitted {
                tool,
                endpoint,
                busy: Arc::default(),
                waiting: Arc::default(),
            });
        }
        Ok(Toolbox {
            tools: fitted,
            owner: OnceLock::new(),
            memory: Mutex::default(),
            listeners: Mutex::default(),
            jobs: AtomicUsize::new(0),
            seed,
            calls: AtomicU64::new(0),
        })
    }

    /// Who allows, writes down and is told. The first one stays; without one nothing that needs a yes gets it.
    pub fn serve(&self, owner: Arc<dyn Owner>) {
        let _ = self.owner.set(owner);
    }

    /// What this agent may use in a call of this level; nobody knows: the least.
    pub fn offered(&self, agent: &str, level: Option<Level>) -> Vec<ToolSpec> {
        let level = level.unwrap_or(Level::Guest);
        let offered = self.tools.iter().map(|fitted| &fitted.tool).filter(|tool| {
            let has_it = tool.agents.is_empty() || tool.agents.iter().any(|one| one == agent);
            has_it && tool.levels.contains(&level)
        });
        offered.map(|tool| tool.spec.clone()).collect()
    }

    /// Whether some caller of this agent has any.
    pub fn serves(&self, agent: &str) -> bool {
        let mut tools = self.tools.iter();
        tools.any(|one| one.tool.agents.is_empty() || one.tool.agents.iter().any(|a| a == agent))
    }

    /// A new name for a call: never used before, so that a tool can tell a repetition.
    fn new_name(&self) -> String {
        let number = self.calls.fetch_add(1, Ordering::Relaxed);
        format!("{:016x}-{number:08x}", self.seed)
    }

    /// Runs the calls of one answer, one after the other, and gives their results in that order. Dropped early, what was
    /// sent goes on, and its result is remembered; what still waited is not run.
    pub async fn run(
        self: &Arc<Self>,
        asker: &Asker,
        session: &str,
        offered: &[ToolSpec],
        name: &RoundName,
        calls: &[ToolCall],
    ) -> Vec<String> {
        let mut results = Vec::new();
        for (place, call) in calls.iter().enumerate() {
            let result = match place < CALLS_MAX {
                true => {
                    self.run_one(asker, session, offered, name, place, call)
                        .await
                }
                false => wording::TOO_MANY.to_owned(),
            };
            self.learn(name, place, &result);
            results.push(result);
        }
        results
    }

    async fn run_one(
        self: &Arc<Self>,
        asker: &Asker,
        session: &str,
        offered: &[ToolSpec],
        name: &RoundName,
        place: usize,
        call: &ToolCall,
    ) -> String {
        let is_offered = offered.iter().any(|spec| spec.name == call.name);
        let known = self
            .tools
            .iter()
            .position(|f| f.tool.spec.name == call.name);
        let Some(at) = known.filter(|_| is_offered) else {
            return wording::UNKNOWN.to_owned();
        };
        let fitted = &self.tools[at];
        let began = Instant::now();
        let written = |outcome: &str| self.write_down(asker, &fitted.tool, outcome, began);
        if let Err(why) = schema::check(&fitted.tool.spec.parameters, &call.arguments) {
            written("not run: wrong arguments");
            return wording::wrong_arguments(&why);
        }
        let key = self.new_name();
        if fitted.tool.needs_approval {
            let request = ApprovalRequest {
                id: ApprovalId(format!("tool-{key}")),
                kind: ApprovalKind::Tool,
                session: session.to_owned(),
                what: wording::asked(call),
                place: fitted.endpoint.place(),
                expires_in: APPROVAL_TIME,
            };
            let decision = match self.owner.get() {
                Some(owner) => owner.permit(request).await,
                None => Decision::Deny,
            };
            if decision == Decision::Deny {
                written("not run: not allowed");
                return wording::NOT_ALLOWED.to_owned();
            }
        }
        let before_us = fitted.waiting.fetch_add(1, Ordering::Relaxed);
        let waiting = Waiting(fitted.waiting.clone());
        if before_us > fitted.tool.waiting_max {
            written("not run: busy");
            return wording::BUSY.to_owned();
        }
        let turn = fitted.busy.clone().lock_owned().await;
        // From here on it is seen to its end, whoever listens.
        self.learn(name, place, wording::AT_WORK);
        let (toolbox, asker) = (self.clone(), asker.clone());
        let (name, session) = (name.clone(), session.to_owned());
        let arguments = call.arguments.clone();
        let running = tokio::spawn(async move {
            let fitted = &toolbox.tools[at];
            let _held = (waiting, turn);
            let answer = fitted.endpoint.call(&arguments, &key).await;
            let result = toolbox.judged(at, &asker, &session, answer, began);
            toolbox.learn(&name, place, &result);
            result
        });
        running.await.unwrap_or_else(|_| wording::LOST.to_owned())
    }

    /// What a model is told of an answer. Accepted work is watched from here on.
    fn judged(
        self: &Arc<Self>,
        at: usize,
        asker: &Asker,
        session: &str,
        answer: Answer,
        began: Instant,
    ) -> String {
        let tool = &self.tools[at].tool;
        match answer {
            Answer::Done(text) => {
                self.write_down(asker, tool, &format!("ok, {} bytes", text.len()), began);
                wording::result(&text)
            }
            Answer::Accepted { job, text } => {
                self.write_down(asker, tool, "accepted", began);
                let job = job.filter(|_| tool.job.is_some());
                let is_watched = job.is_some_and(|job| self.watch(at, asker, session, job));
                wording::accepted(is_watched, &text)
            }
            Answer::Failed(why) => {
                self.write_down(asker, tool, "failed", began);
                wording::failed(&why)
            }
        }
    }

    /// False: too much is being watched already.
    fn watch(self: &Arc<Self>, at: usize, asker: &Asker, session: &str, job: String) -> bool {
        let Some(rule) = self.tools[at].tool.job.clone() else {
            return false;
        };
        if self.jobs.fetch_add(1, Ordering::Relaxed) >= JOBS_MAX {
            self.jobs.fetch_sub(1, Ordering::Relaxed);
            return false;
        }
        let toolbox = self.clone();
        let (user, session) = (asker.user.clone(), session.to_owned());
        tokio::spawn(async move {
            let fitted = &toolbox.tools[at];
            let ended = job::watch(&fitted.endpoint, &job, &rule).await;
            toolbox.jobs.fetch_sub(1, Ordering::Relaxed);
            toolbox.over(&fitted.tool.spec.name, &session, user, job, &ended);
        });
        true
    }

    fn over(&self, tool: &str, session: &str, user: String, job: String, ended: &Ended) {
        let say = wording::is_over(tool, ended.is_good, &wording::result(&ended.text));
        if self.tell(session, &say) {
            return;
        }
        if let Some(owner) = self.owner.get() {
            owner.finished(Finished {
                tool: tool.to_owned(),
                job,
                user,
                say,
            });
        }
    }

    fn write_down(&self, asker: &Asker, tool: &Tool, outcome: &str, began: Instant) {
        if let Some(owner) = self.owner.get() {
            owner.ran(Ran {
                tool: tool.spec.name.clone(),
                call: asker.call.clone(),
                user: asker.user.clone(),
                level: asker.level,
                outcome: outcome.to_owned(),
                took: began.elapsed(),
            });
        }
    }

    // Late results.

    /// What comes of this conversation's work from now on. Ends with the receiver.
    pub fn news(&self, session: &str) -> mpsc::Receiver<String> {
        let (sender, receiver) = mpsc::channel(NEWS_MAX);
        let mut listeners = self.listeners();
        listeners.retain(|(_, listener)| !listener.is_closed());
        if listeners.len() >= LISTENERS_MAX {
            listeners.pop_front();
        }
        listeners.push_back((session.to_owned(), sender));
        receiver
    }

    /// Whether somebody on the line takes it.
    fn tell(&self, session: &str, text: &str) -> bool {
        let listeners = self.listeners();
        let mut ours = listeners.iter().rev().filter(|(of, _)| of == session);
        ours.any(|(_, listener)| listener.try_send(text.to_owned()).is_ok())
    }

    fn listeners(&self) -> MutexGuard<'_, VecDeque<(String, mpsc::Sender<String>)>> {
        self.listeners
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    // What came of earlier calls.

    fn memory(&self) -> MutexGuard<'_, VecDeque<Remembered>> {
        self.memory.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Remembers a round whose calls are about to be run.
    pub fn begin(&self, session: &str, question: &str, round: &ToolRound) -> RoundName {
        let number = self.calls.fetch_add(1, Ordering::Relaxed);
        let mut memory = self.memory();
        let known = memory.iter().position(|one| one.session == session);
        let mut remembered = known
            .and_then(|at| memory.remove(at))
            .unwrap_or(Remembered {
                session: session.to_owned(),
                rounds: VecDeque::new(),
            });
        if remembered.rounds.len() >= KEPT_MAX {
            remembered.rounds.pop_front();
        }
        remembered.rounds.push_back(Kept {
            number,
            question: question.to_owned(),
            round: round.clone(),
        });
        if memory.len() >= SESSIONS_MAX {
            memory.pop_front();
        }
        memory.push_back(remembered);
        RoundName {
            session: session.to_owned(),
            number,
        }
    }

    fn learn(&self, name: &RoundName, place: usize, result: &str) {
        let mut memory = self.memory();
        let sessions = memory.iter_mut().filter(|one| one.session == name.session);
        let mut rounds = sessions.flat_map(|one| one.rounds.iter_mut());
        let round = rounds.find(|kept| kept.number == name.number);
        if let Some((_, known)) = round.and_then(|kept| kept.round.calls.get_mut(place)) {
            result.clone_into(known);
        }
    }

    /// The earlier rounds of this conversation, each behind the question it belongs to. Those whose question is not among
    /// `messages` any more are left out.
    pub fn recall(&self, session: &str, messages: &[Message]) -> Vec<ToolRound> {
        let memory = self.memory();
        let Some(remembered) = memory.iter().find(|one| one.session == session) else {
            return Vec::new();
        };
        // In order: the same question again is another question, and its round is still to come.
        let mut from = 0;
        let place = |kept: &Kept| {
            let asks = |message: &Message, is_it: fn(&str, &str) -> bool| {
                message.role == Role::User && is_it(&message.text, &kept.question)
            };
            let rest = messages.get(from..)?;
            let same = rest.iter().position(|message| asks(message, |a, b| a == b));
            // The caller may have gone on speaking: then a longer question holds it.
            let longer = || {
                let begins = |a: &str, b: &str| a.starts_with(b);
                rest.iter().position(|message| asks(message, begins))
            };
            let at = from + same.or_else(longer)?;
            from = at;
            let after = at + 1;
            Some(ToolRound {
                after,
                ..kept.round.clone()
            })
        };
        remembered.rounds.iter().filter_map(place).collect()
    }
}

#[cfg(test)]
#[path = "toolbox_tests.rs"]
mod tests;
