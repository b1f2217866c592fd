//! This machine's addresses on the tailnet: found on an interface, confirmed by the local tailscaled
//! where one answers.
//!
//! 100.64.0.0/10 (RFC 6598) also belongs to carriers and to container networks, so an address of that
//! range on a network card counts only when tailscaled says that it is ours.

use std::io::{self, Read as _, Write as _};
use std::net::IpAddr;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::{Duration, Instant};

use tracing::info;

/// Where tailscaled listens on Linux.
const SOCKET: &str = "/var/run/tailscale/tailscaled.sock";
const ASK_TIMEOUT: Duration = Duration::from_millis(500);
const ANSWER_BYTES_MAX: usize = 1024 * 1024;
const ADDRESSES_MAX: usize = 8;

/// An address and the interface that has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Interface {
    pub name: String,
    pub address: IpAddr,
    /// A network card or a dial-up link, as opposed to a tunnel.
    pub is_uplink: bool,
}

/// Whether `address` is of the ranges tailnets use: 100.64.0.0/10 or fd7a:115c:a1e0::/48.
pub fn is_tailnet(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(address) => {
            let [a, b, ..] = address.octets();
            a == 100 && b & 0xc0 == 0x40
        }
        IpAddr::V6(address) => {
            let [a, b, c, ..] = address.segments();
            [a, b, c] == [0xfd7a, 0x115c, 0xa1e0]
        }
    }
}

/// Tailnet addresses of this machine that can be listened on; IPv4 first. Empty where there is none.
pub async fn addresses() -> Vec<IpAddr> {
    tokio::task::spawn_blocking(|| find(Path::new(SOCKET)))
        .await
        .unwrap_or_default()
}

/// This machine's name on the tailnet, such as `box.example.ts.net`.
pub async fn name() -> Option<String> {
    let asked = tokio::task::spawn_blocking(|| answer_of(Path::new(SOCKET), ASK_TIMEOUT));
    read_name(&asked.await.ok()?.ok()?)
}

fn find(socket: &Path) -> Vec<IpAddr> {
    let interfaces = interfaces().unwrap_or_default();
    let claimed = ask(socket, ASK_TIMEOUT).ok();
    let (chosen, note) = choose(&interfaces, claimed.as_deref());
    if let Some(note) = note {
        info!("tailnet: {note}");
    }
    chosen
}

/// Which of the interfaces' addresses are the tailnet's. `claimed` is what
/// tailscaled says; none: it did not answer. The note says what was left out and why.
pub fn choose(
    interfaces: &[Interface],
    claimed: Option<&[IpAddr]>,
) -> (Vec<IpAddr>, Option<String>) {
    let candidates = interfaces
        .iter()
        .filter(|interface| is_tailnet(interface.address));
    let (mut chosen, mut left_out) = (Vec::new(), Vec::new());
    for interface in candidates.take(ADDRESSES_MAX) {
        let is_ours = match claimed {
            Some(claimed) if !claimed.is_empty() => claimed.contains(&interface.address),
            _ => !interface.is_uplink,
        };
        if is_ours && !chosen.contains(&interface.address) {
            chosen.push(interface.address);
        } else if !is_ours {
            left_out.push(format!("{} on {}", interface.address, interface.name));
        }
    }
    chosen.sort();
    let unbound: Vec<String> = claimed
        .unwrap_or_default()
        .iter()
        .filter(|address| {
            !interfaces
                .iter()
                .any(|interface| interface.address == **address)
        })
        .map(IpAddr::to_string)
        .collect();
    let note = if !left_out.is_empty() {
        Some(format!(
            "{} looks like a carrier's address; name it in `bind` of [sip] to listen there",
            left_out.join(", ")
        ))
    } else if chosen.is_empty() && !unbound.is_empty() {
        let list = unbound.join(", ");
        Some(format!(
            "tailscaled has {list} but no interface (userspace networking): phones cannot be reached there"
        ))
    } else {
        None
    };
    (chosen, note)
}

/// All addresses of this machine.
pub fn interfaces() -> io::Result<Vec<Interface>> {
    let found = if_addrs::get_if_addrs()?;
    Ok(found
        .into_iter()
        .map(|interface| {
            let address = interface.ip();
            let is_uplink = is_uplink(&interface.name);
            Interface {
                name: interface.name,
                address,
                is_uplink,
            }
        })
        .collect())
}

/// Hardware has a device; a container's card is called eth0 and has none.
fn is_uplink(name: &str) -> bool {
    let plain = !name.contains('/') && !name.starts_with('.');
    let has_device = plain
        && Path::new("/sys/class/net")
            .join(name)
            .join("device")
            .exists();
    has_device
        || ["eth", "en", "wl", "ww", "ppp", "rmnet"]
            .iter()
            .any(|start| name.starts_with(start))
}

