//! What one authenticated REGISTER costs the endpoint: read, check the digest, bind, answer. `cargo bench -p offhook-sip`.
//! Prints microseconds of CPU per REGISTER.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use sip::{
    Algorithm, Endpoint, EndpointConfig, Flow, FlowTarget, GuardConfig, Host, Input, Output,
    RegisterParams, Secret, Transport, Uri, User, ha1,
};

const USERS: usize = 1_000;
const ROUNDS: usize = 20;
const REALM: &str = "offhook";

fn drain(endpoint: &mut Endpoint) -> Vec<Vec<u8>> {
    let mut datagrams = Vec::new();
    let mut saved_first = Vec::new();
    while let Some(output) = saved_first.pop().or_else(|| endpoint.poll_output()) {
        match output {
            Output::Datagram { data, .. } => datagrams.push(data),
            Output::SaveBindings { then, .. } => saved_first = then,
            _ => {}
        }
    }
    datagrams
}

#[allow(clippy::disallowed_methods, reason = "a benchmark looks at the clock")]
fn main() {
    let base = Instant::now();
    let config = EndpointConfig {
        guard: GuardConfig {
            tokens_max: u32::MAX,
            ..GuardConfig::default()
        },
        transactions_max: usize::MAX / 4,
        ..EndpointConfig::default()
    };
    let mut server = Endpoint::new(config.clone(), [1; 32], base, 0);
    server.set_users(
        (0..USERS)
            .map(|n| {
                let name = format!("user{n}");
                let hash = |algorithm| ha1(algorithm, &name, REALM, "secret");
                let (ha1_md5, ha1_sha256) = (hash(Algorithm::Md5), hash(Algorithm::Sha256));
                User {
                    name,
                    ha1_md5,
                    ha1_sha256,
                    local_only: false,
                }
            })
            .collect(),
    );
    let server_at: SocketAddr = "192.0.2.1:5060".parse().expect("address");
    let phone_at: SocketAddr = "192.0.2.7:5060".parse().expect("address");
    let (to_server, to_phone) = (
        Flow::udp(server_at, phone_at),
        Flow::udp(phone_at, server_at),
    );
    let mut phone = Endpoint::new(config, [2; 32], base, 0);
    let (mut spent, mut registered) = (Duration::ZERO, 0u32);
    for round in 0..ROUNDS {
        let now = base + Duration::from_secs(40 * round as u64);
        server.handle(now, Input::Timeout);
        phone.handle(now, Input::Timeout);
        drain(&mut server);
        drain(&mut phone);
        for n in 0..USERS {
            let registrar = Uri::sip(None, Host::from(server_at.ip()), None);
            phone.register(
                now,
                RegisterParams {
                    registrar: registrar.clone(),
                    flow: FlowTarget {
                        transport: Transport::Udp,
                        local: phone_at,
                        remote: server_at,
                    },
                    user: format!("user{n}"),
                    password: Secret::new("secret"),
                    expires_s: 3_600,
                    contact: Uri::sip(Some("phone"), Host::from(phone_at.ip()), Some(5060)),
                },
            );
            // The REGISTER without and the one with credentials, and what came back.
            let mut waiting = drain(&mut phone);
            while let Some(request) = waiting.pop() {
                let start = Instant::now();
                server.handle(
                    now,
                    Input::Datagram {
                        flow: to_server,
                        data: &request,
                    },
                );
                let responses = drain(&mut server);
                spent += start.elapsed();
                for response in responses {
                    registered += u32::from(response.starts_with(b"SIP/2.0 200"));
                    phone.handle(
                        now,
                        Input::Datagram {
                            flow: to_phone,
                            data: &response,
                        },
                    );
                    waiting.extend(drain(&mut phone));
                }
            }
        }
    }
    assert_eq!(registered as usize, USERS * ROUNDS);
    let each = spent.as_nanos() as f64 / 1_000.0 / f64::from(registered);
    println!("{registered} registrations, {each:.1} µs each (REGISTER, 401, REGISTER, 200)");
}
