//! The machine once more, in a world that answers as the recording says.
//! PURE.

use std::collections::{BTreeMap, VecDeque};
use std::time::{Duration, Instant};

use agent_bridge::turn::trace::Trace;
use agent_bridge::turn::{Action, Event, Ledger, ReplyId, Turn, TurnConfig};
use agent_bridge::words::same;

use super::recording::{Place, Recording, Stretches, since};

/// Steps of one run, timeouts and all: a machine that wakes itself for ever is stopped there.
const STEPS_MAX: usize = 100_000;
/// From a release to the next frame.
const FRAME_NS: u64 = 20_000_000;
/// Orders what was not recorded behind what was, at one time.
const UNRECORDED: usize = usize::MAX;
/// Said where no answer was recorded at all.
const SOME_ANSWER: &str = "…";

/// A call as it would have been.
#[derive(Debug, Clone, PartialEq)]
pub struct Rerun {
    pub trace: Trace,
    pub ledger: Ledger,
    /// Replies to words that the agent was not asked in the recording, in ascending order: their text and
    /// their times are those of another answer.
    pub borrowed: Vec<ReplyId>,
}

/// Plays the call again with `config`. `base` is any moment; results do not depend on it.
pub fn rerun(trace: &Trace, config: TurnConfig, base: Instant) -> Rerun {
    let recording = Recording::of(trace, base);
    let mut turn = Turn::new(config);
    turn.start_trace();
    let mut world = World {
        recording,
        base,
        now_ns: 0,
        stretches: Stretches::default(),
        coming: BTreeMap::new(),
        order: 0,
        urgent: VecDeque::new(),
        sounds: Vec::new(),
        sources: BTreeMap::new(),
        is_paused: false,
    };
    world.run(&mut turn);
    let borrowed = world.sources.iter().filter(|(_, source)| !source.is_known);
    Rerun {
        ledger: turn.ledger(),
        borrowed: borrowed.map(|(id, _)| *id).collect(),
        trace: turn.take_trace().unwrap_or_else(|| {
            // Started above and taken nowhere else.
            Trace::new(trace.config.clone())
        }),
    }
}

/// What will happen.
#[derive(Debug, Clone, PartialEq)]
enum Coming {
    Event(Event),
    /// The first packet of a sound is due.
    Start(ReplyId),
    /// The sound is at its end.
    End(ReplyId),
}

/// One reply's sound.
struct Sounding {
    id: ReplyId,
    text: String,
    first_text_ns: u64,
    /// Its number in the recording, if it has one, and whether it is that one to the nanosecond.
    recorded: Option<usize>,
    is_exact: bool,
    is_released: bool,
    has_all_text: bool,
    /// None: no packet yet.
    started_ns: Option<u64>,
    played_ns: u64,
    /// Since when it plays; none while it is held.
    plays_since_ns: Option<u64>,
    length_ns: u64,
    /// Its start or its end came while it could not.
    is_overdue: bool,
}

struct World {
    recording: Recording,
    base: Instant,
    now_ns: u64,
    stretches: Stretches,
    /// By time, place in the recording, and order of making.
    coming: BTreeMap<(Place, u64), Coming>,
    order: u64,
    /// Follows from the last action at once.
    urgent: VecDeque<Event>,
    sounds: Vec<Sounding>,
    sources: BTreeMap<ReplyId, Source>,
    is_paused: bool,
}

/// What answers a reply's question.
#[derive(Clone, Copy)]
struct Source {
    /// Its number in the recording; none where nothing was asked there.
    stream: Option<usize>,
    /// The same question at the same nanosecond.
    is_exact: bool,
    /// The same question.
    is_known: bool,
}

impl World {
    fn run(&mut self, turn: &mut Turn) {
        for (place, event) in std::mem::take(&mut self.recording.outside) {
            self.add(place, Coming::Event(event));
        }
        for _ in 0..STEPS_MAX {
            let Some(event) = self.next(turn) else { break };
            let Some(now) = self.base.checked_add(Duration::from_nanos(self.now_ns)) else {
                break;
            };
            let event = match event {
                Coming::Event(event) => event,
                Coming::Start(id) => match self.start(id) {
                    Some(event) => event,
                    None => continue,
                },
                Coming::End(id) => match self.end(id) {
                    Some(event) => event,
                    None => continue,
                },
            };
            self.stretches.event(&event);
            turn.handle(now, event);
            while let Some(action) = turn.poll_action() {
                self.act(&action);
                self.stretches.action(&action);
            }
            self.stretches.settle(turn);
        }
    }

