//! The binary `tally`.

fn main() -> std::process::ExitCode {
    tally_server::main()
}
