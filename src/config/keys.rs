//! PURE. Every key of the config file, once: its section, its name, its type, its bounds, and the rules
//! that join several keys.

use std::collections::HashSet;
use std::path::PathBuf;

use sip::offer_answer::{AudioCodec, SecurityPolicy};

use super::agents_keys;
use super::bans;
use super::callbacks;
use super::chat;
use super::cloud;
use super::phones_keys;
use super::reader::{Reader, Section};
use super::sections::*;
use super::{sound, tools, transports};

const HOUR_S: u64 = 3600;
/// Decoding more often than this costs more than it tells.
const PARTIAL_MS_MIN: u32 = 100;
const AGENT_KINDS: [(&str, AgentKind); 3] = [
    ("demo", AgentKind::Demo),
    ("openai", AgentKind::OpenAi),
    ("openclaw", AgentKind::OpenClaw),
];
const SECURITY_POLICIES: [(&str, SecurityPolicy); 3] = [
    ("off", SecurityPolicy::Off),
    ("optional", SecurityPolicy::Optional),
    ("required", SecurityPolicy::Required),
];
const ONLY_ANSWERS: [(&str, OnlyAnswers); 3] = [
    ("auto", OnlyAnswers::Auto),
    ("yes", OnlyAnswers::Yes),
    ("no", OnlyAnswers::No),
];
const END_STRATEGIES: [(&str, EndStrategy); 3] = [
    ("text", EndStrategy::Text),
    ("prosody", EndStrategy::Prosody),
    ("model", EndStrategy::Model),
];

/// Reads all sections. Mistakes stay in `reader`; defaults stand in for what is wrong.
pub(super) fn read(reader: &mut Reader<'_>) -> Config {
    let defaults = Config::default();
    let mut config = Config {
        sip: reader.section("sip", |section| sip(section, defaults.sip)),
        bans: reader.section("bans", |section| bans::bans(section, defaults.bans)),
        media: reader.section("media", |section| media(section, defaults.media)),
        calls: reader.section("calls", |section| calls(section, defaults.calls)),
        asr: reader.section("asr", |section| sound::asr(section, defaults.asr)),
        tts: reader.section("tts", |section| sound::tts(section, defaults.tts)),
        agent: reader.section("agent", |section| agent(section, defaults.agent)),
        agents: reader
            .tables("agents", agents_keys::agent)
            .unwrap_or_default(),
        levels: reader.section("levels", |section| {
            agents_keys::levels_section(section, defaults.levels)
        }),
        approvals: reader.section("approvals", |section| {
            agents_keys::approvals(section, defaults.approvals)
        }),
        cloud: reader.section("cloud", |section| cloud::cloud(section, defaults.cloud)),
        limits: reader.section("limits", |section| cloud::limits(section, defaults.limits)),
        tools: reader.tables("tools", tools::tool).unwrap_or_default(),
        turn: reader.section("turn", |section| turn(section, defaults.turn)),
        numbers: reader
            .tables("numbers", number)
            .map_or(defaults.numbers, Numbers),
        users: reader
            .tables("users", phones_keys::user)
            .unwrap_or_default(),
        groups: reader
            .tables("groups", phones_keys::group)
            .unwrap_or_default(),
        trunks: reader
            .tables("trunks", phones_keys::trunk)
            .unwrap_or_default(),
        outbound: reader.section("outbound", |section| {
            phones_keys::outbound(section, defaults.outbound)
        }),
        voicemail: reader.section("voicemail", |section| {
            phones_keys::voicemail(section, defaults.voicemail)
        }),
        callbacks: reader.section("callbacks", |section| {
            callbacks::callbacks(section, defaults.callbacks)
        }),
        text: reader.section("text", |section| super::text::text(section, defaults.text)),
        telegram: reader.section("telegram", |s| chat::telegram(s, defaults.telegram)),
        signal: reader.section("signal", |section| chat::signal(section, defaults.signal)),
        web: reader.section("web", |section| super::web::web(section, defaults.web)),
        audio: reader.section("audio", |section| sound::audio(section, defaults.audio)),
        wyoming: reader.section("wyoming", |section| {
            sound::wyoming(section, defaults.wyoming)
        }),
        proxy: reader.section("proxy", |section| {
            super::proxy::proxy(section, defaults.proxy)
        }),
        matrix: reader.section("matrix", |section| {
            super::matrix::matrix(section, defaults.matrix)
        }),
        models: reader.section("models", |section| models(section, defaults.models)),
        log: reader.section("log", |section| log(section, defaults.log)),
        store: reader.section("store", |section| store(section, defaults.store)),
    };
    numbers_are_distinct(reader, &config.numbers);
    agents_keys::add_numbers(reader, &mut config);
    cloud::agree(reader, &config);
    tools::agree(reader, &config);
    phones_keys::dialled_names_are_distinct(reader, &config);
    let ports = u32::from(config.media.port_max) + 1
        - u32::from(config.media.port_min.min(config.media.port_max));
    reader.require(
        "media",
        "port_max",
        ports as usize >= 2 * config.calls.max,
        "the range must hold two ports for each of [calls] max",
    );
    config
}

