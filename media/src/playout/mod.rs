//! What the caller hears: queued speech, handed out one 20 ms frame per deadline, and the record of what was heard.
//!
//! Owns: the queue of replies and clauses, the 20 ms grid, pause, duck and stop without clicks, [`Heard`].
//! Does not own: when to speak or to stop (the turn), packets (`sender`).
//!
//! A frame never mixes two replies, so an event belongs to the frame it comes with. Replies play in the order of their
//! first push; one that has been neither finished nor stopped holds back those behind it.
//!
//! Bounds: `queue_ms_max` of sound, [`REPLIES_QUEUED_MAX`] replies and [`CLAUSES_MAX`] clauses of each waiting
//! ([`Full`] when exceeded; nothing of the push is taken), [`REPLIES_KEPT`] replies remembered for
//! [`Playout::heard`] after they ended (the oldest is forgotten).
//!
//! PURE.

#[doc(hidden)]
pub mod align;
mod clause;
#[doc(hidden)]
pub mod figures;
mod letters;
#[doc(hidden)]
pub mod sound;
#[doc(hidden)]
pub mod spoken;

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use thiserror::Error;

use crate::{FRAME_MS, FRAME_SAMPLES, Frame, SAMPLE_RATE_HZ, SILENCE};
use clause::{Clause, SpeakingRate};

/// Ended replies whose [`Heard`] can still be asked for.
pub const REPLIES_KEPT: usize = 32;

/// Replies that may wait or play at once.
pub const REPLIES_QUEUED_MAX: usize = 32;

/// Clauses of one reply.
pub const CLAUSES_MAX: usize = 1_024;

/// A caller of [`Playout::next_frame`] later than this skips frames instead of hurrying to catch up.
const LATE_MS_MAX: u64 = 60;

const SAMPLES_PER_MS: usize = SAMPLE_RATE_HZ as usize / 1_000;

/// Bounds and shapes of playout.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PlayoutConfig {
    /// Sound that may wait, in milliseconds, over all replies.
    pub queue_ms_max: u32,
    /// Length of every fade (stop, pause, resume, duck) in milliseconds; at most one frame.
    pub fade_ms: u32,
}

impl Default for PlayoutConfig {
    fn default() -> Self {
        PlayoutConfig {
            queue_ms_max: 120_000,
            fade_ms: 5,
        }
    }
}

/// The queue has no room for what was pushed; nothing of it was taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("playout holds {queued_ms} ms and has no room for {pushed_ms} ms more")]
pub struct Full {
    pub queued_ms: u32,
    pub pushed_ms: u32,
}

/// What of a reply went out to the caller.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Heard {
    /// The words of which more than half was handed out, one space between them, in their order: always the first words
    /// of the reply. Where a word lies in the sound is found by what it should sound like; `cargo bench --bench heard` says how well.
    pub text: String,
    /// Samples of this reply handed out, at 16 kHz.
    pub samples: u64,
    /// Whether the reply was finished and all of it was handed out: the text is then all words of all clauses. Never
    /// with a clause that [`Playout::cut_off`] was told of.
    pub complete: bool,
}

/// What happened with the frame just handed out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PlayoutEvent {
    /// The frame carries the first samples of this reply.
    Started { reply: u32 },
    /// The frame carries the last samples of this reply, or the reply was finished without any being left.
    Finished { reply: u32, heard: Heard },
    /// The reply is not finished and its next samples are not here yet; told once until they come.
    Underrun { reply: u32 },
}

#[derive(Debug)]
struct Reply {
    id: u32,
    clauses: Vec<Clause>,
    /// Samples of all clauses not yet handed out, in order.
    queue: VecDeque<i16>,
    /// Index of the clause the next sample belongs to.
    playing: usize,
    samples: u64,
    started: bool,
    finished: bool,
    starving: bool,
}

impl Reply {
    fn heard(&self, rate: SpeakingRate) -> Heard {
        let words: Vec<&str> = self
            .clauses
            .iter()
            .flat_map(|clause| clause.words_heard(rate))
            .collect();
        Heard {
            text: words.join(" "),
            samples: self.samples,
            complete: self.finished
                && self.queue.is_empty()
                && !self.clauses.iter().any(Clause::is_cut_off),
        }
    }

