//! A scene: the desk has the floor of the call, to read a request out or to take a PIN. Owns the way of the desk's
//! words to the phone and of the caller's to the desk; decides nothing.
//!
//! While a scene lasts, the turn machine hears and says nothing: what is said here is neither a turn nor part of a
//! conversation, and what the agent was saying waits. A scene begins when nobody speaks.
//! PURE.

use std::time::{Duration, Instant};

use agent_bridge::approvals::answer::{self, Order};
use agent_bridge::approvals::board::Notice;
use agent_bridge::approvals::desk::{Desk, Input, Output};
use agent_bridge::conversation::Role;
use agent_bridge::turn::{Entry, Event, Progress, ReplyId, State};
use asr::engine::Kind;
use asr::vad::VadEvent;

use super::{Call, CallOutput, CallSettings, DeskWish, Note, Sound, Words};
use crate::config::Answerer;
use crate::redact::Secret;

/// Ids of the desk's sentences count down from here; the turn machine's count up from one.
const LAST_ID: u32 = u32::MAX;
/// Scenes of one call that have ids of their own.
const IDS: u32 = 1 << 20;
/// Silence after which what was said to the desk is heard: people pause between digits.
const ANSWERED_AFTER: Duration = Duration::from_millis(600);
/// After a scene the turn's waits stand still until its sound goes on.
const REST: Duration = Duration::from_millis(200);
/// Sound of one thing said; a voice that makes more has failed.
const SOUND_SAMPLES_MAX: usize = 120 * media::SAMPLE_RATE_HZ as usize;

const STOPPED_ELSEWHERE: &str = "Everything was stopped from another phone.";

/// What the desk is saying and hearing.
#[derive(Debug)]
pub(super) struct Scene {
    reply: ReplyId,
    sentences: Vec<Sentence>,
    /// Where the voice is: sentence, sample.
    at: (usize, usize),
    samples: usize,
    /// The desk has been told that it was said.
    is_said: bool,
    has_failed: bool,
    /// The desk has been told of this speech.
    is_speech: bool,
    hear_at: Option<Instant>,
    ticket: Option<u32>,
}

#[derive(Debug, Default)]
struct Sentence {
    sound: Vec<i16>,
    is_whole: bool,
}

/// The desk of a call. Its chances are its own.
pub(super) fn desk(settings: &CallSettings) -> Desk {
    let authority = &settings.authority;
    let seed = settings.seed.map(|byte| byte ^ 0xa5);
    Desk::new(authority.desk, authority.caller, authority.rules, seed)
}

impl Call {
    // Between the call and its desk.

    pub(super) fn desk_input(&mut self, now: Instant, input: Input) {
        self.desk.handle(now, input);
        while let Some(output) = self.desk.poll_output() {
            self.desk_output(now, output);
        }
    }

    fn desk_output(&mut self, now: Instant, output: Output) {
        let wish = match output {
            Output::Say(sentences) => return self.scene_says(now, sentences),
            Output::Over => return self.scene_over(now),
            Output::Announce(text) => return self.turn_event(now, Event::Announce { text }),
            Output::Decided { id, decision, why } => DeskWish::Decided { id, decision, why },
            Output::Left(id) => DeskWish::Left(id),
            Output::CheckPin(digits) => DeskWish::CheckPin(Secret::new(digits)),
            Output::Raised(level) => DeskWish::Raised(level),
            Output::Stop { freezes } => {
                self.turn_event(now, Event::Abort);
                DeskWish::Stop { freezes }
            }
            Output::Lift => DeskWish::Lift,
        };
        self.outputs.push_back(CallOutput::Desk(wish));
    }

    /// What the program's board has for this call.
    pub(super) fn noticed(&mut self, now: Instant, notice: Notice) {
        match notice {
            Notice::Offer(request) => self.desk_input(now, Input::Offer(request)),
            Notice::Withdraw(id) => self.desk_input(now, Input::Withdraw(id)),
            Notice::Frozen(is_frozen) => self.desk_input(now, Input::Frozen(is_frozen)),
            Notice::StopRuns => {
                self.turn_event(now, Event::Abort);
                let text = STOPPED_ELSEWHERE.to_owned();
                self.turn_event(now, Event::Announce { text });
            }
        }
    }

    /// Hands the key to the desk. True: it is not the turn's as well.
    pub(super) fn is_desks_key(&mut self, now: Instant, key: char) -> bool {
        if self.settings.service != Answerer::Agent {
            return false;
        }
        let is_taken = self.desk.takes_key(now, key);
        self.desk_input(now, Input::Key(key));
        is_taken
    }

