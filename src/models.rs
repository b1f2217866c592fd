//! Speech models on disk: which are known, which are installed, which one is used, and how to get more.
//!
//! Not here: reading a model (`asr`), the download itself (`models/pull.rs`), the commands
//! (`commands/models.rs`).

pub mod catalogue;
pub mod progress;
pub mod pull;

#[cfg(test)]
mod pull_tests;
#[cfg(test)]
mod tests;

use std::fs;
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use tracing::{info, warn};

use crate::config::Config;
use crate::home::Home;
use catalogue::{KNOWN, Model};
use progress::Progress;
use pull::PullOptions;

/// How long a first start waits for the first byte of a model before it goes on with the embedded one.
const FIRST_BYTE_WAIT: Duration = Duration::from_secs(6);
/// Model files looked at in one folder.
const FILES_MAX: usize = 1_000;

/// The embedded model, by the name it has in the config.
pub const EMBEDDED: &str = "embedded";

/// The recogniser's model for this run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Choice {
    /// A ggml file; none: the embedded model.
    pub path: Option<PathBuf>,
    /// For people.
    pub name: String,
    /// The embedded model understands chosen synthetic speech, not yet people.
    pub is_for_trying_out: bool,
    /// Why it is not a better one, and what to do.
    pub advice: Option<String>,
}

/// One file in the models folder.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Installed {
    /// Catalogue name, or the file's own.
    pub name: String,
    pub path: PathBuf,
    pub bytes: u64,
    /// The file has the length its catalogue entry says (true where no entry says one).
    pub is_whole: bool,
}

/// The folder of the model files.
pub fn folder(home: &Home, config: &Config) -> PathBuf {
    match &config.models.dir {
        Some(dir) => home.root().join(dir),
        None => home.models_path(),
    }
}

/// All models that can be had by name: the known ones, then the owner's own of `[[models.extra]]`, which
/// go before a known one of the same name.
pub fn offered(config: &Config) -> Vec<Model> {
    let own = config.models.extra.iter().map(Model::from_config);
    let mut models: Vec<Model> = own.collect();
    for known in KNOWN {
        if !models.iter().any(|model| model.name == known.name) {
            models.push(Model::from_known(known, &config.models.mirrors));
        }
    }
    models
}

/// The model of this name, as written or as its file is called.
pub fn find(config: &Config, name: &str) -> Option<Model> {
    let bare = name.strip_prefix("ggml-").unwrap_or(name);
    let bare = bare.strip_suffix(".bin").unwrap_or(bare);
    let mut models = offered(config).into_iter();
    models.find(|model| model.name == name || model.name == bare)
}

/// What lies in the models folder, by name. A folder that is missing is empty.
pub fn installed(home: &Home, config: &Config) -> Vec<Installed> {
    let Ok(entries) = fs::read_dir(folder(home, config)) else {
        return Vec::new();
    };
    let offered = offered(config);
    let mut found: Vec<Installed> = Vec::new();
    for entry in entries.flatten().take(FILES_MAX) {
        let path = entry.path();
        let Some(file) = path.file_name().and_then(|name| name.to_str()) else {
            continue;
        };
        let Ok(data) = fs::metadata(&path) else {
            continue;
        };
        if !data.is_file() || !file.ends_with(".bin") {
            continue;
        }
        let known = offered.iter().find(|model| model.file == file);
        let is_whole = known
            .and_then(|model| model.bytes)
            .is_none_or(|bytes| bytes == data.len());
        let name = known.map_or(file, |model| &model.name).to_owned();
        found.push(Installed {
            name,
            path,
            bytes: data.len(),
            is_whole,
        });
    }
    found.sort_by(|a, b| a.name.cmp(&b.name));
    found
}

/// The model `[asr] model` asks for, from what is installed. Fetches nothing.
pub fn choose(home: &Home, config: &Config) -> Choice {
    match config.asr.model.as_str() {
        "auto" => best(home, config).unwrap_or_else(|| embedded(Some(get_real_ears(config)))),
        EMBEDDED => embedded(None),
        wanted => named(home, config, wanted),
    }
}

