//! Playing a drill: each step's words at their moments, over one call. Owns the order and the waits; what is said comes
//! from `script`, what it measured is read afterwards by `figures`.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::ops::Range;
use std::time::{Duration, Instant};

use sip::Transport;

use super::caller::{Caller, WIRE_RATE_HZ};
use super::figures::{self, Figures, LOOK_LAST_MS, Played};
use super::script::Step;
use super::{Account, TestCallError};

/// Quiet before a step, and after an answer.
const QUIET_MS: u64 = 800;
/// After something was said over a reply an answer may still come: longer than that.
const SETTLED_MS: u64 = 1_500;
const SETTLE_MIN: Duration = Duration::from_millis(2_500);
const SETTLE_MAX: Duration = Duration::from_secs(60);
/// How long a reply takes to stop when asked to.
const STOP_MAX: Duration = Duration::from_secs(10);
const STOP_ATTEMPTS: usize = 3;
/// Length of an undisturbed reply that disturbed ones are compared with.
const REFERENCE_MS: usize = 14_000;
/// How much of a reply is listened to while it echoes.
const ECHO_MS: usize = 8_000;
/// How far into an echoing reply it is spoken over.
const ECHO_OVER_MS: u32 = 2_000;

/// Where the drill calls.
#[derive(Clone)]
pub struct Place {
    pub server: SocketAddr,
    pub transport: Transport,
    pub account: Account,
    pub number: String,
    /// Packets go here without any signalling; the rest is not used then.
    pub bare_rtp: Option<SocketAddr>,
    /// Longest wait for a reply.
    pub reply_max: Duration,
    /// Ends a reply that is longer than what is looked at: 16 kHz.
    pub stop: Vec<i16>,
}

/// A step with its sounds, 16 kHz.
pub struct Prepared {
    pub step: Step,
    pub prompt: Vec<i16>,
    pub over: Option<Vec<i16>>,
}

/// What came of a drill.
pub struct Outcome {
    /// One per step that was played.
    pub figures: Vec<Figures>,
    /// All that was heard, at 8 kHz.
    pub heard: Vec<i16>,
    pub packets_received: u64,
    /// How late the caller's own packets left, in microseconds.
    pub late_us: Vec<u32>,
    pub answered_ms: Option<u32>,
    pub ended_by_peer: bool,
}

/// Calls, plays `steps`, hangs up, and reads the recording. `tell` hears of each step as it begins.
pub async fn play(
    place: &Place,
    steps: &[Prepared],
    mut tell: impl FnMut(&Step),
) -> Result<Outcome, TestCallError> {
    let mut caller = Caller::open(place.bare_rtp.unwrap_or(place.server), place.transport).await?;
    let dialled = match place.bare_rtp {
        Some(remote) => {
            caller.dial_nobody(remote);
            None
        }
        None => Some(caller.dial(&place.account, &place.number).await?),
    };
    caller.listen_to_greeting().await?;
    let mut drill = Drill {
        caller,
        place,
        references: HashMap::new(),
    };
    let mut played = Vec::new();
    for prepared in steps {
        if drill.caller.ended {
            break;
        }
        tell(&prepared.step);
        played.push(drill.step(prepared).await?);
    }
    let mut caller = drill.caller;
    let ended_by_peer = caller.ended;
    if let Some(dialled) = &dialled {
        caller.finish(dialled).await?;
    }
    // Comparing sounds takes longer than a packet lasts, so it waits until nothing is being sent.
    let (sent, heard) = (&caller.sent, &caller.heard);
    let read = steps.iter().zip(&played);
    let figures = read.map(|(prepared, played)| figures::read(&prepared.step, played, sent, heard));
    Ok(Outcome {
        figures: figures.collect(),
        heard: caller.heard.samples().to_vec(),
        packets_received: caller.packets_received,
        late_us: caller.late_us,
        answered_ms: dialled.map(|dialled| dialled.answered_ms),
        ended_by_peer,
    })
}

struct Drill<'a> {
    caller: Caller,
    place: &'a Place,
    /// Undisturbed replies, by the sound of their prompt.
    references: HashMap<Vec<i16>, Range<usize>>,
}

