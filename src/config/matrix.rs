//! PURE. `[matrix]`: an account on the owner's Matrix homeserver, to be written to and to write from. Who may write is said in
//! `[[users]]`, by `identities`.

use super::reader::Section;
use super::sections::SecretSource;

/// `[matrix]`.
#[derive(Debug, Clone, PartialEq)]
pub struct MatrixAccount {
    pub enabled: bool,
    /// Its address, or the server name to look it up by.
    pub homeserver: String,
    /// Our account there, whole or its first part. Needed with a password only.
    pub user: String,
    /// Where the access token is found: `access_token_file`, `access_token_env`, or OFFHOOK_MATRIX_ACCESS_TOKEN.
    pub access_token: SecretSource,
    /// Where the password is found: `password_file`, `password_env`, or OFFHOOK_MATRIX_PASSWORD. It is used once.
    pub password: SecretSource,
    /// Answer in rooms of several people, when mentioned.
    pub rooms: bool,
    /// Give strangers who write a code to be linked with.
    pub pairing: bool,
    pub voice_mib_max: usize,
}

impl Default for MatrixAccount {
    fn default() -> MatrixAccount {
        let source = |variable: &str| SecretSource {
            default_variable: variable.to_owned(),
            ..SecretSource::default()
        };
        MatrixAccount {
            enabled: false,
            homeserver: String::new(),
            user: String::new(),
            access_token: source("OFFHOOK_MATRIX_ACCESS_TOKEN"),
            password: source("OFFHOOK_MATRIX_PASSWORD"),
            rooms: true,
            pairing: false,
            voice_mib_max: 8,
        }
    }
}

pub(super) fn matrix(section: &mut Section<'_, '_>, d: MatrixAccount) -> MatrixAccount {
    let expected = "an address such as \"https://matrix.example.org\", or a server name";
    let account = MatrixAccount {
        enabled: section.flag("enabled", d.enabled),
        homeserver: section.parsed(
            "homeserver",
            d.homeserver,
            expected,
            homeserver,
            String::clone,
        ),
        user: section.text("user", &d.user),
        access_token: section.secret("access_token", "access_token_file", "access_token_env"),
        password: section.secret("password", "password_file", "password_env"),
        rooms: section.flag("rooms", d.rooms),
        pairing: section.flag("pairing", d.pairing),
        voice_mib_max: section.integer("voice_mib_max", d.voice_mib_max, 1..=8),
    };
    let is_said = !account.enabled || !account.homeserver.is_empty();
    section.require("homeserver", is_said, "missing: where is your account?");
    account
}

fn homeserver(text: &str) -> Option<String> {
    let text = text.trim();
    let is_name = !text.contains("://") && super::keys::host_name(text).is_some();
    let is_good = text.is_empty() || is_name || super::keys::web_address(text).is_some();
    is_good.then(|| text.trim_end_matches('/').to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn homeservers_are_addresses_or_names() {
        for (text, expected) in [
            ("", Some("")),
            (
                "https://matrix.example.org/",
                Some("https://matrix.example.org"),
            ),
            ("http://127.0.0.1:8008", Some("http://127.0.0.1:8008")),
            ("example.org", Some("example.org")),
            ("matrix://example.org", None),
            ("two words", None),
        ] {
            assert_eq!(homeserver(text).as_deref(), expected, "{text:?}");
        }
    }
}
