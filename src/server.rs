//! Start and stop order of the program: what is opened when, what is printed, and how it ends.
//! Owns supervision and the start banner; every part it starts owns itself.

pub(crate) mod chat;
mod logins;
pub(crate) mod matrix;
mod settings;

use std::net::IpAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use agent_bridge::phone_text::{PromptFacts, system_prompt};
use agent_bridge::proxy::CloudBooks;
use anyhow::Context as _;
use sip::offer_answer::SecurityPolicy;
use sip::{Advertised, Endpoint, EndpointConfig};
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::{mpsc, watch};
use tracing::{error, info, warn};

use crate::agents::Agents;
use crate::api::Api;
use crate::approvals::{self, Approvals, OfficePlan, Ruling};
use crate::bridge::BridgeConfig;
use crate::call::{Authority, CallSettings};
use crate::callbacks::desk::DeskParts;
use crate::callbacks::{self, Desk};
use crate::config::{Advertise, Answerer, Bind, Config, EndStrategy, SecretSource};
use crate::engines::{self, EnginePlan, EngineState};
use crate::home::Home;
use crate::hub::{self, Hub, HubParts};
use crate::mcp::Door;
use crate::ports::Ports;
use crate::records::Recorder;
use crate::relay::{RelayConfig, RelayPool};
use crate::routing::DialPlan;
use crate::secrets::SecretStore;
use crate::signalling::certificate::{self, Certificate, CertificateFiles};
use crate::signalling::dial::TlsPeers;
use crate::signalling::page_phone::PageDoor;
use crate::signalling::{self, Listeners, advertise};
use crate::store::{Store, TraceStore};
use crate::switchboard::messages::files::Files;
use crate::switchboard::messages::office::{Office, OnTaken};
use crate::switchboard::{
    BridgingConfig, Command, MediaSecurity, Switchboard, SwitchboardConfig, Trunks, today,
};
use crate::web::{Page, PageParts, make_link, owner_among, sessions};
use logins::{logins, trunk_accounts, trunk_passwords};
pub(crate) use settings::turn_config;
use settings::{bridging_config, endpoint_config, switchboard_config};

use crate::sound_work::{SoundLimits, SoundWork};
use crate::tools::{self, OwnersSide};
use crate::{
    agents, audio_api, banner, console, models, proxy, records, remote, spend, tailnet, wyoming,
};

/// Commands to the signalling task; senders wait when it is full.
const COMMANDS_MAX: usize = 256;
/// How often the secret store is looked at for `offhook user add`.
const SECRETS_POLL: Duration = Duration::from_secs(1);
/// After the calls are over: BYE transactions and the last records.
const LAST_WORDS: Duration = Duration::from_millis(600);

/// Resolves `bind` to the addresses of this machine, in order and without doubles.
pub async fn addresses(bind: &[Bind]) -> Vec<IpAddr> {
    let mut found: Vec<IpAddr> = Vec::new();
    for wish in bind {
        let add: Vec<IpAddr> = match wish {
            Bind::Loopback => loopback(),
            Bind::Tailnet => tailnet::addresses().await,
            Bind::Address(address) => vec![*address],
        };
        for address in add {
            if !found.contains(&address) {
                found.push(address);
            }
        }
    }
    found
}

/// 127.0.0.1, and ::1 unless this machine has no IPv6.
fn loopback() -> Vec<IpAddr> {
    let six = IpAddr::from([0u16, 0, 0, 0, 0, 0, 0, 1]);
    let has_six = std::net::UdpSocket::bind((six, 0)).is_ok();
    let mut found = vec![IpAddr::from([127, 0, 0, 1])];
    found.extend(has_six.then_some(six));
    found
}

/// The certificate for TLS; `None` where neither TLS nor WebSocket is wanted.
async fn certificate(
    home: &Home,
    config: &Config,
    addresses: &[IpAddr],
) -> anyhow::Result<Option<Certificate>> {
    let streams = &config.sip.streams;
    if !streams.tls && !streams.ws {
        return Ok(None);
    }
    let names = certificate::own_names(addresses).await;
    let opened = Certificate::open(CertificateFiles::of(streams, home), &names);
    Ok(Some(opened.context("certificate for TLS")?))
}

