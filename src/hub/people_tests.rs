//! Identities, codes, budgets, and where a person is written to.

use super::*;

fn people(chosen: &[(&str, &str)], configured: &[(&str, &str, &str)]) -> People {
    let config = PeopleConfig {
        messages_per_minute: 3,
        chosen: chosen
            .iter()
            .map(|(a, b)| ((*a).to_owned(), (*b).to_owned()))
            .collect(),
        configured: configured
            .iter()
            .map(|(a, b, c)| ((*a).to_owned(), (*b).to_owned(), (*c).to_owned()))
            .collect(),
    };
    People::new(config, vec!["anna".to_owned(), "ben".to_owned()])
}

fn linked(channel: &str, id: &str, person: &str, used: UnixMs) -> Identity {
    Identity {
        channel: channel.to_owned(),
        id: id.to_owned(),
        person: person.to_owned(),
        place: format!("at {id}"),
        shown_name: String::new(),
        linked_unix_ms: 1,
        used_unix_ms: used,
    }
}

#[test]
fn only_a_login_or_a_link_makes_a_person() {
    let mut people = people(
        &[],
        &[("matrix", "@ben:x", "ben"), ("matrix", "@gone:x", "carl")],
    );
    people.set_links(
        vec![
            linked("telegram", "1", "anna", 5),
            linked("telegram", "2", "carl", 5),
        ],
        vec![],
    );
    for (channel, id, expected) in [
        ("sip", "anna", Some("anna")),
        ("web", "ben", Some("ben")),
        ("sip", "carl", None),
        ("telegram", "1", Some("anna")),
        // Their account is gone.
        ("telegram", "2", None),
        ("matrix", "@gone:x", None),
        ("telegram", "anna", None),
        ("signal", "1", None),
        ("matrix", "@ben:x", Some("ben")),
    ] {
        assert_eq!(people.person_of(channel, id), expected, "{channel} {id}");
    }
}

#[test]
fn a_sender_has_a_budget_and_a_stranger_a_line() {
    let mut people = people(&[], &[]);
    let sent: Vec<bool> = (0..5).map(|_| people.may_send(0, "web", "anna")).collect();
    assert_eq!(sent, [true, true, true, false, false]);
    assert!(
        people.may_send(0, "web", "ben"),
        "another's budget is their own"
    );
    assert!(people.may_send(20_000, "web", "anna"));
    assert!(!people.may_send(20_000, "web", "anna"));
    let lines: Vec<bool> = [0, 1, 59_999, 60_000]
        .map(|at| people.is_worth_a_line(at, "telegram"))
        .to_vec();
    assert_eq!(lines, [true, false, false, true]);
    for n in 0..BUDGETS_MAX + 10 {
        people.may_send(30_000, "web", &n.to_string());
    }
    assert!(people.budgets.len() <= BUDGETS_MAX);
}

#[test]
fn a_stranger_gets_one_code_for_an_hour() {
    let mut people = people(&[], &[]);
    let mut code =
        |now, id: &str, random| people.code(now, ("telegram", id, id), "Mallory\n", random);
    let first = code(0, "7", 0x0123_4567_89ab_cdef).expect("a code");
    assert_eq!(first.code.len(), CODE_CHARS);
    assert_eq!(first.shown_name, "Mallory");
    assert_eq!(code(1, "7", 2), None, "they have one");
    assert!(code(CODE_MS, "7", 2).is_some(), "it is too old");
    for n in 1..CODES_MAX as u64 {
        assert!(code(CODE_MS + 1, &n.to_string(), n * 0x1_0000_0001).is_some() || n == 7);
    }
    let further = (100..200).filter(|n: &u64| code(CODE_MS + 2, &n.to_string(), n << 7).is_some());
    assert!(further.count() <= 1);
    assert_eq!(clean_code(" abcd-2345\n"), "ABCD2345");
}

#[test]
fn a_person_is_written_to_where_they_want() {
    let has = |names: &'static [&'static str]| move |channel: &str| names.contains(&channel);
    let mut people = people(&[("ben", "matrix")], &[("matrix", "@ben:x", "ben")]);
    people.set_links(
        vec![
            linked("telegram", "1", "anna", 50),
            linked("signal", "+1", "anna", 60),
            linked("telegram", "9", "ben", 99),
        ],
        vec![],
    );
    let place = |place: &str, at: &str| Some((place.to_owned(), at.to_owned()));
    let all = has(&["telegram", "signal", "matrix", "sip", "web"]);
    assert_eq!(
        people.reach("anna", all),
        place("signal", "at +1"),
        "last used"
    );
    assert_eq!(
        people.reach("anna", has(&["telegram"])),
        place("telegram", "1")
    );
    assert_eq!(
        people.reach("anna", has(&["sip", "web"])),
        place("sip", "anna")
    );
    assert_eq!(
        people.reach("anna", has(&["web"])),
        None,
        "nobody may be looking"
    );
    assert_eq!(
        people.reach("ben", all),
        place("matrix", "@ben:x"),
        "chosen"
    );
    assert_eq!(people.reach("carl", all), None);
    assert!(people.used(61, "signal", "+1", "elsewhere").is_some());
    assert!(people.used(62, "signal", "+1", "elsewhere").is_none());
    assert_eq!(people.reach("anna", all), place("signal", "elsewhere"));
    // What is for them alone is not written to the group they wrote in.
    people.used(65, "telegram", "1", "-1001234567890");
    assert_eq!(people.reach("anna", all), place("telegram", "1"));
    people.used(66, "matrix", "@ben:x", "!house:x");
    assert_eq!(people.reach("ben", all), place("matrix", "@ben:x"));
    people.used(70, "sip", "anna", "anna");
    assert_eq!(people.reach("anna", all), place("sip", "anna"));
}
