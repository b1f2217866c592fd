//! PURE.
//! RFC 3261 without IO: messages, transactions, dialogs, registrar, digest, offer and answer.
//!
//! Owns every decision about SIP; does not own sockets, clocks, randomness, name resolution or the media that is agreed
//! upon. Octets go in, octets and events come out.

pub mod admission;
pub mod auth;
mod bans;
mod body;
mod coding;
mod dialog;
mod digits;
mod early;
pub mod endpoint;
pub mod error;
pub mod flow;
pub mod framing;
#[doc(hidden)]
pub mod fuzz;
#[doc(hidden)]
pub mod fuzz_calls;
mod guard;
pub mod header;
pub mod identity;
pub mod instant;
mod invite;
pub mod limits;
mod lines;
pub mod message;
pub mod method;
mod multipart;
pub mod offer_answer;
pub mod registrar;
pub mod relayed;
pub mod sdes;
pub mod sdp;
pub mod secret;
mod session_timer;
pub mod status;
pub mod stun;
mod syntax;
#[cfg(test)]
mod testing;
pub mod timer;
mod transaction;
pub mod trunk;
mod unacked;
pub mod uri;
mod usages;

#[cfg(test)]
mod fuzz_tests;
#[cfg(test)]
mod ipv6_tests;
#[cfg(test)]
mod torture_tests;

pub use auth::{Algorithm, ha1};
pub use bans::{Ban, BanReason, Block, BlockError};
pub use endpoint::{
    Advertised, AuthConfig, CallError, CallKey, CallParams, CallTarget, Caller, DialogRecord,
    EndCause, Endpoint, EndpointConfig, Event, GuardConfig, Input, LogLevel, LogLine, Output,
    RegisterParams, RegistrationKey, Stats, StreamConfig, TEXT_BYTES_MAX, TextError, TextKey,
    TextParams, TrunkRegistration, UnregisteredWhy, User,
};
pub use error::{FramingError, HeaderError, ParseError, UriError};
pub use flow::{ConnId, Flow, FlowTarget, Transport};
pub use framing::{Frame, StreamFramer};
pub use header::{AuthParams, CSeq, Contacts, HeaderName, Headers, NameAddr, Params, Via};
pub use message::{Message, Request, Response};
pub use method::Method;
pub use registrar::Binding;
pub use secret::Secret;
pub use timer::TimerConfig;
pub use trunk::{Trunk, TrunkRoute};
pub use uri::{Host, Scheme, Uri};
