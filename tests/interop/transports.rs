//! Every way to the server: TLS and IPv6 with a real softphone, WebSocket with a script that speaks it by hand, renewed
//! certificates, peers that are slow on purpose, STUN.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream, UdpSocket};
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use crate::baresip::{Phone, Setup, Transport};
use crate::offhook::{Account, Offhook, text_of};
use crate::peers::{BARESIP, OPENSSL, PYTHON, take_floor};

/// Runs the script; the words it prints.
fn script(kind: &str, server: SocketAddr, account: &Account) -> Vec<String> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/interop/ws_phone.py");
    let output = Command::new("python3")
        .arg(path)
        .args([kind, &server.ip().to_string(), &server.port().to_string()])
        .args([&account.user, &account.password])
        .output()
        .expect("python3 starts");
    assert!(output.status.success(), "{}", text_of(&output));
    let words = String::from_utf8_lossy(&output.stdout);
    words.split_whitespace().map(str::to_owned).collect()
}

#[test]
fn a_softphone_registers_and_calls_over_tls() {
    let Some(_floor) = take_floor("a_softphone_registers_and_calls_over_tls", Some(BARESIP)) else {
        return;
    };
    let offhook = Offhook::start("tls");
    let account = offhook.first_phone();
    for outbound in [false, true] {
        let setup = Setup::silent(&account, Transport::Tls, outbound);
        let mut phone = Phone::registered(&offhook, &setup);
        assert_eq!(phone.register_statuses(), [401, 200], "{}", phone.tail());
        phone.dial("101");
        phone.expect_established(&offhook);
        phone.hang_up();
        let ended = phone.wait_for(&["CALL_CLOSED"], Duration::from_secs(10));
        assert!(ended.is_some(), "{}", phone.tail());
    }
    let shown = offhook.call_command(&["doctor"]);
    let shown = String::from_utf8_lossy(&shown.stdout).into_owned();
    assert!(shown.contains("our own certificate"), "{shown}");
}

#[test]
fn a_softphone_registers_and_calls_over_ipv6() {
    let Some(_floor) = take_floor("a_softphone_registers_and_calls_over_ipv6", Some(BARESIP))
    else {
        return;
    };
    if UdpSocket::bind("[::1]:0").is_err() {
        eprintln!("SKIPPED a_softphone_registers_and_calls_over_ipv6: this machine has no ::1");
        return;
    }
    let offhook = Offhook::start_with_sip("ipv6", "bind = [\"loopback\"]");
    let account = offhook.first_phone();
    let at = |port| SocketAddr::from(([0u16, 0, 0, 0, 0, 0, 0, 1], port));
    for (transport, server) in [
        (Transport::Udp, at(offhook.sip.port())),
        (Transport::Tcp, at(offhook.sip.port())),
        (Transport::Tls, at(offhook.tls.port())),
    ] {
        let setup = Setup::silent(&account, transport, true);
        let mut phone = Phone::registered_at(server, &offhook, &setup);
        phone.dial("101");
        phone.expect_established(&offhook);
        phone.hang_up();
        let ended = phone.wait_for(&["CALL_CLOSED"], Duration::from_secs(10));
        assert!(ended.is_some(), "{}", phone.tail());
    }
}

#[test]
fn a_phone_in_a_browser_registers_over_web_sockets() {
    let Some(_floor) = take_floor(
        "a_phone_in_a_browser_registers_over_web_sockets",
        Some(PYTHON),
    ) else {
        return;
    };
    let offhook = Offhook::start("web-socket");
    let account = offhook.first_phone();
    let plain = script("ws", offhook.ws, &account);
    let spoken = ["sip", "401", "200", "outbound", "200", "pong", "pong"];
    assert_eq!(plain, spoken, "{}", offhook.log_tail());
    let encrypted = script("wss", offhook.ws, &account);
    assert_eq!(encrypted[1..], spoken);
    // What the program printed at its start is what a phone is shown.
    assert!(offhook.log().contains(&encrypted[0]), "{}", encrypted[0]);
}

#[test]
fn pages_from_elsewhere_are_kept_out() {
    let Some(_floor) = take_floor("pages_from_elsewhere_are_kept_out", None) else {
        return;
    };
    let keys = "ws_origins = [\"https://phone.example\"]";
    let offhook = Offhook::start_with_sip("origins", keys);
    for (origin, expected) in [
        ("https://phone.example", " 101 "),
        ("https://evil.example", " 403 "),
    ] {
        let mut stream = TcpStream::connect(offhook.ws).expect("it listens");
        let request = format!(
            "GET / HTTP/1.1\r\nHost: {}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nOrigin: {origin}\r\n\
             Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\nSec-WebSocket-Version: 13\r\n\
             Sec-WebSocket-Protocol: sip\r\n\r\n",
            offhook.ws
        );
        stream.write_all(request.as_bytes()).expect("sent");
        let mut answer = [0; 64];
        let length = stream.read(&mut answer).expect("an answer");
        let answer = String::from_utf8_lossy(&answer[..length]).into_owned();
        assert!(answer.contains(expected), "{origin}: {answer}");
    }
}

