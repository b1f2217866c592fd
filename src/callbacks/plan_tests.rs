//! The plan by script on virtual time: what is rung, left and saved; and every way of being killed in between.

use std::collections::{BTreeMap, HashMap};

use jiff::Timestamp;
use jiff::tz::TimeZone;

use super::*;

const MINUTE: u64 = 60_000;
const HOUR: u64 = 60 * MINUTE;

#[path = "plan_kill_tests.rs"]
mod kill;

fn at(text: &str) -> UnixMs {
    let time: Timestamp = text.parse().expect("a time");
    u64::try_from(time.as_millisecond()).expect("after 1970")
}

fn berlin() -> TimeZone {
    TimeZone::get("Europe/Berlin").expect("a time zone")
}

fn quiet(hours: &str) -> Quiet {
    Quiet {
        hours: Quiet::parse(hours).expect("hours"),
        zone: berlin(),
    }
}

fn config() -> PlanConfig {
    PlanConfig {
        quiet_of: HashMap::new(),
        quiet: quiet("22:00-07:00"),
        urgent_breaks_quiet: false,
        retry_ms: 2 * MINUTE,
        busy_ms: MINUTE,
        calls_per_user_per_day: 10,
        open_per_user_max: 5,
    }
}

fn wish(user: &str, say: &str, now: UnixMs) -> Wish {
    Wish {
        to: Recipient::User(user.to_owned()),
        user: user.to_owned(),
        channel: Channel::Call,
        say: say.to_owned(),
        why: String::new(),
        number: String::new(),
        is_urgent: false,
        is_invited: false,
        not_before: now,
        not_after: now + 24 * HOUR,
        attempts_max: 3,
        key: None,
    }
}

/// A plan with a disk that takes everything, and what it wanted done.
struct Rig {
    plan: Plan,
    now: UnixMs,
    disk: BTreeMap<CallbackId, Record>,
    order: Vec<CallbackId>,
    notices: Vec<Notice>,
    /// In short, since it was looked at last.
    seen: Vec<String>,
}

impl Rig {
    fn new(config: PlanConfig, now: &str) -> Rig {
        let now = at(now);
        Rig {
            plan: Plan::new(config, Vec::new(), now),
            now,
            disk: BTreeMap::new(),
            order: Vec::new(),
            notices: Vec::new(),
            seen: Vec::new(),
        }
    }

    fn ask(&mut self, id: &str, wish: Wish) -> Result<CallbackId, AskError> {
        let taken = self.plan.ask(self.now, CallbackId(id.to_owned()), wish);
        self.drain();
        taken
    }

    fn drain(&mut self) {
        while let Some(output) = self.plan.poll_output() {
            self.carry_out(output);
        }
    }

    fn carry_out(&mut self, output: Output) {
        match output {
            Output::Save { record, notice } => {
                if !self.order.contains(&record.id) {
                    self.order.push(record.id.clone());
                }
                if let Some(notice) = notice {
                    self.seen.push(format!("leave {}", notice.callback.0));
                    self.notices.push(notice);
                }
                self.disk.insert(record.id.clone(), *record);
            }
            Output::Ring { id, join_only, .. } => {
                let word = if join_only { "join" } else { "ring" };
                self.seen.push(format!("{word} {}", id.0));
            }
            Output::HangUp { id } => self.seen.push(format!("hang up {}", id.0)),
        }
    }

    fn input(&mut self, input: Input) {
        self.plan.handle(self.now, input);
        self.drain();
    }

    /// Lets time pass, with everything that is due on the way.
    fn wait_until(&mut self, until: UnixMs) {
        while let Some(due) = self.plan.next_timeout().filter(|due| *due <= until) {
            assert!(self.seen.len() < 10_000, "it never rests");
            self.now = due.max(self.now);
            self.input(Input::Timeout);
        }
        self.now = until;
    }

    fn step(&mut self, words: &str) {
        let (word, rest) = words.split_once(' ').unwrap_or((words, ""));
        let (id, outcome) = rest.split_once(' ').unwrap_or((rest, ""));
        let id = CallbackId(id.to_owned());
        match word {
            "wait" => {
                let minutes: u64 = rest.parse().expect("minutes");
                self.wait_until(self.now + minutes * MINUTE);
            }
            "until" => self.wait_until(at(rest)),
            "began" => self.input(Input::Began {
                call: format!("call-{}", id.0),
                id,
            }),
            "told" => self.input(Input::Told { id, complete: true }),
            "ended" => {
                let outcome = match outcome {
                    "heard" => Outcome::Heard,
                    "cut" => Outcome::Cut,
                    "silent" => Outcome::Silent,
                    "machine" => Outcome::Machine,
                    "declined" => Outcome::Declined,
                    "busy" => Outcome::Busy,
                    "none" => Outcome::NoAnswer,
                    "nophone" => Outcome::NoPhone,
                    "refused" => Outcome::Refused("no".to_owned()),
                    "unready" => Outcome::NotReady,
                    _ => panic!("no outcome is called {outcome}"),
                };
                self.input(Input::Ended { id, outcome });
            }
            "cancel" => self.input(Input::Cancel { id }),
            "calls" => self.input(Input::CallsIn { user: id.0 }),
            "registers" => self.input(Input::Registered { user: id.0 }),
            _ => panic!("no step is called {word}"),
        }
    }

