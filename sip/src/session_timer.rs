//! PURE.
//! Session timers, RFC 4028: how long a session holds without a refresh, who refreshes it, and when that is due. Does not
//! own the refreshes themselves (see `endpoint`).

use std::fmt;
use std::time::{Duration, Instant};

use crate::header::{HeaderName, Headers, Params};
use crate::message::{Request, Response};
use crate::syntax;

/// RFC 4028 §5: nobody may ask for a shorter interval than this, and Min-SE is this where it is not said.
pub(crate) const INTERVAL_S_MIN: u32 = 90;

/// A day; who asks for more gets this. Keeps arithmetic small, too.
const INTERVAL_S_MAX: u32 = 86_400;

/// RFC 4028 §10: who waits for a refresh hangs up this long before the session expires, or a third of the interval.
const GRACE_S: u32 = 32;

/// Which side of one transaction refreshes, RFC 4028 §4.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Refresher {
    Uac,
    Uas,
}

/// Value of Session-Expires.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct SessionExpires {
    pub(crate) interval_s: u32,
    pub(crate) refresher: Option<Refresher>,
}

impl SessionExpires {
    /// `None` where there is none, or none that makes sense.
    pub(crate) fn of(headers: &Headers) -> Option<SessionExpires> {
        let (interval_s, params) = seconds(headers.get(&HeaderName::SessionExpires)?)?;
        let refresher = match params.value("refresher") {
            Some(side) if side.eq_ignore_ascii_case("uac") => Some(Refresher::Uac),
            Some(side) if side.eq_ignore_ascii_case("uas") => Some(Refresher::Uas),
            _ => None,
        };
        Some(SessionExpires {
            interval_s,
            refresher,
        })
    }
}

impl fmt::Display for SessionExpires {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.interval_s)?;
        match self.refresher {
            Some(Refresher::Uac) => write!(f, ";refresher=uac"),
            Some(Refresher::Uas) => write!(f, ";refresher=uas"),
            None => Ok(()),
        }
    }
}

/// Min-SE in seconds; the least there is where it is absent. RFC 4028 §5.
pub(crate) fn min_se(headers: &Headers) -> u32 {
    let said = headers.get(&HeaderName::MinSe).and_then(seconds);
    said.map_or(INTERVAL_S_MIN, |(least_s, _)| {
        least_s.clamp(INTERVAL_S_MIN, INTERVAL_S_MAX)
    })
}

/// `1800;refresher=uac`: delta-seconds with parameters.
fn seconds(value: &str) -> Option<(u32, Params)> {
    let (number, params) = value.split_at(value.find(';').unwrap_or(value.len()));
    let number = syntax::number(syntax::trim(number), u64::from(u32::MAX))?;
    let params = match params.strip_prefix(';') {
        Some(params) => Params::parse_header(params).ok()?,
        None => Params::default(),
    };
    Some((u32::try_from(number).ok()?.min(INTERVAL_S_MAX), params))
}

/// Whether a message lists this option in Supported or Require.
pub(crate) fn knows(headers: &Headers, option: &str) -> bool {
    [HeaderName::Supported, HeaderName::Require]
        .iter()
        .any(|name| {
            headers
                .option_tags(name)
                .is_ok_and(|tags| tags.iter().any(|tag| tag.eq_ignore_ascii_case(option)))
        })
}

/// What this side wants.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Wanted {
    /// 0: no session timer unless the peer wants one.
    pub(crate) interval_s: u32,
    pub(crate) min_s: u32,
}

/// RFC 4028 §9: what a UAS makes of a request. `Err` holds the Min-SE of a 422.
pub(crate) fn agree(request: &Request, wanted: Wanted) -> Result<Option<SessionExpires>, u32> {
    let headers = &request.headers;
    let peer_knows = knows(headers, "timer");
    let least_s = min_se(headers);
    let Some(asked) = SessionExpires::of(headers) else {
        // A peer that knows nothing of this is asked by other means whether it is still there.
        let ours = peer_knows && wanted.interval_s > 0;
        return Ok(ours.then(|| SessionExpires {
            interval_s: wanted.interval_s.max(least_s),
            refresher: Some(Refresher::Uas),
        }));
    };
    let min_s = wanted.min_s.max(INTERVAL_S_MIN);
    if asked.interval_s < min_s && peer_knows {
        return Err(min_s);
    }
    let ceiling_s = match wanted.interval_s {
        0 => INTERVAL_S_MAX,
        interval_s => interval_s.max(least_s).max(min_s),
    };
    let refresher = match asked.refresher {
        Some(Refresher::Uac) if peer_knows => Refresher::Uac,
        // RFC 4028 §9, Table 2: left to us, or nobody else can.
        _ => Refresher::Uas,
    };
    Ok(Some(SessionExpires {
        interval_s: asked.interval_s.max(INTERVAL_S_MIN).min(ceiling_s),
        refresher: Some(refresher),
    }))
}

/// RFC 4028 §7.2: what a 2xx to a request of ours says. Without a word about who refreshes it is us.
pub(crate) fn agreed(response: &Response) -> Option<SessionExpires> {
    SessionExpires::of(&response.headers).map(|said| SessionExpires {
        interval_s: said.interval_s.max(INTERVAL_S_MIN),
        refresher: Some(said.refresher.unwrap_or(Refresher::Uac)),
    })
}

