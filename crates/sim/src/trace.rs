//! What happened, as one number: two runs of a seed give the same. FNV-1a, 64 bits (Fowler, Noll, Vo).

/// The hash of a run so far, and its last lines for a person.
#[derive(Debug)]
pub(crate) struct Trace {
    hash: u64,
    lines: Vec<String>,
    keep: bool,
}

impl Trace {
    /// `keep`: whether the lines are wanted.
    pub(crate) fn new(keep: bool) -> Self {
        Self {
            hash: 0xCBF2_9CE4_8422_2325,
            lines: Vec::new(),
            keep,
        }
    }

    pub(crate) fn note(&mut self, line: String) {
        for byte in line.bytes().chain([b'\n']) {
            self.hash = (self.hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01B3);
        }
        if self.keep {
            self.lines.push(line);
        }
    }

    pub(crate) fn hash(&self) -> u64 {
        self.hash
    }

    pub(crate) fn into_lines(self) -> Vec<String> {
        self.lines
    }
}
