//! How a call sounded, leg by leg: what the network did to it and what was made of that, for the record and for /metrics.
//! Owns the figures and their sums; measures nothing (`media`).
//! PURE.

use media::codec::Codec;
use media::quality::Impairment;
use media::relay::SideStats;
use media::session::Stats;

/// How long a phone keeps sound back before it plays it, where nobody tells: two packets.
const PLAYOUT_MS: f64 = 40.0;

/// One leg of a call.
#[derive(Debug, Clone, Default, PartialEq, serde::Serialize)]
pub struct LegFigures {
    /// `caller` or `called`; the assistant has no leg.
    pub side: &'static str,
    /// The account or trunk at this leg; empty where the record says it already.
    pub party: String,
    pub packets_received: u64,
    pub packets_sent: u64,
    /// Of what this side sent us: packets, and their share of all in percent.
    pub packets_lost: i64,
    pub loss_percent: f64,
    pub jitter_ms: f64,
    /// Lost packets whose sound came with the next one (Opus in-band FEC).
    pub packets_recovered: u64,
    /// Age of the sound we gave out, where we play it.
    pub playout_delay_ms: Option<f64>,
    /// Between us and this side, as its reports tell.
    pub round_trip_ms: Option<f64>,
    /// How what this side says sounds, 1 to 4.4 (ITU-T G.107, see docs/media.md); none with a codec without figures.
    pub mos: Option<f64>,
    /// What this side reports on what it gets: how it sounds, and packets lost.
    pub remote_mos: Option<f64>,
    pub remote_packets_lost: Option<i32>,
}

fn percent(lost: i64, expected: u64) -> f64 {
    match expected {
        0 => 0.0,
        expected => 100.0 * lost.max(0) as f64 / expected as f64,
    }
}

impl LegFigures {
    /// A leg that ends here: the assistant hears and answers.
    pub fn of_session(side: &'static str, stats: &Stats) -> LegFigures {
        LegFigures {
            side,
            party: String::new(),
            packets_received: stats.packets_received,
            packets_sent: stats.packets_sent,
            packets_lost: stats.packets_lost,
            loss_percent: percent(stats.packets_lost, stats.packets_expected),
            jitter_ms: stats.jitter_ms,
            packets_recovered: stats.packets_recovered,
            playout_delay_ms: (stats.playout_delay_ms > 0.0).then_some(stats.playout_delay_ms),
            round_trip_ms: stats.round_trip_ms,
            mos: stats.mos,
            remote_mos: stats.remote_mos,
            remote_packets_lost: stats.remote_packets_lost,
        }
    }

    /// The two legs of a relayed call, caller first. `codecs`: what each side sends, where we know it. What one side says
    /// sounds to the other as the loss up to us has it and the whole way takes.
    pub fn of_relay(
        stats: &[SideStats; 2],
        codecs: [Option<Codec>; 2],
        parties: [String; 2],
    ) -> [LegFigures; 2] {
        let round_trips = stats.iter().filter_map(|side| side.round_trip_ms);
        let way_ms = round_trips.sum::<f64>() / 2.0;
        let leg = |at: usize, side: &'static str, party: String| {
            let own = &stats[at];
            let impairment = |codec, loss| Impairment {
                codec,
                delay_ms: way_ms + own.jitter_ms + PLAYOUT_MS,
                loss,
                loss_run: 1.0,
            };
            let loss_percent = percent(own.packets_lost, own.packets_expected);
            let is_heard = own.packets_received > 0;
            let remote_loss = own.remote_fraction_lost;
            LegFigures {
                side,
                party,
                packets_received: own.packets_received,
                packets_sent: own.packets_sent,
                packets_lost: own.packets_lost,
                loss_percent,
                jitter_ms: own.jitter_ms,
                packets_recovered: 0,
                playout_delay_ms: None,
                round_trip_ms: own.round_trip_ms,
                mos: codecs[at]
                    .filter(|_| is_heard)
                    .map(|codec| impairment(codec, loss_percent / 100.0).mos()),
                remote_mos: codecs[1 - at]
                    .zip(remote_loss)
                    .map(|(codec, loss)| impairment(codec, loss).mos()),
                remote_packets_lost: own.remote_packets_lost,
            }
        };
        let [caller, called] = parties;
        [leg(0, "caller", caller), leg(1, "called", called)]
    }
}

/// Sums over the legs of all calls that have ended.
#[derive(Debug, Clone, Copy, Default, PartialEq, serde::Serialize)]
pub struct QualityTotals {
    pub packets_received: u64,
    pub packets_lost: u64,
    pub packets_recovered: u64,
    /// Legs that have a score, and the sum of their scores.
    pub legs_scored: u64,
    pub mos_sum: f64,
    /// Of those, legs that sounded bad: below 3.6.
    pub legs_bad: u64,
    pub legs_timed: u64,
    pub round_trip_ms_sum: f64,
    pub jitter_ms_sum: f64,
    pub legs: u64,
}

