//! PURE.
//! The headers of one message in their order, values raw, with typed reading on demand. RFC 3261 §7.3.

use std::fmt;

use super::{AuthParams, CSeq, HeaderError, HeaderName, NameAddr, Via};
use crate::limits::{CONTACTS_MAX, OPTION_TAGS_MAX, ROUTES_MAX, VIAS_MAX};
use crate::syntax;

/// Header lines in order. A value has no line breaks or other control characters, whoever put it there.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Headers(Vec<(HeaderName, String)>);

/// All Contact values of a message, RFC 3261 §20.10.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Contacts {
    /// `Contact: *`: remove every binding, RFC 3261 §10.2.2.
    Star,
    List(Vec<NameAddr>),
}

/// Line breaks in a value would be a header of somebody else's choice.
fn clean(value: String) -> String {
    let bytes = value.as_bytes();
    let is_plain = |byte: &u8| matches!(byte, b' '..=b'~');
    let is_space = |byte: Option<&u8>| byte == Some(&b' ');
    if bytes.iter().all(is_plain) && !is_space(bytes.first()) && !is_space(bytes.last()) {
        return value;
    }
    let value = if value.contains(|c: char| c.is_control() && c != '\t') {
        value.replace(|c: char| c.is_control() && c != '\t', " ")
    } else {
        value
    };
    match syntax::trim(&value) {
        trimmed if trimmed.len() == value.len() => value,
        trimmed => trimmed.to_owned(),
    }
}

impl Headers {
    pub fn new() -> Headers {
        Headers::default()
    }

    /// The first line of that name.
    pub fn get(&self, name: &HeaderName) -> Option<&str> {
        self.0
            .iter()
            .find(|(own, _)| own == name)
            .map(|(_, value)| value.as_str())
    }

