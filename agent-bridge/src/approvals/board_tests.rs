//! The board as scripts: `input -> output; output`, on virtual time.

use super::super::ApprovalKind;
use super::*;

struct Rig {
    board: Board,
    now: Instant,
}

impl Rig {
    fn new() -> Rig {
        let config = BoardConfig {
            pending_max: 3,
            sessions_max: 2,
            wait_max: Duration::from_secs(60),
        };
        Rig {
            board: Board::new(config, false),
            now: Instant::now(),
        }
    }

    fn input(&mut self, input: Input) -> Vec<String> {
        self.board.handle(self.now, input);
        let mut seen = Vec::new();
        while let Some(output) = self.board.poll_output() {
            seen.push(match output {
                Output::Tell { call, notice } => match notice {
                    Notice::Offer(request) => format!("{call} asks {}", request.id.0),
                    Notice::Withdraw(id) => format!("{call} drops {}", id.0),
                    Notice::Frozen(is_frozen) => format!("{call} frozen {is_frozen}"),
                    Notice::StopRuns => format!("{call} stops"),
                },
                Output::Resolve {
                    request,
                    decision,
                    why,
                    ..
                } => {
                    let word = match decision {
                        Decision::AllowOnce => "allow",
                        Decision::Deny => "deny",
                    };
                    format!("{word} {}: {why}", request.id.0)
                }
                Output::Keep(request) => format!("keep {}", request.id.0),
                Output::Forget(id) => format!("forget {}", id.0),
            });
        }
        seen
    }

    fn check(&mut self, script: &str) {
        for line in script
            .lines()
            .map(str::trim)
            .filter(|line| !line.is_empty())
        {
            let (step, expected) = line.split_once(" -> ").unwrap_or((line, ""));
            let mut words = step.split(' ');
            let word = words.next().unwrap_or_default();
            let mut next = || words.next().unwrap_or_default().to_owned();
            let id = |text: String| ApprovalId(text);
            let call = |text: String| text.parse().expect("a call");
            let input = match word {
                "up" => Input::CallUp {
                    call: call(next()),
                    session: next(),
                    user: next(),
                },
                "down" => Input::CallDown { call: call(next()) },
                "asks" => Input::Requested {
                    asker: Asker(1),
                    request: ApprovalRequest {
                        id: id(next()),
                        kind: ApprovalKind::Exec,
                        session: next(),
                        what: "ls".to_owned(),
                        place: String::new(),
                        expires_in: Duration::from_secs(600),
                    },
                },
                "resolved" => Input::Resolved {
                    id: id(next()),
                    by: String::new(),
                },
                "allow" | "deny" => Input::Decided {
                    decision: match word {
                        "allow" => Decision::AllowOnce,
                        _ => Decision::Deny,
                    },
                    id: id(next()),
                    by: match next().as_str() {
                        "cli" => By::Channel("cli"),
                        number => By::Call(number.parse().expect("a call")),
                    },
                    why: "answer",
                },
                "left" => Input::Left { id: id(next()) },
                "stop" => Input::Stopped {
                    call: call(next()),
                    freezes: next() == "freeze",
                },
                "freeze" => Input::Freeze,
                "lift" => Input::Lift,
                "wait" => {
                    self.now += Duration::from_secs(next().parse().expect("seconds"));
                    Input::Timeout
                }
                _ => panic!("no such step: {step}"),
            };
            let seen = self.input(input).join("; ");
            assert_eq!(seen, expected, "after `{step}` in\n{script}");
        }
    }
}

#[test]
fn requests_find_their_call() {
    Rig::new().check(
        "asks a ann/agent
         up 1 ann/agent ann
         up 2 bob/agent bob
         asks a ann/agent -> keep a; 1 asks a
         asks a ann/agent
         asks b bob/agent -> keep b; 2 asks b
         asks c telegram
         allow a 2
         allow a 1 -> allow a: answer
         deny a 1
         allow b cli -> 2 drops b; allow b: answer
         asks d ann/agent -> keep d; 1 asks d
         down 1 -> deny d: hung up
         asks e ann/agent -> keep e
         allow e 1
         allow e cli -> allow e: answer",
    );
}

#[test]
fn what_nobody_answers_is_a_no() {
    Rig::new().check(
        "up 1 ann/agent ann
         down 1
         asks a ann/agent -> keep a
         wait 59
         wait 1 -> deny a: too late
         asks b ann/agent -> keep b
         resolved b -> forget b
         allow b cli
         asks c ann/agent -> keep c
         up 2 ann/agent ann -> 2 asks c
         resolved c -> forget c; 2 drops c
         asks d ann/agent -> keep d; 2 asks d
         left d
         up 3 ann/agent ann
         down 2
         wait 60 -> deny d: too late",
    );
}

#[test]
fn bounds() {
    Rig::new().check(
        "up 1 ann/agent ann
         asks a ann/agent -> keep a; 1 asks a
         asks b ann/agent -> keep b; 1 asks b
         asks c ann/agent -> keep c; 1 asks c
         asks d ann/agent -> deny d: too many at once
         up 2 bob/agent bob
         up 3 eve/agent eve
         deny a 1 -> deny a: answer
         down 1 -> deny b: hung up; deny c: hung up
         asks e ann/agent
         asks f eve/agent -> keep f; 3 asks f",
    );
}

#[test]
fn a_stop_refuses_everything_until_it_is_lifted() {
    Rig::new().check(
        "up 1 ann/agent ann
         up 2 ann/finance ann
         up 3 bob/agent bob
         asks a ann/agent -> keep a; 1 asks a
         stop 1 -> 2 stops; deny a: stopped by the caller
         asks b ann/agent -> keep b; 1 asks b
         stop 3 freeze -> 1 frozen true; 2 frozen true; 3 frozen true; 1 drops b; deny b: approvals are stopped
         asks c ann/agent -> deny c: approvals are stopped
         allow c cli
         up 4 ann/agent ann -> 4 frozen true
         lift -> 1 frozen false; 2 frozen false; 3 frozen false; 4 frozen false
         freeze -> 1 frozen true; 2 frozen true; 3 frozen true; 4 frozen true
         lift -> 1 frozen false; 2 frozen false; 3 frozen false; 4 frozen false
         down 1
         down 2
         down 4",
    );
}
