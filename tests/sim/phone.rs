//! The caller and their phone: registers, dials, talks, presses keys, holds, moves, gives up, vanishes.
//! Owns what the phone does when; what must hold is the world's and the ledger's.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use media::FRAME_SAMPLES;
use media::session::Session;
use offhook::config::Answerer;
use rand::RngExt as _;
use sip::offer_answer::{self, LocalMedia};
use sip::{
    CallKey, CallParams, Endpoint, EndpointConfig, Event, Flow, FlowTarget, Host, Input, NameAddr,
    Output, RegisterParams, Secret, Transport, Uri,
};

use crate::edge::{Edge, Incoming};
use crate::setup::{PASSWORD, address, session_config, v4};
use crate::world::{Act, Scenario, World};

const FRAME: Duration = Duration::from_millis(20);
/// PCMU, sequence 0, 10 ms of something.
const STRANGE: [u8; 92] = {
    let mut packet = [0x55; 92];
    packet[0] = 0x80;
    packet[1] = 0;
    packet
};

/// One stretch of the caller's speech.
#[derive(Debug, Clone)]
pub struct Speech {
    pub at: Duration,
    pub clip: usize,
}

pub struct Phone {
    pub endpoint: Endpoint,
    pub media: Option<Session>,
    pub call: Option<CallKey>,
    pub offer: String,
    pub local: LocalMedia,
    pub next_frame: Option<Instant>,
    pub speech: Vec<Speech>,
    pub speaking: Option<(usize, usize)>,
    pub answered_at: Option<Instant>,
    pub hung_up: bool,
    pub ends: u32,
    pub edge: Edge,
    pub rtp_port: u16,
    pub gives_up_at: Option<Instant>,
    acts: Vec<(Duration, Act)>,
    strangers_left: u32,
    version: u64,
}

impl Phone {
    pub fn new(seed: [u8; 32], start: Instant, scenario: &Scenario, local: LocalMedia) -> Phone {
        let offer = offer_answer::offer(&local);
        let late_answer = scenario.late_offer.then(|| offer.clone());
        Phone {
            endpoint: Endpoint::new(EndpointConfig::default(), seed, start, 1_800_000_000_000),
            media: None,
            call: None,
            offer,
            rtp_port: local.rtp_port,
            local,
            next_frame: None,
            speech: Vec::new(),
            speaking: None,
            answered_at: None,
            hung_up: false,
            ends: 0,
            edge: Edge::new(late_answer),
            gives_up_at: None,
            acts: scenario.acts.clone(),
            strangers_left: 0,
            version: 1,
        }
    }
}

impl World {
    pub fn register(&mut self) {
        let (target, contact) = (
            self.target(),
            Uri::sip(Some("phone"), v4("10.0.0.2"), Some(5060)),
        );
        self.phone.endpoint.register(
            self.now,
            RegisterParams {
                registrar: Uri::sip(None, Host::Name("offhook".to_owned()), None),
                flow: target,
                user: "phone".to_owned(),
                password: Secret::new(PASSWORD),
                expires_s: 3600,
                contact,
            },
        );
        self.drain_phone();
    }

    fn target(&self) -> FlowTarget {
        FlowTarget {
            transport: Transport::Udp,
            local: address("10.0.0.2:5060"),
            remote: address("10.0.0.1:5060"),
        }
    }

    fn dial(&mut self) {
        let number = match self.scenario.answerer {
            Answerer::Echo => "101",
            _ => "100",
        };
        let host = || Host::Name("offhook".to_owned());
        let key = self.phone.endpoint.call(
            self.now,
            CallParams {
                credentials: Some(("phone".to_owned(), Secret::new(PASSWORD))),
                ..CallParams::new(
                    Uri::sip(Some(number), host(), None),
                    self.target(),
                    NameAddr::new(Uri::sip(Some("phone"), host(), None)),
                    Uri::sip(Some("phone"), v4("10.0.0.2"), Some(5060)),
                    self.phone.offer.clone(),
                )
            },
        );
        self.phone.call = Some(key);
        self.phone.gives_up_at = self.scenario.patience.map(|patience| self.now + patience);
        self.drain_phone();
    }

    pub fn drain_phone(&mut self) {
        while let Some(output) = self.phone.endpoint.poll_output() {
            match output {
                Output::Datagram { flow, data } => {
                    let data = self.phone.edge.outgoing(data);
                    self.send(flow.local, flow.remote, data);
                }
                Output::Event(event) => self.phone_event(event),
                _ => {}
            }
        }
    }

    fn phone_event(&mut self, event: Event) {
        match event {
            Event::RegistrationResult { result: Ok(_), .. } if !self.outcome.registered => {
                self.outcome.registered = true;
                // Not from within the drain of the same endpoint: dialled at the next frame.
                self.phone.next_frame = Some(self.now + FRAME);
            }
            Event::CallAnswered { answer, .. } => {
                self.outcome.answered = true;
                self.phone.gives_up_at = None;
                let answer = answer.expect("our offer gets an answer");
                // What the server offers late reads like an answer: the phone has all of its codecs.
                let audio =
                    offer_answer::accept_answer(&self.phone.offer, &answer, &self.phone.local)
                        .expect("a usable answer");
                let config = session_config(Some(&audio));
                self.phone.media = Some(Session::new(config, self.rng.random(), self.now));
                self.phone.answered_at = Some(self.now);
                self.phone.next_frame = Some(self.now);
            }
            Event::CallEnded { .. } => {
                self.phone.ends += 1;
                self.phone.gives_up_at = None;
                self.phone.media = None;
                self.phone.next_frame = None;
            }
            _ => {}
        }
    }