    /// Lines of `step -> what follows`.
    fn check(&mut self, script: &str) {
        for line in script
            .lines()
            .map(str::trim)
            .filter(|line| !line.is_empty())
        {
            let (step, expected) = line.split_once(" -> ").unwrap_or((line, ""));
            self.step(step);
            let seen = std::mem::take(&mut self.seen).join("; ");
            assert_eq!(seen, expected, "after `{step}` at {}", self.now);
        }
    }

    fn state(&self, id: &str) -> &'static str {
        let id = CallbackId(id.to_owned());
        let name = self.plan.record(&id).map(|record| record.state.name());
        assert_eq!(
            name,
            self.disk.get(&id).map(|record| record.state.name()),
            "the disk knows"
        );
        name.unwrap_or("unknown")
    }

    /// Dies, and starts again from the disk.
    fn restart(&mut self, config: PlanConfig) {
        let order = self.order.iter();
        let records = order.filter_map(|id| self.disk.get(id).cloned()).collect();
        self.plan = Plan::new(config, records, self.now);
    }
}

#[test]
fn what_becomes_of_a_request() {
    let rows = [
        // The first call is taken.
        (
            "began a
             told a
             ended a cut",
            "heard",
        ),
        (
            "began a
             ended a cut -> leave a",
            "left",
        ),
        ("began a\nended a silent -> leave a", "left"),
        ("began a\nended a machine -> leave a", "left"),
        ("ended a declined -> leave a", "left"),
        ("ended a refused -> leave a", "left"),
        // Nobody answers: two minutes, then six.
        (
            "ended a none
             wait 1
             wait 1 -> ring a
             ended a none
             wait 5
             wait 1 -> ring a
             ended a none -> leave a",
            "left",
        ),
        ("ended a busy\nwait 1 -> ring a", "ringing"),
        // We could not speak yet: nothing has rung, and nothing counts.
        ("ended a unready\nwait 1 -> ring a", "ringing"),
        ("ended a nophone\nregisters anna -> ring a", "ringing"),
        ("ended a none\nregisters anna", "waiting"),
        ("cancel a -> hang up a\nbegan a -> hang up a", "cancelled"),
        ("ended a none\ncancel a\nwait 60", "cancelled"),
        (
            "began a\ntold a\ncancel a -> hang up a\nended a cut",
            "heard",
        ),
        ("began a\ncancel a -> hang up a", "cancelled"),
    ];
    for (script, state) in rows {
        let mut rig = Rig::new(config(), "2026-11-21T12:00:00Z");
        let wish = wish("anna", "Hello.", rig.now);
        rig.ask("a", wish).expect("taken");
        assert_eq!(std::mem::take(&mut rig.seen), ["ring a"]);
        rig.check(script);
        assert_eq!(rig.state("a"), state, "{script}");
        let left = usize::from(state == "left");
        assert_eq!(rig.notices.len(), left, "{script}");
    }
}

#[test]
fn an_urgent_call_that_was_declined_rings_again() {
    let mut rig = Rig::new(config(), "2026-11-21T12:00:00Z");
    let mut wish = wish("anna", "The house is on fire.", rig.now);
    wish.is_urgent = true;
    rig.ask("a", wish).expect("taken");
    rig.check(
        "wait 0 -> ring a
         ended a declined
         wait 2 -> ring a
         began a",
    );
}

