//! PURE.
//! Notices beside texts: "is writing" (RFC 3994 §3) and "has come, was read" (RFC 5438 §7). Of foreign XML only single words are
//! looked for; nothing is expanded and nothing fetched.

/// What has become of a text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Disposition {
    Delivered,
    Displayed,
}

/// What a phone says has become of a text of ours.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Receipt {
    /// `imdn.Message-ID` of the text, or its Call-ID where it had no envelope.
    pub message_id: String,
    pub what: Disposition,
}

/// Longest name of a text in a receipt, in octets.
const MESSAGE_ID_BYTES_MAX: usize = 256;

/// Reads a body of `message/imdn+xml`. `None`: it says something else, such as that the text could not be shown.
pub(super) fn receipt(body: &[u8]) -> Option<Receipt> {
    let text = String::from_utf8_lossy(body);
    // With or without a prefix of its namespace.
    let (_, rest) = text.split_once("message-id>")?;
    let message_id = rest.split('<').next().unwrap_or_default().trim();
    let is_name = !message_id.is_empty()
        && message_id.len() <= MESSAGE_ID_BYTES_MAX
        && message_id.bytes().all(|byte| byte.is_ascii_graphic());
    let status = text.split_once("status>")?.1.trim_start();
    let status = status.strip_prefix('<')?;
    let status = status.split(['/', '>', ' ']).next().unwrap_or_default();
    let what = match status.rsplit(':').next().unwrap_or_default() {
        "delivered" => Disposition::Delivered,
        "displayed" => Disposition::Displayed,
        _ => return None,
    };
    is_name.then(|| Receipt {
        message_id: message_id.to_owned(),
        what,
    })
}

/// A body of `message/imdn+xml` for the text with this id. `time` is RFC 3339's.
pub fn disposition(message_id: &str, time: &str, what: Disposition) -> String {
    let (element, status) = match what {
        Disposition::Delivered => ("delivery-notification", "delivered"),
        Disposition::Displayed => ("display-notification", "displayed"),
    };
    format!(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\r\n<imdn xmlns=\"urn:ietf:params:xml:ns:imdn\">\r\n\
         <message-id>{}</message-id>\r\n<datetime>{time}</datetime>\r\n\
         <{element}><status><{status}/></status></{element}>\r\n</imdn>\r\n",
        escaped(message_id)
    )
}

/// A body of `application/im-iscomposing+xml`; an active one holds for `refresh_s`.
pub fn composing(is_active: bool, refresh_s: u32) -> String {
    let state = if is_active { "active" } else { "idle" };
    let refresh = match is_active {
        true => format!("<refresh>{refresh_s}</refresh>\r\n"),
        false => String::new(),
    };
    format!(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\r\n<isComposing xmlns=\"urn:ietf:params:xml:ns:im-iscomposing\">\r\n\
         <state>{state}</state>\r\n<contenttype>text/plain</contenttype>\r\n{refresh}</isComposing>\r\n"
    )
}

/// RFC 3994 §3.2: only `active` is active.
pub(super) fn is_active(body: &[u8]) -> bool {
    let text = String::from_utf8_lossy(body);
    let state = text.split("state>").nth(1).unwrap_or_default();
    state.trim_start().starts_with("active")
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
        .replace(char::is_control, "")
}
