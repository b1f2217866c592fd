//! Ears at another machine.

use std::time::Instant;

use asr::engine::{Engine, EngineInfo, Kind, Options, Transcript};
use asr::{AsrError, plausibility, vad, window};
use media::file::{Clip, wav};

use super::{Line, Link, Place, RemoteError, TEXT_BYTES_MAX};
use crate::wyoming::recording;

/// What a Whisper at the other end hears in one piece: less than its 30 s.
const WINDOW_MS_MAX: u32 = 28_000;
/// Trust in a text without its probabilities, as for a large model that was sure.
const LOGPROB: f32 = -0.2;

/// A recogniser that asks elsewhere, and hears with its own ears where that fails.
pub struct RemoteEars {
    line: Line,
    language: String,
    home: Box<dyn Engine>,
    info: EngineInfo,
}

impl RemoteEars {
    pub fn new(line: Line, language: &str, home: Box<dyn Engine>) -> RemoteEars {
        let at_home = home.info();
        let samples = |ms: usize| ms * asr::SAMPLE_RATE_HZ as usize / 1_000;
        let languages = match language {
            "auto" => at_home.languages.clone(),
            language => vec![language.to_owned()],
        };
        let info = EngineInfo {
            model: format!("{}, else {}", line.address(), at_home.model),
            languages,
            embedded: false,
            window_ms_max: WINDOW_MS_MAX,
            cut: window::Limits {
                samples_max: samples(WINDOW_MS_MAX as usize),
                whole_max: 0,
                pause_from: samples(10_000),
                pause_samples: samples(500),
            },
        };
        RemoteEars {
            line,
            language: language.to_owned(),
            home,
            info,
        }
    }

    /// In pieces that the other end hears, one after the other.
    fn ask_all(&self, pcm: &[i16], options: &Options) -> Result<String, RemoteError> {
        let mut heard = Vec::new();
        for piece in window::cut(pcm, &self.info.cut) {
            let part = &pcm[piece.range];
            // Silence is told here: other machines invent words for it.
            if vad::voiced_ms(part) > 0 {
                let text = self.ask(part, options)?;
                heard.push((
                    plausibility::strip_noise_names(&text).trim().to_owned(),
                    piece.overlaps_previous,
                ));
            }
        }
        let texts = heard
            .iter()
            .map(|(text, overlaps)| (text.as_str(), *overlaps));
        Ok(window::join(texts))
    }

    fn ask(&self, pcm: &[i16], options: &Options) -> Result<String, RemoteError> {
        let is_unwanted = || options.stop_reason().is_some();
        let clip = Clip {
            rate_hz: asr::SAMPLE_RATE_HZ,
            samples: pcm.to_vec(),
        };
        match &self.line.place {
            Place::Wyoming { host, port } => {
                let work = wyoming(host, *port, &self.line, &clip, &self.language);
                Line::run(&self.line.runtime, work, is_unwanted)
            }
            Place::OpenAi { base } => {
                let work = open_ai(base, &self.line, &clip, &self.language);
                Line::run(&self.line.runtime, work, is_unwanted)
            }
        }
    }
}

async fn wyoming(
    host: &str,
    port: u16,
    line: &Line,
    clip: &Clip,
    language: &str,
) -> Result<String, RemoteError> {
    let mut link = Link::connect(host, port, line.within).await?;
    for event in recording(clip, language) {
        link.send(&event).await?;
    }
    let transcript = link.wait_for(&["transcript"]).await?;
    let text = transcript.text("text").ok_or(RemoteError::Malformed)?;
    Ok(text.to_owned())
}

async fn open_ai(
    base: &str,
    line: &Line,
    clip: &Clip,
    language: &str,
) -> Result<String, RemoteError> {
    let boundary = format!("offhook-{:032x}", rand::random::<u128>());
    let mut body = Vec::new();
    let mut field = |name: &str, value: &str| {
        let head =
            format!("--{boundary}\r\nContent-Disposition: form-data; name=\"{name}\"\r\n\r\n");
        body.extend(head.into_bytes());
        body.extend(value.bytes());
        body.extend(b"\r\n");
    };
    field("model", &line.model);
    field("response_format", "json");
    if language != "auto" {
        field("language", language);
    }
    let head = format!(
        "--{boundary}\r\nContent-Disposition: form-data; name=\"file\"; filename=\"speech.wav\"\r\n\
         Content-Type: audio/wav\r\n\r\n"
    );
    body.extend(head.into_bytes());
    body.extend(wav::write(clip));
    body.extend(format!("\r\n--{boundary}--\r\n").into_bytes());
    let request = line
        .post(&format!("{base}/audio/transcriptions"))
        .header(
            "Content-Type",
            format!("multipart/form-data; boundary={boundary}"),
        )
        .body(body);
    let mut answer = request.send().await?;
    let status = answer.status();
    let mut bytes = Vec::new();
    while let Some(chunk) = answer.chunk().await? {
        if bytes.len() + chunk.len() > TEXT_BYTES_MAX {
            return Err(RemoteError::Malformed);
        }
        bytes.extend_from_slice(&chunk);
    }
    if !status.is_success() {
        return Err(RemoteError::Refused(status));
    }
    let json: serde_json::Value =
        serde_json::from_slice(&bytes).map_err(|_| RemoteError::Malformed)?;
    let text = json["text"].as_str().ok_or(RemoteError::Malformed)?;
    Ok(text.to_owned())
}

impl Engine for RemoteEars {
    fn name(&self) -> &str {
        "remote"
    }

    fn info(&self) -> EngineInfo {
        self.info.clone()
    }

    fn warm(&mut self) -> Result<(), AsrError> {
        self.home.warm()
    }

    fn transcribe(&mut self, pcm: &[i16], options: &Options) -> Result<Transcript, AsrError> {
        if let Some(reason) = options.stop_reason() {
            return Err(reason);
        }
        // Partial looks stay at home: they come too often for a network.
        if options.kind == Kind::Partial || self.line.is_resting() {
            return self.home.transcribe(pcm, options);
        }
        let started = Instant::now();
        let audio_ms = u32::try_from(pcm.len() as u64 * 1_000 / u64::from(asr::SAMPLE_RATE_HZ));
        let audio_ms = audio_ms.unwrap_or(u32::MAX);
        let voiced_ms = vad::voiced_ms(pcm);
        let mut text = String::new();
        if voiced_ms > 0 {
            let outcome = self.ask_all(pcm, options);
            self.line.note("the recogniser", &outcome);
            match outcome {
                Ok(heard) => text = heard,
                Err(RemoteError::Stopped) => {
                    return Err(options.stop_reason().unwrap_or(AsrError::Cancelled));
                }
                Err(_) => return self.home.transcribe(pcm, options),
            }
        }
        if !plausibility::fits_voice(&text, voiced_ms) {
            text.clear();
        }
        let avg_logprob = if text.is_empty() { 0.0 } else { LOGPROB };
        let trusted = plausibility::TRUSTED_LOGPROB;
        Ok(Transcript {
            no_speech: text.is_empty(),
            certainty: plausibility::certainty(&text, avg_logprob, voiced_ms, trusted),
            avg_logprob,
            text,
            decode_ms: u32::try_from(started.elapsed().as_millis()).unwrap_or(u32::MAX),
            audio_ms,
            truncated: false,
        })
    }
}