#[test]
fn a_renewed_certificate_is_taken_up_and_a_broken_one_is_not() {
    let name = "a_renewed_certificate_is_taken_up_and_a_broken_one_is_not";
    let Some(_floor) = take_floor(name, Some(OPENSSL)) else {
        return;
    };
    let keys = "certificate = \"own.pem\"\ncertificate_key = \"own-key.pem\"";
    let mut offhook = Offhook::install_with(name, keys, "");
    let make = |folder: &Path| {
        let made = Command::new("openssl")
            .args([
                "req",
                "-x509",
                "-newkey",
                "ec",
                "-pkeyopt",
                "ec_paramgen_curve:P-256",
            ])
            .args(["-nodes", "-days", "2", "-subj", "/CN=localhost"])
            .args(["-keyout", "own-key.pem", "-out", "own.pem"])
            .current_dir(folder)
            .output()
            .expect("openssl starts");
        assert!(made.status.success(), "{}", text_of(&made));
    };
    make(offhook.home());
    offhook.run();
    let account = offhook.first_phone();
    let Some(first) = script("tls", offhook.tls, &account).pop() else {
        panic!("no fingerprint")
    };
    assert!(offhook.log().contains(&first), "{}", offhook.log_tail());
    make(offhook.home());
    offhook.expect_log("new TLS certificate in use", Duration::from_secs(30));
    let second = script("tls", offhook.tls, &account);
    assert_ne!(second, [first]);
    std::fs::write(offhook.home().join("own.pem"), "half of it").expect("written");
    offhook.expect_log("the old one stays", Duration::from_secs(30));
    assert_eq!(script("tls", offhook.tls, &account), second);
}

#[test]
fn who_is_slow_on_purpose_is_closed() {
    let Some(_floor) = take_floor("who_is_slow_on_purpose_is_closed", None) else {
        return;
    };
    let offhook = Offhook::start("slow");
    // A TLS and a WebSocket handshake that never end, and a request that comes octet by octet.
    let slow: [(SocketAddr, &[u8]); 3] = [
        (offhook.tls, b"\x16\x03\x01\x02\x00\x01"),
        (offhook.ws, b"GET / HTTP/1.1\r\nHost: x\r\n"),
        (offhook.sip, b"OPTIONS sip:x SIP/2.0\r\nVia: "),
    ];
    std::thread::scope(|scope| {
        for (server, beginning) in slow {
            let offhook = &offhook;
            scope.spawn(move || {
                let mut stream = TcpStream::connect(server).expect("it listens");
                stream.write_all(beginning).expect("sent");
                let pace = Duration::from_secs(1);
                stream.set_read_timeout(Some(pace)).expect("a timeout");
                let mut answer = [0; 1024];
                let is_closed = (0..90).any(|_| {
                    let trickle = match server == offhook.sip {
                        true => stream.write_all(b"x"),
                        false => Ok(()),
                    };
                    trickle.is_err()
                        || match stream.read(&mut answer) {
                            Ok(length) => length == 0,
                            Err(error) => !matches!(
                                error.kind(),
                                std::io::ErrorKind::WouldBlock | std::io::ErrorKind::TimedOut
                            ),
                        }
                });
                assert!(is_closed, "{server} keeps it\n{}", offhook.log_tail());
            });
        }
    });
    offhook.expect_answer_to_options();
}

#[test]
fn stun_is_answered_on_the_sip_port() {
    let Some(_floor) = take_floor("stun_is_answered_on_the_sip_port", None) else {
        return;
    };
    let offhook = Offhook::start("stun");
    let socket = UdpSocket::bind("127.0.0.1:0").expect("a port");
    socket
        .set_read_timeout(Some(Duration::from_secs(10)))
        .expect("a timeout");
    let request = *b"\x00\x01\x00\x00\x21\x12\xa4\x42keep-alive 1";
    socket.send_to(&request, offhook.sip).expect("sent");
    let mut answer = [0; 128];
    let length = socket.recv(&mut answer).expect("an answer");
    assert_eq!((answer[..2].to_vec(), length), (vec![1, 1], 32));
    let own = socket.local_addr().expect("bound").port();
    let told = u16::from_be_bytes([answer[26], answer[27]]) ^ 0x2112;
    assert_eq!(told, own);
}
