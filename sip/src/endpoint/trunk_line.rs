//! PURE.
//! Our registrations with trunks, kept for as long as the program wants them: refreshed, tried elsewhere and again when
//! they fail, made anew when their connection breaks, and held open through NATs. RFC 3261 §10.2, and the waiting times
//! of RFC 5626 §4.5. Does not own a single REGISTER (see `uac_register`) or name resolution.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use rand::Rng;

use super::uac_register::RegistrationOwner;
use super::{Endpoint, Event, RegisterParams, RegistrationKey, TimerId};
use crate::flow::{ConnId, Flow, FlowTarget, Transport};
use crate::message::Request;
use crate::secret::Secret;
use crate::uri::Uri;

/// The URI parameter of our Contact that marks calls from the trunk.
const LINE_PARAM: &str = "line";

/// Targets of one trunk that are tried; further ones are not.
const TARGETS_MAX: usize = 8;

/// RFC 5626 §4.5 names 30 s, doubled with each failure. Its half an hour as the most is too long for a telephone.
const RETRY_BASE_S: u64 = 30;
const RETRY_MAX_S: u64 = 300;
/// A refused password stays refused until somebody changes it, and trunks ban those who go on.
const REFUSED_RETRY_S: u64 = 1_800;
/// After a connection broke that had worked.
const BROKEN_RETRY: Duration = Duration::from_secs(1);

/// RFC 5626 §4.4.1 for streams; NATs forget UDP flows after as little as half a minute (RFC 4787 §4.3 allows two).
const STREAM_PING: Duration = Duration::from_secs(110);
const DATAGRAM_PING: Duration = Duration::from_secs(25);
const PING: &[u8] = b"\r\n\r\n";

/// A registration with a trunk.
#[derive(Debug, Clone)]
pub struct TrunkRegistration {
    /// Name of the trunk. One registration each; a second one replaces the first.
    pub trunk: String,
    /// Request-URI, `sip:` and the trunk's domain.
    pub registrar: Uri,
    /// Where the registrar is, in the order to try: RFC 3263. At least one.
    pub targets: Vec<FlowTarget>,
    /// Whose binding it is: user part of From and To.
    pub user: String,
    /// Name in the digest, where it is another.
    pub auth_user: Option<String>,
    pub password: Secret,
    pub expires_s: u32,
    /// Where the trunk shall call us. It gets a parameter that only the trunk knows.
    pub contact: Uri,
    /// An outbound proxy of the trunk's: value of Route. The targets are then the proxy's.
    pub proxy: Option<Uri>,
}

#[derive(Debug)]
struct Line {
    registration: TrunkRegistration,
    token: String,
    /// Index of the target in use.
    target: usize,
    /// Targets that have failed since one worked.
    failed_targets: usize,
    /// Rounds through all targets that have failed since one worked.
    failures: u32,
    /// The REGISTER or the binding that is under way or stands.
    current: Option<RegistrationKey>,
    /// The way of the registration that stands, or of the last try.
    flow: Option<Flow>,
    is_registered: bool,
    retry_at: Option<Instant>,
    ping_at: Option<Instant>,
}

/// All lines by number; as many as the owner has trunks.
#[derive(Debug, Default)]
pub(super) struct TrunkLines(BTreeMap<u64, Line>);

impl TrunkLines {
    pub(super) fn trunks(&self) -> impl Iterator<Item = &str> {
        self.0.values().map(|line| line.registration.trunk.as_str())
    }

    /// Whether a registrar that we are registered with, or were last, is there.
    pub(super) fn leads_to(&self, address: std::net::IpAddr) -> bool {
        self.0.values().any(|line| {
            line.flow
                .is_some_and(|flow| flow.remote.ip().to_canonical() == address)
        })
    }

    fn of_trunk(&self, trunk: &str) -> Option<u64> {
        let mut lines = self.0.iter();
        let found = lines.find(|(_, line)| line.registration.trunk == trunk);
        found.map(|(id, _)| *id)
    }

    /// The trunk that a request comes from over one of our lines. `is_at` tells whether the address of the request is on
    /// the list of a trunk.
    pub(super) fn of_request(
        &self,
        flow: Flow,
        request: &Request,
        is_at: impl Fn(&str) -> bool,
    ) -> Option<&str> {
        let token = request.uri.param(LINE_PARAM).flatten();
        // Also while the registration is being renewed: what the trunk was told it has been told.
        let mut own = self.0.values().filter(|line| {
            let over_it = flow.conn.is_some() && line.flow.is_some_and(|own| own.conn == flow.conn);
            let registrar = line.flow.map(|own| own.remote.ip().to_canonical());
            let from_there = registrar == Some(flow.remote.ip().to_canonical())
                || is_at(&line.registration.trunk);
            over_it || (token == Some(line.token.as_str()) && from_there)
        });
        own.next().map(|line| line.registration.trunk.as_str())
    }
}

