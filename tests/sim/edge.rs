//! What a phone does beyond the caller's side of our own endpoint: an INVITE without an offer, and new
//! offers inside the dialog. Stands between the phone's endpoint and the network and edits messages.
//! Owns the second offers, their repetition and their ACKs (RFC 3261 section 14.1).
//! PURE.

use std::time::{Duration, Instant};

const RESEND: Duration = Duration::from_millis(500);
/// A second offer is not sent for ever; the server may be gone.
const RESENDS_MAX: u32 = 30;

#[derive(Debug, Default)]
pub struct Edge {
    /// The SDP goes into the ACK instead of the INVITE.
    late_answer: Option<String>,
    /// The last ACK: route, tags and numbers of the dialog.
    ack: Option<Message>,
    /// Second offers so far. Each takes one number of the dialog's sequence.
    offers: u32,
    pending: Option<Pending>,
}

#[derive(Debug)]
struct Pending {
    data: Vec<u8>,
    due: Instant,
    resends: u32,
}

/// What a message from the server turns out to be.
#[derive(Debug)]
pub enum Incoming {
    ForEndpoint(Vec<u8>),
    /// A final response to a second offer, and its ACK. `taken`: first of a 2xx.
    Settled {
        ack: Vec<u8>,
        taken: bool,
    },
    Nothing,
}

#[derive(Debug, Clone)]
struct Message {
    first: String,
    headers: Vec<(String, String)>,
    body: String,
}

impl Message {
    fn parse(data: &[u8]) -> Option<Message> {
        let text = std::str::from_utf8(data).ok()?;
        let (head, body) = text.split_once("\r\n\r\n")?;
        let mut lines = head.split("\r\n");
        let first = lines.next()?.to_owned();
        let headers = lines.filter_map(|line| line.split_once(": "));
        let headers = headers
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .collect();
        Some(Message {
            first,
            headers,
            body: body.to_owned(),
        })
    }

    fn get(&self, name: &str) -> Option<&str> {
        let header = self
            .headers
            .iter()
            .find(|(known, _)| known.eq_ignore_ascii_case(name));
        header.map(|(_, value)| value.as_str())
    }

    fn set(&mut self, name: &str, value: &str) {
        self.headers
            .retain(|(known, _)| !known.eq_ignore_ascii_case(name));
        self.headers.push((name.to_owned(), value.to_owned()));
    }

    fn cseq(&self) -> Option<(u32, &str)> {
        let (number, method) = self.get("CSeq")?.split_once(' ')?;
        Some((number.parse().ok()?, method))
    }

    fn set_body(&mut self, body: &str) {
        body.clone_into(&mut self.body);
        if !body.is_empty() {
            self.set("Content-Type", "application/sdp");
        }
        self.set("Content-Length", &body.len().to_string());
    }

    fn bytes(&self) -> Vec<u8> {
        let mut text = format!("{}\r\n", self.first);
        for (name, value) in &self.headers {
            text.push_str(&format!("{name}: {value}\r\n"));
        }
        text.push_str("\r\n");
        text.push_str(&self.body);
        text.into_bytes()
    }
}

impl Edge {
    pub fn new(late_answer: Option<String>) -> Edge {
        Edge {
            late_answer,
            ..Edge::default()
        }
    }

    /// A message of the phone's endpoint, as it goes out.
    pub fn outgoing(&mut self, data: Vec<u8>) -> Vec<u8> {
        let Some(mut message) = Message::parse(&data) else {
            return data;
        };
        let Some((number, method)) = message
            .cseq()
            .map(|(number, method)| (number, method.to_owned()))
        else {
            return data;
        };
        match (message.first.split(' ').next(), method.as_str()) {
            (Some("INVITE"), _) if self.late_answer.is_some() => message.set_body(""),
            (Some("ACK"), _) => {
                self.ack = Some(message.clone());
                if let Some(answer) = &self.late_answer {
                    message.set_body(&answer.clone());
                }
            }
            (Some("BYE"), _) => message.set("CSeq", &format!("{} BYE", number + self.offers)),
            _ => return data,
        }
        message.bytes()
    }

    /// A second offer: hold, resume, another port.
    pub fn offer(&mut self, now: Instant, sdp: &str) -> Option<Vec<u8>> {
        let ack = self.ack.as_ref().filter(|_| self.pending.is_none())?;
        let (number, _) = ack.cseq()?;
        self.offers += 1;
        let mut invite = ack.clone();
        invite.first = invite.first.replacen("ACK", "INVITE", 1);
        invite.set("CSeq", &format!("{} INVITE", number + self.offers));
        invite.set(
            "Via",
            &format!(
                "SIP/2.0/UDP 10.0.0.2:5060;branch=z9hG4bKoffer{};rport",
                self.offers
            ),
        );
        invite.set("Contact", "<sip:phone@10.0.0.2:5060>");
        invite.set_body(sdp);
        let data = invite.bytes();
        self.pending = Some(Pending {
            data: data.clone(),
            due: now + RESEND,
            resends: 0,
        });
        Some(data)
    }

    pub fn next_timeout(&self) -> Option<Instant> {
        self.pending.as_ref().map(|pending| pending.due)
    }

    /// The offer again, while no response has come.
    pub fn timeout(&mut self, now: Instant) -> Option<Vec<u8>> {
        let pending = self.pending.as_mut().filter(|pending| pending.due <= now)?;
        pending.due = now + RESEND;
        pending.resends += 1;
        let data = pending.data.clone();
        self.pending
            .take_if(|pending| pending.resends >= RESENDS_MAX);
        Some(data)
    }

    pub fn incoming(&mut self, data: &[u8]) -> Incoming {
        let pass = || Incoming::ForEndpoint(data.to_vec());
        let Some(mut message) = Message::parse(data) else {
            return pass();
        };
        let first = self
            .ack
            .as_ref()
            .and_then(Message::cseq)
            .map(|(number, _)| number);
        let (Some(first), Some((number, method))) = (first, message.cseq()) else {
            return pass();
        };
        if !message.first.starts_with("SIP/2.0") || number <= first || self.offers == 0 {
            return pass();
        }
        match method {
            "BYE" => {
                let number = number - self.offers;
                message.set("CSeq", &format!("{number} BYE"));
                Incoming::ForEndpoint(message.bytes())
            }
            "INVITE" => self.settled(number, &message),
            _ => pass(),
        }
    }

    fn settled(&mut self, number: u32, response: &Message) -> Incoming {
        let status: u16 = response
            .first
            .split(' ')
            .nth(1)
            .and_then(|text| text.parse().ok())
            .unwrap_or(0);
        if status < 200 {
            return Incoming::Nothing;
        }
        let Some(mut ack) = self.ack.clone() else {
            return Incoming::Nothing;
        };
        ack.set("CSeq", &format!("{number} ACK"));
        if let Some(via) = response.get("Via").filter(|_| status >= 300) {
            ack.set("Via", via);
        }
        let taken = self.pending.take().is_some() && status < 300;
        Incoming::Settled {
            ack: ack.bytes(),
            taken,
        }
    }
}
