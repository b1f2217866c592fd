//! SIPp plays the other side message by message; its verdict is that everything came as the scenario says.

use std::net::{SocketAddr, UdpSocket};
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use sip::{EndCause, EndpointConfig, Event, TrunkRegistration};

use crate::line::{Line, PASSWORD, USER};
use crate::peers::{SIPP, take_floor};
use crate::process::{Folder, Process};

const LIMIT: Duration = Duration::from_secs(40);

pub struct Played {
    folder: Folder,
    process: Process,
    pub address: SocketAddr,
}

/// SIPp with a scenario of `tests/interop/sipp`, one call. As caller it calls the line's 100, as callee it waits.
pub fn play(line: &Line, scenario: &str, more: &[&str]) -> Played {
    let folder = Folder::new("endpoint-sipp");
    let file = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../tests/interop/sipp")
        .join(scenario);
    assert!(file.is_file(), "no scenario {scenario}");
    let port = UdpSocket::bind("127.0.0.1:0").and_then(|socket| socket.local_addr());
    let address = port.expect("a port");
    let mut command = Command::new("sipp");
    command
        .current_dir(folder.path())
        .arg(line.address.to_string())
        .arg("-sf")
        .arg(file)
        .args([
            "-i",
            "127.0.0.1",
            "-mi",
            "127.0.0.1",
            "-p",
            &address.port().to_string(),
        ])
        .args([
            "-s", "100", "-au", USER, "-ap", PASSWORD, "-key", "user", USER,
        ])
        .args(["-auth_uri", &format!("100@{}", line.address)])
        .args([
            "-m",
            "1",
            "-nostdin",
            "-recv_timeout",
            "8000",
            "-timeout",
            "30s",
            "-timeout_error",
        ])
        .args([
            "-trace_err",
            "-error_file",
            "errors.log",
            "-trace_msg",
            "-message_file",
            "messages.log",
        ])
        .args(more);
    let process = Process::start("sipp", &mut command);
    Played {
        folder,
        process,
        address,
    }
}

impl Played {
    /// Waits for SIPp's end while the line goes on; every event goes to `on_event` until then.
    pub fn verdict(&mut self, line: &mut Line, mut on_event: impl FnMut(&mut Line, Event)) {
        self.verdict_watching(line, |line, event| {
            if let Some(event) = event {
                on_event(line, event);
            }
        });
    }

    /// The same, with a look now and then also where no event comes.
    pub fn verdict_watching(
        &mut self,
        line: &mut Line,
        mut look: impl FnMut(&mut Line, Option<Event>),
    ) {
        let end = Instant::now() + LIMIT;
        while self.process.is_running() && Instant::now() < end {
            let event = line.next(Duration::from_millis(50));
            look(line, event);
        }
        let status = self.process.wait_for_end(Duration::from_secs(1));
        let log =
            |name: &str| std::fs::read_to_string(self.folder.path().join(name)).unwrap_or_default();
        assert!(
            status.is_some_and(|status| status.success()),
            "{status:?}\n{}\n{:#?}\n{:#?}",
            log("errors.log"),
            line.events,
            line.wire
        );
    }

    /// A callee is there once it holds its port.
    pub fn wait_until_listening(&mut self) {
        let address = self.address;
        let bound = crate::process::wait_until(Duration::from_secs(5), || {
            UdpSocket::bind(address).is_err()
        });
        assert!(bound, "{}", self.process.tail());
    }
}

pub fn answer(line: &mut Line, call: sip::CallKey) {
    let sdp = line.sdp();
    line.act(|endpoint, now| endpoint.answer(now, call, sdp))
        .expect("answer");
}

