//! The way in: packets of one stream to frames and keys.
//!
//! Order: source and sequence (`receiver`), order (`jitter_buffer`), sound (`codec`, `concealment`, `comfort_noise`),
//! real time, cut into frames here, whatever the packet size. Real time is kept in one of two ways: sound is given out as
//! it comes (`frame_clock`), or a frame every 20 ms (`steady`).
//!
//! PURE.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::time::Instant;

use super::types::{Delivery, Output, SessionConfig, Stats};
use crate::codec::{Codec, Decoder, opus};
use crate::comfort_noise::{Description, Generator};
use crate::concealment::Concealer;
use crate::dtmf;
use crate::dtmf_inband;
use crate::frame_clock::{FrameClock, Hole};
use crate::jitter_buffer::{JitterBuffer, Kind, Release, Stored};
use crate::receiver::latch::{Latch, Source};
use crate::receiver::reception::ReportFigures;
use crate::receiver::{Continuity, Receiver, Verdict};
use crate::rtp::Packet;
use crate::steady::{Change, Steady};
use crate::stretch;
use crate::{FRAME_SAMPLES, Frame, SAMPLE_RATE_HZ, SILENCE};

/// Payload types accepted per direction.
const PAYLOAD_TYPES_MAX: usize = 16;

/// RFC 3389: comfort noise, often sent without being agreed.
const COMFORT_NOISE: u8 = 13;

