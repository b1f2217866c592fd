//! Never hear yourself: takes our own sound, sent back by the phone, out of what the caller says.
//!
//! Owns: one call's memory of what was played, the delay of its echo, a filter for it, and the decision whether what is
//! left is a person. Does not own: voice activity, turns, sockets, the time at which frames come.
//!
//! Every frame that playout sends goes to [`EchoCanceller::far`], every frame received to [`EchoCanceller::near`], which
//! changes it in place without delay. While we have been silent for [`EchoConfig::idle_ms`] it passes as it is, at next
//! to no cost.
//!
//! PURE.

mod comfort;
mod filter;
mod gate;
mod history;
mod likeness;

use crate::{FRAME_MS, FRAME_SAMPLES, Frame};
use comfort::{Comfort, Floor};
use filter::EchoFilter;
use gate::{Gate, Sight};
use history::{FarHistory, HALF_FRAME, Halver, power};
use likeness::{LAG_MAX, Likeness, Matcher};

/// What is taken for echo. The default is tuned on telephone-band speech; levels are mean squares of 16 bit samples.
#[derive(Debug, Clone, PartialEq)]
pub struct EchoConfig {
    /// Off: every frame passes as it is.
    pub enabled: bool,
    /// After this long without sound from us nothing can come back, in milliseconds.
    pub idle_ms: u32,
    /// Our own frames below this are silence.
    pub far_audible: f32,
    /// Received frames below this are too quiet for anybody, and pass.
    pub audible: f32,
    /// The strongest echo thought possible, as a ratio of powers.
    pub line_gain_max: f32,
    /// Safety on the measured gain of the line.
    pub line_gain_margin: f32,
    /// How fast the measured gain is forgotten, per frame.
    pub line_gain_rise: f32,
    /// How far above the filter's rest a person must be.
    pub low_margin: f32,
    /// How much of an echo's power is still there a frame later: the room.
    pub tail_keep: f32,
    /// How far above the line's own noise a person must be.
    pub floor_margin: f32,
    /// Likeness below which it is not.
    pub foreign_likeness: f32,
    /// Likeness from which its delay is believed.
    pub lock_likeness: f32,
    /// Likeness that counts as three, where others that are believed count as two.
    pub sure_likeness: f32,
    /// What frames of one delay in a row must count to be an echo.
    pub lock_weight_min: i32,
    /// Frames unlike ours that make a person.
    pub credit_min: i32,
    /// How long the way stays open after a person's last loud frame, in frames.
    pub hang_frames: i32,
    /// Seed of the comfort noise.
    pub seed: u64,
}

impl Default for EchoConfig {
    fn default() -> EchoConfig {
        EchoConfig {
            enabled: true,
            idle_ms: 800,
            far_audible: 100.0,
            audible: 600.0,
            line_gain_max: 0.25,
            line_gain_margin: 4.0,
            line_gain_rise: 1.001,
            low_margin: 4.0,
            tail_keep: 0.6,
            floor_margin: 3.0,
            foreign_likeness: 0.45,
            lock_likeness: 0.6,
            sure_likeness: 0.75,
            lock_weight_min: 6,
            credit_min: 2,
            hang_frames: 10,
            seed: 1,
        }
    }
}

/// What a received frame was.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EchoVerdict {
    /// We were silent: it passed as it is.
    Idle,
    /// It passed, less the echo expected in it.
    Passed,
    /// Nobody but us: it became comfort noise.
    Echo,
}

/// What [`EchoCanceller::near`] did.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct EchoReport {
    pub verdict: EchoVerdict,
    /// Power taken out of the frame, in decibels; 0 where it passed as it is.
    pub attenuation_db: f32,
    /// Delay of the echo behind playout, in milliseconds, where an echo has been found.
    pub delay_ms: Option<u32>,
    /// Power that the filter alone took out, in decibels.
    pub rest_db: f32,
    /// Likeness to what we played, 0 to 1, where it was looked at.
    pub likeness: Option<f32>,
}

