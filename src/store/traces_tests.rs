//! Traces on a real file system: whole files, for their owner only, never too many.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::sync::mpsc;

use agent_bridge::turn::trace::{Step, Trace};
use agent_bridge::turn::{Action, Event, TurnConfig};

use super::traces::{TRACE_BYTES_MAX, written};
use super::*;
use crate::testing::Scratch;

fn trace(steps: u64, text: &str) -> Trace {
    let mut trace = Trace::new(TurnConfig::default());
    for at in 0..steps {
        trace.steps.push(Step {
            at_ns: at * 20_000_001,
            event: Event::Partial {
                text: text.to_owned(),
            },
            actions: vec![Action::Pause, Action::Resume],
        });
    }
    trace
}

#[test]
fn a_trace_comes_back_as_it_was_and_is_nobody_elses_business() {
    let scratch = Scratch::new("traces");
    let folder = TraceStore::folder_in(scratch.path());
    let traces = TraceStore::open(folder.clone(), 9).unwrap();
    traces.save("c1", &trace(3, "what time is it")).unwrap();
    let path = traces.path("c1");
    assert_eq!(load_trace(&path).unwrap(), trace(3, "what time is it"));
    let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!((mode(&folder), mode(&path)), (0o700, 0o600));
    // Again under the same name: replaced, and nothing unfinished stays behind.
    traces.save("c1", &trace(1, "")).unwrap();
    assert_eq!(load_trace(&path).unwrap().steps.len(), 1);
    assert_eq!(fs::read_dir(&folder).unwrap().count(), 1);
}

#[test]
fn the_oldest_goes_first_and_strangers_stay() {
    let scratch = Scratch::new("traces");
    let traces = TraceStore::open(scratch.path().to_path_buf(), 3).unwrap();
    fs::write(scratch.path().join("notes.txt"), "mine").unwrap();
    for moment in [5u64, 4, 1, 3, 2, 6] {
        let name = format!("{moment:016x}abcd");
        traces.save(&name, &trace(1, "")).unwrap();
    }
    let kept = |moments: &[u64]| {
        let expected: Vec<String> = moments.iter().map(|m| format!("{m:016x}abcd")).collect();
        assert_eq!(traces.names().unwrap(), expected);
    };
    kept(&[4, 5, 6]);
    traces.forget_before(5).unwrap();
    kept(&[5, 6]);
    // What a crash left behind goes at the next start.
    let unfinished = scratch.path().join("c9.json.new");
    fs::write(&unfinished, "{").unwrap();
    TraceStore::open(scratch.path().to_path_buf(), 3).unwrap();
    assert!(!unfinished.exists());
    assert!(scratch.path().join("notes.txt").exists());
}

#[test]
fn names_that_are_no_names_write_nothing() {
    let scratch = Scratch::new("traces");
    let traces = TraceStore::open(scratch.path().to_path_buf(), 3).unwrap();
    for name in ["", "../x", "a/b", "a.b", "ü", &"x".repeat(65)] {
        let saved = traces.save(name, &trace(1, ""));
        assert!(matches!(saved, Err(TraceError::BadName { .. })), "{name}");
    }
    assert_eq!(fs::read_dir(scratch.path()).unwrap().count(), 0);
}

#[test]
fn a_long_trace_is_cut_at_its_end_and_says_so() {
    let long = trace(50, &"word ".repeat(20));
    let whole = serde_json::to_vec(&long).unwrap().len();
    for bytes_max in [whole, whole - 1, whole / 2, 3_000] {
        let bytes = written(&long, bytes_max).unwrap();
        assert!(bytes.len() <= bytes_max, "{} of {bytes_max}", bytes.len());
        let read: Trace = serde_json::from_slice(&bytes).unwrap();
        assert_eq!(read.is_cut, bytes_max < whole);
        assert_eq!(read.steps, long.steps[..read.steps.len()]);
    }
}

#[test]
fn what_is_no_trace_is_told_apart() {
    let scratch = Scratch::new("traces");
    let path = scratch.path().join("x.json");
    assert!(matches!(load_trace(&path), Err(TraceError::Io { .. })));
    for text in ["", "{}", "[1, 2]", "{\"config\": {}, \"steps\": 3}"] {
        fs::write(&path, text).unwrap();
        let read = load_trace(&path);
        assert!(
            matches!(read, Err(TraceError::NotATrace { .. })),
            "{text}: {read:?}"
        );
    }
    fs::File::create(&path)
        .and_then(|file| file.set_len(TRACE_BYTES_MAX as u64 + 1))
        .unwrap();
    assert!(matches!(
        load_trace(&path),
        Err(TraceError::NotATrace { .. })
    ));
}

#[test]
fn the_thread_writes_traces_and_reports_those_it_could_not() {
    let scratch = Scratch::new("traces");
    let mut store = Store::open(&scratch.path().join("offhook.db")).unwrap();
    let traces = TraceStore::open(TraceStore::folder_in(scratch.path()), 9).unwrap();
    store.keep_traces(traces.clone());
    let (tell, failures) = mpsc::channel();
    let failed = move |_: &str, error: StoreError| tell.send(error.to_string()).unwrap();
    let (handle, thread) = StoreHandle::start(store, 9, failed).unwrap();
    for name in ["c1", "../c2"] {
        let write = Write::Trace {
            call: name.to_owned(),
            trace: Box::new(trace(1, "")),
        };
        handle.write(write).unwrap();
    }
    handle.stop();
    thread.join().unwrap();
    assert_eq!(traces.names().unwrap(), ["c1"]);
    let told: Vec<String> = failures.iter().collect();
    assert_eq!(told, ["a call cannot be named \"../c2\""]);
}
