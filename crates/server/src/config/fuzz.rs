//! Files of settings, any bytes of them.

use super::definition::Definition;
use super::kind::{Kind, count, duration_ms, size_bytes};
use super::layers::{Raw, read_text};

/// What is accepted is of a setting that there is, and has a value of its kind; reading it again gives the same.
pub(crate) fn fuzz(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else {
        return;
    };
    let (mut raw, mut again) = (Raw::new(), Raw::new());
    let (first, second) = (read_text("file", text, &mut raw), read_text("file", text, &mut again));
    assert_eq!((first.is_ok(), &raw), (second.is_ok(), &again));
    for (name, (text, _)) in &raw {
        let definition = Definition::of(name);
        assert!(definition.is_some(), "{name}");
        let Some(definition) = definition.filter(|definition| definition.kind.check(text).is_ok()) else {
            continue;
        };
        match definition.kind {
            Kind::Size(..) => assert!(size_bytes(text).is_some(), "{name}: {text:?}"),
            Kind::Duration(..) => assert!(duration_ms(text).is_some(), "{name}: {text:?}"),
            Kind::Count(..) => assert!(count(text).is_some(), "{name}: {text:?}"),
            _ => {}
        }
    }
}
