//! The task around a `Call`: its RTP sockets, the channels of the engines and the gateway, and one sleep
//! to the next timeout. Applies one thing, drains, repeats. Owns no decision.

mod late;
mod notes;
mod wording;

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use agent_bridge::conversation::Role;
use agent_bridge::gateways::{AskHandle, AskRequest, Gateway, GatewayEvent, Progress};
use agent_bridge::turn::trace::Trace;
use agent_bridge::turn::{Entry, HangupReason, Ledger, ReplyError, ReplyId};
use asr::engine::Kind;
use media::session::SessionConfig;
use tokio::net::UdpSocket;
use tokio::sync::mpsc;
use tracing::{debug, info, warn};

use super::figures::LegFigures;
use super::record::{Blame, CallResult, Termination, TurnRecord};
use agent_bridge::approvals::board::Notice;
use agent_bridge::approvals::desk::PinVerdict;

use super::{Call, CallInput, CallOutput, Caption, HangupCause, Note, ReplyEvent, Sound, Words};
use crate::approvals::CallLine;
use crate::engines::Engines;
use crate::redact::Private;
pub use late::LateDoor;
use late::OpenReplies;
use notes::log_note;
use wording::termination;

/// Answers of engines and gateways on their way to the call. A sender waits when it is full: a call that
/// is alive empties it many times a second.
const EVENTS_MAX: usize = 256;
/// Text deltas of one reply on their way from the gateway.
const REPLY_EVENTS_MAX: usize = 64;
/// Larger than any audio packet of a phone; longer datagrams are cut and fail to parse.
const DATAGRAM_MAX: usize = 2048;
/// A phone goes on sending for a moment after BYE. A port that were given to the next call at once would
/// hand it the last one's sound.
const PORT_REST: Duration = Duration::from_secs(2);
/// After `Hangup` the dialog's end comes back within this time, or the call ends without it.
const HANGUP_GRACE: Duration = Duration::from_secs(5);

/// What signalling tells a call's task.
#[derive(Debug)]
pub enum Control {
    Confirmed,
    Media(Box<SessionConfig>),
    Drain {
        text: String,
    },
    /// `CallInput::Tell`
    Tell {
        news: u32,
        text: String,
        is_opening: bool,
    },
    /// A key told by INFO.
    Digit(char),
    /// What the board of approvals has for this call.
    Approval(Notice),
    PinChecked(PinVerdict),
    Ended(Termination),
}

/// What a call's task reports.
#[derive(Debug)]
pub enum Report {
    /// Send BYE.
    Hangup {
        reason: Option<String>,
    },
    Said(Entry),
    /// Left out where there is no room: the next one says more.
    Caption(Caption),
    Turn(TurnRecord),
    /// `CallOutput::Told`
    Told {
        news: u32,
        complete: bool,
    },
    Finished {
        termination: Termination,
        summary: Summary,
        /// The turn's events and actions, where they are kept.
        trace: Option<Box<Trace>>,
    },
}

/// Figures of a finished call, for the record.
#[derive(Debug, Clone, Default, serde::Serialize)]
pub struct Summary {
    pub turns: u32,
    pub packets_received: u64,
    pub packets_lost: i64,
    pub jitter_ms: f64,
    pub packets_sent: u64,
    pub round_trip_ms: Option<f64>,
    pub legs: Vec<LegFigures>,
    // What asking before the end of a turn brought and cost: `Ledger` says what each is.
    pub guesses: u32,
    pub hits: u32,
    pub misses: u32,
    pub saved_ms: u64,
    pub tokens_wasted: u64,
}

impl Summary {
    /// Of the leg that sounded worst, rounded for a log line.
    pub fn worst_mos(&self) -> Option<f64> {
        let scores = self.legs.iter().filter_map(|leg| leg.mos);
        let worst = scores.min_by(f64::total_cmp)?;
        Some((worst * 10.0).round() / 10.0)
    }

