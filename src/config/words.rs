//! Suggestions for a wrong word: the key, preset or name that was probably meant.

/// The longest value that an error repeats in full, in characters.
pub(crate) const MAX_ECHO: usize = 80;

/// The similarity of two words from which they count as the same word with a typing error.
const ALIKE: f64 = 0.85;

/// The similarity of two words from which one may be meant by the other.
const NEAR: f64 = 0.8;

/// The names that other programs and papers use for a key.
const ALIASES: &[(&str, &str)] = &[
    ("lr", "optimizer.learning_rate"),
    ("learn_rate", "optimizer.learning_rate"),
    ("wd", "optimizer.weight_decay"),
    ("l2", "optimizer.weight_decay"),
    ("decay", "optimizer.weight_decay"),
    ("beta1", "optimizer.momentum"),
    ("beta_1", "optimizer.momentum"),
    ("betas", "optimizer.momentum"),
    ("clip", "optimizer.gradient_clip_norm"),
    ("grad_clip", "optimizer.gradient_clip_norm"),
    ("clip_norm", "optimizer.gradient_clip_norm"),
    ("max_grad_norm", "optimizer.gradient_clip_norm"),
    ("warmup", "optimizer.warmup_steps"),
    ("warmup_iters", "optimizer.warmup_steps"),
    ("milestones", "optimizer.decay_epochs"),
    ("gamma", "optimizer.decay_factor"),
    ("decay_rate", "optimizer.decay_factor"),
    ("sam", "optimizer.sam_radius"),
    ("rho", "optimizer.sam_radius"),
    ("ema", "optimizer.ema_decay"),
    ("optim", "optimizer.kind"),
    ("optimizer", "optimizer.kind"),
    ("scheduler", "optimizer.schedule"),
    ("lr_schedule", "optimizer.schedule"),
    ("bs", "data.batch_size"),
    ("batch", "data.batch_size"),
    ("batchsize", "data.batch_size"),
    ("root", "data.dir"),
    ("path", "data.dir"),
    ("data_dir", "data.dir"),
    ("data_root", "data.dir"),
    ("flip", "data.horizontal_flip"),
    ("hflip", "data.horizontal_flip"),
    ("padding", "data.crop_padding"),
    ("crop", "data.crop_padding"),
    ("subset", "data.num_train"),
    ("subset_size", "data.num_train"),
    ("n_train", "data.num_train"),
    ("train_size", "data.num_train"),
    ("max_train_samples", "data.num_train"),
    ("val", "data.num_validation"),
    ("n_valid", "data.num_validation"),
    ("validation", "data.num_validation"),
    ("network", "model.arch"),
    ("architecture", "model.arch"),
    ("net", "model.arch"),
    ("k", "sampler.num_steps"),
    ("m", "sampler.num_steps"),
    ("steps", "sampler.num_steps"),
    ("n_steps", "sampler.num_steps"),
    ("sgld_steps", "sampler.num_steps"),
    ("n", "sampler.num_inner_steps"),
    ("inner_steps", "sampler.num_inner_steps"),
    ("pyld_n", "sampler.num_inner_steps"),
    ("in_steps", "sampler.num_inner_steps"),
    ("alpha", "sampler.step_size"),
    ("sgld_lr", "sampler.step_size"),
    ("stepsize", "sampler.step_size"),
    ("step", "sampler.step_size"),
    ("pyld_lr", "sampler.inner_step_size"),
    ("inner_alpha", "sampler.inner_step_size"),
    ("sigma", "sampler.noise_std"),
    ("noise", "sampler.noise_std"),
    ("sgld_std", "sampler.noise_std"),
    ("eps", "sampler.proximal_radius"),
    ("epsilon", "sampler.proximal_radius"),
    ("radius", "sampler.proximal_radius"),
    ("clamp", "sampler.proximal_radius"),
    ("sampler", "sampler.kind"),
    ("method", "sampler.kind"),
    ("init", "sampler.start"),
    ("capacity", "replay_buffer.replay_buffer_size"),
    ("buffer_size", "replay_buffer.replay_buffer_size"),
    ("buffer", "replay_buffer.replay_buffer_size"),
    ("size", "replay_buffer.replay_buffer_size"),
    ("reinit", "replay_buffer.reinit_prob"),
    ("reinit_freq", "replay_buffer.reinit_prob"),
    ("reinit_rate", "replay_buffer.reinit_prob"),
    ("p_x", "objective.p_x_weight"),
    ("p_y_x", "objective.p_y_given_x_weight"),
    ("ce_weight", "objective.p_y_given_x_weight"),
    ("p_x_y", "objective.p_x_y_weight"),
    ("l2_coeff", "objective.energy_l2_weight"),
    ("components", "class_centers.max_components"),
    ("rank", "class_centers.max_components"),
    ("n_epochs", "training.epochs"),
    ("num_epochs", "training.epochs"),
    ("max_epochs", "training.epochs"),
    ("eval_every", "training.eval_every_epochs"),
    ("patience", "training.early_stop_epochs"),
    ("early_stop", "training.early_stop_epochs"),
    ("early_stopping", "training.early_stop_epochs"),
    ("save_every", "training.checkpoint_every_secs"),
    ("micro_batch_size", "data.micro_batch"),
    ("accumulation_steps", "data.micro_batch"),
    ("gradient_accumulation_steps", "data.micro_batch"),
    ("memory", "training.max_memory_mib"),
    ("max_memory", "training.max_memory_mib"),
    ("random_seed", "seed"),
    ("rng", "seed"),
];

