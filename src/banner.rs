//! What the program prints when it starts: all that a person needs to make the first call.
//! PURE.

use std::fmt::Write as _;
use std::net::{IpAddr, SocketAddr};
use std::path::Path;

use agent_bridge::gateways::GatewayInfo;
use sip::Transport;

use crate::config::{AgentKind, Answerer, Config, FallbackAgent};
use crate::models::Choice;
use crate::secrets::NewUser;

/// Names in one line; `offhook user list` shows all.
const USERS_SHOWN_MAX: usize = 12;

/// What is known when everything listens.
pub struct Facts<'a> {
    /// The program as it was called, so that what is printed can be typed.
    pub program: &'a str,
    pub home: &'a Path,
    pub config: &'a Config,
    pub sip: &'a [(Transport, SocketAddr)],
    /// Of the certificate for TLS.
    pub fingerprint: Option<&'a str>,
    pub web: &'a [SocketAddr],
    /// Links that sign the owner in to the page, once; one for each address.
    pub sign_in: &'a [String],
    /// Made just now; its password is shown this once.
    pub first_phone: Option<&'a NewUser>,
    pub users: &'a [String],
    /// Which ears are in use, in words.
    pub model: &'a Choice,
    pub agent: &'a GatewayInfo,
    /// Registrations carried over from the last run.
    pub restored: usize,
}

pub fn text(facts: &Facts<'_>) -> String {
    let mut out = String::new();
    let mut row = |name: &str, value: &str| {
        // Writing to a String cannot fail.
        let _ = writeln!(out, "  {name:<10} {value}");
    };
    row("", "");
    row("Offhook", concat!("version ", env!("CARGO_PKG_VERSION")));
    row("", "");
    for (n, server) in servers(facts.sip).iter().enumerate() {
        row(if n == 0 { "SIP server" } else { "" }, server);
    }
    if let Some(fingerprint) = facts.fingerprint {
        row("TLS", &format!("SHA-256 {fingerprint}"));
    }
    match facts.first_phone {
        Some(phone) => {
            row("User", &phone.name);
            row(
                "Password",
                &format!("{}   (shown this once; keep it)", phone.password.expose()),
            );
        }
        None => {
            let shown = facts.users.len().min(USERS_SHOWN_MAX);
            let mut users = facts.users[..shown].join(", ");
            if facts.users.len() > shown {
                users.push_str(&format!(" and {} more", facts.users.len() - shown));
            }
            row("Users", &users);
            row(
                "",
                &format!(
                    "new password: {0} user passwd NAME   another phone: {0} user add NAME",
                    facts.program
                ),
            );
        }
    }
    if facts.restored > 0 {
        row("Phones", &format!("{} registered already", facts.restored));
    }
    for (n, number) in facts.config.numbers.0.iter().enumerate() {
        let names: Vec<&str> = std::iter::once(&number.number)
            .chain(&number.aliases)
            .map(String::as_str)
            .collect();
        let what = match number.to {
            Answerer::Agent => "the assistant: talk to it",
            Answerer::Echo => "echo test: you hear yourself",
            Answerer::Readback => "hearing test: it repeats what it heard",
            Answerer::Message => "takes a message",
        };
        row(
            if n == 0 { "Dial" } else { "" },
            &format!("{:<16} {what}", names.join(" or ")),
        );
    }
    for (n, address) in facts.web.iter().enumerate() {
        row(
            if n == 0 { "Web, API" } else { "" },
            &format!("http://{address}/"),
        );
    }
    for (n, link) in facts.sign_in.iter().enumerate() {
        row(if n == 0 { "Sign in" } else { "" }, link);
    }
    if !facts.sign_in.is_empty() {
        let hint = format!(
            "once, within ten minutes; a new link: {} login",
            facts.program
        );
        row("", &hint);
    }
    row("Ears", &facts.model.name);
    row("Voice", &facts.config.tts.voice);
    let agent = if facts.agent.demo {
        "built-in demo: no language model; it tells time, counts, sets timers…".to_owned()
    } else {
        format!("{} at {}", facts.agent.model, facts.agent.address)
    };
    row("Agent", &agent);
    let others: Vec<&str> = facts
        .config
        .agent
        .fallback
        .iter()
        .map(fallback_name)
        .collect();
    if !others.is_empty() {
        row("", &format!("if it fails: {}", others.join(", then ")));
    }
    row("", "");
    row("Next", "");
    for (n, step) in next_steps(facts).iter().enumerate() {
        let step = step.replace("offhook ", &format!("{} ", facts.program));
        for (line, text) in step.lines().enumerate() {
            let number = (n + 1).to_string();
            row(
                &format!("{:>10}", if line == 0 { &number } else { "" }),
                text,
            );
        }
    }
    row("", "");
    row("", "Ctrl-C stops it. Log lines follow.");
    row("", "");
    out.lines()
        .map(|line| format!("{}\n", line.trim_end()))
        .collect()
}

fn fallback_name(agent: &FallbackAgent) -> &str {
    match agent.kind {
        AgentKind::Demo => "the built-in demo",
        AgentKind::OpenAi => &agent.model,
        AgentKind::OpenClaw => "OpenClaw",
    }
}

/// Ports of one address, each with its transports.
type PortNames<'a> = Vec<(SocketAddr, Vec<&'a str>)>;