    pub fn ledger(&self) -> Ledger {
        Ledger {
            guesses: self.guesses,
            hits: self.hits,
            misses: self.misses,
            saved_ms: self.saved_ms,
            tokens_wasted: self.tokens_wasted,
        }
    }
}

enum Event {
    Transcript {
        ticket: u32,
        result: Result<Words, String>,
    },
    Judged {
        ticket: u32,
        probability: f32,
    },
    Sound {
        reply: ReplyId,
        clause: u32,
        sound: Sound,
    },
    Reply {
        id: ReplyId,
        event: ReplyEvent,
    },
}

/// The sockets of one call: RTP on an even port, RTCP on the next (RFC 3550 section 11).
pub struct MediaSockets {
    pub rtp: UdpSocket,
    pub rtcp: UdpSocket,
}

pub struct Driver {
    pub call: Call,
    /// The number that engines know this call by.
    pub number: u64,
    pub sockets: MediaSockets,
    pub engines: Arc<Engines>,
    pub gateway: Arc<dyn Gateway>,
    pub approvals: CallLine,
    /// Late results of this conversation; none: none ever come.
    pub news: Option<mpsc::Receiver<String>>,
    /// Who is given an answer that was under way when the call ended; none: it is called off.
    pub late: Option<LateDoor>,
    pub control: mpsc::Receiver<Control>,
    pub reports: mpsc::Sender<Report>,
}

struct Running {
    number: u64,
    sockets: MediaSockets,
    engines: Arc<Engines>,
    gateway: Arc<dyn Gateway>,
    approvals: CallLine,
    reports: mpsc::Sender<Report>,
    events: mpsc::Sender<Event>,
    asks: HashMap<ReplyId, AskHandle>,
    open: OpenReplies,
    transcripts: HashMap<u32, Arc<AtomicBool>>,
    voices: HashMap<ReplyId, Arc<AtomicBool>>,
    hangup: Option<(Instant, Termination)>,
    turns: u32,
}

