//! Phone to phone through the program, with real softphones: both hear each other, the losers of a fork stop ringing, what
//! nobody takes becomes a message, a call is held and handed on.

use crate::baresip::{Phone, Setup};
use crate::callback::object;
use crate::offhook::{Account, Offhook};
use crate::peers::{BARESIP, take_floor};
use crate::process::wait_until;
use crate::sound::golden;
use std::time::Duration;

const OFFICE: &str = "[[users]]\nname = \"anna\"\nextensions = [\"200\"]\n\
                      [[users]]\nname = \"bert\"\nextensions = [\"201\"]\nring_s = 4\n\
                      [[users]]\nname = \"carl\"\nextensions = [\"202\"]\n\
                      [[groups]]\nnumber = \"300\"\nmembers = [\"bert\", \"carl\"]\n";
const LIMIT: Duration = Duration::from_secs(20);
/// Both phones are up by then.
const BEFORE_SPEAKING_MS: u32 = 1_500;

fn office(test: &str) -> (Offhook, [Account; 3]) {
    Offhook::with_three(test, OFFICE)
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

/// What was said at the other end has come out of this phone.
fn expect_heard(phone: &mut Phone, said: &str, offhook: &Offhook) {
    let recording = phone.recording();
    offhook.expect_heard(said, &recording, &phone.tail());
}

#[test]
fn two_phones_hear_each_other() {
    let Some(_floor) = take_floor("two_phones_hear_each_other", Some(BARESIP)) else {
        return;
    };
    let (offhook, [anna, bert, _]) = office("between");
    let lamp = [(BEFORE_SPEAKING_MS, golden("Turn the office lamp up"))];
    let times = [(BEFORE_SPEAKING_MS, golden("What is six times twelve"))];
    let mut callee = Phone::answering(&offhook, &Setup::saying(&bert, &times));
    let mut caller = Phone::registered(&offhook, &Setup::saying(&anna, &lamp));
    caller.dial("201");
    caller.expect_established(&offhook);
    expect(&mut callee, "CALL_ESTABLISHED", &offhook);
    caller.stay(Duration::from_secs(7));
    caller.hang_up();
    expect(&mut callee, "CALL_CLOSED", &offhook);
    expect_heard(&mut caller, "What is six times twelve", &offhook);
    expect_heard(&mut callee, "Turn the office lamp up", &offhook);
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
    let mut first = Phone::registered(&offhook, &Setup::saying(&bert, &[]));
    let mut second = Phone::registered(&offhook, &Setup::saying(&carl, &[]));
    let mut caller = Phone::registered(&offhook, &Setup::saying(&anna, &[]));
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
    let mut callee = Phone::registered(&offhook, &Setup::saying(&bert, &[]));
    let mut caller = Phone::registered(&offhook, &Setup::saying(&anna, &says));
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
    let mut third = Phone::answering(&offhook, &Setup::saying(&carl, &[]));
    let mut second = Phone::answering(&offhook, &Setup::saying(&bert, &[]));
    let mut caller = Phone::registered(&offhook, &Setup::saying(&anna, &lamp));
    caller.dial("201");
    expect(&mut second, "CALL_ESTABLISHED", &offhook);
    // Each hears the other before it goes on.
    second.stay(Duration::from_secs(1));
    second.tell("transfer", &format!("sip:202@{}", offhook.sip));
    expect(&mut third, "CALL_ESTABLISHED", &offhook);
    expect(&mut second, "CALL_CLOSED", &offhook);
    caller.stay(Duration::from_secs(12));
    caller.hang_up();
    expect(&mut third, "CALL_CLOSED", &offhook);
    assert_legs(&offhook, &["anna", "bert", "anna", "carl"]);
    expect_heard(&mut third, "Turn the office lamp up", &offhook);
}

/// One speaks Opus or G.722 alone, the other G.711 alone: what they say is decoded and encoded again.
#[test]
fn phones_without_a_codec_in_common_hear_each_other() {
    let test = "phones_without_a_codec_in_common_hear_each_other";
    let Some(_floor) = take_floor(test, Some(BARESIP)) else {
        return;
    };
    for wide in ["opus/48000/2", "G722/16000/1"] {
        let (mut offhook, [anna, bert, _]) = office("transcoded");
        let lamp = [(BEFORE_SPEAKING_MS, golden("Turn the office lamp up"))];
        let times = [(BEFORE_SPEAKING_MS, golden("What is six times twelve"))];
        let narrow = ";audio_codecs=PCMU/8000/1";
        let wide = format!(";audio_codecs={wide}");
        let mut callee = Phone::special(&offhook, &Setup::saying(&bert, &times), narrow, true);
        let mut caller = Phone::special(&offhook, &Setup::saying(&anna, &lamp), &wide, false);
        caller.dial("201");
        caller.expect_established(&offhook);
        offhook.expect_log("without a codec in common", LIMIT);
        caller.stay(Duration::from_secs(7));
        caller.hang_up();
        expect(&mut callee, "CALL_CLOSED", &offhook);
        expect_heard(&mut caller, "What is six times twelve", &offhook);
        expect_heard(&mut callee, "Turn the office lamp up", &offhook);
    }
}

#[test]
fn a_power_cut_ends_the_call_on_both_sides() {
    let test = "a_power_cut_ends_the_call_on_both_sides";
    let Some(_floor) = take_floor(test, Some(BARESIP)) else {
        return;
    };
    let (mut offhook, [anna, bert, _]) = office("power-cut");
    let mut callee = Phone::answering(&offhook, &Setup::saying(&bert, &[]));
    let mut caller = Phone::registered(&offhook, &Setup::saying(&anna, &[]));
    caller.dial("201");
    caller.expect_established(&offhook);
    expect(&mut callee, "CALL_ESTABLISHED", &offhook);
    caller.stay(Duration::from_secs(2));
    offhook.kill();
    offhook.run();
    offhook.expect_log("a crash cut off", LIMIT);
    expect(&mut caller, "CALL_CLOSED", &offhook);
    expect(&mut callee, "CALL_CLOSED", &offhook);
    // Nobody is left on the line, and both can be reached as before, without having registered again.
    caller.forget();
    callee.forget();
    caller.dial("201");
    caller.expect_established(&offhook);
    expect(&mut callee, "CALL_ESTABLISHED", &offhook);
    callee.hang_up();
    expect(&mut caller, "CALL_CLOSED", &offhook);
    offhook.expect_log("call between phones ended: result=completed", LIMIT);
}

#[test]
fn a_call_is_held_and_resumed() {
    let Some(_floor) = take_floor("a_call_is_held_and_resumed", Some(BARESIP)) else {
        return;
    };
    let (offhook, [anna, bert, _]) = office("held");
    let mut callee = Phone::answering(&offhook, &Setup::saying(&bert, &[]));
    let mut caller = Phone::registered(&offhook, &Setup::saying(&anna, &[]));
    caller.dial("201");
    caller.expect_established(&offhook);
    expect(&mut callee, "CALL_ESTABLISHED", &offhook);
    caller.stay(Duration::from_millis(500));
    caller.tell("hold", "");
    let is_held = wait_until(LIMIT, || callee.trace().contains("a=sendonly"));
    assert!(is_held, "{}", offhook.log_tail());
    caller.stay(Duration::from_secs(3));
    caller.tell("resume", "");
    caller.stay(Duration::from_secs(8));
    caller.hang_up();
    expect(&mut callee, "CALL_CLOSED", &offhook);
    expect(&mut caller, "CALL_CLOSED", &offhook);
    // Eight seconds of fifty packets, and half a second before the hold.
    expect_packets(&caller, &callee, 340, &offhook);
}

/// What both phones have got by their own count: more than `least`, or three in four of what a phone sent that had no time
/// for so many, but never less than half of `least`. This softphone's recorder stops at the first re-INVITE, so words cannot tell; what the relay sends may go
/// where nobody listens.
fn expect_packets(one: &Phone, other: &Phone, least: u32, offhook: &Offhook) {
    let counts = [one, other].map(Phone::packets);
    let [(sent, received), (sent_back, came_back)] = counts;
    let is_there = |sent: u32, came: u32| came > least.min(sent * 3 / 4).max(least / 2);
    assert!(
        is_there(sent, came_back) && is_there(sent_back, received),
        "{counts:?}\n{}\n{}\n{}",
        one.tail(),
        other.tail(),
        offhook.log_tail()
    );
}

/// One header of the last message in a trace that has all of `marks`.
fn header(trace: &str, marks: &[&str], name: &str) -> Option<String> {
    let messages = trace.split("SIP/2.0 200 OK").skip(1);
    let message = messages
        .filter_map(|rest| rest.split("\r\n\r\n").next())
        .filter(|message| marks.iter().all(|mark| message.contains(mark)))
        .last()?;
    let line = message.lines().find_map(|line| line.strip_prefix(name))?;
    Some(line.trim().to_owned())
}

fn tag(value: &str) -> &str {
    value.rsplit(";tag=").next().unwrap_or_default()
}

/// The one on the phone's first line is put together with the one it reached last, at `number`.
pub fn hand_on(phone: &mut Phone, number: &str, offhook: &Offhook) {
    // Its command for transfers takes any URI, so the second call is named in it, RFC 3891.
    let trace = phone.trace();
    let callee = format!("sip:{number}@");
    let marks = [callee.as_str(), "INVITE"];
    let named = ["Call-ID:", "To:", "From:"].map(|name| header(&trace, &marks, name));
    let [Some(id), Some(to), Some(from)] = named else {
        panic!("no second call\n{trace}");
    };
    // The transfer is for the first line.
    phone.tell("line", "1");
    let replaces = format!("{id}%3Bto-tag%3D{}%3Bfrom-tag%3D{}", tag(&to), tag(&from));
    let target = format!("<sip:{number}@{}?Replaces={replaces}>", offhook.sip);
    phone.tell("transfer", &target);
}

/// Bert talks with Anna, puts her on hold, asks Carl, and puts the two together.
#[test]
fn a_call_is_handed_on_after_a_word() {
    let test = "a_call_is_handed_on_after_a_word";
    let Some(_floor) = take_floor(test, Some(BARESIP)) else {
        return;
    };
    let (offhook, [anna, bert, carl]) = office("attended");
    let mut third = Phone::answering(&offhook, &Setup::saying(&carl, &[]));
    let mut second = Phone::answering(&offhook, &Setup::saying(&bert, &[]));
    let mut first = Phone::registered(&offhook, &Setup::saying(&anna, &[]));
    first.dial("201");
    first.expect_established(&offhook);
    expect(&mut second, "CALL_ESTABLISHED", &offhook);
    // Each hears the other before it goes on.
    second.stay(Duration::from_secs(1));
    second.tell("hold", "");
    second.forget();
    second.dial("202");
    expect(&mut third, "CALL_ESTABLISHED", &offhook);
    expect(&mut second, "CALL_ESTABLISHED", &offhook);
    second.stay(Duration::from_secs(1));
    hand_on(&mut second, "202", &offhook);
    let is_over = wait_until(LIMIT, || offhook.log().contains("reason=\"transferred\""));
    assert!(is_over, "{}\n{}", second.tail(), offhook.log_tail());
    expect(&mut second, "CALL_CLOSED", &offhook);
    first.stay(Duration::from_secs(6));
    first.hang_up();
    expect(&mut third, "CALL_CLOSED", &offhook);
    expect(&mut first, "CALL_CLOSED", &offhook);
    // Six seconds together.
    expect_packets(&first, &third, 240, &offhook);
    let parties = ["anna", "bert", "bert", "carl", "anna", "carl"];
    assert_legs(&offhook, &parties);
}

/// The record of the call that was handed on knows who talked in each of its parts, and that all of them were heard.
fn assert_legs(offhook: &Offhook, parties: &[&str]) {
    let mut seen = Vec::new();
    let is_so = wait_until(LIMIT, || {
        let calls = offhook.command_output(&["calls", "--json"]);
        let calls: serde_json::Value = serde_json::from_str(&calls).expect("JSON");
        let calls = calls["calls"].as_array().cloned().unwrap_or_default();
        let legs = calls
            .iter()
            .filter_map(|call| call["stats"]["legs"].as_array());
        let longest = legs.max_by_key(|legs| legs.len());
        seen = longest.cloned().unwrap_or_default();
        let names = seen.iter().filter_map(|leg| leg["party"].as_str());
        let is_heard = |leg: &serde_json::Value| leg["packets_received"].as_u64() > Some(0);
        names.eq(parties.iter().copied()) && seen.iter().all(is_heard)
    });
    assert!(is_so, "{seen:?}\n{}", offhook.log_tail());
}

/// The phone that talks with the assistant sends it away, to somebody else's phone.
#[test]
fn a_caller_goes_from_the_assistant_to_a_phone() {
    let test = "a_caller_goes_from_the_assistant_to_a_phone";
    let Some(_floor) = take_floor(test, Some(BARESIP)) else {
        return;
    };
    let (mut offhook, [anna, bert, _]) = office("away");
    let mut callee = Phone::answering(&offhook, &Setup::saying(&bert, &[]));
    let mut caller = Phone::registered(&offhook, &Setup::saying(&anna, &[]));
    caller.dial("100");
    caller.expect_established(&offhook);
    caller.stay(Duration::from_secs(2));
    caller.tell("transfer", &format!("sip:201@{}", offhook.sip));
    expect(&mut callee, "CALL_ESTABLISHED", &offhook);
    offhook.expect_log("call ended: result=completed", LIMIT);
}

/// The caller asks for somebody: the assistant's agent connects them.
#[test]
fn the_assistant_puts_a_caller_through() {
    let test = "the_assistant_puts_a_caller_through";
    let Some(_floor) = take_floor(test, Some(BARESIP)) else {
        return;
    };
    let (offhook, [anna, bert, _]) = office("put-through");
    let mut callee = Phone::answering(&offhook, &Setup::saying(&bert, &[]));
    let mut caller = Phone::registered(&offhook, &Setup::saying(&anna, &[]));
    caller.dial("100");
    caller.expect_established(&offhook);
    let running = || {
        let (_, text) = offhook.http("GET", "/api/calls?limit=1", "");
        let call = object(&text)["calls"][0].clone();
        (call["state"] == "running").then(|| call["id"].as_str().map(str::to_owned))?
    };
    assert!(wait_until(LIMIT, || running().is_some()));
    let path = format!("/api/calls/{}/put_through", running().expect("it is up"));
    let put = |to: &str| {
        let (status, text) = offhook.http("POST", &path, &format!("{{\"to\":\"{to}\"}}"));
        (status, object(&text)["state"].clone())
    };
    // Carl has no phone, and nobody has this number: the caller stays.
    assert_eq!(put("202"), (200, "not_taken".into()));
    assert_eq!(put("4711").0, 403);
    caller.stay(Duration::from_secs(1));
    assert_eq!(put("201"), (200, "talking".into()));
    expect(&mut callee, "CALL_ESTABLISHED", &offhook);
    caller.stay(Duration::from_secs(4));
    caller.hang_up();
    expect(&mut callee, "CALL_CLOSED", &offhook);
    expect(&mut caller, "CALL_CLOSED", &offhook);
    expect_packets(&caller, &callee, 150, &offhook);
    let calls = offhook.call_command(&["calls"]);
    let calls = String::from_utf8_lossy(&calls.stdout).into_owned();
    assert!(calls.contains("put through to somebody else"), "{calls}");
}

/// Another system logs in with an account of its trunk: it is called where it has registered, and its calls go where the
/// trunk's rules say.
#[test]
fn a_trunk_registers_and_calls() {
    let Some(_floor) = take_floor("a_trunk_registers_and_calls", Some(BARESIP)) else {
        return;
    };
    let trunk = "[[trunks]]\nname = \"office\"\naccount = \"pbx\"\naccount_password_file = \"pbx.password\"\n\
                 [[trunks.inbound]]\nnumber = \"77\"\nto = \"201\"\n";
    let mut offhook = Offhook::install("trunk", &format!("{OFFICE}{trunk}"));
    let account = Account {
        user: "pbx".to_owned(),
        password: "pbx-secret-1".to_owned(),
    };
    let file = offhook.home().join("pbx.password");
    std::fs::write(&file, &account.password).expect("a writable home");
    make_private(&file);
    offhook.run();
    let bert = offhook.add_user("bert", "bert-secret-1");
    offhook.expect_log("users changed", LIMIT);
    let mut callee = Phone::answering(&offhook, &Setup::saying(&bert, &[]));
    let mut pbx = Phone::registered(&offhook, &Setup::saying(&account, &[]));
    let doctor = offhook.call_command(&["doctor"]);
    let doctor = String::from_utf8_lossy(&doctor.stdout).into_owned();
    assert!(doctor.contains("registered with us"), "{doctor}");
    // Past the rules nothing is reached, whatever a phone could dial.
    pbx.dial("201");
    expect(&mut pbx, "CALL_CLOSED", &offhook);
    pbx.forget();
    pbx.dial("77");
    pbx.expect_established(&offhook);
    expect(&mut callee, "CALL_ESTABLISHED", &offhook);
    callee.hang_up();
    expect(&mut pbx, "CALL_CLOSED", &offhook);
}

fn make_private(path: &std::path::Path) {
    use std::os::unix::fs::PermissionsExt as _;
    let mode = std::fs::Permissions::from_mode(0o600);
    std::fs::set_permissions(path, mode).expect("own file");
}