impl Endpoint {
    /// Registers with a trunk and stays registered until `unregister_trunk`. Each change is told by
    /// `TrunkRegistration`.
    pub fn register_trunk(&mut self, now: Instant, registration: TrunkRegistration) {
        let known = self.trunk_lines.of_trunk(&registration.trunk);
        if let Some(line) =
            known.and_then(|id| self.trunk_lines.0.remove(&id).map(|line| (id, line)))
        {
            self.timers.set(TimerId::TrunkLine(line.0), None);
            if let Some(key) = line.1.current {
                self.unregister(now, key);
            }
        }
        let id = self.new_key();
        let line = Line {
            registration,
            token: self.random_hex::<8>(),
            target: 0,
            failed_targets: 0,
            failures: 0,
            current: None,
            flow: None,
            is_registered: false,
            retry_at: None,
            ping_at: None,
        };
        self.trunk_lines.0.insert(id, line);
        self.try_line(now, id);
    }

    /// Takes the registration back and forgets it.
    pub fn unregister_trunk(&mut self, now: Instant, trunk: &str) {
        let Some(id) = self.trunk_lines.of_trunk(trunk) else {
            return;
        };
        let Some(line) = self.trunk_lines.0.remove(&id) else {
            return;
        };
        self.timers.set(TimerId::TrunkLine(id), None);
        if let Some(key) = line.current {
            self.unregister(now, key);
        }
        self.event(Event::TrunkRegistration {
            trunk: line.registration.trunk,
            result: Ok(0),
            retry_s: None,
        });
    }

    pub(super) fn unregister_trunks(&mut self, now: Instant) {
        let trunks: Vec<String> = self.trunk_lines.trunks().map(str::to_owned).collect();
        for trunk in trunks {
            self.unregister_trunk(now, &trunk);
        }
    }

    /// Sends the first REGISTER of a round, or the next one.
    fn try_line(&mut self, now: Instant, id: u64) {
        let Some(line) = self.trunk_lines.0.get_mut(&id) else {
            return;
        };
        let own = &line.registration;
        let Some(flow) = own.targets.get(line.target).copied() else {
            return;
        };
        let mut contact = own.contact.clone();
        contact.params.set(LINE_PARAM, Some(&line.token));
        let params = RegisterParams {
            registrar: own.registrar.clone(),
            flow,
            user: own.user.clone(),
            password: own.password.clone(),
            expires_s: own.expires_s,
            contact,
        };
        let owner = RegistrationOwner::Line {
            line: id,
            auth_user: own.auth_user.clone(),
            proxy: own.proxy.as_ref().map(|proxy| format!("<{proxy}>")),
        };
        line.retry_at = None;
        let key = self.register_for(now, params, owner);
        let flow = self
            .registrations
            .get(&key)
            .and_then(|registration| registration.flow);
        if let Some(line) = self.trunk_lines.0.get_mut(&id) {
            line.current = Some(key);
            line.flow = flow;
        }
        self.watch_line(id);
    }

    /// What became of a REGISTER of a line. `retry_after_s` is what the registrar asked for.
    pub(super) fn on_line_result(
        &mut self,
        now: Instant,
        id: u64,
        key: RegistrationKey,
        result: Result<u32, u16>,
        retry_after_s: Option<u32>,
    ) {
        let flow = self
            .registrations
            .get(&key)
            .and_then(|registration| registration.flow);
        let jitter = self.rng.next_u64();
        let Some(line) = self
            .trunk_lines
            .0
            .get_mut(&id)
            .filter(|line| line.current == Some(key))
        else {
            return;
        };
        let mut retry = None;
        match result {
            Ok(_) => {
                line.is_registered = true;
                line.failures = 0;
                line.failed_targets = 0;
                line.flow = flow.or(line.flow);
                line.ping_at = line.flow.map(|flow| now + ping_interval(flow));
            }
            Err(status) => {
                line.current = None;
                line.is_registered = false;
                line.ping_at = None;
                let targets = line.registration.targets.len().clamp(1, TARGETS_MAX);
                line.failed_targets += 1;
                // A refusal is the trunk's word; only silence and trouble are worth asking elsewhere.
                let elsewhere = matches!(status, 408 | 430 | 500..=599);
                if elsewhere && line.failed_targets < targets {
                    line.target = (line.target + 1) % targets;
                    self.event_of_line(id, result, Some(0));
                    return self.try_line(now, id);
                }
                line.target = (line.target + 1) % targets;
                line.failed_targets = 0;
                line.failures = line.failures.saturating_add(1);
                let wait = retry_wait(status, line.failures, retry_after_s, jitter);
                line.retry_at = Some(now + wait);
                retry = u32::try_from(wait.as_secs()).ok();
            }
        }
        self.event_of_line(id, result, retry);
        self.watch_line(id);
    }

