//! PURE. Events of the Wyoming protocol as bytes: a line of JSON (`type`, `data`, lengths), then more data as JSON, then a
//! payload. github.com/OHF-Voice/wyoming, version 1.
//!
//! Bounds: [`LINE_BYTES_MAX`], [`DATA_BYTES_MAX`], [`PAYLOAD_BYTES_MAX`]; what is longer ends the connection.

use serde_json::{Map, Value};

/// Longest first line.
pub const LINE_BYTES_MAX: usize = 64 * 1024;
/// Longest data beside it: `info` lists every voice of a server.
pub const DATA_BYTES_MAX: usize = 1024 * 1024;
/// Longest payload: some 30 s of sound.
pub const PAYLOAD_BYTES_MAX: usize = 1024 * 1024;

/// One event.
#[derive(Clone, PartialEq, Default)]
pub struct Event {
    pub kind: String,
    pub data: Map<String, Value>,
    pub payload: Vec<u8>,
}

impl std::fmt::Debug for Event {
    /// Data may hold somebody's words.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Event")
            .field("kind", &self.kind)
            .field("payload_bytes", &self.payload.len())
            .finish_non_exhaustive()
    }
}

/// Why bytes are no event.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum EventError {
    #[error("an event is too long")]
    TooLong,
    #[error("an event is malformed")]
    Malformed,
}

/// The first line of an event, and how much follows it.
#[derive(Debug, Clone, PartialEq)]
pub struct Head {
    kind: String,
    data: Map<String, Value>,
    pub data_bytes: usize,
    pub payload_bytes: usize,
}

impl Head {
    /// Reads a line, with or without its end.
    pub fn parse(line: &[u8]) -> Result<Head, EventError> {
        if line.len() > LINE_BYTES_MAX {
            return Err(EventError::TooLong);
        }
        let mut line: Map<String, Value> =
            serde_json::from_slice(line).map_err(|_| EventError::Malformed)?;
        let Some(Value::String(kind)) = line.remove("type") else {
            return Err(EventError::Malformed);
        };
        let data = match line.remove("data") {
            Some(Value::Object(data)) => data,
            None | Some(Value::Null) => Map::new(),
            Some(_) => return Err(EventError::Malformed),
        };
        let length = |name: &str, max: usize| match line.get(name) {
            None | Some(Value::Null) => Ok(0),
            Some(value) => {
                let length = value.as_u64().ok_or(EventError::Malformed)?;
                let length = usize::try_from(length).map_err(|_| EventError::TooLong)?;
                match length <= max {
                    true => Ok(length),
                    false => Err(EventError::TooLong),
                }
            }
        };
        Ok(Head {
            data_bytes: length("data_length", DATA_BYTES_MAX)?,
            payload_bytes: length("payload_length", PAYLOAD_BYTES_MAX)?,
            kind,
            data,
        })
    }

    /// The event, from what followed the line. Data beside the line goes over data in it.
    pub fn complete(self, data: &[u8], payload: Vec<u8>) -> Result<Event, EventError> {
        let Head {
            kind,
            data: mut all,
            ..
        } = self;
        if !data.is_empty() {
            let more: Map<String, Value> =
                serde_json::from_slice(data).map_err(|_| EventError::Malformed)?;
            all.extend(more);
        }
        Ok(Event {
            kind,
            data: all,
            payload,
        })
    }
}

impl Event {
    /// An event without payload; `data` is a JSON object.
    pub fn new(kind: &str, data: Value) -> Event {
        Event {
            kind: kind.to_owned(),
            data: match data {
                Value::Object(data) => data,
                _ => Map::new(),
            },
            payload: Vec::new(),
        }
    }

    pub fn text(&self, name: &str) -> Option<&str> {
        self.data.get(name)?.as_str()
    }

    pub fn number(&self, name: &str) -> Option<u32> {
        u32::try_from(self.data.get(name)?.as_u64()?).ok()
    }

    /// As it goes over the wire.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut line = Map::new();
        line.insert("type".to_owned(), Value::String(self.kind.clone()));
        line.insert("version".to_owned(), Value::String("1.5.0".to_owned()));
        let mut data = Vec::new();
        if !self.data.is_empty() {
            data = Value::Object(self.data.clone()).to_string().into_bytes();
            line.insert("data_length".to_owned(), data.len().into());
        }
        if !self.payload.is_empty() {
            line.insert("payload_length".to_owned(), self.payload.len().into());
        }
        let mut bytes = Value::Object(line).to_string().into_bytes();
        bytes.push(b'\n');
        bytes.extend(data);
        bytes.extend_from_slice(&self.payload);
        bytes
    }

    /// Takes the first event off `bytes`, with what follows it; `None` where it is not all there.
    pub fn parse(bytes: &[u8]) -> Result<Option<(Event, &[u8])>, EventError> {
        let Some(end) = bytes.iter().position(|&byte| byte == b'\n') else {
            return match bytes.len() > LINE_BYTES_MAX {
                true => Err(EventError::TooLong),
                false => Ok(None),
            };
        };
        let head = Head::parse(&bytes[..end])?;
        let rest = &bytes[end + 1..];
        let Some((data, rest)) = rest.split_at_checked(head.data_bytes) else {
            return Ok(None);
        };
        let Some((payload, rest)) = rest.split_at_checked(head.payload_bytes) else {
            return Ok(None);
        };
        let event = head.complete(data, payload.to_vec())?;
        Ok(Some((event, rest)))
    }
}

