//! Whether a request is the one that was foretold. Owns which differences count for nothing: the stamp of the words, the id of a
//! session, and what is true just now.
//! PURE.

use super::request::{Place, Request, Speaker, renamed};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Match {
    /// Byte for byte.
    Exact,
    /// The same but for stamps, the session's id, and messages that say what is true just now.
    Passing,
    /// The same session and the same last words, but another past, other tools or other instructions.
    Words,
    Other,
}

pub fn compare(foretold: &Request, real: &Request) -> Match {
    if foretold.body() == real.body() {
        return Match::Exact;
    }
    let is_same_session = match (foretold.origin(), real.origin()) {
        (Some(one), Some(other)) => one == other,
        _ => false,
    };
    let words = (foretold.asked(), real.asked());
    let (Some((_, said)), Some((_, really))) = words else {
        return Match::Other;
    };
    if !is_same_session || said.trim() != really.trim() {
        return Match::Other;
    }
    let lasting = |request: &Request| -> Vec<Place> {
        let places = request.messages().iter();
        places.filter(|place| !place.is_passing).cloned().collect()
    };
    let (one, other) = (lasting(foretold), lasting(real));
    let is_same = foretold.around() == real.around()
        && one.len() == other.len()
        && one
            .iter()
            .zip(&other)
            .all(|(a, b)| is_same_message(foretold, a, real, b));
    match is_same {
        true => Match::Passing,
        false => Match::Words,
    }
}

fn is_same_message(foretold: &Request, a: &Place, real: &Request, b: &Place) -> bool {
    if foretold.message(a) == real.message(b) {
        return true;
    }
    let is_said = [a, b]
        .iter()
        .all(|place| place.speaker == Speaker::User && place.is_plain);
    // A note asks for another answer.
    if !is_said
        || a.is_noted != b.is_noted
        || a.words.as_deref().map(str::trim) != b.words.as_deref().map(str::trim)
    {
        return false;
    }
    // The first one also names the session; every other one holds nothing but a stamp and the words.
    let without_id = |request: &Request| request.runtime().map(|line| renamed(&line, ""));
    without_id(foretold) == without_id(real)
}

#[cfg(test)]
mod tests {
    use super::super::request::tests::body;
    use super::*;

    const KEY: &str = "agent:main:voice:anna";

    #[test]
    fn only_what_passes_may_differ() {
        let base = String::from_utf8(body(
            KEY,
            &[("user", "Hi."), ("assistant", "Yes?"), ("user", "Go on.")],
        ))
        .expect("text");
        let change = |from: &str, to: &str| {
            assert!(base.contains(from), "{from}");
            base.replacen(from, to, 1)
        };
        let last_stamp = {
            let (head, tail) = base.rsplit_once("02:14").expect("stamped");
            format!("{head}02:15{tail}")
        };
        for (name, changed, wanted) in [
            ("nothing", base.clone(), Match::Exact),
            ("the minute", last_stamp, Match::Passing),
            (
                "the id",
                change("sessionId=8c15", "sessionId=ffff"),
                Match::Passing,
            ),
            (
                "what is true",
                change("sessions: none", "sessions: one"),
                Match::Passing,
            ),
            (
                "the session",
                change("voice:anna", "voice:ben"),
                Match::Other,
            ),
            ("the words", change("Go on.", "Go off."), Match::Other),
            ("the past", change("Yes?", "No?"), Match::Words),
            (
                "a note",
                change(
                    "Go on.",
                    "Note: The previous agent run was cut.\\n\\nGo on.",
                ),
                Match::Words,
            ),
            ("the first words", change("Hi.", "Ho."), Match::Words),
            ("the host", change("host=h", "host=g"), Match::Words),
            ("instructions", change("Be kind", "Be brief"), Match::Words),
            (
                "tools",
                change("\"tools\":[]", "\"tools\":[{}]"),
                Match::Words,
            ),
            (
                "the model",
                change("\"model\":\"s\"", "\"model\":\"t\""),
                Match::Words,
            ),
        ] {
            let foretold = Request::parse(base.clone().into_bytes()).expect("a request");
            let real = Request::parse(changed.into_bytes()).expect("a request");
            assert_eq!(compare(&foretold, &real), wanted, "{name}");
        }
    }

    #[test]
    fn an_image_beside_the_words_counts() {
        let said = |image: &str| {
            let body = body(KEY, &[("user", "Look.")]);
            let text = String::from_utf8(body).expect("text");
            let (head, tail) = text.split_once("\"content\":\"[Sat").expect("the words");
            let (words, tail) = tail.split_once("\"}").expect("their end");
            let body = format!(
                "{head}\"content\":[{{\"type\":\"text\",\"text\":\"[Sat{words}\"}},{{\"type\":\"image_url\",\"url\":\"{image}\"}}]}}{tail}"
            );
            Request::parse(body.into_bytes()).expect("a request")
        };
        assert_eq!(compare(&said("a"), &said("a")), Match::Exact);
        assert_eq!(compare(&said("a"), &said("b")), Match::Words);
    }
}
