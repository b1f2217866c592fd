//! PURE. The typed config: one struct per section of the file, and every default, stated here and
//! nowhere else.

use std::fmt;
use std::net::IpAddr;
use std::path::PathBuf;

use sip::offer_answer::{AudioCodec, SecurityPolicy};

use super::agents::{AgentEntry, Approvals, Levels};
use super::bans::Bans;
use super::callbacks::Callbacks;
use super::chat::{SignalAccount, TelegramBot};
use super::cloud::{Cloud, DayLimits};
use super::matrix::MatrixAccount;
use super::phones::{Group, Outbound, Trunk, UserEntry, Voicemail};
use super::proxy::ModelProxy;
use super::sound::{Asr, AudioApi, Tts, Wyoming};
use super::text::Text;
use super::transports::{Advertise, Streams};
use super::web::Web;

/// Everything the owner can set.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Config {
    pub sip: Sip,
    pub bans: Bans,
    pub media: Media,
    pub calls: Calls,
    pub asr: Asr,
    pub tts: Tts,
    pub agent: Agent,
    pub agents: Vec<AgentEntry>,
    pub levels: Levels,
    pub approvals: Approvals,
    pub cloud: Cloud,
    pub limits: DayLimits,
    pub tools: Vec<super::ToolEntry>,
    pub turn: Turn,
    pub numbers: Numbers,
    pub users: Vec<UserEntry>,
    pub groups: Vec<Group>,
    pub trunks: Vec<Trunk>,
    pub outbound: Outbound,
    pub voicemail: Voicemail,
    pub callbacks: Callbacks,
    pub text: Text,
    pub telegram: TelegramBot,
    pub signal: SignalAccount,
    pub web: Web,
    pub audio: AudioApi,
    pub wyoming: Wyoming,
    pub proxy: ModelProxy,
    pub matrix: MatrixAccount,
    pub models: Models,
    pub log: Log,
    pub store: Store,
}

/// Where to listen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Bind {
    /// 127.0.0.1, and ::1 where there is one.
    Loopback,
    /// This machine's address on the tailnet, if it has one.
    Tailnet,
    /// This address; 0.0.0.0 means all of IPv4, :: all of IPv6.
    Address(IpAddr),
}

impl fmt::Display for Bind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Bind::Loopback => f.write_str("loopback"),
            Bind::Tailnet => f.write_str("tailnet"),
            Bind::Address(address) => address.fmt(f),
        }
    }
}

/// Where to find a secret: the config never holds one. [`crate::secrets::SecretStore::resolve`] looks.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct SecretSource {
    /// A file whose only content is the secret; a relative path starts at the home folder.
    pub file: Option<PathBuf>,
    /// An environment variable of the owner's choice.
    pub variable: Option<String>,
    /// The environment variable that is looked at in any case.
    pub default_variable: String,
}

/// `[sip]`: signalling and registrations.
#[derive(Debug, Clone, PartialEq)]
pub struct Sip {
    pub bind: Vec<Bind>,
    pub port: u16,
    pub udp: bool,
    pub tcp: bool,
    /// Digest realm. Stored password hashes are bound to it.
    pub realm: String,
    /// Host names accepted in a Request-URI besides our own addresses.
    pub domains: Vec<String>,
    /// Addresses put into Contact and Via instead of our own.
    pub advertise: Vec<Advertise>,
    /// TLS, WebSocket and the bounds of connections: keys of this section too.
    pub streams: Streams,
    pub expires_s_min: u32,
    pub expires_s: u32,
    pub expires_s_max: u32,
    pub contacts_per_user_max: usize,
    /// Wrong passwords within `failure_window_s` from one address before it is locked out.
    pub failures_per_address_max: u32,
    /// Wrong passwords within `failure_window_s` for one user before it is locked out.
    pub failures_per_user_max: u32,
    pub failure_window_s: u32,
    pub lockout_s: u32,
    pub nonce_ttl_s: u32,
    /// A call without a message for this long is asked whether its phone is still there; 0 never asks.
    pub keepalive_s: u32,
}

impl Default for Sip {
    fn default() -> Sip {
        Sip {
            bind: vec![Bind::Loopback, Bind::Tailnet],
            port: 5060,
            udp: true,
            tcp: true,
            realm: "offhook".to_owned(),
            domains: Vec::new(),
            advertise: Vec::new(),
            streams: Streams::default(),
            expires_s_min: 60,
            expires_s: 3600,
            expires_s_max: 86_400,
            contacts_per_user_max: 10,
            failures_per_address_max: 10,
            failures_per_user_max: 20,
            failure_window_s: 300,
            lockout_s: 300,
            nonce_ttl_s: 300,
            keepalive_s: 60,
        }
    }
}

