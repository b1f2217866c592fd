//! The ears and the voice that all calls share, and their warming up.
//! Owns the choice of model and voice from the configuration; not their work (`asr`, `tts`).

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Instant;

use asr::end_of_turn::{EndOfTurnModel, EndOfTurnWorker};
use asr::engine::EngineInfo;
use asr::whisper::{ModelSource, WhisperConfig, WhisperEngine};
use tokio::sync::watch;
use tracing::info;
use tts::engine::VoiceInfo;

use crate::config::Remote;
use crate::redact::Secret;
use crate::remote::{Line, RemoteEars, RemoteError, RemoteVoice};

/// Engines ready for traffic.
pub struct Engines {
    pub asr: asr::worker::Worker,
    /// The owner's end-of-turn model, if there is one.
    pub turn_model: Option<asr::end_of_turn::EndOfTurnWorker>,
    pub tts: tts::worker::Worker,
    pub ears: EngineInfo,
    pub voice: VoiceInfo,
}

/// Which engines are wanted.
#[derive(Debug, Clone)]
pub struct EnginePlan {
    /// A ggml model file; `None` means the embedded one.
    pub model: Option<PathBuf>,
    pub language: String,
    pub asr_threads: usize,
    pub prompt: String,
    pub asr_engines: usize,
    pub asr_queue_max: usize,
    /// An end-of-turn model of the owner's.
    pub turn_model: Option<PathBuf>,
    pub voice: String,
    pub speaking_rate: f32,
    pub tts_engines: usize,
    pub tts_queue_max: usize,
    pub tts_cache_bytes_max: usize,
    /// Synthesised once at start, so that they sound at once later.
    pub prompts: Vec<String>,
    /// Engines at another machine, asked before those at home.
    pub elsewhere: Elsewhere,
}

/// Engines at other machines, with the keys they want.
#[derive(Debug, Clone, Default)]
pub struct Elsewhere {
    pub ears: Option<(Remote, Option<Secret>)>,
    pub voice: Option<(Remote, Option<Secret>)>,
    /// Name of the voice there; empty: its default.
    pub voice_name: String,
}

#[derive(Clone)]
pub enum EngineState {
    Warming,
    Ready(Arc<Engines>),
    Failed(String),
}

