//! How a link to a gateway fails, in words that say what to do. Owns the reading of the gateway's error codes.
//! PURE.

use std::time::Duration;

use super::wire::{PROTOCOL, WireError};

/// Where the gateway does not say how long to wait. It is the wait that it names most.
const RETRY_AFTER: Duration = Duration::from_millis(250);

/// Why there is no link, or why a request over it failed. Texts hold no secret and nothing that a stranger wrote but
/// codes of plain letters.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum LinkError {
    #[error("nobody answers at OpenClaw's address: {why}")]
    Unreachable { why: String },
    #[error("what answers at OpenClaw's address is no OpenClaw gateway")]
    NotAGateway,
    #[error("OpenClaw closed the connection ({code})")]
    Closed { code: u16 },
    #[error("OpenClaw fell silent")]
    Silent,
    #[error("OpenClaw is still starting")]
    Starting { retry_after: Duration },
    #[error(
        "OpenClaw wants a token: put that of gateway.auth.token in its configuration into a file, and name it in api_key_file"
    )]
    TokenMissing,
    #[error(
        "OpenClaw does not accept the token: it must be that of gateway.auth.token in OpenClaw's configuration"
    )]
    Token,
    #[error("too many wrong tokens: OpenClaw does not listen to us for a while")]
    Locked,
    #[error(
        "OpenClaw waits for its owner to admit this device: run `openclaw devices approve {request}` on its machine"
    )]
    NotPaired { request: String },
    #[error(
        "OpenClaw admits this device with fewer rights than it needs (operator.read, operator.write, operator.approvals): approve it again with `openclaw devices list`"
    )]
    Scopes,
    #[error("OpenClaw refuses the proof of this device ({code}): do both machines' clocks agree?")]
    Device { code: String },
    #[error("OpenClaw speaks version {theirs} of its protocol and Offhook version {PROTOCOL}: update {}", older(*.theirs))]
    Protocol { theirs: u32 },
    #[error("OpenClaw refused the request ({code})")]
    Refused { code: String },
    #[error("OpenClaw is too busy ({code})")]
    Busy { code: String },
    /// The same request may be sent again after that time.
    #[error("OpenClaw could not take the request just then ({code})")]
    NotNow { code: String, retry_after: Duration },
    #[error("OpenClaw did not answer in time")]
    Late,
    #[error("too many questions are under way at once")]
    Full,
    #[error("the link to OpenClaw was closed by us")]
    Stopped,
}

fn older(theirs: u32) -> &'static str {
    match theirs > PROTOCOL {
        true => "Offhook, or go back to a version of OpenClaw that it was tested with",
        false => "OpenClaw",
    }
}

impl LinkError {
    /// It does not pass by itself: somebody has to do something.
    pub fn needs_owner(&self) -> bool {
        matches!(
            self,
            LinkError::NotAGateway
                | LinkError::TokenMissing
                | LinkError::Token
                | LinkError::Locked
                | LinkError::NotPaired { .. }
                | LinkError::Scopes
                | LinkError::Device { .. }
                | LinkError::Protocol { .. }
        )
    }

    /// What a refused `connect` means.
    pub(super) fn of_connect(error: &WireError) -> LinkError {
        let code = match error.detail.as_str() {
            "" => error.code.as_str(),
            detail => detail,
        };
        match code {
            "PROTOCOL_MISMATCH" => LinkError::Protocol {
                theirs: error.protocol.unwrap_or(0),
            },
            "PAIRING_REQUIRED" => LinkError::NotPaired {
                request: match error.request.as_str() {
                    "" => "<id>".to_owned(),
                    request => request.to_owned(),
                },
            },
            "AUTH_REQUIRED" | "AUTH_TOKEN_MISSING" | "AUTH_PASSWORD_MISSING" => {
                LinkError::TokenMissing
            }
            "AUTH_RATE_LIMITED" => LinkError::Locked,
            "AUTH_SCOPE_MISMATCH" => LinkError::Scopes,
            code if code.starts_with("AUTH_") => LinkError::Token,
            code if code.starts_with("DEVICE_") => LinkError::Device {
                code: code.to_owned(),
            },
            "UNAVAILABLE" => LinkError::Starting {
                retry_after: error.retry_after.unwrap_or(Duration::from_secs(1)),
            },
            _ if error.reason == "startup-sidecars" => LinkError::Starting {
                retry_after: error.retry_after.unwrap_or(Duration::from_secs(1)),
            },
            code => LinkError::Refused {
                code: code.to_owned(),
            },
        }
    }

