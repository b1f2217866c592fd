//! How much of the hearing is left when the caller stops speaking. Clips run through the telephone band, the detector and
//! the collector on their own time; partials every 500 ms, an early job at each pause of 80 ms, the final at the end of
//! speech after 200 ms. Decodes are real ones, and what they take is what they take from that time. Beside it, in the same
//! run: decoding the whole utterance at that moment with nothing remembered. Prints; asserts nothing.
//!
//! Pessimistic where it is simplified: one engine, and a partial that an early job stops still blocks it to its end.
//!
//! The built-in model decodes on the calling thread, so its time is that thread's processor time where the system tells
//! it (Linux): the same on an idle machine, and nearly so on a busy one. `OFFHOOK_CLOCK=wall` takes the clock on the wall,
//! which other models always get.
//!
//! `cargo bench -p offhook-asr --bench incremental`. `OFFHOOK_CLIPS` names another folder of wav files (16 bit, mono or
//! stereo; word errors are counted where it has a `transcripts.tsv`), `OFFHOOK_MODEL` another model file, `OFFHOOK_AUDIO` a
//! folder whose `noise` folder holds wav files without speech, of which every prefix is heard.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Instant;

use asr::utterance::{Utterance, UtteranceConfig};
use asr::vad::{Vad, VadConfig, VadEvent};
use asr::whisper::{ModelSource, WhisperConfig, WhisperEngine};
use asr::{Engine, FRAME_SAMPLES, Kind, Options, SAMPLE_RATE_HZ, Transcript};

#[path = "../src/clips.rs"]
#[expect(dead_code, reason = "shared with the tests, which use more of it")]
mod clips;

const PARTIAL_EVERY_MS: u64 = 500;
/// Tails compared by word errors, in milliseconds.
const TAILS_MS: [u32; 6] = [0, 40, 80, 120, 160, 200];
/// Longest tick by which systems count processor time.
const TICK_MS_MAX: f64 = 10.0;
/// Times a cold decode is measured; the best counts, which makes the ratio worse.
const COLD_ROUNDS: usize = 3;
/// Silence before and after each clip, in seconds.
const AROUND_S: f64 = 1.0;

struct Clip {
    name: String,
    /// Telephone band, with silence around.
    pcm: Vec<i16>,
    transcript: Option<String>,
}

fn main() {
    let source = std::env::var_os("OFFHOOK_MODEL")
        .map_or(ModelSource::Embedded, |path| ModelSource::File(path.into()));
    let open = || {
        let mut engine =
            WhisperEngine::open(&source, &WhisperConfig::default()).expect("the model opens");
        engine.warm().expect("the model decodes");
        engine
    };
    // The second one, of another memory, is the cold one, and tells what a partial will take before it is known whether
    // it comes to its end.
    let (mut warm, mut cold) = (open(), open());
    let wants_wall = std::env::var_os("OFFHOOK_CLOCK").is_some_and(|clock| clock == "wall");
    let clock = if warm.info().embedded && !wants_wall && processor_ms().is_some() {
        Clock::Processor
    } else {
        Clock::Wall
    };
    println!("{}, {clock:?} time", warm.info().model);
    let clips = clips();
    schedule(&clips, &mut warm, &mut cold, clock);
    word_errors(&clips, &mut cold);
    if let Some(folder) = std::env::var_os("OFFHOOK_AUDIO") {
        noises(&PathBuf::from(folder).join("noise"), &mut cold);
    }
}

/// The clips of the folder asked for, or the golden ones and two long turns made of them.
fn clips() -> Vec<Clip> {
    let clip = |name: String, pcm: &[i16], transcript| Clip {
        name,
        pcm: around(&clips::through_telephone(pcm)),
        transcript,
    };
    if let Some(folder) = std::env::var_os("OFFHOOK_CLIPS") {
        let folder = PathBuf::from(folder);
        let table = std::fs::read_to_string(folder.join("transcripts.tsv")).unwrap_or_default();
        return wavs(&folder)
            .into_iter()
            .map(|(name, pcm)| {
                let transcript = table
                    .lines()
                    .find(|line| line.split('\t').next() == Some(name.as_str()))
                    .and_then(|line| line.split('\t').next_back())
                    .map(str::to_owned);
                clip(name, &pcm, transcript)
            })
            .collect();
    }
    let golden = clips::golden();
    let mut found = Vec::new();
    for (name, pause_s) in [
        ("long turn, 0.5 s pauses", 0.5),
        ("long turn, no pauses", 0.0),
    ] {
        let mut pcm = Vec::new();
        let mut words = Vec::new();
        for part in golden.iter().filter(|part| part.name.starts_with("seen")) {
            pcm.extend(&part.pcm);
            pcm.extend(clips::silence(pause_s));
            words.push(part.transcript.as_str());
        }
        found.push(clip(name.to_owned(), &pcm, Some(words.join(" "))));
    }
    let single = golden
        .into_iter()
        .map(|part| clip(part.name, &part.pcm, Some(part.transcript)));
    single.chain(found).collect()
}