/// Fuzz body: what parses is written and parsed again to the same event; nothing runs over its bounds.
pub fn fuzz(data: &[u8]) {
    let mut rest = data;
    while let Ok(Some((event, after))) = Event::parse(rest) {
        assert!(after.len() < rest.len());
        assert!(event.payload.len() <= PAYLOAD_BYTES_MAX);
        let bytes = event.to_bytes();
        if let Ok(again) = Event::parse(&bytes) {
            assert_eq!(again, Some((event, &[][..])));
        }
        rest = after;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn events_as_others_write_them() {
        let table: [(&[u8], &str, Value, &[u8]); 5] = [
            (b"{\"type\":\"describe\"}\n", "describe", json!({}), b""),
            (
                b"{\"type\": \"transcribe\", \"version\": \"1.10.2\", \"data_length\": 18}\n{\"language\": \"en\"}",
                "transcribe",
                json!({"language": "en"}),
                b"",
            ),
            (
                b"{\"type\":\"ping\",\"data\":{\"text\":\"a\",\"x\":1},\"data_length\":13}\n{\"text\":\"bc\"}",
                "ping",
                json!({"text": "bc", "x": 1}),
                b"",
            ),
            (
                b"{\"type\":\"audio-chunk\",\"data\":null,\"payload_length\":3}\n\x01\n\x03",
                "audio-chunk",
                json!({}),
                b"\x01\n\x03",
            ),
            (
                b"{\"type\":\"synthesize\",\"data\":{\"text\":\"\xc3\xa9\"},\"payload_length\":null}\r\n",
                "synthesize",
                json!({"text": "\u{e9}"}),
                b"",
            ),
        ];
        for (bytes, kind, data, payload) in table {
            let (event, rest) = Event::parse(bytes).expect("well formed").expect("whole");
            assert_eq!(event.kind, kind);
            assert_eq!(Value::Object(event.data.clone()), data, "{kind}");
            assert_eq!(event.payload, payload, "{kind}");
            assert!(rest.is_empty());
            let written = event.to_bytes();
            let again = Event::parse(&written).expect("ours").expect("whole");
            assert_eq!(again.0, event);
            for end in 0..bytes.len() {
                assert_eq!(Event::parse(&bytes[..end]), Ok(None), "{kind} cut at {end}");
            }
        }
    }

    #[test]
    fn what_is_refused() {
        let long = format!("{{\"type\":\"{}\"}}\n", "x".repeat(LINE_BYTES_MAX));
        let table: [(&[u8], EventError); 8] = [
            (b"\n", EventError::Malformed),
            (b"[]\n", EventError::Malformed),
            (b"{}\n", EventError::Malformed),
            (b"{\"type\":1}\n", EventError::Malformed),
            (b"{\"type\":\"a\",\"data\":[]}\n", EventError::Malformed),
            (
                b"{\"type\":\"a\",\"payload_length\":-1}\n",
                EventError::Malformed,
            ),
            (
                b"{\"type\":\"a\",\"payload_length\":99999999}\n",
                EventError::TooLong,
            ),
            (long.as_bytes(), EventError::TooLong),
        ];
        for (bytes, error) in table {
            assert_eq!(Event::parse(bytes), Err(error));
        }
        let no_end = vec![b' '; LINE_BYTES_MAX + 1];
        assert_eq!(Event::parse(&no_end), Err(EventError::TooLong));
        // Nesting that would exhaust a stack.
        let deep = [
            b"{\"type\":\"a\",\"data\":".as_slice(),
            &[b'['; 5_000],
            b"\n",
        ]
        .concat();
        assert_eq!(Event::parse(&deep), Err(EventError::Malformed));
    }

    #[test]
    fn any_bytes_may_come() {
        use rand::rngs::StdRng;
        use rand::{Rng as _, RngExt as _, SeedableRng as _};
        let mut random = StdRng::from_seed([7; 32]);
        let mut chunk = Event::new(
            "audio-chunk",
            json!({"rate": 16000, "width": 2, "channels": 1}),
        );
        chunk.payload = vec![b'\n'; 8];
        let seed = [
            Event::new("transcribe", json!({"language": "en"})).to_bytes(),
            chunk.to_bytes(),
        ]
        .concat();
        for _ in 0..10_000 {
            let mut data = seed.clone();
            for _ in 0..1 + random.next_u32() % 4 {
                let at = random.random_range(0..data.len());
                match random.next_u32() % 4 {
                    0 => data[at] = random.random(),
                    1 => data[at] = b"{}[]\",:0\n\\"[random.random_range(0..10)],
                    2 => data.truncate(at + 1),
                    _ => {
                        let tail = data[at..].to_vec();
                        data.extend(tail);
                        data.truncate(4_096);
                    }
                }
            }
            fuzz(&data);
        }
    }
}
