//! PURE.
//! Keys sent as INFO requests: `application/dtmf-relay` and `application/dtmf`, two body types that were never written
//! down as a standard and that desk phones and gateways speak all the same. Does not own digits in RTP (RFC 4733).

/// What a key says that stands in no INFO: the length RFC 4733 §2.5.1.2 calls usual would do; phones mean about this.
const DURATION_DEFAULT_MS: u32 = 160;
const DURATION_MIN_MS: u32 = 40;
const DURATION_MAX_MS: u32 = 5_000;

pub(crate) const DTMF_RELAY: &str = "application/dtmf-relay";
pub(crate) const DTMF: &str = "application/dtmf";

/// Bytes of a body that are looked at; a key needs fewer than forty.
const BODY_MAX: usize = 256;

/// One key: `0`–`9`, `*`, `#`, `A`–`D`, and how long it was held.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Digit {
    pub(crate) digit: char,
    /// 40 to 5,000 ms.
    pub(crate) duration_ms: u32,
}

/// The key in a body of that media type (lower case, without parameters). `None` for other types and for anything that
/// is not exactly one key, hook flash (16) included.
pub(crate) fn parse(content_type: &str, body: &[u8]) -> Option<Digit> {
    let text = std::str::from_utf8(body.get(..body.len().min(BODY_MAX))?).ok()?;
    match content_type {
        DTMF_RELAY => parse_relay(text),
        DTMF => key(text.trim()).map(|digit| Digit {
            digit,
            duration_ms: DURATION_DEFAULT_MS,
        }),
        _ => None,
    }
}

fn parse_relay(text: &str) -> Option<Digit> {
    let mut digit = None;
    let mut duration_ms = DURATION_DEFAULT_MS;
    for line in text.lines() {
        let Some((name, value)) = line.split_once('=') else {
            continue;
        };
        let value = value.trim();
        match name.trim().to_ascii_lowercase().as_str() {
            "signal" => digit = key(value),
            "duration" => {
                duration_ms = value
                    .parse()
                    .unwrap_or(DURATION_DEFAULT_MS)
                    .clamp(DURATION_MIN_MS, DURATION_MAX_MS);
            }
            _ => {}
        }
    }
    digit.map(|digit| Digit { digit, duration_ms })
}

/// A key by its sign, or by its number in RFC 4733 §3.2.
fn key(text: &str) -> Option<char> {
    let mut letters = text.chars();
    if let (Some(letter), None) = (letters.next(), letters.next()) {
        let letter = letter.to_ascii_uppercase();
        return is_key(letter).then_some(letter);
    }
    match text {
        "10" => Some('*'),
        "11" => Some('#'),
        "12" => Some('A'),
        "13" => Some('B'),
        "14" => Some('C'),
        "15" => Some('D'),
        _ => None,
    }
}

/// One of the sixteen keys, letters in upper case.
pub(crate) fn is_key(letter: char) -> bool {
    matches!(letter, '0'..='9' | '*' | '#' | 'A'..='D')
}

/// The body of our own INFO, `application/dtmf-relay`.
pub(crate) fn write(digit: Digit) -> String {
    let duration_ms = digit.duration_ms.clamp(DURATION_MIN_MS, DURATION_MAX_MS);
    format!("Signal={}\r\nDuration={duration_ms}\r\n", digit.digit)
}

#[cfg(test)]
mod tests {
    use super::*;

    type Row<'a> = (&'a str, &'a [u8], Option<(char, u32)>);

    #[test]
    fn keys_in_bodies() {
        let table: [Row<'_>; 17] = [
            (
                DTMF_RELAY,
                b"Signal=5\r\nDuration=250\r\n",
                Some(('5', 250)),
            ),
            (DTMF_RELAY, b"Signal= #\nDuration= 90", Some(('#', 90))),
            (DTMF_RELAY, b"signal=d", Some(('D', 160))),
            (DTMF_RELAY, b"Signal=10\r\n", Some(('*', 160))),
            (DTMF_RELAY, b"Signal=1\r\nDuration=1", Some(('1', 40))),
            (
                DTMF_RELAY,
                b"Signal=1\r\nDuration=999999",
                Some(('1', 5_000)),
            ),
            (DTMF_RELAY, b"Signal=1\r\nDuration=-1", Some(('1', 160))),
            (DTMF_RELAY, b"Duration=250", None),
            (DTMF_RELAY, b"Signal=16\r\nDuration=250", None),
            (DTMF_RELAY, b"Signal=55", None),
            (DTMF_RELAY, b"\xff", None),
            (DTMF_RELAY, b"", None),
            (DTMF, b"7", Some(('7', 160))),
            (DTMF, b"11\r\n", Some(('#', 160))),
            (DTMF, b"hello", None),
            (DTMF, b"", None),
            ("text/plain", b"7", None),
        ];
        for (kind, body, expected) in table {
            let read = parse(kind, body).map(|digit| (digit.digit, digit.duration_ms));
            assert_eq!(read, expected, "{kind} {body:?}");
        }
    }

    #[test]
    fn every_key_survives_the_way_there_and_back() {
        for digit in "0123456789*#ABCD".chars() {
            let sent = Digit {
                digit,
                duration_ms: 200,
            };
            assert_eq!(parse(DTMF_RELAY, write(sent).as_bytes()), Some(sent));
        }
    }
}
