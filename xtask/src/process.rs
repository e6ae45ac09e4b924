//! What the kernel says of a running process, and of a folder.

use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result};

use crate::wait;

/// The processor time that all its threads have used, in seconds.
pub(crate) fn cpu_seconds(id: u32) -> Result<f64> {
    seconds(&stat(id)?, &[14, 15])
}

/// The same with that of its children, those that have ended included.
pub(crate) fn family_cpu_seconds(id: u32) -> Result<f64> {
    let mut all = seconds(&stat(id)?, &[14, 15, 16, 17])?;
    for entry in std::fs::read_dir("/proc")? {
        let name = entry?.file_name();
        let Some(child) = name.to_str().and_then(|name| name.parse().ok()) else {
            continue;
        };
        // It may have ended since.
        if let Ok(stat) = stat(child)
            && stat.split_whitespace().nth(4 - 3) == Some(id.to_string().as_str())
        {
            all += seconds(&stat, &[14, 15])?;
        }
    }
    Ok(all)
}

/// What the kernel says of it, from the third field on: its name, in parentheses, may hold anything.
fn stat(id: u32) -> Result<String> {
    let stat = std::fs::read_to_string(format!("/proc/{id}/stat"))?;
    let (_, fields) = stat.rsplit_once(')').context("a stat without a name")?;
    Ok(fields.to_owned())
}

/// The sum of these fields, which are times.
fn seconds(stat: &str, numbers: &[usize]) -> Result<f64> {
    let mut ticks = 0;
    for number in numbers {
        let field = stat.split_whitespace().nth(number - 3);
        ticks += field.context("a stat without times")?.parse::<u64>()?;
    }
    Ok(ticks as f64 / rustix::param::clock_ticks_per_second() as f64)
}

/// The memory it holds, in bytes.
pub(crate) fn resident_bytes(id: u32) -> Result<f64> {
    status_bytes(id, "VmRSS:")
}

/// The most memory it has held since it began, in bytes.
pub(crate) fn peak_bytes(id: u32) -> Result<f64> {
    status_bytes(id, "VmHWM:")
}

fn status_bytes(id: u32, name: &str) -> Result<f64> {
    let status = std::fs::read_to_string(format!("/proc/{id}/status"))?;
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix(name))
        .with_context(|| format!("a status without {name}"))?;
    let kilobytes: u32 = line.trim().trim_end_matches(" kB").parse()?;
    Ok(f64::from(kilobytes) * 1024.0)
}

/// Waits until it has used less than a twentieth of a core for half a second.
pub(crate) fn rest(id: u32) -> Result<()> {
    rest_all(&[id])
}

/// The same of several together.
pub(crate) fn rest_all(ids: &[u32]) -> Result<()> {
    const LIMIT: Duration = Duration::from_mins(2);
    const LOOK: Duration = Duration::from_millis(500);
    let used = || -> Result<f64> { ids.iter().map(|id| cpu_seconds(*id)).sum() };
    wait::until("the server to come to rest", LIMIT, || {
        let before = used()?;
        std::thread::sleep(LOOK);
        Ok((used()? - before < LOOK.as_secs_f64() / 20.0).then_some(()))
    })
}

/// What a folder takes on the disk, in bytes, as `du` counts.
pub(crate) fn disk_bytes(folder: &Path) -> Result<f64> {
    const BLOCK: f64 = 512.0;
    let mut bytes = 0.0;
    for entry in std::fs::read_dir(folder)? {
        let entry = entry?;
        let metadata = entry.metadata()?;
        bytes += metadata.blocks() as f64 * BLOCK;
        if metadata.is_dir() {
            bytes += disk_bytes(&entry.path())?;
        }
    }
    Ok(bytes)
}

/// The parts of a folder and what each takes, for the reader who wonders about the whole.
pub(crate) fn disk_parts(folder: &Path) -> Result<String> {
    let mut parts = Vec::new();
    for entry in std::fs::read_dir(folder)? {
        let entry = entry?;
        let metadata = entry.metadata()?;
        let bytes = if metadata.is_dir() {
            disk_bytes(&entry.path())?
        } else {
            metadata.blocks() as f64 * 512.0
        };
        parts.push(format!("{} {bytes:.0}", entry.file_name().to_string_lossy()));
    }
    parts.sort();
    Ok(parts.join(", "))
}
