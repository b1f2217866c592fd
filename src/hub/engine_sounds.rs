//! The ears and the voice of calls for voice notes: a whole file at a time, on a thread that may wait. Owns the lengths that
//! are heard and said; the formats are `media::file`'s.

use std::sync::Arc;

use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;
use tokio::sync::{Semaphore, watch};
use tts::clause::{Splitter, SplitterConfig};

use super::sounds::Sounds;
use crate::engines::{EngineState, Engines};

/// Voice notes worked on at once; further ones wait, as long as their turns may take.
const AT_ONCE: usize = 2;
/// Quiet between two clauses, in samples: a tenth of a second.
const PAUSE_SAMPLES: usize = tts::SAMPLE_RATE_HZ as usize / 10;

/// Shared by all turns.
pub struct EngineSounds {
    engines: watch::Receiver<EngineState>,
    voice_s_max: u32,
    at_once: Arc<Semaphore>,
}

impl EngineSounds {
    pub fn new(engines: watch::Receiver<EngineState>, voice_s_max: u32) -> EngineSounds {
        EngineSounds {
            engines,
            voice_s_max,
            at_once: Arc::new(Semaphore::new(AT_ONCE)),
        }
    }

    /// Waits while they warm up.
    async fn work<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Engines) -> Result<T, String> + Send + 'static,
    ) -> Result<T, String> {
        let mut engines = self.engines.clone();
        let stopping = |_| "the program is stopping".to_owned();
        let state = engines.wait_for(|state| !matches!(state, EngineState::Warming));
        let state = state.await.map_err(|_| stopping(()))?.clone();
        let EngineState::Ready(engines) = state else {
            return Err("there are no ears and no voice here".to_owned());
        };
        let permit = self.at_once.clone().acquire_owned().await;
        let permit = permit.map_err(|_| stopping(()))?;
        let worked = tokio::task::spawn_blocking(move || {
            let _permit = permit;
            work(&engines)
        });
        worked.await.map_err(|_| stopping(()))?
    }
}

impl Sounds for EngineSounds {
    fn hear(&self, bytes: Vec<u8>) -> BoxFuture<'_, Result<String, String>> {
        let longest_s = self.voice_s_max;
        self.work(move |engines| {
            let clip =
                media::file::read_up_to(&bytes, longest_s).map_err(|error| error.to_string())?;
            let pcm = clip.into_internal_rate();
            engines.transcribe(&pcm).map_err(|error| error.to_string())
        })
        .boxed()
    }

    fn say<'a>(&'a self, words: &'a str) -> BoxFuture<'a, Result<(Vec<u8>, u32), String>> {
        let words = words.to_owned();
        self.work(move |engines| {
            let mut splitter = Splitter::new(SplitterConfig::default());
            let mut clauses = splitter.push(&words);
            clauses.extend(splitter.finish());
            let mut pcm = Vec::new();
            for clause in &clauses {
                let spoken = engines.speak(clause).map_err(|error| error.to_string())?;
                pcm.extend(spoken);
                pcm.resize(pcm.len() + PAUSE_SAMPLES, 0);
            }
            if pcm.is_empty() {
                return Err("there is nothing to say".to_owned());
            }
            let ms = pcm.len() as u64 * 1_000 / u64::from(tts::SAMPLE_RATE_HZ);
            let ogg = media::file::opus::write(&pcm, std::process::id())
                .map_err(|error| error.to_string())?;
            Ok((ogg, u32::try_from(ms).unwrap_or(u32::MAX)))
        })
        .boxed()
    }
}