fn around(pcm: &[i16]) -> Vec<i16> {
    [&clips::silence(AROUND_S), pcm, &clips::silence(AROUND_S)].concat()
}

/// One job of a turn: when it comes, in milliseconds of the clip, and its sound.
struct Due {
    kind: Kind,
    at_ms: f64,
    pcm: Arc<[i16]>,
}

/// The jobs of a clip, up to the final at its last end of speech, and where its last voice ended, in milliseconds.
fn jobs(clip: &[i16]) -> Option<(Vec<Due>, f64)> {
    let mut vad = Vad::new(VadConfig::default());
    let mut utterance = Utterance::new(UtteranceConfig::default());
    let mut due: Vec<Due> = Vec::new();
    let mut last = None;
    let (mut now_ms, mut next_ms) = (0_u64, 0);
    for frame in clip.as_chunks::<FRAME_SAMPLES>().0 {
        now_ms += 20;
        utterance.push_frame(frame);
        let mut kind = None;
        match vad.frame(frame, false) {
            Some(VadEvent::SpeechStarted { at }) => {
                utterance.start(at);
                next_ms = now_ms + PARTIAL_EVERY_MS;
            }
            Some(VadEvent::SpeechResumed { .. }) => {
                utterance.resume();
                next_ms = now_ms + PARTIAL_EVERY_MS;
            }
            Some(VadEvent::SpeechPaused { at }) => {
                utterance.pause(at);
                kind = Some(Kind::Early);
                next_ms = u64::MAX;
            }
            Some(VadEvent::SpeechStopped { at }) => {
                utterance.stop(at);
                last = Some((due.len(), at as f64 * 1_000.0 / f64::from(SAMPLE_RATE_HZ)));
                kind = Some(Kind::Final);
                next_ms = u64::MAX;
            }
            None => {}
        }
        if kind.is_none() && vad.is_speech() && now_ms >= next_ms {
            kind = Some(Kind::Partial);
            next_ms = now_ms + PARTIAL_EVERY_MS;
        }
        if let Some(kind) = kind {
            due.push(Due {
                kind,
                at_ms: now_ms as f64,
                pcm: utterance.snapshot(),
            });
        }
    }
    let (end, voice_end_ms) = last?;
    due.truncate(end + 1);
    // Ends of speech before the last were pauses of the turn, at which the final waited.
    let mut n = 0;
    due.retain(|job| {
        n += 1;
        job.kind != Kind::Final || n == end + 1
    });
    Some((due, voice_end_ms))
}

#[derive(Default)]
struct Figures {
    /// End of speech to final text.
    left_ms: f64,
    whole_ms: f64,
    looks_ms: f64,
    speech_s: f64,
    equal: usize,
    clips: usize,
}

