//! Configuration in two stages: raw texts with their origin (`layers`), then checked values (`Settings`).

mod definition;
#[cfg(feature = "fuzz")]
mod fuzz;
mod kind;
mod layers;
mod settings;
mod show;

use std::fmt;

#[cfg(feature = "fuzz")]
pub(crate) use fuzz::fuzz;
pub(crate) use kind::duration_ms;
pub(crate) use layers::Flags;
pub(crate) use settings::{CqlOptions, Secret, Settings, TlsOptions};
pub(crate) use show::{markdown, shown};

/// Why the configuration is refused, in one line.
#[derive(Clone, Debug, thiserror::Error)]
#[error("{0}")]
pub(crate) struct ConfigError(pub(crate) String);

/// Where a setting came from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Origin {
    /// Nobody set it.
    Default,
    /// A flag.
    Flag,
    /// A variable.
    Environment(String),
    /// A place in the file.
    File(String),
}

impl fmt::Display for Origin {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Default => formatter.write_str("default"),
            Self::Flag => formatter.write_str("flag"),
            Self::Environment(variable) => write!(formatter, "environment {variable}"),
            Self::File(place) => write!(formatter, "file {place}"),
        }
    }
}
