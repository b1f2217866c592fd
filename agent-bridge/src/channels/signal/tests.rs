//! The channel against `signal_stand_in`: a small server of our own that speaks as much of signal-cli's daemon as is used
//! here, over HTTP and over TCP. It is not signal-cli.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use axum::body::Body as HttpBody;
use axum::extract::State;
use axum::http::HeaderMap;
use axum::routing::{get, post};
use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;
use futures_util::stream;
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Notify, mpsc};

use super::*;
use crate::channels::{Address, Body, INBOX_MAX, MemoryError, NotKept};

/// Longest wait of a test: it fails then.
const LIMIT: Duration = Duration::from_secs(20);

#[derive(Default)]
struct Daemon {
    /// Events with ids, as the daemon keeps them.
    events: Vec<Value>,
    /// What each `/events` was asked to go on behind.
    resumed: Vec<Option<String>>,
    asked: Vec<(String, Value)>,
    /// Answers of their own for the next requests of a method: `result` or `error`.
    answers: HashMap<String, Vec<Value>>,
}

#[derive(Clone)]
struct StandIn {
    inner: Arc<Mutex<Daemon>>,
    news: Arc<Notify>,
    address: SocketAddr,
    scheme: &'static str,
}

impl StandIn {
    async fn new(scheme: &'static str) -> (StandIn, TcpListener) {
        let _ = rustls::crypto::ring::default_provider().install_default();
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let stand_in = StandIn {
            inner: Arc::default(),
            news: Arc::new(Notify::new()),
            address: listener.local_addr().expect("bound"),
            scheme,
        };
        (stand_in, listener)
    }

    async fn http() -> StandIn {
        let (stand_in, listener) = StandIn::new("http").await;
        let router = Router::new()
            .route("/api/v1/events", get(events))
            .route("/api/v1/rpc", post(rpc))
            .with_state(stand_in.clone());
        tokio::spawn(async move { axum::serve(listener, router).await });
        stand_in
    }

    async fn tcp() -> StandIn {
        let (stand_in, listener) = StandIn::new("tcp").await;
        let serving = stand_in.clone();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(lines(serving.clone(), stream));
            }
        });
        stand_in
    }

    fn with<T>(&self, change: impl FnOnce(&mut Daemon) -> T) -> T {
        let result = change(&mut self.inner.lock().expect("no test panics inside"));
        self.news.notify_waiters();
        result
    }

    async fn wait<T>(&self, mut found: impl FnMut(&mut Daemon) -> Option<T>) -> T {
        let search = async {
            loop {
                let news = self.news.notified();
                if let Some(result) = found(&mut self.inner.lock().expect("no test panics inside"))
                {
                    return result;
                }
                news.await;
            }
        };
        tokio::time::timeout(LIMIT, search)
            .await
            .expect("it happens")
    }

    fn all(&self, method: &str) -> Vec<Value> {
        let of = |(name, params): &(String, Value)| (name == method).then(|| params.clone());
        self.with(|inner| inner.asked.iter().filter_map(of).collect())
    }

    async fn wait_for(&self, method: &str, count: usize) -> Vec<Value> {
        self.wait(|inner| {
            let of = |(name, params): &(String, Value)| (name == method).then(|| params.clone());
            let all: Vec<Value> = inner.asked.iter().filter_map(of).collect();
            (all.len() >= count).then_some(all)
        })
        .await
    }

    fn comes(&self, event: Value) {
        self.with(|inner| inner.events.push(event));
    }

    fn answer(&self, request: &Value) -> Value {
        let method = request["method"].as_str().unwrap_or("").to_owned();
        let own = self.with(|inner| {
            inner
                .asked
                .push((method.clone(), request["params"].clone()));
            match inner.answers.get_mut(&method) {
                Some(answers) if !answers.is_empty() => Some(answers.remove(0)),
                _ => None,
            }
        });
        let mut answer = own.unwrap_or_else(|| match method.as_str() {
            "getAttachment" => json!({"result": {"data": "T2dnUw=="}}),
            "send" => json!({"result": {"timestamp": 900, "results": [{"type": "SUCCESS"}]}}),
            // Started for one account.
            "listAccounts" => {
                json!({"error": {"code": -32601, "message": "Method not implemented"}})
            }
            _ => json!({"result": 0}),
        });
        answer["jsonrpc"] = json!("2.0");
        answer["id"] = request["id"].clone();
        answer
    }

    fn config(&self, account: &str) -> SignalConfig {
        SignalConfig {
            url: format!("{}://{}", self.scheme, self.address),
            account: account.to_owned(),
        }
    }

    fn channel(&self, memory: &Arc<Notes>, known: &[&str]) -> Arc<Signal> {
        self.channel_of("", memory, known)
    }

    fn channel_of(&self, account: &str, memory: &Arc<Notes>, known: &[&str]) -> Arc<Signal> {
        let config = self.config(account);
        let door = Guests {
            known: known.iter().map(|id| (*id).to_owned()).collect(),
        };
        Arc::new(Signal::new(config, memory.clone(), Arc::new(door)).expect("a good configuration"))
    }
}

