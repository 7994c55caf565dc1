//! Kubernetes quantities as numbers, for bounds on gauges. `kube_quantity` truncates `1.5Gi` to 1 GiB and cannot read
//! `1E`; a bound must be neither, hence these few lines.

/// Value of a quantity such as `2Gi`, `250m` or `0.3`; `None` if it is none.
pub fn parse(text: &str) -> Option<f64> {
    let split = text.find(|c: char| c.is_ascii_alphabetic()).unwrap_or(text.len());
    let (number, suffix) = text.split_at(split);
    let factor = match suffix {
        "" => 1.0,
        "m" => 1e-3,
        "k" => 1e3,
        "M" => 1e6,
        "G" => 1e9,
        "T" => 1e12,
        "P" => 1e15,
        "E" => 1e18,
        "Ki" => 1024.0,
        "Mi" => 1_048_576.0,
        "Gi" => 1_073_741_824.0,
        "Ti" => 1_099_511_627_776.0,
        "Pi" => 1_125_899_906_842_624.0,
        "Ei" => 1_152_921_504_606_846_976.0,
        _ => return None,
    };
    let well_formed = number.bytes().any(|b| b.is_ascii_digit())
        && number.bytes().all(|b| b.is_ascii_digit() || matches!(b, b'.' | b'+' | b'-'));
    if !well_formed {
        return None;
    }
    number.parse::<f64>().ok().map(|n| n * factor).filter(|n| n.is_finite())
}

#[cfg(test)]
mod tests {
    use super::parse;

    #[test]
    fn reads_what_kubernetes_reads() {
        for (text, value) in [
            ("2Gi", 2_147_483_648.0),
            ("1.5Gi", 1_610_612_736.0),
            ("250m", 0.25),
            ("0.3", 0.3),
            ("1E", 1e18),
            ("5.5k", 5500.0),
            ("-1", -1.0),
        ] {
            assert_eq!(parse(text), Some(value), "{text}");
        }
        for text in ["", "Gi", "1e3x", "NaN", "inf", "1 Gi", "--1"] {
            assert_eq!(parse(text), None, "{text}");
        }
    }
}
