//! A tree as text, one line a node.

use super::Node;
use crate::paint::{Paint, clean};

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