    pub fn drain_phone_media(&mut self) {
        let rtp_port = self.phone.rtp_port;
        let Some(media) = &mut self.phone.media else {
            return;
        };
        let mut sent = Vec::new();
        while let Some(output) = media.poll_output() {
            match output {
                media::session::Output::Rtp { to, data } => sent.push((rtp_port, to, data)),
                media::session::Output::Rtcp { to, data } => sent.push((rtp_port + 1, to, data)),
                media::session::Output::Frame { .. } => self.outcome.frames_heard += 1,
                _ => {}
            }
        }
        for (port, to, data) in sent {
            self.send(SocketAddr::new(address("10.0.0.2:1").ip(), port), to, data);
        }
    }

    pub fn phone_frame(&mut self) {
        let now = self.now;
        let Some(answered_at) = self.phone.answered_at else {
            self.phone.next_frame = None;
            self.dial();
            return;
        };
        self.phone.next_frame = Some(now + FRAME);
        let since = now - answered_at;
        while self.phone.acts.first().is_some_and(|(at, _)| *at <= since) {
            let (_, act) = self.phone.acts.remove(0);
            self.act(act);
        }
        self.strange();
        if self.phone.speaking.is_none()
            && self
                .phone
                .speech
                .first()
                .is_some_and(|speech| speech.at <= since)
        {
            let speech = self.phone.speech.remove(0);
            self.phone.speaking = Some((speech.clip, 0));
        }
        let mut frame = [0i16; FRAME_SAMPLES];
        if let Some((clip, at)) = self.phone.speaking {
            let samples = &self.clips[clip];
            let end = (at + FRAME_SAMPLES).min(samples.len());
            frame[..end - at].copy_from_slice(&samples[at..end]);
            self.phone.speaking = (end < samples.len()).then_some((clip, end));
        }
        if let Some(media) = &mut self.phone.media {
            media.send_frame(now, &frame);
            self.drain_phone_media();
        }
    }

    /// A message from the server, by way of the edge.
    pub fn phone_message(&mut self, flow: Flow, data: &[u8]) {
        match self.phone.edge.incoming(data) {
            Incoming::ForEndpoint(data) => {
                self.phone
                    .endpoint
                    .handle(self.now, Input::Datagram { flow, data: &data });
                self.drain_phone();
            }
            Incoming::Settled { ack, taken } => {
                self.outcome.renegotiated += u32::from(taken);
                self.send(flow.local, flow.remote, ack);
            }
            Incoming::Nothing => {}
        }
    }

    /// Repeated offers, and the caller's patience.
    pub fn phone_due(&mut self) {
        let now = self.now;
        if let Some(data) = self.phone.edge.timeout(now) {
            self.send(address("10.0.0.2:5060"), address("10.0.0.1:5060"), data);
        }
        if self.phone.gives_up_at.take_if(|due| *due <= now).is_some()
            && let Some(call) = self.phone.call
        {
            self.phone.hung_up = true;
            let _ = self.phone.endpoint.hangup(now, call, None);
            self.drain_phone();
        }
    }

    fn act(&mut self, act: Act) {
        match act {
            Act::Digit(digit) => {
                if let Some(media) = &mut self.phone.media {
                    media.send_dtmf(self.now, digit, 100);
                    self.drain_phone_media();
                }
            }
            Act::Stranger => self.phone.strangers_left = 50,
            Act::Hold => self.offer_again("a=sendonly"),
            Act::Resume => self.offer_again("a=sendrecv"),
            Act::Move => {
                self.phone.rtp_port += 100;
                self.outcome.moves += 1;
                self.offer_again("a=sendrecv");
            }
            Act::Vanish => {
                self.outcome.vanished = true;
                self.phone.media = None;
                self.phone.next_frame = None;
            }
        }
    }

    fn offer_again(&mut self, direction: &str) {
        self.phone.version += 1;
        let local = LocalMedia {
            rtp_port: self.phone.rtp_port,
            session_version: self.phone.version,
            ..self.phone.local.clone()
        };
        let sdp = offer_answer::offer(&local).replace("a=sendrecv", direction);
        if let Some(data) = self.phone.edge.offer(self.now, &sdp) {
            self.send(address("10.0.0.2:5060"), address("10.0.0.1:5060"), data);
        }
    }

    /// One packet of somebody who is not the phone.
    fn strange(&mut self) {
        if self.phone.strangers_left > 0 {
            self.phone.strangers_left -= 1;
            let packet = media::rtp::Packet::parse(&STRANGE).expect("a packet");
            let data = media::rtp::Packet {
                sequence: self.phone.strangers_left as u16,
                ..packet
            }
            .to_bytes();
            self.send(address("10.9.9.9:9999"), address("10.0.0.1:30000"), data);
        }
    }
}
