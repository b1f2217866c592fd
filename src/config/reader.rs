//! PURE. Reads keys out of a parsed TOML file and the environment, one call per key, and collects every
//! mistake with its place instead of stopping at the first.
//!
//! The calls themselves tell the reader which keys exist: whatever stands in the file or the environment
//! and was not asked for is unknown, and the nearest key that was asked for is offered.
//!
//! Not here: which keys there are (`keys`), what they mean (`sections`).

use std::fmt;
use std::ops::RangeInclusive;
use std::path::PathBuf;

use toml::de::{DeTable, DeValue};

use super::SecretSource;

/// Problems reported for one file; more are counted, not listed.
const PROBLEMS_MAX: usize = 50;

/// One mistake.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// Line and column in the file, both from 1, the column in characters. None: the environment, or
    /// something that is missing.
    pub place: Option<(usize, usize)>,
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

/// A value found for a key, not yet of the type wanted.
enum Raw<'a> {
    File(&'a DeValue<'a>, (usize, usize)),
    Variable(String, String),
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
        self.problems.push(Problem { place, message });
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

/// One table of the file while its keys are read.
pub(super) struct Section<'r, 'a> {
    reader: &'r mut Reader<'a>,
    table: Option<&'a DeTable<'a>>,
    /// `sip`, or `numbers[2]`.
    name: String,
    /// `sip`, or `numbers`.
    family: String,
    /// Whether the environment may set keys here; not in lists of tables.
    scalar_variables: bool,
    asked: Vec<&'static str>,
}

