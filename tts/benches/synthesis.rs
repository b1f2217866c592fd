//! How fast the embedded voice speaks: time to the first sample and real-time factor by length of text, beside espeak-ng
//! as a child process in the same run, where it is installed. Prints a table; asserts nothing.

use std::ops::ControlFlow;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use tts::SAMPLE_RATE_HZ;
use tts::engine::Engine;

const ROUNDS: usize = 15;
const TEXTS: [(&str, &str); 4] = [
    ("word", "Yes."),
    ("clause", "It is half past nine,"),
    (
        "sentence",
        "I have set a timer for ten minutes, and I will call out when it ends.",
    ),
    (
        "paragraph",
        "The first thing to know is that this answer is rather long. It has several sentences. Each of them takes a \
         while to say, so there is time to interrupt it. The last one says that this is all there is to it.",
    ),
];

struct Round {
    first: Duration,
    whole: Duration,
    audio: Duration,
}

fn main() {
    println!(
        "voice      text       first sample p50/max ms   whole p50 ms   audio ms   real-time factor"
    );
    let mut engine =
        tts::voices::open(tts::voices::DEFAULT, 1.0).expect("the embedded voice opens");
    engine.warm().expect("the embedded voice warms");
    for (label, text) in TEXTS {
        let text = tts::text::normalise(text);
        let rounds = (0..ROUNDS)
            .map(|_| embedded(engine.as_mut(), &text))
            .collect();
        print_row(engine.name(), label, rounds);
    }
    if Command::new("espeak-ng").arg("--version").output().is_err() {
        println!("espeak-ng  skipped: not installed");
        return;
    }
    for (label, text) in TEXTS {
        let rounds = (0..ROUNDS).filter_map(|_| espeak(text)).collect();
        print_row("espeak-ng", label, rounds);
    }
}

// The bench is the one place of this crate with a clock: what is measured is time.
#[allow(clippy::disallowed_methods)]
fn embedded(engine: &mut dyn Engine, text: &str) -> Round {
    let start = Instant::now();
    let (mut first, mut samples) = (None, 0);
    engine
        .synthesise(text, &mut |pcm| {
            first.get_or_insert_with(|| start.elapsed());
            samples += pcm.len();
            ControlFlow::Continue(())
        })
        .expect("the embedded voice speaks");
    let whole = start.elapsed();
    Round {
        first: first.unwrap_or(whole),
        whole,
        audio: Duration::from_secs_f64(samples as f64 / f64::from(SAMPLE_RATE_HZ)),
    }
}

/// A process per text, as it would be used; 22,050 Hz.
#[allow(clippy::disallowed_methods)]
fn espeak(text: &str) -> Option<Round> {
    use std::io::Read;
    let start = Instant::now();
    let mut child = Command::new("espeak-ng")
        .args(["--stdout", "-v", "en-us", text])
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .ok()?;
    let mut out = child.stdout.take()?;
    // Past the header of the wav file: the first sample.
    let mut head = [0; 46];
    out.read_exact(&mut head).ok()?;
    let first = start.elapsed();
    let mut rest = Vec::new();
    out.read_to_end(&mut rest).ok()?;
    child.wait().ok()?;
    Some(Round {
        first,
        whole: start.elapsed(),
        audio: Duration::from_secs_f64(rest.len() as f64 / 2.0 / 22_050.0),
    })
}

fn print_row(voice: &str, label: &str, rounds: Vec<Round>) {
    if rounds.is_empty() {
        println!("{voice:<10} {label:<10} failed");
        return;
    }
    let ms = |d: Duration| d.as_secs_f64() * 1_000.0;
    let sorted = |pick: fn(&Round) -> Duration| {
        let mut values: Vec<Duration> = rounds.iter().map(pick).collect();
        values.sort();
        values
    };
    let first = sorted(|r| r.first);
    let whole = sorted(|r| r.whole);
    let middle = rounds.len() / 2;
    let audio = rounds[middle].audio;
    println!(
        "{voice:<10} {label:<10} {:>12.1} / {:<10.1} {:>12.1} {:>10.0} {:>12.3}",
        ms(first[middle]),
        ms(first[first.len() - 1]),
        ms(whole[middle]),
        ms(audio),
        whole[middle].as_secs_f64() / audio.as_secs_f64().max(1e-9),
    );
}
