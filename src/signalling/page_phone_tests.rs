//! Tickets, how long a line stays and what is left behind one, where a browser is, what is upgraded.

use futures_util::FutureExt as _;

use super::*;

fn always() -> Still {
    Arc::new(|| std::future::ready(Standing::SignedIn).boxed())
}

#[test]
fn a_ticket_is_good_once_and_not_for_long() {
    let (door, _arrivals) = PageDoor::new("home".to_owned(), 8060);
    let now = Instant::now();
    let pass = door.pass(now, "anna", always());
    assert_eq!((pass.user.as_str(), pass.domain.as_str()), ("anna", "home"));
    let redeem = |now, text: &str| door.redeem(now, text).map(|(user, _)| user);
    assert_eq!(redeem(now, "something"), None);
    assert_eq!(redeem(now, ""), None);
    assert_eq!(redeem(now, &pass.ticket).as_deref(), Some("anna"));
    assert_eq!(redeem(now, &pass.ticket), None, "once");
    let late = door.pass(now, "anna", always());
    assert_eq!(redeem(now + TICKET_LIFE, &late.ticket), None, "late");
    let first = door.pass(now, "anna", always());
    for n in 0..TICKETS_MAX {
        door.pass(now, &format!("otto{n}"), always());
    }
    assert_eq!(redeem(now, &first.ticket), None, "the oldest gave way");
    assert_eq!(door.tickets().len(), TICKETS_MAX);
}

#[test]
fn nobody_takes_all_the_tickets() {
    let (door, _arrivals) = PageDoor::new("home".to_owned(), 8060);
    let now = Instant::now();
    let of_otto = door.pass(now, "otto", always());
    let of_anna: Vec<Pass> = (0..=TICKETS_PER_USER_MAX)
        .map(|_| door.pass(now, "anna", always()))
        .collect();
    let redeem = |pass: &Pass| door.redeem(now, &pass.ticket).is_some();
    let good: Vec<bool> = of_anna.iter().map(redeem).collect();
    assert_eq!(good, [false, true, true, true, true], "the newest are kept");
    assert!(redeem(&of_otto));
}

/// Says what is set, and that it was asked.
fn as_set() -> (Arc<Mutex<Standing>>, Still, mpsc::Receiver<()>) {
    let standing = Arc::new(Mutex::new(Standing::SignedIn));
    let (tell, asked) = mpsc::channel(64);
    let now = standing.clone();
    let still: Still = Arc::new(move || {
        let _ = tell.try_send(());
        std::future::ready(*now.lock().expect("whole")).boxed()
    });
    (standing, still, asked)
}

#[tokio::test]
async fn a_line_stays_while_its_owner_is_signed_in() {
    const SELDOM: Duration = Duration::from_secs(3600);
    let (door, _arrivals) = PageDoor::new("home".to_owned(), 8060);
    let (standing, still, mut asked) = as_set();
    let set = |now| *standing.lock().expect("whole") = now;
    let stay = || Stay {
        still: still.clone(),
        signed_out: door.watch_signed_out(),
    };
    // Signed out at the command line: found by looking again and again.
    let mut line = tokio::spawn(stay().over(Duration::from_millis(1)));
    for _ in 0..3 {
        asked.recv().await;
    }
    assert!(!line.is_finished());
    // A busy store is no sign.
    set(Standing::Unknown);
    while asked.try_recv().is_ok() {}
    for _ in 0..3 {
        tokio::select! {
            _ = asked.recv() => {}
            _ = &mut line => panic!("signed out"),
        }
    }
    set(Standing::SignedOut);
    line.await.expect("no panic");
    // On the page: at once. Another browser's signing out changes nothing.
    while asked.try_recv().is_ok() {}
    set(Standing::SignedIn);
    let line = tokio::spawn(stay().over(SELDOM));
    door.signed_out();
    asked.recv().await;
    assert!(!line.is_finished());
    set(Standing::SignedOut);
    door.signed_out();
    line.await.expect("no panic");
}

