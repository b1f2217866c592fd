//! One question of a call and all the answers it gets from the model: the one that was asked for early, and those of the
//! agent gateway's own requests, of which a tool makes several. Owns which of them are spoken, which are given to the
//! agent gateway, and how far.
//!
//! Bounds: [`TRACKS_MAX`] answers; the text spoken of them as `hearing` bounds it.
//! PURE.

use super::hearing::Hearing;
use super::matching::{Match, compare};
use super::pacing::{Pacing, Until};
use super::recording::{Ending, Recording};
use super::request::Request;
use crate::gateways::Told;

/// Answers to one question. An agent that needs more goes on unheard.
pub const TRACKS_MAX: usize = 32;

/// Begins what OpenClaw says for the user when an answer held no words.
const ASKED_AGAIN: &str = "The previous attempt did not produce";

/// What comes of a question, for the one who speaks it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Spoken {
    Text(String),
    /// The model thinks aloud. Said once per answer.
    Thinking,
    /// The agent gateway is about to use this tool, or does so.
    Tool(String),
    /// Nothing more will be said.
    Done,
    /// It broke off, or never came.
    Failed,
}

/// What is to be done with a request of the session.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Place {
    /// It has nothing to do with this question.
    Elsewhere,
    /// The answer is there, or on its way.
    Replay(usize, Match),
    /// To be asked of the model; the answer is spoken.
    Ask(usize),
}

/// One answer.
#[derive(Debug)]
struct Track {
    recording: Recording,
    /// Where its text begins in what is spoken.
    from: Option<usize>,
    /// Bytes of its text that have been handed on.
    spoken: usize,
    told_thinking: bool,
    told_tools: usize,
    /// The agent gateway's request that it answers; none: it was only foretold.
    number: Option<u64>,
    /// It began when nobody listened any more.
    is_late: bool,
    is_discarded: bool,
}

impl Track {
    fn new(number: Option<u64>, is_late: bool) -> Track {
        Track {
            recording: Recording::default(),
            from: None,
            spoken: 0,
            told_thinking: false,
            told_tools: 0,
            number,
            is_late,
            is_discarded: false,
        }
    }
}

#[derive(Debug)]
pub struct Exchange {
    session: String,
    /// What the agent gateway is sent as the user's message.
    words: String,
    foretold: Option<Request>,
    /// The foretold request rests on this very session's past.
    is_sure: bool,
    is_committed: bool,
    /// Where the words stand in the agent gateway's requests.
    asked_at: Option<usize>,
    tracks: Vec<Track>,
    /// The track that is spoken.
    current: usize,
    hearing: Hearing,
    /// All that has been handed on to be spoken.
    said_bytes: usize,
    told: Told,
    is_done: bool,
    /// The agent gateway makes no more requests for it.
    is_run_over: bool,
}

impl Exchange {
    /// `foretold` is asked of the model at once, as the first answer.
    pub fn new(session: &str, words: &str, foretold: Option<(Request, bool)>) -> Exchange {
        let (foretold, is_sure) = foretold.unzip();
        Exchange {
            session: session.to_owned(),
            words: words.to_owned(),
            tracks: foretold.iter().map(|_| Track::new(None, false)).collect(),
            foretold,
            is_sure: is_sure.unwrap_or(false),
            is_committed: false,
            asked_at: None,
            current: 0,
            hearing: Hearing::default(),
            said_bytes: 0,
            told: Told::default(),
            is_done: false,
            is_run_over: false,
        }
    }

    pub fn session(&self) -> &str {
        &self.session
    }

    pub fn is_committed(&self) -> bool {
        self.is_committed
    }

    pub fn commit(&mut self) {
        self.is_committed = true;
    }

    /// What was foretold is spoken although the agent gateway has not agreed to it. False: nothing was, or it failed.
    pub fn trust(&mut self) -> bool {
        let track = self.tracks.first();
        let is_good = track.is_some_and(|track| {
            !track.is_discarded && track.recording.ending() != Some(Ending::Broken)
        });
        self.is_sure |= is_good;
        is_good
    }

    /// The agent gateway has asked for the answer.
    pub fn has_arrived(&self) -> bool {
        self.asked_at.is_some()
    }

