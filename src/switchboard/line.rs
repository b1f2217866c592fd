//! One answered call: its task, and what it reports on its way to the records and to signalling.
//! Owns the wall around the task: a panic in there ends this call and no other.

use std::sync::Arc;
use std::time::{Duration, Instant};

use agent_bridge::conversation::Role;
use agent_bridge::gateways::Asker;
use sip::offer_answer::{AudioCodec, NegotiatedAudio};
use sip::{CallKey, Flow};
use tokio::sync::mpsc;
use tracing::{Instrument as _, error, info, info_span, warn};

use super::outgoing::{Calling, Ending};
use super::session::session_config;
use super::{CONTROLS_MAX, Command, MEMORY_MAX, REPORTS_MAX, Switchboard, call_id, service_name};
use crate::approvals::{CallLine, CallUp};
use crate::call::driver::{Control, Driver, LateDoor, MACHINE, MediaSockets, Report, SILENT};
use crate::call::record::{Blame, CallResult, Termination};
use crate::call::{Call, CallSettings};
use crate::config::Answerer;
use crate::engines::Engines;
use crate::hub::{Happening, WRITTEN_BEFORE};
use crate::records::{CallStart, unix_ms};

/// Nothing said for so long after the tone: asked once, then the call ends.
const MESSAGE_HANGUP_MS: u32 = 4_000;
/// Silence after which what was said is kept.
const MESSAGE_WAIT_MS: u32 = 300;

/// Makes the call one that we have placed: they say hello, we say why we call, and whoever says nothing then is not there.
fn called(settings: &mut CallSettings, calling: &Calling) {
    settings.greeting.clear();
    let listen_ms = u32::try_from(calling.listen.as_millis()).unwrap_or(u32::MAX);
    settings.turn.idle_prompt_ms = listen_ms;
    settings.turn.idle_hangup_ms = listen_ms / 2;
    settings.system_prompt.push_str("\n\n");
    settings.system_prompt.push_str(&calling.brief);
}

impl Switchboard {
    /// Makes the call one that takes a message for `callee`.
    fn take_message(&self, settings: &mut CallSettings, callee: &str) {
        let voicemail = &self.config.voicemail;
        let (name, _) = self.bridging.plan().shown(callee);
        settings.greeting = voicemail.greeting.replace("{name}", &name);
        // What is left for a user is one conversation, whoever left it.
        settings.session = format!("{callee}/messages");
        settings.duration_max = Duration::from_secs(u64::from(voicemail.message_s_max) + 20);
        let silence_ms = voicemail.silence_s.saturating_mul(1_000);
        // Nobody answers here, so what was said counts at once: callers hang up with the last word.
        settings.turn.strategies = Vec::new();
        settings.turn.wait.unsure_ms = MESSAGE_WAIT_MS;
        settings.turn.filler_after_ms = 0;
        settings.turn.progress_after_ms = 0;
        settings.turn.reply_timeout_ms = silence_ms + 10_000;
        settings.turn.idle_prompt_ms = silence_ms + 4_000;
        settings.turn.phrases.still_there = "I have not heard anything yet.".to_owned();
        settings.turn.idle_hangup_ms = MESSAGE_HANGUP_MS;
        settings.trace = false;
    }

