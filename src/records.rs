//! What calls and registrations leave in the store, in the store's own rows.
//! Owns the translation and the one log line for a record that was lost; not the tables (`store`).

use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{SystemTime, UNIX_EPOCH};

use agent_bridge::conversation::{Conversation, Role as SpokenBy, Said};
use agent_bridge::gateways::GatewayInfo;
use agent_bridge::turn::trace::Trace;
use agent_bridge::turn::{Entry, Ledger};
use sip::{Ban, Binding, Flow, Output, Transport};
use tokio::sync::oneshot;
use tracing::{error, warn};

use crate::call::Caption;
use crate::call::driver::Summary;
use crate::call::figures::QualityTotals;
use crate::call::record::{Blame, Termination, TurnRecord};
use crate::hub::{Happening, Happenings};
use crate::store::{
    AuditRow, BindingRow, CallEnded, CallStarted, Lasting, MessageRow, Role, ShownRow, Store,
    StoreError, StoreHandle, TurnRow, Write,
};

/// Records waiting for the disk; when full, the record is lost and a log line says so.
const QUEUE_MAX: usize = 2048;
/// Messages of earlier calls that a new call starts with; the history sent is bounded further.
const REMEMBERED_MAX: usize = 200;
const CHANNEL: &str = "phone";
const STORE_GONE: StoreError = StoreError::Unavailable {
    why: "it has ended",
};

/// The way of calls and registrations to the store. Clones share it.
#[derive(Clone)]
pub struct Recorder {
    store: StoreHandle,
    transcripts: bool,
    /// Of calls that have ended. Held for an addition only.
    ledger: Arc<Mutex<Ledger>>,
    quality: Arc<Mutex<QualityTotals>>,
    happenings: Happenings,
}

/// What is known when a call is answered.
pub struct CallStart {
    pub id: String,
    pub user: String,
    pub number: String,
    pub remote: String,
    pub user_agent: Option<String>,
    pub conversation: String,
    pub codec: String,
}

/// The records of one call.
pub struct CallRecorder {
    recorder: Recorder,
    id: String,
    conversation: String,
    codec: String,
}

impl Recorder {
    /// `transcripts`: whether words are kept at all.
    pub fn start(store: Store, transcripts: bool) -> std::io::Result<(Recorder, JoinHandle<()>)> {
        let (store, thread) = StoreHandle::start(store, QUEUE_MAX, |record, error| {
            error!(record, "not recorded: {error}");
        })?;
        let recorder = Recorder {
            store,
            transcripts,
            ledger: Arc::default(),
            quality: Arc::default(),
            happenings: Happenings::default(),
        };
        Ok((recorder, thread))
    }

    /// Replaces the bindings of `user`. `done` is called on the store's thread when they are on disk, or cannot be,
    /// with what was to follow; where nothing can be queued that comes back at once.
    pub fn save_bindings(
        &self,
        user: String,
        bindings: Vec<Binding>,
        then: Vec<Output>,
        done: impl FnOnce((Result<(), StoreError>, Vec<Output>)) + Send + 'static,
    ) -> Result<(), (StoreError, Vec<Output>)> {
        let bindings = bindings.into_iter().map(to_row).collect();
        self.happened(Happening::Phones);
        // Both ways out need it, and only one of them is taken.
        let then = Arc::new(Mutex::new(then));
        let theirs = then.clone();
        let take = |then: &Mutex<Vec<Output>>| {
            std::mem::take(&mut *then.lock().unwrap_or_else(PoisonError::into_inner))
        };
        self.store
            .keep_then(Lasting::Bindings { user, bindings }, move |saved| {
                done((saved, take(&theirs)));
            })
            .map_err(|error| (error, take(&then)))
    }

    /// Bans in the file, ended ones too, if another process has written there since `seen`; and what to give as `seen`
    /// the next time.
    pub async fn bans_of_others(&self, seen: i64) -> Result<(i64, Option<Vec<Ban>>), StoreError> {
        let (tell, told) = oneshot::channel();
        self.store.read(move |store| {
            let read = store.changes_of_others().and_then(|version| {
                let changed = version != seen;
                Ok((version, changed.then(|| store.bans()).transpose()?))
            });
            let _ = tell.send(read);
        })?;
        told.await.unwrap_or(Err(STORE_GONE))
    }

