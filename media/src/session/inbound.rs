//! The way in: packets of one stream to frames and keys.
//!
//! Order: source and sequence (`receiver`), order (`jitter_buffer`), sound (`codec`, `concealment`), real time
//! (`frame_clock`), cut into frames here, whatever the packet size.
//!
//! PURE.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::time::Instant;

use super::types::{Output, SessionConfig, Stats};
use crate::codec::{Codec, Decoder};
use crate::concealment::Concealer;
use crate::dtmf;
use crate::frame_clock::{FrameClock, Hole};
use crate::jitter_buffer::{JitterBuffer, Kind, Release, Stored};
use crate::receiver::latch::{Latch, Source};
use crate::receiver::reception::ReportFigures;
use crate::receiver::{Continuity, Receiver, Verdict};
use crate::rtp::Packet;
use crate::{FRAME_SAMPLES, Frame, SAMPLE_RATE_HZ, SILENCE};

/// Payload types accepted per direction.
const PAYLOAD_TYPES_MAX: usize = 16;

/// RFC 3389: comfort noise, often sent without being agreed.
const COMFORT_NOISE: u8 = 13;

/// Peak below which a frame may be left out to get back to real time.
const QUIET_PEAK: u16 = 400;

/// What a payload type stands for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum PayloadKind {
    Audio(Codec),
    Event,
    ComfortNoise,
}

/// What became of a packet before it is taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Judged {
    Stranger { first: bool },
    OutOfPlace,
    Taken { latched: bool, ssrc_changed: bool },
}

#[derive(Debug)]
pub(super) struct Inbound {
    receive: bool,
    payload_types: Vec<(u8, Codec)>,
    telephone_event: Option<u8>,
    event_hz: Option<u32>,
    receiver: Receiver,
    buffer: JitterBuffer,
    decoder: Decoder,
    concealer: Concealer,
    events: dtmf::Decoder,
    clock: FrameClock,
    /// No sound came before in this stream.
    fresh: bool,
    /// Sound short of a frame.
    pending: Vec<i16>,
    pending_concealed: bool,
    outputs: VecDeque<Output>,
    frames: u64,
    frames_concealed: u64,
    frames_swallowed: u64,
    /// The last frame given out was quiet, so that leaving out the next one cuts into no word.
    quiet: bool,
}

fn payload_types(config: &SessionConfig) -> Vec<(u8, Codec)> {
    let mut types = config.receive_payload_types.clone();
    types.truncate(PAYLOAD_TYPES_MAX);
    if types.is_empty() {
        types.push((config.payload_type, config.codec));
    }
    types
}

fn event_clock_hz(config: &SessionConfig, codec: Codec) -> u32 {
    config.telephone_event_hz.unwrap_or(codec.clock_rate_hz())
}

impl Inbound {
    pub(super) fn new(start: Instant, config: &SessionConfig) -> Inbound {
        let payload_types = payload_types(config);
        let codec = payload_types[0].1;
        Inbound {
            receive: config.receive,
            telephone_event: config.telephone_event,
            receiver: Receiver::new(start, config.remote_rtp),
            buffer: JitterBuffer::new(),
            decoder: Decoder::new(codec),
            concealer: Concealer::new(),
            events: dtmf::Decoder::new(event_clock_hz(config, codec)),
            event_hz: config.telephone_event_hz,
            clock: FrameClock::new(start),
            fresh: true,
            pending: Vec::with_capacity(FRAME_SAMPLES),
            pending_concealed: false,
            outputs: VecDeque::new(),
            frames: 0,
            frames_concealed: 0,
            frames_swallowed: 0,
            quiet: true,
            payload_types,
        }
    }

    pub(super) fn reconfigure(&mut self, config: &SessionConfig) {
        self.receive = config.receive;
        self.telephone_event = config.telephone_event;
        if self.event_hz != config.telephone_event_hz {
            self.event_hz = config.telephone_event_hz;
            self.events = dtmf::Decoder::new(event_clock_hz(config, self.decoder.codec()));
        }
        self.payload_types = payload_types(config);
        self.receiver.expect(config.remote_rtp);
    }

