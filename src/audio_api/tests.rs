//! The routes over real sockets, with the built-in ears and voice.

use std::net::SocketAddr;

use media::file::{self, Clip, wav};
use reqwest::{Client, Response, StatusCode};
use serde_json::{Value, json};

use super::*;
use crate::engines::{self, EngineState};
use crate::server::engine_plan;

const TOKEN: &str = "a-token-of-its-own";

/// The API on a port of its own, with limits that are soon reached.
async fn served(change: impl FnOnce(&mut Wish)) -> (SocketAddr, Client, SoundWork) {
    let mut wish = Wish {
        file_mib_max: 1,
        duration_s_max: 20,
        text_chars_max: 80,
        at_once: 1,
        waiting_max: 1,
        ..Wish::default()
    };
    change(&mut wish);
    let plan = engine_plan(&Config::default(), None);
    let opened = tokio::task::spawn_blocking(move || engines::open(&plan)).await;
    let engines = opened.expect("no panic").expect("built in");
    served_with(wish, engines).await
}

async fn served_with(wish: Wish, engines: engines::Engines) -> (SocketAddr, Client, SoundWork) {
    let (_, state) = tokio::sync::watch::channel(EngineState::Ready(Arc::new(engines)));
    let work = SoundWork::new(state, limits(&wish));
    let app: Router = routes(work.clone(), &wish, Secret::new(TOKEN));
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0")
        .await
        .expect("a port");
    let address = listener.local_addr().expect("bound");
    tokio::spawn(async move { axum::serve(listener, app).await });
    crate::testing::install_tls();
    let client = Client::builder().no_proxy().build().expect("a client");
    (address, client, work)
}

/// A form as OpenClaw, curl and OpenAI's library write it: any name, any declared type.
fn form(fields: &[(&str, &str)], file: Option<&[u8]>) -> (String, Vec<u8>) {
    let mut body = Vec::new();
    for (name, value) in fields {
        let part =
            format!("--B\r\nContent-Disposition: form-data; name=\"{name}\"\r\n\r\n{value}\r\n");
        body.extend(part.into_bytes());
    }
    if let Some(file) = file {
        let head = "--B\r\nContent-Disposition: form-data; name=\"file\"; filename=\"../x.mp3\"\r\n\
                    Content-Type: audio/mpeg\r\n\r\n";
        body.extend(head.bytes());
        body.extend_from_slice(file);
        body.extend(b"\r\n");
    }
    body.extend(b"--B--\r\n");
    ("multipart/form-data; boundary=B".to_owned(), body)
}

async fn hear(
    (address, client, _): &(SocketAddr, Client, SoundWork),
    fields: &[(&str, &str)],
    file: Option<&[u8]>,
) -> Response {
    let (content_type, body) = form(fields, file);
    client
        .post(format!("http://{address}/v1/audio/transcriptions"))
        .bearer_auth(TOKEN)
        .header("Content-Type", content_type)
        .body(body)
        .send()
        .await
        .expect("an answer")
}

async fn say((address, client, _): &(SocketAddr, Client, SoundWork), wish: Value) -> Response {
    client
        .post(format!("http://{address}/v1/audio/speech"))
        .bearer_auth(TOKEN)
        .json(&wish)
        .send()
        .await
        .expect("an answer")
}

