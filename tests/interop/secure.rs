//! Encrypted sound and Opus with real softphones: with the assistant, and between phones of which one, or both,
//! ask for it.

use std::time::Duration;

use crate::baresip::{Phone, Setup};
use crate::offhook::Offhook;
use crate::peers::{BARESIP, take_floor};
use crate::process::wait_until;
use crate::sound::{Sound, golden};

const LIMIT: Duration = Duration::from_secs(20);
const AFTER_GREETING_MS: u32 = 5_000;

/// Calls the assistant, asks, and waits until it has heard and answered. `evidence` is what the phone says when it has got
/// what it asked for.
fn asks(test: &str, more: &str, evidence: &str) {
    let Some(_floor) = take_floor(test, Some(BARESIP)) else {
        return;
    };
    let mut offhook = Offhook::start(test);
    let account = offhook.first_phone();
    let says = [(AFTER_GREETING_MS, golden("What is six times twelve"))];
    let setup = Setup::saying(&account, &says);
    let mut phone = Phone::special(&offhook, &setup, more, false);
    phone.dial("100");
    phone.expect_established(&offhook);
    phone.stay(Duration::from_secs(11));
    let log = offhook.log();
    let asked = log.find("caller said said=\"What is six times twelve");
    let answered = log.rfind("we said said=");
    assert!(
        asked.is_some() && answered > asked,
        "{more}\n{}\n{}",
        phone.tail(),
        offhook.log_tail()
    );
    let trace = phone.trace();
    assert!(trace.contains(evidence), "no {evidence:?} in:\n{trace}");
    let voiced_ms = Sound::read(&phone.recording()).voiced_ms();
    assert!(voiced_ms >= 1_500, "{more}: only {voiced_ms} ms of voice");
    offhook.expect_log("call ended", Duration::from_secs(10));
}

#[test]
fn the_assistant_hears_a_phone_with_keys_in_its_description() {
    asks("keys", ";mediaenc=srtp-mand", "SRTP is Enabled");
}

#[test]
fn the_assistant_hears_a_phone_after_a_handshake() {
    asks("handshake", ";mediaenc=dtls_srtp", "DTLS-SRTP complete");
}

#[test]
fn the_assistant_hears_opus() {
    asks(
        "opus",
        ";audio_codecs=opus/48000/2",
        "Set audio encoder: opus",
    );
}

/// Both sides say something, and both hear it, whichever of them has keys.
fn talk(test: &str, callers: &str, callees: &str) {
    let Some(_floor) = take_floor(test, Some(BARESIP)) else {
        return;
    };
    let offhook = Offhook::start(test);
    let accounts = ["anna", "bert"].map(|name| offhook.add_user(name, &format!("{name}-secret-1")));
    let known = wait_until(LIMIT, || offhook.log().contains("users changed"));
    assert!(known, "{}", offhook.log_tail());
    let [anna, bert] = &accounts;
    let lamp = [(1_500, golden("Turn the office lamp up"))];
    let times = [(1_500, golden("What is six times twelve"))];
    let mut callee = Phone::special(&offhook, &Setup::saying(bert, &times), callees, true);
    let mut caller = Phone::special(&offhook, &Setup::saying(anna, &lamp), callers, false);
    caller.dial("bert");
    caller.expect_established(&offhook);
    caller.stay(Duration::from_secs(6));
    caller.hang_up();
    let closed = callee.wait_for(&["CALL_CLOSED"], LIMIT);
    assert!(closed.is_some(), "{}", offhook.log_tail());
    for phone in [&mut caller, &mut callee] {
        let voiced_ms = Sound::read(&phone.recording()).voiced_ms();
        assert!(
            voiced_ms >= 500,
            "only {voiced_ms} ms of voice\n{}\n{}",
            phone.tail(),
            offhook.log_tail()
        );
    }
}

#[test]
fn phones_with_keys_hear_each_other() {
    // The one that is called takes keys and does not insist: what it is offered may be plain as well.
    talk("both-keys", ";mediaenc=srtp-mand", ";mediaenc=srtp");
}

#[test]
fn phones_that_insist_on_keys_hear_each_other() {
    talk("both-insist", ";mediaenc=srtp-mand", ";mediaenc=srtp-mand");
}

#[test]
fn a_phone_that_insists_on_keys_is_called_by_one_without() {
    talk("one-insists", "", ";mediaenc=srtp-mand");
}

#[test]
fn a_phone_with_keys_hears_one_without() {
    talk("one-key", ";mediaenc=srtp-mand", "");
}
