//! Guessers, scanners and those who write other people's addresses on their packets: what they hear, for how long, and
//! who does not suffer for it.

use super::peer::{Peer, invite, next_request, register, request};
use super::world::{Network, Side, World, account, server_address};
use crate::bans::BanReason;
use crate::endpoint::{AuthConfig, Endpoint, EndpointConfig, GuardConfig, Input, Output};
use crate::flow::{ConnId, Flow, Transport};
use crate::header::HeaderName;
use crate::message::{Message, Request};
use crate::testing::hashes;
use crate::trunk::Trunk;

fn config() -> EndpointConfig {
    EndpointConfig {
        auth: AuthConfig {
            failures_per_address_max: 3,
            failures_per_user_max: 1_000,
            failure_window_s: 600,
            lockout_s: 300,
            ..AuthConfig::default()
        },
        guard: GuardConfig {
            ban_s: 1_000,
            ban_s_max: 3_000,
            knocks_max: 2,
            ..GuardConfig::default()
        },
        ..EndpointConfig::default()
    }
}

fn guess(peer: &mut Peer, n: u32) -> Vec<u16> {
    let mut request = register(&format!("g{n}"));
    request.headers.set(HeaderName::CallId, format!("guess{n}"));
    peer.send(&request.to_bytes());
    let Some((_, Message::Response(challenged))) = peer.take().pop() else {
        return Vec::new();
    };
    if challenged.status != 401 {
        return vec![challenged.status];
    }
    peer.authorize("phone1", &format!("guess {n}"), &mut request, &challenged);
    peer.statuses(&request)
}

/// Guesses until nothing comes back any more: the statuses on the way.
fn guess_on(peer: &mut Peer, first: u32) -> Vec<u16> {
    let mut heard = Vec::new();
    for n in first..first + 50 {
        match guess(peer, n).pop() {
            Some(status) => heard.push(status),
            None => return heard,
        }
    }
    heard
}

#[test]
fn guessers_are_told_once_then_hear_nothing() {
    let mut peer = Peer::new(config());
    assert_eq!(guess_on(&mut peer, 0), [401, 401, 401, 403, 403, 403]);
    let bans = peer.endpoint.bans(peer.now);
    assert_eq!(bans.len(), 1);
    assert_eq!(
        (
            bans[0].why,
            bans[0].times,
            bans[0].until_unix_ms - bans[0].since_unix_ms
        ),
        (BanReason::Guessing, 1, 1_000_000)
    );
    let options = request("OPTIONS sip:192.0.2.1", "o", "");
    assert!(
        peer.statuses(&options).is_empty(),
        "nothing at all is heard"
    );
    peer.from("192.0.2.8:5060");
    assert_eq!(
        peer.statuses(&options),
        [200],
        "elsewhere nothing has changed"
    );
    // Once it is over and they do it again, it is twice as long, and in the end as long as it gets.
    for (times, lasts_s) in [(2, 2_000), (3, 3_000), (4, 3_000)] {
        peer.from("192.0.2.7:5062");
        peer.wait_ms(3_000_000);
        assert!(peer.endpoint.bans(peer.now).is_empty());
        guess_on(&mut peer, times * 100);
        let ban = peer.endpoint.bans(peer.now)[0];
        let lasts_ms = ban.until_unix_ms - ban.since_unix_ms;
        assert_eq!((ban.times, lasts_ms / 1_000), (times, lasts_s));
    }
    // Long enough after the last one all is forgotten.
    peer.wait_ms(2 * 3_000_000 + 1);
    guess_on(&mut peer, 900);
    assert_eq!(peer.endpoint.bans(peer.now)[0].times, 1);
}

#[test]
fn a_guess_is_dearer_each_time() {
    let mut peer = Peer::new(EndpointConfig {
        auth: AuthConfig {
            failures_per_address_max: 1_000,
            failures_per_user_max: 1_000,
            ..AuthConfig::default()
        },
        guard: GuardConfig {
            tokens_per_s: 1,
            tokens_max: 30,
            ..GuardConfig::default()
        },
        ..EndpointConfig::default()
    });
    assert_eq!(guess_on(&mut peer, 0).len(), 6, "2+1, 2+2, 2+3 … of 30");
}

