//! PURE.
//! Responses: where they go (RFC 3261 §18.2, RFC 3581 §4), what each carries (§8.2.6), and the ones sent without state
//! (§8.2.7), which is how strangers are answered. Does not own the decision what to answer.

use std::net::SocketAddr;
use std::time::Duration;

use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

use super::Endpoint;
use crate::admission::SUPPORTED;
use crate::auth::hex;
use crate::dialog::with_tag;
use crate::flow::{Flow, Transport};
use crate::header::{HeaderError, HeaderName, Headers};
use crate::message::{Request, Response};

/// RFC 3261 §20.5: what this user agent does.
pub(super) const ALLOW: &str = "INVITE, ACK, CANCEL, BYE, OPTIONS, INFO, REFER, NOTIFY, SUBSCRIBE, MESSAGE, REGISTER, PRACK, UPDATE";

/// An answer over UDP to somebody who has proven nothing is at most so many times as long as what was asked: where RFC
/// 9000 §8.1 draws the line, too. Phones ask with 300 octets and more and never meet it.
pub(super) const UDP_GROWTH_MAX: usize = 3;

/// RFC 3261 §13.2.1 and §13.3.1.4: what an INVITE, an UPDATE and their answers say about us.
pub(super) fn add_abilities(headers: &mut Headers) {
    headers.push(HeaderName::Allow, ALLOW);
    headers.push(HeaderName::Supported, SUPPORTED.join(", "));
}

/// RFC 3261 §18.2.1 and RFC 3581 §4: notes in the top Via where the request really came from. Returns where responses go.
pub(super) fn note_source(request: &mut Request, flow: Flow) -> Result<Flow, HeaderError> {
    let mut top = request.headers.top_via()?;
    let source = flow.remote.ip().to_canonical();
    let asked_rport = top.params.has("rport");
    let sent_by_is_source = top.host.ip() == Some(source);
    if asked_rport {
        top.params
            .set("rport", Some(&flow.remote.port().to_string()));
    }
    if asked_rport || !sent_by_is_source {
        top.params.set("received", Some(&source.to_string()));
    }
    let mut reply_to = flow;
    // RFC 3261 §18.2.2: without rport the port is that of sent-by. `maddr` is not obeyed: responses go to nobody but
    // the address that asked.
    if flow.transport == Transport::Udp && !asked_rport {
        reply_to.remote = SocketAddr::new(flow.remote.ip(), top.port_or_default());
    }
    request.headers.set_top_via(&top);
    Ok(reply_to)
}

impl Endpoint {
    /// A response with our tag in To, unless there is one.
    pub(super) fn response(&self, request: &Request, status: u16, to_tag: &str) -> Response {
        let mut response = Response::to_request(request, status);
        // RFC 3261 §8.2.6.2: every response but a 100 has a To tag.
        if status != 100 {
            let to = response
                .headers
                .get(&HeaderName::To)
                .map(|to| with_tag(to, to_tag));
            if let Some(to) = to {
                response.headers.set(HeaderName::To, to);
            }
        }
        if !self.config.product.is_empty() && status != 100 {
            response
                .headers
                .set(HeaderName::Server, self.config.product.as_str());
        }
        response
    }

    /// RFC 3261 §8.2.7: the same request gets the same tag, without anything remembered.
    pub(super) fn stateless_tag(&self, request: &Request) -> String {
        #[cfg(test)]
        crate::testing::count_hash();
        let mut mac = Hmac::<Sha256>::new_from_slice(&self.tag_key).expect("HMAC takes any key");
        // What a retransmission repeats octet by octet.
        for name in [HeaderName::Via, HeaderName::From, HeaderName::CallId] {
            let value = request.headers.get(&name).unwrap_or_default();
            mac.update(value.as_bytes());
            mac.update(&[0]);
        }
        hex(&mac.finalize().into_bytes()[..8])
    }

    /// Answers without a transaction.
    pub(super) fn reply(
        &mut self,
        reply_to: Flow,
        request: &Request,
        status: u16,
        headers: impl IntoIterator<Item = (HeaderName, String)>,
    ) {
        let tag = self.stateless_tag(request);
        let mut response = self.response(request, status, &tag);
        for (name, value) in headers {
            response.headers.push(name, value);
        }
        self.reply_with(reply_to, response);
    }

    /// Answers a stranger, who is not told what program this is (RFC 3261 §20.35), and over UDP within bounds, since the
    /// address may be somebody else's. Where there is no room for several challenges there is for the last, which is the
    /// one that everybody knows.
    pub(super) fn reply_with(&mut self, reply_to: Flow, mut response: Response) {
        response.headers.remove(&HeaderName::Server);
        let room = match reply_to.transport {
            Transport::Udp => (self.asked_len * UDP_GROWTH_MAX).min(self.config.udp_response_max),
            _ => usize::MAX,
        };
        let mut packet = response.to_bytes();
        if packet.len() > room {
            let challenges = response.headers.get_all(&HeaderName::WwwAuthenticate);
            if let Some(last) = challenges.last().map(str::to_owned) {
                response.headers.set(HeaderName::WwwAuthenticate, last);
                packet = response.to_bytes();
            }
        }
        if packet.len() > room {
            self.stats.messages_dropped += 1;
            return;
        }
        self.transmit(reply_to, packet);
    }
}

/// RFC 3261 §20.33, in whole seconds and never zero.
pub(super) fn retry_after(wait: Duration) -> (HeaderName, String) {
    (HeaderName::RetryAfter, wait.as_secs().max(1).to_string())
}
