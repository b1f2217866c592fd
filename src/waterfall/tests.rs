//! Pictures of known figures.

use super::*;

fn turn(guessed_ms: Option<u32>, words: &str) -> Waterfall {
    Waterfall {
        number: 1,
        caller_text: words.to_owned(),
        heard_text: String::new(),
        stages: Stages {
            transcribed_ms: Some(160),
            guessed_ms,
            committed_ms: Some(250),
            first_text_ms: Some(330),
            first_sound_ms: Some(380),
            first_packet_ms: Some(400),
            decode_ms: Some(70),
        },
    }
}

#[test]
fn a_bar_begins_where_its_cause_ended() {
    let bars = |turn: &Waterfall| -> Vec<(Kind, u32, u32)> {
        let bars = turn.bars().into_iter();
        bars.map(|bar| (bar.kind, bar.from_ms, bar.to_ms)).collect()
    };
    let guessed = turn(Some(170), "");
    assert_eq!(
        bars(&guessed),
        [
            (Kind::Heard, 0, 160),
            (Kind::Guess, 170, 250),
            (Kind::Text, 170, 330),
            (Kind::Voice, 330, 380),
            (Kind::Commit, 0, 250),
            (Kind::Packet, 380, 400),
        ]
    );
    assert_eq!(guessed.saved_ms(), Some(80));
    let mut asked_late = turn(None, "");
    asked_late.stages.first_packet_ms = None;
    assert_eq!(
        bars(&asked_late),
        [
            (Kind::Heard, 0, 160),
            (Kind::Text, 250, 330),
            (Kind::Voice, 330, 380),
            (Kind::Commit, 0, 250),
        ]
    );
    let nothing = Waterfall {
        stages: Stages::default(),
        ..guessed
    };
    assert_eq!(bars(&nothing), []);
}

#[test]
fn the_text_lines_up() {
    let expected = "\
turn 1 · first packet after 400 ms · asked 80 ms before the commit
  caller: what time is it
              0         100       200       300       400 ms
  heard       ████████████████ 160 ms, decoding 70
  guess held                   ░░░░░░░░ 250 ms (+80)
  text                         ████████████████ 330 ms (+160)
  voice                                        █████ 380 ms (+50)
  commit      ░░░░░░░░░░░░░░░░░░░░░░░░░ 250 ms
  packet                                            ██ 400 ms (+20)
";
    let drawn = text(&[turn(Some(170), "what time is it\n")], 40);
    assert_eq!(drawn, expected);
}

#[test]
fn every_picture_of_odd_figures_is_drawn() {
    let figures = [None, Some(0), Some(1), Some(99), Some(u32::MAX)];
    let mut turns = Vec::new();
    for a in figures {
        for b in figures {
            turns.push(Waterfall {
                stages: Stages {
                    transcribed_ms: a,
                    guessed_ms: b,
                    committed_ms: a,
                    first_text_ms: b,
                    first_sound_ms: a,
                    first_packet_ms: b,
                    decode_ms: a,
                },
                ..turn(None, "")
            });
        }
    }
    for turn in &turns {
        let one = std::slice::from_ref(turn);
        let widest = text(one, 60).lines().map(|line| line.chars().count()).max();
        assert!(widest.is_some_and(|columns| columns < 130));
        assert!(svg(one, "x").ends_with("</svg>\n"));
    }
    text(&turns, 0);
    text(&[], 60);
    svg(&[], "");
}

#[test]
fn words_are_no_orders_to_what_shows_them() {
    let words = "a <script> & \"b\"\u{1b}[2J\u{fffe}";
    let picture = svg(&[turn(None, words)], words);
    assert!(!picture.contains("<script>") && !picture.contains('\u{1b}'));
    assert!(picture.contains("a &lt;script&gt; &amp; &quot;b&quot;"));
    assert!(!text(&[turn(None, words)], 60).contains('\u{1b}'));
    let long = text(&[turn(None, &"word ".repeat(100))], 60);
    assert!(long.contains("…"));
}

#[test]
fn the_axis_has_few_round_steps() {
    let rows = [
        (100, 20),
        (400, 100),
        (700, 200),
        (1_500, 500),
        (9_000, 2_000),
    ];
    for (span, expected) in rows {
        assert_eq!(tick_ms(span), expected, "{span}");
    }
    assert!(tick_ms(u32::MAX) > 0);
}

#[test]
fn bars_alone_fit_a_narrow_page() {
    for width in [0, 300, 356, 720] {
        let picture = bars_svg(&[turn(Some(170), "private words")], width);
        let shown = width.max(300);
        assert!(picture.contains(&format!("width=\"{shown}\"")), "{picture}");
        assert!(
            !picture.contains("private words") && !picture.contains("turn 1"),
            "{picture}"
        );
        // No bar ends behind the room for its figure.
        for bar in picture.split("<rect ").skip(1) {
            let number = |name: &str| -> f64 {
                let text = bar
                    .split(&format!("{name}=\""))
                    .nth(1)
                    .and_then(|rest| rest.split('"').next());
                text.and_then(|text| text.parse().ok()).unwrap_or(f64::MAX)
            };
            let end = number(" x").min(number("x")) + number("width");
            assert!(end <= f64::from(shown) - 100.0, "{bar}");
        }
    }
}
