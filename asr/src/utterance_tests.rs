//! Tables for the collector: frames carry their own number, so that what was kept can be read off the samples.
use super::*;

/// One step of a script, in frames.
enum Step {
    /// This many frames, each filled with its own number, counted from 1.
    Push(u64),
    /// Speech started at this frame.
    Start(u64),
    /// The last voice ended with the start of this frame.
    Stop(u64),
    /// The same, while the speech may go on.
    Pause(u64),
    Resume,
    /// The frames that a snapshot holds, first and last, and how many.
    Holds(Option<(i16, i16)>, usize),
    /// The same for a take.
    Takes(Option<(i16, i16)>, usize),
    /// Lets go of all before the end of this frame.
    TakesUntil(u64),
    /// The last frame that a snapshot would hold.
    Ends(u64),
    Full(bool),
}
use Step::{Ends, Full, Holds, Pause, Push, Resume, Start, Stop, Takes, TakesUntil};

fn check(config: UtteranceConfig, script: &[Step]) {
    let mut utterance = Utterance::new(config);
    let mut number = 0;
    for (n, step) in script.iter().enumerate() {
        let holds = |pcm: &[i16], ends: &Option<(i16, i16)>, frames: usize| {
            let found = pcm.first().map(|first| (*first, pcm[pcm.len() - 1]));
            assert_eq!(
                (found, pcm.len() / FRAME_SAMPLES),
                (*ends, frames),
                "step {n}"
            );
        };
        match step {
            Push(frames) => {
                for _ in 0..*frames {
                    number += 1;
                    utterance.push_frame(&[number; FRAME_SAMPLES]);
                }
            }
            Start(frame) => utterance.start(frame * FRAME_SAMPLES as u64),
            Stop(frame) => utterance.stop(frame * FRAME_SAMPLES as u64),
            Pause(frame) => utterance.pause(frame * FRAME_SAMPLES as u64),
            Resume => utterance.resume(),
            Holds(ends, frames) => holds(&utterance.snapshot(), ends, *frames),
            Takes(ends, frames) => {
                holds(&utterance.take(), ends, *frames);
                assert!(!utterance.is_open(), "step {n}");
            }
            TakesUntil(frame) => utterance.take_until(frame * FRAME_SAMPLES as u64),
            Ends(frame) => assert_eq!(utterance.end(), frame * FRAME_SAMPLES as u64, "step {n}"),
            Full(full) => assert_eq!(utterance.is_full(), *full, "step {n}"),
        }
    }
}

/// Pre-roll 3 frames, tail 2, pauses up to 4, length up to 20.
fn small() -> UtteranceConfig {
    UtteranceConfig {
        pre_roll_ms: 60,
        tail_ms: 40,
        pause_ms_max: 80,
        length_ms_max: 400,
    }
}

#[test]
fn keeps_what_came_before_the_start() {
    check(
        small(),
        &[
            Push(10),
            Holds(None, 0),
            Start(8),
            Holds(Some((6, 10)), 5),
            Push(2),
            Holds(Some((6, 12)), 7),
            Takes(Some((6, 12)), 7),
            Holds(None, 0),
            Push(1),
            Takes(None, 0),
        ],
    );
    // At the very beginning there is less.
    check(small(), &[Push(2), Start(1), Holds(Some((1, 2)), 2)]);
}

#[test]
fn trims_the_silence_at_the_end() {
    check(
        small(),
        &[
            Push(5),
            Start(4),
            Push(10),
            Stop(9),
            Holds(Some((2, 11)), 10),
            Push(5),
            Takes(Some((2, 11)), 10),
        ],
    );
}

#[test]
fn resumed_speech_stays_in_the_utterance_and_its_pause_is_shortened() {
    check(
        small(),
        &[
            Push(5),
            Start(4),
            Push(3),
            Stop(6),
            Push(10),
            Start(16),
            // Frames 2 to 6, then of the ten frames of pause two at each end, then 17 and 18.
            Holds(Some((2, 18)), 5 + 4 + 2),
        ],
    );
    // A short pause stays as it is.
    check(
        small(),
        &[
            Push(5),
            Start(4),
            Push(3),
            Stop(6),
            Push(2),
            Start(9),
            Push(1),
            Holds(Some((2, 11)), 10),
        ],
    );
}

#[test]
fn snapshots_of_one_pause_are_the_same() {
    check(
        small(),
        &[
            Push(5),
            Start(4),
            Push(6),
            Pause(9),
            Holds(Some((2, 11)), 10),
            Push(6),
            Holds(Some((2, 11)), 10),
            Stop(9),
            Holds(Some((2, 11)), 10),
            Push(40),
            Takes(Some((2, 11)), 10),
        ],
    );
}

#[test]
fn a_voice_that_comes_back_keeps_its_pause() {
    check(
        small(),
        &[
            Push(5),
            Start(4),
            Push(6),
            Pause(9),
            Push(9),
            Resume,
            // Nothing is taken out, though this pause is longer than those between speeches may be.
            Holds(Some((2, 20)), 19),
            // Without a pause there is nothing to resume from, and after a stop only a start goes on.
            Resume,
            Stop(18),
            Resume,
            Holds(Some((2, 20)), 19),
            Push(1),
            Holds(Some((2, 20)), 19),
            Start(20),
            Pause(20),
            Resume,
            Holds(Some((2, 21)), 20),
        ],
    );
}

#[test]
fn the_next_utterance_does_not_begin_with_the_last_one() {
    check(
        small(),
        &[
            Push(5),
            Start(4),
            Push(5),
            Stop(9),
            Push(1),
            Takes(Some((2, 11)), 10),
            Start(10),
            Holds(Some((10, 11)), 2),
        ],
    );
}

#[test]
fn what_was_said_after_a_cut_is_kept() {
    check(
        small(),
        &[
            Push(5),
            Start(4),
            Push(5),
            Ends(10),
            // Its words come three frames later; the speech goes on meanwhile.
            Push(3),
            TakesUntil(10),
            Holds(Some((11, 13)), 3),
            Push(2),
            Pause(14),
            Push(3),
            Ends(16),
            Holds(Some((11, 16)), 6),
            Resume,
            Push(1),
            Takes(Some((11, 19)), 9),
        ],
    );
}

#[test]
fn a_cut_after_which_nothing_was_said_is_the_end() {
    check(
        small(),
        &[
            Push(5),
            Start(4),
            Push(5),
            Stop(10),
            Push(2),
            Ends(12),
            TakesUntil(12),
            Holds(None, 0),
            Push(1),
            TakesUntil(3),
            Holds(None, 0),
        ],
    );
}

#[test]
fn full_is_said_and_nothing_grows() {
    check(
        small(),
        &[
            Push(5),
            Start(4),
            Push(16),
            Full(false),
            Push(5),
            Full(true),
            Holds(Some((2, 21)), 20),
            Takes(Some((2, 21)), 20),
            Full(false),
        ],
    );
}

#[test]
fn positions_that_make_no_sense_do_no_harm() {
    check(
        small(),
        &[
            Stop(4),
            Push(3),
            Start(900),
            Holds(None, 0),
            Push(1),
            Stop(900),
            Holds(Some((4, 4)), 1),
            Start(0),
            Stop(0),
            Takes(None, 0),
            Start(0),
            Holds(Some((1, 4)), 4),
        ],
    );
}
