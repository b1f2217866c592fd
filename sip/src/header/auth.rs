//! PURE.
//! The shared shape of challenges and credentials: a scheme and `name=value` pairs, RFC 3261 §20.7, §20.27, §20.44.
//! What they mean is the business of `auth`.

use std::fmt;

use crate::limits::PARAMS_MAX;
use crate::syntax;

/// One Authorization, WWW-Authenticate, Authentication-Info … value.
#[derive(Clone, PartialEq, Eq)]
pub struct AuthParams {
    /// As it came, `Digest` mostly; empty for Authentication-Info.
    pub scheme: String,
    params: Vec<(String, String)>,
}

impl AuthParams {
    /// Reads `scheme name=value, name="value"`. Says why it cannot be read.
    pub fn parse(text: &str) -> Result<AuthParams, &'static str> {
        let text = syntax::trim(text);
        let space = text.find([' ', '\t']).unwrap_or(text.len());
        let (scheme, rest) = text.split_at(space);
        if !syntax::is_token(scheme) {
            return Err("no scheme");
        }
        Ok(AuthParams {
            scheme: scheme.to_owned(),
            params: pairs(rest)?,
        })
    }

    /// Reads `name=value, …` without a scheme: Authentication-Info.
    pub fn parse_info(text: &str) -> Result<AuthParams, &'static str> {
        Ok(AuthParams {
            scheme: String::new(),
            params: pairs(text)?,
        })
    }

    /// The value without quotes and escapes. Names compare without regard to case.
    pub fn get(&self, name: &str) -> Option<&str> {
        let (_, value) = self
            .params
            .iter()
            .find(|(own, _)| own.eq_ignore_ascii_case(name))?;
        Some(value)
    }

    pub fn is_digest(&self) -> bool {
        self.scheme.eq_ignore_ascii_case("Digest")
    }
}

fn pairs(text: &str) -> Result<Vec<(String, String)>, &'static str> {
    let mut pairs: Vec<(String, String)> = Vec::new();
    for part in split_at_commas(text)? {
        // RFC 9110 §5.6.1: empty list elements are ignored.
        if part.is_empty() {
            continue;
        }
        let (name, value) = part.split_once('=').ok_or("parameter without a value")?;
        let (name, value) = (syntax::trim(name), syntax::trim(value));
        if !syntax::is_token(name) {
            return Err("parameter without a name");
        }
        let value = if value.starts_with('"') {
            syntax::unquote(value).ok_or("bad quoted value")?
        } else if value.is_empty() || value.contains([' ', '\t', '"']) {
            return Err("bad value");
        } else {
            value.to_owned()
        };
        // Which of two would be meant is a way around the check.
        if pairs.iter().any(|(own, _)| own.eq_ignore_ascii_case(name)) {
            return Err("parameter twice");
        }
        if pairs.len() >= PARAMS_MAX {
            return Err("too many parameters");
        }
        pairs.push((name.to_owned(), value));
    }
    Ok(pairs)
}

/// Commas inside quoted strings do not separate; angle brackets mean nothing here.
fn split_at_commas(text: &str) -> Result<Vec<&str>, &'static str> {
    let (mut parts, mut start, mut quoted, mut escaped) = (Vec::new(), 0, false, false);
    for (at, c) in text.char_indices() {
        match c {
            _ if escaped => escaped = false,
            '\\' if quoted => escaped = true,
            '"' => quoted = !quoted,
            ',' if !quoted => {
                parts.push(syntax::trim(&text[start..at]));
                start = at + 1;
            }
            _ => {}
        }
    }
    if quoted {
        return Err("quote not closed");
    }
    parts.push(syntax::trim(&text[start..]));
    Ok(parts)
}

/// Names only: values prove or could prove knowledge of a password.
impl fmt::Debug for AuthParams {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} [", self.scheme)?;
        for (name, _) in &self.params {
            write!(f, " {name}")?;
        }
        f.write_str(" ]")
    }
}
