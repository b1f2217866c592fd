//! A chain of models with the owner's tools: offers them, runs what is called once the caller's turn is over, gives the
//! results back, and speaks the answer that comes of it. Owns the rounds of one reply; running is `tools::toolbox`'s.
//!
//! A call in a guess waits for the commit, and is forgotten with a wrong guess. After [`ROUNDS_MAX`] rounds the model is
//! asked once more without tools. Whatever the model writes, nothing but an offered tool runs, and that at its own address.

use std::sync::Arc;
use std::time::Duration;

use futures_util::future::BoxFuture;
use tokio::sync::{broadcast, mpsc, watch};
use tokio::time::timeout;

use super::{
    AskHandle, AskRequest, Asker, CheckReport, Gateway, GatewayError, GatewayEvent, GatewayInfo,
    LinkHealth, Progress, Role, Told, ToolCall, ToolRound, ToolSpec, Usage,
};
use crate::approvals::{ApprovalEvent, ApprovalId, ApprovalKind, Decision};
use crate::tools::toolbox::Toolbox;
use crate::tools::{ROUNDS_MAX, wording};

/// Events between the chain and the loop; the chain waits when it is full.
const EVENTS_MAX: usize = 16;
const NEWS_MAX: usize = 8;
/// While a tool works, this often somebody is told so.
const STILL_AT_WORK: Duration = Duration::from_secs(2);
/// What the program itself does for its own gateways; not the owner's tools.
const BUILT_IN: [&str; 3] = ["set_timer", "cancel_timers", "hang_up"];

/// Cheap to clone.
#[derive(Clone)]
pub struct Tooled {
    chain: Arc<dyn Gateway>,
    toolbox: Arc<Toolbox>,
    /// Its name decides which tools it has.
    agent: String,
    asker: Asker,
}

impl Tooled {
    pub fn new(chain: Arc<dyn Gateway>, toolbox: Arc<Toolbox>, agent: &str) -> Tooled {
        Tooled {
            chain,
            toolbox,
            agent: agent.to_owned(),
            asker: Asker::default(),
        }
    }

    fn offered(&self) -> Vec<ToolSpec> {
        let agent = match self.asker.agent.as_str() {
            "" => &self.agent,
            agent => agent,
        };
        self.toolbox.offered(agent, self.asker.level)
    }
}

impl Gateway for Tooled {
    fn describe(&self) -> GatewayInfo {
        self.chain.describe()
    }

    /// Its tools wait for the commit.
    fn only_answers(&self) -> bool {
        self.chain.only_answers()
    }

    fn ask(&self, mut request: AskRequest, events: mpsc::Sender<GatewayEvent>) -> AskHandle {
        let offered = self.offered();
        if offered.is_empty() {
            return self.chain.ask(request, events);
        }
        request.rounds = self.toolbox.recall(&request.session, &request.messages);
        request.tools.extend(offered);
        request.system = match request.system.as_str() {
            "" => wording::NOTE.to_owned(),
            system => format!("{system}\n\n{}", wording::NOTE),
        };
        let (telling, told) = watch::channel(Told {
            is_committed: !request.speculative,
            ..Told::default()
        });
        let rounds = Rounds {
            tooled: self.clone(),
            request,
            events,
            told,
            usage: None,
            has_said: false,
        };
        AskHandle::telling(tokio::spawn(rounds.run()), telling)
    }

    fn check(&self) -> BoxFuture<'_, Result<CheckReport, GatewayError>> {
        self.chain.check()
    }

    fn warm(&self) {
        self.chain.warm();
    }

    fn standing(&self) -> Option<String> {
        self.chain.standing()
    }

    fn chain_health(&self) -> Vec<LinkHealth> {
        self.chain.chain_health()
    }

    fn facing(&self, asker: &Asker) -> Option<Arc<dyn Gateway>> {
        let chain = self.chain.facing(asker);
        Some(Arc::new(Tooled {
            chain: chain.unwrap_or_else(|| self.chain.clone()),
            asker: asker.clone(),
            ..self.clone()
        }))
    }

    fn approvals(&self) -> Option<broadcast::Receiver<ApprovalEvent>> {
        self.chain.approvals()
    }

    fn resolve(
        &self,
        id: ApprovalId,
        kind: ApprovalKind,
        decision: Decision,
    ) -> BoxFuture<'_, Result<(), GatewayError>> {
        self.chain.resolve(id, kind, decision)
    }

    /// Of the chain, and of accepted work.
    fn news(&self, session: &str) -> Option<mpsc::Receiver<String>> {
        let mut ours = self.toolbox.news(session);
        let Some(mut theirs) = self.chain.news(session) else {
            return Some(ours);
        };
        let (sender, receiver) = mpsc::channel(NEWS_MAX);
        tokio::spawn(async move {
            loop {
                let text = tokio::select! {
                    text = ours.recv() => text,
                    text = theirs.recv() => text,
                    () = sender.closed() => return,
                };
                let Some(text) = text else { return };
                if sender.send(text).await.is_err() {
                    return;
                }
            }
        });
        Some(receiver)
    }
}

/// Nobody wants the reply any more.
struct Unwanted;

/// One reply, as many rounds as it takes.
struct Rounds {
    tooled: Tooled,
    request: AskRequest,
    events: mpsc::Sender<GatewayEvent>,
    told: watch::Receiver<Told>,
    usage: Option<Usage>,
    /// A word of the reply was handed on.
    has_said: bool,
}

/// One answer of the chain.
#[derive(Default)]
struct Answer {
    said: String,
    calls: Vec<ToolCall>,
    failed: Option<GatewayError>,
}

