//! A peer written by hand: sends text, reads text. For everything a well-behaved endpoint would never say.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use super::world::{PASSWORD, account, server_address};
use crate::auth::client::Challenge;
use crate::endpoint::{Endpoint, EndpointConfig, Event, Input, Output};
use crate::flow::{ConnId, Flow};
use crate::header::HeaderName;
use crate::message::{Message, Request, Response};

pub(super) struct Peer {
    pub(super) endpoint: Endpoint,
    pub(super) now: Instant,
    pub(super) flow: Flow,
    pub(super) events: Vec<Event>,
    /// What came back since the last `take`: flow and message.
    pub(super) received: Vec<(Flow, Message)>,
    pub(super) closed: Vec<ConnId>,
    /// Connections that were asked for.
    pub(super) opened: Vec<Flow>,
    /// Keep-alives that came.
    pub(super) pings: u32,
    /// Everything the endpoint did, one word each, in order.
    pub(super) order: Vec<&'static str>,
}

impl Peer {
    pub(super) fn new(config: EndpointConfig) -> Peer {
        let now = crate::testing::start();
        let mut endpoint = Endpoint::new(config, [5; 32], now, 1_000_000);
        endpoint.set_users(vec![account("phone1"), account("phone2")]);
        let flow = Flow::udp(server_address(), "192.0.2.7:5062".parse().expect("address"));
        Peer {
            endpoint,
            now,
            flow,
            events: Vec::new(),
            received: Vec::new(),
            closed: Vec::new(),
            opened: Vec::new(),
            pings: 0,
            order: Vec::new(),
        }
    }

    pub(super) fn from(&mut self, address: &str) {
        let address: SocketAddr = address.parse().expect("address");
        self.flow = Flow::udp(server_address(), address);
    }

    pub(super) fn drain(&mut self) {
        let mut saved_first = VecDeque::new();
        while let Some(output) = saved_first
            .pop_front()
            .or_else(|| self.endpoint.poll_output())
        {
            self.order.push(match &output {
                Output::Datagram { .. } | Output::StreamData { .. } => "send",
                Output::OpenStream { .. } => "open",
                Output::CloseStream { .. } => "close",
                Output::SaveBindings { .. }
                | Output::SaveDialog(_)
                | Output::ForgetDialog { .. }
                | Output::SaveBan(_)
                | Output::ForgetBan(_) => "save",
                Output::Event(_) => "event",
                Output::Log(_) => "log",
            });
            match output {
                // A keep-alive of ours.
                Output::Datagram { data, .. } if data == b"\r\n\r\n" => self.pings += 1,
                Output::Datagram { flow, data } => {
                    let message = Message::parse_datagram(&data).expect("we send what can be read");
                    self.received.push((flow, message));
                }
                Output::StreamData { data, .. } if data == b"\r\n" => {}
                Output::StreamData { data, .. } if data == b"\r\n\r\n" => self.pings += 1,
                Output::StreamData { data, .. } => {
                    let message = Message::parse_stream_message(&data).expect("readable");
                    self.received.push((self.flow, message));
                }
                Output::CloseStream { conn } => self.closed.push(conn),
                Output::Event(event) => self.events.push(event),
                Output::SaveBindings { then, .. } => saved_first.extend(then),
                Output::OpenStream {
                    conn,
                    transport,
                    remote,
                } => {
                    let flow = Flow::stream(transport, server_address(), remote, conn);
                    self.opened.push(flow);
                }
                Output::SaveDialog(_)
                | Output::ForgetDialog { .. }
                | Output::SaveBan(_)
                | Output::ForgetBan(_)
                | Output::Log(_) => {}
            }
        }
    }

    pub(super) fn send(&mut self, data: &[u8]) {
        let input = match self.flow.conn {
            None => Input::Datagram {
                flow: self.flow,
                data,
            },
            Some(conn) => Input::StreamData { conn, data },
        };
        self.endpoint.handle(self.now, input);
        self.drain();
    }

    pub(super) fn wait_ms(&mut self, ms: u64) {
        let until = self.now + Duration::from_millis(ms);
        while let Some(at) = self.endpoint.next_timeout().filter(|at| *at <= until) {
            self.now = at.max(self.now);
            self.endpoint.handle(self.now, Input::Timeout);
            self.drain();
        }
        self.now = until;
    }