/// The candidate whose spelling is closest to `word`; `None` if none is close.
pub fn nearest<'a>(word: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let all = candidates.into_iter().map(|candidate| (similarity(word, candidate), candidate));
    let best = all.max_by(|(a, _), (b, _)| a.total_cmp(b));
    best.filter(|(similarity, _)| *similarity >= NEAR).map(|(_, candidate)| candidate)
}

/// The end of the sentence about an unknown name: the name that was probably meant, if one is close.
pub fn meant(nearest: Option<&str>) -> String {
    nearest.map_or_else(|| ".".into(), |name| format!("; did you mean `{name}`?"))
}

/// The key that was probably meant by `word`, which is `section.name` or a bare name. An alias from other programs
/// comes first, then the key with the closest spelling, in the named section if that section exists.
pub(super) fn nearest_key(word: &str, keys: &[String]) -> Option<String> {
    // No key is this long, and a comparison takes longer for longer words.
    let word: String =
        word.trim().to_lowercase().replace('-', "_").chars().take(MAX_ECHO).collect();
    let (section, name) = word.rsplit_once('.').unwrap_or(("", &word));
    let is_section = |key: &&str| key.split_once('.').is_some_and(|(own, _)| own == section);
    let in_section: Vec<&str> = keys.iter().map(String::as_str).filter(is_section).collect();
    let meant = ALIASES.iter().filter(|(alias, _)| *alias == name).map(|(_, key)| *key);
    let meant: Vec<&str> = meant.filter(|key| keys.iter().any(|known| known == key)).collect();
    if let Some(key) = meant.iter().find(|key| in_section.is_empty() || in_section.contains(key)) {
        return Some((*key).to_string());
    }
    // The name is right, but the section is another one.
    let is_named = |key: &&String| last(key) == name;
    if let Some(key) =
        keys.iter().find(is_named).filter(|_| section.is_empty() || !in_section.is_empty())
    {
        return Some(key.clone());
    }
    let best = match in_section.is_empty() {
        true => nearest(&word, keys.iter().map(String::as_str)),
        false => nearest(name, in_section),
    };
    let is_alike = best.is_some_and(|best| similarity(name, best) >= ALIKE);
    meant.first().filter(|_| !is_alike).copied().or(best).map(ToString::to_string)
}

fn last(key: &str) -> &str {
    key.rsplit('.').next().unwrap_or(key)
}

