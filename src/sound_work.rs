//! Ears and voice for everything that is not a call: voice notes, files, the audio API, other programs.
//! Owns the bounds of such work (length, how much at once, how much may wait), its place behind calls, and its end when
//! nobody wants it any more. Not the engines (`engines`), nor the formats of sound files (`media::file`).
//!
//! A recording is heard in pieces, cut as the recogniser itself would cut it, each a job behind all calls
//! (`asr::Kind::Note`). A piece that a call pushed aside is asked for again.
//!
//! Full: beyond `at_once` pieces of work the next ones wait, `waiting_max` of them; more are refused with
//! [`SoundError::Busy`]. Dropping a future ends its work.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use asr::AsrError;
use asr::engine::{Kind, Transcript};
use asr::window;
use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;
use media::file::{self, FileError};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc, oneshot, watch};
use tts::TtsError;
use tts::clause::{Splitter, SplitterConfig};
use tts::worker::Chunk;

use crate::engines::{EngineState, Engines};
use crate::hub::Sounds;

/// How long work waits for engines that are still warming up.
const WARMING_MAX: Duration = Duration::from_secs(60);
/// A recording whose words are not there after this, and after [`PATIENCE_FACTOR`] times its length, is given up: the
/// engines are busy with calls.
const PATIENCE_MIN: Duration = Duration::from_secs(60);
const PATIENCE_FACTOR: u32 = 10;
/// Pause before a piece is offered again that found no place in the queue.
const RETRY_AFTER: Duration = Duration::from_millis(100);
/// A clause is at most some 20 s of sound and takes a fraction of that.
const CLAUSE_MAX: Duration = Duration::from_secs(60);
/// Clauses made ahead of a reader that is slower than the voice.
const CLAUSES_AHEAD_MAX: usize = 2;
/// Callers of this kind count from here; calls count from 1.
const FIRST_CALLER: u64 = 1 << 63;
/// Probe for where speech begins and ends within a piece: 20 ms.
const PROBE_SAMPLES: usize = 320;
/// Power of a probe, beside the mean of its piece, from which it counts as sound.
const SOUND_POWER_RATIO: f64 = 0.02;

/// How much sound is worked on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SoundLimits {
    /// Longest recording heard, in seconds.
    pub duration_s_max: u32,
    /// Longest text spoken, in characters.
    pub text_chars_max: usize,
    /// Recordings heard at once; texts spoken at once.
    pub at_once: usize,
    /// Recordings that wait for that; texts that do.
    pub waiting_max: usize,
}

impl Default for SoundLimits {
    fn default() -> SoundLimits {
        SoundLimits {
            duration_s_max: file::DURATION_S_MAX,
            text_chars_max: 4_096,
            at_once: 2,
            waiting_max: 16,
        }
    }
}

/// What was heard in a recording.
#[derive(Clone, PartialEq, Default)]
pub struct Transcribed {
    /// Empty where nobody spoke.
    pub text: String,
    /// Code such as `en`; `None` where the model guesses it for itself.
    pub language: Option<String>,
    pub duration_ms: u64,
    /// In order; those without words are left out.
    pub segments: Vec<Segment>,
}

/// The words between two pauses.
#[derive(Clone, PartialEq)]
pub struct Segment {
    pub start_ms: u64,
    pub end_ms: u64,
    pub text: String,
    /// Mean natural logarithm of the tokens' probabilities.
    pub avg_logprob: f32,
    /// How far the words can be trusted, 0 to 1.
    pub certainty: f32,
}

impl std::fmt::Debug for Transcribed {
    /// The words are somebody's and stay out of logs.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Transcribed")
            .field("letters", &self.text.chars().count())
            .field("language", &self.language)
            .field("duration_ms", &self.duration_ms)
            .field("segments", &self.segments.len())
            .finish()
    }
}

/// Sound of a text: mono, 16 kHz.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Spoken {
    pub pcm: Vec<i16>,
}

