//! The measurements: which calls are simulated, and what is counted in them.

use std::ops::ControlFlow;
use std::time::Instant;

use asr::utterance::{Utterance, UtteranceConfig};
use asr::vad::{Vad, VadConfig, VadEvent};
use asr::whisper::{ModelSource, WhisperConfig, WhisperEngine};
use asr::{Engine as _, Options};
use media::echo::{EchoCanceller, EchoConfig};
use media::{FRAME_SAMPLES, Frame, SILENCE};
use tts::engine::Engine as _;
use tts::flite::FliteEngine;

use super::line::{Line, Phone};

/// What stands between the receiver and the listeners.
pub trait Canceller {
    fn far(&mut self, pcm: &Frame);
    /// Delay found, in milliseconds.
    fn near(&mut self, pcm: &mut Frame) -> Option<u32>;
    /// What the recogniser gets, where that is not what the detector gets.
    fn for_words(&self, heard: &Frame) -> Frame {
        *heard
    }
}

pub struct Untreated;

impl Canceller for Untreated {
    fn far(&mut self, _: &Frame) {}
    fn near(&mut self, _: &mut Frame) -> Option<u32> {
        None
    }
}

pub struct Ours(EchoCanceller);

impl Ours {
    pub fn new() -> Ours {
        Ours(EchoCanceller::new(EchoConfig::default()))
    }
}

impl Canceller for Ours {
    fn far(&mut self, pcm: &Frame) {
        self.0.far(pcm);
    }
    fn near(&mut self, pcm: &mut Frame) -> Option<u32> {
        self.0.near(pcm).delay_ms
    }
    fn for_words(&self, _: &Frame) -> Frame {
        *self.0.cleaned()
    }
}

pub type Maker<'a> = (&'a str, fn() -> Box<dyn Canceller>);

const TEXTS: [&str; 10] = [
    "You have three meetings tomorrow. The first one is at nine with the finance team, and it should take about an hour.",
    "The weather looks good for the weekend. Saturday will be sunny with a light breeze, and on Sunday a few clouds come in.",
    "I found two messages from the garage. They say that the car is ready, and that the brakes were replaced as you asked.",
    "All right, I turned off the lights in the kitchen and set the heating to nineteen degrees for the night.",
    "Your train leaves at seven forty from platform six. There is a second one at eight ten if you would rather sleep a bit longer.",
    "To make the soup, cut the carrots and the onions first, fry them slowly for ten minutes, and then add a litre of water.",
    "The build finished without errors, but four of the tests in the payment service were slower than they were last week.",
    "Sure. I put milk, bread, two lemons and a bag of rice on the shopping list. Is there anything else you would like me to add?",
    "No problem. I will remind you on Thursday evening to water the plants, feed the cat, and take the bins out to the street.",
    "The museum opens at ten and closes at six, except on Mondays. Tickets cost twelve euros, and children get in for free.",
];

/// Each text in each of the two embedded voices.
fn speeches() -> Vec<Vec<i16>> {
    let mut all = Vec::new();
    for voice in ["slt", "rms"] {
        let mut engine = FliteEngine::open(voice, 1.0).expect("an embedded voice");
        engine.warm().expect("the voice speaks");
        for text in TEXTS {
            let mut pcm = Vec::new();
            let mut sink = |samples: &[i16]| {
                pcm.extend_from_slice(samples);
                ControlFlow::Continue(())
            };
            engine.synthesise(text, &mut sink).expect("speech");
            all.push(pcm);
        }
    }
    all
}

struct Clip {
    pcm: Vec<i16>,
    text: String,
}

/// Root mean square over everything louder than silence.
fn level(pcm: &[i16]) -> f64 {
    let loud: Vec<f64> = pcm
        .chunks(FRAME_SAMPLES)
        .map(|c| c.iter().map(|&s| f64::from(s).powi(2)).sum::<f64>() / c.len() as f64)
        .filter(|p| *p > 10_000.0)
        .collect();
    (loud.iter().sum::<f64>() / loud.len().max(1) as f64).sqrt()
}

