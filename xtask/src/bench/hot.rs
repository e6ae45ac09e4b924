//! INCR of one single counter from 50 connections: what a hot key costs.

use anyhow::Result;

use super::{Bench, incr};

pub(crate) fn section(bench: &Bench) -> Result<String> {
    let table = incr::levels(bench, 0)?;
    Ok(format!(
        "INCR of one single hot key, 50 connections (`redis-benchmark`), adds a second:\n\n{table}"
    ))
}
