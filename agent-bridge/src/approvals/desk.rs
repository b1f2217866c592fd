//! The desk of one call, where its caller is asked: reads a request out, takes a code or a PIN, and says what follows.
//!
//! Driving contract: `handle(now, input)`, then `poll_output()` until `None`, then `next_timeout()`. While
//! `wants_floor()` the call hands in `Input::Floor` as soon as nobody speaks; from then on until `Output::Over` the desk
//! has the floor: what is heard and keyed in is its own, and nothing of it reaches the agent.
//!
//! Whatever isn't the code of the very request that was read out, given after it was read out, is a no: other words,
//! other digits, silence, hanging up. Our own sound come back is no answer at all. Owns the stages and their times;
//! not the rights (`levels`), not the words (`wording`, `answer`), not the PIN's hash.
//! PURE.

mod caller;
mod questions;

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use rand::SeedableRng as _;
use rand::rngs::StdRng;

use super::answer::Order;
use super::wording::read_out;
use super::{ApprovalId, ApprovalRequest, Decision};
use crate::levels::{Caller, Level, Rules, Verdict, Why as LevelWhy, Wish, may};

/// `*` and a second key within this time are one order.
const ORDER_KEYS: Duration = Duration::from_secs(3);
const STOP_KEY: char = '0';
const PIN_KEY: char = '1';
const LIFT_KEY: char = '9';

/// Times in milliseconds.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct DeskConfig {
    /// Wait for an answer, from the question's last sound.
    pub answer_ms: u32,
    /// Wait for the next digit of a PIN.
    pub pin_ms: u32,
    /// Longest question; a voice that takes longer has failed.
    pub prompt_ms_max: u32,
    /// Speech that begins so soon after the question's last sound may still be its echo.
    pub guard_ms: u32,
    /// Words that the recogniser trusts less are no answer.
    pub certainty_min: f32,
    /// Requests that wait behind the one that is read out; more are refused.
    pub queue_max: usize,
}

impl Default for DeskConfig {
    fn default() -> DeskConfig {
        DeskConfig {
            answer_ms: 20_000,
            pin_ms: 15_000,
            prompt_ms_max: 90_000,
            guard_ms: 500,
            certainty_min: 0.35,
            queue_max: 4,
        }
    }
}

/// What the desk is told.
#[derive(Debug, Clone, PartialEq)]
pub enum Input {
    /// Somebody wants to do something.
    Offer(ApprovalRequest),
    /// It was decided elsewhere, or is moot.
    Withdraw(ApprovalId),
    /// Approvals are stopped, or possible again.
    Frozen(bool),
    /// Nobody speaks: the desk may.
    Floor,
    /// The last sound of what was to be said has been sent.
    PromptEnded,
    /// Part of it could not be said.
    PromptFailed,
    /// The caller began to speak.
    Speech,
    /// What they said; `Speech` came before.
    Words {
        text: String,
        certainty: f32,
    },
    Key(char),
    /// Words outside of a question, which the call has taken for an order.
    Order(Order),
    PinChecked(PinVerdict),
    /// The caller has hung up.
    End,
    Timeout,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PinVerdict {
    Right(Level),
    /// So many more tries.
    Wrong {
        tries_left: u32,
    },
    /// It could not be looked at.
    Failed,
}

/// What the desk wants done.
#[derive(Debug, Clone, PartialEq)]
pub enum Output {
    /// Say this, instead of whatever the desk was saying. Sentences.
    Say(Vec<String>),
    /// Look at this PIN; `Input::PinChecked` follows. A secret.
    CheckPin(String),
    Decided {
        id: ApprovalId,
        decision: Decision,
        why: Why,
    },
    /// Not decided here: it waits for somebody at a screen.
    Left(ApprovalId),
    /// The caller's level is this now.
    Raised(Level),
    /// End all that is under way. `freezes`: and refuse approvals until that is lifted.
    Stop { freezes: bool },
    /// Approvals are possible again.
    Lift,
    /// To be said at the next occasion.
    Announce(String),
    /// The floor is free again.
    Over,
}

/// Why a request was decided as it was.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Why {
    CodeByKey,
    CodeByVoice,
    RefusedByKey,
    RefusedByVoice,
    WrongCode,
    Unclear,
    Silence,
    HungUp,
    Level,
    Pin,
    Frozen,
    Stopped,
    Expired,
    TooMany,
    NotSaid,
}

