//! Server and client over real sockets: our server, our remote engines as its clients, and what they do when it is gone.

use std::sync::Arc;
use std::time::Duration;

use asr::engine::{Engine as _, Kind, Options};
use media::file::Clip;
use serde_json::json;
use tokio::io::BufReader;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tts::engine::Engine as _;

use super::event::Event;
use super::{Listeners, recording, serve, stream};
use crate::config::{Config, Remote};
use crate::engines::{self, EngineState, Engines};
use crate::remote::{Line, RemoteEars, RemoteVoice};
use crate::server::engine_plan;
use crate::sound_work::{SoundLimits, SoundWork};

const WITHIN: Duration = Duration::from_secs(60);
const WORDS: &str = "What time is it?";

fn letters(text: &str) -> String {
    let letters = text.chars().filter(|c| c.is_alphanumeric());
    letters.collect::<String>().to_lowercase()
}

async fn built_in() -> Arc<Engines> {
    crate::testing::install_tls();
    let plan = engine_plan(&Config::default(), None);
    let opened = tokio::task::spawn_blocking(move || engines::open(&plan)).await;
    Arc::new(opened.expect("no panic").expect("built in"))
}

/// A server with the built-in engines, and its port.
async fn served(limits: SoundLimits) -> (u16, Arc<Engines>, tokio::task::JoinHandle<()>) {
    let engines = built_in().await;
    let (_, state) = watch::channel(EngineState::Ready(Arc::clone(&engines)));
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let port = listener.local_addr().expect("bound").port();
    let work = SoundWork::new(state, limits);
    let server = tokio::spawn(serve(Listeners::of(listener), work, 2));
    (port, engines, server)
}

struct Peer(BufReader<TcpStream>);

impl Peer {
    async fn connect(port: u16) -> Peer {
        let socket = TcpStream::connect(("127.0.0.1", port)).await;
        Peer(BufReader::new(socket.expect("connects")))
    }

    async fn send(&mut self, kind: &str, data: serde_json::Value) {
        let event = Event::new(kind, data);
        stream::write(&mut self.0, &event, WITHIN)
            .await
            .expect("sent");
    }

    async fn next(&mut self) -> Event {
        stream::read(&mut self.0, WITHIN).await.expect("an event")
    }

