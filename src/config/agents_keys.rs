//! PURE. The keys of `[[agents]]`, `[levels]` and `[approvals]`.

use agent_bridge::levels::Level;

use super::agents::{AgentEntry, Approvals, Levels};
use super::keys::{dialled, fallback, language};
use super::reader::{Reader, Section};
use super::sections::{Answerer, Config, FALLBACKS_MAX, Number};

const LEVELS: [(&str, Level); 3] = [
    ("guest", Level::Guest),
    ("family", Level::Family),
    ("owner", Level::Owner),
];
const NUMBER: &str = "digits or a name, of letters, digits and -_.+*#";
const NAME: &str = "a word of small letters, digits and -_";
/// Agents beside the first.
const AGENTS_MAX: usize = 64;

pub(super) fn agent(section: &mut Section<'_, '_>) -> AgentEntry {
    let has_gateway = section.has("kind") || section.has("url");
    let gateway = has_gateway.then(|| fallback(section));
    let model = match has_gateway {
        true => None,
        false => section.optional_text("model"),
    };
    let entry = AgentEntry {
        name: section.parsed("name", String::new(), NAME, name, String::clone),
        numbers: section.list("numbers", &[], NUMBER, dialled, String::clone),
        fallback: section.tables("fallback", fallback),
        gateway,
        model,
        system_prompt: text(section, "system_prompt"),
        greeting: text(section, "greeting"),
        voice: section.optional_text("voice"),
        remote_voice: section.optional_text("url_voice"),
        language: section.optional_parsed(
            "language",
            None,
            "\"auto\" or two or three small letters",
            language,
            String::clone,
        ),
        levels: levels(section, "levels", &Levels::default().agent),
        session: section.optional_parsed(
            "session",
            None,
            "a name of letters, digits and -_.:/+@",
            session,
            String::clone,
        ),
    };
    for key in ["name", "numbers"] {
        section.require(key, section.has(key), "missing");
    }
    section.require(
        "fallback",
        entry.gateway.is_some() || entry.fallback.is_empty(),
        "a chain of its own begins with `kind` and `url`",
    );
    section.require(
        "fallback",
        entry.fallback.len() <= FALLBACKS_MAX,
        &format!("at most {FALLBACKS_MAX} tables"),
    );
    entry
}

/// A text that may be empty, which is not the same as none.
fn text(section: &mut Section<'_, '_>, key: &'static str) -> Option<String> {
    let parse = |text: &str| Some(text.to_owned());
    section.optional_parsed(key, None, "a text", parse, String::clone)
}

pub(super) fn levels_section(section: &mut Section<'_, '_>, d: Levels) -> Levels {
    Levels {
        default: section.choice("default", d.default, &LEVELS),
        agent: levels(section, "agent", &d.agent),
        messages_for: section.text("messages_for", &d.messages_for),
        pin_tries_per_call: section.integer("pin_tries_per_call", d.pin_tries_per_call, 1..=10),
        pin_tries_per_day: section.integer("pin_tries_per_day", d.pin_tries_per_day, 1..=100),
    }
}

pub(super) fn approvals(section: &mut Section<'_, '_>, d: Approvals) -> Approvals {
    // Guests never: there is no word for it.
    Approvals {
        level: section.choice("level", d.level, &LEVELS[1..]),
        answer_s: section.integer("answer_s", d.answer_s, 5..=120),
        wait_s_max: section.integer("wait_s_max", d.wait_s_max, 30..=24 * 3600),
    }
}

/// One level of a user; none: the default of `[levels]`.
pub(super) fn level(section: &mut Section<'_, '_>, key: &'static str) -> Option<Level> {
    let parse = |text: &str| text.parse::<Level>().ok();
    section.optional_parsed(
        key,
        None,
        "\"owner\", \"family\" or \"guest\"",
        parse,
        Level::to_string,
    )
}

pub(super) fn levels(
    section: &mut Section<'_, '_>,
    key: &'static str,
    default: &[Level],
) -> Vec<Level> {
    let parse = |text: &str| text.parse::<Level>().ok();
    section.list(
        key,
        default,
        "levels, each \"owner\", \"family\" or \"guest\"",
        parse,
        Level::to_string,
    )
}

/// The agents' numbers become numbers of the assistant, so that all that dials finds them.
pub(super) fn add_numbers(reader: &mut Reader<'_>, config: &mut Config) {
    reader.require(
        "agents",
        "name",
        config.agents.len() <= AGENTS_MAX,
        &format!("at most {AGENTS_MAX} tables"),
    );
    for n in 0..config.agents.len() {
        let agent = &config.agents[n];
        let section = format!("agents[{}]", n + 1);
        let is_new = config.agents[..n]
            .iter()
            .all(|other| other.name != agent.name);
        reader.require(
            &section,
            "name",
            is_new && agent.name != "agent",
            &format!("`{}` is taken", agent.name),
        );
        for number in &agent.numbers {
            let taken = config.numbers.find(number);
            let is_free = taken.is_none();
            reader.require(
                &section,
                "numbers",
                is_free,
                &format!("`{number}` is already dialled for [[numbers]] or another agent"),
            );
            if is_free {
                config.numbers.0.push(Number {
                    number: number.clone(),
                    aliases: Vec::new(),
                    to: Answerer::Agent,
                });
            }
        }
    }
}

fn name(text: &str) -> Option<String> {
    let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || matches!(c, '-' | '_');
    let fits = !text.is_empty() && text.len() <= 32 && text.chars().all(plain);
    fits.then(|| text.to_owned())
}

fn session(text: &str) -> Option<String> {
    let plain =
        |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.' | ':' | '/' | '+' | '@');
    let fits = !text.is_empty() && text.len() <= 128 && text.chars().all(plain);
    fits.then(|| text.to_owned())
}
