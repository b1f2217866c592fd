//! Turn-taking as scripts: `milliseconds event -> action; action`. A line's time must be the machine's
//! own next timeout when its event is `timeout`, and must not lie beyond it otherwise.

mod floor;
mod guess;
mod patience;
mod waits;

use std::time::{Duration, Instant};

use super::*;
use crate::budget::{Reached, What};
use crate::endpoint::{Strategy, WaitCurve};

/// One wait for all turns, nothing asked early: what is shown here is everything else.
fn config() -> TurnConfig {
    TurnConfig {
        wait: fixed(500),
        strategies: Vec::new(),
        speculation: Speculation {
            enabled: false,
            ..Speculation::default()
        },
        filler_after_ms: 2_500,
        phrases: Phrases {
            fillers: vec!["one moment".into(), "a second".into()],
            using_tool: "busy {}".into(),
            trying_next: "next one".into(),
            asking_cloud: "the cloud".into(),
            staying_local: "{} here".into(),
            still_there: "still there".into(),
            goodbye: "goodbye".into(),
            not_understood: "say again".into(),
            answer_cut: "broke off".into(),
            giving_up: "giving up".into(),
        },
        ..TurnConfig::default()
    }
}

fn fixed(wait_ms: u32) -> WaitCurve {
    WaitCurve {
        sure_ms: wait_ms,
        unsure_ms: wait_ms,
        unfinished_ms: wait_ms,
        ..WaitCurve::default()
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
        "hush" => Event::SpeechPaused,
        "again" => Event::SpeechResumed,
        "sounds" => Event::EndOfTurn {
            judge: Judge::Prosody,
            probability: rest.parse().expect("a probability"),
        },
        "uses" => Event::ReplyProgress {
            id: id(),
            progress: Progress::Tool { name: words() },
        },
        "tries" => Event::ReplyProgress {
            id: id(),
            progress: Progress::Trying { gateway: words() },
        },
        "cloud" => Event::ReplyProgress {
            id: id(),
            progress: Progress::Cloud { model: words() },
        },
        "spent" => Event::ReplyProgress {
            id: id(),
            progress: Progress::Spent(Reached {
                what: What::Requests,
                is_total: true,
            }),
        },
        "final" => Event::Final {
            utterance: id().0,
            text: words(),
            certainty: 1.0,
        },
        "digit" => Event::Dtmf { digit: '1' },
        "abort" => Event::Abort,
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
        "tell" => Event::Tell {
            news: id().0,
            text: words(),
        },
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
        Action::Speculate { id, text, .. } => format!("ask {} {text}", id.0),
        Action::Prepare { id, text, last } => {
            let mark = if *last { "!" } else { "" };
            format!("ready{mark} {} {text}", id.0).trim_end().to_owned()
        }
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
                (Role::User, false) => "caller",
                (Role::User, true) => "aloud",
                (_, false) => "heard",
                (_, true) => "aside",
            };
            let mark = if entry.complete { "" } else { "~" };
            format!("{who}{mark} {}", kind(&entry.text))
        }
        Action::Told {
            news,
            heard,
            complete,
        } => {
            let mark = if *complete { "" } else { "~" };
            format!("told{mark} {news} {heard}").trim_end().to_owned()
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
         1000 final 1",
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
         61000 final 1 bla bla -> ask 1 bla bla; commit 1; caller bla bla; hold
         61200 timeout -> transcribe 2
         61300 final 2 and more of it -> cancel 1; resume
         62000 hush -> transcribe 3",
        State::Endpointing,
    );
    // It pauses before its words are there: then all of them are wanted.
    check(
        "0 speech
         60000 timeout -> transcribe 1
         60400 hush -> drop 1; transcribe 2
         60500 final 1 bla bla
         60520 pause
         60600 final 2 bla bla bla
         60820 timeout -> ask 1 bla bla bla; commit 1; caller bla bla bla",
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
         2200 timeout -> transcribe 2
         2240 final 2 what about -> stop 1; cancel 1; resume
         2240 cut 1 Once upon -> heard~ Once upon
         2300 text 1  there was
         2500 pause -> transcribe 3
         2600 final 3 what about the king
         2800 timeout -> ask 2 what about the king; commit 2; caller what about the king",
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
         1300 text 1 It is noon. -> ready 1 It is noon.
         1350 tool 1 set_timer
         1450 timeout -> transcribe 2
         1500 final 2 in London -> cancel 1; resume
         2000 pause -> transcribe 3
         2100 final 3 in London
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
fn an_abort_ends_what_is_said_and_made() {
    check_answering(
        "2000 announce later
         2100 abort -> stop 1; cancel 1
         2100 cut 1 Once -> heard~ Once
         32100 timeout -> speak! 2 still there",
        State::AgentSpeaking,
    );
    let asked = "
        0 speech
        900 pause -> transcribe 1
        1000 final 1 hello
        1200 timeout -> ask 1 hello; commit 1; caller hello";
    check(
        &format!("{asked}\n 1500 abort -> cancel 1\n 1600 text 1 late"),
        State::Listening,
    );
    check(
        "0 speech
         900 hush -> transcribe 1
         950 final 1 stop everything
         960 abort
         1020 pause",
        State::Listening,
    );
    check(
        "0 speech\n 900 pause -> transcribe 1\n 950 abort -> drop 1\n 1000 final 1 hello",
        State::Listening,
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
