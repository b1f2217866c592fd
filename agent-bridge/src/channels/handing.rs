//! Handing messages to the hub, alike for every channel: the wait until they are kept, and the words for what cannot be
//! used.

use tokio::sync::{mpsc, oneshot};

use super::{Arrival, Body, Inbound, NotKept};

/// Hands a message to the hub, and waits until it is kept or not.
pub async fn offer(inbox: &mpsc::Sender<Arrival>, message: Inbound) -> Result<(), NotKept> {
    let (kept, answer) = oneshot::channel();
    inbox
        .send(Arrival { message, kept })
        .await
        .map_err(|_| NotKept::Busy)?;
    answer.await.unwrap_or(Err(NotKept::Busy))
}

pub fn unusable(why: &str) -> Body {
    Body::Unusable {
        why: why.to_owned(),
    }
}

/// For something of this kind.
pub fn unusable_kind(what: &str) -> Body {
    unusable(&format!(
        "I cannot use {what}. Write to me, or send a voice note."
    ))
}

/// For a voice note of more than so many bytes.
pub fn too_large(bytes_max: usize) -> Body {
    let most = bytes_max / (1024 * 1024);
    unusable(&format!(
        "This voice note is too large: {most} MB are the most."
    ))
}
