//! A phone call with OpenClaw's model behind our proxy: it is in force by itself, a wrong guess leaves nothing, and after an
//! interruption OpenClaw holds what was heard, word for word.

use std::path::PathBuf;
use std::time::Duration;

use serde_json::{Value, json};

use super::claw::{Claw, TOKEN};
use super::installed::installed;
use super::model::{Model, is_answer_to, is_count};
use crate::drill;
use crate::offhook::{Offhook, free_port, make_private_file};
use crate::peers::{BARESIP, take_floor};
use crate::process::wait_until;
use crate::sound::{golden, words};

const PROXY_TOKEN: &str = "another-token-for-this-test-only";
/// OpenClaw's first request of all is slow.
pub(super) const IN_FORCE_LIMIT: Duration = Duration::from_secs(120);

pub(super) fn status(offhook: &Offhook) -> Value {
    let (code, text) = offhook.http("GET", "/api/status", "");
    assert_eq!(code, 200, "{text}");
    serde_json::from_str(&text).expect("JSON")
}

/// OpenClaw with this model behind our proxy, and the program, which is still to be started. `more`: sections of its config.
pub(super) fn proxied(
    test: &str,
    installed: PathBuf,
    model: &Model,
    more: &str,
) -> (Claw, Offhook) {
    let port = free_port();
    let provider = format!("http://127.0.0.1:{port}/v1");
    let claw = Claw::start(installed, (&provider, PROXY_TOKEN), json!({}));
    let config = format!(
        "[agent]\nkind = \"openclaw\"\nurl = \"ws://127.0.0.1:{}\"\napi_key_file = \"token\"\n\
         [proxy]\nenabled = true\nport = {port}\nurl = \"http://{}/v1\"\ntoken_file = \"proxy\"\n{more}",
        claw.port, model.address
    );
    let offhook = Offhook::install(test, &config);
    for (file, token) in [("token", TOKEN), ("proxy", PROXY_TOKEN)] {
        let path = offhook.home().join(file);
        std::fs::write(&path, token).expect("own folder");
        make_private_file(&path);
    }
    (claw, offhook)
}

/// What a person has said there, without what we and OpenClaw put around it.
fn plain(text: &str) -> Vec<String> {
    words(&super::model::words_of_a_person(text))
}

#[test]
fn a_call_goes_through_the_model_proxy() {
    let test = "a_call_goes_through_the_model_proxy";
    let Some(installed) = installed(test) else {
        return;
    };
    let Some(_floor) = take_floor(test, Some(BARESIP)) else {
        return;
    };
    let model = Model::counting_lamps();
    let (claw, mut offhook) = proxied("tier-a", installed, &model, "");
    offhook.run();
    // The warm-up shows it; nobody has to say so.
    let is_in_force = || status(&offhook)["agent"]["asked_early"] == true;
    assert!(
        wait_until(IN_FORCE_LIMIT, is_in_force),
        "{}\n{}",
        status(&offhook),
        claw.tail()
    );
    assert!(
        model.seen().is_empty(),
        "warming up costs the model nothing"
    );

    // The first one makes a guess at its pause; the second is a long answer, and the third speaks over it.
    let says = [
        (4_000, golden("Turn off the heating in the hall")),
        (9_000, golden("Turn the office lamp up")),
        (6_000, golden("What is six times twelve")),
    ];
    let (messages, _) = drill::call(&offhook, &says, 45);
    let user = offhook.first_phone().user;
    let key = format!("agent:main:voice:{user}");
    let held = claw.history(&key);
    let context = || format!("{messages:#?}\n{held:#?}\n{}", offhook.log_tail());

    // Every question there was said by the caller, and each has its answer: no guess left anything.
    let said: Vec<Vec<String>> = drill::said(&messages, "caller")
        .iter()
        .map(|text| words(text))
        .collect();
    let roles: Vec<&str> = held.iter().map(|(role, _)| role.as_str()).collect();
    assert!(
        roles.chunks(2).all(|pair| pair == ["user", "assistant"]),
        "{}",
        context()
    );
    // Who goes on before an answer was heard is asked for as a whole: the sentence so far, and its rest.
    let is_said = |asked: &[String]| {
        (0..said.len()).any(|from| {
            let joined = (from + 1..=said.len()).map(|to| said[from..to].concat());
            joined.into_iter().any(|joined| joined == asked)
        })
    };
    for (_, text) in held.iter().filter(|(role, _)| role == "user") {
        let asked = plain(text);
        assert!(is_said(&asked), "{asked:?} of {}", context());
    }
    // An answer of which nothing was heard stands there as dots.
    let answers = held
        .iter()
        .filter(|(role, text)| role == "assistant" && text.trim() != "…");
    let answers: Vec<Vec<String>> = answers.map(|(_, text)| words(text)).collect();
    let heard = drill::said(&messages, "assistant");
    let heard: Vec<Vec<String>> = heard.iter().map(|text| words(text)).collect();
    assert_eq!(answers, heard, "{}", context());

    // One of them was interrupted in mid-count.
    let counted = heard.iter().find(|text| is_count(text));
    let counted = counted.unwrap_or_else(|| panic!("nothing was counted: {}", context()));
    assert!((2..150).contains(&counted.len()), "{}", context());
    // And who spoke over it was answered.
    let last = said.last().zip(heard.last());
    let is_answered = last.is_some_and(|(question, answer)| is_answer_to(question, answer));
    assert!(is_answered, "{}", context());
    let proxy = status(&offhook)["proxy"].clone();
    assert!(proxy["foretold"].as_u64() >= Some(2), "{proxy}");
    assert_eq!(proxy["spoken_otherwise"], 0, "{proxy}");
}
