//! Phonemes of a sentence from espeak-ng, which runs as a program of its own: its licence is the GPL, so none of it is
//! linked. One run per sentence costs 10 to 20 ms; a process kept running would answer in 3, but does not say where an
//! answer ends, and one that hangs or dies would have to be noticed between calls. Owns the child process, its time and
//! its bounds.

use std::io::{ErrorKind, Read, Write};
use std::process::{Command, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, sync_channel};
use std::time::Duration;

use super::pieces::Piece;

/// The program looked for in the PATH.
const PROGRAM: &str = "espeak-ng";
/// What it may take: a thousand times what it takes.
const PATIENCE: Duration = Duration::from_secs(5);
/// What it may say: some letters for each letter of the longest sentence.
const OUTPUT_BYTES_MAX: u64 = 64 << 10;
const COMPLAINT_BYTES_MAX: u64 = 1 << 10;

/// Why there are no phonemes.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PhonemeError {
    /// The program is not on this machine.
    #[error(
        "the program {PROGRAM} is missing: apt-get install espeak-ng, or install it so that it is in the PATH"
    )]
    Missing,
    /// The operating system could not run it.
    #[error("{PROGRAM} could not be run: {0}")]
    Run(String),
    /// It ran and reported an error.
    #[error("{PROGRAM} gave up: {0}")]
    GaveUp(String),
    /// It did not end.
    #[error("{PROGRAM} took longer than {} s", PATIENCE.as_secs())]
    TooSlow,
    /// It said more than can be true.
    #[error("{PROGRAM} said more than {OUTPUT_BYTES_MAX} bytes")]
    TooLong,
}

/// Phonemes of a sentence in the International Phonetic Alphabet, with its punctuation, said by `voice` of espeak-ng.
pub fn phonemise(voice: &str, sentence: &[Piece]) -> Result<String, PhonemeError> {
    let lines: Vec<&str> = sentence.iter().map(|piece| piece.text.as_str()).collect();
    let spoken = run(espeak(voice), PATIENCE, &lines.join("\n"))?;
    let spoken: Vec<&str> = lines_of(&spoken).collect();
    if spoken.len() == sentence.len() {
        return Ok(join(sentence, &spoken));
    }
    // It breaks long lines, and says nothing for what it cannot read: then each piece is asked for on its own.
    let mut each = Vec::with_capacity(sentence.len());
    for piece in sentence {
        let spoken = run(espeak(voice), PATIENCE, &piece.text)?;
        each.push(lines_of(&spoken).collect::<Vec<_>>().join(" "));
    }
    let each: Vec<&str> = each.iter().map(String::as_str).collect();
    Ok(join(sentence, &each))
}

/// Without phonemes: the letters themselves, for voices that were trained on them.
pub fn letters(sentence: &[Piece]) -> String {
    let lower: Vec<String> = sentence.iter().map(|p| p.text.to_lowercase()).collect();
    let lower: Vec<&str> = lower.iter().map(String::as_str).collect();
    join(sentence, &lower)
}

fn lines_of(spoken: &str) -> impl Iterator<Item = &str> {
    spoken
        .lines()
        .map(str::trim)
        .filter(|line| !line.is_empty())
}

/// Pieces with their punctuation put back, in the way voices are trained on: mark, then a space.
fn join(sentence: &[Piece], spoken: &[&str]) -> String {
    let mut joined = String::new();
    for (piece, spoken) in sentence.iter().zip(spoken) {
        if !joined.is_empty() {
            joined.push(' ');
        }
        // "(de)": espeak-ng notes that it changes the language for a word.
        let mut is_note = false;
        joined.extend(spoken.chars().filter(|letter| {
            let was_note = is_note;
            match letter {
                '(' => is_note = true,
                ')' => is_note = false,
                _ => {}
            }
            !was_note && !is_note
        }));
        joined.extend(piece.mark);
    }
    joined
}

/// Whether the program can be run with this voice at all.
pub fn check(voice: &str) -> Result<(), PhonemeError> {
    run(espeak(voice), PATIENCE, "a").map(drop)
}

fn espeak(voice: &str) -> Command {
    let mut command = Command::new(PROGRAM);
    command.args(["-q", "--ipa", "-b", "1", "-v", voice]);
    command
}

