//! The score of the strategies that say whether a caller's turn is over, alone and together: dead air and false cut-offs
//! over spoken turns with pauses, by the method of eot-bench. Owns the table that is printed; asserts nothing.
//!
//! `cargo bench --bench end_of_turn`. `OFFHOOK_EOT_CASES` names another folder of cases, `OFFHOOK_EOT_MODEL` a model file;
//! with `OFFHOOK_EOT_LIST` set every silence is printed.

#[path = "end_of_turn/cases.rs"]
mod cases;
#[path = "end_of_turn/policy.rs"]
mod policy;
#[path = "end_of_turn/witnesses.rs"]
mod witnesses;

use std::path::{Path, PathBuf};
use std::time::Instant;

use agent_bridge::endpoint::{Asked, Evidence, Strategy, WaitCurve, finished_probability};
use anyhow::Result;
use asr::FRAME_SAMPLES;
use asr::end_of_turn::Prosody;
use asr::vad::{Vad, VadConfig};

use cases::Case;
use policy::{Cost, Scored};
use witnesses::{Known, Witnesses};

/// Whose words are judged.
#[derive(Clone, Copy, PartialEq)]
enum Words {
    True,
    Heard,
    /// Heard words count only where the recogniser's mean log probability is at least this.
    HeardFrom(f32),
}

/// Name, strategies and words of each row.
const ROWS: [(&str, &[Strategy], Words); 9] = [
    ("silence only", &[], Words::True),
    ("text, true words", &[Strategy::Text], Words::True),
    ("text, words heard", &[Strategy::Text], Words::Heard),
    ("prosody", &[Strategy::Prosody], Words::True),
    (
        "text + prosody, true words",
        &[Strategy::Text, Strategy::Prosody],
        Words::True,
    ),
    (
        "text + prosody, words heard",
        &[Strategy::Text, Strategy::Prosody],
        Words::Heard,
    ),
    ("model", &[Strategy::Model], Words::True),
    (
        "text + model, words heard",
        &[Strategy::Text, Strategy::Model],
        Words::Heard,
    ),
    (
        "all three, words heard",
        &[Strategy::Text, Strategy::Prosody, Strategy::Model],
        Words::Heard,
    ),
];

fn main() -> Result<()> {
    let folder = std::env::var_os("OFFHOOK_EOT_CASES").map_or_else(
        || Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/turns"),
        PathBuf::from,
    );
    let model = std::env::var_os("OFFHOOK_EOT_MODEL").map(PathBuf::from);
    let cases = cases::read(&folder)?;
    let mut witnesses = Witnesses::open(model.as_deref())?;
    let known = cases
        .iter()
        .map(|case| witnesses.ask(case))
        .collect::<Result<Vec<_>>>()?;
    let pauses: usize = cases.iter().map(|case| case.silences.len() - 1).sum();
    println!("{} turns with {pauses} pauses inside", cases.len());
    words_heard(&cases, &known);
    if std::env::var_os("OFFHOOK_EOT_LIST").is_some() {
        list(&cases, &known);
    }

    println!(
        "\n{:<29} {:>6} {:>12} {:>13} {:>12} {:>12}   {:>24}",
        "", "", "dead air at", "dead air at", "cut-offs at", "cut-offs at", "default wait curve:"
    );
    println!(
        "{:<29} {:>6} {:>12} {:>13} {:>12} {:>12}   {:>11} {:>12}",
        "strategy",
        "AUC",
        "5 % cut-offs",
        "10 % cut-offs",
        "300 ms",
        "600 ms",
        "cut-offs",
        "dead air"
    );
    for (name, strategies, words) in ROWS {
        if strategies.contains(&Strategy::Model) && model.is_none() {
            println!("{name:<29} left out: OFFHOOK_EOT_MODEL names no file");
            continue;
        }
        let scored = score(&cases, &known, strategies, words);
        let points = policy::sweep(&scored);
        let curve = on_curve(&scored);
        println!(
            "{name:<29} {:>6.3} {:>12} {:>13} {:>12} {:>12}   {:>11} {:>12}",
            policy::auc(&scored),
            ms(points.dead_air_at_5_ms),
            ms(points.dead_air_at_10_ms),
            percent(points.cut_offs_at_300),
            percent(points.cut_offs_at_600),
            percent(Some(curve.cut_offs)),
            ms(Some(curve.dead_air_ms)),
        );
    }
    by_certainty(&cases, &known);
    by_kind(&cases, &known);
    pace(&cases);
    Ok(())
}

