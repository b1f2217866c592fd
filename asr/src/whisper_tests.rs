//! The real embedded model on real sound: the golden clips word for word, everything that is no speech, and the traps of
//! whisper.cpp one by one.
use std::sync::atomic::{AtomicBool, Ordering};

use super::*;
use crate::{clips, plausibility};

fn engine() -> WhisperEngine {
    let mut engine = WhisperEngine::open(&ModelSource::Embedded, &WhisperConfig::default())
        .expect("the embedded model opens");
    engine.warm().expect("warms");
    engine
}

fn hear(engine: &mut WhisperEngine, pcm: &[i16]) -> Transcript {
    engine
        .transcribe(pcm, &Options::default())
        .expect("transcribes")
}

#[test]
fn golden_clips_word_for_word() {
    let mut engine = engine();
    for clip in clips::golden() {
        for (line, pcm) in [
            ("wide", clip.pcm.clone()),
            ("telephone", clips::through_telephone(&clip.pcm)),
        ] {
            let heard = hear(&mut engine, &pcm);
            assert_eq!(heard.text, clip.transcript, "{} {line}", clip.name);
            assert!(!heard.no_speech && !heard.truncated, "{} {line}", clip.name);
            assert!(heard.avg_logprob > -0.5, "{} {line}: {heard:?}", clip.name);
            assert_eq!(heard.audio_ms as usize, pcm.len() / 16);
        }
    }
}

#[test]
fn golden_clips_through_the_detector_and_the_collector() {
    use crate::utterance::{Utterance, UtteranceConfig};
    use crate::vad::{Vad, VadConfig, VadEvent};
    let mut engine = engine();
    for clip in clips::golden() {
        let mut vad = Vad::new(VadConfig::default());
        let mut utterance = Utterance::new(UtteranceConfig::default());
        let mut pcm = clips::silence(1.0);
        pcm.extend(clips::through_telephone(&clip.pcm));
        pcm.extend(clips::silence(1.0));
        let mut early = Arc::from([]);
        for frame in pcm.as_chunks().0 {
            utterance.push_frame(frame);
            match vad.frame(frame, false) {
                Some(VadEvent::SpeechStarted { at }) => utterance.start(at),
                Some(VadEvent::SpeechStopped { at }) => utterance.stop(at),
                Some(VadEvent::SpeechPaused { at }) => {
                    utterance.pause(at);
                    early = utterance.snapshot();
                }
                Some(VadEvent::SpeechResumed { .. }) => utterance.resume(),
                None => {}
            }
        }
        let kept = utterance.take();
        assert!(early == kept, "{}: a final over another sound", clip.name);
        assert!(kept.len() < pcm.len() - 16_000, "{}", clip.name);
        assert_eq!(
            hear(&mut engine, &kept).text,
            clip.transcript,
            "{}",
            clip.name
        );
    }
}

#[test]
fn what_is_no_speech_has_no_words() {
    let mut engine = engine();
    // A long clip first: what it leaves in the caches must not turn up in the silence after it.
    let long = clips::golden().pop().expect("a clip");
    for (name, pcm) in [
        ("silence", clips::silence(3.0)),
        ("white noise", clips::white_noise(3.0, 0.1)),
        ("pink noise", clips::pink_noise(3.0, 0.1)),
        ("hum", clips::hum(3.0, 50.0, 0.2)),
        (
            "DTMF",
            clips::tones(2.0, &[770.0, 1_336.0], (0.1, 0.1), 0.3),
        ),
        // Louder music passes the detector of voice, and then this model does hear words in it.
        ("soft music", clips::music(4.0, 0.1)),
        (
            "ringback",
            clips::tones(6.0, &[440.0, 480.0], (2.0, 4.0), 0.3),
        ),
    ] {
        engine.forget();
        hear(&mut engine, &long.pcm);
        // Whole, and every half second of it as a look at something that goes on.
        for length in (8_000..pcm.len()).step_by(8_000).chain([pcm.len()]) {
            for kind in [Kind::Partial, Kind::Early, Kind::Final] {
                let options = Options {
                    kind,
                    ..Options::default()
                };
                let heard = engine
                    .transcribe(&pcm[..length], &options)
                    .expect("transcribes");
                assert_eq!(
                    (heard.text.as_str(), heard.no_speech),
                    ("", true),
                    "{name}, {length} samples, {kind:?}"
                );
            }
        }
    }
}

