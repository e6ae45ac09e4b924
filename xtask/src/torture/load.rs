//! A cycle under load: all clients and a reader at once, a fault in the middle, and what each knows at the end.

use std::path::Path;
use std::sync::Mutex;
use std::sync::PoisonError;

use anyhow::{Result, anyhow};

use super::clients::{self, Phase, Target};
use super::digits::{self, ADDS_A_COUNTER, CLIENTS};
use super::meter::Meter;
use crate::resp::{Client, Reply};
use crate::tally::Tally;

/// One cycle's clients.
#[derive(Debug)]
pub(super) struct Cycle {
    pub(super) target: Target,
    pub(super) meters: [Meter; CLIENTS],
    pub(super) phase: Phase,
    wrong_reads: Mutex<Vec<String>>,
}

impl Cycle {
    /// Clients for a server; `folder` is for the file that one of them counts.
    pub(super) fn new(number: u64, tally: &Tally, folder: &Path, rules: &Path) -> Result<Self> {
        let file = folder.join(format!("cycle-{number}.ndjson"));
        clients::write_file(&file, number)?;
        let meters: [Meter; CLIENTS] = Default::default();
        if let Some(meter) = meters.get(clients::INGEST) {
            meter.sending(clients::FILE_LINES);
        }
        Ok(Self {
            target: Target {
                resp: tally.resp.clone(),
                http: tally.http.clone(),
                binary: tally.binary().to_path_buf(),
                rules: rules.to_path_buf(),
                file,
                cycle: number,
            },
            meters,
            phase: Phase::default(),
            wrong_reads: Mutex::default(),
        })
    }

    /// Lets all clients loose, does `fault` beside them, and waits until they have ended.
    pub(super) fn run<T>(&self, fault: impl FnOnce(&Self) -> Result<T>) -> Result<T> {
        std::thread::scope(|scope| {
            let clients: Vec<_> = self
                .meters
                .iter()
                .enumerate()
                .map(|(client, meter)| scope.spawn(move || clients::run(client, &self.target, meter, &self.phase)))
                .collect();
            let reader = scope.spawn(|| self.read());
            let done = fault(self);
            self.phase.stop();
            let ended = clients.into_iter().chain([reader]).map(|thread| {
                thread
                    .join()
                    .unwrap_or_else(|_| Err(anyhow!("a client panicked: a bug of xtask")))
            });
            ended.collect::<Result<Vec<()>>>()?;
            done
        })
    }

    /// What the reader saw that cannot be.
    pub(super) fn wrong_reads(&self) -> Vec<String> {
        std::mem::take(&mut self.wrong_reads.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// The counters that any client may have reached.
    pub(super) fn counters(&self) -> u64 {
        let most = self.meters.iter().map(Meter::sent).max().unwrap_or(0);
        most.div_ceil(ADDS_A_COUNTER)
    }

    /// What was sent, of all clients.
    pub(super) fn sent(&self) -> u64 {
        self.meters.iter().map(Meter::sent).sum()
    }

    /// Reads while others write: each value holds what was acknowledged before it was asked for, and nothing that was not
    /// sent before it was answered.
    fn read(&self) -> Result<()> {
        let ended = self.read_until_broken();
        if self.phase.is_fault() { Ok(()) } else { ended }
    }

    fn read_until_broken(&self) -> Result<()> {
        let mut client = Client::connect(&self.target.resp)?;
        let mut turn = 0;
        while !self.phase.is_stop() {
            let counters = self.counters().max(1);
            turn = (turn + 1) % counters;
            // The newest ones are where most happens.
            for number in [turn, counters - 1] {
                let least = self.meters.each_ref().map(Meter::acknowledged);
                let answer = client.call(&["GET", &digits::counter_at(self.target.cycle, number)])?;
                let most = self.meters.each_ref().map(Meter::sent);
                if let Some(wrong) = wrong_value(number, &least, &most, &answer) {
                    let mut reads = self.wrong_reads.lock().unwrap_or_else(PoisonError::into_inner);
                    reads.push(wrong);
                }
            }
        }
        Ok(())
    }
}

/// The part of a client's adds that is in the counter of this number.
pub(super) fn part(adds: u64, number: u64) -> u64 {
    adds.saturating_sub(number * ADDS_A_COUNTER).min(ADDS_A_COUNTER)
}

/// The value of an answer to GET; a counter that is not there is 0.
pub(super) fn value(answer: &Reply) -> Option<i64> {
    match answer {
        Reply::Bulk(None) => Some(0),
        Reply::Bulk(Some(text)) => std::str::from_utf8(text).ok()?.parse().ok(),
        _ => None,
    }
}

fn wrong_value(number: u64, least: &[u64; CLIENTS], most: &[u64; CLIENTS], answer: &Reply) -> Option<String> {
    let Some(found) = value(answer).and_then(digits::read) else {
        return Some(format!("counter {number} was read as {answer:?}"));
    };
    let bounds = least.iter().zip(most).zip(found).enumerate();
    let mut wrong = bounds.filter(|(_, ((least, most), found))| {
        // A file has no order that is known from outside while it is counted, only an end.
        !(part(**least, number)..=part(**most, number)).contains(found)
    });
    wrong.next().map(|(client, ((least, most), found))| {
        format!(
            "counter {number} was read with {found} adds of {}, which are {} to {}",
            clients::name(client),
            part(*least, number),
            part(*most, number)
        )
    })
}
