//! Crate outputs to turn events, turn actions to crate inputs: the only place where an id is compared
//! and anything stale is dropped. Owns the bookkeeping per reply (clauses, doors); decides nothing.
//! PURE.

use std::collections::VecDeque;
use std::time::Instant;

use agent_bridge::gateways::{Message, Role};
use agent_bridge::phone_text::Tidy;
use agent_bridge::turn::{Action, Event, HangupReason, ReplyId, State, ToolCall};
use tts::clause::Splitter;

use super::alarms::AlarmError;
use super::record::{Doors, TurnRecord};
use super::{Call, CallOutput, Note, Question, ReplyEvent, Sound, Words};

/// At most one reply is audible and one is being prepared; a few more may still be winding up.
const REPLIES_MAX: usize = 8;
/// A long reply is synthesised as it plays: so many clauses with the voice at a time, and none while so
/// much sound waits. Otherwise it would fill the voice's queue and playout's, and lose its end.
const CLAUSES_AHEAD_MAX: u32 = 4;
const SOUND_AHEAD_MS_MAX: u32 = 20_000;
/// Bytes of a reply's text kept for its turn record.
const REPLY_CHARS_KEPT: usize = 16 * 1024;
/// Events that one turn event can cause in turn; more means that two parts disagree for ever.
const CASCADE_MAX: usize = 256;

#[derive(Default)]
pub struct Wiring {
    tickets: u32,
    /// The transcript we wait for: ticket and utterance.
    awaited: Option<(u32, u32)>,
    voices: VecDeque<Voice>,
    exchanges: VecDeque<Exchange>,
    /// Doors of the utterance that has not become a question yet.
    doors: Doors,
    turns: u32,
    hangup_after: Option<ReplyId>,
}

/// The spoken side of one reply.
struct Voice {
    reply: ReplyId,
    tidy: Tidy,
    splitter: Splitter,
    /// Clauses that the voice has not been given yet. Bounded by the turn machine's longest reply.
    waiting: VecDeque<String>,
    /// Texts of clauses whose first sound has not come yet.
    texts: VecDeque<(u32, String)>,
    next_clause: u32,
    open_clauses: u32,
    text_complete: bool,
    has_sound: bool,
}

/// A caller's words and the reply they get.
struct Exchange {
    reply: ReplyId,
    number: u32,
    caller_text: String,
    reply_text: String,
    doors: Doors,
    committed: bool,
}

impl Wiring {
    pub fn speech_ended(&mut self, at: Instant) {
        self.doors = Doors {
            speech_end: Some(at),
            ..Doors::default()
        };
    }

    pub fn first_packet(&mut self, now: Instant, id: ReplyId) {
        if let Some(exchange) = self.exchange(id) {
            exchange.doors.first_packet.get_or_insert(now);
        }
    }

    /// Everything still under way is called off.
    pub fn end(&mut self, outputs: &mut VecDeque<CallOutput>) {
        if let Some((ticket, _)) = self.awaited.take() {
            outputs.push_back(CallOutput::AbandonTranscript { ticket });
        }
        for voice in self.voices.drain(..) {
            outputs.push_back(CallOutput::CancelSpeech { reply: voice.reply });
        }
        for exchange in self.exchanges.drain(..) {
            outputs.push_back(CallOutput::CancelReply { id: exchange.reply });
        }
    }

    fn exchange(&mut self, id: ReplyId) -> Option<&mut Exchange> {
        self.exchanges
            .iter_mut()
            .find(|exchange| exchange.reply == id)
    }

    fn voice(&mut self, id: ReplyId) -> &mut Voice {
        if let Some(at) = self.voices.iter().position(|voice| voice.reply == id) {
            return &mut self.voices[at];
        }
        // The oldest has long been called off; its sound is refused by `sound` from now on.
        if self.voices.len() >= REPLIES_MAX {
            self.voices.pop_front();
        }
        self.voices.push_back(Voice {
            reply: id,
            tidy: Tidy::default(),
            splitter: Splitter::default(),
            waiting: VecDeque::new(),
            texts: VecDeque::new(),
            next_clause: 0,
            open_clauses: 0,
            text_complete: false,
            has_sound: false,
        });
        self.voices.back_mut().expect("pushed above")
    }
}

