//! Fetches one model: mirrors in order, resumed where it broke off (RFC 9110 14 ranges), checked against
//! its SHA-256, and in its place only when it is whole.
//!
//! What has come so far stands beside the model as `….part`. A lock keeps a second download out.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read as _, Write as _};
use std::path::{Path, PathBuf};
use std::time::Duration;

use futures_util::StreamExt as _;
use reqwest::header::{CONTENT_RANGE, CONTENT_TYPE, HeaderValue, RANGE};
use reqwest::{Client, Response, StatusCode, Url, redirect};
use sha2::{Digest as _, Sha256};
use tokio::time::{Instant, timeout};

use super::catalogue::{Model, mebibytes};
use super::progress::Progress;
use super::{disk_free_bytes, is_offline};
use crate::config::Config;

/// Attempts at one mirror. A broken transfer that brought something is worth another.
const ATTEMPTS_MAX: u32 = 5;
/// The longest file whose length nobody stated.
const UNSTATED_BYTES_MAX: u64 = 8 * 1024 * 1024 * 1024;
/// Left free on the disk for everything else.
const DISK_SPARE_BYTES: u64 = 64 * 1024 * 1024;
const REDIRECTS_MAX: usize = 10;

/// Why a model did not come.
#[derive(Debug, thiserror::Error)]
pub enum PullError {
    /// OFFLINE is set.
    #[error("OFFLINE is set: nothing is fetched. Without it: offhook models pull {name}")]
    Offline { name: String },
    #[error("{} are needed in {} and {} are free", mebibytes(*.needed), .folder.display(), mebibytes(*.free))]
    DiskFull {
        folder: PathBuf,
        needed: u64,
        free: u64,
    },
    /// Another process is at it.
    #[error("{name} is being fetched by another offhook")]
    Busy { name: String },
    #[error("models folder {}: {source}", path.display())]
    Io { path: PathBuf, source: io::Error },
    /// No mirror had it; one line for each.
    #[error("{}", .0.join("; "))]
    Mirrors(Vec<String>),
    #[error("there is no mirror to fetch from: see `mirrors` in [models]")]
    NoMirror,
}

/// How patient a download is.
#[derive(Debug, Clone)]
pub struct PullOptions {
    pub connect: Duration,
    /// Longest time without a byte.
    pub stall: Duration,
    /// Longest time until the first byte over all mirrors together. None: as long as it takes.
    pub first_byte: Option<Duration>,
    /// Nothing may be fetched: OFFLINE is set.
    pub offline: bool,
}

impl PullOptions {
    pub fn new(config: &Config) -> PullOptions {
        PullOptions {
            connect: Duration::from_millis(config.models.connect_timeout_ms.into()),
            stall: Duration::from_millis(config.models.stall_timeout_ms.into()),
            first_byte: None,
            offline: is_offline(),
        }
    }
}

/// What became of one attempt.
enum Attempt {
    /// All bytes are there and right.
    Done,
    /// The transfer broke; so much came in this attempt.
    Broken { gained: u64, why: String },
    /// This mirror will not do.
    Refused { why: String },
}

/// Fetches `model` into `folder` unless it is there already, whole and right. Where it lies then.
pub async fn pull(
    folder: &Path,
    model: &Model,
    options: &PullOptions,
    progress: &mut Progress,
) -> Result<PathBuf, PullError> {
    let failed = |path: &Path| {
        let path = path.to_path_buf();
        move |source| PullError::Io { path, source }
    };
    let place = folder.join(&model.file);
    if is_right(&place, model).await.map_err(failed(&place))? {
        return Ok(place);
    }
    if options.offline {
        return Err(PullError::Offline {
            name: model.name.clone(),
        });
    }
    if model.urls.is_empty() {
        return Err(PullError::NoMirror);
    }
    fs::create_dir_all(folder).map_err(failed(folder))?;
    let _lock = lock(folder, model)?;
    let part = folder.join(format!("{}.part", model.file));
    check_disk(folder, model, length(&part))?;

    let give_up = options.first_byte.map(|patience| Instant::now() + patience);
    let mut failures = Vec::new();
    for (number, url) in model.urls.iter().enumerate() {
        let fetched = fetch(url, &part, model, options, give_up, progress).await;
        match fetched.map_err(failed(&part))? {
            Ok(()) => {
                put_in_place(&part, &place).map_err(failed(&place))?;
                return Ok(place);
            }
            Err(why) => {
                if number + 1 < model.urls.len() {
                    progress.note(&format!("{why}; trying the next mirror"));
                }
                failures.push(why);
            }
        }
    }
    Err(PullError::Mirrors(failures))
}

