//! A caller's ear for our own question: finds it in what a phone has recorded, and the code in it. It knows the voice and
//! compares sounds, since the built-in recogniser hears digits badly. Owns that comparison; the question's words are the
//! desk's of approvals.

use std::f64::consts::TAU;
use std::ops::ControlFlow;

use tts::engine::Engine;

use crate::sound::Sound;

/// Of the line, and of the voice.
const LINE_HZ: u32 = 8_000;
const VOICE_HZ: u32 = tts::SAMPLE_RATE_HZ;
const NAMES: [&str; 10] = [
    "zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine",
];
const LAST_SENTENCE: &str = "To refuse, press star, or say no.";
/// 600 ms of a sentence are looked for: they are in no other one.
const BEGINNING: usize = 4_800;
/// Of these samples, every so-manieth: enough to tell sentences apart.
const STRIDE: usize = 4;
const FOUND: f64 = 0.6;
/// A frame each 20 ms, of 50 ms: shorter ones of a hiss are never alike.
const HOP: usize = LINE_HZ as usize / 50;
const FRAME: usize = HOP * 5 / 2;
/// From 200 to 3400 Hz, each heard at so many places.
const BANDS: usize = 16;
const PLACES: usize = 4;
/// 30 dB below the loudest band is silence, whatever is in it.
const FLOOR: f64 = 1e-3;
/// So many frames the line may be out of step with the voice: other digits are longer or shorter.
const STRAY_MAX: usize = 30;
const CODE_LEN: usize = 3;
/// Beginnings of codes that are gone on with.
const KEPT: usize = 4;
/// The longest sentence with a code.
const SENTENCE_S: usize = 6;

/// One question that was heard to its end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Question {
    pub code: String,
    /// Where its last sentence ends in the recording, in samples.
    pub end: usize,
}

/// One call's ear.
pub struct Ear {
    voice: Box<dyn Engine>,
    /// What the sentence with the code begins with, and the one behind it, as they are on the line.
    first: Vec<i16>,
    last: Vec<i16>,
    /// Where the sentence with the code begins, once it is known.
    code_at: Option<usize>,
    /// What was searched.
    from: usize,
}

impl Ear {
    /// Of somebody who knows the voice that the program has by default.
    pub fn new() -> Ear {
        let mut ear = Ear {
            voice: voice("flite:slt"),
            first: Vec::new(),
            last: Vec::new(),
            code_at: None,
            from: 0,
        };
        ear.first = ear.spoken(&sentence(&[5, 5, 5])).at(LINE_HZ).samples;
        ear.last = ear.spoken(LAST_SENTENCE).at(LINE_HZ).samples;
        ear
    }

    /// As the voice says it.
    fn spoken(&mut self, text: &str) -> Sound {
        said(self.voice.as_mut(), text)
    }

    /// The next question of the call, when its last sentence has begun. `heard` is the recording so far.
    pub fn question(&mut self, heard: &Sound) -> Option<Question> {
        assert_eq!(heard.rate_hz, LINE_HZ, "a telephone line");
        let heard = &heard.samples[..];
        if self.code_at.is_none() {
            self.code_at = find(&mut self.from, heard, &self.first);
        }
        let begins = self.code_at?;
        let ends = find(&mut self.from, heard, &self.last)?;
        self.code_at = None;
        let until = heard.len().min(begins + SENTENCE_S * LINE_HZ as usize);
        let line = heard[begins..until.min(ends)].to_vec();
        Some(Question {
            code: self.code(&line),
            end: ends + self.last.len(),
        })
    }

