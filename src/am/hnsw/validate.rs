//! amvalidate: whether an operator class is one that the access method can serve.

use crate::pg::opclass::OperatorClass;

/// Checks the class and warns about what is wrong.
pub fn validate(class: pgrx::pg_sys::Oid) -> bool {
    let class = OperatorClass::look_up(class);
    let mut valid = true;
    for member in class.operators() {
        if !member.orders || member.strategy != 1 {
            pgrx::info!(
                "operator family \"{}\" of access method castmatch_hnsw contains operator with wrong strategy {}",
                class.family_name(),
                member.strategy
            );
            valid = false;
        }
    }
    for member in class.functions() {
        if member.number != 1 || !member.returns_integer {
            pgrx::info!(
                "operator family \"{}\" of access method castmatch_hnsw contains function with wrong support number {}",
                class.family_name(),
                member.number
            );
            valid = false;
        }
    }
    valid
}
