//! Adds with tokens, sent again with the same payload or another; events by the API.

use tally_counter::Outcome;
use tally_engine::{Need, Plan, TokenState};

use super::deed::planned;
use crate::keys;
use crate::model::Effect;
use crate::random::Rng;
use crate::run::Run;
use crate::violation::{Violation, violated};

const SCOPE: &str = "client";

impl Run {
    pub(super) fn token(&mut self, rng: &mut Rng) -> Result<String, Violation> {
        let key = keys::one(rng);
        let token = format!("token-{}", rng.below(12));
        let (payload, amount) = (rng.below(2), i64::try_from(rng.below(1_000)).unwrap_or(0));
        if !self.is_certain(key) {
            return Ok(format!("{key} is not certain"));
        }
        let mut plan = Plan::new();
        let index = planned(&mut plan, key, Need::Value)?;
        let token_index = plan.token(SCOPE, token.as_bytes());
        let turned = self.turn(&mut plan, &mut |turn| {
            let now_ms = turn.now_ms();
            let state = turn.token(token_index, payload);
            let answer = match &state {
                TokenState::New => {
                    let answer = format!("{:?}", turn.add(index, amount, None)).into_bytes();
                    turn.remember(token_index, payload, &answer);
                    answer
                }
                TokenState::Duplicate(answer) => {
                    let answer = answer.clone();
                    turn.duplicate_adds(index, 1);
                    answer
                }
                TokenState::OtherPayload | TokenState::Full => Vec::new(),
            };
            (now_ms, state, answer)
        })?;
        let Some(turned) = turned else {
            return Ok("refused".to_owned());
        };
        let effects = self.token_effects(key, &token, payload, amount, &turned.answer)?;
        if turned.answer.1 == TokenState::New {
            self.remembered += 1;
        }
        self.wrote(&turned, &[key], turned.answer.0, effects)?;
        Ok(format!("{key} {token} {payload} {:?}", turned.answer.1))
    }

    fn token_effects(
        &self,
        key: &str,
        token: &str,
        payload: u64,
        amount: i64,
        (now_ms, state, answer): &(u64, TokenState, Vec<u8>),
    ) -> Result<Vec<Effect>, Violation> {
        let (now, now_ms) = (self.expected.now(), *now_ms);
        let window_ms = self.settings.token_window_ms;
        let known = now
            .tokens
            .get(token)
            .filter(|known| known.time_ms.saturating_add(window_ms) > now_ms);
        match (state, known) {
            (TokenState::New, Some(known)) if !known.may_be_gone => {
                violated(format!("{token} was used at {} and is taken for new", known.time_ms))
            }
            (TokenState::New, _) => {
                let value = now.value(key, now_ms).unwrap_or(0) + i128::from(amount);
                let mut effects = Vec::new();
                if i64::try_from(value).is_ok() {
                    effects.push(Effect::Add {
                        key: key.to_owned(),
                        amount,
                        time_ms: now_ms,
                    });
                    let expected = format!("Ok(Some({value}))");
                    if *answer != expected.as_bytes() {
                        return violated(format!("an add to {key} is not answered {expected}"));
                    }
                }
                effects.push(Effect::Token {
                    token: token.to_owned(),
                    time_ms: now_ms,
                    payload,
                    answer: answer.clone(),
                });
                Ok(effects)
            }
            (TokenState::Duplicate(again), Some(known)) if known.payload == payload && *again == known.answer => {
                Ok(vec![Effect::Noted {
                    namespace: now.namespace(key).to_owned(),
                    outcome: Outcome::Duplicate,
                    count: 1,
                }])
            }
            (TokenState::OtherPayload, Some(known)) if known.payload != payload => Ok(Vec::new()),
            (TokenState::Full, known)
                if known.is_none_or(|known| known.may_be_gone) && self.remembered >= self.settings.token_limit =>
            {
                Ok(Vec::new())
            }
            _ => violated(format!(
                "{token} with payload {payload} is {state:?}, known is {known:?}"
            )),
        }
    }

    /// An event by the API, whose outcome is an entry of the journal.
    pub(super) fn event(&mut self, rng: &mut Rng) -> Result<String, Violation> {
        let outcome = rng.one(&Outcome::ALL).copied().unwrap_or(Outcome::Counted);
        let mut plan = Plan::new();
        let turned = self.turn(&mut plan, &mut |turn| match outcome {
            Outcome::Rejected => turn.reject_event("api", "broken", "1"),
            outcome => turn.event("api", outcome),
        })?;
        let Some(turned) = turned else {
            return Ok("refused".to_owned());
        };
        let effect = Effect::Event {
            source: "api".to_owned(),
            outcome,
        };
        self.wrote(&turned, &[], 0, vec![effect])?;
        Ok(format!("{outcome:?}"))
    }
}
