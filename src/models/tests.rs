//! Which model is chosen from what lies in the folder.

use std::collections::HashSet;

use super::*;
use crate::config::ExtraModel;
use crate::testing::Scratch;

/// A file of the length its catalogue entry says, without the bytes.
fn put(home: &Home, file: &str, bytes: u64) {
    fs::create_dir_all(home.models_path()).unwrap();
    fs::File::create(home.models_path().join(file))
        .unwrap()
        .set_len(bytes)
        .unwrap();
}

fn put_known(home: &Home, name: &str) {
    let known = KNOWN.iter().find(|known| known.name == name).unwrap();
    put(home, &format!("ggml-{name}.bin"), known.bytes);
}

#[test]
fn the_catalogue_is_sound() {
    let names: HashSet<&str> = KNOWN.iter().map(|known| known.name).collect();
    let sums: HashSet<&str> = KNOWN.iter().map(|known| known.sha256).collect();
    assert_eq!((names.len(), sums.len()), (KNOWN.len(), KNOWN.len()));
    for known in KNOWN {
        assert_eq!(known.sha256.len(), 64, "{}", known.name);
        assert!(
            known
                .sha256
                .bytes()
                .all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b))
        );
        assert_eq!(known.name.contains(".en"), known.is_english);
    }
    assert!(KNOWN.is_sorted_by_key(|known| known.bytes));
    let config = Config::default();
    let preferred = find(&config, &config.models.preferred).unwrap();
    assert_eq!(preferred.size(), "57 MiB");
    assert!(preferred.urls[0].ends_with("/ggml-base.en-q5_1.bin"));
    assert_eq!(find(&config, "ggml-base.en-q5_1.bin"), Some(preferred));
    assert_eq!(find(&config, "no-such"), None);
}

#[test]
fn the_best_installed_model_is_chosen() {
    let check = |known: &[&str], language: &str, expected: Option<&str>| {
        let scratch = Scratch::new("models");
        let home = Home::at(scratch.path());
        for name in known {
            put_known(&home, name);
        }
        let mut config = Config::default();
        config.asr.language = language.to_owned();
        let choice = choose(&home, &config);
        let file = choice
            .path
            .as_deref()
            .and_then(Path::file_name)
            .map(|name| name.to_str().unwrap());
        assert_eq!(file, expected, "{known:?} {language}");
        assert_eq!(choice.is_for_trying_out, expected.is_none());
        assert_eq!(choice.advice.is_some(), expected.is_none());
    };
    check(&[], "en", None);
    check(&["base.en-q5_1"], "en", Some("ggml-base.en-q5_1.bin"));
    check(
        &["base.en-q5_1", "base-q5_1"],
        "en",
        Some("ggml-base.en-q5_1.bin"),
    );
    check(
        &["base.en-q5_1", "base-q5_1"],
        "de",
        Some("ggml-base-q5_1.bin"),
    );
    check(
        &["base.en-q5_1", "base-q5_1"],
        "auto",
        Some("ggml-base-q5_1.bin"),
    );
    check(&["base.en-q5_1"], "de", None);
    check(
        &["small.en-q5_1", "base.en", "tiny.en-q5_1"],
        "en",
        Some("ggml-small.en-q5_1.bin"),
    );
}

#[test]
fn what_cannot_be_used_is_said() {
    let scratch = Scratch::new("models");
    let home = Home::at(scratch.path());
    put(&home, "ggml-base.en-q5_1.bin", 1000);
    put_known(&home, "tiny.en-q5_1");
    put(&home, "ggml-base.en-q5_1.bin.part", 10);
    put(&home, "mine.bin", 10);
    fs::write(scratch.path().join("own.bin"), b"x").unwrap();
    let mut config = Config::default();
    config.models.extra.push(ExtraModel {
        name: "mine".to_owned(),
        url: "https://example.com/mine.bin".to_owned(),
        sha256: "0".repeat(64),
        licence: "MIT".to_owned(),
    });
    let check = |wanted: &str, file: Option<&str>, advice: &str| {
        let mut config = config.clone();
        config.asr.model = wanted.to_owned();
        let choice = choose(&home, &config);
        let chosen = choice
            .path
            .as_deref()
            .and_then(Path::file_name)
            .map(|name| name.to_str().unwrap());
        assert_eq!(chosen, file, "{wanted}");
        let said = choice.advice.unwrap_or_default();
        assert!(
            said.contains(advice) && said.is_empty() == advice.is_empty(),
            "{wanted}: {said:?}"
        );
    };
    check("auto", Some("ggml-tiny.en-q5_1.bin"), "");
    check("embedded", None, "");
    check("tiny.en-q5_1", Some("ggml-tiny.en-q5_1.bin"), "");
    check(
        "base.en-q5_1",
        None,
        "damaged: offhook models pull base.en-q5_1",
    );
    check(
        "small.en",
        None,
        "not installed: offhook models pull small.en",
    );
    check("mine", Some("mine.bin"), "");
    check("own.bin", Some("own.bin"), "");
    check("nowhere.bin", None, "neither a file nor a known model");
    let names: Vec<(String, bool)> = installed(&home, &config)
        .into_iter()
        .map(|file| (file.name, file.is_whole))
        .collect();
    let expected = [
        ("base.en-q5_1", false),
        ("mine", true),
        ("tiny.en-q5_1", true),
    ];
    assert_eq!(
        names,
        expected.map(|(name, whole)| (name.to_owned(), whole))
    );
}

#[test]
fn free_space_is_known_for_folders_that_do_not_exist_yet() {
    assert!(disk_free_bytes(Path::new("/no/such/folder")).is_some());
    assert!(disk_free_bytes(Path::new("relative")).is_some());
}
