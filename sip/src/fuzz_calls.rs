//! PURE.
//! A fuzz body for the endpoint as a whole: octets become a play of a peer that knows the words and not the manners. It
//! invites, answers, acknowledges, changes and ends calls in any order, with any numbers; programs on our side do
//! likewise. Whatever comes, each call ends once and nothing stays behind.

use std::collections::{BTreeMap, VecDeque};
use std::time::{Duration, Instant};

use crate::endpoint::{CallKey, CallParams, Endpoint, EndpointConfig, Event, Input, Output};
use crate::flow::{Flow, FlowTarget, Transport};
use crate::header::{HeaderName, NameAddr};
use crate::message::{Message, Request, Response};
use crate::method::Method;
use crate::trunk::Trunk;

const OFFER: &str = "v=0\r\no=- 1 1 IN IP4 192.0.2.7\r\ns=-\r\nc=IN IP4 192.0.2.7\r\nt=0 0\r\nm=audio 4000 RTP/AVP 0\r\n";
/// Steps of one play; octets beyond are not read.
const STEPS_MAX: usize = 400;
/// Calls the peer or the program begins in one play.
const CALLS_MAX: usize = 6;
/// Requests of ours that the peer remembers to answer.
const REMEMBERED_MAX: usize = 12;
/// After the last step everything must be over within this.
const AFTERMATH: Duration = Duration::from_secs(3_600);

const METHODS: [Method; 12] = [
    Method::Bye,
    Method::Update,
    Method::Invite,
    Method::Prack,
    Method::Ack,
    Method::Cancel,
    Method::Info,
    Method::Options,
    Method::Refer,
    Method::Notify,
    Method::Register,
    Method::Message,
];

const STATUSES: [u16; 24] = [
    100, 180, 183, 199, 200, 200, 202, 204, 302, 400, 401, 407, 408, 415, 422, 481, 486, 487, 488,
    491, 500, 503, 600, 699,
];

const EXTRAS: [(HeaderName, &str); 24] = [
    (HeaderName::Supported, "100rel, timer"),
    (HeaderName::Require, "100rel"),
    (HeaderName::Require, "timer"),
    (HeaderName::Require, "nothing-known"),
    (HeaderName::SessionExpires, "90"),
    (HeaderName::SessionExpires, "1800;refresher=uac"),
    (HeaderName::SessionExpires, "100;refresher=uas"),
    (HeaderName::SessionExpires, "1"),
    (HeaderName::MinSe, "3600"),
    (HeaderName::RSeq, "1"),
    (HeaderName::RSeq, "2"),
    (HeaderName::RSeq, "4294967295"),
    (HeaderName::Allow, "INVITE, ACK, BYE, UPDATE, PRACK"),
    (HeaderName::Allow, "INVITE"),
    (HeaderName::RetryAfter, "0"),
    (HeaderName::RetryAfter, "5 (soon)"),
    (HeaderName::Reason, "SIP;cause=200"),
    (HeaderName::Expires, "3"),
    (HeaderName::ReferTo, "<sip:200@192.0.2.1>"),
    (HeaderName::Event, "refer"),
    (
        HeaderName::SubscriptionState,
        "terminated;reason=noresource",
    ),
    (HeaderName::RecordRoute, "<sip:192.0.2.9;lr>"),
    (
        HeaderName::WwwAuthenticate,
        "Digest realm=\"r\", nonce=\"n\", qop=\"auth\"",
    ),
    (
        HeaderName::ProxyAuthenticate,
        "Digest realm=\"r\", nonce=\"m\", stale=true",
    ),
];

/// A dialog as the peer sees it.
struct PeerDialog {
    call_id: String,
    /// From and To of its requests.
    local: String,
    remote: String,
    cseq: u32,
    /// RSeq of the last reliable response it saw.
    rseq: String,
    invited: u32,
}

struct Play<'a> {
    endpoint: Endpoint,
    now: Instant,
    script: &'a [u8],
    flow: Flow,
    dialogs: Vec<PeerDialog>,
    /// Requests of ours, the newest last.
    asked: VecDeque<Request>,
    calls: Vec<CallKey>,
    ended: BTreeMap<CallKey, u32>,
    begun: usize,
    branches: u32,
    last: Vec<u8>,
}

