//! The secret store on a real file system.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;

use super::*;
use crate::testing::Scratch;

const REALM: &str = "offhook";

fn fresh(scratch: &Scratch) -> (SecretStore, NewUser) {
    let path = scratch.path().join("secrets.toml");
    let (store, made) = SecretStore::open_or_create(&path, REALM).unwrap();
    (store, made.expect("a first start makes a user"))
}

fn names(store: &SecretStore) -> Vec<String> {
    store.users().into_iter().map(|user| user.name).collect()
}

#[test]
fn first_start_makes_one_phone_and_keeps_only_hashes() {
    let scratch = Scratch::new("secrets");
    let (store, made) = fresh(&scratch);
    assert_eq!(made.name, FIRST_USER);
    assert_eq!(made.password.expose().len(), 24);
    let text = fs::read_to_string(store.path()).unwrap();
    assert!(!text.contains(made.password.expose()));
    let mode = fs::metadata(store.path()).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    let user = &store.users()[0];
    assert_eq!(
        (user.ha1_md5.expose().len(), user.ha1_sha256.expose().len()),
        (32, 64)
    );
    assert!(!user.local_only);

    let (again, none) = SecretStore::open_or_create(store.path(), REALM).unwrap();
    assert_eq!(none, None);
    assert_eq!(again.users(), store.users());
    assert_eq!(again.api_token(), store.api_token());
    assert_eq!(
        fs::read_to_string(store.path()).unwrap(),
        text,
        "never overwritten"
    );
}

#[test]
fn logins_hold_the_test_account_for_this_machine_only() {
    let scratch = Scratch::new("secrets");
    let (mut store, _) = fresh(&scratch);
    store
        .add_user("other", "elsewhere", &Secret::new("long enough 1"))
        .unwrap();
    let logins: Vec<(String, bool)> = store
        .logins(REALM)
        .into_iter()
        .map(|user| (user.name, user.local_only))
        .collect();
    let expected = [
        (FIRST_USER.to_owned(), false),
        (SELFTEST_USER.to_owned(), true),
    ];
    assert_eq!(logins, expected);
    assert_eq!(store.users_of_other_realms(REALM), ["other"]);
    let own = store.selftest();
    let hash = sip::ha1(sip::Algorithm::Md5, &own.name, REALM, own.password.expose());
    assert_eq!(store.logins(REALM)[1].ha1_md5.expose(), hash.expose());
}

#[test]
fn users_come_change_and_go() {
    let scratch = Scratch::new("secrets");
    let (mut store, _) = fresh(&scratch);
    let secret = Secret::new("correct horse");
    store.add_user("kitchen", REALM, &secret).unwrap();
    assert_eq!(names(&store), ["kitchen", "phone1"]);
    let before = store.users()[0].clone();
    store
        .set_password("kitchen", REALM, &Secret::new("battery staple"))
        .unwrap();
    let after = store.users()[0].clone();
    assert_ne!(before.ha1_sha256, after.ha1_sha256);
    assert_eq!(before.created, after.created);
    store.remove_user("phone1").unwrap();
    assert_eq!(
        names(&SecretStore::open(store.path()).unwrap()),
        ["kitchen"]
    );

    let refused = |result: Result<(), SecretsError>, expected: &str| {
        let message = result.unwrap_err().to_string();
        assert!(message.contains(expected), "{message:?} lacks {expected:?}");
    };
    refused(
        store.add_user("kitchen", REALM, &secret),
        "already a user `kitchen`",
    );
    refused(store.add_user("Kitchen", REALM, &secret), "no user name");
    refused(store.add_user("a b", REALM, &secret), "no user name");
    refused(store.add_user("", REALM, &secret), "no user name");
    refused(
        store.add_user(&"a".repeat(33), REALM, &secret),
        "no user name",
    );
    refused(store.add_user("selftest", REALM, &secret), "own account");
    refused(
        store.add_user("den", REALM, &Secret::new("short")),
        "10 to 128",
    );
    refused(
        store.add_user("den", REALM, &Secret::new("a\u{7}bcdefghijk")),
        "10 to 128",
    );
    refused(store.set_password("den", REALM, &secret), "no user `den`");
    refused(store.remove_user("den"), "no user `den`");
    refused(store.remove_user("selftest"), "own account");
    assert_eq!(names(&store), ["kitchen"]);
}

