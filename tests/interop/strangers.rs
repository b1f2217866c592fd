//! SIPp and raw sockets: callers without an account, callers that break the rules, and the corners of a call that a
//! softphone does not visit.

use crate::baresip::Transport;
use crate::offhook::{Account, Offhook};
use crate::peers::{SIPP, take_floor};
use crate::sipp::Run;
use std::io::Write;
use std::net::{TcpStream, UdpSocket};
use std::path::Path;
use std::time::Duration;

fn run<'a>(scenario: &'a str, number: &'a str, account: &'a Account) -> Run<'a> {
    Run {
        scenario: Some(scenario),
        transport: Transport::Udp,
        number,
        account: Some(account),
        calls: 1,
    }
}

#[test]
fn a_caller_without_an_account_is_turned_away() {
    let Some(_floor) = take_floor("a_caller_without_an_account_is_turned_away", Some(SIPP)) else {
        return;
    };
    let offhook = Offhook::start("stranger");
    for transport in [Transport::Udp, Transport::Tcp] {
        let run = Run {
            scenario: None,
            transport,
            number: "100",
            account: None,
            calls: 5,
        };
        let outcome = run.against(&offhook);
        assert!(
            !outcome.all_went_as_written,
            "a stranger was let in\n{}",
            outcome.report
        );
        let challenged =
            !outcome.unexpected.is_empty() && outcome.unexpected.iter().all(|&code| code == 401);
        assert!(challenged, "{:?}\n{}", outcome.unexpected, outcome.report);
    }
}

#[test]
fn calls_go_by_the_book_over_udp_and_tcp() {
    let Some(_floor) = take_floor("calls_go_by_the_book_over_udp_and_tcp", Some(SIPP)) else {
        return;
    };
    let offhook = Offhook::start("by-the-book");
    let account = offhook.first_phone();
    for scenario in [
        "register.xml",
        "call.xml",
        "late_offer.xml",
        "hold.xml",
        "cancel.xml",
    ] {
        for transport in [Transport::Udp, Transport::Tcp] {
            Run {
                transport,
                ..run(scenario, "101", &account)
            }
            .succeeds_against(&offhook);
        }
    }
}

#[test]
fn refusals_say_why() {
    let Some(_floor) = take_floor("refusals_say_why", Some(SIPP)) else {
        return;
    };
    let offhook = Offhook::start("refusals");
    let account = offhook.first_phone();
    run("options.xml", "100", &account).succeeds_against(&offhook);
    run("not_found.xml", "5551234", &account).succeeds_against(&offhook);
    run("no_common_codec.xml", "101", &account).succeeds_against(&offhook);
    let wrong = Account {
        password: "not the password".to_owned(),
        ..account
    };
    run("wrong_password.xml", "101", &wrong).succeeds_against(&offhook);
}

#[test]
fn a_user_has_so_many_calls_and_no_more() {
    let Some(_floor) = take_floor("a_user_has_so_many_calls_and_no_more", Some(SIPP)) else {
        return;
    };
    let offhook = Offhook::start_with("busy", "[calls]\nper_user_max = 1\n");
    let account = offhook.first_phone();
    std::thread::scope(|scope| {
        let first = scope.spawn(|| run("no_audio.xml", "101", &account).against(&offhook));
        // The first call is up when the program says so.
        let up = crate::process::wait_until(Duration::from_secs(10), || {
            offhook.log().contains("call answered")
        });
        assert!(up, "{}", offhook.log_tail());
        run("busy.xml", "101", &account).succeeds_against(&offhook);
        let first = first.join().expect("the first caller ends");
        assert!(first.all_went_as_written, "{}", first.report);
    });
}

#[test]
fn guessing_passwords_is_stopped() {
    let Some(_floor) = take_floor("guessing_passwords_is_stopped", Some(SIPP)) else {
        return;
    };
    let config = "failures_per_address_max = 5\nlockout_s = 60\n";
    let offhook = Offhook::start_with_sip("guessing", config);
    let wrong = Account {
        password: "guess".to_owned(),
        ..offhook.first_phone()
    };
    let guesses = Run {
        calls: 12,
        ..run("wrong_password.xml", "101", &wrong)
    };
    let outcome = guesses.against(&offhook);
    assert!(
        !outcome.all_went_as_written,
        "twelve guesses were taken\n{}",
        outcome.report
    );
}

#[test]
fn garbage_is_survived() {
    let Some(_floor) = take_floor("garbage_is_survived", None) else {
        return;
    };
    let mut offhook = Offhook::start("garbage");
    let messages = torture_messages();
    let udp = UdpSocket::bind("127.0.0.1:0").expect("a free UDP port");
    for message in &messages {
        udp.send_to(message, offhook.sip)
            .expect("a datagram goes out");
        // Each on a connection of its own: one that breaks the framing ends its connection.
        let mut tcp = TcpStream::connect(offhook.sip).expect("it accepts connections");
        let _ = tcp.write_all(message);
    }
    assert!(offhook.is_running(), "{}", offhook.log_tail());
    // Another address than the noisy one: that one may be muted for a while.
    offhook.expect_answer_to_options();
}

/// The golden torture messages of RFC 4475, each whole, cut in half, and with its length lied about; and plain noise.
fn torture_messages() -> Vec<Vec<u8>> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/rfc4475");
    let mut messages: Vec<Vec<u8>> = vec![
        Vec::new(),
        b"\r\n\r\n".to_vec(),
        vec![0; 1400],
        (0..1400u32)
            .map(|n| (n.wrapping_mul(2_654_435_761) >> 13) as u8)
            .collect(),
        b"INVITE ".repeat(150),
        [
            b"INVITE sip:100@127.0.0.1 SIP/2.0\r\n".to_vec(),
            b"Via: SIP/2.0/UDP x\r\n".repeat(60),
        ]
        .concat(),
        b"REGISTER sip:a SIP/2.0\r\nContent-Length: 99999999999999999999\r\n\r\n".to_vec(),
    ];
    let mut golden: Vec<_> = std::fs::read_dir(&folder)
        .expect("the torture messages")
        .filter_map(|entry| entry.ok().map(|entry| entry.path()))
        .collect();
    golden.sort();
    assert!(golden.len() >= 40, "only {} torture messages", golden.len());
    for path in golden {
        let message = std::fs::read(&path).expect("a readable message");
        messages.push(message[..message.len() / 2].to_vec());
        messages.push(message);
    }
    messages
}
