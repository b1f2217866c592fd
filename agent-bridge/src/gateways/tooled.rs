//! A chain of models with the owner's tools: offers them, runs what is called once the caller's turn is over, gives the
//! results back, and speaks the answer that comes of it. Owns the rounds of one reply; running is `tools::toolbox`'s.
//!
//! A call in a guess waits for the commit, and is forgotten with a wrong guess. After `tools::ROUNDS_MAX` rounds the model
//! is asked once more and may not call any. Whatever it writes, nothing but an offered tool runs, and that at its own address.

use std::sync::Arc;
use std::time::Duration;

use futures_util::future::BoxFuture;
use tokio::sync::{broadcast, mpsc, watch};
use tokio::time::timeout;

use super::{
    AskHandle, AskRequest, Asker, CheckReport, Gateway, GatewayError, GatewayEvent, GatewayInfo,
    LinkHealth, OnBehalf, Progress, Role, Told, ToolCall, ToolRound, ToolSpec, Usage,
};
use crate::approvals::{ApprovalEvent, ApprovalId, ApprovalKind, Decision};
use crate::tools::toolbox::{RoundName, Toolbox};
use crate::tools::wording;

/// Events between the chain and the loop; the chain waits when it is full.
const EVENTS_MAX: usize = 16;
/// One that waits to be taken: whoever sends the next one knows by the room that the last one was.
const NEWS_MAX: usize = 1;
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
            said: String::new(),
            has_said: false,
            names: Vec::new(),
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
        let (sender, receiver) = mpsc::channel(NEWS_MAX);
        if let Some(theirs) = self.chain.news(session) {
            tokio::spawn(hand_on(theirs, sender.clone()));
        }
        self.toolbox.listen(session, sender);
        Some(receiver)
    }
}

/// Until either side is gone.
async fn hand_on(mut from: mpsc::Receiver<String>, to: mpsc::Sender<String>) {
    loop {
        let text = tokio::select! {
            text = from.recv() => text,
            () = to.closed() => return,
        };
        let Some(text) = text else { return };
        if to.send(text).await.is_err() {
            return;
        }
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
    /// What the rounds before have said.
    said: String,
    /// A word of the reply was handed on.
    has_said: bool,
    /// The rounds that were run.
    names: Vec<RoundName>,
}

/// One answer of the chain.
#[derive(Default)]
struct Answer {
    said: String,
    calls: Vec<ToolCall>,
    failed: Option<GatewayError>,
}

impl Drop for Rounds {
    fn drop(&mut self) {
        if !self.told.borrow().heard.is_empty() {
            self.tooled.toolbox.heard(&self.names);
        }
    }
}

impl Rounds {
    async fn run(mut self) {
        let events = self.events.clone();
        let answered = tokio::select! {
            biased;
            answered = self.rounds() => answered,
            () = events.closed() => return,
        };
        // The answer is complete. Its gateway may want to know how much of it is heard.
        if let Ok(asked) = answered {
            asked.until_heard().await;
        }
    }

    /// The question whose answer is the reply's end.
    async fn rounds(&mut self) -> Result<OnBehalf, Unwanted> {
        let question = self.request.messages.last();
        let question = question.filter(|last| last.role == Role::User);
        let question = question.map_or_else(String::new, |last| last.text.clone());
        let offered = self.request.tools.clone();
        loop {
            let is_last = self.request.must_answer();
            let (answer, asked) = self.answer().await?;
            if let Some(error) = answer.failed {
                self.tell(GatewayEvent::Failed(error)).await?;
                return Ok(asked);
            }
            // Some call all the same.
            if answer.calls.is_empty() || is_last {
                let end = match self.has_said || self.names.is_empty() {
                    true => GatewayEvent::Done { usage: self.usage },
                    false => GatewayEvent::Failed(GatewayError::Empty),
                };
                self.tell(end).await?;
                return Ok(asked);
            }
            drop(asked);
            let committed = self.told.wait_for(|told| told.is_committed).await;
            committed.map_err(|_| Unwanted)?;
            self.request.speculative = false;
            self.said.push_str(&answer.said);
            self.said.push('\n');
            self.call(&question, &offered, answer).await?;
        }
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
        self.names.push(name.clone());
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
    async fn answer(&mut self) -> Result<(Answer, OnBehalf), Unwanted> {
        let (sender, mut receiver) = mpsc::channel(EVENTS_MAX);
        // Held here, so that leaving it cancels the chain's question.
        let asked = self.tooled.chain.ask(self.request.clone(), sender);
        let mut asked = OnBehalf::new(asked, &self.told, &self.said);
        let mut answer = Answer::default();
        let mut is_telling = true;
        loop {
            let event = tokio::select! {
                biased;
                more = asked.told_more(), if is_telling => {
                    is_telling = more;
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
                    return Ok((answer, asked));
                }
                Some(GatewayEvent::Failed(error)) => {
                    answer.failed = Some(error);
                    return Ok((answer, asked));
                }
                None => {
                    answer.failed = Some(GatewayError::Cut);
                    return Ok((answer, asked));
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
