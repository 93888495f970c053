//! Hostile environments: full disks, failing system calls, umasks, links, and settings files of other programs.

use std::{
    fs,
    io::Write,
    os::unix::fs::{MetadataExt, PermissionsExt},
    path::{Path, PathBuf},
    process::Command,
};

use super::{
    STEPS_PER_EPOCH, begin,
    bounded::{ended, everything_in, jempp, surround},
    has_strace, names_in, resume, saved_steps, traced, words,
};

const ONE: &str = "--epochs 1";
const TWO: &str = "--epochs 2 --set training.checkpoint_every_secs=0";

/// A small separate file system, if one can be mounted.
struct SmallDisk(PathBuf);

impl SmallDisk {
    fn mount(path: &Path) -> Option<Self> {
        fs::create_dir_all(path).unwrap();
        let mut mount = Command::new("mount");
        mount.args(["-t", "tmpfs", "-o", "size=3m", "tmpfs"]).arg(path);
        if mount.output().is_ok_and(|output| output.status.success()) {
            return Some(Self(path.to_path_buf()));
        }
        eprintln!("SKIPPED: a small disk cannot be mounted here");
        None
    }

    /// Fills the disk except for `left` bytes.
    fn fill(&self, left: usize) {
        let mut file = fs::File::create(self.0.join("filler")).unwrap();
        let mut size = 0;
        while file.write_all(&[1; 4096]).is_ok() {
            size += 4096;
        }
        file.set_len((size - left) as u64).unwrap();
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(&self.0).output();
    }
}

#[test]
fn a_full_disk_is_one_line_and_the_checkpoint_stays_whole() {
    let dir = tempfile::tempdir().unwrap();
    let Some(disk) = SmallDisk::mount(&dir.path().join("disk")) else { return };
    let here = disk.0.as_path();
    ended(&mut begin(here, ONE)).success();
    let checkpoint = fs::read(here.join("run/checkpoint.safetensors")).unwrap();
    let names = names_in(&here.join("run"));
    for left in [0, 4096, 100_000] {
        disk.fill(left);
        let said = ended(&mut resume(here, TWO)).refusal().to_string();
        assert!(said.contains("run") && said.contains("No space left"), "{said}");
        assert_eq!(fs::read(here.join("run/checkpoint.safetensors")).unwrap(), checkpoint);
        assert_eq!(names_in(&here.join("run")), names, "nothing is left over");
        fs::remove_file(here.join("filler")).unwrap();
    }
    ended(&mut resume(here, TWO)).success();
    assert_eq!(saved_steps(&here.join("run")), 2 * STEPS_PER_EPOCH);
}

#[test]
fn a_run_folder_that_goes_is_one_line() {
    let dir = tempfile::tempdir().unwrap();
    let mut command = begin(dir.path(), "--epochs 100000 --set training.checkpoint_every_secs=0");
    let running = crate::bounded::Started::new(&mut command);
    super::wait_for_steps(&dir.path().join("run"), 3);
    fs::rename(dir.path().join("run"), dir.path().join("moved")).unwrap();
    let said = running.wait().refusal().to_string();
    assert!(said.contains("run"), "{said}");
    assert!(saved_steps(&dir.path().join("moved")) >= 2);
}

/// Every file of the folder with its permissions.
fn modes(folder: &Path) -> Vec<(PathBuf, u32)> {
    let mode =
        |path: PathBuf| (path.clone(), fs::metadata(path).unwrap().permissions().mode() & 0o777);
    everything_in(folder).into_keys().map(mode).collect()
}

#[test]
fn files_are_as_private_as_the_mask_says() {
    for (mask, allowed) in [("077", 0o700), ("027", 0o750), ("022", 0o755)] {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join("small.pt"), include_bytes!("../../pytorch/golden/none.pt"))
            .unwrap();
        for command in [
            begin(dir.path(), ONE),
            jempp(
                dir.path(),
                &words("sample --model two-moons --device cpu --steps 1 --out samples"),
            ),
            jempp(dir.path(), &words("eval accuracy --model two-moons --device cpu --out eval")),
            jempp(dir.path(), &words("export --model two-moons --out exported.safetensors")),
            jempp(dir.path(), &words("import small.pt --device cpu --out imported.safetensors")),
        ] {
            let mut shell = Command::new("sh");
            shell.args(["-c", &format!("umask {mask}; exec \"$@\""), "sh"]);
            shell.arg(command.get_program()).args(command.get_args());
            surround(&mut shell, dir.path());
            ended(shell.current_dir(dir.path())).success();
        }
        fs::remove_file(dir.path().join("small.pt")).unwrap();
        fs::remove_dir_all(dir.path().join("home")).unwrap();
        for (path, mode) in modes(dir.path()) {
            let expected = if path.is_dir() { allowed } else { allowed & 0o666 };
            assert_eq!(mode, expected, "{:o} under {mask}: {}", mode, path.display());
        }
    }
}

