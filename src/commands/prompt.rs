//! Asking for a password: from a terminal without echo, or from standard input. Never from arguments,
//! which every user of a machine can read.

use std::io::{self, BufRead as _, IsTerminal as _, Write as _};
use std::os::fd::AsRawFd as _;

use anyhow::{Context as _, bail};

use crate::redact::Secret;

/// The longest line taken as a password.
const LINE_BYTES_MAX: u64 = 4 * 1024;
/// What Ctrl-C sends when it is not turned into a signal.
const CTRL_C: u8 = 3;

/// The first line of standard input.
pub fn from_stdin() -> anyhow::Result<Secret> {
    let line = read_line(io::stdin().lock()).context("standard input")?;
    match line {
        Some(line) if !line.is_empty() => Ok(Secret::new(line)),
        _ => bail!("standard input holds no password"),
    }
}

/// Asks twice at the terminal.
pub fn from_terminal(name: &str) -> anyhow::Result<Secret> {
    if !io::stdin().is_terminal() {
        bail!("there is no terminal to ask at: use --password-stdin, or let one be made up");
    }
    let first = ask(&format!("New password for {name}: "))?;
    let second = ask("The same again: ")?;
    if first != second {
        bail!("the two passwords are not the same; nothing was changed");
    }
    Ok(first)
}

fn ask(question: &str) -> anyhow::Result<Secret> {
    let mut out = io::stderr().lock();
    out.write_all(question.as_bytes())?;
    out.flush()?;
    let silence = Silence::start().context("turning off the terminal's echo")?;
    let line = read_line(io::stdin().lock());
    drop(silence);
    out.write_all(b"\n")?;
    match line.context("reading the password")? {
        Some(line) if line.bytes().any(|byte| byte == CTRL_C) => {
            bail!("stopped; nothing was changed")
        }
        Some(line) => Ok(Secret::new(line)),
        None => bail!("stopped; nothing was changed"),
    }
}

/// One line without its end. None: nothing came.
fn read_line(from: impl io::BufRead) -> io::Result<Option<String>> {
    let mut bytes = Vec::new();
    let mut limited = from.take(LINE_BYTES_MAX);
    loop {
        let found = limited.fill_buf()?;
        if found.is_empty() {
            break;
        }
        let end = found
            .iter()
            .position(|byte| matches!(*byte, b'\n' | CTRL_C));
        let count = end.map_or(found.len(), |end| end + 1);
        bytes.extend_from_slice(&found[..count]);
        limited.consume(count);
        if end.is_some() {
            break;
        }
    }
    if bytes.is_empty() {
        return Ok(None);
    }
    let text = String::from_utf8(bytes).map_err(|_| io::Error::from(io::ErrorKind::InvalidData))?;
    Ok(Some(text.trim_end_matches(['\n', '\r']).to_owned()))
}

/// The terminal without echo, until dropped.
struct Silence {
    descriptor: i32,
    before: libc::termios,
}

impl Silence {
    fn start() -> io::Result<Silence> {
        let descriptor = io::stdin().as_raw_fd();
        let mut found = std::mem::MaybeUninit::<libc::termios>::uninit();
        // SAFETY: `found` is written whole when the call returns 0.
        let before = unsafe {
            if libc::tcgetattr(descriptor, found.as_mut_ptr()) != 0 {
                return Err(io::Error::last_os_error());
            }
            found.assume_init()
        };
        let mut silent = before;
        // Ctrl-C must not end the program here: the echo would stay off. It ends the line instead.
        silent.c_lflag &= !(libc::ECHO | libc::ISIG);
        silent.c_cc[libc::VEOL] = CTRL_C;
        set(descriptor, &silent)?;
        Ok(Silence { descriptor, before })
    }
}

impl Drop for Silence {
    fn drop(&mut self) {
        let _ = set(self.descriptor, &self.before);
    }
}

fn set(descriptor: i32, wanted: &libc::termios) -> io::Result<()> {
    // SAFETY: `wanted` is a whole termios that lives through the call.
    let done = unsafe { libc::tcsetattr(descriptor, libc::TCSAFLUSH, wanted) };
    if done == 0 {
        Ok(())
    } else {
        Err(io::Error::last_os_error())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines() {
        for (input, expected) in [
            ("", None),
            ("\n", Some("")),
            ("correct horse\n", Some("correct horse")),
            ("correct horse\r\nmore\n", Some("correct horse")),
            ("no end", Some("no end")),
            ("half\u{3}", Some("half\u{3}")),
            (" blanks stay \n", Some(" blanks stay ")),
        ] {
            let read = read_line(input.as_bytes()).unwrap();
            assert_eq!(read.as_deref(), expected, "{input:?}");
        }
        assert!(read_line(&[0xff, b'\n'][..]).is_err());
        let long = read_line("x".repeat(10_000).as_bytes()).unwrap().unwrap();
        assert_eq!(long.len() as u64, LINE_BYTES_MAX);
    }
}
