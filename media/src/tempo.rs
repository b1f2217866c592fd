//! Speech faster or slower at the same pitch, for a whole clip: overlapping pieces, each taken from where the sound goes
//! on most like the piece before (WSOLA, Verhelst and Roelands 1993).
//!
//! Owns: any tempo of finished sound. Does not own: small corrections of running sound (`stretch`).
//!
//! PURE.

use std::ops::RangeInclusive;

/// Tempos served; others are taken as the nearest.
pub const TEMPO_RANGE: RangeInclusive<f32> = 0.25..=4.0;

/// A piece: 32 ms at 16 kHz, half of it faded over.
const PIECE: usize = 512;
const HALF: usize = PIECE / 2;
/// How far from its place a piece may be taken: 10 ms, a period of 100 Hz.
const SEARCH: usize = 160;
/// Every so many samples are compared.
const STRIDE: usize = 4;

/// `clip` (16 kHz mono) at `tempo` times its speed: 2 is twice as fast, half as long.
pub fn change(clip: &[i16], tempo: f32) -> Vec<i16> {
    let tempo = match tempo.is_finite() {
        true => tempo.clamp(*TEMPO_RANGE.start(), *TEMPO_RANGE.end()),
        false => 1.0,
    };
    if (tempo - 1.0).abs() < 0.01 || clip.len() < 2 * PIECE {
        return clip.to_vec();
    }
    let wanted = (clip.len() as f64 / f64::from(tempo)) as usize;
    let mut output = Vec::with_capacity(wanted + PIECE);
    output.extend_from_slice(&clip[..HALF]);
    // What would come next if nothing were changed.
    let mut next = HALF;
    while output.len() < wanted {
        let place = (output.len() as f64 * f64::from(tempo)) as usize;
        let Some(at) = best(clip, next, place) else {
            break;
        };
        for n in 0..HALF {
            let (from, to) = (f32::from(clip[next + n]), f32::from(clip[at + n]));
            let part = (n as f32 + 0.5) / HALF as f32;
            output.push((from + (to - from) * part).round() as i16);
        }
        next = at + HALF;
        if next + HALF > clip.len() {
            break;
        }
    }
    output.truncate(wanted);
    output
}

/// Near `place`, where the sound is most like what begins at `next`; `None` at the end of the clip.
fn best(clip: &[i16], next: usize, place: usize) -> Option<usize> {
    let latest = clip.len().checked_sub(PIECE)?;
    if next + HALF > clip.len() || place > latest {
        return None;
    }
    let from = place.saturating_sub(SEARCH);
    let to = (place + SEARCH).min(latest);
    let wanted = &clip[next..next + HALF];
    let likeness = |at: usize| {
        let (mut product, mut energy) = (0.0f32, 1.0f32);
        for n in (0..HALF).step_by(STRIDE) {
            let (a, b) = (f32::from(wanted[n]), f32::from(clip[at + n]));
            product += a * b;
            energy += b * b;
        }
        product / energy.sqrt()
    };
    (from..=to).max_by(|&a, &b| likeness(a).total_cmp(&likeness(b)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tone(samples: usize) -> Vec<i16> {
        let step = std::f32::consts::TAU * 200.0 / 16_000.0;
        (0..samples)
            .map(|n| ((n as f32 * step).sin() * 8_000.0) as i16)
            .collect()
    }

    #[test]
    fn length_follows_the_tempo_and_pitch_does_not() {
        let crossings = |pcm: &[i16]| {
            let changes = pcm.windows(2).filter(|p| (p[0] < 0) != (p[1] < 0)).count();
            changes as f32 / pcm.len() as f32
        };
        let clip = tone(32_000);
        for tempo in [0.25, 0.5, 0.8, 1.25, 2.0, 4.0] {
            let changed = change(&clip, tempo);
            let expected = 32_000.0 / tempo;
            let ratio = changed.len() as f32 / expected;
            assert!((0.95..=1.01).contains(&ratio), "{tempo}: {}", changed.len());
            let pitch = crossings(&changed) / crossings(&clip);
            assert!((0.97..=1.03).contains(&pitch), "{tempo}: {pitch}");
            // No click: no step is larger than the tone's own, but for rounding.
            let step = changed.windows(2).map(|p| p[0].abs_diff(p[1])).max();
            assert!(step < Some(1_200), "{tempo}: {step:?}");
        }
    }

    #[test]
    fn what_cannot_be_changed_stays() {
        assert_eq!(change(&tone(100), 2.0), tone(100));
        assert_eq!(change(&tone(5_000), 1.0), tone(5_000));
        assert_eq!(change(&tone(5_000), f32::NAN), tone(5_000));
        assert!(change(&[], 2.0).is_empty());
        assert!(change(&tone(5_000), 1e9).len() < 2_000);
    }
}
