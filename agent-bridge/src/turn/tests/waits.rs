//! What is said while nothing can be answered, what is announced, and how a call ends.

use super::*;

#[test]
fn failing_again_and_again_ends_the_call() {
    let config = TurnConfig {
        failures_max: 2,
        ..config()
    };
    check_with(
        config,
        "0 speech
         900 pause -> transcribe 1
         1000 final 1 hello
         1200 timeout -> ask 1 hello; commit 1; caller hello
         1300 unreachable 1 -> cancel 1; speak! 2 <Unreachable>
         1400 started 2
         2000 played 2 oh -> aside oh
         3000 speech
         3900 pause -> transcribe 2
         4000 final 2 hello
         4200 timeout -> ask 3 hello; commit 3; caller hello
         4300 unreachable 3 -> cancel 3; speak! 4 giving up
         4400 started 4
         5000 speech
         6000 played 4 giving up -> aside giving up; hangup AgentFailed",
        State::Ended,
    );
}

#[test]
fn one_filler_for_one_wait_and_never_the_same_twice() {
    check(
        "0 speech
         900 pause -> transcribe 1
         1000 final 1 hello
         1200 timeout -> ask 1 hello; commit 1; caller hello
         3700 timeout -> speak! 2 one moment
         3800 started 2
         3900 text 1 Hello. -> ready 1 Hello.
         4500 played 2 one moment -> aside one moment; speak 1
         4600 last 1 -> speak! 1
         4700 started 1
         5000 played 1 Hello. -> heard Hello.
         6000 speech
         6900 pause -> transcribe 2
         7000 final 2 and
         7200 timeout -> ask 3 and; commit 3; caller and
         9700 timeout -> speak! 4 a second",
        State::AgentSpeaking,
    );
}

#[test]
fn tools_run_in_order_and_only_with_the_floor() {
    check_answering(
        "1600 tool 1 set_timer -> run 1 set_timer
         1700 last 1 -> speak! 1",
        State::AgentSpeaking,
    );
    // A reply of tool calls only is no empty reply.
    check(
        "0 speech
         900 pause -> transcribe 1
         1000 final 1 bye
         1200 timeout -> ask 1 bye; commit 1; caller bye
         1300 tool 1 hang_up -> run 1 hang_up
         1400 last 1 -> speak! 1
         1400 played 1",
        State::Listening,
    );
}

#[test]
fn announcements_wait_for_the_floor() {
    check(
        "0 announce Welcome. -> speak! 1 Welcome.
         100 started 1
         200 announce Tea is ready.
         900 played 1 Welcome. -> aside Welcome.; speak! 2 Tea is ready.
         950 started 2
         1000 speech -> hold
         1200 timeout -> transcribe 1
         1240 final 1 thank you very much -> stop 2; resume
         1240 cut 2 Tea -> aside~ Tea
         1300 announce Eggs are ready.
         2000 pause -> transcribe 2
         2100 final 2 -> speak! 3 Eggs are ready.",
        State::AgentSpeaking,
    );
}

#[test]
fn news_is_part_of_the_conversation_and_its_teller_hears_of_it() {
    check(
        "0 tell 7 Your tests are green. -> speak! 1 Your tests are green.
         100 started 1
         200 tell 8 The build is done.
         900 played 1 Your tests are green. -> told 7 Your tests are green.; heard Your tests are green.; speak! 2 The build is done.
         950 started 2
         1000 speech -> hold
         1200 timeout -> transcribe 1
         1240 final 1 what about the lamp -> stop 2; resume
         1240 cut 2 The build -> told~ 8 The build; heard~ The build
         1300 tell 9 Never said.
         1400 drain -> told~ 9; hangup Drained",
        State::Ended,
    );
}

#[test]
fn draining_says_goodbye_first() {
    check_answering(
        "2000 drain Goodbye. -> stop 1; cancel 1; speak! 2 Goodbye.
         2000 cut 1 Once upon -> heard~ Once upon
         2100 started 2
         2500 speech
         2600 announce too late
         2700 drain again
         3000 played 2 Goodbye. -> aside Goodbye.; hangup Drained
         3100 speech
         3200 digit",
        State::Ended,
    );
    // Wherever it comes.
    check(
        "0 speech
         100 pause -> transcribe 1
         200 drain -> drop 1; hangup Drained
         300 final 1 hello",
        State::Ended,
    );
    // A goodbye that takes too long.
    check(
        "0 drain Goodbye. -> speak! 1 Goodbye.
         100 started 1
         10000 timeout -> stop 1; hangup Drained
         10000 cut 1 Good -> aside~ Good",
        State::Ended,
    );
}

#[test]
fn a_silent_caller_is_asked_once_then_the_call_ends() {
    check(
        "0 announce Hi. -> speak! 1 Hi.
         10 started 1
         1000 played 1 Hi. -> aside Hi.
         31000 timeout -> speak! 2 still there
         31100 started 2
         32000 played 2 still there -> aside still there
         62000 timeout -> speak! 3 goodbye
         62100 started 3
         63000 played 3 goodbye -> aside goodbye; hangup SilentCaller",
        State::Ended,
    );
    // Unless they wait for a timer.
    check(
        "0 waits
         90000 announce Tea is ready. -> speak! 1 Tea is ready.
         90100 waited
         90200 started 1
         91000 played 1 Tea is ready. -> aside Tea is ready.
         121000 timeout -> speak! 2 still there",
        State::AgentSpeaking,
    );
    let config = TurnConfig {
        idle_prompt_ms: 0,
        ..config()
    };
    let (_, turn) = run(config, "0 digit");
    assert_eq!(turn.next_timeout(), None);
}

#[test]
fn a_voice_that_stays_mute_is_given_up() {
    check(
        "0 announce Hi. -> speak! 1 Hi.
         15000 timeout -> stop 1
         15000 cut 1",
        State::Listening,
    );
    check(
        "0 speech
         900 pause -> transcribe 1
         1000 final 1 hello
         1200 timeout -> ask 1 hello; commit 1; caller hello
         1300 last 1 Hello. -> speak! 1 Hello.
         16300 timeout -> stop 1; cancel 1",
        State::Listening,
    );
}

#[test]
fn stale_answers_are_dropped() {
    check_answering(
        "1600 text 7 Not mine.
         1610 started 7
         1620 played 7 Not mine.
         1630 final 9 Not mine.
         1640 broken 7
         1650 tool 7 hang_up
         1660 last 1 -> speak! 1
         1670 text 1 After the end.
         1680 broken 1",
        State::AgentSpeaking,
    );
}

#[test]
fn a_reply_has_a_longest_length() {
    let config = TurnConfig {
        reply_chars_max: 8,
        transcript_chars_max: 5,
        ..config()
    };
    check_with(
        config,
        "0 speech
         900 pause -> transcribe 1
         1000 final 1 hello there
         1200 timeout -> ask 1 hello; commit 1; caller hello
         1300 text 1 one two three -> speak! 1 one two
         1400 text 1  four",
        State::AgentSpeaking,
    );
}
