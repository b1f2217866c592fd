//! The handle that calls and gateways hold on one link: messages out, replies, approvals and late results in. Owns the
//! channels and their bounds; what is done with them is `core`'s, the socket is `socket`'s.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use reqwest::Url;
use tokio::sync::{broadcast, mpsc, oneshot, watch};
use tokio::task::JoinHandle;
use tokio::time::Instant;

use super::companion::Append;
use super::core::Core;
use super::error::LinkError;
use super::key_file::{KeyFile, KeyFileError};
use super::link::{BACKOFF_MAX, BACKOFF_MAX_NEAR, Hello, LinkConfig, LinkState};
use super::runs::RunEvent;
use super::socket::{self, Command, Shell};
use super::wire::QueueMode;
use crate::approvals::{ApprovalEvent, ApprovalId, ApprovalKind, Decision};
use crate::gateways::Secret;

/// Requests on their way to the link. Whoever asks waits when it is full; an abort is forgotten then.
const COMMANDS_MAX: usize = 256;
/// Events of one reply that wait to be taken: some twenty seconds of text. A reply that nobody takes is aborted.
const RUN_EVENTS_MAX: usize = 256;
/// Approvals that a slow listener may be behind; the oldest are lost to it then.
const APPROVALS_MAX: usize = 64;
/// Late results of one conversation that wait to be said. More are lost.
const NEWS_MAX: usize = 8;
/// Where OpenClaw listens unless it is told otherwise.
pub const DEFAULT_URL: &str = "ws://127.0.0.1:18789";

#[derive(Debug, Clone)]
pub struct ClientConfig {
    /// `ws://` or `wss://`; `http` and `https` are understood as well. Empty: `DEFAULT_URL`.
    pub url: String,
    /// The gateway's own token.
    pub token: Option<Secret>,
    /// How this device is called in the gateway's list.
    pub name: String,
    pub key_file: KeyFile,
    /// Spreads the attempts after a lost link.
    pub seed: [u8; 32],
}

/// Why a link cannot be set up as configured.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    #[error("OpenClaw's address must be like {DEFAULT_URL}")]
    Url,
    #[error(
        "OpenClaw's address must not hold a user, a password or a token: put the token into its own file"
    )]
    Credentials,
    #[error(transparent)]
    Key(#[from] KeyFileError),
}

/// One link, shared by all who hold it. It ends with the last of them.
#[derive(Clone)]
pub struct Client {
    inner: Arc<Inner>,
}

struct Inner {
    commands: mpsc::Sender<Command>,
    state: watch::Receiver<LinkState>,
    approvals: broadcast::Sender<ApprovalEvent>,
    task: JoinHandle<()>,
}

impl Drop for Inner {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// The address as it is dialled.
pub fn address(url: &str) -> Result<Url, ConfigError> {
    let url = match url.trim() {
        "" => DEFAULT_URL,
        url => url,
    };
    let mut url = Url::parse(url).map_err(|_| ConfigError::Url)?;
    let scheme = match url.scheme() {
        "ws" | "http" => "ws",
        "wss" | "https" => "wss",
        _ => return Err(ConfigError::Url),
    };
    // Between these the library allows the change.
    url.set_scheme(scheme).map_err(|()| ConfigError::Url)?;
    if !url.has_host() {
        return Err(ConfigError::Url);
    }
    if !url.username().is_empty() || url.password().is_some() || url.query().is_some() {
        return Err(ConfigError::Credentials);
    }
    url.set_fragment(None);
    Ok(url)
}

fn is_loopback(url: &Url) -> bool {
    let host = url.host_str().unwrap_or_default();
    let host = host.trim_start_matches('[').trim_end_matches(']');
    host == "localhost"
        || host
            .parse::<IpAddr>()
            .is_ok_and(|address| address.is_loopback())
}

impl Client {
    /// Begins to connect at once. To be called on the tokio runtime.
    pub fn start(config: ClientConfig) -> Result<Client, ConfigError> {
        let url = address(&config.url)?;
        let link = LinkConfig {
            name: config.name,
            token: config
                .token
                .map(|token| token.expose().to_owned())
                .unwrap_or_default(),
            device_token: config.key_file.device_token(url.as_str()),
            backoff_max: match is_loopback(&url) {
                true => BACKOFF_MAX_NEAR,
                false => BACKOFF_MAX,
            },
        };
        let key = config.key_file.key()?;
        let core = Core::new(link, key, config.seed, Instant::now().into_std());
        let (commands, inbox) = mpsc::channel(COMMANDS_MAX);
        let (state_sender, state) = watch::channel(LinkState::Connecting);
        let (approvals, _) = broadcast::channel(APPROVALS_MAX);
        let shell = Shell {
            core,
            url,
            key_file: config.key_file,
            inbox,
            state: state_sender,
            approvals: approvals.clone(),
        };
        let task = tokio::spawn(socket::run(shell));
        Ok(Client {
            inner: Arc::new(Inner {
                commands,
                state,
                approvals,
                task,
            }),
        })
    }

