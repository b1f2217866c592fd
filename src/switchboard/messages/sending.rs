//! Texts on their way to phones: all phones of a user at once, and what they say comes to. Owns no order and no second try:
//! those are the shelf's.

use std::time::Instant;

use sip::{Endpoint, NameAddr, TextError, TextKey, TextParams, Uri};
use tracing::{debug, warn};

use super::super::Switchboard;
use super::super::outgoing::SHOWN_AS;
use super::office::{Input, Live};
use super::shelf::{Outcome, Text};
use super::{PHONES_MAX, Round, unguessable};
use crate::config::Answerer;

impl Switchboard {
    /// Sends a text to all phones of a user.
    pub fn send_text(
        &mut self,
        user: &str,
        text: &Text,
        domain: Option<&str>,
        endpoint: &mut Endpoint,
    ) {
        let mut keys = Vec::new();
        let mut is_under_way = false;
        let phones = self.text_params(user, text, domain, endpoint);
        let is_nobody = phones.is_empty();
        for params in phones {
            match endpoint.send_text(Instant::now(), params) {
                Ok(key) => keys.push(key),
                // Its answer is still to come.
                Err(TextError::UnderWay) => is_under_way = true,
                Err(error @ TextError::Full) => {
                    debug!(%user, %error, "text not sent now");
                }
                Err(error) => warn!(%user, %error, "text not sent"),
            }
        }
        let (user, id) = (user.to_owned(), text.id.clone());
        if is_nobody {
            self.messages.tell(Input::Nobody { user, id });
            return;
        }
        if keys.is_empty() && is_under_way {
            return;
        }
        if keys.is_empty() {
            let outcome = Outcome::Away;
            self.messages.tell(Input::Sent { user, id, outcome });
            return;
        }
        let round = Round {
            id: id.clone(),
            open: keys.len(),
            outcome: None,
        };
        self.messages.rounds.insert(user.clone(), round);
        let told = keys
            .into_iter()
            .map(|key| (key, (user.clone(), id.clone())));
        self.messages.sent.extend(told);
    }

    /// Sends what is worth sending now or never, to phones that know what it is.
    pub fn send_live(&mut self, mut live: Live, endpoint: &mut Endpoint) {
        if live.number.is_empty() {
            match self.messages.composers.get(&live.user) {
                Some(number) => live.number.clone_from(number),
                None => return,
            }
        }
        let text = Text {
            id: unguessable(),
            number: live.number,
            name: String::new(),
            content_type: live.content_type.to_owned(),
            body: live.body,
            at_unix_ms: 0,
            attempt: 0,
            sender: None,
            delivery: None,
            call_id: None,
            whole: None,
        };
        let domain = live.domain.as_deref();
        for params in self.text_params(&live.user, &text, domain, endpoint) {
            // What comes of it is nobody's business.
            let _ = endpoint.send_text(Instant::now(), params);
        }
    }

    fn text_params(
        &mut self,
        user: &str,
        text: &Text,
        domain: Option<&str>,
        endpoint: &Endpoint,
    ) -> Vec<TextParams> {
        let mut phones = self.bridging.with(endpoint, |_, _, view| view.phones(user));
        phones.truncate(PHONES_MAX);
        let numbers = self.bridging.plan().numbers();
        let number = match text.number.is_empty() {
            true => numbers.first(Answerer::Agent).map(|own| own.number.clone()),
            false => Some(text.number.clone()),
        };
        let is_ours = number
            .as_deref()
            .is_some_and(|number| crate::routing::route(numbers, number).is_some());
        let shown = match (text.name.is_empty(), is_ours) {
            (true, true) => Some(SHOWN_AS.to_owned()),
            (true, false) => None,
            (false, _) => Some(text.name.clone()),
        };
        let known = domain.and_then(|domain| {
            let uri = format!("sip:{domain}").parse::<Uri>().ok()?;
            Some((uri.host, uri.port))
        });
        let params = phones.into_iter().map(|phone| {
            let (host, port) = known.clone().unwrap_or_else(|| {
                let local = phone.flow.local.port();
                let is_usual = local == phone.flow.transport.default_port();
                (phone.anchor.shown.into(), (!is_usual).then_some(local))
            });
            let mut from = NameAddr::new(Uri::sip(number.as_deref(), host.clone(), port));
            from.display.clone_from(&shown);
            TextParams {
                id: text.id.clone(),
                call_id: text.call_id.clone(),
                attempt: text.attempt,
                target: phone.uri,
                flow: phone.flow,
                from,
                to: NameAddr::new(Uri::sip(Some(user), host, port)),
                content_type: text.content_type.clone(),
                body: text.body.clone().into_bytes(),
            }
        });
        params.collect()
    }

    /// What a phone said to a text of ours.
    pub(super) fn text_answered(&mut self, text: TextKey, result: Result<(), u16>) {
        let Some((user, id)) = self.messages.sent.remove(&text) else {
            return;
        };
        if let Some(outcome) = self.messages.note(&user, &id, outcome(result)) {
            self.messages.tell(Input::Sent { user, id, outcome });
        }
    }
}

/// What an answer comes to. Refused is what the same phone would refuse again, RFC 3261 §21.4 to §21.6: the request, its
/// size, its type, this user, this way of writing.
pub(super) fn outcome(result: Result<(), u16>) -> Outcome {
    match result {
        Ok(()) => Outcome::Delivered,
        Err(408 | 503) => Outcome::Away,
        Err(
            status @ (400 | 403 | 404 | 405 | 413 | 415 | 416 | 420 | 488 | 493 | 501 | 505 | 513
            | 603 | 604 | 606),
        ) => Outcome::Refused(status),
        Err(_) => Outcome::PutOff,
    }
}
