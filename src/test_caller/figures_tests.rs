//! Recordings made to measure, and what is read from them.

use std::time::{Duration, Instant};

use super::super::script::{self, Step};
use super::*;

const RATE: u32 = 8000;

/// A voice that never says the same twice: noise by an own seed, without the highest frequencies.
fn voice(ms: usize, seed: u64) -> Vec<i16> {
    let (mut state, mut smooth) = (seed, 0i64);
    (0..ms * 8)
        .map(|_| {
            state = state
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1);
            smooth += ((state >> 48) as i64 - 32_768 - smooth) / 4;
            smooth as i16
        })
        .collect()
}

fn timeline(parts: &[(u64, &[i16])]) -> Timeline {
    let start = Instant::now();
    let mut timeline = Timeline::new(start, RATE);
    for (at_ms, samples) in parts {
        timeline.place(start + Duration::from_millis(*at_ms), samples);
    }
    timeline
}

fn step(line: &str) -> Step {
    script::parse(line).expect("a step").remove(0)
}

fn at(ms: usize) -> usize {
    ms * 8
}

#[test]
fn an_interruption_has_a_stop_and_an_answer() {
    let reply = voice(10_000, 1);
    // (reply until, answer from, expected stop, stopped, answer)
    let rows = [
        (3_150, Some(4_200), Some(150), Some(true), Some(700)),
        (3_150, None, Some(150), Some(true), None),
        (2_500, Some(4_200), None, None, None),
        (9_000, None, None, Some(false), None),
    ];
    for (until, answer, stop_ms, stopped, answer_ms) in rows {
        let sent = timeline(&[(0, &voice(1_000, 2)), (3_000, &voice(500, 3))]);
        let answer_voice = voice(500, 4);
        let mut parts = vec![(1_500, &reply[..at(until - 1_500)])];
        parts.extend(answer.map(|from| (from, &answer_voice[..])));
        let heard = timeline(&parts);
        let played = Played {
            prompt: 0..at(1_000),
            over: Some(at(3_000)..at(3_500)),
            until: at(11_000),
            reference: None,
        };
        let figures = read(&step("barge 1500 a | b"), &played, &sent, &heard);
        assert!(
            figures.latency_ms.is_some_and(|ms| ms.abs_diff(500) <= 2),
            "{figures:?}"
        );
        assert_eq!(figures.stopped, stopped, "{until}");
        let near = |got: Option<u32>, want: Option<u32>| match (got, want) {
            (Some(got), Some(want)) => got.abs_diff(want) <= 11,
            (got, want) => got == want,
        };
        assert!(near(figures.stop_ms, stop_ms), "{until}: {figures:?}");
        assert!(near(figures.answer_ms, answer_ms), "{until}: {figures:?}");
    }
}

#[test]
fn a_reply_goes_on_where_it_was_or_not_at_all() {
    let reply = voice(8_000, 1);
    let other = voice(3_000, 9);
    // (what comes from 3.2 s on, expected to go on, gap)
    let rows = [
        (3_200, &reply[at(1_700)..], Some(true), Some(0)),
        (3_600, &reply[at(1_700)..], Some(true), Some(400)),
        (3_600, &reply[at(1_500)..], Some(true), Some(600)),
        (3_600, &other[..], Some(false), None),
        (3_600, &[][..], Some(false), None),
    ];
    for (from, rest, goes_on, gap_ms) in rows {
        let sent = timeline(&[(0, &voice(1_000, 2)), (3_000, &voice(300, 3))]);
        let heard = timeline(&[(1_500, &reply[..at(1_700)]), (from, rest), (20_000, &reply)]);
        let played = Played {
            prompt: 0..at(1_000),
            over: Some(at(3_000)..at(3_300)),
            until: at(7_000),
            reference: Some(at(20_000)..at(28_000)),
        };
        let figures = read(&step("backchannel 1500 a | b"), &played, &sent, &heard);
        assert_eq!(figures.goes_on, goes_on, "{from}");
        match (figures.gap_ms, gap_ms) {
            (Some(got), Some(want)) => assert!((got - want).abs() <= 11, "{got} for {want}"),
            (got, want) => assert_eq!(got, want),
        }
    }
}

#[test]
fn sums_count_what_they_say() {
    let turn = step("turn a");
    let pause = step("pause 900 a | b");
    let agreement = step("backchannel 1000 a | b");
    let rows = [
        (
            &turn,
            Figures {
                latency_ms: Some(500),
                ..Figures::default()
            },
        ),
        (
            &turn,
            Figures {
                cut_in: true,
                ..Figures::default()
            },
        ),
        (&turn, Figures::default()),
        (
            &pause,
            Figures {
                cut_in: true,
                ..Figures::default()
            },
        ),
        (
            &agreement,
            Figures {
                goes_on: Some(true),
                gap_ms: Some(-60),
                ..Figures::default()
            },
        ),
        (
            &agreement,
            Figures {
                goes_on: Some(false),
                ..Figures::default()
            },
        ),
        (&agreement, Figures::default()),
    ];
    let sum = summary(rows.iter().map(|(step, figures)| (*step, figures)));
    assert_eq!((sum.latency.steps, sum.latency.p(50)), (3, Some(500)));
    assert_eq!((sum.cut_ins, sum.unanswered, sum.false_cut_ins), (1, 1, 1));
    assert_eq!(
        (
            sum.agreement_gap.values,
            sum.agreement_stops,
            sum.not_compared
        ),
        (vec![0], 1, 1)
    );
}
