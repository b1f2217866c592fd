//! PURE.
//! Request methods, RFC 3261 §7.1 and the extensions registered since. What we do with each is decided in `endpoint`.

use std::fmt;
use std::str::FromStr;

use crate::syntax;

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Method {
    Invite,
    Ack,
    Bye,
    Cancel,
    Register,
    Options,
    Info,
    Prack,
    Update,
    Refer,
    Notify,
    Subscribe,
    Message,
    Publish,
    /// Any other token, kept as it came.
    Other(String),
}

const KNOWN: [(&str, Method); 14] = [
    ("INVITE", Method::Invite),
    ("ACK", Method::Ack),
    ("BYE", Method::Bye),
    ("CANCEL", Method::Cancel),
    ("REGISTER", Method::Register),
    ("OPTIONS", Method::Options),
    ("INFO", Method::Info),
    ("PRACK", Method::Prack),
    ("UPDATE", Method::Update),
    ("REFER", Method::Refer),
    ("NOTIFY", Method::Notify),
    ("SUBSCRIBE", Method::Subscribe),
    ("MESSAGE", Method::Message),
    ("PUBLISH", Method::Publish),
];

/// Not a token, so no method at all.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a method is a token")]
pub struct MethodError;

impl FromStr for Method {
    type Err = MethodError;

    /// RFC 3261 §7.1: methods are case-sensitive, so `invite` is an unknown method.
    fn from_str(text: &str) -> Result<Method, MethodError> {
        if let Some((_, known)) = KNOWN.iter().find(|(name, _)| *name == text) {
            return Ok(known.clone());
        }
        if syntax::is_token(text) {
            Ok(Method::Other(text.to_owned()))
        } else {
            Err(MethodError)
        }
    }
}

impl Method {
    pub fn as_str(&self) -> &str {
        match self {
            Method::Other(name) => name,
            known => KNOWN
                .iter()
                .find(|(_, method)| method == known)
                .map_or("", |(name, _)| name),
        }
    }
}

impl fmt::Display for Method {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}
