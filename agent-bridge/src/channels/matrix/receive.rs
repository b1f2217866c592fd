//! From the homeserver to the hub: logging in, syncing, and each event of a sync in its order. The sync token moves on
//! only when all before it is kept; whatever ends us before that lets the same events come again, and the hub knows them
//! by their ids. Owns the waits after failures.

use std::sync::Arc;

use tokio::sync::mpsc;
use tokio::time::{Duration, Instant, sleep};

use super::http::ApiError;
use super::judge::{self, Own};
use super::login::LoginError;
use super::rooms::Room;
use super::session::Session;
use super::wire::{Event, Invite, Joined, Sync};
use super::{Matrix, Notice, Standing};
use crate::channels::Arrival;

/// Where the sync token is remembered.
const SINCE: &str = "since";
/// Pages of older events that fill one gap.
const PAGES_MAX: usize = 40;
/// Attempts for what is worth a few, such as a voice message from another server.
const TRIES_MAX: u32 = 3;
/// Attempts for what one event hangs on: a minute, so that a homeserver may be started anew meanwhile, and no more: one
/// event that it cannot give out must not hold up all others.
pub(super) const EVENT_TRIES_MAX: u32 = 6;
/// A server that asks for more patience than this within a few attempts is not waited for.
const LIMITED_MAX: Duration = Duration::from_secs(30);
/// A refused sync token is tried this often before it is given up.
const SINCE_TRIES_MAX: u32 = 3;
/// After a token that nothing can replace.
const REFUSED_WAIT: Duration = Duration::from_secs(300);

/// Why receiving stopped.
pub(super) enum Stop {
    /// The hub is gone.
    Closed,
    Token,
}

pub(super) async fn run(matrix: &Arc<Matrix>, inbox: &mpsc::Sender<Arrival>) {
    let mut is_refused = false;
    let mut attempt = 0;
    loop {
        let session = tokio::select! {
            () = inbox.closed() => return,
            session = log_in(matrix, is_refused) => session,
        };
        let wait = match session {
            Ok(session) => {
                attempt = 0;
                matrix.session.send_replace(Some(session.clone()));
                let mut receiver = Receiver::new(matrix, session, inbox);
                let stop = tokio::select! {
                    () = inbox.closed() => return,
                    stop = receiver.run() => stop,
                };
                matrix.session.send_replace(None);
                match stop {
                    Stop::Closed => return,
                    Stop::Token => is_refused = true,
                }
                matrix.backoff(0)
            }
            Err(wait) => wait.unwrap_or_else(|| matrix.backoff(attempt)),
        };
        attempt += 1;
        tokio::select! {
            () = inbox.closed() => return,
            () = sleep(wait) => {}
        }
    }
}

/// The error is how long to wait, where that is known.
async fn log_in(matrix: &Matrix, is_refused: bool) -> Result<Arc<Session>, Option<Duration>> {
    let http = matrix.config.found(&matrix.named).await;
    let login = &matrix.config.login;
    let account = match &http {
        Ok(http) => login.open(http, is_refused).await,
        Err(error) => Err(LoginError::Api(error.clone())),
    };
    let http = http.unwrap_or_else(|_| matrix.named.clone());
    match account {
        Ok(account) => {
            let user = account.user_id.clone();
            if matrix.stand(Standing::In { user: user.clone() }) {
                matrix.tell(Notice::LoggedIn { user });
            }
            Ok(Arc::new(Session { http, account }))
        }
        Err(LoginError::Api(ApiError::Limited { after })) => Err(Some(after)),
        Err(LoginError::Api(
            error @ (ApiError::Away { .. } | ApiError::TooLarge | ApiError::Garbled),
        )) => {
            matrix.is_away(error.to_string());
            Err(None)
        }
        Err(error) => {
            let why = error.to_string();
            if matrix.stand(Standing::Refused { why: why.clone() }) {
                matrix.tell(Notice::Refused { why });
            }
            Err(Some(REFUSED_WAIT))
        }
    }
}

pub(super) struct Receiver<'a> {
    pub(super) matrix: &'a Arc<Matrix>,
    pub(super) session: Arc<Session>,
    pub(super) inbox: &'a mpsc::Sender<Arrival>,
    pub(super) own: Own,
    /// Invitations refused since the last line about them, and when that was.
    pub(super) refused: (u32, Option<Instant>),
    /// Invitations of people we know that are yet to be answered.
    pub(super) late: Vec<Invite>,
}