#[test]
fn quiet_hours_in_somebodys_own_time() {
    let rows = [
        // Over midnight, in winter: an hour east of UTC.
        (
            "22:00-07:00",
            "2026-11-21T20:59:00Z",
            "2026-11-21T20:59:00Z",
        ),
        (
            "22:00-07:00",
            "2026-11-21T21:00:00Z",
            "2026-11-22T06:00:00Z",
        ),
        (
            "22:00-07:00",
            "2026-11-22T05:59:59Z",
            "2026-11-22T06:00:00Z",
        ),
        (
            "22:00-07:00",
            "2026-11-22T06:00:00Z",
            "2026-11-22T06:00:00Z",
        ),
        // By day, and none.
        (
            "13:00-14:30",
            "2026-11-21T12:30:00Z",
            "2026-11-21T13:30:00Z",
        ),
        (
            "13:00-14:30",
            "2026-11-21T13:30:00Z",
            "2026-11-21T13:30:00Z",
        ),
        ("", "2026-11-21T23:00:00Z", "2026-11-21T23:00:00Z"),
        (
            "08:00-08:00",
            "2026-11-21T07:00:00Z",
            "2026-11-21T07:00:00Z",
        ),
        // The night that summer time begins is an hour shorter: 07:00 is 05:00 UTC.
        (
            "22:00-07:00",
            "2026-03-28T21:00:00Z",
            "2026-03-29T05:00:00Z",
        ),
        // The night that it ends is an hour longer: from 20:00 UTC to 06:00 UTC.
        (
            "22:00-07:00",
            "2026-10-24T20:00:00Z",
            "2026-10-25T06:00:00Z",
        ),
        (
            "22:00-07:00",
            "2026-10-24T19:59:00Z",
            "2026-10-24T19:59:00Z",
        ),
        // Hours that end in the hour that is left out: at its end.
        (
            "22:00-02:30",
            "2026-03-28T23:00:00Z",
            "2026-03-29T01:30:00Z",
        ),
        // Hours that end in the hour that comes twice: when it comes first.
        (
            "22:00-02:30",
            "2026-10-24T23:00:00Z",
            "2026-10-25T00:30:00Z",
        ),
        (
            "22:00-02:30",
            "2026-10-25T01:15:00Z",
            "2026-10-25T01:15:00Z",
        ),
    ];
    for (hours, now, expected) in rows {
        assert_eq!(
            quiet(hours).over_at(at(now)),
            at(expected),
            "{hours} at {now}"
        );
    }
    for wrong in [
        "22-7",
        "25:00-07:00",
        "22:00",
        "-",
        "a:b-c:d",
        "22:00-+7:00",
    ] {
        assert_eq!(Quiet::parse(wrong), None, "{wrong}");
    }
}

#[test]
fn nobody_is_rung_at_night() {
    let mut rig = Rig::new(config(), "2026-11-21T22:30:00Z");
    let now = rig.now;
    rig.ask("a", wish("anna", "Good morning.", now))
        .expect("taken");
    rig.check(
        "until 2026-11-22T05:59:59Z
         until 2026-11-22T06:00:00Z -> ring a
         ended a none
         until 2026-11-22T06:02:00Z -> ring a",
    );
    // A retry that falls into the night waits for the morning.
    let mut rig = Rig::new(config(), "2026-11-21T20:59:00Z");
    let now = rig.now;
    rig.ask("a", wish("anna", "Late.", now)).expect("taken");
    rig.check(
        "wait 0 -> ring a
         ended a none
         until 2026-11-22T05:00:00Z
         until 2026-11-22T06:00:00Z -> ring a",
    );
    // Too late then: it is there to be read, at once.
    let mut rig = Rig::new(config(), "2026-11-21T22:30:00Z");
    let mut short = wish("anna", "Dinner is ready.", rig.now);
    short.not_after = rig.now + HOUR;
    rig.ask("a", short).expect("taken");
    assert_eq!(rig.seen, ["leave a"]);
    // Urgent: only where the owner has said so, and then at once.
    for (breaks, expected) in [(false, vec![]), (true, vec!["ring a"])] {
        let config = PlanConfig {
            urgent_breaks_quiet: breaks,
            ..config()
        };
        let mut rig = Rig::new(config, "2026-11-21T22:30:00Z");
        let mut urgent = wish("anna", "The cellar is wet.", rig.now);
        urgent.is_urgent = true;
        rig.ask("a", urgent).expect("taken");
        assert_eq!(rig.seen, expected);
    }
    // Hours of their own.
    let mut config = config();
    config.quiet_of.insert("anna".to_owned(), quiet(""));
    let mut rig = Rig::new(config, "2026-11-21T22:30:00Z");
    let now = rig.now;
    rig.ask("a", wish("Anna", "Night shift.", now))
        .expect("taken");
    rig.ask("b", wish("bert", "Sleep well.", now))
        .expect("taken");
    assert_eq!(rig.seen, ["ring a"]);
}

#[test]
fn earliest_and_latest() {
    let mut rig = Rig::new(config(), "2026-11-21T12:00:00Z");
    let mut later = wish("anna", "Take the cake out.", rig.now);
    later.not_before = rig.now + 30 * MINUTE;
    later.not_after = rig.now + 33 * MINUTE;
    rig.ask("a", later).expect("taken");
    rig.check(
        "wait 29
         wait 1 -> ring a
         ended a none
         wait 2 -> ring a
         ended a none
         wait 2 -> leave a",
    );
}

