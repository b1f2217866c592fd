//! Texts by SIP with real phones: to the assistant and its answer, from phone to phone, to one that is away, and over a power
//! cut. SIPp writes what baresip cannot: an envelope that wants receipts, types that nobody can use, a stranger's text.

use crate::baresip::{Phone, Setup, Transport};
use crate::offhook::{Account, Offhook};
use crate::peers::{BARESIP, SIPP, take_floor};
use crate::process::wait_until;
use crate::sipp::Run;
use crate::texts::expect_text;
use std::time::Duration;

const LIMIT: Duration = Duration::from_secs(40);
/// Nothing more may come for so long.
const QUIET: Duration = Duration::from_secs(4);

fn setup(account: &Account) -> Setup<'_> {
    Setup::silent(account, Transport::Udp, false)
}

fn count(texts: &[String], words: &str) -> usize {
    texts.iter().filter(|text| text.contains(words)).count()
}

#[test]
fn the_assistant_answers_a_text_on_the_same_phone() {
    let test = "the_assistant_answers_a_text_on_the_same_phone";
    let Some(_floor) = take_floor(test, Some(BARESIP)) else {
        return;
    };
    let offhook = Offhook::start("text");
    let account = offhook.first_phone();
    let mut phone = Phone::writing(&offhook, &setup(&account), &["100"]);
    phone.tell("message", "What is six times twelve?");
    let texts = expect_text(&phone, &offhook, "72");
    assert!(texts[0].starts_with("sip:100@"), "{texts:?}");
    phone.tell("message", "What is two times two?");
    expect_text(&phone, &offhook, "is 4.");
    assert_eq!(count(&phone.texts(), "72"), 1);
}

#[test]
fn a_text_waits_for_a_phone_and_outlives_a_power_cut() {
    let test = "a_text_waits_for_a_phone_and_outlives_a_power_cut";
    let Some(_floor) = take_floor(test, Some(BARESIP)) else {
        return;
    };
    let mut offhook = Offhook::start("waiting_text");
    let anna = offhook.first_phone();
    let ben = offhook.add_user("ben", "password-of-ben");
    offhook.expect_log("users changed", LIMIT);
    let mut writer = Phone::writing(&offhook, &setup(&anna), &["ben"]);
    let mut reader = Phone::writing(&offhook, &setup(&ben), &[&anna.user]);
    writer.tell("message", "first of three");
    expect_text(&reader, &offhook, "first of three");
    reader.tell("message", "thanks");
    let answer = expect_text(&writer, &offhook, "thanks");
    assert!(answer[0].starts_with("sip:ben@"), "{answer:?}");
    // Away: it is taken all the same.
    reader.tell("quit", "");
    drop(reader);
    writer.tell("message", "second of three");
    writer.tell("message", "third of three");
    let taken = wait_until(LIMIT, || writer.trace().matches("SIP/2.0 202").count() >= 3);
    assert!(taken, "{}\n{}", writer.tail(), offhook.log_tail());
    offhook.kill();
    offhook.run();
    let reader = Phone::writing(&offhook, &setup(&ben), &[&anna.user]);
    let texts = expect_text(&reader, &offhook, "third of three");
    assert_eq!(texts.len(), 2, "the first was there before: {texts:?}");
    assert!(texts[0].contains("second of three"), "{texts:?}");
    // And once, also after another power cut.
    offhook.kill();
    offhook.run();
    wait_until(QUIET, || reader.texts().len() > 2);
    assert_eq!(reader.texts().len(), 2, "{:?}", reader.texts());
}

#[test]
fn texts_of_all_kinds_are_answered_as_they_should() {
    let test = "texts_of_all_kinds_are_answered_as_they_should";
    let Some(_floor) = take_floor(test, Some(SIPP)) else {
        return;
    };
    let offhook = Offhook::start("texts_of_all_kinds");
    let account = offhook.first_phone();
    for scenario in ["text_unusable.xml", "text_nobody.xml", "text_wrapped.xml"] {
        let run = Run {
            scenario: Some(scenario),
            transport: Transport::Udp,
            number: if scenario == "text_nobody.xml" {
                "4711"
            } else {
                "100"
            },
            account: Some(&account),
            calls: 1,
        };
        run.succeeds_against(&offhook);
    }
}
