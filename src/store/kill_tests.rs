//! The store when its process is killed: whatever a call returned from is there afterwards.
//!
//! The test runs itself again as the process to be killed.

use std::io::{BufRead as _, BufReader, Write as _};
use std::process::{Command, Stdio};

use super::tests::bindings;
use super::*;
use crate::testing::Scratch;

const CHILD: &str = "OFFHOOK_KILL_TEST_DATABASE";
const MESSAGES_BEFORE_THE_KILL: usize = 25;

fn message(number: usize) -> MessageRow {
    MessageRow {
        conversation: "phone1".to_owned(),
        role: Role::Caller,
        text: number.to_string(),
        heard: None,
        at_unix_ms: number as u64,
        call: None,
        channel: "phone".to_owned(),
    }
}

/// Does nothing by itself; as the child it writes until it is killed, and says what is written.
#[test]
fn child_that_writes_until_it_is_killed() {
    let Some(path) = std::env::var_os(CHILD) else {
        return;
    };
    let mut store = Store::open(Path::new(&path)).unwrap();
    let mut out = std::io::stdout();
    for number in 0.. {
        store.add_message(&message(number)).unwrap();
        store
            .keep([&bindings("a", &[number as u32 % 250])])
            .unwrap();
        writeln!(out, "\nwritten {number}").unwrap();
        out.flush().unwrap();
    }
}

#[test]
fn kill_loses_nothing_that_was_returned_from() {
    let scratch = Scratch::new("kill");
    let path = scratch.path().join("offhook.db");
    for round in 0..3 {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args([
                "--exact",
                "store::kill_tests::child_that_writes_until_it_is_killed",
                "--nocapture",
            ])
            .env(CHILD, &path)
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let told = lines
            .map_while(Result::ok)
            .filter_map(|line| line.strip_prefix("written ")?.parse::<usize>().ok())
            .find(|number| *number >= MESSAGES_BEFORE_THE_KILL);
        // SIGKILL, in the middle of the next write.
        child.kill().unwrap();
        child.wait().unwrap();
        let told = told.expect("the child wrote");
        let store = Store::open(&path).unwrap();
        let found = store.conversation("phone1", ROWS_MAX).unwrap();
        let this_round = found.iter().rev().take_while(|row| row.text != "0").count() + 1;
        assert!(
            this_round > told,
            "round {round}: {this_round} found, {told} told"
        );
        let bindings = store.load_bindings().unwrap();
        assert_eq!(bindings.len(), 1);
    }
}
