//! One call as scripts: `input -> output; output`, on virtual time, with RTP made by hand and engines that
//! answer when the script says so. A line without an arrow wants nothing done but packets.

mod approvals;
mod opening;
mod rig;

use std::time::Duration;

use agent_bridge::gateways::Role;

use super::*;
use rig::{MOVED, PHONE, Rig, STRANGER, address, clip, session, settings};

/// A call whose greeting has been heard, one second in.
fn greeted() -> Rig {
    let mut rig = Rig::new(settings(Answerer::Agent), session(Some(PHONE), true));
    rig.check(
        "confirm -> say 1.0 Hello there.
         sound 1 0 400
         done 1 0
         quiet 1000 -> first packet; hush 1; aside: Hello there.",
    );
    rig
}

/// A call in which the question "what time is it" is with the agent as reply 2.
fn asked() -> Rig {
    let mut rig = greeted();
    rig.check(
        "speak -> transcribe 1
         words 1 what time is it
         quiet 600 -> ask 2 what time is it; commit 2; caller: what time is it",
    );
    rig
}

fn check(mut rig: Rig, script: &str) -> Rig {
    rig.check(script);
    rig
}

/// A call in which reply 2 has been spoken for 300 ms of 2 s.
fn answering() -> Rig {
    let mut rig = asked();
    rig.check(
        "text 2 One two three four five six seven eight.
         end 2 -> say 2.0 One two three four five six seven eight.
         sound 2 0 2000
         done 2 0
         quiet 300",
    );
    rig
}

#[test]
fn a_question_goes_its_way_in_order() {
    let rig = check(
        asked(),
        "text 2 It is noon. And -> say 2.0 It is noon.
         text 2  so on.
         end 2 -> say 2.1 And so on.
         sound 2 0 500
         done 2 0
         sound 2 1 200
         done 2 1
         quiet 900 -> hush 2; turn 1; agent: It is noon. And so on.",
    );
    assert_eq!(rig.call.conversation().messages().len(), 3);
}

#[test]
fn words_are_shown_while_they_are_spoken() {
    let mut settings = settings(Answerer::Agent);
    settings.greeting = String::new();
    settings.partial_interval = Duration::from_millis(100);
    let mut rig = Rig::new(settings, session(Some(PHONE), true));
    rig.step("confirm");
    rig.step("quiet 1000");
    let clip = clip();
    let half = clip.len() / 2 / media::FRAME_SAMPLES * media::FRAME_SAMPLES;
    rig.send(&clip[..half]);
    rig.step("words 1 what time");
    rig.send(&clip[half..]);
    // The next look was under way when the sound ended.
    assert!(rig.seen.contains(&"abandon 2".to_owned()), "{:?}", rig.seen);
    rig.seen.clear();
    rig.check(
        "words 3 what time is it
         quiet 600 -> ask 1 what time is it; commit 1; caller: what time is it
         text 1 One two three four five six seven eight.
         end 1 -> say 1.0 One two three four five six seven eight.
         sound 1 0 2000
         done 1 0
         quiet 2500 -> hush 1; turn 1; agent: One two three four five six seven eight.",
    );
    let shown = |role| {
        let captions = rig.captions.iter().filter(move |words| words.role == role);
        captions
            .map(|words| words.text.as_str())
            .collect::<Vec<_>>()
    };
    assert_eq!(shown(Role::User), ["what time", "what time is it"]);
    let ours = shown(Role::Assistant);
    assert!(ours.len() >= 3, "{ours:?}");
    assert!(ours.is_sorted_by_key(|text| text.len()), "{ours:?}");
    // What was taken for words and is none, is taken back.
    rig.captions.clear();
    rig.send(&clip[..half]);
    rig.step("words 4 hm");
    rig.send(&clip[half..]);
    rig.step("words 6 ");
    rig.seen.clear();
    let texts: Vec<&str> = rig
        .captions
        .iter()
        .map(|words| words.text.as_str())
        .collect();
    assert_eq!(texts, ["hm", ""]);
}

