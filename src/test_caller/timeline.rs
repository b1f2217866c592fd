//! Sound on one clock: what the test caller sent and heard, and the latencies read from it afterwards.
//! Owns the definition of "voiced" and of perceived turn latency; no sockets, no recogniser.
//! PURE.

use std::time::{Duration, Instant};

/// Root mean square of a 10 ms window at or above this counts as voiced: −45 dB of full scale.
const VOICED_DBFS: f64 = -45.0;
const WINDOW_MS: u32 = 10;
/// A click is not a voice: this many of the next five windows must be voiced.
const ONSET_OF_FIVE: usize = 3;
/// Audio that arrives ahead of its time is placed after what came before it, up to this far.
const AHEAD_MAX: Duration = Duration::from_millis(200);
/// A packet in the middle of a voice that is no later than this was late on its way.
const JITTER_MAX: Duration = Duration::from_millis(40);

/// Samples with the moment of the first one; the rate is that of the wire.
#[derive(Debug)]
pub struct Timeline {
    start: Instant,
    rate_hz: u32,
    samples: Vec<i16>,
}

/// One turn as the caller's socket saw it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Measured {
    /// From the last voiced sample sent to the first voiced sample received.
    pub latency_ms: Option<u32>,
    /// The reply began while the caller still spoke.
    pub cut_in: bool,
}

impl Timeline {
    pub fn new(start: Instant, rate_hz: u32) -> Timeline {
        Timeline {
            start,
            rate_hz,
            samples: Vec::new(),
        }
    }

    /// Places a packet's samples at `at`: gaps become silence, bursts queue up behind what is there. A voice has no gaps
    /// up to [`JITTER_MAX`], as a phone would play it; in silence the place is set anew by the clock, so that one late
    /// packet does not shift all that follow it.
    pub fn place(&mut self, at: Instant, samples: &[i16]) {
        let wanted = self.index_of(at);
        let ahead = self.samples.len().saturating_sub(wanted);
        let ahead_max = self.count(AHEAD_MAX);
        if wanted > self.samples.len() {
            let tail = self.samples.len().saturating_sub(self.window());
            let is_wobble = wanted - self.samples.len() <= self.count(JITTER_MAX)
                && !is_quiet(&self.samples[tail..])
                && !is_quiet(samples);
            if !is_wobble {
                self.samples.resize(wanted, 0);
            }
        } else if ahead > ahead_max || (is_quiet(samples) && is_quiet(&self.samples[wanted..])) {
            // The sender's clock ran away, or nothing is lost: start again where the packet really came.
            self.samples.truncate(wanted);
        }
        self.samples.extend_from_slice(samples);
    }

    pub fn end(&self) -> usize {
        self.samples.len()
    }

    pub fn rate_hz(&self) -> u32 {
        self.rate_hz
    }

    pub fn samples(&self) -> &[i16] {
        &self.samples
    }

    pub fn index_of(&self, at: Instant) -> usize {
        self.count(at.saturating_duration_since(self.start))
    }

    fn count(&self, duration: Duration) -> usize {
        (duration.as_micros() * u128::from(self.rate_hz) / 1_000_000) as usize
    }

    fn window(&self) -> usize {
        (self.rate_hz * WINDOW_MS / 1000) as usize
    }

    fn is_voiced(&self, from: usize) -> bool {
        let window = self
            .samples
            .get(from..from + self.window())
            .unwrap_or_default();
        if window.is_empty() {
            return false;
        }
        level_dbfs(window) >= VOICED_DBFS
    }

    /// Whether any whole window in `range` is voiced.
    pub fn has_voice(&self, range: std::ops::Range<usize>) -> bool {
        let end = range.end.min(self.samples.len());
        (range.start..end)
            .step_by(self.window())
            .any(|at| at + self.window() <= end && self.is_voiced(at))
    }

