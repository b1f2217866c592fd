//! A call on a bench: virtual time, RTP made by hand, and a script of inputs and the outputs they cause.
//! Owns the language of the scripts; the scripts are next door.

use std::net::SocketAddr;
use std::path::Path;
use std::time::{Duration, Instant};

use agent_bridge::approvals::board::Notice;
use agent_bridge::approvals::desk::PinVerdict;
use agent_bridge::conversation::{Conversation, Role};
use agent_bridge::endpoint::WaitCurve;
use agent_bridge::turn::{
    Blame, ReplyError, ReplyErrorKind, ReplyId, Speculation, ToolCall, TurnConfig,
};
use asr::vad::VadConfig;
use media::codec::Codec;
use media::sender::Sender;
use media::session::SessionConfig;
use rand::SeedableRng as _;
use rand::rngs::StdRng;

use super::super::*;

pub const PHONE: &str = "10.0.0.2:20000";
pub const MOVED: &str = "10.0.0.3:22000";
pub const STRANGER: &str = "10.9.9.9:9999";
const FRAME: Duration = Duration::from_millis(20);
/// Its voice has no pause: one start, one stop.
const CLIP: &str = "tests/golden/speech/seen_00.wav";

pub fn address(text: &str) -> SocketAddr {
    text.parse().expect("an address literal")
}

pub fn session(remote: Option<&str>, send: bool) -> SessionConfig {
    SessionConfig {
        codec: Codec::Pcmu,
        payload_type: 0,
        receive_payload_types: vec![(0, Codec::Pcmu)],
        telephone_event: Some(101),
        remote_rtp: remote.map(address),
        cname: "test".to_owned(),
        ntp_offset: 1_800_000_000_000,
        send,
        ..SessionConfig::default()
    }
}

pub fn settings(service: Answerer) -> CallSettings {
    CallSettings {
        service,
        greeting: "Hello there.".to_owned(),
        turn: plain_turn(),
        vad: VadConfig {
            // No events inside the clip: one start, one stop.
            pause_ms: VadConfig::default().stop_ms,
            ..VadConfig::default()
        },
        system_prompt: String::new(),
        history_messages_max: 20,
        history_chars_max: 4_000,
        session: "phone/agent".to_owned(),
        seed: [7; 32],
        duration_max: Duration::from_secs(600),
        no_audio_hangup: Duration::from_secs(60),
        partial_interval: Duration::ZERO,
        has_turn_model: false,
        echo_cancelling: false,
        trace: false,
        authority: crate::call::Authority::owner(),
    }
}

/// One wait for all turns, and nothing asked early.
fn plain_turn() -> TurnConfig {
    TurnConfig {
        wait: WaitCurve {
            sure_ms: 500,
            unsure_ms: 500,
            unfinished_ms: 500,
            ..WaitCurve::default()
        },
        strategies: Vec::new(),
        speculation: Speculation {
            enabled: false,
            ..Speculation::default()
        },
        ..TurnConfig::default()
    }
}

pub struct Rig {
    pub call: Call,
    pub now: Instant,
    next_packet: Instant,
    pub sender: Sender,
    pub from: SocketAddr,
    pub seen: Vec<String>,
    /// Where packets went, and their bytes.
    pub sent: Vec<(SocketAddr, Vec<u8>)>,
    /// What the desk is saying: ids and sentences.
    pub said: Vec<(ReplyId, u32, String)>,
    /// What is shown while it is spoken.
    pub captions: Vec<Caption>,
}

impl Rig {
    pub fn new(settings: CallSettings, media: SessionConfig) -> Rig {
        let now = Instant::now();
        Rig {
            call: Call::new(settings, media, Conversation::new(), now),
            now,
            next_packet: now,
            sender: Sender::new(Codec::Pcmu, 0, &mut StdRng::seed_from_u64(1)),
            from: address(PHONE),
            seen: Vec::new(),
            sent: Vec::new(),
            said: Vec::new(),
            captions: Vec::new(),
        }
    }

    pub fn input(&mut self, input: CallInput<'_>) {
        self.call.handle(self.now, input);
        while let Some(output) = self.call.poll_output() {
            match output {
                CallOutput::Rtp { to, data } => self.sent.push((to, data)),
                CallOutput::Rtcp { .. } | CallOutput::Heard { .. } => {}
                CallOutput::Caption(words) => self.captions.push(words),
                CallOutput::Synthesise {
                    reply,
                    clause,
                    text,
                } if reply.0 > u32::MAX / 2 => {
                    if clause == 0 {
                        self.said.clear();
                        self.seen.push(format!("desk: {text}"));
                    }
                    self.said.push((reply, clause, text));
                }
                output => self.seen.push(spell(output)),
            }
        }
    }

    fn packet(&mut self, frame: &media::Frame) {
        let data = self.sender.send(self.now, frame);
        let from = self.from;
        self.input(CallInput::Rtp { from, data: &data });
    }