impl Call {
    /// One event into the turn machine, and all that follows from it.
    pub(super) fn turn_event(&mut self, now: Instant, event: Event) {
        let mut events = VecDeque::from([event]);
        let mut handled = 0;
        loop {
            let event = match events.pop_front() {
                Some(event) => event,
                // Hung up by a tool: the turn is over as well.
                None if self.hung_up
                    && !matches!(self.turn.state(), State::Closing | State::Ended) =>
                {
                    let text = String::new();
                    Event::Drain { text }
                }
                None => break,
            };
            handled += 1;
            debug_assert!(handled <= CASCADE_MAX, "turn events chase each other");
            if handled > CASCADE_MAX {
                break;
            }
            self.turn.handle(now, event);
            while let Some(action) = self.turn.poll_action() {
                self.action(now, action, &mut events);
            }
            // What the caller says belongs to one turn from its first sound until that turn is decided;
            // a cough during a reply belongs to none.
            let is_collecting =
                matches!(self.turn.state(), State::UserSpeaking | State::Endpointing);
            if !is_collecting && !self.vad.is_speech() && self.utterance.is_open() {
                self.utterance.take();
            }
        }
    }

    fn action(&mut self, now: Instant, action: Action, events: &mut VecDeque<Event>) {
        match action {
            Action::Transcribe { utterance } => {
                self.abandon_transcript();
                self.wiring.tickets = self.wiring.tickets.wrapping_add(1);
                let ticket = self.wiring.tickets;
                self.wiring.awaited = Some((ticket, utterance));
                // A speech without any pause is cut while it goes on.
                if self.vad.is_speech() {
                    self.wiring.speech_ended(now);
                }
                let pcm = self.utterance.snapshot();
                self.outputs
                    .push_back(CallOutput::Transcribe { ticket, pcm });
            }
            Action::DropUtterance { .. } => self.abandon_transcript(),
            Action::Speculate { id, text } => self.speculate(id, text),
            Action::Commit { id } => {
                self.utterance.take();
                self.wiring.doors = Doors::default();
                // Cut in the middle of a long speech: what follows is the next turn's.
                if self.vad.is_speech() {
                    self.utterance.start(self.vad.position());
                }
                if let Some(exchange) = self.wiring.exchange(id) {
                    exchange.doors.committed = Some(now);
                    exchange.committed = true;
                    self.outputs.push_back(CallOutput::CommitReply { id });
                }
            }
            Action::Cancel { id } => {
                self.outputs.push_back(CallOutput::CancelReply { id });
                self.silence(id);
                self.wiring.hangup_after.take_if(|after| *after == id);
                let by_caller = self.vad.is_speech();
                self.close_exchange(id, String::new(), by_caller);
            }
            Action::Speak { id, text, last } => events.extend(self.speak(id, &text, last)),
            Action::RunTool { id, call } => self.run_tool(now, id, &call, events),
            Action::Pause | Action::Resume => {
                self.is_claimed = action == Action::Pause;
                self.pace_playout();
            }
            Action::StopPlayout { id } => {
                let heard = self.playout.stop(id.0);
                self.silence(id);
                // An interrupted goodbye is none.
                self.wiring.hangup_after.take_if(|after| *after == id);
                self.close_exchange(id, heard.text.clone(), true);
                events.push_back(Event::PlayoutStopped {
                    id,
                    heard: heard.text,
                    complete: heard.complete,
                });
            }
            Action::Record(entry) => {
                self.conversation.push(entry.clone());
                self.outputs.push_back(CallOutput::Said(entry));
            }
            Action::Hangup { why } => self.hang_up(why),
        }
    }

    fn abandon_transcript(&mut self) {
        if let Some((ticket, _)) = self.wiring.awaited.take() {
            self.outputs
                .push_back(CallOutput::AbandonTranscript { ticket });
        }
    }

    fn speculate(&mut self, id: ReplyId, text: String) {
        let mut messages = self.conversation.history(
            self.settings.history_messages_max,
            self.settings.history_chars_max,
        );
        messages.push(Message {
            role: Role::User,
            text: text.clone(),
        });
        self.wiring.turns += 1;
        if self.wiring.exchanges.len() >= REPLIES_MAX {
            self.wiring.exchanges.pop_front();
        }
        self.wiring.exchanges.push_back(Exchange {
            reply: id,
            number: self.wiring.turns,
            caller_text: text,
            reply_text: String::new(),
            doors: self.wiring.doors,
            committed: false,
        });
        self.outputs.push_back(CallOutput::Ask(Question {
            id,
            session: self.settings.session.clone(),
            system: self.settings.system_prompt.clone(),
            messages,
            speculative: true,
        }));
    }

