//! Matrix: a client of one account on the owner's homeserver (client-server API v1.15, tested with Synapse). People write
//! and send voice messages to that account; in rooms with several people it answers when it is mentioned. The sync token
//! is kept only after everything before it was kept by the hub, and what is sent carries a transaction id, so nothing is
//! lost and nothing is said twice over a crash. Encrypted rooms are not supported: nothing is read there, nothing is sent
//! there but one line that says so.
//!
//! `wire`, `judge`, `compose`, `html`, `rooms` and `notice` are PURE. `http` and `session` make requests, `login`
//! keeps the token, `receive` (with `invites` and `events`) and `send` are the two directions.
//! Who may write is the hub's to say (`doorstep`, `NotKept`).

mod compose;
mod events;
#[doc(hidden)]
pub mod fuzz;
mod html;
mod http;
mod invites;
mod judge;
mod login;
mod notice;
mod receive;
mod rooms;
mod send;
mod session;
mod wire;

#[cfg(test)]
mod tests;

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;
use rand::rngs::StdRng;
use rand::{RngExt as _, SeedableRng as _};
use tokio::sync::{mpsc, watch};
use tokio::task::AbortHandle;

use super::doorstep::{Door, Doorstep};
use super::{Address, Arrival, Channel, DeliveryError, Memory, Outbound};
pub use http::ApiError;
pub use login::{Login, LoginError};
pub use notice::Notice;
use rooms::Rooms;
use session::Session;

/// As in [`Address::channel`].
pub const NAME: &str = "matrix";

/// Looking up where a homeserver is.
const DISCOVERY_TIMEOUT: Duration = Duration::from_secs(10);
const DISCOVERY_BYTES_MAX: usize = 64 * 1024;
/// After the first failure.
#[cfg(not(test))]
const FIRST_WAIT: Duration = Duration::from_secs(1);
#[cfg(test)]
const FIRST_WAIT: Duration = Duration::from_millis(5);

/// What the owner decides.
#[derive(Debug, Clone)]
pub struct MatrixConfig {
    /// `https://matrix.example.org`, or `example.org`, which says where it is.
    pub homeserver: String,
    pub login: Login,
    /// Answer in rooms with more than one other person, when mentioned.
    pub rooms: bool,
    /// Strangers who invite us, or write in a room of two, get a code to be linked with. Otherwise their invitation is
    /// refused.
    pub pairing: bool,
    /// Of one voice message.
    pub voice_bytes_max: usize,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum MatrixConfigError {
    #[error("the homeserver's address must be like https://matrix.example.org")]
    Homeserver,
    #[error("the HTTP client could not be set up (no TLS provider, or no certificates)")]
    Client,
}

/// Where notices go: a log line each.
pub type Notices = Arc<dyn Fn(Notice) + Send + Sync>;

/// What the channel is given by the program.
pub struct Parts {
    pub memory: Arc<dyn Memory>,
    pub door: Arc<dyn Door>,
    pub notices: Notices,
    /// Spreads the attempts after a failure.
    pub seed: [u8; 32],
}

/// How it stands.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Standing {
    Connecting,
    In { user: String },
    Away { why: String },
    Refused { why: String },
}

/// The channel.
pub struct Matrix {
    config: MatrixConfig,
    /// As configured: by its address, or by a name that says where it is.
    named: http::Http,
    parts: Parts,
    rng: Mutex<StdRng>,
    standing: Mutex<Standing>,
    session: watch::Sender<Option<Arc<Session>>>,
    rooms: Mutex<Rooms>,
    doorstep: Mutex<Doorstep>,
    progress: Mutex<rooms::Lately<send::Progress>>,
    /// By place: what repeats the sign that we are typing.
    typing: Mutex<HashMap<String, AbortHandle>>,
}

