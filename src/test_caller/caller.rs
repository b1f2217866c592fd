//! The caller's sockets: one SIP endpoint, one RTP socket at 20 ms pace, and what went over them on one clock.
//! Owns registering, dialling, sending, receiving and ending; not what is said (`test_caller`, `drill`), and not what the
//! recording means (`timeline`, `figures`).

use std::collections::VecDeque;
use std::io;
use std::net::SocketAddr;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use media::SAMPLE_RATE_HZ;
use media::codec::{Codec, g711};
use media::rtp::Packet;
use sip::offer_answer::{self, AudioCodec, LocalMedia};
use sip::{
    CallParams, Endpoint, EndpointConfig, Event, Flow, FlowTarget, Host, Input, NameAddr, Output,
    RegisterParams, Transport, Uri,
};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpStream, UdpSocket};

use super::speakerphone::Speakerphone;
use super::timeline::Timeline;
use super::{Account, TestCallError};

pub const WIRE_RATE_HZ: u32 = 8000;
const FRAME: Duration = Duration::from_millis(20);
pub(super) const WIRE_FRAME_SAMPLES: usize = 160;
/// Looking through the recording costs more than a frame's time late in a long call: every so many frames.
const LOOK_EVERY_FRAMES: u32 = 5;
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
const PACKETS_MAX: usize = 180_000;
/// Samples kept of one call at the most: an hour.
const CALL_MAX: Duration = Duration::from_secs(3600);

/// A call as the endpoint knows it.
pub struct Dialled {
    registration: sip::RegistrationKey,
    call: sip::CallKey,
    pub registered_ms: u32,
    pub answered_ms: u32,
}

/// Sockets, endpoint and both timelines of one test call.
pub struct Caller {
    endpoint: Endpoint,
    wire: Wire,
    local: SocketAddr,
    server: SocketAddr,
    rtp: UdpSocket,
    events: Vec<Event>,
    remote_rtp: Option<SocketAddr>,
    codec: Codec,
    payload_type: u8,
    sequence: u16,
    timestamp: u32,
    ssrc: u32,
    /// The caller's own words; what its loudspeaker adds is not among them.
    pub sent: Timeline,
    pub heard: Timeline,
    next_frame: Instant,
    pub packets_received: u64,
    /// RTP timestamp and moment of the last packets sent: an echo brings the timestamp back.
    sent_at: VecDeque<(u32, Instant)>,
    pub echo_us: Vec<u32>,
    /// How long after its moment each packet left. Much of it: the machine was too busy to trust the figures.
    pub late_us: Vec<u32>,
    speakerphone: Option<Speakerphone>,
    pub ended: bool,
}

enum Wire {
    Udp(UdpSocket),
    Tcp { stream: TcpStream, flow: Flow },
}

