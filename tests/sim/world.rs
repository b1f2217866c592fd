//! One phone, one server, one network, one clock that jumps from event to event. The server side is the
//! program's own `sip::Endpoint` and `Call`; the phone is another endpoint and media session.
//! Owns the order of things and the invariants that are looked at after every step.

use std::collections::{HashMap, VecDeque};
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use agent_bridge::conversation::Conversation;
use agent_bridge::turn::ReplyId;
use media::FRAME_SAMPLES;
use media::codec::Codec;
use media::session::{Session, SessionConfig};
use offhook::call::{Call, CallInput, CallOutput, CallSettings};
use offhook::config::Answerer;
use rand::rngs::StdRng;
use rand::{RngExt as _, SeedableRng as _};
use sip::offer_answer::{self, AudioCodec, LocalMedia, NegotiatedAudio};
use sip::{
    CallKey, CallParams, Endpoint, EndpointConfig, Event, Flow, FlowTarget, Host, Input, NameAddr, Output,
    RegisterParams, Secret, Transport, Uri, User,
};

use crate::net::{Net, Packet, Weather};
use crate::workers::{Answer, Workers};

const PASSWORD: &str = "correct horse battery";
const FRAME: Duration = Duration::from_millis(20);

fn address(text: &str) -> SocketAddr {
    text.parse().expect("an address literal")
}

/// One stretch of the caller's speech.
#[derive(Debug, Clone)]
struct Speech {
    at: Duration,
    clip: usize,
}

#[derive(Debug, Clone)]
pub struct Scenario {
    pub weather: Weather,
    pub talk: Duration,
    pub answerer: Answerer,
    /// The caller hangs up; otherwise the server does, as if the program stopped.
    pub caller_ends: bool,
}

/// What came of a run, for the table that the test prints.
#[derive(Debug, Default)]
pub struct Outcome {
    pub registered: bool,
    pub answered: bool,
    pub turns: u32,
    pub interrupted: u32,
    pub frames_heard: u64,
    pub ended: bool,
}

struct Phone {
    endpoint: Endpoint,
    media: Option<Session>,
    call: Option<CallKey>,
    offer: String,
    local: LocalMedia,
    next_frame: Option<Instant>,
    speech: Vec<Speech>,
    speaking: Option<(usize, usize)>,
    answered_at: Option<Instant>,
    hung_up: bool,
    ends: u32,
}

struct Server {
    endpoint: Endpoint,
    call: Option<Call>,
    key: Option<CallKey>,
    ends: u32,
    drained: bool,
    /// What follows from events, carried out when both machines are drained.
    todo: VecDeque<Todo>,
}

enum Todo {
    Answer { key: CallKey, offer: String },
    Confirm,
    End,
    HangUp,
}

/// What the invariants remember.
#[derive(Default)]
struct Ledger {
    asked: HashMap<ReplyId, &'static str>,
    clauses: HashMap<ReplyId, String>,
    hangups: u32,
    rtp_sent: u64,
    samples_synthesised: u64,
}

pub struct World {
    now: Instant,
    start: Instant,
    rng: StdRng,
    net: Net,
    phone: Phone,
    server: Server,
    workers: Workers,
    ledger: Ledger,
    scenario: Scenario,
    clips: Vec<Vec<i16>>,
    pub outcome: Outcome,
}