async fn rpc(State(stand_in): State<StandIn>, body: String) -> String {
    let request: Value = serde_json::from_str(&body).expect("JSON");
    stand_in.answer(&request).to_string()
}

async fn events(State(stand_in): State<StandIn>, headers: HeaderMap) -> HttpBody {
    let after = headers.get("last-event-id").and_then(|id| id.to_str().ok());
    stand_in.with(|inner| inner.resumed.push(after.map(str::to_owned)));
    let from: usize = after
        .and_then(|id| id.parse().ok())
        .map_or(0, |id: usize| id + 1);
    HttpBody::from_stream(stream::unfold(
        (stand_in, from),
        |(stand_in, n)| async move {
            let event = stand_in.wait(|inner| inner.events.get(n).cloned()).await;
            let text = format!(":\n\nid:{n}\nevent:receive\ndata:{event}\n\n");
            Some((Ok::<_, std::io::Error>(text), (stand_in, n + 1)))
        },
    ))
}

async fn lines(stand_in: StandIn, stream: TcpStream) {
    let (reader, mut writer) = stream.into_split();
    let mut reader = BufReader::new(reader).lines();
    while let Ok(Some(line)) = reader.next_line().await {
        let request: Value = serde_json::from_str(&line).expect("JSON");
        let answer = stand_in.answer(&request);
        if writer
            .write_all(format!("{answer}\n").as_bytes())
            .await
            .is_err()
        {
            return;
        }
        if request["method"] == "subscribeReceive" {
            let mut n = 0;
            loop {
                let event = stand_in.wait(|inner| inner.events.get(n).cloned()).await;
                let params = json!({"subscription": 0, "result": event});
                let notice = json!({"jsonrpc": "2.0", "method": "receive", "params": params});
                if writer
                    .write_all(format!("{notice}\n").as_bytes())
                    .await
                    .is_err()
                {
                    return;
                }
                n += 1;
            }
        }
    }
}

/// Memory that a restart survives.
#[derive(Default)]
struct Notes(Mutex<HashMap<String, String>>);

impl Memory for Notes {
    fn get<'a>(&'a self, key: &'a str) -> BoxFuture<'a, Option<String>> {
        let value = self
            .0
            .lock()
            .expect("no test panics inside")
            .get(key)
            .cloned();
        async move { value }.boxed()
    }

    fn put<'a>(&'a self, key: &'a str, value: &'a str) -> BoxFuture<'a, Result<(), MemoryError>> {
        let mut kept = self.0.lock().expect("no test panics inside");
        kept.insert(key.to_owned(), value.to_owned());
        async { Ok(()) }.boxed()
    }
}

struct Guests {
    known: Vec<String>,
}

impl Door for Guests {
    fn knows<'a>(&'a self, who: &'a Address) -> BoxFuture<'a, bool> {
        let is_known = self.known.contains(&who.id);
        async move { is_known }.boxed()
    }

    fn code<'a>(&'a self, _who: &'a Address, _name: &'a str) -> BoxFuture<'a, Option<String>> {
        async { Some("ABCD-1234".to_owned()) }.boxed()
    }
}

fn event(at: u64, message: Value) -> Value {
    let mut message = message;
    message["timestamp"] = json!(at);
    json!({"envelope": {"sourceUuid": "aa-11", "sourceNumber": "+4915", "sourceName": "Anna",
        "timestamp": at, "dataMessage": message}, "account": "+49000"})
}