#[test]
fn a_registered_phone_shares_its_address_with_a_guesser() {
    let mut peer = Peer::new(config());
    assert_eq!(peer.ask_as("phone1", register("own")).status, 200);
    peer.from("192.0.2.7:40000");
    guess_on(&mut peer, 0);
    assert!(
        peer.statuses(&request("OPTIONS sip:192.0.2.1", "o", ""))
            .is_empty()
    );
    // From where it is registered the phone calls, and registers again.
    peer.from("192.0.2.7:5062");
    assert_eq!(peer.ask_as("phone1", invite("call")).status, 100);
    let mut again = register("again");
    again.headers.set(HeaderName::CSeq, "7 REGISTER");
    assert_eq!(peer.ask_as("phone1", again).status, 200);
    // The owner's word counts there, too.
    let owner = peer.flow.remote.ip();
    assert!(peer.endpoint.unban(owner));
    let lasting = std::time::Duration::from_secs(10);
    peer.endpoint.ban(peer.now, owner, lasting);
    peer.drain();
    peer.take();
    assert!(
        peer.statuses(&request("OPTIONS sip:192.0.2.1", "q", ""))
            .is_empty()
    );
    peer.wait_ms(10_000);
    peer.from("192.0.2.7:40000");
    guess_on(&mut peer, 500);
    peer.from("192.0.2.7:5062");
    // Its registration over, it is one of those at the address.
    peer.wait_ms(700_000);
    peer.take();
    assert!(
        peer.statuses(&request("OPTIONS sip:192.0.2.1", "p", ""))
            .is_empty()
    );
}

#[test]
fn scanners_hear_nothing() {
    for (agent, is_dropped) in [
        ("friendly-scanner", true),
        ("Friendly-Scanner 1.2", true),
        ("sipcli/v1.8", true),
        ("VaxSIPUserAgent/3.1", true),
        ("Linphone/5.2", false),
        ("Grandstream GXP2170 1.0.11", false),
        ("friendly", false),
    ] {
        let mut peer = Peer::new(config());
        let extra = format!("User-Agent: {agent}");
        let options = request("OPTIONS sip:192.0.2.1", "s", &extra);
        assert_eq!(peer.statuses(&options).is_empty(), is_dropped, "{agent}");
        // Over UDP anybody may have written the address: it is not banned, only out of tokens for some seconds.
        assert!(peer.endpoint.bans(peer.now).is_empty());
        let plain = request("OPTIONS sip:192.0.2.1", "t", "");
        assert_eq!(peer.statuses(&plain).is_empty(), is_dropped, "{agent}");
        peer.wait_ms(1_000);
        assert_eq!(peer.statuses(&plain), [200], "{agent}");
        // A connection is proof.
        let remote = "192.0.2.9:4000".parse().expect("address");
        peer.flow = Flow::tcp(server_address(), remote, ConnId(1));
        peer.endpoint
            .handle(peer.now, Input::StreamOpened { flow: peer.flow });
        peer.drain();
        peer.send(&options.to_bytes());
        assert_eq!(peer.endpoint.bans(peer.now).len(), usize::from(is_dropped));
        assert_eq!(peer.closed.len(), usize::from(is_dropped), "{agent}");
    }
}