fn similarity(word: &str, candidate: &str) -> f64 {
    // `step_size` must match `sampler.step_size` before a key with a longer common part.
    let name = last(candidate);
    let spelled = strsim::jaro_winkler(word, candidate).max(strsim::jaro_winkler(word, name));
    let initials: String = name.split('_').filter_map(|part| part.chars().next()).collect();
    let own = last(word);
    let is_part = own.len() > 2 && name.split('_').any(|part| part == own);
    // A whole word of the name, or its initials, counts more than common letters.
    match own.len() > 1 && own == initials || is_part {
        true => spelled.max(0.9),
        false => spelled,
    }
}

/// The text itself, or its beginning and end if it is longer than `most` characters.
pub fn shortened(text: &str, most: usize) -> String {
    let count = text.chars().count();
    if count <= most {
        return text.to_string();
    }
    let head: String = text.chars().take(most * 2 / 3).collect();
    let tail: String = text.chars().skip(count - most / 3).collect();
    format!("{head} … {tail}")
}

#[cfg(test)]
mod tests {
    use super::{super::all_keys, *};

    #[test]
    fn what_others_call_a_key_names_ours() {
        let keys = all_keys();
        for (word, expected) in [
            ("optimizer.lr", "optimizer.learning_rate"),
            ("lr", "optimizer.learning_rate"),
            ("sampler.lr", "optimizer.learning_rate"),
            ("optimizer.wd", "optimizer.weight_decay"),
            ("optimizer.weightdecay", "optimizer.weight_decay"),
            ("optimizer.learning-rate", "optimizer.learning_rate"),
            ("optimizer.ema", "optimizer.ema_decay"),
            ("optimizer.warmup", "optimizer.warmup_steps"),
            ("optimizer.optimizer", "optimizer.kind"),
            ("data.bs", "data.batch_size"),
            ("data.batch", "data.batch_size"),
            ("batch_size", "data.batch_size"),
            ("training.batch_size", "data.batch_size"),
            ("training.bs", "data.batch_size"),
            ("sampler.n_steps", "sampler.num_steps"),
            ("sampler.steps", "sampler.num_steps"),
            ("sampler.stepsize", "sampler.step_size"),
            ("sampler.step", "sampler.step_size"),
            ("sampler.K", "sampler.num_steps"),
            ("sampler.M", "sampler.num_steps"),
            ("sampler.N", "sampler.num_inner_steps"),
            ("sampler.alpha", "sampler.step_size"),
            ("sampler.sigma", "sampler.noise_std"),
            ("sampler.noise", "sampler.noise_std"),
            ("sampler.eps", "sampler.proximal_radius"),
            ("sampler.nsteps", "sampler.num_steps"),
            ("replay_buffer.size", "replay_buffer.replay_buffer_size"),
            ("buffer_size", "replay_buffer.replay_buffer_size"),
            ("replay_buffer.reinit", "replay_buffer.reinit_prob"),
            ("model.architecture", "model.arch"),
            ("training.num_epochs", "training.epochs"),
            ("epochs", "training.epochs"),
            ("trainng.epochs", "training.epochs"),
            ("samplr.kind", "sampler.kind"),
            ("sede", "seed"),
        ] {
            assert_eq!(nearest_key(word, &keys).as_deref(), Some(expected), "for {word}");
        }
    }

    #[test]
    fn what_is_like_nothing_suggests_nothing() {
        let keys = all_keys();
        for word in ["a.b", "a", "nonsense", "foo.bar", "sampler.foo", "q", ""] {
            assert_eq!(nearest_key(word, &keys), None, "for {word}");
        }
        assert_eq!(nearest("nope", ["auto", "toy-spiral"]), None);
        assert_eq!(nearest("foo", ["cnn-small", "wrn-28-10"]), None);
        assert_eq!(meant(nearest("fashin", ["fashion", "mnist"])), "; did you mean `fashion`?");
    }

    #[test]
    fn every_alias_names_a_key() {
        let keys = all_keys();
        for (alias, key) in ALIASES {
            assert!(keys.iter().any(|known| known == key), "{alias} names {key}");
        }
    }
}
