//! PURE.
//!
//! The sound of one utterance: from a little before its first voice to a little after its last, with long pauses inside
//! shortened. Speech that resumes before the turn is committed goes on in the same utterance. Does not decide where
//! speech is (`vad` does, and its positions are used here), nor when a turn ends.
//!
//! To drive it: push every frame of the call, in step with the detector; pass on each start and stop, and the short pauses
//! between them with their resumes. Take a snapshot for a partial, take the whole for the final.
//!
//! One sound, one hearing: every snapshot between a pause and the next voice holds the same samples, however late it is
//! made, provided the pause is reported no sooner than `tail_ms` after the last voice. So a final finds what an early job
//! has already decoded.
//!
//! Full: at `length_ms_max` no more sound is added and [`Utterance::is_full`] turns true; the owner should end the turn.

use std::collections::VecDeque;
use std::sync::Arc;

use crate::{FRAME_SAMPLES, ms_to_samples, samples_to_ms};

/// Most the detector may be late with a start, beyond the pre-roll, in milliseconds.
const START_DELAY_MS_MAX: u32 = 500;

/// What is kept around and inside speech.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UtteranceConfig {
    /// Sound kept from before the first voice, in milliseconds: soft onsets live here.
    pub pre_roll_ms: u32,
    /// Sound kept after the last voice, in milliseconds. No more than the detector's `pause_ms`, so that all of it has
    /// been heard when a pause is reported. The built-in model makes as many word errors with 0 as with 200 (the bench
    /// `incremental` counts them); soft ends of words are why it is not 0.
    pub tail_ms: u32,
    /// A pause inside the utterance is shortened to this length, in milliseconds.
    pub pause_ms_max: u32,
    /// Longest utterance, in milliseconds of kept sound.
    pub length_ms_max: u32,
}

impl Default for UtteranceConfig {
    fn default() -> UtteranceConfig {
        UtteranceConfig {
            pre_roll_ms: 300,
            tail_ms: 80,
            pause_ms_max: 600,
            length_ms_max: 60_000,
        }
    }
}

/// The collector of one stream.
#[derive(Debug)]
pub struct Utterance {
    config: UtteranceConfig,
    /// Samples pushed so far: the detector's own count.
    position: u64,
    /// The latest sound, for the pre-roll.
    recent: VecDeque<i16>,
    /// Sound before this position belongs to an utterance already taken.
    taken_until: u64,
    open: Option<Open>,
}

#[derive(Debug)]
struct Open {
    pcm: Vec<i16>,
    /// Position of the sample that would come next in `pcm`, ahead of `pcm.len()` by what was left out.
    until: u64,
    /// End of the last voice, while the speaker pauses.
    paused_at: Option<u64>,
    /// True when the detector took that pause for the end of the speech.
    is_stopped: bool,
}

impl Utterance {
    /// A closed utterance at position 0.
    pub fn new(config: UtteranceConfig) -> Utterance {
        Utterance {
            config,
            position: 0,
            recent: VecDeque::new(),
            taken_until: 0,
            open: None,
        }
    }

    /// Takes the next 20 ms of the stream, speech or not.
    pub fn push_frame(&mut self, pcm: &[i16; FRAME_SAMPLES]) {
        let recent_max = ms_to_samples(self.config.pre_roll_ms + START_DELAY_MS_MAX);
        self.recent.extend(pcm);
        self.recent
            .drain(..self.recent.len().saturating_sub(recent_max));
        self.position += FRAME_SAMPLES as u64;
        let length_max = ms_to_samples(self.config.length_ms_max);
        if let Some(open) = &mut self.open
            && open.pcm.len() + FRAME_SAMPLES <= length_max
        {
            open.pcm.extend_from_slice(pcm);
            open.until = self.position;
        }
    }

    /// Speech started at sample `at`: opens the utterance, or goes on with the open one after a pause.
    pub fn start(&mut self, at: u64) {
        let pre_roll = ms_to_samples(self.config.pre_roll_ms) as u64;
        match &mut self.open {
            None => {
                let oldest = self.position - self.recent.len() as u64;
                let from = at
                    .saturating_sub(pre_roll)
                    .max(oldest)
                    .max(self.taken_until)
                    .min(self.position);
                let skip = usize::try_from(from - oldest).unwrap_or(usize::MAX);
                self.open = Some(Open {
                    pcm: self.recent.iter().skip(skip).copied().collect(),
                    until: self.position,
                    paused_at: None,
                    is_stopped: false,
                });
            }
            Some(open) => {
                open.is_stopped = false;
                if let Some(paused_at) = open.paused_at.take() {
                    open.shorten_pause(paused_at, at, ms_to_samples(self.config.pause_ms_max));
                }
            }
        }
    }

