//! Several gateways behind one another: the next one is asked when one fails, or hangs, before its first
//! word. Owns the asking, the wait for a first word where another one could be asked instead, the looks at those that
//! rest, and the books of what goes to the cloud. Who is asked, and why, is `choice`'s to say; where a gateway is,
//! `place`'s. A single gateway at home needs no router, but loses nothing by one.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use tokio::sync::{broadcast, mpsc, watch};
use tokio::time::{Instant, sleep_until};

use crate::approvals::{ApprovalEvent, ApprovalId, ApprovalKind, Decision};
use crate::gateways::{
    AskHandle, AskRequest, Asker, CheckReport, Gateway, GatewayError, GatewayEvent, GatewayInfo,
    Held, LinkHealth, OnBehalf, Progress, Told, ToolRound, Wait,
};

pub mod books;
pub mod choice;
pub mod closed;
pub mod place;

use books::{Books, CloudAsk, CloudLeave, OpenPage};
use choice::{Board, CloudRules, CloudWhy, Facts, Health, Outcome, Rest, Traits};
use closed::Closed;
use place::Place;

/// Events between a gateway and the router. A gateway waits when it is full.
const EVENTS_MAX: usize = 16;

/// Times in milliseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RouterConfig {
    /// From the question to a sign of life (a word, a tool, visible thinking), where another gateway
    /// could be asked. The last one asked has its own, longer wait.
    pub fallback_after_ms: u32,
    /// A gateway that failed is asked after all others for so long; twice as long each time the trial after that fails,
    /// up to `choice::REST_MAX`.
    pub rest_ms: u32,
    /// A resting gateway that could not be reached is looked at (`Gateway::check`) this often.
    pub look_ms: u32,
}

impl Default for RouterConfig {
    fn default() -> RouterConfig {
        RouterConfig {
            fallback_after_ms: 1_000,
            rest_ms: 30_000,
            look_ms: 5_000,
        }
    }
}

/// One gateway of a chain.
pub struct Member {
    pub gateway: Arc<dyn Gateway>,
    pub traits: Traits,
    /// What an answer is limited to, for the guess at its cost.
    pub tokens_max: Option<u32>,
}

impl Member {
    /// On the owner's own machines, and able to do everything.
    pub fn local(gateway: Arc<dyn Gateway>) -> Member {
        Member {
            gateway,
            traits: Traits::at(Place::Local),
            tokens_max: None,
        }
    }

    /// Where no question may go to the cloud, a gateway there is dropped here and now; only its name is kept.
    pub fn under(self, rules: &CloudRules) -> Member {
        if rules.is_open() || self.traits.place == Place::Local {
            return self;
        }
        Member {
            gateway: Arc::new(Closed(self.gateway.describe())),
            ..self
        }
    }
}

/// What an agent's chain is held to.
pub struct Rules {
    /// The agent's name in the books.
    pub agent: String,
    pub cloud: CloudRules,
    /// None: nothing is counted and nothing is written down.
    pub books: Option<Arc<dyn Books>>,
}

/// An ordered chain. The first gateway is the one that is described and checked.
///
/// A speculative question goes to one gateway only and never down the chain: its failure is reported,
/// and remembered, so that the question itself begins with the next one.
#[derive(Clone)]
pub struct Router {
    inner: Arc<Inner>,
    asker: Asker,
    /// This caller was told that a limit is reached.
    told_of_limit: Arc<AtomicBool>,
}

struct Inner {
    config: RouterConfig,
    agent: String,
    books: Option<Arc<dyn Books>>,
    members: Vec<Member>,
    board: Mutex<Board>,
    /// A task looks at those that rest.
    is_looking: AtomicBool,
}

impl Router {
    /// A chain of gateways at home.
    pub fn new(
        first: Arc<dyn Gateway>,
        others: Vec<Arc<dyn Gateway>>,
        config: RouterConfig,
    ) -> Router {
        let rules = Rules {
            agent: String::new(),
            cloud: CloudRules::default(),
            books: None,
        };
        let others = others.into_iter().map(Member::local).collect();
        Router::ruled(Member::local(first), others, config, rules)
    }

