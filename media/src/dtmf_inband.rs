//! Keys pressed, heard in the sound itself: for phones that do not say them as telephone-event. ITU-T Q.23 (frequencies),
//! Q.24 (what a receiver must take and refuse).
//!
//! Owns: the verdict and the timing. Does not own: events in packets (`dtmf`), naming other tones (`tones`).
//!
//! Every 5 ms a window of 20 ms is measured at the eight frequencies and a little beside them. A window holds a key if one row and one column
//! together have nearly all of its energy, neither is much louder than the other (twist), and both sit where they should.
//! A key is one that [`WINDOWS_MIN`] windows in a row agree on, at a steady level; it ends where [`WINDOWS_END`] windows do
//! not hold it. Speech passes for a key only if a voice sings two notes that are no harmonics of each other, within 2 % of
//! the right place, for 35 ms.
//!
//! PURE.

use std::f32::consts::TAU;

use crate::SAMPLE_RATE_HZ;
use crate::dtmf::Pressed;

const ROWS_HZ: [f32; 4] = [697.0, 770.0, 852.0, 941.0];
const COLUMNS_HZ: [f32; 4] = [1_209.0, 1_336.0, 1_477.0, 1_633.0];
const KEYS: [[char; 4]; 4] = [
    ['1', '2', '3', 'A'],
    ['4', '5', '6', 'B'],
    ['7', '8', '9', 'C'],
    ['*', '0', '#', 'D'],
];

/// 20 ms, so that neighbours (73 Hz apart) are told apart; a step of 5 ms.
const WINDOW: usize = SAMPLE_RATE_HZ as usize / 50;
const STEP: usize = WINDOW / 4;
const STEP_MS: u32 = 5;

/// Windows that agree before a key counts: with windows of 20 ms every 5 ms, a tone of 35 ms.
const WINDOWS_MIN: u32 = 4;
/// Windows without it that end a key: a break of about 10 ms is bridged (Q.24), one of 30 ms is a new key.
const WINDOWS_END: u32 = 3;

/// Least mean square of both tones together: about -40 dBm0 each.
const POWER_MIN: f32 = 10_000.0;
/// Share of the energy the two tones hold. Noise of 12 dB less takes 6 %.
const SHARE_MIN: f32 = 0.85;
/// Column louder than row, and row louder than column, as ratios of power: 9 and 9 dB (Q.24: 4 to 10).
const TWIST_MAX: f32 = 8.0;
/// How much louder a tone is than the next of its group, as a ratio of power: 9 dB.
const LEAD_MIN: f32 = 8.0;
/// A tone is taken where it is strongest within 1.2 %, and not if it is stronger still 3 % away.
const WITHIN: f32 = 0.012;
const BEYOND: f32 = 0.03;
/// Change of level between windows within a key, as a ratio of power: 2 dB.
const STEADY_MAX: f32 = 1.6;

/// What one window holds.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Window {
    key: char,
    power: f32,
}

/// Listens to one stream.
#[derive(Debug, Clone)]
pub struct Detector {
    /// The last window, and what is short of a step.
    recent: Vec<f32>,
    current: Option<Current>,
}

#[derive(Debug, Clone, Copy)]
struct Current {
    key: char,
    power: f32,
    /// Windows that held it, in all; and those since that did not.
    held: u32,
    missed: u32,
    counts: bool,
}

impl Default for Detector {
    fn default() -> Self {
        Detector::new()
    }
}

impl Detector {
    pub fn new() -> Detector {
        Detector {
            recent: Vec::with_capacity(2 * WINDOW),
            current: None,
        }
    }

    /// Whether a key is on.
    pub fn is_pressed(&self) -> bool {
        self.current.is_some_and(|current| current.counts)
    }

    /// Takes 16 kHz sound of any length; the keys that ended in it.
    pub fn push(&mut self, pcm: &[i16]) -> Vec<Pressed> {
        let mut pressed = Vec::new();
        for part in pcm.chunks(STEP) {
            self.recent.extend(part.iter().map(|&s| f32::from(s)));
            while self.recent.len() >= WINDOW {
                let found = judge(&self.recent[..WINDOW]);
                pressed.extend(self.take(found));
                self.recent.drain(..STEP);
            }
        }
        pressed
    }