fn sip(section: &mut Section<'_, '_>, d: Sip) -> Sip {
    let port = section.integer("port", d.port, 1..=65_535);
    let sip = Sip {
        bind: bind(section, &d.bind),
        port,
        streams: transports::streams(section, port),
        udp: section.flag("udp", d.udp),
        tcp: section.flag("tcp", d.tcp),
        realm: section.parsed(
            "realm",
            d.realm,
            "a name without quotes",
            transports::realm,
            String::clone,
        ),
        domains: section.list(
            "domains",
            &d.domains,
            "host names",
            host_name,
            String::clone,
        ),
        advertise: transports::advertise(section),
        expires_s_min: section.integer("expires_s_min", d.expires_s_min, 1..=HOUR_S),
        expires_s: section.integer("expires_s", d.expires_s, 1..=7 * 24 * HOUR_S),
        expires_s_max: section.integer("expires_s_max", d.expires_s_max, 60..=7 * 24 * HOUR_S),
        contacts_per_user_max: section.integer(
            "contacts_per_user_max",
            d.contacts_per_user_max,
            1..=100,
        ),
        failures_per_address_max: section.integer(
            "failures_per_address_max",
            d.failures_per_address_max,
            1..=1_000,
        ),
        failures_per_user_max: section.integer(
            "failures_per_user_max",
            d.failures_per_user_max,
            1..=1_000,
        ),
        failure_window_s: section.integer("failure_window_s", d.failure_window_s, 10..=24 * HOUR_S),
        lockout_s: section.integer("lockout_s", d.lockout_s, 1..=24 * HOUR_S),
        nonce_ttl_s: section.integer("nonce_ttl_s", d.nonce_ttl_s, 10..=24 * HOUR_S),
        keepalive_s: section.integer("keepalive_s", d.keepalive_s, 0..=24 * HOUR_S),
    };
    section.require("udp", sip.udp || sip.tcp, "udp and tcp cannot both be off");
    section.require(
        "bind",
        !sip.bind.is_empty(),
        "at least one address is needed",
    );
    section.require(
        "bind",
        !sip.bind.iter().any(is_link_local),
        "a link-local address means nothing without its interface: name another address of it",
    );
    section.require(
        "expires_s",
        sip.expires_s >= sip.expires_s_min,
        "less than expires_s_min",
    );
    section.require(
        "expires_s",
        sip.expires_s <= sip.expires_s_max,
        "more than expires_s_max",
    );
    sip
}

fn media(section: &mut Section<'_, '_>, d: Media) -> Media {
    let media = Media {
        port_min: section.integer("port_min", d.port_min, 1024..=65_534),
        port_max: section.integer("port_max", d.port_max, 1025..=65_535),
        advertise: transports::advertise(section),
        security: section.choice("security", d.security, &SECURITY_POLICIES),
        codecs: section.list(
            "codecs",
            &d.codecs,
            "opus, g722, pcmu or pcma",
            codec,
            |codec| codec.encoding().to_lowercase(),
        ),
    };
    let is_plain = |at: usize| !media.codecs[..at].contains(&media.codecs[at]);
    section.require(
        "codecs",
        !media.codecs.is_empty() && (0..media.codecs.len()).all(is_plain),
        "name at least one, and each once",
    );
    section.require(
        "port_max",
        media.port_max > media.port_min,
        "must be more than port_min",
    );
    media
}

/// A codec of ours by its name in session descriptions.
fn codec(name: &str) -> Option<AudioCodec> {
    let has_name = |codec: &AudioCodec| codec.encoding().eq_ignore_ascii_case(name);
    AudioCodec::ALL.into_iter().find(has_name)
}

fn calls(section: &mut Section<'_, '_>, d: Calls) -> Calls {
    Calls {
        max: section.integer("max", d.max, 1..=1_000),
        relayed_max: section.integer("relayed_max", d.relayed_max, 1..=10_000),
        per_user_max: section.integer("per_user_max", d.per_user_max, 1..=1_000),
        duration_s_max: section.integer("duration_s_max", d.duration_s_max, 10..=24 * HOUR_S),
        // The caller is told after five seconds and should have time to mend it.
        no_audio_hangup_s: section.integer("no_audio_hangup_s", d.no_audio_hangup_s, 10..=HOUR_S),
        drain_s: section.integer("drain_s", d.drain_s, 0..=600),
    }
}

