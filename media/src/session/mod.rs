//! One call's media: datagrams in and frames out, frames in and datagrams out. The room a call owns.
//!
//! Owns: joining receiver, jitter buffer, decoder, concealment and frame clock on the way in (`inbound`), sender and
//! key sender on the way out (`outbound`), RTCP, and what is worth telling the call. Does not own: sockets, SDP, pacing
//! of what we say (`playout`), the meaning of sound.
//!
//! Contract: every method that takes `&mut self` except [`Session::poll_output`] is an input. After one input drain
//! [`Session::poll_output`] until `None`, then wait for the next input or [`Session::next_timeout`]. A debug assertion
//! fails when outputs are left. Bound: [`OUTPUTS_MAX`] outputs; when full the oldest is dropped.
//!
//! Frames come out as soon as their sound is there. When none was for 60 ms (longer with longer packets), concealed and
//! then silent frames come every 20 ms, from the start of the session on, so that endpointing never stands still (see `frame_clock`).
//!
//! PURE.

mod inbound;
mod outbound;
mod shield;
mod types;

pub use types::{Delivery, Input, MediaEvent, OpusWishes, Output, Security, SessionConfig, Stats};

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use rand::SeedableRng;
use rand::rngs::StdRng;

use crate::association::{Association, Outcome};
use crate::quality::Impairment;
use crate::rtcp::{self, SenderInfo, reporter::Reporter};
use crate::{Frame, rtp};
use inbound::Inbound;
use outbound::Outbound;
use shield::Shield;

/// Outputs that may wait to be drained.
pub const OUTPUTS_MAX: usize = 2_048;

/// Without a usable packet for this long the call is told.
pub const NO_AUDIO_S: u32 = 5;

/// A packet's own length, the codec and the sound card, as a round figure for the quality of a call.
const PACKET_AND_CODEC_MS: f64 = 40.0;

/// Media of one call.
#[derive(Debug)]
pub struct Session {
    config: SessionConfig,
    random: StdRng,
    shield: Shield,
    inbound: Inbound,
    outbound: Outbound,
    reporter: Reporter,
    /// Where the peer's RTCP really comes from.
    rtcp_source: Option<SocketAddr>,
    /// RTP packets sent up to the last report, to choose between sender and receiver report.
    reported_packets: u64,
    octets_received: u64,
    malformed: u64,
    unknown_payload_type: u64,
    strangers: u64,
    unknown_told: u128,
    /// Since when nothing usable came.
    silent_since: Instant,
    silence_told: bool,
    first_packet_told: bool,
    over: bool,
    outputs: VecDeque<Output>,
}

impl Session {
    /// A session that starts now. `seed` gives SSRC, first sequence number and timestamp, and report times.
    pub fn new(config: SessionConfig, seed: [u8; 32], start: Instant) -> Session {
        let mut random = StdRng::from_seed(seed);
        let shield = Shield::new(start, &config);
        let config = along_path(config, &shield);
        Session {
            shield,
            inbound: Inbound::new(start, &config),
            outbound: Outbound::new(&config, &mut random),
            reporter: Reporter::new(start, config.ntp_offset, config.cname.clone(), &mut random),
            config,
            random,
            rtcp_source: None,
            reported_packets: 0,
            octets_received: 0,
            malformed: 0,
            unknown_payload_type: 0,
            strangers: 0,
            unknown_told: 0,
            silent_since: start,
            silence_told: false,
            first_packet_told: false,
            over: false,
            outputs: VecDeque::new(),
        }
    }

    /// Takes a datagram or the passing of time.
    pub fn handle(&mut self, now: Instant, input: Input<'_>) {
        self.begin_input();
        if self.over {
            return;
        }
        let named = self.config.remote_rtp;
        match input {
            Input::Rtp { from, data } => match self.shield.open(now, from, named, data, true) {
                Some(clear) => {
                    let from = self.follow_path(from);
                    // RFC 5761: one port for both.
                    match rtp::is_rtcp(&clear) {
                        true => self.rtcp(now, from, &clear),
                        false => self.rtp(now, from, &clear),
                    }
                }
                None => {
                    self.follow_path(from);
                }
            },
            Input::Rtcp { from, data } => {
                if let Some(clear) = self.shield.open(now, from, named, data, false) {
                    self.rtcp(now, from, &clear);
                }
            }
            Input::Timeout => {}
        }
        self.time(now);
    }

    /// Sends one frame of 20 ms. While a key is being sent its packets go instead.
    pub fn send_frame(&mut self, now: Instant, frame: &Frame) {
        self.begin_input();
        if self.over {
            return;
        }
        let to = self.destination();
        if let Some(data) = self.outbound.frame(now, frame, to.is_some())
            && let Some(to) = to
        {
            self.output(Output::Rtp { to, data });
        }
        self.time(now);
    }

