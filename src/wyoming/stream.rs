//! Events over a connection, either way.

use std::io;
use std::time::Duration;

use tokio::io::{
    AsyncBufRead, AsyncBufReadExt as _, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _,
};

use super::event::{Event, EventError, Head, LINE_BYTES_MAX};

/// Why there is no event.
#[derive(Debug, thiserror::Error)]
pub enum StreamError {
    #[error(transparent)]
    Event(#[from] EventError),
    #[error("{0}")]
    Io(#[from] io::Error),
    #[error("no answer in time")]
    TimedOut,
    #[error("the connection was closed")]
    Closed,
}

/// Reads the next event; all of it must arrive within `within`.
pub async fn read(
    from: &mut (impl AsyncBufRead + Unpin),
    within: Duration,
) -> Result<Event, StreamError> {
    let read = async {
        let mut line = Vec::new();
        let limit = LINE_BYTES_MAX as u64 + 1;
        (&mut *from)
            .take(limit)
            .read_until(b'\n', &mut line)
            .await?;
        if line.is_empty() {
            return Err(StreamError::Closed);
        }
        let head = Head::parse(&line)?;
        let mut data = vec![0; head.data_bytes];
        from.read_exact(&mut data).await?;
        let mut payload = vec![0; head.payload_bytes];
        from.read_exact(&mut payload).await?;
        Ok(head.complete(&data, payload)?)
    };
    match tokio::time::timeout(within, read).await {
        Ok(outcome) => outcome,
        Err(_) => Err(StreamError::TimedOut),
    }
}

/// Writes an event; the other side must take it within `within`.
pub async fn write(
    to: &mut (impl AsyncWrite + Unpin),
    event: &Event,
    within: Duration,
) -> Result<(), StreamError> {
    let bytes = event.to_bytes();
    let written = async {
        to.write_all(&bytes).await?;
        to.flush().await
    };
    match tokio::time::timeout(within, written).await {
        Ok(outcome) => Ok(outcome?),
        Err(_) => Err(StreamError::TimedOut),
    }
}
