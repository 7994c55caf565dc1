//! A watch that somebody reads later: a line for each change.

use futures::StreamExt as _;

use super::{
    Watch,
    app::{App, Entry},
    ending::Ending,
    news::news,
};
use crate::{Failure, output};

/// Follows until the rollout is over, or nobody reads any more. Without `--until-done` it waits for a rollout to begin,
/// and its end is no failure, whichever it is.
pub async fn follow(watch: &Watch<'_>) -> Result<(), Failure> {
    let mut app = App::new(false);
    let mut news = std::pin::pin!(news(watch.cluster, watch.name));
    loop {
        let next = tokio::select! {
            next = news.next() => next,
            () = watch.timeout() => return Err(watch.too_late(&app)),
        };
        let Some(next) = next else { return Err("the watch has ended".into()) };
        let fatal = super::is_fatal(&next);
        let (entries, ending) = app.hear(next, super::now());
        if fatal && let Some(Ending::Bad(why)) = ending {
            return Err(why.into());
        }
        let text: String = entries.iter().map(line).collect();
        if !output::is_read(&text)? {
            return Ok(());
        }
        match ending {
            Some(ending) if watch.until_done => return super::exit(ending),
            Some(_) if app.has_begun() => return Ok(()),
            _ => {}
        }
    }
}

/// Whole times: such a log outlives the day.
fn line(entry: &Entry) -> String {
    format!("{}  {}\n", entry.at.format("%Y-%m-%dT%H:%M:%SZ"), entry.said.text)
}
