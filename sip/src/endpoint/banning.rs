//! PURE.
//! Who is banned, for what and for how long, and what the owner may say about it. Does not own the list (see `bans`), the
//! counting of wrong passwords (see `guard`) or the file that outlives a restart.
//!
//! A ban needs proof that the address is the stranger's own, or anybody could have the owner's phones banned by writing
//! their address on his packets: a nonce of ours that came back with a wrong answer, or a connection. Without that, a
//! stranger over UDP is dropped and runs out of tokens, and that is over when the packets end.
//!
//! This machine, the networks of people we know and the addresses of trunks are never banned for what they did, only by
//! the owner: a phone with an old password must not cut the line that everybody's calls come over.

use std::net::IpAddr;
use std::time::{Duration, Instant};

use super::{Endpoint, LogLevel, Output};
use crate::bans::{Ban, BanReason, Block, is_within};
use crate::flow::Flow;
use crate::header::HeaderName;
use crate::message::Request;

/// Doubling stops here; by then it is the longest ban anyway.
const DOUBLINGS_MAX: u32 = 16;

impl Endpoint {
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

    /// Ends the ban of an address and forgets that it was; false where there is none. `Output::ForgetBan` follows.
    pub fn unban(&mut self, address: IpAddr) -> bool {
        let block = Block::of(address);
        let removed = self.bans.remove(block).is_some();
        if removed {
            self.lockout.forgive(address);
            self.outputs.push_back(Output::ForgetBan(block));
        }
        removed
    }

    /// Bans from before a restart, ended ones too: they make the next longer.
    pub fn restore_bans(&mut self, bans: Vec<Ban>) {
        for ban in bans {
            self.bans.put(ban);
        }
    }

    /// The list as it stands in the file, after somebody else wrote there. Nothing is put out.
    pub fn replace_bans(&mut self, bans: Vec<Ban>) {
        for block in self.bans.replace(bans) {
            self.lockout.forgive(block.address());
        }
    }

    /// Whether a request comes from one of the programs that look for telephone systems to break into: they say so.
    pub(super) fn is_scanner(&self, request: &Request) -> bool {
        let Some(client) = request.headers.get(&HeaderName::UserAgent) else {
            return false;
        };
        let begins = |known: &String| {
            client
                .get(..known.len())
                .is_some_and(|start| start.eq_ignore_ascii_case(known))
        };
        self.config.guard.scanners.iter().any(begins)
    }

    /// No answer, and no more from there for a while.
    pub(super) fn on_scanner(&mut self, now: Instant, flow: Flow) {
        let source = flow.remote.ip();
        self.stats.messages_dropped += 1;
        if source.to_canonical().is_loopback() {
            return;
        }
        match flow.conn {
            Some(conn) => {
                self.punish(now, source, BanReason::Scanner);
                self.outputs.push_back(Output::CloseStream { conn });
                self.on_stream_closed(now, conn);
            }
            None => self.guard.charge(now, source, u32::MAX),
        }
    }

    /// Whether nothing that comes from there leads to a ban.
    pub(super) fn is_exempt(&self, source: IpAddr) -> bool {
        let source = source.to_canonical();
        let trusted = &self.config.guard.trusted;
        source.is_loopback()
            || trusted.iter().any(|net| is_within(source, *net))
            || self.trunks.has_address(source)
            || self.trunk_lines.leads_to(source)
    }

    /// Whether nothing is heard from there now.
    pub(super) fn is_banned(&self, now: Instant, source: IpAddr) -> bool {
        !source.to_canonical().is_loopback() && self.bans.of(self.unix_ms(now), source).is_some()
    }

    /// Bans an address that has proven to be the stranger's own. Each ban in a row is twice as long as the one before.
    pub(super) fn punish(&mut self, now: Instant, source: IpAddr, why: BanReason) {
        let source = source.to_canonical();
        let now_unix_ms = self.unix_ms(now);
        if self.is_exempt(source) || self.bans.of(now_unix_ms, source).is_some() {
            return;
        }
        let config = &self.config.guard;
        let block = Block::of(source);
        let remembered_ms = u64::from(config.ban_s_max) * 1000;
        let before = self.bans.last_of(block).filter(|ban| {
            ban.why != BanReason::Owner
                && ban.until_unix_ms.saturating_add(remembered_ms) > now_unix_ms
        });
        let times = before.map_or(1, |ban| ban.times.saturating_add(1));
        let doublings = (times - 1).min(DOUBLINGS_MAX);
        let lasts_s = (u64::from(config.ban_s) << doublings).min(u64::from(config.ban_s_max));
        let ban = Ban {
            block,
            why,
            since_unix_ms: now_unix_ms,
            until_unix_ms: now_unix_ms.saturating_add(lasts_s * 1000),
            times,
        };
        self.log(
            LogLevel::Warn,
            format!("{block} is banned for {lasts_s} s: {}", why.as_str()),
        );
        self.bans.put(ban);
        self.outputs.push_back(Output::SaveBan(ban));
    }
}
