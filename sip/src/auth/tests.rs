//! The arithmetic against the published examples (RFC 2617 §3.5, RFC 7616 §3.9.1), nonces against forgers and replays,
//! client against server.

#![allow(clippy::type_complexity, reason = "rows of a table")]

use std::net::IpAddr;

use super::client::Challenge;
use super::nonce::{NONCE_CHARS, NonceError, Nonces};
use super::server::{DigestServer, Verdict};
use super::{Algorithm, ResponseInput, ha1, hex, response};
use crate::endpoint::{AuthConfig, User};
use crate::header::{AuthParams, HeaderName};
use crate::message::Request;
use crate::method::Method;
use crate::secret::Secret;

const REALM: &str = "offhook";
const NOW_MS: u64 = 1_000_000;

fn here() -> IpAddr {
    IpAddr::from([192, 0, 2, 7])
}

fn elsewhere() -> IpAddr {
    IpAddr::from([192, 0, 2, 8])
}

#[test]
fn published_examples() {
    struct Row {
        algorithm: Algorithm,
        realm: &'static str,
        password: &'static str,
        input: ResponseInput<'static>,
        expected: &'static str,
    }
    let rfc7616 = ResponseInput {
        nonce: "7ypf/xlj9XXwfDPEoM4URrv/xwf94BcCAzFZH4GiTo0v",
        count: Some(("00000001", "f2/wE4q74E6zIJEtWaHKaf5wv/H5QzzpXusqGemxURZJ")),
        method: "GET",
        uri: "/dir/index.html",
    };
    let rows = [
        Row {
            algorithm: Algorithm::Md5,
            realm: "testrealm@host.com",
            password: "Circle Of Life",
            input: ResponseInput {
                nonce: "dcd98b7102dd2f0e8b11d0f600bfb0c093",
                count: Some(("00000001", "0a4f113b")),
                method: "GET",
                uri: "/dir/index.html",
            },
            expected: "6629fae49393a05397450978507c4ef1",
        },
        Row {
            algorithm: Algorithm::Md5,
            realm: "http-auth@example.org",
            password: "Circle of Life",
            input: rfc7616,
            expected: "8ca523f5e9506fed4657c9700eebdbec",
        },
        Row {
            algorithm: Algorithm::Sha256,
            realm: "http-auth@example.org",
            password: "Circle of Life",
            input: rfc7616,
            expected: "753927fa0e85d155564e2e272a28d1802ca10daf4496794697cf8db5856cb6c1",
        },
        // RFC 2069 §2.4 as corrected by its erratum: without qop.
        Row {
            algorithm: Algorithm::Md5,
            realm: "testrealm@host.com",
            password: "CircleOfLife",
            input: ResponseInput {
                nonce: "dcd98b7102dd2f0e8b11d0f600bfb0c093",
                count: None,
                method: "GET",
                uri: "/dir/index.html",
            },
            expected: "1949323746fe6a43ef61f9606e7febea",
        },
    ];
    for row in rows {
        let secret = ha1(row.algorithm, "Mufasa", row.realm, row.password);
        assert_eq!(
            response(row.algorithm, &secret, row.input).expose(),
            row.expected
        );
    }
}

#[test]
fn hex_digits() {
    assert_eq!(hex(&[0, 0x0f, 0xf0, 0xff]), "000ff0ff");
}

fn nonces(used_max: usize) -> Nonces {
    Nonces::new([7; 32], 60_000, true, used_max)
}

