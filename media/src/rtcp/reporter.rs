//! When we report, what we say, and what the peer reported on us. RFC 3550 sections 6.2 to 6.4 and 6.6.
//!
//! Owns: the report interval, NTP time from the instant handed in, LSR and DLSR, the round trip. Does not own: the
//! figures (`receiver`, `sender`), addresses.
//! Two parties and narrow sound: the interval is always the minimum of 5 s, randomised; the bandwidth share of section
//! 6.2 never exceeds it, so it is not computed.
//!
//! PURE.

use std::time::{Duration, Instant};

use rand::Rng;

use super::{ReportBlock, RtcpPacket, SenderInfo, write};
use crate::receiver::reception::ReportFigures;

/// RFC 3550 section 6.2: least time between reports.
const INTERVAL_S_MIN: f64 = 5.0;

/// RFC 3550 section 6.3.1: makes up for timer reconsideration, e - 3/2.
const COMPENSATION: f64 = 1.218_28;

/// Seconds from 1900 to 1970.
const NTP_OF_UNIX_EPOCH_S: u64 = 2_208_988_800;

/// What the peer reported on our stream.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Remote {
    pub round_trip_ms: Option<f64>,
    /// 0 to 1.
    pub fraction_lost: Option<f64>,
    pub packets_lost: Option<i32>,
    /// In timestamp units of our stream.
    pub jitter_units: Option<u32>,
}

/// What came of one compound.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Received {
    /// A BYE naming this SSRC or none; 0 stands for none.
    pub goodbye: Option<u32>,
    /// The peer reports under our own SSRC (RFC 3550 section 8.2).
    pub collision: bool,
    /// The share of our packets lost since the report before, 0 to 1, if it told one.
    pub fraction_lost: Option<f64>,
}

/// The RTCP side of one stream pair.
#[derive(Debug)]
pub struct Reporter {
    start: Instant,
    unix_ms_at_start: u64,
    cname: String,
    next: Instant,
    /// Middle of the NTP time of the peer's last sender report, and when it came.
    last_sender_report: Option<(u32, Instant)>,
    remote: Remote,
}

impl Reporter {
    pub fn new(
        start: Instant,
        unix_ms_at_start: u64,
        cname: String,
        random: &mut impl Rng,
    ) -> Reporter {
        let mut reporter = Reporter {
            start,
            unix_ms_at_start,
            cname,
            next: start,
            last_sender_report: None,
            remote: Remote::default(),
        };
        // RFC 3550 section 6.2: the first report after half the interval.
        reporter.schedule(start, 0.5, random);
        reporter
    }

    fn schedule(&mut self, now: Instant, share: f64, random: &mut impl Rng) {
        // RFC 3550 section 6.3.1: uniform between half and one and a half times the interval.
        let part = 0.5 + f64::from(random.next_u32()) / f64::from(u32::MAX);
        self.next = now + Duration::from_secs_f64(INTERVAL_S_MIN * share * part / COMPENSATION);
    }

    /// When the next report is due.
    pub fn next_timeout(&self) -> Instant {
        self.next
    }

    /// A report went out, or could not.
    pub fn reported(&mut self, now: Instant, random: &mut impl Rng) {
        self.schedule(now, 1.0, random);
    }

    pub fn set_cname(&mut self, cname: String) {
        self.cname = cname;
    }

    pub fn remote(&self) -> Remote {
        self.remote
    }

    /// 32.32 fixed point seconds since 1900 (RFC 3550 section 4).
    pub fn ntp(&self, now: Instant) -> u64 {
        let unix = Duration::from_millis(self.unix_ms_at_start)
            .saturating_add(now.saturating_duration_since(self.start));
        let seconds = unix.as_secs().wrapping_add(NTP_OF_UNIX_EPOCH_S);
        let fraction = (u64::from(unix.subsec_nanos()) << 32) / 1_000_000_000;
        (seconds << 32) | fraction
    }

