//! What must hold for every line: our echo does not pass, callers do, and where there is nothing to do nothing is done.

use super::*;
use crate::SILENCE;
use crate::codec::{Codec, Decoder, Encoder};

fn golden(name: &str) -> Vec<i16> {
    let path = format!(
        "{}/../tests/golden/speech/{name}",
        env!("CARGO_MANIFEST_DIR")
    );
    let bytes = std::fs::read(path).expect("a golden clip");
    crate::file::read(&bytes)
        .expect("a wav file")
        .into_internal_rate()
}

/// Our side of the call: 9 s of one voice.
fn ours() -> Vec<i16> {
    ["unseen_27.wav", "unseen_23.wav", "completed_39.wav"]
        .iter()
        .flat_map(|name| golden(name))
        .collect()
}

fn frame(pcm: &[i16], number: usize) -> Frame {
    let mut frame = SILENCE;
    let from = (number * FRAME_SAMPLES).min(pcm.len());
    let piece = &pcm[from..pcm.len().min(from + FRAME_SAMPLES)];
    frame[..piece.len()].copy_from_slice(piece);
    frame
}

struct Noise(u64);

impl Noise {
    /// Between −1 and 1.
    fn next(&mut self) -> f32 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 40) as f32 / (1_u32 << 23) as f32 - 1.0
    }
}

/// A phone that sends back what it plays.
struct Phone {
    gain: f32,
    delay_ms: usize,
    taps: Vec<(usize, f32)>,
    heard: Vec<f32>,
    noise: Noise,
    down: (Encoder, Decoder),
    up: (Encoder, Decoder),
}

impl Phone {
    fn new(echo_db: f32, delay_ms: usize, room: bool) -> Phone {
        let mut noise = Noise(77);
        let mut taps = vec![(0, 1.0)];
        if room {
            for n in 0..60 {
                let at = 60 + n * 40;
                taps.push((
                    at,
                    0.12 * noise.next() * 10_f32.powf(-(at as f32) / 2_000.0),
                ));
            }
        }
        Phone {
            gain: 10_f32.powf(echo_db / 20.0),
            delay_ms,
            taps,
            heard: vec![0.0; 16_000],
            noise,
            down: (Encoder::new(Codec::Pcmu), Decoder::new(Codec::Pcmu)),
            up: (Encoder::new(Codec::Pcmu), Decoder::new(Codec::Pcmu)),
        }
    }

    fn frame(&mut self, far: &Frame, caller: &Frame) -> Frame {
        let played = self.down.1.decode(&self.down.0.encode(far));
        self.heard.extend(played.iter().map(|&s| f32::from(s)));
        let end = self.heard.len() - FRAME_SAMPLES - self.delay_ms * 16;
        let mic: Frame = std::array::from_fn(|n| {
            let echo: f32 = self
                .taps
                .iter()
                .map(|&(later, gain)| gain * self.heard[end + n - later])
                .sum();
            let sum = self.gain * echo + f32::from(caller[n]) + 10.0 * self.noise.next();
            sum.clamp(-32_768.0, 32_767.0) as i16
        });
        let mut frame = SILENCE;
        frame.copy_from_slice(&self.up.1.decode(&self.up.0.encode(&mic)));
        frame
    }
}

/// The longest run of frames that let our echo through, and how many did.
fn leaks(passed: &[bool]) -> (usize, usize) {
    let (mut longest, mut run) = (0, 0);
    for &passes in passed {
        run = if passes { run + 1 } else { 0 };
        longest = longest.max(run);
    }
    (longest, passed.iter().filter(|&&p| p).count())
}

/// Loud enough for a voice activity detector.
fn is_loud(pcm: &Frame) -> bool {
    power(pcm) > 1_600.0
}

#[test]
fn our_echo_does_not_pass() {
    let ours = ours();
    for room in [false, true] {
        for echo_db in [-10.0, -20.0, -30.0] {
            for delay_ms in [20, 90, 250] {
                let mut phone = Phone::new(echo_db, delay_ms, room);
                let mut canceller = EchoCanceller::new(EchoConfig::default());
                let mut passed = Vec::new();
                let mut delay = None;
                for n in 0..ours.len() / FRAME_SAMPLES + 40 {
                    let far = frame(&ours, n);
                    canceller.far(&far);
                    let mut near = phone.frame(&far, &SILENCE);
                    delay = canceller.near(&mut near).delay_ms.or(delay);
                    passed.push(is_loud(&near));
                }
                let (longest, count) = leaks(&passed);
                let case = format!("{echo_db} dB, {delay_ms} ms, room {room}");
                assert!(
                    longest <= 2 && count <= 6,
                    "{case}: {longest} in a row, {count} in all"
                );
                // Four resamplers of the codecs' add 3 ms each.
                let found = delay.unwrap_or(0) as i64 - delay_ms as i64;
                assert!((10..=14).contains(&found), "{case}: found {delay:?}");
            }
        }
    }
}

