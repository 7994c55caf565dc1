//! What can go wrong at each single write, and with the connection as a whole.

mod harm;
mod rollouts;
mod trainings;
