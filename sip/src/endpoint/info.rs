//! PURE.
//! INFO: keys in both directions, and what else a peer may want to say with it, RFC 6086. Does not own the bodies (see
//! `digits`).

use std::time::Instant;

use super::transactions::Owner;
use super::usages::Usage;
use super::{CallError, CallKey, Endpoint, Event};
use crate::digits::{self, DTMF, DTMF_RELAY, Digit};
use crate::header::HeaderName;
use crate::message::{Request, Response};
use crate::method::Method;
use crate::usages::KEYS_MAX;

impl Endpoint {
    /// An INFO inside a call: its response, and the key it told.
    pub(super) fn on_info(&mut self, key: CallKey, request: &Request, tag: &str) -> Response {
        let headers = &request.headers;
        // RFC 6086 §4.2.2: a package that we have not asked for. We ask for none.
        if headers.has(&HeaderName::InfoPackage) {
            let mut response = self.response(request, 469, tag);
            response.headers.push(HeaderName::RecvInfo, "");
            return response;
        }
        // RFC 6086 §4.2.1: an INFO without a package and without a body means nothing, and is no mistake.
        if request.body.is_empty() {
            return self.response(request, 200, tag);
        }
        let kind = headers.content_type().ok().flatten().unwrap_or_default();
        if kind != DTMF_RELAY && kind != DTMF {
            let mut response = self.response(request, 415, tag);
            response
                .headers
                .push(HeaderName::Accept, format!("{DTMF_RELAY}, {DTMF}"));
            return response;
        }
        // A hook flash and other signals that are no key are taken without a word: nothing here could act on them.
        if let Some(Digit { digit, duration_ms }) = digits::parse(&kind, &request.body) {
            self.event(Event::Digits {
                call: key,
                digit,
                duration_ms,
            });
        }
        self.response(request, 200, tag)
    }

    /// Sends a key by INFO (`application/dtmf-relay`): 0 to 9, `*`, `#`, A to D, held for 40 to 5,000 ms. Keys go one
    /// after the other, in their order.
    pub fn send_info_digit(
        &mut self,
        now: Instant,
        key: CallKey,
        digit: char,
        duration_ms: u32,
    ) -> Result<(), CallError> {
        let call = self.live_call(key)?;
        let digit = digit.to_ascii_uppercase();
        let has_room = call.usages.keys.len() < KEYS_MAX;
        if call.dialog.is_none() || !digits::is_key(digit) || !has_room {
            return Err(CallError::WrongState);
        }
        call.usages.keys.push_back(Digit { digit, duration_ms });
        self.send_next_key(now, key);
        Ok(())
    }

    fn send_next_key(&mut self, now: Instant, key: CallKey) {
        let Ok(call) = self.live_call(key) else {
            return;
        };
        if call.usages.is_key_under_way {
            return;
        }
        let Some(digit) = call.usages.keys.front().copied() else {
            return;
        };
        call.usages.is_key_under_way = true;
        let owner = Owner::Usage(key, Usage::Key);
        self.send_in_dialog(now, key, None, Method::Info, owner, |request| {
            request.set_body(DTMF_RELAY, digits::write(digit));
        });
    }

    /// Whatever came of it, a key is not worth a second try: late ones would be wrong ones.
    pub(super) fn on_key_sent(&mut self, now: Instant, key: CallKey) {
        if let Some(call) = self.calls.get_mut(&key) {
            call.usages.is_key_under_way = false;
            call.usages.keys.pop_front();
        }
        self.send_next_key(now, key);
    }
}
