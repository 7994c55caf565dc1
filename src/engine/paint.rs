//! Text for terminals.

use serin_api::Verdict;

/// Whether colours are wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Paint {
    /// Text alone: files, pipes, logs.
    Plain,
    /// ANSI colours, for a terminal.
    Colour,
}

/// What a piece of text says about its subject.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tone {
    /// Neither.
    Plain,
    /// Something went well.
    Good,
    /// Something went badly.
    Bad,
}

impl From<Verdict> for Tone {
    fn from(verdict: Verdict) -> Self {
        match verdict {
            Verdict::Pass | Verdict::Promoted => Self::Good,
            Verdict::Fail | Verdict::RolledBack => Self::Bad,
            Verdict::Undecided | Verdict::NoData | Verdict::Inconclusive | Verdict::ProviderError => {
                Self::Plain
            }
        }
    }
}

impl Paint {
    fn with(self, code: &str, text: &str) -> String {
        match self {
            Self::Plain => text.to_owned(),
            Self::Colour => format!("\u{1b}[{code}m{text}\u{1b}[0m"),
        }
    }
    /// What the eye should find first.
    pub fn bold(self, text: &str) -> String {
        self.with("1", text)
    }
    /// What it may skip.
    pub fn faint(self, text: &str) -> String {
        self.with("2", text)
    }
    /// In the colour of its tone.
    pub fn toned(self, tone: Tone, text: &str) -> String {
        match tone {
            Tone::Plain => text.to_owned(),
            Tone::Good => self.with("32", text),
            Tone::Bad => self.with("31", text),
        }
    }
}

/// Texts of users and programs: no line break, and nothing that a terminal would obey.
pub fn clean(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect()
}