    /// What any other refused request means.
    pub(super) fn of_request(error: &WireError) -> LinkError {
        let code = match error.detail.as_str() {
            "" => error.code.clone(),
            detail => detail.to_owned(),
        };
        match error.code.as_str() {
            _ if error.can_retry => LinkError::NotNow {
                code,
                retry_after: error.retry_after.unwrap_or(RETRY_AFTER),
            },
            "UNAVAILABLE" | "RATE_LIMITED" | "RESOURCE_EXHAUSTED" => LinkError::Busy { code },
            _ => LinkError::Refused { code },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_refusal_says_what_to_do() {
        let check = |code: &str, detail: &str, says: &str| {
            let error = LinkError::of_connect(&WireError {
                code: code.to_owned(),
                detail: detail.to_owned(),
                request: "ab-1".to_owned(),
                protocol: Some(5),
                ..WireError::default()
            });
            let text = error.to_string();
            assert!(text.contains(says), "{code} {detail}: {text}");
            error
        };
        check(
            "INVALID_REQUEST",
            "PROTOCOL_MISMATCH",
            "speaks version 5 of its protocol and Offhook version 4",
        );
        check(
            "INVALID_REQUEST",
            "AUTH_TOKEN_MISMATCH",
            "gateway.auth.token",
        );
        check("INVALID_REQUEST", "AUTH_TOKEN_MISSING", "api_key_file");
        check(
            "NOT_PAIRED",
            "PAIRING_REQUIRED",
            "openclaw devices approve ab-1",
        );
        check("INVALID_REQUEST", "DEVICE_AUTH_SIGNATURE_EXPIRED", "clocks");
        assert!(!check("UNAVAILABLE", "", "still starting").needs_owner());
        assert!(check("INVALID_REQUEST", "AUTH_SCOPE_MISMATCH", "rights").needs_owner());
        check("WHATEVER", "", "refused the request (WHATEVER)");
    }

    #[test]
    fn what_may_be_sent_again_is_told_apart() {
        let read = |error: serde_json::Value| {
            let frame = serde_json::json!({"type": "res", "id": "1", "ok": false, "error": error});
            match crate::openclaw::wire::parse(&frame.to_string()) {
                Some(crate::openclaw::wire::Incoming::Response { result, .. }) => {
                    LinkError::of_request(&result.expect_err("a refusal"))
                }
                other => panic!("{other:?}"),
            }
        };
        let not_now = |code: &str, ms: u64| LinkError::NotNow {
            code: code.to_owned(),
            retry_after: Duration::from_millis(ms),
        };
        let words = "session changed before chat.send; retry the request";
        let code = "SESSION_MUTATION_AUTHORIZATION_CHANGED";
        let refused = "INVALID_REQUEST";
        // As OpenClaw 2026.9.6 writes them.
        for (error, expected) in [
            (
                serde_json::json!({"code": "UNAVAILABLE", "retryable": true, "retryAfterMs": 700}),
                not_now("UNAVAILABLE", 700),
            ),
            (
                serde_json::json!({"code": refused, "message": words, "details": {"code": code, "method": "chat.send"}}),
                not_now(code, 250),
            ),
            (
                serde_json::json!({"code": refused, "message": format!("SessionError: {words}")}),
                not_now(refused, 250),
            ),
            (
                serde_json::json!({"code": refused, "message": words, "retryable": false}),
                LinkError::Refused {
                    code: refused.to_owned(),
                },
            ),
            // Its reader is to look at it first.
            (
                serde_json::json!({"code": refused, "message": "session routing changed; review and retry"}),
                LinkError::Refused {
                    code: refused.to_owned(),
                },
            ),
            (
                serde_json::json!({"code": "UNAVAILABLE", "retryAfterMs": 700}),
                LinkError::Busy {
                    code: "UNAVAILABLE".to_owned(),
                },
            ),
        ] {
            assert_eq!(read(error), expected);
        }
        assert!(!not_now("UNAVAILABLE", 700).needs_owner());
    }
}
