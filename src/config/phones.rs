//! PURE. The typed config of the phone system: who has which number, groups, trunks, what may be dialled outside, and
//! messages. Every default stands here and nowhere else. What a dialled number means is `routing`'s.

use std::net::IpAddr;

use agent_bridge::levels::Level;

use super::sections::SecretSource;

/// One `[[users]]` table: what others need to know of an account. Accounts themselves, with their passwords, are in the
/// secret store; an account without a table here has these defaults and is dialled by its name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UserEntry {
    /// The account's name.
    pub name: String,
    /// Shown to the phone that rings; empty: the account's name.
    pub display_name: String,
    /// Numbers that ring this user's phones.
    pub extensions: Vec<String>,
    /// How long they ring before the call is unanswered.
    pub ring_s: u32,
    /// Where calls go when every phone is busy; empty: nowhere.
    pub forward_busy: String,
    pub forward_no_answer: String,
    /// Where calls go when no phone is registered.
    pub forward_unregistered: String,
    /// Whether a message is taken where none of the rules above applies.
    pub voicemail: bool,
    /// What this user may dial outside, besides the rules of `[outbound]`.
    pub outbound: bool,
    /// Number shown to trunks for this user's calls; empty: the trunk's own.
    pub caller_id: String,
    /// What this user is to the owner; none: the default of `[levels]`.
    pub level: Option<Level>,
    /// When the assistant does not call this user; none: as `[callbacks]` says.
    pub quiet_hours: Option<String>,
    /// IANA zone of these hours; empty: that of `[callbacks]`.
    pub timezone: String,
    /// The channel they are written to (`telegram`, `sip`); empty: the one used last.
    pub text_channel: String,
    /// Who they are at channels of text, as `telegram:12345` or `matrix:@anna:example.org`.
    pub identities: Vec<String>,
}

impl Default for UserEntry {
    fn default() -> UserEntry {
        UserEntry {
            name: String::new(),
            display_name: String::new(),
            extensions: Vec::new(),
            ring_s: 25,
            forward_busy: String::new(),
            forward_no_answer: String::new(),
            forward_unregistered: String::new(),
            voicemail: true,
            outbound: true,
            caller_id: String::new(),
            level: None,
            quiet_hours: None,
            timezone: String::new(),
            text_channel: String::new(),
            identities: Vec::new(),
        }
    }
}

/// In which order the members of a group ring.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RingOrder {
    /// All at once.
    All,
    /// One after the other, in the order written.
    OneByOne,
}

/// One `[[groups]]` table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Group {
    pub number: String,
    pub aliases: Vec<String>,
    /// Names or extensions of users.
    pub members: Vec<String>,
    pub ring: RingOrder,
    /// How long all of them ring, or each of them where they ring one by one.
    pub ring_s: u32,
    /// Where the call goes when nobody answers; empty: nowhere.
    pub forward_no_answer: String,
    /// The user whose message box takes a message then; empty: none.
    pub voicemail: String,
}

/// How a trunk is reached.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TrunkTransport {
    Udp,
    Tcp,
    Tls,
}

/// Addresses with the same first `bits` bits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AddressRange {
    pub address: IpAddr,
    pub bits: u8,
}

/// One `[[trunks.inbound]]` table: what a number called from outside reaches in here.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InboundRule {
    /// Digits; `?` stands for any digit, a `*` at the end for any more. See [`crate::routing::fits`].
    pub number: String,
    /// A number, a name of a user or a group.
    pub to: String,
}

/// One `[[trunks.numbers]]` table: something behind the trunk that is dialled like a number of ours.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TrunkNumber {
    pub number: String,
    /// User part of the address that is called on the trunk.
    pub dial: String,
}

/// One `[[trunks]]` table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Trunk {
    pub name: String,
    /// Name or address of the other side; its port follows from the transport or from DNS unless one is given.
    pub host: String,
    pub port: Option<u16>,
    pub transport: TrunkTransport,
    /// SHA-256 of its certificate, `AB:CD:…`; empty: this machine's authorities vouch for its name.
    pub tls_fingerprint: String,
    /// False: any certificate will do.
    pub tls_verify: bool,
    /// What we log in as; empty: the trunk knows us by our address.
    pub user: String,
    /// `password_file`, `password_env`.
    pub password: SecretSource,
    /// What the trunk logs in as with us, to call and to register; empty: it does not.
    pub account: String,
    /// `account_password_file`, `account_password_env`.
    pub account_password: SecretSource,
    /// Whether we register there, so that calls come to us wherever we are.
    pub register: bool,
    /// Domain of our From; empty: `host`.
    pub domain: String,
    /// From where calls come in without a password. Empty: only over our registration.
    pub addresses: Vec<AddressRange>,
    /// Whether an address list may be trusted over UDP, where senders can lie about their address.
    pub udp_addresses: bool,
    pub inbound: Vec<InboundRule>,
    pub numbers: Vec<TrunkNumber>,
    /// Dialled numbers that begin so go out here; none: only `numbers` do.
    pub prefix: Option<String>,
    /// Whether the prefix is left out of what is sent.
    pub strip_prefix: bool,
    /// Put before what is sent.
    pub add: String,
    /// Shown as the caller where the user has no `caller_id`.
    pub caller_id: String,
    /// Header that carries the name of the user who calls; empty: none.
    pub user_header: String,
    /// Further headers, `Name: value`.
    pub headers: Vec<(String, String)>,
    /// Calls at once, both ways.
    pub calls_max: usize,
}

/// `[outbound]`: what may be dialled outside. Nothing, unless patterns are given.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Outbound {
    /// Patterns of numbers, as they are sent to the trunk.
    pub allowed: Vec<String>,
    /// Patterns that are refused whatever is allowed: numbers that cost by the call or by the minute.
    pub refused: Vec<String>,
    pub calls_per_user_per_day: u32,
    pub minutes_per_user_per_day: u32,
    pub calls_per_user_max: usize,
    pub calls_max: usize,
    pub duration_s_max: u32,
}

impl Default for Outbound {
    fn default() -> Outbound {
        // Premium and satellite ranges that fraud is made with: shared-cost and premium services of the ITU's country
        // code list (E.164 +878, +882, +883, +979), of North America and of some European plans.
        let refused = [
            "+878*", "+881*", "+882*", "+883*", "+979*", "+1900*", "+1976*", "1900*", "0900*",
            "+49900*", "+49137*", "+44871*", "+449*", "+338*", "+3989*", "+34803*", "+34806*",
            "+34807*", "+41900*", "+41901*", "+41906*", "+43900*", "+43930*",
        ];
        Outbound {
            allowed: Vec::new(),
            refused: refused.map(str::to_owned).to_vec(),
            calls_per_user_per_day: 50,
            minutes_per_user_per_day: 240,
            calls_per_user_max: 2,
            calls_max: 4,
            duration_s_max: 2 * 3600,
        }
    }
}

/// `[voicemail]`: messages that the assistant takes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Voicemail {
    pub enabled: bool,
    /// Said before the tone; `{name}` is who was called.
    pub greeting: String,
    pub message_s_max: u32,
    /// Silence that ends a message.
    pub silence_s: u32,
    pub messages_per_caller_per_day: u32,
}

impl Default for Voicemail {
    fn default() -> Voicemail {
        Voicemail {
            enabled: true,
            greeting: "{name} can't take your call right now. Please leave a message after the \
                       tone, and press hash when you are done."
                .to_owned(),
            message_s_max: 180,
            silence_s: 6,
            messages_per_caller_per_day: 20,
        }
    }
}