#[test]
fn permissions_that_cannot_be_set_stop_nothing() {
    if !has_strace() {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let calls = "fchmod,fchmodat,chmod";
    ended(&mut traced(&begin(dir.path(), TWO), calls, "error=EPERM")).success();
    assert_eq!(saved_steps(&dir.path().join("run")), 2 * STEPS_PER_EPOCH);
}

#[test]
fn a_disk_that_cannot_sync_is_one_line() {
    if !has_strace() {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    ended(&mut begin(dir.path(), ONE)).success();
    let checkpoint = fs::read(dir.path().join("run/checkpoint.safetensors")).unwrap();
    for (calls, error) in [("fsync,fdatasync", "EIO"), ("rename,renameat,renameat2", "EXDEV")] {
        let mut command = traced(&resume(dir.path(), TWO), calls, &format!("error={error}"));
        let said = ended(&mut command).refusal().to_string();
        assert!(said.contains("checkpoint") || said.contains("run"), "{said}");
        assert_eq!(fs::read(dir.path().join("run/checkpoint.safetensors")).unwrap(), checkpoint);
    }
}

#[test]
fn a_checkpoint_that_is_a_link_stays_one() {
    let dir = tempfile::tempdir().unwrap();
    ended(&mut begin(dir.path(), ONE)).success();
    let (run, large) = (dir.path().join("run"), dir.path().join("large-disk"));
    fs::create_dir(&large).unwrap();
    let link = run.join("checkpoint.safetensors");
    fs::rename(&link, large.join("moons.safetensors")).unwrap();
    std::os::unix::fs::symlink("../large-disk/moons.safetensors", &link).unwrap();
    ended(&mut resume(dir.path(), TWO)).success();
    assert!(fs::symlink_metadata(&link).unwrap().is_symlink());
    assert_eq!(saved_steps(&run), 2 * STEPS_PER_EPOCH);
    let names: Vec<_> = everything_in(&large).into_keys().collect();
    assert_eq!(names, [large.join("moons.safetensors")], "nothing is left over");
    assert_eq!(fs::metadata(&link).unwrap().nlink(), 1);
}

#[test]
fn a_run_needs_no_home() {
    let dir = tempfile::tempdir().unwrap();
    for gone in ["HOME", "TMPDIR", "PATH", "XDG_RUNTIME_DIR"] {
        let mut command = begin(dir.path(), ONE);
        ended(command.env_remove(gone).env_remove("JEMPP_CACHE")).success();
        fs::remove_dir_all(dir.path().join("run")).unwrap();
    }
}

/// cubecl and burn read settings files in every parent folder; such a file could make them overwrite a file with a log.
#[test]
fn settings_of_others_write_nothing() {
    const LOGGERS: &str = "level = \"full\"\nappend = false\nfile = \"clobbered.txt\"\n";
    let sections = ["compilation", "profiling", "autotune", "streaming", "memory"];
    let section = |prefix: &str| -> String {
        let section = |name: &&str| format!("[{prefix}{name}.logger]\n{LOGGERS}");
        sections.iter().map(section).collect()
    };
    let mut devices = vec!["cpu"];
    match std::env::var_os("REQUIRE_GPU") {
        Some(_) => devices.push("0"),
        None => {
            eprintln!("SKIPPED: no GPU is required, so the settings of its libraries are not read")
        }
    }
    for device in devices {
        for (name, text) in [
            ("burn.toml", section("cubecl.")),
            ("cubecl.toml", section("")),
            ("burn.toml", "[cubecl.compilation.logger]\nlevel = \"full\"\nappend = false\nfile = \"clobbered.txt\"\n".into()),
            ("burn.toml", "not = a [setting".into()),
            ("cubecl.toml", "[compilation]\ncache = \"here\"\n".into()),
        ] {
            let dir = tempfile::tempdir().unwrap();
            let sub = dir.path().join("sub");
            fs::create_dir(&sub).unwrap();
            fs::write(dir.path().join(name), &text).unwrap();
            for victim in [dir.path().join("clobbered.txt"), sub.join("clobbered.txt")] {
                fs::write(victim, "years of work").unwrap();
            }
            let sample = format!("sample --model two-moons --steps 1 --device {device} --out s");
            let mut command = jempp(&sub, &words(&sample));
            command.env("MESA_SHADER_CACHE_DISABLE", "true");
            let before = everything_in(dir.path());
            let ended = ended(&mut command);
            assert!(ended.status.success(), "{text}: {ended:?}");
            let after = everything_in(dir.path());
            let other = after.iter().find(|(path, what)| {
                !path.starts_with(sub.join("s")) && before.get(*path) != Some(*what)
            });
            assert_eq!(other, None, "{device}, {name}: {text}");
        }
    }
}
