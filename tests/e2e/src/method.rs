//! The index access methods: what a test names of each, and the macro that runs a test for both.

use std::fmt;

use crate::opclass::{self, OperatorClass};

/// An access method of castmatch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Method {
    /// The graph.
    Hnsw,
    /// The inverted file.
    Ivf,
}

impl Method {
    /// Both.
    pub const ALL: [Method; 2] = [Method::Hnsw, Method::Ivf];

    /// One for the graph and one for the inverted file: options of CREATE INDEX, or how much a test does.
    pub fn either<T>(self, graph: T, inverted_file: T) -> T {
        match self {
            Self::Hnsw => graph,
            Self::Ivf => inverted_file,
        }
    }

    /// Its name in SQL.
    #[must_use]
    pub fn name(self) -> &'static str {
        self.either("castmatch_hnsw", "castmatch_ivf")
    }

    /// Its operator classes.
    #[must_use]
    pub fn classes(self) -> &'static [OperatorClass] {
        self.either(&opclass::ALL[..], &opclass::OF_IVF[..])
    }

    /// The setting of how hard a search looks: candidates that it keeps, lists that it begins with.
    fn setting(self) -> &'static str {
        self.either("castmatch.ef_search", "castmatch.probes")
    }

    /// The statement that has searches look so hard.
    #[must_use]
    pub fn set_effort(self, effort: impl fmt::Display) -> String {
        format!("SET {} = {effort}", self.setting())
    }

    /// The statement that has them look as hard as usual.
    #[must_use]
    pub fn reset_effort(self) -> String {
        format!("RESET {}", self.setting())
    }
}

impl fmt::Display for Method {
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        to.write_str(self.name())
    }
}

/// Makes a test of each function named, which takes a [`Method`], for each method: `hnsw::NAME` and `ivf::NAME`.
#[macro_export]
macro_rules! for_each_method {
    ($($test:ident),+ $(,)?) => {
        mod hnsw {
            $(
                #[test]
                fn $test() {
                    super::$test($crate::method::Method::Hnsw);
                }
            )+
        }
        mod ivf {
            $(
                #[test]
                fn $test() {
                    super::$test($crate::method::Method::Ivf);
                }
            )+
        }
    };
}