#[test]
fn an_echo_that_moves_does_not_pass() {
    let ours = ours();
    for echo_db in [-10.0, -20.0, -30.0] {
        for (before, after) in [(20, 250), (200, 60), (120, 140), (90, 97)] {
            let mut phone = Phone::new(echo_db, before, true);
            let mut canceller = EchoCanceller::new(EchoConfig::default());
            let mut passed = Vec::new();
            for n in 0..ours.len() / FRAME_SAMPLES {
                if n == 200 {
                    phone.delay_ms = after;
                }
                let far = frame(&ours, n);
                canceller.far(&far);
                let mut near = phone.frame(&far, &SILENCE);
                canceller.near(&mut near);
                passed.push(is_loud(&near));
            }
            let (longest, count) = leaks(&passed);
            assert!(
                longest <= 3 && count <= 9,
                "{echo_db} dB, {before} to {after} ms: {longest} in a row, {count} in all"
            );
        }
    }
}

#[test]
fn a_caller_gets_through() {
    let ours = ours();
    for (echo_db, room, from, kept_min) in [
        (-90.0, false, 20, 0.97),
        (-90.0, false, 150, 0.97),
        (-30.0, true, 20, 0.9),
        (-30.0, true, 150, 0.9),
        (-20.0, true, 20, 0.85),
        (-20.0, true, 150, 0.9),
        (-10.0, true, 150, 0.75),
    ] {
        for name in ["seen_00.wav", "seen_07.wav", "seen_16.wav"] {
            let caller = golden(name);
            let mut phone = Phone::new(echo_db, 120, room);
            let mut canceller = EchoCanceller::new(EchoConfig::default());
            let (mut loud, mut passed, mut first) = (0, 0, None);
            for n in 0..from + caller.len() / FRAME_SAMPLES {
                let far = frame(&ours, n);
                canceller.far(&far);
                let voice = n.checked_sub(from).map_or(SILENCE, |n| frame(&caller, n));
                let mut near = phone.frame(&far, &voice);
                let report = canceller.near(&mut near);
                // The codecs delay sound by less than a frame.
                if power(&voice) > 200_000.0 {
                    loud += 1;
                    let passes = report.verdict == EchoVerdict::Passed;
                    passed += usize::from(passes);
                    if passes && first.is_none() {
                        first = Some(loud);
                    }
                }
            }
            let kept = passed as f32 / loud as f32;
            let case = format!("{name} from frame {from} at {echo_db} dB");
            assert!(
                kept >= kept_min,
                "{case}: {kept:.2} of {loud} loud frames kept"
            );
            assert!(
                first.is_some_and(|n| n <= 6),
                "{case}: first passed loud frame {first:?}"
            );
        }
    }
}

#[test]
fn silence_on_our_side_changes_nothing() {
    let caller = golden("seen_03.wav");
    for config in [
        EchoConfig::default(),
        EchoConfig {
            enabled: false,
            ..EchoConfig::default()
        },
    ] {
        let mut canceller = EchoCanceller::new(config);
        for n in 0..caller.len() / FRAME_SAMPLES {
            canceller.far(&SILENCE);
            let before = frame(&caller, n);
            let mut after = before;
            let report = canceller.near(&mut after);
            assert_eq!(report.verdict, EchoVerdict::Idle);
            assert_eq!(report.attenuation_db, 0.0);
            assert!(before == after, "frame {n}");
        }
    }
}

#[test]
fn the_line_of_a_handset_is_left_alone() {
    let (ours, caller) = (ours(), golden("seen_05.wav"));
    let mut phone = Phone::new(-90.0, 60, false);
    let mut canceller = EchoCanceller::new(EchoConfig::default());
    let mut changed = 0;
    for n in 0..300 {
        let far = frame(&ours, n);
        canceller.far(&far);
        let voice = n.checked_sub(100).map_or(SILENCE, |n| frame(&caller, n));
        let before = phone.frame(&far, &voice);
        let mut after = before;
        canceller.near(&mut after);
        changed += usize::from(before != after);
    }
    assert!(changed <= 6, "{changed} of 300 frames changed");
}

#[test]
fn the_same_call_gives_the_same_sound() {
    let ours = ours();
    let run = |seed| {
        let mut phone = Phone::new(-20.0, 60, true);
        let mut canceller = EchoCanceller::new(EchoConfig {
            seed,
            ..EchoConfig::default()
        });
        (0..100)
            .flat_map(|n| {
                let far = frame(&ours, n);
                canceller.far(&far);
                let mut near = phone.frame(&far, &SILENCE);
                canceller.near(&mut near);
                near
            })
            .collect::<Vec<i16>>()
    };
    assert!(run(5) == run(5));
    assert!(run(5) != run(6), "the comfort noise is read by the seed");
}

