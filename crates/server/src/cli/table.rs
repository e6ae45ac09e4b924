//! Columns of text, aligned.

use super::output::plain;

/// Which way a column leans.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Lean {
    Left,
    Right,
}

/// Rows in columns as wide as their widest cell.
pub(super) fn table(head: &[(&str, Lean)], rows: &[Vec<String>]) -> String {
    let rows: Vec<Vec<String>> = rows
        .iter()
        .map(|row| row.iter().map(|cell| plain(cell)).collect())
        .collect();
    let titles: Vec<String> = head.iter().map(|(title, _)| (*title).to_owned()).collect();
    let mut widths = vec![0; head.len()];
    for row in std::iter::once(&titles).chain(&rows) {
        for (width, cell) in widths.iter_mut().zip(row) {
            *width = cell.chars().count().max(*width);
        }
    }
    let mut text = String::new();
    for row in std::iter::once(&titles).chain(&rows) {
        let mut line = String::new();
        for ((cell, width), (_, lean)) in row.iter().zip(&widths).zip(head) {
            let padding = " ".repeat(width.saturating_sub(cell.chars().count()));
            let (before, after) = if *lean == Lean::Right {
                (padding.as_str(), "")
            } else {
                ("", padding.as_str())
            };
            if !line.is_empty() {
                line.push_str("  ");
            }
            line.extend([before, cell.as_str(), after]);
        }
        text.push_str(line.trim_end());
        text.push('\n');
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_aligned() {
        let head = [("key", Lean::Left), ("value", Lean::Right)];
        let rows = [
            vec!["a".to_owned(), "1".to_owned()],
            vec!["longer\u{1b}[0m".to_owned(), "-20000".to_owned()],
        ];
        assert_eq!(
            table(&head, &rows),
            "key               value\na                     1\nlonger\\u{1b}[0m  -20000\n"
        );
    }
}
