//! What commands print on stdout. A reader that has gone (`| head`) is no error.

use std::io::{ErrorKind, Write};

use super::Failure;

/// Prints a text as it is.
pub(super) fn print(text: &str) -> Result<(), Failure> {
    let mut stdout = std::io::stdout().lock();
    match stdout.write_all(text.as_bytes()).and_then(|()| stdout.flush()) {
        Err(error) if error.kind() != ErrorKind::BrokenPipe => Err(Failure::Failed(format!("cannot write: {error}"))),
        _ => Ok(()),
    }
}

/// A text that cannot steer the terminal: names of counters come from anyone.
pub(super) fn plain(text: &str) -> String {
    let escape =
        |letter: char| letter.is_control() || matches!(letter, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
    let mut plain = String::with_capacity(text.len());
    for letter in text.chars() {
        if escape(letter) {
            plain.extend(letter.escape_default());
        } else {
            plain.push(letter);
        }
    }
    plain
}

/// How wide the terminal is; 100 columns where there is none.
pub(super) fn width() -> usize {
    let size = rustix::termios::tcgetwinsize(std::io::stdout()).ok();
    size.map(|size| usize::from(size.ws_col))
        .filter(|columns| *columns >= 20)
        .unwrap_or(100)
}