fn agent(section: &mut Section<'_, '_>, d: Agent) -> Agent {
    let web_address = |text: &str| web_address(text).or_else(|| text.is_empty().then(String::new));
    let expected =
        "an address that starts with http:// or https://, or ws:// or wss:// for OpenClaw";
    let agent = Agent {
        kind: section.choice("kind", d.kind, &AGENT_KINDS),
        url: section.parsed("url", d.url, expected, web_address, String::clone),
        model: section.text("model", &d.model),
        api_key: section.secret("api_key", "api_key_file", "api_key_env"),
        system_prompt: section.text("system_prompt", &d.system_prompt),
        greeting: section.text("greeting", &d.greeting),
        connect_timeout_ms: section.integer(
            "connect_timeout_ms",
            d.connect_timeout_ms,
            50..=60_000,
        ),
        first_token_timeout_ms: section.integer(
            "first_token_timeout_ms",
            d.first_token_timeout_ms,
            100..=300_000,
        ),
        idle_timeout_ms: section.integer("idle_timeout_ms", d.idle_timeout_ms, 100..=300_000),
        total_timeout_ms: section.integer(
            "total_timeout_ms",
            d.total_timeout_ms,
            1_000..=3_600_000,
        ),
        retries_max: section.integer("retries_max", d.retries_max, 0..=5),
        fallback_after_ms: section.integer("fallback_after_ms", d.fallback_after_ms, 100..=60_000),
        history_turns_max: section.integer("history_turns_max", d.history_turns_max, 0..=1_000),
        history_chars_max: section.integer("history_chars_max", d.history_chars_max, 0..=1_000_000),
        temperature: section.optional_number("temperature", d.temperature, 0.0..=2.0),
        tokens_max: section.optional_integer("tokens_max", d.tokens_max, 1..=1_000_000),
        timezone: section.parsed(
            "timezone",
            d.timezone,
            "a zone such as \"Europe/Berlin\"",
            timezone,
            String::clone,
        ),
        only_answers: section.choice("only_answers", d.only_answers, &ONLY_ANSWERS),
        fallback: section.tables("fallback", fallback),
    };
    gateway_is_complete(section, agent.kind, &agent.url, &agent.model);
    section.require(
        "fallback_after_ms",
        agent.fallback_after_ms <= agent.first_token_timeout_ms || agent.fallback.is_empty(),
        "more than first_token_timeout_ms",
    );
    section.require(
        "fallback",
        agent.fallback.len() <= FALLBACKS_MAX,
        &format!("at most {FALLBACKS_MAX} tables"),
    );
    agent
}

pub(super) fn fallback(section: &mut Section<'_, '_>) -> FallbackAgent {
    let web_address = |text: &str| web_address(text).or_else(|| text.is_empty().then(String::new));
    let expected =
        "an address that starts with http:// or https://, or ws:// or wss:// for OpenClaw";
    let fallback = FallbackAgent {
        kind: section.choice("kind", AgentKind::OpenAi, &AGENT_KINDS),
        url: section.parsed("url", String::new(), expected, web_address, String::clone),
        model: section.text("model", ""),
        api_key: section.secret("api_key", "api_key_file", "api_key_env"),
    };
    gateway_is_complete(section, fallback.kind, &fallback.url, &fallback.model);
    fallback
}

fn gateway_is_complete(section: &mut Section<'_, '_>, kind: AgentKind, url: &str, model: &str) {
    let gateway = kind == AgentKind::OpenAi;
    section.require(
        "kind",
        !gateway || !url.is_empty(),
        "\"openai\" needs `url`",
    );
    section.require(
        "kind",
        !gateway || !model.is_empty(),
        "\"openai\" needs `model`",
    );
    section.require(
        "url",
        !gateway || !url.starts_with("ws"),
        "an address that starts with http:// or https://",
    );
}

