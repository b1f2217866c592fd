//! All tools of the owner's: who is offered which, one call of each at a time, and what lately came of them, by
//! conversation. Owns the queues, the memory and the watching of accepted work; what a call looks like to a model is
//! `wording`'s, when one is made `gateways::tooled`'s.
//!
//! A call that was sent goes on to its end, however soon its caller has heard enough: a tool is no more undone than a word.
//! What came of it is told with the next question. Bounds: [`SESSIONS_MAX`] conversations, [`KEPT_MAX`] rounds of each for
//! [`KEPT_FOR`], [`JOBS_MAX`] pieces of accepted work; the oldest conversation and round are forgotten, more work is not
//! watched.

use std::collections::{BTreeSet, VecDeque};
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
/// A result answers no question that is asked later than this.
pub const KEPT_FOR: Duration = Duration::from_secs(600);
/// Conversations that are listened to; the oldest listener is forgotten.
const LISTENERS_MAX: usize = 256;

/// Shared by all agents.
pub struct Toolbox {
    tools: Vec<Fitted>,
    owner: OnceLock<Arc<dyn Owner>>,
    memory: Mutex<VecDeque<Remembered>>,
    listeners: Mutex<VecDeque<(String, mpsc::Sender<String>)>>,
    /// Accepted work that is watched: the tool's place, whose conversation, the tool's name for the work.
    jobs: Mutex<BTreeSet<(usize, String, String)>>,
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
    /// When it began, or its last result came.
    at: Instant,
    /// The caller has heard something of the answer: their next words are another question.
    is_heard: bool,
}

impl Kept {
    fn is_fresh(&self) -> bool {
        let mut calls = self.round.calls.iter();
        self.at.elapsed() < KEPT_FOR || calls.any(|(_, result)| result == wording::AT_WORK)
    }
}

