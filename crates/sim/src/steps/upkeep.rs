//! What the engine's own threads would do, and declarations.

use tally_counter::{Keep, Policy, Step};
use tally_engine::{Engine, Error};

use crate::keys::NAMESPACES;
use crate::model::Effect;
use crate::random::Rng;
use crate::run::{Run, Trouble};
use crate::violation::{Violation, violated};

/// What a slow disk makes of one step.
const MOST_OF_A_STEP_MS: u64 = 3_600_000;

impl Run {
    pub(super) fn upkeep(
        &mut self,
        name: &str,
        call: impl FnOnce(&Engine) -> Result<(), Error>,
    ) -> Result<String, Violation> {
        let done = self.call(call)?.is_some();
        Ok(format!("{name} {done}"))
    }

    /// A slice of sweeping.
    pub(super) fn tidy(&mut self) -> Result<String, Violation> {
        self.tokens_may_go();
        self.upkeep("tidy", Engine::tidy)
    }

    /// Somebody sweeps during this step: tokens whose window has passed by its end may be gone.
    pub(crate) fn tokens_may_go(&mut self) {
        let (now_ms, window_ms) = (self.world.now_ms() + MOST_OF_A_STEP_MS, self.settings.token_window_ms);
        self.expected.both(|state| {
            for token in state.tokens.values_mut() {
                token.may_be_gone |= token.time_ms.saturating_add(window_ms) <= now_ms;
            }
        });
    }

    fn any_policy(&self, rng: &mut Rng, namespace: &str) -> Policy {
        let mut policy = self.expected.now().policy(namespace);
        if !self.expected.now().policies.contains_key(namespace) {
            policy.history = self.expected.now().policy("default").history;
        }
        let keep = |rng: &mut Rng, now: Keep| match rng.below(6) {
            0 => Keep::Forever,
            1 => Keep::Off,
            2 => Keep::Minutes(60),
            3 => Keep::Minutes(3 * 1_440),
            _ => now,
        };
        policy.history.minutes = keep(rng, policy.history.minutes);
        policy.history.hours = keep(rng, policy.history.hours);
        policy.history.days = keep(rng, policy.history.days);
        policy.lateness_ms = rng.percent(50).then_some(3_600_000);
        policy
    }

    pub(super) fn declare(&mut self, rng: &mut Rng) -> Result<String, Violation> {
        let name = rng.one(&NAMESPACES).copied().unwrap_or("a");
        let policy = self.any_policy(rng, name);
        let now = self.expected.now();
        let current = if now.policies.contains_key(name) {
            now.policy(name)
        } else {
            now.policy("default")
        };
        let on = |policy: &Policy, step| policy.history.keep(step) != Keep::Off;
        let changed = Step::ALL
            .into_iter()
            .any(|step| on(&current, step) != on(&policy, step));
        if changed && !self.uncertain().is_empty() {
            return Ok("not certain".to_owned());
        }
        let prefix = format!("{name}:");
        let live = now.live(self.world.now_ms());
        let used = name == "default" && !live.is_empty() || live.keys().any(|key| key.starts_with(&prefix));
        let Some(engine) = &self.engine else {
            return Ok(String::new());
        };
        let answer = engine.declare(name, policy.clone());
        // Whatever was answered: an entry that was appended is there, until a crash says otherwise.
        let written = engine.status().journal_position > self.expected.last();
        match &answer {
            Ok(()) if changed && used => return violated(format!("{name}: history was turned on or off in use")),
            Ok(()) if !written => return violated(format!("{name} was declared and nothing was written")),
            Ok(()) => {}
            Err(Error::Conflict(_)) if changed && used && !written => {}
            Err(error) => {
                if self.judge(error)? == Trouble::Later && !self.may_refuse() {
                    return violated(format!("{name}: {error}"));
                }
            }
        }
        if written {
            let effect = Effect::Declare {
                name: name.to_owned(),
                policy: policy.clone(),
            };
            self.expected.wrote(self.expected.last() + 1, vec![effect])?;
        }
        Ok(format!("{name} {policy:?} {answer:?}"))
    }
}
