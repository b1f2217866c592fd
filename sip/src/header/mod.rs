//! PURE.
//! Header names and values, RFC 3261 §20. `headers` is the list a message carries, raw; the other rooms hold one noun
//! each. What a header obliges us to do is decided elsewhere.

mod auth;
mod cseq;
mod event_package;
mod headers;
mod name;
mod name_addr;
mod params;
mod replaces;
mod via;

#[cfg(test)]
mod tests;

pub use crate::error::HeaderError;
pub use auth::AuthParams;
pub use cseq::CSeq;
pub use event_package::{EventPackage, SubscriptionState, sipfrag, sipfrag_status};
pub use headers::{Contacts, Headers};
pub use name::HeaderName;
pub use name_addr::NameAddr;
pub use params::Params;
pub use replaces::{ReferTo, Replaces};
pub use via::Via;