fn start(channel: &Arc<Signal>) -> (mpsc::Receiver<Arrival>, tokio::task::JoinHandle<()>) {
    let (inbox, arrivals) = mpsc::channel(INBOX_MAX);
    (arrivals, tokio::spawn(channel.clone().run(inbox)))
}

async fn next(arrivals: &mut mpsc::Receiver<Arrival>) -> Arrival {
    let arrival = tokio::time::timeout(LIMIT, arrivals.recv()).await;
    arrival.expect("it arrives").expect("it runs")
}

fn outbound(id: &str, body: OutBody) -> Outbound {
    Outbound {
        id: id.to_owned(),
        place: "aa-11".to_owned(),
        body,
        reply_to: None,
        is_repeat: false,
    }
}

/// Text, sound and an answer, the same over both ways.
async fn talk(stand_in: StandIn) {
    let channel = stand_in.channel(&Arc::default(), &["+4915"]);
    let (mut arrivals, _task) = start(&channel);
    stand_in.comes(json!({"envelope": {"typingMessage": {}}}));
    stand_in.comes(event(5, json!({"message": "hello"})));
    stand_in.comes(event(
        6,
        json!({"attachments": [{"contentType": "audio/aac", "id": "a.aac", "size": 4}]}),
    ));
    let first = next(&mut arrivals).await;
    assert_eq!(first.message.id, "aa-11:5");
    // Known by the number, so that is who they are.
    assert_eq!(
        (first.message.from.id.as_str(), first.message.place.as_str()),
        ("+4915", "+4915")
    );
    assert_eq!(first.message.body, Body::Text("hello".to_owned()));
    assert!(stand_in.all("sendReceipt").is_empty());
    first.kept.send(Ok(())).expect("it waits");
    let receipts = stand_in.wait_for("sendReceipt", 1).await;
    assert_eq!(
        receipts[0],
        json!({"recipient": "+4915", "targetTimestamp": [5], "type": "read"})
    );
    let voice = next(&mut arrivals).await;
    let sound = Body::Voice {
        bytes: b"OggS".to_vec(),
        mime: "audio/aac".to_owned(),
    };
    assert_eq!(voice.message.body, sound);
    voice.kept.send(Ok(())).expect("it waits");
    let theirs = channel
        .deliver(&outbound("d1", OutBody::Text("**Noon.**".to_owned())))
        .await;
    assert_eq!(theirs, Ok(Some("900".to_owned())));
    let sent = stand_in.all("send");
    assert_eq!(
        (&sent[0]["message"], &sent[0]["textStyle"]),
        (&json!("Noon."), &json!(["0:5:BOLD"]))
    );
    channel.typing("aa-11", true).await;
    stand_in.wait_for("sendTyping", 1).await;
    channel.typing("aa-11", false).await;
    let signs = stand_in.wait_for("sendTyping", 2).await;
    assert_eq!(
        (&signs[0]["stop"], &signs[1]["stop"]),
        (&json!(false), &json!(true))
    );
    assert_eq!(channel.standing(), "receiving");
}

#[tokio::test]
async fn people_write_and_are_answered_over_http() {
    talk(StandIn::http().await).await;
}

#[tokio::test]
async fn people_write_and_are_answered_over_tcp() {
    talk(StandIn::tcp().await).await;
}

#[tokio::test]
async fn what_was_not_kept_comes_again_after_a_crash() {
    let stand_in = StandIn::http().await;
    let notes: Arc<Notes> = Arc::default();
    stand_in.comes(event(5, json!({"message": "one"})));
    stand_in.comes(event(6, json!({"message": "two"})));
    let channel = stand_in.channel(&notes, &["aa-11"]);
    let (mut arrivals, task) = start(&channel);
    next(&mut arrivals)
        .await
        .kept
        .send(Ok(()))
        .expect("it waits");
    let second = next(&mut arrivals).await;
    assert_eq!(second.message.id, "aa-11:6");
    // The program dies before it is kept.
    task.abort();
    drop(second);
    let channel = stand_in.channel(&notes, &["aa-11"]);
    let (mut arrivals, _task) = start(&channel);
    let again = next(&mut arrivals).await;
    assert_eq!(again.message.id, "aa-11:6");
    assert_eq!(
        stand_in.with(|inner| inner.resumed.clone()),
        [None, Some("0".to_owned())]
    );
    // The disk is busy: the same again, and nothing overtakes it.
    again.kept.send(Err(NotKept::Busy)).expect("it waits");
    assert_eq!(next(&mut arrivals).await.message.id, "aa-11:6");
}

