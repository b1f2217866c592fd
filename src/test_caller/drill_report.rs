//! `offhook call --drill`: from options to sounds, calls and their table or JSON.
//! Owns files, voice and output; the steps are `script`'s, their playing `drill`'s, their meaning `figures`'s.

use std::net::SocketAddr;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, bail};
use media::SAMPLE_RATE_HZ;
use media::file::Clip;
use serde_json::json;

use super::drill::{self, Outcome, Place, Prepared};
use super::figures::{Figures, Row, Summary, summary};
use super::report::{self, CallOptions};
use super::script::{self, Sound, Step, name};
use super::timeline::percentile;
use super::utterance;
use crate::config::Config;
use crate::home::Home;

/// A drill's part of what `offhook call` was asked for.
#[derive(Debug, Clone)]
pub struct DrillOptions {
    /// A file, or one that comes with the program: `standard`, `quick`, `turns`.
    pub drill: String,
    /// WAV files of this folder take the place of what the turns ask, in the order of their names.
    pub clips: Option<PathBuf>,
    /// Calls at the same time.
    pub calls: u32,
    /// RTP without signalling, to this address.
    pub rtp: Option<SocketAddr>,
    /// Voice of the caller; other than the answering one, so that they can be told apart.
    pub voice: String,
}

/// What ends a reply that is longer than what is looked at.
const STOP: &str = "Stop.";
/// Calls begin so far apart, so that their steps do not fall together.
const STAGGER: Duration = Duration::from_millis(1_300);
/// The caller's own packets this late and later: the machine was too busy.
const LATE_US_MAX: u32 = 5_000;
/// Silence that a comma in the middle of a sentence gives a voice, at the least.
const COMMA_MS_MIN: usize = 50;
/// Below this, a sample of the caller's own voice is silence: −45 dB of full scale.
const SILENT: u16 = 184;

/// Places the calls, prints what came of them. Whether every step was played and every turn answered.
pub async fn run(
    home: Home,
    config: Config,
    options: CallOptions,
    drill: DrillOptions,
) -> anyhow::Result<bool> {
    let (steps, folder) = steps(&drill.drill)?;
    let steps = match &drill.clips {
        Some(clips) => with_clips(steps, clips)?,
        None => steps,
    };
    let mut voice = tts::voices::open(&drill.voice, 1.0).context("the caller's voice")?;
    let mut speaker = Speaker {
        voice: voice.as_mut(),
        folder,
    };
    let prepared: Vec<Prepared> = steps
        .into_iter()
        .map(|step| speaker.prepare(step))
        .collect::<anyhow::Result<_>>()?;
    let stop = speaker.sound(&Sound::Text(STOP.to_owned()))?;
    let place = Place {
        server: report::server(&config, &options),
        transport: report::transport(&options),
        account: report::account(&home, &config, &options, drill.rtp.is_some())?,
        number: options.number.clone(),
        bare_rtp: drill.rtp,
        reply_max: Duration::from_secs(u64::from(options.reply_s_max.max(1))),
        stop,
    };
    let (prepared, place) = (Arc::new(prepared), Arc::new(place));
    let load_before = load();
    let mut calls = Vec::new();
    for n in 0..drill.calls.max(1) {
        let (prepared, place) = (prepared.clone(), place.clone());
        let is_told = !options.json && drill.calls <= 1;
        calls.push(tokio::spawn(async move {
            tokio::time::sleep(STAGGER * n).await;
            let mut count = 0;
            let tell = |step: &Step| {
                count += 1;
                if is_told {
                    eprintln!(
                        "{count:>4} of {}  {:<12} {}",
                        prepared.len(),
                        step.kind(),
                        step.label()
                    );
                }
            };
            drill::play(&place, &prepared, tell).await
        }));
    }
    let mut outcomes = Vec::new();
    for call in calls {
        outcomes.push(call.await??);
    }
    if let (Some(path), Some(first)) = (&options.record, outcomes.first()) {
        let clip = Clip {
            rate_hz: 8000,
            samples: first.heard.clone(),
        };
        let wav = media::file::wav::write(&clip);
        std::fs::write(path, wav).with_context(|| format!("recording {}", path.display()))?;
    }
    let played = outcomes.iter().flat_map(|outcome| {
        let steps = prepared.iter().map(|prepared| &prepared.step);
        steps.zip(&outcome.figures)
    });
    let sum = summary(played);
    let loads = (load_before, load());
    let text = match options.json {
        true => format!("{:#}\n", as_json(&sum, &outcomes, &prepared, &loads)),
        false => lines(&outcomes, &prepared) + &table(&sum, &outcomes, &loads),
    };
    crate::commands::print(&text)?;
    let is_whole = outcomes
        .iter()
        .all(|outcome| outcome.figures.len() == prepared.len());
    Ok(is_whole && sum.unanswered == 0)
}

