//! `offhook transcribe`: the words of one sound file, and nothing else, on standard output.

use std::path::Path;
use std::sync::Arc;

use anyhow::Context as _;
use asr::engine::{Kind, Options};

use super::{print, read_bytes};
use crate::config::Config;
use crate::engines::EnginePlan;
use crate::home::Home;
use crate::secrets::SecretStore;
use crate::{engines, models, server};

/// Decodes the file at `path` (`-`: standard input) with the model of the config.
pub fn transcribe(home: &Home, config: &Config, path: &Path) -> anyhow::Result<()> {
    let bytes = read_bytes(path)?;
    let clip = media::file::read(&bytes).with_context(|| path.display().to_string())?;
    let pcm = clip.into_internal_rate();
    let choice = models::choose(home, config);
    if config.asr.model != "auto"
        && let Some(advice) = &choice.advice
    {
        // Somebody who asked for one model does not want the words of another.
        anyhow::bail!("{advice}");
    }
    let secrets = SecretStore::open(&home.secrets_path()).ok();
    let plan = EnginePlan {
        elsewhere: crate::remote::elsewhere(config, secrets.as_ref(), home)?,
        asr_engines: 1,
        ..server::engine_plan(config, choice.path.clone())
    };
    let mut ears = engines::ears(&plan)?;
    let engine = ears.first_mut().context("no recogniser")?;
    if choice.is_for_trying_out {
        eprintln!("offhook: {}", choice.name);
        if let Some(advice) = &choice.advice {
            eprintln!("offhook: {advice}");
        }
    }
    let options = Options::new(Kind::Final, Arc::default());
    let transcript = engine
        .transcribe(&pcm, &options)
        .context("speech recognition")?;
    print(&format!("{}\n", transcript.text.trim()))
}