/// Longest hole filled with made-up sound; what is longer is a pause.
const HOLE_MS_MAX: u32 = 200;

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
    /// Keys in the sound, until the first telephone-event comes.
    tones: Option<dtmf_inband::Detector>,
    clock: FrameClock,
    /// In place of `clock`, where frames are given out at a constant pace.
    steady: Option<Steady>,
    is_steady: bool,
    /// What the sender says its silence sounds like.
    noise: Option<Generator>,
    comfort_noise: Option<u8>,
    /// The last packet of sound announced a pause.
    dtx: bool,
    recovered: u64,
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
            tones: config.in_band_digits.then(dtmf_inband::Detector::new),
            clock: FrameClock::new(start),
            steady: (config.delivery == Delivery::Steady).then(|| Steady::new(start)),
            is_steady: config.delivery == Delivery::Steady,
            noise: None,
            comfort_noise: config.comfort_noise,
            dtx: false,
            recovered: 0,
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
        self.comfort_noise = config.comfort_noise;
        self.telephone_event = config.telephone_event;
        if self.event_hz != config.telephone_event_hz {
            self.event_hz = config.telephone_event_hz;
            self.events = dtmf::Decoder::new(event_clock_hz(config, self.decoder.codec()));
        }
        self.payload_types = payload_types(config);
        self.receiver.expect(config.remote_rtp);
    }

    /// The peer is to be found at another address.
    pub(super) fn expect(&mut self, remote_rtp: Option<SocketAddr>) {
        self.receiver.expect(remote_rtp);
    }

    pub(super) fn latch(&self) -> &Latch {
        self.receiver.latch()
    }

    /// The codec of what came last.
    pub(super) fn codec(&self) -> Codec {
        self.decoder.codec()
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
            None => (payload_type == COMFORT_NOISE || self.comfort_noise == Some(payload_type))
                .then_some(PayloadKind::ComfortNoise),
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
        self.noise = None;
        self.dtx = false;
        if let Some(steady) = &mut self.steady {
            steady.restart();
        }
        let event_hz = self
            .event_hz
            .unwrap_or(self.decoder.codec().clock_rate_hz());
        self.events = dtmf::Decoder::new(event_hz);
        self.fresh = true;
    }

    /// Takes a packet that passed [`Inbound::judge`].
    pub(super) fn take(&mut self, now: Instant, packet: &Packet<'_>, kind: PayloadKind) {
        let (place, duration, clock_rate_hz) = match kind {
            PayloadKind::Audio(codec) => {
                let duration = codec.duration(packet.payload);
                (Kind::Audio, duration, codec.clock_rate_hz())
            }
            PayloadKind::Event | PayloadKind::ComfortNoise => {
                (Kind::Aside, 0, self.decoder.codec().clock_rate_hz())
            }
        };
        self.buffer
            .insert(now, packet, place, duration, clock_rate_hz);
        self.clock.expect_late(self.buffer.transit().late_ms());
        if !self.is_steady {
            self.drain(now);
            return;
        }
        // Keys and descriptions of silence need no place in time.
        while self.buffer.has_next(Kind::Aside)
            && let Some(Release::Packet(stored)) = self.buffer.poll_due()
        {
            self.sound(now, &stored);
        }
    }

    pub(super) fn next_timeout(&self) -> Instant {
        // While packets wait behind a gap they are the next sound; filler would only get in their way.
        let sound = match &self.steady {
            Some(steady) => steady.tick(),
            None => self
                .buffer
                .next_timeout()
                .unwrap_or(self.clock.filler_due()),
        };
        match self.events.next_timeout() {
            Some(event) => sound.min(event),
            None => sound,
        }
    }

    /// What is due by now.
    pub(super) fn time(&mut self, now: Instant) {
        let pressed = self.events.timeout(now);
        self.tell(pressed);
        while self.steady.as_ref().is_some_and(|s| s.tick() <= now) {
            self.tick(now);
        }
        if self.is_steady {
            return;
        }
        self.drain(now);
        if !self.buffer.is_waiting() && self.clock.filler_due() <= now {
            let count = FRAME_SAMPLES - self.pending.len();
            let filler = self.made_up(count, false);
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
                Release::Packet(stored) => {
                    self.sound(now, &stored);
                }
                Release::Lost { duration, .. } => {
                    let count = self.hole(now, Hole::Lost, duration);
                    let made_up = self.made_up(count, true);
                    self.give_out(&made_up, true);
                }
                Release::Pause { duration } => {
                    let count = self.hole(now, Hole::Pause, duration);
                    let silence = self.silence(count);
                    self.give_out(&silence, true);
                }
            }
        }
    }

    /// One frame at the constant pace.
    fn tick(&mut self, now: Instant) {
        // Taken out for the time of this call, so that the rest of the way in can be used.
        let Some(mut steady) = self.steady.take() else {
            return;
        };
        if steady.queue.len() < FRAME_SAMPLES {
            let change = steady.wanted_change(now, self.buffer.transit());
            let wanted = match change {
                Some(Change::Shorten(_)) => FRAME_SAMPLES + stretch::NEEDED,
                Some(Change::Lengthen) | None => FRAME_SAMPLES,
            };
            self.fetch(now, &mut steady, wanted);
            if let Some(change) = change {
                steady.change(change);
                // Shortened by more than there was to spare: one packet more.
                self.fetch(now, &mut steady, FRAME_SAMPLES);
            }
        }
        let missing = FRAME_SAMPLES.saturating_sub(steady.queue.len());
        if missing > 0 {
            let filler = self.made_up(missing, false);
            steady.filled(&filler);
            self.pending_concealed = true;
        }
        let frame: Vec<i16> = steady.queue.drain(..FRAME_SAMPLES).collect();
        steady.ticked(now);
        self.steady = Some(steady);
        self.give_out(&frame, false);
    }

    /// Takes sound from the packets until `wanted` samples wait, or there is no more that is due. What is missing is
    /// given up only for the frame that is due; beyond it only what is here counts.
    fn fetch(&mut self, now: Instant, steady: &mut Steady, wanted: usize) {
        while steady.queue.len() < wanted {
            let is_due = steady.queue.len() < FRAME_SAMPLES;
            if !is_due && !self.buffer.has_next(Kind::Audio) {
                return;
            }
            if steady.is_starting()
                && let Some(timestamp) = self.buffer.next_timestamp()
            {
                let wait = steady.to_wait(now, self.buffer.transit(), timestamp);
                if wait > 0 {
                    let count = wait.min(FRAME_SAMPLES.saturating_sub(steady.queue.len()));
                    let silence = self.silence(count);
                    steady.queue.extend(silence);
                    self.pending_concealed = true;
                    if count < wait {
                        return;
                    }
                }
            }
            match self.buffer.poll_due() {
                None => return,
                Some(Release::Pause { .. }) => steady.restart(),
                Some(Release::Lost { duration, .. }) => {
                    let longest = self.decoder.codec().clock_rate_hz() / 1_000 * HOLE_MS_MAX;
                    if duration > longest {
                        steady.restart();
                        continue;
                    }
                    let count = steady.lost(self.samples(duration), duration);
                    let made_up = self.made_up(count, true);
                    steady.queue.extend(made_up);
                    self.pending_concealed = true;
                }
                Some(Release::Packet(stored)) => {
                    if let Some(pcm) = self.sound(now, &stored) {
                        let end = stored.timestamp.wrapping_add(stored.duration);
                        steady.sounded(&pcm, end);
                    }
                }
            }
        }
    }

    /// Sound in place of what is not there: the sender's background while it pauses, else what the codec or we can make
    /// up. `lost`: the packet behind the gap may repeat it.
    fn made_up(&mut self, count: usize, lost: bool) -> Vec<i16> {
        if count == 0 {
            return Vec::new();
        }
        // A key whose sender fell silent behind it has ended.
        if !lost && let Some(tones) = self.tones.as_mut().filter(|tones| tones.is_pressed()) {
            for key in tones.push(&vec![0; count]) {
                self.tell(Some(key));
            }
        }
        if let Some(noise) = &mut self.noise {
            return noise.noise(count);
        }
        let codec = self.decoder.codec();
        let next = self.buffer.next_payload().filter(|(payload_type, _)| {
            lost && self.payload_types.contains(&(*payload_type, codec))
        });
        let next = next.map(|(_, payload)| payload);
        if codec == Codec::Opus && next.is_some_and(opus::has_fec) {
            self.recovered += 1;
        }
        match self.decoder.conceal(count, next) {
            Some(pcm) => pcm,
            None => {
                let pcm = self.concealer.conceal(count);
                // Filler may yet turn out to be only late.
                if lost {
                    self.decoder.follow(&pcm, &mut self.concealer.clone());
                }
                pcm
            }
        }
    }

    /// The sound of a pause of the sender.
    fn silence(&mut self, count: usize) -> Vec<i16> {
        if self.noise.is_some() || self.dtx {
            return self.made_up(count, false);
        }
        if count > 0 {
            self.concealer.paused();
        }
        vec![0; count]
    }

    fn samples(&self, duration: u32) -> usize {
        let clock_rate_hz = self.decoder.codec().clock_rate_hz();
        (u64::from(duration) * u64::from(SAMPLE_RATE_HZ) / u64::from(clock_rate_hz)) as usize
    }

    /// Samples of a hole that are still to be given out.
    fn hole(&mut self, now: Instant, hole: Hole, duration: u32) -> usize {
        let count = self.clock.hole(now, hole, self.samples(duration));
        if count > 0 {
            self.clock.bridged(now, count);
        }
        count
    }

    /// Takes one packet in order. At a constant pace its sound comes back, otherwise it is given out.
    fn sound(&mut self, now: Instant, stored: &Stored) -> Option<Vec<i16>> {
        let codec = match self.kind(stored.payload_type) {
            Some(PayloadKind::Audio(codec)) => codec,
            Some(PayloadKind::Event) => {
                self.concealer.paused();
                // A phone that says its keys may well sound them, too.
                self.tones = None;
                if let Ok(event) = dtmf::Event::parse(&stored.payload) {
                    let pressed = self.events.receive(now, stored.timestamp, event);
                    pressed.into_iter().for_each(|key| self.tell(key));
                }
                return None;
            }
            Some(PayloadKind::ComfortNoise) => {
                self.concealer.paused();
                if let Some(description) = Description::parse(&stored.payload) {
                    match &mut self.noise {
                        Some(noise) => noise.update(&description),
                        None => self.noise = Some(Generator::new(&description)),
                    }
                }
                return None;
            }
            // A type no longer agreed: what follows is silence.
            None => {
                self.concealer.paused();
                return None;
            }
        };
        if codec != self.decoder.codec() {
            self.decoder = Decoder::new(codec);
        }
        let mut pcm = self.decoder.decode(&stored.payload);
        if pcm.is_empty() {
            return None;
        }
        self.noise = None;
        self.dtx = codec == Codec::Opus && stored.payload.len() <= opus::SILENT_LEN_MAX;
        if !self.receive {
            // On hold: the stream is followed, its sound is not wanted.
            return None;
        }
        let pressed = self.tones.as_mut().map(|tones| tones.push(&pcm));
        for key in pressed.into_iter().flatten() {
            self.tell(Some(key));
        }
        self.concealer.heard(&mut pcm);
        if self.is_steady {
            return Some(pcm);
        }
        self.give_out_now(now, &pcm);
        None
    }

    fn give_out_now(&mut self, now: Instant, pcm: &[i16]) {
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
        self.give_out(pcm, false);
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
        stats.late_ms = self.buffer.transit().late_ms();
        stats.playout_delay_ms = match &self.steady {
            Some(steady) => steady.delay_ms(),
            None => 0.0,
        };
        let losses = self.buffer.losses();
        stats.packets_given_up = losses.packets;
        stats.loss_runs = losses.runs;
        stats.packets_recovered = self.recovered.min(losses.packets);
        stats.ssrc_changes = self.receiver.ssrc_changes();
        stats.frames_out = self.frames;
        stats.frames_concealed = self.frames_concealed;
        stats.frames_swallowed = self.frames_swallowed;
    }
}