    /// Everything that is due until `until`.
    fn wait(&mut self, until: Instant) {
        while let Some(due) = self.call.next_timeout().filter(|due| *due <= until) {
            self.now = due.max(self.now);
            self.input(CallInput::Timeout);
        }
        self.now = until;
    }

    /// The phone sends these samples, one frame every 20 ms.
    pub fn send(&mut self, samples: &[i16]) {
        self.next_packet = self.next_packet.max(self.now);
        for chunk in samples.chunks(media::FRAME_SAMPLES) {
            self.wait(self.next_packet);
            let mut frame = media::SILENCE;
            frame[..chunk.len()].copy_from_slice(chunk);
            self.packet(&frame);
            self.next_packet += FRAME;
        }
        self.wait(self.next_packet);
    }

    pub fn step(&mut self, input: &str) {
        let (word, rest) = input.split_once(' ').unwrap_or((input, ""));
        let mut parts = rest.splitn(3, ' ');
        let mut number = || {
            parts
                .next()
                .and_then(|text| text.parse::<u32>().ok())
                .unwrap_or_default()
        };
        let samples = |ms: u32| ms as usize * 16;
        match word {
            "confirm" => self.input(CallInput::Confirmed),
            "speak" => self.send(&clip()),
            "music" => self.send(&clip()),
            "quiet" => self.send(&vec![0; samples(number())]),
            "gone" => {
                let until = self.now + Duration::from_millis(u64::from(number()));
                self.wait(until);
            }
            "words" => {
                let (ticket, text) = rest.split_once(' ').unwrap_or((rest, ""));
                let ticket = ticket.parse().expect("a ticket");
                let words = Words {
                    certainty: 1.0,
                    text: text.to_owned(),
                    decode_ms: 5,
                };
                let result = if text == "!" {
                    Err("engine".to_owned())
                } else {
                    Ok(words)
                };
                self.input(CallInput::Transcript { ticket, result });
            }
            "sound" | "done" | "fail" => {
                let (reply, clause, ms) = (ReplyId(number()), number(), number());
                let sound = match word {
                    "sound" => Sound::Samples(vec![3_000; samples(ms)]),
                    "done" => Sound::Done,
                    _ => Sound::Failed("engine".to_owned()),
                };
                self.input(CallInput::Sound {
                    reply,
                    clause,
                    sound,
                });
            }
            "text" | "end" | "broken" | "tool" => {
                let (id, rest) = rest.split_once(' ').unwrap_or((rest, ""));
                let id = ReplyId(id.parse().expect("an id"));
                let event = match word {
                    "text" => ReplyEvent::Text(rest.to_owned()),
                    "end" => ReplyEvent::Done,
                    "broken" => ReplyEvent::Failed(ReplyError {
                        kind: ReplyErrorKind::Unreachable,
                        blame: Blame::Upstream,
                    }),
                    _ => ReplyEvent::ToolCall(ToolCall {
                        id: "1".to_owned(),
                        name: rest.to_owned(),
                        arguments: serde_json::json!({ "seconds": 3, "label": "tea" }),
                    }),
                };
                self.input(CallInput::Reply { id, event });
            }
            "hold" => self.input(CallInput::Media(session(Some(PHONE), false))),
            "resume" => self.input(CallInput::Media(session(Some(PHONE), true))),
            "move" => {
                self.input(CallInput::Media(session(Some(MOVED), true)));
                self.from = address(MOVED);
            }
            // The desk's sentences, 200 ms each, and a silent caller meanwhile.
            "read" => {
                let said = self.said.clone();
                for (reply, clause, _) in &said {
                    let (reply, clause) = (*reply, *clause);
                    for sound in [Sound::Samples(vec![2_000; samples(200)]), Sound::Done] {
                        self.input(CallInput::Sound {
                            reply,
                            clause,
                            sound,
                        });
                    }
                }
                self.send(&vec![0; samples(200 * said.len() as u32 + 100)]);
            }
            "offer" => {
                let (id, what) = rest.split_once(' ').unwrap_or((rest, "ls -l"));
                let request = agent_bridge::approvals::ApprovalRequest {
                    id: agent_bridge::approvals::ApprovalId(id.to_owned()),
                    kind: agent_bridge::approvals::ApprovalKind::Exec,
                    session: "phone/agent".to_owned(),
                    what: what.to_owned(),
                    place: String::new(),
                    expires_in: Duration::from_secs(600),
                };
                self.input(CallInput::Approval(Notice::Offer(request)));
            }
            "frozen" => self.input(CallInput::Approval(Notice::Frozen(true))),
            "elsewhere" => self.input(CallInput::Approval(Notice::StopRuns)),
            "pin" => self.input(CallInput::PinChecked(match rest {
                "right" => PinVerdict::Right(agent_bridge::levels::Level::Owner),
                _ => PinVerdict::Wrong { tries_left: 1 },
            })),
            "keys" => {
                let code = self.code();
                for key in rest.replace("CODE", &code).chars() {
                    self.input(CallInput::Digit(key));
                }
                self.seen.retain(|seen| seen != "Digit");
            }
            // The caller says the code, and is heard.
            "code" => {
                let code = self.code();
                self.step(&format!("words {rest} {code}"));
            }
            "tell" | "open" => {
                let (news, text) = rest.split_once(' ').unwrap_or((rest, ""));
                self.input(CallInput::Tell {
                    news: news.parse().expect("a number"),
                    text: text.to_owned(),
                    is_opening: word == "open",
                });
            }
            "drain" => self.input(CallInput::Drain {
                text: rest.to_owned(),
            }),
            "hangup" => self.input(CallInput::Ended),
            _ => panic!("no such input: {input}"),
        }
    }

