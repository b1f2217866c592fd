//! What each command of the command line does, apart from those that are parts of the program themselves
//! (`server`, `doctor`, `test_caller`).

pub mod approvals;
pub mod audit;
pub mod bans;
pub mod calls;
pub mod config;
pub mod export;
pub mod login;
pub mod models;
pub mod people;
pub mod prompt;
pub mod replay;
pub mod speak;
pub mod tell;
pub mod transcribe;
pub mod user;
pub mod waterfall;

use std::fs::File;
use std::io::{self, Read as _, Write as _};
use std::path::Path;

use anyhow::Context as _;

use crate::config::Config;
use crate::home::Home;
use crate::store::{CallRow, ROWS_MAX, Store};

/// The largest file a command reads.
const FILE_BYTES_MAX: u64 = 512 * 1024 * 1024;

/// Writes to standard output. A reader that has seen enough (`| head`) is no error.
pub fn print(text: &str) -> anyhow::Result<()> {
    print_bytes(text.as_bytes())
}

fn print_bytes(bytes: &[u8]) -> anyhow::Result<()> {
    let mut out = io::stdout().lock();
    let written = out.write_all(bytes).and_then(|()| out.flush());
    match written {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => {
            Err(error).context("standard output")
        }
        _ => Ok(()),
    }
}

/// The database of this installation, which must be there: a command that only looks makes none.
fn open_store(home: &Home, config: &Config) -> anyhow::Result<Store> {
    let path = config.store.path.clone();
    let path = path.unwrap_or_else(|| home.database_path());
    anyhow::ensure!(
        path.exists(),
        "there is no database {} yet; `offhook run` makes it",
        path.display()
    );
    Ok(Store::open(&path)?)
}

/// The call of this name, or the only one whose name ends so.
fn find_call(store: &Store, name: &str) -> anyhow::Result<CallRow> {
    if let Some(call) = store.call(name)? {
        return Ok(call);
    }
    let mut found = store.recent_calls(ROWS_MAX)?;
    found.retain(|call| !name.is_empty() && call.id.ends_with(name));
    match found.len() {
        0 => anyhow::bail!("no call {name:?}; `offhook calls` lists them"),
        1 => Ok(found.remove(0)),
        count => anyhow::bail!("{count} calls end in {name:?}: give more of its name"),
    }
}

/// A moment in this machine's time zone.
fn local_time(unix_ms: u64) -> String {
    let moment = i64::try_from(unix_ms).ok();
    let moment = moment.and_then(|ms| jiff::Timestamp::from_millisecond(ms).ok());
    moment.map_or_else(String::new, |moment| {
        let local = moment.to_zoned(jiff::tz::TimeZone::system());
        local.strftime("%Y-%m-%d %H:%M:%S").to_string()
    })
}

/// Reads a file, or standard input for `-`.
fn read_bytes(path: &Path) -> anyhow::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    let read = if path == Path::new("-") {
        io::stdin()
            .lock()
            .take(FILE_BYTES_MAX)
            .read_to_end(&mut bytes)
    } else {
        File::open(path).and_then(|file| file.take(FILE_BYTES_MAX).read_to_end(&mut bytes))
    };
    read.with_context(|| format!("reading {}", path.display()))?;
    Ok(bytes)
}

/// Left-aligned columns, two blanks apart, nothing behind the last.
pub(crate) fn table(rows: &[Vec<String>]) -> String {
    let columns = rows.iter().map(Vec::len).max().unwrap_or(0);
    let width = |column: usize| {
        rows.iter()
            .filter_map(|row| row.get(column))
            .map(|cell| cell.chars().count())
            .max()
            .unwrap_or(0)
    };
    let widths: Vec<usize> = (0..columns).map(width).collect();
    let mut text = String::new();
    for row in rows {
        let mut line = String::new();
        for (cell, width) in row.iter().zip(&widths) {
            line.push_str(&format!("{cell:<width$}  "));
        }
        text.push_str(line.trim_end());
        text.push('\n');
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_line_up() {
        let row = |cells: &[&str]| {
            cells
                .iter()
                .map(|cell| (*cell).to_owned())
                .collect::<Vec<_>>()
        };
        let text = table(&[row(&["NAME", "SIZE"]), row(&["grün", "1"]), row(&["a", ""])]);
        assert_eq!(text, "NAME  SIZE\ngrün  1\na\n");
        assert_eq!(table(&[]), "");
    }
}
