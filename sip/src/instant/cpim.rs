//! PURE.
//! The envelope around a text, RFC 3862, as far as its headers of RFC 5438 §6 and its addresses matter.

use super::{InstantError, Wants, head_value, split_head};
use crate::header::HeaderName;
use crate::syntax;

/// The name space of delivery notices, RFC 5438 §6.
const IMDN: &str = "urn:ietf:params:imdn";
/// Longest value that is kept of an envelope's header.
const VALUE_BYTES_MAX: usize = 512;

/// What an envelope says.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Envelope {
    /// As written there: `Anna <sip:anna@example.org>`.
    pub from: String,
    pub to: String,
    pub message_id: Option<String>,
    pub wants: Wants,
}

/// The envelope, and type and content of what is in it.
pub(super) fn read(body: &[u8]) -> Result<(Envelope, &str, &[u8]), InstantError> {
    let (head, rest) = split_head(body);
    let (inner, content) = split_head(rest);
    let kind = head_value(inner, &HeaderName::ContentType)
        .ok_or(InstantError::Form("an envelope without a type inside"))?;
    let mut envelope = Envelope::default();
    // RFC 3862 §3.4: the prefix is whatever the sender has said it is.
    let mut prefix = "imdn";
    for (name, value) in head.lines().filter_map(|line| line.split_once(':')) {
        let (name, value) = (syntax::trim(name), syntax::trim(value));
        if value.len() > VALUE_BYTES_MAX {
            continue;
        }
        if name.eq_ignore_ascii_case("NS") {
            if let Some((said, uri)) = value.split_once('<')
                && uri.trim_end_matches('>') == IMDN
            {
                prefix = syntax::trim(said);
            }
        } else if name.eq_ignore_ascii_case("From") {
            envelope.from = value.to_owned();
        } else if name.eq_ignore_ascii_case("To") {
            envelope.to = value.to_owned();
        } else if let Some(name) = name
            .strip_prefix(prefix)
            .and_then(|name| name.strip_prefix('.'))
        {
            if name.eq_ignore_ascii_case("Message-ID") {
                envelope.message_id = Some(value.to_owned()).filter(|id| !id.is_empty());
            } else if name.eq_ignore_ascii_case("Disposition-Notification") {
                let wants = |wish: &str| {
                    let mut wishes = value.split(',').map(syntax::trim);
                    wishes.any(|one| one.eq_ignore_ascii_case(wish))
                };
                envelope.wants = Wants {
                    delivered: wants("positive-delivery"),
                    displayed: wants("display"),
                };
            }
        }
    }
    Ok((envelope, kind, content))
}

/// A body of `message/cpim` around `content`. `time` is RFC 3339's.
pub fn wrap(envelope: &Envelope, time: &str, kind: &str, content: &str) -> String {
    // A line break in a value would be a header of somebody else's choice.
    let clean = |value: &str| value.replace(char::is_control, " ");
    let mut text = format!(
        "From: {}\r\nTo: {}\r\nDateTime: {time}\r\n",
        clean(&envelope.from),
        clean(&envelope.to)
    );
    if let Some(id) = &envelope.message_id {
        text.push_str(&format!(
            "NS: imdn <{IMDN}>\r\nimdn.Message-ID: {}\r\n",
            clean(id)
        ));
    }
    let disposition = match kind == super::DISPOSITION {
        true => "Content-Disposition: notification\r\n",
        false => "",
    };
    text.push_str(&format!(
        "\r\nContent-Type: {kind}\r\n{disposition}Content-Length: {}\r\n\r\n{content}",
        content.len()
    ));
    text
}