/// The steps, and the folder that their files are looked for in.
fn steps(drill: &str) -> anyhow::Result<(Vec<Step>, PathBuf)> {
    if let Some(steps) = script::built_in(drill) {
        return Ok((steps, PathBuf::new()));
    }
    let path = Path::new(drill);
    let text = std::fs::read_to_string(path).with_context(|| {
        format!("drill {drill}: neither standard, quick or turns nor a readable file")
    })?;
    let steps = script::parse(&text).with_context(|| format!("drill {drill}"))?;
    Ok((steps, path.parent().unwrap_or(Path::new("")).to_owned()))
}

fn with_clips(mut steps: Vec<Step>, folder: &Path) -> anyhow::Result<Vec<Step>> {
    let listed =
        std::fs::read_dir(folder).with_context(|| format!("folder {}", folder.display()))?;
    let mut clips: Vec<PathBuf> = listed
        .filter_map(|entry| Some(entry.ok()?.path()))
        .filter(|path| {
            path.extension()
                .is_some_and(|ending| ending.eq_ignore_ascii_case("wav"))
        })
        .map(std::path::absolute)
        .collect::<Result<_, _>>()?;
    if clips.is_empty() {
        bail!("{}: no WAV file in it", folder.display());
    }
    clips.sort();
    let mut clips = clips.iter().cycle();
    for step in &mut steps {
        if let Step::Turn { say } = step
            && let Some(clip) = clips.next()
        {
            *say = Sound::File(clip.clone());
        }
    }
    Ok(steps)
}

/// The caller's voice and the folder of its clips.
struct Speaker<'a> {
    voice: &'a mut dyn tts::engine::Engine,
    folder: PathBuf,
}