/// Packets with the owner's address on them, and answers to no nonce of ours: neither a lock nor a ban comes of it.
#[test]
fn nobody_is_banned_for_what_others_send_in_its_name() {
    let mut peer = Peer::new(config());
    for n in 0..100 {
        let mut forged = register(&format!("f{n}"));
        let answer = "Digest username=\"phone1\", realm=\"offhook\", nonce=\"00\", uri=\"sip:192.0.2.1\", \
                      response=\"00000000000000000000000000000000\", algorithm=MD5, qop=auth, nc=00000001, cnonce=\"a\"";
        forged.headers.set(HeaderName::Authorization, answer);
        assert_eq!(peer.statuses(&forged), [401]);
        peer.wait_ms(100);
    }
    assert!(peer.endpoint.bans(peer.now).is_empty());
    assert_eq!(peer.endpoint.stats().authentication_failures, 0);
    assert_eq!(peer.ask_as("phone1", register("own")).status, 200);
}

fn trunk() -> Trunk {
    Trunk {
        name: "carrier".to_owned(),
        addresses: vec![("203.0.113.9".parse().expect("address"), 32)],
        transport: None,
        trusts_udp: false,
        account: None,
    }
}

/// Those who are never banned for guessing are still told no, and the owner may ban them.
#[test]
fn exempt_from_bans_is_not_exempt_from_locks() {
    for address in ["100.100.1.2:5062", "203.0.113.9:5062"] {
        let mut peer = Peer::new(config());
        peer.endpoint.set_trunks(peer.now, vec![trunk()]);
        peer.from(address);
        for n in 0..20 {
            let refused = guess(&mut peer, n);
            let expected = if n < 3 { 401 } else { 403 };
            assert_eq!(refused, [expected], "{address}");
            peer.wait_ms(1_000);
        }
        let options = request("OPTIONS sip:192.0.2.1", "o", "");
        assert_eq!(peer.statuses(&options), [200], "{address}");
        let lasting = std::time::Duration::from_secs(60);
        let source = peer.flow.remote.ip();
        peer.endpoint.ban(peer.now, source, lasting);
        peer.drain();
        assert!(peer.statuses(&options).is_empty(), "{address}");
    }
}

/// A banned block has no connection, and the one it has is not heard.
#[test]
fn connections_of_the_banned_are_not_opened() {
    let mut peer = Peer::new(config());
    let lasting = std::time::Duration::from_secs(60);
    let banned = "2001:db8::7".parse().expect("address");
    peer.endpoint.ban(peer.now, banned, lasting);
    for (conn, remote, is_closed) in [
        (1, "[2001:db8::8]:4000", true),
        (2, "[2001:db8:0:1::8]:4000", false),
        (3, "192.0.2.7:4000", false),
    ] {
        let remote = remote.parse().expect("address");
        let flow = Flow::stream(Transport::Wss, server_address(), remote, ConnId(conn));
        peer.drain();
        peer.endpoint.handle(peer.now, Input::StreamOpened { flow });
        peer.drain();
        assert_eq!(peer.closed.contains(&ConnId(conn)), is_closed, "{remote}");
    }
    assert_eq!(peer.endpoint.stats().streams, 2);
}

#[test]
fn who_is_banned_and_for_how_long() {
    for (address, lasts_s, neighbour) in [
        ("192.0.2.7:5062", Some(1_000), None),
        (
            "[2001:db8::7]:5062",
            Some(1_000),
            Some("[2001:db8::8]:5062"),
        ),
        ("100.100.1.2:5062", None, None),
        ("[fd7a:115c:a1e0::7]:5062", None, None),
        ("203.0.113.9:5062", None, None),
        ("203.0.113.10:5062", Some(1_000), None),
        ("127.0.0.1:5062", None, None),
        ("[::1]:5062", None, None),
    ] {
        let mut peer = Peer::new(config());
        peer.endpoint.set_trunks(peer.now, vec![trunk()]);
        peer.from(address);
        guess_on(&mut peer, 0);
        let bans = peer.endpoint.bans(peer.now);
        let lasts = bans
            .first()
            .map(|ban| (ban.until_unix_ms - ban.since_unix_ms) / 1_000);
        assert_eq!(lasts, lasts_s, "{address}");
        if let Some(neighbour) = neighbour {
            peer.from(neighbour);
            assert!(
                peer.statuses(&request("OPTIONS sip:192.0.2.1", "n", ""))
                    .is_empty()
            );
        }
    }
}

