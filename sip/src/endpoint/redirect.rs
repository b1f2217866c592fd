//! PURE.
//! Redirections of calls of ours, RFC 3261 §8.1.3.4: where a 3xx says that the callee is. Whether to go there is for the
//! program, which knows whose money it costs.

use super::{CallKey, Endpoint, Event};
use crate::header::Contacts;
use crate::message::Response;
use crate::registrar::parse_q;
use crate::uri::{Scheme, Uri};

/// Contacts that are told; further ones are not.
const CONTACTS_MAX: usize = 8;

impl Endpoint {
    pub(super) fn on_redirection(&mut self, key: CallKey, response: &Response) {
        let contacts = contacts(response);
        if !contacts.is_empty() {
            self.event(Event::Redirected {
                call: key,
                contacts,
            });
        }
    }
}

/// Contacts that can be called, the most preferred first, equals in their order; RFC 3261 §20.10 takes q as 1 where it is
/// absent or unreadable. URI headers are not kept: they would be ours to say.
fn contacts(response: &Response) -> Vec<Uri> {
    let Ok(Contacts::List(list)) = response.headers.contacts() else {
        return Vec::new();
    };
    let mut ranked: Vec<(u16, Uri)> = Vec::new();
    for contact in list {
        let q = contact
            .params
            .value("q")
            .and_then(|q| parse_q(&q))
            .unwrap_or(1000);
        let mut uri = contact.uri;
        uri.headers = None;
        let is_callable = uri.scheme.is_sip() || uri.scheme == Scheme::Tel;
        if is_callable && !ranked.iter().any(|(_, known)| known.equivalent(&uri)) {
            ranked.push((q, uri));
        }
    }
    ranked.sort_by_key(|(q, _)| std::cmp::Reverse(*q));
    ranked
        .into_iter()
        .map(|(_, uri)| uri)
        .take(CONTACTS_MAX)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::header::HeaderName;

    #[test]
    fn where_to_go() {
        let table = [
            (
                "<sip:a@h>;q=0.5, <sip:b@h>, <sip:c@h>;q=0.7",
                "sip:b@h sip:c@h sip:a@h",
            ),
            (
                "<sip:a@h?Replaces=x>, <tel:+49>, <mailto:a@h>",
                "sip:a@h tel:+49",
            ),
            ("<sip:a@h>, <sip:a@H>;q=0.1", "sip:a@h"),
            ("*", ""),
            ("\"", ""),
            (
                "<sip:1@h>,<sip:2@h>,<sip:3@h>,<sip:4@h>,<sip:5@h>,<sip:6@h>,<sip:7@h>,<sip:8@h>,<sip:9@h>",
                "sip:1@h sip:2@h sip:3@h sip:4@h sip:5@h sip:6@h sip:7@h sip:8@h",
            ),
        ];
        for (value, expected) in table {
            let mut response = Response::new(302);
            response.headers.push(HeaderName::Contact, value);
            let told: Vec<String> = contacts(&response)
                .iter()
                .map(ToString::to_string)
                .collect();
            assert_eq!(told.join(" "), expected, "{value}");
        }
    }
}