impl Driver {
    /// Runs the call to its end and returns the sockets' rest period to the caller's task.
    pub async fn run(self) {
        let Driver {
            mut call,
            number,
            sockets,
            engines,
            gateway,
            approvals,
            mut news,
            late,
            mut control,
            reports,
        } = self;
        let (events, mut inbox) = mpsc::channel(EVENTS_MAX);
        let mut running = Running {
            number,
            sockets,
            engines,
            gateway,
            approvals,
            reports,
            events,
            asks: HashMap::new(),
            open: OpenReplies::default(),
            transcripts: HashMap::new(),
            voices: HashMap::new(),
            hangup: None,
            turns: 0,
        };
        let mut rtp = [0u8; DATAGRAM_MAX];
        let mut rtcp = [0u8; DATAGRAM_MAX];
        let termination = loop {
            let due = [
                call.next_timeout(),
                running.hangup.as_ref().map(|(due, _)| *due),
            ]
            .into_iter()
            .flatten()
            .min();
            let sleep = async {
                match due {
                    Some(due) => tokio::time::sleep_until(due.into()).await,
                    None => std::future::pending().await,
                }
            };
            // Fair on purpose: whoever floods a media port delays nothing but packets.
            tokio::select! {
                received = running.sockets.rtp.recv_from(&mut rtp) => match received {
                    Ok((length, from)) => call.handle(Instant::now(), CallInput::Rtp { from, data: &rtp[..length] }),
                    // ICMP errors of earlier packets surface here; the peer may still come back.
                    Err(error) => { debug!(%error, "RTP socket"); continue }
                },
                received = running.sockets.rtcp.recv_from(&mut rtcp) => match received {
                    Ok((length, from)) => call.handle(Instant::now(), CallInput::Rtcp { from, data: &rtcp[..length] }),
                    Err(error) => { debug!(%error, "RTCP socket"); continue }
                },
                () = sleep => call.handle(Instant::now(), CallInput::Timeout),
                Some(event) = inbox.recv() => {
                    let now = Instant::now();
                    match event {
                        Event::Transcript { ticket, result } => {
                            running.transcripts.remove(&ticket);
                            call.handle(now, CallInput::Transcript { ticket, result });
                        }
                        Event::Judged { ticket, probability } => {
                            call.handle(now, CallInput::TurnJudged { ticket, probability });
                        }
                        Event::Sound { reply, clause, sound } => {
                            call.handle(now, CallInput::Sound { reply, clause, sound });
                        }
                        Event::Reply { id, event } => {
                            running.open.came(id, &event);
                            call.handle(now, CallInput::Reply { id, event });
                        }
                    }
                }
                text = next_news(&mut news) => call.handle(Instant::now(), CallInput::News { text }),
                command = control.recv() => match command {
                    Some(Control::Confirmed) => call.handle(Instant::now(), CallInput::Confirmed),
                    Some(Control::Media(config)) => call.handle(Instant::now(), CallInput::Media(*config)),
                    Some(Control::Digit(digit)) => call.handle(Instant::now(), CallInput::Digit(digit)),
                    Some(Control::Approval(notice)) => call.handle(Instant::now(), CallInput::Approval(notice)),
                    Some(Control::PinChecked(verdict)) => call.handle(Instant::now(), CallInput::PinChecked(verdict)),
                    Some(Control::Tell { news, text, is_opening }) => {
                        call.handle(Instant::now(), CallInput::Tell { news, text, is_opening });
                    }
                    Some(Control::Drain { text }) => call.handle(Instant::now(), CallInput::Drain { text }),
                    Some(Control::Ended(peer)) => {
                        running.leave(&late);
                        call.handle(Instant::now(), CallInput::Ended);
                        running.drain(&mut call).await;
                        break running.hangup.take().map_or(peer, |(_, ours)| ours);
                    }
                    None => {
                        running.leave(&late);
                        call.handle(Instant::now(), CallInput::Ended);
                        running.drain(&mut call).await;
                        break Termination {
                            result: CallResult::Failed,
                            reason: "signalling stopped".to_owned(),
                            blame: Blame::Ours,
                        };
                    }
                },
            }
            running.drain(&mut call).await;
            if let Some((due, _)) = &running.hangup
                && *due <= Instant::now()
            {
                let (_, termination) = running.hangup.take().expect("checked above");
                running.leave(&late);
                call.handle(Instant::now(), CallInput::Ended);
                running.drain(&mut call).await;
                break termination;
            }
        };
        drop(news); // What comes now is for whoever else listens.
        let stats = call.media_stats();
        let ledger = call.turn().ledger();
        let summary = Summary {
            turns: running.turns,
            packets_received: stats.packets_received,
            packets_lost: stats.packets_lost,
            jitter_ms: stats.jitter_ms,
            packets_sent: stats.packets_sent,
            round_trip_ms: stats.round_trip_ms,
            legs: vec![LegFigures::of_session("caller", &stats)],
            guesses: ledger.guesses,
            hits: ledger.hits,
            misses: ledger.misses,
            saved_ms: ledger.saved_ms,
            tokens_wasted: ledger.tokens_wasted,
        };
        let _ = running
            .reports
            .send(Report::Finished {
                termination,
                summary,
                trace: call.take_trace().map(Box::new),
            })
            .await;
        drop(running.approvals);
        if let Some(door) = late {
            tokio::spawn(running.open.finish(inbox, door));
        }
        let sockets = running.sockets;
        tokio::time::sleep(PORT_REST).await;
        drop(sockets);
    }
}

impl Running {
    /// The call is over: what may be told later goes on.
    fn leave(&mut self, late: &Option<LateDoor>) {
        if late.is_some() {
            self.open.leave(&mut self.asks);
        }
    }

