//! Why a request was refused, in one form for all front ends: mapped once to HTTP (`http::problem`) and once to RESP.

use tally_counter::KeyError;
use tally_engine::{AddError, Blocked, Error};

/// What the caller can do about it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum ErrorKind {
    /// Malformed; the same request will never be served.
    Invalid,
    /// No credential, or a wrong one.
    Unauthorized,
    /// The credential, or a setting, does not allow it.
    Forbidden,
    /// It is not there.
    NotFound,
    /// This path has no such method.
    Method,
    /// The same token, the first request still running; or a file whose bytes changed.
    Conflict,
    /// Longer than the limit that the detail names.
    TooLarge,
    /// A body of a type that is not understood here.
    MediaType,
    /// Well formed and not applicable: overflow, a bound, a token with another payload.
    Unprocessable,
    /// A limit of this caller.
    Exhausted,
    /// Not now: the node's limit, a full disk, draining, or the outcome is unknown.
    Unavailable,
    /// Stored data is not what was written.
    Corrupt,
    /// Our bug.
    Internal,
}

impl ErrorKind {
    /// All, for metrics.
    pub(crate) const ALL: [Self; 13] = [
        Self::Invalid,
        Self::Unauthorized,
        Self::Forbidden,
        Self::NotFound,
        Self::Method,
        Self::Conflict,
        Self::TooLarge,
        Self::MediaType,
        Self::Unprocessable,
        Self::Exhausted,
        Self::Unavailable,
        Self::Corrupt,
        Self::Internal,
    ];

    /// The word in errors and metrics. Several kinds share one where the caller can only do the same about them.
    pub(crate) fn word(self) -> &'static str {
        match self {
            Self::Invalid | Self::Method | Self::TooLarge | Self::MediaType | Self::Unprocessable => "invalid",
            Self::Unauthorized => "unauthorized",
            Self::Forbidden => "forbidden",
            Self::NotFound => "not_found",
            Self::Conflict => "conflict",
            Self::Exhausted => "exhausted",
            Self::Unavailable => "unavailable",
            Self::Corrupt => "corrupt",
            Self::Internal => "internal",
        }
    }
}

/// A refusal. Nothing was applied unless `maybe_applied` says that it is not known.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{detail}")]
pub(crate) struct Refusal {
    /// What the caller can do.
    pub(crate) kind: ErrorKind,
    /// What is wrong, in words for the caller. Never a secret, never another caller's data.
    pub(crate) detail: String,
    /// Whether it may have been applied all the same: repeat it only with its token.
    pub(crate) maybe_applied: bool,
    /// After how many seconds it makes sense to try again.
    pub(crate) retry_after_s: Option<u32>,
}

impl Refusal {
    /// Nothing was applied.
    pub(crate) fn new(kind: ErrorKind, detail: impl Into<String>) -> Self {
        let retry_after_s = matches!(kind, ErrorKind::Exhausted | ErrorKind::Unavailable).then_some(1);
        Self {
            kind,
            detail: detail.into(),
            maybe_applied: false,
            retry_after_s,
        }
    }

    /// Malformed.
    pub(crate) fn invalid(detail: impl Into<String>) -> Self {
        Self::new(ErrorKind::Invalid, detail)
    }

    /// Not there.
    pub(crate) fn not_found(detail: impl Into<String>) -> Self {
        Self::new(ErrorKind::NotFound, detail)
    }

    /// Not now; nothing was applied.
    pub(crate) fn unavailable(detail: impl Into<String>) -> Self {
        Self::new(ErrorKind::Unavailable, detail)
    }

    /// Our bug.
    pub(crate) fn internal(detail: impl Into<String>) -> Self {
        Self::new(ErrorKind::Internal, detail)
    }

    /// It may have been applied, or may be yet.
    pub(crate) fn unknown(detail: impl Into<String>) -> Self {
        Self {
            maybe_applied: true,
            retry_after_s: None,
            ..Self::unavailable(detail)
        }
    }
}

impl From<Error> for Refusal {
    fn from(error: Error) -> Self {
        let kind = match error {
            Error::Invalid(_) => ErrorKind::Invalid,
            Error::Conflict(_) => ErrorKind::Conflict,
            Error::Exhausted(_) => ErrorKind::Exhausted,
            Error::Unavailable(_) | Error::Failed(_) => ErrorKind::Unavailable,
            Error::Corrupt(_) => ErrorKind::Corrupt,
        };
        Self::new(kind, error.to_string())
    }
}

impl From<KeyError> for Refusal {
    fn from(error: KeyError) -> Self {
        Self::invalid(error.to_string())
    }
}

impl From<AddError> for Refusal {
    fn from(error: AddError) -> Self {
        match error {
            AddError::Overflow | AddError::Bound { .. } => Self::new(ErrorKind::Unprocessable, error.to_string()),
            AddError::Time => Self::invalid(error.to_string()),
        }
    }
}

impl From<Blocked> for Refusal {
    fn from(blocked: Blocked) -> Self {
        match blocked {
            Blocked::TooLarge { .. } => Self::new(ErrorKind::TooLarge, blocked.to_string()),
            Blocked::Mixed(_) | Blocked::Strong(_) => Self::new(ErrorKind::Unprocessable, blocked.to_string()),
            _ => Self::unavailable(blocked.to_string()),
        }
    }
}
