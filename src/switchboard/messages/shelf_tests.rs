//! The shelf on virtual time: order, once, away and back, what is refused and what is forgotten.

use super::*;

fn text(id: &str) -> Text {
    Text {
        id: id.to_owned(),
        number: "100".to_owned(),
        name: "Assistant".to_owned(),
        content_type: "text/plain".to_owned(),
        body: format!("body of {id}"),
        at_unix_ms: 1_000,
        attempt: 0,
        sender: None,
        delivery: None,
        call_id: None,
        whole: None,
    }
}

/// A script of one word each: `+a` comes in, `+a,b` in two parts, `&a` from somebody who hears of it, `>` what goes out,
/// `ok`, `no`, `later`, `silent`, `nobody`, `phone` for one that is new and `again` for one that is still there, `60s`
/// passes, `crash` is what a restart leaves.
fn play(script: &str) -> Vec<String> {
    let mut now = Instant::now();
    let mut shelf = Shelf::default();
    let mut out = Vec::new();
    let mut sent = String::new();
    for word in script.split_whitespace() {
        match word {
            ">" => match shelf.next(now) {
                Some(next) => {
                    sent.clone_from(&next.id);
                    out.push(format!("{}/{}", next.id, next.attempt));
                }
                None => out.push("-".to_owned()),
            },
            "ok" => drop(shelf.answered(now, &sent, Outcome::Delivered)),
            "no" => {
                let lost = shelf.answered(now, &sent, Outcome::Refused(415));
                out.push(format!(
                    "lost {}",
                    lost.map(|text| text.id).unwrap_or_default()
                ));
            }
            "later" => {
                if let Some(text) = shelf.answered(now, &sent, Outcome::PutOff) {
                    out.push(format!("lost {}", text.id));
                }
            }
            "silent" => drop(shelf.answered(now, &sent, Outcome::Away)),
            "nobody" => shelf.nobody_there(&sent),
            "phone" => shelf.phone_came(true),
            "again" => shelf.phone_came(false),
            "crash" => {
                let kept = serde_json::to_string(&shelf).expect("plain values");
                shelf = serde_json::from_str(&kept).expect("our own");
            }
            word if word.ends_with('s')
                && word.len() > 1
                && word.as_bytes()[0].is_ascii_digit() =>
            {
                let seconds = word.trim_end_matches('s').parse().expect("seconds");
                now += Duration::from_secs(seconds);
                shelf.on_timeout(now);
            }
            word => {
                let name = word.trim_start_matches(['+', '&']);
                let sender = word.starts_with('&').then(|| "ben".to_owned());
                let part = |id| Text {
                    sender: sender.clone(),
                    ..text(id)
                };
                let put = shelf.put(name, name.split(',').map(part).collect());
                if put != Put::Kept {
                    out.push(format!("{put:?}"));
                }
            }
        }
    }
    out
}

#[test]
fn texts_go_out_in_order_and_once() {
    let rows = [
        ("> +a +b > > ok > ok >", "- a/0 - b/0 -"),
        ("+a +a > ok +a >", "Known a/0 Known -"),
        ("+a > nobody > +b > phone > ok > ok >", "a/0 - - a/0 b/0 -"),
        ("+a > silent > 15s > silent 15s > 15s >", "a/0 - a/0 - a/0"),
        ("+a > silent phone > ok", "a/0 a/0"),
        ("+a +b > no > ok >", "a/0 lost a b/0 -"),
        // A refusal for now makes the next try a new request; silence does not.
        ("+a > later 15s > silent phone >", "a/0 a/1 a/1"),
        // One that is put off waits its time, unless a phone comes that may think otherwise.
        ("+a > later again > 15s >", "a/0 - a/1"),
        ("+a > later phone >", "a/0 a/1"),
        ("+a > nobody > again >", "a/0 - a/0"),
        // One that was put off by a phone that is gone goes when the same one is back.
        ("+a > later 15s > nobody > again >", "a/0 a/1 - a/1"),
        // After a crash the one that was on its way goes again under the same name, and none that is through.
        ("+a +b > ok > crash > +a +b >", "a/0 b/0 b/0 Known Known -"),
        // No word at all.
        ("+a > 59s > 1s > 15s >", "a/0 - - a/0"),
    ];
    for (script, expected) in rows {
        assert_eq!(play(script).join(" "), expected, "{script}");
    }
}

