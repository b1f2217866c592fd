//! The config reader as tables: what a text and an environment become, and what is said of their mistakes.

use super::*;

fn environment(pairs: &[(&str, &str)]) -> Vec<(String, String)> {
    pairs
        .iter()
        .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
        .collect()
}

/// Each expected text must be one of the problems, in this order, and there are no others.
pub(super) fn check_wrong(text: &str, variables: &[(&str, &str)], expected: &[&str]) {
    let problems = Config::parse(text, &environment(variables)).expect_err(text);
    let said: Vec<String> = problems
        .iter()
        .map(|problem| match problem.place {
            Some((line, column)) => format!("{line}:{column}: {}", problem.message),
            None => problem.message.clone(),
        })
        .collect();
    assert_eq!(said.len(), expected.len(), "{text}\n{said:#?}");
    for (said, expected) in said.iter().zip(expected) {
        assert!(
            said.contains(expected),
            "{said:?} lacks {expected:?} for\n{text}"
        );
    }
}

pub(super) fn read(text: &str, variables: &[(&str, &str)]) -> Config {
    match Config::parse(text, &environment(variables)) {
        Ok((config, _)) => config,
        Err(problems) => panic!("{text}\n{problems:#?}"),
    }
}

#[test]
fn an_empty_file_and_the_template_are_the_default_config() {
    assert_eq!(read("", &[]), Config::default());
    assert_eq!(read(TEMPLATE, &[]), Config::default());
}

#[test]
fn every_key_of_the_template_exists_and_shows_its_default() {
    let is_setting = |line: &str| {
        let body = line.strip_prefix("# ").unwrap_or("");
        let key = body.split(" = ").next().unwrap_or("");
        let named = !key.is_empty() && key.chars().all(|c| c.is_ascii_lowercase() || c == '_');
        body.starts_with("[[") || (named && body.contains(" = "))
    };
    let mut count = 0;
    let uncommented: Vec<&str> = TEMPLATE
        .lines()
        .map(|line| {
            if !is_setting(line) {
                return line;
            }
            count += 1;
            &line[2..]
        })
        // An empty path of a key means nothing; the line shows where one goes.
        .filter(|line| {
            let is_path = |key| line.starts_with(&format!("{key} = \"\""));
            !["api_key_file", "certificate", "certificate_key"]
                .iter()
                .any(is_path)
        })
        .collect();
    assert!(count > 20, "{count}");
    assert_eq!(read(&uncommented.join("\n"), &[]), Config::default());
}

#[test]
fn values_are_read() {
    let config = read(
        r#"
        [sip]
        bind = ["loopback", "192.168.1.7", "::"]
        port = 5070
        tcp = false
        [media]
        port_min = 0x4e20
        port_max = 20_999
        advertise = "203.0.113.5"
        [calls]
        max = 100
        [tts]
        rate = 1
        [agent]
        kind = "openai"
        url = "http://127.0.0.1:11434/v1/"
        model = "llama3.2"
        api_key_file = "key"
        temperature = 0.2
        timezone = "Europe/Berlin"
        [log]
        level = "info,sip=debug"
        [models]
        mirrors = "http://127.0.0.1:8000"
        [[models.extra]]
        name = "mine"
        url = "https://example.com/mine.bin"
        sha256 = "00000000000000000000000000000000000000000000000000000000000000FF"
        [[numbers]]
        number = "7"
        to = "echo"
        "#,
        &[],
    );
    let address = |text: &str| text.parse().unwrap();
    let bind = [
        Bind::Loopback,
        Bind::Address(address("192.168.1.7")),
        Bind::Address(address("::")),
    ];
    assert_eq!(config.sip.bind, bind);
    assert_eq!(
        (config.sip.port, config.sip.udp, config.sip.tcp),
        (5070, true, false)
    );
    assert_eq!(
        (config.media.port_min, config.media.port_max),
        (20_000, 20_999)
    );
    assert_eq!(config.media.advertise.len(), 1);
    assert_eq!(config.media.advertise[0].outside, address("203.0.113.5"));
    assert_eq!(config.tts.rate, 1.0);
    assert_eq!(config.agent.kind, AgentKind::OpenAi);
    assert_eq!(config.agent.url, "http://127.0.0.1:11434/v1");
    assert_eq!(config.agent.api_key.file, Some(PathBuf::from("key")));
    assert_eq!(config.agent.temperature, Some(0.2));
    assert_eq!(config.models.mirrors, ["http://127.0.0.1:8000"]);
    assert!(config.models.extra[0].sha256.ends_with("ff"));
    assert_eq!(config.models.extra[0].licence, "not stated");
    let seven = Number {
        number: "7".to_owned(),
        aliases: Vec::new(),
        to: Answerer::Echo,
    };
    assert_eq!(config.numbers.0, [seven]);
    assert!(config.numbers.find("100").is_none());
}