/// One row per address.
fn servers(listening: &[(Transport, SocketAddr)]) -> Vec<String> {
    let mut rows: Vec<(IpAddr, PortNames)> = Vec::new();
    for (transport, address) in listening {
        let name = transport.via_token();
        let at = rows.iter().position(|(ip, _)| *ip == address.ip());
        let at = at.unwrap_or_else(|| {
            rows.push((address.ip(), Vec::new()));
            rows.len() - 1
        });
        let ports = &mut rows[at].1;
        match ports.iter_mut().find(|(known, _)| known == address) {
            Some((_, names)) => names.push(name),
            None => ports.push((*address, vec![name])),
        }
    }
    let row = |ports: PortNames| {
        let shown = ports.iter().enumerate().map(|(n, (address, names))| {
            let names = names.join(", ");
            match n {
                0 => format!("{address} ({names})"),
                _ => format!("port {} ({names})", address.port()),
            }
        });
        shown.collect::<Vec<_>>().join(", ")
    };
    rows.into_iter().map(|(_, ports)| row(ports)).collect()
}

fn next_steps(facts: &Facts<'_>) -> Vec<String> {
    let mut steps = Vec::new();
    let is_reachable = facts
        .sip
        .iter()
        .any(|(_, address)| !address.ip().is_loopback());
    if is_reachable {
        steps.push("register a softphone (Linphone: \"use SIP account\") with the lines above, dial 100, say \"what time is it\"".to_owned());
    } else {
        steps.push(
            "only phones on this machine can register: no tailnet address was found. Start Tailscale here\n\
             and restart, or set `bind` in [sip] to an address that your phone reaches.\n\
             A test call without a phone: offhook call"
                .to_owned(),
        );
    }
    if let Some(advice) = &facts.model.advice {
        steps.push(advice.clone());
    }
    if facts.agent.demo {
        steps.push(format!(
            "to talk to your own agent, set kind, url and model in [agent] of {}",
            facts.home.join("offhook.toml").display()
        ));
    }
    steps.push("check everything, with a test call: offhook doctor".to_owned());
    steps
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::redact::Secret;

    fn banner(listening: &str, phone: Option<&NewUser>) -> String {
        banner_of(&Config::default(), listening, phone)
    }

    fn banner_of(config: &Config, listening: &str, phone: Option<&NewUser>) -> String {
        let address: SocketAddr = listening.parse().expect("an address");
        text(&Facts {
            program: "target/release/offhook",
            home: Path::new("/home/me/offhook"),
            config,
            sip: &[
                (Transport::Udp, address),
                (Transport::Tcp, address),
                (Transport::Tls, SocketAddr::new(address.ip(), 5061)),
            ],
            fingerprint: Some("AB:CD"),
            web: &["127.0.0.1:8060".parse().expect("an address")],
            sign_in: &["http://127.0.0.1:8060/#login=abc".to_owned()],
            first_phone: phone,
            users: &["phone1".to_owned(), "kitchen".to_owned()],
            model: &Choice {
                path: None,
                name: "the built-in model".to_owned(),
                is_for_trying_out: true,
                advice: Some("better ears: offhook models pull".to_owned()),
            },
            agent: &GatewayInfo {
                name: "demo".to_owned(),
                model: String::new(),
                address: String::new(),
                demo: true,
            },
            restored: 0,
        })
    }

    #[test]
    fn the_first_start_says_all_that_a_phone_needs() {
        let phone = NewUser {
            name: "phone1".to_owned(),
            password: Secret::new("abcd-efgh"),
        };
        let first = banner("100.64.0.7:5060", Some(&phone));
        for wanted in [
            "100.64.0.7:5060 (UDP, TCP), port 5061 (TLS)",
            "SHA-256 AB:CD",
            "phone1",
            "abcd-efgh",
            "100 or agent",
            "http://127.0.0.1:8060/",
            "http://127.0.0.1:8060/#login=abc",
            "target/release/offhook login",
            "the built-in model",
            "flite:slt",
            "built-in demo",
            "register a softphone",
            "target/release/offhook models pull",
            "target/release/offhook doctor",
            "/home/me/offhook/offhook.toml",
        ] {
            assert!(first.contains(wanted), "{wanted:?} is missing in\n{first}");
        }
    }

    #[test]
    fn who_is_asked_when_the_agent_fails_is_said_in_order() {
        let text = "[[agent.fallback]]\nurl = 'http://127.0.0.1:2'\nmodel = 'small'\n\
                    [[agent.fallback]]\nkind = 'demo'";
        let (config, _) = Config::parse(text, &[]).expect("a config");
        let text = banner_of(&config, "127.0.0.1:5060", None);
        assert!(text.contains("if it fails: small, then the built-in demo"));
        assert!(!banner("127.0.0.1:5060", None).contains("if it fails"));
    }

    #[test]
    fn a_later_start_shows_no_password_and_says_who_cannot_register() {
        let later = banner("127.0.0.1:5060", None);
        assert!(!later.contains("Password"));
        assert!(later.contains("phone1, kitchen"));
        assert!(later.contains("target/release/offhook user passwd NAME"));
        assert!(later.contains("only phones on this machine can register"));
        assert!(later.contains("target/release/offhook call"));
    }
}
