//! Tables of what callers say into our speech, and what it means.

use super::*;
use Verdict::{Backchannel, Echo, Nothing, Stop, Turn};

const FORECAST: &str = "Tomorrow will be mostly sunny, with a high of twenty five degrees and a light wind \
    from the west. I'll stop here.";

fn plain(speaking: &str) -> Context<'_> {
    Context {
        speaking,
        asked: Asked::Nothing,
    }
}

#[test]
fn while_we_say_the_forecast() {
    let context = plain(FORECAST);
    for (text, expected) in [
        ("", Nothing),
        ("...", Nothing),
        ("[laughter]", Nothing),
        ("you", Nothing),
        ("Thanks for watching!", Nothing),
        ("um", Backchannel),
        ("Uh-huh.", Backchannel),
        ("Mm-hmm.", Backchannel),
        ("mhm", Backchannel),
        ("Hmm.", Backchannel),
        ("Yeah.", Backchannel),
        ("yeah yeah", Backchannel),
        ("Okay.", Backchannel),
        ("okay okay okay", Backchannel),
        ("Right.", Backchannel),
        ("Sure", Backchannel),
        ("I see.", Backchannel),
        ("oh I see", Backchannel),
        ("Got it", Backchannel),
        ("go on", Backchannel),
        ("Really?", Backchannel),
        ("oh wow", Backchannel),
        ("nice", Backchannel),
        ("Cool, great", Backchannel),
        ("exactly", Backchannel),
        ("haha", Backchannel),
        ("Ha ha ha", Backchannel),
        ("hahahaha", Backchannel),
        ("yes", Backchannel),
        ("Thank you.", Backchannel),
        // One odd word out of a cough.
        ("Chair", Backchannel),
        ("the", Nothing),
        ("Stop.", Stop),
        ("stop", Stop),
        ("please stop", Stop),
        ("Okay, stop", Stop),
        ("stop stop stop", Stop),
        ("Wait.", Stop),
        ("wait wait", Stop),
        ("no wait", Stop),
        ("Never mind.", Stop),
        ("Hold on", Stop),
        ("hang on a second", Stop),
        ("Be quiet!", Stop),
        ("no no", Stop),
        ("No, no, no.", Stop),
        ("Cancel.", Stop),
        ("cancel that", Stop),
        ("wait that's wrong", Stop),
        ("that's enough thanks", Stop),
        ("mostly sunny with a high stop", Stop),
        ("twenty five degrees and a light wait", Stop),
        ("mostly sunny with a high of twenty five degrees", Echo),
        ("Mostly sunny with a eye of 25 degrees", Echo),
        ("light wind", Echo),
        ("degrees", Echo),
        ("I'll stop here", Echo),
        ("will be mostly sunny yeah", Echo),
        ("will be mostly sunny what about Sunday", Turn),
        ("but what about Sunday with a high of", Turn),
        ("What about Sunday?", Turn),
        ("okay but what about Sunday", Turn),
        ("Okay and", Turn),
        ("yes but", Turn),
        ("No.", Turn),
        ("What?", Turn),
        ("Sorry?", Turn),
        ("Hello?", Turn),
        ("operator", Turn),
        ("stop the timer", Turn),
        ("cancel my appointment", Turn),
        ("set a timer for five minutes", Turn),
        ("don't stop now please go on with the story", Turn),
        ("I don't want it to stop", Turn),
        ("in Paris", Turn),
        ("was ist mit Sonntag", Turn),
    ] {
        assert_eq!(judge(text, &context), expected, "{text:?}");
    }
}

#[test]
fn answers_to_what_we_are_asking() {
    let digits = Asked::Digits { count: Some(4) };
    for (text, asked, expected) in [
        ("Yes.", Asked::YesNo, Turn),
        ("no", Asked::YesNo, Turn),
        ("yeah okay", Asked::YesNo, Turn),
        ("sure", Asked::YesNo, Turn),
        ("of course", Asked::YesNo, Turn),
        ("uh-huh", Asked::YesNo, Turn),
        ("oh I see", Asked::YesNo, Backchannel),
        ("wow", Asked::YesNo, Backchannel),
        ("haha", Asked::YesNo, Backchannel),
        ("wait", Asked::YesNo, Stop),
        ("four", digits, Turn),
        ("four", Asked::Nothing, Backchannel),
        ("okay", digits, Backchannel),
        ("S", Asked::Spelling, Turn),
        ("Tuesday", Asked::Open, Turn),
        ("Tuesday", Asked::Nothing, Backchannel),
        ("okay", Asked::Open, Backchannel),
        ("stop", Asked::Open, Stop),
        ("the", Asked::Open, Nothing),
    ] {
        let context = Context {
            speaking: "Shall I do it?",
            asked,
        };
        assert_eq!(judge(text, &context), expected, "{text:?} {asked:?}");
    }
}

#[test]
fn while_the_caller_still_speaks() {
    let context = plain(FORECAST);
    for (text, expected) in [
        ("", None),
        ("um", None),
        ("ok", None),
        ("okay", None),
        ("yeah right", None),
        ("I see", None),
        ("no", None),
        ("what", None),
        ("hold", None),
        ("mostly", None),
        ("light wind", None),
        ("light window", None),
        ("okay but", None),
        ("i", None),
        ("that's", None),
        ("that's right", None),
        ("Stop", Some(Stop)),
        ("wait", Some(Stop)),
        ("hold on", Some(Stop)),
        ("never mind", Some(Stop)),
        ("uh-huh", Some(Backchannel)),
        ("mm hmm", Some(Backchannel)),
        ("haha", Some(Backchannel)),
        ("mostly sunny with a", Some(Echo)),
        ("what about", Some(Turn)),
        ("okay but what about", Some(Turn)),
        ("can you", Some(Turn)),
        ("mostly sunny with a can you", Some(Turn)),
    ] {
        assert_eq!(judge_partial(text, &context), expected, "{text:?}");
    }
    let asking = Context {
        asked: Asked::YesNo,
        ..context
    };
    assert_eq!(judge_partial("yes", &asking), Some(Turn));
    assert_eq!(judge_partial("wow", &asking), None);
}

#[test]
fn stop_and_nothing_else() {
    for (text, expected) in [
        ("Stop.", true),
        ("never mind", true),
        ("Nevermind!", true),
        ("okay stop please", true),
        ("stop stop", true),
        ("no wait", true),
        ("hold on a second", true),
        ("um, forget it", true),
        ("please be quiet", true),
        ("that's enough, thank you", true),
        ("", false),
        ("okay", false),
        ("no", false),
        ("no no", false),
        ("cancel", false),
        ("cancel that", false),
        ("stop the timer", false),
        ("wait what about Sunday", false),
        ("never", false),
        ("don't stop", false),
    ] {
        assert_eq!(is_only_stop(text), expected, "{text:?}");
    }
}