impl Caller {
    pub async fn open(server: SocketAddr, transport: Transport) -> Result<Caller, TestCallError> {
        let now = Instant::now();
        let any: SocketAddr = if server.is_ipv4() {
            SocketAddr::from(([0, 0, 0, 0], 0))
        } else {
            SocketAddr::from(([0u16; 8], 0))
        };
        let (wire, local) = match transport {
            Transport::Tcp => {
                let stream = TcpStream::connect(server)
                    .await
                    .map_err(|_| TestCallError::NoServer(server))?;
                let local = stream.local_addr()?;
                let flow = Flow {
                    transport: Transport::Tcp,
                    local,
                    remote: server,
                    conn: Some(sip::ConnId(u64::MAX)),
                };
                (Wire::Tcp { stream, flow }, local)
            }
            _ => {
                let ip = crate::ports::source_address(any.ip(), server);
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
            server,
            rtp,
            events: Vec::new(),
            remote_rtp: None,
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
            late_us: Vec::new(),
            speakerphone: None,
            ended: false,
        };
        caller.flush().await?;
        Ok(caller)
    }

    /// Registers, dials `number` and waits for the answer.
    pub async fn dial(
        &mut self,
        account: &Account,
        number: &str,
    ) -> Result<Dialled, TestCallError> {
        let started = Instant::now();
        let contact = Uri::sip(
            Some(&account.user),
            host(self.local),
            Some(self.local.port()),
        );
        let target = FlowTarget {
            transport: self.transport(),
            local: self.local,
            remote: self.server,
        };
        let domain = domain_host(&account.realm_domain);
        let registration = self.endpoint.register(
            Instant::now(),
            RegisterParams {
                registrar: Uri::sip(None, domain.clone(), None),
                flow: target,
                user: account.user.clone(),
                password: account.password.clone(),
                expires_s: 120,
                contact: contact.clone(),
            },
        );
        let registered = self
            .until(REGISTER_MAX, |event| match event {
                Event::RegistrationResult { result, .. } => Some(*result),
                _ => None,
            })
            .await?;
        match registered {
            Some(Ok(_)) => {}
            Some(Err(status)) if status != 408 => {
                let hint = match status {
                    401 | 403 => {
                        "wrong user or password, or locked for a while after wrong guesses"
                    }
                    404 => "the server does not know this domain",
                    503 => "the server is full or stopping",
                    _ => "see the server's log",
                };
                return Err(TestCallError::Refused { status, hint });
            }
            _ => return Err(TestCallError::NoServer(self.server)),
        }
        let registered_ms = started.elapsed().as_millis() as u32;

        let dialled = Instant::now();
        let local_media = LocalMedia {
            codecs: vec![AudioCodec::Pcmu, AudioCodec::Pcma],
            rtcp_mux: false,
            ..LocalMedia::new(self.local.ip(), self.rtp.local_addr()?.port())
        };
        let offer = offer_answer::offer(&local_media);
        let from = NameAddr::new(Uri::sip(Some(&account.user), domain.clone(), None));
        self.endpoint.call(
            Instant::now(),
            CallParams {
                credentials: Some((account.user.clone(), account.password.clone())),
                ..CallParams::new(
                    Uri::sip(Some(number), domain, None),
                    target,
                    from,
                    contact,
                    offer.clone(),
                )
            },
        );
        let failed = |why: String| TestCallError::CallFailed {
            number: number.to_owned(),
            why,
        };
        let answered = self
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
        self.begin(audio.remote_rtp, audio.codec, audio.payload_type);
        Ok(Dialled {
            registration,
            call: key,
            registered_ms,
            answered_ms,
        })
    }

    /// No signalling at all: packets go to `remote` at once, PCMU.
    pub fn dial_nobody(&mut self, remote: SocketAddr) {
        self.begin(Some(remote), AudioCodec::Pcmu, 0);
    }

    /// Hangs up, unless the other side did, and takes the registration back.
    pub async fn finish(&mut self, dialled: &Dialled) -> io::Result<()> {
        if !self.ended {
            let _ = self.endpoint.hangup(Instant::now(), dialled.call, None);
            self.flush().await?;
            self.until(BYE_MAX, |event| {
                matches!(event, Event::CallEnded { .. }).then_some(())
            })
            .await?;
        }
        self.endpoint
            .unregister(Instant::now(), dialled.registration);
        self.until(BYE_MAX, |event| {
            matches!(event, Event::RegistrationResult { .. }).then_some(())
        })
        .await?;
        Ok(())
    }

    fn transport(&self) -> Transport {
        match &self.wire {
            Wire::Udp(_) => Transport::Udp,
            Wire::Tcp { .. } => Transport::Tcp,
        }
    }

    fn begin(&mut self, remote: Option<SocketAddr>, codec: AudioCodec, payload_type: u8) {
        let now = Instant::now();
        self.codec = match codec {
            AudioCodec::Pcma => Codec::Pcma,
            // The caller offers G.711 alone: its timelines count the line's own samples.
            _ => Codec::Pcmu,
        };
        self.payload_type = payload_type;
        self.remote_rtp = remote;
        self.sent = Timeline::new(now, WIRE_RATE_HZ);
        self.heard = Timeline::new(now, WIRE_RATE_HZ);
        self.next_frame = now;
    }

    pub async fn listen_to_greeting(&mut self) -> io::Result<()> {
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

    /// Sends `utterance`, 16 kHz, a frame at a time. Where it lies in `sent` afterwards.
    pub async fn speak(&mut self, utterance: &[i16]) -> io::Result<std::ops::Range<usize>> {
        let from = self.sent.index_of(Instant::now());
        let samples = media::resample::resample_clip(utterance, SAMPLE_RATE_HZ, WIRE_RATE_HZ);
        for chunk in samples.chunks(WIRE_FRAME_SAMPLES) {
            let mut frame = [0i16; WIRE_FRAME_SAMPLES];
            frame[..chunk.len()].copy_from_slice(chunk);
            self.step(&frame).await?;
            if self.ended {
                break;
            }
        }
        Ok(from..self.sent.end())
    }

    /// From now on what is heard goes back out, this much louder (negative: quieter) and later. None: no more.
    pub fn set_speakerphone(&mut self, level_db_and_delay_ms: Option<(f64, u32)>) {
        self.speakerphone = level_db_and_delay_ms.map(|(level_db, delay_ms)| {
            let now = self.heard.index_of(self.next_frame) as isize;
            Speakerphone {
                gain: 10f64.powf(level_db / 20.0),
                at: now - (delay_ms * WIRE_RATE_HZ / 1000) as isize,
            }
        });
    }

    /// Waits until it has been quiet for `quiet_ms`; false when it never was.
    pub async fn wait_for_quiet(&mut self, quiet_ms: u64, longest: Duration) -> io::Result<bool> {
        self.run_for(longest, |caller, now| {
            caller.heard.quiet_ms(now) >= quiet_ms
        })
        .await?;
        Ok(self.heard.quiet_ms(Instant::now()) >= quiet_ms)
    }

    /// Waits for a sound that begins at `from` or later: where it begins.
    pub async fn wait_for_onset(
        &mut self,
        from: usize,
        longest: Duration,
    ) -> io::Result<Option<usize>> {
        self.run_for(longest, |caller, _| {
            caller.heard.onset(from..caller.heard.end()).is_some()
        })
        .await?;
        Ok(self.heard.onset(from..self.heard.end()))
    }

    /// Goes on until `sample` of the timelines is now.
    pub async fn run_until(&mut self, sample: usize) -> io::Result<()> {
        while !self.ended && self.heard.index_of(self.next_frame) < sample {
            self.step(&[0; WIRE_FRAME_SAMPLES]).await?;
        }
        Ok(())
    }

    /// Until the reply that began after `spoken_end` is over.
    pub async fn listen_to_reply(
        &mut self,
        spoken_end: usize,
        longest: Duration,
    ) -> io::Result<()> {
        self.run_for(longest, |caller, now| {
            caller.ended
                || (caller.heard.onset(spoken_end..caller.heard.end()).is_some()
                    && caller.heard.quiet_ms(now) >= QUIET_MS)
        })
        .await
    }

    pub async fn run_for(
        &mut self,
        longest: Duration,
        done: impl Fn(&Caller, Instant) -> bool,
    ) -> io::Result<()> {
        let until = Instant::now() + longest.min(CALL_MAX);
        let mut frames = 0u32;
        while Instant::now() < until {
            self.step(&[0; WIRE_FRAME_SAMPLES]).await?;
            frames += 1;
            if frames.is_multiple_of(LOOK_EVERY_FRAMES)
                && (self.ended || done(self, Instant::now()))
            {
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
    pub(super) async fn step(&mut self, frame: &[i16; WIRE_FRAME_SAMPLES]) -> io::Result<()> {
        let due = self.next_frame;
        while Instant::now() < due {
            self.wait(due).await?;
        }
        self.next_frame = due + FRAME;
        self.ended |= self
            .events
            .drain(..)
            .any(|event| matches!(event, Event::CallEnded { .. }));
        let payload = match &mut self.speakerphone {
            None => companded(self.codec, frame),
            Some(speakerphone) => {
                let echo = self.heard.samples();
                let mixed = speakerphone.mix(frame, echo);
                companded(self.codec, &mixed)
            }
        };
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
                self.sent.place(now, frame);
                if self.late_us.len() < PACKETS_MAX {
                    let late = now.saturating_duration_since(due).as_micros();
                    self.late_us.push(u32::try_from(late).unwrap_or(u32::MAX));
                }
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
            && self.echo_us.len() < PACKETS_MAX
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
}

fn linear(codec: Codec, payload: &[u8]) -> Vec<i16> {
    let table = match codec {
        Codec::Pcma => g711::alaw_to_linear,
        _ => g711::ulaw_to_linear,
    };
    payload.iter().map(|code| table(*code)).collect()
}

fn companded(codec: Codec, samples: &[i16]) -> Vec<u8> {
    let table = match codec {
        Codec::Pcma => g711::linear_to_alaw,
        _ => g711::linear_to_ulaw,
    };
    samples.iter().map(|sample| table(*sample)).collect()
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
