//! Time made a little shorter or longer without a click: one period of the voice is left out, or said twice.
//!
//! Owns: finding a length after which the sound resembles itself, and the cross-fade there. Does not own: whether time
//! is to change (`steady`).
//!
//! PURE.

/// Lengths changed by: 2.5 to 15 ms at 16 kHz, a period of 67 to 400 Hz, or several.
pub const LAG_MIN: usize = 40;
pub const LAG_MAX: usize = 240;

/// Sound that is compared and faded over: 5 ms.
const OVERLAP: usize = 80;

/// Samples looked at from the start of what is given.
pub const NEEDED: usize = LAG_MAX + OVERLAP;

/// Likeness (correlation) from which a change is not heard.
const LIKENESS_MIN: f32 = 0.75;

/// Mean square below which the sound is a background, where likeness is not needed: about -50 dBFS.
const QUIET: f32 = 10_000.0;

/// How urgently time must change.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Urgency {
    /// Only where it is not heard.
    CanWait,
    /// At the best place there is.
    Now,
}

/// Where the sound goes on like its beginning.
fn best_lag(sound: &[i16], urgency: Urgency) -> Option<usize> {
    if sound.len() < NEEDED {
        return None;
    }
    let sound: Vec<f32> = sound[..NEEDED].iter().map(|&s| f32::from(s)).collect();
    let head = &sound[..OVERLAP];
    let energy: f32 = head.iter().map(|s| s * s).sum();
    let mut best = (LAG_MAX, -1.0);
    for lag in LAG_MIN..=LAG_MAX {
        let other = &sound[lag..lag + OVERLAP];
        let (mut product, mut other_energy) = (0.0, 0.0);
        for (a, b) in head.iter().zip(other) {
            product += a * b;
            other_energy += b * b;
        }
        let likeness = product / (energy * other_energy).sqrt().max(1.0);
        if likeness > best.1 {
            best = (lag, likeness);
        }
    }
    let all: f32 = sound.iter().map(|s| s * s).sum();
    let is_quiet = all < QUIET * sound.len() as f32;
    (urgency == Urgency::Now || is_quiet || best.1 >= LIKENESS_MIN).then_some(best.0)
}

fn fade(from: i16, to: i16, n: usize) -> i16 {
    let part = (n + 1) as f32 / (OVERLAP + 1) as f32;
    (f32::from(from) * (1.0 - part) + f32::from(to) * part).round() as i16
}

/// Leaves out between [`LAG_MIN`] and [`LAG_MAX`] samples at the start of `sound`; how many.
pub fn shorten(sound: &mut Vec<i16>, urgency: Urgency) -> usize {
    let Some(lag) = best_lag(sound, urgency) else {
        return 0;
    };
    for n in 0..OVERLAP {
        sound[lag + n] = fade(sound[n], sound[lag + n], n);
    }
    sound.drain(..lag);
    lag
}

/// Says the first samples of `sound` twice; how many.
pub fn lengthen(sound: &mut Vec<i16>, urgency: Urgency) -> usize {
    let Some(lag) = best_lag(sound, urgency) else {
        return 0;
    };
    // The start again, after its first `lag` samples: faded in from what really follows them.
    let mut again: Vec<i16> = sound[..lag].to_vec();
    again.extend((0..OVERLAP).map(|n| fade(sound[lag + n], sound[n], n)));
    again.extend_from_slice(&sound[OVERLAP..]);
    *sound = again;
    lag
}

#[cfg(test)]
mod tests {
    use super::*;

    fn voice(hz: f64, samples: usize) -> Vec<i16> {
        (0..samples)
            .map(|n| {
                let phase = std::f64::consts::TAU * hz * n as f64 / 16_000.0;
                (5_000.0 * phase.sin() + 2_000.0 * (3.0 * phase).cos()) as i16
            })
            .collect()
    }

    fn steepest(sound: &[i16]) -> i32 {
        let steps = sound
            .windows(2)
            .map(|w| (i32::from(w[1]) - i32::from(w[0])).abs());
        steps.max().unwrap_or(0)
    }

    #[test]
    fn a_voice_gets_shorter_and_longer_without_a_click() {
        for hz in [70.0, 110.0, 180.0, 240.0, 390.0] {
            let whole = voice(hz, 1_600);
            let (mut short, mut long) = (whole.clone(), whole.clone());
            let left_out = shorten(&mut short, Urgency::CanWait);
            let said_twice = lengthen(&mut long, Urgency::CanWait);
            assert!((LAG_MIN..=LAG_MAX).contains(&left_out), "{hz}: {left_out}");
            assert_eq!(left_out, said_twice, "{hz}");
            assert_eq!(short.len(), 1_600 - left_out);
            assert_eq!(long.len(), 1_600 + said_twice);
            for changed in [&short, &long] {
                assert!(
                    steepest(changed) <= steepest(&whole) * 12 / 10,
                    "{hz}: {} of {}",
                    steepest(changed),
                    steepest(&whole)
                );
            }
            // The ends stay.
            assert_eq!(short[800..], whole[800 + left_out..]);
            assert_eq!(long[..said_twice], whole[..said_twice]);
            assert_eq!(long[said_twice + OVERLAP..], whole[OVERLAP..]);
        }
    }

    #[test]
    fn what_does_not_resemble_itself_waits() {
        let mut seed = 7u32;
        let noise: Vec<i16> = (0..1_600)
            .map(|_| {
                seed = seed.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                (seed >> 16) as i16 / 4
            })
            .collect();
        assert_eq!(shorten(&mut noise.clone(), Urgency::CanWait), 0);
        assert_ne!(shorten(&mut noise.clone(), Urgency::Now), 0);
        assert_ne!(shorten(&mut vec![0; 1_600], Urgency::CanWait), 0);
        assert_eq!(shorten(&mut voice(100.0, NEEDED - 1), Urgency::Now), 0);
    }
}