impl Spoken {
    pub fn duration_ms(&self) -> u32 {
        u32::try_from(self.pcm.len() as u64 * 1_000 / u64::from(tts::SAMPLE_RATE_HZ))
            .unwrap_or(u32::MAX)
    }
}

/// Why there are no words, or no sound.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SoundError {
    #[error("ears and voice are not ready: {0}")]
    NotReady(String),
    #[error("ears or voice are busy; try again in a moment")]
    Busy,
    #[error(transparent)]
    File(#[from] FileError),
    #[error("the text is longer than {max} characters")]
    TextTooLong { max: usize },
    #[error("there is nothing to say in that text")]
    NothingToSay,
    #[error("speech recognition: {0}")]
    Asr(AsrError),
    #[error("voice: {0}")]
    Tts(TtsError),
    #[error("the work was cut off: {0}")]
    CutOff(&'static str),
}

/// Ears and voice, shared by all who ask. Cheap to clone.
#[derive(Clone)]
pub struct SoundWork {
    inner: Arc<Inner>,
    /// Whose ears and voice they are; none: the usual ones.
    agent: Option<Arc<str>>,
}

struct Inner {
    engines: watch::Receiver<EngineState>,
    limits: SoundLimits,
    ears: Gate,
    voice: Gate,
    next_caller: AtomicU64,
}

/// So many inside, so many in front of it.
struct Gate {
    inside: Arc<Semaphore>,
    all: Arc<Semaphore>,
}

/// A place inside a [`Gate`]. It goes with the work, also onto a thread that goes on when nobody waits any more.
struct Place {
    _inside: OwnedSemaphorePermit,
    _all: OwnedSemaphorePermit,
}

impl Gate {
    fn new(limits: &SoundLimits) -> Gate {
        let at_once = limits.at_once.max(1);
        Gate {
            inside: Arc::new(Semaphore::new(at_once)),
            all: Arc::new(Semaphore::new(at_once + limits.waiting_max)),
        }
    }

    async fn enter(&self) -> Result<Place, SoundError> {
        let all = Arc::clone(&self.all).try_acquire_owned();
        let all = all.map_err(|_| SoundError::Busy)?;
        // Semaphores of ours are never closed.
        let inside = Arc::clone(&self.inside).acquire_owned().await;
        let inside = inside.map_err(|_| SoundError::Busy)?;
        Ok(Place {
            _inside: inside,
            _all: all,
        })
    }
}

/// Ends a job when whoever waits for it goes.
struct EndOnDrop(Arc<AtomicBool>);

impl Drop for EndOnDrop {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

impl SoundWork {
    pub fn new(engines: watch::Receiver<EngineState>, limits: SoundLimits) -> SoundWork {
        let inner = Inner {
            engines,
            ears: Gate::new(&limits),
            voice: Gate::new(&limits),
            limits,
            next_caller: AtomicU64::new(FIRST_CALLER),
        };
        SoundWork {
            inner: Arc::new(inner),
            agent: None,
        }
    }

    /// The same work with this agent's ears and voice.
    pub fn of(&self, agent: &str) -> SoundWork {
        SoundWork {
            inner: Arc::clone(&self.inner),
            agent: Some(agent.into()),
        }
    }

    pub fn limits(&self) -> &SoundLimits {
        &self.inner.limits
    }

    /// The engines, waited for while they warm up.
    pub async fn engines(&self) -> Result<Arc<Engines>, SoundError> {
        let mut engines = self.inner.engines.clone();
        let ready = engines.wait_for(|state| !matches!(state, EngineState::Warming));
        match tokio::time::timeout(WARMING_MAX, ready).await {
            Ok(Ok(state)) => match &*state {
                EngineState::Ready(engines) => Ok(match &self.agent {
                    Some(agent) => engines.of(agent),
                    None => Arc::clone(engines),
                }),
                EngineState::Failed(why) => Err(SoundError::NotReady(why.clone())),
                EngineState::Warming => Err(SoundError::NotReady("warming up".to_owned())),
            },
            Ok(Err(_)) => Err(SoundError::NotReady("stopping".to_owned())),
            Err(_) => Err(SoundError::NotReady("warming up".to_owned())),
        }
    }

    /// Hears a sound file. Its format is told by its content, whatever anybody calls it.
    ///
    /// Errors: [`SoundError::File`] for what is no sound file or too long a one; [`SoundError::Busy`];
    /// [`SoundError::NotReady`]; [`SoundError::Asr`].
    pub async fn transcribe(
        &self,
        bytes: impl AsRef<[u8]> + Send + 'static,
    ) -> Result<Transcribed, SoundError> {
        let place = self.inner.ears.enter().await?;
        let (pcm, _place) = decode(bytes, self.inner.limits.duration_s_max, place).await?;
        self.hear_inside(pcm).await
    }

    /// Hears `pcm`: mono, 16 kHz. Errors as those of [`SoundWork::transcribe`].
    pub async fn hear(&self, pcm: Vec<i16>) -> Result<Transcribed, SoundError> {
        let max_s = self.inner.limits.duration_s_max;
        if pcm.len() as u64 > u64::from(max_s) * u64::from(asr::SAMPLE_RATE_HZ) {
            return Err(FileError::TooLong { max_s }.into());
        }
        let _place = self.inner.ears.enter().await?;
        self.hear_inside(pcm).await
    }

    async fn hear_inside(&self, pcm: Vec<i16>) -> Result<Transcribed, SoundError> {
        let engines = self.engines().await?;
        let duration_ms = ms(pcm.len());
        let patience = PATIENCE_MIN + Duration::from_millis(duration_ms) * PATIENCE_FACTOR;
        let mut heard = Vec::new();
        let all = async {
            for piece in window::cut(&pcm, &engines.ears.cut) {
                let transcript = self.hear_piece(&engines, &pcm[piece.range.clone()]).await?;
                heard.push((piece, transcript));
            }
            Ok::<(), SoundError>(())
        };
        match tokio::time::timeout(patience, all).await {
            Ok(outcome) => outcome?,
            Err(_) => return Err(SoundError::Busy),
        }
        let as_heard = heard
            .iter()
            .map(|(piece, transcript)| (transcript.text.as_str(), piece.overlaps_previous));
        let text = window::join(as_heard.clone());
        // Where nobody pauses, pieces share sound: no word is given twice, and no time.
        let texts = window::texts(as_heard);
        let mut segments: Vec<Segment> = Vec::with_capacity(heard.len());
        for ((piece, transcript), text) in heard.iter().zip(texts) {
            if text.is_empty() {
                continue;
            }
            let sounding = sounding(&pcm[piece.range.clone()]);
            let before = segments.last().map_or(0, |segment| segment.end_ms);
            let start_ms = ms(piece.range.start + sounding.start).max(before);
            segments.push(Segment {
                start_ms,
                end_ms: ms(piece.range.start + sounding.end).max(start_ms),
                text,
                avg_logprob: transcript.avg_logprob,
                certainty: transcript.certainty,
            });
        }
        let language = match engines.ears.languages.as_slice() {
            [only] => Some(only.clone()),
            _ => None,
        };
        Ok(Transcribed {
            text: text.trim().to_owned(),
            language,
            duration_ms,
            segments,
        })
    }

    /// One piece, asked for again for as long as calls push it aside.
    async fn hear_piece(&self, engines: &Engines, pcm: &[i16]) -> Result<Transcript, SoundError> {
        let pcm: Arc<[i16]> = pcm.into();
        let end = EndOnDrop(Arc::default());
        loop {
            let (tell, told) = oneshot::channel();
            let job = asr::Job {
                caller: self.inner.next_caller.fetch_add(1, Ordering::Relaxed),
                utterance: 0,
                kind: Kind::Note,
                pcm: Arc::clone(&pcm),
                cancelled: Arc::clone(&end.0),
                done: Box::new(move |outcome| drop(tell.send(outcome))),
            };
            if engines.asr.submit(job).is_err() {
                tokio::time::sleep(RETRY_AFTER).await;
                continue;
            }
            match told.await {
                Ok(Ok(transcript)) => return Ok(transcript),
                Ok(Err(AsrError::Superseded)) => {}
                Ok(Err(AsrError::Shed)) => tokio::time::sleep(RETRY_AFTER).await,
                Ok(Err(error)) => return Err(SoundError::Asr(error)),
                Err(_) => return Err(SoundError::CutOff("the recogniser is gone")),
            }
        }
    }

    /// Speaks all of `text`.
    ///
    /// Errors: [`SoundError::TextTooLong`], [`SoundError::NothingToSay`], [`SoundError::Busy`],
    /// [`SoundError::NotReady`], [`SoundError::Tts`].
    pub async fn speak(&self, text: &str) -> Result<Spoken, SoundError> {
        let mut clauses = self.speak_clauses(text)?;
        let mut pcm = Vec::new();
        while let Some(clause) = clauses.recv().await {
            pcm.extend(clause?);
        }
        match pcm.is_empty() {
            true => Err(SoundError::NothingToSay),
            false => Ok(Spoken { pcm }),
        }
    }

    /// The sound of `text` clause by clause, each as soon as it is made; after an error nothing more. Dropping the
    /// receiver ends the work.
    ///
    /// Errors: [`SoundError::TextTooLong`] at once, all others through the receiver.
    pub fn speak_clauses(
        &self,
        text: &str,
    ) -> Result<mpsc::Receiver<Result<Vec<i16>, SoundError>>, SoundError> {
        let max = self.inner.limits.text_chars_max;
        if text.chars().count() > max {
            return Err(SoundError::TextTooLong { max });
        }
        let mut splitter = Splitter::new(SplitterConfig::default());
        let mut clauses = splitter.push(text);
        clauses.extend(splitter.finish());
        let (sender, receiver) = mpsc::channel(CLAUSES_AHEAD_MAX);
        let work = self.clone();
        tokio::spawn(async move {
            let outcome = tokio::select! {
                outcome = work.speak_into(clauses, &sender) => outcome,
                () = sender.closed() => return,
            };
            if let Err(error) = outcome {
                let _ = sender.send(Err(error)).await;
            }
        });
        Ok(receiver)
    }

    async fn speak_into(
        &self,
        clauses: Vec<String>,
        sender: &mpsc::Sender<Result<Vec<i16>, SoundError>>,
    ) -> Result<(), SoundError> {
        let _place = self.inner.voice.enter().await?;
        let engines = self.engines().await?;
        let caller = self.inner.next_caller.fetch_add(1, Ordering::Relaxed);
        for (n, clause) in (0u32..).zip(clauses) {
            let pcm = say(&engines, caller, n, clause);
            let pcm = tokio::time::timeout(CLAUSE_MAX, pcm)
                .await
                .map_err(|_| SoundError::Busy)??;
            if !pcm.is_empty() && sender.send(Ok(pcm)).await.is_err() {
                return Ok(());
            }
        }
        Ok(())
    }
}

/// The hub's way to them.
impl Sounds for SoundWork {
    fn hear(&self, agent: &str, bytes: Vec<u8>) -> BoxFuture<'_, Result<String, String>> {
        let work = self.of(agent);
        async move {
            let heard = work.transcribe(bytes).await;
            heard
                .map(|heard| heard.text)
                .map_err(|error| error.to_string())
        }
        .boxed()
    }

    fn say<'a>(
        &'a self,
        agent: &str,
        words: &'a str,
    ) -> BoxFuture<'a, Result<(Vec<u8>, u32), String>> {
        let work = self.of(agent);
        async move {
            let spoken = work.speak(words).await.map_err(|error| error.to_string())?;
            let duration_ms = spoken.duration_ms();
            let bytes = to_ogg_opus(spoken.pcm).await;
            Ok((bytes.map_err(|error| error.to_string())?, duration_ms))
        }
        .boxed()
    }
}

