//! `offhook call`: from options to a test call, and from its outcome to lines for people or JSON.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context as _, bail};
use media::file::Clip;
use sip::Transport;

use super::drill_report::{self, DrillOptions};
use super::{Account, Outcome, Plan, timeline::percentile, utterance};
use crate::config::Config;
use crate::engines::{self, Engines};
use crate::home::Home;
use crate::secrets::SecretStore;

/// What `offhook call` was asked for.
#[derive(Debug, Clone, Default)]
pub struct CallOptions {
    /// The SIP server; none: the one of this configuration, on loopback.
    pub server: Option<SocketAddr>,
    pub tcp: bool,
    /// None: the program's own account, which may call from this machine only.
    pub user: Option<String>,
    /// Needed with `user`; read from OFFHOOK_PASSWORD or a file by the command line.
    pub password: Option<String>,
    pub number: String,
    /// Sound files to speak, in order.
    pub wav: Vec<PathBuf>,
    /// Texts to speak with the program's own voice, after the files.
    pub say: Vec<String>,
    /// All of it so many times.
    pub repeat: u32,
    /// Where to write what was heard.
    pub record: Option<PathBuf>,
    pub json: bool,
    pub reply_s_max: u32,
    /// Steps with pauses, interruptions and echo instead of `wav` and `say`.
    pub drill: Option<DrillOptions>,
}

/// What the program says when nothing else was asked for.
const DEFAULT_QUESTION: &str = "What time is it?";
/// Our own packets later than this make the figures those of a busy machine: the other side fills the hole, and leaves
/// words out to get back to real time.
const LATE_US_MAX: u32 = 200_000;

/// Places the call, prints its report. Whether every utterance was answered.
pub async fn run(home: Home, config: Config, options: CallOptions) -> anyhow::Result<bool> {
    if let Some(drill) = options.drill.clone() {
        return drill_report::run(home, config, options, drill).await;
    }
    let model = crate::models::choose(&home, &config);
    let plan = crate::server::engine_plan(&config, model.path.clone());
    let engines = tokio::task::spawn_blocking(move || engines::open(&plan)).await??;
    let (outcome, said) = place(&home, &config, &options, &engines).await?;
    if let Some(path) = &options.record {
        let clip = Clip {
            rate_hz: 8000,
            samples: outcome.heard.clone(),
        };
        let wav = media::file::wav::write(&clip);
        std::fs::write(path, wav).with_context(|| format!("recording {}", path.display()))?;
    }
    let texts = transcripts(&outcome, &engines);
    if options.json {
        println!("{}", json(&outcome, &said, &texts));
    } else {
        print!("{}", text(&outcome, &said, &texts));
        if let Some(path) = &options.record {
            println!("recorded to {}", path.display());
        }
    }
    Ok(outcome
        .turns
        .iter()
        .all(|turn| turn.measured.latency_ms.is_some() || turn.measured.cut_in))
}

/// Places the call and returns what was said in it, one line per turn.
pub async fn place(
    home: &Home,
    config: &Config,
    options: &CallOptions,
    engines: &Engines,
) -> anyhow::Result<(Outcome, Vec<String>)> {
    let mut said = Vec::new();
    let mut say = Vec::new();
    for path in &options.wav {
        let bytes = std::fs::read(path).with_context(|| format!("reading {}", path.display()))?;
        let clip =
            media::file::read(&bytes).with_context(|| format!("reading {}", path.display()))?;
        said.push(path.display().to_string());
        say.push(utterance(&clip));
    }
    let mut texts = options.say.clone();
    if say.is_empty() && texts.is_empty() {
        texts.push(DEFAULT_QUESTION.to_owned());
    }
    for text in texts {
        say.push(engines.speak(&text)?);
        said.push(text);
    }
    let once = (said.clone(), say.clone());
    for _ in 1..options.repeat.max(1) {
        said.extend(once.0.iter().cloned());
        say.extend(once.1.iter().cloned());
    }
    let plan = Plan {
        server: server(config, options),
        transport: transport(options),
        account: account(home, config, options, false)?,
        number: options.number.clone(),
        say,
        reply_max: Duration::from_secs(u64::from(options.reply_s_max.max(1))),
    };
    Ok((super::call(&plan).await?, said))
}

pub(super) fn server(config: &Config, options: &CallOptions) -> SocketAddr {
    let own = SocketAddr::from(([127, 0, 0, 1], config.sip.port));
    options.server.unwrap_or(own)
}

pub(super) fn transport(options: &CallOptions) -> Transport {
    match options.tcp {
        true => Transport::Tcp,
        false => Transport::Udp,
    }
}

/// Who calls; nobody where nothing is dialled.
pub(super) fn account(
    home: &Home,
    config: &Config,
    options: &CallOptions,
    is_nobody: bool,
) -> anyhow::Result<Account> {
    let (user, password) = match (&options.user, &options.password) {
        _ if is_nobody => (String::new(), String::new()),
        (Some(user), Some(password)) => (user.clone(), password.clone()),
        (Some(user), None) => {
            bail!("no password for {user}: set OFFHOOK_PASSWORD or use --password-file")
        }
        (None, _) => {
            let own = SecretStore::open(&home.secrets_path())?.selftest();
            (own.name, own.password.expose().to_owned())
        }
    };
    Ok(Account {
        realm_domain: config.sip.realm.clone(),
        user,
        password: sip::Secret::new(password),
    })
}

