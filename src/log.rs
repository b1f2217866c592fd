//! Where log lines go and how they look: standard error, compact for people or one JSON object a line.
//!
//! Lines are handed to a thread of their own through a bounded queue, so that a terminal that has been
//! stopped or a full pipe never holds up a call. When the queue is full lines are dropped, and counted.
//!
//! Not here: what may stand in a line (`redact`).

use std::io::{self, IsTerminal as _, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{self, SyncSender};
use std::thread::JoinHandle;
use std::time::Duration;

use tracing_subscriber::EnvFilter;
use tracing_subscriber::fmt::format::Writer;
use tracing_subscriber::fmt::time::FormatTime;
use tracing_subscriber::fmt::{self, MakeWriter};
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::SubscriberInitExt as _;

use crate::config::{Log, LogFormat};
use crate::redact;

/// Lines waiting for the terminal; when full, new ones are dropped.
const LINES_MAX: usize = 4_096;
/// The longest line; the rest of a longer one is dropped.
const LINE_BYTES_MAX: usize = 16 * 1024;
/// How long the end of the program waits for the last lines.
const FLUSH_WAIT: Duration = Duration::from_secs(1);

const LEVELS: [&str; 6] = ["off", "error", "warn", "info", "debug", "trace"];

/// `text` if it means something as `[log] level`: a level, or a list such as `info,sip=debug`.
pub fn level(text: &str) -> Option<String> {
    let text: String = text.chars().filter(|c| !c.is_whitespace()).collect();
    let fits = |part: &str| match part.split_once('=') {
        None => LEVELS.contains(&part),
        Some((target, level)) => !target.is_empty() && LEVELS.contains(&level),
    };
    let all_fit = text.split(',').all(fits);
    (all_fit && EnvFilter::try_new(&text).is_ok()).then_some(text)
}

/// Keeps the log's thread; the last lines are written when it is dropped.
#[must_use = "dropping it ends the log"]
pub struct LogGuard {
    lines: Lines,
    written: mpsc::Receiver<()>,
    thread: Option<JoinHandle<()>>,
}

impl Drop for LogGuard {
    fn drop(&mut self) {
        let dropped = self.lines.dropped.load(Ordering::Relaxed);
        if dropped > 0 {
            self.lines.send(
                format!("{dropped} log lines were dropped: their reader was too slow\n").into(),
            );
        }
        // A terminal that takes nothing must not keep the program from ending.
        let asked = self.lines.queue.try_send(None).is_ok();
        if asked
            && self.written.recv_timeout(FLUSH_WAIT).is_ok()
            && let Some(thread) = self.thread.take()
        {
            let _ = thread.join();
        }
    }
}

/// Sends all log lines to standard error as `[log]` says. Once per process.
pub fn start(log: &Log) -> io::Result<LogGuard> {
    redact::show_private(log.transcripts);
    let (lines, guard) = lines(io::stderr())?;
    let filter = EnvFilter::try_new(&log.level).unwrap_or_else(|_| EnvFilter::new("info"));
    // One says what agents ask for, word by word; the other, what browsers offer beyond what it knows, with each handshake.
    let quiet = ["rmcp=warn", "rtc_dtls=error"].into_iter();
    let filter = quiet
        .filter_map(|one| one.parse().ok())
        .fold(filter, EnvFilter::add_directive);
    let registry = tracing_subscriber::registry().with(filter);
    let set = match log.format {
        LogFormat::Json => registry
            .with(fmt::layer().json().with_writer(lines))
            .try_init(),
        LogFormat::Human => {
            // journald stamps lines itself.
            let is_journal = std::env::var_os("JOURNAL_STREAM").is_some();
            let layer = fmt::layer()
                .compact()
                .with_target(false)
                .with_ansi(io::stderr().is_terminal())
                .with_timer(Clock { shown: !is_journal })
                .with_writer(lines);
            registry.with(layer).try_init()
        }
    };
    set.map_err(io::Error::other)?;
    Ok(guard)
}

/// Local time to the millisecond: `14:03:07.125`.
struct Clock {
    shown: bool,
}

impl FormatTime for Clock {
    fn format_time(&self, w: &mut Writer<'_>) -> std::fmt::Result {
        if !self.shown {
            return Ok(());
        }
        write!(w, "{}", jiff::Zoned::now().strftime("%H:%M:%S%.3f"))
    }
}

/// The way to the log's thread.
#[derive(Clone)]
struct Lines {
    queue: SyncSender<Option<Vec<u8>>>,
    dropped: Arc<AtomicU64>,
}

impl Lines {
    fn send(&self, line: Vec<u8>) {
        if self.queue.try_send(Some(line)).is_err() {
            self.dropped.fetch_add(1, Ordering::Relaxed);
        }
    }
}

fn lines(mut out: impl Write + Send + 'static) -> io::Result<(Lines, LogGuard)> {
    let (queue, waiting) = mpsc::sync_channel::<Option<Vec<u8>>>(LINES_MAX);
    let (tell_written, written) = mpsc::sync_channel(1);
    let work = move || {
        // A reader that has gone away takes the log with it, not the program.
        while let Ok(Some(line)) = waiting.recv() {
            let _ = out.write_all(&line);
        }
        let _ = out.flush();
        let _ = tell_written.send(());
    };
    let thread = std::thread::Builder::new()
        .name("log".to_owned())
        .spawn(work)?;
    let lines = Lines {
        queue,
        dropped: Arc::default(),
    };
    Ok((
        lines.clone(),
        LogGuard {
            lines,
            written,
            thread: Some(thread),
        },
    ))
}

/// One line while it is being written.
struct Line {
    lines: Lines,
    bytes: Vec<u8>,
}

impl<'a> MakeWriter<'a> for Lines {
    type Writer = Line;

    fn make_writer(&'a self) -> Line {
        Line {
            lines: self.clone(),
            bytes: Vec::new(),
        }
    }
}

impl Write for Line {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let room = LINE_BYTES_MAX.saturating_sub(self.bytes.len());
        self.bytes
            .extend_from_slice(&bytes[..bytes.len().min(room)]);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Drop for Line {
    fn drop(&mut self) {
        let mut bytes = std::mem::take(&mut self.bytes);
        if bytes.is_empty() {
            return;
        }
        if bytes.len() == LINE_BYTES_MAX {
            bytes.extend_from_slice("…\n".as_bytes());
        }
        self.lines.send(bytes);
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use super::*;

    #[derive(Clone, Default)]
    struct Kept(Arc<Mutex<Vec<u8>>>);
    impl Write for Kept {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().write(bytes)
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn levels() {
        for (text, expected) in [
            ("info", true),
            ("off", true),
            ("info,sip=debug", true),
            ("warn, asr=trace", true),
            ("loud", false),
            ("info,sip=loud", false),
            ("", false),
            ("=debug", false),
        ] {
            assert_eq!(level(text).is_some(), expected, "{text:?}");
        }
    }

    #[test]
    fn lines_come_out_whole_and_in_order() {
        let kept = Kept::default();
        let (lines, guard) = lines(kept.clone()).unwrap();
        for number in 0..100 {
            let mut line = lines.make_writer();
            write!(line, "line ").unwrap();
            writeln!(line, "{number}").unwrap();
        }
        let mut long = lines.make_writer();
        long.write_all(&[b'x'; 2 * LINE_BYTES_MAX]).unwrap();
        drop(long);
        drop(guard);
        let text = String::from_utf8(kept.0.lock().unwrap().clone()).unwrap();
        let expected: String = (0..100).map(|number| format!("line {number}\n")).collect();
        assert!(text.starts_with(&expected));
        assert_eq!(text.len(), expected.len() + LINE_BYTES_MAX + "…\n".len());
    }

    #[test]
    fn a_reader_that_stopped_holds_nobody_up() {
        struct Stuck(mpsc::Receiver<()>);
        impl Write for Stuck {
            fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
                let _ = self.0.recv();
                Ok(bytes.len())
            }
            fn flush(&mut self) -> io::Result<()> {
                Ok(())
            }
        }
        let (free, stuck) = mpsc::channel();
        let (lines, guard) = lines(Stuck(stuck)).unwrap();
        for number in 0..LINES_MAX + 10 {
            writeln!(lines.make_writer(), "{number}").unwrap();
        }
        assert!(lines.dropped.load(Ordering::Relaxed) >= 9);
        drop(free);
        drop(guard);
    }
}