#[test]
fn the_owner_bans_and_lifts_bans() {
    let mut peer = Peer::new(config());
    let address = "192.0.2.7".parse().expect("address");
    let options = request("OPTIONS sip:192.0.2.1", "o", "");
    peer.endpoint
        .ban(peer.now, address, std::time::Duration::from_secs(5));
    peer.drain();
    assert!(peer.statuses(&options).is_empty());
    let list = peer.endpoint.bans(peer.now);
    assert!(peer.endpoint.unban(address) && !peer.endpoint.unban(address));
    peer.drain();
    assert_eq!(peer.statuses(&options), [200]);
    assert_eq!(peer.order.iter().filter(|word| **word == "save").count(), 2);
    // As the file has it, and after a restart.
    peer.endpoint.replace_bans(list.clone());
    assert!(peer.statuses(&options).is_empty());
    peer.endpoint.replace_bans(Vec::new());
    assert_eq!(peer.statuses(&options), [200]);
    peer.endpoint.restore_bans(list);
    assert!(peer.statuses(&options).is_empty());
    peer.wait_ms(5_000);
    assert_eq!(peer.statuses(&options), [200]);
}

/// Whatever is asked of a name and a number that exist or do not, at every step of an attack (REGISTER and INVITE, without
/// an answer, with a wrong one, with a stale nonce, repeated, locked, banned): the answers are the same octets but for the
/// nonce, and as many hashes were computed for them.
#[test]
fn users_and_others_get_the_same_octets_for_the_same_work() {
    let attack = |name: &str, number: &str| -> (Vec<String>, Vec<u64>) {
        let mut peer = Peer::new(config());
        let mut users = vec![account("phone1"), account("phone2"), account("here01")];
        users[2].local_only = true;
        let mut line = trunk();
        line.account = Some(account("trunk1"));
        peer.endpoint.set_users(users);
        peer.endpoint.set_trunks(peer.now, vec![line]);
        let (mut heard, mut work) = (Vec::new(), Vec::new());
        let mut hear = |peer: &mut Peer, request: &Request| {
            let before = hashes();
            peer.send(&request.to_bytes());
            work.push(hashes() - before);
            let received = peer.take();
            for (_, message) in &received {
                let text = String::from_utf8(message.to_bytes()).expect("text");
                let named = |who: &str| format!("sip:{who}@");
                let text = without_nonces(&text).replace(&named(name), "sip:NAME@");
                heard.push(text.replace(&named(number), "sip:NUMBER@"));
            }
            heard.push(String::new());
            received.into_iter().find_map(|(_, message)| match message {
                Message::Response(response) => Some(response),
                Message::Request(_) => None,
            })
        };
        for (n, method) in [
            "REGISTER",
            "INVITE",
            "OPTIONS",
            "REGISTER",
            "REGISTER",
            "SUBSCRIBE",
            "REGISTER",
            "INVITE",
            "REGISTER",
        ]
        .into_iter()
        .enumerate()
        {
            let extra = format!(
                "From: <sip:{name}@192.0.2.1>;tag=f\nTo: <sip:{number}@192.0.2.1>\nCall-ID: c{n}"
            );
            let uri = match method {
                "REGISTER" => "sip:192.0.2.1".to_owned(),
                _ => format!("sip:{number}@192.0.2.1"),
            };
            let mut request = request(&format!("{method} {uri}"), &format!("b{n}"), &extra);
            let Some(challenged) = hear(&mut peer, &request).filter(|r| r.status == 401) else {
                continue;
            };
            peer.authorize(name, "wrong", &mut request, &challenged);
            hear(&mut peer, &request);
            next_request(&mut request);
            hear(&mut peer, &request);
            let answer = request
                .headers
                .get(&HeaderName::Authorization)
                .expect("set");
            let stale = answer.replace("nonce=\"A", "nonce=\"B");
            assert_ne!(stale, answer);
            request.headers.set(HeaderName::Authorization, stale);
            next_request(&mut request);
            hear(&mut peer, &request);
        }
        (heard, work)
    };
    let (known, work) = attack("phone1", "100");
    assert!(known.len() > 12 && work.iter().max() > Some(&3), "{work:?}");
    for (name, number) in [
        ("phone9", "100"),
        ("phone1", "777"),
        ("phone9", "phone2"),
        ("here01", "101"),
        ("trunk1", "100"),
    ] {
        let (heard, worked) = attack(name, number);
        assert_eq!(known, heard, "{name} {number}");
        assert_eq!(work, worked, "{name} {number}");
    }
}

