//! How exactly playout knows the words that were heard: answers are cut and spoken as in a call, playout is stopped at
//! every 20 ms, and the words it reports are held against the voice's own account of where each word was.
//!
//! Owns: the stop points and the table; where the voices' accounts come from is in `truth`. Prints; asserts nothing.
//! `cargo bench --bench heard`; with `-- --worst` also the worst stop of each voice; `-- --fit` prints the aligner's figures fitted anew.

mod fit;
mod texts;
mod truth;

use std::time::Instant;

use media::playout::{Playout, PlayoutConfig};
use truth::{Spoken, Voice};
use tts::clause::{Splitter, SplitterConfig};

/// Sound is pushed this far ahead of the stop point when a clause grows: 100 ms.
const AHEAD_SAMPLES: usize = 1_600;
/// Silence between clauses, as the voice's worker puts it there after a comma: 120 ms.
const PAUSE_SAMPLES: usize = 1_920;

#[derive(Default)]
struct Tally {
    stops: usize,
    exact: usize,
    within_one: usize,
    max: usize,
    worst: String,
}

impl Tally {
    fn add(&mut self, reported: usize, truth: usize, told: impl Fn() -> String) {
        let error = reported.abs_diff(truth);
        self.stops += 1;
        self.exact += usize::from(error == 0);
        self.within_one += usize::from(error <= 1);
        if error > self.max {
            self.max = error;
            self.worst = told();
        }
    }

    fn print(&self, name: &str, way: &str, worst: bool) {
        let share = |count: usize| 100.0 * count as f64 / self.stops.max(1) as f64;
        println!(
            "{name:<18} {way:<8} {:>7} {:>8.2} {:>8.2} {:>8.3} {:>5}",
            self.stops,
            share(self.exact),
            share(self.within_one),
            100.0 - share(self.within_one),
            self.max
        );
        if worst {
            println!("    {}", self.worst);
        }
    }
}

fn main() {
    let arguments: Vec<String> = std::env::args().collect();
    let has = |name: &str| arguments.iter().any(|argument| argument == name);
    let only = arguments
        .iter()
        .position(|argument| argument == "--only")
        .and_then(|at| arguments.get(at + 1));
    if has("--fit") {
        fit::print(&["slt", "rms"]);
        return;
    }
    first_clauses();
    if has("--first") {
        return;
    }
    println!("voice              clause     stops  exact %  <= 1 %    > 1 %   max");
    let mut slowest_us = 0;
    for mut voice in Voice::all() {
        if only.is_some_and(|only| !voice.name().contains(only.as_str())) {
            continue;
        }
        let spoken: Vec<_> = texts::ANSWERS
            .iter()
            .map(|answer| truth::speak(&mut voice, answer))
            .collect();
        for (way, growing) in [("whole", false), ("growing", true)] {
            let mut tally = Tally::default();
            let mut playout = Playout::new(PlayoutConfig::default());
            for (number, clauses) in spoken.iter().enumerate() {
                let Some(clauses) = clauses else {
                    println!("{}: no account of answer {number}", voice.name());
                    continue;
                };
                slowest_us = slowest_us.max(stops(
                    &mut playout,
                    number as u32,
                    clauses,
                    growing,
                    &mut tally,
                ));
            }
            tally.print(voice.name(), way, has("--worst"));
        }
    }
    println!("longest time of one stop: {slowest_us} us");
}