#[tokio::test]
async fn strangers_cost_no_download_and_one_answer() {
    let stand_in = StandIn::http().await;
    let channel = stand_in.channel(&Arc::default(), &[]);
    let (mut arrivals, _task) = start(&channel);
    stand_in.comes(event(
        5,
        json!({"attachments": [{"contentType": "audio/aac", "id": "a.aac"}]}),
    ));
    stand_in.comes(event(6, json!({"message": "let me in"})));
    let text = next(&mut arrivals).await;
    assert_eq!(text.message.id, "aa-11:6");
    text.kept.send(Err(NotKept::Stranger)).expect("it waits");
    stand_in.comes(event(7, json!({"message": "hello?"})));
    next(&mut arrivals)
        .await
        .kept
        .send(Err(NotKept::Stranger))
        .expect("it waits");
    let told = stand_in.wait_for("send", 1).await;
    assert_eq!(told.len(), 1);
    assert!(
        told[0]["message"]
            .as_str()
            .is_some_and(|text| text.contains("ABCD-1234"))
    );
    assert!(stand_in.all("getAttachment").is_empty());
    assert!(stand_in.all("sendReceipt").is_empty());
}

#[tokio::test]
async fn what_was_sent_is_not_sent_again_and_doubt_is_said() {
    let stand_in = StandIn::http().await;
    let notes: Arc<Notes> = Arc::default();
    let channel = stand_in.channel(&notes, &[]);
    let fail = |answer: Value| {
        stand_in.with(|inner| {
            inner
                .answers
                .entry("send".to_owned())
                .or_default()
                .push(answer)
        });
    };
    let long = outbound(
        "d1",
        OutBody::Text("A sentence that is said again. ".repeat(100)),
    );
    let count = rpc::pieces(&long.body).len();
    fail(json!({"result": {"timestamp": 1}}));
    fail(json!({"error": {"code": -3, "message": "x"}}));
    let error = channel.deliver(&long).await;
    assert!(
        matches!(error, Err(DeliveryError::Passing { .. })),
        "{error:?}"
    );
    let channel = stand_in.channel(&notes, &[]);
    fail(json!({"error": {"code": -5}}));
    let error = channel.deliver(&long).await;
    assert!(
        matches!(
            &error,
            Err(DeliveryError::Passing {
                retry_after: Some(_),
                ..
            })
        ),
        "{error:?}"
    );
    let channel = stand_in.channel(&notes, &[]);
    assert_eq!(channel.deliver(&long).await, Ok(Some("1".to_owned())));
    assert_eq!(channel.deliver(&long).await, Ok(Some("1".to_owned())));
    let sent = stand_in.all("send");
    assert_eq!(sent.len(), count + 2);
    let doubts: Vec<usize> = (0..sent.len())
        .filter(|n| {
            sent[*n]["message"]
                .as_str()
                .is_some_and(|text| text.contains("Sent again"))
        })
        .collect();
    // In doubt after the failure; certain again after the refusal that followed.
    assert_eq!(doubts, [2]);
    fail(json!({"result": {"results": [{"type": "UNREGISTERED_FAILURE"}]}}));
    let error = channel
        .deliver(&outbound("d2", OutBody::Text("x".to_owned())))
        .await;
    assert!(
        matches!(error, Err(DeliveryError::Final { .. })),
        "{error:?}"
    );
}

#[tokio::test]
async fn a_daemon_that_is_away_is_waited_for() {
    let (stand_in, listener) = StandIn::new("http").await;
    drop(listener);
    let channel = stand_in.channel(&Arc::default(), &[]);
    let (_arrivals, _task) = start(&channel);
    let said = tokio::time::timeout(LIMIT, async {
        while !channel.standing().contains("cannot be reached") {
            tokio::task::yield_now().await;
        }
    });
    said.await.expect("it says so");
    let error = channel
        .deliver(&outbound("d1", OutBody::Text("x".to_owned())))
        .await;
    assert!(
        matches!(error, Err(DeliveryError::Passing { .. })),
        "{error:?}"
    );
}