    /// Words of a turn that are an order to the program.
    pub(super) fn order(&self, text: &str) -> Option<(Order, String)> {
        let order = answer::order(text)?;
        (self.settings.service == Answerer::Agent).then(|| (order, text.to_owned()))
    }

    pub(super) fn ordered(&mut self, now: Instant, order: Order, words: String) {
        let since = now.saturating_duration_since(self.began_at);
        let entry = Entry {
            role: Role::User,
            text: words,
            at_ms: u64::try_from(since.as_millis()).unwrap_or(u64::MAX),
            complete: true,
            aside: true,
        };
        self.conversation.push(entry.clone());
        self.outputs.push_back(CallOutput::Said(entry));
        self.desk_input(now, Input::Order(order));
    }

    // The floor.

    /// Gives the desk the floor if it wants it and nobody has it.
    pub(super) fn offer_floor(&mut self, now: Instant) {
        if !self.ended && self.desk.wants_floor() && self.is_floor_free() {
            self.desk_input(now, Input::Floor);
        }
    }

    fn is_floor_free(&self) -> bool {
        let is_open = matches!(
            self.turn.state(),
            State::Listening | State::Thinking | State::AgentSpeaking
        );
        let is_said = !self.playout.is_speaking() && !self.wiring.is_sounding();
        let is_quiet =
            !self.vad.is_speech() && !self.utterance.is_open() && !self.turn.is_claimed();
        let is_there = self.confirmed && !self.is_held && !self.hung_up && self.closing.is_none();
        is_open && is_said && is_quiet && is_there && self.settings.service == Answerer::Agent
    }

    /// When the turn wants to be woken: not during a scene.
    pub(super) fn turn_due(&self) -> Option<Instant> {
        if self.scene.is_some() {
            return None;
        }
        let due = self.turn.next_timeout()?;
        Some(self.turn_rests_until.map_or(due, |until| due.max(until)))
    }

    pub(super) fn desk_due(&self) -> Option<Instant> {
        let hear_at = self.scene.as_ref().and_then(|scene| scene.hear_at);
        [hear_at, self.desk.next_timeout()]
            .into_iter()
            .flatten()
            .min()
    }

    pub(super) fn desk_timeout(&mut self, now: Instant) {
        if let Some(scene) = &mut self.scene
            && scene.hear_at.take_if(|due| *due <= now).is_some()
        {
            self.wiring.tickets = self.wiring.tickets.wrapping_add(1);
            let ticket = self.wiring.tickets;
            scene.ticket = Some(ticket);
            let (kind, pcm) = (Kind::Final, self.utterance.snapshot());
            self.outputs
                .push_back(CallOutput::Transcribe { ticket, kind, pcm });
        }
        if self.desk.next_timeout().is_some_and(|due| due <= now) {
            self.desk_input(now, Input::Timeout);
        }
    }

    // What the desk says.

    fn scene_says(&mut self, now: Instant, sentences: Vec<String>) {
        let is_new = self.scene.is_none();
        let reply = ReplyId(LAST_ID - self.scenes % IDS);
        self.scenes = self.scenes.wrapping_add(1);
        let heard = self.scene.take();
        if let Some(before) = &heard {
            let reply = before.reply;
            self.outputs.push_back(CallOutput::CancelSpeech { reply });
        }
        self.scene = Some(Scene {
            reply,
            sentences: sentences.iter().map(|_| Sentence::default()).collect(),
            at: (0, 0),
            samples: 0,
            is_said: false,
            has_failed: false,
            is_speech: heard.as_ref().is_some_and(|scene| scene.is_speech),
            hear_at: heard.as_ref().and_then(|scene| scene.hear_at),
            ticket: heard.and_then(|scene| scene.ticket),
        });
        for (clause, text) in (0..).zip(sentences) {
            self.outputs.push_back(CallOutput::Synthesise {
                reply,
                clause,
                text,
            });
        }
        if is_new {
            self.pace_playout();
            let waits = true;
            self.turn_event(now, Event::CallerWaits { waits });
        }
    }

    pub(super) fn is_scenes(&self, reply: ReplyId) -> bool {
        reply.0 > LAST_ID - IDS
    }

