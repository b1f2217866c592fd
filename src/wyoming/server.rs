//! The server: one task per connection. A client that describes, transcribes or has something spoken, any number of times.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use media::file::{Clip, FileError};
use media::resample::Aligned;
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt as _, BufReader, BufWriter};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tracing::{debug, info, warn};
use tts::clause::{Splitter, SplitterConfig};

use super::event::Event;
use super::stream::{self, StreamError};
use crate::config::Wyoming as Wish;
use crate::sound_work::{SoundError, SoundWork};

/// A client that says nothing for so long is gone.
const IDLE_MAX: Duration = Duration::from_secs(120);
/// A client that takes nothing for so long is gone.
const WRITE_MAX: Duration = Duration::from_secs(20);
/// Sound sent in one event: 64 ms.
const CHUNK_SAMPLES: usize = 1_024;
const PROGRAM: &str = "offhook";
const ATTRIBUTION: &str = "https://github.com/ggerganov/whisper.cpp";

/// Bound before anything else starts, like all other sockets.
pub struct Listeners(Vec<TcpListener>);

impl Listeners {
    /// Those of `[wyoming]`; none where it is off.
    pub async fn bind(wish: &Wish) -> anyhow::Result<Listeners> {
        let mut bound = Vec::new();
        if wish.enabled {
            for address in crate::server::addresses(&wish.bind).await {
                let listener = TcpListener::bind((address, wish.port)).await;
                let place = || format!("port {} of [wyoming] on {address}", wish.port);
                bound.push(listener.with_context(place)?);
            }
        }
        Ok(Listeners(bound))
    }

    /// One listener that is bound already.
    pub fn of(listener: TcpListener) -> Listeners {
        Listeners(vec![listener])
    }

    pub fn addresses(&self) -> Vec<SocketAddr> {
        let addresses = self.0.iter().filter_map(|l| l.local_addr().ok());
        addresses.collect()
    }
}

/// Serves all listeners until the task is dropped.
pub async fn serve(listeners: Listeners, work: SoundWork, connections_max: usize) {
    let places = Arc::new(Semaphore::new(connections_max));
    let servers = listeners.0.into_iter().map(|listener| {
        let (work, places) = (work.clone(), Arc::clone(&places));
        async move {
            let mut clients = tokio::task::JoinSet::new();
            loop {
                let accepted = tokio::select! {
                    accepted = listener.accept() => accepted,
                    Some(_) = clients.join_next() => continue,
                };
                let Ok((socket, peer)) = accepted else {
                    // Out of file descriptors: others may close theirs.
                    tokio::time::sleep(Duration::from_millis(200)).await;
                    continue;
                };
                let Ok(place) = Arc::clone(&places).try_acquire_owned() else {
                    warn!(%peer, "Wyoming: too many connections, this one is closed");
                    continue;
                };
                let work = work.clone();
                clients.spawn(async move {
                    let _place = place;
                    let outcome = Client::new(socket, work).run().await;
                    if let Err(error) = outcome {
                        debug!(%peer, %error, "Wyoming: connection ended");
                    }
                });
            }
        }
    });
    futures_util::future::join_all(servers).await;
}

/// Sound on its way in.
struct Recording {
    resampler: Aligned,
    pcm: Vec<i16>,
    /// More came than is heard.
    is_too_long: bool,
}

/// Text on its way in, piece by piece, and whether its sound has begun.
struct Reading {
    splitter: Splitter,
    chars: usize,
    has_started: bool,
}

struct Client {
    reader: BufReader<OwnedReadHalf>,
    writer: BufWriter<OwnedWriteHalf>,
    work: SoundWork,
    language: Option<String>,
    recording: Option<Recording>,
    reading: Option<Reading>,
}

impl Client {
    fn new(socket: TcpStream, work: SoundWork) -> Client {
        let _ = socket.set_nodelay(true);
        let (reader, writer) = socket.into_split();
        Client {
            reader: BufReader::new(reader),
            writer: BufWriter::new(writer),
            work,
            language: None,
            recording: None,
            reading: None,
        }
    }

    async fn run(mut self) -> Result<(), StreamError> {
        loop {
            let event = match stream::read(&mut self.reader, IDLE_MAX).await {
                Ok(event) => event,
                Err(StreamError::Closed) => return Ok(()),
                Err(error) => return Err(error),
            };
            self.handle(event).await?;
        }
    }

    async fn send(&mut self, event: &Event) -> Result<(), StreamError> {
        stream::write(&mut self.writer, event, WRITE_MAX).await
    }

