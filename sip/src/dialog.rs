//! PURE.
//! A dialog, RFC 3261 §12: who talks to whom, the route between them and the order of requests. Does not own
//! transactions, sessions or what a request means (see `invite`).

use crate::header::{Contacts, HeaderError, HeaderName, NameAddr};
use crate::message::{Request, Response};
use crate::method::Method;
use crate::uri::Uri;

/// RFC 3261 §12: Call-ID, local tag and remote tag.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct DialogId {
    pub(crate) call_id: String,
    pub(crate) local_tag: String,
    pub(crate) remote_tag: String,
}

impl DialogId {
    /// Of the dialog an arriving request names; `None` without a To tag.
    pub(crate) fn of_request(request: &Request) -> Result<Option<DialogId>, HeaderError> {
        let Some(local_tag) = request.headers.to()?.tag().map(str::to_owned) else {
            return Ok(None);
        };
        Ok(Some(DialogId {
            call_id: request.headers.call_id()?.to_owned(),
            local_tag,
            remote_tag: request.headers.from()?.tag().unwrap_or_default().to_owned(),
        }))
    }
}

#[derive(Debug, Clone)]
pub(crate) struct Dialog {
    pub(crate) id: DialogId,
    /// Raw From value of our requests, with our tag.
    pub(crate) local: String,
    /// Raw To value of our requests, with the peer's tag if it has one.
    pub(crate) remote: String,
    pub(crate) remote_target: Uri,
    /// Raw route values, nearest first.
    pub(crate) routes: Vec<String>,
    pub(crate) local_cseq: u32,
    pub(crate) remote_cseq: Option<u32>,
}

/// Route values kept from a dialog's first exchange; a longer path is no phone's.
const ROUTES_MAX: usize = 16;

impl Dialog {
    /// RFC 3261 §12.1.1: the UAS's half, from the INVITE and the To tag we give.
    pub(crate) fn uas(
        invite: &Request,
        local_tag: &str,
        local_cseq: u32,
    ) -> Result<Dialog, HeaderError> {
        let from = invite.headers.from()?;
        let contacts = invite.headers.contacts()?;
        let remote_target = first_uri(contacts).unwrap_or_else(|| from.uri.clone());
        Ok(Dialog {
            id: DialogId {
                call_id: invite.headers.call_id()?.to_owned(),
                local_tag: local_tag.to_owned(),
                remote_tag: from.tag().unwrap_or_default().to_owned(),
            },
            local: with_tag(
                invite.headers.get(&HeaderName::To).unwrap_or_default(),
                local_tag,
            ),
            remote: invite
                .headers
                .get(&HeaderName::From)
                .unwrap_or_default()
                .to_owned(),
            remote_target,
            routes: invite
                .headers
                .record_routes()?
                .iter()
                .take(ROUTES_MAX)
                .map(ToString::to_string)
                .collect(),
            local_cseq,
            remote_cseq: Some(invite.headers.cseq()?.number),
        })
    }

    /// RFC 3261 §12.1.2: the UAC's half, from the INVITE and a response that carries a To tag.
    pub(crate) fn uac(invite: &Request, response: &Response) -> Result<Dialog, HeaderError> {
        let contacts = response.headers.contacts()?;
        let remote_target = first_uri(contacts).unwrap_or_else(|| invite.uri.clone());
        let routes = routes_of(response)?;
        Ok(Dialog {
            id: DialogId {
                call_id: invite.headers.call_id()?.to_owned(),
                local_tag: invite.headers.from()?.tag().unwrap_or_default().to_owned(),
                remote_tag: response.headers.to()?.tag().unwrap_or_default().to_owned(),
            },
            local: invite
                .headers
                .get(&HeaderName::From)
                .unwrap_or_default()
                .to_owned(),
            remote: response
                .headers
                .get(&HeaderName::To)
                .unwrap_or_default()
                .to_owned(),
            remote_target,
            routes,
            local_cseq: invite.headers.cseq()?.number,
            remote_cseq: None,
        })
    }

