//! How a dialog's end reads in the log and in the record. Owns the words and the blame.
//! RFC 3326.

use sip::EndCause;

use crate::call::record::{Blame, CallResult, Termination};

pub fn termination(end: &EndCause) -> Termination {
    let (result, reason, blame) = match end {
        EndCause::ByeReceived { .. } => (
            CallResult::Completed,
            "the caller hung up".to_owned(),
            Blame::Nobody,
        ),
        EndCause::ByeSent => (
            CallResult::Completed,
            "we hung up".to_owned(),
            Blame::Nobody,
        ),
        EndCause::RangOut => (
            CallResult::Failed,
            "nobody took the call".to_owned(),
            Blame::Nobody,
        ),
        EndCause::Cancelled { .. } => (
            CallResult::Cancelled,
            "the caller gave up".to_owned(),
            Blame::Nobody,
        ),
        EndCause::Rejected { status } => (
            CallResult::Refused,
            format!("refused with {status}"),
            Blame::Ours,
        ),
        EndCause::Failed { status, why } => {
            (CallResult::Failed, format!("{why} ({status})"), Blame::Peer)
        }
        EndCause::AckTimeout => (
            CallResult::Failed,
            "the phone never acknowledged the answer".to_owned(),
            Blame::Peer,
        ),
        EndCause::TransactionTimeout => (
            CallResult::Failed,
            "the phone no longer answers".to_owned(),
            Blame::Peer,
        ),
        EndCause::TransportFailed => (
            CallResult::Failed,
            "the connection to the phone broke".to_owned(),
            Blame::Peer,
        ),
    };
    Termination {
        result,
        reason,
        blame,
    }
}

/// A Reason header value (RFC 3326).
pub fn cause(status: u16, text: &str) -> String {
    format!("SIP;cause={status};text=\"{text}\"")
}
