//! `offhook doctor`: checks everything that a call needs, from the disk to a real call, and says what to
//! do about each thing that is wrong.

mod agent;
mod channels;
mod trunks;

use std::net::{IpAddr, SocketAddr};
use std::path::Path;
use std::time::{Duration, Instant};

use tokio::net::{TcpStream, UdpSocket};

use crate::config::{Answerer, Bind, Config};
use crate::engines::{self, Elsewhere, EnginePlan, Engines};
use crate::home::Home;
use crate::remote::{Line, RemoteError};
use crate::secrets::SecretStore;
use crate::signalling::certificate::{Certificate, CertificateFiles};
use crate::store::Store;
use crate::test_caller::report::{self, CallOptions};
use crate::{models, server, tailnet};

/// Below this a database or a model download soon fails.
const DISK_FREE_MIN: u64 = 200 * 1024 * 1024;
const SELF_TEST_TEXT: &str = "What time is it?";

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Verdict {
    Good,
    Warning,
    Bad,
}

struct Report {
    bad: usize,
    warnings: usize,
}

impl Report {
    fn line(&mut self, verdict: Verdict, what: &str, found: &str) {
        let mark = match verdict {
            Verdict::Good => "ok  ",
            Verdict::Warning => {
                self.warnings += 1;
                "note"
            }
            Verdict::Bad => {
                self.bad += 1;
                "BAD "
            }
        };
        println!("{mark}  {what:<16} {found}");
    }

    fn result<T, E: std::fmt::Display>(
        &mut self,
        what: &str,
        result: Result<T, E>,
        good: impl FnOnce(&T) -> String,
    ) -> Option<T> {
        match result {
            Ok(value) => {
                let found = good(&value);
                self.line(Verdict::Good, what, &found);
                Some(value)
            }
            Err(error) => {
                self.line(Verdict::Bad, what, &format!("{error:#}"));
                None
            }
        }
    }
}

/// Runs all checks and prints a line for each. Whether nothing is bad.
pub async fn run(home: Home, config: Config) -> anyhow::Result<bool> {
    let mut report = Report {
        bad: 0,
        warnings: 0,
    };
    println!(
        "Offhook {} at {}",
        env!("CARGO_PKG_VERSION"),
        home.root().display()
    );
    report.line(
        Verdict::Good,
        "config",
        &home.config_path().display().to_string(),
    );
    let secrets = report.result(
        "secrets",
        SecretStore::open(&home.secrets_path()),
        |store| format!("{} users", store.users().len()),
    );
    let store_path = config
        .store
        .path
        .clone()
        .unwrap_or_else(|| home.database_path());
    report.result("database", Store::open(&store_path), |_| {
        store_path.display().to_string()
    });
    disk(&mut report, home.root());
    network(&mut report, &config).await;
    certificate(&mut report, &home, &config);
    let is_running = listening(&mut report, &config).await;
    trunks::check(&mut report, &config, secrets.as_ref(), is_running).await;
    let engines = ears_and_voice(&mut report, &home, &config).await;
    if let Some(secrets) = &secrets {
        agent::check(&mut report, &home, &config, secrets, is_running).await;
        channels::check(&mut report, &home, &config, secrets).await;
    }
    match (is_running, engines) {
        (true, Some(engines)) => test_call(&mut report, &home, &config, &engines).await,
        (false, _) => report.line(
            Verdict::Warning,
            "test call",
            "not made: the program is not running. Start `offhook run`, then run the doctor again",
        ),
        (true, None) => report.line(
            Verdict::Warning,
            "test call",
            "not made without ears and voice",
        ),
    }
    println!(
        "{}",
        match (report.bad, report.warnings) {
            (0, 0) => "All is well.".to_owned(),
            (0, notes) => format!("Nothing is broken; {notes} to know."),
            (bad, _) => format!("{bad} to mend."),
        }
    );
    Ok(report.bad == 0)
}

fn disk(report: &mut Report, path: &Path) {
    let Some(free) = models::disk_free_bytes(path) else {
        report.line(Verdict::Warning, "disk", "free space unknown");
        return;
    };
    let mib = free / (1024 * 1024);
    if free < DISK_FREE_MIN {
        report.line(
            Verdict::Bad,
            "disk",
            &format!("only {mib} MiB free: records will be lost, make room"),
        );
    } else {
        report.line(Verdict::Good, "disk", &format!("{mib} MiB free"));
    }
}

async fn network(report: &mut Report, config: &Config) {
    let found = tailnet::addresses().await;
    let wishes_tailnet = config.sip.bind.contains(&Bind::Tailnet);
    let wishes_other = config
        .sip
        .bind
        .iter()
        .any(|bind| matches!(bind, Bind::Address(address) if !address.is_loopback()));
    match (found.is_empty(), wishes_tailnet, wishes_other) {
        (false, _, _) => {
            let list: Vec<String> = found.iter().map(IpAddr::to_string).collect();
            report.line(Verdict::Good, "tailnet", &list.join(", "));
        }
        (true, _, true) => report.line(Verdict::Good, "tailnet", "none, but `bind` in [sip] names an address"),
        (true, _, false) => report.line(
            Verdict::Warning,
            "tailnet",
            "no address: only phones on this machine can register. Start Tailscale, or set `bind` in [sip]",
        ),
    }
}

/// The certificate that phones are shown, as its owner can compare it.
fn certificate(report: &mut Report, home: &Home, config: &Config) {
    let streams = &config.sip.streams;
    if !streams.tls && !streams.ws {
        return;
    }
    let files = CertificateFiles::of(streams, home);
    if files.is_self_made && !files.certificate.exists() && !files.key.exists() {
        report.line(
            Verdict::Good,
            "TLS",
            "a certificate will be made at the first start",
        );
        return;
    }
    report.result("TLS", Certificate::open(files, &[]), |certificate| {
        let origin = match certificate.is_self_made() {
            true => "our own certificate; phones are to trust it by its",
            false => "the certificate of [sip],",
        };
        format!("{origin} SHA-256 {}", certificate.fingerprint())
    });
}

