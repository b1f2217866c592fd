//! Which agent hears and speaks with what.

use super::*;
use crate::config::Config;
use crate::server::engine_plan;

fn plan(toml: &str) -> EnginePlan {
    let (config, _) = Config::parse(toml, &[]).expect("a good config");
    engine_plan(&config, None)
}

#[test]
fn agents_speak_with_voices_of_their_own() {
    let plan = plan(
        "[[agents]]\nname = \"plain\"\nnumbers = [\"110\"]\n\
         [[agents]]\nname = \"finance\"\nnumbers = [\"120\"]\nvoice = \"flite:rms\"\ngreeting = \"Finance.\"\n\
         [[agents]]\nname = \"books\"\nnumbers = [\"130\"]\nvoice = \"flite:rms\"\nlanguage = \"en\"\n",
    );
    let engines = Arc::new(open(&plan).expect("built in"));
    let voice = |agent: &str| engines.of(agent).voice.name.clone();
    assert_eq!(voice("agent"), "flite:slt");
    assert_eq!(voice("plain"), "flite:slt");
    assert_eq!(voice("finance"), "flite:rms");
    assert_eq!(voice("books"), "flite:rms");
    let [plain, finance, books] = ["plain", "finance", "books"].map(|agent| engines.of(agent));
    assert!(Arc::ptr_eq(&plain, &engines));
    assert!(Arc::ptr_eq(&finance.tts, &books.tts), "one voice, once");
    assert!(Arc::ptr_eq(&finance.asr, &engines.asr) && Arc::ptr_eq(&books.asr, &engines.asr));
    let said = |engines: &Engines| engines.speak("Good morning.").expect("spoken");
    assert_ne!(said(&finance), said(&engines), "it is heard");
}

/// A language that the model does not know is said at start, not in the first call.
#[test]
fn a_language_nobody_knows_is_an_error() {
    let plan = plan("[[agents]]\nname = \"berlin\"\nnumbers = [\"140\"]\nlanguage = \"de\"\n");
    let error = open(&plan).err().expect("the built-in model knows English");
    assert!(error.to_string().contains("de"), "{error}");
}

#[test]
fn an_own_voice_is_spoken_here_unless_it_is_named_there() {
    let mut plan = plan("");
    plan.elsewhere.voice = Some((Config::default().tts.remote, None));
    let wish = |voice: Option<&str>, remote: Option<&str>| OwnEngines {
        agent: "finance".to_owned(),
        voice: voice.map(str::to_owned),
        remote_voice: remote.map(str::to_owned),
        ..OwnEngines::default()
    };
    for (wish, home, there) in [
        (wish(Some("flite:rms"), None), "flite:rms", None),
        (wish(None, Some("nova")), "flite:slt", Some("nova")),
        (
            wish(Some("flite:rms"), Some("nova")),
            "flite:rms",
            Some("nova"),
        ),
    ] {
        let own = speaking(&plan, &wish);
        assert_eq!(own.voice, home);
        let asked = own.elsewhere.voice.as_ref();
        assert_eq!(asked.map(|_| own.elsewhere.voice_name.as_str()), there);
    }
}
