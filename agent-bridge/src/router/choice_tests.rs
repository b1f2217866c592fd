//! Who is asked: chains, rules and health as tables, on a clock that only the tables move.

use super::*;

const REST: Rest = Rest {
    first_ms: 30_000,
    look_ms: 5_000,
};

/// `l` local, `L` local without tools, `s` local for short questions, `c` cloud, `C` cloud without tools, `p` an
/// agent gateway at home with its model in the cloud.
fn board(chain: &str, rules: CloudRules) -> Board {
    let traits = |c: char| Traits {
        place: match c {
            'c' | 'C' => Place::Cloud,
            _ => Place::Local,
        },
        asks_cloud: c == 'p',
        takes_tools: !matches!(c, 'L' | 'C'),
        chars_max: (c == 's').then_some(1_000),
    };
    Board::new(chain.chars().map(traits).collect(), REST, rules)
}

fn plain() -> Facts {
    Facts {
        level: Some(Level::Owner),
        has_tools: false,
        chars: 500,
        is_guess: false,
    }
}

/// Such as `0 1c`: the first, then the second in the cloud for want of others.
fn shown(order: Result<Vec<Step>, Nobody>) -> String {
    let steps = match order {
        Ok(steps) => steps,
        Err(nobody) => return format!("{nobody:?}"),
    };
    let show = |step: &Step| match step.why {
        None => step.link.to_string(),
        Some(why) => format!("{}{why:?}", step.link),
    };
    steps.iter().map(show).collect::<Vec<_>>().join(" ")
}

fn down() -> GatewayError {
    GatewayError::Unreachable {
        why: "connection refused".to_owned(),
    }
}

fn slow() -> GatewayError {
    GatewayError::Timeout(Wait::FirstToken)
}

#[test]
fn rules_say_when_the_cloud_is_asked() {
    let default = CloudRules::default;
    let off = || CloudRules {
        is_allowed: false,
        in_chain: true,
        guesses: true,
        ..default()
    };
    let never = || CloudRules {
        on_failure: false,
        on_need: false,
        ..default()
    };
    let chain = || CloudRules {
        in_chain: true,
        ..default()
    };
    let failure = || CloudRules {
        on_need: false,
        ..default()
    };
    let need = || CloudRules {
        on_failure: false,
        ..default()
    };
    let owner = || CloudRules {
        levels: vec![Level::Owner],
        ..default()
    };
    let guesses = || CloudRules {
        guesses: true,
        ..default()
    };
    let announced = || CloudRules {
        is_announced: true,
        ..guesses()
    };
    let tools = || Facts {
        has_tools: true,
        ..plain()
    };
    let long = || Facts {
        chars: 2_000,
        ..plain()
    };
    let of = |level| Facts { level, ..plain() };
    let early = || Facts {
        is_guess: true,
        ..plain()
    };
    for (chain_is, rules, question, wanted) in [
        ("ll", default(), plain(), "0 1"),
        // Local first, whatever the chain says, unless the owner says that it counts.
        ("lc", default(), plain(), "0 1Failure"),
        ("clc", default(), plain(), "1 0Failure 2Failure"),
        ("clc", chain(), plain(), "0Chain 1 2Chain"),
        ("c", default(), plain(), "0Alone"),
        ("cc", failure(), plain(), "0Alone 1Alone"),
        // The one switch, and no rule at all.
        ("clc", off(), plain(), "1"),
        ("cc", off(), plain(), "CloudOff"),
        ("c", off(), early(), "CloudOff"),
        ("lc", never(), plain(), "0"),
        ("c", never(), plain(), "CloudOff"),
        // What a question needs.
        ("Lc", default(), tools(), "1Need 0"),
        ("Lc", default(), plain(), "0 1Failure"),
        ("Llc", default(), tools(), "1 2Failure 0"),
        ("Lc", failure(), tools(), "0 1Failure"),
        ("Lc", need(), tools(), "1Need 0"),
        ("lc", need(), tools(), "0"),
        ("LC", default(), tools(), "0 1Need"),
        ("sc", default(), long(), "1Need 0"),
        ("sc", default(), plain(), "0 1Failure"),
        // Who asks.
        ("lc", owner(), plain(), "0 1Failure"),
        ("lc", owner(), of(Some(Level::Family)), "0"),
        ("c", owner(), of(Some(Level::Family)), "CloudRule"),
        ("lc", default(), of(Some(Level::Guest)), "0"),
        ("lc", default(), of(None), "0"),
        ("c", default(), of(None), "CloudRule"),
        // Before the turn is over.
        ("lc", default(), early(), "0"),
        ("c", default(), early(), "Guess"),
        ("cl", chain(), early(), "Guess"),
        ("c", guesses(), early(), "0Alone"),
        ("c", announced(), early(), "Guess"),
        ("c", announced(), plain(), "0Alone"),
        // An agent gateway with its model there stands where the chain has it, before those at home.
        ("p", default(), plain(), "0Alone"),
        ("pl", default(), plain(), "0Chain 1"),
        ("pl", need(), plain(), "0Chain 1"),
        ("pcl", default(), plain(), "0Chain 2 1Failure"),
        ("lp", default(), plain(), "0 1Failure"),
        ("lp", need(), plain(), "0"),
        ("lp", chain(), plain(), "0 1Chain"),
        ("pl", never(), plain(), "1"),
        ("p", never(), plain(), "CloudOff"),
        ("pl", owner(), of(Some(Level::Family)), "1"),
        ("p", default(), of(Some(Level::Guest)), "CloudRule"),
        ("p", default(), early(), "Guess"),
        ("pl", default(), early(), "Guess"),
        ("lp", default(), early(), "0"),
        ("p", guesses(), early(), "0Alone"),
        ("pl", guesses(), early(), "0Chain"),
        ("p", announced(), early(), "Guess"),
    ] {
        let case = format!("{chain_is} {rules:?} {question:?}");
        let board = board(chain_is, rules);
        assert_eq!(
            shown(board.order(Instant::now(), &question)),
            wanted,
            "{case}"
        );
    }
}

