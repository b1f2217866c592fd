//! Sound work with scripted engines and with the built-in ones: bounds, order behind calls, cancelling.

use super::*;
use asr::fake::{FakeEngine, Gate as FakeGate, Line};

/// Engines with a scripted recogniser, and the gate it waits at.
fn scripted(lines: Vec<Line>) -> (watch::Receiver<EngineState>, FakeGate, Arc<Engines>) {
    let ears = FakeEngine::new(lines);
    let gate = ears.gate();
    let voice = tts::voices::open("flite:slt", 1.0).expect("built in");
    let engines = Arc::new(crate::testing::engines(Box::new(ears), voice));
    let (sender, receiver) = watch::channel(EngineState::Ready(Arc::clone(&engines)));
    drop(sender);
    (receiver, gate, engines)
}

fn limits() -> SoundLimits {
    SoundLimits {
        duration_s_max: 120,
        text_chars_max: 60,
        at_once: 1,
        waiting_max: 1,
    }
}

/// Seconds of a tone, each followed by as much quiet as it says.
fn tones(parts: &[(usize, usize)]) -> Vec<i16> {
    let mut pcm = Vec::new();
    for (loud_s, quiet_s) in parts {
        pcm.extend((0..loud_s * 16_000).map(|n| if n / 40 % 2 == 0 { 4_000 } else { -4_000i16 }));
        pcm.extend(std::iter::repeat_n(0, quiet_s * 16_000));
    }
    pcm
}

#[tokio::test]
async fn long_recordings_come_in_segments() {
    let lines = ["one", "two"].map(|text| Line::Say(text.to_owned()));
    let (engines, _, _) = scripted(lines.to_vec());
    let work = SoundWork::new(engines, limits());
    let bytes = file::wav::write(&file::Clip {
        rate_hz: 16_000,
        samples: tones(&[(11, 1), (3, 0)]),
    });
    let heard = work.transcribe(bytes).await.expect("heard");
    assert_eq!(heard.text, "one two");
    assert_eq!(heard.duration_ms, 15_000);
    assert_eq!(heard.language.as_deref(), Some("en"));
    let times: Vec<(u64, u64)> = heard
        .segments
        .iter()
        .map(|segment| (segment.start_ms, segment.end_ms))
        .collect();
    assert_eq!(times, [(0, 11_000), (12_000, 15_000)]);
}

#[tokio::test]
async fn an_agent_has_ears_of_its_own() {
    let say = |text: &str| vec![Line::Say(text.to_owned())];
    let (_, _, usual) = scripted(say("usual"));
    let (_, _, own) = scripted(say("own"));
    let engines = Engines {
        own: [("cellar".to_owned(), own)].into(),
        ..Arc::into_inner(usual).expect("nobody else has it")
    };
    let (_sender, engines) = watch::channel(EngineState::Ready(Arc::new(engines)));
    let work = SoundWork::new(engines, limits());
    for (agent, words) in [("cellar", "own"), ("attic", "usual")] {
        let heard = work.of(agent).hear(tones(&[(1, 0)])).await.expect("heard");
        assert_eq!(heard.text, words);
    }
}

#[tokio::test]
async fn words_that_two_pieces_heard_are_given_once() {
    let lines = ["one two three four", "three four five six"];
    let (engines, _, _) = scripted(lines.map(|text| Line::Say(text.to_owned())).to_vec());
    // Nobody pauses: the pieces share a second.
    let heard = SoundWork::new(engines, limits())
        .hear(tones(&[(40, 0)]))
        .await
        .expect("heard");
    assert_eq!(heard.text, "one two three four five six");
    let texts: Vec<&str> = heard.segments.iter().map(|s| s.text.as_str()).collect();
    assert_eq!(texts, ["one two", "three four five six"]);
    let times: Vec<u64> = heard
        .segments
        .iter()
        .flat_map(|segment| [segment.start_ms, segment.end_ms])
        .collect();
    assert!(times.is_sorted(), "{times:?}");
}

#[tokio::test]
async fn a_file_keeps_its_place_until_it_is_decoded() {
    /// Bytes that are not given before the test says so.
    struct Held(std::sync::mpsc::Receiver<()>, Vec<u8>);
    impl AsRef<[u8]> for Held {
        fn as_ref(&self) -> &[u8] {
            let _ = self.0.recv();
            &self.1
        }
    }
    let (engines, _, _) = scripted(vec![]);
    let work = SoundWork::new(engines, limits());
    let (give, held) = std::sync::mpsc::channel();
    // Whoever sent the first file goes at once; it is being decoded all the same.
    let first = work.transcribe(Held(held, Vec::new()));
    assert!(tokio::time::timeout(Duration::ZERO, first).await.is_err());
    assert_eq!(work.inner.ears.inside.available_permits(), 0);
    drop(give);
    let second = work.transcribe(b"hello".to_vec()).await;
    assert_eq!(second, Err(FileError::Unknown.into()));
    assert_eq!(work.inner.ears.inside.available_permits(), 1);
}

