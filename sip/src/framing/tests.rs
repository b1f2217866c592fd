//! Streams cut into messages, whatever pieces they come in.

use super::*;
use crate::limits::MESSAGE_BYTES_MAX;

const ONE: &str = "INFO sip:a@b SIP/2.0\r\nl: 2\r\n\r\nhi";
const TWO: &str = "INFO sip:a@b SIP/2.0\nX: y\n folded: l: 9\nContent-Length :\n 0\n\n";

/// `m` a message, `i` a ping, `o` a pong, `!` broken.
fn check(pieces: &[&str], expected: &str) {
    let mut framer = StreamFramer::new();
    let mut got = String::new();
    for piece in pieces {
        let result = framer.push(piece.as_bytes());
        got.extend(framer.by_ref().map(|frame| match frame {
            Frame::Message(_) => 'm',
            Frame::Ping => 'i',
            Frame::Pong => 'o',
        }));
        if result.is_err() {
            got.push('!');
        }
    }
    assert_eq!(got, expected, "{pieces:?}");
}

#[test]
fn messages() {
    check(&[ONE], "m");
    check(&[TWO], "m");
    check(&[&format!("{ONE}{TWO}{ONE}")], "mmm");
    check(&["INFO sip:a@b SIP/2.0\r\nl: 2\r\n\r", "\nh", "i"], "m");
    check(&["INFO sip:a@b SIP/2.0\r\nl: 2\r", "\n\r\nh"], "");
}

#[test]
fn any_cut_gives_the_same() {
    let all = format!("{ONE}\r\n\r\n{TWO}{ONE}");
    for at in 0..all.len() {
        let mut framer = StreamFramer::new();
        for piece in [&all[..at], &all[at..]] {
            framer.push(piece.as_bytes()).unwrap();
        }
        let messages: Vec<_> = framer
            .by_ref()
            .filter_map(|frame| {
                if let Frame::Message(data) = frame {
                    Some(data)
                } else {
                    None
                }
            })
            .collect();
        assert_eq!(
            messages,
            [ONE.as_bytes(), TWO.as_bytes(), ONE.as_bytes()],
            "cut at {at}"
        );
        assert_eq!(framer.unfinished_bytes(), 0);
    }
}

/// RFC 5626 §4.4.1.
#[test]
fn keep_alives() {
    check(&["\r\n\r\n"], "i");
    check(&["\r\n"], "o");
    check(&["\r\n", "\r\n"], "oi");
    check(&["\r", "\n\r", "\n"], "oi");
    check(&[&format!("\r\n\r\n{ONE}\r\n\r\n")], "imi");
    check(&[&format!("\r\n{ONE}\r\n")], "omo");
    // A flood of pings is one ping.
    check(&[&"\r\n\r\n".repeat(1000)], "i");
}

#[test]
fn what_cannot_be_framed_breaks() {
    check(&["INFO sip:a@b SIP/2.0\r\n\r\n"], "!");
    check(&["INFO sip:a@b SIP/2.0\r\nl: -1\r\n\r\n"], "!");
    check(
        &["INFO sip:a@b SIP/2.0\r\nl: 1\r\nContent-Length: 2\r\n\r\nhi"],
        "!",
    );
    check(
        &["INFO sip:a@b SIP/2.0\r\nl: 18446744073709551615\r\n\r\n"],
        "!",
    );
    check(&["INFO sip:a@b SIP/2.0\r\nl: 65536\r\n\r\n"], "!");
    // Good ones before it still come out; nothing after it does.
    check(&[&format!("{ONE}X\r\n\r\n{ONE}"), ONE], "m!!");
}

#[test]
fn nothing_grows_without_end() {
    let mut framer = StreamFramer::new();
    let piece = [b'x'; 1024];
    let pushes = (0..).take_while(|_| framer.push(&piece).is_ok()).count();
    assert_eq!(pushes, MESSAGE_BYTES_MAX / 1024);
    let mut framer = StreamFramer::new();
    let full = (0..)
        .take_while(|_| framer.push(ONE.as_bytes()).is_ok())
        .count();
    assert!(full * ONE.len() <= WAITING_BYTES_MAX);
    assert_eq!(
        framer.push(b""),
        Err(FramingError::Full {
            max: WAITING_BYTES_MAX
        })
    );
}
