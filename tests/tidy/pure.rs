//! Files marked `//! PURE.` decide and do nothing else. This greps them for what would make them read a clock, roll
//! dice, wait, or touch the machine; and it knows which files must carry the mark.

use crate::tree::{expect_none, rust_files};

/// What a pure file may not name, and the way out.
const BANNED: [(&str, &str); 26] = [
    ("Instant::now", "take `now` as an argument"),
    ("SystemTime", "take the wall clock as an argument"),
    (".elapsed()", "subtract from the `now` handed in"),
    ("Zoned::now", "take the time as an argument"),
    ("Timestamp::now", "take the time as an argument"),
    ("tokio", "leave awaiting to the shell"),
    (".await", "leave awaiting to the shell"),
    ("async fn", "leave awaiting to the shell"),
    ("std::thread", "leave threads to the shell"),
    ("thread::", "leave threads to the shell"),
    ("Mutex", "own the state instead"),
    ("RwLock", "own the state instead"),
    ("rand::rng()", "take the seeded generator as an argument"),
    ("thread_rng", "take the seeded generator as an argument"),
    ("from_os_rng", "take the seed as an argument"),
    ("rand::random", "take the seeded generator as an argument"),
    ("SysRng", "take the seeded generator as an argument"),
    ("OsRng", "take the seeded generator as an argument"),
    ("SystemRandom", "take the seeded generator as an argument"),
    ("getrandom", "take the seeded generator as an argument"),
    ("std::fs", "leave files to the shell"),
    ("File::open", "leave files to the shell"),
    ("std::env::", "leave the environment to the shell"),
    ("UdpSocket", "leave sockets to the shell"),
    ("TcpStream", "leave sockets to the shell"),
    ("println!", "leave output to the shell"),
];

/// Files and folders that are nothing if not pure.
const MUST_BE_PURE: [&str; 78] = [
    "sip/src/",
    "media/src/",
    "asr/src/vad",
    "asr/src/utterance",
    "tts/src/text",
    "tts/src/clause",
    "agent-bridge/src/approvals",
    "agent-bridge/src/budget.rs",
    "agent-bridge/src/channels/matrix/compose.rs",
    "agent-bridge/src/channels/matrix/fuzz.rs",
    "agent-bridge/src/channels/matrix/html.rs",
    "agent-bridge/src/channels/matrix/judge.rs",
    "agent-bridge/src/channels/matrix/notice.rs",
    "agent-bridge/src/channels/matrix/rooms.rs",
    "agent-bridge/src/channels/matrix/wire.rs",
    "agent-bridge/src/channels/attempts.rs",
    "agent-bridge/src/channels/doorstep.rs",
    "agent-bridge/src/channels/markdown.rs",
    "agent-bridge/src/channels/questions.rs",
    "agent-bridge/src/channels/signal/envelope.rs",
    "agent-bridge/src/channels/signal/events.rs",
    "agent-bridge/src/channels/signal/rpc.rs",
    "agent-bridge/src/channels/split.rs",
    "agent-bridge/src/channels/telegram/answer.rs",
    "agent-bridge/src/channels/telegram/form.rs",
    "agent-bridge/src/channels/telegram/html.rs",
    "agent-bridge/src/channels/telegram/pieces.rs",
    "agent-bridge/src/channels/telegram/poll.rs",
    "agent-bridge/src/channels/telegram/update.rs",
    "agent-bridge/src/conversation.rs",
    "agent-bridge/src/levels.rs",
    "agent-bridge/src/openclaw/companion.rs",
    "agent-bridge/src/openclaw/core.rs",
    "agent-bridge/src/openclaw/error.rs",
    "agent-bridge/src/openclaw/identity.rs",
    "agent-bridge/src/openclaw/link.rs",
    "agent-bridge/src/openclaw/runs.rs",
    "agent-bridge/src/openclaw/wire.rs",
    "agent-bridge/src/proxy/desk.rs",
    "agent-bridge/src/proxy/exchange.rs",
    "agent-bridge/src/proxy/frames.rs",
    "agent-bridge/src/proxy/headers.rs",
    "agent-bridge/src/proxy/hearing.rs",
    "agent-bridge/src/proxy/matching.rs",
    "agent-bridge/src/proxy/pacing.rs",
    "agent-bridge/src/proxy/recording.rs",
    "agent-bridge/src/proxy/request.rs",
    "agent-bridge/src/proxy/stamp.rs",
    "agent-bridge/src/proxy/template.rs",
    "agent-bridge/src/router/choice.rs",
    "agent-bridge/src/router/place.rs",
    "agent-bridge/src/tools/schema.rs",
    "agent-bridge/src/tools/wording.rs",
    "agent-bridge/src/turn",
    "agent-bridge/src/endpoint",
    "agent-bridge/src/interjection",
    "agent-bridge/src/words",
    "src/bridge",
    "src/call.rs",
    "src/call/",
    "src/callbacks/boundary.rs",
    "src/callbacks/plan",
    "src/callbacks/quiet.rs",
    "src/hub/approving.rs",
    "src/hub/boundary.rs",
    "src/hub/core.rs",
    "src/hub/lanes.rs",
    "src/hub/people.rs",
    "src/hub/wishes.rs",
    "src/hub/wording.rs",
    "src/export.rs",
    "src/replay",
    "src/resolve.rs",
    "src/routing.rs",
    "src/switchboard/messages/shelf.rs",
    "src/waterfall",
    "src/web/access.rs",
    "src/web/sessions.rs",
];

