//! Mounts left under a folder.

use std::fs;
use std::path::{Path, PathBuf};

use rustix::mount::{UnmountFlags, unmount};

/// Unmounts everything under `folder`, the innermost first. Lazily: a mount
/// that is still in use goes away with its last user.
pub fn unmount_under(folder: &Path) {
    let table = fs::read_to_string("/proc/self/mountinfo").unwrap_or_default();
    for point in points_under(&table, folder) {
        // Gone already is as good.
        let _ = unmount(point, UnmountFlags::DETACH);
    }
}

/// Later mounts come later in the table and may lie over earlier ones.
fn points_under(table: &str, folder: &Path) -> Vec<PathBuf> {
    let points = table.lines().filter_map(mount_point);
    let mut under: Vec<PathBuf> = points.filter(|point| point.starts_with(folder)).collect();
    under.reverse();
    under
}

/// The fifth field of a mountinfo line, with its octal escapes undone.
pub fn mount_point(line: &str) -> Option<PathBuf> {
    let field = line.split(' ').nth(4)?;
    let mut path = String::new();
    let mut rest = field;
    while let Some((before, after)) = rest.split_once('\\') {
        path.push_str(before);
        let code = after.get(..3)?;
        path.push(char::from(u8::from_str_radix(code, 8).ok()?));
        rest = &after[3..];
    }
    path.push_str(rest);
    Some(path.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn innermost_first_and_only_under_the_folder() {
        let table = "\
21 1 8:1 / / rw - ext4 /dev/vda rw
30 21 0:40 / /c/beds/a/run/x rw - tmpfs tmpfs rw
31 30 0:41 / /c/beds/a/run/x/y\\040z rw - tmpfs tmpfs rw
32 21 0:42 / /c/beds/ab/run rw - tmpfs tmpfs rw
";
        assert_eq!(
            points_under(table, Path::new("/c/beds/a")),
            [PathBuf::from("/c/beds/a/run/x/y z"), "/c/beds/a/run/x".into()]
        );
    }
}
