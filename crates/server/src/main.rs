//! The binary `tally`.

mod allocator;

fn main() -> std::process::ExitCode {
    tally_server::main()
}
