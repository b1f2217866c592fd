//! Models from a file: what is refused, and two tiny ones (made by `asr/train/end_of_turn/tiny.py`) run for real where
//! the library of ONNX Runtime is there. Real Smart Turn weights are no part of the project.

use std::io::Write;

use super::*;

fn file(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("train/end_of_turn")
        .join(name)
}

/// None, said by name, where the library is missing; with OFFHOOK_REQUIRE_PEERS that is a failure.
fn open(name: &str) -> Option<EndOfTurnModel> {
    if let Err(reason) = environment() {
        assert!(
            std::env::var_os("OFFHOOK_REQUIRE_PEERS").is_none(),
            "{reason}, and OFFHOOK_REQUIRE_PEERS is set"
        );
        let _ = writeln!(std::io::stderr(), "SKIPPED {name}: {reason}");
        return None;
    }
    Some(EndOfTurnModel::open(&file(name)).expect("the tiny model opens"))
}

fn speech() -> Vec<i16> {
    (0..32_000)
        .map(|n| (6_000.0 * (f64::from(n) * 0.06).sin()) as i16)
        .collect()
}

#[test]
fn what_is_no_model_is_refused() {
    for (name, expected) in [
        ("nowhere.onnx", "No such file"),
        ("", "no file of at most"),
        ("tiny.py", "cannot be used"),
    ] {
        let error = EndOfTurnModel::open(&file(name)).expect_err(name);
        assert!(
            matches!(error, EndOfTurnError::Unusable { .. }),
            "{name}: {error}"
        );
        assert!(error.to_string().contains(expected), "{name}: {error}");
    }
}

#[test]
fn a_probability_named_logits_stays_one() {
    let Some(mut model) = open("tiny_probability.onnx") else {
        return;
    };
    let features = LogMel::new().features(&speech());
    let tail: f32 = (0..BANDS)
        .flat_map(|band| features[(band + 1) * FRAMES - 10..(band + 1) * FRAMES].iter())
        .sum();
    let expected = 1.0 / (1.0 + (-tail / 800.0).exp());
    let got = model.probability(&speech()).expect("it runs");
    assert!((got - expected).abs() < 1e-4, "{got}, not {expected}");
    assert_eq!(model.reading, Reading::ProbabilitySoFar);
}

#[test]
fn log_odds_are_found_out_when_opening() {
    let Some(mut model) = open("tiny_log_odds.onnx") else {
        return;
    };
    assert_eq!(model.reading, Reading::LogOdds);
    for pcm in [vec![], vec![0; 100], speech(), vec![i16::MIN; 200_000]] {
        let p = model.probability(&pcm).expect("it runs");
        assert!((0.0..=1.0).contains(&p), "{p}");
    }
}
