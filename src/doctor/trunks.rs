//! `offhook doctor` on trunks: whether each is found and answers, and what the running program says of it. Owns these
//! questions; places no call and registers nothing.

use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpStream, UdpSocket};

use super::{Report, Verdict};
use crate::config::{Config, Trunk, TrunkTransport};
use crate::resolve::Wanted;
use crate::resolve::lookup::{Families, Resolver};
use crate::secrets::SecretStore;
use crate::server;

/// A trunk that says nothing for so long is not there.
const ANSWER_MAX: Duration = Duration::from_secs(3);
/// Longest status that is read.
const STATUS_MAX: u64 = 4 * 1024 * 1024;

/// One or two lines for each trunk.
pub(super) async fn check(
    report: &mut Report,
    config: &Config,
    secrets: Option<&SecretStore>,
    is_running: bool,
) {
    if config.trunks.is_empty() {
        return;
    }
    let status = match (is_running, secrets) {
        (true, Some(secrets)) => status(config, secrets.api_token().expose()).await,
        _ => None,
    };
    for trunk in &config.trunks {
        let what = format!("trunk {}", trunk.name);
        if !trunk.host.is_empty() {
            match reach(trunk).await {
                Ok(found) => report.line(Verdict::Good, &what, &found),
                Err(why) => report.line(Verdict::Bad, &what, &why),
            }
        }
        if let Some((verdict, text)) = status.as_ref().and_then(|status| told(trunk, status)) {
            report.line(verdict, &what, &text);
        } else if trunk.register || !trunk.account.is_empty() {
            let text = "whether it is registered is known only while the program runs";
            report.line(Verdict::Warning, &what, text);
        }
    }
}

/// What the running program says of a trunk that registers, one way or the other.
fn told(trunk: &Trunk, status: &serde_json::Value) -> Option<(Verdict, String)> {
    let rows = status["trunks"].as_array()?;
    let row = rows.iter().find(|row| row["name"] == trunk.name.as_str())?;
    let word = |key: &str| row[key].as_str().unwrap_or_default().to_owned();
    let (ours, theirs) = (word("registration"), word("account"));
    match (trunk.register, trunk.account.is_empty()) {
        (true, _) if ours != "registered" => Some((Verdict::Bad, format!("{ours} there"))),
        (_, false) if theirs != "registered with us" => Some((Verdict::Warning, theirs)),
        (true, true) => Some((Verdict::Good, "registered there".to_owned())),
        (true, false) => Some((Verdict::Good, format!("registered there, and {theirs}"))),
        (false, false) => Some((Verdict::Good, theirs)),
        (false, true) => None,
    }
}

/// Finds a trunk and asks whether it is there.
async fn reach(trunk: &Trunk) -> Result<String, String> {
    let transport = match trunk.transport {
        TrunkTransport::Udp => sip::Transport::Udp,
        TrunkTransport::Tcp => sip::Transport::Tcp,
        TrunkTransport::Tls => sip::Transport::Tls,
    };
    let families = Families {
        ipv4: true,
        ipv6: true,
    };
    let resolver = Resolver::new(vec![transport], families).map_err(|error| error.to_string())?;
    let wanted = Wanted {
        host: trunk.host.trim_matches(['[', ']']).to_owned(),
        port: trunk.port,
        transport: Some(transport),
        is_secure: transport == sip::Transport::Tls,
    };
    let found = resolver.resolve(&wanted, rand::random()).await;
    let found = found.map_err(|error| format!("not found: {error}"))?;
    let Some(address) = found.first().map(|target| target.address) else {
        return Err("not found: its name has no address".to_owned());
    };
    let asked = match transport {
        sip::Transport::Udp => tokio::time::timeout(ANSWER_MAX, ask(address)).await,
        _ => {
            let connect = async { TcpStream::connect(address).await.map(drop) };
            tokio::time::timeout(ANSWER_MAX, connect).await
        }
    };
    match asked {
        Ok(Ok(())) => Ok(format!("answers at {address}")),
        Ok(Err(error)) => Err(format!("{address}: {error}")),
        Err(_) => Err(format!(
            "{address} does not answer: a firewall, or another `transport` or `port`?"
        )),
    }
}

