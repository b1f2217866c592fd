//! Limits of a day, as tables: what passes, what is held back, and what a restart still knows.

use super::*;

const FREE: Limits = Limits {
    requests: None,
    tokens: None,
    micros: None,
};
/// One unit per token of a question, two per token of an answer.
const PRICE: Price = Price {
    prompt_micros: 1_000_000,
    completion_micros: 2_000_000,
};

fn usage(prompt: u64, completion: u64) -> Usage {
    Usage {
        prompt_tokens: prompt,
        completion_tokens: completion,
    }
}

fn requests(max: u64) -> Limits {
    Limits {
        requests: Some(max),
        ..FREE
    }
}

fn tokens_up_to(max: u64) -> Limits {
    Limits {
        tokens: Some(max),
        ..FREE
    }
}

fn micros(max: u64) -> Limits {
    Limits {
        micros: Some(max),
        ..FREE
    }
}

#[test]
fn each_limit_holds_at_its_number() {
    let reached = |what, is_total| Some(Reached { what, is_total });
    // (of all, of each, agents that ask one after the other, what keeps the last one)
    for (total, each, agents, wanted) in [
        (FREE, FREE, &["a", "a", "a", "a"][..], None),
        (requests(2), FREE, &["a", "b"], None),
        (
            requests(2),
            FREE,
            &["a", "b", "c"],
            reached(What::Requests, true),
        ),
        (FREE, requests(1), &["a", "b"], None),
        (
            FREE,
            requests(1),
            &["a", "b", "a"],
            reached(What::Requests, false),
        ),
        (requests(0), FREE, &["a"], reached(What::Requests, true)),
        // Each takes 10 + 5 tokens, and 20 units.
        (tokens_up_to(30), FREE, &["a", "b"], None),
        (
            tokens_up_to(29),
            FREE,
            &["a", "b"],
            reached(What::Tokens, true),
        ),
        (
            FREE,
            tokens_up_to(29),
            &["a", "a"],
            reached(What::Tokens, false),
        ),
        (micros(40), FREE, &["a", "b"], None),
        (micros(39), FREE, &["a", "b"], reached(What::Money, true)),
        (FREE, micros(39), &["a", "a"], reached(What::Money, false)),
    ] {
        let mut ledger = Ledger::new(total, each, 1, []);
        let mut last = None;
        for agent in agents {
            last = ledger.open(1, agent, usage(10, 5), PRICE).err();
            // What is held back is spent in the end, or not.
        }
        assert_eq!(last, wanted, "{total:?} {each:?} {agents:?}");
    }
}

#[test]
fn what_was_held_back_and_not_used_is_free_again() {
    let mut ledger = Ledger::new(tokens_up_to(20), FREE, 1, []);
    let (id, counts) = ledger.open(1, "a", usage(10, 5), PRICE).expect("room");
    assert_eq!(counts[0].name, "a/requests");
    assert!(ledger.open(1, "a", usage(10, 5), PRICE).is_err());
    let (cost, counts) = ledger.close(1, id, usage(3, 1));
    assert_eq!(cost, 5);
    let kept: Vec<_> = counts.iter().map(|c| (c.name.as_str(), c.by)).collect();
    assert_eq!(kept, [("a/tokens", 4), ("a/micros", 5)]);
    assert!(ledger.open(1, "a", usage(10, 5), PRICE).is_ok());
    // A second end of the same question counts for nothing.
    assert_eq!(ledger.close(1, id, usage(100, 100)), (0, Vec::new()));
}

#[test]
fn a_restart_knows_what_was_spent() {
    let mut before = Ledger::new(FREE, FREE, 7, []);
    let mut kept: BTreeMap<String, u64> = BTreeMap::new();
    for agent in ["a", "house/a", "a"] {
        let (id, counts) = before.open(7, agent, usage(10, 5), PRICE).expect("room");
        let (_, more) = before.close(7, id, usage(10, 5));
        for count in counts.into_iter().chain(more) {
            *kept.entry(count.name).or_default() += count.by;
        }
    }
    let rows = || kept.iter().map(|(name, value)| (name.as_str(), *value));
    let mut after = Ledger::new(requests(3), requests(2), 7, rows());
    assert_eq!(after.spent(), before.spent());
    let wanted = Reached {
        what: What::Requests,
        is_total: false,
    };
    assert_eq!(after.open(7, "a", usage(1, 1), PRICE), Err(wanted));
    let wanted = Reached {
        what: What::Requests,
        is_total: true,
    };
    assert_eq!(after.open(7, "b", usage(1, 1), PRICE), Err(wanted));
    // Names that nobody wrote are read over.
    let odd = [("nonsense", 9), ("a/apples", 9), ("", 9)];
    assert_eq!(Ledger::new(FREE, FREE, 7, odd).spent(), Spent::default());
}

#[test]
fn midnight_begins_anew_and_a_clock_put_back_does_not() {
    let mut ledger = Ledger::new(requests(1), FREE, 5, []);
    let (night, _) = ledger.open(5, "a", usage(1, 1), PRICE).expect("room");
    for (day, passes) in [
        (5, false),
        (4, false),
        (6, true),
        (6, false),
        (5, false),
        (7, true),
    ] {
        let is_let = ledger.open(day, "a", usage(1, 1), PRICE).is_ok();
        assert_eq!(is_let, passes, "day {day}");
    }
    // Asked on day 5, ended on day 7: kept as day 5's, and no part of today.
    let before = ledger.spent();
    let (_, counts) = ledger.close(7, night, usage(4, 4));
    assert!(counts.iter().all(|count| count.day == 5), "{counts:?}");
    assert_eq!(ledger.spent(), before);
}

#[test]
fn what_is_counted_is_bounded() {
    let mut ledger = Ledger::new(FREE, FREE, 1, []);
    for n in 0..HOLDS_MAX {
        let opened = ledger.open(1, &format!("agent {n}"), Usage::default(), PRICE);
        assert!(opened.is_ok());
    }
    assert!(ledger.agents.len() <= AGENTS_MAX + 1);
    let refused = ledger.open(1, "one more", Usage::default(), PRICE);
    assert_eq!(refused.expect_err("full").what, What::Room);
}

#[test]
fn money_is_rounded_up_and_does_not_overflow() {
    let cheap = Price {
        prompt_micros: 1,
        completion_micros: 3,
    };
    for (price, used, wanted) in [
        (cheap, usage(0, 0), 0),
        (cheap, usage(1, 0), 1),
        (cheap, usage(1_000_000, 1_000_000), 4),
        (Price::default(), usage(u64::MAX, u64::MAX), 0),
        // 2.50 and 10.00 per million tokens.
        (
            Price {
                prompt_micros: 2_500_000,
                completion_micros: 10_000_000,
            },
            usage(1_200, 80),
            3_800,
        ),
        (PRICE, usage(u64::MAX, u64::MAX), u64::MAX),
    ] {
        assert_eq!(price.of(used), wanted, "{price:?} {used:?}");
    }
    assert_eq!(guess(9, None), usage(3, ANSWER_TOKENS));
    assert_eq!(guess(0, Some(7)), usage(0, 7));
}
