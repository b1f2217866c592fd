//! What a trace says about the world around the machine: who answered what, when, and after how long.
//! PURE.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use agent_bridge::turn::trace::Trace;
use agent_bridge::turn::{Action, Event, ReplyId, State, Turn};

/// Longer than any call: what is later was not recorded by this program. Sums of times stay far from the
/// end of their type.
const CALL_NS_MAX: u64 = 7 * 24 * 3_600 * 1_000_000_000;
/// Where nothing of its kind was recorded: a transcript, a first text, a first sound, in nanoseconds.
const HEARING_NS: u64 = 300_000_000;
const FIRST_TEXT_NS: u64 = 500_000_000;
const FIRST_SOUND_NS: u64 = 200_000_000;
/// A voice that starts within this time of its release was ready before.
const READY_NS: u64 = 40_000_000;
/// Sound per letter of a usual voice.
const LETTER_NS: u64 = 65_000_000;

/// A place in the recording: the step's number orders what happened at one time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Place {
    pub(super) at_ns: u64,
    pub(super) step: usize,
}

/// Which of the caller's stretches of voice a transcript is of, counted over the call.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Stretches {
    is_voice: bool,
    /// Begun so far.
    pub(super) begun: usize,
    /// Those before belong to earlier turns.
    pub(super) since: usize,
}

impl Stretches {
    pub(super) fn event(&mut self, event: &Event) {
        match event {
            Event::SpeechStarted | Event::SpeechResumed => {
                self.is_voice = true;
                self.begun += 1;
            }
            Event::SpeechStopped => self.is_voice = false,
            _ => {}
        }
    }

    pub(super) fn action(&mut self, action: &Action) {
        if let Action::Commit { .. } = action {
            self.since = self.begun;
        }
    }

    /// After the actions of an event: speech that belongs to no turn is let go of, as `call::wiring` does.
    pub(super) fn settle(&mut self, turn: &Turn) {
        let is_kept =
            turn.is_claimed() || matches!(turn.state(), State::UserSpeaking | State::Endpointing);
        if !is_kept && !self.is_voice {
            self.since = self.begun;
        }
    }
}

/// One transcript, asked for or partial.
pub(super) struct Hearing {
    pub(super) asked_ns: u64,
    pub(super) answer: Option<Place>,
    /// When it was no longer wanted, if it had no answer by then.
    pub(super) dropped_ns: Option<u64>,
    pub(super) text: String,
    pub(super) certainty: f32,
    /// Of the stretches after `since`, up to `until`.
    pub(super) since: usize,
    until: usize,
    pub(super) is_partial: bool,
}

/// What the agent sent for one question.
pub(super) struct Stream {
    pub(super) reply: ReplyId,
    pub(super) asked_ns: u64,
    pub(super) question: String,
    pub(super) pieces: Vec<(Place, Event)>,
    /// It came to its end.
    pub(super) is_whole: bool,
    /// Nobody listened from then on.
    pub(super) closed_ns: Option<u64>,
}

/// What became sound.
pub(super) struct Sound {
    pub(super) reply: ReplyId,
    pub(super) text: String,
    pub(super) first_text_ns: u64,
    pub(super) released_ns: Option<u64>,
    pub(super) started: Option<Place>,
    pub(super) stopped: Option<(Place, String, bool)>,
    /// Held between start and stop.
    paused_ns: u64,
}

impl Sound {
    /// From the first text to the first sound, at most.
    fn made_in_ns(&self) -> Option<u64> {
        Some(self.started?.at_ns.saturating_sub(self.first_text_ns))
    }

    fn was_ready(&self) -> bool {
        let waited = self.started.zip(self.released_ns);
        self.released_ns != Some(self.first_text_ns)
            && waited.is_some_and(|(started, released)| {
                started.at_ns.saturating_sub(released) <= READY_NS
            })
    }

