//! Whose checks count, and where packets go then.

use std::time::Duration;

use super::*;

fn at(port: u16) -> SocketAddr {
    SocketAddr::from(([192, 0, 2, 1], port))
}

fn ice() -> Ice {
    Ice::new(IceConfig {
        local_ufrag: "ours".to_owned(),
        local_pwd: "password of ours".to_owned(),
        remote_ufrag: "theirs".to_owned(),
    })
}

fn asked(username: &str, nominate: bool, pwd: &str) -> Vec<u8> {
    stun::ask([3; 12], username, nominate, pwd)
}

#[test]
fn names_and_proofs() {
    let now = Instant::now();
    let rows = [
        ("ours:theirs", "password of ours", true),
        ("ours:theirs", "password of mine", false),
        ("ours:others", "password of ours", false),
        ("ours", "password of ours", false),
        ("ours:", "password of ours", false),
        ("theirs:ours", "password of ours", false),
        ("ours:theirs:", "password of ours", false),
        ("", "password of ours", false),
    ];
    for (username, pwd, counts) in rows {
        let mut ice = ice();
        let answer = ice.check(now, at(1), &asked(username, false, pwd));
        assert_eq!(answer.is_some(), counts, "{username} {pwd}");
        assert_eq!(ice.is_path(at(1)), counts);
        assert_eq!(ice.refused, u64::from(!counts));
    }
}

#[test]
fn the_path_chosen_last_is_the_one() {
    let now = Instant::now();
    let mut ice = ice();
    let name = "ours:theirs";
    let pwd = "password of ours";
    assert_eq!(ice.path(), None);
    for (port, is_choice, path) in [
        (1, false, 1),
        (2, false, 1),
        (2, true, 2),
        (3, false, 2),
        (3, true, 3),
        (2, true, 2),
    ] {
        assert!(
            ice.check(now, at(port), &asked(name, is_choice, pwd))
                .is_some()
        );
        assert_eq!(ice.path(), Some(at(path)), "after {port}");
    }
    assert!(ice.is_path(at(1)) && !ice.is_path(at(4)));
}

#[test]
fn a_role_that_was_changed_on_the_way_is_no_proof() {
    let mut request = asked("ours:theirs", false, "password of ours");
    // The other role, without another proof.
    let place = request
        .windows(2)
        .position(|pair| pair == [0x80, 0x2a])
        .unwrap();
    request[place + 1] = 0x29;
    let mut ice = ice();
    assert_eq!(ice.check(Instant::now(), at(1), &request), None);
    assert_eq!(ice.refused, 1);
}

#[test]
fn paths_have_a_bound() {
    let start = Instant::now();
    let mut ice = ice();
    let check = |ice: &mut Ice, n: u16, is_choice| {
        let now = start + Duration::from_millis(u64::from(n));
        let request = asked("ours:theirs", is_choice, "password of ours");
        assert!(ice.check(now, at(n), &request).is_some());
    };
    check(&mut ice, 1, true);
    for n in 2..100 {
        check(&mut ice, n, false);
        assert!(ice.now.paths.len() <= PATHS_MAX);
    }
    assert_eq!(ice.path(), Some(at(1)));
    assert!(ice.is_path(at(1)) && ice.is_path(at(99)) && !ice.is_path(at(2)));
}

/// A call must not fall silent because a phone looks for a better path.
#[test]
fn the_old_path_is_good_until_there_is_a_new_one() {
    let now = Instant::now();
    let mut ice = ice();
    let check = |ice: &mut Ice, port, generation: &str, is_choice| {
        let (name, pwd) = match generation {
            "old" => ("ours:theirs", "password of ours"),
            "new" => ("our2:their2", "password two"),
            _ => ("ours:their2", "password of ours"),
        };
        ice.check(now, at(port), &asked(name, is_choice, pwd))
            .is_some()
    };
    assert!(check(&mut ice, 1, "old", true));
    let next = IceConfig {
        local_ufrag: "our2".to_owned(),
        local_pwd: "password two".to_owned(),
        remote_ufrag: "their2".to_owned(),
    };
    ice.restart(&next);
    ice.restart(&next);
    assert_eq!((ice.path(), ice.is_path(at(1))), (Some(at(1)), true));
    // Consent for the old path is still asked for, and given.
    assert!(check(&mut ice, 1, "old", false));
    assert!(!check(&mut ice, 2, "mixed", true), "names of both");
    assert!(check(&mut ice, 2, "new", false));
    assert_eq!(ice.path(), Some(at(2)));
    assert!(ice.is_path(at(1)), "nothing is chosen yet");
    assert!(check(&mut ice, 3, "new", true));
    assert_eq!(ice.path(), Some(at(3)));
    assert!(!ice.is_path(at(1)) && ice.is_path(at(2)));
    assert!(!check(&mut ice, 1, "old", true), "that is over");
    assert_eq!(ice.config(), &next);
}

#[test]
fn a_restart_that_comes_to_nothing_costs_no_path() {
    let now = Instant::now();
    let mut ice = ice();
    let first = asked("ours:theirs", true, "password of ours");
    assert!(ice.check(now, at(1), &first).is_some());
    for n in 0..3 {
        ice.restart(&IceConfig {
            remote_ufrag: format!("their{n}"),
            ..ice.config().clone()
        });
        assert_eq!(ice.path(), Some(at(1)));
    }
}