/// One clause, with the pause that belongs before it.
async fn say(
    engines: &Engines,
    caller: u64,
    clause: u32,
    text: String,
) -> Result<Vec<i16>, SoundError> {
    let end = EndOnDrop(Arc::default());
    let (tell, told) = oneshot::channel();
    let mut tell = Some(tell);
    let mut made = Vec::new();
    let mut job = tts::worker::Job {
        caller,
        reply: 0,
        clause,
        is_note: true,
        text,
        cancelled: Arc::clone(&end.0),
        on: Box::new(move |chunk| {
            let outcome = match chunk {
                Chunk::Audio { pcm } => {
                    made.extend(pcm);
                    return;
                }
                Chunk::Done => Ok(std::mem::take(&mut made)),
                Chunk::Failed(error) => Err(error),
            };
            if let Some(tell) = tell.take() {
                let _ = tell.send(outcome);
            }
        }),
    };
    while let Err(refused) = engines.tts.submit(job) {
        tokio::time::sleep(RETRY_AFTER).await;
        job = refused;
    }
    match told.await {
        Ok(outcome) => outcome.map_err(SoundError::Tts),
        Err(_) => Err(SoundError::CutOff("the voice is gone")),
    }
}

/// `bytes` of a sound file as 16 kHz mono, decoded off the runtime's threads. That cannot be stopped, so the file and
/// `place` stay with it to its end.
async fn decode<P: Send + 'static>(
    bytes: impl AsRef<[u8]> + Send + 'static,
    max_s: u32,
    place: P,
) -> Result<(Vec<i16>, P), SoundError> {
    let decoded = tokio::task::spawn_blocking(move || {
        let clip = file::read_up_to(bytes.as_ref(), max_s)?;
        Ok::<_, FileError>((clip.into_internal_rate(), place))
    });
    match decoded.await {
        Ok(decoded) => Ok(decoded?),
        Err(_) => Err(SoundError::CutOff("the file's decoder failed")),
    }
}