/// The callers, −20 dBFS loud while they speak, like our voices.
fn callers() -> Vec<Clip> {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/golden/speech");
    let table = std::fs::read_to_string(format!("{folder}/transcripts.tsv")).expect("the table");
    table
        .lines()
        .skip(1)
        .map(|line| {
            let mut columns = line.split('\t');
            let file = columns.next().expect("a file name");
            let bytes = std::fs::read(format!("{folder}/{file}")).expect("a clip");
            let pcm = media::file::read(&bytes)
                .expect("a wav file")
                .into_internal_rate();
            let gain = 3_277.0 / level(&pcm);
            Clip {
                pcm: pcm
                    .iter()
                    .map(|&s| (f64::from(s) * gain).clamp(-32_768.0, 32_767.0) as i16)
                    .collect(),
                text: normal(columns.next_back().expect("a transcript")),
            }
        })
        .collect()
}

fn normal(text: &str) -> String {
    let kept: String = text
        .to_lowercase()
        .chars()
        .map(|c| {
            if c.is_alphanumeric() || c == '\'' {
                c
            } else {
                ' '
            }
        })
        .collect();
    kept.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// One simulated call.
struct Call<'a> {
    line: Line,
    far: &'a [i16],
    /// Spoken by the caller from a sample on.
    voice: Option<(&'a [i16], usize)>,
    frames: usize,
}

#[derive(Default)]
struct Outcome {
    /// Frame numbers at which speech was reported.
    starts: Vec<usize>,
    received: Vec<i16>,
    left: Vec<i16>,
    /// Sound of the utterances collected.
    utterances: Vec<Vec<i16>>,
    delay_ms: Option<u32>,
}

fn run(call: &Call<'_>, canceller: &mut dyn Canceller) -> Outcome {
    let mut phone = Phone::new(call.line.clone());
    let mut vad = Vad::new(VadConfig::default());
    let mut utterance = Utterance::new(UtteranceConfig::default());
    let mut outcome = Outcome::default();
    let mut silence_frames = 0;
    for n in 0..call.frames {
        let mut far = SILENCE;
        let at = n * FRAME_SAMPLES;
        if at < call.far.len() {
            let piece = &call.far[at..call.far.len().min(at + FRAME_SAMPLES)];
            far[..piece.len()].copy_from_slice(piece);
        }
        let mut voice = SILENCE;
        if let Some((pcm, from)) = call.voice {
            for (m, sample) in voice.iter_mut().enumerate() {
                *sample = (at + m)
                    .checked_sub(from)
                    .and_then(|i| pcm.get(i))
                    .copied()
                    .unwrap_or(0);
            }
        }
        canceller.far(&far);
        for mut frame in phone.frame(&far, &voice) {
            outcome.received.extend_from_slice(&frame);
            outcome.delay_ms = canceller.near(&mut frame).or(outcome.delay_ms);
            outcome.left.extend_from_slice(&frame);
            utterance.push_frame(&canceller.for_words(&frame));
            silence_frames += 1;
            match vad.frame(&frame, false) {
                Some(VadEvent::SpeechStarted { at }) => {
                    outcome.starts.push(n);
                    utterance.start(at);
                    silence_frames = 0;
                }
                Some(VadEvent::SpeechStopped { at }) => {
                    utterance.stop(at);
                    silence_frames = 0;
                }
                // Shorter pauses matter to partial transcripts only.
                Some(VadEvent::SpeechPaused { .. } | VadEvent::SpeechResumed { .. }) | None => {}
            }
            // A pause of a second ends a turn here, as an unfinished one would.
            if utterance.is_open() && !vad.is_speech() && silence_frames > 40 {
                outcome.utterances.push(utterance.take().to_vec());
            }
        }
    }
    if utterance.is_open() {
        outcome.utterances.push(utterance.take().to_vec());
    }
    outcome
}

fn whole_frames(pcm: &[i16]) -> usize {
    pcm.len().div_ceil(FRAME_SAMPLES)
}

struct Ears(WhisperEngine);

impl Ears {
    fn new() -> Ears {
        let mut engine = WhisperEngine::open(&ModelSource::Embedded, &WhisperConfig::default())
            .expect("the embedded model");
        engine.warm().expect("the model decodes");
        Ears(engine)
    }

    fn words(&mut self, pcm: &[i16]) -> String {
        let heard = self.0.transcribe(pcm, &Options::default());
        normal(&heard.expect("a transcript").text)
    }
}

/// Several speeches one after the other, with 300 ms between them.
fn monologue(speeches: &[Vec<i16>], first: usize, count: usize) -> Vec<i16> {
    let mut pcm = Vec::new();
    for n in 0..count {
        pcm.extend_from_slice(&speeches[(first + n) % speeches.len()]);
        pcm.extend_from_slice(&[0; 4_800]);
    }
    pcm
}

const PARTS: [&str; 5] = ["alone", "unsteady", "interruptions", "quiet", "cost"];

/// Whether a part is asked for by name, or none is.
fn wanted(part: &str) -> bool {
    let named = |name: &str| std::env::args().any(|a| a == name);
    named(part) || !PARTS.iter().any(|p| named(p))
}

pub fn all(makers: &[Maker<'_>], quick: bool) {
    let (speeches, callers) = (speeches(), callers());
    let mut ears = Ears::new();
    let total: f64 = speeches.iter().map(|s| s.len() as f64 / 16_000.0).sum();
    println!(
        "{} texts of ours, {total:.0} s; {} callers' clips",
        speeches.len(),
        callers.len()
    );
    for (name, make) in makers {
        println!("\n=== {name}");
        if wanted("alone") {
            echo_alone(&speeches, &mut ears, make, quick);
        }
        if wanted("unsteady") {
            unsteady(&speeches, &mut ears, make, quick);
        }
        if wanted("interruptions") {
            interruptions(&speeches, &callers, &mut ears, make, quick);
        }
        if wanted("quiet") {
            without_echo(&speeches, &callers, make);
        }
        if wanted("cost") {
            cost(&speeches, make);
        }
    }
}

/// False starts and words in every echo from the first frame of a call on: each text is a call of its own.
fn echo_alone(
    speeches: &[Vec<i16>],
    ears: &mut Ears,
    make: &fn() -> Box<dyn Canceller>,
    quick: bool,
) {
    println!(
        "false starts per minute of our speech (of them in a call's first 500 ms) / words heard, every text a new call"
    );
    println!("   echo   room      20 ms        60 ms       120 ms       200 ms       250 ms");
    for room in [false, true] {
        for echo_db in [-10.0, -20.0, -30.0] {
            print!("{echo_db:6} dB {:>5}", if room { "yes" } else { "no" });
            for delay_ms in [20.0, 60.0, 120.0, 200.0, 250.0] {
                let (mut starts, mut early, mut words, mut minutes) = (0, 0, 0, 0.0);
                for (n, far) in speeches.iter().enumerate() {
                    if quick && n % 7 != 0 {
                        continue;
                    }
                    let line = Line {
                        echo_db: Some(echo_db),
                        delay_ms,
                        room,
                        seed: n as u64 + 1,
                        ..Line::default()
                    };
                    let call = Call {
                        line,
                        far,
                        voice: None,
                        frames: whole_frames(far) + 60,
                    };
                    let outcome = run(&call, &mut *make());
                    starts += outcome.starts.len();
                    early += outcome.starts.iter().filter(|&&f| f < 25).count();
                    words += words_in(&outcome, ears);
                    minutes += far.len() as f64 / 960_000.0;
                }
                let rate = starts as f64 / minutes;
                print!("  {rate:4.1} ({early:2})/{words:3}");
            }
            println!();
        }
    }
}

fn words_in(outcome: &Outcome, ears: &mut Ears) -> usize {
    outcome
        .utterances
        .iter()
        .map(|pcm| ears.words(pcm).split_whitespace().count())
        .sum()
}

/// Lines that do not hold still, with long speech.
fn unsteady(
    speeches: &[Vec<i16>],
    ears: &mut Ears,
    make: &fn() -> Box<dyn Canceller>,
    quick: bool,
) {
    println!("unsteady lines, room: false starts per minute / words heard");
    println!(
        "   echo     steady   new delay/4 s   drift 60 ppm   2 % lost   late heaps   noise -45 dBFS"
    );
    let base = |echo_db, seed| Line {
        echo_db: Some(echo_db),
        delay_ms: 90.0,
        room: true,
        seed,
        ..Line::default()
    };
    let kinds: [fn(Line) -> Line; 6] = [
        |line| line,
        |line| Line {
            new_delay_every: Some(200),
            ..line
        },
        |line| Line {
            drift_ppm: 60.0,
            ..line
        },
        |line| Line { loss: 0.02, ..line },
        |line| Line {
            stall_every: Some(250),
            ..line
        },
        |line| Line {
            noise: 184.0,
            ..line
        },
    ];
    for echo_db in [-10.0, -20.0, -30.0] {
        print!("{echo_db:6} dB ");
        for kind in kinds {
            let (mut starts, mut words, mut minutes) = (0, 0, 0.0);
            for round in 0..if quick { 1 } else { 3 } {
                let far = monologue(speeches, round * 7, 7);
                let call = Call {
                    line: kind(base(echo_db, round as u64 + 1)),
                    far: &far,
                    voice: None,
                    frames: whole_frames(&far) + 60,
                };
                let outcome = run(&call, &mut *make());
                starts += outcome.starts.len();
                words += words_in(&outcome, ears);
                minutes += far.len() as f64 / 960_000.0;
            }
            print!("  {:4.1}/{words:3}   ", starts as f64 / minutes);
        }
        println!();
    }
}

fn quantile(sorted: &[f64], q: f64) -> f64 {
    let at = ((sorted.len() as f64 - 1.0) * q).round() as usize;
    sorted.get(at).copied().unwrap_or(f64::NAN)
}

/// A caller speaks over us.
fn interruptions(
    speeches: &[Vec<i16>],
    callers: &[Clip],
    ears: &mut Ears,
    make: &fn() -> Box<dyn Canceller>,
    quick: bool,
) {
    println!(
        "interruptions: detected, later than with us silent by p50 / p95 (ms), transcripts kept (of those kept with us silent)"
    );
    // What each clip gives alone: frame of the start, transcript.
    let alone: Vec<(usize, bool)> = callers
        .iter()
        .map(|clip| {
            let call = Call {
                line: Line::default(),
                far: &[],
                voice: Some((&clip.pcm, 16_000)),
                frames: 75 + whole_frames(&clip.pcm),
            };
            let outcome = run(&call, &mut Untreated);
            let text: Vec<String> = outcome.utterances.iter().map(|u| ears.words(u)).collect();
            let start = outcome.starts.first().copied().unwrap_or(50) - 50;
            (start, text.join(" ") == clip.text)
        })
        .collect();
    for (name, onsets) in [
        ("in the first second", [9_600, 16_000]),
        ("later", [48_000, 67_000]),
    ] {
        for (echo_db, room, loudness) in [
            (None, false, 0.0),
            (Some(-30.0), true, 0.0),
            (Some(-20.0), false, 0.0),
            (Some(-20.0), true, 0.0),
            (Some(-20.0), true, -6.0),
            (Some(-10.0), true, 0.0),
        ] {
            let (mut all, mut found, mut kept, mut could) = (0, 0, 0, 0);
            let mut extra = Vec::new();
            for (d, delay_ms) in [20.0, 60.0, 120.0, 200.0, 250.0].into_iter().enumerate() {
                for (c, clip) in callers.iter().enumerate() {
                    if quick && (c + d) % 5 != 0 {
                        continue;
                    }
                    for (o, &onset) in onsets.iter().enumerate() {
                        let far = monologue(speeches, c * 3 + d + o, 2);
                        let gain = 10_f64.powf(loudness / 20.0);
                        let voice: Vec<i16> = clip
                            .pcm
                            .iter()
                            .map(|&s| (f64::from(s) * gain) as i16)
                            .collect();
                        let begin = onset / FRAME_SAMPLES;
                        // Our voice stops within 300 ms of the start being reported in a real call; here it goes on.
                        let call = Call {
                            line: Line {
                                echo_db,
                                delay_ms,
                                room,
                                seed: (c * 10 + d) as u64 + 1,
                                ..Line::default()
                            },
                            far: &far,
                            voice: Some((&voice, onset)),
                            frames: begin + 25 + whole_frames(&clip.pcm),
                        };
                        let outcome = run(&call, &mut *make());
                        all += 1;
                        let end = begin + whole_frames(&clip.pcm);
                        let start = outcome.starts.iter().find(|&&f| f >= begin && f <= end);
                        if let Some(&start) = start {
                            found += 1;
                            extra.push((start as f64 - (begin + alone[c].0) as f64) * 20.0);
                        }
                        let text: Vec<String> =
                            outcome.utterances.iter().map(|u| ears.words(u)).collect();
                        if alone[c].1 {
                            could += 1;
                            kept += usize::from(text.join(" ").trim() == clip.text);
                        }
                    }
                }
            }
            extra.sort_by(f64::total_cmp);
            let echo = echo_db.map_or("no echo".to_owned(), |db: f64| format!("{db} dB"));
            println!(
                "  {name:<20} {echo:>8}{:5} caller {loudness:3} dB: {found}/{all}  {:4.0} / {:4.0} ms  {kept}/{could}",
                if room { " room" } else { "" },
                quantile(&extra, 0.5),
                quantile(&extra, 0.95),
            );
        }
    }
}

/// What the canceller does where there is nothing to do.
fn without_echo(speeches: &[Vec<i16>], callers: &[Clip], make: &fn() -> Box<dyn Canceller>) {
    for (name, speaking) in [("we are silent", false), ("we speak, no echo", true)] {
        let (mut frames, mut equal, mut kept, mut energy) = (0, 0, 0.0, 0.0);
        for (c, clip) in callers.iter().enumerate() {
            let far = if speaking {
                monologue(speeches, c, 2)
            } else {
                Vec::new()
            };
            let call = Call {
                line: Line {
                    seed: c as u64 + 1,
                    ..Line::default()
                },
                far: &far,
                voice: Some((&clip.pcm, 40_000)),
                frames: 125 + whole_frames(&clip.pcm),
            };
            let outcome = run(&call, &mut *make());
            let pairs = outcome
                .received
                .chunks(FRAME_SAMPLES)
                .zip(outcome.left.chunks(FRAME_SAMPLES));
            for (before, after) in pairs.skip(125) {
                frames += 1;
                equal += usize::from(before == after);
                for (&a, &b) in before.iter().zip(after) {
                    energy += f64::from(a).powi(2);
                    kept += (f64::from(a) - f64::from(b)).powi(2);
                }
            }
        }
        println!(
            "caller alone, {name}: {equal}/{frames} frames bit-exact, difference {:.1} dB under the caller",
            10.0 * (energy / (kept + 1e-9)).log10()
        );
    }
}

/// Microseconds per frame; a copy of the frame through the codec is the baseline.
fn cost(speeches: &[Vec<i16>], make: &fn() -> Box<dyn Canceller>) {
    let far = monologue(speeches, 0, 4);
    let mut phone = Phone::new(Line {
        echo_db: Some(-20.0),
        room: true,
        ..Line::default()
    });
    let frames: Vec<(Frame, Vec<Frame>)> = far
        .chunks_exact(FRAME_SAMPLES)
        .map(|chunk| {
            let mut frame = SILENCE;
            frame.copy_from_slice(chunk);
            (frame, phone.frame(&frame, &[]))
        })
        .collect();
    let time = |far_sounds: bool| {
        (0..3)
            .map(|_| {
                let mut canceller = make();
                let started = Instant::now();
                for (far, near) in &frames {
                    canceller.far(if far_sounds { far } else { &SILENCE });
                    for frame in near {
                        let mut frame = *frame;
                        canceller.near(&mut frame);
                        std::hint::black_box(&frame);
                    }
                }
                started.elapsed().as_secs_f64() * 1e6 / frames.len() as f64
            })
            .fold(f64::INFINITY, f64::min)
    };
    let (speaking, silent) = (time(true), time(false));
    let mut vad = Vad::new(VadConfig::default());
    let started = Instant::now();
    for (far, _) in &frames {
        std::hint::black_box(vad.frame(far, false));
    }
    let baseline = started.elapsed().as_secs_f64() * 1e6 / frames.len() as f64;
    println!(
        "per frame: {speaking:.1} µs while we speak, {silent:.2} µs while we are silent; the detector takes {baseline:.1} µs"
    );
}
