//! `offhook config`: where the file is, whether it is right, and what is in force.

use super::print;
use crate::cli;
use crate::config::{Setting, Source};
use crate::home::Home;
use std::path::Path;

/// Says that the file is right; mistakes are the error of loading it.
pub fn check(home: &Home, path: &Path) -> anyhow::Result<()> {
    let (_, settings) = cli::load_config(path)?;
    let set = settings
        .iter()
        .filter(|setting| setting.source != Source::Default)
        .count();
    let what = if path.exists() {
        format!("{} is right", path.display())
    } else {
        format!(
            "{} is not there yet (`offhook run` writes it)",
            path.display()
        )
    };
    let home_note = if home.is_open_to_others() {
        format!("\nnote: others may look into {}", home.root().display())
    } else {
        String::new()
    };
    print(&format!(
        "{what}: {set} of {} keys set, the rest are defaults{home_note}\n",
        settings.len()
    ))
}

/// Prints every key with its value and where that came from, as TOML.
pub fn show(path: &Path) -> anyhow::Result<()> {
    let (_, settings) = cli::load_config(path)?;
    print(&written(&settings))
}

fn written(settings: &[Setting]) -> String {
    let mut text = String::new();
    let mut section = "";
    for setting in settings {
        if setting.section != section {
            section = &setting.section;
            let heading = match section.split_once('[') {
                Some((list, _)) => format!("[[{list}]]"),
                None => format!("[{section}]"),
            };
            text.push_str(if text.is_empty() { "" } else { "\n" });
            text.push_str(&heading);
            text.push('\n');
        }
        let key = setting.key;
        match (&setting.value, &setting.source) {
            (None, _) => text.push_str(&format!("# {key} is not set\n")),
            (Some(value), Source::Default) => text.push_str(&format!("{key} = {value}\n")),
            (Some(value), source) => text.push_str(&format!("{key} = {value}  # {source}\n")),
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Config, TEMPLATE};

    #[test]
    fn what_is_shown_is_a_config_that_means_the_same() {
        let text = "[sip]\nport = 5070\n[[numbers]]\nnumber = \"7\"\nto = \"echo\"\n";
        for source in [TEMPLATE, text] {
            let (config, settings) = Config::parse(source, &[]).unwrap();
            let shown = written(&settings);
            let (again, _) = Config::parse(&shown, &[]).unwrap_or_else(|problems| {
                panic!("{problems:?}\n{shown}");
            });
            assert_eq!(again, config);
        }
        let (_, settings) = Config::parse(text, &[]).unwrap();
        assert!(written(&settings).contains("port = 5070  # file\n"));
        assert!(written(&settings).contains("# temperature is not set\n"));
    }
}