    /// Digit by digit: those beginnings that are most like the line are gone on with. The whole sentence decides.
    fn code(&mut self, heard: &[i16]) -> String {
        let heard = spectrum(heard);
        let mut codes = vec![Vec::new()];
        for place in 0..CODE_LEN {
            let longer = |code: &Vec<usize>| -> Vec<Vec<usize>> {
                let digits = usize::from(place == 0)..NAMES.len();
                digits.map(|digit| [&code[..], &[digit]].concat()).collect()
            };
            let longer = codes.iter().flat_map(longer);
            let mut apart: Vec<(f64, Vec<usize>)> = longer
                .map(|code| {
                    let sound = self.spoken(&sentence(&code)).at(LINE_HZ).samples;
                    (distance(&spectrum(&sound), &heard), code)
                })
                .collect();
            apart.sort_by(|a, b| a.0.total_cmp(&b.0));
            apart.truncate(KEPT);
            codes = apart.into_iter().map(|(_, code)| code).collect();
        }
        codes[0].iter().map(usize::to_string).collect()
    }
}

fn voice(name: &str) -> Box<dyn Engine> {
    tts::voices::open(name, 1.0).expect("a built-in voice")
}

/// As a built-in voice says it.
pub fn spoken_by(name: &str, text: &str) -> Sound {
    said(voice(name).as_mut(), text)
}

fn said(voice: &mut dyn Engine, text: &str) -> Sound {
    let mut samples = Vec::new();
    let text = tts::text::normalise(text);
    let spoken = voice.synthesise(&text, &mut |pcm| {
        samples.extend_from_slice(pcm);
        ControlFlow::Continue(())
    });
    spoken.expect("the voice speaks");
    Sound {
        rate_hz: VOICE_HZ,
        samples,
    }
}

/// With the first digits of a code, or all.
fn sentence(digits: &[usize]) -> String {
    let names: Vec<&str> = digits.iter().map(|digit| NAMES[*digit]).collect();
    let end = if names.len() < CODE_LEN { ',' } else { '.' };
    format!("To allow it once, press or say {}{end}", names.join(", "))
}

/// Where this begins behind what was searched; none: it has not begun, or not enough of it is there.
fn find(from: &mut usize, heard: &[i16], sound: &[i16]) -> Option<usize> {
    let beginning = &sound[..BEGINNING];
    let last = heard.len().checked_sub(BEGINNING)?;
    let likeness_at = |at: usize| likeness(beginning, &heard[at..], STRIDE);
    let near = (*from..=last).find(|at| likeness_at(*at) > FOUND);
    // The best place is not far from the first good one.
    let found = near.and_then(|near| {
        let places = near..=last.min(near + BEGINNING / 4);
        places.max_by_key(|at| (likeness_at(*at) * 1e6) as i64)
    });
    *from = found.map_or(last.max(*from), |at| at + BEGINNING);
    found
}

type Spectrum = Vec<[f64; BANDS]>;

/// What a sound consists of over time, whatever its volume.
fn spectrum(sound: &[i16]) -> Spectrum {
    let frames = sound.windows(FRAME).step_by(HOP);
    let mut spectrum: Spectrum = frames.map(bands).collect();
    let loudest = spectrum.iter().flatten().copied().fold(1.0, f64::max);
    for band in spectrum.iter_mut().flatten() {
        *band = (*band / loudest + FLOOR).log10();
    }
    spectrum
}

/// The power in each band.
fn bands(frame: &[i16]) -> [f64; BANDS] {
    let window = |n: usize| 0.5 - 0.5 * (TAU * n as f64 / FRAME as f64).cos();
    let frame = frame.iter().enumerate();
    let frame: Vec<f64> = frame.map(|(n, s)| f64::from(*s) * window(n)).collect();
    std::array::from_fn(|band| {
        let places = (0..PLACES).map(|place| band * PLACES + place);
        let hertz = places.map(|place| 200.0 + 50.0 * place as f64);
        hertz.map(|hz| power_at(&frame, hz)).sum()
    })
}

/// Goertzel's algorithm.
fn power_at(frame: &[f64], hz: f64) -> f64 {
    let turn = 2.0 * (TAU * hz / f64::from(LINE_HZ)).cos();
    let step = |(last, before): (f64, f64), s: &f64| (s + turn * last - before, last);
    let (last, before) = frame.iter().fold((0.0, 0.0), step);
    last * last + before * before - turn * last * before
}