    async fn fail(&mut self, error: &SoundError) -> Result<(), StreamError> {
        info!(%error, "Wyoming: not served");
        let code = match error {
            SoundError::Busy => "busy",
            SoundError::NotReady(_) => "not-ready",
            _ => "failed",
        };
        let data = json!({ "text": error.to_string(), "code": code });
        self.send(&Event::new("error", data)).await
    }

    async fn handle(&mut self, event: Event) -> Result<(), StreamError> {
        match event.kind.as_str() {
            "describe" => {
                let info = match self.work.engines().await {
                    Ok(engines) => describe(&engines),
                    Err(error) => return self.fail(&error).await,
                };
                self.send(&Event::new("info", info)).await
            }
            "ping" => {
                let data = json!({ "text": event.text("text") });
                self.send(&Event::new("pong", data)).await
            }
            "transcribe" => {
                self.language = event.text("language").map(str::to_owned);
                self.recording = None;
                Ok(())
            }
            "audio-start" => {
                self.recording = Some(self.record(&event));
                Ok(())
            }
            "audio-chunk" => {
                let mut recording = match self.recording.take() {
                    Some(recording) => recording,
                    None => self.record(&event),
                };
                recording.push(&event, self.work.limits().duration_s_max);
                self.recording = Some(recording);
                Ok(())
            }
            "audio-stop" => match self.recording.take() {
                Some(recording) => self.transcribe(recording).await,
                None => Ok(()),
            },
            // A client that streams sends the whole text as well, for servers that cannot.
            "synthesize" if self.reading.is_some() => Ok(()),
            "synthesize" => {
                let text = event.text("text").unwrap_or_default().to_owned();
                let mut has_started = false;
                self.speak(&text, &mut has_started).await?;
                self.end_sound(has_started).await
            }
            "synthesize-start" => {
                self.reading = Some(Reading {
                    splitter: Splitter::new(SplitterConfig::default()),
                    chars: 0,
                    has_started: false,
                });
                Ok(())
            }
            "synthesize-chunk" => {
                let Some(mut reading) = self.reading.take() else {
                    return Ok(());
                };
                let text = event.text("text").unwrap_or_default();
                reading.chars += text.chars().count();
                let max = self.work.limits().text_chars_max;
                if reading.chars > max {
                    return self.fail(&SoundError::TextTooLong { max }).await;
                }
                for clause in reading.splitter.push(text) {
                    self.speak(&clause, &mut reading.has_started).await?;
                }
                self.reading = Some(reading);
                Ok(())
            }
            "synthesize-stop" => {
                let Some(mut reading) = self.reading.take() else {
                    return Ok(());
                };
                if let Some(clause) = reading.splitter.finish() {
                    self.speak(&clause, &mut reading.has_started).await?;
                }
                self.end_sound(reading.has_started).await?;
                self.send(&Event::new("synthesize-stopped", json!({})))
                    .await
            }
            // The protocol grows; what is not known is passed over.
            _ => Ok(()),
        }
    }

    fn record(&self, event: &Event) -> Recording {
        let rate_hz = event.number("rate").unwrap_or(asr::SAMPLE_RATE_HZ);
        Recording {
            resampler: Aligned::new(rate_hz, asr::SAMPLE_RATE_HZ),
            pcm: Vec::new(),
            is_too_long: false,
        }
    }

    async fn transcribe(&mut self, recording: Recording) -> Result<(), StreamError> {
        let mut pcm = recording.pcm;
        pcm.extend(recording.resampler.finish());
        let max_s = self.work.limits().duration_s_max;
        let heard = match recording.is_too_long {
            true => Err(FileError::TooLong { max_s }.into()),
            false => tokio::select! {
                heard = self.work.hear(pcm) => heard,
                () = hung_up(&mut self.reader) => return Err(StreamError::Closed),
            },
        };
        match heard {
            Ok(heard) => {
                let language = heard.language.or_else(|| self.language.take());
                let data = json!({ "text": heard.text, "language": language });
                self.send(&Event::new("transcript", data)).await
            }
            Err(error) => self.fail(&error).await,
        }
    }

