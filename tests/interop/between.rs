//! Phone to phone through the program, with real softphones: both hear each other, the losers of a fork stop ringing, what
//! nobody takes becomes a message, a call is held and handed on.

use crate::baresip::{Phone, Setup, Transport};
use crate::offhook::{Account, Offhook};
use crate::peers::{BARESIP, take_floor};
use crate::process::wait_until;
use crate::sound::{Sound, golden, words_in_order};
use std::path::PathBuf;
use std::time::Duration;

const OFFICE: &str = "[[users]]\nname = \"anna\"\nextensions = [\"200\"]\n\
                      [[users]]\nname = \"bert\"\nextensions = [\"201\"]\nring_s = 4\n\
                      [[users]]\nname = \"carl\"\nextensions = [\"202\"]\n\
                      [[groups]]\nnumber = \"300\"\nmembers = [\"bert\", \"carl\"]\n";
const LIMIT: Duration = Duration::from_secs(20);
/// Both phones are up by then.
const BEFORE_SPEAKING_MS: u32 = 1_500;

fn office(test: &str) -> (Offhook, [Account; 3]) {
    let offhook = Offhook::start_with(test, OFFICE);
    let accounts =
        ["anna", "bert", "carl"].map(|name| offhook.add_user(name, &format!("{name}-secret-1")));
    // Accounts are looked for once a second.
    let known = wait_until(LIMIT, || {
        offhook.log().matches("users changed").count() >= 1
    });
    assert!(known, "{}", offhook.log_tail());
    (offhook, accounts)
}

fn setup<'a>(account: &'a Account, says: &'a [(u32, PathBuf)]) -> Setup<'a> {
    Setup {
        account,
        transport: Transport::Udp,
        says,
        outbound: false,
    }
}

fn expect(phone: &mut Phone, event: &str, offhook: &Offhook) {
    let found = phone.wait_for(&[event], LIMIT);
    assert_eq!(
        found.as_deref(),
        Some(event),
        "{}\n{}",
        phone.tail(),
        offhook.log_tail()
    );
}

#[test]
fn two_phones_hear_each_other() {
    let Some(_floor) = take_floor("two_phones_hear_each_other", Some(BARESIP)) else {
        return;
    };
    let (offhook, [anna, bert, _]) = office("between");
    let lamp = [(BEFORE_SPEAKING_MS, golden("Turn the office lamp up"))];
    let times = [(BEFORE_SPEAKING_MS, golden("What is six times twelve"))];
    let mut callee = Phone::answering(&offhook, &setup(&bert, &times));
    let mut caller = Phone::registered(&offhook, &setup(&anna, &lamp));
    caller.dial("201");
    caller.expect_established(&offhook);
    expect(&mut callee, "CALL_ESTABLISHED", &offhook);
    caller.stay(Duration::from_secs(7));
    caller.hang_up();
    expect(&mut callee, "CALL_CLOSED", &offhook);
    for (phone, said, least) in [
        (&mut caller, "What is six times twelve", 3),
        (&mut callee, "Turn the office lamp up", 3),
    ] {
        let recording = phone.recording();
        assert!(
            Sound::read(&recording).voiced_ms() >= 500,
            "{}\n{}",
            phone.tail(),
            offhook.log_tail()
        );
        let heard = offhook.transcribe(&recording);
        assert!(
            words_in_order(said, &heard) >= least,
            "{said:?}: {heard:?}\n{}",
            offhook.log_tail()
        );
    }
    let calls = offhook.call_command(&["calls"]);
    let calls = String::from_utf8_lossy(&calls.stdout).into_owned();
    assert!(calls.contains("anna") && calls.contains("201"), "{calls}");
}

#[test]
fn the_others_stop_ringing_when_one_answers() {
    let test = "the_others_stop_ringing_when_one_answers";
    let Some(_floor) = take_floor(test, Some(BARESIP)) else {
        return;
    };
    let (offhook, [anna, bert, carl]) = office("group");
    let mut first = Phone::registered(&offhook, &setup(&bert, &[]));
    let mut second = Phone::registered(&offhook, &setup(&carl, &[]));
    let mut caller = Phone::registered(&offhook, &setup(&anna, &[]));
    caller.dial("300");
    expect(&mut first, "CALL_INCOMING", &offhook);
    expect(&mut second, "CALL_INCOMING", &offhook);
    second.answer();
    expect(&mut first, "CALL_CLOSED", &offhook);
    expect(&mut second, "CALL_ESTABLISHED", &offhook);
    caller.expect_established(&offhook);
    second.hang_up();
    expect(&mut caller, "CALL_CLOSED", &offhook);
}

#[test]
fn what_nobody_takes_becomes_a_message() {
    let test = "what_nobody_takes_becomes_a_message";
    let Some(_floor) = take_floor(test, Some(BARESIP)) else {
        return;
    };
    let (mut offhook, [anna, bert, _]) = office("message");
    // It rings for four seconds; then comes the greeting.
    let says = [(13_000, golden("Turn the office lamp up"))];
    let mut callee = Phone::registered(&offhook, &setup(&bert, &[]));
    let mut caller = Phone::registered(&offhook, &setup(&anna, &says));
    caller.dial("201");
    expect(&mut callee, "CALL_INCOMING", &offhook);
    caller.expect_established(&offhook);
    expect(&mut callee, "CALL_CLOSED", &offhook);
    offhook.expect_log("caller said", Duration::from_secs(40));
    expect(&mut caller, "CALL_CLOSED", &offhook);
    assert!(offhook.log().contains("lamp"), "{}", offhook.log_tail());
}

#[test]
fn a_call_is_handed_on() {
    let Some(_floor) = take_floor("a_call_is_handed_on", Some(BARESIP)) else {
        return;
    };
    let (offhook, [anna, bert, carl]) = office("handed-on");
    let lamp = [(9_000, golden("Turn the office lamp up"))];
    let mut third = Phone::answering(&offhook, &setup(&carl, &[]));
    let mut second = Phone::answering(&offhook, &setup(&bert, &[]));
    let mut caller = Phone::registered(&offhook, &setup(&anna, &lamp));
    caller.dial("201");
    expect(&mut second, "CALL_ESTABLISHED", &offhook);
    second.tell("transfer", &format!("sip:202@{}", offhook.sip));
    expect(&mut third, "CALL_ESTABLISHED", &offhook);
    expect(&mut second, "CALL_CLOSED", &offhook);
    caller.stay(Duration::from_secs(12));
    caller.hang_up();
    expect(&mut third, "CALL_CLOSED", &offhook);
    let heard = offhook.transcribe(&third.recording());
    assert!(
        words_in_order("Turn the office lamp up", &heard) >= 3,
        "{heard:?}\n{}",
        offhook.log_tail()
    );
}
