//! RFC 3263's rules as tables, against a name server that is a list.

use super::*;

const ALL: [Transport; 3] = [Transport::Udp, Transport::Tcp, Transport::Tls];

/// `sip.example udp 192.0.2.1:5060` and the like: records of a small zone, one per line.
const ZONE: &str = "
    naptr.example NAPTR 10 20 s SIP+D2T _sip._tcp.far.example
    naptr.example NAPTR 10 10 s SIPS+D2T _sips._tcp.far.example
    naptr.example NAPTR 20 10 s SIP+D2U _sip._udp.far.example
    naptr.example NAPTR 5 10 s SIP+D2W _sip._ws.far.example
    naptr.example NAPTR 1 1 u E2U+sip ignored
    _sips._tcp.far.example SRV 10 0 5061 a.far.example
    _sip._tcp.far.example SRV 20 0 5070 b.far.example
    _sip._tcp.far.example SRV 10 0 5071 a.far.example
    _sip._udp.far.example SRV 10 0 5060 gone.far.example
    a.far.example A 192.0.2.1
    a.far.example A 2001:db8::1
    b.far.example A 192.0.2.2
    _sip._udp.srv.example SRV 0 0 5080 b.far.example
    _sip._tcp.srv.example SRV 0 0 5081 b.far.example
    plain.example A 192.0.2.9
    no.example A 192.0.2.8
    _sip._udp.no.example SRV 0 0 0 .
    _sips._tcp.no.example SRV 0 0 5061 b.far.example
    odd.example A 0.0.0.0
    odd.example A 224.0.0.1
";

fn lookup(question: &Question) -> Answer {
    let rows = |name: &str, kind: &str| -> Vec<Vec<&str>> {
        let rows = ZONE.lines().map(|line| line.split_whitespace().collect());
        rows.filter(|row: &Vec<&str>| row.len() > 2 && row[0] == name && row[1] == kind)
            .collect()
    };
    let number = |text: &str| text.parse().expect("a number");
    match question {
        Question::Naptr(name) => Answer::Naptr(
            rows(name, "NAPTR")
                .iter()
                .map(|row| Naptr {
                    order: number(row[2]),
                    preference: number(row[3]),
                    flags: row[4].to_owned(),
                    services: row[5].to_owned(),
                    replacement: row[6].to_owned(),
                })
                .collect(),
        ),
        Question::Srv(name) => Answer::Srv(
            rows(name, "SRV")
                .iter()
                .map(|row| Srv {
                    priority: number(row[2]),
                    weight: number(row[3]),
                    port: number(row[4]),
                    target: row[5].to_owned(),
                })
                .collect(),
        ),
        Question::Addresses(name) => Answer::Addresses(
            rows(name, "A")
                .iter()
                .map(|row| row[2].parse().expect("an address"))
                .collect(),
        ),
    }
}

/// `host[:port][;transport]`, with `sips:` before it where TLS is a must.
fn wanted(text: &str) -> Wanted {
    let (is_secure, text) = match text.strip_prefix("sips:") {
        Some(rest) => (true, rest),
        None => (false, text),
    };
    let (text, transport) = match text.split_once(';') {
        Some((text, name)) => (text, Transport::parse(name)),
        None => (text, None),
    };
    let at = text.rfind(':').filter(|at| !text[*at..].contains(']'));
    let (host, port) = match at {
        Some(at) => (&text[..at], text[at + 1..].parse().ok()),
        None => (text, None),
    };
    Wanted {
        host: host.to_owned(),
        port,
        transport,
        is_secure,
    }
}

fn resolve(text: &str, transports: &[Transport], seed: u64) -> (Vec<String>, Vec<Question>) {
    let mut resolution = Resolution::new(wanted(text), transports, seed);
    let mut asked = Vec::new();
    while let Some(question) = resolution.question() {
        resolution.answer(lookup(&question));
        asked.push(question);
    }
    let targets = resolution.targets();
    let shown = targets
        .iter()
        .map(|t| format!("{} {}", t.transport, t.address));
    (shown.collect(), asked)
}