    /// A chain that may reach into the cloud, each `Member::under` its rules.
    pub fn ruled(first: Member, others: Vec<Member>, config: RouterConfig, rules: Rules) -> Router {
        let members = std::iter::once(first).chain(others);
        let members: Vec<Member> = members.map(|member| member.under(&rules.cloud)).collect();
        let traits = members.iter().map(|member| member.traits).collect();
        let rest = Rest {
            first_ms: config.rest_ms,
            look_ms: config.look_ms,
        };
        Router {
            inner: Arc::new(Inner {
                config,
                agent: rules.agent,
                books: rules.books,
                members,
                board: Mutex::new(Board::new(traits, rest, rules.cloud)),
                is_looking: AtomicBool::new(false),
            }),
            asker: Asker::default(),
            told_of_limit: Arc::default(),
        }
    }

    fn gateways(&self) -> impl Iterator<Item = &dyn Gateway> {
        let members = self.inner.members.iter();
        members.map(|member| member.gateway.as_ref())
    }

    fn first(&self) -> &dyn Gateway {
        // `ruled` puts one there.
        self.inner.members[0].gateway.as_ref()
    }

    async fn run(
        &self,
        request: AskRequest,
        events: &mpsc::Sender<GatewayEvent>,
        told: &watch::Receiver<Told>,
    ) {
        let inner = &self.inner;
        let question = self.facts(&request);
        let steps = inner.board().order(Instant::now().into_std(), &question);
        let steps = match steps {
            Ok(steps) => steps,
            Err(nobody) => {
                let held = GatewayError::Held(Held::Nobody(nobody));
                let _ = events.send(GatewayEvent::Failed(held)).await;
                return;
            }
        };
        let is_announced = inner.board().rules().is_announced;
        let mut failed: Option<GatewayError> = None;
        let mut reached = None;
        for (n, step) in steps.iter().enumerate() {
            let member = &inner.members[step.link];
            let info = member.gateway.describe();
            let leave = step.why.map(|why| self.leave(why));
            // Where our proxy asks the cloud, it keeps the books.
            let is_there = member.traits.place == Place::Cloud;
            let page = match (&leave, &inner.books) {
                (Some(leave), Some(books)) if is_there => {
                    let ask = CloudAsk {
                        agent: leave.agent.clone(),
                        asker: leave.asker.clone(),
                        model: info.model.clone(),
                        address: info.address.clone(),
                        why: leave.why,
                        is_guess: question.is_guess,
                        guess: crate::budget::guess(question.chars, member.tokens_max),
                    };
                    match OpenPage::open(books.clone(), ask) {
                        Ok(page) => Some(page),
                        Err(limit) => {
                            reached = Some(limit);
                            failed = failed.or(Some(GatewayError::Held(Held::Spent(limit))));
                            continue;
                        }
                    }
                }
                _ => None,
            };
            let note = match (step.why, reached, &failed) {
                (Some(_), ..) if is_announced && is_there => Some(Progress::cloud(&info)),
                (Some(_), ..) if is_announced => Some(Progress::cloud_behind(&info)),
                (None, Some(limit), _) if !question.is_guess => {
                    let is_news = !self.told_of_limit.swap(true, Ordering::Relaxed);
                    is_news.then_some(Progress::Spent(limit))
                }
                (_, _, Some(GatewayError::Held(_)) | None) => None,
                _ => Some(Progress::trying(&info)),
            };
            if let Some(note) = note
                && events.send(GatewayEvent::Progress(note)).await.is_err()
            {
                return;
            }
            // A guess waits no longer than the question itself would.
            let is_last = n + 1 == steps.len() && !(question.is_guess && inner.members.len() > 1);
            let mut attempt = Attempt {
                inner,
                link: step.link,
                leave,
                page,
                ended: false,
            };
            inner.board().begin(Instant::now().into_std(), step.link);
            let patience = (!is_last).then(|| ms(inner.config.fallback_after_ms));
            let asked = attempt.run(request.clone(), patience, events, told);
            match asked.await {
                // Also where it has failed in the middle: what was begun cannot be asked again elsewhere.
                Ok(()) => return,
                Err(error) => {
                    attempt.end(Outcome::Failed(&error));
                    if let GatewayError::Held(Held::Spent(limit)) = &error {
                        reached = Some(*limit);
                    }
                    failed = Some(error);
                }
            }
        }
        if let Some(error) = failed {
            let _ = events.send(GatewayEvent::Failed(error)).await;
        }
    }

