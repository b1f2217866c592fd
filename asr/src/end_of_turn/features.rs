//! PURE.
//!
//! What is measured in the speech before a pause: pitch, level, rhythm and lengthening at its end, each against the same
//! caller's usual. Owns the track of hops and the measures; how much each counts is `table`'s.

use std::collections::VecDeque;

/// Hops kept: 4 s.
pub(crate) const TRACK_HOPS: usize = 400;
/// Number of measures.
pub const FEATURES: usize = 17;
/// Their names and units, in order.
pub const FEATURE_NAMES: [&str; FEATURES] = [
    "pitch_end_semitones",
    "pitch_end_over_low_semitones",
    "pitch_slope_200_ms_semitones",
    "pitch_slope_600_ms_semitones",
    "pitch_mean_300_ms_semitones",
    "pitch_range_1000_ms_semitones",
    "voiced_share_300_ms",
    "level_end_db",
    "level_slope_300_ms_db",
    "level_fall_ms",
    "correlation_150_ms",
    "last_syllable_ms",
    "last_voiced_stretch_ms",
    "last_interval_log2",
    "rate_1500_ms_log2",
    "crossings_80_ms",
    "correlation_change_300_ms",
];

/// Pitch histogram: half semitones from 60 Hz (−8.9 semitones to 100 Hz) up.
const PITCH_BINS: usize = 68;
const PITCH_BIN_LOW: f32 = -9.0;
const LEVEL_BINS: usize = 100;
/// Hops after which what was learnt of the caller counts half: 30 s of voice.
const HALVE_AT: u32 = 3_000;

/// A voice's pitch moves less than this from hop to hop.
const STEP_SEMITONES: f32 = 1.5;
/// Further from the caller's usual pitch than this is taken for a slip of one octave.
const SLIP_SEMITONES: f32 = 8.5;
/// The longest sound without voice at the end of a word, in hops: the end of "yes".
const VOICELESS_HOPS_MAX: usize = 25;

/// 10 ms of sound.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Hop {
    /// Decibels over a root mean square of 1.
    pub level_db: f32,
    /// Semitones over 100 Hz, where there is voice.
    pub pitch_semitones: Option<f32>,
    pub correlation: f32,
    /// Zero crossings per sample.
    pub crossings: f32,
    pub is_speech: bool,
}

/// Counts of values in equal bins; older ones count less.
#[derive(Debug, Clone)]
struct Histogram<const N: usize> {
    counts: [u32; N],
    total: u32,
}

impl<const N: usize> Histogram<N> {
    fn new() -> Histogram<N> {
        Histogram {
            counts: [0; N],
            total: 0,
        }
    }

    fn add(&mut self, bin: f32) {
        // A saturating cast: below 0 is the first bin.
        let place = (bin as usize).min(N - 1);
        self.counts[place] += 1;
        self.total += 1;
        if self.total >= HALVE_AT {
            for count in &mut self.counts {
                *count /= 2;
            }
            self.total = self.counts.iter().sum();
        }
    }

    /// The bin below which `share` of the values lie; None when empty.
    fn quantile(&self, share: f32) -> Option<f32> {
        let wanted = (self.total as f32 * share) as u32;
        let mut seen = 0;
        for (place, &count) in self.counts.iter().enumerate() {
            seen += count;
            if count > 0 && seen > wanted {
                return Some(place as f32 + 0.5);
            }
        }
        None
    }
}

/// The last seconds of a turn, and what is usual for the caller.
#[derive(Debug, Clone)]
pub(crate) struct Track {
    hops: VecDeque<Hop>,
    /// Hops on end whose pitch moves no faster than voices can.
    steady: u32,
    pitches: Histogram<PITCH_BINS>,
    levels: Histogram<LEVEL_BINS>,
}

impl Track {
    pub fn new() -> Track {
        Track {
            hops: VecDeque::with_capacity(TRACK_HOPS),
            steady: 0,
            pitches: Histogram::new(),
            levels: Histogram::new(),
        }
    }

    pub fn begin_turn(&mut self) {
        self.hops.clear();
    }

    /// Full: the oldest hop goes.
    pub fn push(&mut self, hop: Hop) {
        if self.hops.len() == TRACK_HOPS {
            self.hops.pop_front();
        }
        let before = self.hops.back().and_then(|hop| hop.pitch_semitones);
        self.hops.push_back(hop);
        let Some(pitch) = hop.pitch_semitones else {
            self.steady = 0;
            return;
        };
        let moves_on = before.is_some_and(|before| (pitch - before).abs() < STEP_SEMITONES);
        self.steady = if moves_on { self.steady + 1 } else { 0 };
        if self.steady >= 2 {
            self.pitches.add(2.0 * (pitch - PITCH_BIN_LOW));
            self.levels.add(hop.level_db);
        }
    }

