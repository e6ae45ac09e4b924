//! Turns on strong counters: taken at once, answered when their batch is durable, and taken again where another node was first.
//!
//! Guards: an answer is given only when what it says is durable, and a refusal says whether it may have been applied.

use std::future::poll_fn;
use std::time::Duration;

use tally_engine::{Blocked, Plan, Settled, StrongPart, Ticket, Turn};

use crate::refusal::Refusal;
use crate::service::Service;

/// A turn before which another node was this often is given up.
const MAX_AGAIN: u32 = 200;
/// A turn whose counters keep falling out of memory between load and turn is given up after this many loads.
const MAX_LOADS: u32 = 400;

impl Service {
    /// Takes a turn on counters of one partition. `work` may run several times; only the last answer counts.
    pub(crate) async fn strong_turn<R: Send>(
        &self,
        part: StrongPart,
        plan: &mut Plan,
        mut work: impl FnMut(&mut Turn<'_>) -> R + Send,
    ) -> Result<R, Refusal> {
        let (mut relieved, mut loads, mut again) = (0, 0, 0);
        loop {
            // In a block of its own, so that nothing of it lives across an await.
            let taken = self.engine().strong_turn(part, plan, &mut work);
            match taken {
                Ok(turned) => {
                    let settled = match turned.ticket {
                        None => Settled::Done,
                        Some(ticket) => self.settled(&ticket).await,
                    };
                    match settled {
                        Settled::Done => return Ok(turned.answer),
                        Settled::Again if again < MAX_AGAIN => again += 1,
                        Settled::Again => {
                            return Err(Refusal::unavailable(
                                "other nodes change this partition of strong counters all the time; nothing was applied, try again",
                            ));
                        }
                        Settled::Refused(why) => return Err(Refusal::unavailable(why)),
                        Settled::Unknown(_) if !plan.writes() => {
                            return Err(Refusal::unavailable("the store does not answer; try again"));
                        }
                        Settled::Unknown(why) => {
                            return Err(Refusal::unknown(format!(
                                "{why}; it may be applied, or may be yet: repeat it only with its token"
                            )));
                        }
                    }
                }
                Err(Blocked::Load) if loads < MAX_LOADS => {
                    loads += 1;
                    self.load_strong(part, plan).await?;
                }
                Err(Blocked::Load) => {
                    return Err(Refusal::unavailable(
                        "the memory of strong counters is too small for what is asked at once (setting memory); nothing was applied",
                    ));
                }
                Err(Blocked::Full(why)) => relieved = self.relief(relieved, why).await?,
                Err(blocked) => return Err(blocked.into()),
            }
        }
    }

    /// Waits for what becomes of a turn, at most for the setting `request_timeout`.
    async fn settled(&self, ticket: &Ticket) -> Settled {
        let patience = Duration::from_millis(self.limits().request_timeout_ms);
        let settled = poll_fn(|context| ticket.poll(context.waker()));
        let late = || Settled::Unknown("the store did not answer in time".to_owned());
        tokio::time::timeout(patience, settled).await.unwrap_or_else(|_| late())
    }
}
