//! PURE.
//! From bytes to the room that decides: parsing, the guard against strangers, form, matching to transactions, and the
//! order of checks in RFC 3261 §8.2. Does not own what a method does.

use std::time::{Duration, Instant};

use super::refer::REFER;
use super::reply::{ALLOW, note_source, retry_after};
use super::{Caller, Endpoint, Event, LogLevel};
use crate::admission;
use crate::auth::server::Verdict;
use crate::bans::BanReason;
use crate::dialog::DialogId;
use crate::error::ParseError;
use crate::flow::Flow;
use crate::header::HeaderName;
use crate::message::{Message, Request};
use crate::method::Method;
use crate::stun;
use crate::transaction::key::{MergeKey, ServerKey};
use crate::uri::{Host, Uri};

/// Bytes a phone sends to keep a NAT binding open: CRLF, CRLF CRLF, a zero byte and their like.
const KEEP_ALIVE_LEN_MAX: usize = 4;

/// What the guard's bucket gets back when somebody authenticates: the price of this request and of the one that was
/// challenged.
const VOUCHED_TOKENS: u32 = 2;

/// Characters of a stranger's user name that the program gets to hear.
const NAME_TOLD_MAX: usize = 64;

/// Told to those who come while the endpoint is full or closing.
const RETRY_LATER: Duration = Duration::from_secs(10);

impl Endpoint {
    pub(super) fn on_datagram(&mut self, now: Instant, flow: Flow, data: &[u8]) {
        if data.len() <= KEEP_ALIVE_LEN_MAX {
            return;
        }
        if !self.admit(now, flow) {
            return;
        }
        if stun::is_stun(data) {
            return self.on_stun(flow, data);
        }
        self.asked_len = data.len();
        let parsed = Message::parse_datagram(data);
        self.on_parsed(now, flow, parsed);
    }

    pub(super) fn on_stream_message(&mut self, now: Instant, flow: Flow, data: &[u8]) {
        if !self.admit(now, flow) {
            return;
        }
        let parsed = Message::parse_stream_message(data);
        self.on_parsed(now, flow, parsed);
    }

    /// Takes the price of one message, but not from this machine itself. Nothing is heard of banned blocks but from where
    /// a phone is registered: it may share its address with whoever was banned. What the owner bans is banned.
    fn admit(&mut self, now: Instant, flow: Flow) -> bool {
        let source = flow.remote.ip();
        if source.to_canonical().is_loopback() {
            return true;
        }
        let ban = self.bans.of(self.unix_ms(now), source);
        let is_banned = ban.is_some_and(|ban| {
            ban.why == BanReason::Owner || !self.registrar.has_phone_at(flow.remote)
        });
        let admitted = !is_banned && self.guard.admit(now, source, 1);
        if !admitted {
            self.stats.messages_throttled += 1;
        }
        admitted
    }

    fn on_parsed(&mut self, now: Instant, flow: Flow, parsed: Result<Message, ParseError>) {
        match parsed {
            Ok(Message::Request(request)) => {
                self.stats.messages_received += 1;
                self.on_request(now, flow, request);
            }
            Ok(Message::Response(response)) => {
                self.stats.messages_received += 1;
                self.on_response(now, flow, response);
            }
            Err(ParseError::Drop { why }) => {
                self.stats.messages_dropped += 1;
                self.log(LogLevel::Debug, format!("dropped {flow}: {why}"));
            }
            Err(ParseError::Refuse { response, why }) => {
                self.stats.requests_refused += 1;
                self.log(
                    LogLevel::Debug,
                    format!("refused {flow} with {}: {why}", response.status),
                );
                // RFC 3261 §17: an ACK is never answered, however bad.
                if !response
                    .headers
                    .cseq()
                    .is_ok_and(|cseq| cseq.method == Method::Ack)
                {
                    self.reply_with(flow, *response);
                }
            }
        }
    }

