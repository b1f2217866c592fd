//! What stays on the page while something changes around it, and what goes when somebody leaves: what is typed, sound that
//! is played, the microphone, a call, the conversation of another agent.

use super::{SOON, open_view, signed_in};
use crate::browser::{Browser, floor_with_browser};
use crate::offhook::Offhook;
use crate::process::wait_until;

/// Keeps each microphone that the page is given; asking takes a while, as where a person is asked.
const MICROPHONES: &str = "window.microphones = []; \
    const ask = navigator.mediaDevices.getUserMedia.bind(navigator.mediaDevices); \
    navigator.mediaDevices.getUserMedia = async (wish) => { \
      await new Promise((done) => setTimeout(done, 400)); \
      const given = await ask(wish); microphones.push(given); return given; }; undefined";
const LIVE: &str =
    "microphones.filter((each) => each.getTracks().some((track) => track.readyState === 'live'))";

#[test]
fn what_is_typed_stays() {
    let test = "what_is_typed_stays";
    let Some(_floor) = floor_with_browser(test, &[]) else {
        return;
    };
    let offhook = Offhook::start("page-typed");
    let mut browser = signed_in(&offhook, Browser::start(None));
    // A draft, over another view.
    browser.write("#text", "Not finished");
    open_view(&mut browser, "house");
    browser.expect_text("How it is", SOON);
    open_view(&mut browser, "chat");
    browser.expect(
        "document.querySelector('#text')?.value === 'Not finished'",
        SOON,
    );
    // A code that is being typed while the house is read again.
    open_view(&mut browser, "house");
    let look = "window.field = document.querySelector('[aria-label=Code]'); \
                window.version = () => [...document.querySelectorAll('.about')].find((each) => each.innerText.startsWith('Version')).innerText; \
                window.read = version(); undefined";
    browser.expect("document.querySelector('[aria-label=Code]')", SOON);
    browser.expect_text("Version", SOON);
    browser.write("[aria-label=Code]", "123");
    browser.run(look);
    let called = offhook.call_command(&["call", "101", "--say", "hello"]);
    assert!(
        called.status.success(),
        "{}",
        crate::offhook::text_of(&called)
    );
    browser.expect("version() !== read", SOON);
    assert_eq!(
        browser
            .run("field.isConnected && field.value === '123' && document.activeElement === field"),
        true
    );
    // A PIN, while the list of requests is read again.
    let account = &offhook.first_phone().user;
    offhook.command_output(&["user", "pin", account]);
    let lifts = || {
        let (status, _) = offhook.http("POST", "/api/web/approvals/lift", "{}");
        status
    };
    // The running program looks once a second.
    let is_known = wait_until(SOON, || lifts() == 428);
    assert!(is_known, "{}", offhook.log_tail());
    open_view(&mut browser, "approvals");
    browser.press("button.danger");
    browser.expect_text("Everything is stopped", SOON);
    browser.press("form button");
    browser.expect("!document.querySelector('form label').hidden", SOON);
    browser.write("[aria-label='Your PIN']", "12");
    browser.run("window.field = document.querySelector('[aria-label=\"Your PIN\"]'); undefined");
    let read = "performance.getEntriesByType('resource').filter((each) => each.name.endsWith('/api/web/approvals')).length";
    let before = browser.run(read).as_u64().unwrap_or(0);
    // Told that something has changed; it is read by the view, and for the number beside its name.
    assert_eq!(offhook.http("POST", "/api/web/approvals/stop", "").0, 204);
    browser.expect(&format!("{read} >= {}", before + 2), SOON);
    assert_eq!(
        browser.run("field.isConnected && field.value === '12'"),
        true
    );
    let complaints = browser.complaints();
    assert!(
        complaints.iter().all(|each| each.contains("428")),
        "{complaints:?}"
    );
}

#[test]
fn an_address_that_somebody_typed_breaks_nothing() {
    let test = "an_address_that_somebody_typed_breaks_nothing";
    let Some(_floor) = floor_with_browser(test, &[]) else {
        return;
    };
    let offhook = Offhook::start("page-address");
    let mut browser = signed_in(&offhook, Browser::start(None));
    for address in ["%", "constructor", "__proto__/x", "house/%E0%A4%A"] {
        open_view(&mut browser, "calls");
        browser.expect_text("No calls yet", SOON);
        open_view(&mut browser, address);
        browser.expect("document.querySelector('#text')", SOON);
    }
    assert_eq!(browser.complaints(), Vec::<String>::new());
}