#[test]
fn a_text_is_put_off_twenty_times() {
    let once = "> later 900s ";
    let script = format!("&a +b {}> ok >", once.repeat(20));
    let said = play(&script);
    assert_eq!(said[18..], ["a/18", "a/19", "lost a", "b/0", "-"]);
}

/// The assistant was told that its text is delivered when it was kept: nobody would write it again.
#[test]
fn a_text_that_nobody_misses_goes_behind_the_others() {
    let put_off = "> later 900s ".repeat(20);
    let rows = [
        (
            format!("+a +b {put_off}> ok > ok >"),
            ["a/19", "b/0", "a/20", "-"].as_slice(),
        ),
        // With all its parts, and in their order.
        (
            format!("+a,b,c +d > ok {put_off}> ok > ok > ok >"),
            &["b/19", "d/0", "b/20", "c/0", "-"],
        ),
        // Alone it waits its time; whoever comes then does not wait as long for it.
        (
            format!("+a {put_off}> later > 900s > later +b 900s > later > ok > ok >"),
            &["a/20", "-", "a/21", "a/22", "b/0", "a/23", "-"],
        ),
        // Those that were put off as often take turns.
        (
            format!("+a +b {put_off}crash > > later 15s {put_off}> ok"),
            &["b/19", "a/20", "a/21"],
        ),
        (
            format!("+a,b +c,d {put_off}{put_off}> later >"),
            &["c/19", "a/20", "-"],
        ),
    ];
    for (script, expected) in rows {
        let said = play(&script);
        assert_eq!(said[said.len() - expected.len()..], *expected, "{script}");
    }
}

#[test]
fn an_answer_to_another_text_changes_nothing() {
    let now = Instant::now();
    let mut shelf = Shelf::default();
    shelf.put("a", vec![text("a")]);
    assert_eq!(
        shelf.answered(now, "a", Outcome::Delivered),
        None,
        "it never left"
    );
    assert!(shelf.next(now).is_some());
    assert_eq!(shelf.answered(now, "b", Outcome::Delivered), None);
    assert_eq!(shelf.texts.len(), 1);
    assert_eq!(shelf.next_timeout(), Some(now + UNDER_WAY_MAX));
}

#[test]
fn a_shelf_has_bounds() {
    let mut shelf = Shelf::default();
    for n in 0..TEXTS_MAX {
        assert_eq!(
            shelf.put(&n.to_string(), vec![text(&n.to_string())]),
            Put::Kept
        );
    }
    assert_eq!(shelf.put("more", vec![text("more")]), Put::Full);
    let mut shelf = Shelf::default();
    let long = Text {
        body: "x".repeat(BYTES_MAX),
        ..text("a")
    };
    assert_eq!(shelf.put("a", vec![long]), Put::Kept);
    assert_eq!(shelf.put("b", vec![text("b")]), Put::Full);
    shelf.take_back("a", &["a".to_owned()]);
    assert_eq!(
        shelf.put("a", vec![text("a")]),
        Put::Kept,
        "as if it had never come"
    );
    for n in 0..KNOWN_MAX {
        shelf.note(&format!("k{n}"));
    }
    assert!(!shelf.is_known("a") && shelf.is_known("k0"));
}

#[test]
fn a_text_waits_for_a_week() {
    let mut shelf = Shelf::default();
    shelf.put("a", vec![text("a")]);
    assert_eq!(shelf.expire(1_000 + KEPT_MS - 1), []);
    let old = shelf.expire(1_000 + KEPT_MS);
    assert!(matches!(&old[..], [Text { id, .. }] if id == "a"));
    assert!(shelf.texts.is_empty());
}

#[test]
fn a_text_prints_without_its_words() {
    assert!(!format!("{:?}", text("a")).contains("body of"));
}
