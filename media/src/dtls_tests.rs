//! Two ends of a handshake on a line that loses, and strangers who speak into it.

use super::*;

fn certificate() -> Certificate {
    Certificate::generate().unwrap()
}

fn fingerprint(certificate: &Certificate) -> Fingerprint {
    Fingerprint {
        hash: FingerprintHash::Sha256,
        octets: certificate.fingerprint().to_vec(),
    }
}

fn config(own: &Certificate, peer: &Certificate, role: Role) -> DtlsConfig {
    DtlsConfig {
        certificate: own.clone(),
        peer: fingerprint(peer),
        role,
    }
}

/// Runs both until nothing is under way or `limit` is over. `passes` says which datagram arrives, by its number.
fn run(
    a: &mut Handshake,
    b: &mut Handshake,
    start: Instant,
    passes: impl Fn(usize) -> bool,
) -> Instant {
    let mut now = start;
    let mut count = 0;
    for _ in 0..2_000 {
        let mut idle = true;
        while let Some(datagram) = a.poll_datagram() {
            assert!(is_dtls(&datagram));
            idle = false;
            count += 1;
            if passes(count) {
                b.receive(now, &datagram);
            }
        }
        while let Some(datagram) = b.poll_datagram() {
            idle = false;
            count += 1;
            if passes(count) {
                a.receive(now, &datagram);
            }
        }
        if idle {
            let due = [a.next_timeout(), b.next_timeout()];
            let Some(due) = due.into_iter().flatten().min() else {
                break;
            };
            now = now.max(due);
            a.time(now);
            b.time(now);
        }
    }
    now
}

fn keys(handshake: &Handshake) -> Option<SrtpKeys> {
    match handshake.progress() {
        Progress::Done(keys) => Some(keys.clone()),
        _ => None,
    }
}

#[test]
fn both_ends_get_each_others_keys_in_spite_of_loss() {
    let (ours, theirs) = (certificate(), certificate());
    let start = Instant::now();
    for lost in [0u64, 10, 30, 40] {
        let mut a = Handshake::new(config(&ours, &theirs, Role::Active), start).unwrap();
        let mut b = Handshake::new(config(&theirs, &ours, Role::Passive), start).unwrap();
        // As good as random: per cent of datagrams that are lost.
        let passes = |n: usize| {
            (n as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 32 & 0x7f >= lost * 128 / 100
        };
        run(&mut a, &mut b, start, passes);
        let (a, b) = (keys(&a).expect("active"), keys(&b).expect("passive"));
        assert_eq!(
            (&a.send, &a.receive, a.suite),
            (&b.receive, &b.send, b.suite)
        );
        assert_ne!(a.send, a.receive);
        assert_eq!(a.suite, Suite::AeadAes128Gcm);
    }
}

/// Who shakes hands anew does so with somebody else, and hears nothing from the one it has left.
#[test]
fn a_handshake_that_is_over_begins_no_other() {
    let (ours, theirs) = (certificate(), certificate());
    let start = Instant::now();
    let mut a = Handshake::new(config(&ours, &theirs, Role::Active), start).unwrap();
    let mut b = Handshake::new(config(&theirs, &ours, Role::Passive), start).unwrap();
    let now = run(&mut a, &mut b, start, |_| true);
    let before = keys(&b).expect("passive");
    let mut again = Handshake::new(config(&ours, &theirs, Role::Active), now).unwrap();
    let hello = again.poll_datagram().expect("its first flight");
    assert!(is_hello(&hello));
    b.receive(now, &hello);
    assert_eq!(b.poll_datagram(), None);
    assert_eq!((b.refused, keys(&b)), (1, Some(before)));
}

#[test]
fn another_certificate_than_announced_gets_no_keys() {
    let (ours, theirs, stranger) = (certificate(), certificate(), certificate());
    let start = Instant::now();
    for role in [Role::Active, Role::Passive] {
        let other = match role {
            Role::Active => Role::Passive,
            Role::Passive => Role::Active,
        };
        let mut a = Handshake::new(config(&ours, &theirs, role), start).unwrap();
        let mut b = Handshake::new(config(&stranger, &ours, other), start).unwrap();
        let end = run(&mut a, &mut b, start, |_| true);
        assert_eq!(keys(&a), None, "{role:?}");
        assert!(matches!(a.progress(), Progress::Failed(_)), "{role:?}");
        assert!(end <= start + LIFETIME_MAX + FLIGHT_INTERVAL);
    }
}

#[test]
fn nobody_there_ends_in_time() {
    let (ours, theirs) = (certificate(), certificate());
    let start = Instant::now();
    let mut a = Handshake::new(config(&ours, &theirs, Role::Active), start).unwrap();
    let mut sent = 0;
    while let Some(due) = a.next_timeout() {
        a.time(due);
        while a.poll_datagram().is_some() {
            sent += 1;
        }
        assert!(due <= start + LIFETIME_MAX);
    }
    assert!(matches!(a.progress(), Progress::Failed(_)));
    assert!((20..200).contains(&sent), "{sent}");
}

#[test]
fn garbage_in_between_does_no_harm() {
    let (ours, theirs) = (certificate(), certificate());
    let start = Instant::now();
    let mut a = Handshake::new(config(&ours, &theirs, Role::Active), start).unwrap();
    let mut b = Handshake::new(config(&theirs, &ours, Role::Passive), start).unwrap();
    for round in 0..40u8 {
        for handshake in [&mut a, &mut b] {
            for first in [20, 21, 22, 23, 25, 63] {
                let mut garbage = vec![first, 0xfe, 0xfd, 0, 0, 0, 0, 0, 0, 0, round, 0, 12];
                garbage.extend([round.wrapping_mul(37); 12]);
                if first == 21 {
                    // A whole record, but no alert that ends anything by the book.
                    garbage.truncate(13);
                }
                handshake.receive(start, &garbage);
            }
        }
    }
    run(&mut a, &mut b, start, |_| true);
    assert!(keys(&a).is_some() && keys(&b).is_some(), "{a:?} {b:?}");
}