    pub(super) fn take(&mut self) -> Vec<(Flow, Message)> {
        std::mem::take(&mut self.received)
    }

    /// Sends, and returns the statuses that came back.
    pub(super) fn statuses(&mut self, request: &Request) -> Vec<u16> {
        self.send(&request.to_bytes());
        let received = self.take();
        received
            .iter()
            .filter_map(|(_, message)| status_of(message))
            .collect()
    }

    /// Sends, and returns the last response.
    pub(super) fn ask(&mut self, request: &Request) -> Response {
        self.send(&request.to_bytes());
        let last = self.take().pop();
        match last {
            Some((_, Message::Response(response))) => response,
            other => panic!("no response to {}: {other:?}", request.method),
        }
    }

    /// Sends it, answers the challenge, sends it again; the last response.
    pub(super) fn ask_as(&mut self, user: &str, mut request: Request) -> Response {
        let challenged = self.ask(&request);
        assert_eq!(challenged.status, 401);
        self.authorize(user, PASSWORD, &mut request, &challenged);
        self.ask(&request)
    }

    /// Puts the answer to a challenge into a request, which becomes a new one.
    pub(super) fn authorize(
        &self,
        user: &str,
        password: &str,
        request: &mut Request,
        challenged: &Response,
    ) {
        let challenges = challenged.headers.credentials(&HeaderName::WwwAuthenticate);
        let mut challenge = Challenge::choose(challenges.iter()).expect("a challenge");
        let (method, uri) = (request.method.to_string(), request.uri.to_string());
        let answer = challenge.answer(user, &password.into(), &method, &uri, "abc");
        request.headers.set(HeaderName::Authorization, answer);
        next_request(request);
    }
}

/// The same request under the next CSeq and another branch.
pub(super) fn next_request(request: &mut Request) {
    let cseq = request.headers.cseq().expect("CSeq");
    let mut via = request.headers.top_via().expect("Via");
    let branch = format!("{}x", via.branch().unwrap_or_default());
    via.params.set("branch", Some(&branch));
    request.headers.set_top_via(&via);
    request.headers.set(
        HeaderName::CSeq,
        format!("{} {}", cseq.number + 1, cseq.method),
    );
}

pub(super) fn status_of(message: &Message) -> Option<u16> {
    match message {
        Message::Response(response) => Some(response.status),
        Message::Request(_) => None,
    }
}

/// A request from text: lines end in LF here, and what every request must have is added.
pub(super) fn request(first: &str, branch: &str, extra: &str) -> Request {
    let method = first.split(' ').next().expect("method");
    let mut lines = vec![
        format!("{first} SIP/2.0"),
        format!("Via: SIP/2.0/UDP 192.0.2.7:5062;branch=z9hG4bK{branch};rport"),
        "Max-Forwards: 70".to_owned(),
    ];
    let defaults = [
        ("From", "<sip:phone1@192.0.2.1>;tag=their".to_owned()),
        ("To", "<sip:phone1@192.0.2.1>".to_owned()),
        ("Call-ID", "call@192.0.2.7".to_owned()),
        ("CSeq", format!("1 {method}")),
        ("Contact", "<sip:phone1@192.0.2.7:5062>".to_owned()),
        ("User-Agent", "Phone".to_owned()),
    ];
    let (head, body) = extra.split_once("\n\n").unwrap_or((extra, ""));
    for (name, value) in defaults {
        if !head
            .lines()
            .any(|line| line.starts_with(&format!("{name}:")))
        {
            lines.push(format!("{name}: {value}"));
        }
    }
    lines.extend(
        head.lines()
            .filter(|line| !line.is_empty())
            .map(str::to_owned),
    );
    lines.push(format!("Content-Length: {}", body.len()));
    let text = format!("{}\r\n\r\n{body}", lines.join("\r\n"));
    match Message::parse_datagram(text.as_bytes()) {
        Ok(Message::Request(request)) => request,
        other => panic!("{other:?} from {text}"),
    }
}

pub(super) fn invite(branch: &str) -> Request {
    let mut request = request(
        "INVITE sip:100@192.0.2.1",
        branch,
        "To: <sip:100@192.0.2.1>",
    );
    request.set_body("application/sdp", super::world::OFFER);
    request
}

pub(super) fn register(branch: &str) -> Request {
    request("REGISTER sip:192.0.2.1", branch, "Expires: 600")
}