    /// Length of all of it.
    fn whole_ns(&self) -> Option<u64> {
        let (started, (stopped, _, complete)) = self.started.zip(self.stopped.as_ref())?;
        let lasted = stopped.at_ns.saturating_sub(started.at_ns);
        complete.then(|| lasted.saturating_sub(self.paused_ns))
    }
}

/// A trace taken apart.
pub(super) struct Recording {
    /// What happened without being asked for.
    pub(super) outside: Vec<(Place, Event)>,
    pub(super) hearings: Vec<Hearing>,
    pub(super) streams: Vec<Stream>,
    pub(super) sounds: Vec<Sound>,
    /// When a timeout was handled, by when it was due: sleepers wake late.
    pub(super) timeouts: HashMap<u64, Place>,
    pub(super) end_ns: u64,
}

impl Recording {
    pub(super) fn of(trace: &Trace, base: Instant) -> Recording {
        let mut recording = Recording {
            outside: Vec::new(),
            hearings: Vec::new(),
            streams: Vec::new(),
            sounds: Vec::new(),
            timeouts: HashMap::new(),
            end_ns: 0,
        };
        let mut turn = Turn::new(trace.config.clone());
        let mut stretches = Stretches::default();
        let mut numbers = HashMap::new();
        let mut paused_at = None;
        for (step, recorded) in trace.steps.iter().enumerate() {
            // Times of a trace that was tampered with may go back; a clock does not.
            let at_ns = recorded.at_ns.max(recording.end_ns);
            let now = base.checked_add(Duration::from_nanos(at_ns));
            let Some(now) = now.filter(|_| at_ns <= CALL_NS_MAX) else {
                break;
            };
            recording.end_ns = at_ns;
            let place = Place { at_ns, step };
            if recorded.event == Event::Timeout
                && let Some(due) = turn.next_timeout()
            {
                let handled = recording.timeouts.entry(since(base, due));
                handled.or_insert(place);
            }
            stretches.event(&recorded.event);
            recording.event(place, &recorded.event, &numbers, stretches);
            turn.handle(now, recorded.event.clone());
            while turn.poll_action().is_some() {}
            for action in &recorded.actions {
                match action {
                    Action::Transcribe { utterance } => {
                        numbers.insert(*utterance, recording.hearings.len());
                        recording.hearings.push(Hearing {
                            asked_ns: at_ns,
                            answer: None,
                            dropped_ns: None,
                            text: String::new(),
                            certainty: 1.0,
                            since: stretches.since,
                            until: stretches.begun,
                            is_partial: false,
                        });
                    }
                    Action::DropUtterance { utterance } => {
                        if let Some(hearing) = numbers.get(utterance) {
                            recording.hearings[*hearing].dropped_ns = Some(at_ns);
                        }
                    }
                    Action::Pause => paused_at = Some(at_ns),
                    Action::Resume => {
                        let held_ns = at_ns - paused_at.take().unwrap_or(at_ns);
                        let playing = recording
                            .sounds
                            .iter_mut()
                            .filter(|sound| sound.started.is_some() && sound.stopped.is_none());
                        playing.for_each(|sound| sound.paused_ns += held_ns);
                    }
                    _ => recording.reply_action(at_ns, action),
                }
                stretches.action(action);
            }
            stretches.settle(&turn);
        }
        recording
    }

