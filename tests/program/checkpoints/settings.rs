//! Settings with invalid values.

use std::fs;

use jempp::config::RunConfig;

use crate::run::{fails, succeeds};

#[test]
fn a_wrong_setting_is_told_in_one_short_line() {
    let long = format!("sampler.step_size={}", "x".repeat(20_000));
    let key = format!("{}=1", "k".repeat(20_000));
    for (set, expected) in [
        ("=", "is not an assignment"),
        ("sampler.step_size", "is not an assignment"),
        ("=3", "is not an assignment"),
        ("a=b=c", "unknown key `a`; the sections are data, model, class_centers"),
        ("sampler.foo=1", "unknown key `sampler.foo`; sampler has the keys kind, num_steps"),
        ("optimizer.lr=1", "did you mean `optimizer.learning_rate`?"),
        ("sampler=1", "`sampler` is a section, not a key; set its keys, as in sampler.kind"),
        ("sampler.kind.x=1", "unknown key `sampler.kind.x`"),
        ("sampler.step_size=nan", "out of range"),
        ("sampler.step_size=inf", "out of range"),
        ("sampler.step_size=-1", "out of range"),
        ("sampler.step_size=big", "must be a number from 0 to 1000000"),
        ("sampler.step_size={a=1}", "must be a number"),
        ("sampler.num_steps=2.5", "must be a whole number from 1 to 100000"),
        ("sampler.num_steps=99999999999999999999", "must be a whole number from 1 to 100000"),
        ("sampler.num_steps=-3", "must be a whole number"),
        ("sampler.kind=hmc", "must be one of sgld, proximal-sgld, pyld"),
        ("sampler.kind=3", "must be one of sgld, proximal-sgld, pyld"),
        ("optimizer.kind=true", "must be sgd or adam"),
        ("seed=18446744073709551615", "must be a whole number from 0 to 9223372036854775807"),
        ("seed=-1", "must be a whole number"),
        ("seed={}", "must be a whole number"),
        ("data.horizontal_flip=yes", "must be true or false"),
        ("optimizer.decay_epochs=[1.5]", "must be a list"),
        ("optimizer.decay_epochs=[-1]", "must be a list"),
        ("eval.linf_radii=[nan]", "out of range"),
        ("eval.linf_radii=['a']", "must be a list"),
        ("model.arch=3", "must be a text"),
        (&long, "must be a number"),
        (&key, "unknown key"),
    ] {
        let said = RunConfig::default().with_assignment(set).unwrap_err().to_string();
        assert!(said.contains(expected), "{set}: {said}");
        assert!(said.len() < 400 && !said.contains('\n'), "{said}");
    }
    let said = RunConfig::default().with_assignment("sampler.kind=hmc").unwrap_err().to_string();
    assert!(said.contains("proximal-sgld") && said.contains("mala"), "{said}");
}

#[test]
fn a_wrong_file_is_told_in_one_short_line() {
    let long = format!("[sampler]\nstep_size = \"{}\"", "x".repeat(20_000));
    for (text, expected) in [
        ("[sampler\nkind = 'pyld'", "line 1"),
        ("[sampler]\nkind = 'pyld'\nkind = 'sgld'", "line 3"),
        ("[nonsense]", "unknown key `nonsense`"),
        ("[nonsense]\na = 1", "unknown key `nonsense.a`"),
        ("sampler = 3", "`sampler` is a section"),
        ("[[sampler]]\nkind = 'pyld'", "`sampler` is a section"),
        ("[seed]\na = 1", "`seed` cannot be"),
        ("[data.batch_size]\nx = 1", "`data.batch_size` cannot be"),
        (&long, "must be a number"),
    ] {
        let said = RunConfig::default().with_toml(text).unwrap_err().to_string();
        assert!(said.contains(expected), "{text:.60}: {said}");
        assert!(said.len() < 400 && !said.contains('\n'), "{said}");
    }
    let zero = RunConfig::default().with_assignment("sampler.noise_std=-0.0").unwrap();
    assert!(zero.sampler.noise_std.is_sign_positive());
}

#[test]
fn what_needs_too_much_memory_is_refused_by_its_key() {
    let dir = tempfile::tempdir().unwrap();
    for (set, expected) in [
        ("replay_buffer.replay_buffer_size=1000000", "replay_buffer.replay_buffer_size = 1000000"),
        ("model.arch=wrn-994-64", "model.arch = wrn-994-64"),
        ("data.batch_size=4096", "data.batch_size = 4096"),
    ] {
        let command = [
            "train",
            "--out",
            "run",
            "--device",
            "cpu",
            "--set",
            "training.max_memory_mib=300",
            "--set",
            set,
        ];
        let said = fails(dir.path(), &command);
        assert!(said.contains(expected) && said.contains("training.max_memory_mib"), "{said}");
        assert!(said.contains("GiB"), "{said}");
        assert!(!dir.path().join("run").exists(), "nothing is left of it");
    }
    let command =
        ["sample", "--per-class", "500", "--device", "cpu", "--set", "training.max_memory_mib=100"];
    let said = fails(dir.path(), &command);
    assert!(said.contains("5000 chains at once"), "{said}");
    let said = fails(dir.path(), &["bench", "--device", "cpu", "--arch", "wrn-994-64"]);
    assert!(said.contains("training.max_memory_mib"), "{said}");
    fs::write(dir.path().join("c.toml"), "x = 1").unwrap();
    let said = succeeds(dir.path(), &["config"]);
    assert!(said.contains("max_memory_mib = 0"));
}
