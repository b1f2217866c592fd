//! An endpoint with a socket: the smallest shell there can be, driven by the test's own thread.

use std::net::{SocketAddr, UdpSocket};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use sip::{
    Algorithm, CallKey, CallParams, Endpoint, EndpointConfig, Event, Flow, FlowTarget, Host, Input,
    NameAddr, Output, Transport, Uri, User, ha1,
};

pub const USER: &str = "phone1";
pub const PASSWORD: &str = "correct-horse";

pub struct Line {
    pub endpoint: Endpoint,
    socket: UdpSocket,
    /// Where the session descriptions point: packets may arrive, nobody reads them.
    _sound: UdpSocket,
    sound_port: u16,
    pub address: SocketAddr,
    pub events: Vec<Event>,
    /// First lines of all messages, in and out.
    pub wire: Vec<String>,
    /// Events up to here have been seen by `next`.
    seen: usize,
    /// How far the endpoint's clock is ahead of ours.
    ahead: Duration,
}

impl Line {
    pub fn new(config: EndpointConfig) -> Line {
        let socket = UdpSocket::bind("127.0.0.1:0").expect("a port");
        let sound = UdpSocket::bind("127.0.0.1:0").expect("a port");
        socket
            .set_read_timeout(Some(Duration::from_millis(10)))
            .expect("a timeout can be set");
        let unix_ms = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .map_or(0, |since| since.as_millis() as u64);
        let mut seed = [7; 32];
        seed[..8].copy_from_slice(&unix_ms.to_be_bytes());
        let realm = config.realm.clone();
        let mut endpoint = Endpoint::new(config, seed, Instant::now(), unix_ms);
        endpoint.set_users(vec![User {
            name: USER.to_owned(),
            ha1_md5: ha1(Algorithm::Md5, USER, &realm, PASSWORD),
            ha1_sha256: ha1(Algorithm::Sha256, USER, &realm, PASSWORD),
            local_only: false,
        }]);
        Line {
            endpoint,
            address: socket.local_addr().expect("bound"),
            sound_port: sound.local_addr().expect("bound").port(),
            _sound: sound,
            socket,
            events: Vec::new(),
            wire: Vec::new(),
            seen: 0,
            ahead: Duration::ZERO,
        }
    }

    fn now(&self) -> Instant {
        Instant::now() + self.ahead
    }

    /// The endpoint finds that so much time has passed, of which its peer knows nothing.
    pub fn skip(&mut self, time: Duration) {
        self.ahead += time;
    }

    /// A session description: PCMU, and keys as events.
    pub fn sdp(&self) -> String {
        format!(
            "v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=-\r\nc=IN IP4 127.0.0.1\r\nt=0 0\r\nm=audio {} RTP/AVP 0 101\r\n\
             a=rtpmap:0 PCMU/8000\r\na=rtpmap:101 telephone-event/8000\r\na=fmtp:101 0-15\r\n",
            self.sound_port
        )
    }

    pub fn uri(&self, user: &str) -> Uri {
        Uri::sip(
            Some(user),
            Host::from(self.address.ip()),
            Some(self.address.port()),
        )
    }

    pub fn target(&self, remote: SocketAddr) -> FlowTarget {
        FlowTarget {
            transport: Transport::Udp,
            local: self.address,
            remote,
        }
    }

    /// Calls a peer at that address.
    pub fn call(&mut self, user: &str, remote: SocketAddr) -> CallKey {
        let offer = Some(self.sdp());
        self.call_with(user, remote, offer)
    }

    /// The same with this offer, or with none.
    pub fn call_with(&mut self, user: &str, remote: SocketAddr, offer: Option<String>) -> CallKey {
        let target = Uri::sip(Some(user), Host::from(remote.ip()), Some(remote.port()));
        let own = self.uri("100");
        let mut params = CallParams::new(
            target,
            self.target(remote),
            NameAddr::new(own.clone()),
            own,
            String::new(),
        );
        params.offer = offer;
        let key = self.endpoint.call(self.now(), params);
        self.drain();
        key
    }

    /// Does something with the endpoint and sends what comes of it.
    pub fn act<T>(&mut self, act: impl FnOnce(&mut Endpoint, Instant) -> T) -> T {
        let now = self.now();
        let result = act(&mut self.endpoint, now);
        self.drain();
        result
    }

    fn note(&mut self, arrow: &str, data: &[u8]) {
        let text = String::from_utf8_lossy(data);
        let first = text.lines().next().unwrap_or_default();
        self.wire.push(format!("{arrow} {first}"));
    }

    fn drain(&mut self) {
        while let Some(output) = self.endpoint.poll_output() {
            match output {
                Output::Datagram { flow, data } => {
                    self.note("->", &data);
                    // A peer that is gone is what some tests are about.
                    let _ = self.socket.send_to(&data, flow.remote);
                }
                Output::Event(event) => self.events.push(event),
                _ => {}
            }
        }
    }

    /// One look at the socket and the clock.
    pub fn step(&mut self) {
        let mut buffer = [0; 65_536];
        if let Ok((length, from)) = self.socket.recv_from(&mut buffer) {
            self.note("<-", &buffer[..length]);
            let flow = Flow::udp(self.address, from);
            let data = &buffer[..length];
            let now = self.now();
            self.endpoint.handle(now, Input::Datagram { flow, data });
            self.drain();
        }
        let due = self.endpoint.next_timeout();
        if due.is_some_and(|at| at <= self.now()) {
            let now = self.now();
            self.endpoint.handle(now, Input::Timeout);
            self.drain();
        }
    }

    /// The next event, within `limit`.
    pub fn next(&mut self, limit: Duration) -> Option<Event> {
        let end = Instant::now() + limit;
        while self.seen >= self.events.len() {
            if Instant::now() >= end {
                return None;
            }
            self.step();
        }
        self.seen += 1;
        self.events.get(self.seen - 1).cloned()
    }

    /// Goes on until `wanted` finds something in an event. Panics with the story when time is up.
    pub fn expect<T>(&mut self, what: &str, mut wanted: impl FnMut(&Event) -> Option<T>) -> T {
        let end = Instant::now() + Duration::from_secs(20);
        while Instant::now() < end {
            if let Some(found) = self
                .next(Duration::from_millis(100))
                .as_ref()
                .and_then(&mut wanted)
            {
                return found;
            }
        }
        panic!("{what} never came\n{:#?}\n{:#?}", self.events, self.wire);
    }

    /// Goes on until `done`.
    pub fn run_until(&mut self, limit: Duration, mut done: impl FnMut() -> bool) -> bool {
        let end = Instant::now() + limit;
        while Instant::now() < end {
            if done() {
                return true;
            }
            self.step();
        }
        done()
    }
}