    /// The code that was read out last.
    pub fn code(&self) -> String {
        let words = [
            "zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine",
        ];
        let sentence = self
            .said
            .iter()
            .find(|(_, _, text)| text.starts_with("To allow"));
        let text = sentence.map_or("", |(_, _, text)| text.as_str());
        let digits = text
            .split([' ', ',', '.'])
            .filter_map(|word| words.iter().position(|name| *name == word));
        digits.map(|digit| digit.to_string()).collect()
    }

    pub fn check(&mut self, script: &str) {
        for line in script
            .lines()
            .map(str::trim)
            .filter(|line| !line.is_empty())
        {
            let (input, expected) = line.split_once(" -> ").unwrap_or((line, ""));
            self.step(input);
            let seen = std::mem::take(&mut self.seen).join("; ");
            assert_eq!(seen, expected, "after `{input}`");
        }
    }
}

pub fn clip() -> Vec<i16> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(CLIP);
    let clip = media::file::read(&std::fs::read(path).expect("a clip")).expect("a wav file");
    media::resample::resample_clip(&clip.samples, clip.rate_hz, media::SAMPLE_RATE_HZ)
}

fn spell(output: CallOutput) -> String {
    match output {
        CallOutput::Rtp { .. }
        | CallOutput::Rtcp { .. }
        | CallOutput::Heard { .. }
        | CallOutput::Caption(_) => String::new(),
        CallOutput::Transcribe { ticket, kind, pcm } => {
            assert!(!pcm.is_empty(), "nothing to transcribe");
            match kind {
                asr::engine::Kind::Final => format!("transcribe {ticket}"),
                asr::engine::Kind::Early => format!("early {ticket}"),
                asr::engine::Kind::Partial => format!("partial {ticket}"),
                asr::engine::Kind::Note => format!("note {ticket}"),
            }
        }
        CallOutput::JudgeTurn { ticket, .. } => format!("judge {ticket}"),
        CallOutput::AbandonTranscript { ticket } => format!("abandon {ticket}"),
        CallOutput::Synthesise {
            reply,
            clause,
            text,
        } => format!("say {}.{clause} {text}", reply.0),
        CallOutput::CancelSpeech { reply } => format!("hush {}", reply.0),
        CallOutput::Ask(question) => {
            let words = question
                .messages
                .iter()
                .map(|message| message.text.as_str());
            format!(
                "ask {} {}",
                question.id.0,
                words.collect::<Vec<_>>().join(" | ")
            )
        }
        CallOutput::CancelReply { id } => format!("cancel {}", id.0),
        CallOutput::Desk(wish) => match wish {
            DeskWish::Decided { id, decision, why } => {
                format!("{decision:?} {}: {}", id.0, why.as_str())
            }
            DeskWish::CheckPin(digits) => format!("check {}", digits.expose()),
            DeskWish::Stop { freezes } => format!("stop {freezes}"),
            wish => format!("{wish:?}"),
        },
        CallOutput::CommitReply { id } => format!("commit {}", id.0),
        CallOutput::Said(entry) => {
            let who = match (entry.role, entry.aside) {
                (Role::User, _) => "caller",
                (_, true) => "aside",
                (_, false) => "agent",
            };
            let rest = if entry.complete { "" } else { "..." };
            format!("{who}: {}{rest}", entry.text.trim())
        }
        CallOutput::Turn(turn) => {
            let cut = if turn.interrupted { " cut" } else { "" };
            format!("turn {}{cut}", turn.number)
        }
        CallOutput::Told { news, complete } => {
            let mark = if complete { "" } else { "~" };
            format!("told{mark} {news}")
        }
        CallOutput::Note(note) => match note {
            Note::FirstPacket { .. } => "first packet".to_owned(),
            note => format!("{note:?}")
                .split(' ')
                .next()
                .unwrap_or_default()
                .to_owned(),
        },
        CallOutput::Hangup { why } => format!("hang up {why:?}"),
    }
}
