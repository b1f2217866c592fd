//! One call: receiver, voice activity, turn and playout as one value. The heart of the program.
//!
//! `handle(now, input)`, then `poll_output` until `None`, then sleep to `next_timeout`. The driver does
//! that with sockets and channels, the simulator without them. Owns no dialog (the `sip` crate), no
//! engine and no gateway: those answer through inputs that carry the id of what they answer; whatever
//! is not current is dropped here, in `wiring`.
//! PURE.

pub mod alarms;
mod approval;
mod boundary;
pub mod driver;
pub mod echo;
mod ending;
pub mod figures;
mod hearing;
mod message;
mod onset;
mod opening;
pub mod record;
mod speaking;
pub mod wiring;

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use agent_bridge::approvals::desk::{Desk, Input as DeskInput};
use agent_bridge::conversation::Conversation;
use agent_bridge::turn::trace::Trace;
use agent_bridge::turn::{HangupReason, ReplyId, Turn};
use asr::end_of_turn::Prosody;
use asr::utterance::{Utterance, UtteranceConfig};
use asr::vad::{Vad, VadEvent};
use media::echo::{EchoCanceller, EchoConfig};
use media::playout::{Playout, PlayoutConfig, PlayoutEvent};
use media::session::{MediaEvent, Output as MediaOutput, Session, SessionConfig, Stats};
use media::tones::ToneDetector;

use crate::config::Answerer;
pub use boundary::{
    Authority, CallInput, CallOutput, CallSettings, Caption, DeskWish, HangupCause, Note, Question,
    ReplyEvent, Sound, Words,
};
use echo::Reflector;
use onset::Onset;
use opening::Opening;
use wiring::Wiring;

/// Outputs are drained after every input; more than this between two drains is a broken driver.
const OUTPUTS_MAX: usize = 4096;
/// A driver that slept this long does not send every frame it missed.
const CATCH_UP_FRAMES_MAX: usize = 5;

/// How much longer than a phone that should send one may be silent that should not.
const HELD_PATIENCE: u32 = 10;
/// Longest sound of one turn of the caller, pauses included. The turn machine cuts a stretch without any
/// pause after a minute, so this is several of those.
const UTTERANCE_MS_MAX: u32 = 180_000;

/// One call. Its parts know nothing of each other; this joins them.
pub struct Call {
    settings: CallSettings,
    media: Session,
    tones: ToneDetector,
    echo: Option<EchoCanceller>,
    vad: Vad,
    prosody: Prosody,
    onset: Onset,
    utterance: Utterance,
    /// We have called, and wait for their hello.
    opening: Option<Opening>,
    turn: Turn,
    playout: Playout,
    wiring: Wiring,
    reflector: Option<Reflector>,
    /// Sound for the echo of an encrypted call.
    echoes: VecDeque<media::Frame>,
    conversation: Conversation,
    desk: Desk,
    scene: Option<approval::Scene>,
    scenes: u32,
    turn_rests_until: Option<Instant>,
    began_at: Instant,
    alarms: alarms::Alarms,
    outputs: VecDeque<CallOutput>,
    seen_from: Option<SocketAddr>,
    expected_from: Option<SocketAddr>,
    confirmed: bool,
    is_acknowledged: bool,
    no_audio_said: bool,
    /// The tone behind the greeting of a message box has been played.
    has_toned: bool,
    /// When the phone was last heard from, or when what it sends was last agreed on.
    heard_from_at: Instant,
    is_receiving: bool,
    /// The phone does not want to hear us (RFC 3264 section 8.4).
    is_held: bool,
    /// The turn machine holds the sound: the caller may be about to interrupt.
    is_claimed: bool,
    /// No voice just now: a pause, or the end.
    is_pausing: bool,
    end_at: Instant,
    /// Why the call is being ended by its own clock.
    closing: Option<HangupCause>,
    hung_up: bool,
    ended: bool,
}

