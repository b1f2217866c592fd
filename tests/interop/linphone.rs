//! Linphone, the softphone that most people have: it takes its account from an invitation, registers over all transports,
//! talks with the assistant and with other phones, with keys and without, and sends and gets texts.

use crate::baresip::{Phone, Setup, Transport};
use crate::linphone_phone::{Linphone, write_and_read};
use crate::offhook::{Account, Offhook};
use crate::peers::{BARESIP, LINPHONE, PYTHON, is_installed, take_floor};
use crate::process::wait_until;
use crate::sound::golden;
use crate::texts::expect_text;
use std::time::Duration;

const LIMIT: Duration = Duration::from_secs(20);
/// Nothing more may come for so long.
const QUIET: Duration = Duration::from_secs(2);
const AFTER_GREETING_MS: u32 = 3_000;

const KEYS: &str = "[sip]\nmedia_encryption=srtp\nmedia_encryption_mandatory=1\n";
const HANDSHAKE: &str = "[sip]\nmedia_encryption=dtls\n";

fn setup(account: &Account, transport: Transport) -> Setup<'_> {
    Setup::silent(account, transport, false)
}

/// Nothing that it asked was refused but for the reasons in `but`, and nothing it sent was a cause for worry.
fn expect_no_refusals(phone: &Linphone, but: &[&str], offhook: &Offhook) {
    let trace = phone.trace();
    let mut lines = trace.lines();
    let mut refused = Vec::new();
    while let Some(line) = lines.next() {
        // What it has got; its own refusals are its affair.
        let is_next = line.contains("new bytes from [");
        let Some(status) = is_next
            .then(|| lines.next()?.strip_prefix("SIP/2.0 "))
            .flatten()
        else {
            continue;
        };
        // Challenges, and cancelled calls.
        let is_usual = ["1", "2", "401", "407", "487"]
            .iter()
            .any(|usual| status.starts_with(usual));
        if !is_usual {
            let cseq = lines.find(|line| line.starts_with("CSeq:"));
            refused.push(format!("{status} to {}", cseq.unwrap_or_default()));
        }
    }
    refused.retain(|refused| !but.iter().any(|but| refused.contains(but)));
    assert!(refused.is_empty(), "{refused:?}\n{}", phone.tail());
    let log = offhook.log();
    let warnings: Vec<&str> = log.lines().filter(|line| line.contains(" WARN ")).collect();
    assert!(warnings.is_empty(), "{warnings:#?}");
}

/// As the page offers it: an address that Linphone fetches its settings from.
#[test]
fn linphone_takes_its_account_from_an_invitation() {
    let test = "linphone_takes_its_account_from_an_invitation";
    let Some(_floor) = take_floor(test, Some(LINPHONE)) else {
        return;
    };
    let mut offhook = Offhook::install(test, "");
    // The page is found under this address; without it no loopback address is given to phones.
    let file = offhook.home().join("offhook.toml");
    let settings = std::fs::read_to_string(&file).expect("the settings");
    let settings = settings.replace(
        "[web]\n",
        &format!("[web]\nurl = \"http://{}\"\n", offhook.web),
    );
    std::fs::write(&file, settings).expect("a writable home");
    offhook.run();
    let (status, made) = offhook.http("POST", "/api/web/phones", "{\"name\":\"office\"}");
    assert_eq!(status, 201, "{made}");
    let made: serde_json::Value = serde_json::from_str(&made).expect("JSON");
    offhook.expect_log("users changed", LIMIT);
    let link = made["link"].as_str().expect("a link for phones");
    let mut phone = Linphone::start(&format!("[misc]\nconfig-uri={link}\n"), &[]);
    phone.expect_registered(&offhook);
    // Its account is the one that numbers are dialled with.
    phone.dial("101");
    phone.expect_established(&offhook);
    phone.hang_up();
    phone.tell(&format!(
        "chat sip:100@{} What is six times twelve?",
        offhook.sip
    ));
    expect_text(&phone, &offhook, "72");
    expect_no_refusals(&phone, &[], &offhook);
    // The invitation is used up for it, and what it got is kept.
    phone.restart();
    phone.expect_registered(&offhook);
    assert!(!phone.trace().contains("GET /phone/"), "{}", phone.tail());
}

