//! A file read in chunks of whole lines, with the digest of everything before each place.

use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::path::Path;

use blake3::Hasher;

use crate::cli::Failure;

/// A chunk's bytes, unless one line has more.
const CHUNK_BYTES: usize = 1 << 20;
/// A line longer than this is not sent: the server would reject it anyway.
const MAX_CHUNK_BYTES: usize = 8 << 20;

/// Whole lines.
#[derive(Debug)]
pub(super) struct Chunk {
    /// Where they begin.
    pub(super) from: u64,
    /// The lines; without newline at the end only where the file ends so.
    pub(super) bytes: Vec<u8>,
    /// The digest of everything before them.
    pub(super) before: String,
    /// The digest of everything up to their end.
    pub(super) after: String,
    /// Whether it is what the file has behind its last newline.
    pub(super) is_tail: bool,
    hasher: Hasher,
}

impl Chunk {
    /// Where they end.
    pub(super) fn end(&self) -> u64 {
        self.from.saturating_add(self.bytes.len() as u64)
    }
}

/// A file, at a place.
#[derive(Debug)]
pub(super) struct Source {
    file: File,
    path: String,
    bytes: u64,
    position: u64,
    /// Of everything before the position.
    hasher: Hasher,
}

impl Source {
    /// At its beginning. It is taken as long as it is now: what is appended meanwhile is for the next run.
    pub(super) fn new(file: File, path: &Path) -> Result<Self, Failure> {
        let path = path.display().to_string();
        let metadata = file
            .metadata()
            .map_err(|error| Failure::Failed(format!("cannot read {path}: {error}")))?;
        if !metadata.is_file() {
            return Err(Failure::Failed(format!(
                "{path} is not a file, which could be read again after a crash"
            )));
        }
        Ok(Self {
            file,
            path,
            bytes: metadata.len(),
            position: 0,
            hasher: Hasher::new(),
        })
    }

    /// Its path.
    pub(super) fn path(&self) -> &str {
        &self.path
    }

    /// How long it is.
    pub(super) fn bytes(&self) -> u64 {
        self.bytes
    }

    /// How far it was accepted.
    pub(super) fn position(&self) -> u64 {
        self.position
    }

    /// Goes to a place and answers the digest of everything before it.
    pub(super) fn go_to(&mut self, position: u64) -> Result<String, Failure> {
        if position > self.bytes {
            return Err(Failure::Failed(format!(
                "{} has {} bytes, of a file with this name {position} were counted: it is another file. Count it under another name (--source)",
                self.path, self.bytes
            )));
        }
        if position < self.position {
            self.hasher = Hasher::new();
            self.position = 0;
        }
        let mut buffer = vec![0; CHUNK_BYTES];
        self.seek(self.position)?;
        while self.position < position {
            let wanted = usize::try_from(position.saturating_sub(self.position))
                .unwrap_or(usize::MAX)
                .min(CHUNK_BYTES);
            let Some(part) = buffer.get_mut(..wanted) else { break };
            self.file.read_exact(part).map_err(|error| self.unreadable(&error))?;
            self.hasher.update(part);
            self.position = self.position.saturating_add(wanted as u64);
        }
        Ok(digest(&self.hasher))
    }

    /// The next lines; `None` at the end.
    pub(super) fn chunk(&mut self) -> Result<Option<Chunk>, Failure> {
        let left = self.bytes.saturating_sub(self.position);
        if left == 0 {
            return Ok(None);
        }
        self.seek(self.position)?;
        let mut bytes = Vec::new();
        loop {
            let wanted = left.saturating_sub(bytes.len() as u64).min(CHUNK_BYTES as u64);
            let read = self
                .file
                .by_ref()
                .take(wanted)
                .read_to_end(&mut bytes)
                .map_err(|error| self.unreadable(&error))?;
            if let Some(newline) = bytes.iter().rposition(|byte| *byte == b'\n') {
                bytes.truncate(newline.saturating_add(1));
                return Ok(Some(self.cut(bytes, false)));
            }
            if bytes.len() as u64 >= left || read == 0 {
                return Ok(Some(self.cut(bytes, true)));
            }
            if bytes.len() >= MAX_CHUNK_BYTES {
                return Err(Failure::Failed(format!(
                    "{}: the line at byte {} is longer than {MAX_CHUNK_BYTES} bytes",
                    self.path, self.position
                )));
            }
        }
    }

    /// The chunk has been taken.
    pub(super) fn accept(&mut self, chunk: &Chunk) {
        self.position = chunk.end();
        self.hasher = chunk.hasher.clone();
    }

    fn cut(&self, bytes: Vec<u8>, is_tail: bool) -> Chunk {
        let mut hasher = self.hasher.clone();
        hasher.update(&bytes);
        Chunk {
            from: self.position,
            before: digest(&self.hasher),
            after: digest(&hasher),
            bytes,
            is_tail,
            hasher,
        }
    }

    fn seek(&mut self, position: u64) -> Result<(), Failure> {
        self.file
            .seek(SeekFrom::Start(position))
            .map(drop)
            .map_err(|error| self.unreadable(&error))
    }

    fn unreadable(&self, error: &std::io::Error) -> Failure {
        Failure::Failed(format!("cannot read {}: {error}", self.path))
    }
}

fn digest(hasher: &Hasher) -> String {
    hasher.finalize().to_hex().to_string()
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    fn source(bytes: &[u8]) -> (tempfile::NamedTempFile, Source) {
        let mut file = tempfile::NamedTempFile::new().unwrap();
        file.write_all(bytes).unwrap();
        let source = Source::new(File::open(file.path()).unwrap(), file.path()).unwrap();
        (file, source)
    }

    #[test]
    fn chunks_are_whole_lines_and_digests_follow() {
        let mut all = Vec::new();
        for number in 0..60_000 {
            all.extend_from_slice(format!("{{\"number\":{number},\"more\":\"text\"}}\n").as_bytes());
        }
        all.extend_from_slice(b"{\"last\":true}");
        let (_file, mut source) = source(&all);
        let mut joined = Vec::new();
        while let Some(chunk) = source.chunk().unwrap() {
            assert!(chunk.bytes.len() <= CHUNK_BYTES);
            assert_eq!(chunk.bytes.ends_with(b"\n"), !chunk.is_tail);
            assert_eq!(chunk.before, blake3::hash(&joined).to_hex().to_string());
            joined.extend_from_slice(&chunk.bytes);
            assert_eq!(chunk.after, blake3::hash(&joined).to_hex().to_string());
            source.accept(&chunk);
        }
        assert_eq!(joined, all);
        assert_eq!(source.go_to(7).unwrap(), blake3::hash(&all[..7]).to_hex().to_string());
        assert!(source.go_to(u64::MAX).is_err());
    }
}
