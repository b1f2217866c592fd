//! The pool over loopback: packets pass, strangers' do not, ports rest, a panic stays where it was.

use super::*;
use std::net::{SocketAddr, UdpSocket};
use std::time::{Duration, Instant};

const LOCALHOST: IpAddr = IpAddr::V4(std::net::Ipv4Addr::LOCALHOST);

fn pool(first: u16, last: u16) -> RelayPool {
    let config = RelayConfig {
        threads: 1,
        ..RelayConfig::default()
    };
    RelayPool::start(config, Ports::new(first, last, 1)).expect("a pool")
}

struct Phone(UdpSocket);

impl Phone {
    fn new() -> Phone {
        let socket = UdpSocket::bind((LOCALHOST, 0)).expect("a socket");
        let long = Some(Duration::from_secs(5));
        socket.set_read_timeout(long).expect("a timeout");
        Phone(socket)
    }

    fn peer(&self) -> RelayPeer {
        RelayPeer {
            remote_rtp: Some(self.address()),
            ..RelayPeer::default()
        }
    }

    fn address(&self) -> SocketAddr {
        self.0.local_addr().expect("an address")
    }

    fn send(&self, port: u16, sequence: u16, byte: u8) {
        let mut packet = vec![0x80, 96, 0, 0, 0, 0, 0, 0, 1, 2, 3, 4, byte];
        packet[2..4].copy_from_slice(&sequence.to_be_bytes());
        self.0.send_to(&packet, (LOCALHOST, port)).expect("sent");
    }

    fn receive(&self) -> (Vec<u8>, u16) {
        let mut bytes = [0; 2048];
        let (length, from) = self.0.recv_from(&mut bytes).expect("a packet");
        (bytes[..length].to_vec(), from.port())
    }
}

#[test]
fn packets_pass_both_ways_and_strangers_do_not() {
    let pool = pool(42_000, 42_019);
    let mut handle = pool.open([LOCALHOST; 2], 1).expect("ports");
    let mut events = handle.take_events().expect("not taken before");
    let (a, b, stranger) = (Phone::new(), Phone::new(), Phone::new());
    let (port_a, port_b) = (handle.ports(Side::A)[0], handle.ports(Side::B)[0]);
    handle.connect(Side::A, 0, a.peer());
    handle.connect(Side::B, 0, b.peer());
    a.send(port_a, 1, b'a');
    let (packet, from) = b.receive();
    assert_eq!((packet[12], from), (b'a', port_b));
    b.send(port_b, 1, b'b');
    let (packet, from) = a.receive();
    assert_eq!((packet[12], from), (b'b', port_a));
    // Another phone on this host, while the first one talks.
    stranger.send(port_a, 2, b'x');
    a.send(port_a, 2, b'c');
    assert_eq!(b.receive().0[12], b'c');
    let from = a.address();
    let notice = |event| Some(RelayNotice { stream: 0, event });
    let side = Side::A;
    assert_eq!(
        events.blocking_recv(),
        notice(RelayEvent::FirstPacket { side, from })
    );
    let stats = handle.close();
    assert_eq!(
        (stats[0][0].packets_received, stats[0][1].packets_sent),
        (2, 2)
    );
    assert_eq!(stats[0][0].packets_stranger, 1);
}

#[test]
fn reports_take_the_port_each_side_agreed() {
    let pool = pool(42_020, 42_039);
    let handle = pool.open([LOCALHOST; 2], 1).expect("ports");
    let (a, b, b_rtcp) = (Phone::new(), Phone::new(), Phone::new());
    let muxed = RelayPeer {
        rtcp_mux: true,
        ..a.peer()
    };
    let apart = RelayPeer {
        remote_rtcp: Some(b_rtcp.address()),
        ..b.peer()
    };
    handle.connect(Side::A, 0, muxed);
    handle.connect(Side::B, 0, apart);
    let report = [0x80, 201, 0, 1, 1, 2, 3, 4];
    let (port_a, port_b) = (handle.ports(Side::A)[0], handle.ports(Side::B)[0]);
    a.0.send_to(&report, (LOCALHOST, port_a)).expect("sent");
    assert_eq!(b_rtcp.receive(), (report.to_vec(), port_b + 1));
    b_rtcp
        .0
        .send_to(&report, (LOCALHOST, port_b + 1))
        .expect("sent");
    assert_eq!(a.receive(), (report.to_vec(), port_a));
}

#[test]
fn ports_run_out_and_rest() {
    let pool = pool(42_040, 42_047);
    let first = pool.open([LOCALHOST; 2], 1).expect("two pairs");
    let second = pool.open([LOCALHOST; 2], 1).expect("two more");
    assert!(matches!(
        pool.open([LOCALHOST; 2], 1),
        Err(PortError::NoneFree)
    ));
    assert_eq!(pool.streams(), 2);
    drop(first);
    // The worker gives the ports to rest a moment after it has let go of the stream.
    let patience = Instant::now() + Duration::from_secs(10);
    let again = loop {
        match pool.open([LOCALHOST; 2], 1) {
            Err(PortError::NoneFree) if Instant::now() < patience => std::thread::yield_now(),
            opened => break opened.expect("those that rested"),
        }
    };
    drop((second, again));
}