    /// The next thing to happen. None after the end of the recording.
    fn next(&mut self, turn: &Turn) -> Option<Coming> {
        if let Some(event) = self.urgent.pop_front() {
            return Some(Coming::Event(event));
        }
        let timeout = turn.next_timeout().map(|due| {
            let due_ns = since(self.base, due);
            let recorded = self.recording.timeouts.get(&due_ns);
            let recorded = recorded.filter(|place| place.at_ns >= self.now_ns);
            recorded.copied().unwrap_or(Place {
                at_ns: due_ns.max(self.now_ns),
                step: UNRECORDED,
            })
        });
        let first = self.coming.keys().next().copied();
        let is_timeout = match (timeout, first) {
            (Some(timeout), Some((place, _))) => timeout < place,
            (timeout, _) => timeout.is_some(),
        };
        let place = if is_timeout {
            timeout
        } else {
            first.map(|(place, _)| place)
        };
        let at_ns = place.map(|place| place.at_ns)?;
        if at_ns > self.recording.end_ns {
            return None;
        }
        self.now_ns = at_ns.max(self.now_ns);
        if is_timeout {
            return Some(Coming::Event(Event::Timeout));
        }
        self.coming.pop_first().map(|(_, coming)| coming)
    }

    fn add(&mut self, place: Place, coming: Coming) {
        self.order += 1;
        self.coming.insert((place, self.order), coming);
    }

    fn add_at(&mut self, at_ns: u64, coming: Coming) {
        let step = UNRECORDED;
        self.add(Place { at_ns, step }, coming);
    }

    fn act(&mut self, action: &Action) {
        match action {
            Action::Transcribe { utterance } => self.transcribe(*utterance),
            Action::DropUtterance { .. } => self.forget_transcripts(),
            Action::Speculate { id, text, .. } => self.ask(*id, text),
            Action::Prepare { id, text, .. } => self.spoken(*id, text),
            Action::Speak { id, text, last } => self.speak(*id, text, *last),
            Action::Cancel { id } => {
                self.close(*id);
                self.sounds
                    .retain(|sound| sound.id != *id || sound.started_ns.is_some());
            }
            Action::StopPlayout { id } => self.stop(*id),
            Action::Pause => self.pause(),
            Action::Resume => self.resume(),
            Action::Commit { .. }
            | Action::RunTool { .. }
            | Action::Record(_)
            | Action::Told { .. }
            | Action::Hangup { .. } => {}
        }
    }

    // The recogniser.

    fn transcribe(&mut self, utterance: u32) {
        self.forget_transcripts();
        let (now_ns, stretches) = (self.now_ns, self.stretches);
        let recording = &self.recording;
        let recorded = recording.hearings.iter().find(|hearing| {
            !hearing.is_partial && hearing.asked_ns == now_ns && hearing.since == stretches.since
        });
        let (place, (text, certainty)) = match recorded.map(|hearing| (hearing.answer, hearing)) {
            Some((Some(place), hearing)) => (place, (hearing.text.clone(), hearing.certainty)),
            other => {
                let usual_ns = now_ns.saturating_add(recording.hearing_ns());
                // It was not there yet when it was dropped.
                let dropped_ns = other.and_then(|(_, hearing)| hearing.dropped_ns);
                let at_ns = usual_ns.max(dropped_ns.map_or(0, |at_ns| at_ns.saturating_add(1)));
                let words = recording.words(stretches.since, stretches.begun, now_ns);
                let step = UNRECORDED;
                (Place { at_ns, step }, words)
            }
        };
        let heard = Event::Final {
            utterance,
            text,
            certainty,
        };
        self.add(place, Coming::Event(heard));
    }

    fn forget_transcripts(&mut self) {
        self.coming
            .retain(|_, coming| !matches!(coming, Coming::Event(Event::Final { .. })));
    }

    // The agent.