    fn event(
        &mut self,
        place: Place,
        event: &Event,
        numbers: &HashMap<u32, usize>,
        stretches: Stretches,
    ) {
        match event {
            Event::Timeout => {}
            Event::Final {
                utterance,
                text,
                certainty,
            } => {
                if let Some(hearing) = numbers.get(utterance) {
                    let hearing = &mut self.hearings[*hearing];
                    hearing.answer.get_or_insert(place);
                    hearing.text.clone_from(text);
                    hearing.certainty = *certainty;
                }
            }
            Event::ReplyText { id, last, .. } => self.piece(place, *id, event, *last),
            Event::ReplyFailed { id, .. } => self.piece(place, *id, event, true),
            Event::ReplyToolCall { id, .. } | Event::ReplyProgress { id, .. } => {
                self.piece(place, *id, event, false)
            }
            Event::PlayoutStarted { id } => {
                if let Some(sound) = self.sound(*id) {
                    sound.started.get_or_insert(place);
                }
            }
            Event::PlayoutStopped {
                id,
                heard,
                complete,
            } => {
                if let Some(sound) = self.sound(*id) {
                    let stopped = (place, heard.clone(), *complete);
                    sound.stopped.get_or_insert(stopped);
                }
                self.close(place.at_ns, *id);
            }
            _ => {
                if let Event::Partial { text } = event {
                    self.hearings.push(Hearing {
                        asked_ns: place.at_ns,
                        answer: Some(place),
                        dropped_ns: None,
                        text: text.clone(),
                        certainty: 1.0,
                        since: stretches.since,
                        until: stretches.begun,
                        is_partial: true,
                    });
                }
                self.outside.push((place, event.clone()));
            }
        }
    }

    fn reply_action(&mut self, at_ns: u64, action: &Action) {
        match action {
            Action::Speculate { id, text, .. } => self.streams.push(Stream {
                reply: *id,
                asked_ns: at_ns,
                question: text.clone(),
                pieces: Vec::new(),
                is_whole: false,
                closed_ns: None,
            }),
            Action::Cancel { id } | Action::StopPlayout { id } => self.close(at_ns, *id),
            Action::Prepare { id, text, .. } => self.spoken(at_ns, *id, text),
            Action::Speak { id, text, .. } => {
                self.spoken(at_ns, *id, text);
                if let Some(sound) = self.sound(*id) {
                    sound.released_ns.get_or_insert(at_ns);
                }
            }
            _ => {}
        }
    }

    fn piece(&mut self, place: Place, id: ReplyId, event: &Event, is_last: bool) {
        let stream = self.streams.iter_mut().find(|stream| stream.reply == id);
        if let Some(stream) = stream {
            stream.pieces.push((place, event.clone()));
            stream.is_whole |= is_last;
        }
    }

    fn close(&mut self, at_ns: u64, id: ReplyId) {
        let stream = self.streams.iter_mut().find(|stream| stream.reply == id);
        if let Some(stream) = stream {
            stream.closed_ns.get_or_insert(at_ns);
        }
    }

    fn spoken(&mut self, at_ns: u64, id: ReplyId, text: &str) {
        match self.sound(id) {
            Some(sound) => sound.text.push_str(text),
            None => self.sounds.push(Sound {
                reply: id,
                text: text.to_owned(),
                first_text_ns: at_ns,
                released_ns: None,
                started: None,
                stopped: None,
                paused_ns: 0,
            }),
        }
    }

    fn sound(&mut self, id: ReplyId) -> Option<&mut Sound> {
        self.sounds.iter_mut().find(|sound| sound.reply == id)
    }

    /// A program's own words, not an answer of the agent.
    pub(super) fn is_aside(&self, sound: &Sound) -> bool {
        !self
            .streams
            .iter()
            .any(|stream| stream.reply == sound.reply)
    }

    /// What the recogniser makes of the stretches after `since`, up to `begun`, asked at `asked_ns`, and
    /// how far it can be trusted.
    pub(super) fn words(&self, since: usize, begun: usize, asked_ns: u64) -> (String, f32) {
        let mut certainty = 1.0f32;
        let mut words: Vec<&str> = Vec::new();
        let mut turn_since = None;
        for hearing in &self.hearings {
            // One turn of the recording after the other.
            if turn_since.replace(hearing.since) == Some(hearing.since) {
                continue;
            }
            let of_turn = || {
                self.hearings
                    .iter()
                    .filter(|other| other.since == hearing.since && other.answer.is_some())
            };
            let latest = of_turn().rfind(|other| other.asked_ns <= asked_ns);
            // Asked earlier than in the recording, of the same speech.
            let next = || of_turn().find(|other| other.until <= begun);
            let Some(heard) = latest.or_else(next).filter(|heard| heard.until > since) else {
                continue;
            };
            let before = of_turn().rfind(|other| other.until <= since);
            let known = before.map_or(0, |before| before.text.split_whitespace().count());
            certainty = certainty.min(heard.certainty);
            words.extend(heard.text.split_whitespace().skip(known));
        }
        (words.join(" "), certainty)
    }