/// Asks tailscaled for the addresses of this node. An error where there is none, or it is slow.
fn ask(socket: &Path, patience: Duration) -> io::Result<Vec<IpAddr>> {
    read_status(&answer_of(socket, patience)?).ok_or_else(|| io::ErrorKind::InvalidData.into())
}

/// The whole answer to a question for the node's status.
fn answer_of(socket: &Path, patience: Duration) -> io::Result<Vec<u8>> {
    let until = Instant::now() + patience;
    let mut stream = UnixStream::connect(socket)?;
    stream.set_write_timeout(Some(patience))?;
    // HTTP/1.0, so that the answer ends with the connection and is not chunked.
    stream.write_all(
        b"GET /localapi/v0/status?peers=false HTTP/1.0\r\nHost: local-tailscaled.sock\r\n\r\n",
    )?;
    let mut answer = Vec::new();
    let mut buffer = [0; 16 * 1024];
    loop {
        let left = until.saturating_duration_since(Instant::now());
        if left.is_zero() || answer.len() > ANSWER_BYTES_MAX {
            return Err(io::ErrorKind::TimedOut.into());
        }
        stream.set_read_timeout(Some(left))?;
        match stream.read(&mut buffer)? {
            0 => break,
            count => answer.extend_from_slice(&buffer[..count]),
        }
    }
    Ok(answer)
}

/// The addresses in tailscaled's answer; none if it is no such answer.
fn read_status(answer: &[u8]) -> Option<Vec<IpAddr>> {
    let status = read_json(answer)?;
    let listed = status.get("Self")?.get("TailscaleIPs")?.as_array()?;
    let texts = listed
        .iter()
        .take(ADDRESSES_MAX)
        .filter_map(serde_json::Value::as_str);
    Some(texts.filter_map(|text| text.parse().ok()).collect())
}

/// The node's own name, without the dot at its end.
fn read_name(answer: &[u8]) -> Option<String> {
    let status = read_json(answer)?;
    let name = status.get("Self")?.get("DNSName")?.as_str()?;
    let name = name.trim_end_matches('.');
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-');
    ((1..=253).contains(&name.len()) && name.chars().all(plain)).then(|| name.to_owned())
}

fn read_json(answer: &[u8]) -> Option<serde_json::Value> {
    let head_end = answer.windows(4).position(|window| window == b"\r\n\r\n")?;
    let first_line = answer.split(|byte| *byte == b'\r').next()?;
    if !first_line.starts_with(b"HTTP/1.") || !first_line.get(8..)?.starts_with(b" 200") {
        return None;
    }
    serde_json::from_slice(&answer[head_end + 4..]).ok()
}

#[cfg(test)]
mod tests {
    use std::os::unix::net::UnixListener;

    use super::*;
    use crate::testing::Scratch;

