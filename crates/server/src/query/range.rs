//! A range of time in steps: what was asked for, completed by where there is data.

use jiff::tz::TimeZone;
use tally_counter::{Key, Step};

use super::calendar::{Calendar, Length};
use super::reads::Reads;
use super::series::{self, Steps};
use crate::refusal::Refusal;
use crate::world;

/// The points of a step that was chosen for the caller.
const POINTS_CHOSEN: u64 = 400;

/// A range as it was asked for.
#[derive(Clone, Debug)]
pub(crate) struct Range {
    from: Option<u64>,
    to: Option<u64>,
    step: Option<Length>,
    zone: TimeZone,
    zone_name: String,
}

impl Range {
    /// `from` inclusive, `to` exclusive, Unix milliseconds; `zone` such as Europe/Berlin, UTC where it is not given.
    pub(crate) fn new(
        from: Option<u64>,
        to: Option<u64>,
        step: Option<Length>,
        zone: Option<&str>,
    ) -> Result<Self, Refusal> {
        if from.zip(to).is_some_and(|(from, to)| from >= to) {
            return Err(Refusal::invalid("from must be before to"));
        }
        let zone_name = zone.unwrap_or("UTC").to_owned();
        let zone = if zone_name == "UTC" {
            TimeZone::UTC
        } else {
            TimeZone::get(&zone_name).map_err(|_| {
                Refusal::invalid(format!(
                    "there is no time zone {zone_name:?}; give one such as Europe/Berlin"
                ))
            })?
        };
        Ok(Self {
            from,
            to,
            step,
            zone,
            zone_name,
        })
    }

    /// Whether no time and no step was asked for.
    pub(crate) fn is_open(&self) -> bool {
        self.from.is_none() && self.to.is_none() && self.step.is_none()
    }

    /// Whether it was asked for step by step.
    pub(crate) fn has_step(&self) -> bool {
        self.step.is_some()
    }

    /// The time zone.
    pub(crate) fn zone(&self) -> &TimeZone {
        &self.zone
    }

    /// The time zone's name.
    pub(crate) fn zone_name(&self) -> &str {
        &self.zone_name
    }

    /// The steps to answer for these counters, at most `most`. Blocks.
    pub(crate) fn steps(&self, reads: &Reads<'_>, keys: &[Key<'_>], most: usize) -> Result<Steps, Refusal> {
        let (mut from, mut to) = self.bounds(reads, keys)?;
        let length = match self.step {
            Some(length) => length,
            None => series::choose(
                reads.engine,
                keys,
                &self.calendar(Length::HOUR),
                (from, to),
                POINTS_CHOSEN,
            ),
        };
        if length.is_of_minutes()
            && self.from.is_none()
            && self.to.is_none()
            && let Some(minutes) = minutes_with_data(reads, keys)?
        {
            // The range was found in hours; the first and last minutes with data are closer.
            (from, to) = minutes;
        }
        Steps::new(self.calendar(length), from, to, most)
    }

    fn calendar(&self, length: Length) -> Calendar {
        Calendar {
            length,
            zone: self.zone.clone(),
        }
    }

    /// What was asked for; where it was not, where data begins and ends; without any data, the hour that runs.
    fn bounds(&self, reads: &Reads<'_>, keys: &[Key<'_>]) -> Result<(u64, u64), Refusal> {
        const HOUR_MS: u64 = 3_600_000;
        if let Some(asked) = self.from.zip(self.to) {
            return Ok(asked);
        }
        let now_ms = world::now_ms();
        let running = (now_ms / HOUR_MS * HOUR_MS, now_ms.saturating_add(1));
        let (first, end) = series::extent(reads, keys)?.unwrap_or(running);
        let from = self
            .from
            .unwrap_or_else(|| self.to.map_or(first, |to| first.min(to.saturating_sub(1))));
        Ok((from, self.to.unwrap_or(end).max(from.saturating_add(1))))
    }
}

fn minutes_with_data(reads: &Reads<'_>, keys: &[Key<'_>]) -> Result<Option<(u64, u64)>, Refusal> {
    let mut minutes: Option<(u64, u64)> = None;
    for key in keys {
        if let Some(extent) = reads.extent(*key, Step::Minute)? {
            let (low, high) = minutes.unwrap_or((u64::MAX, 0));
            let end = extent.last.start_ms().saturating_add(1);
            minutes = Some((low.min(extent.first.start_ms()), high.max(end)));
        }
    }
    Ok(minutes)
}