/// Gives `command` a text of a few kilobytes at most, line by line, and takes what it says to its end.
fn run(mut command: Command, patience: Duration, text: &str) -> Result<String, PhonemeError> {
    let refused = |error: std::io::Error| PhonemeError::Run(error.to_string());
    let mut child = command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .map_err(|error| match error.kind() {
            ErrorKind::NotFound => PhonemeError::Missing,
            _ => refused(error),
        })?;
    let output = child
        .stdout
        .take()
        .map(|pipe| read(pipe, OUTPUT_BYTES_MAX + 1));
    let complaint = child
        .stderr
        .take()
        .map(|pipe| read(pipe, COMPLAINT_BYTES_MAX));
    if let Some(mut pipe) = child.stdin.take() {
        // It fits into the pipe, so this does not wait. A program that has ended already says why below.
        let _ = pipe.write_all(text.as_bytes());
        let _ = pipe.write_all(b"\n");
    }
    let received = |reading| received(reading, patience);
    let said = output
        .map_or(Ok(Vec::new()), received)
        .and_then(|output| Ok((output, complaint.map_or(Ok(Vec::new()), received)?)));
    let (output, complaint) = match said {
        Ok(said) => said,
        Err(error) => {
            let _ = child.kill();
            let _ = child.wait();
            return Err(error);
        }
    };
    if output.len() as u64 > OUTPUT_BYTES_MAX {
        let _ = child.kill();
        let _ = child.wait();
        return Err(PhonemeError::TooLong);
    }
    let status = child.wait().map_err(refused)?;
    let complaint = String::from_utf8_lossy(&complaint);
    if !status.success() || (output.is_empty() && !complaint.trim().is_empty()) {
        return Err(PhonemeError::GaveUp(format!(
            "{} ({status})",
            complaint.trim()
        )));
    }
    Ok(String::from_utf8_lossy(&output).into_owned())
}

type Reading = Receiver<std::io::Result<Vec<u8>>>;

/// Reads a pipe to its end or `bytes_max` on a thread of its own, so that a program that hangs can be given up.
fn read(pipe: impl Read + Send + 'static, bytes_max: u64) -> Reading {
    let (done, reading) = sync_channel(1);
    let reader = std::thread::Builder::new().name("tts-phonemes".to_owned());
    // Without a thread the channel closes, and that is an error where it is received.
    let _ = reader.spawn(move || {
        let mut bytes = Vec::new();
        let outcome = pipe.take(bytes_max).read_to_end(&mut bytes);
        let _ = done.send(outcome.map(|_| bytes));
    });
    reading
}

fn received(reading: Reading, patience: Duration) -> Result<Vec<u8>, PhonemeError> {
    match reading.recv_timeout(patience) {
        Ok(Ok(bytes)) => Ok(bytes),
        Ok(Err(error)) => Err(PhonemeError::Run(error.to_string())),
        Err(RecvTimeoutError::Timeout) => Err(PhonemeError::TooSlow),
        Err(RecvTimeoutError::Disconnected) => {
            Err(PhonemeError::Run("no thread to read it with".to_owned()))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn piece(text: &str, mark: Option<char>) -> Piece {
        Piece {
            text: text.to_owned(),
            mark,
        }
    }

    #[test]
    fn marks_come_back_and_notes_go() {
        for (pieces, spoken, expected) in [
            (vec![piece("a", None)], vec!["ˈeɪ"], "ˈeɪ"),
            (
                vec![piece("a", Some(',')), piece("b", Some('.'))],
                vec!["ˈeɪ", "bˈiː"],
                "ˈeɪ, bˈiː.",
            ),
            (
                vec![piece("x", Some('?'))],
                vec!["(de)ʃˈoːn(en) tˈuː"],
                "ʃˈoːn tˈuː?",
            ),
            (vec![piece("x", None)], vec!["a(b"], "a"),
        ] {
            assert_eq!(join(&pieces, &spoken), expected);
        }
        assert_eq!(letters(&[piece("Hé Y", Some('!'))]), "hé y!");
    }

    #[test]
    fn programs_that_misbehave_are_given_up() {
        for (program, argument, patience, expected) in [
            (
                "no-such-program-anywhere",
                "",
                PATIENCE,
                "apt-get install espeak-ng",
            ),
            ("false", "", PATIENCE, "gave up"),
            ("yes", "", PATIENCE, "said more than"),
            ("sleep", "60", Duration::from_millis(20), "took longer"),
            ("ls", "/no/such/folder", PATIENCE, "/no/such/folder"),
        ] {
            let mut command = Command::new(program);
            command.args(Some(argument).filter(|argument| !argument.is_empty()));
            let error = run(command, patience, "a").unwrap_err().to_string();
            assert!(error.contains(expected), "{program}: {error}");
        }
    }
}
