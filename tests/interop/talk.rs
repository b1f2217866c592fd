//! `offhook talk` where there is no sound device, or where the program was built without them: it says which, and fails.

use crate::offhook::{Offhook, text_of};
use crate::peers::take_floor;

#[test]
fn a_machine_without_sound_says_so() {
    let Some(_floor) = take_floor("a_machine_without_sound_says_so", None) else {
        return;
    };
    let offhook = Offhook::start("talk");
    let output = offhook.call_command(&["talk"]);
    let said = text_of(&output);
    // A machine with devices would talk until somebody hangs up: nobody runs tests on its microphone.
    let is_told = ["built without sound devices", "this machine has no"]
        .iter()
        .any(|words| said.contains(words));
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(is_told, "{said}");
}