/// Nonces and our own tags, which are made of the request's, out of the text.
fn without_nonces(text: &str) -> String {
    let mut plain = String::new();
    let mut rest = text;
    while let Some(at) = rest.find("nonce=\"") {
        let (before, after) = rest.split_at(at + 7);
        plain.push_str(before);
        rest = &after[after.find('"').expect("closed")..];
    }
    plain.push_str(rest);
    let lines = plain.lines().map(|line| match line.split_once(">;tag=") {
        Some((to, _)) if line.starts_with("To:") => to,
        _ => line,
    });
    lines.collect::<Vec<_>>().join("\n")
}

/// A crash in the middle of a call: the peer of every transport that can be reached is told, and the record goes when it
/// has answered.
#[test]
fn a_crash_leaves_no_phantom() {
    for (transport, is_reached) in [(Transport::Udp, true), (Transport::Tcp, true)] {
        let mut world = World::new(transport, Network::GOOD, 11).registered();
        world.connected();
        let kept = world.kept.values().cloned().collect::<Vec<_>>();
        assert_eq!(kept.len(), 1, "{transport}");
        // The program dies and starts again; its connections died with it.
        let now = world.now;
        let mut server = Endpoint::new(EndpointConfig::default(), [77; 32], now, 5_000_000);
        server.set_users(vec![account("phone1")]);
        world.server = server;
        world.break_streams();
        world.run_ms(50);
        world.story.clear();
        world.act(Side::Server, |s, now| s.end_lost_dialogs(now, kept));
        world.run_ms(40_000);
        let told = world
            .story
            .iter()
            .any(|line| line.starts_with("Phone CallEnded"));
        assert_eq!(told, is_reached, "{transport} {:?}", world.story);
        assert!(world.kept.is_empty(), "{transport}: forgotten");
        assert_eq!(world.server.stats().client_transactions, 0);
    }
}

/// Records that make no sense, and a peer that is gone.
#[test]
fn lost_dialogs_are_forgotten_in_the_end() {
    let mut peer = Peer::new(EndpointConfig::default());
    let record = |id: &str, remote_target: &str, transport| crate::endpoint::DialogRecord {
        id: id.to_owned(),
        call_id: "c".to_owned(),
        local: "<sip:a@b>;tag=1".to_owned(),
        remote: "<sip:c@d>;tag=2".to_owned(),
        remote_target: remote_target.to_owned(),
        routes: Vec::new(),
        local_cseq: u32::MAX,
        flow: Flow {
            transport,
            ..peer.flow
        },
        we_connected: false,
    };
    let records = vec![
        record("nonsense", "no uri", Transport::Udp),
        record("browser", "sip:x@a.invalid;transport=ws", Transport::Wss),
        record("silent", "sip:x@192.0.2.7", Transport::Udp),
    ];
    peer.endpoint.end_lost_dialogs(peer.now, records);
    let mut forgotten = Vec::new();
    loop {
        while let Some(output) = peer.endpoint.poll_output() {
            if let Output::ForgetDialog { id } = output {
                forgotten.push(id);
            }
        }
        let Some(at) = peer.endpoint.next_timeout() else {
            break;
        };
        peer.now = at;
        peer.endpoint.handle(at, Input::Timeout);
    }
    assert_eq!(forgotten, ["nonsense", "browser", "silent"]);
}
