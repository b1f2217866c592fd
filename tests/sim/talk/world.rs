//! One conversation: a queue of what is due on a clock that jumps, the turn machine in the middle, and around it what
//! carries out its actions. Owns the order of things; the rules about waiting are in `waiting`.
//! PURE.

mod waiting;

use std::collections::{BTreeMap, VecDeque};
use std::fmt::Write as _;
use std::time::{Duration, Instant};

use agent_bridge::conversation::Role;
use agent_bridge::endpoint::Asked;
use agent_bridge::interjection::Context;
use agent_bridge::turn::invariants::Checker;
use agent_bridge::turn::{
    Action, Entry, Event, HangupReason, Judge, ReplyId, State, Turn, TurnConfig,
};
use agent_bridge::words::same;
use rand::RngExt as _;
use rand::rngs::StdRng;

use super::agent;
use super::books::{Books, Counts};
use super::caller::{Act, Caller, Stretch};
use super::detector::{Detector, Report};
use super::mouth::Mouth;
use super::words::{Ears, Words};

/// One event must not set off more than this.
const ACTIONS_MAX: usize = 300;
const STEPS_MAX: usize = 100_000;
#[derive(Debug, Clone)]
enum Due {
    Voice(bool),
    Word(String),
    Detect(Report),
    Transcript(u32),
    Turn(Event),
    /// The first sound of a reply is made.
    Sound(ReplyId),
    /// The caller thinks of something to do.
    Plan,
    /// The caller does something over what we say, if they still can.
    React,
    End,
}

pub struct World {
    base: Instant,
    now: Duration,
    rng: StdRng,
    config: TurnConfig,
    turn: Turn,
    checker: Checker,
    books: Books,
    words: Words,
    detector: Detector,
    caller: Caller,
    mouth: Mouth,
    due: BTreeMap<(Duration, u64), Due>,
    counter: u64,
    /// The caller does something until then.
    busy_until: Duration,
    /// Since when the sound is held.
    paused_at: Option<Duration>,
    asked: Asked,
    question: String,
    /// What the caller's side does last.
    is_ending: bool,
    caller_waits: bool,

    story: String,
}

impl World {
    pub fn new(base: Instant, config: TurnConfig, mut rng: StdRng) -> World {
        let words = Words::new(Ears::new(&mut rng));
        let caller = Caller::new(&mut rng);
        World {
            base,
            now: Duration::ZERO,
            turn: Turn::new(config.clone()),
            config,
            checker: Checker::default(),
            books: Books::default(),
            words,
            detector: Detector::default(),
            caller,
            mouth: Mouth::default(),
            due: BTreeMap::new(),
            counter: 0,
            busy_until: Duration::ZERO,
            paused_at: None,
            asked: Asked::Nothing,
            question: String::new(),
            is_ending: false,
            caller_waits: false,

            story: String::new(),
            rng,
        }
    }

    pub fn config(&self) -> &TurnConfig {
        &self.config
    }

    /// Events and actions with their times.
    pub fn story(&self) -> String {
        self.story.clone()
    }

    pub fn counts(&self) -> Counts {
        let mut counts = self.books.counts.clone();
        let ledger = self.turn.ledger();
        counts.more("guesses", u64::from(ledger.guesses));
        counts.more("guesses hit", u64::from(ledger.hits));
        counts.more("guesses dropped", u64::from(ledger.misses));
        counts.more("words recorded", u64::from(self.words.recorded));
        counts.more("words misheard", u64::from(self.words.misheard));
        counts.more("words in a cut", u64::from(self.words.cut));
        counts.more("words excused", u64::from(self.words.excused));
        counts.more(
            "words while not listening",
            u64::from(self.words.not_listening),
        );
        counts.more(
            "bursts too short for words",
            u64::from(self.words.too_short),
        );
        counts.more("transcripts given up", u64::from(self.words.given_up));
        counts
    }

