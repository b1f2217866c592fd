//! What holds of the words heard, whatever the text and the sound: they only grow, they are the first words of the text, and
//! they end as all of it. And that the sounds of words are found where they are.

use super::align::{Extent, align};
use super::figures::FITTED;
use super::sound::{Listener, WINDOW_SAMPLES};
use super::spoken::{Sound, read};
use super::*;

/// A small generator: the same pieces in every run.
struct Pieces(u64);

impl Pieces {
    fn next(&mut self, below: usize) -> usize {
        self.0 = self
            .0
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) as usize % below
    }

    /// A vowel, a hiss or nothing, some hundredths of a second long.
    fn sound(&mut self, pcm: &mut Vec<i16>) {
        let kind = self.next(3);
        for n in 0..WINDOW_SAMPLES * (3 + self.next(20)) {
            pcm.push(match kind {
                0 => (9_000.0 * (n as f64 * 0.25).sin()) as i16,
                1 => self.next(3_000) as i16 - 1_500,
                _ => 0,
            });
        }
    }
}

const WORDS: &[&str] = &[
    "yes",
    "the",
    "seven,",
    "7:05",
    "$1,234.50",
    "-",
    "p.m.",
    "www.example.com",
    "extraordinarily",
    "\u{65e5}\u{672c}",
    "**so**",
    "555-0142",
    "I",
    "am",
    "12%",
    "2026.",
    "\u{1f389}",
    "stop!",
    "a/b",
    "x@y.org",
    "0",
    "999999999999999999999",
];

#[test]
fn heard_grows_is_a_beginning_and_ends_as_all() {
    for seed in 0..16 {
        let mut pieces = Pieces(seed);
        let mut playout = Playout::new(PlayoutConfig::default());
        let mut all: Vec<&str> = Vec::new();
        let mut waiting = VecDeque::new();
        for clause in 0..1 + pieces.next(3) as u32 {
            let words: Vec<&str> = (0..1 + pieces.next(12))
                .map(|_| WORDS[pieces.next(WORDS.len())])
                .collect();
            let mut pcm = Vec::new();
            for _ in 0..2 * words.len() {
                pieces.sound(&mut pcm);
            }
            all.extend(&words);
            waiting.push_back((clause, words.join(" "), pcm));
        }
        // Half of the replies come whole, the others in pieces while they play.
        let size = if seed % 2 == 0 { usize::MAX } else { 1_600 };
        let now = Instant::now();
        let all = all.join(" ");
        let mut before = 0;
        loop {
            while playout.queued_ms() < 100 || size == usize::MAX {
                let Some((clause, text, pcm)) = waiting.front_mut() else {
                    playout.finish(1);
                    break;
                };
                let rest = pcm.split_off(size.min(pcm.len()));
                let (text, is_last) = (std::mem::take(text), rest.is_empty());
                playout.push(1, *clause, &text, pcm, is_last).unwrap();
                *pcm = rest;
                if is_last {
                    waiting.pop_front();
                }
            }
            if !playout.is_speaking() {
                break;
            }
            if pieces.next(9) == 0 {
                playout.pause();
                let held = playout.heard(1);
                playout.next_frame(now);
                assert_eq!(playout.heard(1), held, "a pause moves nothing");
                playout.resume();
            }
            playout.next_frame(now);
            let heard = playout.heard(1);
            assert!(all.starts_with(&heard.text), "{:?} of {all:?}", heard.text);
            assert!(heard.text.len() >= before, "seed {seed} went back");
            before = heard.text.len();
        }
        let heard = playout.heard(1);
        assert_eq!((heard.text, heard.complete), (all, true));
    }
}

#[test]
fn words_are_found_by_their_sounds() {
    // "see" and "mass" as noise and tone: the second hiss is far from where the letters alone would put it.
    let tone = |pcm: &mut Vec<i16>, ms: usize| {
        pcm.extend((0..ms * SAMPLES_PER_MS).map(|n| (9_000.0 * (n as f64 * 0.2).sin()) as i16));
    };
    let mut pieces = Pieces(1);
    let mut pcm = Vec::new();
    let mut hiss = |pcm: &mut Vec<i16>, ms: usize| {
        pcm.extend((0..ms * SAMPLES_PER_MS).map(|_| pieces.next(4_000) as i16 - 2_000));
    };
    hiss(&mut pcm, 100);
    tone(&mut pcm, 300);
    hiss(&mut pcm, 100);
    tone(&mut pcm, 120);
    let mut listener = Listener::default();
    listener.push(&pcm);
    listener.finish();
    let found = align(
        &read("see so"),
        listener.windows(),
        Extent::Whole,
        1.3,
        &FITTED,
    );
    let (start, _) = found.words[1];
    assert!(
        (36.0..=44.0).contains(&start),
        "the second word at window {start}"
    );
}

#[test]
fn words_are_read_as_they_are_spoken() {
    // Each pair sounds the same, or as good as.
    for (written, spoken) in [
        ("7:05", "seven oh five"),
        ("45", "forty five"),
        ("$12", "twelve dollars"),
        ("19%", "nineteen percent"),
        ("1953", "nineteen fifty three"),
        ("12.5", "twelve point five"),
        ("8,849", "eight thousand eight hundred forty nine"),
        ("Dr.", "doctor"),
        ("-3", "minus three"),
        ("22nd", "twenty twoth"),
        ("support@example.org", "support at example dot org"),
    ] {
        let sounds = |text: &str| -> Vec<Sound> {
            read(text)
                .into_iter()
                .flat_map(|word| word.sounds)
                .map(|(sound, _)| sound)
                .collect()
        };
        assert_eq!(sounds(written), sounds(spoken), "{written}");
    }
}

#[test]
fn reading_is_bounded_and_keeps_every_word() {
    let long = "9".repeat(5_000);
    for text in [
        "",
        "   ",
        "- - -",
        &long,
        "\u{301}\u{301} \u{65e5}",
        "1e9 .. :: 1: :1 1:\u{e9}\u{e9}",
        "$ % 1st2nd3rd",
    ] {
        let words = read(text);
        assert_eq!(words.len(), text.split_whitespace().count(), "{text:.20}");
        assert!(words.iter().all(|word| word.sounds.len() <= 160));
    }
}
