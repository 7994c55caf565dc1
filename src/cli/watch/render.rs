//! The screen as a frame. Where there is no room for everything, what matters least is left out first.

use std::collections::VecDeque;

use chrono::{DateTime, Utc};
use ratatui::{
    Frame,
    layout::{Constraint, Layout},
    style::{Color, Modifier, Style},
    text::{Line, Span},
    widgets::Paragraph,
};
use serin_engine::paint::{Paint, Tone};

use super::{
    app::Entry,
    view::{At, Gauge, Said, Screen, Weight},
};
use crate::facts;

/// Everything that is drawn.
pub struct Picture<'a> {
    /// Nothing before the first look, and after a deletion.
    pub screen: Option<&'a Screen>,
    /// Newest first.
    pub log: &'a VecDeque<Entry>,
    /// What the last line says.
    pub foot: Said,
    pub now: DateTime<Utc>,
    pub paint: Paint,
}

/// A line and how gladly it is left out.
struct Row {
    rank: u8,
    line: Line<'static>,
}

/// Width of what stands before a line's own text.
const LABEL: usize = 11;
/// Widest bar.
const BAR: usize = 48;
/// Widest gauge.
const GAUGE: usize = 24;

/// Draws it.
pub fn draw(frame: &mut Frame<'_>, picture: &Picture<'_>) {
    let area = frame.area();
    let [body, foot] = Layout::vertical([Constraint::Fill(1), Constraint::Length(1)]).areas(area);
    let brush = Brush { paint: picture.paint, width: usize::from(area.width) };
    let rows = fit(brush.rows(picture, usize::from(body.height)), usize::from(body.height));
    let lines: Vec<Line<'_>> = rows.into_iter().map(|row| row.line).collect();
    frame.render_widget(Paragraph::new(lines), body);
    frame.render_widget(Paragraph::new(Line::from(brush.said(&picture.foot))), foot);
}

/// The rows that matter most, in their order.
fn fit(mut rows: Vec<Row>, height: usize) -> Vec<Row> {
    while rows.len() > height {
        let Some(worst) = rows.iter().map(|row| row.rank).max() else { break };
        let Some(last) = rows.iter().rposition(|row| row.rank == worst) else { break };
        rows.remove(last);
    }
    rows
}

struct Brush {
    paint: Paint,
    width: usize,
}

impl Brush {
    fn style(&self, colour: Color) -> Style {
        match self.paint {
            Paint::Colour => Style::new().fg(colour),
            Paint::Plain => Style::new(),
        }
    }

    fn tone(&self, tone: Tone) -> Style {
        match tone {
            Tone::Plain => Style::new(),
            Tone::Good => self.style(Color::Green),
            Tone::Bad => self.style(Color::Red),
        }
    }

