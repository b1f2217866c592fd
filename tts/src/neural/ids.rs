//! From phonemes to the numbers a voice was trained on, in Piper's way: `^ _ p _ p _ … $`.
//! PURE.

use std::collections::BTreeMap;

/// Begins every text.
pub const BOS: char = '^';
/// Stands after everything but the end.
pub const PAD: char = '_';
/// Ends every text.
pub const EOS: char = '$';

/// Most numbers in one run of the model. What is longer is cut; texts are split long before.
pub const IDS_MAX: usize = 4096;

/// Numbers of a text, and how many of its phonemes the voice does not know or has no room for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ids {
    /// What the model takes.
    pub ids: Vec<i64>,
    /// Phonemes left out.
    pub skipped: usize,
    /// Phonemes that went in.
    pub taken: usize,
}

/// Numbers of the phonemes a voice knows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IdMap {
    map: BTreeMap<char, Vec<i64>>,
}

impl IdMap {
    /// None unless the three marks are there, each with a number.
    pub fn new(map: BTreeMap<char, Vec<i64>>) -> Option<IdMap> {
        let is_whole = [BOS, PAD, EOS]
            .iter()
            .all(|mark| map.get(mark).is_some_and(|ids| !ids.is_empty()));
        is_whole.then_some(IdMap { map })
    }

    /// Numbers of `phonemes`.
    pub fn ids(&self, phonemes: &str) -> Ids {
        let pad = self.of(PAD);
        let end = self.of(EOS);
        let mut ids = [self.of(BOS), pad].concat();
        let (mut skipped, mut taken) = (0, 0);
        for phoneme in phonemes.chars() {
            // The marks belong to the frame, never to a text.
            if matches!(phoneme, BOS | PAD | EOS) {
                skipped += 1;
                continue;
            }
            for part in self.parts(phoneme).into_iter().flatten() {
                match self.map.get(&part) {
                    Some(numbers)
                        if ids.len() + numbers.len() + pad.len() + end.len() <= IDS_MAX =>
                    {
                        ids.extend_from_slice(numbers);
                        ids.extend_from_slice(pad);
                        taken += 1;
                    }
                    _ => skipped += 1,
                }
            }
        }
        ids.extend_from_slice(end);
        Ids {
            ids,
            skipped,
            taken,
        }
    }

    fn of(&self, mark: char) -> &[i64] {
        self.map.get(&mark).map_or(&[], Vec::as_slice)
    }

    /// A letter with a mark is two phonemes where the voice knows both: voices are trained on decomposed text.
    fn parts(&self, phoneme: char) -> [Option<char>; 2] {
        match decomposed(phoneme) {
            Some((letter, mark))
                if self.map.contains_key(&letter) && self.map.contains_key(&mark) =>
            {
                [Some(letter), Some(mark)]
            }
            _ => [Some(phoneme), None],
        }
    }
}

/// Unicode's canonical decomposition, for the letters that European languages and the phonetic alphabet use.
fn decomposed(letter: char) -> Option<(char, char)> {
    const LETTERS: [(char, &str, &str); 9] = [
        ('\u{300}', "aeiounAEIOUN", "àèìòùǹÀÈÌÒÙǸ"),
        ('\u{301}', "aeiouycnszAEIOUYCNSZ", "áéíóúýćńśźÁÉÍÓÚÝĆŃŚŹ"),
        ('\u{302}', "aeiouAEIOU", "âêîôûÂÊÎÔÛ"),
        ('\u{303}', "aeiouynAEIOUN", "ãẽĩõũỹñÃẼĨÕŨÑ"),
        ('\u{308}', "aeiouyAEIOU", "äëïöüÿÄËÏÖÜ"),
        ('\u{30a}', "auAU", "åůÅŮ"),
        ('\u{30b}', "ouOU", "őűŐŰ"),
        ('\u{30c}', "cdenrsztCDENRSZT", "čďěňřšžťČĎĚŇŘŠŽŤ"),
        ('\u{327}', "csCS", "çşÇŞ"),
    ];
    for (mark, plain, marked) in LETTERS {
        let found = plain
            .chars()
            .zip(marked.chars())
            .find(|(_, m)| *m == letter);
        if let Some((plain, _)) = found {
            return Some((plain, mark));
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    fn map() -> IdMap {
        let rows = [
            ('_', vec![0]),
            ('^', vec![1]),
            ('$', vec![2]),
            ('a', vec![10]),
            ('b', vec![11, 12]),
            (' ', vec![3]),
            ('c', vec![13]),
            ('\u{327}', vec![14]),
            ('õ', vec![15]),
            ('ˈ', vec![16]),
        ];
        IdMap::new(rows.into_iter().collect()).unwrap()
    }

    #[test]
    fn phonemes_become_numbers() {
        for (phonemes, ids, skipped) in [
            ("", vec![1, 0, 2], 0),
            ("a", vec![1, 0, 10, 0, 2], 0),
            ("ab", vec![1, 0, 10, 0, 11, 12, 0, 2], 0),
            ("ˈa a", vec![1, 0, 16, 0, 10, 0, 3, 0, 10, 0, 2], 0),
            ("axa", vec![1, 0, 10, 0, 10, 0, 2], 1),
            ("xyz", vec![1, 0, 2], 3),
            // The frame's marks cannot be said.
            ("^a_$", vec![1, 0, 10, 0, 2], 3),
            // Decomposed where both parts are known, whole otherwise.
            ("ç", vec![1, 0, 13, 0, 14, 0, 2], 0),
            ("õ", vec![1, 0, 15, 0, 2], 0),
            ("ã", vec![1, 0, 2], 1),
        ] {
            let found = map().ids(phonemes);
            assert_eq!(found.ids, ids, "{phonemes}");
            assert_eq!(found.skipped, skipped, "{phonemes}");
        }
    }

    #[test]
    fn too_much_is_cut_and_still_ends() {
        let found = map().ids(&"b".repeat(100_000));
        assert!(found.ids.len() <= IDS_MAX);
        assert_eq!(found.ids.last(), Some(&2));
        assert_eq!(found.skipped + found.taken, 100_000);
    }

    #[test]
    fn the_frame_is_required() {
        for missing in [BOS, PAD, EOS] {
            let mut rows = map().map;
            rows.remove(&missing);
            assert_eq!(IdMap::new(rows.clone()), None, "{missing}");
            rows.insert(missing, Vec::new());
            assert_eq!(IdMap::new(rows), None, "{missing}");
        }
    }

    #[test]
    fn the_decomposition_is_paired() {
        for (letter, parts) in [
            ('ç', Some(('c', '\u{327}'))),
            ('ñ', Some(('n', '\u{303}'))),
            ('Ť', Some(('T', '\u{30c}'))),
            ('ÿ', Some(('y', '\u{308}'))),
            ('ý', Some(('y', '\u{301}'))),
            ('a', None),
            ('ə', None),
        ] {
            assert_eq!(decomposed(letter), parts, "{letter}");
        }
    }
}
