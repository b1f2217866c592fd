//! The desk as scripts: `input -> output; output`, on virtual time. `{code}` stands for the code that was read out.

use super::super::answer;
use super::*;
use crate::approvals::ApprovalKind;
use crate::levels::Origin;

struct Rig {
    desk: Desk,
    now: Instant,
    code: String,
}

fn owner() -> Caller {
    Caller::account(Level::Owner)
}

fn family_with_pin() -> Caller {
    Caller {
        pin: Some(Level::Owner),
        ..Caller::account(Level::Family)
    }
}

impl Rig {
    fn new(caller: Caller) -> Rig {
        let rules = Rules {
            approvals: Level::Owner,
            is_frozen: false,
        };
        Rig {
            desk: Desk::new(DeskConfig::default(), caller, rules, [5; 32]),
            now: Instant::now(),
            code: String::new(),
        }
    }

    fn input(&mut self, input: Input) -> Vec<String> {
        self.desk.handle(self.now, input);
        let mut seen = Vec::new();
        while let Some(output) = self.desk.poll_output() {
            seen.push(match output {
                Output::Say(sentences) => {
                    if sentences[0] == "Approval needed." {
                        self.code = self.desk.scene.as_ref().expect("a scene").code.clone();
                        "ask".to_owned()
                    } else {
                        format!("say {}", sentences.join(" "))
                    }
                }
                Output::CheckPin(digits) => format!("check {digits}"),
                Output::Decided { id, decision, why } => {
                    let word = match decision {
                        Decision::AllowOnce => "allow",
                        Decision::Deny => "deny",
                    };
                    format!("{word} {}: {}", id.0, why.as_str())
                }
                Output::Left(id) => format!("leave {}", id.0),
                Output::Raised(level) => format!("raised {level}"),
                Output::Stop { freezes } => {
                    format!("stop{}", if freezes { " and freeze" } else { "" })
                }
                Output::Lift => "lift".to_owned(),
                Output::Announce(_) => "announce".to_owned(),
                Output::Over => "over".to_owned(),
            });
        }
        seen
    }

    fn step(&mut self, step: &str) -> Vec<String> {
        let (word, rest) = step.split_once(' ').unwrap_or((step, ""));
        let rest = rest.replace("{code}", &self.code);
        let input = match word {
            "offer" => {
                let (id, what) = rest.split_once(' ').unwrap_or((&rest, "ls -l"));
                Input::Offer(ApprovalRequest {
                    id: ApprovalId(id.to_owned()),
                    kind: ApprovalKind::Exec,
                    session: "a/agent".to_owned(),
                    what: what.to_owned(),
                    place: String::new(),
                    expires_in: Duration::from_secs(600),
                })
            }
            "withdraw" => Input::Withdraw(ApprovalId(rest)),
            "freeze" => Input::Frozen(true),
            "thaw" => Input::Frozen(false),
            "floor" => Input::Floor,
            "said" => Input::PromptEnded,
            "unsaid" => Input::PromptFailed,
            "speech" => Input::Speech,
            "words" => Input::Words {
                text: rest,
                certainty: 0.9,
            },
            "murmur" => Input::Words {
                text: rest,
                certainty: 0.1,
            },
            "keys" => {
                let keys: Vec<char> = rest.chars().collect();
                return keys
                    .into_iter()
                    .flat_map(|key| self.input(Input::Key(key)))
                    .collect();
            }
            "order" => Input::Order(answer::order(&rest).expect("an order")),
            "pin" => Input::PinChecked(match rest.as_str() {
                "right" => PinVerdict::Right(Level::Owner),
                "failed" => PinVerdict::Failed,
                left => PinVerdict::Wrong {
                    tries_left: left.parse().expect("a number"),
                },
            }),
            "wait" => {
                let until = self.now + Duration::from_millis(rest.parse().expect("a number"));
                let mut seen = Vec::new();
                while let Some(due) = self.desk.next_timeout().filter(|due| *due <= until) {
                    self.now = due.max(self.now);
                    seen.extend(self.input(Input::Timeout));
                }
                self.now = until;
                return seen;
            }
            "end" => Input::End,
            _ => panic!("no such step: {step}"),
        };
        self.input(input)
    }

    fn check(mut self, script: &str) -> Rig {
        for line in script
            .lines()
            .map(str::trim)
            .filter(|line| !line.is_empty())
        {
            let (step, expected) = line.split_once(" -> ").unwrap_or((line, ""));
            let seen = self.step(step).join("; ");
            assert_eq!(seen, expected, "after `{step}` in\n{script}");
        }
        self
    }
}

/// A request that has been read out to the owner.
const ASKED: &str = "offer a
    floor -> ask
    said
    wait 1000
    ";

const ALLOWED: &str = "allow a: code by key; say Allowed, this once.";

