//! The built-in caller: registers, dials, speaks, listens, and says how long each answer took.
//! A real SIP client on its own sockets: what it measures is what a phone would. Owns the script of such
//! a call; the definition of the figures is in `timeline`.

pub mod report;
pub mod timeline;

use std::collections::VecDeque;
use std::io;
use std::net::SocketAddr;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use media::codec::{Codec, Encoder};
use media::rtp::Packet;
use media::{FRAME_SAMPLES, SAMPLE_RATE_HZ};
use sip::offer_answer::{self, AudioCodec, LocalMedia};
use sip::{
    CallParams, Endpoint, EndpointConfig, Event, Flow, FlowTarget, Host, Input, NameAddr, Output,
    RegisterParams, Secret, Transport, Uri,
};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpStream, UdpSocket};

use timeline::{Measured, Timeline, measure};

const FRAME: Duration = Duration::from_millis(20);
const WIRE_RATE_HZ: u32 = 8000;
/// A greeting is over when it has been quiet this long.
const QUIET_MS: u64 = 800;
/// Longest wait for a greeting to begin, and for it to end.
const GREETING_MAX: Duration = Duration::from_secs(15);
const GREETING_START_MAX: Duration = Duration::from_secs(3);
const REGISTER_MAX: Duration = Duration::from_secs(10);
const ANSWER_MAX: Duration = Duration::from_secs(100);
const BYE_MAX: Duration = Duration::from_secs(3);
/// Packets that may be on their way there and back: one second.
const ECHO_PACKETS_MAX: usize = 50;
/// An hour of packets.
const ECHO_SAMPLES_MAX: usize = 180_000;
/// Samples kept of one call at the most: an hour.
const CALL_MAX: Duration = Duration::from_secs(3600);

/// What to dial and what to say.
pub struct Plan {
    pub server: SocketAddr,
    pub transport: Transport,
    pub realm_domain: String,
    pub user: String,
    pub password: Secret,
    pub number: String,
    /// Utterances at 16 kHz, spoken one after the other, each after the reply to the one before.
    pub say: Vec<Vec<i16>>,
    /// Longest wait for a reply.
    pub reply_max: Duration,
}

/// What came of it.
pub struct Outcome {
    pub registered_ms: u32,
    pub answered_ms: u32,
    pub turns: Vec<TurnOutcome>,
    /// All that was heard, at 8 kHz.
    pub heard: Vec<i16>,
    pub packets_received: u64,
    /// What an echo number's packets took to come back, socket to socket, in microseconds.
    pub echo_us: Vec<u32>,
    pub ended_by_peer: bool,
}

pub struct TurnOutcome {
    pub measured: Measured,
    /// The reply alone, 8 kHz.
    pub reply: Vec<i16>,
}

