//! A watch at a terminal: redrawn when something changes, and once a second.

use std::{future::pending, io, pin::Pin, time::Duration};

use futures::StreamExt as _;
use ratatui::{
    DefaultTerminal,
    crossterm::event::{self, Event},
};
use serin_engine::paint::{Paint, Tone};
use tokio::{
    signal::unix::{SignalKind, signal},
    sync::mpsc,
    time::MissedTickBehavior,
};

use super::{
    Watch,
    app::{App, Todo},
    ending::Ending,
    news::news,
    render::{self, Picture},
    view::{self, Said},
};
use crate::{
    Failure,
    hand::{self, Prepared},
    output,
};

type Sending<'a> = Pin<Box<dyn Future<Output = Result<String, Failure>> + 'a>>;

/// The terminal, as it was once this is dropped. A panic restores it, too, before its message is printed.
struct Screen(DefaultTerminal);

impl Screen {
    fn take() -> Result<Self, Failure> {
        ratatui::try_init().map(Self).map_err(|error| {
            let _ = ratatui::try_restore();
            format!("this terminal cannot be drawn on: {error}").into()
        })
    }

    fn draw(&mut self, app: &App, paint: Paint) -> io::Result<()> {
        let now = super::now();
        let screen = app.shown.as_deref().map(|deployment| view::screen(deployment, now));
        let picture = Picture { screen: screen.as_ref(), log: &app.log, foot: foot(app), now, paint };
        self.0.draw(|frame| render::draw(frame, &picture)).map(|_| ())
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        // Whoever closed the terminal takes no more of it.
        let _ = ratatui::try_restore();
    }
}

/// Shows it until a key, a signal or the end of the rollout.
pub async fn show(watch: &Watch<'_>, read_only: bool) -> Result<(), Failure> {
    let paint = output::paint();
    let mut app = App::new(!read_only);
    let ending = {
        let mut screen = Screen::take()?;
        run(watch, &mut app, &mut screen, paint).await?
    };
    match ending {
        Some(ending) => super::exit(ending),
        None if watch.until_done => Err("left before it was over".into()),
        None => Ok(()),
    }
}

/// `None`: somebody left.
async fn run(
    watch: &Watch<'_>,
    app: &mut App,
    screen: &mut Screen,
    paint: Paint,
) -> Result<Option<Ending>, Failure> {
    let mut news = std::pin::pin!(news(watch.cluster, watch.name));
    let mut keys = keys();
    let (mut terminated, mut hung_up) = (signal(SignalKind::terminate())?, signal(SignalKind::hangup())?);
    let mut interrupted = signal(SignalKind::interrupt())?;
    let mut second = tokio::time::interval(Duration::from_secs(1));
    second.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut sending: Option<Sending<'_>> = None;
    loop {
        screen.draw(app, paint)?;
        tokio::select! {
            next = news.next() => {
                let Some(next) = next else { return Err("the watch has ended".into()) };
                let fatal = super::is_fatal(&next);
                let (_, ending) = app.hear(next, super::now());
                if ending.is_some() && (fatal || watch.until_done) {
                    return Ok(ending);
                }
            }
            key = keys.recv() => match key {
                Some(Ok(Event::Key(key))) => match app.press(key, std::time::SystemTime::now()) {
                    Todo::Nothing => {}
                    Todo::Quit => return Ok(None),
                    Todo::Send(order) => sending = Some(Box::pin(send(watch, order))),
                },
                Some(Ok(_)) => {}
                Some(Err(error)) => return Err(error.into()),
                None => return Ok(None),
            },
            answer = wait(&mut sending) => {
                sending = None;
                app.answered(answer.map_err(|error| error.to_string()), super::now());
            }
            _ = second.tick() => {}
            () = watch.timeout() => return Err(watch.too_late(app)),
            _ = terminated.recv() => return Ok(None),
            _ = hung_up.recv() => return Ok(None),
            _ = interrupted.recv() => return Ok(None),
        }
    }
}

async fn send(watch: &Watch<'_>, order: Prepared) -> Result<String, Failure> {
    hand::send(watch.cluster, watch.name, &order).await
}

async fn wait(sending: &mut Option<Sending<'_>>) -> Result<String, Failure> {
    match sending {
        Some(sending) => sending.await,
        None => pending().await,
    }
}

/// Keys and changes of the terminal's size, read by a thread of its own, as reading blocks. It ends with the program.
fn keys() -> mpsc::UnboundedReceiver<io::Result<Event>> {
    let (to, from) = mpsc::unbounded_channel();
    std::thread::spawn(move || {
        loop {
            let event = event::read();
            let last = event.is_err();
            if to.send(event).is_err() || last {
                break;
            }
        }
    });
    from
}

/// The question, the answer, trouble, or which keys there are.
fn foot(app: &App) -> Said {
    if let Some(order) = &app.asked {
        return Said::new(Tone::Bad, format!("{} y/n", order.question));
    }
    if app.sending {
        return Said::new(Tone::Plain, "sending ...");
    }
    if let Some(answer) = &app.answer {
        return answer.clone();
    }
    match &app.stale {
        Some(why) => Said::new(Tone::Bad, why),
        None if app.keys => {
            Said::new(Tone::Plain, "q quit   p promote   a abort   s skip   r retry   space pause/resume")
        }
        None => Said::new(Tone::Plain, "q quit"),
    }
}
