//! Tests of `text`: what is said for what is written, as a table.

use super::normalise;

fn check(table: &[(&str, &str)]) {
    let wrong: Vec<String> = table
        .iter()
        .filter(|(text, expected)| normalise(text) != *expected)
        .map(|(text, expected)| {
            format!(
                "{text:?}\n    says   {:?}\n    not    {expected:?}",
                normalise(text)
            )
        })
        .collect();
    assert!(
        wrong.is_empty(),
        "{} of {}:\n{}",
        wrong.len(),
        table.len(),
        wrong.join("\n")
    );
}

#[test]
fn plain_text_stays() {
    check(&[
        ("", ""),
        ("   \n\t ", ""),
        ("Hello.", "Hello."),
        ("Hello, how are you?", "Hello, how are you?"),
        ("Don't worry; it's fine!", "Don't worry; it's fine!"),
        ("Don’t “quote” me", "Don't quote me"),
        ("a well-known fact", "a well-known fact"),
        ("state-of-the-art", "state-of-the-art"),
        ("wait... what?", "wait, what?"),
        ("Well…", "Well."),
        ("Really?!", "Really?"),
        ("yes (I think) so", "yes, I think, so"),
        ("(all of it)", "all of it,"),
        ("I said: go.", "I said: go."),
        ("one — two", "one, two"),
        ("café in Zürich", "café in Zürich"),
    ]);
}

#[test]
fn numbers() {
    check(&[
        ("0", "zero"),
        ("I have 3 cats.", "I have three cats."),
        (
            "1,234 people",
            "one thousand two hundred thirty four people",
        ),
        ("3.14", "three point one four"),
        ("0.5", "zero point five"),
        ("-5 degrees", "minus five degrees"),
        ("1,000,000", "one million"),
        (
            "12345678901234567890",
            "one two three four five six seven eight nine zero one two three four five six seven eight nine zero",
        ),
        ("the 1st of all", "the first of all"),
        ("2nd, 3rd and 21st", "second, third and twenty first"),
        ("100th", "one hundredth"),
        ("10-20 people", "ten to twenty people"),
        ("pages 3–5", "pages three to five"),
        ("50%", "fifty percent"),
        ("3.5 %", "three point five percent"),
        ("1/2 cup", "one half cup"),
        ("3/4", "three quarters"),
        ("2½ hours", "two and a half hours"),
        ("24/7", "twenty four seven"),
        ("007", "zero zero seven"),
        ("~5 items", "about five items"),
        ("#5", "number five"),
        ("5+", "five plus"),
        ("10k users", "ten thousand users"),
        ("in the 1990s", "in the nineteen nineties"),
        ("the 80s", "the eighties"),
        ("2 + 2 = 4", "two plus two equals four"),
        ("3 * 4", "three times four"),
        ("x=5", "x equals five"),
        ("5 > 3", "five is greater than three"),
        ("<10", "less than ten"),
        ("No. 5", "number five"),
        ("No. I will not.", "No. I will not."),
    ]);
}

#[test]
fn times_and_dates() {
    check(&[
        ("7:05", "seven oh five"),
        ("7:05 am", "seven oh five A M"),
        ("7:05 a.m. tomorrow", "seven oh five A M tomorrow"),
        ("at 7:05 p.m.", "at seven oh five P M."),
        ("7pm", "seven P M"),
        ("7 pm", "seven P M"),
        ("12:30PM", "twelve thirty P M"),
        ("19:30", "nineteen thirty"),
        ("8:00", "eight o'clock"),
        ("8:00 am", "eight A M"),
        ("14:00", "fourteen hundred"),
        ("00:00", "zero hundred"),
        ("7:05:30", "seven oh five and thirty seconds"),
        ("9:00-17:00", "nine o'clock to seventeen hundred"),
        ("2026-11-21", "November twenty first, twenty twenty six"),
        (
            "2026-11-21T07:05:00Z",
            "November twenty first, twenty twenty six at seven oh five",
        ),
        ("Nov 21", "November twenty first"),
        ("Nov. 21, 2026", "November twenty first, twenty twenty six"),
        (
            "November 21, 2026, at noon",
            "November twenty first, twenty twenty six, at noon",
        ),
        (
            "21 November 2026",
            "the twenty first of November twenty twenty six",
        ),
        ("the 3rd of May", "the third of May"),
        ("the 3 May deadline", "the third of May deadline"),
        ("21/11", "November twenty first"),
        ("21/11/2026", "November twenty first, twenty twenty six"),
        ("11/21/2026", "November twenty first, twenty twenty six"),
        ("21.11.2026", "November twenty first, twenty twenty six"),
        ("June 2026", "June twenty twenty six"),
        ("in 1984", "in nineteen eighty four"),
        ("since 2005", "since two thousand five"),
        ("2019-2021", "twenty nineteen to twenty twenty one"),
        ("on Mon, Nov 2", "on Monday, November second"),
        ("Sept 3", "September third"),
        ("you may go", "you may go"),
        ("May I?", "May I?"),
    ]);
}

