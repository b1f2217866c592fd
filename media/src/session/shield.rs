//! What stands between a session and the wire: nothing, keys from SDP, or an association and the keys out of it. Owns
//! which datagrams are opened and sealed with what; does not own encryption (`srtp`), handshakes and checked paths
//! (`association`), or where packets go.
//!
//! As long as protection is agreed and there are no keys yet, nothing passes in either direction.
//!
//! PURE.

use std::borrow::Cow;
use std::net::SocketAddr;
use std::time::Instant;

use super::types::{Security, SessionConfig};
use crate::association::{Association, Outcome, Taken};
use crate::rtp;
use crate::srtp::{SrtpContext, SrtpKeys};

#[derive(Debug)]
enum State {
    Open,
    Keyed {
        keys: SrtpKeys,
        context: Box<SrtpContext>,
    },
    Associated(Box<Association>),
    /// Agreed on, and impossible: nothing passes.
    Closed,
}

#[derive(Debug)]
pub(super) struct Shield {
    state: State,
    /// Packets that did not prove to be the peer's, or came before the keys.
    refused: u64,
    outcome: Option<Outcome>,
}

fn keyed(keys: &SrtpKeys) -> State {
    State::Keyed {
        keys: keys.clone(),
        context: Box::new(SrtpContext::new(keys)),
    }
}

impl Shield {
    pub(super) fn new(now: Instant, config: &SessionConfig) -> Shield {
        let mut shield = Shield {
            state: State::Open,
            refused: 0,
            outcome: None,
        };
        shield.reconfigure(now, config);
        shield
    }

    /// Takes what was agreed on. What is the same as before goes on as it was: counters, windows, the handshake.
    pub(super) fn reconfigure(&mut self, now: Instant, config: &SessionConfig) {
        match (&mut self.state, &config.security) {
            (_, Security::None) => self.state = State::Open,
            (State::Keyed { keys, context }, Security::Sdes(next)) => {
                context.rekey(keys, next);
                *keys = next.clone();
            }
            (_, Security::Sdes(keys)) => self.state = keyed(keys),
            (State::Associated(association), Security::Dtls(next)) if association.is_of(next) => {
                association.restart(config.ice.as_ref());
            }
            (_, Security::Dtls(dtls)) => {
                self.state = match Association::new(now, dtls, config.ice.as_ref()) {
                    Ok(association) => State::Associated(Box::new(association)),
                    Err(_) => {
                        self.outcome = Some(Outcome::Failed("the handshake could not begin"));
                        State::Closed
                    }
                };
            }
        }
    }

    /// Goes on with an association that was begun elsewhere, if it is of what was agreed on here.
    pub(super) fn adopt(&mut self, mut association: Box<Association>, config: &SessionConfig) {
        if let Security::Dtls(dtls) = &config.security
            && association.is_of(dtls)
        {
            association.restart(config.ice.as_ref());
            self.state = State::Associated(association);
        }
    }

    pub(super) fn release(&mut self) -> Option<Box<Association>> {
        match std::mem::replace(&mut self.state, State::Closed) {
            State::Associated(association) => Some(association),
            _ => None,
        }
    }

    /// The datagram in clear; `None` where there is nothing for the session in it. `on_rtp_port`: on the other one no
    /// handshake takes place, and after one only RTP's port has keys (RFC 5764 section 4 would want a second one).
    pub(super) fn open<'a>(
        &mut self,
        now: Instant,
        from: SocketAddr,
        expected: Option<SocketAddr>,
        data: &'a [u8],
        on_rtp_port: bool,
    ) -> Option<Cow<'a, [u8]>> {
        let context = match &mut self.state {
            State::Open => return Some(Cow::Borrowed(data)),
            State::Keyed { context, .. } => Some(&mut **context),
            State::Associated(association) if on_rtp_port => {
                match association.take(now, from, expected, data) {
                    Taken::Packet => association.context(),
                    taken => {
                        self.refused += u64::from(taken == Taken::Stranger);
                        self.look();
                        return None;
                    }
                }
            }
            State::Associated(_) | State::Closed => None,
        };
        let mut packet = data.to_vec();
        let opened = context.is_some_and(|context| match rtp::is_rtcp(data) {
            true => context.unprotect_rtcp(&mut packet).is_ok(),
            false => context.unprotect(&mut packet).is_ok(),
        });
        self.refused += u64::from(!opened);
        opened.then_some(Cow::Owned(packet))
    }

    /// The packet as it may leave; `None`: not at all. `on_rtp_port` as for [`Shield::open`].
    pub(super) fn seal(&mut self, mut packet: Vec<u8>, on_rtp_port: bool) -> Option<Vec<u8>> {
        let context = match &mut self.state {
            State::Open => return Some(packet),
            State::Keyed { context, .. } => &mut **context,
            State::Associated(association) if on_rtp_port => association.context()?,
            State::Associated(_) | State::Closed => return None,
        };
        let sealed = match rtp::is_rtcp(&packet) {
            true => context.protect_rtcp(&mut packet),
            false => context.protect(&mut packet),
        };
        sealed.is_ok().then_some(packet)
    }

    pub(super) fn time(&mut self, now: Instant) {
        if let State::Associated(association) = &mut self.state {
            association.time(now);
            self.look();
        }
    }

    pub(super) fn next_timeout(&self) -> Option<Instant> {
        match &self.state {
            State::Associated(association) => association.next_timeout(),
            _ => None,
        }
    }

    /// The next datagram of checks and handshake, and where the peer's came from, if any did.
    pub(super) fn poll_datagram(&mut self) -> Option<(Option<SocketAddr>, Vec<u8>)> {
        match &mut self.state {
            State::Associated(association) => association.poll_datagram(),
            _ => None,
        }
    }

    pub(super) fn poll_outcome(&mut self) -> Option<Outcome> {
        self.outcome.take()
    }

    pub(super) fn refused(&self) -> u64 {
        self.refused
    }

    /// Whether packets come over checked paths only; then where they go, once one is checked.
    pub(super) fn paths(&self) -> Option<Option<SocketAddr>> {
        match &self.state {
            State::Associated(association) if association.has_paths() => Some(association.path()),
            _ => None,
        }
    }

    /// Whether packets can pass.
    pub(super) fn is_ready(&self) -> bool {
        match &self.state {
            State::Open | State::Keyed { .. } => true,
            State::Associated(association) => association.is_ready(),
            State::Closed => false,
        }
    }

    fn look(&mut self) {
        let State::Associated(association) = &mut self.state else {
            return;
        };
        self.outcome = association.poll_outcome().or(self.outcome.take());
        if association.is_failed() {
            self.state = State::Closed;
        }
    }
}
