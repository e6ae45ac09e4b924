//! The loss of power, as ext4 lets one have it: a mounted file system that from one moment on takes nothing and writes
//! nothing, its own journal included.
//!
//! The one place of xtask with `unsafe`: an ioctl. Its contract: the file descriptor is open for as long as the call, and
//! the kernel reads one `u32` at the address it is given (`EXT4_IOC_SHUTDOWN`, include/uapi/linux/ext4.h: `_IOR('X', 125, __u32)`).
//! Anything but ext4 answers with an error (ENOTTY), which is passed on.

use std::fs::File;
use std::path::Path;

use anyhow::{Context, Result};
use rustix::ioctl::{Opcode, Setter, ioctl, opcode};

const EXT4_IOC_SHUTDOWN: Opcode = opcode::read::<u32>(b'X', 125);
/// Neither data nor the file system's log is flushed: `EXT4_GOING_FLAGS_NOLOGFLUSH`.
const NO_LOG_FLUSH: u32 = 2;

/// Cuts the file system off that holds this folder.
pub(super) fn power_off(folder: &Path) -> Result<()> {
    let file = File::open(folder).with_context(|| format!("cannot open {}", folder.display()))?;
    #[expect(unsafe_code, reason = "an ioctl; see the contract above")]
    // SAFETY: the opcode takes a pointer to a u32, which `Setter` holds for the call; the file outlives it.
    let done = unsafe { ioctl(&file, Setter::<EXT4_IOC_SHUTDOWN, u32>::new(NO_LOG_FLUSH)) };
    done.with_context(|| format!("{} cannot be shut down like ext4", folder.display()))
}
