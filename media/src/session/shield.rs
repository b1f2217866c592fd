//! What stands between a session and the wire: nothing, keys from SDP, or a handshake and the keys out of it. Owns
//! which datagrams are opened and sealed with what; does not own encryption (`srtp`), the handshake (`dtls`), or where
//! packets go.
//!
//! As long as protection is agreed and there are no keys yet, nothing passes in either direction.
//!
//! PURE.

use std::borrow::Cow;
use std::net::SocketAddr;
use std::time::Instant;

use super::types::Security;
use crate::dtls::{self, Handshake, Progress};
use crate::rtp;
use crate::srtp::{SrtpContext, SrtpKeys};

#[derive(Debug)]
enum State {
    Open,
    Keyed {
        keys: SrtpKeys,
        context: Box<SrtpContext>,
    },
    Handshake(Box<Association>),
    /// Agreed on, and impossible: nothing passes.
    Closed,
}

#[derive(Debug)]
struct Association {
    handshake: Handshake,
    context: Option<Box<SrtpContext>>,
    /// Where the peer's handshake really comes from.
    source: Option<SocketAddr>,
    /// It comes from the host that SDP names.
    is_named: bool,
}

/// What has come about, told once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Outcome {
    Secured,
    Failed(&'static str),
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
    pub(super) fn new(now: Instant, security: &Security) -> Shield {
        let mut shield = Shield {
            state: State::Open,
            refused: 0,
            outcome: None,
        };
        shield.reconfigure(now, security);
        shield
    }

    /// Takes what was agreed on. What is the same as before goes on as it was: counters, windows, the handshake.
    pub(super) fn reconfigure(&mut self, now: Instant, security: &Security) {
        match (&mut self.state, security) {
            (_, Security::None) => self.state = State::Open,
            (State::Keyed { keys, context }, Security::Sdes(next)) => {
                context.rekey(keys, next);
                *keys = next.clone();
            }
            (_, Security::Sdes(keys)) => self.state = keyed(keys),
            (State::Handshake(old), Security::Dtls(next)) if old.handshake.config() == next => {}
            (_, Security::Dtls(config)) => {
                self.state = match Handshake::new(config.clone(), now) {
                    Ok(handshake) => State::Handshake(Box::new(Association {
                        handshake,
                        context: None,
                        source: None,
                        is_named: false,
                    })),
                    Err(_) => {
                        self.outcome = Some(Outcome::Failed("the handshake could not begin"));
                        State::Closed
                    }
                };
            }
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
            State::Keyed { context, .. } => Some(context),
            State::Handshake(association) if on_rtp_port => {
                if dtls::is_dtls(data) {
                    // Records before the keys prove nothing. Once the host that SDP names has spoken, others are
                    // strangers; until then it may be behind a NAT.
                    let is_named = expected.is_some_and(|expected| expected.ip() == from.ip());
                    if association.is_named && !is_named {
                        self.refused += 1;
                        return None;
                    }
                    association.is_named |= is_named;
                    association.source = Some(from);
                    association.handshake.receive(now, data);
                    self.look();
                    return None;
                }
                association.context.as_mut()
            }
            State::Handshake(_) | State::Closed => None,
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
            State::Keyed { context, .. } => context,
            State::Handshake(association) if on_rtp_port => association.context.as_mut()?,
            State::Handshake(_) | State::Closed => return None,
        };
        let sealed = match rtp::is_rtcp(&packet) {
            true => context.protect_rtcp(&mut packet),
            false => context.protect(&mut packet),
        };
        sealed.is_ok().then_some(packet)
    }

    pub(super) fn time(&mut self, now: Instant) {
        if let State::Handshake(association) = &mut self.state {
            association.handshake.time(now);
            self.look();
        }
    }

    pub(super) fn next_timeout(&self) -> Option<Instant> {
        match &self.state {
            State::Handshake(association) => association.handshake.next_timeout(),
            _ => None,
        }
    }

    /// The next datagram of the handshake, and where the peer's came from, if any did.
    pub(super) fn poll_datagram(&mut self) -> Option<(Option<SocketAddr>, Vec<u8>)> {
        match &mut self.state {
            State::Handshake(association) => {
                let datagram = association.handshake.poll_datagram()?;
                Some((association.source, datagram))
            }
            _ => None,
        }
    }

    pub(super) fn poll_outcome(&mut self) -> Option<Outcome> {
        self.outcome.take()
    }

    pub(super) fn refused(&self) -> u64 {
        self.refused
    }

    /// Whether packets can pass.
    pub(super) fn is_ready(&self) -> bool {
        match &self.state {
            State::Open | State::Keyed { .. } => true,
            State::Handshake(association) => association.context.is_some(),
            State::Closed => false,
        }
    }

    fn look(&mut self) {
        let State::Handshake(association) = &mut self.state else {
            return;
        };
        match association.handshake.progress() {
            Progress::Done(keys) if association.context.is_none() => {
                association.context = Some(Box::new(SrtpContext::new(keys)));
                self.outcome = Some(Outcome::Secured);
            }
            Progress::Failed(why) => {
                self.outcome = Some(Outcome::Failed(why));
                self.state = State::Closed;
            }
            _ => {}
        }
    }
}
