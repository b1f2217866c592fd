//! What starts speech and what does not, on the golden clips and on everything else a line carries.
use super::*;
use crate::clips;

/// Events over a clip, with the state at its end.
fn listen(pcm: &[i16], tone: bool) -> (Vec<VadEvent>, Vad) {
    let mut vad = Vad::new(VadConfig::default());
    let events = pcm
        .chunks_exact(FRAME_SAMPLES)
        .filter_map(|frame| vad.frame(frame.try_into().expect("a whole frame"), tone))
        .collect();
    (events, vad)
}

fn not_speech() -> Vec<(&'static str, Vec<i16>)> {
    let steady = (9.0, 0.0);
    vec![
        ("silence", clips::silence(8.0)),
        ("white noise", clips::white_noise(8.0, 0.1)),
        ("faint white noise", clips::white_noise(8.0, 0.003)),
        ("pink noise", clips::pink_noise(8.0, 0.1)),
        ("hum 50", clips::hum(8.0, 50.0, 0.1)),
        ("hum 60", clips::hum(8.0, 60.0, 0.3)),
        (
            "dial tone, North America",
            clips::tones(8.0, &[350.0, 440.0], steady, 0.3),
        ),
        (
            "dial tone, Europe",
            clips::tones(8.0, &[425.0], steady, 0.3),
        ),
        (
            "ringback, North America",
            clips::tones(12.0, &[440.0, 480.0], (2.0, 4.0), 0.3),
        ),
        (
            "ringback, Europe",
            clips::tones(12.0, &[425.0], (1.0, 4.0), 0.3),
        ),
        (
            "ringback, Britain",
            clips::tones(12.0, &[400.0, 450.0], (0.4, 0.2), 0.3),
        ),
        (
            "busy, North America",
            clips::tones(8.0, &[480.0, 620.0], (0.5, 0.5), 0.3),
        ),
        (
            "busy, Europe",
            clips::tones(8.0, &[425.0], (0.48, 0.48), 0.1),
        ),
        ("congestion", clips::tones(8.0, &[425.0], (0.24, 0.24), 0.3)),
        (
            "DTMF 5",
            clips::tones(4.0, &[770.0, 1_336.0], (0.1, 0.1), 0.3),
        ),
        (
            "DTMF 1",
            clips::tones(4.0, &[697.0, 1_209.0], (0.08, 0.08), 0.3),
        ),
        (
            "DTMF #",
            clips::tones(4.0, &[941.0, 1_477.0], (0.25, 0.25), 0.3),
        ),
        (
            "fax calling",
            clips::tones(8.0, &[1_100.0], (0.5, 3.0), 0.3),
        ),
        (
            "special information",
            clips::tones(4.0, &[950.0], (0.33, 0.66), 0.3),
        ),
        ("fax answering", clips::tones(4.0, &[2_100.0], steady, 0.3)),
    ]
}

#[test]
fn what_is_no_speech_starts_none() {
    for (name, pcm) in not_speech() {
        for (line, pcm) in [
            ("wide", pcm.clone()),
            ("telephone", clips::through_telephone(&pcm)),
        ] {
            let (events, _) = listen(&pcm, false);
            assert_eq!(events, [], "{name}, {line}");
            assert_eq!(voiced_ms(&pcm), 0, "{name}, {line}");
        }
    }
}

