//! What time takes: calls and messages that are older than the owner wants, and sounds that nothing names any more. Owns when
//! it is looked, and how long a new file is left alone; which rows go is the store's affair.

use std::time::{Duration, SystemTime};

use tracing::{info, warn};

use super::boundary::UnixMs;
use super::sounds::Folder;
use crate::records::{Recorder, unix_ms};

/// After the start, when there is less to do.
const FIRST: Duration = Duration::from_secs(5 * 60);
const EVERY: Duration = Duration::from_secs(24 * 3_600);
/// A sound that is younger may belong to a message that is not written down yet.
const GRACE: Duration = Duration::from_secs(24 * 3_600);
/// Names that are looked up together: the store has others to serve meanwhile.
const NAMES_AT_ONCE: usize = 128;
const DAY_MS: u64 = 24 * 3_600 * 1_000;

/// Never returns. `keep_days` 0: words are kept for ever.
pub(super) async fn run(recorder: Recorder, folder: Folder, keep_days: u32) {
    tokio::time::sleep(FIRST).await;
    loop {
        if keep_days > 0 {
            forget_words(&recorder, unix_ms(), keep_days).await;
        }
        forget_sounds(&recorder, &folder, SystemTime::now()).await;
        tokio::time::sleep(EVERY).await;
    }
}

pub(super) async fn forget_words(recorder: &Recorder, now: UnixMs, keep_days: u32) {
    let before = now.saturating_sub(u64::from(keep_days) * DAY_MS);
    match recorder.ask(move |store| store.forget_before(before)).await {
        Ok(0) => {}
        Ok(count) => info!(count, keep_days, "old calls and messages are forgotten"),
        Err(error) => warn!(%error, "old calls and messages are still there"),
    }
}

pub(super) async fn forget_sounds(recorder: &Recorder, folder: &Folder, now: SystemTime) {
    let before = now.checked_sub(GRACE).unwrap_or(SystemTime::UNIX_EPOCH);
    // Without a folder there was never a sound.
    let Ok(names) = folder.written_before(before).await else {
        return;
    };
    let mut count = 0;
    for some in names.chunks(NAMES_AT_ONCE) {
        let some = some.to_vec();
        match recorder.ask(move |store| store.unnamed_sounds(some)).await {
            Ok(unnamed) => {
                count += unnamed.len();
                for name in unnamed {
                    folder.remove(&name).await;
                }
            }
            Err(error) => return warn!(%error, "old sounds are still there"),
        }
    }
    if count > 0 {
        info!(count, "sounds that no message names are removed");
    }
}