    /// A request of the session has come. `number` is what it is known by.
    pub fn arrive(&mut self, request: &Request, number: Option<u64>) -> Place {
        if !self.is_committed {
            return Place::Elsewhere;
        }
        if let Some(at) = self.asked_at {
            return match self.goes_on(request, at) && !self.is_run_over {
                true => self.ask(number),
                false => Place::Elsewhere,
            };
        }
        let Some((at, words)) = request.asked() else {
            return Place::Elsewhere;
        };
        if words.trim() != self.words.trim() {
            return Place::Elsewhere;
        }
        self.asked_at = Some(at);
        let Some(foretold) = self.foretold.take() else {
            return self.ask(number);
        };
        let found = compare(&foretold, request);
        let track = &mut self.tracks[0];
        let is_broken = track.recording.ending() == Some(Ending::Broken);
        let is_good = match found {
            Match::Exact | Match::Passing => !is_broken,
            // It is being spoken already, so that is what was answered. A tool is another matter.
            Match::Words => track.spoken > 0 && !track.recording.calls_tools(),
            Match::Other => false,
        };
        if is_good {
            track.number = number;
            return Place::Replay(0, found);
        }
        track.is_discarded = true;
        self.ask(number)
    }

    /// In the middle of a turn the words stand where they stood, and no user has said anything since.
    fn goes_on(&self, request: &Request, at: usize) -> bool {
        let is_ours = request.words_at(at).map(str::trim) == Some(self.words.trim());
        let since = request.messages().iter().skip(at + 1);
        let mut said = since.filter_map(|place| place.words.as_deref());
        is_ours && said.all(|words| words.starts_with(ASKED_AGAIN))
    }

    /// The answer cannot be had after all, and the agent gateway waits for one.
    pub fn ask_instead(&mut self, track: usize) -> Option<usize> {
        let number = {
            let track = self.tracks.get_mut(track)?;
            track.is_discarded = true;
            track.number
        };
        match self.ask(number) {
            Place::Ask(track) => Some(track),
            Place::Replay(..) | Place::Elsewhere => None,
        }
    }

    fn ask(&mut self, number: Option<u64>) -> Place {
        if self.tracks.len() >= TRACKS_MAX {
            return Place::Elsewhere;
        }
        self.tracks.push(Track::new(number, self.told.is_over));
        // An answer that comes when all has been said is another one.
        self.is_done &= self.told.is_over;
        Place::Ask(self.tracks.len() - 1)
    }

    pub fn recording(&self, track: usize) -> Option<&Recording> {
        self.tracks.get(track).map(|track| &track.recording)
    }

    /// One event of an answer. False: no more of it is wanted.
    pub fn push(&mut self, track: usize, frame: Vec<u8>) -> bool {
        match self.tracks.get_mut(track) {
            Some(track) if !track.is_discarded => track.recording.push(frame),
            _ => false,
        }
    }

    /// An answer is at its end.
    pub fn end(&mut self, track: usize, is_broken: bool) {
        if let Some(track) = self.tracks.get_mut(track) {
            track.recording.end(is_broken);
        }
    }

    /// The agent gateway says that the run is over.
    pub fn run_over(&mut self) {
        self.is_run_over = true;
    }

    /// What is to be spoken next.
    pub fn next_spoken(&mut self) -> Option<Spoken> {
        loop {
            if self.is_done {
                return None;
            }
            let has_arrived = self.has_arrived();
            let is_last = self.current + 1 >= self.tracks.len();
            let Some(track) = self.tracks.get_mut(self.current) else {
                return self.finish_if_run_over();
            };
            if track.is_discarded {
                self.current += 1;
                continue;
            }
            // A guess from another session's past is not spoken before the agent gateway has agreed to it.
            if track.number.is_none() && !self.is_sure && !has_arrived {
                // A broken one is forgotten: the agent gateway's own request is still to come.
                let is_broken = track.recording.ending() == Some(Ending::Broken);
                if is_broken && !self.is_committed {
                    self.is_done = true;
                    return Some(Spoken::Failed);
                }
                return self.finish_if_run_over();
            }
            let text = track.recording.text();
            if track.spoken < text.len() {
                let mut piece = text[track.spoken..].to_owned();
                track.spoken = text.len();
                if track.from.is_none() {
                    if self.said_bytes > 0 {
                        // What is said before and after a tool are two paragraphs.
                        piece.insert_str(0, "\n\n");
                    }
                    let gap = piece.len() - track.spoken;
                    track.from = Some(self.said_bytes + gap);
                }
                self.said_bytes += piece.len();
                self.hearing.push(&piece);
                return Some(Spoken::Text(piece));
            }
            if track.recording.is_thinking() && !std::mem::replace(&mut track.told_thinking, true) {
                return Some(Spoken::Thinking);
            }
            if let Some(name) = track.recording.tools().get(track.told_tools) {
                track.told_tools += 1;
                return Some(Spoken::Tool(name.clone()));
            }
            let ending = track.recording.ending();
            let calls_tools = track.recording.calls_tools();
            let is_silent = self.said_bytes == 0;
            match ending {
                None => return None,
                Some(_) if !is_last => self.current += 1,
                // The agent gateway goes on: with a tool, or because there was nothing to say.
                Some(Ending::Whole) if calls_tools || (is_silent && self.is_committed) => {
                    return self.finish_if_run_over();
                }
                Some(Ending::Whole) => {
                    self.is_done = true;
                    self.hearing.finish();
                    return Some(Spoken::Done);
                }
                // Before anything was spoken the agent gateway may ask again, or somebody else.
                Some(Ending::Broken) if is_silent && self.is_committed => {
                    return self.finish_if_run_over();
                }
                Some(Ending::Broken) => {
                    self.is_done = true;
                    self.hearing.finish();
                    return Some(Spoken::Failed);
                }
            }
        }
    }

