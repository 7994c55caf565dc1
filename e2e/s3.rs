//! What the harness says to the object store: put, get and list, signed as S3 asks for (Signature Version 4).

use std::{
    collections::BTreeMap,
    fmt::Write as _,
    fs::File,
    io::{self, BufRead as _, BufReader, Read as _, Write as _},
    net::TcpStream,
    os::unix::fs::FileExt as _,
    path::Path,
    sync::atomic::{AtomicU64, Ordering},
    thread,
    time::Duration,
};

use chrono::{DateTime, Utc};
use serin_bed::{Bed, S3};
use sha2::{Digest as _, Sha256};

use crate::Error;

/// Longest silence of the server.
const PATIENCE: Duration = Duration::from_secs(20);
/// Longest head of an answer, bytes.
const HEAD_MAX: usize = 64 << 10;
/// Size of a part of an upload, bytes, and how many are on their way.
const PART: usize = 8 << 20;
const PARTS: usize = 8;
/// Stands for the hash of a body that is not signed.
const UNSIGNED: &str = "UNSIGNED-PAYLOAD";

/// A client of one object store.
#[derive(Clone, Debug)]
pub struct Store {
    /// Address and account.
    pub access: S3,
    authority: String,
}

impl Store {
    /// The bed's.
    pub fn of(bed: &Bed) -> Result<Self, Error> {
        let access = bed.s3().ok_or("this cluster's object store is not known: set SERIN_S3_ENDPOINT, SERIN_S3_ACCESS_KEY_ID and SERIN_S3_SECRET_ACCESS_KEY")?;
        let authority = access.endpoint.strip_prefix("http://").map(|a| a.trim_end_matches('/').to_owned());
        let authority =
            authority.ok_or_else(|| format!("{}: the harness speaks http:// only", access.endpoint))?;
        Ok(Self { access, authority })
    }

    /// Writes an object.
    pub fn put(&self, bucket: &str, key: &str, content: &[u8]) -> Result<(), Error> {
        self.good("PUT", &format!("/{bucket}/{key}"), "", content).map(drop)
    }

    /// Reads an object; `None` if there is none.
    pub fn get(&self, bucket: &str, key: &str) -> Result<Option<Vec<u8>>, Error> {
        match self.ask("GET", &format!("/{bucket}/{key}"), "", b"")? {
            (200, body) => Ok(Some(body)),
            (404, _) => Ok(None),
            (code, body) => Err(refused("GET", key, code, &body)),
        }
    }

    /// Keys that begin so, at most 1000.
    pub fn list(&self, bucket: &str, prefix: &str) -> Result<Vec<String>, Error> {
        let query = format!("list-type=2&prefix={}", encoded(prefix));
        let text = String::from_utf8(self.good("GET", &format!("/{bucket}"), &query, b"")?)?;
        Ok(text
            .split("<Key>")
            .skip(1)
            .filter_map(|rest| rest.split("</Key>").next())
            .map(str::to_owned)
            .collect())
    }

    /// Removes an object, if it is there.
    pub fn remove(&self, bucket: &str, key: &str) -> Result<(), Error> {
        match self.ask("DELETE", &format!("/{bucket}/{key}"), "", b"")? {
            (200 | 204 | 404, _) => Ok(()),
            (code, body) => Err(refused("DELETE", key, code, &body)),
        }
    }