#[test]
fn two_requests_for_one_user() {
    let mut rig = Rig::new(config(), "2026-11-21T12:00:00Z");
    let now = rig.now;
    rig.ask("a", wish("anna", "One.", now)).expect("taken");
    rig.ask("b", wish("anna", "Two.", now)).expect("taken");
    rig.ask("c", wish("bert", "Three.", now)).expect("taken");
    rig.check(
        "wait 0 -> ring a; ring c
         wait 1
         began a -> join b
         began b
         told b
         ended b heard
         told a
         ended a cut",
    );
    assert_eq!((rig.state("a"), rig.state("b")), ("heard", "heard"));
    // Nobody answers the first: the phone does not ring at once for the second.
    let mut rig = Rig::new(config(), "2026-11-21T12:00:00Z");
    rig.ask("a", wish("anna", "One.", now)).expect("taken");
    rig.ask("b", wish("anna", "Two.", now)).expect("taken");
    rig.check(
        "wait 0 -> ring a
         ended a none
         wait 1
         wait 1 -> ring a
         began a -> join b
         ended a cut -> leave a
         ended b unready
         wait 1 -> ring b",
    );
}

#[test]
fn who_calls_us_is_told_what_waits() {
    let mut rig = Rig::new(config(), "2026-11-21T22:30:00Z");
    let now = rig.now;
    rig.ask("a", wish("anna", "One.", now)).expect("taken");
    rig.ask("b", wish("bert", "Two.", now)).expect("taken");
    let mut later = wish("anna", "Not yet.", now);
    later.not_before = now + HOUR;
    rig.ask("c", later).expect("taken");
    rig.check(
        "calls anna -> join a
         began a
         told a
         ended a heard",
    );
    assert_eq!(rig.state("a"), "heard");
    assert_eq!((rig.state("b"), rig.state("c")), ("waiting", "waiting"));
    // They hang up before it can be told: the night is a night.
    rig.ask("d", wish("anna", "Four.", now)).expect("taken");
    rig.check(
        "calls anna -> join d
         ended d unready
         until 2026-11-22T06:00:00Z -> ring b; ring c",
    );
}

#[test]
fn the_same_key_is_the_same_request() {
    let mut rig = Rig::new(config(), "2026-11-21T12:00:00Z");
    let mut first = wish("anna", "Once.", rig.now);
    first.key = Some("k".to_owned());
    assert_eq!(rig.ask("a", first.clone()), Ok(CallbackId("a".to_owned())));
    assert_eq!(rig.ask("b", first.clone()), Ok(CallbackId("a".to_owned())));
    rig.restart(config());
    rig.drain();
    assert_eq!(rig.ask("c", first.clone()), Ok(CallbackId("a".to_owned())));
    let other = Wish {
        say: "Twice.".to_owned(),
        ..first
    };
    assert_eq!(rig.ask("d", other), Err(AskError::KeyTaken));
}

#[test]
fn limits() {
    let config = PlanConfig {
        calls_per_user_per_day: 2,
        ..config()
    };
    let mut rig = Rig::new(config.clone(), "2026-11-21T08:00:00Z");
    for id in ["a", "b"] {
        let now = rig.now;
        rig.ask(id, wish("anna", id, now)).expect("taken");
        rig.check(&format!(
            "wait 0 -> ring {id}\nbegan {id}\ntold {id}\nended {id} heard\nwait 10"
        ));
    }
    let now = rig.now;
    rig.ask("c", wish("anna", "c", now)).expect("taken");
    assert_eq!(std::mem::take(&mut rig.seen), ["leave c"]);
    // A new start forgets nothing.
    rig.restart(config);
    rig.drain();
    rig.ask("d", wish("anna", "d", now)).expect("taken");
    assert_eq!(std::mem::take(&mut rig.seen), ["leave d"]);
    rig.check("wait 1440");
    let now = rig.now;
    rig.ask("e", wish("anna", "e", now)).expect("taken");
    assert_eq!(std::mem::take(&mut rig.seen), ["ring e"]);
    for id in 0..4 {
        rig.ask(&format!("x{id}"), wish("anna", "x", now))
            .expect("taken");
    }
    let refused = rig.ask("y", wish("anna", "y", now));
    assert_eq!(refused, Err(AskError::TooManyOpen(5)));
    rig.ask("z", wish("bert", "z", now)).expect("taken");
}

#[test]
fn messages_ring_nobody() {
    for channel in [Channel::Text, Channel::VoiceNote] {
        let mut rig = Rig::new(config(), "2026-11-21T12:00:00Z");
        let wish = Wish {
            channel,
            ..wish("anna", "Read me.", rig.now)
        };
        rig.ask("a", wish).expect("taken");
        assert_eq!(rig.seen, ["leave a"]);
        assert_eq!(rig.notices[0].text, "Read me.");
    }
}
