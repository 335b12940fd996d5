//! Tests of the whole: here those that hold the code to its architecture.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test fails by panicking")]

mod layers;
mod oldest;
mod sizes;
mod source;