impl Rounds {
    async fn run(mut self) {
        let events = self.events.clone();
        tokio::select! {
            () = events.closed() => {}
            _ = self.rounds() => {}
        }
    }

    async fn rounds(&mut self) -> Result<(), Unwanted> {
        let question = self.request.messages.last();
        let question = question.filter(|last| last.role == Role::User);
        let question = question.map_or_else(String::new, |last| last.text.clone());
        let offered = self.request.tools.clone();
        for round in 0..=ROUNDS_MAX {
            if round == ROUNDS_MAX {
                self.request.tools.clear();
            }
            let answer = self.answer().await?;
            if let Some(error) = answer.failed {
                return self.tell(GatewayEvent::Failed(error)).await;
            }
            // Asked without tools it has none to call.
            if answer.calls.is_empty() || round == ROUNDS_MAX {
                let end = match self.has_said || round == 0 {
                    true => GatewayEvent::Done { usage: self.usage },
                    false => GatewayEvent::Failed(GatewayError::Empty),
                };
                return self.tell(end).await;
            }
            let committed = self.told.wait_for(|told| told.is_committed).await;
            committed.map_err(|_| Unwanted)?;
            self.request.speculative = false;
            self.call(&question, &offered, answer).await?;
        }
        Ok(())
    }

    /// Runs the calls, and puts them and their results behind the question.
    async fn call(
        &mut self,
        question: &str,
        offered: &[ToolSpec],
        answer: Answer,
    ) -> Result<(), Unwanted> {
        let calls = distinct(answer.calls);
        let mut round = ToolRound {
            after: self.request.messages.len(),
            said: answer.said,
            calls: calls
                .iter()
                .map(|call| (call.clone(), String::new()))
                .collect(),
        };
        for (_, result) in &mut round.calls {
            wording::NOT_RUN.clone_into(result);
        }
        let session = self.request.session.clone();
        let toolbox = self.tooled.toolbox.clone();
        let name = toolbox.begin(&session, question, &round);
        let asker = self.tooled.asker.clone();
        let mut running = Box::pin(toolbox.run(&asker, &session, offered, &name, &calls));
        let results = loop {
            match timeout(STILL_AT_WORK, &mut running).await {
                Ok(results) => break results,
                Err(_) => self.tell(GatewayEvent::Progress(Progress::Waiting)).await?,
            }
        };
        for ((_, known), result) in round.calls.iter_mut().zip(results) {
            *known = result;
        }
        self.request.rounds.push(round);
        Ok(())
    }

    /// Asks the chain, and hands on what is for the ear.
    async fn answer(&mut self) -> Result<Answer, Unwanted> {
        let (sender, mut receiver) = mpsc::channel(EVENTS_MAX);
        // Held here, so that leaving it cancels the chain's question.
        let asked = self.tooled.chain.ask(self.request.clone(), sender);
        asked.tell_all(&self.told.borrow_and_update());
        let mut answer = Answer::default();
        let mut is_telling = true;
        loop {
            let event = tokio::select! {
                biased;
                changed = self.told.changed(), if is_telling => {
                    is_telling = changed.is_ok();
                    asked.tell_all(&self.told.borrow_and_update());
                    continue;
                }
                event = receiver.recv() => event,
            };
            match event {
                Some(GatewayEvent::Text(text)) => {
                    // What was said before the tools is a sentence of its own.
                    let is_joint = self.has_said && answer.said.is_empty();
                    answer.said.push_str(&text);
                    self.has_said |= !text.trim().is_empty();
                    let text = match is_joint {
                        true => format!("\n{text}"),
                        false => text,
                    };
                    self.tell(GatewayEvent::Text(text)).await?;
                }
                Some(GatewayEvent::ToolCall(call)) if BUILT_IN.contains(&call.name.as_str()) => {
                    self.has_said = true;
                    self.tell(GatewayEvent::ToolCall(call)).await?;
                }
                Some(GatewayEvent::ToolCall(call)) => {
                    self.tell(GatewayEvent::Progress(Progress::tool(&call.name)))
                        .await?;
                    answer.calls.push(call);
                }
                Some(GatewayEvent::Progress(progress)) => {
                    self.tell(GatewayEvent::Progress(progress)).await?;
                }
                Some(GatewayEvent::Done { usage }) => {
                    self.add(usage);
                    return Ok(answer);
                }
                Some(GatewayEvent::Failed(error)) => {
                    answer.failed = Some(error);
                    return Ok(answer);
                }
                None => {
                    answer.failed = Some(GatewayError::Cut);
                    return Ok(answer);
                }
            }
        }
    }

    fn add(&mut self, usage: Option<Usage>) {
        let Some(more) = usage else { return };
        let all = self.usage.get_or_insert_default();
        all.prompt_tokens = all.prompt_tokens.saturating_add(more.prompt_tokens);
        all.completion_tokens = all.completion_tokens.saturating_add(more.completion_tokens);
    }

    async fn tell(&self, event: GatewayEvent) -> Result<(), Unwanted> {
        self.events.send(event).await.map_err(|_| Unwanted)
    }
}

/// Each call under a name of its own: results are told apart by it, and some models give none or the same twice.
fn distinct(calls: Vec<ToolCall>) -> Vec<ToolCall> {
    let mut named: Vec<ToolCall> = Vec::new();
    for (n, mut call) in calls.into_iter().enumerate() {
        if call.id.is_empty() || named.iter().any(|other| other.id == call.id) {
            call.id = format!("call_{n}");
        }
        named.push(call);
    }
    named
}

#[cfg(test)]
#[path = "tooled_tests.rs"]
mod tests;
