//! Rules that several objects have.

use crate::{Digest, EnvVar, Location, Storage, model::location};

pub(super) fn digest(field: &str, digest: &Digest) -> Result<(), String> {
    if digest.is_well_formed() {
        return Ok(());
    }
    Err(format!("{field} {:?} must be sha256: and 64 hexadecimal digits", digest.0))
}

pub(super) fn range<T: PartialOrd + Copy + std::fmt::Display>(
    field: &str,
    value: T,
    min: T,
    max: T,
) -> Result<(), String> {
    if (min..=max).contains(&value) {
        Ok(())
    } else {
        Err(format!("{field} {value} is not between {min} and {max}"))
    }
}

/// Lower-case letters, digits and inner dashes: what a name of a Service or a claim may be.
pub(crate) fn dns_label(s: &str) -> bool {
    let inner = s.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-');
    inner && !s.is_empty() && !s.starts_with('-') && !s.ends_with('-')
}

/// A name that children's names are built from.
pub(super) fn label(what: &str, name: &str, max: usize) -> Result<(), String> {
    if name.len() > max {
        return Err(format!("{what} {name} is longer than {max} characters"));
    }
    if dns_label(name) && name.starts_with(|c: char| c.is_ascii_lowercase()) {
        return Ok(());
    }
    Err(format!("{what} {name} is no DNS label: lower-case letters, digits and '-', starting with a letter"))
}

/// A name of an object, such as a ModelVersion.
pub(super) fn object_name(field: &str, name: &str, max: usize) -> Result<(), String> {
    let inner = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || matches!(b, b'-' | b'.');
    let ends = !name.starts_with(['-', '.']) && !name.ends_with(['-', '.']);
    if (1..=max).contains(&name.len()) && name.bytes().all(inner) && ends {
        return Ok(());
    }
    Err(format!(
        "{field} {name:?} is no name: 1 to {max} characters, lower-case letters, digits, '-' and '.', starting and \
         ending with a letter or digit"
    ))
}

/// 1 to `max` bytes; for lists of strings, too.
pub(super) fn length(field: &str, text: &str, max: usize) -> Result<(), String> {
    match text.len() {
        0 => Err(format!("{field} must not be empty")),
        n if n > max => Err(format!("{field} has {n} bytes; at most {max} are allowed")),
        _ => Ok(()),
    }
}

pub(super) fn count(field: &str, count: usize, max: usize) -> Result<(), String> {
    if count <= max { Ok(()) } else { Err(format!("{field} has {count} entries; at most {max} are allowed")) }
}

/// Names once each, none of ours, and one source each.
pub(super) fn env(field: &str, all: &[EnvVar], is_reserved: impl Fn(&str) -> bool) -> Result<(), String> {
    count(field, all.len(), 64)?;
    for (i, entry) in all.iter().enumerate() {
        let EnvVar { name, value, secret_key_ref, config_map_key_ref } = entry;
        if is_reserved(name) {
            return Err(format!("{field}: {name} is reserved; rename it"));
        }
        if all[..i].iter().any(|other| other.name == *name) {
            return Err(format!("{field}: {name} stands twice"));
        }
        let sources = [value.is_some(), secret_key_ref.is_some(), config_map_key_ref.is_some()];
        if sources.into_iter().filter(|s| *s).count() != 1 {
            return Err(format!(
                "{field}: {name} must have exactly one of value, secretKeyRef, configMapKeyRef"
            ));
        }
    }
    Ok(())
}

pub(super) fn storage(field: &str, storage: &Storage) -> Result<(), String> {
    match &storage.endpoint {
        Some(endpoint) if !["http://", "https://"].iter().any(|scheme| endpoint.starts_with(scheme)) => {
            Err(format!("{field}.endpoint {endpoint:?} must start with http:// or https://"))
        }
        Some(_) | None => Ok(()),
    }
}

/// A file: its name is the last segment of the address.
pub(super) fn file(field: &str, uri: &str) -> Result<(), String> {
    location(field, uri)?;
    if uri.ends_with('/') {
        return Err(format!("{field} {uri:?} must name a file, not a folder"));
    }
    Ok(())
}

/// A folder that pods can write to.
pub(super) fn folder(field: &str, uri: &str) -> Result<(), String> {
    match location(field, uri)? {
        Location::Store(_) | Location::Claim { .. } => Ok(()),
        Location::Http(_) => Err(format!(
            "{field} {uri:?} must start with s3://, gs://, az:// or pvc://: nothing is written over HTTP"
        )),
    }
}

pub(super) fn image(field: &str, image: &str) -> Result<(), String> {
    length(field, image, 512)?;
    if image.starts_with(|c: char| c.is_ascii_alphanumeric()) && image.bytes().all(|b| b.is_ascii_graphic()) {
        return Ok(());
    }
    Err(format!("{field} {image:?} is no reference of an image"))
}

/// Program and arguments.
pub(super) fn command(of: &str, command: &[String], args: &[String]) -> Result<(), String> {
    if command.is_empty() {
        return Err(format!("{of}.command must name a program: the image's own entry point does not count"));
    }
    count(&format!("{of}.command"), command.len(), 32)?;
    count(&format!("{of}.args"), args.len(), 64)?;
    match command.iter().chain(args).find(|word| word.len() > 4096) {
        Some(word) => {
            Err(format!("{of}: an argument has {} bytes; at most 1024 characters are allowed", word.len()))
        }
        None => Ok(()),
    }
}
