//! What the peer's loss reports mean for our Opus encoder: how much to repeat, how much to send.
//!
//! Owns: the rule. Does not own: the reports (`rtcp::reporter`), the encoder (`opus`).
//!
//! - Expected loss is the last reports' mean, half of it the newest, and half as much again: the encoder repeats packets
//!   in proportion, and too few repeats cost words, too many a little sharpness. Never less than 5 %, so that the first
//!   loss is covered, too; never more than 30 %.
//! - Above 10 % the path is taken to be full: 15 % less each report. Below 2 %: 1 kbit/s more each report. Bounds are
//!   [`opus::BITRATE_BPS_RANGE`] and what the peer asks for (RFC 7587 section 6.1, `maxaveragebitrate`).
//! - Loss that does not go away when less is sent is not of our making: after three steps down the rate stays where the
//!   in-band FEC still works (18 kbit/s), unless the peer asks for less.
//!
//! PURE.

use super::opus::{self, Settings};

/// Share lost from which the path is taken to be full, and below which there is room.
const LOSS_FULL: f64 = 0.10;
const LOSS_FREE: f64 = 0.02;

/// Below this libopus has no bits for FEC.
const FEC_BPS_MIN: u32 = 18_000;

const STEP_UP_BPS: u32 = 1_000;

/// Bounds of the expected loss, in percent.
const LOSS_PERCENT_RANGE: std::ops::RangeInclusive<f64> = 5.0..=30.0;

/// The rule with its memory.
#[derive(Debug, Clone)]
pub struct OpusRate {
    settings: Settings,
    bitrate_bps_max: u32,
    fec: bool,
    loss: f64,
}

impl OpusRate {
    /// Starts with the default rate, or the peer's limit if that is less. `fec`: whether the peer can use it
    /// (RFC 7587 section 6.1, `useinbandfec`); `dtx`: whether it wants silence unsent (`usedtx`).
    pub fn new(bitrate_bps_max: Option<u32>, fec: bool, dtx: bool) -> OpusRate {
        let (least, most) = (
            *opus::BITRATE_BPS_RANGE.start(),
            *opus::BITRATE_BPS_RANGE.end(),
        );
        let bitrate_bps_max = bitrate_bps_max.unwrap_or(most).clamp(least, most);
        let default = Settings::default();
        OpusRate {
            settings: Settings {
                bitrate_bps: default.bitrate_bps.min(bitrate_bps_max),
                loss_percent: if fec { default.loss_percent } else { 0 },
                dtx,
            },
            bitrate_bps_max,
            fec,
            loss: 0.0,
        }
    }

    pub fn settings(&self) -> Settings {
        self.settings
    }

    /// A report: the share of our packets lost since the one before, 0 to 1.
    pub fn reported(&mut self, fraction_lost: f64) -> Settings {
        let lost = fraction_lost.clamp(0.0, 1.0);
        self.loss += (lost - self.loss) / 2.0;
        let percent = 150.0 * self.loss;
        if self.fec {
            self.settings.loss_percent =
                percent.clamp(*LOSS_PERCENT_RANGE.start(), *LOSS_PERCENT_RANGE.end()) as u8;
        }
        let bitrate = self.settings.bitrate_bps;
        let least = match self.fec {
            true => FEC_BPS_MIN.min(self.bitrate_bps_max),
            false => *opus::BITRATE_BPS_RANGE.start(),
        };
        self.settings.bitrate_bps = if self.loss > LOSS_FULL {
            (bitrate / 100 * 85).max(least)
        } else if self.loss < LOSS_FREE {
            (bitrate + STEP_UP_BPS).min(self.bitrate_bps_max)
        } else {
            bitrate
        };
        self.settings
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Reports in percent, and the rate and expected loss after them.
    #[test]
    fn reports_set_rate_and_repetition() {
        let limits = [None, Some(16_000), Some(1), Some(500_000)];
        for (limit, fec, reports, bitrate_bps, loss_percent) in [
            (limits[0], true, &[][..], 28_000, 5),
            (limits[0], true, &[0, 0, 0], 31_000, 5),
            (limits[0], true, &[0; 40], 40_000, 5),
            (limits[0], true, &[8; 10], 28_000, 11),
            (limits[0], true, &[30, 30, 30], 18_000, 30),
            (limits[0], true, &[100; 40], 18_000, 30),
            (limits[0], false, &[30; 40], 8_000, 0),
            (limits[1], true, &[0; 40], 16_000, 5),
            (limits[1], true, &[100; 40], 16_000, 30),
            (limits[2], true, &[0; 40], 8_000, 5),
            (limits[3], false, &[0; 40], 40_000, 0),
        ] {
            let mut rate = OpusRate::new(limit, fec, false);
            for report in reports {
                rate.reported(f64::from(*report) / 100.0);
            }
            let settings = rate.settings();
            assert_eq!(
                (settings.bitrate_bps, settings.loss_percent),
                (bitrate_bps, loss_percent),
                "{limit:?} {fec} {reports:?}"
            );
        }
    }
}
