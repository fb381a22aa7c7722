//! The operator classes of the index, and how to write them in SQL.

/// An operator class of castmatch_hnsw or of both methods.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OperatorClass {
    /// Its name.
    pub name: &'static str,
    /// The type of the column, without dimensions.
    pub element: &'static str,
    /// The operator of ORDER BY.
    pub operator: &'static str,
}

const fn class(name: &'static str, element: &'static str, operator: &'static str) -> OperatorClass {
    OperatorClass {
        name,
        element,
        operator,
    }
}

/// Euclidean distance of single-precision vectors, for tests in which the metric makes no difference.
pub const VECTOR_L2: OperatorClass = class("vector_l2_ops", "vector", "<->");
/// Taxicab distance, which castmatch_hnsw alone has.
pub const VECTOR_L1: OperatorClass = class("vector_l1_ops", "vector", "<+>");
/// Cosine distance of half-precision vectors: the other element type, and vectors normalised by the index.
pub const HALFVEC_COSINE: OperatorClass = class("halfvec_cosine_ops", "halfvec", "<=>");

/// All of them.
pub const ALL: [OperatorClass; 8] = [
    VECTOR_L2,
    class("vector_ip_ops", "vector", "<#>"),
    class("vector_cosine_ops", "vector", "<=>"),
    VECTOR_L1,
    class("halfvec_l2_ops", "halfvec", "<->"),
    class("halfvec_ip_ops", "halfvec", "<#>"),
    HALFVEC_COSINE,
    class("halfvec_l1_ops", "halfvec", "<+>"),
];
/// Those of castmatch_ivf: none of the taxicab distance.
pub const OF_IVF: [OperatorClass; 6] = [ALL[0], ALL[1], ALL[2], ALL[4], ALL[5], ALL[6]];