/// Like [`choose`], and fetches the preferred model first where none is there and the config, OFFLINE
/// and the network allow it. Never fails: the embedded model is always there.
pub async fn choose_for_run(home: &Home, config: &Config) -> Choice {
    let choice = choose(home, config);
    let is_wanted = config.asr.model != EMBEDDED && config.models.auto_download;
    if choice.path.is_some() || !is_wanted {
        return choice;
    }
    let name = match config.asr.model.as_str() {
        "auto" => &config.models.preferred,
        named => named,
    };
    let Some(model) = find(config, name) else {
        return choice;
    };
    if is_offline() {
        info!("OFFLINE is set: no speech model is fetched");
        return choice;
    }
    eprintln!(
        "No speech model yet: fetching {} ({}, licence {}) once. OFFLINE=1 skips this.",
        model.name,
        model.size(),
        model.licence
    );
    let options = PullOptions {
        first_byte: Some(FIRST_BYTE_WAIT),
        ..PullOptions::new(config)
    };
    match pull::pull(
        &folder(home, config),
        &model,
        &options,
        &mut Progress::new(&model.name),
    )
    .await
    {
        Ok(_) => choose(home, config),
        Err(error) => {
            warn!("no speech model was fetched: {error}");
            choice
        }
    }
}

/// Whether OFFLINE asks for no downloads.
pub fn is_offline() -> bool {
    let wish = std::env::var("OFFLINE").unwrap_or_default();
    !matches!(wish.trim(), "" | "0" | "no" | "false")
}

/// Checks one file against its checksum. `Ok(false)`: the file is another one than was published.
pub fn verify(model: &Model, path: &Path) -> std::io::Result<bool> {
    Ok(pull::sha256_of(path)? == model.sha256)
}

/// Free bytes for us on the disk that holds `path` or, where that does not exist, its nearest parent.
pub fn disk_free_bytes(path: &Path) -> Option<u64> {
    let standing = path
        .ancestors()
        .find(|part| part.exists() || part.as_os_str().is_empty())?;
    let standing = if standing.as_os_str().is_empty() {
        Path::new(".")
    } else {
        standing
    };
    let name = std::ffi::CString::new(standing.as_os_str().as_bytes()).ok()?;
    let mut found = std::mem::MaybeUninit::<libc::statvfs>::uninit();
    // SAFETY: `name` ends with a zero byte and `found` is written whole when the call returns 0.
    let found = unsafe {
        if libc::statvfs(name.as_ptr(), found.as_mut_ptr()) != 0 {
            return None;
        }
        found.assume_init()
    };
    // The widths of both fields differ between platforms.
    #[allow(clippy::useless_conversion)]
    u64::from(found.f_bavail).checked_mul(u64::from(found.f_frsize))
}

/// The installed model of the highest rank that speaks the language asked for.
fn best(home: &Home, config: &Config) -> Option<Choice> {
    let is_english = config.asr.language == "en";
    let mut found: Vec<(u32, Installed)> = installed(home, config)
        .into_iter()
        .filter(|file| file.is_whole)
        .filter_map(|file| {
            let known = KNOWN.iter().find(|known| known.name == file.name)?;
            // At the same size the English models hear English better, and hear nothing else.
            let rank = match (known.is_english, is_english) {
                (true, false) => return None,
                (true, true) => known.rank * 2 + 1,
                (false, _) => known.rank * 2,
            };
            Some((rank, file))
        })
        .collect();
    found.sort_by_key(|(rank, _)| *rank);
    let (_, file) = found.pop()?;
    Some(Choice {
        path: Some(file.path),
        name: format!("Whisper {}", file.name),
        is_for_trying_out: false,
        advice: None,
    })
}

fn named(home: &Home, config: &Config, wanted: &str) -> Choice {
    let use_file = |path: PathBuf| Choice {
        name: format!("Whisper {}", path.file_stem().unwrap_or_default().display()),
        path: Some(path),
        is_for_trying_out: false,
        advice: None,
    };
    if let Some(model) = find(config, wanted) {
        let path = folder(home, config).join(&model.file);
        return match installed(home, config)
            .into_iter()
            .find(|file| file.path == path)
        {
            Some(file) if file.is_whole => use_file(path),
            Some(_) => embedded(Some(format!(
                "the file of {wanted} is damaged: offhook models pull {wanted}"
            ))),
            None => embedded(Some(format!(
                "{wanted} is not installed: offhook models pull {wanted}"
            ))),
        };
    }
    let path = home.root().join(wanted);
    if path.is_file() {
        return use_file(path);
    }
    embedded(Some(format!(
        "[asr] model = \"{wanted}\" is neither a file nor a known model: offhook models list"
    )))
}

fn embedded(advice: Option<String>) -> Choice {
    Choice {
        path: None,
        name: "the embedded model: for trying out, it hardly understands people yet".to_owned(),
        is_for_trying_out: true,
        advice,
    }
}

fn get_real_ears(config: &Config) -> String {
    let name = &config.models.preferred;
    match find(config, name) {
        Some(model) => {
            format!(
                "for ears that understand people: offhook models pull {name}   ({})",
                model.size()
            )
        }
        None => "for ears that understand people: offhook models list".to_owned(),
    }
}