    /// Copies a file to an object as every S3 tool does, in parts of 8 MiB, eight at a time, and nothing is hashed.
    pub fn upload(&self, bucket: &str, key: &str, from: &Path) -> Result<(), Error> {
        let file = File::open(from)?;
        let length = file.metadata()?.len();
        let target = format!("/{bucket}/{key}");
        let begun = String::from_utf8(self.good("POST", &target, "uploads=", b"")?)?;
        let id = begun.split("<UploadId>").nth(1).and_then(|rest| rest.split("</UploadId>").next());
        let id = encoded(id.ok_or("the object store gave no upload id")?);
        let next = AtomicU64::new(0);
        let worker = || -> Result<Vec<(u64, String)>, String> {
            let (mut parts, mut buffer) = (Vec::new(), vec![0; PART]);
            loop {
                let number = next.fetch_add(1, Ordering::Relaxed);
                let start = number * PART as u64;
                if start >= length {
                    return Ok(parts);
                }
                let bytes = usize::try_from(length - start).map_or(PART, |left| left.min(PART));
                let part = &mut buffer[..bytes];
                file.read_exact_at(part, start).map_err(|e| e.to_string())?;
                let query = format!("partNumber={}&uploadId={id}", number + 1);
                let put =
                    self.begin("PUT", &target, &query, UNSIGNED, bytes as u64).and_then(|mut stream| {
                        stream.write_all(part)?;
                        answer(BufReader::new(stream))
                    });
                match put.map_err(|e| e.to_string())? {
                    (Head { code: 200, etag: Some(etag), .. }, _) => parts.push((number + 1, etag)),
                    (head, _) => {
                        return Err(format!("part {number}: the object store answered {}", head.code));
                    }
                }
            }
        };
        let parts: Result<Vec<_>, String> = thread::scope(|scope| {
            let workers: Vec<_> = (0..PARTS).map(|_| scope.spawn(worker)).collect();
            workers.into_iter().map(|w| w.join().unwrap_or_else(|_| Err("a thread died".into()))).collect()
        });
        let parts: BTreeMap<u64, String> = parts?.into_iter().flatten().collect();
        let mut list = String::from("<CompleteMultipartUpload>");
        for (number, etag) in parts {
            let _ = write!(list, "<Part><ETag>{etag}</ETag><PartNumber>{number}</PartNumber></Part>");
        }
        list.push_str("</CompleteMultipartUpload>");
        self.good("POST", &target, &format!("uploadId={id}"), list.as_bytes()).map(drop)
    }

    /// Copies an object to a file as plainly as can be: one request, and nothing is hashed.
    pub fn download(&self, bucket: &str, key: &str, to: &Path) -> Result<(), Error> {
        let stream = self.begin("GET", &format!("/{bucket}/{key}"), "", UNSIGNED, 0)?;
        let (head, mut body) = answer(BufReader::with_capacity(1 << 20, stream))?;
        let copied = io::copy(&mut body, &mut File::create(to)?)?;
        match head.code {
            200 if head.length.is_none_or(|length| length == copied) => Ok(()),
            200 => Err("the object store's answer was cut".into()),
            code => Err(refused("GET", key, code, b"")),
        }
    }

    fn good(&self, method: &str, path: &str, query: &str, body: &[u8]) -> Result<Vec<u8>, Error> {
        match self.ask(method, path, query, body)? {
            (200, answer) => Ok(answer),
            (code, answer) => Err(refused(method, path, code, &answer)),
        }
    }

    fn ask(&self, method: &str, path: &str, query: &str, body: &[u8]) -> Result<(u16, Vec<u8>), Error> {
        let content = hex(&Sha256::digest(body));
        let mut stream = self.begin(method, path, query, &content, body.len() as u64)?;
        stream.write_all(body)?;
        let (head, mut rest) = answer(BufReader::new(stream))?;
        let mut body = Vec::new();
        rest.read_to_end(&mut body)?;
        if head.length.is_some_and(|length| length != body.len() as u64) {
            return Err("the object store's answer was cut".into());
        }
        Ok((head.code, body))
    }

    /// Connects and asks; the body is still to be written. `content` is its hash.
    fn begin(
        &self,
        method: &str,
        path: &str,
        query: &str,
        content: &str,
        length: u64,
    ) -> Result<TcpStream, Error> {
        let mut stream =
            TcpStream::connect(&self.authority).map_err(|e| format!("{}: {e}", self.authority))?;
        stream.set_read_timeout(Some(PATIENCE))?;
        stream.set_write_timeout(Some(PATIENCE))?;
        let signed = self.signed(method, path, query, content, Utc::now());
        let target = if query.is_empty() { path.to_owned() } else { format!("{path}?{query}") };
        // HTTP/1.0: the answer is whole and ends with the connection.
        let head = format!("{method} {target} HTTP/1.0\r\n{signed}content-length: {length}\r\n\r\n");
        stream.write_all(head.as_bytes())?;
        Ok(stream)
    }

