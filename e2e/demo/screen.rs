//! The timeline on a terminal, redrawn in place; a plain log anywhere else.

use std::{
    fmt::Write as _,
    io::{IsTerminal as _, Write as _},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread::JoinHandle,
    time::Duration,
};

use super::{
    Shared, learn,
    timeline::{Timeline, dash, lock},
};
use crate::Error;

/// A running display.
pub struct Screen {
    stop: Arc<AtomicBool>,
    thread: JoinHandle<()>,
}

impl Screen {
    /// Draws the last state and ends.
    pub fn finish(self) {
        self.stop.store(true, Ordering::Release);
        // A display that panicked has nothing more to say.
        let _ = self.thread.join();
    }
}

/// Starts showing `timeline`.
pub fn start(timeline: &Shared, plain: bool) -> Result<Screen, Error> {
    let stop = Arc::new(AtomicBool::new(false));
    let (shared, stopping) = (timeline.clone(), stop.clone());
    let live = std::io::stdout().is_terminal() && !plain;
    let thread = std::thread::Builder::new().name("screen".to_owned()).spawn(move || {
        let mut shown = 0;
        let mut lines = 0;
        loop {
            let last = stopping.load(Ordering::Acquire);
            let now = lock(&shared).clone();
            if live {
                lines = redraw(&now, lines);
            } else {
                for (at, line) in now.log.iter().skip(shown) {
                    println!("[{:6.1} s] {line}", at.as_secs_f64());
                }
                shown = now.log.len();
            }
            if last {
                return;
            }
            std::thread::sleep(Duration::from_millis(200));
        }
    })?;
    Ok(Screen { stop, thread })
}

const BOLD: &str = "\x1b[1m";
const DIM: &str = "\x1b[2m";
const GREEN: &str = "\x1b[32m";
const RED: &str = "\x1b[31m";
const YELLOW: &str = "\x1b[33m";
const CYAN: &str = "\x1b[36m";
const OFF: &str = "\x1b[0m";

/// Draws over the `before` lines of the last time; returns how many it drew.
fn redraw(t: &Timeline, before: usize) -> usize {
    let width = terminal_width();
    let picture = picture(t, width);
    let mut out = std::io::stdout().lock();
    let mut text = String::new();
    if before > 0 {
        let _ = write!(text, "\x1b[{before}A");
    }
    for line in &picture {
        text.push_str("\x1b[2K");
        text.push_str(line);
        text.push('\n');
    }
    // Fewer lines than before: the rest is cleared.
    text.push_str("\x1b[0J");
    // A terminal that went away ends the display, not the demo.
    let _ = out.write_all(text.as_bytes());
    let _ = out.flush();
    picture.len()
}

fn terminal_width() -> usize {
    let asked = std::process::Command::new("stty").arg("size").stdin(std::process::Stdio::inherit()).output();
    let columns = asked
        .ok()
        .and_then(|o| String::from_utf8(o.stdout).ok()?.split_whitespace().nth(1)?.parse::<usize>().ok());
    columns.unwrap_or(100).clamp(60, 160)
}

fn picture(t: &Timeline, width: usize) -> Vec<String> {
    let mut lines =
        vec![format!("{BOLD}Serin{OFF}  {:.0} s", t.start.elapsed().as_secs_f64()), String::new()];
    for p in &t.phases {
        let (mark, text, seconds) = match &p.end {
            None => (format!("{YELLOW}>{OFF}"), p.what.clone(), t.start.elapsed().saturating_sub(p.began)),
            Some(e) if e.ok => (format!("{GREEN}+{OFF}"), e.words.clone(), e.at.saturating_sub(p.began)),
            Some(e) => (format!("{RED}x{OFF}"), e.words.clone(), e.at.saturating_sub(p.began)),
        };
        let text = cut(&text, width - 22);
        lines.push(format!(" {mark} {:<8} {:>6.1} s  {text}", p.name, seconds.as_secs_f64()));
    }
    lines.push(String::new());
    lines.extend(runs(t, width));
    if !t.row.stable.is_empty() || !t.row.candidate.is_empty() {
        lines.push(format!(
            "   {DIM}{:<18}{:<18}{:<8}{:<6}{:<12}{OFF}",
            "STABLE", "CANDIDATE", "WEIGHT", "STEP", "VERDICT"
        ));
        let colour = match t.row.verdict.as_str() {
            "Pass" | "Promoted" => GREEN,
            "Fail" | "RolledBack" => RED,
            _ => YELLOW,
        };
        lines.push(format!(
            "   {BOLD}{:<18}{OFF}{:<18}{:<8}{:<6}{colour}{:<12}{OFF}",
            dash(&t.row.stable),
            dash(&t.row.candidate),
            format!("{} %", t.row.weight),
            dash(&t.row.step),
            dash(&t.row.verdict)
        ));
        lines.push(format!("   {DIM}{}{OFF}", cut(&t.row.progress, width - 4)));
        lines.push(String::new());
        lines.extend(weights(t, width));
        lines.push(String::new());
        lines.extend(answers(t));
    } else if let Some((_, line)) = t.log.last() {
        lines.push(format!("   {DIM}{}{OFF}", cut(line, width - 4)));
    }
    lines
}