/// The silences of all cases, as one way to decide sees them.
fn score(
    cases: &[Case],
    known: &[Vec<Known>],
    strategies: &[Strategy],
    words: Words,
) -> Vec<Scored> {
    let mut out = Vec::new();
    for (case, known) in cases.iter().zip(known) {
        let asked = Asked::by(&case.asked);
        for (silence, known) in case.silences.iter().zip(known) {
            let is_unsure =
                matches!(words, Words::HeardFrom(least) if known.log_probability < least);
            let judges: Vec<Strategy> = strategies
                .iter()
                .copied()
                .filter(|strategy| !is_unsure || *strategy != Strategy::Text)
                .collect();
            let at = |time: usize| {
                let text = match words {
                    Words::True => &silence.text,
                    Words::Heard | Words::HeardFrom(_) => &known.heard,
                };
                finished_probability(
                    &judges,
                    &Evidence {
                        text,
                        certainty: match words {
                            Words::True => 1.0,
                            Words::Heard | Words::HeardFrom(_) => known.certainty,
                        },
                        asked,
                        prosody: known.prosody[time],
                        model: known.model[time],
                    },
                )
            };
            out.push(Scored {
                length_ms: silence.length_ms.map(|ms| ms as u32),
                early: at(0),
                late: at(1),
            });
        }
    }
    out
}

/// The wait that the default configuration makes of each probability.
fn on_curve(scored: &[Scored]) -> Cost {
    let curve = WaitCurve::default();
    policy::cost(scored, |silence| {
        let early = curve.wait_ms(silence.early);
        if early <= 200 {
            early
        } else {
            curve.wait_ms(silence.late).max(200)
        }
    })
}

/// Every silence, one line each: what was said and heard, and what each strategy makes of it.
fn list(cases: &[Case], known: &[Vec<Known>]) {
    println!("\nkind\tsilence_ms\tsaid\theard\tlog_probability\ttext_true\ttext_heard\tprosody");
    for (case, known) in cases.iter().zip(known) {
        let one = |strategies, words| {
            score(
                std::slice::from_ref(case),
                std::slice::from_ref(known),
                strategies,
                words,
            )
        };
        let text_true = one(&[Strategy::Text], Words::True);
        let text_heard = one(&[Strategy::Text], Words::Heard);
        for (at, (silence, known)) in case.silences.iter().zip(known).enumerate() {
            println!(
                "{}\t{}\t{}\t{}\t{:.2}\t{:.2}\t{:.2}\t{:.2}",
                case.kind,
                silence
                    .length_ms
                    .map_or("end".to_owned(), |ms| ms.to_string()),
                silence.text,
                known.heard,
                known.log_probability,
                text_true[at].late,
                text_heard[at].late,
                known.prosody[1].unwrap_or(f32::NAN),
            );
        }
    }
}

/// What it is worth to let words count only where the recogniser was sure of them.
fn by_certainty(cases: &[Case], known: &[Vec<Known>]) {
    println!("\ntext + prosody, words heard, counted from a mean log probability on");
    println!(
        "{:>6} {:>8} {:>16} {:>6} {:>13} {:>12} {:>20} {:>10}",
        "from",
        "counted",
        "last word right",
        "AUC",
        "at 5 %",
        "at 300 ms",
        "curve: cut-offs",
        "dead air"
    );
    for least in [-9.0, -0.8, -0.6, -0.4, -0.3, -0.2, -0.1, 0.1] {
        let (mut all, mut counted, mut right) = (0, 0, 0);
        for (silence, known) in cases
            .iter()
            .zip(known)
            .flat_map(|(case, known)| case.silences.iter().zip(known))
        {
            all += 1;
            if known.log_probability >= least {
                counted += 1;
                right += usize::from(last_word(&silence.text) == last_word(&known.heard));
            }
        }
        let scored = score(
            cases,
            known,
            &[Strategy::Text, Strategy::Prosody],
            Words::HeardFrom(least),
        );
        let points = policy::sweep(&scored);
        let curve = on_curve(&scored);
        println!(
            "{least:>6.1} {:>8} {:>16} {:>6.3} {:>13} {:>12} {:>20} {:>10}",
            percent(Some(counted as f32 / all as f32)),
            percent((counted > 0).then(|| right as f32 / counted as f32)),
            policy::auc(&scored),
            ms(points.dead_air_at_5_ms),
            percent(points.cut_offs_at_300),
            percent(Some(curve.cut_offs)),
            ms(Some(curve.dead_air_ms)),
        );
    }
}

