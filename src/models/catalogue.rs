//! PURE. The speech models that can be had by name. Lengths and SHA-256 are the ones upstream publishes
//! for its files; the licence is the one of OpenAI's weights.

use crate::config::ExtraModel;

/// One published ggml file.
#[derive(Debug)]
pub struct Known {
    pub name: &'static str,
    pub bytes: u64,
    pub sha256: &'static str,
    /// Understands English only.
    pub is_english: bool,
    /// More is better, and slower.
    pub rank: u32,
}

const LICENCE: &str = "MIT";

const fn known(
    name: &'static str,
    bytes: u64,
    is_english: bool,
    rank: u32,
    sha256: &'static str,
) -> Known {
    Known {
        name,
        bytes,
        sha256,
        is_english,
        rank,
    }
}

/// The files whose checksums we know, smallest first.
pub const KNOWN: &[Known] = &[
    known(
        "tiny-q5_1",
        32_152_673,
        false,
        10,
        "818710568da3ca15689e31a743197b520007872ff9576237bda97bd1b469c3d7",
    ),
    known(
        "tiny.en-q5_1",
        32_166_155,
        true,
        10,
        "c77c5766f1cef09b6b7d47f21b546cbddd4157886b3b5d6d4f709e91e66c7c2b",
    ),
    known(
        "base-q5_1",
        59_707_625,
        false,
        20,
        "422f1ae452ade6f30a004d7e5c6a43195e4433bc370bf23fac9cc591f01a8898",
    ),
    known(
        "base.en-q5_1",
        59_721_011,
        true,
        20,
        "4baf70dd0d7c4247ba2b81fafd9c01005ac77c2f9ef064e00dcf195d0e2fdd2f",
    ),
    known(
        "base.en",
        147_964_211,
        true,
        21,
        "a03779c86df3323075f5e796cb2ce5029f00ec8869eee3fdfb897afe36c6d002",
    ),
    known(
        "small-q5_1",
        190_085_487,
        false,
        30,
        "ae85e4a935d7a567bd102fe55afc16bb595bdb618e11b2fc7591bc08120411bb",
    ),
    known(
        "small.en-q5_1",
        190_098_681,
        true,
        30,
        "bfdff4894dcb76bbf647d56263ea2a96645423f1669176f4844a1bf8e478ad30",
    ),
    known(
        "small.en",
        487_614_201,
        true,
        31,
        "c6138d6d58ecc8322097e0f987c32f1be8bb0a18532a3f88f734d1bbf9c41e5d",
    ),
    known(
        "medium-q5_0",
        539_212_467,
        false,
        40,
        "19fea4b380c3a618ec4723c3eef2eb785ffba0d0538cf43f8f235e7b3b34220f",
    ),
    known(
        "medium.en-q5_0",
        539_225_533,
        true,
        40,
        "76733e26ad8fe1c7a5bf7531a9d41917b2adc0f20f2e4f5531688a8c6cd88eb0",
    ),
    known(
        "large-v3-turbo-q5_0",
        574_041_195,
        false,
        50,
        "394221709cd5ad1f40c46e6031ca61bce88931e6e088c188294c6d5a55ffa7e2",
    ),
];

/// A model that can be fetched.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Model {
    pub name: String,
    /// File name in the models folder.
    pub file: String,
    /// None: the owner's own model, whose length is not known.
    pub bytes: Option<u64>,
    /// 64 small hexadecimal digits.
    pub sha256: String,
    pub licence: String,
    /// Such as `English`.
    pub languages: &'static str,
    /// Where to get it, in the order to try.
    pub urls: Vec<String>,
}

impl Model {
    pub(super) fn from_known(known: &Known, mirrors: &[String]) -> Model {
        let file = format!("ggml-{}.bin", known.name);
        let urls = mirrors
            .iter()
            .map(|mirror| format!("{mirror}/{file}"))
            .collect();
        Model {
            name: known.name.to_owned(),
            file,
            bytes: Some(known.bytes),
            sha256: known.sha256.to_owned(),
            licence: LICENCE.to_owned(),
            languages: if known.is_english { "English" } else { "many" },
            urls,
        }
    }

    pub(super) fn from_config(extra: &ExtraModel) -> Model {
        Model {
            name: extra.name.clone(),
            file: format!("{}.bin", extra.name.trim_end_matches(".bin")),
            bytes: None,
            sha256: extra.sha256.clone(),
            licence: extra.licence.clone(),
            languages: "as its maker says",
            urls: vec![extra.url.clone()],
        }
    }

    /// Such as `57 MiB`.
    pub fn size(&self) -> String {
        self.bytes
            .map_or_else(|| "size unknown".to_owned(), mebibytes)
    }
}

/// `bytes` rounded up to whole MiB, with the unit.
pub fn mebibytes(bytes: u64) -> String {
    format!("{} MiB", bytes.div_ceil(1024 * 1024))
}
