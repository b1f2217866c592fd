//! PURE. The keys of the phone system's sections: `[[users]]`, `[[groups]]`, `[[trunks]]`, `[outbound]`, `[voicemail]`, and
//! the rule that no number is given twice.

use std::collections::HashMap;
use std::net::IpAddr;

use super::agents_keys;
use super::callbacks;
use super::keys::{dialled, host_name, timezone};
use super::phones::*;
use super::reader::{Reader, Section};
use super::sections::Config;
use super::text;

const RING_S_MAX: u64 = 170;
const DAY_S: u64 = 24 * 3600;
const NUMBER: &str = "digits or a name, of letters, digits and -_.+*#";
pub(super) const PATTERN: &str = "digits, with `?` for any one and `*` at the end for any more";

pub(super) fn user(section: &mut Section<'_, '_>) -> UserEntry {
    let d = UserEntry::default();
    let user = UserEntry {
        name: section.parsed("name", d.name, NUMBER, dialled, String::clone),
        display_name: section.parsed(
            "display_name",
            d.display_name,
            "a name without quotes",
            shown_name,
            String::clone,
        ),
        extensions: section.list("extensions", &[], NUMBER, dialled, String::clone),
        ring_s: section.integer("ring_s", d.ring_s, 3..=RING_S_MAX),
        forward_busy: number(section, "forward_busy"),
        forward_no_answer: number(section, "forward_no_answer"),
        forward_unregistered: number(section, "forward_unregistered"),
        voicemail: section.flag("voicemail", d.voicemail),
        outbound: section.flag("outbound", d.outbound),
        caller_id: number(section, "caller_id"),
        level: agents_keys::level(section, "level"),
        quiet_hours: section.optional_parsed(
            "quiet_hours",
            None,
            callbacks::HOURS,
            callbacks::hours,
            String::clone,
        ),
        timezone: section.parsed(
            "timezone",
            d.timezone,
            "a time zone such as \"Europe/Berlin\"",
            timezone,
            String::clone,
        ),
        text_channel: section.parsed(
            "text_channel",
            d.text_channel,
            "the name of a channel such as \"telegram\"",
            text::channel,
            String::clone,
        ),
        identities: section.list(
            "identities",
            &d.identities,
            "a channel and an id such as \"telegram:12345\"",
            text::identity,
            String::clone,
        ),
    };
    section.require("name", section.has("name"), "missing");
    user
}

pub(super) fn group(section: &mut Section<'_, '_>) -> Group {
    let orders = [("all", RingOrder::All), ("one_by_one", RingOrder::OneByOne)];
    let group = Group {
        number: section.parsed("number", String::new(), NUMBER, dialled, String::clone),
        aliases: section.list("aliases", &[], NUMBER, dialled, String::clone),
        members: section.list("members", &[], NUMBER, dialled, String::clone),
        ring: section.choice("ring", RingOrder::All, &orders),
        ring_s: section.integer("ring_s", 25, 3..=RING_S_MAX),
        forward_no_answer: number(section, "forward_no_answer"),
        voicemail: number(section, "voicemail"),
    };
    for key in ["number", "members"] {
        section.require(key, section.has(key), "missing");
    }
    group
}