fn last_word(text: &str) -> Option<String> {
    let text = agent_bridge::words::normalise(text);
    text.split(' ').next_back().map(str::to_owned)
}

fn by_kind(cases: &[Case], known: &[Vec<Known>]) {
    let mut kinds: Vec<&str> = cases.iter().map(|case| case.kind.as_str()).collect();
    kinds.dedup();
    println!("\ndefault wait curve by kind of turn, text + prosody");
    println!(
        "{:<12} {:>6} {:>7} {:>20} {:>20}",
        "kind", "turns", "pauses", "true words", "words heard"
    );
    for kind in kinds {
        let (few, known_few): (Vec<&Case>, Vec<&Vec<Known>>) = cases
            .iter()
            .zip(known)
            .filter(|(case, _)| case.kind == kind)
            .unzip();
        let cost_with = |words| {
            let scored: Vec<Scored> = few
                .iter()
                .zip(&known_few)
                .flat_map(|(case, known)| {
                    score(
                        std::slice::from_ref(*case),
                        std::slice::from_ref(*known),
                        &[Strategy::Text, Strategy::Prosody],
                        words,
                    )
                })
                .collect();
            let cost = on_curve(&scored);
            format!(
                "{} {:>9}",
                percent(Some(cost.cut_offs)),
                ms(Some(cost.dead_air_ms))
            )
        };
        println!(
            "{kind:<12} {:>6} {:>7} {:>20} {:>20}",
            few.len(),
            few.iter()
                .map(|case| case.silences.len() - 1)
                .sum::<usize>(),
            cost_with(Words::True),
            cost_with(Words::Heard),
        );
    }
}

/// How much of the text the recogniser gets right, since the text strategy lives on that.
fn words_heard(cases: &[Case], known: &[Vec<Known>]) {
    let (mut same, mut last, mut all) = (0, 0, 0);
    for (case, known) in cases.iter().zip(known) {
        for (silence, known) in case.silences.iter().zip(known) {
            let said = agent_bridge::words::normalise(&silence.text);
            let heard = agent_bridge::words::normalise(&known.heard);
            all += 1;
            same += usize::from(said == heard);
            last += usize::from(last_word(&said) == last_word(&heard));
        }
    }
    println!(
        "the built-in recogniser hears {same} of {all} texts so far word for word, the last word of {last}"
    );
}

/// Time per frame of the rule, beside voice activity detection over the same frames.
fn pace(cases: &[Case]) {
    let frames: Vec<&[i16; FRAME_SAMPLES]> = cases
        .iter()
        .flat_map(|case| case.pcm.as_chunks::<FRAME_SAMPLES>().0)
        .collect();
    let mut rule = Prosody::new();
    let mut vad = Vad::new(VadConfig::default());
    let mut times = [f64::MAX; 2];
    for _ in 0..3 {
        let start = Instant::now();
        frames.iter().for_each(|frame| rule.push_frame(frame));
        times[0] = times[0].min(start.elapsed().as_secs_f64());
        let start = Instant::now();
        for frame in &frames {
            std::hint::black_box(vad.frame(frame, false));
        }
        times[1] = times[1].min(start.elapsed().as_secs_f64());
    }
    let start = Instant::now();
    const QUESTIONS: u32 = 200;
    for _ in 0..QUESTIONS {
        std::hint::black_box(rule.probability());
    }
    let question = start.elapsed().as_secs_f64() / f64::from(QUESTIONS);
    let [rule, vad] = times.map(|s| 1e6 * s / frames.len() as f64);
    println!(
        "\nprosody: {rule:.1} µs per frame of 20 ms, {:.2} times voice activity detection ({vad:.1} µs); {:.0} µs per question",
        rule / vad,
        1e6 * question
    );
}

fn ms(value: Option<f32>) -> String {
    value.map_or_else(|| "-".to_owned(), |v| format!("{v:.0} ms"))
}

fn percent(value: Option<f32>) -> String {
    value.map_or_else(|| "-".to_owned(), |v| format!("{:.1} %", 100.0 * v))
}
