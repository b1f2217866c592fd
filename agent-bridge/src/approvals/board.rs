//! All requests of the program that wait for a decision: who is asked, who may answer from elsewhere, when time is up,
//! and the stop that refuses them all. One decision counts, the first.
//!
//! `handle(now, input)`, then `poll_output()` until `None`, then `next_timeout()`. A request of a conversation that has
//! a call up goes to that call's desk, whose silence is a no; one without a call waits for a command line, an API or a
//! text channel until its time is up. Requests of conversations that are not ours are left alone: somebody else is
//! asked for those. Owns no right (the desk and the shell look at those) and no file.
//! PURE.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use super::{ApprovalId, ApprovalRequest, Decision};

/// Bounds.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct BoardConfig {
    /// Requests that wait at once; the next one is refused.
    pub pending_max: usize,
    /// Conversations of ours that are remembered when their call is over; the oldest is forgotten.
    pub sessions_max: usize,
    /// No request waits longer, whatever its asker allows.
    pub wait_max: Duration,
}

impl Default for BoardConfig {
    fn default() -> BoardConfig {
        BoardConfig {
            pending_max: 32,
            sessions_max: 256,
            wait_max: Duration::from_secs(30 * 60),
        }
    }
}

/// Who asks and hears the decision: a number that the shell gave it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Asker(pub u32);

/// Where a decision comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum By {
    /// The desk of this call.
    Call(u64),
    /// Another way in, by its name: `cli`, `api`.
    Channel(&'static str),
}

/// What the board is told.
#[derive(Debug, Clone, PartialEq)]
pub enum Input {
    /// A call with the assistant. `call` is a number of the shell's, never used twice.
    CallUp {
        call: u64,
        session: String,
        user: String,
    },
    CallDown {
        call: u64,
    },
    /// A conversation of ours without a call: somebody writes in it.
    Known {
        session: String,
    },
    Requested {
        asker: Asker,
        request: ApprovalRequest,
    },
    /// Its asker says that it is over.
    Resolved {
        id: ApprovalId,
        by: String,
    },
    /// `why` is for records.
    Decided {
        id: ApprovalId,
        decision: Decision,
        by: By,
        why: &'static str,
    },
    /// The call's desk does not read it out.
    Left {
        id: ApprovalId,
    },
    /// A caller said stop. Their other calls are stopped as well.
    Stopped {
        call: u64,
        freezes: bool,
    },
    Freeze,
    Lift,
    Timeout,
}

/// What a call is told.
#[derive(Debug, Clone, PartialEq)]
pub enum Notice {
    Offer(ApprovalRequest),
    Withdraw(ApprovalId),
    Frozen(bool),
    /// End what the agent is doing.
    StopRuns,
}

/// What the board wants done.
#[derive(Debug, Clone, PartialEq)]
pub enum Output {
    Tell {
        call: u64,
        notice: Notice,
    },
    /// The first and only decision about it.
    Resolve {
        asker: Asker,
        request: ApprovalRequest,
        decision: Decision,
        by: Option<By>,
        why: &'static str,
    },
    /// It waits from now on, to be shown; `Resolve` or `Forget` ends that.
    Keep(ApprovalRequest),
    /// It does not wait any more, and nobody is to be told.
    Forget(ApprovalId),
}

#[derive(Debug)]
struct Pending {
    asker: Asker,
    request: ApprovalRequest,
    expires_at: Instant,
    /// The call that is asked.
    call: Option<u64>,
    /// Only for screens.
    is_left: bool,
}

#[derive(Debug)]
struct Up {
    call: u64,
    session: String,
    user: String,
}

/// The program's board.
#[derive(Debug)]
pub struct Board {
    config: BoardConfig,
    pending: Vec<Pending>,
    calls: Vec<Up>,
    /// Conversations that are ours, the latest last.
    sessions: VecDeque<String>,
    is_frozen: bool,
    outputs: VecDeque<Output>,
}

