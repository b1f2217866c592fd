//! Approvals in a call: scripts with a voice, ears and keys, on virtual time.

use super::*;

/// A question of the agent's own waits, and the agent waits for it: reply 2 is under way.
fn pending() -> Rig {
    let mut rig = asked();
    rig.check("offer a -> desk: Approval needed.\n read");
    rig
}

const OVER: &str = "; hush 4294967294";

/// The caller says something to the desk, and it is on its way to the recogniser.
fn heard(rig: &mut Rig) {
    for step in ["quiet 800", "speak", "quiet 700"] {
        rig.step(step);
    }
    assert_eq!(std::mem::take(&mut rig.seen), ["transcribe 2"]);
}

fn closing(rig: Rig, text: &str) -> Rig {
    // What the desk says last, and then the agent goes on.
    let mut rig = rig;
    rig.step("read");
    let seen = std::mem::take(&mut rig.seen).join("; ");
    assert_eq!(seen, text);
    rig
}

#[test]
fn allowed_by_key_and_the_reply_goes_on() {
    let mut rig = pending();
    rig.check("keys CODE -> AllowOnce a: code by key; hush 4294967295; desk: Allowed, this once.");
    let mut rig = closing(rig, "hush 4294967294");
    rig.check(
        "text 2 Done.
         end 2 -> say 2.0 Done.
         sound 2 0 400
         done 2 0
         quiet 700 -> hush 2; turn 1; agent: Done.",
    );
    // Nothing of the question is in the conversation.
    let words: Vec<&str> = rig
        .call
        .conversation()
        .messages()
        .map(|said| said.text.as_str())
        .collect();
    assert_eq!(words, ["Hello there.", "what time is it", "Done."]);
}

#[test]
fn allowed_by_voice() {
    let mut rig = pending();
    heard(&mut rig);
    rig.check("code 2 -> AllowOnce a: code by voice; hush 4294967295; desk: Allowed, this once.");
    closing(rig, &OVER[2..]);
}

/// What the agent sends meanwhile takes nothing of the caller's answer away.
#[test]
fn an_answer_is_heard_whatever_the_agent_sends() {
    for events in [&["text 2 Hm", "quiet 400"][..], &["end 2", "quiet 400"]] {
        let mut rig = pending();
        for step in [&["quiet 800", "speak", "quiet 300"], events].concat() {
            rig.step(step);
        }
        let seen = std::mem::take(&mut rig.seen);
        assert_eq!(seen.last().map(String::as_str), Some("transcribe 2"));
        rig.check(
            "code 2 -> AllowOnce a: code by voice; hush 4294967295; desk: Allowed, this once.",
        );
    }
}

#[test]
fn every_other_end_is_a_no() {
    let rows = [
        (
            "quiet 21000",
            "Deny a: silence; hush 4294967295; desk: I heard no answer, so I refused it.",
        ),
        (
            "keys *",
            "Deny a: refused by key; hush 4294967295; desk: Refused.",
        ),
        ("keys 00", ""),
        (
            "keys 000",
            "Deny a: wrong code; hush 4294967295; desk: That was another code, so I refused it.",
        ),
        ("hangup", "Deny a: hung up; hang up"),
        ("frozen", "Deny a: approvals are stopped; hush 4294967295"),
        ("words 2 four seven one", ""),
    ];
    for (step, expected) in rows {
        let mut rig = pending();
        rig.step(step);
        let seen = std::mem::take(&mut rig.seen).join("; ");
        match step {
            "hangup" => assert!(seen.starts_with("Deny a: hung up"), "{seen}"),
            _ => assert_eq!(seen, expected, "{step}"),
        }
    }
    let spoken = [
        (
            "yes",
            "Deny a: unclear words; hush 4294967295; desk: I did not hear the code alone, so I refused it.",
        ),
        (
            "no thanks",
            "Deny a: refused by voice; hush 4294967295; desk: Refused.",
        ),
        (
            "one one one",
            "Deny a: wrong code; hush 4294967295; desk: That was another code, so I refused it.",
        ),
        ("um", ""),
    ];
    for (words, expected) in spoken {
        let mut rig = pending();
        heard(&mut rig);
        rig.step(&format!("words 2 {words}"));
        let seen = std::mem::take(&mut rig.seen).join("; ");
        assert_eq!(seen, expected, "{words}");
    }
}

/// Our own voice comes back while we ask, code and all.
#[test]
fn an_echo_allows_nothing() {
    let mut rig = asked();
    rig.check("offer a -> desk: Approval needed.");
    // The question is still being made when the speech begins.
    heard(&mut rig);
    let code = rig.code();
    rig.check(&format!("words 2 To allow it once, press or say {code}."));
    rig.check("read\n quiet 21000 -> Deny a: silence; hush 4294967295; desk: I heard no answer, so I refused it.");
    let mut rig = asked();
    rig.check("offer a -> desk: Approval needed.");
    heard(&mut rig);
    let code = rig.code();
    rig.step(&format!("words 2 {code}"));
    let seen = std::mem::take(&mut rig.seen).join("; ");
    assert!(!seen.contains("AllowOnce"), "{seen}");
}

