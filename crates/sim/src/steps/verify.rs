//! What the reconciler finds: nothing, whatever happened and whatever is under way, and a repair that finds nothing changes nothing.

use std::collections::BTreeSet;

use tally_engine::Check;

use crate::random::Rng;
use crate::run::Run;
use crate::violation::{Violation, violated};

impl Run {
    /// A whole pass over all sums, others at work.
    pub(super) fn verify(&mut self, rng: &mut Rng) -> Result<String, Violation> {
        // A repair may write an entry of its own: nobody else does meanwhile.
        let repairs = rng.percent(30) && self.interrupted.is_none() && self.torn().is_empty();
        let done = self.call(|engine| engine.verify(repairs))?;
        let pass = done.clone().or_else(|| self.engine.as_ref()?.verified().last);
        let Some(pass) = pass else {
            return Ok("refused".to_owned());
        };
        let torn = self.torn();
        let is_torn = |subject: &str| torn.contains(subject);
        let drift = pass
            .drifts
            .iter()
            .find(|drift| drift.check != Check::Names || !is_torn(&drift.subject));
        if let Some(drift) = drift {
            return violated(format!("a pass finds drift: {drift:?}"));
        }
        if done.is_none() {
            return Ok("refused".to_owned());
        }
        Ok(format!(
            "{} counters, {} in memory, {} names",
            pass.counters, pass.hot, pass.names
        ))
    }

    /// Counters of which a loss of power may have left the cell and taken the name, until an open round is repeated.
    fn torn(&self) -> BTreeSet<&'static str> {
        let torn = self.sources.iter().filter(|source| source.torn);
        let open = torn.filter_map(|source| source.attempt.map(|cut| (source, cut)));
        open.flat_map(|(source, cut)| source.log.totals(source.applied, cut, &source.limits).into_keys())
            .collect()
    }
}
