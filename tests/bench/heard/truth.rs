//! Where each written word really is in the sound, by the voice's own account: flite's word times, and espeak-ng's word
//! events from a process of its own (left out, by name, where it is not installed).
//!
//! Owns: cutting an answer into clauses as in a call, and matching written words to the spoken ones.

use std::io::{BufRead, BufReader, Read, Write};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use tts::clause::Splitter;
use tts::flite::FliteEngine;
use tts::level::{Shaper, gain_for};

/// One clause as sound, with the span of samples of each written word.
pub struct Spoken {
    pub text: String,
    pub pcm: Vec<i16>,
    pub words: Vec<(usize, usize)>,
}

/// A way to speak.
pub enum Voice {
    Flite {
        name: String,
        engine: FliteEngine,
    },
    Espeak {
        name: String,
        process: EspeakProcess,
    },
}

/// espeak-ng at the other end of two pipes.
pub struct EspeakProcess {
    child: Child,
    input: Option<ChildStdin>,
    output: BufReader<ChildStdout>,
}

impl Drop for EspeakProcess {
    fn drop(&mut self) {
        // Its input closes, and it ends.
        self.input = None;
        let _ = self.child.wait();
    }
}

impl EspeakProcess {
    fn start(voice: &str, words_per_minute: u32) -> Option<EspeakProcess> {
        let script = concat!(
            env!("CARGO_MANIFEST_DIR"),
            "/tests/bench/heard/espeak_words.py"
        );
        let mut child = Command::new("python3")
            .args([script, voice, &words_per_minute.to_string()])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .ok()?;
        Some(EspeakProcess {
            input: child.stdin.take(),
            output: BufReader::new(child.stdout.take()?),
            child,
        })
    }
}

impl Voice {
    pub fn all() -> Vec<Voice> {
        let mut all = Vec::new();
        for (voice, rate) in [
            ("slt", 1.0),
            ("rms", 1.0),
            ("slt", 0.75),
            ("rms", 1.35),
            ("slt", 1.35),
        ] {
            let engine = FliteEngine::open(voice, rate).expect("an embedded voice opens");
            all.push(Voice::Flite {
                name: format!("flite {voice} {rate:.2}"),
                engine,
            });
        }
        for (voice, words_per_minute) in [
            ("en-us", 175),
            ("en-gb", 130),
            ("en-us", 230),
            ("en-gb-scotland", 175),
        ] {
            let name = format!("espeak {voice} {words_per_minute}");
            let process = EspeakProcess::start(voice, words_per_minute);
            match process.and_then(|mut process| espeak(&mut process, "one two").map(|_| process)) {
                Some(process) => all.push(Voice::Espeak { name, process }),
                None => println!("{name} skipped: needs python3 and the library of espeak-ng"),
            }
        }
        all
    }

    pub fn name(&self) -> &str {
        match self {
            Voice::Flite { name, .. } | Voice::Espeak { name, .. } => name,
        }
    }
}

/// `answer` in the clauses of a call; None when the voice gives no usable account of one of them.
pub fn speak(voice: &mut Voice, answer: &str) -> Option<Vec<Spoken>> {
    let mut splitter = Splitter::default();
    let mut clauses = Vec::new();
    // About a token at a time, as a gateway streams.
    let letters: Vec<char> = answer.chars().collect();
    for delta in letters.chunks(4) {
        clauses.extend(splitter.push(&delta.iter().collect::<String>()));
    }
    clauses.extend(splitter.finish());
    clauses
        .iter()
        .map(|clause| clause_of(voice, clause))
        .collect()
}

pub fn clause_of(voice: &mut Voice, text: &str) -> Option<Spoken> {
    let said = tts::text::normalise(text);
    let (pcm, times) = match voice {
        Voice::Flite { engine, .. } => flite(engine, &said)?,
        Voice::Espeak { process, .. } => espeak(process, &said)?,
    };
    Some(Spoken {
        text: text.to_owned(),
        pcm,
        words: written(text, &said, &times),
    })
}

/// Spans of the written words from those of the spoken ones: a written word reaches as far as the reading of the text
/// up to it agrees with the reading of the whole. One that says nothing goes with the word after it.
fn written(text: &str, said: &str, times: &[(usize, usize)]) -> Vec<(usize, usize)> {
    let plain = |text: &str| -> Vec<String> {
        text.split_whitespace()
            .map(|word| {
                word.to_lowercase()
                    .trim_matches(|c: char| !c.is_alphanumeric())
                    .to_owned()
            })
            .collect()
    };
    let whole = plain(said);
    let words: Vec<&str> = text.split_whitespace().collect();
    let mut spans = Vec::new();
    let mut from = 0;
    for place in 1..=words.len() {
        let part = plain(&tts::text::normalise(&words[..place].join(" ")));
        let same = part.iter().zip(&whole).take_while(|(a, b)| a == b).count();
        let to = if place == words.len() {
            whole.len()
        } else {
            same.max(from)
        };
        spans.push((to > from).then(|| (times[from].0, times[to - 1].1)));
        from = to;
    }
    let mut next = times.last().copied().unwrap_or((0, 0));
    for span in spans.iter_mut().rev() {
        next = *span.get_or_insert(next);
    }
    spans.into_iter().flatten().collect()
}