/// Our own voice in their microphone, too, is heard before it is known for what it is.
#[test]
fn what_was_shown_of_an_echo_is_taken_back() {
    let mut rig = asked();
    rig.check(
        "text 2 The weather in London is fine today.
         end 2 -> say 2.0 The weather in London is fine today.
         sound 2 0 2000
         done 2 0
         quiet 300",
    );
    rig.captions.clear();
    rig.check(
        "speak -> early 2; abandon 2; transcribe 3
         words 3 the weather in london is
         quiet 100",
    );
    let captions = rig.captions.iter().filter(|words| words.role == Role::User);
    let shown: Vec<&str> = captions.map(|words| words.text.as_str()).collect();
    assert_eq!(shown, ["the weather in london is", ""]);
}

#[test]
fn what_is_not_current_is_dropped() {
    check(
        answering(),
        "words 1 late words
         words 9 never asked
         text 9 nobody
         sound 9 0 500
         fail 9 0
         text 2 after the end
         quiet 2000 -> hush 2; turn 1; agent: One two three four five six seven eight.
         sound 2 0 500
         fail 2 0
         end 2
         quiet 500",
    );
}

/// Whatever the caller breaks into, only what was sent counts as heard.
#[test]
fn the_caller_interrupts() {
    let rig = check(
        answering(),
        "speak -> early 2; abandon 2; transcribe 3
         words 3 no the date -> hush 2; turn 1 cut; cancel 2; agent: One two...
         sound 2 0 500
         done 2 0
         quiet 600 -> ask 3 what time is it | One two | no the date; commit 3; caller: no the date",
    );
    assert!(rig.call.turn().state() == agent_bridge::turn::State::Thinking);
}

/// Their words are heard only when they have finished: what they cut still comes before them.
#[test]
fn the_caller_interrupts_and_is_heard_late() {
    check(
        answering(),
        "speak -> early 2; abandon 2; transcribe 3
         quiet 300
         words 3 no the date -> hush 2; turn 1 cut; cancel 2; ask 3 what time is it | One two | no the date; commit 3; agent: One two...; caller: no the date",
    );
    check(
        answering(),
        "speak -> early 2; abandon 2; transcribe 3
         quiet 300
         words 3 stop -> hush 2; turn 1 cut; cancel 2; agent: One two...; caller: stop",
    );
}

/// Somebody talks without a pause: what they say while the first part is being heard is not lost.
#[test]
fn what_follows_a_cut_belongs_to_the_next_turn() {
    let mut settings = settings(Answerer::Agent);
    settings.turn.utterance_ms_max = 500;
    let mut rig = Rig::new(settings, session(Some(PHONE), true));
    rig.check(
        "confirm -> say 1.0 Hello there.
         sound 1 0 400
         done 1 0
         quiet 1000 -> first packet; hush 1; aside: Hello there.",
    );
    let voice = clip();
    let (before, after) = (16 * 900, 16 * 1_200);
    rig.send(&voice[..before]);
    assert_eq!(std::mem::take(&mut rig.seen), ["early 1"]);
    rig.send(&voice[before..after]);
    rig.check("words 1 the first part -> ask 2 the first part; commit 2; caller: the first part");
    let kept_ms = rig.call.utterance.length_ms();
    assert!((300..900).contains(&kept_ms), "{kept_ms} ms");
}

#[test]
fn the_caller_interrupts_an_answer_that_has_not_come() {
    check(
        asked(),
        "speak -> early 2; abandon 2; transcribe 3
         words 3 in London -> cancel 2; turn 1 cut
         text 2 too late
         end 2
         quiet 600 -> ask 3 what time is it in London; commit 3; caller: in London",
    );
}

#[test]
fn speech_that_goes_on_drops_the_early_transcript() {
    check(
        greeted(),
        "speak -> transcribe 1
         speak -> abandon 1; transcribe 2
         words 1 the first half
         words 2 both halves
         quiet 600 -> ask 2 both halves; commit 2; caller: both halves",
    );
}

