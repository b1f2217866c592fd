//! Recordings written by hand, played with their own settings and with others.

use std::time::{Duration, Instant};

use agent_bridge::turn::trace::Trace;
use agent_bridge::turn::{Action, Event, Judge, Progress, ReplyId, Turn, TurnConfig};

use super::*;

/// One wait for all turns, so that the scripts' times are easy to follow.
pub(crate) fn config(wait_ms: u32) -> TurnConfig {
    let mut config = TurnConfig {
        strategies: Vec::new(),
        filler_after_ms: 1_000,
        ..TurnConfig::default()
    };
    config.wait.sure_ms = wait_ms;
    config.wait.unsure_ms = wait_ms;
    config.wait.unfinished_ms = wait_ms;
    config
}

/// Hands the events in at their times (ms), wakes the machine a moment late as a driver does, and answers
/// each stop of playout at once with the words `heard`.
pub(crate) fn record(config: TurnConfig, events: &[(u64, Event)], heard: &str) -> Trace {
    let base = Instant::now();
    let mut turn = Turn::new(config);
    turn.start_trace();
    let step = |turn: &mut Turn, now: Instant, event: Event| {
        let mut events = vec![event];
        while let Some(event) = events.pop() {
            turn.handle(now, event);
            while let Some(action) = turn.poll_action() {
                if let Action::StopPlayout { id } = action {
                    events.push(Event::PlayoutStopped {
                        id,
                        heard: heard.to_owned(),
                        complete: false,
                    });
                }
            }
        }
    };
    for (at_ms, event) in events {
        let at = base + Duration::from_millis(*at_ms);
        while let Some(due) = turn.next_timeout().filter(|due| *due <= at) {
            let late = (due + Duration::from_micros(700)).min(at);
            step(&mut turn, late, Event::Timeout);
        }
        step(&mut turn, at, event.clone());
    }
    turn.take_trace().expect("started above")
}

fn words(utterance: u32, text: &str) -> Event {
    let text = text.to_owned();
    let certainty = 1.0;
    Event::Final {
        utterance,
        text,
        certainty,
    }
}

fn reply(id: u32, text: &str, last: bool) -> Event {
    let (id, text) = (ReplyId(id), text.to_owned());
    Event::ReplyText { id, text, last }
}

fn started(id: u32) -> Event {
    Event::PlayoutStarted { id: ReplyId(id) }
}

fn stopped(id: u32, heard: &str) -> Event {
    Event::PlayoutStopped {
        id: ReplyId(id),
        heard: heard.to_owned(),
        complete: true,
    }
}

fn greeting() -> Vec<(u64, Event)> {
    let text = "Hello.".to_owned();
    vec![
        (0, Event::Announce { text }),
        (100, started(1)),
        (900, stopped(1, "Hello.")),
    ]
}

fn with(mut events: Vec<(u64, Event)>, more: Vec<(u64, Event)>) -> Vec<(u64, Event)> {
    events.extend(more);
    events
}

/// "Book a table", a pause of 680 ms, "for two".
pub(crate) fn pause_inside() -> Vec<(u64, Event)> {
    with(
        greeting(),
        vec![
            (2_000, Event::SpeechStarted),
            (2_600, Event::SpeechPaused),
            (2_720, Event::SpeechStopped),
            (2_750, words(1, "Book a table")),
            (2_900, reply(2, "For how many people?", false)),
            (3_200, Event::SpeechStarted),
            (4_000, Event::SpeechPaused),
            (4_120, Event::SpeechStopped),
            (4_150, words(2, "Book a table for two")),
            (4_300, reply(3, "Done. A table for two.", false)),
            (4_310, reply(3, "", true)),
            (4_650, started(3)),
            (6_000, stopped(3, "Done. A table for two.")),
            (7_000, Event::SpeechStarted),
        ],
    )
}

