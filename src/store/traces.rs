//! Traces of calls: one JSON file per call in a folder beside the database, for its owner only (0600),
//! written whole or not at all. Bounded twice: bytes of one file (the end of a longer trace is left out,
//! and it says so), and files in the folder (the oldest goes first).
//!
//! A trace holds what was said in clear. Not here: what a trace is (`agent_bridge::turn::trace`), and
//! playing it again (`replay`).

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use agent_bridge::turn::trace::Trace;

/// One trace on disk. An hour of talk takes about a megabyte.
pub const TRACE_BYTES_MAX: usize = 16 * 1024 * 1024;
/// Longest name of a call.
const NAME_BYTES_MAX: usize = 64;
const ENDING: &str = "json";
/// What a trace is called until it is whole.
const UNFINISHED: &str = "json.new";
/// Calls are named by the moment of their beginning, in so many hexadecimal digits, and chance.
const MOMENT_DIGITS: usize = 16;

/// What can go wrong with a trace.
#[derive(Debug, thiserror::Error)]
pub enum TraceError {
    #[error("trace {}: {source}", path.display())]
    Io { path: PathBuf, source: io::Error },
    #[error("{} is no trace of a call: {why}", path.display())]
    NotATrace { path: PathBuf, why: String },
    /// Names of files are made of it.
    #[error("a call cannot be named {name:?}")]
    BadName { name: String },
}

/// The folder of traces.
#[derive(Debug, Clone)]
pub struct TraceStore {
    folder: PathBuf,
    files_max: usize,
}

impl TraceStore {
    /// Where traces are kept in a home folder.
    pub fn folder_in(home: &Path) -> PathBuf {
        home.join("traces")
    }

    /// Makes the folder (0700) where it is missing, and removes what a crash left unfinished. At most
    /// `files_max` traces stay in it.
    pub fn open(folder: PathBuf, files_max: usize) -> Result<TraceStore, TraceError> {
        let made = DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(&folder);
        made.map_err(|source| failed(&folder, source))?;
        let entries = fs::read_dir(&folder).map_err(|source| failed(&folder, source))?;
        for entry in entries.flatten() {
            let name = entry.file_name();
            let stem = name.to_str().and_then(|name| name.strip_suffix(UNFINISHED));
            if stem.is_some_and(|stem| stem.strip_suffix('.').is_some_and(is_name)) {
                let _ = fs::remove_file(entry.path());
            }
        }
        Ok(TraceStore { folder, files_max })
    }

    /// Writes the trace of one call, then removes the oldest ones beyond the limit.
    pub fn save(&self, call: &str, trace: &Trace) -> Result<(), TraceError> {
        if !is_name(call) {
            let name = call.chars().take(NAME_BYTES_MAX).collect();
            return Err(TraceError::BadName { name });
        }
        let path = self.path(call);
        let bytes = written(trace, TRACE_BYTES_MAX)
            .map_err(|error| failed(&path, io::Error::other(error)))?;
        let unfinished = path.with_extension(UNFINISHED);
        let put = write_new(&unfinished, &bytes).and_then(|()| fs::rename(&unfinished, &path));
        if let Err(source) = put {
            let _ = fs::remove_file(&unfinished);
            return Err(failed(&path, source));
        }
        let names = self.names()?;
        for name in &names[..names.len().saturating_sub(self.files_max)] {
            let old = self.path(name);
            fs::remove_file(&old).map_err(|source| failed(&old, source))?;
        }
        Ok(())
    }

    /// Names of calls with a trace, the oldest first: their order is that of their moments.
    pub fn names(&self) -> Result<Vec<String>, TraceError> {
        let entries = fs::read_dir(&self.folder).map_err(|source| failed(&self.folder, source))?;
        let mut names: Vec<String> = entries
            .flatten()
            .filter_map(|entry| entry.file_name().into_string().ok())
            .filter_map(|name| Some(name.strip_suffix(ENDING)?.strip_suffix('.')?.to_owned()))
            .filter(|name| is_name(name))
            .collect();
        names.sort_unstable();
        Ok(names)
    }

    /// Where the trace of a call is, or would be.
    pub fn path(&self, call: &str) -> PathBuf {
        self.folder.join(format!("{call}.{ENDING}"))
    }

    /// Removes traces of calls that began before `unix_ms` (ms since 1970, UTC).
    pub fn forget_before(&self, unix_ms: u64) -> Result<(), TraceError> {
        let is_old = |name: &str| {
            let digits = name.get(..MOMENT_DIGITS);
            let began = digits.and_then(|digits| u64::from_str_radix(digits, 16).ok());
            began.is_some_and(|began| began < unix_ms)
        };
        for name in self.names()?.iter().filter(|name| is_old(name)) {
            let path = self.path(name);
            fs::remove_file(&path).map_err(|source| failed(&path, source))?;
        }
        Ok(())
    }
}

/// Reads one trace. Larger files than this program writes are none.
pub fn load_trace(path: &Path) -> Result<Trace, TraceError> {
    let not_one = |why: String| TraceError::NotATrace {
        path: path.to_path_buf(),
        why,
    };
    let mut bytes = Vec::new();
    File::open(path)
        .and_then(|file| {
            file.take(TRACE_BYTES_MAX as u64 + 1)
                .read_to_end(&mut bytes)
        })
        .map_err(|source| failed(path, source))?;
    if bytes.len() > TRACE_BYTES_MAX {
        return Err(not_one(format!("it has more than {TRACE_BYTES_MAX} bytes")));
    }
    serde_json::from_slice(&bytes).map_err(|error| not_one(error.to_string()))
}

/// The trace as JSON of at most `bytes_max`: its steps from the first on, as many as there is room for.
pub(super) fn written(trace: &Trace, bytes_max: usize) -> Result<Vec<u8>, serde_json::Error> {
    let bytes = serde_json::to_vec(trace)?;
    if bytes.len() <= bytes_max {
        return Ok(bytes);
    }
    let mut cut = Trace {
        is_cut: true,
        ..trace.clone()
    };
    // What stands around the steps, then each with its comma.
    cut.steps.clear();
    let mut room = bytes_max.saturating_sub(serde_json::to_vec(&cut)?.len());
    for step in &trace.steps {
        let needed = serde_json::to_vec(step)?.len() + 1;
        if needed > room {
            break;
        }
        room -= needed;
        cut.steps.push(step.clone());
    }
    serde_json::to_vec(&cut)
}

fn write_new(path: &Path, bytes: &[u8]) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let mut file = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(path)?;
    file.write_all(bytes)?;
    file.sync_all()
}

fn is_name(name: &str) -> bool {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_';
    !name.is_empty() && name.len() <= NAME_BYTES_MAX && name.bytes().all(is_plain)
}

fn failed(path: &Path, source: io::Error) -> TraceError {
    TraceError::Io {
        path: path.to_path_buf(),
        source,
    }
}