    fn ask(&mut self, id: ReplyId, question: &str) {
        let now_ns = self.now_ns;
        let streams = &self.recording.streams;
        let distance = |at: &usize| {
            (
                !streams[*at].is_whole,
                streams[*at].asked_ns.abs_diff(now_ns),
            )
        };
        let all = 0..streams.len();
        let exact = all
            .clone()
            .find(|at| streams[*at].asked_ns == now_ns && streams[*at].question == question);
        let alike = all
            .clone()
            .filter(|at| same(&streams[*at].question, question))
            .min_by_key(distance);
        let nearest = all.clone().min_by_key(distance);
        let is_exact = exact.is_some();
        let source = exact.or(alike).or(nearest);
        let of_reply = Source {
            stream: source,
            is_exact,
            is_known: alike.is_some(),
        };
        self.sources.insert(id, of_reply);
        let mut last_ns = now_ns;
        let mut has_text = false;
        let mut is_whole = false;
        let mut pieces = Vec::new();
        if let Some(stream) = source.map(|source| &streams[source]) {
            is_whole = stream.is_whole;
            for (place, event) in &stream.pieces {
                let at_ns = now_ns.saturating_add(place.at_ns.saturating_sub(stream.asked_ns));
                let step = if is_exact { place.step } else { UNRECORDED };
                has_text |= matches!(event, Event::ReplyText { text, .. } if !text.is_empty());
                last_ns = at_ns;
                pieces.push((Place { at_ns, step }, named(event, id)));
            }
            // What was cut off had not come by then.
            let listened_ns = stream
                .closed_ns
                .map(|at_ns| at_ns.saturating_sub(stream.asked_ns));
            last_ns = last_ns.max(now_ns + listened_ns.unwrap_or(0) + 1);
        }
        if !is_whole {
            let mut text = String::new();
            if !has_text {
                text = self.usual_answer(now_ns);
                last_ns = last_ns.max(now_ns.saturating_add(self.recording.first_text_ns()));
            }
            let last = true;
            let step = UNRECORDED;
            let at_ns = last_ns;
            pieces.push((Place { at_ns, step }, Event::ReplyText { id, text, last }));
        }
        for (place, event) in pieces {
            self.add(place, Coming::Event(event));
        }
    }

    /// The whole answer to the nearest other question.
    fn usual_answer(&self, now_ns: u64) -> String {
        let whole = self
            .recording
            .streams
            .iter()
            .filter(|stream| stream.is_whole);
        let texts = whole.map(|stream| {
            let pieces = stream.pieces.iter();
            let texts = pieces.filter_map(|(_, event)| match event {
                Event::ReplyText { text, .. } => Some(text.as_str()),
                _ => None,
            });
            (stream.asked_ns.abs_diff(now_ns), texts.collect::<String>())
        });
        let spoken = texts.filter(|(_, text)| !text.trim().is_empty());
        let nearest = spoken.min_by_key(|(distance_ns, _)| *distance_ns);
        nearest.map_or_else(|| SOME_ANSWER.to_owned(), |(_, text)| text)
    }

    /// Nobody listens to this reply's stream any more.
    fn close(&mut self, id: ReplyId) {
        self.coming.retain(|_, coming| match coming {
            Coming::Event(event) => reply_of(event) != Some(id),
            Coming::Start(_) | Coming::End(_) => true,
        });
    }

    // The voice.

    fn spoken(&mut self, id: ReplyId, text: &str) {
        let now_ns = self.now_ns;
        if let Some(sound) = self.sounds.iter_mut().find(|sound| sound.id == id) {
            sound.text.push_str(text);
            return;
        }
        let recorded = &self.recording.sounds;
        let found = match self.sources.get(&id) {
            Some(source) => source.stream.and_then(|stream| {
                let reply = self.recording.streams[stream].reply;
                let at = recorded.iter().position(|sound| sound.reply == reply);
                at.map(|at| (at, source.is_exact))
            }),
            None => (0..recorded.len())
                .filter(|at| recorded[*at].text == text)
                .filter(|at| self.recording.is_aside(&recorded[*at]))
                .min_by_key(|at| recorded[*at].first_text_ns.abs_diff(now_ns))
                .map(|at| (at, true)),
        };
        let is_exact =
            found.is_some_and(|(at, is_exact)| is_exact && recorded[at].first_text_ns == now_ns);
        self.sounds.push(Sounding {
            id,
            text: text.to_owned(),
            first_text_ns: now_ns,
            recorded: found.map(|(at, _)| at),
            is_exact,
            is_released: false,
            has_all_text: false,
            started_ns: None,
            played_ns: 0,
            plays_since_ns: None,
            length_ns: 0,
            is_overdue: false,
        });
    }