    pub(super) fn latch(&self) -> &Latch {
        self.receiver.latch()
    }

    pub(super) fn ssrc(&self) -> Option<u32> {
        self.receiver.ssrc()
    }

    pub(super) fn report(&mut self) -> Option<ReportFigures> {
        self.receiver
            .reception()
            .map(|reception| reception.report())
    }

    /// What an agreed payload type stands for.
    pub(super) fn kind(&self, payload_type: u8) -> Option<PayloadKind> {
        if self.telephone_event == Some(payload_type) {
            return Some(PayloadKind::Event);
        }
        let agreed = self
            .payload_types
            .iter()
            .find(|(number, _)| *number == payload_type);
        match agreed {
            Some((_, codec)) => Some(PayloadKind::Audio(*codec)),
            None => (payload_type == COMFORT_NOISE).then_some(PayloadKind::ComfortNoise),
        }
    }

    /// Checks source and sequence.
    pub(super) fn judge(
        &mut self,
        now: Instant,
        from: SocketAddr,
        packet: &Packet<'_>,
        kind: PayloadKind,
    ) -> Judged {
        let clock_rate_hz = match kind {
            PayloadKind::Audio(codec) => Some(codec.clock_rate_hz()),
            // Their timestamps do not move with the time of sending.
            PayloadKind::Event | PayloadKind::ComfortNoise => None,
        };
        match self.receiver.receive(now, from, packet, clock_rate_hz) {
            Verdict::Stranger { first } => Judged::Stranger { first },
            Verdict::OutOfPlace => Judged::OutOfPlace,
            Verdict::Accepted { source, continuity } => {
                if continuity != Continuity::Continues {
                    self.restart();
                }
                Judged::Taken {
                    latched: source == Source::Latched,
                    ssrc_changed: continuity == Continuity::NewSsrc,
                }
            }
        }
    }

    fn restart(&mut self) {
        self.buffer.restart();
        self.decoder = Decoder::new(self.decoder.codec());
        self.concealer.paused();
        let event_hz = self
            .event_hz
            .unwrap_or(self.decoder.codec().clock_rate_hz());
        self.events = dtmf::Decoder::new(event_hz);
        self.fresh = true;
    }

    /// Takes a packet that passed [`Inbound::judge`].
    pub(super) fn take(&mut self, now: Instant, packet: &Packet<'_>, kind: PayloadKind) {
        let (place, duration) = match kind {
            PayloadKind::Audio(codec) => (Kind::Audio, codec.duration(packet.payload)),
            PayloadKind::Event | PayloadKind::ComfortNoise => (Kind::Aside, 0),
        };
        self.buffer.adapt(self.receiver.jitter_ms());
        self.buffer.insert(now, packet, place, duration);
        self.drain(now);
    }

    pub(super) fn next_timeout(&self) -> Instant {
        // While packets wait behind a gap they are the next sound; filler would only get in their way.
        let sound = self
            .buffer
            .next_timeout()
            .unwrap_or(self.clock.filler_due());
        match self.events.next_timeout() {
            Some(event) => sound.min(event),
            None => sound,
        }
    }

    /// What is due by now.
    pub(super) fn time(&mut self, now: Instant) {
        self.drain(now);
        let pressed = self.events.timeout(now);
        self.tell(pressed);
        if !self.buffer.is_waiting() && self.clock.filler_due() <= now {
            let count = FRAME_SAMPLES - self.pending.len();
            let filler = self.concealer.conceal(count);
            self.clock.filled(now, count);
            self.give_out(&filler, true);
        }
    }

    pub(super) fn poll_output(&mut self) -> Option<Output> {
        self.outputs.pop_front()
    }

    fn drain(&mut self, now: Instant) {
        while let Some(release) = self.buffer.poll(now) {
            match release {
                Release::Packet(stored) => self.sound(now, &stored),
                Release::Lost { duration, .. } => {
                    let count = self.hole(now, Hole::Lost, duration);
                    let made_up = self.concealer.conceal(count);
                    self.give_out(&made_up, true);
                }
                Release::Pause { duration } => {
                    let count = self.hole(now, Hole::Pause, duration);
                    if count > 0 {
                        self.concealer.paused();
                    }
                    self.give_out(&vec![0; count], true);
                }
            }
        }
    }

