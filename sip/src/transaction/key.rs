//! PURE.
//! How a message finds its transaction: RFC 3261 §17.1.3 for responses, §17.2.3 for requests, and §8.2.2.2 for requests
//! that arrive twice by different ways.

use crate::header::{CSeq, HeaderError, Via};
use crate::message::Request;
use crate::method::Method;

/// RFC 3261 §8.1.1.7: a branch that starts so is unique across space and time.
pub(crate) const MAGIC_COOKIE: &str = "z9hG4bK";

/// RFC 3261 §17.2.3. An ACK has the key of the INVITE it may belong to.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) enum ServerKey {
    Branch {
        branch: String,
        sent_by: String,
        method: Method,
    },
    /// A peer older than RFC 3261: the whole of what stays the same over a retransmission. The To tag of an ACK is that
    /// of our response, so it takes no part.
    Legacy {
        request_uri: String,
        from_tag: String,
        call_id: String,
        cseq: u32,
        via: String,
        method: Method,
    },
}

/// ACK belongs to the INVITE; anything else, CANCEL too, stands for itself.
fn keyed_method(method: &Method) -> Method {
    match method {
        Method::Ack => Method::Invite,
        other => other.clone(),
    }
}

fn sent_by(via: &Via) -> String {
    format!(
        "{}:{}",
        via.host.to_string().to_ascii_lowercase(),
        via.port.unwrap_or(5060)
    )
}

impl ServerKey {
    pub(crate) fn of(request: &Request) -> Result<ServerKey, HeaderError> {
        ServerKey::with_method(request, keyed_method(&request.method))
    }

    /// RFC 3261 §9.2: the INVITE a CANCEL wants to stop has the same key but for the method.
    pub(crate) fn of_cancelled_invite(cancel: &Request) -> Result<ServerKey, HeaderError> {
        ServerKey::with_method(cancel, Method::Invite)
    }

    fn with_method(request: &Request, method: Method) -> Result<ServerKey, HeaderError> {
        let via = request.headers.top_via()?;
        match via.branch() {
            Some(branch) if has_cookie(branch) => Ok(ServerKey::Branch {
                branch: branch.to_owned(),
                sent_by: sent_by(&via),
                method,
            }),
            branch => Ok(ServerKey::Legacy {
                request_uri: request.uri.to_string(),
                from_tag: request.headers.from()?.tag().unwrap_or_default().to_owned(),
                call_id: request.headers.call_id()?.to_owned(),
                cseq: request.headers.cseq()?.number,
                via: format!("{};{}", sent_by(&via), branch.unwrap_or_default()),
                method,
            }),
        }
    }
}

fn has_cookie(branch: &str) -> bool {
    branch
        .get(..MAGIC_COOKIE.len())
        .is_some_and(|start| start.eq_ignore_ascii_case(MAGIC_COOKIE))
        && branch.len() > MAGIC_COOKIE.len()
}

/// RFC 3261 §8.2.2.2: same From tag, Call-ID and CSeq without a To tag, yet another branch.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct MergeKey {
    from_tag: String,
    call_id: String,
    cseq: u32,
    method: Method,
}

impl MergeKey {
    /// `None` inside a dialog, where there is nothing to merge.
    pub(crate) fn of(request: &Request) -> Result<Option<MergeKey>, HeaderError> {
        if request.headers.to()?.tag().is_some() {
            return Ok(None);
        }
        Ok(Some(MergeKey {
            from_tag: request.headers.from()?.tag().unwrap_or_default().to_owned(),
            call_id: request.headers.call_id()?.to_owned(),
            cseq: request.headers.cseq()?.number,
            method: request.method.clone(),
        }))
    }
}

/// RFC 3261 §17.1.3: our branches are unique, the method tells a CANCEL from the INVITE it stops.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct ClientKey {
    pub(crate) branch: String,
    pub(crate) method: Method,
}

impl ClientKey {
    pub(crate) fn of_response(via: &Via, cseq: &CSeq) -> Option<ClientKey> {
        Some(ClientKey {
            branch: via.branch()?.to_owned(),
            method: cseq.method.clone(),
        })
    }
}
