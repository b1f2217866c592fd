//! A voice at another machine.

use std::ops::ControlFlow;

use media::resample::Aligned;
use serde_json::json;
use tts::TtsError;
use tts::engine::{Engine, Sink, VoiceInfo};
use tts::level::{Shaper, gain_for};

use super::{Line, Link, Place, RemoteError};
use crate::wyoming::event::Event;

/// Rate of an OpenAI-compatible API's `pcm`.
const PCM_RATE_HZ: u32 = 24_000;
/// Most sound taken for one clause: a minute.
const SAMPLES_MAX: usize = 60 * tts::SAMPLE_RATE_HZ as usize;

/// A voice that is asked elsewhere, with one at home where that fails.
pub struct RemoteVoice {
    line: Line,
    voice: String,
    speed: f32,
    name: String,
    home: Box<dyn Engine>,
}

impl RemoteVoice {
    pub fn new(line: Line, voice: &str, speed: f32, home: Box<dyn Engine>) -> RemoteVoice {
        RemoteVoice {
            name: format!("{} {voice} {speed}", line.address()),
            line,
            voice: voice.to_owned(),
            speed,
            home,
        }
    }

    /// All the sound of a text at 16 kHz, as it came; never none.
    fn ask(&self, text: &str, sink: Sink<'_>) -> Result<Vec<i16>, RemoteError> {
        let is_unwanted = || sink(&[]).is_break();
        let pcm = match &self.line.place {
            Place::Wyoming { host, port } => {
                let work = wyoming(host, *port, &self.line, &self.voice, text);
                Line::run(&self.line.runtime, work, is_unwanted)
            }
            Place::OpenAi { base } => {
                let work = open_ai(base, &self.line, &self.voice, self.speed, text);
                Line::run(&self.line.runtime, work, is_unwanted)
            }
        }?;
        match pcm.is_empty() {
            true => Err(RemoteError::Empty),
            false => Ok(pcm),
        }
    }
}

/// Samples on their way to 16 kHz.
struct Arriving {
    resampler: Aligned,
    pcm: Vec<i16>,
    /// Half a sample that waits for its other half.
    odd: Option<u8>,
}

impl Arriving {
    fn at(rate_hz: u32) -> Arriving {
        Arriving {
            resampler: Aligned::new(rate_hz, tts::SAMPLE_RATE_HZ),
            pcm: Vec::new(),
            odd: None,
        }
    }

    fn push(&mut self, bytes: &[u8], channels: usize) -> Result<(), RemoteError> {
        let mut all: Vec<u8> = self.odd.take().into_iter().collect();
        all.extend_from_slice(bytes);
        if !all.len().is_multiple_of(2) {
            self.odd = all.pop();
        }
        let samples: Vec<i16> = all
            .chunks_exact(2 * channels.max(1))
            .map(|frame| i16::from_le_bytes([frame[0], frame[1]]))
            .collect();
        self.pcm.extend(self.resampler.process(&samples));
        match self.pcm.len() > SAMPLES_MAX {
            true => Err(RemoteError::Malformed),
            false => Ok(()),
        }
    }

    fn finish(self) -> Vec<i16> {
        let mut pcm = self.pcm;
        pcm.extend(self.resampler.finish());
        pcm
    }
}

async fn wyoming(
    host: &str,
    port: u16,
    line: &Line,
    voice: &str,
    text: &str,
) -> Result<Vec<i16>, RemoteError> {
    let mut link = Link::connect(host, port, line.within).await?;
    let mut data = json!({ "text": text });
    if !voice.is_empty() {
        data["voice"] = json!({ "name": voice });
    }
    link.send(&Event::new("synthesize", data)).await?;
    let start = link.wait_for(&["audio-start", "audio-chunk"]).await?;
    let mut arriving = Arriving::at(start.number("rate").unwrap_or(22_050));
    let mut event = start;
    while event.kind != "audio-stop" {
        if event.kind == "audio-chunk" {
            if event.number("width").unwrap_or(2) != 2 {
                return Err(RemoteError::Malformed);
            }
            let channels = event.number("channels").unwrap_or(1);
            arriving.push(&event.payload, channels as usize)?;
        }
        event = link.wait_for(&["audio-chunk", "audio-stop"]).await?;
    }
    Ok(arriving.finish())
}

async fn open_ai(
    base: &str,
    line: &Line,
    voice: &str,
    speed: f32,
    text: &str,
) -> Result<Vec<i16>, RemoteError> {
    let voice = if voice.is_empty() { "alloy" } else { voice };
    let body = json!({
        "model": line.model, "input": text, "voice": voice, "response_format": "pcm", "speed": speed,
    });
    let request = line.post(&format!("{base}/audio/speech"));
    let mut answer = request.json(&body).send().await?;
    let status = answer.status();
    if !status.is_success() {
        return Err(RemoteError::Refused(status));
    }
    if let Some(kind) = answer.headers().get("content-type")
        && let Some(kind) = no_pcm(kind.to_str().unwrap_or_default())
    {
        return Err(RemoteError::NotPcm(kind));
    }
    let mut arriving = Arriving::at(PCM_RATE_HZ);
    let mut is_first = true;
    while let Some(chunk) = answer.chunk().await? {
        // Servers that know no `pcm` send what they know, under any name.
        let known = [&b"RIFF"[..], b"OggS", b"ID3", b"fLaC", b"{"];
        if std::mem::take(&mut is_first) && known.iter().any(|start| chunk.starts_with(start)) {
            return Err(RemoteError::NotPcm("another format".to_owned()));
        }
        arriving.push(&chunk, 1)?;
    }
    Ok(arriving.finish())
}

/// The type of an answer that is certainly not bare samples: played, it would be noise.
fn no_pcm(content_type: &str) -> Option<String> {
    let kind = content_type.split(';').next().unwrap_or_default().trim();
    let kind = kind.to_ascii_lowercase();
    let others = [
        "audio/mpeg",
        "audio/mp3",
        "audio/aac",
        "audio/ogg",
        "audio/flac",
        "application/json",
    ];
    (kind.starts_with("text/") || others.contains(&kind.as_str())).then_some(kind)
}

impl Engine for RemoteVoice {
    fn name(&self) -> &str {
        // What is said by the voice at home is kept under that one's name.
        match self.line.is_resting() {
            true => self.home.name(),
            false => &self.name,
        }
    }

    fn info(&self) -> VoiceInfo {
        let home = self.home.info();
        VoiceInfo {
            name: format!("{}, else {}", self.line.address(), home.name),
            licence: "that of the other machine".to_owned(),
            embedded: false,
            ..home
        }
    }

    fn warm(&mut self) -> Result<(), TtsError> {
        self.home.warm()
    }

    fn synthesise(&mut self, text: &str, sink: Sink<'_>) -> Result<(), TtsError> {
        if self.line.is_resting() || !text.chars().any(char::is_alphanumeric) {
            return self.home.synthesise(text, sink);
        }
        let outcome = self.ask(text, sink);
        self.line.note("the voice", &outcome);
        match outcome {
            Ok(pcm) => {
                let mut shaper = Shaper::new(gain_for(&pcm));
                let mut shaped = Vec::with_capacity(pcm.len());
                shaper.push(&pcm, &mut shaped);
                shaper.finish(&mut shaped);
                if !shaped.is_empty() {
                    let _: ControlFlow<()> = sink(&shaped);
                }
                Ok(())
            }
            Err(RemoteError::Stopped) => Ok(()),
            Err(_) => self.home.synthesise(text, sink),
        }
    }
}