/// Files of the cores that are not pure, and why.
const EXCEPTIONS: [(&str, &str); 4] = [
    (
        "media/src/dtls.rs",
        "keys of a handshake come from the system's randomness",
    ),
    ("src/call/driver.rs", "the task around the call"),
    (
        "src/call/driver/late.rs",
        "waits for answers that outlive their call",
    ),
    ("src/call/driver/notes.rs", "writes lines of the log"),
];

/// `word` in `line`, whole: ".await" is not in "self.awaiting".
fn contains_word(line: &str, word: &str) -> bool {
    let joins = |c: char| c.is_alphanumeric() || c == '_';
    line.match_indices(word).any(|(from, _)| {
        let before = line[..from].chars().next_back();
        let after = line[from + word.len()..].chars().next();
        let cut_before = word.starts_with(joins) && before.is_some_and(joins);
        let cut_after = word.ends_with(joins) && after.is_some_and(joins);
        !cut_before && !cut_after
    })
}

fn is_marked(file: &crate::tree::TextFile) -> bool {
    file.header().any(|line| line.starts_with("//! PURE."))
}

#[test]
fn pure_files_touch_nothing() {
    let mut offences = Vec::new();
    let mut marked = 0;
    for file in rust_files().iter().filter(|file| is_marked(file)) {
        marked += 1;
        for (at, line) in file.code_lines() {
            for (word, way_out) in BANNED {
                if contains_word(line, word) {
                    offences.push(format!("{}:{at}: {word}: {way_out}", file.path));
                }
            }
        }
    }
    assert!(
        marked >= 10,
        "only {marked} files are marked PURE: is the mark still spelled `//! PURE.`?"
    );
    expect_none(
        "files marked PURE touch neither clock nor machine",
        offences,
    );
}

#[test]
fn cores_carry_the_mark() {
    let offences = rust_files()
        .iter()
        .filter(|file| {
            MUST_BE_PURE
                .iter()
                .any(|place| file.path.starts_with(place))
        })
        .filter(|file| !file.is_test_code() && !is_marked(file))
        .filter(|file| EXCEPTIONS.iter().all(|(path, _)| file.path != *path))
        .map(|file| file.path.clone())
        .collect();
    expect_none(
        "the cores are marked `//! PURE.` in their headers",
        offences,
    );
}

#[test]
fn every_place_exists() {
    let files = rust_files();
    let is_there = |place: &str| files.iter().any(|file| file.path.starts_with(place));
    let places = MUST_BE_PURE.iter().copied();
    let places = places.chain(EXCEPTIONS.iter().map(|(path, _)| *path));
    let offences = places.filter(|place| !is_there(place)).map(str::to_owned);
    expect_none(
        "the lists of cores name files that exist",
        offences.collect(),
    );
}

#[test]
fn words_are_whole() {
    let check =
        |line, word, found| assert_eq!(contains_word(line, word), found, "{word} in {line}");
    check("reply.await?", ".await", true);
    check("self.awaiting = true", ".await", false);
    check("use tokio::time;", "tokio", true);
    check("let tokiolike = 1;", "tokio", false);
    check("std::env::var(name)", "std::env::", true);
}
