//! Styled text as Telegram's HTML (Bot API, "HTML style"). Owns the tags and the escaping: nothing of the text can be a
//! tag, and every tag is closed within its message.
//! PURE.

use crate::channels::markdown::{Rich, Style};

/// The whole text with its tags.
pub fn html(rich: &Rich) -> String {
    let mut out = String::new();
    let mut in_quote = false;
    for run in &rich.runs {
        // One quotation is one tag, whatever stands in it.
        if run.style.quote != in_quote {
            out.push_str(if in_quote {
                "</blockquote>"
            } else {
                "<blockquote>"
            });
            in_quote = run.style.quote;
        }
        let close = open_tags(&mut out, &run.style);
        escape(&mut out, &run.text);
        for tag in close.iter().rev() {
            out.push_str(tag);
        }
    }
    if in_quote {
        out.push_str("</blockquote>");
    }
    out
}

/// Only the words, safe as HTML.
pub fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    escape(&mut out, text);
    out
}

fn open_tags(out: &mut String, style: &Style) -> Vec<&'static str> {
    let mut close = Vec::new();
    if let Some(language) = &style.block {
        if language.is_empty() {
            out.push_str("<pre>");
            close.push("</pre>");
        } else {
            out.push_str("<pre><code class=\"language-");
            escape(out, language);
            out.push_str("\">");
            close.push("</code></pre>");
        }
        // Telegram allows nothing else in there.
        return close;
    }
    if let Some(link) = &style.link {
        out.push_str("<a href=\"");
        escape(out, link);
        out.push_str("\">");
        close.push("</a>");
    }
    for (is_on, open, end) in [
        (style.bold, "<b>", "</b>"),
        (style.italic, "<i>", "</i>"),
        (style.strike, "<s>", "</s>"),
    ] {
        // Code takes no other style.
        if is_on && !style.code {
            out.push_str(open);
            close.push(end);
        }
    }
    if style.code {
        out.push_str("<code>");
        close.push("</code>");
    }
    close
}

fn escape(out: &mut String, text: &str) {
    for c in text.chars() {
        match c {
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '&' => out.push_str("&amp;"),
            '"' => out.push_str("&quot;"),
            // No XML can carry these.
            c if c.is_control() && !matches!(c, '\n' | '\t') => {}
            c => out.push(c),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn styles_become_tags() {
        let cases = [
            ("a < b & \"c\"", "a &lt; b &amp; &quot;c&quot;"),
            ("**a** *b*", "<b>a</b> <i>b</i>"),
            ("***a***", "<b><i>a</i></b>"),
            ("**`a`**", "<code>a</code>"),
            (
                "> a **b**\n> c\nd",
                "<blockquote>a <b>b</b>\nc</blockquote>\nd",
            ),
            ("```\na<b\n```", "<pre>a&lt;b</pre>"),
            (
                "```c++\nx\n```",
                "<pre><code class=\"language-c++\">x</code></pre>",
            ),
            (
                "[a&b](https://c.example/?d=1&e=2)",
                "<a href=\"https://c.example/?d=1&amp;e=2\">a&amp;b</a>",
            ),
            (
                "<script>x</script>\u{0}\u{7}",
                "&lt;script&gt;x&lt;/script&gt;",
            ),
        ];
        for (text, expected) in cases {
            assert_eq!(html(&Rich::read(text)), expected, "{text:?}");
        }
    }
}
