//! The bytes numbers are stored as: LEB128 varints, signed ones zigzag first. Guards that a decoder never reads past its
//! input, never accepts a number that does not fit, and names what it could not read.

/// Stored bytes that are not what they should be.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{what} cannot be decoded at byte {at}")]
pub struct Corrupt {
    /// What was being read.
    pub what: &'static str,
    /// How far into the value.
    pub at: usize,
}

/// Appends `number` as a varint of 1 to 19 bytes.
#[expect(clippy::cast_possible_truncation, reason = "masked to seven bits")]
pub fn put_varint(out: &mut Vec<u8>, mut number: u128) {
    while number >= 0x80 {
        out.push((number as u8 & 0x7f) | 0x80);
        number >>= 7;
    }
    out.push(number as u8);
}

/// Appends a signed number, zigzag, as a varint.
#[expect(clippy::cast_sign_loss, reason = "zigzag moves the sign to the lowest bit")]
pub fn put_signed(out: &mut Vec<u8>, number: i128) {
    put_varint(out, ((number << 1) ^ (number >> 127)) as u128);
}

/// Appends a length and the bytes.
pub fn put_bytes(out: &mut Vec<u8>, bytes: &[u8]) {
    put_varint(out, bytes.len() as u128);
    out.extend_from_slice(bytes);
}

/// Appends a number whose bytes sort as it does, small ones in one byte: below 248 itself, else 247 plus how many bytes follow.
pub(crate) fn put_sorted(out: &mut Vec<u8>, number: u64) {
    if let Some(small) = u8::try_from(number).ok().filter(|small| *small < 248) {
        out.push(small);
        return;
    }
    let bytes = number.to_be_bytes();
    let zeros = usize::try_from(number.leading_zeros() / 8).unwrap_or(0);
    let significant = bytes.get(zeros..).unwrap_or_default();
    out.push(u8::try_from(significant.len()).unwrap_or(8).saturating_add(247));
    out.extend_from_slice(significant);
}

/// Reads what the `put_` functions wrote.
#[derive(Clone, Debug)]
pub struct Reader<'a> {
    rest: &'a [u8],
    length: usize,
    what: &'static str,
}

impl<'a> Reader<'a> {
    /// A reader of `bytes`, which are a `what`.
    pub fn new(what: &'static str, bytes: &'a [u8]) -> Self {
        Self {
            rest: bytes,
            length: bytes.len(),
            what,
        }
    }

    /// How many bytes are left.
    pub fn remaining(&self) -> usize {
        self.rest.len()
    }

    /// The error that names this place.
    pub fn corrupt(&self) -> Corrupt {
        Corrupt {
            what: self.what,
            at: self.length.saturating_sub(self.rest.len()),
        }
    }

    /// One byte.
    pub fn byte(&mut self) -> Result<u8, Corrupt> {
        let (first, rest) = self.rest.split_first().ok_or_else(|| self.corrupt())?;
        self.rest = rest;
        Ok(*first)
    }

    /// `count` bytes.
    pub fn take(&mut self, count: usize) -> Result<&'a [u8], Corrupt> {
        let (taken, rest) = self.rest.split_at_checked(count).ok_or_else(|| self.corrupt())?;
        self.rest = rest;
        Ok(taken)
    }

    /// An unsigned varint of up to 128 bits.
    pub fn wide(&mut self) -> Result<u128, Corrupt> {
        let mut number: u128 = 0;
        let mut shift: u32 = 0;
        loop {
            let byte = self.byte()?;
            let bits = u128::from(byte & 0x7f);
            if shift > 126 || (shift == 126 && bits > 3) {
                return Err(self.corrupt());
            }
            number |= bits << shift;
            if byte & 0x80 == 0 {
                return Ok(number);
            }
            shift = shift.saturating_add(7);
        }
    }

    /// A signed number.
    #[expect(clippy::cast_possible_wrap, reason = "zigzag: the inverse of `put_signed`")]
    pub fn signed(&mut self) -> Result<i128, Corrupt> {
        let number = self.wide()?;
        Ok(((number >> 1) as i128) ^ -((number & 1) as i128))
    }

    /// An unsigned varint that fits `T`.
    pub fn varint<T: TryFrom<u128>>(&mut self) -> Result<T, Corrupt> {
        let number = self.wide()?;
        T::try_from(number).map_err(|_| self.corrupt())
    }

    /// A number that may be absent, written one larger so that zero stands for none: the largest `T` still fits.
    pub(crate) fn optional<T: TryFrom<u128>>(&mut self) -> Result<Option<T>, Corrupt> {
        let Some(number) = self.wide()?.checked_sub(1) else {
            return Ok(None);
        };
        T::try_from(number).map(Some).map_err(|_| self.corrupt())
    }

    /// A number whose bytes sort.
    pub(crate) fn sorted(&mut self) -> Result<u64, Corrupt> {
        let first = self.byte()?;
        let Some(length) = first.checked_sub(247).filter(|length| *length > 0) else {
            return Ok(first.into());
        };
        let bytes = self.take(length.into())?;
        Ok(bytes.iter().fold(0, |number, byte| number << 8 | u64::from(*byte)))
    }

    /// A length and that many bytes.
    pub fn bytes(&mut self) -> Result<&'a [u8], Corrupt> {
        let length = self.varint()?;
        self.take(length)
    }

    /// A length and that many bytes of UTF-8.
    pub fn text(&mut self) -> Result<&'a str, Corrupt> {
        let bytes = self.bytes()?;
        std::str::from_utf8(bytes).map_err(|_| self.corrupt())
    }

    /// That nothing is left.
    pub fn end(&self) -> Result<(), Corrupt> {
        if self.rest.is_empty() {
            Ok(())
        } else {
            Err(self.corrupt())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reader_knows_what_is_left() {
        let mut reader = Reader::new("test", &[1, 2, 3]);
        assert_eq!(reader.remaining(), 3);
        reader.take(2).unwrap();
        assert_eq!(reader.remaining(), 1);
        reader.take(1).unwrap();
        assert_eq!(reader.remaining(), 0);
        assert!(reader.take(1).is_err());
    }
}
