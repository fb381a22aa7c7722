//! amvalidate: whether an operator class is one that the access method can serve.

use crate::am::keys::KeyType;
use crate::am::opclass::OpClass;
use crate::pg::opclass::{OperatorClass, OperatorMember};

/// Checks the class and warns about what is wrong. `serves` says which classes of vectors the access method has codes for.
pub fn validate(class: pgrx::pg_sys::Oid, method: &str, serves: fn(OpClass) -> bool) -> bool {
    let class = OperatorClass::look_up(class);
    let family = class.family_name();
    let mut valid = true;
    let mut complain = |what: String| {
        pgrx::info!("operator family \"{family}\" of access method {method} {what}");
        valid = false;
    };
    let mut sound = true;
    for member in class.functions() {
        if member.number != 1 || !member.returns_integer {
            complain(format!(
                "contains function with wrong support number {}",
                member.number
            ));
            sound = false;
        }
    }
    // What the class is for stands in the result of its support function, which is not called unless it is one.
    let number = if sound { class.support_number() } else { None };
    if sound && number.is_none() {
        complain("is missing support function 1".to_owned());
    }
    if number
        .and_then(OpClass::from_number)
        .is_some_and(|class| !serves(class))
    {
        complain("has a metric that it does not serve".to_owned());
    }
    for member in class.operators() {
        if !belongs(&member, number) {
            complain(format!(
                "contains operator with wrong strategy {}",
                member.strategy
            ));
        }
    }
    valid
}

/// Whether a class with this support number has a use for the operator.
fn belongs(member: &OperatorMember, number: Option<i32>) -> bool {
    match number.map(|number| (KeyType::from_number(number), OpClass::from_number(number))) {
        Some((Some(key_type), _)) => {
            let strategies = key_type.strategies();
            !member.orders && u16::try_from(member.strategy).is_ok_and(|number| strategies.contains(&number))
        }
        Some((None, Some(_))) => member.orders && member.strategy == 1,
        // The function's fault, which is told of.
        _ => true,
    }
}
