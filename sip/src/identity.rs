//! PURE.
//! Who calls, and who sent the call on, as headers say it: P-Asserted-Identity and P-Preferred-Identity (RFC 3325),
//! Privacy (RFC 3323), Remote-Party-ID (a draft that trunks still speak), Diversion (RFC 5806), History-Info (RFC 7044).
//!
//! Does not own whom to believe: these headers are read only where the endpoint knows the sender for a trunk. What an
//! account says of itself is never read; its name is its identity.

use crate::header::{HeaderName, Headers, NameAddr, Params};
use crate::syntax;
use crate::uri::{Host, Scheme, Uri};

/// Identities, diversions and history entries that are looked at in one message.
const ENTRIES_MAX: usize = 32;

const REMOTE_PARTY_ID: &str = "Remote-Party-ID";

/// Hosts for those who do not say who they are, RFC 3323 §4.1.1.3.
const ANONYMOUS_HOST: &str = "anonymous.invalid";

/// The caller as a trusted sender states it: what it asserts, else From; anonymous where the caller asked for privacy
/// of the identity, or withheld it. Without a tag.
pub fn trusted_caller(headers: &Headers) -> Option<NameAddr> {
    let mut from = headers.from().ok()?;
    from.params = Params::default();
    if withholds(headers) || is_anonymous(&from.uri) {
        return Some(anonymous());
    }
    let asserted = asserted(headers).or_else(|| remote_party(headers));
    Some(match asserted {
        Some(mut asserted) => {
            asserted.params = Params::default();
            // A number asserted without a name leaves the name that From gives.
            asserted.display = asserted.display.or(from.display);
            asserted
        }
        None => from,
    })
}

/// RFC 3325 §9.1: up to one SIP URI and one tel URI; the SIP one says more.
fn asserted(headers: &Headers) -> Option<NameAddr> {
    let name = HeaderName::PAssertedIdentity;
    let values = headers.values(&name, ENTRIES_MAX).ok()?;
    let read: Vec<NameAddr> = values
        .into_iter()
        .filter_map(|value| NameAddr::parse(value).ok())
        .collect();
    let usable =
        |identity: &&NameAddr| identity.uri.scheme.is_sip() || identity.uri.scheme == Scheme::Tel;
    let sip = read
        .iter()
        .find(|identity| identity.uri.scheme.is_sip() && identity.uri.user.is_some());
    sip.or_else(|| read.iter().find(usable)).cloned()
}

fn remote_party(headers: &Headers) -> Option<NameAddr> {
    let name = HeaderName::from(REMOTE_PARTY_ID);
    let values = headers.values(&name, ENTRIES_MAX).ok()?;
    let mut read = values
        .into_iter()
        .filter_map(|value| NameAddr::parse(value).ok());
    read.find(|party| {
        party
            .params
            .value("party")
            .is_none_or(|party| party.eq_ignore_ascii_case("calling"))
    })
}

/// RFC 3323 §4.2 and RFC 3325 §9.3: the caller does not want to be named to the callee.
pub fn withholds(headers: &Headers) -> bool {
    let wanted = headers
        .get_all(&HeaderName::Privacy)
        .flat_map(|line| line.split([';', ',']))
        .any(|value| {
            ["id", "user", "header"]
                .iter()
                .any(|kind| syntax::trim(value).eq_ignore_ascii_case(kind))
        });
    let party = headers
        .get(&HeaderName::from(REMOTE_PARTY_ID))
        .and_then(|line| NameAddr::parse(line).ok())
        .and_then(|party| party.params.value("privacy"))
        .is_some_and(|privacy| !privacy.eq_ignore_ascii_case("off"));
    wanted || party
}

/// Whether a URI names nobody, RFC 3323 §4.1.1.3, or as phones and trunks write it.
pub fn is_anonymous(uri: &Uri) -> bool {
    let user = uri.user_decoded().unwrap_or_default().to_ascii_lowercase();
    uri.host == Host::Name(ANONYMOUS_HOST.to_owned())
        || matches!(
            user.as_str(),
            "anonymous" | "restricted" | "unavailable" | "unknown"
        )
}

/// From for a caller who stays unnamed, RFC 3323 §4.1.1.3.
pub fn anonymous() -> NameAddr {
    let host = Host::Name(ANONYMOUS_HOST.to_owned());
    NameAddr {
        display: Some("Anonymous".to_owned()),
        ..NameAddr::new(Uri::sip(Some("anonymous"), host, None))
    }
}