    fn leave(&self, why: CloudWhy) -> CloudLeave {
        CloudLeave {
            agent: match self.asker.agent.as_str() {
                "" => self.inner.agent.clone(),
                agent => agent.to_owned(),
            },
            asker: self.asker.clone(),
            why,
        }
    }

    fn facts(&self, request: &AskRequest) -> Facts {
        let said = request.messages.iter().map(|message| message.text.len());
        let tools = request.tools.iter().map(|tool| {
            tool.name.len() + tool.description.len() + tool.parameters.to_string().len()
        });
        let rounds = request.rounds.iter().map(ToolRound::chars);
        Facts {
            level: self.asker.level,
            has_tools: !request.tools.is_empty(),
            chars: request.system.len()
                + said.sum::<usize>()
                + tools.sum::<usize>()
                + rounds.sum::<usize>(),
            is_guess: request.speculative,
        }
    }
}

impl Inner {
    fn board(&self) -> MutexGuard<'_, Board> {
        self.board.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Looks at those that rest, in one task, until there is none to look at or the router is gone.
    fn look(self: &Arc<Inner>) {
        let wanted = self.board().next_look().is_some();
        if !wanted || self.is_looking.swap(true, Ordering::Relaxed) {
            return;
        }
        tokio::spawn(look(Arc::downgrade(self)));
    }
}

async fn look(router: Weak<Inner>) {
    loop {
        let Some(inner) = router.upgrade() else {
            return;
        };
        let next = inner.board().next_look();
        let Some(at) = next else {
            inner.is_looking.store(false, Ordering::Relaxed);
            // A rest that began in between has found a task, and would find none now.
            return inner.look();
        };
        drop(inner);
        sleep_until(Instant::from_std(at)).await;
        let Some(inner) = router.upgrade() else {
            return;
        };
        let due = inner.board().look(Instant::now().into_std());
        for link in due {
            let is_there = inner.members[link].gateway.check().await.is_ok();
            inner
                .board()
                .looked(Instant::now().into_std(), link, is_there);
        }
    }
}

impl Gateway for Router {
    fn describe(&self) -> GatewayInfo {
        self.first().describe()
    }

    /// All that a guess could go to: whoever is first just then. False also where it would go to nobody.
    fn only_answers(&self) -> bool {
        let (is_taken, takes_guesses) = {
            let board = self.inner.board();
            let rules = board.rules();
            // As long as nobody in particular asks: whoever may ask most.
            let level = self.asker.level.or(rules.levels.first().copied());
            (board.takes_guess(level), rules.takes_guesses())
        };
        let members = self.inner.members.iter();
        let mut asked = members.filter(|member| member.traits.stays_home() || takes_guesses);
        is_taken && asked.all(|member| member.gateway.only_answers())
    }

    fn ask(&self, request: AskRequest, events: mpsc::Sender<GatewayEvent>) -> AskHandle {
        let router = self.clone();
        let (telling, told) = watch::channel(Told {
            is_committed: !request.speculative,
            ..Told::default()
        });
        let task = tokio::spawn(async move {
            router.run(request, &events, &told).await;
        });
        AskHandle::telling(task, telling)
    }

    fn check(&self) -> BoxFuture<'_, Result<CheckReport, GatewayError>> {
        async { self.first().check().await }.boxed()
    }

    fn warm(&self) {
        self.gateways().for_each(Gateway::warm);
    }

    fn standing(&self) -> Option<String> {
        self.first().standing()
    }

    fn chain_health(&self) -> Vec<LinkHealth> {
        let health = self.inner.board().health(Instant::now().into_std());
        let members = self.inner.members.iter().zip(health);
        let of = |(member, health): (&Member, Health)| LinkHealth {
            info: member.gateway.describe(),
            place: member.traits.place,
            health,
        };
        members.map(of).collect()
    }

    /// With a memory of its own of what this caller was told; the health of the chain is everybody's.
    fn facing(&self, asker: &Asker) -> Option<Arc<dyn Gateway>> {
        Some(Arc::new(Router {
            inner: self.inner.clone(),
            asker: asker.clone(),
            told_of_limit: Arc::default(),
        }))
    }

    /// Of the first one that has any. A second agent with tools of its own is asked by nobody in the chain's name.
    fn approvals(&self) -> Option<broadcast::Receiver<ApprovalEvent>> {
        self.gateways().find_map(Gateway::approvals)
    }

    fn resolve(
        &self,
        id: ApprovalId,
        kind: ApprovalKind,
        decision: Decision,
    ) -> BoxFuture<'_, Result<(), GatewayError>> {
        let asker = self
            .gateways()
            .find(|gateway| gateway.approvals().is_some());
        asker
            .unwrap_or_else(|| self.first())
            .resolve(id, kind, decision)
    }

    fn news(&self, session: &str) -> Option<mpsc::Receiver<String>> {
        self.gateways().find_map(|gateway| gateway.news(session))
    }
}

