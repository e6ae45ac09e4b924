//! What is asked of many counters or of a range of time, whichever wire it comes by: steps in a time zone, sums, top lists. Reads the
//! engine, blocks, and answers values; how they are written is the front ends' business.

mod calendar;
mod many;
mod range;
mod reads;
mod series;

pub(crate) use calendar::Length;
pub(crate) use many::{Aggregate, Found, MAX_ROWS, Many, Row, USUAL_ROWS};
pub(crate) use range::Range;
pub(crate) use reads::Reads;
pub(crate) use series::{Amounts, Steps};