/// A line for each training run: where it is, and accuracy of candidate and champion.
fn runs(t: &Timeline, width: usize) -> Vec<String> {
    if t.runs.is_empty() {
        return Vec::new();
    }
    let mut lines = vec![format!(
        "   {DIM}{:<10}{:<12}{:<9}{:<11}{:<11}VERSION{OFF}",
        "RUN", "PHASE", "ATTEMPT", "ACCURACY", "CHAMPION"
    )];
    for r in &t.runs {
        let values = r.gate.as_ref().and_then(|g| g.values.get("accuracy"));
        let champion = values.and_then(|(_, champion)| champion.as_deref()).unwrap_or("-");
        let colour = match &r.gate {
            Some(gate) if gate.passed => GREEN,
            Some(_) => RED,
            None => YELLOW,
        };
        lines.push(cut(
            &format!(
                "   {:<10}{:<12}{:<9}{colour}{:<11}{OFF}{champion:<11}{}",
                r.name,
                learn::word(r.phase),
                r.attempts.len(),
                values.map_or("-", |(candidate, _)| candidate),
                r.version.as_deref().unwrap_or("-")
            ),
            width + 9,
        ));
    }
    lines.push(String::new());
    lines
}

/// Height of the plot in lines.
const HEIGHT: usize = 5;

/// The candidate's weight over the time since the first version served.
fn weights(t: &Timeline, width: usize) -> Vec<String> {
    const BLOCKS: [char; 9] = [' ', '▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];
    let columns = width.saturating_sub(14).max(20);
    let Some((first, _)) = t.weights.first() else { return Vec::new() };
    let now = t.start.elapsed();
    let span = now.saturating_sub(*first).as_secs_f64().max(60.0);
    let mut highest = vec![0_i64; columns];
    for (at, weight) in &t.weights {
        let x = at.saturating_sub(*first).as_secs_f64() / span;
        #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
        let i = ((x * columns as f64) as usize).min(columns - 1);
        highest[i] = highest[i].max(*weight);
    }
    (0..HEIGHT)
        .rev()
        .map(|row| {
            let label = match row {
                r if r == HEIGHT - 1 => "100 %",
                0 => "  0 %",
                _ => "     ",
            };
            let bar: String = highest
                .iter()
                .map(|w| {
                    let eighths = usize::try_from(*w).unwrap_or(0) * HEIGHT * 8 / 100;
                    BLOCKS[eighths.saturating_sub(row * 8).min(8)]
                })
                .collect();
            format!("   {DIM}{label}{OFF} {CYAN}{bar}{OFF}")
        })
        .collect()
}

fn answers(t: &Timeline) -> Vec<String> {
    let mut lines = vec![format!(
        "   {DIM}{:<10}{:>10}{:>10}{:>10}{:>10}{OFF}",
        "", "requests", "failed", "p50 ms", "p99 ms"
    )];
    let ms = |v: Option<f64>| v.map_or_else(|| "-".to_owned(), |v| format!("{v:.1}"));
    for (digest, v) in &t.counts.by_digest {
        let name = t.version_of(digest).unwrap_or(digest);
        let failed = v.failed();
        let colour = if failed > 0 { RED } else { GREEN };
        lines.push(format!(
            "   {name:<10}{:>10}{colour}{failed:>10}{OFF}{:>10}{:>10}",
            v.total,
            ms(v.p50_ms),
            ms(v.p99_ms)
        ));
    }
    lines
}

fn cut(text: &str, width: usize) -> String {
    if text.chars().count() <= width {
        return text.to_owned();
    }
    let mut short: String = text.chars().take(width.saturating_sub(1)).collect();
    short.push('…');
    short
}