/// One question to one gateway. Dropped before its end, it is over all the same: nobody wanted it any more.
struct Attempt<'a> {
    inner: &'a Arc<Inner>,
    link: usize,
    leave: Option<CloudLeave>,
    page: Option<OpenPage>,
    ended: bool,
}

impl Attempt<'_> {
    fn end(&mut self, outcome: Outcome<'_>) {
        if std::mem::replace(&mut self.ended, true) {
            return;
        }
        let now = Instant::now().into_std();
        self.inner.board().ended(now, self.link, outcome);
        if let Some(page) = self.page.take() {
            page.close(outcome);
        }
        if let Outcome::Failed(_) = outcome {
            self.inner.look();
        }
    }

    /// Hands the answer on, or its failure in the middle. An error is one that came before the first word; at most
    /// progress was handed on then. `patience` is the wait for a sign of life; none: the gateway's own.
    async fn run(
        &mut self,
        request: AskRequest,
        patience: Option<Duration>,
        events: &mpsc::Sender<GatewayEvent>,
        told: &watch::Receiver<Told>,
    ) -> Result<(), GatewayError> {
        let began = Instant::now();
        let (sender, mut receiver) = mpsc::channel(EVENTS_MAX);
        // Held here, so that leaving it cancels the gateway.
        let gateway = &self.inner.members[self.link].gateway;
        let asked = match self.leave.take() {
            Some(leave) => gateway.ask_with_leave(request, sender, leave),
            None => gateway.ask(request, sender),
        };
        let mut asked = OnBehalf::new(asked, told, "");
        let mut is_told = true;
        let mut patience = patience.map(|patience| began + patience);
        let mut has_begun = false;
        loop {
            let impatient = async {
                match patience {
                    Some(until) => sleep_until(until).await,
                    None => std::future::pending().await,
                }
            };
            let event = tokio::select! {
                biased;
                () = events.closed() => return Ok(()),
                more = asked.told_more(), if is_told => {
                    is_told = more;
                    continue;
                }
                event = receiver.recv() => event,
                () = impatient => return Err(GatewayError::Timeout(Wait::FirstToken)),
            };
            let event = match event {
                // A task that ends without a word has failed.
                None if has_begun => GatewayEvent::Failed(GatewayError::Cut),
                None => return Err(GatewayError::Cut),
                Some(GatewayEvent::Failed(error)) if !has_begun => return Err(error),
                Some(event) => event,
            };
            patience = None;
            if let Some(page) = &mut self.page {
                page.saw(&event);
            }
            // A tool that was named may be at work already: asked elsewhere, it would work twice.
            let begins = !matches!(
                event,
                GatewayEvent::Progress(Progress::Waiting | Progress::Trying { .. })
            );
            if begins && !std::mem::replace(&mut has_begun, true) {
                self.inner.board().first_word(self.link, began.elapsed());
            }
            match &event {
                GatewayEvent::Done { .. } => self.end(Outcome::Answered),
                GatewayEvent::Failed(error) => self.end(Outcome::Failed(error)),
                _ => {}
            }
            if events.send(event).await.is_err() {
                return Ok(());
            }
            if self.ended {
                asked.until_heard().await;
                return Ok(());
            }
        }
    }
}

impl Drop for Attempt<'_> {
    fn drop(&mut self) {
        self.end(Outcome::Unwanted);
    }
}

fn ms(value: u32) -> Duration {
    Duration::from_millis(u64::from(value))
}

#[cfg(test)]
#[path = "cloud_tests.rs"]
mod cloud_tests;
#[cfg(test)]
pub(crate) mod notebook;
#[cfg(test)]
mod tests;
