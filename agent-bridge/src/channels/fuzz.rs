//! Bodies of the fuzz targets of channels: any bytes in, properties asserted. Plain functions, so that corpora replay in
//! the normal test run.
//! PURE.

use serde_json::Value;

use super::markdown::Rich;
use super::signal::{envelope, events, rpc};
use super::telegram::{answer, html, update};

/// Any bytes as an answer of Telegram's: numbers stay in order, names on one line.
pub fn telegram(data: &[u8]) {
    let _ = update::first_id(data);
    let _ = answer::read(400, data);
    let value = match answer::read(200, data) {
        answer::Answer::Done(value) => value,
        // The bare list too, so that mutations need not keep the frame.
        _ => serde_json::from_slice::<Value>(data).unwrap_or_default(),
    };
    let me = update::Me {
        id: 42,
        username: "offhook_bot".to_owned(),
    };
    let updates = update::read(&value, &me);
    assert!(updates.windows(2).all(|two| two[0].id < two[1].id));
    for update in updates {
        let (update::What::Message(message) | update::What::Edited(message)) = update.what else {
            continue;
        };
        assert!(!message.name.chars().any(char::is_control));
        if let update::Content::Text(text) = message.content {
            assert!(!text.is_empty());
        }
    }
}

/// Any bytes as what signal-cli sends: the cut of the bytes changes nothing, ids are no paths.
pub fn signal(data: &[u8]) {
    let _ = rpc::answer(&String::from_utf8_lossy(data), 1);
    let read = |piece: usize| {
        let mut stream = events::Stream::default();
        let mut all = Vec::new();
        for piece in data.chunks(piece) {
            stream.push(piece);
            while let Some(event) = stream.next_event() {
                all.push(event);
            }
        }
        all
    };
    let whole = read(data.len().max(1));
    assert_eq!(whole, read(3));
    let bare = String::from_utf8_lossy(data).into_owned();
    for text in whole.iter().map(|event| &event.data).chain([&bare]) {
        let value: Value = serde_json::from_str(text).unwrap_or_default();
        let Some(envelope) = envelope::read(&value, "") else {
            continue;
        };
        assert!(!envelope.sender().is_empty() && !envelope.sender().contains('/'));
        if let envelope::Content::Sound { attachment, .. } = envelope.content {
            assert!(!attachment.contains('/') && !attachment.contains(".."));
        }
    }
}

/// Any text as Markdown: every tag is closed in order, nothing of the text is a tag, no word is lost.
pub fn markdown(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    let rich = Rich::read(&text);
    assert!(rich.runs.iter().all(|run| !run.text.is_empty()));
    assert!(rich.runs.windows(2).all(|two| two[0].style != two[1].style));
    let letters = |text: &str| text.chars().filter(|c| c.is_alphabetic()).count();
    // Letters of a fence's language and of an address may go; those of the words stay.
    if !text.contains("```") && !text.contains("~~~") && !text.contains("](") && !text.contains('[')
    {
        assert_eq!(letters(&rich.plain()), letters(&text), "{text:?}");
    }
    let html = html::html(&rich);
    let mut open: Vec<&str> = Vec::new();
    let mut rest = html.as_str();
    while let Some(at) = rest.find('<') {
        let end = at + rest[at..].find('>').unwrap_or_default();
        assert!(end > at, "a tag that does not end: {html}");
        let tag = &rest[at + 1..end];
        match tag.strip_prefix('/') {
            Some(name) => assert_eq!(open.pop(), Some(name), "{html}"),
            None => open.push(tag.split(' ').next().unwrap_or(tag)),
        }
        rest = &rest[end + 1..];
    }
    assert!(open.is_empty(), "{html}");
}

#[cfg(test)]
mod tests {
    use rand::rngs::StdRng;
    use rand::{RngExt, SeedableRng};

    use super::*;

    fn check(seeds: &[&[u8]], body: fn(&[u8])) {
        let mut rng = StdRng::from_seed([9; 32]);
        body(b"");
        for _ in 0..1_500 {
            let mut data = seeds[rng.random_range(0..seeds.len())].to_vec();
            for _ in 0..rng.random_range(0..6) {
                let at = rng.random_range(0..=data.len());
                match rng.random_range(0..4) {
                    0 => data.insert(at, rng.random()),
                    1 if at < data.len() => data[at] = rng.random(),
                    2 if at < data.len() => {
                        data.remove(at);
                    }
                    _ => {
                        let other = seeds[rng.random_range(0..seeds.len())];
                        let from = rng.random_range(0..=other.len());
                        data.splice(at..at, other[from..].iter().copied());
                    }
                }
            }
            data.truncate(4_096);
            body(&data);
        }
    }

    #[test]
    fn updates() {
        check(
            &[
                br#"{"ok":true,"result":[{"update_id":1,"message":{"message_id":2,"date":3,"text":"hi","chat":{"id":9,"type":"private"},"from":{"id":9,"first_name":"A"}}}]}"#,
                br#"[{"update_id":4,"callback_query":{"id":"q","data":"0","from":{"id":9},"message":{"message_id":1,"chat":{"id":9,"type":"private"}}}}]"#,
                br#"[{"update_id":1,"message":{"message_id":2,"text":"@offhook_bot x","chat":{"id":-9,"type":"group"},"from":{"id":9}}},{"update_id":0}]"#,
            ],
            telegram,
        );
    }

    #[test]
    fn envelopes() {
        check(
            &[
                b"id:1\ndata:{\"envelope\":{\"sourceUuid\":\"a-1\",\"dataMessage\":{\"timestamp\":5,\"message\":\"hi\"}}}\n\n",
                br#"{"method":"receive","params":{"result":{"envelope":{"source":"+49","dataMessage":{"timestamp":5,"attachments":[{"contentType":"audio/aac","id":"a.aac"}]}}}}}"#,
                br#"{"jsonrpc":"2.0","id":1,"result":{"timestamp":9,"results":[{"type":"SUCCESS"}]}}"#,
            ],
            signal,
        );
    }

    #[test]
    fn marks() {
        let ticks = format!("a {} b `c` ", "`".repeat(1_200));
        check(
            &[
                ticks.as_bytes(),
                "# T\n\n- **a** _b_ `c`\n1. d\n| e | f |\n|--|--|\n> g **h**\n> i\n---\n"
                    .as_bytes(),
                "[x](https://y.example/?a=1&b=2) ![z](https://w) <b>i</b> &amp; \\* ~~s~~ ***t***"
                    .as_bytes(),
                "a_b_c 2*3 ```rust\ncode <x>\n``` \u{202e}\u{7} https://a_b_c \u{5e9}".as_bytes(),
            ],
            markdown,
        );
    }
}
