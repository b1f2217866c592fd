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

use super::backoff::backoff;
use super::doorstep::{Door, Doorstep};
use super::{Address, Arrival, Channel, CheckError, DeliveryError, Memory, Outbound, Withdrawal};
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
/// Waits after failures are divided by this: tests do not wait for seconds.
#[cfg(not(test))]
const HURRY: u32 = 1;
#[cfg(test)]
const HURRY: u32 = 200;

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

impl MatrixConfig {
    /// The homeserver as it is named.
    fn named(&self) -> Result<http::Http, MatrixConfigError> {
        let address = match self.homeserver.contains("://") {
            true => self.homeserver.clone(),
            false => format!("https://{}", self.homeserver),
        };
        let base = http::base(&address).ok_or(MatrixConfigError::Homeserver)?;
        http::Http::new(base).ok_or(MatrixConfigError::Client)
    }

    /// The homeserver as it is spoken to.
    async fn found(&self, named: &http::Http) -> Result<http::Http, ApiError> {
        match self.homeserver.contains("://") {
            true => Ok(named.clone()),
            false => discover(named).await,
        }
    }
}

/// Whether the homeserver knows us: our user id, and the server. None: there is a password, and nobody has logged in with
/// it yet. Logs in nowhere.
pub async fn check(config: &MatrixConfig) -> Result<Option<String>, CheckError> {
    let named = config.named().map_err(CheckError::new)?;
    let http = config.found(&named).await.map_err(CheckError::new)?;
    let user = config.login.check(&http).await.map_err(CheckError::new)?;
    Ok(user.map(|user| format!("{user} at {}", http.address())))
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
    /// Spreads the attempts after a failure, and makes marks that nobody can guess.
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
        let named = config.named()?;
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

    /// The wait after this many failures in a row, give or take a quarter.
    fn backoff(&self, failures: u32) -> Duration {
        let wait = backoff(failures) / HURRY;
        wait.mul_f32(self.rng().random_range(0.75..1.25))
    }

    /// What we know a thing of ours by, and nobody else can guess.
    fn mark(&self) -> String {
        format!("{:032x}", self.rng().random::<u128>())
    }

    fn rng(&self) -> MutexGuard<'_, StdRng> {
        self.rng.lock().unwrap_or_else(PoisonError::into_inner)
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

    fn withdraw<'a>(&'a self, question: &'a Withdrawal) -> BoxFuture<'a, ()> {
        send::withdraw(self, question).boxed()
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
    let asked = match name.following() {
        Some(following) => following.json(request).await,
        None => Err(ApiError::Garbled),
    };
    let published = match asked {
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
