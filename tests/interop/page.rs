//! The page in a real browser: somebody opens the link that was printed, is signed in, writes and sees the answer come,
//! sends a voice note, looks at a call and where its time went, connects a phone, and is signed out again.
//!
//! OFFHOOK_PICTURES=FOLDER keeps a picture of every view, as wide as a phone and as a desk.

pub mod claw_stand_in;
mod stays;

use crate::browser::{Browser, floor_with_browser};
use crate::offhook::Offhook;
use crate::peers::take_floor;
use crate::process::wait_until;
use crate::sound::Sound;
use std::fs;
use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use claw_stand_in::ClawStandIn;

const SOON: Duration = Duration::from_secs(20);

/// The first link in what was printed.
pub fn link_in(printed: &str) -> String {
    let mut words = printed.split_whitespace();
    let link = words.find(|word| word.contains("/#login="));
    link.unwrap_or_else(|| panic!("no link in\n{printed}"))
        .to_owned()
}

/// A browser that has opened the link which the program printed when it started.
pub fn signed_in(offhook: &Offhook, mut browser: Browser) -> Browser {
    browser.open(&link_in(&offhook.log()));
    browser.expect("!document.getElementById('views').hidden", SOON);
    browser
}

fn open_view(browser: &mut Browser, view: &str) {
    browser.run(&format!("location.hash = {view:?}"));
}

#[test]
fn a_link_signs_in_once() {
    let test = "a_link_signs_in_once";
    let Some(_floor) = floor_with_browser(test, &[]) else {
        return;
    };
    let offhook = Offhook::start("page-link");
    let link = link_in(&offhook.log());
    let home = format!("http://{}/", offhook.web);

    // Nobody is signed in: the page says what to do.
    let mut stranger = Browser::start(None);
    stranger.open(&home);
    stranger.expect_text("offhook login", SOON);
    assert_eq!(stranger.complaints().len(), 1, "only the 401 itself");

    let mut browser = Browser::start(None);
    browser.open(&link);
    browser.expect_text("Your assistant's line is up", SOON);
    let hash = browser.run("location.href");
    assert_eq!(hash, home.as_str(), "the token is gone from the address");
    // A cookie that no script sees, and that a reload finds again.
    assert_eq!(browser.run("document.cookie"), "");
    browser.open(&home);
    browser.expect_text("Your assistant's line is up", SOON);
    assert_eq!(browser.complaints(), Vec::<String>::new());

    // How heavy and how fast: `--nocapture` shows it. Nothing is asserted about speed in a test.
    let ready = "Math.round(performance.getEntriesByName('offhook-ready')[0].startTime)";
    let bytes = "['resource', 'navigation'].flatMap((kind) => performance.getEntriesByType(kind))\
                 .reduce((sum, each) => sum + each.encodedBodySize, 0)";
    let (ready, bytes) = (browser.run(ready), browser.run(bytes));
    println!("the page: ready after {ready} ms, {bytes} bytes on the wire");

    stranger.open(&link);
    stranger.expect_text("used already", SOON * 2);

    // A second link, from the command line, for the same program that runs.
    let printed = offhook.command_output(&["login"]);
    stranger.open("about:blank");
    stranger.open(&link_in(&printed));
    stranger.expect_text("Your assistant's line is up", SOON);

    // One browser signs the other out; the open page notices when it asks for something.
    open_view(&mut stranger, "house");
    stranger.expect(
        "document.querySelectorAll('[aria-label^=\"Sign out\"]').length === 2",
        SOON,
    );
    stranger.run("[...document.querySelectorAll('.row')].find((row) => row.innerText.includes('last here')).querySelector('button').click()");
    stranger.expect(
        "document.querySelectorAll('[aria-label^=\"Sign out\"]').length === 1",
        SOON,
    );
    browser.open(&home);
    browser.expect_text("offhook login", SOON);
}

