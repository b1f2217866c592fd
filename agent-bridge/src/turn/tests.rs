//! Turn-taking as scripts: `milliseconds event -> action; action`. A line's time must be the machine's
//! own next timeout when its event is `timeout`, and must not lie beyond it otherwise.

use std::time::{Duration, Instant};

use super::*;

fn config() -> TurnConfig {
    TurnConfig {
        phrases: Phrases {
            fillers: vec!["one moment".into(), "a second".into()],
            still_there: "still there".into(),
            goodbye: "goodbye".into(),
            not_understood: "say again".into(),
            answer_cut: "broke off".into(),
            giving_up: "giving up".into(),
        },
        ..TurnConfig::default()
    }
}

fn event(text: &str) -> Event {
    let (word, rest) = text.split_once(' ').unwrap_or((text, ""));
    let (number, tail) = rest.split_once(' ').unwrap_or((rest, ""));
    let id = || ReplyId(number.parse().expect("an id"));
    let words = || tail.to_owned();
    let failed = |kind| Event::ReplyFailed {
        id: id(),
        error: ReplyError {
            kind,
            blame: Blame::Upstream,
        },
    };
    match word {
        "speech" => Event::SpeechStarted,
        "pause" => Event::SpeechStopped,
        "final" => Event::Final {
            utterance: id().0,
            text: words(),
        },
        "digit" => Event::Dtmf { digit: '1' },
        "text" | "last" => Event::ReplyText {
            id: id(),
            text: words(),
            last: word == "last",
        },
        "tool" => Event::ReplyToolCall {
            id: id(),
            call: ToolCall {
                id: String::new(),
                name: words(),
                arguments: serde_json::json!({}),
            },
        },
        "unreachable" => failed(ReplyErrorKind::Unreachable),
        "broken" => failed(ReplyErrorKind::Broken),
        "started" => Event::PlayoutStarted { id: id() },
        "played" | "cut" => Event::PlayoutStopped {
            id: id(),
            heard: words(),
            complete: word == "played",
        },
        "announce" => Event::Announce { text: rest.into() },
        "waits" | "waited" => Event::CallerWaits {
            waits: word == "waits",
        },
        "drain" => Event::Drain { text: rest.into() },
        "timeout" => Event::Timeout,
        _ => panic!("no event is called {word}"),
    }
}

fn show(action: &Action) -> String {
    let kind = |error: &str| {
        // Apologies by kind, so that their wording may change.
        for kind in [
            ReplyErrorKind::Unreachable,
            ReplyErrorKind::Slow,
            ReplyErrorKind::Empty,
            ReplyErrorKind::Broken,
        ] {
            let blame = Blame::Ours;
            if error == (ReplyError { kind, blame }).sayable() {
                return format!("<{kind:?}>");
            }
        }
        error.to_owned()
    };
    match action {
        Action::Transcribe { utterance } => format!("transcribe {utterance}"),
        Action::DropUtterance { utterance } => format!("drop {utterance}"),
        Action::Speculate { id, text } => format!("ask {} {text}", id.0),
        Action::Commit { id } => format!("commit {}", id.0),
        Action::Cancel { id } => format!("cancel {}", id.0),
        Action::Speak { id, text, last } => {
            let mark = if *last { "!" } else { "" };
            format!("speak{mark} {} {}", id.0, kind(text))
                .trim_end()
                .to_owned()
        }
        Action::RunTool { id, call } => format!("run {} {}", id.0, call.name),
        Action::Pause => "hold".into(),
        Action::Resume => "resume".into(),
        Action::StopPlayout { id } => format!("stop {}", id.0),
        Action::Record(entry) => {
            let who = match (entry.role, entry.aside) {
                (Role::User, _) => "caller",
                (_, false) => "heard",
                (_, true) => "aside",
            };
            let mark = if entry.complete { "" } else { "~" };
            format!("{who}{mark} {}", kind(&entry.text))
        }
        Action::Hangup { why } => format!("hangup {why:?}"),
    }
}