#[test]
fn money_and_units() {
    check(&[
        ("$3.50", "three dollars and fifty cents"),
        ("$1", "one dollar"),
        ("$1.01", "one dollar and one cent"),
        ("$0.99", "ninety nine cents"),
        ("$1,200", "one thousand two hundred dollars"),
        ("€5", "five euros"),
        ("5€", "five euros"),
        ("£2.20", "two pounds and twenty pence"),
        ("¥500", "five hundred yen"),
        ("-$5", "minus five dollars"),
        ("$3 million", "three million dollars"),
        ("$2.5M", "two point five million dollars"),
        ("20 USD", "twenty dollars"),
        ("20°C", "twenty degrees Celsius"),
        ("20 °C", "twenty degrees Celsius"),
        ("1°C", "one degree Celsius"),
        ("-3.5°C", "minus three point five degrees Celsius"),
        ("100 km/h", "one hundred kilometers per hour"),
        ("5km", "five kilometers"),
        ("1 km", "one kilometer"),
        ("16GB", "sixteen gigabytes"),
        ("16 GB of RAM", "sixteen gigabytes of ram"),
        ("20 ms", "twenty milliseconds"),
        ("48 kHz", "forty eight kilohertz"),
        ("5-10km", "five to ten kilometers"),
        ("5 in the morning", "five in the morning"),
        ("100 Mbps", "one hundred megabits per second"),
        ("2 kg", "two kilograms"),
        ("10 min", "ten minutes"),
    ]);
}

#[test]
fn addresses_and_codes() {
    check(&[
        ("https://example.com", "example dot com"),
        (
            "https://example.com/docs/start?x=1#top",
            "example dot com slash docs slash start",
        ),
        ("See www.example.org.", "See www dot example dot org."),
        ("example.com", "example dot com"),
        (
            "http://localhost:8060/",
            "localhost, port eight zero six zero",
        ),
        ("jo.doe@example.com", "jo dot doe at example dot com"),
        (
            "sip:100@10.0.0.1",
            "sip one zero zero at ten dot zero dot zero dot one",
        ),
        ("/etc/hosts", "slash etc slash hosts"),
        ("~/notes.txt", "home slash notes dot txt"),
        ("main.rs", "main dot rs"),
        (
            "192.168.1.10",
            "one hundred ninety two dot one hundred sixty eight dot one dot ten",
        ),
        (
            "10.0.0.1:5060",
            "ten dot zero dot zero dot one, port five zero six zero",
        ),
        ("v1.2.3", "version one point two point three"),
        (
            "2.0.0-rc.15",
            "two point zero point zero release candidate fifteen",
        ),
        ("fe80::1", "F E eight zero colon colon one"),
        (
            "+49 30 1234567",
            "plus four nine, three zero, one two three four five six seven",
        ),
        (
            "(555) 123-4567",
            "five five five, one two three, four five six seven",
        ),
        (
            "call 555-1234 now",
            "call five five five, one two three four now",
        ),
        (
            "030 1234567",
            "zero three zero, one two three four five six seven",
        ),
        ("mp3", "M P three"),
        ("H264", "H two six four"),
        ("COVID-19", "covid nineteen"),
        ("snake_case", "snake case"),
        ("and/or", "and or"),
        ("R&D", "R and D"),
        ("@alice", "at alice"),
        ("#rust", "hashtag rust"),
    ]);
}

