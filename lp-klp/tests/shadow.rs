//! Shadow variables (`kernel/livepatch/shadow.c`, 6.1).

use lp_klp::errno::Errno;
use lp_klp::shadow::{NotAttached, Shadows};

#[test]
fn a_shadow_variable_is_found_by_object_and_id() {
    let mut shadows = Shadows::default();
    *shadows.alloc(10, 1, || Ok(5)).expect("attached") += 1;
    assert_eq!(
        (shadows.get(10, 1), shadows.get(10, 2), shadows.get(11, 1)),
        (Some(&6), None, None)
    );
}

#[test]
fn alloc_refuses_what_get_or_alloc_returns() {
    let mut shadows = Shadows::default();
    shadows.alloc(10, 1, || Ok(5)).expect("attached");
    assert_eq!(
        shadows.alloc(10, 1, || unreachable!()),
        Err(NotAttached::Exists)
    );
    assert_eq!(shadows.get_or_alloc(10, 1, || unreachable!()), Ok(&mut 5));
}

#[test]
fn a_constructor_that_fails_attaches_nothing() {
    let mut shadows: Shadows<u8> = Shadows::default();
    let failed = shadows.get_or_alloc(10, 1, || Err(Errno::ENODEV));
    assert_eq!(failed, Err(NotAttached::Constructor(Errno::ENODEV)));
    assert!(shadows.is_empty());
}

#[test]
fn freeing_an_id_leaves_the_others_and_calls_the_destructor() {
    let mut shadows = Shadows::default();
    for (object, id) in [(1, 1), (2, 1), (2, 2)] {
        shadows
            .alloc(object, id, || Ok(object * 10 + id))
            .expect("attached");
    }
    let mut freed = Vec::new();
    shadows.free_all(1, |object, value| freed.push((object, value)));
    assert_eq!((freed, shadows.len()), (vec![(1, 11), (2, 21)], 1));
    shadows.free(2, 2, |_, value| assert_eq!(value, 22));
    shadows.free(2, 2, |_, _| unreachable!("it is gone"));
}
