//! PURE.
//! From the name of a SIP server to addresses to try: RFC 3263 §4, with the order of RFC 2782. A resolution asks
//! questions and is told the answers; it owns the rules, not the questions' way (see `lookup`) or what a target is good for.

pub mod lookup;

use std::net::{IpAddr, SocketAddr};

use rand::rngs::StdRng;
use rand::{RngExt as _, SeedableRng as _};
use sip::Transport;

/// Addresses in a result; those further down the list are left out.
pub const TARGETS_MAX: usize = 16;
/// Questions of one resolution. A server with more records than this has enough of them in the first ones.
const QUESTIONS_MAX: usize = 24;
/// Records of one answer that are looked at.
const RECORDS_MAX: usize = 32;

/// A server as the owner or a URI names it.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Wanted {
    pub host: String,
    pub port: Option<u16>,
    /// `None`: the server's own wish, by its NAPTR records.
    pub transport: Option<Transport>,
    /// A `sips:` URI: TLS or nothing.
    pub is_secure: bool,
}

/// One way to try.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Target {
    pub transport: Transport,
    pub address: SocketAddr,
}

/// What a resolution wants to know.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Question {
    Naptr(String),
    Srv(String),
    /// A and AAAA.
    Addresses(String),
}

/// What a name server said. Nothing found and no answer look the same here: either way the next rule applies.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Answer {
    Naptr(Vec<Naptr>),
    Srv(Vec<Srv>),
    Addresses(Vec<IpAddr>),
    Nothing,
}

/// RFC 3403 §4.1, as far as RFC 3263 uses it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Naptr {
    pub order: u16,
    pub preference: u16,
    pub flags: String,
    pub services: String,
    pub replacement: String,
}

/// RFC 2782.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Srv {
    pub priority: u16,
    pub weight: u16,
    pub port: u16,
    pub target: String,
}

/// What is still to be asked, in the order in which its targets are to be tried.
#[derive(Debug, Clone)]
enum Step {
    Srv {
        transport: Transport,
        name: String,
    },
    Addresses {
        transport: Transport,
        name: String,
        port: u16,
    },
    /// No record led anywhere: ask for the name itself.
    Fallback,
}

/// One name on its way to addresses. Ask `question`, tell it `answer`, until there is no question; then take `targets`.
#[derive(Debug)]
pub struct Resolution {
    wanted: Wanted,
    /// What may be used, the preferred first.
    transports: Vec<Transport>,
    rng: StdRng,
    is_waiting_for_naptr: bool,
    /// The next one last.
    steps: Vec<Step>,
    asked: usize,
    found_srv: bool,
    targets: Vec<Target>,
}

impl Resolution {
    /// `transports`: those we can use, the preferred first; WebSocket is none of them. The seed spreads the load among
    /// servers of equal priority.
    pub fn new(wanted: Wanted, transports: &[Transport], seed: u64) -> Resolution {
        let usable = |transport: &Transport| {
            !transport.is_web_socket() && (!wanted.is_secure || transport.is_secure())
        };
        let transports: Vec<Transport> = transports.iter().copied().filter(usable).collect();
        let mut resolution = Resolution {
            transports,
            rng: StdRng::seed_from_u64(seed),
            is_waiting_for_naptr: false,
            steps: Vec::new(),
            asked: 0,
            found_srv: false,
            targets: Vec::new(),
            wanted,
        };
        resolution.start();
        resolution
    }

    /// RFC 3263 §4.1 and §4.2: what is given is taken, the rest is asked.
    fn start(&mut self) {
        let host = self.wanted.host.trim_matches(['[', ']']);
        if let Ok(address) = host.parse::<IpAddr>() {
            let transport = self.given_transport();
            self.add(transport, address, self.port(transport));
            return;
        }
        match (self.wanted.transport, self.wanted.port) {
            (_, Some(_)) => self.steps.push(Step::Fallback),
            (Some(_), None) => {
                let transport = self.given_transport();
                self.steps.push(Step::Fallback);
                self.steps.push(srv_step(transport, &self.wanted.host));
            }
            (None, None) => self.is_waiting_for_naptr = true,
        }
    }

    /// The transport where nothing but the URI decides.
    fn given_transport(&self) -> Transport {
        match self.wanted.transport {
            _ if self.wanted.is_secure => Transport::Tls,
            Some(transport) => transport,
            None => Transport::Udp,
        }
    }

    fn port(&self, transport: Transport) -> u16 {
        self.wanted.port.unwrap_or(transport.default_port())
    }

    fn add(&mut self, transport: Transport, address: IpAddr, port: u16) {
        let target = Target {
            transport,
            address: SocketAddr::new(address, port),
        };
        let is_good = port != 0 && !address.is_unspecified() && !address.is_multicast();
        if is_good && self.targets.len() < TARGETS_MAX && !self.targets.contains(&target) {
            self.targets.push(target);
        }
    }

