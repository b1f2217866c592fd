//! The demo agent as a table: what is said to it, what it answers, and what it does.

use jiff::civil::date;
use jiff::tz::TimeZone;
use rand::SeedableRng;
use rand::rngs::StdRng;

use super::*;

fn ask(state: &mut DemoState, rng: &mut StdRng, text: &str) -> String {
    let zone = TimeZone::fixed(jiff::tz::offset(1));
    let now = date(2026, 11, 21)
        .at(15, 5, 0, 0)
        .to_zoned(zone)
        .expect("a valid time");
    let answer = reply(state, text, &now, rng);
    let mut shown = answer.text;
    for call in answer.tool_calls {
        let arguments = match call.arguments.as_object().is_some_and(|a| a.is_empty()) {
            true => String::new(),
            false => call.arguments.to_string(),
        };
        shown.push_str(&format!(" <{}{arguments}>", call.name));
    }
    shown
}

/// Each row is asked afresh; `wanted` is how the answer begins, or contains after "…".
fn check(rows: &[(&str, &str)]) {
    let mut failed = Vec::new();
    for (text, wanted) in rows {
        let mut rng = StdRng::from_seed([1; 32]);
        let got = ask(&mut DemoState::default(), &mut rng, text);
        let is_met = match wanted.strip_prefix('…') {
            Some(part) => got.contains(part),
            None => got.starts_with(wanted),
        };
        if !is_met {
            failed.push(format!("{text:?}\n  gave   {got:?}\n  wanted {wanted:?}"));
        }
    }
    assert!(failed.is_empty(), "{}", failed.join("\n"));
}

#[test]
fn time_and_date() {
    check(&[
        ("What time is it?", "It is 3:05 PM."),
        ("what's the time", "It is 3:05 PM."),
        ("Tell me the time, please.", "It is 3:05 PM."),
        ("Do you know what time it is?", "It is 3:05 PM."),
        ("time", "It is 3:05 PM."),
        (
            "What time is it in UTC?",
            "In universal time it is 2:05 PM.",
        ),
        ("What time is it in Tokyo?", "In Tokyo it is 11:05 PM."),
        ("what's the time in new york", "In New York it is 9:05 AM."),
        ("What day is it?", "Today is Saturday, November 21, 2026."),
        (
            "What's today's date?",
            "Today is Saturday, November 21, 2026.",
        ),
        (
            "what is the date tomorrow",
            "Tomorrow is Sunday, November 22, 2026.",
        ),
        (
            "What day was yesterday?",
            "Yesterday was Friday, November 20, 2026.",
        ),
        (
            "What day is the day after tomorrow?",
            "The day after tomorrow is Monday",
        ),
        ("What year is it?", "It is the year 2026."),
        ("Which day of the week is it today?", "Today is Saturday"),
    ]);
}

#[test]
fn repeating_and_spelling() {
    check(&[
        (
            "Repeat after me: the quick brown fox.",
            "The quick brown fox.",
        ),
        ("Say hello world", "Hello world."),
        ("Can you say good morning?", "Good morning?"),
        ("Please repeat I like trains.", "I like trains."),
        ("repeet after me one two three", "One two three."),
        ("Say goodbye", "Goodbye."),
        ("Repeat", "I have not said anything yet."),
        ("Repeat after me", "Tell me what to repeat"),
        ("Spell cat", "C, A, T."),
        ("How do you spell Offhook?", "O, F, F, H, O, O, K."),
        (
            "Spell the word telephone, please.",
            "T, E, L, E, P, H, O, N, E.",
        ),
        ("How is Paris spelled?", "P, A, R, I, S."),
        ("spell new york", "N, E, W, space, Y, O, R, K."),
        ("Spell B2B", "B, two, B."),
        ("Spell", "Which word shall I spell?"),
    ]);
}

#[test]
fn counting_and_chance() {
    check(&[
        ("Count to five.", "One, two, three, four, five."),
        ("count up to three please", "One, two, three."),
        ("Count from three to six", "Three, four, five, six."),
        ("Count down from three", "Three, two, one, zero."),
        ("Count backwards from five to three", "Five, four, three."),
        ("count to a thousand", "…forty nine, fifty. And so on."),
        ("Count", "Tell me how far"),
        ("Flip a coin", "…s."),
        ("Heads or tails?", "…s."),
        ("Roll a die", "You rolled a "),
        ("Roll the dice", "You rolled a "),
        ("roll two dice", "…Together"),
        ("Role three dice please", "…Together"),
        ("Throw ninety dice", "…Together"),
        ("Pick a number between one and one", "One."),
        ("Give me a random number", "…."),
    ]);
}

