//! Connecting a phone from the page: where it registers, a new account or a new password, and an invitation as a QR code
//! that Linphone reads: an address of ours with its settings (Linphone's remote provisioning). An invitation holds a
//! password, is random, lives ten minutes in memory and is gone after a few looks.

use std::fmt::Write as _;
use std::net::{IpAddr, SocketAddr};
use std::sync::PoisonError;

use axum::body::Bytes;
use axum::extract::rejection::BytesRejection;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Extension, Json, Router};
use qrcodegen::{QrCode, QrCodeEcc};
use serde::Deserialize;
use serde_json::{Value, json};
use sip::{Advertised, Transport};

use super::{Page, Visitor, owner_only, sessions};
use crate::api::{self, Problem};
use crate::config::Advertise;
use crate::records::unix_ms;
use crate::redact::Secret;
use crate::secrets::{SecretStore, SecretsError, generate};
use crate::signalling::advertise;
use crate::tailnet::{self, Interface, is_tailnet};

/// How long an invitation may be read.
const INVITATION_MS: u64 = 10 * 60 * 1000;
/// A phone reads it once or twice; what is read more often is in other hands.
const LOOKS_MAX: u32 = 4;
/// Invitations at once; the oldest goes.
const INVITATIONS_MAX: usize = 32;

/// Phones that were invited and have not come yet.
#[derive(Default)]
pub(super) struct Invitations(Vec<Invitation>);

struct Invitation {
    /// Of the token in its address.
    hash: String,
    settings: Settings,
    until_unix_ms: u64,
    looks: u32,
}

/// What a phone has to know.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Settings {
    user: String,
    password: Secret,
    realm: String,
    server: SocketAddr,
    transport: Transport,
}

impl Invitations {
    fn add(&mut self, hash: String, settings: Settings, now_unix_ms: u64) {
        self.0.retain(|known| known.until_unix_ms > now_unix_ms);
        if self.0.len() >= INVITATIONS_MAX {
            self.0.remove(0);
        }
        self.0.push(Invitation {
            hash,
            settings,
            until_unix_ms: now_unix_ms + INVITATION_MS,
            looks: 0,
        });
    }

    fn look(&mut self, hash: &str, now_unix_ms: u64) -> Option<Settings> {
        self.0
            .retain(|known| known.until_unix_ms > now_unix_ms && known.looks < LOOKS_MAX);
        let found = self.0.iter_mut().find(|known| known.hash == hash)?;
        found.looks += 1;
        Some(found.settings.clone())
    }
}

pub(super) fn routes() -> Router<Page> {
    Router::new()
        .route("/api/web/connect", get(servers))
        .route("/api/web/phones", post(add))
        .route("/api/web/phones/{name}/password", post(new_password))
}

/// A phone has no cookie: the invitation's own token lets it in.
pub(super) fn routes_outside() -> Router<Page> {
    Router::new().route("/phone/{token}", get(invitation))
}

/// Where phones register.
async fn servers(
    State(page): State<Page>,
    headers: HeaderMap,
    Extension(_): Extension<Visitor>,
) -> Json<Value> {
    let sip = reachable(&page, &headers);
    let rows = sip.iter().map(|(transport, address)| {
        json!({
            "address": address.to_string(),
            "transport": transport.via_token(),
            "is_here_only": address.ip().is_loopback(),
        })
    });
    let best = best_server(&sip, &headers);
    Json(json!({
        "servers": rows.collect::<Vec<_>>(),
        "best": best.map(|(transport, address)| json!({
            "address": address.to_string(),
            "transport": transport.via_token(),
            "is_here_only": address.ip().is_loopback(),
        })),
    }))
}

/// The listener that a phone reaches most likely: where the browser has reached us, else anywhere but this machine. TCP
/// before UDP: phones behind a router that forgets keep it open.
fn best_server(
    sip: &[(Transport, SocketAddr)],
    headers: &HeaderMap,
) -> Option<(Transport, SocketAddr)> {
    let host = reached_at(headers);
    let rank = |(transport, address): &&(Transport, SocketAddr)| {
        let ip = address.ip();
        let is_host = Some(ip) == host && !ip.is_loopback();
        let kind = match transport {
            Transport::Tcp => 0,
            Transport::Udp => 1,
            Transport::Tls => 2,
            _ => 3,
        };
        (!is_host, ip.is_loopback(), kind, ip.is_ipv6())
    };
    let known = |transport: &Transport| {
        matches!(transport, Transport::Tcp | Transport::Udp | Transport::Tls)
    };
    let known = sip.iter().filter(|(transport, _)| known(transport));
    known.min_by_key(rank).copied()
}

