//! The phone system's sections as tables: what a text becomes, and what is said of its mistakes.

use super::tests::{check_wrong, read};
use super::*;

#[test]
fn a_small_office_is_read() {
    let config = read(
        r#"
        [[users]]
        name = "anna"
        display_name = "Anna Sommer"
        extensions = ["200"]
        ring_s = 15
        forward_busy = "201"
        forward_unregistered = "bert"
        [[users]]
        name = "bert"
        extensions = ["201", "bb"]
        voicemail = false
        level = "owner"
        [[groups]]
        number = "300"
        aliases = ["all"]
        members = ["anna", "201"]
        ring = "one_by_one"
        [[trunks]]
        name = "line"
        host = "sip.example.com"
        transport = "tcp"
        user = "4930123"
        password_env = "LINE_PASSWORD"
        register = true
        addresses = ["192.0.2.0/24", "2001:db8::1"]
        prefix = "0"
        add = "+49"
        headers = ["X-Tenant: home"]
        [[trunks.inbound]]
        number = "+4930123*"
        to = "300"
        [[trunks.numbers]]
        number = "500"
        dial = "assistant-7"
        [outbound]
        allowed = ["+49*", "+4179???????"]
        calls_per_user_per_day = 5
        [voicemail]
        silence_s = 4
        "#,
        &[],
    );
    assert_eq!(config.users[0].ring_s, 15);
    assert!(config.users[0].voicemail && !config.users[1].voicemail);
    assert_eq!(config.groups[0].ring, RingOrder::OneByOne);
    let trunk = &config.trunks[0];
    assert_eq!(trunk.addresses[0].bits, 24);
    assert_eq!(trunk.addresses[1].bits, 128);
    assert_eq!(trunk.inbound[0].to, "300");
    assert_eq!(trunk.numbers[0].dial, "assistant-7");
    assert_eq!(trunk.headers, [("X-Tenant".to_owned(), "home".to_owned())]);
    assert_eq!(trunk.user_header, "X-Caller-ID");
    assert_eq!(config.outbound.allowed.len(), 2);
    assert!(!config.outbound.refused.is_empty(), "the defaults stay");
    assert_eq!(config.voicemail.silence_s, 4);
    assert_eq!(config.numbers, Numbers::default());
}

#[test]
fn without_a_word_nothing_may_be_dialled_outside() {
    assert!(Outbound::default().allowed.is_empty());
    assert!(read("", &[]).trunks.is_empty());
}

#[test]
fn codecs_are_those_that_are_named_in_their_order() {
    use sip::offer_answer::AudioCodec::{Opus, Pcma};
    let config = read("[media]\ncodecs = ['PCMA', 'opus']", &[]);
    assert_eq!(config.media.codecs, [Pcma, Opus]);
    let media = read("", &[]).media;
    assert_eq!(media.codecs.len(), 4);
    // Two pairs for each relayed call.
    let ports = usize::from(media.port_max - media.port_min) + 1;
    assert!(ports >= 4 * read("", &[]).calls.relayed_max);
}

#[test]
fn mistakes_are_named_with_advice() {
    let rows = [
        (
            "[[users]]\nname = 'anna'\nextensions = ['100']",
            "`100` is already dialled for [[numbers]]: give one of the two another number",
        ),
        (
            "[[users]]\nname = 'a'\nextensions = ['200']\n[[groups]]\nnumber = '200'\nmembers = ['a']",
            "`200` is already dialled for [[users]]",
        ),
        (
            "[[users]]\nname = 'anna'\n[[users]]\nname = 'Anna'",
            "`Anna` has two tables",
        ),
        ("[[users]]\nring_s = 20", "users[1].name: missing"),
        (
            "[[trunks]]\nname = 't'\nhost = 'h'\naddresses = ['192.0.2.1']",
            "over UDP a sender can lie",
        ),
        (
            "[[trunks]]\nname = 't'\nhost = 'h'\nregister = true",
            "registering needs `user`",
        ),
        (
            "[[trunks]]\nname = 't'\nhost = 'h'\npassword = 'x'",
            "secrets do not belong into this file",
        ),
        (
            "[[trunks]]\nname = 't'\nhost = 'h'\nheaders = ['no colon']",
            "\"Name: value\"",
        ),
        (
            "[[trunks]]\nname = 't'\naccount = 'pbx'\nregister = true\nuser = 'u'",
            "trunks[1].host: missing; only a trunk that registers with us",
        ),
        ("[[trunks]]\nname = 't'", "trunks[1].host: missing"),
        (
            "[[users]]\nname = 'anna'\n[[trunks]]\nname = 't'\naccount = 'Anna'",
            "`anna` is the account of a user or of another trunk",
        ),
        (
            "[[trunks]]\nname = 't'\naccount = 'pbx'\naccount_password = 'x'",
            "secrets do not belong into this file",
        ),
        (
            "[media]\ncodecs = ['opus', 'opus']",
            "name at least one, and each once",
        ),
        ("[media]\ncodecs = []", "name at least one"),
        (
            "[outbound]\nallowed = ['+4*9']",
            "`?` for any one and `*` at the end",
        ),
        ("[[user]]\nname = 'a'", "did you mean [users]?"),
    ];
    for (text, expected) in rows {
        check_wrong(text, &[], &[expected]);
    }
}