/// The timer of one established session.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct SessionTimer {
    pub(crate) interval_s: u32,
    pub(crate) we_refresh: bool,
    refresh_at: Instant,
    hang_up_at: Instant,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum TimerFired {
    Nothing,
    Refresh,
    /// RFC 4028 §10: BYE.
    Expired,
}

impl SessionTimer {
    /// Starts with the 2xx.
    pub(crate) fn new(now: Instant, interval_s: u32, we_refresh: bool) -> SessionTimer {
        let interval = Duration::from_secs(u64::from(interval_s));
        let grace_s = GRACE_S.min(interval_s / 3);
        SessionTimer {
            interval_s,
            we_refresh,
            // RFC 4028 §10 recommends half of the interval.
            refresh_at: now + interval / 2,
            hang_up_at: now + interval - Duration::from_secs(u64::from(grace_s)),
        }
    }

    pub(crate) fn on_timeout(&mut self, now: Instant) -> TimerFired {
        if now >= self.hang_up_at {
            return TimerFired::Expired;
        }
        if self.we_refresh && now >= self.refresh_at {
            self.postpone(now);
            return TimerFired::Refresh;
        }
        TimerFired::Nothing
    }

    /// A refresh is out, or failed for now: the next try is after half of what is left, at least a second.
    pub(crate) fn postpone(&mut self, now: Instant) {
        let left = self.hang_up_at.saturating_duration_since(now);
        self.refresh_at = now + (left / 2).max(Duration::from_secs(1));
    }

    /// Glare: try again after this long.
    pub(crate) fn retry_in(&mut self, now: Instant, wait: Duration) {
        self.refresh_at = now + wait;
    }

    pub(crate) fn next_timeout(&self) -> Instant {
        match self.we_refresh {
            true => self.refresh_at.min(self.hang_up_at),
            false => self.hang_up_at,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::method::Method;

    fn invite(headers: &[(HeaderName, &str)]) -> Request {
        let mut request = Request::new(Method::Invite, "sip:a@b".parse().expect("uri"));
        for (name, value) in headers {
            request.headers.push(name.clone(), *value);
        }
        request
    }

    /// RFC 4028 §9 and Table 2. Rows: Supported, Session-Expires, Min-SE, what we want; what is agreed.
    #[test]
    fn what_a_uas_makes_of_a_request() {
        let rows = [
            ("timer", "1800", "", 1800, Ok("1800;refresher=uas")),
            (
                "timer",
                "1800;refresher=uac",
                "",
                1800,
                Ok("1800;refresher=uac"),
            ),
            (
                "timer",
                "1800;refresher=uas",
                "",
                1800,
                Ok("1800;refresher=uas"),
            ),
            // Only a peer that knows timers can refresh.
            ("", "1800;refresher=uac", "", 1800, Ok("1800;refresher=uas")),
            ("timer", "7200", "", 1800, Ok("1800;refresher=uas")),
            ("timer", "7200", "3600", 1800, Ok("3600;refresher=uas")),
            ("timer", "7200", "", 0, Ok("7200;refresher=uas")),
            ("timer", "60", "", 1800, Err(90)),
            ("", "60", "", 1800, Ok("90;refresher=uas")),
            ("timer", "", "", 1800, Ok("1800;refresher=uas")),
            ("timer", "", "", 0, Ok("")),
            ("", "", "", 1800, Ok("")),
            ("timer", "soon", "", 1800, Ok("1800;refresher=uas")),
            (
                "timer",
                "4294967295;refresher=me",
                "",
                0,
                Ok("86400;refresher=uas"),
            ),
        ];
        for (supported, expires, min, interval_s, expected) in rows {
            let mut headers = vec![(HeaderName::Supported, supported)];
            if !expires.is_empty() {
                headers.push((HeaderName::SessionExpires, expires));
            }
            if !min.is_empty() {
                headers.push((HeaderName::MinSe, min));
            }
            let wanted = Wanted {
                interval_s,
                min_s: 90,
            };
            let got = agree(&invite(&headers), wanted);
            let got = got.map(|agreed| agreed.map_or(String::new(), |agreed| agreed.to_string()));
            assert_eq!(
                got,
                expected.map(str::to_owned),
                "{supported:?} {expires:?} {min:?} {interval_s}"
            );
        }
    }

    /// RFC 4028 §10: refreshed at half, given up a grace before the end.
    #[test]
    fn when_things_are_due() {
        let base = crate::testing::start();
        let at = |s| base + Duration::from_secs(s);
        let mut ours = SessionTimer::new(base, 1800, true);
        assert_eq!(ours.next_timeout(), at(900));
        assert_eq!(ours.on_timeout(at(899)), TimerFired::Nothing);
        assert_eq!(ours.on_timeout(at(900)), TimerFired::Refresh);
        assert_eq!(ours.on_timeout(at(901)), TimerFired::Nothing);
        assert_eq!(ours.next_timeout(), at(900 + 434));
        assert_eq!(ours.on_timeout(at(1768)), TimerFired::Expired);
        let theirs = SessionTimer::new(base, 90, false);
        assert_eq!(theirs.next_timeout(), at(60));
    }
}