    /// The voiced stretch that holds `at`, or begins within `gap_ms` after it; silences shorter than `gap_ms` are part of
    /// it. Looked for until `until`.
    pub fn stretch_end(&self, at: usize, gap_ms: u32, until: usize) -> Option<usize> {
        let gap = (gap_ms * self.rate_hz / 1000) as usize;
        let mut last = None;
        let mut place = at;
        while place + self.window() <= until.min(self.samples.len()) {
            if self.is_voiced(place) {
                last = Some(place + self.loud_sample(place, true));
            } else if place - last.unwrap_or(at) > gap {
                break;
            }
            place += self.window();
        }
        last
    }

    /// The first voiced sample in `range` that begins a sound rather than a click.
    pub fn onset(&self, range: std::ops::Range<usize>) -> Option<usize> {
        let step = self.window();
        let end = range.end.min(self.samples.len());
        let mut at = range.start;
        while at + step <= end {
            if self.is_voiced(at) {
                let voiced = (0..5).filter(|n| self.is_voiced(at + n * step)).count();
                if voiced >= ONSET_OF_FIVE {
                    return Some(at + self.loud_sample(at, false));
                }
            }
            at += step;
        }
        None
    }

    /// The last voiced sample in `range`.
    pub fn offset(&self, range: std::ops::Range<usize>) -> Option<usize> {
        let step = self.window();
        let end = range.end.min(self.samples.len());
        let windows = end.saturating_sub(range.start) / step;
        (0..windows)
            .rev()
            .map(|n| range.start + n * step)
            .find(|at| self.is_voiced(*at))
            .map(|at| at + self.loud_sample(at, true))
    }

    /// The first or last sample of a voiced window that reaches the level itself.
    fn loud_sample(&self, from: usize, last: bool) -> usize {
        let level = 32768.0 * 10f64.powf(VOICED_DBFS / 20.0);
        let window = &self.samples[from..(from + self.window()).min(self.samples.len())];
        let is_loud = |sample: &i16| f64::from(*sample).abs() >= level;
        let found = if last {
            window.iter().rposition(is_loud)
        } else {
            window.iter().position(is_loud)
        };
        found.unwrap_or(0)
    }

    /// How long it has been quiet at the end, in milliseconds.
    pub fn quiet_ms(&self, now: Instant) -> u64 {
        let last = self.offset(0..self.samples.len()).unwrap_or(0);
        let now = self.index_of(now);
        (now.saturating_sub(last) as u64) * 1000 / u64::from(self.rate_hz)
    }
}

/// Root mean square of `samples` in decibels of full scale.
fn level_dbfs(samples: &[i16]) -> f64 {
    let power = samples.iter().map(|s| f64::from(*s).powi(2)).sum::<f64>() / samples.len() as f64;
    10.0 * (power / 32768f64.powi(2)).max(1e-12).log10()
}

fn is_quiet(samples: &[i16]) -> bool {
    samples.is_empty() || level_dbfs(samples) < VOICED_DBFS
}

/// Reads one turn from the two sides: the caller spoke within `spoken` of `sent`, the reply is looked for
/// in `heard` until `until`. Both timelines start at the same moment and have the same rate.
pub fn measure(
    sent: &Timeline,
    spoken: std::ops::Range<usize>,
    heard: &Timeline,
    until: usize,
) -> Measured {
    let Some(last_sent) = sent.offset(spoken.clone()) else {
        return Measured {
            latency_ms: None,
            cut_in: false,
        };
    };
    let Some(first_heard) = heard.onset(spoken.start..until) else {
        return Measured {
            latency_ms: None,
            cut_in: false,
        };
    };
    if first_heard <= last_sent {
        return Measured {
            latency_ms: None,
            cut_in: true,
        };
    }
    let latency = (first_heard - last_sent) as u64 * 1000 / u64::from(sent.rate_hz);
    Measured {
        latency_ms: Some(latency as u32),
        cut_in: false,
    }
}

/// Nearest-rank percentile of `values`, 0 < `percent` ≤ 100.
pub fn percentile(values: &[u32], percent: u32) -> Option<u32> {
    let mut sorted = values.to_vec();
    sorted.sort_unstable();
    let rank = (sorted.len() * percent as usize).div_ceil(100);
    sorted.get(rank.max(1) - 1).copied()
}