impl Speaker<'_> {
    fn prepare(&mut self, step: Step) -> anyhow::Result<Prepared> {
        let (prompt, over) = match &step {
            Step::Turn { say } => (self.sound(say)?, None),
            Step::Pause {
                pause_ms,
                first,
                second,
            } => match second {
                Some(second) => (self.paused(first, second, *pause_ms)?, None),
                None => (self.sound(first)?, None),
            },
            Step::Barge { prompt, over, .. } | Step::Backchannel { prompt, over, .. } => {
                (self.sound(prompt)?, Some(self.sound(over)?))
            }
            Step::Echo { prompt, over, .. } => {
                let over = over.as_ref().map(|over| self.sound(over)).transpose()?;
                (self.sound(prompt)?, over)
            }
        };
        if prompt.is_empty() || over.as_ref().is_some_and(Vec::is_empty) {
            bail!("{}: there is nothing to hear in it", step.label());
        }
        Ok(Prepared { step, prompt, over })
    }

    fn sound(&mut self, sound: &Sound) -> anyhow::Result<Vec<i16>> {
        match sound {
            Sound::Noise(noise) => Ok(noise.samples()),
            Sound::File(path) => {
                let path = self.folder.join(path);
                let bytes =
                    std::fs::read(&path).with_context(|| format!("reading {}", path.display()))?;
                let clip = media::file::read(&bytes)
                    .with_context(|| format!("reading {}", path.display()))?;
                Ok(utterance(&clip))
            }
            Sound::Text(text) => {
                let mut samples = Vec::new();
                let mut sink = |piece: &[i16]| {
                    samples.extend_from_slice(piece);
                    ControlFlow::Continue(())
                };
                let text = tts::text::normalise(text);
                self.voice
                    .synthesise(&text, &mut sink)
                    .context("the caller's voice")?;
                Ok(samples)
            }
        }
    }

    /// Two halves with exactly `pause_ms` of silence between their voices. Words are spoken as one sentence with a comma
    /// there, so that the first half sounds as unfinished as it is.
    fn paused(&mut self, first: &Sound, second: &Sound, pause_ms: u32) -> anyhow::Result<Vec<i16>> {
        let (before, after) = match (first, second) {
            (Sound::Text(a), Sound::Text(b)) => {
                let whole = self.sound(&Sound::Text(format!("{a}, {b}")))?;
                match longest_silence(&whole) {
                    Some(silence) => (
                        whole[..silence.start].to_vec(),
                        whole[silence.end..].to_vec(),
                    ),
                    None => (self.sound(first)?, self.sound(second)?),
                }
            }
            _ => (self.sound(first)?, self.sound(second)?),
        };
        let (mut sound, after) = (voiced(&before).to_vec(), voiced(&after));
        sound.resize(sound.len() + (pause_ms * SAMPLE_RATE_HZ / 1000) as usize, 0);
        sound.extend_from_slice(after);
        Ok(sound)
    }
}

/// `samples` without the silence at its ends.
fn voiced(samples: &[i16]) -> &[i16] {
    let is_loud = |sample: &i16| sample.unsigned_abs() >= SILENT;
    let range = samples
        .iter()
        .position(is_loud)
        .zip(samples.iter().rposition(is_loud));
    range.map_or(&[], |(from, to)| &samples[from..=to])
}

/// The longest silence inside, if there is one that a comma could have made.
fn longest_silence(samples: &[i16]) -> Option<std::ops::Range<usize>> {
    let mut longest = 0..0;
    let mut last = None;
    for (at, _) in samples
        .iter()
        .enumerate()
        .filter(|(_, sample)| sample.unsigned_abs() >= SILENT)
    {
        if let Some(last) = last
            && at - last > longest.len()
        {
            longest = last..at;
        }
        last = Some(at);
    }
    (longest.len() >= COMMA_MS_MIN * SAMPLE_RATE_HZ as usize / 1000).then_some(longest)
}

/// The machine's load, where the system tells: averages of 1, 5 and 15 minutes.
fn load() -> String {
    let text = std::fs::read_to_string("/proc/loadavg").unwrap_or_default();
    text.split_whitespace()
        .take(3)
        .collect::<Vec<_>>()
        .join(" ")
}

fn lines(outcomes: &[Outcome], prepared: &[Prepared]) -> String {
    let mut rows = Vec::new();
    for outcome in outcomes {
        for (prepared, figures) in prepared.iter().zip(&outcome.figures) {
            let step = &prepared.step;
            rows.push(vec![
                step.kind().to_owned(),
                step.label(),
                line(step, figures),
            ]);
        }
    }
    crate::commands::table(&rows) + "\n"
}

fn line(step: &Step, figures: &Figures) -> String {
    let ms = |value: Option<u32>| value.map_or_else(|| "-".to_owned(), |ms| format!("{ms} ms"));
    let latency = match figures.cut_in {
        true => "cut in".to_owned(),
        false => ms(figures.latency_ms),
    };
    let stop = || match figures.stopped {
        Some(true) => format!(
            "{latency}, stopped after {}, answered after {}",
            ms(figures.stop_ms),
            ms(figures.answer_ms)
        ),
        Some(false) => format!("{latency}, talked on"),
        None => format!("{latency}, nothing to stop"),
    };
    match (step, figures.goes_on) {
        (Step::Turn { .. } | Step::Pause { .. }, _) => latency,
        (Step::Barge { .. } | Step::Echo { over: Some(_), .. }, _) => stop(),
        (_, Some(true)) => format!("{latency}, went on {} ms late", figures.gap_ms.unwrap_or(0)),
        (_, Some(false)) => format!("{latency}, did not go on"),
        (_, None) => format!("{latency}, not comparable"),
    }
}

