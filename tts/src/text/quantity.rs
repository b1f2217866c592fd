//! Amounts in words: money, percentages, units, ranges, fractions. Owns their written forms; not plain numbers
//! (`number`), not dates.
//! PURE.

use super::number::{is_digits, without_groups, written, year};

/// Sign, one, many, and the hundredth of it.
const CURRENCIES: [(&str, &str, &str, &str); 7] = [
    ("$", "dollar", "dollars", "cent"),
    ("€", "euro", "euros", "cent"),
    ("£", "pound", "pounds", "pence"),
    ("¥", "yen", "yen", ""),
    ("₹", "rupee", "rupees", "paisa"),
    ("₩", "won", "won", ""),
    ("₿", "bitcoin", "bitcoin", ""),
];
const CURRENCY_CODES: [(&str, &str, &str); 6] = [
    ("USD", "dollar", "dollars"),
    ("EUR", "euro", "euros"),
    ("GBP", "pound", "pounds"),
    ("JPY", "yen", "yen"),
    ("CHF", "franc", "francs"),
    ("CAD", "Canadian dollar", "Canadian dollars"),
];
const MAGNITUDES: [(&str, &str); 8] = [
    ("bn", "billion"),
    ("k", "thousand"),
    ("K", "thousand"),
    ("m", "million"),
    ("M", "million"),
    ("b", "billion"),
    ("B", "billion"),
    ("T", "trillion"),
];

/// Written, one, many. Those of one letter count only glued to a number.
const UNITS: &[(&str, &str, &str)] = &[
    ("°C", "degree Celsius", "degrees Celsius"),
    ("°F", "degree Fahrenheit", "degrees Fahrenheit"),
    ("℃", "degree Celsius", "degrees Celsius"),
    ("℉", "degree Fahrenheit", "degrees Fahrenheit"),
    ("°", "degree", "degrees"),
    ("km/h", "kilometer per hour", "kilometers per hour"),
    ("kph", "kilometer per hour", "kilometers per hour"),
    ("mph", "mile per hour", "miles per hour"),
    ("m/s", "meter per second", "meters per second"),
    ("km²", "square kilometer", "square kilometers"),
    ("m²", "square meter", "square meters"),
    ("m³", "cubic meter", "cubic meters"),
    ("km", "kilometer", "kilometers"),
    ("cm", "centimeter", "centimeters"),
    ("mm", "millimeter", "millimeters"),
    ("µm", "micrometer", "micrometers"),
    ("nm", "nanometer", "nanometers"),
    ("m", "meter", "meters"),
    ("mi", "mile", "miles"),
    ("ft", "foot", "feet"),
    ("in", "inch", "inches"),
    ("yd", "yard", "yards"),
    ("kg", "kilogram", "kilograms"),
    ("mg", "milligram", "milligrams"),
    ("µg", "microgram", "micrograms"),
    ("g", "gram", "grams"),
    ("lb", "pound", "pounds"),
    ("lbs", "pound", "pounds"),
    ("oz", "ounce", "ounces"),
    ("ml", "milliliter", "milliliters"),
    ("mL", "milliliter", "milliliters"),
    ("l", "liter", "liters"),
    ("L", "liter", "liters"),
    ("ns", "nanosecond", "nanoseconds"),
    ("µs", "microsecond", "microseconds"),
    ("ms", "millisecond", "milliseconds"),
    ("s", "second", "seconds"),
    ("sec", "second", "seconds"),
    ("min", "minute", "minutes"),
    ("mins", "minute", "minutes"),
    ("h", "hour", "hours"),
    ("hr", "hour", "hours"),
    ("hrs", "hour", "hours"),
    ("Hz", "hertz", "hertz"),
    ("kHz", "kilohertz", "kilohertz"),
    ("MHz", "megahertz", "megahertz"),
    ("GHz", "gigahertz", "gigahertz"),
    ("B", "byte", "bytes"),
    ("kB", "kilobyte", "kilobytes"),
    ("KB", "kilobyte", "kilobytes"),
    ("MB", "megabyte", "megabytes"),
    ("GB", "gigabyte", "gigabytes"),
    ("TB", "terabyte", "terabytes"),
    ("PB", "petabyte", "petabytes"),
    ("KiB", "kibibyte", "kibibytes"),
    ("MiB", "mebibyte", "mebibytes"),
    ("GiB", "gibibyte", "gibibytes"),
    ("kbps", "kilobit per second", "kilobits per second"),
    ("kbit/s", "kilobit per second", "kilobits per second"),
    ("Mbps", "megabit per second", "megabits per second"),
    ("Gbps", "gigabit per second", "gigabits per second"),
    ("MB/s", "megabyte per second", "megabytes per second"),
    ("W", "watt", "watts"),
    ("kW", "kilowatt", "kilowatts"),
    ("MW", "megawatt", "megawatts"),
    ("kWh", "kilowatt hour", "kilowatt hours"),
    ("V", "volt", "volts"),
    ("mV", "millivolt", "millivolts"),
    ("A", "ampere", "amperes"),
    ("mA", "milliampere", "milliamperes"),
    ("mAh", "milliampere hour", "milliampere hours"),
    ("dB", "decibel", "decibels"),
    ("dBm", "decibel milliwatt", "decibel milliwatts"),
    ("px", "pixel", "pixels"),
    ("kcal", "kilocalorie", "kilocalories"),
    ("fps", "frame per second", "frames per second"),
    ("rpm", "revolution per minute", "revolutions per minute"),
    ("hPa", "hectopascal", "hectopascals"),
    ("ppm", "part per million", "parts per million"),
    ("x", "time", "times"),
];

