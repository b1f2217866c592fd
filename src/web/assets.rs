//! The files of the page: in the program, compressed once, named by their contents so that a browser asks again only
//! whether they changed (RFC 9110 section 13.1.2).

use std::io::Write as _;
use std::sync::OnceLock;

use axum::Router;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use flate2::Compression;
use flate2::write::GzEncoder;

use super::{Page, sessions};

/// Path, kind, text.
const FILES: &[(&str, &str, &str)] = &[
    ("/", HTML, include_str!("assets/index.html")),
    ("/assets/style.css", CSS, include_str!("assets/style.css")),
    ("/assets/app.js", JS, include_str!("assets/app.js")),
    ("/assets/dom.js", JS, include_str!("assets/dom.js")),
    ("/assets/chat.js", JS, include_str!("assets/chat.js")),
    ("/assets/voice.js", JS, include_str!("assets/voice.js")),
    ("/assets/dial.js", JS, include_str!("assets/dial.js")),
    ("/assets/phone.js", JS, include_str!("assets/phone.js")),
    ("/assets/calls.js", JS, include_str!("assets/calls.js")),
    ("/assets/house.js", JS, include_str!("assets/house.js")),
    ("/assets/connect.js", JS, include_str!("assets/connect.js")),
    ("/assets/icon.svg", SVG, include_str!("assets/icon.svg")),
    (
        "/manifest.webmanifest",
        MANIFEST,
        include_str!("assets/manifest.webmanifest"),
    ),
];

const HTML: &str = "text/html; charset=utf-8";
const CSS: &str = "text/css; charset=utf-8";
const JS: &str = "text/javascript; charset=utf-8";
const SVG: &str = "image/svg+xml";
const MANIFEST: &str = "application/manifest+json";

struct Packed {
    plain: &'static str,
    gzip: Vec<u8>,
    kind: &'static str,
    /// An entity tag, quoted.
    tag: String,
}

fn packed(at: usize) -> &'static Packed {
    static ALL: OnceLock<Vec<Packed>> = OnceLock::new();
    let all = ALL.get_or_init(|| {
        let pack = |&(_, kind, plain): &(&str, &'static str, &'static str)| {
            let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
            // Writing into a Vec does not fail; if it did, the plain text would be sent.
            let gzip = encoder
                .write_all(plain.as_bytes())
                .and_then(|()| encoder.finish());
            let hash = sessions::hash(plain);
            Packed {
                plain,
                gzip: gzip.unwrap_or_default(),
                kind,
                tag: format!("\"{}\"", &hash[..20]),
            }
        };
        FILES.iter().map(pack).collect()
    });
    &all[at]
}

pub(super) fn routes() -> Router<Page> {
    let mut router = Router::new();
    for (at, (path, _, _)) in FILES.iter().enumerate() {
        router = router.route(
            path,
            get(move |headers: HeaderMap| async move { answer(at, &headers) }),
        );
    }
    router
}

fn answer(at: usize, headers: &HeaderMap) -> Response {
    let file = packed(at);
    let has = |name: header::HeaderName, wanted: &str| {
        let values = headers.get_all(name).into_iter();
        let mut texts = values.filter_map(|value| value.to_str().ok());
        texts.any(|text| {
            let mut words = text
                .split(',')
                .map(|word| word.split(';').next().unwrap_or("").trim());
            words.any(|word| word.trim_start_matches("W/") == wanted)
        })
    };
    let common = [
        (header::ETAG, file.tag.as_str()),
        (header::CACHE_CONTROL, "no-cache"),
        (header::VARY, "Accept-Encoding"),
    ];
    if has(header::IF_NONE_MATCH, &file.tag) {
        return (StatusCode::NOT_MODIFIED, common).into_response();
    }
    let kind = [(header::CONTENT_TYPE, file.kind)];
    if has(header::ACCEPT_ENCODING, "gzip") && !file.gzip.is_empty() {
        let encoding = [(header::CONTENT_ENCODING, "gzip")];
        return (common, kind, encoding, file.gzip.as_slice()).into_response();
    }
    (common, kind, file.plain).into_response()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What the page may weigh, compressed.
    const BYTES_MAX: usize = 150 * 1024;

    #[test]
    fn the_page_is_light() {
        let bytes: usize = (0..FILES.len()).map(|at| packed(at).gzip.len()).sum();
        println!(
            "the page: {bytes} bytes compressed in {} files",
            FILES.len()
        );
        assert!(bytes <= BYTES_MAX, "{bytes}");
    }

    #[test]
    fn nothing_in_the_page_is_inline_or_from_elsewhere() {
        for (path, kind, text) in FILES {
            let is_html = *kind == HTML;
            for (wrong, why) in [
                (" style=\"", "an inline style"),
                (" onclick=", "an inline handler"),
                ("<style", "an inline style"),
                ("javascript:", "an inline script"),
            ] {
                assert!(!(is_html && text.contains(wrong)), "{path}: {why}");
            }
            // A host, and not only the beginning of an address; but for the name of SVG's elements.
            let is_foreign = |(at, _): &(usize, &str)| {
                let (before, host) = (&text[..*at], &text[at + 3..]);
                let is_web = before.ends_with("http") || before.ends_with("https");
                let is_host = host.starts_with(|first: char| first.is_ascii_alphanumeric());
                is_web && is_host && !host.starts_with("www.w3.org/")
            };
            let foreign = text.match_indices("://").find(is_foreign);
            assert_eq!(foreign, None, "{path} names another host");
            for markup in [
                "innerHTML",
                "outerHTML",
                "insertAdjacentHTML",
                "document.write",
                "createContextualFragment",
                "srcdoc",
                "setHTML",
                "eval(",
            ] {
                assert!(
                    !text.contains(markup),
                    "{path}: {markup}: words may not become markup"
                );
            }
        }
    }

    #[test]
    fn a_browser_asks_again_and_is_told_that_nothing_changed() {
        let headers = |rows: &[(header::HeaderName, &str)]| {
            let mut headers = HeaderMap::new();
            for (name, value) in rows {
                headers.insert(name, value.parse().expect("a value"));
            }
            headers
        };
        let tag = packed(0).tag.clone();
        let weak = format!("W/{tag}, \"x\"");
        type Row<'a> = (&'a [(header::HeaderName, &'a str)], StatusCode, bool);
        let rows: [Row<'_>; 5] = [
            (&[], StatusCode::OK, false),
            (
                &[(header::ACCEPT_ENCODING, "gzip, br;q=1")],
                StatusCode::OK,
                true,
            ),
            (&[(header::ACCEPT_ENCODING, "br")], StatusCode::OK, false),
            (
                &[(header::IF_NONE_MATCH, &tag)],
                StatusCode::NOT_MODIFIED,
                false,
            ),
            (
                &[(header::IF_NONE_MATCH, &weak)],
                StatusCode::NOT_MODIFIED,
                false,
            ),
        ];
        for (given, status, is_packed) in rows {
            let response = answer(0, &headers(given));
            assert_eq!(response.status(), status, "{given:?}");
            let encoding = response.headers().get(header::CONTENT_ENCODING);
            assert_eq!(encoding.is_some(), is_packed, "{given:?}");
        }
    }
}
