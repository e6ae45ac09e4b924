//! Tests of what only the model does.