const FRACTIONS: [(&str, &str); 13] = [
    ("1/2", "one half"),
    ("1/3", "one third"),
    ("2/3", "two thirds"),
    ("1/4", "one quarter"),
    ("3/4", "three quarters"),
    ("1/5", "one fifth"),
    ("1/8", "one eighth"),
    ("½", "one half"),
    ("⅓", "one third"),
    ("⅔", "two thirds"),
    ("¼", "one quarter"),
    ("¾", "three quarters"),
    ("⅛", "one eighth"),
];

fn is_one(number: &str) -> bool {
    number == "1" || number == "-1"
}

/// Bytes at the start of `text` that look like a number.
fn number_length(text: &str) -> usize {
    let sign = text.len() - text.trim_start_matches(['-', '−', '+']).len();
    let rest = &text[sign.min(3)..];
    let size = rest
        .find(|c: char| !(c.is_ascii_digit() || c == '.' || c == ','))
        .unwrap_or(rest.len());
    let size = rest[..size].trim_end_matches(['.', ',']).len();
    if size == 0 { 0 } else { sign.min(3) + size }
}

/// The number at the start of `text` and what follows it.
fn split_number(text: &str) -> Option<(&str, &str)> {
    let length = number_length(text);
    (length > 0).then(|| text.split_at(length))
}

/// The words for a unit that stands alone after `number`.
pub fn unit_after(number: &str, unit: &str) -> Option<&'static str> {
    let first = number.chars().next()?;
    if unit.len() == 1 && unit != "°"
        || matches!(unit, "in" | "x")
        || !(first.is_ascii_digit() || matches!(first, '-' | '−' | '.'))
    {
        // "5 m" may be metres; "in", "a", "x" are words.
        return match unit {
            "m" | "g" | "L" | "W" | "V" => find_unit(unit, is_one(number)),
            _ => None,
        };
    }
    find_unit(unit, is_one(number)).or_else(|| {
        CURRENCY_CODES
            .iter()
            .find(|(code, _, _)| *code == unit)
            .map(|(_, one, many)| if is_one(number) { *one } else { *many })
    })
}

fn find_unit(unit: &str, singular: bool) -> Option<&'static str> {
    let unit = if unit.starts_with('μ') {
        unit.replace('μ', "µ")
    } else {
        unit.to_owned()
    };
    UNITS
        .iter()
        .find(|(written, _, _)| *written == unit)
        .map(|(_, one, many)| if singular { *one } else { *many })
}

/// "5km", "-3.5°C", "16GB", "90%", "2.5k": a number with what is glued to it.
pub fn with_unit(text: &str) -> Option<String> {
    let (number, unit) = split_number(text)?;
    let words = written(number)?;
    match unit {
        "" => None,
        "%" => Some(format!("{words} percent")),
        "‰" => Some(format!("{words} per mille")),
        "k" | "K" => Some(format!("{words} thousand")),
        "bn" => Some(format!("{words} billion")),
        "+" => Some(format!("{words} plus")),
        _ => find_unit(unit, is_one(number)).map(|unit| format!("{words} {unit}")),
    }
}

