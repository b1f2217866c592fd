//! Server-sent events, as far as a chat completion needs them: event names and data. Owns lines and
//! events across any cut of the bytes. WHATWG HTML, "Server-sent events", section "Parsing an event
//! stream"; `id` and `retry` are read over, for nothing is ever resumed here.
//! PURE.

use std::collections::VecDeque;

/// Bytes of one event, its field names included. More is no chat completion.
pub const EVENT_BYTES_MAX: usize = 512 * 1024;

#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct SseEvent {
    /// Empty when the event has no name.
    pub name: String,
    /// The data lines, joined with line feeds.
    pub data: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("an event is longer than {EVENT_BYTES_MAX} bytes")]
pub struct EventTooLong;

/// Bytes in, events out. After an error nothing more comes.
#[derive(Debug, Default)]
pub struct SseParser {
    line: Vec<u8>,
    /// Only the first line may begin with a byte order mark.
    begun: bool,
    after_cr: bool,
    name: String,
    data: String,
    has_data: bool,
    /// Bytes since the last dispatched event.
    bytes: usize,
    ready: VecDeque<SseEvent>,
}

impl SseParser {
    /// Takes the next bytes, cut anywhere. Events are then waiting in `next_event`; drain it before the
    /// next push, for it holds as many as the bytes had.
    pub fn push(&mut self, bytes: &[u8]) -> Result<(), EventTooLong> {
        for byte in bytes {
            // A line ends with CR, LF, or both.
            if self.after_cr && *byte == b'\n' {
                self.after_cr = false;
                continue;
            }
            self.after_cr = *byte == b'\r';
            if matches!(byte, b'\r' | b'\n') {
                self.end_line();
                continue;
            }
            self.bytes += 1;
            if self.bytes > EVENT_BYTES_MAX {
                return Err(EventTooLong);
            }
            self.line.push(*byte);
        }
        Ok(())
    }

    pub fn next_event(&mut self) -> Option<SseEvent> {
        self.ready.pop_front()
    }

    /// The end of the stream. The standard discards an event that no blank line has ended; a last one
    /// that is complete in itself is taken here, since servers are known to forget that line.
    pub fn finish(&mut self) -> Option<SseEvent> {
        if !self.line.is_empty() {
            self.end_line();
        }
        self.dispatch();
        self.next_event()
    }

    fn end_line(&mut self) {
        let line = std::mem::take(&mut self.line);
        // Whole lines only, so a character is never cut in two.
        let line = String::from_utf8_lossy(&line);
        let line = match self.begun {
            true => &*line,
            false => line.strip_prefix('\u{feff}').unwrap_or(&line),
        };
        self.begun = true;
        if line.is_empty() {
            self.dispatch();
            return;
        }
        let (field, value) = line.split_once(':').unwrap_or((line, ""));
        let value = value.strip_prefix(' ').unwrap_or(value);
        match field {
            "data" => {
                if self.has_data {
                    self.data.push('\n');
                }
                self.has_data = true;
                self.data.push_str(value);
            }
            "event" => value.clone_into(&mut self.name),
            // Comments (no field name) keep connections open; endless ones must not count as one event.
            _ => self.bytes = self.bytes.saturating_sub(line.len()),
        }
    }

    fn dispatch(&mut self) {
        self.bytes = 0;
        let name = std::mem::take(&mut self.name);
        let data = std::mem::take(&mut self.data);
        if std::mem::take(&mut self.has_data) {
            self.ready.push_back(SseEvent { name, data });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(chunks: &[&[u8]]) -> Vec<(String, String)> {
        let mut parser = SseParser::default();
        let mut events = Vec::new();
        for chunk in chunks {
            parser.push(chunk).expect("short events");
            while let Some(event) = parser.next_event() {
                events.push((event.name, event.data));
            }
        }
        events.extend(parser.finish().map(|event| (event.name, event.data)));
        events
    }

    #[test]
    fn events_come_out_of_any_line_ends() {
        for (text, wanted) in [
            ("data: a\n\ndata: b\n\n", &[("", "a"), ("", "b")][..]),
            ("data: a\r\n\r\ndata: b\r\n\r\n", &[("", "a"), ("", "b")]),
            ("data: a\r\rdata: b\r\r", &[("", "a"), ("", "b")]),
            ("data: a\ndata: b\n\n", &[("", "a\nb")]),
            ("data:a\n\n", &[("", "a")]),
            ("data:  a\n\n", &[("", " a")]),
            ("data\n\n", &[("", "")]),
            ("\u{feff}data: a\n\n", &[("", "a")]),
            (": keep alive\n\ndata: a\n\n", &[("", "a")]),
            ("event: error\ndata: x\n\n", &[("error", "x")]),
            ("event: lonely\n\ndata: x\n\n", &[("", "x")]),
            ("id: 1\nretry: 5\nother: x\ndata: a\n\n", &[("", "a")]),
            ("data: {\"a\": \"b: c\"}\n\n", &[("", "{\"a\": \"b: c\"}")]),
            ("data: [DONE]", &[("", "[DONE]")]),
            ("data: [DONE]\n", &[("", "[DONE]")]),
            ("<html>no\n\n", &[]),
            ("", &[]),
        ] {
            let wanted: Vec<_> = wanted
                .iter()
                .map(|(n, d)| (n.to_string(), d.to_string()))
                .collect();
            assert_eq!(parse(&[text.as_bytes()]), wanted, "{text:?}");
            let bytes: Vec<&[u8]> = text.as_bytes().chunks(1).collect();
            assert_eq!(parse(&bytes), wanted, "{text:?} byte by byte");
        }
    }

    #[test]
    fn characters_survive_every_cut() {
        let text = "data: Grüße 👋 こんにちは\n\n".as_bytes();
        for cut in 0..text.len() {
            let events = parse(&[&text[..cut], &text[cut..]]);
            assert_eq!(events[0].1, "Grüße 👋 こんにちは");
        }
    }

    #[test]
    fn an_endless_event_is_refused_and_endless_comments_are_not() {
        let mut parser = SseParser::default();
        let long = vec![b'x'; EVENT_BYTES_MAX + 1];
        assert_eq!(parser.push(&long), Err(EventTooLong));
        let mut parser = SseParser::default();
        for _ in 0..EVENT_BYTES_MAX / 8 {
            assert_eq!(parser.push(b": alive, still alive\n"), Ok(()));
        }
    }
}