    /// One compound: a sender report if we sent since, else a receiver report; CNAME; BYE when we leave.
    pub fn compound(
        &self,
        now: Instant,
        ssrc: u32,
        info: Option<SenderInfo>,
        figures: Option<ReportFigures>,
        goodbye: bool,
    ) -> Vec<u8> {
        let blocks = figures
            .map(|figures| {
                let (last_sender_report, delay) = match self.last_sender_report {
                    Some((middle, at)) => {
                        let passed = now.saturating_duration_since(at).as_micros();
                        (middle, (passed * 65_536 / 1_000_000) as u32)
                    }
                    None => (0, 0),
                };
                ReportBlock {
                    ssrc: figures.ssrc,
                    fraction_lost: figures.fraction_lost,
                    cumulative_lost: figures.cumulative_lost,
                    highest_sequence: figures.highest_sequence,
                    jitter: figures.jitter,
                    last_sender_report,
                    delay,
                }
            })
            .into_iter()
            .collect();
        // RFC 3550 section 6.1: a compound begins with a report and holds a CNAME.
        let mut packets = vec![
            match info {
                Some(info) => RtcpPacket::SenderReport { ssrc, info, blocks },
                None => RtcpPacket::ReceiverReport { ssrc, blocks },
            },
            RtcpPacket::SourceDescription {
                chunks: vec![(ssrc, self.cname.clone())],
            },
        ];
        if goodbye {
            packets.push(RtcpPacket::Goodbye {
                ssrcs: vec![ssrc],
                reason: String::new(),
            });
        }
        write(&packets)
    }

    /// Takes the peer's compound.
    pub fn receive(&mut self, now: Instant, our_ssrc: u32, packets: &[RtcpPacket]) -> Received {
        let mut received = Received::default();
        for packet in packets {
            match packet {
                RtcpPacket::SenderReport { ssrc, info, blocks } => {
                    received.collision |= *ssrc == our_ssrc;
                    self.last_sender_report = Some(((info.ntp >> 16) as u32, now));
                    received.fraction_lost = self
                        .take_blocks(now, our_ssrc, blocks)
                        .or(received.fraction_lost);
                }
                RtcpPacket::ReceiverReport { ssrc, blocks } => {
                    received.collision |= *ssrc == our_ssrc;
                    received.fraction_lost = self
                        .take_blocks(now, our_ssrc, blocks)
                        .or(received.fraction_lost);
                }
                RtcpPacket::SourceDescription { .. } => {}
                RtcpPacket::Goodbye { ssrcs, .. } => {
                    received.goodbye = Some(ssrcs.first().copied().unwrap_or(0));
                }
            }
        }
        received
    }

    /// The share lost of a block on our stream.
    fn take_blocks(&mut self, now: Instant, our_ssrc: u32, blocks: &[ReportBlock]) -> Option<f64> {
        let block = blocks.iter().find(|block| block.ssrc == our_ssrc)?;
        let fraction_lost = Some(f64::from(block.fraction_lost) / 256.0);
        self.remote.fraction_lost = fraction_lost;
        self.remote.packets_lost = Some(block.cumulative_lost);
        self.remote.jitter_units = Some(block.jitter);
        if block.last_sender_report == 0 {
            return fraction_lost;
        }
        // RFC 3550 section 6.4.1: arrival less LSR less DLSR, in 1/65536 s.
        let units = ((self.ntp(now) >> 16) as u32)
            .wrapping_sub(block.last_sender_report)
            .wrapping_sub(block.delay);
        // Coarse clocks can make it a little negative; a minute is a lie.
        if (units as i32) < 0 {
            if units > u32::MAX - 655 {
                self.remote.round_trip_ms = Some(0.0);
            }
        } else if units < 60 * 65_536 {
            self.remote.round_trip_ms = Some(f64::from(units) * 1_000.0 / 65_536.0);
        }
        fraction_lost
    }
}
