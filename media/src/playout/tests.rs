//! Pacing, pauses and the record of what was heard.

use super::*;

const CLAUSE: &str = "one two three four";

fn tone(ms: usize) -> Vec<i16> {
    (0..ms * SAMPLES_PER_MS)
        .map(|n| (6_000.0 * (n as f64 * 0.2).sin()) as i16)
        .collect()
}

fn speaking(pcm: &[i16]) -> Playout {
    let mut playout = Playout::new(PlayoutConfig::default());
    playout.push(1, 0, CLAUSE, pcm, true).unwrap();
    playout.finish(1);
    playout
}

fn frames(playout: &mut Playout, count: usize) -> (Vec<i16>, Vec<PlayoutEvent>) {
    let now = Instant::now();
    let mut samples = Vec::new();
    let mut events = Vec::new();
    for _ in 0..count {
        let (frame, event) = playout.next_frame(now);
        samples.extend(frame);
        events.extend(event);
    }
    (samples, events)
}

#[test]
fn a_reply_plays_whole_and_once() {
    let pcm = tone(110);
    let mut playout = speaking(&pcm);
    assert!(playout.is_speaking());
    assert_eq!(playout.queued_ms(), 110);
    let (samples, events) = frames(&mut playout, 7);
    assert_eq!(&samples[..pcm.len()], &pcm[..]);
    assert!(samples[pcm.len()..].iter().all(|&sample| sample == 0));
    let heard = Heard {
        text: CLAUSE.into(),
        samples: pcm.len() as u64,
        complete: true,
    };
    assert_eq!(
        events,
        [
            PlayoutEvent::Started { reply: 1 },
            PlayoutEvent::Finished {
                reply: 1,
                heard: heard.clone()
            }
        ]
    );
    assert_eq!(playout.heard(1), heard);
    assert_eq!(playout.stop(1), heard);
    assert!(!playout.is_speaking());
}

#[test]
fn quiet_edges_of_a_clause_hold_no_words() {
    let mut pcm = vec![0; 500 * SAMPLES_PER_MS];
    pcm.extend(tone(1_000));
    pcm.extend(vec![3; 600 * SAMPLES_PER_MS]);
    for (ms, expected) in [(500, ""), (1_500, CLAUSE), (2_100, CLAUSE)] {
        let mut playout = speaking(&pcm);
        frames(&mut playout, ms / 20);
        assert_eq!(playout.heard(1).text, expected, "after {ms} ms");
    }
}

#[test]
fn a_growing_clause_is_not_credited_early() {
    let mut playout = Playout::new(PlayoutConfig::default());
    playout.push(1, 0, CLAUSE, &tone(200), false).unwrap();
    frames(&mut playout, 10);
    assert!(playout.heard(1).text.split_whitespace().count() <= 1);
    playout.push(1, 0, "", &tone(1_000), true).unwrap();
    frames(&mut playout, 60);
    assert_eq!(playout.heard(1).text, CLAUSE);
    assert!(!playout.heard(1).complete, "the reply is not finished");
    playout.finish(1);
    assert!(playout.heard(1).complete);
}

#[test]
fn pause_loses_nothing() {
    let pcm = tone(300);
    let mut playout = speaking(&pcm);
    let (first, _) = frames(&mut playout, 3);
    playout.pause();
    let (quiet, _) = frames(&mut playout, 4);
    assert!(
        quiet[..80].iter().any(|&sample| sample != 0),
        "faded, not cut"
    );
    assert!(quiet[80..].iter().all(|&sample| sample == 0));
    assert_eq!(playout.heard(1).samples, 960);
    playout.resume();
    let (rest, _) = frames(&mut playout, 12);
    assert_eq!(first, pcm[..960]);
    // All but the fade-in of 5 ms.
    assert_eq!(rest[80..], pcm[960 + 80..]);
    assert!(rest[0].abs() <= pcm[960].abs());
}