#[test]
fn the_same_sound_is_decoded_once() {
    let first = engine();
    let mut fork = first.fork();
    let mut engine = first;
    let clips = clips::golden();
    let clip = &clips[0];
    let heard = hear(&mut engine, &clip.pcm);
    // Without a state there is no decoder: what is said now was remembered, by the fork too.
    for engine in [&mut engine, &mut fork] {
        engine.state = None;
        for kind in [Kind::Partial, Kind::Early, Kind::Final] {
            let options = Options {
                kind,
                ..Options::default()
            };
            let again = engine.transcribe(&clip.pcm, &options).expect("transcribes");
            assert_eq!(
                (again.text, again.avg_logprob, again.audio_ms),
                (heard.text.clone(), heard.avg_logprob, heard.audio_ms)
            );
            assert!(engine.state.is_none(), "{kind:?}");
        }
    }
    // One sample more is another sound.
    hear(&mut engine, &[&clip.pcm[..], &[0]].concat());
    assert!(engine.state.is_some());
    // Forgetting is thorough.
    engine.forget();
    engine.state = None;
    hear(&mut engine, &clip.pcm);
    assert!(engine.state.is_some());
}

#[test]
fn a_growing_turn_is_decoded_piece_by_piece() {
    let mut engine = engine();
    let mut pcm = Vec::new();
    for clip in clips::golden()
        .iter()
        .filter(|clip| clip.name.starts_with("seen"))
    {
        pcm.extend(&clip.pcm);
        pcm.extend(clips::silence(0.5));
    }
    // Partials of it, then its words at the end, beside the words of hearing it all at once.
    let looks = (0..pcm.len()).step_by(ms_to_samples(1_000));
    for length in looks {
        hear(&mut engine, &pcm[..length]);
    }
    let pieces = window::cut(&pcm, &engine.info.cut);
    assert!(pieces.len() > 4, "{pieces:?}");
    let finished = &pieces[..pieces.len() - 2];
    for piece in finished {
        let sound = Sound::new(&pcm[piece.range.clone()]);
        let audio_ctx = engine.audio_ctx(sound.pcm().len() + ms_to_samples(LEAD_MS));
        assert!(
            engine.pieces().decoded(&sound, audio_ctx).is_some(),
            "{piece:?} was not heard while the turn went on"
        );
    }
    let text = hear(&mut engine, &pcm).text;
    engine.forget();
    assert_eq!(hear(&mut engine, &pcm).text, text);
}

#[test]
fn the_model_itself_finds_no_words_in_silence_either() {
    // Past the voice gate: flash attention or suppress_blank, switched on by mistake, invents words here.
    let mut engine = engine();
    let long = clips::golden().pop().expect("a clip");
    for (name, pcm) in [
        ("silence", clips::silence(2.0)),
        ("noise", clips::white_noise(2.3, 0.05)),
        ("short silence", clips::silence(0.2)),
    ] {
        hear(&mut engine, &long.pcm);
        let heard = engine
            .hear(&Sound::new(&pcm), &Options::default())
            .expect("decodes");
        assert_eq!(heard.text, "", "{name}");
    }
}

#[test]
fn any_length_is_taken() {
    let mut engine = engine();
    let clip = &clips::golden()[0];
    for samples in [
        0, 1, 2, 160, 199, 200, 201, 320, 1_599, 1_600, 1_761, 4_000, 16_000,
    ] {
        hear(&mut engine, &clip.pcm[4_000..4_000 + samples]);
        let piece = &clip.pcm[4_000..4_000 + samples];
        engine
            .hear(&Sound::new(piece), &Options::default())
            .expect("decodes");
    }
}

#[test]
fn long_audio_loses_and_doubles_no_words() {
    let mut engine = engine();
    // Clips that the model hears right however they are cut, with half a second between them.
    let clips: Vec<_> = clips::golden()
        .into_iter()
        .filter(|clip| clip.name.starts_with("seen"))
        .collect();
    let mut pcm = Vec::new();
    let mut expected = Vec::new();
    for clip in clips.iter().chain(&clips) {
        pcm.extend(&clip.pcm);
        pcm.extend(clips::silence(0.5));
        expected.extend(plausibility::words(&clip.transcript));
    }
    assert!(pcm.len() > 2 * ms_to_samples(engine.info().window_ms_max));
    let heard = plausibility::words(&hear(&mut engine, &pcm).text);
    // Joined sentences are harder for this model than single ones; the count shows what windowing loses or doubles.
    let common = longest_common(&heard, &expected);
    assert!(
        common * 100 >= expected.len() * 95,
        "{common} of {}: {heard:?}",
        expected.len()
    );
    assert!(heard.len() * 100 <= expected.len() * 105, "{heard:?}");
}