    fn speak(&mut self, id: ReplyId, text: &str, last: bool) {
        self.spoken(id, text);
        let now_ns = self.now_ns;
        let Some(sound) = self.sounds.iter_mut().find(|sound| sound.id == id) else {
            return;
        };
        sound.has_all_text |= last;
        let is_silent = sound.has_all_text && sound.text.trim().is_empty();
        let recorded = sound.recorded.map(|at| &self.recording.sounds[at]);
        let mut coming = None;
        if !std::mem::replace(&mut sound.is_released, true) {
            sound.is_exact &= recorded.is_some_and(|known| known.released_ns == Some(now_ns));
            let known = recorded.filter(|_| sound.is_exact);
            coming = match known.map(|known| (known.started, &known.stopped)) {
                Some((Some(place), _)) => Some((place, Coming::Start(id))),
                // It never sounded: what was to be said had no letters.
                Some((None, Some((place, heard, true)))) => {
                    let (heard, complete) = (heard.clone(), true);
                    let stopped = Event::PlayoutStopped {
                        id,
                        heard,
                        complete,
                    };
                    Some((*place, Coming::Event(stopped)))
                }
                _ if is_silent => None,
                other => {
                    let made_ns = sound.first_text_ns + self.recording.first_sound_ns(recorded);
                    let mut at_ns = made_ns.max(now_ns) + FRAME_NS;
                    // It was stopped before it was ready.
                    if let Some((None, Some((stopped, _, false)))) = other {
                        at_ns = at_ns.max(stopped.at_ns.saturating_add(1));
                    }
                    let step = UNRECORDED;
                    Some((Place { at_ns, step }, Coming::Start(id)))
                }
            };
        } else if last && sound.is_overdue && sound.started_ns.is_some() {
            sound.is_overdue = false;
            let (at_ns, step) = (now_ns.saturating_add(FRAME_NS), UNRECORDED);
            coming = Some((Place { at_ns, step }, Coming::End(id)));
        }
        let is_known = coming.is_some() || sound.started_ns.is_some();
        if is_silent && !is_known {
            self.sounds.retain(|sound| sound.id != id);
            self.urgent.push_back(Event::PlayoutStopped {
                id,
                heard: String::new(),
                complete: true,
            });
        }
        if let Some((place, coming)) = coming {
            self.add(place, coming);
        }
    }

    fn start(&mut self, id: ReplyId) -> Option<Event> {
        let sound = self.sounds.iter_mut().find(|sound| sound.id == id)?;
        if self.is_paused {
            sound.is_overdue = true;
            return None;
        }
        let recorded = sound.recorded.map(|at| &self.recording.sounds[at]);
        sound.length_ns = self.recording.length_ns(recorded, &sound.text);
        sound.started_ns = Some(self.now_ns);
        sound.plays_since_ns = Some(self.now_ns);
        self.await_end(id);
        Some(Event::PlayoutStarted { id })
    }

    /// Says when a sound that plays will be at its end.
    fn await_end(&mut self, id: ReplyId) {
        let Some(sound) = self.sounds.iter().find(|sound| sound.id == id) else {
            return;
        };
        let left_ns = sound.length_ns.saturating_sub(sound.played_ns);
        let at_ns = self.now_ns.saturating_add(left_ns);
        let recorded = sound.recorded.filter(|_| sound.is_exact);
        let recorded = recorded.and_then(|at| self.recording.sounds[at].stopped.as_ref());
        let place = recorded
            .map(|(place, _, _)| *place)
            .filter(|place| place.at_ns == at_ns)
            .unwrap_or(Place {
                at_ns,
                step: UNRECORDED,
            });
        self.add(place, Coming::End(id));
    }