/// The sound of a call has a way of its own: without a line, too, it ends when its browser is signed out.
#[tokio::test]
async fn a_line_that_broke_is_remembered() {
    let (door, _arrivals) = PageDoor::new("home".to_owned(), 8060);
    let places = Semaphore::new(1);
    let address = "127.0.0.1:9".parse().expect("an address");
    for (number, is_known) in [(1, true), (2, false)] {
        let (standing, still, mut asked) = as_set();
        let stay = Stay {
            still,
            signed_out: door.watch_signed_out(),
        };
        let (inbox, mut inbound) = mpsc::channel(8);
        let (browser, ours) = tokio::io::duplex(1024);
        let conn = ConnId(number);
        let taken = (!is_known).then(|| places.try_acquire().expect("one"));
        let line = async {
            let mut over = pin!(stay.over(ASK_AGAIN));
            let socket = WebSocketStream::from_raw_socket(ours, Role::Server, None).await;
            let flow = Flow::stream(Transport::Ws, address, address, conn);
            let end = web_socket::serve(socket, flow, None, over.as_mut(), &inbox).await;
            assert_eq!(end, End::Broken);
            watch_broken(conn, over, &inbox, &places).await;
            drop(inbox);
        };
        let script = async {
            assert!(matches!(inbound.recv().await, Some(Inbound::Opened { .. })));
            asked.recv().await;
            drop(browser);
            assert!(matches!(inbound.recv().await, Some(Inbound::Closed { .. })));
            *standing.lock().expect("whole") = Standing::SignedOut;
            door.signed_out();
            let told = match inbound.recv().await {
                Some(Inbound::SignedOut { conn }) => Some(conn),
                None => None,
                _ => panic!("something else"),
            };
            assert_eq!(told, is_known.then_some(conn));
        };
        tokio::join!(line, script);
        drop(taken);
    }
}

#[test]
fn where_a_browser_is() {
    type Row<'a> = (&'a str, &'a [(&'static str, &'static str)], &'a str, bool);
    let forwarded = "x-forwarded-for";
    let rows: [Row<'_>; 9] = [
        ("127.0.0.1:9", &[], "127.0.0.1", false),
        // Some proxies add a line of their own: what stands above it is the browser's.
        (
            "127.0.0.1:9",
            &[(forwarded, "6.6.6.6"), (forwarded, "100.64.0.9")],
            "100.64.0.9",
            false,
        ),
        (
            "127.0.0.1:9",
            &[(forwarded, "100.64.0.9:4711")],
            "100.64.0.9",
            false,
        ),
        (
            "127.0.0.1:9",
            &[(forwarded, "::1, [2001:db8::7]")],
            "2001:db8::7",
            false,
        ),
        (
            "127.0.0.1:9",
            &[(forwarded, "100.64.0.9")],
            "100.64.0.9",
            false,
        ),
        (
            "127.0.0.1:9",
            &[
                (forwarded, "6.6.6.6, 100.64.0.9"),
                ("x-forwarded-proto", "https"),
            ],
            "100.64.0.9",
            true,
        ),
        (
            "127.0.0.1:9",
            &[(forwarded, "nonsense")],
            "127.0.0.1",
            false,
        ),
        // Whoever comes from elsewhere may say what they like.
        (
            "192.0.2.9:9",
            &[(forwarded, "127.0.0.1")],
            "192.0.2.9",
            false,
        ),
        (
            "192.0.2.9:9",
            &[("x-forwarded-proto", "https")],
            "192.0.2.9",
            false,
        ),
    ];
    for (from, given, host, is_encrypted) in rows {
        let mut headers = HeaderMap::new();
        for &(name, value) in given {
            headers.append(name, HeaderValue::from_static(value));
        }
        let place = place_of(from.parse().expect("an address"), 8060, &headers);
        assert_eq!(place.remote.ip().to_string(), host, "{given:?}");
        assert_eq!(place.is_encrypted, is_encrypted, "{given:?}");
    }
}

#[test]
fn only_a_web_socket_for_sip_is_opened() {
    let full = [
        ("upgrade", "WebSocket"),
        ("sec-websocket-version", "13"),
        ("sec-websocket-protocol", "sip"),
        ("sec-websocket-key", "dGhlIHNhbXBsZSBub25jZQ=="),
    ];
    for left_out in 0..=full.len() {
        let mut headers = HeaderMap::new();
        for (at, (name, value)) in full.into_iter().enumerate() {
            if at != left_out {
                headers.insert(name, HeaderValue::from_static(value));
            }
        }
        let key = upgrade_key(&headers);
        assert_eq!(key.is_ok(), left_out == full.len(), "without {left_out}");
        // RFC 6455 section 1.3.
        if let Ok(key) = key {
            assert_eq!(key, "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
        }
    }
}
