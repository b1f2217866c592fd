//! PURE.
//! What an endpoint is told once: who it is, its times and its bounds. Every default is stated here and nowhere else.

use std::net::IpAddr;

use crate::auth::Algorithm;
use crate::secret::Secret;
use crate::timer::TimerConfig;

/// Limits and identity of one `Endpoint`. Every `_max` is a hard bound; the comment says what happens at it.
#[derive(Debug, Clone)]
pub struct EndpointConfig {
    /// Digest realm. Changing it makes every stored HA1 useless.
    pub realm: String,
    /// Request-URI hosts accepted besides the addresses requests arrive on. Empty: any host is taken to mean us, since
    /// who may call is decided by the account and not by the name the phone was given for this machine.
    pub domains: Vec<String>,
    /// Value of the Server and User-Agent headers; empty leaves both out.
    pub product: String,
    pub timers: TimerConfig,
    /// Shorter registrations are refused with 423.
    pub expires_s_min: u32,
    /// Given to a phone that asks for nothing.
    pub expires_s_default: u32,
    /// Longer ones are shortened to this.
    pub expires_s_max: u32,
    /// At the bound a further contact of that user is refused with 403.
    pub contacts_per_user_max: usize,
    /// At the bound a further contact of anybody is refused with 503.
    pub bindings_max: usize,
    /// Client and server transactions together. At the bound new requests are refused with 503,
    /// statelessly; those inside calls have as much room again.
    pub transactions_max: usize,
    /// Calls that are not over. At the bound a further INVITE is refused with 503.
    pub calls_max: usize,
    /// Seconds a session holds without a refresh (RFC 4028), asked for in calls either way. 0 asks for none; a peer that
    /// wants one gets it.
    pub session_expires_s: u32,
    /// A shorter session is refused with 422; never below 90.
    pub min_se_s: u32,
    /// A response to somebody unknown over UDP that would be larger than this is not sent: we are no amplifier.
    pub udp_response_max: usize,
    /// Where the world knows one of our addresses by another: put into Via and Contact instead of it.
    pub advertised: Vec<Advertised>,
    /// Told as Flow-Timer to a phone that keeps its flow alive as RFC 5626 says: the longest silence on a stream, in
    /// seconds. 0 tells nothing, and the phone pings every two minutes or so.
    pub flow_timer_s: u32,
    /// A call that stands and has been without a message for this long is asked whether its peer is still there; 0 never
    /// asks.
    pub keepalive_s: u32,
    pub auth: AuthConfig,
    pub guard: GuardConfig,
    pub streams: StreamConfig,
}

/// A local address and what stands for it in messages: the outside of a NAT, the floating address of a cluster. Ports
/// stay the same.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Advertised {
    pub local: IpAddr,
    pub outside: IpAddr,
}

impl Advertised {
    /// What stands for `local` in messages: itself where nothing is known of it.
    pub fn of(known: &[Advertised], local: IpAddr) -> IpAddr {
        let local = local.to_canonical();
        let row = known.iter().find(|row| row.local.to_canonical() == local);
        row.map_or(local, |row| row.outside)
    }
}

/// Digest authentication, RFC 7616 and RFC 8760, and what happens to those who guess.
#[derive(Debug, Clone)]
pub struct AuthConfig {
    /// Age at which a nonce becomes stale.
    pub nonce_ttl_s: u32,
    /// Whether a nonce is good only from the IP address it was given to.
    pub nonce_bound_to_address: bool,
    /// Nonces in use whose counts are remembered. At the bound the oldest is retired: it becomes stale.
    pub nonces_max: usize,
    /// Offered in this order, one challenge each.
    pub algorithms: Vec<Algorithm>,
    /// Wrong answers from one IP address within the window before it is locked out.
    pub failures_per_address_max: u32,
    /// Wrong answers for one user name within the window before it is locked, except where it is already registered.
    pub failures_per_user_max: u32,
    pub failure_window_s: u32,
    pub lockout_s: u32,
    /// Addresses and names under watch. At the bound the one longest quiet is forgotten.
    pub watched_max: usize,
}

