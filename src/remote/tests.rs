//! Engines behind an OpenAI-compatible API: our own, on a port of its own.

use std::sync::{Arc, Mutex};

use asr::engine::{Engine as _, Kind, Options};
use tokio::sync::watch;
use tts::engine::Engine as _;

use super::*;
use crate::engines::{self, EngineState};
use crate::server::engine_plan;
use crate::sound_work::{SoundLimits, SoundWork};

#[tokio::test(flavor = "multi_thread")]
async fn ears_and_voice_over_http() {
    crate::testing::install_tls();
    let plan = engine_plan(&Config::default(), None);
    let opened = tokio::task::spawn_blocking(move || engines::open(&plan)).await;
    let engines = Arc::new(opened.expect("no panic").expect("built in"));
    let (_, state) = watch::channel(EngineState::Ready(engines));
    let work = SoundWork::new(state, SoundLimits::default());
    let wish = Config::default().audio;
    let app: axum::Router = crate::audio_api::routes(work.clone(), &wish, Secret::new("key"));
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0")
        .await
        .expect("a port");
    let address = listener.local_addr().expect("bound");
    tokio::spawn(async move { axum::serve(listener, app).await });
    let words = "What time is it?";
    let pcm = work.speak(words).await.expect("spoken").pcm;

    let wish = Remote {
        url: format!("http://{address}/v1"),
        timeout_ms: 60_000,
        ..Config::default().asr.remote
    };
    let line = move |key: &str| {
        Line::open(&wish, Some(Secret::new(key)))
            .expect("opens")
            .expect("named")
    };
    let asked = tokio::task::spawn_blocking(move || {
        assert_eq!(
            line("key").check("asr").expect("answers"),
            "an OpenAI-compatible API"
        );
        assert!(line("wrong").check("asr").is_err());
        let options = Options::new(Kind::Final, Arc::default());
        let home = |text: &str| {
            let script = vec![asr::fake::Line::Say(text.to_owned())];
            Box::new(asr::fake::FakeEngine::new(script))
        };
        let mut right = RemoteEars::new(line("key"), "en", home("home"));
        let heard = right.transcribe(&pcm, &options).expect("heard");
        assert_eq!(
            heard.text.trim_end_matches('?').to_lowercase(),
            "what time is it"
        );
        let mut wrong = RemoteEars::new(line("wrong"), "en", home("home"));
        assert_eq!(
            wrong.transcribe(&pcm, &options).expect("heard").text,
            "home"
        );
        let at_home = tts::voices::open("flite:rms", 1.0).expect("built in");
        let mut voice = RemoteVoice::new(line("key"), "", 1.0, at_home);
        let mut spoken = 0;
        voice
            .synthesise(words, &mut |part| {
                spoken += part.len();
                std::ops::ControlFlow::Continue(())
            })
            .expect("spoken");
        assert!(spoken.abs_diff(pcm.len()) < 4_000, "{spoken} {}", pcm.len());
        // Nobody wants it any more: it ends without the one at home being asked.
        let stopped = Options::default();
        stopped
            .cancelled
            .store(true, std::sync::atomic::Ordering::Relaxed);
        assert!(right.transcribe(&pcm, &stopped).is_err());
    });
    asked.await.expect("no panic");
}

#[tokio::test]
async fn work_without_end_is_ended() {
    let never = || std::future::pending::<Result<(), RemoteError>>();
    let late = watched(never(), Duration::from_millis(1), || false).await;
    assert!(matches!(late, Err(RemoteError::TimedOut)), "{late:?}");
    let unwanted = watched(never(), Duration::from_secs(600), || true).await;
    assert!(
        matches!(unwanted, Err(RemoteError::Stopped)),
        "{unwanted:?}"
    );
}

#[test]
fn what_the_other_side_says_is_not_logged_in_clear() {
    let said = RemoteError::Said("you said: my PIN is 4711".to_owned()).to_string();
    assert!(!said.contains("4711"), "{said}");
}