#[test]
fn whether_a_guess_is_asked_of_anybody_depends_on_who_asks() {
    let default = CloudRules::default;
    let guesses = || CloudRules {
        guesses: true,
        ..default()
    };
    for (chain, rules, level, wanted) in [
        ("l", default(), None, true),
        ("p", default(), Some(Level::Owner), false),
        ("p", guesses(), Some(Level::Owner), true),
        ("p", guesses(), Some(Level::Guest), false),
        ("pl", default(), Some(Level::Owner), false),
        ("pl", default(), Some(Level::Guest), true),
        ("cl", default(), Some(Level::Owner), true),
    ] {
        let case = format!("{chain} {rules:?} {level:?}");
        let mut board = board(chain, rules);
        assert_eq!(board.takes_guess(level), wanted, "{case}");
        board.ended(Instant::now(), 0, Outcome::Failed(&down()));
        assert_eq!(board.takes_guess(level), wanted, "{case}");
    }
}

/// What happens to a chain of a local one, another, and one in the cloud, and who is asked then.
enum Event {
    /// Seconds pass.
    Wait(u64),
    Fails(usize, GatewayError),
    Answers(usize),
    /// Asked, and then nobody wants it.
    Leaves(usize),
    /// Asked, and still under way.
    Begins(usize),
    Looks(usize, bool),
    Order(&'static str),
    /// Seconds until the next look.
    NextLook(Option<u64>),
}

#[test]
fn who_fails_rests_and_is_tried_by_one_question() {
    use Event::{Answers, Begins, Fails, Leaves, Looks, NextLook, Order, Wait as Pause};
    let limited = |s| GatewayError::RateLimited {
        retry_after: Some(Duration::from_secs(s)),
    };
    let refused = || GatewayError::Refused {
        status: 400,
        code: String::new(),
    };
    let well = "0 1 2Failure";
    let second = "1 2Failure 0";
    for (name, events) in [
        (
            "a rest, a trial, and well again",
            vec![
                Order(well),
                Fails(0, slow()),
                Order(second),
                Pause(29),
                Order(second),
                Pause(1),
                Order(well),
                Begins(0),
                // One question is the trial; all others go elsewhere.
                Order(second),
                Answers(0),
                Order(well),
            ],
        ),
        (
            "a trial that fails doubles the rest",
            vec![
                Fails(0, slow()),
                Pause(30),
                Fails(0, slow()),
                Pause(59),
                Order(second),
                Pause(1),
                Order(well),
                Fails(0, slow()),
                Pause(119),
                Order(second),
                Pause(1),
                Answers(0),
                Fails(0, slow()),
                Pause(30),
                Order(well),
            ],
        ),
        (
            "a trial that nobody waits for is no answer",
            vec![
                Fails(0, slow()),
                Pause(30),
                Leaves(0),
                Order(well),
                Begins(0),
                Order(second),
                // Lost for ever: the next one may try.
                Pause(120),
                Order(well),
            ],
        ),
        (
            "all local ones rest",
            vec![
                Fails(0, slow()),
                Fails(1, slow()),
                Order("2Failure 0 1"),
                // Asked for want of others: no longer a rest for it.
                Fails(2, slow()),
                Order(well),
                Fails(0, slow()),
                Pause(30),
                Order(well),
            ],
        ),
        (
            "as long as it wishes, within bounds",
            vec![
                Fails(0, limited(60)),
                Pause(59),
                Order(second),
                Pause(1),
                Order(well),
                Answers(0),
                Fails(0, limited(1)),
                Pause(29),
                Order(second),
                Pause(1),
                Answers(0),
                Fails(0, limited(1_000_000)),
                Pause(299),
                Order(second),
                Pause(1),
                Order(well),
            ],
        ),
        (
            "a question it refuses is the question's fault, three are its own",
            vec![
                Fails(0, refused()),
                Fails(0, refused()),
                Order(well),
                Answers(0),
                Fails(0, refused()),
                Fails(0, refused()),
                Order(well),
                Fails(0, refused()),
                Order(second),
            ],
        ),
        (
            "one that is not there is looked at",
            vec![
                NextLook(None),
                Fails(0, down()),
                NextLook(Some(5)),
                Pause(5),
                Looks(0, false),
                Order(second),
                NextLook(Some(5)),
                Pause(5),
                Looks(0, true),
                NextLook(None),
                Order(well),
                Begins(0),
                Order(second),
            ],
        ),
        (
            "while looks find nobody no question is spent on it",
            vec![
                Fails(0, down()),
                Pause(5),
                Looks(0, false),
                Pause(5),
                Looks(0, false),
                Pause(5),
                Looks(0, false),
                Pause(5),
                Looks(0, false),
                Pause(5),
                Looks(0, false),
                Pause(5),
                Looks(0, false),
                Order(second),
                Pause(9),
                Order(second),
            ],
        ),
        (
            "a look does not tell whether it is fast again, or has room",
            vec![Fails(0, slow()), Fails(1, limited(60)), NextLook(None)],
        ),
    ] {
        let mut board = board("llc", CloudRules::default());
        let mut now = Instant::now();
        for (n, event) in events.into_iter().enumerate() {
            match event {
                Pause(s) => now += Duration::from_secs(s),
                Fails(link, error) => {
                    board.begin(now, link);
                    board.ended(now, link, Outcome::Failed(&error));
                }
                Answers(link) => {
                    board.begin(now, link);
                    board.ended(now, link, Outcome::Answered);
                }
                Leaves(link) => {
                    board.begin(now, link);
                    board.ended(now, link, Outcome::Unwanted);
                }
                Begins(link) => board.begin(now, link),
                Looks(link, is_there) => {
                    assert_eq!(board.look(now), [link], "{name}, step {n}");
                    assert!(board.look(now).is_empty(), "{name}, step {n}");
                    board.looked(now, link, is_there);
                }
                Order(wanted) => {
                    let order = board.order(now, &plain());
                    assert_eq!(shown(order), wanted, "{name}, step {n}");
                }
                NextLook(wanted) => {
                    let next = board.next_look().map(|at| (at - now).as_secs());
                    assert_eq!(next, wanted, "{name}, step {n}");
                }
            }
        }
    }
}

#[test]
fn the_time_to_a_first_word_follows_slowly() {
    let mut board = board("l", CloudRules::default());
    let now = Instant::now();
    assert_eq!(board.health(now)[0].first_word_ms, None);
    for (after_ms, wanted) in [(400, 400.0), (800, 500.0), (500, 500.0)] {
        board.first_word(0, Duration::from_millis(after_ms));
        let known = board.health(now)[0].first_word_ms.expect("known");
        assert!((known - wanted).abs() < 0.5, "{known} is not {wanted}");
    }
    // One that is not there is nobody's.
    board.first_word(7, Duration::ZERO);
    board.begin(now, 7);
    board.ended(now, 7, Outcome::Answered);
    board.looked(now, 7, true);
}
