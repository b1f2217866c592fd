//! PURE. A transcript as the audio API gives it: JSON short and long, plain text, SubRip and WebVTT.

use serde_json::{Value, json};

use crate::sound_work::Transcribed;

/// `response_format` of a transcription.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    Json,
    VerboseJson,
    Text,
    Srt,
    Vtt,
}

impl Format {
    pub fn parse(name: &str) -> Option<Format> {
        match name {
            "json" => Some(Format::Json),
            "verbose_json" => Some(Format::VerboseJson),
            "text" => Some(Format::Text),
            "srt" => Some(Format::Srt),
            "vtt" => Some(Format::Vtt),
            _ => None,
        }
    }

    pub fn content_type(self) -> &'static str {
        match self {
            Format::Json | Format::VerboseJson => "application/json",
            Format::Text | Format::Srt => "text/plain; charset=utf-8",
            Format::Vtt => "text/vtt; charset=utf-8",
        }
    }

    /// The body of the answer.
    pub fn write(self, heard: &Transcribed) -> String {
        match self {
            Format::Json => short(heard).to_string(),
            Format::VerboseJson => long(heard).to_string(),
            Format::Text => format!("{}\n", heard.text),
            Format::Srt => srt(heard),
            Format::Vtt => vtt(heard),
        }
    }
}

fn seconds(ms: u64) -> f64 {
    ms as f64 / 1_000.0
}

fn usage(heard: &Transcribed) -> Value {
    json!({ "type": "duration", "seconds": heard.duration_ms.div_ceil(1_000) })
}

fn short(heard: &Transcribed) -> Value {
    json!({ "text": heard.text, "usage": usage(heard) })
}

fn long(heard: &Transcribed) -> Value {
    let segments: Vec<Value> = heard
        .segments
        .iter()
        .enumerate()
        .map(|(id, segment)| {
            json!({
                "id": id,
                "start": seconds(segment.start_ms),
                "end": seconds(segment.end_ms),
                "text": segment.text,
                "avg_logprob": segment.avg_logprob,
                "temperature": 0.0,
            })
        })
        .collect();
    json!({
        "task": "transcribe",
        "language": heard.language,
        "duration": seconds(heard.duration_ms),
        "text": heard.text,
        "segments": segments,
        "usage": usage(heard),
    })
}

/// `01:02:03,004`, or with another mark before the milliseconds.
fn clock(ms: u64, mark: char) -> String {
    let (s, ms) = (ms / 1_000, ms % 1_000);
    let (minutes, s) = (s / 60, s % 60);
    format!(
        "{:02}:{:02}:{s:02}{mark}{ms:03}",
        minutes / 60,
        minutes % 60
    )
}

/// A blank line ends a cue, so none may be inside.
fn one_line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

fn srt(heard: &Transcribed) -> String {
    let cues = heard.segments.iter().enumerate().map(|(n, segment)| {
        let (from, to) = (clock(segment.start_ms, ','), clock(segment.end_ms, ','));
        format!(
            "{}\n{from} --> {to}\n{}\n\n",
            n + 1,
            one_line(&segment.text)
        )
    });
    cues.collect()
}

fn vtt(heard: &Transcribed) -> String {
    let cues = heard.segments.iter().map(|segment| {
        let (from, to) = (clock(segment.start_ms, '.'), clock(segment.end_ms, '.'));
        // WebVTT section 4.2.2: these two must be written as references.
        let text = one_line(&segment.text)
            .replace('&', "&amp;")
            .replace('<', "&lt;");
        format!("{from} --> {to}\n{text}\n\n")
    });
    std::iter::once("WEBVTT\n\n".to_owned())
        .chain(cues)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sound_work::Segment;

    fn heard() -> Transcribed {
        let segment = |start_ms, end_ms, text: &str| Segment {
            start_ms,
            end_ms,
            text: text.to_owned(),
            avg_logprob: -0.25,
            certainty: 1.0,
        };
        Transcribed {
            text: "One.\n\nTwo & <three>.".to_owned(),
            language: Some("en".to_owned()),
            duration_ms: 3_725_500,
            segments: vec![
                segment(0, 1_250, "One."),
                segment(3_723_004, 3_725_500, "Two & <three>."),
            ],
        }
    }

    #[test]
    fn each_format_says_it_in_its_way() {
        let table = [
            (
                "json",
                r#"{"text":"One.\n\nTwo & <three>.","usage":{"seconds":3726,"type":"duration"}}"#,
            ),
            ("text", "One.\n\nTwo & <three>.\n"),
            (
                "srt",
                "1\n00:00:00,000 --> 00:00:01,250\nOne.\n\n2\n01:02:03,004 --> 01:02:05,500\nTwo & <three>.\n\n",
            ),
            (
                "vtt",
                "WEBVTT\n\n00:00:00.000 --> 00:00:01.250\nOne.\n\n01:02:03.004 --> 01:02:05.500\nTwo &amp; &lt;three>.\n\n",
            ),
        ];
        for (name, expected) in table {
            let format = Format::parse(name).expect("known");
            assert_eq!(format.write(&heard()), expected, "{name}");
        }
        let long: Value = serde_json::from_str(&Format::VerboseJson.write(&heard())).expect("JSON");
        assert_eq!(long["language"], "en");
        assert_eq!(long["duration"], 3725.5);
        assert_eq!(long["segments"][1]["id"], 1);
        assert_eq!(long["segments"][1]["start"], 3723.004);
        assert_eq!(Format::parse("diarized_json"), None);
    }

    #[test]
    fn nothing_said_is_still_well_formed() {
        let silence = Transcribed::default();
        assert_eq!(Format::Vtt.write(&silence), "WEBVTT\n\n");
        assert_eq!(Format::Srt.write(&silence), "");
        assert_eq!(Format::Text.write(&silence), "\n");
    }
}
