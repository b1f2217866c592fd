//! One phone, one server, one network, one clock that jumps from event to event. The server side is the
//! program's own `sip::Endpoint` and `Call`; the phone is another endpoint and media session.
//! Owns the order of things and the invariants that are looked at after every step.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use agent_bridge::conversation::Conversation;
use media::session::Session;
use offhook::call::{Call, CallInput, CallOutput, Note, ReplyEvent};
use offhook::config::Answerer;
use rand::rngs::StdRng;
use rand::{RngExt as _, SeedableRng as _};
use sip::offer_answer::{self, LocalMedia};
use sip::{CallKey, Endpoint, Event, Flow, Input, Output, Transport, User};

use crate::ledger::Ledger;
use crate::net::{Net, Packet};
use crate::phone::{Phone, Speech};
pub use crate::scenario::{Act, Outcome, Scenario};
use crate::setup::{PASSWORD, address, local_media, server_config, session_config, settings};
use crate::workers::{Answer, Workers};

struct Server {
    endpoint: Endpoint,
    call: Option<Call>,
    key: Option<CallKey>,
    local: LocalMedia,
    our_offer: Option<String>,
    /// Calls that got as far as us: none, if the caller gave up before logging in.
    calls: u32,
    ends: u32,
    drained: bool,
    /// What follows from events, carried out when both machines are drained.
    todo: VecDeque<Todo>,
    /// A call that rings until then.
    ringing: Option<(Instant, CallKey, Option<String>)>,
}

enum Todo {
    Ring { key: CallKey },
    Answer { key: CallKey, offer: Option<String> },
    Confirm { answer: Option<String> },
    Reinvite { key: CallKey, offer: String },
    End,
    HangUp,
}

pub struct World {
    pub(crate) now: Instant,
    start: Instant,
    pub(crate) rng: StdRng,
    net: Net,
    pub(crate) phone: Phone,
    server: Server,
    workers: Workers,
    ledger: Ledger,
    pub(crate) scenario: Scenario,
    pub(crate) clips: Vec<Vec<i16>>,
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
        let local = local_media("10.0.0.2:20000");
        let mut phone = Phone::new(rng.random(), start, &scenario, local.clone());
        // Speech of any timing: into the greeting, over replies, with pauses, back to back.
        let mut at = Duration::from_millis(rng.random_range(0..3000));
        while at < scenario.talk {
            let clip = rng.random_range(0..clips.len());
            phone.speech.push(Speech { at, clip });
            // A pause inside, as long as a breath or a thought.
            if rng.random_range(0..3) == 0 {
                at += Duration::from_millis(clips[clip].len() as u64 * 1_000 / 16_000);
                at += Duration::from_millis(rng.random_range(300..1_200));
                let clip = rng.random_range(0..clips.len());
                phone.speech.push(Speech { at, clip });
            }
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
                local: local_media("10.0.0.1:30000"),
                our_offer: None,
                calls: 0,
                ends: 0,
                drained: false,
                todo: VecDeque::new(),
                ringing: None,
            },
            workers: Workers::new(seed ^ 0xface),
            ledger: Ledger::new(address("10.0.0.2:20000")),
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
        let longest = self.scenario.talk + Duration::from_secs(900);
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

    fn next(&self) -> Option<Instant> {
        [
            self.net.next(),
            self.phone.endpoint.next_timeout(),
            self.phone.media.as_ref().and_then(Session::next_timeout),
            self.phone.next_frame,
            self.phone.edge.next_timeout(),
            self.phone.gives_up_at,
            self.server.ringing.as_ref().map(|(due, ..)| *due),
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
            let Some(call) = &mut self.server.call else {
                continue;
            };
            let input = match answer {
                Answer::Transcript { ticket, result } => CallInput::Transcript { ticket, result },
                Answer::Sound {
                    reply,
                    clause,
                    sound,
                } => CallInput::Sound {
                    reply,
                    clause,
                    sound,
                },
                Answer::Reply { id, event } => {
                    if matches!(event, ReplyEvent::ToolCall(_)) {
                        self.ledger.tool_told(id);
                    }
                    CallInput::Reply { id, event }
                }
            };
            call.handle(now, input);
            self.drain_call();
        }
        if self
            .phone
            .endpoint
            .next_timeout()
            .is_some_and(|due| due <= now)
        {
            self.phone.endpoint.handle(now, Input::Timeout);
            self.drain_phone();
        }
        if self
            .server
            .endpoint
            .next_timeout()
            .is_some_and(|due| due <= now)
        {
            self.server.endpoint.handle(now, Input::Timeout);
            self.drain_server();
        }
        if self
            .server
            .call
            .as_ref()
            .and_then(Call::next_timeout)
            .is_some_and(|due| due <= now)
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
        self.phone_due();
        if let Some((_, key, offer)) = self.server.ringing.take_if(|(due, ..)| *due <= now) {
            self.server.todo.push_back(Todo::Answer { key, offer });
        }
        self.end_if_due();
        self.todo();
    }

