//! Histories of strong counters as text, as whoever drove real nodes wrote them down: a line a call, `KEY BEGAN RETURNED ACTION…`, with `-`
//! for an answer that never came, and `bounds KEY MIN MAX`. Says whether each counter's is linearizable.

use std::collections::BTreeMap;

use crate::linear::{Action, Call, Register, Verdict};

/// What a file of histories comes to: of each counter how many calls, and the verdict.
pub fn judge(text: &str) -> Result<Vec<(String, usize, Verdict)>, String> {
    let mut calls: BTreeMap<&str, Vec<Call>> = BTreeMap::new();
    let mut bounds: BTreeMap<&str, (i128, i128)> = BTreeMap::new();
    for (number, line) in text.lines().enumerate() {
        let words: Vec<&str> = line.split_whitespace().collect();
        let wrong = || format!("line {}: {line:?} is no call", number.saturating_add(1));
        match words.as_slice() {
            [] => {}
            ["bounds", key, min, max] => {
                let min = min.parse().map_err(|_| wrong())?;
                let max = max.parse().map_err(|_| wrong())?;
                bounds.insert(key, (min, max));
            }
            [key, began, returned, action @ ..] => {
                let call = call(began, returned, action).ok_or_else(wrong)?;
                calls.entry(key).or_default().push(call);
            }
            _ => return Err(wrong()),
        }
    }
    let verdict = |(key, calls): (&str, Vec<Call>)| {
        let (min, max) = bounds.get(key).copied().unwrap_or((i128::MIN, i128::MAX));
        let register = Register {
            start: 0,
            bounds: min..=max,
        };
        (key.to_owned(), calls.len(), register.check(&calls))
    };
    Ok(calls.into_iter().map(verdict).collect())
}

fn call(began: &str, returned: &str, action: &[&str]) -> Option<Call> {
    let action = match action {
        ["add", amount, told] => Action::Add {
            amount: amount.parse().ok()?,
            told: if *told == "-" { None } else { Some(told.parse().ok()?) },
        },
        ["refused", amount] => Action::Refused {
            amount: amount.parse().ok()?,
        },
        ["set", value] => Action::Set(value.parse().ok()?),
        ["read", value] => Action::Read(value.parse().ok()?),
        _ => return None,
    };
    Some(Call {
        began: began.parse().ok()?,
        returned: if returned == "-" {
            None
        } else {
            Some(returned.parse().ok()?)
        },
        action,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn histories_are_judged_a_counter_at_a_time() {
        let text =
            "bounds a 0 2\na 1 2 add 2 2\na 3 4 refused 1\na 5 - add -1 -\na 7 8 read 1\nb 1 2 set 9\nb 3 4 read 8\n";
        let found = judge(text).unwrap();
        assert_eq!(found[0], ("a".to_owned(), 4, Verdict::Linearizable));
        assert!(matches!(found[1], (_, 2, Verdict::Broken { .. })), "{found:?}");
        for wrong in ["a 1 2", "a 1 2 add 1", "a x 2 read 1", "a 1 2 pop 1"] {
            assert!(judge(wrong).is_err(), "{wrong}");
        }
    }
}