#[cfg(test)]
mod tests {
    use super::*;

    const RATE: u32 = 8000;

    fn tone(ms: usize) -> Vec<i16> {
        (0..ms * 8)
            .map(|n| if n % 16 < 8 { 8000 } else { -8000 })
            .collect()
    }

    #[test]
    fn latency_is_last_voiced_sent_to_first_voiced_heard() {
        let start = Instant::now();
        let at = |ms| start + Duration::from_millis(ms);
        // (speech from, to, reply from, expected)
        let rows = [
            (100, 600, Some(1050), Some(450), false),
            (100, 600, Some(610), Some(10), false),
            (100, 600, Some(400), None, true),
            (100, 600, None, None, false),
        ];
        for (from, to, reply, latency_ms, cut_in) in rows {
            let mut sent = Timeline::new(start, RATE);
            sent.place(at(from), &tone((to - from) as usize));
            let mut heard = Timeline::new(start, RATE);
            if let Some(reply) = reply {
                heard.place(at(reply), &tone(200));
            }
            let measured = measure(&sent, 0..8 * 2000, &heard, 8 * 5000);
            assert_eq!(measured.cut_in, cut_in, "{from} {to} {reply:?}");
            match (measured.latency_ms, latency_ms) {
                (Some(got), Some(want)) => assert!(got.abs_diff(want) <= 2, "{got} for {want}"),
                (got, want) => assert_eq!(got, want),
            }
        }
    }

    #[test]
    fn a_click_is_no_reply_and_bursts_queue_up() {
        let start = Instant::now();
        let at = |ms| start + Duration::from_millis(ms);
        let mut heard = Timeline::new(start, RATE);
        heard.place(at(100), &tone(10));
        heard.place(at(300), &tone(100));
        heard.place(at(310), &tone(20));
        assert_eq!(heard.onset(0..8000), Some(300 * 8));
        assert_eq!(heard.end(), 420 * 8);
        assert_eq!(heard.offset(0..8000), Some(420 * 8 - 1));
    }

    #[test]
    fn lateness_is_made_up_for() {
        let start = Instant::now();
        let at = |ms| start + Duration::from_millis(ms);
        // (sound, how late the second packet is, where the third one ends that is on time again)
        let rows = [
            (vec![0; 160], 15, 160),
            (tone(20), 15, 160),
            (vec![0; 160], 60, 200),
            (tone(20), 60, 220),
        ];
        for (sound, late_ms, end_ms) in rows {
            let mut heard = Timeline::new(start, RATE);
            heard.place(at(100), &sound);
            heard.place(at(120 + late_ms), &sound);
            heard.place(at(if late_ms > 20 { 180 } else { 140 }), &sound);
            assert_eq!(heard.end(), end_ms * 8, "{late_ms}");
        }
    }

    #[test]
    fn a_stretch_ends_before_a_gap() {
        let start = Instant::now();
        let mut heard = Timeline::new(start, RATE);
        for (from, ms) in [(100, 200), (500, 100), (1500, 100)] {
            heard.place(start + Duration::from_millis(from), &tone(ms));
        }
        // (from, shortest gap, expected end)
        let rows = [
            (100, 100, Some(300)),
            (100, 300, Some(600)),
            (100, 1000, Some(1600)),
            (350, 200, Some(600)),
            (700, 200, None),
        ];
        for (from, gap_ms, end_ms) in rows {
            let end = heard.stretch_end(from * 8, gap_ms, heard.end());
            assert_eq!(end, end_ms.map(|ms: usize| ms * 8 - 1), "{from} {gap_ms}");
        }
        assert!(heard.has_voice(500 * 8..600 * 8));
        assert!(!heard.has_voice(700 * 8..900 * 8));
    }

    #[test]
    fn percentiles_are_nearest_rank() {
        let values = [5, 1, 4, 2, 3];
        for (percent, expected) in [(50, 3), (95, 5), (20, 1), (100, 5)] {
            assert_eq!(percentile(&values, percent), Some(expected));
        }
        assert_eq!(percentile(&[], 50), None);
    }
}
