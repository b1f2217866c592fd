//! A world of a seed: its weather, its server, and what its people will do.

use super::*;

pub(super) fn endpoint_config() -> EndpointConfig {
    let mut config = EndpointConfig {
        domains: vec!["offhook".to_owned(), "10.0.0.1".to_owned()],
        ..EndpointConfig::default()
    };
    config.guard.tokens_max = 100_000;
    config
}

pub(super) fn users() -> Vec<User> {
    ["anna", "bert", "carl"]
        .map(|name| User {
            name: name.to_owned(),
            ha1_md5: sip::ha1(sip::Algorithm::Md5, name, "offhook", PASSWORD),
            ha1_sha256: sip::ha1(sip::Algorithm::Sha256, name, "offhook", PASSWORD),
            local_only: false,
        })
        .to_vec()
}

pub(super) fn joint(seed: u64) -> Joint {
    Joint::new(BridgeConfig {
        bridges_max: 64,
        per_user_max: 8,
        duration_max: Duration::from_secs(300),
        seed: [seed as u8; 32],
        security: match seed % 3 {
            0 => SecurityPolicy::Off,
            _ => SecurityPolicy::Optional,
        },
        fingerprints: vec![fingerprint(7), fingerprint(8)],
        codecs: sip::offer_answer::AudioCodec::ALL.to_vec(),
    })
}

fn fingerprint(octet: u8) -> Fingerprint {
    Fingerprint {
        hash: FingerprintHash::Sha256,
        octets: vec![octet; 32],
    }
}

/// Every other phone can shake hands.
fn security(phone: usize) -> LocalSecurity {
    match phone % 2 {
        0 => LocalSecurity::default(),
        _ => LocalSecurity {
            policy: SecurityPolicy::Optional,
            fingerprint: Some(fingerprint(phone as u8)),
            ..LocalSecurity::default()
        },
    }
}

impl World {
    pub(super) fn new(seed: u64) -> World {
        let mut rng = StdRng::seed_from_u64(seed.wrapping_mul(0x2545_f491_4f6c_dd1d));
        let weather = match rng.random_range(0..4) {
            0 => Weather {
                loss_percent: 0,
                duplicate_percent: 0,
                delay_ms: 1,
                jitter_ms: 0,
            },
            1 => Weather {
                loss_percent: 3,
                duplicate_percent: 3,
                delay_ms: 20,
                jitter_ms: 20,
            },
            2 => Weather {
                loss_percent: 10,
                duplicate_percent: 5,
                delay_ms: 60,
                jitter_ms: 60,
            },
            _ => Weather {
                loss_percent: 20,
                duplicate_percent: 2,
                delay_ms: 100,
                jitter_ms: 200,
            },
        };
        let start = Instant::now();
        let (config, _) = Config::parse(PLAN, &[]).expect("a config");
        let mut plan = DialPlan::new(&config);
        plan.set_accounts(["anna", "bert", "carl"].map(str::to_owned).to_vec());
        let mut endpoint = Endpoint::new(endpoint_config(), rng.random(), start, UNIX_MS);
        endpoint.set_users(users());
        let phones = (0..PHONES.len()).map(|n| {
            let manner = match rng.random_range(0..8) {
                0 => Manner::Busy,
                1 => Manner::RingOn,
                2 | 3 => Manner::EarlyThenAnswer(Duration::from_millis(rng.random_range(0..6_000))),
                _ => Manner::AnswerAfter(Duration::from_millis(rng.random_range(0..5_000))),
            };
            let mut acts = Vec::new();
            for _ in 0..rng.random_range(0..5) {
                let number = NUMBERS[rng.random_range(0..NUMBERS.len())];
                let act = match rng.random_range(0..9) {
                    0..=3 => Act::Dial(number),
                    4 | 5 => Act::Reoffer,
                    6 => Act::Transfer(number),
                    7 => Act::Join,
                    _ => Act::HangUp,
                };
                let at_ms = rng.random_range(5_000..60_000);
                acts.push((start + Duration::from_millis(at_ms), act));
            }
            // In the end everybody hangs up, some again and again.
            for s in [70, 100, 130, 160, 250] {
                for _ in 0..3 {
                    acts.push((start + Duration::from_secs(s), Act::HangUp));
                }
            }
            acts.sort_by_key(|(at, _)| *at);
            let mut endpoint =
                Endpoint::new(EndpointConfig::default(), rng.random(), start, UNIX_MS);
            // What comes from the server needs no login: a phone asks nobody who calls.
            endpoint.set_trunks(
                start,
                vec![Trunk {
                    name: "server".to_owned(),
                    addresses: vec![(address(SERVER).ip(), 32)],
                    transport: None,
                    trusts_udp: true,
                    account: None,
                }],
            );
            Phone {
                endpoint,
                local: LocalMedia {
                    rtcp_mux: false,
                    codecs: CODECS[n].to_vec(),
                    security: security(n),
                    ..LocalMedia::new(phone_address(n).ip(), 4_000)
                },
                manner,
                acts: acts.into(),
                calls: Vec::new(),
                ringing: Vec::new(),
                todo: VecDeque::new(),
                began: 0,
                ended: 0,
                answered: 0,
            }
        });
        let phones = phones.collect();
        let restart = rng.random_range(0..5) == 0;
        World {
            now: start,
            start,
            net: Net::new(weather, rng.random()),
            plan,
            server: Server {
                endpoint,
                joint: joint(seed),
                pending: VecDeque::new(),
                arrived: VecDeque::new(),
                dialogs: HashMap::new(),
                bindings: HashMap::new(),
                relays_open: 0,
                begun: 0,
            },
            phones,
            tally: Tally::default(),
            ports: 20_000,
            restart_at: restart
                .then(|| start + Duration::from_millis(rng.random_range(20_000..60_000))),
            seed,
        }
    }
}