/// Received frames over which the two streams' pace is compared: 1 s.
const PACE_FRAMES: i32 = 50;
/// A difference in pace of more is a hole, not a slip: 0.8 s.
const SLIP_FRAMES_MAX: i64 = 40;
/// Samples before the echo's first that the filter begins at: 4 ms.
const EARLY: i64 = 64;
/// Delays that differ by less are the same: 1.5 ms.
const SAME_LAG: i64 = 24;
/// Frames behind the delay that a room still answers in.
const DELAY_FRAMES_MAX: i64 = 25;
/// Crossing from one way to the other: 5 ms.
const RAMP: usize = 80;
/// The most that may come back, with its margin, against noise that covers it.
const COVERED_MARGIN: f32 = 10.0;
/// Frames up to this much above the line's own noise are noise.
const QUIET_MARGIN: f32 = 1.6;

/// The echo canceller of one call.
#[derive(Debug)]
pub struct EchoCanceller {
    config: EchoConfig,
    far: FarHistory,
    /// Frames since we were last audible.
    quiet_frames: u32,
    /// Number of the next received frame, on the count of played ones.
    near_frames: Option<i64>,
    pace: (i64, i64, i32),
    halver: Halver,
    matcher: Matcher,
    filter: EchoFilter,
    lock: Option<i64>,
    /// A delay seen and how often.
    candidate: (i64, i32),
    gate: Gate,
    idle: bool,
    /// Loudest received frame of late, by frames: for the gain of the line.
    near_powers: [f32; DELAY_FRAMES_MAX as usize + 1],
    floor: Floor,
    /// The last frame less the echo expected in it, whatever the verdict.
    cleaned: Frame,
    comfort: Comfort,
    /// Received sound passed in the last frame.
    was_open: bool,
    rest_db: f32,
}

impl EchoCanceller {
    /// For one call; nothing played, nothing received.
    pub fn new(config: EchoConfig) -> EchoCanceller {
        EchoCanceller {
            far: FarHistory::new(),
            quiet_frames: u32::MAX,
            near_frames: None,
            pace: (i64::MAX, i64::MIN, 0),
            halver: Halver::new(),
            matcher: Matcher::new(),
            filter: EchoFilter::new(),
            lock: None,
            candidate: (0, 0),
            gate: Gate::new(&config),
            idle: true,
            near_powers: [0.0; DELAY_FRAMES_MAX as usize + 1],
            floor: Floor::new(),
            cleaned: [0; FRAME_SAMPLES],
            comfort: Comfort::new(config.seed),
            was_open: true,
            rest_db: 0.0,
            config,
        }
    }

    /// The next 20 ms that playout sends, silence included: one call per frame sent.
    pub fn far(&mut self, pcm: &Frame) {
        if !self.config.enabled {
            return;
        }
        self.far.push(pcm);
        if self.far.power(self.far.frames() - 1) > self.config.far_audible {
            self.quiet_frames = 0;
        } else {
            self.quiet_frames = self.quiet_frames.saturating_add(1);
        }
    }

    /// The next 20 ms received, at whatever pace they come; the echo in them is taken out in place.
    pub fn near(&mut self, pcm: &mut Frame) -> EchoReport {
        if !self.config.enabled {
            return self.report(EchoVerdict::Idle, 0.0, None);
        }
        let end = self.keep_pace();
        let near = power(pcm);
        self.near_powers.copy_within(..DELAY_FRAMES_MAX as usize, 1);
        self.near_powers[0] = near;
        if u64::from(self.quiet_frames) * FRAME_MS > u64::from(self.config.idle_ms) {
            if !self.idle {
                self.idle = true;
                self.gate.rest();
            }
            self.was_open = true;
            self.cleaned = *pcm;
            self.hear_noise(near, true);
            return self.report(EchoVerdict::Idle, 0.0, None);
        }
        if self.idle {
            self.idle = false;
            self.matcher.clear();
            if let Some(lag) = self.lock {
                self.filter.shift(
                    &self.far,
                    (end - 1) * FRAME_SAMPLES as i64,
                    (lag - EARLY).max(0),
                );
            }
            let talking = self.near_powers[1..6]
                .iter()
                .any(|&p| p > 16.0 * self.floor.power().max(self.config.audible));
            self.gate.begin(&self.config, talking);
        }
        self.armed(pcm, near, end)
    }

