//! Processes that run beside us, each ended by its own id: when dropped, and when we are interrupted.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus};
use std::sync::Mutex;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use rustix::process::{Pid, Signal, kill_process};

use crate::{place, torture, wait};

/// The ids of what was started and not yet waited for.
static RUNNING: Mutex<Vec<u32>> = Mutex::new(Vec::new());

/// A process that we started; dropping it kills it and waits for it.
#[derive(Debug)]
pub(crate) struct Process {
    child: Child,
    name: String,
    log: PathBuf,
}

impl Process {
    /// Starts it in a process group of its own, so that a Ctrl-C in the terminal reaches only us. `log` is where its
    /// messages go; an error quotes the end of it.
    pub(crate) fn start(name: &str, log: &Path, command: &mut Command) -> Result<Self> {
        use std::os::unix::process::CommandExt;
        let child = command
            .process_group(0)
            .spawn()
            .with_context(|| format!("cannot start {name}"))?;
        running().push(child.id());
        Ok(Self {
            child,
            name: name.to_owned(),
            log: log.to_path_buf(),
        })
    }

    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }

    pub(crate) fn child(&mut self) -> &mut Child {
        &mut self.child
    }

    /// An error, with the end of the log, if it has ended.
    pub(crate) fn still_runs(&mut self) -> Result<()> {
        match self.child.try_wait()? {
            None => Ok(()),
            Some(status) => bail!("{} ended: {status}\n{}", self.name, self.last_lines()),
        }
    }

    /// The end of its log.
    pub(crate) fn last_lines(&self) -> String {
        const LINES: usize = 20;
        let log = std::fs::read(&self.log).unwrap_or_default();
        let log = String::from_utf8_lossy(&log);
        let lines: Vec<&str> = log.lines().collect();
        lines
            .iter()
            .skip(lines.len().saturating_sub(LINES))
            .copied()
            .collect::<Vec<_>>()
            .join("\n")
    }

    /// SIGTERM, and its status when it ends within the time; kills it otherwise and says so.
    pub(crate) fn terminate(mut self, within: Duration) -> Result<ExitStatus> {
        signal(self.child.id(), Signal::TERM);
        let ended = wait::until(&format!("the end of {} after SIGTERM", self.name), within, || {
            Ok(self.child.try_wait()?)
        });
        ended.with_context(|| self.last_lines())
    }

    /// SIGKILL, and waits.
    pub(crate) fn kill(mut self) -> Result<()> {
        self.child.kill()?;
        self.child.wait()?;
        Ok(())
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        if matches!(self.child.try_wait(), Ok(None)) && self.child.kill().is_ok() && self.child.wait().is_err() {
            eprintln!("xtask: could not wait for {} (process {})", self.name, self.child.id());
        }
        running().retain(|id| *id != self.child.id());
    }
}

/// Kills what we started and exits, when we are interrupted (Ctrl-C, SIGTERM, SIGHUP).
pub(crate) fn end_all_on_interrupt() -> Result<()> {
    const INTERRUPTED: i32 = 130;
    ctrlc::set_handler(|| {
        for id in running().iter() {
            signal(*id, Signal::KILL);
        }
        torture::device::release_all();
        // What was just killed may still be writing a file.
        wait_for_ends();
        place::remove_fresh();
        std::process::exit(INTERRUPTED);
    })?;
    Ok(())
}

/// Waits for what was killed to be gone, for a few seconds at most.
fn wait_for_ends() {
    const LIMIT: Duration = Duration::from_secs(5);
    let ended = |id: u32| {
        let stat = std::fs::read_to_string(format!("/proc/{id}/stat")).unwrap_or_default();
        // Nobody may have asked for its status yet.
        stat.is_empty()
            || stat
                .rsplit(')')
                .next()
                .is_some_and(|rest| rest.trim_start().starts_with('Z'))
    };
    let all = wait::until("the end of what was killed", LIMIT, || {
        Ok(running().iter().all(|id| ended(*id)).then_some(()))
    });
    if let Err(error) = all {
        eprintln!("xtask: {error}");
    }
}

fn running() -> std::sync::MutexGuard<'static, Vec<u32>> {
    RUNNING.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
}

/// Sends a signal to a process that we started.
pub(crate) fn signal(id: u32, signal: Signal) {
    let pid = i32::try_from(id).ok().and_then(Pid::from_raw);
    if let Some(pid) = pid
        && let Err(error) = kill_process(pid, signal)
    {
        eprintln!("xtask: no signal to process {id}: {error}");
    }
}