impl<'a> Section<'_, 'a> {
    pub(super) fn flag(&mut self, key: &'static str, default: bool) -> bool {
        let parse = |text: &str| match text {
            "true" | "1" | "yes" | "on" => Some(true),
            "false" | "0" | "no" | "off" => Some(false),
            _ => None,
        };
        let read = |raw: &Raw| match raw {
            Raw::File(DeValue::Boolean(flag), _) => Some(*flag),
            Raw::File(..) => None,
            Raw::Variable(_, text) => parse(text.trim()),
        };
        self.scalar(key, Some(default), "true or false", read, bool::to_string)
            .unwrap_or(default)
    }

    /// A whole number within `range`.
    pub(super) fn integer<T>(
        &mut self,
        key: &'static str,
        default: T,
        range: RangeInclusive<u64>,
    ) -> T
    where
        T: TryFrom<u64> + Copy + fmt::Display,
    {
        self.optional_integer(key, Some(default), range)
            .unwrap_or(default)
    }

    pub(super) fn optional_integer<T>(
        &mut self,
        key: &'static str,
        default: Option<T>,
        range: RangeInclusive<u64>,
    ) -> Option<T>
    where
        T: TryFrom<u64> + Copy + fmt::Display,
    {
        let expected = format!("a whole number from {} to {}", range.start(), range.end());
        let read = |raw: &Raw| {
            let number = match raw {
                Raw::File(DeValue::Integer(digits), _) => {
                    u64::from_str_radix(digits.as_str(), digits.radix()).ok()
                }
                Raw::File(..) => None,
                Raw::Variable(_, text) => text.trim().parse().ok(),
            };
            number
                .filter(|number| range.contains(number))
                .and_then(|number| T::try_from(number).ok())
        };
        self.scalar(key, default, &expected, read, T::to_string)
    }

    /// A number within `range`, written with or without a point.
    pub(super) fn number(
        &mut self,
        key: &'static str,
        default: f32,
        range: RangeInclusive<f32>,
    ) -> f32 {
        self.optional_number(key, Some(default), range)
            .unwrap_or(default)
    }

    pub(super) fn optional_number(
        &mut self,
        key: &'static str,
        default: Option<f32>,
        range: RangeInclusive<f32>,
    ) -> Option<f32> {
        let expected = format!("a number from {:?} to {:?}", range.start(), range.end());
        let read = |raw: &Raw| {
            let number: Option<f32> = match raw {
                Raw::File(DeValue::Float(digits), _) => digits.as_str().parse().ok(),
                Raw::File(DeValue::Integer(digits), _) => digits.as_str().parse().ok(),
                Raw::File(..) => None,
                Raw::Variable(_, text) => text.trim().parse().ok(),
            };
            number.filter(|number| range.contains(number))
        };
        self.scalar(key, default, &expected, read, |number| {
            format!("{number:?}")
        })
    }

    pub(super) fn text(&mut self, key: &'static str, default: &str) -> String {
        self.parsed(
            key,
            default.to_owned(),
            "a text",
            |text| Some(text.to_owned()),
            String::clone,
        )
    }

    /// A text that must not be empty.
    pub(super) fn name(&mut self, key: &'static str, default: &str) -> String {
        let parse = |text: &str| {
            let text = text.trim();
            (!text.is_empty()).then(|| text.to_owned())
        };
        self.parsed(
            key,
            default.to_owned(),
            "a text that is not empty",
            parse,
            String::clone,
        )
    }

    pub(super) fn optional_path(&mut self, key: &'static str) -> Option<PathBuf> {
        let parse = |text: &str| (!text.is_empty()).then(|| PathBuf::from(text));
        let show = |path: &PathBuf| path.display().to_string();
        self.optional_parsed(key, None, "the path of a file or folder", parse, show)
    }

    pub(super) fn optional_text(&mut self, key: &'static str) -> Option<String> {
        let parse = |text: &str| (!text.is_empty()).then(|| text.to_owned());
        self.optional_parsed(key, None, "a text that is not empty", parse, String::clone)
    }

    /// One of a few words.
    pub(super) fn choice<T: Copy + PartialEq>(
        &mut self,
        key: &'static str,
        default: T,
        choices: &[(&str, T)],
    ) -> T {
        let words: Vec<String> = choices
            .iter()
            .map(|(word, _)| format!("\"{word}\""))
            .collect();
        let expected = format!("one of {}", words.join(", "));
        let parse = |text: &str| {
            choices
                .iter()
                .find(|(word, _)| *word == text)
                .map(|(_, value)| *value)
        };
        let show = |value: &T| {
            let found = choices.iter().find(|(_, choice)| choice == value);
            found.map_or_else(String::new, |(word, _)| (*word).to_owned())
        };
        self.parsed(key, default, &expected, parse, show)
    }

    /// A text that `parse` understands. `expected` completes "expected …".
    pub(super) fn parsed<T: Clone>(
        &mut self,
        key: &'static str,
        default: T,
        expected: &str,
        parse: impl Fn(&str) -> Option<T>,
        show: impl Fn(&T) -> String,
    ) -> T {
        self.optional_parsed(key, Some(default.clone()), expected, parse, show)
            .unwrap_or(default)
    }

    pub(super) fn optional_parsed<T: Clone>(
        &mut self,
        key: &'static str,
        default: Option<T>,
        expected: &str,
        parse: impl Fn(&str) -> Option<T>,
        show: impl Fn(&T) -> String,
    ) -> Option<T> {
        let read = |raw: &Raw| match raw {
            Raw::File(DeValue::String(text), _) => parse(text),
            Raw::File(..) => None,
            Raw::Variable(_, text) => parse(text),
        };
        self.scalar(key, default, expected, read, |value| quoted(&show(value)))
    }

    /// A list of texts that `parse` understands each; in the environment separated by commas. A single
    /// text is taken as a list of one.
    pub(super) fn list<T: Clone>(
        &mut self,
        key: &'static str,
        default: &[T],
        expected: &str,
        parse: impl Fn(&str) -> Option<T>,
        show: impl Fn(&T) -> String,
    ) -> Vec<T> {
        let written = |values: &[T]| {
            let texts: Vec<String> = values.iter().map(|value| quoted(&show(value))).collect();
            format!("[{}]", texts.join(", "))
        };
        let raw = self.find(key);
        let (values, source) = match &raw {
            None => (default.to_vec(), Source::Default),
            Some(Raw::Variable(name, text)) => {
                let parts = text
                    .split(',')
                    .map(str::trim)
                    .filter(|part| !part.is_empty());
                let values: Option<Vec<T>> = parts.map(&parse).collect();
                let Some(values) = values else {
                    self.wrong(
                        key,
                        raw.as_ref(),
                        &format!("a list of {expected}, separated by commas"),
                    );
                    return default.to_vec();
                };
                (values, Source::Environment(name.clone()))
            }
            Some(Raw::File(DeValue::String(text), _)) => {
                let Some(value) = parse(text) else {
                    self.wrong(key, raw.as_ref(), &format!("a list of {expected}"));
                    return default.to_vec();
                };
                (vec![value], Source::File)
            }
            Some(Raw::File(DeValue::Array(array), _)) => {
                let mut values = Vec::new();
                for element in array.iter() {
                    let at = place(self.reader.text, element.span().start);
                    let raw = Raw::File(element.get_ref(), at);
                    let value = element.get_ref().as_str().and_then(&parse);
                    match value {
                        Some(value) => values.push(value),
                        None => self.wrong(key, Some(&raw), expected),
                    }
                }
                (values, Source::File)
            }
            Some(Raw::File(..)) => {
                self.wrong(
                    key,
                    raw.as_ref(),
                    &format!("a list of {expected}, such as [\"…\"]"),
                );
                return default.to_vec();
            }
        };
        self.record(key, Some(written(&values)), source);
        values
    }

    /// A secret named `key`: the config holds `<key>_file` or `<key>_env`, never the secret.
    pub(super) fn secret(
        &mut self,
        key: &'static str,
        key_file: &'static str,
        key_env: &'static str,
    ) -> SecretSource {
        let variable = self.variable(key);
        self.reader.variables.push(variable.clone());
        // Asked for so that it is not "unknown": the message below says more.
        if let Some(found) = self.table.and_then(|table| table.get_key_value(key)) {
            self.asked.push(key);
            let at = place(self.reader.text, found.0.span().start);
            let message = format!(
                "{}.{key}: secrets do not belong into this file; put it into the environment as \
                 {variable}, or into a file of its own named by `{key_file}`",
                self.name
            );
            self.reader.problem(Some(at), message);
        }
        let file = self.optional_path(key_file);
        let named = self.optional_text(key_env);
        SecretSource {
            file,
            variable: named,
            default_variable: variable,
        }
    }

    /// Reads `[[section.key]]`.
    pub(super) fn tables<T>(
        &mut self,
        key: &'static str,
        read: impl FnMut(&mut Section<'_, 'a>) -> T,
    ) -> Vec<T> {
        self.asked.push(key);
        self.reader.known.push((self.family.clone(), key));
        let Some(table) = self.table else {
            return Vec::new();
        };
        let family = format!("{}.{key}", self.family);
        self.reader
            .array_of_tables(table, key, &family, read)
            .unwrap_or_default()
    }

    /// Reports `message` at `key` unless `holds`.
    pub(super) fn require(&mut self, key: &str, holds: bool, message: &str) {
        let name = self.name.clone();
        self.reader.require(&name, key, holds, message);
    }

    /// Whether the file holds `key` in this table.
    pub(super) fn has(&self, key: &str) -> bool {
        self.table.is_some_and(|table| table.contains_key(key))
    }

    fn scalar<T>(
        &mut self,
        key: &'static str,
        default: Option<T>,
        expected: &str,
        read: impl Fn(&Raw<'_>) -> Option<T>,
        show: impl Fn(&T) -> String,
    ) -> Option<T> {
        let Some(raw) = self.find(key) else {
            let value = default.as_ref().map(&show);
            self.record(key, value, Source::Default);
            return default;
        };
        let Some(value) = read(&raw) else {
            self.wrong(key, Some(&raw), expected);
            return default;
        };
        let source = match raw {
            Raw::File(..) => Source::File,
            Raw::Variable(name, _) => Source::Environment(name),
        };
        self.record(key, Some(show(&value)), source);
        Some(value)
    }

    /// The environment first, then the file.
    fn find(&mut self, key: &'static str) -> Option<Raw<'a>> {
        self.asked.push(key);
        let entry = (self.family.clone(), key);
        if !self.reader.known.contains(&entry) {
            self.reader.known.push(entry);
        }
        let found = self
            .table
            .and_then(|table| table.get_key_value(key))
            .map(|(key, value)| {
                let at = place(self.reader.text, value.span().start);
                let _ = key;
                (value, at)
            });
        if let Some((_, at)) = found {
            self.reader.places.push((self.name.clone(), key, at));
        }
        if self.scalar_variables {
            let name = self.variable(key);
            let set = self
                .reader
                .environment
                .iter()
                .find(|(variable, _)| *variable == name);
            let set = set.map(|(_, value)| value.clone());
            self.reader.variables.push(name.clone());
            if let Some(text) = set {
                return Some(Raw::Variable(name, text));
            }
        }
        found.map(|(value, at)| Raw::File(value.get_ref(), at))
    }

    fn variable(&self, key: &str) -> String {
        format!(
            "OFFHOOK_{}_{}",
            self.family.to_uppercase(),
            key.to_uppercase()
        )
    }

    fn wrong(&mut self, key: &str, raw: Option<&Raw<'_>>, expected: &str) {
        let (place, label, found) = match raw {
            Some(Raw::File(value, at)) => (Some(*at), format!("{}.{key}", self.name), shown(value)),
            Some(Raw::Variable(name, text)) => (None, name.clone(), quoted(&clean(text))),
            None => (None, format!("{}.{key}", self.name), "nothing".to_owned()),
        };
        self.reader.problem(
            place,
            format!("{label}: expected {expected}; found {found}"),
        );
    }

    fn record(&mut self, key: &'static str, value: Option<String>, source: Source) {
        self.reader.settings.push(Setting {
            section: self.name.clone(),
            key,
            value,
            source,
        });
    }

    fn close(self) {
        let Some(table) = self.table else { return };
        for (key, _) in table.iter() {
            let name: &str = key.get_ref();
            if !self.asked.contains(&name) {
                let at = place(self.reader.text, key.span().start);
                self.reader
                    .unknown
                    .push((self.name.clone(), name.to_owned(), at));
            }
        }
    }
}

/// Mistakes of TOML itself.
pub(super) fn syntax_problems(text: &str, mistakes: &[toml::de::Error]) -> Vec<Problem> {
    let problem = |mistake: &toml::de::Error| Problem {
        place: mistake.span().map(|span| place(text, span.start)),
        message: clean(mistake.message()),
    };
    mistakes.iter().take(PROBLEMS_MAX).map(problem).collect()
}

/// Line and column of a byte offset, both from 1.
pub(super) fn place(text: &str, offset: usize) -> (usize, usize) {
    let before = text.get(..offset).unwrap_or(text);
    let line = before.matches('\n').count() + 1;
    let column = before.rsplit('\n').next().unwrap_or("").chars().count() + 1;
    (line, column)
}

/// The candidate that `word` was probably meant to be: a slip of the fingers, or much alike.
fn nearest<'c>(word: &str, candidates: impl Iterator<Item = &'c str>) -> Option<&'c str> {
    let word = word.to_lowercase();
    let slips_max = (word.chars().count() / 2).max(1);
    let closeness = |candidate: &str| {
        let candidate = candidate.to_lowercase();
        let slips = strsim::damerau_levenshtein(&word, &candidate);
        let likeness = strsim::jaro_winkler(&word, &candidate);
        (slips <= slips_max || likeness >= 0.88).then(|| likeness - slips as f64)
    };
    candidates
        .filter_map(|candidate| Some((closeness(candidate)?, candidate)))
        .max_by(|a, b| a.0.total_cmp(&b.0))
        .map(|(_, candidate)| candidate)
}