#[test]
fn golden_clips_are_speech_wherever_they_come_from() {
    for clip in clips::golden() {
        let quiet: Vec<i16> = clip.pcm.iter().map(|s| s / 10).collect();
        let noise = clips::white_noise(10.0, 0.01);
        let noisy: Vec<i16> = clip
            .pcm
            .iter()
            .zip(&noise)
            .map(|(a, b)| a.saturating_add(*b))
            .collect();
        for (way, pcm) in [
            ("wide", clip.pcm.clone()),
            ("telephone", clips::through_telephone(&clip.pcm)),
            ("20 dB down", quiet),
            ("noisy", noisy),
        ] {
            let mut padded = clips::silence(0.5);
            padded.extend(&pcm);
            padded.extend(clips::silence(0.5));
            let (events, vad) = listen(&padded, false);
            assert!(
                matches!(events[..], [VadEvent::SpeechStarted { .. }, ..]),
                "{} {way}: {events:?}",
                clip.name
            );
            // Speech ends: the last event is a stop, within the clip and its tail.
            let Some(VadEvent::SpeechStopped { at }) = events.last() else {
                panic!("{} {way}: {events:?}", clip.name);
            };
            assert!(*at as usize <= padded.len(), "{} {way}", clip.name);
            assert!(
                !vad.is_speech() && vad.silence_ms() >= 200,
                "{} {way}",
                clip.name
            );
            assert_eq!(
                vad.position() as usize,
                padded.len() / FRAME_SAMPLES * FRAME_SAMPLES
            );
            // Each event follows from the one before: a stop only from a pause, a return only from a pause.
            for pair in events.windows(2) {
                use VadEvent::{SpeechPaused, SpeechResumed, SpeechStarted, SpeechStopped};
                let follows = match pair[0] {
                    SpeechStarted { .. } | SpeechResumed { .. } => {
                        matches!(pair[1], SpeechPaused { .. })
                    }
                    SpeechPaused { at } => match pair[1] {
                        SpeechResumed { at: back } => back > at,
                        SpeechStopped { at: stopped } => stopped == at,
                        _ => false,
                    },
                    SpeechStopped { .. } => matches!(pair[1], SpeechStarted { .. }),
                };
                assert!(follows, "{} {way}: {events:?}", clip.name);
            }
        }
    }
}

#[test]
fn the_onset_lies_within_the_pre_roll() {
    for clip in clips::golden() {
        // The first 10 ms that stand out of the silence are where a listener hears it begin.
        let begin = clip
            .pcm
            .chunks(160)
            .position(|c| c.iter().any(|s| s.abs() > 1_000))
            .expect("sound")
            * 160;
        let (events, _) = listen(&clip.pcm, false);
        let Some(VadEvent::SpeechStarted { at }) = events.first() else {
            panic!("{}: no start", clip.name);
        };
        assert!(
            (*at as usize) < begin + ms_to_samples(250),
            "{}: {at} for {begin}",
            clip.name
        );
    }
}

#[test]
fn a_tone_known_to_the_caller_is_no_speech() {
    let clip = &clips::golden()[0];
    assert_eq!(listen(&clip.pcm, true).0, []);
}

#[test]
fn speech_right_after_a_tone_is_heard() {
    let mut pcm = clips::tones(2.0, &[440.0, 480.0], (9.0, 0.0), 0.3);
    pcm.extend(&clips::golden()[0].pcm);
    let (events, _) = listen(&pcm, false);
    let Some(VadEvent::SpeechStarted { at }) = events.first() else {
        panic!("{events:?}");
    };
    assert!((32_000..45_000).contains(at), "{at}");
}

#[test]
fn clicks_are_no_speech() {
    let mut pcm = clips::silence(3.0);
    for at in (1_000..46_000).step_by(9_000) {
        pcm[at..at + 40].fill(20_000);
    }
    assert_eq!(listen(&pcm, false).0, []);
}

#[test]
fn reset_is_a_new_beginning() {
    let clip = &clips::golden()[0];
    let (expected, mut vad) = listen(&clip.pcm, false);
    vad.reset();
    assert_eq!((vad.position(), vad.is_speech()), (0, false));
    let again: Vec<VadEvent> = clip
        .pcm
        .chunks_exact(FRAME_SAMPLES)
        .filter_map(|frame| vad.frame(frame.try_into().expect("a whole frame"), false))
        .collect();
    assert_eq!(again, expected);
}

#[test]
fn any_samples_do_no_harm() {
    let mut noise = clips::Noise::new(3);
    let mut vad = Vad::new(VadConfig::default());
    for _ in 0..500 {
        let frame = std::array::from_fn(|_| noise.bits() as i16);
        vad.frame(&frame, noise.bits().is_multiple_of(2));
        assert!((0.0..=1.0).contains(&vad.probability()));
    }
    for extreme in [i16::MIN, i16::MAX] {
        vad.frame(&[extreme; FRAME_SAMPLES], false);
    }
}