impl Why {
    /// For records.
    pub fn as_str(self) -> &'static str {
        match self {
            Why::CodeByKey => "code by key",
            Why::CodeByVoice => "code by voice",
            Why::RefusedByKey => "refused by key",
            Why::RefusedByVoice => "refused by voice",
            Why::WrongCode => "wrong code",
            Why::Unclear => "unclear words",
            Why::Silence => "silence",
            Why::HungUp => "hung up",
            Why::Level => "not allowed at this level",
            Why::Pin => "no right PIN",
            Why::Frozen => "approvals are stopped",
            Why::Stopped => "stopped by the caller",
            Why::Expired => "too late",
            Why::TooMany => "too many at once",
            Why::NotSaid => "could not be read out",
        }
    }
}

#[derive(Debug)]
struct Waiting {
    request: ApprovalRequest,
    expires_at: Instant,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Errand {
    Pin,
    Lift,
}

#[derive(Debug)]
enum About {
    Approval(Waiting),
    Errand(Errand),
    /// It is decided; only the last words are still to be said.
    Nothing,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stage {
    Pin,
    PinCheck,
    Answer,
    Closing,
}

#[derive(Debug)]
struct Scene {
    about: About,
    stage: Stage,
    /// Of this request and no other.
    code: String,
    keys: String,
    prompt: String,
    /// When its last sound was sent.
    prompt_ended_at: Option<Instant>,
    /// The speech that is going on or being made out began over the question.
    is_over_prompt: bool,
    is_speaking: bool,
    due: Instant,
}

/// One call's desk.
#[derive(Debug)]
pub struct Desk {
    config: DeskConfig,
    caller: Caller,
    rules: Rules,
    rng: StdRng,
    queue: VecDeque<Waiting>,
    errand: Option<Errand>,
    scene: Option<Scene>,
    star_at: Option<Instant>,
    outputs: VecDeque<Output>,
    is_over: bool,
}

impl Desk {
    pub fn new(config: DeskConfig, caller: Caller, rules: Rules, seed: [u8; 32]) -> Desk {
        Desk {
            config,
            caller,
            rules,
            rng: StdRng::from_seed(seed),
            queue: VecDeque::new(),
            errand: None,
            scene: None,
            star_at: None,
            outputs: VecDeque::new(),
            is_over: false,
        }
    }

    pub fn caller(&self) -> &Caller {
        &self.caller
    }

    pub fn rules(&self) -> &Rules {
        &self.rules
    }

    /// Something is to be asked as soon as nobody speaks.
    pub fn wants_floor(&self) -> bool {
        self.scene.is_none() && (self.errand.is_some() || !self.queue.is_empty())
    }

    /// Whether what is heard and keyed in belongs to the desk.
    pub fn has_floor(&self) -> bool {
        self.scene.is_some()
    }

    /// Requests that wait or are being asked.
    pub fn is_waiting(&self) -> bool {
        let is_asking = |scene: &Scene| matches!(scene.about, About::Approval(_));
        !self.queue.is_empty() || self.scene.as_ref().is_some_and(is_asking)
    }

    /// Whether this key is the desk's. It has to be handed in all the same.
    pub fn takes_key(&self, now: Instant, key: char) -> bool {
        let is_order = matches!(key, STOP_KEY | PIN_KEY | LIFT_KEY) && self.has_star(now);
        self.scene.is_some() || is_order
    }

    pub fn poll_output(&mut self) -> Option<Output> {
        self.outputs.pop_front()
    }

    pub fn next_timeout(&self) -> Option<Instant> {
        let waiting = self.queue.iter().map(|waiting| waiting.expires_at);
        let scene = self.scene.iter().flat_map(|scene| {
            let expires_at = match &scene.about {
                About::Approval(waiting) => Some(waiting.expires_at),
                _ => None,
            };
            [Some(scene.due), expires_at].into_iter().flatten()
        });
        waiting.chain(scene).min()
    }

