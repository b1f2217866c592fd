//! What a drill's recording says: one step's figures, and their sums. Owns the definitions:
//!
//! - latency: last voiced sample sent to first voiced sample received (`timeline`). Fillers cannot be told from replies by
//!   their sound, so where a server says any they count as the reply here.
//! - false cut-in: the reply begins before the last voiced sample of an utterance with a pause inside.
//! - stop time: first voiced sample of what is said over the reply to the last voiced sample before 400 ms of silence.
//!   The pauses between a voice's sentences are shorter; a reply that was quiet at that moment gives no figure.
//! - a reply goes on if what is heard afterwards is found further on in a recording of the same reply that nobody
//!   disturbed; the gap is the time by which it is late. This needs an agent that answers the same to the same, and a
//!   machine that is not so busy that the pauses between sentences differ from one time to the next.
//!
//! PURE.

use std::ops::Range;

use super::script::Step;
use super::timeline::{Timeline, measure, percentile};

/// A silence that ends a reply.
const STOP_GAP_MS: u32 = 400;
/// A reply that stopped later than this did not stop because of the caller.
const STOP_MS_MAX: i64 = 3_000;
/// Sounding so shortly before the interruption means that there was something to interrupt.
const SOUNDING_MS: u32 = 200;
/// Length of a piece that is looked for in the undisturbed reply, and how alike it must be.
const PIECE_MS: u32 = 600;
const LIKENESS_MIN: f64 = 0.8;
/// From the end of a disturbance to the first look whether the reply goes on, between looks, and to the last one.
const LOOK_FIRST_MS: u32 = 400;
const LOOK_STEP_MS: u32 = 200;
pub const LOOK_LAST_MS: u32 = 3_400;
/// Two runs of one reply may be apart by this much: pauses between sentences last as long as the next one takes to make.
const WANDER_MS: u32 = 3_000;
/// A pause shorter than this cannot be told from the wobble of packets.
const GAP_MS_MIN: i32 = 40;