    async fn drain(&mut self, call: &mut Call) {
        while let Some(output) = call.poll_output() {
            match output {
                CallOutput::Rtp { to, data } => send(&self.sockets.rtp, to, &data),
                CallOutput::Rtcp { to, data } => send(&self.sockets.rtcp, to, &data),
                CallOutput::Transcribe { ticket, kind, pcm } => self.transcribe(ticket, kind, pcm),
                CallOutput::JudgeTurn { ticket, pcm } => self.judge(ticket, pcm),
                CallOutput::AbandonTranscript { ticket } => {
                    if let Some(cancelled) = self.transcripts.remove(&ticket) {
                        cancelled.store(true, Ordering::Relaxed);
                    }
                }
                CallOutput::Synthesise {
                    reply,
                    clause,
                    text,
                } => self.synthesise(reply, clause, text),
                CallOutput::CancelSpeech { reply } => {
                    if let Some(cancelled) = self.voices.remove(&reply) {
                        cancelled.store(true, Ordering::Relaxed);
                    }
                }
                CallOutput::Ask(question) => self.ask(AskRequest {
                    reply: question.id,
                    session: question.session,
                    system: question.system,
                    messages: question.messages,
                    speculative: question.speculative,
                    tools: Vec::new(),
                    rounds: Vec::new(),
                }),
                // Dropping the handle closes the upstream request.
                CallOutput::CancelReply { id } => {
                    self.open.over(id);
                    drop(self.asks.remove(&id));
                }
                CallOutput::CommitReply { id } => {
                    self.open.committed(id);
                    if let Some(ask) = self.asks.get(&id) {
                        ask.commit();
                    }
                }
                CallOutput::Heard { id, text, is_over } => {
                    if let Some(ask) = self.asks.get(&id) {
                        ask.heard(&text, is_over);
                    }
                }
                CallOutput::Said(entry) => {
                    let is_caller = entry.role == Role::User;
                    let who = if is_caller { "caller" } else { "we" };
                    info!(said = %Private(&entry.text), "{who} said");
                    let _ = self.reports.send(Report::Said(entry)).await;
                }
                CallOutput::Caption(words) => drop(self.reports.try_send(Report::Caption(words))),
                CallOutput::Turn(record) => {
                    self.turns = self.turns.max(record.number);
                    info!(
                        turn = record.number,
                        interrupted = record.interrupted,
                        "turn: {}",
                        record.stages
                    );
                    let _ = self.reports.send(Report::Turn(record)).await;
                }
                CallOutput::Desk(wish) => self.approvals.wish(wish),
                CallOutput::Told { news, complete } => {
                    let _ = self.reports.send(Report::Told { news, complete }).await;
                }
                CallOutput::Note(note) => log_note(&note),
                CallOutput::Hangup { why } => {
                    if self.hangup.is_none() {
                        let (termination, reason) = termination(why);
                        self.hangup = Some((Instant::now() + HANGUP_GRACE, termination));
                        let _ = self.reports.send(Report::Hangup { reason }).await;
                    }
                }
            }
        }
        self.asks.retain(|_, ask| !ask.is_finished());
    }

    fn transcribe(&mut self, ticket: u32, kind: Kind, pcm: Arc<[i16]>) {
        let cancelled = Arc::new(AtomicBool::new(false));
        let events = self.events.clone();
        let job = asr::worker::Job {
            caller: self.number,
            utterance: ticket,
            kind,
            pcm,
            cancelled: cancelled.clone(),
            done: Box::new(move |result| {
                let result = match result {
                    Ok(transcript) => Ok(Words {
                        certainty: transcript.certainty,
                        text: transcript.text,
                        decode_ms: transcript.decode_ms,
                    }),
                    Err(error) => Err(error.to_string()),
                };
                deliver(&events, Event::Transcript { ticket, result });
            }),
        };
        self.transcripts.insert(ticket, cancelled);
        if let Err(job) = self.engines.asr.submit(job) {
            drop(job);
            self.later(Event::Transcript {
                ticket,
                result: Err("too many callers speak at once".to_owned()),
            });
        }
    }

    /// A model that fails or is late has no say in this turn.
    fn judge(&mut self, ticket: u32, pcm: Arc<[i16]>) {
        let Some(worker) = &self.engines.turn_model else {
            return;
        };
        let events = self.events.clone();
        worker.submit(
            self.number,
            pcm,
            Box::new(move |result| {
                if let Ok(probability) = result {
                    deliver(
                        &events,
                        Event::Judged {
                            ticket,
                            probability,
                        },
                    );
                }
            }),
        );
    }

