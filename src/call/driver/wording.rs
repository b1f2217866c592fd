//! What the other side and the records are told of a call that ends. Words only.
//! PURE.

use super::*;

pub(super) fn termination(why: HangupCause) -> (Termination, Option<String>) {
    let (reason, blame) = match why {
        HangupCause::Turn(HangupReason::Goodbye) => ("the assistant said goodbye", Blame::Nobody),
        HangupCause::Turn(HangupReason::Drained) => ("the program was stopped", Blame::Nobody),
        HangupCause::Turn(HangupReason::SilentCaller) => (SILENT, Blame::Peer),
        HangupCause::Turn(HangupReason::AgentFailed) => ("the agent failed", Blame::Upstream),
        HangupCause::LongestCall => ("the call was as long as calls may be", Blame::Nobody),
        HangupCause::Machine => (MACHINE, Blame::Nobody),
        HangupCause::NoAudio => ("no sound came from the phone any more", Blame::Peer),
    };
    let termination = Termination {
        result: CallResult::Completed,
        reason: reason.to_owned(),
        blame,
    };
    (
        termination,
        Some(format!("SIP;cause=200;text=\"{reason}\"")),
    )
}