/// The error object's message and parameter.
async fn refusal(response: Response) -> (StatusCode, String, Value) {
    let status = response.status();
    let body: Value = response.json().await.expect("JSON");
    let error = &body["error"];
    assert!(
        error["type"].is_string() && error.get("code").is_some(),
        "{body}"
    );
    let message = error["message"].as_str().expect("a message");
    (status, message.to_owned(), error["param"].clone())
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_said_is_heard_in_every_format() {
    let api = served(|_| {}).await;
    let words = "What time is it?";
    let note = say(
        &api,
        json!({"input": words, "model": "tts-1", "voice": "alloy", "response_format": "opus"}),
    )
    .await;
    assert_eq!(note.status(), StatusCode::OK);
    assert_eq!(note.headers()["content-type"], "audio/ogg; codecs=opus");
    let note = note.bytes().await.expect("sound");
    assert!(note.starts_with(b"OggS"));
    let letters = |text: &str| -> String {
        text.chars()
            .filter(|c| c.is_alphanumeric())
            .collect::<String>()
            .to_lowercase()
    };
    let json: Value = hear(&api, &[("model", "whisper-1")], Some(&note))
        .await
        .json()
        .await
        .expect("JSON");
    let heard = json["text"].as_str().expect("a text").to_owned();
    assert_eq!(letters(&heard), letters(words));
    for (format, begins, content_type) in [
        ("text", heard.as_str(), "text/plain; charset=utf-8"),
        ("srt", "1\n00:00:0", "text/plain; charset=utf-8"),
        ("vtt", "WEBVTT\n\n00:00:0", "text/vtt; charset=utf-8"),
        ("verbose_json", "{\"duration\":", "application/json"),
    ] {
        let fields = [
            ("response_format", format),
            ("language", "en"),
            ("temperature", "0"),
            ("prompt", "x"),
        ];
        let answer = hear(&api, &fields, Some(&note)).await;
        assert_eq!(answer.headers()["content-type"], content_type);
        let body = answer.text().await.expect("a body");
        assert!(body.starts_with(begins), "{format}: {} bytes", body.len());
    }
    // The other formats of speech are sound of the same length.
    let duration_ms = file::read(&note).expect("ours").duration_ms();
    let wav = say(&api, json!({"input": words}))
        .await
        .bytes()
        .await
        .expect("sound");
    let clip = file::read(&wav).expect("ours");
    assert_eq!(clip.rate_hz, 24_000);
    assert!(clip.duration_ms().abs_diff(duration_ms) <= 2);
    let pcm = say(&api, json!({"input": words, "response_format": "pcm"})).await;
    let pcm = pcm.bytes().await.expect("sound");
    assert!((pcm.len() as u64 / 48).abs_diff(duration_ms) <= 2);
    let fast = say(&api, json!({"input": words, "speed": 2.0}))
        .await
        .bytes()
        .await
        .expect("sound");
    let fast = file::read(&fast).expect("ours").duration_ms();
    assert!(
        (fast * 2).abs_diff(duration_ms) < duration_ms / 5,
        "{fast} {duration_ms}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn speech_that_is_cut_off_does_not_look_whole() {
    let failed = tts::TtsError::EngineFailed {
        reason: "the script says fail".to_owned(),
    };
    let voice = tts::fake::FakeEngine::new().with("door", tts::fake::Mishap::Fail(failed));
    let ears = asr::fake::FakeEngine::saying(&[]);
    let engines = crate::testing::engines(Box::new(ears), Box::new(voice));
    let api = served_with(Wish::default(), engines).await;
    for format in ["opus", "pcm"] {
        for (words, is_whole) in [
            ("Good morning to all of you. The kettle is on.", true),
            ("Good morning to all of you. The door is locked.", false),
        ] {
            let wish = json!({"input": words, "response_format": format});
            let (address, client, _) = &api;
            let answer = client
                .post(format!("http://{address}/v1/audio/speech"))
                .bearer_auth(TOKEN)
                .json(&wish)
                .send()
                .await;
            // Cut off before its head left, or within its body.
            let body = match answer {
                Ok(answer) => answer.bytes().await,
                Err(error) => Err(error),
            };
            assert_eq!(body.is_ok(), is_whole, "{format}: {words}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn refusals_are_openais_errors() {
    let api = served(|_| {}).await;
    let (address, client, _) = &api;
    let silence = |seconds: usize| {
        wav::write(&Clip {
            rate_hz: 8_000,
            samples: vec![0; 8_000 * seconds],
        })
    };
    for path in ["audio/speech", "audio/transcriptions", "models"] {
        let url = format!("http://{address}/v1/{path}");
        for token in ["", "another"] {
            let (status, ..) = match path {
                "models" => {
                    refusal(
                        client
                            .get(&url)
                            .bearer_auth(token)
                            .send()
                            .await
                            .expect("sent"),
                    )
                    .await
                }
                _ => {
                    refusal(
                        client
                            .post(&url)
                            .bearer_auth(token)
                            .send()
                            .await
                            .expect("sent"),
                    )
                    .await
                }
            };
            assert_eq!(status, StatusCode::UNAUTHORIZED, "{path}");
        }
    }
    type Row = (
        &'static [(&'static str, &'static str)],
        Option<Vec<u8>>,
        u16,
        Value,
    );
    let table: Vec<Row> = vec![
        (&[], None, 400, json!("file")),
        (&[], Some(b"hello".to_vec()), 400, json!("file")),
        (&[], Some(Vec::new()), 400, json!("file")),
        (&[], Some(silence(30)), 400, json!("file")),
        (
            &[("response_format", "docx")],
            Some(silence(1)),
            400,
            json!("response_format"),
        ),
        (
            &[("language", "fi")],
            Some(silence(1)),
            400,
            json!("language"),
        ),
        (
            &[("timestamp_granularities[]", "word")],
            Some(silence(1)),
            400,
            json!("timestamp_granularities"),
        ),
        (&[], Some(vec![7; 1_100_000]), 413, Value::Null),
        (&[], Some(silence(1)), 200, Value::Null),
    ];
    for (fields, file, expected, param) in table {
        let answer = hear(&api, fields, file.as_deref()).await;
        if expected == 200 {
            assert_eq!(answer.status(), StatusCode::OK);
            continue;
        }
        let (status, message, found) = refusal(answer).await;
        assert_eq!(
            (status.as_u16(), &found),
            (expected, &param),
            "{fields:?}: {message}"
        );
    }
    let plain = client
        .post(format!("http://{address}/v1/audio/transcriptions"))
        .bearer_auth(TOKEN);
    assert_eq!(
        refusal(plain.body("x").send().await.expect("sent")).await.0,
        StatusCode::BAD_REQUEST
    );
    for (wish, param) in [
        (json!({"input": "x".repeat(81)}), json!("input")),
        (json!({"input": " "}), json!("input")),
        (
            json!({"input": "Hi.", "response_format": "mp3"}),
            json!("response_format"),
        ),
        (json!({"input": "Hi.", "speed": 9}), json!("speed")),
        (
            json!({"input": "Hi.", "stream_format": "sse"}),
            json!("stream_format"),
        ),
        (json!({"text": "Hi."}), Value::Null),
    ] {
        let (status, message, found) = refusal(say(&api, wish.clone()).await).await;
        assert_eq!(
            (status, found),
            (StatusCode::BAD_REQUEST, param),
            "{wish}: {message}"
        );
    }
    let models = client
        .get(format!("http://{address}/v1/models"))
        .bearer_auth(TOKEN);
    let models: Value = models
        .send()
        .await
        .expect("sent")
        .json()
        .await
        .expect("JSON");
    assert_eq!(models["object"], "list");
    assert_eq!(models["data"][0]["id"], "whisper-1");
    // Off: no such place.
    let (address, client, _) = served(|wish| wish.enabled = false).await;
    let gone = client
        .get(format!("http://{address}/v1/models"))
        .bearer_auth(TOKEN);
    assert_eq!(
        gone.send().await.expect("sent").status(),
        StatusCode::NOT_FOUND
    );
}
