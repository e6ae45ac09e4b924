//! The counters of a run: few, so that everything happens to the same ones.

use crate::random::Rng;

/// All names.
pub(crate) const KEYS: [&str; 13] = [
    "plain",
    "other",
    "a",
    "a:1",
    "a:2",
    "a:3",
    "b:1",
    "b:2",
    "b:{tag}:ü",
    "c:1",
    "c:2",
    "d:x:y",
    "d:x:z",
];

/// The namespaces that a run may declare.
pub(crate) const NAMESPACES: [&str; 5] = ["a", "b", "c", "d", "default"];

/// One of the names.
pub(crate) fn one(rng: &mut Rng) -> &'static str {
    rng.one(&KEYS).copied().unwrap_or("plain")
}
