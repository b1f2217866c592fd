//! Where each word of a clause lies in its sound: the likeliest way to lay the sounds the words are said with, one after
//! the other, over the windows of the clause (a hidden semi-Markov model, searched by dynamic programming).
//!
//! Owns: the search, its bounds, and what it falls back to. Not the words' sounds (`spoken`), the windows (`sound`) or
//! what a class of sound is like (`figures`).
//!
//! Bound: [`CELLS_MAX`] places in the search; a clause with more shares its sound out by expected durations alone.
//!
//! PURE.

use super::figures::{Class, Figures};
use super::sound::{QUIET, Window};
use super::spoken::{After, Place, SOUNDS, Sound, Word};

/// Sounds times windows that are searched: about 4 MB of memory for the time of the search.
const CELLS_MAX: usize = 400_000;
/// How much a window counts beside a duration: neighbours are alike, so they are not independent witnesses.
const WINDOW_WEIGHT: f32 = 0.35;
/// Longest single sound, in windows.
const SOUND_WINDOWS_MAX: usize = 50;
/// A run of quiet windows this long is a pause and no closure.
const PAUSE_WINDOWS_MIN: usize = 9;
/// The search looks so many windows, and this share of the way, to either side of where a sound is expected.
const BAND_WHOLE: (f32, f32) = (40.0, 0.08);
const BAND_BEGINNING: (f32, f32) = (70.0, 0.16);
/// With an open end, every sound more costs its duration's logarithm, and the search would rather stretch few sounds
/// than lay many. So much of what a sound usually costs is given back; found by measuring.
const BEGUN_BONUS: f32 = 1.3;
/// Half the logarithm of a full turn, for normal densities.
const LOG_ROOT_TAU: f32 = 0.919;
/// Unlikeliness below everything reachable.
const NEVER: f32 = -1e30;

/// Whether the windows are all of the clause.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Extent {
    Whole,
    /// More may come, or what should have come failed: the words may reach beyond the windows.
    Beginning,
}

/// A span in windows, from the first to the one after the last.
pub type Span = (f32, f32);

struct Unit {
    sound: Sound,
    place: Place,
    word: usize,
    after: Option<After>,
}

/// What the search found.
pub struct Found {
    /// One span for each word, never decreasing; words beyond the windows lie at infinity.
    pub words: Vec<Span>,
    /// The sounds laid over the windows, for fitting.
    pub sounds: Vec<(Sound, Place, usize, usize)>,
    /// Logarithm of how likely it is.
    pub score: f32,
}

/// Expected length of what `words` say, in windows at the reference rate, without pauses.
pub fn expected_windows(words: &[Word], figures: &Figures) -> f32 {
    units(words)
        .iter()
        .map(|unit| figures.mean(unit.sound, unit.place))
        .sum()
}

/// Windows in which something is said: all but the pauses.
pub fn sounding_windows(windows: &[Window]) -> usize {
    let mut sounding = windows.len();
    let mut quiet = 0;
    for (at, window) in windows.iter().enumerate() {
        let is_quiet = window[0] < QUIET;
        quiet = if is_quiet { quiet + 1 } else { 0 };
        let ends = is_quiet && windows.get(at + 1).is_none_or(|next| next[0] >= QUIET);
        if ends && quiet >= PAUSE_WINDOWS_MIN {
            sounding -= quiet;
        }
    }
    sounding
}

/// Lays `words` over `windows`. `rate` is how much longer than the reference the voice takes.
pub fn align(
    words: &[Word],
    windows: &[Window],
    extent: Extent,
    rate: f32,
    figures: &Figures,
) -> Found {
    let units = units(words);
    let cells = (units.len() + 1) * (windows.len() + 1);
    let found = (cells <= CELLS_MAX && !units.is_empty())
        .then(|| Search::new(&units, windows, extent, rate, figures).run())
        .flatten();
    let (sounds, score) =
        found.unwrap_or_else(|| (shared_out(&units, windows, extent, rate, figures), NEVER));
    Found {
        words: word_spans(words, &units, &sounds, rate, figures),
        sounds: sounds
            .iter()
            .zip(&units)
            .map(|((from, to), unit)| (unit.sound, unit.place, *from, *to))
            .collect(),
        score,
    }
}