    fn take(&mut self, found: Option<Window>) -> Option<Pressed> {
        let same = |current: &Current, found: Window| {
            let ratio = found.power / current.power;
            current.key == found.key
                && (current.counts || (1.0 / STEADY_MAX..STEADY_MAX).contains(&ratio))
        };
        match (&mut self.current, found) {
            (Some(current), Some(found)) if same(current, found) => {
                current.held += 1 + std::mem::take(&mut current.missed);
                current.power = found.power;
                current.counts |= current.held >= WINDOWS_MIN;
                None
            }
            (Some(current), None) if current.counts && current.missed + 1 < WINDOWS_END => {
                current.missed += 1;
                None
            }
            (_, found) => {
                let ended = self.current.filter(|current| current.counts);
                self.current = found.map(|found| Current {
                    key: found.key,
                    power: found.power,
                    held: 1,
                    missed: 0,
                    counts: false,
                });
                // The first window holds most of its length, each further one a step.
                ended.map(|key| Pressed {
                    digit: key.key,
                    duration_ms: (key.held + 3) * STEP_MS,
                })
            }
        }
    }
}

/// Energy of a window at eight frequencies at once, in the scale of its sum of squares. Goertzel; side by side, because
/// one alone would wait for itself at every sample.
fn energies_at(window: &[f32], hz: [f32; 8]) -> [f32; 8] {
    let coefficients = hz.map(|hz| 2.0 * (TAU * hz / SAMPLE_RATE_HZ as f32).cos());
    let (mut before, mut last) = ([0f32; 8], [0f32; 8]);
    for &sample in window {
        for n in 0..8 {
            let next = sample + coefficients[n] * last[n] - before[n];
            before[n] = last[n];
            last[n] = next;
        }
    }
    std::array::from_fn(|n| {
        let (a, b) = (last[n], before[n]);
        2.0 * (a * a + b * b - coefficients[n] * a * b) / window.len() as f32
    })
}

/// The strongest of a group of four.
fn strongest(energies: &[f32]) -> usize {
    (0..4)
        .max_by(|&a, &b| energies[a].total_cmp(&energies[b]))
        .unwrap_or(0)
}

fn judge(window: &[f32]) -> Option<Window> {
    let total: f32 = window.iter().map(|x| x * x).sum();
    if total < POWER_MIN * window.len() as f32 {
        return None;
    }
    let groups: [f32; 8] =
        std::array::from_fn(|n| if n < 4 { ROWS_HZ[n] } else { COLUMNS_HZ[n - 4] });
    let energies = energies_at(window, groups);
    let (row, column) = (strongest(&energies[..4]), strongest(&energies[4..]));
    if energies[row] + energies[4 + column] < SHARE_MIN / 4.0 * total {
        return None;
    }
    // A sender's tones may be off by 1.5 %, and then have less in their right place.
    let (row_hz, column_hz) = (ROWS_HZ[row], COLUMNS_HZ[column]);
    let around = [1.0 - WITHIN, 1.0 + WITHIN, 1.0 - BEYOND, 1.0 + BEYOND];
    let off = energies_at(
        window,
        std::array::from_fn(|n| if n < 4 { row_hz } else { column_hz } * around[n % 4]),
    );
    let row_energy = energies[row].max(off[0]).max(off[1]);
    let column_energy = energies[4 + column].max(off[4]).max(off[5]);
    let leads = |energy: f32, chosen: usize, group: &[f32]| {
        (0..4).all(|n| n == chosen || energy > LEAD_MIN * group[n])
    };
    let both = row_energy + column_energy;
    let twist = column_energy / row_energy;
    let holds = both >= SHARE_MIN * total
        && (1.0 / TWIST_MAX..TWIST_MAX).contains(&twist)
        && leads(row_energy, row, &energies[..4])
        && leads(column_energy, column, &energies[4..])
        && off[2].max(off[3]) < row_energy
        && off[6].max(off[7]) < column_energy;
    holds.then_some(Window {
        key: KEYS[row][column],
        power: both / window.len() as f32,
    })
}

#[cfg(test)]
#[path = "dtmf_inband_tests.rs"]
mod tests;