/// An API that answers as the first part of the path says.
async fn odd_api() -> (String, Arc<Mutex<Vec<usize>>>) {
    use axum::routing::post;
    crate::testing::install_tls();
    let pieces: Arc<Mutex<Vec<usize>>> = Arc::default();
    let answer = |kind: &'static str, body: &'static [u8]| {
        post(move || async move { ([("content-type", kind)], body) })
    };
    let hear = post({
        let pieces = Arc::clone(&pieces);
        |body: axum::body::Bytes| async move {
            let mut pieces = pieces.lock().expect("no panic");
            pieces.push(body.len());
            let words = ["one two three", "four five six", "seven"];
            let text = words[(pieces.len() - 1).min(2)];
            axum::Json(serde_json::json!({ "text": text }))
        }
    });
    let app = axum::Router::new()
        .route("/silent/audio/speech", answer("audio/pcm", b""))
        .route("/page/audio/speech", answer("text/html", b"<p>welcome</p>"))
        .route("/mp3/audio/speech", answer("audio/mpeg", &[0; 4_000]))
        .route(
            "/wav/audio/speech",
            answer("audio/pcm", b"RIFF....WAVEfmt "),
        )
        .route("/never/audio/speech", post(std::future::pending::<String>))
        .route("/ears/audio/transcriptions", hear)
        .layer(axum::extract::DefaultBodyLimit::disable());
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0")
        .await
        .expect("a port");
    let address = listener.local_addr().expect("bound");
    tokio::spawn(async move { axum::serve(listener, app).await });
    (format!("http://{address}"), pieces)
}

fn line_to(base: &str, first: &str) -> Line {
    let wish = Remote {
        url: format!("{base}/{first}"),
        timeout_ms: 60_000,
        ..Config::default().asr.remote
    };
    Line::open(&wish, None).expect("opens").expect("named")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_voice_that_gives_no_sound_is_spoken_for() {
    let (base, _) = odd_api().await;
    let work = move || {
        let voice = |first| {
            let home = Box::new(tts::fake::FakeEngine::new());
            RemoteVoice::new(line_to(&base, first), "", 1.0, home)
        };
        for first in ["silent", "page", "mp3", "wav", "nowhere"] {
            let mut voice = voice(first);
            let far = voice.name().to_owned();
            let mut samples = 0;
            let mut sink = |part: &[i16]| {
                samples += part.len();
                std::ops::ControlFlow::Continue(())
            };
            voice.synthesise("hello", &mut sink).expect("spoken");
            assert_eq!(samples, 5 * tts::fake::SAMPLES_PER_LETTER, "{first}");
            // What was said is kept under the name of who said it.
            assert_ne!(voice.name(), far, "{first}");
        }
        // Nobody listens any more: the job ends, and nobody at home begins.
        let mut voice = voice("never");
        let mut samples = 0;
        let mut sink = |part: &[i16]| {
            samples += part.len();
            std::ops::ControlFlow::Break(())
        };
        voice.synthesise("hello", &mut sink).expect("stopped");
        assert_eq!(samples, 0);
    };
    tokio::task::spawn_blocking(work).await.expect("no panic");
}

#[tokio::test(flavor = "multi_thread")]
async fn ears_elsewhere_get_no_more_than_they_hear() {
    let (base, pieces) = odd_api().await;
    let work = move || {
        let home = Box::new(asr::fake::FakeEngine::saying(&["home"]));
        let mut ears = RemoteEars::new(line_to(&base, "ears"), "en", home);
        // Long, and nobody pauses in it.
        let mut speaker = tts::voices::open("flite:slt", 1.0).expect("built in");
        let mut word = Vec::new();
        let mut sink = |part: &[i16]| {
            word.extend_from_slice(part);
            std::ops::ControlFlow::Continue(())
        };
        speaker
            .synthesise("one two three", &mut sink)
            .expect("spoken");
        let pcm = word.repeat(45 * 16_000 / word.len());
        let options = Options::new(Kind::Final, Arc::default());
        ears.transcribe(&pcm, &options).expect("heard").text
    };
    let text = tokio::task::spawn_blocking(work).await.expect("no panic");
    assert!(text.starts_with("one two three four five six"), "{text}");
    let pieces = pieces.lock().expect("no panic");
    assert!(pieces.len() > 1, "{pieces:?}");
    // 28 s at 32 kB, and what stands around them.
    assert!(pieces.iter().all(|bytes| *bytes < 900_000), "{pieces:?}");
}

#[test]
fn addresses_tell_the_protocol() {
    crate::testing::install_tls();
    for (url, expected) in [
        ("tcp://box:10300", Some("tcp://box:10300")),
        ("tcp://[::1]:10300", Some("tcp://::1:10300")),
        ("http://box:8060/v1/", Some("http://box:8060/v1")),
        ("https://api.example/v1", Some("https://api.example/v1")),
        ("", None),
        ("tcp://box", None),
    ] {
        let wish = Remote {
            url: url.to_owned(),
            ..Config::default().asr.remote
        };
        let line = Line::open(&wish, None).expect("opens");
        assert_eq!(
            line.map(|line| line.address()).as_deref(),
            expected,
            "{url}"
        );
    }
}