impl Board {
    pub fn new(config: BoardConfig, is_frozen: bool) -> Board {
        Board {
            config,
            pending: Vec::new(),
            calls: Vec::new(),
            sessions: VecDeque::new(),
            is_frozen,
            outputs: VecDeque::new(),
        }
    }

    pub fn is_frozen(&self) -> bool {
        self.is_frozen
    }

    /// What waits, the oldest first.
    pub fn pending(&self) -> impl Iterator<Item = &ApprovalRequest> {
        self.pending.iter().map(|pending| &pending.request)
    }

    /// Whether a call is being asked about it.
    pub fn is_with_call(&self, id: &ApprovalId) -> bool {
        let mut pending = self.pending.iter();
        pending.any(|one| one.request.id == *id && one.call.is_some())
    }

    /// The call that requests of this conversation go to.
    pub fn call_of(&self, session: &str) -> Option<u64> {
        let up = self.calls.iter().find(|up| up.session == session);
        up.map(|up| up.call)
    }

    pub fn poll_output(&mut self) -> Option<Output> {
        self.outputs.pop_front()
    }

    pub fn next_timeout(&self) -> Option<Instant> {
        self.pending.iter().map(|pending| pending.expires_at).min()
    }

    pub fn handle(&mut self, now: Instant, input: Input) {
        debug_assert!(self.outputs.is_empty(), "outputs must be drained");
        match input {
            Input::CallUp {
                call,
                session,
                user,
            } => self.call_up(call, session, user),
            Input::CallDown { call } => self.call_down(call),
            Input::Known { session } => self.know(session),
            Input::Requested { asker, request } => self.requested(now, asker, request),
            Input::Resolved { id, .. } => self.resolved(&id),
            Input::Decided {
                id,
                decision,
                by,
                why,
            } => self.decided(&id, decision, &by, why),
            Input::Left { id } => {
                if let Some(pending) = self.pending.iter_mut().find(|one| one.request.id == id) {
                    pending.call = None;
                    pending.is_left = true;
                }
            }
            Input::Stopped { call, freezes } => self.stopped(call, freezes),
            Input::Freeze => self.freeze(None),
            Input::Lift => {
                self.is_frozen = false;
                self.tell_all(&Notice::Frozen(false));
            }
            Input::Timeout => {
                let late = |one: &Pending| one.expires_at <= now;
                self.resolve_all(late, None, "too late");
            }
        }
    }

    fn know(&mut self, session: String) {
        self.sessions.retain(|known| *known != session);
        if self.sessions.len() >= self.config.sessions_max {
            self.sessions.pop_front();
        }
        self.sessions.push_back(session);
    }

    fn call_up(&mut self, call: u64, session: String, user: String) {
        self.know(session.clone());
        if self.is_frozen {
            let notice = Notice::Frozen(true);
            self.outputs.push_back(Output::Tell { call, notice });
        }
        for pending in &mut self.pending {
            let is_free = pending.call.is_none() && !pending.is_left;
            if is_free && pending.request.session == session {
                pending.call = Some(call);
                let notice = Notice::Offer(pending.request.clone());
                self.outputs.push_back(Output::Tell { call, notice });
            }
        }
        self.calls.push(Up {
            call,
            session,
            user,
        });
    }

    fn call_down(&mut self, call: u64) {
        self.calls.retain(|up| up.call != call);
        let theirs = |one: &Pending| one.call == Some(call);
        self.resolve_all(theirs, Some(By::Call(call)), "hung up");
    }

    fn requested(&mut self, now: Instant, asker: Asker, request: ApprovalRequest) {
        let is_ours = self.sessions.contains(&request.session)
            || self.calls.iter().any(|up| up.session == request.session);
        if !is_ours || self.pending.iter().any(|one| one.request.id == request.id) {
            return;
        }
        let why = match () {
            () if self.is_frozen => Some("approvals are stopped"),
            () if self.pending.len() >= self.config.pending_max => Some("too many at once"),
            () => None,
        };
        if let Some(why) = why {
            self.outputs.push_back(Output::Resolve {
                asker,
                request,
                decision: Decision::Deny,
                by: None,
                why,
            });
            return;
        }
        let call = self.call_of(&request.session);
        self.outputs.push_back(Output::Keep(request.clone()));
        if let Some(call) = call {
            let notice = Notice::Offer(request.clone());
            self.outputs.push_back(Output::Tell { call, notice });
        }
        self.pending.push(Pending {
            asker,
            expires_at: now + request.expires_in.min(self.config.wait_max),
            request,
            call,
            is_left: false,
        });
    }

