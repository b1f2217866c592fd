//! Folds text to ASCII for voices that know no other letters: accents off, typographic signs to plain ones, the rest to
//! what can honestly be said about it. Owns the folding; not what to say (`text`).
//! PURE.

/// What stands for a run of letters of a script that the voice cannot read.
const UNREADABLE: &str = " words in another script, ";

/// `text` in ASCII, without control characters.
pub fn fold(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut in_unreadable = false;
    for c in text.chars() {
        if c.is_ascii() {
            let is_silent = c.is_ascii_control();
            out.push(if is_silent { ' ' } else { c });
            in_unreadable &= !c.is_ascii_alphanumeric();
            continue;
        }
        if let Some(plain) = plain(c) {
            out.push_str(plain);
            in_unreadable = false;
        } else if c.is_alphanumeric() {
            if !in_unreadable {
                out.push_str(UNREADABLE);
            }
            in_unreadable = true;
        } else if !is_joiner(c) {
            out.push(' ');
        }
    }
    out
}

/// Marks that sit on or between letters and have no sound of their own.
fn is_joiner(c: char) -> bool {
    matches!(c, '\u{300}'..='\u{36f}' | '\u{200b}'..='\u{200f}' | '\u{2060}' | '\u{fe00}'..='\u{fe0f}' | '\u{feff}' | '\u{ad}')
}

fn plain(c: char) -> Option<&'static str> {
    Some(match c {
        'à' | 'á' | 'â' | 'ã' | 'å' | 'ā' | 'ă' | 'ą' => "a",
        'À' | 'Á' | 'Â' | 'Ã' | 'Å' | 'Ā' | 'Ă' | 'Ą' => "A",
        'ä' | 'æ' => "ae",
        'Ä' | 'Æ' => "Ae",
        'ç' | 'ć' | 'č' | 'ĉ' => "c",
        'Ç' | 'Ć' | 'Č' | 'Ĉ' => "C",
        'ď' | 'đ' | 'ð' => "d",
        'Ď' | 'Đ' | 'Ð' => "D",
        'è' | 'é' | 'ê' | 'ë' | 'ē' | 'ė' | 'ę' | 'ě' => "e",
        'È' | 'É' | 'Ê' | 'Ë' | 'Ē' | 'Ė' | 'Ę' | 'Ě' => "E",
        'ğ' | 'ģ' => "g",
        'Ğ' | 'Ģ' => "G",
        'ì' | 'í' | 'î' | 'ï' | 'ī' | 'į' | 'ı' => "i",
        'Ì' | 'Í' | 'Î' | 'Ï' | 'Ī' | 'Į' | 'İ' => "I",
        'ł' | 'ļ' | 'ľ' | 'ĺ' => "l",
        'Ł' | 'Ļ' | 'Ľ' | 'Ĺ' => "L",
        'ñ' | 'ń' | 'ň' | 'ņ' => "n",
        'Ñ' | 'Ń' | 'Ň' | 'Ņ' => "N",
        'ò' | 'ó' | 'ô' | 'õ' | 'ō' | 'ő' | 'ø' => "o",
        'Ò' | 'Ó' | 'Ô' | 'Õ' | 'Ō' | 'Ő' | 'Ø' => "O",
        'ö' | 'œ' => "oe",
        'Ö' | 'Œ' => "Oe",
        'ř' | 'ŕ' => "r",
        'Ř' | 'Ŕ' => "R",
        'ś' | 'š' | 'ş' | 'ș' => "s",
        'Ś' | 'Š' | 'Ş' | 'Ș' => "S",
        'ß' => "ss",
        'ť' | 'ţ' | 'ț' => "t",
        'Ť' | 'Ţ' | 'Ț' => "T",
        'þ' => "th",
        'Þ' => "Th",
        'ù' | 'ú' | 'û' | 'ū' | 'ů' | 'ű' | 'ų' => "u",
        'Ù' | 'Ú' | 'Û' | 'Ū' | 'Ů' | 'Ű' | 'Ų' => "U",
        'ü' => "ue",
        'Ü' => "Ue",
        'ý' | 'ÿ' => "y",
        'Ý' | 'Ÿ' => "Y",
        'ź' | 'ż' | 'ž' => "z",
        'Ź' | 'Ż' | 'Ž' => "Z",
        '‘' | '’' | '‚' | '′' | 'ʼ' => "'",
        '“' | '”' | '„' | '«' | '»' | '″' => "\"",
        '–' | '—' | '―' => ", ",
        '‐' | '‑' | '−' => "-",
        '…' => "...",
        '。' => ". ",
        '，' | '、' => ", ",
        '！' => "! ",
        '？' => "? ",
        '；' => "; ",
        '：' => ": ",
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn letters_fold_to_what_is_near() {
        for (text, expected) in [
            ("", ""),
            ("plain", "plain"),
            ("café déjà vu", "cafe deja vu"),
            ("Zürich, Łódź, Çelik", "Zuerich, Lodz, Celik"),
            ("e\u{301}", "e"),
            ("“Don’t”…", "\"Don't\"..."),
            ("yes — no", "yes ,  no"),
            ("日本語です。", " words in another script, . "),
            ("say 你好 please", "say  words in another script,  please"),
            ("a\u{0}b\tc", "a b c"),
            ("🎉", " "),
        ] {
            assert_eq!(fold(text), expected, "{text}");
        }
    }

    #[test]
    fn all_of_unicode_folds_to_ascii() {
        let everything: String = (0..=0x2_ffff_u32).filter_map(char::from_u32).collect();
        assert!(fold(&everything).bytes().all(|b| (0x20..0x7f).contains(&b)));
    }
}
