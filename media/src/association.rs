//! What a peer and we agree upon beside the sound, on its port: checked paths (ICE) and keys out of a handshake (DTLS).
//! RFC 8445, RFC 5764, RFC 7983.
//!
//! Owns: both of one leg, the keys that come out, and which datagrams are theirs. It can move from a stream that passes
//! packets to one that decodes them and back, so that a phone need not shake hands again. Does not own: sound, where
//! else packets may come from.
//!
//! Contract: after [`Association::take`] and [`Association::time`] take [`Association::poll_datagram`] until `None`, and look at
//! [`Association::poll_outcome`]. Bound: [`ANSWERS_MAX`] answers to checks; further ones are dropped, and asked for again.
//!
//! PURE.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::time::Instant;

use crate::dtls::{self, DtlsConfig, DtlsError, Handshake, Progress};
use crate::ice::{self, Ice, IceConfig};
use crate::srtp::SrtpContext;

/// Answers to checks that wait to be sent.
pub const ANSWERS_MAX: usize = 32;

/// What has come about, told once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    Secured,
    Failed(&'static str),
}

/// What a datagram turned out to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Taken {
    /// A check or a handshake: dealt with.
    Ours,
    /// From an address that is not known to be the peer's.
    Stranger,
    /// To be opened with the keys, if there are any.
    Packet,
}

/// Paths and keys of one leg.
#[derive(Debug)]
pub struct Association {
    handshake: Handshake,
    context: Option<Box<SrtpContext>>,
    ice: Option<Ice>,
    /// Where the peer's handshake really comes from.
    source: Option<SocketAddr>,
    /// It comes from the host that SDP names.
    is_named: bool,
    answers: VecDeque<(SocketAddr, Vec<u8>)>,
    outcome: Option<Outcome>,
    is_failed: bool,
}

impl Association {
    pub fn new(
        now: Instant,
        dtls: &DtlsConfig,
        ice: Option<&IceConfig>,
    ) -> Result<Association, DtlsError> {
        Ok(Association {
            handshake: Handshake::new(dtls.clone(), now)?,
            context: None,
            ice: ice.cloned().map(Ice::new),
            source: None,
            is_named: false,
            answers: VecDeque::new(),
            outcome: None,
            is_failed: false,
        })
    }

    /// Whether this is what was agreed upon: the handshake goes on, or stays done. Names of paths may be other ones
    /// ([`Association::restart`]).
    pub fn is_of(&self, dtls: &DtlsConfig) -> bool {
        self.handshake.config() == dtls
    }

    /// Paths as agreed upon now. Other names begin anew (RFC 8445 section 9): the peer checks again, and until it has the old
    /// path is good.
    pub fn restart(&mut self, ice: Option<&IceConfig>) {
        match (&mut self.ice, ice) {
            (Some(own), Some(next)) => own.restart(next),
            (own, next) => *own = next.cloned().map(Ice::new),
        }
    }

    /// Whether packets come over checked paths only.
    pub fn has_paths(&self) -> bool {
        self.ice.is_some()
    }

    /// Where packets go, with checked paths.
    pub fn path(&self) -> Option<SocketAddr> {
        self.ice.as_ref().and_then(Ice::path)
    }

    /// Looks at a datagram on the RTP port. `expected`: the address SDP names, which counts where no paths are checked.
    pub fn take(
        &mut self,
        now: Instant,
        from: SocketAddr,
        expected: Option<SocketAddr>,
        data: &[u8],
    ) -> Taken {
        if let Some(ice) = &mut self.ice {
            if ice::is_stun(data) {
                let answer = ice.check(now, from, data);
                if let Some(answer) = answer.filter(|_| self.answers.len() < ANSWERS_MAX) {
                    self.answers.push_back((from, answer));
                }
                return Taken::Ours;
            }
            if !ice.is_path(from) {
                return Taken::Stranger;
            }
        }
        if !dtls::is_dtls(data) {
            return Taken::Packet;
        }
        if self.ice.is_none() {
            // Records before the keys prove nothing. Once the host that SDP names has spoken, others are strangers; until
            // then it may be behind a NAT.
            let is_named = expected.is_some_and(|expected| expected.ip() == from.ip());
            if self.is_named && !is_named {
                return Taken::Stranger;
            }
            self.is_named |= is_named;
        }
        self.source = Some(from);
        self.handshake.receive(now, data);
        self.look();
        Taken::Ours
    }

    /// What is due by now.
    pub fn time(&mut self, now: Instant) {
        self.handshake.time(now);
        self.look();
    }

    pub fn next_timeout(&self) -> Option<Instant> {
        self.handshake.next_timeout()
    }

    /// The next datagram to be sent, and where to; `None` there: to wherever the peer's packets would go.
    pub fn poll_datagram(&mut self) -> Option<(Option<SocketAddr>, Vec<u8>)> {
        if let Some((to, answer)) = self.answers.pop_front() {
            return Some((Some(to), answer));
        }
        // The first flight of ours waits for a path to go over.
        if self.has_paths() && self.source.is_none() && self.path().is_none() {
            return None;
        }
        let datagram = self.handshake.poll_datagram()?;
        Some((self.source.or_else(|| self.path()), datagram))
    }

    pub fn poll_outcome(&mut self) -> Option<Outcome> {
        self.outcome.take()
    }

    /// The keys, once there are any.
    pub fn context(&mut self) -> Option<&mut SrtpContext> {
        self.context.as_deref_mut()
    }

    /// Whether packets can pass.
    pub fn is_ready(&self) -> bool {
        self.context.is_some()
    }

    pub fn is_failed(&self) -> bool {
        self.is_failed
    }

    fn look(&mut self) {
        match self.handshake.progress() {
            Progress::Done(keys) if self.context.is_none() => {
                self.context = Some(Box::new(SrtpContext::new(keys)));
                self.outcome = Some(Outcome::Secured);
            }
            Progress::Failed(why) if !self.is_failed => {
                self.is_failed = true;
                self.outcome = Some(Outcome::Failed(why));
            }
            _ => {}
        }
    }
}
