//! The data: 1599 red wines, eleven measured columns, and whether tasters found the wine good.

use crate::rng::Rng;

/// Columns every client sends.
pub const MEASURED: usize = 11;
/// Columns a trainer can compute from the measured ones. No server computes them: a model that was
/// trained on them meets clients that do not know them.
pub const DERIVED: usize = 2;

/// Rows and their labels, in the same order.
#[derive(Debug, Clone, Default)]
pub struct Wines {
    /// One row per wine.
    pub rows: Vec<Vec<f64>>,
    /// A wine is good from quality 6 up.
    pub good: Vec<bool>,
}

/// A part of the wines, by the column that tells most: the alcohol.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum Taste {
    /// All of them.
    #[default]
    All,
    /// The lighter half, of which four in ten are good.
    Light,
    /// The stronger half, of which seven in ten are.
    Strong,
}

/// Column of the alcohol, in percent by volume.
const ALCOHOL: usize = 10;
/// Half of the wines have less.
const MEDIAN: f64 = 10.2;

impl Wines {
    /// The wines of a taste.
    #[must_use]
    pub fn of(&self, taste: Taste) -> Self {
        let fits = |i: &usize| match taste {
            Taste::All => true,
            Taste::Light => self.rows[*i][ALCOHOL] < MEDIAN,
            Taste::Strong => self.rows[*i][ALCOHOL] >= MEDIAN,
        };
        let indices: Vec<usize> = (0..self.rows.len()).filter(fits).collect();
        self.pick(&indices)
    }

    /// The whole data set, with its first `features` columns (measured ones first, then derived).
    pub fn all(features: usize) -> Self {
        let set = linfa_datasets::winequality();
        let rows = set.records().outer_iter().map(|row| columns(&row.to_vec(), features)).collect();
        let good = set.targets().iter().map(|quality| *quality >= 6).collect();
        Self { rows, good }
    }

    /// Splits into a training and a test set, four to one, by `seed`.
    pub fn split(&self, seed: u64) -> (Self, Self) {
        let mut order: Vec<usize> = (0..self.rows.len()).collect();
        Rng::new(seed).shuffle(&mut order);
        let (test, train) = order.split_at(order.len() / 5);
        (self.pick(train), self.pick(test))
    }

    /// The rows at `indices`, repeats included.
    #[must_use]
    pub fn pick(&self, indices: &[usize]) -> Self {
        Self {
            rows: indices.iter().map(|i| self.rows[*i].clone()).collect(),
            good: indices.iter().map(|i| self.good[*i]).collect(),
        }
    }
}

/// Measured columns followed by derived ones, cut to `features`.
fn columns(measured: &[f64], features: usize) -> Vec<f64> {
    let [fixed, volatile, free, total] = [0, 1, 5, 6].map(|i| measured[i]);
    let derived: [f64; DERIVED] = [free / total, volatile / fixed];
    measured.iter().copied().chain(derived).take(features).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_set_has_the_columns_asked_for() {
        for features in [9, MEASURED, MEASURED + DERIVED] {
            let wines = Wines::all(features);
            assert_eq!(wines.rows.len(), 1599);
            assert!(wines.rows.iter().all(|row| row.len() == features));
        }
    }

    #[test]
    fn a_taste_is_about_half_of_the_wines_and_another_share_of_good_ones() {
        let wines = Wines::all(MEASURED);
        let (light, strong) = (wines.of(Taste::Light), wines.of(Taste::Strong));
        assert_eq!(light.rows.len() + strong.rows.len(), 1599);
        assert!(light.rows.len() > 700 && strong.rows.len() > 700);
        let good = |w: &Wines| w.good.iter().filter(|g| **g).count() as f64 / w.good.len() as f64;
        assert!(good(&light) < 0.45 && good(&strong) > 0.65, "{} {}", good(&light), good(&strong));
    }

    #[test]
    fn a_split_is_decided_by_its_seed() {
        let wines = Wines::all(MEASURED);
        let (train, test) = wines.split(1);
        assert_eq!((train.rows.len(), test.rows.len()), (1280, 319));
        assert_eq!(wines.split(1).1.rows, test.rows);
        assert_ne!(wines.split(2).1.rows, test.rows);
    }
}
