//! The SIP endpoint alone against real peers on loopback: transfers both ways, Replaces, keys by INFO, redirections,
//! registrations with a trunk, session timers, PRACK, UPDATE, late offers, and calls whose peer forgets them. No sound,
//! no program: SIPp and baresip speak to `sip::Endpoint` behind one socket, so what they refuse is wrong in the signalling
//! itself.
//!
//! A peer that is not installed is skipped by name; OFFHOOK_REQUIRE_PEERS=1 makes that a failure.

#![allow(
    clippy::disallowed_methods,
    reason = "a shell around the endpoint: the clock and the waiting are here"
)]

#[allow(dead_code, reason = "the program's own tests have more peers")]
#[path = "../peers.rs"]
mod peers;
#[allow(dead_code, reason = "the other half serves the program's own tests")]
#[path = "../process.rs"]
mod process;

mod line;
mod softphone;

mod baresip;
mod sessions;
mod sipp;
