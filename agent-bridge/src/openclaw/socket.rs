//! The task around `Core`: one WebSocket (RFC 6455), the channels of those who use it, one sleep to the next timeout. Owns
//! no decision. What the gateway sends is bounded in size, what we send in time.

use std::collections::HashMap;
use std::time::Duration;

use futures_util::future::BoxFuture;
use futures_util::{FutureExt as _, SinkExt as _, StreamExt as _};
use reqwest::Url;
use tokio::net::TcpStream;
use tokio::sync::{broadcast, mpsc, oneshot, watch};
use tokio::time::{Instant, sleep_until, timeout};
use tokio_tungstenite::tungstenite::protocol::WebSocketConfig;
use tokio_tungstenite::tungstenite::{Error, Message};
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream, connect_async_with_config};

use super::companion::Append;
use super::core::{Core, Input, Output};
use super::error::LinkError;
use super::key_file::KeyFile;
use super::link::LinkState;
use super::runs::RunEvent;
use super::wire::QueueMode;
use crate::approvals::{ApprovalEvent, ApprovalId, ApprovalKind, Decision};

/// The greeting lists everything that the gateway can do; replies are far smaller. A longer frame ends the connection.
const FRAME_BYTES_MAX: usize = 8 * 1024 * 1024;
const DIAL_TIMEOUT: Duration = Duration::from_secs(5);
const WRITE_TIMEOUT: Duration = Duration::from_secs(5);
/// Listeners of one conversation's late results; the oldest is forgotten.
const LISTENERS_MAX: usize = 8;

pub(super) enum Command {
    Wake,
    Send {
        run: String,
        session_key: String,
        message: String,
        queue_mode: QueueMode,
        events: mpsc::Sender<RunEvent>,
    },
    Abort {
        run: String,
    },
    Leave {
        run: String,
    },
    Resolve {
        id: ApprovalId,
        kind: ApprovalKind,
        decision: Decision,
        done: oneshot::Sender<Result<(), LinkError>>,
    },
    Append {
        rows: Append,
        done: oneshot::Sender<Result<(), LinkError>>,
    },
    Follow {
        session_key: String,
        news: mpsc::Sender<String>,
    },
}

pub(super) struct Shell {
    pub core: Core,
    pub url: Url,
    pub key_file: KeyFile,
    pub inbox: mpsc::Receiver<Command>,
    pub state: watch::Sender<LinkState>,
    pub approvals: broadcast::Sender<ApprovalEvent>,
}

type Socket = WebSocketStream<MaybeTlsStream<TcpStream>>;
type Dialling = BoxFuture<'static, Result<Box<Socket>, LinkError>>;

/// Who waits for what. Bounded by the tables of the core: an entry leaves with its last event.
#[derive(Default)]
struct Listeners {
    runs: HashMap<String, mpsc::Sender<RunEvent>>,
    /// Decisions and rows.
    answers: HashMap<u64, oneshot::Sender<Result<(), LinkError>>>,
    news: HashMap<String, Vec<mpsc::Sender<String>>>,
    next_ticket: u64,
}

impl Listeners {
    fn ticket(&mut self, done: oneshot::Sender<Result<(), LinkError>>) -> u64 {
        let ticket = self.next_ticket;
        self.next_ticket += 1;
        self.answers.insert(ticket, done);
        ticket
    }
}

enum Step {
    Command(Option<Command>),
    Dialled(Result<Box<Socket>, LinkError>),
    Frame(Option<Result<Message, Error>>),
    Timeout,
}