/// "$3.50", "-€5", "3.50€", "$2.5M", "$1,000"; `scale` is the next word when it is "million" or the like.
pub fn money(text: &str, scale: Option<&str>) -> Option<String> {
    let (minus, size) = match text.strip_prefix(['-', '−']) {
        Some(size) => ("minus ", size),
        None => ("", text),
    };
    for (sign, one, many, hundredth) in CURRENCIES {
        let amount = size
            .strip_prefix(sign)
            .or_else(|| size.strip_suffix(sign))
            .or_else(|| (sign == "$").then(|| size.strip_prefix("US$")).flatten());
        let Some(amount) = amount else { continue };
        let (number, tail) = split_number(amount)?;
        let magnitude = match (tail, scale) {
            ("", scale) => scale,
            (tail, _) => Some(MAGNITUDES.iter().find(|(mark, _)| *mark == tail)?.1),
        };
        if let Some(magnitude) = magnitude {
            return Some(format!("{minus}{} {magnitude} {many}", written(number)?));
        }
        return Some(format!(
            "{minus}{}",
            amount_words(number, one, many, hundredth)?
        ));
    }
    None
}

fn amount_words(number: &str, one: &str, many: &str, hundredth: &str) -> Option<String> {
    let (whole, cents) = number.split_once('.').unwrap_or((number, ""));
    let whole = without_groups(whole)?;
    let unit = if whole == "1" { one } else { many };
    if cents.len() != 2 || !is_digits(cents) || hundredth.is_empty() {
        return Some(format!(
            "{} {}",
            written(number)?,
            if cents.is_empty() { unit } else { many }
        ));
    }
    let cents: u64 = cents.parse().ok()?;
    let small = super::number::cardinal(cents);
    let hundredth = match (hundredth, cents) {
        ("cent", 1) | ("pence" | "paisa", _) => hundredth.to_owned(),
        _ => format!("{hundredth}s"),
    };
    Some(match (whole.as_str(), cents) {
        (_, 0) => format!("{} {unit}", written(&whole)?),
        ("0", _) => format!("{small} {hundredth}"),
        _ => format!("{} {unit} and {small} {hundredth}", written(&whole)?),
    })
}

/// "10-20", "9:00–17:00", "2019-2021", "5-10km", "$5-$10": from, to, read by `read`.
pub fn range(text: &str, read: impl Fn(&str) -> Option<String>) -> Option<String> {
    let (from, to) = text.split_once('–').or_else(|| text.split_once('-'))?;
    let starts = |t: &str| {
        t.trim_start_matches(['$', '€', '£', '+'])
            .starts_with(|c: char| c.is_ascii_digit())
    };
    if !starts(from) || !starts(to) {
        return None;
    }
    let is_year = |t: &str| t.len() == 4 && is_digits(t);
    if let (true, true, Ok(a), Ok(b)) = (is_year(from), is_year(to), from.parse(), to.parse())
        && (1_100..2_100).contains(&a)
        && (a..2_100).contains(&b)
    {
        return Some(format!("{} to {}", year(a), year(b)));
    }
    Some(format!(
        "{} to {}",
        written(from).or_else(|| read(from))?,
        read(to)?
    ))
}

/// "1/2", "¾", "2½", "5/10".
pub fn fraction(text: &str) -> Option<String> {
    if let Some((_, words)) = FRACTIONS.iter().find(|(written, _)| *written == text) {
        return Some((*words).to_owned());
    }
    if let Some(sign) = text.chars().next_back()
        && let Some((_, words)) = FRACTIONS
            .iter()
            .find(|(mark, _)| mark.len() == sign.len_utf8() && mark.starts_with(sign))
    {
        let whole = &text[..text.len() - sign.len_utf8()];
        let words = words
            .strip_prefix("one ")
            .map_or((*words).to_owned(), |part| {
                if part == "eighth" {
                    format!("an {part}")
                } else {
                    format!("a {part}")
                }
            });
        return Some(format!("{} and {words}", written(whole)?));
    }
    let (a, b) = text.split_once('/')?;
    (is_digits(a) && is_digits(b)).then_some(())?;
    Some(format!("{} over {}", written(a)?, written(b)?))
}
