//! How good a call sounds, from what the network did to it: a short form of the E-model. ITU-T G.107, figures of G.113
//! appendix I.
//!
//! Owns: loss, delay and codec to a rating (R) and a mean opinion score (MOS). Does not own: measuring them.
//!
//! R = 93.2 - Id - Ie,eff. Everything about handsets, rooms and levels is the default of G.107, which gives the 93.2.
//! - Id, from the one-way delay d in ms (clause 7.4; the usual straight lines): 0.024 d, and 0.11 (d - 177.3) more beyond
//!   177.3 ms.
//! - Ie,eff, from the loss (clause 7.5): Ie + (95 - Ie) Ppl / (Ppl / BurstR + Bpl).
//! - Ie and Bpl by codec: G.711 with concealment 0 and 25.1, G.722 13 on its own scale, here 0 and 10 as it sounds no
//!   worse than G.711 to a telephone's ear (G.113 has no narrowband figure). Opus is in no edition of G.113: 0 and 25.1
//!   are what we take, and its in-band FEC counts by the packets it gives back, which are no longer lost.
//!
//! What is not in it: echo, noise, the speaker's own line. 4.4 is the best there is; 3.6 and less is heard to be bad.
//!
//! PURE.

use crate::codec::Codec;

/// R without any impairment of the network.
const RATING_MAX: f64 = 93.2;

/// What happened to one direction of a call.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Impairment {
    pub codec: Codec,
    /// From mouth to ear, in milliseconds.
    pub delay_ms: f64,
    /// Share of packets not heard (lost, or too late), 0 to 1.
    pub loss: f64,
    /// Packets lost in one run, on average; 1 is the least.
    pub loss_run: f64,
}

impl Impairment {
    /// R of G.107, 0 to 93.2.
    pub fn rating(&self) -> f64 {
        let loss = self.loss.clamp(0.0, 1.0);
        let delay_ms = self.delay_ms.max(0.0);
        let delay = 0.024 * delay_ms + 0.11 * (delay_ms - 177.3).max(0.0);
        let (base, robustness) = match self.codec {
            Codec::Pcmu | Codec::Pcma | Codec::Opus => (0.0, 25.1),
            Codec::G722 => (0.0, 10.0),
        };
        // Clause 7.5: the run's length against that of random loss, 1 / (1 - p).
        let bursts = (self.loss_run.max(1.0) * (1.0 - loss)).max(1.0);
        let percent = 100.0 * loss;
        let equipment = base + (95.0 - base) * percent / (percent / bursts + robustness);
        (RATING_MAX - delay - equipment).clamp(0.0, RATING_MAX)
    }

    /// Mean opinion score, 1 to 4.41. G.107 annex B.
    pub fn mos(&self) -> f64 {
        let r = self.rating();
        // Below 6.5 the curve dips under 1 (G.107 annex B).
        (1.0 + 0.035 * r + r * (r - 60.0) * (100.0 - r) * 7e-6).max(1.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scores_are_those_of_the_tables() {
        // Codec, delay, loss, run, MOS within 0.05.
        for (codec, delay_ms, loss, loss_run, mos) in [
            (Codec::Pcmu, 0.0, 0.0, 1.0, 4.41),
            (Codec::Pcmu, 100.0, 0.0, 1.0, 4.36),
            (Codec::Pcma, 100.0, 0.01, 1.0, 4.27),
            (Codec::Pcma, 100.0, 0.05, 1.0, 3.83),
            (Codec::Pcmu, 100.0, 0.1, 1.0, 3.25),
            (Codec::Pcmu, 400.0, 0.0, 1.0, 3.10),
            (Codec::G722, 50.0, 0.05, 1.0, 3.15),
            (Codec::Opus, 0.0, 1.0, 1.0, 1.18),
        ] {
            let impairment = Impairment {
                codec,
                delay_ms,
                loss,
                loss_run,
            };
            let found = impairment.mos();
            assert!((found - mos).abs() < 0.05, "{impairment:?}: {found:.2}");
        }
    }

    #[test]
    fn worse_is_never_better() {
        let score = |delay_ms: f64, loss: f64, loss_run: f64| {
            Impairment {
                codec: Codec::Pcmu,
                delay_ms,
                loss,
                loss_run,
            }
            .mos()
        };
        for step in 0..100 {
            let n = f64::from(step);
            assert!(score(n * 10.0, 0.02, 1.0) >= score(n * 10.0 + 10.0, 0.02, 1.0));
            assert!(score(50.0, n / 100.0, 1.0) >= score(50.0, n / 100.0 + 0.01, 1.0));
            assert!(score(50.0, 0.05, 1.0 + n / 10.0) >= score(50.0, 0.05, 1.1 + n / 10.0));
        }
        assert!((1.0..4.5).contains(&score(f64::INFINITY, 7.0, f64::NAN)));
    }
}
