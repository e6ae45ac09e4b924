//! Who may call: one shared secret, or everybody where none is set (which binds to loopback only).

/// The credential that requests must show.
#[derive(Clone, Default)]
pub(crate) struct Access {
    secret: Option<Vec<u8>>,
}

impl std::fmt::Debug for Access {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter
            .debug_struct("Access")
            .field("required", &self.is_required())
            .finish()
    }
}

impl Access {
    /// With this secret; `None`: nobody is asked.
    pub(crate) fn new(secret: Option<&str>) -> Self {
        Self {
            secret: secret.map(|secret| secret.as_bytes().to_vec()),
        }
    }

    /// Whether a credential must be shown.
    pub(crate) fn is_required(&self) -> bool {
        self.secret.is_some()
    }

    /// Whether `shown` is the secret, in a time that does not depend on where they differ. True where none is required.
    pub(crate) fn allows(&self, shown: &[u8]) -> bool {
        let Some(secret) = &self.secret else { return true };
        let mut difference = u8::from(secret.len() != shown.len());
        for (place, byte) in secret.iter().enumerate() {
            difference |= byte ^ shown.get(place).copied().unwrap_or(!byte);
        }
        std::hint::black_box(difference) == 0
    }

    /// The scope of the tokens of calls with the shared credential (rule 20): it is one credential, so one scope, whatever the
    /// face, so that a retry may come by another one.
    #[expect(clippy::unused_self, reason = "several credentials will have a scope each")]
    pub(crate) fn token_scope(&self) -> &'static str {
        "credential:shared"
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_secret_is_allowed() {
        let access = Access::new(Some("secret"));
        assert!(access.allows(b"secret"));
        for wrong in [&b""[..], b"secre", b"secrets", b"Secret"] {
            assert!(!access.allows(wrong));
        }
        assert!(Access::new(None).allows(b""));
    }
}