fn turn(section: &mut Section<'_, '_>, d: Turn) -> Turn {
    section.replaced(
        "endpoint_ms",
        "`wait_ms_sure`, `wait_ms_unsure` and `wait_ms_unfinished`",
    );
    let turn = Turn {
        wait_ms_sure: section.integer("wait_ms_sure", d.wait_ms_sure, 100..=5_000),
        wait_ms_unsure: section.integer("wait_ms_unsure", d.wait_ms_unsure, 200..=5_000),
        wait_ms_unfinished: section.integer(
            "wait_ms_unfinished",
            d.wait_ms_unfinished,
            200..=10_000,
        ),
        patience_ms_max: section.integer("patience_ms_max", d.patience_ms_max, 0..=5_000),
        strategies: strategies(section, &d.strategies),
        end_of_turn_model: section.parsed(
            "end_of_turn_model",
            d.end_of_turn_model,
            "the path of a file, or \"\"",
            |text| Some((!text.is_empty()).then(|| PathBuf::from(text))),
            |path| {
                path.as_ref()
                    .map_or_else(String::new, |path| path.display().to_string())
            },
        ),
        speculation: section.flag("speculation", d.speculation),
        speculation_guesses_max: section.integer(
            "speculation_guesses_max",
            d.speculation_guesses_max,
            1..=20,
        ),
        speculation_tokens_wasted_max: section.integer(
            "speculation_tokens_wasted_max",
            d.speculation_tokens_wasted_max,
            0..=10_000_000,
        ),
        echo_cancelling: section.flag("echo_cancelling", d.echo_cancelling),
        partial_ms: section.integer("partial_ms", d.partial_ms, 0..=5_000),
        barge_in: section.flag("barge_in", d.barge_in),
        barge_in_ms: section.integer("barge_in_ms", d.barge_in_ms, 20..=2_000),
        filler_after_ms: section.integer("filler_after_ms", d.filler_after_ms, 0..=60_000),
        progress_after_ms: section.integer("progress_after_ms", d.progress_after_ms, 0..=60_000),
        reply_timeout_ms: section.integer("reply_timeout_ms", d.reply_timeout_ms, 500..=300_000),
        idle_prompt_s: section.integer("idle_prompt_s", d.idle_prompt_s, 0..=HOUR_S),
        idle_hangup_s: section.integer("idle_hangup_s", d.idle_hangup_s, 0..=HOUR_S),
    };
    section.require(
        "wait_ms_unsure",
        turn.wait_ms_unsure >= turn.wait_ms_sure,
        "less than wait_ms_sure",
    );
    section.require(
        "wait_ms_unfinished",
        turn.wait_ms_unfinished >= turn.wait_ms_unsure,
        "less than wait_ms_unsure",
    );
    section.require(
        "partial_ms",
        turn.partial_ms == 0 || turn.partial_ms >= PARTIAL_MS_MIN,
        &format!("0, or at least {PARTIAL_MS_MIN}"),
    );
    turn
}

fn strategies(section: &mut Section<'_, '_>, default: &[EndStrategy]) -> Vec<EndStrategy> {
    let parse = |text: &str| {
        let found = END_STRATEGIES.iter().find(|(name, _)| *name == text);
        found.map(|(_, strategy)| *strategy)
    };
    let show = |strategy: &EndStrategy| {
        let found = END_STRATEGIES.iter().find(|(_, known)| known == strategy);
        found.map_or_else(String::new, |(name, _)| (*name).to_owned())
    };
    let expected = "\"text\", \"prosody\" or \"model\"";
    let strategies = section.list("strategies", default, expected, parse, show);
    let is_twice = |(n, strategy)| strategies[..n].contains(strategy);
    section.require(
        "strategies",
        !strategies.iter().enumerate().any(is_twice),
        "one is given twice",
    );
    strategies
}

fn number(section: &mut Section<'_, '_>) -> Number {
    let targets = [
        ("agent", Answerer::Agent),
        ("echo", Answerer::Echo),
        ("readback", Answerer::Readback),
    ];
    let expected = "digits or a name, of letters, digits and -_.+*#";
    let number = Number {
        number: section.parsed("number", String::new(), expected, dialled, String::clone),
        aliases: section.list("aliases", &[], "names", dialled, String::clone),
        to: section.choice("to", Answerer::Agent, &targets),
    };
    for key in ["number", "to"] {
        section.require(key, section.has(key), "missing");
    }
    number
}

fn numbers_are_distinct(reader: &mut Reader<'_>, numbers: &Numbers) {
    let mut seen = HashSet::new();
    for (index, entry) in numbers.0.iter().enumerate() {
        let section = format!("numbers[{}]", index + 1);
        for name in std::iter::once(&entry.number).chain(&entry.aliases) {
            let fresh = name.is_empty() || seen.insert(name.to_ascii_lowercase());
            reader.require(
                &section,
                "number",
                fresh,
                &format!("`{name}` is given twice"),
            );
        }
    }
}