/// OPTIONS over UDP; any answer will do.
async fn ask(address: SocketAddr) -> std::io::Result<()> {
    let any: SocketAddr = match address {
        SocketAddr::V4(_) => (Ipv4Addr::UNSPECIFIED, 0).into(),
        SocketAddr::V6(_) => (Ipv6Addr::UNSPECIFIED, 0).into(),
    };
    let socket = UdpSocket::bind(any).await?;
    socket.connect(address).await?;
    let own = socket.local_addr()?;
    let tag = rand::random::<u64>();
    let request = format!(
        "OPTIONS sip:{address} SIP/2.0\r\nVia: SIP/2.0/UDP {own};branch=z9hG4bK{tag:x};rport\r\n\
         From: <sip:doctor@{own}>;tag={tag:x}\r\nTo: <sip:{address}>\r\nCall-ID: {tag:x}\r\n\
         CSeq: 1 OPTIONS\r\nMax-Forwards: 70\r\nContent-Length: 0\r\n\r\n"
    );
    let mut answer = [0; 2_048];
    loop {
        socket.send(request.as_bytes()).await?;
        // Sent again twice within the time there is: a datagram may be lost.
        let received = tokio::time::timeout(ANSWER_MAX / 3, socket.recv(&mut answer)).await;
        if let Ok(read) = received {
            let read = read?;
            if answer[..read].starts_with(b"SIP/2.0 ") {
                return Ok(());
            }
        }
    }
}

/// `/api/status` of the program that runs; `None` where it serves none, or not to us.
pub(super) async fn status(config: &Config, token: &str) -> Option<serde_json::Value> {
    if !config.web.enabled {
        return None;
    }
    let addresses = server::addresses(&config.web.bind).await;
    let address = SocketAddr::new(*addresses.first()?, config.web.port);
    let asked = async {
        let mut stream = TcpStream::connect(address).await.ok()?;
        let request = format!(
            "GET /api/status HTTP/1.0\r\nHost: {address}\r\nAuthorization: Bearer {token}\r\n\r\n"
        );
        stream.write_all(request.as_bytes()).await.ok()?;
        let mut answer = Vec::new();
        stream
            .take(STATUS_MAX)
            .read_to_end(&mut answer)
            .await
            .ok()?;
        let text = String::from_utf8(answer).ok()?;
        let (_, body) = text.split_once("\r\n\r\n")?;
        serde_json::from_str(body).ok()
    };
    tokio::time::timeout(ANSWER_MAX, asked).await.ok()?
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_told_of_trunks() {
        let rows = [
            (
                true,
                "",
                "registered",
                "none",
                Some((Verdict::Good, "registered there")),
            ),
            (
                true,
                "",
                "refused with 403",
                "none",
                Some((Verdict::Bad, "refused with 403 there")),
            ),
            (
                false,
                "pbx",
                "not wanted",
                "registered with us",
                Some((Verdict::Good, "registered with us")),
            ),
            (
                false,
                "pbx",
                "not wanted",
                "not registered with us",
                Some((Verdict::Warning, "not registered with us")),
            ),
            (false, "", "not wanted", "none", None),
        ];
        for (register, account, ours, theirs, expected) in rows {
            let text = format!(
                "[[trunks]]\nname = \"line\"\nhost = \"192.0.2.1\"\nuser = \"me\"\nregister = {register}\n\
                 account = \"{account}\"\n"
            );
            let (config, _) = Config::parse(&text, &[]).expect("a config");
            let status = serde_json::json!({
                "trunks": [{ "name": "line", "registration": ours, "account": theirs }],
            });
            let found = told(&config.trunks[0], &status);
            let found = found
                .as_ref()
                .map(|(verdict, text)| (*verdict, text.as_str()));
            assert_eq!(found, expected, "{ours} {theirs}");
        }
    }
}