#[test]
fn words() {
    check(&[
        ("Dr. Who", "Doctor Who"),
        ("Mr. and Mrs. Fox", "Mister and Missus Fox"),
        ("fruit, e.g. apples", "fruit, for example apples"),
        ("that, i.e. this", "that, that is this"),
        ("apples, pears, etc.", "apples, pears, et cetera."),
        ("etc. Then", "et cetera. Then"),
        ("cats vs. dogs", "cats versus dogs"),
        ("St. Peter", "Saint Peter"),
        ("Main St. is long", "Main Street is long"),
        ("approx. 5", "approximately five"),
        ("SIP", "S I P"),
        ("the URLs", "the U R L's"),
        ("NASA", "Nassa"),
        ("JSON and YAML", "jason and yammel"),
        ("an SSD's price", "an S S D's price"),
        ("I am NOT sure", "I am not sure"),
        ("IMPORTANT: read", "important: read"),
        ("PLEASE READ THIS NOW", "please read this now"),
        ("Chapter IV", "Chapter four"),
        ("Henry VIII", "Henry the eighth"),
        ("World War II", "World War two"),
        ("I like it", "I like it"),
        ("Wi-Fi", "why fie"),
        ("Tom & Jerry", "Tom and Jerry"),
        ("A → B", "A to B"),
        ("I ❤️ it 👍", "I, heart, it, thumbs up,"),
        ("Nice 🎉🎉!", "Nice!"),
        ("™ © ®", ""),
        ("日本語", "日本語"),
    ]);
}

#[test]
fn markdown() {
    check(&[
        ("# Title\n\nText here.", "Title. Text here."),
        (
            "**bold** and *italic* and __both__",
            "bold and italic and both",
        ),
        ("`code` here", "code here"),
        ("[the docs](https://example.com/a/b)", "the docs"),
        ("![a cat](cat.png)", "a cat"),
        ("- one\n- two\n- three", "one. two. three."),
        ("1. First\n2. Second", "one: First. two: Second."),
        ("> quoted\n> text", "quoted text"),
        (
            "```rust\nfn main() {}\n```",
            "There is a piece of rust code here, which I leave out.",
        ),
        (
            "Look:\n```\nx\n```\nDone.",
            "Look: There is a piece of code here, which I leave out. Done.",
        ),
        ("| a | b |\n|---|---|\n| 1 | 2 |", "a, b. one, two."),
        ("one\n\n---\n\ntwo", "one. two"),
        ("~~gone~~ here", "gone here"),
        ("a <b>bold</b> tag", "a bold tag"),
        ("2*3", "two times three"),
        ("\\*not bold\\*", "not bold"),
        ("first line\nsame paragraph", "first line same paragraph"),
        ("- [x] done\n- [ ] open", "done. open."),
    ]);
}

/// Letters, digits and signs of all kinds, in all orders, by a small seeded generator.
#[test]
fn no_text_panics_and_all_are_bounded() {
    const PIECES: &[&str] = &[
        "a", "Dr", ".", ",", "1", "23", "456", "$", "€", "%", "-", "–", "/", ":", "::", "@", "#",
        "*", "`", "```", "_", "[", "]", "(", ")", "<", ">", "|", "\n", "\n\n", " ", "  ", "é",
        "日", "🎉", "👍", "\u{301}", "\u{0}", "'", "\"", "…", "http://", "www.", ".com", "v", "T",
        "am", "p.m.", "Nov", "XIV", "ABC", "½", "°C", "km", "=", "!=", "→", "~", "+", "^", "\\",
        "#", "Z", "00", "e.g.", "…", "\u{a0}", "\t", "ſ", "İ", "ß", "μm", "²",
    ];
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    for _ in 0..20_000 {
        let mut text = String::new();
        state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        for _ in 0..(state >> 60) + 1 {
            state = state
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1_442_695_040_888_963_407);
            text.push_str(PIECES[(state >> 33) as usize % PIECES.len()]);
        }
        super::fuzz::normalise_any(text.as_bytes());
    }
    for (piece, count) in [
        ("9", 100_000),
        ("a", 100_000),
        ("[", 20_000),
        ("1 ", 50_000),
        ("<", 20_000),
        ("(555) ", 5_000),
        ("`", 20_001),
    ] {
        super::fuzz::normalise_any(piece.repeat(count).as_bytes());
    }
}
