//! SIPp runs a scenario against the program. Success is SIPp's own verdict: every call went message by message as the
//! scenario says.

use crate::baresip::Transport;
use crate::offhook::{Account, Offhook, free_port};
use crate::process::{Folder, Process, tail};
use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

/// Ends a run that hangs; each scenario takes a few seconds.
const LIMIT: Duration = Duration::from_secs(60);

/// What a run of SIPp came to.
pub struct Outcome {
    /// SIPp's exit status 0: all calls were successful.
    pub all_went_as_written: bool,
    /// Status codes that the scenario did not expect.
    pub unexpected: Vec<u16>,
    pub report: String,
}

pub struct Run<'a> {
    /// A file of `tests/interop/sipp`, or `None` for the built-in caller.
    pub scenario: Option<&'a str>,
    pub transport: Transport,
    pub number: &'a str,
    pub account: Option<&'a Account>,
    pub calls: u32,
}

impl Run<'_> {
    pub fn against(&self, offhook: &Offhook) -> Outcome {
        let folder = Folder::new("sipp");
        let mut command = Command::new("sipp");
        command
            .current_dir(folder.path())
            .arg(offhook.sip.to_string());
        match self.scenario {
            Some(name) => {
                let file = Path::new(env!("CARGO_MANIFEST_DIR"))
                    .join("tests/interop/sipp")
                    .join(name);
                assert!(file.is_file(), "no scenario {name}");
                command.arg("-sf").arg(file)
            }
            None => command.args(["-sn", "uac"]),
        };
        if let Some(Account { user, password }) = self.account {
            command.args(["-au", user, "-ap", password, "-key", "user", user]);
            // Its digest must name the Request-URI, and for calls it does not do so by itself.
            if self.scenario != Some("register.xml") {
                command.args(["-auth_uri", &format!("{}@{}", self.number, offhook.sip)]);
            }
        }
        command
            .args(["-s", self.number, "-i", "127.0.0.1", "-mi", "127.0.0.1"])
            .args([
                "-p",
                &free_port().to_string(),
                "-mp",
                &(free_port().min(65_000) / 2 * 2).to_string(),
            ])
            .args([
                "-t",
                if self.transport == Transport::Tcp {
                    "t1"
                } else {
                    "u1"
                },
            ])
            .args([
                "-m",
                &self.calls.to_string(),
                "-r",
                "10",
                "-d",
                "500",
                "-nostdin",
            ])
            .args([
                "-recv_timeout",
                "8000",
                "-timeout",
                "45s",
                "-timeout_error",
                "-aa",
            ])
            .args([
                "-trace_err",
                "-error_file",
                "errors.log",
                "-trace_msg",
                "-message_file",
                "messages.log",
            ])
            .arg("-trace_error_codes");
        let mut process = Process::start("sipp", &mut command);
        let status = process.wait_for_end(LIMIT);
        let read = |name: &str| fs::read(folder.path().join(name)).unwrap_or_default();
        let text = |name: &str| String::from_utf8_lossy(&read(name)).into_owned();
        let codes = fs::read_dir(folder.path())
            .expect("own folder")
            .filter_map(|entry| entry.ok())
            .filter(|entry| entry.file_name().to_string_lossy().contains("error_codes"))
            .map(|entry| fs::read_to_string(entry.path()).unwrap_or_default())
            .collect::<String>();
        let unexpected = codes
            .split([',', ';', ' ', '\n'])
            .filter_map(|cell| cell.parse().ok())
            .filter(|code| (100..700).contains(code))
            .collect();
        let report = format!(
            "sipp ended: {status:?}\n{}\n{}\n{}",
            tail("sipp's errors", &text("errors.log")),
            tail("sipp's messages", &text("messages.log")),
            offhook.log_tail()
        );
        Outcome {
            all_went_as_written: status.is_some_and(|status| status.success()),
            unexpected,
            report,
        }
    }

    /// Runs it and wants success.
    pub fn succeeds_against(&self, offhook: &Offhook) {
        let outcome = self.against(offhook);
        assert!(outcome.all_went_as_written, "{}", outcome.report);
    }
}