/// The address that the browser has reached us at; none where it used a name.
fn reached_at(headers: &HeaderMap) -> Option<IpAddr> {
    let host = headers.get(header::HOST)?.to_str().ok()?;
    let socket = host.parse::<SocketAddr>().map(|address| address.ip());
    socket
        .or_else(|_| host.trim_matches(['[', ']']).parse())
        .ok()
}

/// Where we listen, at addresses that can be typed into a phone.
fn reachable(page: &Page, headers: &HeaderMap) -> Vec<(Transport, SocketAddr)> {
    let parts = page.parts();
    let is_everywhere = |(_, address): &(Transport, SocketAddr)| address.ip().is_unspecified();
    if !parts.sip.iter().any(is_everywhere) {
        return parts.sip.clone();
    }
    // They change while we run.
    let interfaces = tailnet::interfaces().unwrap_or_default();
    let own = own_addresses(&parts.config.sip.advertise, &interfaces);
    without_wildcards(&parts.sip, reached_at(headers), &own)
}

/// This machine's addresses as phones know them, the likeliest first: those of `advertise`, of network cards, of the tailnet.
fn own_addresses(rows: &[Advertise], interfaces: &[Interface]) -> Vec<IpAddr> {
    let table = advertise::table(rows, &[], interfaces);
    let is_of_link = |ip: IpAddr| match ip {
        IpAddr::V4(four) => four.is_link_local(),
        IpAddr::V6(six) => six.is_unicast_link_local(),
    };
    let usable = interfaces
        .iter()
        .filter(|interface| !interface.address.is_loopback() && !is_of_link(interface.address));
    let mut ranked: Vec<(u8, IpAddr)> = usable
        .map(|interface| {
            let outside = Advertised::of(&table, interface.address);
            let rank = match interface {
                _ if outside != interface.address => 0,
                Interface {
                    is_uplink: true, ..
                } => 1,
                _ if is_tailnet(interface.address) => 2,
                _ => 3,
            };
            (rank, outside)
        })
        .collect();
    ranked.sort_by_key(|(rank, _)| *rank);
    ranked.into_iter().map(|(_, address)| address).collect()
}

