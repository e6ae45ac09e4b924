//! TALLY.HISTORY and TALLY.QUERY.

use crate::resp::fault::Fault;
use crate::resp::parser::Args;
use crate::resp::reply::Reply;
use crate::resp::shared::Shared;

pub(in crate::resp) async fn history(_: &Shared, _: Args<'_>, _: &mut Reply<'_>) -> Result<(), Fault> {
    Err(Fault::Text("ERR not yet"))
}

pub(in crate::resp) async fn query(_: &Shared, _: Args<'_>, _: &mut Reply<'_>) -> Result<(), Fault> {
    Err(Fault::Text("ERR not yet"))
}
