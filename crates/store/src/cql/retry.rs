//! Requests that the cluster did not answer in time, sent again: all of them may be, since what they write is absolute. Bounded, so that
//! a caller hears of a cluster that is down; conditional writes are not sent again here, since only their caller knows what settles them.

use std::time::Duration;

use scylla::errors::{DbError, ExecutionError};

use super::failure::{self, Failure};
use crate::StoreError;

/// How often a request is sent at most.
const TRIES: u32 = 6;
/// The pause before the second try; each further one is twice as long.
const PAUSE: Duration = Duration::from_millis(50);

/// Sends a request until it is answered, or has failed so often, or in another way than by an overload.
pub(super) async fn retried<T>(send: impl AsyncFnMut() -> Result<T, ExecutionError>) -> Result<T, StoreError> {
    answered(send).await.map_err(|error| failure::of(&error))
}

/// The same of a request that only reads.
pub(super) async fn asked<T>(send: impl AsyncFnMut() -> Result<T, ExecutionError>) -> Result<T, StoreError> {
    answered(send).await.map_err(|error| failure::of_read(&error))
}

/// The same before the store is open.
pub(super) async fn retried_at_start<T>(send: impl AsyncFnMut() -> Result<T, ExecutionError>) -> Result<T, StoreError> {
    answered(send).await.map_err(|error| failure::at_start(&error))
}

async fn answered<T>(mut send: impl AsyncFnMut() -> Result<T, ExecutionError>) -> Result<T, ExecutionError> {
    let mut pause = PAUSE;
    for _ in 1..TRIES {
        match send().await {
            Err(error) if is_overload(&error) => {
                tokio::time::sleep(pause).await;
                pause = pause.saturating_mul(2);
            }
            answer => return answer,
        }
    }
    send().await
}

fn is_overload(error: &ExecutionError) -> bool {
    matches!(
        error.said(),
        Some((
            DbError::WriteTimeout { .. } | DbError::ReadTimeout { .. } | DbError::Overloaded,
            _
        ))
    )
}