/// Plays one reply and holds every stop point against the truth; gives the longest time of a question in µs.
#[allow(clippy::disallowed_methods)]
fn stops(
    playout: &mut Playout,
    id: u32,
    clauses: &[Spoken],
    growing: bool,
    tally: &mut Tally,
) -> u128 {
    let now = Instant::now();
    let mut slowest = 0;
    // Middle of each word, in samples from the start of the reply.
    let mut middles = Vec::new();
    // Clause, text with its first sound, sound, and whether it is the last of the clause.
    let mut pieces: Vec<(u32, String, Vec<i16>, bool)> = Vec::new();
    let mut from = 0;
    for (place, clause) in clauses.iter().enumerate() {
        let pause = if place == 0 { 0 } else { PAUSE_SAMPLES };
        let mut pcm = vec![0; pause];
        pcm.extend(&clause.pcm);
        middles.extend(clause.words.iter().map(|(a, b)| from + pause + (a + b) / 2));
        from += pcm.len();
        let size = if growing { 800 } else { pcm.len() };
        let count = pcm.chunks(size).count();
        for (n, chunk) in pcm.chunks(size).enumerate() {
            let text = if n == 0 {
                clause.text.clone()
            } else {
                String::new()
            };
            pieces.push((place as u32, text, chunk.to_vec(), n + 1 == count));
        }
    }
    let mut pieces = pieces.into_iter();
    let (mut pushed, mut played) = (0, 0);
    while played < from {
        while !growing && pushed < from || growing && pushed < (played + AHEAD_SAMPLES).min(from) {
            let Some((clause, text, pcm, last)) = pieces.next() else {
                break;
            };
            pushed += pcm.len();
            playout
                .push(id, clause, &text, &pcm, last)
                .expect("room for a reply");
        }
        if pushed == from {
            playout.finish(id);
        }
        playout.next_frame(now);
        played = (played + media::FRAME_SAMPLES).min(from);
        let start = Instant::now();
        let heard = if growing
            && !played.is_multiple_of(3_200)
            && !std::env::args().any(|a| a == "--all")
        {
            continue;
        } else {
            playout.heard(id).text
        };
        slowest = slowest.max(start.elapsed().as_micros());
        let truth = middles.iter().filter(|middle| **middle < played).count();
        tally.add(heard.split_whitespace().count(), truth, || {
            let text: Vec<&str> = clauses
                .iter()
                .flat_map(|c| c.text.split_whitespace())
                .collect();
            format!(
                "at {} ms: reported to ...{:?}, truth to ...{:?}",
                played / 16,
                heard
                    .split_whitespace()
                    .rev()
                    .take(4)
                    .collect::<Vec<_>>()
                    .into_iter()
                    .rev()
                    .collect::<Vec<_>>()
                    .join(" "),
                text[truth.saturating_sub(4)..truth].join(" ")
            )
        });
    }
    slowest
}

/// When the first clause of each answer can go to the voice, with a first token after 150 ms and 60 tokens a second: as
/// the splitter is set, and held to commas after twelve letters and conjunctions after six words.
fn first_clauses() {
    const FIRST_TOKEN_MS: f64 = 150.0;
    const TOKEN_MS: f64 = 1_000.0 / 60.0;
    let held = SplitterConfig {
        first_chars_min: 12,
        first_words_min: 6,
        first_phrase_words_min: usize::MAX,
        ..SplitterConfig::default()
    };
    println!("first clause to the voice, ms after the question: held back, as set, and its words");
    let (mut sums, mut count) = ([0.0, 0.0], 0.0);
    for answer in texts::ANSWERS {
        let (mut ms, mut first) = ([0.0, 0.0], String::new());
        for (place, config) in [held.clone(), SplitterConfig::default()]
            .into_iter()
            .enumerate()
        {
            let mut splitter = Splitter::new(config);
            ms[place] = FIRST_TOKEN_MS;
            let mut given = Vec::new();
            // Four letters are about a token.
            for (token, letters) in answer.chars().collect::<Vec<_>>().chunks(4).enumerate() {
                ms[place] = FIRST_TOKEN_MS + token as f64 * TOKEN_MS;
                given = splitter.push(&letters.iter().collect::<String>());
                if !given.is_empty() {
                    break;
                }
            }
            given.extend(splitter.finish());
            first = given.swap_remove(0);
            sums[place] += ms[place];
        }
        count += 1.0;
        println!("{:>6.0} {:>6.0}  {first}", ms[0], ms[1]);
    }
    println!("{:>6.0} {:>6.0}  mean", sums[0] / count, sums[1] / count);
}