    fn pitch_quantile(&self, share: f32) -> Option<f32> {
        let bin = self.pitches.quantile(share)?;
        Some(bin / 2.0 + PITCH_BIN_LOW)
    }
}

/// The measures at the last speech in the track, in the order of [`FEATURE_NAMES`]. None without speech.
pub(crate) fn measure(track: &Track) -> Option<[f32; FEATURES]> {
    let usual_pitch = track.pitch_quantile(0.5)?;
    let mut hops: Vec<Hop> = track.hops.iter().copied().collect();
    believe_pitch(&mut hops, usual_pitch);
    let voice_end = hops.iter().rposition(|hop| hop.pitch_semitones.is_some())? + 1;
    let speech_end = hops.iter().rposition(|hop| hop.is_speech)? + 1;
    let end = speech_end.min(voice_end + VOICELESS_HOPS_MAX);
    hops.truncate(end);
    let low_pitch = track.pitch_quantile(0.1)?;
    let usual_level = track.levels.quantile(0.6)?;
    let rhythm = Rhythm::of(&hops, usual_level);
    let last = |count: usize| &hops[end.saturating_sub(count)..];

    let pitches: Vec<(f32, f32)> = last(100)
        .iter()
        .enumerate()
        .filter_map(|(at, hop)| Some((at as f32, hop.pitch_semitones?)))
        .collect();
    let newest = pitches.last().map_or(0.0, |&(at, _)| at);
    let pitches_of = |hops: f32| -> Vec<(f32, f32)> {
        let mut out = pitches.clone();
        out.retain(|&(at, _)| newest - at < hops);
        out
    };
    let final_pitch = mean(pitches_of(6.0).iter().map(|p| p.1));
    let levels: Vec<(f32, f32)> = last(30)
        .iter()
        .enumerate()
        .map(|(at, hop)| (at as f32, hop.level_db))
        .collect();
    let correlation_of =
        |hops: &[Hop]| mean(hops.iter().map(|hop| hop.correlation.clamp(0.0, 1.0)));
    let tail = last(30);
    let voiced = tail
        .iter()
        .filter(|hop| hop.pitch_semitones.is_some())
        .count();
    let half = tail.len() / 2;

    Some([
        final_pitch - usual_pitch,
        final_pitch - low_pitch,
        10.0 * slope(&pitches_of(20.0)),
        10.0 * slope(&pitches_of(60.0)),
        mean(pitches_of(30.0).iter().map(|p| p.1)) - usual_pitch,
        range(&pitches),
        voiced as f32 / tail.len().max(1) as f32,
        mean(last(10).iter().map(|hop| hop.level_db)) - usual_level,
        10.0 * slope(&levels),
        rhythm.fall_ms,
        correlation_of(last(15)),
        rhythm.last_syllable_ms,
        last_voiced_stretch_ms(&hops),
        rhythm.last_interval_log2,
        rhythm.rate_log2,
        mean(last(8).iter().map(|hop| hop.crossings)),
        correlation_of(&tail[half..]) - correlation_of(&tail[..half]),
    ])
}

/// Takes away pitches that no neighbour bears out, and octaves slipped.
fn believe_pitch(hops: &mut [Hop], usual: f32) {
    let heard: Vec<Option<f32>> = hops.iter().map(|hop| hop.pitch_semitones).collect();
    for (at, hop) in hops.iter_mut().enumerate() {
        let Some(pitch) = hop.pitch_semitones else {
            continue;
        };
        let near = heard[at.saturating_sub(2)..(at + 3).min(heard.len())]
            .iter()
            .filter(|other| other.is_some_and(|other| (other - pitch).abs() < STEP_SEMITONES));
        // Itself and two more.
        hop.pitch_semitones = (near.count() >= 3).then_some(if pitch - usual > SLIP_SEMITONES {
            pitch - 12.0
        } else if pitch - usual < -SLIP_SEMITONES {
            pitch + 12.0
        } else {
            pitch
        });
    }
}

/// Where syllables are, by the hills of the level.
struct Rhythm {
    fall_ms: f32,
    last_syllable_ms: f32,
    last_interval_log2: f32,
    rate_log2: f32,
}

