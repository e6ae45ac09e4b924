//! A graph in the terminal: bars of eighths, as wide as the terminal and eight lines high.

use std::fmt::Write;

const LINES: usize = 8;
const EIGHTHS: [char; 9] = [' ', '▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];

/// Amounts by time, in at most `width` columns; neighbours are summed where there are more points. Negative amounts show as `-` on
/// the base line.
pub(super) fn bars(amounts: &[i128], width: usize) -> String {
    let columns = columns(amounts, width.max(10));
    let most = columns.iter().copied().max().unwrap_or(0).max(0);
    let label = most.to_string().len();
    let steps = i128::try_from(LINES.saturating_mul(8)).unwrap_or(64);
    let height = |amount: i128| match most {
        0 => 0,
        // Rounded up, so that nothing that was counted is invisible. Halved first where it would not fit.
        most => {
            let (amount, most) = if most > i128::MAX / 128 {
                (amount / 128, most / 128)
            } else {
                (amount, most)
            };
            usize::try_from((amount.max(0) * steps + most - 1) / most.max(1)).unwrap_or(0)
        }
    };
    let mut text = String::new();
    for line in (0..LINES).rev() {
        let mark = if line + 1 == LINES {
            most.to_string()
        } else if line == 0 {
            "0".to_owned()
        } else {
            String::new()
        };
        let mut bars = String::new();
        for amount in &columns {
            let filled = height(*amount).saturating_sub(line * 8).min(8);
            let letter = if *amount < 0 && line == 0 {
                '-'
            } else {
                EIGHTHS.get(filled).copied().unwrap_or('█')
            };
            bars.push(letter);
        }
        write!(text, "{mark:>label$} │{}", bars.trim_end()).ok();
        text.push('\n');
    }
    text
}

fn columns(amounts: &[i128], width: usize) -> Vec<i128> {
    let each = amounts.len().div_ceil(width).max(1);
    amounts
        .chunks(each)
        .map(|chunk| chunk.iter().fold(0_i128, |sum, amount| sum.saturating_add(*amount)))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_highest_bar_fills_all_lines() {
        let text = bars(&[0, 1, 8, -3], 40);
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(lines.len(), LINES);
        assert_eq!(lines.first(), Some(&"8 │  █"));
        assert_eq!(lines.last(), Some(&"0 │ ██-"));
        assert_eq!(columns(&[1; 100], 40).len(), 34);
        assert_eq!(columns(&[1; 100], 40).iter().sum::<i128>(), 100);
    }
}