#[test]
fn another_site_gets_nothing_and_changes_nothing() {
    let test = "another_site_gets_nothing_and_changes_nothing";
    let Some(_floor) = take_floor(test, None) else {
        return;
    };
    let offhook = Offhook::start("page-door");
    let origin = format!("http://{}", offhook.web);
    let link = link_in(&offhook.log());
    let token = link.split_once("#login=").expect("a link").1;
    let body = format!("{{\"token\":\"{token}\"}}");
    let own = [
        ("X-Offhook", "1"),
        ("Origin", origin.as_str()),
        ("Sec-Fetch-Site", "same-origin"),
    ];
    let evil = [
        ("X-Offhook", "1"),
        ("Origin", "http://evil.example"),
        ("Sec-Fetch-Site", "cross-site"),
    ];
    assert_eq!(
        offhook.http_with("POST", "/api/web/login", &evil, &body).0,
        403
    );
    assert_eq!(
        offhook
            .http_with("POST", "/api/web/login", &own[1..], &body)
            .0,
        403
    );
    let (status, answer) = offhook.http_head("POST", "/api/web/login", &own, &body);
    assert_eq!(status, 204, "{answer}");
    assert!(answer.contains("HttpOnly; SameSite=Strict"), "{answer}");
    let cookie = answer
        .lines()
        .find_map(|line| line.strip_prefix("set-cookie: "));
    let cookie = cookie
        .and_then(|cookie| cookie.split(';').next())
        .expect("a cookie");
    let with = |headers: &[(&'static str, &str)]| -> Vec<(String, String)> {
        let own = headers
            .iter()
            .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
        std::iter::once(("Cookie".to_owned(), cookie.to_owned()))
            .chain(own)
            .collect()
    };
    let ask = |method: &str, path: &str, headers: Vec<(String, String)>| {
        let headers: Vec<(&str, &str)> = headers
            .iter()
            .map(|(n, v)| (n.as_str(), v.as_str()))
            .collect();
        offhook.http_with(method, path, &headers, "").0
    };
    let rows = [
        ("GET", "/api/web/me", with(&[]), 200),
        ("GET", "/api/web/me", vec![], 401),
        (
            "GET",
            "/api/web/me",
            with(&[("Sec-Fetch-Site", "cross-site")]),
            403,
        ),
        ("POST", "/api/web/approvals/stop", with(&[]), 403),
        ("POST", "/api/web/approvals/stop", with(&evil), 403),
        ("POST", "/api/web/approvals/stop", with(&own), 204),
        ("POST", "/api/web/approvals/stop", vec![], 401),
        // The cookie opens the page's routes, and not those of the API's token.
        ("GET", "/api/status", with(&own), 401),
    ];
    for (method, path, headers, expected) in rows {
        let shown = format!("{method} {path} {headers:?}");
        assert_eq!(ask(method, path, headers), expected, "{shown}");
    }
    // The token of the API still opens everything, without any of that.
    assert_eq!(offhook.http("GET", "/api/web/me", "").0, 200);
    assert_eq!(offhook.http("POST", "/api/web/approvals/lift", "{}").0, 204);
    let (_, page) = offhook.http_head("GET", "/", &[], "");
    for header in [
        "content-security-policy: default-src 'none'; script-src 'self'",
        "frame-ancestors 'none'",
        "x-frame-options: DENY",
        "x-content-type-options: nosniff",
        "referrer-policy: no-referrer",
    ] {
        assert!(page.contains(header), "{header} in\n{page}");
    }
    // Many may come by one proxy on this machine: whoever guesses there shuts nobody else out.
    let wrong = "{\"token\":\"abc\"}";
    let mut statuses: Vec<u16> = (0..24)
        .map(|_| offhook.http_with("POST", "/api/web/login", &own, wrong).0)
        .collect();
    statuses.dedup();
    assert_eq!(statuses, [401]);
}

#[test]
fn an_invitation_holds_what_a_phone_needs() {
    let test = "an_invitation_holds_what_a_phone_needs";
    let Some(_floor) = take_floor(test, None) else {
        return;
    };
    // At an address that a phone reaches; `url` says which.
    let mut offhook = Offhook::install("page-invitation", "");
    let file = offhook.home().join("offhook.toml");
    let text = fs::read_to_string(&file).expect("a config");
    let url = format!("[web]\nurl = \"http://{}\"\n", offhook.web);
    fs::write(&file, text.replace("[web]\n", &url)).expect("a writable home");
    offhook.run();
    let (status, made) = offhook.http("POST", "/api/web/phones", "{\"name\":\"garden\"}");
    assert_eq!(status, 201, "{made}");
    let made: serde_json::Value = serde_json::from_str(&made).expect("JSON");
    let text = |key: &str| made[key].as_str().unwrap_or_default().to_owned();
    assert!(text("qr").starts_with("<svg"), "{made}");
    let link = text("link");
    let path = link
        .strip_prefix(&format!("http://{}", offhook.web))
        .expect("our own address");
    // A phone has no cookie and no token.
    for n in 0..5 {
        let (status, settings) = offhook.http_with("GET", path, &[], "");
        if n == 4 {
            assert_eq!(status, 404, "it was read often enough");
            continue;
        }
        assert_eq!(status, 200);
        let password = format!(
            "<entry name=\"passwd\" overwrite=\"true\">{}</entry>",
            text("password")
        );
        let server = format!("sip:{};transport=tcp", offhook.sip);
        for part in [password.as_str(), server.as_str(), "sip:garden@127.0.0.1"] {
            assert!(settings.contains(part), "{part} in\n{settings}");
        }
    }
    assert_eq!(
        offhook
            .http("POST", "/api/web/phones", "{\"name\":\"garden\"}")
            .0,
        409
    );
    assert_eq!(
        offhook
            .http("POST", "/api/web/phones", "{\"name\":\"No Name\"}")
            .0,
        400
    );
}

#[test]
fn calls_phones_and_bans_are_shown_and_changed() {
    let test = "calls_phones_and_bans_are_shown_and_changed";
    let Some(_floor) = floor_with_browser(test, &[]) else {
        return;
    };
    let offhook = Offhook::start("page-house");
    let mut browser = signed_in(&offhook, Browser::start(None));
    browser.size(390, 844, false);

    // A call, while the page looks on.
    open_view(&mut browser, "calls");
    browser.expect_text("No calls yet", SOON);
    let call = offhook.call_command(&["call", "100", "--say", "What time is it?"]);
    assert!(call.status.success(), "{}", crate::offhook::text_of(&call));
    browser.expect("document.querySelector('.result.completed')", SOON);
    browser.press(".rows a");
    browser.expect(
        "document.querySelectorAll('.message.caller').length >= 1",
        SOON,
    );
    browser.expect(
        "document.querySelectorAll('.message.assistant').length >= 1",
        SOON,
    );
    // The picture is drawn, and nothing in it was forbidden.
    browser.run("document.querySelector('.turn img').scrollIntoView()");
    browser.expect(
        "document.querySelector('.turn img').naturalWidth >= 300",
        SOON,
    );
    browser.expect(
        "document.querySelector('.turn img').alt.includes('first packet')",
        SOON,
    );

    let call = browser.run("location.hash.slice(1)");
    let call = call.as_str().expect("a call's own page").to_owned();
    pictures(&mut browser, "one", &[&call]);

    // A phone is added, and what the code says is what Linphone reads.
    open_view(&mut browser, "house/connect");
    browser.write("#connect input", "office");
    browser.press("#connect button.main");
    browser.expect_text("The password is shown this once", SOON);
    let password = browser.run("document.querySelectorAll('.made code')[3].innerText");
    let password = password.as_str().expect("a password").to_owned();
    let listed = offhook.command_output(&["user", "list"]);
    assert!(listed.contains("office"), "{listed}");
    // The running program looks once a second.
    let is_known = wait_until(SOON, || offhook.log().contains("users changed"));
    assert!(is_known, "{}", offhook.log_tail());
    let registers = || {
        let file = offhook.home().join("password");
        fs::write(&file, &password).expect("a writable home");
        let file = file.display().to_string();
        let server = offhook.sip.to_string();
        let arguments = [
            "call",
            "101",
            "--user",
            "office",
            "--password-file",
            &file,
            "--server",
            &server,
            "--say",
            "hello",
        ];
        offhook.call_command(&arguments).status.success()
    };
    assert!(registers(), "{}", offhook.log_tail());

    // A ban, made elsewhere, is seen and lifted.
    offhook.command_output(&["bans", "add", "192.0.2.7"]);
    open_view(&mut browser, "calls");
    open_view(&mut browser, "house");
    browser.press("[aria-label='Lift the ban of 192.0.2.7']");
    browser.expect_text("Nobody is banned", SOON);
    assert!(
        offhook
            .command_output(&["bans"])
            .contains("Nobody is banned")
    );

    // Stopped, and lifted: without a PIN the owner's word is enough here.
    open_view(&mut browser, "approvals");
    browser.press("button.danger");
    browser.expect_text("Everything is stopped", SOON);
    browser.press("form button");
    browser.expect_text("Nothing waits for your yes", SOON);
    assert_eq!(browser.complaints(), Vec::<String>::new());
    pictures(
        &mut browser,
        "used",
        &["phone", "calls", "approvals", "house"],
    );
}

#[test]
fn an_answer_streams_into_the_chat() {
    let test = "an_answer_streams_into_the_chat";
    let Some(_floor) = floor_with_browser(test, &[]) else {
        return;
    };
    let offhook = Offhook::start("page-chat");
    let mut browser = signed_in(&offhook, Browser::start(None));
    browser.size(390, 844, false);
    // What becomes of the bubble that streams, piece by piece.
    browser.run(
        "window.pieces = new Set(); new MutationObserver(() => { \
         const text = document.querySelector('.streaming')?.innerText; if (text) pieces.add(text); \
         }).observe(document.querySelector('.live'), { childList: true, subtree: true, characterData: true })",
    );
    browser.write("#text", "Count from one to twelve.");
    browser.key("Enter", 13);
    browser.expect(
        "document.querySelectorAll('.log .message.caller').length === 1",
        SOON,
    );
    browser.expect(
        "document.querySelectorAll('[role=log] .message.assistant').length === 1",
        SOON,
    );
    browser.expect(
        "document.querySelector('[role=log] .assistant').innerText.includes('twelve')",
        SOON,
    );
    let pieces = browser.run("pieces.size").as_u64().unwrap_or(0);
    assert!(pieces >= 2, "the answer came in {pieces} pieces");
    browser.expect(
        "document.querySelector('[role=log] .caller .channel').innerText === 'web'",
        SOON,
    );

    // Said on the phone, seen here: with its channel, in order, while it happens.
    let file = offhook.home().join("password");
    let account = offhook.first_phone();
    fs::write(&file, &account.password).expect("a writable home");
    let (file, server) = (file.display().to_string(), offhook.sip.to_string());
    let call = offhook.call_command(&[
        "call",
        "100",
        "--user",
        &account.user,
        "--password-file",
        &file,
        "--server",
        &server,
        "--say",
        "What time is it?",
    ]);
    assert!(call.status.success(), "{}", crate::offhook::text_of(&call));
    browser.expect(
        "[...document.querySelectorAll('[role=log] .channel')].some((each) => each.innerText === 'phone')",
        SOON,
    );
    browser.run("location.reload()");
    browser.expect(
        "document.querySelectorAll('[role=log] .message').length >= 4",
        SOON,
    );
    pictures(&mut browser, "talked", &["chat", "calls"]);
    assert_eq!(browser.complaints(), Vec::<String>::new());
}

#[test]
fn a_voice_note_is_heard_and_answered() {
    let test = "a_voice_note_is_heard_and_answered";
    let Some(_floor) = floor_with_browser(test, &[]) else {
        return;
    };
    let offhook = Offhook::start("page-voice");
    let spoken = offhook.speak("What time is it?");
    let mut browser = signed_in(&offhook, Browser::start(Some(&spoken)));
    browser.press("button.note:not(.quiet)");
    browser.expect(
        "document.querySelector('.note-time').innerText === '0:03'",
        SOON,
    );
    browser.press("button.note:not(.quiet)");
    browser.expect(
        "document.querySelector('[role=log] .caller audio')",
        SOON * 2,
    );
    browser.expect("document.querySelector('[role=log] .assistant')", SOON * 2);
    // What was recorded can be played.
    let plays = "new Promise((done) => { const audio = document.querySelector('[role=log] .caller audio'); \
                 audio.onloadedmetadata = () => done(audio.duration > 1); audio.onerror = () => done(false); audio.load(); })";
    assert_eq!(browser.run(plays), true);
    let words = browser.run("document.querySelector('[role=log] .caller .bubble').innerText");
    let words = words.as_str().unwrap_or("").to_lowercase();
    assert!(
        crate::sound::words_in_order("what time is it", &words) >= 3,
        "{words}"
    );
    assert_eq!(browser.complaints(), Vec::<String>::new());
}

#[test]
fn the_phone_of_the_page_calls_the_assistant() {
    let test = "the_phone_of_the_page_calls_the_assistant";
    let Some(_floor) = floor_with_browser(test, &[]) else {
        return;
    };
    let mut offhook = Offhook::start("page-phone");
    // The microphone opens with the call: what it hears first comes before anybody listens.
    let spoken = offhook.home().join("later.wav");
    Sound::silence(48_000, 6_000)
        .then(&Sound::read(&offhook.speak("What time is it?")).at(48_000))
        .then(&Sound::silence(48_000, 30_000))
        .write(&spoken);
    let mut browser = signed_in(&offhook, Browser::start(Some(&spoken)));
    open_view(&mut browser, "phone");
    browser.expect("document.querySelector('input.number')", SOON);
    browser.write("input.number", "100");
    browser.press(".buttons .main");
    let is_talking = "document.querySelector('.status .clock')?.innerText.startsWith('0:')";
    browser.expect(is_talking, SOON * 2);
    // What it says comes out of the loudspeaker, and stands beside the keys.
    browser.expect(
        "[...document.querySelectorAll('meter')].some((each) => each.ariaLabel === 'The other side' && each.value > 0.02)",
        SOON,
    );
    // What was said stands there too.
    browser.expect(
        "document.querySelector('.captions .caption.caller')",
        SOON * 2,
    );
    browser.press(".buttons .danger");
    browser.expect(
        "document.querySelector('.buttons .main:not([hidden])')",
        SOON,
    );
    offhook.expect_log("call ended", SOON);
    assert_eq!(browser.complaints(), Vec::<String>::new());
}

#[test]
fn an_action_is_approved_on_the_page() {
    let test = "an_action_is_approved_on_the_page";
    let Some(_floor) = floor_with_browser(test, &[]) else {
        return;
    };
    const COMMAND: &str = "rsync -a /srv/photos backup:/photos";
    let claw = ClawStandIn::start(COMMAND);
    let config = format!(
        "[agent]\nkind = \"openclaw\"\nurl = \"ws://127.0.0.1:{}\"\napi_key_file = \"claw.token\"\n",
        claw.port
    );
    let mut offhook = Offhook::install("page-approval", &config);
    let token = offhook.home().join("claw.token");
    fs::write(&token, "token-of-the-stand-in\n").expect("a writable home");
    crate::offhook::make_private_file(&token);
    offhook.run();
    let mut browser = signed_in(&offhook, Browser::start(None));
    browser.size(390, 844, false);
    browser.write("#text", "Copy the photos.");
    browser.key("Enter", 13);
    browser.expect_text(claw_stand_in::WORDS, SOON * 2);
    // It is seen from wherever one is.
    browser.expect(
        "document.getElementById('waiting').innerText === '1'",
        SOON * 2,
    );
    open_view(&mut browser, "approvals");
    browser.expect_text(COMMAND, SOON);
    pictures(&mut browser, "asked", &["approvals"]);
    browser.press(".approval button.main");
    browser.expect_text("Nothing waits for your yes", SOON);
    let decided = claw.decisions();
    assert_eq!(decided.len(), 1, "{decided:?}");
    assert_eq!(decided[0]["decision"], "allow-once");
    // Written down, with where the yes came from.
    let log = offhook.command_output(&["audit"]);
    assert!(log.contains("web"), "{log}");
    assert_eq!(browser.complaints(), Vec::<String>::new());
}

/// Looks at views in both sizes; nothing may be wider than the window. Kept where somebody wants to look as well.
fn pictures(browser: &mut Browser, name: &str, views: &[&str]) {
    let folder = std::env::var_os("OFFHOOK_PICTURES").map(PathBuf::from);
    for (size, width, height, is_dark) in [
        ("phone", 390, 844, false),
        ("small", 360, 640, true),
        ("desk", 1280, 800, true),
    ] {
        browser.size(width, height, is_dark);
        for view in views {
            // Drawn anew, for this size.
            open_view(browser, "approvals");
            browser.expect_text("Approvals", SOON);
            open_view(browser, view);
            browser.expect("!document.querySelector('main [aria-busy]')", SOON);
            let fits = "document.documentElement.scrollWidth <= innerWidth \
                        && document.getElementById('main').scrollWidth <= document.getElementById('main').clientWidth";
            browser.expect(fits, SOON);
            browser.run("document.querySelector('.turn')?.scrollIntoView()");
            let Some(folder) = &folder else { continue };
            fs::create_dir_all(folder).expect("a folder for pictures");
            let text = browser.picture();
            let file = folder.join(format!(
                "{name}-{size}-{}.png",
                view.split('/').next().unwrap_or(view)
            ));
            let mut decode = Command::new("base64");
            decode.arg("-d").stdin(std::process::Stdio::piped());
            decode.stdout(fs::File::create(file).expect("a writable folder"));
            let mut child = decode.spawn().expect("base64 of coreutils");
            let mut stdin = child.stdin.take().expect("piped");
            std::io::Write::write_all(&mut stdin, text.as_bytes()).expect("it reads");
            drop(stdin);
            let _ = child.wait();
        }
    }
}