#[derive(Debug, thiserror::Error)]
pub enum EngineError {
    #[error("speech recognition: {0}")]
    Asr(#[from] asr::AsrError),
    #[error("end-of-turn model: {0}")]
    TurnModel(#[from] asr::end_of_turn::EndOfTurnError),
    #[error("ears or voice are busy")]
    Busy,
    #[error("voice: {0}")]
    Tts(#[from] tts::TtsError),
    #[error("engine at another machine: {0}")]
    Remote(#[from] RemoteError),
}

/// Opens and warms everything on a thread of its own; phones can register and ring meanwhile.
pub fn start(plan: EnginePlan) -> watch::Receiver<EngineState> {
    let (sender, receiver) = watch::channel(EngineState::Warming);
    std::thread::spawn(move || {
        let started = Instant::now();
        let state = match open(&plan) {
            Ok(engines) => {
                info!(
                    model = %engines.ears.model,
                    voice = %engines.voice.name,
                    ms = started.elapsed().as_millis() as u64,
                    "ears and voice are warm"
                );
                EngineState::Ready(Arc::new(engines))
            }
            Err(error) => EngineState::Failed(error.to_string()),
        };
        let _ = sender.send(state);
    });
    receiver
}

/// Opens the engines and waits until they are warm.
pub fn open(plan: &EnginePlan) -> Result<Engines, EngineError> {
    let ears = ears(plan)?;
    let ears_info = ears[0].info();
    let mut voices = Vec::new();
    for _ in 0..plan.tts_engines.max(1) {
        voices.push(voice(plan)?);
    }
    let voice_info = voices[0].info();
    let asr = asr::worker::Worker::start(
        ears,
        asr::worker::WorkerConfig {
            queue_max: plan.asr_queue_max,
        },
    )?;
    let tts = tts::worker::Worker::start(
        voices,
        tts::worker::WorkerConfig {
            queue_max: plan.tts_queue_max,
            cache_bytes_max: plan.tts_cache_bytes_max,
        },
    )?;
    tts.prefetch(&plan.prompts);
    let turn_model = match &plan.turn_model {
        Some(path) => Some(EndOfTurnWorker::start(EndOfTurnModel::open(path)?)?),
        None => None,
    };
    Ok(Engines {
        asr,
        turn_model,
        tts,
        ears: ears_info,
        voice: voice_info,
    })
}

/// The planned recognisers, at least one, not yet warm.
pub fn ears(plan: &EnginePlan) -> Result<Vec<Box<dyn asr::engine::Engine>>, EngineError> {
    let first = whisper(plan)?;
    let mut all = Vec::new();
    for _ in 1..plan.asr_engines.max(1) {
        all.push(first.fork());
    }
    all.push(first);
    let with_remote = |home: WhisperEngine| -> Result<Box<dyn asr::engine::Engine>, EngineError> {
        let line = match &plan.elsewhere.ears {
            Some((wish, key)) => Line::open(wish, key.clone())?,
            None => None,
        };
        Ok(match line {
            Some(line) => Box::new(RemoteEars::new(line, &plan.language, Box::new(home))),
            None => Box::new(home),
        })
    };
    all.into_iter().map(with_remote).collect()
}

/// One voice as planned, not yet warm.
fn voice(plan: &EnginePlan) -> Result<Box<dyn tts::engine::Engine>, EngineError> {
    let home = tts::voices::open(&plan.voice, plan.speaking_rate)?;
    let line = match &plan.elsewhere.voice {
        Some((wish, key)) => Line::open(wish, key.clone())?,
        None => None,
    };
    let name = &plan.elsewhere.voice_name;
    Ok(match line {
        Some(line) => Box::new(RemoteVoice::new(line, name, plan.speaking_rate, home)),
        None => home,
    })
}

/// One recogniser of the planned model, not yet warm.
pub fn whisper(plan: &EnginePlan) -> Result<WhisperEngine, asr::AsrError> {
    let source = match &plan.model {
        Some(path) => ModelSource::File(path.clone()),
        None => ModelSource::Embedded,
    };
    WhisperEngine::open(
        &source,
        &WhisperConfig {
            threads: plan.asr_threads,
            language: plan.language.clone(),
            initial_prompt: plan.prompt.clone(),
            ..WhisperConfig::default()
        },
    )
}

impl Engines {
    /// Speaks `text` and waits for all of it: 16 kHz samples. Not for use on a thread of the runtime.
    pub fn speak(&self, text: &str) -> Result<Vec<i16>, EngineError> {
        let (tell, told) = std::sync::mpsc::sync_channel(CHUNKS_MAX);
        let job = tts::worker::Job {
            caller: OWN_CALLER,
            reply: 0,
            clause: 0,
            text: text.to_owned(),
            cancelled: Arc::default(),
            on: Box::new(move |chunk| drop(tell.send(chunk))),
        };
        if self.tts.submit(job).is_err() {
            return Err(EngineError::Busy);
        }
        let mut samples = Vec::new();
        for chunk in told {
            match chunk {
                tts::worker::Chunk::Audio { pcm } => samples.extend(pcm),
                tts::worker::Chunk::Done => break,
                tts::worker::Chunk::Failed(error) => return Err(error.into()),
            }
        }
        Ok(samples)
    }

    /// Hears `pcm` (16 kHz) of any length and waits for the text.
    pub fn transcribe(&self, pcm: &[i16]) -> Result<String, EngineError> {
        let (tell, told) = std::sync::mpsc::sync_channel(1);
        let job = asr::worker::Job {
            caller: OWN_CALLER,
            utterance: 0,
            kind: asr::engine::Kind::Final,
            pcm: pcm.into(),
            cancelled: Arc::default(),
            done: Box::new(move |result| drop(tell.send(result))),
        };
        if self.asr.submit(job).is_err() {
            return Err(EngineError::Busy);
        }
        match told.recv() {
            Ok(result) => Ok(result?.text),
            Err(_) => Err(EngineError::Busy),
        }
    }
}

/// Pieces of speech between the voice and whoever waits for it; the voice waits when it is full.
const CHUNKS_MAX: usize = 64;
/// Calls count from 1; this is the program itself.
const OWN_CALLER: u64 = 0;