/// Whose call it is, and which.
struct Origin<'a> {
    asker: &'a Asker,
    session: &'a str,
    /// The call's own name.
    call: &'a str,
    began: Instant,
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
            jobs: Mutex::default(),
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
        // Before anybody is asked: nobody allows what then finds no room.
        let before_us = fitted.waiting.fetch_add(1, Ordering::Relaxed);
        let waiting = Waiting(fitted.waiting.clone());
        if before_us > fitted.tool.waiting_max {
            written("not run: busy");
            return wording::BUSY.to_owned();
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
            let from = Origin {
                asker: &asker,
                session: &session,
                call: &key,
                began,
            };
            let result = toolbox.judged(at, &from, answer);
            toolbox.learn(&name, place, &result);
            result
        });
        running.await.unwrap_or_else(|_| wording::LOST.to_owned())
    }

    /// What a model is told of an answer. Accepted work is watched from here on.
    fn judged(self: &Arc<Self>, at: usize, from: &Origin<'_>, answer: Answer) -> String {
        let tool = &self.tools[at].tool;
        let written = |outcome: &str| self.write_down(from.asker, tool, outcome, from.began);
        match answer {
            Answer::Done(text) => {
                written(&format!("ok, {} bytes", text.len()));
                wording::result(&text)
            }
            Answer::Accepted { job, text } => {
                written("accepted");
                let job = job.filter(|_| tool.job.is_some());
                let is_watched = job.is_some_and(|job| self.watch(at, from, job));
                wording::accepted(is_watched, &text)
            }
            Answer::Failed(why) => {
                written("failed");
                wording::failed(&why)
            }
        }
    }

    /// False: too much is being watched already. The same work of the same conversation is watched once.
    fn watch(self: &Arc<Self>, at: usize, from: &Origin<'_>, job: String) -> bool {
        let Some(rule) = self.tools[at].tool.job.clone() else {
            return false;
        };
        let watched = (at, from.session.to_owned(), job.clone());
        let mut jobs = self.jobs();
        if jobs.contains(&watched) {
            return true;
        }
        if jobs.len() >= JOBS_MAX {
            return false;
        }
        jobs.insert(watched.clone());
        drop(jobs);
        let toolbox = self.clone();
        let (user, call) = (from.asker.user.clone(), from.call.to_owned());
        tokio::spawn(async move {
            let fitted = &toolbox.tools[at];
            let Ended { is_good, text } = job::watch(&fitted.endpoint, &job, &rule).await;
            let tool = fitted.tool.spec.name.clone();
            let say = wording::is_over(&tool, is_good, &wording::result(&text));
            let work = Finished {
                tool,
                job,
                call,
                user,
                say,
            };
            toolbox.over(&watched.1, work).await;
            toolbox.jobs().remove(&watched);
        });
        true
    }

    fn jobs(&self) -> MutexGuard<'_, BTreeSet<(usize, String, String)>> {
        self.jobs.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn over(&self, session: &str, work: Finished) {
        if self.tell(session, &work.say).await {
            return;
        }
        if let Some(owner) = self.owner.get() {
            owner.finished(work);
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

    /// What comes of this conversation's work from now on goes to `listener`, until its receiver is gone. Its channel holds
    /// one text, so that room in it says that the last one was taken.
    pub fn listen(&self, session: &str, listener: mpsc::Sender<String>) {
        debug_assert_eq!(
            listener.max_capacity(),
            1,
            "one text, or it is not known whether it was taken"
        );
        let mut listeners = self.listeners();
        listeners.retain(|(_, listener)| !listener.is_closed());
        if listeners.len() >= LISTENERS_MAX {
            listeners.pop_front();
        }
        listeners.push_back((session.to_owned(), listener));
    }

    /// Whether somebody on the line has taken it.
    pub(crate) async fn tell(&self, session: &str, text: &str) -> bool {
        let ours: Vec<mpsc::Sender<String>> = {
            let listeners = self.listeners();
            let ours = listeners.iter().rev().filter(|(of, _)| of == session);
            ours.map(|(_, listener)| listener.clone()).collect()
        };
        for listener in ours {
            // A line that ends with the text still in the channel has not taken it.
            if listener.send(text.to_owned()).await.is_ok() && listener.reserve().await.is_ok() {
                return true;
            }
        }
        false
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
            at: Instant::now(),
            is_heard: false,
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
        self.kept(name, |kept| {
            if let Some((_, known)) = kept.round.calls.get_mut(place) {
                result.clone_into(known);
                kept.at = Instant::now();
            }
        });
    }

    /// The caller has heard something of the answer to these rounds.
    pub fn heard(&self, names: &[RoundName]) {
        for name in names {
            self.kept(name, |kept| kept.is_heard = true);
        }
    }

    fn kept(&self, name: &RoundName, change: impl FnOnce(&mut Kept)) {
        let mut memory = self.memory();
        let sessions = memory.iter_mut().filter(|one| one.session == name.session);
        let mut rounds = sessions.flat_map(|one| one.rounds.iter_mut());
        if let Some(kept) = rounds.find(|kept| kept.number == name.number) {
            change(kept);
        }
    }

    /// The earlier rounds of this conversation, each behind the question it belongs to. Left out are those whose question is
    /// not among `messages` any more, and those that are too old. The last message is a new question, so only a round
    /// whose answer was cut before anything of it was heard belongs to it.
    pub fn recall(&self, session: &str, messages: &[Message]) -> Vec<ToolRound> {
        let mut memory = self.memory();
        let Some(remembered) = memory.iter_mut().find(|one| one.session == session) else {
            return Vec::new();
        };
        remembered.rounds.retain(Kept::is_fresh);
        // In order: the same question again is another question, and its round is still to come.
        let mut from = 0;
        let place = |kept: &Kept| {
            let asks = |at: usize, is_it: fn(&str, &str) -> bool| {
                let is_open = at + 1 < messages.len() || !kept.is_heard;
                let Message { role, text } = &messages[at];
                is_open && *role == Role::User && is_it(text, &kept.question)
            };
            let mut rest = from..messages.len();
            let same = rest.clone().find(|at| asks(*at, is_same));
            // The caller may have gone on speaking: then a longer question holds it.
            let longer = || rest.find(|at| !kept.is_heard && asks(*at, goes_on));
            let at = same.or_else(longer)?;
            from = at;
            Some(ToolRound {
                after: at + 1,
                ..kept.round.clone()
            })
        };
        remembered.rounds.iter().filter_map(place).collect()
    }
}

fn is_same(text: &str, question: &str) -> bool {
    !question.is_empty() && text == question
}

/// It begins with the question, and with whole words of it.
fn goes_on(text: &str, question: &str) -> bool {
    let rest = text.strip_prefix(question);
    !question.is_empty() && rest.is_some_and(|rest| !rest.starts_with(char::is_alphanumeric))
}

#[cfg(test)]
#[path = "toolbox_tests.rs"]
mod tests;
