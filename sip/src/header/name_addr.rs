//! PURE.
//! `name-addr` and `addr-spec` with header parameters: From, To, Contact, Route and their kin. RFC 3261 §20.10.

use std::fmt;

use super::Params;
use crate::syntax;
use crate::uri::Uri;

/// `"display" <uri>;params`. Printed in this form always, so that URI parameters stay with the URI.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NameAddr {
    /// Without quotes and escapes.
    pub display: Option<String>,
    pub uri: Uri,
    pub params: Params,
}

impl NameAddr {
    pub fn new(uri: Uri) -> NameAddr {
        NameAddr {
            display: None,
            uri,
            params: Params::default(),
        }
    }

    /// Says why it cannot be read.
    pub fn parse(text: &str) -> Result<NameAddr, &'static str> {
        let text = syntax::trim(text);
        let Some(open) = find_open(text)? else {
            return NameAddr::parse_addr_spec(text);
        };
        let display = display_name(syntax::trim(&text[..open]))?;
        let close = text[open..].find('>').ok_or("angle bracket not closed")? + open;
        let uri = text[open + 1..close].parse().map_err(|_| "bad URI")?;
        let params = params_after(syntax::trim(&text[close + 1..]))?;
        Ok(NameAddr {
            display,
            uri,
            params,
        })
    }

    fn parse_addr_spec(text: &str) -> Result<NameAddr, &'static str> {
        // RFC 3261 §20: without angle brackets, what follows a semicolon belongs to the header, and the URI must have
        // neither comma nor question mark.
        let (uri, params) = text.split_at(text.find(';').unwrap_or(text.len()));
        let uri = syntax::trim(uri);
        if uri.contains([',', '?']) {
            return Err("comma or question mark in a URI without angle brackets");
        }
        let uri = uri.parse().map_err(|_| "bad URI")?;
        Ok(NameAddr {
            display: None,
            uri,
            params: params_after(params)?,
        })
    }

    /// RFC 3261 §19.3. Absent in messages of RFC 2543.
    pub fn tag(&self) -> Option<&str> {
        self.params.get("tag").flatten()
    }

    #[must_use]
    pub fn with_tag(mut self, tag: &str) -> NameAddr {
        self.params.set("tag", Some(tag));
        self
    }
}

/// Where the angle bracket opens: after a quoted display name, or after one without quotes.
fn find_open(text: &str) -> Result<Option<usize>, &'static str> {
    match syntax::find(text, '<') {
        Ok(open) => Ok(open),
        Err(_) => Err("quote not closed"),
    }
}

fn display_name(text: &str) -> Result<Option<String>, &'static str> {
    if text.is_empty() {
        return Ok(None);
    }
    if text.starts_with('"') {
        let name = syntax::unquote(text).ok_or("bad quoted display name")?;
        return Ok((!name.is_empty()).then_some(name));
    }
    // RFC 3261 §25.1 wants tokens here. Phones also send names in any script, dots and parentheses; what separates
    // values or parameters stays forbidden.
    if text
        .chars()
        .any(|c| c.is_ascii_control() || "\",;:<>@\\".contains(c))
    {
        return Err("bad display name");
    }
    Ok(Some(text.to_owned()))
}

fn params_after(text: &str) -> Result<Params, &'static str> {
    if text.is_empty() {
        return Ok(Params::default());
    }
    let params = text.strip_prefix(';').ok_or("text after the URI")?;
    Params::parse_header(params)
}

impl fmt::Display for NameAddr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(display) = &self.display {
            write!(f, "{} ", syntax::quote(display))?;
        }
        write!(f, "<{}>{}", self.uri, self.params)
    }
}
