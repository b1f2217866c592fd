//! The rows of the store as plain values. Times are milliseconds since 1970, UTC.

use std::net::SocketAddr;

use agent_bridge::turn::Ledger;
use rusqlite::Row;

/// One registration of one phone: RFC 3261 10.3, RFC 5626 for `instance` and `reg_id`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BindingRow {
    pub user: String,
    /// The Contact URI as the phone wrote it.
    pub contact: String,
    /// The Contact header's parameters as written, without the ones that have a field here.
    pub params: String,
    pub instance: Option<String>,
    pub reg_id: Option<u32>,
    /// Preference in thousandths.
    pub q: u16,
    pub call_id: String,
    pub cseq: u32,
    /// `udp` or `tcp`.
    pub transport: String,
    /// Our address of the flow.
    pub local: SocketAddr,
    /// The phone's address of the flow, as packets came from it.
    pub remote: SocketAddr,
    pub expires_unix_ms: u64,
    pub user_agent: Option<String>,
}

/// A call that begins.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CallStarted {
    pub id: String,
    /// The authenticated user.
    pub user: String,
    /// What was dialled.
    pub number: String,
    /// The phone's signalling address.
    pub remote: String,
    pub user_agent: Option<String>,
    pub started_unix_ms: u64,
}

/// How a call ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CallEnded {
    pub id: String,
    pub ended_unix_ms: u64,
    /// Such as `completed`, `refused`, `failed`.
    pub result: String,
    /// One line for people.
    pub reason: String,
    /// `peer`, `upstream` or `ours`; none when nothing went wrong.
    pub blame: Option<String>,
    pub codec: Option<String>,
    /// A JSON object of figures.
    pub stats_json: String,
    pub ledger: Ledger,
}

/// A call as it stands in the list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CallRow {
    pub id: String,
    pub user: String,
    pub number: String,
    pub remote: String,
    pub user_agent: Option<String>,
    pub started_unix_ms: u64,
    /// None: still going on.
    pub ended_unix_ms: Option<u64>,
    pub result: Option<String>,
    pub reason: Option<String>,
    pub blame: Option<String>,
    pub codec: Option<String>,
    pub stats_json: Option<String>,
    pub turns: u32,
    /// What speculation brought and cost; zeros before the end.
    pub ledger: Ledger,
}

/// One turn of a call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TurnRow {
    pub call: String,
    /// From 1.
    pub n: u32,
    /// When the caller's turn ended.
    pub at_unix_ms: u64,
    pub caller_text: String,
    /// What the agent wrote.
    pub reply_text: String,
    /// What of it was played.
    pub heard_text: String,
    /// A JSON object: stage → ms.
    pub latencies_json: String,
    /// Who answered; none in rows of older versions.
    pub gateway: Option<String>,
    pub model: Option<String>,
    /// Tools that were used on the way.
    pub tools: Vec<String>,
}

/// Who said something.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    Caller,
    Assistant,
    /// The program itself: announcements, tool results.
    Program,
}

impl Role {
    pub fn as_str(self) -> &'static str {
        match self {
            Role::Caller => "caller",
            Role::Assistant => "assistant",
            Role::Program => "program",
        }
    }

    fn read(text: &str) -> Role {
        match text {
            "caller" => Role::Caller,
            "assistant" => Role::Assistant,
            _ => Role::Program,
        }
    }
}

/// One message of a conversation, on whatever channel.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MessageRow {
    pub conversation: String,
    pub role: Role,
    pub text: String,
    /// The part of `text` the caller heard, when that was less.
    pub heard: Option<String>,
    pub at_unix_ms: u64,
    pub call: Option<String>,
    /// Such as `phone`.
    pub channel: String,
}

impl BindingRow {
    /// None: the row holds no address of this program's writing.
    pub(super) fn from_row(row: &Row<'_>) -> rusqlite::Result<Option<BindingRow>> {
        let local: String = row.get(9)?;
        let remote: String = row.get(10)?;
        let (Ok(local), Ok(remote)) = (local.parse(), remote.parse()) else {
            return Ok(None);
        };
        Ok(Some(BindingRow {
            user: row.get(0)?,
            contact: row.get(1)?,
            params: row.get(2)?,
            instance: row.get(3)?,
            reg_id: row.get(4)?,
            q: row.get(5)?,
            call_id: row.get(6)?,
            cseq: row.get(7)?,
            transport: row.get(8)?,
            local,
            remote,
            expires_unix_ms: unsigned(row.get(11)?),
            user_agent: row.get(12)?,
        }))
    }
}

impl CallRow {
    pub(super) fn from_row(row: &Row<'_>) -> rusqlite::Result<CallRow> {
        Ok(CallRow {
            id: row.get(0)?,
            user: row.get(1)?,
            number: row.get(2)?,
            remote: row.get(3)?,
            user_agent: row.get(4)?,
            started_unix_ms: unsigned(row.get(5)?),
            ended_unix_ms: row.get::<_, Option<i64>>(6)?.map(unsigned),
            result: row.get(7)?,
            reason: row.get(8)?,
            blame: row.get(9)?,
            codec: row.get(10)?,
            stats_json: row.get(11)?,
            turns: row.get(12)?,
            ledger: ledger_from(row, 13)?,
        })
    }
}

impl TurnRow {
    pub(super) fn from_row(row: &Row<'_>) -> rusqlite::Result<TurnRow> {
        Ok(TurnRow {
            call: row.get(0)?,
            n: row.get(1)?,
            at_unix_ms: unsigned(row.get(2)?),
            caller_text: row.get(3)?,
            reply_text: row.get(4)?,
            heard_text: row.get(5)?,
            latencies_json: row.get(6)?,
            gateway: row.get(7)?,
            model: row.get(8)?,
            tools: row
                .get::<_, Option<String>>(9)?
                .and_then(|tools| serde_json::from_str(&tools).ok())
                .unwrap_or_default(),
        })
    }
}

impl MessageRow {
    pub(super) fn from_row(row: &Row<'_>) -> rusqlite::Result<MessageRow> {
        let role: String = row.get(1)?;
        Ok(MessageRow {
            conversation: row.get(0)?,
            role: Role::read(&role),
            text: row.get(2)?,
            heard: row.get(3)?,
            at_unix_ms: unsigned(row.get(4)?),
            call: row.get(5)?,
            channel: row.get(6)?,
        })
    }
}

/// The five columns of a ledger, from `first` on.
pub(super) fn ledger_from(row: &Row<'_>, first: usize) -> rusqlite::Result<Ledger> {
    let count = |column: usize| -> rusqlite::Result<u32> {
        Ok(u32::try_from(row.get::<_, i64>(first + column)?.max(0)).unwrap_or(u32::MAX))
    };
    Ok(Ledger {
        guesses: count(0)?,
        hits: count(1)?,
        misses: count(2)?,
        saved_ms: unsigned(row.get(first + 3)?),
        tokens_wasted: unsigned(row.get(first + 4)?),
    })
}

fn unsigned(value: i64) -> u64 {
    u64::try_from(value).unwrap_or(0)
}
