//! The cases: spoken turns with marked pauses, from a folder. Owns reading `cases.tsv` and its clips; not what is made of
//! them. The columns are those of `asr/train/end_of_turn/cases.py`.

use std::path::Path;

use anyhow::{Context, Result, bail};

/// Frames are 20 ms at 16 kHz.
pub const SAMPLES_PER_MS: usize = 16;
/// Silence added after a turn, so that it can be judged.
const TAIL_MS: usize = 400;

/// One turn of a caller.
pub struct Case {
    pub kind: String,
    /// What the line said before.
    pub asked: String,
    /// Mono at 16 kHz, with silence after the turn.
    pub pcm: Vec<i16>,
    /// In order; the last one is the end of the turn.
    pub silences: Vec<Silence>,
}

/// A pause, or the silence after the end.
pub struct Silence {
    /// From the clip's start to the last sound.
    pub at_ms: usize,
    /// None: the turn is over.
    pub length_ms: Option<usize>,
    /// What had been said.
    pub text: String,
}

/// All cases of a folder.
pub fn read(folder: &Path) -> Result<Vec<Case>> {
    let table = folder.join("cases.tsv");
    let text = std::fs::read_to_string(&table).with_context(|| format!("{}", table.display()))?;
    let mut cases = Vec::new();
    for line in text.lines() {
        let cells: Vec<&str> = line.split('\t').collect();
        let [file, kind, _voice, asked, end, whole, pauses @ ..] = &cells[..] else {
            bail!("too few columns: {line}");
        };
        let mut silences = Vec::new();
        for pair in pauses.chunks(2) {
            let [times, said] = pair else {
                bail!("a pause without its text: {line}");
            };
            let (at, length) = times.split_once('+').context("a pause is AT+LENGTH")?;
            silences.push(Silence {
                at_ms: at.parse()?,
                length_ms: Some(length.parse()?),
                text: (*said).to_owned(),
            });
        }
        silences.push(Silence {
            at_ms: end.parse()?,
            length_ms: None,
            text: (*whole).to_owned(),
        });
        let path = folder.join(file);
        let bytes = std::fs::read(&path).with_context(|| format!("{}", path.display()))?;
        let mut pcm = media::file::read(&bytes)?.into_internal_rate();
        let at_least = (end.parse::<usize>()? + TAIL_MS) * SAMPLES_PER_MS;
        pcm.resize(pcm.len().max(at_least), 0);
        cases.push(Case {
            kind: (*kind).to_owned(),
            asked: (*asked).to_owned(),
            pcm,
            silences,
        });
    }
    Ok(cases)
}
