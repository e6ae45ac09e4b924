//! One counter that all clients add to, each its own power of a large base: the digits of a wrong total name who lost or
//! doubled.
//!
//! A counter holds at most `BASE - 1` adds of each client, so that no digit carries over; a client goes on in the next one.

/// Decimal on purpose: three digits of a printed value are one client.
pub(super) const BASE: u64 = 1000;
/// As many digits as 64 bits hold.
pub(super) const CLIENTS: usize = 6;
/// The adds of one client that go into one counter.
pub(super) const ADDS_A_COUNTER: u64 = BASE - 1;

/// What the client of this index adds.
pub(super) fn amount(client: usize) -> u64 {
    (0..client).fold(1, |amount, _| amount * BASE)
}

/// The counter that an add goes to, the client's first being 0.
pub(super) fn counter(cycle: u64, add: u64) -> String {
    counter_at(cycle, add / ADDS_A_COUNTER)
}

/// The counter of this number.
pub(super) fn counter_at(cycle: u64, number: u64) -> String {
    format!("torture:{cycle}:{number}")
}

/// How many adds of each client a value holds; none where no sum of adds gives it.
pub(super) fn read(value: i64) -> Option<[u64; CLIENTS]> {
    let mut rest = u64::try_from(value).ok()?;
    let mut digits = [0; CLIENTS];
    for digit in &mut digits {
        *digit = rest % BASE;
        rest /= BASE;
    }
    (rest == 0).then_some(digits)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_client_has_its_digits() {
        let value = i64::try_from(3 * amount(0) + 999 * amount(2) + 7 * amount(5)).unwrap();
        assert_eq!(read(value), Some([3, 0, 999, 0, 0, 7]));
        assert_eq!(read(-1), None);
        let full: u64 = (0..CLIENTS).map(|client| 999 * amount(client)).sum();
        assert!(i64::try_from(full).is_ok());
        assert_eq!(read(i64::MAX), None);
    }

    #[test]
    fn a_full_counter_is_left() {
        assert_eq!(counter(4, 998), "torture:4:0");
        assert_eq!(counter(4, 999), "torture:4:1");
    }
}
