//! The ears and the voice that all calls share, and their warming up.
//! Owns the choice of model and voice from the configuration; not their work (`asr`, `tts`).

use std::collections::BTreeMap;
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
#[derive(Clone)]
pub struct Engines {
    pub asr: Arc<asr::worker::Worker>,
    /// The owner's end-of-turn model, if there is one.
    pub turn_model: Option<Arc<asr::end_of_turn::EndOfTurnWorker>>,
    pub tts: Arc<tts::worker::Worker>,
    pub ears: EngineInfo,
    pub voice: VoiceInfo,
    /// Those of agents that hear or speak otherwise, by the agents' names.
    pub own: BTreeMap<String, Arc<Engines>>,
}

/// How one agent hears and speaks, where that is not as the others do.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct OwnEngines {
    pub agent: String,
    pub voice: Option<String>,
    /// Name of its voice at the other machine, where there is one.
    pub remote_voice: Option<String>,
    pub language: Option<String>,
    /// Synthesised at start.
    pub prompts: Vec<String>,
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
    /// Agents with a voice or a language of their own.
    pub own: Vec<OwnEngines>,
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
    let first = whisper(plan)?;
    let ears = ears_of(plan, &first)?;
    let ears_info = ears[0].info();
    let mut voices = Vec::new();
    for _ in 0..plan.tts_engines.max(1) {
        voices.push(voice(plan)?);
    }
    let voice_info = voices[0].info();
    let asr = start_ears(plan, ears)?;
    let tts = start_voices(plan, voices)?;
    tts.prefetch(&plan.prompts);
    let turn_model = match &plan.turn_model {
        Some(path) => {
            let worker = EndOfTurnWorker::start(EndOfTurnModel::open(path)?)?;
            Some(Arc::new(worker))
        }
        None => None,
    };
    let mut engines = Engines {
        asr,
        turn_model,
        tts,
        ears: ears_info,
        voice: voice_info,
        own: BTreeMap::new(),
    };
    engines.own = own(plan, &engines, &first)?;
    Ok(engines)
}

/// The engines of agents that want others. What two of them have in common is there once; each has one thread.
fn own(
    plan: &EnginePlan,
    shared: &Engines,
    first: &WhisperEngine,
) -> Result<BTreeMap<String, Arc<Engines>>, EngineError> {
    let mut heard = BTreeMap::new();
    let mut spoken = BTreeMap::new();
    let mut all = BTreeMap::new();
    for wish in &plan.own {
        let mut engines = shared.clone();
        if let Some(language) = wish.language.as_ref().filter(|own| **own != plan.language) {
            let plan = EnginePlan {
                language: language.clone(),
                asr_engines: 1,
                ..plan.clone()
            };
            if !heard.contains_key(language) {
                let ears = ears_of(&plan, &first.fork_with(&settings(&plan))?)?;
                let info = ears[0].info();
                heard.insert(language.clone(), (start_ears(&plan, ears)?, info));
            }
            if let Some((asr, info)) = heard.get(language) {
                (engines.asr, engines.ears) = (asr.clone(), info.clone());
            }
        }
        if wish.voice.is_some() || wish.remote_voice.is_some() {
            let key = (wish.voice.clone(), wish.remote_voice.clone());
            if !spoken.contains_key(&key) {
                let voice = voice(&speaking(plan, wish))?;
                let info = voice.info();
                spoken.insert(key.clone(), (start_voices(plan, vec![voice])?, info));
            }
            if let Some((tts, info)) = spoken.get(&key) {
                (engines.tts, engines.voice) = (tts.clone(), info.clone());
                tts.prefetch(&wish.prompts);
            }
        }
        all.insert(wish.agent.clone(), Arc::new(engines));
    }
    Ok(all)
}

/// The plan with the agent's own voice. One that is named for this machine only is spoken on this machine.
fn speaking(plan: &EnginePlan, wish: &OwnEngines) -> EnginePlan {
    let mut own = plan.clone();
    if let Some(voice) = &wish.voice {
        own.voice.clone_from(voice);
    }
    match &wish.remote_voice {
        Some(name) => own.elsewhere.voice_name.clone_from(name),
        None => own.elsewhere.voice = None,
    }
    own
}

fn start_ears(
    plan: &EnginePlan,
    ears: Vec<Box<dyn asr::engine::Engine>>,
) -> Result<Arc<asr::worker::Worker>, EngineError> {
    let config = asr::worker::WorkerConfig {
        queue_max: plan.asr_queue_max,
    };
    Ok(Arc::new(asr::worker::Worker::start(ears, config)?))
}

fn start_voices(
    plan: &EnginePlan,
    voices: Vec<Box<dyn tts::engine::Engine>>,
) -> Result<Arc<tts::worker::Worker>, EngineError> {
    let config = tts::worker::WorkerConfig {
        queue_max: plan.tts_queue_max,
        cache_bytes_max: plan.tts_cache_bytes_max,
    };
    Ok(Arc::new(tts::worker::Worker::start(voices, config)?))
}

/// The planned recognisers, at least one, not yet warm.
pub fn ears(plan: &EnginePlan) -> Result<Vec<Box<dyn asr::engine::Engine>>, EngineError> {
    ears_of(plan, &whisper(plan)?)
}

fn ears_of(
    plan: &EnginePlan,
    first: &WhisperEngine,
) -> Result<Vec<Box<dyn asr::engine::Engine>>, EngineError> {
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
    let all = (0..plan.asr_engines.max(1)).map(|_| with_remote(first.fork()));
    all.collect()
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

fn settings(plan: &EnginePlan) -> WhisperConfig {
    WhisperConfig {
        threads: plan.asr_threads,
        language: plan.language.clone(),
        initial_prompt: plan.prompt.clone(),
        ..WhisperConfig::default()
    }
}

/// One recogniser of the planned model, not yet warm.
pub fn whisper(plan: &EnginePlan) -> Result<WhisperEngine, asr::AsrError> {
    let source = match &plan.model {
        Some(path) => ModelSource::File(path.clone()),
        None => ModelSource::Embedded,
    };
    WhisperEngine::open(&source, &settings(plan))
}

impl Engines {
    /// What this agent hears and speaks with.
    pub fn of(self: &Arc<Engines>, agent: &str) -> Arc<Engines> {
        Arc::clone(self.own.get(agent).unwrap_or(self))
    }

    /// Speaks `text` and waits for all of it: 16 kHz samples. Not for use on a thread of the runtime.
    pub fn speak(&self, text: &str) -> Result<Vec<i16>, EngineError> {
        let (tell, told) = std::sync::mpsc::sync_channel(CHUNKS_MAX);
        let job = tts::worker::Job {
            caller: OWN_CALLER,
            reply: 0,
            clause: 0,
            is_note: false,
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

#[cfg(test)]
#[path = "engines_tests.rs"]
mod tests;
