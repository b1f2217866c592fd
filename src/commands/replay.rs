//! `offhook replay`: a recorded call through the turn machine once more, and what other settings of
//! `[turn]` would have changed.

use std::path::{Path, PathBuf};
use std::time::Instant;

use agent_bridge::turn::trace::{Difference, Trace};
use agent_bridge::turn::{Ledger, TurnConfig};
use serde::Serialize;

use super::{print, table};
use crate::config::Config;
use crate::home::Home;
use crate::replay::{Row, TurnFacts, compare, rerun, turns};
use crate::server::turn_config;
use crate::store::{TraceStore, load_trace};

/// Steps shown of a replay that differs where it must not.
const DIFFERENCES_SHOWN_MAX: usize = 5;
/// Letters of the caller's words in the table.
const WORDS_CHARS_MAX: usize = 32;

/// Takes one key of `[turn]` over from a configuration that has it.
type Apply = fn(&mut TurnConfig, &TurnConfig);

/// The keys that act on the turn machine.
const KEYS: [(&str, Apply); 15] = [
    ("wait_ms_sure", |to, from| {
        to.wait.sure_ms = from.wait.sure_ms
    }),
    ("wait_ms_unsure", |to, from| {
        to.wait.unsure_ms = from.wait.unsure_ms
    }),
    ("wait_ms_unfinished", |to, from| {
        to.wait.unfinished_ms = from.wait.unfinished_ms
    }),
    ("patience_ms_max", |to, from| {
        to.patience_ms_max = from.patience_ms_max
    }),
    ("strategies", |to, from| {
        to.strategies.clone_from(&from.strategies)
    }),
    ("speculation", |to, from| {
        to.speculation.enabled = from.speculation.enabled
    }),
    ("speculation_guesses_max", |to, from| {
        to.speculation.guesses_max = from.speculation.guesses_max
    }),
    ("speculation_tokens_wasted_max", |to, from| {
        to.speculation.tokens_wasted_max = from.speculation.tokens_wasted_max
    }),
    ("barge_in", |to, from| to.barge_in = from.barge_in),
    ("barge_in_ms", |to, from| to.barge_in_ms = from.barge_in_ms),
    ("filler_after_ms", |to, from| {
        to.filler_after_ms = from.filler_after_ms
    }),
    ("progress_after_ms", |to, from| {
        to.progress_after_ms = from.progress_after_ms
    }),
    ("reply_timeout_ms", |to, from| {
        to.reply_timeout_ms = from.reply_timeout_ms
    }),
    ("idle_prompt_s", |to, from| {
        to.idle_prompt_ms = from.idle_prompt_ms
    }),
    ("idle_hangup_s", |to, from| {
        to.idle_hangup_ms = from.idle_hangup_ms
    }),
];

/// What is asked of a replay.
pub struct ReplayOptions {
    /// A trace, or the name of a call whose trace is in the home folder.
    pub file: PathBuf,
    /// `turn.KEY=VALUE` each, as in the config file.
    pub set: Vec<String>,
    pub json: bool,
}

/// Plays the call again and prints what is different. False: with its own settings it should have been
/// the same and was not, so this program decides otherwise than the one that recorded it.
pub fn replay(home: &Home, options: &ReplayOptions) -> anyhow::Result<bool> {
    let trace = load_trace(&located(home, &options.file))?;
    if options.set.is_empty() {
        let differences = trace.replay(trace.config.clone(), Instant::now());
        print(&unchanged(&trace, &differences, options.json))?;
        return Ok(differences.is_empty());
    }
    let config = with_settings(&trace.config, &options.set)?;
    let report = Report::of(&trace, config, &options.set);
    print(&if options.json {
        format!("{}\n", serde_json::to_string_pretty(&report)?)
    } else {
        report.in_words()
    })?;
    Ok(true)
}

fn located(home: &Home, file: &Path) -> PathBuf {
    let stored = TraceStore::folder_in(home.root()).join(file);
    let stored = stored.with_extension("json");
    if !file.exists() && stored.exists() {
        stored
    } else {
        file.to_path_buf()
    }
}

