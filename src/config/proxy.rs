//! PURE. `[proxy]`: the owner's model provider, served to the agent gateway through us.

use super::reader::Section;
use super::sections::{Bind, SecretSource};

/// `[proxy]`.
#[derive(Debug, Clone, PartialEq)]
pub struct ModelProxy {
    pub enabled: bool,
    pub bind: Vec<Bind>,
    pub port: u16,
    /// The provider's base address.
    pub url: String,
    /// Where the provider's key is found: `api_key_file`, `api_key_env`, or OFFHOOK_PROXY_API_KEY.
    pub api_key: SecretSource,
    /// Where the token is found that the agent gateway must show: `token_file`, `token_env`, or OFFHOOK_PROXY_TOKEN. Without
    /// one the program makes its own and keeps it in its home folder.
    pub token: SecretSource,
    pub body_mib_max: u32,
    pub requests_max: usize,
}

impl Default for ModelProxy {
    fn default() -> ModelProxy {
        let source = |variable: &str| SecretSource {
            default_variable: variable.to_owned(),
            ..SecretSource::default()
        };
        ModelProxy {
            enabled: false,
            bind: vec![Bind::Loopback],
            port: 8065,
            url: String::new(),
            api_key: source("OFFHOOK_PROXY_API_KEY"),
            token: source("OFFHOOK_PROXY_TOKEN"),
            body_mib_max: 16,
            requests_max: 32,
        }
    }
}

pub(super) fn proxy(section: &mut Section<'_, '_>, d: ModelProxy) -> ModelProxy {
    let expected = "an address that starts with http:// or https://";
    let address =
        |text: &str| super::keys::web_address(text).or_else(|| text.is_empty().then(String::new));
    let proxy = ModelProxy {
        enabled: section.flag("enabled", d.enabled),
        bind: super::keys::bind(section, &d.bind),
        port: section.integer("port", d.port, 1..=65_535),
        url: section.parsed("url", d.url, expected, address, String::clone),
        api_key: section.secret("api_key", "api_key_file", "api_key_env"),
        token: section.secret("token", "token_file", "token_env"),
        body_mib_max: section.integer("body_mib_max", d.body_mib_max, 1..=256),
        requests_max: section.integer("requests_max", d.requests_max, 1..=1_000),
    };
    let is_said = !proxy.enabled || !proxy.url.is_empty();
    section.require("url", is_said, "missing: where is the model provider?");
    proxy
}
