//! A tree as text, one line a node.

use super::{Node, Tone};

/// Whether colours are wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Paint {
    /// Text alone: files, pipes, logs.
    Plain,
    /// ANSI colours, for a terminal.
    Colour,
}

/// Draws it; the last line ends with a line break.
pub fn render(root: &Node, paint: Paint) -> String {
    let mut out = format!("{}\n", paint.bold(&clean(&root.text)));
    children(root, "", paint, &mut out);
    out
}

fn children(node: &Node, indent: &str, paint: Paint, out: &mut String) {
    for (i, child) in node.children.iter().enumerate() {
        let last = i + 1 == node.children.len();
        let (branch, below) = if last { ("└─ ", "   ") } else { ("├─ ", "│  ") };
        let kind = paint.faint(child.kind);
        let text = paint.toned(child.tone, &clean(&child.text));
        out.extend([indent, branch, &kind, " ", &text, "\n"]);
        children(child, &format!("{indent}{below}"), paint, out);
    }
}

/// Texts of users and programs: no line break, and nothing that a terminal would obey.
fn clean(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect()
}

impl Paint {
    fn with(self, code: &str, text: &str) -> String {
        match self {
            Self::Plain => text.to_owned(),
            Self::Colour => format!("\u{1b}[{code}m{text}\u{1b}[0m"),
        }
    }
    fn bold(self, text: &str) -> String {
        self.with("1", text)
    }
    fn faint(self, text: &str) -> String {
        self.with("2", text)
    }
    fn toned(self, tone: Tone, text: &str) -> String {
        match tone {
            Tone::Plain => text.to_owned(),
            Tone::Good => self.with("32", text),
            Tone::Bad => self.with("31", text),
        }
    }
}