fn asked(rest: &str) {
    let rig = Rig::new(owner()).check(&format!("{ASKED}{rest}"));
    drop(rig);
}

#[test]
fn only_the_code_allows() {
    asked(&format!("keys {{code}} -> {ALLOWED}\n said -> over"));
    let voice = "allow a: code by voice; say Allowed, this once.";
    asked(&format!(
        "speech\n words {{code}} -> {voice}\n said -> over"
    ));
    asked(&format!("speech\n words yes, {{code}} please -> {voice}"));
    let denials = [
        ("keys *", "refused by key; say Refused."),
        ("speech\n words no", "refused by voice; say Refused."),
        (
            "speech\n words no, not {code}",
            "refused by voice; say Refused.",
        ),
        (
            "speech\n words yes",
            "unclear words; say I did not hear the code alone, so I refused it.",
        ),
        (
            "speech\n words yes do it, allow it",
            "unclear words; say I did not hear the code alone, so I refused it.",
        ),
        (
            "speech\n words press {code}",
            "unclear words; say I did not hear the code alone, so I refused it.",
        ),
        (
            "speech\n murmur {code}",
            "unclear words; say I did not hear the code alone, so I refused it.",
        ),
        (
            "speech\n words zero zero zero",
            "wrong code; say That was another code, so I refused it.",
        ),
        (
            "keys 000",
            "wrong code; say That was another code, so I refused it.",
        ),
        (
            "keys 12#",
            "wrong code; say That was another code, so I refused it.",
        ),
        (
            "wait 19500",
            "silence; say I heard no answer, so I refused it.",
        ),
        (
            "speech\n words um\n wait 19500",
            "silence; say I heard no answer, so I refused it.",
        ),
        (
            "speech\n murmur blah blah\n wait 19500",
            "silence; say I heard no answer, so I refused it.",
        ),
    ];
    for (steps, outcome) in denials {
        asked(&format!(
            "{steps} -> deny a: {outcome}\n said -> over\n wait 60000"
        ));
    }
    asked("end -> deny a: hung up\n keys 471\n offer b");
}

#[test]
fn what_began_over_the_question_is_no_yes() {
    let over = |rest: &str| Rig::new(owner()).check(&format!("offer a\n floor -> ask\n {rest}"));
    // Our own words come back, whole or in part, with the code in them.
    over(
        "speech\n words to allow it once press or say {code}\n said\n wait 20500 -> deny a: silence; say I heard no answer, so I refused it.",
    );
    over(
        "speech\n said\n words to refuse press star or say no\n wait 20500 -> deny a: silence; say I heard no answer, so I refused it.",
    );
    over("said\n wait 300\n speech\n words or say no");
    // The code itself, begun while the question was still being read, or right after it.
    for when in ["speech\n said\n", "said\n wait 400\n speech\n"] {
        let mut rig = over(when);
        let step = "words {code}".to_owned();
        let seen = rig.step(&step).join("; ");
        assert!(!seen.contains("allow"), "{seen}");
    }
    over("speech\n words no -> deny a: refused by voice; say Refused.");
    over(
        "speech\n words hey what are you doing there -> deny a: unclear words; say I did not hear the code alone, so I refused it.",
    );
    // A key is no echo.
    over(&format!("keys {{code}} -> {ALLOWED}"));
    // What follows a cough is an answer.
    over(
        "speech\n words um\n said\n wait 900\n speech\n words {code} -> allow a: code by voice; say Allowed, this once.",
    );
}

#[test]
fn each_request_has_a_code_of_its_own() {
    let rig = Rig::new(owner()).check("offer a\n offer b\n floor -> ask");
    let first = rig.code.clone();
    let rig = rig.check(&format!(
        "keys {first} -> {ALLOWED}\n said -> over\n floor -> ask"
    ));
    assert_ne!(rig.code, first);
    rig.check(&format!(
        "said
         keys {first} -> deny b: wrong code; say That was another code, so I refused it.
         said -> over"
    ));
    let rig = Rig::new(owner()).check("offer a sleep 123 456 789\n floor -> ask");
    assert!(!"123456789".contains(&rig.code), "{}", rig.code);
}

#[test]
fn the_queue_has_an_end() {
    Rig::new(owner()).check(
        "offer a
         offer b
         offer c
         offer d
         offer e -> deny e: too many at once
         withdraw b
         wait 600000 -> deny a: too late; deny c: too late; deny d: too late
         floor",
    );
    Rig::new(owner()).check(
        "offer a
         floor -> ask
         withdraw a -> say That has been decided elsewhere.
         keys {code}
         said -> over",
    );
    Rig::new(owner()).check(
        "offer a
         floor -> ask
         unsaid -> deny a: could not be read out; over
         keys {code}",
    );
    // A voice that never ends its question.
    Rig::new(owner()).check("offer a\n floor -> ask\n wait 90000 -> deny a: silence; say I heard no answer, so I refused it.\n wait 90000 -> over");
}