    pub fn run(&mut self) {
        if self.rng.random_bool(0.8) {
            let text = "Hello, this is the assistant. What can I do for you?".to_owned();
            self.at(Duration::ZERO, Due::Turn(Event::Announce { text }));
        }
        let first = Duration::from_millis(self.rng.random_range(0..4_000));
        self.at(first, Due::Plan);
        let mut steps = 0;
        while self.turn.state() != State::Ended {
            let timeout = self
                .turn
                .next_timeout()
                .map(|due| due.saturating_duration_since(self.base));
            let queued = self.due.keys().next().map(|(at, _)| *at);
            let ends = self.mouth.ends_at(self.now);
            let next = [timeout, queued, ends].into_iter().flatten().min();
            let Some(next) = next else {
                // Nobody will do anything any more: the program stops.
                self.is_ending = true;
                self.event(Event::Drain {
                    text: String::new(),
                });
                break;
            };
            // What has been due since before now is due now.
            self.now = next.max(self.now);
            if ends.is_some_and(|at| at <= self.now) {
                self.playout_ends();
            } else if queued.is_some_and(|at| at <= self.now) {
                if let Some((_, due)) = self.due.pop_first() {
                    self.happens(due);
                }
            } else {
                self.event(Event::Timeout);
                let next = self.turn.next_timeout();
                assert!(
                    next.is_none_or(|due| due > self.base + self.now),
                    "a timeout leaves itself due"
                );
            }
            self.begin_playout();
            self.check();
            steps += 1;
            assert!(steps < STEPS_MAX, "the conversation does not end");
        }
        self.books.check_end();
        assert!(!self.checker.has_guesses());
        assert!(!self.mouth.is_paused, "the sound is held for ever");
        assert_eq!(self.turn.next_timeout(), None);
    }

    fn at(&mut self, at: Duration, due: Due) {
        self.counter += 1;
        self.due.insert((at, self.counter), due);
    }

    fn happens(&mut self, due: Due) {
        match due {
            Due::Voice(on) => self.voice(on),
            Due::Word(text) => self.words.said(text),
            Due::Detect(report) => self.detect(&report),
            Due::Transcript(number) => self.transcript(number),
            Due::Turn(event) => self.event(event),
            Due::Sound(id) => {
                if let Some(voice) = self.mouth.current.as_mut().filter(|voice| voice.id == id) {
                    voice.has_sound = true;
                }
            }
            Due::Plan => self.plan(),
            Due::React => {
                if self.busy_until <= self.now && self.mouth.is_audible() {
                    let ours = self.mouth.current.as_ref().map_or("", |voice| &voice.text);
                    let act = self.caller.over_us(ours, &mut self.rng);
                    self.act(act);
                }
            }
            Due::End => {
                let text = if self.rng.random_bool(0.5) {
                    "Goodbye."
                } else {
                    ""
                }
                .to_owned();
                self.is_ending = true;
                self.event(Event::Drain { text });
            }
        }
    }

    // The caller.

    fn plan(&mut self) {
        if self.busy_until > self.now {
            self.at(self.busy_until, Due::Plan);
            return;
        }
        if self.caller.acts_left == 0 {
            // Some say goodbye, some are silent until they are asked, and some are gone.
            if self.rng.random_bool(0.7) {
                let wait = Duration::from_millis(self.rng.random_range(0..8_000));
                self.at(self.now + wait, Due::End);
            }
            return;
        }
        self.caller.acts_left -= 1;
        let act = self.caller.while_quiet(&mut self.rng);
        self.act(act);
        let wait = Duration::from_millis(self.rng.random_range(300..7_000));
        let next = self.busy_until.max(self.now) + wait;
        self.at(next, Due::Plan);
    }

    fn act(&mut self, act: Act) {
        match act {
            Act::Speak(stretches) => self.speak(stretches),
            Act::Key(digit) => self.event(Event::Dtmf { digit }),
            Act::Wait(time) => {
                self.busy_until = self.now + time;
                if self.rng.random_bool(0.2) {
                    self.caller_waits = true;
                    self.event(Event::CallerWaits { waits: true });
                }
            }
            Act::Leave => {
                self.caller.acts_left = 0;
                self.at(self.now, Due::End);
            }
        }
    }

    fn speak(&mut self, stretches: Vec<Stretch>) {
        let mut at = self.now;
        for stretch in stretches {
            at += stretch.after;
            self.at(at, Due::Voice(true));
            for (end, word) in stretch.words {
                self.at(at + end, Due::Word(word));
            }
            at += stretch.length;
            self.at(at, Due::Voice(false));
        }
        self.busy_until = at + Duration::from_millis(1);
    }

    fn voice(&mut self, on: bool) {
        if !on {
            self.words.voice_ends(self.now);
        }
        if !on && !self.detector.is_speech {
            self.books.counts.one("coughs and clicks");
        }
        for report in self.detector.voice(self.now, on) {
            self.at(report.at, Due::Detect(report));
        }
    }

    fn detect(&mut self, report: &Report) {
        if !self.detector.take(report) {
            return;
        }
        if report.event == Event::SpeechStarted {
            self.words.open();
        }
        self.event(report.event.clone());
        let is_pause = matches!(report.event, Event::SpeechPaused | Event::SpeechStopped);
        if is_pause && self.turn.state() == State::Endpointing && self.rng.random_bool(0.7) {
            let judge = if self.rng.random_bool(0.7) {
                Judge::Prosody
            } else {
                Judge::Model
            };
            let probability = self.rng.random_range(0.0..1.0);
            self.event(Event::EndOfTurn { judge, probability });
        }
    }