    /// Samples of a hole that are still to be given out.
    fn hole(&mut self, now: Instant, hole: Hole, duration: u32) -> usize {
        let clock_rate_hz = self.decoder.codec().clock_rate_hz();
        let samples = u64::from(duration) * u64::from(SAMPLE_RATE_HZ) / u64::from(clock_rate_hz);
        let count = self.clock.hole(now, hole, samples as usize);
        if count > 0 {
            self.clock.bridged(now, count);
        }
        count
    }

    fn sound(&mut self, now: Instant, stored: &Stored) {
        let codec = match self.kind(stored.payload_type) {
            Some(PayloadKind::Audio(codec)) => codec,
            Some(PayloadKind::Event) => {
                self.concealer.paused();
                if let Ok(event) = dtmf::Event::parse(&stored.payload) {
                    let pressed = self.events.receive(now, stored.timestamp, event);
                    pressed.into_iter().for_each(|key| self.tell(key));
                }
                return;
            }
            // Comfort noise, or a type no longer agreed: what follows is silence.
            Some(PayloadKind::ComfortNoise) | None => {
                self.concealer.paused();
                return;
            }
        };
        if codec != self.decoder.codec() {
            self.decoder = Decoder::new(codec);
        }
        let mut pcm = self.decoder.decode(&stored.payload);
        if pcm.is_empty() {
            return;
        }
        if !self.receive {
            // On hold: the stream is followed, its sound is not wanted.
            return;
        }
        self.concealer.heard(&mut pcm);
        if std::mem::take(&mut self.fresh) {
            self.clock.restart(now);
        }
        let is_quiet = pcm.iter().all(|sample| sample.unsigned_abs() < QUIET_PEAK);
        if self
            .clock
            .leaves_out(now, pcm.len(), is_quiet && self.quiet)
        {
            self.clock.left_out(now);
            self.frames_swallowed += 1;
            return;
        }
        self.clock.sounded(now, pcm.len());
        self.quiet = is_quiet;
        self.give_out(&pcm, false);
    }

    fn tell(&mut self, pressed: Option<dtmf::Pressed>) {
        if let Some(key) = pressed {
            self.outputs.push_back(Output::Dtmf {
                digit: key.digit,
                duration_ms: key.duration_ms,
            });
        }
    }

    /// Cuts sound into frames. A frame with any made-up sample counts as concealed.
    fn give_out(&mut self, mut pcm: &[i16], concealed: bool) {
        while !pcm.is_empty() {
            let count = (FRAME_SAMPLES - self.pending.len()).min(pcm.len());
            self.pending.extend_from_slice(&pcm[..count]);
            self.pending_concealed |= concealed;
            pcm = &pcm[count..];
            if self.pending.len() == FRAME_SAMPLES {
                let mut frame: Frame = SILENCE;
                frame.copy_from_slice(&self.pending);
                self.pending.clear();
                let concealed = std::mem::take(&mut self.pending_concealed);
                self.frames += 1;
                self.frames_concealed += u64::from(concealed);
                self.outputs.push_back(Output::Frame {
                    pcm: frame,
                    concealed,
                });
            }
        }
    }

    pub(super) fn stats(&self, stats: &mut Stats) {
        let dropped = self.buffer.dropped();
        stats.packets_received = self.receiver.received();
        stats.packets_expected = self.receiver.expected();
        stats.packets_lost = self.receiver.expected() as i64 - self.receiver.received() as i64;
        stats.packets_late = dropped.late;
        stats.packets_duplicate = dropped.duplicate;
        stats.packets_overflowed = dropped.overflowed;
        stats.jitter_ms = self.receiver.jitter_ms();
        stats.reorder_wait_ms = self.buffer.wait_ms();
        stats.ssrc_changes = self.receiver.ssrc_changes();
        stats.frames_out = self.frames;
        stats.frames_concealed = self.frames_concealed;
        stats.frames_swallowed = self.frames_swallowed;
    }
}