    /// What to ask next; `None` when the targets are known.
    pub fn question(&self) -> Option<Question> {
        if self.is_waiting_for_naptr {
            return Some(Question::Naptr(self.wanted.host.clone()));
        }
        if self.asked >= QUESTIONS_MAX || self.targets.len() >= TARGETS_MAX {
            return None;
        }
        Some(match self.steps.last()? {
            Step::Srv { name, .. } => Question::Srv(name.clone()),
            Step::Addresses { name, .. } => Question::Addresses(name.clone()),
            Step::Fallback if self.found_srv => return None,
            Step::Fallback => Question::Addresses(self.wanted.host.clone()),
        })
    }

    /// The answer to `question`.
    pub fn answer(&mut self, answer: Answer) {
        self.asked += 1;
        if std::mem::take(&mut self.is_waiting_for_naptr) {
            return self.on_naptr(answer);
        }
        match (self.steps.pop(), answer) {
            (Some(Step::Srv { transport, .. }), Answer::Srv(records)) => {
                self.on_srv(transport, records);
            }
            (
                Some(Step::Addresses {
                    transport, port, ..
                }),
                Answer::Addresses(addresses),
            ) => {
                for address in addresses.into_iter().take(RECORDS_MAX) {
                    self.add(transport, address, port);
                }
            }
            (Some(Step::Fallback), Answer::Addresses(addresses)) => {
                let transport = self.given_transport();
                for address in addresses.into_iter().take(RECORDS_MAX) {
                    self.add(transport, address, self.port(transport));
                }
            }
            _ => {}
        }
    }

    /// RFC 3263 §4.1: the server's wishes among what we can use; without any, every SRV name there could be.
    fn on_naptr(&mut self, answer: Answer) {
        let mut records = match answer {
            Answer::Naptr(records) => records,
            _ => Vec::new(),
        };
        records.truncate(RECORDS_MAX);
        records.sort_by_key(|record| (record.order, record.preference));
        let mut wishes: Vec<Step> = Vec::new();
        for record in records {
            let transport = match record.services.to_ascii_uppercase().as_str() {
                "SIP+D2U" => Transport::Udp,
                "SIP+D2T" => Transport::Tcp,
                "SIPS+D2T" => Transport::Tls,
                _ => continue,
            };
            let leads_to_srv = record.flags.eq_ignore_ascii_case("s");
            if leads_to_srv && self.transports.contains(&transport) {
                let name = record.replacement;
                wishes.push(Step::Srv { transport, name });
            }
        }
        if wishes.is_empty() {
            let names = self.transports.iter();
            wishes.extend(names.map(|transport| srv_step(*transport, &self.wanted.host)));
        }
        self.steps.push(Step::Fallback);
        self.steps.extend(wishes.into_iter().rev());
    }

    /// RFC 2782: by priority; among equals by chance, heavier ones sooner.
    fn on_srv(&mut self, transport: Transport, mut records: Vec<Srv>) {
        records.truncate(RECORDS_MAX);
        // A lone dot says that the service is decidedly not there.
        records.retain(|record| !matches!(record.target.as_str(), "" | "."));
        records.sort_by_key(|record| (record.priority, record.weight));
        let mut ordered = Vec::with_capacity(records.len());
        while let Some(first) = records.first() {
            let priority = first.priority;
            let equals = records.iter().filter(|r| r.priority == priority).count();
            let total: u32 = records[..equals].iter().map(|r| u32::from(r.weight)).sum();
            let mut left = self.rng.random_range(0..=total);
            let at = records[..equals].iter().position(|record| {
                let weight = u32::from(record.weight);
                let is_it = left <= weight;
                left = left.saturating_sub(weight);
                is_it
            });
            ordered.push(records.remove(at.unwrap_or(0)));
        }
        self.found_srv |= !ordered.is_empty();
        let steps = ordered.into_iter().rev().map(|record| Step::Addresses {
            transport,
            name: record.target,
            port: record.port,
        });
        self.steps.extend(steps);
    }

    /// What was found, in the order to be tried. Empty: nothing leads there.
    pub fn targets(self) -> Vec<Target> {
        self.targets
    }
}

fn srv_step(transport: Transport, host: &str) -> Step {
    let prefix = match transport {
        Transport::Udp => "_sip._udp",
        Transport::Tls => "_sips._tcp",
        _ => "_sip._tcp",
    };
    let name = format!("{prefix}.{}", host.trim_end_matches('.'));
    Step::Srv { transport, name }
}

#[cfg(test)]
#[path = "resolve/tests.rs"]
mod tests;