#[test]
fn a_recording_ends_with_its_view() {
    let test = "a_recording_ends_with_its_view";
    let Some(_floor) = floor_with_browser(test, &[]) else {
        return;
    };
    let offhook = Offhook::start("page-recording");
    let spoken = offhook.speak("What time is it?");
    let mut browser = signed_in(&offhook, Browser::start(Some(&spoken)));
    browser.run(MICROPHONES);
    // Two presses while the browser asks are one recording.
    let button = "document.querySelector('button.note:not(.quiet)')";
    browser.run(&format!("{button}.click(), {button}.click()"));
    browser.expect(
        "document.querySelector('.note-time').innerText === '0:01'",
        SOON,
    );
    assert_eq!(browser.run("microphones.length"), 1);
    // Another view is shown: nobody listens any more, and nothing is sent.
    open_view(&mut browser, "house");
    browser.expect(&format!("{LIVE}.length === 0"), SOON);
    open_view(&mut browser, "chat");
    browser.expect_text("Your assistant's line is up", SOON);
    // The same where the view goes while the browser asks.
    browser.run(&format!("{button}.click()"));
    open_view(&mut browser, "house");
    browser.expect("microphones.length === 2", SOON);
    browser.expect(&format!("{LIVE}.length === 0"), SOON);

    // One that was sent, and is played, goes on while something else is said.
    open_view(&mut browser, "chat");
    browser.press("button.note:not(.quiet)");
    browser.expect(
        "document.querySelector('.note-time').innerText === '0:02'",
        SOON,
    );
    browser.write("#text", "Count from one to three.");
    browser.press("button.note:not(.quiet)");
    browser.expect(
        "document.querySelector('.live')?.innerText.includes('Voice note')",
        SOON,
    );
    browser.key("Enter", 13);
    browser.expect(
        "document.querySelector('[role=log] .caller audio')",
        SOON * 2,
    );
    browser.run("window.sound = document.querySelector('[role=log] .caller audio'); undefined");
    browser.expect(
        "document.querySelectorAll('[role=log] .assistant').length === 2",
        SOON * 2,
    );
    browser.expect("!document.querySelector('.live').innerText", SOON);
    assert_eq!(browser.run("sound.isConnected"), true);
    assert_eq!(browser.complaints(), Vec::<String>::new());
}

#[test]
fn each_agent_has_its_own_conversation() {
    let test = "each_agent_has_its_own_conversation";
    let Some(_floor) = floor_with_browser(test, &[]) else {
        return;
    };
    let config = "[[agents]]\nname = \"other\"\nnumbers = [\"120\"]\n";
    let offhook = Offhook::start_with("page-agents", config);
    let mut browser = signed_in(&offhook, Browser::start(None));
    browser.expect("document.querySelector('.choice select')", SOON);
    browser.run(
        "(() => { const choice = document.querySelector('.choice select'); choice.value = 'other'; \
         choice.dispatchEvent(new Event('change')); })()",
    );
    browser.expect_text("Your assistant's line is up", SOON);
    // Said to the first one meanwhile: an empty view stays empty.
    let body = "{\"id\":\"0123456789ab\",\"text\":\"What time is it?\"}";
    assert_eq!(offhook.http("POST", "/api/web/chat", body).0, 202);
    let count = |agent: &str| {
        let path = format!("/api/web/chat?agent={agent}");
        let (_, found) = offhook.http("GET", &path, "");
        let found: serde_json::Value = serde_json::from_str(&found).expect("JSON");
        (
            found["messages"].as_array().map_or(0, Vec::len),
            found["conversation"].as_str().map(str::to_owned),
        )
    };
    assert!(
        wait_until(SOON, || count("agent").0 == 2),
        "{}",
        offhook.log_tail()
    );
    let (none, name) = count("other");
    assert_eq!(none, 0);
    assert!(name.is_some_and(|name| name.ends_with("/other")));
    // What comes behind it has been told by then.
    browser.write("#text", "Count from one to three.");
    browser.key("Enter", 13);
    browser.expect(
        "document.querySelectorAll('[role=log] .assistant').length === 1",
        SOON,
    );
    let shown = browser.run("document.querySelector('.scroll').innerText");
    assert!(!shown.to_string().contains("What time"), "{shown}");
    browser.run(
        "(() => { const choice = document.querySelector('.choice select'); choice.value = 'agent'; \
         choice.dispatchEvent(new Event('change')); })()",
    );
    browser.expect_text("What time is it?", SOON);
    browser.expect(
        "!document.querySelector('.scroll').innerText.includes('Count from')",
        SOON,
    );
    assert_eq!(browser.complaints(), Vec::<String>::new());
}

#[test]
fn signing_out_ends_the_phone() {
    let test = "signing_out_ends_the_phone";
    let Some(_floor) = floor_with_browser(test, &[]) else {
        return;
    };
    let mut offhook = Offhook::start("page-sign-out");
    let spoken = offhook.speak("What time is it?");
    let mut browser = signed_in(&offhook, Browser::start(Some(&spoken)));
    browser.run(MICROPHONES);
    open_view(&mut browser, "phone");
    browser.write("input.number", "101");
    // Two presses are one call.
    browser.run("(() => { const call = document.querySelector('.buttons .main'); call.click(); call.click(); })()");
    let is_talking = "document.querySelector('.status .clock')?.innerText.startsWith('0:')";
    browser.expect(is_talking, SOON * 2);
    assert_eq!(browser.run("microphones.length"), 1);
    open_view(&mut browser, "house");
    browser.expect_text("Hang up", SOON);
    browser.press("[aria-label^='Sign out']");
    browser.expect_text("offhook login", SOON);
    browser.expect(&format!("{LIVE}.length === 0"), SOON);
    offhook.expect_log("call ended", SOON);
    // Going back shows nothing.
    open_view(&mut browser, "calls");
    browser.expect_text("offhook login", SOON);

    // Signed out from elsewhere: its line and its events end at once, and no others are opened.
    let printed = offhook.command_output(&["login"]);
    browser.open("about:blank");
    browser.open(&super::link_in(&printed));
    browser.expect("!document.getElementById('views').hidden", SOON);
    open_view(&mut browser, "phone");
    browser.expect(
        "document.querySelector('.status')?.innerText === 'ready'",
        SOON,
    );
    let (_, found) = offhook.http("GET", "/api/web/sessions", "");
    let found: serde_json::Value = serde_json::from_str(&found).expect("JSON");
    let name = found["sessions"][0]["name"].as_str().expect("one browser");
    let path = format!("/api/web/sessions/{name}/end");
    assert_eq!(offhook.http("POST", &path, "").0, 204);
    browser.expect_text("offhook login", SOON);
}