#[test]
fn the_environment_goes_before_the_file() {
    let text = "[sip]\nport = 5070\nbind = [\"loopback\"]";
    let variables = [
        ("OFFHOOK_SIP_PORT", "5080"),
        ("OFFHOOK_SIP_BIND", "tailnet, 10.0.0.1"),
        ("OFFHOOK_TURN_BARGE_IN", "off"),
        ("OFFHOOK_AGENT_TEMPERATURE", "0.5"),
        ("OFFHOOK_AGENT_API_KEY", "hush"),
        ("OFFHOOK_HOME", "/somewhere"),
        ("OFFHOOK_REQUIRE_PEERS", "1"),
    ];
    let config = read(text, &variables);
    assert_eq!(config.sip.port, 5080);
    assert_eq!(
        config.sip.bind,
        [Bind::Tailnet, Bind::Address([10, 0, 0, 1].into())]
    );
    assert!(!config.turn.barge_in);
    assert_eq!(config.agent.temperature, Some(0.5));
    let (_, settings) = Config::parse(text, &environment(&variables)).unwrap();
    let port = settings
        .iter()
        .find(|setting| setting.key == "port")
        .unwrap();
    assert_eq!(
        port.source,
        Source::Environment("OFFHOOK_SIP_PORT".to_owned())
    );
    assert!(!format!("{settings:?}{config:?}").contains("hush"));
}

#[test]
fn unknown_names_are_refused_with_the_nearest_right_one() {
    check_wrong(
        "[sip]\nprot = 1",
        &[],
        &["2:1: unknown key `prot` in [sip] (did you mean `port`?)"],
    );
    check_wrong(
        "[sip]\n  prto = 1",
        &[],
        &["2:3: unknown key `prto` in [sip] (did you mean `port`?)"],
    );
    check_wrong(
        "[spi]\nport = 1",
        &[],
        &["1:2: unknown section `spi` (did you mean [sip]?)"],
    );
    check_wrong(
        "port = 1",
        &[],
        &["1:1: unknown key `port` (it belongs into [sip], [web], [wyoming], [proxy])"],
    );
    check_wrong(
        "zzz = 1",
        &[],
        &["unknown key `zzz` (every key stands in a section)"],
    );
    check_wrong(
        "[sip]\nvoice = 'x'",
        &[],
        &["unknown key `voice` in [sip] (it belongs into [tts])"],
    );
    check_wrong(
        "[log]\nxyz = 1",
        &[],
        &["unknown key `xyz` in [log] (known there: level, format, transcripts)"],
    );
    check_wrong(
        "[[numbers]]\nnumber = '1'\nto = 'echo'\ntoo = 1",
        &[],
        &["4:1: unknown key `too` in [numbers] (did you mean `to`?)"],
    );
    check_wrong(
        "",
        &[("OFFHOOK_SIP_PROT", "1")],
        &["unknown environment variable OFFHOOK_SIP_PROT (did you mean `OFFHOOK_SIP_PORT`?)"],
    );
}

