//! The prosody rule on made sounds: what it must not do, whatever its numbers.

use super::*;

fn frame(make: impl FnMut(usize) -> i16) -> [i16; FRAME_SAMPLES] {
    std::array::from_fn(make)
}

/// A hum of `hz` with harmonics, `frames` long.
fn hum(prosody: &mut Prosody, hz: f32, frames: usize) {
    for n in 0..frames {
        prosody.push_frame(&frame(|i| {
            let time = (n * FRAME_SAMPLES + i) as f32 / 16_000.0;
            let wave = |k: f32| (std::f32::consts::TAU * hz * k * time).sin() / k;
            (3_000.0 * (wave(1.0) + wave(2.0) + wave(3.0))) as i16
        }));
    }
}

fn silence(prosody: &mut Prosody, frames: usize) {
    for _ in 0..frames {
        prosody.push_frame(&[0; FRAME_SAMPLES]);
    }
}

#[test]
fn says_nothing_without_voice() {
    let mut prosody = Prosody::new();
    assert_eq!(prosody.probability(), None);
    silence(&mut prosody, 200);
    assert_eq!(prosody.probability(), None);
    hum(&mut prosody, 120.0, 5);
    silence(&mut prosody, 4);
    assert_eq!(prosody.probability(), None, "100 ms is too little");
    hum(&mut prosody, 120.0, 15);
    silence(&mut prosody, 4);
    assert!(prosody.probability().is_some());
    prosody.reset();
    assert_eq!(prosody.probability(), None);
    silence(&mut prosody, 4);
    assert_eq!(prosody.probability(), None);
}

#[test]
fn any_sound_gives_a_probability() {
    let mut seed = 7_u32;
    let mut next = move || {
        seed = seed.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (seed >> 16) as i16
    };
    type Sound<'a> = (&'a str, Box<dyn FnMut(usize) -> i16 + 'a>);
    let sounds: [Sound<'_>; 5] = [
        ("noise", Box::new(move |_| next())),
        ("highest", Box::new(|_| i16::MAX)),
        ("lowest", Box::new(|_| i16::MIN)),
        (
            "square",
            Box::new(|i| if i / 80 % 2 == 0 { i16::MAX } else { i16::MIN }),
        ),
        ("click", Box::new(|i| if i == 0 { i16::MAX } else { 0 })),
    ];
    for (name, mut make) in sounds {
        let mut prosody = Prosody::new();
        for _ in 0..300 {
            prosody.push_frame(&frame(&mut make));
            if let Some(p) = prosody.probability() {
                assert!((0.0..=1.0).contains(&p), "{name}: {p}");
            }
        }
    }
}

#[test]
fn loudness_and_silence_change_nothing() {
    let asked = |gain: i16, pause: usize| {
        let mut prosody = Prosody::new();
        for n in 0..100 {
            prosody.push_frame(&frame(|i| {
                let time = (n * FRAME_SAMPLES + i) as f32 / 16_000.0;
                let hz = 180.0 - 30.0 * time;
                let syllable = 0.6 - 0.4 * (std::f32::consts::TAU * 4.0 * time).cos();
                let wave = (std::f32::consts::TAU * hz * time).sin()
                    + 0.5 * (2.0 * std::f32::consts::TAU * hz * time).sin();
                (f32::from(gain) * 2_000.0 * syllable * wave) as i16
            }));
        }
        silence(&mut prosody, pause);
        prosody.probability().expect("two seconds of voice")
    };
    let base = asked(1, 4);
    assert!((asked(4, 4) - base).abs() < 0.05, "12 dB louder");
    assert!((asked(1, 10) - base).abs() < 0.05, "200 ms after, not 80");
}