    /// Writes an entry of the audit log.
    pub fn audit(&self, row: AuditRow) {
        self.write(Write::Audit(row));
    }

    /// Runs `work` on the store's thread, behind all that is queued. What fails is logged, as `record`.
    pub fn queue(
        &self,
        record: &'static str,
        work: impl FnOnce(&mut Store) -> Result<(), StoreError> + Send + 'static,
    ) {
        let queued = self.store.read(move |store| {
            if let Err(error) = work(store) {
                error!(record, "not recorded: {error}");
            }
        });
        if let Err(error) = queued {
            error!(record, "not recorded: {error}");
        }
    }

    /// Runs `work` on the store's thread, behind all that is queued, and waits for it.
    pub async fn with_store<T: Send + 'static>(
        &self,
        work: impl FnOnce(&mut Store) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, StoreError> {
        let (tell, told) = oneshot::channel();
        self.store.read(move |store| {
            let _ = tell.send(work(store));
        })?;
        let gone = StoreError::Unavailable {
            why: "it has ended",
        };
        told.await.unwrap_or(Err(gone))
    }

    /// Writes a change soon. One that is lost is logged.
    pub fn keep(&self, change: Lasting) {
        if let Err(error) = self.store.keep(change) {
            error!("not recorded: {error}");
        }
    }

    /// Writes a change and waits until it is on disk.
    pub async fn keep_now(&self, change: Lasting) -> Result<(), StoreError> {
        let (tell, told) = oneshot::channel();
        self.store.keep_then(change, move |kept| {
            let _ = tell.send(kept);
        })?;
        told.await.unwrap_or(Err(STORE_GONE))
    }

    /// What is shown to people as it happens.
    pub fn happenings(&self) -> &Happenings {
        &self.happenings
    }

    pub fn happened(&self, what: Happening) {
        self.happenings.tell(what);
    }

