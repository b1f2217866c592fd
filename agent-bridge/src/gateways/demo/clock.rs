//! Time and date as they are told on the telephone, here and in some cities. Owns the wording and the
//! list of cities; the clock itself is handed in.
//! PURE.

use jiff::Zoned;
use jiff::civil::Weekday;
use jiff::tz::TimeZone;

use super::heard::Heard;

const CITIES: [(&str, &str, &str); 52] = [
    ("london", "London", "Europe/London"),
    ("dublin", "Dublin", "Europe/Dublin"),
    ("lisbon", "Lisbon", "Europe/Lisbon"),
    ("madrid", "Madrid", "Europe/Madrid"),
    ("barcelona", "Barcelona", "Europe/Madrid"),
    ("paris", "Paris", "Europe/Paris"),
    ("brussels", "Brussels", "Europe/Brussels"),
    ("amsterdam", "Amsterdam", "Europe/Amsterdam"),
    ("berlin", "Berlin", "Europe/Berlin"),
    ("munich", "Munich", "Europe/Berlin"),
    ("hamburg", "Hamburg", "Europe/Berlin"),
    ("zurich", "Zurich", "Europe/Zurich"),
    ("vienna", "Vienna", "Europe/Vienna"),
    ("rome", "Rome", "Europe/Rome"),
    ("prague", "Prague", "Europe/Prague"),
    ("warsaw", "Warsaw", "Europe/Warsaw"),
    ("copenhagen", "Copenhagen", "Europe/Copenhagen"),
    ("stockholm", "Stockholm", "Europe/Stockholm"),
    ("oslo", "Oslo", "Europe/Oslo"),
    ("helsinki", "Helsinki", "Europe/Helsinki"),
    ("athens", "Athens", "Europe/Athens"),
    ("istanbul", "Istanbul", "Europe/Istanbul"),
    ("moscow", "Moscow", "Europe/Moscow"),
    ("kiev", "Kyiv", "Europe/Kyiv"),
    ("kyiv", "Kyiv", "Europe/Kyiv"),
    ("cairo", "Cairo", "Africa/Cairo"),
    ("lagos", "Lagos", "Africa/Lagos"),
    ("nairobi", "Nairobi", "Africa/Nairobi"),
    ("johannesburg", "Johannesburg", "Africa/Johannesburg"),
    ("dubai", "Dubai", "Asia/Dubai"),
    ("delhi", "Delhi", "Asia/Kolkata"),
    ("mumbai", "Mumbai", "Asia/Kolkata"),
    ("bangkok", "Bangkok", "Asia/Bangkok"),
    ("singapore", "Singapore", "Asia/Singapore"),
    ("hong kong", "Hong Kong", "Asia/Hong_Kong"),
    ("beijing", "Beijing", "Asia/Shanghai"),
    ("shanghai", "Shanghai", "Asia/Shanghai"),
    ("tokyo", "Tokyo", "Asia/Tokyo"),
    ("seoul", "Seoul", "Asia/Seoul"),
    ("sydney", "Sydney", "Australia/Sydney"),
    ("melbourne", "Melbourne", "Australia/Melbourne"),
    ("auckland", "Auckland", "Pacific/Auckland"),
    ("new york", "New York", "America/New_York"),
    ("boston", "Boston", "America/New_York"),
    ("chicago", "Chicago", "America/Chicago"),
    ("denver", "Denver", "America/Denver"),
    ("los angeles", "Los Angeles", "America/Los_Angeles"),
    ("san francisco", "San Francisco", "America/Los_Angeles"),
    ("seattle", "Seattle", "America/Los_Angeles"),
    ("toronto", "Toronto", "America/Toronto"),
    ("sao paulo", "Sao Paulo", "America/Sao_Paulo"),
    (
        "buenos aires",
        "Buenos Aires",
        "America/Argentina/Buenos_Aires",
    ),
];

/// "It is 3:05 PM."
pub fn tell_time(heard: &Heard<'_>, now: &Zoned) -> String {
    let city = CITIES.iter().find(|(words, _, _)| heard.says(&[words]));
    if let Some((_, name, zone)) = city {
        return match TimeZone::get(zone) {
            Ok(zone) => format!("In {name} it is {}.", time(&now.with_time_zone(zone))),
            Err(_) => "I have no table of time zones on this machine.".to_owned(),
        };
    }
    if heard.has_any(&["utc", "gmt", "greenwich"]) {
        return format!(
            "In universal time it is {}.",
            time(&now.with_time_zone(TimeZone::UTC))
        );
    }
    format!("It is {}.", time(now))
}

fn time(at: &Zoned) -> String {
    match (at.hour(), at.minute()) {
        (0, 0) => "midnight".to_owned(),
        (12, 0) => "noon".to_owned(),
        (hour, minute) => {
            let half = if hour < 12 { "AM" } else { "PM" };
            format!("{}:{minute:02} {half}", (hour + 11) % 12 + 1)
        }
    }
}

/// Today's date, or that of a day near by.
pub fn tell_date(heard: &Heard<'_>, now: &Zoned) -> String {
    let (word, days) = match () {
        () if heard.says(&["day after tomorrow"]) => ("The day after tomorrow is", 2),
        () if heard.has("tomorrow") => ("Tomorrow is", 1),
        () if heard.says(&["day before yesterday"]) => ("The day before yesterday was", -2),
        () if heard.has("yesterday") => ("Yesterday was", -1),
        () => ("Today is", 0),
    };
    if heard.has("year") {
        return format!("It is the year {}.", now.year());
    }
    match now.date().checked_add(jiff::Span::new().days(days)) {
        Ok(date) => {
            let day = weekday(date.weekday());
            let month = MONTHS[usize::from(date.month().unsigned_abs().clamp(1, 12)) - 1];
            format!("{word} {day}, {month} {}, {}.", date.day(), date.year())
        }
        Err(_) => "That day is beyond my calendar.".to_owned(),
    }
}

/// "Good morning", by the hour.
pub fn greeting(now: &Zoned) -> &'static str {
    match now.hour() {
        5..=11 => "Good morning",
        12..=17 => "Good afternoon",
        _ => "Good evening",
    }
}

const MONTHS: [&str; 12] = [
    "January",
    "February",
    "March",
    "April",
    "May",
    "June",
    "July",
    "August",
    "September",
    "October",
    "November",
    "December",
];

fn weekday(day: Weekday) -> &'static str {
    match day {
        Weekday::Monday => "Monday",
        Weekday::Tuesday => "Tuesday",
        Weekday::Wednesday => "Wednesday",
        Weekday::Thursday => "Thursday",
        Weekday::Friday => "Friday",
        Weekday::Saturday => "Saturday",
        Weekday::Sunday => "Sunday",
    }
}
