//! `multipart/form-data` (RFC 7578) for the one file that is sent: a voice note. Owns the bytes and the boundary.
//! PURE.

/// A body and its content type.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Form {
    pub content_type: String,
    pub body: Vec<u8>,
}

/// Fields, and a file under `file.0` named `file.1`. `tag` makes the boundary; it grows until nothing inside holds it.
pub fn form(fields: &[(&str, String)], file: (&str, &str, &str, &[u8]), tag: u64) -> Form {
    let mut boundary = format!("offhook-{tag:016x}");
    let holds = |boundary: &str| {
        let wanted = boundary.as_bytes();
        let in_file = file.3.windows(wanted.len()).any(|window| window == wanted);
        in_file || fields.iter().any(|(_, value)| value.contains(boundary))
    };
    while holds(&boundary) {
        boundary.push('x');
    }
    let mut body = Vec::with_capacity(file.3.len() + 1_024);
    for (name, value) in fields {
        let head =
            format!("--{boundary}\r\nContent-Disposition: form-data; name=\"{name}\"\r\n\r\n");
        body.extend_from_slice(head.as_bytes());
        body.extend_from_slice(value.as_bytes());
        body.extend_from_slice(b"\r\n");
    }
    let (name, file_name, mime, bytes) = file;
    let head = format!(
        "--{boundary}\r\nContent-Disposition: form-data; name=\"{name}\"; filename=\"{file_name}\"\r\n\
         Content-Type: {mime}\r\n\r\n"
    );
    body.extend_from_slice(head.as_bytes());
    body.extend_from_slice(bytes);
    body.extend_from_slice(format!("\r\n--{boundary}--\r\n").as_bytes());
    Form {
        content_type: format!("multipart/form-data; boundary={boundary}"),
        body,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_stand_between_boundaries() {
        let form = form(
            &[("chat_id", "9".to_owned())],
            ("voice", "v.ogg", "audio/ogg", b"Ogg"),
            1,
        );
        let boundary = form.content_type.rsplit('=').next().expect("a boundary");
        let expected = format!(
            "--{boundary}\r\nContent-Disposition: form-data; name=\"chat_id\"\r\n\r\n9\r\n\
             --{boundary}\r\nContent-Disposition: form-data; name=\"voice\"; filename=\"v.ogg\"\r\n\
             Content-Type: audio/ogg\r\n\r\nOgg\r\n--{boundary}--\r\n"
        );
        assert_eq!(String::from_utf8_lossy(&form.body), expected);
    }

    #[test]
    fn nothing_inside_is_the_boundary() {
        let evil = "--offhook-0000000000000001--".to_owned();
        let form = form(
            &[("caption", evil)],
            ("voice", "v.ogg", "audio/ogg", b""),
            1,
        );
        assert!(form.content_type.ends_with("=offhook-0000000000000001x"));
    }
}