    /// Its asker knows already.
    fn resolved(&mut self, id: &ApprovalId) {
        if let Some(pending) = self.take(id) {
            self.outputs.push_back(Output::Forget(id.clone()));
            self.withdraw(&pending, None);
        }
    }

    fn decided(&mut self, id: &ApprovalId, decision: Decision, by: &By, why: &'static str) {
        // A yes that comes while everything is stopped is none; what was pending has been refused.
        let decision = if self.is_frozen {
            Decision::Deny
        } else {
            decision
        };
        // A call answers what it was asked, and nothing else.
        let may_answer = |one: &Pending| match by {
            By::Call(call) => one.call == Some(*call),
            By::Channel(_) => true,
        };
        let is_there = self
            .pending
            .iter()
            .any(|one| one.request.id == *id && may_answer(one));
        if is_there && let Some(pending) = self.take(id) {
            self.withdraw(&pending, Some(by));
            self.resolve(pending, decision, Some(by.clone()), why);
        }
    }

    fn stopped(&mut self, call: u64, freezes: bool) {
        let user = self
            .calls
            .iter()
            .find(|up| up.call == call)
            .map(|up| up.user.clone());
        let theirs: Vec<u64> = self
            .calls
            .iter()
            .filter(|up| up.call != call && Some(&up.user) == user.as_ref())
            .map(|up| up.call)
            .collect();
        for call in theirs {
            let notice = Notice::StopRuns;
            self.outputs.push_back(Output::Tell { call, notice });
        }
        let asked = |one: &Pending| one.call == Some(call);
        self.resolve_all(asked, Some(By::Call(call)), "stopped by the caller");
        if freezes {
            self.freeze(Some(By::Call(call)));
        }
    }

    fn freeze(&mut self, by: Option<By>) {
        self.is_frozen = true;
        self.tell_all(&Notice::Frozen(true));
        self.resolve_all(|_| true, by, "approvals are stopped");
    }

    fn tell_all(&mut self, notice: &Notice) {
        for up in &self.calls {
            self.outputs.push_back(Output::Tell {
                call: up.call,
                notice: notice.clone(),
            });
        }
    }

    fn take(&mut self, id: &ApprovalId) -> Option<Pending> {
        let at = self.pending.iter().position(|one| one.request.id == *id)?;
        Some(self.pending.remove(at))
    }

    /// The call that is being asked, unless it answered itself, may stop asking.
    fn withdraw(&mut self, pending: &Pending, by: Option<&By>) {
        if let Some(call) = pending.call
            && by != Some(&By::Call(call))
        {
            let notice = Notice::Withdraw(pending.request.id.clone());
            self.outputs.push_back(Output::Tell { call, notice });
        }
    }

    fn resolve(&mut self, pending: Pending, decision: Decision, by: Option<By>, why: &'static str) {
        self.outputs.push_back(Output::Resolve {
            asker: pending.asker,
            request: pending.request,
            decision,
            by,
            why,
        });
    }

    /// Refuses those that fit.
    fn resolve_all(&mut self, fits: impl Fn(&Pending) -> bool, by: Option<By>, why: &'static str) {
        let all = std::mem::take(&mut self.pending);
        let (refused, kept): (Vec<Pending>, Vec<Pending>) = all.into_iter().partition(fits);
        self.pending = kept;
        for pending in refused {
            self.withdraw(&pending, by.as_ref());
            self.resolve(pending, Decision::Deny, by.clone(), why);
        }
    }
}

#[cfg(test)]
#[path = "board_tests.rs"]
mod tests;