    pub fn handle(&mut self, now: Instant, input: Input) {
        debug_assert!(self.outputs.is_empty(), "outputs must be drained");
        if self.is_over {
            return;
        }
        match input {
            Input::Offer(request) => self.offer(now, request),
            Input::Withdraw(id) => self.withdraw(now, &id),
            Input::Frozen(is_frozen) => self.frozen(is_frozen),
            Input::Floor => self.begin(now),
            Input::PromptEnded => self.prompt_ended(now),
            Input::PromptFailed => self.prompt_failed(),
            Input::Speech => self.speech(now),
            Input::Words { text, certainty } => self.words(now, &text, certainty),
            Input::Key(key) => self.key(now, key),
            Input::Order(order) => self.order(order),
            Input::PinChecked(verdict) => self.pin_checked(now, verdict),
            Input::End => {
                self.deny_all(Why::HungUp);
                self.scene = None;
                self.errand = None;
                self.is_over = true;
            }
            Input::Timeout => self.timeout(now),
        }
    }

    // Requests.

    fn offer(&mut self, now: Instant, request: ApprovalRequest) {
        let refused = match may(&self.caller, &self.rules, Wish::Approve) {
            Verdict::Yes | Verdict::AfterPin => None,
            Verdict::No(LevelWhy::Frozen) => Some(Why::Frozen),
            Verdict::No(_) | Verdict::Message => Some(Why::Level),
        };
        let is_full = self.queue.len() >= self.config.queue_max;
        match refused.or(is_full.then_some(Why::TooMany)) {
            Some(why) => self.decide(request.id, Decision::Deny, why),
            None => {
                let expires_at = now + request.expires_in;
                let waiting = Waiting {
                    request,
                    expires_at,
                };
                self.queue.push_back(waiting);
            }
        }
    }

    fn withdraw(&mut self, now: Instant, id: &ApprovalId) {
        self.queue.retain(|waiting| waiting.request.id != *id);
        let is_asked =
            |scene: &Scene| matches!(&scene.about, About::Approval(w) if w.request.id == *id);
        if self.scene.as_ref().is_some_and(is_asked) {
            self.close(now, questions::ELSEWHERE);
        }
    }

    fn frozen(&mut self, is_frozen: bool) {
        self.rules.is_frozen = is_frozen;
        if is_frozen {
            let was_asking = self.is_waiting();
            self.deny_all(Why::Frozen);
            if was_asking && self.scene.take().is_some() {
                self.act(Output::Over);
            }
        }
    }

    /// The floor is ours: the next thing to be asked.
    fn begin(&mut self, now: Instant) {
        if self.scene.is_some() {
            return;
        }
        if let Some(errand) = self.errand.take() {
            self.open(now, About::Errand(errand), Stage::Pin);
            self.say(now, vec![questions::PIN.to_owned()]);
        } else if let Some(waiting) = self.queue.pop_front() {
            self.ask(now, waiting);
        }
    }

    fn ask(&mut self, now: Instant, waiting: Waiting) {
        match may(&self.caller, &self.rules, Wish::Approve) {
            Verdict::Yes => {}
            Verdict::AfterPin => {
                self.open(now, About::Approval(waiting), Stage::Pin);
                let first = questions::PIN_FOR_APPROVAL.to_owned();
                return self.say(now, vec![first, questions::PIN.to_owned()]);
            }
            verdict => {
                let is_frozen = verdict == Verdict::No(LevelWhy::Frozen);
                let why = if is_frozen { Why::Frozen } else { Why::Level };
                self.decide(waiting.request.id, Decision::Deny, why);
                self.open(now, About::Nothing, Stage::Closing);
                return self.say(now, vec![questions::REFUSED.to_owned()]);
            }
        }
        let reading = read_out(&waiting.request);
        if reading.is_imitation {
            self.act(Output::Left(waiting.request.id));
            self.open(now, About::Nothing, Stage::Closing);
            return self.say(now, vec![questions::ON_SCREEN.to_owned()]);
        }
        let code = questions::code(&mut self.rng, &waiting.request);
        let text = questions::approval(waiting.request.kind, &reading, &code);
        self.open(now, About::Approval(waiting), Stage::Answer);
        if let Some(scene) = &mut self.scene {
            scene.code = code;
        }
        self.say(now, text);
    }

    fn open(&mut self, now: Instant, about: About, stage: Stage) {
        self.scene = Some(Scene {
            about,
            stage,
            code: String::new(),
            keys: String::new(),
            prompt: String::new(),
            prompt_ended_at: None,
            is_over_prompt: false,
            is_speaking: false,
            due: now,
        });
    }

