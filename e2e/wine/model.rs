//! The model and its file: a header line that anyone can read, then the body it announces.

use std::{collections::BTreeMap, path::Path};

use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use crate::neighbours::Neighbours;

/// The first field of every model file.
const MAGIC: &str = "serin-wine";
/// The only format version this program reads.
pub const FORMAT_VERSION: u32 = 1;
/// Digits of the digest that identify a model in headers and metrics.
pub const DIGEST_DIGITS: usize = 12;

/// Named parameters of a training.
pub type Params = BTreeMap<String, serde_json::Value>;

/// What the file says about its model before the body.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Header {
    format: String,
    version: u32,
    /// Columns the model was trained on.
    pub features: usize,
    /// The parameters of the training, sorted: the order of a JSON object's own map depends on the
    /// features other crates of a build switch on, and would change the bytes of the file.
    pub params: Params,
    /// Share of right answers on the test set.
    pub accuracy: f64,
    body_bytes: usize,
}

/// The fields every version of the header has, to name the version before anything else fails.
#[derive(Deserialize)]
struct Stamp {
    format: String,
    version: u32,
}

/// A node of a tree; children always stand behind their parent, so a walk ends.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Node {
    /// Column, threshold, child for values up to the threshold, child for values above.
    Split(usize, f64, usize, usize),
    /// The share of good wines that reached this leaf in training.
    Leaf(f64),
}

/// The trained part.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Body {
    /// The mean vote of decision trees; the root of each is its first node.
    Forest(Vec<Vec<Node>>),
    /// See [`Neighbours`].
    Neighbours(Neighbours),
}

/// A loaded or freshly trained model.
#[derive(Debug, Clone)]
pub struct Model {
    /// What the file says about the model.
    pub header: Header,
    body: Body,
}

/// Why a model file was refused.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    /// The file cannot be read.
    #[error("cannot read the model file: {0}")]
    Read(#[from] std::io::Error),
    /// The first line is no header.
    #[error("not a model file: {0}")]
    Header(String),
    /// Another program version wrote the file.
    #[error("model format version {0}, this server reads version {FORMAT_VERSION}")]
    Version(u32),
    /// The body is shorter or longer than announced.
    #[error("model file is damaged: {have} bytes of body, the header announces {want}")]
    Length {
        /// Bytes found.
        have: usize,
        /// Bytes announced.
        want: usize,
    },
    /// The body does not parse or contradicts itself.
    #[error("model file is damaged: {0}")]
    Body(String),
}

/// A row that the model cannot answer.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("row has {have} features, the model's split uses feature {needs}")]
pub struct PredictError {
    /// Columns of the row.
    pub have: usize,
    /// The column, counted from one, that the model wanted to look at.
    pub needs: usize,
}

impl Model {
    /// Puts a trained body under a header; the accuracy is the caller's to measure and set.
    pub fn new(features: usize, params: Params, body: Body) -> Self {
        let header = Header {
            format: MAGIC.into(),
            version: FORMAT_VERSION,
            features,
            params,
            accuracy: 0.0,
            body_bytes: 0,
        };
        Self { header, body }
    }

    /// The probability that the wine is good.
    ///
    /// Only the columns on the row's own path are looked at, so a row too short for the model fails
    /// when its path meets a missing column and succeeds otherwise.
    pub fn score(&self, row: &[f64]) -> Result<f64, PredictError> {
        match &self.body {
            Body::Neighbours(neighbours) => neighbours.score(row),
            Body::Forest(trees) => {
                let votes = trees.iter().map(|tree| walk(tree, row)).sum::<Result<f64, _>>()?;
                Ok(votes / trees.len() as f64)
            }
        }
    }

    /// The bytes of the model file: the same model always gives the same bytes.
    pub fn to_bytes(&self) -> Result<Vec<u8>, serde_json::Error> {
        let body = serde_json::to_vec(&self.body)?;
        let header = Header { body_bytes: body.len(), ..self.header.clone() };
        let mut file = serde_json::to_vec(&header)?;
        file.push(b'\n');
        file.extend(body);
        Ok(file)
    }

