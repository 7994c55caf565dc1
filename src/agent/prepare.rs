//! `prepare`: the init container of a training or an evaluation. Puts the agent, the inputs and the parameters where
//! the program's container finds them.

use std::fs;
use std::io;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Component, Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use futures::{StreamExt as _, TryStreamExt as _, stream};
use serin_wire::places::exit;
use serin_wire::{Evaluate, Layout, Model, Object, Storage, Task, Train, places};

use crate::cache::unique;
use crate::checkpoint;
use crate::digest::Digest;
use crate::directory::fetch_directory;
use crate::error::FetchError;
use crate::fetch::{Request, fetch};
use crate::places::Places;
use crate::source::Source;
use crate::stores::Stores;

/// Inputs fetched at a time.
const AT_ONCE: usize = 4;
/// For one of them. The run has its own deadline; this one only ends what is stuck.
const TIMEOUT: Duration = Duration::from_hours(48);

/// Exit code of the process for an input that cannot be had.
pub fn exit_code(error: &FetchError) -> i32 {
    match error {
        FetchError::DigestMismatch { .. } | FetchError::Refused { .. } | FetchError::TooLarge { .. } => {
            exit::INPUTS_REFUSED
        }
        FetchError::Network { .. }
        | FetchError::Output { .. }
        | FetchError::Runtime(_)
        | FetchError::Client(_) => exit::FETCH_FAILED,
        FetchError::Terminated => i32::from(crate::TERMINATED),
    }
}

/// The storage of a task.
pub fn storage(task: &Task) -> &Storage {
    match task {
        Task::Train(train) => &train.storage,
        Task::Evaluate(evaluate) => &evaluate.storage,
        Task::Look(look) => &look.storage,
    }
}

/// Prepares everything.
pub async fn prepare(task: &Task, places: &Places, stores: &Arc<Stores>) -> Result<(), FetchError> {
    copy_agent(&places.at(places::AGENT))?;
    let inputs = match task {
        Task::Train(train) => of_training(train, places),
        Task::Evaluate(evaluate) => of_evaluation(evaluate, places),
        // A look has no other container to prepare for.
        Task::Look(_) => Vec::new(),
    };
    let requests = inputs.into_iter().map(|input| input.request(places, stores));
    // All of them are checked before the first is fetched.
    let requests = requests.collect::<Result<Vec<_>, FetchError>>()?;
    stream::iter(requests)
        .map(|(request, layout)| async move {
            match layout {
                Layout::File => fetch(&request).await,
                Layout::Directory => fetch_directory(&request).await,
            }
        })
        .buffer_unordered(AT_ONCE)
        .try_collect::<()>()
        .await?;
    match task {
        Task::Train(train) => {
            write(&places.at(places::PARAMETERS), &parameters(train)?)?;
            let request = request("spec.checkpoints".into(), stores);
            if let Some(name) = checkpoint::resume(train, places, stores, &request).await? {
                write(&places.resumed_from(), name.as_bytes())?;
            }
        }
        Task::Evaluate(_) | Task::Look(_) => {}
    }
    Ok(())
}

/// One input, and where it goes.
struct Input<'t> {
    uri: &'t str,
    digest: &'t str,
    layout: Layout,
    folder: PathBuf,
    named: String,
}

fn of_training<'t>(train: &'t Train, places: &Places) -> Vec<Input<'t>> {
    let datasets =
        train.datasets.iter().map(|set| dataset(set, places, format!("spec.datasets[{}]", set.name)));
    let base = train.base.iter().map(|base| model(base, places.at(places::BASE_DIR), "spec.baseModel"));
    datasets.chain(base).collect()
}

fn of_evaluation<'t>(evaluate: &'t Evaluate, places: &Places) -> Vec<Input<'t>> {
    let mut inputs = vec![
        dataset(&evaluate.dataset, places, "spec.evaluation.dataset".into()),
        model(&evaluate.candidate, places.at(places::CANDIDATE_DIR), "the candidate's artifact"),
    ];
    let champion = evaluate.champion.iter();
    inputs.extend(champion.map(|m| model(m, places.at(places::CHAMPION_DIR), "the champion's artifact")));
    inputs
}

fn dataset<'t>(set: &'t Object, places: &Places, named: String) -> Input<'t> {
    let folder = places.at(places::DATA_DIR).join(&set.name);
    Input { uri: &set.uri, digest: &set.digest, layout: Layout::File, folder, named }
}

fn model<'t>(model: &'t Model, folder: PathBuf, named: &str) -> Input<'t> {
    Input { uri: &model.uri, digest: &model.digest, layout: model.layout, folder, named: named.to_owned() }
}

fn request(named: String, stores: &Arc<Stores>) -> Request {
    Request {
        named,
        timeout: TIMEOUT,
        patience: stores.patience,
        stores: Arc::clone(stores),
        ..Request::default()
    }
}

impl Input<'_> {
    fn request(&self, places: &Places, stores: &Arc<Stores>) -> Result<(Request, Layout), FetchError> {
        let refused =
            |reason| FetchError::Refused { uri: self.uri.to_owned(), named: self.named.clone(), reason };
        if !self.folder.starts_with(places.at(places::ROOT)) || !is_below(&self.folder) {
            return Err(refused("its name is no name of a folder".into()));
        }
        let source = Source::parse(self.uri, &places.claims()).map_err(refused)?;
        let digest: Digest = self.digest.parse().map_err(refused)?;
        let output = match self.layout {
            Layout::File => file_of(&source, &self.folder)
                .ok_or_else(|| refused("the address does not end in the name of a file".into()))?,
            Layout::Directory => self.folder.clone(),
        };
        let request = Request { source, digest, output, ..request(self.named.clone(), stores) };
        Ok((request, self.layout))
    }
}

fn is_below(folder: &Path) -> bool {
    folder.components().all(|part| part != Component::ParentDir)
}

/// Where a single file lies in its folder: named as in its address.
pub fn file_of(source: &Source, folder: &Path) -> Option<PathBuf> {
    Some(folder.join(source.file_name()?))
}

fn parameters(train: &Train) -> Result<Vec<u8>, FetchError> {
    serde_json::to_vec_pretty(&train.parameters).map_err(|error| FetchError::Runtime(io::Error::other(error)))
}

fn write(path: &Path, bytes: &[u8]) -> Result<(), FetchError> {
    fs::write(path, bytes).map_err(|error| FetchError::Output { path: path.to_owned(), error })
}

/// The program's container runs the agent from the shared volume: its own image does not have it.
fn copy_agent(to: &Path) -> Result<(), FetchError> {
    let copied = || {
        fs::create_dir_all(to.parent().unwrap_or(Path::new("/")))?;
        let temporary = unique(to);
        fs::copy("/proc/self/exe", &temporary)?;
        fs::set_permissions(&temporary, fs::Permissions::from_mode(0o755))?;
        fs::rename(&temporary, to)
    };
    copied().map_err(|error| FetchError::Output { path: to.to_owned(), error })
}
