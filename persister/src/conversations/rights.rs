//! Who may do what in a group: decisions without a database.

use natterjack_nats::wire::Role;

/// Why a change of a group is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// Who asks is not in the group, or there is none: one answer for both, so that nobody learns
    /// which groups exist.
    #[error("you are not in this group; ask one of its admins to add you")]
    NotMember,
    /// The role does not allow it.
    #[error("{0}")]
    Forbidden(&'static str),
    /// Whom it is about is not in the group.
    #[error("this user is not in the group")]
    NoSuchMember,
    /// These users do not exist.
    #[error("there is no such user: {0}")]
    NoSuchUsers(String),
    /// The group would lose its last owner.
    #[error("a group keeps an owner: make somebody else an owner first")]
    LastOwner,
    /// The group would become too large.
    #[error("a group has at most {max} members; this one has {count} already")]
    Full {
        /// The limit.
        max: u32,
        /// How many there are, the owner of a group in the making included.
        count: u32,
    },
}

/// Renaming and adding: owners and admins.
pub fn may_manage(actor: Role) -> Result<(), Refusal> {
    let told = "only owners and admins of the group may do this; ask one of them";
    (actor >= Role::Admin)
        .then_some(())
        .ok_or(Refusal::Forbidden(told))
}

/// Removing somebody else: owners and admins, whoever has a lower role than themselves.
pub fn may_remove(actor: Role, target: Role) -> Result<(), Refusal> {
    may_manage(actor)?;
    let told = "only somebody with a higher role may remove this member; an owner can change roles first";
    (actor > target).then_some(()).ok_or(Refusal::Forbidden(told))
}

/// Leaving: anybody, but the last owner only as the last member.
pub fn may_leave(role: Role, owners: usize, members: u32) -> Result<(), Refusal> {
    if role == Role::Owner && owners <= 1 && members > 1 {
        return Err(Refusal::LastOwner);
    }
    Ok(())
}

/// Giving a role: owners, and never so that none is left.
pub fn may_set_role(actor: Role, target: Role, role: Role, owners: usize) -> Result<(), Refusal> {
    if actor != Role::Owner {
        return Err(Refusal::Forbidden(
            "only owners of the group give roles; ask one of them",
        ));
    }
    if target == Role::Owner && role != Role::Owner && owners <= 1 {
        return Err(Refusal::LastOwner);
    }
    Ok(())
}

/// Whether so many more fit.
pub fn fits(count: u32, more: usize, max: u32) -> Result<u32, Refusal> {
    u32::try_from(more)
        .ok()
        .and_then(|more| count.checked_add(more))
        .filter(|total| *total <= max)
        .ok_or(Refusal::Full { max, count })
}

/// A role as Postgres keeps it.
pub const fn to_column(role: Role) -> i16 {
    match role {
        Role::Member => 0,
        Role::Admin => 1,
        Role::Owner => 2,
    }
}

/// The role that Postgres keeps.
pub const fn from_column(role: i16) -> Role {
    match role {
        2.. => Role::Owner,
        1 => Role::Admin,
        _ => Role::Member,
    }
}

#[cfg(test)]
mod tests {
    use Role::{Admin, Member, Owner};

    use super::*;

    const ALL: [Role; 3] = [Member, Admin, Owner];

    #[test]
    fn the_matrix_of_rights() {
        // (actor, target) → may remove; everything else may not.
        let removals = [(Admin, Member), (Owner, Member), (Owner, Admin)];
        for actor in ALL {
            assert_eq!(may_manage(actor).is_ok(), actor != Member, "{actor:?}");
            for target in ALL {
                let may = removals.contains(&(actor, target));
                assert_eq!(
                    may_remove(actor, target).is_ok(),
                    may,
                    "{actor:?} removes {target:?}"
                );
                for role in ALL {
                    let may = may_set_role(actor, target, role, 2).is_ok();
                    assert_eq!(may, actor == Owner, "{actor:?} makes {target:?} {role:?}");
                }
            }
        }
    }

    #[test]
    fn a_group_keeps_an_owner() {
        assert_eq!(may_leave(Owner, 1, 2), Err(Refusal::LastOwner));
        assert_eq!(may_leave(Owner, 2, 2), Ok(()));
        assert_eq!(may_leave(Owner, 1, 1), Ok(()));
        assert_eq!(may_leave(Admin, 1, 2), Ok(()));
        assert_eq!(may_set_role(Owner, Owner, Admin, 1), Err(Refusal::LastOwner));
        assert_eq!(may_set_role(Owner, Owner, Owner, 1), Ok(()));
    }

    #[test]
    fn the_limit_is_the_last_size_that_fits() {
        assert_eq!(fits(99, 1, 100), Ok(100));
        assert_eq!(fits(100, 0, 100), Ok(100));
        assert_eq!(fits(99, 2, 100), Err(Refusal::Full { max: 100, count: 99 }));
        assert!(fits(1, usize::MAX, 100).is_err());
    }

    #[test]
    fn columns_round_trip() {
        for role in ALL {
            assert_eq!(from_column(to_column(role)), role);
        }
    }
}