    /// Reads a model file and checks everything prediction relies on.
    pub fn from_bytes(file: &[u8]) -> Result<Self, LoadError> {
        let mut parts = file.splitn(2, |byte| *byte == b'\n');
        let head = parts.next().unwrap_or_default();
        let bad_header = |error: serde_json::Error| LoadError::Header(error.to_string());
        let stamp: Stamp = serde_json::from_slice(head).map_err(bad_header)?;
        if stamp.format != MAGIC {
            return Err(LoadError::Header(format!("format {:?}", stamp.format)));
        }
        if stamp.version != FORMAT_VERSION {
            return Err(LoadError::Version(stamp.version));
        }
        let header: Header = serde_json::from_slice(head).map_err(bad_header)?;
        let body = parts.next().unwrap_or_default();
        if body.len() != header.body_bytes {
            return Err(LoadError::Length { have: body.len(), want: header.body_bytes });
        }
        let mut body: Body =
            serde_json::from_slice(body).map_err(|error| LoadError::Body(error.to_string()))?;
        check(&body, header.features).map_err(LoadError::Body)?;
        if let Body::Neighbours(neighbours) = &mut body {
            neighbours.prepare();
        }
        Ok(Self { header, body })
    }

    /// Loads `path`; also answers the digest of the file.
    pub fn load(path: &Path) -> Result<(Self, String), LoadError> {
        let file = std::fs::read(path)?;
        Ok((Self::from_bytes(&file)?, digest(&file)))
    }
}

/// The sha256 of a model file, in hex.
pub fn digest(file: &[u8]) -> String {
    format!("{:x}", Sha256::digest(file))
}

/// The digits of [`digest`] that headers and metrics carry.
pub fn short(digest: &str) -> &str {
    digest.get(..DIGEST_DIGITS).unwrap_or(digest)
}

fn walk(tree: &[Node], row: &[f64]) -> Result<f64, PredictError> {
    let mut at = 0;
    loop {
        match &tree[at] {
            Node::Leaf(score) => return Ok(*score),
            Node::Split(feature, threshold, low, high) => {
                let value = row.get(*feature).ok_or(PredictError { have: row.len(), needs: feature + 1 })?;
                at = if value <= threshold { *low } else { *high };
            }
        }
    }
}

/// What [`walk`] relies on, checked once so that a damaged file cannot panic or loop later.
fn check(body: &Body, features: usize) -> Result<(), String> {
    let trees = match body {
        Body::Neighbours(neighbours) => return neighbours.check(features),
        Body::Forest(trees) => trees,
    };
    if trees.is_empty() || trees.iter().any(Vec::is_empty) {
        return Err("a forest without trees".into());
    }
    for tree in trees {
        for (at, node) in tree.iter().enumerate() {
            if let Node::Split(feature, _, low, high) = node {
                let behind = |child: &usize| *child > at && *child < tree.len();
                if *feature >= features || !behind(low) || !behind(high) {
                    return Err(format!("node {at} points outside its tree"));
                }
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stump() -> Model {
        let tree = vec![Node::Split(1, 0.1 + 0.2, 1, 2), Node::Leaf(0.25), Node::Leaf(0.75)];
        Model::new(2, Params::new(), Body::Forest(vec![tree]))
    }

    #[test]
    fn a_file_comes_back_to_the_last_bit() {
        let file = stump().to_bytes().unwrap();
        let model = Model::from_bytes(&file).unwrap();
        assert_eq!(model.to_bytes().unwrap(), file);
        assert_eq!(model.score(&[0.0, 0.1 + 0.2]), Ok(0.25));
        assert_eq!(model.score(&[0.0, 0.31]), Ok(0.75));
    }

    #[test]
    fn a_short_row_is_an_error_that_names_the_column() {
        let error = stump().score(&[0.0]).unwrap_err();
        assert_eq!(error.to_string(), "row has 1 features, the model's split uses feature 2");
    }

    #[test]
    fn every_truncation_is_refused() {
        let file = stump().to_bytes().unwrap();
        for len in 0..file.len() {
            assert!(Model::from_bytes(&file[..len]).is_err(), "{len} bytes were accepted");
        }
    }

    #[test]
    fn another_format_version_is_refused_by_its_number() {
        let file = String::from_utf8(stump().to_bytes().unwrap()).unwrap();
        let file = file.replace("\"version\":1", "\"version\":2");
        let error = Model::from_bytes(file.as_bytes()).unwrap_err();
        assert_eq!(error.to_string(), "model format version 2, this server reads version 1");
    }

    #[test]
    fn a_tree_that_would_loop_is_refused() {
        let tree = vec![Node::Split(0, 0.0, 0, 1), Node::Leaf(0.0)];
        let file = Model::new(1, Params::new(), Body::Forest(vec![tree])).to_bytes().unwrap();
        assert!(matches!(Model::from_bytes(&file), Err(LoadError::Body(_))));
    }
}