/// Runs until SIGINT or SIGTERM, then says goodbye in every call and stops.
pub async fn run(home: Home, config: Config) -> anyhow::Result<()> {
    let (secrets, first_phone) =
        SecretStore::open_or_create(&home.secrets_path(), &config.sip.realm)?;
    for user in secrets.users_of_other_realms(&config.sip.realm) {
        warn!(%user, "cannot log in: the password belongs to another realm. Run `offhook user passwd {user}`");
    }
    let store_path = config
        .store
        .path
        .clone()
        .unwrap_or_else(|| home.database_path());
    let mut store = Store::open(&store_path)?;
    store.close_unfinished(records::unix_ms())?;
    if config.store.traces && config.store.transcripts {
        store.keep_traces(TraceStore::open(
            TraceStore::folder_in(home.root()),
            config.store.traces_max,
        )?);
    }
    let bindings = store
        .load_bindings()
        .context("registrations of the last run")?;
    // Those that ended lately make the next one longer.
    let remembered_ms = u64::from(config.bans.longest_s) * 1000;
    let bans = store
        .load_bans(records::unix_ms().saturating_sub(remembered_ms))
        .context("bans")?;
    let cut_off = store.load_dialogs().context("calls of the last run")?;
    let counted = store
        .load_counters(i64::from(today()))
        .context("today's counters")?;
    // Who asked in an earlier run waits only where its gateway says so: then it is asked again.
    let earlier_approvals = store.approvals().context("approvals")?;
    store.forget_approvals().context("approvals")?;
    let is_frozen = store.freeze().context("stop of approvals")?.is_some();
    let wrong_pins = approvals::wrong_pins(&counted);
    let asked = callbacks::desk::load(&store).context("requests to call somebody")?;
    let texts = hub::load(&store).context("messages of the last run")?;
    let spent = spend::kept(&mut store, &config)?;
    let accounts = secrets.names_by_age();
    let owner = owner_among(&config, &accounts).filter(|_| config.web.enabled);
    let sign_in = owner
        .map(|owner| make_link(&mut store, &owner))
        .transpose()?;
    let (recorder, recording) = Recorder::start(store, config.store.transcripts)?;

    // Ports before models: a port that is taken is said at once, not after a download.
    let sip_addresses = addresses(&config.sip.bind).await;
    let certificate = certificate(&home, &config, &sip_addresses).await?;
    let (page_phones, arrivals) = PageDoor::new(config.sip.realm.clone(), config.web.port);
    let listeners = Listeners::bind(&sip_addresses, &config.sip, certificate)
        .await?
        .with_page_phones(arrivals);
    let fingerprint = listeners.fingerprint();
    let web = console::Listeners::bind(&config.web).await?;
    let served = proxy::open(&config, &secrets, &home).await?;
    let wyoming_listeners = wyoming::Listeners::bind(&config.wyoming).await?;

    let model = models::choose_for_run(&home, &config).await;
    let (tell_accounts, accounts_now) = watch::channel(accounts.clone());
    let by_age = accounts.clone();
    let books = spend::books(&config, &spent, recorder.clone());
    let proxy = served.as_ref().map(|served| &served.proxy);
    if let Some(proxy) = proxy.filter(|_| config.proxies_cloud()) {
        proxy.keep_books(CloudBooks {
            books: books.clone(),
            agent: agents::FIRST.to_owned(),
        });
    }
    let toolbox = tools::build(&config, &secrets, &home)?;
    let shared = agents::Shared {
        books: &books,
        tools: toolbox.as_ref(),
        proxy,
    };
    let agents = agents::build_all(&config, &secrets, &home, &accounts, shared)?;
    let agent = agents.at("").gateway.clone();
    let agents_shown = agents.clone();
    let plan = EnginePlan {
        elsewhere: remote::elsewhere(&config, Some(&secrets), &home)?,
        ..engine_plan(&config, model.path.clone())
    };
    let engines = engines::start(plan);
    let work = SoundWork::new(engines.clone(), audio_api::limits(&config.audio));
    let audio_token = audio_api::token(&config, &secrets, &home).context("the token of [audio]")?;
    let audio = audio_api::routes(work.clone(), &config.audio, audio_token);

    let now = Instant::now();
    let unix_ms = records::unix_ms();
    let mut endpoint = Endpoint::new(
        endpoint_config(&config, &sip_addresses),
        rand::random(),
        now,
        unix_ms,
    );
    let users = logins(&secrets, &config);
    let accounts = signalling::callable(&users);
    let text_accounts = accounts.clone();
    endpoint.set_users(users);
    let restored = bindings.len();
    endpoint.restore_bindings(now, bindings.into_iter().map(records::from_row).collect());
    endpoint.restore_bans(bans);
    if !cut_off.is_empty() {
        warn!(
            calls = cut_off.len(),
            "telling the other ends of calls that a crash cut off"
        );
    }
    endpoint.end_lost_dialogs(now, cut_off);

    let plan = OfficePlan {
        ruling: Ruling::of(&config, &by_age),
        pins: secrets.pins(),
        wrong_pins,
        is_frozen,
        earlier: earlier_approvals,
        gateways: agents.gateways(),
    };
    let (approvals, office) = Approvals::start(plan, recorder.clone());
    let (commands, command_queue) = mpsc::channel(COMMANDS_MAX);
    let tls_peers = TlsPeers::default();
    let trunks = Trunks::new(
        trunk_passwords(&config, &secrets, &home)?,
        trunk_accounts(&config, &secrets, &home)?,
        config.sip.port,
        config.sip.tls_port(),
        tls_peers.clone(),
    );
    // One range for the assistant's calls and relayed ones.
    let ports = Ports::new(config.media.port_min, config.media.port_max, rand::random());
    let names = accounts.clone();
    let mut switchboard = Switchboard::new(
        switchboard_config(
            &config,
            (agents.clone(), approvals.clone()),
            ports.clone(),
            &sip_addresses,
        ),
        bridging_config(&config, accounts, trunks, counted, ports, &sip_addresses)?,
        engines.clone(),
        recorder.clone(),
        commands.clone(),
    );

    let (calls_tell, desk_inputs) = mpsc::channel(callbacks::desk::INPUTS_MAX);
    switchboard.set_desk(calls_tell);
    let (phone_texts, text_inputs) = Office::start(
        Arc::new(Files::open(home.root()).context("texts that wait for phones")?),
        commands.clone(),
        text_accounts,
        on_text_taken(recorder.clone()),
    );
    switchboard.set_texts(text_inputs);
    let desk = Desk::start(DeskParts {
        config: config.clone(),
        recorder: recorder.clone(),
        commands: commands.clone(),
        inputs: desk_inputs,
        records: asked,
    });

    let (hub, hub_task) = Hub::start(HubParts {
        config: config.clone(),
        accounts: names,
        recorder: recorder.clone(),
        agents,
        approvals: approvals.clone(),
        desk: Some(desk.clone()),
        sounds: Arc::new(SoundWork::new(
            engines.clone(),
            SoundLimits {
                duration_s_max: config.text.voice_s_max,
                ..audio_api::limits(&config.audio)
            },
        )),
        folder: home.voice_path(),
        saved: texts,
    });
    chat::attach(&hub, &config, &secrets, &home)?;
    matrix::attach(&hub, &config, &secrets, &home)?;
    let standings = tokio::spawn(chat::tell_standings(hub.clone()));
    hub.attach(Arc::new(phone_texts));

    if let Some(toolbox) = toolbox {
        toolbox.serve(Arc::new(OwnersSide {
            approvals: approvals.clone(),
            recorder: recorder.clone(),
            desk: desk.clone(),
        }));
    }

    let own_token = SecretSource {
        default_variable: "OFFHOOK_MCP_TOKEN".to_owned(),
        ..SecretSource::default()
    };
    let door = Door {
        rule: config.callbacks.mcp,
        api_token: secrets.api_token().clone(),
        own_token: secrets.resolve(&own_token, "mcp", home.root())?,
    };

    let sip_listening = listeners.addresses();
    let program = std::env::args()
        .next()
        .unwrap_or_else(|| "offhook".to_owned());
    print!(
        "{}",
        banner::text(&banner::Facts {
            program: &program,
            home: home.root(),
            config: &config,
            sip: &sip_listening,
            fingerprint: fingerprint.as_deref(),
            web: &web.addresses(),
            sign_in: &sign_in.map_or_else(Vec::new, |token| {
                sessions::links(&config.web.url, &web.addresses(), &token)
            }),
            first_phone: first_phone.as_ref(),
            users: &secrets
                .users()
                .into_iter()
                .map(|user| user.name)
                .collect::<Vec<_>>(),
            model: &model,
            agent: &agent.describe(),
            restored,
        })
    );

    let page = Page::new(PageParts {
        config: Arc::new(config.clone()),
        home: home.clone(),
        api_token: secrets.api_token().clone(),
        accounts: accounts_now,
        sip: sip_listening,
        web: web.addresses(),
        commands: commands.clone(),
        recorder: recorder.clone(),
        engines: engines.clone(),
        agents: agents_shown,
        approvals: approvals.clone(),
        hub: hub.clone(),
        phones: page_phones.clone(),
    });
    let signalling = tokio::spawn(signalling::run(
        endpoint,
        listeners,
        tls_peers,
        recorder.clone(),
        switchboard,
        command_queue,
    ));
    let console = tokio::spawn(console::serve(
        web,
        console::State::new(
            commands.clone(),
            secrets.api_token().clone(),
            engines.clone(),
            agent.clone(),
            approvals.clone(),
            served.as_ref().map(|served| served.proxy.clone()),
            page_phones,
        ),
        Api {
            desk,
            recorder: recorder.clone(),
        },
        door,
        page,
        audio,
    ));
    let connections_max = config.wyoming.connections_max;
    let wyoming_server = tokio::spawn(wyoming::serve(wyoming_listeners, work, connections_max));
    let model_proxy = served.map(|served| tokio::spawn(served.serve()));
    let watcher = tokio::spawn(watch_secrets(
        secrets,
        config.clone(),
        commands.clone(),
        approvals,
        hub,
        tell_accounts,
    ));
    let ban_watcher = tokio::spawn(watch_bans(recorder.clone(), commands.clone()));
    agent.warm();

    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut terminate = signal(SignalKind::terminate())?;
    tokio::select! {
        _ = interrupt.recv() => {}
        _ = terminate.recv() => {}
        // Phones that ring for ever help nobody: a program without ears or voice says why and ends.
        why = engines_failed(engines) => {
            recorder.stop();
            anyhow::bail!("{why}");
        }
    }
    info!("stopping: saying goodbye (press Ctrl-C again to stop at once)");
    tokio::select! {
        () = drain(&commands, Duration::from_secs(u64::from(config.calls.drain_s))) => {}
        _ = interrupt.recv() => warn!("stopped at once"),
    }
    watcher.abort();
    ban_watcher.abort();
    office.abort();
    hub_task.abort();
    standings.abort();
    console.abort();
    wyoming_server.abort();
    if let Some(proxy) = model_proxy {
        proxy.abort();
    }
    signalling.abort();
    let _ = signalling.await;
    recorder.stop();
    let _ = tokio::task::spawn_blocking(move || recording.join()).await;
    info!("stopped");
    Ok(())
}