fn transcripts(outcome: &Outcome, engines: &Engines) -> Vec<String> {
    outcome
        .turns
        .iter()
        .map(|turn| {
            let clip = Clip {
                rate_hz: 8000,
                samples: turn.reply.clone(),
            };
            engines.transcribe(&utterance(&clip)).unwrap_or_default()
        })
        .collect()
}

fn latencies(outcome: &Outcome) -> Vec<u32> {
    outcome
        .turns
        .iter()
        .filter_map(|turn| turn.measured.latency_ms)
        .collect()
}

fn latest(outcome: &Outcome) -> u32 {
    outcome.late_us.iter().copied().max().unwrap_or(0)
}

fn text(outcome: &Outcome, said: &[String], heard: &[String]) -> String {
    let mut out = format!(
        "registered in {} ms, answered in {} ms, {} packets heard{}\n",
        outcome.registered_ms,
        outcome.answered_ms,
        outcome.packets_received,
        if outcome.ended_by_peer {
            ", the other side hung up"
        } else {
            ""
        }
    );
    for (n, turn) in outcome.turns.iter().enumerate() {
        let latency = match (turn.measured.latency_ms, turn.measured.cut_in) {
            (Some(ms), _) => format!("{ms} ms"),
            (None, true) => "cut in".to_owned(),
            (None, false) => "no answer".to_owned(),
        };
        let said = said.get(n).map_or("", String::as_str);
        let heard = heard.get(n).map_or("", String::as_str);
        out.push_str(&format!(
            "{:>3}  you   {said}\n     heard {heard}   ({latency})\n",
            n + 1
        ));
    }
    let values = latencies(outcome);
    if let (Some(p50), Some(p95)) = (percentile(&values, 50), percentile(&values, 95)) {
        out.push_str(&format!(
            "perceived turn latency over {} turns: p50 {p50} ms, p95 {p95} ms \
             (last voiced sample sent to first voiced sample received)\n",
            values.len()
        ));
    }
    let late_us = latest(outcome);
    if late_us > LATE_US_MAX {
        out.push_str(&format!(
            "our own packets left up to {} ms late: this machine is too busy for the figures above\n",
            late_us / 1_000
        ));
    }
    if let (Some(p50), Some(p99)) = (
        percentile(&outcome.echo_us, 50),
        percentile(&outcome.echo_us, 99),
    ) {
        out.push_str(&format!(
            "echoed packets came back after: p50 {p50} µs, p99 {p99} µs (socket to socket, {} packets)\n",
            outcome.echo_us.len()
        ));
    }
    out
}

fn json(outcome: &Outcome, said: &[String], heard: &[String]) -> String {
    let values = latencies(outcome);
    let turns: Vec<_> = outcome
        .turns
        .iter()
        .enumerate()
        .map(|(n, turn)| {
            serde_json::json!({
                "said": said.get(n),
                "heard": heard.get(n),
                "latency_ms": turn.measured.latency_ms,
                "cut_in": turn.measured.cut_in,
            })
        })
        .collect();
    let report = serde_json::json!({
        "registered_ms": outcome.registered_ms,
        "answered_ms": outcome.answered_ms,
        "packets_received": outcome.packets_received,
        "ended_by_peer": outcome.ended_by_peer,
        "own_packets_late_us_max": latest(outcome),
        "turns": turns,
        "latency_ms": { "p50": percentile(&values, 50), "p95": percentile(&values, 95) },
        "echo_us": { "p50": percentile(&outcome.echo_us, 50), "p99": percentile(&outcome.echo_us, 99) },
    });
    format!("{report:#}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::test_caller::{TurnOutcome, timeline::Measured};

    #[test]
    fn a_caller_that_was_late_itself_says_so() {
        for (late_us, is_said) in [(1_200_000, true), (30_000, false)] {
            let measured = Measured {
                latency_ms: None,
                cut_in: false,
            };
            let outcome = Outcome {
                registered_ms: 1,
                answered_ms: 1,
                turns: vec![TurnOutcome {
                    measured,
                    reply: Vec::new(),
                }],
                heard: Vec::new(),
                packets_received: 0,
                echo_us: Vec::new(),
                late_us: vec![40, late_us, 60],
                ended_by_peer: false,
            };
            let said = ["What time is it?".to_owned()];
            let text = text(&outcome, &said, &[]);
            assert!(text.contains("(no answer)"), "{text}");
            assert_eq!(text.contains("1200 ms late"), is_said, "{text}");
            let json = json(&outcome, &said, &[]);
            let json: serde_json::Value = serde_json::from_str(&json).expect("JSON");
            assert_eq!(json["own_packets_late_us_max"], late_us);
        }
    }
}
