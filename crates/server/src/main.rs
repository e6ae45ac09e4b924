//! The binary `tally`.

mod arenas;

fn main() -> std::process::ExitCode {
    arenas::share();
    tally_server::main()
}
