//! PURE. Reads keys out of a parsed TOML file and the environment, one call per key, and collects every
//! mistake with its place instead of stopping at the first.
//!
//! The calls themselves tell the reader which keys exist: whatever stands in the file or the environment
//! and was not asked for is unknown, and the nearest key that was asked for is offered.
//!
//! Not here: which keys there are (`keys`), what they mean (`sections`).

mod section;
mod wording;

use std::fmt;

use toml::de::{DeTable, DeValue};

pub(super) use section::Section;
pub(super) use wording::place;
use wording::{clean, kind, nearest, offer};

/// Problems reported for one file; more are counted, not listed.
const PROBLEMS_MAX: usize = 50;

/// One mistake.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// Line and column in the file, both from 1, the column in characters. None: the environment, or
    /// something that is missing.
    pub place: Option<(usize, usize)>,
    /// The file has nothing to do with it.
    pub is_of_environment: bool,
    pub message: String,
}

/// Where a value came from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Source {
    Default,
    File,
    Environment(String),
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Source::Default => f.write_str("default"),
            Source::File => f.write_str("file"),
            Source::Environment(name) => f.write_str(name),
        }
    }
}

/// One key as it is in force.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Setting {
    /// Empty for the tables of `[[…]]`, whose section carries the index.
    pub section: String,
    pub key: &'static str,
    /// The value in TOML; none: not set and without a default.
    pub value: Option<String>,
    pub source: Source,
}