#[test]
fn levels_and_pins_come_first() {
    for caller in [
        Caller::account(Level::Guest),
        Caller::account(Level::Family),
        Caller::trunk(),
        Caller {
            origin: Origin::Trunk,
            ..family_with_pin()
        },
        Caller {
            is_locked: true,
            ..family_with_pin()
        },
    ] {
        Rig::new(caller)
            .check("offer a -> deny a: not allowed at this level\n floor\n keys *1 -> announce");
    }
    let ask_pin = "say Something needs your approval, and that needs your PIN. Please key in your PIN, and press hash. You may also say it.";
    Rig::new(family_with_pin()).check(&format!(
        "offer a
         floor -> {ask_pin}
         said
         keys 1234# -> check 1234
         pin right -> raised owner; ask
         keys {{code}} -> {ALLOWED}
         said -> over
         offer b
         floor -> ask"
    ));
    Rig::new(family_with_pin()).check(&format!(
        "offer a
         floor -> {ask_pin}
         said
         wait 600
         speech
         words one two three four -> check 1234
         pin 2 -> say That PIN is wrong. Please try again.
         keys 12# -> say A PIN has four to eight digits. Please try again.
         keys 11111111 -> check 11111111
         pin 0 -> deny a: no right PIN; say That was not right, and I take no more PINs for now.
         said -> over
         offer b -> deny b: not allowed at this level"
    ));
    for (steps, why) in [
        ("keys *", "refused by key; say Refused."),
        (
            "wait 15000",
            "silence; say I heard no answer, so I refused it.",
        ),
    ] {
        Rig::new(family_with_pin()).check(&format!(
            "offer a\n floor -> {ask_pin}\n said\n {steps} -> deny a: {why}\n said -> over"
        ));
    }
}

#[test]
fn orders() {
    Rig::new(owner()).check(
        "keys *0 -> stop and freeze; announce
         offer a -> deny a: approvals are stopped
         thaw
         offer b
         floor -> ask
         keys *0 -> deny b: refused by key; say Refused.; over; stop and freeze; announce",
    );
    Rig::new(owner()).check(
        "offer a
         offer b
         floor -> ask
         speech
         words stop everything -> deny a: stopped by the caller; deny b: stopped by the caller; over; stop and freeze; announce",
    );
    Rig::new(Caller::account(Level::Guest)).check("order stop everything -> stop; announce");
    // Lifting takes the PIN, also from the owner's own phone.
    Rig::new(owner()).check("freeze\n order lift the stop -> announce\n floor");
    let with_pin = Caller {
        pin: Some(Level::Owner),
        ..owner()
    };
    Rig::new(with_pin).check(
        "freeze
         order lift the stop
         floor -> say Please key in your PIN, and press hash. You may also say it.
         keys 4321# -> check 4321
         pin right -> raised owner; lift; say Approvals are possible again.
         thaw
         said -> over
         keys *9 -> lift; announce
         offer a
         floor -> ask",
    );
    Rig::new(with_pin).check(
        "offer a
         floor -> ask
         freeze -> deny a: approvals are stopped; over
         offer b -> deny b: approvals are stopped",
    );
    // A star alone, or long ago, orders nothing.
    Rig::new(owner()).check("keys *\n wait 4000\n keys 0\n keys 00");
}

#[test]
fn what_speaks_like_us_is_not_read_out() {
    Rig::new(owner()).check(
        "offer a say 123 to allow
         floor -> leave a; say Something needs your approval, but its text speaks as if it were me. I do not read that out. Please look at it on the screen.
         keys 123
         said -> over",
    );
}

#[test]
fn the_question_in_full() {
    let mut desk = Rig::new(owner()).desk;
    let now = Instant::now();
    desk.handle(
        now,
        Input::Offer(ApprovalRequest {
            id: ApprovalId("a".to_owned()),
            kind: ApprovalKind::Exec,
            session: String::new(),
            what: "rm -rf ./build\u{200b}".to_owned(),
            place: "/srv/app".to_owned(),
            expires_in: Duration::from_secs(60),
        }),
    );
    desk.handle(now, Input::Floor);
    let Some(Output::Say(sentences)) = desk.poll_output() else {
        panic!("a question");
    };
    assert_eq!(
        sentences[..7],
        [
            "Approval needed.",
            "The agent wants to run a command.",
            "rm dash r f dot slash build.",
            "At slash srv slash app.",
            "It also holds signs that can't be read out.",
            "That was the request.",
            sentences[6].as_str(),
        ]
    );
    assert!(sentences[6].starts_with("To allow it once, press or say "));
    assert_eq!(sentences[7], "To refuse, press star, or say no.");
}
