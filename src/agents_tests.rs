//! Agents as the config makes them.

use agent_bridge::gateways::{AskRequest, Asker, GatewayError, GatewayEvent};
use agent_bridge::turn::ReplyId;

use super::*;
use crate::records::Recorder;
use crate::store::Store;
use crate::testing::Scratch;

/// A home with this config.
pub(super) struct Installed {
    pub config: Config,
    pub home: Home,
    pub secrets: SecretStore,
    pub books: Arc<dyn Books>,
    _scratch: Scratch,
}

impl Installed {
    pub fn new(text: &str) -> Installed {
        let scratch = Scratch::new("agents");
        let (config, _) = Config::parse(text, &[]).expect("a config");
        let home = Home::at(scratch.path());
        let (secrets, _) =
            SecretStore::open_or_create(&home.secrets_path(), "offhook").expect("a store");
        crate::testing::install_tls();
        let store = Store::open(&scratch.path().join("a.db")).expect("a store");
        let (recorder, _) = Recorder::start(store, false).expect("a thread");
        let books = crate::spend::books(&config, &[], recorder);
        Installed {
            config,
            home,
            secrets,
            books,
            _scratch: scratch,
        }
    }
}

fn shared(books: &Arc<dyn Books>) -> Shared<'_> {
    Shared {
        books,
        tools: None,
        proxy: None,
    }
}

fn models(text: &str) -> Result<Vec<String>, String> {
    let installed = Installed::new(text);
    let Installed {
        config,
        home,
        secrets,
        books,
        ..
    } = &installed;
    let chain = chain(config, secrets, home, None).map_err(|error| format!("{error:#}"))?;
    let agents =
        build_all(config, secrets, home, &[], shared(books)).map_err(|e| format!("{e:#}"))?;
    assert_eq!(agents.first.gateway.describe(), chain[0].describe());
    Ok(chain.iter().map(|one| one.describe().model).collect())
}

#[test]
fn the_chain_is_the_order_of_the_file() {
    let agent = "[agent]\nkind = 'openai'\nurl = 'http://127.0.0.1:1'\nmodel = 'a'\n";
    let second = "[[agent.fallback]]\nurl = 'http://127.0.0.1:2'\nmodel = 'b'\n";
    let demo = "[[agent.fallback]]\nkind = 'demo'\n";
    let wrong = "[[agent.fallback]]\nurl = 'http://me:word@127.0.0.1:2'\nmodel = 'b'\n";
    assert_eq!(models(""), Ok(vec![String::new()]));
    assert_eq!(
        models(&format!("{agent}{second}{demo}")),
        Ok(["a", "b", ""].map(str::to_owned).to_vec())
    );
    let error = models(&format!("{agent}{demo}{wrong}")).expect_err("credentials");
    assert!(
        error.starts_with("[[agent.fallback]], table 2: "),
        "{error}"
    );
    assert!(!error.contains("word@"), "{error}");
}

#[test]
fn money_is_counted_only_where_every_price_is_known() {
    let agent = "[agent]\nkind = 'openai'\nurl = 'https://api.example.com'\nmodel = 'a'\n";
    let limit = "[limits]\nmoney_per_day = 1\n";
    let price = "[[limits.prices]]\nmodel = 'a'\nprompt = 1\ncompletion = 2\n";
    let off = "[cloud]\nallow = false\n";
    assert!(models(&format!("{agent}{limit}{price}")).is_ok());
    assert!(models(&format!("{agent}{off}{limit}")).is_ok());
    let error = models(&format!("{agent}{limit}")).expect_err("no price");
    assert!(error.contains("no price of the model \"a\""), "{error}");
}

/// Every gateway there can be, all of them taken for the cloud, and all at a listener that must not be connected to.
#[tokio::test]
async fn with_the_cloud_off_no_gateway_of_the_config_connects() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("loopback");
    listener.set_nonblocking(true).expect("a socket");
    let port = listener.local_addr().expect("bound").port();
    let text = format!(
        "[cloud]
         allow = false
         when = ['chain', 'failure', 'need']
         guesses = true
         cloud_hosts = ['127.0.0.1:{port}']
         [agent]
         kind = 'openai'
         url = 'http://127.0.0.1:{port}/v1'
         model = 'a'
         only_answers = 'yes'
         [[agent.fallback]]
         kind = 'openclaw'
         url = 'ws://127.0.0.1:{port}'
         model = 'main'
         [[agent.fallback]]
         url = 'http://127.0.0.1:{port}'
         model = 'b'
         [[agents]]
         name = 'finance'
         numbers = ['110']
         model = 'c'
         [[agents]]
         name = 'other'
         numbers = ['111']
         kind = 'openclaw'
         url = 'ws://127.0.0.1:{port}'
         model = 'main'"
    );
    let Installed {
        config,
        home,
        secrets,
        books,
        ..
    } = &Installed::new(&text);
    let agents = build_all(config, secrets, home, &[], shared(books)).expect("agents");
    let mut gateways = agents.gateways();
    gateways.extend(chain(config, secrets, home, None).expect("a chain"));
    for gateway in gateways {
        let asker = Asker {
            level: Some(Level::Owner),
            ..Asker::default()
        };
        let gateway = gateway.facing(&asker).unwrap_or(gateway);
        gateway.warm();
        assert!(gateway.check().await.is_err());
        for speculative in [true, false] {
            let (sender, mut events) = tokio::sync::mpsc::channel(4);
            let _asked = gateway.ask(
                AskRequest {
                    reply: ReplyId(1),
                    session: "s".to_owned(),
                    system: String::new(),
                    messages: Vec::new(),
                    speculative,
                    tools: Vec::new(),
                    rounds: Vec::new(),
                },
                sender,
            );
            let event = events.recv().await;
            assert!(
                matches!(event, Some(GatewayEvent::Failed(GatewayError::Held(_)))),
                "{event:?}"
            );
        }
    }
    let accepted = listener.accept().map(|_| ()).map_err(|error| error.kind());
    assert_eq!(accepted, Err(std::io::ErrorKind::WouldBlock));
}
