//! PURE. `[asr]` and `[tts]`: hearing and speaking, here or at another machine. `[audio]` and `[wyoming]`: the same ears
//! and voice for other programs.

use super::keys::{bind, language};
use super::reader::Section;
use super::sections::{Bind, SecretSource};

/// An engine somewhere else, asked before the one at home.
#[derive(Debug, Clone, PartialEq)]
pub struct Remote {
    /// `tcp://host:port` (Wyoming), `http://…` or `https://…` with the `/v1` of an OpenAI-compatible API; empty: none.
    pub url: String,
    /// Model name sent to an OpenAI-compatible API.
    pub model: String,
    /// Where its key is found: `api_key_file`, `api_key_env`, OFFHOOK_ASR_API_KEY or OFFHOOK_TTS_API_KEY.
    pub api_key: SecretSource,
    /// Longest wait for a connection, and then for the next piece of an answer, before the one at home is asked.
    pub timeout_ms: u32,
}

impl Remote {
    fn none(model: &str, variable: &str) -> Remote {
        Remote {
            url: String::new(),
            model: model.to_owned(),
            api_key: SecretSource {
                default_variable: variable.to_owned(),
                ..SecretSource::default()
            },
            timeout_ms: 4_000,
        }
    }

    fn read(section: &mut Section<'_, '_>, d: Remote) -> Remote {
        let expected =
            "tcp://host:port, or an address that starts with http:// or https:// and ends with /v1";
        Remote {
            url: section.parsed("url", d.url, expected, address, String::clone),
            model: section.text("url_model", &d.model),
            api_key: section.secret("api_key", "api_key_file", "api_key_env"),
            timeout_ms: section.integer("url_timeout_ms", d.timeout_ms, 100..=60_000),
        }
    }
}

fn address(text: &str) -> Option<String> {
    let text = text.trim_end_matches('/');
    if text.is_empty() {
        return Some(String::new());
    }
    let url = reqwest::Url::parse(text).ok()?;
    let is_known = match url.scheme() {
        "tcp" => url.port().is_some(),
        scheme => matches!(scheme, "http" | "https"),
    };
    (is_known && url.host().is_some()).then(|| text.to_owned())
}

/// `[asr]`: hearing.
#[derive(Debug, Clone, PartialEq)]
pub struct Asr {
    /// `auto` (best installed, else embedded), `embedded`, a catalogue name or a path.
    pub model: String,
    /// Threads of one engine; 0: chosen from the machine.
    pub threads: usize,
    /// Two letters, or `auto` where the model knows several.
    pub language: String,
    /// Engines, each with its own copy of the model's working memory.
    pub engines: usize,
    /// Utterances waiting for an engine.
    pub queue_max: usize,
    /// Words the model should expect (names, products).
    pub prompt: String,
    /// Ears at another machine.
    pub remote: Remote,
}

impl Default for Asr {
    fn default() -> Asr {
        Asr {
            model: "auto".to_owned(),
            threads: 0,
            language: "en".to_owned(),
            engines: 1,
            queue_max: 32,
            prompt: String::new(),
            remote: Remote::none("whisper-1", "OFFHOOK_ASR_API_KEY"),
        }
    }
}

/// `[tts]`: speaking.
#[derive(Debug, Clone, PartialEq)]
pub struct Tts {
    pub voice: String,
    /// Speaking rate: 1.0 as the voice was made, 1.2 a fifth faster.
    pub rate: f32,
    pub engines: usize,
    /// Clauses waiting for an engine.
    pub queue_max: usize,
    /// Memory for phrases that are said again and again.
    pub cache_mib: usize,
    /// A voice at another machine.
    pub remote: Remote,
    /// The name of that voice there; empty: its default.
    pub remote_voice: String,
}

impl Default for Tts {
    fn default() -> Tts {
        Tts {
            voice: "flite:slt".to_owned(),
            rate: 1.0,
            engines: 1,
            queue_max: 64,
            cache_mib: 16,
            remote: Remote::none("tts-1", "OFFHOOK_TTS_API_KEY"),
            remote_voice: String::new(),
        }
    }
}

