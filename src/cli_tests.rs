//! The command line's words and exit codes.

use clap::CommandFactory as _;

use super::*;

#[test]
fn the_command_line_is_sound() {
    Cli::command().debug_assert();
}

#[test]
fn words_are_understood() {
    let check = |line: &str, expected: bool| {
        let words = std::iter::once("offhook").chain(line.split_whitespace());
        assert_eq!(Cli::try_parse_from(words).is_ok(), expected, "{line}");
    };
    check("run", true);
    check("--home x run", true);
    check("run --home x --set-aside-database", true);
    check("user add kitchen", true);
    check("user add kitchen secret", false);
    check("user add kitchen --prompt --password-stdin", false);
    check("user passwd kitchen --password-stdin", true);
    check("transcribe note.ogg --model tiny.en-q5_1", true);
    check("transcribe", false);
    check("speak hello -o hello.wav --rate 1.2", true);
    check("speak hello", false);
    check("speak hello -o a.wav --rate 9", false);
    check("models pull", true);
    check("models verify base.en", true);
    check("call", true);
    check("call 101 --wav a.wav --wav b.wav --tcp", true);
    check("call --password-file x", false);
    check("call --repeat 0", false);
    check("call --drill quick --calls 4 --voice flite:slt", true);
    check("call --drill turns --clips x --rtp 127.0.0.1:4000", true);
    check("call --drill quick --say hello", false);
    check("call --rtp 127.0.0.1:4000", false);
    check("calls -n 5 --json", true);
    check("calls -n 0", false);
    check("waterfall", true);
    check("waterfall c1 --turn 2 --svg x.svg", true);
    check(
        "replay x.json --set turn.wait_ms_sure=200 --set a=b --json",
        true,
    );
    check("replay", false);
    check("config check", true);
    check("config", false);
    check("", false);
}

#[test]
fn exit_codes() {
    let wrong = ConfigError::Wrong {
        path: PathBuf::from("x"),
        problems: Vec::new(),
    };
    assert_eq!(
        exit_code(&anyhow::Error::from(wrong).context("starting")),
        3
    );
    let open = SecretsError::TooOpen {
        path: PathBuf::from("x"),
        mode: 0o644,
    };
    assert_eq!(exit_code(&open.into()), 3);
    assert_eq!(exit_code(&SecretsError::Reserved.into()), 1);
    assert_eq!(exit_code(&anyhow::anyhow!("other")), 1);
}
