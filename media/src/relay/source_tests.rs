//! The rule about sources, as tables of packets: milliseconds, sender, verdict.

use super::*;

const SDP: &str = "192.0.2.10:4000";

fn address(text: &str) -> SocketAddr {
    text.parse().unwrap()
}

#[derive(Debug, Clone, Copy)]
enum Step {
    /// A packet, and what it is taken for.
    From(u64, &'static str, Origin),
    /// As many packets every 20 ms, and what the last is taken for.
    Flow(u64, u32, &'static str, Origin),
    Proven(u64, &'static str, Origin),
    Expect(u64, &'static str),
}
use Step::*;

fn check(name: &str, signalled_from: Option<&str>, steps: &[Step]) {
    let start = Instant::now();
    let at = |ms| start + Duration::from_millis(ms);
    let mut source = Source::default();
    let host = signalled_from.map(|host| host.parse().unwrap());
    source.expect(start, Some(address(SDP)), host);
    for step in steps {
        match *step {
            From(ms, from, origin) => {
                assert_eq!(
                    source.check(at(ms), address(from), false),
                    origin,
                    "{name}: {step:?}"
                );
            }
            Proven(ms, from, origin) => {
                assert_eq!(
                    source.check(at(ms), address(from), true),
                    origin,
                    "{name}: {step:?}"
                );
            }
            Flow(ms, packets, from, origin) => {
                let mut last = None;
                for n in 0..u64::from(packets) {
                    last = Some(source.check(at(ms + 20 * n), address(from), false));
                }
                assert_eq!(last, Some(origin), "{name}: {step:?}");
            }
            Expect(ms, to) => {
                source.expect(at(ms), Some(address(to)), host);
            }
        }
    }
}

const STRANGER: Origin = Origin::Stranger { first: false };
const NEW_STRANGER: Origin = Origin::Stranger { first: true };

#[test]
fn whose_packets_count() {
    check(
        "the SDP address, and nobody beside it",
        None,
        &[
            From(0, SDP, Origin::First),
            From(20, SDP, Origin::Same),
            From(30, "203.0.113.66:9", NEW_STRANGER),
            From(31, "203.0.113.66:9", STRANGER),
            Flow(40, 99, SDP, Origin::Same),
        ],
    );
    check(
        "a router that changed the port",
        None,
        &[
            From(0, "192.0.2.10:61000", Origin::First),
            From(20, "192.0.2.10:61000", Origin::Same),
            From(30, "192.0.2.10:61001", NEW_STRANGER),
        ],
    );
    check(
        "a router in front of the host that signals",
        Some("198.51.100.7"),
        &[From(0, "198.51.100.7:1024", Origin::First)],
    );
    check(
        "the SDP address takes over at once",
        Some("198.51.100.7"),
        &[
            From(0, "198.51.100.7:1024", Origin::First),
            From(20, SDP, Origin::Moved),
            From(40, "198.51.100.7:1024", NEW_STRANGER),
        ],
    );
    check(
        "another network than the one that signals has to last",
        Some("198.51.100.7"),
        &[
            From(0, "203.0.113.5:7000", NEW_STRANGER),
            Flow(20, 20, "203.0.113.5:7000", STRANGER),
            Flow(420, 5, "203.0.113.5:7000", Origin::First),
            From(520, "198.51.100.7:1024", Origin::Moved),
        ],
    );
    check(
        "a sprayer on many ports is on trial for ever",
        None,
        &[
            From(0, "203.0.113.66:1", NEW_STRANGER),
            From(1, "203.0.113.66:2", NEW_STRANGER),
            From(2, "203.0.113.66:3", NEW_STRANGER),
            From(600, "203.0.113.66:4", NEW_STRANGER),
            From(601, SDP, Origin::First),
        ],
    );
    check(
        "after silence the same rank may move",
        None,
        &[
            From(0, "192.0.2.10:61000", Origin::First),
            From(1_999, "192.0.2.10:61001", NEW_STRANGER),
            From(2_000, "192.0.2.10:61001", Origin::Moved),
        ],
    );
    check(
        "after silence a stranger is still on trial",
        None,
        &[
            From(0, SDP, Origin::First),
            From(3_000, "203.0.113.66:9", NEW_STRANGER),
            From(3_020, SDP, Origin::Same),
            Flow(3_040, 99, "203.0.113.66:9", STRANGER),
        ][..3],
    );
    check(
        "a packet with the right keys moves the source at once",
        None,
        &[
            From(0, SDP, Origin::First),
            Proven(20, "203.0.113.5:7000", Origin::Moved),
            // Late from where it was.
            Proven(21, SDP, Origin::Same),
            Proven(40, "203.0.113.5:7000", Origin::Same),
            Proven(600, SDP, Origin::Moved),
        ],
    );
    check(
        "signalling names another phone: the last packets of the old one go nowhere",
        Some("198.51.100.7"),
        &[
            From(0, "198.51.100.7:1024", Origin::First),
            Expect(100, "192.0.2.11:4000"),
            From(120, "198.51.100.7:1024", NEW_STRANGER),
            From(140, "198.51.100.7:2048", Origin::First),
            From(640, "198.51.100.7:1024", STRANGER),
        ],
    );
    check(
        "the same address again changes nothing",
        None,
        &[
            From(0, "192.0.2.10:61000", Origin::First),
            Expect(100, SDP),
            From(120, "192.0.2.10:61000", Origin::Same),
        ],
    );
    check(
        "the address a phone learned about itself is where it already is",
        None,
        &[
            From(0, "192.0.2.10:61000", Origin::First),
            Expect(100, "192.0.2.10:61000"),
            From(120, "192.0.2.10:61000", Origin::Same),
        ],
    );
}

#[test]
fn where_packets_go() {
    let start = Instant::now();
    let mut source = Source::default();
    assert_eq!(source.destination(), None);
    source.expect(start, Some(address(SDP)), None);
    assert_eq!(source.destination(), Some(address(SDP)));
    source.check(start, address("192.0.2.10:61000"), false);
    assert_eq!(source.destination(), Some(address("192.0.2.10:61000")));
    source.expect(start, None, None);
    assert_eq!(source.destination(), None);
    source.expect(start, Some(address(SDP)), None);
    assert_eq!(source.destination(), Some(address("192.0.2.10:61000")));
    for hold in ["0.0.0.0:4000", "192.0.2.10:0"] {
        let mut source = Source::default();
        source.expect(start, Some(address(hold)), None);
        assert_eq!(source.destination(), None, "{hold}");
    }
}

#[test]
fn strangers_are_remembered_up_to_a_bound() {
    let start = Instant::now();
    let mut source = Source::default();
    source.expect(start, Some(address(SDP)), None);
    source.check(start, address(SDP), false);
    let told = (1..=100u16)
        .filter(|&port| {
            let from = SocketAddr::new("203.0.113.66".parse().unwrap(), port);
            source.check(start, from, false) == NEW_STRANGER
        })
        .count();
    assert_eq!(told, STRANGERS_MAX);
}

#[test]
fn addresses_of_a_dual_stack_socket_are_the_same() {
    let start = Instant::now();
    let mut source = Source::default();
    source.expect(start, Some(address(SDP)), None);
    let mapped = address("[::ffff:192.0.2.10]:4000");
    assert_eq!(source.check(start, mapped, false), Origin::First);
    assert_eq!(source.check(start, address(SDP), false), Origin::Same);
}
