//! The sentences of the desk, and the code of a request. Owns every word that the desk says by itself. What comes from
//! a request stands in sentences of its own, between two of ours, without any sign that could end one.
//! PURE.

use rand::RngExt as _;
use rand::rngs::StdRng;

use super::super::wording::{Reading, TEXT_CHARS_MAX, intent};
use super::super::{ApprovalKind, ApprovalRequest};
use crate::levels::Why;

pub(super) const PIN: &str = "Please key in your PIN, and press hash. You may also say it.";
pub(super) const PIN_FOR_APPROVAL: &str = "Something needs your approval, and that needs your PIN.";
pub(super) const PIN_AGAIN: &str = "A PIN has four to eight digits. Please try again.";
pub(super) const PIN_WRONG: &str = "That PIN is wrong. Please try again.";
pub(super) const NO_MORE_PINS: &str = "That was not right, and I take no more PINs for now.";
pub(super) const RAISED: &str = "Thank you. That holds until the end of this call.";
pub(super) const ALLOWED: &str = "Allowed, this once.";
pub(super) const REFUSED: &str = "Refused.";
pub(super) const WRONG_CODE: &str = "That was another code, so I refused it.";
pub(super) const UNCLEAR: &str = "I did not hear the code alone, so I refused it.";
pub(super) const SILENCE: &str = "I heard no answer, so I refused it.";
pub(super) const EXPIRED: &str = "That took too long, so it was refused.";
pub(super) const ELSEWHERE: &str = "That has been decided elsewhere.";
pub(super) const NEVER_MIND: &str = "Never mind, then.";
pub(super) const ON_SCREEN: &str = "Something needs your approval, but its text speaks as if it were me. I do not read \
     that out. Please look at it on the screen.";
pub(super) const LIFTED: &str = "Approvals are possible again.";
pub(super) const STOPPED: &str = "I have stopped everything in this call.";
pub(super) const STOPPED_AND_FROZEN: &str =
    "Everything is stopped. Nothing risky is done any more until you lift that.";

pub(super) fn no(why: Why) -> &'static str {
    match why {
        Why::Level => "I can't do that for this phone.",
        Why::NoPin => "There is no PIN for this phone. The owner can set one.",
        Why::Locked => NO_MORE_PINS,
        Why::Frozen => "Approvals are stopped until the owner lifts that.",
    }
}

/// A code for this request that can't be read in its text.
pub(super) fn code(rng: &mut StdRng, request: &ApprovalRequest) -> String {
    let digits: String = request
        .what
        .chars()
        .chain(request.place.chars())
        .take(2 * TEXT_CHARS_MAX)
        .filter(char::is_ascii_digit)
        .collect();
    let mut code = String::new();
    // A text that holds nearly all numbers is not worth more than so many tries.
    for _ in 0..64 {
        code = rng.random_range(100..1_000_u32).to_string();
        if !digits.contains(&code) {
            break;
        }
    }
    code
}

/// The question about one request.
pub(super) fn approval(kind: ApprovalKind, reading: &Reading, code: &str) -> Vec<String> {
    let mut sentences = vec![
        "Approval needed.".to_owned(),
        format!("The agent wants to {}.", intent(kind)),
    ];
    match reading.what.is_empty() {
        true => sentences.push("It does not say what.".to_owned()),
        false => sentences.push(format!("{}.", reading.what)),
    }
    if !reading.place.is_empty() {
        sentences.push(format!("At {}.", reading.place));
    }
    if reading.unsaid > 0 {
        let among = match reading.risks.is_empty() {
            true => String::new(),
            false => format!(", among them {}", reading.risks.join(", ")),
        };
        sentences.push(format!(
            "I left out {} words in the middle{among}. All of it is on the screen.",
            reading.unsaid
        ));
    }
    if reading.has_hidden {
        sentences.push("It also holds signs that can't be read out.".to_owned());
    }
    sentences.push("That was the request.".to_owned());
    sentences.push(format!("To allow it once, press or say {}.", spelled(code)));
    sentences.push("To refuse, press star, or say no.".to_owned());
    sentences
}

fn spelled(code: &str) -> String {
    let names = [
        "zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine",
    ];
    let digits = code.chars().filter_map(|c| c.to_digit(10));
    let words: Vec<&str> = digits.map(|digit| names[digit as usize]).collect();
    words.join(", ")
}