/// `start` is any moment: what is driven here reads no clock.
pub fn drive_calls(start: Instant, data: &[u8]) {
    let local = ([192, 0, 2, 1], 5060).into();
    let remote = ([192, 0, 2, 7], 5060).into();
    let mut endpoint = Endpoint::new(EndpointConfig::default(), [7; 32], start, 1_000_000);
    endpoint.set_trunks(
        start,
        vec![Trunk {
            name: "peer".to_owned(),
            addresses: vec![([192, 0, 2, 7].into(), 32)],
            transport: None,
            trusts_udp: true,
            account: None,
        }],
    );
    let mut play = Play {
        endpoint,
        now: start,
        script: data,
        flow: Flow::udp(local, remote),
        dialogs: Vec::new(),
        asked: VecDeque::new(),
        calls: Vec::new(),
        ended: BTreeMap::new(),
        begun: 0,
        branches: 0,
        last: Vec::new(),
    };
    play.drain();
    for _ in 0..STEPS_MAX {
        if play.script.is_empty() {
            break;
        }
        play.step();
    }
    play.end();
}

impl Play<'_> {
    fn octet(&mut self) -> usize {
        match self.script.split_first() {
            Some((first, rest)) => {
                self.script = rest;
                usize::from(*first)
            }
            None => 0,
        }
    }

    fn step(&mut self) {
        match self.octet() % 12 {
            0 | 1 => self.peer_invites(),
            2..=4 => self.peer_asks(),
            5 | 6 => self.peer_answers(),
            7..=9 => self.program_acts(),
            10 => {
                let ms = self.octet() as u64;
                self.wait(Duration::from_millis(ms * ms));
            }
            _ => {
                let again = self.last.clone();
                self.deliver(&again);
            }
        }
    }

    fn wait(&mut self, time: Duration) {
        let until = self.now + time;
        while let Some(at) = self.endpoint.next_timeout().filter(|at| *at <= until) {
            self.now = self.now.max(at);
            self.endpoint.handle(self.now, Input::Timeout);
            self.drain();
        }
        self.now = until;
    }

    fn deliver(&mut self, data: &[u8]) {
        let flow = self.flow;
        self.endpoint
            .handle(self.now, Input::Datagram { flow, data });
        self.drain();
    }

    /// Sends it, now and then with one octet wrong.
    fn send(&mut self, mut data: Vec<u8>) {
        let spoil = self.octet();
        if spoil > 240 {
            let at = self.octet() * 7 % data.len().max(1);
            if let Some(octet) = data.get_mut(at) {
                *octet ^= 1 << (spoil % 8);
            }
        }
        self.last.clone_from(&data);
        self.deliver(&data);
    }

    fn drain(&mut self) {
        while let Some(output) = self.endpoint.poll_output() {
            match output {
                Output::Datagram { data, .. } => {
                    let message = Message::parse_datagram(&data);
                    self.hear(message.expect("we send what can be read"));
                }
                Output::Event(event) => self.note(event),
                _ => {}
            }
        }
    }

    fn note(&mut self, event: Event) {
        match event {
            Event::IncomingCall { call, .. } => self.calls.push(call),
            Event::CallEnded { call, .. } => {
                let ends = self.ended.entry(call).or_default();
                *ends += 1;
                assert_eq!(*ends, 1, "a call ends once");
            }
            Event::CallProgress { call, .. }
            | Event::CallAnswered { call, .. }
            | Event::CallConfirmed { call, .. }
            | Event::ReInvite { call, .. }
            | Event::ReofferAnswered { call, .. } => {
                assert!(!self.ended.contains_key(&call), "nothing after the end");
            }
            _ => {}
        }
    }

    fn hear(&mut self, message: Message) {
        match message {
            Message::Request(request) => {
                if request.method == Method::Invite
                    && request.headers.to().is_ok_and(|to| to.tag().is_none())
                {
                    self.take_invite(&request);
                }
                if self.asked.len() >= REMEMBERED_MAX {
                    self.asked.pop_front();
                }
                self.asked.push_back(request);
            }
            Message::Response(response) => {
                let call_id = response.headers.get(&HeaderName::CallId);
                let dialog = self
                    .dialogs
                    .iter_mut()
                    .find(|dialog| Some(dialog.call_id.as_str()) == call_id);
                if let Some(dialog) = dialog {
                    if let Some(to) = response.headers.get(&HeaderName::To)
                        && response.status > 100
                    {
                        to.clone_into(&mut dialog.remote);
                    }
                    if let Some(rseq) = response.headers.get(&HeaderName::RSeq) {
                        rseq.clone_into(&mut dialog.rseq);
                    }
                }
            }
        }
    }

    /// A call of ours: the peer may ask in it, too.
    fn take_invite(&mut self, invite: &Request) {
        let value = |name| invite.headers.get(&name).unwrap_or_default().to_owned();
        let call_id = value(HeaderName::CallId);
        if self.dialogs.iter().any(|dialog| dialog.call_id == call_id) {
            return;
        }
        self.dialogs.push(PeerDialog {
            call_id,
            local: format!("{};tag=t0", value(HeaderName::To)),
            remote: value(HeaderName::From),
            cseq: 10,
            rseq: "1".to_owned(),
            invited: 0,
        });
    }

    fn via(&mut self) -> String {
        self.branches += 1;
        format!(
            "SIP/2.0/UDP 192.0.2.7:5060;branch=z9hG4bKf{}",
            self.branches
        )
    }

    fn add_extras(&mut self, headers: &mut crate::header::Headers) {
        for _ in 0..self.octet() % 4 {
            let (name, value) = EXTRAS[self.octet() % EXTRAS.len()].clone();
            headers.push(name, value);
        }
    }

    fn peer_invites(&mut self) {
        if self.begun >= CALLS_MAX {
            return;
        }
        self.begun += 1;
        let number = self.begun;
        let mut invite = Request::new(Method::Invite, uri("sip:100@192.0.2.1"));
        let via = self.via();
        let dialog = PeerDialog {
            call_id: format!("call{number}"),
            local: "<sip:200@192.0.2.7>;tag=p".to_owned(),
            remote: "<sip:100@192.0.2.1>".to_owned(),
            cseq: 1,
            rseq: "1".to_owned(),
            invited: 1,
        };
        self.fill(&mut invite, &dialog, &via, 1);
        self.dialogs.push(dialog);
        self.add_extras(&mut invite.headers);
        if !self.octet().is_multiple_of(4) {
            invite.set_body("application/sdp", OFFER);
        }
        self.send(invite.to_bytes());
    }

    fn fill(&self, request: &mut Request, dialog: &PeerDialog, via: &str, cseq: u32) {
        let headers = &mut request.headers;
        headers.push(HeaderName::Via, via);
        headers.push(HeaderName::MaxForwards, "70");
        headers.push(HeaderName::From, dialog.local.as_str());
        headers.push(HeaderName::To, dialog.remote.as_str());
        headers.push(HeaderName::CallId, dialog.call_id.as_str());
        headers.push(HeaderName::CSeq, format!("{cseq} {}", request.method));
        headers.push(HeaderName::Contact, "<sip:200@192.0.2.7:5060>");
    }

    /// A request inside a dialog; ACK and CANCEL bear the number of the INVITE.
    fn peer_asks(&mut self) {
        if self.dialogs.is_empty() {
            return;
        }
        let at = self.octet() % self.dialogs.len();
        let method = METHODS[self.octet() % METHODS.len()].clone();
        let step = (self.octet() % 4) as u32;
        let mut via = self.via();
        let Some(mut dialog) = (at < self.dialogs.len()).then(|| self.dialogs.swap_remove(at))
        else {
            return;
        };
        let cseq = match method {
            Method::Ack | Method::Cancel => dialog.invited,
            _ => {
                // Mostly one more, now and then the same or two.
                dialog.cseq += [1, 1, 0, 2][step as usize];
                dialog.cseq
            }
        };
        if method == Method::Invite {
            dialog.invited = cseq;
        }
        if method == Method::Cancel && step < 2 {
            "SIP/2.0/UDP 192.0.2.7:5060;branch=z9hG4bKf1".clone_into(&mut via);
        }
        let mut request = Request::new(method.clone(), uri("sip:100@192.0.2.1"));
        self.fill(&mut request, &dialog, &via, cseq);
        if method == Method::Prack {
            let rack = format!("{} {} INVITE", dialog.rseq, dialog.invited);
            request.headers.push(HeaderName::RAck, rack);
        }
        self.dialogs.push(dialog);
        self.add_extras(&mut request.headers);
        if self.octet().is_multiple_of(2) {
            request.set_body("application/sdp", OFFER);
        }
        self.send(request.to_bytes());
    }

    /// A response to something we asked, perhaps long ago, perhaps from another branch.
    fn peer_answers(&mut self) {
        if self.asked.is_empty() {
            return;
        }
        let back = self.octet() % self.asked.len();
        let Some(request) = self.asked.iter().rev().nth(back).cloned() else {
            return;
        };
        let mut response = Response::to_request(&request, STATUSES[self.octet() % STATUSES.len()]);
        let tagged = request.headers.to().is_ok_and(|to| to.tag().is_some());
        let tag = self.octet() % 3;
        if !tagged && response.status > 100 {
            let to = request.headers.get(&HeaderName::To).unwrap_or_default();
            response
                .headers
                .set(HeaderName::To, format!("{to};tag=t{tag}"));
        }
        response
            .headers
            .push(HeaderName::Contact, "<sip:200@192.0.2.7:5060>");
        self.add_extras(&mut response.headers);
        if self.octet().is_multiple_of(2) {
            response.set_body("application/sdp", OFFER);
        }
        self.send(response.to_bytes());
    }

    fn program_acts(&mut self) {
        let what = self.octet() % 14;
        if what == 13 {
            return self.program_calls();
        }
        if self.calls.is_empty() {
            return;
        }
        let at = self.octet() % self.calls.len();
        let call = self.calls[at];
        let dice = self.octet();
        let (now, sdp) = (self.now, OFFER.to_owned());
        let some = (dice.is_multiple_of(2)).then(|| sdp.clone());
        let endpoint = &mut self.endpoint;
        // What makes no sense now is refused, and that is all that must happen.
        let _ = match what {
            0 => endpoint.provisional(now, call, 180 + (dice % 4) as u16, some),
            1 | 2 => endpoint.answer(now, call, sdp),
            3 => endpoint.reject(now, call, 300 + (dice % 400) as u16, Vec::new()),
            4 => endpoint.hangup(now, call, some.map(|_| "SIP;cause=480".to_owned())),
            5 | 6 => endpoint.reoffer(now, call, some),
            7 => endpoint.acknowledge(now, call, sdp),
            8 => endpoint.refer(now, call, uri("sip:300@192.0.2.7"), None),
            9 => endpoint.answer_transfer(now, call, some.map(drop).ok_or(603)),
            10 => endpoint.transfer_progress(now, call, 100 + (dice as u16) * 2),
            11 => endpoint.send_info_digit(now, call, '5', 100),
            _ => endpoint.answer_reinvite(now, call, some.ok_or(488)),
        };
        self.drain();
    }

    fn program_calls(&mut self) {
        if self.begun >= CALLS_MAX {
            return;
        }
        self.begun += 1;
        let dice = self.octet();
        let params = CallParams {
            offer: (!dice.is_multiple_of(3)).then(|| OFFER.to_owned()),
            credentials: (dice.is_multiple_of(2)).then(|| ("us".to_owned(), "secret".into())),
            ..CallParams::new(
                uri("sip:200@192.0.2.7"),
                FlowTarget {
                    transport: Transport::Udp,
                    local: self.flow.local,
                    remote: self.flow.remote,
                },
                NameAddr::new(uri("sip:100@192.0.2.1")),
                uri("sip:100@192.0.2.1"),
                OFFER.to_owned(),
            )
        };
        let call = self.endpoint.call(self.now, params);
        self.calls.push(call);
        self.drain();
    }

    /// The owner stops the program; the peer says nothing more.
    fn end(&mut self) {
        self.endpoint.shutdown(self.now);
        self.drain();
        self.wait(AFTERMATH);
        let stats = self.endpoint.stats();
        let left = (
            stats.calls,
            stats.server_transactions,
            stats.client_transactions,
        );
        assert_eq!(left, (0, 0, 0), "calls and transactions end");
        for call in &self.calls {
            assert_eq!(self.ended.get(call), Some(&1), "each call ends");
        }
        assert!(self.endpoint.has_forgotten_calls(), "calls are forgotten");
    }
}

fn uri(text: &str) -> crate::uri::Uri {
    text.parse().expect("a URI of ours")
}
