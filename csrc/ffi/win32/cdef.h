/* What Python sees of the shim on Windows alone; see sleep.h. */

void lt_ffi_end_sleep(uintptr_t python_dll);     /* never blocks */
