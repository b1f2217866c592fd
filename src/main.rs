//! The program's start. What it can do stands in `cli`.

use std::process::ExitCode;

fn main() -> ExitCode {
    offhook::cli::main()
}