    /// Sends a key as telephone-event, after those already waiting. Without an agreed payload type, or for a character
    /// that is no key, nothing is sent. At most 32 keys wait; further ones are dropped.
    pub fn send_dtmf(&mut self, now: Instant, digit: char, duration_ms: u32) {
        self.begin_input();
        if self.over {
            return;
        }
        self.outbound.key(now, digit, duration_ms);
        self.time(now);
    }

    /// Takes what a new offer and answer agreed: hold, another address, other codecs. SSRC and sequence go on.
    pub fn reconfigure(&mut self, now: Instant, config: SessionConfig) {
        self.begin_input();
        if self.over {
            return;
        }
        self.shield.reconfigure(now, &config);
        let config = along_path(config, &self.shield);
        let receives_anew = config.receive && !self.config.receive;
        if receives_anew || config.remote_rtp != self.config.remote_rtp {
            self.silent_since = now;
        }
        if config.remote_rtp != self.config.remote_rtp
            || config.remote_rtcp != self.config.remote_rtcp
        {
            self.rtcp_source = None;
        }
        self.inbound.reconfigure(&config);
        self.outbound.reconfigure(&self.config, &config);
        self.reporter.set_cname(config.cname.clone());
        self.config = config;
        self.time(now);
    }

    /// Says goodbye by RTCP BYE; the session is over afterwards: inputs do nothing, and it has no timeout.
    pub fn goodbye(&mut self, now: Instant) {
        self.begin_input();
        if !self.over {
            self.report(now, true);
            self.over = true;
        }
    }

    /// Goes on with paths and keys that were agreed upon elsewhere on the same port; before the first input.
    pub fn adopt(&mut self, association: Box<Association>) {
        self.shield.adopt(association, &self.config);
        self.config = along_path(self.config.clone(), &self.shield);
        self.inbound.reconfigure(&self.config);
    }

    /// Gives paths and keys up to whoever goes on with this port. Nothing passes here any more.
    pub fn release(&mut self) -> Option<Box<Association>> {
        self.shield.release()
    }

    /// Whether packets are protected on the wire, so that none can go back as it came.
    pub fn is_protected(&self) -> bool {
        self.config.security != Security::None
    }

    /// Whether what is sent can be heard: false until a handshake that was agreed on is over.
    pub fn is_ready(&self) -> bool {
        self.shield.is_ready()
    }

    /// The next output, in order.
    pub fn poll_output(&mut self) -> Option<Output> {
        self.outputs.pop_front()
    }

    /// When [`Input::Timeout`] is to be handed in, if nothing else comes before.
    pub fn next_timeout(&self) -> Option<Instant> {
        if self.over {
            return None;
        }
        let silence = (self.config.receive && !self.silence_told).then(|| self.silence_due());
        [
            Some(self.inbound.next_timeout()),
            self.outbound.next_timeout(),
            Some(self.reporter.next_timeout()),
            self.shield.next_timeout(),
            silence,
        ]
        .into_iter()
        .flatten()
        .min()
    }

    pub fn stats(&self) -> Stats {
        let remote = self.reporter.remote();
        let clock_rate_hz = f64::from(self.config.codec.clock_rate_hz());
        let mut stats = Stats {
            packets_sent: self.outbound.packets(),
            octets_sent: self.outbound.octets(),
            octets_received: self.octets_received,
            packets_stranger: self.strangers,
            packets_refused: self.shield.refused(),
            packets_malformed: self.malformed,
            packets_unknown_payload_type: self.unknown_payload_type,
            round_trip_ms: remote.round_trip_ms,
            remote_fraction_lost: remote.fraction_lost,
            remote_packets_lost: remote.packets_lost,
            remote_jitter_ms: remote
                .jitter_units
                .map(|units| f64::from(units) * 1_000.0 / clock_rate_hz),
            sending_to: self.destination(),
            ..Stats::default()
        };
        self.inbound.stats(&mut stats);
        let opus = self.outbound.opus_settings();
        stats.opus_bitrate_bps = opus.bitrate_bps;
        stats.opus_loss_percent = opus.loss_percent;
        self.rate_quality(&mut stats);
        stats
    }

