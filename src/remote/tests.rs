//! Engines behind an OpenAI-compatible API: our own, on a port of its own.

use std::sync::Arc;

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
