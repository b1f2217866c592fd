//! Every combination of caller, rules and wish, beside a table written down by hand.

use super::*;

const OPTIONS: [Option<Level>; 4] = [
    None,
    Some(Level::Guest),
    Some(Level::Family),
    Some(Level::Owner),
];

fn callers() -> Vec<Caller> {
    let mut all = Vec::new();
    for origin in [Origin::Account, Origin::Trunk] {
        for level in Level::ALL {
            for raised in OPTIONS {
                for pin in OPTIONS {
                    for is_locked in [false, true] {
                        all.push(Caller {
                            origin,
                            level,
                            raised,
                            pin,
                            is_locked,
                        });
                    }
                }
            }
        }
    }
    all
}

fn rules() -> Vec<Rules> {
    let mut all = Vec::new();
    for approvals in Level::ALL {
        for is_frozen in [false, true] {
            all.push(Rules {
                approvals,
                is_frozen,
            });
        }
    }
    all
}

/// Rows of what the account has, and what that means: a letter per wish.
///
/// Wishes: an agent for owner and family, one for the owner, a tool for family, one for the owner, approve (owner's
/// right), freeze, lift, PIN. `y` yes, `p` after the PIN, `m` message, `n` level, `f` frozen, `0` no PIN, `l` locked.
const TABLE: [(&str, &str, &str, &str); 18] = [
    // level, raised, pin, verdicts
    ("guest", "", "", "m m n n n n 0 0"),
    ("guest", "", "owner", "m m p p p n p y"),
    ("guest", "", "family", "m m p n n n n y"),
    ("guest", "", "owner locked", "m m l l l n l l"),
    ("guest", "owner", "owner", "y y y y y y y y"),
    ("guest", "family", "family", "y n y n n y n y"),
    ("family", "", "", "y n y n n y 0 0"),
    ("family", "", "owner", "y n y p p y p y"),
    ("family", "", "owner locked", "y n y l l y l l"),
    ("family", "owner", "owner", "y y y y y y y y"),
    ("family", "owner", "owner locked", "y y y y y y y l"),
    ("owner", "", "", "y y y y y y 0 0"),
    ("owner", "", "owner", "y y y y y y p y"),
    ("owner", "", "owner locked", "y y y y y y l l"),
    ("owner", "owner", "owner", "y y y y y y y y"),
    ("owner", "family", "family", "y y y y y y n y"),
    ("trunk", "", "", "m m n n n n n n"),
    ("trunk", "owner", "owner", "m m n n n n n n"),
];

fn caller(level: &str, raised: &str, pin: &str) -> Caller {
    let (pin, is_locked) = match pin.strip_suffix(" locked") {
        Some(pin) => (pin, true),
        None => (pin, false),
    };
    let base = match level {
        "trunk" => Caller::trunk(),
        level => Caller::account(level.parse().expect("a level")),
    };
    Caller {
        raised: raised.parse().ok(),
        pin: pin.parse().ok(),
        is_locked,
        ..base
    }
}

#[test]
fn the_table() {
    let rules = Rules {
        approvals: Level::Owner,
        is_frozen: false,
    };
    let frozen = Rules {
        is_frozen: true,
        ..rules
    };
    for (level, raised, pin, expected) in TABLE {
        let caller = caller(level, raised, pin);
        let wishes = [
            Wish::Agent(&[Level::Owner, Level::Family]),
            Wish::Agent(&[Level::Owner]),
            Wish::Tool(Level::Family),
            Wish::Tool(Level::Owner),
            Wish::Approve,
            Wish::Freeze,
            Wish::Lift,
            Wish::Pin,
        ];
        let letters = wishes.map(|wish| match may(&caller, &rules, wish) {
            Verdict::Yes => "y",
            Verdict::AfterPin => "p",
            Verdict::Message => "m",
            Verdict::No(Why::Level) => "n",
            Verdict::No(Why::Frozen) => "f",
            Verdict::No(Why::NoPin) => "0",
            Verdict::No(Why::Locked) => "l",
        });
        assert_eq!(
            letters.join(" "),
            expected,
            "{level}, raised {raised}, pin {pin}"
        );
        assert_eq!(
            may(&caller, &frozen, Wish::Approve),
            Verdict::No(Why::Frozen)
        );
        assert_eq!(may(&caller, &frozen, Wish::Stop), Verdict::Yes);
    }
}

/// What must hold whatever the combination.
#[test]
fn what_always_holds() {
    for caller in callers() {
        for rules in rules() {
            let ask = |wish| may(&caller, &rules, wish);
            let why = format!("{caller:?} {rules:?}");
            assert_eq!(ask(Wish::Stop), Verdict::Yes, "{why}");
            let approve = ask(Wish::Approve);
            let is_stranger = caller.origin == Origin::Trunk;
            let can_have_pin = caller.pin.is_some() && !caller.is_locked && !is_stranger;
            if approve == Verdict::Yes {
                assert!(!rules.is_frozen && caller.level() >= rules.approvals);
                assert!(!is_stranger && caller.level() > Level::Guest, "{why}");
            }
            if is_stranger {
                assert!(matches!(approve, Verdict::No(_)), "{why}");
                assert!(matches!(ask(Wish::Lift), Verdict::No(_)), "{why}");
                assert!(matches!(ask(Wish::Pin), Verdict::No(_)), "{why}");
                assert_eq!(caller.level(), Level::Guest);
            }
            if ask(Wish::Lift) == Verdict::Yes {
                assert_eq!(caller.raised, Some(Level::Owner), "{why}");
            }
            for level in Level::ALL {
                let tool = ask(Wish::Tool(level));
                assert_eq!(tool == Verdict::Yes, caller.level() >= level, "{why}");
                if tool == Verdict::AfterPin {
                    assert!(can_have_pin && caller.pin >= Some(level), "{why}");
                }
                let only = [level];
                let agent = may(&caller, &rules, Wish::Agent(&only));
                assert_eq!(agent == Verdict::Yes, caller.level() == level, "{why}");
                assert!(agent != Verdict::Message || caller.level() == Level::Guest);
            }
            // What a level may, a higher one may too.
            let higher = Caller {
                level: Level::Owner,
                ..caller
            };
            for wish in [Wish::Approve, Wish::Freeze, Wish::Tool(Level::Family)] {
                if ask(wish) == Verdict::Yes {
                    assert_eq!(may(&higher, &rules, wish), Verdict::Yes, "{why} {wish:?}");
                }
            }
        }
    }
}

#[test]
fn levels_have_names() {
    for level in Level::ALL {
        assert_eq!(level.to_string().parse(), Ok(level));
    }
    for text in ["", "Owner", "admin", "owner "] {
        assert_eq!(text.parse::<Level>(), Err(()), "{text:?}");
    }
}
