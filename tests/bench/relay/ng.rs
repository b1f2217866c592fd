//! As much of rtpengine's control protocol as a call needs: a cookie, a space, a bencoded dictionary, over UDP.

use std::net::UdpSocket;
use std::time::Duration;

pub struct Ng {
    socket: UdpSocket,
    number: u64,
}

fn text(word: &str) -> String {
    format!("{}:{word}", word.len())
}

fn sdp(port: u16) -> String {
    format!(
        "v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=-\r\nc=IN IP4 127.0.0.1\r\nt=0 0\r\nm=audio {port} RTP/AVP 0\r\na=rtpmap:0 PCMU/8000\r\na=sendrecv\r\n"
    )
}

/// The port of the first `m=audio` line within an answer.
fn port(answer: &str) -> Option<u16> {
    let (_, after) = answer.split_once("m=audio ")?;
    after.split(' ').next()?.parse().ok()
}

impl Ng {
    /// Waits until the daemon answers a ping.
    pub fn connect(port: u16) -> Result<Ng, String> {
        let told = |error: std::io::Error| error.to_string();
        let socket = UdpSocket::bind("127.0.0.1:0").map_err(told)?;
        socket.connect(("127.0.0.1", port)).map_err(told)?;
        socket
            .set_read_timeout(Some(Duration::from_millis(200)))
            .map_err(told)?;
        let mut ng = Ng { socket, number: 0 };
        for _ in 0..50 {
            if ng
                .ask(&[("command", "ping")])
                .is_some_and(|answer| answer.contains("pong"))
            {
                let long = Some(Duration::from_secs(5));
                ng.socket.set_read_timeout(long).map_err(told)?;
                return Ok(ng);
            }
            std::thread::sleep(Duration::from_millis(100));
        }
        Err("it does not answer a ping".to_owned())
    }

    pub fn number(&self) -> u64 {
        self.number
    }

    fn ask(&mut self, entries: &[(&str, &str)]) -> Option<String> {
        self.number += 1;
        let cookie = format!("{}", self.number);
        let body: String = entries
            .iter()
            .map(|(key, value)| text(key) + &text(value))
            .collect();
        self.socket
            .send(format!("{cookie} d{body}e").as_bytes())
            .ok()?;
        let mut bytes = [0; 8192];
        loop {
            let length = self.socket.recv(&mut bytes).ok()?;
            let answer = String::from_utf8_lossy(&bytes[..length]).into_owned();
            if let Some(answer) = answer.strip_prefix(&format!("{cookie} ")) {
                return Some(answer.to_owned());
            }
        }
    }

    /// The port for the callee, for an offer from `local`.
    pub fn offer(&mut self, id: &str, local: u16) -> u16 {
        let sdp = sdp(local);
        let entries = [
            ("command", "offer"),
            ("call-id", id),
            ("from-tag", "a"),
            ("ICE", "remove"),
            ("sdp", &sdp),
        ];
        let answer = self.ask(&entries).expect("an answer to the offer");
        port(&answer).unwrap_or_else(|| panic!("no port in {answer}"))
    }

    /// The port for the caller, for an answer from `local`.
    pub fn answer(&mut self, id: &str, local: u16) -> u16 {
        let sdp = sdp(local);
        let entries = [
            ("command", "answer"),
            ("call-id", id),
            ("from-tag", "a"),
            ("to-tag", "b"),
            ("ICE", "remove"),
            ("sdp", &sdp),
        ];
        let answer = self.ask(&entries).expect("an answer to the answer");
        port(&answer).unwrap_or_else(|| panic!("no port in {answer}"))
    }

    pub fn delete(&mut self, id: &str) {
        self.ask(&[("command", "delete"), ("call-id", id), ("from-tag", "a")]);
    }
}
