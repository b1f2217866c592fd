//! Styled text as the HTML that rooms show (§11.2.1.1 names the tags). Owns the tags and the escaping: no words become a tag,
//! and every tag is closed in its message.
//! PURE.

use crate::channels::markdown::{Rich, Style};

/// HTML for a text in Markdown; none where there is nothing to mark up.
pub fn html(text: &str) -> Option<String> {
    let rich = Rich::read(text);
    let plain = Style::default();
    if rich.runs.iter().all(|run| run.style == plain) {
        return None;
    }
    let is_block = |style: &Style| style.block.is_some();
    let mut out = String::new();
    let mut in_quote = false;
    for (n, run) in rich.runs.iter().enumerate() {
        if run.style.quote != in_quote {
            out.push_str(if in_quote {
                "</blockquote>"
            } else {
                "<blockquote>"
            });
            in_quote = run.style.quote;
        }
        let mut words = run.text.as_str();
        if !is_block(&run.style) {
            // A block stands in lines of its own in any case.
            let before = n
                .checked_sub(1)
                .and_then(|n| rich.runs.get(n))
                .map(|run| &run.style);
            let after = rich.runs.get(n + 1).map(|run| &run.style);
            let parts = |other: &Style| is_block(other) || other.quote != run.style.quote;
            if before.is_some_and(parts) {
                words = words.strip_prefix('\n').unwrap_or(words);
            }
            if after.is_some_and(parts) {
                words = words.strip_suffix('\n').unwrap_or(words);
            }
        }
        let closing = open(&mut out, &run.style);
        escape(&mut out, words, !is_block(&run.style));
        for tag in closing.iter().rev() {
            out.push_str(tag);
        }
    }
    if in_quote {
        out.push_str("</blockquote>");
    }
    Some(out)
}

/// Opens the tags of a style; what closes them, in the order of opening.
fn open(out: &mut String, style: &Style) -> Vec<&'static str> {
    if let Some(language) = &style.block {
        out.push_str("<pre><code");
        if !language.is_empty() {
            out.push_str(" class=\"language-");
            escape(out, language, false);
            out.push('"');
        }
        out.push('>');
        return vec!["</code></pre>"];
    }
    let mut closing = Vec::new();
    if let Some(link) = &style.link {
        out.push_str("<a href=\"");
        escape(out, link, false);
        out.push_str("\">");
        closing.push("</a>");
    }
    for (is_on, tag, end) in [
        (style.bold, "<strong>", "</strong>"),
        (style.italic, "<em>", "</em>"),
        (style.strike, "<del>", "</del>"),
        (style.code, "<code>", "</code>"),
    ] {
        if is_on {
            out.push_str(tag);
            closing.push(end);
        }
    }
    closing
}

fn escape(out: &mut String, text: &str, breaks_lines: bool) {
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\n' if breaks_lines => out.push_str("<br/>"),
            c => out.push(c),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::html;

    #[test]
    fn marks_become_tags() {
        for (text, expected) in [
            ("plain, 2*3*4 and snake_case_names", None),
            ("1 < 2 & 3 > 2", None),
            (
                "**bold** and *soft* and `a < b`\nnext",
                Some("<strong>bold</strong> and <em>soft</em> and <code>a &lt; b</code><br/>next"),
            ),
            (
                "Look:\n```rust\nlet a = \"<b>\";\n```\nThat.",
                Some(
                    "Look:<pre><code class=\"language-rust\">let a = &quot;&lt;b&gt;&quot;;</code></pre>That.",
                ),
            ),
            (
                "see [it](https://a.example/?a=1&b=2)",
                Some("see <a href=\"https://a.example/?a=1&amp;b=2\">it</a>"),
            ),
            ("[it](javascript:alert(1))", None),
            (
                "> said\n> so\nyes",
                Some("<blockquote>said<br/>so</blockquote>yes"),
            ),
            ("", None),
        ] {
            assert_eq!(html(text).as_deref(), expected, "{text:?}");
        }
    }

    #[test]
    fn words_never_become_tags() {
        let html = html("**x** <script>alert(1)</script> <img src=x>").expect("bold words");
        assert!(
            !html.contains("<script") && !html.contains("<img"),
            "{html}"
        );
    }
}
