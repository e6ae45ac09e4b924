//! What must hold for any bytes that clients send or operators write. For the fuzzer; behind the feature `fuzz`.

/// A stream of RESP: the first two bytes say where the rest comes apart. What is parsed does not depend on that.
pub fn resp(bytes: &[u8]) {
    let Some((place, stream)) = bytes.split_first_chunk::<2>() else {
        return;
    };
    let cut = usize::from(u16::from_le_bytes(*place))
        .checked_rem(stream.len() + 1)
        .unwrap_or(0);
    crate::resp::fuzz(stream, cut);
}

/// A body or a query of HTTP: the first byte says of which call.
pub fn http(bytes: &[u8]) {
    crate::http::fuzz(bytes);
}

/// A file of settings: what is accepted has a value of its kind.
pub fn config(bytes: &[u8]) {
    crate::config::fuzz(bytes);
}