/// Who sent the call on last, as the user part of a URI: RFC 5806 has the newest Diversion first; RFC 7044 §5.1 the
/// newest entry of History-Info last, with the cause on the one that was turned to.
pub fn diverted_by(headers: &Headers) -> Option<String> {
    let user = |text: &str| NameAddr::parse(text).ok()?.uri.user_decoded();
    let diversions = headers
        .values(&HeaderName::Diversion, ENTRIES_MAX)
        .unwrap_or_default();
    if let Some(user) = diversions.first().and_then(|value| user(value)) {
        return Some(user);
    }
    let history = headers.values(&HeaderName::HistoryInfo, ENTRIES_MAX).ok()?;
    let caused = history.iter().rposition(|entry| {
        NameAddr::parse(entry).is_ok_and(|entry| entry.uri.param("cause").is_some())
    })?;
    history[..caused].last().and_then(|value| user(value))
}

/// Why a call was sent on, RFC 5806 §4 and RFC 4458 §3.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DivertedWhy {
    Always,
    Busy,
    NoAnswer,
    Unreachable,
    /// The person who was called sent it on by hand.
    Deflected,
}

impl DivertedWhy {
    fn reason(self) -> &'static str {
        match self {
            DivertedWhy::Always => "unconditional",
            DivertedWhy::Busy => "user-busy",
            DivertedWhy::NoAnswer => "no-answer",
            DivertedWhy::Unreachable => "unavailable",
            DivertedWhy::Deflected => "deflection",
        }
    }

    fn cause(self) -> u16 {
        match self {
            DivertedWhy::Always => 302,
            DivertedWhy::Busy => 486,
            DivertedWhy::NoAnswer => 408,
            DivertedWhy::Unreachable => 503,
            DivertedWhy::Deflected => 480,
        }
    }
}

/// Headers for a call that `by` sent on to `target`: both forms, since trunks read one or the other (RFC 7544).
pub fn diversion(by: &Uri, target: &Uri, why: DivertedWhy) -> Vec<(HeaderName, String)> {
    let mut turned = target.clone();
    turned.params.set("cause", Some(&why.cause().to_string()));
    vec![
        (
            HeaderName::Diversion,
            format!("<{by}>;reason={};counter=1;privacy=off", why.reason()),
        ),
        (
            HeaderName::HistoryInfo,
            format!("<{by}>;index=1, <{turned}>;index=1.1;mp=1"),
        ),
    ]
}

/// Where a trunk wants the caller's number.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum IdentityForm {
    /// In From, as if the number were the account.
    #[default]
    From,
    /// The account in From, the number in P-Asserted-Identity.
    Asserted,
    /// The account in From, the number in P-Preferred-Identity.
    Preferred,
}

/// Who calls a trunk through us.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CallerId {
    /// As the trunk wants it, `+4930123456` mostly; an extension where the trunk is another PBX.
    pub number: String,
    pub display: Option<String>,
    pub is_withheld: bool,
}