impl Call {
    /// `conversation` is what was said before, in earlier calls or messages of the same session.
    pub fn new(
        settings: CallSettings,
        media: SessionConfig,
        conversation: Conversation,
        now: Instant,
    ) -> Call {
        let (expected_from, is_receiving) = (media.remote_rtp, media.receive);
        let is_held = !media.send;
        let reflector = (settings.service == Answerer::Echo).then(|| Reflector::new(settings.seed));
        let mut playout = Playout::new(PlayoutConfig::default());
        if reflector.is_none() {
            playout.start(now);
        }
        let mut turn = Turn::new(settings.turn.clone());
        if settings.trace {
            turn.start_trace();
        }
        let mut call = Call {
            media: Session::new(media, settings.seed, now),
            tones: ToneDetector::new(),
            echo: settings
                .echo_cancelling
                .then(|| EchoCanceller::new(EchoConfig::default())),
            vad: Vad::new(settings.vad.clone()),
            prosody: Prosody::new(),
            onset: Onset::new(),
            utterance: Utterance::new(UtteranceConfig {
                length_ms_max: UTTERANCE_MS_MAX,
                ..UtteranceConfig::default()
            }),
            opening: None,
            turn,
            playout,
            wiring: Wiring::default(),
            reflector,
            echoes: VecDeque::new(),
            conversation,
            desk: approval::desk(&settings),
            scene: None,
            scenes: 0,
            turn_rests_until: None,
            began_at: now,
            alarms: alarms::Alarms::default(),
            outputs: VecDeque::new(),
            seen_from: None,
            expected_from,
            confirmed: false,
            is_acknowledged: false,
            no_audio_said: false,
            has_toned: false,
            heard_from_at: now,
            is_receiving,
            is_held,
            is_claimed: false,
            is_pausing: true,
            end_at: now + settings.duration_max,
            closing: None,
            hung_up: false,
            ended: false,
            settings,
        };
        call.pace_playout();
        call
    }

    /// Applies one input. The caller drains `poll_output` before the next one.
    pub fn handle(&mut self, now: Instant, input: CallInput<'_>) {
        debug_assert!(
            self.outputs.is_empty(),
            "the driver must drain outputs before the next input"
        );
        if self.ended {
            return;
        }
        match input {
            CallInput::Confirmed => self.confirmed(now),
            CallInput::Rtp { from, data } => self.rtp(now, from, data),
            CallInput::Rtcp { from, data } => {
                if self.seen_from.is_some_and(|seen| seen.ip() == from.ip()) {
                    self.heard_from_at = now;
                }
                self.media
                    .handle(now, media::session::Input::Rtcp { from, data });
                self.drain_media(now);
            }
            CallInput::Transcript { ticket, result } => self.transcript(now, ticket, result),
            CallInput::TurnJudged {
                ticket,
                probability,
            } => self.turn_judged(now, ticket, probability),
            CallInput::Sound {
                reply,
                clause,
                sound,
            } => self.sound(now, reply, clause, sound),
            CallInput::Reply { id, event } => self.reply(now, id, event),
            CallInput::Media(config) => self.renegotiated(now, config),
            CallInput::Digit(digit) => self.digit(now, digit),
            CallInput::Approval(notice) => self.noticed(now, notice),
            CallInput::PinChecked(verdict) => self.desk_input(now, DeskInput::PinChecked(verdict)),
            // It waits for the floor, as everything does that the caller did not ask for.
            CallInput::News { text } => {
                self.turn_event(now, agent_bridge::turn::Event::Announce { text });
            }
            CallInput::Tell {
                news,
                text,
                is_opening,
            } => self.tell(now, news, text, is_opening),
            CallInput::Drain { text } => self.say_goodbye(now, text, HangupReason::Drained),
            CallInput::Ended => self.end(now),
            CallInput::Timeout => self.timeout(now),
        }
        self.offer_floor(now);
        self.give_echo(now);
        debug_assert!(self.outputs.len() <= OUTPUTS_MAX);
    }

    pub fn poll_output(&mut self) -> Option<CallOutput> {
        self.outputs.pop_front()
    }

