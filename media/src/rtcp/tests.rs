//! Compounds of every shape, and the reporter on virtual time.

use super::reporter::Reporter;
use super::*;
use crate::receiver::reception::ReportFigures;
use rand::SeedableRng;
use rand::rngs::StdRng;
use std::time::{Duration, Instant};

fn block() -> ReportBlock {
    ReportBlock {
        ssrc: 7,
        fraction_lost: 128,
        cumulative_lost: -3,
        highest_sequence: 70_000,
        jitter: 44,
        last_sender_report: 5,
        delay: 6,
    }
}

#[test]
fn compounds_round_trip() {
    let info = SenderInfo {
        ntp: 0x0123_4567_89ab_cdef,
        rtp_timestamp: 99,
        packets: 10,
        octets: 1_600,
    };
    let name = |length| "n".repeat(length);
    let table = [
        vec![RtcpPacket::ReceiverReport {
            ssrc: 1,
            blocks: vec![],
        }],
        vec![RtcpPacket::SenderReport {
            ssrc: 1,
            info,
            blocks: vec![block(), block()],
        }],
        vec![
            RtcpPacket::ReceiverReport {
                ssrc: 1,
                blocks: vec![block()],
            },
            RtcpPacket::SourceDescription {
                chunks: vec![(1, name(0)), (2, name(1)), (3, name(2)), (4, name(255))],
            },
            RtcpPacket::Goodbye {
                ssrcs: vec![1, 2],
                reason: "done".into(),
            },
        ],
        vec![RtcpPacket::Goodbye {
            ssrcs: vec![],
            reason: String::new(),
        }],
    ];
    for packets in table {
        let bytes = write(&packets);
        assert_eq!(bytes.len() % 4, 0);
        assert_eq!(parse(&bytes).as_ref(), Ok(&packets), "{bytes:02x?}");
    }
}

#[test]
fn malformed_is_refused_and_unknown_skipped() {
    let empty = RtcpPacket::ReceiverReport {
        ssrc: 1,
        blocks: vec![],
    };
    let report = write(std::slice::from_ref(&empty));
    let with = |at: usize, value: u8| {
        let mut bytes = report.clone();
        bytes[at] = value;
        bytes
    };
    let table: [(Vec<u8>, Result<usize, RtcpError>); 13] = [
        (vec![], Err(RtcpError::TooShort(0))),
        (vec![0x80, 201], Err(RtcpError::TooShort(2))),
        (with(0, 0x40), Err(RtcpError::Version(1))),
        (with(1, 100), Err(RtcpError::NotRtcp(100))),
        (with(3, 2), Err(RtcpError::Truncated)),
        // A block is promised and missing.
        (with(0, 0x81), Err(RtcpError::Truncated)),
        (vec![0x80, 200, 0, 1, 0, 0, 0, 1], Err(RtcpError::Truncated)),
        // Padding of 0, of more than there is, and right.
        (
            vec![0xa0, 201, 0, 2, 0, 0, 0, 1, 0, 0, 0, 0],
            Err(RtcpError::Padding),
        ),
        (
            vec![0xa0, 201, 0, 2, 0, 0, 0, 1, 0, 0, 0, 9],
            Err(RtcpError::Padding),
        ),
        (vec![0xa0, 201, 0, 2, 0, 0, 0, 1, 0, 0, 0, 4], Ok(1)),
        // Application-defined and feedback types.
        (vec![0x81, 204, 0, 1, 1, 2, 3, 4], Ok(0)),
        (report.repeat(PACKETS_MAX), Ok(PACKETS_MAX)),
        (report.repeat(PACKETS_MAX + 1), Err(RtcpError::TooMany)),
    ];
    for (bytes, expected) in table {
        assert_eq!(
            parse(&bytes).map(|packets| packets.len()),
            expected,
            "{bytes:02x?}"
        );
    }
    assert_eq!(parse(&vec![0x80; 3_000]), Err(RtcpError::TooLong(3_000)));
    // A chunk without an end.
    assert_eq!(
        parse(&[0x81, 202, 0, 2, 0, 0, 0, 1, 1, 2, 65, 66]),
        Err(RtcpError::Truncated)
    );
}

#[test]
fn round_trip_time_comes_from_the_peer_s_report() {
    let start = Instant::now();
    let at = |ms| start + Duration::from_millis(ms);
    let mut ours = Reporter::new(
        start,
        1_700_000_000_000,
        "ours".into(),
        &mut StdRng::from_seed([1; 32]),
    );
    let mut theirs = Reporter::new(
        start,
        1_600_000_000_123,
        "theirs".into(),
        &mut StdRng::from_seed([2; 32]),
    );
    let info = |ntp| SenderInfo {
        ntp,
        rtp_timestamp: 0,
        packets: 1,
        octets: 160,
    };
    let figures = |ssrc| ReportFigures {
        ssrc,
        fraction_lost: 64,
        cumulative_lost: 2,
        highest_sequence: 5,
        jitter: 80,
    };
    let report = ours.compound(at(1_000), 11, Some(info(ours.ntp(at(1_000)))), None, false);
    // 40 ms there, 500 ms of rest, 60 ms back.
    theirs.receive(at(1_040), 22, &parse(&report).unwrap());
    let answer = theirs.compound(at(1_540), 22, None, Some(figures(11)), false);
    ours.receive(at(1_600), 11, &parse(&answer).unwrap());
    let seen = ours.remote();
    assert!(
        (seen.round_trip_ms.unwrap() - 100.0).abs() < 1.0,
        "{seen:?}"
    );
    assert_eq!(
        (seen.fraction_lost, seen.packets_lost),
        (Some(0.25), Some(2))
    );
    assert_eq!(seen.jitter_units, Some(80));
}

#[test]
fn reports_are_about_five_seconds_apart() {
    let start = Instant::now();
    let mut random = StdRng::from_seed([3; 32]);
    let mut reporter = Reporter::new(start, 0, "x".into(), &mut random);
    let mut before = start;
    let mut gaps = Vec::new();
    for _ in 0..200 {
        let next = reporter.next_timeout();
        gaps.push((next - before).as_secs_f64());
        reporter.reported(next, &mut random);
        before = next;
    }
    let rest = &gaps[1..];
    let mean = rest.iter().sum::<f64>() / rest.len() as f64;
    assert!((1.0..=3.1).contains(&gaps[0]), "{}", gaps[0]);
    assert!(rest.iter().all(|gap| (2.0..6.2).contains(gap)));
    // Uniform between half and one and a half of 5 s, divided by e - 3/2.
    assert!((mean - 4.1).abs() < 0.3, "{mean}");
}
