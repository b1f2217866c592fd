//! The audio API and `offhook transcribe` as other programs use them: over HTTP, as a command beside the running program,
//! and by the real OpenClaw with the configuration of docs/audio-api.md.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::path::Path;
use std::time::Duration;

use crate::offhook::Offhook;
use crate::openclaw::claw::Claw;
use crate::openclaw::installed::installed;
use crate::openclaw::launch;
use crate::openclaw::model::Model;
use crate::peers::take_floor;
use crate::process::{Folder, Process, wait_until};
use crate::sound::words_in_order;
use crate::telegram_stand_in::{StandIn, TOKEN};

const WORDS: &str = "what time is it";
/// Somebody in Telegram.
const ANNA: i64 = 9;
/// On a small machine OpenClaw's command line takes minutes, and so does its first answer.
const CLAW_LIMIT: Duration = Duration::from_secs(300);

fn token(offhook: &Offhook) -> String {
    let path = offhook.home().join("audio-token");
    std::fs::read_to_string(path)
        .expect("made at the start")
        .trim()
        .to_owned()
}

/// One request, its answer's status and body, chunked or not.
fn request(offhook: &Offhook, token: &str, head: &str, body: &[u8]) -> (u16, Vec<u8>) {
    let mut stream = TcpStream::connect(offhook.web).expect("a web server");
    let limit = Some(Duration::from_secs(60));
    stream
        .set_read_timeout(limit)
        .expect("a timeout can be set");
    // 1.0, so that nothing comes in chunks.
    let (line, headers) = head.split_once('\n').unwrap_or((head, ""));
    let head = format!(
        "{line} HTTP/1.0\r\nAuthorization: Bearer {token}\r\nContent-Length: {}\r\n{headers}\r\n",
        body.len()
    );
    stream.write_all(head.as_bytes()).expect("it reads");
    stream.write_all(body).expect("it reads");
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).expect("it answers");
    let end = answer
        .windows(4)
        .position(|w| w == b"\r\n\r\n")
        .expect("a head");
    let status = String::from_utf8_lossy(&answer[9..12]).parse();
    (status.expect("a status"), answer[end + 4..].to_vec())
}

