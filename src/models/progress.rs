//! How far a download is: a bar where a person watches, one line per tenth where nobody does.

use std::io::{IsTerminal as _, stderr};
use std::time::Duration;

use indicatif::{ProgressBar, ProgressStyle};

/// The progress of one download, on standard error.
pub struct Progress {
    name: String,
    out: Out,
}

enum Out {
    Bar(ProgressBar),
    Lines { tenth: u64 },
    Silent,
}

impl Progress {
    /// A bar if standard error is a terminal, else lines.
    pub fn new(name: &str) -> Progress {
        let out = if stderr().is_terminal() {
            let bar = ProgressBar::no_length();
            let style =
                "{msg} {wide_bar} {binary_bytes}/{binary_total_bytes} {binary_bytes_per_sec} {eta}";
            if let Ok(style) = ProgressStyle::with_template(style) {
                bar.set_style(style);
            }
            bar.set_message(name.to_owned());
            bar.enable_steady_tick(Duration::from_millis(200));
            Out::Bar(bar)
        } else {
            Out::Lines { tenth: 0 }
        };
        Progress {
            name: name.to_owned(),
            out,
        }
    }

    /// Says nothing.
    pub fn silent() -> Progress {
        Progress {
            name: String::new(),
            out: Out::Silent,
        }
    }

    /// `done` of `total` bytes are on disk.
    pub fn at(&mut self, done: u64, total: Option<u64>) {
        match &mut self.out {
            Out::Bar(bar) => {
                if let Some(total) = total {
                    bar.set_length(total);
                }
                bar.set_position(done);
            }
            Out::Lines { tenth } => {
                let Some(total) = total.filter(|total| *total > 0) else {
                    return;
                };
                let now = done * 10 / total;
                if now > *tenth {
                    *tenth = now;
                    eprintln!(
                        "{}: {} % of {} MiB",
                        self.name,
                        now * 10,
                        total.div_ceil(1024 * 1024)
                    );
                }
            }
            Out::Silent => {}
        }
    }

    /// Something a person should know, such as a change of mirror.
    pub fn note(&mut self, text: &str) {
        match &self.out {
            Out::Bar(bar) => bar.suspend(|| eprintln!("{}: {text}", self.name)),
            Out::Lines { .. } => eprintln!("{}: {text}", self.name),
            Out::Silent => {}
        }
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        if let Out::Bar(bar) = &self.out {
            bar.finish_and_clear();
        }
    }
}
