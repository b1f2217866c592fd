//! RFC 3261 without IO: messages, transactions, dialogs, registrar, digest, offer and answer.
//!
//! Owns every decision about SIP; does not own sockets, clocks, randomness, name resolution or the media that is agreed
//! upon. Octets go in, octets and events come out.

pub mod admission;
pub mod error;
pub mod framing;
pub mod header;
pub mod limits;
mod lines;
pub mod message;
pub mod method;
pub mod offer_answer;
pub mod sdp;
pub mod status;
mod syntax;
pub mod uri;

pub use error::{FramingError, HeaderError, ParseError, UriError};
pub use framing::{Frame, StreamFramer};
pub use header::{AuthParams, CSeq, Contacts, HeaderName, Headers, NameAddr, Params, Via};
pub use message::{Message, Request, Response};
pub use method::Method;
pub use uri::{Host, Scheme, Uri};
