//! Decode time of the embedded model against the length of the clip, with the audio context by length and, in the same
//! run, with the full one: the work should follow the length, not the 30 s window. Prints; asserts nothing.
//!
//! `cargo bench -p offhook-asr`, or with arguments after `--`: a model file, and a number of threads.

use std::path::PathBuf;
use std::time::Instant;

use asr::whisper::{AudioContext, ModelSource, WhisperConfig, WhisperEngine};
use asr::{Engine, Options};

const ROUNDS: usize = 7;
/// The full context takes ten times as long, so it gets fewer.
const ROUNDS_FULL: usize = 3;

fn main() {
    // Cargo adds `--bench`.
    let mut arguments = std::env::args().skip(1).filter(|a| !a.starts_with("--"));
    let source = arguments
        .next()
        .map_or(ModelSource::Embedded, |path| ModelSource::File(path.into()));
    let threads = arguments.next().and_then(|n| n.parse().ok()).unwrap_or(0);
    let open = |audio_context| {
        let config = WhisperConfig {
            threads,
            audio_context,
            ..WhisperConfig::default()
        };
        let mut engine = WhisperEngine::open(&source, &config).expect("the model opens");
        engine.warm().expect("the model decodes");
        engine
    };
    let (mut matched, mut full) = (open(AudioContext::Auto), open(AudioContext::Full));
    println!("{}, threads {threads} (0: automatic)", matched.info().model);
    println!("{}", whisper_rs::print_system_info().trim());
    println!("  audio   by length: best / median   full context: best / median   ratio of medians");
    let speech = speech();
    for ms in [1_000, 2_000, 3_000, 4_000, 6_000, 8_000] {
        let clip: Vec<i16> = speech.iter().cycle().take(ms * 16).copied().collect();
        let (best, median) = time(&mut matched, &clip, ROUNDS);
        let (full_best, full_median) = time(&mut full, &clip, ROUNDS_FULL);
        println!(
            "{:5.1} s   {best:8.1} / {median:.1} ms          {full_best:8.1} / {full_median:.1} ms          {:.2}",
            ms as f64 / 1_000.0,
            median / full_median
        );
    }
}

/// Best and median milliseconds of one transcription.
fn time(engine: &mut WhisperEngine, clip: &[i16], rounds: usize) -> (f64, f64) {
    let mut times: Vec<f64> = (0..rounds)
        .map(|_| {
            engine.forget();
            #[expect(clippy::disallowed_methods, reason = "this program measures")]
            let started = Instant::now();
            engine
                .transcribe(clip, &Options::default())
                .expect("transcribes");
            started.elapsed().as_secs_f64() * 1_000.0
        })
        .collect();
    times.sort_by(f64::total_cmp);
    (times[0], times[rounds / 2])
}

/// Samples of a golden clip: 44 bytes of header, then PCM.
fn speech() -> Vec<i16> {
    let path =
        PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../tests/golden/speech/completed_39.wav");
    let bytes = std::fs::read(path).expect("the golden clip is there");
    bytes[44..]
        .chunks_exact(2)
        .map(|pair| i16::from_le_bytes([pair[0], pair[1]]))
        .collect()
}
