//! Certificates: made once, kept for the owner, followed when renewed, kept when the new one is wrong.

use std::os::unix::fs::PermissionsExt as _;

use super::*;
use crate::testing::Scratch;

fn files(scratch: &Scratch) -> CertificateFiles {
    CertificateFiles::of(&Streams::default(), &Home::at(scratch.path()))
}

fn names() -> Vec<String> {
    ["localhost", "127.0.0.1", "::1"]
        .map(str::to_owned)
        .to_vec()
}

#[test]
fn made_once_and_for_the_owner_only() {
    let scratch = Scratch::new("certificate");
    let first = Certificate::open(files(&scratch), &names()).expect("made");
    assert_eq!(first.fingerprint().len(), 32 * 3 - 1);
    for path in [&first.files.certificate, &first.files.key] {
        let mode = fs::metadata(path).expect("written").permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
    }
    let again = Certificate::open(files(&scratch), &[]).expect("read");
    assert_eq!(again.fingerprint(), first.fingerprint());
    assert!(first.server_config().is_ok());
}

#[test]
fn half_a_pair_is_an_error_and_not_replaced() {
    let scratch = Scratch::new("certificate-half");
    let made = Certificate::open(files(&scratch), &names()).expect("made");
    fs::remove_file(&made.files.key).expect("removed");
    let refused = Certificate::open(files(&scratch), &names());
    assert!(matches!(refused, Err(CertificateError::Unreadable { .. })));
}

#[test]
fn a_new_certificate_is_used_and_a_wrong_one_is_not() {
    let (old, new) = (
        Scratch::new("certificate-old"),
        Scratch::new("certificate-new"),
    );
    let in_use = Certificate::open(files(&old), &names()).expect("made");
    let shared = in_use.clone();
    let other = Certificate::open(files(&new), &names()).expect("made");
    let before = in_use.fingerprint();

    fs::copy(&other.files.certificate, &in_use.files.certificate).expect("copied");
    let mismatch = in_use
        .reload()
        .expect_err("key and certificate do not belong together");
    assert!(mismatch.to_string().contains("tls-key.pem"), "{mismatch}");
    assert_eq!(in_use.fingerprint(), before);

    fs::copy(&other.files.key, &in_use.files.key).expect("copied");
    assert!(in_use.reload().expect("a good pair"));
    assert_eq!(shared.fingerprint(), other.fingerprint());
    assert!(!in_use.reload().expect("the same"));

    for broken in [
        "",
        "nothing of the kind",
        "-----BEGIN CERTIFICATE-----\nAAAA\n",
    ] {
        fs::write(&in_use.files.certificate, broken).expect("written");
        assert!(in_use.reload().is_err(), "{broken:?}");
        assert_eq!(in_use.fingerprint(), other.fingerprint());
    }
}

#[tokio::test]
async fn it_is_made_for_every_name_of_this_machine() {
    let names = own_names(&["192.0.2.1".parse().unwrap(), "0.0.0.0".parse().unwrap()]).await;
    assert!(names.contains(&"localhost".to_owned()) && names.contains(&"192.0.2.1".to_owned()));
    assert!(!names.contains(&"0.0.0.0".to_owned()), "{names:?}");
}