    fn end(&mut self, id: ReplyId) -> Option<Event> {
        let at = self.sounds.iter().position(|sound| sound.id == id)?;
        let sound = &mut self.sounds[at];
        let recorded = sound.recorded.map(|at| &self.recording.sounds[at]);
        let length_ns = self.recording.length_ns(recorded, &sound.text);
        if length_ns > sound.length_ns {
            // More text has come since it began.
            sound.length_ns = length_ns;
            let since_ns = sound.plays_since_ns.replace(self.now_ns);
            sound.played_ns += self.now_ns - since_ns.unwrap_or(self.now_ns);
            self.await_end(id);
            return None;
        }
        if !sound.has_all_text {
            sound.is_overdue = true;
            return None;
        }
        let sound = self.sounds.remove(at);
        self.close(id);
        let recorded = sound.recorded.filter(|_| sound.is_exact);
        let recorded = recorded.and_then(|at| self.recording.sounds[at].stopped.as_ref());
        let heard = recorded
            .filter(|(_, _, complete)| *complete)
            .map(|(_, heard, _)| heard.clone());
        Some(Event::PlayoutStopped {
            id,
            heard: heard.unwrap_or_else(|| sound.text.trim().to_owned()),
            complete: true,
        })
    }

    fn stop(&mut self, id: ReplyId) {
        self.close(id);
        self.coming
            .retain(|_, coming| *coming != Coming::Start(id) && *coming != Coming::End(id));
        let at = self.sounds.iter().position(|sound| sound.id == id);
        let sound = at.map(|at| self.sounds.remove(at));
        let (heard, complete) = sound.map_or((String::new(), false), |sound| {
            let recorded = sound.recorded.filter(|_| sound.is_exact);
            let recorded = recorded.and_then(|at| self.recording.sounds[at].stopped.clone());
            match recorded {
                Some((place, heard, complete)) if place.at_ns == self.now_ns => (heard, complete),
                _ => (heard_part(&sound, self.now_ns), false),
            }
        });
        self.urgent.push_back(Event::PlayoutStopped {
            id,
            heard,
            complete,
        });
    }

    fn pause(&mut self) {
        self.is_paused = true;
        for sound in &mut self.sounds {
            if let Some(since_ns) = sound.plays_since_ns.take() {
                sound.played_ns += self.now_ns - since_ns;
            }
        }
        self.coming
            .retain(|_, coming| !matches!(coming, Coming::End(_)));
    }

    fn resume(&mut self) {
        self.is_paused = false;
        let now_ns = self.now_ns;
        let mut starting = Vec::new();
        let mut playing = Vec::new();
        for sound in &mut self.sounds {
            if sound.started_ns.is_some() {
                sound.plays_since_ns = Some(now_ns);
                if !sound.is_overdue {
                    playing.push(sound.id);
                }
            } else if std::mem::take(&mut sound.is_overdue) {
                starting.push(sound.id);
            }
        }
        for id in playing {
            self.await_end(id);
        }
        for id in starting {
            self.add_at(now_ns.saturating_add(FRAME_NS), Coming::Start(id));
        }
    }
}

/// The words whose sound went out, in whole words.
fn heard_part(sound: &Sounding, now_ns: u64) -> String {
    let playing_ns = sound.plays_since_ns.map_or(0, |since_ns| now_ns - since_ns);
    let played_ns = sound.played_ns + playing_ns;
    let letters = sound.text.chars().count() as u64;
    let heard = letters.saturating_mul(played_ns) / sound.length_ns.max(1);
    let mut text = String::new();
    for word in sound.text.split_inclusive(char::is_whitespace) {
        if (text.chars().count() + word.chars().count()) as u64 > heard {
            break;
        }
        text.push_str(word);
    }
    text.trim().to_owned()
}

fn reply_of(event: &Event) -> Option<ReplyId> {
    match event {
        Event::ReplyText { id, .. }
        | Event::ReplyToolCall { id, .. }
        | Event::ReplyProgress { id, .. }
        | Event::ReplyFailed { id, .. } => Some(*id),
        _ => None,
    }
}

/// The same event of another reply.
fn named(event: &Event, reply: ReplyId) -> Event {
    let mut event = event.clone();
    match &mut event {
        Event::ReplyText { id, .. }
        | Event::ReplyToolCall { id, .. }
        | Event::ReplyProgress { id, .. }
        | Event::ReplyFailed { id, .. } => *id = reply,
        _ => {}
    }
    event
}