    fn ip(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    #[test]
    fn ranges() {
        for (text, expected) in [
            ("100.64.0.0", true),
            ("100.127.255.255", true),
            ("100.63.255.255", false),
            ("100.128.0.0", false),
            ("10.64.0.1", false),
            ("fd7a:115c:a1e0::1", true),
            ("fd7a:115c:a1e1::1", false),
            ("::1", false),
        ] {
            assert_eq!(is_tailnet(ip(text)), expected, "{text}");
        }
    }

    #[test]
    fn the_tunnel_is_chosen_and_the_carrier_is_not() {
        let interface = |name: &str, address: &str, is_uplink| Interface {
            name: name.to_owned(),
            address: ip(address),
            is_uplink,
        };
        let lan = interface("eth0", "192.168.1.7", true);
        let tunnel = interface("tailscale0", "100.101.102.103", false);
        let tunnel6 = interface("tailscale0", "fd7a:115c:a1e0::5", false);
        let carrier = interface("wwan0", "100.70.1.2", true);
        let check =
            |interfaces: &[&Interface], claimed: Option<&[&str]>, expected: &[&str], note: &str| {
                let interfaces: Vec<Interface> = interfaces.iter().map(|&i| i.clone()).collect();
                let claimed: Option<Vec<IpAddr>> =
                    claimed.map(|list| list.iter().map(|text| ip(text)).collect());
                let (chosen, said) = choose(&interfaces, claimed.as_deref());
                let expected: Vec<IpAddr> = expected.iter().map(|text| ip(text)).collect();
                assert_eq!(chosen, expected);
                let said = said.unwrap_or_default();
                assert!(
                    said.contains(note) && said.is_empty() == note.is_empty(),
                    "{said:?} {note:?}"
                );
            };
        check(&[&lan], None, &[], "");
        check(
            &[&lan, &tunnel6, &tunnel],
            None,
            &["100.101.102.103", "fd7a:115c:a1e0::5"],
            "",
        );
        check(&[&lan, &tunnel, &tunnel], None, &["100.101.102.103"], "");
        check(&[&carrier], None, &[], "100.70.1.2 on wwan0 looks like");
        check(
            &[&carrier, &tunnel],
            None,
            &["100.101.102.103"],
            "100.70.1.2 on wwan0",
        );
        check(&[&carrier], Some(&["100.70.1.2"]), &["100.70.1.2"], "");
        check(
            &[&carrier, &tunnel],
            Some(&["100.101.102.103"]),
            &["100.101.102.103"],
            "wwan0",
        );
        check(
            &[&lan],
            Some(&["100.101.102.103"]),
            &[],
            "userspace networking",
        );
        check(&[&lan, &tunnel], Some(&[]), &["100.101.102.103"], "");
    }

    #[test]
    fn answers_of_tailscaled() {
        let check = |answer: &str, expected: Option<&[&str]>| {
            let expected: Option<Vec<IpAddr>> =
                expected.map(|list| list.iter().map(|text| ip(text)).collect());
            assert_eq!(read_status(answer.as_bytes()), expected, "{answer}");
        };
        let body = r#"{"BackendState":"Running","Self":{"TailscaleIPs":["100.64.1.2","fd7a:115c:a1e0::5","?"]}}"#;
        check(
            &format!("HTTP/1.0 200 OK\r\nContent-Type: application/json\r\n\r\n{body}"),
            Some(&["100.64.1.2", "fd7a:115c:a1e0::5"]),
        );
        check(&format!("HTTP/1.0 403 Forbidden\r\n\r\n{body}"), None);
        check(
            "HTTP/1.0 200 OK\r\n\r\n{\"Self\":{\"TailscaleIPs\":null}}",
            None,
        );
        check("HTTP/1.0 200 OK\r\n\r\n", None);
        check("HTTP/1.", None);
        check("", None);
    }

    #[test]
    fn the_name_of_this_node() {
        for (status, expected) in [
            (
                r#"{"Self":{"DNSName":"box.example.ts.net."}}"#,
                Some("box.example.ts.net"),
            ),
            (r#"{"Self":{"DNSName":"a b"}}"#, None),
            (r#"{"Self":{"DNSName":""}}"#, None),
            (r#"{"Self":{}}"#, None),
        ] {
            let answer = format!("HTTP/1.0 200 OK\r\n\r\n{status}");
            assert_eq!(read_name(answer.as_bytes()).as_deref(), expected);
        }
    }

    #[test]
    fn hostile_answers_give_no_panic() {
        use rand::{RngExt as _, SeedableRng as _};
        let mut rng = rand::rngs::StdRng::seed_from_u64(11);
        let whole = b"HTTP/1.0 200 OK\r\n\r\n{\"Self\":{\"TailscaleIPs\":[\"100.64.1.2\"]}}";
        for _ in 0..2_000 {
            let mut answer = whole.to_vec();
            answer.truncate(rng.random_range(0..=whole.len()));
            for _ in 0..rng.random_range(0..4) {
                if !answer.is_empty() {
                    let at = rng.random_range(0..answer.len());
                    answer[at] = rng.random_range(0..=255);
                }
            }
            if let Some(addresses) = read_status(&answer) {
                assert!(addresses.len() <= ADDRESSES_MAX);
            }
        }
    }

    #[test]
    fn a_socket_that_answers_and_one_that_does_not() {
        let scratch = Scratch::new("tailnet");
        let socket = scratch.path().join("sock");
        assert!(ask(&socket, Duration::from_secs(5)).is_err());
        let listener = UnixListener::bind(&socket).unwrap();
        let stub = std::thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            let mut request = [0; 512];
            let count = stream.read(&mut request).unwrap();
            let answer = b"HTTP/1.0 200 OK\r\n\r\n{\"Self\":{\"TailscaleIPs\":[\"100.64.1.2\"]}}";
            stream.write_all(answer).unwrap();
            drop(stream);
            // The second caller is let in and left waiting.
            let silent = listener.accept().unwrap();
            (
                String::from_utf8_lossy(&request[..count]).into_owned(),
                silent,
            )
        });
        assert_eq!(
            ask(&socket, Duration::from_secs(5)).unwrap(),
            [ip("100.64.1.2")]
        );
        assert!(ask(&socket, Duration::from_millis(50)).is_err());
        let (request, _silent) = stub.join().unwrap();
        assert!(request.starts_with("GET /localapi/v0/status"), "{request}");
        assert!(
            request.contains("\r\nHost: local-tailscaled.sock\r\n"),
            "{request}"
        );
    }
}
