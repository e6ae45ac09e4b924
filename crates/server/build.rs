//! Makes the folder of the built web UI where it is missing, so that a plain `cargo build` works without Node.

use std::fs;
use std::path::Path;

fn main() {
    let package = std::env::var_os("CARGO_MANIFEST_DIR").unwrap_or_default();
    let dist = Path::new(&package).join("../../ui/dist");
    if let Err(error) = fs::create_dir_all(&dist) {
        println!(
            "cargo::warning=cannot create {}: {error}; the web UI will be missing",
            dist.display()
        );
    }
    println!("cargo::rerun-if-changed={}", dist.display());
}
