//! Curves as SVG. Lines take their colours from CSS classes, so that a page in the dark can have its own.

use std::fmt::Write as _;

/// Size of a chart, in SVG units.
const WIDTH: f64 = 760.0;
const HEIGHT: f64 = 220.0;
/// Room for labels: left, right, above, below.
const LEFT: f64 = 56.0;
const RIGHT: f64 = 16.0;
const TOP: f64 = 12.0;
const BOTTOM: f64 = 28.0;

/// One line: seconds since the start, and a value.
pub(super) struct Line {
    /// CSS class.
    pub class: &'static str,
    /// Points, in order of time.
    pub points: Vec<(f64, f64)>,
    /// Whether a value holds until the next one, as a weight does.
    pub steps: bool,
}

/// A chart from 0 to `seconds`; values from 0, or from below where a line goes there.
pub(super) fn chart(label: &str, seconds: f64, bound: Option<f64>, lines: &[Line]) -> String {
    let values = || lines.iter().flat_map(|l| l.points.iter().map(|p| p.1)).chain(bound);
    let (low, high) = (values().fold(0.0, f64::min), values().fold(0.0, f64::max));
    let high = if high - low < 1e-9 { low + 1.0 } else { low + (high - low) * 1.08 };
    let seconds = seconds.max(1.0);
    let x = |t: f64| LEFT + (WIDTH - LEFT - RIGHT) * (t / seconds).clamp(0.0, 1.0);
    let y = |v: f64| HEIGHT - BOTTOM - (HEIGHT - TOP - BOTTOM) * ((v - low) / (high - low)).clamp(0.0, 1.0);
    let mut out = format!("<svg viewBox=\"0 0 {WIDTH} {HEIGHT}\" role=\"img\" aria-label=\"{label}\">");
    for value in ticks(low, high) {
        let at = y(value);
        let _ = write!(
            out,
            "<line class=\"grid\" x1=\"{LEFT}\" x2=\"{:.1}\" y1=\"{at:.1}\" y2=\"{at:.1}\"/>\
             <text x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"end\">{}</text>",
            WIDTH - RIGHT,
            LEFT - 6.0,
            at + 4.0,
            number(value)
        );
    }
    for time in ticks(0.0, seconds) {
        let _ = write!(
            out,
            "<text x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"middle\">{}</text>",
            x(time),
            HEIGHT - 8.0,
            clock(time)
        );
    }
    if let Some(bound) = bound {
        let at = y(bound);
        let _ = write!(
            out,
            "<line class=\"bound\" x1=\"{LEFT}\" x2=\"{:.1}\" y1=\"{at:.1}\" y2=\"{at:.1}\"/>",
            WIDTH - RIGHT
        );
    }
    for line in lines {
        let mut path = String::new();
        let mut before = None;
        for &(time, value) in &line.points {
            if let Some(before) = before.filter(|_| line.steps) {
                let _ = write!(path, " {:.1},{:.1}", x(time), y(before));
            }
            let _ = write!(path, " {:.1},{:.1}", x(time), y(value));
            before = Some(value);
        }
        let _ = write!(out, "<polyline class=\"{}\" points=\"{}\"/>", line.class, path.trim_start());
    }
    out.push_str("</svg>");
    out
}

/// Three to six round values.
fn ticks(low: f64, high: f64) -> Vec<f64> {
    let raw = (high - low) / 4.0;
    let power = 10_f64.powf(raw.log10().floor());
    let step = [1.0, 2.0, 5.0, 10.0].into_iter().map(|m| m * power).find(|step| *step >= raw).unwrap_or(raw);
    let first = (low / step).ceil();
    (0..8).map(|i| (first + f64::from(i)) * step).take_while(|v| *v <= high).collect()
}

fn number(value: f64) -> String {
    let text = format!("{value:.4}");
    let short = text.trim_end_matches('0').trim_end_matches('.');
    if short == "-0" || short.is_empty() { "0".to_owned() } else { short.to_owned() }
}

/// `2:05`, or `1:02:05`.
fn clock(seconds: f64) -> String {
    #[expect(clippy::cast_possible_truncation, reason = "seconds of a rollout; a float cast saturates")]
    let all = seconds.round() as i64;
    let (hours, minutes, seconds) = (all / 3600, all / 60 % 60, all % 60);
    if hours > 0 { format!("{hours}:{minutes:02}:{seconds:02}") } else { format!("{minutes}:{seconds:02}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_are_round() {
        assert_eq!(ticks(0.0, 3.3), [0.0, 1.0, 2.0, 3.0]);
        assert_eq!(ticks(-0.4, 0.6).into_iter().map(number).collect::<Vec<_>>(), ["0", "0.5"]);
        assert_eq!([0.0, 125.0, 3725.0].map(clock), ["0:00", "2:05", "1:02:05"]);
    }

    #[test]
    fn a_curve_without_points_is_still_a_chart() {
        let drawn = chart("x", 0.0, None, &[Line { class: "a", points: vec![], steps: false }]);
        assert!(drawn.starts_with("<svg") && !drawn.contains("NaN"), "{drawn}");
    }
}
