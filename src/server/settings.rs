//! From the configuration to what each part starts with.

use super::*;

pub(super) fn endpoint_config(config: &Config, addresses: &[IpAddr]) -> EndpointConfig {
    let mut endpoint = EndpointConfig {
        realm: config.sip.realm.clone(),
        product: concat!("Offhook/", env!("CARGO_PKG_VERSION")).to_owned(),
        expires_s_min: config.sip.expires_s_min,
        expires_s_default: config.sip.expires_s,
        expires_s_max: config.sip.expires_s_max,
        contacts_per_user_max: config.sip.contacts_per_user_max,
        keepalive_s: config.sip.keepalive_s,
        // A call between phones has a leg for each; who is called counts while it rings.
        calls_max: EndpointConfig::default()
            .calls_max
            .max(4 * (config.calls.max + config.calls.relayed_max)),
        ..EndpointConfig::default()
    };
    endpoint.domains = config.sip.domains.clone();
    endpoint.domains.push(config.sip.realm.clone());
    endpoint.domains.push("localhost".to_owned());
    endpoint
        .domains
        .extend(addresses.iter().map(IpAddr::to_string));
    endpoint.advertised = advertised(&config.sip.advertise, addresses);
    endpoint.flow_timer_s = config.sip.streams.flow_timer_s;
    endpoint.streams.streams_max = config.sip.streams.connections_max;
    endpoint.streams.streams_per_address_max = config.sip.streams.connections_per_address_max;
    endpoint.auth.nonce_ttl_s = config.sip.nonce_ttl_s;
    endpoint.auth.failures_per_address_max = config.sip.failures_per_address_max;
    endpoint.auth.failures_per_user_max = config.sip.failures_per_user_max;
    endpoint.auth.failure_window_s = config.sip.failure_window_s;
    endpoint.auth.lockout_s = config.sip.lockout_s;
    endpoint.guard.ban_s = config.bans.first_s;
    endpoint.guard.ban_s_max = config.bans.longest_s.max(config.bans.first_s);
    let scanners = config.bans.scanners.iter().cloned();
    endpoint.guard.scanners.extend(scanners);
    endpoint
}

pub(super) fn bridging_config(
    config: &Config,
    accounts: Vec<String>,
    trunks: Trunks,
    counted: Vec<(String, u64)>,
    ports: Ports,
    addresses: &[IpAddr],
) -> anyhow::Result<BridgingConfig> {
    let mut plan = DialPlan::new(config);
    plan.set_accounts(accounts);
    let relays =
        RelayPool::start(RelayConfig::default(), ports).context("threads that relay sound")?;
    Ok(BridgingConfig {
        plan,
        trunks,
        relays,
        bridge: BridgeConfig {
            bridges_max: config.calls.relayed_max.max(config.calls.max),
            per_user_max: config.calls.per_user_max,
            duration_max: Duration::from_secs(u64::from(config.calls.duration_s_max)),
            seed: rand::random(),
            security: config.media.security,
            fingerprints: Vec::new(),
            codecs: config.media.codecs.clone(),
        },
        advertise: advertised_for_sound(config, addresses),
        counted,
        // Phones on mute may send nothing; whether they are there is asked by signalling as well.
        silence_max: Duration::from_secs(u64::from(config.calls.no_audio_hangup_s) * MUTE_PATIENCE),
    })
}

/// The certificate for handshakes beside the media is made anew at each start: phones learn its fingerprint with each
/// call. Without one, keys still go through private signalling.
pub(super) fn media_security(policy: SecurityPolicy) -> MediaSecurity {
    // Made whatever the policy is: a browser speaks no other way.
    let certificate = media::dtls::Certificate::generate().inspect_err(
        |error| warn!(%error, "neither DTLS-SRTP nor calls of browsers are available"),
    );
    MediaSecurity {
        policy,
        certificates: certificate.into_iter().collect(),
    }
}

pub(super) fn switchboard_config(
    config: &Config,
    (agents, approvals): (Agents, Approvals),
    ports: Ports,
    addresses: &[IpAddr],
) -> SwitchboardConfig {
    SwitchboardConfig {
        voicemail: config.voicemail.clone(),
        messages: agents::messages(Duration::from_secs(u64::from(config.voicemail.silence_s))),
        calls_max: config.calls.max,
        calls_per_user_max: config.calls.per_user_max,
        ports,
        advertise: advertised_for_sound(config, addresses),
        codecs: config.media.codecs.clone(),
        security: media_security(config.media.security),
        settings: call_settings(config),
        agents,
        approvals,
        readback: agents::readback(),
        readback_greeting: READBACK_GREETING.to_owned(),
        goodbye: GOODBYE.to_owned(),
        host_name: "offhook".to_owned(),
        owner: config.callbacks.owner.clone(),
    }
}

/// The settings every call starts from.
pub(super) fn call_settings(config: &Config) -> CallSettings {
    CallSettings {
        service: Answerer::Agent,
        greeting: config.agent.greeting.clone(),
        turn: turn_config(config),
        vad: asr::vad::VadConfig::default(),
        system_prompt: system_prompt(&PromptFacts {
            instructions: config.agent.system_prompt.clone(),
            ..PromptFacts::default()
        }),
        history_messages_max: config.agent.history_turns_max,
        history_chars_max: config.agent.history_chars_max,
        session: String::new(),
        seed: [0; 32],
        duration_max: Duration::from_secs(u64::from(config.calls.duration_s_max)),
        no_audio_hangup: Duration::from_secs(u64::from(config.calls.no_audio_hangup_s)),
        partial_interval: Duration::from_millis(u64::from(config.turn.partial_ms)),
        has_turn_model: config.turn.end_of_turn_model.is_some(),
        echo_cancelling: config.turn.echo_cancelling,
        trace: config.store.traces && config.store.transcripts,
        authority: Authority::owner(),
    }
}

/// The turn machine's settings that the configuration asks for.
pub(crate) fn turn_config(config: &Config) -> agent_bridge::turn::TurnConfig {
    use agent_bridge::endpoint::{Strategy, WaitCurve};
    let wish = &config.turn;
    let vad = asr::vad::VadConfig::default();
    agent_bridge::turn::TurnConfig {
        wait: WaitCurve {
            sure_ms: wish.wait_ms_sure,
            unsure_ms: wish.wait_ms_unsure,
            unfinished_ms: wish.wait_ms_unfinished,
            ..WaitCurve::default()
        },
        patience_ms_max: wish.patience_ms_max,
        strategies: wish
            .strategies
            .iter()
            .map(|strategy| match strategy {
                EndStrategy::Text => Strategy::Text,
                EndStrategy::Prosody => Strategy::Prosody,
                EndStrategy::Model => Strategy::Model,
            })
            .collect(),
        speculation: agent_bridge::turn::Speculation {
            enabled: wish.speculation,
            guesses_max: wish.speculation_guesses_max,
            tokens_wasted_max: wish.speculation_tokens_wasted_max,
            ..agent_bridge::turn::Speculation::default()
        },
        pause_ms: vad.pause_ms,
        hangover_ms: vad.stop_ms,
        onset_ms: vad.start_ms,
        barge_in: wish.barge_in,
        barge_in_ms: wish.barge_in_ms,
        filler_after_ms: wish.filler_after_ms,
        progress_after_ms: wish.progress_after_ms,
        reply_timeout_ms: wish.reply_timeout_ms,
        idle_prompt_ms: wish.idle_prompt_s.saturating_mul(1000),
        idle_hangup_ms: wish.idle_hangup_s.saturating_mul(1000),
        ..agent_bridge::turn::TurnConfig::default()
    }
}