/// `0.0.0.0` and `::` are no place to send a phone: the address that the browser has reached stands for them, else the first
/// of our own; a row with neither is left out.
fn without_wildcards(
    sip: &[(Transport, SocketAddr)],
    reached: Option<IpAddr>,
    own: &[IpAddr],
) -> Vec<(Transport, SocketAddr)> {
    let place = |address: SocketAddr| {
        if !address.ip().is_unspecified() {
            return Some(address);
        }
        let fits = |ip: &IpAddr| ip.is_ipv4() == address.is_ipv4() && !ip.is_unspecified();
        let reached = reached.filter(fits);
        let elsewhere = reached.filter(|ip| !ip.is_loopback());
        let found = elsewhere
            .or_else(|| own.iter().copied().find(fits))
            .or(reached);
        Some(SocketAddr::new(found?, address.port()))
    };
    sip.iter()
        .filter_map(|(transport, address)| Some((*transport, place(*address)?)))
        .collect()
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct NewPhone {
    name: String,
}

/// A new account; its password is in the answer and nowhere else.
async fn add(
    State(page): State<Page>,
    Extension(visitor): Extension<Visitor>,
    headers: HeaderMap,
    body: Result<Bytes, BytesRejection>,
) -> Result<Response, Problem> {
    owner_only(&visitor)?;
    let NewPhone { name } = api::json(body)?;
    invite(page, headers, name, SecretStore::add_user).await
}

/// A new password: of one's own account, or of any for the owner. Phones with the old one are refused.
async fn new_password(
    State(page): State<Page>,
    Extension(visitor): Extension<Visitor>,
    headers: HeaderMap,
    Path(name): Path<String>,
) -> Result<Response, Problem> {
    if name != visitor.person {
        owner_only(&visitor)?;
    }
    invite(page, headers, name, SecretStore::set_password).await
}

type Change = fn(&mut SecretStore, &str, &str, &Secret) -> Result<(), SecretsError>;

async fn invite(
    page: Page,
    headers: HeaderMap,
    name: String,
    change: Change,
) -> Result<Response, Problem> {
    let parts = page.parts();
    let failed = |error: SecretsError| {
        let status = match &error {
            SecretsError::UserExists { .. } => StatusCode::CONFLICT,
            SecretsError::NoSuchUser { .. } => StatusCode::NOT_FOUND,
            SecretsError::BadName { .. } | SecretsError::Reserved | SecretsError::Full => {
                StatusCode::BAD_REQUEST
            }
            _ => {
                tracing::error!(%error, "no account made");
                let why = "The secret store can't be changed: see the log.";
                return Problem::new(StatusCode::SERVICE_UNAVAILABLE, why);
            }
        };
        Problem::new(status, error.to_string())
    };
    let password = generate().map_err(failed)?.phone_password();
    let (path, realm) = (parts.home.secrets_path(), parts.config.sip.realm.clone());
    let (account, kept) = (name.clone(), password.clone());
    let changed = tokio::task::spawn_blocking(move || {
        let mut secrets = SecretStore::open(&path)?;
        change(&mut secrets, &account, &realm, &kept)
    });
    let gone = |_| Problem::new(StatusCode::SERVICE_UNAVAILABLE, "The program is stopping.");
    changed.await.map_err(gone)?.map_err(failed)?;
    let server = best_server(&reachable(&page, &headers), &headers);
    let mut value = json!({ "user": name, "password": password.expose() });
    if let Some((transport, address)) = server {
        value["server"] = json!(address.to_string());
        value["transport"] = json!(transport.via_token());
        let token = generate().map_err(failed)?.token();
        // Where the phone itself can fetch it.
        if let Some(base) = base_for_phones(&page, &headers) {
            let settings = Settings {
                user: name,
                password,
                realm: parts.config.sip.realm.clone(),
                server: address,
                transport,
            };
            let invitations = &page.0.invitations;
            let mut invitations = invitations.lock().unwrap_or_else(PoisonError::into_inner);
            invitations.add(sessions::hash(token.expose()), settings, unix_ms());
            let link = format!("{base}/phone/{}", token.expose());
            value["qr"] = json!(qr_svg(&link));
            value["link"] = json!(link);
        }
    }
    Ok((StatusCode::CREATED, Json(value)).into_response())
}

/// Scheme and host of the page as another machine reaches it.
fn base_for_phones(page: &Page, headers: &HeaderMap) -> Option<String> {
    let parts = page.parts();
    let url = &parts.config.web.url;
    if !url.is_empty() {
        return Some(url.clone());
    }
    let reached = reached_at(headers).filter(|ip| !ip.is_loopback());
    let mut elsewhere = parts.web.iter().map(SocketAddr::ip);
    let ip = reached.or_else(|| elsewhere.find(|ip| !ip.is_loopback() && !ip.is_unspecified()))?;
    let address = SocketAddr::new(ip, parts.config.web.port);
    Some(format!("http://{address}"))
}

/// `GET /phone/TOKEN`: the phone's settings. Anything wrong is simply not there.
async fn invitation(State(page): State<Page>, Path(token): Path<String>) -> Response {
    let found = sessions::is_plausible(&token).then(|| {
        let invitations = &page.0.invitations;
        let mut invitations = invitations.lock().unwrap_or_else(PoisonError::into_inner);
        invitations.look(&sessions::hash(&token), unix_ms())
    });
    match found.flatten() {
        Some(settings) => {
            let kind = [(header::CONTENT_TYPE, "application/xml")];
            (kind, linphone(&settings)).into_response()
        }
        None => StatusCode::NOT_FOUND.into_response(),
    }
}

/// The settings in Linphone's own format (its lpconfig schema): one account, and whom it registers with.
fn linphone(settings: &Settings) -> String {
    let Settings {
        user,
        password,
        realm,
        server,
        transport,
    } = settings;
    let ip = match server.ip() {
        IpAddr::V6(six) => format!("[{six}]"),
        IpAddr::V4(four) => four.to_string(),
    };
    let transport = transport.via_token().to_ascii_lowercase();
    let account = [
        ("reg_proxy", format!("<sip:{server};transport={transport}>")),
        ("reg_route", format!("<sip:{server};transport={transport}>")),
        ("reg_identity", format!("sip:{user}@{ip}")),
        ("reg_expires", "3600".to_owned()),
        ("reg_sendregister", "1".to_owned()),
        ("publish", "0".to_owned()),
    ];
    let login = [
        ("username", user.clone()),
        ("passwd", password.expose().to_owned()),
        ("realm", realm.clone()),
    ];
    // The invitation is soon over; a phone that kept its address would ask there at every start, and have its login twice.
    let once = [("transient_provisioning", "1".to_owned())];
    let mut xml = String::from(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n\
         <config xmlns=\"http://www.linphone.org/xsds/lpconfig.xsd\">\n",
    );
    for (section, entries) in [
        ("proxy_0", &account[..]),
        ("auth_info_0", &login[..]),
        ("misc", &once[..]),
    ] {
        // Writing to a String cannot fail.
        let _ = writeln!(xml, "  <section name=\"{section}\">");
        for (name, value) in entries {
            let value = value
                .replace('&', "&amp;")
                .replace('<', "&lt;")
                .replace('>', "&gt;");
            let _ = writeln!(
                xml,
                "    <entry name=\"{name}\" overwrite=\"true\">{value}</entry>"
            );
        }
        xml.push_str("  </section>\n");
    }
    xml.push_str("</config>\n");
    xml
}

/// A QR code (ISO/IEC 18004) as SVG, with the quiet zone of four modules that readers ask for. None: too long a text.
fn qr_svg(text: &str) -> Option<String> {
    const QUIET: i32 = 4;
    let code = QrCode::encode_text(text, QrCodeEcc::Medium).ok()?;
    let size = code.size();
    let mut path = String::new();
    for y in 0..size {
        for x in 0..size {
            if code.get_module(x, y) {
                let _ = write!(path, "M{},{}h1v1h-1z", x + QUIET, y + QUIET);
            }
        }
    }
    let side = size + 2 * QUIET;
    Some(format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {side} {side}\" shape-rendering=\"crispEdges\">\
         <path fill=\"#fff\" d=\"M0,0h{side}v{side}h-{side}z\"/><path d=\"{path}\"/></svg>"
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings() -> Settings {
        Settings {
            user: "anna".to_owned(),
            password: Secret::new("a<&b"),
            realm: "offhook".to_owned(),
            server: "100.64.0.7:5060".parse().expect("an address"),
            transport: Transport::Tcp,
        }
    }

    #[test]
    fn an_invitation_is_over_after_some_looks_and_some_time() {
        let mut invitations = Invitations::default();
        invitations.add("h".to_owned(), settings(), 0);
        for n in 0..LOOKS_MAX {
            assert!(invitations.look("h", 1).is_some(), "{n}");
        }
        assert!(invitations.look("h", 1).is_none());
        invitations.add("h".to_owned(), settings(), 0);
        assert!(invitations.look("x", 1).is_none());
        assert!(invitations.look("h", INVITATION_MS).is_none());
        for n in 0..INVITATIONS_MAX + 3 {
            invitations.add(format!("h{n}"), settings(), 0);
        }
        assert_eq!(invitations.0.len(), INVITATIONS_MAX);
        assert!(invitations.look("h0", 1).is_none());
    }

    #[test]
    fn linphone_reads_where_who_and_with_what() {
        let xml = linphone(&settings());
        for part in [
            "<entry name=\"reg_proxy\" overwrite=\"true\">&lt;sip:100.64.0.7:5060;transport=tcp&gt;</entry>",
            "<entry name=\"reg_identity\" overwrite=\"true\">sip:anna@100.64.0.7</entry>",
            "<entry name=\"passwd\" overwrite=\"true\">a&lt;&amp;b</entry>",
            "<section name=\"auth_info_0\">",
            "<entry name=\"transient_provisioning\" overwrite=\"true\">1</entry>",
        ] {
            assert!(xml.contains(part), "{part} in\n{xml}");
        }
    }

    #[test]
    fn a_phone_is_sent_where_it_can_go() {
        let row = |transport, address: &str| (transport, address.parse().expect("an address"));
        let (udp, tcp) = (Transport::Udp, Transport::Tcp);
        let all = [
            row(udp, "127.0.0.1:5060"),
            row(tcp, "127.0.0.1:5060"),
            row(udp, "100.64.0.7:5060"),
            row(tcp, "100.64.0.7:5060"),
            row(tcp, "192.0.2.1:5060"),
        ];
        let check = |sip: &[(Transport, SocketAddr)], host: &str, expected: &str| {
            let mut headers = HeaderMap::new();
            headers.insert(header::HOST, host.parse().expect("a value"));
            let best = best_server(sip, &headers)
                .map(|(transport, address)| format!("{} {address}", transport.via_token()));
            assert_eq!(best.as_deref(), Some(expected), "{host}");
        };
        check(&all, "127.0.0.1:8060", "TCP 100.64.0.7:5060");
        check(&all, "192.0.2.1:8060", "TCP 192.0.2.1:5060");
        check(&all, "phone.example.org", "TCP 100.64.0.7:5060");
        check(&all[..2], "127.0.0.1:8060", "TCP 127.0.0.1:5060");
        check(&all[..1], "127.0.0.1:8060", "UDP 127.0.0.1:5060");
    }

    #[test]
    fn nobody_is_sent_to_a_wildcard() {
        let ip = |text: &str| -> IpAddr { text.parse().expect("an address") };
        let everywhere: Vec<(Transport, SocketAddr)> = [
            (Transport::Udp, "0.0.0.0:5060"),
            (Transport::Tcp, "[::]:5060"),
            (Transport::Tls, "127.0.0.1:5061"),
        ]
        .map(|(transport, address)| (transport, address.parse().expect("an address")))
        .into();
        type Row<'a> = (Option<&'a str>, &'a [&'a str], &'a [&'a str]);
        let rows: [Row<'_>; 7] = [
            (
                Some("192.168.1.5"),
                &["10.0.0.5", "2001:db8::5"],
                &["192.168.1.5:5060", "[2001:db8::5]:5060", "127.0.0.1:5061"],
            ),
            (
                Some("127.0.0.1"),
                &["10.0.0.5"],
                &["10.0.0.5:5060", "127.0.0.1:5061"],
            ),
            (
                Some("2001:db8::1"),
                &["10.0.0.5", "2001:db8::5"],
                &["10.0.0.5:5060", "[2001:db8::1]:5060", "127.0.0.1:5061"],
            ),
            // By a name.
            (None, &["10.0.0.5"], &["10.0.0.5:5060", "127.0.0.1:5061"]),
            // A machine with no network: phones on it reach it.
            (
                Some("127.0.0.1"),
                &[],
                &["127.0.0.1:5060", "127.0.0.1:5061"],
            ),
            (None, &[], &["127.0.0.1:5061"]),
            (Some("0.0.0.0"), &[], &["127.0.0.1:5061"]),
        ];
        for (reached, own, expected) in rows {
            let own: Vec<IpAddr> = own.iter().map(|text| ip(text)).collect();
            let found = without_wildcards(&everywhere, reached.map(ip), &own);
            let found: Vec<String> = found.iter().map(|(_, at)| at.to_string()).collect();
            assert_eq!(found, expected, "{reached:?} {own:?}");
        }
    }

    #[test]
    fn what_is_advertised_comes_first() {
        let interface = |name: &str, address: &str, is_uplink| Interface {
            name: name.to_owned(),
            address: address.parse().expect("an address"),
            is_uplink,
        };
        let interfaces = [
            interface("lo", "127.0.0.1", false),
            interface("docker0", "172.17.0.1", false),
            interface("tailscale0", "100.101.1.2", false),
            interface("eth0", "fe80::5", true),
            interface("eth0", "10.0.0.5", true),
        ];
        let addresses = |rows: &[Advertise]| -> Vec<String> {
            let found = own_addresses(rows, &interfaces);
            found.iter().map(IpAddr::to_string).collect()
        };
        assert_eq!(addresses(&[]), ["10.0.0.5", "100.101.1.2", "172.17.0.1"]);
        let row = Advertise {
            inside: crate::config::Inside::Interface("tailscale0".to_owned()),
            outside: "203.0.113.9".parse().expect("an address"),
        };
        assert_eq!(addresses(&[row])[0], "203.0.113.9");
    }

    #[test]
    fn a_qr_code_has_its_corners() {
        let svg = qr_svg("http://100.64.0.7:8060/phone/abc").expect("short enough");
        assert!(svg.contains("viewBox=\"0 0 3"), "{}", &svg[..120]);
        // The dark module of the first finder pattern, behind the quiet zone.
        assert!(svg.contains("d=\"M4,4h1v1h-1z"), "{}", &svg[..400]);
        assert_eq!(qr_svg(&"x".repeat(5_000)), None);
    }
}