/// The recorded settings with those of `set`, read as the config file would be.
fn with_settings(recorded: &TurnConfig, set: &[String]) -> anyhow::Result<TurnConfig> {
    // Their order is checked as a whole, so what is not set is as it was.
    let waits = [
        ("wait_ms_sure", recorded.wait.sure_ms),
        ("wait_ms_unsure", recorded.wait.unsure_ms),
        ("wait_ms_unfinished", recorded.wait.unfinished_ms),
    ];
    let mut wanted: Vec<(&str, String)> = Vec::new();
    for (key, wait_ms) in waits {
        wanted.push((key, wait_ms.to_string()));
    }
    let mut named: Vec<Apply> = Vec::new();
    for setting in set {
        let (key, value) = setting
            .split_once('=')
            .ok_or_else(|| anyhow::anyhow!("--set {setting}: not turn.KEY=VALUE"))?;
        let key = key.trim();
        let key = key.strip_prefix("turn.").unwrap_or(key);
        let Some((key, apply)) = KEYS.iter().find(|(known, _)| *known == key) else {
            let known: Vec<&str> = KEYS.iter().map(|(known, _)| *known).collect();
            anyhow::bail!(
                "--set {setting}: a replay knows no turn.{key} (it knows {})",
                known.join(", ")
            );
        };
        wanted.retain(|(other, _)| other != key);
        wanted.push((key, value.trim().to_owned()));
        named.push(*apply);
    }
    let variable = |key: &str| format!("OFFHOOK_TURN_{}", key.to_ascii_uppercase());
    let environment: Vec<(String, String)> = wanted
        .iter()
        .map(|(key, value)| (variable(key), value.clone()))
        .collect();
    let (config, _) = Config::parse("", &environment).map_err(|problems| {
        let mut text: Vec<String> = problems.into_iter().map(|one| one.message).collect();
        for line in &mut text {
            for (key, _) in KEYS {
                *line = line.replace(&variable(key), &format!("turn.{key}"));
            }
        }
        anyhow::anyhow!("--set: {}", text.join("; "))
    })?;
    let from = turn_config(&config);
    let mut to = recorded.clone();
    for apply in named {
        apply(&mut to, &from);
    }
    Ok(to)
}

fn unchanged(trace: &Trace, differences: &[Difference], json: bool) -> String {
    let is_same = differences.is_empty();
    if json {
        let steps: Vec<_> = differences
            .iter()
            .map(|one| {
                serde_json::json!({
                    "step": one.step,
                    "recorded": one.recorded,
                    "replayed": one.replayed,
                })
            })
            .collect();
        let report = serde_json::json!({
            "same": is_same,
            "steps": trace.steps.len(),
            "is_cut": trace.is_cut,
            "differences": steps,
        });
        return format!("{report}\n");
    }
    let mut text = String::new();
    if is_same {
        text.push_str(&format!(
            "same: {} steps, {} turns\n",
            trace.steps.len(),
            turns(trace).len()
        ));
    } else {
        text.push_str(&format!(
            "{} of {} steps differ: this program decides otherwise than the one that recorded the call\n",
            differences.len(),
            trace.steps.len()
        ));
        for one in differences.iter().take(DIFFERENCES_SHOWN_MAX) {
            let step = &trace.steps[one.step];
            text.push_str(&format!(
                "step {} at {} s, {:?}\n  recorded {:?}\n  replayed {:?}\n",
                one.step,
                seconds(step.at_ns / 1_000_000),
                step.event,
                one.recorded,
                one.replayed
            ));
        }
    }
    text.push_str(cut_note(trace));
    text
}

fn cut_note(trace: &Trace) -> &'static str {
    if trace.is_cut {
        "The end of this call is not in the trace: it was longer than a trace may be.\n"
    } else {
        ""
    }
}

/// What other settings would have changed.
#[derive(Serialize)]
struct Report {
    same: bool,
    settings: Vec<String>,
    is_cut: bool,
    turns: Vec<Changed>,
    recorded: Totals,
    replayed: Totals,
}

#[derive(Serialize)]
struct Changed {
    #[serde(flatten)]
    row: Row,
    changes: Vec<String>,
}

/// Sums over one call.
#[derive(Serialize)]
struct Totals {
    turns: usize,
    commit_ms_p50: Option<u64>,
    first_packet_ms_p50: Option<u64>,
    cut_ins: usize,
    fillers: u32,
    speculation: Ledger,
}

impl Report {
    fn of(trace: &Trace, config: TurnConfig, set: &[String]) -> Report {
        let base = Instant::now();
        let before = rerun(trace, trace.config.clone(), base);
        let after = rerun(trace, config, base);
        let (old, new) = (turns(trace), turns(&after.trace));
        let (recorded, replayed) = (
            Totals::of(&old, before.ledger),
            Totals::of(&new, after.ledger),
        );
        let rows = compare(old, new, &after.borrowed);
        let turns: Vec<Changed> = rows
            .into_iter()
            .map(|row| Changed {
                changes: row.changes(),
                row,
            })
            .collect();
        Report {
            same: trace.steps == after.trace.steps,
            settings: set.to_vec(),
            is_cut: trace.is_cut,
            turns,
            recorded,
            replayed,
        }
    }

    fn in_words(&self) -> String {
        let mut text = format!("with {}\n", self.settings.join(" "));
        if self.same {
            text.push_str("same: nothing in this call would have been different\n");
            return text;
        }
        text.push('\n');
        let titles = [
            "TURN", "AT", "CALLER", "COMMIT", "GUESS", "ANSWER", "CHANGES",
        ];
        let mut rows = vec![titles.map(str::to_owned).to_vec()];
        for (at, turn) in self.turns.iter().enumerate() {
            rows.push(turn.cells(at + 1));
        }
        text.push_str(&table(&rows));
        if self.turns.iter().all(|turn| turn.changes.is_empty()) {
            text.push_str(
                "\nThe turns are the same; only steps within them would have been different.\n",
            );
        }
        text.push('\n');
        text.push_str(&self.totals());
        if self.turns.iter().any(|turn| turn.row.borrowed) {
            text.push_str(
                "\n~ These words were not asked in the call: length and times of the answer are another's.\n",
            );
        }
        text.push_str(
            "Times are after the caller's last voice. The caller is taken to do what they did.\n",
        );
        if self.is_cut {
            text.push_str("The end of this call is not in the trace.\n");
        }
        text
    }

