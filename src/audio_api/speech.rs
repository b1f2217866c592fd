//! `POST /v1/audio/speech`: a text, and its sound back, streamed clause by clause as it is made.
//!
//! Any `voice` and `model` are taken; the voice is the one that callers hear. `instructions` changes nothing.

use std::io;

use axum::body::{Body, Bytes};
use axum::extract::State;
use axum::extract::rejection::JsonRejection;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Json, Response};
use media::file::{Clip, opus, wav};
use media::resample::Aligned;
use media::tempo;
use serde::Deserialize;
use tokio::sync::mpsc;
use tracing::warn;

use super::Audio;
use super::error::ApiError;
use crate::sound_work::SoundError;

/// Rate of `pcm`, and of `wav`, which OpenAI's clients take for granted.
const RATE_HZ: u32 = 24_000;
/// Encoded pieces ahead of a slow reader.
const PIECES_AHEAD_MAX: usize = 4;

#[derive(Deserialize)]
pub(super) struct Wish {
    input: String,
    response_format: Option<String>,
    speed: Option<f32>,
    stream_format: Option<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Format {
    OggOpus,
    Wav,
    Pcm,
}

impl Format {
    /// Without a wish: OpenAI gives mp3, which nothing here can write.
    fn of(name: Option<&str>) -> Result<Format, ApiError> {
        match name {
            Some("opus") => Ok(Format::OggOpus),
            None | Some("wav") => Ok(Format::Wav),
            Some("pcm") => Ok(Format::Pcm),
            Some(_) => Err(ApiError::refused(
                "response_format is one of opus, wav, pcm.",
                "response_format",
            )),
        }
    }

    fn content_type(self) -> &'static str {
        match self {
            Format::OggOpus => "audio/ogg; codecs=opus",
            Format::Wav => "audio/wav",
            Format::Pcm => "audio/pcm",
        }
    }
}

pub(super) async fn speak(
    State(audio): State<Audio>,
    wish: Result<Json<Wish>, JsonRejection>,
) -> Result<Response, ApiError> {
    let Json(wish) = wish.map_err(|rejection| ApiError::Refused {
        message: match rejection.status() {
            StatusCode::PAYLOAD_TOO_LARGE => "The request is too long.".to_owned(),
            _ => rejection.body_text(),
        },
        param: None,
    })?;
    let format = Format::of(wish.response_format.as_deref())?;
    let speed = wish.speed.unwrap_or(1.0);
    if !tempo::TEMPO_RANGE.contains(&speed) {
        return Err(ApiError::refused("speed is from 0.25 to 4.", "speed"));
    }
    if wish
        .stream_format
        .as_deref()
        .is_some_and(|kind| kind != "audio")
    {
        return Err(ApiError::refused(
            "Sound is streamed as it is: stream_format is audio.",
            "stream_format",
        ));
    }
    let mut clauses = audio.0.work.speak_clauses(&wish.input)?;
    // What goes wrong before the first sound can still be told as an error.
    let Some(first) = clauses.recv().await else {
        return Err(SoundError::NothingToSay.into());
    };
    let first = first?;
    let body = match format {
        // Its header holds its length, and many readers believe it.
        Format::Wav => Body::from(whole(first, clauses, speed).await?),
        _ => {
            let encoder = Encoder::new(format)?;
            let (sender, receiver) = mpsc::channel(PIECES_AHEAD_MAX);
            tokio::spawn(encode(encoder, first, clauses, speed, sender));
            Body::from_stream(stream(receiver))
        }
    };
    Ok(([(header::CONTENT_TYPE, format.content_type())], body).into_response())
}

type Clauses = mpsc::Receiver<Result<Vec<i16>, SoundError>>;

async fn whole(first: Vec<i16>, mut clauses: Clauses, speed: f32) -> Result<Vec<u8>, ApiError> {
    let mut samples = first;
    while let Some(clause) = clauses.recv().await {
        samples.extend(clause?);
    }
    let written = tokio::task::spawn_blocking(move || {
        let samples = tempo::change(&samples, speed);
        let samples = media::resample::resample_clip(&samples, tts::SAMPLE_RATE_HZ, RATE_HZ);
        wav::write(&Clip {
            rate_hz: RATE_HZ,
            samples,
        })
    });
    written
        .await
        .map_err(|_| SoundError::CutOff("the encoder failed").into())
}

/// Encodes clause after clause until there are no more, or nobody reads them.
async fn encode(
    mut encoder: Encoder,
    first: Vec<i16>,
    mut clauses: Clauses,
    speed: f32,
    sender: mpsc::Sender<io::Result<Bytes>>,
) {
    // The status has been sent: a body without its proper end tells that there was more to come.
    let cut_off = || Err(io::Error::other("the speech was cut off"));
    let mut next = Some(Ok(first));
    while let Some(clause) = next {
        let clause = match clause {
            Ok(clause) => clause,
            Err(error) => {
                warn!(%error, "speech was cut off");
                let _ = sender.send(cut_off()).await;
                return;
            }
        };
        let encoded = tokio::task::spawn_blocking(move || {
            let clause = tempo::change(&clause, speed);
            let bytes = encoder.push(&clause);
            (encoder, bytes)
        });
        let Ok((back, Ok(bytes))) = encoded.await else {
            let _ = sender.send(cut_off()).await;
            return;
        };
        encoder = back;
        if !bytes.is_empty() && sender.send(Ok(bytes.into())).await.is_err() {
            return;
        }
        next = clauses.recv().await;
    }
    let rest = match tokio::task::spawn_blocking(move || encoder.finish()).await {
        Ok(Ok(bytes)) => Ok(bytes.into()),
        _ => cut_off(),
    };
    let _ = sender.send(rest).await;
}

fn stream(
    receiver: mpsc::Receiver<io::Result<Bytes>>,
) -> impl futures_util::Stream<Item = io::Result<Bytes>> {
    futures_util::stream::unfold(receiver, |mut receiver| async move {
        let bytes = receiver.recv().await?;
        Some((bytes, receiver))
    })
}

/// From 16 kHz samples to bytes of a format, piece by piece.
enum Encoder {
    Opus(Box<opus::Writer>),
    Pcm(Box<Aligned>),
}

impl Encoder {
    fn new(format: Format) -> Result<Encoder, ApiError> {
        match format {
            Format::OggOpus => opus::Writer::new(rand::random())
                .map(|writer| Encoder::Opus(Box::new(writer)))
                .map_err(|error| ApiError::Failed(error.to_string())),
            Format::Wav | Format::Pcm => {
                let aligned = Aligned::new(tts::SAMPLE_RATE_HZ, RATE_HZ);
                Ok(Encoder::Pcm(Box::new(aligned)))
            }
        }
    }

    fn push(&mut self, samples: &[i16]) -> Result<Vec<u8>, media::file::FileError> {
        match self {
            Encoder::Opus(writer) => writer.push(samples),
            Encoder::Pcm(aligned) => Ok(bytes(aligned.process(samples))),
        }
    }

    fn finish(self) -> Result<Vec<u8>, media::file::FileError> {
        match self {
            Encoder::Opus(writer) => writer.finish(),
            Encoder::Pcm(aligned) => Ok(bytes(aligned.finish())),
        }
    }
}

fn bytes(samples: Vec<i16>) -> Vec<u8> {
    samples.into_iter().flat_map(i16::to_le_bytes).collect()
}