    /// Both directions by the E-model: what we know of ours, what the peer told of its.
    fn rate_quality(&self, stats: &mut Stats) {
        let one_way_ms = stats.round_trip_ms.unwrap_or(0.0) / 2.0;
        let waiting_ms = stats.playout_delay_ms.max(f64::from(stats.late_ms));
        if stats.packets_received > 0 {
            let unheard = stats.packets_given_up - stats.packets_recovered;
            let impairment = Impairment {
                codec: self.inbound.codec(),
                delay_ms: one_way_ms + waiting_ms + PACKET_AND_CODEC_MS,
                loss: unheard as f64 / stats.packets_expected.max(1) as f64,
                loss_run: stats.packets_given_up as f64 / stats.loss_runs.max(1) as f64,
            };
            stats.mos = Some(impairment.mos());
        }
        stats.remote_mos = stats.remote_fraction_lost.map(|fraction_lost| {
            let jitter_ms = stats.remote_jitter_ms.unwrap_or(0.0);
            let impairment = Impairment {
                codec: self.config.codec,
                // A buffer holds about four times the mean deviation.
                delay_ms: one_way_ms + 4.0 * jitter_ms + PACKET_AND_CODEC_MS,
                loss: fraction_lost,
                loss_run: 1.0,
            };
            impairment.mos()
        });
    }

    fn begin_input(&self) {
        debug_assert!(
            self.outputs.is_empty(),
            "outputs of the last input were not drained"
        );
    }

    /// Queues an output; packets as they may leave.
    fn output(&mut self, output: Output) {
        let output = match output {
            Output::Rtp { to, data } => {
                let sealed = self.shield.seal(data, true);
                sealed.map(|data| Output::Rtp { to, data })
            }
            Output::Rtcp { to, data } => {
                let sealed = self.shield.seal(data, false);
                sealed.map(|data| Output::Rtcp { to, data })
            }
            other => Some(other),
        };
        if let Some(output) = output {
            self.queue(output);
        }
    }

    fn queue(&mut self, output: Output) {
        if self.outputs.len() == OUTPUTS_MAX {
            self.outputs.pop_front();
        }
        self.outputs.push_back(output);
    }

    /// Whatever path a packet took, the peer is the peer, and is answered over the path it has chosen.
    fn follow_path(&mut self, from: SocketAddr) -> SocketAddr {
        let Some(Some(path)) = self.shield.paths() else {
            return from;
        };
        if self.config.remote_rtp != Some(path) {
            self.config.remote_rtp = Some(path);
            self.inbound.expect(Some(path));
            self.rtcp_source = None;
        }
        path
    }

    /// The handshake's datagrams go to where the peer's come from, else to where its packets would.
    fn shake_hands(&mut self, now: Instant) {
        self.shield.time(now);
        while let Some((source, data)) = self.shield.poll_datagram() {
            if let Some(to) = source.or_else(|| self.inbound.latch().destination()) {
                self.queue(Output::Rtp { to, data });
            }
        }
        match self.shield.poll_outcome() {
            Some(Outcome::Secured) => self.event(MediaEvent::Secured),
            Some(Outcome::Failed(why)) => self.event(MediaEvent::NotSecured { why }),
            None => {}
        }
    }

    fn event(&mut self, event: MediaEvent) {
        self.output(Output::Event(event));
    }

    /// Where RTP goes: to where the peer's packets come from, else where its SDP says. Nowhere while sending is off.
    fn destination(&self) -> Option<SocketAddr> {
        self.inbound
            .latch()
            .destination()
            .filter(|_| self.config.send && self.shield.is_ready())
    }

    fn rtp(&mut self, now: Instant, from: SocketAddr, data: &[u8]) {
        let Ok(packet) = rtp::Packet::parse(data) else {
            self.malformed += 1;
            return;
        };
        let Some(kind) = self.inbound.kind(packet.payload_type) else {
            self.unknown_payload_type += 1;
            let bit = 1 << packet.payload_type;
            // A stranger must not be able to fill the log with payload types.
            let known_source = self
                .inbound
                .latch()
                .current()
                .is_none_or(|current| current == from);
            if known_source && self.unknown_told & bit == 0 {
                self.unknown_told |= bit;
                self.event(MediaEvent::PayloadTypeUnknown {
                    pt: packet.payload_type,
                });
            }
            return;
        };
        let expected = self.inbound.latch().expected();
        let judged = self.inbound.judge(now, from, &packet, kind);
        match judged {
            inbound::Judged::Stranger { first } => {
                self.strangers += 1;
                if first {
                    self.event(MediaEvent::Stranger { from });
                }
                return;
            }
            inbound::Judged::OutOfPlace => return,
            inbound::Judged::Taken {
                latched,
                ssrc_changed,
            } => {
                if !self.first_packet_told {
                    self.first_packet_told = true;
                    self.event(MediaEvent::FirstPacket { from });
                }
                if latched {
                    self.event(MediaEvent::SourceLatched { from, expected });
                }
                if ssrc_changed {
                    self.event(MediaEvent::SsrcChanged);
                }
            }
        }
        self.octets_received += packet.payload.len() as u64;
        self.silent_since = now;
        if std::mem::take(&mut self.silence_told) {
            self.event(MediaEvent::AudioResumed);
        }
        // RFC 3550 section 8.2: a collision of SSRCs is resolved by taking another one.
        if packet.ssrc == self.outbound.ssrc() {
            self.outbound.change_ssrc(&mut self.random);
        }
        self.inbound.take(now, &packet, kind);
    }

