/* What Python sees of the shim on CPython alone; see natives.h. */

void lt_ffi_document(bool rlock, const char *name, const char *doc);
                                                 /* never blocks */
bool lt_ffi_add_natives(const char *module);     /* never blocks */