/// An interruption, an "uh-huh", a judgement, a filler, a failure, a key, a goodbye.
fn eventful() -> Vec<(u64, Event)> {
    let text = String::new();
    let name = "calendar".to_owned();
    let id = ReplyId(2);
    let probability = 0.9;
    let judge = Judge::Prosody;
    with(
        greeting(),
        vec![
            (2_000, Event::SpeechStarted),
            (2_300, Event::Partial { text: text.clone() }),
            (3_000, Event::SpeechPaused),
            (3_000, Event::EndOfTurn { judge, probability }),
            (3_040, words(1, "what is on today")),
            (3_050, Event::SpeechStopped),
            (
                3_100,
                Event::ReplyProgress {
                    id,
                    progress: Progress::Tool { name },
                },
            ),
            // The commit at 3,420 and the progress make a filler at 4,020.
            (4_200, started(3)),
            (4_400, reply(2, "A walk, ", false)),
            (5_400, stopped(3, "One moment, calendar.")),
            (5_700, started(2)),
            (5_800, reply(2, "then lunch.", true)),
            (6_000, Event::SpeechStarted),
            // Looked at after 200 ms, and again in the pause.
            (6_300, words(2, "uh")),
            (6_400, Event::SpeechPaused),
            (6_450, words(3, "uh-huh")),
            (6_520, Event::SpeechStopped),
            (7_000, Event::SpeechStarted),
            (7_190, Event::SpeechPaused),
            (7_300, Event::SpeechResumed),
            (7_600, words(5, "no wait")),
            (7_900, Event::SpeechPaused),
            (7_960, words(6, "no wait what about tomorrow")),
            (8_020, Event::SpeechStopped),
            (8_600, reply(4, "Nothing.", true)),
            (8_900, started(4)),
            (9_300, Event::Dtmf { digit: '1' }),
            (9_500, Event::CallerWaits { waits: true }),
            (9_900, Event::Drain { text }),
        ],
    )
}

#[test]
fn with_its_own_settings_a_call_is_itself() {
    let rows = [
        ("greeting", 500, greeting()),
        ("pause inside", 700, pause_inside()),
        ("eventful", 500, eventful()),
    ];
    for (name, wait_ms, events) in rows {
        let trace = record(config(wait_ms), &events, "Done");
        let base = Instant::now();
        let again = rerun(&trace, trace.config.clone(), base);
        for (at, step) in trace.steps.iter().enumerate() {
            assert_eq!(again.trace.steps.get(at), Some(step), "{name}, step {at}");
        }
        assert_eq!(again.trace, trace, "{name}");
        assert!(again.borrowed.is_empty());
        assert_eq!(trace.replay(trace.config.clone(), base), []);
    }
}

/// What another run of the machine made is as good a recording as a call's.
#[test]
fn a_replay_replays_as_itself() {
    for (events, recorded_ms) in [(pause_inside(), 700), (eventful(), 500)] {
        let trace = record(config(recorded_ms), &events, "Done");
        for wait_ms in [100, 250, 450, 700, 1_000, 2_500] {
            let base = Instant::now();
            let other = rerun(&trace, config(wait_ms), base);
            let again = rerun(&other.trace, config(wait_ms), base);
            for (at, step) in other.trace.steps.iter().enumerate() {
                assert_eq!(
                    again.trace.steps.get(at),
                    Some(step),
                    "{wait_ms} ms, step {at}"
                );
            }
            assert_eq!(again.trace, other.trace, "{wait_ms} ms");
            assert_eq!(other.trace.replay(config(wait_ms), base), []);
            assert_eq!(again.ledger, other.ledger);
        }
    }
}