    fn on_request(&mut self, now: Instant, flow: Flow, mut request: Request) {
        let Ok(reply_to) = note_source(&mut request, flow) else {
            self.stats.messages_dropped += 1;
            return;
        };
        if self.is_scanner(&request) {
            return self.on_scanner(now, flow);
        }
        if let Err(refusal) = admission::check(&request) {
            self.stats.requests_refused += 1;
            if request.method != Method::Ack {
                let tag = self.stateless_tag(&request);
                let mut response = self.response(&request, refusal.status, &tag);
                response.reason = refusal.reason;
                for (name, value) in refusal.headers {
                    response.headers.push(name, value);
                }
                self.reply_with(reply_to, response);
            }
            return;
        }
        // Admission has read every header these keys are made of.
        let (Ok(key), Ok(merge), Ok(dialog)) = (
            ServerKey::of(&request),
            MergeKey::of(&request),
            DialogId::of_request(&request),
        ) else {
            self.stats.messages_dropped += 1;
            return;
        };
        if let Some(id) = self.servers.find(&key) {
            self.guard.vouch(now, flow.remote.ip(), 1);
            if request.method != Method::Ack {
                return self.on_request_again(id, reply_to);
            }
            if !self.on_ack_of(now, id) {
                return;
            }
        }
        match request.method {
            Method::Ack => {
                if let Some(key) = dialog.and_then(|id| self.dialogs.get(&id).copied()) {
                    self.on_ack(now, key, flow, &request);
                }
                return;
            }
            Method::Cancel => return self.on_cancel(now, reply_to, &request),
            _ => {}
        }
        // What a registration is answered leaves nothing behind (see `uas_register`), so neither check is for it.
        let leaves_nothing = request.method == Method::Register;
        // RFC 3261 §8.2.2.2.
        if merge
            .as_ref()
            .is_some_and(|merge| self.servers.is_merged(merge))
        {
            return self.reply(reply_to, &request, 482, []);
        }
        let known = dialog
            .as_ref()
            .is_some_and(|id| self.dialogs.contains_key(id));
        if !leaves_nothing && self.transactions_full(known) {
            return self.reply(reply_to, &request, 503, [retry_after(RETRY_LATER)]);
        }
        self.pop_own_route(&mut request, flow);
        let incoming = Incoming {
            request,
            flow,
            reply_to,
            key,
            merge,
        };
        match dialog {
            Some(id) if incoming.request.method != Method::Register => {
                match self.dialogs.get(&id).copied() {
                    Some(call) if incoming.request.method == Method::Message => {
                        match self.count_in_dialog(call, &incoming.request) {
                            true => self.on_request_outside(now, incoming),
                            false => self.reply(reply_to, &incoming.request, 500, []),
                        }
                    }
                    Some(call) => {
                        if !self.is_proven_in_call(now, call, &incoming) {
                            return;
                        }
                        self.guard.vouch(now, flow.remote.ip(), 1);
                        self.on_request_in_dialog(now, call, incoming);
                    }
                    // RFC 3261 §12.2.2.
                    None => self.reply(reply_to, &incoming.request, 481, []),
                }
            }
            _ => self.on_request_outside(now, incoming),
        }
    }

