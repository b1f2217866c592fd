//! Who logs in with us, and what we log in with: accounts of phones and of trunks, and the passwords for trunks. Owns the
//! way from the secret store to the endpoint's words; keeps nothing.

use anyhow::Context as _;

use crate::config::Config;
use crate::home::Home;
use crate::secrets::SecretStore;

pub(super) fn logins(secrets: &SecretStore, config: &Config) -> Vec<sip::User> {
    secrets
        .logins(&config.sip.realm)
        .into_iter()
        .map(|user| sip::User {
            name: user.name,
            ha1_md5: sip::Secret::new(user.ha1_md5.expose()),
            ha1_sha256: sip::Secret::new(user.ha1_sha256.expose()),
            local_only: user.local_only,
        })
        .collect()
}

/// The trunks' passwords, in their order. One that was named and is not there ends the start.
pub(super) fn trunk_passwords(
    config: &Config,
    secrets: &SecretStore,
    home: &Home,
) -> anyhow::Result<Vec<Option<sip::Secret>>> {
    let password = |trunk: &crate::config::Trunk| {
        let found = secrets.resolve(&trunk.password, &trunk.name, home.root());
        let found = found.with_context(|| format!("password of trunk {}", trunk.name))?;
        Ok(found.map(|secret| sip::Secret::new(secret.expose())))
    };
    config.trunks.iter().map(password).collect()
}

/// What trunks log in as with us, in their order.
pub(super) fn trunk_accounts(
    config: &Config,
    secrets: &SecretStore,
    home: &Home,
) -> anyhow::Result<Vec<Option<sip::User>>> {
    let account = |trunk: &crate::config::Trunk| {
        if trunk.account.is_empty() {
            return Ok(None);
        }
        let key = format!("{}.account", trunk.name);
        let found = secrets.resolve(&trunk.account_password, &key, home.root());
        let password = found
            .with_context(|| format!("password of the account of trunk {}", trunk.name))?
            .with_context(|| {
                format!(
                    "trunk {} has an `account` without a password: set account_password_file, or {}",
                    trunk.name, trunk.account_password.default_variable
                )
            })?;
        let ha1 = |algorithm| {
            sip::ha1(
                algorithm,
                &trunk.account,
                &config.sip.realm,
                password.expose(),
            )
        };
        Ok(Some(sip::User {
            name: trunk.account.clone(),
            ha1_md5: ha1(sip::Algorithm::Md5),
            ha1_sha256: ha1(sip::Algorithm::Sha256),
            local_only: false,
        }))
    };
    config.trunks.iter().map(account).collect()
}