fn units(words: &[Word]) -> Vec<Unit> {
    let mut units: Vec<Unit> = Vec::new();
    for (word, read) in words.iter().enumerate() {
        units.extend(read.sounds.iter().map(|&(sound, place)| Unit {
            sound,
            place,
            word,
            after: None,
        }));
        if let Some(last) = units.last_mut() {
            // A dash that says nothing makes a pause after the word before it.
            last.after = match (last.after, read.after) {
                (Some(After::Stop), _) | (_, After::Stop) => Some(After::Stop),
                (Some(After::Comma), _) | (_, After::Comma) => Some(After::Comma),
                _ => Some(After::Nothing),
            };
        }
    }
    units
}

/// Spans of words from those of their sounds. A word half said is given the length it should have; one that says nothing
/// goes with the word after it, or at the end with the one before.
fn word_spans(
    words: &[Word],
    units: &[Unit],
    sounds: &[(usize, usize)],
    rate: f32,
    figures: &Figures,
) -> Vec<Span> {
    let mut spans: Vec<Option<Span>> = vec![None; words.len()];
    for (at, unit) in units.iter().enumerate() {
        let span = &mut spans[unit.word];
        match sounds.get(at) {
            Some(&(from, to)) => {
                let from = span.map_or(from as f32, |(from, _)| from);
                *span = Some((from, to as f32));
            }
            None => match span {
                Some((_, to)) => *to += rate * figures.mean(unit.sound, unit.place),
                None => *span = Some((f32::INFINITY, f32::INFINITY)),
            },
        }
    }
    let mut next = spans
        .iter()
        .rev()
        .find_map(|span| *span)
        .unwrap_or((0.0, 0.0));
    for span in spans.iter_mut().rev() {
        next = *span.get_or_insert(next);
    }
    spans.into_iter().flatten().collect()
}

/// The sounds by their expected durations alone, over the windows that are not quiet.
fn shared_out(
    units: &[Unit],
    windows: &[Window],
    extent: Extent,
    rate: f32,
    figures: &Figures,
) -> Vec<(usize, usize)> {
    let loud = |window: &Window| window[0] >= QUIET;
    let start = windows.iter().position(loud).unwrap_or(0);
    let end = windows
        .iter()
        .rposition(loud)
        .map_or(windows.len(), |last| last + 1);
    let total: f32 = units
        .iter()
        .map(|unit| figures.mean(unit.sound, unit.place))
        .sum();
    let scale = match extent {
        Extent::Whole => (end - start) as f32 / total.max(1.0),
        Extent::Beginning => rate,
    };
    let mut at = start as f32;
    let mut spans = Vec::new();
    for unit in units {
        let to = at + scale * figures.mean(unit.sound, unit.place);
        if extent == Extent::Beginning && at >= end as f32 {
            break;
        }
        spans.push((at as usize, to as usize));
        at = to;
    }
    spans
}

struct Search<'a> {
    units: &'a [Unit],
    windows: usize,
    extent: Extent,
    rate: f32,
    figures: &'a Figures,
    /// Sum of the logarithms of each class over the windows before each place.
    heard: Vec<[f32; SOUNDS]>,
    /// Where each unit is expected to end.
    expected: Vec<f32>,
    /// Score of having said so many units by each place, with the pause after the last of them.
    best: Vec<f32>,
    /// How long the last of them was, and the pause after it.
    long: Vec<(u8, u16)>,
}

