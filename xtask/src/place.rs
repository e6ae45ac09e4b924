//! Where things lie: the checkout, the build folder, and the folder of xtask's own inside it.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Mutex, MutexGuard, PoisonError};

use anyhow::{Context, Result};
use tempfile::TempDir;

use crate::command;

/// The fresh folders of this run, for an end that drops nothing.
static FRESH: Mutex<Vec<PathBuf>> = Mutex::new(Vec::new());

fn fresh() -> MutexGuard<'static, Vec<PathBuf>> {
    FRESH.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Removes the fresh folders of this run that are still there.
pub(crate) fn remove_fresh() {
    for folder in fresh().iter().filter(|folder| folder.exists()) {
        if let Err(error) = std::fs::remove_dir_all(folder) {
            eprintln!("xtask: cannot remove {}: {error}", folder.display());
        }
    }
}

/// The checkout and its build folder.
#[derive(Clone, Debug)]
pub(crate) struct Place {
    root: PathBuf,
    target: PathBuf,
}

impl Place {
    /// The checkout that this xtask was built from.
    pub(crate) fn find() -> Result<Self> {
        let manifest = std::env::var_os("CARGO_MANIFEST_DIR").context("call it as `cargo xtask`")?;
        let root = Path::new(&manifest)
            .parent()
            .context("xtask lies in the checkout")?
            .to_path_buf();
        let metadata = command::cargo(&root, &["metadata", "--no-deps", "--format-version", "1"]);
        let target = Self::target_of(metadata)?;
        Ok(Self { root, target })
    }

    fn target_of(mut metadata: Command) -> Result<PathBuf> {
        let json: serde_json::Value = serde_json::from_str(&command::output(&mut metadata)?)?;
        let target = json.get("target_directory").and_then(|value| value.as_str());
        Ok(PathBuf::from(
            target.context("cargo metadata names no target_directory")?,
        ))
    }

    /// The top of the checkout.
    pub(crate) fn root(&self) -> &Path {
        &self.root
    }

    /// A path inside the checkout.
    pub(crate) fn path(&self, inside: &str) -> PathBuf {
        self.root.join(inside)
    }

    /// A folder of xtask's own that outlives the run, such as the Python environment.
    pub(crate) fn kept(&self, name: &str) -> Result<PathBuf> {
        let folder = self.target.join("xtask").join(name);
        std::fs::create_dir_all(&folder).with_context(|| format!("cannot create {}", folder.display()))?;
        Ok(folder)
    }

    /// A fresh folder on the disk of the build folder, removed when dropped.
    pub(crate) fn fresh(&self, name: &str) -> Result<TempDir> {
        let parent = self.kept("tmp")?;
        let folder = tempfile::Builder::new()
            .prefix(&format!("{name}-"))
            .tempdir_in(&parent)
            .context("cannot create a fresh folder")?;
        fresh().push(folder.path().to_path_buf());
        Ok(folder)
    }

    /// The server's binary of a profile (`release` or `debug`).
    pub(crate) fn binary(&self, profile: &str) -> PathBuf {
        self.target.join(profile).join("tally")
    }
}