#[test]
fn words_lost_by_the_engine_are_asked_for_again() {
    check(
        greeted(),
        "speak -> transcribe 1
         words 1 ! -> TranscriptFailed; say 2.0 Sorry,; say 2.1 I could not make that out. Please say it again.",
    );
}

#[test]
fn tools_run_after_commit_and_an_alarm_calls_out() {
    check(
        asked(),
        "tool 2 set_timer
         text 2 Done.
         end 2 -> say 2.0 Done.
         sound 2 0 400
         done 2 0
         quiet 1000 -> hush 2; turn 1; agent: Done.
         quiet 2500 -> AlarmEnded; say 3.0 Your tea timer has ended.
         tool 2 set_timer",
    );
}

#[test]
fn an_unknown_tool_is_noted_and_the_answer_goes_on() {
    check(
        asked(),
        "tool 2 open_door -> UnknownTool
         text 2 Done.
         end 2 -> say 2.0 Done.",
    );
}

/// After the last word, once, and nothing is asked or said any more.
#[test]
fn the_agent_hangs_up() {
    check(
        asked(),
        "text 2 Goodbye.
         tool 2 hang_up
         end 2 -> say 2.0 Goodbye.
         sound 2 0 400
         done 2 0
         quiet 500 -> hush 2; turn 1; agent: Goodbye.; hang up Turn(Goodbye)
         speak
         drain Goodbye.
         quiet 1000
         hangup",
    );
}

#[test]
fn the_agent_hangs_up_without_a_word() {
    check(
        asked(),
        "tool 2 hang_up\n end 2 -> turn 1; hang up Turn(Goodbye)"
            .replace("turn 1", "hush 2; turn 1")
            .as_str(),
    );
}

#[test]
fn an_interrupted_goodbye_is_none() {
    check(
        asked(),
        "text 2 Goodbye and all the best for you.
         tool 2 hang_up
         end 2 -> say 2.0 Goodbye and all the best for you.
         sound 2 0 2000
         done 2 0
         speak -> early 2; abandon 2; transcribe 3
         words 3 wait there is one more thing -> hush 2; turn 1 cut; cancel 2; agent: Goodbye...
         quiet 600 -> ask 3 what time is it | Goodbye | wait there is one more thing; commit 3; caller: wait there is one more thing",
    );
}

#[test]
fn a_clause_without_sound_is_not_heard() {
    check(
        asked(),
        "text 2 One. Then the second sentence of it all. Three. -> say 2.0 One.; say 2.1 Then the second sentence of it all.
         end 2 -> say 2.2 Three.
         sound 2 0 300
         done 2 0
         fail 2 1 -> VoiceFailed
         sound 2 2 300
         done 2 2
         quiet 1000 -> hush 2; turn 1; agent: One. Three.",
    );
}

/// A reply that came to nothing once held back every later one: the call went mute.
#[test]
fn a_reply_without_any_sound_leaves_the_voice_free() {
    check(
        asked(),
        "text 2 One.
         end 2 -> say 2.0 One.
         fail 2 0 -> VoiceFailed; hush 2; turn 1
         speak -> transcribe 2
         words 2 again
         quiet 600 -> ask 3 what time is it again; commit 3; caller: again
         text 3 Two.
         end 3 -> say 3.0 Two.
         sound 3 0 300
         done 3 0
         quiet 600 -> hush 3; turn 2; agent: Two.",
    );
}