/// `[media]`: RTP.
#[derive(Debug, Clone, PartialEq)]
pub struct Media {
    /// First port of the range; a call takes an even port and the odd one after it.
    pub port_min: u16,
    /// Last port of the range, included.
    pub port_max: u16,
    /// Addresses put into SDP instead of our own; where it is empty, those of `[sip]`.
    pub advertise: Vec<Advertise>,
    /// Whether calls are encrypted (SRTP): never, with phones that can, or always.
    pub security: SecurityPolicy,
    /// What we speak ourselves, best first: with the assistant, and between phones that have no codec in common.
    pub codecs: Vec<AudioCodec>,
}

impl Default for Media {
    fn default() -> Media {
        Media {
            port_min: 16_384,
            // A call between phones takes four ports, those of its pictures four more: enough for 200 at once.
            port_max: 17_383,
            advertise: Vec::new(),
            security: SecurityPolicy::Optional,
            codecs: AudioCodec::ALL.to_vec(),
        }
    }
}

/// `[calls]`: limits of calls.
#[derive(Debug, Clone, PartialEq)]
pub struct Calls {
    /// Calls with the assistant at once; the next one is answered 503.
    pub max: usize,
    /// Calls between phones, and over trunks, at once; the next one is answered 503. No less than `max`.
    pub relayed_max: usize,
    /// Calls at once of one user; the next one is answered 486.
    pub per_user_max: usize,
    /// The longest call; a goodbye is said before it ends.
    pub duration_s_max: u32,
    /// No audio from the phone for so long ends the call.
    pub no_audio_hangup_s: u32,
    /// How long calls may go on saying goodbye when the program stops.
    pub drain_s: u32,
}

impl Default for Calls {
    fn default() -> Calls {
        Calls {
            max: 8,
            relayed_max: 200,
            per_user_max: 2,
            duration_s_max: 4 * 3600,
            no_audio_hangup_s: 60,
            drain_s: 8,
        }
    }
}

/// Who answers turns.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AgentKind {
    /// The built-in agent that needs no model.
    Demo,
    /// Any OpenAI-compatible `/v1/chat/completions`.
    OpenAi,
    /// An OpenClaw gateway, over its own WebSocket.
    OpenClaw,
}

/// Whether asking a gateway has no consequence but its answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OnlyAnswers {
    /// As its list of models tells; in doubt it does not.
    Auto,
    Yes,
    No,
}

/// `[agent]`: who thinks.
#[derive(Debug, Clone, PartialEq)]
pub struct Agent {
    pub kind: AgentKind,
    /// Base address, such as `http://127.0.0.1:11434/v1`. Needed for `openai`; for `openclaw` empty is
    /// `ws://127.0.0.1:18789`.
    pub url: String,
    /// Model name sent with each request, needed for `openai`. For `openclaw` the agent's id; empty: its
    /// default agent.
    pub model: String,
    /// Where the API key is found: `api_key_file`, `api_key_env`, or OFFHOOK_AGENT_API_KEY.
    pub api_key: SecretSource,
    /// Instructions put before each conversation, after the built-in ones for the phone.
    pub system_prompt: String,
    /// What the caller hears first; empty: nothing.
    pub greeting: String,
    pub connect_timeout_ms: u32,
    pub first_token_timeout_ms: u32,
    /// Longest pause between two pieces of a reply.
    pub idle_timeout_ms: u32,
    pub total_timeout_ms: u32,
    /// Attempts after the first, before any text has come.
    pub retries_max: u32,
    /// Wait for the first text of one gateway before the next one of the chain is asked. The last one
    /// has `first_token_timeout_ms`.
    pub fallback_after_ms: u32,
    /// Turns of the conversation sent along.
    pub history_turns_max: usize,
    /// Characters of the conversation sent along.
    pub history_chars_max: usize,
    pub temperature: Option<f32>,
    /// Upper bound of a reply in tokens; none: the gateway's own.
    pub tokens_max: Option<u32>,
    /// IANA zone for "what time is it"; empty: the machine's.
    pub timezone: String,
    /// Whether the gateway only answers. An agent that runs tools of its own must never be asked early.
    pub only_answers: OnlyAnswers,
    /// Who is asked when the one above fails before its first word, in this order.
    pub fallback: Vec<FallbackAgent>,
}

