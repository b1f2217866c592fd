//! PURE.
//! Which of our addresses goes by which name outside: the owner's rows against the addresses this machine has.

use std::net::IpAddr;

use sip::Advertised;

use crate::config::{Advertise, Inside};
use crate::tailnet::{Interface, is_tailnet};

/// What each address of this machine is advertised as, where that is another. `bound`: what we listen on; a wildcard
/// stands for every interface. A row for an address or interface goes before one for all.
pub fn table(rows: &[Advertise], bound: &[IpAddr], interfaces: &[Interface]) -> Vec<Advertised> {
    let mut found: Vec<Advertised> = Vec::new();
    let interface_addresses = interfaces.iter().map(|interface| interface.address);
    let locals = bound.iter().copied().chain(interface_addresses);
    for local in locals.filter(|address| !address.is_unspecified()) {
        if found.iter().any(|known| known.local == local) {
            continue;
        }
        let fits = |row: &&Advertise, is_special: bool| {
            let of_family = row.outside.is_ipv4() == local.is_ipv4();
            of_family
                && match &row.inside {
                    Inside::Any => !is_special && !local.is_loopback() && !is_tailnet(local),
                    Inside::Address(address) => is_special && *address == local,
                    Inside::Interface(name) => {
                        let has_it = |i: &Interface| i.name == *name && i.address == local;
                        is_special && interfaces.iter().any(has_it)
                    }
                }
        };
        let special = rows.iter().find(|row| fits(row, true));
        if let Some(row) = special.or_else(|| rows.iter().find(|row| fits(row, false))) {
            found.push(Advertised {
                local,
                outside: row.outside,
            });
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_and_addresses() {
        let ip = |text: &str| -> IpAddr { text.parse().expect("an address") };
        let interface = |name: &str, address: &str| Interface {
            name: name.to_owned(),
            address: ip(address),
            is_uplink: true,
        };
        let interfaces = [
            interface("lo", "127.0.0.1"),
            interface("eth0", "10.0.0.5"),
            interface("eth0", "fd00::5"),
            interface("wg0", "10.8.0.1"),
            interface("tailscale0", "100.101.1.2"),
        ];
        let row = |inside, outside: &str| Advertise {
            inside,
            outside: ip(outside),
        };
        let any = row(Inside::Any, "203.0.113.9");
        let eth0 = row(Inside::Interface("eth0".to_owned()), "203.0.113.1");
        let wg0 = row(Inside::Address(ip("10.8.0.1")), "198.51.100.7");
        let check = |rows: &[&Advertise], expected: &[(&str, &str)]| {
            let rows: Vec<Advertise> = rows.iter().map(|row| (*row).clone()).collect();
            let found = table(&rows, &[ip("0.0.0.0"), ip("127.0.0.1")], &interfaces);
            let found: Vec<_> = found.iter().map(|a| (a.local, a.outside)).collect();
            let expected: Vec<_> = expected.iter().map(|(a, b)| (ip(a), ip(b))).collect();
            assert_eq!(found, expected);
        };
        check(&[], &[]);
        check(
            &[&any],
            &[("10.0.0.5", "203.0.113.9"), ("10.8.0.1", "203.0.113.9")],
        );
        check(
            &[&any, &eth0, &wg0],
            &[("10.0.0.5", "203.0.113.1"), ("10.8.0.1", "198.51.100.7")],
        );
        check(&[&eth0], &[("10.0.0.5", "203.0.113.1")]);
        let six = row(Inside::Any, "2001:db8::9");
        check(&[&six], &[("fd00::5", "2001:db8::9")]);
        let tailnet = row(Inside::Address(ip("100.101.1.2")), "100.101.1.9");
        check(&[&tailnet], &[("100.101.1.2", "100.101.1.9")]);
        assert_eq!(Advertised::of(&[], ip("10.0.0.5")), ip("10.0.0.5"));
    }
}