fn models(section: &mut Section<'_, '_>, d: Models) -> Models {
    Models {
        dir: section.optional_path("dir"),
        mirrors: section.list(
            "mirrors",
            &d.mirrors,
            "addresses that start with http:// or https://",
            web_address,
            String::clone,
        ),
        auto_download: section.flag("auto_download", d.auto_download),
        preferred: section.name("preferred", &d.preferred),
        connect_timeout_ms: section.integer(
            "connect_timeout_ms",
            d.connect_timeout_ms,
            100..=60_000,
        ),
        stall_timeout_ms: section.integer("stall_timeout_ms", d.stall_timeout_ms, 500..=600_000),
        extra: section.tables("extra", extra_model),
    }
}

fn extra_model(section: &mut Section<'_, '_>) -> ExtraModel {
    let checksum = |text: &str| {
        let fits = text.len() == 64 && text.bytes().all(|byte| byte.is_ascii_hexdigit());
        fits.then(|| text.to_ascii_lowercase())
    };
    let file_name = |text: &str| {
        let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_');
        let fits = !text.is_empty() && text.len() <= 64 && text.chars().all(plain);
        (fits && !text.starts_with('.')).then(|| text.to_owned())
    };
    let web = "an address that starts with http:// or https://";
    let model = ExtraModel {
        name: section.parsed(
            "name",
            String::new(),
            "a short name of letters, digits and .-_",
            file_name,
            String::clone,
        ),
        url: section.parsed("url", String::new(), web, web_address, String::clone),
        sha256: section.parsed(
            "sha256",
            String::new(),
            "64 hexadecimal digits",
            checksum,
            String::clone,
        ),
        licence: section.text("licence", "not stated"),
    };
    for key in ["name", "url", "sha256"] {
        section.require(key, section.has(key), "missing");
    }
    model
}

fn log(section: &mut Section<'_, '_>, d: Log) -> Log {
    let formats = [("human", LogFormat::Human), ("json", LogFormat::Json)];
    Log {
        level: section.parsed(
            "level",
            d.level,
            "\"error\", \"warn\", \"info\", \"debug\", \"trace\" or \"info,sip=debug\"",
            crate::log::level,
            String::clone,
        ),
        format: section.choice("format", d.format, &formats),
        transcripts: section.flag("transcripts", d.transcripts),
    }
}

fn store(section: &mut Section<'_, '_>, d: Store) -> Store {
    Store {
        path: section.optional_path("path"),
        transcripts: section.flag("transcripts", d.transcripts),
        traces: section.flag("traces", d.traces),
        traces_max: section.integer("traces_max", d.traces_max, 1..=100_000),
        keep_days: section.integer("keep_days", d.keep_days, 0..=36_500),
    }
}

pub(super) fn bind(section: &mut Section<'_, '_>, default: &[Bind]) -> Vec<Bind> {
    let parse = |text: &str| match text {
        "loopback" => Some(Bind::Loopback),
        "tailnet" => Some(Bind::Tailnet),
        other => other.parse().ok().map(Bind::Address),
    };
    section.list(
        "bind",
        default,
        "\"loopback\", \"tailnet\" or an IP address",
        parse,
        Bind::to_string,
    )
}

/// fe80::/10, RFC 4291 §2.5.6.
fn is_link_local(bind: &Bind) -> bool {
    matches!(bind, Bind::Address(std::net::IpAddr::V6(address)) if address.segments()[0] & 0xffc0 == 0xfe80)
}

pub(super) fn host_name(text: &str) -> Option<String> {
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | ':' | '[' | ']');
    let fits = !text.is_empty() && text.len() <= 253 && text.chars().all(plain);
    fits.then(|| text.to_ascii_lowercase())
}

pub(super) fn dialled(text: &str) -> Option<String> {
    let plain =
        |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.' | '+' | '*' | '#');
    let fits = !text.is_empty() && text.len() <= 32 && text.chars().all(plain);
    fits.then(|| text.to_owned())
}

pub(super) fn language(text: &str) -> Option<String> {
    let code = matches!(text.len(), 2 | 3) && text.bytes().all(|byte| byte.is_ascii_lowercase());
    (text == "auto" || code).then(|| text.to_owned())
}

pub(super) fn timezone(text: &str) -> Option<String> {
    let known = text.is_empty() || jiff::tz::TimeZone::get(text).is_ok();
    known.then(|| text.to_owned())
}

pub(super) fn web_address(text: &str) -> Option<String> {
    let text = text.trim_end_matches('/');
    let url = reqwest::Url::parse(text).ok()?;
    (matches!(url.scheme(), "http" | "https" | "ws" | "wss") && url.host().is_some())
        .then(|| text.to_owned())
}