    /// The headers of a signed request.
    fn signed(&self, method: &str, path: &str, query: &str, content: &str, now: DateTime<Utc>) -> String {
        const NAMES: &str = "host;x-amz-content-sha256;x-amz-date";
        let (day, time) = (now.format("%Y%m%d").to_string(), now.format("%Y%m%dT%H%M%SZ").to_string());
        let headers = format!("host:{}\nx-amz-content-sha256:{content}\nx-amz-date:{time}\n", self.authority);
        let request = format!("{method}\n{path}\n{query}\n{headers}\n{NAMES}\n{content}");
        let scope = format!("{day}/{}/s3/aws4_request", self.access.region);
        let text = format!("AWS4-HMAC-SHA256\n{time}\n{scope}\n{}", hex(&Sha256::digest(&request)));
        let mut key = hmac(format!("AWS4{}", self.access.secret_access_key).as_bytes(), &day);
        for part in [self.access.region.as_str(), "s3", "aws4_request", &text] {
            key = hmac(&key, part);
        }
        let id = &self.access.access_key_id;
        let sum = hex(&key);
        let mut text = headers.lines().map(|l| l.replacen(':', ": ", 1) + "\r\n").collect::<String>();
        let _ = write!(
            text,
            "authorization: AWS4-HMAC-SHA256 Credential={id}/{scope}, SignedHeaders={NAMES}, Signature={sum}\r\n"
        );
        text
    }
}

/// What matters of an answer's head.
struct Head {
    code: u16,
    length: Option<u64>,
    etag: Option<String>,
}

/// Reads the head; what is left to read is the body.
fn answer(mut stream: BufReader<TcpStream>) -> Result<(Head, BufReader<TcpStream>), Error> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        if head.len() > HEAD_MAX || stream.read_until(b'\n', &mut head)? == 0 {
            return Err("the object store hung up".into());
        }
    }
    let head = String::from_utf8_lossy(&head).to_ascii_lowercase();
    let code = head.split(' ').nth(1).and_then(|code| code.parse().ok());
    let field = |name: &str| head.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(": "));
    let length = field("content-length").and_then(|length| length.parse().ok());
    let etag = field("etag").map(str::to_owned);
    Ok((Head { code: code.ok_or_else(|| format!("no HTTP: {head}"))?, length, etag }, stream))
}

fn refused(method: &str, path: &str, code: u16, body: &[u8]) -> Error {
    format!("{method} {path}: the object store answered {code}: {}", String::from_utf8_lossy(body)).into()
}

fn hmac(key: &[u8], text: &str) -> Vec<u8> {
    // Keys of ours are shorter than a block.
    let mut block = [0; 64];
    for (to, from) in block.iter_mut().zip(key) {
        *to = *from;
    }
    let inner = Sha256::new().chain_update(block.map(|b| b ^ 0x36)).chain_update(text).finalize();
    Sha256::new().chain_update(block.map(|b| b ^ 0x5c)).chain_update(inner).finalize().to_vec()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

fn encoded(text: &str) -> String {
    text.bytes().fold(String::new(), |mut all, byte| {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            all.push(char::from(byte));
        } else {
            let _ = write!(all, "%{byte:02X}");
        }
        all
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_keyed_hash_is_that_of_rfc_4231() {
        let sum = hex(&hmac(b"Jefe", "what do ya want for nothing?"));
        assert_eq!(sum, "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843");
    }

    /// "GET Bucket (List Objects)" of Amazon's documentation of Signature Version 4.
    #[test]
    fn a_request_is_signed_as_documented() {
        let access = S3 {
            endpoint: "http://examplebucket.s3.amazonaws.com".into(),
            region: "us-east-1".into(),
            access_key_id: "AKIAIOSFODNN7EXAMPLE".into(),
            secret_access_key: "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY".into(),
        };
        let store = Store { access, authority: "examplebucket.s3.amazonaws.com".into() };
        let now = DateTime::parse_from_rfc3339("2013-05-24T00:00:00Z").unwrap().to_utc();
        let headers = store.signed("GET", "/", "max-keys=2&prefix=J", &hex(&Sha256::digest(b"")), now);
        assert!(
            headers.contains("Signature=34b48302e7b5fa45bde8084f4b7868a86f0a534bc59db6670ed5711ef69dc6f7"),
            "{headers}"
        );
        assert_eq!(encoded("a/b c"), "a%2Fb%20c");
    }
}