#[test]
fn addresses_are_checked() {
    let _ = rustls::crypto::ring::default_provider().install_default();
    let check = |url: &str| link::Link::new(url).err();
    for good in [
        "http://127.0.0.1:8080",
        "tcp://127.0.0.1:7583",
        "https://signal.example/base",
    ] {
        assert_eq!(check(good), None, "{good}");
    }
    for bad in [
        "",
        "x",
        "unix:/a",
        "tcp://127.0.0.1",
        "http://u:p@h",
        "http://h/?a=b",
    ] {
        assert_eq!(check(bad), Some(SignalConfigError::Url), "{bad}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_daemon_that_takes_and_never_answers_is_left() {
    let _ = rustls::crypto::ring::default_provider().install_default();
    // Connections are made, and nothing is ever read from them.
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("bound");
    let link = Link::new(&format!("http://{address}")).expect("an address");
    let opened = tokio::time::timeout(Duration::from_secs(3_600), link.open(None, ""));
    let opened = opened.await.expect("it gives up");
    assert_eq!(opened.err(), Some("signal-cli does not answer"));
}

/// Whoever writes to another account of the daemon writes to somebody else, and nothing of that is for us.
#[tokio::test]
async fn messages_to_other_accounts_are_not_taken() {
    let private = |at| {
        let mut private = event(at, json!({"message": "private"}));
        private["account"] = json!("+49777");
        private
    };
    let lists = |stand_in: &StandIn, numbers: &[&str]| {
        let all: Vec<Value> = numbers.iter().map(|n| json!({"number": n})).collect();
        let listed = json!({"result": all});
        stand_in.with(|inner| {
            inner
                .answers
                .insert("listAccounts".to_owned(), vec![listed])
        });
    };
    let several = "signal-cli serves several accounts: give our number in `account`";
    for account in ["0b1e-our-account-id", ""] {
        let stand_in = StandIn::http().await;
        stand_in.comes(private(5));
        stand_in.comes(event(6, json!({"message": "hello"})));
        lists(&stand_in, &["+49000", "+49777"]);
        let found = check(&stand_in.config(account)).await;
        assert_eq!(found, Err(CheckError::new(several)));
        lists(&stand_in, &["+49000", "+49777"]);
        let channel = stand_in.channel_of(account, &Arc::default(), &["aa-11"]);
        let (mut arrivals, task) = start(&channel);
        let said = tokio::time::timeout(LIMIT, async {
            while !channel.standing().contains(several) {
                tokio::task::yield_now().await;
            }
        });
        said.await.expect("it says so");
        assert!(stand_in.with(|inner| inner.resumed.is_empty()));
        assert!(arrivals.try_recv().is_err());
        task.abort();
        // The only one; and another that is there by the time of its first message.
        lists(&stand_in, &["+49000"]);
        let channel = stand_in.channel_of(account, &Arc::default(), &["aa-11"]);
        let (mut arrivals, _task) = start(&channel);
        assert_eq!(next(&mut arrivals).await.message.id, "aa-11:6");
    }
    // By our number nobody is asked.
    let stand_in = StandIn::http().await;
    stand_in.comes(private(5));
    stand_in.comes(event(6, json!({"message": "hello"})));
    let channel = stand_in.channel_of("+49000", &Arc::default(), &["aa-11"]);
    let (mut arrivals, _task) = start(&channel);
    assert_eq!(next(&mut arrivals).await.message.id, "aa-11:6");
    assert!(stand_in.all("listAccounts").is_empty());
}

#[tokio::test]
async fn a_check_asks_for_the_version() {
    let stand_in = StandIn::tcp().await;
    let config = stand_in.config("");
    stand_in.with(|inner| {
        let version = json!({"result": {"version": "0.13.20"}});
        inner.answers.insert("version".to_owned(), vec![version]);
    });
    assert_eq!(check(&config).await.as_deref(), Ok("signal-cli 0.13.20"));
    let away = SignalConfig {
        url: "tcp://127.0.0.1:1".to_owned(),
        ..config
    };
    assert!(check(&away).await.is_err());
}