fn table(sum: &Summary, outcomes: &[Outcome], loads: &(String, String)) -> String {
    let head = ["", "steps", "p50", "p95", "max", "", ""]
        .map(str::to_owned)
        .to_vec();
    let row = |what: &str, row: &Row, note: String| {
        let ms = |value: Option<u32>| value.map_or_else(|| "-".to_owned(), |ms| ms.to_string());
        vec![
            what.to_owned(),
            row.steps.to_string(),
            ms(row.p(50)),
            ms(row.p(95)),
            ms(row.p(100)),
            "ms".to_owned(),
            note,
        ]
    };
    let rows = [
        row(
            "perceived latency",
            &sum.latency,
            format!("{} unanswered, {} cut in", sum.unanswered, sum.cut_ins),
        ),
        row(
            "after a pause inside",
            &sum.pause_latency,
            format!("{} false cut-ins", sum.false_cut_ins),
        ),
        row(
            "stop when spoken over",
            &sum.stop,
            format!("{} talked on", sum.not_stopped),
        ),
        row("answer to that", &sum.interruption_answer, String::new()),
        row(
            "gap by agreement, noise",
            &sum.agreement_gap,
            format!("{} stopped for good", sum.agreement_stops),
        ),
        row(
            "gap by own echo",
            &sum.echo_gap,
            format!("{} stopped for good", sum.echo_stops),
        ),
        row(
            "stop through echo",
            &sum.echo_stop,
            format!("{} talked on", sum.echo_not_stopped),
        ),
    ];
    let mut shown = vec![head];
    shown.extend(rows.into_iter().filter(|row| row[1] != "0"));
    let mut text = crate::commands::table(&shown);
    if sum.not_compared > 0 {
        text.push_str(&format!(
            "{} replies were unlike the undisturbed one: not counted\n",
            sum.not_compared
        ));
    }
    let late = late_p99(outcomes);
    text.push_str(&format!(
        "{} calls, {} packets heard; own packets at most {late} µs late (p99){}; load {} before, {} after\n\
         Last voiced sample sent to first voiced sample received; fillers count as replies, for the ear cannot tell.\n",
        outcomes.len(),
        outcomes.iter().map(|outcome| outcome.packets_received).sum::<u64>(),
        if late > LATE_US_MAX { ": TOO BUSY TO TRUST" } else { "" },
        loads.0,
        loads.1,
    ));
    text
}

fn late_p99(outcomes: &[Outcome]) -> u32 {
    let late: Vec<u32> = outcomes
        .iter()
        .flat_map(|outcome| outcome.late_us.iter().copied())
        .collect();
    percentile(&late, 99).unwrap_or(0)
}

