//! Fits the aligner's figures: what each class of sound is like, and how long it lasts, counted from the phones that
//! flite says it spoke.
//!
//! Owns: the classes of flite's phones, the counting, and the printing in the form of `media/src/playout/figures.rs`.

use media::playout::figures::{FITTED, Figures};
use media::playout::sound::{FEATURES, Listener, WINDOW_SAMPLES};
use media::playout::spoken::{PLACES, Place, SOUNDS, Sound, read};
use tts::flite::FliteEngine;

use crate::texts;

/// Voices differ more than those we have: spreads are widened.
const WIDER: f64 = 1.3;
/// Occurrences that the figure from before counts for.
const PRIOR: f64 = 4.0;

/// The classes of a phone, each with its share of the phone's length.
fn classes(phone: &str) -> &'static [(Sound, f32)] {
    match phone {
        "aa" | "ae" | "ah" => &[(Sound::Open, 1.0)],
        "eh" | "ih" => &[(Sound::Front, 1.0)],
        "ax" => &[(Sound::Weak, 1.0)],
        "er" => &[(Sound::Weak, 0.5), (Sound::Liquid, 0.5)],
        "iy" | "ey" => &[(Sound::LongFront, 1.0)],
        "uw" | "ow" | "ao" | "uh" => &[(Sound::LongBack, 1.0)],
        "ay" | "aw" | "oy" => &[(Sound::Glide, 1.0)],
        "l" | "r" | "w" | "y" => &[(Sound::Liquid, 1.0)],
        "m" | "n" | "ng" => &[(Sound::Nasal, 1.0)],
        "s" | "z" | "sh" | "zh" => &[(Sound::Hiss, 1.0)],
        "ch" => &[(Sound::Closure, 0.45), (Sound::Hiss, 0.55)],
        "jh" => &[(Sound::VoicedStop, 0.45), (Sound::Hiss, 0.55)],
        "f" | "th" | "hh" => &[(Sound::Breath, 1.0)],
        "v" | "dh" => &[(Sound::Buzz, 1.0)],
        "p" | "t" | "k" => &[(Sound::Closure, 0.55), (Sound::Burst, 0.45)],
        "b" | "d" | "g" => &[(Sound::VoicedStop, 1.0)],
        _ => &[(Sound::Pause, 1.0)],
    }
}

#[derive(Clone, Copy, Default)]
struct Moments {
    count: f64,
    sum: f64,
    squares: f64,
}

impl Moments {
    fn add(&mut self, value: f64) {
        self.count += 1.0;
        self.sum += value;
        self.squares += value * value;
    }

    fn mean_and_spread(&self, prior: (f64, f64), weight: f64) -> (f64, f64) {
        let count = self.count + weight;
        let mean = (self.sum + weight * prior.0) / count;
        let squares = (self.squares + weight * (prior.0 * prior.0 + prior.1 * prior.1)) / count;
        (mean, (squares - mean * mean).max(1e-4).sqrt())
    }
}

/// Fits on these voices and prints the figures.
pub fn print(voices: &[&'static str]) {
    let mut features = [[Moments::default(); FEATURES]; SOUNDS];
    let mut durations = [[Moments::default(); PLACES]; SOUNDS];
    for voice in voices {
        let mut engine = FliteEngine::open(voice, 1.0).expect("an embedded voice opens");
        for text in texts::FITTED {
            let Ok(Some((pcm, phones))) = engine.phones(&tts::text::normalise(text)) else {
                println!("// no account of {text:?}");
                continue;
            };
            let mut listener = Listener::default();
            listener.push(&pcm);
            listener.finish();
            let windows = listener.windows();
            let loudest = windows.iter().map(|window| window[0]).fold(-1.8, f32::max);
            let words = read(text);
            for (at, phone) in phones.iter().enumerate() {
                let word = phone.word.and_then(|word| words.get(word));
                let is_light = word.is_some_and(|word| {
                    word.sounds.iter().any(|(_, place)| *place == Place::Light)
                });
                // From the last vowel of a word before a pause on.
                let is_vowel =
                    |name: &str| matches!(name.as_bytes(), [b'a' | b'e' | b'i' | b'o' | b'u', _]);
                let rest = &phones[at..];
                let until_pause = rest
                    .iter()
                    .position(|next| next.word.is_none())
                    .unwrap_or(rest.len());
                let is_final = phone.word.is_some()
                    && rest[..until_pause]
                        .iter()
                        .all(|next| next.word == phone.word)
                    && !rest[1..until_pause.max(1)]
                        .iter()
                        .any(|next| is_vowel(&next.name));
                let place = match (is_final, is_light) {
                    (true, _) => Place::Final,
                    (_, true) => Place::Light,
                    _ => Place::Inside,
                };
                let long = (phone.end - phone.start) as f32 / WINDOW_SAMPLES as f32;
                let mut from = phone.start as f32 / WINDOW_SAMPLES as f32;
                for (sound, share) in classes(&phone.name) {
                    let to = from + share * long;
                    if *sound != Sound::Pause && to > from {
                        durations[*sound as usize][place as usize].add(f64::from(to - from).ln());
                    }
                    let span = (from + 0.3) as usize..((to + 0.7) as usize).min(windows.len());
                    for window in windows.get(span).unwrap_or_default() {
                        for (feature, value) in features[*sound as usize].iter_mut().zip(window) {
                            feature.add(f64::from(*value));
                        }
                        // Loudness counts relative to the loudest.
                        let loudness = &mut features[*sound as usize][0];
                        loudness.sum -= f64::from(loudest);
                        loudness.squares +=
                            f64::from(window[0] - loudest).powi(2) - f64::from(window[0]).powi(2);
                    }
                    from = to;
                }
            }
        }
    }
    let figures = &FITTED;
    let mut next = figures.clone();
    // Several tables in step.
    #[allow(clippy::needless_range_loop)]
    for sound in 0..SOUNDS {
        for feature in 0..FEATURES {
            let (mean, spread) = figures.classes[sound].features[feature];
            let (mean, spread) = features[sound][feature]
                .mean_and_spread((f64::from(mean), f64::from(spread) / WIDER), PRIOR);
            next.classes[sound].features[feature] =
                (mean as f32, (spread * WIDER).max(0.05) as f32);
        }
        for place in 0..PLACES {
            let (mean, spread) = figures.durations[sound][place];
            let (log, spread) = durations[sound][place]
                .mean_and_spread((f64::from(mean).ln(), f64::from(spread)), PRIOR);
            next.durations[sound][place] = (log.exp() as f32, spread.clamp(0.3, 0.7) as f32);
        }
    }
    show(&next);
}

fn show(figures: &Figures) {
    println!("pub static FITTED: Figures = Figures {{\n    classes: [");
    for class in &figures.classes {
        let row: Vec<String> = class
            .features
            .iter()
            .map(|(m, s)| format!("({m:.3}, {s:.3})"))
            .collect();
        println!("        Class {{ features: [{}] }},", row.join(", "));
    }
    println!("    ],\n    durations: [");
    for row in &figures.durations {
        let row: Vec<String> = row
            .iter()
            .map(|(m, s)| format!("({m:.2}, {s:.2})"))
            .collect();
        println!("        [{}],", row.join(", "));
    }
    println!("    ],\n}};");
}