/// Until the last `Client` is gone.
pub(super) async fn run(mut shell: Shell) {
    let mut listeners = Listeners::default();
    let mut socket: Option<Box<Socket>> = None;
    let mut dialling: Option<Dialling> = None;
    loop {
        drain(&mut shell, &mut listeners, &mut socket, &mut dialling).await;
        let due = shell.core.next_timeout();
        let step = tokio::select! {
            command = shell.inbox.recv() => Step::Command(command),
            dialled = or_never(dialling.as_mut()) => Step::Dialled(dialled),
            frame = next_frame(socket.as_deref_mut()) => Step::Frame(frame),
            () = sleep(due) => Step::Timeout,
        };
        let now = Instant::now().into_std();
        match step {
            Step::Command(None) => return,
            Step::Command(Some(command)) => apply(&mut shell.core, &mut listeners, command),
            Step::Dialled(result) => {
                dialling = None;
                match result {
                    Ok(opened) => {
                        socket = Some(opened);
                        shell.core.handle(now, Input::Opened);
                    }
                    Err(why) => shell.core.handle(now, Input::Closed(why)),
                }
            }
            Step::Frame(Some(Ok(Message::Text(text)))) => {
                shell.core.handle(now, Input::Text(&text))
            }
            // Pings are answered by the library.
            Step::Frame(Some(Ok(Message::Ping(_) | Message::Pong(_)))) => {}
            Step::Frame(end) => {
                socket = None;
                shell.core.handle(now, Input::Closed(end_of(end)));
            }
            Step::Timeout => shell.core.handle(now, Input::Timeout),
        }
    }
}

async fn or_never<F: Future + Unpin>(future: Option<&mut F>) -> F::Output {
    match future {
        Some(future) => future.await,
        None => std::future::pending().await,
    }
}

async fn next_frame(socket: Option<&mut Socket>) -> Option<Result<Message, Error>> {
    match socket {
        Some(socket) => socket.next().await,
        None => std::future::pending().await,
    }
}

async fn sleep(due: Option<std::time::Instant>) {
    match due {
        Some(due) => sleep_until(due.into()).await,
        None => std::future::pending().await,
    }
}

fn apply(core: &mut Core, listeners: &mut Listeners, command: Command) {
    let now = Instant::now().into_std();
    match command {
        Command::Wake => core.handle(now, Input::Wake),
        Command::Send {
            run,
            session_key,
            message,
            queue_mode,
            events,
        } => {
            // Two runs of one name would share their events. The second has none.
            if listeners.runs.contains_key(&run) {
                return;
            }
            listeners.runs.insert(run.clone(), events);
            core.handle(
                now,
                Input::Send {
                    run,
                    session_key,
                    message,
                    queue_mode,
                },
            );
        }
        Command::Abort { run } => {
            listeners.runs.remove(&run);
            core.handle(now, Input::Abort { run });
        }
        Command::Leave { run } => {
            listeners.runs.remove(&run);
            core.handle(now, Input::Leave { run });
        }
        Command::Resolve {
            id,
            kind,
            decision,
            done,
        } => {
            let ticket = listeners.ticket(done);
            core.handle(
                now,
                Input::Resolve {
                    ticket,
                    id,
                    kind,
                    decision,
                },
            );
        }
        Command::Append { rows, done } => {
            let ticket = listeners.ticket(done);
            core.handle(now, Input::Append { ticket, rows });
        }
        Command::Follow { session_key, news } => {
            let listening = listeners.news.entry(session_key.clone()).or_default();
            listening.retain(|one| !one.is_closed());
            if listening.len() >= LISTENERS_MAX {
                listening.remove(0);
            }
            listening.push(news);
            core.handle(now, Input::Follow { session_key });
        }
    }
}