/// Gateways behind the first one; each costs a caller some silence.
pub const FALLBACKS_MAX: usize = 4;

/// One `[[agent.fallback]]` table. Waits, temperature and the like are those of `[agent]`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FallbackAgent {
    pub kind: AgentKind,
    pub url: String,
    pub model: String,
    /// `api_key_file`, `api_key_env`, or OFFHOOK_AGENT_FALLBACK_1_API_KEY and so on: never the key of
    /// another gateway.
    pub api_key: SecretSource,
}

impl Default for Agent {
    fn default() -> Agent {
        Agent {
            kind: AgentKind::Demo,
            url: String::new(),
            model: String::new(),
            api_key: SecretSource {
                file: None,
                variable: None,
                default_variable: "OFFHOOK_AGENT_API_KEY".to_owned(),
            },
            system_prompt: String::new(),
            greeting: "Hello, this is Offhook.".to_owned(),
            connect_timeout_ms: 1_500,
            first_token_timeout_ms: 8_000,
            idle_timeout_ms: 10_000,
            total_timeout_ms: 60_000,
            retries_max: 1,
            fallback_after_ms: 1_000,
            history_turns_max: 20,
            history_chars_max: 16_000,
            temperature: None,
            tokens_max: None,
            timezone: String::new(),
            only_answers: OnlyAnswers::Auto,
            fallback: Vec::new(),
        }
    }
}

/// What judges whether the caller has finished.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EndStrategy {
    /// How finished the words read.
    Text,
    /// How finished the voice sounds.
    Prosody,
    /// The model of `end_of_turn_model`; without one it has no say.
    Model,
}

/// `[turn]`: when to speak.
#[derive(Debug, Clone, PartialEq)]
pub struct Turn {
    /// Silence after speech that ends the caller's turn when it has surely finished.
    pub wait_ms_sure: u32,
    /// The same when nothing tells; with no strategies it is the only wait.
    pub wait_ms_unsure: u32,
    /// The same when more is clearly to come.
    pub wait_ms_unfinished: u32,
    /// The most that is added to these for a caller who was cut off, unless they have surely finished; 0: nothing.
    pub patience_ms_max: u32,
    /// Who judges which of the waits it is; empty: nobody.
    pub strategies: Vec<EndStrategy>,
    /// An ONNX end-of-turn model (8 s of 16 kHz sound in, a probability out); none: not used.
    pub end_of_turn_model: Option<PathBuf>,
    /// Whether the agent is asked before it is sure that the caller has finished.
    pub speculation: bool,
    /// Guesses within one turn of the caller.
    pub speculation_guesses_max: u32,
    /// Tokens of dropped guesses within one call, after which no more is guessed; 0: no limit.
    pub speculation_tokens_wasted_max: u32,
    /// Whether our own voice is taken out of what comes back from the phone.
    pub echo_cancelling: bool,
    /// Time between two partial transcripts while the caller speaks; 0: none.
    pub partial_ms: u32,
    /// Whether the caller may interrupt.
    pub barge_in: bool,
    /// Speech during a reply that counts as an interruption.
    pub barge_in_ms: u32,
    /// Wait for the first text of a reply before a filler is said; 0: never.
    pub filler_after_ms: u32,
    /// The same when the gateway tells what it is at (a tool, the next gateway); 0: never.
    pub progress_after_ms: u32,
    /// Wait for the first text of a reply before the caller is told that it failed.
    pub reply_timeout_ms: u32,
    /// Caller silence before "Are you still there?"; 0: never.
    pub idle_prompt_s: u32,
    /// Caller silence after that question before a goodbye; 0: never.
    pub idle_hangup_s: u32,
}

impl Default for Turn {
    fn default() -> Turn {
        Turn {
            wait_ms_sure: 250,
            wait_ms_unsure: 1_000,
            wait_ms_unfinished: 1_500,
            patience_ms_max: 600,
            strategies: vec![EndStrategy::Text, EndStrategy::Prosody, EndStrategy::Model],
            end_of_turn_model: None,
            speculation: true,
            speculation_guesses_max: 3,
            speculation_tokens_wasted_max: 4_000,
            echo_cancelling: true,
            partial_ms: 500,
            barge_in: true,
            barge_in_ms: 150,
            filler_after_ms: 1_500,
            progress_after_ms: 600,
            reply_timeout_ms: 10_000,
            idle_prompt_s: 30,
            idle_hangup_s: 30,
        }
    }
}