    /// The last received frame less the echo expected in it, also where the verdict was [`EchoVerdict::Echo`]: for the
    /// sound of an utterance, whose first soft consonant comes before anything can know it for a person's.
    pub fn cleaned(&self) -> &Frame {
        &self.cleaned
    }

    fn armed(&mut self, pcm: &mut Frame, near: f32, end: i64) -> EchoReport {
        let position = end * FRAME_SAMPLES as i64;
        let half = self.halver.frame(pcm);
        self.matcher.push(&half);
        self.bound_line(end);
        let samples: [f32; FRAME_SAMPLES] = std::array::from_fn(|n| f32::from(pcm[n]));
        let mut rest = samples;
        let mut echo = 0.0;
        if self.lock.is_some() {
            let expected = self.filter.expect(&self.far, position);
            echo = mean_square(&expected);
            for (r, e) in rest.iter_mut().zip(&expected) {
                *r -= e;
            }
            self.filter.learn(&rest);
        }
        let rest_power = mean_square(&rest);
        self.rest_db = 10.0 * ((near + 1.0) / (rest_power + 1.0)).log10();
        let far_max = self.far.power_max(end, DELAY_FRAMES_MAX + 1);
        let floor = self.floor.power();
        let (low, high) = self.gate.bounds(&self.config, far_max, echo, floor);
        let found = if near > self.config.audible && rest_power > low {
            self.matcher.compare(&self.far, end * HALF_FRAME as i64)
        } else {
            None
        };
        let copy = match found {
            Some(found) => self.follow(found, position, near, rest_power),
            None => false,
        };
        let sight = Sight {
            near,
            rest: rest_power.min(near),
            echo,
            far_max,
            floor,
            copy,
            likeness: found.map(|f| f.degree),
        };
        // What is no louder than the line's own noise hides nothing, and passes.
        let quiet = near <= self.config.audible.max(QUIET_MARGIN * floor);
        // Nor does an echo that noise covers; cutting it out would be heard more than it is.
        let covered = high <= COVERED_MARGIN * floor;
        let open = self.gate.decide(&self.config, &sight) || quiet || covered;
        let better = self.lock.is_some() && rest_power < near;
        self.cleaned = *pcm;
        if better {
            for (to, &from) in self.cleaned.iter_mut().zip(&rest) {
                *to = from.round().clamp(-32_768.0, 32_767.0) as i16;
            }
        }
        self.hear_noise(rest_power.min(near), better);
        let mut attenuation_db = 0.0;
        let changed = if open { better } else { true };
        if open && changed {
            *pcm = self.cleaned;
        } else if !open {
            self.comfort.fill(pcm);
        }
        if self.was_open != open {
            self.blend(pcm, &samples, open);
        }
        self.was_open = open;
        if changed {
            attenuation_db = 10.0 * ((near + 1.0) / (power(pcm) + 1.0)).log10();
        }
        let verdict = if open {
            EchoVerdict::Passed
        } else {
            EchoVerdict::Echo
        };
        self.report(verdict, attenuation_db, found)
    }

    /// Number of the frame after this one, in frames played. Both streams keep real time, but the received one slips: its
    /// sender's clock differs, packets come late. What is slow over a second is a slip.
    fn keep_pace(&mut self) -> i64 {
        let played = self.far.frames();
        let mut end = self.near_frames.map_or(played, |frames| frames + 1);
        let behind = played - end;
        if behind.abs() > SLIP_FRAMES_MAX {
            end = played;
            self.lock = None;
            self.matcher.clear();
            self.pace = (i64::MAX, i64::MIN, 0);
        } else {
            let (least, most, count) = self.pace;
            self.pace = (least.min(behind), most.max(behind), count + 1);
            if count + 1 >= PACE_FRAMES {
                let (least, most, _) = self.pace;
                let slip = least.max(0) + most.min(0);
                if slip != 0 {
                    end += slip;
                    // What is in the filter was played where it was played.
                    self.lock = self
                        .lock
                        .map(|lag| lag + slip * FRAME_SAMPLES as i64)
                        .filter(|lag| (0..2 * LAG_MAX as i64).contains(lag));
                    if let Some(lag) = self.lock {
                        self.filter.shift(
                            &self.far,
                            (end - 1) * FRAME_SAMPLES as i64,
                            (lag - EARLY).max(0),
                        );
                    }
                    self.matcher.clear();
                }
                self.pace = (i64::MAX, i64::MIN, 0);
            }
        }
        self.near_frames = Some(end);
        end
    }

