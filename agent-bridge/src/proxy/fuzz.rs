//! Bodies of the proxy's fuzz targets: requests, answers, and what may happen in any order. Properties are asserted; a fuzzer
//! calls them by name, and the corpora replay in the normal test run.
//! PURE.

use std::time::{Duration, Instant};

use super::desk::{Desk, ExchangeId, Verdict};
use super::frames::Frames;
use super::matching::{Match, compare};
use super::pacing::{Pacing, Until};
use super::recording::{Kind, Recording};
use super::request::Request;
use super::template::Templates;
use crate::gateways::Told;

const UNIX_S: i64 = 1_795_227_277;

/// Any bytes as a request. What parses lies where it says, is itself, and can be foretold from.
pub fn request(data: &[u8]) {
    let Some(request) = Request::parse(data.to_vec()) else {
        return;
    };
    assert_eq!(request.body(), data);
    let (before, behind) = request.around();
    assert!(before.ends_with(b"[") && behind.starts_with(b"]"));
    for place in request.messages() {
        assert!(serde_json::from_slice::<serde_json::Value>(request.message(place)).is_ok());
    }
    let Some(origin) = request.origin().cloned() else {
        return;
    };
    assert_eq!(compare(&request, &request), Match::Exact);
    let mut templates = Templates::default();
    let number = templates.learn(&request, UNIX_S);
    if let Some(number) = number {
        templates.answered(number, "It is \"ten\".");
    }
    for session in [origin.session.as_str(), "agent:main:voice:new"] {
        for words in ["Hello?", "\u{0}\"\\\n[Sat 2026-11-21 02:14 UTC] x"] {
            if let Some(foretold) = templates.foretell(session, words, UNIX_S) {
                let asked = foretold.request.asked().map(|(_, asked)| asked.to_owned());
                assert!(asked.is_some(), "what is foretold asks something");
            }
        }
    }
}

/// Any bytes as an answer, the first two being how it is cut and how far it is heard. Nothing is changed on the way, nothing
/// unheard goes out, and a cut ends properly.
pub fn answer(data: &[u8]) {
    let (head, data) = data.split_at(data.len().min(2));
    let size = usize::from(head.first().copied().unwrap_or(0)) + 1;
    let heard = usize::from(head.get(1).copied().unwrap_or(0));
    let mut frames = Frames::default();
    let mut recording = Recording::default();
    let (mut whole, mut paced) = (Pacing::default(), Pacing::default());
    let (mut out, mut held) = (Vec::new(), Vec::new());
    let mut taken = Vec::new();
    for piece in data.chunks(size) {
        if frames.push(piece).is_err() {
            break;
        }
        while let Some(frame) = frames.next_frame() {
            if recording.push(frame.clone()) {
                taken.extend(frame);
            }
        }
        out.extend(whole.step(&recording, &Until::Open));
        held.extend(paced.step(&recording, &Until::Text(heard)));
        assert!(paced.given().len() <= heard && !paced.is_over());
    }
    if let Some(frame) = frames.finish()
        && recording.push(frame.clone())
    {
        taken.extend(frame);
    }
    recording.end(false);
    out.extend(whole.step(&recording, &Until::Open));
    assert_eq!(out, taken, "byte for byte");
    assert_eq!(whole.given(), recording.text());
    assert!(whole.is_over() && taken.starts_with(&held));
    let until = Until::Cut {
        bytes: heard,
        rest: String::new(),
    };
    held.extend(paced.step(&recording, &until));
    assert!(paced.is_over() && !paced.given().trim().is_empty());
    let mut again = Frames::default();
    assert!(again.push(&held).is_ok());
    let mut read = Recording::default();
    while let Some(frame) = again.next_frame() {
        read.push(frame);
    }
    assert_eq!(
        read.frames().last().map(|frame| frame.kind),
        Some(Kind::Done)
    );
}

