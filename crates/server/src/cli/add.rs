//! `tally add KEY [AMOUNT]`.

use serde_json::json;

use super::client::{elements, text};
use super::output::print;
use super::{Failure, Server};

#[derive(Debug, clap::Args)]
pub(super) struct Arguments {
    /// The counter's name
    key: String,
    /// How much, negative too
    #[arg(default_value_t = 1, allow_negative_numbers = true)]
    amount: i64,
    /// Makes a repeat safe: the same token changes nothing and prints the first answer again
    #[arg(long)]
    token: Option<String>,
    /// When it happened, RFC 3339 or Unix milliseconds
    #[arg(long)]
    time: Option<String>,
    #[command(flatten)]
    server: Server,
}

pub(super) fn run(arguments: &Arguments) -> Result<(), Failure> {
    let Arguments {
        key,
        amount,
        token,
        time,
        server,
    } = arguments;
    let mut add = json!({ "key": key, "amount": amount });
    if let (Some(token), Some(fields)) = (token, add.as_object_mut()) {
        fields.insert("token".to_owned(), json!(token));
    }
    if let (Some(time), Some(fields)) = (time, add.as_object_mut()) {
        let moment = time.parse::<u64>().map_or_else(|_| json!(time), |ms| json!(ms));
        fields.insert("time".to_owned(), moment);
    }
    let answer = server
        .client()
        .post("/v1/add", &json!({ "adds": [add], "return": "values" }), None)?;
    let value = elements(&answer, "results")
        .first()
        .map(|result| text(result, "value").into_owned());
    print(&format!("{}\n", value.unwrap_or_default()))
}