    pub(super) fn transcript(&mut self, now: Instant, ticket: u32, result: Result<Words, String>) {
        let Some((awaited, utterance)) = self.wiring.awaited else {
            return;
        };
        if awaited != ticket {
            return;
        }
        self.wiring.awaited = None;
        let is_failed = result.is_err();
        let text = match result {
            Ok(words) => {
                self.wiring.doors.transcribed = Some(now);
                self.wiring.doors.decode_ms = Some(words.decode_ms);
                words.text
            }
            Err(why) => {
                self.note(Note::TranscriptFailed { why });
                String::new()
            }
        };
        self.turn_event(now, Event::Final { utterance, text });
        if is_failed {
            // Words that were lost on our side are not passed over in silence.
            let text = self.settings.turn.phrases.not_understood.clone();
            self.turn_event(now, Event::Announce { text });
        }
    }

    pub(super) fn reply(&mut self, now: Instant, id: ReplyId, event: ReplyEvent) {
        let Some(exchange) = self.wiring.exchange(id) else {
            return;
        };
        let event = match event {
            ReplyEvent::Text(text) => {
                exchange.doors.first_text.get_or_insert(now);
                let room = REPLY_CHARS_KEPT.saturating_sub(exchange.reply_text.len());
                exchange
                    .reply_text
                    .push_str(&text[..text.floor_char_boundary(room)]);
                Event::ReplyText {
                    id,
                    text,
                    last: false,
                }
            }
            ReplyEvent::Done => Event::ReplyText {
                id,
                text: String::new(),
                last: true,
            },
            ReplyEvent::ToolCall(call) => Event::ReplyToolCall { id, call },
            ReplyEvent::Failed(error) => Event::ReplyFailed { id, error },
        };
        self.turn_event(now, event);
    }

    /// Text to the voice, clause by clause.
    fn speak(&mut self, id: ReplyId, text: &str, last: bool) -> Option<Event> {
        let voice = self.wiring.voice(id);
        if voice.text_complete {
            return None;
        }
        let mut tidy = voice.tidy.push(text);
        if last {
            tidy.push_str(&voice.tidy.finish());
        }
        let mut clauses = voice.splitter.push(&tidy);
        if last {
            clauses.extend(voice.splitter.finish());
            voice.text_complete = true;
        }
        let clauses = clauses.into_iter().filter(|text| !text.trim().is_empty());
        voice.waiting.extend(clauses);
        self.synthesise(id);
        self.finish_if_spoken(id)
    }

    /// Gives the voice the next clauses of a reply, as far as it may work ahead.
    fn synthesise(&mut self, id: ReplyId) {
        let queued_ms = self.playout.queued_ms();
        let Some(voice) = self
            .wiring
            .voices
            .iter_mut()
            .find(|voice| voice.reply == id)
        else {
            return;
        };
        while voice.open_clauses < CLAUSES_AHEAD_MAX
            && queued_ms < SOUND_AHEAD_MS_MAX
            && let Some(text) = voice.waiting.pop_front()
        {
            let clause = voice.next_clause;
            voice.next_clause += 1;
            voice.open_clauses += 1;
            voice.texts.push_back((clause, text.clone()));
            self.outputs.push_back(CallOutput::Synthesise {
                reply: id,
                clause,
                text,
            });
        }
    }

    /// Sound has been played, so more of what waits may be made.
    pub(super) fn synthesise_ahead(&mut self) {
        let waiting = self
            .wiring
            .voices
            .iter()
            .find(|voice| !voice.waiting.is_empty());
        if let Some(id) = waiting.map(|voice| voice.reply) {
            self.synthesise(id);
        }
    }

    pub(super) fn sound(&mut self, now: Instant, id: ReplyId, clause: u32, sound: Sound) {
        let Some(voice) = self
            .wiring
            .voices
            .iter_mut()
            .find(|voice| voice.reply == id)
        else {
            return;
        };
        // The text goes with the first sound; a clause without any has not been heard.
        let text = match voice.texts.iter().position(|(number, _)| *number == clause) {
            Some(at) => voice
                .texts
                .remove(at)
                .map_or_else(String::new, |(_, text)| text),
            None => String::new(),
        };
        let (samples, is_end) = match &sound {
            Sound::Samples(samples) => (samples.as_slice(), false),
            Sound::Done | Sound::Failed(_) => (&[][..], true),
        };
        if is_end {
            voice.open_clauses = voice.open_clauses.saturating_sub(1);
        }
        let mut is_full = false;
        if !samples.is_empty() {
            is_full = self
                .playout
                .push(id.0, clause, &text, samples, false)
                .is_err();
            voice.has_sound |= !is_full;
            if let Some(exchange) = self.wiring.exchange(id) {
                exchange.doors.first_sound.get_or_insert(now);
            }
        } else if is_end && voice.has_sound {
            // A reply that playout knows, and that never sounds, would hold back all that follow it.
            is_full = self.playout.push(id.0, clause, "", &[], true).is_err();
        }
        if let Sound::Failed(why) = sound {
            self.note(Note::VoiceFailed { why });
        }
        if is_full {
            self.note(Note::VoiceFailed {
                why: "the reply is longer than the playout queue".to_owned(),
            });
        }
        self.synthesise(id);
        if let Some(event) = self.finish_if_spoken(id) {
            self.turn_event(now, event);
        }
    }

