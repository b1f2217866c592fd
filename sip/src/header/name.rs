//! PURE.
//! Header names: the registered ones we know, their compact forms (RFC 3261 §7.3.3), and which may occur only once.

use std::fmt;
use std::hash::{Hash, Hasher};

macro_rules! header_names {
    ($($variant:ident = $name:literal $(/ $compact:literal)?),+ $(,)?) => {
        /// A header's name. Compares without regard to case; compact forms become the long ones.
        #[derive(Debug, Clone)]
        pub enum HeaderName {
            $($variant,)+
            /// Any other token, printed back as it came.
            Other(String),
        }

        impl HeaderName {
            pub fn as_str(&self) -> &str {
                match self {
                    $(HeaderName::$variant => $name,)+
                    HeaderName::Other(name) => name,
                }
            }
        }

        impl From<&str> for HeaderName {
            fn from(text: &str) -> HeaderName {
                $(
                    if text.eq_ignore_ascii_case($name) $(|| text.eq_ignore_ascii_case($compact))? {
                        return HeaderName::$variant;
                    }
                )+
                HeaderName::Other(text.to_owned())
            }
        }
    };
}

header_names! {
    // The ones every message carries come first: names are looked up in this order.
    Via = "Via" / "v",
    From = "From" / "f",
    To = "To" / "t",
    CallId = "Call-ID" / "i",
    CSeq = "CSeq",
    Contact = "Contact" / "m",
    MaxForwards = "Max-Forwards",
    ContentLength = "Content-Length" / "l",
    ContentType = "Content-Type" / "c",
    Allow = "Allow",
    Supported = "Supported" / "k",
    UserAgent = "User-Agent",
    Expires = "Expires",
    Authorization = "Authorization",
    ProxyAuthorization = "Proxy-Authorization",
    WwwAuthenticate = "WWW-Authenticate",
    ProxyAuthenticate = "Proxy-Authenticate",
    AuthenticationInfo = "Authentication-Info",
    Route = "Route",
    RecordRoute = "Record-Route",
    Server = "Server",
    Require = "Require",
    ProxyRequire = "Proxy-Require",
    Unsupported = "Unsupported",
    Accept = "Accept",
    AcceptContact = "Accept-Contact" / "a",
    AcceptEncoding = "Accept-Encoding",
    AcceptLanguage = "Accept-Language",
    AlertInfo = "Alert-Info",
    AllowEvents = "Allow-Events" / "u",
    CallInfo = "Call-Info",
    ContentDisposition = "Content-Disposition",
    ContentEncoding = "Content-Encoding" / "e",
    ContentLanguage = "Content-Language",
    Date = "Date",
    Diversion = "Diversion",
    ErrorInfo = "Error-Info",
    Event = "Event" / "o",
    HistoryInfo = "History-Info",
    Identity = "Identity" / "y",
    InfoPackage = "Info-Package",
    InReplyTo = "In-Reply-To",
    MimeVersion = "MIME-Version",
    MinExpires = "Min-Expires",
    MinSe = "Min-SE",
    Organization = "Organization",
    PAssertedIdentity = "P-Asserted-Identity",
    PPreferredIdentity = "P-Preferred-Identity",
    Path = "Path",
    Priority = "Priority",
    Privacy = "Privacy",
    RAck = "RAck",
    Reason = "Reason",
    RecvInfo = "Recv-Info",
    ReferTo = "Refer-To" / "r",
    ReferredBy = "Referred-By" / "b",
    RejectContact = "Reject-Contact" / "j",
    Replaces = "Replaces",
    ReplyTo = "Reply-To",
    RequestDisposition = "Request-Disposition" / "d",
    RetryAfter = "Retry-After",
    RSeq = "RSeq",
    ServiceRoute = "Service-Route",
    SessionExpires = "Session-Expires" / "x",
    SipEtag = "SIP-ETag",
    SipIfMatch = "SIP-If-Match",
    Subject = "Subject" / "s",
    SubscriptionState = "Subscription-State",
    Timestamp = "Timestamp",
    Warning = "Warning",
}

impl HeaderName {
    /// RFC 3261 §7.3.1 and Table 2: the header has one value, so a second line of it is an error.
    pub fn is_single(&self) -> bool {
        use HeaderName::*;
        matches!(
            self,
            From | To
                | CallId
                | CSeq
                | MaxForwards
                | ContentLength
                | ContentType
                | ContentDisposition
                | Date
                | Event
                | Expires
                | MimeVersion
                | MinExpires
                | MinSe
                | Organization
                | Priority
                | RAck
                | ReferTo
                | ReferredBy
                | Replaces
                | ReplyTo
                | RetryAfter
                | RSeq
                | Server
                | SessionExpires
                | SipEtag
                | SipIfMatch
                | Subject
                | SubscriptionState
                | Timestamp
                | UserAgent
        )
    }

    /// The value proves or could prove knowledge of a password: it never goes into a log.
    pub fn is_secret(&self) -> bool {
        matches!(
            self,
            HeaderName::Authorization
                | HeaderName::ProxyAuthorization
                | HeaderName::AuthenticationInfo
        )
    }
}

impl PartialEq for HeaderName {
    fn eq(&self, other: &HeaderName) -> bool {
        match (self, other) {
            (HeaderName::Other(a), HeaderName::Other(b)) => a.eq_ignore_ascii_case(b),
            _ => std::mem::discriminant(self) == std::mem::discriminant(other),
        }
    }
}

impl Eq for HeaderName {}

impl Hash for HeaderName {
    fn hash<H: Hasher>(&self, state: &mut H) {
        match self {
            HeaderName::Other(name) => name.to_ascii_lowercase().hash(state),
            known => std::mem::discriminant(known).hash(state),
        }
    }
}

impl fmt::Display for HeaderName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}