    /// Sends the sound of `text`. What fails is told, and the connection goes on.
    async fn speak(&mut self, text: &str, has_started: &mut bool) -> Result<(), StreamError> {
        let mut clauses = match self.work.speak_clauses(text) {
            Ok(clauses) => clauses,
            Err(error) => return self.fail(&error).await,
        };
        while let Some(clause) = clauses.recv().await {
            let pcm = match clause {
                Ok(pcm) => pcm,
                Err(error) => return self.fail(&error).await,
            };
            if !std::mem::replace(has_started, true) {
                self.send(&Event::new("audio-start", format())).await?;
            }
            for part in pcm.chunks(CHUNK_SAMPLES) {
                let mut chunk = Event::new("audio-chunk", format());
                chunk.payload = part.iter().flat_map(|s| s.to_le_bytes()).collect();
                self.send(&chunk).await?;
            }
        }
        Ok(())
    }

    /// Every answer has a start and a stop, even one without sound.
    async fn end_sound(&mut self, has_started: bool) -> Result<(), StreamError> {
        if !has_started {
            self.send(&Event::new("audio-start", format())).await?;
        }
        self.send(&Event::new("audio-stop", json!({}))).await
    }
}

fn format() -> Value {
    json!({ "rate": tts::SAMPLE_RATE_HZ, "width": 2, "channels": 1 })
}

impl Recording {
    /// Adds a chunk, mixed to mono. Another rate than the first is taken as a mistake of the client and not heeded.
    fn push(&mut self, event: &Event, max_s: u32) {
        let width = event.number("width").unwrap_or(2).clamp(1, 4) as usize;
        let channels = event.number("channels").unwrap_or(1).clamp(1, 8) as usize;
        let frames = event.payload.chunks_exact(width * channels);
        let mono: Vec<i16> = frames
            .map(|frame| {
                let sum: i32 = frame.chunks_exact(width).map(sample).sum();
                (sum / channels as i32) as i16
            })
            .collect();
        if self.is_too_long {
            return;
        }
        self.pcm.extend(self.resampler.process(&mono));
        let samples_max = max_s as usize * asr::SAMPLE_RATE_HZ as usize;
        if self.pcm.len() > samples_max {
            self.is_too_long = true;
            self.pcm.clear();
        }
    }
}

/// Returns when the client is gone; one that has said more already is there.
async fn hung_up(reader: &mut BufReader<OwnedReadHalf>) {
    if reader.fill_buf().await.is_ok_and(|more| !more.is_empty()) {
        std::future::pending::<()>().await;
    }
}

/// One little-endian sample of 1 to 4 bytes, by its two highest.
fn sample(bytes: &[u8]) -> i32 {
    match bytes {
        [byte] => (i32::from(*byte) - 128) << 8,
        [.., low, high] => i32::from(i16::from_le_bytes([*low, *high])),
        [] => 0,
    }
}

/// What `describe` is answered with.
fn describe(engines: &crate::engines::Engines) -> Value {
    let version = env!("CARGO_PKG_VERSION");
    let attribution = json!({ "name": "Offhook", "url": ATTRIBUTION });
    let model = engines.ears.model.rsplit('/').next().unwrap_or_default();
    let language = engines.voice.language.clone();
    let short = language.split('-').next().unwrap_or_default().to_owned();
    json!({
        "asr": [{
            "name": PROGRAM,
            "attribution": attribution,
            "installed": true,
            "description": "The ears of Offhook",
            "version": version,
            "models": [{
                "name": model,
                "attribution": attribution,
                "installed": true,
                "description": model,
                "version": version,
                "languages": engines.ears.languages,
            }],
            "supports_transcript_streaming": false,
        }],
        "tts": [{
            "name": PROGRAM,
            "attribution": attribution,
            "installed": true,
            "description": "The voice of Offhook",
            "version": version,
            "voices": [{
                "name": engines.voice.name,
                "attribution": attribution,
                "installed": true,
                "description": engines.voice.name,
                "version": version,
                "languages": [short, language],
            }],
            "supports_synthesize_streaming": true,
        }],
        "handle": [], "intent": [], "wake": [], "mic": [], "snd": [],
    })
}

/// A clip as the events a client sends to have it heard.
pub fn recording(clip: &Clip, language: &str) -> Vec<Event> {
    let format = json!({ "rate": clip.rate_hz, "width": 2, "channels": 1 });
    let mut events = vec![
        Event::new("transcribe", json!({ "language": language })),
        Event::new("audio-start", format.clone()),
    ];
    for part in clip.samples.chunks(CHUNK_SAMPLES) {
        let mut chunk = Event::new("audio-chunk", format.clone());
        chunk.payload = part.iter().flat_map(|s| s.to_le_bytes()).collect();
        events.push(chunk);
    }
    events.push(Event::new("audio-stop", json!({})));
    events
}