    /// How the link stands, and how it changes.
    pub fn state(&self) -> watch::Receiver<LinkState> {
        self.inner.state.clone()
    }

    /// Asks for a new attempt now, where the link rests after a failure.
    pub fn wake(&self) {
        let _ = self.inner.commands.try_send(Command::Wake);
    }

    /// Waits for the link, no longer than `patience`. An error that only the owner can mend is told at once.
    pub async fn ready(&self, patience: Duration) -> Result<Arc<Hello>, LinkError> {
        self.wake();
        let mut state = self.inner.state.clone();
        let settled = |state: &LinkState| match state {
            LinkState::Ready(_) => true,
            LinkState::Down(why) => why.needs_owner(),
            LinkState::Connecting => false,
        };
        let found = tokio::time::timeout(patience, state.wait_for(settled)).await;
        let found = match found {
            Ok(Ok(found)) => found.clone(),
            Ok(Err(_)) => return Err(LinkError::Stopped),
            Err(_) => self.inner.state.borrow().clone(),
        };
        match found {
            LinkState::Ready(hello) => Ok(hello),
            LinkState::Down(why) => Err(why),
            LinkState::Connecting => Err(LinkError::Late),
        }
    }

    /// Sends a message in a conversation. `idempotency_key` is the run's name from then on, and must be new. Without a
    /// link the message waits for it for a while; see `ready`.
    pub async fn send(
        &self,
        session_key: &str,
        message: &str,
        idempotency_key: &str,
    ) -> Result<mpsc::Receiver<RunEvent>, LinkError> {
        self.send_as(session_key, message, idempotency_key, QueueMode::Interrupt)
            .await
    }

    /// The same, with a say in what becomes of a run that is under way there.
    pub async fn send_as(
        &self,
        session_key: &str,
        message: &str,
        idempotency_key: &str,
        queue_mode: QueueMode,
    ) -> Result<mpsc::Receiver<RunEvent>, LinkError> {
        let (events, receiver) = mpsc::channel(RUN_EVENTS_MAX);
        let command = Command::Send {
            run: idempotency_key.to_owned(),
            session_key: session_key.to_owned(),
            message: message.to_owned(),
            queue_mode,
            events,
        };
        self.command(command).await?;
        Ok(receiver)
    }

    /// Nobody wants this reply any more. Never waits.
    pub fn abort(&self, run: &str) {
        let run = run.to_owned();
        let _ = self.inner.commands.try_send(Command::Abort { run });
    }

    /// This reply is no longer waited for, but goes on; its end is news. Never waits.
    pub fn leave(&self, run: &str) {
        let run = run.to_owned();
        let _ = self.inner.commands.try_send(Command::Leave { run });
    }

    /// What waits for a decision and what was decided, of all conversations. Sessions are the gateway's keys.
    pub fn approvals(&self) -> broadcast::Receiver<ApprovalEvent> {
        self.inner.approvals.subscribe()
    }

    pub async fn resolve(
        &self,
        id: &ApprovalId,
        kind: ApprovalKind,
        decision: Decision,
    ) -> Result<(), LinkError> {
        let (done, answer) = oneshot::channel();
        let id = id.clone();
        self.command(Command::Resolve {
            id,
            kind,
            decision,
            done,
        })
        .await?;
        answer.await.map_err(|_| LinkError::Stopped)?
    }

    /// Has rows appended to a transcript by our plugin there, in the order of the calls. See `Hello::companion`.
    pub async fn append(&self, rows: Append) -> Result<(), LinkError> {
        let (done, answer) = oneshot::channel();
        self.command(Command::Append { rows, done }).await?;
        answer.await.map_err(|_| LinkError::Stopped)?
    }

    /// Replies in this conversation that nobody here asked for: of sub-agents, of runs that were given up. Ends with the
    /// receiver.
    pub fn news(&self, session_key: &str) -> mpsc::Receiver<String> {
        let (news, receiver) = mpsc::channel(NEWS_MAX);
        let session_key = session_key.to_owned();
        let _ = self
            .inner
            .commands
            .try_send(Command::Follow { session_key, news });
        receiver
    }

    async fn command(&self, command: Command) -> Result<(), LinkError> {
        self.inner
            .commands
            .send(command)
            .await
            .map_err(|_| LinkError::Stopped)
    }
}