fn offer(near: Option<String>) -> String {
    near.map_or_else(String::new, |near| format!(" (did you mean {near}?)"))
}

/// What kind of TOML value this is, with its article.
fn kind(value: &DeValue<'_>) -> &'static str {
    match value {
        DeValue::String(_) => "a text",
        DeValue::Integer(_) => "a whole number",
        DeValue::Float(_) => "a number",
        DeValue::Boolean(_) => "true or false",
        DeValue::Datetime(_) => "a date",
        DeValue::Array(_) => "a list",
        DeValue::Table(_) => "a section",
    }
}

fn shown(value: &DeValue<'_>) -> String {
    match value {
        DeValue::String(text) => format!("the text {}", quoted(&clean(text))),
        DeValue::Integer(digits) => digits.as_str().to_owned(),
        DeValue::Float(digits) => digits.as_str().to_owned(),
        DeValue::Boolean(flag) => flag.to_string(),
        other => kind(other).to_owned(),
    }
}

/// A text from outside, short and without control characters.
fn clean(text: &str) -> String {
    let mut cleaned: String = text.chars().filter(|c| !c.is_control()).take(60).collect();
    if text.chars().count() > 60 {
        cleaned.push('…');
    }
    cleaned
}

/// `text` as a TOML basic string.
fn quoted(text: &str) -> String {
    toml::Value::String(text.to_owned()).to_string()
}