    /// Sound of a sentence; that of one before is dropped.
    pub(super) fn scene_sound(&mut self, now: Instant, reply: ReplyId, clause: u32, sound: Sound) {
        let Some(scene) = self.scene.as_mut().filter(|scene| scene.reply == reply) else {
            return;
        };
        let Some(sentence) = scene.sentences.get_mut(clause as usize) else {
            return;
        };
        let mut why = None;
        match sound {
            Sound::Samples(samples) => {
                scene.samples = scene.samples.saturating_add(samples.len());
                if scene.samples > SOUND_SAMPLES_MAX {
                    why = Some("the question is too long to be said".to_owned());
                } else {
                    sentence.sound.extend(samples);
                }
            }
            Sound::Done if sentence.sound.is_empty() => {
                why = Some("a sentence made no sound".to_owned());
            }
            Sound::Done => sentence.is_whole = true,
            Sound::Failed(failure) => why = Some(failure),
        }
        if let Some(why) = why
            && !std::mem::replace(&mut scene.has_failed, true)
        {
            self.note(Note::VoiceFailed { why });
            self.desk_input(now, Input::PromptFailed);
        }
    }

    /// Puts the desk's voice into a frame that is due. What can't be sent is not said.
    pub(super) fn scene_speaks(&mut self, frame: &mut media::Frame) {
        let is_heard = !self.is_held && self.media.stats().sending_to.is_some();
        let Some(scene) = self.scene.as_mut().filter(|_| is_heard) else {
            return;
        };
        let mut filled = 0;
        while filled < frame.len()
            && let Some(sentence) = scene.sentences.get(scene.at.0)
        {
            let rest = &sentence.sound[scene.at.1..];
            let count = rest.len().min(frame.len() - filled);
            frame[filled..filled + count].copy_from_slice(&rest[..count]);
            filled += count;
            scene.at.1 += count;
            if scene.at.1 < sentence.sound.len() || !sentence.is_whole {
                break;
            }
            scene.at = (scene.at.0 + 1, 0);
        }
    }

    pub(super) fn scene_is_said(&mut self, now: Instant) {
        if let Some(scene) = &mut self.scene
            && scene.at.0 >= scene.sentences.len()
            && !std::mem::replace(&mut scene.is_said, true)
        {
            self.desk_input(now, Input::PromptEnded);
        }
    }

    /// Nothing more of the scene is wanted. True: there was one.
    pub(super) fn scene_ends(&mut self) -> bool {
        let Some(scene) = self.scene.take() else {
            return false;
        };
        let reply = scene.reply;
        self.outputs.push_back(CallOutput::CancelSpeech { reply });
        if let Some(ticket) = scene.ticket {
            self.outputs
                .push_back(CallOutput::AbandonTranscript { ticket });
        }
        self.utterance.take();
        true
    }

    fn scene_over(&mut self, now: Instant) {
        if !self.scene_ends() {
            return;
        }
        self.turn_rests_until = Some(now + REST);
        self.pace_playout();
        if let Some(id) = self.wiring.committed() {
            // Its gateway was waiting for us.
            let progress = Progress::Waiting;
            self.turn_event(now, Event::ReplyProgress { id, progress });
        }
        let waits = self.caller_waits();
        self.turn_event(now, Event::CallerWaits { waits });
    }

    // What the desk hears.

    pub(super) fn scene_hears(&mut self, now: Instant, pcm: &media::Frame, is_tone: bool) {
        self.prosody.push_frame(pcm);
        let event = self.vad.frame(pcm, is_tone);
        let Some(scene) = &mut self.scene else { return };
        match event {
            Some(VadEvent::SpeechStarted { at }) => {
                self.is_pausing = false;
                self.utterance.start(at);
                scene.hear_at = None;
                let ticket = scene.ticket.take();
                let is_new = !std::mem::replace(&mut scene.is_speech, true);
                if let Some(ticket) = ticket {
                    self.outputs
                        .push_back(CallOutput::AbandonTranscript { ticket });
                }
                if is_new {
                    self.desk_input(now, Input::Speech);
                }
            }
            Some(VadEvent::SpeechPaused { at }) => self.utterance.pause(at),
            Some(VadEvent::SpeechResumed { .. }) => self.utterance.resume(),
            Some(VadEvent::SpeechStopped { at }) => {
                self.is_pausing = true;
                self.utterance.stop(at);
                scene.hear_at = scene.is_speech.then_some(now + ANSWERED_AFTER);
            }
            None => {}
        }
    }

    pub(super) fn is_scenes_ticket(&self, ticket: u32) -> bool {
        self.scene
            .as_ref()
            .is_some_and(|scene| scene.ticket == Some(ticket))
    }

    pub(super) fn scene_words(&mut self, now: Instant, result: Result<Words, String>) {
        let Some(scene) = &mut self.scene else { return };
        scene.ticket = None;
        scene.is_speech = false;
        self.utterance.take();
        let (text, certainty) = match result {
            Ok(words) => (words.text, words.certainty),
            Err(why) => {
                self.note(Note::TranscriptFailed { why });
                (String::new(), 0.0)
            }
        };
        self.desk_input(now, Input::Words { text, certainty });
    }
}