fn speak(offhook: &Offhook, words: &str, format: &str) -> Vec<u8> {
    let wish = format!(r#"{{"input":"{words}","response_format":"{format}"}}"#);
    let head = "POST /v1/audio/speech\nContent-Type: application/json\r\n";
    let (status, sound) = request(offhook, &token(offhook), head, wish.as_bytes());
    assert_eq!(status, 200, "{}", String::from_utf8_lossy(&sound));
    sound
}

#[test]
fn other_programs_hear_and_speak() {
    let Some(_floor) = take_floor("other_programs_hear_and_speak", None) else {
        return;
    };
    let offhook = Offhook::start("audio_api");
    let note = speak(&offhook, "What time is it?", "opus");
    let mut form =
        b"--X\r\nContent-Disposition: form-data; name=\"model\"\r\n\r\nwhisper-1\r\n--X\r\n\
        Content-Disposition: form-data; name=\"file\"; filename=\"note.ogg\"\r\n\r\n"
            .to_vec();
    form.extend_from_slice(&note);
    form.extend_from_slice(b"\r\n--X--\r\n");
    let head = "POST /v1/audio/transcriptions\nContent-Type: multipart/form-data; boundary=X\r\n";
    let (status, heard) = request(&offhook, &token(&offhook), head, &form);
    let heard = String::from_utf8_lossy(&heard).to_lowercase();
    assert_eq!(status, 200, "{heard}");
    assert_eq!(words_in_order(WORDS, &heard), 4, "{heard}");
    // The token of the phone system does not open it, nor the other way round.
    let (status, _) = request(&offhook, &offhook.api_token(), head, &form);
    assert_eq!(status, 401);
    let (status, _) = request(&offhook, &token(&offhook), "GET /api/status", b"");
    assert_eq!(status, 401);
    // The command, beside the running program and without it.
    let folder = Folder::new("audio_api_files");
    let path = folder.path().join("a voice note of no known name");
    std::fs::write(&path, &note).expect("own folder");
    let said = offhook.transcribe(&path);
    assert_eq!(words_in_order(WORDS, &said), 4, "{said}");
    assert_eq!(said.lines().count(), 1);
    let mut offhook = offhook;
    offhook.signal("TERM");
    offhook.expect_orderly_end(Duration::from_secs(30));
    assert_eq!(offhook.transcribe(&path), said);
    for name in [
        "note.m4a",
        "note.mp3",
        "note.webm",
        "fragments.mp4",
        "stereo.aac",
    ] {
        let corpus = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fuzz/corpus/sound_file");
        let said = offhook.transcribe(&corpus.join(name));
        assert!(!said.trim().is_empty(), "{name}");
    }
}

/// The sections of docs/audio-api.md, for this program.
fn sections(offhook: &Offhook) -> serde_json::Value {
    let offhook_home = offhook.home().display().to_string();
    serde_json::json!({
        "tools": {"media": {
            "models": [{
                "type": "cli", "command": env!("CARGO_BIN_EXE_offhook"),
                "args": ["--home", offhook_home, "transcribe", "{{AttachmentPath}}"],
                "timeoutSeconds": 45, "capabilities": ["audio"],
            }],
            "audio": {"enabled": true},
        }},
        "tts": {"auto": "inbound", "provider": "openai", "providers": {"openai": {
            "apiKey": token(offhook), "baseUrl": format!("http://{}/v1", offhook.web), "model": "tts-1",
            "speakerVoice": "alloy", "responseFormat": "opus",
        }}},
    })
}

/// A voice note in OpenClaw's own Telegram channel, with a stand-in for Telegram and a scripted model: heard by our ears,
/// answered in our voice.
#[test]
fn a_voice_note_to_the_real_openclaw_is_answered_in_our_voice() {
    let test = "a_voice_note_to_the_real_openclaw_is_answered_in_our_voice";
    let Some(openclaw) = installed(test) else {
        return;
    };
    let Some(_floor) = take_floor(test, None) else {
        return;
    };
    let offhook = Offhook::start(test);
    let telegram = StandIn::start();
    let model = Model::start();
    let mut more = sections(&offhook);
    more["channels"] = serde_json::json!({"telegram": {
        "enabled": true, "botToken": TOKEN, "apiRoot": format!("http://{}", telegram.address),
        "dmPolicy": "allowlist", "allowFrom": [ANNA.to_string()], "streaming": {"mode": "off"},
        // The stand-in is on this machine; Telegram is not.
        "network": {"dangerouslyAllowPrivateNetwork": true},
    }});
    let address = format!("http://{}/v1", model.address);
    let claw = Claw::start(openclaw, (&address, "none"), more);
    telegram.says(ANNA, &speak(&offhook, "Turn the office lamp up.", "opus"));
    let answered = wait_until(CLAW_LIMIT, || !telegram.voice_notes().is_empty());
    let asked: Vec<String> = model
        .seen()
        .iter()
        .map(|seen| seen.request.to_string())
        .collect();
    let was_heard = asked
        .iter()
        .any(|asked| asked.to_lowercase().contains("office lamp"));
    assert!(
        answered && was_heard,
        "{:?} {asked:?}\n{}\n{}",
        telegram.texts(ANNA),
        claw.tail(),
        offhook.log_tail()
    );
    let folder = Folder::new("openclaw_voice_note");
    let note = folder.path().join("answer.ogg");
    std::fs::write(&note, &telegram.voice_notes()[0]).expect("own folder");
    let said = offhook.transcribe(&note);
    assert!(
        words_in_order("turn the office lamp up", &said) >= 4,
        "{said}"
    );
}

#[test]
fn the_real_openclaw_hears_with_our_ears_and_speaks_with_our_voice() {
    let test = "the_real_openclaw_hears_with_our_ears_and_speaks_with_our_voice";
    let Some(installed) = installed(test) else {
        return;
    };
    let Some(_floor) = take_floor(test, None) else {
        return;
    };
    let offhook = Offhook::start(test);
    let folder = Folder::new("openclaw_audio");
    let home = folder.path();
    let note = home.join("note.ogg");
    std::fs::write(&note, speak(&offhook, "What time is it?", "opus")).expect("own folder");
    let mut config = sections(&offhook);
    config["gateway"] = serde_json::json!({"mode": "local", "auth": {"mode": "token", "token": "for-this-test-only"}});
    std::fs::write(home.join("openclaw.json"), config.to_string()).expect("own folder");
    let claw = |arguments: &[&str]| {
        let mut command = launch::command(&installed, home, arguments);
        command.env("OFFLINE", "1");
        let mut claw = Process::start("openclaw", &mut command);
        let ended = claw.wait_for_end(CLAW_LIMIT);
        claw.kill_group();
        let is_good = ended.is_some_and(|status| status.success());
        assert!(is_good, "{arguments:?}: {}", claw.tail());
        // What it wrote last comes in just after its end.
        wait_until(Duration::from_secs(5), || claw.output().contains('}'));
        claw.output().to_lowercase()
    };
    let file = note.display().to_string();
    let heard = claw(&["infer", "audio", "transcribe", "--file", &file, "--json"]);
    assert_eq!(words_in_order(WORDS, &heard), 4, "{heard}");
    let spoken = home.join("reply.ogg");
    let file = spoken.display().to_string();
    claw(&[
        "infer",
        "tts",
        "convert",
        "--text",
        "What time is it?",
        "--output",
        &file,
        "--json",
    ]);
    let said = offhook.transcribe(&spoken);
    assert_eq!(words_in_order(WORDS, &said), 4, "{said}");
}
