use ratatui::{Terminal, backend::TestBackend, buffer::Buffer};
use serin_api::ModelDeployment;

use super::*;
use crate::{
    fixtures::{self, now},
    watch::{app::App, news::News, view::screen},
};

fn buffer(deployment: &ModelDeployment, log: &App, paint: Paint, (width, height): (u16, u16)) -> Buffer {
    let mut terminal = Terminal::new(TestBackend::new(width, height)).unwrap();
    let screen = screen(deployment, now());
    let foot = Said::new(Tone::Plain, "q quit");
    let picture = Picture { screen: Some(&screen), log: &log.log, foot, now: now(), paint };
    terminal.draw(|frame| draw(frame, &picture)).unwrap();
    terminal.backend().buffer().clone()
}

fn text(buffer: &Buffer) -> String {
    let row = |y| {
        let cells: String = (0..buffer.area.width).map(|x| buffer[(x, y)].symbol()).collect();
        cells.trim_end().to_owned()
    };
    (0..buffer.area.height).map(row).collect::<Vec<_>>().join("\n")
}

/// The changes from one look to the next.
fn log(looks: &[ModelDeployment]) -> App {
    let mut app = App::new(true);
    for look in looks {
        app.hear(News::Seen(Box::new(look.clone())), now());
    }
    app
}

#[test]
fn a_usual_terminal_has_everything() {
    let app = log(&[fixtures::resting(), fixtures::trying()]);
    let told = text(&buffer(&fixtures::trying(), &app, Paint::Plain, (80, 24)));
    assert_eq!(
        told,
        "\
cellar/wine  gateway front · Canary                                 12:00:00 UTC
Analyzing: v2: step 2/3 at 25 % of the traffic, gathering evidence

stable     v1  r1-v1  2c26b46b68ff  3 pods
candidate  v2  r1-v2  2c26b46b68ff  Canary for 10m
traffic    ████████████░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░  25 % v2, 75 % v1
steps      ● 5 % ─ ◉ 25 % ─ ○ 50 % ‖  step 2/3, 38s of 60s left
verdict    Undecided  22m to the horizon
evidence against v2 when step 2/3 began ────────────────────────────────────────
errors   ████░░░░░░  0.88 / 2.00  Undecided  2.10 % errors, stable 0.44 % (4.8x)
latency  ░░░░░░░░░░ -0.40 / 2.00  Pass       1.00 % slower than 0.5, stable 1.00
outcomes ───────────────────────────────────────────────────────────────────────
    179m  v1  r1-v1  Deployed
seen ───────────────────────────────────────────────────────────────────────────
12:00:00  Analyzing: v2: step 2/3 at 25 % of the traffic, gathering evidence
12:00:00  verdict Undecided: errors 2.10 % errors, stable 0.44 % (4.8x)
12:00:00  v2 (r1-v2) starts: step 2/3 at 25 %
12:00:00  Complete: v1 serves
12:00:00  cellar/wine: v1 serves




q quit"
    );
}

#[test]
fn a_large_terminal_has_more_of_it() {
    let app = log(&[fixtures::trying(), fixtures::rejected()]);
    let told = text(&buffer(&fixtures::rejected(), &app, Paint::Plain, (120, 40)));
    assert!(told.contains("AnalysisFailed: errors: 9 % errors"), "{told}");
    assert!(
        told.contains("███████████████  3.11 / 2.00  Fail  9.00 % errors, stable 0.00 %; 90 seen"),
        "{told}"
    );
    assert!(told.contains("v2 was rolled back (AnalysisFailed)"), "{told}");
    assert!(told.ends_with("\nq quit"), "{told}");
}

#[test]
fn a_tiny_terminal_keeps_what_matters_most() {
    let told = text(&buffer(&fixtures::trying(), &log(&[fixtures::trying()]), Paint::Plain, (20, 5)));
    let lines: Vec<&str> = told.lines().collect();
    assert_eq!(lines[0], "cellar/wine  gateway");
    assert!(lines[1].starts_with("Analyzing: v2:"), "{told}");
    assert!(lines[2].starts_with('█') && lines[3].starts_with("●◉○  step 2/3"), "{told}");
    assert_eq!(lines[4], "q quit");
}

#[test]
fn no_size_is_a_panic() {
    let all = vec![fixtures::trying(), fixtures::resting(), fixtures::promoted(), fixtures::rejected()];
    let app = log(&all);
    for deployment in &all {
        for width in [1, 2, 7, 20, 49, 50, 51, 80, 200] {
            for height in [1, 2, 3, 5, 10, 24, 60] {
                buffer(deployment, &app, Paint::Colour, (width, height));
            }
        }
    }
    let mut terminal = Terminal::new(TestBackend::new(20, 5)).unwrap();
    let (foot, log) = (Said::new(Tone::Bad, "it was deleted"), VecDeque::new());
    let picture = Picture { screen: None, log: &log, foot, now: now(), paint: Paint::Plain };
    terminal.draw(|frame| draw(frame, &picture)).unwrap();
}

#[test]
fn colours_only_where_they_are_wanted() {
    let coloured = |paint| {
        let buffer = buffer(&fixtures::rejected(), &App::new(true), paint, (80, 24));
        buffer.content().iter().any(|cell| cell.fg != Color::Reset)
    };
    assert!(coloured(Paint::Colour) && !coloured(Paint::Plain));
}

#[test]
fn twenty_steps_are_marks_without_words() {
    let mut many = fixtures::trying();
    let steps = &mut many.status.as_mut().unwrap().resolved.as_mut().unwrap().steps;
    steps.resize(20, steps[0]);
    let told = text(&buffer(&many, &App::new(true), Paint::Plain, (80, 24)));
    assert!(told.contains("steps      ●◉○○○○○○○○○○○○○○○○○○  step 2/3"), "{told}");
}

#[test]
fn long_words_are_cut_where_the_room_ends() {
    assert_eq!(wrapped("one two three four", 9, 2), ["one two", "three …"]);
    assert_eq!(wrapped("", 9, 2), [""]);
    assert_eq!(wrapped("endlessword", 4, 2), ["endlessword"]);
}