    #[allow(
        clippy::too_many_arguments,
        reason = "everything that one call is made of, in one place"
    )]
    pub(super) fn start(
        &mut self,
        call: CallKey,
        user: &str,
        target: &str,
        (service, message_for): (Answerer, Option<String>),
        flow: Flow,
        user_agent: Option<String>,
        sockets: MediaSockets,
        negotiated: Option<NegotiatedAudio>,
        engines: Arc<Engines>,
        calling: Option<Calling>,
    ) -> mpsc::Sender<Control> {
        let number = self.calls_total;
        let mut settings = self.config.settings.clone();
        settings.service = service;
        settings.seed = rand::random();
        let (began_ms, id) = (unix_ms(), call_id());
        settings.session = format!("{user}/{}", service_name(service));
        let profile = self.config.agents.at(target);
        let engines = match service {
            Answerer::Agent => engines.of(&profile.name),
            _ => engines,
        };
        if service == Answerer::Agent {
            settings.session = self.session(user, profile, &id);
            settings.greeting = profile.greeting.clone();
            settings.system_prompt = profile.system_prompt.clone();
            let origin = self.origin(user);
            settings.authority = self.config.approvals.authority(user, origin);
            let level = self.caller(user).level;
            settings.authority.caller.level = level;
        }
        if service == Answerer::Readback {
            settings.greeting = self.config.readback_greeting.clone();
        }
        if let Some(calling) = calling {
            called(&mut settings, &calling);
        }
        if let Some(callee) = &message_for {
            self.take_message(&mut settings, callee);
        }
        let gateway = match service {
            Answerer::Readback => self.config.readback.clone(),
            Answerer::Message => self.config.messages.clone(),
            _ => profile.gateway.clone(),
        };
        let asker = Asker {
            agent: profile.name.clone(),
            call: Some(id.clone()),
            user: user.to_owned(),
            level: Some(settings.authority.caller.level()),
        };
        let gateway = gateway.facing(&asker).unwrap_or(gateway);
        // Only where asking is known to do no harm is anything asked before the caller has finished.
        settings.turn.speculation.enabled &= gateway.only_answers();
        // While the greeting is said, so that the first question is as fast as the tenth.
        gateway.warm();
        let codec = negotiated
            .as_ref()
            .map_or(AudioCodec::Pcmu, |audio| audio.codec);
        if let Some(line) = self.calls.get_mut(&call) {
            line.record = Some(id.clone());
        }
        let record = self.recorder.call_started(CallStart {
            id: id.clone(),
            user: user.to_owned(),
            number: target.to_owned(),
            remote: flow.remote.to_string(),
            user_agent,
            conversation: settings.session.clone(),
            codec: format!("{codec:?}"),
        });
        let (control, controls) = mpsc::channel(CONTROLS_MAX);
        let (reports, mut reported) = mpsc::channel(REPORTS_MAX);
        let session = session_config(
            negotiated.as_ref(),
            &self.config.host_name,
            &self.config.security,
        );
        let answers = gateway.describe();
        let recorder = self.recorder.clone();
        let approvals = match service {
            Answerer::Agent => self.config.approvals.call_up(CallUp {
                call: number,
                id: id.clone(),
                session: settings.session.clone(),
                user: user.to_owned(),
                level: settings.authority.caller.level(),
                control: control.downgrade(),
            }),
            _ => CallLine::none(),
        };
        let run = async move {
            // The read-back test has no memory; the assistant remembers earlier calls.
            let mut conversation = match service {
                Answerer::Agent => {
                    let earlier = recorder.conversation(&settings.session);
                    tokio::time::timeout(MEMORY_MAX, earlier)
                        .await
                        .unwrap_or_else(|_| {
                            warn!("earlier conversation not read: the disk is too slow");
                            Default::default()
                        })
                }
                _ => Default::default(),
            };
            conversation.begin_call(&id, began_ms);
            let news = match service {
                Answerer::Agent => gateway.news(&settings.session),
                _ => None,
            };
            if conversation.messages().any(|said| said.call.is_empty()) {
                settings.system_prompt.push_str("\n\n");
                settings.system_prompt.push_str(WRITTEN_BEFORE);
            }
            let late = (service == Answerer::Agent).then(|| {
                let (recorder, conversation) = (recorder.clone(), settings.session.clone());
                Arc::new(move |text| {
                    let conversation = conversation.clone();
                    recorder.happened(Happening::Late { conversation, text });
                }) as LateDoor
            });
            let call = Call::new(settings, session, conversation, Instant::now());
            let driver = Driver {
                call,
                number,
                sockets,
                engines,
                gateway,
                approvals,
                news,
                late,
                control: controls,
                reports,
            };
            driver.run().await;
        };
        let commands = self.commands.clone();
        let span = info_span!("call", id = number, %user, number = %target);
        info!(parent: &span, ?codec, "call answered");
        let running = tokio::spawn(run.instrument(span.clone()));
        tokio::spawn(
            async move {
                let mut finished = None;
                let mut has_spoken = false;
                while let Some(report) = reported.recv().await {
                    match report {
                        Report::Hangup { reason } => {
                            let _ = commands.send(Command::Hangup { call, reason }).await;
                        }
                        Report::Said(entry) => {
                            has_spoken |= entry.role == Role::User;
                            record.said(&entry);
                        }
                        Report::Caption(words) => record.being_said(&words),
                        Report::Turn(turn) => record.turn(&turn, &answers),
                        Report::Told { news, complete } => {
                            let told = Command::Told {
                                call,
                                news,
                                complete,
                            };
                            let _ = commands.send(told).await;
                        }
                        Report::Finished {
                            termination,
                            summary,
                            trace,
                        } => {
                            finished = Some((termination, summary, trace));
                            break;
                        }
                    }
                }
                // A call's task is the wall around it: its panic ends this call and no other.
                let (termination, summary, trace) = match finished {
                    Some(finished) => finished,
                    None => {
                        if let Err(panic) = running.await {
                            error!(%panic, "the call's task failed");
                        }
                        let _ = commands.send(Command::Hangup { call, reason: None }).await;
                        let termination = Termination {
                            result: CallResult::Failed,
                            reason: "internal error".to_owned(),
                            blame: Blame::Ours,
                        };
                        (termination, Default::default(), None)
                    }
                };
                info!(
                    turns = summary.turns,
                    received = summary.packets_received,
                    lost = summary.packets_lost,
                    jitter_ms = summary.jitter_ms,
                    mos = ?summary.worst_mos(),
                    guesses = summary.guesses,
                    hits = summary.hits,
                    saved_ms = summary.saved_ms,
                    "call ended: {termination}"
                );
                record.ended(&termination, &summary);
                if let Some(trace) = trace {
                    record.trace(trace);
                }
                let ending = match termination.reason.as_str() {
                    MACHINE => Ending::Machine,
                    SILENT if !has_spoken => Ending::Silent,
                    _ => Ending::Other,
                };
                let _ = commands.send(Command::Over { call, ending }).await;
                let _ = commands.send(Command::Finished(call)).await;
            }
            .instrument(span),
        );
        control
    }
}
