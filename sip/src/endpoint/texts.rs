//! PURE.
//! Texts: MESSAGE requests that come, whoever they are from and until the program answers, and those of ours, RFC 3428. Does
//! not own what is in a body (see `instant`), who may write to whom, or texts that wait for a phone.
//!
//! A text of ours is made of its id alone: Call-ID, From tag, CSeq and branch of the same text to the same phone are the
//! same, also in the next run. A phone that has had it takes it for a repeated packet as long as it remembers the first
//! (RFC 3261 §17.2.2, half a minute over UDP), and one that knows texts by their Call-ID for ever.

use std::time::{Duration, Instant};

use sha2::{Digest as _, Sha256};

use super::receive::Incoming;
use super::reply::retry_after;
use super::transactions::{Failure, Owner};
use super::trunk::shown_caller;
use super::{Caller, Endpoint, Event, TimerId};
use crate::auth::hex;
use crate::coding::{self, ACCEPT_ENCODING, CodingError};
use crate::flow::{Flow, FlowTarget};
use crate::header::{HeaderName, NameAddr};
use crate::instant;
use crate::message::{Request, Response};
use crate::method::Method;
use crate::transaction::key::{ClientKey, MAGIC_COOKIE};
use crate::uri::Uri;

/// Octets of a body. RFC 3428 §8 wants MESSAGE small, and a page of text is.
pub const TEXT_BYTES_MAX: usize = 32_768;
/// Texts that wait for the program's answer. At the bound the next one is put off.
const TEXTS_MAX: usize = 256;
const RETRY_LATER: Duration = Duration::from_secs(10);

/// One text, ours or theirs. Never reused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct TextKey(pub u64);

/// A text of ours.
#[derive(Debug, Clone)]
pub struct TextParams {
    /// Names this text for ever. Must not be guessable: who knows it can forge the phone's answer.
    pub id: String,
    /// Counts how often a phone has said no to it: a new try is a new request.
    pub attempt: u32,
    /// In place of one made from `id`. Phones name a text without an envelope by it in what they say of it, so where it was
    /// passed on its sender knows that.
    pub call_id: Option<String>,
    pub target: Uri,
    pub flow: FlowTarget,
    /// Without a tag; one is added.
    pub from: NameAddr,
    pub to: NameAddr,
    pub content_type: String,
    pub body: Vec<u8>,
}

/// A text that cannot be sent or answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum TextError {
    #[error("as many requests as allowed are under way")]
    Full,
    #[error("this text is on its way to this phone")]
    UnderWay,
    #[error("the text was answered, or given up")]
    NoSuchText,
    #[error("no final status: {0}")]
    BadStatus(u16),
}

/// A text of theirs that waits for the program.
#[derive(Debug)]
pub(super) struct PendingText {
    transaction: u64,
    request: Request,
    to_tag: String,
}

impl Endpoint {
    /// RFC 3428 §7, from somebody who is known.
    pub(super) fn on_text(&mut self, now: Instant, caller: Caller, incoming: Incoming) {
        let Incoming {
            request,
            flow,
            reply_to,
            key,
            merge,
        } = incoming;
        let headers = &request.headers;
        let coding = headers.get(&HeaderName::ContentEncoding);
        let body = coding::decoded(coding, &request.body, TEXT_BYTES_MAX);
        let refusal = match shown_caller(&caller, &request) {
            // Who writes must be who logged in.
            None => Err((403, None)),
            _ if body == Err(CodingError::TooLong) => Err((413, None)),
            _ if body == Err(CodingError::Malformed) => Err((400, None)),
            _ if body == Err(CodingError::Unknown) => Err((
                415,
                Some((HeaderName::AcceptEncoding, ACCEPT_ENCODING.to_owned())),
            )),
            _ if self.shutting_down || self.texts.len() >= TEXTS_MAX => {
                Err((503, Some(retry_after(RETRY_LATER))))
            }
            Some((from, _)) => Ok(from),
        };
        let (from, body) = match (refusal, body) {
            (Ok(from), Ok(body)) => (from, body.into_owned()),
            (Err((status, header)), _) => return self.reply(reply_to, &request, status, header),
            // Refused above.
            (Ok(_), Err(_)) => return self.reply(reply_to, &request, 400, []),
        };
        // In a dialog the Request-URI is our Contact; whom it is for stands in To.
        let to = headers.to().ok();
        let in_dialog = to.as_ref().filter(|to| to.tag().is_some());
        let uri = in_dialog.map_or(&request.uri, |to| &to.uri);
        let target = uri.user_decoded().unwrap_or_default();
        let (Ok(call_id), Ok(cseq)) = (headers.call_id(), headers.cseq()) else {
            return;
        };
        let tagged = headers.from().ok();
        let tag = tagged.as_ref().and_then(NameAddr::tag).unwrap_or_default();
        let text = TextKey(self.new_key());
        let event = Event::Text {
            text,
            caller,
            target,
            from,
            id: format!("{call_id};{tag};{}", cseq.number),
            call_id: call_id.to_owned(),
            content_type: headers.get(&HeaderName::ContentType).map(str::to_owned),
            body,
            flow,
        };
        let to_tag = self.new_tag();
        let transaction = self.open_server(&request, key, merge, reply_to, to_tag.clone());
        let pending = PendingText {
            transaction,
            request,
            to_tag,
        };
        self.texts.insert(text, pending);
        // RFC 4320 §4.1: an answer after timer F would meet nobody.
        let patience = self.config.timers.t1_x64() / 2;
        self.timers.set(TimerId::Text(text), Some(now + patience));
        self.event(event);
    }