/// Length of the longest common subsequence.
fn longest_common(a: &[String], b: &[String]) -> usize {
    let mut row = vec![0; b.len() + 1];
    for left in a {
        let mut diagonal = 0;
        for (n, right) in b.iter().enumerate() {
            let above = row[n + 1];
            row[n + 1] = if left == right {
                diagonal + 1
            } else {
                above.max(row[n])
            };
            diagonal = above;
        }
    }
    row[b.len()]
}

#[test]
fn stopped_before_and_in_the_middle_and_usable_after() {
    let mut engine = engine();
    let clip = &clips::golden()[0];
    let stopped = Options::new(Kind::Final, Arc::new(AtomicBool::new(true)));
    assert_eq!(
        engine.transcribe(&clip.pcm, &stopped),
        Err(AsrError::Cancelled)
    );
    let preempted = Options::default();
    preempted.preempted.store(true, Ordering::Relaxed);
    assert_eq!(
        engine.transcribe(&clip.pcm, &preempted),
        Err(AsrError::Superseded)
    );
    // Inside whisper.cpp: past our own first look, the callback alone can stop it.
    assert_eq!(
        engine
            .hear(&Sound::new(&clip.pcm), &stopped)
            .map(|d| d.text),
        Err(AsrError::Cancelled)
    );
    assert!(engine.pieces().is_empty(), "a stopped decode was kept");
    assert_eq!(hear(&mut engine, &clip.pcm).text, clip.transcript);
}

#[test]
fn forks_share_weights_and_nothing_else() {
    let first = engine();
    let clip = &clips::golden()[0];
    let threads: Vec<_> = (0..2)
        .map(|_| {
            let (mut fork, pcm) = (first.fork(), clip.pcm.clone());
            std::thread::spawn(move || hear(&mut fork, &pcm).text)
        })
        .collect();
    for thread in threads {
        assert_eq!(thread.join().expect("no panic"), clip.transcript);
    }
}

#[test]
fn audio_context_follows_the_length() {
    let mut engine = engine();
    for (policy, ms, expected) in [
        (AudioContext::Auto, 1_000, 80),
        (AudioContext::Auto, 3_000, 180),
        (AudioContext::Auto, 40_000, 1_500),
        (AudioContext::AtLeast(512), 3_000, 512),
        (AudioContext::AtLeast(u32::MAX), 3_000, 1_500),
        (AudioContext::Full, 1_000, 1_500),
    ] {
        engine.audio_context = policy;
        assert_eq!(
            engine.audio_ctx(ms_to_samples(ms)),
            expected,
            "{policy:?} {ms}"
        );
    }
}

#[test]
fn openings_that_fail_say_why() {
    let english = WhisperConfig::default();
    let german = WhisperConfig {
        language: "de".to_owned(),
        ..WhisperConfig::default()
    };
    let open = |source: &ModelSource, config| WhisperEngine::open(source, config).map(drop);
    assert!(matches!(
        open(&ModelSource::File("no/such/model.bin".into()), &english),
        Err(AsrError::ModelUnreadable { .. })
    ));
    assert!(matches!(
        open(
            &ModelSource::File(env!("CARGO_MANIFEST_DIR").into()),
            &english
        ),
        Err(AsrError::ModelUnreadable { .. })
    ));
    let cut = &model_file::embedded()[..2_000_000];
    assert!(matches!(
        open(&ModelSource::Bytes("cut".to_owned(), cut.into()), &english),
        Err(AsrError::ModelCorrupt { .. })
    ));
    assert!(matches!(
        open(&ModelSource::Embedded, &german),
        Err(AsrError::LanguageUnknown { .. })
    ));
}

#[test]
fn damaged_models_never_end_the_process() {
    // Damage all over the file, mostly in the header, where it is worst. What the inspection lets through goes all the
    // way into whisper.cpp and a decode; an abort there would end this test program.
    let sound = model_file::embedded();
    let mut noise = clips::Noise::new(5);
    let mut refused = 0;
    for round in 0..60 {
        let mut bytes = sound.to_vec();
        let reach = if round % 3 == 0 {
            bytes.len() as u64
        } else {
            48
        };
        for _ in 0..1 + noise.bits() % 3 {
            let at = usize::try_from(noise.bits() % reach).expect("an index");
            bytes[at] = noise.bits() as u8;
        }
        let source = ModelSource::Bytes("damaged".to_owned(), bytes.into());
        match WhisperEngine::open(&source, &WhisperConfig::default()) {
            Ok(mut engine) => {
                let _ = engine.hear(&Sound::new(&[100; 8_000]), &Options::default());
            }
            Err(AsrError::ModelCorrupt { .. }) => refused += 1,
            Err(other) => panic!("{other}"),
        }
    }
    assert!(refused >= 30, "{refused}");
}
