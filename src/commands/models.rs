//! `offhook models`: which speech models there are, getting one, checking them.

use anyhow::{Context as _, bail};

use super::{print, table};
use crate::config::Config;
use crate::home::Home;
use crate::models::catalogue::mebibytes;
use crate::models::progress::Progress;
use crate::models::{self, Installed, pull};

pub fn list(home: &Home, config: &Config) -> anyhow::Result<()> {
    let installed = models::installed(home, config);
    let choice = models::choose(home, config);
    let state = |path: &std::path::Path| match installed.iter().find(|file| file.path == path) {
        None => "",
        Some(file) if !file.is_whole => "damaged",
        Some(file) if choice.path.as_ref() == Some(&file.path) => "in use",
        Some(_) => "installed",
    };
    let heading = ["NAME", "SIZE", "LANGUAGES", "LICENCE", ""];
    let mut rows = vec![heading.map(str::to_owned).to_vec()];
    let own = if choice.path.is_none() { "in use" } else { "" };
    let embedded = [models::EMBEDDED, "", "English, for trying out", "CC0", own];
    rows.push(embedded.map(str::to_owned).to_vec());
    let folder = models::folder(home, config);
    let offered = models::offered(config);
    for model in &offered {
        rows.push(vec![
            model.name.clone(),
            model.size(),
            model.languages.to_owned(),
            model.licence.clone(),
            state(&folder.join(&model.file)).to_owned(),
        ]);
    }
    let is_offered = |file: &Installed| {
        offered
            .iter()
            .any(|model| folder.join(&model.file) == file.path)
    };
    for file in installed.iter().filter(|file| !is_offered(file)) {
        let found = state(&file.path).to_owned();
        rows.push(vec![
            file.name.clone(),
            mebibytes(file.bytes),
            String::new(),
            String::new(),
            found,
        ]);
    }
    let mut text = table(&rows);
    text.push_str(&format!("\nFolder: {}\n", folder.display()));
    if let Some(advice) = &choice.advice {
        text.push_str(&format!("{advice}\n"));
    }
    print(&text)
}

/// Fetches one model; without a name the one that a first start fetches.
pub async fn pull(home: &Home, config: &Config, name: Option<&str>) -> anyhow::Result<()> {
    let name = name.unwrap_or(&config.models.preferred);
    let model = models::find(config, name).with_context(|| unknown(config, name))?;
    home.create()?;
    eprintln!(
        "{} · {} · licence {}",
        model.name,
        model.size(),
        model.licence
    );
    let options = pull::PullOptions::new(config);
    let folder = models::folder(home, config);
    let mut progress = Progress::new(&model.name);
    let place = pull::pull(&folder, &model, &options, &mut progress).await;
    drop(progress);
    let place = place.with_context(|| format!("{} was not fetched", model.name))?;
    let mut text = format!("{} is whole and checked: {}\n", model.name, place.display());
    let choice = models::choose(home, config);
    if choice.path.as_ref() == Some(&place) {
        text.push_str("It is used from the next start on.\n");
    } else {
        let wish = format!("[asr] model = \"{}\"", model.name);
        text.push_str(&format!(
            "To use it: {wish} in {}\n",
            home.config_path().display()
        ));
    }
    print(&text)
}

/// Checks files against their checksums; without names all that are installed.
pub async fn verify(home: &Home, config: &Config, names: &[String]) -> anyhow::Result<()> {
    let offered = models::offered(config);
    for name in names {
        models::find(config, name).with_context(|| unknown(config, name))?;
    }
    let wanted: Vec<String> = names
        .iter()
        .filter_map(|name| models::find(config, name))
        .map(|model| model.name)
        .collect();
    let folder = models::folder(home, config);
    let mut text = String::new();
    let (mut checked, mut bad) = (0, 0);
    for file in models::installed(home, config) {
        let model = offered
            .iter()
            .find(|model| folder.join(&model.file) == file.path);
        if !wanted.is_empty() && !model.is_some_and(|model| wanted.contains(&model.name)) {
            continue;
        }
        let Some(model) = model.cloned() else {
            text.push_str(&format!(
                "{}: not a known model, no checksum to compare\n",
                file.name
            ));
            continue;
        };
        checked += 1;
        let path = file.path.clone();
        let name = model.name.clone();
        let is_right = tokio::task::spawn_blocking(move || models::verify(&model, &path)).await??;
        if is_right {
            text.push_str(&format!("{name}: right\n"));
        } else {
            bad += 1;
            text.push_str(&format!(
                "{name}: WRONG; offhook models pull {name} fetches it again\n"
            ));
        }
    }
    for name in &wanted {
        if !models::installed(home, config)
            .iter()
            .any(|file| file.name == *name)
        {
            bad += 1;
            text.push_str(&format!(
                "{name}: not installed; offhook models pull {name}\n"
            ));
        }
    }
    if text.is_empty() {
        text.push_str("No model is installed; the embedded one is part of the program.\n");
    }
    print(&text)?;
    if bad > 0 {
        bail!("{bad} of {} not right", checked.max(wanted.len()));
    }
    Ok(())
}

fn unknown(config: &Config, name: &str) -> String {
    let names: Vec<String> = models::offered(config)
        .into_iter()
        .map(|model| model.name)
        .collect();
    let near = names
        .iter()
        .map(|known| (strsim::jaro_winkler(known, name), known))
        .filter(|(score, _)| *score > 0.8)
        .max_by(|a, b| a.0.total_cmp(&b.0));
    match near {
        Some((_, near)) => format!("there is no model {name:?} (did you mean {near}?)"),
        None => format!("there is no model {name:?}; known: {}", names.join(", ")),
    }
}