    fn on_request_outside(&mut self, now: Instant, incoming: Incoming) {
        let Incoming {
            request,
            flow,
            reply_to,
            ..
        } = &incoming;
        let (flow, reply_to) = (*flow, *reply_to);
        // Who brings an answer to a challenge of ours is held to it, whatever is asked; it may have moved.
        if !matches!(
            request.method,
            Method::Register | Method::Invite | Method::Message
        ) && self.digest.is_answered(request)
        {
            match self.authenticate(now, flow, reply_to, request) {
                Some(user) => self.follow_phone(now, &user, flow, request),
                None => return,
            }
        }
        match &request.method {
            Method::Register | Method::Invite | Method::Message | Method::Options
                // A trunk writes the address it was given for us, which need not be one we know.
                if !self.is_ours(&request.uri, flow)
                    && (!matches!(request.method, Method::Invite | Method::Message)
                        || self.proven_trunk(now, flow, request).is_none()) =>
            {
                self.reply(reply_to, request, 404, []);
            }
            Method::Register | Method::Invite | Method::Message if self.shutting_down => {
                self.reply(reply_to, request, 503, [retry_after(RETRY_LATER)]);
            }
            Method::Options => self.on_options(reply_to, request),
            Method::Register => {
                if let Some(user) = self.authenticate(now, flow, reply_to, request) {
                    // A trunk registers from where it may call from.
                    let may_not = |trunk: &crate::trunk::Trunk| !trunk.may_be_at(flow.remote.ip());
                    if self.digest.is_trunk_account(&user)
                        && self.trunks.of_account(&user).is_none_or(may_not)
                    {
                        return self.reply(reply_to, request, 403, []);
                    }
                    self.on_register(now, &user, incoming);
                }
            }
            Method::Invite => {
                if let Some(caller) = self.identify(now, flow, reply_to, request) {
                    if let Caller::User(user) = &caller {
                        self.follow_phone(now, user, flow, request);
                    }
                    self.on_invite(now, caller, incoming);
                }
            }
            Method::Message => {
                if let Some(caller) = self.writer(now, flow, reply_to, request) {
                    self.on_text(now, caller, incoming);
                }
            }
            // RFC 3261 §15.1.2 and §12.2.2: nothing to end, nothing to talk in. RFC 6665 §4.1.3: no such subscription.
            Method::Bye | Method::Info | Method::Prack | Method::Update | Method::Notify => {
                self.reply(reply_to, request, 481, [])
            }
            // A transfer needs a call.
            Method::Refer => self.reply(reply_to, request, 403, []),
            // RFC 6665 §7.3: the one package there is lives inside calls.
            Method::Subscribe => {
                let events = (HeaderName::AllowEvents, REFER.to_owned());
                self.reply(reply_to, request, 489, [events]);
            }
            // RFC 3261 §8.2.1: known, but not to be had here.
            Method::Other(_) => self.reply(
                reply_to,
                request,
                501,
                [(HeaderName::Allow, ALLOW.to_owned())],
            ),
            _ => self.reply(
                reply_to,
                request,
                405,
                [(HeaderName::Allow, ALLOW.to_owned())],
            ),
        }
    }

    /// RFC 3261 §11.2: what an INVITE would meet, and small, because anybody may ask.
    fn on_options(&mut self, reply_to: Flow, request: &Request) {
        let status = if self.shutting_down { 503 } else { 200 };
        self.reply(reply_to, request, status, capabilities());
    }

