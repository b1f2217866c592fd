//! The dial plan as tables.

use super::*;

#[test]
fn the_numbers_of_the_assistant() {
    let rows = [
        ("100", Some(Answerer::Agent)),
        ("1-00", Some(Answerer::Agent)),
        ("(1) 00", Some(Answerer::Agent)),
        ("Agent", Some(Answerer::Agent)),
        ("101", Some(Answerer::Echo)),
        ("ECHO", Some(Answerer::Echo)),
        ("102", Some(Answerer::Readback)),
        ("103", None),
        ("", None),
        ("agent-1", None),
        ("1000", None),
    ];
    for (target, expected) in rows {
        assert_eq!(route(&Numbers::default(), target), expected, "{target:?}");
    }
}

#[test]
fn patterns() {
    let rows = [
        ("123", "123", true),
        ("123", "1234", false),
        ("123", "12", false),
        ("12*", "12", true),
        ("12*", "12999", true),
        ("12*", "13", false),
        ("1?3", "173", true),
        ("1?3", "13", false),
        ("*", "", true),
        ("*", "anything", true),
        ("+49?*", "+49", false),
        ("+49?*", "+491", true),
        ("Bob", "bob", true),
    ];
    for (pattern, number, expected) in rows {
        assert_eq!(fits(pattern, number), expected, "{pattern} {number}");
    }
}

fn plan() -> DialPlan {
    let text = r#"
        [[users]]
        name = "anna"
        extensions = ["200"]
        [[users]]
        name = "bert"
        extensions = ["201"]
        outbound = false
        [[users]]
        name = "ghost"
        extensions = ["202"]
        [[groups]]
        number = "300"
        aliases = ["Office"]
        members = ["anna", "201", "anna", "100", "nobody"]
        [[trunks]]
        name = "line"
        host = "192.0.2.1"
        prefix = "0"
        add = "+49"
        [[trunks.inbound]]
        number = "+49301234*"
        to = "300"
        [[trunks.inbound]]
        number = "+4930999"
        to = "0555"
        [[trunks.numbers]]
        number = "500"
        dial = "assistant-7"
        [[trunks]]
        name = "abroad"
        host = "192.0.2.2"
        transport = "tcp"
        prefix = "00"
        add = "+"
        [outbound]
        allowed = ["+4930*", "+41*", "+49112", "+1900*"]
        refused = ["+4190*", "+1900*"]
        "#;
    let (config, _) = Config::parse(text, &[]).expect("a config");
    let mut plan = DialPlan::new(&config);
    plan.set_accounts(["anna", "Bert", "kitchen"].map(str::to_owned).to_vec());
    plan
}

#[test]
fn who_is_reached() {
    let user = |name: &str| Ok(Destination::User(name.to_owned()));
    let outside = |trunk, number: &str, is_metered| {
        Ok(Destination::Trunk(Outside {
            trunk,
            number: number.to_owned(),
            is_metered,
        }))
    };
    let rows = [
        (
            "100",
            Some("anna"),
            Ok(Destination::Service(Answerer::Agent)),
        ),
        ("200", Some("anna"), user("anna")),
        ("2-00", None, user("anna")),
        ("201", Some("anna"), user("Bert")),
        ("BERT", Some("anna"), user("Bert")),
        ("kitchen", Some("anna"), user("kitchen")),
        ("202", Some("anna"), Err(Refused::Nobody)),
        ("300", Some("anna"), Ok(Destination::Group(0))),
        ("office", None, Ok(Destination::Group(0))),
        ("500", Some("bert"), outside(0, "assistant-7", false)),
        ("500", None, Err(Refused::Nobody)),
        ("030123", Some("anna"), outside(0, "+4930123", true)),
        ("030 / 123", Some("anna"), outside(0, "+4930123", true)),
        ("0041791", Some("anna"), outside(1, "+41791", true)),
        ("0041901", Some("anna"), Err(Refused::Costly)),
        ("001900555", Some("anna"), Err(Refused::Costly)),
        ("0040123", Some("anna"), Err(Refused::NotAllowed)),
        ("030123", Some("bert"), Err(Refused::NotThisUser)),
        ("030123", None, Err(Refused::Nobody)),
        ("112", Some("anna"), Err(Refused::Emergency)),
        ("911", Some("anna"), Err(Refused::Emergency)),
        ("999", Some("anna"), Err(Refused::Emergency)),
        ("99", Some("anna"), Err(Refused::Nobody)),
        ("", Some("anna"), Err(Refused::Nobody)),
    ];
    for (dialled, payer, expected) in rows {
        assert_eq!(plan().find(dialled, payer), expected, "{dialled} {payer:?}");
    }
    let long = "0".repeat(100_000);
    assert_eq!(plan().find(&long, Some("anna")), Err(Refused::Nobody));
}

#[test]
fn calls_from_outside_stay_inside() {
    let rows = [
        ("+493012345", Ok(Destination::Group(0))),
        ("+4930", Err(Refused::Nobody)),
        ("200", Err(Refused::Nobody)),
        // The rule names a number outside.
        ("+4930999", Err(Refused::Nobody)),
    ];
    for (called, expected) in rows {
        assert_eq!(plan().from_trunk(0, called), expected, "{called}");
    }
    assert_eq!(plan().from_trunk(9, "+493012345"), Err(Refused::Nobody));
}

#[test]
fn members_of_a_group_are_users() {
    let plan = plan();
    let group = plan.group(0).expect("configured");
    assert_eq!(plan.members(group), ["anna", "Bert"]);
}

#[test]
fn who_a_user_is_to_others() {
    let plan = plan();
    assert_eq!(plan.shown("anna"), ("anna".to_owned(), "200".to_owned()));
    assert_eq!(
        plan.shown("kitchen"),
        ("kitchen".to_owned(), "kitchen".to_owned())
    );
    assert!(plan.user("kitchen").voicemail);
}
