//! What a run says: lines and a summary for people, and JUnit XML for machines.

use std::{fmt, time::Duration};

use danube_sidecar_text::{Foreign, block};
use quick_junit::{NonSuccessKind, Report as Junit, TestCase, TestCaseStatus, TestSuite};

use super::{
    args::{ConformanceCommand, Kind, Level},
    cases::Case,
    finding::Finding,
};

/// A case and what came of it.
pub struct Row {
    /// The case.
    pub case: &'static Case,
    /// Why it was not passed, if it was not.
    pub finding: Option<Finding>,
    /// How long it took.
    pub took: Duration,
    /// The last that the connector printed, where it failed.
    pub said: String,
}

/// All of a run.
pub struct Report {
    connector: String,
    kind: Kind,
    level: Level,
    /// The cases, in the order in which they ran.
    pub rows: Vec<Row>,
}

impl Report {
    /// Nothing has run yet.
    pub fn new(command: &ConformanceCommand, kind: Kind) -> Self {
        Self {
            connector: command.connector.join(" "),
            kind,
            level: command.level,
            rows: Vec::new(),
        }
    }

    /// Whether nothing is broken. At level full everything has to be there, too.
    pub fn passed(&self) -> bool {
        self.rows.iter().all(|row| match row.finding {
            None => true,
            Some(Finding::NotApplicable(_)) => self.level == Level::Core,
            Some(Finding::Broken(_)) => false,
        })
    }

    /// For machines.
    pub fn junit(&self) -> String {
        let mut suite = TestSuite::new(format!("conformance of {}", self.connector));
        for row in &self.rows {
            let status = match &row.finding {
                None => TestCaseStatus::success(),
                Some(Finding::NotApplicable(why)) => {
                    let mut skipped = TestCaseStatus::skipped();
                    skipped.set_message(why.as_str());
                    skipped
                }
                Some(Finding::Broken(what)) => {
                    let mut failure = TestCaseStatus::non_success(NonSuccessKind::Failure);
                    failure.set_message(what.as_str()).set_description(row.said.as_str());
                    failure
                }
            };
            let mut case = TestCase::new(row.case.name, status);
            case.set_time(row.took);
            suite.add_test_case(case);
        }
        let mut report = Junit::new("conformance");
        report.add_test_suite(suite);
        report.to_string().unwrap_or_default()
    }

    fn count(&self, wanted: fn(&Option<Finding>) -> bool) -> usize {
        self.rows.iter().filter(|row| wanted(&row.finding)).count()
    }
}

impl fmt::Display for Row {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (mark, why) = match &self.finding {
            None => ("ok", None),
            Some(Finding::NotApplicable(why)) => ("skip", Some(why)),
            Some(Finding::Broken(what)) => ("FAIL", Some(what)),
        };
        write!(f, "{mark:<5}{:<28}{}", self.case.name, self.case.promise)?;
        if let Some(why) = why {
            write!(f, "\n     {}", Foreign(why))?;
        }
        match block("     | ", &self.said) {
            said if said.is_empty() => Ok(()),
            said => write!(f, "\n{}", said.trim_end()),
        }
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kind = match self.kind {
            Kind::Sink => "sink",
            Kind::Source => "source",
        };
        let level = match self.level {
            Level::Core => "core",
            Level::Full => "full",
        };
        let failed = self.count(|finding| matches!(finding, Some(Finding::Broken(_))));
        let skipped = self.count(|finding| matches!(finding, Some(Finding::NotApplicable(_))));
        let passed = self.rows.len() - failed - skipped;
        write!(
            f,
            "conformance: {kind}, level {level}: {passed} passed, {failed} failed, {skipped} skipped"
        )
    }
}

/// The cases and what each one asks.
pub fn list(cases: impl Iterator<Item = &'static Case>) -> String {
    let line = |case: &Case| {
        let level = match case.level {
            Level::Core => "core",
            Level::Full => "full",
        };
        format!("{level:<5}{:<28}{}\n", case.name, case.promise)
    };
    cases.map(line).collect()
}
