//! PURE.
//! Messages out of a stream: RFC 3261 §18.3 (Content-Length) and the keep-alives of RFC 5626 §4.4.1 between them. Does
//! not read the messages, and does not own connections or their time limits.

use std::collections::VecDeque;

use crate::error::FramingError;
use crate::header::HeaderName;
use crate::limits::{HEADERS_MAX, MESSAGE_BYTES_MAX};
use crate::{lines, syntax};

#[cfg(test)]
mod tests;

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Frame {
    /// One whole message for `Message::parse_stream_message`.
    Message(Vec<u8>),
    /// A double CRLF: the peer wants a single CRLF back.
    Ping,
    /// A single CRLF: the answer to our double one, or nothing at all.
    Pong,
}

/// Octets that may wait, unread or as frames not taken: two messages of full size.
pub const WAITING_BYTES_MAX: usize = 2 * MESSAGE_BYTES_MAX;

/// Cuts one stream. After an error the connection must be closed: where the next message starts is unknown.
#[derive(Debug, Default)]
pub struct StreamFramer {
    unread: Vec<u8>,
    /// How far `unread` has been searched for the end of the headers.
    searched: usize,
    frames: VecDeque<Frame>,
    frame_bytes: usize,
    /// A single CRLF ended the last octets: one more makes it a ping.
    half_ping: bool,
    broken: Option<FramingError>,
}

impl StreamFramer {
    pub fn new() -> StreamFramer {
        StreamFramer::default()
    }

    /// Takes what the connection read. Frames come out of the iterator; take them all before the next push.
    ///
    /// Full at `WAITING_BYTES_MAX`: an error, since a peer that sends faster than we read cannot be told to wait here.
    pub fn push(&mut self, data: &[u8]) -> Result<(), FramingError> {
        if let Some(error) = self.broken {
            return Err(error);
        }
        let cut = self.take(data);
        if let Err(error) = cut {
            self.broken = Some(error);
            self.unread = Vec::new();
        }
        cut
    }

    fn take(&mut self, data: &[u8]) -> Result<(), FramingError> {
        if self.unread.len() + self.frame_bytes + data.len() > WAITING_BYTES_MAX {
            return Err(FramingError::Full {
                max: WAITING_BYTES_MAX,
            });
        }
        self.unread.extend_from_slice(data);
        let mut start = 0;
        loop {
            start += self.take_line_ends(start);
            let rest = &self.unread[start..];
            // A lone CR waits for its LF.
            if rest.is_empty() || rest == b"\r" {
                break;
            }
            let Some(length) = message_length(rest, self.searched)? else {
                self.searched = rest.len();
                break;
            };
            if rest.len() < length {
                break;
            }
            self.frames
                .push_back(Frame::Message(rest[..length].to_vec()));
            self.frame_bytes += length;
            self.half_ping = false;
            self.searched = 0;
            start += length;
        }
        self.unread.drain(..start);
        Ok(())
    }

    /// RFC 5626 §3.5.1: line ends between messages are keep-alives. Says how many octets they take.
    fn take_line_ends(&mut self, start: usize) -> usize {
        let mut taken = 0;
        loop {
            let rest = &self.unread[start + taken..];
            let length = match rest {
                [b'\r', b'\n', ..] => 2,
                [b'\n', ..] => 1,
                _ => return taken,
            };
            taken += length;
            if self.half_ping {
                // The first half was told as a pong already, when nobody knew yet; a frame still waiting is corrected.
                self.half_ping = false;
                if self.frames.back() == Some(&Frame::Pong) {
                    self.frames.pop_back();
                }
                self.push_keep_alive(Frame::Ping);
            } else {
                self.half_ping = true;
                self.push_keep_alive(Frame::Pong);
            }
        }
    }

    /// A row of equal keep-alives is one.
    fn push_keep_alive(&mut self, frame: Frame) {
        if self.frames.back() != Some(&frame) {
            self.frames.push_back(frame);
        }
    }

    /// Octets of a message that has started and not ended: a shell may want to give up on it.
    pub fn unfinished_bytes(&self) -> usize {
        self.unread.len()
    }
}

impl Iterator for StreamFramer {
    type Item = Frame;

    fn next(&mut self) -> Option<Frame> {
        let frame = self.frames.pop_front();
        if let Some(Frame::Message(message)) = &frame {
            self.frame_bytes -= message.len();
        }
        frame
    }
}

/// Octets of the message that `data` starts with; `None` while its headers have not ended.
fn message_length(data: &[u8], searched: usize) -> Result<Option<usize>, FramingError> {
    let too_large = FramingError::TooLarge {
        max: MESSAGE_BYTES_MAX,
    };
    let Some(body_at) = lines::body_start(data, searched) else {
        return if data.len() > MESSAGE_BYTES_MAX {
            Err(too_large)
        } else {
            Ok(None)
        };
    };
    let head = lines::head(&data[..body_at], HEADERS_MAX).ok_or(too_large)?;
    let mut length = None;
    for header in &head.headers {
        let Some((name, value)) = lines::field(header.as_slice()) else {
            continue;
        };
        if name != HeaderName::ContentLength {
            continue;
        }
        // Two of them are two opinions on where the next request starts.
        if length.is_some() {
            return Err(FramingError::BadContentLength);
        }
        let value = syntax::number(syntax::trim(&value), u64::from(u32::MAX));
        length = Some(value.ok_or(FramingError::BadContentLength)?);
    }
    // RFC 3261 §18.3: over streams Content-Length is the only end.
    let length = length.ok_or(FramingError::NoContentLength)? as usize;
    match body_at.checked_add(length) {
        Some(total) if total <= MESSAGE_BYTES_MAX => Ok(Some(total)),
        _ => Err(too_large),
    }
}
