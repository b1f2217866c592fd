//! PURE.
//! Replaces and Refer-To: which dialog a new INVITE takes the place of, and where a transfer leads. RFC 3891 §6.1,
//! RFC 3515 §2.1, RFC 5589 §7. Does not own who may do so, or what comes of it (see `endpoint`).

use std::fmt;

use super::{NameAddr, Params};
use crate::syntax;
use crate::uri::Uri;

/// A Replaces value. The tags are named from where its INVITE arrives: `to_tag` is that side's own.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Replaces {
    pub call_id: String,
    pub to_tag: String,
    pub from_tag: String,
    /// RFC 3891 §6.1: only if that dialog has not been answered yet.
    pub early_only: bool,
}

impl Replaces {
    /// Reads `call-id;to-tag=…;from-tag=…[;early-only]`. Says why it cannot be read.
    pub fn parse(text: &str) -> Result<Replaces, &'static str> {
        let (call_id, rest) = text.split_once(';').ok_or("no tags")?;
        let call_id = syntax::trim(call_id);
        if call_id.is_empty() || call_id.contains([' ', '\t', ',', '"', '<', '>']) {
            return Err("no Call-ID");
        }
        let params = Params::parse_header(rest)?;
        let tag = |name| params.value(name).filter(|tag| syntax::is_token(tag));
        Ok(Replaces {
            call_id: call_id.to_owned(),
            to_tag: tag("to-tag").ok_or("no to-tag")?,
            from_tag: tag("from-tag").ok_or("no from-tag")?,
            early_only: params.has("early-only"),
        })
    }
}

impl fmt::Display for Replaces {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (to, from) = (&self.to_tag, &self.from_tag);
        write!(f, "{};to-tag={to};from-tag={from}", self.call_id)?;
        if self.early_only {
            f.write_str(";early-only")?;
        }
        Ok(())
    }
}

/// A Refer-To value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReferTo {
    /// Whom to call, without the URI's headers and method.
    pub target: Uri,
    /// The request asked for, where it is named: RFC 3515 §2.1 takes INVITE otherwise.
    pub method: Option<String>,
    /// Raw Replaces value in the URI, its escapes undone. Any other header in there is somebody else's wish for what we
    /// would say in our own name, and is not kept.
    pub replaces: Option<String>,
}

impl ReferTo {
    /// Says why it cannot be read.
    pub fn parse(text: &str) -> Result<ReferTo, &'static str> {
        let address = match NameAddr::parse(text) {
            // Some phones leave out the brackets that RFC 3261 §20 wants around a question mark.
            Err(_) if !text.contains('<') => NameAddr::parse(&format!("<{}>", syntax::trim(text)))?,
            parsed => parsed?,
        };
        let mut target = address.uri;
        let headers = target.headers.take().unwrap_or_default();
        let method = target.param("method").flatten().map(str::to_owned);
        target.params.remove("method");
        let mut replaces = headers.split('&').filter_map(|header| {
            let (name, value) = header.split_once('=')?;
            syntax::unescape(name)
                .eq_ignore_ascii_case("Replaces")
                .then(|| syntax::unescape(value))
        });
        let first = replaces.next();
        if replaces.next().is_some() {
            return Err("Replaces twice");
        }
        Ok(ReferTo {
            target,
            method,
            replaces: first,
        })
    }

    /// RFC 5589 §7.3: the value for an attended transfer, or for a blind one without `replaces`.
    pub fn write(target: &Uri, replaces: Option<&Replaces>) -> String {
        let mut target = target.clone();
        target.headers = replaces.map(|replaces| {
            // RFC 3261 §25.1 `hvalue`: neither semicolons nor equals signs stand in it bare.
            let value = syntax::escape(&replaces.to_string(), |c| {
                c.is_ascii_alphanumeric() || "-_.!~*'()".contains(c)
            });
            format!("Replaces={value}")
        });
        format!("<{target}>")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn replaces_values() {
        let table = [
            ("a@b;to-tag=1;from-tag=2", Some("a@b;to-tag=1;from-tag=2")),
            (
                " a@b ; from-tag=2 ; TO-TAG=1 ;early-only;x=y",
                Some("a@b;to-tag=1;from-tag=2;early-only"),
            ),
            ("a@b;to-tag=1", None),
            ("a@b;to-tag=1;from-tag=", None),
            ("a@b;to-tag=1;to-tag=2;from-tag=3", None),
            ("a@b", None),
            (";to-tag=1;from-tag=2", None),
            ("a, b;to-tag=1;from-tag=2", None),
        ];
        for (text, expected) in table {
            let read = Replaces::parse(text).ok().map(|value| value.to_string());
            assert_eq!(read.as_deref(), expected, "{text}");
        }
    }

    #[test]
    fn refer_to_values() {
        let table = [
            ("<sip:c@d>", Some(("sip:c@d", None, None))),
            (
                "\"C\" <sip:c@d;transport=tcp>",
                Some(("sip:c@d;transport=tcp", None, None)),
            ),
            ("<sip:c@d;method=BYE>", Some(("sip:c@d", Some("BYE"), None))),
            (
                "<sip:c@d?Replaces=i%40h%3Bto-tag%3D1%3Bfrom-tag%3D2&Require=replaces>",
                Some(("sip:c@d", None, Some("i@h;to-tag=1;from-tag=2"))),
            ),
            (
                "sip:c@d?REPLACES=i%3Bto-tag%3D1%3Bfrom-tag%3D2",
                Some(("sip:c@d", None, Some("i;to-tag=1;from-tag=2"))),
            ),
            ("<sip:c@d?Authorization=x>", Some(("sip:c@d", None, None))),
            ("tel:+4930123", Some(("tel:+4930123", None, None))),
            ("<sip:c@d?Replaces=a&replaces=b>", None),
            ("nobody", None),
            ("", None),
        ];
        for (text, expected) in table {
            let read = ReferTo::parse(text).ok();
            let read = read.as_ref().map(|value| {
                let target = value.target.to_string();
                (target, value.method.as_deref(), value.replaces.as_deref())
            });
            let read = read
                .as_ref()
                .map(|(target, method, replaces)| (target.as_str(), *method, *replaces));
            assert_eq!(read, expected, "{text}");
        }
    }

    #[test]
    fn what_is_written_is_read_again() {
        let target: Uri = "sip:c@d:5070;transport=tcp".parse().expect("a URI");
        let replaces = Replaces {
            call_id: "i+/=%@h".to_owned(),
            to_tag: "t.1".to_owned(),
            from_tag: "f~2".to_owned(),
            early_only: true,
        };
        let read = ReferTo::parse(&ReferTo::write(&target, Some(&replaces))).expect("readable");
        assert_eq!(read.target, target);
        assert_eq!(
            Replaces::parse(&read.replaces.expect("there")),
            Ok(replaces)
        );
        assert_eq!(
            ReferTo::write(&target, None),
            "<sip:c@d:5070;transport=tcp>"
        );
    }
}