/// A phone has taken a text. A message that could not be said is read then; one that is not marked is shown once more.
fn on_text_taken(recorder: Recorder) -> OnTaken {
    Box::new(move |delivery| {
        let taken = delivery.to_owned();
        recorder.queue("receipt", move |store| {
            store.note_receipt(&taken, None, false).map(|_| ())
        });
        let Some(notice) = hub::notice_of(delivery) else {
            return;
        };
        drop(recorder.begin(move |store| store.read_notices(&[notice], records::unix_ms())));
    })
}

/// Why the engines did not start; never returns when they did.
async fn engines_failed(mut engines: watch::Receiver<EngineState>) -> String {
    let failed = engines
        .wait_for(|state| matches!(state, EngineState::Failed(_)))
        .await;
    if let Ok(state) = failed
        && let EngineState::Failed(why) = &*state
    {
        return why.clone();
    }
    std::future::pending().await
}

/// Waits until every call is over, `longest` at most, then a moment for the last BYEs.
async fn drain(commands: &mpsc::Sender<Command>, longest: Duration) {
    let until = Instant::now() + longest;
    if commands.send(Command::Drain).await.is_err() {
        return;
    }
    loop {
        let Some(snapshot) = console::snapshot(commands).await else {
            return;
        };
        if snapshot.calls.is_empty() {
            break;
        }
        if Instant::now() >= until {
            warn!(
                calls = snapshot.calls.len(),
                "calls cut off: they took too long to say goodbye"
            );
            let _ = commands.send(Command::HangupAll).await;
            break;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    tokio::time::sleep(LAST_WORDS).await;
}

async fn watch_secrets(
    mut secrets: SecretStore,
    config: Config,
    commands: mpsc::Sender<Command>,
    approvals: Approvals,
    hub: Hub,
    accounts: watch::Sender<Vec<String>>,
) {
    loop {
        tokio::time::sleep(SECRETS_POLL).await;
        match secrets.reload() {
            Ok(false) => {}
            Ok(true) => {
                info!("users changed");
                approvals.set_pins(secrets.pins()).await;
                accounts.send_replace(secrets.names_by_age());
                let users = logins(&secrets, &config);
                hub.set_accounts(signalling::callable(&users)).await;
                if commands.send(Command::Users(users)).await.is_err() {
                    return;
                }
            }
            Err(error) => {
                error!(%error, "secret store not read again: the users stay as they were")
            }
        }
    }
}

/// Tells signalling what `offhook bans` has changed.
async fn watch_bans(recorder: Recorder, commands: mpsc::Sender<Command>) {
    let mut seen = 0;
    loop {
        match recorder.bans_of_others(seen).await {
            Ok((version, bans)) => {
                seen = version;
                if let Some(bans) = bans
                    && commands.send(Command::Bans(bans)).await.is_err()
                {
                    return;
                }
            }
            Err(error) => warn!(%error, "bans not read again: they stay as they were"),
        }
        tokio::time::sleep(SECRETS_POLL).await;
    }
}

/// The engines that the configuration asks for.
pub fn engine_plan(config: &Config, model: Option<std::path::PathBuf>) -> EnginePlan {
    EnginePlan {
        model,
        language: config.asr.language.clone(),
        prompt: config.asr.prompt.clone(),
        asr_threads: config.asr.threads,
        asr_engines: config.asr.engines,
        asr_queue_max: config.asr.queue_max,
        turn_model: config.turn.end_of_turn_model.clone(),
        voice: config.tts.voice.clone(),
        speaking_rate: config.tts.rate,
        tts_engines: config.tts.engines,
        tts_queue_max: config.tts.queue_max,
        tts_cache_bytes_max: config.tts.cache_mib * 1024 * 1024,
        prompts: prompts(config),
        elsewhere: engines::Elsewhere::default(),
        own: config.agents.iter().filter_map(own_engines).collect(),
    }
}

/// None: this agent hears and speaks as the others do.
fn own_engines(entry: &crate::config::AgentEntry) -> Option<engines::OwnEngines> {
    let own = [&entry.voice, &entry.remote_voice, &entry.language];
    let greeting = entry.greeting.as_deref().unwrap_or_default();
    own.iter()
        .any(|own| own.is_some())
        .then(|| engines::OwnEngines {
            agent: entry.name.clone(),
            voice: entry.voice.clone(),
            remote_voice: entry.remote_voice.clone(),
            language: entry.language.clone(),
            prompts: said([greeting, GOODBYE]),
        })
}

/// What is said in almost every call.
fn prompts(config: &Config) -> Vec<String> {
    said([config.agent.greeting.as_str(), READBACK_GREETING, GOODBYE])
}

fn said<const N: usize>(texts: [&str; N]) -> Vec<String> {
    let said = texts.into_iter().filter(|text| !text.is_empty());
    said.map(str::to_owned).collect()
}

/// How much longer than a caller of the assistant a phone may be silent that talks with another.
const MUTE_PATIENCE: u64 = 5;

pub const READBACK_GREETING: &str = "Say something, and I will repeat what I heard.";
pub const GOODBYE: &str = "I have to stop now. Goodbye.";

/// What our addresses are called outside.
fn advertised(rows: &[Advertise], addresses: &[IpAddr]) -> Vec<Advertised> {
    let interfaces = tailnet::interfaces().unwrap_or_default();
    advertise::table(rows, addresses, &interfaces)
}

/// The same in SDP: sound goes where signalling goes, unless it is told otherwise.
fn advertised_for_sound(config: &Config, addresses: &[IpAddr]) -> Vec<Advertised> {
    let rows = match config.media.advertise.is_empty() {
        true => &config.sip.advertise,
        false => &config.media.advertise,
    };
    advertised(rows, addresses)
}