#[test]
fn a_nonce_is_good_here_for_a_while_and_only_as_issued() {
    let mut nonces = nonces(8);
    let nonce = nonces.issue(NOW_MS, here());
    assert_eq!(nonce.len(), NONCE_CHARS);
    assert!(nonces.check(NOW_MS + 60_000, &nonce, here()).is_ok());
    assert_eq!(
        nonces.check(NOW_MS + 60_001, &nonce, here()),
        Err(NonceError::Expired)
    );
    assert_eq!(
        nonces.check(NOW_MS, &nonce, elsewhere()),
        Err(NonceError::Foreign)
    );
    for at in 0..nonce.len() {
        let mut forged = nonce.clone().into_bytes();
        forged[at] = if forged[at] == b'0' { b'1' } else { b'0' };
        let forged = String::from_utf8(forged).expect("hex");
        assert_eq!(
            nonces.check(NOW_MS, &forged, here()),
            Err(NonceError::Foreign),
            "{at}"
        );
    }
    for bad in ["", "00", &nonce[1..], &format!("{nonce}00"), "zz"] {
        assert_eq!(
            nonces.check(NOW_MS, bad, here()),
            Err(NonceError::Foreign),
            "{bad}"
        );
    }
    let other = Nonces::new([8; 32], 60_000, true, 8);
    assert_eq!(
        other.check(NOW_MS, &nonce, here()),
        Err(NonceError::Foreign),
        "another key"
    );
    assert_ne!(
        nonces.issue(NOW_MS, here()),
        nonce,
        "the same moment, another nonce"
    );
}

#[test]
fn each_count_is_good_once() {
    let mut nonces = nonces(8);
    let nonce = nonces.issue(NOW_MS, here());
    let id = nonces.check(NOW_MS, &nonce, here()).expect("good");
    let rows = [
        (0, false),
        (1, true),
        (1, false),
        (3, true),
        (2, true),
        (2, false),
        (3, false),
        (66, true),
        // 64 behind the highest is too old to tell.
        (2, false),
        (4, true),
        (0x0100, true),
        (0xc0, false),
        (0xc1, true),
        (u32::MAX, true),
        (u32::MAX, false),
        (u32::MAX - 63, true),
        (u32::MAX - 64, false),
    ];
    for (count, good) in rows {
        assert_eq!(nonces.take(NOW_MS, id, count).is_ok(), good, "{count}");
    }
}

#[test]
fn a_full_table_retires_its_oldest_nonce() {
    let mut nonces = nonces(2);
    let ids: Vec<_> = (0..3)
        .map(|n| {
            let nonce = nonces.issue(NOW_MS + n, here());
            (
                nonces.check(NOW_MS + n, &nonce, here()).expect("good"),
                nonce,
            )
        })
        .collect();
    for (id, _) in &ids {
        assert_eq!(nonces.take(NOW_MS + 3, *id, 1), Ok(()));
    }
    assert_eq!(nonces.remembered(), 2);
    // Its count is forgotten, so it must not be good any more.
    assert_eq!(
        nonces.check(NOW_MS + 3, &ids[0].1, here()),
        Err(NonceError::Expired)
    );
    assert!(nonces.check(NOW_MS + 3, &ids[1].1, here()).is_ok());
    // What has expired makes room without retiring anything.
    let fresh = nonces.issue(NOW_MS + 90_000, here());
    let id = nonces.check(NOW_MS + 90_000, &fresh, here()).expect("good");
    assert_eq!(nonces.take(NOW_MS + 90_000, id, 1), Ok(()));
    assert_eq!(nonces.remembered(), 1);
}

fn user(name: &str, password: &str, local_only: bool) -> User {
    User {
        name: name.to_owned(),
        ha1_md5: ha1(Algorithm::Md5, name, REALM, password),
        ha1_sha256: ha1(Algorithm::Sha256, name, REALM, password),
        local_only,
    }
}

fn server(algorithms: &[Algorithm]) -> DigestServer {
    let config = AuthConfig {
        algorithms: algorithms.to_vec(),
        ..AuthConfig::default()
    };
    let mut server = DigestServer::new(REALM, &config, [[1; 32], [2; 32]]);
    server.set_users(vec![
        user("ann", "secret", false),
        user("o\"brien, \\x", "secret", false),
        user("local", "secret", true),
    ]);
    server
}

fn request() -> Request {
    Request::new(Method::Register, "sip:192.0.2.1".parse().expect("uri"))
}

/// What a client answers to the server's challenges.
fn answered(server: &mut DigestServer, name: &str, password: &str, source: IpAddr) -> Request {
    let challenges: Vec<AuthParams> = server
        .challenge(NOW_MS, source, false, Some("Phone"))
        .iter()
        .map(|value| AuthParams::parse(value).expect("a challenge"))
        .collect();
    let mut challenge = Challenge::choose(challenges.iter()).expect("one we can answer");
    let mut request = request();
    let answer = challenge.answer(
        name,
        &Secret::new(password),
        "REGISTER",
        "sip:192.0.2.1",
        "abc",
    );
    request.headers.push(HeaderName::Authorization, answer);
    request
}