    /// No voice since sample `at`, though the speech may go on. A snapshot now has the samples it would have after
    /// [`Utterance::stop`] at the same place.
    pub fn pause(&mut self, at: u64) {
        if let Some(open) = &mut self.open {
            open.paused_at = Some(at);
        }
    }

    /// The voice is back within the same speech: the pause was none, and its sound stays as it is. After a stop, and
    /// without a pause, this does nothing; speech then comes back with a start.
    pub fn resume(&mut self) {
        if let Some(open) = &mut self.open
            && !open.is_stopped
        {
            open.paused_at = None;
        }
    }

    /// Speech ended; its last voice was just before sample `at`.
    pub fn stop(&mut self, at: u64) {
        if let Some(open) = &mut self.open {
            open.paused_at = Some(at);
            open.is_stopped = true;
        }
    }

    /// The sound so far, without the silence at its end; empty when nobody has spoken.
    pub fn snapshot(&self) -> Arc<[i16]> {
        let tail = ms_to_samples(self.config.tail_ms) as u64;
        self.open.as_ref().map_or_else(
            || Arc::from([]),
            |open| Arc::from(&open.pcm[..open.end(tail)]),
        )
    }

    /// The sound so far, like [`Utterance::snapshot`], and closes the utterance.
    pub fn take(&mut self) -> Arc<[i16]> {
        let pcm = self.snapshot();
        if let Some(open) = self.open.take() {
            self.taken_until = open.paused_at.unwrap_or(open.until);
        }
        pcm
    }

    /// Where a snapshot made now would end, as a position of the detector's count.
    pub fn end(&self) -> u64 {
        let tail = ms_to_samples(self.config.tail_ms) as u64;
        self.open.as_ref().map_or(self.position, |open| {
            let paused = open.paused_at.map_or(open.until, |at| at + tail);
            paused.min(open.until)
        })
    }

    /// Lets go of the sound before `at` and keeps what came after it as an utterance of its own: speech that is cut goes
    /// on. Nothing after `at`, or nobody speaking: the same as [`Utterance::take`].
    pub fn take_until(&mut self, at: u64) {
        let goes_on = self
            .open
            .as_mut()
            .filter(|open| open.paused_at.is_none_or(|paused| paused > at));
        match goes_on {
            Some(open) => {
                let cut = open.index(at);
                open.pcm.drain(..cut);
                self.taken_until = at.min(open.until);
            }
            None => drop(self.take()),
        }
    }

    /// True between the first start and the take.
    pub fn is_open(&self) -> bool {
        self.open.is_some()
    }

    /// True when the utterance has reached its longest and loses what is said from now on.
    pub fn is_full(&self) -> bool {
        self.open
            .as_ref()
            .is_some_and(|open| open.until < self.position)
    }

    /// Length of the sound a snapshot would have, in milliseconds.
    pub fn length_ms(&self) -> u32 {
        let tail = ms_to_samples(self.config.tail_ms) as u64;
        self.open
            .as_ref()
            .map_or(0, |open| samples_to_ms(open.end(tail)))
    }
}

impl Open {
    /// Index in `pcm` of a position, which may have been left out or be from before.
    fn index(&self, position: u64) -> usize {
        let back = usize::try_from(self.until.saturating_sub(position)).unwrap_or(usize::MAX);
        self.pcm.len().saturating_sub(back)
    }

    fn end(&self, tail: u64) -> usize {
        self.paused_at
            .map_or(self.pcm.len(), |at| self.index(at.saturating_add(tail)))
    }

    /// Takes the middle out of the pause from `paused_at` to `resumed_at`; both ends keep their half of what stays.
    fn shorten_pause(&mut self, paused_at: u64, resumed_at: u64, samples_max: usize) {
        let (from, to) = (self.index(paused_at), self.index(resumed_at));
        if to.saturating_sub(from) > samples_max {
            let head = samples_max / 2;
            self.pcm.drain(from + head..to - (samples_max - head));
        }
    }
}

#[cfg(test)]
#[path = "utterance_tests.rs"]
mod tests;