/// Whether our SIP server runs on its port.
async fn listening(report: &mut Report, config: &Config) -> bool {
    let address = SocketAddr::from(([127, 0, 0, 1], config.sip.port));
    let is_free = match UdpSocket::bind(address).await {
        Ok(_) => true,
        Err(error) => error.kind() != std::io::ErrorKind::AddrInUse,
    };
    if is_free {
        report.line(
            Verdict::Good,
            "SIP port",
            &format!("{} is free for us", config.sip.port),
        );
        return false;
    }
    let web = SocketAddr::from(([127, 0, 0, 1], config.web.port));
    let connect = tokio::time::timeout(Duration::from_secs(1), TcpStream::connect(web)).await;
    let is_ours = !config.web.enabled || matches!(connect, Ok(Ok(_)));
    if is_ours {
        report.line(
            Verdict::Good,
            "SIP port",
            &format!("{} is served", config.sip.port),
        );
    } else {
        report.line(
            Verdict::Bad,
            "SIP port",
            &format!(
                "{} is taken by another program: stop it, or set another `port` in [sip]",
                config.sip.port
            ),
        );
    }
    is_ours
}

/// Opens both engines and lets one hear the other.
async fn ears_and_voice(report: &mut Report, home: &Home, config: &Config) -> Option<Engines> {
    let model = models::choose(home, config);
    let secrets = SecretStore::open(&home.secrets_path()).ok();
    let elsewhere = match crate::remote::elsewhere(config, secrets.as_ref(), home) {
        Ok(elsewhere) => elsewhere,
        Err(error) => {
            report.line(Verdict::Bad, "engines elsewhere", &format!("{error:#}"));
            Elsewhere::default()
        }
    };
    engines_elsewhere(report, &elsewhere).await;
    let plan = EnginePlan {
        elsewhere,
        ..server::engine_plan(config, model.path.clone())
    };
    let opened = tokio::task::spawn_blocking(move || {
        let started = Instant::now();
        engines::open(&plan).map(|engines| (engines, started.elapsed()))
    })
    .await;
    let opened = match opened {
        Ok(opened) => opened,
        Err(panic) => {
            report.line(Verdict::Bad, "engines", &panic.to_string());
            return None;
        }
    };
    let (engines, _) = report.result("engines", opened, |(engines, took)| {
        format!(
            "{} and {}, ready in {} ms",
            engines.ears.model,
            engines.voice.name,
            took.as_millis()
        )
    })?;
    if let Some(advice) = &model.advice {
        report.line(Verdict::Warning, "ears", advice);
    }
    let heard = tokio::task::block_in_place(|| {
        let spoken = engines.speak(SELF_TEST_TEXT)?;
        engines.transcribe(&spoken)
    });
    if let Some(heard) = report.result("self test", heard, |heard| {
        format!("said \"{SELF_TEST_TEXT}\", heard \"{heard}\"")
    }) && heard.is_empty()
    {
        report.line(
            Verdict::Bad,
            "self test",
            "nothing was heard: try another model or voice",
        );
    }
    Some(engines)
}

/// Whether the engines at other machines answer.
async fn engines_elsewhere(report: &mut Report, elsewhere: &Elsewhere) {
    for (what, name, wish) in [
        ("asr", "ears elsewhere", &elsewhere.ears),
        ("tts", "voice elsewhere", &elsewhere.voice),
    ] {
        let Some((wish, key)) = wish.clone() else {
            continue;
        };
        let url = wish.url.clone();
        let asked = tokio::task::spawn_blocking(move || match Line::open(&wish, key)? {
            Some(line) => line.check(what),
            None => Err(RemoteError::Malformed),
        });
        match asked.await {
            Ok(Ok(found)) => report.line(Verdict::Good, name, &format!("{found} at {url}")),
            Ok(Err(error)) => {
                let text = format!("{url}: {error}; the engine at home is used instead");
                report.line(Verdict::Warning, name, &text);
            }
            Err(panic) => report.line(Verdict::Bad, name, &panic.to_string()),
        }
    }
}

async fn test_call(report: &mut Report, home: &Home, config: &Config, engines: &Engines) {
    let number = config
        .numbers
        .first(Answerer::Readback)
        .or(config.numbers.first(Answerer::Agent));
    let Some(number) = number else {
        report.line(
            Verdict::Warning,
            "test call",
            "no number in [[numbers]] to call",
        );
        return;
    };
    let options = CallOptions {
        number: number.number.clone(),
        say: vec![SELF_TEST_TEXT.to_owned()],
        reply_s_max: 15,
        ..CallOptions::default()
    };
    match report::place(home, config, &options, engines).await {
        Ok((outcome, _)) => match outcome
            .turns
            .first()
            .and_then(|turn| turn.measured.latency_ms)
        {
            Some(ms) => report.line(
                Verdict::Good,
                "test call",
                &format!(
                    "{}: answered in {} ms, replied {ms} ms after the question",
                    number.number, outcome.answered_ms
                ),
            ),
            None if outcome.packets_received == 0 => report.line(
                Verdict::Bad,
                "test call",
                "connected, but no sound came back: a firewall on the UDP ports of [media]?",
            ),
            None => report.line(
                Verdict::Bad,
                "test call",
                "connected, but there was no reply: see the log",
            ),
        },
        Err(error) => report.line(Verdict::Bad, "test call", &format!("{error:#}")),
    }
}