#[test]
fn client_and_server_agree() {
    use Algorithm::{Md5, Sha256};
    let accepted = |user: &str| Verdict::Accepted {
        user: user.to_owned(),
    };
    let wrong = |user: &str| Verdict::Wrong {
        user: user.to_owned(),
    };
    let local = IpAddr::from([127, 0, 0, 1]);
    let rows = [
        ("ann", "secret", here(), accepted("ann")),
        ("ann", "wrong", here(), wrong("ann")),
        ("nobody", "secret", here(), wrong("nobody")),
        ("o\"brien, \\x", "secret", here(), accepted("o\"brien, \\x")),
        ("local", "secret", here(), wrong("local")),
        ("local", "secret", local, accepted("local")),
    ];
    for algorithms in [&[Sha256, Md5][..], &[Md5], &[Sha256]] {
        for (name, password, source, expected) in &rows {
            let mut server = server(algorithms);
            let request = answered(&mut server, name, password, *source);
            assert_eq!(
                server.verify(NOW_MS, &request, *source),
                *expected,
                "{name} {algorithms:?}"
            );
        }
    }
}

#[test]
fn an_answer_counts_once_and_only_where_it_belongs() {
    let mut server = server(&[Algorithm::Sha256, Algorithm::Md5]);
    let request = answered(&mut server, "ann", "secret", here());
    assert_eq!(
        server.verify(NOW_MS, &request, elsewhere()),
        Verdict::Stale,
        "borrowed"
    );
    assert_eq!(
        server.verify(NOW_MS + 301_000, &request, here()),
        Verdict::Stale,
        "too old"
    );
    assert_eq!(
        server.verify(NOW_MS, &request, here()),
        Verdict::Accepted { user: "ann".into() }
    );
    assert_eq!(
        server.verify(NOW_MS, &request, here()),
        Verdict::Replayed { user: "ann".into() },
        "replayed"
    );
    let mut restarted = DigestServer::new(REALM, &AuthConfig::default(), [[9; 32]; 2]);
    restarted.set_users(vec![user("ann", "secret", false)]);
    assert_eq!(
        restarted.verify(NOW_MS, &request, here()),
        Verdict::Stale,
        "from before a restart"
    );
}

#[test]
fn unusable_answers() {
    let mut server = server(&[Algorithm::Sha256, Algorithm::Md5]);
    let good = answered(&mut server, "ann", "secret", here());
    let value = good
        .headers
        .get(&HeaderName::Authorization)
        .expect("there")
        .to_owned();
    let malformed = |why| Verdict::Malformed(why);
    let rows = [
        (value.replace("Digest ", "Basic "), Verdict::Missing),
        (
            value.replace("realm=\"offhook\"", "realm=\"elsewhere\""),
            Verdict::Missing,
        ),
        (
            value.replace("algorithm=SHA-256", "algorithm=SHA-512-256"),
            Verdict::Missing,
        ),
        (
            value.replace("algorithm=SHA-256", "algorithm=SHA-256-sess"),
            Verdict::Missing,
        ),
        (
            value.replace("username=\"ann\", ", ""),
            malformed("incomplete Authorization"),
        ),
        (
            value.replace(", qop=auth", ""),
            malformed("qop=auth with nc and cnonce is required"),
        ),
        (
            value.replace("qop=auth", "qop=auth-int"),
            malformed("qop=auth with nc and cnonce is required"),
        ),
        (
            value.replace("nc=00000001", "nc=1"),
            malformed("nc is not eight hex digits"),
        ),
        (
            value.replace("nc=00000001", "nc=0000000g"),
            malformed("nc is not eight hex digits"),
        ),
        (
            value.replace("nc=00000001", "nc=+0000001"),
            malformed("nc is not eight hex digits"),
        ),
        (
            value.replace("uri=\"sip:192.0.2.1\"", "uri=\"sip:ann@192.0.2.1\""),
            malformed("digest uri is not the Request-URI"),
        ),
        // Another name of the server may stand there, but the digest was made with this one.
        (
            value.replace("uri=\"sip:192.0.2.1\"", "uri=\"sip:192.0.2.9\""),
            Verdict::Wrong { user: "ann".into() },
        ),
        (
            value.replace("nc=00000001", "nc=00000002"),
            Verdict::Wrong { user: "ann".into() },
        ),
        (
            value.replace("username=\"ann\"", "username=\"bob\""),
            Verdict::Wrong { user: "bob".into() },
        ),
        (value.replace(", ", ",realm=\"x\", "), Verdict::Missing),
    ];
    for (value, expected) in rows {
        let mut request = request();
        request
            .headers
            .push(HeaderName::Authorization, value.clone());
        assert_eq!(server.verify(NOW_MS, &request, here()), expected, "{value}");
    }
    assert_eq!(server.verify(NOW_MS, &request(), here()), Verdict::Missing);
}