/// The voice works ahead of a long answer by a few clauses only, and none of it is lost.
#[test]
fn a_long_answer_is_spoken_to_its_end() {
    let mut rig = asked();
    for n in 0..30 {
        rig.step(&format!("text 2 This is sentence number {n}. "));
    }
    rig.step("end 2");
    let mut said = 0;
    let mut ahead_max = 0;
    let mut spoken = Vec::new();
    while rig.call.turn().state() != agent_bridge::turn::State::Listening {
        let clauses = std::mem::take(&mut rig.seen);
        ahead_max = ahead_max.max(clauses.len());
        spoken.extend(
            clauses
                .iter()
                .filter(|line| line.starts_with("agent: "))
                .cloned(),
        );
        for _ in clauses.iter().filter(|line| line.starts_with("say ")) {
            rig.step(&format!("sound 2 {said} 6000"));
            rig.step(&format!("done 2 {said}"));
            said += 1;
        }
        rig.step("quiet 1000");
    }
    spoken.extend(
        std::mem::take(&mut rig.seen)
            .into_iter()
            .filter(|line| line.starts_with("agent: ")),
    );
    assert!(said > 10, "{said} clauses");
    assert!(ahead_max <= 8, "{ahead_max} clauses at once");
    assert_eq!(spoken.len(), 1);
    assert_eq!(spoken[0].matches("sentence").count(), 30);
}

#[test]
fn what_was_heard_is_recorded_when_the_caller_hangs_up() {
    check(
        answering(),
        "hangup -> hush 2; turn 1 cut; cancel 2; agent: One...",
    );
    check(asked(), "hangup -> cancel 2; turn 1");
}

#[test]
fn the_agent_is_down() {
    check(
        asked(),
        "broken 2 -> cancel 2; turn 1; say 3.0 Sorry,; say 3.1 I can't reach the agent right now.; say 3.2 Please try again in a moment.",
    );
}

/// The first try was a guess and has no fallback; the second one has, and is the same question.
#[test]
fn a_guess_that_fails_is_asked_again_as_it_was() {
    let mut settings = settings(Answerer::Agent);
    settings.turn.speculation.enabled = true;
    let mut rig = Rig::new(settings, session(Some(PHONE), true));
    rig.check(
        "confirm -> say 1.0 Hello there.
         sound 1 0 400
         done 1 0
         quiet 1000 -> first packet; hush 1; aside: Hello there.
         speak -> transcribe 1
         words 1 what time is it -> ask 2 what time is it
         quiet 600 -> commit 2; caller: what time is it
         broken 2 -> cancel 2; turn 1; ask 3 what time is it; commit 3
         text 3 It is noon.
         end 3 -> say 3.0 It is noon.
         sound 3 0 500
         done 3 0
         quiet 900 -> hush 3; turn 2; agent: It is noon.",
    );
}

#[test]
fn silence_is_noticed_without_a_greeting_too() {
    let mut settings = settings(Answerer::Agent);
    settings.greeting = String::new();
    let mut rig = Rig::new(settings, session(Some(PHONE), true));
    rig.check(
        "confirm
         quiet 31000 -> first packet; say 1.0 Are you still there?",
    );
}

#[test]
fn a_drain_says_goodbye_even_into_the_greeting() {
    let rig = Rig::new(settings(Answerer::Agent), session(Some(PHONE), true));
    check(
        rig,
        "confirm -> say 1.0 Hello there.
         sound 1 0 2000
         quiet 200 -> first packet
         drain Bye. -> hush 1; say 2.0 Bye.
         sound 1 0 500
         done 1 0
         sound 2 0 300
         done 2 0
         drain Bye.
         quiet 500 -> hush 2; aside: Bye.; hang up Turn(Drained)",
    );
}

#[test]
fn missing_audio_is_said_once_and_ends_the_call() {
    let rig = Rig::new(settings(Answerer::Echo), session(Some(PHONE), true));
    check(
        rig,
        "confirm\n gone 60100 -> NoAudio; hang up NoAudio\n drain Bye.",
    );
    let mut rig = greeted();
    rig.check("gone 5100 -> NoAudio; say 2.0 I can't hear you.; say 2.1 No sound has reached me from your phone.; say 2.2 Please check its microphone, and whether a firewall blocks it.");
    rig.check("quiet 100 -> AudioResumed");
}

/// Sound that stops with the packets is the end of the speech, too.
#[test]
fn speech_ends_with_its_packets() {
    let mut rig = greeted();
    let words = clip();
    rig.send(&words[..words.len() / 2]);
    assert_eq!(rig.seen, Vec::<String>::new());
    rig.check("gone 1000 -> transcribe 1");
}

