//! The caller's turns of a trace, and two traces of the same call turn by turn.
//! PURE.

use std::collections::BTreeMap;

use agent_bridge::turn::trace::Trace;
use agent_bridge::turn::{Action, Event, ReplyId};
use serde::Serialize;

/// Voice that comes back within this time of the last voice belongs to the same sentence: whoever
/// committed in between was too early.
const SAME_SENTENCE_MS_MAX: u64 = 1_500;

/// One turn of the caller, from its last voice to what was heard of the answer. Times in ms after the
/// last voice, unless they say otherwise.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct TurnFacts {
    #[serde(skip)]
    pub reply: ReplyId,
    /// Since the call's first event.
    pub speech_end_ms: u64,
    pub words: String,
    pub commit_ms: u64,
    /// Questions asked before the commit.
    pub guesses: u32,
    /// How long before the commit the released guess was asked; none: asked at the commit.
    pub saved_ms: Option<u64>,
    pub first_packet_ms: Option<u64>,
    /// Said by the program before the answer.
    pub fillers: u32,
    /// The caller's voice came back within the same sentence, after the commit.
    pub spoke_on_ms: Option<u64>,
    /// They did so while our answer was audible, and it was stopped for that.
    pub cut_in: bool,
    /// The answer was stopped before its end.
    pub interrupted: bool,
}

/// One turn before and after; what is missing was no turn there.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Row {
    pub recorded: Option<TurnFacts>,
    pub replayed: Option<TurnFacts>,
    /// Words of the replayed answer are those of another question.
    pub borrowed: bool,
}

/// The turns that were committed, in order.
pub fn turns(trace: &Trace) -> Vec<TurnFacts> {
    let mut scan = Scan {
        last_voice_ns: None,
        onset_ns: u64::from(trace.config.onset_ms) * 1_000_000,
        asked: BTreeMap::new(),
        guesses: 0,
        audible: None,
        waiting: None,
        turns: Vec::new(),
    };
    let pause_ns = u64::from(trace.config.pause_ms) * 1_000_000;
    let hangover_ns = u64::from(trace.config.hangover_ms) * 1_000_000;
    for step in &trace.steps {
        let at_ns = step.at_ns;
        match &step.event {
            Event::SpeechStarted | Event::SpeechResumed => {
                scan.voice(at_ns);
                scan.last_voice_ns = None;
            }
            Event::SpeechPaused => scan.last_voice_ns = Some(at_ns.saturating_sub(pause_ns)),
            Event::SpeechStopped => {
                let stopped_ns = at_ns.saturating_sub(hangover_ns);
                scan.last_voice_ns.get_or_insert(stopped_ns);
            }
            Event::PlayoutStarted { id } => scan.started(at_ns, *id),
            Event::PlayoutStopped { id, .. } => {
                scan.audible.take_if(|audible| *audible == *id);
            }
            _ => {}
        }
        for action in &step.actions {
            scan.action(at_ns, action);
        }
    }
    scan.turns
}

struct Scan {
    /// None while there is voice.
    last_voice_ns: Option<u64>,
    onset_ns: u64,
    /// Questions that were not committed yet: when, in which words, and whether the turn was still open.
    asked: BTreeMap<ReplyId, (u64, String, bool)>,
    guesses: u32,
    audible: Option<ReplyId>,
    /// Committed and without a word so far.
    waiting: Option<ReplyId>,
    turns: Vec<TurnFacts>,
}

impl Scan {
    fn action(&mut self, at_ns: u64, action: &Action) {
        match action {
            Action::Speculate { id, text, is_guess } => {
                self.guesses += u32::from(*is_guess);
                self.asked.insert(*id, (at_ns, text.clone(), *is_guess));
            }
            Action::Commit { id } => self.committed(at_ns, *id),
            Action::Cancel { id } => {
                self.asked.remove(id);
            }
            Action::Speak { id, .. } if self.waiting == Some(*id) => self.waiting = None,
            Action::Speak { .. } if self.waiting.is_some() => {
                if let Some(turn) = self.turns.last_mut() {
                    turn.fillers += 1;
                }
            }
            Action::StopPlayout { id } => {
                let turn = self.turns.iter_mut().rev().find(|turn| turn.reply == *id);
                if let Some(turn) = turn
                    && self.audible == Some(*id)
                {
                    turn.interrupted = true;
                    turn.cut_in = turn.spoke_on_ms.is_some();
                }
            }
            _ => {}
        }
    }

    fn committed(&mut self, at_ns: u64, id: ReplyId) {
        let asked = self.asked.remove(&id);
        let (asked_ns, words, is_guess) = asked.unwrap_or((at_ns, String::new(), false));
        let guesses = std::mem::take(&mut self.guesses);
        let last_voice_ns = self.last_voice_ns.unwrap_or(at_ns);
        self.waiting = Some(id);
        // The same words once more, because the guess failed after all.
        if let Some(turn) = self.turns.last_mut()
            && turn.speech_end_ms == ms(last_voice_ns)
            && turn.first_packet_ms.is_none()
        {
            turn.reply = id;
            turn.saved_ms = None;
            return;
        }
        self.turns.push(TurnFacts {
            reply: id,
            speech_end_ms: ms(last_voice_ns),
            words,
            commit_ms: ms(at_ns.saturating_sub(last_voice_ns)),
            guesses,
            saved_ms: is_guess.then(|| ms(at_ns.saturating_sub(asked_ns))),
            first_packet_ms: None,
            fillers: 0,
            spoke_on_ms: None,
            cut_in: false,
            interrupted: false,
        });
    }

