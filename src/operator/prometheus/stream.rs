//! An answer read while it arrives: each series is taken out as soon as it is complete, so that the text of an answer is
//! never in memory as a whole.
//!
//! A series is an object that lies three levels deep (`{"data": {"result": [ … ]}}`). Everything else is the frame, which
//! is read at the end: whether the query succeeded, and which form of answer this is. Anything that is not the API's JSON
//! is no series, or leaves no frame.

use serde::Deserialize;

use super::QueryError;

/// Levels above a series.
const ABOVE: u32 = 3;

/// What has arrived so far.
#[derive(Debug, Default)]
pub struct Answer {
    depth: u32,
    in_text: bool,
    escaped: bool,
    /// Whether a series is arriving, and what of it is here.
    within: bool,
    series: Vec<u8>,
    frame: Vec<u8>,
}

#[derive(Deserialize)]
struct Frame {
    status: String,
    #[serde(default)]
    data: Option<Data>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Data {
    result_type: String,
    /// Empty: what was in it has been taken out.
    #[serde(default)]
    result: Vec<Nothing>,
}

#[derive(Deserialize)]
enum Nothing {}

impl Answer {
    /// Takes a piece in; `each` is given every series that it completes.
    pub fn take(
        &mut self,
        piece: &[u8],
        mut each: impl FnMut(&[u8]) -> Result<(), QueryError>,
    ) -> Result<(), QueryError> {
        // Where the series that is arriving begins in this piece.
        let mut begin = 0;
        for (at, byte) in piece.iter().copied().enumerate() {
            if self.in_text {
                match byte {
                    _ if self.escaped => self.escaped = false,
                    b'\\' => self.escaped = true,
                    b'"' => self.in_text = false,
                    _ => {}
                }
            } else {
                match byte {
                    b'"' => self.in_text = true,
                    b'{' | b'[' => {
                        if self.depth == ABOVE && byte == b'{' {
                            (self.within, begin) = (true, at);
                        }
                        self.depth = self.depth.saturating_add(1);
                    }
                    b'}' | b']' => {
                        self.depth = self.depth.saturating_sub(1);
                        if self.within && self.depth == ABOVE {
                            self.series.extend_from_slice(&piece[begin..=at]);
                            each(&self.series)?;
                            self.series.clear();
                            self.within = false;
                            continue;
                        }
                    }
                    // Between series.
                    b',' if self.depth == ABOVE => continue,
                    _ => {}
                }
            }
            if !self.within {
                self.frame.push(byte);
            }
        }
        if self.within {
            self.series.extend_from_slice(&piece[begin..]);
        }
        Ok(())
    }

    /// Whether it was an answer of this form.
    pub fn end(self, form: &str) -> Result<(), QueryError> {
        let frame: Frame = serde_json::from_slice(&self.frame).map_err(|_| QueryError::NotJson)?;
        match frame {
            Frame { status, data: Some(data) }
                if status == "success" && data.result_type == form && data.result.is_empty() =>
            {
                Ok(())
            }
            Frame { status, .. } if status == "success" => Err(QueryError::NotJson),
            Frame { .. } => Err(QueryError::Refused),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn read(text: &str, piece: usize) -> (Vec<String>, Result<(), QueryError>) {
        let (mut answer, mut found) = (Answer::default(), Vec::new());
        for piece in text.as_bytes().chunks(piece) {
            let taken = answer.take(piece, |series| {
                found.push(String::from_utf8(series.to_vec()).unwrap());
                Ok(())
            });
            taken.unwrap();
        }
        (found, answer.end("matrix"))
    }

    const ONE: &str = r#"{"metric":{"path":"}]{[\",\\"},"values":[[1,"2"],[3,"4"]]}"#;
    const TWO: &str = r#"{"metric":{},"values":[]}"#;

    #[test]
    fn series_are_taken_out_wherever_the_pieces_end() {
        let texts = [
            format!(r#"{{"status":"success","data":{{"resultType":"matrix","result":[{ONE},{TWO}]}}}}"#),
            format!(
                "{{ \"data\" : {{\"result\": [ {ONE} ,\n{TWO} ], \"resultType\":\"matrix\"}},\"status\":\"success\" }}"
            ),
        ];
        for text in &texts {
            for piece in 1..text.len() {
                let (found, end) = read(text, piece);
                assert_eq!(
                    (found.as_slice(), end),
                    ([ONE.to_owned(), TWO.to_owned()].as_slice(), Ok(())),
                    "{piece}"
                );
            }
        }
    }

    #[test]
    fn what_is_no_answer_leaves_no_frame() {
        let end = |text: &str| read(text, 7).1;
        assert_eq!(end(r#"{"status":"success","data":{"resultType":"matrix","result":[]}}"#), Ok(()));
        assert_eq!(
            end(r#"{"status":"success","data":{"resultType":"vector","result":[]}}"#),
            Err(QueryError::NotJson)
        );
        assert_eq!(
            end(r#"{"status":"success","data":{"resultType":"matrix","result":[1,2]}}"#),
            Err(QueryError::NotJson)
        );
        assert_eq!(
            end(r#"{"status":"success","data":{"resultType":"matrix","result":[{}"#),
            Err(QueryError::NotJson)
        );
        assert_eq!(end(r#"{"status":"success","data":[1,2]}"#), Err(QueryError::NotJson));
        assert_eq!(end(r#"{"status":"error","error":"x"}"#), Err(QueryError::Refused));
        for text in ["", "<html>", "]]]]{{", "\"", "null"] {
            assert_eq!(end(text), Err(QueryError::NotJson), "{text}");
        }
    }

    proptest! {
        #[test]
        fn no_text_at_all_is_a_crash(text in "[\\[\\]{}\",:\\\\a1 ]{0,80}", piece in 1_usize..9) {
            let _ = read(&text, piece);
        }
    }
}
