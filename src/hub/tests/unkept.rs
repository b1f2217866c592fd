//! What is shown and not kept, and sounds that nothing names: gone as soon as they are done with, or after a day.

use std::time::SystemTime;

use super::*;

async fn until(mut is_so: impl FnMut() -> bool) {
    let wait = async {
        while !is_so() {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(PATIENCE, wait).await.expect("in time");
}

#[tokio::test]
async fn where_words_are_not_kept_they_are_shown_once() {
    let rig = Rig::planned(Plan {
        keeps_words: false,
        ..Plan::default()
    })
    .await;
    let mut live = rig.hub.live("ben");
    for message in [
        text("web", "ben", "1", "hello"),
        note("web", "ben", "2", "and this"),
    ] {
        rig.hub.receive(message).await.expect("taken");
    }
    let (mut said, mut done) = (Vec::new(), Vec::new());
    let read = async {
        while done.len() < 2 {
            match live.recv().await.expect("it is shown") {
                Live::Said(shown) => said.push((shown.text, shown.id, shown.voice)),
                Live::Done { message, .. } => done.push(message),
                _ => {}
            }
        }
    };
    tokio::time::timeout(PATIENCE, read).await.expect("in time");
    let mut texts: Vec<&str> = said.iter().map(|(text, ..)| text.as_str()).collect();
    texts.sort_unstable();
    assert_eq!(
        texts,
        ["You said: and this", "You said: hello", "and this", "hello"]
    );
    let mut ids: Vec<i64> = said.iter().map(|(_, id, _)| *id).collect();
    assert!(ids.iter().all(|id| *id < 0 && *id > -(1 << 53)), "{ids:?}");
    assert!(ids.is_sorted_by(|a, b| a > b), "later ones are smaller");
    assert!(done.iter().all(|message| ids.contains(message)), "{done:?}");
    ids.dedup();
    assert_eq!(ids.len(), 4);
    assert!(said.iter().all(|(.., voice)| voice.is_none()));
    let kept = rig.hub.history("ben", "", None, 10).await;
    assert_eq!(kept.expect("a history"), []);
    until(|| !rig.has_sounds()).await;
}

#[tokio::test]
async fn sounds_that_nothing_names_go() {
    let rig = Rig::new().await;
    let (mut sip, _one) = rig.channel("sip", 0).await;
    rig.hub
        .receive(note("sip", "ben", "1", "noise"))
        .await
        .expect("taken");
    assert!(words(&next(&mut sip).await).contains("it is noise"));
    until(|| !rig.has_sounds()).await;
    rig.hub
        .receive(note("sip", "ben", "2", "what time is it"))
        .await
        .expect("taken");
    next(&mut sip).await;
    next(&mut sip).await;
    // A file that a crash has left.
    let folder = sounds::Folder::at(rig.scratch.path().join("voice"));
    let stray = folder.keep("stray", b"OggS".to_vec()).await.expect("kept");
    let day = Duration::from_secs(25 * 3_600);
    for (now, is_there) in [(SystemTime::now(), true), (SystemTime::now() + day, false)] {
        keeping::forget_sounds(&rig.recorder, &folder, now).await;
        assert_eq!(folder.read(&stray).await.is_ok(), is_there);
    }
    let shown = rig.hub.history("ben", "", None, 10).await.expect("read");
    let named: Vec<&String> = shown.iter().filter_map(|one| one.voice.as_ref()).collect();
    assert_eq!(named.len(), 2);
    for name in &named {
        folder.read(name).await.expect("it is named");
    }
    // With the words that name them they go too.
    let now = crate::records::unix_ms() + 30 * 24 * 3_600 * 1_000;
    keeping::forget_words(&rig.recorder, now, 31).await;
    assert_eq!(rig.texts("ben/agent").await.len(), 3);
    keeping::forget_words(&rig.recorder, now, 29).await;
    assert_eq!(rig.texts("ben/agent").await, [""; 0]);
    keeping::forget_sounds(&rig.recorder, &folder, SystemTime::now() + day).await;
    for name in named {
        assert!(folder.read(name).await.is_err(), "{name}");
    }
}