#[test]
fn a_caller_sends_keys_and_transfers_us() {
    let Some(_floor) = take_floor("a_caller_sends_keys_and_transfers_us", Some(SIPP)) else {
        return;
    };
    let mut line = Line::new(EndpointConfig::default());
    let mut told = Vec::new();
    play(&line, "transfer.xml", &[]).verdict(&mut line, |line, event| match event {
        Event::IncomingCall { call, .. } => answer(line, call),
        Event::Digits {
            digit, duration_ms, ..
        } => told.push(format!("{digit} {duration_ms}")),
        Event::Transfer {
            call,
            target,
            referred_by,
            ..
        } => {
            told.push(format!("{target} {}", referred_by.is_some()));
            line.act(|endpoint, now| endpoint.answer_transfer(now, call, Ok(())))
                .expect("answer");
            line.act(|endpoint, now| endpoint.transfer_progress(now, call, 200))
                .expect("progress");
        }
        _ => {}
    });
    assert_eq!(told, ["5 250", "# 160", "sip:200@example.com true"]);
}

#[test]
fn a_caller_replaces_its_own_call() {
    let Some(_floor) = take_floor("a_caller_replaces_its_own_call", Some(SIPP)) else {
        return;
    };
    let mut line = Line::new(EndpointConfig::default());
    let mut replaced = 0;
    play(&line, "replaces.xml", &[]).verdict(&mut line, |line, event| {
        if let Event::IncomingCall { call, replaces, .. } = event {
            answer(line, call);
            if let Some(old) = replaces {
                replaced += 1;
                line.act(|endpoint, now| endpoint.hangup(now, old, None))
                    .expect("hangup");
            }
        }
    });
    assert_eq!(replaced, 1);
}

#[test]
fn a_callee_redirects_us() {
    let Some(_floor) = take_floor("a_callee_redirects_us", Some(SIPP)) else {
        return;
    };
    let mut line = Line::new(EndpointConfig::default());
    let mut played = play(&line, "redirect.xml", &[]);
    played.wait_until_listening();
    line.call("200", played.address);
    let mut contacts = Vec::new();
    played.verdict(&mut line, |_, event| {
        if let Event::Redirected { contacts: told, .. } = event {
            contacts.extend(told.iter().map(ToString::to_string));
        }
    });
    assert_eq!(
        contacts,
        ["sip:first@example.com", "sip:second@example.com"]
    );
}

#[test]
fn a_callee_that_forgot_the_call_is_found_out() {
    let Some(_floor) = take_floor("a_callee_that_forgot_the_call", Some(SIPP)) else {
        return;
    };
    let mut line = Line::new(EndpointConfig {
        keepalive_s: 1,
        ..EndpointConfig::default()
    });
    let mut played = play(&line, "forgetful.xml", &[]);
    played.wait_until_listening();
    line.call("200", played.address);
    let mut causes = Vec::new();
    played.verdict(&mut line, |_, event| {
        if let Event::CallEnded { cause, .. } = event {
            causes.push(cause);
        }
    });
    assert!(
        matches!(&causes[..], [EndCause::Failed { status: 481, .. }]),
        "{causes:?}"
    );
}

/// SIPp checks our digest, calls back on the Contact we gave it, and sees us unregister.
#[test]
fn a_trunk_takes_our_registration_and_calls_us_over_it() {
    let Some(_floor) = take_floor("a_trunk_takes_our_registration", Some(SIPP)) else {
        return;
    };
    let mut line = Line::new(EndpointConfig::default());
    let mut played = play(&line, "trunk.xml", &[]);
    played.wait_until_listening();
    let registration = TrunkRegistration {
        trunk: "carrier".to_owned(),
        registrar: "sip:carrier.example".parse().expect("a URI"),
        targets: vec![line.target(played.address)],
        user: USER.to_owned(),
        auth_user: None,
        password: PASSWORD.into(),
        expires_s: 600,
        contact: line.uri(USER),
        proxy: None,
    };
    line.act(|endpoint, now| endpoint.register_trunk(now, registration));
    let mut callers = Vec::new();
    played.verdict(&mut line, |line, event| match event {
        Event::IncomingCall {
            call, caller, from, ..
        } => {
            callers.push(format!("{caller:?} {from}"));
            answer(line, call);
        }
        Event::CallEnded { .. } => {
            line.act(|endpoint, now| endpoint.unregister_trunk(now, "carrier"))
        }
        _ => {}
    });
    assert_eq!(
        callers,
        ["Trunk(\"carrier\") \"Ada\" <sip:+49301@carrier.example>"]
    );
}