/// Where a step lies in the recording, in samples of the wire's rate.
#[derive(Debug, Clone, Default)]
pub struct Played {
    pub prompt: Range<usize>,
    pub over: Option<Range<usize>>,
    pub until: usize,
    /// The same prompt's reply, undisturbed.
    pub reference: Option<Range<usize>>,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Figures {
    pub latency_ms: Option<u32>,
    pub cut_in: bool,
    /// First voiced sample sent over the reply to its last voiced sample.
    pub stop_ms: Option<u32>,
    /// Whether the reply stopped; none where there was nothing to stop.
    pub stopped: Option<bool>,
    /// From the end of the interruption to the answer to it.
    pub answer_ms: Option<u32>,
    /// Whether the disturbed reply went on; none where it cannot be compared.
    pub goes_on: Option<bool>,
    /// How much later it went on than if nothing had been.
    pub gap_ms: Option<i32>,
}

/// Reads one step.
pub fn read(step: &Step, played: &Played, sent: &Timeline, heard: &Timeline) -> Figures {
    let measured = measure(sent, played.prompt.clone(), heard, played.until);
    let mut figures = Figures {
        latency_ms: measured.latency_ms,
        cut_in: measured.cut_in,
        ..Figures::default()
    };
    let Some(begins) = heard.onset(played.prompt.end..played.until) else {
        return figures;
    };
    let ends_by = played.until.min(heard.end());
    match (step, &played.over) {
        (Step::Turn { .. } | Step::Pause { .. }, _) => {}
        (Step::Barge { .. } | Step::Echo { .. }, Some(over)) => {
            interruption(&mut figures, over, ends_by, sent, heard);
        }
        (Step::Backchannel { .. }, Some(over)) => {
            let spoken = sent.onset(over.clone()).zip(sent.offset(over.clone()));
            let (from, to) = spoken.unwrap_or((over.start, over.end));
            going_on(&mut figures, played, begins, from..to, ends_by, heard);
        }
        (Step::Echo { .. }, None) => {
            // The whole reply is the disturbance, but for its beginning.
            let from = begins + samples(heard, 2 * PIECE_MS);
            let to = ends_by
                .saturating_sub(samples(heard, LOOK_LAST_MS))
                .max(from);
            going_on(&mut figures, played, begins, from..to, ends_by, heard);
        }
        _ => {}
    }
    figures
}

fn samples(timeline: &Timeline, ms: u32) -> usize {
    (ms * timeline.rate_hz() / 1000) as usize
}

fn ms(timeline: &Timeline, samples: i64) -> i64 {
    samples * 1000 / i64::from(timeline.rate_hz())
}

fn interruption(
    figures: &mut Figures,
    over: &Range<usize>,
    until: usize,
    sent: &Timeline,
    heard: &Timeline,
) {
    let Some((from, to)) = sent.onset(over.clone()).zip(sent.offset(over.clone())) else {
        return;
    };
    if !heard.has_voice(from.saturating_sub(samples(heard, SOUNDING_MS))..from) {
        return;
    }
    let Some(last) = heard.stretch_end(from, STOP_GAP_MS, until) else {
        return;
    };
    let stop_ms = ms(heard, last as i64 - from as i64);
    figures.stopped = Some(stop_ms <= STOP_MS_MAX);
    if stop_ms <= STOP_MS_MAX {
        figures.stop_ms = u32::try_from(stop_ms).ok();
        let answer = heard.onset(last + samples(heard, STOP_GAP_MS)..until);
        let answer_ms = answer.map(|at| ms(heard, at as i64 - to as i64));
        figures.answer_ms = answer_ms.and_then(|ms| u32::try_from(ms).ok());
    }
}

fn going_on(
    figures: &mut Figures,
    played: &Played,
    begins: usize,
    disturbed: Range<usize>,
    until: usize,
    heard: &Timeline,
) {
    let Some(reference) = played
        .reference
        .clone()
        .and_then(|range| heard.samples().get(range))
    else {
        return;
    };
    let (piece, step) = (samples(heard, PIECE_MS), samples(heard, LOOK_STEP_MS));
    // The last piece with a voice before the disturbance.
    let before = (0..8)
        .map(|n| disturbed.start.saturating_sub(piece + n * step / 2))
        .take_while(|at| *at >= begins)
        .find(|at| is_full(heard, *at..*at + piece));
    let Some(before) = before else {
        return;
    };
    let expected = before - begins;
    let slack = samples(heard, WANDER_MS);
    let near = expected.saturating_sub(slack)..expected + slack;
    let Some(place) = find(reference, &heard.samples()[before..before + piece], near) else {
        return;
    };
    let mut at = disturbed.end + samples(heard, LOOK_FIRST_MS);
    let last = (disturbed.end + samples(heard, LOOK_LAST_MS)).min(until);
    while at + piece <= last {
        if is_full(heard, at..at + piece) {
            let elapsed = at - before;
            let range = place.saturating_sub(slack)..place + elapsed + slack;
            if let Some(later) = find(reference, &heard.samples()[at..at + piece], range) {
                let gap_ms = ms(heard, elapsed as i64 - (later as i64 - place as i64)) as i32;
                figures.goes_on = Some(true);
                figures.gap_ms = Some(if gap_ms.abs() < GAP_MS_MIN { 0 } else { gap_ms });
                return;
            }
        }
        at += step;
    }
    figures.goes_on = Some(false);
}

/// Voiced at both ends, so that a comparison has something to hold on to.
fn is_full(heard: &Timeline, range: Range<usize>) -> bool {
    let third = range.len() / 3;
    heard.has_voice(range.start..range.start + third)
        && heard.has_voice(range.end - third..range.end)
}

/// Where `piece` is in `reference`, among the starts in `range`, if it is there.
fn find(reference: &[i16], piece: &[i16], range: Range<usize>) -> Option<usize> {
    let last = reference.len().checked_sub(piece.len())?;
    let range = range.start..range.end.min(last + 1);
    // Every second place first: a voice of the telephone band is no narrower than that.
    let coarse = best(reference, piece, range.clone().step_by(2))?;
    let near = coarse.0.saturating_sub(2).max(range.start)..(coarse.0 + 3).min(range.end);
    let (place, likeness) = best(reference, piece, near)?;
    (likeness >= LIKENESS_MIN).then_some(place)
}

fn best(
    reference: &[i16],
    piece: &[i16],
    places: impl Iterator<Item = usize>,
) -> Option<(usize, f64)> {
    let power: f64 = piece.iter().map(|s| f64::from(*s).powi(2)).sum();
    let mut found: Option<(usize, f64)> = None;
    for place in places {
        let there = &reference[place..place + piece.len()];
        let (mut product, mut energy) = (0i64, 0i64);
        for (a, b) in there.iter().zip(piece) {
            product += i64::from(*a) * i64::from(*b);
            energy += i64::from(*a) * i64::from(*a);
        }
        let likeness = product as f64 / (power * energy as f64).sqrt().max(1.0);
        if found.is_none_or(|(_, most)| likeness > most) {
            found = Some((place, likeness));
        }
    }
    found
}

/// One row of the table.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Row {
    pub steps: usize,
    pub values: Vec<u32>,
}