#[test]
fn phones_without_a_common_codec_hear_each_other() {
    use media::codec::Codec;
    use media::session::SessionConfig;

    let pool = pool(42_100, 42_119);
    let mut handle = pool.open([LOCALHOST; 2], 1).expect("ports");
    let mut events = handle.take_events().expect("not taken before");
    let (a, b) = (Phone::new(), Phone::new());
    let peer = |phone: &Phone, codec, payload_type| TranscodedPeer {
        config: SessionConfig {
            codec,
            payload_type,
            remote_rtp: Some(phone.address()),
            remote_rtcp: Some(phone.address()),
            ..SessionConfig::default()
        },
        rtcp_mux: true,
        silence_s: None,
    };
    handle.transcode(0, [peer(&a, Codec::Pcmu, 0), peer(&b, Codec::G722, 9)]);
    let mut packet = vec![0x80, 0, 0, 1, 0, 0, 0, 0, 1, 2, 3, 4];
    packet.resize(172, 0xff);
    a.0.send_to(&packet, (LOCALHOST, handle.ports(Side::A)[0]))
        .expect("sent");
    // Silence comes at a steady pace from both directions; reports come between.
    for (phone, payload_type) in [(&a, 0), (&b, 9)] {
        let sound = (0..100).map(|_| phone.receive().0);
        let count = sound.filter(|packet| packet[1] & 0x7f == payload_type && packet.len() == 172);
        assert!(
            count.take(3).count() == 3,
            "frames of payload type {payload_type}"
        );
    }
    let (side, from) = (Side::A, a.address());
    let event = RelayEvent::FirstPacket { side, from };
    assert_eq!(
        events.blocking_recv(),
        Some(RelayNotice { stream: 0, event })
    );
    let stats = handle.stats();
    assert_eq!(
        (stats[0][0].packets_received, stats[0][1].packets_sent > 0),
        (1, true)
    );
    // And back: the phones found one.
    handle.connect(Side::A, 0, a.peer());
    handle.connect(Side::B, 0, b.peer());
    a.send(handle.ports(Side::A)[0], 1, b'p');
    while b.receive().0.get(12..) != Some(b"p") {}
}

#[test]
fn a_panic_ends_its_own_stream_only() {
    let pool = pool(42_048, 42_067);
    let mut cursed = pool.open([LOCALHOST; 2], 1).expect("ports");
    let sound = pool.open([LOCALHOST; 2], 1).expect("ports");
    let (a, b, c) = (Phone::new(), Phone::new(), Phone::new());
    for (handle, peer) in [(&cursed, &c), (&sound, &a)] {
        handle.connect(Side::A, 0, peer.peer());
        handle.connect(Side::B, 0, b.peer());
    }
    let is_cursed = &cursed.streams[0].shared.is_cursed;
    is_cursed.store(true, Ordering::Relaxed);
    let mut events = cursed.take_events().expect("not taken before");
    c.send(cursed.ports(Side::A)[0], 1, b'x');
    let event = RelayEvent::Failed;
    let failed = RelayNotice { stream: 0, event };
    assert_eq!(events.blocking_recv(), Some(failed));
    a.send(sound.ports(Side::A)[0], 1, b'a');
    assert_eq!(b.receive().0[12], b'a');
    assert_eq!(pool.streams(), 1);
    // Its ports rest like those of any call that is over.
    assert_eq!(pool.ports.resting(), 2);
    cursed.close();
}

#[test]
fn a_burst_passes_whole_and_in_order() {
    let pool = pool(42_068, 42_079);
    let handle = pool.open([LOCALHOST; 2], 1).expect("ports");
    let (a, b) = (Phone::new(), Phone::new());
    handle.connect(Side::A, 0, a.peer());
    handle.connect(Side::B, 0, b.peer());
    let port = handle.ports(Side::A)[0];
    for sequence in 0..200 {
        a.send(port, sequence, sequence as u8);
    }
    let received: Vec<u8> = (0..200).map(|_| b.receive().0[12]).collect();
    assert_eq!(received, (0..200).collect::<Vec<u8>>());
}

#[test]
fn sides_may_be_of_different_families() {
    let v6: IpAddr = std::net::Ipv6Addr::LOCALHOST.into();
    let Ok(phone) = UdpSocket::bind((v6, 0)) else {
        eprintln!("skipped: no IPv6 on this machine");
        return;
    };
    let any: IpAddr = std::net::Ipv6Addr::UNSPECIFIED.into();
    let pool = pool(42_080, 42_099);
    // Side A on IPv6 alone, side B on a socket for both, with an IPv4 phone.
    let handle = pool.open([v6, any], 1).expect("ports");
    phone
        .set_read_timeout(Some(Duration::from_secs(5)))
        .expect("a timeout");
    let (a, b) = (Phone(phone), Phone::new());
    handle.connect(Side::A, 0, a.peer());
    handle.connect(Side::B, 0, b.peer());
    let packet = [0x80, 0, 0, 1, 0, 0, 0, 0, 1, 2, 3, 4, b'a'];
    a.0.send_to(&packet, (v6, handle.ports(Side::A)[0]))
        .expect("sent");
    assert_eq!(b.receive().0, packet);
    b.send(handle.ports(Side::B)[0], 1, b'b');
    assert_eq!(a.receive().0[12], b'b');
    assert_eq!(handle.stats()[0][1].source, Some(b.address()));
}

#[test]
fn packets_carry_expedited_forwarding() {
    let socket = UdpSocket::bind((LOCALHOST, 0)).expect("a socket");
    batch::prepare(&socket);
    let tos = socket2::SockRef::from(&socket).tos_v4().expect("an option");
    assert_eq!(tos, 0xb8);
}
