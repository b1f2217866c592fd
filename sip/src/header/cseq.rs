//! PURE.
//! CSeq, RFC 3261 §20.16.

use std::fmt;

use crate::method::Method;
use crate::syntax;

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CSeq {
    /// Below 2^31.
    pub number: u32,
    pub method: Method,
}

impl CSeq {
    /// Says why it cannot be read.
    pub fn parse(text: &str) -> Result<CSeq, &'static str> {
        let mut words = text.split([' ', '\t']).filter(|word| !word.is_empty());
        let (Some(number), Some(method), None) = (words.next(), words.next(), words.next()) else {
            return Err("not a number and a method");
        };
        // RFC 3261 §8.1.1.5: the number is less than 2**31.
        let number = syntax::number(number, (1 << 31) - 1).ok_or("number out of range")?;
        let method = method.parse().map_err(|_| "bad method")?;
        Ok(CSeq {
            number: number as u32,
            method,
        })
    }
}

impl fmt::Display for CSeq {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.number, self.method)
    }
}