/// Runs a script and returns it with the actions that really followed.
fn run(config: TurnConfig, script: &str) -> (String, Turn) {
    // The one moment that all others are counted from.
    #[allow(clippy::disallowed_methods)]
    let base = Instant::now();
    let mut turn = Turn::new(config);
    turn.start_trace();
    let mut seen = Vec::new();
    for line in script.lines().map(str::trim).filter(|l| !l.is_empty()) {
        let input = line.split("->").next().unwrap_or_default().trim();
        let (at, name) = input.split_once(' ').expect("a time and an event");
        let at_ms: u64 = at.parse().expect("milliseconds");
        let now = base + Duration::from_millis(at_ms);
        let due = turn.next_timeout().map(|due| (due - base).as_millis());
        if name == "timeout" {
            assert_eq!(due, Some(u128::from(at_ms)), "timeout due at {line}");
        } else if let Some(due) = due {
            assert!(due >= u128::from(at_ms), "{due}: timeout before {line}");
        }
        turn.handle(now, event(name));
        let mut actions = Vec::new();
        while let Some(action) = turn.poll_action() {
            actions.push(show(&action));
        }
        seen.push(match actions.is_empty() {
            true => input.to_owned(),
            false => format!("{input} -> {}", actions.join("; ")),
        });
    }
    let trace = turn.take_trace().expect("started above");
    let text = serde_json::to_string(&trace).expect("a trace is plain data");
    let again: trace::Trace = serde_json::from_str(&text).expect("and comes back");
    assert_eq!(again, trace);
    let differences = again.replay(again.config.clone(), base);
    assert!(differences.is_empty(), "{differences:?}");
    (seen.join("\n"), turn)
}

fn check_with(config: TurnConfig, script: &str, state: State) {
    let wanted: Vec<_> = script
        .lines()
        .map(str::trim)
        .filter(|l| !l.is_empty())
        .collect();
    let (seen, turn) = run(config, script);
    assert_eq!(seen, wanted.join("\n"));
    assert_eq!(turn.state(), state);
}

fn check(script: &str, state: State) {
    check_with(config(), script, state);
}

#[test]
fn one_question_and_its_answer() {
    check(
        "0 speech
         900 pause -> transcribe 1
         1000 final 1 what time is it
         1200 timeout -> ask 1 what time is it; commit 1; caller what time is it
         1300 text 1 It is noon. -> speak 1 It is noon.
         1350 text 1  Exactly. -> speak 1  Exactly.
         1400 last 1 -> speak! 1
         1500 started 1
         3000 played 1 It is noon. Exactly. -> heard It is noon. Exactly.
         33000 timeout -> speak! 2 still there",
        State::AgentSpeaking,
    );
}

#[test]
fn the_endpoint_waits_for_the_pause_and_for_the_words() {
    // The words are late: commit as soon as they are there.
    check(
        "0 speech
         900 pause -> transcribe 1
         2000 final 1 hello -> ask 1 hello; commit 1; caller hello",
        State::Thinking,
    );
    // They never come.
    check(
        "0 speech
         900 pause -> transcribe 1
         10900 timeout -> drop 1; speak! 1 say again
         11000 started 1
         12000 played 1 say again -> aside say again",
        State::Listening,
    );
    // No words in it: nothing is asked and nothing is said.
    check(
        "0 speech
         900 pause -> transcribe 1
         1000 final 1
         1200 timeout",
        State::Listening,
    );
}

#[test]
fn speech_that_resumes_before_commit_is_one_turn() {
    check(
        "0 speech
         900 pause -> transcribe 1
         1000 final 1 set a timer
         1150 speech -> drop 1
         2000 pause -> transcribe 2
         2050 final 1 set a timer
         2100 final 2 set a timer for ten minutes
         2300 timeout -> ask 1 set a timer for ten minutes; commit 1; caller set a timer for ten minutes",
        State::Thinking,
    );
}

#[test]
fn speech_without_any_pause_is_taken_after_a_minute() {
    check(
        "0 speech
         60000 timeout -> transcribe 1
         61000 final 1 bla bla -> ask 1 bla bla; commit 1; caller bla bla",
        State::Thinking,
    );
}

const ANSWERING: &str = "
    0 speech
    900 pause -> transcribe 1
    1000 final 1 tell me a story
    1200 timeout -> ask 1 tell me a story; commit 1; caller tell me a story
    1300 text 1 Once upon a time -> speak 1 Once upon a time
    1500 started 1";

fn check_answering(rest: &str, state: State) {
    check(&format!("{ANSWERING}\n{rest}"), state);
}

#[test]
fn an_interruption_stops_the_reply_and_takes_the_floor() {
    check_answering(
        "2000 speech -> hold
         2290 timeout -> stop 1; cancel 1; resume
         2290 cut 1 Once upon -> heard~ Once upon
         2300 text 1  there was
         2500 pause -> transcribe 2
         2600 final 2 stop
         2800 timeout -> ask 2 stop; commit 2; caller stop",
        State::Thinking,
    );
}

