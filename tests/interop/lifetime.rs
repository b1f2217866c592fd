//! Starting and stopping: a stop lets callers go in order, a second start finds the port taken, and what is wrong with
//! the config is said by name.

use crate::baresip::{Phone, Setup, Transport};
use crate::offhook::{Offhook, text_of};
use crate::peers::{BARESIP, take_floor};
use std::net::UdpSocket;
use std::time::Duration;

fn stop_ends_calls_in_order(test: &str, signal: &str) {
    let Some(_floor) = take_floor(test, Some(BARESIP)) else {
        return;
    };
    let mut offhook = Offhook::start(test);
    let account = offhook.first_phone();
    let setup = Setup {
        account: &account,
        transport: Transport::Udp,
        says: &[],
        outbound: true,
    };
    let mut phone = Phone::registered(&offhook, &setup);
    phone.dial("100");
    phone.expect_established(&offhook);
    offhook.signal(signal);
    let ended = phone.wait_for(&["CALL_CLOSED"], Duration::from_secs(20));
    assert!(
        ended.is_some(),
        "no BYE came\n{}\n{}",
        phone.tail(),
        offhook.log_tail()
    );
    offhook.expect_orderly_end(Duration::from_secs(20));
    // And the phone is still registered after the next start.
    offhook.run();
    assert!(
        offhook.log().contains("1 registered already"),
        "{}",
        offhook.log_tail()
    );
}

#[test]
fn ctrl_c_says_goodbye_to_phones() {
    stop_ends_calls_in_order("ctrl_c_says_goodbye_to_phones", "INT");
}

#[test]
fn a_service_stop_says_goodbye_to_phones() {
    stop_ends_calls_in_order("a_service_stop_says_goodbye_to_phones", "TERM");
}

#[test]
fn a_port_that_is_taken_is_named() {
    let Some(_floor) = take_floor("a_port_that_is_taken_is_named", None) else {
        return;
    };
    let offhook = Offhook::install("port-taken", "");
    let _squatter = UdpSocket::bind(offhook.sip).expect("the port is free");
    let output = offhook.call_command(&["run"]);
    let text = text_of(&output);
    assert!(!output.status.success(), "{text}");
    assert!(text.contains(&offhook.sip.port().to_string()), "{text}");
    assert!(!text.contains("panicked"), "{text}");
}

#[test]
fn a_wrong_key_is_named_with_the_right_one() {
    let Some(_floor) = take_floor("a_wrong_key_is_named_with_the_right_one", None) else {
        return;
    };
    let offhook = Offhook::install("wrong-key", "[turn]\nwait_ms_suree = 400\n");
    for command in [&["run"][..], &["config", "check"]] {
        let output = offhook.call_command(command);
        let text = text_of(&output);
        assert!(!output.status.success(), "{text}");
        assert!(
            text.contains("`wait_ms_suree`") && text.contains("`wait_ms_sure`"),
            "{text}"
        );
    }
}

#[test]
fn a_model_that_is_none_is_refused_with_a_reason() {
    let Some(_floor) = take_floor("a_model_that_is_none_is_refused_with_a_reason", None) else {
        return;
    };
    let offhook = Offhook::install("no-model", "");
    let model = offhook.home().join("broken.bin");
    std::fs::write(&model, b"lmgg this is not a model").expect("a writable home");
    let sound = crate::sound::golden("What is six times twelve");
    let arguments = [
        "transcribe",
        &sound.to_string_lossy(),
        "--model",
        &model.to_string_lossy(),
    ];
    let output = offhook.call_command(&arguments);
    let text = text_of(&output);
    assert!(
        output.status.code().is_some_and(|code| code != 0),
        "an error, not a crash: {text}"
    );
    assert!(text.contains("broken.bin"), "{text}");
}
