//! How many connections questions cost: against a server on loopback that keeps them open, as real ones
//! do, and counts them. Nothing here is timed: a new connection is what makes a question slow.

use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Notify;

use super::tests::{delta, read_request, request};
use super::*;

#[derive(Default)]
struct Counts {
    opened: AtomicUsize,
    closed: AtomicUsize,
    /// Requests answered to their last byte.
    answered: AtomicUsize,
    changed: Notify,
}

impl Counts {
    async fn wait_for(&self, counter: impl Fn(&Counts) -> &AtomicUsize, wanted: usize) {
        while counter(self).load(Ordering::SeqCst) < wanted {
            self.changed.notified().await;
        }
    }

    fn count(&self, counter: &AtomicUsize) {
        counter.fetch_add(1, Ordering::SeqCst);
        self.changed.notify_one();
    }
}

/// How connections end, other than by the client.
#[derive(Clone, Copy, PartialEq)]
enum Manner {
    Patient,
    /// The second request on a connection is read and answered by closing it.
    ClosesSecond,
    /// A question's answer begins and never goes on.
    Hangs,
}

async fn server(manner: Manner, models: String) -> (OpenAi, Arc<Counts>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("loopback");
    let address = listener.local_addr().expect("bound");
    let counts = Arc::new(Counts::default());
    let counting = counts.clone();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            counting.count(&counting.opened);
            let (counts, models) = (counting.clone(), models.clone());
            tokio::spawn(async move {
                serve(stream, manner, &models, &counts).await;
                counts.count(&counts.closed);
            });
        }
    });
    let config = OpenAiConfig {
        url: format!("http://{address}/v1"),
        retries_max: 0,
        ..OpenAiConfig::default()
    };
    let _ = rustls::crypto::ring::default_provider().install_default();
    (
        OpenAi::new(config, [7; 32]).expect("a valid config"),
        counts,
    )
}

async fn serve(mut stream: TcpStream, manner: Manner, models: &str, counts: &Counts) {
    let mut served = 0;
    loop {
        let request = read_request(&mut stream).await;
        if request.is_empty() || manner == Manner::ClosesSecond && served == 1 {
            return;
        }
        served += 1;
        if request.starts_with("GET") {
            for part in models.as_bytes().chunks(models.len().div_ceil(3)) {
                let _ = stream.write_all(part).await;
                settle().await;
            }
        } else {
            let head = "HTTP/1.1 200 X\r\ncontent-type: text/event-stream\r\n\
                        transfer-encoding: chunked\r\n\r\n";
            let mut answer = head.to_owned();
            for part in [delta("Hi").as_str(), "data: [DONE]\n\n", ""] {
                answer += &format!("{:x}\r\n{part}\r\n", part.len());
                if manner == Manner::Hangs {
                    let _ = stream.write_all(answer.as_bytes()).await;
                    let mut rest = Vec::new();
                    let _ = stream.read_to_end(&mut rest).await;
                    return;
                }
            }
            // At once, so that a client that knows the last word has the end of the frame as well.
            let _ = stream.write_all(answer.as_bytes()).await;
        }
        counts.count(&counts.answered);
    }
}

/// Lets the tasks run that are ready.
async fn settle() {
    for _ in 0..200 {
        tokio::task::yield_now().await;
    }
}

async fn ask(gateway: &OpenAi) -> usize {
    let (sender, mut receiver) = mpsc::channel(2);
    let asked = gateway.ask(request(), sender);
    let mut texts = 0;
    while let Some(event) = receiver.recv().await {
        match event {
            GatewayEvent::Text(_) => texts += 1,
            GatewayEvent::Done { .. } => break,
            other => panic!("{other:?}"),
        }
    }
    // As a call does when the reply is over.
    asked.cancel();
    texts
}

fn models(status: u16) -> String {
    let body = format!("{{\"data\":[]}}{}", " ".repeat(9_000));
    let length = body.len();
    format!("HTTP/1.1 {status} X\r\ncontent-length: {length}\r\n\r\n{body}")
}

#[tokio::test]
async fn the_first_question_finds_what_the_tenth_finds() {
    for status in [200, 404, 401] {
        let (gateway, counts) = server(Manner::Patient, models(status)).await;
        // What warming does, with an end that can be waited for.
        let _ = gateway.check().await;
        for _ in 0..10 {
            settle().await;
            assert_eq!(ask(&gateway).await, 1);
        }
        assert_eq!(counts.opened.load(Ordering::SeqCst), 1, "{status}");
    }
}

#[tokio::test]
async fn a_connection_that_was_closed_meanwhile_is_no_failure() {
    let (gateway, counts) = server(Manner::ClosesSecond, models(200)).await;
    for _ in 0..3 {
        assert_eq!(ask(&gateway).await, 1);
        settle().await;
    }
    assert_eq!(counts.opened.load(Ordering::SeqCst), 3);
}

#[tokio::test]
async fn a_question_called_off_is_made_up_for() {
    for drop_receiver in [false, true] {
        let (mut gateway, counts) = server(Manner::Hangs, models(200)).await;
        let inner = Arc::get_mut(&mut gateway.inner).expect("not shared yet");
        inner.connections_warm = 2;
        let (one, other) = futures_util::join!(gateway.check(), gateway.check());
        assert!(one.is_ok() && other.is_ok());
        settle().await;
        let opened = counts.opened.load(Ordering::SeqCst);
        let (sender, mut receiver) = mpsc::channel(2);
        let asked = gateway.ask(request(), sender);
        assert!(receiver.recv().await.is_some());
        // It was asked on a connection that stood already.
        assert_eq!(counts.opened.load(Ordering::SeqCst), opened);
        let (_kept_receiver, _kept_handle);
        if drop_receiver {
            drop(receiver);
            _kept_handle = asked;
        } else {
            asked.cancel();
            _kept_receiver = receiver;
        }
        counts.wait_for(|counts| &counts.closed, 1).await;
        // Warmed again: two more lists of models, on the connection that was left and a new one.
        counts.wait_for(|counts| &counts.answered, 4).await;
    }
}