    fn say(&mut self, now: Instant, sentences: Vec<String>) {
        let longest = ms(self.config.prompt_ms_max);
        let Some(scene) = &mut self.scene else { return };
        scene.prompt = sentences.join(" ");
        scene.prompt_ended_at = None;
        scene.due = now + longest;
        // What they are saying was begun before they could have heard this.
        scene.is_over_prompt = scene.is_speaking;
        self.act(Output::Say(sentences));
    }

    fn prompt_ended(&mut self, now: Instant) {
        let Some(scene) = &mut self.scene else { return };
        if scene.prompt_ended_at.is_some() {
            return;
        }
        scene.prompt_ended_at = Some(now);
        match scene.stage {
            Stage::Pin => scene.due = now + ms(self.config.pin_ms),
            Stage::Answer => scene.due = now + ms(self.config.answer_ms),
            Stage::PinCheck => {}
            Stage::Closing => self.finish(),
        }
    }

    /// What was not read out whole has not been asked, and there is no voice to say so.
    fn prompt_failed(&mut self) {
        let Some(scene) = &mut self.scene else { return };
        if let About::Approval(waiting) = std::mem::replace(&mut scene.about, About::Nothing) {
            self.decide(waiting.request.id, Decision::Deny, Why::NotSaid);
        }
        self.finish();
    }

    fn finish(&mut self) {
        self.scene = None;
        self.act(Output::Over);
    }

    /// Nothing more is asked; these are the last words of it.
    fn close(&mut self, now: Instant, text: &str) {
        if let Some(scene) = &mut self.scene {
            scene.about = About::Nothing;
            scene.stage = Stage::Closing;
            scene.keys.clear();
        }
        self.say(now, vec![text.to_owned()]);
    }

    /// Decides the request that is being asked, if it is one.
    fn settle(&mut self, now: Instant, decision: Decision, why: Why) {
        let Some(scene) = &mut self.scene else { return };
        let about = std::mem::replace(&mut scene.about, About::Nothing);
        let text = match (&about, decision, why) {
            (About::Approval(_), Decision::AllowOnce, _) => questions::ALLOWED,
            (_, _, Why::Pin) => questions::NO_MORE_PINS,
            (About::Approval(_), _, Why::WrongCode) => questions::WRONG_CODE,
            (About::Approval(_), _, Why::Unclear) => questions::UNCLEAR,
            (About::Approval(_), _, Why::Silence) => questions::SILENCE,
            (About::Approval(_), _, Why::Expired) => questions::EXPIRED,
            (About::Approval(_), _, _) => questions::REFUSED,
            _ => questions::NEVER_MIND,
        };
        if let About::Approval(waiting) = about {
            self.decide(waiting.request.id, decision, why);
        }
        self.close(now, text);
    }

    fn decide(&mut self, id: ApprovalId, decision: Decision, why: Why) {
        self.act(Output::Decided { id, decision, why });
    }

    fn deny_all(&mut self, why: Why) {
        if let Some(scene) = &mut self.scene
            && let About::Approval(waiting) = std::mem::replace(&mut scene.about, About::Nothing)
        {
            self.decide(waiting.request.id, Decision::Deny, why);
        }
        while let Some(waiting) = self.queue.pop_front() {
            self.decide(waiting.request.id, Decision::Deny, why);
        }
    }

    // Waits.

    fn timeout(&mut self, now: Instant) {
        let mut expired = Vec::new();
        self.queue.retain(|waiting| {
            let is_late = waiting.expires_at <= now;
            if is_late {
                expired.push(waiting.request.id.clone());
            }
            !is_late
        });
        for id in expired {
            self.decide(id, Decision::Deny, Why::Expired);
        }
        let Some(scene) = &self.scene else { return };
        if let About::Approval(waiting) = &scene.about
            && waiting.expires_at <= now
        {
            return self.settle(now, Decision::Deny, Why::Expired);
        }
        if scene.due > now {
            return;
        }
        match scene.stage {
            Stage::Closing => self.finish(),
            // A question that could not be said was not asked.
            _ => self.settle(now, Decision::Deny, Why::Silence),
        }
    }

    fn act(&mut self, output: Output) {
        self.outputs.push_back(output);
    }
}

fn ms(value: u32) -> Duration {
    Duration::from_millis(u64::from(value))
}

#[cfg(test)]
#[path = "desk_tests.rs"]
mod tests;