/// Carries out what the core wants until it wants nothing more.
async fn drain(
    shell: &mut Shell,
    listeners: &mut Listeners,
    socket: &mut Option<Box<Socket>>,
    dialling: &mut Option<Dialling>,
) {
    let now = || Instant::now().into_std();
    while let Some(output) = shell.core.poll_output() {
        match output {
            Output::Dial => {
                *socket = None;
                *dialling = Some(dial(shell.url.clone()).boxed());
            }
            Output::HangUp => {
                *dialling = None;
                if let Some(mut socket) = socket.take() {
                    // A gateway that does not listen is left without a goodbye.
                    let _ = timeout(WRITE_TIMEOUT, socket.close()).await;
                }
            }
            Output::Write(text) => {
                let Some(open) = socket.as_mut() else {
                    continue;
                };
                let sent = timeout(WRITE_TIMEOUT, open.send(Message::text(text))).await;
                let why = match sent {
                    Ok(Ok(())) => continue,
                    Ok(Err(error)) => closed_by(&error),
                    Err(_) => LinkError::Silent,
                };
                *socket = None;
                shell.core.handle(now(), Input::Closed(why));
            }
            Output::State(state) => drop(shell.state.send_replace(state)),
            Output::KeepDeviceToken(token) => {
                let (file, address) = (shell.key_file.clone(), shell.url.to_string());
                // Not kept, it is given again at the next start.
                tokio::task::spawn_blocking(move || file.keep_device_token(&address, &token));
            }
            Output::Run { run, event } => {
                let is_last = event.is_last();
                let is_taken = listeners
                    .runs
                    .get(&run)
                    .is_some_and(|events| events.try_send(event).is_ok());
                if is_last || !is_taken {
                    listeners.runs.remove(&run);
                }
                if !is_taken && !is_last {
                    shell.core.handle(now(), Input::Abort { run });
                }
            }
            Output::Resolved { ticket, result } | Output::Appended { ticket, result } => {
                if let Some(done) = listeners.answers.remove(&ticket) {
                    // Whoever asked may have gone.
                    let _ = done.send(result);
                }
            }
            // Nobody may listen.
            Output::Approval(event) => drop(shell.approvals.send(event)),
            Output::News { session_key, text } => {
                let Some(listening) = listeners.news.get_mut(&session_key) else {
                    continue;
                };
                listening.retain(|one| !one.is_closed());
                for one in listening.iter() {
                    let _ = one.try_send(text.clone());
                }
                if listening.is_empty() {
                    listeners.news.remove(&session_key);
                    shell.core.handle(now(), Input::Unfollow { session_key });
                }
            }
        }
    }
}

async fn dial(url: Url) -> Result<Box<Socket>, LinkError> {
    let config = WebSocketConfig::default()
        .max_message_size(Some(FRAME_BYTES_MAX))
        .max_frame_size(Some(FRAME_BYTES_MAX));
    let dialled = connect_async_with_config(url.as_str(), Some(config), true);
    match timeout(DIAL_TIMEOUT, dialled).await {
        Ok(Ok((socket, _))) => Ok(Box::new(socket)),
        Ok(Err(error)) => Err(not_opened(&error)),
        Err(_) => Err(unreachable("no answer")),
    }
}

fn unreachable(why: &str) -> LinkError {
    LinkError::Unreachable {
        why: why.to_owned(),
    }
}

/// In fixed words: the library's own would show what the other side wrote.
fn not_opened(error: &Error) -> LinkError {
    match error {
        Error::Io(error) => unreachable(match error.kind() {
            std::io::ErrorKind::ConnectionRefused => "connection refused",
            std::io::ErrorKind::HostUnreachable | std::io::ErrorKind::NetworkUnreachable => {
                "no route to it"
            }
            std::io::ErrorKind::TimedOut => "connection timed out",
            std::io::ErrorKind::InvalidData => "its certificate is not accepted",
            _ => "no connection, or its name is not known",
        }),
        Error::Tls(_) => unreachable("its certificate is not accepted"),
        // A proxy in front of a gateway that is down answers so.
        Error::Http(answer) if answer.status().is_server_error() => unreachable("it has an error"),
        Error::Http(_) | Error::HttpFormat(_) | Error::Protocol(_) | Error::Url(_) => {
            LinkError::NotAGateway
        }
        _ => unreachable("no connection"),
    }
}

fn closed_by(error: &Error) -> LinkError {
    match error {
        Error::ConnectionClosed | Error::AlreadyClosed => LinkError::Closed { code: 1006 },
        Error::Capacity(_) => LinkError::Closed { code: 1009 },
        _ => unreachable("the connection broke"),
    }
}

fn end_of(frame: Option<Result<Message, Error>>) -> LinkError {
    match frame {
        Some(Ok(Message::Close(Some(close)))) => LinkError::Closed {
            code: close.code.into(),
        },
        Some(Err(error)) => closed_by(&error),
        // RFC 6455 section 7.4.1: no goodbye.
        _ => LinkError::Closed { code: 1006 },
    }
}
