//! Which keys of the section `sampler` an update rule uses.

use super::{ConfigError, SamplerConfig, SamplerKind, StepSchedule};

/// The keys of the section `sampler` that are parameters of an update rule.
const SIZES: [&str; 5] =
    ["step_size", "num_inner_steps", "inner_step_size", "noise_std", "proximal_radius"];

impl SamplerConfig {
    /// Checks that this sampler uses a key, as in `sampler.step_size`; keys of other sections pass.
    ///
    /// ```
    /// use jempp::config::SamplerConfig;
    ///
    /// let pyld = SamplerConfig::default();
    /// assert!(pyld.check_used("sampler.inner_step_size").is_ok());
    /// assert!(pyld.check_used("sampler.step_size").is_err());
    /// ```
    ///
    /// # Errors
    /// The sampler does not use the key; the error lists the keys that it uses.
    pub fn check_used(&self, key: &str) -> Result<(), ConfigError> {
        let (kind, unused): (_, &[&str]) = match self.kind {
            SamplerKind::Sgld => {
                ("sgld", &["num_inner_steps", "inner_step_size", "proximal_radius"])
            }
            SamplerKind::Mala => {
                ("mala", &["num_inner_steps", "inner_step_size", "proximal_radius"])
            }
            SamplerKind::NormalizedGradient => {
                ("normalized-gradient", &["num_inner_steps", "inner_step_size", "proximal_radius"])
            }
            SamplerKind::ProximalSgld => ("proximal-sgld", &["num_inner_steps", "inner_step_size"]),
            SamplerKind::Pyld => ("pyld", &["step_size"]),
        };
        let wrong = match key.strip_prefix("sampler.") {
            Some("final_step_factor") if self.step_schedule == StepSchedule::Constant => format!(
                "`{key}` is not used: sampler.step_schedule is constant; linear and cosine fall to that share"
            ),
            Some(name) if unused.contains(&name) => {
                let used = SIZES.iter().filter(|name| !unused.contains(name));
                let used: Vec<String> = used.map(|name| format!("sampler.{name}")).collect();
                format!(
                    "`{key}` is not used by the sampler {kind}, whose keys are {}",
                    used.join(", ")
                )
            }
            _ => return Ok(()),
        };
        Err(ConfigError::Invalid(wrong))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sampler_names_the_keys_that_it_uses() {
        let sampler = SamplerConfig::default();
        let check = |key| sampler.check_used(key).err().map(|error| error.to_string());
        assert_eq!(check("sampler.inner_step_size"), None);
        assert_eq!(check("model.split"), None);
        let said = check("sampler.step_size").unwrap_or_default();
        assert!(said.contains("pyld") && said.contains("sampler.inner_step_size"), "{said}");
        assert!(check("sampler.final_step_factor").is_some());
    }
}
