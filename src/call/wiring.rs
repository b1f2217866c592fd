//! Crate outputs to turn events, turn actions to crate inputs: the only place where an id is compared
//! and anything stale is dropped. Owns the bookkeeping per reply (clauses, doors); decides nothing.
//! PURE.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use agent_bridge::gateways::{Message, Role};
use agent_bridge::phone_text::Tidy;
use agent_bridge::turn::{Action, Entry, Event, HangupReason, Progress, ReplyId, State, ToolCall};
use agent_bridge::words::same;
use asr::stability::Stability;
use tts::clause::Splitter;

use super::alarms::AlarmError;
use super::hearing::Awaited;
use super::record::{Doors, TurnRecord};
use super::{Call, CallOutput, Caption, Note, Question, ReplyEvent, Sound};

/// At most one reply is audible and one is being prepared; a few more may still be winding up.
const REPLIES_MAX: usize = 8;
/// Bytes of a reply's text kept for its turn record.
const REPLY_CHARS_KEPT: usize = 16 * 1024;
/// Tools of one turn that its record names, and letters of each.
const TOOLS_KEPT: usize = 16;
const TOOL_CHARS_KEPT: usize = 64;
/// Events that one turn event can cause in turn; more means that two parts disagree for ever.
const CASCADE_MAX: usize = 256;
/// Between two looks at how much of a reply has been heard.
const HEARD_INTERVAL: Duration = Duration::from_millis(300);

#[derive(Default)]
pub struct Wiring {
    pub(super) tickets: u32,
    /// The transcript we wait for.
    pub(super) awaited: Option<Awaited>,
    /// Where the sound ends that was given to the recogniser last, but for partials.
    pub(super) heard_until: u64,
    /// The transcript of speech that goes on, and when the next one is due.
    pub(super) partial: Option<u32>,
    pub(super) partial_at: Option<Instant>,
    pub(super) stability: Stability,
    /// What was shown last of the caller's turn.
    pub(super) captioned: String,
    /// What the owner's end-of-turn model was asked last.
    pub(super) judged: Option<u32>,
    pub(super) voices: VecDeque<Voice>,
    exchanges: VecDeque<Exchange>,
    /// Doors of the utterance that has not become a question yet.
    pub(super) doors: Doors,
    turns: u32,
    hangup_after: Option<ReplyId>,
    /// When it was last looked how much of a reply has been heard.
    heard_at: Option<Instant>,
    /// What was heard of a reply that was cut just now, and is still to be recorded.
    cut: Option<String>,
    /// The caller's words that cut it, to be recorded behind it.
    over_it: Vec<Entry>,
}

/// The spoken side of one reply.
pub(super) struct Voice {
    pub(super) reply: ReplyId,
    pub(super) tidy: Tidy,
    pub(super) splitter: Splitter,
    /// Clauses that the voice has not been given yet. Bounded by the turn machine's longest reply.
    pub(super) waiting: VecDeque<String>,
    /// Texts of clauses whose first sound has not come yet.
    pub(super) texts: VecDeque<(u32, String)>,
    pub(super) next_clause: u32,
    pub(super) open_clauses: u32,
    pub(super) text_complete: bool,
    pub(super) has_sound: bool,
    /// Before that nothing of it reaches playout.
    pub(super) is_audible: bool,
    /// Sound made before, in order.
    pub(super) held: Vec<(u32, String, Sound)>,
}

/// A caller's words and the reply they get.
pub(super) struct Exchange {
    pub(super) reply: ReplyId,
    pub(super) number: u32,
    pub(super) caller_text: String,
    pub(super) reply_text: String,
    pub(super) doors: Doors,
    pub(super) committed: bool,
    /// Bytes of what was last told to have been heard.
    told_bytes: usize,
    /// ... and that was the last word on it.
    is_told: bool,
    pub(super) fallback: Option<String>,
    pub(super) tools: Vec<String>,
}