#[test]
fn wrong_values_are_refused_with_what_is_expected() {
    check_wrong(
        "[sip]\nport = 'x'",
        &[],
        &["2:8: sip.port: expected a whole number from 1 to 65535; found the text \"x\""],
    );
    check_wrong(
        "[sip]\nport = 0",
        &[],
        &["sip.port: expected a whole number from 1 to 65535; found 0"],
    );
    check_wrong("[sip]\nport = -1", &[], &["found -1"]);
    check_wrong(
        "[sip]\nport = 99999999999999999999",
        &[],
        &["found 99999999999999999999"],
    );
    check_wrong("[sip]\nport = 1.5", &[], &["found 1.5"]);
    check_wrong("[sip]\nport = [1]", &[], &["found a list"]);
    check_wrong(
        "[sip]\nudp = 1",
        &[],
        &["sip.udp: expected true or false; found 1"],
    );
    check_wrong(
        "[sip]\nbind = ['loopbak', 'tailnet', 7]",
        &[],
        &[
            "2:9: sip.bind: expected \"loopback\", \"tailnet\" or an IP address; found the text \"loopbak\"",
            "2:31: sip.bind: expected \"loopback\", \"tailnet\" or an IP address; found 7",
        ],
    );
    check_wrong(
        "[sip]\nrealm = 'a\"b'",
        &[],
        &["sip.realm: expected a name without quotes"],
    );
    check_wrong(
        "[agent]\nkind = 'opnai'",
        &[],
        &[
            "agent.kind: expected one of \"demo\", \"openai\", \"openclaw\"; found the text \"opnai\"",
        ],
    );
    check_wrong(
        "[agent]\nurl = 'localhost:11434'",
        &[],
        &["agent.url: expected an address that starts with http"],
    );
    check_wrong(
        "[agent]\ntimezone = 'Mars/Base'",
        &[],
        &["expected a zone such as"],
    );
    check_wrong(
        "[tts]\nrate = 9",
        &[],
        &["tts.rate: expected a number from 0.5 to 2.0; found 9"],
    );
    check_wrong("[tts]\nrate = nan", &[], &["found nan"]);
    check_wrong(
        "[log]\nlevel = 'loud'",
        &[],
        &["log.level: expected \"error\""],
    );
    check_wrong(
        "sip = 5",
        &[],
        &["1:1: `sip` is a section, written [sip] on a line of its own; found a whole number"],
    );
    check_wrong(
        "[numbers]\nnumber = '1'",
        &[],
        &["`numbers` is a list of tables, each headed [[numbers]]; found a section"],
    );
    check_wrong(
        "",
        &[("OFFHOOK_SIP_PORT", "many")],
        &["OFFHOOK_SIP_PORT: expected a whole number from 1 to 65535; found \"many\""],
    );
    check_wrong(
        "[models]\nmirrors = 5",
        &[],
        &["models.mirrors: expected a list of addresses"],
    );
    check_wrong(
        "[[models.extra]]\nname = '../x'\nurl = 'https://a/b'\nsha256 = 'f'",
        &[],
        &[
            "2:8: models.extra[1].name: expected a short name",
            "4:10: models.extra[1].sha256: expected 64 hexadecimal digits",
        ],
    );
}

#[test]
fn rules_between_keys() {
    check_wrong(
        "[sip]\nudp = false\ntcp = false",
        &[],
        &["2:7: sip.udp: udp and tcp cannot both be off"],
    );
    check_wrong(
        "[sip]\nbind = []",
        &[],
        &["sip.bind: at least one address is needed"],
    );
    check_wrong(
        "[sip]\nexpires_s = 30",
        &[],
        &["sip.expires_s: less than expires_s_min"],
    );
    check_wrong(
        "[sip]\nexpires_s_max = 600",
        &[],
        &["sip.expires_s: more than expires_s_max"],
    );
    check_wrong(
        "[media]\nport_min = 20000\nport_max = 20001",
        &[],
        &["must hold two ports"],
    );
    check_wrong(
        "[media]\nport_min = 20000\nport_max = 19000",
        &[],
        &["must be more than port_min", "must hold two ports"],
    );
    check_wrong(
        "[agent]\nkind = 'openai'",
        &[],
        &["2:8: agent.kind: \"openai\" needs `url`", "needs `model`"],
    );
    check_wrong(
        "[turn]\nwait_ms_sure = 1100\nwait_ms_unfinished = 400",
        &[],
        &[
            "3:22: turn.wait_ms_unfinished: less than wait_ms_unsure",
            "turn.wait_ms_unsure: less than wait_ms_sure",
        ],
    );
    check_wrong(
        "[turn]\npartial_ms = 20",
        &[],
        &["2:14: turn.partial_ms: 0, or at least 100"],
    );
    check_wrong(
        "[turn]\nstrategies = ['text', 'text']",
        &[],
        &["turn.strategies: one is given twice"],
    );
    check_wrong(
        "[agent]\nfallback_after_ms = 9000\n[[agent.fallback]]\nkind = 'demo'",
        &[],
        &["2:21: agent.fallback_after_ms: more than first_token_timeout_ms"],
    );
    check_wrong(
        "[[agent.fallback]]\nkind = 'openai'\nurl = 'http://a/v1'",
        &[],
        &["2:8: agent.fallback[1].kind: \"openai\" needs `model`"],
    );
    check_wrong(
        &"[[agent.fallback]]\nkind = 'demo'\n".repeat(5),
        &[],
        &["agent.fallback: at most 4 tables"],
    );
    check_wrong(
        "[[numbers]]\nto = 'echo'",
        &[],
        &["numbers[1].number: missing"],
    );
    check_wrong(
        "[[numbers]]\nnumber = '1'\nto = 'echo'\n[[numbers]]\nnumber = '2'\naliases = ['1']\nto = 'agent'",
        &[],
        &["5:10: numbers[2].number: `1` is given twice"],
    );
}