    /// RFC 3261 §22.1 and RFC 8760: the user a request is from, or `None` after it has been answered.
    pub(super) fn authenticate(
        &mut self,
        now: Instant,
        flow: Flow,
        reply_to: Flow,
        request: &Request,
    ) -> Option<String> {
        let source = flow.remote.ip();
        let unix_ms = self.unix_ms(now);
        // An account that is gone is gone for its open connections too.
        let proven = flow.conn.and_then(|conn| self.streams.user_of(conn));
        if let Some(user) = proven.filter(|user| self.digest.knows(user)) {
            let user = user.to_owned();
            self.guard.vouch(now, source, VOUCHED_TOKENS);
            return Some(user);
        }
        // A phone that is registered goes on being one, whoever else shares its address.
        if let Some(wait) = self.lockout.address_locked(now, source)
            && !self.registrar.has_phone_at(flow.remote)
        {
            if self.lockout.knocked(source) > self.config.guard.knocks_max
                && !self.is_exempt(source)
            {
                self.punish(now, source, BanReason::Guessing);
            } else {
                self.reply(reply_to, request, 403, [retry_after(wait)]);
            }
            return None;
        }
        let verdict = self.digest.verify(unix_ms, request, source);
        let name = match &verdict {
            Verdict::Accepted { user } | Verdict::Wrong { user } | Verdict::Replayed { user } => {
                Some(user.as_str())
            }
            Verdict::Missing | Verdict::Stale | Verdict::Malformed(_) => None,
        };
        // A locked name is closed to right and wrong passwords alike, or guessing would go on behind the lock. It stays
        // open where its owner is registered, or anybody could lock the owner out.
        if let Some(wait) = name.and_then(|name| self.lockout.user_locked(now, name))
            && !name.is_some_and(|name| self.registrar.is_at(name, source, unix_ms))
        {
            self.reply(reply_to, request, 403, [retry_after(wait)]);
            return None;
        }
        let stale = match verdict {
            Verdict::Accepted { user } => {
                self.lockout.succeeded(source, &user);
                self.guard.vouch(now, source, VOUCHED_TOKENS);
                self.vouch_stream(flow.conn);
                return Some(user);
            }
            Verdict::Malformed(why) => {
                self.log(LogLevel::Debug, format!("{flow}: {why}"));
                self.reply(reply_to, request, 400, []);
                return None;
            }
            Verdict::Missing => false,
            Verdict::Stale => true,
            Verdict::Replayed { user } => {
                if request.method == Method::Register
                    && self.register_again(now, &user, request, flow, reply_to)
                {
                    return None;
                }
                true
            }
            Verdict::Wrong { user } => {
                self.stats.authentication_failures += 1;
                let locked = self.lockout.failed(now, source, &user);
                // The more of them, the longer until the next.
                let price = self.lockout.failures_of(source);
                self.guard.charge(now, source, price);
                let user = user.chars().take(NAME_TOLD_MAX).collect();
                self.event(Event::AuthenticationFailed { user, flow, locked });
                if locked {
                    let wait = Duration::from_secs(u64::from(self.config.auth.lockout_s));
                    self.reply(reply_to, request, 403, [retry_after(wait)]);
                    return None;
                }
                // RFC 3261 §22.2: a client must not try the same password again after a 401. One that does would use up
                // its guesses within milliseconds and lock its owner out: a second wrong answer in one attempt ends it.
                let call_id = request.headers.get(&HeaderName::CallId).unwrap_or_default();
                if self.lockout.is_repeated(source, call_id) {
                    self.reply(reply_to, request, 403, []);
                    return None;
                }
                false
            }
        };
        let client = request.headers.get(&HeaderName::UserAgent);
        let challenges = self.digest.challenge(unix_ms, source, stale, client);
        self.reply(
            reply_to,
            request,
            401,
            challenges
                .into_iter()
                .map(|value| (HeaderName::WwwAuthenticate, value)),
        );
        None
    }

    /// RFC 3261 §16.4 as far as it concerns a user agent: a Route that names us has done its work. Others are no
    /// concern of the request's last stop.
    fn pop_own_route(&self, request: &mut Request, flow: Flow) {
        let Ok(routes) = request.headers.routes() else {
            return;
        };
        let own = routes
            .iter()
            .take_while(|route| self.names_us(&route.uri, flow))
            .count();
        for _ in 0..own {
            request.headers.pop_route();
        }
    }

    /// RFC 3261 §8.2.2.1: whether the Request-URI is for us.
    fn is_ours(&self, uri: &Uri, flow: Flow) -> bool {
        self.config.domains.is_empty() || self.names_us(uri, flow)
    }

    fn names_us(&self, uri: &Uri, flow: Flow) -> bool {
        let is_here = match uri.host.ip() {
            Some(address) => self.is_own_address(address, flow),
            None => {
                let name = uri.host.to_string();
                name.eq_ignore_ascii_case("localhost")
                    && flow.local.ip().to_canonical().is_loopback()
            }
        };
        is_here || self.is_domain(&uri.host)
    }

    fn is_domain(&self, host: &Host) -> bool {
        let host = host.to_string();
        self.config
            .domains
            .iter()
            .any(|domain| domain.eq_ignore_ascii_case(&host))
    }
}

/// A request on its way to the room that answers it.
pub(super) struct Incoming {
    pub(super) request: Request,
    pub(super) flow: Flow,
    pub(super) reply_to: Flow,
    pub(super) key: ServerKey,
    pub(super) merge: Option<MergeKey>,
}

/// RFC 3261 §11.2: the headers that say what we can do.
pub(super) fn capabilities() -> [(HeaderName, String); 3] {
    [
        (HeaderName::Allow, ALLOW.to_owned()),
        (HeaderName::Accept, admission::ACCEPT.to_owned()),
        (HeaderName::Supported, admission::SUPPORTED.join(", ")),
    ]
}
