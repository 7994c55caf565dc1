//! Who uses the shared control plane, and with which definitions: Serin's own, or loose ones that take anything. Tests of
//! one sort run side by side, those of the other sort wait.

use std::fs::File;
use std::sync::Mutex;

use tokio::sync::watch;

use crate::cluster::Cluster;
use crate::definitions;

/// The definitions that a test works with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Definitions {
    /// Those that users install.
    Serins,
    /// Any object is taken, as by an older or a foreign definition.
    Loose,
}

/// Held by every test while it uses the cluster.
pub struct Turn {
    cluster: &'static Cluster,
    definitions: Definitions,
}

/// Who is there, and who waits.
struct Crowd {
    serins: usize,
    loose: usize,
    loose_waiting: usize,
    /// Serin's own definitions are being put back: nobody comes in.
    restoring: bool,
    /// The lock between processes: two checkouts, or a second `cargo test`. Open as long as anybody is there.
    lock: Option<File>,
}

static CROWD: Mutex<Crowd> =
    Mutex::new(Crowd { serins: 0, loose: 0, loose_waiting: 0, restoring: false, lock: None });
/// One at a time changes the definitions, or finds them changed.
static CHANGE: tokio::sync::Mutex<()> = tokio::sync::Mutex::const_new(());

fn left() -> &'static watch::Sender<()> {
    static LEFT: std::sync::OnceLock<watch::Sender<()>> = std::sync::OnceLock::new();
    LEFT.get_or_init(|| watch::channel(()).0)
}

fn crowd<T>(change: impl FnOnce(&mut Crowd) -> T) -> T {
    // A test that failed while it held this changed nothing halfway.
    let mut crowd = CROWD.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
    change(&mut crowd)
}

impl Turn {
    /// Waits for it.
    pub async fn take(cluster: &'static Cluster, definitions: Definitions) -> Self {
        let mut news = left().subscribe();
        if definitions == Definitions::Loose {
            crowd(|crowd| crowd.loose_waiting += 1);
        }
        loop {
            news.borrow_and_update();
            // Before it is decided who is first: whoever is second must find the definitions changed.
            let change = CHANGE.lock().await;
            let first = crowd(|crowd| match definitions {
                // Whoever wants loose ones goes first, or a steady stream of the others would keep them out.
                Definitions::Serins if crowd.loose + crowd.loose_waiting == 0 => {
                    crowd.serins += 1;
                    Some(crowd.serins == 1)
                }
                Definitions::Loose if crowd.serins == 0 && !crowd.restoring => {
                    crowd.loose_waiting -= 1;
                    crowd.loose += 1;
                    Some(crowd.loose == 1)
                }
                _ => None,
            });
            if let Some(first) = first {
                let turn = Self { cluster, definitions };
                if first {
                    turn.lock().await;
                    if definitions == Definitions::Loose {
                        definitions::loosen(cluster).await;
                    }
                }
                return turn;
            }
            drop(change);
            let _ = news.changed().await;
        }
    }

    async fn lock(&self) {
        let path = self.cluster.bed().dir().join("turn.lock");
        let alone = self.definitions == Definitions::Loose;
        let taken = tokio::task::spawn_blocking(move || {
            let file = File::create(path).unwrap();
            if alone { file.lock() } else { file.lock_shared() }.unwrap();
            file
        });
        let file = taken.await.unwrap();
        crowd(|crowd| crowd.lock = Some(file));
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        let restore = crowd(|crowd| {
            crowd.restoring = self.definitions == Definitions::Loose && crowd.loose == 1;
            crowd.restoring
        });
        if restore {
            let cluster = self.cluster;
            cluster.finish(move |_| definitions::restore(cluster));
        }
        crowd(|crowd| {
            match self.definitions {
                Definitions::Serins => crowd.serins -= 1,
                Definitions::Loose => crowd.loose -= 1,
            }
            crowd.restoring = false;
            if crowd.serins + crowd.loose == 0 {
                crowd.lock = None;
            }
        });
        left().send_replace(());
    }
}
