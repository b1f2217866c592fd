//! PURE.
//! Dialogs that a crash cut off: what must be known of each to end it after a restart, and their ending. RFC 3261 §12.2.1
//! and §15. Does not own the file that outlives the crash.

use std::time::Instant;

use super::transactions::Owner;
use super::{CallKey, Endpoint, LogLevel, Output};
use crate::dialog::{Dialog, DialogId};
use crate::flow::{ConnId, Flow};
use crate::header::{HeaderName, NameAddr};
use crate::method::Method;

/// One established dialog, as much of it as a BYE needs. Plain fields, so that the program can store it as it likes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DialogRecord {
    /// Our tag, which no other dialog of ours has.
    pub id: String,
    pub call_id: String,
    /// From value of our requests, with our tag.
    pub local: String,
    /// To value of our requests, with the peer's tag.
    pub remote: String,
    /// URI of the peer's Contact.
    pub remote_target: String,
    /// Route values, nearest first.
    pub routes: Vec<String>,
    /// Of our last request; later ones of the same dialog are not written down.
    pub local_cseq: u32,
    /// Its connection, if any, is gone.
    pub flow: Flow,
    /// The connection was ours, so it can be opened again to where it went.
    pub we_connected: bool,
}

/// The BYE's number is this much above the last that was written down: RFC 3261 §12.2.2 takes any that is higher, and
/// requests in between were not written down.
const CSEQ_AHEAD: u32 = 10_000;
/// Dialogs ended after one crash; there cannot have been more.
const LOST_MAX: usize = 16_384;
/// Any connection that is not there: the peer's, or ours.
const GONE: ConnId = ConnId(u64::MAX >> 1);
const OURS_GONE: ConnId = ConnId(u64::MAX);

impl DialogRecord {
    fn of(dialog: &Dialog, flow: Flow) -> DialogRecord {
        DialogRecord {
            id: dialog.id.local_tag.clone(),
            call_id: dialog.id.call_id.clone(),
            local: dialog.local.clone(),
            remote: dialog.remote.clone(),
            remote_target: dialog.remote_target.to_string(),
            routes: dialog.routes.clone(),
            local_cseq: dialog.local_cseq,
            we_connected: flow.conn.is_some_and(ConnId::is_outbound),
            flow: Flow { conn: None, ..flow },
        }
    }

    /// `None` where nothing of ours was written down.
    fn dialog(&self) -> Option<Dialog> {
        let tag = |value: &str| {
            let address = NameAddr::parse(value).ok()?;
            Some(address.tag().unwrap_or_default().to_owned())
        };
        let id = DialogId {
            call_id: self.call_id.clone(),
            local_tag: tag(&self.local)?,
            remote_tag: tag(&self.remote)?,
        };
        Some(Dialog {
            id,
            local: self.local.clone(),
            remote: self.remote.clone(),
            remote_target: self.remote_target.parse().ok()?,
            routes: self.routes.clone(),
            local_cseq: self.local_cseq.saturating_add(CSEQ_AHEAD).min(CSEQ_MAX),
            remote_cseq: None,
        })
    }
}

/// RFC 3261 §8.1.1.5, with room for one more.
const CSEQ_MAX: u32 = (1 << 31) - 2;

impl Endpoint {
    /// Says BYE in dialogs that a crash cut off. `Output::ForgetDialog` follows for each when it has been answered, or
    /// when nobody answers.
    pub fn end_lost_dialogs(&mut self, now: Instant, records: Vec<DialogRecord>) {
        for record in records.into_iter().take(LOST_MAX) {
            let Some(mut dialog) = record.dialog() else {
                let id = record.id;
                self.outputs.push_back(Output::ForgetDialog { id });
                continue;
            };
            let conn = match (record.flow.transport.is_reliable(), record.we_connected) {
                (false, _) => None,
                (true, true) => Some(OURS_GONE),
                (true, false) => Some(GONE),
            };
            let mut bye = dialog.request(Method::Bye);
            let reason = "SIP;cause=503;text=\"Server restarted\"";
            bye.headers.push(HeaderName::Reason, reason);
            self.add_product(&mut bye);
            let flow = Flow {
                conn,
                ..record.flow
            };
            let flow = self.living_flow(now, flow, &dialog.remote_target);
            if matches!(flow.conn, Some(GONE | OURS_GONE)) {
                // A phone behind a NAT or in a browser comes back by itself, and hears 481 to whatever it says in there.
                let text = format!("{flow}: no way to end a call that a restart cut off");
                self.log(LogLevel::Info, text);
                let id = record.id;
                self.outputs.push_back(Output::ForgetDialog { id });
                continue;
            }
            let key = self.new_key();
            self.lost.insert(key, record.id);
            self.send_request(now, bye, flow, Owner::Lost(key));
        }
    }

    /// A dialog that stands, for the program to write down.
    pub(super) fn keep_dialog(&mut self, key: CallKey) {
        let call = self.calls.get(&key);
        if let Some((dialog, flow)) = call.and_then(|call| Some((call.dialog.as_ref()?, call.flow)))
        {
            let record = DialogRecord::of(dialog, flow);
            self.kept_dialogs.insert(key, record.id.clone());
            self.outputs.push_back(Output::SaveDialog(record));
        }
    }

    /// The call needs nothing any more: the BYE has been answered.
    pub(super) fn forget_dialog(&mut self, key: CallKey) {
        if let Some(id) = self.kept_dialogs.remove(&key) {
            self.outputs.push_back(Output::ForgetDialog { id });
        }
    }

    /// The BYE of a lost dialog has been answered, or never will be.
    pub(super) fn forget_lost(&mut self, key: u64) {
        if let Some(id) = self.lost.remove(&key) {
            self.outputs.push_back(Output::ForgetDialog { id });
        }
    }
}
