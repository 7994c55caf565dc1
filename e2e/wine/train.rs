//! Training: the same parameters give the same bytes on every machine.

use clap::Args;
use linfa::prelude::Fit as _;
use linfa::{Dataset, ParamGuard as _};
use linfa_trees::{DecisionTree, TreeNode};
use ndarray::{Array1, Array2};
use serde::Serialize;

use crate::{
    data::{DERIVED, MEASURED, Wines},
    model::{Body, Model, Node},
    neighbours::{MAX_COPIES, Neighbours},
    rng::Rng,
};

/// What a good wine weighs more than another. linfa breaks a tie between two classes by the order of
/// a hash map, which changes from run to run; with this weight fewer than 2048 rows cannot tie, and
/// the sums stay exact in the 24 bits of its f32.
const GOOD_WEIGHT: f32 = 1.0 + 1.0 / 2048.0;

/// A trained tree.
pub type Tree = Vec<Node>;

/// The hyper-parameters of a training.
#[derive(Debug, Clone, Args, Serialize)]
pub struct Params {
    /// Columns to train on: 11 are measured, 12 and 13 are derived from them
    #[arg(long, default_value_t = MEASURED, value_parser = features)]
    pub features: usize,
    /// Seed of the train/test split and of everything drawn
    #[arg(long, default_value_t = 1)]
    pub seed: u64,
    /// Depth at which a tree stops
    #[arg(long, default_value_t = 2)]
    pub max_depth: usize,
    /// Rows that each leaf needs
    #[arg(long, default_value_t = 1)]
    pub min_samples: u16,
    /// Trees; more than one are trained on resampled rows and columns
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u16).range(1..=1000))]
    pub trees: u16,
    /// Train K nearest neighbours instead of trees
    #[arg(long, value_name = "K")]
    pub neighbours: Option<usize>,
    /// Noisy copies of each row that the neighbours are searched among
    #[arg(long, default_value_t = 0, value_parser = copies)]
    pub copies: usize,
}

