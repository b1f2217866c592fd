//! Phones that get texts, whichever program they are.

use crate::baresip::Phone;
use crate::linphone_phone::Linphone;
use crate::offhook::Offhook;
use crate::process::wait_until;
use std::time::Duration;

/// A text may wait for a registration, and for an answer of the assistant.
const LIMIT: Duration = Duration::from_secs(40);

pub trait Texted {
    /// All texts so far, each after the address of its sender.
    fn texts_so_far(&self) -> Vec<String>;
    /// The end of what it has logged.
    fn log_end(&self) -> String;
}

impl Texted for Phone {
    fn texts_so_far(&self) -> Vec<String> {
        self.texts()
    }

    fn log_end(&self) -> String {
        self.tail()
    }
}

impl Texted for Linphone {
    fn texts_so_far(&self) -> Vec<String> {
        self.texts()
    }

    fn log_end(&self) -> String {
        self.tail()
    }
}

/// Waits for a text with these words; all texts so far.
pub fn expect_text(phone: &impl Texted, offhook: &Offhook, words: &str) -> Vec<String> {
    let came = wait_until(LIMIT, || {
        phone.texts_so_far().iter().any(|text| text.contains(words))
    });
    let texts = phone.texts_so_far();
    assert!(
        came,
        "{words:?} is not in {texts:?}\n{}\n{}",
        phone.log_end(),
        offhook.log_tail()
    );
    texts
}