fn schedule(clips: &[Clip], warm: &mut WhisperEngine, cold: &mut WhisperEngine, clock: Clock) {
    println!(
        "{:<28} {:>7} {:>14} {:>12} {:>10} {:>6}  {:>5}  {:>14}  {:>12}",
        "clip",
        "speech",
        "early text at",
        "left at end",
        "whole",
        "ratio",
        "same",
        "partials+early",
        "of 1 s"
    );
    let mut total = Figures::default();
    for clip in clips {
        let Some((due, voice_end_ms)) = jobs(&clip.pcm) else {
            println!("{:<28} no speech found", clip.name);
            continue;
        };
        warm.forget();
        cold.forget();
        let (mut free_ms, mut looks_ms, mut early_ms) = (0.0_f64, 0.0, f64::NAN);
        let mut looks = 0;
        for (n, job) in due.iter().enumerate() {
            if job.kind == Kind::Final {
                break;
            }
            // Latest wins: what is still waiting when the next one comes is not worked on.
            let next_ms = due[n + 1].at_ms;
            let start_ms = free_ms.max(job.at_ms);
            if start_ms >= next_ms && due[n + 1].pcm != job.pcm {
                continue;
            }
            let (_, takes_ms) = time(cold, job, clock);
            // The cold one forgets nothing between the partials of a clip either: it is where they run first.
            free_ms = start_ms + takes_ms;
            looks_ms += takes_ms;
            looks += 1;
            let is_stopped = free_ms > next_ms && due[n + 1].pcm != job.pcm;
            if !is_stopped {
                time(warm, job, clock);
                if job.kind == Kind::Early {
                    early_ms = free_ms - voice_end_ms;
                }
            }
        }
        let last = due.last().expect("ends with the final");
        let (heard, takes_ms) = time(warm, last, clock);
        let left_ms = free_ms.max(last.at_ms) - last.at_ms + takes_ms;
        let mut whole_ms = f64::INFINITY;
        let mut whole = Transcript::default();
        for _ in 0..COLD_ROUNDS {
            cold.forget();
            let (heard, takes_ms) = time(cold, last, clock);
            whole = heard;
            whole_ms = whole_ms.min(takes_ms);
        }
        let same = whole.text == heard.text;
        let speech_s = f64::from(heard.audio_ms) / 1_000.0;
        println!(
            "{:<28} {speech_s:5.1} s {early_ms:11.0} ms {left_ms:9.1} ms {whole_ms:7.1} ms {:6.2}  {:>5}  {looks:2} in {looks_ms:5.0} ms  {:9.0} ms",
            clip.name,
            left_ms / whole_ms,
            if same { "yes" } else { "NO" },
            looks_ms / speech_s,
        );
        total.left_ms += left_ms;
        total.whole_ms += whole_ms;
        total.looks_ms += looks_ms;
        total.speech_s += speech_s;
        total.equal += usize::from(same);
        total.clips += 1;
    }
    if total.clips == 0 {
        return;
    }
    println!(
        "in total: {:.1} of {:.1} ms left at the end of speech, ratio {:.3}; same transcript in {} of {}; partials and \
         early jobs {:.0} ms of engine time per second of speech",
        total.left_ms,
        total.whole_ms,
        total.left_ms / total.whole_ms,
        total.equal,
        total.clips,
        total.looks_ms / total.speech_s
    );
}

/// What a decode's time is read from.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Clock {
    Processor,
    Wall,
}

fn time(engine: &mut WhisperEngine, job: &Due, clock: Clock) -> (Transcript, f64) {
    let options = Options {
        kind: job.kind,
        ..Options::default()
    };
    #[expect(clippy::disallowed_methods, reason = "this program measures")]
    let started = Instant::now();
    let used_ms = processor_ms();
    let heard = engine.transcribe(&job.pcm, &options).expect("transcribes");
    let wall_ms = started.elapsed().as_secs_f64() * 1_000.0;
    let takes_ms = match (clock, used_ms, processor_ms()) {
        (Clock::Processor, Some(before), Some(after)) if after > before => after - before,
        // The system counts in ticks; less than one is taken from the wall.
        (Clock::Processor, ..) => wall_ms.min(TICK_MS_MAX),
        (Clock::Wall, ..) => wall_ms,
    };
    (heard, takes_ms)
}

/// Processor time of this thread, in milliseconds.
fn processor_ms() -> Option<f64> {
    let schedule = std::fs::read_to_string("/proc/thread-self/schedstat").ok()?;
    let used_ns: f64 = schedule.split_whitespace().next()?.parse().ok()?;
    Some(used_ns / 1e6)
}

/// Word errors of the finals for several lengths of the tail.
fn word_errors(clips: &[Clip], engine: &mut WhisperEngine) {
    for tail_ms in TAILS_MS {
        let (mut errors, mut words, mut right, mut known) = (0, 0, 0, 0);
        for clip in clips {
            let Some(transcript) = &clip.transcript else {
                continue;
            };
            let mut vad = Vad::new(VadConfig::default());
            let mut utterance = Utterance::new(UtteranceConfig {
                tail_ms,
                ..UtteranceConfig::default()
            });
            for frame in clip.pcm.as_chunks::<FRAME_SAMPLES>().0 {
                utterance.push_frame(frame);
                match vad.frame(frame, false) {
                    Some(VadEvent::SpeechStarted { at }) => utterance.start(at),
                    Some(VadEvent::SpeechPaused { at }) => utterance.pause(at),
                    Some(VadEvent::SpeechResumed { .. }) => utterance.resume(),
                    Some(VadEvent::SpeechStopped { at }) => utterance.stop(at),
                    None => {}
                }
            }
            let heard = engine
                .transcribe(&utterance.take(), &Options::default())
                .expect("transcribes");
            let (expected, heard) = (plain(transcript), plain(&heard.text));
            let wrong = distance(&heard, &expected);
            errors += wrong;
            words += expected.len();
            right += usize::from(wrong == 0);
            known += 1;
        }
        if known > 0 {
            println!(
                "tail {tail_ms:3} ms: {errors:3} of {words} words wrong, {right} of {known} clips exactly right"
            );
        }
    }
}