    /// Tells playout when no more sound of a reply will come. The event to follow, if playout will not
    /// report the end itself because there was nothing to hear.
    fn finish_if_spoken(&mut self, id: ReplyId) -> Option<Event> {
        let voice = self.wiring.voices.iter().find(|voice| voice.reply == id)?;
        if !voice.text_complete || voice.open_clauses > 0 || !voice.waiting.is_empty() {
            return None;
        }
        if voice.has_sound {
            self.playout.finish(id.0);
            return None;
        }
        self.silence(id);
        self.close_exchange(id, String::new(), false);
        self.hang_up_if_wanted(id);
        Some(Event::PlayoutStopped {
            id,
            heard: String::new(),
            complete: true,
        })
    }

    /// No more sound of this reply is wanted.
    pub(super) fn silence(&mut self, id: ReplyId) {
        if let Some(at) = self
            .wiring
            .voices
            .iter()
            .position(|voice| voice.reply == id)
        {
            self.wiring.voices.remove(at);
            self.outputs
                .push_back(CallOutput::CancelSpeech { reply: id });
        }
    }

    /// The exchange of a reply that is over, one way or the other, becomes a turn record.
    pub(super) fn close_exchange(&mut self, id: ReplyId, heard_text: String, interrupted: bool) {
        let Some(at) = self.wiring.exchanges.iter().position(|e| e.reply == id) else {
            return;
        };
        let Some(exchange) = self.wiring.exchanges.remove(at) else {
            return;
        };
        if exchange.committed {
            self.outputs.push_back(CallOutput::Turn(TurnRecord {
                number: exchange.number,
                caller_text: exchange.caller_text,
                reply_text: exchange.reply_text,
                heard_text,
                interrupted,
                stages: exchange.doors.stages(),
            }));
        }
    }

    /// Runs only after commit: the turn machine holds tool calls until then.
    fn run_tool(
        &mut self,
        now: Instant,
        id: ReplyId,
        call: &ToolCall,
        events: &mut VecDeque<Event>,
    ) {
        match call.name.as_str() {
            "set_timer" => {
                let seconds = call
                    .arguments
                    .get("seconds")
                    .and_then(|value| value.as_u64());
                let label = call.arguments.get("label").and_then(|value| value.as_str());
                let label: String = label.unwrap_or_default().chars().take(80).collect();
                let result = match seconds {
                    Some(seconds) => self.alarms.set(now, seconds, label),
                    None => Err(AlarmError::TooLong),
                };
                if result.is_ok() {
                    events.push_back(Event::CallerWaits { waits: true });
                }
                if let Err(error) = result {
                    let text = match error {
                        AlarmError::TooMany => {
                            "I already keep eight timers, so I left that one out."
                        }
                        AlarmError::TooLong => "I could not set that timer: it is too long.",
                    };
                    events.push_back(Event::Announce {
                        text: text.to_owned(),
                    });
                }
            }
            "cancel_timers" => {
                self.alarms.cancel_all();
                let waits = self.caller_waits();
                events.push_back(Event::CallerWaits { waits });
            }
            "hang_up" => self.wiring.hangup_after = Some(id),
            _ => self.note(Note::UnknownTool {
                name: call.name.chars().take(64).collect(),
            }),
        }
    }

    /// After the last word of a goodbye.
    pub(super) fn hang_up_if_wanted(&mut self, id: ReplyId) -> bool {
        let is_wanted = self
            .wiring
            .hangup_after
            .take_if(|after| *after == id)
            .is_some();
        if is_wanted {
            self.hang_up(HangupReason::Goodbye);
        }
        is_wanted
    }
}