    fn rtcp(&mut self, now: Instant, from: SocketAddr, data: &[u8]) {
        if !self.is_rtcp_source(from) {
            self.strangers += 1;
            return;
        }
        let Ok(packets) = rtcp::parse(data) else {
            self.malformed += 1;
            return;
        };
        self.rtcp_source = Some(from);
        let received = self.reporter.receive(now, self.outbound.ssrc(), &packets);
        if let Some(fraction_lost) = received.fraction_lost {
            self.outbound.loss_reported(fraction_lost);
        }
        if received.collision {
            self.outbound.change_ssrc(&mut self.random);
        }
        if let Some(ssrc) = received.goodbye
            && (ssrc == 0 || self.inbound.ssrc().is_none_or(|known| known == ssrc))
        {
            self.event(MediaEvent::RemoteBye);
        }
    }

    /// RTCP is taken from where the SDP says, from where it came before, and from the host the RTP comes from.
    fn is_rtcp_source(&self, from: SocketAddr) -> bool {
        let latch = self.inbound.latch();
        let hosts = [latch.current(), latch.expected(), self.config.remote_rtcp];
        self.rtcp_source == Some(from)
            || hosts
                .into_iter()
                .flatten()
                .any(|known| known.ip() == from.ip())
    }

    fn rtcp_destination(&self) -> Option<SocketAddr> {
        let sendable = |address: &SocketAddr| !address.ip().is_unspecified() && address.port() != 0;
        self.rtcp_source
            .or(self.config.remote_rtcp.filter(sendable))
            .or_else(|| {
                // RFC 3550 section 11: the next higher port.
                let mut address = self.inbound.latch().destination()?;
                address.set_port(address.port().checked_add(1)?);
                Some(address)
            })
    }

    /// What is due by now, whatever woke us.
    fn time(&mut self, now: Instant) {
        self.shake_hands(now);
        self.inbound.time(now);
        while let Some(output) = self.inbound.poll_output() {
            self.output(output);
        }
        let to = self.destination();
        while let Some(data) = self.outbound.due(now) {
            if let Some(to) = to {
                self.output(Output::Rtp { to, data });
            }
        }
        if self.config.receive && !self.silence_told && now >= self.silence_due() {
            self.silence_told = true;
            self.event(MediaEvent::NoAudio {
                for_s: NO_AUDIO_S,
                expected: self.inbound.latch().expected(),
            });
        }
        if now >= self.reporter.next_timeout() {
            self.report(now, false);
        }
    }

    fn silence_due(&self) -> Instant {
        self.silent_since + Duration::from_secs(u64::from(NO_AUDIO_S))
    }

    fn report(&mut self, now: Instant, goodbye: bool) {
        let packets = self.outbound.packets();
        // RFC 3550 section 6.4: a sender report from whoever sent since the report before the last, else a receiver one.
        let info = (packets > self.reported_packets).then(|| SenderInfo {
            ntp: self.reporter.ntp(now),
            rtp_timestamp: self.outbound.timestamp_at(now),
            packets: packets as u32,
            octets: self.outbound.octets() as u32,
        });
        self.reported_packets = packets;
        let figures = self.inbound.report();
        let ssrc = self.outbound.ssrc();
        let data = self.reporter.compound(now, ssrc, info, figures, goodbye);
        self.reporter.reported(now, &mut self.random);
        if self.config.rtcp_mux {
            // Where RTP goes, even while none is sent: hold does not stop reports (RFC 3264 section 8.4).
            if let Some(to) = self.inbound.latch().destination() {
                self.output(Output::Rtp { to, data });
            }
        } else if let Some(to) = self.rtcp_destination() {
            self.output(Output::Rtcp { to, data });
        }
    }
}

/// With checked paths it does not matter what addresses SDP names.
fn along_path(config: SessionConfig, shield: &Shield) -> SessionConfig {
    match shield.paths() {
        Some(path) => SessionConfig {
            remote_rtp: path,
            remote_rtcp: None,
            ..config
        },
        None => config,
    }
}

#[cfg(test)]
mod delivery_tests;
#[cfg(test)]
mod network_tests;
#[cfg(test)]
mod security_tests;
#[cfg(test)]
mod tests;