#[test]
fn timers() {
    check(&[
        (
            "Set a timer for three minutes.",
            "A timer is set for 3 minutes. Stay on the line and I will tell you. \
             <set_timer{\"label\":\"3 minute\",\"seconds\":180}>",
        ),
        ("set a tymer for twenty five seconds", "…\"seconds\":25"),
        (
            "Start a timer for an hour and a half",
            "A timer is set for 1 hour and 30 minutes.",
        ),
        (
            "Timer for ninety seconds please",
            "A timer is set for 1 minute and 30 seconds.",
        ),
        (
            "I need a 10-minute timer for the eggs",
            "The eggs timer is set for 10 minutes.",
        ),
        (
            "Set a timer called tea for four minutes",
            "…\"seconds\":240",
        ),
        (
            "Remind me in five minutes to call Tom",
            "A timer is set for 5 minutes.",
        ),
        ("Wake me in half an hour", "A timer is set for 30 minutes."),
        ("Set an alarm in two hours", "A timer is set for 2 hours."),
        ("Set a timer", "For how long shall I set the timer?"),
        (
            "Set a timer for zero minutes",
            "That timer would be over already.",
        ),
        ("Set a timer for two days", "A timer runs within this call"),
        ("Cancel the timer", "No timer is running."),
        ("How long is left on my timer?", "No timer is running."),
    ]);
}

#[test]
fn sums_are_done() {
    check(&[
        ("What is twelve times seven?", "Twelve times seven is 84."),
        ("What's 12 plus 30?", "12 plus 30 is 42."),
        (
            "how much is one divided by three",
            "One divided by three is about 0.3333.",
        ),
        (
            "Calculate three hundred minus twenty five",
            "Three hundred minus twenty five is 275.",
        ),
        ("What is the square root of eighty one", "…is 9."),
        ("Divide one by zero", "Nothing can be divided by zero."),
        ("Add three and four", "That is 7."),
        ("Two minus five", "Two minus five is minus 3."),
    ]);
}

#[test]
fn who_and_how() {
    check(&[
        ("Help", "I am the built-in demo."),
        ("What can you do?", "I am the built-in demo."),
        ("How does this work?", "I am the built-in demo."),
        ("How do I connect my own agent?", "Open the config file"),
        ("how do i set up my agent", "Open the config file"),
        ("How can I configure a real model", "Open the config file"),
        ("Who are you?", "I am the demo agent of Offhook"),
        ("What's your name?", "I am the demo agent of Offhook"),
        ("Are you a robot?", "…no language model"),
        ("Are you a real person?", "…no language model"),
        ("My name is Robin.", "Nice to meet you, Robin."),
        ("What is my name?", "You have not told me your name."),
    ]);
}

#[test]
fn small_talk() {
    check(&[
        ("Hello", "Good afternoon. What can I do for you?"),
        ("Hi there", "Good afternoon."),
        ("Good morning", "Good afternoon."),
        ("How are you?", "Very well, thank you."),
        ("Thank you very much", "You are welcome."),
        ("Thanks", "You are welcome."),
        ("Can you hear me?", "Yes, I hear you well."),
        ("Testing one two three", "The test works"),
        ("Stop", "All right."),
        ("Never mind", "All right."),
        ("Okay", "Good. What next?"),
        ("Sorry", "No harm done."),
        ("Tell me a joke", "Why did the telephone"),
        ("Goodbye", "Goodbye. Call again any time. <hang_up>"),
        ("good bye", "Goodbye. Call again any time. <hang_up>"),
        ("Okay, bye!", "…<hang_up>"),
        ("Please hang up now", "…<hang_up>"),
        ("Don't hang up", "I heard: Don't hang up."),
        (
            "What's the weather like?",
            "I heard: What's the weather like. I am only the demo and have no answer to that.",
        ),
        ("Purple elephants dance", "I heard: Purple elephants dance."),
        ("", "I did not catch any words."),
        ("?!.", "I did not catch any words."),
    ]);
}