    /// Queues `work` at once; what it returns comes by the receiver.
    pub fn begin<T: Send + 'static>(
        &self,
        work: impl FnOnce(&mut Store) -> Result<T, StoreError> + Send + 'static,
    ) -> oneshot::Receiver<Result<T, StoreError>> {
        let (tell, told) = oneshot::channel();
        // Where it is refused, its sender is dropped: the receiver says so.
        let queued = self.store.read(move |store| {
            let _ = tell.send(work(store));
        });
        if let Err(error) = queued {
            warn!(%error, "the store takes nothing");
        }
        told
    }

    /// Asks the store something, behind all that was written before.
    pub async fn ask<T: Send + 'static>(
        &self,
        read: impl FnOnce(&mut Store) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, StoreError> {
        let (tell, told) = oneshot::channel();
        self.store.read(move |store| {
            let _ = tell.send(read(store));
        })?;
        told.await.unwrap_or(Err(STORE_GONE))
    }

    /// Whether what is said is kept at all.
    pub fn keeps_words(&self) -> bool {
        self.transcripts
    }

    pub fn call_started(&self, start: CallStart) -> CallRecorder {
        self.happened(Happening::CallUp {
            conversation: start.conversation.clone(),
        });
        self.write(Write::CallStarted(CallStarted {
            id: start.id.clone(),
            user: start.user,
            number: start.number,
            remote: start.remote,
            user_agent: start.user_agent,
            started_unix_ms: unix_ms(),
        }));
        CallRecorder {
            recorder: self.clone(),
            id: start.id,
            conversation: start.conversation,
            codec: start.codec,
        }
    }

    /// What was said in this conversation before. Empty where nothing is kept or the store fails.
    pub async fn conversation(&self, id: &str) -> Conversation {
        let (tell, told) = oneshot::channel();
        let wanted = id.to_owned();
        let asked = self.store.read(move |store| {
            let read = store
                .history(&wanted, None, REMEMBERED_MAX)
                .and_then(|rows| {
                    let open = store.unanswered(&wanted)?;
                    Ok(paired(rows, &open))
                });
            let _ = tell.send(read);
        });
        let rows = match (asked, told.await) {
            (Ok(()), Ok(Ok(rows))) => rows,
            (Err(error), _) | (_, Ok(Err(error))) => {
                warn!(%error, "earlier conversation not read");
                Vec::new()
            }
            (_, Err(_)) => Vec::new(),
        };
        let mut conversation = Conversation::new();
        for row in rows {
            let (role, aside) = match row.role {
                Role::Caller => (SpokenBy::User, false),
                Role::Assistant => (SpokenBy::Assistant, false),
                Role::Program => (SpokenBy::Assistant, true),
            };
            conversation.add(Said {
                id: 0,
                role,
                text: row.text,
                when_ms: row.at_unix_ms,
                call: row.call.unwrap_or_default(),
                heard_all: row.heard.is_none(),
                aside,
            });
        }
        conversation
    }

    /// Users with a registration of the last run. Empty where the store fails.
    pub async fn registered_users(&self) -> Vec<String> {
        let (tell, told) = oneshot::channel();
        let asked = self.store.read(move |store| {
            let _ = tell.send(store.load_bindings());
        });
        let rows = match (asked, told.await) {
            (Ok(()), Ok(Ok(rows))) => rows,
            (Err(error), _) | (_, Ok(Err(error))) => {
                warn!(%error, "registrations of the last run not read");
                Vec::new()
            }
            (_, Err(_)) => Vec::new(),
        };
        let mut users: Vec<String> = rows.into_iter().map(|row| row.user).collect();
        users.sort_unstable();
        users.dedup();
        users
    }

    /// What speculation brought and cost in the calls that have ended since the start.
    pub fn ledger(&self) -> Ledger {
        *self.ledger.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// How the calls sounded that have ended since the start.
    pub fn quality(&self) -> QualityTotals {
        *self.quality.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Ends the store's thread after everything queued.
    pub fn stop(&self) {
        self.store.stop();
    }

    fn write(&self, write: Write) {
        if let Err(lost) = self.store.write(write) {
            error!(record = lost.kind(), "not recorded: the disk is too slow");
        }
    }
}

impl CallRecorder {
    pub fn said(&self, entry: &Entry) {
        let role = match (entry.role, entry.aside) {
            (SpokenBy::User, _) => Role::Caller,
            (_, false) => Role::Assistant,
            (_, true) => Role::Program,
        };
        self.caption(role, &entry.text, true);
        if !self.recorder.transcripts {
            return;
        }
        let row = MessageRow {
            conversation: self.conversation.clone(),
            role,
            text: entry.text.clone(),
            // What is recorded of us is what was heard; a cut answer is marked by its heard part.
            heard: (!entry.complete).then(|| entry.text.clone()),
            at_unix_ms: unix_ms(),
            call: Some(self.id.clone()),
            channel: CHANNEL.to_owned(),
        };
        let happenings = self.recorder.happenings.clone();
        self.recorder.queue("message", move |store| {
            let id = store.add_message(&row)?;
            happenings.tell(Happening::Said {
                id,
                row: Box::new(row),
            });
            Ok(())
        });
    }

    pub fn turn(&self, turn: &TurnRecord, gateway: &GatewayInfo) {
        let text = |text: &str| {
            if self.recorder.transcripts {
                text.to_owned()
            } else {
                String::new()
            }
        };
        self.recorder.write(Write::Turn(TurnRow {
            call: self.id.clone(),
            n: turn.number,
            at_unix_ms: unix_ms(),
            caller_text: text(&turn.caller_text),
            reply_text: text(&turn.reply_text),
            heard_text: text(&turn.heard_text),
            latencies_json: serde_json::to_string(&turn.stages).unwrap_or_default(),
            // One that had to step in is known by one name only.
            gateway: Some(
                turn.fallback
                    .clone()
                    .unwrap_or_else(|| gateway.name.clone()),
            ),
            model: (turn.fallback.is_none() && !gateway.model.is_empty())
                .then(|| gateway.model.clone()),
            tools: turn.tools.clone(),
        }));
    }

    pub fn ended(&self, termination: &Termination, summary: &Summary) {
        let ledger = summary.ledger();
        let total = &self.recorder.ledger;
        add(
            &mut total.lock().unwrap_or_else(PoisonError::into_inner),
            &ledger,
        );
        let quality = &self.recorder.quality;
        let mut quality = quality.lock().unwrap_or_else(PoisonError::into_inner);
        summary.legs.iter().for_each(|leg| quality.add(leg));
        drop(quality);
        self.recorder.write(Write::CallEnded(CallEnded {
            id: self.id.clone(),
            ended_unix_ms: unix_ms(),
            result: termination.result.label().to_owned(),
            reason: termination.reason.clone(),
            blame: (termination.blame != Blame::Nobody)
                .then(|| termination.blame.label().to_owned()),
            codec: Some(self.codec.clone()),
            stats_json: serde_json::to_string(summary).unwrap_or_default(),
            ledger,
        }));
        self.recorder.happened(Happening::CallOver {
            conversation: self.conversation.clone(),
        });
    }

    /// What is being heard or said in the call just now.
    pub fn being_said(&self, words: &Caption) {
        let role = match words.role {
            SpokenBy::User => Role::Caller,
            _ => Role::Assistant,
        };
        self.caption(role, &words.text, false);
    }

    fn caption(&self, role: Role, text: &str, is_final: bool) {
        self.recorder.happened(Happening::Caption {
            conversation: self.conversation.clone(),
            call: self.id.clone(),
            role,
            text: text.to_owned(),
            is_final,
        });
    }

    /// The turn's events and actions, for `offhook replay`. Dropped where no traces are kept.
    pub fn trace(&self, trace: Box<Trace>) {
        if self.recorder.transcripts {
            self.recorder.write(Write::Trace {
                call: self.id.clone(),
                trace,
            });
        }
    }
}

/// Answers behind what they answer, where more was written meanwhile; what still waits for its answer is left out.
fn paired(mut rows: Vec<ShownRow>, open: &[i64]) -> Vec<MessageRow> {
    rows.retain(|row| !open.contains(&row.id));
    rows.sort_by_key(|row| (row.answers.unwrap_or(row.id), row.id));
    rows.into_iter().map(|row| row.message).collect()
}

fn add(total: &mut Ledger, call: &Ledger) {
    total.guesses = total.guesses.saturating_add(call.guesses);
    total.hits = total.hits.saturating_add(call.hits);
    total.misses = total.misses.saturating_add(call.misses);
    total.saved_ms = total.saved_ms.saturating_add(call.saved_ms);
    total.tokens_wasted = total.tokens_wasted.saturating_add(call.tokens_wasted);
}

fn to_row(binding: Binding) -> BindingRow {
    BindingRow {
        user: binding.user,
        contact: binding.contact,
        params: serde_json::to_string(&binding.params).unwrap_or_default(),
        instance: binding.instance,
        reg_id: binding.reg_id,
        q: binding.q,
        call_id: binding.call_id,
        cseq: binding.cseq,
        transport: binding.flow.transport.name().to_owned(),
        local: binding.flow.local,
        remote: binding.flow.remote,
        expires_unix_ms: binding.kept_until_unix_ms,
        user_agent: binding.user_agent,
    }
}

/// A stored binding back in the registrar's words. A connection does not survive a restart: the phone
/// opens a new one with its next registration.
pub fn from_row(row: BindingRow) -> Binding {
    Binding {
        user: row.user,
        contact: row.contact,
        params: serde_json::from_str(&row.params).unwrap_or_default(),
        instance: row.instance,
        reg_id: row.reg_id,
        q: row.q,
        call_id: row.call_id,
        cseq: row.cseq,
        flow: Flow {
            transport: Transport::parse(&row.transport).unwrap_or(Transport::Udp),
            local: row.local,
            remote: row.remote,
            conn: None,
        },
        expires_unix_ms: row.expires_unix_ms,
        kept_until_unix_ms: row.expires_unix_ms,
        user_agent: row.user_agent,
    }
}

/// Milliseconds since 1970, UTC.
pub fn unix_ms() -> u64 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0, |since| since.as_millis() as u64)
}
