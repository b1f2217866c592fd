//! PURE.
//! Notices beside texts: "is writing" (RFC 3994 §3) and "has come, was read" (RFC 5438 §7). Of foreign XML only single words are
//! looked for; nothing is expanded and nothing fetched.

/// What has become of a text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Disposition {
    Delivered,
    Displayed,
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