/// 16 kHz mono as a voice note: Opus in Ogg, encoded off the runtime's threads.
pub async fn to_ogg_opus(pcm: Vec<i16>) -> Result<Vec<u8>, SoundError> {
    let serial = rand::random();
    let encoded = tokio::task::spawn_blocking(move || file::opus::write(&pcm, serial));
    match encoded.await {
        Ok(bytes) => Ok(bytes?),
        Err(_) => Err(SoundError::CutOff("the encoder failed")),
    }
}

/// The part of a piece from its first sound to its last.
fn sounding(pcm: &[i16]) -> std::ops::Range<usize> {
    let power = |part: &[i16]| {
        let sum: f64 = part.iter().map(|&s| f64::from(s) * f64::from(s)).sum();
        sum / part.len().max(1) as f64
    };
    let least = power(pcm) * SOUND_POWER_RATIO;
    let sounds = |part: &[i16]| power(part) > least;
    let first = pcm.chunks(PROBE_SAMPLES).position(sounds).unwrap_or(0);
    let last = pcm.chunks(PROBE_SAMPLES).rposition(sounds);
    let end = last.map_or(pcm.len(), |n| ((n + 1) * PROBE_SAMPLES).min(pcm.len()));
    first * PROBE_SAMPLES..end
}

fn ms(samples: usize) -> u64 {
    samples as u64 * 1_000 / u64::from(asr::SAMPLE_RATE_HZ)
}

#[cfg(test)]
#[path = "sound_work_tests.rs"]
mod tests;
