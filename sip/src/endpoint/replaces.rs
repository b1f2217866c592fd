//! PURE.
//! An INVITE that takes the place of a call, RFC 3891: which call, and who may. Does not own what then happens to the two
//! calls: the program joins the new one to whatever the old one was joined to, and hangs up the old one.
//!
//! Who may replace a call: whose call it is (the account or trunk at its other end, from any of its phones), and whom the
//! program has named with `allow_replacing`, which it does for the party that call is joined to. Knowing the tags alone
//! is not enough.

use super::{CallError, CallKey, Caller, Endpoint};
use crate::dialog::DialogId;
use crate::header::{HeaderName, Replaces};
use crate::invite::{Call, Cancel, Phase};
use crate::message::Request;

impl Endpoint {
    /// From now on this account or trunk may replace the call. At most eight such; a further one displaces the oldest.
    pub fn allow_replacing(&mut self, key: CallKey, caller: Caller) -> Result<(), CallError> {
        self.live_call(key)?.usages.add_heir(caller);
        Ok(())
    }

    /// RFC 3891 §3: the call that an INVITE wants to replace, or the status it is refused with.
    pub(super) fn replaced_by(
        &self,
        caller: &Caller,
        invite: &Request,
    ) -> Result<Option<CallKey>, u16> {
        let Some(value) = invite.headers.get(&HeaderName::Replaces) else {
            return Ok(None);
        };
        let replaces = Replaces::parse(value).map_err(|_| 400_u16)?;
        let call = self.named_call(&replaces).ok_or(481_u16)?;
        let may = call.party.as_ref() == Some(caller) || call.usages.heirs.contains(caller);
        match call.phase {
            // Whoever may not learns no more than that there is such a call, whose tags it knew.
            _ if !may => Err(403),
            Phase::Closing | Phase::Accepted { hangup: true } => Err(603),
            Phase::Established | Phase::Accepted { hangup: false } if replaces.early_only => {
                Err(486)
            }
            Phase::Established | Phase::Accepted { hangup: false } => Ok(Some(call.key)),
            // An early dialog may be replaced only by the side that was called.
            Phase::Incoming { .. } => Err(481),
            Phase::Calling {
                cancel: Cancel::No, ..
            } => Ok(Some(call.key)),
            Phase::Calling { .. } => Err(603),
        }
    }

    /// The call with that dialog; its tags are named as the peer of ours that we would be sees them.
    pub(super) fn named_call(&self, replaces: &Replaces) -> Option<&Call> {
        let with_tag = |remote_tag: &str| DialogId {
            call_id: replaces.call_id.clone(),
            local_tag: replaces.to_tag.clone(),
            remote_tag: remote_tag.to_owned(),
        };
        let known = self.dialogs.get(&with_tag(&replaces.from_tag));
        // RFC 3891 §3: a zero also stands for no tag at all, in the words of RFC 2543.
        let old = || {
            self.dialogs
                .get(&with_tag(""))
                .filter(|_| replaces.from_tag == "0")
        };
        self.calls.get(known.or_else(old)?)
    }
}
