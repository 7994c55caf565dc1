//! What becomes of the pods of Jobs, as a test says it.

use std::time::Duration;

use serde_json::Value;

/// What becomes of a pod of a Job.
#[derive(Debug, Clone)]
pub enum Fate {
    /// No node takes it.
    Unschedulable,
    /// Its image cannot be pulled.
    ImagePull,
    /// Its init container fetches the inputs, for as long as this lasts.
    Prepares,
    /// It runs until the script says otherwise.
    Runs,
    /// It runs for this time and ends.
    Ends(Duration, End),
}

/// How a pod of a Job ends.
#[derive(Debug, Clone)]
pub enum End {
    /// Its program ends well and leaves this.
    Well(Left),
    /// Its program ends with this exit code and these last words.
    Exit(i32, &'static str),
    /// Its program takes more memory than it may: exit code 137, and the runtime says why.
    OutOfMemory,
    /// Its init container ends with this exit code and these last words; the program never starts.
    InPrepare(i32, &'static str),
    /// The kubelet evicts it: the condition DisruptionTarget and exit code 137.
    Disrupted,
}

/// What a program leaves in the termination message. Only index 0 of a training leaves anything.
#[derive(Debug, Clone)]
pub enum Left {
    /// The result that its task asks for.
    Result,
    /// Of an evaluation: accuracy of the candidate, and of the champion if there is one.
    Accuracy(f64, f64),
    /// The result after this change.
    Forged(fn(&mut Value)),
    /// This text.
    Text(String),
    /// Nothing.
    Nothing,
}

impl Fate {
    /// It ends at once and leaves its result.
    pub const WELL: Self = Self::Ends(Duration::ZERO, End::Well(Left::Result));

    /// It ends at once.
    pub fn ends(end: End) -> Self {
        Self::Ends(Duration::ZERO, end)
    }

    /// It ends at once and leaves this.
    pub fn leaves(left: Left) -> Self {
        Self::ends(End::Well(left))
    }

    /// It ends at once with this exit code.
    pub fn exits(code: i32) -> Self {
        Self::ends(End::Exit(code, "ValueError: the loss is no number"))
    }
}

/// Whose fate it is. Everything that is set must fit.
#[derive(Debug, Clone, Default)]
pub struct Whose {
    image: String,
    attempt: Option<String>,
    index: Option<String>,
}

/// Pods whose image contains this.
pub fn image(text: &str) -> Whose {
    Whose { image: text.to_owned(), ..Whose::default() }
}

impl Whose {
    /// Of this attempt, or of the evaluation with this number.
    #[must_use]
    pub fn number(mut self, number: i32) -> Self {
        self.attempt = Some(number.to_string());
        self
    }

    /// Of this completion index.
    #[must_use]
    pub fn index(mut self, index: i32) -> Self {
        self.index = Some(index.to_string());
        self
    }

    pub(super) fn fits(&self, pod: &super::job::JobPod) -> bool {
        let is =
            |wanted: &Option<String>, found: &str| wanted.as_deref().is_none_or(|wanted| wanted == found);
        pod.image.contains(&self.image) && is(&self.attempt, &pod.number) && is(&self.index, &pod.index)
    }
}