#[test]
fn stop_fades_and_frees_the_way() {
    let mut playout = speaking(&tone(1_000));
    playout.push(2, 0, "next", &tone(100), true).unwrap();
    frames(&mut playout, 10);
    let heard = playout.stop(1);
    assert_eq!((heard.samples, heard.complete), (3_200, false));
    // Late sound of a stopped reply is dropped.
    playout.push(1, 1, "late", &tone(100), true).unwrap();
    assert_eq!(playout.queued_ms(), 100);
    let (_, events) = frames(&mut playout, 1);
    assert_eq!(events, [PlayoutEvent::Started { reply: 2 }]);

    let mut alone = speaking(&tone(1_000));
    frames(&mut alone, 10);
    alone.stop(1);
    let (samples, events) = frames(&mut alone, 2);
    assert!(samples[..80].iter().any(|&sample| sample != 0));
    assert!(samples[80..].iter().all(|&sample| sample == 0));
    assert!(events.is_empty());
}

#[test]
fn underrun_is_told_once_until_sound_comes() {
    let mut playout = Playout::new(PlayoutConfig::default());
    playout.push(1, 0, CLAUSE, &tone(40), true).unwrap();
    let (_, events) = frames(&mut playout, 6);
    assert_eq!(
        events,
        [
            PlayoutEvent::Started { reply: 1 },
            PlayoutEvent::Underrun { reply: 1 }
        ]
    );
    playout.push(1, 1, "more", &tone(20), true).unwrap();
    playout.finish(1);
    let (_, events) = frames(&mut playout, 2);
    assert!(
        matches!(events[..], [PlayoutEvent::Finished { reply: 1, .. }]),
        "{events:?}"
    );
}

#[test]
fn an_empty_reply_finishes() {
    let mut playout = Playout::new(PlayoutConfig::default());
    playout.finish(9);
    let (_, events) = frames(&mut playout, 1);
    let heard = Heard {
        complete: true,
        ..Heard::default()
    };
    assert_eq!(events, [PlayoutEvent::Finished { reply: 9, heard }]);
}

#[test]
fn the_queue_is_bounded() {
    let mut playout = Playout::new(PlayoutConfig {
        queue_ms_max: 1_000,
        ..PlayoutConfig::default()
    });
    playout.push(1, 0, "a", &tone(600), false).unwrap();
    let full = Full {
        queued_ms: 600,
        pushed_ms: 600,
    };
    assert_eq!(playout.push(1, 0, "", &tone(600), false), Err(full));
    playout.push(1, 0, "", &tone(400), false).unwrap();
    for reply in 2..100 {
        playout.finish(reply);
    }
    assert!(playout.replies.len() <= REPLIES_QUEUED_MAX);
}

#[test]
fn deadlines_keep_the_grid() {
    let start = Instant::now();
    let at = |ms: u64| start + Duration::from_millis(ms);
    let mut playout = Playout::new(PlayoutConfig::default());
    assert_eq!(playout.next_deadline(), None);
    playout.start(start);
    // When the frame is asked for, when the next one is due, frames skipped so far.
    for (called, due, skipped) in [
        (0, 20, 0),
        (23, 40, 0),
        (59, 60, 0),
        (119, 80, 0),
        (121, 100, 0),
        (122, 120, 0),
        (200, 220, 4),
        (221, 240, 4),
        (10_000, 10_020, 492),
    ] {
        playout.next_frame(at(called));
        assert_eq!(playout.next_deadline(), Some(at(due)), "after {called} ms");
        assert_eq!(playout.frames_skipped(), skipped, "after {called} ms");
    }
}

#[test]
fn ducking_is_a_ramp() {
    let mut playout = Playout::new(PlayoutConfig::default());
    playout.push(1, 0, "loud", &[10_000; 3_200], true).unwrap();
    playout.duck(-20.0);
    let (samples, _) = frames(&mut playout, 2);
    assert!(samples[0] > 9_800 && samples[40] > 5_000);
    assert!(samples[80..].iter().all(|&sample| sample == 1_000));
    playout.duck(0.0);
    let (samples, _) = frames(&mut playout, 2);
    assert!(samples[100..].iter().all(|&sample| sample == 10_000));
}

#[test]
fn a_clause_cut_off_by_its_voice_is_not_heard_whole() {
    let mut playout = Playout::new(PlayoutConfig::default());
    let long = "one two three four five six seven eight nine ten eleven twelve";
    playout.push(1, 0, long, &tone(600), false).unwrap();
    playout.cut_off(1, 0);
    playout.push(1, 0, "", &[], true).unwrap();
    playout.finish(1);
    frames(&mut playout, 40);
    let heard = playout.heard(1);
    assert!(!heard.complete);
    let count = heard.text.split_whitespace().count();
    assert!((1..6).contains(&count), "{count} words in 600 ms");
}
