//! Keys heard where nobody pressed any, in a folder of speech; and what listening for them costs. No assertion.
//!
//! `cargo bench -p offhook-media --bench digits -- FOLDER` reads every wav and ogg file below the folder. Each is listened
//! to as it is, and through PCMU. Without a folder: the golden clips.

// A bench is there to read the clock.
#![allow(clippy::disallowed_methods)]

use std::hint::black_box;
use std::path::{Path, PathBuf};
use std::time::Instant;

use media::codec::{Codec, Decoder, Encoder};
use media::dtmf_inband::Detector;
use media::tones::ToneDetector;
use media::{FRAME_SAMPLES, Frame};

fn main() {
    let folder = std::env::args().skip(1).find(|a| !a.starts_with("--"));
    let golden = concat!(env!("CARGO_MANIFEST_DIR"), "/../tests/golden/speech");
    let folder = folder.map_or(PathBuf::from(golden), PathBuf::from);
    let mut files = Vec::new();
    gather(&folder, &mut files);
    files.sort();
    let (mut clips, mut seconds, mut keys, mut unread) = (0, 0.0, 0, 0);
    for path in files {
        let clip = std::fs::read(&path).ok();
        let Some(clip) = clip.and_then(|bytes| media::file::read(&bytes).ok()) else {
            unread += 1;
            continue;
        };
        let pcm = clip.into_internal_rate();
        clips += 1;
        seconds += pcm.len() as f64 / 16_000.0;
        for (name, sound) in [("as it is", pcm.clone()), ("PCMU", through_pcmu(&pcm))] {
            let found: String = heard(&sound);
            keys += found.len();
            if !found.is_empty() {
                println!("{} ({name}): {found}", path.display());
            }
        }
    }
    println!("{clips} clips, {seconds:.0} s, each twice: {keys} keys; {unread} files not read");
    cost();
}

fn gather(folder: &Path, files: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
        let path = entry.path();
        match path.extension().and_then(|e| e.to_str()) {
            _ if path.is_dir() => gather(&path, files),
            Some("wav" | "ogg" | "opus") => files.push(path),
            _ => {}
        }
    }
}

fn heard(pcm: &[i16]) -> String {
    let mut detector = Detector::new();
    let mut keys: Vec<_> = detector.push(pcm);
    keys.extend(detector.push(&[0; 1_600]));
    keys.iter().map(|pressed| pressed.digit).collect()
}

fn through_pcmu(pcm: &[i16]) -> Vec<i16> {
    let (mut encoder, mut decoder) = (Encoder::new(Codec::Pcmu), Decoder::new(Codec::Pcmu));
    pcm.chunks_exact(FRAME_SAMPLES)
        .filter_map(|frame| frame.try_into().ok())
        .flat_map(|frame: &Frame| decoder.decode(&encoder.encode(frame)))
        .collect()
}

/// Beside the detector of line tones, which works on the same frames.
fn cost() {
    let frame: Frame = std::array::from_fn(|n| ((n * 7_919) % 20_000) as i16 - 10_000);
    let time = |body: &mut dyn FnMut()| {
        let rounds = (0..7).map(|_| {
            let started = Instant::now();
            for _ in 0..5_000 {
                body();
            }
            started.elapsed().as_secs_f64() * 1e6 / 5_000.0
        });
        rounds.fold(f64::INFINITY, f64::min)
    };
    let mut keys = Detector::new();
    let ours = time(&mut || {
        black_box(keys.push(black_box(&frame)));
    });
    let mut tones = ToneDetector::new();
    let other = time(&mut || {
        black_box(tones.push(black_box(&frame)));
    });
    println!("listening for keys, one frame: {ours:.1} us; for line tones: {other:.1} us");
}
