//! Calls between two SIPps through the program: what it does not understand passes, what a phone says before it answers
//! is heard, and a phone that is elsewhere is found there.

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use crate::offhook::{Account, Offhook, free_port};
use crate::peers::{SIPP, take_floor};
use crate::process::{Folder, Process, tail, wait_until};

const OFFICE: &str = "[[users]]\nname = \"anna\"\nextensions = [\"200\"]\n\
                      [[users]]\nname = \"bert\"\nextensions = [\"201\"]\n\
                      [[users]]\nname = \"carl\"\nextensions = [\"202\"]\n";
const LIMIT: Duration = Duration::from_secs(30);

/// SIPp at one port: a phone.
struct Phone {
    folder: Folder,
    process: Process,
}

impl Phone {
    fn start(
        offhook: &Offhook,
        account: &Account,
        scenario: &str,
        port: u16,
        more: &[&str],
    ) -> Phone {
        let folder = Folder::new("passing");
        let file = Path::new(env!("CARGO_MANIFEST_DIR"))
            .join("tests/interop/sipp")
            .join(scenario);
        assert!(file.is_file(), "no scenario {scenario}");
        let Account { user, password } = account;
        let mut command = Command::new("sipp");
        command
            .current_dir(folder.path())
            .arg(offhook.sip.to_string())
            .arg("-sf")
            .arg(file)
            .args(["-i", "127.0.0.1", "-mi", "127.0.0.1", "-nostdin", "-m", "1"])
            .args(["-p", &port.to_string()])
            .args(["-mp", &(free_port().min(65_000) / 2 * 2).to_string()])
            .args(["-au", user, "-ap", password, "-key", "user", user])
            .args([
                "-recv_timeout",
                "15000",
                "-timeout",
                "25s",
                "-timeout_error",
            ])
            .args(["-trace_err", "-error_file", "errors.log"])
            .args(["-trace_msg", "-message_file", "messages.log"])
            .args(more);
        Phone {
            process: Process::start("sipp", &mut command),
            folder,
        }
    }

    /// A phone that has registered and waits to be called.
    fn called(offhook: &Offhook, account: &Account, scenario: &str, more: &[&str]) -> Phone {
        let port = free_port();
        let number = ["-s", &account.user];
        Phone::start(offhook, account, "registered.xml", port, &number).expect_success(offhook);
        let phone = Phone::start(offhook, account, scenario, port, more);
        let bound = wait_until(Duration::from_secs(5), || {
            std::net::UdpSocket::bind(("127.0.0.1", port)).is_err()
        });
        assert!(bound, "{}", phone.process.tail());
        phone
    }

    fn calls(offhook: &Offhook, account: &Account, scenario: &str, number: &str) -> Phone {
        let uri = format!("{number}@{}", offhook.sip);
        let more = ["-s", number, "-auth_uri", &uri];
        Phone::start(offhook, account, scenario, free_port(), &more)
    }

    fn expect_success(mut self, offhook: &Offhook) {
        let status = self.process.wait_for_end(LIMIT);
        let read = |name: &str| {
            let text = std::fs::read(self.folder.path().join(name)).unwrap_or_default();
            tail(name, &String::from_utf8_lossy(&text))
        };
        assert!(
            status.is_some_and(|status| status.success()),
            "sipp ended: {status:?}\n{}\n{}\n{}",
            read("errors.log"),
            read("messages.log"),
            offhook.log_tail()
        );
    }
}

fn office(test: &str) -> (Offhook, [Account; 3]) {
    Offhook::with_three(test, OFFICE)
}

#[test]
fn pictures_and_early_media_pass_between_phones() {
    let test = "pictures_and_early_media_pass_between_phones";
    let Some(_floor) = take_floor(test, Some(SIPP)) else {
        return;
    };
    let (offhook, [anna, bert, _]) = office("passing");
    for (caller, callee) in [
        ("video.xml", "video_callee.xml"),
        ("early.xml", "early_callee.xml"),
    ] {
        let called = Phone::called(&offhook, &bert, callee, &[]);
        let calls = Phone::calls(&offhook, &anna, caller, "201");
        calls.expect_success(&offhook);
        called.expect_success(&offhook);
    }
}

#[test]
fn a_phone_that_says_where_it_is_is_found_there() {
    let test = "a_phone_that_says_where_it_is_is_found_there";
    let Some(_floor) = take_floor(test, Some(SIPP)) else {
        return;
    };
    let (offhook, [anna, bert, carl]) = office("moved");
    let moved = Phone::called(
        &offhook,
        &bert,
        "moved_callee.xml",
        &["-key", "elsewhere", "202"],
    );
    let there = Phone::called(&offhook, &carl, "called.xml", &[]);
    Phone::calls(&offhook, &anna, "call.xml", "201").expect_success(&offhook);
    moved.expect_success(&offhook);
    there.expect_success(&offhook);
}