    /// Whatever came since a frame was played bounds what the line sends back of it.
    fn bound_line(&mut self, end: i64) {
        let played = self.far.power(end - 1 - DELAY_FRAMES_MAX);
        if played > 100.0 * self.config.far_audible {
            let most = self.near_powers.iter().fold(1.0_f32, |a, &b| a.max(b));
            self.gate.bounded(&self.config, most / played);
        }
    }

    /// A match was found. True when it stays at one delay for long enough to be no chance: an echo. Its delay is taken then.
    fn follow(&mut self, found: Likeness, position: i64, near: f32, rest: f32) -> bool {
        if found.degree < self.config.lock_likeness {
            self.candidate.1 = 0;
            return false;
        }
        let weight = if found.degree >= self.config.sure_likeness {
            3
        } else {
            2
        };
        if (found.lag - self.candidate.0).abs() <= SAME_LAG {
            self.candidate.1 += weight;
        } else {
            self.candidate = (found.lag, weight);
        }
        if self.candidate.1 < self.config.lock_weight_min {
            return false;
        }
        self.gate.copied(&self.config, found.gain);
        match self.lock {
            Some(lag) if (lag - found.lag).abs() <= SAME_LAG => {
                // The delay is right and much is left: the response changed.
                if rest > 0.3 * near {
                    self.filter.doubt_again(found.gain * 0.3);
                }
            }
            Some(_) if rest < 0.3 * near => {}
            _ => {
                self.lock = Some(found.lag);
                self.filter
                    .start(&self.far, position, (found.lag - EARLY).max(0), found.gain);
                self.gate.new_filter();
            }
        }
        true
    }

    /// Learns the line's own noise from `cleaned`. While our echo may be in it (`clean` false), only that there is less.
    fn hear_noise(&mut self, power: f32, clean: bool) {
        if clean {
            self.floor.frame(power);
        } else {
            self.floor.below(power);
        }
        if clean && power <= QUIET_MARGIN * self.floor.power() {
            self.comfort.keep(&self.cleaned);
        }
    }

    /// 5 ms from one way to the other.
    fn blend(&mut self, pcm: &mut Frame, samples: &[f32; FRAME_SAMPLES], open: bool) {
        if open {
            // From silence: only up.
            for (n, sample) in pcm.iter_mut().take(RAMP).enumerate() {
                *sample = (f32::from(*sample) * n as f32 / RAMP as f32) as i16;
            }
        } else {
            for (n, sample) in pcm.iter_mut().take(RAMP).enumerate() {
                let part = n as f32 / RAMP as f32;
                *sample = (samples[n] * (1.0 - part) + f32::from(*sample) * part) as i16;
            }
        }
    }

    fn report(
        &self,
        verdict: EchoVerdict,
        attenuation_db: f32,
        found: Option<Likeness>,
    ) -> EchoReport {
        EchoReport {
            verdict,
            attenuation_db,
            delay_ms: self.lock.map(|lag| u32::try_from(lag / 16).unwrap_or(0)),
            rest_db: self.rest_db,
            likeness: found.map(|f| f.degree),
        }
    }
}

fn mean_square(samples: &[f32; FRAME_SAMPLES]) -> f32 {
    samples.iter().map(|s| s * s).sum::<f32>() / FRAME_SAMPLES as f32
}

#[cfg(test)]
mod tests;
