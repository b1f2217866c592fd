//! Links flite 2.2 statically, with its two embedded voices, and the small C file that stands between it and Rust.
//! Owns where the archives are looked for and what to say when they are missing.

use std::env;
use std::path::{Path, PathBuf};

/// In the order the linker wants: who needs, before who gives.
const ARCHIVES: [&str; 5] = [
    "flite_cmu_us_slt",
    "flite_cmu_us_rms",
    "flite_usenglish",
    "flite_cmulex",
    "flite",
];

fn main() {
    println!("cargo:rerun-if-changed=src/flite/bridge.c");
    println!("cargo:rerun-if-env-changed=FLITE_LIB_DIR");
    println!("cargo:rerun-if-env-changed=FLITE_INCLUDE_DIR");

    let Some(archives) = find(archive_folders(), |folder| {
        ARCHIVES
            .iter()
            .all(|name| folder.join(format!("lib{name}.a")).is_file())
    }) else {
        missing("the static archives of flite 2.2 (libflite.a and its voices)");
    };
    let Some(headers) = find(header_folders(), |folder| {
        folder.join("flite/flite.h").is_file()
    }) else {
        missing("the headers of flite 2.2 (flite/flite.h)");
    };

    // Compiled first, so that its stand-ins for sound card output are there before flite's own are looked for.
    cc::Build::new()
        .file("src/flite/bridge.c")
        .include(headers)
        .flag_if_supported("-std=c11")
        .warnings(true)
        .compile("offhook_flite_bridge");
    println!("cargo:rustc-link-search=native={}", archives.display());
    for name in ARCHIVES {
        println!("cargo:rustc-link-lib=static={name}");
    }
    println!("cargo:rustc-link-lib=dylib=m");
}

fn archive_folders() -> Vec<PathBuf> {
    let mut folders: Vec<PathBuf> = env::var_os("FLITE_LIB_DIR")
        .map(PathBuf::from)
        .into_iter()
        .collect();
    let target = env::var("TARGET").unwrap_or_default();
    // Debian's folder names leave out the vendor: x86_64-unknown-linux-gnu is x86_64-linux-gnu there.
    let multiarch = target.replace("-unknown-", "-");
    for prefix in ["/usr/lib", "/usr/local/lib"] {
        folders.push(Path::new(prefix).join(&multiarch));
        folders.push(PathBuf::from(prefix));
    }
    folders.push(PathBuf::from("/usr/lib64"));
    folders
}

fn header_folders() -> Vec<PathBuf> {
    env::var_os("FLITE_INCLUDE_DIR")
        .map(PathBuf::from)
        .into_iter()
        .chain(["/usr/include", "/usr/local/include"].map(PathBuf::from))
        .collect()
}

fn find(folders: Vec<PathBuf>, is_right: impl Fn(&Path) -> bool) -> Option<PathBuf> {
    folders.into_iter().find(|folder| is_right(folder))
}

fn missing(what: &str) -> ! {
    eprintln!(
        "\nThe built-in voice needs {what}, which are not on this machine.\n\
         On Debian and Ubuntu:  apt-get install flite1-dev\n\
         Elsewhere: build flite 2.2 with position-independent code and set FLITE_LIB_DIR and FLITE_INCLUDE_DIR.\n"
    );
    std::process::exit(1);
}