impl<'a> Receiver<'a> {
    fn new(
        matrix: &'a Arc<Matrix>,
        session: Arc<Session>,
        inbox: &'a mpsc::Sender<Arrival>,
    ) -> Receiver<'a> {
        let own = Own {
            user_id: session.account.user_id.clone(),
            shown_name: String::new(),
        };
        Receiver {
            matrix,
            session,
            inbox,
            own,
            refused: (0, None),
            late: Vec::new(),
        }
    }

    async fn run(&mut self) -> Stop {
        match self.receive().await {
            Err(stop) => stop,
            Ok(never) => match never {},
        }
    }

    async fn receive(&mut self) -> Result<std::convert::Infallible, Stop> {
        let session = self.session.clone();
        self.own.shown_name = self
            .insist(|| session.own_name())
            .await?
            .unwrap_or_default();
        let mut since = self.kept_since().await;
        let mut is_small = false;
        let mut attempt = 0;
        let mut refusals = 0;
        loop {
            let waits = since.is_some() && attempt == 0 && self.late.is_empty();
            let answer = self.session.sync(since.as_deref(), is_small, waits).await;
            let wait = match answer {
                Ok(sync) => {
                    if attempt > 0 {
                        self.is_back();
                    }
                    (attempt, refusals, is_small) = (0, 0, false);
                    self.take(&sync, since.as_deref()).await?;
                    // Before that a new start gets the invitations again that have to wait here.
                    if self.late.is_empty() {
                        self.keep_since(&sync.next_batch).await?;
                    }
                    since = Some(sync.next_batch);
                    continue;
                }
                Err(ApiError::Token) => return Err(self.token_refused()),
                Err(ApiError::Limited { after }) => after,
                // With few events of each room it is shorter, and the gaps are filled in pages.
                Err(ApiError::TooLarge) if !is_small => {
                    is_small = true;
                    continue;
                }
                Err(error @ ApiError::Refused { .. })
                    if since.is_some() && refusals < SINCE_TRIES_MAX =>
                {
                    refusals += 1;
                    self.matrix.is_away(error.to_string());
                    self.matrix.backoff(attempt)
                }
                Err(ApiError::Refused { status: 400, .. }) if since.is_some() => {
                    self.matrix.tell(Notice::Afresh);
                    since = None;
                    self.matrix.backoff(attempt)
                }
                Err(error) => {
                    self.matrix.is_away(error.to_string());
                    self.matrix.backoff(attempt)
                }
            };
            attempt += 1;
            sleep(wait).await;
        }
    }

    fn is_back(&self) {
        let user = self.own.user_id.clone();
        if self.matrix.stand(Standing::In { user }) {
            self.matrix.tell(Notice::Back);
        }
    }

    fn token_refused(&self) -> Stop {
        if !self.matrix.config.login.can_renew() {
            let why = ApiError::Token.to_string();
            if self.matrix.stand(Standing::Refused { why: why.clone() }) {
                self.matrix.tell(Notice::Refused { why });
            }
        }
        Stop::Token
    }

    /// The token of the last run, if it is this account's.
    async fn kept_since(&self) -> Option<String> {
        let kept = self.matrix.parts.memory.get(SINCE).await?;
        let (user, since) = kept.split_once(' ')?;
        (user == self.own.user_id).then(|| since.to_owned())
    }

    async fn keep_since(&self, since: &str) -> Result<(), Stop> {
        let value = format!("{} {since}", self.own.user_id);
        let mut attempt = 0;
        while self.matrix.parts.memory.put(SINCE, &value).await.is_err() {
            self.pause_for_store(attempt).await;
            attempt += 1;
        }
        Ok(())
    }

    pub(super) async fn pause_for_store(&self, attempt: u32) {
        // A disk that is full for a minute is worth a line, one that is busy is not.
        if attempt == 5 {
            self.matrix.tell(Notice::NotKept);
        }
        sleep(self.matrix.backoff(attempt.min(3)) / 2).await;
    }

    /// Asks until there is an answer. None: the server will not tell.
    pub(super) async fn insist<T, F>(&self, ask: impl Fn() -> F) -> Result<Option<T>, Stop>
    where
        F: Future<Output = Result<T, ApiError>>,
    {
        let mut attempt = 0;
        loop {
            let wait = match ask().await {
                Ok(answer) => {
                    if attempt > 0 {
                        self.is_back();
                    }
                    return Ok(Some(answer));
                }
                Err(ApiError::Token) => return Err(self.token_refused()),
                Err(ApiError::Limited { after }) => after,
                Err(ApiError::Away { why }) => {
                    self.matrix.is_away(why);
                    self.matrix.backoff(attempt)
                }
                Err(ApiError::Refused { .. } | ApiError::TooLarge | ApiError::Garbled) => {
                    return Ok(None);
                }
            };
            attempt += 1;
            sleep(wait).await;
        }
    }

    /// Asks a few times.
    pub(super) async fn try_some<T, F>(
        &self,
        ask: impl Fn() -> F,
    ) -> Result<Result<T, ApiError>, Stop>
    where
        F: Future<Output = Result<T, ApiError>>,
    {
        self.try_times(TRIES_MAX, ask).await
    }

    pub(super) async fn try_times<T, F>(
        &self,
        tries_max: u32,
        ask: impl Fn() -> F,
    ) -> Result<Result<T, ApiError>, Stop>
    where
        F: Future<Output = Result<T, ApiError>>,
    {
        let mut attempt = 0;
        loop {
            let error = match ask().await {
                Ok(answer) => return Ok(Ok(answer)),
                Err(error) => error,
            };
            attempt += 1;
            let wait = match &error {
                ApiError::Token => return Err(self.token_refused()),
                ApiError::Limited { after } if *after <= LIMITED_MAX => *after,
                ApiError::Away { .. } => self.matrix.backoff(attempt),
                _ => return Ok(Err(error)),
            };
            if attempt >= tries_max {
                return Ok(Err(error));
            }
            sleep(wait).await;
        }
    }

    /// Everything in one sync, in its order; invitations behind what was said.
    async fn take(&mut self, sync: &Sync, since: Option<&str>) -> Result<(), Stop> {
        for joined in &sync.joined {
            match since {
                Some(since) => self.room(joined, since).await?,
                // The account's first sync with us: what was said before is nobody's question.
                None => {
                    let mut rooms = self.matrix.rooms();
                    for event in joined.state.iter().chain(&joined.timeline) {
                        rooms.note(&joined.room, event);
                    }
                }
            }
        }
        self.invitations(&sync.invites).await
    }

    async fn room(&mut self, joined: &Joined, since: &str) -> Result<(), Stop> {
        let timeline = self.whole(joined, since).await?;
        {
            let mut rooms = self.matrix.rooms();
            for event in joined.state.iter().chain(&timeline) {
                rooms.note(&joined.room, event);
            }
        }
        let begins = judge::begins(&timeline, &self.own);
        let mut read = None;
        for event in &timeline[begins..] {
            if self.event(&joined.room, event).await? {
                read = Some(event.id.as_str());
            }
        }
        if let Some(event) = read {
            let _ = self.session.read(&joined.room, event).await;
        }
        Ok(())
    }

    /// The timeline with what the server left out.
    async fn whole(&self, joined: &Joined, since: &str) -> Result<Vec<Event>, Stop> {
        let Some(gap) = &joined.gap else {
            return Ok(joined.timeline.clone());
        };
        let is_beginning = |event: &Event| judge::is_beginning(event, &self.own);
        if joined.timeline.iter().any(is_beginning) {
            return Ok(joined.timeline.clone());
        }
        let (session, room) = (&self.session, &joined.room);
        let mut older: Vec<Event> = Vec::new();
        let mut from = gap.clone();
        let mut why = None;
        for page in 0.. {
            if page == PAGES_MAX {
                why = Some(format!("more than {} at once", older.len()));
                break;
            }
            let Some(page) = self.insist(|| session.older(room, &from, since)).await? else {
                why = Some("the homeserver does not give them out".to_owned());
                break;
            };
            let is_ours = page.events.iter().any(is_beginning);
            let is_empty = page.events.is_empty();
            older.extend(page.events);
            match page.next {
                Some(next) if !is_ours && (!is_empty || next != from) => from = next,
                _ => break,
            }
        }
        if let Some(why) = why {
            self.matrix.rooms().doubt(room);
            self.matrix.tell(Notice::Lost {
                room: room.clone(),
                why,
            });
        }
        older.reverse();
        // Where pages and timeline overlap, one of each.
        older.retain(|event| !joined.timeline.iter().any(|known| known.id == event.id));
        older.extend(joined.timeline.iter().cloned());
        Ok(older)
    }
}

impl Matrix {
    /// What is known of a room, asked for where it is not.
    pub(super) async fn facts(&self, session: &Session, room: &str) -> Result<Room, ApiError> {
        let (mut facts, changes) = {
            let rooms = self.rooms();
            (rooms.room(room), rooms.changes())
        };
        let is_whole = facts.is_encrypted.is_some() && facts.people.is_some();
        if is_whole {
            return Ok(facts);
        }
        if facts.is_encrypted.is_none() {
            facts.is_encrypted = Some(session.is_encrypted(room).await?);
        }
        if facts.people.is_none() {
            facts.people = Some(session.people(room).await?);
        }
        let mut rooms = self.rooms();
        // What has changed while we asked is asked again the next time.
        if rooms.changes() == changes {
            rooms.rooms.put(room, facts);
        }
        Ok(facts)
    }
}