impl Exchange {
    /// Each tool is named once: the gateway tells of its beginning, and then of the call.
    fn used(&mut self, tool: &str) {
        let name: String = tool.chars().take(TOOL_CHARS_KEPT).collect();
        if self.tools.len() < TOOLS_KEPT && !self.tools.contains(&name) {
            self.tools.push(name);
        }
    }
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
        if let Some(Awaited { ticket, .. }) = self.awaited.take() {
            outputs.push_back(CallOutput::AbandonTranscript { ticket });
        }
        for voice in self.voices.drain(..) {
            outputs.push_back(CallOutput::CancelSpeech { reply: voice.reply });
        }
        for exchange in self.exchanges.drain(..) {
            outputs.push_back(CallOutput::CancelReply { id: exchange.reply });
        }
    }

    /// The latest reply that may take effect.
    pub(super) fn committed(&self) -> Option<ReplyId> {
        let mut exchanges = self.exchanges.iter().rev();
        exchanges
            .find(|exchange| exchange.committed)
            .map(|exchange| exchange.reply)
    }

    /// Whether sound that may be heard is still to be made.
    pub(super) fn is_sounding(&self) -> bool {
        let mut audible = self.voices.iter().filter(|voice| voice.is_audible);
        audible.any(|voice| voice.open_clauses > 0 || !voice.waiting.is_empty())
    }

    pub(super) fn exchange(&mut self, id: ReplyId) -> Option<&mut Exchange> {
        self.exchanges
            .iter_mut()
            .find(|exchange| exchange.reply == id)
    }

    pub(super) fn voice(&mut self, id: ReplyId) -> &mut Voice {
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
            is_audible: false,
            held: Vec::new(),
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
            // a cough during a reply belongs to none. In a scene it is the desk's.
            let is_collecting = self.scene.is_some()
                || self.turn.is_claimed()
                || matches!(self.turn.state(), State::UserSpeaking | State::Endpointing);
            if !is_collecting && !self.vad.is_speech() && self.utterance.is_open() {
                self.utterance.take();
                // Nothing of it is recorded: what is shown of it is taken back.
                self.caption("");
            }
        }
        self.cut_is_recorded();
    }

    fn action(&mut self, now: Instant, action: Action, events: &mut VecDeque<Event>) {
        match action {
            Action::Transcribe { utterance } => self.transcribe(now, utterance),
            Action::DropUtterance { .. } => self.abandon_transcript(),
            Action::Speculate { id, text, is_guess } => self.speculate(now, id, text, is_guess),
            Action::Prepare { id, text, last } => self.prepare(id, &text, last),
            Action::Commit { id } => {
                if let Some(exchange) = self.wiring.exchange(id) {
                    exchange.doors.guessed.take_if(|guessed| *guessed >= now);
                    exchange.doors.committed = Some(now);
                    exchange.committed = true;
                    self.outputs.push_back(CallOutput::CommitReply { id });
                }
            }
            Action::Cancel { id } => {
                let heard = self.playout.heard(id.0).text;
                self.tell_over(id, heard);
                self.outputs.push_back(CallOutput::CancelReply { id });
                self.silence(id);
                self.wiring.hangup_after.take_if(|after| *after == id);
                let by_caller = self.vad.is_speech() || self.utterance.is_open();
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
                let is_reply = self
                    .wiring
                    .exchange(id)
                    .is_some_and(|reply| reply.committed);
                if is_reply && !heard.text.trim().is_empty() {
                    self.wiring.cut = Some(heard.text.clone());
                }
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
                let is_caller = entry.role == Role::User;
                if is_caller && !entry.aside {
                    self.turn_is_over();
                }
                if is_caller {
                    self.wiring.captioned.clear();
                }
                // What they cut was said before.
                match is_caller && self.wiring.cut.is_some() {
                    true => self.wiring.over_it.push(entry),
                    false => {
                        let is_reply = entry.role == Role::Assistant;
                        self.record(entry);
                        if is_reply {
                            self.cut_is_recorded();
                        }
                    }
                }
            }
            Action::Told { news, complete, .. } => {
                self.outputs.push_back(CallOutput::Told { news, complete });
            }
            Action::Hangup { why } => self.hang_up(why),
        }
    }

    fn record(&mut self, entry: Entry) {
        self.conversation.push(entry.clone());
        self.outputs.push_back(CallOutput::Said(entry));
    }

    fn cut_is_recorded(&mut self) {
        self.wiring.cut = None;
        for entry in std::mem::take(&mut self.wiring.over_it) {
            self.record(entry);
        }
    }

    /// The caller's words are in the conversation, so their sound is let go. It is not at each commit: a
    /// question that is asked again has none, and what is said meanwhile belongs to the next turn.
    fn turn_is_over(&mut self) {
        match (&self.scene, self.vad.is_speech()) {
            // What is said now is for the desk.
            (Some(_), _) => {}
            // Cut in the middle of a long speech: what was said while it was being heard is the next turn's.
            (None, true) => self.utterance.take_until(self.wiring.heard_until),
            (None, false) => drop(self.utterance.take()),
        }
        self.wiring.stability.reset();
        self.prosody.reset();
        let heard = std::mem::take(&mut self.wiring.doors);
        let mut exchanges = self.wiring.exchanges.iter_mut().rev();
        if let Some(exchange) = exchanges.find(|exchange| exchange.committed) {
            // The guess may have been made at an earlier pause of the same words.
            exchange.doors.speech_end = heard.speech_end;
            exchange.doors.transcribed = heard.transcribed;
            exchange.doors.decode_ms = heard.decode_ms;
        }
    }

    fn speculate(&mut self, now: Instant, id: ReplyId, text: String, is_guess: bool) {
        let mut messages = self.conversation.history(
            self.settings.history_messages_max,
            self.settings.history_chars_max,
        );
        // The reply they speak over is an answer as far as it was heard.
        messages.extend(self.wiring.cut.iter().map(|heard| Message {
            role: Role::Assistant,
            text: heard.clone(),
        }));
        // Words that have had no answer yet belong to the same question: the caller went on before
        // anything was heard. The same words again are the same question again.
        let mut question = text.clone();
        if let Some(last) = messages.pop_if(|last| last.role == Role::User)
            && !same(&last.text, &text)
        {
            question = format!("{} {text}", last.text);
        }
        messages.push(Message {
            role: Role::User,
            text: question,
        });
        let mut doors = self.wiring.doors;
        doors.guessed = Some(now);
        self.wiring.turns += 1;
        if self.wiring.exchanges.len() >= REPLIES_MAX {
            self.wiring.exchanges.pop_front();
        }
        self.wiring.exchanges.push_back(Exchange {
            reply: id,
            number: self.wiring.turns,
            caller_text: text,
            reply_text: String::new(),
            doors,
            committed: false,
            told_bytes: 0,
            is_told: false,
            fallback: None,
            tools: Vec::new(),
        });
        self.outputs.push_back(CallOutput::Ask(Question {
            id,
            session: self.settings.session.clone(),
            system: self.settings.system_prompt.clone(),
            messages,
            speculative: is_guess,
        }));
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
            ReplyEvent::ToolCall(call) => {
                exchange.used(&call.name);
                Event::ReplyToolCall { id, call }
            }
            ReplyEvent::Progress(progress) => {
                match &progress {
                    Progress::Tool { name } => exchange.used(name),
                    Progress::Trying { gateway } => exchange.fallback = Some(gateway.clone()),
                    Progress::Waiting | Progress::Cloud { .. } | Progress::Spent(_) => {}
                }
                Event::ReplyProgress { id, progress }
            }
            ReplyEvent::Failed(error) => Event::ReplyFailed { id, error },
        };
        self.turn_event(now, event);
    }

    /// Tells who answers how much of the reply has been heard. Looked at now and then: finding the words in the sound costs
    /// more than playing it.
    pub(super) fn tell_heard(&mut self, now: Instant) {
        let is_early = self
            .wiring
            .heard_at
            .is_some_and(|at| now.saturating_duration_since(at) < HEARD_INTERVAL);
        if is_early || !self.playout.is_speaking() || self.playout.is_paused() {
            return;
        }
        self.wiring.heard_at = Some(now);
        for exchange in self.wiring.exchanges.iter_mut().filter(|e| e.committed) {
            let text = self.playout.heard(exchange.reply.0).text;
            if text.len() > exchange.told_bytes {
                exchange.told_bytes = text.len();
                self.outputs.push_back(CallOutput::Caption(Caption {
                    role: Role::Assistant,
                    text: text.clone(),
                }));
                self.outputs.push_back(CallOutput::Heard {
                    id: exchange.reply,
                    text,
                    is_over: false,
                });
            }
        }
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

    /// The last word on how much of a reply was heard.
    fn tell_over(&mut self, id: ReplyId, text: String) {
        if let Some(exchange) = self.wiring.exchange(id)
            && exchange.committed
            && !std::mem::replace(&mut exchange.is_told, true)
        {
            self.outputs.push_back(CallOutput::Heard {
                id,
                text,
                is_over: true,
            });
        }
    }

    /// The exchange of a reply that is over, one way or the other, becomes a turn record.
    pub(super) fn close_exchange(&mut self, id: ReplyId, heard_text: String, interrupted: bool) {
        self.tell_over(id, heard_text.clone());
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
                fallback: exchange.fallback,
                tools: exchange.tools,
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
