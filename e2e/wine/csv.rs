//! Data sets as files: a line of column names, then a wine a line, `good` last.

use std::fmt::Write as _;

use crate::data::{DERIVED, MEASURED, Wines};

/// Names of the columns, measured ones first.
pub const COLUMNS: [&str; MEASURED + DERIVED] = [
    "fixed_acidity",
    "volatile_acidity",
    "citric_acid",
    "residual_sugar",
    "chlorides",
    "free_sulfur_dioxide",
    "total_sulfur_dioxide",
    "density",
    "ph",
    "sulphates",
    "alcohol",
    "free_share",
    "acid_ratio",
];
const LABEL: &str = "good";

/// Writes a data set. Numbers come back from the text to the last bit.
pub fn write(wines: &Wines) -> String {
    let features = wines.rows.first().map_or(0, Vec::len);
    let mut text = COLUMNS[..features].join(",");
    text.extend([",", LABEL, "\n"]);
    for (row, good) in wines.rows.iter().zip(&wines.good) {
        for x in row {
            // Writing to a string cannot fail.
            let _ = write!(text, "{x},");
        }
        text.push_str(if *good { "1\n" } else { "0\n" });
    }
    text
}

/// Reads one; the error names the line.
pub fn read(text: &str) -> Result<Wines, String> {
    let mut lines = text.lines();
    let head: Vec<&str> = lines.next().unwrap_or_default().split(',').collect();
    let known = match head.split_last() {
        Some((&LABEL, names)) => !names.is_empty() && COLUMNS.starts_with(names),
        _ => false,
    };
    if !known {
        return Err(format!("the first line is not {},…,{LABEL}", COLUMNS[0]));
    }
    let mut wines = Wines::default();
    for (at, line) in lines.enumerate() {
        let wrong = |what: &str| format!("line {}: {what}", at + 2);
        let mut cells: Vec<&str> = line.split(',').collect();
        if cells.len() != head.len() {
            return Err(wrong(&format!("{} values, not {}", cells.len(), head.len())));
        }
        wines.good.push(match cells.pop() {
            Some("1") => true,
            Some("0") => false,
            _ => return Err(wrong("a wine is good (1) or not (0)")),
        });
        let row = cells.iter().map(|cell| cell.parse::<f64>().ok().filter(|x| x.is_finite()));
        wines.rows.push(row.collect::<Option<_>>().ok_or_else(|| wrong("not a number"))?);
    }
    if wines.rows.is_empty() {
        return Err("there are no rows".to_owned());
    }
    Ok(wines)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_set_comes_back_to_the_last_bit() {
        for features in [MEASURED, MEASURED + 1] {
            let wines = Wines::all(features);
            let back = read(&write(&wines)).unwrap();
            assert_eq!((back.rows, back.good), (wines.rows, wines.good));
        }
    }

    #[test]
    fn what_is_no_set_is_refused_with_its_line() {
        assert!(read("").unwrap_err().contains("first line"));
        assert!(read("a,b,good\n1,2,1\n").unwrap_err().contains("first line"));
        let head = "fixed_acidity,volatile_acidity,good\n";
        assert_eq!(read(head).unwrap_err(), "there are no rows");
        for (line, why) in
            [("1,2", "2 values, not 3"), ("1,x,1", "not a number"), ("1,NaN,1", "not a number")]
        {
            assert_eq!(read(&format!("{head}1,2,0\n{line}\n")).unwrap_err(), format!("line 3: {why}"));
        }
        assert!(read(&format!("{head}1,2,yes\n")).unwrap_err().contains("good (1)"));
    }
}