    /// The earliest moment at which `CallInput::Timeout` is due.
    pub fn next_timeout(&self) -> Option<Instant> {
        if self.ended {
            return None;
        }
        [
            self.media.next_timeout(),
            self.turn_due(),
            self.desk_due(),
            self.playout.next_deadline(),
            self.alarms.next_due(),
            self.close_due(),
            self.opening_due(),
        ]
        .into_iter()
        .flatten()
        .min()
    }

    pub fn media_stats(&self) -> Stats {
        self.media.stats()
    }

    /// The state the turn machine is in, for invariant checks.
    pub fn turn(&self) -> &Turn {
        &self.turn
    }

    /// The turn's events and actions since the start, if they were to be kept.
    pub fn take_trace(&mut self) -> Option<Trace> {
        self.turn.take_trace()
    }

    pub fn conversation(&self) -> &Conversation {
        &self.conversation
    }

    fn confirmed(&mut self, now: Instant) {
        if self.confirmed {
            return;
        }
        // Nobody hears a word before the handshake is over: it would be the first of the greeting that is lost.
        self.is_acknowledged = true;
        if !self.media.is_ready() {
            return;
        }
        self.confirmed = true;
        let greeting = self.settings.greeting.clone();
        if self.reflector.is_some() {
            return;
        }
        if greeting.is_empty() {
            // From here on the caller's silence counts, also where nobody greets them.
            let waits = self.caller_waits();
            self.turn_event(now, agent_bridge::turn::Event::CallerWaits { waits });
        } else {
            self.turn_event(now, agent_bridge::turn::Event::Announce { text: greeting });
        }
    }

    /// Another offer and answer: hold, resume, another address or codec.
    fn renegotiated(&mut self, now: Instant, config: SessionConfig) {
        let was_held = std::mem::replace(&mut self.is_held, !config.send);
        self.expected_from = config.remote_rtp;
        self.is_receiving = config.receive;
        self.heard_from_at = now;
        self.media.reconfigure(now, config);
        self.pace_playout();
        self.drain_media(now);
        if was_held != self.is_held {
            self.note(if self.is_held {
                Note::Held
            } else {
                Note::Resumed
            });
            if self.reflector.is_none() {
                // Nobody is asked whether they are still there while they have us on hold.
                let waits = self.caller_waits();
                self.turn_event(now, agent_bridge::turn::Event::CallerWaits { waits });
            }
        }
    }

    /// Sound goes out only where there is somewhere to send it: what is not sent is not heard.
    fn pace_playout(&mut self) {
        let is_waiting = self.is_claimed || self.onset.is_holding() || self.scene.is_some();
        if is_waiting || self.media.stats().sending_to.is_none() {
            self.playout.pause();
        } else {
            self.playout.resume();
        }
    }

    /// Whether the caller's silence is explained.
    fn caller_waits(&self) -> bool {
        self.is_held || self.scene.is_some() || self.alarms.next_due().is_some()
    }

    fn rtp(&mut self, now: Instant, from: SocketAddr, data: &[u8]) {
        let before = self.media.stats().packets_received;
        self.media
            .handle(now, media::session::Input::Rtp { from, data });
        let stats = self.media.stats();
        // Only what the session took says that the phone is there; a stranger's packets do not.
        if stats.packets_received > before {
            self.heard_from_at = now;
            self.seen_from = Some(from);
            self.pace_playout();
            if stats.sending_to == Some(from)
                && !self.media.is_protected()
                && !media::rtp::is_rtcp(data)
                && let Some(reflector) = &mut self.reflector
                && let Some(data) = reflector.reflect(data)
            {
                self.outputs.push_back(CallOutput::Rtp { to: from, data });
            }
        }
        self.drain_media(now);
    }

    fn drain_media(&mut self, now: Instant) {
        while let Some(output) = self.media.poll_output() {
            match output {
                MediaOutput::Rtp { to, data } => {
                    self.outputs.push_back(CallOutput::Rtp { to, data })
                }
                MediaOutput::Rtcp { to, data } => {
                    self.outputs.push_back(CallOutput::Rtcp { to, data });
                }
                MediaOutput::Frame { pcm, .. } => self.frame(now, &pcm),
                MediaOutput::Dtmf { digit, .. } => self.digit(now, digit),
                MediaOutput::Event(event) => self.media_event(now, event),
            }
        }
    }

