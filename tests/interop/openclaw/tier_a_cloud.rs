//! A phone call with OpenClaw's model behind our proxy and, by the config, in the cloud: it is asked when the caller has
//! finished, written down for whom and why, and not at all for whom no rule lets out.

use std::time::Duration;

use super::installed::installed;
use super::model::Model;
use super::tier_a::{IN_FORCE_LIMIT, proxied, status};
use crate::drill;
use crate::offhook::{Offhook, text_of};
use crate::peers::{BARESIP, take_floor};
use crate::process::wait_until;
use crate::sound::golden;

const KEPT: &str = "your questions stay in this house";

/// What the model was asked, a line each.
fn asked(model: &Model) -> String {
    let line = |seen: super::model::Seen| format!("asked: {}\n{}\n", seen.question, seen.request);
    model.seen().into_iter().map(line).collect()
}

#[test]
fn a_call_to_a_provider_in_the_cloud_keeps_its_rules() {
    let test = "a_call_to_a_provider_in_the_cloud_keeps_its_rules";
    let Some(installed) = installed(test) else {
        return;
    };
    let Some(_floor) = take_floor(test, Some(BARESIP)) else {
        return;
    };
    let model = Model::start();
    let rules = format!("[cloud]\ncloud_hosts = [\"{}\"]\n", model.address);
    let (claw, mut offhook) = proxied("tier-a-cloud", installed, &model, &rules);
    offhook.run();
    let standing = |offhook: &Offhook| status(offhook)["agent"]["standing"].to_string();
    let is_in_force = || standing(&offhook).contains("(tier A)");
    assert!(
        wait_until(IN_FORCE_LIMIT, is_in_force),
        "{}\n{}",
        status(&offhook),
        claw.tail()
    );
    assert_eq!(status(&offhook)["agent"]["asked_early"], false);
    let doctor = text_of(&offhook.call_command(&["doctor"]));
    let wanted = "but not early: its provider is in the cloud, and `guesses` in [cloud] is off";
    assert!(doctor.contains(wanted), "{doctor}");

    let says = [(4_000, golden("What is six times twelve"))];
    let (messages, _) = drill::call(&offhook, &says, 14);
    let heard = drill::said(&messages, "assistant").join(" ");
    let log = offhook.command_output(&["audit"]);
    let context = || {
        let tail = offhook.log_tail();
        format!("{messages:#?}\n{log}\n{}\n{tail}", asked(&model))
    };
    assert!(heard.to_lowercase().contains("seventy"), "{}", context());
    // The request that was foretold when the turn was over is the one that OpenClaw made.
    assert_eq!(model.seen().len(), 1, "{}", context());
    let user = offhook.first_phone().user;
    let lines: Vec<&str> = log
        .lines()
        .filter(|l| l.contains("cloud request"))
        .collect();
    assert_eq!(lines.len(), 1, "{}", context());
    for wanted in [user.as_str(), "phone", "no local gateway is configured"] {
        assert!(lines[0].contains(wanted), "{wanted}: {}", context());
    }
    assert!(!lines[0].contains(", early"), "{}", context());

    // The same caller, whom no rule lets out any more.
    let path = offhook.home().join("offhook.toml");
    let text = std::fs::read_to_string(&path).expect("the config");
    std::fs::write(&path, format!("{text}levels = [\"guest\"]\n")).expect("own folder");
    offhook.signal("TERM");
    offhook.expect_orderly_end(Duration::from_secs(20));
    offhook.run();
    let held = claw.history(&format!("agent:main:voice:{user}")).len();
    let (messages, _) = drill::call(&offhook, &says, 14);
    let last = drill::said(&messages, "program")
        .last()
        .map(|text| text.to_lowercase());
    let context = || {
        let tail = offhook.log_tail();
        format!("{messages:#?}\n{}\n{tail}", asked(&model))
    };
    assert!(
        last.is_some_and(|text| text.contains(KEPT)),
        "{}",
        context()
    );
    assert_eq!(model.seen().len(), 1, "{}", context());
    let now = claw.history(&format!("agent:main:voice:{user}")).len();
    assert_eq!(now, held, "{}", context());
}