/// Below this many users are dissatisfied, G.107 annex B.
const BAD: f64 = 3.6;

impl QualityTotals {
    pub fn add(&mut self, leg: &LegFigures) {
        // A leg that never carried sound says nothing about it.
        if leg.packets_received == 0 {
            return;
        }
        self.legs += 1;
        self.packets_received += leg.packets_received;
        self.packets_lost += u64::try_from(leg.packets_lost).unwrap_or(0);
        self.packets_recovered += leg.packets_recovered;
        self.jitter_ms_sum += leg.jitter_ms;
        if let Some(mos) = leg.mos {
            self.legs_scored += 1;
            self.mos_sum += mos;
            self.legs_bad += u64::from(mos < BAD);
        }
        if let Some(ms) = leg.round_trip_ms {
            self.legs_timed += 1;
            self.round_trip_ms_sum += ms;
        }
    }

    /// Prometheus text, version 0.0.4.
    pub fn metrics(&self) -> String {
        let rows = [
            (
                "offhook_legs_total",
                "counter",
                "Legs of calls with sound that have ended.",
                self.legs as f64,
            ),
            (
                "offhook_packets_received_total",
                "counter",
                "RTP packets of these legs.",
                self.packets_received as f64,
            ),
            (
                "offhook_packets_lost_total",
                "counter",
                "RTP packets that never came.",
                self.packets_lost as f64,
            ),
            (
                "offhook_packets_recovered_total",
                "counter",
                "Of those, packets whose sound came with the next one.",
                self.packets_recovered as f64,
            ),
            (
                "offhook_mos_sum",
                "counter",
                "Sum of the scores (1 to 4.4) of legs.",
                self.mos_sum,
            ),
            (
                "offhook_mos_count",
                "counter",
                "Legs that have a score.",
                self.legs_scored as f64,
            ),
            (
                "offhook_mos_bad_total",
                "counter",
                "Legs with a score below 3.6.",
                self.legs_bad as f64,
            ),
            (
                "offhook_round_trip_milliseconds_sum",
                "counter",
                "Sum of the round trips of legs.",
                self.round_trip_ms_sum,
            ),
            (
                "offhook_round_trip_milliseconds_count",
                "counter",
                "Legs whose round trip is known.",
                self.legs_timed as f64,
            ),
            (
                "offhook_jitter_milliseconds_sum",
                "counter",
                "Sum of the jitter of legs.",
                self.jitter_ms_sum,
            ),
        ];
        rows.into_iter()
            .map(|(name, kind, help, value)| {
                format!("# HELP {name} {help}\n# TYPE {name} {kind}\n{name} {value}\n")
            })
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn side(received: u64, lost: i64, round_trip_ms: Option<f64>) -> SideStats {
        SideStats {
            packets_received: received,
            packets_expected: received + lost.max(0) as u64,
            packets_lost: lost,
            round_trip_ms,
            remote_fraction_lost: Some(0.0),
            ..SideStats::default()
        }
    }

    #[test]
    fn relayed_legs_are_scored_by_loss_and_way() {
        // Loss of the caller's packets, round trips, codecs; whether the caller's leg has a score, and above what.
        let rows = [
            (
                0,
                [Some(20.0), Some(20.0)],
                Some(Codec::Pcmu),
                Some((4.3, 4.5)),
            ),
            (50, [None, None], Some(Codec::Pcmu), Some((3.7, 4.1))),
            (
                0,
                [Some(600.0), Some(600.0)],
                Some(Codec::Pcmu),
                Some((1.3, 2.9)),
            ),
            (0, [None, None], None, None),
        ];
        for (lost, [a, b], codec, expected) in rows {
            let stats = [side(1_000, lost, a), side(1_000, 0, b)];
            let [caller, called] = LegFigures::of_relay(&stats, [codec, codec], Default::default());
            assert_eq!((caller.side, called.side), ("caller", "called"));
            match (caller.mos, expected) {
                (Some(mos), Some((least, most))) => {
                    assert!((least..most).contains(&mos), "{lost} {a:?}: {mos}");
                }
                (found, expected) => assert_eq!(found.is_some(), expected.is_some(), "{lost}"),
            }
        }
    }

    #[test]
    fn sums_leave_out_legs_without_sound() {
        let mut totals = QualityTotals::default();
        totals.add(&LegFigures::default());
        assert_eq!(totals, QualityTotals::default());
        let leg = LegFigures {
            packets_received: 10,
            packets_lost: -1,
            mos: Some(3.0),
            round_trip_ms: Some(12.0),
            ..LegFigures::default()
        };
        totals.add(&leg);
        totals.add(&LegFigures {
            packets_lost: 4,
            mos: None,
            ..leg
        });
        assert_eq!(
            (totals.legs, totals.packets_lost, totals.legs_bad),
            (2, 4, 1)
        );
        let text = totals.metrics();
        assert!(
            text.contains("\noffhook_mos_sum 3\n") && text.contains("\noffhook_mos_count 1\n"),
            "{text}"
        );
    }
}
