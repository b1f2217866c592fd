//! What several tests of the shell share. Built for tests only.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::engines::Engines;

/// A folder of its own for one test, removed when the test is through.
pub struct Scratch(PathBuf);

impl Scratch {
    pub fn new(name: &str) -> Scratch {
        static COUNT: AtomicU64 = AtomicU64::new(0);
        let count = COUNT.fetch_add(1, Ordering::Relaxed);
        let folder = format!("offhook-{name}-{}-{count}", std::process::id());
        let path = std::env::temp_dir().join(folder);
        std::fs::create_dir_all(&path).expect("the temporary folder is writable");
        Scratch(path)
    }

    pub fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// What `cli::main` does first: without it no HTTP client can be made.
pub fn install_tls() {
    let _ = rustls::crypto::ring::default_provider().install_default();
}

/// One recogniser and one voice, scripted or not, on a thread each.
pub fn engines(ears: Box<dyn asr::engine::Engine>, voice: Box<dyn tts::engine::Engine>) -> Engines {
    let (heard_by, spoken_by) = (ears.info(), voice.info());
    let asr = asr::worker::Worker::start(vec![ears], asr::worker::WorkerConfig { queue_max: 8 });
    let tts = tts::worker::Worker::start(vec![voice], tts::worker::WorkerConfig::default());
    Engines {
        asr: Arc::new(asr.expect("a thread")),
        turn_model: None,
        tts: Arc::new(tts.expect("a thread")),
        ears: heard_by,
        voice: spoken_by,
        own: Default::default(),
    }
}