    fn said(&self, said: &Said) -> Span<'static> {
        Span::styled(said.text.clone(), self.tone(said.tone))
    }

    fn faint(text: impl Into<String>) -> Span<'static> {
        Span::styled(text.into(), Style::new().add_modifier(Modifier::DIM))
    }

    fn bold(text: impl Into<String>) -> Span<'static> {
        Span::styled(text.into(), Style::new().add_modifier(Modifier::BOLD))
    }

    /// On a narrow screen the words come without it.
    fn label(&self, text: &str) -> Span<'static> {
        Self::faint(if self.width < 50 { String::new() } else { format!("{text:<LABEL$}") })
    }

    /// A heading with a rule to the edge.
    fn heading(&self, text: &str) -> Line<'static> {
        let rule = self.width.saturating_sub(text.chars().count() + 1);
        Line::from(Self::faint(format!("{text} {}", "─".repeat(rule))))
    }

    fn rows(&self, picture: &Picture<'_>, height: usize) -> Vec<Row> {
        let mut rows = Vec::new();
        if let Some(screen) = picture.screen {
            self.about(&mut rows, screen, picture.now);
            self.evidence(&mut rows, screen);
            self.outcomes(&mut rows, screen);
        }
        self.log(&mut rows, picture.log, height);
        rows
    }

    fn about(&self, rows: &mut Vec<Row>, screen: &Screen, now: DateTime<Utc>) {
        let clock = now.format("%H:%M:%S UTC").to_string();
        let taken = screen.place.chars().count() + screen.how.chars().count() + clock.len() + 2;
        let space = " ".repeat(self.width.saturating_sub(taken).max(2));
        let title =
            vec![Self::bold(screen.place.clone()), Self::faint(format!("  {}{space}{clock}", screen.how))];
        push(rows, 0, Line::from(title));
        for (i, text) in wrapped(&screen.headline.text, self.width, 3).into_iter().enumerate() {
            let span = Span::styled(text, self.tone(screen.headline.tone));
            push(rows, if i == 0 { 1 } else { 7 }, Line::from(span));
        }
        for trouble in &screen.troubles {
            push(rows, 6, Line::from(self.said(trouble)));
        }
        push(rows, 13, Line::default());
        for version in &screen.versions {
            let words = format!("  {}  {}  {}", version.revision, version.digest, version.more);
            let line = vec![self.label(version.role), Self::bold(version.version.clone()), Span::raw(words)];
            push(rows, 4, Line::from(line));
        }
        if let Some(weight) = &screen.weight {
            push(rows, 2, self.weight(weight));
        }
        if !screen.step.is_empty() {
            push(rows, 3, self.steps(screen));
        }
        if let Some((verdict, horizon)) = &screen.verdict {
            let horizon = if horizon.is_empty() { String::new() } else { format!("  {horizon}") };
            push(rows, 5, Line::from(vec![self.label("verdict"), self.said(verdict), Self::faint(horizon)]));
        }
    }

    fn room(&self, words: usize, most: usize) -> usize {
        let label = if self.width < 50 { 0 } else { LABEL };
        self.width.saturating_sub(label + words + 2).clamp(4, most)
    }

    /// Two characters, so that it also reads without colours.
    fn weight(&self, weight: &Weight) -> Line<'static> {
        let width = self.room(weight.words.chars().count(), BAR);
        let full = facts::split(weight.percent, width);
        Line::from(vec![
            self.label("traffic"),
            Span::styled("█".repeat(full), self.style(Color::Yellow)),
            Span::styled("░".repeat(width - full), self.style(Color::Blue)),
            Span::raw(format!("  {}", weight.words)),
        ])
    }

    fn steps(&self, screen: &Screen) -> Line<'static> {
        let long: usize = screen.steps.iter().map(|mark| mark.label.chars().count() + 5).sum();
        let labelled = LABEL + long + screen.step.chars().count() <= self.width;
        let mut spans = vec![self.label("steps")];
        for (i, mark) in screen.steps.iter().enumerate() {
            let (sign, style) = match mark.at {
                At::Behind => ("●", self.style(Color::Green)),
                At::Here => ("◉", self.style(Color::Yellow).add_modifier(Modifier::BOLD)),
                At::Ahead => ("○", Style::new().add_modifier(Modifier::DIM)),
            };
            if labelled && i > 0 {
                spans.push(Self::faint(" ─ "));
            }
            let text = if labelled { format!("{sign} {}", mark.label) } else { sign.to_owned() };
            spans.push(Span::styled(text, style));
        }
        let gap = if screen.steps.is_empty() { "" } else { "  " };
        spans.push(Span::raw(format!("{gap}{}", screen.step)));
        Line::from(spans)
    }

    fn evidence(&self, rows: &mut Vec<Row>, screen: &Screen) {
        if screen.against.is_empty() {
            return;
        }
        push(rows, 8, self.heading(&screen.against));
        let wide = |cell: fn(&Gauge) -> usize| screen.evidence.iter().map(cell).max().unwrap_or(0);
        let name = wide(|g| g.metric.chars().count());
        let verdict = wide(|g| g.verdict.text.chars().count());
        let bar = (self.width / 8).clamp(4, GAUGE);
        for gauge in &screen.evidence {
            push(rows, 6, Line::from(self.gauge(gauge, name, verdict, bar)));
        }
    }

    fn gauge(&self, gauge: &Gauge, name: usize, verdict: usize, bar: usize) -> Vec<Span<'static>> {
        let full = facts::length(gauge.share, bar);
        let colour = match gauge.share {
            1.0.. => Color::Red,
            0.5.. => Color::Yellow,
            _ => Color::Green,
        };
        vec![
            Span::raw(format!("{:<name$}  ", gauge.metric)),
            Span::styled("█".repeat(full), self.style(colour)),
            Self::faint("░".repeat(bar - full)),
            Span::raw(format!(" {:>12}  ", gauge.numbers)),
            Span::styled(format!("{:<verdict$}", gauge.verdict.text), self.tone(gauge.verdict.tone)),
            Self::faint(format!("  {}", gauge.estimate)),
        ]
    }

    fn outcomes(&self, rows: &mut Vec<Row>, screen: &Screen) {
        if screen.outcomes.is_empty() {
            return;
        }
        push(rows, 10, self.heading("outcomes"));
        let wide = screen.outcomes.iter().map(|o| o.version.chars().count()).max().unwrap_or(0);
        for (i, past) in screen.outcomes.iter().enumerate() {
            let line = vec![
                Self::faint(format!("{:>8}  ", past.ago)),
                Span::raw(format!("{:<wide$}  {}  ", past.version, past.revision)),
                Span::styled(format!("{:<10}", past.outcome.text), self.tone(past.outcome.tone)),
                Self::faint(format!("  {}", past.why)),
            ];
            push(rows, if i < 3 { 10 } else { 12 }, Line::from(line));
        }
    }

    fn log(&self, rows: &mut Vec<Row>, log: &VecDeque<Entry>, height: usize) {
        if log.is_empty() {
            return;
        }
        push(rows, 9, self.heading("seen"));
        for (i, entry) in log.iter().take(height).enumerate() {
            let at = Self::faint(entry.at.format("%H:%M:%S  ").to_string());
            push(rows, if i < 4 { 9 } else { 11 }, Line::from(vec![at, self.said(&entry.said)]));
        }
    }
}

fn push(rows: &mut Vec<Row>, rank: u8, line: Line<'static>) {
    rows.push(Row { rank, line });
}

/// Words in lines, at most so many; what is left over is cut off with a sign.
fn wrapped(text: &str, width: usize, most: usize) -> Vec<String> {
    let width = width.max(1);
    let mut lines = vec![String::new()];
    for word in text.split_whitespace() {
        let count = lines.len();
        let Some(line) = lines.last_mut() else { break };
        let length = line.chars().count();
        if length == 0 {
            line.push_str(word);
        } else if length + 1 + word.chars().count() <= width {
            line.push(' ');
            line.push_str(word);
        } else if count == most {
            let kept: String = line.chars().take(width.saturating_sub(2)).collect();
            *line = format!("{kept} …");
            break;
        } else {
            lines.push(word.to_owned());
        }
    }
    lines
}

#[cfg(test)]
mod tests;
