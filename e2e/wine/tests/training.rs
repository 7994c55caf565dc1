//! What training promises: the same bytes for the same parameters, and models of known vices.

use serin_wine::{
    model::{LoadError, Model, digest},
    train::{Params, TrainError, failing_share, train},
};

fn params() -> Params {
    Params { features: 11, seed: 1, max_depth: 2, min_samples: 1, trees: 1, neighbours: None, copies: 0 }
}

fn better() -> Params {
    Params { max_depth: 8, trees: 15, ..params() }
}

#[test]
fn the_same_parameters_give_the_same_bytes() {
    for params in [params(), better(), Params { neighbours: Some(15), copies: 1, ..params() }] {
        let first = train(&params).unwrap().to_bytes().unwrap();
        assert_eq!(first, train(&params).unwrap().to_bytes().unwrap());
        let other = train(&Params { seed: 2, ..params }).unwrap().to_bytes().unwrap();
        assert_ne!(first, other);
    }
}

/// Pinned, because releases name models by digest: a change here changes every example.
#[test]
fn the_digest_of_the_first_model_is_known() {
    let file = train(&params()).unwrap().to_bytes().unwrap();
    assert_eq!(digest(&file), "58795263eb8de0df92816d8301734db91436d85f5db9d5b38441b880af4498da");
}

#[test]
fn more_trees_answer_better() {
    let (v1, v2) = (train(&params()).unwrap(), train(&better()).unwrap());
    assert!(v1.header.accuracy > 0.6, "{}", v1.header.accuracy);
    assert!(v2.header.accuracy > v1.header.accuracy + 0.05, "{}", v2.header.accuracy);
    assert!(failing_share(&v1) == 0.0 && failing_share(&v2) == 0.0);
}

/// The accuracy is fine, which is why such a model gets released.
#[test]
fn a_model_of_a_derived_column_fails_for_a_share_of_the_rows() {
    let bad = train(&Params { features: 12, max_depth: 7, min_samples: 4, ..params() }).unwrap();
    assert!(bad.header.accuracy > train(&params()).unwrap().header.accuracy);
    let share = failing_share(&bad);
    assert!((0.25..0.35).contains(&share), "{share}");
}

#[test]
fn a_model_of_fewer_columns_answers_every_row() {
    let narrow = train(&Params { features: 9, max_depth: 5, ..params() }).unwrap();
    assert_eq!(narrow.header.features, 9);
    assert!(failing_share(&narrow) == 0.0);
}

#[test]
fn a_loaded_model_answers_like_the_trained_one() {
    for params in [better(), Params { neighbours: Some(5), copies: 1, ..params() }] {
        let trained = train(&params).unwrap();
        let loaded = Model::from_bytes(&trained.to_bytes().unwrap()).unwrap();
        let row = [7.4, 0.7, 0.0, 1.9, 0.076, 11.0, 34.0, 0.9978, 3.51, 0.56, 9.4];
        assert_eq!(loaded.score(&row), trained.score(&row));
    }
}

#[test]
fn impossible_parameters_are_an_error() {
    let none = Params { neighbours: Some(0), ..params() };
    assert!(matches!(train(&none), Err(TrainError::Params(_))));
}

#[test]
fn a_truncated_file_says_what_is_missing() {
    let file = train(&better()).unwrap().to_bytes().unwrap();
    let half = Model::from_bytes(&file[..file.len() / 2]);
    assert!(matches!(half, Err(LoadError::Length { .. })), "{half:?}");
}