impl CallerId {
    /// From (without a tag) and further headers for a call to a trunk. `domain` is the trunk's; `account` the user name
    /// we have there, if any.
    pub fn write(
        &self,
        form: IdentityForm,
        domain: &Host,
        account: Option<&str>,
    ) -> (NameAddr, Vec<(HeaderName, String)>) {
        let address = |user: &str| NameAddr {
            display: self.display.clone(),
            ..NameAddr::new(Uri::sip(Some(user), domain.clone(), None))
        };
        let own = address(&self.number);
        let mut headers = Vec::new();
        let stated = match form {
            IdentityForm::Asserted => Some(HeaderName::PAssertedIdentity),
            IdentityForm::Preferred => Some(HeaderName::PPreferredIdentity),
            // RFC 3325 §9.2: with From empty of a name, the trunk must still be told whose call it is.
            IdentityForm::From if self.is_withheld => Some(HeaderName::PPreferredIdentity),
            IdentityForm::From => None,
        };
        if let Some(name) = stated {
            headers.push((name, own.to_string()));
        }
        if self.is_withheld {
            headers.push((HeaderName::Privacy, "id".to_owned()));
            return (anonymous(), headers);
        }
        let from = match (form, account) {
            (IdentityForm::From, _) | (_, None) => own,
            (_, Some(account)) => address(account),
        };
        (from, headers)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(lines: &str) -> Headers {
        let mut headers = Headers::new();
        for line in lines.lines() {
            let (name, value) = line.split_once(": ").expect("a header");
            headers.push(HeaderName::from(name), value);
        }
        headers
    }

    #[test]
    fn callers_a_trunk_vouches_for() {
        const ANONYMOUS: &str = "\"Anonymous\" <sip:anonymous@anonymous.invalid>";
        let table = [
            ("From: \"Ada\" <sip:123@t>;tag=1", "\"Ada\" <sip:123@t>"),
            (
                "From: \"Ada\" <sip:account@t>;tag=1\nP-Asserted-Identity: <sip:+49301@t>, <tel:+49301>",
                "\"Ada\" <sip:+49301@t>",
            ),
            (
                "From: <sip:account@t>\nP-Asserted-Identity: <tel:+49301>\nP-Asserted-Identity: \"A\" <sip:+49302@t>;x=y",
                "\"A\" <sip:+49302@t>",
            ),
            (
                "From: <sip:account@t>\nP-Asserted-Identity: <tel:+49301>",
                "<tel:+49301>",
            ),
            (
                "From: <sip:account@t>\nP-Asserted-Identity: <http://x>",
                "<sip:account@t>",
            ),
            (
                "From: <sip:account@t>\nP-Asserted-Identity: \"",
                "<sip:account@t>",
            ),
            (
                "From: <sip:account@t>\nRemote-Party-ID: <sip:55@t>;party=called, <sip:66@t>;party=calling;privacy=off",
                "<sip:66@t>",
            ),
            (
                "From: <sip:123@t>\nP-Asserted-Identity: <sip:+49301@t>\nPrivacy: id",
                ANONYMOUS,
            ),
            ("From: <sip:123@t>\nPrivacy: critical;USER", ANONYMOUS),
            ("From: <sip:123@t>\nPrivacy: none", "<sip:123@t>"),
            (
                "From: <sip:123@t>\nRemote-Party-ID: <sip:66@t>;privacy=full",
                ANONYMOUS,
            ),
            (
                "From: <sip:Anonymous@t>\nP-Asserted-Identity: <sip:1@t>",
                ANONYMOUS,
            ),
            ("From: <sip:1@anonymous.invalid>", ANONYMOUS),
        ];
        for (lines, expected) in table {
            let caller = trusted_caller(&headers(lines)).expect("a caller");
            assert_eq!(caller.to_string(), expected, "{lines}");
        }
        assert_eq!(trusted_caller(&headers("To: <sip:a@b>")), None);
    }

    #[test]
    fn who_sent_the_call_on() {
        let table = [
            (
                "Diversion: <sip:200@t>;reason=user-busy, <sip:100@t>;reason=no-answer",
                Some("200"),
            ),
            (
                "History-Info: <sip:100@t>;index=1, <sip:200@t;cause=486>;index=1.1",
                Some("100"),
            ),
            (
                "History-Info: <sip:1@t>;index=1\nHistory-Info: <sip:2@t;cause=302>;index=1.1, <sip:3@t;cause=408>;index=1.2",
                Some("2"),
            ),
            ("History-Info: <sip:100@t>;index=1", None),
            ("History-Info: <sip:100@t;cause=302>;index=1", None),
            ("Diversion: \"", None),
            ("From: <sip:a@b>", None),
        ];
        for (lines, expected) in table {
            assert_eq!(diverted_by(&headers(lines)).as_deref(), expected, "{lines}");
        }
        let (by, target) = (
            "sip:100@h".parse().expect("URI"),
            "sip:9@t".parse().expect("URI"),
        );
        let mut own = Headers::new();
        for (name, value) in diversion(&by, &target, DivertedWhy::Busy) {
            own.push(name, value);
        }
        assert_eq!(diverted_by(&own).as_deref(), Some("100"));
        own.remove(&HeaderName::Diversion);
        assert_eq!(diverted_by(&own).as_deref(), Some("100"));
    }

    #[test]
    fn what_a_trunk_is_told() {
        let domain = Host::Name("t.example".to_owned());
        let own = |is_withheld| CallerId {
            number: "+49301".to_owned(),
            display: Some("Ada".to_owned()),
            is_withheld,
        };
        let table = [
            (
                IdentityForm::From,
                false,
                "\"Ada\" <sip:+49301@t.example>",
                vec![],
            ),
            (
                IdentityForm::Asserted,
                false,
                "\"Ada\" <sip:acc@t.example>",
                vec!["P-Asserted-Identity: \"Ada\" <sip:+49301@t.example>"],
            ),
            (
                IdentityForm::Preferred,
                true,
                "\"Anonymous\" <sip:anonymous@anonymous.invalid>",
                vec![
                    "P-Preferred-Identity: \"Ada\" <sip:+49301@t.example>",
                    "Privacy: id",
                ],
            ),
            (
                IdentityForm::From,
                true,
                "\"Anonymous\" <sip:anonymous@anonymous.invalid>",
                vec![
                    "P-Preferred-Identity: \"Ada\" <sip:+49301@t.example>",
                    "Privacy: id",
                ],
            ),
        ];
        for (form, withheld, from, further) in table {
            let (address, headers) = own(withheld).write(form, &domain, Some("acc"));
            assert_eq!(address.to_string(), from, "{form:?}");
            let lines: Vec<String> = headers
                .iter()
                .map(|(name, value)| format!("{name}: {value}"))
                .collect();
            assert_eq!(lines, further, "{form:?} {withheld}");
        }
        let (from, _) = own(false).write(IdentityForm::Asserted, &domain, None);
        assert_eq!(from.to_string(), "\"Ada\" <sip:+49301@t.example>");
    }
}