#[test]
fn linphone_hears_the_assistant() {
    let Some(_floor) = take_floor("linphone_hears_the_assistant", Some(LINPHONE)) else {
        return;
    };
    let offhook = Offhook::start("linphone-assistant");
    let account = offhook.first_phone();
    let says = [(AFTER_GREETING_MS, golden("What is six times twelve"))];
    let mut phone = Linphone::registered(&offhook, &Setup::saying(&account, &says), "");
    assert_eq!(phone.register_statuses(), [401, 200], "{}", phone.tail());
    phone.dial("100");
    phone.expect_established(&offhook);
    phone.stay(Duration::from_secs(9));
    let recording = phone.recording();
    offhook.expect_spoken("Six times twelve is 72.", &recording, &phone.tail());
    expect_no_refusals(&phone, &[], &offhook);
}

/// What it may ask for beside plain sound: by its settings, and what its log says when it has got it.
#[test]
fn linphone_has_the_sound_it_asks_for() {
    let Some(_floor) = take_floor("linphone_has_the_sound_it_asks_for", Some(LINPHONE)) else {
        return;
    };
    let offhook = Offhook::start("linphone-sound");
    let account = offhook.first_phone();
    let says = [(300, golden("Turn the office lamp up"))];
    let all = "[sip]\nmedia_encryption=zrtp\n[rtp]\navpf=1\n[app]\nrecord_aware=1\n\
               [proxy_0]\nnat_policy_ref=here\n[nat_policy_0]\nref=here\nprotocols=ice\n";
    for (transport, more) in [
        (Transport::Tls, KEYS),
        (Transport::Tcp, HANDSHAKE),
        (Transport::Udp, all),
    ] {
        let setup = Setup {
            says: &says,
            ..setup(&account, transport)
        };
        let mut phone = Linphone::registered(&offhook, &setup, more);
        phone.dial("101");
        phone.expect_established(&offhook);
        phone.stay(Duration::from_secs(3));
        let recording = phone.recording();
        offhook.expect_heard("Turn the office lamp up", &recording, &phone.tail());
        expect_no_refusals(&phone, &[], &offhook);
    }
}

/// The list of texts says that the phone has the assistant's, and then that it was read. Its console client has no command
/// for reading a text, nor for saying that somebody is writing; the library it is made with has.
#[test]
fn linphone_says_what_becomes_of_a_text() {
    let test = "linphone_says_what_becomes_of_a_text";
    if !is_installed(test, PYTHON) {
        return;
    }
    let Some(_floor) = take_floor(test, Some(LINPHONE)) else {
        return;
    };
    let offhook = Offhook::start("linphone-receipts");
    let account = offhook.first_phone();
    // What became of the assistant's last text of these words.
    let delivery = |words: &str| {
        let (status, listed) = offhook.http("GET", "/api/web/chat?most=20", "");
        assert_eq!(status, 200, "{listed}");
        let listed: serde_json::Value = serde_json::from_str(&listed).expect("JSON");
        let all = listed["messages"].as_array().cloned().unwrap_or_default();
        let is_it = |one: &&serde_json::Value| {
            one["role"] == "assistant" && one["text"].as_str().unwrap_or_default().contains(words)
        };
        let found = all.iter().rev().find(is_it).cloned().unwrap_or_default();
        found["delivery"].as_str().unwrap_or_default().to_owned()
    };
    let mut phone = Linphone::registered(&offhook, &setup(&account, Transport::Udp), "");
    phone.tell("chat sip:100@127.0.0.1 What is six times twelve?");
    expect_text(&phone, &offhook, "72");
    let has_come = wait_until(LIMIT, || delivery("72") == "delivered");
    assert!(has_come, "{:?}\n{}", delivery("72"), offhook.log_tail());
    expect_no_refusals(&phone, &[], &offhook);
    phone.quit();

    let udp = setup(&account, Transport::Udp);
    let trace = write_and_read(&offhook, &udp, "100", "What is six times eleven?");
    assert!(
        delivery("66") == "displayed",
        "{:?}\n{trace}",
        delivery("66")
    );
    assert_eq!(delivery("72"), "delivered", "it was never shown there");
    // That somebody is writing is taken, once it has proven who it is; and it is told the same.
    let ours = trace.split("MESSAGE sip:100@").skip(1);
    let writing = ours.filter(|rest| {
        let end = rest.find("MESSAGE sip:").unwrap_or(rest.len());
        rest[..end].contains("<state>active</state>")
    });
    let answers: Vec<&str> = writing
        .filter_map(|rest| rest.split("\nSIP/2.0 ").nth(1)?.get(..3))
        .collect();
    assert_eq!(answers, ["401", "200"], "{trace}");
    let theirs: Vec<&str> = trace.split("received [").skip(1).collect();
    let is_told = theirs.iter().any(|rest| {
        let end = rest.find("message sent to").unwrap_or(rest.len());
        rest[..end].contains("<state>active</state>")
    });
    assert!(is_told, "{trace}");
}

