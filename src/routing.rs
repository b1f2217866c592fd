//! What an INVITE is for: an agent, the echo test, the read-back test, or a refusal.
//! Owns the dial plan's lookup; not the dialog (the `sip` crate) and not the call itself (`call`).
//! PURE.

use crate::config::{Answerer, Numbers};

/// Finds what answers `target`, the decoded user part of the Request-URI (RFC 3261 section 19.1.1).
///
/// Visual separators that phones leave in dialled numbers ("1-0 0") do not count.
pub fn route(numbers: &Numbers, target: &str) -> Option<Answerer> {
    let wanted = canonical(target);
    numbers
        .0
        .iter()
        .find(|entry| {
            std::iter::once(&entry.number)
                .chain(&entry.aliases)
                .any(|name| canonical(name) == wanted)
        })
        .map(|entry| entry.to)
}

/// Lower case; for numbers also without visual separators (RFC 3966 section 5.1.1).
fn canonical(dial: &str) -> String {
    let is_separator = |c: char| matches!(c, '-' | '.' | ' ' | '(' | ')');
    let digits_only = dial
        .chars()
        .all(|c| c.is_ascii_digit() || is_separator(c) || matches!(c, '*' | '#' | '+'));
    dial.chars()
        .filter(|c| !(digits_only && is_separator(*c)))
        .flat_map(char::to_lowercase)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_dial_plan() {
        let rows = [
            ("100", Some(Answerer::Agent)),
            ("1-00", Some(Answerer::Agent)),
            ("(1) 00", Some(Answerer::Agent)),
            ("Agent", Some(Answerer::Agent)),
            ("101", Some(Answerer::Echo)),
            ("ECHO", Some(Answerer::Echo)),
            ("102", Some(Answerer::Readback)),
            ("103", None),
            ("", None),
            ("agent-1", None),
            ("1000", None),
        ];
        for (target, expected) in rows {
            assert_eq!(route(&Numbers::default(), target), expected, "{target:?}");
        }
    }
}
