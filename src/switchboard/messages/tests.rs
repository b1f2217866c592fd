//! What several phones make of one text, and how much one sender may write.

use std::time::Duration;

use sip::instant::Envelope;

use super::*;

fn round(open: usize) -> Messages {
    let mut messages = Messages::default();
    let round = Round {
        id: "t".to_owned(),
        open,
        outcome: None,
    };
    messages.rounds.insert("anna".to_owned(), round);
    messages
}

#[test]
fn phones_of_one_user_agree_on_an_outcome() {
    let [ok, no, later, away] = [
        Outcome::Delivered,
        Outcome::Refused(415),
        Outcome::PutOff,
        Outcome::Away,
    ];
    let rows = [
        (vec![ok], vec![Some(ok)]),
        // Told with the first, and once.
        (vec![ok, away], vec![Some(ok), None]),
        (vec![no, ok, no], vec![None, Some(ok), None]),
        (vec![no, no], vec![None, Some(no)]),
        // One that may still take it counts for more than one that never will.
        (vec![no, away], vec![None, Some(away)]),
        (vec![away, later, no], vec![None, None, Some(later)]),
    ];
    for (said, expected) in rows {
        let mut messages = round(said.len());
        let told: Vec<_> = said
            .iter()
            .map(|one| messages.note("anna", "t", *one))
            .collect();
        assert_eq!(told, expected, "{said:?}");
        assert!(messages.rounds.is_empty());
        assert_eq!(messages.note("anna", "t", ok), None, "after the end");
    }
    assert_eq!(round(1).note("anna", "older", ok), None);
}

#[test]
fn a_sender_has_a_burst_and_then_two_a_second() {
    let mut messages = Messages::default();
    let now = Instant::now();
    let allowed = (0..100).filter(|_| messages.allows(now, "anna")).count();
    assert_eq!(allowed, 60);
    assert!(messages.allows(now, "ben"), "everybody has their own");
    assert!(!messages.allows(now + Duration::from_millis(400), "anna"));
    assert!(messages.allows(now + Duration::from_millis(600), "anna"));
}

#[test]
fn receipts_are_written_only_where_they_are_wanted() {
    let wanted = instant::Wants {
        delivered: true,
        displayed: true,
    };
    let envelope = Envelope {
        from: "<sip:anna@home>".to_owned(),
        to: "<sip:100@home>".to_owned(),
        message_id: Some("m".to_owned()),
        wants: wanted,
    };
    let both = receipts("anna", "100", &envelope, "m");
    assert_eq!(both.len(), 2);
    for (live, status) in both.iter().zip(["<delivered/>", "<displayed/>"]) {
        assert!(live.body.contains(status) && live.body.contains("<message-id>m</message-id>"));
        assert!(
            live.body
                .starts_with("From: <sip:100@home>\r\nTo: <sip:anna@home>\r\n")
        );
        assert!(!format!("{live:?}").contains("imdn>"));
    }
    let nothing = Envelope::default();
    assert_eq!(receipts("anna", "100", &nothing, "m").len(), 0);
}

#[test]
fn the_number_written_to_is_found_in_the_id() {
    assert_eq!(office::number_in("00ff@100"), Some("100"));
    assert_eq!(office::number_in("00ff"), None);
    assert_eq!(name_of(&["a", "b"]), name_of(&["a", "b"]));
    assert_ne!(name_of(&["a", "b"]), name_of(&["ab", ""]));
}