#[test]
fn the_rules() {
    let rows: [(&str, &[&str]); 17] = [
        // An address needs no question.
        ("192.0.2.7", &["udp 192.0.2.7:5060"]),
        ("192.0.2.7:5080;tcp", &["tcp 192.0.2.7:5080"]),
        ("[2001:db8::7]", &["udp [2001:db8::7]:5060"]),
        ("[2001:db8::7]:5062;tls", &["tls [2001:db8::7]:5062"]),
        ("sips:192.0.2.7", &["tls 192.0.2.7:5061"]),
        // A port: no records but addresses.
        ("plain.example:5080", &["udp 192.0.2.9:5080"]),
        ("srv.example:5080", &[]),
        ("plain.example:5080;tls", &["tls 192.0.2.9:5080"]),
        // A transport: its SRV records, else addresses and its default port.
        ("srv.example;tcp", &["tcp 192.0.2.2:5081"]),
        ("plain.example;tls", &["tls 192.0.2.9:5061"]),
        // Neither: the server's wish, every way in its order; what has no address is passed over.
        (
            "naptr.example",
            &[
                "tls 192.0.2.1:5061",
                "tls [2001:db8::1]:5061",
                "tcp 192.0.2.1:5071",
                "tcp [2001:db8::1]:5071",
                "tcp 192.0.2.2:5070",
            ],
        ),
        (
            "sips:naptr.example",
            &["tls 192.0.2.1:5061", "tls [2001:db8::1]:5061"],
        ),
        // No wish: our order.
        ("srv.example", &["udp 192.0.2.2:5080", "tcp 192.0.2.2:5081"]),
        ("plain.example", &["udp 192.0.2.9:5060"]),
        ("sips:plain.example", &["tls 192.0.2.9:5061"]),
        // Decidedly not over UDP.
        ("no.example", &["tls 192.0.2.2:5061"]),
        ("odd.example", &[]),
    ];
    for (text, expected) in rows {
        assert_eq!(resolve(text, &ALL, 1).0, expected, "{text}");
    }
}

#[test]
fn only_what_we_can_use_is_asked_for() {
    let (targets, asked) = resolve("naptr.example", &[Transport::Udp], 1);
    assert_eq!(targets, [] as [&str; 0]);
    let srv = Question::Srv("_sip._udp.far.example".to_owned());
    assert_eq!(asked[1], srv);
    let (targets, _) = resolve("srv.example", &[Transport::Tcp, Transport::Udp], 1);
    assert_eq!(targets, ["tcp 192.0.2.2:5081", "udp 192.0.2.2:5080"]);
    let (targets, asked) = resolve("192.0.2.7", &ALL, 1);
    assert_eq!((targets.len(), asked.len()), (1, 0));
}

#[test]
fn no_answer_at_all() {
    for text in ["naptr.example", "srv.example;tcp", "plain.example:5060"] {
        let mut resolution = Resolution::new(wanted(text), &ALL, 1);
        let mut questions = 0;
        while resolution.question().is_some() {
            resolution.answer(Answer::Nothing);
            questions += 1;
        }
        assert!(questions <= 5, "{text}");
        assert!(resolution.targets().is_empty());
    }
}

#[test]
fn weights_share_the_load_and_priorities_do_not() {
    let record = |priority, weight, target: &str| Srv {
        priority,
        weight,
        port: 5060,
        target: target.to_owned(),
    };
    let records = vec![
        record(1, 0, "backup"),
        record(0, 60, "big"),
        record(0, 20, "small"),
        record(0, 0, "spare"),
    ];
    let mut firsts = std::collections::BTreeMap::new();
    for seed in 0..2_000 {
        let mut resolution = Resolution::new(wanted("x.example;udp"), &ALL, seed);
        resolution.answer(Answer::Srv(records.clone()));
        let mut order = Vec::new();
        while let Some(Question::Addresses(name)) = resolution.question() {
            resolution.answer(Answer::Nothing);
            order.push(name);
        }
        assert_eq!(order.len(), 4);
        assert_eq!(order[3], "backup");
        *firsts.entry(order[0].clone()).or_insert(0) += 1;
    }
    assert!((1_350..1_650).contains(&firsts["big"]), "{firsts:?}");
    assert!((350..650).contains(&firsts["small"]), "{firsts:?}");
}

#[test]
fn a_zone_without_end_is_not_followed() {
    let mut resolution = Resolution::new(wanted("x.example"), &ALL, 3);
    let mut questions = 0;
    while let Some(question) = resolution.question() {
        questions += 1;
        resolution.answer(match question {
            Question::Naptr(_) => Answer::Naptr(vec![
                Naptr {
                    order: 1,
                    preference: 1,
                    flags: "S".to_owned(),
                    services: "sip+d2u".to_owned(),
                    replacement: "x.example".to_owned(),
                };
                500
            ]),
            Question::Srv(_) => Answer::Srv(vec![
                Srv {
                    priority: 1,
                    weight: u16::MAX,
                    port: 5060,
                    target: "x.example".to_owned(),
                };
                500
            ]),
            Question::Addresses(_) => {
                Answer::Addresses((0..=255).map(|n| IpAddr::from([192, 0, 2, n])).collect())
            }
        });
    }
    assert!(questions <= QUESTIONS_MAX);
    assert_eq!(resolution.targets().len(), TARGETS_MAX);
}