#[test]
fn linphone_gets_the_text_that_waited_once() {
    let test = "linphone_gets_the_text_that_waited_once";
    let Some(_floor) = take_floor(test, Some(LINPHONE)) else {
        return;
    };
    let mut offhook = Offhook::start("linphone-texts");
    let anna = offhook.first_phone();
    let ben = offhook.add_user("ben", "password-of-ben");
    offhook.expect_log("users changed", LIMIT);
    let mut writer = Linphone::registered(&offhook, &setup(&anna, Transport::Tcp), "");
    // Nobody is there: it is taken all the same.
    writer.tell("chat sip:ben@127.0.0.1 first of two");
    let taken = wait_until(LIMIT, || writer.trace().contains("SIP/2.0 202"));
    assert!(taken, "{}\n{}", writer.tail(), offhook.log_tail());
    let mut reader = Linphone::registered(&offhook, &setup(&ben, Transport::Udp), "");
    expect_text(&reader, &offhook, "first of two");
    // The reader's phone says so, and names the text by the Call-ID that its writer gave it.
    let has_come = wait_until(LIMIT, || writer.trace().contains("to DeliveredToUser"));
    assert!(
        has_come,
        "{}\n{}\n{}",
        writer.tail(),
        reader.tail(),
        offhook.log_tail()
    );
    reader.tell(&format!("chat sip:{}@127.0.0.1 thanks", anna.user));
    expect_text(&writer, &offhook, "thanks");
    reader.quit();
    let reader = Linphone::registered(&offhook, &setup(&ben, Transport::Udp), "");
    writer.tell("chat sip:ben@127.0.0.1 second of two");
    expect_text(&reader, &offhook, "second of two");
    wait_until(QUIET, || reader.texts().len() > 1);
    assert_eq!(reader.texts().len(), 1, "{:?}", reader.texts());
    expect_no_refusals(&writer, &[], &offhook);
    expect_no_refusals(&reader, &[], &offhook);
}

#[test]
fn linphone_is_called_holds_and_presses_keys() {
    let test = "linphone_is_called_holds_and_presses_keys";
    let Some(_floor) = take_floor(test, Some(LINPHONE)) else {
        return;
    };
    if !is_installed(test, BARESIP) {
        return;
    }
    let office = "[[users]]\nname = \"bert\"\nextensions = [\"201\"]\n\
                  [[users]]\nname = \"carl\"\nextensions = [\"202\"]\n";
    let (offhook, [anna, bert, carl]) = Offhook::with_three(test, office);
    let lamp = [(1_000, golden("Turn the office lamp up"))];
    let times = [(1_000, golden("What is six times twelve"))];
    let mut caller = Phone::registered(&offhook, &Setup::saying(&anna, &lamp));
    let by_info = "[sip]\nuse_info=1\nuse_rfc2833=0\n";
    let mut other = Linphone::answering(&offhook, &setup(&carl, Transport::Tcp), by_info);
    caller.dial("202");
    caller.expect_established(&offhook);
    other.expect_established(&offhook);
    other.tell("7");
    let has_come = wait_until(LIMIT, || caller.trace().contains("received DTMF: '7'"));
    assert!(
        has_come,
        "{}\n{}\n{}",
        other.tail(),
        caller.tail(),
        offhook.log_tail()
    );
    other.hang_up();
    let closed = caller.wait_for(&["CALL_CLOSED"], LIMIT);
    assert!(closed.is_some(), "{}", caller.tail());
    caller.forget();
    let mut phone = Linphone::answering(&offhook, &Setup::saying(&bert, &times), "");
    caller.dial("201");
    caller.expect_established(&offhook);
    phone.expect_established(&offhook);
    phone.stay(Duration::from_secs(3));
    // The keys go as events of RTP.
    phone.tell("42#");
    phone.forget();
    phone.tell("pause");
    phone.expect("is now paused", &offhook);
    phone.tell("resume");
    phone.expect_established(&offhook);
    phone.stay(Duration::from_secs(1));
    let recording = phone.recording();
    offhook.expect_heard("Turn the office lamp up", &recording, &phone.tail());
    let closed = caller.wait_for(&["CALL_CLOSED"], LIMIT);
    assert!(closed.is_some(), "{}", caller.tail());
    for key in ['4', '2', '#'] {
        let told = format!("received event: '{key}' (end=1)");
        assert!(caller.trace().contains(&told), "{key}\n{}", caller.tail());
    }
    let recording = caller.recording();
    offhook.expect_heard("What is six times twelve", &recording, &caller.tail());
    expect_no_refusals(&phone, &[], &offhook);
}