#[test]
fn an_earlier_commit_cuts_in_and_a_later_one_waits_for_the_rest() {
    let base = Instant::now();
    let patient = record(config(700), &pause_inside(), "");
    let old = turns(&patient);
    assert_eq!(old.len(), 1);
    assert_eq!(old[0].words, "Book a table for two");
    assert_eq!((old[0].speech_end_ms, old[0].commit_ms), (3_920, 700));
    assert_eq!((old[0].guesses, old[0].saved_ms), (2, Some(470)));
    assert_eq!(old[0].first_packet_ms, Some(730));

    let hasty = rerun(&patient, config(300), base);
    let new = turns(&hasty.trace);
    let said: Vec<&str> = new.iter().map(|turn| turn.words.as_str()).collect();
    assert_eq!(said, ["Book a table", "for two"]);
    assert!(new[0].cut_in && new[0].interrupted, "{:?}", new[0]);
    assert_eq!((new[0].commit_ms, new[0].spoke_on_ms), (300, Some(620)));
    assert_eq!(hasty.borrowed, [new[1].reply]);
    let rows = compare(old, new, &hasty.borrowed);
    let changes: Vec<String> = rows.iter().map(|row| row.changes().join(" · ")).collect();
    assert_eq!(
        changes[0],
        "a turn of its own: commits in a pause · cuts in: the caller goes on after 620 ms"
    );
    assert!(changes[1].contains("other words"), "{changes:?}");
    assert_eq!((rows[0].borrowed, rows[1].borrowed), (false, true));

    // And back again: the two halves are one turn.
    let back = rerun(&hasty.trace, config(700), base);
    let said: Vec<String> = turns(&back.trace)
        .into_iter()
        .map(|turn| turn.words)
        .collect();
    assert_eq!(said, ["Book a table for two"]);
    let rows = compare(turns(&hasty.trace), turns(&back.trace), &back.borrowed);
    assert_eq!(rows[0].changes(), ["no turn of its own: it waits on"]);
}

#[test]
fn what_did_not_change_is_not_listed() {
    let base = Instant::now();
    let trace = record(config(500), &eventful(), "A walk");
    let old = turns(&trace);
    // Only in a call where somebody says nothing for long.
    let mut other = config(500);
    other.idle_prompt_ms = 60_000;
    let new = rerun(&trace, other, base);
    for row in compare(old, turns(&new.trace), &new.borrowed) {
        assert_eq!(row.changes(), Vec::<String>::new());
    }
    let trace = record(config(700), &pause_inside(), "");
    let mut silent = config(700);
    silent.speculation.enabled = false;
    let new = rerun(&trace, silent, base);
    assert_eq!(new.ledger.guesses, 0);
    let rows = compare(turns(&trace), turns(&new.trace), &new.borrowed);
    assert_eq!(rows[0].changes(), ["no guess", "answer 240 ms later"]);
}

/// What was stopped in the middle had more to say, and would be stopped again.
#[test]
fn an_interruption_stays_one() {
    let trace = record(config(500), &eventful(), "A walk");
    for wait_ms in [300, 400, 500, 550] {
        let new = rerun(&trace, config(wait_ms), Instant::now());
        let turns = turns(&new.trace);
        assert!(turns[0].interrupted, "{wait_ms}: {turns:?}");
    }
}

#[test]
fn no_trace_makes_a_replay_fail() {
    let base = Instant::now();
    let mut trace = record(config(500), &eventful(), "");
    // Times that go back, steps that are missing, numbers that nobody gave.
    let count = trace.steps.len();
    for at in 0..count {
        let mut broken = trace.clone();
        broken.steps.remove(at);
        for step in &mut broken.steps {
            step.actions.clear();
        }
        turns(&broken);
        rerun(&broken, config(300), base);
    }
    trace.steps.reverse();
    turns(&trace);
    rerun(&trace, config(300), base);
    trace.steps.clear();
    assert_eq!(rerun(&trace, config(300), base).trace.steps, []);
    trace.steps = record(config(500), &greeting(), "").steps;
    trace.steps[1].at_ns = u64::MAX;
    turns(&trace);
    rerun(&trace, config(300), base);
}
