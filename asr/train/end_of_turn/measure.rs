//! Prints what the prosody rule measures at every pause of the clips that `generate.py` or `recordings.py` made, one line
//! each: clip, voice, kind of pause, milliseconds since the last sound, the rule's probability, then the measures.
//! Owns reading the folder; the measures are the program's own, so that training and use cannot differ.

use std::path::Path;

use asr::FRAME_SAMPLES;
use asr::end_of_turn::{FEATURE_NAMES, Prosody};

/// When the rule is asked, after the last voice.
const ASKED_AFTER_MS: [usize; 2] = [80, 200];

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let folder = std::env::args().nth(1).ok_or("usage: measure FOLDER")?;
    let folder = Path::new(&folder);
    println!(
        "clip\tvoice\tkind\tafter_ms\tp\t{}",
        FEATURE_NAMES.join("\t")
    );
    for line in std::fs::read_to_string(folder.join("turns.tsv"))?.lines() {
        let mut cells = line.split('\t');
        let (Some(file), Some(voice)) = (cells.next(), cells.next()) else {
            return Err(format!("no clip and voice in '{line}'").into());
        };
        let marks = cells
            .map(|cell| {
                let (kind, at) = cell.split_once(':').ok_or("no mark")?;
                Ok((kind, at.parse()?))
            })
            .collect::<Result<Vec<(&str, usize)>, Box<dyn std::error::Error>>>()?;
        clip(&folder.join(file), file, voice, &marks)?;
    }
    Ok(())
}

fn clip(
    path: &Path,
    file: &str,
    voice: &str,
    marks: &[(&str, usize)],
) -> Result<(), Box<dyn std::error::Error>> {
    let bytes = std::fs::read(path)?;
    // 16 kHz, mono, 16 bit, with the plain header of 44 bytes that both scripts write.
    let pcm: Vec<i16> = bytes
        .get(44..)
        .unwrap_or_default()
        .as_chunks::<2>()
        .0
        .iter()
        .map(|pair| i16::from_le_bytes(*pair))
        .collect();
    let mut asked = Vec::new();
    for &(kind, at) in marks {
        if kind == "begin" {
            asked.push((at.div_ceil(FRAME_SAMPLES), kind, 0));
        } else {
            for after_ms in ASKED_AFTER_MS {
                asked.push(((at + after_ms * 16).div_ceil(FRAME_SAMPLES), kind, after_ms));
            }
        }
    }
    let mut asked = asked.into_iter().peekable();
    let mut prosody = Prosody::new();
    for (place, frame) in pcm.as_chunks::<FRAME_SAMPLES>().0.iter().enumerate() {
        while let Some((_, kind, after_ms)) = asked.next_if(|(at, ..)| *at <= place) {
            if kind == "begin" {
                prosody.reset();
            } else if let (Some(measured), Some(p)) = (prosody.features(), prosody.probability()) {
                let cells: Vec<String> = measured.iter().map(f32::to_string).collect();
                println!(
                    "{file}\t{voice}\t{kind}\t{after_ms}\t{p}\t{}",
                    cells.join("\t")
                );
            }
        }
        prosody.push_frame(frame);
    }
    Ok(())
}
