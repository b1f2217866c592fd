//! PURE.
//! Bodies that come compressed, RFC 3261 §20.12: `deflate` (RFC 9110 §8.4.1.2), in which Linphone sends its delivery notices.
//! Does not own what a body says.

use std::borrow::Cow;

use miniz_oxide::inflate::{TINFLStatus, decompress_to_vec_zlib_with_limit};

/// Codings of bodies that are taken, RFC 3261 §20.2.
pub const ACCEPT_ENCODING: &str = "identity, deflate";

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CodingError {
    Unknown,
    Malformed,
    TooLong,
}

/// The body as it was before it was coded, of `bytes_max` at most.
pub fn decoded<'a>(
    coding: Option<&str>,
    body: &'a [u8],
    bytes_max: usize,
) -> Result<Cow<'a, [u8]>, CodingError> {
    if body.len() > bytes_max {
        return Err(CodingError::TooLong);
    }
    let coding = coding.unwrap_or_default().trim().to_ascii_lowercase();
    match coding.as_str() {
        "" | "identity" => Ok(Cow::Borrowed(body)),
        "deflate" => decompress_to_vec_zlib_with_limit(body, bytes_max)
            .map(Cow::Owned)
            .map_err(|error| match error.status {
                TINFLStatus::HasMoreOutput => CodingError::TooLong,
                _ => CodingError::Malformed,
            }),
        _ => Err(CodingError::Unknown),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use miniz_oxide::deflate::compress_to_vec_zlib;

    #[test]
    fn a_body_is_what_it_was_before() {
        let packed = compress_to_vec_zlib(&[b'a'; 1000], 6);
        assert!(packed.len() < 50);
        let check = |coding: Option<&str>, body: &[u8], expected: Result<usize, CodingError>| {
            let found = decoded(coding, body, 1000).map(|body| body.len());
            assert_eq!(found, expected, "{coding:?}");
        };
        check(None, b"abc", Ok(3));
        check(Some(" Identity"), b"abc", Ok(3));
        check(Some("deflate"), &packed, Ok(1000));
        check(Some("gzip"), &packed, Err(CodingError::Unknown));
        check(Some("deflate"), b"abc", Err(CodingError::Malformed));
        check(Some("deflate"), &packed[..9], Err(CodingError::Malformed));
        check(None, &[0; 1001], Err(CodingError::TooLong));
    }

    #[test]
    fn a_small_body_does_not_become_a_large_one() {
        let bomb = compress_to_vec_zlib(&vec![0; 10_000_000], 9);
        assert!(bomb.len() < 32_768);
        assert_eq!(
            decoded(Some("deflate"), &bomb, 32_768),
            Err(CodingError::TooLong)
        );
    }
}
