"""What becomes of locks in the child of a fork."""

from __future__ import annotations

from ._lib import lib

_POLICIES = {
    "block": lib.LT_FORK_BLOCK,
    "reset": lib.LT_FORK_RESET,
    "raise": lib.LT_FORK_RAISE,
}
_NAMES = {code: name for name, code in _POLICIES.items()}


def set_fork_policy(policy: str) -> str:
    """Say what becomes of a lock that a thread holds which a fork left behind.

    In the child of a fork only the thread that forked exists.  A lock or RLock that another one
    held has nobody to release it there.  What was set before or after the fork is for all such
    locks, and for the children of the child, too; a lock is only looked at when a thread wants
    it.

    Args:
        policy: "block": it is held, as with `_thread`, until somebody calls its `release` or
            `_at_fork_reinit`.  "reset": it is free for the first who wants it; what it guards
            may be half changed.  "raise": to wait for it is a `RuntimeError`, at once; to try
            fails.

    Returns:
        What it was before; at first it is "block".

    Raises:
        ValueError: for another policy.

    A lock that was ever released by another thread than the one that took it is a signal, such as
    those in `threading.Condition`: its owner says nothing about who will release it, and it stays
    held whatever the policy.

    Source: lowthreads' own.
    """
    if not isinstance(policy, str):
        raise TypeError(f"policy must be a str, not {type(policy).__name__}")
    if policy not in _POLICIES:
        raise ValueError(f"policy must be 'block', 'reset' or 'raise', not {policy!r}")
    return _NAMES[lib.lt_set_fork_policy(_POLICIES[policy])]
