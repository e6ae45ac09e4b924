//! `tally get KEY…` and `tally list [PREFIX]`.

use serde_json::{Value, json};

use super::client::{elements, text};
use super::output::{plain, print};
use super::table::{Lean, table};
use super::{Failure, Server};

/// Counters of one page.
const PAGE: &str = "1000";

#[derive(Debug, clap::Args)]
pub(super) struct Get {
    /// The counters' names
    #[arg(required = true, value_name = "KEY")]
    keys: Vec<String>,
    /// Other nodes' counts as the store has them now, not as last seen
    #[arg(long)]
    fresh: bool,
    /// Prints JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    server: Server,
}

/// One key: its value, or exit code 1 if it does not exist. Several: a table, `-` for those that do not exist.
pub(super) fn get(arguments: &Get) -> Result<(), Failure> {
    let answer = arguments.server.client().post(
        "/v1/get",
        &json!({ "keys": arguments.keys, "fresh": arguments.fresh }),
        None,
    )?;
    if arguments.json {
        return print(&format!("{answer}\n"));
    }
    let counters = elements(&answer, "counters");
    if let [counter] = counters {
        return match text(counter, "value").as_ref() {
            "" => Err(Failure::Failed(format!(
                "there is no counter {:?}",
                plain(&text(counter, "key"))
            ))),
            value => print(&format!("{value}\n")),
        };
    }
    print(&rows(counters))
}

#[derive(Debug, clap::Args)]
pub(super) struct List {
    /// What the names begin with
    #[arg(default_value = "")]
    prefix: String,
    /// At most so many
    #[arg(long, default_value_t = usize::MAX, hide_default_value = true)]
    limit: usize,
    /// Prints JSON, a line a counter
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    server: Server,
}

/// Page by page, so that it begins at once and needs no memory.
pub(super) fn list(arguments: &List) -> Result<(), Failure> {
    let client = arguments.server.client();
    let (mut after, mut left) = (String::new(), arguments.limit);
    while left > 0 {
        let page = client.get(
            "/v1/counters",
            &[("prefix", &arguments.prefix), ("after", &after), ("limit", PAGE)],
        )?;
        let counters = elements(&page, "counters");
        let some = counters.get(..counters.len().min(left)).unwrap_or(counters);
        if arguments.json {
            print(
                &some
                    .iter()
                    .fold(String::new(), |lines, counter| lines + &counter.to_string() + "\n"),
            )?;
        } else {
            let line = |counter: &Value| format!("{}\t{}\n", text(counter, "value"), plain(&text(counter, "key")));
            print(&some.iter().map(line).collect::<Vec<_>>().concat())?;
        }
        left = left.saturating_sub(some.len());
        match page.get("next").and_then(Value::as_str) {
            Some(next) => next.clone_into(&mut after),
            None => break,
        }
    }
    Ok(())
}

fn rows(counters: &[Value]) -> String {
    let row = |counter: &Value| {
        let value = text(counter, "value");
        vec![
            text(counter, "key").into_owned(),
            if value.is_empty() {
                "-".to_owned()
            } else {
                value.into_owned()
            },
        ]
    };
    let rows: Vec<Vec<String>> = counters.iter().map(row).collect();
    table(&[("key", Lean::Left), ("value", Lean::Right)], &rows)
}
