//! What the program finds in its environment beside what the user set; listed in [`serin_wire::places`].

use std::collections::BTreeMap;
use std::path::Path;

use serin_wire::{Evaluate, Train, places};

use crate::places::Places;

/// Variables of a training.
pub fn of_training(train: &Train, places: &Places) -> BTreeMap<String, String> {
    let mut variables = Variables::new(places, &train.run_uid);
    variables.set("SERIN_ATTEMPT", train.attempt.to_string());
    variables.place("SERIN_PARAMETERS", places::PARAMETERS);
    variables.place("SERIN_OUTPUT_DIR", places::OUTPUT_DIR);
    if train.base.is_some() {
        variables.place("SERIN_BASE_DIR", places::BASE_DIR);
    }
    if train.checkpoints.is_some() {
        variables.place("SERIN_CHECKPOINT_DIR", places::CHECKPOINT_DIR);
        // Without its marker it is no checkpoint, whatever lies there.
        if is_complete(&places.at(places::RESUME_DIR)) {
            variables.place("SERIN_RESUME_FROM", places::RESUME_DIR);
        }
    }
    if let Some(seed) = &train.seed {
        variables.set("SERIN_SEED", seed.clone());
    }
    for (name, value) in &train.parameters {
        variables.set(&parameter(name), value.clone());
    }
    variables.found
}

/// Variables of an evaluation.
pub fn of_evaluation(evaluate: &Evaluate, places: &Places) -> BTreeMap<String, String> {
    let mut variables = Variables::new(places, &evaluate.run_uid);
    variables.place("SERIN_CANDIDATE_DIR", places::CANDIDATE_DIR);
    if evaluate.champion.is_some() {
        variables.place("SERIN_CHAMPION_DIR", places::CHAMPION_DIR);
    }
    variables.place("SERIN_RESULT", places::RESULT);
    variables.found
}

/// Name of a parameter's variable.
fn parameter(name: &str) -> String {
    let plain = |c: char| if c.is_ascii_alphanumeric() { c.to_ascii_uppercase() } else { '_' };
    format!("SERIN_PARAM_{}", name.chars().map(plain).collect::<String>())
}

fn is_complete(checkpoint: &Path) -> bool {
    checkpoint.join(places::COMPLETE).exists()
}

struct Variables<'p> {
    places: &'p Places,
    found: BTreeMap<String, String>,
}

impl<'p> Variables<'p> {
    fn new(places: &'p Places, run_uid: &str) -> Self {
        let mut variables = Self { places, found: BTreeMap::new() };
        variables.set("SERIN_RUN_UID", run_uid.to_owned());
        variables.place("SERIN_DATA_DIR", places::DATA_DIR);
        variables
    }

    fn set(&mut self, name: &str, value: String) {
        self.found.insert(name.to_owned(), value);
    }

    fn place(&mut self, name: &str, place: &str) {
        self.set(name, self.places.at(place).display().to_string());
    }
}

#[cfg(test)]
mod tests {
    use super::parameter;

    #[test]
    fn parameters_become_variables() {
        assert_eq!(parameter("learning_rate"), "SERIN_PARAM_LEARNING_RATE");
        assert_eq!(parameter("adam.beta-1"), "SERIN_PARAM_ADAM_BETA_1");
    }
}
