//! `offhook speak`: a text as a sound file, in the voice that callers hear.

use std::io::Read as _;
use std::ops::ControlFlow;
use std::path::Path;

use anyhow::{Context as _, bail};
use media::file::{Clip, opus, wav};
use tts::clause::{Splitter, SplitterConfig};

use super::print_bytes;
use crate::config::Config;

/// The longest text taken from standard input.
const TEXT_BYTES_MAX: u64 = 256 * 1024;
/// Quiet after a clause, and after one that ends a sentence. Voices give none at their ends.
const CLAUSE_PAUSE_MS: usize = 120;
const SENTENCE_PAUSE_MS: usize = 350;

enum Format {
    Wav,
    OggOpus,
}

/// Says `text` (`-`: standard input) into the file at `output`, whose ending tells the format.
pub fn speak(config: &Config, text: &str, output: &Path) -> anyhow::Result<()> {
    let format = format_of(output)?;
    let text = match text {
        "-" => {
            let mut read = String::new();
            let limited = std::io::stdin()
                .lock()
                .take(TEXT_BYTES_MAX)
                .read_to_string(&mut read);
            limited.context("standard input")?;
            read
        }
        text => text.to_owned(),
    };
    let samples = say(config, &text)?;
    if samples.is_empty() {
        bail!("there is nothing to say in that text");
    }
    let bytes = match format {
        Format::Wav => wav::write(&Clip {
            rate_hz: tts::SAMPLE_RATE_HZ,
            samples,
        }),
        Format::OggOpus => opus::write(&samples, std::process::id()).context("Opus encoder")?,
    };
    if output == Path::new("-") {
        return print_bytes(&bytes);
    }
    std::fs::write(output, bytes).with_context(|| format!("writing {}", output.display()))
}

fn say(config: &Config, text: &str) -> anyhow::Result<Vec<i16>> {
    let mut voice = tts::voices::open(&config.tts.voice, config.tts.rate).context("voice")?;
    let mut splitter = Splitter::new(SplitterConfig::default());
    let mut clauses = splitter.push(text);
    clauses.extend(splitter.finish());
    let mut samples: Vec<i16> = Vec::new();
    let mut pause_ms = 0;
    for clause in &clauses {
        let before = samples.len();
        samples.resize(before + samples_in(pause_ms), 0);
        let spoken_from = samples.len();
        let spoken = tts::text::normalise(clause);
        let mut sink = |piece: &[i16]| {
            samples.extend_from_slice(piece);
            ControlFlow::Continue(())
        };
        voice.synthesise(&spoken, &mut sink).context("voice")?;
        if samples.len() == spoken_from {
            samples.truncate(before);
            continue;
        }
        let ends_sentence = clause.trim_end().ends_with(['.', '!', '?', ':']);
        pause_ms = if ends_sentence {
            SENTENCE_PAUSE_MS
        } else {
            CLAUSE_PAUSE_MS
        };
    }
    Ok(samples)
}

fn samples_in(ms: usize) -> usize {
    ms * tts::SAMPLE_RATE_HZ as usize / 1000
}

fn format_of(output: &Path) -> anyhow::Result<Format> {
    if output == Path::new("-") {
        return Ok(Format::Wav);
    }
    let ending = output.extension().unwrap_or_default().to_ascii_lowercase();
    match ending.to_str() {
        Some("wav") => Ok(Format::Wav),
        Some("ogg" | "oga" | "opus") => Ok(Format::OggOpus),
        _ => bail!(
            "{}: the name must end with .wav, .ogg or .opus",
            output.display()
        ),
    }
}

/// A speaking rate of the command line.
pub fn rate(text: &str) -> Result<f32, String> {
    let rate: f32 = text.parse().map_err(|_| "not a number".to_owned())?;
    if (0.5..=2.0).contains(&rate) {
        Ok(rate)
    } else {
        Err("not from 0.5 to 2".to_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn endings_tell_the_format() {
        for (name, expected) in [
            ("a.wav", true),
            ("A.WAV", true),
            ("a.ogg", true),
            ("a.opus", true),
            ("-", true),
            ("a.mp3", false),
            ("wav", false),
        ] {
            assert_eq!(format_of(Path::new(name)).is_ok(), expected, "{name}");
        }
    }

    #[test]
    fn a_text_becomes_sound_with_pauses() {
        let config = Config::default();
        let one = say(&config, "Good morning.").unwrap();
        let two = say(&config, "Good morning. Good morning.").unwrap();
        assert!(one.len() > 8_000);
        assert!(
            two.len() >= 2 * one.len() - 4_000,
            "{} {}",
            one.len(),
            two.len()
        );
        assert!(say(&config, " ").unwrap().is_empty());
    }
}