/// `[audio]`: the OpenAI-compatible audio API on the web port, and the bounds of all work with sound that is no call.
#[derive(Debug, Clone, PartialEq)]
pub struct AudioApi {
    pub enabled: bool,
    /// Where the token is found that callers must show: `token_file`, `token_env`, or OFFHOOK_AUDIO_TOKEN. Without one the
    /// program makes its own and keeps it in its home folder.
    pub token: SecretSource,
    /// Largest file taken.
    pub file_mib_max: u32,
    /// Longest recording heard.
    pub duration_s_max: u32,
    /// Longest text spoken, in characters.
    pub text_chars_max: usize,
    /// Recordings heard at once, and texts spoken at once.
    pub at_once: usize,
    /// As many more may wait; the next one is refused.
    pub waiting_max: usize,
}

impl Default for AudioApi {
    fn default() -> AudioApi {
        AudioApi {
            enabled: true,
            token: SecretSource {
                default_variable: "OFFHOOK_AUDIO_TOKEN".to_owned(),
                ..SecretSource::default()
            },
            file_mib_max: 25,
            duration_s_max: 600,
            text_chars_max: 4_096,
            at_once: 2,
            waiting_max: 16,
        }
    }
}

/// `[wyoming]`: ears and voice for Home Assistant. The protocol knows no passwords, so only this machine and the tailnet
/// are served.
#[derive(Debug, Clone, PartialEq)]
pub struct Wyoming {
    pub enabled: bool,
    pub bind: Vec<Bind>,
    pub port: u16,
    /// Connections at once; the next one is closed.
    pub connections_max: usize,
}

impl Default for Wyoming {
    fn default() -> Wyoming {
        Wyoming {
            enabled: false,
            bind: vec![Bind::Loopback],
            port: 10_300,
            connections_max: 16,
        }
    }
}

pub(super) fn asr(section: &mut Section<'_, '_>, d: Asr) -> Asr {
    Asr {
        model: section.name("model", &d.model),
        threads: section.integer("threads", d.threads, 0..=256),
        language: section.parsed(
            "language",
            d.language,
            "\"auto\" or two or three small letters",
            language,
            String::clone,
        ),
        engines: section.integer("engines", d.engines, 1..=16),
        queue_max: section.integer("queue_max", d.queue_max, 1..=1_024),
        prompt: section.text("prompt", &d.prompt),
        remote: Remote::read(section, d.remote),
    }
}

pub(super) fn tts(section: &mut Section<'_, '_>, d: Tts) -> Tts {
    Tts {
        voice: section.name("voice", &d.voice),
        rate: section.number("rate", d.rate, 0.5..=2.0),
        engines: section.integer("engines", d.engines, 1..=16),
        queue_max: section.integer("queue_max", d.queue_max, 1..=1_024),
        cache_mib: section.integer("cache_mib", d.cache_mib, 0..=4_096),
        remote: Remote::read(section, d.remote),
        remote_voice: section.text("url_voice", &d.remote_voice),
    }
}

pub(super) fn audio(section: &mut Section<'_, '_>, d: AudioApi) -> AudioApi {
    AudioApi {
        enabled: section.flag("enabled", d.enabled),
        token: section.secret("token", "token_file", "token_env"),
        file_mib_max: section.integer("file_mib_max", d.file_mib_max, 1..=256),
        duration_s_max: section.integer("duration_s_max", d.duration_s_max, 1..=4 * 3600),
        text_chars_max: section.integer("text_chars_max", d.text_chars_max, 1..=100_000),
        at_once: section.integer("at_once", d.at_once, 1..=64),
        waiting_max: section.integer("waiting_max", d.waiting_max, 0..=1_000),
    }
}

pub(super) fn wyoming(section: &mut Section<'_, '_>, d: Wyoming) -> Wyoming {
    let wyoming = Wyoming {
        enabled: section.flag("enabled", d.enabled),
        bind: bind(section, &d.bind),
        port: section.integer("port", d.port, 1..=65_535),
        connections_max: section.integer("connections_max", d.connections_max, 1..=1_000),
    };
    let is_closed = wyoming.bind.iter().all(|bind| match bind {
        Bind::Loopback | Bind::Tailnet => true,
        Bind::Address(address) => address.is_loopback(),
    });
    section.require(
        "bind",
        is_closed,
        "only \"loopback\" and \"tailnet\": the protocol knows no passwords",
    );
    wyoming
}
