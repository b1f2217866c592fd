//! Registrations with a real softphone: what the program printed is enough to log in, a wrong password is not, and what
//! was registered survives a power cut.

use crate::baresip::{Phone, Setup, Transport};
use crate::offhook::{Account, Offhook};
use crate::peers::{BARESIP, take_floor};
use std::time::Duration;

#[test]
fn the_printed_account_registers_over_udp_and_tcp() {
    let Some(_floor) = take_floor(
        "the_printed_account_registers_over_udp_and_tcp",
        Some(BARESIP),
    ) else {
        return;
    };
    let offhook = Offhook::start("printed-account");
    let account = offhook.first_phone();
    for (transport, outbound) in [
        (Transport::Udp, false),
        (Transport::Udp, true),
        (Transport::Tcp, true),
    ] {
        let phone = Phone::registered(&offhook, &Setup::silent(&account, transport, outbound));
        let statuses = phone.register_statuses();
        assert_eq!(
            statuses,
            [401, 200],
            "challenged once, then accepted\n{}",
            phone.tail()
        );
    }
    assert!(
        !offhook.log().contains("response=\""),
        "digest responses stay out of the log"
    );
}

#[test]
fn a_wrong_password_is_refused_and_stays_secret() {
    let Some(_floor) = take_floor(
        "a_wrong_password_is_refused_and_stays_secret",
        Some(BARESIP),
    ) else {
        return;
    };
    let offhook = Offhook::start("wrong-password");
    let user = offhook.first_phone().user;
    let unknown = "nobody".to_owned();
    let password = "not-the-password-4711".to_owned();
    let mut seen = Vec::new();
    for user in [user, unknown] {
        let account = Account {
            user,
            password: password.clone(),
        };
        let mut phone = Phone::start(offhook.sip, &Setup::silent(&account, Transport::Udp, true));
        let outcome = phone.registration(Duration::from_secs(20));
        assert!(
            matches!(outcome, Some(401 | 403)),
            "{outcome:?}\n{}",
            phone.tail()
        );
        seen.push(outcome);
    }
    // A stranger must not learn from the answers which names exist.
    assert_eq!(seen[0], seen[1]);
    assert!(!offhook.log().contains(&password), "{}", offhook.log_tail());
}

#[test]
fn a_user_added_while_it_runs_can_register() {
    let Some(_floor) = take_floor("a_user_added_while_it_runs_can_register", Some(BARESIP)) else {
        return;
    };
    let mut offhook = Offhook::start("user-added");
    let account = offhook.add_user("kitchen", "Tea-at-4-with-scones");
    // The running program notices within about a second, and says so.
    offhook.expect_log("users changed", Duration::from_secs(10));
    Phone::registered(&offhook, &Setup::silent(&account, Transport::Udp, true));
    assert!(
        !offhook.log().contains(&account.password),
        "{}",
        offhook.log_tail()
    );
}

#[test]
fn a_power_cut_loses_no_registration() {
    let Some(_floor) = take_floor("a_power_cut_loses_no_registration", Some(BARESIP)) else {
        return;
    };
    let mut offhook = Offhook::start("power-cut");
    let account = offhook.first_phone();
    let _phone = Phone::registered(&offhook, &Setup::silent(&account, Transport::Udp, true));
    offhook.kill();
    offhook.run();
    let log = offhook.log();
    assert!(
        log.contains("1 registered already"),
        "{}",
        offhook.log_tail()
    );
    assert!(
        !log.contains(&account.password),
        "the password is printed once, on the first start"
    );
}