/// Reads one file and one environment.
pub(super) struct Reader<'a> {
    text: &'a str,
    root: Option<&'a DeTable<'a>>,
    environment: &'a [(String, String)],
    problems: Vec<Problem>,
    settings: Vec<Setting>,
    /// Every key asked for, as section and key.
    known: Vec<(String, &'static str)>,
    /// Section names asked for.
    sections: Vec<&'static str>,
    /// Environment names that belong to a key.
    variables: Vec<String>,
    /// Where keys stand in the file.
    places: Vec<(String, &'static str, (usize, usize))>,
    /// Keys of the file nobody asked for: section, key, place.
    unknown: Vec<(String, String, (usize, usize))>,
}

impl<'a> Reader<'a> {
    /// `root` is the parsed form of `text`.
    pub(super) fn new(
        text: &'a str,
        root: &'a DeTable<'a>,
        environment: &'a [(String, String)],
    ) -> Reader<'a> {
        Reader {
            text,
            root: Some(root),
            environment,
            problems: Vec::new(),
            settings: Vec::new(),
            known: Vec::new(),
            sections: Vec::new(),
            variables: Vec::new(),
            places: Vec::new(),
            unknown: Vec::new(),
        }
    }

    /// Reads the table `[name]`, which may be absent.
    pub(super) fn section<T>(
        &mut self,
        name: &'static str,
        read: impl FnOnce(&mut Section<'_, 'a>) -> T,
    ) -> T {
        self.sections.push(name);
        let table = match self.root.and_then(|root| root.get_key_value(name)) {
            None => None,
            Some((key, value)) => match value.get_ref() {
                DeValue::Table(table) => Some(table),
                other => {
                    let message = format!(
                        "`{name}` is a section, written [{name}] on a line of its own; found {}",
                        kind(other)
                    );
                    let place = place(self.text, key.span().start);
                    self.problem(Some(place), message);
                    None
                }
            },
        };
        let mut section = Section {
            reader: self,
            table,
            name: name.to_owned(),
            family: name.to_owned(),
            scalar_variables: true,
            asked: Vec::new(),
        };
        let value = read(&mut section);
        section.close();
        value
    }

    /// Reads the tables `[[name]]`. None: the file has none.
    pub(super) fn tables<T>(
        &mut self,
        name: &'static str,
        read: impl FnMut(&mut Section<'_, 'a>) -> T,
    ) -> Option<Vec<T>> {
        self.sections.push(name);
        let root = self.root?;
        self.array_of_tables(root, name, name, read)
    }

    fn array_of_tables<T>(
        &mut self,
        parent: &'a DeTable<'a>,
        key: &str,
        family: &str,
        mut read: impl FnMut(&mut Section<'_, 'a>) -> T,
    ) -> Option<Vec<T>> {
        let (found, value) = parent.get_key_value(key)?;
        let expected = format!("`{family}` is a list of tables, each headed [[{family}]]");
        let DeValue::Array(array) = value.get_ref() else {
            let at = place(self.text, found.span().start);
            self.problem(
                Some(at),
                format!("{expected}; found {}", kind(value.get_ref())),
            );
            return None;
        };
        let mut values = Vec::new();
        for (index, element) in array.iter().enumerate() {
            let DeValue::Table(table) = element.get_ref() else {
                let at = place(self.text, element.span().start);
                self.problem(
                    Some(at),
                    format!("{expected}; found {}", kind(element.get_ref())),
                );
                continue;
            };
            let mut section = Section {
                reader: self,
                table: Some(table),
                name: format!("{family}[{}]", index + 1),
                family: family.to_owned(),
                scalar_variables: false,
                asked: Vec::new(),
            };
            values.push(read(&mut section));
            section.close();
        }
        Some(values)
    }

    /// Reports `message` at the place of a key unless `holds`; for rules that join several keys.
    pub(super) fn require(&mut self, section: &str, key: &str, holds: bool, message: &str) {
        if holds {
            return;
        }
        let found = self
            .places
            .iter()
            .find(|(s, k, _)| s == section && *k == key);
        let place = found.map(|(_, _, place)| *place);
        self.problem(place, format!("{section}.{key}: {message}"));
    }

    fn problem(&mut self, place: Option<(usize, usize)>, message: String) {
        self.problems.push(Problem {
            place,
            is_of_environment: false,
            message,
        });
    }

    /// All settings, or all mistakes in the order of the file.
    pub(super) fn finish(mut self) -> Result<Vec<Setting>, Vec<Problem>> {
        self.report_unknown_sections();
        self.report_unknown_keys();
        self.report_unknown_variables();
        if self.problems.is_empty() {
            return Ok(self.settings);
        }
        self.problems
            .sort_by_key(|problem| problem.place.unwrap_or((usize::MAX, 0)));
        let count = self.problems.len();
        if count > PROBLEMS_MAX {
            self.problems.truncate(PROBLEMS_MAX);
            let message = format!("and {} more mistakes", count - PROBLEMS_MAX);
            self.problems.push(Problem {
                place: None,
                is_of_environment: false,
                message,
            });
        }
        Err(self.problems)
    }

    fn report_unknown_sections(&mut self) {
        let Some(root) = self.root else { return };
        let mut found = Vec::new();
        for (key, value) in root.iter() {
            let name: &str = key.get_ref();
            if self.sections.contains(&name) {
                continue;
            }
            let is_section = matches!(value.get_ref(), DeValue::Table(_) | DeValue::Array(_));
            let hint = if is_section {
                offer(nearest(name, self.sections.iter().copied()).map(|near| format!("[{near}]")))
            } else {
                let owners = self.owners(name);
                if owners.is_empty() {
                    " (every key stands in a section)".to_owned()
                } else {
                    format!(" (it belongs into {owners})")
                }
            };
            let what = if is_section { "section" } else { "key" };
            found.push((
                key.span().start,
                format!("unknown {what} `{}`{hint}", clean(name)),
            ));
        }
        for (offset, message) in found {
            let place = place(self.text, offset);
            self.problem(Some(place), message);
        }
    }

    fn report_unknown_keys(&mut self) {
        for (section, key, place) in std::mem::take(&mut self.unknown) {
            let family = section.split('[').next().unwrap_or(&section).to_owned();
            let inside = self
                .known
                .iter()
                .filter(|(s, _)| *s == family)
                .map(|(_, k)| *k);
            let near = nearest(&key, inside).map(str::to_owned);
            let hint = match near {
                Some(near) => format!(" (did you mean `{near}`?)"),
                None => match self.owners(&key) {
                    owners if owners.is_empty() => {
                        let keys: Vec<&str> = self
                            .known
                            .iter()
                            .filter(|(s, _)| *s == family)
                            .map(|(_, k)| *k)
                            .collect();
                        format!(" (known there: {})", keys.join(", "))
                    }
                    owners => format!(" (it belongs into {owners})"),
                },
            };
            let message = format!("unknown key `{}` in [{family}]{hint}", clean(&key));
            self.problem(Some(place), message);
        }
    }

    fn report_unknown_variables(&mut self) {
        for (name, _) in self.environment {
            let Some(rest) = name.strip_prefix("OFFHOOK_") else {
                continue;
            };
            let of_a_section = self
                .sections
                .iter()
                .any(|section| rest.starts_with(&format!("{}_", section.to_uppercase())));
            if !of_a_section || self.variables.contains(name) {
                continue;
            }
            let near = nearest(name, self.variables.iter().map(String::as_str));
            let hint = offer(near.map(|near| format!("`{near}`")));
            let message = format!("unknown environment variable {}{hint}", clean(name));
            self.problems.push(Problem {
                place: None,
                is_of_environment: true,
                message,
            });
        }
    }

    /// Sections that have a key of this name, as `[a], [b]`.
    fn owners(&self, key: &str) -> String {
        let mut owners: Vec<String> = Vec::new();
        for (section, _) in self.known.iter().filter(|(_, k)| *k == key) {
            let written = format!("[{section}]");
            if !owners.contains(&written) {
                owners.push(written);
            }
        }
        owners.join(", ")
    }
}

/// Mistakes of TOML itself.
pub(super) fn syntax_problems(text: &str, mistakes: &[toml::de::Error]) -> Vec<Problem> {
    let problem = |mistake: &toml::de::Error| Problem {
        place: mistake.span().map(|span| place(text, span.start)),
        is_of_environment: false,
        message: clean(mistake.message()),
    };
    mistakes.iter().take(PROBLEMS_MAX).map(problem).collect()
}
