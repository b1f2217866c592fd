//! The caller speaks over the assistant, with real packets: a sentence stops it and takes the floor, and the conversation
//! holds what was heard; a short sound of agreement does not stop it for good.

use crate::drill::{COUNT, call, counting_agent, said};
use crate::offhook::Offhook;
use crate::peers::{BARESIP, take_floor};
use crate::sound::{golden, words, words_in_order};

/// The greeting is over by then.
const AFTER_GREETING_MS: u32 = 4_000;
/// From the end of the request to the interruption: the count is well under way, and far from its end.
const COUNTED_MS: u32 = 5_000;
#[test]
fn a_sentence_over_the_reply_takes_the_floor() {
    let test = "a_sentence_over_the_reply_takes_the_floor";
    let Some(_floor) = take_floor(test, Some(BARESIP)) else {
        return;
    };
    let offhook = Offhook::start_with("barge-in", &counting_agent());
    let says = [
        (AFTER_GREETING_MS, golden("Turn the office lamp up")),
        (COUNTED_MS, golden("What is six times twelve")),
    ];
    let (messages, _) = call(&offhook, &says, 22);
    let replies = said(&messages, "assistant");
    let counted = replies
        .iter()
        .position(|text| text.to_lowercase().starts_with("one, two"));
    let counted = counted.unwrap_or_else(|| panic!("{messages:?}\n{}", offhook.log_tail()));
    // What is stored is a beginning of the count. It went on for some five seconds and stopped within seconds of the
    // interruption: of forty numbers, less than every second was heard.
    let heard = words(replies[counted]);
    assert_eq!(heard, words(COUNT)[..heard.len()], "{messages:?}");
    assert!(
        (3..26).contains(&heard.len()),
        "{heard:?}\n{}",
        offhook.log_tail()
    );
    // And then their question has its answer.
    let asked = said(&messages, "caller").join(" ");
    assert!(
        words_in_order("six times twelve", &asked) >= 2,
        "{messages:?}"
    );
    let after = replies[counted + 1..].join(" ").to_lowercase();
    assert!(after.contains("seventy two"), "{messages:?}");
}

#[test]
fn an_agreement_over_the_reply_does_not_stop_it_for_good() {
    let test = "an_agreement_over_the_reply_does_not_stop_it_for_good";
    let Some(_floor) = take_floor(test, Some(BARESIP)) else {
        return;
    };
    let offhook = Offhook::start_with("agreement", &counting_agent());
    let says = [
        (AFTER_GREETING_MS, golden("Turn the office lamp up")),
        (COUNTED_MS, offhook.speak("Uh huh.")),
    ];
    let (messages, _) = call(&offhook, &says, 34);
    // Held for a moment at the most: by the end of the call it has counted far beyond that place.
    let all = words(COUNT);
    let replies = said(&messages, "assistant");
    let counted = replies.iter().map(|text| {
        let heard = words(text);
        heard.iter().zip(&all).take_while(|(a, b)| a == b).count()
    });
    let counted = counted.max().unwrap_or_default();
    assert!(
        counted >= 26,
        "{counted}: {messages:?}\n{}",
        offhook.log_tail()
    );
}