    /// A key, told by packets or by signalling.
    fn digit(&mut self, now: Instant, digit: char) {
        self.note(Note::Digit { digit });
        if self.ends_message(digit) {
            self.end_message(now);
        } else if self.reflector.is_none() && !self.is_desks_key(now, digit) {
            self.turn_event(now, agent_bridge::turn::Event::Dtmf { digit });
        }
    }

    fn media_event(&mut self, now: Instant, event: MediaEvent) {
        match event {
            MediaEvent::FirstPacket { from } => {
                self.seen_from = Some(from);
                self.note(Note::FirstPacket { from });
            }
            MediaEvent::SourceLatched { from, expected } => {
                self.seen_from = Some(from);
                self.note(Note::Latched { from, expected });
            }
            MediaEvent::Stranger { from } => self.note(Note::Stranger { from }),
            MediaEvent::NoAudio { .. } if self.is_held => {}
            MediaEvent::NoAudio { for_s, .. } => {
                self.note(Note::NoAudio {
                    for_s,
                    expected: self.expected_from,
                    seen: self.seen_from,
                });
                // Said once: a caller who hears it can act on it, one who does not has hung up.
                if !self.no_audio_said && self.reflector.is_none() {
                    self.no_audio_said = true;
                    let text = NO_AUDIO_TEXT.to_owned();
                    self.turn_event(now, agent_bridge::turn::Event::Announce { text });
                }
            }
            MediaEvent::AudioResumed => {
                self.no_audio_said = false;
                self.note(Note::AudioResumed);
            }
            MediaEvent::RemoteBye => self.note(Note::PeerRtcpBye),
            MediaEvent::Secured => {
                self.note(Note::Secured);
                if self.is_acknowledged {
                    self.confirmed(now);
                }
            }
            MediaEvent::NotSecured { why } => self.note(Note::NotSecured { why }),
            _ => {}
        }
    }

    /// One 20 ms frame of the caller, in order.
    fn frame(&mut self, now: Instant, pcm: &media::Frame) {
        if self.reflector.is_some() {
            self.keep_for_echo(pcm);
            return;
        }
        // What comes from a phone that holds us is music, or talk that is not for us.
        let mut pcm = if self.is_held { media::SILENCE } else { *pcm };
        let mut words = pcm;
        if let Some(echo) = &mut self.echo {
            echo.near(&mut pcm);
            // Whoever is let through began a little earlier, softly.
            words = *echo.cleaned();
        }
        let is_tone = self.tones.push(&pcm).is_some();
        self.utterance.push_frame(&words);
        if self.scene.is_some() {
            return self.scene_hears(now, &pcm, is_tone);
        }
        self.prosody.push_frame(&pcm);
        let was_holding = self.onset.is_holding();
        self.onset.theirs(&words, is_tone || self.is_held);
        let heard = self.vad.frame(&pcm, is_tone);
        if self.opening.is_some() {
            self.hear_hello(now, heard);
            return;
        }
        match heard {
            Some(VadEvent::SpeechStarted { at }) => {
                self.is_pausing = false;
                if !self.utterance.is_open() {
                    self.prosody.reset();
                }
                self.utterance.start(at);
                self.turn_event(now, agent_bridge::turn::Event::SpeechStarted);
            }
            Some(VadEvent::SpeechPaused { at }) => {
                self.is_pausing = true;
                self.utterance.pause(at);
                self.wiring.speech_ended(self.moment(now, at));
                self.turn_event(now, agent_bridge::turn::Event::SpeechPaused);
                self.judge_turn(now);
            }
            Some(VadEvent::SpeechResumed { .. }) => {
                self.is_pausing = false;
                self.utterance.resume();
                self.turn_event(now, agent_bridge::turn::Event::SpeechResumed);
            }
            Some(VadEvent::SpeechStopped { at }) => {
                self.is_pausing = true;
                self.utterance.stop(at);
                self.turn_event(now, agent_bridge::turn::Event::SpeechStopped);
                self.judge_turn(now);
            }
            None if self.vad.is_speech() => self.hear_partial(now),
            None => {}
        }
        if self.vad.is_speech() {
            self.onset.confirmed();
        }
        if self.onset.is_holding() != was_holding {
            self.pace_playout();
        }
    }