    fn deliver(&mut self, packet: Packet) {
        let now = self.now;
        let (local, remote, data) = (packet.to, packet.from, &packet.data);
        let flow = Flow {
            transport: Transport::Udp,
            local,
            remote,
            conn: None,
        };
        match (local.ip().to_string().as_str(), local.port()) {
            ("10.0.0.1", 5060) => {
                self.server
                    .endpoint
                    .handle(now, Input::Datagram { flow, data });
                self.drain_server();
            }
            ("10.0.0.2", 5060) => self.phone_message(flow, data),
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

    fn end_if_due(&mut self) {
        if self.outcome.vanished {
            return;
        }
        let Some(answered_at) = self.phone.answered_at else {
            return;
        };
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
            call.handle(
                self.now,
                CallInput::Drain {
                    text: "Goodbye.".to_owned(),
                },
            );
            self.drain_call();
        }
    }

    fn drain_server(&mut self) {
        let mut saved_first = VecDeque::new();
        while let Some(output) = saved_first
            .pop_front()
            .or_else(|| self.server.endpoint.poll_output())
        {
            match output {
                Output::Datagram { flow, data } => self.send(flow.local, flow.remote, data),
                Output::SaveBindings { then, .. } => saved_first.extend(then),
                Output::Event(event) => self.server_event(event),
                _ => {}
            }
        }
    }

    fn server_event(&mut self, event: Event) {
        match event {
            Event::IncomingCall {
                call,
                caller,
                target,
                offer,
                ..
            } => {
                assert_eq!(caller.name(), "phone");
                assert!(offhook::routing::route(&Default::default(), &target).is_some());
                self.server.calls += 1;
                assert_eq!(offer.is_none(), self.scenario.late_offer);
                if self.scenario.rings.is_zero() {
                    self.server
                        .todo
                        .push_back(Todo::Answer { key: call, offer });
                } else {
                    self.server.ringing = Some((self.now + self.scenario.rings, call, offer));
                    self.server.todo.push_back(Todo::Ring { key: call });
                }
            }
            Event::CallConfirmed { answer, .. } => {
                self.server.todo.push_back(Todo::Confirm { answer })
            }
            Event::ReInvite { call, offer } => {
                let offer = offer.expect("the phone offers");
                self.server
                    .todo
                    .push_back(Todo::Reinvite { key: call, offer });
            }
            Event::CallEnded { .. } => {
                self.server.ends += 1;
                self.server.ringing = None;
                self.server.todo.push_back(Todo::End);
            }
            _ => {}
        }
    }

    fn todo(&mut self) {
        let now = self.now;
        while let Some(todo) = self.server.todo.pop_front() {
            match todo {
                Todo::Ring { key } => {
                    self.server
                        .endpoint
                        .provisional(now, key, 180, None)
                        .expect("the call rings");
                    self.drain_server();
                }
                Todo::Answer { key, offer } => self.answer(key, offer),
                Todo::Confirm { answer } => self.confirm(answer),
                Todo::Reinvite { key, offer } => self.reinvite(key, &offer),
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

    fn answer(&mut self, key: CallKey, offer: Option<String>) {
        let now = self.now;
        let (sdp, negotiated) = match &offer {
            Some(offer) => {
                let (sdp, audio) =
                    offer_answer::answer(offer, &self.server.local).expect("a usable offer");
                (sdp, Some(audio))
            }
            None => (offer_answer::offer(&self.server.local), None),
        };
        self.server.our_offer = offer.is_none().then(|| sdp.clone());
        let settings = settings(self.scenario.answerer, self.rng.random());
        self.server.key = Some(key);
        self.server
            .endpoint
            .answer(now, key, sdp)
            .expect("the call is there");
        let config = session_config(negotiated.as_ref());
        self.server.call = Some(Call::new(settings, config, Conversation::new(), now));
        self.drain_server();
    }

    fn confirm(&mut self, answer: Option<String>) {
        let mut inputs = vec![CallInput::Confirmed];
        if let Some(offer) = self.server.our_offer.take() {
            let answer = answer.expect("the phone's answer comes with the ACK");
            let audio = offer_answer::accept_answer(&offer, &answer, &self.server.local)
                .expect("a usable answer");
            inputs.insert(0, CallInput::Media(session_config(Some(&audio))));
        }
        for input in inputs {
            if let Some(call) = &mut self.server.call {
                call.handle(self.now, input);
                self.drain_call();
            }
        }
    }

    fn reinvite(&mut self, key: CallKey, offer: &str) {
        self.server.local.session_version += 1;
        let (sdp, audio) = offer_answer::answer(offer, &self.server.local).expect("a usable offer");
        self.ledger.stream_changes();
        self.ledger.held = !audio.direction.sends();
        self.ledger.phone.extend(audio.remote_rtp);
        if let Some(call) = &mut self.server.call {
            call.handle(self.now, CallInput::Media(session_config(Some(&audio))));
            self.drain_call();
        }
        // The call may have ended meanwhile.
        let _ = self.server.endpoint.answer_reinvite(self.now, key, Ok(sdp));
        self.drain_server();
    }

    fn drain_call(&mut self) {
        let now = self.now;
        let mut hangup = None;
        while let Some(output) = self.server.call.as_mut().and_then(Call::poll_output) {
            match output {
                CallOutput::Rtp { to, data } => {
                    let is_paced = self.scenario.answerer != Answerer::Echo;
                    self.ledger.rtp(now, to, &data, is_paced);
                    self.send(address("10.0.0.1:30000"), to, data);
                }
                CallOutput::Rtcp { to, data } => self.send(address("10.0.0.1:30001"), to, data),
                CallOutput::Transcribe { ticket, pcm, .. } => {
                    self.workers.transcribe(now, ticket, &pcm, true);
                }
                CallOutput::AbandonTranscript { .. }
                | CallOutput::JudgeTurn { .. }
                | CallOutput::Caption(_)
                | CallOutput::Told { .. } => {}
                CallOutput::Synthesise {
                    reply,
                    clause,
                    text,
                } => {
                    self.ledger.synthesise(reply, &text);
                    self.workers.synthesise(now, reply, clause, &text);
                }
                CallOutput::CancelSpeech { reply } => self.workers.cancel_speech(reply),
                CallOutput::Ask(question) => {
                    self.ledger.ask(question.id, question.speculative);
                    self.workers.ask(now, &question);
                }
                CallOutput::CommitReply { id } => self.ledger.commit(id),
                CallOutput::CancelReply { id } => {
                    self.ledger.cancel(id);
                    self.workers.cancel_reply(id);
                }
                CallOutput::Heard { id, text, is_over } => {
                    self.ledger.told_heard(id, &text, is_over);
                }
                CallOutput::Turn(turn) => {
                    self.outcome.turns += 1;
                    self.outcome.interrupted += u32::from(turn.interrupted);
                    Ledger::heard(&turn.heard_text, &turn.reply_text);
                }
                CallOutput::Said(entry) => self.ledger.said(&entry),
                CallOutput::Desk(_) => {}
                CallOutput::Note(Note::Digit { .. }) => self.outcome.digits += 1,
                CallOutput::Note(Note::Stranger { .. }) => self.outcome.strangers += 1,
                CallOutput::Note(Note::Latched { from, .. }) => {
                    // The phone has moved, and its second offer is still on its way or lost.
                    if from.ip() == address("10.0.0.2:1").ip() {
                        self.ledger.phone.push(from);
                    }
                }
                CallOutput::Note(Note::Held) => self.outcome.holds += 1,
                CallOutput::Note(_) => {}
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

    pub(crate) fn send(&mut self, from: SocketAddr, to: SocketAddr, data: Vec<u8>) {
        if !self.outcome.vanished {
            self.net.send(self.now, Packet { from, to, data });
        }
    }

    fn is_at_rest(&self) -> bool {
        self.server.ends == self.server.calls
            && (self.phone.ends > 0 || self.outcome.vanished)
            && self.server.endpoint.stats().server_transactions == 0
            && (self.outcome.vanished || self.phone.endpoint.stats().client_transactions == 0)
    }

    /// What holds at every moment.
    fn check(&self) {
        assert!(
            self.server.ends <= 1 && self.phone.ends <= 1,
            "a call ends once"
        );
        assert!(self.ledger.hangups <= 1, "a call is hung up once");
        let stats = self.server.endpoint.stats();
        assert!(stats.server_transactions <= 64 && stats.calls <= 1);
        if let Some(call) = &self.server.call {
            assert!(
                call.next_timeout().is_some(),
                "a call that is up has something to wait for"
            );
        }
    }

    /// What holds when all is over.
    fn check_end(&mut self) {
        assert!(self.outcome.registered, "registered");
        self.outcome.cancelled = self.server.key.is_none();
        assert!(
            self.outcome.answered || self.outcome.cancelled || self.phone.hung_up,
            "answered"
        );
        assert!(
            self.server.calls == 1 || (self.server.calls == 0 && self.phone.hung_up),
            "one call"
        );
        assert_eq!(
            self.server.ends, self.server.calls,
            "the server's call has ended"
        );
        assert!(
            self.phone.ends == 1 || self.outcome.vanished,
            "the phone's call has ended"
        );
        assert_eq!(self.server.endpoint.stats().calls, 0);
        assert!(self.server.call.is_none());
        for (id, state) in &self.ledger.asked {
            assert_ne!(*state, "asked", "{id:?} is neither committed nor cancelled");
        }
        let digits = self
            .scenario
            .acts
            .iter()
            .filter(|(_, act)| matches!(act, Act::Digit(_)))
            .count();
        assert!(self.outcome.digits as usize <= digits, "a key is told once");
        if !self.outcome.cancelled && self.scenario.talk > Duration::from_secs(2) {
            assert!(self.ledger.packets() > 0, "a call that is up sounds");
        }
        self.outcome.hits = self.ledger.hits;
        self.outcome.misses = self.ledger.misses;
        self.outcome.guessed_tools = self.ledger.guessed_tools;
        self.outcome.alarms = self.ledger.alarms;
        self.outcome.recognised = self.ledger.recognised;
        self.outcome.ended = true;
    }
}
