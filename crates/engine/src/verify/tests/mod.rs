//! Deliberate damage of each kind is found, named and mended, also when the mending is cut off anywhere; nothing is found where nothing
//! is wrong.

mod bench;
mod calm;
mod cut_off;
mod damage;
mod history;
mod kinds;
mod memory;
mod strong;
