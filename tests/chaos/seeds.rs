//! Rounds that were defects once: every run begins with them.

use std::fmt;

use anyhow::Context as _;

use crate::schedule::{Intake, Profile, Wanted};

/// One round of one run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Case {
    /// The run's seed.
    pub seed: u64,
    /// The round's number.
    pub round: u64,
    /// `--profile` of the run.
    pub profile: Wanted<Profile>,
    /// `--intake` of the run.
    pub intake: Wanted<Intake>,
}

/// The committed ones.
pub fn all() -> anyhow::Result<Vec<Case>> {
    parse(include_str!("seeds"))
}

/// A line is `SEED ROUND PROFILE INTAKE`; what follows `#` is for people.
fn parse(text: &str) -> anyhow::Result<Vec<Case>> {
    let lines = text.lines().map(|line| line.split('#').next().unwrap_or_default().trim());
    lines.filter(|line| !line.is_empty()).map(case).collect()
}

fn case(line: &str) -> anyhow::Result<Case> {
    let mut words = line.split_whitespace();
    let mut next = |name: &str| words.next().with_context(|| format!("`{line}` lacks {name}"));
    Ok(Case {
        seed: next("a seed")?.parse()?,
        round: next("a round")?.parse()?,
        profile: next("a profile")?.parse()?,
        intake: next("an intake")?.parse()?,
    })
}

impl fmt::Display for Case {
    /// As `make chaos` takes it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { seed, round, profile, intake } = self;
        write!(f, "SEED={seed} ROUND={round} PROFILE={profile} INTAKE={intake}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_committed_seeds_can_be_read() {
        all().unwrap();
    }

    #[test]
    fn a_line_names_a_round_and_comments_are_for_people() {
        let cases = parse("# why\n7 3 both inbox # stuck\n\n").unwrap();
        let expected =
            Case { seed: 7, round: 3, profile: Wanted::Both, intake: Wanted::Only(Intake::Inbox) };
        assert_eq!(cases, [expected]);
        assert!(parse("7 3 both").is_err());
    }
}