/// All attempts at one mirror. The inner error is a reason to try the next one.
async fn fetch(
    url: &str,
    part: &Path,
    model: &Model,
    options: &PullOptions,
    give_up: Option<Instant>,
    progress: &mut Progress,
) -> io::Result<Result<(), String>> {
    let host = Url::parse(url)
        .ok()
        .and_then(|url| url.host_str().map(str::to_owned));
    let host = host.unwrap_or_else(|| url.to_owned());
    let client = match client(url, options) {
        Ok(client) => client,
        Err(error) => return Ok(Err(format!("{host}: {error}"))),
    };
    let mut whys = String::new();
    for attempt in 1..=ATTEMPTS_MAX {
        match transfer(&client, url, part, model, options, give_up, progress).await? {
            Attempt::Done => return Ok(Ok(())),
            Attempt::Refused { why } => return Ok(Err(format!("{host}: {why}"))),
            Attempt::Broken { gained, why } => {
                whys = format!("{host}: {why}");
                if gained == 0 || attempt == ATTEMPTS_MAX {
                    break;
                }
                progress.note(&format!(
                    "{whys}; going on from {}",
                    mebibytes(length(part))
                ));
            }
        }
    }
    Ok(Err(whys))
}

/// One request and its body, appended to what is there.
async fn transfer(
    client: &Client,
    url: &str,
    part: &Path,
    model: &Model,
    options: &PullOptions,
    give_up: Option<Instant>,
    progress: &mut Progress,
) -> io::Result<Attempt> {
    let mut have = length(part);
    if model.bytes.is_some_and(|bytes| have > bytes) {
        fs::remove_file(part)?;
        have = 0;
    }
    if model.bytes == Some(have) && have > 0 {
        return check(part, model).await;
    }
    let mut request = client.get(url);
    if have > 0 {
        request = request.header(RANGE, format!("bytes={have}-"));
    }
    let patience = match give_up {
        Some(until) if have == 0 => until
            .saturating_duration_since(Instant::now())
            .min(options.stall),
        _ => options.stall,
    };
    let response = match timeout(patience, request.send()).await {
        Ok(Ok(response)) => response,
        Ok(Err(error)) => {
            return Ok(Attempt::Broken {
                gained: 0,
                why: reason(&error),
            });
        }
        Err(_) => {
            return Ok(Attempt::Broken {
                gained: 0,
                why: "no answer in time".to_owned(),
            });
        }
    };
    let start = match start_of(&response, have) {
        Start::At(start) => start,
        Start::Useless => {
            // RFC 9110 15.5.17: what we hold is not the beginning of what they have.
            fs::remove_file(part)?;
            return Ok(Attempt::Broken {
                gained: 1,
                why: "the part held does not fit".to_owned(),
            });
        }
        Start::Refused(why) => return Ok(Attempt::Refused { why }),
    };
    let announced = response.content_length().map(|rest| start + rest);
    if let (Some(total), Some(bytes)) = (announced, model.bytes)
        && total != bytes
    {
        let why = format!("has {total} bytes instead of {bytes}: another file");
        return Ok(Attempt::Refused { why });
    }
    let total = model.bytes.or(announced);
    let mut file = OpenOptions::new().create(true).append(true).open(part)?;
    if start < have {
        file.set_len(start)?;
    }
    let mut have = start;
    progress.at(have, total);
    let mut body = response.bytes_stream();
    let why = loop {
        let piece = match timeout(options.stall, body.next()).await {
            Ok(Some(Ok(piece))) => piece,
            Ok(Some(Err(error))) => break Some(reason(&error)),
            Ok(None) => break None,
            Err(_) => break Some("no bytes in time".to_owned()),
        };
        have += piece.len() as u64;
        if have > model.bytes.unwrap_or(UNSTATED_BYTES_MAX) {
            drop(file);
            fs::remove_file(part)?;
            return Ok(Attempt::Refused {
                why: "sends more than the model has".to_owned(),
            });
        }
        file.write_all(&piece)?;
        progress.at(have, total);
    };
    file.sync_all()?;
    drop(file);
    let gained = have - start;
    match (why, total) {
        (Some(why), _) => Ok(Attempt::Broken { gained, why }),
        (None, Some(total)) if have < total => Ok(Attempt::Broken {
            gained,
            why: "the transfer broke off".to_owned(),
        }),
        (None, _) => check(part, model).await,
    }
}

enum Start {
    /// The body begins at this byte.
    At(u64),
    /// The server cannot go on from where we are.
    Useless,
    Refused(String),
}

fn start_of(response: &Response, have: u64) -> Start {
    let header = |name| {
        response
            .headers()
            .get(name)
            .and_then(|value: &HeaderValue| value.to_str().ok())
    };
    match response.status() {
        StatusCode::PARTIAL_CONTENT => {
            // RFC 9110 14.4: Content-Range: bytes first-last/length.
            let range = header(CONTENT_RANGE).and_then(|range| range.strip_prefix("bytes "));
            let first = range.and_then(|range| range.split('-').next()?.trim().parse().ok());
            match first {
                Some(first) if first == have => Start::At(first),
                _ => Start::Useless,
            }
        }
        StatusCode::OK => match header(CONTENT_TYPE) {
            // Sign-in pages of hotels and trains answer everything with 200.
            Some(kind) if kind.starts_with("text/html") => {
                Start::Refused("answers with a web page instead of the file".to_owned())
            }
            _ => Start::At(0),
        },
        StatusCode::RANGE_NOT_SATISFIABLE if have > 0 => Start::Useless,
        status => Start::Refused(format!("answers {status}")),
    }
}