pub(super) fn trunk(section: &mut Section<'_, '_>) -> Trunk {
    let transports = [
        ("udp", TrunkTransport::Udp),
        ("tcp", TrunkTransport::Tcp),
        ("tls", TrunkTransport::Tls),
    ];
    let header = |text: &str| {
        let (name, value) = text.split_once(':')?;
        Some((header_name(name.trim())?, header_value(value.trim())?))
    };
    let trunk = Trunk {
        name: section.parsed("name", String::new(), NUMBER, dialled, String::clone),
        host: section.parsed(
            "host",
            String::new(),
            "a host name or address",
            |text| {
                text.is_empty()
                    .then(String::new)
                    .or_else(|| host_name(text))
            },
            String::clone,
        ),
        port: section.optional_integer("port", None, 1..=65_535),
        transport: section.choice("transport", TrunkTransport::Udp, &transports),
        tls_fingerprint: section.parsed(
            "tls_fingerprint",
            String::new(),
            "SHA-256 as 32 pairs of hex digits with colons between",
            fingerprint,
            String::clone,
        ),
        tls_verify: section.flag("tls_verify", true),
        user: section.parsed(
            "user",
            String::new(),
            "a user name",
            header_value,
            String::clone,
        ),
        password: section.secret("password", "password_file", "password_env"),
        account: number(section, "account"),
        account_password: section.secret(
            "account_password",
            "account_password_file",
            "account_password_env",
        ),
        register: section.flag("register", false),
        domain: section.parsed(
            "domain",
            String::new(),
            "a host name",
            |text| {
                text.is_empty()
                    .then(String::new)
                    .or_else(|| host_name(text))
            },
            String::clone,
        ),
        addresses: section.list(
            "addresses",
            &[],
            "addresses such as \"192.0.2.7\" or \"192.0.2.0/24\"",
            address_range,
            |range| format!("{}/{}", range.address, range.bits),
        ),
        udp_addresses: section.flag("udp_addresses", false),
        inbound: section.tables("inbound", inbound),
        numbers: section.tables("numbers", trunk_number),
        prefix: section.optional_parsed(
            "prefix",
            None,
            "digits, perhaps with +, * or #",
            |text| {
                let plain = |c: char| c.is_ascii_digit() || matches!(c, '+' | '*' | '#');
                (text.len() <= 16 && text.chars().all(plain)).then(|| text.to_owned())
            },
            String::clone,
        ),
        strip_prefix: section.flag("strip_prefix", true),
        add: number(section, "add"),
        caller_id: number(section, "caller_id"),
        user_header: section.parsed(
            "user_header",
            "X-Caller-ID".to_owned(),
            "a header name, or \"\"",
            |text| {
                text.is_empty()
                    .then(String::new)
                    .or_else(|| header_name(text))
            },
            String::clone,
        ),
        headers: section.list(
            "headers",
            &[],
            "\"Name: value\"",
            header,
            |(name, value)| format!("{name}: {value}"),
        ),
        calls_max: section.integer("calls_max", 4, 1..=1_000),
    };
    section.require("name", section.has("name"), "missing");
    section.require(
        "host",
        !trunk.host.is_empty() || (!trunk.account.is_empty() && !trunk.register),
        "missing; only a trunk that registers with us, by its `account`, needs none",
    );
    section.require(
        "register",
        !trunk.register || !trunk.user.is_empty(),
        "registering needs `user` and a password",
    );
    let is_spoofable = trunk.transport == TrunkTransport::Udp && !trunk.udp_addresses;
    section.require(
        "addresses",
        trunk.addresses.is_empty() || !is_spoofable,
        "over UDP a sender can lie about its address: use transport \"tcp\" or \"tls\", or say \
         udp_addresses = true if your network keeps liars out",
    );
    trunk
}

fn inbound(section: &mut Section<'_, '_>) -> InboundRule {
    let rule = InboundRule {
        number: section.parsed("number", String::new(), PATTERN, pattern, String::clone),
        to: section.parsed("to", String::new(), NUMBER, dialled, String::clone),
    };
    for key in ["number", "to"] {
        section.require(key, section.has(key), "missing");
    }
    rule
}

/// Empty, or `AB:CD:…`, 32 octets of it.
fn fingerprint(text: &str) -> Option<String> {
    let is_pair = |pair: &str| pair.len() == 2 && pair.bytes().all(|b| b.is_ascii_hexdigit());
    let fits = text.is_empty() || (text.split(':').count() == 32 && text.split(':').all(is_pair));
    fits.then(|| text.to_ascii_uppercase())
}

fn trunk_number(section: &mut Section<'_, '_>) -> TrunkNumber {
    let number = TrunkNumber {
        number: section.parsed("number", String::new(), NUMBER, dialled, String::clone),
        dial: section.parsed("dial", String::new(), NUMBER, dialled, String::clone),
    };
    for key in ["number", "dial"] {
        section.require(key, section.has(key), "missing");
    }
    number
}

pub(super) fn outbound(section: &mut Section<'_, '_>, d: Outbound) -> Outbound {
    Outbound {
        allowed: section.list("allowed", &d.allowed, PATTERN, pattern, String::clone),
        refused: section.list("refused", &d.refused, PATTERN, pattern, String::clone),
        calls_per_user_per_day: section.integer(
            "calls_per_user_per_day",
            d.calls_per_user_per_day,
            0..=100_000,
        ),
        minutes_per_user_per_day: section.integer(
            "minutes_per_user_per_day",
            d.minutes_per_user_per_day,
            0..=100_000,
        ),
        calls_per_user_max: section.integer("calls_per_user_max", d.calls_per_user_max, 1..=1_000),
        calls_max: section.integer("calls_max", d.calls_max, 1..=1_000),
        duration_s_max: section.integer("duration_s_max", d.duration_s_max, 10..=DAY_S),
    }
}

pub(super) fn voicemail(section: &mut Section<'_, '_>, d: Voicemail) -> Voicemail {
    Voicemail {
        enabled: section.flag("enabled", d.enabled),
        greeting: section.text("greeting", &d.greeting),
        message_s_max: section.integer("message_s_max", d.message_s_max, 5..=600),
        silence_s: section.integer("silence_s", d.silence_s, 2..=60),
        messages_per_caller_per_day: section.integer(
            "messages_per_caller_per_day",
            d.messages_per_caller_per_day,
            0..=10_000,
        ),
    }
}

