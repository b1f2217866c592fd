//! PURE. Reads the keys of one table: finds each in the environment or the file, checks its type and
//! bounds, and notes what was asked for.

use std::fmt;
use std::ops::RangeInclusive;
use std::path::PathBuf;

use toml::de::{DeTable, DeValue};

use super::wording::{clean, place, quoted, shown};
use super::{Problem, Reader, Setting, Source};
use crate::config::SecretSource;

/// A value found for a key, not yet of the type wanted.
enum Raw<'a> {
    File(&'a DeValue<'a>, (usize, usize)),
    Variable(String, String),
}

/// One table of the file while its keys are read.
pub(in crate::config) struct Section<'r, 'a> {
    pub(super) reader: &'r mut Reader<'a>,
    pub(super) table: Option<&'a DeTable<'a>>,
    /// `sip`, or `numbers[2]`.
    pub(super) name: String,
    /// `sip`, or `numbers`.
    pub(super) family: String,
    /// Whether the environment may set keys here; not in lists of tables.
    pub(super) scalar_variables: bool,
    pub(super) asked: Vec<&'static str>,
}

impl<'a> Section<'_, 'a> {
    pub(in crate::config) fn flag(&mut self, key: &'static str, default: bool) -> bool {
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
    pub(in crate::config) fn integer<T>(
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

    pub(in crate::config) fn optional_integer<T>(
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
    pub(in crate::config) fn number(
        &mut self,
        key: &'static str,
        default: f32,
        range: RangeInclusive<f32>,
    ) -> f32 {
        self.optional_number(key, Some(default), range)
            .unwrap_or(default)
    }

    pub(in crate::config) fn optional_number(
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

    pub(in crate::config) fn text(&mut self, key: &'static str, default: &str) -> String {
        self.parsed(
            key,
            default.to_owned(),
            "a text",
            |text| Some(text.to_owned()),
            String::clone,
        )
    }

    /// A text that must not be empty.
    pub(in crate::config) fn name(&mut self, key: &'static str, default: &str) -> String {
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

    pub(in crate::config) fn optional_path(&mut self, key: &'static str) -> Option<PathBuf> {
        let parse = |text: &str| (!text.is_empty()).then(|| PathBuf::from(text));
        let show = |path: &PathBuf| path.display().to_string();
        self.optional_parsed(key, None, "the path of a file or folder", parse, show)
    }

    pub(in crate::config) fn optional_text(&mut self, key: &'static str) -> Option<String> {
        let parse = |text: &str| (!text.is_empty()).then(|| text.to_owned());
        self.optional_parsed(key, None, "a text that is not empty", parse, String::clone)
    }

    /// One of a few words.
    pub(in crate::config) fn choice<T: Copy + PartialEq>(
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
    pub(in crate::config) fn parsed<T: Clone>(
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

    pub(in crate::config) fn optional_parsed<T: Clone>(
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
    pub(in crate::config) fn list<T: Clone>(
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
    pub(in crate::config) fn secret(
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

    /// Refuses a key of former versions and names what stands in its place.
    pub(in crate::config) fn replaced(&mut self, key: &'static str, by: &str) {
        if let Some((found, _)) = self.table.and_then(|table| table.get_key_value(key)) {
            self.asked.push(key);
            let at = place(self.reader.text, found.span().start);
            let message = format!("{}.{key}: was replaced by {by}", self.name);
            self.reader.problem(Some(at), message);
        }
        let variable = self.variable(key);
        let is_set = |(name, _): &(String, String)| *name == variable;
        if self.scalar_variables && self.reader.environment.iter().any(is_set) {
            self.reader.problems.push(Problem {
                place: None,
                is_of_environment: true,
                message: format!("{variable}: was replaced by {by}"),
            });
            self.reader.variables.push(variable);
        }
    }

    /// Reads `[[section.key]]`.
    pub(in crate::config) fn tables<T>(
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
    pub(in crate::config) fn require(&mut self, key: &str, holds: bool, message: &str) {
        let name = self.name.clone();
        self.reader.require(&name, key, holds, message);
    }

    /// Whether the file holds `key` in this table.
    pub(in crate::config) fn has(&self, key: &str) -> bool {
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

    /// `OFFHOOK_SIP_PORT`; in a list of tables `OFFHOOK_AGENT_FALLBACK_1_API_KEY`.
    fn variable(&self, key: &str) -> String {
        let section = self.name.replace(']', "").replace(['.', '['], "_");
        format!("OFFHOOK_{}_{}", section.to_uppercase(), key.to_uppercase())
    }

    fn wrong(&mut self, key: &str, raw: Option<&Raw<'_>>, expected: &str) {
        let (place, label, found) = match raw {
            Some(Raw::File(value, at)) => (Some(*at), format!("{}.{key}", self.name), shown(value)),
            Some(Raw::Variable(name, text)) => (None, name.clone(), quoted(&clean(text))),
            None => (None, format!("{}.{key}", self.name), "nothing".to_owned()),
        };
        self.reader.problems.push(Problem {
            place,
            is_of_environment: matches!(raw, Some(Raw::Variable(..))),
            message: format!("{label}: expected {expected}; found {found}"),
        });
    }

    fn record(&mut self, key: &'static str, value: Option<String>, source: Source) {
        self.reader.settings.push(Setting {
            section: self.name.clone(),
            key,
            value,
            source,
        });
    }

    pub(super) fn close(self) {
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