#[test]
fn what_was_replaced_is_refused_with_what_stands_in_its_place() {
    let by = "was replaced by `wait_ms_sure`, `wait_ms_unsure` and `wait_ms_unfinished`";
    check_wrong(
        "[turn]\nendpoint_ms = 700",
        &[("OFFHOOK_TURN_ENDPOINT_MS", "800")],
        &[
            &format!("2:1: turn.endpoint_ms: {by}"),
            &format!("OFFHOOK_TURN_ENDPOINT_MS: {by}"),
        ],
    );
}

#[test]
fn turns_and_fallbacks_are_read() {
    let text = r#"
        [agent]
        kind = "openai"
        url = "http://127.0.0.1:1/v1"
        model = "a"
        [[agent.fallback]]
        url = "http://127.0.0.1:2/v1/"
        model = "b"
        api_key_file = "key"
        [[agent.fallback]]
        kind = "demo"
        [turn]
        strategies = ["model", "text"]
        end_of_turn_model = "end.onnx"
        partial_ms = 0
        [store]
        traces = false
        "#;
    let mut config = read(text, &[]);
    config.anchor(Path::new("/home/o"));
    let secret = |n: u32, file| SecretSource {
        file,
        variable: None,
        default_variable: format!("OFFHOOK_AGENT_FALLBACK_{n}_API_KEY"),
    };
    let wanted = [
        FallbackAgent {
            kind: AgentKind::OpenAi,
            url: "http://127.0.0.1:2/v1".to_owned(),
            model: "b".to_owned(),
            api_key: secret(1, Some("/home/o/key".into())),
        },
        FallbackAgent {
            kind: AgentKind::Demo,
            url: String::new(),
            model: String::new(),
            api_key: secret(2, None),
        },
    ];
    assert_eq!(config.agent.fallback, wanted);
    let turn = &config.turn;
    assert_eq!(turn.strategies, [EndStrategy::Model, EndStrategy::Text]);
    assert_eq!(turn.end_of_turn_model, Some("/home/o/end.onnx".into()));
    assert_eq!((turn.partial_ms, config.store.traces), (0, false));
    let none = read("", &[("OFFHOOK_TURN_STRATEGIES", "")]);
    assert_eq!(none.turn.strategies, []);
    // The environment may hold the key of a fallback there is, and of no other.
    let key = |n: u32| {
        vec![(
            format!("OFFHOOK_AGENT_FALLBACK_{n}_API_KEY"),
            "hush".to_owned(),
        )]
    };
    assert!(Config::parse(text, &key(2)).is_ok());
    assert!(Config::parse(text, &key(3)).is_err());
}

#[test]
fn a_secret_in_the_file_is_refused_and_not_repeated() {
    let text = "[agent]\napi_key = 'sk-hush'";
    check_wrong(
        text,
        &[],
        &["2:1: agent.api_key: secrets do not belong into this file"],
    );
    let problems = Config::parse(text, &[]).unwrap_err();
    assert!(!format!("{problems:?}").contains("hush"));
}

