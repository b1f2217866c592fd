//! Our echo, or somebody speaking? One decision per frame from powers and likeness. Not here: signals.
//!
//! Three ranges of what is left after the filter:
//! - below what the filter is known to leave: echo;
//! - above all that this line has ever sent back of ours: a person, at once;
//! - between: a person unless it is a copy of what we played, which 40 ms of sound tell.
//!
//! PURE.

use super::EchoConfig;

/// What one frame looked like. Powers are mean squares.
#[derive(Debug, Clone, Copy)]
pub(super) struct Sight {
    /// As received.
    pub near: f32,
    /// After the filter.
    pub rest: f32,
    /// The filter's expectation; 0 without one.
    pub echo: f32,
    /// Loudest frame played in the time an echo may come from.
    pub far_max: f32,
    /// The line's own noise.
    pub floor: f32,
    /// Known to be a copy of what we played.
    pub copy: bool,
    /// Likeness to what we played, where it was looked at.
    pub likeness: Option<f32>,
}

#[derive(Debug)]
pub(super) struct Gate {
    /// Most that the line sends back, as a ratio of powers.
    line_gain: f32,
    /// What the filter leaves of the echo, as a ratio of powers.
    left: f32,
    /// Expected echo with its reverberation.
    tail: f32,
    /// Frames that have looked like a person, in a row or nearly.
    credit: i32,
    hang: i32,
    open: bool,
}

impl Gate {
    pub(super) fn new(config: &EchoConfig) -> Gate {
        Gate {
            line_gain: config.line_gain_max,
            left: 1.0,
            tail: 0.0,
            credit: 0,
            hang: 0,
            open: true,
        }
    }

    /// Nothing of ours can be in the line: everything passes.
    pub(super) fn rest(&mut self) {
        self.tail = 0.0;
        self.credit = 0;
    }

    /// We begin to be heard. `talking` says that the caller spoke just now.
    pub(super) fn begin(&mut self, config: &EchoConfig, talking: bool) {
        self.open = talking;
        self.hang = if talking { config.hang_frames } else { 0 };
    }

    /// A filter was set up for another response: nothing is known about what it leaves.
    pub(super) fn new_filter(&mut self) {
        self.left = 1.0;
    }

    /// The line has been seen to send back no more than `gain`.
    pub(super) fn bounded(&mut self, config: &EchoConfig, gain: f32) {
        // One frame is weak evidence (a sibilant that the line does not carry): down by 1 dB at a time.
        let least = self.line_gain * 0.8;
        self.line_gain = (self.line_gain * config.line_gain_rise)
            .min(gain * config.line_gain_margin)
            .max(least)
            .clamp(1e-6, config.line_gain_max);
    }

    /// A copy of that gain was found.
    pub(super) fn copied(&mut self, config: &EchoConfig, gain: f32) {
        self.line_gain = self
            .line_gain
            .max(gain * config.line_gain_margin)
            .min(config.line_gain_max);
    }

    /// What would be taken for echo whatever it is like, and what cannot be echo.
    pub(super) fn bounds(
        &self,
        config: &EchoConfig,
        far_max: f32,
        echo: f32,
        floor: f32,
    ) -> (f32, f32) {
        let tail = echo.max(self.tail * config.tail_keep);
        let low = (self.left * tail * config.low_margin + floor * config.floor_margin)
            .max(config.audible);
        (low, (self.line_gain * far_max).max(low))
    }

    /// True when the frame passes.
    pub(super) fn decide(&mut self, config: &EchoConfig, sight: &Sight) -> bool {
        let (low, high) = self.bounds(config, sight.far_max, sight.echo, sight.floor);
        self.tail = sight.echo.max(self.tail * config.tail_keep);
        let foreign = sight.likeness.is_some_and(|l| l < config.foreign_likeness);
        let person = if sight.rest <= low || sight.copy {
            false
        } else if sight.near > high {
            true
        } else {
            foreign
        };
        if person {
            self.credit += if sight.near > high {
                config.credit_min
            } else {
                1
            };
            self.credit = self.credit.min(config.credit_min);
        } else if sight.rest <= low || sight.copy {
            self.credit = 0;
        }
        if self.credit >= config.credit_min {
            self.open = true;
        }
        if self.open {
            if person {
                self.hang = config.hang_frames;
            } else {
                self.hang -= 1;
            }
            if self.hang <= 0 || sight.copy {
                self.open = false;
                self.credit = 0;
            }
        }
        if !self.open && sight.echo > config.audible {
            let ratio = (sight.rest / self.tail.max(1.0)).min(1.0);
            let speed = if ratio > self.left { 0.2 } else { 0.03 };
            self.left = (self.left + speed * (ratio - self.left)).max(0.003);
        }
        self.open
    }
}