#[test]
fn conversations() {
    for script in [
        &[
            ("Set a timer", "For how long shall I set the timer?"),
            ("Ten minutes", "…\"seconds\":600"),
            ("Set a timer for the tea", "For how long"),
            ("Three", "…\"seconds\":180"),
            (
                "How much time is left?",
                "The 3 minute timer has 3 minutes left.",
            ),
            (
                "Cancel all timers",
                "All two timers are cancelled. <cancel_timers>",
            ),
            ("Cancel the timer", "No timer is running."),
        ][..],
        &[
            ("What time is it?", "It is 3:05 PM."),
            ("Say that again", "It is 3:05 PM."),
            ("Pardon?", "It is 3:05 PM."),
        ],
        &[
            ("My name is robin", "Nice to meet you, Robin."),
            ("Hello", "Good afternoon, Robin."),
            ("What's my name", "You are Robin."),
            ("Bye", "Goodbye, Robin."),
        ],
        &[
            ("Spell", "Which word"),
            ("Dog", "D, O, G."),
            ("Spell", "Which word"),
            ("What time is it now", "It is 3:05 PM."),
        ],
        &[("Tell me a joke", "Why did"), ("Another joke", "I wanted")],
    ] {
        let mut state = DemoState::default();
        let mut rng = StdRng::from_seed([2; 32]);
        for (text, wanted) in script {
            let got = ask(&mut state, &mut rng, text);
            let is_met = match wanted.strip_prefix('…') {
                Some(part) => got.contains(part),
                None => got.starts_with(wanted),
            };
            assert!(is_met, "{text:?} gave {got:?}, wanted {wanted:?}");
        }
    }
}

#[test]
fn timers_are_bounded() {
    let mut state = DemoState::default();
    let mut rng = StdRng::from_seed([3; 32]);
    for _ in 0..8 {
        assert!(ask(&mut state, &mut rng, "set a timer for one hour").contains("<set_timer"));
    }
    assert!(ask(&mut state, &mut rng, "set a timer for one hour").starts_with("Eight timers"));
}

fn request(session: &str, said: &[&str]) -> AskRequest {
    AskRequest {
        reply: crate::turn::ReplyId(1),
        session: session.to_owned(),
        system: String::new(),
        messages: said
            .iter()
            .map(|text| super::super::Message {
                role: Role::User,
                text: (*text).to_owned(),
            })
            .collect(),
        speculative: true,
        tools: Vec::new(),
        rounds: Vec::new(),
    }
}

#[test]
fn a_guess_that_was_called_off_leaves_no_trace() {
    let demo = Demo::new("UTC", [4; 32]).expect("UTC exists");
    let name = "What is my name?";
    // Guessed, but never part of the conversation.
    demo.answer(&request("a", &["My name is Rob"]));
    let got = demo.answer(&request("a", &["My name is Robin"]));
    assert!(got.text.contains("Robin"));
    let got = demo.answer(&request("a", &["My name is Robin", name]));
    assert_eq!(got.text, "You are Robin.");
    demo.answer(&request("b", &["My name is Rob"]));
    let got = demo.answer(&request("b", &[name]));
    assert_eq!(got.text, "You have not told me your name.");
    assert!(Demo::new("Nowhere/Land", [0; 32]).is_err());
}

#[tokio::test]
async fn it_streams_in_pieces() {
    let demo = Demo::new("", [5; 32]).expect("the machine has a zone");
    let (sender, mut receiver) = mpsc::channel(4);
    let _asked = demo.ask(request("a", &["goodbye"]), sender);
    let mut seen = Vec::new();
    while let Some(event) = receiver.recv().await {
        seen.push(event);
    }
    let text: String = seen
        .iter()
        .filter_map(|event| match event {
            GatewayEvent::Text(text) => Some(text.as_str()),
            _ => None,
        })
        .collect();
    assert_eq!(text, "Goodbye. Call again any time.");
    assert!(
        matches!(&seen[..], [.., GatewayEvent::ToolCall(call), GatewayEvent::Done { .. }] if call.name == "hang_up")
    );
    assert!(demo.check().await.is_ok() && demo.describe().demo);
}
