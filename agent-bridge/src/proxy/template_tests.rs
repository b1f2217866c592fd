//! Foretelling, beside what the gateway then sends.

use super::super::matching::{Match, compare};
use super::super::request::tests::body;
use super::*;

const KEY: &str = "agent:main:voice:anna";
/// 2026-11-21 02:14:37 UTC, the minute of the bodies' stamps.
const NOW: i64 = 1_795_227_277;

fn request(dialogue: &[(&str, &str)]) -> Request {
    Request::parse(body(KEY, dialogue)).expect("a request")
}

#[test]
fn the_next_request_is_foretold_byte_for_byte() {
    let odd = "Grüße \"you\" \\ / </b> \u{7f}\u{1}\n\tok 👋 ";
    for reply in ["Hello.", odd] {
        for words in ["What now?", odd] {
            let mut templates = Templates::default();
            let number = templates
                .learn(&request(&[("user", "Hi.")]), NOW)
                .expect("learnt");
            assert!(
                templates.foretell(KEY, words, NOW).is_none(),
                "not answered yet"
            );
            templates.answered(number, reply);
            let foretold = templates.foretell(KEY, words, NOW).expect("known");
            let real = request(&[("user", "Hi."), ("assistant", reply), ("user", words)]);
            assert_eq!(foretold.request.body(), real.body());
            assert!(foretold.is_sure);
        }
    }
}

#[test]
fn a_reply_nobody_got_is_in_no_request() {
    let mut templates = Templates::default();
    let number = templates
        .learn(&request(&[("user", "Hi.")]), NOW)
        .expect("learnt");
    templates.answered(number, "");
    let foretold = templates.foretell(KEY, "Hello?", NOW).expect("known");
    let real = request(&[("user", "Hi."), ("user", "Hello?")]);
    assert_eq!(foretold.request.body(), real.body());
}

#[test]
fn a_new_session_is_foretold_from_its_agent() {
    let mut templates = Templates::default();
    templates.learn(
        &request(&[("user", "."), ("assistant", "ok"), ("user", "x")]),
        NOW,
    );
    let other = "agent:main:voice:ben";
    assert!(
        templates
            .foretell("agent:work:voice:ben", "Hi.", NOW)
            .is_none()
    );
    let foretold = templates.foretell(other, "Hi.", NOW).expect("known");
    assert!(!foretold.is_sure);
    let real = Request::parse(body(other, &[("user", "Hi.")])).expect("a request");
    // The id of the session is the gateway's to make.
    assert_eq!(compare(&foretold.request, &real), Match::Passing);
    assert_eq!(foretold.request.origin(), real.origin());
}

#[test]
fn memory_is_bounded() {
    let mut templates = Templates::default();
    for n in 0..SESSIONS_MAX + 5 {
        let body = body(&format!("agent:main:voice:{n}"), &[("user", "Hi.")]);
        templates.learn(&Request::parse(body).expect("a request"), NOW);
    }
    assert_eq!(templates.entries.len(), SESSIONS_MAX);
    let bytes: usize = templates
        .entries
        .iter()
        .map(|e| e.request.body().len())
        .sum();
    assert_eq!(bytes, templates.bytes);
}