/// Each has its own way of encrypting, and both offer pictures.
#[test]
fn two_linphones_hear_each_other() {
    let test = "two_linphones_hear_each_other";
    let Some(_floor) = take_floor(test, Some(LINPHONE)) else {
        return;
    };
    let (offhook, [anna, bert, _]) = Offhook::with_three(test, "");
    let lamp = [(1_000, golden("Turn the office lamp up"))];
    let times = [(1_000, golden("What is six times twelve"))];
    let ice = "[proxy_0]\nnat_policy_ref=here\n[nat_policy_0]\nref=here\nprotocols=ice\n";
    let (callers, callees) = (format!("{HANDSHAKE}{ice}"), KEYS);
    let mut callee = Linphone::answering(&offhook, &Setup::saying(&bert, &times), callees);
    let mut caller = Linphone::registered(&offhook, &Setup::saying(&anna, &lamp), &callers);
    caller.dial("bert");
    caller.expect_established(&offhook);
    callee.expect_established(&offhook);
    caller.stay(Duration::from_secs(4));
    for (phone, said) in [
        (&mut caller, "What is six times twelve"),
        (&mut callee, "Turn the office lamp up"),
    ] {
        let recording = phone.recording();
        offhook.expect_heard(said, &recording, &phone.tail());
        expect_no_refusals(phone, &[], &offhook);
    }
}

/// Presence, a conference at the server: what there is not is refused once, and everything else goes on.
#[test]
fn what_linphone_asks_in_vain_is_refused() {
    let test = "what_linphone_asks_in_vain_is_refused";
    let Some(_floor) = take_floor(test, Some(LINPHONE)) else {
        return;
    };
    let offhook = Offhook::start("linphone-vain");
    let account = offhook.first_phone();
    let more = "[proxy_0]\npublish=1\nconference_factory_uri=sip:conference-factory@127.0.0.1\n\
                [misc]\nconference_type=remote\n\
                [friend_0]\nurl=\"Ben\" <sip:ben@127.0.0.1>\npol=accept\nsubscribe=1\n";
    let mut phone = Linphone::registered(&offhook, &setup(&account, Transport::Udp), more);
    phone.dial("101");
    phone.expect_established(&offhook);
    phone.tell("pause");
    phone.expect("is now paused", &offhook);
    phone.tell("conference add 1");
    phone.expect(
        "Call 2 with sip:conference-factory@127.0.0.1 error",
        &offhook,
    );
    phone.forget();
    phone.tell("resume");
    phone.expect_established(&offhook);
    phone.hang_up();
    let trace = phone.trace();
    for asked in ["\nSUBSCRIBE sip:ben@", "\nPUBLISH sip:"] {
        assert_eq!(
            trace.matches(asked).count(),
            1,
            "{asked:?}\n{}",
            phone.tail()
        );
    }
    let refused = [
        "489 Bad Event to",
        "405 Method Not Allowed to",
        "404 Not Found to",
    ];
    expect_no_refusals(&phone, &refused, &offhook);
}
