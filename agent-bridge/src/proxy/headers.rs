//! Which header fields go through a proxy and which end at it. RFC 9110 section 7.6.1.
//! PURE.

use reqwest::header::{
    ACCEPT_ENCODING, AUTHORIZATION, CONNECTION, CONTENT_LENGTH, HOST, HeaderMap, HeaderName,
};

const HOP_BY_HOP: [&str; 8] = [
    "connection",
    "keep-alive",
    "proxy-authenticate",
    "proxy-authorization",
    "proxy-connection",
    "te",
    "transfer-encoding",
    "upgrade",
];

/// The fields without those that speak of one connection only.
pub fn end_to_end(headers: &HeaderMap) -> HeaderMap {
    let named: Vec<String> = headers
        .get_all(CONNECTION)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .map(|name| name.trim().to_ascii_lowercase())
        .collect();
    let passes = |name: &HeaderName| {
        !HOP_BY_HOP.contains(&name.as_str()) && !named.iter().any(|hop| hop == name.as_str())
    };
    headers
        .iter()
        .filter(|(name, _)| passes(name))
        .map(|(name, value)| (name.clone(), value.clone()))
        .collect()
}

/// What of a request's fields is sent on: not whom it was for, nor our own token. `is_read`: we read the answer, so it must
/// come as it is.
pub fn onward(headers: &HeaderMap, is_read: bool) -> HeaderMap {
    let mut onward = end_to_end(headers);
    for name in [HOST, AUTHORIZATION, CONTENT_LENGTH] {
        onward.remove(name);
    }
    if is_read {
        onward.remove(ACCEPT_ENCODING);
    }
    onward
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_way_stays_behind() {
        let mut headers = HeaderMap::new();
        for (name, value) in [
            ("host", "127.0.0.1:1"),
            ("connection", "keep-alive, X-Hop"),
            ("x-hop", "1"),
            ("keep-alive", "timeout=5"),
            ("transfer-encoding", "chunked"),
            ("authorization", "Bearer ours"),
            ("content-length", "3"),
            ("accept-encoding", "gzip"),
            ("x-many", "a"),
            ("x-many", "b"),
            ("traceparent", "00-1"),
        ] {
            let name: HeaderName = name.parse().expect("a name");
            headers.append(name, value.parse().expect("a value"));
        }
        let names = |headers: &HeaderMap| {
            let mut names: Vec<_> = headers.keys().map(|name| name.to_string()).collect();
            names.sort();
            names.join(" ")
        };
        assert_eq!(
            names(&onward(&headers, false)),
            "accept-encoding traceparent x-many"
        );
        assert_eq!(names(&onward(&headers, true)), "traceparent x-many");
        assert_eq!(onward(&headers, true).get_all("x-many").iter().count(), 2);
        assert!(end_to_end(&headers).contains_key("content-length"));
    }
}