impl<'a> Search<'a> {
    fn new(
        units: &'a [Unit],
        windows: &[Window],
        extent: Extent,
        rate: f32,
        figures: &'a Figures,
    ) -> Search<'a> {
        let loudest = windows.iter().map(|window| window[0]).fold(-1.8, f32::max);
        let mut heard = Vec::with_capacity(windows.len() + 1);
        let mut sums = [0.0; SOUNDS];
        heard.push(sums);
        for window in windows {
            let mut relative = *window;
            relative[0] -= loudest;
            for (sum, class) in sums.iter_mut().zip(&figures.classes) {
                *sum += WINDOW_WEIGHT * class.log_likelihood(&relative);
            }
            heard.push(sums);
        }
        let cells = (units.len() + 1) * (windows.len() + 1);
        let mut search = Search {
            units,
            windows: windows.len(),
            extent,
            rate,
            figures,
            heard,
            expected: Vec::new(),
            best: vec![NEVER; cells],
            long: vec![(0, 0); cells],
        };
        search.expect(windows);
        search
    }

    /// Where each unit should end, from the durations alone; a place in what is said is turned into one in the windows by
    /// leaving out the quiet runs.
    fn expect(&mut self, windows: &[Window]) {
        let mut said = Vec::new();
        let mut at = 0;
        while at < windows.len() {
            let quiet = windows[at..]
                .iter()
                .take_while(|window| window[0] < QUIET)
                .count();
            if quiet < PAUSE_WINDOWS_MIN {
                said.extend(at..at + quiet);
            }
            at += quiet;
            if at < windows.len() {
                said.push(at);
                at += 1;
            }
        }
        let total: f32 = self
            .units
            .iter()
            .map(|unit| self.figures.mean(unit.sound, unit.place))
            .sum();
        let scale = match self.extent {
            Extent::Whole => said.len() as f32 / total.max(1.0),
            Extent::Beginning => self.rate,
        };
        let mut position = 0.0;
        self.expected.push(0.0);
        for unit in self.units {
            position += scale * self.figures.mean(unit.sound, unit.place);
            let place = said
                .get(position as usize)
                .copied()
                .unwrap_or(windows.len());
            let beyond = (position - said.len() as f32).max(0.0);
            self.expected.push(place as f32 + beyond);
        }
    }

    fn band(&self, said: usize) -> (usize, usize) {
        let (windows, share) = match self.extent {
            Extent::Whole => BAND_WHOLE,
            Extent::Beginning => BAND_BEGINNING,
        };
        let width = windows + share * self.expected[said].min(self.windows as f32);
        let from = (self.expected[said] - width).max(0.0) as usize;
        let to = (self.expected[said] + width) as usize;
        (from.min(self.windows + 1), to.min(self.windows))
    }

    fn cell(&self, said: usize, place: usize) -> usize {
        said * (self.windows + 1) + place
    }

    /// Spans of the units that fit into the windows, and the score.
    fn run(mut self) -> Option<(Vec<(usize, usize)>, f32)> {
        let mut ends = vec![NEVER; self.windows + 1];
        ends[0] = 0.0;
        self.pause_after(0, &mut ends, 0.0, 0.0);
        let mut durations = Vec::new();
        // Score of having said all before a unit, less what the windows before it would have counted for the unit.
        let mut before = vec![NEVER; self.windows + 1];
        // With an open end: units wholly said, length of the one begun, score.
        let mut open = (0, 0, self.best[self.cell(0, self.windows)]);
        for said in 1..=self.units.len() {
            let unit = &self.units[said - 1];
            let (mean, spread) = self.figures.duration(unit.sound, unit.place, self.rate);
            log_durations(mean, spread, &mut durations);
            if self.extent == Extent::Beginning {
                let usual = mean.ln() + spread.ln() + LOG_ROOT_TAU + 0.5;
                for duration in &mut durations {
                    *duration += BEGUN_BONUS * usual;
                }
            }
            let shortest = (mean * 0.35).max(1.0) as usize;
            let class = unit.sound as usize;
            let (from, to) = self.band(said);
            ends.fill(NEVER);
            let row = self.cell(said - 1, 0);
            for (place, score) in before.iter_mut().enumerate() {
                *score = self.best[row + place] - self.heard[place][class];
            }
            for place in from..=to {
                let longest = durations.len().min(place);
                if longest < shortest {
                    continue;
                }
                let mut top = (NEVER, 0);
                let earlier = before[place - longest..=place - shortest].iter().rev();
                for (long, (earlier, duration)) in
                    earlier.zip(&durations[shortest - 1..longest]).enumerate()
                {
                    let score = earlier + duration;
                    if score > top.0 {
                        top = (score, long + shortest);
                    }
                }
                if top.1 > 0 {
                    ends[place] = top.0 + self.heard[place][class];
                    let cell = self.cell(said, place);
                    self.long[cell].0 = top.1 as u8;
                }
            }
            if self.extent == Extent::Beginning {
                for long in 1..=durations.len().min(self.windows) {
                    let place = self.windows - long;
                    // How likely it is to last at least so long.
                    let beyond = ((long as f32).ln() - mean.ln()) / spread;
                    let score = self.best[self.cell(said - 1, place)]
                        + self.heard[self.windows][class]
                        - self.heard[place][class]
                        - (1.702 * beyond).exp().ln_1p();
                    if score > open.2 {
                        open = (said - 1, long, score);
                    }
                }
            }
            let (pause, none) = match unit.after {
                Some(After::Stop) => (-1.0, -2.0),
                Some(After::Comma) => (-1.5, -1.0),
                Some(After::Nothing) => (-6.0, 0.0),
                None => (-11.0, 0.0),
            };
            self.pause_after(said, &mut ends, pause, none);
            let whole = self.best[self.cell(said, self.windows)];
            if self.extent == Extent::Beginning && whole > open.2 {
                open = (said, 0, whole);
            }
        }
        let mut said = self.units.len();
        let mut place = self.windows;
        let mut spans = Vec::new();
        let mut score = self.best[self.cell(said, place)];
        if self.extent == Extent::Beginning {
            score = open.2;
            said = open.0;
            if open.1 > 0 {
                spans.push((place - open.1, place));
                place -= open.1;
            }
        }
        if score <= NEVER / 2.0 {
            return None;
        }
        while said > 0 {
            let (_, pause) = self.long[self.cell(said, place)];
            place -= usize::from(pause);
            let (long, _) = self.long[self.cell(said, place)];
            if long == 0 || usize::from(long) > place {
                return None;
            }
            spans.push((place - usize::from(long), place));
            place -= usize::from(long);
            said -= 1;
        }
        spans.reverse();
        Some((spans, score))
    }

    /// Fills `best` for so many units said, from the scores of the last one ending at each place.
    fn pause_after(&mut self, said: usize, ends: &mut [f32], pause: f32, none: f32) {
        let mut resting = (NEVER, 0_u16);
        for place in 0..=self.windows {
            if place > 0 {
                let quiet = self.heard[place][Sound::Pause as usize]
                    - self.heard[place - 1][Sound::Pause as usize];
                let begun = ends[place - 1] + pause;
                if begun > resting.0 {
                    resting = (begun, 0);
                }
                resting = (resting.0 + quiet, resting.1.saturating_add(1));
            }
            let cell = self.cell(said, place);
            let straight = ends[place] + none;
            if straight >= resting.0 {
                self.best[cell] = straight;
            } else {
                self.best[cell] = resting.0;
                self.long[cell].1 = resting.1;
            }
        }
    }
}

/// Logarithm of the probability of each length from one window up, log-normal around `mean`.
fn log_durations(mean: f32, spread: f32, out: &mut Vec<f32>) {
    out.clear();
    let longest = ((mean * 2.8) as usize + 2).min(SOUND_WINDOWS_MAX);
    for long in 1..=longest {
        let log = (long as f32).ln();
        let off = (log - mean.ln()) / spread;
        out.push(-0.5 * off * off - spread.ln() - log - LOG_ROOT_TAU);
    }
}

impl Class {
    fn log_likelihood(&self, window: &Window) -> f32 {
        let mut log = 0.0;
        for (value, (mean, spread)) in window.iter().zip(&self.features) {
            let off = (value - mean) / spread;
            log -= 0.5 * off * off + spread.ln() + LOG_ROOT_TAU;
        }
        // A window unlike anything is noise in the figures, not proof.
        log.max(-25.0)
    }
}