#[tokio::test]
async fn what_is_refused() {
    let (engines, _, _) = scripted(vec![]);
    let work = SoundWork::new(engines, limits());
    assert_eq!(
        work.transcribe(b"hello there".to_vec()).await,
        Err(FileError::Unknown.into())
    );
    assert_eq!(
        work.hear(vec![0; 16_000 * 121]).await,
        Err(FileError::TooLong { max_s: 120 }.into())
    );
    assert_eq!(
        work.speak(&"word ".repeat(20)).await,
        Err(SoundError::TextTooLong { max: 60 })
    );
    assert_eq!(work.speak(" ").await, Err(SoundError::NothingToSay));
    let (_sender, failed) = watch::channel(EngineState::Failed("no model".to_owned()));
    let work = SoundWork::new(failed, limits());
    assert_eq!(
        work.speak("Hello.").await,
        Err(SoundError::NotReady("no model".to_owned()))
    );
}

#[tokio::test]
async fn a_call_goes_first_and_the_note_is_heard_after_it() {
    // The note is at work when a caller's words come: it is stopped, and asked for again.
    let script = vec![
        Line::WaitThenSay("never".to_owned()),
        Line::Say("call".to_owned()),
        Line::Say("note".to_owned()),
    ];
    let (receiver, gate, engines) = scripted(script);
    let work = SoundWork::new(receiver, limits());
    let hearing = tokio::spawn({
        let work = work.clone();
        async move { work.hear(tones(&[(1, 0)])).await }
    });
    let reached = gate.clone();
    tokio::task::spawn_blocking(move || reached.wait_until_reached())
        .await
        .expect("waits");
    let (tell, told) = oneshot::channel();
    let job = asr::Job {
        caller: 1,
        utterance: 1,
        kind: Kind::Final,
        pcm: tones(&[(1, 0)]).into(),
        cancelled: Arc::default(),
        done: Box::new(move |outcome| drop(tell.send(outcome))),
    };
    assert!(engines.asr.submit(job).is_ok());
    assert_eq!(told.await.expect("told").expect("heard").text, "call");
    let note = hearing.await.expect("no panic").expect("heard");
    assert_eq!(note.text, "note");
}

#[tokio::test]
async fn so_many_at_once_and_dropping_makes_room() {
    let script = vec![
        Line::WaitThenSay("one".to_owned()),
        Line::Say("two".to_owned()),
    ];
    let (receiver, gate, _engines) = scripted(script);
    let work = SoundWork::new(receiver, limits());
    let spawn = |work: &SoundWork| {
        let work = work.clone();
        tokio::spawn(async move { work.hear(tones(&[(1, 0)])).await })
    };
    let first = spawn(&work);
    let reached = gate.clone();
    tokio::task::spawn_blocking(move || reached.wait_until_reached())
        .await
        .expect("waits");
    // One inside, one in front: the third is told at once.
    let second = spawn(&work);
    tokio::task::yield_now().await;
    while work.inner.ears.all.available_permits() > 0 {
        tokio::task::yield_now().await;
    }
    assert_eq!(work.hear(tones(&[(1, 0)])).await, Err(SoundError::Busy));
    // Nobody waits for the first any more: the engine is free without the gate being opened.
    first.abort();
    let second = second.await.expect("no panic").expect("heard");
    assert_eq!(second.text, "two");
}

#[tokio::test]
async fn a_text_comes_clause_by_clause_and_as_a_voice_note() {
    let (receiver, _, _) = scripted(vec![]);
    let work = SoundWork::new(receiver, limits());
    let text = "Good morning. The kettle is on, and the door is locked.";
    let mut clauses = work.speak_clauses(text).expect("short enough");
    let mut count = 0;
    let mut samples = 0;
    while let Some(clause) = clauses.recv().await {
        count += 1;
        samples += clause.expect("spoken").len();
    }
    assert!(count >= 2, "{count}");
    let whole = work.speak(text).await.expect("spoken");
    assert_eq!(whole.pcm.len(), samples);
    let note = to_ogg_opus(whole.pcm.clone()).await.expect("encoded");
    let back = file::read(&note).expect("our own file");
    assert_eq!(back.samples.len(), whole.pcm.len());
    assert_eq!(u64::from(whole.duration_ms()), back.duration_ms());
}