#[test]
fn all_mistakes_come_at_once_in_the_order_of_the_file() {
    check_wrong(
        "[web]\nport = 0\n[sip]\nport = 0\nudpp = true\n[turn]\nbarge_in = 3\n",
        &[("OFFHOOK_LOG_FORMAT", "xml")],
        &[
            "2:8: web.port",
            "4:8: sip.port",
            "5:1: unknown key `udpp`",
            "7:12: turn.barge_in",
            "OFFHOOK_LOG_FORMAT",
        ],
    );
    let many: String = (0..200)
        .map(|number| format!("key{number} = 1\n"))
        .collect();
    let problems = Config::parse(&many, &[]).unwrap_err();
    assert_eq!(problems.len(), 51);
    assert_eq!(problems[50].message, "and 150 more mistakes");
}

#[test]
fn broken_toml_is_placed() {
    for (text, line) in [
        ("[sip\nport = 1", 1),
        ("[sip]\nport = ", 2),
        ("[sip]\nport = 1\nport = 2", 3),
    ] {
        let problems = Config::parse(text, &[]).unwrap_err();
        assert_eq!(
            problems[0].place.map(|(line, _)| line),
            Some(line),
            "{text:?} {problems:?}"
        );
    }
}

#[test]
fn columns_count_characters() {
    assert_eq!(reader::place("äö = 1\nx", 0), (1, 1));
    assert_eq!(reader::place("äö = 1\nx", "äö".len()), (1, 3));
    assert_eq!(reader::place("äö = 1\nx", "äö = 1\n".len()), (2, 1));
    assert_eq!(reader::place("a", 99), (1, 2));
}

#[test]
fn hostile_texts_neither_panic_nor_flood() {
    use rand::{RngExt as _, SeedableRng as _};
    let mut rng = rand::rngs::StdRng::seed_from_u64(7);
    let seed = TEMPLATE.replace("# ", "");
    for _ in 0..300 {
        let mut bytes = seed.clone().into_bytes();
        for _ in 0..rng.random_range(1..20) {
            let at = rng.random_range(0..bytes.len());
            bytes[at] = rng.random_range(0..=255);
        }
        let text = String::from_utf8_lossy(&bytes);
        if let Err(problems) = Config::parse(&text, &[]) {
            assert!(!problems.is_empty() && problems.len() <= 51);
            for problem in problems {
                assert!(problem.message.len() < 2_000, "{}", problem.message);
                assert!(
                    !problem.message.chars().any(char::is_control),
                    "{:?}",
                    problem.message
                );
            }
        }
    }
}

#[test]
fn files() {
    let scratch = crate::testing::Scratch::new("config");
    let path = scratch.path().join("offhook.toml");
    assert!(matches!(
        Config::load(&path),
        Err(ConfigError::Unreadable { .. })
    ));
    assert!(write_template(&path).unwrap());
    std::fs::write(&path, "[sip]\nprot = 1\n").unwrap();
    assert!(!write_template(&path).unwrap(), "never overwritten");
    let message = Config::load(&path).unwrap_err().to_string();
    let expected = format!(
        "{}:2:1: unknown key `prot` in [sip] (did you mean `port`?)",
        path.display()
    );
    assert_eq!(message, expected);
    std::fs::write(&path, vec![b'#'; FILE_BYTES_MAX as usize + 1]).unwrap();
    assert!(
        Config::load(&path)
            .unwrap_err()
            .to_string()
            .contains("more than the")
    );
}

#[test]
fn relative_paths_start_at_the_home_folder() {
    let text = "[store]\npath = 'a.db'\n[models]\ndir = '/m'\n[agent]\napi_key_file = 'key'";
    let mut config = read(text, &[]);
    config.anchor(Path::new("/home/o"));
    let expected = ["/home/o/a.db", "/m", "/home/o/key"].map(|path| Some(PathBuf::from(path)));
    assert_eq!(
        [
            config.store.path,
            config.models.dir,
            config.agent.api_key.file
        ],
        expected
    );
}
