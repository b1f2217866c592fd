//! The bytes that signal-cli sends without being asked, cut into events: server-sent events with their ids (WHATWG HTML,
//! "Parsing an event stream") and JSON-RPC in lines. Owns the cutting and its bounds: an event that is too long is passed
//! over, and the next one is read.
//! PURE.

use std::collections::VecDeque;

/// A message of Signal's greatest length, with all that may be told about it.
pub const EVENT_BYTES_MAX: usize = 512 * 1024;
const ID_BYTES_MAX: usize = 64;

#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Event {
    /// Where to go on after a lost connection; older versions of signal-cli send none.
    pub id: Option<String>,
    /// One JSON document.
    pub data: String,
}

/// Lines of at most so many bytes; longer ones are dropped whole.
#[derive(Debug)]
pub struct Lines {
    line: Vec<u8>,
    most: usize,
    is_too_long: bool,
    ready: VecDeque<String>,
    pub dropped: u64,
}

impl Lines {
    pub fn new(most: usize) -> Lines {
        Lines {
            line: Vec::new(),
            most,
            is_too_long: false,
            ready: VecDeque::new(),
            dropped: 0,
        }
    }

    /// Takes the next bytes, cut anywhere. Drain [`Lines::next_line`] before the next push.
    pub fn push(&mut self, bytes: &[u8]) {
        for byte in bytes {
            if *byte == b'\n' {
                self.end();
            } else if self.line.len() < self.most {
                self.line.push(*byte);
            } else {
                self.is_too_long = true;
            }
        }
    }

    pub fn next_line(&mut self) -> Option<String> {
        self.ready.pop_front()
    }

    fn end(&mut self) {
        let line = std::mem::take(&mut self.line);
        if std::mem::take(&mut self.is_too_long) {
            self.dropped += 1;
            return;
        }
        let line = String::from_utf8_lossy(&line);
        self.ready.push_back(line.trim_end_matches('\r').to_owned());
    }
}

/// Server-sent events out of lines.
#[derive(Debug)]
pub struct Stream {
    lines: Lines,
    event: Event,
    is_too_long: bool,
    /// Stands until another one comes.
    id: Option<String>,
}

impl Default for Stream {
    fn default() -> Stream {
        Stream {
            lines: Lines::new(EVENT_BYTES_MAX),
            event: Event::default(),
            is_too_long: false,
            id: None,
        }
    }
}

impl Stream {
    pub fn push(&mut self, bytes: &[u8]) {
        self.lines.push(bytes);
    }

    pub fn next_event(&mut self) -> Option<Event> {
        while let Some(line) = self.lines.next_line() {
            if line.is_empty() {
                let mut event = std::mem::take(&mut self.event);
                event.id.clone_from(&self.id);
                let is_whole = !std::mem::take(&mut self.is_too_long);
                if is_whole && !event.data.is_empty() {
                    return Some(event);
                }
                continue;
            }
            let (name, value) = line.split_once(':').unwrap_or((&line, ""));
            let value = value.strip_prefix(' ').unwrap_or(value);
            match name {
                "data" => self.data(value),
                "id" if value.len() <= ID_BYTES_MAX && !value.chars().any(char::is_control) => {
                    self.id = Some(value.to_owned());
                }
                _ => {}
            }
        }
        None
    }

    fn data(&mut self, value: &str) {
        if self.event.data.len() + value.len() > EVENT_BYTES_MAX {
            self.is_too_long = true;
            return;
        }
        if !self.event.data.is_empty() {
            self.event.data.push('\n');
        }
        self.event.data.push_str(value);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(bytes: &[u8], piece: usize) -> Vec<(Option<String>, String)> {
        let mut stream = Stream::default();
        let mut all = Vec::new();
        for piece in bytes.chunks(piece) {
            stream.push(piece);
            while let Some(event) = stream.next_event() {
                all.push((event.id, event.data));
            }
        }
        all
    }

    #[test]
    fn events_are_cut_out_of_any_pieces() {
        let text = b":\n\nid:4\nevent:receive\ndata:{\"a\":1}\n\nevent: receive\r\ndata: x\r\ndata: y\r\n\r\n:\n\ndata: cut";
        let expected = vec![
            (Some("4".to_owned()), "{\"a\":1}".to_owned()),
            (Some("4".to_owned()), "x\ny".to_owned()),
        ];
        for piece in 1..text.len() {
            assert_eq!(read(text, piece), expected, "{piece}");
        }
    }

    #[test]
    fn what_is_too_long_is_passed_over() {
        let long = "x".repeat(EVENT_BYTES_MAX + 10);
        let text = format!("data:{long}\n\ndata:a\n\n");
        assert_eq!(read(text.as_bytes(), 4_096), [(None, "a".to_owned())]);
        let half = "x".repeat(EVENT_BYTES_MAX / 2 + 10);
        let text = format!("data:{half}\ndata:{half}\n\ndata:a\n\n");
        assert_eq!(read(text.as_bytes(), 4_096), [(None, "a".to_owned())]);
        let mut lines = Lines::new(4);
        lines.push(b"12345\n1234\r\nab\n");
        assert_eq!(lines.next_line().as_deref(), Some("ab"));
        assert_eq!((lines.next_line(), lines.dropped), (None, 2));
    }
}
