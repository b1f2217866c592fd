//! Any octets as the beginning of a WebSocket: HTTP that is cut, torn, doubled and changed, in pieces of any size, in
//! memory. A plain function that states what must hold, over seeded mutations of good requests.

use std::io;
use std::pin::{Pin, pin};
use std::task::{Context, Poll, Waker};

use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::web_socket::accept;

/// A peer that has said all it will say, `step` octets at a time.
struct Said<'a> {
    rest: &'a [u8],
    step: usize,
    heard: &'a mut Vec<u8>,
}

impl AsyncRead for Said<'_> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let count = self.step.min(self.rest.len()).min(buffer.remaining());
        let (now, later) = self.rest.split_at(count);
        buffer.put_slice(now);
        self.rest = later;
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Said<'_> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
        data: &[u8],
    ) -> Poll<io::Result<usize>> {
        let count = self.step.min(data.len());
        self.heard.extend(&data[..count]);
        Poll::Ready(Ok(count))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

/// The handshake ends, one way or the other; what is answered is HTTP and small; and nobody becomes a WebSocket without
/// having asked for SIP. The first octet is the size of the pieces. Says whether it became one.
fn upgrade(data: &[u8]) -> bool {
    let [step, request @ ..] = data else {
        return false;
    };
    let mut heard = Vec::new();
    let is_open = {
        let said = Said {
            rest: request,
            step: 1 + usize::from(*step),
            heard: &mut heard,
        };
        let mut shaken = pin!(accept(said, &[]));
        // The stream never has to wait, so neither has the handshake.
        let mut context = Context::from_waker(Waker::noop());
        match shaken.as_mut().poll(&mut context) {
            Poll::Ready(shaken) => shaken.is_ok(),
            Poll::Pending => panic!("it waits for nobody"),
        }
    };
    assert!(heard.is_empty() || heard.starts_with(b"HTTP/1.1 "));
    assert!(heard.len() < 1_024, "{} octets of answer", heard.len());
    assert_eq!(is_open, heard.starts_with(b"HTTP/1.1 101"));
    let text = String::from_utf8_lossy(request).to_ascii_lowercase();
    assert!(!is_open || text.contains("sip") && text.contains("upgrade"));
    is_open
}

const REQUESTS: [&str; 3] = [
    "GET /ws HTTP/1.1\r\nHost: pbx.example:5066\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
     Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Protocol: sip\r\n\r\n",
    "GET / HTTP/1.1\r\nHost: a\r\nConnection: keep-alive, Upgrade\r\nUpgrade: WebSocket\r\nOrigin: https://a.example\r\n\
     Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\
     Sec-WebSocket-Protocol: chat, sip\r\nSec-WebSocket-Extensions: permessage-deflate\r\nCookie: a=b\r\n\r\n",
    "POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\nContent-Length: 4\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
];

#[test]
fn any_octets_may_knock() {
    for (request, expected) in REQUESTS.iter().zip([true, true, false]) {
        for step in [6, 255] {
            assert_eq!(upgrade(&[&[step], request.as_bytes()].concat()), expected);
        }
        // Octet by octet is nobody's network but a slow attack, and refused as one.
        assert!(!upgrade(&[&[0], request.as_bytes()].concat()));
    }
    // Headers without an end, and one that is all there is.
    let endless = format!("GET / HTTP/1.1\r\n{}", "X: y\r\n".repeat(20_000));
    let long = format!("GET / HTTP/1.1\r\nX: {}", "y".repeat(1 << 20));
    for request in [endless, long] {
        assert!(!upgrade(&[b"\xff", request.as_bytes()].concat()));
    }
    let mut random = StdRng::seed_from_u64(7118);
    for round in 0..6_000 {
        let mut data = [&[0xff], REQUESTS[round % 3].as_bytes()].concat();
        for _ in 0..random.random_range(1..5) {
            let at = random.random_range(0..data.len());
            match random.random_range(0..5) {
                0 => data[at] = b"\r\n \t:,\0\xff=/"[random.random_range(0..10)],
                1 => data[at] ^= 1 << random.random_range(0..8),
                2 => data.insert(at, b"\r\n :,"[random.random_range(0..5)]),
                3 => data.truncate(at + 1),
                _ => {
                    let tail = data[at..].to_vec();
                    data.extend(tail);
                }
            }
        }
        upgrade(&data);
    }
}
