//! PURE. `[telegram]` and `[signal]`: networks by which people write. Who they are stands in `[[users]]` (`identities`).

use super::reader::Section;
use super::sections::SecretSource;

/// `[telegram]`: a bot.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TelegramBot {
    pub enabled: bool,
    /// Where the bot's token is found: `token_file`, `token_env`, or OFFHOOK_TELEGRAM_TOKEN.
    pub token: SecretSource,
    /// Where the Bot API is; empty: Telegram's own.
    pub url: String,
    /// Whether strangers are given a code that the owner may let them in with.
    pub pairing: bool,
    /// Groups where the bot answers people it knows, when it is named or answered: their ids.
    pub groups: Vec<i64>,
}

impl Default for TelegramBot {
    fn default() -> TelegramBot {
        TelegramBot {
            enabled: false,
            token: SecretSource {
                default_variable: "OFFHOOK_TELEGRAM_TOKEN".to_owned(),
                ..SecretSource::default()
            },
            url: String::new(),
            pairing: true,
            groups: Vec::new(),
        }
    }
}

/// `[signal]`: an account of signal-cli.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SignalAccount {
    pub enabled: bool,
    /// Where signal-cli's daemon is; empty: on this machine, by HTTP.
    pub url: String,
    /// Our number, where the daemon serves several accounts; of an only one its id will do, or nothing.
    pub account: String,
    /// Whether strangers are given a code that the owner may let them in with.
    pub pairing: bool,
}

impl Default for SignalAccount {
    fn default() -> SignalAccount {
        SignalAccount {
            enabled: false,
            url: String::new(),
            account: String::new(),
            pairing: true,
        }
    }
}

pub(super) fn telegram(section: &mut Section<'_, '_>, d: TelegramBot) -> TelegramBot {
    let expected = "an address that starts with http:// or https://";
    let address =
        |text: &str| super::keys::web_address(text).or_else(|| text.is_empty().then(String::new));
    TelegramBot {
        enabled: section.flag("enabled", d.enabled),
        token: section.secret("token", "token_file", "token_env"),
        url: section.parsed("url", d.url, expected, address, String::clone),
        pairing: section.flag("pairing", d.pairing),
        groups: section.list(
            "groups",
            &d.groups,
            "ids of groups, such as \"-1001234567890\"",
            |text| text.parse().ok().filter(|id: &i64| *id < 0),
            i64::to_string,
        ),
    }
}

pub(super) fn signal(section: &mut Section<'_, '_>, d: SignalAccount) -> SignalAccount {
    let address = |text: &str| {
        let has = |scheme: &str| text.starts_with(scheme) && text.len() > scheme.len();
        let is_known = text.is_empty() || has("http://") || has("https://") || has("tcp://");
        is_known.then(|| text.to_owned())
    };
    let account = |text: &str| {
        let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '+' | '-');
        (text.len() <= 64 && text.chars().all(plain)).then(|| text.to_owned())
    };
    SignalAccount {
        enabled: section.flag("enabled", d.enabled),
        url: section.parsed(
            "url",
            d.url,
            "an address such as \"http://127.0.0.1:8080\" or \"tcp://127.0.0.1:7583\"",
            address,
            String::clone,
        ),
        account: section.parsed(
            "account",
            d.account,
            "a number such as \"+4915112345678\", or the account's id",
            account,
            String::clone,
        ),
        pairing: section.flag("pairing", d.pairing),
    }
}

#[cfg(test)]
mod tests {
    use crate::config::Config;

    fn read(text: &str) -> Result<Config, String> {
        let read = Config::parse(text, &[]);
        read.map(|(config, _)| config)
            .map_err(|problems| format!("{problems:?}"))
    }

    #[test]
    fn bots_and_accounts_are_read() {
        let config = read(
            "[telegram]\nenabled = true\ntoken_file = \"bot.token\"\ngroups = [\"-100123\"]\npairing = false\n\
             [signal]\nenabled = true\nurl = \"tcp://127.0.0.1:7583\"\naccount = \"+4915112345678\"\n",
        )
        .expect("good settings");
        assert_eq!(config.telegram.groups, [-100_123]);
        assert!(config.telegram.enabled && !config.telegram.pairing);
        assert_eq!(
            config.telegram.token.default_variable,
            "OFFHOOK_TELEGRAM_TOKEN"
        );
        assert_eq!(config.signal.url, "tcp://127.0.0.1:7583");
        assert!(config.signal.enabled && config.signal.pairing);
        let config = read("").expect("no settings");
        assert!(!config.telegram.enabled && !config.signal.enabled);
    }

    #[test]
    fn mistakes_are_told() {
        for (text, expected) in [
            (
                "[telegram]\ntoken = \"1:a\"\n",
                "secrets do not belong into this file",
            ),
            ("[telegram]\ngroups = [\"5\"]\n", "ids of groups"),
            ("[telegram]\nurl = \"ftp://x\"\n", "http://"),
            ("[signal]\nurl = \"unix:/x\"\n", "tcp://127.0.0.1:7583"),
            ("[signal]\naccount = \"a b\"\n", "a number such as"),
        ] {
            let error = read(text).expect_err(text);
            assert!(error.contains(expected), "{text}: {error}");
        }
    }
}
