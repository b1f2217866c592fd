//! The program as a Telegram bot, with a stand-in for Telegram: a person writes and is answered once, a stranger is told a
//! code once, and SIGKILL between any two steps loses nothing.

use crate::offhook::{Offhook, make_private_file};
use crate::page::claw_stand_in::ClawStandIn;
use crate::peers::take_floor;
use crate::process::wait_until;
use crate::telegram_stand_in::{StandIn, TOKEN};
use std::fs;
use std::time::Duration;

const LIMIT: Duration = Duration::from_secs(40);
const ANNA: i64 = 9;
const NOTE: &str = "Sent again after an interruption";

fn install(test: &str, telegram: &StandIn) -> Offhook {
    install_with(test, telegram, "")
}

/// `more`: further sections of the settings.
fn install_with(test: &str, telegram: &StandIn, more: &str) -> Offhook {
    let config = format!(
        "[telegram]\nenabled = true\ntoken_file = \"bot.token\"\nurl = \"http://{}\"\n\n\
         [[users]]\nname = \"anna\"\nlevel = \"owner\"\nidentities = [\"telegram:{ANNA}\"]\n{more}",
        telegram.address
    );
    let offhook = Offhook::install(test, &config);
    let token = offhook.home().join("bot.token");
    fs::write(&token, TOKEN).expect("a writable home");
    make_private_file(&token);
    offhook
}

/// Sums that the built-in agent answers, and what is in the answer.
fn sum(n: usize) -> (String, String) {
    (format!("What is {n} plus 1000?"), format!("{}", n + 1_000))
}

/// How often an answer holds this number.
fn count(telegram: &StandIn, number: &str) -> usize {
    let plain = |text: &String| text.replace([',', '.'], "");
    let texts = telegram.texts(ANNA);
    texts
        .iter()
        .filter(|text| plain(text).contains(number))
        .count()
}

fn expect_answer(offhook: &Offhook, telegram: &StandIn, number: &str) {
    let found = wait_until(LIMIT, || count(telegram, number) > 0);
    assert!(
        found,
        "{number}: {:?}\n{}",
        telegram.texts(ANNA),
        offhook.log_tail()
    );
}

#[test]
fn a_person_writes_to_the_bot_and_a_stranger_is_told_a_code() {
    let Some(_floor) = take_floor("a_person_writes_to_the_bot", None) else {
        return;
    };
    let telegram = StandIn::start();
    let mut offhook = install("telegram", &telegram);
    offhook.add_user("anna", "a password of hers");
    offhook.run();
    let (question, number) = sum(1);
    telegram.writes(ANNA, &question);
    expect_answer(&offhook, &telegram, &number);
    for _ in 0..3 {
        telegram.writes(66, "let me in");
    }
    let (question, number) = sum(2);
    telegram.writes(ANNA, &question);
    expect_answer(&offhook, &telegram, &number);
    let told = telegram.texts(66);
    assert_eq!(told.len(), 1, "{told:?}");
    assert!(told[0].contains("offhook people link"), "{told:?}");
    assert_eq!((count(&telegram, "1001"), count(&telegram, "1002")), (1, 1));
    // The token and what was said stay out of the log but where the settings of this test ask for it.
    assert!(!offhook.log().contains(TOKEN));
}