    /// Hands out up to one frame of samples and books them to their clauses.
    fn take(&mut self, frame: &mut Frame) -> usize {
        let count = self.queue.len().min(FRAME_SAMPLES);
        for (slot, sample) in frame.iter_mut().zip(self.queue.drain(..count)) {
            *slot = sample;
        }
        self.samples += count as u64;
        let mut left = count;
        while left > 0 {
            let clause = &mut self.clauses[self.playing];
            let taken = clause.hand_out(left);
            left -= taken;
            if left > 0 {
                self.playing += 1;
            }
        }
        count
    }
}

/// The queue of speech and its clock.
#[derive(Debug)]
pub struct Playout {
    config: PlayoutConfig,
    replies: VecDeque<Reply>,
    /// Ended replies, oldest first, with what was heard of them.
    ended: VecDeque<(u32, Heard)>,
    events: VecDeque<PlayoutEvent>,
    rate: SpeakingRate,
    /// Start of the grid and number of its next point.
    grid: Option<(Instant, u64)>,
    frames_skipped: u64,
    paused: bool,
    /// The last frame ended in the middle of sound, so that leaving it needs a fade.
    sounding: bool,
    fade_in: bool,
    /// Already faded samples to be mixed into the next frame.
    tail: Vec<i16>,
    gain: f32,
    gain_wanted: f32,
}

impl Playout {
    pub fn new(config: PlayoutConfig) -> Playout {
        Playout {
            config: PlayoutConfig {
                fade_ms: config.fade_ms.clamp(1, FRAME_MS as u32),
                ..config
            },
            replies: VecDeque::new(),
            ended: VecDeque::new(),
            events: VecDeque::new(),
            rate: SpeakingRate::default(),
            grid: None,
            frames_skipped: 0,
            paused: false,
            sounding: false,
            fade_in: false,
            tail: Vec::new(),
            gain: 1.0,
            gain_wanted: 1.0,
        }
    }

    /// Queues sound of a reply at 16 kHz. The text of a clause comes with its first sound and may be empty later; a
    /// clause ends with `last_of_clause`, with the first sound of another clause, or with [`Playout::finish`].
    /// Sound for a reply that was stopped or has finished is dropped without error.
    pub fn push(
        &mut self,
        reply: u32,
        clause: u32,
        text: &str,
        pcm: &[i16],
        last_of_clause: bool,
    ) -> Result<(), Full> {
        if self.ended.iter().any(|(id, _)| *id == reply) {
            return Ok(());
        }
        let full = Full {
            queued_ms: self.queued_ms(),
            pushed_ms: (pcm.len() / SAMPLES_PER_MS) as u32,
        };
        if full.queued_ms.saturating_add(full.pushed_ms) > self.config.queue_ms_max {
            return Err(full);
        }
        let Some(index) = self.reply_index(reply) else {
            return Err(full);
        };
        let entry = &mut self.replies[index];
        if entry.finished {
            return Ok(());
        }
        if entry.clauses.last().is_none_or(|last| last.id() != clause) {
            if entry.clauses.len() == CLAUSES_MAX {
                return Err(full);
            }
            if let Some(previous) = entry.clauses.last_mut() {
                previous.close(&mut self.rate);
            }
            entry.clauses.push(Clause::new(clause));
        }
        if let Some(current) = entry.clauses.last_mut() {
            current.append(text, pcm);
            if last_of_clause {
                current.close(&mut self.rate);
            }
        }
        entry.queue.extend(pcm);
        Ok(())
    }

    /// The voice failed in the middle of this clause: its sound ends before its words do. To be called before the clause
    /// ends; without effect on a clause that has no sound yet.
    pub fn cut_off(&mut self, reply: u32, clause: u32) {
        let known = self.replies.iter_mut().find(|known| known.id == reply);
        let of =
            known.and_then(|reply| reply.clauses.iter_mut().rfind(|known| known.id() == clause));
        if let Some(clause) = of {
            clause.cut_off();
        }
    }

