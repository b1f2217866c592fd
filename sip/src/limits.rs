//! PURE.
//! How large a message may be, in one place. A request over a limit is refused, a response over it is dropped.

/// Whole message, start line to end of body. Also the most a UDP datagram can hold.
pub const MESSAGE_BYTES_MAX: usize = 65_536;
/// Start line, or one header with its folds.
pub const LINE_BYTES_MAX: usize = 8_192;
/// Header lines, folds not counted.
pub const HEADERS_MAX: usize = 128;
/// Via values. RFC 3261 §8.1.1.6 starts Max-Forwards at 70, so no honest path is longer.
pub const VIAS_MAX: usize = 71;
/// Contact values in one message.
pub const CONTACTS_MAX: usize = 16;
/// Route or Record-Route values in one message.
pub const ROUTES_MAX: usize = 32;
/// Parameters on one URI or one header value.
pub const PARAMS_MAX: usize = 64;
/// Option tags in Require that are listed back in Unsupported.
pub const OPTION_TAGS_MAX: usize = 16;
/// Session description.
pub const SDP_BYTES_MAX: usize = 32_768;
pub const SDP_LINES_MAX: usize = 1_024;
/// Media sections in one session description.
pub const SDP_MEDIA_MAX: usize = 32;
/// Formats in one media section.
pub const SDP_FORMATS_MAX: usize = 64;
/// Parts of a multipart body.
pub const BODY_PARTS_MAX: usize = 8;