    fn synthesise(&mut self, reply: ReplyId, clause: u32, text: String) {
        let cancelled = self.voices.entry(reply).or_default().clone();
        let events = self.events.clone();
        let job = tts::worker::Job {
            caller: self.number,
            reply: reply.0,
            clause,
            is_note: false,
            text,
            cancelled,
            on: Box::new(move |chunk| {
                let sound = match chunk {
                    tts::worker::Chunk::Audio { pcm } => Sound::Samples(pcm),
                    tts::worker::Chunk::Done => Sound::Done,
                    tts::worker::Chunk::Failed(error) => Sound::Failed(error.to_string()),
                };
                deliver(
                    &events,
                    Event::Sound {
                        reply,
                        clause,
                        sound,
                    },
                );
            }),
        };
        if let Err(job) = self.engines.tts.submit(job) {
            drop(job);
            self.later(Event::Sound {
                reply,
                clause,
                sound: Sound::Failed("the voice has too much to say".to_owned()),
            });
        }
    }

    /// An event for ourselves. Never waits here: this task is the one that empties the channel.
    fn later(&self, event: Event) {
        let events = self.events.clone();
        tokio::spawn(async move { events.send(event).await });
    }

    fn ask(&mut self, request: AskRequest) {
        let id = request.reply;
        let (sender, mut receiver) = mpsc::channel(REPLY_EVENTS_MAX);
        let handle = self.gateway.ask(request, sender);
        self.asks.insert(id, handle);
        let events = self.events.clone();
        tokio::spawn(async move {
            let mut is_over = false;
            while let Some(event) = receiver.recv().await {
                let event = match event {
                    GatewayEvent::Text(text) => ReplyEvent::Text(text),
                    GatewayEvent::ToolCall(call) => ReplyEvent::ToolCall(call),
                    GatewayEvent::Progress(progress) => {
                        if let Progress::Trying { gateway } = &progress {
                            info!(%gateway, "the agent failed: asking the next one");
                        }
                        ReplyEvent::Progress(progress)
                    }
                    GatewayEvent::Done { .. } => ReplyEvent::Done,
                    GatewayEvent::Failed(error) => ReplyEvent::Failed(error.into()),
                };
                is_over = matches!(event, ReplyEvent::Done | ReplyEvent::Failed(_));
                if events.send(Event::Reply { id, event }).await.is_err() {
                    return;
                }
            }
            // A gateway task that vanished without a word must not leave the caller waiting. For a
            // cancelled reply nobody listens to this id any more.
            if !is_over {
                let event = ReplyEvent::Failed(ReplyError::vanished());
                let _ = events.send(Event::Reply { id, event }).await;
            }
        });
    }
}

/// The next late result. When no more can come it is never.
async fn next_news(news: &mut Option<mpsc::Receiver<String>>) -> String {
    if let Some(coming) = news {
        if let Some(text) = coming.recv().await {
            return text;
        }
        *news = None;
    }
    std::future::pending().await
}

/// From an engine's thread into the call's channel. The engine waits while it is full; on a thread of the
/// runtime (an engine may refuse a job at once) a task waits instead.
fn deliver(events: &mpsc::Sender<Event>, event: Event) {
    if let Err(mpsc::error::TrySendError::Full(event)) = events.try_send(event) {
        match tokio::runtime::Handle::try_current() {
            Ok(runtime) => {
                let events = events.clone();
                runtime.spawn(async move { events.send(event).await });
            }
            Err(_) => drop(events.blocking_send(event)),
        }
    }
}

/// A full socket buffer loses the packet, as the network would.
fn send(socket: &UdpSocket, to: SocketAddr, data: &[u8]) {
    if let Err(error) = socket.try_send_to(data, to) {
        debug!(%to, %error, "packet not sent");
    }
}

/// Reasons that others act on.
pub const MACHINE: &str = "a machine took the call";
pub const SILENT: &str = "nobody spoke any more";
