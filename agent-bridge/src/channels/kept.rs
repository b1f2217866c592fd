//! One thing that a channel remembers: read once, written at every change, and as it was before where the disk takes
//! nothing; read again where nobody waited for the end of a write. Owns the order of these; what is remembered is
//! `attempts`' and `questions`' affair.

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
        // Whoever is cut short in the middle of a write does not know whether it is done: the next one reads the disk.
        let before = match kept.take() {
            Some(value) => value,
            None => T::read(&memory.get(self.key).await.unwrap_or_default()),
        };
        let mut value = before.clone();
        let result = change(&mut value);
        if value != before
            && let Err(error) = memory.put(self.key, &value.written()).await
        {
            *kept = Some(before);
            return Err(error);
        }
        *kept = Some(value);
        Ok(result)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicBool, Ordering};

    use futures_util::FutureExt as _;
    use futures_util::future::BoxFuture;

    use super::*;

    #[derive(Clone, PartialEq)]
    struct Count(u32);

    impl Written for Count {
        fn read(text: &str) -> Count {
            Count(text.parse().unwrap_or(0))
        }

        fn written(&self) -> String {
            self.0.to_string()
        }
    }

    /// A disk that writes and, where it hangs, does not say so.
    #[derive(Default)]
    struct Disk {
        page: std::sync::Mutex<String>,
        hangs: AtomicBool,
        is_full: AtomicBool,
    }

    impl Memory for Disk {
        fn get<'a>(&'a self, _key: &'a str) -> BoxFuture<'a, Option<String>> {
            async { Some(self.page.lock().expect("no panic").clone()) }.boxed()
        }

        fn put<'a>(
            &'a self,
            _key: &'a str,
            value: &'a str,
        ) -> BoxFuture<'a, Result<(), MemoryError>> {
            async move {
                if self.is_full.load(Ordering::Relaxed) {
                    return Err(MemoryError);
                }
                value.clone_into(&mut self.page.lock().expect("no panic"));
                if self.hangs.load(Ordering::Relaxed) {
                    std::future::pending::<()>().await;
                }
                Ok(())
            }
            .boxed()
        }
    }

    fn add(count: &mut Count) -> u32 {
        count.0 += 1;
        count.0
    }

    #[tokio::test]
    async fn what_was_written_after_all_is_known() {
        let (kept, disk) = (Kept::<Count>::new("count"), Disk::default());
        assert_eq!(kept.change(&disk, add).await.ok(), Some(1));
        disk.hangs.store(true, Ordering::Relaxed);
        assert!(kept.change(&disk, add).now_or_never().is_none());
        disk.hangs.store(false, Ordering::Relaxed);
        assert_eq!(kept.change(&disk, add).await.ok(), Some(3));
        // What certainly was not written is as it was.
        disk.is_full.store(true, Ordering::Relaxed);
        assert!(kept.change(&disk, add).await.is_err());
        disk.is_full.store(false, Ordering::Relaxed);
        assert_eq!(kept.change(&disk, add).await.ok(), Some(4));
    }
}