#[test]
fn a_short_burst_only_pauses() {
    check_answering(
        "2000 speech -> hold
         2050 text 1  there was
         2200 pause -> resume; speak 1  there was
         2300 last 1  a king. -> speak! 1  a king.
         4000 played 1 Once upon a time there was a king. -> heard Once upon a time there was a king.",
        State::Listening,
    );
}

#[test]
fn a_reply_that_ends_while_the_caller_begins_leaves_them_the_floor() {
    check_answering(
        "1600 last 1 -> speak! 1
         2000 speech -> hold
         2100 played 1 Once upon a time -> heard Once upon a time; resume
         2600 pause -> transcribe 2",
        State::Endpointing,
    );
}

#[test]
fn more_words_before_the_answer_began() {
    check(
        "0 speech
         900 pause -> transcribe 1
         1000 final 1 what time is it
         1200 timeout -> ask 1 what time is it; commit 1; caller what time is it
         1250 speech -> hold
         1300 text 1 It is noon.
         1350 tool 1 set_timer
         1540 timeout -> cancel 1; resume
         2000 pause -> transcribe 2
         2100 final 2 in London
         2300 timeout -> ask 2 in London; commit 2; caller in London",
        State::Thinking,
    );
}

#[test]
fn barge_in_can_be_switched_off() {
    let config = TurnConfig {
        barge_in: false,
        ..config()
    };
    let script = format!(
        "{ANSWERING}
         2000 speech
         2100 last 1 -> speak! 1
         2500 played 1 Once upon a time -> heard Once upon a time
         2800 pause -> transcribe 2"
    );
    check_with(config, &script, State::Endpointing);
}

#[test]
fn a_digit_takes_the_floor() {
    check_answering(
        "2000 digit -> stop 1; cancel 1
         2000 cut 1 Once -> heard~ Once
         2100 digit
         32100 timeout -> speak! 2 still there",
        State::AgentSpeaking,
    );
}

#[test]
fn failures_are_said_at_once() {
    let asked = "
        0 speech
        900 pause -> transcribe 1
        1000 final 1 hello
        1200 timeout -> ask 1 hello; commit 1; caller hello";
    for (rest, state) in [
        (
            "1300 unreachable 1 -> cancel 1; speak! 2 <Unreachable>
             1400 started 2
             3000 played 2 oh -> aside oh",
            State::Listening,
        ),
        // The filler gives way to the news.
        (
            "3700 timeout -> speak! 2 one moment
             3800 started 2
             3900 broken 1 -> stop 2; cancel 1; speak! 3 <Broken>
             3900 cut 2 one -> aside~ one",
            State::AgentSpeaking,
        ),
        // Nothing at all comes.
        (
            "3700 timeout -> speak! 2 one moment
             3800 started 2
             4500 played 2 one moment -> aside one moment
             11200 timeout -> cancel 1; speak! 3 <Slow>",
            State::AgentSpeaking,
        ),
        // An answer without words.
        (
            "1300 text 1
             1400 last 1 -> cancel 1; speak! 2 <Empty>",
            State::AgentSpeaking,
        ),
        // The caller speaks: the apology would only be in the way.
        (
            "1300 speech -> hold
             1400 broken 1 -> cancel 1; resume",
            State::UserSpeaking,
        ),
    ] {
        check(&format!("{asked}\n{rest}"), state);
    }
}

#[test]
fn a_reply_that_breaks_off_is_said_and_owned_up_to() {
    check_answering(
        "1600 broken 1 -> speak! 1
         3000 played 1 Once upon a time -> heard Once upon a time; speak! 2 broke off",
        State::AgentSpeaking,
    );
    // A stream that stalls is one that broke off; what it still wanted to do is not done.
    check_answering(
        "1600 speech -> hold
         1650 tool 1 set_timer
         1700 broken 1
         1750 pause -> resume; speak! 1",
        State::AgentSpeaking,
    );
    check_answering(
        "11300 timeout -> speak! 1
         11400 played 1 Once upon a time -> heard Once upon a time; speak! 2 broke off",
        State::AgentSpeaking,
    );
}

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
         3900 text 1 Hello.
         4500 played 2 one moment -> aside one moment; speak 1 Hello.
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
         1290 timeout -> stop 2; resume
         1290 cut 2 Tea -> aside~ Tea
         1300 announce Eggs are ready.
         2000 pause -> transcribe 1
         2100 final 1
         2300 timeout -> speak! 3 Eggs are ready.",
        State::AgentSpeaking,
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
