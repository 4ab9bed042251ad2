/* What Python sees of the shim on CPython alone. */

/* Puts LockMemory and start_thread into the extension; see natives.h. */
bool lt_ffi_add_natives(const char *acquire_doc, const char *release_doc,
                        const char *locked_doc); /* never blocks */