impl Rhythm {
    fn of(hops: &[Hop], usual_level: f32) -> Rhythm {
        let nuclei = nuclei(hops, usual_level);
        let end = hops.len();
        let since = |at: usize| 10.0 * (end - at) as f32;
        // Intervals longer than 600 ms have a pause in them.
        let intervals: Vec<f32> = nuclei
            .windows(2)
            .map(|pair| (pair[1] - pair[0]) as f32)
            .filter(|&hops| hops < 60.0)
            .collect();
        let usual = mean(intervals.iter().copied());
        let recent = nuclei.iter().filter(|&&at| end - at <= 150).count();
        let recent_speech = hops[end.saturating_sub(150)..]
            .iter()
            .filter(|hop| hop.is_speech)
            .count();
        let speech = hops.iter().filter(|hop| hop.is_speech).count();
        let rate = recent as f32 / recent_speech.max(1) as f32;
        let rate_usual = nuclei.len() as f32 / speech.max(1) as f32;
        Rhythm {
            fall_ms: hops
                .iter()
                .rposition(|hop| hop.is_speech && hop.level_db > usual_level - 6.0)
                .map_or(f32::NAN, |at| since(at).min(600.0)),
            last_syllable_ms: nuclei.last().map_or(f32::NAN, |&at| since(at).min(600.0)),
            last_interval_log2: match nuclei.last() {
                // The last syllable's length is taken as twice the way from its nucleus to its end.
                Some(&at) if usual > 0.0 => {
                    (0.2 * since(at) / usual).max(0.1).log2().clamp(-3.0, 3.0)
                }
                _ => f32::NAN,
            },
            // A turn no longer than that has nothing to compare with.
            rate_log2: if rate > 0.0 && recent < nuclei.len() {
                (rate / rate_usual).log2().clamp(-2.0, 2.0)
            } else {
                f32::NAN
            },
        }
    }
}

/// Places of voiced hills of the level, smoothed over 50 ms, with a valley of at least 2 dB between two.
fn nuclei(hops: &[Hop], usual_level: f32) -> Vec<usize> {
    const VALLEY_DB: f32 = 2.0;
    const UNDER_USUAL_DB: f32 = 14.0;
    let smooth: Vec<f32> = (0..hops.len())
        .map(|at| {
            let near = &hops[at.saturating_sub(2)..(at + 3).min(hops.len())];
            near.iter().map(|hop| hop.level_db).sum::<f32>() / near.len() as f32
        })
        .collect();
    let mut found = Vec::new();
    let (mut low, mut high, mut high_at) = (f32::MIN, f32::MIN, 0);
    let mut rising = true;
    for (at, &level) in smooth.iter().enumerate() {
        if rising {
            if level > high {
                (high, high_at) = (level, at);
            } else if level < high - VALLEY_DB {
                let near = &hops[high_at.saturating_sub(3)..(high_at + 4).min(hops.len())];
                let is_voiced = near.iter().any(|hop| hop.pitch_semitones.is_some());
                if is_voiced && high > usual_level - UNDER_USUAL_DB {
                    found.push(high_at);
                }
                (rising, low) = (false, level);
            }
        } else if level < low {
            low = level;
        } else if level > low + VALLEY_DB {
            (rising, high, high_at) = (true, level, at);
        }
    }
    if rising && high > usual_level - UNDER_USUAL_DB && !hops.is_empty() {
        found.push(high_at);
    }
    found
}

/// The last run of voice, over holes of up to 20 ms.
fn last_voiced_stretch_ms(hops: &[Hop]) -> f32 {
    let Some(end) = hops.iter().rposition(|hop| hop.pitch_semitones.is_some()) else {
        return f32::NAN;
    };
    let (mut begin, mut hole) = (end, 0);
    for at in (0..end).rev() {
        if hops[at].pitch_semitones.is_some() {
            (begin, hole) = (at, 0);
        } else {
            hole += 1;
            if hole > 2 {
                break;
            }
        }
    }
    10.0 * (end + 1 - begin).min(150) as f32
}

fn mean(values: impl Iterator<Item = f32>) -> f32 {
    let (sum, count) = values.fold((0.0, 0_u32), |(sum, count), v| (sum + v, count + 1));
    if count == 0 {
        f32::NAN
    } else {
        sum / count as f32
    }
}

/// Least squares; NaN with fewer than four points.
fn slope(points: &[(f32, f32)]) -> f32 {
    if points.len() < 4 {
        return f32::NAN;
    }
    let at = mean(points.iter().map(|p| p.0));
    let value = mean(points.iter().map(|p| p.1));
    let (mut over, mut under) = (0.0, 0.0);
    for (x, y) in points {
        over += (x - at) * (y - value);
        under += (x - at) * (x - at);
    }
    (over / under).clamp(-10.0, 10.0)
}

/// From the 10th to the 90th of a hundred; NaN with fewer than ten values.
fn range(points: &[(f32, f32)]) -> f32 {
    if points.len() < 10 {
        return f32::NAN;
    }
    let mut values: Vec<f32> = points.iter().map(|p| p.1).collect();
    values.sort_by(f32::total_cmp);
    values[values.len() * 9 / 10] - values[values.len() / 10]
}