impl World {
    pub fn new(seed: u64, scenario: Scenario, clips: Vec<Vec<i16>>) -> World {
        let start = Instant::now();
        let mut rng = StdRng::seed_from_u64(seed);
        let mut endpoint = Endpoint::new(server_config(), rng.random(), start, 1_800_000_000_000);
        endpoint.set_users(vec![User {
            name: "phone".to_owned(),
            ha1_md5: sip::ha1(sip::Algorithm::Md5, "phone", "offhook", PASSWORD),
            ha1_sha256: sip::ha1(sip::Algorithm::Sha256, "phone", "offhook", PASSWORD),
            local_only: false,
        }]);
        let local = LocalMedia {
            address: address("10.0.0.2:1").ip(),
            rtp_port: 20_000,
            session_id: 1,
            session_version: 1,
            codecs: vec![AudioCodec::Pcmu, AudioCodec::Pcma],
            telephone_event: true,
            ptime_ms: 20,
        };
        let mut phone = Phone {
            endpoint: Endpoint::new(EndpointConfig::default(), rng.random(), start, 1_800_000_000_000),
            media: None,
            call: None,
            offer: offer_answer::offer(&local),
            local,
            next_frame: None,
            speech: Vec::new(),
            speaking: None,
            answered_at: None,
            hung_up: false,
            ends: 0,
        };
        // Speech of any timing: into the greeting, over replies, with pauses, back to back.
        let mut at = Duration::from_millis(rng.random_range(0..3000));
        while at < scenario.talk {
            phone.speech.push(Speech { at, clip: rng.random_range(0..clips.len()) });
            at += Duration::from_millis(rng.random_range(1200..9000));
        }
        World {
            now: start,
            start,
            net: Net::new(scenario.weather, seed ^ 0x5eed),
            phone,
            server: Server {
                endpoint,
                call: None,
                key: None,
                    ends: 0,
                drained: false,
                todo: VecDeque::new(),
            },
            workers: Workers::new(seed ^ 0xface),
            ledger: Ledger::default(),
            rng,
            scenario,
            clips,
            outcome: Outcome::default(),
        }
    }

    /// Registers, calls, talks, ends, and waits until every transaction is over.
    pub fn run(&mut self) {
        self.register();
        let mut steps = 0u64;
        let longest = self.scenario.talk + Duration::from_secs(300);
        while self.now.duration_since(self.start) < longest {
            let Some(next) = self.next() else { break };
            self.now = next.max(self.now);
            self.step();
            self.check();
            steps += 1;
            assert!(steps < 2_000_000, "the world does not come to rest");
            if self.is_at_rest() {
                break;
            }
        }
        self.check_end();
    }

