"""Where versions of CPython differ and one object can't serve all, and lowthreads is installed.

`import lowthreads` has one behaviour; in `_thread`'s place it has the interpreter's, which
its standard library and tests expect.  `_dropin.install` sets these.
"""


class Style:
    """What is in force now."""

    function_is_object = False
    """`sys.unraisablehook` gets a thread's function as the object, as up to 3.12."""

    name_is_cut_anywhere = False
    """`set_name` cuts a name at the platform's limit, also inside of a character."""