    /// No more clauses come for this reply. One that never had any sound finishes with the next frame, silently.
    pub fn finish(&mut self, reply: u32) {
        if self.ended.iter().any(|(id, _)| *id == reply) {
            return;
        }
        let Some(index) = self.reply_index(reply) else {
            return;
        };
        let entry = &mut self.replies[index];
        entry.finished = true;
        if let Some(last) = entry.clauses.last_mut() {
            last.close(&mut self.rate);
        }
    }

    /// The place of a reply in the queue, at its end if it is new; `None` if it is new and there is no room.
    fn reply_index(&mut self, reply: u32) -> Option<usize> {
        if let Some(index) = self.replies.iter().position(|known| known.id == reply) {
            return Some(index);
        }
        if self.replies.len() == REPLIES_QUEUED_MAX {
            return None;
        }
        self.replies.push_back(Reply {
            id: reply,
            clauses: Vec::new(),
            queue: VecDeque::new(),
            playing: 0,
            samples: 0,
            started: false,
            finished: false,
            starving: false,
        });
        Some(self.replies.len() - 1)
    }

    /// Starts the clock: the first frame is due now. Starting again moves the grid.
    pub fn start(&mut self, now: Instant) {
        self.grid = Some((now, 0));
    }

    /// When the next frame is due; deadlines are multiples of 20 ms from the start, so they never drift.
    pub fn next_deadline(&self) -> Option<Instant> {
        self.grid
            .map(|(start, point)| start + Duration::from_millis(point * FRAME_MS))
    }

    /// Frames left out because [`Playout::next_frame`] was called too late.
    pub fn frames_skipped(&self) -> u64 {
        self.frames_skipped
    }

    /// One frame, silence where there is nothing to say, and what happened with it. To be called once per deadline.
    pub fn next_frame(&mut self, now: Instant) -> (Frame, Option<PlayoutEvent>) {
        self.advance_grid(now);
        let mut frame = SILENCE;
        if !self.paused {
            self.fill(&mut frame);
        }
        for (slot, sample) in frame.iter_mut().zip(self.tail.drain(..)) {
            *slot = slot.saturating_add(sample);
        }
        self.apply_gain(&mut frame);
        (frame, self.events.pop_front())
    }

    fn advance_grid(&mut self, now: Instant) {
        let Some((start, point)) = &mut self.grid else {
            return;
        };
        let due = *start + Duration::from_millis(*point * FRAME_MS);
        if now.saturating_duration_since(due) > Duration::from_millis(LATE_MS_MAX) {
            let current = now.saturating_duration_since(*start).as_millis() as u64 / FRAME_MS;
            self.frames_skipped += current - *point;
            *point = current;
        }
        *point += 1;
    }

    fn fill(&mut self, frame: &mut Frame) {
        self.sounding = false;
        // A reply that ended without sound left makes room for the next one in this same frame.
        while let Some(reply) = self.replies.front_mut() {
            let count = reply.take(frame);
            if count == 0 {
                if reply.finished {
                    self.end_front();
                    continue;
                }
                if reply.started && !reply.starving {
                    reply.starving = true;
                    self.events
                        .push_back(PlayoutEvent::Underrun { reply: reply.id });
                }
                return;
            }
            reply.starving = false;
            if !reply.started {
                reply.started = true;
                self.events
                    .push_back(PlayoutEvent::Started { reply: reply.id });
            }
            if self.fade_in {
                self.fade_in = false;
                fade(&mut frame[..count], self.fade_samples(), false);
            }
            let reply = &self.replies[0];
            self.sounding = !reply.queue.is_empty();
            if reply.finished && reply.queue.is_empty() {
                self.end_front();
            }
            return;
        }
    }

    fn end_front(&mut self) {
        if let Some(reply) = self.replies.pop_front() {
            let heard = reply.heard(self.rate);
            self.events.push_back(PlayoutEvent::Finished {
                reply: reply.id,
                heard: heard.clone(),
            });
            self.remember(reply.id, heard);
        }
    }

