//! PURE.
//! What goes wrong while reading: one variant per decision the reader of the error takes.

use thiserror::Error;

use crate::header::HeaderName;
use crate::message::Response;

/// A message could not be taken.
#[derive(Debug, Clone, Error)]
pub enum ParseError {
    /// Nothing can or may be answered: not SIP, a response, an ACK, or no way back. Forget it.
    #[error("dropped: {why}")]
    Drop { why: String },
    /// A request readable enough to be told what is wrong with it. The response has no To tag yet.
    #[error("refused with {}: {why}", response.status)]
    Refuse {
        response: Box<Response>,
        why: String,
    },
}

/// A header could not be read as what it should be.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum HeaderError {
    #[error("{0} is missing")]
    Missing(HeaderName),
    /// RFC 3261 §7.3.1: only list headers may occur twice.
    #[error("{0} occurs more than once")]
    Repeated(HeaderName),
    #[error("{name} is malformed: {why}")]
    Malformed { name: HeaderName, why: &'static str },
    #[error("{0} has too many values")]
    TooMany(HeaderName),
}

/// A URI could not be read. RFC 3261 §19.1.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("malformed URI: {0}")]
pub struct UriError(pub(crate) &'static str);

/// A stream lost its framing: nothing that follows can be trusted, so the connection must close.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum FramingError {
    #[error("message larger than {max} bytes")]
    TooLarge { max: usize },
    /// RFC 3261 §18.3: on a stream Content-Length is not optional.
    #[error("Content-Length is missing")]
    NoContentLength,
    #[error("Content-Length is malformed or stands there twice")]
    BadContentLength,
    /// The reader does not take frames out as fast as they come.
    #[error("more than {max} bytes waiting")]
    Full { max: usize },
}
