//! The driver's errors, named for what the caller should do. What was sent and not answered may have been applied, now or later, which who knows
//! what was asked for says; all that is sent may be sent again.

use scylla::errors::{
    DbError, ExecutionError, IntoRowsResultError, NewSessionError, PrepareError, RequestAttemptError, RowsError,
};

use super::{CqlSettings, handshake};
use crate::StoreError;

/// An error of a request.
pub(super) trait Failure {
    /// What the cluster itself said, if it did.
    fn said(&self) -> Option<(&DbError, &str)>;
    /// In words.
    fn text(&self) -> String;
}

impl Failure for ExecutionError {
    fn said(&self) -> Option<(&DbError, &str)> {
        match self {
            Self::LastAttemptError(error) => attempt(error),
            Self::PrepareError(error) => error.said(),
            _ => None,
        }
    }

    fn text(&self) -> String {
        match self {
            Self::RequestTimeout(limit) => format!("no node answered within {} ms", limit.as_millis()),
            error => error.to_string(),
        }
    }
}

impl Failure for PrepareError {
    fn said(&self) -> Option<(&DbError, &str)> {
        match self {
            Self::AllAttemptsFailed { first_attempt } => attempt(first_attempt),
            _ => None,
        }
    }

    fn text(&self) -> String {
        self.to_string()
    }
}

fn attempt(error: &RequestAttemptError) -> Option<(&DbError, &str)> {
    match error {
        RequestAttemptError::DbError(error, text) => Some((error, text)),
        _ => None,
    }
}

/// Of a request at a start: a right that is missing is the operator's to grant before Tally can begin.
pub(super) fn at_start(error: &impl Failure) -> StoreError {
    match error.said() {
        Some((DbError::Unauthorized, said)) if !said.contains(UNABLE) => StoreError::Refused(format!(
            "the user may not do what Tally needs: {said}; grant it SELECT and MODIFY on the keyspace, and CREATE where Tally is to create it"
        )),
        _ => of(error),
    }
}

/// What Cassandra says when it could not read users or rights: too few nodes that hold them answered.
const UNABLE: &str = "Unable to perform auth";

/// Of a read: nothing was to be applied.
pub(super) fn of_read(error: &impl Failure) -> StoreError {
    match error.said() {
        Some((
            DbError::ReadTimeout { received, required, .. } | DbError::ReadFailure { received, required, .. },
            _,
        )) => StoreError::Unavailable(format!(
            "{received} of the {required} replicas that must answered a read in time"
        )),
        _ => of(error),
    }
}

/// Of any request.
pub(super) fn of(error: &impl Failure) -> StoreError {
    match error.said() {
        Some((DbError::Unauthorized, said)) if said.contains(UNABLE) => StoreError::Unavailable(format!(
            "the cluster cannot look up what the user may do: {said}; nothing of it was applied"
        )),
        // It was there at the start: who took it away may give it back, and meanwhile the journal keeps everything.
        Some((DbError::Unauthorized, said)) => StoreError::Unavailable(format!(
            "the user may not do what Tally needs: {said}; nothing of it was applied, and it goes on when SELECT and MODIFY on the keyspace are granted"
        )),
        Some((DbError::Unavailable { required, alive, .. }, _)) => StoreError::Unavailable(format!(
            "the cluster lacks nodes: {required} replicas must answer and {alive} live"
        )),
        Some((
            DbError::WriteTimeout { received, required, .. } | DbError::WriteFailure { received, required, .. },
            _,
        )) => StoreError::Unavailable(format!(
            "{received} of the {required} replicas that must answered a write in time"
        )),
        Some((DbError::SyntaxError | DbError::Invalid | DbError::ConfigError | DbError::ProtocolError, said)) => {
            StoreError::Refused(format!("the cluster refused a request: {said}"))
        }
        _ => StoreError::Unavailable(error.text()),
    }
}

/// Whether a conditional write that failed so is settled only by repeating it; an error that cannot be settled so is the caller's.
pub(super) fn is_unknown(error: &ExecutionError) -> bool {
    /// `CAS_WRITE_UNKNOWN` of the protocol.
    const CAS_WRITE_UNKNOWN: i32 = 0x1700;
    matches!(
        error.said(),
        Some((
            DbError::WriteTimeout { .. }
                | DbError::ReadTimeout { .. }
                | DbError::Overloaded
                | DbError::Other(CAS_WRITE_UNKNOWN),
            _
        ))
    )
}

/// Of a connection to the cluster.
pub(super) fn connect(error: &NewSessionError, settings: &CqlSettings) -> StoreError {
    // The driver wraps what a node said in several layers, of which the innermost is said here.
    let all = format!("{error:?}");
    if all.contains(UNABLE) {
        return StoreError::Unavailable(format!(
            "{} cannot look up users: too few of the nodes that hold them answer",
            settings.hosts.join(",")
        ));
    }
    if all.contains("AuthenticationError") || all.contains("MissingAuthentication") {
        return StoreError::Refused(
            "the cluster did not take the user and password; set the store's user and password".into(),
        );
    }
    if let Some(error) = handshake::failure(error, settings) {
        return error;
    }
    match error {
        NewSessionError::IllegalConfig(text) => StoreError::Refused(format!("the store's settings: {text}")),
        error => StoreError::Unavailable(format!("no node of {} answers: {error}", settings.hosts.join(","))),
    }
}

/// Of rows that are not what the statement asks for.
pub(super) fn rows(error: &IntoRowsResultError) -> StoreError {
    StoreError::Corrupt(error.to_string())
}

/// Of a row's columns.
pub(super) fn columns(error: &RowsError) -> StoreError {
    StoreError::Corrupt(error.to_string())
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn said(error: DbError) -> ExecutionError {
        ExecutionError::LastAttemptError(RequestAttemptError::DbError(error, String::new()))
    }

    /// What a limit or the cluster said, and nothing of what may have been applied: that is said once, by who knows what was asked for.
    #[test]
    fn what_may_have_been_applied_is_the_callers_to_say() {
        let late = ExecutionError::RequestTimeout(Duration::from_secs(4));
        let write = said(DbError::WriteTimeout {
            consistency: scylla::statement::Consistency::Quorum,
            received: 1,
            required: 2,
            write_type: scylla::errors::WriteType::Batch,
        });
        assert!(of(&late).to_string().contains("no node answered within 4000 ms"));
        assert!(of(&write).to_string().contains("1 of the 2 replicas"));
        let timeout = said(DbError::ReadTimeout {
            consistency: scylla::statement::Consistency::Quorum,
            received: 1,
            required: 2,
            data_present: false,
        });
        assert!(of_read(&timeout).to_string().contains("answered a read"));
        for error in [of(&late), of(&write), of_read(&late), of_read(&timeout)] {
            assert!(!error.to_string().contains("applied"), "{error}");
        }
    }
}