    fn transcript(&mut self, utterance: u32) {
        let voice = self.mouth.current.as_ref();
        let speaking = voice.map_or_else(String::new, |voice| voice.text.clone());
        // While the voice goes on, it is not judged for good.
        let is_whole = self.detector.is_paused || !self.detector.is_speech;
        let context = Context {
            speaking: &speaking,
            asked: Words::asked(&speaking, self.asked),
        };
        let context = (self.turn.is_claimed() && is_whole).then_some(context);
        let text = self.words.answer(utterance, context, &self.config);
        let certainty = self.words.certainty(&mut self.rng);
        self.event(Event::Final {
            utterance,
            text,
            certainty,
        });
    }

    // The machine.

    fn event(&mut self, event: Event) {
        let mut events = VecDeque::from([event]);
        while let Some(event) = events.pop_front() {
            self.one_event(event, &mut events);
            let is_collecting = self.turn.is_claimed()
                || matches!(self.turn.state(), State::UserSpeaking | State::Endpointing);
            if !is_collecting && !self.detector.is_speech && self.words.is_open() {
                self.words.take(false);
            }
        }
        let is_over = matches!(self.turn.state(), State::Closing | State::Ended);
        self.words.check(&self.config, is_over);
    }

    fn one_event(&mut self, event: Event, events: &mut VecDeque<Event>) {
        let _ = writeln!(self.story, "{:>8} {event:?}", self.now.as_millis());
        self.checker.event(&event);
        self.note(&event);
        let before = self.turn.state();
        let was_claimed = self.turn.is_claimed();
        self.turn.handle(self.base + self.now, event.clone());
        let mut actions = Vec::new();
        while let Some(action) = self.turn.poll_action() {
            assert!(
                actions.len() < ACTIONS_MAX,
                "too much follows from one event"
            );
            let _ = writeln!(self.story, "            {action:?}");
            actions.push(action);
        }
        let stops = actions
            .iter()
            .any(|action| matches!(action, Action::StopPlayout { .. }));
        let cancels = actions
            .iter()
            .any(|action| matches!(action, Action::Cancel { .. }));
        let commits = actions
            .iter()
            .any(|action| matches!(action, Action::Commit { .. }));
        let records = actions
            .iter()
            .any(|action| matches!(action, Action::Record(entry) if entry.role == Role::User));
        if was_claimed && !self.turn.is_claimed() && !matches!(event, Event::Drain { .. }) {
            self.books.counts.one(match stops || cancels {
                true => "floors taken",
                false => "claims given back",
            });
        }
        if stops && matches!(event, Event::Dtmf { .. }) {
            self.books.counts.one("floors taken by a key");
        }
        if before == State::UserSpeaking
            && event == Event::Timeout
            && self.turn.state() == State::Endpointing
        {
            self.books.counts.one("speech cut for its length");
        }
        // A guess that was right, and failed: the same question, without another entry.
        let is_again = commits && !records;
        for action in actions {
            self.checker.action(&action);
            self.action(action, is_again, events);
        }
        let _ = writeln!(self.story, "            {:?}", self.turn.state());
    }

    /// What is known from an event before the machine knows it.
    fn note(&mut self, event: &Event) {
        match event {
            Event::ReplyToolCall { id, call } => self.books.tool_told(*id, &call.id),
            Event::PlayoutStopped {
                id,
                heard,
                complete,
            } => {
                self.books.playout_ended(*id, heard, *complete);
                if !heard.trim().is_empty() {
                    self.asked = if *complete {
                        Asked::by(heard)
                    } else {
                        Asked::Nothing
                    };
                }
            }
            _ => {}
        }
    }

