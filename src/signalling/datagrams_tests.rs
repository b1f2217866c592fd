//! Datagrams over real sockets on loopback: many at once, both families, wildcards. Nothing is timed; what a test waits
//! for is a datagram that has been sent.

use super::*;

fn address(text: &str) -> SocketAddr {
    text.parse().expect("an address")
}

async fn open(text: &str) -> Option<UdpSocket> {
    match UdpSocket::bind(address(text)).await {
        Ok(socket) => Some(socket),
        Err(error) => {
            println!("skipped: {text}: {error}");
            None
        }
    }
}

/// Takes in until `count` datagrams have come.
async fn take(datagrams: &mut Datagrams, count: usize) -> Vec<(Flow, Vec<u8>)> {
    let sockets = datagrams.sockets();
    let mut taken = Vec::new();
    while taken.len() < count {
        let n = readable(&sockets, 0).await;
        for at in 0..datagrams.receive(n) {
            let (flow, data) = datagrams.taken(n, at).expect("a datagram");
            taken.push((flow, data.to_vec()));
        }
    }
    taken
}

#[tokio::test]
async fn many_at_once_arrive_in_order_and_are_answered() {
    for (own, peer) in [("127.0.0.1:0", "127.0.0.1:0"), ("[::1]:0", "[::1]:0")] {
        let (Some(own), Some(peer)) = (open(own).await, open(peer).await) else {
            continue;
        };
        let to = own.local_addr().expect("bound");
        let from = peer.local_addr().expect("bound");
        let mut datagrams = Datagrams::new(vec![own]).expect("a socket");
        let sent: Vec<Vec<u8>> = (0..BATCH + 9)
            .map(|n| vec![n as u8; (n * 97) % 1_400])
            .collect();
        for data in &sent {
            peer.send_to(data, to).await.expect("sent");
        }
        let taken = take(&mut datagrams, sent.len()).await;
        let (flows, data): (Vec<_>, Vec<_>) = taken.into_iter().unzip();
        assert_eq!(data, sent);
        assert!(flows.iter().all(|flow| *flow == Flow::udp(to, from)));
        for (flow, data) in flows.into_iter().zip(data) {
            datagrams.send(flow, data);
        }
        datagrams.flush();
        let mut buffer = vec![0; DATAGRAM_MAX];
        for data in &sent {
            let (length, source) = peer.recv_from(&mut buffer).await.expect("an answer");
            assert_eq!((&buffer[..length], source), (&data[..], to));
        }
    }
}

#[tokio::test]
async fn a_wildcard_answers_from_the_address_it_was_asked_at() {
    for (own, asked, peer) in [
        ("0.0.0.0:0", "127.0.0.9", "127.0.0.1:0"),
        ("[::]:0", "::1", "[::1]:0"),
    ] {
        let (Some(own), Some(peer)) = (open(own).await, open(peer).await) else {
            continue;
        };
        let port = own.local_addr().expect("bound").port();
        let to = SocketAddr::new(asked.parse().expect("an address"), port);
        let mut datagrams = Datagrams::new(vec![own]).expect("a socket");
        peer.send_to(b"who are you?", to).await.expect("sent");
        let (flow, _) = take(&mut datagrams, 1).await.remove(0);
        if cfg!(target_os = "linux") {
            assert_eq!(flow.local, to);
        }
        datagrams.send(flow, b"the one you asked".to_vec());
        datagrams.flush();
        let mut buffer = [0; 64];
        let (length, source) = peer.recv_from(&mut buffer).await.expect("an answer");
        assert_eq!(&buffer[..length], b"the one you asked");
        if cfg!(target_os = "linux") {
            assert_eq!(source, to);
        }
    }
}

#[tokio::test]
async fn several_sockets_each_get_theirs_and_a_bad_one_holds_up_none() {
    let (Some(first), Some(second)) = (open("127.0.0.1:0").await, open("127.0.0.2:0").await) else {
        return;
    };
    let (Some(peer), Some(gone)) = (open("127.0.0.1:0").await, open("127.0.0.1:0").await) else {
        return;
    };
    let own = [&first, &second].map(|socket| socket.local_addr().expect("bound"));
    let from = peer.local_addr().expect("bound");
    let nobody = gone.local_addr().expect("bound");
    drop(gone);
    let mut datagrams = Datagrams::new(vec![first, second]).expect("sockets");
    // Too long for one datagram, to a port where nobody is, to another family: the rest still goes.
    datagrams.send(Flow::udp(own[0], from), vec![0; 70_000]);
    datagrams.send(Flow::udp(own[0], nobody), vec![1]);
    datagrams.send(Flow::udp(own[0], address("[::1]:9")), vec![2]);
    for n in 0..4 {
        datagrams.send(Flow::udp(own[n % 2], from), vec![n as u8]);
    }
    datagrams.flush();
    let mut buffer = [0; 64];
    let mut seen = Vec::new();
    for _ in 0..4 {
        let (_, source) = peer.recv_from(&mut buffer).await.expect("a datagram");
        seen.push((buffer[0], source));
    }
    seen.sort();
    let expected: Vec<_> = (0..4u8).map(|n| (n, own[usize::from(n) % 2])).collect();
    assert_eq!(seen, expected);
    for to in own {
        peer.send_to(b"x", to).await.expect("sent");
    }
    let sockets = datagrams.sockets();
    let mut taken = Vec::new();
    let mut after = 0;
    while taken.len() < 2 {
        after = readable(&sockets, after).await;
        for at in 0..datagrams.receive(after) {
            taken.extend(datagrams.taken(after, at).map(|(flow, _)| flow.local));
        }
    }
    taken.sort();
    assert_eq!(taken, own);
}