    fn finish_if_run_over(&mut self) -> Option<Spoken> {
        if !self.is_run_over {
            return None;
        }
        self.is_done = true;
        self.hearing.finish();
        Some(match self.said_bytes > 0 {
            true => Spoken::Done,
            false => Spoken::Failed,
        })
    }

    /// What the call says of the reply.
    pub fn told(&mut self, told: &Told) {
        // What was heard stays heard, and what is over stays over.
        if !self.told.is_over {
            self.told = told.clone();
        }
    }

    pub fn last_told(&self) -> &Told {
        &self.told
    }

    /// It was asked of the model before the agent gateway did, which still has to.
    pub fn is_foretold(&self) -> bool {
        self.foretold.is_some()
    }

    /// Answers that still come from the model.
    pub fn running(&self) -> Vec<usize> {
        let all = self.tracks.iter().enumerate();
        all.filter(|(_, track)| track.recording.ending().is_none())
            .map(|(index, _)| index)
            .collect()
    }

    /// Nobody listens any more.
    pub fn is_over(&self) -> bool {
        self.told.is_over
    }

    /// How far an answer may be given to the agent gateway now.
    pub fn until(&self, track: usize) -> Until {
        let Some(track) = self.tracks.get(track) else {
            return Until::Open;
        };
        let recording = &track.recording;
        let is_empty = recording.text().trim().is_empty();
        let is_ended = recording.ending().is_some();
        // Tools are quicker than the ear, and must not wait for it.
        if recording.calls_tools() || (is_ended && is_empty) {
            return Until::Open;
        }
        if track.is_late && !is_ended {
            // It may still be about to use a tool: what was begun goes on unheard.
            return Until::Text(0);
        }
        let Some(from) = track.from else {
            return match self.told.is_over {
                true => Until::Cut {
                    bytes: 0,
                    rest: String::new(),
                },
                false => Until::Text(0),
            };
        };
        let point = self.hearing.find(&self.told.heard);
        if point.is_all && is_ended {
            return Until::Open;
        }
        let bytes = point.bytes.saturating_sub(from);
        match self.told.is_over {
            true => Until::Cut {
                bytes,
                rest: if point.bytes >= from {
                    point.rest
                } else {
                    String::new()
                },
            },
            false => Until::Text(bytes),
        }
    }

    /// The next bytes for the agent gateway.
    pub fn give(&self, track: usize, pacing: &mut Pacing) -> Vec<u8> {
        match self.recording(track) {
            Some(recording) => pacing.step(recording, &self.until(track)),
            None => Vec::new(),
        }
    }

    /// The agent gateway's request behind an answer that called no tool.
    pub fn answered(&self, track: usize) -> Option<u64> {
        let track = self.tracks.get(track)?;
        track.number.filter(|_| !track.recording.calls_tools())
    }

    /// Answers that still come from the model and that nobody wants.
    pub fn unwanted(&self) -> Vec<usize> {
        let all = self.tracks.iter().enumerate();
        all.filter(|(_, track)| {
            let is_cut = self.told.is_over && !track.is_late && !track.recording.calls_tools();
            track.recording.ending().is_none() && (track.is_discarded || is_cut)
        })
        .map(|(index, _)| index)
        .collect()
    }
}