/// The bytes are all there: are they the right ones?
async fn check(part: &Path, model: &Model) -> io::Result<Attempt> {
    if hashed(part).await? == model.sha256 {
        return Ok(Attempt::Done);
    }
    fs::remove_file(part)?;
    Ok(Attempt::Refused {
        why: "wrong checksum: the file is damaged or another one".to_owned(),
    })
}

async fn is_right(place: &Path, model: &Model) -> io::Result<bool> {
    let length = match fs::metadata(place) {
        Ok(found) => found.len(),
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(false),
        Err(error) => return Err(error),
    };
    if model.bytes.is_some_and(|bytes| bytes != length) {
        return Ok(false);
    }
    Ok(hashed(place).await? == model.sha256)
}

async fn hashed(path: &Path) -> io::Result<String> {
    let path = path.to_path_buf();
    let work = tokio::task::spawn_blocking(move || sha256_of(&path));
    work.await.map_err(io::Error::other)?
}

/// SHA-256 of a file as 64 small hexadecimal digits.
pub(super) fn sha256_of(path: &Path) -> io::Result<String> {
    let mut file = File::open(path)?;
    let mut hash = Sha256::new();
    let mut buffer = vec![0; 1024 * 1024];
    loop {
        let count = file.read(&mut buffer)?;
        if count == 0 {
            break;
        }
        hash.update(&buffer[..count]);
    }
    Ok(hash
        .finalize()
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect())
}

fn client(url: &str, options: &PullOptions) -> reqwest::Result<Client> {
    let policy = redirect::Policy::custom(|attempt| {
        let was_secret = attempt.previous().iter().any(|url| url.scheme() == "https");
        if was_secret && attempt.url().scheme() != "https" {
            return attempt.error("redirected from https to http");
        }
        if attempt.previous().len() > REDIRECTS_MAX {
            return attempt.error("too many redirects");
        }
        attempt.follow()
    });
    let mut builder = Client::builder()
        .user_agent(concat!("offhook/", env!("CARGO_PKG_VERSION")))
        .connect_timeout(options.connect)
        .redirect(policy);
    if is_loopback(url) {
        builder = builder.no_proxy();
    }
    builder.build()
}

fn is_loopback(url: &str) -> bool {
    let Ok(url) = Url::parse(url) else {
        return false;
    };
    let host = url.host_str().unwrap_or("").trim_matches(['[', ']']);
    host == "localhost"
        || host
            .parse::<std::net::IpAddr>()
            .is_ok_and(|ip| ip.is_loopback())
}

/// The innermost cause says most: "connection refused" rather than "error sending request".
fn reason(error: &reqwest::Error) -> String {
    let mut cause: &dyn std::error::Error = error;
    while let Some(next) = cause.source() {
        cause = next;
    }
    if error.is_timeout() {
        "no answer in time".to_owned()
    } else {
        cause.to_string()
    }
}

fn check_disk(folder: &Path, model: &Model, have: u64) -> Result<(), PullError> {
    let (Some(bytes), Some(free)) = (model.bytes, disk_free_bytes(folder)) else {
        return Ok(());
    };
    let needed = bytes.saturating_sub(have) + DISK_SPARE_BYTES;
    if free >= needed {
        return Ok(());
    }
    Err(PullError::DiskFull {
        folder: folder.to_path_buf(),
        needed,
        free,
    })
}

fn lock(folder: &Path, model: &Model) -> Result<File, PullError> {
    let path = folder.join(format!("{}.lock", model.file));
    let opened = OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(false)
        .open(&path);
    let file = opened.map_err(|source| PullError::Io {
        path: path.clone(),
        source,
    })?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(fs::TryLockError::WouldBlock) => Err(PullError::Busy {
            name: model.name.clone(),
        }),
        Err(fs::TryLockError::Error(source)) => Err(PullError::Io { path, source }),
    }
}

fn put_in_place(part: &Path, place: &Path) -> io::Result<()> {
    fs::rename(part, place)?;
    if let Some(folder) = place.parent() {
        File::open(folder)?.sync_all()?;
    }
    let mut lock = place.as_os_str().to_os_string();
    lock.push(".lock");
    let _ = fs::remove_file(lock);
    Ok(())
}

fn length(path: &Path) -> u64 {
    fs::metadata(path).map_or(0, |found| found.len())
}