impl Matrix {
    /// A rustls crypto provider must have been installed by the program.
    pub fn new(config: MatrixConfig, parts: Parts) -> Result<Matrix, MatrixConfigError> {
        let address = match config.homeserver.contains("://") {
            true => config.homeserver.clone(),
            false => format!("https://{}", config.homeserver),
        };
        let base = http::base(&address).ok_or(MatrixConfigError::Homeserver)?;
        let named = http::Http::new(base).ok_or(MatrixConfigError::Client)?;
        let rng = StdRng::from_seed(parts.seed);
        Ok(Matrix {
            config,
            named,
            parts,
            rng: Mutex::new(rng),
            standing: Mutex::new(Standing::Connecting),
            session: watch::Sender::new(None),
            rooms: Mutex::default(),
            doorstep: Mutex::default(),
            progress: Mutex::new(rooms::Lately::new(send::PROGRESS_MAX)),
            typing: Mutex::default(),
        })
    }

    fn rooms(&self) -> MutexGuard<'_, Rooms> {
        self.rooms.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn tell(&self, notice: Notice) {
        (self.parts.notices)(notice);
    }

    /// Changes how it stands; true where it stood otherwise.
    fn stand(&self, standing: Standing) -> bool {
        let mut current = self.standing.lock().unwrap_or_else(PoisonError::into_inner);
        let is_new = *current != standing;
        *current = standing;
        is_new
    }

    /// The server does not answer: said once until it does.
    fn is_away(&self, why: String) {
        let was_away = matches!(
            *self.standing.lock().unwrap_or_else(PoisonError::into_inner),
            Standing::Away { .. }
        );
        self.stand(Standing::Away { why: why.clone() });
        if !was_away {
            self.tell(Notice::Away { why });
        }
    }

    /// `attempt` counts from 0: 1 s, 2 s, 4 s … 60 s, give or take a quarter.
    fn backoff(&self, attempt: u32) -> Duration {
        let wait = (FIRST_WAIT * (1 << attempt.min(6))).min(FIRST_WAIT * 60);
        let mut rng = self.rng.lock().unwrap_or_else(PoisonError::into_inner);
        wait.mul_f32(rng.random_range(0.75..1.25))
    }
}

fn address(user: &str) -> Address {
    Address {
        channel: NAME,
        id: user.to_owned(),
    }
}

impl Channel for Matrix {
    fn name(&self) -> &'static str {
        NAME
    }

    fn run(self: Arc<Self>, inbox: mpsc::Sender<Arrival>) -> BoxFuture<'static, ()> {
        async move { receive::run(&self, &inbox).await }.boxed()
    }

    fn deliver<'a>(
        &'a self,
        message: &'a Outbound,
    ) -> BoxFuture<'a, Result<Option<String>, DeliveryError>> {
        send::deliver(self, message).boxed()
    }

    fn typing<'a>(&'a self, place: &'a str, is_on: bool) -> BoxFuture<'a, ()> {
        send::typing(self, place, is_on).boxed()
    }

    fn standing(&self) -> String {
        let standing = self.standing.lock().unwrap_or_else(PoisonError::into_inner);
        let server = self.named.address();
        match &*standing {
            Standing::Connecting => format!("connecting to {server}"),
            Standing::In { user } => format!("{user} at {server}"),
            Standing::Away { why } => format!("{server}: {why}; trying again"),
            Standing::Refused { why } => format!("{server}: {why}"),
        }
    }
}

/// The homeserver's address for a server name, as its owner publishes it (§3.1, `.well-known`); the name itself with
/// `https://` where nothing is published. An error where that cannot be found out just now.
async fn discover(name: &http::Http) -> Result<http::Http, ApiError> {
    let path = [".well-known", "matrix", "client"];
    let request = http::Request {
        timeout: DISCOVERY_TIMEOUT,
        bytes_max: DISCOVERY_BYTES_MAX,
        ..http::Request::get(&path)
    };
    let published = match name.json(request).await {
        Err(error @ (ApiError::Away { .. } | ApiError::Limited { .. })) => return Err(error),
        answer => answer.unwrap_or_default(),
    };
    let url = published["m.homeserver"]["base_url"].as_str();
    let base = url
        .filter(|url| url.starts_with("https://"))
        .and_then(http::base);
    Ok(base
        .and_then(http::Http::new)
        .unwrap_or_else(|| name.clone()))
}