#[derive(Debug, thiserror::Error)]
pub enum TestCallError {
    #[error("cannot open sockets: {0}")]
    Io(#[from] io::Error),
    #[error("no SIP server answers on {0}: is `offhook run` running, and is this its address?")]
    NoServer(SocketAddr),
    #[error("registration refused with {status}: {hint}")]
    Refused { status: u16, hint: &'static str },
    #[error("the call to {number} failed: {why}")]
    CallFailed { number: String, why: String },
    #[error("the answer's media description is not usable: {0}")]
    BadAnswer(String),
}

/// Sockets, endpoint and both timelines of one test call.
struct Caller {
    endpoint: Endpoint,
    wire: Wire,
    local: SocketAddr,
    server: SocketAddr,
    rtp: UdpSocket,
    events: Vec<Event>,
    remote_rtp: Option<SocketAddr>,
    encoder: Encoder,
    codec: Codec,
    payload_type: u8,
    sequence: u16,
    timestamp: u32,
    ssrc: u32,
    sent: Timeline,
    heard: Timeline,
    next_frame: Instant,
    packets_received: u64,
    /// RTP timestamp and moment of the last packets sent: an echo brings the timestamp back.
    sent_at: VecDeque<(u32, Instant)>,
    echo_us: Vec<u32>,
    ended: bool,
}

enum Wire {
    Udp(UdpSocket),
    Tcp { stream: TcpStream, flow: Flow },
}

/// Places the call and plays the plan.
pub async fn call(plan: &Plan) -> Result<Outcome, TestCallError> {
    let started = Instant::now();
    let mut caller = Caller::open(plan).await?;
    let contact = Uri::sip(
        Some(&plan.user),
        host(caller.local),
        Some(caller.local.port()),
    );
    let target = FlowTarget {
        transport: plan.transport,
        local: caller.local,
        remote: plan.server,
    };
    let domain = domain_host(&plan.realm_domain);
    let registration = caller.endpoint.register(
        Instant::now(),
        RegisterParams {
            registrar: Uri::sip(None, domain.clone(), None),
            flow: target,
            user: plan.user.clone(),
            password: plan.password.clone(),
            expires_s: 120,
            contact: contact.clone(),
        },
    );
    let registered = caller
        .until(REGISTER_MAX, |event| match event {
            Event::RegistrationResult { result, .. } => Some(*result),
            _ => None,
        })
        .await?;
    match registered {
        Some(Ok(_)) => {}
        Some(Err(status)) if status != 408 => {
            let hint = match status {
                401 | 403 => "wrong user or password, or locked for a while after wrong guesses",
                404 => "the server does not know this domain",
                503 => "the server is full or stopping",
                _ => "see the server's log",
            };
            return Err(TestCallError::Refused { status, hint });
        }
        _ => return Err(TestCallError::NoServer(plan.server)),
    }
    let registered_ms = started.elapsed().as_millis() as u32;

    let dialled = Instant::now();
    let local_media = LocalMedia {
        address: caller.local.ip(),
        rtp_port: caller.rtp.local_addr()?.port(),
        session_id: 1,
        session_version: 1,
        codecs: vec![AudioCodec::Pcmu, AudioCodec::Pcma],
        telephone_event: true,
        ptime_ms: 20,
    };
    let offer = offer_answer::offer(&local_media);
    let from = NameAddr::new(Uri::sip(Some(&plan.user), domain.clone(), None));
    caller.endpoint.call(
        Instant::now(),
        CallParams {
            target: Uri::sip(Some(&plan.number), domain, None),
            flow: target,
            from,
            contact,
            credentials: Some((plan.user.clone(), plan.password.clone())),
            offer: offer.clone(),
        },
    );
    let failed = |why: String| TestCallError::CallFailed {
        number: plan.number.clone(),
        why,
    };
    let answered = caller
        .until(ANSWER_MAX, |event| match event {
            Event::CallAnswered { call, answer, .. } => Some(Ok((*call, answer.clone()))),
            Event::CallEnded { cause, .. } => Some(Err(format!("{cause:?}"))),
            _ => None,
        })
        .await?;
    let (key, answer) = match answered {
        Some(Ok(answered)) => answered,
        Some(Err(why)) => return Err(failed(why)),
        None => return Err(failed("no answer".to_owned())),
    };
    let answered_ms = dialled.elapsed().as_millis() as u32;
    let answer = answer.ok_or_else(|| TestCallError::BadAnswer("none came".to_owned()))?;
    let audio = offer_answer::accept_answer(&offer, &answer, &local_media)
        .map_err(|error| TestCallError::BadAnswer(error.to_string()))?;
    caller.begin(audio.remote_rtp, audio.codec, audio.payload_type);

    caller.listen_to_greeting().await?;
    let mut spoken = Vec::new();
    for utterance in &plan.say {
        if caller.ended {
            break;
        }
        let from = caller.sent.index_of(Instant::now());
        caller.speak(utterance).await?;
        let to = caller.sent.end();
        caller.listen_to_reply(to, plan.reply_max).await?;
        spoken.push((from..to, caller.heard.index_of(Instant::now())));
    }
    if plan.say.is_empty() {
        caller
            .run_for(plan.reply_max, |caller, _| caller.ended)
            .await?;
    }
    let ended_by_peer = caller.ended;
    if !caller.ended {
        let _ = caller.endpoint.hangup(Instant::now(), key, None);
        caller.flush().await?;
        caller
            .until(BYE_MAX, |event| {
                matches!(event, Event::CallEnded { .. }).then_some(())
            })
            .await?;
    }
    caller.endpoint.unregister(Instant::now(), registration);
    caller
        .until(BYE_MAX, |event| {
            matches!(event, Event::RegistrationResult { .. }).then_some(())
        })
        .await?;
    Ok(caller.outcome(spoken, registered_ms, answered_ms, ended_by_peer))
}

impl Caller {
    async fn open(plan: &Plan) -> Result<Caller, TestCallError> {
        let now = Instant::now();
        let any: SocketAddr = if plan.server.is_ipv4() {
            SocketAddr::from(([0, 0, 0, 0], 0))
        } else {
            SocketAddr::from(([0u16; 8], 0))
        };
        let (wire, local) = match plan.transport {
            Transport::Tcp => {
                let stream = TcpStream::connect(plan.server)
                    .await
                    .map_err(|_| TestCallError::NoServer(plan.server))?;
                let local = stream.local_addr()?;
                let flow = Flow {
                    transport: Transport::Tcp,
                    local,
                    remote: plan.server,
                    conn: Some(sip::ConnId(u64::MAX)),
                };
                (Wire::Tcp { stream, flow }, local)
            }
            _ => {
                let ip = crate::ports::source_address(any.ip(), plan.server);
                let socket = UdpSocket::bind(SocketAddr::new(ip, 0)).await?;
                let local = socket.local_addr()?;
                (Wire::Udp(socket), local)
            }
        };
        let config = EndpointConfig {
            product: concat!("Offhook-test-caller/", env!("CARGO_PKG_VERSION")).to_owned(),
            ..EndpointConfig::default()
        };
        let unix_ms = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .map_or(0, |since| since.as_millis() as u64);
        let mut endpoint = Endpoint::new(config, rand::random(), now, unix_ms);
        if let Wire::Tcp { flow, .. } = &wire {
            endpoint.handle(now, Input::StreamOpened { flow: *flow });
        }
        let rtp = UdpSocket::bind(SocketAddr::new(local.ip(), 0)).await?;
        let mut caller = Caller {
            endpoint,
            wire,
            local,
            server: plan.server,
            rtp,
            events: Vec::new(),
            remote_rtp: None,
            encoder: Encoder::new(Codec::Pcmu),
            codec: Codec::Pcmu,
            payload_type: 0,
            sequence: rand::random(),
            timestamp: rand::random(),
            ssrc: rand::random(),
            sent: Timeline::new(now, WIRE_RATE_HZ),
            heard: Timeline::new(now, WIRE_RATE_HZ),
            next_frame: now,
            packets_received: 0,
            sent_at: VecDeque::new(),
            echo_us: Vec::new(),
            ended: false,
        };
        caller.flush().await?;
        Ok(caller)
    }

    fn begin(&mut self, remote: Option<SocketAddr>, codec: AudioCodec, payload_type: u8) {
        let now = Instant::now();
        self.codec = match codec {
            AudioCodec::Pcmu => Codec::Pcmu,
            AudioCodec::Pcma => Codec::Pcma,
        };
        self.encoder = Encoder::new(self.codec);
        self.payload_type = payload_type;
        self.remote_rtp = remote;
        self.sent = Timeline::new(now, WIRE_RATE_HZ);
        self.heard = Timeline::new(now, WIRE_RATE_HZ);
        self.next_frame = now;
    }

    async fn listen_to_greeting(&mut self) -> io::Result<()> {
        let began = Instant::now();
        self.run_for(GREETING_MAX, |caller, now| {
            let has_begun = caller.heard.onset(0..caller.heard.end()).is_some();
            if has_begun {
                caller.heard.quiet_ms(now) >= QUIET_MS
            } else {
                now.saturating_duration_since(began) >= GREETING_START_MAX
            }
        })
        .await
    }

    async fn speak(&mut self, utterance: &[i16]) -> io::Result<()> {
        for chunk in utterance.chunks(FRAME_SAMPLES) {
            let mut frame = [0i16; FRAME_SAMPLES];
            frame[..chunk.len()].copy_from_slice(chunk);
            self.step(Some(&frame)).await?;
            if self.ended {
                break;
            }
        }
        Ok(())
    }

    /// Until the reply that began after `spoken_end` is over.
    async fn listen_to_reply(&mut self, spoken_end: usize, longest: Duration) -> io::Result<()> {
        self.run_for(longest, |caller, now| {
            caller.ended
                || (caller.heard.onset(spoken_end..caller.heard.end()).is_some()
                    && caller.heard.quiet_ms(now) >= QUIET_MS)
        })
        .await
    }

    async fn run_for(
        &mut self,
        longest: Duration,
        done: impl Fn(&Caller, Instant) -> bool,
    ) -> io::Result<()> {
        let until = Instant::now() + longest.min(CALL_MAX);
        let mut frames = 0u32;
        while Instant::now() < until {
            self.step(None).await?;
            frames += 1;
            // Looking through the recording costs more than a frame's time late in a long call.
            if frames.is_multiple_of(5) && (self.ended || done(self, Instant::now())) {
                break;
            }
        }
        Ok(())
    }

    /// Until `wanted` finds its event. Sends no sound.
    async fn until<T>(
        &mut self,
        longest: Duration,
        wanted: impl Fn(&Event) -> Option<T>,
    ) -> io::Result<Option<T>> {
        let until = Instant::now() + longest;
        loop {
            for event in std::mem::take(&mut self.events) {
                if let Some(found) = wanted(&event) {
                    return Ok(Some(found));
                }
            }
            if Instant::now() >= until {
                return Ok(None);
            }
            self.wait(until).await?;
        }
    }

    /// One frame: waits for its moment while packets come in, then sends it.
    async fn step(&mut self, frame: Option<&media::Frame>) -> io::Result<()> {
        let due = self.next_frame;
        while Instant::now() < due {
            self.wait(due).await?;
        }
        self.next_frame = due + FRAME;
        self.ended |= self
            .events
            .drain(..)
            .any(|event| matches!(event, Event::CallEnded { .. }));
        let silence = [0i16; FRAME_SAMPLES];
        let payload = self.encoder.encode(frame.unwrap_or(&silence));
        let packet = Packet {
            marker: false,
            payload_type: self.payload_type,
            sequence: self.sequence,
            timestamp: self.timestamp,
            ssrc: self.ssrc,
            payload: &payload,
        };
        self.sequence = self.sequence.wrapping_add(1);
        self.timestamp = self.timestamp.wrapping_add(payload.len() as u32);
        if let Some(remote) = self.remote_rtp {
            let now = Instant::now();
            if self.rtp.try_send_to(&packet.to_bytes(), remote).is_ok() {
                let samples = linear(self.codec, &payload);
                self.sent.place(now, &samples);
                if self.sent_at.len() >= ECHO_PACKETS_MAX {
                    self.sent_at.pop_front();
                }
                self.sent_at.push_back((packet.timestamp, now));
            }
        }
        Ok(())
    }

    /// Waits for one thing to happen, until `until` at the latest.
    async fn wait(&mut self, until: Instant) -> io::Result<()> {
        // What a command left in the endpoint goes out before anything is waited for.
        self.flush().await?;
        let timeout = self
            .endpoint
            .next_timeout()
            .map_or(until, |due| due.min(until));
        let mut sip_buffer = [0u8; 8192];
        let mut rtp_buffer = [0u8; 2048];
        let received = async {
            match &mut self.wire {
                Wire::Udp(socket) => socket
                    .recv_from(&mut sip_buffer)
                    .await
                    .map(|(length, _)| length),
                Wire::Tcp { stream, .. } => stream.read(&mut sip_buffer).await,
            }
        };
        tokio::select! {
            biased;
            received = self.rtp.recv_from(&mut rtp_buffer) => {
                if let Ok((length, _)) = received {
                    self.packet(Instant::now(), &rtp_buffer[..length]);
                }
            }
            received = received => {
                let now = Instant::now();
                match (&self.wire, received) {
                    (Wire::Udp(_), Ok(length)) => {
                        let flow = Flow { transport: Transport::Udp, local: self.local, remote: self.server, conn: None };
                        self.endpoint.handle(now, Input::Datagram { flow, data: &sip_buffer[..length] });
                    }
                    (Wire::Tcp { flow, .. }, Ok(length)) if length > 0 => {
                        let Some(conn) = flow.conn else { return Ok(()) };
                        self.endpoint.handle(now, Input::StreamData { conn, data: &sip_buffer[..length] });
                    }
                    (Wire::Tcp { .. }, _) => return Err(io::ErrorKind::ConnectionReset.into()),
                    (Wire::Udp(_), Err(_)) => tokio::time::sleep(Duration::from_millis(20)).await,
                }
            }
            () = tokio::time::sleep_until(timeout.into()) => {
                let now = Instant::now();
                if self.endpoint.next_timeout().is_some_and(|due| due <= now) {
                    self.endpoint.handle(now, Input::Timeout);
                }
            }
        }
        self.flush().await
    }

    fn packet(&mut self, now: Instant, data: &[u8]) {
        let Ok(packet) = Packet::parse(data) else {
            return;
        };
        if packet.payload_type != self.payload_type {
            return;
        }
        self.packets_received += 1;
        let echo_of = self
            .sent_at
            .iter()
            .find(|(timestamp, _)| *timestamp == packet.timestamp);
        if let Some((_, sent_at)) = echo_of
            && self.echo_us.len() < ECHO_SAMPLES_MAX
        {
            let micros = now.saturating_duration_since(*sent_at).as_micros();
            self.echo_us.push(u32::try_from(micros).unwrap_or(u32::MAX));
        }
        let samples = linear(self.codec, packet.payload);
        self.heard.place(now, &samples);
    }

    async fn flush(&mut self) -> io::Result<()> {
        while let Some(output) = self.endpoint.poll_output() {
            match (output, &mut self.wire) {
                (Output::Datagram { flow, data }, Wire::Udp(socket)) => {
                    let _ = socket.send_to(&data, flow.remote).await;
                }
                (Output::StreamData { data, .. }, Wire::Tcp { stream, .. }) => {
                    stream.write_all(&data).await?
                }
                (Output::Event(event), _) => self.events.push(event),
                _ => {}
            }
        }
        Ok(())
    }

    fn outcome(
        self,
        spoken: Vec<(std::ops::Range<usize>, usize)>,
        registered_ms: u32,
        answered_ms: u32,
        ended_by_peer: bool,
    ) -> Outcome {
        let turns = spoken
            .into_iter()
            .map(|(range, until)| {
                let end = until.min(self.heard.end());
                let reply = self
                    .heard
                    .samples()
                    .get(range.end.min(end)..end)
                    .unwrap_or_default();
                TurnOutcome {
                    reply: reply.to_vec(),
                    measured: measure(&self.sent, range, &self.heard, until),
                }
            })
            .collect();
        Outcome {
            registered_ms,
            answered_ms,
            turns,
            heard: self.heard.samples().to_vec(),
            packets_received: self.packets_received,
            echo_us: self.echo_us,
            ended_by_peer,
        }
    }
}

fn linear(codec: Codec, payload: &[u8]) -> Vec<i16> {
    let table = if codec == Codec::Pcma {
        media::codec::g711::alaw_to_linear
    } else {
        media::codec::g711::ulaw_to_linear
    };
    payload.iter().map(|code| table(*code)).collect()
}

/// What a test call says, ready to be sent: half a second of silence around it would hide the latency, so
/// the clip is used as it is, resampled to the internal rate.
pub fn utterance(clip: &media::file::Clip) -> Vec<i16> {
    media::resample::resample_clip(&clip.samples, clip.rate_hz, SAMPLE_RATE_HZ)
}

fn host(address: SocketAddr) -> Host {
    match address {
        SocketAddr::V4(address) => Host::V4(*address.ip()),
        SocketAddr::V6(address) => Host::V6(*address.ip()),
    }
}

fn domain_host(domain: &str) -> Host {
    match domain.parse() {
        Ok(std::net::IpAddr::V4(address)) => Host::V4(address),
        Ok(std::net::IpAddr::V6(address)) => Host::V6(address),
        Err(_) => Host::Name(domain.to_owned()),
    }
}
