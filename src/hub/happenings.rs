//! What happens in the program and is shown to people, or followed up by text, as it happens. A notice board: whoever tells
//! never waits, and who reads too slowly misses the oldest.

use tokio::sync::broadcast;

use crate::store::{MessageRow, Role};

/// Happenings that a slow reader may be behind.
const KEPT_MAX: usize = 4_096;

#[derive(Debug, Clone)]
pub enum Happening {
    /// A message of a call was kept.
    Said {
        id: i64,
        row: Box<MessageRow>,
    },
    /// What is being heard or said in a call.
    Caption {
        conversation: String,
        call: String,
        role: Role,
        text: String,
        is_final: bool,
    },
    CallUp {
        conversation: String,
    },
    CallOver {
        conversation: String,
    },
    /// An answer that was under way when the caller hung up, whole.
    Late {
        conversation: String,
        text: String,
    },
    /// A request to call somebody became a message.
    Notice,
    /// Phones came or went.
    Phones,
}

/// Clones share it.
#[derive(Debug, Clone)]
pub struct Happenings(broadcast::Sender<Happening>);

impl Default for Happenings {
    fn default() -> Happenings {
        Happenings(broadcast::channel(KEPT_MAX).0)
    }
}

impl Happenings {
    /// Nobody listening is no error.
    pub fn tell(&self, what: Happening) {
        let _ = self.0.send(what);
    }

    pub fn listen(&self) -> broadcast::Receiver<Happening> {
        self.0.subscribe()
    }
}