    /// Sound up to its stop.
    async fn sound(&mut self) -> Vec<i16> {
        assert_eq!(self.next().await.kind, "audio-start");
        let mut pcm = Vec::new();
        loop {
            let event = self.next().await;
            match event.kind.as_str() {
                "audio-chunk" => {
                    assert_eq!(event.number("rate"), Some(16_000));
                    let pairs = event.payload.chunks_exact(2);
                    pcm.extend(pairs.map(|b| i16::from_le_bytes([b[0], b[1]])));
                }
                "audio-stop" => return pcm,
                other => panic!("{other}"),
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn one_connection_speaks_and_hears() {
    let (port, ..) = served(SoundLimits::default()).await;
    let mut peer = Peer::connect(port).await;
    peer.send("describe", json!({})).await;
    let info = peer.next().await;
    assert_eq!(info.kind, "info");
    assert_eq!(info.data["asr"][0]["models"][0]["languages"][0], "en");
    assert_eq!(info.data["tts"][0]["voices"][0]["name"], "flite:slt");
    peer.send("ping", json!({"text": "x"})).await;
    assert_eq!(peer.next().await.text("text"), Some("x"));
    peer.send("of-a-later-version", json!({})).await;

    peer.send("synthesize", json!({"text": WORDS})).await;
    let pcm = peer.sound().await;
    // The same in pieces, with the whole text in between as Home Assistant sends it.
    peer.send("synthesize-start", json!({})).await;
    for piece in ["What time ", "is", " it?"] {
        peer.send("synthesize-chunk", json!({"text": piece})).await;
    }
    peer.send("synthesize", json!({"text": WORDS})).await;
    peer.send("synthesize-stop", json!({})).await;
    let streamed = peer.sound().await;
    assert_eq!(peer.next().await.kind, "synthesize-stopped");
    assert!(
        streamed.len() * 10 > pcm.len() * 8,
        "{} {}",
        streamed.len(),
        pcm.len()
    );

    // At another rate; and in stereo.
    let clip = Clip {
        rate_hz: 22_050,
        samples: media::resample::resample_clip(&pcm, 16_000, 22_050),
    };
    for channels in [1, 2] {
        for mut event in recording(&clip, "en") {
            if event.kind == "audio-chunk" {
                event.data.insert("channels".to_owned(), json!(channels));
                let samples = event.payload.chunks_exact(2);
                event.payload = samples.flat_map(|sample| sample.repeat(channels)).collect();
            }
            stream::write(&mut peer.0, &event, WITHIN)
                .await
                .expect("sent");
        }
        let transcript = peer.next().await;
        assert_eq!(transcript.kind, "transcript");
        assert_eq!(
            letters(transcript.text("text").expect("words")),
            letters(WORDS)
        );
    }
    // Nothing said, nothing heard; still an answer each.
    peer.send("synthesize", json!({"text": " "})).await;
    assert!(peer.sound().await.is_empty());
    peer.send(
        "audio-start",
        json!({"rate": 16000, "width": 2, "channels": 1}),
    )
    .await;
    peer.send("audio-stop", json!({})).await;
    assert_eq!(peer.next().await.text("text"), Some(""));
}

#[tokio::test(flavor = "multi_thread")]
async fn bounds_are_told() {
    let limits = SoundLimits {
        duration_s_max: 1,
        text_chars_max: 10,
        ..SoundLimits::default()
    };
    let (port, ..) = served(limits).await;
    let mut peer = Peer::connect(port).await;
    let clip = Clip {
        rate_hz: 16_000,
        samples: vec![0; 40_000],
    };
    for event in recording(&clip, "en") {
        stream::write(&mut peer.0, &event, WITHIN)
            .await
            .expect("sent");
    }
    assert_eq!(peer.next().await.kind, "error");
    peer.send("synthesize", json!({"text": WORDS})).await;
    assert_eq!(peer.next().await.kind, "error");
    assert!(peer.sound().await.is_empty());
    // Two connections at once: the third is closed.
    let _second = Peer::connect(port).await;
    let mut third = Peer::connect(port).await;
    let closed = stream::read(&mut third.0, WITHIN).await;
    assert!(closed.is_err());
    // Nonsense ends its connection and no other.
    tokio::io::AsyncWriteExt::write_all(&mut peer.0, b"GET / HTTP/1.1\r\n")
        .await
        .expect("sent");
    assert!(stream::read(&mut peer.0, WITHIN).await.is_err());
}

#[tokio::test(flavor = "multi_thread")]
async fn who_hangs_up_is_not_heard_to_the_end() {
    let script = [
        asr::fake::Line::WaitThenSay("first".to_owned()),
        asr::fake::Line::Say("second".to_owned()),
    ];
    let ears = asr::fake::FakeEngine::new(script);
    let gate = ears.gate();
    let voice = tts::fake::FakeEngine::new();
    let engines = Arc::new(crate::testing::engines(Box::new(ears), Box::new(voice)));
    let (_, state) = watch::channel(EngineState::Ready(Arc::clone(&engines)));
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let port = listener.local_addr().expect("bound").port();
    let limits = SoundLimits {
        at_once: 1,
        ..SoundLimits::default()
    };
    tokio::spawn(serve(
        Listeners::of(listener),
        SoundWork::new(state, limits),
        2,
    ));
    let clip = Clip {
        rate_hz: 16_000,
        samples: (0..16_000)
            .map(|n| if n / 40 % 2 == 0 { 4_000 } else { -4_000 })
            .collect(),
    };
    let say = async |peer: &mut Peer| {
        for event in recording(&clip, "en") {
            stream::write(&mut peer.0, &event, WITHIN)
                .await
                .expect("sent");
        }
    };
    let mut first = Peer::connect(port).await;
    say(&mut first).await;
    tokio::task::spawn_blocking(move || gate.wait_until_reached())
        .await
        .expect("waits");
    // Only one is heard at a time, and nothing opens the gate for the first.
    drop(first);
    let mut second = Peer::connect(port).await;
    say(&mut second).await;
    second.send("ping", json!({"text": "still here"})).await;
    assert_eq!(second.next().await.text("text"), Some("second"));
    assert_eq!(second.next().await.kind, "pong");
}

#[tokio::test(flavor = "multi_thread")]
async fn remote_engines_use_it_and_fall_back() {
    let (port, engines, server) = served(SoundLimits::default()).await;
    let pcm = tokio::task::spawn_blocking({
        let engines = Arc::clone(&engines);
        move || engines.speak(WORDS)
    });
    let pcm = pcm.await.expect("no panic").expect("spoken");
    let wish = Remote {
        url: format!("tcp://127.0.0.1:{port}"),
        timeout_ms: 60_000,
        ..Config::default().asr.remote
    };
    let line = |wish: &Remote| Line::open(wish, None).expect("opens").expect("named");
    // The one at home says other things, so that it is known who answered.
    let home = |words: &[&str]| {
        let lines = words
            .iter()
            .map(|text| asr::fake::Line::Say((*text).to_owned()));
        Box::new(asr::fake::FakeEngine::new(lines.collect::<Vec<_>>()))
    };
    let check = line(&wish);
    let mut ears = RemoteEars::new(line(&wish), "en", home(&["partial", "home", "home again"]));
    let mut voice = RemoteVoice::new(
        line(&wish),
        "",
        1.0,
        tts::voices::open("flite:rms", 1.0).expect("built in"),
    );
    let work = tokio::task::spawn_blocking(move || {
        assert_eq!(check.check("asr").expect("answers"), "offhook over Wyoming");
        let hear = |ears: &mut RemoteEars, kind, pcm: &[i16]| {
            let options = Options::new(kind, Arc::default());
            ears.transcribe(pcm, &options).expect("heard").text
        };
        assert_eq!(letters(&hear(&mut ears, Kind::Final, &pcm)), letters(WORDS));
        assert_eq!(hear(&mut ears, Kind::Partial, &pcm), "partial");
        // Silence is not sent.
        assert_eq!(hear(&mut ears, Kind::Final, &[0; 16_000]), "");
        let mut spoken = Vec::new();
        let far = voice.name().to_owned();
        voice.warm().expect("warm");
        voice
            .synthesise(WORDS, &mut |part| {
                spoken.extend_from_slice(part);
                std::ops::ControlFlow::Continue(())
            })
            .expect("spoken");
        assert!(spoken.len() * 10 > pcm.len() * 8 && spoken.len() < pcm.len() * 2);
        (ears, voice, far, pcm, check)
    });
    let (mut ears, mut voice, far, pcm, check) = work.await.expect("no panic");
    // The server goes away: the engines at home take over, at once and for a while.
    server.abort();
    let _ = server.await;
    let after = tokio::task::spawn_blocking(move || {
        let options = Options::new(Kind::Final, Arc::default());
        for expected in ["home", "home again"] {
            let heard = ears.transcribe(&pcm, &options).expect("heard");
            assert_eq!(heard.text, expected);
        }
        let mut samples = 0;
        for _ in 0..2 {
            voice
                .synthesise(WORDS, &mut |part| {
                    samples += part.len();
                    std::ops::ControlFlow::Continue(())
                })
                .expect("spoken");
        }
        assert!(samples > pcm.len());
        assert_ne!(voice.name(), far);
        assert!(check.check("tts").is_err());
    });
    after.await.expect("no panic");
}