    fn action(&mut self, action: Action, is_again: bool, events: &mut VecDeque<Event>) {
        match action {
            Action::Transcribe { utterance } => {
                if let Some(at) = self.words.transcribe(self.now, utterance, &mut self.rng) {
                    self.at(at, Due::Transcript(utterance));
                }
            }
            Action::DropUtterance { utterance } => {
                self.words.drop_job(self.now, utterance, &self.config);
                self.books.counts.one("transcripts dropped");
            }
            Action::Speculate { id, text, is_guess } => {
                if is_again {
                    assert!(
                        !is_guess && text == self.question,
                        "asked something else again"
                    );
                } else {
                    let latest = self.words.latest(&self.config);
                    assert_eq!(text, latest, "asked what was not heard");
                }
                self.books.asked(id);
                self.question = text;
                for (after, event) in agent::answer(id, &mut self.rng) {
                    self.at(self.now + after, Due::Turn(event));
                }
            }
            Action::Commit { id } => {
                self.books.committed(id, is_again);
                let latest = self.words.latest(&self.config);
                assert!(
                    is_again || same(&self.question, &latest),
                    "committed what was not said"
                );
            }
            Action::Cancel { id } => {
                self.books.cancelled(id);
                self.mouth.forget(id);
                if self.rng.random_bool(0.5) {
                    self.due.retain(|_, due| !is_of(due, id));
                }
            }
            Action::Prepare { id, text, .. } => {
                self.books.prepared(id);
                self.mouth.prepare(id, &text);
            }
            Action::Speak { id, text, last } => self.say(id, &text, last),
            Action::RunTool { id, call } => {
                assert!(
                    !self.mouth.is_paused,
                    "a tool runs while the caller claims the floor"
                );
                self.books.tool_run(id, &call.id);
            }
            Action::Pause => {
                assert!(!self.mouth.is_paused, "paused twice");
                self.mouth.count(self.now);
                self.mouth.is_paused = true;
                self.paused_at = Some(self.now);
                self.words.claimed(self.now, self.config.onset_ms);
                self.books.counts.one("claims");
            }
            Action::Resume => {
                assert!(self.mouth.is_paused, "resumed without a pause");
                self.mouth.count(self.now);
                self.mouth.is_paused = false;
                self.paused_at = None;
            }
            Action::StopPlayout { id } => {
                let stopped = self.mouth.stop(self.now, id);
                let (heard, complete) = stopped.expect("what is stopped is with the voice");
                events.push_back(Event::PlayoutStopped {
                    id,
                    heard,
                    complete,
                });
            }
            Action::Record(entry) => self.record(entry),
            Action::Told { .. } => {}
            Action::Hangup { why } => {
                assert!(self.books.hung_up.replace(why).is_none(), "hung up twice");
                match why {
                    HangupReason::SilentCaller => self.books.counts.one("calls ended for silence"),
                    HangupReason::AgentFailed => self.books.counts.one("calls ended for failures"),
                    _ => {}
                }
            }
        }
    }

    fn record(&mut self, entry: Entry) {
        match (entry.role, entry.aside) {
            (Role::User, aside) => {
                self.words.recorded(&entry.text, &self.config);
                if !aside {
                    self.books.entry();
                    let detector = &self.detector;
                    self.words.take(detector.is_speech && !detector.is_paused);
                    if detector.is_speech {
                        self.words.open();
                    }
                } else if agent_bridge::interjection::is_only_stop(&entry.text) {
                    self.books.counts.one("stops obeyed");
                } else {
                    self.books.counts.one("agreements recorded");
                }
            }
            _ => self.books.heard(&entry.text, entry.complete, entry.aside),
        }
    }

    fn say(&mut self, id: ReplyId, text: &str, last: bool) {
        let voice = self.mouth.current.as_ref().map(|voice| voice.id);
        self.books.spoken(id, voice);
        let phrases = &self.config.phrases;
        if self.books.is_own(id) {
            let is_filler = phrases.fillers.iter().any(|filler| filler == text)
                || text == phrases.trying_next
                || text == phrases.asking_cloud
                || text.starts_with("One moment, ");
            if is_filler {
                assert!(
                    !self.detector.has_voice || !self.turn.is_claimed(),
                    "a filler over the caller"
                );
                self.books.filler(text);
            }
            if text == phrases.still_there {
                self.books.counts.one("silences questioned");
            }
        }
        if self.mouth.speak(self.now, id, text, last) {
            // A voice may fail to make any sound.
            let delay = match self.rng.random_range(0..150) {
                0 => return,
                1 => self.rng.random_range(1_000..4_000),
                _ => self.rng.random_range(5..120),
            };
            self.at(self.now + Duration::from_millis(delay), Due::Sound(id));
        }
    }

    fn begin_playout(&mut self) {
        self.mouth.count(self.now);
        if let Some(id) = self.mouth.begins() {
            self.books.audible(id);
            self.event(Event::PlayoutStarted { id });
            if self.rng.random_bool(0.45) {
                let after = Duration::from_millis(self.rng.random_range(50..3_500));
                self.at(self.now + after, Due::React);
            }
        }
    }

    fn playout_ends(&mut self) {
        if let Some((id, heard)) = self.mouth.ends(self.now) {
            let complete = true;
            self.event(Event::PlayoutStopped {
                id,
                heard,
                complete,
            });
        }
    }
}

fn is_of(due: &Due, reply: ReplyId) -> bool {
    match due {
        Due::Turn(
            Event::ReplyText { id, .. }
            | Event::ReplyToolCall { id, .. }
            | Event::ReplyProgress { id, .. }
            | Event::ReplyFailed { id, .. },
        ) => *id == reply,
        _ => false,
    }
}
