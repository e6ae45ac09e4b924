//! An ext4 file system of a chosen size in a file, mounted through a loop device. Needs root.

use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use anyhow::{Context, Result, bail};

use super::shutdown;
use crate::command::{output, program, which};
use crate::wait;

/// What is mounted now, for an end that drops nothing.
static MOUNTED: Mutex<Vec<PathBuf>> = Mutex::new(Vec::new());

fn mounted() -> MutexGuard<'static, Vec<PathBuf>> {
    MOUNTED.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Unmounts whatever this run has mounted.
pub(crate) fn release_all() {
    for point in mounted().drain(..) {
        if let Err(error) = umount(&point) {
            eprintln!("xtask: {} stays mounted: {error:#}", point.display());
        }
    }
}

/// Why loop devices cannot be used here; none if they can.
pub(super) fn lacking() -> Option<String> {
    if !rustix::process::getuid().is_root() {
        return Some("loop devices need root".to_owned());
    }
    let programs = ["losetup", "mkfs.ext4", "mount", "umount"];
    let lacking: Vec<&str> = programs.into_iter().filter(|name| which(name).is_none()).collect();
    if !lacking.is_empty() {
        return Some(format!("lacking: {}", lacking.join(" ")));
    }
    (!Path::new("/dev/loop-control").exists()).then(|| "there is no /dev/loop-control".to_owned())
}

/// A file system that is mounted; dropping it unmounts.
#[derive(Debug)]
pub(super) struct Device {
    image: PathBuf,
    point: PathBuf,
}

impl Device {
    /// Makes one of so many bytes in `folder` and mounts it there.
    pub(super) fn create(folder: &Path, bytes: u64) -> Result<Self> {
        if let Some(why) = lacking() {
            bail!("{why}");
        }
        let (image, point) = (folder.join("disk.img"), folder.join("disk"));
        let file = std::fs::File::create(&image)?;
        file.set_len(bytes)?;
        drop(file);
        std::fs::create_dir_all(&point)?;
        run("mkfs.ext4", &["-q", "-F", "-m", "0", &text(&image)?])?;
        let device = Self { image, point };
        device.mount()?;
        Ok(device)
    }

    /// Where it is mounted.
    pub(super) fn point(&self) -> &Path {
        &self.point
    }

    fn mount(&self) -> Result<()> {
        run("mount", &["-o", "loop", &text(&self.image)?, &text(&self.point)?])?;
        mounted().push(self.point.clone());
        Ok(())
    }

    /// The power goes: from now on nothing that was not flushed gets to the disk, and every write fails.
    pub(super) fn power_off(&self) -> Result<()> {
        shutdown::power_off(&self.point)
    }

    /// The power is back: unmounts, and mounts what is on the disk. Whoever had files open there must have ended.
    pub(super) fn power_on(&self) -> Result<()> {
        const LIMIT: Duration = Duration::from_secs(20);
        wait::until(
            "the end of what uses the device",
            LIMIT,
            || Ok(umount(&self.point).ok()),
        )?;
        self.mount()
    }
}

impl Drop for Device {
    fn drop(&mut self) {
        if mounted().contains(&self.point)
            && let Err(error) = umount(&self.point)
        {
            eprintln!("xtask: {} stays mounted: {error:#}", self.point.display());
        }
    }
}

fn umount(point: &Path) -> Result<()> {
    run("umount", &[&text(point)?])?;
    mounted().retain(|mounted| mounted != point);
    Ok(())
}

fn text(path: &Path) -> Result<String> {
    path.to_str()
        .map(str::to_owned)
        .with_context(|| format!("{} is not UTF-8", path.display()))
}

fn run(name: &str, arguments: &[&str]) -> Result<()> {
    output(&mut program(name, Path::new("/"), arguments)).map(drop)
}
