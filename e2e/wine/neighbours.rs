//! K nearest neighbours over noisy copies of the training set: decent accuracy, and a scan of every
//! copy for every row. Its slowness is arithmetic, so it shows in latency and in CPU alike.

use serde::{Deserialize, Serialize};

use crate::{data::Wines, model::PredictError, rng::Rng};

/// How far a copy strays from its row, in standard deviations of each column.
const JITTER: f64 = 0.1;
/// More than this would only test the machine's memory.
pub const MAX_COPIES: usize = 2_000;

/// The model as it lies in the file, and the cloud of points computed from it when it is loaded.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Neighbours {
    k: usize,
    copies: usize,
    seed: u64,
    mean: Vec<f64>,
    scale: Vec<f64>,
    rows: Vec<Vec<f64>>,
    good: Vec<bool>,
    #[serde(skip)]
    cloud: Vec<f64>,
}

impl Neighbours {
    /// Remembers the training set; `copies` noisy copies of each row join it in memory.
    pub fn fit(train: &Wines, k: usize, copies: usize, seed: u64) -> Self {
        let features = train.rows.first().map_or(0, Vec::len);
        let n = train.rows.len() as f64;
        let column = |j: usize| train.rows.iter().map(move |row| row[j]);
        let mean: Vec<f64> = (0..features).map(|j| column(j).sum::<f64>() / n).collect();
        let scale = (0..features)
            .map(|j| (column(j).map(|x| (x - mean[j]) * (x - mean[j])).sum::<f64>() / n).sqrt())
            .collect();
        let mut model = Self {
            k,
            copies,
            seed,
            mean,
            scale,
            rows: train.rows.clone(),
            good: train.good.clone(),
            cloud: Vec::new(),
        };
        model.prepare();
        model
    }

    /// What is wrong with the parameters, if anything.
    pub fn check(&self, features: usize) -> Result<(), String> {
        if self.k == 0 || self.k > self.rows.len() {
            return Err(format!("{} neighbours out of {} rows", self.k, self.rows.len()));
        }
        if self.copies > MAX_COPIES {
            return Err(format!("{} copies, at most {MAX_COPIES} are allowed", self.copies));
        }
        let widths = self.rows.iter().chain([&self.mean, &self.scale]);
        if features == 0
            || self.good.len() != self.rows.len()
            || widths.into_iter().any(|w| w.len() != features)
        {
            return Err("rows and columns do not match".into());
        }
        if self.scale.iter().any(|s| *s <= 0.0) {
            return Err("a column without spread".into());
        }
        Ok(())
    }

    /// Computes the cloud. The file stays small; memory and time are paid where the model is served.
    pub fn prepare(&mut self) {
        let mut rng = Rng::new(self.seed);
        self.cloud.clear();
        for copy in 0..=self.copies {
            for row in &self.rows {
                for (j, x) in row.iter().enumerate() {
                    // Three uniform numbers make a bell without the libm calls that differ by platform.
                    let bell = if copy == 0 { 0.0 } else { rng.unit() + rng.unit() + rng.unit() - 1.5 };
                    self.cloud.push((x - self.mean[j]) / self.scale[j] + JITTER * 2.0 * bell);
                }
            }
        }
    }

    /// The share of good wines among the nearest `k` points.
    pub fn score(&self, row: &[f64]) -> Result<f64, PredictError> {
        let features = self.mean.len();
        if row.len() < features {
            return Err(PredictError { have: row.len(), needs: features });
        }
        let here: Vec<f64> = (0..features).map(|j| (row[j] - self.mean[j]) / self.scale[j]).collect();
        let mut nearest: Vec<(f64, bool)> = Vec::with_capacity(self.k + 1);
        for (point, good) in self.cloud.chunks_exact(features).zip(self.good.iter().cycle()) {
            let distance: f64 = point.iter().zip(&here).map(|(a, b)| (a - b) * (a - b)).sum();
            if nearest.len() == self.k && nearest.last().is_some_and(|far| distance >= far.0) {
                continue;
            }
            let at = nearest.partition_point(|other| other.0 <= distance);
            nearest.insert(at, (distance, *good));
            nearest.truncate(self.k);
        }
        Ok(nearest.iter().filter(|(_, good)| *good).count() as f64 / nearest.len() as f64)
    }
}