fn as_json(
    sum: &Summary,
    outcomes: &[Outcome],
    prepared: &[Prepared],
    loads: &(String, String),
) -> serde_json::Value {
    let row = |row: &Row| {
        json!({
            "steps": row.steps, "counted": row.values.len(),
            "p50": row.p(50), "p95": row.p(95), "max": row.p(100),
        })
    };
    let calls: Vec<_> = outcomes
        .iter()
        .map(|outcome| {
            let steps: Vec<_> = prepared
                .iter()
                .zip(&outcome.figures)
                .map(|(prepared, figures)| one_step(&prepared.step, figures))
                .collect();
            json!({
                "answered_ms": outcome.answered_ms,
                "ended_by_peer": outcome.ended_by_peer,
                "packets_received": outcome.packets_received,
                "steps": steps,
            })
        })
        .collect();
    json!({
        "summary": {
            "latency_ms": row(&sum.latency), "unanswered": sum.unanswered, "cut_ins": sum.cut_ins,
            "pause_latency_ms": row(&sum.pause_latency), "false_cut_ins": sum.false_cut_ins,
            "stop_ms": row(&sum.stop), "not_stopped": sum.not_stopped,
            "interruption_answer_ms": row(&sum.interruption_answer),
            "agreement_gap_ms": row(&sum.agreement_gap), "agreement_stops": sum.agreement_stops,
            "echo_gap_ms": row(&sum.echo_gap), "echo_stops": sum.echo_stops,
            "echo_stop_ms": row(&sum.echo_stop), "echo_not_stopped": sum.echo_not_stopped,
            "not_compared": sum.not_compared,
        },
        "own_packets_late_us_p99": late_p99(outcomes),
        "load_before": loads.0, "load_after": loads.1,
        "calls": calls,
    })
}

fn one_step(step: &Step, figures: &Figures) -> serde_json::Value {
    let prompt = match step {
        Step::Turn { say } => name(say),
        Step::Pause { .. } => step.label(),
        Step::Barge { prompt, .. }
        | Step::Backchannel { prompt, .. }
        | Step::Echo { prompt, .. } => name(prompt),
    };
    json!({
        "kind": step.kind(), "prompt": prompt, "label": step.label(),
        "latency_ms": figures.latency_ms, "cut_in": figures.cut_in,
        "stop_ms": figures.stop_ms, "stopped": figures.stopped, "answer_ms": figures.answer_ms,
        "goes_on": figures.goes_on, "gap_ms": figures.gap_ms,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn speaker(voice: &mut dyn tts::engine::Engine) -> Speaker<'_> {
        Speaker {
            voice,
            folder: PathBuf::new(),
        }
    }

    #[test]
    fn a_pause_has_its_length() {
        let mut voice = tts::voices::open("flite:rms", 1.0).expect("a built-in voice");
        let mut speaker = speaker(voice.as_mut());
        for step in script::built_in("standard").expect("a drill") {
            let Step::Pause { pause_ms, .. } = step else {
                continue;
            };
            let prepared = speaker.prepare(step).expect("a sound");
            let silence = longest_silence(&prepared.prompt).expect("the pause");
            let ms = silence.len() as u32 * 1000 / SAMPLE_RATE_HZ;
            assert!(
                ms.abs_diff(pause_ms) <= 1,
                "{}: {ms} ms",
                prepared.step.label()
            );
            assert!(
                silence.start > 3_000 && silence.end + 3_000 < prepared.prompt.len(),
                "{}",
                prepared.step.label()
            );
        }
    }

    #[test]
    fn clips_take_the_place_of_questions() {
        let scratch = crate::testing::Scratch::new("clips");
        for file in ["b.wav", "a.WAV", "c.txt"] {
            std::fs::write(scratch.path().join(file), "").expect("a file");
        }
        let steps =
            script::parse("turn one\nturn two\nbarge 1 three | four\nturn five").expect("steps");
        let steps = with_clips(steps, scratch.path()).expect("clips");
        let labels: Vec<String> = steps.iter().map(Step::label).collect();
        assert_eq!(labels, ["a.WAV", "b.wav", "four after 1 ms", "a.WAV"]);
        assert!(with_clips(Vec::new(), &scratch.path().join("none")).is_err());
    }

    #[test]
    fn a_table_shows_what_was_measured() {
        let sum = Summary {
            latency: Row {
                steps: 3,
                values: vec![400, 600, 500],
            },
            unanswered: 1,
            ..Summary::default()
        };
        let text = table(&sum, &[], &("0".to_owned(), "1".to_owned()));
        assert!(
            text.contains("perceived latency  3      500  600  600  ms  1 unanswered, 0 cut in"),
            "{text}"
        );
        assert!(!text.contains("echo"), "{text}");
    }
}