    pub(super) fn hearing_ns(&self) -> u64 {
        let taken = self.hearings.iter().filter(|hearing| !hearing.is_partial);
        let taken = taken.filter_map(|hearing| Some(hearing.answer?.at_ns - hearing.asked_ns));
        median(taken).unwrap_or(HEARING_NS)
    }

    pub(super) fn first_text_ns(&self) -> u64 {
        let first = self.streams.iter().filter_map(|stream| {
            let is_text = |event: &Event| matches!(event, Event::ReplyText { .. });
            let (place, _) = stream.pieces.iter().find(|(_, event)| is_text(event))?;
            Some(place.at_ns - stream.asked_ns)
        });
        median(first).unwrap_or(FIRST_TEXT_NS)
    }

    /// How long the voice takes for a first sound of this text, or of a usual one.
    pub(super) fn first_sound_ns(&self, sound: Option<&Sound>) -> u64 {
        let unready = self.sounds.iter().filter(|sound| !sound.was_ready());
        let usual_ns = median(unready.filter_map(Sound::made_in_ns)).unwrap_or(FIRST_SOUND_NS);
        match sound.and_then(|sound| Some((sound.made_in_ns()?, sound.was_ready()))) {
            Some((made_in_ns, false)) => made_in_ns,
            Some((made_in_ns, true)) => usual_ns.min(made_in_ns),
            None => usual_ns,
        }
    }

    /// How long this text sounds.
    pub(super) fn length_ns(&self, sound: Option<&Sound>, text: &str) -> u64 {
        if let Some(whole_ns) = sound.and_then(Sound::whole_ns) {
            return whole_ns;
        }
        let letters = |text: &str| text.chars().count() as u64;
        let (mut sum_ns, mut sum_letters) = (0, 0);
        for sound in &self.sounds {
            if let Some(whole_ns) = sound.whole_ns() {
                sum_ns += whole_ns;
                sum_letters += letters(&sound.text);
            }
        }
        let letter_ns = match sum_letters {
            0 => LETTER_NS,
            count => sum_ns / count,
        };
        // One that was stopped was longer than it was heard, by its words that were not.
        let heard_ns = sound.and_then(|sound| {
            let stopped_ns = sound.stopped.as_ref().map(|(place, _, _)| place.at_ns);
            let until_ns = stopped_ns.unwrap_or(self.end_ns);
            let lasted_ns = until_ns.saturating_sub(sound.started?.at_ns);
            let lasted_ns = lasted_ns.saturating_sub(sound.paused_ns) + 1;
            let heard = sound.stopped.as_ref().map(|(_, heard, _)| letters(heard));
            Some(match heard {
                Some(heard) if heard > 0 => {
                    let all = letters(text).max(heard);
                    (lasted_ns / heard).saturating_mul(all).max(lasted_ns)
                }
                _ => lasted_ns,
            })
        });
        let usual_ns = letters(text).saturating_mul(letter_ns);
        usual_ns.max(heard_ns.unwrap_or(0))
    }
}

/// Nanoseconds from `base` to `at`.
pub(super) fn since(base: Instant, at: Instant) -> u64 {
    u64::try_from(at.saturating_duration_since(base).as_nanos()).unwrap_or(u64::MAX)
}

fn median(values: impl Iterator<Item = u64>) -> Option<u64> {
    let mut values: Vec<u64> = values.collect();
    values.sort_unstable();
    values.get(values.len() / 2).copied()
}