/// Frames that come late, in heaps, or not at all.
#[test]
fn an_uneven_pace_does_no_harm() {
    let ours = ours();
    let rules: [(&str, fn(usize) -> bool); 4] = [
        ("every tenth heap", |n| n % 10 == 0),
        ("a hole of one second", |n| !(150..200).contains(&n)),
        ("a hole of 100 ms", |n| !(150..155).contains(&n)),
        ("a hole of two seconds", |n| !(150..250).contains(&n)),
    ];
    for (name, comes) in rules {
        let mut phone = Phone::new(-20.0, 120, true);
        let mut canceller = EchoCanceller::new(EchoConfig::default());
        let mut passed = Vec::new();
        let mut waiting = Vec::new();
        for n in 0..ours.len() / FRAME_SAMPLES {
            let far = frame(&ours, n);
            canceller.far(&far);
            waiting.push(phone.frame(&far, &SILENCE));
            if name.contains("hole") && !comes(n) {
                waiting.clear();
            }
            if comes(n) {
                for mut near in waiting.drain(..) {
                    canceller.near(&mut near);
                    passed.push(is_loud(&near));
                }
            }
        }
        let (longest, count) = leaks(&passed);
        assert!(
            longest <= 3 && count <= 12,
            "{name}: {longest} in a row, {count} in all"
        );
    }
}

/// Any order of any sound: no panic, and nothing louder than what came.
#[test]
fn anything_may_come() {
    for seed in 1..=20_u64 {
        let mut noise = Noise(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1);
        let mut canceller = EchoCanceller::new(EchoConfig::default());
        for _ in 0..300 {
            let kind = noise.next();
            let level = 40_000.0 * noise.next() * noise.next().powi(3);
            let mut pcm: Frame = std::array::from_fn(|_| match kind {
                k if k < -0.6 => i16::MIN,
                k if k < -0.3 => 0,
                _ => (level * noise.next()).clamp(-32_768.0, 32_767.0) as i16,
            });
            let many = (4.0 * noise.next().abs()) as usize;
            for _ in 0..many {
                canceller.far(&pcm);
            }
            if noise.next() > -0.2 {
                let report = canceller.near(&mut pcm);
                assert!(report.attenuation_db.is_finite());
                assert!(report.likeness.is_none_or(|l| (0.0..=1.0).contains(&l)));
            }
        }
    }
}

#[test]
fn a_copy_is_found_where_it_is() {
    let mut noise = Noise(9);
    let mut far = FarHistory::new();
    let frames: Vec<Frame> = (0..60)
        .map(|_| std::array::from_fn(|_| (6_000.0 * noise.next()) as i16))
        .collect();
    frames.iter().for_each(|frame| far.push(frame));
    let all: Vec<i16> = frames.concat();
    for (lag, gain) in [
        (0, 0.5),
        (320, 0.3),
        (1_234, 0.1),
        (4_000, 0.03),
        (7_600, -0.2),
    ] {
        let (mut matcher, mut halver) = (Matcher::new(), Halver::new());
        for n in 40..60 {
            let at = n * FRAME_SAMPLES - lag;
            let copy: Frame =
                std::array::from_fn(|m| (f32::from(all[at + m]) * gain).round() as i16);
            matcher.push(&halver.frame(&copy));
        }
        let found = matcher
            .compare(&far, 60 * HALF_FRAME as i64)
            .expect("sound to compare");
        assert!(found.degree > 0.95, "{lag}: {found:?}");
        assert!((found.lag - lag as i64).abs() <= 2, "{lag}: {found:?}");
        assert!(
            (found.gain / (gain * gain) - 1.0).abs() < 0.1,
            "{lag}: {found:?}"
        );
    }
    let (mut matcher, mut halver) = (Matcher::new(), Halver::new());
    for _ in 0..20 {
        let other: Frame = std::array::from_fn(|_| (2_000.0 * noise.next()) as i16);
        matcher.push(&halver.frame(&other));
    }
    let found = matcher.compare(&far, 60 * HALF_FRAME as i64);
    assert!(found.is_some_and(|f| f.degree < 0.25), "{found:?}");
}

#[test]
fn the_filter_learns_a_response_in_a_second() {
    let mut noise = Noise(3);
    let mut far = FarHistory::new();
    let mut filter = EchoFilter::new();
    let response = [(70, 0.2), (400, -0.1), (1_100, 0.05)];
    let mut all: Vec<f32> = vec![0.0; 3_200];
    filter.start(&far, 0, 0, 0.05);
    let (mut before, mut after) = (0.0, 0.0);
    for n in 0..80 {
        let played: Frame = std::array::from_fn(|_| (6_000.0 * noise.next()) as i16);
        far.push(&played);
        all.extend(played.iter().map(|&s| f32::from(s)));
        let from = all.len() - FRAME_SAMPLES;
        let expected = filter.expect(&far, (n + 1) * FRAME_SAMPLES as i64);
        let rest: [f32; FRAME_SAMPLES] = std::array::from_fn(|m| {
            let echo: f32 = response
                .iter()
                .map(|&(later, gain): &(usize, f32)| gain * all[from + m - later])
                .sum();
            if n >= 50 {
                before += echo * echo;
            }
            echo - expected[m]
        });
        if n >= 50 {
            after += rest.iter().map(|r| r * r).sum::<f32>();
        }
        filter.learn(&rest);
    }
    let gain_db = 10.0 * (before / after).log10();
    assert!(gain_db > 30.0, "{gain_db:.1} dB");
}