/// How far two sounds are apart where each may wait for the other: dynamic time warping.
fn distance(a: &Spectrum, b: &Spectrum) -> f64 {
    let mut before = vec![f64::INFINITY; b.len() + 1];
    before[0] = 0.0;
    for (i, one) in a.iter().enumerate() {
        let mut row = vec![f64::INFINITY; b.len() + 1];
        let near = i.saturating_sub(STRAY_MAX)..b.len().min(i + STRAY_MAX);
        for j in near {
            let apart: f64 = one.iter().zip(&b[j]).map(|(a, b)| (a - b).powi(2)).sum();
            row[j + 1] = apart + before[j].min(before[j + 1]).min(row[j]);
        }
        before = row;
    }
    // What follows the sentence on the line is no part of it.
    before.into_iter().fold(f64::INFINITY, f64::min) / a.len() as f64
}

/// Normalised correlation with as much of `heard`: 1 is the same sound at any volume.
fn likeness(sound: &[i16], heard: &[i16], stride: usize) -> f64 {
    let (mut both, mut ours, mut theirs) = (0.0, 1.0, 1.0);
    for (a, b) in sound.iter().zip(heard).step_by(stride) {
        let (a, b) = (f64::from(*a), f64::from(*b));
        both += a * b;
        ours += a * a;
        theirs += b * b;
    }
    both / f64::sqrt(ours * theirs)
}

/// Digits that were said, as a recogniser wrote them; none: there was something else besides.
pub fn digits(text: &str) -> Option<String> {
    let words = crate::sound::words(text);
    let said = words.iter().map(String::as_str);
    let said = said.filter(|word| !["the", "code", "is", "please"].contains(word));
    let place = |word| NAMES.iter().position(|name| *name == word);
    said.map(|word| place(word).map(|digit| digit.to_string()))
        .collect()
}

/// Ways to say a code, each with a voice; the built-in ears understand the first ones best.
pub fn sayings(code: &str) -> [(&'static str, String); 5] {
    let name = |digit: char| NAMES[digit.to_digit(10).unwrap_or(0) as usize];
    let names: Vec<&str> = code.chars().map(name).collect();
    let (apart, joint) = (names.join(", "), names.join(" "));
    [
        ("flite:slt", format!("{joint}.")),
        ("flite:rms", format!("The code is {apart}.")),
        ("flite:slt", format!("The code is {joint}.")),
        ("flite:slt", format!("{apart}.")),
        ("flite:rms", format!("The code is {joint}.")),
    ]
}

#[test]
fn a_code_is_heard_in_our_own_question() {
    let mut ear = Ear::new();
    for code in ["471", "908"] {
        let names = sayings(code)[3].1.trim_end_matches('.').to_owned();
        let pause = Sound::silence(LINE_HZ, 250);
        let question = [
            "That was the request.".to_owned(),
            format!("To allow it once, press or say {names}."),
            "To refuse, press star, or say no.".to_owned(),
        ];
        let mut line = Sound::silence(LINE_HZ, 900);
        for sentence in &question {
            line = line.then(&ear.spoken(sentence).at(LINE_HZ)).then(&pause);
        }
        // Half as loud, and as coarse as G.711.
        for sample in &mut line.samples {
            *sample = *sample / 2 / 32 * 32;
        }
        let whole = line.samples.len();
        let cut = |samples: usize| Sound {
            rate_hz: LINE_HZ,
            samples: line.samples[..samples].to_vec(),
        };
        ear = Ear::new();
        assert_eq!(ear.question(&cut(whole / 3)), None);
        let heard = ear.question(&cut(whole)).expect("it was said");
        assert_eq!(heard.code, code);
        let end = whole - pause.samples.len();
        // A few periods of the voice, whose phase differs from time to time.
        assert!(heard.end.abs_diff(end) < 1_200, "{} {end}", heard.end);
    }
    assert_eq!(
        digits("The code is four seven one."),
        Some("471".to_owned())
    );
    assert_eq!(digits("Four seven, uh, one."), None);
}
