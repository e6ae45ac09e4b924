//! What may stand in a setting, and how it is written: `64MiB`, `100ms`, `disk`.

use std::fmt;

/// What may stand in a setting.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Kind {
    /// A path.
    Path,
    /// `HOST:PORT`.
    Address,
    /// A store's address.
    Store,
    /// An acknowledgement level.
    Level,
    /// A text.
    Text,
    /// A text that is never shown.
    Secret,
    /// One of some words.
    Choice(&'static [&'static str]),
    /// `true` or `false`.
    Switch,
    /// Bytes, as `64MiB`.
    Size(&'static str, &'static str),
    /// A time, as `100ms`.
    Duration(&'static str, &'static str),
    /// A number.
    Count(u64, u64),
}

const SIZES: [(&str, u64); 8] = [
    ("KiB", 1 << 10),
    ("MiB", 1 << 20),
    ("GiB", 1 << 30),
    ("TiB", 1 << 40),
    ("kB", 1_000),
    ("MB", 1_000_000),
    ("GB", 1_000_000_000),
    ("B", 1),
];

const DURATIONS_MS: [(&str, u64); 5] = [
    ("ms", 1),
    ("s", 1_000),
    ("m", 60_000),
    ("h", 3_600_000),
    ("d", 86_400_000),
];

impl Kind {
    /// Bytes between two sizes.
    pub(crate) const fn size(least: &'static str, most: &'static str) -> Self {
        Self::Size(least, most)
    }

    /// A time between two others.
    pub(crate) const fn duration(least: &'static str, most: &'static str) -> Self {
        Self::Duration(least, most)
    }

    /// A number between two others.
    pub(crate) const fn count(least: u64, most: u64) -> Self {
        Self::Count(least, most)
    }

    /// The word that stands for a value in usage.
    pub(crate) fn placeholder(self) -> &'static str {
        match self {
            Self::Path => "PATH",
            Self::Address => "ADDR",
            Self::Store => "STORE",
            Self::Level => "LEVEL",
            Self::Text | Self::Secret => "TEXT",
            Self::Choice(_) => "WORD",
            Self::Switch => "BOOL",
            Self::Size(..) => "SIZE",
            Self::Duration(..) => "TIME",
            Self::Count(..) => "NUMBER",
        }
    }

    /// Whether `text` may stand there; if not, what may, as the rest of a sentence that begins with "must be".
    pub(crate) fn check(self, text: &str) -> Result<(), String> {
        let good = match self {
            Self::Path | Self::Text | Self::Secret => !text.is_empty(),
            Self::Address => text
                .rsplit_once(':')
                .is_some_and(|(host, port)| !host.is_empty() && port.parse::<u16>().is_ok()),
            Self::Store => text == "embedded" || text.strip_prefix("cql://").is_some_and(|rest| !rest.is_empty()),
            Self::Level => crate::levels::parse(text).is_some(),
            Self::Choice(words) => words.contains(&text),
            Self::Switch => switch(text).is_some(),
            Self::Size(least, most) => within(size_bytes(text), size_bytes(least), size_bytes(most)),
            Self::Duration(least, most) => within(duration_ms(text), duration_ms(least), duration_ms(most)),
            Self::Count(least, most) => within(count(text), Some(least), Some(most)),
        };
        if good { Ok(()) } else { Err(self.to_string()) }
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Path => formatter.write_str("a path"),
            Self::Address => formatter.write_str("HOST:PORT, such as 127.0.0.1:7380"),
            Self::Store => formatter.write_str("embedded, or cql://HOST,HOST:PORT/KEYSPACE"),
            Self::Level => formatter.write_str("memory, disk or replicated"),
            Self::Text | Self::Secret => formatter.write_str("a text"),
            Self::Choice(words) => formatter.write_str(&words.join(", ")),
            Self::Switch => formatter.write_str("true or false"),
            Self::Size(least, most) => write!(formatter, "a size such as 64MiB, from {least} to {most}"),
            Self::Duration(least, most) => write!(formatter, "a time such as 100ms or 5s, from {least} to {most}"),
            Self::Count(least, most) => write!(formatter, "a number from {least} to {most}"),
        }
    }
}

fn within(value: Option<u64>, least: Option<u64>, most: Option<u64>) -> bool {
    value.is_some_and(|value| least.is_none_or(|least| value >= least) && most.is_none_or(|most| value <= most))
}

/// Bytes of `64MiB`.
pub(crate) fn size_bytes(text: &str) -> Option<u64> {
    with_unit(text, &SIZES)
}

/// Milliseconds of `5s`.
pub(crate) fn duration_ms(text: &str) -> Option<u64> {
    with_unit(text, &DURATIONS_MS)
}

/// A number; `_` may stand between digits.
pub(crate) fn count(text: &str) -> Option<u64> {
    let digits = text.replace('_', "");
    (!digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit()))
        .then(|| digits.parse().ok())
        .flatten()
}

/// A switch.
pub(crate) fn switch(text: &str) -> Option<bool> {
    match text {
        "true" => Some(true),
        "false" => Some(false),
        _ => None,
    }
}

fn with_unit(text: &str, units: &[(&str, u64)]) -> Option<u64> {
    let (number, unit) = text.split_at(text.find(|letter: char| !letter.is_ascii_digit())?);
    let (_, factor) = units.iter().find(|(name, _)| *name == unit.trim_start())?;
    number.parse::<u64>().ok()?.checked_mul(*factor)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_and_times_have_units() {
        assert_eq!(size_bytes("64MiB"), Some(64 << 20));
        assert_eq!(size_bytes("5 MB"), Some(5_000_000));
        assert_eq!(duration_ms("100ms"), Some(100));
        assert_eq!(duration_ms("2d"), Some(172_800_000));
        for wrong in [
            "64",
            "MiB",
            "-1s",
            "1.5s",
            "99999999999999999999s",
            "18446744073709551615d",
            "5 parsec",
            "",
        ] {
            assert_eq!((size_bytes(wrong), duration_ms(wrong)), (None, None), "{wrong}");
        }
    }

    #[test]
    fn every_default_may_stand() {
        for definition in super::super::definition::ALL {
            if !definition.default.is_empty() {
                assert_eq!(definition.kind.check(definition.default), Ok(()), "{}", definition.name);
            }
        }
    }
}