    fn started(&mut self, at_ns: u64, id: ReplyId) {
        self.audible = Some(id);
        let turn = self.turns.iter_mut().rev().find(|turn| turn.reply == id);
        if let Some(turn) = turn {
            let after_ms = ms(at_ns).saturating_sub(turn.speech_end_ms);
            turn.first_packet_ms.get_or_insert(after_ms);
        }
    }

    /// The caller's voice is back.
    fn voice(&mut self, at_ns: u64) {
        let onset_ms = ms(at_ns.saturating_sub(self.onset_ns));
        if let Some(turn) = self.turns.last_mut() {
            let after_ms = onset_ms.saturating_sub(turn.speech_end_ms);
            if after_ms <= SAME_SENTENCE_MS_MAX {
                turn.spoke_on_ms.get_or_insert(after_ms);
            }
        }
    }
}

/// Both lists in the order of time, turns with the same last voice side by side. `borrowed` are the
/// replayed replies to words that were not asked in the recording, in ascending order.
pub fn compare(
    recorded: Vec<TurnFacts>,
    replayed: Vec<TurnFacts>,
    borrowed: &[ReplyId],
) -> Vec<Row> {
    let mut rows = Vec::new();
    let (mut old, mut new) = (
        recorded.into_iter().peekable(),
        replayed.into_iter().peekable(),
    );
    loop {
        let (takes_old, takes_new) = match (old.peek(), new.peek()) {
            (Some(a), Some(b)) => (
                a.speech_end_ms <= b.speech_end_ms,
                b.speech_end_ms <= a.speech_end_ms,
            ),
            (a, b) => (a.is_some(), b.is_some()),
        };
        if !takes_old && !takes_new {
            return rows;
        }
        let recorded = if takes_old { old.next() } else { None };
        let replayed = if takes_new { new.next() } else { None };
        let is_borrowed = |turn: &TurnFacts| borrowed.binary_search(&turn.reply).is_ok();
        rows.push(Row {
            borrowed: replayed.as_ref().is_some_and(is_borrowed),
            recorded,
            replayed,
        });
    }
}

impl Row {
    /// What is different, in words; empty where nothing is.
    pub fn changes(&self) -> Vec<String> {
        let (old, new) = match (&self.recorded, &self.replayed) {
            (Some(old), Some(new)) => (old, new),
            (Some(_), None) => return vec!["no turn of its own: it waits on".to_owned()],
            (None, Some(new)) => {
                let mut changes = vec!["a turn of its own: commits in a pause".to_owned()];
                changes.extend(spoke_on(new));
                return changes;
            }
            (None, None) => return Vec::new(),
        };
        let mut changes = Vec::new();
        changes.extend(moved("commit", old.commit_ms, new.commit_ms));
        match (old.saved_ms, new.saved_ms) {
            (None, Some(saved)) => changes.push(format!("guessed {saved} ms before")),
            (Some(_), None) if new.guesses == 0 => changes.push("no guess".to_owned()),
            (Some(_), None) => changes.push("guessed wrong".to_owned()),
            _ => {}
        }
        if old.words != new.words {
            changes.push("other words".to_owned());
        }
        match (old.first_packet_ms, new.first_packet_ms) {
            (Some(old), Some(new)) => changes.extend(moved("answer", old, new)),
            (Some(_), None) => changes.push("no answer is heard".to_owned()),
            (None, Some(_)) => changes.push("an answer is heard".to_owned()),
            (None, None) => {}
        }
        match (old.spoke_on_ms, new.spoke_on_ms) {
            (None, Some(_)) => changes.extend(spoke_on(new)),
            (Some(_), None) => changes.push("the caller finishes first".to_owned()),
            (Some(_), Some(_)) if old.cut_in != new.cut_in => changes.extend(spoke_on(new)),
            _ => {}
        }
        if old.fillers != new.fillers {
            changes.push(format!("fillers {} → {}", old.fillers, new.fillers));
        }
        match (old.interrupted, new.interrupted) {
            (false, true) if !new.cut_in => changes.push("interrupted".to_owned()),
            (true, false) => changes.push("not interrupted".to_owned()),
            _ => {}
        }
        changes
    }
}

fn spoke_on(turn: &TurnFacts) -> Option<String> {
    let at_ms = turn.spoke_on_ms?;
    Some(if turn.cut_in {
        format!("cuts in: the caller goes on after {at_ms} ms")
    } else {
        format!("the caller goes on after {at_ms} ms, before the answer takes the floor")
    })
}

fn moved(what: &str, old_ms: u64, new_ms: u64) -> Option<String> {
    match old_ms.cmp(&new_ms) {
        std::cmp::Ordering::Equal => None,
        std::cmp::Ordering::Less => Some(format!("{what} {} ms later", new_ms - old_ms)),
        std::cmp::Ordering::Greater => Some(format!("{what} {} ms earlier", old_ms - new_ms)),
    }
}

fn ms(ns: u64) -> u64 {
    ns / 1_000_000
}
