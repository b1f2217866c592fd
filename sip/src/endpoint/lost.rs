//! PURE.
//! Dialogs that a crash cut off: what must be known of each to end it after a restart, and their ending. RFC 3261 §12.2.1
//! and §15. Does not own the file that outlives the crash.

use std::net::IpAddr;
use std::time::{Duration, Instant};

use super::{Endpoint, Output};
use crate::bans::{Ban, BanReason, Block};
use crate::flow::Flow;

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
    pub flow: Flow,
}

impl Endpoint {
    /// Says BYE in dialogs that a crash cut off. `Output::ForgetDialog` follows for each when it has been answered, or
    /// when nobody answers.
    pub fn end_lost_dialogs(&mut self, _now: Instant, records: Vec<DialogRecord>) {
        for record in records {
            self.outputs
                .push_back(Output::ForgetDialog { id: record.id });
        }
    }

    /// Blocks that are not heard now, the one that ends first in front.
    pub fn bans(&self, now: Instant) -> Vec<Ban> {
        self.bans.list(self.unix_ms(now))
    }

    /// The owner bans an address (IPv6: its /64). `Output::SaveBan` follows.
    pub fn ban(&mut self, now: Instant, address: IpAddr, lasting: Duration) {
        let since_unix_ms = self.unix_ms(now);
        let lasting_ms = u64::try_from(lasting.as_millis()).unwrap_or(u64::MAX);
        let ban = Ban {
            block: Block::of(address),
            why: BanReason::Owner,
            since_unix_ms,
            until_unix_ms: since_unix_ms.saturating_add(lasting_ms),
            times: 1,
        };
        self.bans.put(ban);
        self.outputs.push_back(Output::SaveBan(ban));
    }

    /// Ends the ban of an address; false where there is none. `Output::ForgetBan` follows.
    pub fn unban(&mut self, address: IpAddr) -> bool {
        let block = Block::of(address);
        let removed = self.bans.remove(block).is_some();
        if removed {
            self.outputs.push_back(Output::ForgetBan(block));
        }
        removed
    }

    /// Bans from before a restart.
    pub fn restore_bans(&mut self, now: Instant, bans: Vec<Ban>) {
        let now_unix_ms = self.unix_ms(now);
        for ban in bans {
            if ban.until_unix_ms > now_unix_ms {
                self.bans.put(ban);
            }
        }
    }
}
