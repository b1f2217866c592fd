//! Callers who were cut off, and how long they are waited for afterwards.

use super::*;

/// Even odds for all turns: 500 ms.
fn doubtful() -> TurnConfig {
    TurnConfig {
        wait: WaitCurve {
            sure_ms: 200,
            unsure_ms: 500,
            unfinished_ms: 800,
            ..WaitCurve::default()
        },
        ..config()
    }
}

/// A question whose turn is taken at 1,100 ms, and an answer that is audible from 1,300 ms on.
const ASKED: &str = "0 speech
    800 pause -> transcribe 1
    840 final 1 Turn on the lights.
    1100 timeout -> ask 1 Turn on the lights.; commit 1; caller Turn on the lights.
    1290 text 1 Sure thing. -> speak 1 Sure thing.
    1300 started 1";

/// The caller goes on 400 ms after that, is silent from 1,820 ms on, and is asked for at `asked_ms`.
fn check_rest(config: TurnConfig, asked_ms: u32) {
    check_with(
        config,
        &format!(
            "{ASKED}
             1500 speech -> hold
             1700 timeout -> transcribe 2
             1740 final 2
             1900 hush -> transcribe 3
             1940 final 3 In the kitchen. -> stop 1; cancel 1; resume
             1940 cut 1 Sure -> heard~ Sure
             2020 pause
             {asked_ms} timeout -> ask 2 In the kitchen.; commit 2; caller In the kitchen."
        ),
        State::Thinking,
    );
}

#[test]
fn who_goes_on_at_once_is_waited_for_longer_from_then_on() {
    check_rest(doubtful(), 1_820 + 500 + 400);
    // Not where the owner wants none of it.
    let never = TurnConfig {
        patience_ms_max: 0,
        ..doubtful()
    };
    check_rest(never, 1_820 + 500);
}

#[test]
fn an_interruption_of_what_was_heard_changes_nothing() {
    check_with(
        doubtful(),
        &format!(
            "{ASKED}
             2300 speech -> hold
             2500 timeout -> transcribe 2
             2540 final 2
             2700 hush -> transcribe 3
             2740 final 3 In the kitchen. -> stop 1; cancel 1; resume
             2740 cut 1 Sure -> heard~ Sure
             2820 pause
             3120 timeout -> ask 2 In the kitchen.; commit 2; caller In the kitchen."
        ),
        State::Thinking,
    );
}

#[test]
fn patience_grows_to_its_bound_and_is_worn_away() {
    // The one moment that all others are counted from.
    #[allow(clippy::disallowed_methods)]
    let base = Instant::now();
    let at = |at_ms| base + Duration::from_millis(at_ms);
    let curve = WaitCurve::default();
    let mut patience = super::super::patience::Patience::default();
    for extra_ms in [400, 600, 600] {
        patience.took(at(0), at(300));
        patience.spoke(at(1_200), 600);
        assert_eq!(patience.wait_ms(&curve, 0.5), 1_000 + extra_ms);
        assert_eq!(patience.wait_ms(&curve, 0.0), 1_500 + extra_ms);
        // Surely finished is finished.
        assert_eq!(patience.wait_ms(&curve, 0.95), 250);
    }
    // Too late to be the rest of the same thought, or with the answer in the ear.
    for (last_voice, taken, spoken) in [(0, 2_000, 2_900), (0, 300, 1_400)] {
        patience.took(at(last_voice), at(taken));
        patience.spoke(at(spoken), 600);
        assert_eq!(patience.wait_ms(&curve, 0.5), 1_600);
    }
    let mut last = 1_600;
    for _ in 0..40 {
        patience.took(at(0), at(300));
        let wait_ms = patience.wait_ms(&curve, 0.5);
        assert!(wait_ms <= last);
        last = wait_ms;
    }
    assert_eq!(last, 1_000);
}