    fn totals(&self) -> String {
        let (old, new) = (&self.recorded, &self.replayed);
        let figure = |value: Option<u64>| value.map_or("–".to_owned(), |ms| format!("{ms} ms"));
        let right = |ledger: &Ledger| format!("{} of {}", ledger.hits, ledger.guesses);
        let row = |what: &str, old: String, new: String| vec![what.to_owned(), old, new];
        table(&[
            row("", "RECORDED".to_owned(), "REPLAYED".to_owned()),
            row("turns", old.turns.to_string(), new.turns.to_string()),
            row(
                "commit p50",
                figure(old.commit_ms_p50),
                figure(new.commit_ms_p50),
            ),
            row(
                "answer p50",
                figure(old.first_packet_ms_p50),
                figure(new.first_packet_ms_p50),
            ),
            row("cut-ins", old.cut_ins.to_string(), new.cut_ins.to_string()),
            row("fillers", old.fillers.to_string(), new.fillers.to_string()),
            row(
                "guesses right",
                right(&old.speculation),
                right(&new.speculation),
            ),
            row(
                "saved",
                format!("{} ms", old.speculation.saved_ms),
                format!("{} ms", new.speculation.saved_ms),
            ),
            row(
                "tokens wasted",
                old.speculation.tokens_wasted.to_string(),
                new.speculation.tokens_wasted.to_string(),
            ),
        ])
    }
}

impl Changed {
    fn cells(&self, number: usize) -> Vec<String> {
        let Row {
            recorded, replayed, ..
        } = &self.row;
        let either = replayed.as_ref().or(recorded.as_ref());
        let commit = |turn: &TurnFacts| format!("{}", turn.commit_ms);
        let guess = |turn: &TurnFacts| match (turn.saved_ms, turn.guesses) {
            (Some(saved_ms), _) => format!("+{saved_ms}"),
            (None, 0) => "none".to_owned(),
            (None, _) => "wrong".to_owned(),
        };
        let answer = |turn: &TurnFacts| {
            let figure = turn.first_packet_ms;
            figure.map_or("–".to_owned(), |ms| ms.to_string())
        };
        let changes = match self.changes.is_empty() {
            true => "–".to_owned(),
            false => self.changes.join(" · "),
        };
        let mark = if self.row.borrowed { "~" } else { "" };
        vec![
            number.to_string(),
            either.map_or_else(String::new, |turn| {
                format!("{} s", seconds(turn.speech_end_ms))
            }),
            either.map_or_else(String::new, |turn| short(&turn.words)),
            pair(recorded.as_ref().map(commit), replayed.as_ref().map(commit)),
            pair(recorded.as_ref().map(guess), replayed.as_ref().map(guess)),
            format!(
                "{}{mark}",
                pair(recorded.as_ref().map(answer), replayed.as_ref().map(answer))
            ),
            changes,
        ]
    }
}

impl Totals {
    fn of(turns: &[TurnFacts], speculation: Ledger) -> Totals {
        Totals {
            turns: turns.len(),
            commit_ms_p50: median(turns.iter().map(|turn| turn.commit_ms)),
            first_packet_ms_p50: median(turns.iter().filter_map(|turn| turn.first_packet_ms)),
            cut_ins: turns.iter().filter(|turn| turn.cut_in).count(),
            fillers: turns.iter().map(|turn| turn.fillers).sum(),
            speculation,
        }
    }
}

/// Before and after, once where they are one.
fn pair(old: Option<String>, new: Option<String>) -> String {
    let none = || "–".to_owned();
    let (old, new) = (old.unwrap_or_else(none), new.unwrap_or_else(none));
    if old == new {
        old
    } else {
        format!("{old} → {new}")
    }
}

fn short(words: &str) -> String {
    let mut short: String = words
        .chars()
        .take(WORDS_CHARS_MAX)
        .map(|c| if c.is_control() { ' ' } else { c })
        .collect();
    if words.chars().count() > WORDS_CHARS_MAX {
        short.push('…');
    }
    short
}

fn seconds(ms: u64) -> String {
    format!("{}.{}", ms / 1000, ms % 1000 / 100)
}

fn median(values: impl Iterator<Item = u64>) -> Option<u64> {
    let mut values: Vec<u64> = values.collect();
    values.sort_unstable();
    values.get(values.len() / 2).copied()
}

#[cfg(test)]
#[path = "replay_tests.rs"]
mod tests;