/// Clients that give up when a challenge they do not know stands beside one they do.
#[test]
fn old_clients_are_challenged_with_md5_alone() {
    use Algorithm::{Md5, Sha256};
    let rows: [(&[Algorithm], Option<&str>, usize); 6] = [
        (&[Sha256, Md5], None, 1),
        (&[Sha256, Md5], Some("Linphone/5.2"), 2),
        (&[Sha256, Md5], Some("baresip v1.0.0 (x86_64/Linux)"), 1),
        (&[Sha256, Md5], Some("baresip v3.1.0"), 2),
        (&[Sha256, Md5], Some("SIPp"), 1),
        // An owner who turned MD5 off meant it.
        (&[Sha256], Some("SIPp"), 1),
    ];
    for (algorithms, client, count) in rows {
        let challenges = server(algorithms).challenge(NOW_MS, here(), false, client);
        assert_eq!(challenges.len(), count, "{client:?}");
    }
}

/// The defect of other stacks: a count is hexadecimal and grows past a byte.
#[test]
fn counts_are_hexadecimal_and_large() {
    let mut server = server(&[Algorithm::Md5]);
    let challenge = server.challenge(NOW_MS, here(), false, None);
    let challenge = AuthParams::parse(&challenge[0]).expect("a challenge");
    let mut challenge = Challenge::choose([challenge].iter()).expect("one we can answer");
    for _ in 0..300 {
        let mut request = request();
        let answer = challenge.answer("ann", &"secret".into(), "REGISTER", "sip:192.0.2.1", "abc");
        request.headers.push(HeaderName::Authorization, answer);
        let expected = Verdict::Accepted { user: "ann".into() };
        assert_eq!(server.verify(NOW_MS, &request, here()), expected);
    }
}

#[test]
fn the_client_answers_the_topmost_it_can() {
    let rows = [
        (
            vec![
                "Digest realm=\"a\", nonce=\"n\", algorithm=SHA-512-256, qop=\"auth\"",
                "Digest realm=\"b\", nonce=\"n\"",
            ],
            Some("realm=\"b\""),
        ),
        (
            vec!["Digest realm=\"a\", nonce=\"n\", algorithm=SHA-256, qop=\"auth,auth-int\""],
            Some("algorithm=SHA-256"),
        ),
        (
            vec!["Digest realm=\"a\", nonce=\"n\", qop=\"auth-int\""],
            None,
        ),
        (vec!["Basic realm=\"a\""], None),
        (vec!["Digest realm=\"a\""], None),
    ];
    for (values, expected) in rows {
        let values: Vec<_> = values
            .iter()
            .map(|v| AuthParams::parse(v).expect("readable"))
            .collect();
        let answer = Challenge::choose(values.iter())
            .map(|mut challenge| challenge.answer("ann", &"x".into(), "INVITE", "sip:b", "c"));
        match (answer, expected) {
            (Some(answer), Some(part)) => assert!(answer.contains(part), "{answer}"),
            (None, None) => {}
            (answer, expected) => panic!("{answer:?} instead of {expected:?}"),
        }
    }
}

#[test]
fn nothing_secret_is_printed() {
    let server = server(&[Algorithm::Md5]);
    let text = format!("{server:?}");
    let secret = ha1(Algorithm::Md5, "ann", REALM, "secret");
    assert!(
        !text.contains(secret.expose()) && !text.contains("[1, 1, 1"),
        "{text}"
    );
}