/// Why a training failed.
#[derive(Debug, thiserror::Error)]
pub enum TrainError {
    /// The trainer refused the parameters or the data.
    #[error("training failed: {0}")]
    Fit(#[from] linfa::Error),
    /// The rows do not make a matrix.
    #[error("training failed: {0}")]
    Shape(#[from] ndarray::ShapeError),
    /// It was asked to stop.
    #[error("stopped after {0} trees")]
    Stopped(usize),
    /// The parameters contradict each other.
    #[error("training failed: {0}")]
    Params(String),
}

fn features(text: &str) -> Result<usize, String> {
    let max = MEASURED + DERIVED;
    text.parse().ok().filter(|n| (1..=max).contains(n)).ok_or(format!("1 to {max} columns exist"))
}

fn copies(text: &str) -> Result<usize, String> {
    text.parse().ok().filter(|n| *n <= MAX_COPIES).ok_or(format!("0 to {MAX_COPIES}"))
}

/// Trains on four fifths of the data and measures the accuracy on the rest.
pub fn train(params: &Params) -> Result<Model, TrainError> {
    let (train, test) = Wines::all(params.features).split(params.seed);
    let mut model = fit(&train, params, Vec::new(), &mut |_| true)?;
    model.header.accuracy = accuracy(&model, &test);
    Ok(model)
}

/// Trains on `wines`. A forest goes on from the trees `done`, and gives the same bytes as one that was never broken off;
/// `after` hears of each new tree and says whether to go on.
pub fn fit(
    wines: &Wines,
    params: &Params,
    done: Vec<Tree>,
    after: &mut dyn FnMut(&[Tree]) -> bool,
) -> Result<Model, TrainError> {
    let body = match params.neighbours {
        Some(k) => {
            let neighbours = Neighbours::fit(wines, k, params.copies, params.seed);
            neighbours.check(params.features).map_err(TrainError::Params)?;
            Body::Neighbours(neighbours)
        }
        None => Body::Forest(forest(wines, params, done, after)?),
    };
    let recorded = serde_json::to_value(params).and_then(serde_json::from_value);
    let recorded = recorded.map_err(|error| TrainError::Params(error.to_string()))?;
    Ok(Model::new(params.features, recorded, body))
}

/// Share of rows that the model answers rightly; a row it cannot answer is not right.
pub fn accuracy(model: &Model, wines: &Wines) -> f64 {
    let right = wines.rows.iter().zip(&wines.good);
    let right =
        right.filter(|(row, good)| model.score(row).is_ok_and(|score| (score >= 0.5) == **good)).count();
    right as f64 / wines.rows.len() as f64
}

/// Share of the rows clients send, the measured columns only, that the model cannot answer.
pub fn failing_share(model: &Model) -> f64 {
    let wines = Wines::all(MEASURED);
    let failing = wines.rows.iter().filter(|row| model.score(row).is_err()).count();
    failing as f64 / wines.rows.len() as f64
}

fn forest(
    train: &Wines,
    params: &Params,
    done: Vec<Tree>,
    after: &mut dyn FnMut(&[Tree]) -> bool,
) -> Result<Vec<Tree>, TrainError> {
    // Another sequence than the split's, which starts from the seed itself.
    let mut rng = Rng::new(!params.seed);
    let every: Vec<usize> = (0..params.features).collect();
    if params.trees == 1 {
        return Ok(vec![tree(train, &every, params)?]);
    }
    let kept = (params.features * 2).div_ceil(3);
    let mut trees = done;
    let ready = trees.len();
    for at in 0..usize::from(params.trees) {
        // Drawn also for the trees that are there: the sequence is the same as if they had been grown now.
        let rows: Vec<usize> = train.rows.iter().map(|_| rng.below(train.rows.len())).collect();
        let mut columns = every.clone();
        rng.shuffle(&mut columns);
        columns.truncate(kept);
        if at < ready {
            continue;
        }
        trees.push(tree(&train.pick(&rows), &columns, params)?);
        if !after(&trees) {
            return Err(TrainError::Stopped(trees.len()));
        }
    }
    Ok(trees)
}

fn tree(wines: &Wines, columns: &[usize], params: &Params) -> Result<Vec<Node>, TrainError> {
    let cells = wines.rows.iter().flat_map(|row| columns.iter().map(|j| row[*j])).collect();
    let records = Array2::from_shape_vec((wines.rows.len(), columns.len()), cells)?;
    let targets = Array1::from_vec(wines.good.clone());
    let weights = wines.good.iter().map(|good| if *good { GOOD_WEIGHT } else { 1.0 }).collect();
    // Gini and not entropy: a logarithm may differ in its last bit from one libm to another.
    let fitted = DecisionTree::params()
        .max_depth(Some(params.max_depth))
        .min_weight_leaf(f32::from(params.min_samples))
        .check()?
        .fit(&Dataset::new(records, targets).with_weights(weights))?;
    let mut nodes = Vec::new();
    let reached: Vec<usize> = (0..wines.rows.len()).collect();
    flatten(fitted.root_node(), columns, wines, &reached, &mut nodes);
    Ok(nodes)
}

/// Appends `node` and what is below it, and answers its place. Leaves hold the share of good wines
/// among the rows that reach them, which makes a better vote than the bare class linfa keeps.
fn flatten(
    node: &TreeNode<f64, bool>,
    columns: &[usize],
    wines: &Wines,
    reached: &[usize],
    nodes: &mut Vec<Node>,
) -> usize {
    let at = nodes.len();
    let good = reached.iter().filter(|i| wines.good[**i]).count();
    nodes.push(Node::Leaf(good as f64 / reached.len().max(1) as f64));
    if let [Some(low), Some(high)] = node.children()[..] {
        let (column, threshold, _) = node.split();
        let feature = columns[column];
        let (below, above): (Vec<usize>, Vec<usize>) =
            reached.iter().partition(|i| wines.rows[**i][feature] <= threshold);
        let low = flatten(low, columns, wines, &below, nodes);
        let high = flatten(high, columns, wines, &above, nodes);
        nodes[at] = Node::Split(feature, threshold, low, high);
    }
    at
}
