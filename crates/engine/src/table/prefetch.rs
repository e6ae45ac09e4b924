//! Asks the processor to bring memory into its caches before it is needed: a batch of look-ups then waits for memory once instead of
//! once each. The one place of the engine that is not safe Rust by its letter; the instruction reads nothing into the program,
//! faults on no address, and gets the address of a live reference all the same.

/// Begins to load the cache line at the start of what this refers to.
#[inline]
#[cfg(target_arch = "x86_64")]
pub(super) fn read<T>(of: &T) {
    use std::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};
    #[expect(
        unsafe_code,
        reason = "the intrinsic takes a pointer; any address is allowed, and this one is valid"
    )]
    // SAFETY: prefetching has no effect on memory or registers, and is available on every x86-64 processor.
    unsafe {
        _mm_prefetch::<_MM_HINT_T0>(std::ptr::from_ref(of).cast());
    }
}

/// Nothing: there is no stable way to ask on this processor.
#[inline]
#[cfg(not(target_arch = "x86_64"))]
pub(super) fn read<T>(_: &T) {}

#[cfg(test)]
mod tests {
    #[test]
    fn what_is_asked_for_stays_as_it_is() {
        let line = [7_u64; 8];
        super::read(&line);
        super::read(&());
        assert_eq!(line, [7; 8]);
    }
}
