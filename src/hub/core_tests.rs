//! Order, calling off, and what is written down when it goes out. The rest of the core is in the simulator (`tests/sim`).

use super::*;
use crate::hub::boundary::{Door, Matter};

fn core() -> Core {
    let mut core = Core::new(CoreConfig::default(), TextsSaved::default(), 0);
    assert_eq!(core.poll_output(), None);
    core.handle(
        0,
        Input::Attached {
            channel: "sip".to_owned(),
        },
    );
    core
}

fn outputs(core: &mut Core) -> Vec<Output> {
    std::iter::from_fn(|| core.poll_output()).collect()
}

fn arrived(ticket: u64) -> Input {
    Input::Arrived {
        ticket,
        item: Box::new(Item {
            person: "anna".to_owned(),
            conversation: "anna/agent".to_owned(),
            agent: String::new(),
            channel: "sip".to_owned(),
            from: "anna".to_owned(),
            place: "anna".to_owned(),
            theirs: format!("m{ticket}"),
            taken_at: 0,
            door: Door::Agent,
            matter: Matter::Text("hi".to_owned()),
            is_correction: false,
        }),
        message: None,
    }
}

fn parcel(id: &str, person: &str, due: UnixMs) -> Parcel {
    Parcel {
        id: id.to_owned(),
        channel: "sip".to_owned(),
        place: "house".to_owned(),
        person: person.to_owned(),
        at: 0,
        due,
        until: 1_000_000,
        attempts: 0,
        matter: OutMatter::Later {
            text: format!("{id} is over"),
            conversation: format!("{person}/agent"),
        },
        reply_to: None,
        message: None,
    }
}

fn new(inbox: i64, message: i64) -> Option<TextKept> {
    Some(TextKept {
        is_new: true,
        inbox,
        message,
    })
}

/// Everything that is to be written is; what comes out besides.
fn write(core: &mut Core, now: UnixMs) -> Vec<Output> {
    let mut seen = Vec::new();
    let mut todo = VecDeque::from(outputs(core));
    while let Some(output) = todo.pop_front() {
        let Output::Keep { keep, change } = output else {
            seen.push(output);
            continue;
        };
        let is_recorded = matches!(
            *change,
            TextChange::Sent {
                message: Some(_),
                ..
            }
        );
        let kept = new(0, if is_recorded { 9 } else { 0 });
        core.handle(now, Input::Kept { keep, kept });
        todo.extend(outputs(core));
    }
    seen
}

fn letter(core: &mut Core, parcel: Parcel) {
    let input = Input::Letter {
        ticket: 1,
        parcel: Box::new(parcel),
        message: None,
    };
    core.handle(0, input);
}

#[test]
fn ends_of_writes_take_effect_in_their_order() {
    let mut core = core();
    let mut keeps = Vec::new();
    for ticket in 1..=3 {
        core.handle(0, arrived(ticket));
        for output in outputs(&mut core) {
            if let Output::Keep { keep, .. } = output {
                keeps.push(keep);
            }
        }
    }
    let kept = |n: usize| Input::Kept {
        keep: keeps[n],
        kept: new(n as i64 + 1, 0),
    };
    for later in [2, 1] {
        core.handle(0, kept(later));
        assert_eq!(outputs(&mut core), [], "the first one is not known yet");
    }
    core.handle(0, kept(0));
    let told = outputs(&mut core);
    let tickets: Vec<u64> = told
        .iter()
        .filter_map(|output| match output {
            Output::Reply { ticket, .. } => Some(*ticket),
            _ => None,
        })
        .collect();
    assert_eq!(tickets, [1, 2, 3]);
    let begun = told.iter().find_map(|output| match output {
        Output::Begin { turn, .. } => Some(*turn),
        _ => None,
    });
    assert_eq!(begun, Some(1));
    // Told once more, or never asked for.
    core.handle(0, kept(0));
    core.handle(
        0,
        Input::Kept {
            keep: 999,
            kept: None,
        },
    );
    assert_eq!(outputs(&mut core), []);
}

#[test]
fn what_is_not_being_sent_can_be_called_off() {
    let mut core = core();
    letter(&mut core, parcel("k-now", "anna", 0));
    let seen = write(&mut core, 0);
    assert!(
        matches!(seen.last(), Some(Output::Deliver(parcel)) if parcel.id == "k-now"),
        "{seen:?}"
    );
    // The lane is busy with it; these wait behind it.
    for (id, person) in [
        ("k-timer-1", "anna"),
        ("k-timer-2", "anna-b"),
        ("k-timer-3", "anna"),
        ("k-other", "anna"),
    ] {
        letter(&mut core, parcel(id, person, 500));
        write(&mut core, 0);
    }
    for prefix in ["k-timer-", "k-now"] {
        let input = Input::TakeBack {
            person: "anna".to_owned(),
            prefix: prefix.to_owned(),
        };
        core.handle(0, input);
        let called_off: Vec<String> = write(&mut core, 0)
            .into_iter()
            .filter_map(|output| match output {
                Output::CalledOff { parcel_id } => Some(parcel_id),
                _ => None,
            })
            .collect();
        let expected: &[&str] = match prefix {
            "k-timer-" => &["k-timer-1", "k-timer-3"],
            _ => &[],
        };
        assert_eq!(called_off, expected, "{prefix}");
    }
    assert_eq!(core.load(), (0, 0, 3));
}

