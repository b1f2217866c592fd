//! A stream of server-sent events cut into its events without changing a byte: the frames in a row are the stream.
//! WHATWG HTML, "Server-sent events". Owns where an event ends; not what it says.
//! PURE.

use crate::gateways::openai::sse::{EVENT_BYTES_MAX, SseParser};

#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("an event is longer than {EVENT_BYTES_MAX} bytes")]
pub struct FrameTooLong;

/// Bytes in, whole events out, each with the blank line that ends it.
#[derive(Debug, Default)]
pub struct Frames {
    buffer: Vec<u8>,
    /// Bytes of the buffer that have been looked at.
    seen: usize,
    /// Nothing stands on the present line yet.
    line_is_empty: bool,
    after_cr: bool,
    has_begun: bool,
}

impl Frames {
    /// Takes the next bytes, cut anywhere. Drain `next_frame` before the next push.
    pub fn push(&mut self, bytes: &[u8]) -> Result<(), FrameTooLong> {
        self.buffer.extend_from_slice(bytes);
        match self.buffer.len() > EVENT_BYTES_MAX + bytes.len() {
            true => Err(FrameTooLong),
            false => Ok(()),
        }
    }

    pub fn next_frame(&mut self) -> Option<Vec<u8>> {
        if !self.has_begun {
            (self.has_begun, self.line_is_empty) = (true, true);
        }
        while let Some(byte) = self.buffer.get(self.seen).copied() {
            self.seen += 1;
            let is_end = match byte {
                // The second half of a line's end.
                b'\n' if self.after_cr => false,
                b'\r' | b'\n' => std::mem::replace(&mut self.line_is_empty, true),
                _ => {
                    self.line_is_empty = false;
                    false
                }
            };
            self.after_cr = byte == b'\r';
            if is_end {
                // A line feed that comes later than its carriage return begins the next frame, where it counts for
                // nothing: waiting for it could hold an event back for ever.
                if self.after_cr && self.buffer.get(self.seen) == Some(&b'\n') {
                    self.seen += 1;
                    self.after_cr = false;
                }
                let rest = self.buffer.split_off(self.seen);
                self.seen = 0;
                return Some(std::mem::replace(&mut self.buffer, rest));
            }
        }
        None
    }

    /// The end of the stream: what no blank line has ended.
    pub fn finish(&mut self) -> Option<Vec<u8>> {
        let rest = std::mem::take(self).buffer;
        (!rest.is_empty()).then_some(rest)
    }
}

/// What the event says: its data lines, joined. None: a comment, or nothing.
pub fn data(frame: &[u8]) -> Option<String> {
    let mut parser = SseParser::default();
    parser.push(frame).ok()?;
    let event = parser.next_event().or_else(|| parser.finish())?;
    Some(event.data)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_in_a_row_are_the_stream() {
        for (text, wanted) in [
            (
                "data: a\n\ndata: b\n\n",
                &["data: a\n\n", "data: b\n\n"][..],
            ),
            (
                "data: a\r\n\r\ndata: b\r\n\r\n",
                &["data: a\r\n\r\n", "data: b\r\n\r\n"],
            ),
            ("data: a\r\rdata: b\r\r", &["data: a\r\r", "data: b\r\r"]),
            (": ping\n\ndata: a\n\n", &[": ping\n\n", "data: a\n\n"]),
            (
                "event: x\ndata: a\ndata: b\n\n",
                &["event: x\ndata: a\ndata: b\n\n"],
            ),
            ("data: [DONE]", &["data: [DONE]"]),
            ("\n\ndata: a\n\n", &["\n", "\n", "data: a\n\n"]),
            ("", &[]),
        ] {
            for size in [1, 3, 1000] {
                let mut frames = Frames::default();
                let mut out = Vec::new();
                for piece in text.as_bytes().chunks(size) {
                    frames.push(piece).expect("short");
                    while let Some(frame) = frames.next_frame() {
                        out.push(frame);
                    }
                }
                out.extend(frames.finish());
                assert_eq!(out.concat(), text.as_bytes(), "{text:?}");
                if size == 1000 {
                    let out: Vec<_> = out.iter().map(|f| String::from_utf8_lossy(f)).collect();
                    assert_eq!(out, wanted, "{text:?}");
                }
                let said: Vec<String> = out.iter().filter_map(|frame| data(frame)).collect();
                let wanted: Vec<String> =
                    wanted.iter().filter_map(|f| data(f.as_bytes())).collect();
                assert_eq!(said, wanted, "{text:?} by {size}");
            }
        }
    }

    #[test]
    fn an_endless_event_is_refused() {
        let mut frames = Frames::default();
        let piece = vec![b'x'; 64 * 1024];
        let refused = (0..64).any(|_| {
            let is_refused = frames.push(&piece).is_err();
            assert_eq!(frames.next_frame(), None);
            is_refused
        });
        assert!(refused);
    }
}
