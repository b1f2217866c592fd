//! Speech and keys over our own words: who has the floor afterwards, and what is recorded of it.

use super::*;

#[test]
fn agreement_that_goes_on_is_one_turn() {
    // Heard in a pause, and then more: one entry holds all of it.
    check_answering(
        "2000 speech -> hold
         2200 timeout -> transcribe 2
         2240 final 2 yeah
         2400 hush -> transcribe 3
         2440 final 3 Yeah. -> resume
         2500 again -> hold
         2700 timeout -> transcribe 4
         2760 final 4 yeah but what about -> stop 1; cancel 1; resume
         2760 cut 1 Once -> heard~ Once
         3000 hush -> transcribe 5
         3040 final 5 Yeah, but what about the king?
         3120 pause
         3420 timeout -> ask 2 Yeah, but what about the king?; commit 2; caller Yeah, but what about the king?",
        State::Thinking,
    );
    // More that is no word.
    check_answering(
        "2000 speech -> hold
         2200 timeout -> transcribe 2
         2240 final 2 yeah
         2400 hush -> transcribe 3
         2440 final 3 Yeah. -> resume
         2500 again -> hold
         2560 hush
         2680 pause -> resume; aloud Yeah.",
        State::AgentSpeaking,
    );
}

#[test]
fn a_key_leaves_the_words_said_meanwhile() {
    check_answering(
        "2000 speech -> hold
         2200 timeout -> transcribe 2
         2240 final 2
         2400 hush -> transcribe 3
         2430 digit -> stop 1; cancel 1; drop 3; resume; transcribe 4
         2430 cut 1 Once -> heard~ Once
         2520 pause
         2600 final 4 the second one
         2820 timeout -> ask 2 the second one; commit 2; caller the second one",
        State::Thinking,
    );
}

#[test]
fn a_stammer_does_not_hold_the_reply_for_ever() {
    check_answering(
        "2000 speech -> hold
         2180 hush -> transcribe 2
         2280 again -> drop 2
         2460 hush -> transcribe 3
         2560 again -> drop 3
         2740 hush -> transcribe 4
         2840 again -> drop 4
         3020 hush -> transcribe 5
         3120 again -> drop 5
         3300 hush -> transcribe 6
         3400 again -> drop 6
         3580 hush -> transcribe 7
         3680 again -> drop 7
         3860 hush -> transcribe 8
         3960 again -> drop 8
         4140 hush -> transcribe 9
         4240 again -> drop 9
         4420 hush -> transcribe 10
         4435 again -> drop 10
         4440 timeout -> stop 1; cancel 1; resume",
        State::UserSpeaking,
    );
}

#[test]
fn what_was_said_over_us_decides() {
    let answering = ANSWERING;
    // Heard to its end, and no claim: go on mid-word, and say that it was heard.
    check(
        &format!(
            "{answering}
             2000 speech -> hold
             2200 timeout -> transcribe 2
             2240 final 2 uh-huh
             2400 hush -> transcribe 3
             2440 final 3 Uh-huh. -> resume
             2520 pause -> aloud Uh-huh."
        ),
        State::AgentSpeaking,
    );
    // Our own words, come back.
    check(
        &format!(
            "{answering}
             2000 speech -> hold
             2200 timeout -> transcribe 2
             2240 final 2
             2400 hush -> transcribe 3
             2440 final 3 once upon a time -> resume"
        ),
        State::AgentSpeaking,
    );
    // They want silence, and nothing else.
    check(
        &format!(
            "{answering}
             2000 speech -> hold
             2200 timeout -> transcribe 2
             2240 final 2 Stop. -> stop 1; cancel 1; resume
             2240 cut 1 Once upon -> heard~ Once upon
             2400 hush -> transcribe 3
             2440 final 3 Stop.
             2520 pause
             2820 timeout -> aloud Stop."
        ),
        State::Listening,
    );
    // A short turn of words, known before they could be taken for anything else.
    check(
        &format!(
            "{answering}
             2000 speech -> hold
             2200 timeout -> transcribe 2
             2300 hush -> drop 2; transcribe 3
             2340 final 3 what about the king -> stop 1; cancel 1; resume
             2340 cut 1 Once -> heard~ Once
             2420 pause
             2720 timeout -> ask 2 what about the king; commit 2; caller what about the king"
        ),
        State::Thinking,
    );
    // Words that never come are not lost: the sound is heard again.
    check(
        &format!(
            "{answering}
             2000 speech -> hold
             2200 timeout -> transcribe 2
             2500 hush -> drop 2; transcribe 3
             2600 pause
             3500 timeout -> stop 1; cancel 1; drop 3; resume; transcribe 4
             3500 cut 1 Once -> heard~ Once"
        ),
        State::Endpointing,
    );
    // Speech without any known words takes the floor in the end.
    check(
        &format!(
            "{answering}
             2000 speech -> hold
             2200 timeout -> transcribe 2
             4440 timeout -> stop 1; cancel 1; drop 2; resume
             4440 cut 1 Once -> heard~ Once"
        ),
        State::UserSpeaking,
    );
}

#[test]
fn a_wait_is_filled_with_what_is_really_going_on() {
    let asked = "
        0 speech
        900 pause -> transcribe 1
        1000 final 1 hello
        1200 timeout -> ask 1 hello; commit 1; caller hello";
    check(
        &format!(
            "{asked}
             1300 uses 1 calendar_search
             1800 timeout -> speak! 2 busy checking the calendar
             1900 started 2
             2500 played 2 busy -> aside busy
             2600 tries 1 other
             2600 timeout -> speak! 3 next one"
        ),
        State::AgentSpeaking,
    );
}

#[test]
fn what_the_caller_was_promised_to_hear_is_said_at_once_and_each_time() {
    let asked = "
        0 speech
        900 pause -> transcribe 1
        1000 final 1 hello
        1200 timeout -> ask 1 hello; commit 1; caller hello";
    let limit = "Today's limit of questions to the cloud is reached. here";
    for (script, end) in [
        (
            format!(
                "{asked}
                 1201 cloud 1 big
                 1201 timeout -> speak! 2 the cloud
                 1300 started 2
                 1900 played 2 the cloud -> aside the cloud
                 1950 cloud 1 bigger
                 1950 timeout -> speak! 3 the cloud"
            ),
            State::AgentSpeaking,
        ),
        (
            format!("{asked}\n1201 spent 1\n1201 timeout -> speak! 2 {limit}"),
            State::AgentSpeaking,
        ),
        // The answer was faster: it is not held up.
        (
            format!("{asked}\n1201 text 1 Hi. -> speak 1 Hi.\n1202 cloud 1 big"),
            State::AgentSpeaking,
        ),
    ] {
        check(&script, end);
    }
}