type Account = (Vec<i16>, Vec<(usize, usize)>);

fn flite(engine: &mut FliteEngine, said: &str) -> Option<Account> {
    let (pcm, phones) = engine.phones(said).ok()??;
    let mut words: Vec<(usize, usize)> = Vec::new();
    for phone in phones {
        match phone.word {
            Some(word) if word < words.len() => words[word].1 = phone.end,
            Some(_) => words.push((phone.start, phone.end)),
            None => {}
        }
    }
    Some((pcm, words))
}

fn espeak(process: &mut EspeakProcess, said: &str) -> Option<Account> {
    let input = process.input.as_mut()?;
    writeln!(input, "{said}").ok()?;
    input.flush().ok()?;
    let out = &mut process.output;
    let (mut head, mut marks) = (String::new(), String::new());
    out.read_line(&mut head).ok()?;
    out.read_line(&mut marks).ok()?;
    let samples: usize = head.split_whitespace().nth(2)?.parse().ok()?;
    let mut bytes = vec![0; samples * 2];
    out.read_exact(&mut bytes).ok()?;
    let rate_hz: usize = head.split_whitespace().next()?.parse().ok()?;
    let raw: Vec<i16> = bytes
        .chunks_exact(2)
        .map(|b| i16::from_le_bytes([b[0], b[1]]))
        .collect();
    let raw = at_16_khz(&raw, rate_hz);
    let mut shaper = Shaper::new(gain_for(&raw));
    let (mut pcm, mut dropped) = (Vec::new(), None);
    for (n, &sample) in raw.iter().enumerate() {
        shaper.push(&[sample], &mut pcm);
        if dropped.is_none() && !pcm.is_empty() {
            dropped = Some(n + 1 - pcm.len());
        }
    }
    shaper.finish(&mut pcm);
    let dropped = dropped?;
    // An event names the word by its letter; several may fall into one word between spaces ("half-past"), and the
    // voice may join two into one event.
    let starts: Vec<usize> = word_starts(said);
    let mut begins = vec![None; starts.len()];
    for mark in marks.split_whitespace() {
        let (at, letter) = mark.split_once(':')?;
        let letter = letter.parse::<i64>().ok()?.max(0) as usize;
        let word = starts
            .iter()
            .rposition(|start| *start <= letter)
            .unwrap_or(0);
        let at = at.parse::<usize>().ok()? * 16_000 / rate_hz;
        begins[word].get_or_insert(at.saturating_sub(dropped));
    }
    let mut spans = vec![(0, 0); begins.len()];
    let mut end = pcm.len();
    let mut word = begins.len();
    while word > 0 {
        let last = word;
        // Words that the voice runs together share their span evenly.
        word = (0..last)
            .rev()
            .find(|place| begins[*place].is_some())
            .unwrap_or(0);
        let begin = begins[word].unwrap_or(0).min(end);
        let count = last - word;
        for n in 0..count {
            spans[word + n] = (
                begin + (end - begin) * n / count,
                begin + (end - begin) * (n + 1) / count,
            );
        }
        end = begin;
    }
    for (start, end) in &mut spans {
        *end = voiced_end(&pcm, *start, *end);
    }
    Some((pcm, spans))
}

/// The end of the sound in a span, which may have a pause at its end.
fn voiced_end(pcm: &[i16], start: usize, end: usize) -> usize {
    let mut end = end.min(pcm.len());
    while end > start + 160
        && pcm[end - 160..end]
            .iter()
            .all(|sample| sample.unsigned_abs() < 60)
    {
        end -= 160;
    }
    end
}

fn word_starts(text: &str) -> Vec<usize> {
    let mut starts = Vec::new();
    let mut inside = false;
    for (at, c) in text.chars().enumerate() {
        if !c.is_whitespace() && !inside {
            starts.push(at);
        }
        inside = !c.is_whitespace();
    }
    starts
}

/// Linear interpolation: enough to find words in.
fn at_16_khz(pcm: &[i16], rate_hz: usize) -> Vec<i16> {
    let count = pcm.len() * 16_000 / rate_hz.max(1);
    (0..count)
        .filter_map(|n| {
            let at = n as f64 * rate_hz as f64 / 16_000.0;
            let left = f64::from(*pcm.get(at as usize)?);
            let right = pcm
                .get(at as usize + 1)
                .map_or(left, |next| f64::from(*next));
            Some((left + (right - left) * at.fract()) as i16)
        })
        .collect()
}