    fn register(&mut self) {
        let (target, contact) = (self.target(), Uri::sip(Some("phone"), v4("10.0.0.2"), Some(5060)));
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
                target: Uri::sip(Some(number), host(), None),
                flow: self.target(),
                from: NameAddr::new(Uri::sip(Some("phone"), host(), None)),
                contact: Uri::sip(Some("phone"), v4("10.0.0.2"), Some(5060)),
                credentials: Some(("phone".to_owned(), Secret::new(PASSWORD))),
                offer: self.phone.offer.clone(),
            },
        );
        self.phone.call = Some(key);
        self.drain_phone();
    }

    fn next(&self) -> Option<Instant> {
        [
            self.net.next(),
            self.phone.endpoint.next_timeout(),
            self.phone.media.as_ref().and_then(Session::next_timeout),
            self.phone.next_frame,
            self.server.endpoint.next_timeout(),
            self.server.call.as_ref().and_then(Call::next_timeout),
            self.workers.next(),
        ]
        .into_iter()
        .flatten()
        .min()
    }

    fn step(&mut self) {
        let now = self.now;
        while let Some(packet) = self.net.receive(now) {
            self.deliver(packet);
        }
        while let Some(answer) = self.workers.take(now) {
            let Some(call) = &mut self.server.call else { continue };
            let input = match answer {
                Answer::Transcript { ticket, result } => CallInput::Transcript { ticket, result },
                Answer::Sound { reply, clause, sound } => CallInput::Sound { reply, clause, sound },
                Answer::Reply { id, event } => CallInput::Reply { id, event },
            };
            call.handle(now, input);
            self.drain_call();
        }
        if self.phone.endpoint.next_timeout().is_some_and(|due| due <= now) {
            self.phone.endpoint.handle(now, Input::Timeout);
            self.drain_phone();
        }
        if self.server.endpoint.next_timeout().is_some_and(|due| due <= now) {
            self.server.endpoint.handle(now, Input::Timeout);
            self.drain_server();
        }
        if self.server.call.as_ref().and_then(Call::next_timeout).is_some_and(|due| due <= now)
            && let Some(call) = &mut self.server.call
        {
            call.handle(now, CallInput::Timeout);
            self.drain_call();
        }
        if let Some(media) = &mut self.phone.media
            && media.next_timeout().is_some_and(|due| due <= now)
        {
            media.handle(now, media::session::Input::Timeout);
            self.drain_phone_media();
        }
        if self.phone.next_frame.is_some_and(|due| due <= now) {
            self.phone_frame();
        }
        self.end_if_due();
        self.todo();
    }

    fn deliver(&mut self, packet: Packet) {
        let now = self.now;
        let (local, remote, data) = (packet.to, packet.from, &packet.data);
        let flow = Flow { transport: Transport::Udp, local, remote, conn: None };
        match (local.ip().to_string().as_str(), local.port()) {
            ("10.0.0.1", 5060) => {
                self.server.endpoint.handle(now, Input::Datagram { flow, data });
                self.drain_server();
            }
            ("10.0.0.2", 5060) => {
                self.phone.endpoint.handle(now, Input::Datagram { flow, data });
                self.drain_phone();
            }
            ("10.0.0.1", port) => {
                if let Some(call) = &mut self.server.call {
                    let input = if port % 2 == 0 {
                        CallInput::Rtp { from: remote, data }
                    } else {
                        CallInput::Rtcp { from: remote, data }
                    };
                    call.handle(now, input);
                    self.drain_call();
                }
            }
            (_, port) => {
                if let Some(media) = &mut self.phone.media {
                    let input = if port % 2 == 0 {
                        media::session::Input::Rtp { from: remote, data }
                    } else {
                        media::session::Input::Rtcp { from: remote, data }
                    };
                    media.handle(now, input);
                    self.drain_phone_media();
                }
            }
        }
    }

    fn drain_phone(&mut self) {
        while let Some(output) = self.phone.endpoint.poll_output() {
            match output {
                Output::Datagram { flow, data } => self.send(flow.local, flow.remote, data),
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
                let answer = answer.expect("our offer gets an answer");
                let audio = offer_answer::accept_answer(&self.phone.offer, &answer, &self.phone.local)
                    .expect("a usable answer");
                let config = session_config(Some(&audio));
                self.phone.media = Some(Session::new(config, self.rng.random(), self.now));
                self.phone.answered_at = Some(self.now);
                self.phone.next_frame = Some(self.now);
            }
            Event::CallEnded { .. } => {
                self.phone.ends += 1;
                self.phone.media = None;
                self.phone.next_frame = None;
            }
            _ => {}
        }
    }

    fn drain_phone_media(&mut self) {
        let Some(media) = &mut self.phone.media else { return };
        let mut sent = Vec::new();
        while let Some(output) = media.poll_output() {
            match output {
                media::session::Output::Rtp { to, data } => sent.push((20_000, to, data)),
                media::session::Output::Rtcp { to, data } => sent.push((20_001, to, data)),
                media::session::Output::Frame { .. } => self.outcome.frames_heard += 1,
                _ => {}
            }
        }
        for (port, to, data) in sent {
            self.send(SocketAddr::new(address("10.0.0.2:1").ip(), port), to, data);
        }
    }

    fn phone_frame(&mut self) {
        let now = self.now;
        let Some(answered_at) = self.phone.answered_at else {
            self.phone.next_frame = None;
            self.dial();
            return;
        };
        self.phone.next_frame = Some(now + FRAME);
        let since = now - answered_at;
        if self.phone.speaking.is_none() && self.phone.speech.first().is_some_and(|speech| speech.at <= since) {
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

    fn end_if_due(&mut self) {
        let Some(answered_at) = self.phone.answered_at else { return };
        if self.now - answered_at < self.scenario.talk {
            return;
        }
        if self.scenario.caller_ends {
            if !self.phone.hung_up
                && let Some(call) = self.phone.call
            {
                self.phone.hung_up = true;
                // The server may have hung up first; then the call is gone.
                let _ = self.phone.endpoint.hangup(self.now, call, None);
                self.drain_phone();
            }
        } else if !self.server.drained
            && let Some(call) = &mut self.server.call
        {
            self.server.drained = true;
            call.handle(self.now, CallInput::Drain { text: "Goodbye.".to_owned() });
            self.drain_call();
        }
    }

    fn drain_server(&mut self) {
        while let Some(output) = self.server.endpoint.poll_output() {
            match output {
                Output::Datagram { flow, data } => self.send(flow.local, flow.remote, data),
                Output::Event(event) => self.server_event(event),
                _ => {}
            }
        }
    }

    fn server_event(&mut self, event: Event) {
        match event {
            Event::IncomingCall { call, user, target, offer, .. } => {
                assert_eq!(user, "phone");
                assert!(offhook::routing::route(&Default::default(), &target).is_some());
                let offer = offer.expect("the phone offers");
                self.server.todo.push_back(Todo::Answer { key: call, offer });
            }
            Event::CallConfirmed { .. } => self.server.todo.push_back(Todo::Confirm),
            Event::CallEnded { .. } => {
                self.server.ends += 1;
                self.server.todo.push_back(Todo::End);
            }
            _ => {}
        }
    }

    fn todo(&mut self) {
        let now = self.now;
        while let Some(todo) = self.server.todo.pop_front() {
            match todo {
                Todo::Answer { key, offer } => {
                    let local = LocalMedia {
                        address: address("10.0.0.1:1").ip(),
                        rtp_port: 30_000,
                        ..self.phone.local.clone()
                    };
                    let (sdp, negotiated) = offer_answer::answer(&offer, &local).expect("a usable offer");
                    let settings = settings(self.scenario.answerer, self.rng.random());
                    let config = session_config(Some(&negotiated));
                    self.server.key = Some(key);
                    self.server.endpoint.answer(now, key, sdp).expect("the call is there");
                    self.server.call = Some(Call::new(settings, config, Conversation::new(), now));
                    self.drain_server();
                }
                Todo::Confirm => {
                    if let Some(call) = &mut self.server.call {
                        call.handle(now, CallInput::Confirmed);
                        self.drain_call();
                    }
                }
                Todo::End => {
                    if let Some(call) = &mut self.server.call {
                        call.handle(now, CallInput::Ended);
                        self.drain_call();
                        self.server.call = None;
                    }
                }
                Todo::HangUp => {
                    if let Some(key) = self.server.key {
                        // The caller may have hung up first.
                        let _ = self.server.endpoint.hangup(now, key, None);
                        self.drain_server();
                    }
                }
            }
        }
    }

    fn drain_call(&mut self) {
        let now = self.now;
        let mut hangup = None;
        while let Some(output) = self.server.call.as_mut().and_then(Call::poll_output) {
            match output {
                CallOutput::Rtp { to, data } => {
                    self.ledger.rtp_sent += 1;
                    self.send(address("10.0.0.1:30000"), to, data);
                }
                CallOutput::Rtcp { to, data } => self.send(address("10.0.0.1:30001"), to, data),
                CallOutput::Transcribe { ticket, pcm } => {
                    self.workers.transcribe(now, ticket, &pcm, true);
                }
                CallOutput::AbandonTranscript { .. } => {}
                CallOutput::Synthesise { reply, clause, text } => {
                    assert_ne!(
                        self.ledger.asked.get(&reply),
                        Some(&"asked"),
                        "a reply is spoken before its commit"
                    );
                    assert_ne!(self.ledger.asked.get(&reply), Some(&"cancelled"), "a cancelled reply is spoken");
                    self.ledger.samples_synthesised += text.len() as u64;
                    let all = self.ledger.clauses.entry(reply).or_default();
                    all.push_str(&text);
                    all.push(' ');
                    self.workers.synthesise(now, reply, clause, &text);
                }
                CallOutput::CancelSpeech { reply } => self.workers.cancel_speech(reply),
                CallOutput::Ask(question) => {
                    let before = self.ledger.asked.insert(question.id, "asked");
                    assert_eq!(before, None, "a reply id is used twice");
                    self.workers.ask(now, &question);
                }
                CallOutput::CommitReply { id } => {
                    let before = self.ledger.asked.insert(id, "committed");
                    assert_eq!(before, Some("asked"), "commit of what was not asked");
                }
                CallOutput::CancelReply { id } => {
                    let before = self.ledger.asked.insert(id, "cancelled");
                    assert!(before.is_some(), "cancel of what was not asked");
                    self.workers.cancel_reply(id);
                }
                CallOutput::Turn(turn) => {
                    self.outcome.turns += 1;
                    self.outcome.interrupted += u32::from(turn.interrupted);
                    self.check_heard(&turn.heard_text, &turn.reply_text);
                }
                CallOutput::Said(_) | CallOutput::Note(_) => {}
                CallOutput::Hangup { why } => {
                    self.ledger.hangups += 1;
                    hangup = Some(why);
                }
            }
        }
        if hangup.is_some() {
            self.server.todo.push_back(Todo::HangUp);
        }
    }

    /// What was heard is what was written, in order; only words whose clause got no sound are missing.
    fn check_heard(&self, heard: &str, reply: &str) {
        let words = |text: &str| -> Vec<String> {
            text.split_whitespace()
                .map(|word| word.chars().filter(|c| c.is_alphanumeric()).collect::<String>())
                .filter(|word| !word.is_empty())
                .collect()
        };
        let written = words(reply);
        let mut rest = written.iter();
        for word in words(heard) {
            assert!(
                rest.any(|candidate| *candidate == word),
                "{heard:?} was heard, but {reply:?} was written"
            );
        }
    }

    fn send(&mut self, from: SocketAddr, to: SocketAddr, data: Vec<u8>) {
        self.net.send(self.now, Packet { from, to, data });
    }

    fn is_at_rest(&self) -> bool {
        self.server.ends > 0
            && self.phone.ends > 0
            && self.server.endpoint.stats().server_transactions == 0
            && self.phone.endpoint.stats().client_transactions == 0
    }

    /// What holds at every moment.
    fn check(&self) {
        assert!(self.server.ends <= 1 && self.phone.ends <= 1, "a call ends once");
        assert!(self.ledger.hangups <= 1, "a call is hung up once");
        assert!(self.server.endpoint.stats().server_transactions <= 64);
        if let Some(call) = &self.server.call {
            assert!(call.next_timeout().is_some(), "a call that is up has something to wait for");
        }
    }

    /// What holds when all is over.
    fn check_end(&mut self) {
        assert!(self.outcome.registered, "registered");
        assert!(self.outcome.answered, "answered");
        assert_eq!(self.server.ends, 1, "the server's call has ended");
        assert_eq!(self.phone.ends, 1, "the phone's call has ended");
        assert_eq!(self.server.endpoint.stats().calls, 0);
        for (id, state) in &self.ledger.asked {
            assert_ne!(*state, "asked", "{id:?} is neither committed nor cancelled");
        }
        self.outcome.ended = true;
    }
}

fn v4(text: &str) -> Host {
    Host::V4(text.parse().expect("an address literal"))
}

fn server_config() -> EndpointConfig {
    EndpointConfig {
        domains: vec!["offhook".to_owned(), "10.0.0.1".to_owned()],
        ..EndpointConfig::default()
    }
}

fn settings(service: Answerer, seed: [u8; 32]) -> CallSettings {
    CallSettings {
        service,
        greeting: "Hello, this is a test.".to_owned(),
        turn: agent_bridge::turn::TurnConfig::default(),
        vad: asr::vad::VadConfig::default(),
        system_prompt: String::new(),
        history_messages_max: 20,
        history_chars_max: 4000,
        session: "phone/agent".to_owned(),
        seed,
        duration_max: Duration::from_secs(3600),
        no_audio_hangup: Duration::from_secs(60),
    }
}

fn session_config(audio: Option<&NegotiatedAudio>) -> SessionConfig {
    let audio = audio.expect("negotiated");
    SessionConfig {
        codec: Codec::Pcmu,
        payload_type: audio.payload_type,
        receive_payload_types: vec![(0, Codec::Pcmu), (8, Codec::Pcma)],
        telephone_event: audio.telephone_event,
        remote_rtp: audio.remote_rtp,
        remote_rtcp: audio.remote_rtcp,
        cname: "sim".to_owned(),
        ntp_offset: 1_800_000_000_000,
        send: true,
        receive: true,
    }
}