    /// RFC 3261 §13.2.2.4: the 2xx of a branch that rang before settles its route and target; the numbers go on.
    pub(crate) fn confirm(&mut self, response: &Response) -> Result<(), HeaderError> {
        self.routes = routes_of(response)?;
        self.remote = response
            .headers
            .get(&HeaderName::To)
            .unwrap_or(&self.remote)
            .to_owned();
        self.refresh_from(response);
        Ok(())
    }

    /// RFC 3261 §12.2.2: false if the request is older than one already seen. An equal number is a retransmission that
    /// no transaction knows any more, and just as late.
    pub(crate) fn accept_cseq(&mut self, cseq: u32) -> bool {
        if self.remote_cseq.is_some_and(|last| cseq <= last) {
            return false;
        }
        self.remote_cseq = Some(cseq);
        true
    }

    /// RFC 3261 §12.2.1.2 and §12.2.2: a target refresh names where the peer is now.
    pub(crate) fn refresh_target(&mut self, target: Option<&Uri>) {
        if let Some(target) = target {
            self.remote_target = target.clone();
        }
    }

    /// The same, from the 2xx to a request of ours that asked for it.
    pub(crate) fn refresh_from(&mut self, response: &Response) {
        if let Ok(contacts) = response.headers.contacts() {
            self.refresh_target(first_uri(contacts).as_ref());
        }
    }

    /// RFC 3261 §12.2.1.1: the number of the next request of ours.
    pub(crate) fn next_cseq(&mut self) -> u32 {
        self.local_cseq += 1;
        self.local_cseq
    }

    /// RFC 3261 §12.2.1.1: the next request of ours, without Via, Contact and body.
    pub(crate) fn request(&mut self, method: Method) -> Request {
        let cseq = self.next_cseq();
        self.request_numbered(method, cseq)
    }

    /// RFC 3261 §13.2.2.4: the ACK for a 2xx, which bears the INVITE's number.
    pub(crate) fn ack(&self, invite_cseq: u32) -> Request {
        self.request_numbered(Method::Ack, invite_cseq)
    }

    fn request_numbered(&self, method: Method, cseq: u32) -> Request {
        let mut request = Request::new(method.clone(), self.remote_target.clone());
        let mut routes = self.routes.clone();
        // RFC 3261 §12.2.1.1: a strict router (no `lr`) wants itself in the Request-URI and the target last.
        if let Some(first) = self.routes.first().and_then(|route| route_uri(route))
            && first.param("lr").is_none()
        {
            routes.remove(0);
            routes.push(format!("<{}>", self.remote_target));
            request.uri = first;
        }
        for route in &routes {
            request.headers.push(HeaderName::Route, route.as_str());
        }
        request.headers.push(HeaderName::MaxForwards, "70");
        request.headers.push(HeaderName::From, self.local.as_str());
        request.headers.push(HeaderName::To, self.remote.as_str());
        request
            .headers
            .push(HeaderName::CallId, self.id.call_id.as_str());
        request
            .headers
            .push(HeaderName::CSeq, format!("{cseq} {method}"));
        request
    }
}

/// RFC 3261 §12.1.2: the callee's Record-Route, reversed.
fn routes_of(response: &Response) -> Result<Vec<String>, HeaderError> {
    let mut routes: Vec<String> = response
        .headers
        .record_routes()?
        .iter()
        .take(ROUTES_MAX)
        .map(ToString::to_string)
        .collect();
    routes.reverse();
    Ok(routes)
}

fn first_uri(contacts: Contacts) -> Option<Uri> {
    match contacts {
        Contacts::Star => None,
        Contacts::List(list) => list.into_iter().next().map(|contact| contact.uri),
    }
}

fn route_uri(route: &str) -> Option<Uri> {
    NameAddr::parse(route).ok().map(|route| route.uri)
}

/// A raw From or To value with a tag, if it has none.
pub(crate) fn with_tag(value: &str, tag: &str) -> String {
    // Where the only closing bracket ends the value, no parameters follow it.
    if value.ends_with('>') && value.bytes().filter(|byte| *byte == b'>').count() == 1 {
        return format!("{value};tag={tag}");
    }
    match NameAddr::parse(value) {
        Ok(address) if address.tag().is_some() => value.to_owned(),
        _ => format!("{value};tag={tag}"),
    }
}
