//! Questions asked before the commit.

use super::*;

/// Guessing, and waits by how finished the turn is.
fn eager() -> TurnConfig {
    TurnConfig {
        wait: WaitCurve::default(),
        strategies: vec![Strategy::Text, Strategy::Prosody],
        speculation: Speculation::default(),
        ..config()
    }
}

/// The caller pauses for 80 ms at 880, so their last voice was at 800.
const ASKING: &str = "
    0 speech
    880 hush -> transcribe 1
    930 final 1 What time is it? -> ask 1 What time is it?
    960 text 1 It is noon. -> ready 1 It is noon.";

#[test]
fn a_right_guess_is_released_as_it_is() {
    let script = format!(
        "{ASKING}
         980 last 1 -> ready! 1
         1000 pause
         1050 timeout -> commit 1; caller What time is it?; speak! 1
         1060 started 1
         2000 played 1 It is noon. -> heard It is noon."
    );
    check_with(eager(), &script, State::Listening);
    let (_, turn) = run(eager(), &script);
    let ledger = turn.ledger();
    assert_eq!((ledger.guesses, ledger.hits, ledger.misses), (1, 1, 0));
    assert_eq!((ledger.saved_ms, ledger.tokens_wasted), (120, 0));
}

#[test]
fn a_wrong_guess_leaves_nothing_but_its_cost() {
    let script = format!(
        "{ASKING}
         1000 again -> drop 1
         1250 timeout -> cancel 1
         2080 hush -> transcribe 2
         2130 final 2 What time is it in London? -> ask 2 What time is it in London?
         2200 pause
         2250 timeout -> commit 2; caller What time is it in London?"
    );
    check_with(eager(), &script, State::Thinking);
    let (_, turn) = run(eager(), &script);
    let ledger = turn.ledger();
    assert_eq!((ledger.guesses, ledger.hits, ledger.misses), (2, 1, 1));
    assert_eq!(ledger.tokens_wasted, 3);
}

#[test]
fn a_click_does_not_make_a_guess_wrong() {
    let script = format!(
        "{ASKING}
         980 again -> drop 1
         1100 hush -> transcribe 2
         1150 final 2 What time is it?
         1200 pause
         1270 timeout -> commit 1; caller What time is it?; speak 1"
    );
    check_with(eager(), &script, State::AgentSpeaking);
}

#[test]
fn a_guess_stops_at_a_tool() {
    let script = format!(
        "{ASKING}
         970 tool 1 set_timer
         980 text 1  Anything else?
         990 last 1
         1000 pause
         1050 timeout -> commit 1; caller What time is it?; speak 1; run 1 set_timer; speak! 1  Anything else?"
    );
    check_with(eager(), &script, State::AgentSpeaking);
}

#[test]
fn a_guess_that_fails_is_asked_again_at_the_commit() {
    check_with(
        eager(),
        "0 speech
         880 hush -> transcribe 1
         930 final 1 What time is it? -> ask 1 What time is it?
         960 unreachable 1 -> cancel 1
         1000 pause
         1050 timeout -> ask 2 What time is it?; commit 2; caller What time is it?
         1060 unreachable 2 -> cancel 2; speak! 3 <Unreachable>",
        State::AgentSpeaking,
    );
}

#[test]
fn guessing_has_a_switch_and_a_budget() {
    let script = "0 speech
         880 hush -> transcribe 1
         930 final 1 What time is it?
         1000 pause
         1050 timeout -> ask 1 What time is it?; commit 1; caller What time is it?";
    for speculation in [
        Speculation {
            enabled: false,
            ..Speculation::default()
        },
        Speculation {
            guesses_max: 0,
            ..Speculation::default()
        },
    ] {
        let config = TurnConfig {
            speculation,
            ..eager()
        };
        check_with(config, script, State::Thinking);
    }
    let config = TurnConfig {
        speculation: Speculation {
            tokens_wasted_max: 3,
            ..Speculation::default()
        },
        ..eager()
    };
    let script = format!(
        "{ASKING}
         1000 again -> drop 1
         1250 timeout -> cancel 1
         2080 hush -> transcribe 2
         2130 final 2 What time is it in London?
         2200 pause
         2250 timeout -> ask 2 What time is it in London?; commit 2; caller What time is it in London?"
    );
    check_with(config, &script, State::Thinking);
}

#[test]
fn missing_again_and_again_makes_guessing_rare() {
    // A caller who always goes on: the first guesses are dropped, then none is made of words that may
    // well go on.
    let mut script = String::new();
    for turn in 0..8 {
        let at = |ms: u32| turn * 10_000 + ms;
        script.push_str(&format!(
            "{} speech\n{} hush\n{} final {} turn on the lights\n{} again\n",
            at(0),
            at(1080),
            at(1100),
            2 * turn + 1,
            at(1150),
        ));
        script.push_str(&format!(
            "{} hush\n{} final {} turn on the lights and tell me a story\n{} pause\n",
            at(2080),
            at(2100),
            2 * turn + 2,
            at(2200),
        ));
    }
    let config = TurnConfig {
        speculation: Speculation {
            guesses_max: 1,
            ..Speculation::default()
        },
        ..eager()
    };
    let ledger = loosely(config, &script).ledger();
    assert_eq!(ledger.hits, 0, "{ledger:?}");
    assert!((4..8).contains(&ledger.misses), "{ledger:?}");
}

/// Runs a script whose timeouts are the machine's own business, with an agent that answers at once.
fn loosely(config: TurnConfig, script: &str) -> Turn {
    #[allow(clippy::disallowed_methods)]
    let base = Instant::now();
    let mut turn = Turn::new(config);
    let tell = |turn: &mut Turn, now, event| {
        let mut committed = None;
        turn.handle(now, event);
        while let Some(action) = turn.poll_action() {
            if let Action::Commit { id } = action {
                committed = Some(id);
            }
        }
        let Some(id) = committed else { return };
        for event in [
            Event::ReplyText {
                id,
                text: "All right.".into(),
                last: true,
            },
            Event::PlayoutStarted { id },
            Event::PlayoutStopped {
                id,
                heard: "All right.".into(),
                complete: true,
            },
        ] {
            turn.handle(now, event);
            while turn.poll_action().is_some() {}
        }
    };
    for line in script.lines().map(str::trim).filter(|l| !l.is_empty()) {
        let (at, name) = line.split_once(' ').expect("a time and an event");
        let now = base + Duration::from_millis(at.parse().expect("milliseconds"));
        while let Some(due) = turn.next_timeout().filter(|due| *due < now) {
            tell(&mut turn, due, Event::Timeout);
        }
        tell(&mut turn, now, event(name));
    }
    turn
}

#[test]
fn the_wait_follows_from_the_words_and_the_sound() {
    for (words, sounds, wait_ms) in [
        ("What time is it?", "0.9", 250..=300),
        ("I'd like to", "0.5", 1_200..=1_500),
        ("Set a timer for", "0.9", 800..=1_500),
    ] {
        let script = format!(
            "0 speech
             880 hush
             890 sounds {sounds}
             930 final 1 {words}
             1000 pause"
        );
        let (_, turn) = run(eager(), &script);
        #[allow(clippy::disallowed_methods)]
        let base = turn.began_at.expect("it began");
        let due = turn.next_timeout().expect("a commit is due") - base;
        let waited = u32::try_from(due.as_millis()).expect("short") - 800;
        assert!(wait_ms.contains(&waited), "{words} {sounds}: {waited} ms");
    }
}