fn plain(text: &str) -> Vec<String> {
    text.split_whitespace()
        .map(|word| {
            word.chars()
                .filter(|c| c.is_alphanumeric() || *c == '\'')
                .flat_map(char::to_lowercase)
                .collect()
        })
        .collect()
}

/// Edit distance in words.
fn distance(a: &[String], b: &[String]) -> usize {
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (n, left) in a.iter().enumerate() {
        let mut diagonal = row[0];
        row[0] = n + 1;
        for (m, right) in b.iter().enumerate() {
            let above = row[m + 1];
            row[m + 1] = (diagonal + usize::from(left != right))
                .min(above + 1)
                .min(row[m] + 1);
            diagonal = above;
        }
    }
    row[b.len()]
}

/// Every prefix of sound without speech, in steps of 500 ms: as a partial, an early job and a final.
fn noises(folder: &Path, engine: &mut WhisperEngine) {
    for (name, pcm) in wavs(folder) {
        let (mut jobs, mut with_words) = (0, 0);
        for (line, pcm) in [
            ("wide", pcm.clone()),
            ("telephone", clips::through_telephone(&pcm)),
        ] {
            for length in (8_000..=pcm.len()).step_by(8_000) {
                for kind in [Kind::Partial, Kind::Early, Kind::Final] {
                    let options = Options {
                        kind,
                        ..Options::default()
                    };
                    let heard = engine
                        .transcribe(&pcm[..length], &options)
                        .expect("transcribes");
                    jobs += 1;
                    if !heard.text.is_empty() {
                        with_words += 1;
                        if kind == Kind::Final {
                            println!("  {name} {line} {length}: {:?}", heard.text);
                        }
                    }
                }
            }
        }
        println!("noise {name}: {with_words} of {jobs} jobs gave words");
    }
}

/// Wav files of a folder by name, at our rate; others are named and left out.
fn wavs(folder: &Path) -> Vec<(String, Vec<i16>)> {
    let mut paths: Vec<PathBuf> = std::fs::read_dir(folder)
        .map(|entries| entries.flatten().map(|entry| entry.path()).collect())
        .unwrap_or_default();
    paths.sort();
    paths
        .into_iter()
        .filter_map(|path| {
            let name = path.file_name()?.to_str()?.to_owned();
            let pcm = name
                .ends_with(".wav")
                .then(|| std::fs::read(&path).ok().and_then(|bytes| read_wav(&bytes)))
                .flatten();
            if pcm.is_none() {
                println!("left out: {name}");
            }
            Some((name, pcm?))
        })
        .collect()
}

/// First channel of a 16 bit wav file, brought to our rate by straight lines between its samples.
fn read_wav(bytes: &[u8]) -> Option<Vec<i16>> {
    let word = |at: usize| Some(u16::from_le_bytes(bytes.get(at..at + 2)?.try_into().ok()?));
    let long = |at: usize| Some(u32::from_le_bytes(bytes.get(at..at + 4)?.try_into().ok()?));
    let (mut at, mut format) = (12, None);
    loop {
        let length = long(at + 4)? as usize;
        match bytes.get(at..at + 4)? {
            b"fmt " => {
                format = Some((
                    word(at + 8)?,
                    word(at + 10)?,
                    long(at + 12)?,
                    word(at + 22)?,
                ))
            }
            b"data" => {
                let (1, channels @ 1..=2, rate, 16) = format? else {
                    return None;
                };
                let end = bytes.len().min(at + 8 + length);
                let samples: Vec<i16> = bytes[at + 8..end]
                    .chunks_exact(2 * usize::from(channels))
                    .map(|frame| i16::from_le_bytes([frame[0], frame[1]]))
                    .collect();
                return Some(resample(&samples, rate));
            }
            _ => {}
        }
        at += 8 + length + length % 2;
    }
}

fn resample(samples: &[i16], rate: u32) -> Vec<i16> {
    let step = f64::from(rate) / f64::from(SAMPLE_RATE_HZ);
    let count = (samples.len() as f64 / step) as usize;
    (0..count)
        .map(|n| {
            let at = n as f64 * step;
            let left = samples[at as usize];
            let right = *samples.get(at as usize + 1).unwrap_or(&left);
            (f64::from(left) + (f64::from(right) - f64::from(left)) * at.fract()).round() as i16
        })
        .collect()
}