/// What may happen, in any order: two bytes each. `base` is any moment. Everything stays bounded, nothing is given out before
/// its commit, and nothing beyond what was heard.
pub fn orders(data: &[u8], base: Instant) {
    const WORDS: [&str; 4] = ["Yes.", "No.", "What time is it?", "Yes."];
    let mut desk = Desk::default();
    let mut open: Vec<(ExchangeId, bool)> = Vec::new();
    let mut readers: Vec<(ExchangeId, usize, Pacing)> = Vec::new();
    let mut dialogue: Vec<(&str, String)> = Vec::new();
    let mut now = base;
    for pair in data.chunks_exact(2).take(2_000) {
        now += Duration::from_millis(u64::from(pair[1]) * 50);
        let words = WORDS[usize::from(pair[1]) % WORDS.len()];
        let pick = usize::from(pair[1] >> 2);
        let chosen = (!open.is_empty()).then(|| pick % open.len());
        match (pair[0] % 10, chosen) {
            (0, _) => {
                open.push((desk.begin(now, UNIX_S, "agent:main:voice:x", words), false));
            }
            (1, Some(at)) => {
                open[at].1 = true;
                desk.commit(open[at].0);
            }
            (2, Some(at)) => desk.dropped(open.remove(at).0),
            (3, Some(at)) => {
                let told = Told {
                    is_committed: open[at].1,
                    heard: "It is ten."[..usize::from(pair[1]) % 11].to_owned(),
                    is_over: pair[1] & 0x40 != 0,
                };
                desk.told(open[at].0, &told);
            }
            (4, _) => {
                dialogue.push(("user", words.to_owned()));
                let asked = Request::parse(conversation(&dialogue));
                match desk.arrive(UNIX_S, asked.as_ref()) {
                    Verdict::Replay(id, track) | Verdict::Record(id, track) => {
                        let is_committed = open.iter().all(|(known, is)| *known != id || *is);
                        assert!(is_committed, "given out before its commit");
                        readers.push((id, track, Pacing::default()));
                    }
                    Verdict::Pass | Verdict::WarmUp => {
                        dialogue.push(("assistant", "Elsewhere.".to_owned()));
                    }
                }
            }
            (5, Some(at)) => {
                let frame = chunk(["It is", " ten.", " [a link](u)", ""][pick % 4]);
                desk.push(open[at].0, usize::from(pair[1] & 1), frame);
            }
            (6, Some(at)) => desk.end(open[at].0, usize::from(pair[1] & 1), pair[1] & 2 != 0),
            (7, Some(at)) => while desk.next_spoken(open[at].0).is_some_and(|s| !ends(&s)) {},
            (8, Some(at)) => desk.run_over(open[at].0),
            _ => {
                if let Some((id, track, mut pacing)) = readers.pop() {
                    if desk.give(id, track, &mut pacing).is_some() && !pacing.is_over() {
                        readers.push((id, track, pacing));
                    } else {
                        dialogue.push(("assistant", pacing.given().to_owned()));
                    }
                }
            }
        }
        let mut outputs = 0;
        while desk.poll_output().is_some() {
            outputs += 1;
        }
        assert!(outputs < 1_000);
    }
}

fn ends(spoken: &super::exchange::Spoken) -> bool {
    use super::exchange::Spoken;
    matches!(spoken, Spoken::Done | Spoken::Failed)
}

fn chunk(text: &str) -> Vec<u8> {
    let finish = if text.is_empty() { "\"stop\"" } else { "null" };
    format!(
        "data: {{\"choices\":[{{\"index\":0,\"delta\":{{\"content\":\"{text}\"}},\"finish_reason\":{finish}}}]}}\n\n"
    )
    .into_bytes()
}

fn conversation(dialogue: &[(&str, String)]) -> Vec<u8> {
    let mut is_first = true;
    let messages = dialogue.iter().map(|(role, text)| {
        let mut text = text.clone();
        if *role == "user" && std::mem::take(&mut is_first) {
            text.push_str("\n\nRuntime: agent=main | session=agent:main:voice:x | sessionId=1");
        }
        serde_json::json!({ "role": role, "content": text })
    });
    let messages: Vec<serde_json::Value> = messages.collect();
    serde_json::json!({ "messages": messages, "stream": true })
        .to_string()
        .into_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The fuzzer's own search is longer; this finds what breaks at once.
    #[test]
    fn orders_of_any_kind() {
        let base = Instant::now();
        let mut state = 7_u32;
        for _ in 0..200 {
            let data: Vec<u8> = (0..400)
                .map(|_| {
                    state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                    (state >> 24) as u8
                })
                .collect();
            orders(&data, base);
            answer(&data);
            request(&data);
        }
    }
}