impl Row {
    pub fn p(&self, percent: u32) -> Option<u32> {
        percentile(&self.values, percent)
    }
}

/// A drill in figures.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Summary {
    pub latency: Row,
    pub unanswered: usize,
    pub cut_ins: usize,
    /// Latency after utterances with a pause inside.
    pub pause_latency: Row,
    pub false_cut_ins: usize,
    pub stop: Row,
    pub not_stopped: usize,
    pub interruption_answer: Row,
    /// Replies that words of agreement and noises were put into: how late they went on.
    pub agreement_gap: Row,
    pub agreement_stops: usize,
    pub echo_gap: Row,
    pub echo_stops: usize,
    /// Steps whose reply could not be compared with an undisturbed one.
    pub not_compared: usize,
    pub echo_stop: Row,
    pub echo_not_stopped: usize,
}

pub fn summary<'a>(read: impl Iterator<Item = (&'a Step, &'a Figures)>) -> Summary {
    let mut sum = Summary::default();
    for (step, figures) in read {
        let interrupted = |stop: &mut Row, missed: &mut usize| {
            stop.steps += 1;
            stop.values.extend(figures.stop_ms);
            *missed += usize::from(figures.stopped == Some(false));
        };
        let gap = figures.gap_ms.map(|ms| ms.max(0).unsigned_abs());
        match step {
            Step::Turn { .. } => {
                sum.latency.steps += 1;
                sum.latency.values.extend(figures.latency_ms);
                sum.cut_ins += usize::from(figures.cut_in);
                sum.unanswered += usize::from(figures.latency_ms.is_none() && !figures.cut_in);
            }
            Step::Pause { .. } => {
                sum.pause_latency.steps += 1;
                sum.pause_latency.values.extend(figures.latency_ms);
                sum.false_cut_ins += usize::from(figures.cut_in);
            }
            Step::Barge { .. } => {
                interrupted(&mut sum.stop, &mut sum.not_stopped);
                sum.interruption_answer.steps += 1;
                sum.interruption_answer.values.extend(figures.answer_ms);
            }
            Step::Echo { over: Some(_), .. } => {
                interrupted(&mut sum.echo_stop, &mut sum.echo_not_stopped)
            }
            Step::Backchannel { .. } => {
                sum.agreement_gap.steps += 1;
                sum.agreement_gap.values.extend(gap);
                sum.agreement_stops += usize::from(figures.goes_on == Some(false));
                sum.not_compared += usize::from(figures.goes_on.is_none());
            }
            Step::Echo { over: None, .. } => {
                sum.echo_gap.steps += 1;
                sum.echo_gap.values.extend(gap);
                sum.echo_stops += usize::from(figures.goes_on == Some(false));
                sum.not_compared += usize::from(figures.goes_on.is_none());
            }
        }
    }
    sum
}

#[cfg(test)]
#[path = "figures_tests.rs"]
mod tests;
