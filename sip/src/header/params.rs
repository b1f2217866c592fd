//! PURE.
//! `;name=value` lists, as they follow URIs and most header values. RFC 3261 §7.3.1, §19.1.1, §25.1 (`generic-param`).

use std::fmt;

use crate::error::UriError;
use crate::limits::PARAMS_MAX;
use crate::{syntax, uri};

/// Parameters in order, values as they came: with quotes, with escapes.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
pub struct Params(Vec<(String, Option<String>)>);

impl Params {
    /// `None` absent, `Some(None)` present without a value. The value is raw: see `value`.
    pub fn get(&self, name: &str) -> Option<Option<&str>> {
        let (_, value) = self
            .0
            .iter()
            .find(|(own, _)| own.eq_ignore_ascii_case(name))?;
        Some(value.as_deref())
    }

    pub fn has(&self, name: &str) -> bool {
        self.get(name).is_some()
    }

    /// The value without its quotes; `None` where the parameter or its value is absent.
    pub fn value(&self, name: &str) -> Option<String> {
        let raw = self.get(name)??;
        Some(syntax::unquote(raw).unwrap_or_else(|| raw.to_owned()))
    }

    /// Replaces the parameter where it stands, or appends it.
    pub fn set(&mut self, name: &str, value: Option<&str>) {
        let value = value.map(str::to_owned);
        match self
            .0
            .iter_mut()
            .find(|(own, _)| own.eq_ignore_ascii_case(name))
        {
            Some(slot) => slot.1 = value,
            None => self.0.push((name.to_owned(), value)),
        }
    }

    /// As `set`, the value as a quoted string.
    pub fn set_quoted(&mut self, name: &str, value: &str) {
        self.set(name, Some(&syntax::quote(value)));
    }

    pub fn remove(&mut self, name: &str) {
        self.0.retain(|(own, _)| !own.eq_ignore_ascii_case(name));
    }

    pub fn iter(&self) -> impl Iterator<Item = (&str, Option<&str>)> {
        self.0
            .iter()
            .map(|(name, value)| (name.as_str(), value.as_deref()))
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// What follows the first semicolon of a header value. Says why it cannot be read.
    pub(crate) fn parse_header(text: &str) -> Result<Params, &'static str> {
        let parts = syntax::split(text, ';').map_err(|_| "quote or bracket not closed")?;
        let mut params = Params::default();
        for part in parts {
            let (name, value) = match part.split_once('=') {
                Some((name, value)) => (syntax::trim(name), Some(syntax::trim(value))),
                None => (part, None),
            };
            if !syntax::is_token(name) {
                return Err("parameter without a name");
            }
            if let Some(value) = value
                && !is_header_value(value)
            {
                return Err("bad parameter value");
            }
            params.add(name, value)?;
        }
        Ok(params)
    }

    /// What follows the first semicolon of a URI.
    pub(crate) fn parse_uri(text: &str) -> Result<Params, UriError> {
        let mut params = Params::default();
        for part in text.split(';') {
            let (name, value) = match part.split_once('=') {
                Some((name, value)) => (name, Some(value)),
                None => (part, None),
            };
            let is_good = |text: &str| {
                !text.is_empty()
                    && text.chars().all(uri::is_param_char)
                    && syntax::has_whole_escapes(text)
            };
            if !is_good(name) || !value.is_none_or(is_good) {
                return Err(UriError("bad parameter"));
            }
            params.add(name, value).map_err(UriError)?;
        }
        Ok(params)
    }

    fn add(&mut self, name: &str, value: Option<&str>) -> Result<(), &'static str> {
        if self.0.len() >= PARAMS_MAX {
            return Err("too many parameters");
        }
        // RFC 3261 §7.3.1: a parameter name appears at most once in a value.
        if self.has(name) {
            return Err("parameter twice");
        }
        self.0.push((name.to_owned(), value.map(str::to_owned)));
        Ok(())
    }
}

fn is_separator(c: char) -> bool {
    matches!(c, ',' | ';' | '"' | '<' | '>' | '\\')
}

/// RFC 3261 §25.1 `gen-value`: token, host or quoted string. Wider in practice: extensions put URIs and base64 there.
fn is_header_value(value: &str) -> bool {
    if value.starts_with('"') {
        return syntax::unquote(value).is_some();
    }
    !value.is_empty()
        && value
            .chars()
            .all(|c| !c.is_ascii_control() && !c.is_whitespace() && !is_separator(c))
}

impl fmt::Display for Params {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (name, value) in &self.0 {
            match value {
                Some(value) => write!(f, ";{name}={value}")?,
                None => write!(f, ";{name}")?,
            }
        }
        Ok(())
    }
}