impl Drill<'_> {
    async fn step(&mut self, prepared: &Prepared) -> Result<Played, TestCallError> {
        self.caller.wait_for_quiet(QUIET_MS, SETTLE_MAX).await?;
        let mut played = Played::default();
        let is_compared = matches!(
            prepared.step,
            Step::Backchannel { .. } | Step::Echo { over: None, .. }
        );
        if is_compared {
            played.reference = self.reference(&prepared.prompt).await?;
        }
        if let Step::Echo {
            level_db, delay_ms, ..
        } = prepared.step
        {
            self.caller.set_speakerphone(Some((level_db, delay_ms)));
        }
        played.prompt = self.caller.speak(&prepared.prompt).await?;
        let asked = played.prompt.end;
        match (&prepared.step, &prepared.over) {
            (Step::Turn { .. } | Step::Pause { .. }, _) => {
                self.caller
                    .listen_to_reply(asked, self.place.reply_max)
                    .await?;
            }
            (Step::Barge { after_ms, .. } | Step::Backchannel { after_ms, .. }, Some(over)) => {
                played.over = self.speak_over(asked, *after_ms, over).await?;
                self.after_over(&prepared.step).await?;
            }
            (Step::Echo { .. }, Some(over)) => {
                played.over = self.speak_over(asked, ECHO_OVER_MS, over).await?;
                self.after_over(&prepared.step).await?;
            }
            _ => {
                if let Some(began) = self
                    .caller
                    .wait_for_onset(asked, self.place.reply_max)
                    .await?
                {
                    self.caller.run_until(began + count(ECHO_MS)).await?;
                }
            }
        }
        played.until = self.caller.heard.index_of(Instant::now());
        self.caller.set_speakerphone(None);
        if is_compared {
            self.end_reply().await?;
        }
        Ok(played)
    }

    /// Speaks `after_ms` into the reply. Where that lies, if there was a reply.
    async fn speak_over(
        &mut self,
        asked: usize,
        after_ms: u32,
        over: &[i16],
    ) -> Result<Option<Range<usize>>, TestCallError> {
        let Some(began) = self
            .caller
            .wait_for_onset(asked, self.place.reply_max)
            .await?
        else {
            return Ok(None);
        };
        self.caller
            .run_until(began + count(after_ms as usize))
            .await?;
        Ok(Some(self.caller.speak(over).await?))
    }

    async fn after_over(&mut self, step: &Step) -> Result<(), TestCallError> {
        if matches!(step, Step::Backchannel { .. }) {
            let look = Duration::from_millis(u64::from(LOOK_LAST_MS));
            self.caller.run_for(look, |_, _| false).await?;
        } else {
            self.caller.run_for(SETTLE_MIN, |_, _| false).await?;
            self.caller.wait_for_quiet(SETTLED_MS, SETTLE_MAX).await?;
        }
        Ok(())
    }

    /// The reply to `prompt` when nobody disturbs it, listened to when it is first asked for.
    async fn reference(&mut self, prompt: &[i16]) -> Result<Option<Range<usize>>, TestCallError> {
        if let Some(range) = self.references.get(prompt) {
            return Ok(Some(range.clone()));
        }
        let asked = self.caller.speak(prompt).await?.end;
        let Some(began) = self
            .caller
            .wait_for_onset(asked, self.place.reply_max)
            .await?
        else {
            return Ok(None);
        };
        let range = began..began + count(REFERENCE_MS);
        self.caller.run_until(range.end).await?;
        self.references.insert(prompt.to_vec(), range.clone());
        self.end_reply().await?;
        Ok(Some(range))
    }

    /// Stops a reply that goes on, and waits for the answer to that.
    async fn end_reply(&mut self) -> Result<(), TestCallError> {
        for _ in 0..STOP_ATTEMPTS {
            if self.caller.ended
                || self
                    .caller
                    .wait_for_quiet(QUIET_MS, Duration::from_secs(1))
                    .await?
            {
                break;
            }
            self.caller.speak(&self.place.stop).await?;
            self.caller.run_for(SETTLE_MIN, |_, _| false).await?;
            self.caller.wait_for_quiet(SETTLED_MS, STOP_MAX).await?;
        }
        self.caller.wait_for_quiet(SETTLED_MS, SETTLE_MAX).await?;
        Ok(())
    }
}

fn count(ms: usize) -> usize {
    ms * WIRE_RATE_HZ as usize / 1000
}