    /// The program's answer to `Event::Text`: 200 where it has reached whom it is for, 202 where it is kept, or a refusal
    /// (RFC 3428 §7). `headers` go into the response.
    ///
    /// # Errors
    /// The text was answered, or waited too long for this; or the status is no final one.
    pub fn answer_text(
        &mut self,
        now: Instant,
        text: TextKey,
        status: u16,
        headers: Vec<(HeaderName, String)>,
    ) -> Result<(), TextError> {
        if !(200..=699).contains(&status) {
            return Err(TextError::BadStatus(status));
        }
        let pending = self.texts.remove(&text).ok_or(TextError::NoSuchText)?;
        self.timers.set(TimerId::Text(text), None);
        let mut response = self.response(&pending.request, status, &pending.to_tag);
        if status == 415 {
            response.headers.push(HeaderName::Accept, instant::ACCEPT);
        }
        for (name, value) in headers {
            response.headers.push(name, value);
        }
        self.respond(now, pending.transaction, response);
        Ok(())
    }

    /// The program has nothing to say to it.
    pub(super) fn on_text_timer(&mut self, now: Instant, text: TextKey) {
        let later = vec![retry_after(RETRY_LATER)];
        // It is there, or its timer would not be.
        let _ = self.answer_text(now, text, 503, later);
    }

    /// Sends a text to one phone; `Event::TextAnswered` tells what came of it.
    ///
    /// # Errors
    /// Too many requests are under way, or this one is.
    pub fn send_text(&mut self, now: Instant, params: TextParams) -> Result<TextKey, TextError> {
        if self.transactions_full(false) {
            return Err(TextError::Full);
        }
        let mut request = Request::new(Method::Message, params.target.clone());
        let attempt = params.attempt.to_string();
        let target = params.target.to_string();
        let branch = format!(
            "{MAGIC_COOKIE}{}",
            name(&["branch", &params.id, &attempt, &target])
        );
        let key = ClientKey {
            branch: branch.clone(),
            method: Method::Message,
        };
        if self.clients.find(&key).is_some() {
            return Err(TextError::UnderWay);
        }
        let flow = self.flow_to(now, params.flow);
        let tag = name(&["tag", &params.id]);
        let cseq = (params.attempt & 0x3fff_ffff) + 1;
        let via = format!(
            "SIP/2.0/{} {};branch={branch};rport",
            flow.transport.via_token(),
            self.own_address(flow)
        );
        let headers = &mut request.headers;
        headers.push(HeaderName::Via, via);
        headers.push(HeaderName::MaxForwards, "70");
        headers.push(HeaderName::From, params.from.with_tag(&tag).to_string());
        headers.push(HeaderName::To, params.to.to_string());
        let call_id = params.call_id.clone();
        let call_id = call_id.unwrap_or_else(|| name(&["call", &params.id]));
        headers.push(HeaderName::CallId, call_id);
        headers.push(HeaderName::CSeq, format!("{cseq} MESSAGE"));
        self.add_product(&mut request);
        request.set_body(&params.content_type, params.body);
        let text = TextKey(self.new_key());
        self.send_request_with_via(now, request, flow, Owner::Text(text), branch);
        Ok(text)
    }

    pub(super) fn on_text_response(&mut self, text: TextKey, response: &Response) {
        let result = match response.status {
            100..=199 => return,
            200..=299 => Ok(()),
            status => Err(status),
        };
        self.event(Event::TextAnswered { text, result });
    }

    pub(super) fn on_text_failure(&mut self, text: TextKey, why: Failure) {
        let status = match why {
            Failure::NoAnswer => 408,
            Failure::Transport => 503,
        };
        let result = Err(status);
        self.event(Event::TextAnswered { text, result });
    }

    /// A MESSAGE inside a call is a text like any other: its sender proves who it is, and the dialog only counts it.
    pub(super) fn count_in_dialog(&mut self, call: super::CallKey, request: &Request) -> bool {
        let number = request.headers.cseq().map_or(0, |cseq| cseq.number);
        let from = request.headers.from().ok();
        let from_tag = from.as_ref().and_then(|from| from.tag());
        let call = self.calls.get_mut(&call);
        let dialog = call.and_then(|call| call.dialog_mut(from_tag.or(Some(""))));
        dialog.is_some_and(|dialog| dialog.accept_cseq(number))
    }

    /// Who a text is from, or `None` after it has been answered.
    pub(super) fn writer(
        &mut self,
        now: Instant,
        flow: Flow,
        reply_to: Flow,
        request: &Request,
    ) -> Option<Caller> {
        let caller = self.identify(now, flow, reply_to, request)?;
        if let Caller::User(user) = &caller {
            self.follow_phone(now, user, flow, request);
        }
        Some(caller)
    }
}

/// 96 bits that follow from these words.
fn name(words: &[&str]) -> String {
    let mut sum = Sha256::new();
    for word in words {
        sum.update(word.as_bytes());
        sum.update([0]);
    }
    hex(&sum.finalize()[..12])
}