#[test]
fn one_at_a_time() {
    let mut rig = pending();
    rig.check(
        "offer b
         keys CODE -> AllowOnce a: code by key; hush 4294967295; desk: Allowed, this once.
         read -> hush 4294967294; desk: Approval needed.
         read
         keys * -> Deny b: refused by key; hush 4294967293; desk: Refused.
         read -> hush 4294967292",
    );
}

#[test]
fn it_waits_until_nobody_speaks() {
    let mut rig = answering();
    rig.check(
        "offer a
         quiet 1000
         quiet 900 -> hush 2; turn 1; agent: One two three four five six seven eight.; desk: Approval needed.",
    );
    let mut rig = greeted();
    rig.check("speak -> transcribe 1\n offer a\n words 1 what time is it");
    rig.check("quiet 700 -> ask 2 what time is it; commit 2; caller: what time is it; desk: Approval needed.");
}

/// A reply that was begun before its tool had to ask: the question stands between its two parts.
#[test]
fn a_reply_is_parted() {
    let mut rig = asked();
    rig.check(
        "text 2 Let me look. One -> say 2.0 Let me look.
         sound 2 0 400
         done 2 0
         quiet 300
         offer a
         quiet 300 -> desk: Approval needed.
         read
         keys CODE -> AllowOnce a: code by key; hush 4294967295; desk: Allowed, this once.
         read -> hush 4294967294
         text 2  o'clock.
         end 2 -> say 2.1 One o'clock.
         sound 2 1 400
         done 2 1
         quiet 700 -> hush 2; turn 1; agent: Let me look. One o'clock.",
    );
}

/// The agent's answer may take as long as the question: its wait begins anew.
#[test]
fn the_agent_is_not_given_up_meanwhile() {
    let mut rig = pending();
    rig.check(
        "quiet 15000
         keys CODE -> AllowOnce a: code by key; hush 4294967295; desk: Allowed, this once.
         read -> hush 4294967294",
    );
    rig.step("quiet 2000");
    let seen = std::mem::take(&mut rig.seen).join("; ");
    assert!(!seen.contains("cancel"), "{seen}");
}

#[test]
fn a_question_that_cannot_be_said_is_refused() {
    let mut rig = asked();
    rig.check("offer a -> desk: Approval needed.");
    rig.check("fail 4294967295 1 -> VoiceFailed; Deny a: could not be read out; hush 4294967295");
    let mut rig = asked();
    rig.check("offer a -> desk: Approval needed.");
    rig.check("done 4294967295 3 -> VoiceFailed; Deny a: could not be read out; hush 4294967295");
}

#[test]
fn stop_everything() {
    let mut rig = answering();
    rig.check("offer a");
    let said = "I";
    rig.step("keys *0");
    let seen = std::mem::take(&mut rig.seen).join("; ");
    assert!(seen.contains("Deny a: stopped by the caller; "), "{seen}");
    assert!(seen.contains("stop true"), "{seen}");
    assert!(
        seen.contains("say 3.0 Everything is stopped."),
        "{said} {seen}"
    );
    rig.check("offer b -> Deny b: approvals are stopped");
    // By words, which are no question to the agent.
    let mut rig = greeted();
    rig.check("speak -> transcribe 1");
    rig.step("words 1 Stop everything!");
    let seen = std::mem::take(&mut rig.seen).join("; ");
    assert!(
        seen.starts_with("caller: Stop everything!; stop true; say 2.0 Everything is stopped."),
        "{seen}"
    );
    assert!(!seen.contains("ask"), "{seen}");
    // From the owner's other phone.
    let mut rig = answering();
    rig.step("elsewhere");
    let seen = std::mem::take(&mut rig.seen).join("; ");
    assert!(
        seen.contains("hush 2") && seen.contains("cancel 2"),
        "{seen}"
    );
}

#[test]
fn a_pin_comes_first_where_one_is_needed() {
    let mut settings = settings(Answerer::Agent);
    settings.authority.caller = agent_bridge::levels::Caller {
        pin: Some(agent_bridge::levels::Level::Owner),
        ..agent_bridge::levels::Caller::account(agent_bridge::levels::Level::Family)
    };
    let mut rig = Rig::new(settings, session(Some(PHONE), true));
    rig.check(
        "confirm -> say 1.0 Hello there.
         sound 1 0 400
         done 1 0
         quiet 1000 -> first packet; hush 1; aside: Hello there.
         offer a -> desk: Something needs your approval, and that needs your PIN.
         read
         keys 4071# -> check 4071
         pin wrong -> hush 4294967295; desk: That PIN is wrong. Please try again.
         read
         keys 4072# -> check 4072
         pin right -> Raised(Owner); hush 4294967294; desk: Approval needed.
         read
         keys CODE -> AllowOnce a: code by key; hush 4294967293; desk: Allowed, this once.
         read -> hush 4294967292",
    );
}

/// The phone that holds us hears no question, and is not asked one.
#[test]
fn a_held_call_is_not_asked() {
    let mut rig = greeted();
    rig.check("hold -> Held\n offer a\n quiet 500\n resume -> Resumed; desk: Approval needed.");
}
