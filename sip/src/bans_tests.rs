//! Blocks as text and as networks, and the list when it is full.

use super::*;

#[test]
fn blocks_from_and_to_text() {
    let rows = [
        ("192.0.2.7", Some("192.0.2.7")),
        ("192.0.2.7/32", Some("192.0.2.7")),
        ("::ffff:192.0.2.7", Some("192.0.2.7")),
        ("2001:db8:1:2:3:4:5:6", Some("2001:db8:1:2::/64")),
        ("2001:db8:1:2::/64", Some("2001:db8:1:2::/64")),
        ("::1", Some("::/64")),
        ("192.0.2.0/24", None),
        ("2001:db8::/48", None),
        ("::ffff:192.0.2.7/64", None),
        ("example.net", None),
        ("", None),
        ("/", None),
    ];
    for (text, expected) in rows {
        let block = text.parse::<Block>().ok().map(|block| block.to_string());
        assert_eq!(block.as_deref(), expected, "{text}");
    }
}

#[test]
fn networks() {
    let rows = [
        ("100.64.0.1", ("100.64.0.0", 10), true),
        ("100.127.255.255", ("100.64.0.0", 10), true),
        ("100.128.0.0", ("100.64.0.0", 10), false),
        ("::ffff:100.64.0.1", ("100.64.0.0", 10), true),
        ("fd7a:115c:a1e0::5", ("fd7a:115c:a1e0::", 48), true),
        ("fd7a:115c:a1e1::5", ("fd7a:115c:a1e0::", 48), false),
        ("192.0.2.7", ("192.0.2.7", 32), true),
        ("192.0.2.6", ("192.0.2.7", 32), false),
        ("192.0.2.6", ("::", 0), false),
        ("192.0.2.6", ("0.0.0.0", 0), true),
    ];
    for (address, (network, prefix), expected) in rows {
        let network = (network.parse().expect("address"), prefix);
        let within = is_within(address.parse().expect("address"), network);
        assert_eq!(within, expected, "{address} in {network:?}");
    }
}

fn ban(last: u8, until_unix_ms: u64) -> Ban {
    Ban {
        block: Block::of(IpAddr::from([192, 0, 2, last])),
        why: BanReason::Owner,
        since_unix_ms: 0,
        until_unix_ms,
        times: 1,
    }
}

#[test]
fn a_full_list_forgets_the_ban_that_ends_first() {
    let mut bans = Bans::new(2);
    for (last, until) in [(1, 30), (2, 10), (3, 20), (1, 5)] {
        bans.put(ban(last, until));
    }
    let holds = |bans: &Bans, last| bans.of(0, IpAddr::from([192, 0, 2, last])).is_some();
    assert!(holds(&bans, 1) && !holds(&bans, 2) && holds(&bans, 3));
    assert_eq!(bans.list(0), [ban(1, 5), ban(3, 20)]);
    assert_eq!(bans.list(5), [ban(3, 20)]);
    assert_eq!(bans.replace(vec![ban(4, 9), ban(3, 20)]), [ban(1, 5).block]);
    assert_eq!(bans.list(0), [ban(4, 9), ban(3, 20)]);
    assert!(bans.remove(ban(3, 0).block).is_some() && bans.remove(ban(3, 0).block).is_none());
}
