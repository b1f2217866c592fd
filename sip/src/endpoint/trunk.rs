//! PURE.
//! Who an INVITE from outside is from: a trunk by its proof (see `trunk` for the rules), else whoever answers the
//! challenge. Does not own what a trunk may reach, or our registrations with trunks (see `trunk_line`).

use std::time::Instant;

use super::{Caller, Endpoint};
use crate::flow::Flow;
use crate::header::NameAddr;
use crate::identity;
use crate::message::Request;
use crate::trunk::{Trunk, Trunks};

/// What the guard's bucket gets back for a trunk's INVITE: its own price and that of what follows at once.
const VOUCHED_TOKENS: u32 = 4;

impl Endpoint {
    /// Replaces all trunks. Registrations with those that are gone are taken back. A trunk's account under a user's name
    /// is ignored: the user keeps it.
    pub fn set_trunks(&mut self, now: Instant, trunks: Vec<Trunk>) {
        self.trunks = Trunks::new(trunks);
        self.digest
            .set_trunk_accounts(self.trunks.accounts().cloned());
        self.drop_strangers();
        let gone: Vec<String> = self
            .trunk_lines
            .trunks()
            .filter(|trunk| self.trunks.get(trunk).is_none())
            .map(str::to_owned)
            .collect();
        for trunk in gone {
            self.unregister_trunk(now, &trunk);
        }
    }

    /// The trunk a request is from without a password.
    pub(super) fn proven_trunk(
        &self,
        now: Instant,
        flow: Flow,
        request: &Request,
    ) -> Option<String> {
        let source = flow.remote.ip();
        let line = self.trunk_lines.of_request(flow, request, |trunk| {
            self.trunks
                .get(trunk)
                .is_some_and(|trunk| !trunk.addresses.is_empty() && trunk.may_be_at(source))
        });
        if let Some(trunk) = line {
            return Some(trunk.to_owned());
        }
        let trunk = self.trunks.at(source, flow.transport)?;
        // A phone that shares the trunk's address is a phone where it is registered.
        let from = request
            .headers
            .from()
            .ok()?
            .uri
            .user_decoded()
            .unwrap_or_default();
        let bindings = self.registrar.of(&from, self.unix_ms(now));
        let is_phone = bindings
            .iter()
            .any(|binding| binding.flow.remote == flow.remote);
        (!is_phone).then(|| trunk.name.clone())
    }

    /// Who an INVITE is from, or `None` after it has been answered.
    pub(super) fn identify(
        &mut self,
        now: Instant,
        flow: Flow,
        reply_to: Flow,
        request: &Request,
    ) -> Option<Caller> {
        if let Some(trunk) = self.proven_trunk(now, flow, request) {
            self.guard.vouch(now, flow.remote.ip(), VOUCHED_TOKENS);
            self.vouch_stream(flow.conn);
            return Some(Caller::Trunk(trunk));
        }
        let account = self.authenticate(now, flow, reply_to, request)?;
        if !self.digest.is_trunk_account(&account) {
            return Some(Caller::User(account));
        }
        let trunk = self.trunks.of_account(&account)?;
        if !trunk.may_be_at(flow.remote.ip()) {
            self.reply(reply_to, request, 403, []);
            return None;
        }
        Some(Caller::Trunk(trunk.name.clone()))
    }
}

/// The caller as it may be shown, and who sent the call on. A trunk is believed. An account is what it logged in as: From
/// must say the same or nothing, and its other statements are not read. `None`: From names somebody else.
pub(super) fn shown_caller(
    caller: &Caller,
    request: &Request,
) -> Option<(NameAddr, Option<String>)> {
    let headers = &request.headers;
    match caller {
        Caller::Trunk(_) => Some((
            identity::trusted_caller(headers)?,
            identity::diverted_by(headers),
        )),
        Caller::User(user) => {
            let from = headers.from().ok()?;
            if identity::withholds(headers) || identity::is_anonymous(&from.uri) {
                return Some((identity::anonymous(), None));
            }
            let own = from.uri.user_decoded().as_deref() == Some(user.as_str());
            own.then_some((from, None))
        }
    }
}
