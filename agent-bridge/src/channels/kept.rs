//! One thing that a channel remembers: read once, written at every change, and as it was before where the disk takes
//! nothing. Owns the order of these; what is remembered is `attempts`' and `questions`' affair.

use tokio::sync::Mutex;

use super::attempts::Attempts;
use super::questions::Questions;
use super::{Memory, MemoryError};

/// What can be written down.
pub trait Written: Clone + PartialEq {
    /// Reads what [`Written::written`] wrote. What cannot be read is nothing.
    fn read(text: &str) -> Self;

    fn written(&self) -> String;
}

impl Written for Attempts {
    fn read(text: &str) -> Attempts {
        Attempts::read(text)
    }

    fn written(&self) -> String {
        Attempts::written(self)
    }
}

impl Written for Questions {
    fn read(text: &str) -> Questions {
        Questions::read(text)
    }

    fn written(&self) -> String {
        Questions::written(self)
    }
}

/// A value under a key of the channel's memory.
pub struct Kept<T> {
    key: &'static str,
    value: Mutex<Option<T>>,
}

impl<T: Written> Kept<T> {
    pub fn new(key: &'static str) -> Kept<T> {
        Kept {
            key,
            value: Mutex::new(None),
        }
    }

    /// Changes it, and returns when that is on disk.
    pub async fn change<R>(
        &self,
        memory: &dyn Memory,
        change: impl FnOnce(&mut T) -> R,
    ) -> Result<R, MemoryError> {
        let mut kept = self.value.lock().await;
        let before = match &*kept {
            Some(value) => value.clone(),
            None => T::read(&memory.get(self.key).await.unwrap_or_default()),
        };
        let mut value = before.clone();
        let result = change(&mut value);
        if value != before {
            memory.put(self.key, &value.written()).await?;
        }
        *kept = Some(value);
        Ok(result)
    }
}