#[test]
fn a_running_server_notices_changes_of_others() {
    let scratch = Scratch::new("secrets");
    let (mut server, _) = fresh(&scratch);
    assert!(!server.changed());
    assert!(!server.reload().unwrap());
    let mut command = SecretStore::open(server.path()).unwrap();
    command
        .add_user("kitchen", REALM, &Secret::new("correct horse"))
        .unwrap();
    assert!(server.changed());
    assert!(server.reload().unwrap());
    assert_eq!(names(&server), ["kitchen", "phone1"]);
    assert!(!server.changed());

    // Half a file: said once, and the users stay.
    let whole = fs::read_to_string(server.path()).unwrap();
    fs::write(server.path(), &whole[..whole.len() / 2]).unwrap();
    assert!(server.reload().is_err());
    assert!(!server.changed());
    assert_eq!(names(&server).len(), 2);
    fs::write(server.path(), whole).unwrap();
    server.reload().unwrap();
    assert_eq!(names(&server).len(), 2);
}

#[test]
fn two_writers_lose_nothing() {
    let scratch = Scratch::new("secrets");
    let (store, _) = fresh(&scratch);
    std::thread::scope(|scope| {
        for writer in 0..4 {
            let path = store.path();
            scope.spawn(move || {
                let mut store = SecretStore::open(path).unwrap();
                for number in 0..5 {
                    let name = format!("phone-{writer}-{number}");
                    store
                        .add_user(&name, REALM, &Secret::new("correct horse"))
                        .unwrap();
                }
            });
        }
    });
    assert_eq!(names(&SecretStore::open(store.path()).unwrap()).len(), 21);
}

#[test]
fn what_is_wrong_with_the_file_is_said_without_its_contents() {
    let scratch = Scratch::new("secrets");
    let (store, _) = fresh(&scratch);
    let check = |text: &str, mode: u32, expected: &str| {
        fs::write(store.path(), text).unwrap();
        fs::set_permissions(store.path(), fs::Permissions::from_mode(mode)).unwrap();
        let message = SecretStore::open(store.path()).unwrap_err().to_string();
        assert!(message.contains(expected), "{message:?} lacks {expected:?}");
        assert!(!message.contains("hush"), "{message:?} tells");
    };
    let whole = fs::read_to_string(store.path()).unwrap();
    check(&whole, 0o640, "(mode 640); run: chmod 600");
    check(&whole, 0o604, "(mode 604)");
    check(
        "api_token = 'hush'\nversion = hush",
        0o600,
        ":2: not a secret store",
    );
    check(
        &whole.replace("version = 1", "version = 'hush'"),
        0o600,
        "not a secret store",
    );
    check(
        &whole.replace("version = 1", "version = 9"),
        0o600,
        "not a secret store",
    );
    check(&whole.replace("realm", "hush"), 0o600, "not a secret store");
    fs::remove_file(store.path()).unwrap();
    let message = SecretStore::open(store.path()).unwrap_err().to_string();
    assert!(message.contains("no secret store"), "{message}");
}

#[test]
fn keys_are_found_where_the_config_says() {
    let scratch = Scratch::new("secrets");
    let (store, _) = fresh(&scratch);
    let mut text = fs::read_to_string(store.path()).unwrap();
    text = text.replace("[keys]\n", "[keys]\nagent = \"from-the-store\"\n");
    fs::write(store.path(), text).unwrap();
    let store = SecretStore::open(store.path()).unwrap();
    fs::write(scratch.path().join("key"), "from-a-file\n").unwrap();
    fs::write(scratch.path().join("empty"), " \n").unwrap();
    let check = |file: Option<&str>, variable: Option<&str>, expected: &str| {
        let source = SecretSource {
            file: file.map(PathBuf::from),
            variable: variable.map(str::to_owned),
            default_variable: "OFFHOOK_TEST_NEVER_SET".to_owned(),
        };
        let found = match store.resolve(&source, "agent", scratch.path()) {
            Ok(found) => found.map_or("nothing".to_owned(), |secret| secret.expose().to_owned()),
            Err(error) => error.to_string(),
        };
        assert!(found.contains(expected), "{found:?} lacks {expected:?}");
    };
    check(None, None, "from-the-store");
    check(Some("key"), None, "from-a-file");
    check(Some("empty"), None, "empty holds an empty secret");
    check(Some("gone"), None, "secret file");
    check(
        None,
        Some("OFFHOOK_TEST_NEVER_SET"),
        "OFFHOOK_TEST_NEVER_SET is named",
    );
    check(None, Some("PATH"), "/");
}