    fn event_of_line(&mut self, id: u64, result: Result<u32, u16>, retry_s: Option<u32>) {
        if let Some(line) = self.trunk_lines.0.get(&id) {
            let trunk = line.registration.trunk.clone();
            self.event(Event::TrunkRegistration {
                trunk,
                result,
                retry_s,
            });
        }
    }

    pub(super) fn on_line_timer(&mut self, now: Instant, id: u64) {
        let Some(line) = self.trunk_lines.0.get_mut(&id) else {
            return;
        };
        if line.retry_at.is_some_and(|at| now >= at) {
            return self.try_line(now, id);
        }
        if let (Some(at), Some(flow)) = (line.ping_at, line.flow)
            && now >= at
        {
            line.ping_at = Some(now + ping_interval(flow));
            self.transmit(flow, PING.to_vec());
        }
        self.watch_line(id);
    }

    /// A connection is gone: the trunk cannot call us until we register again.
    pub(super) fn on_lines_stream_closed(&mut self, now: Instant, conn: ConnId) {
        let broken = |line: &Line| {
            line.is_registered && line.flow.is_some_and(|flow| flow.conn == Some(conn))
        };
        let ids: Vec<u64> = self
            .trunk_lines
            .0
            .iter()
            .filter(|(_, line)| broken(line))
            .map(|(id, _)| *id)
            .collect();
        for id in ids {
            if let Some(line) = self.trunk_lines.0.get_mut(&id) {
                line.is_registered = false;
                line.ping_at = None;
                line.retry_at = Some(now + BROKEN_RETRY);
                if let Some(key) = line.current.take() {
                    self.forget_registration(key);
                }
            }
            self.event_of_line(id, Err(503), Some(BROKEN_RETRY.as_secs() as u32));
            self.watch_line(id);
        }
    }

    fn watch_line(&mut self, id: u64) {
        let line = self.trunk_lines.0.get(&id);
        let deadline = line.and_then(|line| crate::timer::earliest(line.retry_at, line.ping_at));
        self.timers.set(TimerId::TrunkLine(id), deadline);
    }
}

fn ping_interval(flow: Flow) -> Duration {
    match flow.transport {
        Transport::Udp => DATAGRAM_PING,
        _ => STREAM_PING,
    }
}

/// RFC 5626 §4.5: between half of a time and all of it; the time doubles with each failure. `jitter` is any number.
fn retry_wait(status: u16, failures: u32, retry_after_s: Option<u32>, jitter: u64) -> Duration {
    let doubled = RETRY_BASE_S.saturating_mul(1 << failures.saturating_sub(1).min(16));
    let upper_s = match status {
        401 | 403 | 404 | 407 => REFUSED_RETRY_S,
        _ => doubled.min(RETRY_MAX_S),
    };
    let upper_ms = upper_s * 1_000;
    let wait = Duration::from_millis(upper_ms / 2 + jitter % (upper_ms / 2 + 1));
    // RFC 3261 §20.33, but no registrar may tell us to stay away for a day.
    let asked = Duration::from_secs(u64::from(retry_after_s.unwrap_or(0)).min(REFUSED_RETRY_S));
    wait.max(asked)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waiting_times() {
        // status, failures, Retry-After, the least and the most in seconds
        let table = [
            (503, 1, None, 15, 30),
            (408, 2, None, 30, 60),
            (408, 4, None, 120, 240),
            (408, 40, None, 150, 300),
            (401, 1, None, 900, 1_800),
            (503, 1, Some(120), 120, 120),
            (503, 1, Some(86_400), 1_800, 1_800),
        ];
        for (status, failures, asked, least, most) in table {
            for jitter in [0, 1, 7_777_777, u64::MAX] {
                let wait = retry_wait(status, failures, asked, jitter);
                let bounds = Duration::from_secs(least)..=Duration::from_secs(most);
                assert!(bounds.contains(&wait), "{status} {failures}: {wait:?}");
            }
        }
    }
}
