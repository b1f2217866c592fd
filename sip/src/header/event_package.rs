//! PURE.
//! Event and Subscription-State, RFC 6665 §8.2.1 and §8.2.3, and the status line in a `message/sipfrag`, RFC 3420: what a
//! NOTIFY about a transfer says.

use std::fmt;

use super::Params;
use crate::status::reason_phrase;
use crate::syntax;

/// An Event value: the package in lower case, and which of several subscriptions to it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EventPackage {
    pub package: String,
    pub id: Option<String>,
}

impl EventPackage {
    /// Says why it cannot be read.
    pub fn parse(text: &str) -> Result<EventPackage, &'static str> {
        let (package, rest) = text
            .split_once(';')
            .map_or((text, None), |(a, b)| (a, Some(b)));
        let package = syntax::trim(package);
        if !syntax::is_token(package) {
            return Err("no package");
        }
        let params = rest
            .map(Params::parse_header)
            .transpose()?
            .unwrap_or_default();
        Ok(EventPackage {
            package: package.to_ascii_lowercase(),
            id: params.value("id").filter(|id| syntax::is_token(id)),
        })
    }
}

impl fmt::Display for EventPackage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.package)?;
        match &self.id {
            Some(id) => write!(f, ";id={id}"),
            None => Ok(()),
        }
    }
}

/// A Subscription-State value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SubscriptionState {
    pub is_terminated: bool,
    /// Seconds it has left, where it says so.
    pub expires_s: Option<u32>,
    pub reason: Option<String>,
}

impl SubscriptionState {
    /// RFC 6665 §4.1.3: an unknown state counts as `active`. Says why it cannot be read.
    pub fn parse(text: &str) -> Result<SubscriptionState, &'static str> {
        let (state, rest) = text
            .split_once(';')
            .map_or((text, None), |(a, b)| (a, Some(b)));
        let state = syntax::trim(state);
        if !syntax::is_token(state) {
            return Err("no state");
        }
        let params = rest
            .map(Params::parse_header)
            .transpose()?
            .unwrap_or_default();
        let seconds = params.value("expires");
        Ok(SubscriptionState {
            is_terminated: state.eq_ignore_ascii_case("terminated"),
            expires_s: seconds
                .and_then(|text| syntax::number(&text, u64::from(u32::MAX)))
                .map(|seconds| seconds as u32),
            reason: params.value("reason"),
        })
    }
}

/// RFC 3420 §2: the status of a response quoted in a body, 100 to 699; `None` where the body quotes none.
pub fn sipfrag_status(body: &[u8]) -> Option<u16> {
    let line = body
        .split(|byte| matches!(byte, b'\r' | b'\n'))
        .find(|line| !line.is_empty())?;
    let line = std::str::from_utf8(line.get(..line.len().min(64))?).ok()?;
    let mut words = line.split([' ', '\t']).filter(|word| !word.is_empty());
    if !words.next()?.eq_ignore_ascii_case("SIP/2.0") {
        return None;
    }
    let status = words.next().filter(|word| word.len() == 3)?;
    syntax::number(status, 699)
        .filter(|status| *status >= 100)
        .map(|status| status as u16)
}

/// The body that quotes a response by its status alone: RFC 3515 §2.4.5 warns of telling the referrer more.
pub fn sipfrag(status: u16) -> String {
    format!("SIP/2.0 {status} {}\r\n", reason_phrase(status))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn events() {
        let table = [
            ("refer", Some("refer")),
            ("Refer; id=93", Some("refer;id=93")),
            ("presence;x=y", Some("presence")),
            (";id=1", None),
            ("refer;", None),
            ("", None),
        ];
        for (text, expected) in table {
            let read = EventPackage::parse(text)
                .ok()
                .map(|event| event.to_string());
            assert_eq!(read.as_deref(), expected, "{text}");
        }
    }

    #[test]
    fn states() {
        let table = [
            ("active;expires=60", Some((false, Some(60), None))),
            (
                "Terminated;reason=noresource",
                Some((true, None, Some("noresource"))),
            ),
            ("pending", Some((false, None, None))),
            ("active;expires=99999999999", Some((false, None, None))),
            ("", None),
        ];
        for (text, expected) in table {
            let read = SubscriptionState::parse(text).ok();
            let read = read.as_ref().map(|state| {
                (
                    state.is_terminated,
                    state.expires_s,
                    state.reason.as_deref(),
                )
            });
            assert_eq!(read, expected, "{text}");
        }
    }

    #[test]
    fn quoted_statuses() {
        let table: [(&[u8], Option<u16>); 8] = [
            (b"SIP/2.0 200 OK", Some(200)),
            (b"sip/2.0 180 Ringing\r\nTo: <sip:a@b>\r\n", Some(180)),
            (b"\r\nSIP/2.0  486\r\n", Some(486)),
            (b"SIP/2.0 99 x", None),
            (b"SIP/2.0 700 x", None),
            (b"INVITE sip:a@b SIP/2.0", None),
            (b"", None),
            (b"SIP/2.0 \xff\xff", None),
        ];
        for (body, expected) in table {
            assert_eq!(sipfrag_status(body), expected, "{body:?}");
        }
        assert_eq!(sipfrag(486), "SIP/2.0 486 Busy Here\r\n");
        assert_eq!(sipfrag_status(sipfrag(100).as_bytes()), Some(100));
    }
}