    fn remember(&mut self, reply: u32, heard: Heard) {
        if self.ended.len() == REPLIES_KEPT {
            self.ended.pop_front();
        }
        self.ended.push_back((reply, heard));
    }

    fn fade_samples(&self) -> usize {
        self.config.fade_ms as usize * SAMPLES_PER_MS
    }

    /// The samples that would come next, faded out; they count as not heard.
    fn fade_out(&mut self) {
        if !self.sounding {
            return;
        }
        self.sounding = false;
        let length = self.fade_samples();
        if let Some(reply) = self.replies.front() {
            self.tail = reply.queue.iter().take(length).copied().collect();
            let count = self.tail.len();
            fade(&mut self.tail, count, true);
        }
    }

    fn apply_gain(&mut self, frame: &mut Frame) {
        if self.gain == 1.0 && self.gain_wanted == 1.0 {
            return;
        }
        let step = (self.gain_wanted - self.gain) / self.fade_samples() as f32;
        let ramp = self.fade_samples();
        for (n, slot) in frame.iter_mut().enumerate() {
            let gain = if n < ramp {
                self.gain + step * (n + 1) as f32
            } else {
                self.gain_wanted
            };
            *slot = (f32::from(*slot) * gain).round() as i16;
        }
        self.gain = self.gain_wanted;
    }

    /// Silence from the next frame on; nothing is dropped.
    pub fn pause(&mut self) {
        if !self.paused {
            self.fade_out();
            self.paused = true;
        }
    }

    /// Goes on exactly where [`Playout::pause`] stopped, faded in.
    pub fn resume(&mut self) {
        if self.paused {
            self.paused = false;
            self.tail.clear();
            self.fade_in = self.replies.front().is_some_and(|reply| reply.started);
        }
    }

    pub fn is_paused(&self) -> bool {
        self.paused
    }

    /// Changes loudness by `gain_db` (0 or below; 0 restores), ramped over one fade.
    pub fn duck(&mut self, gain_db: f32) {
        self.gain_wanted = 10f32.powf(gain_db.clamp(-60.0, 0.0) / 20.0);
    }

    /// Drops what is left of a reply, with a fade in the next frame, and says what was heard of it.
    pub fn stop(&mut self, reply: u32) -> Heard {
        let Some(index) = self.replies.iter().position(|known| known.id == reply) else {
            return self.heard(reply);
        };
        if index == 0 {
            self.fade_out();
            self.fade_in = false;
        }
        let heard = self.heard(reply);
        self.replies.remove(index);
        self.remember(reply, heard.clone());
        heard
    }

    /// What was heard of a reply so far; empty for one never seen or forgotten.
    pub fn heard(&self, reply: u32) -> Heard {
        if let Some(entry) = self.replies.iter().find(|known| known.id == reply) {
            return entry.heard(self.rate);
        }
        self.ended
            .iter()
            .rev()
            .find(|(id, _)| *id == reply)
            .map(|(_, heard)| heard.clone())
            .unwrap_or_default()
    }

    /// Whether the next frame would carry speech (also while paused).
    pub fn is_speaking(&self) -> bool {
        self.replies
            .front()
            .is_some_and(|reply| !reply.queue.is_empty())
    }

    /// Sound waiting, in milliseconds, over all replies.
    pub fn queued_ms(&self) -> u32 {
        let samples: usize = self.replies.iter().map(|reply| reply.queue.len()).sum();
        (samples / SAMPLES_PER_MS) as u32
    }
}

/// Linear fade over the first `length` samples: out leaves zeros after it, in leaves the rest as it is.
fn fade(samples: &mut [i16], length: usize, out: bool) {
    for (n, sample) in samples.iter_mut().enumerate().take(length) {
        let part = (n + 1) as f32 / (length + 1) as f32;
        let gain = if out { 1.0 - part } else { part };
        *sample = (f32::from(*sample) * gain).round() as i16;
    }
}

#[cfg(test)]
mod heard_tests;
#[cfg(test)]
mod tests;
