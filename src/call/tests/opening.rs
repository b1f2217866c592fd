//! Calls that we placed: hello first, then why we call; and telling a machine by how long it talks.

use super::rig::{PHONE, Rig, clip, session, settings};
use super::*;

fn called() -> Rig {
    let settings = CallSettings {
        greeting: String::new(),
        ..settings(Answerer::Agent)
    };
    Rig::new(settings, session(Some(PHONE), true))
}

#[test]
fn who_says_nothing_is_told_at_once() {
    called().check(
        "confirm
         open 7 The tea is ready.
         quiet 1000 -> first packet
         quiet 600 -> say 1.0 The tea is ready.
         sound 1 0 400
         done 1 0
         quiet 1000 -> hush 1; told 7; agent: The tea is ready.",
    );
}

#[test]
fn a_hello_is_heard_and_not_answered() {
    let mut rig = called();
    rig.check(
        "confirm
         open 7 The tea is ready.
         speak -> first packet
         quiet 1000 -> say 1.0 The tea is ready.
         sound 1 0 400
         done 1 0
         quiet 1000 -> hush 1; told 7; agent: The tea is ready.
         tell 8 The cake too. -> say 2.0 The cake too.
         sound 2 0 400
         done 2 0
         quiet 1000 -> hush 2; told 8; agent: The cake too.
         speak -> transcribe 1
         words 1 thank you",
    );
    assert!(rig.seen.is_empty());
}

#[test]
fn a_machine_talks_and_does_not_listen() {
    let mut rig = called();
    rig.check(
        "confirm
         open 7 The tea is ready.",
    );
    // Its voice without the silence around it, over and over.
    let voice: Vec<i16> = clip().into_iter().skip(3_200).take(12_800).collect();
    for _ in 0..10 {
        rig.send(&voice);
    }
    assert_eq!(
        rig.seen,
        ["first packet", "told~ 7", "hang up Machine"],
        "it is hung up on"
    );
}

#[test]
fn who_hangs_up_before_it_is_said_was_told_nothing() {
    called().check(
        "confirm
         open 7 The tea is ready.
         quiet 500 -> first packet
         hangup",
    );
}