#[test]
fn nothing_is_lost_or_doubled_when_the_program_is_killed() {
    let Some(_floor) = take_floor("nothing_is_lost_when_killed", None) else {
        return;
    };
    let telegram = StandIn::start();
    let mut offhook = install("telegram-killed", &telegram);
    offhook.add_user("anna", "a password of hers");
    offhook.run();
    // Kept and answered, but never receipted: it comes again after the crash.
    telegram.forget_receipts(true);
    let (question, number) = sum(1);
    telegram.writes(ANNA, &question);
    expect_answer(&offhook, &telegram, &number);
    // Answers go out one after the other: when this one is there, the one before is written down as sent.
    let (question, number) = sum(9);
    telegram.writes(ANNA, &question);
    expect_answer(&offhook, &telegram, &number);
    offhook.kill();
    // Written while the program is away.
    let (question, number) = sum(2);
    telegram.writes(ANNA, &question);
    telegram.forget_receipts(false);
    offhook.run();
    expect_answer(&offhook, &telegram, &number);
    assert_eq!((count(&telegram, "1001"), count(&telegram, "1002")), (1, 1));
    // Killed while the answer is on its way: Telegram has it, and nobody here can know.
    telegram.mute(true);
    let (question, number) = sum(3);
    telegram.writes(ANNA, &question);
    expect_answer(&offhook, &telegram, &number);
    offhook.kill();
    telegram.mute(false);
    offhook.run();
    let again = wait_until(LIMIT, || count(&telegram, &number) == 2);
    assert!(again, "{:?}\n{}", telegram.texts(ANNA), offhook.log_tail());
    // A later question shows that nothing else comes.
    let (question, number) = sum(4);
    telegram.writes(ANNA, &question);
    expect_answer(&offhook, &telegram, &number);
    let counts: Vec<usize> = (1..=4).map(|n| count(&telegram, &sum(n).1)).collect();
    assert_eq!(counts, [1, 1, 2, 1], "{:?}", telegram.texts(ANNA));
    // The one repetition says so; that of the answer before the first kill may come too.
    let texts = telegram.texts(ANNA);
    let is_repeat = |text: &&String| text.contains(NOTE) && !text.contains("009");
    let repeats: Vec<&String> = texts.iter().filter(is_repeat).collect();
    assert_eq!(repeats.len(), 1, "{texts:?}");
    assert!(
        repeats[0].replace([',', '.'], "").contains("1003"),
        "{texts:?}"
    );
}

/// The gateway waits for a yes while the program dies: it is asked for again, and the old question and its buttons are over.
#[test]
fn an_old_question_is_over_and_asked_again() {
    let Some(_floor) = take_floor("an_old_question_is_over_and_asked_again", None) else {
        return;
    };
    const COMMAND: &str = "rsync -a /srv/photos backup:/photos";
    let claw = ClawStandIn::start(COMMAND);
    let telegram = StandIn::start();
    let agent = format!(
        "\n[agent]\nkind = \"openclaw\"\nurl = \"ws://127.0.0.1:{}\"\napi_key_file = \"claw.token\"\n",
        claw.port
    );
    let mut offhook = install_with("telegram-asked", &telegram, &agent);
    let token = offhook.home().join("claw.token");
    fs::write(&token, "token-of-the-stand-in\n").expect("a writable home");
    make_private_file(&token);
    offhook.add_user("anna", "a password of hers");
    offhook.run();
    let codes = || {
        let texts = telegram.texts(ANNA);
        let code =
            |text: &String| Some(text.split("Write &quot;yes ").nth(1)?.get(..4)?.to_owned());
        texts.iter().filter_map(code).collect::<Vec<String>>()
    };
    telegram.writes(ANNA, "Copy the photos.");
    let is_asked = wait_until(LIMIT, || codes().len() == 1);
    assert!(
        is_asked,
        "{:?}\n{}",
        telegram.texts(ANNA),
        offhook.log_tail()
    );
    // Delivered and noted; then nobody is told of anything.
    std::thread::sleep(Duration::from_secs(1));
    offhook.kill();
    offhook.run();
    let is_over = wait_until(LIMIT, || {
        telegram.edits().iter().any(|edit| edit.contains("is over"))
    });
    assert!(is_over, "{:?}\n{}", telegram.edits(), offhook.log_tail());
    let is_asked = wait_until(LIMIT, || codes().len() == 2);
    assert!(
        is_asked,
        "{:?}\n{}",
        telegram.texts(ANNA),
        offhook.log_tail()
    );
    let codes = codes();
    telegram.presses(ANNA, &format!("yes {}", codes[0]), 0);
    telegram.writes(ANNA, &format!("yes {}", codes[0]));
    let not_waiting = || {
        let texts = telegram.texts(ANNA);
        texts.iter().any(|text| text.contains("does not wait"))
    };
    assert!(wait_until(LIMIT, not_waiting), "{:?}", telegram.texts(ANNA));
    assert!(claw.decisions().is_empty(), "{:?}", claw.decisions());
    telegram.presses(ANNA, &format!("yes {}", codes[1]), 0);
    let is_decided = wait_until(LIMIT, || !claw.decisions().is_empty());
    assert!(
        is_decided,
        "{:?}\n{}",
        telegram.texts(ANNA),
        offhook.log_tail()
    );
    assert_eq!(claw.decisions()[0]["decision"], "allow-once");
    assert_eq!(claw.decisions().len(), 1);
}