#[test]
fn the_longest_call_ends_with_a_goodbye() {
    let mut settings = settings(Answerer::Agent);
    settings.greeting = String::new();
    settings.duration_max = Duration::from_secs(3);
    let rig = Rig::new(settings, session(Some(PHONE), true));
    check(
        rig,
        "confirm
         quiet 3000 -> first packet; say 1.0 This call has lasted as long as calls may.; say 1.1 Goodbye.
         sound 1 0 100
         done 1 0
         sound 1 1 100
         done 1 1
         quiet 400 -> hush 1; aside: This call has lasted as long as calls may. Goodbye.; hang up LongestCall",
    );
}

/// RFC 3264 section 8.4: nothing is sent, so nothing is heard, until the phone is back; then it goes on.
#[test]
fn held_in_the_middle_of_an_answer() {
    let mut rig = answering();
    rig.check("hold -> Held");
    rig.sent.clear();
    rig.check("music\n gone 90000");
    assert_eq!(rig.sent, Vec::new());
    rig.check("resume -> Resumed\n quiet 1900 -> AudioResumed; hush 2; turn 1; agent: One two three four five six seven eight.");
    rig.check("hold -> Held\n drain Goodbye. -> hang up Turn(Drained)");
}

#[test]
fn a_phone_that_vanishes_while_it_holds_does_not_hold_for_ever() {
    let mut settings = settings(Answerer::Agent);
    settings.no_audio_hangup = Duration::from_secs(10);
    let rig = Rig::new(settings, session(Some(PHONE), false));
    check(rig, "gone 99000\n gone 1100 -> hang up NoAudio");
}

/// A re-INVITE from another network: the phone is known by its new address at once.
#[test]
fn the_phone_moves_and_stays_in_the_call() {
    let mut settings = settings(Answerer::Agent);
    settings.greeting = String::new();
    settings.turn.idle_prompt_ms = 0;
    let mut rig = Rig::new(settings, session(Some(PHONE), true));
    rig.check("confirm\n quiet 200 -> first packet\n move");
    rig.check("quiet 70000");
    rig.sent.clear();
    rig.check("quiet 100");
    assert!(!rig.sent.is_empty() && rig.sent.iter().all(|(to, _)| *to == address(MOVED)));
}

#[test]
fn an_echo_goes_to_its_source_only_and_under_our_name() {
    let mut rig = Rig::new(settings(Answerer::Echo), session(Some(PHONE), true));
    rig.check("confirm\n quiet 100 -> first packet");
    assert_eq!(rig.sent.len(), 5);
    let phone_ssrc = rig.sender.ssrc();
    for (to, data) in &rig.sent {
        let packet = media::rtp::Packet::parse(data).expect("RTP");
        assert_eq!((*to, packet.payload_type), (address(PHONE), 0));
        assert_ne!(packet.ssrc, phone_ssrc);
    }
    rig.sent.clear();
    rig.from = address(STRANGER);
    rig.check("quiet 100 -> Stranger");
    assert_eq!(
        rig.sent,
        Vec::new(),
        "a stranger's packets are not sent back"
    );
    rig.from = address(PHONE);
    // RFC 5761: a receiver report on the RTP port is not sound.
    let report = [0x80, 201, 0, 1, 0, 0, 0, 9];
    rig.input(CallInput::Rtp {
        from: address(PHONE),
        data: &report,
    });
    rig.check("hold -> Held\n quiet 100");
    assert_eq!(
        rig.sent,
        Vec::new(),
        "nothing is sent to a phone that holds us"
    );
    rig.check("resume -> Resumed\n move\n quiet 100");
    assert_eq!(rig.sent.len(), 5);
    assert!(rig.sent.iter().all(|(to, _)| *to == address(MOVED)));
}

#[test]
fn after_the_end_nothing_comes() {
    let mut rig = answering();
    rig.step("hangup");
    rig.seen.clear();
    rig.check("text 2 more\n sound 2 0 100\n drain Bye.\n hold\n hangup");
    assert_eq!(rig.call.next_timeout(), None);
}