    /// When the sample at this position of the detector's count arrived.
    fn moment(&self, now: Instant, at: u64) -> Instant {
        let behind_samples = self.vad.position().saturating_sub(at);
        let behind =
            Duration::from_micros(behind_samples * 1_000_000 / u64::from(media::SAMPLE_RATE_HZ));
        now.checked_sub(behind).unwrap_or(now)
    }

    fn timeout(&mut self, now: Instant) {
        if self.media.next_timeout().is_some_and(|due| due <= now) {
            self.media.handle(now, media::session::Input::Timeout);
            self.drain_media(now);
        }
        if self.close_due().is_some_and(|due| due <= now) {
            self.close(now);
        }
        if self.turn_due().is_some_and(|due| due <= now) {
            self.turn_rests_until = None;
            if self.turn.next_timeout().is_some_and(|due| due <= now) {
                self.turn_event(now, agent_bridge::turn::Event::Timeout);
            }
        }
        self.desk_timeout(now);
        if self.opening_due().is_some_and(|due| due <= now) {
            self.open(now);
        }
        while let Some(alarm) = self.alarms.take_due(now) {
            self.note(Note::AlarmEnded);
            let text = alarm_text(&alarm.label);
            self.turn_event(now, agent_bridge::turn::Event::Announce { text });
            if !self.caller_waits() {
                let waits = false;
                self.turn_event(now, agent_bridge::turn::Event::CallerWaits { waits });
            }
        }
        for _ in 0..CATCH_UP_FRAMES_MAX {
            if self.playout.next_deadline().is_none_or(|due| due > now) {
                break;
            }
            let (mut frame, event) = self.playout.next_frame(now);
            self.scene_speaks(&mut frame);
            if let Some(echo) = &mut self.echo {
                echo.far(&frame);
            }
            self.onset.ours(&frame);
            self.media.send_frame(now, &frame);
            self.drain_media(now);
            if let Some(event) = event {
                self.playout_event(now, event);
            }
        }
        self.scene_is_said(now);
        self.synthesise_ahead();
        self.tell_heard(now);
    }

    fn playout_event(&mut self, now: Instant, event: PlayoutEvent) {
        use agent_bridge::turn::Event;
        match event {
            PlayoutEvent::Started { reply } => {
                self.wiring.first_packet(now, ReplyId(reply));
                self.turn_event(now, Event::PlayoutStarted { id: ReplyId(reply) });
            }
            PlayoutEvent::Finished { reply, heard } => {
                let id = ReplyId(reply);
                self.silence(id);
                self.close_exchange(id, heard.text.clone(), false);
                self.turn_event(
                    now,
                    Event::PlayoutStopped {
                        id,
                        heard: heard.text,
                        complete: true,
                    },
                );
                if self.hang_up_if_wanted(id) {
                    self.end_turn(now);
                }
            }
            PlayoutEvent::Underrun { .. } => {}
        }
    }

    fn note(&mut self, note: Note) {
        self.outputs.push_back(CallOutput::Note(note));
    }
}

const NO_AUDIO_TEXT: &str = "I can't hear you. No sound has reached me from your phone. \
     Please check its microphone, and whether a firewall blocks it.";

const TOO_LONG_TEXT: &str = "This call has lasted as long as calls may. Goodbye.";

#[cfg(test)]
mod tests;

fn alarm_text(label: &str) -> String {
    if label.is_empty() {
        "Your timer has ended.".to_owned()
    } else {
        format!("Your {label} timer has ended.")
    }
}