/// What answers a dialled number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Answerer {
    /// The assistant.
    Agent,
    /// What comes in goes out.
    Echo,
    /// Says what was heard.
    Readback,
    /// Takes a message for a user who did not answer. No number of its own.
    Message,
}

/// One `[[numbers]]` table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Number {
    /// What is dialled: digits or a name, compared without regard to case.
    pub number: String,
    /// Other names of the same.
    pub aliases: Vec<String>,
    pub to: Answerer,
}

/// `[[numbers]]`: the dial plan. Tables in the file replace the default ones.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Numbers(pub Vec<Number>);

impl Default for Numbers {
    fn default() -> Numbers {
        let number = |number: &str, aliases: &[&str], to| Number {
            number: number.to_owned(),
            aliases: aliases.iter().map(|alias| (*alias).to_owned()).collect(),
            to,
        };
        Numbers(vec![
            number("100", &["agent"], Answerer::Agent),
            number("101", &["echo"], Answerer::Echo),
            number("102", &["readback"], Answerer::Readback),
        ])
    }
}

impl Numbers {
    /// What answers `dialled`, a number or an alias.
    pub fn find(&self, dialled: &str) -> Option<&Number> {
        let same = |name: &String| name.eq_ignore_ascii_case(dialled);
        self.0
            .iter()
            .find(|entry| same(&entry.number) || entry.aliases.iter().any(same))
    }

    /// The first number that reaches `to`.
    pub fn first(&self, to: Answerer) -> Option<&Number> {
        self.0.iter().find(|entry| entry.to == to)
    }
}

/// One `[[models.extra]]` table: a model file of the owner's own choice.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ExtraModel {
    pub name: String,
    pub url: String,
    /// 64 hexadecimal digits.
    pub sha256: String,
    pub licence: String,
}

/// `[models]`: model files.
#[derive(Debug, Clone, PartialEq)]
pub struct Models {
    /// Folder of the files; none: `models` in the home folder.
    pub dir: Option<PathBuf>,
    /// Addresses tried in order; a model's file name is put behind each.
    pub mirrors: Vec<String>,
    /// Whether `offhook run` fetches `preferred` when no model is installed.
    pub auto_download: bool,
    /// The catalogue name fetched by `auto_download`.
    pub preferred: String,
    pub connect_timeout_ms: u32,
    /// Longest time without a byte before the next mirror is tried.
    pub stall_timeout_ms: u32,
    pub extra: Vec<ExtraModel>,
}

impl Default for Models {
    fn default() -> Models {
        Models {
            dir: None,
            mirrors: vec!["https://huggingface.co/ggerganov/whisper.cpp/resolve/main".to_owned()],
            auto_download: true,
            preferred: "base.en-q5_1".to_owned(),
            connect_timeout_ms: 4_000,
            stall_timeout_ms: 15_000,
            extra: Vec::new(),
        }
    }
}

/// How log lines look.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogFormat {
    Human,
    Json,
}

/// `[log]`.
#[derive(Debug, Clone, PartialEq)]
pub struct Log {
    /// `error`, `warn`, `info`, `debug`, `trace`, or directives such as `info,sip=debug`.
    pub level: String,
    pub format: LogFormat,
    /// Whether words, numbers and names stand in the log as they are.
    pub transcripts: bool,
}

impl Default for Log {
    fn default() -> Log {
        Log {
            level: "info".to_owned(),
            format: LogFormat::Human,
            transcripts: false,
        }
    }
}

/// `[store]`: the database.
#[derive(Debug, Clone, PartialEq)]
pub struct Store {
    /// Database file; none: `offhook.db` in the home folder.
    pub path: Option<PathBuf>,
    /// Whether transcripts are kept at all.
    pub transcripts: bool,
    /// Whether each call's events and actions are kept, for `offhook replay`.
    pub traces: bool,
    /// Traces kept; the oldest goes first.
    pub traces_max: usize,
    /// Calls, messages and their sounds that are older are forgotten; 0: they are kept for ever.
    pub keep_days: u32,
}

impl Default for Store {
    fn default() -> Store {
        Store {
            path: None,
            transcripts: true,
            traces: true,
            traces_max: 200,
            keep_days: 0,
        }
    }
}
