//! The whole program as somebody's contact on a real Synapse: asked in words and by voice, killed in the middle, away for a
//! while. What the channel does by itself is in `matrix_channel.rs`. Needs OFFHOOK_SYNAPSE; skipped by name without it.

// The test of the channel itself uses the rest of it.
#[allow(dead_code)]
mod synapse;

use crate::offhook::{Offhook, make_private_file};
use crate::peers::{require, take_floor};
use crate::process::wait_until;
use serde_json::{Value, json};
use std::fs;
use std::time::Duration;
use synapse::{LIMIT, Person, SERVER_NAME, Synapse, password};

fn config(synapse: &Synapse) -> String {
    format!(
        "[matrix]\nenabled = true\nhomeserver = \"{}\"\nuser = \"offhook\"\npassword_file = \"matrix.password\"\n\n\
         [[users]]\nname = \"anna\"\nidentities = [\"matrix:@anna:{SERVER_NAME}\"]\n",
        synapse.url()
    )
}

/// What the program says in a room, without the letters' case.
fn answers(person: &Person, room: &str, own: &str) -> Vec<String> {
    let said = person.messages_of(room, own);
    let bodies = said
        .iter()
        .filter(|event| event["content"]["msgtype"] == "m.text");
    bodies
        .map(|event| event["content"]["body"].to_string().to_lowercase())
        .collect()
}

#[test]
fn a_contact_on_matrix() {
    const NAME: &str = "a_contact_on_matrix";
    let Some(_floor) = take_floor(NAME, None) else {
        return;
    };
    let found = require(
        NAME,
        "Synapse",
        "PyPI matrix-synapse, OFFHOOK_SYNAPSE",
        synapse::installed(),
    );
    let Some(python) = found else { return };
    let synapse = Synapse::start(&python);
    let own = synapse.person("offhook").id;
    let (anna, eve) = (synapse.person("anna"), synapse.person("eve"));

    let mut offhook = Offhook::install("matrix", &config(&synapse));
    let secret = offhook.home().join("matrix.password");
    fs::write(&secret, password("offhook")).expect("a writable home");
    make_private_file(&secret);
    offhook.add_user("anna", "a good enough password");
    offhook.run();
    offhook.expect_log("Matrix: logged in as @offhook", LIMIT);

    let room = anna.create_room(&[&own], json!({}));
    anna.say(&room, "What is 12 plus 30?");
    expect_answer(&offhook, &anna, &room, &own, "42", 1);

    // A voice message in the program's own voice; the answer comes as text and as voice.
    let sound = fs::read(offhook.speak("What is two plus three?")).expect("a recording");
    let address = anna.upload("audio/wav", &sound);
    anna.send(&room, "m.room.message", json!({
        "msgtype": "m.audio", "body": "Voice message", "url": address,
        "info": { "mimetype": "audio/wav", "size": sound.len() }, "org.matrix.msc3245.voice": {},
    }));
    let voiced = |event: &Value| event["content"]["org.matrix.msc3245.voice"].is_object();
    let spoke = wait_until(LIMIT, || anna.messages_of(&room, &own).iter().any(voiced));
    assert!(
        spoke,
        "{:?}\n{}",
        answers(&anna, &room, &own),
        offhook.log_tail()
    );
    let said = anna.messages_of(&room, &own);
    let voice = said.iter().find(|event| voiced(event)).expect("just seen");
    let bytes = anna.download(voice["content"]["url"].as_str().expect("an address"));
    assert!(bytes.starts_with(b"OggS"));

    let strange = eve.create_room(&[&own], json!({}));
    eve.expect_membership(&strange, &own, "leave");

    // Killed while it answers, in different moments, and away while more is asked.
    let mut sums = Vec::new();
    for (round, after_ms) in [0, 40, 150, 400].into_iter().enumerate() {
        let sum = 1_000 + 7 * u32::try_from(round).unwrap_or(0);
        anna.say(&room, &format!("What is {sum} plus 0?"));
        sums.push(sum);
        wait_until(Duration::from_millis(after_ms), || false);
        offhook.kill();
        let sum = sum + 2_000;
        anna.say(&room, &format!("What is {sum} plus 0?"));
        sums.push(sum);
        offhook.run();
    }
    for sum in &sums {
        expect_answer(&offhook, &anna, &room, &own, &sum.to_string(), 1);
    }
    // An answer twice would be behind the last one.
    anna.say(&room, "What is 4321 plus 0?");
    expect_answer(&offhook, &anna, &room, &own, "4321", 1);
    for sum in &sums {
        expect_answer(&offhook, &anna, &room, &own, &sum.to_string(), 1);
    }
}

/// Waits until `words` were said, and counts in how many messages.
fn expect_answer(
    offhook: &Offhook,
    person: &Person,
    room: &str,
    own: &str,
    words: &str,
    count: usize,
) {
    let holding = || {
        let said = answers(person, room, own);
        said.into_iter()
            .filter(|said| said.replace(',', "").contains(words))
            .count()
    };
    let is_there = wait_until(LIMIT, || holding() >= count);
    assert!(
        is_there,
        "{words:?} was not said: {:#?}\n{}",
        answers(person, room, own),
        offhook.log_tail()
    );
    assert_eq!(
        holding(),
        count,
        "{words:?}: {:#?}",
        answers(person, room, own)
    );
}
