//! One TOML file becomes one typed value. Only [`Config::load`] and its like touch the machine.
//!
//! Every default is stated once, in `config/sections.rs`. Every key is named once, in
//! `config/keys.rs`, where the file, the environment (`OFFHOOK_<SECTION>_<KEY>`) and `offhook config
//! show` meet. All mistakes of a file are reported together, each with line and column.
//!
//! Not here: passwords and keys (`secrets`); a secret appears in the config only as the name of a file
//! or an environment variable.

mod agents;
mod agents_keys;
mod bans;
mod callbacks;
mod chat;
mod cloud;
mod keys;
mod matrix;
mod phones;
mod phones_keys;
mod proxy;
mod reader;
mod sections;
mod sound;
mod template;
mod text;
mod tools;
mod transports;
mod web;

#[cfg(test)]
mod agents_tests;
#[cfg(test)]
mod cloud_tests;
#[cfg(test)]
mod phones_tests;
#[cfg(test)]
mod tests;

pub use agents::*;
pub use bans::Bans;
pub use callbacks::{Callbacks, McpDoor};
pub use chat::{SignalAccount, TelegramBot};
pub use cloud::{Cloud, CloudAgent, DayLimits, ModelPrice, When};
pub use matrix::MatrixAccount;
pub use phones::*;
pub use proxy::ModelProxy;
pub use reader::{Problem, Setting, Source};
pub use sections::*;
pub use sound::{Asr, AudioApi, Remote, Tts, Wyoming};
pub use template::TEMPLATE;
pub use text::{Text, VoiceAnswers};
pub use tools::ToolEntry;
pub use transports::{Advertise, Inside, Streams};
pub use web::{ForwardAuth, Web};

use std::fmt;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

/// The largest config file that is read; a longer one is a mistake.
pub const FILE_BYTES_MAX: u64 = 1024 * 1024;

/// Why there is no config.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// The file cannot be read.
    #[error("config {}: {source}", path.display())]
    Unreadable { path: PathBuf, source: io::Error },
    /// The file was read and is wrong, in all the places listed.
    #[error("{}", Listed(.path, .problems))]
    Wrong {
        path: PathBuf,
        problems: Vec<Problem>,
    },
}

struct Listed<'a>(&'a Path, &'a [Problem]);

impl fmt::Display for Listed<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, problem) in self.1.iter().enumerate() {
            if index > 0 {
                f.write_str("\n")?;
            }
            match problem.place {
                Some((line, column)) => write!(f, "{}:{line}:{column}: ", self.0.display())?,
                None if problem.is_of_environment => f.write_str("environment: ")?,
                None => write!(f, "{}: ", self.0.display())?,
            }
            f.write_str(&problem.message)?;
        }
        Ok(())
    }
}

impl Config {
    /// Reads the file at `path` and the environment. A missing file is an error: whoever wants the
    /// template written first calls [`write_template`].
    pub fn load(path: &Path) -> Result<Config, ConfigError> {
        Config::load_with_settings(path).map(|(config, _)| config)
    }

    /// Like [`Config::load`], and also lists each key with its value and where that came from.
    pub fn load_with_settings(path: &Path) -> Result<(Config, Vec<Setting>), ConfigError> {
        let unreadable = |source| ConfigError::Unreadable {
            path: path.to_path_buf(),
            source,
        };
        let bytes_count = fs::metadata(path).map_err(unreadable)?.len();
        if bytes_count > FILE_BYTES_MAX {
            let why = format!("{bytes_count} bytes are more than the {FILE_BYTES_MAX} allowed");
            return Err(unreadable(io::Error::other(why)));
        }
        let text = fs::read_to_string(path).map_err(unreadable)?;
        Config::parse(&text, &environment()).map_err(|problems| ConfigError::Wrong {
            path: path.to_path_buf(),
            problems,
        })
    }

    /// What is in force without a file; `path` is where it would be.
    pub fn from_environment(path: &Path) -> Result<(Config, Vec<Setting>), ConfigError> {
        Config::parse("", &environment()).map_err(|problems| ConfigError::Wrong {
            path: path.to_path_buf(),
            problems,
        })
    }

    /// Lets relative paths start at `home`, the home folder.
    pub fn anchor(&mut self, home: &Path) {
        let paths = [
            &mut self.store.path,
            &mut self.models.dir,
            &mut self.agent.api_key.file,
            &mut self.turn.end_of_turn_model,
            &mut self.sip.streams.certificate,
            &mut self.sip.streams.certificate_key,
        ];
        let fallback = &mut self.agent.fallback;
        let others = self.agents.iter_mut();
        let others = others.flat_map(|agent| agent.gateway.iter_mut().chain(&mut agent.fallback));
        let gateways = fallback.iter_mut().chain(others);
        let keys = gateways.map(|agent| &mut agent.api_key.file);
        let trunks = self.trunks.iter_mut().map(|trunk| &mut trunk.password.file);
        for path in paths.into_iter().chain(keys).chain(trunks).flatten() {
            *path = home.join(&*path);
        }
    }

    /// Reads `text` as the file and `environment` as the process environment (name, value).
    pub fn parse(
        text: &str,
        environment: &[(String, String)],
    ) -> Result<(Config, Vec<Setting>), Vec<Problem>> {
        let (table, mistakes) = toml::de::DeTable::parse_recoverable(text);
        if !mistakes.is_empty() {
            // What follows a syntax error may be read wrongly: further mistakes would mislead.
            return Err(reader::syntax_problems(text, &mistakes));
        }
        let mut reader = reader::Reader::new(text, table.get_ref(), environment);
        let config = keys::read(&mut reader);
        let settings = reader.finish()?;
        Ok((config, settings))
    }
}

/// The variables of this process that are ours.
fn environment() -> Vec<(String, String)> {
    std::env::vars_os()
        .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
        .filter(|(name, _)| name.starts_with("OFFHOOK_"))
        .collect()
}

/// Writes the commented template to `path` unless something stands there. True when it was written.
pub fn write_template(path: &Path) -> io::Result<bool> {
    use std::io::Write as _;
    let created = fs::OpenOptions::new()
        .write(true)
        .create_new(true)
        .open(path);
    let mut file = match created {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => return Ok(false),
        Err(error) => return Err(error),
    };
    file.write_all(TEMPLATE.as_bytes())?;
    file.sync_all()?;
    Ok(true)
}