    /// Every line of that name, in order. A line may hold several values: see the typed readers and `values`.
    pub fn get_all<'a>(&'a self, name: &'a HeaderName) -> impl Iterator<Item = &'a str> + 'a {
        self.0
            .iter()
            .filter(move |(own, _)| own == name)
            .map(|(_, value)| value.as_str())
    }

    pub fn has(&self, name: &HeaderName) -> bool {
        self.get(name).is_some()
    }

    /// Appends a line.
    pub fn push(&mut self, name: HeaderName, value: impl Into<String>) {
        self.0.push((name, clean(value.into())));
    }

    /// Puts a line before all others: a new top Via, the first Route.
    pub fn push_front(&mut self, name: HeaderName, value: impl Into<String>) {
        self.0.insert(0, (name, clean(value.into())));
    }

    /// Replaces all lines of that name by one, where the first stood.
    pub fn set(&mut self, name: HeaderName, value: impl Into<String>) {
        let at = self
            .0
            .iter()
            .position(|(own, _)| *own == name)
            .unwrap_or(self.0.len());
        self.remove(&name);
        self.0.insert(at, (name, clean(value.into())));
    }

    pub fn remove(&mut self, name: &HeaderName) {
        self.0.retain(|(own, _)| own != name);
    }

    pub fn len(&self) -> usize {
        self.0.len()
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub fn iter(&self) -> impl Iterator<Item = (&HeaderName, &str)> {
        self.0.iter().map(|(name, value)| (name, value.as_str()))
    }

    /// Every comma-separated value of every line of that name, RFC 3261 §7.3.1. Stops with `TooMany` after `max`.
    pub fn values(&self, name: &HeaderName, max: usize) -> Result<Vec<&str>, HeaderError> {
        let mut values = Vec::new();
        for line in self
            .0
            .iter()
            .filter(|(own, _)| own == name)
            .map(|(_, value)| value)
        {
            let parts = syntax::split(line, ',').map_err(|_| HeaderError::Malformed {
                name: name.clone(),
                why: "quote or angle bracket not closed",
            })?;
            values.extend(parts);
            if values.len() > max {
                return Err(HeaderError::TooMany(name.clone()));
            }
        }
        Ok(values)
    }

    fn list<T>(
        &self,
        name: HeaderName,
        max: usize,
        parse: impl Fn(&str) -> Result<T, &'static str>,
    ) -> Result<Vec<T>, HeaderError> {
        let values = self.values(&name, max)?;
        values
            .into_iter()
            .map(parse)
            .collect::<Result<_, _>>()
            .map_err(|why| malformed(&name, why))
    }

    /// The line of a header that has one value.
    fn single(&self, name: &HeaderName) -> Result<Option<&str>, HeaderError> {
        let mut lines = self
            .0
            .iter()
            .filter(|(own, _)| own == name)
            .map(|(_, value)| value);
        let first = lines.next();
        if lines.next().is_some() {
            return Err(HeaderError::Repeated(name.clone()));
        }
        Ok(first.map(String::as_str))
    }

    fn required(&self, name: &HeaderName) -> Result<&str, HeaderError> {
        self.single(name)?
            .ok_or_else(|| HeaderError::Missing(name.clone()))
    }

    fn number(&self, name: HeaderName, max: u64) -> Result<Option<u64>, HeaderError> {
        let Some(value) = self.single(&name)? else {
            return Ok(None);
        };
        match syntax::number(value, max) {
            Some(number) => Ok(Some(number)),
            None => Err(malformed(&name, "not a number in range")),
        }
    }

    /// All Via values, topmost first; at least one.
    pub fn vias(&self) -> Result<Vec<Via>, HeaderError> {
        let vias = self.list(HeaderName::Via, VIAS_MAX, Via::parse)?;
        if vias.is_empty() {
            Err(HeaderError::Missing(HeaderName::Via))
        } else {
            Ok(vias)
        }
    }

    pub fn top_via(&self) -> Result<Via, HeaderError> {
        let name = HeaderName::Via;
        let line = self
            .get(&name)
            .ok_or(HeaderError::Missing(HeaderName::Via))?;
        let end = syntax::find(line, ',').map_err(|_| malformed(&name, "quote not closed"))?;
        Via::parse(syntax::trim(&line[..end.unwrap_or(line.len())]))
            .map_err(|why| malformed(&name, why))
    }

    /// Replaces the topmost Via value and leaves the others alone, also those on the same line. RFC 3261 §18.2.1 and
    /// RFC 3581 §4: how `received` and `rport` get in.
    pub fn set_top_via(&mut self, via: &Via) {
        let Some(slot) = self.0.iter_mut().find(|(name, _)| *name == HeaderName::Via) else {
            self.push_front(HeaderName::Via, via.to_string());
            return;
        };
        let rest = match syntax::find(&slot.1, ',') {
            Ok(Some(comma)) => slot.1[comma..].to_owned(),
            _ => String::new(),
        };
        slot.1 = clean(format!("{via}{rest}"));
    }

    /// Removes the topmost Via value, RFC 3261 §16.7 step 3.
    pub fn pop_top_via(&mut self) {
        self.pop_value(&HeaderName::Via);
    }

    /// Removes the first Route value, RFC 3261 §16.4.
    pub fn pop_route(&mut self) {
        self.pop_value(&HeaderName::Route);
    }

    fn pop_value(&mut self, name: &HeaderName) {
        let Some(at) = self.0.iter().position(|(own, _)| own == name) else {
            return;
        };
        let line = &self.0[at].1;
        let rest = match syntax::find(line, ',') {
            Ok(Some(comma)) => syntax::trim(&line[comma + 1..]).to_owned(),
            _ => String::new(),
        };
        if rest.is_empty() {
            self.0.remove(at);
        } else {
            self.0[at].1 = rest;
        }
    }

    pub fn from(&self) -> Result<NameAddr, HeaderError> {
        let name = HeaderName::From;
        NameAddr::parse(self.required(&name)?).map_err(|why| malformed(&name, why))
    }

    pub fn to(&self) -> Result<NameAddr, HeaderError> {
        let name = HeaderName::To;
        NameAddr::parse(self.required(&name)?).map_err(|why| malformed(&name, why))
    }

    /// Compares octet by octet, RFC 3261 §20.8.
    pub fn call_id(&self) -> Result<&str, HeaderError> {
        let value = self.required(&HeaderName::CallId)?;
        // `word` of RFC 3261 §25.1 and `@`; what counts is that it is one word.
        if value.is_empty() || value.contains([' ', '\t', ',']) {
            return Err(malformed(&HeaderName::CallId, "not one word"));
        }
        Ok(value)
    }

    pub fn cseq(&self) -> Result<CSeq, HeaderError> {
        let name = HeaderName::CSeq;
        CSeq::parse(self.required(&name)?).map_err(|why| malformed(&name, why))
    }

    /// An empty list where there is no Contact.
    pub fn contacts(&self) -> Result<Contacts, HeaderError> {
        let name = HeaderName::Contact;
        let values = self.values(&name, CONTACTS_MAX)?;
        // RFC 3261 §20.10: the star stands alone.
        if values == ["*"] {
            return Ok(Contacts::Star);
        }
        let list = values
            .into_iter()
            .map(NameAddr::parse)
            .collect::<Result<_, _>>();
        list.map(Contacts::List)
            .map_err(|why| malformed(&name, why))
    }

    pub fn routes(&self) -> Result<Vec<NameAddr>, HeaderError> {
        self.list(HeaderName::Route, ROUTES_MAX, route)
    }

    pub fn record_routes(&self) -> Result<Vec<NameAddr>, HeaderError> {
        self.list(HeaderName::RecordRoute, ROUTES_MAX, route)
    }

    /// RFC 3261 §20.22: 0 to 255.
    pub fn max_forwards(&self) -> Result<Option<u8>, HeaderError> {
        Ok(self
            .number(HeaderName::MaxForwards, u64::from(u8::MAX))?
            .map(|number| number as u8))
    }

    /// RFC 3261 §20.19: seconds, 0 to 2^32-1.
    pub fn expires(&self) -> Result<Option<u32>, HeaderError> {
        Ok(self
            .number(HeaderName::Expires, u64::from(u32::MAX))?
            .map(|number| number as u32))
    }

    pub fn min_expires(&self) -> Result<Option<u32>, HeaderError> {
        Ok(self
            .number(HeaderName::MinExpires, u64::from(u32::MAX))?
            .map(|number| number as u32))
    }

    /// RFC 3261 §20.14: octets.
    pub fn content_length(&self) -> Result<Option<usize>, HeaderError> {
        Ok(self
            .number(HeaderName::ContentLength, u64::from(u32::MAX))?
            .map(|number| number as usize))
    }

    /// Media type in lower case, without parameters: `application/sdp`. RFC 3261 §20.15.
    pub fn content_type(&self) -> Result<Option<String>, HeaderError> {
        let name = HeaderName::ContentType;
        let Some(value) = self.single(&name)? else {
            return Ok(None);
        };
        let end = value.find(';').unwrap_or(value.len());
        let (kind, subtype) = value[..end]
            .split_once('/')
            .ok_or_else(|| malformed(&name, "not a media type"))?;
        let (kind, subtype) = (syntax::trim(kind), syntax::trim(subtype));
        if !syntax::is_token(kind) || !syntax::is_token(subtype) {
            return Err(malformed(&name, "not a media type"));
        }
        Ok(Some(format!("{kind}/{subtype}").to_ascii_lowercase()))
    }

    /// Option tags of Require, Supported, Proxy-Require or Unsupported; empty elements left out.
    pub fn option_tags(&self, name: &HeaderName) -> Result<Vec<&str>, HeaderError> {
        let mut tags = self.values(name, OPTION_TAGS_MAX)?;
        tags.retain(|tag| !tag.is_empty());
        Ok(tags)
    }

    /// Every readable value of Authorization, Proxy-Authorization, WWW-Authenticate or Proxy-Authenticate: one a line,
    /// RFC 3261 §20.7. What cannot be read authenticates nobody and is left out.
    pub fn credentials(&self, name: &HeaderName) -> Vec<AuthParams> {
        self.get_all(name)
            .filter_map(|line| AuthParams::parse(line).ok())
            .collect()
    }
}

fn route(text: &str) -> Result<NameAddr, &'static str> {
    // RFC 3261 §20.34: Route and Record-Route take the name-addr form only.
    if text.contains('<') {
        NameAddr::parse(text)
    } else {
        Err("no angle brackets")
    }
}

fn malformed(name: &HeaderName, why: &'static str) -> HeaderError {
    HeaderError::Malformed {
        name: name.clone(),
        why,
    }
}

/// Credentials stay out of logs.
impl fmt::Debug for Headers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list()
            .entries(self.0.iter().map(|(name, value)| {
                let value = if name.is_secret() { "redacted" } else { value };
                format!("{name}: {value}")
            }))
            .finish()
    }
}
