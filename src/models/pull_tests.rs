//! Downloads from a server on this machine that misbehaves in every way that was thought of.

use std::io::{BufRead as _, BufReader};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};

use super::catalogue::Model;
use super::pull::{PullError, PullOptions, pull, sha256_of};
use super::*;
use crate::testing::Scratch;

/// What the server does with one request, in order; the last one repeats.
#[derive(Clone, Copy, Debug)]
enum Act {
    /// 200 or 206 as asked.
    Serve,
    /// As asked, and cut after this many bytes of the body.
    Cut(usize),
    /// 200 with everything, whatever was asked.
    IgnoreRange,
    /// 200 and other bytes of the same length.
    Wrong,
    /// 200 and a longer file, without a length.
    Endless,
    /// This status and nothing else.
    Status(u16),
    /// A web page with 200.
    Page,
    /// Takes the request and says nothing.
    Silent,
    /// To this address.
    Redirect(&'static str),
}

struct Server {
    url: String,
    requests: Arc<Mutex<Vec<String>>>,
}

/// Serves `content` on a port of its own until the test ends.
fn serve(content: Vec<u8>, acts: &'static [Act]) -> Server {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/models", listener.local_addr().unwrap());
    let requests: Arc<Mutex<Vec<String>>> = Arc::default();
    let seen = requests.clone();
    std::thread::spawn(move || {
        let mut kept = Vec::new();
        for (count, stream) in listener.incoming().flatten().enumerate() {
            let act = acts
                .get(count)
                .or(acts.last())
                .copied()
                .unwrap_or(Act::Serve);
            let range = read_request(&stream, &seen);
            if let Some(stream) = answer(stream, act, range, &content) {
                kept.push(stream);
            }
        }
    });
    Server { url, requests }
}

fn read_request(stream: &TcpStream, seen: &Mutex<Vec<String>>) -> Option<usize> {
    let mut lines = BufReader::new(stream).lines().map_while(Result::ok);
    let mut line = lines.next().unwrap_or_default();
    let mut range = None;
    for header in lines.take_while(|line| !line.is_empty()) {
        let lower = header.to_lowercase();
        if let Some(first) = lower.strip_prefix("range: bytes=") {
            range = first.trim_end_matches('-').parse().ok();
            line.push_str(&format!(" from {}", first.trim_end_matches('-')));
        }
    }
    seen.lock().unwrap().push(line);
    range
}

/// Answers; a stream given back is to be kept open.
fn answer(
    mut stream: TcpStream,
    act: Act,
    range: Option<usize>,
    content: &[u8],
) -> Option<TcpStream> {
    use std::io::Write as _;
    let total = content.len();
    let head = |status: &str, length: usize, more: &str| {
        format!("HTTP/1.1 {status}\r\nContent-Length: {length}\r\nConnection: close\r\n{more}\r\n")
    };
    let asked = |from: usize| {
        let more = format!("Content-Range: bytes {from}-{}/{total}\r\n", total - 1);
        head("206 Partial Content", total - from, &more)
    };
    let (head, body): (String, Vec<u8>) = match (act, range) {
        (Act::Silent, _) => return Some(stream),
        (Act::Serve | Act::Cut(_), Some(from)) if from >= total => {
            (head("416 Range Not Satisfiable", 0, ""), Vec::new())
        }
        (Act::Serve, Some(from)) => (asked(from), content[from..].to_vec()),
        (Act::Cut(count), Some(from)) => (
            asked(from),
            content[from..(from + count).min(total)].to_vec(),
        ),
        (Act::Cut(count), None) => (
            head("200 OK", total, ""),
            content[..count.min(total)].to_vec(),
        ),
        (Act::Serve, None) | (Act::IgnoreRange, _) => (head("200 OK", total, ""), content.to_vec()),
        (Act::Wrong, _) => (head("200 OK", total, ""), vec![7; total]),
        (Act::Endless, _) => (
            "HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n".to_owned(),
            content.repeat(3),
        ),
        (Act::Status(code), _) => (head(&format!("{code} Because"), 0, ""), Vec::new()),
        (Act::Page, _) => (
            head("200 OK", 5, "Content-Type: text/html\r\n"),
            b"hello".to_vec(),
        ),
        (Act::Redirect(to), _) => (
            head("302 Found", 0, &format!("Location: {to}\r\n")),
            Vec::new(),
        ),
    };
    let _ = stream
        .write_all(head.as_bytes())
        .and_then(|()| stream.write_all(&body));
    None
}

fn content() -> Vec<u8> {
    (0..200_000u32)
        .map(|number| (number.wrapping_mul(2_654_435_761) >> 24) as u8)
        .collect()
}

fn model(urls: &[&str]) -> Model {
    let scratch = Scratch::new("sum");
    let path = scratch.path().join("content");
    fs::write(&path, content()).unwrap();
    Model {
        name: "little".to_owned(),
        file: "ggml-little.bin".to_owned(),
        bytes: Some(content().len() as u64),
        sha256: sha256_of(&path).unwrap(),
        licence: "CC0".to_owned(),
        languages: "none",
        urls: urls
            .iter()
            .map(|url| format!("{url}/ggml-little.bin"))
            .collect(),
    }
}

fn options() -> PullOptions {
    PullOptions {
        connect: Duration::from_secs(2),
        stall: Duration::from_millis(400),
        first_byte: None,
        offline: false,
    }
}

#[tokio::test]
async fn offline_fetches_nothing_and_says_so() {
    crate::testing::install_tls();
    let scratch = Scratch::new("pull");
    let server = serve(content(), &[Act::Silent]);
    let model = model(&[&server.url]);
    let options = PullOptions {
        offline: true,
        ..options()
    };
    let result = pull(scratch.path(), &model, &options, &mut Progress::silent()).await;
    assert!(
        matches!(result, Err(PullError::Offline { .. })),
        "{result:?}"
    );
}

async fn fetch(folder: &Path, model: &Model) -> Result<PathBuf, PullError> {
    crate::testing::install_tls();
    pull(folder, model, &options(), &mut Progress::silent()).await
}

/// One server acts; `expected`: none for success, else a part of what is said. Then the requests seen.
async fn check(acts: &'static [Act], expected: Option<&str>, requests: &[&str]) {
    let scratch = Scratch::new("pull");
    let server = serve(content(), acts);
    let result = fetch(scratch.path(), &model(&[&server.url])).await;
    match (&result, expected) {
        (Ok(place), None) => assert_eq!(fs::read(place).unwrap(), content(), "{acts:?}"),
        (Err(error), Some(expected)) => {
            let said = error.to_string();
            assert!(
                said.contains(expected),
                "{acts:?}: {said:?} lacks {expected:?}"
            );
            assert!(!scratch.path().join("ggml-little.bin").exists());
        }
        _ => panic!("{acts:?}: {result:?}"),
    }
    let seen = server.requests.lock().unwrap().clone();
    let froms: Vec<&str> = seen
        .iter()
        .map(|line| line.split(" from ").nth(1).unwrap_or(""))
        .collect();
    assert_eq!(froms, requests, "{acts:?}");
}

#[tokio::test]
async fn one_mirror_and_its_moods() {
    check(&[Act::Serve], None, &[""]).await;
    check(&[Act::Cut(70_000), Act::Serve], None, &["", "70000"]).await;
    check(
        &[Act::Cut(70_000), Act::Cut(70_000), Act::Serve],
        None,
        &["", "70000", "140000"],
    )
    .await;
    check(&[Act::Cut(70_000), Act::IgnoreRange], None, &["", "70000"]).await;
    check(&[Act::Cut(0)], Some("127.0.0.1: "), &[""]).await;
    check(
        &[Act::Cut(10)],
        Some("127.0.0.1: "),
        &["", "10", "20", "30", "40"],
    )
    .await;
    check(&[Act::Wrong], Some("wrong checksum"), &[""]).await;
    check(&[Act::Endless], Some("more than the model has"), &[""]).await;
    check(&[Act::Status(404)], Some("answers 404"), &[""]).await;
    check(&[Act::Status(503)], Some("answers 503"), &[""]).await;
    check(&[Act::Page], Some("web page"), &[""]).await;
    check(&[Act::Silent], Some("no answer in time"), &[""]).await;
    check(
        &[Act::Redirect("/models/other"), Act::Serve],
        None,
        &["", ""],
    )
    .await;
    check(
        &[Act::Redirect("/models/other")],
        Some("too many redirects"),
        &[""; 11],
    )
    .await;
}

#[tokio::test]
async fn mirrors_are_tried_in_order() {
    let scratch = Scratch::new("pull");
    let missing = serve(content(), &[Act::Status(404)]);
    let wrong = serve(content(), &[Act::Wrong]);
    let good = serve(content(), &[Act::Serve]);
    let unused = serve(content(), &[Act::Serve]);
    let model = model(&[
        &missing.url,
        &wrong.url,
        "http://127.0.0.1:1",
        &good.url,
        &unused.url,
    ]);
    let place = fetch(scratch.path(), &model).await.unwrap();
    assert_eq!(fs::read(place).unwrap(), content());
    let count = |server: &Server| server.requests.lock().unwrap().len();
    assert_eq!([&missing, &wrong, &good, &unused].map(count), [1, 1, 1, 0]);
    let left: Vec<_> = fs::read_dir(scratch.path())
        .unwrap()
        .flatten()
        .map(|entry| entry.file_name())
        .collect();
    assert_eq!(left, ["ggml-little.bin"]);
}

#[tokio::test]
async fn a_broken_download_goes_on_in_the_next_process() {
    let scratch = Scratch::new("pull");
    let part = scratch.path().join("ggml-little.bin.part");
    let check = async |held: &[u8], requests: &[&str]| {
        let _ = fs::remove_file(scratch.path().join("ggml-little.bin"));
        fs::write(&part, held).unwrap();
        let server = serve(content(), &[Act::Serve]);
        let place = fetch(scratch.path(), &model(&[&server.url])).await.unwrap();
        assert_eq!(fs::read(place).unwrap(), content());
        let seen = server.requests.lock().unwrap().clone();
        let froms: Vec<&str> = seen
            .iter()
            .map(|line| line.split(" from ").nth(1).unwrap_or(""))
            .collect();
        assert_eq!(froms, requests);
    };
    check(&content()[..150_000], &["150000"]).await;
    check(&content(), &[]).await;
    check(&[content(), content()].concat(), &[""]).await;
}

#[tokio::test]
async fn a_part_of_another_file_is_found_out() {
    let scratch = Scratch::new("pull");
    fs::write(scratch.path().join("ggml-little.bin.part"), [9; 1000]).unwrap();
    let server = serve(content(), &[Act::Serve]);
    let model = model(&[&server.url, &server.url]);
    fetch(scratch.path(), &model).await.unwrap();
    assert_eq!(server.requests.lock().unwrap().len(), 2);
}

#[tokio::test]
async fn what_is_there_is_not_fetched_and_damage_is_replaced() {
    let scratch = Scratch::new("pull");
    let server = serve(content(), &[Act::Serve]);
    let model = model(&[&server.url]);
    let place = fetch(scratch.path(), &model).await.unwrap();
    fetch(scratch.path(), &model).await.unwrap();
    assert_eq!(server.requests.lock().unwrap().len(), 1);
    assert!(verify(&model, &place).unwrap());
    let mut damaged = content();
    damaged[1000] ^= 1;
    fs::write(&place, damaged).unwrap();
    assert!(!verify(&model, &place).unwrap());
    fetch(scratch.path(), &model).await.unwrap();
    assert!(verify(&model, &place).unwrap());
    assert_eq!(server.requests.lock().unwrap().len(), 2);
}

#[tokio::test]
async fn two_at_once_and_no_room() {
    let scratch = Scratch::new("pull");
    let mut model = model(&["http://127.0.0.1:1"]);
    let lock = fs::File::create(scratch.path().join("ggml-little.bin.lock")).unwrap();
    lock.lock().unwrap();
    let busy = fetch(scratch.path(), &model).await;
    assert!(matches!(busy, Err(PullError::Busy { .. })), "{busy:?}");
    drop(lock);
    model.bytes = Some(u64::MAX / 4);
    let full = fetch(scratch.path(), &model).await;
    assert!(matches!(full, Err(PullError::DiskFull { .. })), "{full:?}");
    model.urls.clear();
    model.bytes = None;
    assert!(matches!(
        fetch(scratch.path(), &model).await,
        Err(PullError::NoMirror)
    ));
}

#[tokio::test]
async fn a_first_start_does_not_wait_for_mirrors_that_say_nothing() {
    crate::testing::install_tls();
    let scratch = Scratch::new("pull");
    let silent = serve(content(), &[Act::Silent]);
    let model = model(&[&silent.url, &silent.url, &silent.url]);
    let patience = Duration::from_millis(300);
    let options = PullOptions {
        first_byte: Some(patience),
        stall: Duration::from_secs(600),
        ..options()
    };
    // Three mirrors, 600 s of patience with each, and yet this ends.
    let result = pull(scratch.path(), &model, &options, &mut Progress::silent()).await;
    assert!(
        result
            .unwrap_err()
            .to_string()
            .contains("no answer in time")
    );
}