/// Everything that can be dialled is dialled by one name only. Account names give way: the assistant's numbers, and
/// extensions, come first, so a user who is called like one of them is reached by an extension.
pub(super) fn dialled_names_are_distinct(reader: &mut Reader<'_>, config: &Config) {
    let mut seen: HashMap<String, String> = HashMap::new();
    for number in &config.numbers.0 {
        for name in std::iter::once(&number.number).chain(&number.aliases) {
            seen.insert(name.to_lowercase(), "[[numbers]]".to_owned());
        }
    }
    let mut taken: Vec<(String, &'static str, String)> = Vec::new();
    for (n, user) in config.users.iter().enumerate() {
        for extension in &user.extensions {
            taken.push((format!("users[{}]", n + 1), "extensions", extension.clone()));
        }
    }
    for (n, group) in config.groups.iter().enumerate() {
        for name in std::iter::once(&group.number).chain(&group.aliases) {
            taken.push((format!("groups[{}]", n + 1), "number", name.clone()));
        }
    }
    for trunk in &config.trunks {
        for (n, number) in trunk.numbers.iter().enumerate() {
            let section = format!("trunks.numbers[{}]", n + 1);
            taken.push((section, "number", number.number.clone()));
        }
    }
    for (section, key, name) in taken.into_iter().filter(|(_, _, name)| !name.is_empty()) {
        let owner = seen.get(&name.to_lowercase()).cloned();
        reader.require(
            &section,
            key,
            owner.is_none(),
            &format!(
                "`{name}` is already dialled for {}: give one of the two another number",
                owner.as_deref().unwrap_or_default()
            ),
        );
        let owner = section.split('[').next().unwrap_or_default().to_owned();
        seen.entry(name.to_lowercase())
            .or_insert(format!("[[{owner}]]"));
    }
    let mut names: HashMap<String, &'static str> = HashMap::new();
    for (n, user) in config.users.iter().enumerate() {
        let is_new = user.name.is_empty() || names.insert(user.name.to_lowercase(), "").is_none();
        reader.require(
            &format!("users[{}]", n + 1),
            "name",
            is_new,
            &format!("`{}` has two tables", user.name),
        );
    }
    let mut trunks: HashMap<&str, ()> = HashMap::new();
    let mut accounts: HashMap<String, ()> = HashMap::new();
    for (n, trunk) in config.trunks.iter().enumerate() {
        let is_new = trunk.name.is_empty() || trunks.insert(&trunk.name, ()).is_none();
        let section = format!("trunks[{}]", n + 1);
        reader.require(&section, "name", is_new, "another trunk has this name");
        let account = trunk.account.to_lowercase();
        let is_free = account.is_empty()
            || (!names.contains_key(&account) && accounts.insert(account.clone(), ()).is_none());
        reader.require(
            &section,
            "account",
            is_free,
            &format!("`{account}` is the account of a user or of another trunk"),
        );
    }
}

fn number(section: &mut Section<'_, '_>, key: &'static str) -> String {
    let parse = |text: &str| text.is_empty().then(String::new).or_else(|| dialled(text));
    section.parsed(key, String::new(), NUMBER, parse, String::clone)
}

/// Stands inside quotes in headers.
fn shown_name(text: &str) -> Option<String> {
    let plain = |c: char| !c.is_control() && c != '"' && c != '\\';
    (text.chars().count() <= 64 && text.chars().all(plain)).then(|| text.to_owned())
}

pub(super) fn pattern(text: &str) -> Option<String> {
    let body = text.strip_suffix('*').unwrap_or(text);
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '+' | '#' | '?' | '-' | '_');
    let fits = !text.is_empty() && text.len() <= 32 && body.chars().all(plain);
    fits.then(|| text.to_owned())
}

fn header_name(text: &str) -> Option<String> {
    let plain = |c: char| c.is_ascii_alphanumeric() || c == '-';
    let fits = !text.is_empty() && text.len() <= 64 && text.chars().all(plain);
    fits.then(|| text.to_owned())
}

fn header_value(text: &str) -> Option<String> {
    let plain = |c: char| c == ' ' || c.is_ascii_graphic();
    (text.len() <= 256 && text.chars().all(plain)).then(|| text.to_owned())
}

fn address_range(text: &str) -> Option<AddressRange> {
    let (address, bits) = match text.split_once('/') {
        Some((address, bits)) => (address, Some(bits.parse::<u8>().ok()?)),
        None => (text, None),
    };
    let address: IpAddr = address.parse().ok()?;
    let longest = if address.is_ipv4() { 32 } else { 128 };
    let bits = bits.unwrap_or(longest);
    (bits <= longest && bits > 0).then_some(AddressRange { address, bits })
}
