//! Makes the folder of the built web UI where it is missing, so that a plain `cargo build` works without Node.

use std::fs;
use std::path::Path;

fn main() {
    let dist = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../ui/dist");
    if let Err(error) = fs::create_dir_all(&dist) {
        println!(
            "cargo::warning=cannot create {}: {error}; the web UI will be missing",
            dist.display()
        );
    }
    println!("cargo::rerun-if-changed={}", dist.display());
}