fn take_back(core: &mut Core, now: UnixMs, id: &str) {
    let input = Input::TakeBack {
        person: "anna".to_owned(),
        prefix: id.to_owned(),
    };
    core.handle(now, input);
}

#[test]
fn what_is_called_off_while_it_is_sent_is_not_tried_again() {
    let ends = |now: UnixMs, core: &mut Core, outcome: Outcome| {
        let id = "k-ask-1".to_owned();
        core.handle(now, Input::Delivered { id, outcome });
        write(core, now)
    };
    let passing = || Outcome::Passing {
        why: "it took too long".to_owned(),
        retry_ms: None,
    };
    let called_off = Output::CalledOff {
        parcel_id: "k-ask-1".to_owned(),
    };
    let sending = || {
        let mut core = core();
        letter(&mut core, parcel("k-ask-1", "anna", 0));
        let seen = write(&mut core, 0);
        assert!(matches!(seen.last(), Some(Output::Deliver(_))), "{seen:?}");
        core
    };
    // It hangs, and nobody waits for it any more.
    let mut core = sending();
    take_back(&mut core, 10, "k-ask-1");
    assert_eq!(write(&mut core, 10), []);
    assert_eq!(
        ends(20, &mut core, passing()),
        std::slice::from_ref(&called_off)
    );
    assert_eq!((core.load(), core.next_timeout()), ((0, 0, 0), None));
    // What gets through has got through.
    let mut core = sending();
    take_back(&mut core, 10, "k-ask-1");
    assert!(matches!(
        ends(20, &mut core, Outcome::Sent(None))[..],
        [Output::Recorded { .. }]
    ));
    assert_eq!(core.load(), (0, 0, 0));
    // It is over before its attempt is written down, whether that can be written or not.
    for is_kept in [true, false] {
        let mut core = sending();
        ends(0, &mut core, passing());
        core.handle(2_000, Input::Timeout);
        let [Output::Keep { keep, .. }] = outputs(&mut core)[..] else {
            panic!("an attempt");
        };
        take_back(&mut core, 2_000, "k-ask-1");
        let kept = new(0, 0).filter(|_| is_kept);
        core.handle(2_000, Input::Kept { keep, kept });
        assert_eq!(write(&mut core, 2_000), std::slice::from_ref(&called_off));
        assert_eq!(core.load(), (0, 0, 0), "{is_kept}");
    }
    // One that nobody takes back is tried again.
    let mut core = sending();
    take_back(&mut core, 10, "k-ask-2");
    assert_eq!(ends(20, &mut core, passing()), []);
    assert_eq!(core.next_timeout(), Some(1_020));
}

#[test]
fn what_is_called_off_while_it_is_written_down_is_not_sent() {
    for (prefix, is_off) in [("k-ask-", true), ("k-other", false)] {
        let mut core = core();
        letter(&mut core, parcel("k-ask-1", "anna", 0));
        let [Output::Keep { keep, .. }] = outputs(&mut core)[..] else {
            panic!("it is to be written");
        };
        take_back(&mut core, 0, prefix);
        assert_eq!(outputs(&mut core), []);
        let kept = new(0, 0);
        core.handle(0, Input::Kept { keep, kept });
        match (is_off, &write(&mut core, 0)[..]) {
            (true, [Output::Reply { .. }, Output::CalledOff { parcel_id }]) => {
                assert_eq!(parcel_id, "k-ask-1");
                assert_eq!((core.load(), core.next_timeout()), ((0, 0, 0), None));
            }
            (false, [Output::Reply { .. }, Output::Deliver(_)]) => {}
            (_, seen) => panic!("{prefix}: {seen:?}"),
        }
    }
}

#[test]
fn what_is_due_later_is_written_down_when_it_goes() {
    let mut core = core();
    letter(&mut core, parcel("k-timer-1", "anna", 500));
    let seen = write(&mut core, 0);
    assert_eq!(seen.len(), 1, "taken, and no more: {seen:?}");
    assert_eq!(core.next_timeout(), Some(500));
    core.handle(500, Input::Timeout);
    let seen = write(&mut core, 500);
    assert!(matches!(seen[..], [Output::Deliver(_)]), "{seen:?}");
    let input = Input::Delivered {
        id: "k-timer-1".to_owned(),
        outcome: Outcome::Sent(None),
    };
    core.handle(510, input);
    let seen = write(&mut core, 510);
    let [Output::Recorded { message: 9, new }] = &seen[..] else {
        panic!("it is written down: {seen:?}");
    };
    let row = &new.message;
    assert_eq!(
        (row.conversation.as_str(), row.role, row.at_unix_ms),
        ("anna/agent", Role::Program, 510)
    );
    assert_eq!(row.text, "k-timer-1 is over");
}