/// The token bucket each source address has for traffic that nobody has vouched for.
#[derive(Debug, Clone)]
pub struct GuardConfig {
    /// Refilled per second.
    pub tokens_per_s: u32,
    /// Held at most. A source out of tokens is not heard, and not answered.
    pub tokens_max: u32,
    /// Addresses remembered. At the bound the one longest quiet is forgotten.
    pub sources_max: usize,
    /// Banned blocks. At the bound the ban that would end first is forgotten.
    pub bans_max: usize,
    /// The first ban of a block; each in a row is twice as long.
    pub ban_s: u32,
    /// The longest ban, and how long after its end one is remembered.
    pub ban_s_max: u32,
    /// Networks of people we know, as first address and prefix length: banned by nobody but the owner.
    pub trusted: Vec<(IpAddr, u8)>,
    /// Requests that log in from a locked address before it is banned: one that respects Retry-After sends none.
    pub knocks_max: u32,
    /// Beginnings of the User-Agents that are never answered, in any case.
    pub scanners: Vec<String>,
}

/// Bounds of stream connections.
#[derive(Debug, Clone, Copy)]
pub struct StreamConfig {
    /// At the bound a new connection is closed.
    pub streams_max: usize,
    /// At the bound a new connection from that address is closed.
    pub streams_per_address_max: usize,
    /// A connection over which nobody has authenticated is closed after this long.
    pub stranger_s: u32,
    /// Any other is closed after this long without a byte.
    pub idle_s: u32,
    /// Bytes that wait for a connection of ours to open. At the bound the newest message is dropped.
    pub pending_bytes_max: usize,
}

impl Default for EndpointConfig {
    fn default() -> EndpointConfig {
        EndpointConfig {
            realm: "offhook".to_owned(),
            domains: Vec::new(),
            product: concat!("Offhook/", env!("CARGO_PKG_VERSION")).to_owned(),
            timers: TimerConfig::default(),
            expires_s_min: 60,
            expires_s_default: 3_600,
            expires_s_max: 7_200,
            contacts_per_user_max: 8,
            bindings_max: 131_072,
            transactions_max: 16_384,
            calls_max: 256,
            session_expires_s: 1_800,
            min_se_s: 90,
            udp_response_max: 4_096,
            advertised: Vec::new(),
            flow_timer_s: 240,
            keepalive_s: 60,
            auth: AuthConfig::default(),
            guard: GuardConfig::default(),
            streams: StreamConfig::default(),
        }
    }
}

impl Default for AuthConfig {
    fn default() -> AuthConfig {
        AuthConfig {
            nonce_ttl_s: 300,
            nonce_bound_to_address: true,
            nonces_max: 16_384,
            algorithms: vec![Algorithm::Sha256, Algorithm::Md5],
            failures_per_address_max: 20,
            failures_per_user_max: 10,
            failure_window_s: 300,
            lockout_s: 300,
            watched_max: 4_096,
        }
    }
}

impl Default for GuardConfig {
    fn default() -> GuardConfig {
        GuardConfig {
            tokens_per_s: 50,
            tokens_max: 200,
            sources_max: 4_096,
            bans_max: 10_000,
            ban_s: 3_600,
            ban_s_max: 7 * 24 * 3_600,
            // What a tailnet hands out: 100.64.0.0/10 and fd7a:115c:a1e0::/48.
            trusted: vec![
                (IpAddr::from([100, 64, 0, 0]), 10),
                (IpAddr::from([0xfd7a, 0x115c, 0xa1e0, 0, 0, 0, 0, 0]), 48),
            ],
            knocks_max: 10,
            scanners: [
                "friendly-scanner",
                "friendly-request",
                "sipvicious",
                "sipcli",
                "sip-scan",
                "sipscan",
                "sipsak-scan",
                "sundayddr",
                "pplsip",
                "VaxSIPUserAgent",
                "VaxIPUserAgent",
                "siparmyknife",
                "smap",
                "iWar",
                "Gulp",
                "Test Agent",
            ]
            .map(str::to_owned)
            .to_vec(),
        }
    }
}

impl Default for StreamConfig {
    fn default() -> StreamConfig {
        StreamConfig {
            streams_max: 512,
            streams_per_address_max: 64,
            stranger_s: 32,
            idle_s: 7_500,
            pending_bytes_max: 256 * 1024,
        }
    }
}

/// One account. `ha1_*` are what `ha1()` returns for this user name and the endpoint's realm; an empty one means that
/// the account cannot log in with that algorithm.
#[derive(Debug, Clone)]
pub struct User {
    pub name: String,
    pub ha1_md5: Secret,
    pub ha1_sha256: Secret,
    /// May log in from a loopback address only; from elsewhere the account does not exist.
    pub local_only: bool,
}
